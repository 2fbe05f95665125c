# SPDX-License-Identifier: MIT
"""Reads what the server says and parses nothing: the limit for any client."""

import json
import socket
import ssl
import sys
import time

task = json.load(sys.stdin)
plain = socket.create_connection(("localhost", task["port"]))
plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
wire = ssl.create_default_context(cafile=task["ca"]).wrap_socket(plain, server_hostname="localhost")
buffer = bytearray(1 << 18)


def run(command):
    wire.sendall(b"A " + command + b"\r\n")
    tail = b""
    while b"\r\nA OK" not in tail and not tail.startswith(b"A OK"):
        n = wire.recv_into(buffer)
        if n == 0:
            raise EOFError
        tail = tail[-64:] + bytes(buffer[max(0, n - 4096):n])


wire.recv_into(buffer)
run(f'LOGIN {task["user"]} "{task["password"]}"'.encode())
run(b"EXAMINE INBOX")
began, cpu = time.monotonic(), time.process_time()
if task["work"] == "list":
    run(b"UID FETCH 1:* (UID FLAGS ENVELOPE BODYSTRUCTURE INTERNALDATE RFC822.SIZE)")
    count = task["count"]
else:
    run(b"UID FETCH 1:%d (UID BODY.PEEK[])" % task["bodies"])
    count = task["bodies"]
json.dump({"wall": time.monotonic() - began, "cpu": time.process_time() - cpu, "count": count,
           "rss": int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024}, sys.stdout)
