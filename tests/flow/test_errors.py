# SPDX-License-Identifier: MIT
"""What can go wrong with a server: each the right kind, stage and outcome, and the next good call works."""

import time

from harness import Flow, same, slow

MESSAGE = {"from": "ann@example.com", "to": "x@sink.example.com", "text": "hello"}
PROTOCOLS = {"smtp": ("smtp.send", {"message": MESSAGE}), "imap": ("imap.list", {}), "pop3": ("pop3.list", {})}


def everywhere(**keys):
    return {protocol: dict(keys) for protocol in PROTOCOLS}


ACCOUNTS = {
    "wrong-password": {"auth": {"password": "wrong"}},
    "closed": everywhere(port=lambda flow: flow.closed_port),
    "closed-too": everywhere(port=lambda flow: flow.closed_port),
    "no-such-host": everywhere(host="no-such-host.invalid"),
    "unknown-mechanism": {"auth": {"method": "EXTERNAL"}},
    "quiet": everywhere(port=Flow.silent_port, connect_timeout="500ms"),
    "no-tls": everywhere(port=lambda flow: flow.mail.ports["smtp"]),
    "not-verified": everywhere(host="127.0.0.2", verify_peer="no", verify_host="no"),
    "named": everywhere(host="127.0.0.2", verify_name="mail.elsewhere.example"),
    "unknown-ca": everywhere(ca_file=lambda flow: flow.mail.certificates["self_signed"]["certificate"]),
}
BAD_CERTIFICATES = {"wrong-name": "127.0.0.2", "expired": "127.0.0.3", "self-signed": "127.0.0.4", "not-for-servers": "127.0.0.5"}
ACCOUNTS.update({name: everywhere(host=address) for name, address in BAD_CERTIFICATES.items()})


def failing(flow, account, kind, stages, outcome="none", protocols=PROTOCOLS):
    client = flow.client()
    for protocol in protocols:
        method, params = PROTOCOLS[protocol]
        error = client.fails(kind, method, account=account, **params)
        assert error.data.get("stage") in stages, f"{method}: stage {error.data.get('stage')}"
        same((error.data.get("protocol"), error.data.get("account"), error.data.get("outcome")), (protocol, account, outcome), method)
        assert error.message and account + "-secret" not in str(error.error)
        yield error
    good = flow.client()
    for method, params in PROTOCOLS.values():
        good.call(method, account="dave", **params)


def test_wrong_password(flow):
    """A wrong password is auth, with the server's reply, and is not tried again and again"""
    for error in failing(flow, "wrong-password", "auth", {"auth"}):
        assert error.data["reply"], error.data
        assert "wrong" not in str(error.data["reply"]), error.data
    mark = flow.mail.log_sizes()
    client = flow.client()
    for _ in range(5):
        client.fails("auth", "imap.list", account="wrong-password")
    same(flow.mail.log_text("dovecot", mark["dovecot"]).count("imap-login"), 0, "log-ins after a refusal")


def test_bad_certificates(flow):
    """A wrong name, an expired, a self-signed and a client's certificate are tls, and no credential goes out"""
    for account in BAD_CERTIFICATES:
        mark = flow.mail.log_sizes()
        for error in failing(flow, account, "tls", {"tls"}):
            assert len(error.message) > 10, error.message
        for protocol in ("imap", "pop3"):
            same(flow.mail.connections(protocol + "s", mark, user="u9999"), 0)


def test_certificate_by_unknown(flow):
    """A certificate of an authority that the account does not trust is tls"""
    list(failing(flow, "unknown-ca", "tls", {"tls"}))


def test_certificate_choices(flow):
    """Verification can be turned off by name, or look for another name"""
    client = flow.client()
    for account in ("not-verified", "named"):
        for method, params in PROTOCOLS.values():
            client.call(method, account=account, **params)


def test_closed_port(flow):
    """A closed port is connect, at once"""
    began = time.monotonic()
    for error in failing(flow, "closed", "connect", {"connect"}):
        assert "refused" in error.message.lower(), error.message
        assert error.data["retry"] in ("later", "now"), error.data
    # those who go to the same place by another account hear the same reason while it is left alone
    for error in failing(flow, "closed-too", "connect", {"connect"}):
        assert "refused" in error.message.lower(), error.message
    assert time.monotonic() - began < 5 * slow()


def test_unknown_host(flow):
    """A name that does not exist is connect, stage dns"""
    list(failing(flow, "no-such-host", "connect", {"dns"}))


def test_silence(flow):
    """A server that says nothing ends with timeout"""
    for error in failing(flow, "quiet", "timeout", {"tls", "greeting", "connect"}):
        assert error.data["retry"] in ("later", "now"), error.data


def test_not_tls(flow):
    """A server that speaks in clear where TLS is expected is tls"""
    list(failing(flow, "no-tls", "tls", {"tls"}))


def test_mechanism(flow):
    """A mechanism that the server does not offer is unsupported_mechanism"""
    list(failing(flow, "unknown-mechanism", "unsupported_mechanism", {"auth"}))


def test_unknown_account(flow):
    """An account that does not exist is no_such_account"""
    client = flow.client()
    for name in ("nobody", "../ann", "a" * 64, "Ann"):
        for method, params in PROTOCOLS.values():
            error = client.fails("no_such_account", method, account=name, **params)
            same(error.data.get("outcome"), "none")
    client.call("imap.list", account="ann")


def test_connection_tests(flow):
    """account.test and smtp.test_connection say what is wrong as a result"""
    client = flow.client()
    same(client.call("smtp.test_connection", account="ann")["ok"], True)
    result = client.call("smtp.test_connection", account="closed")
    same((result["ok"], result["error"]["data"]["kind"]), (False, "connect"))


def test_backoff(flow):
    """After failures waiting callers get the last reason fast, and others are not held up"""
    client = flow.client()
    for _ in range(20):
        began = time.monotonic()
        error = client.fails("connect", "imap.list", account="closed")
        assert time.monotonic() - began < 3 * slow()
    same(error.data["stage"], "connect")
    began = time.monotonic()
    client.call("imap.list", account="ann")
    assert time.monotonic() - began < 5 * slow()


def test_no_secrets(flow):
    """No password stands in the daemon's log, arguments or environment"""
    log = flow.daemon.log_text()
    for user, word in flow.mail.users.items():
        assert word not in log, f"the password of {user} is in the log"
    with open(f"/proc/{flow.daemon.process.pid}/environ", "rb") as environ, open(f"/proc/{flow.daemon.process.pid}/cmdline", "rb") as line:
        assert b"-secret" not in environ.read() + line.read()
