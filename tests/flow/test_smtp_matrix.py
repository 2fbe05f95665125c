# SPDX-License-Identifier: MIT
"""SMTP servers that fail at every step in every way."""

import time

import matrix
from fake_mail import (FakeSmtp, after, binary, both, drip, endless, endless_line, fin, garbage, late, partial, partial_fin, rst,
                       silent, then, twice)
from harness import same
from matrix import Case, at_the_handshake

TO = ["b@example.com", "c@example.com"]
LATER = "451 4.3.0 later\r\n"
NEVER = "550 5.1.1 no\r\n"
LEAVING = both("421 4.3.2 going down\r\n", fin)
ENDLESS = endless("250-and so on\r\n")
# what no server may say, whatever it answers
NONSENSE = {"garbage": garbage, "binary": binary, "short": "2\r\n", "mixed": "250-a\r\n251 b\r\n", "no-code": "abc def\r\n",
            "code-6": "650 x\r\n", "no-space": "250x ok\r\n", "endless-line": endless_line, "endless-lines": ENDLESS,
            "nul": "250 a\0b\r\n"}
LOST = {"fin": fin, "rst": rst, "partial-fin": partial_fin, "cut-lines": after("250-a\r\n", fin)}
MUTE = {"silent": silent, "partial": partial}


def stage_of(step):
    return {"rcpt2": "rcpt", "dot": "data", "body": "data", "ehlo_auth": "ehlo", "ehlo_tls": "ehlo", "auth2": "auth", "auth3": "auth",
            "starttls": "tls", "handshake": "tls"}.get(step, step)


def rejects(*addresses):
    def check(_, result):
        found = [one["address"] for one in result["rejected"]]
        return None if found == list(addresses) else f"rejected are {found}"
    return check


def envelope_cases(pipelining):
    way = "p" if pipelining else "s"

    def case(step, name, wanted, act, **more):
        return Case(f"{way}-{step}-{name}", wanted, {step: act}, pipelining=pipelining, works_after={"mail", "rcpt", "data"}, **more)

    for step in ("mail", "rcpt", "rcpt2", "data", "dot"):
        stage, lost = stage_of(step), "unknown" if step == "dot" else "none"
        for name, act in LOST.items():
            yield case(step, name, ("disconnected", stage, lost, "no") if step == "dot" else None, act, connections=1 if step == "dot" else 2)
        for name, act in MUTE.items():
            yield case(step, name, ("timeout", stage, lost, "no" if step == "dot" else "later"), act, connections=1)
        for name, act in NONSENSE.items():
            yield case(step, name, ("protocol", stage, lost, "no" if step == "dot" else "later"), act, connections=1)
        yield case(step, "421", ("rejected", stage, "none", "later") if step == "dot" else None, LEAVING, connections=1 if step == "dot" else 2)
        yield case(step, "drip", ("timeout", stage, "unknown", "no"), drip, call={"timeout": 900}, limit_ms=900)
        yield case(step, "late", None, late(0.3), connections=1)
        if step in ("rcpt", "rcpt2"):
            refused = rejects(TO[0] if step == "rcpt" else TO[1])
            yield case(step, "4xx", None, LATER, check=refused, connections=1)
            yield case(step, "5xx", None, NEVER, check=refused, connections=1)
        else:
            yield case(step, "4xx", ("rejected", stage, "none", "later"), LATER, connections=1)
            yield case(step, "5xx", ("rejected", stage, "none", "no"), NEVER, connections=1)
        if step == "data":
            yield case(step, "2xx", ("protocol", stage, "none", "later"), "250 fine\r\n")
        else:
            yield case(step, "3xx", ("protocol", stage, lost, "no" if step == "dot" else "later"), "354 go\r\n")
        if step == "dot":
            yield case(step, "twice", None, twice)
        elif not (pipelining and step == "data"):
            yield case(step, "twice", ("protocol", {"mail": "rcpt", "rcpt2": "data", "data": "data"}.get(step, "rcpt") if not pipelining else "data",
                                       "none", "later"), twice)
    if not pipelining:
        yield case("rcpt2", "early-354", ("protocol", "data", "none", "later"), then("354 go\r\n"))
        yield case("mail", "early-all", ("protocol", "rcpt", "none", "later"), then("250 a\r\n250 b\r\n354 go\r\n250 queued\r\n"))
    yield Case(f"{way}-all-refused", ("rejected", "rcpt", "none", "no"), {"rcpt": LATER, "rcpt2": NEVER}, pipelining=pipelining,
               check=lambda case, error: None if not case.server.bodies or case.server.bodies == [""] else "a body went out")


def login_cases():
    def case(step, name, wanted, act, **more):
        if step in ("auth", "ehlo_auth", "auth2", "auth3"):
            more.update(login=True, plain_auth=True)
        if step in ("auth2", "auth3"):
            more["mechanisms"] = "LOGIN"
            more["keys"] = {"method": "sasl-login"}
        return Case(f"{step.replace('_', '-')}-{name}", wanted, {step: act}, **more)

    for step in ("greeting", "ehlo", "auth", "auth2", "auth3", "ehlo_auth"):
        stage = stage_of(step)
        for name, act in LOST.items():
            if (step, name) == ("greeting", "cut-lines"):
                act = after("220-a\r\n", fin)
            elif step.startswith("auth") and name == "cut-lines":
                act = after("334-a\r\n", fin)
            yield case(step, name, ("disconnected", stage, "none", "now"), act, connections=1)
        for name, act in MUTE.items():
            yield case(step, name, ("timeout", stage, "none", "later"), act, connections=1)
        yield case(step, "drip", ("timeout", stage, "none", "later"), drip, connections=1, limit_ms=2 * matrix.LIMIT_MS)
        for name, act in NONSENSE.items():
            yield case(step, name, ("protocol", stage, "none", "later"), act, connections=1)
        yield case(step, "421", ("rejected", stage, "none", "later"), LEAVING)
        yield case(step, "4xx", ("rejected", stage, "none", "later"), "454 4.7.0 later\r\n")
        yield case(step, "twice", ("protocol", stage, "none", "later"), twice)
    for step in ("auth", "auth2", "auth3"):
        yield case(step, "5xx", ("auth", "auth", "none", "no"), "535 5.7.8 no\r\n")
        if step != "auth2":     # LOGIN's prompts say nothing that is needed
            yield case(step, "bad-base64", ("protocol", "auth", "none", "later"), "334 !!!\r\n")
    yield case("greeting", "5xx", ("rejected", "greeting", "none", "no"), "554 5.7.1 not you\r\n")
    yield case("greeting", "3xx", ("protocol", "greeting", "none", "later"), "354 x\r\n")
    yield case("greeting", "pop3", ("protocol", "greeting", "none", "later"), "+OK POP3\r\n")
    yield case("ehlo", "5xx", None, "502 5.5.1 what\r\n", connections=1)
    yield case("ehlo", "554", ("rejected", "ehlo", "none", "no"), "554 5.7.1 not you\r\n")
    yield case("ehlo", "3xx", ("protocol", "ehlo", "none", "later"), "334 x\r\n")
    yield Case("no-auth-offered", ("missing_extension", "auth", "none", "no"), {}, login=True, plain_auth=True, mechanisms="", hopeless=True)
    yield Case("auth-in-clear", ("tls", "auth", "none", "no"), {}, login=True, hopeless=True)


def tls_cases():
    def case(step, name, wanted, act, **more):
        return Case(f"tls-{step.replace('_', '-')}-{name}", wanted, {step: act}, tls=True, login=True, **at_the_handshake(step, wanted), **more)

    for name, text, retry in (("454", "454 4.7.0 no\r\n", "later"), ("5xx", "502 5.5.1 no\r\n", "no"), ("250", "250 fine\r\n", "no"),
                              ("3xx", "334 \r\n", "no"), ("421", "421 4.3.2 away\r\n", "later")):
        yield case("starttls", name, ("tls", "tls", "none", retry), text)
    for step in ("starttls", "handshake"):
        for name, act in MUTE.items():
            yield case(step, name, ("timeout", "tls", "none", "later"), act)
    for name in ("fin", "rst", "partial-fin"):
        yield case("starttls", name, ("disconnected", "tls", "none", "now"), LOST[name])
        yield case("handshake", name, ("tls", "tls", "none", "no"), LOST[name])
    for name in ("garbage", "binary"):
        yield case("starttls", name, ("protocol", "tls", "none", "later"), NONSENSE[name])
        yield case("handshake", name, ("tls", "tls", "none", "no"), both(NONSENSE[name], silent))
    yield case("handshake", "reply", ("tls", "tls", "none", "no"), both("250 in clear\r\n", silent))
    yield case("starttls", "injected", ("protocol", "tls", "none", "later"), then("250 injected\r\n"))
    yield case("starttls", "fragment", ("protocol", "tls", "none", "later"), then("250-x"))
    yield case("ehlo", "stripped", ("tls", "tls", "none", "no"), "250-fake\r\n250-AUTH PLAIN LOGIN\r\n250 SIZE 1000\r\n")
    yield case("ehlo", "5xx", ("tls", "tls", "none", "no"), "502 5.5.1 what\r\n")
    yield case("ehlo", "4xx", ("rejected", "ehlo", "none", "later"), LATER)
    for name, act in {**LOST, "garbage": garbage}.items():
        kind = ("protocol", "ehlo", "none", "later") if name == "garbage" else ("disconnected", "ehlo", "none", "now")
        yield case("ehlo_tls", name, kind, act)
    yield case("ehlo_tls", "silent", ("timeout", "ehlo", "none", "later"), silent)
    yield case("ehlo_tls", "no-auth", ("missing_extension", "auth", "none", "no"), "250-fake\r\n250 SIZE 1000\r\n")
    yield case("ehlo_tls", "starttls-again", None, "250-fake\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n")
    yield case("auth", "5xx", ("auth", "auth", "none", "no"), "535 5.7.8 no\r\n")
    yield case("auth", "fin", ("disconnected", "auth", "none", "now"), fin)
    for name in ("self_signed", "expired", "wrong_name", "not_for_servers"):
        yield Case(f"tls-{name.replace('_', '-')}", ("tls", "tls", "none", "no"), {}, tls=True, login=True, certificate=name, hopeless=True)
    yield Case("tls-implicit", None, {}, tls=True, login=True, implicit=True)
    yield Case("tls-implicit-silent", ("timeout", "tls", "none", "later"), {"handshake": silent}, tls=True, login=True, implicit=True)
    yield Case("tls-implicit-clear", ("tls", "tls", "none", "no"), {"handshake": both("220 in clear\r\n", silent)}, tls=True, login=True, implicit=True)
    yield Case("tls-fine", None, {}, tls=True, login=True, connections=1)


def refused_first(client, account):
    client.fails("rejected", "smtp.send", account=account, raw="Subject: x\n\nx", envelope={"from": "a@example.com", "to": ["no@example.com"]})


def sent_first(client, account):
    client.call("smtp.send", account=account, raw="Subject: x\n\nx", envelope={"from": "a@example.com", "to": TO})


def body_that_stalls(wire, _):
    """The server takes no byte more."""
    time.sleep(4)
    wire.listen()


def other_cases():
    long = {"raw": "Subject: x\n\n" + ("x" * 900 + "\n") * 9000}
    known = {"mail", "rcpt", "data"}
    for name, act, wanted in (("fin", fin, None), ("rst", rst, None), ("552", both("552 5.3.4 too big\r\n", body_that_stalls), ("rejected", "data", "none", "no")),
                              ("452", both("452 4.3.1 full\r\n", fin), ("rejected", "data", "none", "later")),
                              ("250", both("250 fine\r\n", body_that_stalls), ("protocol", "data", "none", "later")),
                              ("garbage", both(garbage, body_that_stalls), ("protocol", "data", "none", "later")),
                              ("stalls", body_that_stalls, ("timeout", "data", "none", "later"))):
        yield Case(f"body-{name}", wanted, {"body": act}, call=long, works_after=known, limit_ms=2500)
    # Behind a transaction that came to nothing the next one begins with RSET.
    begun = {"rcpt": NEVER}
    for name, act, wanted in (("fin", fin, None), ("rst", rst, None), ("421", LEAVING, None), ("late", late(0.2), None),
                              ("silent", silent, None),
                              ("garbage", garbage, ("protocol", "rset", "none", "later")),
                              ("5xx", "502 5.5.1 what\r\n", ("protocol", "rset", "none", "later"))):
        yield Case(f"rset-{name}", wanted, dict(begun, rset=act), before=[refused_first], works_after=known | {"rset"}, pipelining=False)
    # What happens behind the last answer is no matter of the call that got it, nor of the next.
    for name, act in {**LOST, "421": LEAVING, "silent": silent, "garbage": garbage, "surplus": "250 surprise\r\n", "half": "25",
                      "354": "354 go\r\n"}.items():
        yield Case(f"idle-{name}", None, {"idle": act}, before=[sent_first], check=lambda case, _: None if len(case.server.bodies) == 2 else
                   f"{len(case.server.bodies)} mails", pause=0.3)
    yield Case("idle-silent-long", None, {"idle": silent}, before=[sent_first], pause=0.3, limit_ms=5500,
               keys={"idle_probe": "200ms", "timeout": "15s", "data_timeout": "15s"})
    for name, act in {**LOST, **NONSENSE, "silent": silent, "refused": NEVER, "twice": twice}.items():
        yield Case(f"quit-{name}", None, {"quit": act}, keys={"max_uses": 1})


CASES = [*envelope_cases(False), *envelope_cases(True), *login_cases(), *tls_cases(), *other_cases()]


def make(flow, case):
    certificate = flow.mail.certificates[case.option("certificate", "good")] if case.option("tls") else None
    mechanisms = case.option("mechanisms", "PLAIN LOGIN")
    return FakeSmtp(*case.scripts, pipelining=case.option("pipelining", True), certificate=certificate, implicit=case.option("implicit", False),
                    mechanisms=mechanisms)



def send(client, account, case):
    if case.option("pause"):
        time.sleep(case.options["pause"])
    params = {"raw": "Subject: x\n\nhello\n", "envelope": {"from": "a@example.com", "to": TO}}
    params.update(case.option("call", {}))
    return client.call("smtp.send", account=account, **params)


def send_plainly(client, account, _):
    same(client.call("smtp.send", account=account, raw="Subject: again\n\nx", envelope={"from": "a@example.com", "to": TO})["accepted"], TO)


def some(*starts):
    return [case for case in CASES if case.name.startswith(starts)]


def test_envelope(flow):
    """Each command's answer refused, lost, late, broken, early or twice: kind, stage, outcome, retry; then the next call works"""
    matrix.run(flow, "smtp", some("s-"), make, send, send_plainly)


def test_envelope_pipelined(flow):
    """The same with the whole envelope in one write"""
    matrix.run(flow, "smtp", some("p-"), make, send, send_plainly)


def test_login(flow):
    """Greeting, EHLO and each step of AUTH, failing in every way"""
    matrix.run(flow, "smtp", some("greeting-", "ehlo-", "auth", "no-auth"), make, send, send_plainly)


def test_tls(flow):
    """STARTTLS refused, stripped, injected, broken or stalled: no credential goes out in clear, ever"""
    matrix.run(flow, "smtp", some("tls-"), make, send, send_plainly)


def test_around(flow):
    """Bodies that are cut off or answered early, RSET, QUIT and idle connections, failing in every way"""
    matrix.run(flow, "smtp", some("body-", "rset-", "idle-", "quit-"), make, send, send_plainly)
