#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Four independent parsers read the same messages: Python's email, GMime, mailparser and postal-mime. Where at least three
of them agree on a field, ours is compared with it.

Usage: differ.py MIME_DUMP [--seed N] [--count N] [--keep DIR] [--write FILE] [-v] [PATH...]
Without paths, messages are made (generate.py). Exits with 1 when a field differs, with 77 where a parser is missing:
python3-gi, gir1.2-gmime-3.0, and NODE_MODULES naming a folder that holds mailparser and postal-mime. --write puts down
what they agree on, as an expected.jsonl for compare.py."""
import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter

import compare
import generate

HERE = os.path.dirname(os.path.abspath(__file__))
FIELDS = ("subject", "from", "to", "cc", "reply_to", "date", "message_id", "header_names", "structure", "text", "html",
          "attachments")


def run(command, paths, **more):
    done = subprocess.run(command, input="".join(p + "\n" for p in paths), capture_output=True, text=True, check=False,
                          errors="surrogateescape", **more)
    rows = done.stdout.split("\n")[:-1]
    if len(rows) != len(paths):
        print(done.stderr[-2000:])
        print(f"{command[1]} gave {len(rows)} answers for {len(paths)} messages")
        sys.exit(77)
    return [json.loads(row) for row in rows]


def votes_of(paths):
    """For each message: {parser: answer}."""
    if not os.path.isdir(os.environ.get("NODE_MODULES", "")):
        print("NODE_MODULES does not name a folder: skipped")
        sys.exit(77)
    node = run(["node", f"{HERE}/voters/node_voters.mjs"], paths)
    gmime = run(["/usr/bin/python3", f"{HERE}/voters/gmime_voter.py"], paths,
                env={**os.environ, "PYTHONIOENCODING": "utf-8:replace"})
    python = run([sys.executable, f"{HERE}/voters/python_voter.py"], paths)
    return [{**n, "gmime": g, "python": p} for n, g, p in zip(node, gmime, python)]


def normal(key, value):
    """The common form, hashable by being text."""
    if key == "attachments":
        raise ValueError(key)
    if key in ("text", "html"):
        if value is None:
            return None
        form = compare.text_form({"text": value})
        return form if form["chars"] else None
    if key in ("to", "cc", "reply_to"):
        return [compare.mailbox(dict(zip(("name", "address"), a))) for a in value]
    if key == "from":
        return compare.mailbox(dict(zip(("name", "address"), value))) if value else None
    if key in ("subject", "message_id"):
        return compare.squeeze(value)
    return value


def majority(values):
    """(value, "agree/voters"), or None."""
    texts = Counter(json.dumps(v, sort_keys=True) for v in values)
    if not texts:
        return None
    text, n = texts.most_common(1)[0]
    if len(values) < 2 or n < (3 if len(values) == 4 else 2):
        return None
    return {"v": json.loads(text), "n": f"{n}/{len(values)}"}


def agreed_attachments(lists):
    count = majority([len(x) for x in lists])
    if not count:
        return None
    lists = [x for x in lists if len(x) == count["v"]]
    out = []
    for same in zip(*lists):
        entry = {}
        for key in ("ctype", "filename", "disposition", "cid", "lf"):
            values = [compare.squeeze(a[key]) for a in same]
            vote = majority(values) if len(values) > 1 else None
            entry[key] = vote["v"] if vote else None
        if not (entry["ctype"] or "").startswith("message/"):
            entry.update(bytes="lf", sha256=entry.pop("lf"), size=None)
        else:
            entry.pop("lf")
        out.append(entry)
    return {"v": out, "n": count["n"]}


def agreed(path, votes):
    voters = {name: answer for name, answer in votes.items() if answer}
    row = {"path": path, "voters": sorted(voters), "flags": []}
    with open(path, "rb") as file:
        raw = file.read()
    head = raw.split(b"\n\n", 1)[0].split(b"\r\n\r\n", 1)[0]
    if any(b > 127 for b in head):
        row["flags"].append("raw_8bit_header")
    structure = json.dumps(majority([a["structure"] for a in voters.values() if "structure" in a]))
    for key in FIELDS:
        answers = [a[key] for name, a in voters.items() if key in a]
        kind = {"text": '"text/plain"', "html": '"text/html"'}.get(key)
        if kind and structure.count(kind) > 1:
            # These two give what is joined of several texts.
            answers = [a[key] for name, a in voters.items() if name in ("python", "gmime") and key in a]
        if key == "attachments":
            row[key] = agreed_attachments(answers)
            continue
        row[key] = majority([normal(key, a) for a in answers])
    return row


def main():
    options = argparse.ArgumentParser()
    options.add_argument("dump")
    options.add_argument("paths", nargs="*")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--count", type=int, default=1000)
    options.add_argument("--keep")
    options.add_argument("--write")
    options.add_argument("--all", action="store_true", help="also what the README explains")
    options.add_argument("-v", action="store_true")
    o = options.parse_intermixed_args()
    scratch = tempfile.TemporaryDirectory()
    paths = o.paths
    if not paths:
        folder = o.keep or scratch.name
        os.makedirs(folder, exist_ok=True)
        for i, raw in enumerate(generate.messages(o.seed, o.count)):
            path = f"{folder}/{i:05}.eml"
            with open(path, "wb") as file:
                file.write(raw)
            paths.append(path)
    rows = [agreed(path, votes) for path, votes in zip(paths, votes_of(paths))]
    if o.write:
        with open(o.write, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    dumped = subprocess.run([o.dump, *paths], capture_output=True, check=True).stdout.decode().split("\n")[:-1]
    right, wrong = 0, Counter()
    for row, found in zip(rows, dumped):
        got = compare.ours(json.loads(found))
        for key in FIELDS:
            if row[key] is None:
                continue
            value = got[key] if key not in ("text", "html") or not got[key] or got[key]["chars"] else None
            if compare.same(key, row[key]["v"], value) or (not o.all and compare.excused(key, row["flags"])):
                right += 1
                continue
            wrong[key] += 1
            print(f"{row['path']} {key} ({row[key]['n']})")
            if o.v:
                print("   want", json.dumps(row[key]["v"], ensure_ascii=False)[:1500])
                print("   got ", json.dumps(got[key], ensure_ascii=False)[:1500])
    total = right + sum(wrong.values())
    print(f"{len(rows)} messages, {total} fields agreed on, {sum(wrong.values())} differ: {right / total:.3%} ({dict(wrong)})")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
