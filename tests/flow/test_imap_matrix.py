# SPDX-License-Identifier: MIT
"""IMAP servers that fail at every step in every way."""

import contextlib
import time

import matrix
from fake_imap_steps import LETTERS, FakeImapSteps
from fake_mail import after, binary, both, drip, endless, endless_line, fin, garbage, late, partial, partial_fin, rst, silent, then, twice
from harness import RpcError, same, text_of
from matrix import Case, at_the_handshake

# what no server may say where an answer is due
NONSENSE = {"garbage": garbage, "binary": binary, "empty": "\r\n", "wrong-tag": "X9 OK done\r\n", "tag-alone": "%\r\n", "status": "% FINE x\r\n",
            "small-tag": "x% OK x\r\n", "smtp": "220 ready\r\n", "pop3": "+OK ready\r\n% FINE\r\n", "preauth": "* PREAUTH x\r\n",
            "literal-4g": "* LIST () \"/\" {4294967295}\r\n", "literal-minus": "* LIST () \"/\" {-1}\r\n",
            "literal-huge": "* LIST () \"/\" {18446744073709551617}\r\n", "literal-lie": "* LIST () \"/\" {1}\r\nabc\r\n", "endless-line": endless_line,
            "endless-lines": endless("* OK and so on\r\n"), "endless-data": endless("* X-NOBODY ASKED (for this)\r\n")}
LOST = {"fin": fin, "rst": rst, "partial-fin": partial_fin, "cut": after("* OK hal", fin), "literal-cut": after("* LIST () \"/\" {99}\r\nabc", fin),
        "bye": both("* BYE going\r\n", fin)}
MUTE = {"silent": silent, "partial": partial, "untagged-only": both("* OK still here\r\n", silent), "literal-short": both("* LIST () \"/\" {99}\r\nabc\r\n", silent),
        "plus": both("+ go on\r\n", silent)}
REFUSED = {"no": ("% NO no\r\n", "no"), "bad": ("% BAD what\r\n", "no"), "bare": ("% NO\r\n", "no"), "unavailable": ("% NO [UNAVAILABLE] later\r\n", "later"),
           "in-use": ("% NO [INUSE] later\r\n", "later"), "nonexistent": ("% NO [NONEXISTENT] x\r\n", "no"), "odd-code": ("% NO [X-ODD \"a]b\" (] x\r\n", "no")}
LIMIT_MS = 1500
WAITS = {name: f"{LIMIT_MS}ms" for name in matrix.WAITS}
DEADLINE = {"timeout": 2000}
FLOODS = ("endless-line", "endless-lines", "endless-data")
FLOODED = ("status", "fetch", "store", "append_end", "select", "xyzzy", "noop", "greeting", "capability", "login", "auth")
RAW = {"raw": "Subject: x\n\nkept\n"}


# -- what is called


def pooled(method, **params):
    return lambda client, account, more: (client.begin(method, account=account, **params, **more), None)


def stepwise(*steps, **how):
    """Calls of a session; the last one meets the fault."""
    def begin(client, account, more):
        session = client.call("imap.open", account=account, **how)["session"]
        for method, params in steps[:-1]:
            client.call("imap." + method, session=session, **params)
        return client.begin("imap." + steps[-1][0], session=session, **steps[-1][1], **more), session
    return begin


def one(step, run, stage=None, **more):
    """A step, and the call whose answer it is. `changes`: it has an effect."""
    return dict(step=step, run=run, stage=stage or step, **more)


ANY = {"uids": [1], "uidvalidity": "any"}
READS = [
    one("status", pooled("imap.status", mailbox="INBOX", items=["MESSAGES"])), one("list", pooled("imap.list")),
    one("examine", pooled("imap.fetch", uids=[1]), twice=("protocol", "fetch", "none", "later")), one("fetch", pooled("imap.fetch", uids=[1])),
    one("search", pooled("imap.search", query="ALL")), one("search", pooled("imap.sort", criteria="DATE"), name="sort-search", twice=("protocol", "fetch", "none", "later")),
    one("fetch", pooled("imap.thread"), name="thread-fetch"), one("namespace", pooled("imap.namespace")), one("getacl", pooled("imap.getacl", mailbox="INBOX")),
]
CHANGES = [
    one("store", pooled("imap.store", command="+FLAGS", flags=["\\Seen"], **ANY)), one("copy", pooled("imap.copy", destination="x", **ANY)),
    one("move", pooled("imap.move", destination="x", **ANY)), one("expunge", pooled("imap.expunge", **ANY)),
    one("create", pooled("imap.create", mailbox="x")), one("delete", pooled("imap.delete", mailbox="x")),
    one("append_end", pooled("imap.append", mailbox="x", **RAW), "append"),
]
BEFORE_CHANGES = [one("select", pooled("imap.store", command="+FLAGS", flags=["\\Seen"], **ANY), name="select",
                      twice=("protocol", "store", "unknown", "no"))]
IN_SESSIONS = [
    one("select", stepwise(("select", {"mailbox": "INBOX"})), name="session-select"),
    one("fetch", stepwise(("select", {"mailbox": "INBOX"}), ("fetch", {"uids": [1]})), name="session-fetch"),
    one("search", stepwise(("select", {"mailbox": "INBOX"}), ("search", {"query": "ALL", "numbers": True})), name="session-search"),
    one("search", stepwise(("select", {"mailbox": "INBOX"}), ("uid", {"command": "SEARCH", "arguments": ["ALL"]})), "exec", name="session-uid", executes=True),
    one("noop", stepwise(("recent", {})), name="session-recent"),
    one("noop", stepwise(("noop", {})), name="session-noop"), one("check", stepwise(("select", {"mailbox": "INBOX"}), ("check", {})), name="session-check"),
    one("enable", stepwise(("enable", {"capabilities": ["CONDSTORE"]})), name="session-enable"),
    one("id", stepwise(("id", {})), name="session-id"),
    one("xyzzy", stepwise(("exec", {"command": "XYZZY"})), "exec", name="session-exec", changes=True, executes=True),
    one("close", stepwise(("select", {"mailbox": "INBOX"}), ("close", {})), name="session-close", changes=True),
]


def case_of(operation, name, wanted, act, **more):
    options = dict(run=operation["run"], login=True, plain_auth=True, works_after={operation["stage"]}, limit_ms=LIMIT_MS)
    options.update(operation.get("options", {}), **more)
    options["keys"] = dict(WAITS, **options.get("keys", {}))
    return Case(f"{operation.get('name', operation['step']).replace('_', '-')}-{name}", wanted, {operation["step"]: act}, **options)


def command_cases(operation, session=False):
    """A command behind the login. One that only reads runs again, unseen, where its connection was lost; in a session nothing does; what
    changes something and was not answered is unknown, and never said twice."""
    stage, changes = operation["stage"], operation.get("changes", False)
    outcome, soon, later = ("unknown", "no", "no") if changes else ("none", "now", "later")
    again = not session and not changes

    def case(name, wanted, act, **more):
        if changes:
            more.setdefault("check", said_once(operation["step"]))
        return case_of(operation, name, wanted, act, **more)

    for name, act in LOST.items():
        yield case(name, None if again else ("disconnected", stage, outcome, soon), act, connections=2 if again else 1)
    for name, act in MUTE.items():
        yield case(name, ("timeout", stage, outcome, later), act, connections=1)
    for name, act in NONSENSE.items():
        if name in FLOODS and operation["step"] not in FLOODED:
            continue
        bounded = operation.get("executes") and name in ("endless-lines", "endless-data")     # what a command of one's own answers is bounded by the call
        yield case(name, ("limit", stage, "unknown", "no") if bounded else ("protocol", stage, outcome, later), act, connections=1)
    yield case("drip", ("timeout", stage, outcome, later), drip, connections=1, params=DEADLINE, limit_ms=DEADLINE["timeout"])
    yield case("late", None, late(0.3), connections=1)
    yield case("twice", operation.get("twice"), twice, poisoned=not session)
    yield case("unasked", None, before("* 5 EXPUNGE\r\n* 0 EXPUNGE\r\n* 4294967295 EXPUNGE\r\n* 7 EXISTS\r\n+ what\r\n* OK [ALERT] x\r\n* 9 FETCH (UID 9 FLAGS ())\r\n"
                                       "* OK [APPENDUID 1 1] x\r\n* OK [COPYUID 1 1 1] x\r\n* STATUS other (MESSAGES 9)\r\n"), connections=1)
    for name, (text, retry) in REFUSED.items():
        yield case("refused-" + name, None if operation.get("executes") else ("rejected", stage, "none", retry), text, connections=1, poisoned=False)


def before(text):
    """The text, and then the usual answer."""
    def run(wire, usual):
        wire.send(text + usual)
    return run


def said_once(step):
    def check(case, _):
        verb = step.split("_")[0]
        found = [change for change in case.server.changes if change[0] == verb]
        return None if len(found) == 1 or not found and verb in ("xyzzy", "close") else f"changes: {found}"
    return check


def fetch_cases():
    """What a FETCH may tell that is not what was asked for."""
    operation = one("fetch", pooled("imap.fetch", uids=[1, 2]))
    whole = "* {n} FETCH (UID {uid} BODY[] {{3}}\r\nabc)\r\n"
    answers = {"other-uid": "* 9 FETCH (UID 9 BODY[] {3}\r\nxyz)\r\n", "without-uid": "* 1 FETCH (BODY[] {3}\r\nxyz)\r\n",
               "again": whole.format(n=1, uid=1), "zero": "* 0 FETCH (UID 0 BODY[] {3}\r\nxyz)\r\n", "huge-number": "* 4294967296 FETCH (UID 1)\r\n",
               "expunged-between": "* 1 EXPUNGE\r\n", "nil": "* 3 FETCH NIL\r\n", "no-list": "* 3 FETCH\r\n", "odd": "* 3 FETCH (((\r\n"}
    for name, text in answers.items():
        both_of_them = whole.format(n=1, uid=1) + text + whole.format(n=2, uid=2) + "% OK x\r\n"
        yield case_of(operation, name, None, both_of_them, connections=1, check=exactly(1, 2))
    lies = {"literal-longer": "* 1 FETCH (UID 1 BODY[] {3}\r\nabcdef)\r\n% OK x\r\n", "literal-unclosed": "* 1 FETCH (UID 1 BODY[] {3}\r\nabc\r\n% OK x\r\n",
            "literal-swallows": "* 1 FETCH (UID 1 BODY[] {30}\r\nabc)\r\n% OK x\r\n* 9 EXISTS\r\n* 9 EXISTS\r\n",
            "literal-2-31": "* 1 FETCH (UID 1 BODY[] {2147483649}\r\n", "literal-4g": "* 1 FETCH (UID 1 BODY[] {4294967295}\r\n",
            "literal-digits": "* 1 FETCH (UID 1 BODY[] {" + "9" * 50000 + "}\r\n", "tagged-in-literal": "* 1 FETCH (UID 1 BODY[] {9000}\r\n" + "x" * 9000 + "% OK x\r\n"}
    for name, text in lies.items():
        yield case_of(operation, name, ("protocol", "fetch", "none", "later"), text, connections=1)
    large = "* 1 FETCH (UID 1 BODY[] {9000}\r\n" + "x" * 4500
    for name, act in (("fin", fin), ("rst", rst)):
        yield case_of(operation, "large-" + name, ("disconnected", "fetch", "none", "now"), after(large, act), connections=1)
    yield case_of(operation, "large-silent", ("timeout", "fetch", "none", "later"), after(large, silent), connections=1)
    yield case_of(operation, "large-endless-header", ("protocol", "fetch", "none", "later"), after("* 1 FETCH (UID 1 ", endless("X" * 1000)))
    yield case_of(operation, "parentheses", None, "* 1 FETCH (UID 1 BODYSTRUCTURE " + "(" * 50000 + ")" * 50000 + " BODY[] {0}\r\n)\r\n* 2 FETCH (UID 2 BODY[] NIL)\r\n% OK x\r\n",
                  connections=1, check=exactly(1, 2))


def exactly(*uids):
    def check(_, result):
        found = [one["uid"] for one in result["messages"]]
        return None if found == list(uids) else f"UIDs {found}"
    return check


def append_cases():
    """APPEND waits for its "+"; what is said instead sends no byte of the message."""
    operation = one("append", pooled("imap.append", mailbox="x", **RAW), name="append-wait")
    for name, text in {"no": "% NO [TRYCREATE] x\r\n", "bad": "% BAD x\r\n"}.items():
        yield case_of(operation, name, ("rejected", "append", "none", "no"), text, connections=1, poisoned=False, check=nothing_sent)
    for name, text in {"ok": "% OK [APPENDUID 1 1] x\r\n", "garbage": "what\r\n", "wrong-tag": "X OK x\r\n"}.items():
        yield case_of(operation, name, ("protocol", "append", "none", "later"), text, connections=1, check=nothing_sent)
    for name, act in {"silent": silent, "untagged": both("* OK wait\r\n", silent)}.items():
        yield case_of(operation, name, ("timeout", "append", "none", "later"), act, connections=1, check=nothing_sent)
    for name, act in {"fin": fin, "rst": rst, "bye": both("* BYE x\r\n", fin)}.items():
        yield case_of(operation, name, None, act, connections=2)


def nothing_sent(case, _):
    return None if not case.server.changes else f"{case.server.changes}"


def around_cases():
    """What comes when nothing is asked is nobody's answer; an answer that comes too early neither."""
    operation = one("idle", pooled("imap.status", mailbox="INBOX", items=["MESSAGES"]), "status")
    for name, act in {**{name: act for name, act in LOST.items() if name != "partial-fin"}, "garbage": garbage, "surplus": "X1 OK surprise\r\n", "half": "* OK ha",
                      "bye": both("* BYE autologout\r\n", fin), "bye-open": both("* BYE autologout\r\n", silent)}.items():
        yield case_of(operation, name, None, act, before=[used_before], pause=0.3, connections=2)
    for name, text in {"exists": "* 9 EXISTS\r\n", "plus": "+ what\r\n", "alert": "* OK [ALERT] soon\r\n"}.items():
        yield case_of(operation, name, None, text, before=[used_before], pause=0.3, connections=1)
    yield case_of(operation, "silent", None, silent, before=[used_before], pause=0.3, limit_ms=2 * LIMIT_MS)
    for name, act in {**LOST, "garbage": garbage, "silent": silent, "no": "% NO x\r\n", "twice": twice}.items():
        yield case_of(one("logout", pooled("imap.status", mailbox="INBOX", items=["MESSAGES"]), "status", name="logout"), name, None, act,
                      keys={"idle_timeout": "100ms"}, connections=1)
    # The tag of a command that is not said yet.
    operation = one("examine", pooled("imap.fetch", uids=[1]), "fetch", name="early")
    for number in range(3):
        yield case_of(operation, f"tag-{number}", None, guess_next(number), either=[None, ("protocol", "fetch", "none", "later"), ("protocol", "examine", "none", "later")],
                      check=lambda case, result: None if isinstance(result, RpcError) or text_of(result["messages"][0]["sections"]["BODY[]"]) == LETTERS[0] else "a forged answer")


def guess_next(number):
    """The usual answer, and one to a command that might come next."""
    def run(wire, usual):
        tag = wire.tag
        counted = tag[:-1] + chr(ord(tag[-1]) + 1)
        guess = [counted, tag, f"A{len(wire.server.lines) + 1:04}"][number]
        wire.send(usual + f"* 1 FETCH (UID 1 BODY[] {{6}}\r\nforged)\r\n{guess} OK done\r\n")
    return run


def used_before(client, account):
    client.call("imap.list", account=account)


def login_cases():
    read = pooled("imap.status", mailbox="INBOX", items=["MESSAGES"])
    ways = [("greeting", "", {}), ("capability", "", {}), ("login", "", {"method": "login"}), ("capability_auth", "", {"method": "login"})]
    for mechanism, steps in (("PLAIN", 2), ("LOGIN", 3), ("CRAM-MD5", 2), ("SCRAM-SHA-256", 3)):
        ways += [("auth" if number == 1 else f"auth{number}", mechanism, {"method": {"LOGIN": "sasl-login"}.get(mechanism, mechanism)}) for number in range(1, steps + 1)]
    for step, mechanism, keys in ways:
        stage = "auth" if step.startswith(("auth", "login")) else step.split("_")[0]
        operation = one(step, read, stage, name=f"{mechanism.lower()}-{step}" if mechanism else f"login-{step.replace('_', '-')}",
                        options=dict(mechanisms=mechanism, keys=keys, works_after=()))
        yield from login_step_cases(operation, mechanism)
    yield Case("none-offered", ("missing_extension", "auth", "none", "no"), {"capability": "* CAPABILITY IMAP4rev1 LOGINDISABLED\r\n% OK x\r\n"}, run=read, login=True,
               plain_auth=True, hopeless=True)
    yield Case("in-clear", ("tls", "auth", "none", "no"), {}, run=read, login=True, hopeless=True)
    yield Case("token-only-passwords", None, {}, run=read, login=True, token=True, plain_auth=True, mechanisms="PLAIN", hopeless=True,
               either=[("unsupported_mechanism", "auth", "none", "no"), ("missing_extension", "auth", "none", "no")])


def hand_login_cases():
    """The same where a session's client asks for each step; a refused one leaves the session as it was."""
    password = {"username": "ann", "password": "geheim-7"}
    for step, mechanism, method, params in (("login", "", "login", password), ("auth", "CRAM-MD5", "login_cram_md5", password), ("auth2", "CRAM-MD5", "login_cram_md5", password),
                                            ("auth", "PLAIN", "authenticate", {"mechanism": "PLAIN", "responses": ["AGFubgBnZWhlaW0tNw=="]})):
        operation = one(step, stepwise((method, params), login=False), "auth", name=f"by-hand-{method.replace('_', '-')}-{step}", options=dict(mechanisms=mechanism))
        own = method == "authenticate"      # whose challenges are its caller's matter, without an end or not
        for case in login_step_cases(operation, mechanism):
            if case.name.endswith("-drip"):
                case.options["params"] = DEADLINE
            if not (own and case.name.endswith("-endless-challenges")):
                yield case


def login_step_cases(operation, mechanism):
    step, stage = operation["step"], operation["stage"]

    def case(name, wanted, act, **more):
        return case_of(operation, name, wanted, act, **more)

    for name, act in LOST.items():
        if step == "greeting" and name in ("bye", "literal-cut"):
            continue
        yield case(name, ("disconnected", stage, "none", "now"), act, connections=1)
    for name, act in MUTE.items():
        if name in ("plus", "untagged-only", "literal-short") and (step == "greeting" or step.startswith("auth")):
            continue
        yield case(name, ("timeout", stage, "none", "later"), act, connections=1)
    yield case("drip", ("timeout", stage, "none", "later"), drip, connections=1, limit_ms=2 * LIMIT_MS)
    for name, act in NONSENSE.items():
        if name in FLOODS and step not in FLOODED:
            continue
        if step == "greeting" and name in ("endless-lines", "preauth", "tag-alone", "status", "small-tag"):
            continue
        if name in ("pop3", "preauth"):
            continue
        yield case(name, ("protocol", stage, "none", "later"), act, connections=1)
    yield case("late", None, late(0.3), connections=1)
    if step == "greeting":
        yield case("bye", ("rejected", "greeting", "none", "later"), "* BYE too many\r\n", connections=1, either=[("rejected", "greeting", "none", "later"), ("rejected", "greeting", "none", "no")])
        for name, text in {"no": "* NO x\r\n", "tagged": "A1 OK x\r\n", "preauth": "* PREAUTH x\r\n"}.items():
            yield case(name, ("protocol", "greeting", "none", "later"), text, connections=1)
        return
    for name, (text, retry) in REFUSED.items():
        if stage == "capability":
            wanted = None
        elif name in ("unavailable", "in-use"):
            wanted = ("rejected", "auth", "none", "later")
        else:
            wanted = ("auth", "auth", "none", "no")
        yield case("refused-" + name, wanted, text, connections=1)
    if stage == "auth":
        yield case(
            "referral", ("auth", "auth", "none", "no"), "% NO [REFERRAL imap://ann@127.0.0.1:1/] there\r\n", connections=1)
    if mechanism:
        if mechanism not in ("LOGIN", "PLAIN"):
            yield case("bad-base64", ("protocol", "auth", "none", "later"), "+ !!!\r\n", connections=1)
        yield case("endless-challenges", ("protocol", "auth", "none", "later"), endless("+ QUJD\r\n"), connections=1)
    if mechanism.startswith("SCRAM") and step != "auth3":
        yield case("early-yes", ("protocol", "auth", "none", "later"), "% OK in\r\n", connections=1)


def tls_cases():
    read = pooled("imap.status", mailbox="INBOX", items=["MESSAGES"])

    def case(step, name, wanted, act, **more):
        return Case(f"tls-{step.replace('_', '-')}-{name}", wanted, {step: act}, tls=True, login=True, run=read, **at_the_handshake(step, wanted), **more)

    for name, (text, retry) in REFUSED.items():
        yield case("starttls", name, ("tls", "tls", "none", retry), text)
    for step in ("starttls", "handshake"):
        for name in ("silent", "partial"):
            yield case(step, name, ("timeout", "tls", "none", "later"), MUTE[name])
    for name in ("fin", "rst", "partial-fin"):
        yield case("starttls", name, ("disconnected", "tls", "none", "now"), LOST[name])
        yield case("handshake", name, ("tls", "tls", "none", "no"), LOST[name])
    for name in ("garbage", "binary", "empty", "wrong-tag", "status", "smtp", "endless-line"):
        yield case("starttls", name, ("protocol", "tls", "none", "later"), NONSENSE[name])
    for name in ("garbage", "binary"):
        yield case("handshake", name, ("tls", "tls", "none", "no"), both(NONSENSE[name], silent))
    yield case("handshake", "reply", ("tls", "tls", "none", "no"), both("* OK in clear\r\n", silent))
    yield case("starttls", "injected", ("protocol", "tls", "none", "later"), then("* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n"))
    yield case("starttls", "fragment", ("protocol", "tls", "none", "later"), then("* OK [CAP"))
    yield case("starttls", "bye-referral", ("disconnected", "tls", "none", "now"), "* BYE [REFERRAL imap://evil.example/] x\r\n")
    yield case("capability", "stripped", ("tls", "tls", "none", "no"), "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n% OK x\r\n", either=[("tls", "capability", "none", "no"), ("tls", "tls", "none", "no")])
    yield case("capability", "refused", ("tls", "tls", "none", "no"), "% BAD what?\r\n", either=[("tls", "capability", "none", "no"), ("tls", "tls", "none", "no")])
    yield case("greeting", "preauth", ("tls", "greeting", "none", "no"), "* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] x\r\n")
    for name in ("fin", "garbage", "silent"):
        wanted = {"fin": ("disconnected", "capability", "none", "now"), "garbage": ("protocol", "capability", "none", "later"),
                  "silent": ("timeout", "capability", "none", "later")}[name]
        yield case("capability_tls", name, wanted, {"fin": fin, "garbage": garbage, "silent": silent}[name])
    yield case("capability_tls", "starttls-again", None, "* CAPABILITY IMAP4rev1 STARTTLS UIDPLUS\r\n% OK x\r\n")
    yield case("login", "refused", ("auth", "auth", "none", "no"), "% NO [AUTHENTICATIONFAILED] no\r\n")
    yield case("login", "fin", ("disconnected", "auth", "none", "now"), fin)
    for name in ("self_signed", "expired", "wrong_name", "not_for_servers"):
        yield Case(f"tls-{name.replace('_', '-')}", ("tls", "tls", "none", "no"), {}, tls=True, login=True, run=read, certificate=name, hopeless=True)
    yield Case("tls-implicit", None, {}, tls=True, login=True, implicit=True, run=read)
    yield Case("tls-implicit-silent", ("timeout", "tls", "none", "later"), {"handshake": silent}, tls=True, login=True, implicit=True, run=read)
    yield Case("tls-implicit-clear", ("tls", "tls", "none", "no"), {"handshake": both("* OK in clear\r\n", silent)}, tls=True, login=True, implicit=True, run=read)
    yield Case("tls-fine", None, {}, tls=True, login=True, connections=1, run=read)


def make(flow, case):
    certificate = flow.mail.certificates[case.option("certificate", "good")] if case.option("tls") else None
    return FakeImapSteps(*case.scripts, certificate=certificate, implicit=case.option("implicit", False), mechanisms=case.option("mechanisms", ""))


def call(client, account, case):
    time.sleep(case.option("pause", 0))
    number, session = case.options["run"](client, account, case.option("params", {}))
    try:
        return client.finish(number)[0]
    finally:
        if session:
            with contextlib.suppress(RpcError):     # where the fault has ended it
                client.call("imap.quit", session=session, timeout=1000)


def read_all(client, account, case):
    messages = client.call("imap.fetch", account=account, uids="1:*")["messages"]
    same([text_of(one["sections"]["BODY[]"]) for one in messages], LETTERS)


def run(flow, cases):
    matrix.run(flow, "imap", list(cases), make, call, read_all, {"max_message_size": "4M", "max_response_size": "2M"})


def of(operations, **more):
    return [case for operation in operations for case in command_cases(dict(operation, **more), operation.get("name", "").startswith("session"))]


def test_reads(flow):
    """Each answer of a call that only reads refused, lost, late, broken, endless or twice: it runs again, or says what happened"""
    run(flow, of(READS))


def test_before_changes(flow):
    """The same of what comes before a change: nothing was changed"""
    run(flow, of(BEFORE_CHANGES))


def test_changes(flow):
    """The same of commands that change something: unknown, and never said twice"""
    run(flow, of(CHANGES, changes=True))


def test_sessions(flow):
    """The same in sessions, where nothing runs again"""
    run(flow, of(IN_SESSIONS))


def test_fetch(flow):
    """Messages that nobody asked for, and literals that lie"""
    run(flow, fetch_cases())


def test_append(flow):
    """APPEND sends its message when it is told to go on, and not otherwise"""
    run(flow, append_cases())


def test_around(flow):
    """Idle connections that end or speak, LOGOUT, and answers that come before their commands"""
    run(flow, around_cases())


def test_login(flow):
    """Greeting, CAPABILITY, and each step of each way to log in, failing in every way"""
    run(flow, login_cases())


def test_login_by_hand(flow):
    """The steps of a login in a session, failing in every way"""
    run(flow, hand_login_cases())


def test_tls(flow):
    """STARTTLS refused, stripped, injected, broken or stalled: no credential goes out in clear, ever"""
    run(flow, tls_cases())
