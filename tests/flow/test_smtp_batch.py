# SPDX-License-Identifier: MIT
"""Several mails in one call: over one connection, each with its own result."""

import time

import fake_mail
from harness import INVALID_PARAMS, RpcError, memfd, same

ACCOUNTS = {"batcher": {"smtp": {"pool_size": 4}}}


def mail(number, to="bob@example.net", **more):
    return {"message": dict({"from": "ann@example.com", "to": to, "subject": f"number {number}", "text": f"text {number}\n"}, **more)}


def served(flow, *scripts, accounts=None, **server):
    """A fake server and a daemon of the test's own, with an account for it that could have five connections."""
    fake = fake_mail.FakeSmtp(*scripts, **server)
    flow.cleanups.append(fake.close)
    daemon = flow.own_daemon({"fake": flow.account("ann", **fake.account(pool_size=5, **(accounts or {})))})
    daemon.__enter__()
    flow.cleanups.append(lambda: daemon.__exit__(None))
    client = daemon.client()
    flow.cleanups.append(client.close)
    return fake, client


def subjects(fake):
    return [next(line for line in body.split("\r\n") if line.startswith("Subject: "))[9:] for body in fake.bodies if body]


def accepted(results):
    return ["error" not in one for one in results]


def test_one_connection(flow):
    """Twenty mails of one call use one connection, with the next envelope behind a body; so do those of a second call"""
    fake, client = served(flow)
    for _ in range(2):
        results = client.call("smtp.send", account="fake", messages=[mail(number) for number in range(20)])["results"]
        same(accepted(results), [True] * 20)
    same(fake.connections, 1)
    same(subjects(fake), [f"number {number}" for _ in range(2) for number in range(20)])
    ids = [line for body in fake.bodies for line in body.split("\r\n") if line.startswith("Message-ID")]
    same(len(set(ids)), 40)


def test_without_pipelining(flow):
    """The same where the server takes one command after the other"""
    fake, client = served(flow, pipelining=False)
    results = client.call("smtp.send", account="fake", messages=[mail(number) for number in range(5)])["results"]
    same((accepted(results), fake.connections), ([True] * 5, 1))
    same(subjects(fake), [f"number {number}" for number in range(5)])


def test_refused(flow):
    """A mail that is refused, or cannot be built or sent, is its own result; the others go on, over the same connection, behind RSET"""
    fake, client = served(flow, {"rcpt": "550 5.1.1 nobody\r\n"})
    messages = [mail(0), mail(1), {"raw": ""}, mail(3, headers={"From": "x"}), mail(4, to=[]), mail(5)]
    results = client.call("smtp.send", account="fake", messages=messages)["results"]
    same(accepted(results), [False, True, False, False, False, True])
    same([one["error"]["data"]["kind"] if "data" in one["error"] and "kind" in one["error"]["data"] else one["error"]["code"]
          for one in results if "error" in one], ["rejected", "bad_message", INVALID_PARAMS, "bad_message"])
    same(results[0]["error"]["data"]["rejected"][0]["reply"]["code"], 550)
    assert "messages[3].message" in results[3]["error"]["message"], results[3]
    same((fake.connections, subjects(fake)), (1, ["number 1", "number 5"]))


def test_lost(flow):
    """A connection that is lost in the middle takes along only what it had: the rest goes over another"""
    fake, client = served(flow, {"dot": fake_mail.fin})
    results = client.call("smtp.send", account="fake", messages=[mail(number) for number in range(4)])["results"]
    same(accepted(results), [False, True, True, True])
    same((results[0]["error"]["data"]["kind"], results[0]["error"]["data"]["outcome"]), ("disconnected", "unknown"))
    same((fake.connections, sorted(subjects(fake))), (2, [f"number {number}" for number in range(4)]))


def test_max_uses(flow):
    """max_uses ends a connection in the middle of a call, and another goes on"""
    fake, client = served(flow, accounts={"max_uses": "3"})
    results = client.call("smtp.send", account="fake", messages=[mail(number) for number in range(7)])["results"]
    same((accepted(results), fake.connections), ([True] * 7, 3))
    same(subjects(fake), [f"number {number}" for number in range(7)])


def test_stream_and_progress(flow):
    """Each result as it comes, in order, then the count; progress counts the bytes of all"""
    fake, client = served(flow)
    items, result = client.streamed("smtp.send", account="fake", messages=[mail(number) for number in range(12)])
    same((accepted(items), result), ([True] * 12, {"count": 12}))
    text = "x" * 70 + "\n"
    number = client.begin("smtp.send", account="fake", progress=True, messages=[mail(number, text=text * 20_000) for number in range(4)])
    results = client.finish(number)[0]["results"]
    said = [note["params"] for note in client.notes if note["method"] == "progress" and note["params"]["id"] == number]
    assert said and [one["done"] for one in said] == sorted(one["done"] for one in said), said
    whole = sum(one["size"] for one in results)
    assert {one["total"] for one in said} <= {None, whole} and 0 < said[-1]["done"] <= whole, (said, whole)
    same(fake.connections, 1)


def test_session_batch(flow):
    """add_message counts what is put aside; send sends all of it over the session and reports each; then nothing is left"""
    user, client = flow.user(), flow.client()
    address = flow.mail.address(user)
    session = client.call("smtp.open", account="batcher")["session"]
    client.fails(INVALID_PARAMS, "smtp.send", session=session)
    same(client.call("smtp.add_message", session=session, **mail("one", to=address))["count"], 1)
    same(client.call("smtp.add_message", session=session, **mail("two", to="nobody-here@example.com"))["count"], 2)
    letter = memfd(flow.letter(address, "number three"))
    same(client.call("smtp.add_message", fds=[letter], session=session, raw={"fd": 0},
                     envelope={"from": "ann@example.com", "to": [address]})["count"], 3)
    client.fails(INVALID_PARAMS, "smtp.add_message", session=session, **mail("bad", subject="a\nb"))
    client.fails(INVALID_PARAMS, "smtp.add_message", session=session)
    client.fails(INVALID_PARAMS, "smtp.add_message", account="batcher", **mail("pooled"))
    client.fails(INVALID_PARAMS, "smtp.send", session=session, idempotency_key="k")
    same(flow.subjects(user), [])
    same(client.call("smtp.send_message", session=session, **mail("first", to=address))["accepted"], [address])
    results = client.call("smtp.send", session=session)["results"]
    same(accepted(results), [True, False, True])
    same(results[1]["error"]["data"]["kind"], "rejected")
    client.fails(INVALID_PARAMS, "smtp.send", session=session)
    same(client.call("smtp.add_message", session=session, **mail("four", to=address))["count"], 1)
    items, result = client.streamed("smtp.send", session=session)
    same((accepted(items), result), ([True], {"count": 1}))
    client.call("smtp.add_message", session=session, **mail("never", to=address))
    client.call("smtp.quit", session=session)
    same(sorted(flow.arrived(user, 4)), sorted(["number first", "number one", "number three", "number four"]))


def test_keys(flow):
    """Keys hold for each of several, and for what was put aside; a call that ends early frees those whose turn had not come"""
    fake, client = served(flow, {"mail": fake_mail.late(3)})
    one = dict(mail("once", message_id="m1@example.com", date="2026-01-01T00:00:00Z"), idempotency_key="a")
    two = dict(mail("twice", message_id="m2@example.com", date="2026-01-01T00:00:00Z"), idempotency_key="b")
    number = client.begin("smtp.send", account="fake", messages=[one, two])
    flow.wait_for(lambda: "mail" in fake.steps, 10)
    client.call("rpc.cancel", id=number)
    results = client.call("smtp.send", account="fake", messages=[two, one])["results"]
    same(accepted(results), [True, True])
    session = client.call("smtp.open", account="fake")["session"]
    client.call("smtp.add_message", session=session, **one)
    same(client.call("smtp.send", session=session)["results"], [results[1]])
    same(sorted(subjects(fake)), ["number once", "number twice"])


def works(client):
    """A mail goes through; those who wait for a connection fail with one that does."""
    try:
        return accepted(client.call("smtp.send", account="fake", messages=[mail("after")])["results"]) == [True]
    except RpcError:
        return False


def test_cut_short(flow):
    """A call that is cancelled, or out of time, at any step says what is known; what it had not sent is not sent, and others go on"""
    # what was written goes on to its end without its caller: from MAIL on nobody can say what will become of it
    for step, outcome in (("greeting", "none"), ("ehlo", "none"), ("mail", "unknown"), ("rcpt", "unknown"), ("data", "unknown"), ("dot", "unknown")):
        for way in ("cancel", "timeout") if step in ("mail", "dot") else ("cancel",):
            fake, client = served(flow, {step: fake_mail.silent}, accounts={"connect_timeout": "1s", "timeout": "1s"})
            params = {"timeout": 700} if way == "timeout" else {}
            number = client.begin("smtp.send", account="fake", messages=[mail(each) for each in range(3)], **params)
            if way == "cancel":
                flow.wait_for(lambda: step in fake.steps, 10, f"step {step}")
                client.call("rpc.cancel", id=number)
            try:
                raise AssertionError(f"{step}: it was sent: {client.finish(number)}")
            except RpcError as error:
                kind = {"cancel": "cancelled", "timeout": "timeout"}[way]
                same((error.kind, error.data["outcome"]), (kind, outcome), f"{way} at {step}: {error}")
            flow.wait_for(lambda: works(client), 15, f"a mail after {way} at {step}")
            sent = ["number 0"] if step == "dot" else []
            same([one for one in subjects(fake) if one != "number after"], sent, f"{way} at {step}")
            while flow.cleanups:
                flow.cleanups.pop()()


def test_bounded(flow):
    """What is put aside, and sessions without a connection, count against the user's memory until they go"""
    with flow.own_daemon(settings={"user_memory": "2M"}) as daemon, daemon.client() as client:
        session = client.call("smtp.open", account="ann")["session"]

        def add_until_full():
            for number in range(1, 1001):
                try:
                    same(client.call("smtp.add_message", session=session, **mail(number))["count"], number)
                except RpcError as error:
                    same((error.kind, error.data["limit"]), ("limit", "user_memory"))
                    return number - 1
            raise AssertionError("there was no end")

        def manual_until_full():
            opened = []
            while True:
                try:
                    opened.append(client.call("smtp.open", manual=True)["session"])
                except RpcError as error:
                    same((error.kind, error.data["limit"]), ("limit", "user_memory"))
                    return opened

        added = add_until_full()
        assert added > 20, added
        client.call("smtp.quit", session=session)
        time.sleep(0.5)     # the connection says goodbye
        opened = manual_until_full()
        assert 5 <= len(opened) <= 64, opened
        for one in opened:
            client.call("smtp.quit", session=one)
        same(len(manual_until_full()), len(opened))
    with flow.own_daemon() as daemon, daemon.client() as client:
        session = client.call("smtp.open", account="ann")["session"]
        before = daemon.memory()
        for number in range(300):
            client.call("smtp.add_message", session=session, **mail(number))
        assert daemon.memory() - before < 40 << 20, (before, daemon.memory())
