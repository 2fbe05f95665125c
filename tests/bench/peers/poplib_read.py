# SPDX-License-Identifier: MIT
"""poplib: RETR of each message of a maildrop."""

import json
import poplib
import ssl
import sys
import time

poplib._MAXLINE = 100000
task = json.load(sys.stdin)
box = poplib.POP3_SSL(task["host"], task["port"], context=ssl.create_default_context(cafile=task["ca_file"]))
box.user(task["user"])
box.pass_(task["password"])
began, cpu = time.monotonic(), time.process_time()
for number in range(1, task["count"] + 1):
    box.retr(number)
wall, cpu = time.monotonic() - began, time.process_time() - cpu
box.quit()
print(json.dumps({"count": task["count"], "wall": wall, "cpu": cpu, "rss": int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024}))
