# SPDX-License-Identifier: MIT
"""smtp.* step by step in sessions, against a real server."""

import base64
import json

from fake_mail import FakeSmtp
from harness import INVALID_PARAMS, same, text_of

ACCOUNTS = {
    "step-clear": {"smtp": {"port": lambda flow: flow.mail.ports["submission"], "implicit_tls": "no", "tls": "none", "pool_size": 4}},
    "stepper": {"smtp": {"pool_size": 4}},
    "step-narrow": {"account": {"senders": "ann@example.com"}, "smtp": {"pool_size": 4}},
}


def in_state(client, session, wanted):
    same(client.call("smtp.state", session=session)["state"], wanted)


def out_of_place(client, state, method, **params):
    """The call does not belong here, and says so."""
    error = client.fails(INVALID_PARAMS, method, **params)
    assert state in error.message, error.message


def test_envelope(flow):
    """Mail, recipients and message one by one; the states are told and kept to"""
    user, client = flow.user(), flow.client()
    address = flow.mail.address(user)
    session = client.call("smtp.open", account="stepper")["session"]
    in_state(client, session, "ready")
    out_of_place(client, "ready", "smtp.rcpt", session=session, to=address)
    same(client.call("smtp.mail", session=session, **{"from": "ann@example.com"}, size=100)["code"], 250)
    in_state(client, session, "mailtx")
    out_of_place(client, "mailtx", "smtp.start_data", session=session)
    out_of_place(client, "mailtx", "smtp.send", session=session, raw="Subject: x\n\nx\n", envelope={"from": "ann@example.com", "to": [address]})
    error = client.fails("rejected", "smtp.rcpt", session=session, to="nobody-here@example.com")
    same((error.data["stage"], error.data["reply"]["code"] // 100, error.data["outcome"]), ("rcpt", 5, "none"))
    answer = client.call("smtp.recipient", session=session, to=address, notify=["never"])
    same((answer["code"], answer["enhanced"], len(answer["lines"])), (250, "2.1.5", 1))
    in_state(client, session, "recipient_sent")
    same(client.call("smtp.start_data", session=session)["code"], 354)
    in_state(client, session, "send_data")
    out_of_place(client, "send_data", "smtp.noop", session=session)
    same(client.call("smtp.data", session=session, raw="Subject: by steps\n\n.dot\nend")["code"], 250)
    in_state(client, session, "ready")
    client.call("smtp.quit", session=session)
    client.fails("no_such_session", "smtp.noop", session=session)
    flow.arrived(user)
    mail = client.call("imap.fetch", account=user, uids="1:*", items=["BODY.PEEK[TEXT]"])["messages"][0]
    same(text_of(mail["sections"]["BODY[TEXT]"]), b".dot\r\nend\r\n")


def test_data_alone(flow):
    """smtp.data says DATA where it was not said, and rset forgets an envelope"""
    user, client = flow.user(), flow.client()
    session = client.call("smtp.open", account="stepper")["session"]
    client.call("smtp.mail", session=session, **{"from": "ann@example.com"})
    client.call("smtp.rset", session=session)
    in_state(client, session, "ready")
    client.call("smtp.mail", session=session, **{"from": "ann@example.com"})
    client.call("smtp.rcpt", session=session, to=flow.mail.address(user))
    same(client.call("smtp.data", session=session, raw="Subject: short cut\n\nx\n")["code"], 250)
    flow.arrived(user)
    client.call("smtp.quit", session=session)


def test_questions(flow):
    """Noop, vrfy, expn, help, docmd, greetings, and what is known of the server"""
    client = flow.client()
    session = client.call("smtp.open", account="stepper")["session"]
    same(client.call("smtp.noop", session=session)["code"], 250)
    same(client.call("smtp.vrfy", session=session, address="ann@example.com")["code"], 252)
    for method, params in (("smtp.expn", {"address": "staff"}), ("smtp.help", {}), ("smtp.docmd", {"command": "XYZZY"})):
        same(client.fails("rejected", method, session=session, **params).data["reply"]["code"] // 100, 5, method)
    same(client.call("smtp.send_command", session=session, command="NOOP")["code"], 250)
    for command in ("STARTTLS", "auth PLAIN", "BDAT 1 LAST", "QUIT"):
        client.fails(INVALID_PARAMS, "smtp.docmd", session=session, command=command)
    assert "PIPELINING" in client.call("smtp.ehlo", session=session)["lines"]
    same(client.call("smtp.has_extn", session=session, name="pipelining"), {"present": True, "params": ""})
    same(client.call("smtp.has_extn", session=session, name="XNONE"), {"present": False, "params": None})
    assert client.call("smtp.max_message_size", session=session)["size"] > 0
    assert "PLAIN" in client.call("smtp.auth_mechanisms", session=session)["mechanisms"]
    same(client.call("smtp.connect", session=session)["code"], 220)
    client.fails(INVALID_PARAMS, "smtp.connect", session=session, host="elsewhere.example.com")
    same(client.call("smtp.helo", session=session, domain="me.example")["code"], 250)
    same(client.call("smtp.has_extn", session=session, name="PIPELINING")["present"], False)
    same(client.call("smtp.send_greeting", session=session, domain="me.example")["code"], 250)
    client.call("smtp.quit", session=session)


def test_login(flow):
    """A session without login: refused, logged in, and the same led by the caller"""
    client, secret = flow.client(), flow.mail.users["ann"]
    session = client.call("smtp.open", account="stepper", login=False)["session"]
    in_state(client, session, "ready")
    client.fails("auth", "smtp.login", session=session, username="ann", password="wrong")
    in_state(client, session, "ready")
    same(client.call("smtp.login", session=session, username="ann", password=secret)["code"], 235)
    in_state(client, session, "authenticated")
    client.fails(INVALID_PARAMS, "smtp.login", session=session, username="ann", password=secret)
    client.call("smtp.quit", session=session)
    session = client.call("smtp.open", account="stepper", login=False)["session"]
    same(client.call("smtp.authenticate", session=session, mechanism="LOGIN")["code"], 334)
    in_state(client, session, "authenticating")
    out_of_place(client, "authenticating", "smtp.noop", session=session)
    for text, code in (("ann", 334), (secret, 235)):
        data = base64.b64encode(text.encode()).decode()
        same(client.call("smtp.send_authentication_data", session=session, data=data)["code"], code)
    in_state(client, session, "authenticated")
    client.call("smtp.quit", session=session)
    session = client.call("smtp.open", account="stepper", login=False)["session"]
    initial = base64.b64encode(f"\0ann\0{secret}".encode()).decode()
    same(client.call("smtp.authenticate", session=session, mechanism="PLAIN", secret=initial)["code"], 235)
    client.fails(INVALID_PARAMS, "smtp.authenticate", session=session, mechanism="PLAIN")
    client.call("smtp.quit", session=session)


def test_starttls(flow):
    """TLS in the middle of a session; before it no credential goes out"""
    client, secret = flow.client(), flow.mail.users["ann"]
    session = client.call("smtp.open", account="step-clear", login=False)["session"]
    client.fails(INVALID_PARAMS, "smtp.send_authentication_data", session=session, data="YQ==")
    same(client.call("smtp.starttls", session=session)["code"], 220)
    in_state(client, session, "ready")
    client.fails(INVALID_PARAMS, "smtp.start_tls", session=session)
    same(client.call("smtp.login", session=session, username="ann", password=secret)["code"], 235)
    same(client.call("smtp.noop", session=session)["code"], 250)
    client.call("smtp.quit", session=session)


def test_senders(flow):
    """The account's senders hold for single steps too: for the envelope and for the message"""
    user, client = flow.user(), flow.client()
    session = client.call("smtp.open", account="step-narrow")["session"]
    client.fails("denied", "smtp.mail", session=session, **{"from": "eve@example.com"})
    client.call("smtp.mail", session=session, **{"from": "ann@example.com"})
    client.call("smtp.rcpt", session=session, to=flow.mail.address(user))
    client.fails("denied", "smtp.data", session=session, raw="From: eve@example.com\nSubject: x\n\nx\n")
    in_state(client, session, "recipient_sent")
    client.call("smtp.quit", session=session)


def test_left_in_data(flow):
    """A session that ends between DATA and the message sends nothing"""
    user, client = flow.user(), flow.client()
    session = client.call("smtp.open", account="stepper")["session"]
    client.call("smtp.mail", session=session, **{"from": "ann@example.com"})
    client.call("smtp.rcpt", session=session, to=flow.mail.address(user))
    client.call("smtp.start_data", session=session)
    client.call("smtp.quit", session=session)
    same(flow.subjects(user), [])


def test_trace(flow):
    """set_debuglevel shows the dialogue, without secrets and messages, until it is 0 again"""
    user, client, secret = flow.user(), flow.client(), flow.mail.users["ann"]
    session = client.call("smtp.open", account="stepper", login=False)["session"]
    client.call("smtp.set_debuglevel", session=session, level=1)
    client.call("smtp.login", session=session, username="ann", password=secret)
    client.call("smtp.mail", session=session, **{"from": "ann@example.com"})
    client.call("smtp.rcpt", session=session, to=flow.mail.address(user))
    client.call("smtp.data", session=session, raw="Subject: x\n\nsecret message\n")
    client.call("smtp.set_debuglevel", session=session, level=0)
    client.call("smtp.noop", session=session)
    lines = [(note["params"]["outgoing"], note["params"]["line"]) for note in client.notes if note["method"] == "trace"]
    assert lines[0][0] and lines[0][1].startswith("AUTH ") and (True, "MAIL FROM:<ann@example.com>") in lines, lines
    shown = json.dumps(lines)
    for hidden in (secret, base64.b64encode(f"\0ann\0{secret}".encode()).decode(), "secret message", "NOOP"):
        assert hidden not in shown, lines
    client.call("smtp.quit", session=session)


def test_send_greeting(flow):
    """send_greeting says EHLO, and HELO to a server that knows no EHLO; any other refusal is one"""
    for refusal, wanted in (("502 5.5.1 what?", 250), ("421 4.3.2 later", None), ("550 5.7.1 not you", None)):
        # the EHLO of the session's opening is taken, the next one refused
        server = FakeSmtp(always={"ehlo2": refusal + "\r\n"}, mechanisms="")
        with flow.own_daemon({"a": {"account": {"email": "a@example.com", "allow": "user:root", "senders": "*", "permit": "send"},
                                    "smtp": {"host": "127.0.0.1", "port": server.port, "tls": "none"}}}) as daemon, daemon.client() as client:
            session = client.call("smtp.open", account="a")["session"]
            if wanted:
                same(client.call("smtp.send_greeting", session=session, domain="me.example")["code"], wanted)
                same([line for line in server.lines if "me.example" in line], ["EHLO me.example", "HELO me.example"])
            else:
                error = client.fails("rejected", "smtp.send_greeting", session=session, domain="me.example")
                same(error.data["reply"]["code"], int(refusal[:3]))
                assert not any(line.startswith("HELO") for line in server.lines), server.lines
        server.close()
