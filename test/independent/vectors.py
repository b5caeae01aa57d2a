#!/usr/bin/python3
"""Holds these clients to docs/protocol/vectors.json, and makes that file.

    vectors.py            checks: everything is worked out again and must come out the same
    vectors.py --write    after a change of the protocol

The values come from here and are checked by the product's own code in vectors_test.go, so that two
programs which share nothing agree on them. Signatures are random by nature: those in the file stay as
long as they hold.
"""

import base64
import hashlib
import json
import pathlib
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

import appliance
import browser
import device
import hpke
import wire

FILE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "protocol" / "vectors.json"

TENANT, INTEGRATION = "55j59tmsx7skfwt9extehww9k0", "hospital-vpn"
NOW = 1700000000

# RFC 9180, appendix A.3.1 (AES-128-GCM), and the suite of this protocol out of the test vectors that were
# published with the RFC. Those have hundreds of messages and exports; as Go's crypto/hpke does, they are
# held to a digest: inputs are drawn from SHAKE128 of nothing, a length of one octet before each, and the
# results go into SHAKE128.
A3 = {
    "aad": "436f756e742d30", "plaintext": "4265617574792069732074727574682c20747275746820626561757479",
    "ciphertext": "5ad590bb8baa577f8619db35a36311226a896e7342a6d836d8b7bcd2f20b6c7f9076ac232e3ab2523f39513434",
}
PUBLISHED = [{
    "aead": hpke.AES_128_GCM, "info": "4f6465206f6e2061204772656369616e2055726e",
    "ikmE": "4270e54ffd08d79d5928020af4686d8f6b7d35dbe470265f1f5aa22816ce860e",
    "pkRm": "04fe8c19ce0905191ebc298a9245792531f26f0cece2460639e8bc39cb7f706a826a779b4cf969b8a0e539c7f62fb3d3"
            "0ad6aa8f80e30f1d128aafd68a2ce72ea0",
    "enc": "04a92719c6195d5085104f469a8b9814d5838ff72b60501e2c4466e5e67b325ac98536d7b61a1af4b78e5b7f951c0900b"
           "e863c403ce65c9bfcb9382657222d18c4",
    "seals": "fcb852ae6a1e19e874fbd18a199df3e4", "exports": "655be1f8b189a6b103528ac6d28d3109",
}, {
    "aead": hpke.AES_256_GCM, "info": "4f6465206f6e2061204772656369616e2055726e",
    "ikmE": "a90d3417c3da9cb6c6ae19b4b5dd6cc9529a4cc24efb7ae0ace1f31887a8cd6c",
    "pkRm": "04abc7e49a4c6b3566d77d0304addc6ed0e98512ffccf505e6a8e3eb25c685136f853148544876de76c0f2ef99cdc3a0"
            "5ccf5ded7860c7c021238f9e2073d2356c",
    "enc": "04c06b4f6bebc7bb495cb797ab753f911aff80aefb86fd8b6fcc35525f3ab5f03e0b21bd31a86c6048af3cb2d98e0d3bf"
           "01da5cc4c39ff5370d331a4f1f7d5a4e0",
    "seals": "8d3263541fc1695b6e88ff3a1208577c", "exports": "038af0baa5ce3c4c5f371c3823b15217",
}]


def check_published():
    """The suites against what was published with the RFC."""
    unhex = bytes.fromhex
    for v in PUBLISHED:
        key = hpke.derive_key_pair(unhex(v["ikmE"]))
        enc, context = hpke.sender(unhex(v["pkRm"]), unhex(v["info"]), v["aead"], key)
        seals, exports, draw = hashlib.shake_128(), hashlib.shake_128(), drawn()
        for _ in range(1000):
            aad, plaintext = next(draw), next(draw)
            seals.update(context.seal(aad, plaintext))
        draw = drawn()
        for length in range(1000):
            exports.update(context.export(next(draw), length))
        expect("HPKE suite %d" % v["aead"], (v["enc"], v["seals"], v["exports"]),
               (enc.hex(), seals.hexdigest(16), exports.hexdigest(16)))
    v = PUBLISHED[0]
    _, context = hpke.sender(unhex(v["pkRm"]), unhex(v["info"]), v["aead"], hpke.derive_key_pair(unhex(v["ikmE"])))
    expect("RFC 9180 A.3.1", A3["ciphertext"], context.seal(unhex(A3["aad"]), unhex(A3["plaintext"])).hex())


def drawn():
    octets, at = hashlib.shake_128().digest(1 << 19), 0
    while True:
        length = octets[at]
        yield octets[at + 1:at + 1 + length]
        at += 1 + length


def expect(what, want, got):
    if want != got:
        raise SystemExit("%s: want %r, got %r" % (what, want, got))


def fixed_key(name):
    """A key that is the same every time."""
    return hpke.derive_key_pair(hashlib.sha256(b"sallyport test vector " + name.encode("ascii")).digest())


def fixed(name, length):
    return hashlib.shake_128(b"sallyport test vector " + name.encode("ascii")).digest(length)


def private(key):
    return wire.b64(key.private_numbers().private_value.to_bytes(32, "big"))


def signature(key, octets, kept):
    """A signature in base64url: the one that is kept, if it holds."""
    try:
        old = wire.unb64(kept)
        der = encode_dss_signature(int.from_bytes(old[:32], "big"), int.from_bytes(old[32:], "big"))
        key.public_key().verify(der, octets, ec.ECDSA(SHA256()))
        return kept
    except (InvalidSignature, ValueError):
        r, s = decode_dss_signature(key.sign(octets, ec.ECDSA(SHA256())))
        return wire.b64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def jws(key, typ, claims, kept):
    header = {"alg": "ES256", "typ": typ, "kid": device.thumbprint(device.jwk(key.public_key()))}
    text = wire.b64(wire.compact(header)) + "." + wire.b64(wire.compact(claims))
    return text + "." + signature(key, text.encode("ascii"), kept.rpartition(".")[2])


def text(value):
    return wire.compact(value).decode("utf-8")


def make_fields():
    lists = [[], ["", ""], ["a", "bc"], ["Zoë", "3"]]
    return [{"parts": parts, "octets": wire.b64(wire.fields(*parts))} for parts in lists]


def make_statement(root, key, kept):
    point = hpke.point(root.public_key())
    said = text({"v": 1, "tenant": TENANT, "root": wire.b64(point), "kid": "k7m2", "pub": wire.b64(hpke.point(key.public_key())),
                 "iat": NOW, "exp": NOW + 900})
    return {
        "text": said, "statement": wire.b64(said.encode("utf-8")),
        "signature": signature(root, b"sallyport/v1 keys\n" + said.encode("utf-8"), kept.get("signature", "")),
        "tenantId": TENANT, "fingerprint": wire.b64(hashlib.sha256(point).digest()),
    }


def make_credentials(key):
    login, user, origin, password = wire.b64(b"\x01" + fixed("login id", 31)), "zoë", "https://vpn.hospital.example", "Pässword 1"
    ephemeral = fixed_key("ephemeral")
    enc, context = hpke.sender(hpke.point(key.public_key()), browser.HPKE_INFO, ephemeral=ephemeral)
    aad = browser.login_aad(TENANT, INTEGRATION, login, user, origin, "k7m2", NOW)
    return {
        "recipientPrivate": private(key), "ephemeralPrivate": private(ephemeral), "loginId": login,
        "integrationId": INTEGRATION, "userName": user, "origin": origin, "kid": "k7m2", "iat": NOW, "password": password,
        "aad": wire.b64(aad), "enc": wire.b64(enc), "ciphertext": wire.b64(context.seal(aad, browser.padded(password))),
        "down": wire.b64(context.export(b"sallyport/v1 to browser", 32)),
        "up": wire.b64(context.export(b"sallyport/v1 to appliance", 32)),
    }


def make_sealed(key, aad, plaintext, name, multiple=1):
    """A sealed text; before sealing it is filled up with spaces to a multiple of octets."""
    filled = device.pad(plaintext.encode("utf-8"), multiple)
    return {"aad": wire.b64(aad), "text": plaintext, "sealed": wire.b64(wire.seal(key, aad, filled, fixed(name, 12)))}


def make_browser(kept):
    root, key = fixed_key("root"), fixed_key("browser key")
    c = make_credentials(key)
    token = {"tenantId": TENANT, "contextData": {"authAppId": "f5-big-ip", "authInstanceId": INTEGRATION}}
    prompt = {"kind": "push", "number": "42", "device": "Zoë's iPhone", "remainingMs": 29997, "methods": ["push", "code"],
              "supportCode": "YE7G-PNS6"}
    view = make_sealed(wire.unb64(c["down"]), wire.fields(c["loginId"], 1, "waiting"), text(prompt), "view")
    message = make_sealed(wire.unb64(c["up"]), wire.fields(c["loginId"], 1, "message"), text({"action": "use_code"}), "message")
    return {
        "accessToken": base64.b64encode(wire.compact(token)).decode("ascii"),
        "keys": make_statement(root, key, kept.get("keys", {})), "credentials": c,
        "view": {"version": 1, "phase": "waiting", **view}, "message": {"version": 1, **message},
    }


def make_device(kept):
    d = device.Device("https://tokens.example.org", TENANT, fixed("secret of the link", 32), fixed_key("device"))
    enrolment, challenge = "r1k5exde82ts3xf6rtsgggghmm", "7a0dfd12e4815c51772dcddd162603f7"
    name, details = "Zoë's iPhone", {"user": "zoë", "application": "Hospital VPN", "place": "203.0.113.7",
                                     "time": "2026-01-02T03:04:05Z", "digits": 2}

    def sealed(plaintext, multiple, *aad):
        return make_sealed(d.details_key, wire.fields(*aad), plaintext, aad[0], multiple)

    answer = jws(d.key, "sallyport-answer+jwt", {
        "iss": d.id, "sub": challenge, "iat": NOW, "decision": "approve", "number": "42", "user": details["user"],
        "application": details["application"]}, kept.get("answer", {}).get("text", ""))
    body = wire.compact({"provider": "none"})
    claims = {"iss": d.id, "tenant": TENANT, "aud": d.address, "iat": NOW, "exp": NOW + 60, "jti": "k3Zq9V0a", "htm": "PUT",
              "htu": "/v1/device/push", "bh": wire.b64(hashlib.sha256(body).digest())}
    return {
        "link": d.address + "/authenticator/#e=" + ".".join([TENANT, enrolment, wire.b64(d.secret)]),
        "address": d.address, "tenantId": TENANT, "enrolmentId": enrolment, "secret": wire.b64(d.secret),
        "private": private(d.key), "jwk": d.jwk, "deviceId": d.id,
        "proofKey": wire.b64(d.proof_key), "detailsKey": wire.b64(d.details_key), "seed": wire.b64(d.seed),
        "name": name, "platform": "ios", "proof": wire.b64(device.proof(d.proof_key, TENANT, enrolment, d.id, name, "ios")),
        "account": sealed(text({"user": "zoë", "enterprise": "St. Mary's Hospital"}), 512, "account", d.id),
        "challengeId": challenge,
        "details": sealed(text(details), 512, "challenge", challenge, d.id),
        "answer": sealed(answer, 1024, "answer", challenge, d.id),
        "authorization": {"body": body.decode("ascii"), "claims": claims, "header": "Device " + jws(
            d.key, "sallyport-device+jwt", claims, kept.get("authorization", {}).get("header", ""))},
        "codes": [{"time": t, "code": device.token_code(d.seed, t)} for t in (NOW, NOW + 30, 20000000000)],
    }


def make_join():
    code, joiner, key = "3M0PC-H5PH0-BKFW6-12MH6-7Z9QA-0C4DE", "921gngjq3g33653de9b9vsbfmg", fixed_key("joiner")
    return {"code": code, "tenantId": TENANT, "applianceId": joiner, "private": private(key),
            "message": appliance.join_message(code, TENANT, joiner, key).decode("ascii")}


def make(kept):
    return {"fields": make_fields(), "browser": make_browser(kept.get("browser", {})),
            "device": make_device(kept.get("device", {})), "join": make_join()}


def main():
    kept = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
    made = make(kept)
    if sys.argv[1:] == ["--write"]:
        FILE.write_text(json.dumps(made, ensure_ascii=False, indent=2) + "\n", "utf-8")
        return
    check_published()
    for part in made:
        for name in made[part] if isinstance(made[part], dict) else ():
            expect(part + "." + name, kept[part].get(name), made[part][name])
    expect("vectors.json", kept, made)


if __name__ == "__main__":
    main()
