#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What Python's email package finds in the messages whose paths come on stdin, one row of JSON a line; see differ.py."""
import email
import email.policy
import email.utils
import hashlib
import json
import sys


def sums(data):
    lf = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").rstrip(b"\n")
    return {"size": len(data), "lf": hashlib.sha256(lf).hexdigest()}


def mailboxes(message, name):
    found = []
    for header in message.get_all(name, []):
        found += [[a.display_name, a.addr_spec] for a in header.addresses]
    return found


def shape(part):
    kind = part.get_content_type()
    if part.get_content_maintype() == "multipart" and part.is_multipart():
        return [kind] + [shape(p) for p in part.get_payload()]
    return kind


def leaves(part):
    if part.get_content_maintype() == "multipart" and part.is_multipart():
        for child in part.get_payload():
            yield from leaves(child)
    else:
        yield part


def content(part):
    if part.get_content_maintype() == "message":
        return b""
    return part.get_payload(decode=True) or b""


def text_of(part):
    data = part.get_payload(decode=True) or b""
    charset = part.get_content_charset("utf-8")
    try:
        return data.decode(charset, "replace")
    except LookupError:
        return data.decode("utf-8", "replace")


def guarded(function, default=None):
    try:
        return function()
    except Exception:  # pylint: disable=broad-except
        return default


def answer(path):
    with open(path, "rb") as file:
        message = email.message_from_binary_file(file, policy=email.policy.default)
    row = {}

    def put(key, function):
        try:
            row[key] = function()
        except Exception:  # pylint: disable=broad-except
            pass

    put("subject", lambda: str(message["subject"] or ""))
    put("from", lambda: (mailboxes(message, "from") or [None])[0])
    for key, name in (("to", "to"), ("cc", "cc"), ("reply_to", "reply-to")):
        put(key, lambda name=name: mailboxes(message, name))
    def date():
        when = message["date"].datetime if message["date"] else None
        return int(when.timestamp()) if when and when.tzinfo else (
            int(when.replace(tzinfo=__import__("datetime").timezone.utc).timestamp()) if when else None)
    put("date", date)
    put("message_id", lambda: str(message["message-id"] or "").strip().strip("<>"))
    names = {}
    for name in message.keys():
        names[name.lower()] = names.get(name.lower(), 0) + 1
    row["header_names"] = names
    put("structure", lambda: shape(message))
    row["text"] = row["html"] = None
    row["attachments"] = []
    for part in leaves(message):
        kind = guarded(part.get_content_type, "text/plain")
        name = guarded(part.get_filename)
        disposition = guarded(part.get_content_disposition)
        if disposition == "attachment" or name or kind not in ("text/plain", "text/html"):
            row["attachments"].append({"ctype": kind, "filename": name or "", "disposition": disposition or "",
                                       "cid": guarded(lambda p=part: str(p["content-id"] or "").strip().strip("<>"), ""),
                                       **sums(guarded(lambda p=part: content(p), b""))})
        elif kind == "text/plain" and row["text"] is None:
            row["text"] = guarded(lambda p=part: text_of(p))
        elif kind == "text/html" and row["html"] is None:
            row["html"] = guarded(lambda p=part: text_of(p))
    return row


for line in sys.stdin:
    print(json.dumps(guarded(lambda p=line.rstrip("\n"): answer(p))), flush=True)
