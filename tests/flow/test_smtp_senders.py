# SPDX-License-Identifier: MIT
"""The senders that an account allows hold for the envelope, From and Sender, whichever way a mail takes, and for each peer."""

import json

from harness import Client, RpcError, same

OPEN = {"account": {"allow": "user:root", "allow_send": "user:www-data", "permit": "send read write raw",
                    "senders": "ann@example.com *@lists.example.com", "senders.user:www-data": "shop@example.com"}, "smtp": {"pool_size": 4}}
ACCOUNTS = {"policed": OPEN, "policed-own": {"user": "ann", "account": {"senders": None}, "smtp": {"pool_size": 4}}}
TO = "x@sink.example.com"
MINE, THEIRS = "ann@example.com", "eve@example.com"

# What a mail says of who sends it: (envelope, header), and whether the account allows it
CASES = [
    (MINE, f"From: {MINE}\n", True),
    (MINE, "Subject: nobody said so\n", True),
    ("x@lists.example.com", "From: Y <y@LISTS.example.com>\n", True),
    (THEIRS, f"From: {MINE}\n", False),
    (MINE, f"From: {THEIRS}\n", False),
    (MINE, f"From: {MINE}, Eve <{THEIRS}>\n", False),
    (MINE, f"From: {MINE}\nFrom: {THEIRS}\n", False),
    (MINE, f"From: {MINE}\nSender: {THEIRS}\n", False),
    (MINE, f"From: {MINE}\nsender :\n Eve\n <{THEIRS}>\n", False),
    (MINE, f"From: {MINE}\nResent-From: {THEIRS}\n", False),
    (MINE, f"From: friends: {THEIRS};\n", False),
    (MINE, f"From: =?utf-8?q?ann=40example=2Ecom?= <{THEIRS}>\n", False),
    ("ann@example.com@evil.example", f"From: {MINE}\n", False),
    ("ann@sub.lists.example.com", f"From: {MINE}\n", False),
]


def of_raw(call, account, envelope, header):
    call("smtp.send", account=account, raw=header + "\nx\n", envelope={"from": envelope, "to": [TO]})


def of_messages(call, account, envelope, header):
    one = call("smtp.send", account=account, messages=[{"raw": header + "\nx\n", "envelope": {"from": envelope, "to": [TO]}}])["results"][0]
    if "error" in one:
        raise RpcError(one["error"])


def of_sendmail(call, account, envelope, header):
    call("smtp.sendmail", account=account, to=[TO], raw=header + "\nx\n", **{"from": envelope})


def in_session(step):
    def run(call, account, envelope, header):
        session = call("smtp.open", account=account)["session"]
        try:
            step(call, session, envelope, header)
        finally:
            call("smtp.quit", session=session)
    run.__name__ = step.__name__
    return run


def of_steps(call, session, envelope, header):
    call("smtp.mail", session=session, **{"from": envelope})
    call("smtp.rcpt", session=session, to=TO)
    call("smtp.data", session=session, raw=header + "\nx\n")


def of_announced_steps(call, session, envelope, header):
    call("smtp.mail", session=session, **{"from": envelope})
    call("smtp.rcpt", session=session, to=TO)
    call("smtp.start_data", session=session)
    call("smtp.data", session=session, raw=header + "\nx\n")


def of_batch(call, session, envelope, header):
    call("smtp.add_message", session=session, raw=header + "\nx\n", envelope={"from": envelope, "to": [TO]})
    one = call("smtp.send", session=session)["results"][0]
    if "error" in one:
        raise RpcError(one["error"])


def of_session_send(call, session, envelope, header):
    call("smtp.send", session=session, raw=header + "\nx\n", envelope={"from": envelope, "to": [TO]})


def of_session_sendmail(call, session, envelope, header):
    call("smtp.sendmail", session=session, to=[TO], raw=header + "\nx\n", **{"from": envelope})


WAYS = [of_raw, of_messages, of_sendmail] + [in_session(step) for step in
                                             (of_steps, of_announced_steps, of_batch, of_session_send, of_session_sendmail)]


def verdict(call, way, account, envelope, header):
    """True: sent. False: denied by the policy, before anything reached the server."""
    try:
        way(call, account, envelope, header)
        return True
    except RpcError as error:
        same((error.kind, error.data["stage"], error.data["outcome"]), ("denied", "policy", "none"), error.message)
        return False


def test_ways(flow):
    """Every way of sending a finished message keeps to the account's senders"""
    client = flow.client()
    for way in WAYS:
        for envelope, header, allowed in CASES:
            same(verdict(client.call, way, "policed", envelope, header), allowed, f"{way.__name__}: {envelope} {header!r}")


def test_composed(flow):
    """Composed messages too: From, Sender and the envelope, alone, among others, and put aside in a session"""
    client = flow.client()
    session = client.call("smtp.open", account="policed")["session"]

    def ways(one):
        yield lambda: client.call("smtp.send", account="policed", **one)
        yield lambda: client.call("smtp.send", session=session, **one)
        yield lambda: client.call("smtp.send", account="policed", messages=[one])
        yield lambda: (client.call("smtp.add_message", session=session, **one), client.call("smtp.send", session=session))[1]

    for message, envelope, allowed in (({"from": MINE}, None, True), ({"from": THEIRS}, None, False), ({"from": THEIRS}, {"from": MINE}, False),
                                       ({"from": MINE}, {"from": THEIRS}, False), ({"from": MINE, "sender": THEIRS}, None, False),
                                       ({"from": [MINE, THEIRS], "sender": MINE}, None, False)):
        one = {"message": dict(message, to=TO, text="x")}
        if envelope:
            one["envelope"] = envelope
        for way in ways(one):
            try:
                answer = way()
                answer = answer["results"][0] if "results" in answer else answer
            except RpcError as error:
                answer = {"error": error.error}
            same("error" not in answer, allowed, json.dumps(one))
            if not allowed:
                same((answer["error"]["data"]["kind"], answer["error"]["data"]["stage"]), ("denied", "policy"))
    client.call("smtp.quit", session=session)


def test_peer(flow):
    """A peer with senders of its own has no others, whichever way; without `senders` there is the account's address alone"""
    path = flow.daemon.socket_path

    def ask():
        with Client(path) as client:
            return [(way.__name__, verdict(client.call, way, "policed", sender, f"From: {sender}\n"))
                    for way in WAYS for sender in ("shop@example.com", MINE)]
    for name, sent in zip(*[iter(flow.as_user("www-data", ask))] * 2):
        same((name[1], sent[1]), (True, False), name[0])
    client = flow.client()
    for way in WAYS:
        same([verdict(client.call, way, "policed-own", sender, f"From: {sender}\n") for sender in (MINE, "x@lists.example.com")], [True, False], way.__name__)
