# SPDX-License-Identifier: MIT
"""Messages to be composed, from a seed, and what every reader has to find in them.

letter(seed) gives (params, want): the parameters of mail.build, and the message in the form that all readers are brought to:
`subject`, `from` … `reply_to` as [name, address] with groups as [name, [members]], `date` in seconds since 1970, the ids,
`headers` {lower-case name: values}, `text`, `html`, and `attachments` as dicts. White space at both ends of a value in the
header is no part of it, and line ends of a text are LF."""

import base64
import datetime
import random
import re

SCRIPTS = {
    "latin": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
    "accents": "äöüßéèñçøåæœŁžšığÀÉÎÕÜ",
    "combining": ["e\u0301", "a\u0308", "o\u0302\u0323", "n\u0303", "c\u0327", "u\u031b\u0301"],
    "hebrew": ["ש\u05c1", "ל", "ו\u05b9", "ם", "א", "ב", "\u200f"],
    "arabic": "مرحباشكراصديقيلمؤمنةءئ",
    "cyrillic": "абвгдежзийклмнопрстуфхцчшщъыьэюяЁЇЄ",
    "greek": "αβγδεζηθικλμνξοπρστυφχψωάέήίόύώ",
    "cjk": "漢字仮名交文中国語簡体繁體鬱龍龘",
    "kana": "ひらがなカタカナー・。、",
    "hangul": "한국어편지조합가각힣",
    "thai": ["ก", "ข", "ำ", "ที่", "น้ำ", "ผู้"],
    "devanagari": ["क", "क्ष", "त्र", "ज्ञ", "हि", "न्दी"],
    "emoji": ["😀", "👩\u200d💻", "👍🏽", "🇩🇪", "❤\ufe0f", "🏴\U000e0067\U000e0062\U000e007f", "𝔘", "🂡"],
    "invisible": ["\u00a0", "\u00ad", "\u200b", "\u200d", "\u2028", "\ufeff", "\u202e", "\u0085", "\u3000"],
}
ODD = ["=?utf-8?q?no=20word?=", "=?", "?=", "=?x?y?z?=", "\\", '"', ",", ";", ":", "(", ")", "<", ">", "@", "[", "]", "'", "%41", "%", "*0*=",
       "utf-8''x", "=3D", "..", ".", "-", "--", "_", "/", "a/b", "C:\\x", "#", "&amp;", "`", "|", "{}", "^", "~", "!", "$HOME", "From ", "."]
SPACES = [" ", " ", " ", " ", "  ", "   "]


def word(rng, longest=12):
    if rng.random() < 0.12:
        return rng.choice(ODD)
    names = list(SCRIPTS)
    script = SCRIPTS[rng.choice(["latin"] * 6 + names)]
    return "".join(rng.choice(script) for _ in range(rng.randint(1, longest)))


def line(rng, most, ascii_only=False):
    """Words on one line, without white space at its ends."""
    parts = []
    for _ in range(rng.randint(1, most)):
        parts += [word(rng, rng.choice([3, 12, 12, 40])), rng.choice(SPACES)]
    text = "".join(parts[:-1])
    if ascii_only:
        text = "".join(c for c in text if " " <= c <= "~")
    return text.strip() or "x"


def pick(rng, chance, make):
    return make() if rng.random() < chance else None


# --- addresses ---

# as it is given, and as it is written: every reader and every server knows that form
IDN = {"bücher.example": "xn--bcher-kva.example", "例え.テスト": "xn--r8jz45g.xn--zckzah"}


def written(given):
    local, domain = given.rsplit("@", 1)
    return f"{local}@{IDN.get(domain, domain)}"

def address(rng, utf8):
    local = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-/=?^_`{|}~") for _ in range(rng.randint(1, 20)))
    kind = rng.random()
    if kind < 0.1:
        local = local + "." + "".join(rng.choice("abcxyz") for _ in range(3))
    elif kind < 0.2:
        local = '"' + rng.choice(["a b", "a@b", "a,b", "a..b", "a;b", "a:b", "(a)", "a  b"]) + '"'
    elif kind < 0.3 and utf8:
        local = rng.choice(["zoë", "用户", "почта", "अजय"])
    domain = rng.choice(["example.com", "sub.example.org", "x.test", "a-b.example", "a" * 60 + ".example"])
    if rng.random() < 0.1:
        domain = rng.choice(list(IDN))
    return f"{local}@{domain}"


def mailbox(rng, utf8):
    name = pick(rng, 0.8, lambda: line(rng, 4))
    return {"name": name, "address": address(rng, utf8)}


def addresses(rng, utf8, most, groups=True):
    found = []
    for _ in range(rng.randint(1, most)):
        if groups and rng.random() < 0.06:
            found.append({"group": line(rng, 2).replace("=?", "").strip() or "g", "members": [address(rng, utf8) for _ in range(rng.randint(0, 3))]})
        else:
            found.append(mailbox(rng, utf8))
    return found


def plain(found):
    return [[entry["group"], [["", written(member)] for member in entry["members"]]] if "group" in entry
            else [entry.get("name") or "", written(entry["address"])] for entry in found]


def given(found):
    """As parameters: a group is a text."""
    quoted = str.maketrans({'"': '\\"', "\\": "\\\\"})
    return [f'"{entry["group"].translate(quoted)}": {", ".join(entry["members"])};' if "group" in entry else entry for entry in found]


def message_id(rng):
    left = "".join(rng.choice("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.!#$%&'*+-/=?^_`{|}~") for _ in range(rng.randint(1, 60)))
    return left.strip(".").replace("..", ".") + "x@" + rng.choice(["example.com", "mail.example.org", "[192.0.2.1]"])


# --- contents ---

def text(rng):
    kind = rng.random()
    if kind < 0.05:
        return ""
    if kind < 0.1:
        return rng.choice(["x", "\n", "\n\n\n", ".", "From me\n", ".\n.\n", "--=_\n", " \n\t\n", "x \nx\t\n", "\ttab\n", "é" * 2000, "x" * 3000 + "\n"])
    ends = rng.choice(["\n", "\n", "\n", "\r\n"])
    ascii_only = rng.random() < 0.4
    lines = []
    for _ in range(rng.choice([1, 3, 20, 20, 200])):
        one = line(rng, rng.choice([1, 10, 30]), ascii_only) if rng.random() > 0.15 else ""
        if rng.random() < 0.05:
            one = rng.choice(["From here", ".", "..", ">From", "-- ", "  x", "x   ", "\tx", "=", "=41", "x" * rng.choice([75, 76, 77, 998, 1500])])
        lines.append(one)
    # a mark of a byte order at the start of a text is no part of it
    return (ends.join(lines) + (ends if rng.random() < 0.8 else "")).lstrip("\ufeff")


def content(rng):
    size = rng.choice([0, 1, 2, 3, 56, 57, 58, 100, 1000, 5000, 40000, rng.randrange(200000)])
    kind = rng.random()
    if kind < 0.6:
        return rng.randbytes(size)
    if kind < 0.8:
        return ("".join(rng.choice("abc =.\n\r\t") for _ in range(min(size, 3000)))).encode()
    return text(rng).encode()


def calendar(rng):
    return ("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nSUMMARY:" + line(rng, 5) + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n").encode()


def inner_message(rng):
    return ("From: a@example.com\r\nSubject: inner " + line(rng, 3, True) + "\r\n\r\n" + "some text\r\n" * rng.randint(1, 30)).encode()


def file_name(rng):
    base = rng.choice([lambda: line(rng, 3), lambda: line(rng, 1), lambda: line(rng, 40), lambda: line(rng, 6, True), lambda: "report",
                       lambda: "a" * 250, lambda: "x'y", lambda: "a;b=c", lambda: 'q"q', lambda: "b\\b", lambda: "100%", lambda: "..."])()
    return base + rng.choice(["", ".txt", ".pdf", ".PNG", ".tar.gz", ".eml.bin", ".ics", ".html", ".文"])


TYPES = [None, "application/octet-stream", "application/pdf", "image/png", "text/plain", "text/plain; charset=utf-8", "text/csv; charset=us-ascii; header=present",
         "text/html; charset=utf-8", "audio/ogg; codecs=\"opus\"", "application/vnd.example+json", "x-odd/type.with-marks", "application/x-y; long=" + "v" * 90]


def attachment(rng):
    kind = rng.random()
    if kind < 0.08:
        made = {"filename": "invite.ics", "content_type": rng.choice(["text/calendar; method=REQUEST; charset=utf-8", "text/calendar"]), "bytes": calendar(rng)}
    elif kind < 0.14:
        made = {"filename": "letter.eml", "content_type": "message/rfc822", "bytes": inner_message(rng)}
    else:
        made = {"filename": pick(rng, 0.9, lambda: file_name(rng)), "content_type": rng.choice(TYPES), "bytes": content(rng)}
    made["disposition"] = "attachment"
    return made


def image(rng, number):
    return {"filename": pick(rng, 0.7, lambda: file_name(rng)), "content_type": rng.choice(["image/png", "image/gif", "image/svg+xml"]), "bytes": content(rng),
            "content_id": f"img{number}.{rng.getrandbits(32):x}@example.com", "disposition": "inline"}


# --- the whole ---

NAMES = ["X-One", "X-Two", "List-Id", "List-Unsubscribe", "X-Priority", "Auto-Submitted", "Comments", "Keywords", "X-" + "Long" * 12, "x_under.score", "Organization"]


def headers(rng):
    found = {}
    for name in rng.sample(NAMES, rng.randint(0, 6)):
        values = [line(rng, rng.choice([1, 5, 60]), rng.random() < 0.5) for _ in range(rng.choice([1, 1, 1, 2, 3]))]
        if rng.random() < 0.03:
            values[0] = "y" * rng.choice([80, 900, 2000])
        found[name] = values if len(values) > 1 else values[0]
    return found


def when(rng):
    offset = rng.choice([0, 60, 120, -300, 330, 345, -210, 840, -720, 1])
    return datetime.datetime.fromtimestamp(rng.randrange(0, 4102444800), datetime.timezone(datetime.timedelta(minutes=offset)))


def lf(value):
    return re.sub("\r\n?", "\n", value)


def letter(seed):
    rng = random.Random(seed)
    utf8 = rng.random() < 0.15
    date = when(rng)
    message = {"from": addresses(rng, utf8, rng.choice([1, 1, 1, 3]), False), "date": date.isoformat(), "message_id": message_id(rng)}
    for key, chance, most in (("to", 0.9, 5), ("cc", 0.3, 30), ("reply_to", 0.2, 2)):
        if rng.random() < chance:
            message[key] = addresses(rng, utf8, most)
    if rng.random() < 0.1:
        message["sender"] = [mailbox(rng, utf8)]
    if rng.random() < 0.95:
        message["subject"] = line(rng, rng.choice([1, 6, 6, 60]), rng.random() < 0.3)
    if rng.random() < 0.3:
        message["references"] = [message_id(rng) for _ in range(rng.choice([1, 3, 50]))]
        message["in_reply_to"] = message["references"][-1:]
    if rng.random() < 0.5:
        message["headers"] = headers(rng)
    message["text"] = pick(rng, 0.85, lambda: text(rng))
    message["html"] = pick(rng, 0.5, lambda: "<p>" + text(rng) + "</p>")
    images = [image(rng, n) for n in range(rng.randint(1, 3))] if message["html"] is not None and rng.random() < 0.4 else []
    files = [attachment(rng) for _ in range(rng.choice([0, 0, 1, 1, 2, 6]))]
    want = {key: plain(message.get(key, [])) for key in ("from", "sender", "to", "cc", "reply_to")}
    want |= {"subject": message.get("subject", ""), "date": int(date.timestamp()), "message_id": message["message_id"],
             "in_reply_to": message.get("in_reply_to", []), "references": message.get("references", [])}
    want["headers"] = {name.lower(): value if isinstance(value, list) else [value] for name, value in message.get("headers", {}).items()}
    want["text"], want["html"] = lf(message["text"] or ""), lf(message["html"] or "")
    want["attachments"] = [{"filename": a["filename"] or "", "disposition": a["disposition"], "content_id": a.get("content_id", ""),
                            "type": (a["content_type"] or "").split(";")[0], "bytes": a["bytes"]} for a in images + files]
    for made in images + files:
        made["content"] = {"base64": base64.b64encode(made.pop("bytes")).decode()}
    message["attachments"] = images + files
    for key in ("to", "cc", "reply_to"):
        if key in message:
            message[key] = given(message[key])
    params = {"message": {key: value for key, value in message.items() if value is not None}, "utf8": utf8,
              "transport": rng.choice(["7bit", "7bit", "8bit", "binary"])}
    return params, want
