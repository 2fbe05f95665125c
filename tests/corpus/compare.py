#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Replays a corpus of real messages through the parser and compares with what independent parsers agree on.

The corpus is the folder named by POSTERN_CORPUS, with an expected.jsonl of one row a message; without it there is
nothing to compare, and the test is skipped. Usage: compare.py MIME_DUMP [-v] [PATH...]"""
import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter

WANTED = 0.995


def squeeze(text):
    return re.sub(r'\s+', ' ', text or '').strip()


def mailbox(entry):
    name = squeeze(entry['name']).strip('"')
    local, at, domain = squeeze(entry['address']).rpartition('@')
    return [name, local + at + domain.lower()]


def flat(entries):
    out = []
    for entry in entries:
        out += flat(entry['members']) if 'members' in entry else [mailbox(entry)]
    return out


def shape(node):
    return [node['type']] + [shape(c) for c in node['children']] if 'children' in node else node['type']


def is_attached(leaf):
    return (leaf['disposition'] == 'attachment' or leaf['filename'] is not None or
            leaf['type'] not in ('text/plain', 'text/html'))


def text_form(leaf):
    text = re.sub(r'\r\n?', '\n', leaf['text']).lstrip('\ufeff').rstrip()
    return {'sha256': hashlib.sha256(text.encode()).hexdigest(), 'chars': len(text), 'preview': text[:60]}


def attachment_form(leaf):
    data = base64.b64decode(leaf['bytes'])
    lf = data.replace(b'\r\n', b'\n').replace(b'\r', b'\n').rstrip(b'\n')
    form = {'ctype': leaf['type'], 'filename': squeeze(leaf['filename']), 'disposition': leaf['disposition'] or '',
            'cid': squeeze(leaf['content_id'])}
    return form, {'raw': (len(data), hashlib.sha256(data).hexdigest()), 'lf': (len(lf), hashlib.sha256(lf).hexdigest())}


def ours(found):
    """The answer in the form of the expected rows."""
    fields = {}
    for name, value, addresses, date, ids in found['fields']:
        fields.setdefault(name.lower(), []).append((value, addresses, date, ids))

    def first(name, index, default):
        return fields[name][0][index] if name in fields else default

    row = {'subject': squeeze(first('subject', 0, '')), 'date': first('date', 2, None)}
    row['message_id'] = (first('message-id', 3, []) or [''])[0]
    row['from'] = (flat(first('from', 1, [])) or [None])[0]
    for key, name in (('to', 'to'), ('cc', 'cc'), ('reply_to', 'reply-to')):
        row[key] = [a for field in fields.get(name, []) for a in flat(field[1])]
    row['header_names'] = {name: len(values) for name, values in fields.items()}
    row['structure'] = shape(found['structure'])
    for key, kind in (('text', 'text/plain'), ('html', 'text/html')):
        leaves = [l for l in found['leaves'] if l['type'] == kind and not is_attached(l)]
        row[key] = text_form(leaves[0]) if leaves else None
    row['attachments'] = [attachment_form(l) for l in found['leaves'] if is_attached(l)]
    return row


def same_attachments(want, got):
    if len(want) != len(got):
        return False
    for w, (form, sums) in zip(want, got):
        for key, value in form.items():
            if w.get(key) is not None and squeeze(w[key]) != value:
                return False
        size, digest = sums.get(w.get('bytes'), (None, None))
        if size is not None and w.get('size') is not None and w['size'] != size:
            return False
        if digest is not None and w.get('sha256') is not None and w['sha256'] != digest:
            return False
    return True


def same(key, want, got):
    absent = (None, '', [], {})
    if want in absent:
        return got in absent
    if key == 'attachments':
        return same_attachments(want, got)
    if key == 'text' or key == 'html':
        return got is not None and want['sha256'] == got['sha256']
    if key in ('to', 'cc', 'reply_to'):
        return [mailbox(dict(zip(('name', 'address'), w))) for w in want] == got
    if key == 'from':
        return mailbox(dict(zip(('name', 'address'), want))) == got
    if isinstance(want, str):
        return squeeze(want) == squeeze(got)
    return want == got


def excused(key, flags):
    """Differences that the corpus itself calls fair, and those that README.md in this folder explains."""
    if key in ('text', 'html', 'attachments') and 'named_inline_text' in flags:
        return True
    return key in ('subject', 'from', 'to', 'cc', 'reply_to') and 'raw_8bit_header' in flags


def main():
    corpus = os.environ.get('POSTERN_CORPUS')
    if not corpus:
        print('POSTERN_CORPUS is not set: no corpus to replay, skipped')
        return 77
    dump, arguments = sys.argv[1], sys.argv[2:]
    verbose = '-v' in arguments
    only = [a for a in arguments if a != '-v']
    with open(os.path.join(corpus, 'expected.jsonl'), encoding='utf-8') as f:
        rows = [json.loads(line) for line in f]
    rows = [r for r in rows if not only or any(o in r['path'] for o in only)]
    paths = [os.path.join(corpus, r['path']) for r in rows]
    answers = {}
    for mode in ([], ['--fd']):
        run = subprocess.run([dump, *mode, *paths], capture_output=True, check=False)
        if run.returncode != 0:
            print(run.stderr.decode(errors='replace'))
            print(f'{dump} failed with {run.returncode}')
            return 1
        answers[bool(mode)] = [json.loads(line) for line in run.stdout.decode('utf-8').splitlines()]
    if answers[False] != answers[True]:
        print('a message is not the same from memory and from a descriptor')
        return 1
    right, wrong = Counter(), Counter()
    for row, found in zip(rows, answers[False]):
        got = ours(found)
        for key, value in got.items():
            if row.get(key) is None:
                continue
            if same(key, row[key]['v'], value):
                right[key] += 1
            elif excused(key, row['flags']):
                right['excused'] += 1
            else:
                wrong[key] += 1
                print(f"{row['path']} {key} ({row[key]['n']}; {','.join(row['flags'])})")
                if verbose:
                    print('   want', json.dumps(row[key]['v'], ensure_ascii=False)[:1500])
                    print('   got ', json.dumps(value, ensure_ascii=False)[:1500])
    total = sum(right.values()) + sum(wrong.values())
    share = sum(right.values()) / total
    print(f'{len(rows)} messages, {total} fields, {sum(wrong.values())} differ: {share:.2%} ({dict(wrong)})')
    return 0 if share >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
