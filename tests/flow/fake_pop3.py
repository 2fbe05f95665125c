# SPDX-License-Identifier: MIT
"""A POP3 server for the tests: what real ones seldom offer, and failures at every step."""

import hashlib
import socket
import threading
import time

STAMP = "<1896.697170952@fake.example>"


class FakePop3:
    """`capabilities`: lines of CAPA. `messages`: bytes by number, with CRLF. `faults`: verb -> what happens there, in place of
    the usual: "close", "silent", a number of seconds to wait, or bytes to say. `lines`: what clients said."""

    def __init__(self, messages=(), capabilities=(), password="secret", faults=None):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.messages = dict(enumerate(messages, 1))
        self.capabilities, self.password, self.faults = ["USER", *capabilities], password, faults or {}
        self.lines, self.logins, self.connections = [], [], 0
        threading.Thread(target=self.accept, daemon=True).start()

    def account(self, flow, **changes):
        pop3 = {"host": "127.0.0.1", "port": self.port, "tls": "none", "allow_plaintext_auth": "yes", "implicit_tls": None,
                "ca_file": None, "method": "user"}
        pop3.update(changes)
        return flow.account("ann", auth={"password": self.password}, pop3=pop3)

    def close(self):
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            with connection, connection.makefile("rwb") as stream:
                self.talk(stream)
        except (OSError, ValueError):
            pass

    def talk(self, stream):
        deleted, state = set(), {"user": None}

        def say(text):
            stream.write(text if isinstance(text, bytes) else text.encode() + b"\r\n")
            stream.flush()

        say("+OK fake " + STAMP)
        for line in stream:
            text = line.decode("latin-1").rstrip("\r\n")
            self.lines.append(text)
            verb, _, rest = text.partition(" ")
            verb = verb.upper()
            fault = self.faults.get(verb)
            if fault == "close":
                return
            if fault == "silent":
                time.sleep(30)
                return
            if isinstance(fault, (int, float)):
                time.sleep(fault)
            elif isinstance(fault, bytes):
                say(fault)
                continue
            if verb == "QUIT":
                for number in deleted:
                    self.messages.pop(number, None)
                say("+OK bye")
                return
            self.answer(say, stream, verb, rest, deleted, state)

    def answer(self, say, stream, verb, rest, deleted, state):
        left = {number: message for number, message in self.messages.items() if number not in deleted}
        number = int(rest.split()[0]) if rest.split() and rest.split()[0].isdigit() else 0
        if verb in ("RETR", "TOP", "DELE", "UIDL", "LIST") and number and number not in left:
            say("-ERR no such message")
        elif verb == "CAPA":
            say("\r\n".join(["+OK"] + self.capabilities + ["."]))
        elif verb == "USER":
            state["user"] = rest
            say("+OK who")
        elif verb == "PASS":
            self.login(say, rest == self.password)
        elif verb == "APOP":
            self.login(say, rest.split()[-1] == hashlib.md5((STAMP + self.password).encode()).hexdigest())
        elif verb == "RPOP":
            self.login(say, rest == "trusted")
        elif verb == "AUTH":
            if rest != "XOAUTH2":           # the token only on a line of its own
                say("-ERR Protocol error")
                return
            say("+ ")
            self.lines.append(stream.readline().decode().strip())
            self.login(say, True)
        elif verb == "LANG":
            say("+OK\r\nen English\r\nde German\r\n." if not rest else "+OK " + rest)
        elif verb == "STAT":
            say(f"+OK {len(left)} {sum(map(len, left.values()))}")
        elif verb == "LIST" and not number:
            say("\r\n".join(["+OK"] + [f"{key} {len(value)}" for key, value in left.items()] + ["."]))
        elif verb == "UIDL" and not number:
            say("\r\n".join(["+OK"] + [f"{key} id-{key}" for key in left] + ["."]))
        elif verb == "LIST":
            say(f"+OK {number} {len(left[number])}")
        elif verb == "UIDL":
            say(f"+OK {number} id-{number}")
        elif verb in ("RETR", "TOP"):
            say(b"+OK\r\n" + left[number].replace(b"\r\n.", b"\r\n..") + b".\r\n")
        elif verb == "DELE":
            deleted.add(number)
            say("+OK gone")
        elif verb == "RSET":
            deleted.clear()
            say("+OK")
        else:
            say("+OK" if verb in ("NOOP", "UTF8") else "-ERR what?")

    def login(self, say, good):
        if good:
            self.logins.append(time.monotonic())
        say("+OK in" if good else "-ERR [AUTH] no")

    def said(self, verb):
        return [line for line in self.lines if line.upper().startswith(verb)]
