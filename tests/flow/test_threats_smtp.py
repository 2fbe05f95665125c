# SPDX-License-Identifier: MIT
"""Attacks and faults of SMTP servers and of those who send: one test each, which fails where the defence is gone. doc/security.md
has the table."""

import re
import threading
import time

from fake_mail import FakeSmtp, after, both, fin, rst, silent, then, twice
from harness import INVALID_PARAMS, RpcError, same, slow, span

TO = ["b@example.com"]


class against:
    """A server of these scripts, and a client of a daemon whose account `a` it is."""

    def __init__(self, flow, *scripts, keys=None, sections=None, **more):
        self.server = FakeSmtp(*scripts, **dict({"mechanisms": ""}, **more))
        account = {"account": {"senders": "*", "email": "a@example.com", "allow": "user:root", "permit": "send read write raw"},
                   "smtp": dict({"host": "127.0.0.1", "port": self.server.port, "tls": "none", "implicit_tls": "no", "pool_size": 1,
                                 "timeout": span(800), "data_timeout": span(800)}, **(keys or {}))}
        account.update(sections or {})
        self.daemon = flow.own_daemon({"a": account})

    def __enter__(self):
        self.daemon.__enter__()
        self.client = self.daemon.client()
        return self.server, self.client

    def __exit__(self, *why):
        self.client.close()
        self.daemon.__exit__(*why)
        self.server.close()


def params(raw="Subject: x\n\nx\n", to=TO, **more):
    return dict({"account": "a", "raw": raw, "envelope": {"from": "a@example.com", "to": to}}, **more)


def wire_of(server):
    """The bytes of all messages as they came, between 354 and the dot's line."""
    return [part.split(b"\r\n", 1)[1].split(b"\r\n.\r\n", 1)[0] + b"\r\n" for part in re.split(rb"(?m)^DATA(?=\r\n)", server.clear)[1:]]


# -- what servers do


def test_broken_replies(flow):
    """Answers too short, of mixed codes, or cut in a continuation end the connection, and nothing is read past their end"""
    for text in ("2\r\n", "25\r\n", "\r\n", "250\t\r\n", "250-a\r\n251 b\r\n", "250-a\r\n25\r\n", "-50 x\r\n", "2x0 x\r\n", "999 x\r\n", "250-a\r\n\r\n"):
        for step in ("greeting", "ehlo", "mail", "dot"):
            with against(flow, {step: text}) as (server, client):
                error = client.fails("protocol", "smtp.send", **params())
                same(error.data["outcome"], "unknown" if step == "dot" else "none", f"{text!r} to {step}")
                client.call("gateway.resume", account="a")
                client.call("smtp.send", **params())
                same(server.connections, 2)
    for text in ("2", "250", "250-a\r\n250", "250-a\r\n"):
        with against(flow, {"dot": after(text, fin)}) as (server, client):
            same(client.fails("disconnected", "smtp.send", **params()).data["outcome"], "unknown")


def test_lost_behind_the_dot(flow):
    """Behind the final dot an answer that does not come is unknown, and the mail is not sent again"""
    for act, kind in ((fin, "disconnected"), (rst, "disconnected"), (silent, "timeout"), (after("250-x\r\n", fin), "disconnected")):
        with against(flow, {"dot": act}) as (server, client):
            error = client.fails(kind, "smtp.send", **params(idempotency_key="k"))
            same((error.data["outcome"], error.data["retry"], len(server.bodies)), ("unknown", "no", 1))
            error = client.fails(kind, "smtp.send", **params(idempotency_key="k"))
            same((error.data["outcome"], len(server.bodies)), ("unknown", 1), "the same key")


def test_lost_before_the_dot(flow):
    """Before it nothing was sent: it runs again, or says so"""
    big = "Subject: x\n\n" + ("x" * 900 + "\n") * 9000
    for step, act in (("mail", fin), ("rcpt", rst), ("data", fin), ("body", fin), ("body", rst)):
        with against(flow, {step: act}) as (server, client):
            client.call("smtp.send", **params(big))
            same((server.connections, len(server.bodies)), (2, 1), step)
        with against(flow, {step: act}, {step: act}) as (server, client):
            same(client.fails("disconnected", "smtp.send", **params(big)).data["outcome"], "none", step)
            same(server.bodies, [])


def test_sent_for_sure(flow):
    """A mail that was answered is sent, whatever becomes of the connection then"""
    for script in ({"dot": both("250 2.0.0 ok\r\n", fin)}, {"dot": both("250 2.0.0 ok\r\n", rst)}, {"quit": fin}, {"quit": "500 5.5.1 never\r\n"}, {"quit": silent}):
        with against(flow, script, keys={"max_uses": 1}) as (server, client):
            same(client.call("smtp.send", **params())["accepted"], TO)
            same(len(server.bodies), 1)


def test_refusals(flow):
    """What may pass and what is final are kept apart at each stage, with the enhanced code"""
    for step, stage in (("greeting", "greeting"), ("ehlo", "ehlo"), ("mail", "mail"), ("rcpt", "rcpt"), ("data", "data"), ("dot", "data")):
        for text, retry in (("450 4.7.1 later\r\n", "later"), ("554 5.7.1 never\r\n", "no")):
            with against(flow, {step: text}) as (server, client):
                error = client.fails("rejected", "smtp.send", **params())
                same((error.data["stage"], error.data["retry"], error.data["outcome"]), (stage, retry, "none"))
                reply = error.data.get("reply") or error.data["rejected"][0]["reply"]
                same((reply["code"], reply["enhanced"]), (int(text[:3]), text[4:9]))


def test_some_refused(flow):
    """Each recipient has its answer; where none is left no body goes out, though the server asks for it"""
    with against(flow, {"rcpt": "450 4.2.1 later\r\n", "rcpt2": "550 5.1.1 no\r\n"}) as (server, client):
        result = client.call("smtp.send", **params(to=["x@example.com", "y@example.com", "z@example.com"]))
        same((result["accepted"], [(one["address"], one["reply"]["code"]) for one in result["rejected"]]),
             (["z@example.com"], [("x@example.com", 450), ("y@example.com", 550)]))
    for pipelining in (True, False):
        with against(flow, {"rcpt": "550 5.1.1 no\r\n"}, pipelining=pipelining) as (server, client):
            error = client.fails("rejected", "smtp.send", **params("Subject: secret\n\nsecret\n"))
            same((error.data["outcome"], b"secret" in server.clear), ("none", False))
            client.call("smtp.send", **params())


def test_answers_ahead(flow):
    """Answers ahead of their commands, two behind the dot, and what is said while nothing was asked count for nothing"""
    for script in ({"mail": then("250 b\r\n354 go\r\n250 queued\r\n")}, {"rcpt": then("354 go\r\n")}, {"data": then("250 queued\r\n")}):
        with against(flow, script, pipelining=False) as (server, client):
            same(client.fails("protocol", "smtp.send", **params()).data["outcome"], "none")
            same(server.bodies, [])
            client.call("smtp.send", **params())
            same((server.connections, len(server.bodies)), (2, 1))
    with against(flow, {"dot": twice}) as (server, client):
        client.call("smtp.send", **params())
        client.call("smtp.send", **params())
        same((server.connections, len(server.bodies)), (2, 2))
    for text in ("250 surprise\r\n", "354 go\r\n", "421 4.3.2 bye\r\n", "2"):
        with against(flow, {"idle": text}) as (server, client):
            client.call("smtp.send", **params())
            time.sleep(0.3)
            client.call("smtp.send", **params())
            same((server.connections, len(server.bodies)), (2, 2), text)


def test_wrong_kind_of_yes(flow):
    """250 to DATA is no leave to send a body, 354 no yes to anything else; a RSET refused ends the connection"""
    for script in ({"data": "250 fine\r\n"}, {"mail": "354 go\r\n"}, {"rcpt": "354 go\r\n"}):
        for pipelining in (True, False):
            with against(flow, script, pipelining=pipelining) as (server, client):
                same(client.fails("protocol", "smtp.send", **params("Subject: x\n\nsecret\n")).data["outcome"], "none")
                assert b"secret" not in server.clear
                client.call("smtp.send", **params())
                same(server.connections, 2)
    with against(flow, {"rcpt": "550 5.1.1 no\r\n", "rset": "502 5.5.1 what\r\n"}, pipelining=False) as (server, client):
        client.fails("rejected", "smtp.send", **params())
        client.fails("protocol", "smtp.send", **params())
        client.call("smtp.send", **params())
        same((server.connections, len(server.bodies)), (2, 1))


def test_lie_about_pipelining(flow):
    """A server that offers PIPELINING and throws away what came early is an error, not a mail of commands"""
    def forgetful(wire, usual):
        wire.ahead()
        wire.input = b""
        wire.send(usual)
    with against(flow, {"mail": forgetful}) as (server, client):
        same(client.fails("timeout", "smtp.send", **params("Subject: x\n\nsecret\n")).data["outcome"], "none")
        same((server.bodies, b"secret" in server.clear), ([], False))
        client.call("smtp.send", **params())


def test_body_not_read(flow):
    """A server that takes no more of the body is left in time, with little kept; a no in the middle of it is heard"""
    big = "Subject: x\n\n" + ("x" * 900 + "\n") * 10000
    stop = threading.Event()

    def deaf(wire, _):
        stop.wait(30)
    with against(flow, {"body": deaf}, {"body": both("552 5.3.4 too big\r\n", deaf)}) as (server, client):
        began = time.monotonic()
        error = client.fails("timeout", "smtp.send", **params(big))
        same((error.data["stage"], error.data["outcome"]), ("data", "none"))
        assert time.monotonic() - began < 4 * slow()
        error = client.fails("rejected", "smtp.send", **params(big))
        same((error.data["reply"]["code"], error.data["outcome"]), (552, "none"))
        stop.set()


def test_size(flow):
    """What a server says that it takes is looked at before MAIL; a number that is none is not believed"""
    big = "Subject: x\n\n" + ("x" * 900 + "\n") * 100
    with against(flow, capabilities=["SIZE 1000"]) as (server, client):
        error = refused(client, big)
        assert error.data["outcome"] == "none" and not any(line.startswith("MAIL") for line in server.lines), server.lines
        client.call("smtp.send", **params())
    for size in ("SIZE", "SIZE 0", "SIZE 18446744073709551616", "SIZE 99999999999999999999999999", "SIZE -1", "SIZE many"):
        with against(flow, capabilities=[size]) as (server, client):
            client.call("smtp.send", **params(big))


def refused(client, raw):
    try:
        client.call("smtp.send", **params(raw))
    except RpcError as error:
        return error
    raise AssertionError("it was sent")


def test_dead_in_the_pool(flow):
    """A pooled connection that ended, broke or said 421 is not noticed by the next call"""
    for act in (fin, rst, both("421 4.4.2 idle too long\r\n", fin), silent):
        with against(flow, {"idle": act}, keys={"timeout": span(3000)}) as (server, client):
            client.call("smtp.send", **params())
            time.sleep(0.3)
            client.call("smtp.send", **params())
            same((server.connections, len(server.bodies)), (2, 2))
    with against(flow, {"rset": fin, "mail2": fin}) as (server, client):
        client.call("smtp.send", **params())
        client.call("smtp.send", **params())
        same(len(server.bodies), 2)


# -- what senders do


BAD = ("x@example.com>\r\nRCPT TO:<evil@example.com", "x\r\nDATA", "x\nRSET", "x\rRSET", "x\0y@example.com")


def test_injected_commands(flow):
    """CR, LF or NUL in an address, a name, a parameter or a command never becomes a command"""
    with against(flow, capabilities=["DSN", "SIZE 10000000"], mechanisms="PLAIN LOGIN", keys={"allow_plaintext_auth": "yes", "pool_size": 4}) as (server, client):
        for bad in BAD:
            for envelope in ({"from": bad, "to": TO}, {"from": "a@example.com", "to": [bad]}, {"from": "a@example.com", "to": TO, "envid": bad},
                             {"from": "a@example.com", "to": TO, "notify": [bad]}, {"from": "a@example.com", "to": TO, "ret": bad}):
                client.fails(INVALID_PARAMS, "smtp.send", account="a", raw="Subject: x\n\nx\n", envelope=envelope)
            client.fails(INVALID_PARAMS, "smtp.sendmail", account="a", **{"from": bad, "to": TO}, raw="Subject: x\n\nx\n")
            client.fails(INVALID_PARAMS, "smtp.verify", account="a", address=bad)
            session = client.call("smtp.open", account="a", login=False)["session"]
            for method, given in (("ehlo", {"domain": bad}), ("helo", {"domain": bad}), ("mail", {"from": bad}), ("vrfy", {"address": bad}),
                                  ("expn", {"address": bad}), ("help", {"topic": bad}), ("docmd", {"command": bad}), ("mail", {"from": "a@example.com", "envid": bad}),
                                  ("authenticate", {"mechanism": bad}), ("authenticate", {"mechanism": "PLAIN", "secret": bad})):
                client.fails(INVALID_PARAMS, "smtp." + method, session=session, **given)
            client.call("smtp.mail", session=session, **{"from": "a@example.com"})
            client.fails(INVALID_PARAMS, "smtp.rcpt", session=session, to=bad)
            client.fails(INVALID_PARAMS, "smtp.rcpt", session=session, to="b@example.com", orcpt=bad)
            client.call("smtp.quit", session=session)
            options = {"smtp": {"host": "127.0.0.1", "port": server.port, "tls": "none", "domain": bad}}
            try:
                client.call("smtp.noop", options=options)
                raise AssertionError(f"a domain {bad!r} was taken")
            except RpcError:
                pass
        seen = {line.split(" ")[0].upper() for line in server.lines}
        assert seen <= {"EHLO", "MAIL", "QUIT", "NOOP", "RSET", "HELO"}, seen
        assert b"evil" not in server.clear and not server.bodies


def test_injected_headers(flow):
    """CR and LF in a subject, a name, a field, an id or a file's name never make a header line"""
    evil = "x\r\nBcc: evil@example.com\r\n\r\nevil body"
    with against(flow) as (server, client):
        good = {"from": "a@example.com", "to": "b@example.com", "subject": "s", "text": "t"}
        attachment = {"content": {"text": "x"}, "filename": "f.txt"}
        for change in ({"subject": evil}, {"from": {"name": evil, "address": "a@example.com"}}, {"to": [{"name": "n", "address": "b@example.com" + evil}]},
                       {"headers": {"X-Test": evil}}, {"headers": {"X-Test" + evil: "x"}}, {"message_id": evil}, {"in_reply_to": evil}, {"references": [evil]},
                       {"attachments": [dict(attachment, filename=evil)]}, {"attachments": [dict(attachment, content_type=evil)]},
                       {"attachments": [dict(attachment, content_id=evil)]}, {"reply_to": evil}):
            client.fails(INVALID_PARAMS, "smtp.send", account="a", message=dict(good, **change))
        same(server.bodies, [])


def test_smuggling(flow):
    """No end of lines but CRLF, and no dot that is not stuffed, leaves the daemon: nothing within a body can end it"""
    ends = ["\n.\n", "\r\n.\n", "\n.\r\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\r\n\r.\r\n", "\n\n..\r\n", "\r\r\n.\r\r\n"]
    smuggled = "MAIL FROM:<evil@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nevil\r\n.\r\n"
    bodies = ["Subject: x\r\n\r\n" + end + smuggled for end in ends]
    # wherever pieces of a body meet, a dot, a CR or a LF is the first
    for end in ("\r\n", "\n", "\r"):
        bodies += ["Subject: x\r\n\r\n" + "y" * shift + end + ("." + end) * 40000 + smuggled for shift in range(3)]
    with against(flow) as (server, client):
        for number, raw in enumerate(bodies):
            client.call("smtp.send", **params(raw, to=[f"n{number}@example.com"]))
        same(len(server.bodies), len(bodies), "mails")
        for body in wire_of(server):
            assert not re.search(rb"(?<!\r)\n|\r(?!\n)", body), f"a bare CR or LF: {body[:200]!r}"
            assert not re.search(rb"(?m)^\.(?!\.)", body), f"a dot that is not stuffed: {body[:200]!r}"
        same(server.clear.count(b"\r\nMAIL FROM:<a@example.com>"), len(bodies))


def test_lines_and_octets(flow):
    """Lines too long, NUL and octets beyond 7 bits do not go where they must not: rewritten where the mail is ours, else refused"""
    good = {"from": "a@example.com", "to": "b@example.com", "subject": "s"}
    with against(flow, capabilities=[]) as (server, client):
        client.call("smtp.send", account="a", message=dict(good, text="x" * 5000 + "\näöü\n"))
        client.call("smtp.send", account="a", message=dict(good, html="<p>" + "y" * 5000 + "ß"))
        for body in server.clear.split(b"\r\n"):
            assert len(body) <= 998 and max(body, default=0) < 128, body[:100]
        for raw in ("Subject: x\n\n" + "x" * 999 + "\n", "Subject: x\n\na\0b\n"):
            client.fails("bad_message", "smtp.send", **params(raw))
        try:
            client.call("smtp.send", **params("Subject: x\n\näöü\n"))
        except RpcError as error:
            assert error.kind in ("bad_message", "missing_extension"), error
        assert not any(octet > 127 for octet in server.clear), "8 bits to a server of 7"
        client.fails("missing_extension", "smtp.send", **params(to=["jürgen@example.com"]))
        assert not any(octet > 127 for octet in server.clear)


def test_hidden_recipients(flow):
    """Bcc and Resent-Bcc go out on no way, however they are written"""
    raws = ["Bcc: hidden@example.com\nSubject: x\n\nx\n", "Subject: x\nbcc: hidden@example.com,\n\thidden@example.com\n\nx\n",
            "Subject: x\nBCC : hidden@example.com\n\nx\n", "Subject: x\nResent-Bcc: hidden@example.com\n\nx\n",
            "Subject: x\r\nBcc:\r\n hidden@example.com\r\nTo: b@example.com\r\n\r\nx\r\n", "Bcc: hidden@example.com\n\nx\n"]
    with against(flow) as (server, client):
        for raw in raws:
            client.call("smtp.send", **params(raw))
            client.call("smtp.sendmail", account="a", **{"from": "a@example.com", "to": TO}, raw=raw)
        message = {"from": "a@example.com", "to": "b@example.com", "bcc": "hidden@example.com", "subject": "x", "text": "x"}
        client.call("smtp.send", account="a", message=message)
        for body in server.bodies:      # by lines: a random Message-ID may hold any word
            names = {line.split(":")[0].strip().lower() for line in body.splitlines() if ":" in line}
            assert "hidden" not in body and not names & {"bcc", "resent-bcc"}, body
        same(len(server.bodies), 2 * len(raws) + 1)
        same(sum("hidden@example.com" in line for line in server.lines if line.startswith("RCPT")), 1)


def test_senders(flow):
    """Who may send as whom is kept to in the envelope, From and Sender, in built mail and in raw"""
    with against(flow, sections={"account": {"senders": "a@example.com *@lists.example.com", "allow": "user:root", "permit": "send read write raw"}}) as (server, client):
        good = {"from": "a@example.com", "to": "b@example.com", "subject": "x", "text": "x"}
        for change in ({"from": "evil@example.com"}, {"sender": "evil@example.com"}, {"from": "a@example.com.evil.example"}, {"from": "x@evil.lists.example.com"}):
            client.fails("denied", "smtp.send", account="a", message=dict(good, **change))
        client.fails("denied", "smtp.send", account="a", message=good, envelope={"from": "evil@example.com", "to": TO})
        for raw in ("From: evil@example.com\n\nx\n", "From: a@example.com\nSender: evil@example.com\n\nx\n", "From: a@example.com, evil@example.com\n\nx\n",
                    "From: a@example.com\nFrom: evil@example.com\n\nx\n"):
            client.fails("denied", "smtp.send", **params(raw))
        client.call("smtp.send", account="a", message=dict(good, **{"from": "any@lists.example.com"}))
        same(len(server.bodies), 1)


def test_refused_login(flow):
    """A password that was refused is not said again by itself, whoever asks"""
    with against(flow, mechanisms="PLAIN", always={"auth": "535 5.7.8 no\r\n"}, keys={"allow_plaintext_auth": "yes", "pool_size": 5},
                 sections={"auth": {"username": "ann", "password": "x"}}) as (server, client):
        numbers = [client.begin("smtp.send", **params()) for _ in range(20)]
        for number in numbers:
            try:
                client.finish(number)
                raise AssertionError("it was sent")
            except RpcError as error:
                same(error.kind, "auth")
        for _ in range(5):
            client.fails("auth", "smtp.send", **params())
        said = sum(line.startswith("AUTH") for line in server.lines)
        assert said <= 5, f"the password was said {said} times"
