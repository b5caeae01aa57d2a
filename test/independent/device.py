#!/usr/bin/python3
"""An authenticator, written from docs/protocol/device.md alone.

    device.py --store FILE [--clock SECONDS] COMMAND     (the clock is off by so much, to try the correction)

    device.py --store FILE enrol [LINK]                  (without LINK it is the first line of the standard input)
    device.py --store FILE pending [--wait SECONDS]
    device.py --store FILE approve [--number N] [--wait SECONDS]
    device.py --store FILE deny | not_me [--wait SECONDS]
    device.py --store FILE code
    device.py --store FILE push PROVIDER TOKEN
    device.py --store FILE forget

What came of it is printed as one line of JSON. Exit code 0: done; 1: nothing waits, or the enrolment
was refused; 3: a service refused. The store holds the device's key in the clear: it is for tests.
"""

import argparse
import email.utils
import hashlib
import hmac
import json
import os
import re
import sys
import time
import urllib.parse

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

import hpke
import wire


def parse_link(link):
    """Device address, enterprise, enrolment and secret of a link."""
    page, _, fragment = link.partition("#")
    address, found, _ = page.partition("/authenticator/")
    match = re.fullmatch(r"e=([A-Za-z0-9_-]{1,64})\.([A-Za-z0-9_-]{1,64})\.([A-Za-z0-9_-]{43})", fragment)
    if not found or not match:
        raise ValueError("not a link")
    parts = urllib.parse.urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")):
        raise ValueError("not https")
    return address, match[1], match[2], wire.unb64(match[3])


def jwk(public):
    octets = hpke.point(public)
    return {"kty": "EC", "crv": "P-256", "x": wire.b64(octets[1:33]), "y": wire.b64(octets[33:])}


def thumbprint(key):
    """RFC 7638: the required members in the order of their names."""
    text = wire.compact({name: key[name] for name in ("crv", "kty", "x", "y")})
    return wire.b64(hashlib.sha256(text).digest())


def derive(secret, device):
    """The three keys of an enrolment: proof, details, seed."""
    prk = hpke.extract(device.encode("ascii"), secret)
    return (hpke.expand(prk, b"sallyport/v1 enrol proof", 32), hpke.expand(prk, b"sallyport/v1 details", 32),
            hpke.expand(prk, b"sallyport/v1 token code", 20))


def proof(key, tenant, enrolment, device, name, platform):
    return hmac.digest(key, wire.fields(tenant, enrolment, device, name, platform), "sha256")


def jws(key, header, claims):
    """Compact serialization, ES256."""
    text = wire.b64(wire.compact(header)) + "." + wire.b64(wire.compact(claims))
    r, s = decode_dss_signature(key.sign(text.encode("ascii"), ec.ECDSA(SHA256())))
    return text + "." + wire.b64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def pad(octets, multiple):
    return octets + b" " * (-len(octets) % multiple)


def token_code(seed, now):
    """RFC 6238: SHA-1, 30 s, six digits."""
    mac = hmac.digest(seed, (int(now) // 30).to_bytes(8, "big"), "sha1")
    at = mac[-1] & 15
    return "%06d" % ((int.from_bytes(mac[at:at + 4], "big") & 0x7FFFFFFF) % 1000000)


class Device:
    def __init__(self, address, tenant, secret, key=None):
        self.address, self.tenant, self.secret = address, tenant, secret
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.jwk = jwk(self.key.public_key())
        self.id = thumbprint(self.jwk)
        self.proof_key, self.details_key, self.seed = derive(secret, self.id)
        self.clock = time.time
        self.ahead = 0  # seconds that the service's clock is ahead of ours

    def enrol(self, enrolment, name, platform="cli"):
        """Answers the link and waits for the appliance; returns the account, None when refused."""
        path = "/v1/enrolments/%s/%s" % (self.tenant, enrolment)
        mac = proof(self.proof_key, self.tenant, enrolment, self.id, name, platform)
        registered = wire.ask("POST", self.address + path, wire.compact({
            "jwk": self.jwk, "name": name, "platform": platform, "appVersion": "1.0",
            "push": {"provider": "none"}, "proof": wire.b64(mac)}))
        if registered["deviceId"] != self.id:
            raise ValueError("the service knows another device")
        while True:
            answer = self.ask("GET", path, query="?wait=20")
            if answer["status"] == "refused":
                return None
            if answer["status"] == "accepted":
                return self.unseal(answer["sealed"], "account", self.id)

    def unseal(self, sealed, *aad):
        return json.loads(wire.unseal(self.details_key, wire.fields(*aad), wire.unb64(sealed)))

    def _authorization(self, method, path, body):
        now = int(self.clock() + self.ahead)
        claims = {"iss": self.id, "tenant": self.tenant, "aud": self.address, "iat": now, "exp": now + 60,
                  "jti": wire.b64(os.urandom(16)), "htm": method, "htu": path,
                  "bh": wire.b64(hashlib.sha256(body or b"").digest())}
        header = {"alg": "ES256", "typ": "sallyport-device+jwt", "kid": self.id}
        return {"Authorization": "Device " + jws(self.key, header, claims)}

    def ask(self, method, path, body=None, query=""):
        """An authorized request; when the clock is wrong it is set by the service's, once."""
        url = self.address + path + query
        try:
            return wire.ask(method, url, body, self._authorization(method, path, body))
        except wire.Refused as refused:
            if refused.status != 401:
                raise
            theirs = email.utils.parsedate_to_datetime(refused.headers["Date"]).timestamp()
            self.ahead = theirs - self.clock()
            return wire.ask(method, url, body, self._authorization(method, path, body))

    def pending(self, wait=0):
        """The challenge that waits, with its details; None when there is none."""
        found = self.ask("GET", "/v1/challenges", query="?wait=%d" % wait)["challenges"]
        if not found:
            return None
        details = self.unseal(found[0]["sealed"], "challenge", found[0]["id"], self.id)
        return {"id": found[0]["id"], "remainingMs": found[0]["remainingMs"], **details}

    def answer(self, challenge, decision, number=""):
        claims = {"iss": self.id, "sub": challenge["id"], "iat": int(self.clock() + self.ahead), "decision": decision,
                  "number": number, "user": challenge["user"], "application": challenge["application"]}
        text = jws(self.key, {"alg": "ES256", "typ": "sallyport-answer+jwt", "kid": self.id}, claims)
        sealed = wire.seal(self.details_key, wire.fields("answer", challenge["id"], self.id), pad(text.encode("ascii"), 1024))
        self.ask("POST", "/v1/challenges/%s/answer" % challenge["id"], wire.compact({"sealed": wire.b64(sealed)}))

    def save(self, path):
        scalar = self.key.private_numbers().private_value.to_bytes(32, "big")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(wire.compact({"address": self.address, "tenant": self.tenant,
                                     "secret": wire.b64(self.secret), "key": wire.b64(scalar)}))

    @classmethod
    def load(cls, path):
        with open(path, "rb") as file:
            kept = json.load(file)
        scalar = int.from_bytes(wire.unb64(kept["key"]), "big")
        return cls(kept["address"], kept["tenant"], wire.unb64(kept["secret"]),
                   ec.derive_private_key(scalar, ec.SECP256R1()))


def run(a):
    if a.command == "enrol":
        address, tenant, enrolment, secret = parse_link(a.link or next(wire.lines(), "").strip())
        device = Device(address, tenant, secret)
        account = device.enrol(enrolment, a.name)
        if account is None:
            return 1
        device.save(a.store)
        wire.tell(device=device.id, **account)
        return 0
    device = Device.load(a.store)
    device.clock = lambda: time.time() + a.clock
    if a.command == "code":
        wire.tell(code=token_code(device.seed, device.clock()))
    elif a.command == "push":
        device.ask("PUT", "/v1/device/push", wire.compact({"provider": a.provider, "token": a.token}))
    elif a.command == "forget":
        device.ask("DELETE", "/v1/device")
    else:
        challenge = device.pending(a.wait)
        if challenge is None:
            return 1
        if a.command != "pending":
            device.answer(challenge, a.command, a.number)
        wire.tell(challenge=challenge)
    return 0


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--store", required=True)
    arguments.add_argument("--clock", type=int, default=0)
    commands = arguments.add_subparsers(dest="command", required=True)
    enrol = commands.add_parser("enrol")
    enrol.add_argument("link", nargs="?")
    enrol.add_argument("--name", default="Independent phone")
    for name in ("pending", "approve", "deny", "not_me"):
        command = commands.add_parser(name)
        command.add_argument("--wait", type=int, default=0)
        command.add_argument("--number", default="")
    push = commands.add_parser("push")
    push.add_argument("provider")
    push.add_argument("token")
    commands.add_parser("code")
    commands.add_parser("forget")
    try:
        return run(arguments.parse_args())
    except wire.Refused as refused:
        wire.tell(refused=refused.body, status=refused.status)
        return 3
    except InvalidTag:
        wire.tell(foreign="what the service relayed is not the appliance's")
        return 3


if __name__ == "__main__":
    sys.exit(main())
