# SPDX-License-Identifier: MIT
"""Python's email: mime_python.py SECONDS WORK,WORK… FILE…, with what mime_work.h prints."""

import email.message
import email.parser
import email.policy
import json
import pathlib
import resource
import sys
import time


def structure(raw):
    return sum(1 for _ in email.parser.BytesParser(policy=email.policy.compat32).parsebytes(raw).walk())


def headers(raw):
    message = email.parser.BytesHeaderParser(policy=email.policy.default).parsebytes(raw)
    return sum(len(text(message, name)) for name in message.keys())


def text(message, name):
    try:
        return str(message[name])
    except Exception:       # what the standard library stumbles over is not our matter here
        return ""


def whole(raw):
    message = email.parser.BytesParser(policy=email.policy.default).parsebytes(raw)
    made = 0 if sum(len(text(message, name)) for name in message.keys()) else 1
    for part in message.walk():
        if part.is_multipart():
            continue
        try:
            if part.get_content_maintype() == "text" and not part.is_attachment():
                made += len(part.get_content().encode("utf-8", "replace"))
            else:
                made += len(part.get_payload(decode=True) or b"")
        except Exception:
            made += 1
    return made


def build(raw):
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"], message["To"], message["Subject"] = "Zoë Müller <zoe@example.com>", "Ann <ann@example.com>", "Grüße aus Köln"
    message["Message-ID"] = "<1@example.com>"
    message.set_content("Grüße, und eine Zeile dazu.\n", cte="quoted-printable")
    message.add_alternative("<p>Grüße, und eine Zeile dazu.</p>\n", subtype="html", cte="quoted-printable")
    message.add_attachment(raw, maintype="application", subtype="octet-stream", filename="datei ä.bin")
    return len(message.as_bytes())


def main():
    seconds, works = float(sys.argv[1]), sys.argv[2].split(",")
    files = [pathlib.Path(path).read_bytes() for path in sys.argv[3:]]
    for name in works:
        work = {"structure": structure, "headers": headers, "whole": whole, "build": build}.get(name)
        if not work:
            continue
        start, best, rounds = time.monotonic(), None, 0
        while rounds == 0 or time.monotonic() - start < seconds:
            began = time.process_time()
            made = sum(map(work, files))
            took = time.process_time() - began
            best = took if best is None else min(best, took)
            rounds += 1
        print(json.dumps({"work": name, "best": best, "rounds": rounds, "count": len(files), "bytes": sum(map(len, files)),
                          "made": made, "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}), flush=True)


main()
