# SPDX-License-Identifier: MIT
"""What a composed message looks like depends on what the server takes; what identifies it does not."""

import email
import email.policy
import re

import fake_mail
from harness import RpcError, memfd, same

TEXT = "Grüße aus Köln\n"
BOUNDARY = re.compile(r'boundary="?([^"\r\n;]+)')


def served(flow, *scripts, capabilities=(), **server):
    """A fake server that offers this, and a client of a daemon of the test's own with an account for it."""
    fake = fake_mail.FakeSmtp(*scripts, capabilities=list(capabilities), mechanisms="", **server)
    flow.cleanups.append(fake.close)
    sections = flow.account("ann", **fake.account())
    daemon = flow.own_daemon({"fake": sections})
    daemon.__enter__()
    flow.cleanups.append(lambda: daemon.__exit__(None))
    client = daemon.client()
    flow.cleanups.append(client.close)
    return fake, client


def message(**more):
    return dict({"from": "ann@example.com", "to": "bob@example.net", "subject": "Grüße", "text": TEXT, "message_id": "m1@example.com",
                 "date": "2026-03-01T10:00:00Z"}, **more)


def mail_line(fake):
    return [line for line in fake.lines if line.upper().startswith("MAIL")][-1]


def content(body, name=None):
    parsed = email.message_from_bytes(body.encode("latin-1"), policy=email.policy.default)
    for part in parsed.walk():
        if not part.is_multipart() and part.get_filename() == name:
            return part.get_payload(decode=True)
    return None


def test_text(flow):
    """7-bit, 8-bit or binary, as the server takes it; the text and the identity are the same, and BODY says what it is"""
    seen = {}
    for offers in ((), ("8BITMIME",), ("8BITMIME", "CHUNKING", "BINARYMIME"), ("8BITMIME", "SMTPUTF8")):
        fake, client = served(flow, capabilities=offers)
        result = client.call("smtp.send", account="fake", message=message())
        body = fake.bodies[-1]
        seen[offers] = body
        eight = "8BITMIME" in offers
        same("BODY=8BITMIME" in mail_line(fake), eight, offers)
        same("Content-Transfer-Encoding: 8bit" in body, eight, offers)
        same(TEXT.encode().decode("latin-1").strip() in body, eight, offers)
        same("SMTPUTF8" in mail_line(fake), False, offers)
        assert "Subject: =?utf-8?" in body, body
        same(content(body).replace(b"\r\n", b"\n").rstrip(b"\n"), TEXT.encode().rstrip(b"\n"))
        assert result["size"] - len(body) in (0, 2), (result["size"], len(body))
        same(result["message_id"], "m1@example.com")
    heads = {body.partition("\r\nMIME-Version")[0] for body in seen.values()}
    same(len(heads), 1)


def test_attachments(flow):
    """A binary attachment goes as it is where BINARYMIME and CHUNKING are offered, in base64 else, big or small; containers say so"""
    for size in (30_000, 3_000_000):
        data = bytes(range(256)) * (size // 256)
        boundaries = set()
        for offers in (("8BITMIME",), ("8BITMIME", "CHUNKING", "BINARYMIME"), ("8BITMIME", "BINARYMIME")):
            fake, client = served(flow, capabilities=offers)
            result = client.call("smtp.send", fds=[memfd(data)], account="fake",
                                 message=message(attachments=[{"content": {"fd": 0}, "filename": "a.bin"}]))
            body = fake.bodies[-1]
            binary = len(offers) == 3
            same("BODY=BINARYMIME" in mail_line(fake), binary, offers)
            same(result["size"] < size * 1.2 + 2000, binary, offers)
            encoding = "binary" if binary else "8bit"
            assert body.partition("\r\n\r\n")[0].endswith(f"\r\nContent-Transfer-Encoding: {encoding}"), body[:700]
            if binary:
                assert data.decode("latin-1") in body
            else:
                same(content(body, "a.bin"), data)
            boundaries.add(BOUNDARY.search(body)[1])
        same(len(boundaries), 1)


def test_ascii(flow):
    """What needs no encoding is the same everywhere"""
    bodies = set()
    for offers in ((), ("8BITMIME", "CHUNKING", "BINARYMIME", "SMTPUTF8")):
        fake, client = served(flow, capabilities=offers)
        client.call("smtp.send", account="fake", message=message(subject="plain", text="plain\n"))
        assert "BODY=" not in mail_line(fake), mail_line(fake)
        bodies.add(fake.bodies[-1].strip())
    same(len(bodies), 1)


def test_addresses(flow):
    """Beyond ASCII: SMTPUTF8 and a header in UTF-8 where offered; domains in ASCII where not; an error where nothing helps"""
    fake, client = served(flow, capabilities=("8BITMIME", "SMTPUTF8"))
    client.call("smtp.send", account="fake", message=message(to="jörg@bücher.example"))
    assert mail_line(fake).endswith("SMTPUTF8"), mail_line(fake)
    head = fake.bodies[-1].encode("latin-1").decode()
    assert "Subject: Grüße" in head and "jörg@" in head, head
    fake, client = served(flow, capabilities=("8BITMIME",))
    same(client.call("smtp.send", account="fake", message=message(to="joerg@bücher.example"))["accepted"], ["joerg@xn--bcher-kva.example"])
    client.call("smtp.send", account="fake", message=message(), envelope={"to": ["joerg@bücher.example"]})
    same([line for line in fake.lines if line.startswith("RCPT")], ["RCPT TO:<joerg@xn--bcher-kva.example>"] * 2)
    assert "SMTPUTF8" not in mail_line(fake) and "xn--bcher-kva.example" in fake.bodies[0], fake.bodies[0]
    for params in ({"message": message(to="jörg@example.net")}, {"message": message(**{"from": "jörg@example.net"}), "envelope": {"from": "ann@example.com"}},
                   {"message": message(), "envelope": {"to": ["jörg@example.net"]}}):
        error = client.fails("missing_extension", "smtp.send", account="fake", **params)
        same((error.data["outcome"], "SMTPUTF8" in error.message), ("none", True))
    same(len(fake.bodies), 2)


def test_raw(flow):
    """What the caller has finished is not recoded: it is an error where the server does not take it"""
    raw = f"From: ann@example.com\r\nSubject: raw\r\n\r\n{TEXT}"
    envelope = {"from": "ann@example.com", "to": ["bob@example.net"]}
    fake, client = served(flow, capabilities=())
    error = client.fails("bad_message", "smtp.send", account="fake", raw=raw, envelope=envelope)
    assert "8BITMIME" in error.message, error.message
    fake, client = served(flow, capabilities=("8BITMIME",))
    client.call("smtp.send", account="fake", raw=raw, envelope=envelope)
    assert "BODY=8BITMIME" in mail_line(fake) and TEXT.strip().encode().decode("latin-1") in fake.bodies[-1]


def test_another_server(flow):
    """A silent retry on a connection whose server offers less sends the same message, recoded, under the same names"""
    fake, client = served(flow, {"mail": fake_mail.fin}, capabilities=("8BITMIME",))
    big = (TEXT * 20_000).encode()
    flow_of = []
    fake.offers, usual = lambda wire: usual(wire) if len(fake.wires) == 1 else "250-fake.example\r\n250 PIPELINING\r\n", fake.offers
    try:
        client.call("smtp.send", account="fake", message=message(html=big.decode(), attachments=[{"content": {"text": "x"}, "filename": "x.txt"}]))
    except RpcError as error:
        flow_of.append(error)
    assert not flow_of, flow_of
    same((fake.connections, len(fake.bodies)), (2, 1))
    body = fake.bodies[0]
    assert body.isascii() and "Message-ID: <m1@example.com>" in body and "8bit" not in body.lower(), body[:600]
    assert "BODY=" not in mail_line(fake)
