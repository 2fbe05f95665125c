# SPDX-License-Identifier: MIT
"""IMAP calls that end before their answer: cancelled, out of time, or with their client gone, at every step of every operation."""

import contextlib

import matrix
import test_imap_matrix as imap
from fake_imap_steps import LETTERS, FakeImapSteps
from fake_mail import silent
from harness import WAIT_S, RpcError, same, span, text_of
from test_cancel import WAYS, Stall, after_a_stuck_login, cases, meet, neighbours


def imap_cases(operations, outcome="none", **more):
    for operation in operations:
        name = operation.get("name", operation["step"]).replace("_", "-")
        options = dict(login=True, plain_auth=True, protocol="imap", works_after={operation["stage"]})
        options.update(operation.get("options", {}), **more)
        yield from cases(name, operation["step"], operation.get("outcome", outcome), operation["stage"], operation["run"], **options)


def again(client, account, case):
    """Behind a late answer a session works as before, behind none it ends; the next pooled call gets what it asks for, and what changes
    something was said once at most."""
    late, gone = isinstance(case.options["act"], Stall), case.options["way"] == "leave"
    if case.session and not gone:
        try:
            client.call("imap.noop", session=case.session)
            assert late, "the session outlived its end"
        except RpcError as error:
            assert not late, f"the session ended: {error}"
        with contextlib.suppress(RpcError):
            client.call("imap.quit", session=case.session)
    after_a_stuck_login(client, account, case, "imap.list")
    imap.read_all(client, account, case)
    said = [change[0] for change in case.server.changes]
    same(len(said), len(set(said)), "changes")


def run(flow, found):
    matrix.run(flow, "imap", list(found), imap.make, meet, again)


def test_reads(flow):
    """IMAP: a call that only reads ends at each step; the connection serves the next, or is replaced"""
    run(flow, imap_cases(imap.READS))


def test_changes(flow):
    """IMAP: a call that changes something ends at each step: nothing before its command, unknown behind it, and never twice"""
    run(flow, [*imap_cases(imap.BEFORE_CHANGES), *imap_cases(imap.CHANGES, "unknown")])


def test_append(flow):
    """IMAP: an APPEND ends while it waits to go on: what was announced may still be sent, so that it is unknown, and stored once at most"""
    waits = imap.one("append", imap.pooled("imap.append", mailbox="x", **imap.RAW), name="append-wait")
    run(flow, imap_cases([waits], "unknown"))


def test_sessions(flow):
    """IMAP: the same in sessions, which go on where the answer still comes"""
    run(flow, imap_cases([dict(operation, outcome="unknown" if operation.get("changes") else "none") for operation in imap.IN_SESSIONS]))


def test_login(flow):
    """IMAP: a call ends at each step of the login"""
    read = imap.pooled("imap.list")
    steps = [("greeting", "greeting", {}), ("capability", "capability", {}), ("login", "auth", {"keys": {"method": "login"}}), ("capability_auth", "capability", {})]
    steps += [(f"auth{number or ''}", "auth", {"mechanisms": "SCRAM-SHA-256", "keys": {"method": "scram-sha-256"}}) for number in (0, 2, 3)]
    steps += [(step, stage, {"tls": True, "plain_auth": False, "name": f"tls-{step}"})
              for step, stage in (("starttls", "tls"), ("handshake", "tls"), ("capability_tls", "capability"))]
    found = []
    for step, stage, options in steps:
        name = options.pop("name", f"login-{step}".replace("_", "-"))
        found += imap_cases([imap.one(step, read, stage, name=name, options=options)], connects=True, works_after=())
    run(flow, found)


def test_neighbours(flow):
    """IMAP: of two fetches in flight on one connection one ends; the other gets its own message, on the same connection"""
    def fetch(uid):
        return lambda client, how: client.begin("imap.fetch", account="fake", uids=[uid], **how)

    for who in ("first", "second"):
        for way in WAYS:
            server = FakeImapSteps({"fetch": Stall()})
            result = neighbours(flow, "imap", server, fetch(1), fetch(2), lambda client: client.call("imap.list", account="fake"), who, way)
            kept = 2 if who == "first" else 1
            same([(one["uid"], text_of(one["sections"]["BODY[]"])) for one in result["messages"]], [(kept, LETTERS[kept - 1])])
            same(server.connections, 1, f"{who} {way}")
            server.close()


def test_neighbour_of_a_stuck_one(flow):
    """IMAP: what waits behind an answer that never comes runs on another connection"""
    server = FakeImapSteps({"fetch": silent})
    account = flow.account("ann", imap=dict(host="127.0.0.1", port=server.port, tls="none", implicit_tls="no", ca_file=None, pool_size=1, allow_plaintext_auth="yes",
                                            timeout=span(800)), auth={"password": server.password})
    reached = server.watch("fetch")
    with flow.own_daemon({"fake": account}) as daemon, daemon.client() as one, daemon.client() as other:
        number = one.begin("imap.fetch", account="fake", uids=[1])
        assert reached.wait(WAIT_S)
        behind = other.begin("imap.fetch", account="fake", uids=[2])
        same(one.call("rpc.cancel", id=number), {"found": True})
        same(text_of(other.finish(behind)[0]["messages"][0]["sections"]["BODY[]"]), LETTERS[1])
        same(server.connections, 2)
    server.close()
