# SPDX-License-Identifier: MIT
"""smtplib on one warm connection."""

import json
import resource
import smtplib
import ssl
import sys
import time

task = json.load(sys.stdin)
client = smtplib.SMTP_SSL(task["host"], task["port"], context=ssl.create_default_context(cafile=task["ca_file"]))
client.login(task["user"], task["password"])
message = task["message"].encode()
for _ in range(5):
    client.sendmail(task["from"], [task["to"]], message)
began, cpu = time.monotonic(), time.process_time()
for _ in range(task["count"]):
    client.sendmail(task["from"], [task["to"]], message)
wall, cpu = time.monotonic() - began, time.process_time() - cpu
client.quit()
print(json.dumps({"count": task["count"], "wall": wall, "cpu": cpu, "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
