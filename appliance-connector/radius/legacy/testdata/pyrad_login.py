"""Logs in with pyrad: ADDRESS PORT SECRET, then a JSON request on each line of standard input, an answer on each line of output.

pyrad checks the Response Authenticator; Message-Authenticator is made and checked here.
"""
import hashlib
import hmac
import io
import json
import struct
import sys

from pyrad import packet
from pyrad.client import Client
from pyrad.dictionary import Dictionary

DICTIONARY = """
ATTRIBUTE User-Name 1 string
ATTRIBUTE User-Password 2 octets
ATTRIBUTE Reply-Message 18 string
ATTRIBUTE State 24 octets
ATTRIBUTE Calling-Station-Id 31 string
ATTRIBUTE NAS-Identifier 32 string
ATTRIBUTE Proxy-State 33 octets
ATTRIBUTE Message-Authenticator 80 octets
"""


class Signed(packet.AuthPacket):
    """An Access-Request with Message-Authenticator first."""

    def RequestPacket(self):
        whole = super().RequestPacket()
        body = struct.pack("!BB16s", 80, 18, b"") + whole[20:]
        head = whole[:2] + struct.pack("!H", 20 + len(body)) + whole[4:20]
        mac = hmac.new(self.secret, head + body, hashlib.md5).digest()
        return head + body[:2] + mac + body[18:]

    def VerifyReply(self, reply, rawreply=None):
        if rawreply[20:22] != b"\x50\x12":
            return False
        zeroed = rawreply[:4] + self.authenticator + rawreply[20:22] + bytes(16) + rawreply[38:]
        mac = hmac.new(self.secret, zeroed, hashlib.md5).digest()
        return hmac.compare_digest(mac, rawreply[22:38]) and super().VerifyReply(reply, rawreply)


def main():
    address, port, secret = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode()
    words = Dictionary(io.StringIO(DICTIONARY))
    client = Client(server=address, authport=port, secret=secret, dict=words)
    client.timeout, client.retries = 20, 3
    for line in sys.stdin:
        asked = json.loads(line)
        request = Signed(code=packet.AccessRequest, secret=secret, dict=words)
        request["User-Name"] = asked["user"]
        request["User-Password"] = request.PwCrypt(asked["password"])
        request["NAS-Identifier"] = "pyrad"
        request["Calling-Station-Id"] = "203.0.113.7"
        if asked.get("state"):
            request["State"] = bytes.fromhex(asked["state"])
        for value in asked.get("proxies") or []:
            request.AddAttribute("Proxy-State", bytes.fromhex(value))
        answer = client.SendPacket(request)
        print(json.dumps({
            "code": answer.code,
            "message": "".join(answer["Reply-Message"]) if "Reply-Message" in answer.keys() else "",
            "state": answer["State"][0].hex() if "State" in answer.keys() else "",
            "proxies": [v.hex() for v in answer["Proxy-State"]] if "Proxy-State" in answer.keys() else [],
        }), flush=True)


main()
