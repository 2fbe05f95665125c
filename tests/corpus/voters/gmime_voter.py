#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What GMime finds in the messages whose paths come on stdin, one row of JSON a line; see differ.py. It is
the system's Python that has GMime."""
import hashlib
import json
import sys

import gi
gi.require_version("GMime", "3.0")
from gi.repository import GMime  # pylint: disable=wrong-import-position


def sums(data):
    lf = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").rstrip(b"\n")
    return {"size": len(data), "lf": hashlib.sha256(lf).hexdigest()}


def flat(addresses):
    found = []
    for i in range(addresses.length() if addresses else 0):
        a = addresses.get_address(i)
        if isinstance(a, GMime.InternetAddressGroup):
            found += flat(a.get_members())
        else:
            found.append([a.get_name() or "", a.get_addr() or ""])
    return found


def kind_of(part):
    kind = part.get_content_type()
    return f"{kind.get_media_type() or 'text'}/{kind.get_media_subtype() or 'plain'}".lower() if kind else "text/plain"


def shape(part):
    if isinstance(part, GMime.Multipart):
        return [kind_of(part)] + [shape(part.get_part(i)) for i in range(part.get_count())]
    return kind_of(part)


def leaves(part):
    if isinstance(part, GMime.Multipart):
        for i in range(part.get_count()):
            yield from leaves(part.get_part(i))
    else:
        yield part


def content(part):
    if not isinstance(part, GMime.Part):
        return b""
    wrapper = part.get_content()
    if not wrapper:
        return b""
    stream = GMime.StreamMem.new()
    wrapper.write_to_stream(stream)
    array = stream.get_byte_array()
    return bytes(array) if array else b""


def text_of(part):
    data = content(part)
    charset = (part.get_content_type_parameter("charset") or "utf-8").lower()
    try:
        return data.decode(charset, "replace")
    except LookupError:
        return data.decode("utf-8", "replace")


def answer(path):
    with open(path, "rb") as file:
        data = file.read()
    stream = GMime.StreamMem.new_with_buffer(data)
    parser = GMime.Parser.new_with_stream(stream)
    if data.startswith(b"From "):
        parser.set_format(GMime.Format.MBOX)
    message = parser.construct_message(GMime.ParserOptions.new())
    if not message:
        return None
    row = {"subject": message.get_subject() or ""}
    row["from"] = (flat(message.get_from()) or [None])[0]
    row["to"], row["cc"], row["reply_to"] = flat(message.get_to()), flat(message.get_cc()), flat(message.get_reply_to())
    date = message.get_date()
    row["date"] = date.to_unix() if date else None
    row["message_id"] = (message.get_message_id() or "").strip("<>")
    root = message.get_mime_part()
    names = {}
    for headers in [message.get_header_list()] + ([root.get_header_list()] if root else []):
        for i in range(headers.get_count()):
            name = headers.get_header_at(i).get_name().lower()
            names[name] = names.get(name, 0) + 1
    row["header_names"] = names
    row["text"] = row["html"] = None
    row["attachments"] = []
    if not root:
        row["structure"] = None
        return row
    row["structure"] = shape(root)
    for part in leaves(root):
        kind = kind_of(part)
        name = part.get_filename() if isinstance(part, GMime.Part) else None
        place = part.get_content_disposition()
        disposition = (place.get_disposition() or "").lower() if place else ""
        if disposition == "attachment" or name or kind not in ("text/plain", "text/html"):
            row["attachments"].append({"ctype": kind, "filename": name or "", "disposition": disposition,
                                       "cid": part.get_content_id() or "", **sums(content(part))})
        elif kind == "text/plain" and row["text"] is None:
            row["text"] = text_of(part)
        elif kind == "text/html" and row["html"] is None:
            row["html"] = text_of(part)
    return row


GMime.init()
for line in sys.stdin:
    try:
        print(json.dumps(answer(line.rstrip("\n")), ensure_ascii=False), flush=True)
    except Exception as error:  # pylint: disable=broad-except
        print(error, file=sys.stderr)
        print("null", flush=True)
