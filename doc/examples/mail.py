#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sends a mail to oneself and lists the mailbox, with nothing but the socket:  mail.py ACCOUNT ADDRESS"""
import json
import os
import socket
import sys


class Gateway:
    def __init__(self, path=os.environ.get("POSTERN_SOCKET", "/run/postern/postern.sock")):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.lines = self.socket.makefile("r", encoding="utf-8")
        self.number = 0

    def call(self, method, **params):
        self.number += 1
        request = {"jsonrpc": "2.0", "id": self.number, "method": method, "params": params}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        answer = json.loads(next(self.lines))
        if "error" in answer:
            raise RuntimeError(answer["error"]["message"])
        return answer["result"]


account, address = sys.argv[1:]
gateway = Gateway()
sent = gateway.call("smtp.send", account=account, message={
    "from": address, "to": address, "subject": "From Python", "text": "No password here.\n"})
print("sent as", sent["message_id"])
for message in gateway.call("imap.fetch", account=account, uids="1:*", items=["ENVELOPE"])["messages"]:
    print(message["uid"], message["envelope"]["subject"])
