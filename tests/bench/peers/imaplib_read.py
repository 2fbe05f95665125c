# SPDX-License-Identifier: MIT
import imaplib
import json
import ssl
import sys
import time

imaplib._MAXLINE = 100000000
task = json.load(sys.stdin)
box = imaplib.IMAP4_SSL("localhost", task["port"], ssl_context=ssl.create_default_context(cafile=task["ca"]))
box.login(task["user"], task["password"])
box.select("INBOX", readonly=True)
count = task["count"]
began, cpu = time.monotonic(), time.process_time()
if task["work"] == "list":
    status, data = box.uid("FETCH", "1:*", "(UID FLAGS ENVELOPE BODYSTRUCTURE INTERNALDATE RFC822.SIZE)")
elif task["work"] == "single":
    data = []
    for uid in range(1, count + 1):
        status, one = box.uid("FETCH", str(uid), "(UID BODY.PEEK[])")
        data.append(one[0][1])
elif task["work"] == "search":
    data = []
    for _ in range(count):
        status, found = box.uid("SEARCH", "BODY", f'"{task["words"]}"')
        data.append(found[0].split()[0])
else:
    status, data = box.uid("FETCH", f"1:{count}", "(UID BODY.PEEK[])")
assert status == "OK" and len(data) >= count, (status, len(data))
json.dump({"wall": time.monotonic() - began, "cpu": time.process_time() - cpu, "count": count,
           "rss": int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024}, sys.stdout)
