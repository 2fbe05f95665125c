# SPDX-License-Identifier: MIT
"""An IMAP server that says what a test wants it to say."""

import contextlib
import re
import socket
import threading


class FakeImap:
    """with FakeImap(answers) as server: answers = {"UID FETCH": function or text}. A text is sent as it is ("%" stands for the tag),
    a function(server, wire, tag, line) sends for itself. What is not named is answered as a plain, good server would. server.lines
    holds every command, without its tag."""

    def __init__(self, answers=None, capabilities="IMAP4rev1 UIDPLUS MOVE LITERAL+", greeting=None, uidvalidity=7):
        self.answers, self.uidvalidity, self.capabilities = dict(answers or {}), uidvalidity, capabilities
        self.greeting = greeting or f"* OK [CAPABILITY {capabilities}] hello\r\n"
        self.lines, self.connections, self.open = [], 0, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()
        for wire in self.open:
            with contextlib.suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)

    def account(self):
        keys = {"host": "127.0.0.1", "port": self.port, "tls": "none", "implicit_tls": "no", "allow_plaintext_auth": "yes", "timeout": "3s"}
        return {"account": {"allow": "user:root", "permit": "send read write raw"}, "auth": {"username": "ann", "password": "secret"}, "imap": keys}

    def accept(self):
        while True:
            try:
                wire, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self.open.append(wire)
            threading.Thread(target=self.serve, args=(wire,), daemon=True).start()

    def serve(self, wire):
        with contextlib.suppress(OSError, ValueError):
            wire.sendall(self.greeting.encode() if isinstance(self.greeting, str) else self.greeting)
            stream = wire.makefile("rb")
            while line := stream.readline():
                while literal := re.search(rb"\{(\d+)(\+?)\}\r\n$", line):
                    if not literal[2]:
                        wire.sendall(b"+ go on\r\n")
                    line += stream.read(int(literal[1])) + stream.readline()
                tag, _, rest = line.rstrip(b"\r\n").partition(b" ")
                self.lines.append(rest.decode("latin-1"))
                self.answer(wire, tag.decode(), rest.decode("latin-1"))

    def answer(self, wire, tag, line):
        for name, answer in self.answers.items():
            if line.upper().startswith(name):
                if callable(answer):
                    answer(self, wire, tag, line)
                else:
                    wire.sendall((answer if isinstance(answer, bytes) else answer.encode()).replace(b"%", tag.encode()))
                return
        if line.startswith(("SELECT", "EXAMINE")):
            wire.sendall(f"* 3 EXISTS\r\n* FLAGS (\\Seen)\r\n* OK [UIDVALIDITY {self.uidvalidity}] x\r\n{tag} OK [{'READ-WRITE' if line[0] == 'S' else 'READ-ONLY'}] x\r\n".encode())
        elif line.startswith("LOGOUT"):
            wire.sendall(f"* BYE x\r\n{tag} OK x\r\n".encode())
            wire.shutdown(socket.SHUT_RDWR)
        elif line.startswith("CAPABILITY") or line.startswith("LOGIN"):
            wire.sendall(f"* CAPABILITY {self.capabilities}\r\n{tag} OK x\r\n".encode())
        else:
            wire.sendall(f"{tag} OK x\r\n".encode())

    def said(self, prefix):
        return [line for line in self.lines if line.startswith(prefix)]
