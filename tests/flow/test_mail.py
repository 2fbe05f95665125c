# SPDX-License-Identifier: MIT
"""mail.parse and mail.build."""

import base64
import binascii
import email
import email.policy
import os
import pathlib
import struct

from harness import INVALID_PARAMS, Skip, memfd, same, text_of

REAL = (
    "From: =?utf-8?q?Zo=C3=AB?= <zoe@example.com>\r\n"
    "To: Ann <ann@example.com>, team: bob@example.com, carol@example.com;\r\n"
    "Subject: =?iso-8859-1?Q?caf=E9?=\r\n"
    "Date: Mon, 02 Mar 2026 10:00:00 +0100\r\n"
    "Message-ID: <one@example.com>\r\n"
    "In-Reply-To: <zero@example.com>\r\n"
    "References: <a@example.com> <zero@example.com>\r\n"
    "MIME-Version: 1.0\r\n"
    "Content-Type: multipart/mixed; boundary=\"b\"\r\n"
    "\r\n"
    "--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n"
    "--c\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nna=C3=AFve=\r\n text\r\n"
    "--c\r\nContent-Type: text/html\r\n\r\n<b>text</b>\r\n--c--\r\n"
    "--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n"
    "Content-Disposition: attachment; filename*=utf-8''r%C3%A9sum%C3%A9.pdf\r\n\r\nJVBERg==\r\n--b--\r\n")


def test_parse(flow):
    """A message is taken apart: headers, addresses, dates, bodies, attachments"""
    mail = flow.client().call("mail.parse", raw=REAL)
    same(mail["subject"], "café")
    same(mail["from"], [{"name": "Zoë", "address": "zoe@example.com"}])
    same(mail["to"][0], {"name": "Ann", "address": "ann@example.com"})
    same(mail["to"][1]["group"], "team")
    same([member["address"] for member in mail["to"][1]["members"]], ["bob@example.com", "carol@example.com"])
    same((mail["date"], mail["message_id"]), ("2026-03-02T10:00:00+01:00", "one@example.com"))
    same((mail["in_reply_to"], mail["references"]), (["zero@example.com"], ["a@example.com", "zero@example.com"]))
    same(mail["body"]["text"].strip("\n"), "naïve text")
    same(mail["body"]["html"].strip("\n"), "<b>text</b>")
    same((mail["body"]["text_parts"], mail["body"]["html_parts"]), (["1.1"], ["1.2"]))
    same(len(mail["attachments"]), 1)
    attached = mail["attachments"][0]
    same((attached["part"], attached["content_type"], attached["filename"], attached["size"]), ("2", "application/pdf", "résumé.pdf", 4))
    same(text_of(attached["content"]), b"%PDF")
    same([child["content_type"] for child in mail["structure"]["children"]], ["multipart/alternative", "application/pdf"])
    same((mail["size"], mail["defects"]), (len(REAL.encode()), []))
    same(mail["headers"]["subject"], ["café"])


def test_parse_without_attachments(flow):
    """attachments=false leaves their content out"""
    mail = flow.client().call("mail.parse", raw=REAL, attachments=False)
    assert not any(attached.get("content") for attached in mail.get("attachments", [])), mail.get("attachments")


def test_parse_report(flow):
    """A bounce says who did not get it, and flowed text is unfolded where that is asked for"""
    raw = ("Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
           "--b\r\nContent-Type: text/plain; format=flowed\r\n\r\nso \r\nsorry\r\n"
           "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx\r\n\r\n"
           "Final-Recipient: rfc822; ann@example.com\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
           "--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <one@example.com>\r\n\r\nx\r\n--b--\r\n")
    client = flow.client()
    mail = client.call("mail.parse", raw=raw, flowed=True)
    same(mail["body"]["text"], "so sorry")
    same(client.call("mail.parse", raw=raw)["body"]["text"], "so \nsorry")
    report = mail["report"]
    same((report["type"], report["part"], report["original"], report["original_message_id"]),
         ("delivery-status", "2", "3", "one@example.com"))
    same([(to["final_recipient"], to["action"], to["status"]) for to in report["recipients"]],
         [("ann@example.com", "failed", "5.1.1")])
    same(client.call("mail.parse", raw=REAL)["report"], None)


def test_parse_encoded_text(flow):
    """Files that stand in the text as uuencode or yEnc are attachments, where that is asked for"""
    yenc = bytes((c + 42) % 256 for c in b"a dog")
    text = (b"before\r\nbegin 644 c\xc3\xa4t.txt\r\n#0V%T\r\n`\r\nend\r\nbetween\r\n"
            b"=ybegin line=128 size=5 name=dog.bin\r\n" + yenc + b"\r\n=yend size=5 crc32=00000001\r\nafter\r\n")
    html = b"begin 644 no.txt\r\n#0V%T\r\n`\r\nend"
    raw = (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n" + text +
           b"\r\n--b\r\nContent-Type: text/html\r\n\r\n" + html + b"\r\n--b--\r\n")
    client = flow.client()
    encoded = {"base64": base64.b64encode(raw).decode()}
    mail = client.call("mail.parse", raw=encoded, encoded_text=True)
    same(mail["body"]["text"], "before\nbetween\nafter\n")
    same(mail["body"]["html"], html.decode().replace("\r", ""))
    same([(at["part"], at["filename"], at["content_type"], at["size"], at["inline"], text_of(at["content"]))
          for at in mail["attachments"]],
         [("1", "cät.txt", "application/octet-stream", 3, False, b"Cat"),
          ("1", "dog.bin", "application/octet-stream", 5, False, b"a dog")])
    same(mail["defects"], ["part 1: yEnc with another checksum than it says"])
    mail = client.call("mail.parse", raw=encoded, encoded_text=True, attachments=False)
    same([(at["size"], at.get("content")) for at in mail["attachments"]], [(3, None), (5, None)])
    mail = client.call("mail.parse", raw=encoded)
    same((len(mail["attachments"]), mail["body"]["text"].count("begin")), (0, 2))
    data = os.urandom(600000)
    lines = b"".join(binascii.b2a_uu(data[i:i + 45]) for i in range(0, len(data), 45))
    raw = b"Subject: big\n\nsee\nbegin 644 big.bin\n" + lines + b"`\nend\n"
    mail = client.call("mail.parse", raw={"base64": base64.b64encode(raw).decode()}, encoded_text=True)
    same((mail["body"]["text"], mail["defects"], mail["attachments"][0]["size"]), ("see\n", [], len(data)))
    assert text_of(mail["attachments"][0]["content"]) == data


def tnef_attribute(level, number, data):
    return struct.pack("<BII", level, number, len(data)) + data + struct.pack("<H", sum(data) % 65536)


def tnef(*files):
    out = struct.pack("<IH", 0x223E9F78, 1)
    for name, data in files:
        out += tnef_attribute(2, 0x69002, b"") + tnef_attribute(2, 0x18010, name.encode("cp1252") + b"\0")
        out += tnef_attribute(2, 0x6800F, data)
    return out


def test_parse_tnef(flow):
    """The files in a winmail.dat are listed behind it, where that is asked for"""
    big = os.urandom(700000)
    inner = tnef(("Übersicht.pdf", b"%PDF"), ("empty.txt", b""), ("big.bin", big))
    lines = b"\r\n".join([b"Content-Type: multipart/mixed; boundary=b", b"", b"--b", b"", b"see the file", b"--b",
                          b"Content-Type: application/ms-tnef; name=winmail.dat", b"Content-Transfer-Encoding: base64", b"",
                          base64.encodebytes(inner), b"--b", b"Content-Type: application/ms-tnef", b"", b"no such thing", b"--b--", b""])
    client = flow.client()
    raw = {"base64": base64.b64encode(lines).decode()}
    mail = client.call("mail.parse", raw=raw)
    same([at["part"] for at in mail["attachments"]], ["2", "3"])
    mail = client.call("mail.parse", raw=raw, tnef=True)
    same([(at["part"], at["filename"], at["content_type"], at["size"], at["headers"] == {}) for at in mail["attachments"]],
         [("2", "winmail.dat", "application/ms-tnef", len(inner), False), ("2", "Übersicht.pdf", "application/pdf", 4, True),
          ("2", "empty.txt", "text/plain", 0, True), ("2", "big.bin", "application/octet-stream", len(big), True),
          ("3", None, "application/ms-tnef", 13, False)])
    same([text_of(at["content"]) for at in mail["attachments"]], [inner, b"%PDF", b"", big, b"no such thing"])
    same(mail["defects"], ["part 3: no TNEF, though it says so"])
    mail = client.call("mail.parse", raw=raw, tnef=True, attachments=False)
    same([(at["size"], at.get("content")) for at in mail["attachments"]][1], (4, None))


def test_parse_anything(flow):
    """Nothing that a message contains makes parsing fail"""
    client = flow.client()
    for raw in ("", "\n", "x", "no colon\n\nbody", ":\n\n", "A: b", "Content-Type: multipart/mixed; boundary=\n\n--\n", "Subject: =?x?q?=ff?=\n\n",
                "Content-Type: multipart/mixed; boundary=b\n\n" + "--b\n" * 1000, "Date: never\n\n", "From: <<<>>>,,,;;:\n\n",
                "Content-Transfer-Encoding: base64\n\n!!!!", "Content-Type: text/plain; charset=klingon\n\nx"):
        mail = client.call("mail.parse", raw=raw)
        same(mail["size"], len(raw.encode()), repr(raw[:40]))
    nested = "".join(f"Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n" for level in range(300))
    client.call("mail.parse", raw=nested)
    noise = os.urandom(100000)
    descriptor = memfd(b"Subject: \xff\xfe\r\n\r\n" + noise)
    same(client.call("mail.parse", fds=[descriptor], raw={"fd": 0})["size"], 15 + len(noise))
    os.close(descriptor)


def test_parse_corpus(flow):
    """Every message of the corpus is taken apart"""
    corpus = os.environ.get("POSTERN_CORPUS")
    if not corpus or not os.path.isdir(corpus):
        raise Skip("POSTERN_CORPUS names no folder")
    client, count = flow.client(), 0
    for path in sorted(pathlib.Path(corpus).rglob("*")):
        if not path.is_file() or path.suffix in (".md", ".jsonl", ".json"):
            continue
        data = path.read_bytes()
        descriptor = memfd(data)
        mail = client.call("mail.parse", fds=[descriptor], raw={"fd": 0})
        os.close(descriptor)
        same(mail["size"], len(data), str(path))
        count += 1
    assert count, f"nothing in {corpus}"


def test_build(flow):
    """A message is built that others can read"""
    result = flow.client().call("mail.build", message={
        "from": "Zoë <zoe@example.com>", "to": ["Ann <ann@example.com>", {"name": "Bob, B.", "address": "bob@example.com"}],
        "cc": "carol@example.com, dave@example.com", "bcc": "secret@example.com", "subject": "Grüße " + "lang " * 40,
        "text": "hällo\n.dot\nFrom here\n", "html": "<p>hällo</p>", "headers": {"X-Mailer": "test", "X-Many": ["1", "2"]},
        "in_reply_to": "zero@example.com", "references": ["a@example.com", "zero@example.com"], "date": "2026-03-02T10:00:00+01:00",
        "attachments": [{"content": {"base64": "AAEC"}, "filename": "naïve datei.bin"},
                        {"content": "a,b\n", "filename": "t.csv", "content_type": "text/csv"}]})
    raw = text_of(result["raw"])
    same(result["size"], len(raw))
    same(result["envelope"]["from"], "zoe@example.com")
    same(sorted(result["envelope"]["to"]), sorted(f"{name}@example.com" for name in ("ann", "bob", "carol", "dave", "secret")))
    assert b"secret@" not in raw, "Bcc stands in the message"
    assert raw.count(b"\r\n") == raw.count(b"\n") == raw.count(b"\r"), "line ends"
    assert max(map(len, raw.split(b"\r\n"))) <= 998 and raw.isascii()
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    same(mail["subject"].rstrip(), ("Grüße " + "lang " * 40).rstrip())
    same([str(a) for a in mail["to"].addresses], ["Ann <ann@example.com>", '"Bob, B." <bob@example.com>'])
    same(mail["from"].addresses[0].display_name, "Zoë")
    same((mail["X-Mailer"], mail.get_all("X-Many")), ("test", ["1", "2"]))
    same(mail["Message-ID"].strip("<>"), result["message_id"])
    same(mail["date"].datetime.isoformat(), "2026-03-02T10:00:00+01:00")
    same((mail["in-reply-to"], mail["references"]), ("<zero@example.com>", "<a@example.com> <zero@example.com>"))
    same(mail.get_body(("plain",)).get_content().replace("\r\n", "\n"), "hällo\n.dot\nFrom here\n")
    same(mail.get_body(("html",)).get_content().strip(), "<p>hällo</p>")
    attached = list(mail.iter_attachments())
    same([(part.get_filename(), part.get_content_type()) for part in attached],
         [("naïve datei.bin", "application/octet-stream"), ("t.csv", "text/csv")])
    same(attached[0].get_content(), b"\0\1\2")


def test_build_again(flow):
    """The same message with the same date and id gives the same bytes"""
    message = {"from": "ann@example.com", "to": "bob@example.com", "text": "x", "html": "<b>x</b>",
               "date": "2026-03-02T10:00:00Z", "message_id": "one@example.com"}
    client = flow.client()
    first, second = (client.call("mail.build", message=message)["raw"] for _ in range(2))
    same(first, second)
    message["message_id"] = "two@example.com"
    if client.call("mail.build", message=message)["raw"]["text"].replace("two@", "one@") == first["text"]:
        raise AssertionError("another message has the same boundaries")


def test_build_wishes(flow):
    """An invitation, a way out of the list, urgency, and content types by the names of files"""
    client = flow.client()
    message = {"from": "ann@example.com", "to": "bob@example.com", "text": "Come!", "html": "<p>Come!</p>",
               "calendar": "BEGIN:VCALENDAR\nMETHOD:REQUEST\nSUMMARY:Fête\nEND:VCALENDAR\n", "calendar_method": "REQUEST",
               "list_unsubscribe": ["<https://example.com/out?1>", "mailto:out@example.com"], "one_click": True, "priority": "high",
               "attachments": [{"content": "x", "filename": name} for name in ("a.PDF", "b.tar.gz", "c.nobodyknows", "d", "e.docx", "f.ods")]}
    mail = email.message_from_bytes(text_of(client.call("mail.build", message=message)["raw"]), policy=email.policy.default)
    same((mail["List-Unsubscribe"], mail["List-Unsubscribe-Post"]),
         ("<https://example.com/out?1>, <mailto:out@example.com>", "List-Unsubscribe=One-Click"))
    same((mail["Importance"], mail["X-Priority"]), ("high", "1"))
    parts = list(mail.walk())
    same([part.get_content_type() for part in parts[:5]],
         ["multipart/mixed", "multipart/alternative", "text/plain", "text/html", "text/calendar"])
    same((parts[4].get_param("method"), parts[4].get_content_charset()), ("REQUEST", "utf-8"))
    same(parts[4].get_content().replace("\r\n", "\n"), message["calendar"])
    kinds = [part.get_content_type() for part in parts[5:]]
    same([kinds[i] for i in (0, 2, 3)], ["application/pdf", "application/octet-stream", "application/octet-stream"])
    assert kinds[1] in ("application/gzip", "application/x-compressed-tar"), kinds
    for field, value in (("calendar_method", "A B"), ("list_unsubscribe", "example.com"), ("one_click", "yes"), ("priority", "urgent")):
        error = client.fails(INVALID_PARAMS, "mail.build", message={**message, field: value})
        assert field in str(error), error


def test_round_trip(flow):
    """What mail.build makes, mail.parse reads back"""
    client = flow.client()
    for text in ("", "x", "\n", "ä" * 2000, "a " * 3000, "-- \nsignature\n", "=\n=3D\n", "tab\t\n space \n", "\u2028\U0001f600"):
        raw = client.call("mail.build", message={"from": "a@example.com", "to": "b@example.com", "subject": text.replace("\n", "")[:300],
                                                 "text": text})["raw"]
        mail = client.call("mail.parse", raw={"base64": in_base64(text_of(raw))})
        same((mail["body"]["text"] or "").rstrip("\n"), text.rstrip("\n"), repr(text[:30]))
        same((mail["subject"] or "").strip(), text.replace("\n", "")[:300].strip(), "subject")
        same(mail["defects"], [], repr(text[:30]))


def in_base64(data):
    return base64.b64encode(data).decode()


def test_build_encodings(flow):
    """transport chooses the encoding"""
    client = flow.client()
    message = {"from": "a@example.com", "to": "b@example.com", "text": "naïve\n"}
    assert text_of(client.call("mail.build", message=message, transport="7bit")["raw"]).isascii()
    assert "naïve".encode() in text_of(client.call("mail.build", message=message, transport="8bit")["raw"])
