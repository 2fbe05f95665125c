# SPDX-License-Identifier: MIT
"""smtplib on one warm connection; {"cold": true}: on a connection for each message."""

import json
import smtplib
import ssl
import sys
import time

task = json.load(sys.stdin)
context = ssl.create_default_context(cafile=task["ca_file"])


def open_client():
    new = smtplib.SMTP_SSL(task["host"], task["port"], context=context)
    new.login(task["user"], task["password"])
    return new


client = open_client()
message = task["message"].encode()
for _ in range(5):
    client.sendmail(task["from"], [task["to"]], message)
began, cpu = time.monotonic(), time.process_time()
for _ in range(task["count"]):
    if task.get("cold"):
        client.quit()
        client = open_client()
    client.sendmail(task["from"], [task["to"]], message)
wall, cpu = time.monotonic() - began, time.process_time() - cpu
client.quit()
print(json.dumps({"count": task["count"], "wall": wall, "cpu": cpu, "rss": int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024}))
