# SPDX-License-Identifier: MIT
"""A whole dialogue, cut off behind each byte of either direction: what a call says must be what happened. The same with each
byte of the server made another one.

The cuts are some of many here, and all of them where POSTERN_FULL is set (`make check-full`)."""

import contextlib
import os
import socket
import struct
import threading
import time

import matrix
import test_smtp_matrix as smtp
from fake_pop3 import FakePop3
from harness import WAIT_S, RpcError, ready, same, span, text_of

FULL = bool(os.environ.get("POSTERN_FULL"))
AT_ONCE = 6
LIMIT_MS = 700
LETTER = b"Subject: whole\r\n\r\n" + b"".join(b"line %d\r\n.dot\r\n" % number for number in range(6)) + b"end\r\n"


def waits():
    """The keys of an account whose connections are cut."""
    wait = span(LIMIT_MS)
    return {"connect_timeout": wait, "timeout": wait, "data_timeout": wait, "max_uses": 1, "pool_size": 2}


class Relay:
    """Hands bytes on, and cuts the next connection behind that many bytes from the server (0) or the client (1)."""

    def __init__(self, port):
        self.port_of_server, self.cut, self.mode = port, (None, None), "fin"
        self.passed, self.connections = [0, 0], 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def arm(self, direction, offset, mode):
        self.cut, self.mode = (direction, offset), mode

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            cut, self.cut = self.cut, (None, None)
            threading.Thread(target=self.serve, args=(client, cut, self.mode), daemon=True).start()

    def serve(self, client, cut, mode):
        with contextlib.suppress(OSError), client, socket.create_connection(("127.0.0.1", self.port_of_server)) as server:
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            passed = [0, 0]
            while True:
                if cut[0] is not None and passed[cut[0]] == cut[1] and not isinstance(mode, int):
                    self.end(client, server, mode)
                    return
                for one in ready([client, server], seconds=20)[0]:
                    way = int(one is client)
                    room = cut[1] - passed[way] if cut[0] == way and not isinstance(mode, int) else 1 << 16
                    data = one.recv(min(room, 1 << 16)) if room else b""
                    if cut[0] == way and isinstance(mode, int) and passed[way] <= cut[1] < passed[way] + len(data):
                        place = cut[1] - passed[way]
                        data = data[:place] + bytes([data[place] ^ mode]) + data[place + 1:]
                    if not data:
                        self.passed = passed
                        return
                    passed[way] += len(data)
                    (client, server)[way].sendall(data)

    @staticmethod
    def end(client, server, mode):
        if mode == "rst":
            time.sleep(0.02)        # what was passed on arrives before it
            for one in (client, server):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif mode == "stall":
            server.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError):
                while client.recv(1 << 16):
                    pass


def offsets(totals, stride, first):
    """(direction, offset, mode) of the cuts."""
    place = 0
    for direction, total in enumerate(totals):
        for offset in range(first % stride, total + 1, stride):
            place += 1
            yield direction, offset, "stall" if place % 23 == 0 else ("fin", "rst")[place % 2]


class Line:
    """One server, relay and account of those that work side by side."""

    def __init__(self, name, server, keys, make_account):
        self.name, self.server = name, server
        self.relay = Relay(server.port if hasattr(server, "port") else server)
        self.account = make_account(dict(keys, port=self.relay.port))


def changes(totals, stride):
    """(0, offset, what to change of the byte): a digit, a letter's case, a letter to a control character, the eighth bit."""
    for place, offset in enumerate(range(0, totals[0], stride)):
        yield 0, offset, (1, 0x20, 0x40, 0x80)[place % 4]


def run(flow, lines, play, stride, settle=None, corrupt=False):
    """play(client, line, number) -> what is wrong, or None; for every cut, on a fresh connection."""
    wrong, lock = [], threading.Lock()
    with flow.own_daemon({line.name: line.account for line in lines}) as daemon:
        files = daemon.files()
        with daemon.client() as client:     # uncut, to know how much there is
            same(play(client, lines[0], "whole", True), None)
            totals = flow.wait_for(lambda: lines[0].relay.passed if all(lines[0].relay.passed) else None)
        jobs = list(enumerate(changes(totals, stride) if corrupt else offsets(totals, stride, 1)))
        count = len(jobs)

        def work(line):
            with daemon.client() as client:
                while True:
                    with lock:
                        if not jobs:
                            return
                        number, (direction, offset, mode) = jobs.pop()
                    client.call("gateway.resume", account=line.name)
                    line.relay.arm(direction, offset, mode)
                    began = time.monotonic()
                    try:
                        said = play(client, line, number, False)
                    except Exception as error:
                        said = f"{type(error).__name__}: {error}"
                    took = time.monotonic() - began
                    if took > 4 * 2 * LIMIT_MS / 1000 + matrix.slack_s():      # as slow as span() may be
                        said = f"{said or ''} took {took:.2f} s"
                    line.relay.arm(None, None, "fin")
                    if said and not (corrupt and "took" not in said and "AssertionError" not in said):
                        wrong.append(f"{('server', 'client')[direction]} cut behind {offset} of {totals[direction]} ({mode}): {said}")
        threads = [threading.Thread(target=work, args=(line,)) for line in lines]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        flow.wait_for(lambda: not daemon.files() - files, what="the end of all descriptors")
    if settle:
        wrong += settle()
    for line in lines:
        line.relay.close()
    assert not wrong, f"{len(wrong)} of {count}:\n" + "\n".join(wrong[:20])


# what a server may be understood to say when its words were changed
GARBLED = ("auth", "missing_extension", "unsupported_mechanism", "not_found", "conflict", "bad_message")


def outcome_of(call):
    """("done", result), or the outcome of the error and the error."""
    try:
        return "done", call()
    except RpcError as error:
        assert error.kind in ("disconnected", "timeout", "tls", "connect", "protocol", "rejected", "no_such_session", "unavailable", *GARBLED), error
        return error.data.get("outcome"), error


# -- SMTP


def send(client, line, number, whole):
    """One mail by one call. A connection that was lost before anything happened is replaced unseen."""
    subject = f"Subject: cut {number}."
    before = line.server.connections
    outcome, found = outcome_of(lambda: client.call("smtp.send", account=line.name, raw=f"{subject}\n\n.dot\n..\nend of it\n",
                                                    envelope={"from": "a@example.com", "to": ["b@example.com"]}))
    line_ends(line, before)
    mails = [body for body in line.server.bodies if subject in body]
    if any(not body.endswith("\r\n\r\n..dot\r\n...\r\nend of it") for body in mails):
        return f"a mail is not whole: {mails}"
    if len(mails) != 1 if outcome == "done" else len(mails) > (outcome == "unknown"):
        return f"{outcome}, and there are {len(mails)}: {found}"
    return f"{found}" if whole and outcome != "done" else None


def line_ends(line, before, limit=WAIT_S):
    """Waits until the server has seen the end of what it serves."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline and any(wire.socket.fileno() >= 0 and not wire.ended for wire in line.server.wires[before:]):
        time.sleep(0.002)


def smtp_lines(flow, tls):
    for number in range(AT_ONCE):
        server = smtp.FakeSmtp(certificate=flow.mail.certificates["good"] if tls else None)
        keys = dict(waits(), host="localhost" if tls else "127.0.0.1", tls="all" if tls else "none", implicit_tls="no", allow_plaintext_auth="yes")
        yield Line(f"cut{number}", server, keys, lambda smtp: flow.account("ann", auth={"password": server.password}, smtp=smtp))


def test_smtp(flow):
    """smtp.send in clear, cut behind each byte"""
    run(flow, list(smtp_lines(flow, False)), send, 1 if FULL else 7)


def test_smtp_tls(flow):
    """smtp.send with TLS, cut behind each byte"""
    run(flow, list(smtp_lines(flow, True)), send, 1 if FULL else 31)


# -- POP3


def read_and_delete(client, line, number, whole):
    server, before = line.server, line.server.connections
    server.drop = {f"id-{place}": LETTER for place in (1, 2)}
    server.commits.clear()
    asked = False

    def session():
        nonlocal asked
        name = client.call("pop3.open", account=line.name)["session"]
        try:
            same(text_of(client.call("pop3.retr", session=name, number=1)["raw"]), LETTER)
            client.call("pop3.dele", session=name, number=1)
            asked = True
            client.call("pop3.quit", session=name)
        finally:
            with contextlib.suppress(RpcError):
                client.call("pop3.close", session=name)

    outcome, found = outcome_of(session)
    line_ends(line, before)
    deleted = [name for commit in server.commits for name in commit]
    if deleted != ["id-1"] if outcome == "done" else deleted and outcome != "unknown":
        return f"{outcome}, and {deleted} are deleted: {found}"
    if outcome == "unknown" and not asked:
        return f"unknown before QUIT: {found}"
    return f"{found}" if whole and outcome != "done" else None


def read_and_delete_pooled(client, line, number, whole):
    """The same by calls by id, which begin anew where they can."""
    server, before = line.server, line.server.connections
    server.drop = {f"id-{place}": LETTER for place in (1, 2)}
    server.commits.clear()
    if number == "whole" or number % 2:
        outcome, found = outcome_of(lambda: client.call("pop3.delete", account=line.name, id="id-1"))
    else:
        outcome, found = outcome_of(lambda: client.call("pop3.retr", account=line.name, id="id-1"))
        if outcome == "done":
            same(text_of(found["raw"]), LETTER)
        line_ends(line, before)
        return None if not any(server.commits) and outcome in ("done", "none") else f"{outcome}: {server.commits}"
    line_ends(line, before)
    deleted = [name for commit in server.commits for name in commit]
    if deleted != ["id-1"] if outcome == "done" else deleted and outcome != "unknown":
        return f"{outcome}, and {deleted} are deleted: {found}"
    return f"{found}" if whole and outcome != "done" else None


def pop3_lines(flow, tls):
    for number in range(AT_ONCE):
        server = FakePop3(certificate=flow.mail.certificates["good"] if tls else None)
        keys = dict(waits(), host="localhost" if tls else "127.0.0.1", tls="all" if tls else "none", implicit_tls="no", allow_plaintext_auth="yes",
                    method="user", pool_size=1)
        yield Line(f"cut{number}", server, keys, lambda pop3: flow.account("ann", auth={"password": server.password}, pop3=pop3))


def test_pop3(flow):
    """A POP3 session that reads and deletes in clear, cut behind each byte"""
    run(flow, list(pop3_lines(flow, False)), read_and_delete, 1 if FULL else 7)


def test_pop3_tls(flow):
    """The same with TLS"""
    run(flow, list(pop3_lines(flow, True)), read_and_delete, 1 if FULL else 31)


def test_pop3_pooled(flow):
    """pop3.retr and pop3.delete by unique id, cut behind each byte"""
    run(flow, list(pop3_lines(flow, False)), read_and_delete_pooled, 1 if FULL else 7)


def garbled(client, line, number, whole):
    """A message whose bytes were changed on the way is given as it came, or not; nothing is deleted that was not asked for."""
    server, before = line.server, line.server.connections
    server.drop = {f"id-{place}": LETTER for place in (1, 2)}
    server.commits.clear()
    outcome, found = outcome_of(lambda: client.call("pop3.retr", account=line.name, id="id-1"))
    assert outcome in ("done", "none"), found
    line_ends(line, before, 0.2)
    assert not any(server.commits), server.commits
    outcome_of(lambda: client.call("pop3.delete", account=line.name, id="id-1"))
    line_ends(line, before, 0.2)
    assert all(name == "id-1" for commit in server.commits for name in commit), server.commits
    return None


def test_garbled(flow):
    """Each byte of what servers say made another: an error or an answer, in time, and the next call works"""
    run(flow, list(pop3_lines(flow, False)), garbled, 1 if FULL else 5, corrupt=True)
    run(flow, list(smtp_lines(flow, False)), send, 1 if FULL else 9, corrupt=True)


# -- IMAP, with a real server


class Imap:
    """What became of the mails that were put: looked at when all is over."""

    def __init__(self, flow):
        self.flow, self.user, self.said = flow, flow.user(), {}
        flow.put(self.user, LETTER)

    def play(self, client, line, number, whole):
        """Reads the first mail and puts another."""
        name = f"cut {number}"

        def session():
            opened = client.call("imap.open", account=line.name)["session"]
            try:
                client.call("imap.select", session=opened, mailbox="INBOX")
                found = client.call("imap.fetch", session=opened, uids="1")["messages"]
                same([text_of(one["sections"]["BODY[]"]) for one in found], [LETTER])
                client.call("imap.append", session=opened, mailbox="INBOX", raw=f"Subject: {name}\n\nwhole\n")
                client.call("imap.logout", session=opened)
            finally:
                with contextlib.suppress(RpcError):
                    client.call("imap.logout", session=opened)
        outcome, found = outcome_of(session)
        self.said[name] = outcome, found
        return f"{found}" if whole and outcome != "done" else None

    def settle(self):
        """Said to be there: once. Said not to be: not. Unknown: not twice."""
        time.sleep(0.5)
        there = self.flow.subjects(self.user)
        for name, (outcome, found) in self.said.items():
            count = there.count(name)
            stage = found.data.get("stage") if isinstance(found, RpcError) else None
            # An error behind the append's answer is none of the append's.
            if count > 1 or (outcome == "unknown" and stage != "append") or (stage == "append" and outcome == "none" and count) or (
                    outcome == "done" and not count):
                yield f"{name}: {outcome} at {stage}, and it is there {count} times: {found}"


def run_imap(flow, tls):
    imap, port = Imap(flow), flow.mail.ports["imap"]
    keys = dict(waits(), host="localhost", tls="all" if tls else "none", implicit_tls="no", allow_plaintext_auth="yes", pool_size=2)
    lines = [Line(f"cut{number}", port, keys, lambda changes: flow.account(imap.user, imap=changes)) for number in range(AT_ONCE)]
    run(flow, lines, imap.play, (1 if FULL else 31) if tls else (1 if FULL else 11), lambda: list(imap.settle()))


def test_imap(flow):
    """An IMAP session that reads and puts a mail in clear, cut behind each byte"""
    run_imap(flow, False)


def test_imap_tls(flow):
    """The same with TLS"""
    run_imap(flow, True)


for test in (test_smtp, test_smtp_tls, test_pop3, test_pop3_tls, test_pop3_pooled, test_garbled, test_imap, test_imap_tls):
    test.limit = 1800 if FULL else 120
