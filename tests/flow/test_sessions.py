# SPDX-License-Identifier: MIT
"""Sessions: one connection for one client."""

import time

from harness import INVALID_PARAMS, RpcError, same, text_of

ACCOUNTS = {
    "short": {"imap": {"session_idle": "700ms"}, "pop3": {"session_idle": "700ms"}},
    "small": {"imap": {"pool_size": 4}},
}


def filled(flow, count=3):
    user = flow.user()
    flow.put(user, *[flow.letter("bob@example.com", f"number {number}") for number in range(1, count + 1)])
    return user, flow.client()


def test_imap(flow):
    """An IMAP session selects, fetches by UID and by number, stores, and logs out"""
    user, client = filled(flow)
    session = client.call("imap.open", account=user)["session"]
    box = client.call("imap.select", session=session, mailbox="INBOX")
    same((box["mailbox"], box["exists"], box["uidnext"], box["readonly"]), ("INBOX", 3, 4, False))
    assert "\\Seen" in box["flags"] and box["uidvalidity"] > 0 and box["permanentflags"]
    same(client.call("imap.search", session=session, query="ALL")["uids"], [1, 2, 3])
    one = client.call("imap.fetch", session=session, numbers="2", items=["ENVELOPE"])["messages"][0]
    same((one["uid"] if "uid" in one else 2, one["envelope"]["subject"]), (2, "number 2"))
    client.call("imap.store", session=session, uids=[3], command="+FLAGS", flags=["\\Deleted"])
    client.call("imap.expunge", session=session)
    same(client.call("imap.search", session=session, query="ALL")["uids"], [1, 2])
    client.call("imap.logout", session=session)
    error = client.fails("no_such_session", "imap.search", session=session, query="ALL")
    assert error.message
    same(len(flow.subjects(user)), 2)


def test_order(flow):
    """Requests of one session run in the order sent"""
    user, client = filled(flow)
    session = client.call("imap.open", account=user)["session"]
    numbers = [client.begin("imap.select", session=session, mailbox="INBOX")]
    for flag in ("a", "b", "c", "d"):
        numbers.append(client.begin("imap.store", session=session, uids=[1], command="FLAGS", flags=[flag]))
    numbers.append(client.begin("imap.fetch", session=session, uids=[1], items=["FLAGS"]))
    results = [client.finish(number)[0] for number in numbers]
    assert "d" in results[-1]["messages"][0]["flags"], results[-1]
    client.call("imap.logout", session=session)


def test_readonly(flow):
    """A read-only session refuses changes"""
    user, client = filled(flow)
    session = client.call("imap.open", account=user, readonly=True)["session"]
    same(client.call("imap.select", session=session, mailbox="INBOX")["readonly"], True)
    error = None
    try:
        client.call("imap.store", session=session, uids=[1], command="+FLAGS", flags=["\\Seen"])
    except RpcError as caught:
        error = caught
    assert error and error.kind in ("readonly", "rejected", "denied"), error
    client.call("imap.logout", session=session)


def test_pop3(flow):
    """A POP3 session reads by number and deletes with quit"""
    user, client = filled(flow)
    session = client.call("pop3.open", account=user)["session"]
    same(client.call("pop3.stat", session=session)["count"], 3)
    same([one["number"] for one in client.call("pop3.list", session=session)["messages"]], [1, 2, 3])
    assert b"Subject: number 1" in text_of(client.call("pop3.retr", session=session, number=1)["raw"])
    assert b"Subject: number 2" in text_of(client.call("pop3.top", session=session, number=2, lines=0)["raw"])
    client.call("pop3.delete", session=session, number=1)
    client.call("pop3.quit", session=session)
    client.fails("no_such_session", "pop3.stat", session=session)
    same(flow.subjects(user), ["number 2", "number 3"])


def test_pop3_without_quit(flow):
    """A POP3 session that ends without quit deletes nothing"""
    user, client = filled(flow)
    session = client.call("pop3.open", account=user)["session"]
    client.call("pop3.delete", session=session, number=1)
    client.close()
    time.sleep(0.3)
    same(len(flow.subjects(user)), 3)


def test_of_others(flow):
    """A session is valid only on the connection that opened it"""
    user, client = filled(flow)
    session = client.call("imap.open", account=user)["session"]
    assert isinstance(session, str) and len(session) >= 16, session
    flow.client().fails("no_such_session", "imap.select", session=session, mailbox="INBOX")
    client.fails("no_such_session", "imap.select", session="x" * len(session), mailbox="INBOX")
    client.fails(INVALID_PARAMS, "imap.select", session=session, account=user, mailbox="INBOX")
    same(client.call("imap.select", session=session, mailbox="INBOX")["exists"], 3)
    client.call("imap.logout", session=session)


def test_pooled_beside(flow):
    """Pooled calls and sessions of one account do not disturb each other"""
    user, client = filled(flow)
    session = client.call("imap.open", account=user)["session"]
    client.call("imap.select", session=session, mailbox="INBOX")
    same(client.call("imap.search", account=user, mailbox="INBOX", query="ALL")["uids"], [1, 2, 3])
    client.call("imap.status", account=user, mailbox="Sent")
    same(client.call("imap.search", session=session, query="ALL")["uids"], [1, 2, 3])
    client.call("imap.logout", session=session)


def test_limit(flow):
    """Sessions take at most half of the pool"""
    client = flow.client()
    first = [client.call("imap.open", account="small", timeout=20000)["session"] for _ in range(2)]
    try:
        client.call("imap.open", account="small", timeout=700)
        raise AssertionError("a third session of a pool of four")
    except RpcError as error:
        assert error.kind in ("busy", "timeout", "limit"), error
    client.call("imap.list", account="small")
    client.call("imap.logout", session=first[0])
    third = client.call("imap.open", account="small", timeout=20000)["session"]
    client.call("imap.logout", session=third)
    client.call("imap.logout", session=first[1])


def test_idle_end(flow):
    """A session that is idle too long ends, and says why"""
    client = flow.client()
    session = client.call("imap.open", account="short")["session"]
    time.sleep(1.5)
    error = client.fails("no_such_session", "imap.select", session=session, mailbox="INBOX")
    assert "idle" in str(error.error).lower(), error


def test_killed(flow):
    """A session whose connection dies tells that it is gone"""
    user, client = filled(flow)
    session = client.call("imap.open", account=user)["session"]
    client.call("imap.select", session=session, mailbox="INBOX")
    flow.mail.end_processes("imap")
    time.sleep(0.2)
    try:
        client.call("imap.search", session=session, query="ALL")
        raise AssertionError("a dead session answered")
    except RpcError as error:
        assert error.kind in ("disconnected", "no_such_session"), error
    client.fails("no_such_session", "imap.search", session=session, query="ALL")
    same(client.call("imap.search", account=user, mailbox="INBOX", query="ALL")["uids"], [1, 2, 3])
