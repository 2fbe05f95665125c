# SPDX-License-Identifier: MIT
"""Calls that end before their answer: cancelled, out of time, or with their client gone, at every step of every operation."""

import contextlib
import os
import threading
import time

import matrix
import test_pop3_matrix as pop3
import test_smtp_matrix as smtp
from fake_mail import silent
from fake_pop3 import LETTERS, FakePop3
from harness import WAIT_S, Client, RpcError, same, slow, text_of
from matrix import Case

FULL = bool(os.environ.get("POSTERN_FULL"))      # make check-full
WAYS = ("cancel", "deadline", "leave")
KEY = "the-only-one"


class Stall:
    """The server takes its time, until it is let go."""
    goes_on = True

    def __init__(self):
        self.go = threading.Event()

    def __deepcopy__(self, _):
        return type(self)()     # never played

    def __call__(self, wire, usual):
        self.go.wait(WAIT_S)
        wire.send("" if usual.startswith("\x16") else usual)      # a handshake goes on by itself


class SecondTime(Stall):
    """The same where the step comes the second time on its connection."""
    first = True

    def __init__(self):
        super().__init__()
        self.reached = threading.Event()

    def __call__(self, wire, usual):
        if self.first:
            self.first = False
            wire.script[self.step] = self
            wire.send(usual)
        else:
            self.reached.set()
            super().__call__(wire, usual)


class StallThenEnd(Stall):
    """The same, and then it is gone."""

    def __call__(self, wire, usual):
        self.go.wait(WAIT_S)
        wire.close()


LIMITS = {"timeout": "1500ms", "data_timeout": "1500ms", "connect_timeout": "1500ms"}


def cases(name, step, outcome, stage, begin, acts=(Stall, silent), ways=WAYS, **more):
    """The step stalls, for a while or for ever; the call ends in each way."""
    for kind_of in acts:
        for way in ways if FULL or kind_of is not silent else ways[:1]:
            act = kind_of if kind_of is silent else kind_of()
            kind = {"cancel": "cancelled", "deadline": "timeout"}.get(way)
            retry = "no" if outcome == "unknown" or way == "cancel" else "later"
            keys = dict(LIMITS, **more.get("keys", {}))
            yield Case(f"{name}-{way}-{'for-ever' if act is silent else 'late'}", (kind, stage, outcome, retry) if kind else None, {step: act},
                       begin=begin, way=way, act=act, step=step, limit_ms=1500, poisoned=False, **dict(more, keys=keys))


def meet(client, account, case):
    """Begins the call, ends it when the server stalls, and lets the server go on."""
    reached, act, way = case.server.watch(case.options["step"]), case.options["act"], case.options["way"]
    if isinstance(act, SecondTime):
        act.step, reached = case.options["step"], act.reached
    caller = Client(client.path) if way == "leave" else client
    number, case.session = case.options["begin"](caller, account, {"timeout": int(900 * matrix.scale)} if way == "deadline" else {})
    try:
        assert reached.wait(WAIT_S), "the step was not reached"
        time.sleep(0.1)         # what was answered before has come
        began = time.monotonic()
        if way == "leave":
            caller.close()
        elif way == "cancel":
            same(caller.call("rpc.cancel", id=number), {"found": True})
        if way != "leave":
            caller.finish(number)
            raise AssertionError("it came to an end of its own")
    finally:
        if way == "cancel":
            assert time.monotonic() - began < 0.5 + matrix.slack_s(), "it took its time to end"
        if isinstance(act, Stall):
            act.go.set()


def session_goes_on(client, case, check, over=()):
    """Behind a late answer the session works as before; behind none it ends, and so does that of a client that is gone."""
    late, gone = isinstance(case.options["act"], Stall), case.options["way"] == "leave"
    if gone or not case.session:
        return
    try:
        check(case.session)
        assert late and not case.option("last"), "the session outlived its end"
    except RpcError as error:
        assert not late or case.option("last"), f"the session ended: {error}"
    with contextlib.suppress(RpcError):
        client.call(f"{case.options['protocol']}.close" if case.options["protocol"] == "pop3" else "smtp.quit", session=case.session)


def after_a_stuck_login(client, account, case, method, **params):
    """The next call waits for the connection that is being made, and shares its fate; the one behind it may begin anew."""
    if case.options["act"] is silent and case.option("connects"):
        with contextlib.suppress(RpcError):
            client.call(method, account=account, **params)
        client.call("gateway.resume", account=account)


# -- POP3


def pop3_cases(operations, outcome="none", **more):
    for operation in operations:
        name = operation.get("name", operation["step"]).replace("_", "-")
        options = dict(login=True, plain_auth=True, protocol="pop3", last=operation.get("last"), works_after={operation["stage"]})
        options.update(operation.get("options", {}), **more)
        yield from cases(name, operation["step"], "unknown" if operation.get("unknown") else outcome, operation["stage"], operation["run"], **options)


def pop3_again(client, account, case):
    session_goes_on(client, case, lambda session: client.call("pop3.noop", session=session))
    after_a_stuck_login(client, account, case, "pop3.stat")
    pop3.read_all(client, account, case)
    deleted = [name for names in case.server.commits for name in names]
    same(len(deleted), len(set(deleted)))
    if case.wanted and case.wanted[2] == "none":
        same(deleted, [])


def run_pop3(flow, found):
    matrix.run(flow, "pop3", list(found), pop3.make, meet, pop3_again)


def test_pop3_reads(flow):
    """POP3: a call that only reads ends at each step; the connection serves the next, or is replaced"""
    run_pop3(flow, pop3_cases(pop3.READS))


def test_pop3_deletes(flow):
    """POP3: a delete that ends before QUIT deletes nothing; behind it, it is unknown and happens once"""
    last = pop3.one("quit", pop3.pooled("pop3.delete", ids=["id-1", "id-3"]), "quit")
    run_pop3(flow, [*pop3_cases(pop3.DELETES), *pop3_cases([last], "unknown")])


def test_pop3_sessions(flow):
    """POP3: the same in sessions, which go on where the answer still comes"""
    user, word = ("user", {"username": "ann"}), {"password": matrix.PASSWORD}
    logins = [pop3.one("pass", pop3.stepwise(user, ("pass_", word), login=False), "auth", name="step-pass"),
              pop3.one("apop", pop3.stepwise(("apop", dict(username="ann", **word)), login=False), "auth", name="step-apop", options={"stamp": True}),
              pop3.one("auth2", pop3.stepwise(("auth", {"mechanism": "SCRAM-SHA-256"}), login=False), "auth", name="step-auth",
                       options={"mechanisms": "SCRAM-SHA-256"}),
              pop3.one("stls", pop3.stepwise(("stls", {}), login=False), "tls", name="step-stls", last=True,     # nobody knows its authority
                       options={"offers_tls": True})]
    run_pop3(flow, [*pop3_cases(pop3.IN_SESSIONS), *pop3_cases(logins)])


def test_pop3_login(flow):
    """POP3: the same at each step of the login"""
    steps = [("greeting", "greeting", {}), ("capa", "capa", {}), ("user", "auth", {"keys": {"method": "user"}}), ("pass", "auth", {"keys": {"method": "user"}}),
             ("apop", "auth", {"stamp": True, "keys": {"method": "apop"}}), ("capa_auth", "capa", {})]
    steps += [(f"auth{number or ''}", "auth", {"mechanisms": "SCRAM-SHA-256", "keys": {"method": "scram-sha-256"}}) for number in (0, 2, 3)]
    operations = [pop3.one(step, pop3.pooled("pop3.stat"), stage, options=options) for step, stage, options in steps]
    tls = [pop3.one(step, pop3.pooled("pop3.stat"), stage, name="tls-" + step, options={"tls": True, "plain_auth": False})
           for step, stage in (("stls", "tls"), ("handshake", "tls"), ("capa_tls", "capa"))]
    run_pop3(flow, pop3_cases(operations + tls, connects=True))


def opens(method, **params):
    """Anything that makes a connection of its own."""
    return lambda client, account, how: (client.begin(method, account=account, **params, **how), None)


def test_pop3_open(flow):
    """POP3: pop3.open and account.test end before their connection stands; the maildrop is not kept from others"""
    found = []
    for name, method in (("open", "pop3.open"), ("test", "account.test")):
        for step, stage in (("greeting", "greeting"), ("capa", "capa"), ("user", "auth"), ("pass", "auth"), ("capa_auth", "capa")):
            how = dict(login=True, plain_auth=True, protocol="pop3", connects=True, keys={"method": "user"})
            if name == "open":
                found += cases(f"open-{step.replace('_', '-')}", step, "none", stage, opens(method), **how)
            else:       # it has several connections, and their ends are its result
                found += cases(f"test-{step.replace('_', '-')}", step, "none", None, opens(method), ways=("cancel", "leave"), **how)
    run_pop3(flow, found)


# -- SMTP


def envelope(address="b@example.com"):
    return {"from": "a@example.com", "to": [address]}


def sends(size=0, **more):
    """smtp.send with an idempotency key."""
    def begin(client, account, how):
        raw = "Subject: kept\n\nhello\n" + ("x" * 900 + "\n") * (size // 901)
        return client.begin("smtp.send", account=account, raw=raw, envelope=envelope(), idempotency_key=KEY, **more, **how), None
    return begin


def steps(*calls, login=True):
    """Calls of a session; the last one is ended."""
    def begin(client, account, how):
        session = client.call("smtp.open", account=account, login=login)["session"]
        for method, params in calls[:-1]:
            client.call("smtp." + method, session=session, **params)
        return client.begin("smtp." + calls[-1][0], session=session, **calls[-1][1], **how), session
    return begin


def smtp_case(name, step, outcome, stage, begin, **more):
    more = dict({"works_after": {stage}, "protocol": "smtp"}, **more)
    return list(cases(name, step, outcome, stage, begin, **more))


def once(client, account, case):
    """Who repeats a send with its key gets what became of it; it is there once whatever happened."""
    after_a_stuck_login(client, account, case, "smtp.verify", address="ann")
    raw = case.option("size", 0)
    for _ in range(3):
        try:
            number, _ = sends(raw)(client, account, {})
            client.finish(number)
            found = None
            break
        except RpcError as error:
            found = error
            if error.data.get("outcome") != "none":
                break
            client.call("gateway.resume", account=account)
    stuck_behind_the_dot = case.options["act"] is silent and case.options["step"] in ("dot", "body")
    if stuck_behind_the_dot:
        assert found is not None and found.data["outcome"] == "unknown", f"the repeat says {found or 'sent'}"
    else:
        assert found is None, f"the repeat failed: {found}"
    same(["Subject: kept" in body for body in case.server.bodies], [] if case.options["step"] == "body" and stuck_behind_the_dot else [True])
    if case.options["act"] is not silent and not case.option("ends"):
        same(case.server.connections, 1, "connections")
    smtp.send_plainly(client, account, case)


def test_smtp_send(flow):
    """SMTP: a send ends at each step of it; its key tells what became of it, and there is never a second copy"""
    found = []
    for way, pipelining in (("p", True), ("s", False)):
        for step in ("mail", "rcpt", "data", "dot"):
            found += smtp_case(f"{way}-{step}", step, "unknown", {"dot": "data"}.get(step, step), sends(), pipelining=pipelining)
    found += smtp_case("body", "body", "unknown", "data", sends(6 << 20), acts=(StallThenEnd,), size=6 << 20, ends=True)
    found += smtp_case("body-stuck", "body", "unknown", "data", sends(6 << 20), acts=(silent,), size=6 << 20)
    matrix.run(flow, "smtp", found, smtp.make, meet, once)


def test_smtp_login(flow):
    """SMTP: a send ends before its connection stands: nothing was sent"""
    found = []
    how = dict(connects=True, works_after=())
    for step in ("greeting", "ehlo"):
        found += smtp_case(step, step, "none", step, sends(), **how)
    for step in ("auth", "auth2", "auth3", "ehlo_auth"):
        found += smtp_case(step.replace("_", "-"), step, "none", smtp.stage_of(step), sends(), login=True, plain_auth=True, mechanisms="LOGIN",
                           keys={"method": "sasl-login"}, **how)
    for step in ("starttls", "handshake", "ehlo_tls"):
        found += smtp_case("tls-" + step.replace("_", "-"), step, "none", smtp.stage_of(step), sends(), login=True, tls=True, **how)
    matrix.run(flow, "smtp", found, smtp.make, meet, once)


def test_smtp_open(flow):
    """SMTP: smtp.open, verify, test_connection and sendmail end before their connection stands, or at their command"""
    found = []
    for step in ("greeting", "ehlo", "auth", "ehlo_auth"):
        for name, begin in (("open", opens("smtp.open")), ("test-connection", opens("smtp.test_connection")), ("verify", opens("smtp.verify", address="ann"))):
            told = name == "test-connection"        # its result tells why, and when
            found += smtp_case(f"{name}-{step.replace('_', '-')}", step, "none", None if told else smtp.stage_of(step), begin, login=True,
                               plain_auth=True, mechanisms="PLAIN", connects=True, works_after=(), ways=("cancel", "leave") if told else WAYS)
    found += smtp_case("verify-vrfy", "vrfy", "none", "vrfy", opens("smtp.verify", address="ann"))
    for step in ("mail", "dot"):
        found += smtp_case(f"sendmail-{step}", step, "unknown", "data" if step == "dot" else step,
                           opens("smtp.sendmail", raw="Subject: x\n\nx\n", to=["b@example.com"], **{"from": "a@example.com"}))
    matrix.run(flow, "smtp", found, smtp.make, meet, smtp_again)


def smtp_again(client, account, case):
    session_goes_on(client, case, lambda session: case.option("check_session", rset)(client, session))
    after_a_stuck_login(client, account, case, "smtp.verify", address="ann")
    smtp.send_plainly(client, account, case)


def rset(client, session):
    same(client.call("smtp.rset", session=session)["code"], 250)
    same(client.call("smtp.state", session=session)["state"], "ready")


def finish_data(client, session):
    same(client.call("smtp.data", session=session, raw="Subject: x\n\nx\n")["code"], 250)


def test_smtp_sessions(flow):
    """SMTP: each step of a session ends; the session goes on where the answer still comes"""
    mail, rcpt, raw = ("mail", {"from": "a@example.com"}), ("rcpt", {"to": "b@example.com"}), {"raw": "Subject: x\n\nx\n"}
    found = []
    for name, params in (("noop", {}), ("vrfy", {"address": "ann"}), ("expn", {"address": "staff"}), ("help", {})):
        found += smtp_case(name, name, "none", name, steps((name, params)))
    found += smtp_case("docmd", "xtest", "none", "docmd", steps(("docmd", {"command": "XTEST"})))
    found += smtp_case("mail", "mail", "none", "mail", steps(mail))
    found += smtp_case("rcpt", "rcpt", "none", "rcpt", steps(mail, rcpt))
    found += smtp_case("rset", "rset", "none", "rset", steps(mail, ("rset", {})))
    found += smtp_case("start-data", "data", "none", "data", steps(mail, rcpt, ("start_data", {})), check_session=finish_data)
    found += smtp_case("data", "dot", "unknown", "data", steps(mail, rcpt, ("data", raw)))
    found += smtp_case("send", "dot", "unknown", "data", steps(("send", dict(raw, envelope=envelope()))))
    how = dict(login=True, plain_auth=True, mechanisms="LOGIN", check_session=noop)
    for step in ("auth", "auth2", "auth3"):
        found += smtp_case("login-" + step, step, "none", "auth", steps(("login", {"username": "ann", "password": matrix.PASSWORD}), login=False), **how)
    found += smtp_case("authenticate", "auth", "none", "auth", steps(("authenticate", {"mechanism": "LOGIN"}), login=False), acts=(Stall,),
                       **dict(how, check_session=state))
    found += smtp_case("ehlo-again", "ehlo_auth", "none", "ehlo", steps(("login", {"username": "ann", "password": matrix.PASSWORD}), ("ehlo", {}), login=False),
                       **how)
    matrix.run(flow, "smtp", found, smtp.make, meet, smtp_again)


def noop(client, session):
    same(client.call("smtp.noop", session=session)["code"], 250)


def state(client, session):
    assert client.call("smtp.state", session=session)["state"] in ("ready", "authenticated", "authenticating")


def test_smtp_batch(flow):
    """SMTP: a call of several mails ends at each step of the second: the first stays sent, none is sent twice"""
    def begin(client, account, how):
        mails = [{"raw": f"Subject: number {number}\n\nx\n", "envelope": envelope(), "idempotency_key": f"k{number}"} for number in range(3)]
        return client.begin("smtp.send", account=account, messages=mails, **how), None

    def again(client, account, case):
        for number in range(3):
            for _ in range(3):
                with contextlib.suppress(RpcError):
                    client.call("smtp.send", account=account, raw=f"Subject: number {number}\n\nx\n", envelope=envelope(), idempotency_key=f"k{number}")
                    break
        subjects = sorted(line for body in case.server.bodies for line in body.split("\r\n") if line.startswith("Subject"))
        same(subjects, [f"Subject: number {number}" for number in range(3)])

    found = []
    for step in ("mail", "rcpt", "data", "dot"):
        found += smtp_case(f"batch-{step}", step, "unknown", {"dot": "data"}.get(step, step), begin, acts=(SecondTime,), pipelining=False)
    matrix.run(flow, "smtp", found, smtp.make, meet, again)


# -- neighbours on the same connection


def end(client, number, way):
    """Ends a call that was begun in a client of its own."""
    if way == "leave":
        client.close()
        return
    try:
        if way == "cancel":
            same(client.call("rpc.cancel", id=number), {"found": True})
        client.finish(number)
    except RpcError as error:
        same(error.kind, "cancelled" if way == "cancel" else "timeout")
        return
    raise AssertionError("it came to an end of its own")


def neighbours(flow, section, server, first, second, third, who, way):
    """Two calls share a connection whose server stalls at the first one's answer; one of them ends, the other's answer is its own."""
    stall = next(act for act in server.scripts[0].values() if isinstance(act, Stall))
    reached = server.watch(next(step for step, act in server.scripts[0].items() if act is stall))
    account = flow.account("ann", **{"account": {"senders": "*"}, section: dict(
        host="127.0.0.1", port=server.port, tls="none", implicit_tls="no", ca_file=None, pool_size=1, allow_plaintext_auth="yes", method="login" if section == "imap" else "user")},
        auth={"password": server.password})
    if section == "smtp":
        account["auth"], account["smtp"] = {}, {key: value for key, value in account["smtp"].items() if key != "method"}
    with flow.own_daemon({"fake": account}) as daemon, daemon.client() as stays, daemon.client() as other:
        third(stays)        # the connection stands
        leaves = Client(daemon.socket_path)
        how = {"timeout": int(700 * slow())} if way == "deadline" else {}
        callers = [leaves, stays] if who == "first" else [stays, leaves]
        numbers = [first(callers[0], how if who == "first" else {})]
        assert reached.wait(WAIT_S)
        numbers.append(second(callers[1], how if who == "second" else {}))
        time.sleep(0.2)
        end(leaves, numbers[0 if who == "first" else 1], way)
        stall.go.set()
        result = stays.finish(numbers[1 if who == "first" else 0])[0]
        third(other)
        leaves.close()
        return result


def test_pop3_neighbours(flow):
    """POP3: of two calls in flight one ends; the other gets its own message, on the same connection"""
    def retr(name):
        return lambda client, how: client.begin("pop3.retr", account="fake", id=name, **how)

    for who in ("first", "second"):
        for way in WAYS:
            server = FakePop3({"retr": Stall()})
            result = neighbours(flow, "pop3", server, retr("id-1"), retr("id-2"), lambda client: client.call("pop3.uid_list", account="fake"), who, way)
            kept = 2 if who == "first" else 1
            same(text_of(result["raw"]), LETTERS[kept - 1])
            same((server.connections, [line for line in server.lines if line.startswith("RETR")]), (1, ["RETR 1", "RETR 2"]), f"{who} {way}")
            server.close()


def test_pop3_big_neighbour(flow):
    """POP3: an answer that nobody waits for and that is long ends the connection; the call behind it runs on another"""
    server = FakePop3({"retr": Stall()}, messages=[b"x" * 70 + b"\r\n" * (4 << 20), *LETTERS[1:]])
    result = neighbours(flow, "pop3", server, lambda client, how: client.begin("pop3.retr", account="fake", id="id-1", **how),
                        lambda client, how: client.begin("pop3.retr", account="fake", id="id-2", **how),
                        lambda client: client.call("pop3.uid_list", account="fake"), "first", "cancel")
    same((text_of(result["raw"]), server.connections), (LETTERS[1], 2))
    server.close()


def test_smtp_neighbours(flow):
    """SMTP: of two sends on one connection, the envelope of one behind the body of the other, one ends; the other is sent as it is"""
    def send(name):
        return lambda client, how: client.begin("smtp.send", account="fake", raw=f"Subject: {name}\n\nx\n", envelope=envelope(), idempotency_key=name, **how)

    for who in ("first", "second"):
        for way in WAYS:
            server = smtp.FakeSmtp({"dot": Stall()})
            result = neighbours(flow, "smtp", server, send("one"), send("two"), lambda client: client.call("smtp.verify", account="fake", address="ann"),
                                who, way)
            same(result["accepted"], ["b@example.com"])
            # Both were in the daemon's hands: the one that ended goes out too, and once.
            subjects = [next(line for line in body.split("\r\n") if line.startswith("Subject")) for body in server.bodies]
            same((subjects, server.connections), (["Subject: one", "Subject: two"], 1), f"{who} {way}")
            server.close()
