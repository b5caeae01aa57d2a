#!/usr/bin/python3
"""The login overlay, written from docs/protocol/browser.md alone.

    browser.py --page URL --user NAME [--watch sse|poll] [--submit]
    browser.py --cloud URL --token T --fingerprint F --origin O --user NAME [--watch sse|poll]

The password is the first line of the standard input. Every further line is something the person
does on the page: "code 123456", "use_code", "push", "use push", "cancel". Each view is printed as one line of
JSON as soon as it is there; the exit code is 0 when the login is done, 1 when it was denied, 3 when
a service refused. With --submit the gateway token goes into the gateway's own form, and what the
gateway answered is printed as well.
"""

import argparse
import base64
import hashlib
import html.parser
import http.cookiejar
import itertools
import json
import sys
import threading
import time
import urllib.parse
import urllib.request

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

import hpke
import wire

HPKE_INFO = b"sallyport/v1 login"
PLAINTEXT = 512
ENDED = ("done", "denied")


class Page(html.parser.HTMLParser):
    """A gateway's logon page: the script tag and the form."""

    def __init__(self, url):
        super().__init__()
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        self.token = self.fingerprint = self.action = None
        self.form = {}
        with self.opener.open(url, timeout=wire.PATIENCE) as response:
            self.url = response.url
            self.feed(response.read().decode("utf-8"))
        if not self.token:
            raise ValueError("no script tag on the page")

    def handle_starttag(self, tag, attributes):
        a = dict(attributes)
        if tag == "script" and "data-access-token" in a:
            self.token, self.fingerprint = a["data-access-token"], a["data-key"]
            self.cloud = a["src"].split("/embed/")[0]
        elif tag == "form":
            self.action = a.get("action", "")
        elif tag == "input" and a.get("name"):
            self.form[a["name"]] = a.get("value") or ""

    @property
    def origin(self):
        parts = urllib.parse.urlsplit(self.url)
        return parts.scheme + "://" + parts.netloc

    def submit(self, user, password, token):
        """Sends the gateway's form and returns the page that comes back."""
        form = dict(self.form, username=user, password=password, password1=token)
        url = urllib.parse.urljoin(self.url, self.action)
        with self.opener.open(url, urllib.parse.urlencode(form).encode(), timeout=wire.PATIENCE) as response:
            return response.read().decode("utf-8")


def read_statement(keys, fingerprint, tenant):
    """The key statement, after every check that a browser makes. ValueError when one fails."""
    statement, signature = wire.unb64(keys["statement"]), wire.unb64(keys["signature"])
    said = json.loads(statement)
    root = wire.unb64(said["root"])
    if wire.b64(hashlib.sha256(root).digest()) != fingerprint:
        raise ValueError("the statement is by another root key")
    if len(signature) != 64:
        raise ValueError("signature of another length")
    der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        hpke.public_key(root).verify(der, b"sallyport/v1 keys\n" + statement, ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise ValueError("the root key has not signed the statement") from None
    if said["v"] != 1 or said["tenant"] != tenant:
        raise ValueError("the statement is for somebody else")
    return said


def login_aad(tenant, integration, login, user, origin, kid, iat):
    return wire.fields(tenant, integration, login, user, origin, kid, iat)


def padded(password):
    octets = password.encode("utf-8")
    if not 1 <= len(octets) <= 256:
        raise ValueError("password of 1 to 256 octets")
    return (len(octets).to_bytes(2, "big") + octets).ljust(PLAINTEXT, b"\0")


class Login:
    """One login, from begin to its end."""

    def __init__(self, cloud, token, fingerprint, origin):
        self.cloud, self.token, self.origin = cloud, token, origin
        context = json.loads(base64.b64decode(token))
        self.tenant, self.integration = context["tenantId"], context["contextData"]["authInstanceId"]
        begun = wire.ask("POST", cloud + "/v1/logins", wire.compact({"accessToken": token}))
        self.id = begun["loginId"]
        self.keys = read_statement(begun["keys"], fingerprint, self.tenant)
        self.version, self.kind = 0, None

    def _url(self, what):
        return "%s/v1/logins/%s/%s" % (self.cloud, self.id, what)

    def credentials(self, user, password):
        """Sends the sealed password; returns the first view, opened."""
        kid, iat = self.keys["kid"], self.keys["iat"]
        enc, context = hpke.sender(wire.unb64(self.keys["pub"]), HPKE_INFO)
        aad = login_aad(self.tenant, self.integration, self.id, user, self.origin, kid, iat)
        self.down = context.export(b"sallyport/v1 to browser", 32)
        self.up = context.export(b"sallyport/v1 to appliance", 32)
        self.sent = wire.compact({
            "accessToken": self.token, "userName": user, "kid": kid, "iat": iat, "enc": wire.b64(enc),
            "ciphertext": wire.b64(context.seal(aad, padded(password)))})
        return self.send_credentials()

    def send_credentials(self):
        """Sends what credentials made; again is allowed."""
        answer = wire.ask("POST", self._url("credentials"), self.sent, {"Origin": self.origin})
        self.session = answer["session"]
        return self.open(answer["view"])

    def open(self, view):
        """A view with its prompt. Raises when the seal is not the appliance's."""
        aad = wire.fields(self.id, view["version"], view["phase"])
        prompt = json.loads(wire.unseal(self.down, aad, wire.unb64(view["sealed"])))
        if view["version"] >= self.version:
            self.version, self.kind = view["version"], prompt["kind"]
        return {"version": view["version"], "phase": view["phase"], "prompt": prompt}

    def _bearer(self, **more):
        return {"Authorization": "Bearer " + self.session, **more}

    def say(self, action, **more):
        """Sends what the person did; returns the view that came of it."""
        for attempt in range(4):
            version, kind = self.version, self.kind  # another thread watches
            try:
                return self._say(version, {"action": action, **more})
            except wire.Refused as refused:
                if refused.code != "conflict" or attempt == 3:
                    raise
            view = self.poll(version)  # the login has gone on; what was done is still meant, if the question is the same
            if view and view["prompt"]["kind"] != kind:
                return view

    def _say(self, version, message):
        sealed = wire.seal(self.up, wire.fields(self.id, version, "message"), wire.compact(message))
        body = wire.compact({"version": version, "sealed": wire.b64(sealed)})
        return self.open(wire.ask("POST", self._url("messages"), body, self._bearer()))

    def poll(self, after):
        """One round of long polling: a view above a version, or None."""
        answer = wire.ask("GET", self._url("events") + "?after=%d" % after, headers=self._bearer())
        return answer and self.open(answer)

    def watch_sse(self):
        """Yields views until the login has ended; opens the stream again when it was cut."""
        for cut in itertools.count():
            time.sleep(min(8, 0.4 * 2 ** (cut - 1)) if cut else 0)
            with wire.send("GET", self._url("events"), headers=self._bearer(Accept="text/event-stream")) as stream:
                for event, data in events(stream):
                    if event == "error":
                        raise wire.Refused(200, data)
                    if event == "view":
                        view = self.open(data)
                        yield view
                        if view["phase"] in ENDED:
                            return

    def watch_poll(self):
        """Yields views until the login has ended, by long polling."""
        seen = 0
        while True:
            view = self.poll(seen)
            if view is None:
                continue
            seen = view["version"]
            yield view
            if view["phase"] in ENDED:
                return


def events(stream):
    """Server-sent events: pairs of name and data."""
    name, data = "message", []
    for line in stream:
        line = line.decode("utf-8").rstrip("\r\n")
        if line == "":
            if data:
                yield name, json.loads("\n".join(data))
            name, data = "message", []
        elif not line.startswith(":"):
            field, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)


def obey(login, typed):
    """Says what the person does, line by line."""
    for line in typed:
        action, _, more = line.strip().partition(" ")
        member = "method" if action == "use" else "code"
        try:
            wire.tell(said=action, view=login.say(action, **({member: more} if more else {})))
        except wire.Refused as refused:
            wire.tell(said=action, refused=refused.body)


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--page")
    for name in ("cloud", "token", "fingerprint", "origin"):
        parser.add_argument("--" + name)
    parser.add_argument("--user", required=True)
    parser.add_argument("--watch", choices=["sse", "poll"], default="sse")
    parser.add_argument("--submit", action="store_true")
    return parser.parse_args()


def main():
    a = arguments()
    typed = wire.lines()
    password = next(typed, "")
    page = Page(a.page) if a.page else a
    try:
        login = Login(page.cloud, page.token, page.fingerprint, page.origin)
        view = login.credentials(a.user, password)
        threading.Thread(target=obey, args=(login, typed), daemon=True).start()
        for view in login.watch_sse() if a.watch == "sse" else login.watch_poll():
            wire.tell(**view)
    except wire.Refused as refused:
        wire.tell(refused=refused.body, status=refused.status)
        return 3
    if view["phase"] == "done" and a.submit:
        wire.tell(gateway=page.submit(a.user, password, view["prompt"]["token"]))
    return 0 if view["phase"] == "done" else 1


if __name__ == "__main__":
    sys.exit(main())
