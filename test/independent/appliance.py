#!/usr/bin/python3
"""The cloud's side of an appliance, written from docs/protocol/tunnel.md, browser.md and api/ alone.

    appliance.py --cloud URL --enterprise ID --origin ORIGIN

The provisioning code is the first line of the standard input; the program ends with the input. It
makes an enterprise's keys, establishes trust, holds a stream to the cloud and answers logins: the
sealed password is opened, then everybody is refused, as if the directory knew nobody. A login from
a page of another origin, or one that cannot be opened, is answered with an error. What happens is
printed, one line of JSON each; the first has what a page would paste.
"""

import argparse
import base64
import hashlib
import hmac
import importlib
import itertools
import os
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading
import time

import grpc
from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

import browser
import hpke
import wire

API = pathlib.Path(__file__).resolve().parents[2] / "api"
INTEGRATION = "independent-vpn"
FEATURES = ["progress", "progress_ack", "cancel", "drain"]


def compile_contract():
    """The messages of tunnel.proto, by protoc."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["protoc", "-I", str(API), "--python_out", folder, "tunnelpb/tunnel.proto"], check=True)
        sys.path.insert(0, folder)
        try:
            return importlib.import_module("tunnelpb.tunnel_pb2")
        finally:
            sys.path.remove(folder)


def new_key():
    return ec.generate_private_key(ec.SECP256R1())


def pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def sign(key, octets):
    """ECDSA with SHA-256 in the 64-octet form of IEEE P1363."""
    r, s = decode_dss_signature(key.sign(octets, ec.ECDSA(SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


class Enterprise:
    """The keys that browsers trust: the root key, and the key that passwords are sealed to."""

    def __init__(self, tenant, origin):
        self.origin = origin
        self.tenant, self.root, self.key, self.kid = tenant, new_key(), new_key(), wire.b64(os.urandom(8))
        point = hpke.point(self.root.public_key())
        self.fingerprint = wire.b64(hashlib.sha256(point).digest())
        self.access_token = base64.b64encode(wire.compact({
            "tenantId": tenant, "contextData": {"authAppId": "f5-big-ip", "authInstanceId": INTEGRATION}})).decode("ascii")

    def statement(self, now):
        text = wire.compact({"v": 1, "tenant": self.tenant, "root": wire.b64(hpke.point(self.root.public_key())),
                             "kid": self.kid, "pub": wire.b64(hpke.point(self.key.public_key())), "iat": now, "exp": now + 900})
        return text, sign(self.root, b"sallyport/v1 keys\n" + text)

    def open(self, step):
        """The password of sealed credentials, and the key of what goes down to the browser."""
        sealed = step.credentials
        context = hpke.recipient(self.key, sealed.enc, browser.HPKE_INFO)
        aad = browser.login_aad(self.tenant, step.integration_id, step.login_id, sealed.user_name, step.origin,
                                sealed.key_id, sealed.statement_iat)
        plaintext = context.open(aad, sealed.ciphertext)
        length = int.from_bytes(plaintext[:2], "big")
        return plaintext[2:2 + length].decode("utf-8"), context.export(b"sallyport/v1 to browser", 32)


def provision(cloud, tenant, code, key):
    """Uses the provisioning code; what the cloud says of the new appliance."""
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, SHA256())
    return wire.ask("POST", cloud + "/v1/provision", wire.compact({
        "enterpriseId": tenant, "code": code, "csr": wire.b64(csr.public_bytes(serialization.Encoding.DER)),
        "applianceName": "independent"}))


def credentials(trust, key):
    chain = [x509.load_der_x509_certificate(wire.unb64(der)) for der in trust["chain"]]
    return grpc.ssl_channel_credentials(
        root_certificates=trust["ca"].encode("ascii"), private_key=pem(key),
        certificate_chain=b"".join(c.public_bytes(serialization.Encoding.PEM) for c in chain))


def join_key(code, use):
    """A key out of a join code."""
    canonical = code.upper().translate(str.maketrans({"-": "", " ": "", "O": "0", "I": "1", "L": "1"}))
    return hpke.expand(hpke.extract(b"", canonical.encode("ascii")), b"sallyport/v1 join " + use, 32)


def join_message(code, tenant, appliance, key):
    """What an appliance without the enterprise's keys sends to those that have them."""
    point = hpke.point(key.public_key())
    mac = hmac.digest(join_key(code, b"request"), wire.fields(tenant, appliance, point), "sha256")
    return wire.compact({"invite": join_key(code, b"id")[:8].hex(), "key": base64.b64encode(point).decode("ascii"),
                         "mac": base64.b64encode(mac).decode("ascii")})


class Stream:
    """One stream of the tunnel."""

    def __init__(self, contract, enterprise, channel):
        self.pb, self.enterprise, self.frames = contract, enterprise, queue.Queue()
        self.waiting = {}  # by request id: what is done when ProgressAck is there
        self.calls = itertools.count(1)
        connect = channel.stream_stream("/sallyport.tunnel.v1.Tunnel/Connect",
                                        request_serializer=contract.ApplianceFrame.SerializeToString,
                                        response_deserializer=contract.CloudFrame.FromString)
        self.say(hello=contract.Hello(version="independent", features=FEATURES, instance=os.urandom(16).hex(), keys=self.keys()))
        self.call = connect(iter(self.frames.get, None))

    def keys(self):
        statement, signature = self.enterprise.statement(int(time.time()))
        return self.pb.KeyStatement(statement=statement, signature=signature)

    def ask(self, **body):
        """A call to the cloud."""
        self.say(call=self.pb.Call(id=next(self.calls), timeout_ms=5000, **body))

    def say(self, **body):
        self.frames.put(self.pb.ApplianceFrame(**body))

    def leave(self):
        self.say(leaving=self.pb.Leaving(reason="the test is over"))
        self.frames.put(None)

    def run(self):
        """Answers frames until the cloud ends the stream."""
        for frame in self.call:
            kind = frame.WhichOneof("body")
            if kind == "welcome":
                wire.tell(welcome=frame.welcome.replica, features=sorted(frame.welcome.features))
                threading.Thread(target=self.beat, args=(frame.welcome.heartbeat_ms / 1000,), daemon=True).start()
                self.claim()
            elif kind == "request":
                self.answer(frame.request)
            elif kind == "progress_ack":
                self.waiting.pop(frame.progress_ack.id, lambda: None)()
            elif kind == "cancel":
                self.waiting.pop(frame.cancel.id, None)
            elif kind == "heartbeat":
                wire.tell(heartbeat=True)
            elif kind == "result":
                result = frame.result.WhichOneof("body")
                wire.tell(result=result, first=list(frame.result.claims.first))

    def beat(self, interval):
        """Heartbeats, and every minute a fresh key statement."""
        stated = 0
        while True:
            self.say(heartbeat=self.pb.Heartbeat(sent_unix_ms=int(time.time() * 1000)))
            if time.monotonic() - stated > 60:
                stated = time.monotonic()
                self.ask(keys=self.keys())
            time.sleep(interval)

    def claim(self):
        """Two owners claim one value: the first gets it."""
        key, owners = os.urandom(16), (os.urandom(16), os.urandom(16))
        self.ask(claims=self.pb.ClaimBatch(claims=[self.pb.Claim(key=key, ttl_ms=60000, owner=o) for o in owners]))

    def answer(self, request):
        kind = request.WhichOneof("body")
        if kind == "ping":
            self.respond(request.id, pong=self.pb.Pong(payload=request.ping.payload))
        elif kind == "login_step" and request.login_step.WhichOneof("event") == "credentials":
            self.login(request.id, request.login_step)
        else:
            self.fail(request.id, "unsupported", "This appliance does not know the request.")

    def respond(self, id, **body):
        self.say(response=self.pb.Response(id=id, **body))

    def fail(self, id, code, message):
        self.respond(id, failure=self.pb.Failure(code=code, message=message, support_code="TEST-0000"))
        wire.tell(failed=code)

    def login(self, id, step):
        try:
            if step.origin != self.enterprise.origin:
                raise ValueError("page of another origin")
            password, down = self.enterprise.open(step)
        except (InvalidTag, ValueError):
            self.fail(id, "invalid", "The sign-in request was not accepted.")
            return
        self.waiting[id] = lambda: self.refuse(id, step, password, down)
        self.say(progress=self.pb.Progress(id=id, bind_started=True))

    def refuse(self, id, step, password, down):
        """The directory would be asked here."""
        prompt = wire.compact({"kind": "denied", "reason": "credentials", "supportCode": "TEST-0000"})
        sealed = wire.seal(down, wire.fields(step.login_id, 1, "denied"), prompt)
        self.respond(id, login_view=self.pb.LoginView(version=1, phase=self.pb.PHASE_DENIED, sealed=sealed))
        wire.tell(user=step.credentials.user_name, password_octets=len(password.encode("utf-8")), origin=step.origin)


def main():
    arguments = argparse.ArgumentParser()
    for name in ("--cloud", "--enterprise", "--origin"):
        arguments.add_argument(name, required=True)
    a = arguments.parse_args()
    enterprise, key, typed = Enterprise(a.enterprise, a.origin), new_key(), wire.lines()
    try:
        trust = provision(a.cloud, a.enterprise, next(typed, "").strip(), key)
    except wire.Refused as refused:
        wire.tell(refused=refused.body, status=refused.status)
        return 3
    wire.tell(appliance=trust["applianceId"], enterprise=trust["enterpriseName"], further=trust["further"],
         accessToken=enterprise.access_token, fingerprint=enterprise.fingerprint)
    with grpc.secure_channel(trust["tunnelAddress"], credentials(trust, key)) as channel:
        stream = Stream(compile_contract(), enterprise, channel)
        running = threading.Thread(target=stream.run)
        running.start()
        for _ in typed:
            pass
        stream.leave()
        running.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
