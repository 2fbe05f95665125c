# SPDX-License-Identifier: MIT
"""POP3 sessions: logins step by step, commands of the caller's own, connections handed over."""

import poplib
import socket
import time

from fake_pop3 import FakePop3
from harness import INVALID_PARAMS, same, text_of

ACCOUNTS = {
    "clear": {"pop3": {"port": lambda flow: flow.mail.ports["pop3"], "tls": "none", "implicit_tls": None}},
    "short-lived": {"pop3": {"session_max": "1500ms"}, "imap": {"session_max": "1500ms"}},
    "no-raw": {"account": {"permit": "send read write"}},
}
LETTER = b"Subject: one\r\n\r\n.dot\r\nend\r\n"


def take(client, method, session):
    answer, descriptors = client.call_fds(method, session=session)
    same((answer["handle"]["fd"], len(descriptors)), (0, 1))
    return socket.socket(fileno=descriptors[0])


def test_steps(flow):
    """stls, user and pass_ lead to a session that is logged in; nothing goes out in clear before"""
    client = flow.client()
    session = client.call("pop3.open", account="clear", login=False)["session"]
    assert client.call("pop3.getwelcome", session=session)["text"]
    before = client.call("pop3.capa", session=session)["capabilities"]
    assert "STLS" in before and "UIDL" in before, before
    client.fails("tls", "pop3.pass_", session=session, password="never sent")
    client.fails("rejected", "pop3.stat", session=session)
    client.call("pop3.stls", session=session)
    client.fails(INVALID_PARAMS, "pop3.stls", session=session)
    assert "STLS" not in client.call("pop3.capa", session=session)["capabilities"]
    client.call("pop3.user", session=session, username="ann")
    client.fails("auth", "pop3.pass_", session=session, password="wrong")
    client.call("pop3.user", session=session, username="ann")
    client.call("pop3.pass_", session=session, password=flow.mail.users["ann"])
    client.fails(INVALID_PARAMS, "pop3.user", session=session, username="ann")
    assert client.call("pop3.stat", session=session)["count"] >= 0
    client.call("pop3.quit", session=session)


def test_auth(flow):
    """auth logs in with a mechanism, by the account's credential or another"""
    user, client = flow.user(), flow.client()
    session = client.call("pop3.open", account=user, login=False)["session"]
    client.fails("unsupported_mechanism", "pop3.auth", session=session, mechanism="NOTHING")
    client.fails("unsupported_mechanism", "pop3.auth", session=session, mechanism="XOAUTH2")
    client.fails("auth", "pop3.auth", session=session, mechanism="PLAIN", secret="wrong")
    assert client.call("pop3.auth", session=session, mechanism="SCRAM-SHA-256")["text"] is not None
    same(client.call("pop3.stat", session=session)["count"], 0)
    client.call("pop3.quit", session=session)


def test_auth_policy(flow):
    """auth takes the account's own credential only to mechanisms that its `method` names; one of the caller's goes to any"""
    with flow.own_daemon({"strict": flow.account(flow.user(), pop3={"method": "scram-sha-256"})}) as daemon, daemon.client() as client:
        session = client.call("pop3.open", account="strict", login=False)["session"]
        client.fails("unsupported_mechanism", "pop3.auth", session=session, mechanism="PLAIN")
        client.fails("auth", "pop3.auth", session=session, mechanism="PLAIN", secret="wrong")
        client.call("pop3.auth", session=session, mechanism="SCRAM-SHA-256")
        client.call("pop3.quit", session=session)


def test_old_logins(flow):
    """apop, rpop and utf8; a session whose connection is closed deletes nothing"""
    server = FakePop3(messages=[LETTER], capabilities=["UTF8 USER", "LANG", "UIDL", "TOP"], stamp=True)
    with flow.own_daemon({"fake": server.account(flow)}) as daemon, daemon.client() as client:
        session = client.call("pop3.open", account="fake", login=False)["session"]
        client.call("pop3.utf8", session=session)
        client.fails("auth", "pop3.apop", session=session, username="ann", password="wrong")
        client.fails("auth", "pop3.rpop", session=session, username="ann")
        client.call("pop3.apop", session=session, username="ann", password=server.password)
        client.call("pop3.dele", session=session, number=1)
        client.call("pop3.close", session=session)
        client.fails("no_such_session", "pop3.stat", session=session)
        session = client.call("pop3.open", account="fake", login=False)["session"]
        client.call("pop3.rpop", session=session, username="trusted")
        same(client.call("pop3.stat", session=session)["count"], 1)
        client.call("pop3.quit", session=session)
    same((len(server.said("APOP")), len(server.said("RPOP")), len(server.said("QUIT"))), (2, 2, 1))
    server.close()


def test_exec(flow):
    """exec sends any command, and gives what comes; readline takes lines one by one"""
    server = FakePop3(messages=[LETTER, LETTER], capabilities=["LANG", "UIDL"])
    with flow.own_daemon({"fake": server.account(flow)}) as daemon, daemon.client() as client:
        session = client.call("pop3.open", account="fake")["session"]
        answer = client.call("pop3.exec", session=session, command="LANG")
        same((answer["ok"], text_of(answer["raw"])), (True, b"en English\r\nde German\r\n"))
        same(client.call("pop3.exec", session=session, command="LANG de"), {"ok": True, "text": "de"})
        same(client.call("pop3.exec", session=session, command="XYZZY"), {"ok": False, "text": "what?"})
        same(text_of(client.call("pop3.exec", session=session, command="RETR 1")["raw"]), LETTER)
        same(text_of(client.call("pop3.exec", session=session, command="UIDL", multiline=True)["raw"]), b"1 id-1\r\n2 id-2\r\n")
        for command in ("QUIT", "STLS", "PASS x", "AUTH PLAIN", " NOOP", "NOOP\r\nDELE 1"):
            client.fails(INVALID_PARAMS, "pop3.exec", session=session, command=command)
        same(client.call("pop3.exec", session=session, command="LIST", readline=True)["ok"], True)
        same([text_of(client.call("pop3.readline", session=session)["raw"]) for _ in range(3)],
             [b"1 27\r\n", b"2 27\r\n", b".\r\n"])
        client.call("pop3.noop", session=session)
        client.call("pop3.exec", session=session, command="dele 1")
    time.sleep(0.3)
    same((len(server.drop), server.said("QUIT")), (2, []))
    client = flow.client()
    session = client.call("pop3.open", account="no-raw")["session"]
    client.fails("denied", "pop3.exec", session=session, command="NOOP")
    client.fails("denied", "pop3.readline", session=session)
    client.fails("denied", "pop3.get_handle", session=session)
    client.call("pop3.close", session=session)
    server.close()


def test_trace(flow):
    """set_debuglevel shows the dialogue, without secrets, until it is 0 again"""
    server = FakePop3(messages=[LETTER], capabilities=["UIDL"])
    with flow.own_daemon({"fake": server.account(flow)}) as daemon, daemon.client() as client:
        session = client.call("pop3.open", account="fake", login=False)["session"]
        client.call("pop3.set_debuglevel", session=session, level=1)
        client.call("pop3.user", session=session, username="ann")
        client.call("pop3.pass_", session=session, password=server.password)
        client.call("pop3.set_debuglevel", session=session, level=0)
        client.call("pop3.noop", session=session)
        lines = [note["params"] for note in client.notes if note["method"] == "trace"]
        same({line["session"] for line in lines}, {session})
        shown = [(line["outgoing"], line["line"]) for line in lines]
        same(shown[:4], [(True, "USER ann"), (False, "+OK who"), (True, "PASS ***"), (False, "+OK in")])
        assert not any(server.password in line or "NOOP" in line for _, line in shown), shown
    server.close()


def test_handle(flow):
    """pop3.get_handle gives a socket that speaks clear POP3 on the session, through TLS, with back-pressure"""
    user, client = flow.user(), flow.client()
    flow.put(user, *[flow.letter("bob@example.com", f"number {number}", "x" * 70 + "\n" + "many\n" * 200000) for number in (1, 2)])
    session = client.call("pop3.open", account=user)["session"]
    with take(client, "pop3.get_handle", session) as handle:
        client.fails("no_such_session", "pop3.stat", session=session)
        handle.settimeout(40)
        before = flow.daemon.memory()
        handle.sendall(b"RETR 1\r\nRETR 2\r\n" * 3)
        time.sleep(1)
        grown = flow.daemon.memory() - before
        assert grown < 3 << 20, f"what nobody reads is kept: {grown}"
        got, wanted = b"", 6
        while got.count(b"\r\n.\r\n") < wanted:
            piece = handle.recv(1 << 16)
            assert piece, "the connection ended"
            got += piece
        same(got.count(b"+OK"), wanted)
        handle.sendall(b"DELE 1\r\n")
        assert handle.recv(1000).startswith(b"+OK")
        client.close()
        handle.sendall(b"QUIT\r\n")
        assert handle.recv(1000).startswith(b"+OK")
        same(handle.recv(1000), b"")
    same(flow.subjects(user), ["number 2"])


def test_handle_ends(flow):
    """A connection handed over ends with its holder, with the server, and at session_max; deletions are not committed"""
    user, client = flow.user(), flow.client()
    flow.put(user, flow.letter("bob@example.com", "kept"))
    session = client.call("pop3.open", account=user)["session"]
    handle = take(client, "pop3.socket", session)
    handle.sendall(b"DELE 1\r\n")
    assert handle.recv(1000).startswith(b"+OK")
    handle.close()
    same(client.call("pop3.stat", account=user, timeout=30000)["count"], 1)
    session = client.call("pop3.open", account="short-lived")["session"]
    begun = time.monotonic()
    with take(client, "pop3.get_handle", session) as handle:
        handle.settimeout(40)
        same(handle.recv(10), b"")
    assert 0.5 < time.monotonic() - begun < 20
    client.call("pop3.stat", account="short-lived", timeout=30000)


def test_handles_of_others(flow):
    """smtp.get_handle and imap.get_handle do the same, and poplib can speak on pop3's"""
    user, client = flow.user(), flow.client()
    session = client.call("smtp.open", account=user)["session"]
    with take(client, "smtp.get_handle", session) as handle:
        handle.settimeout(40)
        handle.sendall(b"NOOP\r\n")
        assert handle.recv(1000).startswith(b"250")
        handle.sendall(b"QUIT\r\n")
        handle.shutdown(socket.SHUT_WR)
        assert handle.recv(1000).startswith(b"221")
        same(handle.recv(1000), b"")
    session = client.call("imap.open", account=user)["session"]
    with take(client, "imap.socket", session) as handle:
        handle.settimeout(40)
        handle.sendall(b"x STATUS INBOX (MESSAGES)\r\n")
        assert b"x OK" in handle.recv(1000)
    flow.put(user, flow.letter("bob@example.com", "read"))
    session = client.call("pop3.open", account=user)["session"]
    with take(client, "pop3.socket", session) as handle:
        handle.settimeout(40)
        peer = poplib.POP3.__new__(poplib.POP3)
        peer.host, peer.port, peer.sock, peer.file = "", 0, handle, handle.makefile("rb")
        peer._debugging, peer._tls_established = 0, True
        same(peer.stat()[0], 1)
        assert b"Subject: read" in peer.retr(1)[1]
        peer.quit()


def test_read_ahead(flow):
    """What was read before the hand-over comes first"""
    server = FakePop3(messages=[LETTER], capabilities=[])
    with flow.own_daemon({"fake": server.account(flow)}) as daemon, daemon.client() as client:
        session = client.call("pop3.open", account="fake")["session"]
        client.call("pop3.exec", session=session, command="LIST", readline=True)
        same(text_of(client.call("pop3.readline", session=session)["raw"]), b"1 27\r\n")
        with take(client, "pop3.get_handle", session) as handle:
            handle.settimeout(40)
            same(handle.recv(3, socket.MSG_WAITALL), b".\r\n")
            handle.sendall(b"STAT\r\n")
            same(handle.recv(100), b"+OK 1 27\r\n")
    server.close()
