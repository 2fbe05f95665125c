# SPDX-License-Identifier: MIT
"""POP3 servers that fail at every step in every way."""

import contextlib
import time

import matrix
from fake_mail import (after, binary, both, drip, endless, endless_line, fin, garbage, late, partial, partial_fin, rst, silent, then,
                       twice)
from fake_pop3 import LETTERS, FakePop3
from harness import RpcError, same, text_of
from matrix import Case, at_the_handshake

# what no server may say where a status is due
NONSENSE = {"garbage": garbage, "binary": binary, "empty": "\r\n", "plus": "+\r\n", "glued": "+OKAY\r\n", "minus": "-ERROR\r\n",
            "smtp": "220 ready\r\n", "imap": "* OK ready\r\n", "nul": "+OK a\0b\r\n", "endless-line": endless_line}
LOST = {"fin": fin, "rst": rst, "partial-fin": partial_fin, "cut": after("+O", fin)}
MUTE = {"silent": silent, "partial": partial}
# response codes (RFC 2449, 3206) and whether to come again
REFUSED = {"err": ("-ERR no\r\n", "no"), "bare": ("-ERR\r\n", "no"), "sys-temp": ("-ERR [SYS/TEMP] later\r\n", "later"),
           "sys-perm": ("-ERR [SYS/PERM] never\r\n", "no"), "auth": ("-ERR [AUTH] no\r\n", "no"), "in-use": ("-ERR [IN-USE] locked\r\n", "later"),
           "login-delay": ("-ERR [LOGIN-DELAY] wait\r\n", "later"), "small": ("-err [sys/temp] later\r\n", "later")}
# codes that say that the password is not what is wrong
NOT_THE_PASSWORD = ("sys-temp", "sys-perm", "in-use", "login-delay", "small")


MESSAGES = ("retr", "top", "lang")
DEADLINE = {"timeout": matrix.LIMIT_MS}


# -- what is called


def pooled(method, **params):
    """Begins the call; its number, and the session that it runs in."""
    return lambda client, account, more: (client.begin(method, account=account, **params, **more), None)


def stepwise(*steps, login=True):
    """Calls of a session; the last one meets the fault."""
    def begin(client, account, more):
        session = client.call("pop3.open", account=account, login=login)["session"]
        for method, params in steps[:-1]:
            client.call("pop3." + method, session=session, **params)
        return client.begin("pop3." + steps[-1][0], session=session, **steps[-1][1], **more), session
    return begin


def one(step, run, stage, multi=False, **more):
    """A step, and the call whose answer it is. `multi`: of several lines. `followed`: by which command of the same call."""
    return dict(step=step, run=run, stage=stage, multi=multi, **more)


READS = [
    one("stat", pooled("pop3.stat"), "stat"), one("noop", pooled("pop3.noop"), "noop"), one("list", pooled("pop3.list"), "list", True, followed="uidl"),
    one("uidl", pooled("pop3.uid_list"), "uidl", True), one("capa_again", pooled("pop3.capa"), "capa", True),
    one("retr", pooled("pop3.retr", id="id-2"), "retr", True), one("top", pooled("pop3.top", id="id-2", lines=1), "top", True),
    one("uidl", pooled("pop3.retr", id="id-2"), "uidl", True, name="retr-uidl", followed="uidl"),
]
DELETES = [one("uidl", pooled("pop3.delete", id="id-2"), "uidl", True, name="delete-uidl", followed="uidl"),
           one("dele", pooled("pop3.delete", ids=["id-2", "id-3"]), "dele", followed="dele")]
IN_SESSIONS = [
    one("rset", stepwise(("dele", {"number": 1}), ("rset", {})), "rset"), one("utf8", stepwise(("utf8", {}), login=False), "utf8"),
    one("list1", stepwise(("list", {"number": 2})), "list", followed="uidl"), one("uidl1", stepwise(("uidl", {"number": 2})), "uidl"),
    one("dele", stepwise(("dele", {"number": 1})), "dele", name="session-dele"),
    one("retr", stepwise(("retr", {"number": 1})), "retr", True, name="session-retr", options=dict(pipelining=False)),
    one("lang", stepwise(("exec", {"command": "LANG"})), "exec", True, executes=True),
    one("lang1", stepwise(("exec", {"command": "LANG de"})), "exec", executes=True),
    one("xyzzy", stepwise(("exec", {"command": "XYZZY"})), "exec", executes=True, unknown=True),
    one("quit", stepwise(("quit", {})), "quit", name="session-quit", last=True),
    one("user", stepwise(("user", {"username": "ann"}), login=False), "user"),
]


def case_of(operation, name, wanted, act, **more):
    step = operation["step"]
    prefix = operation.get("name", step).replace("_", "-")
    options = dict(run=operation["run"], login=True, plain_auth=True, works_after=known(operation))
    options.update(operation.get("options", {}), **more)
    return Case(f"{prefix}-{name}", wanted, {step: act}, **options)


def known(operation):
    return {operation["stage"]} - {"auth", "tls", "greeting", "capa"}


def command_cases(operation, session):
    """A command behind the login. One that only reads runs again, unseen, where its connection was lost; in a session it cannot."""
    stage, lost = operation["stage"], "unknown" if operation.get("unknown") else "none"

    def case(name, wanted, act, **more):
        return case_of(operation, name, wanted, act, **more)

    for name, act in LOST.items():
        yield case(name, ("disconnected", stage, lost, "no" if lost == "unknown" else "now") if session else None, act,
                   connections=1 if session else 2)
    for name, act in MUTE.items():
        yield case(name, ("timeout", stage, lost, "no" if lost == "unknown" else "later"), act, connections=1)
    for name, act in NONSENSE.items():
        endless_message = name == "endless-line" and operation["step"] in MESSAGES
        yield case(name, ("limit", stage, "none", "no") if endless_message else ("protocol", stage, lost, "no" if lost == "unknown" else "later"), act)
    yield case("challenge", ("protocol", stage, lost, "no" if lost == "unknown" else "later"), "+ go on\r\n", connections=1)
    yield case("drip", ("timeout", stage, lost, "no" if lost == "unknown" else "later"), drip, connections=1, params=DEADLINE)
    yield case("late", None, late(0.3), connections=1)
    for name, (text, retry) in REFUSED.items():
        yield case(name, None if operation.get("executes") else ("rejected", stage, "none", retry), text, connections=1, poisoned=False)
    if not operation.get("last"):
        followed = operation.get("followed")
        yield case("twice", ("protocol", followed, "none", "later") if followed else None, twice, poisoned=True, pipelining=False)
    if not operation["multi"]:
        yield case("lf", None, "+OK 1 2\n", connections=1)
        return
    yield case("cut-block", ("disconnected", stage, lost, "now") if session else None, after("+OK\r\n1 ", fin), connections=1 if session else 2)
    yield case("no-dot", ("timeout", stage, "none", "later"), after("+OK\r\n1 10\r\n", silent), connections=1)
    yield case("late-dot", None, late_dot, connections=1)
    if operation["step"] in MESSAGES:
        # Of a message only CRLF . CRLF is the end.
        for name, end in (("lf-dot", "x\n.\r\n"), ("dot-lf", "x\r\n.\n"), ("lf-lf", "x\n.\n"), ("cr-dot", "x\r.\r\n")):
            yield case(name, ("timeout", stage, "none", "later"), both("+OK\r\n" + end, silent), connections=1)
        yield case("endless", ("limit", stage, "none", "no"), after("+OK\r\n", endless("line\r\n")))
        yield case("nuls", None, "+OK\r\na\0b\r\n\0\r\n.\r\n", connections=1)
    else:
        yield case("endless", None, after("+OK\r\n", endless("1 10\r\n")), either=[("limit", stage, "none", "no"), ("protocol", stage, "none", "later")])
        yield case("nuls", ("protocol", stage, "none", "later"), "+OK\r\n1 \0\r\n.\r\n", connections=1)
    if operation["step"] in ("list", "uidl"):
        good = "1 27\n2 27\n" if operation["step"] == "list" else "1 id-1\n2 id-2\n3 id-3\n"
        yield case("lf", None, f"+OK\n{good}.\n", connections=1)
        for name, line in {"no-number": "x 10", "number-0": "0 10", "minus": "-1 10", "huge": "99999999999 10", "bare": "1", "empty": ""}.items():
            yield case("entry-" + name, ("protocol", stage, "none", "later"), f"+OK\r\n{line}\r\n.\r\n", connections=1)


def late_dot(wire, usual):
    wire.send(usual[:-3])
    late(0.2)(wire, usual[-3:])


def quit_cases():
    """QUIT alone commits: what is lost with its answer is unknown, and never asked for again."""
    operation = one("quit", pooled("pop3.delete", ids=["id-1", "id-3"]), "quit")

    def case(name, wanted, act, **more):
        return case_of(operation, name, wanted, act, check=committed_once, **more)

    for name, act in LOST.items():
        yield case(name, ("disconnected", "quit", "unknown", "no"), act, connections=1)
    for name, act in {**MUTE, "drip": drip}.items():
        yield case(name, ("timeout", "quit", "unknown", "no"), act, connections=1, params=DEADLINE if name == "drip" else {})
    for name, act in {**NONSENSE, "challenge": "+ go on\r\n"}.items():
        yield case(name, ("protocol", "quit", "unknown", "no"), act, connections=1)
    for name, (text, _) in REFUSED.items():
        yield case(name, ("rejected", "quit", "unknown", "no"), text, connections=1)
    for name, act in {"late": late(0.3), "twice": twice, "lf": "+OK\n"}.items():
        yield case(name, None, act, connections=1)


def committed_once(case, _):
    return None if case.server.commits[:1] == [["id-1", "id-3"]] and len(case.server.said("QUIT")) == 1 else f"commits: {case.server.commits}"


def around_cases():
    """What comes when nothing is asked is nobody's answer; an answer that comes too early neither."""
    operation = one("idle", pooled("pop3.list"), "list")
    for name, act in {**LOST, "garbage": garbage, "surplus": "+OK surprise\r\n", "half": "+O", "bye": both("-ERR closing\r\n", fin),
                      "block": "+OK\r\n1 10\r\n.\r\n"}.items():
        yield case_of(operation, name, None, act, before=[used_before], pause=0.3, connections=2)
    yield case_of(operation, "silent", None, silent, before=[used_before], pause=0.3, connections=2, limit_ms=2 * matrix.LIMIT_MS)
    operation = one("dele", pooled("pop3.delete", id="id-2"), "quit", name="early")
    yield case_of(operation, "bye", ("protocol", "dele", "none", "later"), then("+OK bye\r\n"), check=lambda case, _: "; ".join(case.server.said("QUIT")))
    operation = one("retr", pooled("pop3.retr", ids=["id-1", "id-2"]), "retr", name="early", options=dict(pipelining=False))
    yield case_of(operation, "retr", ("protocol", "retr", "none", "later"), then("+OK\r\nforged\r\n.\r\n"))


def used_before(client, account):
    client.call("pop3.stat", account=account)


def login_cases():
    read = pooled("pop3.stat")
    ways = [("greeting", {}), ("capa", {}), ("user", {"method": "user"}), ("pass", {"method": "user"}), ("apop", {"method": "apop"}),
            ("capa_auth", {}), ("auth", {"mechanisms": "PLAIN"})]
    for mechanism, steps in (("LOGIN", 3), ("CRAM-MD5", 2), ("DIGEST-MD5", 3), ("SCRAM-SHA-1", 3), ("SCRAM-SHA-256", 3)):
        ways += [("auth" if number == 1 else f"auth{number}", {"mechanisms": mechanism}) for number in range(1, steps + 1)]
    for step, how in ways:
        mechanism = how.get("mechanisms", "")
        operation = one(step, read, "auth" if step.startswith("auth") else {"user": "auth", "pass": "auth", "apop": "auth", "capa_auth": "capa"}.get(step, step),
                        name=f"{mechanism.lower()}-{step}" if mechanism else f"login-{step.replace('_', '-')}",
                        options=dict(mechanisms=mechanism, stamp=step == "apop", works_after=(),
                                     keys={"method": {"LOGIN": "sasl-login"}.get(mechanism, mechanism)} if mechanism else
                                     {"method": how["method"]} if "method" in how else {"method": "user"}))
        yield from login_step_cases(operation, mechanism)
    for name in ("XOAUTH2", "OAUTHBEARER"):
        operation = one("auth", read, "auth", name=name.lower(), options=dict(mechanisms=name, token=True, works_after=()))
        yield from login_step_cases(operation, name)
    yield Case("none-offered", ("missing_extension", "auth", "none", "no"), {"capa": "+OK\r\nUIDL\r\n.\r\n"}, run=read, login=True, plain_auth=True, hopeless=True)
    yield Case("in-clear", ("tls", "auth", "none", "no"), {}, run=read, login=True, hopeless=True)


def login_step_cases(operation, mechanism):
    step, stage = operation["step"], operation["stage"]

    def case(name, wanted, act, **more):
        return case_of(operation, name, wanted, act, **more)

    for name, act in LOST.items():
        yield case(name, ("disconnected", stage, "none", "now"), act, connections=1)
    for name, act in MUTE.items():
        yield case(name, ("timeout", stage, "none", "later"), act, connections=1)
    yield case("drip", ("timeout", stage, "none", "later"), drip, connections=1, limit_ms=2 * matrix.LIMIT_MS)
    for name, act in NONSENSE.items():
        if name == "plus" and step.startswith("auth"):
            continue        # an empty challenge
        yield case(name, ("protocol", stage, "none", "later"), act, connections=1)
    yield case("late", None, late(0.3), connections=1)
    yield case("twice", ("protocol", stage, "none", "later"), twice, connections=1)
    for name, (text, retry) in REFUSED.items():
        if step.startswith("capa"):
            wanted = None
        elif stage == "auth" and name not in NOT_THE_PASSWORD:
            wanted = ("auth", "auth", "none", "no")
        else:
            wanted = ("rejected", stage, "none", retry)
        yield case("refused-" + name, wanted, text, connections=1 if wanted or stage != "auth" else 2)
    if step.startswith("capa"):
        yield case("endless", ("protocol", "capa", "none", "later"), after("+OK\r\n", endless("XSOMETHING more\r\n")))
        yield case("cut-list", ("disconnected", "capa", "none", "now"), after("+OK\r\nUIDL\r\n", fin))
        yield case("no-dot", ("timeout", "capa", "none", "later"), after("+OK\r\nUIDL\r\n", silent))
        yield case("lf", None, "+OK\nUIDL\nUSER\n.\n")
    if stage == "auth" and mechanism:
        if mechanism not in ("LOGIN", "XOAUTH2"):       # their prompts say nothing that is needed
            yield case("bad-base64", ("protocol", "auth", "none", "later"), "+ !!!\r\n")
        yield case("endless-challenges", ("protocol", "auth", "none", "later"), endless("+ QUJD\r\n"))
        yield case("huge-challenge", ("protocol", "auth", "none", "later"), "+ " + "QUJD" * 10000 + "\r\n")
    # A server must prove itself before its yes counts.
    if (mechanism.startswith("SCRAM") or mechanism == "DIGEST-MD5") and step != "auth3":
        yield case("early-yes", ("protocol", "auth", "none", "later"), "+OK in\r\n")


def tls_cases():
    read = pooled("pop3.stat")

    def case(step, name, wanted, act, **more):
        return Case(f"tls-{step.replace('_', '-')}-{name}", wanted, {step: act}, tls=True, login=True, run=read, **at_the_handshake(step, wanted), **more)

    for name, (text, retry) in REFUSED.items():
        yield case("stls", name, ("tls", "tls", "none", retry), text)
    for step in ("stls", "handshake"):
        for name, act in MUTE.items():
            yield case(step, name, ("timeout", "tls", "none", "later"), act)
    for name in ("fin", "rst", "partial-fin"):
        yield case("stls", name, ("disconnected", "tls", "none", "now"), LOST[name])
        yield case("handshake", name, ("tls", "tls", "none", "no"), LOST[name])
    for name in NONSENSE:
        yield case("stls", name, ("protocol", "tls", "none", "later"), NONSENSE[name])
    for name in ("garbage", "binary"):
        yield case("handshake", name, ("tls", "tls", "none", "no"), both(NONSENSE[name], silent))
    yield case("handshake", "reply", ("tls", "tls", "none", "no"), both("+OK in clear\r\n", silent))
    yield case("stls", "injected", ("protocol", "tls", "none", "later"), then("+OK injected\r\n"))
    yield case("stls", "fragment", ("protocol", "tls", "none", "later"), then("+O"))
    yield case("capa", "stripped", ("tls", "tls", "none", "no"), "+OK\r\nUSER\r\nUIDL\r\n.\r\n")
    yield case("capa", "refused", ("tls", "tls", "none", "no"), "-ERR what?\r\n")
    for name in ("fin", "garbage", "silent"):
        wanted = {"fin": ("disconnected", "capa", "none", "now"), "garbage": ("protocol", "capa", "none", "later"),
                  "silent": ("timeout", "capa", "none", "later")}[name]
        yield case("capa_tls", name, wanted, {"fin": fin, "garbage": garbage, "silent": silent}[name])
    yield case("capa_tls", "stls-again", None, "+OK\r\nSTLS\r\nUSER\r\n.\r\n")
    yield case("pass", "refused", ("auth", "auth", "none", "no"), "-ERR [AUTH] no\r\n")
    yield case("pass", "fin", ("disconnected", "auth", "none", "now"), fin)
    for name in ("self_signed", "expired", "wrong_name", "not_for_servers"):
        yield Case(f"tls-{name.replace('_', '-')}", ("tls", "tls", "none", "no"), {}, tls=True, login=True, run=read, certificate=name, hopeless=True)
    yield Case("tls-implicit", None, {}, tls=True, login=True, implicit=True, run=read)
    yield Case("tls-implicit-silent", ("timeout", "tls", "none", "later"), {"handshake": silent}, tls=True, login=True, implicit=True, run=read)
    yield Case("tls-implicit-clear", ("tls", "tls", "none", "no"), {"handshake": both("+OK in clear\r\n", silent)}, tls=True, login=True, implicit=True, run=read)
    yield Case("tls-fine", None, {}, tls=True, login=True, connections=1, run=read)


def session_login_cases():
    """Logins step by step: a refusal leaves the session as it was, the rest ends it."""
    wrong = {"password": matrix.PASSWORD}
    user = ("user", {"username": "ann"})
    operations = [one("pass", stepwise(user, ("pass_", wrong), login=False), "auth", name="step-pass"),
                  one("apop", stepwise(("apop", dict(username="ann", **wrong)), login=False), "auth", name="step-apop", options=dict(stamp=True)),
                  one("rpop", stepwise(("rpop", {"username": "trusted"}), login=False), "auth", name="step-rpop"),
                  one("auth", stepwise(("auth", {"mechanism": "PLAIN"}), login=False), "auth", name="step-auth", options=dict(mechanisms="PLAIN")),
                  one("auth2", stepwise(("auth", {"mechanism": "SCRAM-SHA-256"}), login=False), "auth", name="step-auth2",
                      options=dict(mechanisms="SCRAM-SHA-256"))]
    for operation in operations:
        operation.setdefault("options", {})["works_after"] = ()
        for name, act in LOST.items():
            yield case_of(operation, name, ("disconnected", "auth", "none", "now"), act, connections=1)
        for name, act in MUTE.items():
            yield case_of(operation, name, ("timeout", "auth", "none", "later"), act, connections=1)
        for name, act in NONSENSE.items():
            if name != "plus" or not operation["step"].startswith("auth"):
                yield case_of(operation, name, ("protocol", "auth", "none", "later"), act, connections=1)
        for name, (text, retry) in REFUSED.items():
            kind = "rejected" if name in NOT_THE_PASSWORD else "auth"
            yield case_of(operation, name, (kind, "auth", "none", retry), text, connections=1)
    for name, (text, retry) in REFUSED.items():
        yield Case(f"step-stls-{name}", ("rejected", "tls", "none", retry), {"stls": text}, run=stepwise(("stls", {}), login=False), login=True,
                   plain_auth=True, offers_tls=True)


def make(flow, case):
    certificate = flow.mail.certificates[case.option("certificate", "good")] if case.option("tls") or case.option("offers_tls") else None
    return FakePop3(*case.scripts, certificate=certificate, implicit=case.option("implicit", False), stamp=case.option("stamp", False),
                    capabilities=["UIDL", "TOP", "RESP-CODES", "UTF8 USER", "LANG"] + ["PIPELINING"] * case.option("pipelining", True), mechanisms=case.option("mechanisms", ""))


def call(client, account, case):
    time.sleep(case.option("pause", 0))
    number, session = case.options["run"](client, account, case.option("params", {}))
    try:
        return client.finish(number)[0]
    finally:
        if session:
            with contextlib.suppress(RpcError):     # where the fault has ended it
                client.call("pop3.close", session=session)


def read_all(client, account, case):
    """Everything that was not deleted by a QUIT is there, whole."""
    left = list(case.server.drop)
    same([one["id"] for one in client.call("pop3.list", account=account)["messages"]], left)
    for name in left[:1]:
        same(text_of(client.call("pop3.retr", account=account, id=name)["raw"]), LETTERS[int(name[3:]) - 1])
    if not case.server.said("QUIT"):
        same(len(left), len(LETTERS))


def run(flow, cases):
    matrix.run(flow, "pop3", cases, make, call, read_all, {"max_message_size": "4M", "max_response_size": "8M"})


def of(operations, session):
    return [case for operation in operations for case in command_cases(operation, session)]


def test_reads(flow):
    """Each answer of a call that only reads refused, lost, late, broken, endless or twice: it runs again, or says what happened"""
    run(flow, of(READS, False))


def test_deletes(flow):
    """The same of a delete before QUIT: nothing is deleted"""
    run(flow, of(DELETES, False))


def test_quit(flow):
    """The same of the QUIT that deletes: unknown, and never said twice"""
    run(flow, list(quit_cases()))


def test_around(flow):
    """Idle connections that end or speak, and answers that come before their commands"""
    run(flow, list(around_cases()))


def test_sessions(flow):
    """The same in sessions, where nothing runs again"""
    run(flow, of(IN_SESSIONS, True))


def test_login(flow):
    """Greeting, CAPA, and each step of each way to log in, failing in every way"""
    run(flow, list(login_cases()))


def test_login_steps(flow):
    """Logins by a session's own steps"""
    run(flow, list(session_login_cases()))


def test_tls(flow):
    """STLS refused, stripped, injected, broken or stalled: no credential goes out in clear, ever"""
    run(flow, list(tls_cases()))
