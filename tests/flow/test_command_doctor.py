# SPDX-License-Identifier: MIT
"""postern doctor: every step of a connection that works, and the cause in plain words where one does not."""

import json

from fake_mail import FakeSmtp
from harness import Flow, same
from test_command import postern


def everywhere(**keys):
    return {protocol: dict(keys) for protocol in ("smtp", "imap", "pop3")}


def port(**names):
    """The port of another of the servers' listeners, for each protocol."""
    return {protocol: {"port": lambda flow, name=name: flow.mail.ports[name]} for protocol, name in names.items()}


def upgrade(changes):
    """STARTTLS instead of TLS at once."""
    for keys in changes.values():
        keys["implicit_tls"] = "no"
    return changes


def refusing(reply, step="auth"):
    """A server whose answer to the password is that one."""
    server = []

    def the_port(flow):
        if not server:
            server.append(FakeSmtp(always={step: reply + "\r\n"}, certificate=flow.mail.certificates["good"], implicit=True))
        return server[0].port
    return {"smtp": {"port": the_port}}


ACCOUNTS = {
    "doc-password": {"auth": {"password": "wrong"}},
    "doc-closed": everywhere(port=lambda flow: flow.closed_port),
    "doc-silent": everywhere(port=Flow.silent_port, connect_timeout="600ms"),
    "doc-starttls-port": port(smtp="submission", imap="imap", pop3="pop3"),
    "doc-tls-port": upgrade(port(smtp="smtps", imap="imaps", pop3="pop3s")),
    "doc-expired": everywhere(host="127.0.0.3"),
    "doc-name": everywhere(host="127.0.0.2"),
    "doc-self-signed": everywhere(host="127.0.0.4"),
    "doc-name-service": everywhere(host="no-such-host.invalid"),
    "doc-app-password": refusing("535 5.7.9 Application-specific password required"),
    "doc-oauth": refusing("535 5.7.139 Authentication unsuccessful, basic authentication is disabled."),
    "doc-too-many": refusing("421 4.7.0 Too many concurrent connections from this address", "greeting"),
}
for changes in ("doc-tls-port",):
    for keys in ACCOUNTS[changes].values():
        keys["connect_timeout"] = "2s"


def causes(flow, account):
    """The causes that doctor finds, by protocol."""
    text = postern(flow, "doctor", account, terminal=True, status=69)[0].replace("\r", "")
    found, protocol = {}, None
    for line in text.splitlines():
        if line.startswith(account + ": "):
            protocol = line.split()[1]
        if line.startswith("  cause    "):
            found[protocol] = line[11:]
    return found, text


def test_doctor_finds_nothing(flow):
    """An account that works: each step with its time, TLS, the certificate, what the server offers"""
    text = postern(flow, "doctor", "ann", terminal=True)[0].replace("\r", "")
    same([line.split()[1] for line in text.splitlines() if line.startswith("  \x1b[32mok") or line.startswith("  ok")],
         ["look-up", "connect", "tls", "greeting", "login"] * 3)
    assert "TLSv1.3" in text and "certificate" in text and "PIPELINING" in text and "IDLE" in text and "UIDL" in text, text
    assert "3 of 3 work" in text and "cause" not in text, text
    found = json.loads(postern(flow, "doctor", "ann")[0])
    for protocol in ("smtp", "imap", "pop3"):
        one = found[protocol]
        same((one["ok"], one["tls"], one["tls_version"], one["implicit_tls"]), (True, True, "TLSv1.3", True))
        assert len(one["certificate"]["fingerprint"]) == 64 and "localhost" in one["certificate"]["names"], one
        assert one["address"].startswith("127.0.0.1:") and one["times"]["login"] <= one["time"], one
        assert one["times"]["lookup"] <= one["times"]["connect"] and one["times"]["greeting"] <= one["times"]["login"], one
    same(json.loads(postern(flow, "doctor", "--json", "-a", "ann", terminal=True)[0])["account"], "ann")
    postern(flow, "doctor", "nobody", status=67)


def test_doctor_without_a_route(flow):
    """Where no way leads to the server, that is the cause"""
    daemon = flow.own_daemon({"far": {"account": {"allow": "user:root"}, "auth": {"username": "x", "password": "x"},
                                      "smtp": {"host": "192.0.2.1"}, "imap": {"host": "2001:db8::1"}}})
    plain = daemon.command
    # a network of its own, in which there is nothing but an idle loopback
    daemon.command = lambda *more: ["unshare", "--net", *plain(*more)]
    with daemon:
        text = postern(flow, "--socket", daemon.socket_path, "doctor", "far", terminal=True, status=69)[0].replace("\r", "")
    same(text.count("cause    there is no way from here to"), 2, text)


WANTED = {
    "doc-password": ["refuses user name or password"] * 3,
    "doc-closed": ["nothing listens on port"] * 3,
    "doc-silent": ["silent|does not answer"] * 3,
    "doc-starttls-port": ["a port for STARTTLS"] * 3,
    "doc-tls-port": ["seems to want TLS at once"] * 3,
    "doc-expired": ["certificate has expired"] * 3,
    "doc-name": ["certificate is for another name"] * 3,
    "doc-self-signed": ["nobody whom this machine trusts"] * 3,
    "doc-name-service": ["name"] * 3,
    "doc-app-password": ["wants an app password"],
    "doc-oauth": ["wants OAuth2"],
    "doc-too-many": ["enough connections"],
}


def test_doctor_finds_the_cause(flow):
    """Wrong password, port, kind of TLS, certificate, name; a provider's limit, app passwords, OAuth2"""
    missed = []
    for account, wanted in WANTED.items():
        found, text = causes(flow, account)
        for protocol, words in zip(("smtp", "imap", "pop3"), wanted):
            if not any(word in found.get(protocol, "") for word in words.split("|")):
                missed.append(f"{account} {protocol}: wanted '{words}', got {found.get(protocol)!r}\n{text}")
        assert account + "-secret" not in text
    assert not missed, "\n".join(missed)
