# SPDX-License-Identifier: MIT
"""Proxies of each kind that fail at each step in every way. doc/security.md has the table.

Schemes that differ in little take turns here, and have every case where POSTERN_FULL is set (`make check-full`)."""

import base64
import os
import time

import matrix
from fake_mail import after, binary, both, endless, endless_line, fin, garbage, late, partial, rst, silent, then
from fake_pop3 import FakePop3
from fake_proxy import FAMILY, GRANTED, PASSWORD, FakeProxy
from harness import same
from matrix import Case

PROXY = ("proxy", "proxy", "none", "later")
SLOW = ("timeout", "proxy", "none", "later")
CERTIFICATE = ("proxy", "proxy", "none", "no")
CHATTER = {"garbage": garbage, "binary": binary, "http": "HTTP/1.1 400 Bad Request\r\n\r\n", "mail": "+OK POP3 here\r\n"}


def drip(wire, usual):
    """A byte now and then: all would be there long after the call's time."""
    for byte in usual:
        time.sleep(0.5)
        wire.send(byte)
    wire.listen()


MUTE = {"silent": silent, "partial": partial, "drip": drip}
FORGED = "+OK forged\r\n"
HEADER_MAX = 16384
FULL = bool(os.environ.get("POSTERN_FULL"))
SCHEMES = list(FAMILY) if FULL else ["socks4a", "socks5h", "http"]


def steps(scheme, named):
    if FAMILY[scheme] == "socks5":
        return ["method", "auth", "connect"] if named else ["method", "connect"]
    return ["connect"]


def case_of(scheme, step, name, wanted, act, **more):
    named = more.get("named", step == "auth")
    return Case(f"{scheme}-{step}-{name}", wanted, {step: act}, scheme=scheme, **dict(more, named=named))


def anywhere_cases():
    """Ends, silence and other protocols at each step; a proxy whose every byte is its last."""
    for scheme in SCHEMES:
        for step in steps(scheme, True):
            for name, act in {"fin": fin, "rst": rst}.items():
                yield case_of(scheme, step, name, PROXY, act, connections=1)
            for name, act in MUTE.items():
                yield case_of(scheme, step, name, SLOW, act, connections=1)
            for name, act in CHATTER.items():
                if (FAMILY[scheme], name) != ("http", "http"):
                    yield case_of(scheme, step, name, PROXY, act, connections=1)
            yield case_of(scheme, step, "late", None, late(0.2))


def cut_cases():
    for scheme in ("socks4a", "socks5h", "http"):
        usual = {"method": "\5\2", "auth": "\1\0", "connect": GRANTED[FAMILY[scheme]]}
        for step in steps(scheme, True):
            for length in range(0, len(usual[step]), 3 if scheme == "http" and not FULL else 1):
                yield case_of(scheme, step, f"cut-{length}", PROXY, after(usual[step][:length], fin), named=FAMILY[scheme] == "socks5", connections=1)


def socks4_cases():
    for scheme in ("socks4", "socks4a") if FULL else ("socks4",):
        for code in (0, 89, 91, 92, 93, 94, 255):
            yield case_of(scheme, "connect", f"code-{code}", PROXY, both(f"\0{chr(code)}" + "\0" * 6, silent), connections=1)
        yield case_of(scheme, "connect", "version", PROXY, both("\4\x5a" + "\0" * 6, silent), connections=1)
        yield case_of(scheme, "connect", "port-and-address", None, "\0\x5a\x12\x34\x7f\0\0\1")
    yield case_of("socks4", "connect", "user", None, late(0), extra={"proxy_username": "ann"})


def socks5_cases():
    for scheme in ("socks5", "socks5h") if FULL else ("socks5",):
        for name, reply in {"version": "\4\0", "none": "\5\xff", "gssapi": "\5\1", "unknown": "\5\x80", "not-offered": "\5\2"}.items():
            yield case_of(scheme, "method", name, PROXY, both(reply, silent), connections=1)
        for name, reply in {"refused": "\1\1", "version": "\5\0", "odd": "\1\xff"}.items():
            yield case_of(scheme, "auth", name, PROXY, both(reply, silent), connections=1)
        for code in (1, 2, 3, 4, 5, 6, 7, 8, 9, 255):
            yield case_of(scheme, "connect", f"code-{code}", PROXY, both(f"\5{chr(code)}\0\1" + "\0" * 6, silent), connections=1)
        yield case_of(scheme, "connect", "version", PROXY, both("\4\0\0\1" + "\0" * 6, silent), connections=1)
        for kind in (0, 2, 5, 255):
            yield case_of(scheme, "connect", f"type-{kind}", PROXY, both(f"\5\0\0{chr(kind)}" + "\0" * 6, silent), connections=1)
        yield case_of(scheme, "connect", "ipv6", None, "\5\0\0\4" + "\0" * 18)
        yield case_of(scheme, "connect", "name", None, "\5\0\0\3\xff" + "n" * 257)
        yield case_of(scheme, "connect", "empty-name", None, "\5\0\0\3\0\0\0")
        yield case_of(scheme, "connect", "long-name-cut", PROXY, after("\5\0\0\3\xff" + "n" * 200, fin), connections=1)
        yield case_of(scheme, "connect", "long-name-never", SLOW, both("\5\0\0\3\xff" + "n" * 200, silent), connections=1)
        yield case_of(scheme, "connect", "refused-early", PROXY, both("\5\2\0\1", silent), connections=1)


def answer(status, *fields, body=""):
    return f"HTTP/1.1 {status}\r\n" + "".join(f"{field}\r\n" for field in fields) + "\r\n" + body


def one_request(case, _):
    return None if len(case.server.asked) <= 2 else f"{len(case.server.asked)} requests"


DIGEST = 'Proxy-Authenticate: Digest realm="x", nonce="y", algorithm=SHA-256, qop="auth"'


def no_password(case, answer):
    """Digest was offered beside Basic."""
    said = case.server.clear
    if base64.b64encode(f"ann:{PASSWORD}".encode()) in said or PASSWORD.encode() in said:
        return "the password went out"
    return one_request(case, answer) or (None if (b"Proxy-Authorization: Digest username=" in said) == bool(case.option("named")) else "no Digest")


def http_cases():
    asks = "Proxy-Authenticate: Basic realm=x"
    refused = {
        "401": answer("401 Unauthorized", "WWW-Authenticate: Basic realm=x"), "403": answer("403 Forbidden"), "404": answer("404 Not Found"),
        "500": answer("500 Oops", "Content-Length: 5", body="hello"), "502": answer("502 Bad Gateway", "Transfer-Encoding: chunked", body="5\r\nhello\r\n0\r\n\r\n"),
        "503": answer("503 Busy", "Retry-After: 1"), "999": answer("999 What"), "000": answer("000 What"), "101": answer("101 Switching", "Upgrade: x"),
        "300": answer("300 Choices"), "304": answer("304 Not Modified"), "short-code": "HTTP/1.1 20 yes\r\n\r\n", "long-code": "HTTP/1.1 2000 yes\r\n\r\n",
        "signed-code": "HTTP/1.1 +20 yes\r\n\r\n", "no-code": "HTTP/1.1\r\n\r\n", "http2": "HTTP/2 200 yes\r\n\r\n", "http0": "HTTP/0.9 200 yes\r\n\r\n",
        "nothttp": "ICY 200 OK\r\n\r\n", "nul": "HTTP/1.1\x00200 yes\r\n\r\n", "empty-line": "\r\n\r\n", "digits": "HTTP/1.1 " + "2" * 5000 + "\r\n\r\n",
    }
    for scheme in ("http", "https") if FULL else ("http",):
        for name, reply in refused.items():
            yield case_of(scheme, "connect", name, PROXY, both(reply, silent), connections=1)
        for name in ("endless-line", "endless-header", "endless-field", "endless-nothing"):
            act = {"endless-line": endless_line, "endless-header": after("HTTP/1.1 200 yes\r\n", endless("X-More: of it\r\n")),
                   "endless-field": after("HTTP/1.1 200 yes\r\nX: ", endless("x")), "endless-nothing": endless("\r\r\r\r")}[name]
            yield case_of(scheme, "connect", name, PROXY, act, connections=1)
        for named in (False, True):
            login = "named" if named else "nameless"
            answered = None if named and scheme == "http" else PROXY        # an https proxy has seen the name already, unasked
            yield case_of(scheme, "connect", f"407-{login}", answered, answer("407 Who", asks, "Content-Length: 0"), named=named, check=one_request)
            yield case_of(scheme, "connect", f"407-again-{login}", PROXY, answer("407 Who", asks, "Content-Length: 0"), named=named, check=one_request,
                          always={"again": answer("407 Who", asks, "Content-Length: 0")})
            yield case_of(scheme, "connect", f"407-unknown-{login}", PROXY, answer("407 Who", "Proxy-Authenticate: Negotiate"), named=named, check=one_request)
            yield case_of(scheme, "connect", f"407-digest-{login}", None if named else PROXY, answer("407 Who", DIGEST, asks, "Content-Length: 0"), named=named,
                          check=one_request if scheme == "https" else no_password)
            yield case_of(scheme, "connect", f"407-fin-{login}", answered, after(answer("407 Who", asks), fin), named=named)
            yield case_of(scheme, "connect", f"407-body-{login}", answered, after(answer("407 Who", asks, "Content-Length: 99999999"), endless("<html>")), named=named)
        yield case_of(scheme, "connect", "endless-100", PROXY, endless(answer("100 Continue")), connections=1)
        for name, reply in {"204": answer("204 yes"), "100": answer("100 Continue", "X: y") + answer("103 Early Hints") + answer("200 yes"), "no-reason": "HTTP/1.1 200\r\n\r\n", "http10": "HTTP/1.0 200 yes\r\n\r\n", "lf": "HTTP/1.1 200 yes\nX: y\n\n",
                            "length": answer("200 yes", "Content-Length: 100"), "chunked": answer("200 yes", "Transfer-Encoding: chunked"),
                            "close": answer("200 yes", "Connection: close"), "full": answer("200 yes", "X: " + "x" * (HEADER_MAX - 30)),
                            "folded": answer("200 yes", "X: y", " z"), "eight-bits": answer("200 \xe9\xff", "X\xff: \x00")}.items():
            yield case_of(scheme, "connect", name, None, reply)
        yield case_of(scheme, "connect", "too-full", PROXY, both(answer("200 yes", "X: " + "x" * HEADER_MAX), silent), connections=1)
    for name in ("expired", "wrong_name", "self_signed", "not_for_servers"):
        yield case_of("https", "handshake", name.replace("_", "-"), CERTIFICATE, None, certificate=name, hopeless=True)
    for name, act in {"fin": fin, "rst": rst}.items():
        yield case_of("https", "handshake", name, PROXY, act, either=[PROXY, CERTIFICATE])      # with what was said unread it is a reset
    for name, act in {"clear": both(answer("200 yes"), silent), "garbage": both(garbage, silent)}.items():
        yield case_of("https", "handshake", name, CERTIFICATE, act)
    yield case_of("https", "handshake", "silent", SLOW, silent)


def tunnel_cases():
    """What is glued to the proxy's yes is the tunnel's: no part of what a server says behind its TLS."""
    for scheme in FAMILY:
        yield case_of(scheme, "connect", "glued", ("tls", "tls", "none", "no"), then(FORGED))
        # Before TLS it may pass for a greeting, and the greeting for a list's first line: nothing of it is believed behind the handshake.
        yield case_of(scheme, "connect", "glued-stls", None, then(FORGED), stls=True, either=[None, ("protocol", "greeting", "none", "later")])
        yield case_of(scheme, "connect", "fin-behind", ("tls", "tls", "none", "no"), both(late(0), fin))
        yield case_of(scheme, "connect", "silent-behind", ("timeout", "tls", "none", "later"), both(late(0), silent))
        if scheme not in ("socks4", "socks5"):
            yield case_of(scheme, "connect", "unknown-name", None, late(0), plain=True, host="mail.invalid")


SERVERS = {}


def server_of(flow, case):
    """The one behind the tunnels of all such cases."""
    how = "plain" if case.option("plain") else "stls" if case.option("stls") else "tls"
    if how not in SERVERS:
        SERVERS[how] = FakePop3(certificate=None if how == "plain" else flow.mail.certificates["good"], implicit=how == "tls")
    return SERVERS[how]


def make(flow, case):
    certificate = flow.mail.certificates[case.option("certificate", "good")]
    server = FakeProxy(case.options["scheme"], server_of(flow, case).port, *case.scripts, always=case.option("always"), named=case.option("named"),
                       certificate=certificate)
    plain = case.option("plain", False)
    case.options.update(login=True, plain_auth=plain, tls=not plain, implicit=not plain and not case.option("stls"), host=case.option("host", "localhost"))
    case.options["keys"] = dict(server.keys(case.options["host"], flow), family="ipv4", **case.option("extra", {}))
    return server


def call(client, account, case):
    result = client.call("pop3.stat", account=account)
    name, port = case.server.asked[0]
    host = case.options["host"].encode()
    same((name, port), (b"\x7f\0\0\1" if case.options["scheme"] in ("socks4", "socks5") else host, case.server.target), "what was asked for")
    return result


def call_again(client, account, _):
    same(client.call("pop3.stat", account=account)["count"], 3)


def run(flow, cases):
    try:
        matrix.run(flow, "pop3", list(cases), make, call, call_again, environment={"SSL_CERT_FILE": flow.mail.ca_file})
    finally:
        while SERVERS:
            SERVERS.popitem()[1].close()


def test_anywhere(flow):
    """A proxy that ends, keeps still, drips, or speaks another protocol at any step"""
    run(flow, anywhere_cases())


def test_cut(flow):
    """One that is cut behind each byte of what it says"""
    run(flow, cut_cases())


def test_socks(flow):
    """SOCKS refusals, versions, methods and address types, right and wrong"""
    run(flow, [*socks4_cases(), *socks5_cases()])


def test_http(flow):
    """HTTP statuses, headers without end, logins asked for again and again, bodies, and an https proxy's handshake"""
    run(flow, http_cases())


def test_tunnel(flow):
    """Bytes behind a proxy's yes belong to the tunnel; names that the proxy looks up are looked up by nobody else"""
    run(flow, tunnel_cases())
