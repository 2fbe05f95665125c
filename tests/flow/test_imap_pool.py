# SPDX-License-Identifier: MIT
"""Which connection a call on a mailbox runs on, and what is selected there."""

import threading
import time

from fake_imap import FakeImap
from harness import same, text_of


def subjects(answer):
    return [one["envelope"]["subject"] for one in answer["messages"]]


def fetch(client, user, mailbox):
    return subjects(client.call("imap.fetch", account=user, mailbox=mailbox, uids="1:*", items=["ENVELOPE"]))


def spread(client, user, mailbox, count=4):
    """Lets several connections of the pool select the mailbox."""
    numbers = [client.begin("imap.fetch", account=user, mailbox=mailbox, uids="1:*", items=["ENVELOPE"], uidvalidity="any") for _ in range(count)]
    return [subjects(client.finish(number)[0]) for number in numbers]


def test_renamed(flow):
    """A mailbox that takes another's name is the one that is read, whichever connection had selected the first"""
    user, client = flow.user(), flow.client()
    for name, subject in (("one", "in one"), ("two", "in two")):
        client.call("imap.create", account=user, mailbox=name)
        client.call("imap.append", account=user, mailbox=name, raw=flow.letter("bob@example.com", subject).decode())
    same(spread(client, user, "one"), [["in one"]] * 4)
    client.call("imap.rename", account=user, mailbox="one", new_name="old")
    client.call("imap.rename", account=user, mailbox="two", new_name="one")
    same(spread(client, user, "one"), [["in two"]] * 4)
    same(fetch(client, user, "old"), ["in one"])


def test_deleted(flow):
    """A mailbox made anew under a deleted one's name is the one that is read, and old UIDs are not taken for its own"""
    user, client = flow.user(), flow.client()
    client.call("imap.create", account=user, mailbox="box")
    client.call("imap.append", account=user, mailbox="box", raw=flow.letter("bob@example.com", "first").decode())
    same(spread(client, user, "box"), [["first"]] * 4)
    old = client.call("imap.status", account=user, mailbox="box")["uidvalidity"]
    client.call("imap.delete", account=user, mailbox="box")
    client.fails("rejected", "imap.fetch", account=user, mailbox="box", uids="1:*", items=["FLAGS"], uidvalidity="any")
    client.call("imap.create", account=user, mailbox="box")
    client.call("imap.append", account=user, mailbox="box", raw=flow.letter("bob@example.com", "second").decode())
    fresh = client.call("imap.status", account=user, mailbox="box")["uidvalidity"]
    assert fresh != old
    client.fails("uidvalidity", "imap.fetch", account=user, mailbox="box", uids=[1], items=["FLAGS"], uidvalidity=old)
    same(spread(client, user, "box"), [["second"]] * 4)
    session = client.call("imap.open", account=user)["session"]
    client.call("imap.exec", session=session, command="DELETE box")
    client.call("imap.exec", session=session, command="CREATE box")
    same(spread(client, user, "box"), [[]] * 4)
    client.call("imap.logout", session=session)


def test_selects(flow):
    """EXAMINE for reading, SELECT for changing, neither where it is not needed, and nothing is expunged by changing mailboxes"""
    with FakeImap() as server:
        account = server.account()
        account["imap"]["pool_size"] = 1
        with flow.own_daemon({"select": account}) as daemon:
            client = daemon.client()

            def opened():
                found = [line for line in server.lines if line.split()[0] in ("SELECT", "EXAMINE", "CLOSE", "UNSELECT")]
                server.lines.clear()
                return found

            for _ in range(3):
                client.call("imap.fetch", account="select", uids=[1], items=["FLAGS"])
            same(opened(), ["EXAMINE INBOX"])
            for _ in range(2):
                client.call("imap.store", account="select", uids=[1], command="FLAGS", flags=[], uidvalidity=7)
                client.call("imap.fetch", account="select", uids=[1], items=["FLAGS"])
            same(opened(), ["SELECT INBOX"])
            client.call("imap.list", account="select")
            client.call("imap.fetch", account="select", mailbox="Other", uids=[1], items=["FLAGS"])
            same(opened(), ["EXAMINE Other"])
            client.call("imap.delete", account="select", mailbox="Third")
            client.call("imap.fetch", account="select", mailbox="Other", uids=[1], items=["FLAGS"])
            same(opened(), ["EXAMINE Other"])


def test_close(flow):
    """CLOSE removes what is marked in a selected mailbox and nothing in an examined one; UNSELECT removes nothing"""
    user, client = flow.user(), flow.client()
    flow.put(user, *[flow.letter("bob@example.com", f"number {number}") for number in (1, 2, 3)])
    session = client.call("imap.open", account=user)["session"]
    client.call("imap.select", session=session)
    client.call("imap.store", session=session, uids=[2], command="+FLAGS", flags=["\\Deleted"])
    client.call("imap.unselect", session=session)
    same(client.call("imap.examine", session=session, mailbox="INBOX")["exists"], 3)
    client.call("imap.close", session=session)
    same(client.call("imap.select", session=session)["exists"], 3)
    client.call("imap.close", session=session)
    same(client.call("imap.select", session=session)["exists"], 2)
    client.call("imap.logout", session=session)


def test_slow_fetch(flow):
    """A fetch that takes its time blocks nobody: neither a long section under way, nor a server that thinks"""
    go_on = threading.Event()

    def slow(server, wire, tag, line):
        wire.sendall(b"* 1 FETCH (UID 1 BODY[] {1000000}\r\n" + b"x" * 1000)
        go_on.wait(20)
        wire.sendall(b"x" * 999000 + f")\r\n{tag} OK x\r\n".encode())

    def thinking(server, wire, tag, line):
        go_on.wait(20)
        wire.sendall(f"* SEARCH 1\r\n{tag} OK x\r\n".encode())

    answers = {"UID FETCH 1 ": slow, "UID SEARCH BODY": thinking, "UID FETCH 2 ": "* 2 FETCH (UID 2 FLAGS ())\r\n% OK x\r\n"}
    with FakeImap(answers=answers) as server:
        account = server.account()
        account["imap"].update({"pool_size": 3, "timeout": "30s"})
        with flow.own_daemon({"slow": account}) as daemon:
            client, slow_client = daemon.client(), daemon.client()
            numbers = [slow_client.begin("imap.fetch", account="slow", uids=[1], items=["BODY.PEEK[]"]),
                       slow_client.begin("imap.search", account="slow", query="BODY x")]
            while len(server.said("UID FETCH 1")) + len(server.said("UID SEARCH")) < 2:
                time.sleep(0.01)
            started = time.monotonic()
            for _ in range(20):
                same(len(client.call("imap.fetch", account="slow", uids=[2], items=["FLAGS"])["messages"]), 1)
            mine = [client.begin("imap.fetch", account="slow", uids=[2], items=["FLAGS"]) for _ in range(40)]
            for number in mine:
                client.finish(number)
            assert time.monotonic() - started < 5
            go_on.set()
            answer, _ = slow_client.finish(numbers[0])
            same(len(text_of(answer["messages"][0]["sections"]["BODY[]"])), 1000000)
            same(slow_client.finish(numbers[1])[0]["uids"], [1])
            assert server.connections <= 3, server.connections


def test_numbers(flow):
    """In a session messages may be named by number: for fetch, store, copy, move, search and sort"""
    user, client = flow.user(), flow.client()
    flow.put(user, *[flow.letter("bob@example.com", f"number {number}") for number in (1, 2, 3, 4)])
    session = client.call("imap.open", account=user)["session"]
    client.call("imap.select", session=session)
    client.call("imap.store", session=session, numbers=[1], command="+FLAGS.SILENT", flags=["\\Deleted"])
    same(client.call("imap.expunge", session=session)["expunged"], [1])
    one = client.call("imap.fetch", session=session, numbers="1", items=["ENVELOPE"])["messages"][0]
    same((one["seq"], one["uid"], one["envelope"]["subject"]), (1, 2, "number 2"))
    same(client.call("imap.search", session=session, query="SUBJECT \"number 4\"", numbers=True)["numbers"], [3])
    stored = client.call("imap.store", session=session, numbers="2", command="+FLAGS", flags=["\\Flagged"])["messages"][0]
    assert stored["seq"] == 2 and "\\Flagged" in stored["flags"], stored
    same(client.call("imap.copy", session=session, numbers=[2], destination="Sent")["uids"], [[3, 1]])
    same(client.call("imap.move", session=session, numbers=[1], destination="Sent")["uids"], [[2, 2]])
    same(client.call("imap.response", session=session, code="EXISTS")["data"][-1:], ["4"])
    same(client.call("imap.search", session=session, query="ALL", numbers=True)["numbers"], [1, 2])
    with flow.mailbox(user) as other:
        other.store("1", "+FLAGS", "\\Deleted")
        other.expunge()
    client.call("imap.noop", session=session)
    same(client.call("imap.response", session=session, code="EXPUNGE")["data"], ["1"])
    same(client.call("imap.fetch", session=session, numbers=[1], items=["ENVELOPE"])["messages"][0]["uid"], 4)
    client.call("imap.logout", session=session)
