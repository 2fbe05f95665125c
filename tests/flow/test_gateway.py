# SPDX-License-Identifier: MIT
"""The gateway's own calls: pools, sessions, pausing, counting."""

import os
import re
import threading
import time

from harness import INVALID_PARAMS, WAIT_S, RpcError, same, slow

ACCOUNTS = {
    "resting": {},
    "failing": {"imap": {"port": lambda flow: flow.closed_port}},
}
MESSAGE = {"from": "ann@example.com", "to": "x@sink.example.com", "text": "hello"}


def pool_of(client, account, protocol):
    found = [pool for pool in client.call("gateway.pools")["pools"] if (pool["account"], pool["protocol"]) == (account, protocol)]
    same(len(found), 1, f"pools of {account} for {protocol}")
    return found[0]


def test_pools(flow):
    """gateway.pools counts connections, use and failures"""
    user, client = flow.user(), flow.client()
    for _ in range(3):
        client.call("smtp.send", account=user, message=MESSAGE)
    pool = pool_of(client, user, "smtp")
    same((pool["opened"], pool["idle"], pool["active"], pool["waiting"], pool["failed"]), (1, 1, 0, 0, 0))
    assert pool["reused"] >= 2 and pool["port"] == flow.mail.ports["smtps"], pool
    client.call("gateway.resume", account="failing")    # a host that others found failing is not even tried
    client.fails("connect", "imap.list", account="failing")
    pool = pool_of(client, "failing", "imap")
    assert pool["failed"] >= 1 and pool["problem"], pool


def test_sessions(flow):
    """gateway.sessions shows the sessions of all; gateway.close ends one"""
    user, owner, admin = flow.user(), flow.client(), flow.client()
    session = owner.call("imap.open", account=user)["session"]
    shown = [one for one in admin.call("gateway.sessions")["sessions"] if one["account"] == user]
    same([(one["protocol"], one["uid"]) for one in shown], [("imap", 0)])
    assert shown[0]["session"] != session, "the id itself is shown"
    admin.call("gateway.close", session=shown[0]["session"])
    owner.fails("no_such_session", "imap.select", session=session, mailbox="INBOX")
    admin.fails("no_such_session", "gateway.close", session=shown[0]["session"])
    same([one for one in admin.call("gateway.sessions")["sessions"] if one["account"] == user], [])


def test_pause(flow):
    """A paused account is unavailable until it is resumed"""
    client = flow.client()
    client.call("imap.list", account="resting")
    client.call("gateway.pause", account="resting")
    error = client.fails("unavailable", "imap.list", account="resting")
    same(error.data.get("outcome"), "none")
    client.fails("unavailable", "smtp.send", account="resting", message=MESSAGE)
    same([one["paused"] for one in client.call("account.list")["accounts"] if one["name"] == "resting"], [True])
    client.call("gateway.resume", account="resting")
    client.call("imap.list", account="resting")
    client.fails("no_such_account", "gateway.pause", account="none")


def test_account_test(flow):
    """account.test tells for each protocol whether the account works"""
    client = flow.client()
    good, bad = client.call("account.test", account="ann"), client.call("account.test", account="failing")
    same([good[protocol]["ok"] for protocol in ("smtp", "imap", "pop3")], [True] * 3)
    same((bad["imap"]["ok"], bad["imap"]["error"]["data"]["kind"]), (False, "connect"))


def test_aliases(flow):
    """Where the same thing is documented under two names, both work"""
    user, client = flow.user(), flow.client()
    flow.put(user, flow.letter("x@example.com", "one"))
    same(len(client.call("pop3.uidl", account=user)["messages"]), 1)
    name = client.call("pop3.list", account=user)["messages"][0]["id"]
    client.call("pop3.dele", account=user, id=name)
    same(flow.subjects(user), [])


def test_noop(flow):
    """The small calls of sessions: noop, examine, rset, quit"""
    user, client = flow.user(), flow.client()
    flow.put(user, flow.letter("x@example.com", "one"))
    client.call("imap.noop", account=user)
    session = client.call("imap.open", account=user)["session"]
    same(client.call("imap.examine", session=session, mailbox="INBOX")["readonly"], True)
    client.call("imap.noop", session=session)
    client.call("imap.quit", session=session)
    session = client.call("pop3.open", account=user)["session"]
    client.call("pop3.noop", session=session)
    client.call("pop3.delete", session=session, number=1)
    client.call("pop3.rset", session=session)
    client.call("pop3.quit", session=session)
    same(flow.subjects(user), ["one"])
    session = client.call("smtp.open", account=user)["session"]
    client.call("smtp.quit", session=session)
    client.fails("no_such_session", "smtp.quit", session=session)
    client.fails(INVALID_PARAMS, "imap.examine", account=user, mailbox="INBOX")


def test_move(flow):
    """imap.move moves and tells the new UIDs"""
    user, client = flow.user(), flow.client()
    flow.put(user, *[flow.letter("x@example.com", str(number)) for number in range(3)])
    same(client.call("imap.move", account=user, mailbox="INBOX", uids=[2], destination="Trash", uidvalidity="any")["uids"], [[2, 1]])
    same(flow.subjects(user), ["0", "2"])
    same(client.call("imap.status", account=user, mailbox="Trash")["messages"], 1)


def test_sendmail(flow):
    """smtp.sendmail adds nothing, lets no Bcc out and lists the refused, as smtplib does; smtp.verify asks"""
    user, client = flow.user(), flow.client()
    address = flow.mail.address(user)
    refused = client.call("smtp.sendmail", account=user, to=[address, "nobody@example.com"], raw="Subject: as it is\nBcc: x@example.com\n\nhello\n",
                          **{"from": "ann@example.com"})["refused"]
    same(list(refused), ["nobody@example.com"])
    same(refused["nobody@example.com"][0], 550)
    same(flow.arrived(user), ["as it is"])
    with flow.mailbox(user, True) as box:
        head = box.fetch("1", "(BODY.PEEK[HEADER])")[1][0][1].split(b"Subject:")[1]
        assert b"Bcc" not in head, head
    answer = client.call("smtp.verify", account=user, address=address)
    same((answer["valid"], answer["reply"]["code"]), (answer["reply"]["code"] in (250, 251), answer["reply"]["code"]))
    try:
        same(client.call("smtp.verify", account=user, address="nobody@example.com")["valid"], False)
    except RpcError as error:
        same(error.kind, "rejected")


def test_progress(flow):
    """Progress is told at most ten times a second, and ends with all bytes"""
    user, client = flow.user(), flow.client()
    flow.put(user, b"Subject: x\r\n\r\n" + b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 100000)
    began = time.monotonic()
    number = client.begin("imap.fetch", account=user, uids=[1], content="fd", progress=True, items=["BODY.PEEK[]"])
    result, taken = client.finish(number)
    took = time.monotonic() - began
    size = result["messages"][0]["sections"]["BODY[]"]["size"]
    notes = [note["params"] for note in client.notes if note.get("method") == "progress"]
    assert all(note["id"] == number for note in notes), notes
    same([note["done"] for note in notes], sorted(note["done"] for note in notes))
    assert len(notes) <= took * 10 + 2, f"{len(notes)} in {took:.2f} s"
    assert not notes or notes[-1]["done"] <= size * 2, (notes[-1:], size)
    for descriptor in taken:
        os.close(descriptor)


def test_journal(flow):
    """A call that failed is one event of one line: account, protocol, stage, peer, duration, and no word of the caller's or the server's"""
    user = flow.user()
    # others' calls must not make this one's lines wait
    with flow.own_daemon({user: flow.account(user)}) as daemon, daemon.client() as client:
        client.fails("rejected", "smtp.send", account=user, message=dict(MESSAGE, to="nobody@example.com"))
        client.fails("rejected", "imap.status", account=user, mailbox="Secret place=1")
        client.call("imap.status", account=user, mailbox="INBOX")

        def events():
            return [line for line in daemon.log_text().splitlines() if f"account={user} " in line and " method=" in line]
        flow.wait_for(lambda: len(events()) >= 3, what="three lines")
        sent, stated, good = events()[:3]
    for line, pattern in (
            (sent, r"\S+Z info call failed method=smtp.send account=\S+ protocol=smtp uid=0 duration_ms=\d+ kind=rejected stage=rcpt outcome=none code=550"),
            (stated, r"\S+Z info call failed method=imap.status account=\S+ protocol=imap uid=0 duration_ms=\d+ kind=rejected stage=\w+ outcome=none"),
            (good, r"\S+Z debug call method=imap.status account=\S+ protocol=imap uid=0 duration_ms=\d+")):
        assert re.fullmatch(pattern, line), line


def test_others_meanwhile(flow):
    """Pings are answered at once while big and many things go on"""
    user, client = flow.user(), flow.client()
    worst, stop = 0.0, threading.Event()

    def ping():
        nonlocal worst
        with flow.daemon.client() as other:
            while not stop.is_set():
                began = time.monotonic()
                other.call("gateway.ping")
                worst = max(worst, time.monotonic() - began)
                time.sleep(0.01)
    thread = threading.Thread(target=ping, daemon=True)
    thread.start()
    text = "Zeile mit ä und mehr davon, damit sie länger wird\n" * 40000
    for _ in range(3):
        client.call("mail.build", message={"from": "a@example.com", "to": "b@example.com", "text": text}, content="base64")
    client.call("smtp.send", account=user, message=dict(MESSAGE, text=text))
    stop.set()
    thread.join(WAIT_S)
    assert worst < (5 if flow.daemon.wrapper else 0.5) * slow(), f"{worst * 1000:.0f} ms"
