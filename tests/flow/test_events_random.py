# SPDX-License-Identifier: MIT
"""Mailboxes that change at random while many watch them. POSTERN_FLOW_FULL=1: for a minute, with 10,000 messages."""

import os
import random
import re
import socket
import ssl
import threading
import time

from harness import same

FULL = bool(os.environ.get("POSTERN_FLOW_FULL"))
SECONDS, MESSAGES = (60, 10000) if FULL else (6, 500)
FLAGS = ["\\Seen", "\\Answered", "\\Flagged", "\\Draft", "blue", "red"]


class Raw:
    """IMAP with as little as possible between: a command is a text or bytes, its answer a list of lines."""

    def __init__(self, flow, user):
        context = ssl.create_default_context(cafile=flow.mail.ca_file)
        self.wire = context.wrap_socket(socket.create_connection(("localhost", flow.mail.ports["imaps"])), server_hostname="localhost")
        self.stream = self.wire.makefile("rb")
        self.stream.readline()
        self.number = 0
        self.ask(f'LOGIN {user} "{flow.mail.users[user]}"')

    def ask(self, command):
        self.number += 1
        tag = b"x%d" % self.number
        self.wire.sendall(tag + b" " + (command if isinstance(command, bytes) else command.encode()) + b"\r\n")
        lines = []
        while True:
            line = self.stream.readline()
            assert line, "the server closed the connection"
            lines.append(line)
            if line.startswith(tag + b" "):
                assert line.startswith(tag + b" OK"), line
                return lines

    def close(self):
        self.wire.close()


class Truth:
    """Which message has which UID: each has a subject of its own."""

    def __init__(self):
        self.lock, self.subjects, self.last = threading.Lock(), {}, 0

    def letter(self):
        with self.lock:
            self.last += 1
            return self.last, f"Subject: number {self.last}\r\nFrom: a@example.com\r\n\r\nx\r\n".encode()

    def is_at(self, uid, subject):
        with self.lock:
            known = self.subjects.setdefault(uid, subject)
        same(subject, known, f"the message of UID {uid}")


def numbers(text):
    for part in text.split(","):
        first, _, last = part.partition(":")
        yield from range(int(first), int(last or first) + 1)


def append(raw, truth, count):
    """Puts in `count` messages at once."""
    letters = [truth.letter() for _ in range(count)]
    answer = raw.ask(b"APPEND INBOX" + b"".join(b" {%d+}\r\n%s" % (len(text), text) for _, text in letters))[-1]
    uids = list(numbers(re.search(rb"APPENDUID \d+ ([\d:,]+)", answer)[1].decode()))
    same(len(uids), count)
    for uid, (number, _) in zip(uids, letters):
        truth.is_at(uid, f"number {number}")
    return uids


class Changer(threading.Thread):
    def __init__(self, flow, user, truth, seed, until):
        super().__init__(daemon=True)
        self.raw, self.truth, self.random, self.until, self.error, self.done = Raw(flow, user), truth, random.Random(seed), until, None, 0
        self.raw.ask("SELECT INBOX")

    def some(self):
        last = max(self.truth.subjects)
        first = self.random.randint(1, last)
        return f"{first}:{min(last, first + self.random.choice([0, 0, 1, 5, 40]))}"

    def step(self):
        what = self.random.random()
        if what < 0.5:
            flags = " ".join(self.random.sample(FLAGS, self.random.randint(1, 3)))
            self.raw.ask(f"UID STORE {self.some()} {self.random.choice(['+FLAGS', '-FLAGS', 'FLAGS'])}.SILENT ({flags})")
        elif what < 0.75:
            append(self.raw, self.truth, self.random.choice([1, 1, 3, 20]))
        elif what < 0.95:
            uids = self.some()
            self.raw.ask(f"UID STORE {uids} +FLAGS.SILENT (\\Deleted)")
            self.raw.ask(f"UID EXPUNGE {uids}")
        else:
            time.sleep(self.random.random() / 2)
        self.done += 1
        time.sleep(0.002)

    def run(self):
        try:
            while time.monotonic() < self.until:
                self.step()
        except BaseException as error:
            self.error = error
        self.raw.close()


class Watcher(threading.Thread):
    """Keeps a picture of the mailbox by events alone, but for what `resync` asks for."""

    def __init__(self, daemon, account, truth, name, restless=False, **params):
        super().__init__(daemon=True, name=name)
        self.daemon_, self.account, self.truth, self.params, self.restless = daemon, account, truth, params, restless
        self.picture, self.events, self.error, self.stop_, self.heard_at, self.resyncs = {}, 0, None, False, time.monotonic(), 0
        self.client = None
        self.subscribe()
        self.list()

    def subscribe(self, **cursor):
        if self.client:
            self.client.close()
        self.client = self.daemon_.client()
        self.cursor = self.client.call("event.subscribe", account=self.account, **dict(self.params, **cursor))["cursor"]

    def list(self):
        with self.daemon_.client() as client:
            client.finish(client.begin("imap.fetch", account=self.account, uids="1:*", items=["FLAGS", "ENVELOPE"], stream=True))
            items = [note["params"]["item"] for note in client.notes]
        for item in items:
            self.truth.is_at(item["uid"], item["envelope"]["subject"])
        self.picture = {item["uid"]: flags_of(item) for item in items}

    def handle(self, event):
        kind = event["kind"]
        self.events += 1
        if kind == "resync":
            self.resyncs += 1
            self.list()
        elif kind in ("new", "changed"):
            same(sorted(numbers(event["uids"])), [message["uid"] for message in event["messages"]])
            for message in event["messages"]:
                if kind == "changed" and message["uid"] not in self.picture:
                    raise AssertionError(f"{self.name}: {message['uid']} changed, which was never told of")
                if "envelope" in message:
                    self.truth.is_at(message["uid"], message["envelope"]["subject"])
                self.picture[message["uid"]] = flags_of(message)
        elif kind == "vanished":
            for uid in numbers(event["uids"]):
                self.picture.pop(uid, None)
        self.cursor = event["cursor"]

    def run(self):
        restless = random.Random(self.name)
        try:
            while not self.stop_:
                try:
                    self.client.collect(0.2)
                except AssertionError:
                    pass
                for note in self.client.notes:
                    if note["method"] == "event":
                        self.handle(note["params"])
                        self.heard_at = time.monotonic()
                self.client.notes.clear()
                if self.restless and restless.random() < 0.03:
                    self.subscribe(cursor=self.cursor)
        except BaseException as error:
            self.error = error


def flags_of(message):
    return frozenset(flag for flag in message["flags"] if flag != "\\Recent")


class Fetcher(threading.Thread):
    """Asks for messages by UID, whatever happens to them."""

    def __init__(self, daemon, account, truth, until):
        super().__init__(daemon=True)
        self.client, self.account, self.truth, self.until, self.error, self.fetched = daemon.client(), account, truth, until, None, 0

    def run(self):
        chosen = random.Random(5)
        try:
            while time.monotonic() < self.until:
                first = chosen.randint(1, max(self.truth.subjects))
                answer = self.client.call("imap.fetch", account=self.account, uids=f"{first}:{first + 20}", items=["ENVELOPE", "FLAGS"])
                for message in answer["messages"]:
                    self.truth.is_at(message["uid"], message["envelope"]["subject"])
                    self.fetched += 1
                time.sleep(0.02)
        except BaseException as error:
            self.error = error


def server_picture(flow, user):
    raw, found = Raw(flow, user), {}
    raw.ask("EXAMINE INBOX")
    for line in raw.ask("UID FETCH 1:* (FLAGS)"):
        match = re.match(rb"\* \d+ FETCH \((?=.*UID (\d+))(?=.*FLAGS \(([^)]*)\))", line)
        if match:
            found[int(match[1])] = frozenset(flag for flag in match[2].decode().split() if flag != "\\Recent")
    raw.close()
    return found


def test_events_random(flow):
    """Two change a mailbox at random: at the end all have the server's picture, and no message had another's UID"""
    user, truth = flow.user(), Truth()
    raw = Raw(flow, user)
    for _ in range(0, MESSAGES, 100):
        append(raw, truth, 100)
    raw.close()
    accounts = {user: flow.account(user, imap={"pool_size": 8}), "condstore": flow.account(user, imap={"disable": "QRESYNC"}),
                "plain": flow.account(user, imap={"disable": "QRESYNC CONDSTORE"}),
                "polled": flow.account(user, imap={"pool_size": 1, "idle_renew": "1s"})}
    with flow.own_daemon(accounts) as daemon:
        watchers = [Watcher(daemon, user, truth, "simple"), Watcher(daemon, user, truth, "items", items=["ENVELOPE"]),
                    Watcher(daemon, user, truth, "restless", restless=True),
                    Watcher(daemon, "condstore", truth, "condstore", restless=True), Watcher(daemon, "plain", truth, "plain"),
                    Watcher(daemon, "polled", truth, "polled", items="ENVELOPE")]
        until = time.monotonic() + SECONDS
        workers = [Changer(flow, user, truth, 1, until), Changer(flow, user, truth, 2, until), Fetcher(daemon, user, truth, until)]
        for thread in watchers + workers:
            thread.start()
        for thread in workers:
            thread.join(SECONDS + 30)
        wanted = server_picture(flow, user)
        ended = time.monotonic()
        # Who has heard nothing for so long will not hear it any more.
        while any(one.picture != wanted and time.monotonic() - max(one.heard_at, ended) < 10 for one in watchers):
            time.sleep(0.2)
        for thread in watchers:
            thread.stop_ = True
            thread.join(10)
            thread.client.close()
        workers[2].client.close()
        for thread in workers + watchers:
            if thread.error:
                raise thread.error
        for one in watchers:
            wrong = {uid: (one.picture.get(uid), wanted.get(uid)) for uid in set(one.picture) | set(wanted)
                     if one.picture.get(uid) != wanted.get(uid)}
            same(dict(list(wrong.items())[:5]), {}, f"{one.name}, {len(wrong)} messages, {one.resyncs} times listed again, "
                 f"last event {one.heard_at - ended:.1f} s after the end")
            assert one.events > 5, f"{one.name}: {one.events} events"
        assert workers[2].fetched > 20 and workers[0].done + workers[1].done > 50, (workers[2].fetched, workers[0].done, workers[1].done)
        same([one.resyncs for one in watchers if one.name not in ("plain",)], [0] * 5)


test_events_random.limit = 60 + 3 * SECONDS
