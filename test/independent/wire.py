"""What browser and device protocol have in common: encodings, sealed values, errors, HTTP."""

import base64
import json
import os
import re
import urllib.error
import urllib.request

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

# Straight to the service, whatever proxy the environment names.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
PATIENCE = 40  # seconds; longer than a held request


def b64(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def unb64(text):
    if not re.fullmatch(r"[A-Za-z0-9_-]*", text):
        raise ValueError("not base64url")
    octets = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if b64(octets) != text:
        raise ValueError("not canonical base64url")
    return octets


def fields(*parts):
    """Each part in UTF-8 with its length in two octets before it."""
    out = b""
    for part in parts:
        octets = part if isinstance(part, bytes) else str(part).encode("utf-8")
        out += len(octets).to_bytes(2, "big") + octets
    return out


def seal(key, aad, plaintext, nonce=None):
    nonce = nonce or os.urandom(12)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, aad)


def unseal(key, aad, sealed):
    """Raises cryptography.exceptions.InvalidTag when it was not sealed by who has the key."""
    return AESGCM(key).decrypt(sealed[:12], sealed[12:], aad)


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def lines():
    """The lines of the standard input as they come. Read without Python's buffers, so that a thread which waits
    here does not keep the program from ending."""
    rest = b""
    while chunk := os.read(0, 4096):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode("utf-8") for line in whole)
    if rest:
        yield rest.decode("utf-8")


def tell(**what):
    """Prints one line of JSON."""
    print(json.dumps(what), flush=True)


class Refused(Exception):
    """An error of a service: status of HTTP, and the body's code, message, supportCode and ended."""

    def __init__(self, status, body, headers=None):
        super().__init__("%s %s: %s" % (status, body.get("code"), body.get("message")))
        self.status, self.body, self.headers = status, body, headers
        self.code, self.ended = body.get("code"), body.get("ended", False)


def send(method, url, body=None, headers=None, timeout=PATIENCE):
    """Sends a request and returns the open response; Refused for what is no success."""
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    if body is not None:
        request.add_header("Content-Type", "application/json")
    try:
        return OPENER.open(request, timeout=timeout)
    except urllib.error.HTTPError as refusal:
        with refusal:
            text = refusal.read()
        raise Refused(refusal.code, error_body(text), refusal.headers) from None


def error_body(text):
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    return body if isinstance(body, dict) else {"code": "internal", "message": "no error body"}


def ask(method, url, body=None, headers=None):
    """Sends a request and returns the JSON of the answer, None for 204."""
    with send(method, url, body, headers) as response:
        text = response.read()
        return json.loads(text) if text else None
