# SPDX-License-Identifier: MIT
"""IMAP sessions: logins step by step, bytes of the caller's own, connections handed over."""

import base64
import hmac
import re
import socket
import time

from fake_imap import FakeImap
from harness import INVALID_PARAMS, same, text_of

ACCOUNTS = {
    "imap-clear": {"imap": {"port": lambda flow: flow.mail.ports["imap"], "tls": "none", "implicit_tls": None}},
    "imap-scram-only": {"auth": {"method": "SCRAM-SHA-256"}},
    "imap-no-raw": {"account": {"permit": "send read write"}},
}


def b64(data):
    return base64.b64encode(data).decode()


def opened(flow, account, **params):
    client = flow.client()
    return client, client.call("imap.open", account=account, login=False, **params)["session"]


def test_steps(flow):
    """starttls and login lead to a session that is logged in; nothing goes out in clear before"""
    client, session = opened(flow, "imap-clear")
    before = client.call("imap.capability", session=session)["capabilities"]
    assert "STARTTLS" in before, before
    client.fails("tls", "imap.login", session=session, username="ann", password="never sent")
    client.fails("tls", "imap.authenticate", session=session, mechanism="PLAIN", responses=["AGEAYg=="])
    client.fails("rejected", "imap.select", session=session)
    client.call("imap.starttls", session=session)
    client.fails(INVALID_PARAMS, "imap.starttls", session=session)
    assert "STARTTLS" not in client.call("imap.capability", session=session)["capabilities"]
    error = client.fails("auth", "imap.login", session=session, username="ann", password="wrong")
    same((error.data["stage"], error.data["outcome"]), ("auth", "none"))
    client.call("imap.set_debuglevel", session=session, level=1)
    client.call("imap.login", session=session, username="ann", password=flow.mail.users["ann"])
    said = [note["params"]["line"] for note in client.notes if note.get("method") == "trace"]
    assert any(" LOGIN ann ***" in line for line in said) and flow.mail.users["ann"] not in str(said), said
    assert flow.mail.users["ann"] not in str(client.call("imap.print_log", session=session))
    client.fails(INVALID_PARAMS, "imap.login", session=session, username="ann", password=flow.mail.users["ann"])
    assert "UIDPLUS" in client.call("imap.capability", session=session)["capabilities"]
    assert client.call("imap.select", session=session)["exists"] >= 0
    client.call("imap.logout", session=session)


def test_authenticate(flow):
    """authenticate logs in with a mechanism, by the account's credential or another"""
    user = flow.user()
    client, session = opened(flow, user)
    client.fails("unsupported_mechanism", "imap.authenticate", session=session, mechanism="NOTHING")
    client.fails("unsupported_mechanism", "imap.authenticate", session=session, mechanism="XOAUTH2")
    client.fails(INVALID_PARAMS, "imap.authenticate", session=session, mechanism="PLAIN\r\nx LOGOUT")
    client.fails("auth", "imap.authenticate", session=session, mechanism="PLAIN", secret="wrong")
    client.fails("auth", "imap.login_cram_md5", session=session, username=user, password="wrong")
    same(client.call("imap.authenticate", session=session, mechanism="SCRAM-SHA-256"), {})
    same(client.call("imap.select", session=session)["exists"], 0)
    client.call("imap.logout", session=session)
    client, session = opened(flow, "ann")
    same(client.call("imap.login_cram_md5", session=session, username=user, password=flow.mail.users[user]), {})
    same(client.call("imap.select", session=session)["exists"], 0)
    client.call("imap.logout", session=session)


def test_methods(flow):
    """The account's own credential goes only by the methods that the account names; a caller's own goes by any"""
    client, session = opened(flow, "imap-scram-only")
    client.fails("unsupported_mechanism", "imap.authenticate", session=session, mechanism="PLAIN")
    client.fails("auth", "imap.authenticate", session=session, mechanism="PLAIN", secret="wrong")
    client.call("imap.authenticate", session=session, mechanism="SCRAM-SHA-256")
    client.call("imap.logout", session=session)


def test_challenges(flow):
    """The caller conducts the dialogue: with all responses at once, or looking at each challenge"""
    user = flow.user()
    password = flow.mail.users[user]
    client, session = opened(flow, "ann")
    client.fails("auth", "imap.authenticate", session=session, mechanism="PLAIN", responses=[b64(f"\0{user}\0wrong".encode())])
    error = client.fails("auth", "imap.authenticate", session=session, mechanism="PLAIN", responses=["*"])
    assert error.data["reply"], error.data
    client.fails(INVALID_PARAMS, "imap.authenticate", session=session, mechanism="PLAIN", responses=["no base64"])
    client.fails(INVALID_PARAMS, "imap.authenticate", session=session, mechanism="PLAIN", responses=["AA=="], secret="both")
    same(client.call("imap.authenticate", session=session, mechanism="PLAIN", responses=[b64(f"\0{user}\0{password}".encode())]), {})
    same(client.call("imap.select", session=session)["exists"], 0)
    client.call("imap.logout", session=session)

    client, session = opened(flow, "ann")
    challenge = client.call("imap.authenticate", session=session, mechanism="CRAM-MD5", responses=[])["challenge"]
    error = client.fails(INVALID_PARAMS, "imap.select", session=session)
    assert "under way" in error.message, error
    digest = hmac.new(password.encode(), base64.b64decode(challenge), "md5").hexdigest()
    same(client.call("imap.authenticate", session=session, mechanism="CRAM-MD5", responses=[b64(f"{user} {digest}".encode())]), {})
    same(client.call("imap.select", session=session)["exists"], 0)
    client.call("imap.logout", session=session)


def test_open_dialogue_ends(flow):
    """A session in the middle of an authentication ends as any other"""
    client, session = opened(flow, "ann")
    assert "challenge" in client.call("imap.authenticate", session=session, mechanism="LOGIN", responses=[])
    client.call("imap.logout", session=session)
    client.fails("no_such_session", "imap.noop", session=session)


def test_proxyauth(flow):
    """proxyauth makes the session another user's, with nothing selected"""
    answers = {"PROXYAUTH BOB": "% OK you are\r\n", "PROXYAUTH": "% NO you are not\r\n"}
    with FakeImap(answers=answers) as server:
        with flow.own_daemon({"proxied": server.account()}) as daemon:
            client = daemon.client()
            session = client.call("imap.open", account="proxied")["session"]
            client.call("imap.select", session=session)
            error = client.fails("rejected", "imap.proxyauth", session=session, user="eve")
            same((error.data["stage"], error.data["reply"]["text"]), ("proxyauth", "you are not"))
            same(client.call("imap.search", session=session, query="ALL")["uids"], [])
            client.call("imap.proxyauth", session=session, user="bob")
            client.fails(INVALID_PARAMS, "imap.search", session=session, query="ALL")
            client.fails(INVALID_PARAMS, "imap.proxyauth", session=session, user="a\r\nb")
            same(server.said("PROXYAUTH"), ["PROXYAUTH eve", "PROXYAUTH bob"])


def test_raw(flow):
    """send, read and readline move bytes; other calls go on when all has been read"""
    user = flow.user()
    flow.put(user, flow.letter("bob@example.com", "one", "line\n" * 3000))
    client = flow.client()
    session = client.call("imap.open", account=user)["session"]
    client.call("imap.select", session=session)
    client.call("imap.send", session=session, raw="r1 FETCH 1 (BODY.PEEK[TEXT])\r\n")
    line = text_of(client.call("imap.readline", session=session)["raw"])
    size = int(re.fullmatch(rb"\* 1 FETCH \(.*BODY\[TEXT\] \{(\d+)\}\r\n", line)[1])
    client.fails(INVALID_PARAMS, "imap.noop", session=session)
    assert text_of(client.call("imap.read", session=session, size=size)["raw"]).replace(b"\r\n", b"\n").startswith(b"line\n" * 3000)
    same(text_of(client.call("imap.readline", session=session)["raw"]), b")\r\n")
    assert text_of(client.call("imap.readline", session=session, content="base64")["raw"]).startswith(b"r1 OK ")
    started = time.monotonic()
    client.fails("timeout", "imap.readline", session=session, timeout=300)
    assert time.monotonic() - started < 5
    number = client.begin("imap.read", session=session, size=5)
    client.call("rpc.cancel", id=number)
    client.fails(INVALID_PARAMS, "imap.search", session=session, query="ALL")
    same(client.call("imap.select", session=session)["exists"], 1)
    same(client.call("imap.search", session=session, query="ALL")["uids"], [1])
    client.call("imap.logout", session=session)


def test_raw_flood(flow):
    """What nobody reads stays with the server, and is whole when it is read after all"""
    def flood(server, wire, tag, line):
        wire.sendall(b"".join(b"* %07d\r\n" % number for number in range(600000)))
        wire.sendall(f"{tag} OK x\r\n".encode())

    with FakeImap(answers={"FLOOD": flood}) as server:
        with flow.own_daemon({"flood": server.account()}) as daemon:
            client = daemon.client()
            session = client.call("imap.open", account="flood")["session"]
            client.call("imap.send", session=session, raw="x FLOOD\r\n")
            time.sleep(0.5)
            got = b""
            while len(got) < 11 * 600000:
                got += text_of(client.call("imap.read", session=session, size=min(1048576, 11 * 600000 - len(got)))["raw"])
            assert got.endswith(b"* 0599999\r\n") and got.count(b"\r\n") == 600000
            same(text_of(client.call("imap.readline", session=session)["raw"]), b"x OK x\r\n")
            client.call("imap.noop", session=session)


def test_raw_rights(flow):
    """Bytes need the right `raw`, and go out neither in a read-only session nor into the trace"""
    client = flow.client()
    session = client.call("imap.open", account="imap-no-raw")["session"]
    client.fails("denied", "imap.send", session=session, raw="x NOOP\r\n")
    client.fails("denied", "imap.read", session=session, size=1)
    client.fails("denied", "imap.readline", session=session)
    session = client.call("imap.open", account="ann", readonly=True)["session"]
    client.fails("readonly", "imap.send", session=session, raw="x NOOP\r\n")
    session = client.call("imap.open", account="ann")["session"]
    client.call("imap.send", session=session, raw="x ID (\"secret\" \"s3cret\")\r\n")
    client.call("imap.readline", session=session)
    assert "s3cret" not in str(client.call("imap.print_log", session=session))


def test_handle_after_raw(flow):
    """What was read ahead comes first on a connection that is handed over"""
    client = flow.client()
    session = client.call("imap.open", account="ann")["session"]
    client.call("imap.send", session=session, raw="a NOOP\r\nb NOOP\r\n")
    assert text_of(client.call("imap.readline", session=session)["raw"]).startswith(b"a OK")
    time.sleep(0.2)
    answer, descriptors = client.call_fds("imap.socket", session=session)
    with socket.socket(fileno=descriptors[answer["handle"]["fd"]]) as wire:
        wire.settimeout(5)
        got = b""
        while b"\r\n" not in got:
            got += wire.recv(100)
        assert got.startswith(b"b OK"), got
