#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes messages as real mail has them, with its oddities: charsets by encodings, headers that are folded, encoded and
broken in many ways, multiparts whose boundaries are missing, similar, or not closed. The same seed gives the same.

Usage: generate.py DIR [--seed N] [--count N]"""
import argparse
import base64
import os
import quopri
import random

TEXTS = {
    "us-ascii": "The quick brown fox jumps over the lazy dog",
    "utf-8": "Grüße aus Köln: naïve café, Ελληνικά, русский, 日本語, \U0001f600",
    "iso-8859-1": "Grüße aus Köln, naïve café",
    "iso-8859-2": "Zażółć gęślą jaźń",
    "iso-8859-15": "Prix: 10 € à l'œuvre",
    "windows-1252": "“Smart” quotes – and a dash…",
    "windows-1250": "Příliš žluťoučký kůň",
    "windows-1251": "Съешь ещё этих мягких булок",
    "koi8-r": "Съешь ещё этих мягких булок",
    "windows-1253": "Ξεσκεπάζω την ψυχοφθόρα",
    "iso-8859-7": "Ξεσκεπάζω την",
    "windows-1254": "Pijamalı hasta yağız",
    "iso-8859-9": "Pijamalı hasta yağız",
    "windows-1255": "דג סקרן שט בים",
    "iso-8859-8": "דג סקרן שט בים",
    "windows-1256": "نص حكيم له سر",
    "windows-1257": "Įlinkdama fechtuotojo",
    "shift_jis": "日本語のメール、カタカナ",
    "euc-jp": "日本語のメール、カタカナ",
    "iso-2022-jp": "日本語のメール、カタカナ",
    "gb2312": "中文邮件测试",
    "gbk": "中文郵件測試",
    "gb18030": "中文郵件測試",
    "big5": "中文郵件測試",
    "euc-kr": "한국어 메일 시험",
    "ks_c_5601-1987": "한국어 메일 시험",
}
PYTHON = {"ks_c_5601-1987": "cp949", "windows-874": "cp874"}
NAMES = ["Ann Example", "O'Brien, Pat", "Dr. Bob \"The Rock\" Smith", "Jörg Müller", "山田太郎", "Иван Петров", "", "a@b.c",
         "Info (Support)", "very " * 20 + "long"]
ADDRESSES = ["ann@example.com", "bob.smith@mail.Example.ORG", "x+tag@sub.example.net", "\"odd local\"@example.com",
             "user@[192.0.2.1]", "ann_o'neil@example.co.uk", "a@b"]
DATES = ["Mon, 02 Jan 2006 15:04:05 -0700", "2 Jan 2006 15:04:05 GMT", "Mon, 2 Jan 06 15:04:05 +0000",
         "Mon, 02 Jan 2006 15:04:05 -0700 (MST)", "Mon,02 Jan 2006 15:04:05 +0100", "Mon, 02 Jan 2006 15:04 +0200",
         "Mon, 02 Jan 2006 15:04:05 EST", "Mon, 02 Jan 2006 15:04:05 UT", "Monday, 02 January 2006 15:04:05 +0000",
         "Mon, 02 Jan 2006 15:04:05", "02-Jan-2006 15:04:05 +0000", "Mon, 02 Jan 2006 15:04:05 +0530", "not a date", "",
         "Mon, 32 Jan 2006 15:04:05 +0000", "Tue, 02 Jan 2006 15:04:05 +0000", "Sat, 31 Dec 1999 23:59:60 +0000",
         "Mon,  2 Jan 2006 15:04:05  +0000", "2006-01-02 15:04:05 +0000", "2006-01-02T15:04:05Z", "Mon Jan  2 15:04:05 2006",
         "Mon, 02 Jan 2006 3:04:05 PM +0000", "Mon, 02 Jan 2006 15:04:05 Z", "Mon, 02 Jan 2006 15:04:05 +01:00"]
FILES = ["report.pdf", "image.png", "Übersicht 2024.xlsx", "日本語.txt", "a;b=c.txt", "quote\"d.txt", "archive.tar.gz",
         "very long " * 12 + "name.doc", "данные.csv", "no extension", "(1) copy.jpg", "back\\slash.txt", "semi;colon.txt"]
TYPES = ["application/pdf", "image/png", "application/octet-stream", "text/csv", "application/zip", "image/jpeg",
         "audio/mpeg", "text/calendar; method=REQUEST", "application/vnd.ms-excel", "text/x-vcard", "APPLICATION/PDF"]


def encoded(text, charset):
    return text.encode(PYTHON.get(charset, charset), "replace")


class Maker:
    """One message's choices."""

    def __init__(self, seed):
        self.r = random.Random(seed)
        self.eol = b"\n" if self.r.random() < .3 else b"\r\n"

    def often(self, p):
        return self.r.random() < p

    # --- header values ---

    def word(self, text, charset):
        """RFC 2047, in pieces, rightly and less so."""
        style = self.r.choice("bqBQ")
        label = charset if not self.often(.2) else charset.upper()
        if self.often(.05):
            label += "*en"
        data = encoded(text, charset)
        size = self.r.choice([1000, 12, 24, 39])
        if charset in ("us-ascii", "utf-8") or charset.startswith(("windows", "iso-8859", "koi8")):
            pieces = [data[i:i + size] for i in range(0, len(data), size)] or [b""]
        else:
            pieces = [encoded(text[i:i + size], charset) for i in range(0, len(text), size)] or [b""]
        words = []
        for piece in pieces:
            if style in "bB":
                coded = base64.b64encode(piece).decode()
                if self.often(.1):
                    coded = coded.rstrip("=")
            else:
                coded = "".join(chr(b) if chr(b).isalnum() and b < 128 else "_" if b == 32 else f"={b:02X}" for b in piece)
            words.append(f"=?{label}?{style}?{coded}?=")
        between = self.r.choice([" ", "\r\n ", "\r\n\t", "  "])
        return between.join(words).encode()

    def some_text(self):
        charset = self.r.choice(list(TEXTS))
        return TEXTS[charset], charset

    def subject(self):
        text, charset = self.some_text()
        kind = self.r.randrange(10)
        if kind < 2:
            return TEXTS["us-ascii"].encode()
        if kind < 6:
            return self.word(text, charset)
        if kind == 6:
            return b"Re: " + self.word(text, charset) + b" tail"
        if kind == 7:
            return b"[list] plain " + self.word(text, charset) + b" middle " + self.word("abc", "us-ascii")
        if kind == 8:
            return TEXTS["utf-8"].encode()
        return (b"folded" + self.eol + b"  over" + self.eol + b"\tlines" + (self.eol + b" " if self.often(.2) else b""))

    def mailbox(self):
        name, address = self.r.choice(NAMES), self.r.choice(ADDRESSES).encode()
        kind = self.r.randrange(12)
        if not name or kind == 0:
            return address if kind % 2 else b"<" + address + b">"
        if kind == 1:
            return address + b" (" + name.replace("(", "").replace(")", "").encode("ascii", "replace") + b")"
        if not name.isascii():
            word = self.word(name, "utf-8")
            return (b'"' + word + b'"' if kind == 2 else word) + b" <" + address + b">"
        plain = name.replace(" ", "").isalnum()
        if plain and kind < 7:
            return name.encode() + (b" <" if kind != 3 else b"<") + address + b">"
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        if kind == 11:
            return b'"' + quoted.encode() + b'"' + self.eol + b" <" + address + b">"
        return b'"' + quoted.encode() + b'" <' + address + b">"

    def addresses(self, most=4):
        boxes = [self.mailbox() for _ in range(self.r.randrange(1, most + 1))]
        text = self.r.choice([b", ", b",", b"," + self.eol + b"\t", b", , "]).join(boxes)
        kind = self.r.randrange(20)
        if kind == 0:
            return b"undisclosed-recipients:;"
        if kind == 1:
            return b"Friends: " + text + b";"
        if kind == 2:
            return b"A Group: " + text + b";, " + self.mailbox()
        if kind == 3:
            return text + b","
        if kind == 4:
            return b"(comment) " + text
        if kind == 5:
            return text.replace(b", ", b"; ")
        return text

    # --- parameters ---

    def param(self, name, value):
        kind = self.r.randrange(9)
        if value.isascii() and kind < 4:
            plain = not set(value) & set("()<>@,;:\\\"/[]?= ")
            if plain and kind < 2:
                return f"{name}={value}".encode()
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            return f'{name}="{escaped}"'.encode()
        if kind == 4 or (kind < 4 and not value.isascii()):
            coded = "".join(f"%{b:02X}" for b in value.encode())
            return f"{name}*=utf-8''{coded}".encode()
        if kind == 5:
            coded = ["%%%02X" % b for b in value.encode()]
            cut = max(1, len(coded) // 3)
            parts = ["".join(coded[i:i + cut]) for i in range(0, len(coded), cut)]
            return (";" + "\r\n ").join(f"{name}*{i}*=" + ("utf-8''" if i == 0 else "") + p for i, p in enumerate(parts)).encode()
        if kind == 6 and value.isascii():
            cut = max(1, len(value) // 2)
            parts = [value[i:i + cut].replace("\\", "\\\\").replace('"', '\\"') for i in range(0, len(value), cut)]
            return ("; ").join(f'{name}*{i}="{p}"' for i, p in enumerate(parts)).encode()
        return name.encode() + b'="' + self.word(value, "utf-8").replace(b"\r\n", self.eol) + b'"'

    # --- bodies ---

    def transfer(self, data, fields):
        kind = self.r.randrange(8)
        if kind < 3:
            name = self.r.choice([b"base64", b"BASE64", b"Base64 "])
            fields.append((b"Content-Transfer-Encoding", name))
            width = self.r.choice([76, 60, 64, 4])
            coded = base64.b64encode(data)
            lines = [coded[i:i + width] for i in range(0, len(coded), width)]
            return self.eol.join(lines) + self.eol
        if kind < 6:
            fields.append((b"Content-Transfer-Encoding", self.r.choice([b"quoted-printable", b"Quoted-Printable"])))
            coded = quopri.encodestring(data).replace(b"\r\n", b"\n").replace(b"\n", self.eol)
            return coded.lower() if self.often(.02) else coded
        if kind == 6:
            fields.append((b"Content-Transfer-Encoding", self.r.choice([b"8bit", b"7bit", b"binary", b"8BIT"])))
        return data

    def text_part(self, subtype="plain"):
        charset = self.r.choice(list(TEXTS))
        line = TEXTS[charset]
        text = "\n".join([line] * self.r.randrange(1, 5) + (["", "-- ", "signature"] if self.often(.3) else [""]))
        if subtype == "html":
            text = f"<html><body><p>{text}</p></body></html>"
        data = encoded(text, charset).replace(b"\n", self.eol)
        fields = []
        kind = self.r.randrange(12)
        label = charset if not self.often(.1) else charset.upper()
        if kind == 0 and charset in ("us-ascii", "utf-8"):
            if subtype == "html":
                fields.append((b"Content-Type", b"text/html"))
        elif kind == 1:
            fields.append((b"Content-Type", f'TEXT/{subtype.upper()}; CHARSET="{label}"'.encode()))
        elif kind == 2:
            fields.append((b"Content-Type", f"text/{subtype};{self.eol.decode()}\tcharset={label}; format=flowed".encode()))
        elif kind == 3:
            fields.append((b"Content-Type", f'text/{subtype}; charset="{label}";'.encode()))
        elif kind == 4:
            fields.append((b"Content-type", f"text/{subtype} ; charset = {label}".encode()))
        elif kind == 5:
            fields.append((b"Content-Type", f"text/{subtype}; charset={label} (comment)".encode()))
        else:
            fields.append((b"Content-Type", f"text/{subtype}; charset={label}".encode()))
        body = self.transfer(data, fields)
        if self.often(.1):
            fields.append((b"Content-Disposition", b"inline"))
        return fields, body

    def file_part(self):
        data = bytes(self.r.randrange(256) for _ in range(self.r.choice([0, 1, 10, 57, 300])))
        name, kind = self.r.choice(FILES), self.r.choice(TYPES).encode()
        fields = []
        if self.often(.5):
            kind += b"; " + self.param("name", name)
        fields.append((b"Content-Type", kind))
        if self.often(.85):
            place = self.r.choice([b"attachment", b"attachment", b"inline", b"ATTACHMENT"])
            if self.often(.85):
                place += b"; " + self.param("filename", name)
            if self.often(.1):
                place += b"; size=12; creation-date=\"Mon, 02 Jan 2006 15:04:05 -0700\""
            fields.append((b"Content-Disposition", place))
        if self.often(.3):
            fields.append((b"Content-ID", self.r.choice([b"<id1@example.com>", b"id2@example.com", b"<id3>"])))
        if kind.lower().startswith(b"text/"):
            data = base64.b64encode(data)
        elif self.often(.95):
            fields.append((b"Content-Transfer-Encoding", b"base64"))
            return fields, base64.encodebytes(data).replace(b"\n", self.eol)
        return fields, data

    def message_part(self):
        fields = [(b"Content-Type", self.r.choice([b"message/rfc822", b"Message/RFC822", b'message/rfc822; name="x.eml"']))]
        if self.often(.4):
            fields.append((b"Content-Disposition", b"attachment"))
        return fields, self.message(depth=2)

    def part(self, depth):
        kind = self.r.randrange(10)
        if kind < 3:
            return self.text_part()
        if kind < 5:
            return self.text_part("html")
        if kind < 7 or depth > 2:
            return self.file_part()
        if kind == 7:
            return self.message_part() if depth < 2 else self.file_part()
        return self.multipart(depth + 1)

    def multipart(self, depth):
        subtype = self.r.choice([b"mixed", b"mixed", b"alternative", b"related", b"report", b"signed", b"digest", b"x-odd"])
        boundary = self.r.choice([b"=_boundary", b"b", b"----=_Part_1", b"0123456789", b"a.b+c'd", b"outer"])
        boundary += str(self.r.randrange(1000)).encode() if self.often(.8) else b""
        quote = b'"' if self.often(.6) or set(boundary) & set(b"=?'") else b""
        fields = [(b"Content-Type", b"multipart/" + subtype + self.r.choice([b"; ", b";" + self.eol + b"\t", b";"]) +
                   self.r.choice([b"boundary", b"Boundary", b"BOUNDARY"]) + b"=" + quote + boundary + quote)]
        if self.often(.1):
            fields.append((b"Content-Transfer-Encoding", self.r.choice([b"7bit", b"8bit", b"binary"])))
        out = [self.r.choice([b"", b"", b"This is a multi-part message in MIME format." + self.eol])]
        parts = [self.part(depth) for _ in range(self.r.randrange(1, 4))]
        flaw = self.r.randrange(25)
        for i, (part_fields, body) in enumerate(parts):
            line = b"--" + boundary
            if flaw == 1:
                line += b"  "
            out.append(self.eol + line + self.eol + self.header(part_fields) + (b"" if flaw == 2 and i else self.eol) + body)
            if flaw == 3:
                out.append(self.eol + line + b"x" + self.eol)
        closing = self.eol + b"--" + boundary + b"--"
        if flaw == 4:
            closing = b""
        elif flaw == 5:
            closing += closing
        elif flaw == 6:
            closing = closing.rstrip(b"-")
        out.append(closing + (self.eol if self.often(.9) else b""))
        if self.often(.1):
            out.append(b"epilogue" + self.eol)
        return fields, b"".join(out)

    # --- the message ---

    def header(self, fields):
        return b"".join(name + self.r.choice([b": "] * 8 + [b":", b":  ", b":\t"]) + value.replace(b"\r\n", b"\n").replace(b"\n", self.eol) + self.eol
                        for name, value in fields)

    def message(self, depth=0):
        fields = [(b"From", self.addresses(1 if self.often(.8) else 3)), (b"To", self.addresses()), (b"Subject", self.subject()),
                  (b"Date", self.r.choice(DATES).encode()),
                  (b"Message-ID", self.r.choice([b"<abc.123@example.com>", b"<x y@example.com>", b"abc@example.com", b" <a@b> "]))]
        if self.often(.3):
            fields.append((b"Cc", self.addresses()))
        if self.often(.2):
            fields.append((b"Reply-To", self.addresses(2)))
        if self.often(.5):
            fields.append((b"MIME-Version", self.r.choice([b"1.0", b"1.0 (produced by x)"])))
        content, body = self.part(depth)
        fields += content
        self.r.shuffle(fields)
        flaw = self.r.randrange(40)
        if flaw == 0:
            fields.insert(2, (b"subject", b"second subject"))
        elif flaw == 1:
            fields = [(n.upper(), v) for n, v in fields]
        elif flaw == 2:
            fields = [(n + b" ", v) for n, v in fields]
        elif flaw == 3:
            fields.pop()
        elif flaw == 4:
            fields.insert(0, (b"Received", b"from a by b; Mon, 02 Jan 2006 15:04:05 -0700"))
            fields.insert(0, (b"X-Empty", b""))
        header = self.header(fields)
        if flaw == 5:
            header = b"From ann@example.com Mon Jan  2 15:04:05 2006" + self.eol + header
        elif flaw == 6:
            header += b"a line that is no field" + self.eol
        return header + self.eol + body


def messages(seed, count):
    for i in range(count):
        yield Maker(f"{seed}/{i}").message()


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("folder")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--count", type=int, default=1000)
    o = options.parse_args()
    os.makedirs(o.folder, exist_ok=True)
    for number, raw in enumerate(messages(o.seed, o.count)):
        with open(f"{o.folder}/{number:05}.eml", "wb") as out:
            out.write(raw)
