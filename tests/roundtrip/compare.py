# SPDX-License-Identifier: MIT
"""What a reader found against what was to be found. README.md says in what readers are known to differ, and why."""

import re

ADDRESSES = ("from", "sender", "to", "cc", "reply_to")


def whole(text, found):
    """A message that is one text ends with a line end, which the text need not have had."""
    return found == text or (text and not text.endswith("\n") and found == text + "\n")


def closed(found):
    """Addresses with names that have no white space and no mark of a byte order, and local parts without quotes."""
    return [[re.sub(r"[\s\ufeff]+", "", name), closed(entry) if isinstance(entry, list) else entry.replace('"', "")] for name, entry in found]


def excused(key, want, reader, utf8):
    """What this one reader does not get right whoever wrote it."""
    if reader != "mailparser":
        return False
    return (key.endswith(".type") and want == "application/octet-stream" or key.endswith(".filename") and (utf8 or "=?" in want)
            or key in ADDRESSES and ("=?" in str(want) or any(isinstance(entry, list) for _, entry in want)))


def differences(want, found, reader, utf8):
    """Pairs of a key and words, for what is not the same."""
    def check(key, a, b):
        if a != b and not excused(key, a, reader, utf8):
            yield key, f"{a!r} became {b!r}"
    for key in ADDRESSES:
        a, b = want[key], found[key]
        yield from check(key, *((a, b) if reader == "postern" else (closed(a), closed(b))))
    for key in ("subject", "date", "message_id", "in_reply_to", "references"):
        yield from check(key, want[key], found[key])
    if "headers" in found:
        for name, values in want["headers"].items():
            yield from check("headers." + name, values, found["headers"].get(name))
    for key in ("text", "html"):
        if not whole(want[key], found[key]):
            yield from check(key, want[key], found[key])
    if len(want["attachments"]) != len(found["attachments"]):
        yield "attachments", f"{len(want['attachments'])} became {[a['filename'] for a in found['attachments']]}"
        return
    for number, (a, b) in enumerate(zip(want["attachments"], found["attachments"])):
        for key, value in a.items():
            if key != "type" or value:
                yield from check(f"attachments.{number}.{key}", value, b[key])
    if found.get("defects"):
        yield "defects", str(found["defects"])
