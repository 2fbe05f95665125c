# SPDX-License-Identifier: MIT
"""Attacks on those who read mail: one test each, which fails where the defence is gone. doc/security.md has the table."""

import base64
import os
import struct
import tempfile
import time

from harness import INVALID_PARAMS, same, slow


def parse(flow, data, **more):
    """mail.parse of these bytes, by descriptor; the daemon serves others meanwhile."""
    with tempfile.TemporaryFile() as file, flow.client() as client, flow.client() as other:
        file.write(data)
        file.flush()
        number = client.begin("mail.parse", fds=[file.fileno()], raw={"fd": 0}, **more)
        began = time.monotonic()
        other.call("gateway.ping")
        assert time.monotonic() - began < 3 * slow(), "others waited"
        result, fds = client.finish(number, 60)
        for fd in fds:
            os.close(fd)
        return result


def head(**fields):
    return "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items()).encode() + b"\r\n"


def depth(part):
    return 1 + max((depth(child) for child in part.get("children", [])), default=0)


def leaves(part):
    return sum(map(leaves, part["children"])) if part.get("children") else 1


def test_nesting(flow):
    """Parts in parts, and messages in messages, are followed 100 deep; what is deeper is one part, and nothing is lost"""
    bottom, text = b"the bottom", b"\r\n".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d" % (n, n) for n in range(1000))
    found = parse(flow, text + b"\r\n\r\n" + bottom + b"\r\n")
    assert 90 <= depth(found["structure"]) <= 101 and found["defects"], depth(found["structure"])
    found = parse(flow, b"Content-Type: message/rfc822\r\n\r\n" * 1000 + b"Subject: x\r\n\r\nx\r\n")
    assert depth(found["structure"]) <= 101, depth(found["structure"])


def test_wide(flow):
    """20,000 parts: 10,000 are told apart"""
    data = head(Content_Type="multipart/mixed; boundary=b") + b"--b\r\n\r\nx\r\n" * 20000 + b"--b--\r\n"
    found = parse(flow, data, attachments=False)
    assert 9000 <= leaves(found["structure"]) <= 10001, leaves(found["structure"])
    assert any("part" in text for text in found["defects"]), found["defects"]


def test_boundaries(flow):
    """A boundary that begins like another, is empty, endless, or never closed"""
    data = head(Content_Type="multipart/mixed; boundary=a") + b"--a\r\nContent-Type: multipart/mixed; boundary=ab\r\n\r\n--ab\r\n\r\ninner\r\n--ab--\r\n--a\r\n\r\nouter\r\n"
    found = parse(flow, data)
    assert found["body"]["text"].split() == ["inner", "outer"], found["body"]
    for boundary in ("", '""', "x" * 5000, '"a\\"b"', "' '"):
        found = parse(flow, head(Content_Type="multipart/mixed; boundary=" + boundary) + b"--" + boundary.encode() + b"\r\n\r\nx\r\n")
        assert found["structure"], boundary
    same(parse(flow, head(Content_Type="multipart/mixed") + b"--\r\n\r\nlost?\r\n")["structure"]["content_type"] is not None, True)
    found = parse(flow, head(Content_Type="multipart/mixed; boundary=b") + b"--b\r\n" * 500000)
    assert found["defects"]


def test_headers(flow):
    """100,000 fields, 20 MB of header, 200,000 folds: bounded, and said"""
    for data in (b"X: y\r\n" * 100000, b"X: " + b"y" * 20000000 + b"\r\n", b"X: y" + b"\r\n y" * 200000 + b"\r\n"):
        found = parse(flow, data + b"Subject: behind\r\n\r\nthe body\r\n")
        assert found["defects"] or found["subject"] == "behind", found["defects"]
        assert sum(map(len, found["headers"].values())) <= 10000, {name: len(values) for name, values in found["headers"].items()}
    found = parse(flow, b"X: y\r\n" * 100000 + b"\r\nthe body\r\n")
    assert any("field" in text or "header" in text for text in found["defects"]), found["defects"]


def test_words(flow):
    """Encoded words and continuations without end are decoded once, and bounded"""
    found = parse(flow, b"Subject: " + b"=?utf-8?Q?=41=42?= " * 50000 + b"\r\n\r\nx\r\n")
    assert found["subject"] is None or set(found["subject"]) <= set("AB"), found["subject"][:50]
    data = b"Content-Disposition: attachment; " + b"; ".join(b"filename*%d*=%%41" % n for n in range(5000)) + b"\r\n\r\nx\r\n"
    found = parse(flow, data)
    name = (found["attachments"] or [{"filename": ""}])[0]["filename"] or ""
    assert len(name) <= 100 and found["defects"], (len(name), found["defects"])
    # a word of a word stays a word
    inner = base64.b64encode(b"=?utf-8?Q?deeper?=").decode()
    same(parse(flow, head(Subject=f"=?utf-8?B?{inner}?="))["subject"], "=?utf-8?Q?deeper?=")


def test_hidden_lines(flow):
    """An encoded word that hides line ends and controls makes no new field, neither when read nor when built again"""
    found = parse(flow, head(Subject="=?utf-8?Q?one=0D=0ABcc:_x@example.com=00=1B[31m?="))
    assert "\r" not in found["subject"] and "\0" not in found["subject"], found["subject"]
    assert "bcc" not in found["headers"]
    client = flow.client()
    message = {"from": "a@example.com", "to": "b@example.com", "subject": found["subject"], "text": "x"}
    try:
        raw = client.call("mail.build", message=message, content="text")["raw"]["text"]
    except Exception as error:      # refused is right, too
        assert error.code == INVALID_PARAMS and "subject" in str(error), error
    else:
        assert "\nBcc:" not in raw, raw


def test_broken_encodings(flow):
    """Broken base64 and quoted-printable, unknown charsets, UTF-7, overlong UTF-8: what can be had, in UTF-8, and said"""
    for encoding, body in (("base64", b"QUJD!!!=RA=\r\n"), ("quoted-printable", b"A=4=ZZ=\r\n=C3"), ("uuuu", b"x"), ("base64", b"=" * 10000)):
        found = parse(flow, head(Content_Type="text/plain; charset=utf-8", Content_Transfer_Encoding=encoding) + body)
        assert found["defects"], encoding
        assert isinstance(found["body"]["text"], (str, type(None)))
    found = parse(flow, head(Content_Type="text/plain; charset=x-none") + b"caf\xe9\r\n")
    assert found["body"]["text"].startswith("caf") and found["defects"], found["body"]
    found = parse(flow, head(Content_Type="text/html; charset=utf-8") + b"\xc0\xbcscript\xe0\x80\xbc\r\n")
    assert "<" not in found["body"]["html"], found["body"]
    found = parse(flow, head(Content_Type="text/html") + b"+ADw-script+AD4-\r\n")
    assert "<script>" not in found["body"]["html"], found["body"]


def test_no_message(flow):
    """Nothing, no header, no colon, only line ends, only NULs: each is a message"""
    for data in (b"", b"\r\n", b"\r\n\r\nbody\r\n", b"no colon here\r\nnor here\r\n", b"\0" * 1000, b": x\r\n\r\n", b"\xff\xfe" * 100, b"\r" * 1000, b"From x\r\nSubject: y\r\n\r\nz"):
        found = parse(flow, data)
        assert found["structure"]["content_type"].startswith("text/"), data[:20]
        same(found["structure"]["size"] <= len(data), True)


def test_names(flow):
    """Attachments called like paths and options are names; the daemon makes no path of them, and nothing of them touches JSON's rules"""
    for name in ("../../etc/passwd", "/etc/passwd", "-rf", "a\\b", "x" * 5000, "a\u202eb", "CON"):
        word = base64.b64encode(name.encode()).decode()
        found = parse(flow, head(Content_Disposition=f'attachment; filename="=?utf-8?B?{word}?="', Content_Type="application/octet-stream") + b"x")
        assert found["attachments"][0]["filename"] in (name, None) or found["defects"], name


def test_tnef(flow):
    """A winmail.dat with too many files, lengths and counts that nothing stands behind, and noise: what is there is listed, 1000 files at most"""
    def attribute(number, data, length=None):
        return struct.pack("<BII", 2, number, len(data) if length is None else length) + data + struct.pack("<H", sum(data) % 65536)

    def listed(content):
        found = parse(flow, head(Content_Type="application/ms-tnef") + struct.pack("<IH", 0x223E9F78, 1) + content, tnef=True, attachments=False)
        return found["attachments"][1:], found["defects"]

    begin, data, props = 0x69002, 0x6800F, 0x69005
    files, defects = listed((attribute(begin, b"") + attribute(data, b"x")) * 5000)
    same(([file["size"] for file in files], defects), ([1] * 1000, ["too many files within the TNEF"]))
    files, defects = listed(attribute(begin, b"") + attribute(data, b"abc", 0xFFFFFFFF))
    same(([file["size"] for file in files], defects), ([5], ["TNEF without an end"]))      # its checksum looks like data
    for lie in (b"\xff\xff\xff\xff", b"\xff\xff\xff\xff\x1f\x00\x07\x37\xff\xff\xff\xff\xff\xff\xff\xff", b"\x01\0\0\0\x34\x12\x07\x37",
                b"\x01\0\0\0\x1e\0\0\x80" + b"g" * 16 + b"\x01\0\0\0\xff\xff\xff\xff", b"\x01\0\0\0\x03\x10\x07\x37\xff\xff\xff\xff"):
        files, defects = listed(attribute(begin, b"") + attribute(props, lie) + attribute(data, b"kept"))
        same(([file["size"] for file in files], defects), ([4], ["damaged TNEF"]), lie.hex())
    for _ in range(20):
        noise = os.urandom(3000)
        files, defects = listed(noise)
        assert sum(file["size"] for file in files) <= len(noise)
