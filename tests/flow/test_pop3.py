# SPDX-License-Identifier: MIT
"""POP3 calls over pooled connections."""

import time

from harness import INVALID_PARAMS, read_all, same, text_of

BODY = "line\n.\n..two\n.dot\n"


def filled(flow, count=3):
    user = flow.user()
    flow.put(user, *[flow.letter("bob@example.com", f"number {number}", BODY) for number in range(1, count + 1)])
    return user, flow.client()


def ids(client, user):
    return [one["id"] for one in client.call("pop3.list", account=user)["messages"]]


def test_list(flow):
    """pop3.list gives numbers, sizes and unique ids; pop3.stat the totals"""
    user, client = filled(flow)
    messages = client.call("pop3.list", account=user)["messages"]
    same([one["number"] for one in messages], [1, 2, 3])
    same(len({one["id"] for one in messages}), 3)
    total = client.call("pop3.stat", account=user)
    same((total["count"], total["size"]), (3, sum(one["size"] for one in messages)))
    same(len(client.call("pop3.uid_list", account=user)["messages"]), 3)


def test_retr(flow):
    """pop3.retr gives messages by unique id, dot-unstuffed, with CRLF"""
    user, client = filled(flow)
    wanted = ids(client, user)
    one = client.call("pop3.retr", account=user, id=wanted[1])
    same(one["id"], wanted[1])
    raw = text_of(one["raw"])
    assert b"Subject: number 2\r\n" in raw and raw.endswith(BODY.replace("\n", "\r\n").encode()), raw
    same(one["raw"]["size"], len(raw))
    many = client.call("pop3.retr", account=user, ids=[wanted[2], wanted[0]])["messages"]
    same([(part["id"], f"number {3 - 2 * index}" in str(part["raw"])) for index, part in enumerate(many)],
         [(wanted[2], True), (wanted[0], True)])
    for form in ("fd", "pipe"):
        answer, taken = client.call_fds("pop3.retr", account=user, id=wanted[1], content=form)
        same((answer["raw"]["fd"], read_all(taken[0])), (0, raw), form)
    client.fails("not_found", "pop3.retr", account=user, id="no-such-id")
    client.fails(INVALID_PARAMS, "pop3.retr", account=user, number=1)
    client.fails(INVALID_PARAMS, "pop3.retr", account=user)
    same(len(ids(client, user)), 3)


def test_top(flow):
    """pop3.top gives the head and some lines"""
    user, client = filled(flow)
    wanted = ids(client, user)
    raw = text_of(client.call("pop3.top", account=user, id=wanted[0], lines=2)["raw"])
    assert raw.endswith(b"\r\n\r\nline\r\n.\r\n"), raw
    raw = text_of(client.call("pop3.top", account=user, id=wanted[0])["raw"])
    assert b"Subject: number 1\r\n" in raw and b"line" not in raw, raw


def test_delete(flow):
    """pop3.delete has deleted when it answers"""
    user, client = filled(flow, 5)
    wanted = ids(client, user)
    client.call("pop3.delete", account=user, id=wanted[0])
    same(len(flow.subjects(user)), 4)
    client.call("pop3.delete", account=user, ids=[wanted[2], wanted[3]])
    same(flow.subjects(user), ["number 2", "number 5"])
    client.fails("not_found", "pop3.delete", account=user, id=wanted[0])
    same(ids(client, user), [wanted[1], wanted[4]])


def test_together(flow):
    """Twenty calls at once on one maildrop"""
    user, client = filled(flow)
    wanted = ids(client, user)
    numbers = [client.begin("pop3.retr", account=user, id=wanted[number % 3]) for number in range(20)]
    for index, number in enumerate(numbers):
        assert f"Subject: number {index % 3 + 1}".encode() in text_of(client.finish(number)[0]["raw"])


def test_killed_connection(flow):
    """A server's connection killed while idle is invisible to the next call"""
    user, client = filled(flow)
    same(client.call("pop3.stat", account=user)["count"], 3)
    flow.mail.end_processes("pop3")
    time.sleep(0.2)
    same(client.call("pop3.stat", account=user)["count"], 3)
