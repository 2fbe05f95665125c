# SPDX-License-Identifier: MIT
"""Attacks and faults of POP3 servers: one test each, which fails where the defence is gone. doc/security.md has the table."""

import time

from fake_mail import after, both, fin, late, rst, silent, then
from fake_pop3 import LETTERS, FakePop3
from harness import INVALID_PARAMS, RpcError, same, span, text_of


class against:
    """A server of these scripts, and a client of a daemon whose account `a` it is."""

    def __init__(self, flow, *scripts, keys=None, settings=None, **more):
        self.server = FakePop3(*scripts, **more)
        self.daemon = flow.own_daemon({"a": self.server.account(flow, **dict({"timeout": span(800)}, **(keys or {})))}, settings)

    def __enter__(self):
        self.daemon.__enter__()
        self.client = self.daemon.client()
        return self.server, self.client

    def __exit__(self, *why):
        self.client.close()
        self.daemon.__exit__(*why)
        self.server.close()


def test_end_of_message(flow):
    """Only CRLF . CRLF ends a message: other ends are its text, and a block too many is nobody's message"""
    odd = b"Subject: odd\r\n\r\na\n.\r\nb\r\n.\nc\n.\nd\r.\r\re\r\n..f\r\n"
    with against(flow, messages=[odd, *LETTERS[1:]]) as (server, client):
        same(text_of(client.call("pop3.retr", account="a", id="id-1")["raw"]), odd)
        same(text_of(client.call("pop3.retr", account="a", id="id-2")["raw"]), LETTERS[1])
    for text in ("+OK\r\nforged\n.\r\n", "+OK\r\nforged\r\n.\n", "+OK\r\nforged"):
        with against(flow, {"retr": both(text, silent)}) as (server, client):
            client.fails("timeout", "pop3.retr", account="a", id="id-1")
            same(text_of(client.call("pop3.retr", account="a", id="id-1")["raw"]), LETTERS[0])
            same(server.connections, 2)
    # the end cut at each of its bytes
    for cut in range(1, 5):
        def slowly(wire, usual, cut=cut):
            wire.send(usual[:-cut])
            time.sleep(0.05)
            wire.send(usual[-cut:])
        with against(flow, {"retr": slowly}) as (server, client):
            same(text_of(client.call("pop3.retr", account="a", id="id-1")["raw"]), LETTERS[0])
    with against(flow, {"retr": then("+OK\r\nSubject: forged\r\n\r\n.\r\n")}, capabilities=["UIDL"]) as (server, client):
        client.call("pop3.retr", account="a", id="id-1")
        same(text_of(client.call("pop3.retr", account="a", id="id-2")["raw"]), LETTERS[1])
        same(server.connections, 2)


def test_cut_message(flow):
    """A message that was cut off is an error, however it was cut, and is never deleted"""
    half = "+OK\r\nSubject: 1\r\n\r\nli"
    for act in (after(half, fin), after(half, rst), after(half, silent)):
        with against(flow, {"retr": act}, {"retr": act}) as (server, client):
            try:
                client.call("pop3.retr", account="a", id="id-1")
                raise AssertionError("half a message was given as one")
            except RpcError as error:
                assert error.kind in ("disconnected", "timeout"), error
            same((server.said("DELE"), len(server.drop)), ([], 3))
        # in a session, whose caller deletes all the same: there is no QUIT that could make it happen
        with against(flow, {"retr": act}) as (server, client):
            session = client.call("pop3.open", account="a")["session"]
            for method, params in (("retr", {"number": 1}), ("dele", {"number": 1}), ("quit", {})):
                try:
                    client.call("pop3." + method, session=session, **params)
                    raise AssertionError(f"{method} on a connection that broke")
                except RpcError:
                    pass
            same((server.said("DELE"), server.said("QUIT"), len(server.drop)), ([], [], 3))


def test_shifted_numbers(flow):
    """Numbers hold for one connection: a unique id is looked up on the one that serves the call"""
    with against(flow, keys={"idle_timeout": "100ms"}) as (server, client):
        same(text_of(client.call("pop3.retr", account="a", id="id-3")["raw"]), LETTERS[2])
        flow.wait_for(lambda: not server.still_open())
        del server.drop["id-1"]
        same(text_of(client.call("pop3.retr", account="a", id="id-3")["raw"]), LETTERS[2])
        same(client.call("pop3.delete", account="a", id="id-3")["deleted"], ["id-3"])
        same(server.commits[-1:], [["id-3"]])
        client.fails(INVALID_PARAMS, "pop3.retr", account="a", number=1)
        client.fails("not_found", "pop3.delete", account="a", id="id-1")


def test_odd_ids(flow):
    """Unique ids are bytes without a meaning; of one that two messages have, none is touched; control characters are none"""
    ids = ["../../../etc/passwd", "-rf", "%s%n", "x" * 70, "';drop--", "same", "same"]
    listing = "+OK\r\n" + "".join(f"{number} {name}\r\n" for number, name in enumerate(ids, 1)) + ".\r\n"
    letters = [f"Subject: {number}\r\n\r\nx\r\n".encode() for number in range(1, 8)]
    with against(flow, messages=letters, always={"uidl": listing}) as (server, client):
        for number, name in enumerate(ids[:5]):
            same(text_of(client.call("pop3.retr", account="a", id=name)["raw"]), letters[number])
        client.fails("conflict", "pop3.retr", account="a", id="same")
        client.fails("conflict", "pop3.delete", account="a", ids=[ids[0], "same"])
        same((server.said("DELE"), len(server.drop)), ([], 7))
    for bad in ("1 \x01\r\n", "1 " + "x" * 300 + "\r\n", "1\r\n", "0 x\r\n"):
        with against(flow, always={"uidl": f"+OK\r\n{bad}.\r\n"}) as (server, client):
            client.fails("protocol", "pop3.retr", account="a", id="x")


def test_deleted_for_sure(flow):
    """Deleted is what a QUIT was answered for: refused, cut or unanswered it is unknown, and before it nothing happened"""
    for step, act, kind, outcome in (("quit", fin, "disconnected", "unknown"), ("quit", rst, "disconnected", "unknown"), ("quit", silent, "timeout", "unknown"),
                                     ("quit", "-ERR some remain\r\n", "rejected", "unknown"), ("dele", "-ERR no\r\n", "rejected", "none"),
                                     ("dele", silent, "timeout", "none")):
        with against(flow, {step: act}, keys={"data_timeout": span(800)}) as (server, client):
            error = client.fails(kind, "pop3.delete", account="a", id="id-2")
            same((error.data["outcome"], len(server.said("QUIT"))), (outcome, int(step == "quit")))
            same(len(server.drop), 2 if step == "quit" else 3)
    with against(flow, {"dele": fin}) as (server, client):      # nothing was done: it runs again, unseen
        client.call("pop3.delete", account="a", id="id-2")
        same((server.connections, server.commits), (2, [["id-2"]]))


def test_one_session_a_maildrop(flow):
    """A maildrop has one connection at a time; who waits is told when it takes too long, and a server's lock is no wrong password"""
    with against(flow, keys={"queue_timeout": "20s", "pool_size": 3}, always={"stat": late(0.05)}) as (server, client):
        numbers = [client.begin("pop3.stat", account="a") for _ in range(10)]
        for number in numbers:
            same(client.finish(number)[0]["count"], 3)
    with against(flow, keys={"queue_timeout": span(500)}) as (server, client):
        session = client.call("pop3.open", account="a")["session"]
        client.fails("busy", "pop3.stat", account="a")
        same(server.connections, 1)
        client.call("pop3.quit", session=session)
        client.call("pop3.stat", account="a")
    with against(flow, {"pass": "-ERR [IN-USE] locked\r\n"}) as (server, client):
        same(client.fails("rejected", "pop3.stat", account="a").data["retry"], "later")
        client.call("gateway.resume", account="a")
        client.call("pop3.stat", account="a")


def test_refused_login(flow):
    """A password that was refused is not said again by itself, whoever asks: accounts are not locked out"""
    with against(flow, always={"pass": "-ERR [AUTH] no\r\n"}) as (server, client):
        for _ in range(10):
            client.fails("auth", "pop3.stat", account="a")
        numbers = [client.begin("pop3.stat", account="a") for _ in range(20)]
        for number in numbers:
            try:
                client.finish(number)
            except RpcError as error:
                same(error.kind, "auth")
        assert len(server.said("PASS")) <= 2, f"the password was said {len(server.said('PASS'))} times"
        client.call("gateway.resume", account="a")
        server.always.clear()
        same(client.call("pop3.stat", account="a")["count"], 3)


def test_injected_commands(flow):
    """CR, LF or NUL in what a caller gives never becomes a command"""
    with against(flow, stamp=True, capabilities=["UIDL", "TOP", "UTF8 USER"]) as (server, client):
        for bad in ("x\r\nDELE 1", "x\nDELE 1", "x\0DELE 1", "x\rDELE 1"):
            session = client.call("pop3.open", account="a", login=False)["session"]
            for method, params in (("user", {"username": bad}), ("pass_", {"password": bad}), ("apop", {"username": bad, "password": "x"}),
                                   ("rpop", {"username": bad}), ("auth", {"mechanism": bad}), ("exec", {"command": bad})):
                client.fails(INVALID_PARAMS, "pop3." + method, session=session, **params)
            client.call("pop3.close", session=session)
            client.fails(INVALID_PARAMS, "pop3.retr", account="a", id=bad)
            for key in ("username", "password"):
                options = {"pop3": {"host": "127.0.0.1", "port": server.port, "tls": "none", "allow_plaintext_auth": True, "method": "user",
                                    "username": "ann", "password": "x", key: bad}}
                try:
                    client.call("pop3.stat", options=options)
                    raise AssertionError(f"{key} with {bad!r} was taken")
                except RpcError:
                    pass
        assert not server.said("DELE") and not any("\n" in line or "\r" in line for line in server.lines), server.lines
        same(len(server.drop), 3)


def test_numbers_out_of_range(flow):
    """A server's numbers are within bounds, or its answer is an error: nothing wraps, nothing is allocated by them"""
    for step, text, method in (("stat", "+OK 4294967296 1\r\n", "stat"), ("stat", "+OK 1 9223372036854775808\r\n", "stat"), ("stat", "+OK -1 1\r\n", "stat"),
                               ("stat", "+OK\r\n", "stat"), ("stat", "+OK " + "9" * 1000 + " 1\r\n", "stat"),
                               ("list", "+OK\r\n1 99999999999999999999\r\n.\r\n", "list"), ("list", "+OK\r\n4294967296 1\r\n.\r\n", "list")):
        with against(flow, {step: text}) as (server, client):
            client.fails("protocol", "pop3." + method, account="a")
            client.call("pop3." + method, account="a")
    with against(flow, {"stat": "+OK 4294967295 9223372036854775807\r\n"}) as (server, client):
        same(client.call("pop3.stat", account="a"), {"count": 4294967295, "size": 9223372036854775807})
