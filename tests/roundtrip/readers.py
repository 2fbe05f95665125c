# SPDX-License-Identifier: MIT
"""Readers of messages, each of which gives the form that letters.py describes. Those that are other programs run once for
all messages: a message goes in as its length, a line feed and its bytes; an answer comes out as a line of JSON."""

import base64
import email
import email.policy
import email.utils
import json
import pathlib
import re
import subprocess

HERE = pathlib.Path(__file__).resolve().parent


def lf(text):
    return re.sub("\r\n?", "\n", text or "")


def ids(text):
    return re.findall(r"<([^<>]*)>", re.sub(r"\s+", "", text or ""))


class Postern:
    """mail.parse."""

    def __init__(self, client):
        self.client = client

    @staticmethod
    def plain(found):
        return [[entry["group"], Postern.plain(entry["members"])] if "group" in entry else [entry.get("name") or "", entry["address"]] for entry in found]

    def read(self, raw):
        mail = self.client.call("mail.parse", raw={"base64": base64.b64encode(raw).decode()})
        found = {key: self.plain(mail[key]) for key in ("from", "sender", "to", "cc", "reply_to")}
        found |= {"subject": mail["subject"] or "", "date": iso(mail["date"]), "message_id": mail["message_id"], "in_reply_to": mail["in_reply_to"],
                  "references": mail["references"], "headers": mail["headers"], "text": mail["body"]["text"] or "", "html": mail["body"]["html"] or "",
                  "defects": mail["defects"]}
        found["attachments"] = [{"filename": a["filename"] or "", "disposition": a["disposition"] or "", "content_id": a["content_id"] or "",
                                 "type": a["content_type"], "bytes": content(a["content"])} for a in mail["attachments"]]
        return found

    def close(self):
        pass


def iso(text):
    import datetime
    return int(datetime.datetime.fromisoformat(text).timestamp())


def content(value):
    return value["text"].encode() if "text" in value else base64.b64decode(value["base64"])


def utf8(value):
    """What Python keeps of bytes beyond ASCII, as what they are."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8")


class Python:
    """The email package of the standard library, with its new policy."""

    @staticmethod
    def plain(header):
        found = []
        for group in header.groups if header else []:
            members = [[utf8(a.display_name), utf8(a.addr_spec)] for a in group.addresses]
            found += members if group.display_name is None else [[utf8(group.display_name), members]]
        return found

    def read(self, raw):
        mail = email.message_from_bytes(raw, policy=email.policy.default)
        found = {key: self.plain(mail[key.replace("_", "-")]) for key in ("from", "sender", "to", "cc", "reply_to")}
        found |= {"subject": utf8(str(mail["subject"] or "")).strip(" "), "date": int(mail["date"].datetime.timestamp()), "message_id": ids(str(mail["message-id"]))[0],
                  "in_reply_to": ids(str(mail["in-reply-to"])), "references": ids(str(mail["references"])), "text": "", "html": "", "attachments": []}
        found["headers"] = {}
        for name in mail.keys():
            if name.lower() not in found["headers"]:
                found["headers"][name.lower()] = [utf8(str(value)).strip(" ") for value in mail.get_all(name)]
        for part in mail.walk():
            if part.get_content_maintype() == "multipart" or part is not mail and inside_message(mail, part):
                continue
            kind = {"text/plain": "text", "text/html": "html"}.get(part.get_content_type())
            if kind and not part.get_content_disposition():
                found[kind] += lf(part.get_content())
                continue
            inner = part.get_content_maintype() == "message"
            data = part.get_payload(0).as_bytes(policy=email.policy.SMTP) if inner else part.get_payload(decode=True)
            found["attachments"].append({"filename": part.get_filename() or "", "disposition": part.get_content_disposition() or "",
                                         "content_id": (ids(part["content-id"]) or [""])[0], "type": part.get_content_type(), "bytes": data or b""})
        return found

    def close(self):
        pass


def inside_message(mail, part):
    """Whether the part belongs to a message within the message."""
    return any(part is inner for holder in mail.walk() if holder.get_content_maintype() == "message" for inner in holder.walk() if inner is not holder)


class Program:
    def __init__(self, *command, environment=None):
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)

    def read(self, raw):
        self.process.stdin.write(b"%d\n" % len(raw) + raw)
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"{self.process.args} ended with {self.process.wait()}"
        found = json.loads(line)
        for attachment in found["attachments"]:
            attachment["bytes"] = base64.b64decode(attachment["bytes"])
        found["text"], found["html"] = lf(found["text"]), lf(found["html"])
        return found

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()
