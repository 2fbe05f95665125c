# SPDX-License-Identifier: MIT
"""What an envelope may ask of a server: reports, TLS all the way, delivery in time, priority; and why a token is refused."""

import base64
import json

import fake_mail
from harness import INVALID_PARAMS, same

WISHES = ("DSN", "DELIVERBY 240", "MT-PRIORITY MIXER", "SIZE")
LETTER = {"raw": "From: ann@example.com\nSubject: x\n\nx\n"}


def served(flow, *scripts, secret=None, **server):
    fake = fake_mail.FakeSmtp(*scripts, **server)
    flow.cleanups.append(fake.close)
    changes = fake.account(allow_plaintext_auth="yes")
    if secret:
        changes["auth"] = dict({"username": "ann", "password": None}, **secret)
    if fake.certificate:
        changes["smtp"].update(tls="all", host="localhost", implicit_tls="no")
    daemon = flow.own_daemon({"fake": flow.account("ann", **changes)})
    daemon.__enter__()
    flow.cleanups.append(lambda: daemon.__exit__(None))
    client = daemon.client()
    flow.cleanups.append(client.close)
    return fake, client


def said(fake, verb):
    return [line for line in fake.lines if line.upper().startswith(verb)]


def test_send(flow):
    """smtp.send: NOTIFY, RET, ENVID and each recipient's ORCPT, BY and MT-PRIORITY; orcpt of nobody is a mistake"""
    fake, client = served(flow, capabilities=WISHES, mechanisms="")
    envelope = {"from": "ann@example.com", "to": ["b@example.com", "c@example.com"], "notify": ["success", "delay"], "ret": "hdrs", "envid": "a+b",
                "orcpt": {"c@example.com": "rfc822;old+c@example.org"}, "deliver_by": 60, "deliver_by_mode": "notify", "mt_priority": -3}
    client.call("smtp.send", account="fake", envelope=envelope, **LETTER)
    same(said(fake, "RCPT"), ["RCPT TO:<b@example.com> NOTIFY=SUCCESS,DELAY",
                              "RCPT TO:<c@example.com> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;old+2Bc@example.org"])
    line = said(fake, "MAIL")[0]
    for part in (" RET=HDRS", " ENVID=a+2Bb", " BY=60;N", " MT-PRIORITY=-3"):
        assert part in line, line
    for orcpt in ({"d@example.com": "rfc822;d@example.com"}, {"b@example.com": "no type"}, {"b@example.com": ["rfc822;x"]}, {"b@example.com": "rfc822;a\nb"}, []):
        client.fails(INVALID_PARAMS, "smtp.send", account="fake", envelope=dict(envelope, orcpt=orcpt), **LETTER)
    client.fails("missing_extension", "smtp.send", account="fake", envelope=dict(envelope, requiretls=True), **LETTER)
    same(len(fake.bodies), 1)


def test_steps(flow):
    """smtp.mail and smtp.rcpt take the same; what the server does not offer is missing_extension, and says which"""
    fake, client = served(flow, capabilities=WISHES, mechanisms="")
    session = client.call("smtp.open", account="fake")["session"]
    client.call("smtp.mail", session=session, ret="full", envid="e", deliver_by=120, mt_priority=9, **{"from": "ann@example.com"})
    client.call("smtp.rcpt", session=session, to="b@example.com", notify=["never"], orcpt="rfc822;a@example.com")
    same(said(fake, "RCPT"), ["RCPT TO:<b@example.com> NOTIFY=NEVER ORCPT=rfc822;a@example.com"])
    same(said(fake, "MAIL"), ["MAIL FROM:<ann@example.com> RET=FULL ENVID=e BY=120;R MT-PRIORITY=9"])
    client.call("smtp.quit", session=session)
    fake, client = served(flow, capabilities=(), mechanisms="")
    session = client.call("smtp.open", account="fake")["session"]
    for wish, name in (({"deliver_by": 120}, "DELIVERBY"), ({"mt_priority": 1}, "MT-PRIORITY"), ({"ret": "full"}, "DSN"), ({"requiretls": True}, "REQUIRETLS"),
                       ({"smtputf8": True}, "SMTPUTF8")):
        error = client.fails("missing_extension", "smtp.mail", session=session, **{"from": "ann@example.com"}, **wish)
        assert name in error.message, error.message
    for wish in ({"deliver_by": 0}, {"mt_priority": 10}, {"deliver_by_mode": "never"}):
        client.fails(INVALID_PARAMS, "smtp.mail", session=session, **{"from": "ann@example.com"}, **wish)
    client.call("smtp.quit", session=session)


def test_requiretls(flow):
    """REQUIRETLS goes out over TLS only"""
    fake, client = served(flow, capabilities=("REQUIRETLS",), mechanisms="")
    envelope = {"from": "ann@example.com", "to": ["b@example.com"], "requiretls": True}
    client.fails("tls", "smtp.send", account="fake", envelope=envelope, **LETTER)
    same(said(fake, "MAIL"), [])
    fake, client = served(flow, capabilities=("REQUIRETLS",), mechanisms="", certificate=flow.mail.certificates["good"])
    client.call("smtp.send", account="fake", envelope=envelope, **LETTER)
    same(said(fake, "MAIL"), ["MAIL FROM:<ann@example.com> REQUIRETLS"])


def test_refused_token(flow):
    """Why a token is refused comes before the refusal, and is told with it: by the pool, and where the caller leads the dialogue"""
    why = base64.b64encode(json.dumps({"status": "401", "schemes": "bearer"}).encode()).decode()
    for mechanism in ("XOAUTH2", "OAUTHBEARER"):
        script = {"auth": fake_mail.after(f"334 {why}\r\n", lambda wire, usual: (wire.line(), wire.send("535 5.7.8 no\r\n")))}
        fake, client = served(flow, script, mechanisms=mechanism, secret={"token": "abc", "method": mechanism.lower()})
        error = client.fails("auth", "smtp.send", account="fake", envelope={"from": "ann@example.com", "to": ["b@example.com"]}, **LETTER)
        assert '401' in error.message and error.data["reply"]["code"] == 535, error
        script = {"auth": fake_mail.after(f"334 {why}\r\n", lambda wire, usual: wire.line() and None or wire.send("535 5.7.8 no\r\n"))}
        fake, client = served(flow, script, mechanisms=mechanism)
        session = client.call("smtp.open", account="fake", login=False)["session"]
        same(client.call("smtp.authenticate", session=session, mechanism=mechanism, secret="YQ==")["lines"], [why])
        error = client.fails("auth", "smtp.send_authentication_data", session=session, data="")
        assert '401' in error.message and 'bearer' in error.message, error.message
        same(client.call("smtp.state", session=session)["state"], "ready")


def test_unfit_data(flow):
    """smtp.data keeps back what the server would spoil or refuse; the envelope stays"""
    fake, client = served(flow, capabilities=("SIZE 2000",), mechanisms="")
    session = client.call("smtp.open", account="fake")["session"]
    client.call("smtp.mail", session=session, **{"from": "ann@example.com"})
    client.call("smtp.rcpt", session=session, to="b@example.com")
    head = "From: ann@example.com\nSubject: x\n"
    for raw, kind in ((head + "\nGr\u00fc\u00dfe\n", "bad_message"), (head + "\n" + "x" * 999 + "\n", "bad_message"), (head + "\n" + "x\n" * 1000, "bad_message"),
                      (head + "X-Y: \u00fc\n\nx\n", "missing_extension"), ("", "bad_message")):
        client.fails(kind, "smtp.data", session=session, raw=raw)
    same(client.call("smtp.state", session=session)["state"], "recipient_sent")
    client.call("smtp.data", session=session, raw=head + "\nx\n")
    same((len(fake.bodies), said(fake, "DATA")), (1, ["DATA"]))
    client.call("smtp.quit", session=session)
