# SPDX-License-Identifier: MIT
"""One list of SMTP tests over Postfix, Exim and OpenSMTPD."""

import base64
import time

from harness import INVALID_PARAMS, memfd, same
from peers import Cases

cases = Cases("smtp", __name__)
NOBODY, LATER = "nobody@example.com", "later@example.com"


def message(peer, subject, to=None, **more):
    return dict({"from": "ann@example.com", "to": to or peer.address, "subject": subject, "text": "hello\n"}, **more)


def envelope(peer, **more):
    return dict({"from": "ann@example.com", "to": [peer.address]}, **more)


def body_of(peer, subject):
    with peer.side.mailbox(peer.user, True) as box:
        for number in box.search(None, "SUBJECT", f'"{subject}"')[1][0].decode().split():
            letter = box.fetch(number, "(BODY.PEEK[])")[1][0][1]
            if f"\r\nSubject: {subject}\r\n".encode() in letter:
                return letter
    raise AssertionError(f"no message about {subject}")


# -- sending


@cases.add
def message_and_raw(peer):
    """Messages given as such and raw ones arrive as they were"""
    answer = peer.call("smtp.send", message=message(peer, "built", attachments=[{"content": {"base64": "AAEC"}, "filename": "a.bin"}]))
    same((answer["accepted"], answer["rejected"], answer["reply"]["code"]), ([peer.address], [], 250))
    raw = f"From: ann@example.com\nTo: {peer.address}\nBcc: bob@example.com\nSubject: raw\n\n.\n..\n.dot\rbare\nend"
    peer.call("smtp.send", raw=raw, envelope=envelope(peer))
    letter = peer.letter("by descriptor", ".dotted\n" * 100)
    peer.call("smtp.send", fds=[memfd(letter)], raw={"fd": 0}, envelope=envelope(peer))
    refused = peer.call("smtp.sendmail", **{"from": "ann@example.com"}, to=[peer.address], raw=peer.letter("as smtplib").decode())
    same(refused["refused"], {})
    peer.arrived("built", "raw", "by descriptor", "as smtplib")
    head, _, body = body_of(peer, "raw").partition(b"\r\n\r\n")
    same(body, b".\r\n..\r\n.dot\r\nbare\r\nend\r\n")
    assert b"Bcc" not in head, head
    same(body_of(peer, "by descriptor").partition(b"\r\n\r\n")[2].count(b".dotted\r\n"), 100)
    same(peer.connections(), 1, "connections")


@cases.add
def several_recipients(peer):
    """To, Cc and Bcc all get it, and nobody sees Bcc"""
    peer.call("smtp.send", message=message(peer, "to all", cc="ann@example.com", bcc="bob@example.com"))
    peer.arrived("to all")
    assert b"bob@example.com" not in body_of(peer, "to all")
    same(len(peer.on_wire(rb"^RCPT TO:")), 3)


@cases.add
def refused_recipients(peer):
    """A refused recipient among others is listed with its answer; all refused is an error, and no body goes out"""
    answer = peer.call("smtp.send", message=message(peer, "some", to=[peer.address, NOBODY, LATER]))
    same((answer["accepted"], {one["address"]: one["reply"]["code"] // 100 for one in answer["rejected"]}), ([peer.address], {NOBODY: 5, LATER: 4}))
    before = len(peer.on_wire(rb"^(?:DATA|BDAT \d+(?: LAST)?)\r"))
    for address, retry in ((NOBODY, "no"), (LATER, "later")):
        error = peer.fails("rejected", "smtp.send", message=message(peer, "none", to=address))
        same((error.data["stage"], error.data["outcome"], error.data["retry"]), ("rcpt", "none", retry))
        same([one["address"] for one in error.data["rejected"]], [address])
    same(peer.call("smtp.send", message=message(peer, "after"))["accepted"], [peer.address])
    same(peer.connections(), 1, "connections")
    peer.arrived("some", "after")
    assert b"Subject: none" not in peer.wire(), "a body went out for nobody"
    assert before >= 1


@cases.add
def many_in_one(peer):
    """messages sends several over one connection; each has its own result"""
    answer = peer.call("smtp.send", messages=[{"message": message(peer, "a")}, {"message": message(peer, "b", to=NOBODY)}, {"message": message(peer, "c")}])
    same([("error" in one, one.get("accepted")) for one in answer["results"]], [(False, [peer.address]), (True, None), (False, [peer.address])])
    peer.arrived("a", "c")


@cases.add
def at_once(peer):
    """Thirty calls at once through three connections arrive once each"""
    account = peer.account(f"{peer.name}-three", pool_size=3)
    numbers = [peer.begin("smtp.send", account=account, message=message(peer, f"number {number}")) for number in range(30)]
    for number in numbers:
        same(peer.client.finish(number)[0]["accepted"], [peer.address])
    assert peer.connections() <= 3, peer.connections()
    peer.arrived(*[f"number {number}" for number in range(30)])


@cases.add
def big(peer):
    """A message of 5 MB arrives whole, as one chunk where the server takes such"""
    letter = peer.letter("big", ".dotted line of the big message\n" * 160000)
    peer.call("smtp.send", fds=[memfd(letter)], raw={"fd": 0}, envelope=envelope(peer))
    peer.arrived("big")
    same(body_of(peer, "big").count(b"\r\n.dotted line of the big message"), 160000)
    assert bool(peer.on_wire(rb"^BDAT \d+ LAST\r")) == peer.offers("CHUNKING")
    peer.call("smtp.send", message=message(peer, "small"))
    assert peer.on_wire(rb"^DATA\r"), "a small one goes by DATA"


@cases.add
def idempotency(peer):
    """A key sends once"""
    first = peer.call("smtp.send", message=message(peer, "once"), idempotency_key="k")
    same(peer.call("smtp.send", message=message(peer, "once"), idempotency_key="k"), first)
    peer.arrived("once")
    same(len(peer.on_wire(rb"^MAIL FROM:")), 1)


# -- extensions


@cases.add(needs="SIZE")
def size(peer):
    """SIZE goes with MAIL, and what is too big is refused before anything is sent"""
    peer.call("smtp.send", message=message(peer, "sized"))
    assert peer.on_wire(rb"^MAIL FROM:<ann@example.com> .*SIZE=\d+"), peer.wire()
    session = peer.open()["session"]
    limit = peer.call("smtp.max_message_size", session=session)["size"]
    same(limit, 104857600)
    error = peer.fails("bad_message", "smtp.mail", session=session, **{"from": "ann@example.com"}, size=limit + 1)
    same((error.data["stage"], error.data["outcome"]), ("mail", "none"))
    peer.call("smtp.quit", session=session)
    peer.arrived("sized")


@cases.add(needs="8BITMIME")
def eight_bit(peer):
    """Eight bits go as they are where the server takes them"""
    raw = f"From: ann@example.com\nTo: {peer.address}\nSubject: eight\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n" \
          "Content-Transfer-Encoding: 8bit\n\nGrüße\n"
    peer.call("smtp.send", raw=raw, envelope=envelope(peer))
    assert peer.on_wire(rb"^MAIL FROM:.* BODY=8BITMIME"), peer.wire()
    peer.call("smtp.send", message=message(peer, "built eight", text="Grüße\n" * 20))
    peer.arrived("eight", "built eight")
    assert body_of(peer, "eight").endswith("Grüße\r\n".encode())


def without_smtputf8(peer):
    """A domain goes in ASCII, what cannot is refused by name"""
    peer.fails("missing_extension", "smtp.send", message=message(peer, "never", to="jörg@example.com"))
    error = peer.fails("rejected", "smtp.send", message=message(peer, "never", to="x@bücher.example"))
    same(error.data["stage"], "rcpt")
    assert peer.on_wire(rb"^RCPT TO:<x@xn--bcher-kva.example>"), peer.wire()
    assert not peer.on_wire(rb"SMTPUTF8\r")


@cases.add(needs="SMTPUTF8", otherwise=without_smtputf8)
def smtputf8(peer):
    """Addresses beyond ASCII go as UTF-8, and the server is told"""
    error = peer.fails("rejected", "smtp.send", message=message(peer, "never", to="jörg@example.com"))
    same(error.data["stage"], "rcpt")
    assert peer.on_wire(rb"^MAIL FROM:<ann@example.com>.* SMTPUTF8"), peer.wire()
    assert peer.on_wire("^RCPT TO:<jörg@example.com>".encode()), peer.wire()
    peer.call("smtp.send", raw=f"From: ann@example.com\nTo: {peer.address}\nSubject: plain after\n\nx\n", envelope=envelope(peer))
    peer.arrived("plain after")


@cases.add(needs="DSN")
def dsn(peer):
    """RET, ENVID, NOTIFY and ORCPT go out as they should, and a report comes"""
    peer.call("smtp.send", message=message(peer, "reported", **{"from": peer.address}),
              envelope={"from": peer.address, "to": [peer.address], "notify": ["success", "failure"], "ret": "hdrs", "envid": "e+1=x"})
    assert peer.on_wire(rb"^MAIL FROM:<\S+> .*RET=HDRS"), peer.wire()
    assert peer.on_wire(rb"ENVID=e\+2B1\+3Dx"), peer.wire()
    assert peer.on_wire(rb"^RCPT TO:<\S+> .*NOTIFY=SUCCESS,FAILURE"), peer.wire()
    peer.side.arrived(peer.user, 2)
    with peer.side.mailbox(peer.user, True) as box:
        reports = [box.fetch(number, "(BODY.PEEK[])")[1][0][1] for number in box.search(None, "FROM", "MAILER-DAEMON")[1][0].decode().split()]
        assert len(reports) == 1 and peer.address.encode() in reports[0], reports


def without_chunking(peer):
    """Nothing carries such a line"""
    raw = f"From: ann@example.com\nTo: {peer.address}\nSubject: long line\n\n" + "x" * 5000 + "\n"
    peer.fails("bad_message", "smtp.send", raw=raw, envelope=envelope(peer))
    same(peer.on_wire(rb"^(?:MAIL|BDAT)"), [])


@cases.add(needs=("CHUNKING", "BINARYMIME"), otherwise=without_chunking)
def chunking(peer):
    """What DATA cannot carry goes as a chunk, and the next message by DATA again"""
    raw = b"From: ann@example.com\r\nTo: " + peer.address.encode() + b"\r\nSubject: long line\r\n\r\n" + b"x" * 5000 + b"\r\n"
    peer.call("smtp.send", fds=[memfd(raw)], raw={"fd": 0}, envelope=envelope(peer))
    assert peer.on_wire(rb"^BDAT \d+ LAST\r"), peer.wire()
    peer.call("smtp.send", message=message(peer, "short lines"))
    peer.arrived("long line", "short lines")


@cases.add
def chunks_in_flight(peer):
    """With pipeline = chunks many calls at once each get their own answer, whatever the server can do"""
    account = peer.account(f"{peer.name}-chunks", pool_size=1, pipeline="chunks")
    peer.offers("CHUNKING")
    begun = peer.connections()
    numbers = [peer.begin("smtp.send", account=account, message=message(peer, f"chunk {number}", to=NOBODY if number % 4 == 3 else None)) for number in range(12)]
    for index, number in enumerate(numbers):
        if index % 4 == 3:
            try:
                peer.client.finish(number)
                raise AssertionError("was not refused")
            except Exception as error:
                same(getattr(error, "kind", error), "rejected")
        else:
            same(peer.client.finish(number)[0]["accepted"], [peer.address])
    peer.arrived(*[f"chunk {number}" for number in range(12) if number % 4 != 3])
    same(peer.connections() - begun, 1, "connections")
    # the first goes by DATA, behind it comes the proof
    chunks = peer.on_wire(rb"^BDAT (\d+) LAST\r\n(?!QUIT)")
    assert len(chunks) >= 11 if peer.offers("CHUNKING", "PIPELINING") else not chunks, chunks


def step_by_step(peer):
    """Each command waits for the answer to the one before"""
    peer.call("smtp.send", message=message(peer, "waiting"))
    peer.arrived("waiting")
    pieces = [data for record in peer.records() for who, data in record.pieces if who == "C"]
    assert not any(b"MAIL FROM" in data and b"RCPT TO" in data for data in pieces), pieces


@cases.add(needs="PIPELINING", otherwise=step_by_step)
def pipelining(peer):
    """The envelope goes in one piece"""
    peer.call("smtp.send", message=message(peer, "together", to=[peer.address, "ann@example.com"]))
    pieces = [data for record in peer.records() for who, data in record.pieces if who == "C"]
    assert any(b"MAIL FROM" in data and data.count(b"RCPT TO") == 2 for data in pieces), pieces
    peer.arrived("together")


@cases.add
def null_sender(peer):
    """The null sender is sent as such"""
    peer.call("smtp.send", message=message(peer, "from nobody"), envelope=envelope(peer, **{"from": ""}))
    assert peer.on_wire(rb"^MAIL FROM:<>"), peer.wire()
    peer.arrived("from nobody")


# -- logging in


@cases.add
def mechanisms(peer):
    """Every mechanism that the server offers logs in, a wrong password is refused, and others are not tried"""
    for name in peer.mechanisms:
        token = {"password": None, "token": peer.mail.token(peer.user)} if name in ("XOAUTH2", "OAUTHBEARER") else {}
        account = peer.account(f"{peer.name}-{name.lower()}", sections={"auth": {"method": "sasl-login" if name == "LOGIN" else name, **token}})
        same(peer.call("smtp.test_connection", account=account), {"ok": True}, name)
    wrong = peer.account(f"{peer.name}-wrong", sections={"auth": {"password": "not-this"}})
    peer.fails("auth", "smtp.send", account=wrong, message=message(peer, "never"))
    begun = peer.connections()
    peer.fails("auth", "smtp.send", account=wrong, message=message(peer, "never"))
    same(peer.connections(), begun, "a refused password was tried again")
    missing = peer.account(f"{peer.name}-none", sections={"auth": {"method": "EXTERNAL" if "SCRAM-SHA-256" in peer.mechanisms else "SCRAM-SHA-256"}})
    peer.fails("unsupported_mechanism", "smtp.send", account=missing, message=message(peer, "never"))


@cases.add
def starttls(peer):
    """STARTTLS before anything is said that matters"""
    account = peer.account(f"{peer.name}-starttls", starttls=True)
    peer.call("smtp.send", account=account, message=message(peer, "starttls"))
    record, = peer.records(peer.clear)
    said = record.said()
    assert said.index(b"STARTTLS\r\n") < said.index(b"AUTH ") < said.index(b"MAIL FROM"), said
    same(said[:said.index(b"AUTH ")].count(b"EHLO "), 2, "EHLO again after TLS")
    peer.arrived("starttls")


# -- connections


@cases.add
def warm(peer):
    """A warm connection is used again, with nothing between two messages but what the second needs"""
    for number in range(4):
        peer.call("smtp.send", message=message(peer, str(number)))
    same((peer.connections(), len(peer.on_wire(rb"^AUTH ")), peer.on_wire(rb"^(?:RSET|NOOP|QUIT)")), (1, 1, []))
    peer.arrived("0", "1", "2", "3")


@cases.add
def killed_while_idle(peer):
    """A connection that the server ended while it was idle is not noticed by the next call"""
    for number, reset in enumerate((False, True)):
        peer.call("smtp.send", message=message(peer, f"before {number}"))
        assert peer.drop(reset) >= 1
        time.sleep(0.1)
        same(peer.call("smtp.send", message=message(peer, f"after {number}"))["accepted"], [peer.address])
    same(peer.connections(), 3)
    peer.arrived("before 0", "after 0", "before 1", "after 1")


@cases.add(only=["postfix"])
def killed_server(peer):
    """The server's own processes ended while the connection was idle are not noticed either"""
    peer.call("smtp.send", message=message(peer, "before"))
    assert peer.mail.end_processes("smtpd", "postfix") > 0
    time.sleep(0.2)
    peer.call("smtp.send", message=message(peer, "after"))
    peer.arrived("before", "after")


# -- sessions


@cases.add
def steps(peer):
    """A session step by step, with the states told"""
    session = peer.open()["session"]
    for command, params, code, state in (
            ("mail", {"from": "ann@example.com", "size": 50}, 250, "mailtx"),
            ("rcpt", {"to": peer.address}, 250, "recipient_sent"),
            ("start_data", {}, 354, "send_data"),
            ("data", {"raw": "Subject: by steps\n\n.dot\n"}, 250, "ready"),
            ("mail", {"from": "ann@example.com"}, 250, "mailtx"),
            ("rset", {}, 250, "ready"),
            ("noop", {}, 250, "ready")):
        same(peer.call(f"smtp.{command}", session=session, **params)["code"], code, command)
        same(peer.call("smtp.state", session=session)["state"], state, command)
    peer.call("smtp.mail", session=session, **{"from": "ann@example.com"})
    for address, kind in ((NOBODY, 5), (LATER, 4)):
        error = peer.fails("rejected", "smtp.rcpt", session=session, to=address)
        same((error.data["stage"], error.data["reply"]["code"] // 100), ("rcpt", kind))
    peer.fails(INVALID_PARAMS, "smtp.start_data", session=session)
    same(peer.call("smtp.rcpt", session=session, to=peer.address)["code"], 250)
    same(peer.call("smtp.data", session=session, raw="Subject: short cut\n\nx\n")["code"], 250)
    peer.call("smtp.send", session=session, message=message(peer, "whole"))
    peer.call("smtp.quit", session=session)
    peer.arrived("by steps", "short cut", "whole")


@cases.add(needs="DSN")
def steps_with_dsn(peer):
    """DSN's parameters in single steps"""
    session = peer.open()["session"]
    peer.call("smtp.mail", session=session, **{"from": "ann@example.com"}, ret="full", envid="abc")
    peer.call("smtp.rcpt", session=session, to=peer.address, notify=["never"], orcpt="rfc822;other@example.com")
    assert peer.on_wire(rb"^RCPT TO:<\S+> .*ORCPT=rfc822;other@example.com"), peer.wire()
    assert peer.on_wire(rb"^MAIL FROM:<\S+> .*RET=FULL"), peer.wire()
    peer.call("smtp.quit", session=session)


@cases.add
def questions(peer):
    """vrfy, expn, help, docmd and what is known of the server, whatever it answers"""
    session = peer.open()["session"]
    for method, params in (("vrfy", {"address": "ann@example.com"}), ("expn", {"address": "staff"}), ("help", {}), ("docmd", {"command": "XYZZY"})):
        number = peer.begin(f"smtp.{method}", session=session, **params)
        try:
            reply = peer.client.finish(number)[0]
            assert reply["code"] // 100 == 2, reply
        except Exception as error:
            same(getattr(error, "kind", error), "rejected", method)
            same(error.data["reply"]["code"] // 100, 5, method)
    same(peer.call("smtp.noop", session=session)["code"], 250)
    same(peer.call("smtp.has_extn", session=session, name="size"), {"present": True, "params": "104857600"})
    same(peer.call("smtp.has_extn", session=session, name="XNONE")["present"], False)
    if peer.server == "opensmtpd":      # once is enough for it
        peer.fails("rejected", "smtp.ehlo", session=session, domain="me.example")
        same(peer.call("smtp.has_extn", session=session, name="SIZE")["present"], True)
        return peer.call("smtp.quit", session=session)
    same(peer.call("smtp.ehlo", session=session, domain="me.example")["code"], 250)
    same(peer.call("smtp.helo", session=session, domain="me.example")["code"], 250)
    same(peer.call("smtp.has_extn", session=session, name="SIZE")["present"], False)
    return peer.call("smtp.quit", session=session)


@cases.add
def verify(peer):
    """smtp.verify tells what the server says of an address"""
    answer = peer.call("smtp.verify", address="ann@example.com")
    same(answer["reply"]["code"] // 100, 5 if peer.server == "opensmtpd" else 2)
    same(answer["valid"], answer["reply"]["code"] in (250, 251))


@cases.add
def login_by_steps(peer):
    """A session without login: refused, logged in, and the dialogue led by the caller"""
    secret = peer.mail.users[peer.user]
    session = peer.open(login=False)["session"]
    assert set(peer.call("smtp.auth_mechanisms", session=session)["mechanisms"]) >= set(peer.mechanisms)
    peer.fails("auth", "smtp.login", session=session, username=peer.user, password="wrong")
    same(peer.call("smtp.login", session=session, username=peer.user, password=secret)["code"], 235)
    peer.call("smtp.quit", session=session)
    session = peer.open(login=False)["session"]
    same(peer.call("smtp.authenticate", session=session, mechanism="LOGIN")["code"], 334)
    for text, code in ((peer.user, 334), (secret, 235)):
        same(peer.call("smtp.send_authentication_data", session=session, data=base64.b64encode(text.encode()).decode())["code"], code)
    same(peer.call("smtp.state", session=session)["state"], "authenticated")
    peer.call("smtp.quit", session=session)
    account = peer.account(f"{peer.name}-steps", starttls=True, tls="none")
    session = peer.open(account=account, login=False)["session"]
    same(peer.call("smtp.starttls", session=session)["code"], 220)
    same(peer.call("smtp.login", session=session, username=peer.user, password=secret)["code"], 235)
    same(peer.call("smtp.noop", session=session)["code"], 250)
    peer.call("smtp.quit", session=session)


@cases.add
def handed_over(peer):
    """get_handle gives a socket that speaks clear SMTP on the session"""
    import socket
    session = peer.open()["session"]
    answer, descriptors = peer.client.call_fds("smtp.get_handle", session=session)
    same((answer["handle"]["fd"], len(descriptors)), (0, 1))
    with socket.socket(fileno=descriptors[0]) as handle:
        handle.settimeout(10)
        for command, code in ((b"NOOP\r\n", b"250"), (b"RSET\r\n", b"250"), (b"QUIT\r\n", b"221")):
            handle.sendall(command)
            got = handle.recv(1000)
            assert got.startswith(code), (command, got)


@cases.add
def trace(peer):
    """set_debuglevel shows the dialogue without secrets"""
    session = peer.open(login=False)["session"]
    peer.call("smtp.set_debuglevel", session=session, level=1)
    secret = peer.mail.users[peer.user]
    peer.call("smtp.login", session=session, username=peer.user, password=secret)
    peer.call("smtp.mail", session=session, **{"from": "ann@example.com"})
    peer.call("smtp.quit", session=session)
    lines = [note["params"]["line"] for note in peer.client.notes if note["method"] == "trace"]
    assert any(line.startswith("AUTH ") for line in lines) and any(line.startswith("MAIL FROM:") for line in lines), lines
    assert not any(secret in line or base64.b64encode(secret.encode()).decode() in line for line in lines), lines


@cases.add
def account_test(peer):
    """account.test says that all is well"""
    answer = str(peer.call("account.test"))
    assert "True" in answer and "smtp" in answer, answer


