# SPDX-License-Identifier: MIT
"""POP3 against a server that fails, demands, or offers little: what a call says must be what happened."""

import time

from fake_pop3 import FakePop3
from harness import RpcError, same, text_of

LETTERS = [b"Subject: %d\r\n\r\nbody\r\n" % number for number in range(1, 41)]


def served(flow, *letters, capabilities=("UIDL", "TOP"), faults=None, changes=None, settings=None):
    server = FakePop3(letters or LETTERS[:3], capabilities, faults=faults)
    daemon = flow.own_daemon({"fake": server.account(flow, **(changes or {}))}, settings)
    return server, daemon


def test_delete(flow):
    """A delete whose QUIT is not answered is unknown, refused is rejected, and lost before QUIT is none"""
    for fault, kinds, outcome in (("close", ("disconnected",), "unknown"), (b"-ERR some remain\r\n", ("rejected",), "unknown")):
        server, daemon = served(flow, faults={"QUIT": fault})
        with daemon as daemon, daemon.client() as client:
            error = client.fails(kinds[0], "pop3.delete", account="fake", id="id-1")
            same(error.data["outcome"], outcome)
            same(len(server.said("QUIT")), 1, "QUIT")
        server.close()
    server, daemon = served(flow, faults={"DELE": "close"})
    with daemon as daemon, daemon.client() as client:
        error = client.fails("disconnected", "pop3.delete", account="fake", id="id-1")
        same((error.data["outcome"], server.said("QUIT"), len(server.messages)), ("none", [], 3))
    server.close()
    server, daemon = served(flow, faults={"DELE": b"-ERR no\r\n"})
    with daemon as daemon, daemon.client() as client:
        client.fails("rejected", "pop3.delete", account="fake", ids=["id-1", "id-2"])
        same(len(server.messages), 3)
    server.close()


def test_cut(flow):
    """A message that is not received whole is an error, and is never deleted"""
    server, daemon = served(flow, faults={"RETR": b"+OK\r\nSubject: half\r\n"}, changes={"timeout": "1s"})
    with daemon as daemon, daemon.client() as client:
        client.fails("timeout", "pop3.retr", account="fake", id="id-1")
        server.faults["RETR"] = "close"
        client.fails("disconnected", "pop3.retr", account="fake", id="id-1")
        server.faults.clear()
        same(text_of(client.call("pop3.retr", account="fake", id="id-1")["raw"]), LETTERS[0])
        same((len(server.messages), server.said("DELE")), (3, []))
    server.close()


def test_stages(flow):
    """Silence, a refusal and a lost connection at every step of a call: an error of the right kind, and the next call works"""
    server, daemon = served(flow, changes={"timeout": "700ms", "connect_timeout": "700ms"})
    with daemon as daemon, daemon.client() as client:
        for verb, method, params in (("LIST", "pop3.list", {}), ("UIDL", "pop3.uid_list", {}), ("STAT", "pop3.stat", {}),
                                     ("NOOP", "pop3.noop", {}), ("TOP", "pop3.top", {"id": "id-2"}), ("CAPA", "pop3.capa", {})):
            faults = [(b"-ERR [SYS/TEMP] later\r\n", "rejected"), (b"what?\r\n", "protocol"),
                      ("close", "disconnected"), ("silent", "timeout")]
            for fault, kind in faults if verb != "CAPA" else faults[:0]:
                client.call("gateway.resume", account="fake")     # no back-off from the step before
                client.call("pop3.noop", account="fake")
                server.faults = {verb: fault}
                error = client.fails(kind, method, account="fake", **params)
                same((error.data["outcome"], error.data["protocol"]), ("none", "pop3"), f"{verb} {kind}")
                server.faults = {}
                if kind == "rejected":
                    same(error.data["reply"]["response_code"], "SYS/TEMP")
            client.call("gateway.resume", account="fake")
            client.call(method, account="fake", **params)
        server.faults = {"NOOP": b"+OK\r\n+OK nobody asked\r\n"}
        before = server.connections
        client.call("pop3.noop", account="fake")
        server.faults = {}
        client.call("pop3.stat", account="fake")
        same(server.connections, before + 1, "connections, where one answered too much")
    server.close()


def test_pipelining(flow):
    """Many messages come in one flight where the server offers PIPELINING, one by one where not"""
    for extra, together in ((["PIPELINING"], True), ([], False)):
        server, daemon = served(flow, *LETTERS, capabilities=["UIDL", *extra], faults={"RETR": 0.02})
        with daemon as daemon, daemon.client() as client:
            items, result = client.streamed("pop3.retr", account="fake", ids=[f"id-{number}" for number in range(40, 0, -1)])
            same([text_of(item["raw"]) for item in items], LETTERS[::-1])
            same((result["count"], server.connections), (40, 1))
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
            same(len(server.said("QUIT")), quits, capability)
        server.close()


def test_token(flow):
    """XOAUTH2 goes on two lines, as some servers demand"""
    server = FakePop3(LETTERS[:1], ["UIDL", "SASL XOAUTH2"])
    sections = server.account(flow, method="xoauth2")
    sections["auth"] = {"username": "ann", "token": "abc"}
    with flow.own_daemon({"fake": sections}) as daemon, daemon.client() as client:
        same(client.call("pop3.stat", account="fake")["count"], 1)
    at = server.lines.index("AUTH XOAUTH2")
    same(server.lines[at + 1], "dXNlcj1hbm4BYXV0aD1CZWFyZXIgYWJjAQE=")
    server.close()


def test_locked(flow):
    """One session a maildrop: calls wait for it, for queue_timeout; a server's [IN-USE] is later's matter, not the password's"""
    server, daemon = served(flow, changes={"queue_timeout": "600ms"})
    with daemon as daemon, daemon.client() as client, daemon.client() as other:
        session = client.call("pop3.open", account="fake")["session"]
        begun = time.monotonic()
        other.fails("busy", "pop3.stat", account="fake")
        assert 0.4 < time.monotonic() - begun < 5
        waiting = other.begin("pop3.stat", account="fake")
        client.call("pop3.quit", session=session)
        same(other.finish(waiting)[0]["count"], 3)
        same(server.connections, 2)
    server.close()
    server, daemon = served(flow, faults={"PASS": b"-ERR [IN-USE] locked\r\n"})
    with daemon as daemon, daemon.client() as client:
        error = client.fails("rejected", "pop3.stat", account="fake")
        same((error.data["retry"], error.data["stage"], error.data["reply"]["response_code"]), ("later", "auth", "IN-USE"))
        server.faults = {"PASS": b"-ERR [AUTH] no\r\n"}
        client.call("gateway.resume", account="fake")
        client.fails("auth", "pop3.stat", account="fake")
        tried = len(server.said("PASS"))
        for _ in range(3):
            client.fails("auth", "pop3.stat", account="fake")
        same(len(server.said("PASS")), tried, "a refused password is not said again")
    server.close()


def test_ids(flow):
    """Unique ids are looked up where they are used; one that two messages share is a conflict, and deletes nothing"""
    server, daemon = served(flow, faults={"UIDL": b"+OK\r\n1 same\r\n2 same\r\n3 ../../etc\r\n.\r\n"})
    with daemon as daemon, daemon.client() as client:
        client.fails("conflict", "pop3.retr", account="fake", id="same")
        client.fails("conflict", "pop3.delete", account="fake", ids=["../../etc", "same"])
        same((server.said("DELE"), len(server.messages)), ([], 3))
        same(text_of(client.call("pop3.retr", account="fake", id="../../etc")["raw"]), LETTERS[2])
        server.faults = {}
        ids = client.call("pop3.list", account="fake")["messages"]
        del server.messages[1]
        server.messages = dict(enumerate(server.messages.values(), 1))      # numbers are others now
        server.faults = {"UIDL": b"+OK\r\n1 id-2\r\n2 id-3\r\n.\r\n"}
        same(text_of(client.call("pop3.retr", account="fake", id=ids[1]["id"])["raw"]), LETTERS[1])
    server.close()


def test_cancel(flow):
    """A cancelled or expired call leaves the connection and its neighbours as they were"""
    server, daemon = served(flow, *LETTERS, capabilities=("UIDL", "PIPELINING"), faults={"RETR": 0.15})
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
        server.faults = {}
        same(client.call("pop3.stat", account="fake")["count"], 40)
    server.close()
