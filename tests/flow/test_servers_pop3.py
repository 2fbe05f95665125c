# SPDX-License-Identifier: MIT
"""One list of POP3 tests over Dovecot, Courier and Cyrus."""

import re
import socket
import time

from harness import INVALID_PARAMS, read_all, same, text_of
from peers import Cases

cases = Cases("pop3", __name__)
BODY = "line\n.\n..two\n.dot\n"


def filled(peer, count=3):
    """Fills the maildrop; the ids in the server's order, which is not always that of arrival."""
    peer.put(*[peer.letter(f"number {number}", BODY) for number in range(1, count + 1)])
    return [one["id"] for one in peer.call("pop3.list")["messages"]]


def has_subject(raw):
    return re.search(rb"^Subject: number \d+\r", text_of(raw), re.M) is not None


def left(peer):
    return [one["id"] for one in peer.call("pop3.list")["messages"]]


# -- pooled


@cases.add
def listing(peer):
    """Numbers, sizes and unique ids agree with the totals, and stay what they are"""
    wanted = filled(peer)
    messages = peer.call("pop3.list")["messages"]
    same(([one["number"] for one in messages], [one["id"] for one in messages]), ([1, 2, 3], wanted))
    same(len(set(wanted)), 3)
    total = peer.call("pop3.stat")
    same((total["count"], total["size"]), (3, sum(one["size"] for one in messages)))
    same([one["id"] for one in peer.call("pop3.uidl")["messages"]], wanted)
    items, result = peer.client.streamed("pop3.list", account=peer.name)
    same(([one["id"] for one in items], result["count"]), (wanted, 3))


@cases.add
def empty(peer):
    """An empty maildrop is no error"""
    same((peer.call("pop3.list")["messages"], peer.call("pop3.uidl")["messages"]), ([], []))
    same(peer.call("pop3.stat"), {"count": 0, "size": 0})
    peer.fails("not_found", "pop3.retr", id="none")


@cases.add
def retrieving(peer):
    """A message comes whole, dot-unstuffed, with CRLF, in every form"""
    wanted = filled(peer)
    one = peer.call("pop3.retr", id=wanted[1])
    raw = text_of(one["raw"])
    assert has_subject(one["raw"]) and raw.endswith(BODY.replace("\n", "\r\n").encode()), raw
    same((one["id"], one["raw"]["size"]), (wanted[1], len(raw)))
    for form in ("fd", "pipe"):
        answer, taken = peer.client.call_fds("pop3.retr", account=peer.name, id=wanted[1], content=form)
        same((answer["raw"]["fd"], read_all(taken[0])), (0, raw), form)
    peer.fails("not_found", "pop3.retr", id="no-such-id")
    peer.fails(INVALID_PARAMS, "pop3.retr", number=1)
    same(left(peer), wanted)


@cases.add
def many_in_one_flight(peer):
    """Many ids in one call come in the order asked for, in one flight where the server offers PIPELINING"""
    wanted = filled(peer, 30)
    asked = [wanted[(number * 7) % 30] for number in range(30)]
    answer = peer.call("pop3.retr", ids=asked)["messages"]
    same([one["id"] for one in answer], asked)
    subjects = [re.search(rb"^Subject: (.*)\r", text_of(one["raw"]), re.M).group(1).decode() for one in answer]
    same(sorted(subjects), sorted(f"number {number}" for number in range(1, 31)))
    alone = text_of(peer.call("pop3.retr", id=asked[9])["raw"])
    assert f"Subject: {subjects[9]}\r\n".encode() in alone, alone
    flights = [data.count(b"RETR ") for record in peer.records() for who, data in record.pieces if who == "C"]
    assert (max(flights) >= 10) == peer.offers("PIPELINING"), flights
    items, result = peer.client.streamed("pop3.retr", account=peer.name, ids=asked[:5])
    same(([one["id"] for one in items], result["count"]), (asked[:5], 5))


@cases.add
def at_once(peer):
    """Twenty calls at once on one maildrop are all answered, one connection at a time"""
    wanted = filled(peer)
    numbers = [peer.begin("pop3.retr", id=wanted[number % 3]) for number in range(20)]
    got = [peer.client.finish(number)[0] for number in numbers]
    same([one["id"] for one in got], [wanted[number % 3] for number in range(20)])
    same(len({text_of(one["raw"]) for one in got}), 3)
    same(peer.connections(), 1, "connections")


@cases.add(needs="TOP")
def top(peer):
    """The head, and some lines"""
    wanted = filled(peer)
    raw = text_of(peer.call("pop3.top", id=wanted[0], lines=2)["raw"])
    assert raw.endswith(b"\r\n\r\nline\r\n.\r\n"), raw
    raw = text_of(peer.call("pop3.top", id=wanted[0])["raw"])
    assert b"Subject: number " in raw and b"line" not in raw, raw


@cases.add
def deleting(peer):
    """What delete answered for is gone, and the ids of the others stay"""
    peer.account(peer.name, idle_timeout="500ms")       # Cyrus takes no mail for a maildrop that is open
    wanted = filled(peer, 5)
    peer.call("pop3.delete", id=wanted[0])
    same(left(peer), wanted[1:])
    peer.call("pop3.delete", ids=[wanted[2], wanted[4]])
    same(left(peer), [wanted[1], wanted[3]])
    error = peer.fails("not_found", "pop3.delete", id=wanted[0])
    same(error.data["outcome"], "none")
    peer.fails("not_found", "pop3.delete", ids=[wanted[1], "unknown"])
    same(left(peer), [wanted[1], wanted[3]], "one of them unknown: nothing is deleted")
    peer.put(peer.letter("new"))
    same(left(peer)[:2], [wanted[1], wanted[3]])


@cases.add
def big(peer):
    """A message of 3 MB comes whole"""
    peer.put(peer.letter("big", ".a dotted line of many\n" * 130000))
    identifier, = left(peer)
    answer, taken = peer.client.call_fds("pop3.retr", account=peer.name, id=identifier, content="fd")
    same(read_all(taken[0]).count(b"\r\n.a dotted line of many"), 130000)


@cases.add
def eight_bit(peer):
    """Bytes that are no UTF-8 come as they are"""
    letter = b"Subject: bytes\r\nFrom: a@example.com\r\n\r\n" + bytes(range(128, 256)) * 5 + b"\r\n"
    peer.put(letter)
    identifier, = left(peer)
    raw = peer.call("pop3.retr", id=identifier)["raw"]
    assert "base64" in raw and text_of(raw).endswith(bytes(range(128, 256)) * 5 + b"\r\n"), raw


# -- logging in


@cases.add
def mechanisms(peer):
    """Every mechanism that the server offers logs in, a wrong password is refused once"""
    for name in peer.mechanisms:
        token = {"password": None, "token": peer.mail.token(peer.user)} if name in ("XOAUTH2", "OAUTHBEARER") else {}
        account = peer.account(f"{peer.name}-{name.lower()}", sections={"auth": {"method": "sasl-login" if name == "LOGIN" else name, **token}})
        same(peer.call("pop3.stat", account=account)["count"], 0, name)
        assert peer.on_wire(rf"^AUTH {name}\b".encode()), name
    account = peer.account(f"{peer.name}-user", sections={"auth": {"method": "user"}})
    same(peer.call("pop3.stat", account=account)["count"], 0, "USER and PASS")
    assert peer.on_wire(rb"^USER " + peer.user.encode() + rb"\r\n")
    wrong = peer.account(f"{peer.name}-wrong", sections={"auth": {"password": "not-this", "method": "PLAIN"}})
    peer.fails("auth", "pop3.stat", account=wrong)
    begun = peer.connections()
    peer.fails("auth", "pop3.stat", account=wrong)
    same(peer.connections(), begun, "a refused password was tried again")


def without_apop(peer):
    """A server whose greeting has no timestamp does not know it"""
    account = peer.account(f"{peer.name}-apop", sections={"auth": {"method": "apop"}})
    peer.fails("unsupported_mechanism", "pop3.stat", account=account)
    same(peer.on_wire(rb"^APOP"), [])


@cases.add(needs="APOP", otherwise=without_apop)
def apop(peer):
    """APOP, by the account and in a session"""
    account = peer.account(f"{peer.name}-apop", sections={"auth": {"method": "apop"}})
    same(peer.call("pop3.stat", account=account)["count"], 0)
    assert peer.on_wire(rb"^APOP \S+ [0-9a-f]{32}\r"), peer.wire()
    session = peer.open(login=False)["session"]
    peer.call("pop3.apop", session=session, username=peer.user, password=peer.mail.users[peer.user])
    same(peer.call("pop3.stat", session=session)["count"], 0)
    peer.call("pop3.quit", session=session)


@cases.add(only=["cyrus"])
def bound_login(peer):
    """A login bound to its TLS where that can be, and without where Cyrus cannot: past the relay, which is what it is against"""
    for version, method in (("tls12_", "SCRAM-SHA-256-PLUS"), ("tls12_", "SCRAM-SHA-1-PLUS"), ("tls12_", "auto"), ("", "auto")):
        port = peer.mail.ports[f"cyrus_{version}pop3s"]
        account = peer.account(f"{peer.name}-{version}{method.lower()}", sections={"auth": {"method": method}}, disable="X", port=port)
        peer.call("pop3.stat", account=account)


@cases.add
def starttls(peer):
    """STLS before anything is said that matters"""
    account = peer.account(f"{peer.name}-stls", starttls=True)
    same(peer.call("pop3.stat", account=account)["count"], 0)
    said = peer.records(peer.clear)[0].said()
    assert 0 <= said.index(b"STLS\r\n") < min(said.find(word) for word in (b"AUTH ", b"USER ") if word in said), said


# -- sessions


@cases.add
def by_numbers(peer):
    """A session speaks numbers; deletions are taken back by rset, and committed by quit alone"""
    wanted = filled(peer, 4)
    session = peer.open()["session"]
    same(peer.call("pop3.stat", session=session)["count"], 4)
    listed, = peer.call("pop3.list", session=session, number=2)["messages"]
    same((listed["number"], listed["size"] > 0), (2, True))
    same(peer.call("pop3.uidl", session=session, number=3)["messages"][0]["id"], wanted[2])
    assert has_subject(peer.call("pop3.retr", session=session, number=4)["raw"])
    assert text_of(peer.call("pop3.top", session=session, number=1, lines=1)["raw"]).endswith(b"\r\n\r\nline\r\n")
    peer.call("pop3.dele", session=session, number=1)
    error = peer.fails("rejected", "pop3.retr", session=session, number=1)
    same((error.data["stage"], error.data["outcome"]), ("retr", "none"))
    same(peer.call("pop3.stat", session=session)["count"], 3)
    peer.call("pop3.rset", session=session)
    same(peer.call("pop3.stat", session=session)["count"], 4)
    peer.fails("rejected", "pop3.retr", session=session, number=99)
    peer.call("pop3.noop", session=session)
    peer.call("pop3.dele", session=session, number=2)
    peer.call("pop3.close", session=session)
    same(left(peer), wanted, "closed without quit")
    session = peer.open()["session"]
    peer.call("pop3.dele", session=session, number=3)
    peer.call("pop3.quit", session=session)
    same(left(peer), [wanted[0], wanted[1], wanted[3]])


@cases.add
def login_by_steps(peer):
    """capa, stls, user and pass_ one by one; nothing goes out in clear before"""
    account = peer.account(f"{peer.name}-steps", starttls=True, tls="none")
    secret = peer.mail.users[peer.user]
    session = peer.open(account=account, login=False)["session"]
    assert peer.call("pop3.getwelcome", session=session)["text"]
    before = peer.call("pop3.capa", session=session)["capabilities"]
    assert {"STLS", "UIDL", "TOP"} <= set(before), before
    peer.fails("tls", "pop3.pass_", session=session, password=secret)
    peer.call("pop3.stls", session=session)
    assert "STLS" not in peer.call("pop3.capa", session=session)["capabilities"]
    peer.call("pop3.user", session=session, username=peer.user)
    peer.call("pop3.pass_", session=session, password=secret)
    same(peer.call("pop3.stat", session=session)["count"], 0)
    peer.call("pop3.quit", session=session)
    session = peer.open(login=False)["session"]
    assert peer.call("pop3.auth", session=session, mechanism="CRAM-MD5")["text"] is not None
    same(peer.call("pop3.stat", session=session)["count"], 0)
    peer.call("pop3.quit", session=session)


@cases.add
def refused_login_by_steps(peer):
    """A wrong password in a session, and the right one on the next"""
    session = peer.open(login=False)["session"]
    peer.call("pop3.user", session=session, username=peer.user)
    peer.fails("auth", "pop3.pass_", session=session, password="wrong")
    try:        # Courier ends the connection
        peer.call("pop3.close", session=session)
    except Exception as error:
        same(getattr(error, "kind", error), "no_such_session")
    session = peer.open()["session"]
    peer.call("pop3.quit", session=session)


@cases.add
def any_command(peer):
    """exec sends what the caller says, in one line or several; readline takes lines one by one"""
    filled(peer, 2)
    session = peer.open()["session"]
    answer = peer.call("pop3.exec", session=session, command="STAT")
    assert answer["ok"] and answer["text"].startswith("2 "), answer
    raw = text_of(peer.call("pop3.exec", session=session, command="LIST")["raw"])
    same([line.split()[0] for line in raw.splitlines()], [b"1", b"2"])
    same(peer.call("pop3.exec", session=session, command="XYZZY")["ok"], False)
    same(peer.call("pop3.exec", session=session, command="UIDL", readline=True)["ok"], True)
    lines = [text_of(peer.call("pop3.readline", session=session)["raw"]) for _ in range(3)]
    same(([line.split()[0] for line in lines[:2]], lines[2]), ([b"1", b"2"], b".\r\n"))
    peer.fails(INVALID_PARAMS, "pop3.exec", session=session, command="QUIT")
    peer.call("pop3.quit", session=session)


def refuses_utf8(peer):
    """Not offered, not sent"""
    session = peer.open(login=False)["session"]
    peer.fails("missing_extension", "pop3.utf8", session=session)
    same(peer.on_wire(rb"^UTF8"), [])
    peer.call("pop3.close", session=session)


@cases.add(needs="UTF8", otherwise=refuses_utf8)
def utf8(peer):
    """UTF8 before the login"""
    session = peer.open(login=False)["session"]
    peer.call("pop3.utf8", session=session)
    peer.call("pop3.user", session=session, username=peer.user)
    peer.call("pop3.pass_", session=session, password=peer.mail.users[peer.user])
    same(peer.call("pop3.stat", session=session)["count"], 0)
    peer.call("pop3.quit", session=session)


@cases.add
def language(peer):
    """LANG lists what there is, or is refused"""
    offered = peer.offers("LANG")
    session = peer.open()["session"]
    same(peer.call("pop3.exec", session=session, command="LANG")["ok"], offered)
    peer.call("pop3.quit", session=session)


@cases.add
def trace(peer):
    """set_debuglevel shows the dialogue without secrets"""
    session = peer.open(login=False)["session"]
    peer.call("pop3.set_debuglevel", session=session, level=1)
    secret = peer.mail.users[peer.user]
    peer.call("pop3.user", session=session, username=peer.user)
    peer.call("pop3.pass_", session=session, password=secret)
    peer.call("pop3.quit", session=session)
    lines = [note["params"]["line"] for note in peer.client.notes if note["method"] == "trace"]
    assert f"USER {peer.user}" in lines and "PASS ***" in lines and not any(secret in line for line in lines), lines


@cases.add
def handed_over(peer):
    """get_handle gives a socket that speaks clear POP3 on the session"""
    filled(peer, 1)
    session = peer.open()["session"]
    answer, descriptors = peer.client.call_fds("pop3.get_handle", session=session)
    with socket.socket(fileno=descriptors[answer["handle"]["fd"]]) as handle:
        handle.settimeout(10)
        for command in (b"STAT\r\n", b"DELE 1\r\n", b"QUIT\r\n"):
            handle.sendall(command)
            got = handle.recv(1000)
            assert got.startswith(b"+OK"), (command, got)
    peer.flow.wait_for(lambda: left(peer) == [], what="the deletion")


# -- the maildrop's lock, connections


@cases.add
def waits_for_a_session(peer):
    """A pooled call waits while a session holds the maildrop"""
    filled(peer, 1)
    session = peer.open()["session"]
    number = peer.begin("pop3.stat")
    time.sleep(0.3)
    assert number not in peer.client.answers
    peer.call("pop3.quit", session=session)
    same(peer.client.finish(number)[0]["count"], 1)
    same(sum(not record.over for record in peer.records()) <= 1, True)


@cases.add
def locked_by_another(peer):
    """Somebody else's session on the maildrop: served, or refused as something that passes, never as a wrong password"""
    other = peer.account(f"{peer.name}-other")
    session = peer.open()["session"]
    number = peer.begin("pop3.stat", account=other, timeout=3000)
    try:
        same(peer.client.finish(number)[0]["count"], 0)
    except Exception as error:
        assert getattr(error, "kind", None) in ("rejected", "timeout", "busy"), error
        same(error.data["outcome"], "none")
    peer.call("pop3.quit", session=session)
    same(peer.call("pop3.stat")["count"], 0)


@cases.add(only=["courier"])
def login_delay(peer):
    """LOGIN-DELAY is kept to between two logins"""
    account = peer.account(f"{peer.name}-delayed", as_is=True)
    for wait in (0, 8):
        begun = time.monotonic()
        peer.call("pop3.quit", session=peer.open(account=account)["session"])
        assert time.monotonic() - begun >= wait, time.monotonic() - begun


@cases.add
def killed_while_idle(peer):
    """A connection that the server ended while it was idle is not noticed by the next call"""
    wanted = filled(peer)
    for reset in (False, True):
        same(peer.call("pop3.stat")["count"], 3)
        assert peer.drop(reset) >= 1
        time.sleep(0.1)
        assert b"Subject: number " in text_of(peer.call("pop3.retr", id=wanted[0])["raw"])
    peer.drop()
    time.sleep(0.1)
    peer.call("pop3.delete", id=wanted[0])
    same(left(peer), wanted[1:])


@cases.add
def capabilities(peer):
    """capa tells names and arguments, before the login and after it"""
    session = peer.open(login=False)["session"]
    told = peer.call("pop3.capa", session=session)["capabilities"]
    assert {"TOP", "UIDL", "SASL"} <= set(told), told
    assert set(peer.mechanisms) <= set(told["SASL"]), told
    peer.call("pop3.auth", session=session, mechanism="PLAIN")
    assert {"TOP", "UIDL"} <= set(peer.call("pop3.capa", session=session)["capabilities"])
    peer.call("pop3.quit", session=session)
    assert "True" in str(peer.call("account.test"))
