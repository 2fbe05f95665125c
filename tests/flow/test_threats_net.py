# SPDX-License-Identifier: MIT
"""Attacks and faults on the way to a server, against SMTP and POP3: one test each, which fails where the defence is gone.
doc/security.md has the table."""

import contextlib
import re
import socket
import ssl
import time

import matrix
import test_pop3_matrix as pop3
import test_smtp_matrix as smtp
from fake_mail import after, both, drip, endless, endless_line, fin, garbage, late, rst, silent, then
from fake_pop3 import FakePop3
from harness import SOURCE, RpcError, same, slow
from matrix import Case

STAT = pop3.pooled("pop3.stat")
MEMORY = 64 << 20       # what no single attack may make the daemon grow by


def attack(flow, smtp_cases=(), pop3_cases=()):
    """The cases: (name, script, what the call must say, options)."""
    for section, module, found in (("smtp", smtp, smtp_cases), ("pop3", pop3, pop3_cases)):
        cases = []
        for name, script, wanted, options in found:
            options = dict(options) if section == "smtp" else dict({"run": STAT}, **options)
            cases.append(Case(name, wanted, script, **options))
        if cases and section == "smtp":
            matrix.run(flow, "smtp", cases, module.make, smtp.send, smtp.send_plainly)
        elif cases:
            matrix.run(flow, "pop3", cases, module.make, pop3.call, pop3.read_all)


TLS = {"tls": True, "login": True}
NO_TLS = ("tls", "tls", "none", "no")
BROKEN = ("protocol", "tls", "none", "later")


def test_starttls_stripped(flow):
    """STARTTLS or STLS taken out of what the server offers: no credential goes out, and no second attempt in clear"""
    attack(flow, [("smtp", {"ehlo": "250-fake\r\n250-AUTH PLAIN LOGIN\r\n250 SIZE 1000\r\n"}, NO_TLS, dict(TLS, connections=1))],
           [("pop3", {"capa": "+OK\r\nUSER\r\nSASL PLAIN LOGIN\r\nUIDL\r\n.\r\n"}, NO_TLS, dict(TLS, connections=1))])


def test_starttls_refused(flow):
    """STARTTLS or STLS answered by anything but a yes: the same"""
    attack(flow, [(f"smtp-{text[:3]}", {"starttls": text}, ("tls", "tls", "none", retry), dict(TLS, connections=1)) for text, retry in
                  (("454 4.7.0 no\r\n", "later"), ("502 5.5.1 what\r\n", "no"), ("250 fine\r\n", "no"), ("334 \r\n", "no"))],
           [(f"pop3-{number}", {"stls": text}, ("tls", "tls", "none", retry), dict(TLS, connections=1)) for number, (text, retry) in
            enumerate((("-ERR no\r\n", "no"), ("-ERR [SYS/TEMP] later\r\n", "later")))])


def test_capabilities_refused(flow):
    """EHLO or CAPA that fails where TLS is required is no way around it"""
    attack(flow, [("smtp", {"ehlo": "502 5.5.1 what\r\n"}, NO_TLS, TLS)], [("pop3", {"capa": "-ERR what?\r\n"}, NO_TLS, TLS)])


def test_injected_before_tls(flow):
    """Answers behind the yes to STARTTLS, in the same segment, are never taken for ones that came through TLS"""
    attack(flow, [("smtp", {"starttls": then("250-fake\r\n250 AUTH PLAIN\r\n235 in\r\n")}, BROKEN, dict(TLS, connections=1))],
           [("pop3", {"stls": then("+OK\r\nSASL PLAIN\r\n.\r\n+OK in\r\n")}, BROKEN, dict(TLS, connections=1))])


def test_fragment_before_tls(flow):
    """A piece of a line behind the yes to STARTTLS is not put in front of what comes through TLS"""
    attack(flow, [("smtp", {"starttls": then("250-x")}, BROKEN, TLS)], [("pop3", {"stls": then("+O")}, BROKEN, TLS)])


def test_answer_before_command(flow):
    """An answer that came before its command answers nothing: it cannot stand for TLS, for a login, or for a mail that was taken"""
    early = {"pipelining": False, "works_after": {"mail", "rcpt", "data"}}
    attack(flow, [("greeting", {"greeting": then("250-fake\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n")}, ("protocol", "greeting", "none", "later"), TLS),
                  ("starttls", {"ehlo": then("220 go\r\n")}, ("protocol", "ehlo", "none", "later"), TLS),
                  ("auth", {"ehlo_tls": then("235 in\r\n")}, ("protocol", "ehlo", "none", "later"), TLS),
                  ("mail", {"mail": then("250 a\r\n250 b\r\n354 go\r\n250 queued\r\n")}, ("protocol", "rcpt", "none", "later"), early)],
           [("greeting", {"greeting": then("+OK\r\nSTLS\r\n.\r\n")}, ("protocol", "greeting", "none", "later"), TLS),
            ("stls", {"capa": then("+OK go\r\n")}, ("protocol", "capa", "none", "later"), TLS),
            ("pass", {"user": then("+OK in\r\n")}, ("protocol", "auth", "none", "later"), TLS)])


def test_no_handshake(flow):
    """Clear text, rubbish or an end in place of the handshake"""
    ways = {"clear": both("250 in clear\r\n", silent), "rubbish": both(garbage, silent), "end": fin, "reset": rst}
    attack(flow, [(f"smtp-{name}", {"handshake": act}, NO_TLS, TLS) for name, act in ways.items()],
           [(f"pop3-{name}", {"handshake": act}, NO_TLS, TLS) for name, act in ways.items()])


def test_handshake_stalls(flow):
    """A handshake has a deadline of its own"""
    attack(flow, [("smtp", {"handshake": silent}, ("timeout", "tls", "none", "later"), TLS)],
           [("pop3", {"handshake": silent}, ("timeout", "tls", "none", "later"), TLS)])


def test_certificates(flow):
    """A certificate for others, over or before its time, by nobody, or for clients only; a name that is an address is checked too"""
    wrong = ("self_signed", "expired", "not_yet", "wrong_name", "not_for_servers")
    address = [("address", "wrong_name", {"host": "127.0.0.1"})]
    cases = [(name.replace("_", "-"), {}, NO_TLS, dict(TLS, certificate=name, hopeless=True)) for name in wrong]
    cases += [(name, {}, NO_TLS, dict(TLS, certificate=certificate, keys=keys, hopeless=True)) for name, certificate, keys in address]
    attack(flow, [("good", {}, None, TLS), *cases], [("good", {}, None, TLS), *cases])


def one_smtp(flow, server, **keys):
    keys = dict({"host": "localhost", "port": server.port, "tls": "all", "implicit_tls": "no"}, **matrix.WAITS, **keys)
    return {"a": flow.account("ann", auth={"password": server.password}, smtp=keys)}


def send(client, **more):
    return client.call("smtp.send", account="a", **dict(dict(raw="Subject: x\n\nx\n", envelope={"from": "a@example.com", "to": ["b@example.com"]}), **more))


def test_old_tls(flow):
    """TLS 1.1 is not spoken, and the server is told whom one means"""
    server = smtp.FakeSmtp(certificate=flow.mail.certificates["good"])
    names = []

    def remember(sock, name, _):
        names.append(name)

    def old(context):
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1

    with flow.own_daemon(one_smtp(flow, server, tls_ciphers="ALL:@SECLEVEL=0")) as daemon, daemon.client() as client:
        server.prepare_tls = old
        try:
            send(client)
            raise AssertionError("an old TLS was spoken")
        except RpcError as error:
            same((error.kind, error.data["stage"]), ("tls", "tls"))
        assert not any(line.startswith("AUTH") for line in server.lines)
        server.prepare_tls = lambda context: setattr(context, "sni_callback", remember)
        client.call("gateway.resume", account="a")
        send(client)
        same(names, ["localhost"])
    server.close()


def test_learned_in_clear(flow):
    """What a server offered before TLS, or before the login, is forgotten after it"""
    after_tls = ("missing_extension", "auth", "none", "no")
    attack(flow, [("auth", {"ehlo_tls": "250-fake\r\n250 SIZE 1000\r\n"}, after_tls, TLS),
                  ("size", {"ehlo": "250-fake\r\n250-SIZE 10\r\n250 STARTTLS\r\n"}, None, TLS),
                  ("size-of-login", {"ehlo_tls": "250-fake\r\n250-SIZE 10\r\n250 AUTH PLAIN\r\n"}, None, TLS)],
           [("auth", {"capa_tls": "+OK\r\nUIDL\r\n.\r\n"}, after_tls, TLS),
            ("uidl", {"capa_auth": "+OK\r\nTOP\r\n.\r\n"}, ("missing_extension", "uidl", "none", "no"),
             dict(TLS, run=pop3.pooled("pop3.retr", id="id-1"), hopeless=True))])


def test_mechanisms_downgraded(flow):
    """A token is never said as a password, an account's list is kept to, and the strongest of what is offered is taken"""
    token = dict(login=True, token=True, plain_auth=True, mechanisms="PLAIN LOGIN", hopeless=True)
    listed = dict(login=True, plain_auth=True, mechanisms="PLAIN LOGIN", keys={"method": "scram-sha-256"}, hopeless=True)
    nothing = ("unsupported_mechanism", "auth", "none", "no")
    attack(flow, [("token", {}, nothing, dict(token, plain_auth=False, keys={"allow_plaintext_auth": "yes"})),
                  ("listed", {}, nothing, dict(listed, plain_auth=False, keys={"method": "scram-sha-256", "allow_plaintext_auth": "yes"}))],
           [("token", {}, nothing, dict(token, plain_auth=False, keys={"allow_plaintext_auth": "yes"})),
            ("listed", {}, nothing, dict(listed, plain_auth=False, keys={"method": "scram-sha-256", "allow_plaintext_auth": "yes"})),
            ("strongest", {}, None, dict(login=True, mechanisms="LOGIN PLAIN SCRAM-SHA-256", plain_auth=False, keys={"allow_plaintext_auth": "yes"},
                                         check=lambda case, _: None if any("SCRAM-SHA-256" in line for line in case.server.lines) else "it was not SCRAM"))])


def test_login_in_clear(flow):
    """Without TLS no credential goes out, unless the account says so by name"""
    refused = ("tls", "auth", "none", "no")
    attack(flow, [("smtp", {}, refused, {"login": True, "hopeless": True}), ("allowed", {}, None, {"login": True, "plain_auth": True})],
           [("pop3", {}, refused, {"login": True, "hopeless": True}), ("allowed", {}, None, {"login": True, "plain_auth": True})])


def test_redirected(flow):
    """A server that names another is not followed"""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = smtp.FakeSmtp({"rcpt": f"551 5.1.6 not here; please try <b@[127.0.0.1]:{port}>\r\n"}, {"greeting": f"554 5.3.2 use 127.0.0.1:{port}\r\n"},
                               mechanisms="")
        account = one_smtp(flow, server, host="127.0.0.1", tls="none", ca_file=None)
        account["a"]["auth"] = {}
        with flow.own_daemon(account) as daemon, daemon.client() as client:
            same(client.fails("rejected", "smtp.send", account="a", raw="Subject: x\n\nx\n",
                              envelope={"from": "a@example.com", "to": ["b@example.com"]}).data["reply"]["code"], 551)
        other.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            other.accept()
            raise AssertionError("the server's word was followed")
        server.close()


def test_wrong_greeting(flow):
    """No greeting, an end, another protocol, rubbish: an error at once where it can never be right"""
    ways = {"none": (silent, ("timeout", "greeting", "none", "later")), "end": (fin, ("disconnected", "greeting", "none", "now")),
            "reset": (rst, ("disconnected", "greeting", "none", "now")), "rubbish": (both(garbage, silent), ("protocol", "greeting", "none", "later")),
            "http": (both("HTTP/1.1 400 Bad Request\r\n", silent), ("protocol", "greeting", "none", "later"))}
    attack(flow, [(name, {"greeting": act}, wanted, {}) for name, (act, wanted) in ways.items()]
           + [("pop3", {"greeting": both("+OK POP3\r\n", silent)}, ("protocol", "greeting", "none", "later"), {})],
           [(name, {"greeting": act}, wanted, {"login": True, "plain_auth": True}) for name, (act, wanted) in ways.items()]
           + [("smtp", {"greeting": both("220 SMTP\r\n", silent)}, ("protocol", "greeting", "none", "later"), {"login": True, "plain_auth": True})])


def stages():
    """Every stage of a send and of a read, with the stage's name in errors."""
    yield from (("smtp", step, smtp.stage_of(step)) for step in ("greeting", "ehlo", "auth", "ehlo_auth", "mail", "rcpt", "data", "dot"))
    yield from (("pop3", step, {"user": "auth", "pass": "auth", "capa_auth": "capa"}.get(step, step))
                for step in ("greeting", "capa", "user", "pass", "capa_auth", "stat"))


def at_each_stage(flow, act, wanted, **more):
    found = {"smtp": [], "pop3": []}
    for protocol, step, stage in stages():
        options = dict({"login": True, "plain_auth": True, "pipelining": False, "works_after": {"mail", "rcpt", "data", "stat"}}, **more)
        if protocol == "pop3":
            options["keys"] = dict({"method": "user"}, **options.get("keys", {}))
        found[protocol].append((step.replace("_", "-"), {step: act}, wanted(step, stage), options))
    attack(flow, found["smtp"], found["pop3"])


def test_silence(flow):
    """Silence at any stage ends by its own deadline"""
    at_each_stage(flow, silent, lambda step, stage: ("timeout", stage, "unknown", "no") if step == "dot" else ("timeout", stage, "none", "later"))


def test_connection_lost(flow):
    """An end or a reset at any stage is told, or another connection serves the call where nothing had happened"""
    def wanted(step, stage):
        if step == "dot":
            return ("disconnected", stage, "unknown", "no")
        return None if step in ("mail", "rcpt", "data", "stat") else ("disconnected", stage, "none", "now")
    at_each_stage(flow, fin, wanted)
    at_each_stage(flow, rst, wanted)


def test_slow_drip(flow):
    """A server that says a byte now and then does not outlast the call's deadline"""
    def wanted(step, stage):
        return ("timeout", stage, "unknown" if step in ("mail", "rcpt", "data", "dot") else "none", "no" if step in ("mail", "rcpt", "data", "dot") else "later")
    at_each_stage(flow, drip, wanted, call={"timeout": matrix.LIMIT_MS}, params={"timeout": matrix.LIMIT_MS},
                  keys={"connect_timeout": "3s", "timeout": "3s", "data_timeout": "3s"}, poisoned=False, hopeless=True)


def test_late_answer(flow):
    """An answer that comes when its call has given up is not the next call's"""
    forged, wait_s = "+OK 77 7777\r\n", slow()
    server = FakePop3({"stat": lambda wire, _: late(2 * wait_s)(wire, forged)})
    with flow.own_daemon({"a": server.account(flow, timeout=f"{int(1000 * wait_s)}ms")}) as daemon, daemon.client() as client:
        client.fails("timeout", "pop3.stat", account="a")
        time.sleep(1.3 * wait_s)
        same(client.call("pop3.stat", account="a")["count"], 3)
        same(server.connections, 2)
    server.close()


def growth(flow, server, account, calls):
    """How much the daemon had grown at its most while the calls failed."""
    with flow.own_daemon(account) as daemon, daemon.client() as client:
        before = daemon.memory("RssAnon")
        for method, params, kinds in calls:
            try:
                client.call(method, account="a", **params)
                raise AssertionError(f"{method} succeeded")
            except RpcError as error:
                assert error.kind in kinds, error
            client.call("gateway.resume", account="a")
            grown = daemon.memory("RssAnon") - before
            assert grown < MEMORY, f"{method}: grown by {grown}"
        assert server.flooded < matrix.FLOOD_MAX, f"{server.flooded} bytes were taken"


def test_endless_line(flow):
    """A line that never ends is not kept beyond its limit"""
    for step in ("greeting", "capa", "pass", "stat", "list", "uidl"):
        server = FakePop3({step: endless_line})
        growth(flow, server, {"a": server.account(flow)}, [("pop3.list" if step in ("list", "uidl") else "pop3.stat", {}, ("protocol",))])
        server.close()
    for step in ("greeting", "ehlo", "mail", "dot"):
        server = smtp.FakeSmtp({step: endless_line}, mechanisms="")
        account = one_smtp(flow, server, host="127.0.0.1", tls="none", ca_file=None)
        account["a"]["auth"] = {}
        growth(flow, server, account, [("smtp.send", {"raw": "Subject: x\n\nx\n", "envelope": {"from": "a@example.com", "to": ["b@example.com"]}}, ("protocol",))])
        server.close()


def test_endless_answer(flow):
    """Nor an answer of lines without end"""
    for step, line, method in (("capa", "X-MORE of it\r\n", "pop3.stat"), ("list", "1 10\r\n", "pop3.list"), ("uidl", "1 x\r\n", "pop3.uid_list"),
                               ("retr", "line\r\n", "pop3.retr")):
        server = FakePop3({step: after("+OK\r\n", endless(line))})
        if step == "retr":
            flooded_message(flow, server)
        else:
            growth(flow, server, {"a": server.account(flow)}, [(method, {}, ("protocol", "limit"))])
        server.close()
    for step in ("greeting", "ehlo", "rcpt", "dot"):
        server = smtp.FakeSmtp({step: endless("220-x\r\n" if step == "greeting" else "250-x\r\n")}, mechanisms="")
        account = one_smtp(flow, server, host="127.0.0.1", tls="none", ca_file=None)
        account["a"]["auth"] = {}
        growth(flow, server, account, [("smtp.send", {"raw": "Subject: x\n\nx\n", "envelope": {"from": "a@example.com", "to": ["b@example.com"]}}, ("protocol",))])
        server.close()


def flooded_message(flow, server):
    """A message has the limit of answers."""
    with flow.own_daemon({"a": server.account(flow)}, {"max_response_size": "4M"}) as daemon, daemon.client() as client:
        before = daemon.memory("RssAnon")
        client.fails("limit", "pop3.retr", account="a", id="id-1")
        grown = daemon.memory("RssAnon") - before
        assert grown < MEMORY and server.flooded < matrix.FLOOD_MAX, (grown, server.flooded)


def test_table(_):
    """doc/security.md names tests that exist, and every test of an attack is in it"""
    text = (SOURCE / "doc/security.md").read_text()
    sources = [path.read_text() for folder, names in (("flow", "test_*.py"), ("unit", "test_*.c")) for path in (SOURCE / "tests" / folder).glob(names)]
    known = {path.stem for path in (SOURCE / "tests/unit").glob("test_*.c")}.union(
        *(re.findall(r"(?m)^(?:def |START_TEST\()(\w+)", source) for source in sources))
    for section in re.split(r"(?m)^## ", text)[1:]:
        same(set(re.findall(r"`(test_\w+)`", section)) - known, set(), "names of no test")
        named = re.search(r"`(test_\w+\.py)`", section.partition("\n")[0])
        if not named:       # of several files
            continue
        path = SOURCE / "tests/flow" / named[1]
        there = set(re.findall(r"(?m)^def (test_\w+)\(", path.read_text())) - {"test_table"}
        same(set(re.findall(r"`(test_\w+)` \|", section)), there, path.name)
