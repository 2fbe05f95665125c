# SPDX-License-Identifier: MIT
"""POP3 against a server that fails, demands, or offers little: what a call says must be what happened."""

import os
import time

from fake_mail import fin, late
from fake_pop3 import FakePop3
from harness import RpcError, same, span, text_of

LETTERS = [b"Subject: %d\r\n\r\nbody\r\n" % number for number in range(1, 41)]


def served(flow, *letters, capabilities=("UIDL", "TOP"), faults=None, changes=None, settings=None):
    server = FakePop3(messages=letters or LETTERS[:3], capabilities=capabilities, always=faults)
    daemon = flow.own_daemon({"fake": server.account(flow, **(changes or {}))}, settings)
    return server, daemon


def test_delete(flow):
    """A delete whose QUIT is not answered is unknown, refused is rejected, and lost before QUIT is none"""
    for fault, kind, outcome in ((fin, "disconnected", "unknown"), ("-ERR some remain\r\n", "rejected", "unknown")):
        server, daemon = served(flow, faults={"quit": fault})
        with daemon as daemon, daemon.client() as client:
            error = client.fails(kind, "pop3.delete", account="fake", id="id-1")
            same(error.data["outcome"], outcome)
            same(len(server.said("QUIT")), 1, "QUIT")
        server.close()
    server, daemon = served(flow, faults={"dele": fin})
    with daemon as daemon, daemon.client() as client:
        error = client.fails("disconnected", "pop3.delete", account="fake", id="id-1")
        same((error.data["outcome"], server.said("QUIT"), len(server.drop)), ("none", [], 3))
    server.close()
    server, daemon = served(flow, faults={"dele": "-ERR no\r\n"})
    with daemon as daemon, daemon.client() as client:
        client.fails("rejected", "pop3.delete", account="fake", ids=["id-1", "id-2"])
        same(len(server.drop), 3)
    server.close()


def test_cut(flow):
    """A message that is not received whole is an error, and is never deleted"""
    server, daemon = served(flow, faults={"retr": "+OK\r\nSubject: half\r\n"}, changes={"timeout": "1s"})
    with daemon as daemon, daemon.client() as client:
        client.fails("timeout", "pop3.retr", account="fake", id="id-1")
        server.always["retr"] = fin
        client.fails("disconnected", "pop3.retr", account="fake", id="id-1")
        server.always.clear()
        same(text_of(client.call("pop3.retr", account="fake", id="id-1")["raw"]), LETTERS[0])
        same((len(server.drop), server.said("DELE")), (3, []))
    server.close()


def test_pipelining(flow):
    """Many messages come in one flight where the server offers PIPELINING, one by one where not"""
    for extra, together in ((["PIPELINING"], True), ([], False)):
        server, daemon = served(flow, *LETTERS, capabilities=["UIDL", *extra], faults={"retr": late(0.02)})
        with daemon as daemon, daemon.client() as client:
            items, result = client.streamed("pop3.retr", account="fake", ids=[f"id-{number}" for number in range(40, 0, -1)])
            same([text_of(item["raw"]) for item in items], LETTERS[::-1])
            same((result["count"], server.connections), (40, 1))
        server.close()


def test_overlap(flow):
    """Calls of several clients share the connection in flight where the server offers PIPELINING, and ask for the ids once"""
    for extra, together in ((["PIPELINING"], True), ([], False)):
        server, daemon = served(flow, *LETTERS, capabilities=["UIDL", *extra])
        arrivals = []
        server.always["retr"] = lambda wire, usual: (arrivals.append(wire.ahead()), late(0.02)(wire, usual))
        with daemon as daemon, daemon.client() as client, daemon.client() as other:
            calls = [(one, one.begin("pop3.retr", account="fake", id=f"id-{number}"), number)
                     for number in range(1, 31) for one in (client, other)]
            removal = client.begin("pop3.delete", account="fake", id="id-40")
            behind = other.begin("pop3.stat", account="fake")
            for one, call, number in calls:
                same(text_of(one.finish(call)[0]["raw"]), LETTERS[number - 1])
            same(client.finish(removal)[0]["deleted"], ["id-40"])
            same(other.finish(behind)[0]["count"], 39)
            same((max(arrivals) > 0, len(server.said("RETR"))), (together, 60))
            if together:
                same(len(server.said("UIDL")), 2, "UIDL, with that of the delete")
            same((server.connections, server.commits), (2, [["id-40"]]))
        server.close()


def test_kept_ids(flow):
    """The ids that are kept for the next calls: anew after what may change them, asked for where they are missing, not kept where too many"""
    server, daemon = served(flow, *LETTERS[:5], capabilities=("UIDL", "TOP", "PIPELINING"))
    with daemon as daemon, daemon.client() as client:
        for number in (1, 2):
            same(text_of(client.call("pop3.retr", account="fake", id=f"id-{number}")["raw"]), LETTERS[number - 1])
        same(len(server.said("UIDL")), 1)
        client.fails("not_found", "pop3.retr", account="fake", id="nobody")
        same(len(server.said("UIDL")), 2, "one that is not there is looked for again")
        session = client.call("pop3.open", account="fake")["session"]
        for call, number in (("retr", 3), ("dele", 3), ("retr", 4), ("rset", 0), ("retr", 3)):
            client.call(f"pop3.{call}", session=session, **({"number": number} if call == "dele" else {"id": f"id-{number}"} if number else {}))
        same(len(server.said("UIDL")), 5, "after DELE and RSET as well")
        client.call("pop3.quit", session=session)
    server.close()
    many = 70000        # more than are kept
    server, daemon = served(flow, *([b"Subject: x\r\n\r\n"] * many), capabilities=("UIDL", "PIPELINING"))
    with daemon as daemon, daemon.client() as client:
        calls = [client.begin("pop3.retr", account="fake", id=f"id-{number}") for number in (1, many, many)]
        for call in calls:
            same(client.finish(call)[0]["raw"]["size"], 14)
        same((len(server.said("UIDL")), server.said("RETR")), (3, ["RETR 1", f"RETR {many}", f"RETR {many}"]))
    server.close()


def test_unread_pipe(flow):
    """Who does not read the pipe that was asked for loses the call after client_stall, and others their turn no longer than that"""
    big = b"Subject: big\r\n\r\n" + (b"y" * 70 + b"\r\n") * 60000
    server, daemon = served(flow, big, LETTERS[1], changes={"timeout": "30s"}, settings={"client_stall": span(600)})
    with daemon as daemon, daemon.client() as client, daemon.client() as other:
        answer, (pipe,) = client.call_fds("pop3.retr", account="fake", id="id-1", content="pipe")
        begun = time.monotonic()
        same(text_of(other.call("pop3.retr", account="fake", id="id-2")["raw"]), LETTERS[1])
        assert time.monotonic() - begun < 20, "the other waited"
        os.close(pipe)
        flow.wait_for(lambda: client.notes or client.collect(1), what="the word that it failed")
        same([(note["method"], note["params"]["error"]["data"]["limit"]) for note in client.notes if note["method"] == "failed"], [("failed", "client_stall")])
        # one who reads, however slowly, gets all of it
        answer, (pipe,) = client.call_fds("pop3.retr", account="fake", id="id-1", content="pipe")
        got = b""
        while piece := os.read(pipe, 1 << 18):
            got += piece
            time.sleep(0.1)
        os.close(pipe)
        same(got, big)
    server.close()


def test_without_uidl(flow):
    """Without UIDL a pooled call cannot name messages; sessions can"""
    server, daemon = served(flow, capabilities=("TOP",))
    with daemon as daemon, daemon.client() as client:
        client.fails("missing_extension", "pop3.retr", account="fake", id="id-1")
        client.fails("missing_extension", "pop3.delete", account="fake", id="id-1")
        session = client.call("pop3.open", account="fake")["session"]
        same(text_of(client.call("pop3.retr", session=session, number=1)["raw"]), LETTERS[0])
        client.fails("missing_extension", "pop3.utf8", session=session)
        client.fails("missing_extension", "pop3.uidl", session=session)
        client.call("pop3.quit", session=session)
    server.close()


def test_login_delay(flow):
    """LOGIN-DELAY is waited for between two logins"""
    server, daemon = served(flow, capabilities=("UIDL", "LOGIN-DELAY 2"), changes={"idle_timeout": "100ms"})
    with daemon as daemon, daemon.client() as client:
        client.call("pop3.stat", account="fake")
        time.sleep(0.5)
        client.call("pop3.stat", account="fake")
        same(len(server.logins), 2)
        assert server.logins[1] - server.logins[0] >= 1.9, server.logins
    server.close()


def test_expire(flow):
    """With EXPIRE 0 no QUIT follows what was only read"""
    for capability, quits in (("EXPIRE 0", 0), ("EXPIRE 30", 1)):
        server, daemon = served(flow, capabilities=("UIDL", capability), changes={"idle_timeout": "100ms"})
        with daemon as daemon, daemon.client() as client:
            client.call("pop3.retr", account="fake", id="id-1")
            time.sleep(0.6)
            flow.wait_for(lambda: not server.still_open(), what="the end of the idle connection")
            flow.wait_for(lambda: len(server.said("QUIT")) == quits, what=f"{quits} QUIT with {capability}")
        server.close()


def test_token(flow):
    """XOAUTH2 goes on two lines, as some servers demand"""
    server = FakePop3(messages=LETTERS[:1], mechanisms="XOAUTH2", password="abc")
    sections = server.account(flow, method="xoauth2")
    sections["auth"] = {"username": "ann", "token": "abc"}
    with flow.own_daemon({"fake": sections}) as daemon, daemon.client() as client:
        same(client.call("pop3.stat", account="fake")["count"], 1)
    at = server.lines.index("AUTH XOAUTH2")
    same(server.lines[at + 1], "dXNlcj1hbm4BYXV0aD1CZWFyZXIgYWJjAQE=")
    server.close()


def test_refused_token(flow):
    """A refused token is asked for anew once, where another can be had; one that stands in the configuration is tried once"""
    for keys, tries, works in (({"token": "old"}, 1, False), ({"token_command": "echo old"}, 2, False), ({"token_command": "cat {0}; echo abc > {0}"}, 2, True)):
        server = FakePop3(messages=LETTERS[:1], mechanisms="XOAUTH2", password="abc")
        sections = server.account(flow, method="xoauth2")
        daemon = flow.own_daemon({})
        (daemon.folder / "token").write_text("old\n")
        sections["auth"] = dict({"username": "ann"}, **{key: value.format(daemon.folder / "token") for key, value in keys.items()})
        daemon.write_account("fake", sections)
        with daemon, daemon.client() as client:
            if works:
                same(client.call("pop3.stat", account="fake")["count"], 1)
            else:
                client.fails("auth", "pop3.stat", account="fake")
            same((server.connections, len(server.said("AUTH"))), (tries, tries), str(keys))
        server.close()


def test_locked(flow):
    """One session a maildrop: calls wait for it, for queue_timeout; a server's [IN-USE] is later's matter, not the password's"""
    server, daemon = served(flow, changes={"queue_timeout": "600ms"})
    with daemon as daemon, daemon.client() as client, daemon.client() as other:
        session = client.call("pop3.open", account="fake")["session"]
        begun = time.monotonic()
        other.fails("busy", "pop3.stat", account="fake")
        assert 0.4 < time.monotonic() - begun < 20
        waiting = other.begin("pop3.stat", account="fake")
        client.call("pop3.quit", session=session)
        same(other.finish(waiting)[0]["count"], 3)
        same(server.connections, 2)
    server.close()
    server, daemon = served(flow, faults={"pass": "-ERR [IN-USE] locked\r\n"})
    with daemon as daemon, daemon.client() as client:
        error = client.fails("rejected", "pop3.stat", account="fake")
        same((error.data["retry"], error.data["stage"], error.data["reply"]["response_code"]), ("later", "auth", "IN-USE"))
        server.always = {"pass": "-ERR [AUTH] no\r\n"}
        client.call("gateway.resume", account="fake")
        client.fails("auth", "pop3.stat", account="fake")
        tried = len(server.said("PASS"))
        for _ in range(3):
            client.fails("auth", "pop3.stat", account="fake")
        same(len(server.said("PASS")), tried, "a refused password is not said again")
    server.close()


def test_ids(flow):
    """Unique ids are looked up where they are used; one that two messages share is a conflict, and deletes nothing"""
    server, daemon = served(flow, faults={"uidl": "+OK\r\n1 same\r\n2 same\r\n3 ../../etc\r\n.\r\n"}, changes={"idle_timeout": "100ms"})
    with daemon as daemon, daemon.client() as client:
        client.fails("conflict", "pop3.retr", account="fake", id="same")
        client.fails("conflict", "pop3.delete", account="fake", ids=["../../etc", "same"])
        same((server.said("DELE"), len(server.drop)), ([], 3))
        same(text_of(client.call("pop3.retr", account="fake", id="../../etc")["raw"]), LETTERS[2])
        server.always = {}
        ids = client.call("pop3.list", account="fake")["messages"]
        flow.wait_for(lambda: not server.still_open())
        del server.drop["id-1"]         # numbers are others on the next connection
        same(text_of(client.call("pop3.retr", account="fake", id=ids[1]["id"])["raw"]), LETTERS[1])
    server.close()


def test_cancel(flow):
    """A cancelled or expired call leaves the connection and its neighbours as they were"""
    server, daemon = served(flow, *LETTERS, capabilities=("UIDL", "PIPELINING"), faults={"retr": late(0.15)})
    with daemon as daemon, daemon.client() as client:
        first = client.begin("pop3.retr", account="fake", ids=[f"id-{number}" for number in range(1, 6)])
        second = client.begin("pop3.retr", account="fake", id="id-7")
        time.sleep(0.3)
        same(client.call("rpc.cancel", id=first)["found"], True)
        try:
            client.finish(first)
            raise AssertionError("it was cancelled")
        except RpcError as error:
            same((error.kind, error.data["outcome"]), ("cancelled", "none"))
        same(text_of(client.finish(second)[0]["raw"]), LETTERS[6])
        error = client.fails("timeout", "pop3.retr", account="fake", ids=[f"id-{number}" for number in range(1, 40)], timeout=400)
        same(error.data["outcome"], "none")
        server.always = {}
        same(client.call("pop3.stat", account="fake")["count"], 40)
    server.close()
