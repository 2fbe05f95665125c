# SPDX-License-Identifier: MIT
"""What servers tell without being asked: imap.idle, event.subscribe."""

import contextlib
import json
import os
import subprocess
import tempfile
import threading
import time

from fake_imap import FakeImap
from harness import INVALID_PARAMS, WAIT_S, same, slow
from test_command import postern

CAPABILITIES = "IMAP4rev1 UIDPLUS MOVE LITERAL+ IDLE"


class Idler:
    """Answers of a server that knows IDLE. said(…) is told to all that idle now, or to the next that does."""

    def __init__(self, agree=True):
        self.agree, self.wires, self.started = agree, [], 0

    def __call__(self, server, wire, tag, line):
        self.started += 1
        if self.agree:
            self.wires.append((wire, tag))
            wire.sendall(b"+ idling\r\n")

    def done(self, server, wire, tag, line):
        mine = [pair for pair in self.wires if pair[0] is wire]
        self.wires = [pair for pair in self.wires if pair[0] is not wire]
        wire.sendall(f"{mine[0][1]} OK done\r\n".encode())

    def said(self, text):
        for wire, _ in self.wires:
            with contextlib.suppress(OSError):      # one of before
                wire.sendall(text if isinstance(text, bytes) else text.encode())


def idle_server(idler, answers=None, **more):
    """A FakeImap in which IDLE works."""
    server = FakeImap(answers, **dict({"capabilities": CAPABILITIES}, **more))
    plain = server.answer

    def answer(wire, tag, line):
        if tag.upper() == "DONE" and not line:
            idler.done(server, wire, tag, line)
        elif line.upper().startswith("IDLE"):
            idler(server, wire, tag, line)
        else:
            plain(wire, tag, line)
    server.answer = answer
    return server


# --- imap.idle


def test_idle_session(flow):
    """A session idles until something happens, or its time is over"""
    user, client = flow.user(), flow.client()
    session = client.call("imap.open", account=user)["session"]
    client.call("imap.select", session=session, mailbox="INBOX")
    begun = time.monotonic()
    same(client.call("imap.idle", session=session, timeout=700), {"responses": []})
    assert 0.6 < time.monotonic() - begun < WAIT_S, time.monotonic() - begun
    call = client.begin("imap.idle", session=session, timeout=30000)
    client.call("gateway.ping")
    time.sleep(0.3)
    flow.put(user, flow.letter("bob@example.com", "news"))
    names = [one["name"] for one in client.finish(call)[0]["responses"]]
    assert "EXISTS" in names, names
    same(client.call("imap.search", session=session, query="ALL")["uids"], [1])
    # Cancelled, it is ended, and the session goes on.
    call = client.begin("imap.idle", session=session, timeout=60000)
    time.sleep(0.2)
    same(client.call("rpc.cancel", id=call), {"found": True})
    same(client.call("imap.search", session=session, query="ALL")["uids"], [1])
    client.call("imap.logout", session=session)


def test_idle_streams(flow):
    """With `stream` each thing is told as it comes, for all of the time"""
    idler = Idler()
    with idle_server(idler) as server, flow.own_daemon({"a": server.account()}) as daemon, daemon.client() as client:
        session = client.call("imap.open", account="a")["session"]
        client.call("imap.select", session=session, mailbox="INBOX")

        def talk():
            flow.wait_for(lambda: idler.wires)
            idler.said("* 4 EXISTS\r\n* OK Still here\r\n")
            time.sleep(0.2)
            idler.said("* 2 FETCH (UID 12 FLAGS (\\Seen a) MODSEQ (5))\r\n* VANISHED 3:4\r\n")
        teller = threading.Thread(target=talk)
        teller.start()
        items, result = client.streamed("imap.idle", session=session, timeout=int(1200 * slow()))
        teller.join()
        same(items, [{"name": "EXISTS", "number": 4}, {"name": "OK", "text": "Still here"},
                     {"name": "FETCH", "number": 2, "uid": 12, "flags": ["\\Seen", "a"], "modseq": 5}, {"name": "VANISHED", "text": "3:4"}])
        same(result, {"count": 4})
        same([line for line in server.lines if line in ("IDLE", "")], ["IDLE", ""])


def test_idle_is_renewed(flow):
    """IDLE is asked for again before the server loses patience, and no time limit runs while it lasts"""
    idler = Idler()
    with idle_server(idler) as server:
        account = server.account()
        account["imap"].update(idle_renew="1s", timeout="1s")
        with flow.own_daemon({"a": account}) as daemon, daemon.client() as client:
            session = client.call("imap.open", account="a")["session"]
            same(client.call("imap.idle", session=session, timeout=2500), {"responses": []})
            same(idler.started, 3)


def test_idle_refused(flow):
    """A server without IDLE, one that refuses it, one that never agrees, one that says goodbye"""
    with FakeImap() as server, flow.own_daemon({"a": server.account()}) as daemon, daemon.client() as client:
        session = client.call("imap.open", account="a")["session"]
        same(client.fails("missing_extension", "imap.idle", session=session).data["stage"], "idle")
    with FakeImap({"IDLE": "% NO [LIMIT] not today\r\n"}, capabilities=CAPABILITIES) as server, \
            flow.own_daemon({"a": server.account()}) as daemon, daemon.client() as client:
        session = client.call("imap.open", account="a")["session"]
        same(client.fails("rejected", "imap.idle", session=session).data["reply"]["response_code"], "LIMIT")
        client.call("imap.noop", session=session)
    with idle_server(Idler(agree=False)) as server, flow.own_daemon({"a": server.account()}) as daemon, daemon.client() as client:
        session = client.call("imap.open", account="a")["session"]
        same(client.fails("timeout", "imap.idle", session=session).data["stage"], "idle")
    idler = Idler()
    with idle_server(idler) as server, flow.own_daemon({"a": server.account()}) as daemon, daemon.client() as client:
        session = client.call("imap.open", account="a")["session"]
        call = client.begin("imap.idle", session=session)
        flow.wait_for(lambda: idler.wires)
        idler.said("* BYE going down\r\n")
        for wire, _ in idler.wires:
            wire.shutdown(2)
        try:
            client.finish(call)
        except Exception as error:
            same(error.kind, "disconnected")
        else:
            raise AssertionError("a goodbye went unnoticed")


# --- event.subscribe

class Subscriber:
    """A client connection with subscriptions, and what each has been told."""

    def __init__(self, flow, daemon=None):
        self.client = (daemon or flow.daemon).client()
        flow.cleanups.append(self.client.close)

    def subscribe(self, account, **params):
        return self.client.call("event.subscribe", account=account, **params)

    def take(self):
        """The next event."""
        while True:
            for index, note in enumerate(self.client.notes):
                if note.get("method") == "event":
                    del self.client.notes[index]
                    params = note["params"]
                    assert {"subscription", "account", "mailbox", "uidvalidity", "cursor", "kind", "messages", "uids"} <= set(params), params
                    return params
            self.client.collect(self.client.wait_s)

    def next(self, *kinds):
        event = self.take()
        assert event["kind"] in kinds, f"wanted {kinds}, got {event}"
        return event

    def none(self, seconds=0.4):
        """Nothing is told for so long."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                self.client.collect(left)
            except AssertionError:
                break
        told = [note["params"] for note in self.client.notes if note.get("method") == "event"]
        same(told, [])


def kinds_of(events):
    return [event["kind"] for event in events]


def letters(flow, *numbers):
    return [flow.letter("bob@example.com", f"number {number}") for number in numbers]


def test_events_live(flow):
    """New, changed and vanished messages are told as they happen, by UID"""
    user, one = flow.user(), Subscriber(flow)
    flow.put(user, *letters(flow, 1, 2, 3))
    answer = one.subscribe(user)
    same((answer["mode"], set(answer)), ("idle", {"subscription", "cursor", "uidvalidity", "mode"}))
    one.none(0.2)
    flow.put(user, *letters(flow, 4))
    event = one.next("new")
    same((event["account"], event["mailbox"], event["uidvalidity"], event["uids"]), (user, "INBOX", answer["uidvalidity"], "4"))
    same([(m["uid"], m["flags"]) for m in event["messages"]], [(4, [])])
    with flow.mailbox(user) as box:
        box.uid("STORE", "2", "+FLAGS", "(\\Flagged word)")
        event = one.next("changed")
        same((event["uids"], event["messages"][0]["uid"], sorted(event["messages"][0]["flags"])), ("2", 2, ["\\Flagged", "word"]))
        assert event["messages"][0]["modseq"] > 0
        box.uid("STORE", "1,3", "+FLAGS", "(\\Deleted)")
        same(one.next("changed")["uids"], "1,3")
        box.expunge()
        event = one.next("vanished")
        same((event["uids"], event["messages"]), ("1,3", []))
    same(one.client.call("event.unsubscribe", subscription=answer["subscription"]), {})
    flow.put(user, *letters(flow, 5))
    one.none()
    one.client.fails("not_found", "event.unsubscribe", subscription=answer["subscription"])


def test_events_from_a_cursor(flow):
    """A cursor leads on from where it was given, also after a restart of the daemon; what is none is refused"""
    user = flow.user()
    flow.put(user, *letters(flow, 1, 2, 3, 4))
    account = flow.account(user)
    with flow.own_daemon({user: account}) as daemon:
        one = Subscriber(flow, daemon)
        cursor = one.subscribe(user)["cursor"]
        one.client.close()
    with flow.mailbox(user) as box:
        box.uid("STORE", "2", "+FLAGS", "(\\Seen)")
        box.uid("STORE", "1,3", "+FLAGS", "(\\Deleted)")
        box.expunge()
    flow.put(user, *letters(flow, 5, 6))
    with flow.own_daemon({user: account}) as daemon:
        one = Subscriber(flow, daemon)
        same(one.subscribe(user, cursor=cursor)["cursor"], cursor)
        events = [one.take() for _ in range(3)]
        same([(event["kind"], event["uids"]) for event in events], [("vanished", "1,3"), ("changed", "2"), ("new", "5:6")])
        same([event["cursor"] for event in events[:2]], [cursor, cursor])
        two = Subscriber(flow, daemon)
        two.subscribe(user, cursor=events[2]["cursor"])
        two.none()
        # Each is served by its own place, all from one connection.
        three = Subscriber(flow, daemon)
        three.subscribe(user, cursor=cursor)
        same(kinds_of([three.take() for _ in range(3)]), ["vanished", "changed", "new"])
        one.none(0.1)
        same(one.client.call("gateway.pools")["pools"][0]["opened"], 1)
        damaged = cursor[:20] + ("0" if cursor[20] != "0" else "1") + cursor[21:]
        for wrong in ("x", "", "zz" * 20, cursor[:-2], cursor + "00", cursor.upper() if cursor.upper() != cursor else "Z", damaged, "01" * 256):
            one.client.fails(INVALID_PARAMS, "event.subscribe", account=user, cursor=wrong)
        one.client.fails(INVALID_PARAMS, "event.subscribe", account=user, mailbox="Sent", cursor=cursor)
        # One of a version to come: the mailbox is to be listed again.
        one.subscribe(user, cursor="ff" + cursor[2:])
        same(one.next("resync")["reason"], "cursor")


def test_events_items(flow):
    """More of new messages where it is asked for; nothing large, nothing that changes them"""
    user, plain, rich = flow.user(), Subscriber(flow), Subscriber(flow)
    plain.subscribe(user)
    rich.subscribe(user, items=["ENVELOPE", "RFC822.SIZE", "INTERNALDATE", "FLAGS"])
    flow.put(user, *letters(flow, 1))
    same(set(plain.next("new")["messages"][0]) - {"modseq"}, {"uid", "flags"})
    message = rich.next("new")["messages"][0]
    same((message["uid"], message["envelope"]["subject"], set(message) - {"modseq"}),
         (1, "number 1", {"uid", "flags", "envelope", "size", "internaldate"}))
    for items in (["BODY[]"], ["BODY.PEEK[]"], "RFC822", ["X"]):
        plain.client.fails(INVALID_PARAMS, "event.subscribe", account=user, items=items)


def test_events_without_condstore(flow):
    """Without CONDSTORE what is new is told, and for anything else the mailbox is to be listed again"""
    user = flow.user()
    flow.put(user, *letters(flow, 1, 2, 3))
    with flow.own_daemon({user: flow.account(user, imap={"disable": "CONDSTORE QRESYNC"})}) as daemon:
        one = Subscriber(flow, daemon)
        cursor = one.subscribe(user)["cursor"]
        flow.put(user, *letters(flow, 4))
        event = one.next("new")
        same((event["uids"], "modseq" in event["messages"][0]), ("4", False))
        with flow.mailbox(user) as box:
            box.uid("STORE", "2", "+FLAGS", "(\\Seen)")
            event = one.next("resync")
            same(event["reason"], "changed")
            box.uid("STORE", "2", "+FLAGS", "(\\Deleted)")
            one.next("resync")
            box.expunge()
            event = one.next("resync")
            same(event["reason"], "vanished")
        two = Subscriber(flow, daemon)
        two.subscribe(user, cursor=cursor)
        two.next("resync")
        flow.put(user, *letters(flow, 5))
        same((one.next("new")["uids"], two.next("new")["uids"]), ("5", "5"))
        one.client.close()
        two.client.close()
        flow.put(user, *letters(flow, 6))
        three = Subscriber(flow, daemon)
        three.subscribe(user, cursor=event["cursor"])
        same(three.next("new")["uids"], "5:6")


def test_events_with_condstore_only(flow):
    """With CONDSTORE, but not QRESYNC: what has vanished is found by comparing"""
    user = flow.user()
    flow.put(user, *letters(flow, 1, 2, 3, 4))
    with flow.own_daemon({user: flow.account(user, imap={"disable": "QRESYNC"})}) as daemon:
        one = Subscriber(flow, daemon)
        cursor = one.subscribe(user)["cursor"]
        with flow.mailbox(user) as box:
            box.uid("STORE", "2:3", "+FLAGS", "(\\Deleted)")
            same(one.next("changed")["uids"], "2:3")
            box.expunge()
        same(one.next("vanished")["uids"], "2:3")
        flow.put(user, *letters(flow, 5))
        same(one.next("new")["uids"], "5")
        two = Subscriber(flow, daemon)
        two.subscribe(user, cursor=cursor)
        same([(event["kind"], event["uids"]) for event in (two.take(), two.take())], [("vanished", "2:3"), ("new", "5")])


def test_events_refused(flow):
    """No mailbox, no account, no right, no server, too many"""
    user, one = flow.user(), Subscriber(flow)
    same(one.client.fails("rejected", "event.subscribe", account=user, mailbox="nowhere").data["stage"], "examine")
    one.client.fails("no_such_account", "event.subscribe", account="nobody")
    accounts = {"sender": flow.account(user, account={"permit": "send"}), user: flow.account(user),
                "closed": flow.account(user, imap={"port": flow.closed_port})}
    with flow.own_daemon(accounts, {"max_subscriptions_per_user": 2}) as daemon:
        two = Subscriber(flow, daemon)
        two.client.fails("denied", "event.subscribe", account="sender")
        same(two.client.fails("connect", "event.subscribe", account="closed").data["outcome"], "none")
        first = two.subscribe(user)
        two.subscribe(user, mailbox="Sent")
        same(two.client.fails("limit", "event.subscribe", account=user).data["limit"], "max_subscriptions_per_user")
        two.client.call("event.unsubscribe", subscription=first["subscription"])
        two.subscribe(user)
        call = two.client.begin("event.subscribe", account="closed", timeout=5000)
        two.client.call("gateway.ping")
        two.client.close()
        three = Subscriber(flow, daemon)
        three.subscribe(user)
        assert call


# --- servers that are played

class Played:
    """A server with one mailbox of which a test is the master: server.box = {uid: flags}. It has no CONDSTORE."""

    def __init__(self, uids, idle="yes", **more):
        self.box, self.idler, self.idle = {uid: "" for uid in uids}, Idler(idle != "never"), idle
        answers = {"EXAMINE": self.examine, "UID FETCH": self.fetch, "UID SEARCH": self.search}
        if idle == "refused":
            answers["IDLE"] = "% NO [LIMIT] too many of you\r\n"
        capabilities = CAPABILITIES if idle != "none" else CAPABILITIES.replace(" IDLE", "")
        make = idle_server if idle in ("yes", "never") else lambda _, answers, **rest: FakeImap(answers, **rest)
        self.server = make(self.idler, answers, capabilities=capabilities, **more)
        self.keys = {"timeout": "2s"}

    def account(self, **keys):
        account = self.server.account()
        account["imap"].update(self.keys, **keys)
        return account

    def examine(self, server, wire, tag, line):
        next_uid = max(self.box, default=0) + 1
        wire.sendall(f"* {len(self.box)} EXISTS\r\n* OK [UIDVALIDITY {server.uidvalidity}] x\r\n* OK [UIDNEXT {next_uid}] x\r\n{tag} OK [READ-ONLY] x\r\n".encode())

    def fetch(self, server, wire, tag, line):
        lines = [f"* {number} FETCH (UID {uid} FLAGS ({flags}))\r\n" for number, (uid, flags) in enumerate(sorted(self.box.items()), 1)]
        wire.sendall(("".join(lines) + f"{tag} OK x\r\n").encode())

    def search(self, server, wire, tag, line):
        wire.sendall(f"* SEARCH {' '.join(map(str, sorted(self.box)))}\r\n{tag} OK x\r\n".encode())

    def cut(self):
        for wire in self.server.open:
            try:
                wire.shutdown(2)
            except OSError:
                pass


def playing(flow, played, **keys):
    """(daemon, subscriber) with the played server as account `a`."""
    @contextlib.contextmanager
    def run():
        with played.server, flow.own_daemon({"a": played.account(**keys)}) as daemon:
            one = Subscriber(flow, daemon)
            yield one
            one.client.call("gateway.ping")
            one.client.close()
    return run()


def test_events_polled(flow):
    """A server without IDLE, one that refuses it, one that never agrees: the mailbox is looked at from time to time"""
    for idle in ("none", "refused", "never"):
        played = Played([1, 2, 3], idle)
        with playing(flow, played, idle_renew="1s", timeout="1s") as one:
            answer = one.subscribe("a")
            played.box[9] = "\\Flagged"
            event = one.next("new")
            same((event["uids"], event["messages"][0]["flags"]), ("9", ["\\Flagged"]), idle)
            del played.box[2]
            same(one.next("resync")["reason"], "vanished", idle)
            mode = one.subscribe("a")["mode"]
            same((mode, answer["mode"] if idle == "none" else mode), ("poll", "poll"), idle)
            # Between looks the connection is anybody's.
            one.client.call("imap.noop", account="a")


def test_events_pool_of_one(flow):
    """Where there is one connection, calls have it, and the mailbox is looked at between them"""
    played = Played([1])
    with playing(flow, played, pool_size=1, idle_renew="1s") as one:
        same(one.subscribe("a")["mode"], "poll")
        played.box[2] = ""
        same(one.next("new")["uids"], "2")
        one.client.call("imap.noop", account="a")
        same(played.server.said("IDLE"), [])


def test_events_flood(flow):
    """A hundred thousand hints cost a few rounds, and no memory"""
    played = Played(range(1, 11))
    with playing(flow, played) as one:
        one.subscribe("a")
        flow.wait_for(lambda: played.idler.wires)
        before = len(played.server.said("UID FETCH"))
        for uid in range(11, 101):
            played.box[uid] = ""
        played.idler.said("".join(f"* {n % 1000 + 1} EXISTS\r\n* OK still here\r\n" for n in range(100000)) + "* 100 EXISTS\r\n")
        same(one.next("new")["uids"], "11:100")
        one.none(0.5)
        rounds = len(played.server.said("UID FETCH")) - before
        assert rounds < 40, rounds


def test_events_goodbye(flow):
    """BYE in IDLE, a connection that is cut, and one that went dark: down, up, and what happened meanwhile"""
    for how in ("bye", "cut", "dark"):
        played = Played([1, 2])
        with playing(flow, played, idle_renew="1s", timeout="1s") as one:
            one.subscribe("a")
            flow.wait_for(lambda: played.idler.wires)
            if how == "bye":
                played.idler.said("* BYE restarting\r\n")
                played.cut()
            elif how == "cut":
                played.cut()
            else:
                played.idler.done = lambda *_: None     # it has stopped listening
            played.box[5] = "a"
            event = one.next("down")
            assert event["reason"], event
            played.idler.done = Idler.done.__get__(played.idler)
            one.next("up")
            event = one.next("new")
            same((event["uids"], event["messages"][0]["flags"]), ("5", ["a"]), how)


def test_events_goodbye_alone(flow):
    """After BYE the connection is given up, also where the server does not close it"""
    played = Played([1])
    with playing(flow, played, timeout="30s") as one:
        one.subscribe("a")
        flow.wait_for(lambda: played.idler.wires)
        begun = time.monotonic()
        played.idler.said("* BYE that was long enough\r\n")
        same([one.next("down")["kind"], one.next("up")["kind"]], ["down", "up"])
        assert time.monotonic() - begun < 20, time.monotonic() - begun


def test_events_inline(flow):
    """With options in place of an account"""
    user, one = flow.user(), Subscriber(flow)
    with open(flow.mail.ca_file) as file:
        options = {"host": "localhost", "port": flow.mail.ports["imaps"], "implicit_tls": True, "username": user, "password": flow.mail.users[user], "ca": {"text": file.read()}}
    answer = one.client.call("event.subscribe", options=options)
    flow.put(user, *letters(flow, 1))
    same((lambda event: (event["account"], event["uids"]))(one.next("new")), (None, "1"))
    two = Subscriber(flow)
    same(two.client.call("event.subscribe", options=options, cursor=answer["cursor"])["cursor"], answer["cursor"])
    same(two.next("new")["uids"], "1")


def test_events_back_off(flow):
    """A server that is out of reach is asked again and again, but not all the time; who subscribes meanwhile is told why not"""
    played = Played([1])
    with playing(flow, played) as one:
        one.subscribe("a")
        flow.wait_for(lambda: played.idler.wires)
        played.server.greeting = "* BYE too busy\r\n"
        before = played.server.connections
        played.cut()
        one.next("down")
        time.sleep(2.5)
        assert 1 <= played.server.connections - before <= 5, played.server.connections - before
        two = one.client.begin("event.subscribe", account="a", timeout=9000)
        try:
            one.client.finish(two)
        except Exception as error:
            assert error.kind in ("rejected", "disconnected", "connect", "unavailable"), error
        else:
            raise AssertionError("subscribed to a server that is away")
        one.none(0.1)


def test_events_uidvalidity(flow):
    """Another validity after the connection was down, in it, and in a cursor: list again"""
    played = Played([1, 2])
    with playing(flow, played) as one:
        cursor = one.subscribe("a")["cursor"]
        flow.wait_for(lambda: played.idler.wires)
        played.server.uidvalidity = 8
        played.cut()
        one.next("down")
        one.next("up")
        event = one.next("resync")
        same((event["reason"], event["uidvalidity"]), ("uidvalidity", 8))
        flow.wait_for(lambda: played.idler.wires)
        same(one.subscribe("a", cursor=cursor)["uidvalidity"], 8)
        same(one.next("resync")["reason"], "uidvalidity")
        played.server.uidvalidity = 9
        played.idler.said("* OK [UIDVALIDITY 9] made anew\r\n")
        same(sorted(kinds_of([one.take() for _ in range(6)])), ["down", "down", "resync", "resync", "up", "up"])


def test_events_odd_servers(flow):
    """No UIDVALIDITY; counts that never agree; UIDNEXT that goes back"""
    with playing(flow, Played([1])) as one:
        pass
    played = Played([1])
    played.examine = None
    played.server.answers["EXAMINE"] = "* 1 EXISTS\r\n% OK x\r\n"
    with playing(flow, played) as one:
        one.client.fails("protocol", "event.subscribe", account="a")
    played = Played([1, 2, 3])
    with playing(flow, played) as one:
        one.subscribe("a")
        flow.wait_for(lambda: played.idler.wires)
        played.idler.said("* 7 EXISTS\r\n* 99 EXPUNGE\r\n* 0 EXPUNGE\r\n* VANISHED 1:4294967295\r\n* 5 FETCH (FLAGS ())\r\n")
        one.none(0.6)
        played.box = {1: "", 2: ""}
        played.cut()
        same(kinds_of([one.take() for _ in range(3)]), ["down", "up", "resync"])


def test_events_slow_subscriber(flow):
    """Who does not read is told later, all at once, or to list again; others do not wait"""
    user = flow.user()
    flow.put(user, *letters(flow, *range(1, 31)))
    with flow.own_daemon({user: flow.account(user)}, {"client_stall": "60s"}) as daemon:
        slow, quick = Subscriber(flow, daemon), Subscriber(flow, daemon)
        slow.subscribe(user)
        quick.subscribe(user)
        # Answers that wait make the connection slow.
        calls = [slow.client.begin("rpc.discover") for _ in range(20)]
        time.sleep(0.5)
        with flow.mailbox(user) as box:
            for round_ in range(3):
                box.uid("STORE", "1:30", "+FLAGS", f"(word{round_})")
                same(quick.next("changed")["uids"], "1:30")
            box.uid("STORE", "4", "+FLAGS", "(\\Deleted)")
            quick.next("changed")
            box.expunge()
            same(quick.next("vanished")["uids"], "4")
        for call in calls:
            slow.client.finish(call)
        events = [slow.take()]
        while events[-1]["kind"] != "changed":
            events.append(slow.take())
        same([(event["kind"], event["uids"]) for event in events][-2:], [("vanished", "4"), ("changed", "1:3,5:30")])
        same(len(events[-1]["messages"]), 29)
        same({word for word in events[-1]["messages"][0]["flags"]}, {"word0", "word1", "word2"})
        slow.none(0.2)


def test_events_reload(flow):
    """An account that goes, a right that goes, a server that is another now"""
    first, second = Played([1]), Played([1, 2])
    with first.server, second.server:
        with flow.own_daemon({"a": first.account(), "b": first.account()}) as daemon:
            one = Subscriber(flow, daemon)
            one.subscribe("a")
            one.subscribe("b")
            one.client.call("gateway.reload")
            one.none(0.3)
            daemon.write_account("a", second.account())
            one.client.call("gateway.reload")
            same((one.next("new")["account"], second.server.connections), ("a", 1))
            (daemon.folder / "accounts.d" / "b.conf").unlink()
            one.client.call("gateway.reload")
            event = one.next("down")
            same((event["account"], event["reason"]), ("b", "the account is gone"))
            account = second.account()
            account["account"]["permit"] = "send"
            daemon.write_account("a", account)
            one.client.call("gateway.reload")
            same(one.next("down")["account"], "a")
            flow.wait_for(lambda: not one.client.call("gateway.pools")["pools"] or
                          all(pool["active"] + pool["idle"] == 0 for pool in one.client.call("gateway.pools")["pools"]))


def test_events_notify(flow):
    """All but the first mailbox of an account share one connection where the server offers NOTIFY"""
    user, one = flow.user(), Subscriber(flow)
    names = ["A", "B", "C", "D"]
    for name in names:
        one.client.call("imap.create", account=user, mailbox=name)
    same(one.subscribe(user)["mode"], "idle")
    watching = lambda: sum(pool["active"] for pool in one.client.call("gateway.pools")["pools"] if pool["account"] == user)
    for name in names:      # some of them come when others are being listened to already
        same(one.subscribe(user, mailbox=name)["mode"], "notify")
        if name in "BC":
            flow.wait_for(lambda: watching() == 2)
            time.sleep(0.2)
    for name in ("C", "A", "D"):
        same(one.client.call("imap.append", account=user, mailbox=name, raw=flow.letter("bob@example.com", name).decode())["uid"], 1)
        event = one.next("new")
        same((event["mailbox"], event["uids"]), (name, "1"))
    one.client.call("imap.store", account=user, mailbox="C", uids=[1], command="+FLAGS", flags=["\\Flagged"], uidvalidity="any")
    same((lambda event: (event["mailbox"], event["messages"][0]["flags"]))(one.next("changed")), ("C", ["\\Flagged"]))
    one.client.call("imap.store", account=user, mailbox="C", uids=[1], command="+FLAGS", flags=["\\Deleted"], uidvalidity="any")
    one.next("changed")
    one.client.call("imap.expunge", account=user, mailbox="C", all=True, uidvalidity="any")
    same((lambda event: (event["mailbox"], event["uids"]))(one.next("vanished")), ("C", "1"))
    flow.put(user, flow.letter("bob@example.com", "to the inbox"))
    same(one.next("new")["mailbox"], "INBOX")
    one.none(0.3)
    flow.wait_for(lambda: watching() == 2)      # no more than the first one's and the one that is shared


def test_events_notify_in_part(flow):
    """A mailbox of which NOTIFY tells nothing is watched in another way: Dovecot 2.3 knows no names beyond ASCII there"""
    user = flow.user()
    with flow.own_daemon({user: flow.account(user, imap={"pool_size": 8})}) as daemon:
        one = Subscriber(flow, daemon)
        one.client.call("imap.create", account=user, mailbox="Größe")
        one.subscribe(user)
        one.subscribe(user, mailbox="Größe")
        flow.wait_for(lambda: one.client.call("gateway.pools")["pools"][0]["active"] >= 2)
        time.sleep(0.5)
        one.client.call("imap.append", account=user, mailbox="Größe", raw=flow.letter("bob@example.com", "x").decode())
        same(one.next("new")["mailbox"], "Größe")


def test_events_notify_refused(flow):
    """Where NOTIFY is refused, or the connection with it is lost, mailboxes are watched in other ways"""
    for answer in ("% NO [BADEVENT (FlagChange)] no\r\n", lambda server, wire, tag, line: wire.shutdown(2)):
        idler = Idler()
        played = Played([1])
        played.idler = idler
        played.server.__exit__()
        played.server = idle_server(idler, {"EXAMINE": played.examine, "UID FETCH": played.fetch, "UID SEARCH": played.search, "NOTIFY": answer},
                                    capabilities=CAPABILITIES + " NOTIFY")
        with playing(flow, played, idle_renew="1s", pool_size=6) as one:
            same(one.subscribe("a")["mode"], "idle")
            one.subscribe("a", mailbox="B")
            flow.wait_for(lambda: played.server.said("NOTIFY"))
            played.box[2] = ""
            same(sorted(one.next("new")["mailbox"] for _ in range(2)), ["B", "INBOX"])
            assert len(played.server.said("NOTIFY")) == 1 and played.server.connections < 8, (played.server.said("NOTIFY"), played.server.connections)


# --- postern watch

class Watching:
    """A `postern` that runs."""

    def __init__(self, flow, *arguments, **more):
        environment = dict(os.environ, POSTERN_SOCKET=str(flow.daemon.socket_path), **more)
        self.process = subprocess.Popen([str(flow.postern), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=environment, text=True)
        flow.cleanups.append(self.stop)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def event(self):
        return json.loads(self.process.stdout.readline())


def watched(flow, user, count=1):
    """Waits until so many mailboxes are watched."""
    flow.wait_for(lambda: sum(pool["active"] for pool in flow.client().call("gateway.pools")["pools"] if pool["account"] == user) >= count,
                  what="the watch")
    time.sleep(0.2)


def test_watch(flow):
    """postern watch tells events, runs a command for each, and goes on where it ended"""
    user = flow.user()
    with tempfile.TemporaryDirectory() as folder:
        state = os.path.join(folder, "state")
        one = Watching(flow, "watch", "--state", state, user, "INBOX", "Sent")
        watched(flow, user, 2)
        flow.put(user, flow.letter("bob@example.com", "first"))
        event = one.event()
        same((event["kind"], event["mailbox"], event["uids"]), ("new", "INBOX", "1"))
        with flow.mailbox(user) as box:
            box.append("Sent", None, None, flow.letter("bob@example.com", "second"))
        same(one.event()["mailbox"], "Sent")
        flow.wait_for(lambda: json.load(open(state))[user]["INBOX"] == event["cursor"])
        one.stop()
        flow.cleanups.remove(one.stop)
        flow.put(user, flow.letter("bob@example.com", "third"))
        two = Watching(flow, "-a", user, "watch", "-s", state, "-k", "new", "-x", f"cat >>{folder}/log; echo $POSTERN_KIND $POSTERN_MAILBOX $POSTERN_UIDS >>{folder}/log; exit 3")
        flow.wait_for(lambda: os.path.exists(f"{folder}/log") and len(open(f"{folder}/log").read().splitlines()) == 2)
        lines = open(f"{folder}/log").read().splitlines()
        same((json.loads(lines[0])["uids"], lines[1]), ("2", "new INBOX 2"))
        flow.wait_for(lambda: json.load(open(state))[user]["INBOX"] != event["cursor"])
        two.process.terminate()
        assert "failed (status 3)" in two.process.stderr.read()
        # Nothing is new: it waits in vain; then it does not.
        postern(flow, "--timeout", "500ms", "wait", "-a", user, "-s", state, status=75)
        waiting = Watching(flow, "wait", user, "-s", state)
        time.sleep(0.5)
        flow.put(user, flow.letter("bob@example.com", "fourth"))
        same((waiting.event()["uids"], waiting.process.wait(10)), ("3", 0))
        postern(flow, "watch", "-k", "odd", user, status=64)
        postern(flow, "watch", "-a", user, "Nowhere", status=69)
        postern(flow, "watch", "-a", user, "-c", "zz", status=64)


def test_watch_on_a_terminal(flow):
    """For people: a line for each message; nothing that a stranger wrote moves the cursor"""
    user = flow.user()
    cursor = flow.client().call("event.subscribe", account=user)["cursor"]
    flow.put(user, flow.letter("bob@example.com", "Lunch \x1b[31m at noon", sender="Ann \x1b]0;x\x07 <ann@example.com>"))
    shown = postern(flow, "wait", "-a", user, "-c", cursor, terminal=True)[0]
    assert "INBOX  new  1  " in shown and "Lunch" in shown and "\x1b" not in shown, shown


def test_watch_through_a_restart(flow):
    """When the gateway restarts, postern watch goes on, and misses nothing"""
    user = flow.user()
    with flow.own_daemon({user: flow.account(user)}) as daemon:
        process = subprocess.Popen([str(flow.postern), "watch", user], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                   env=dict(os.environ, POSTERN_SOCKET=str(daemon.socket_path)))
        try:
            with daemon.client() as client:
                flow.wait_for(lambda: any(pool["active"] for pool in client.call("gateway.pools")["pools"]))
            time.sleep(0.3)
            same(daemon.stop(), None)
            flow.put(user, flow.letter("bob@example.com", "meanwhile"))
            daemon.start()
            event = json.loads(process.stdout.readline())
            same((event["kind"], event["uids"]), ("new", "1"))
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
