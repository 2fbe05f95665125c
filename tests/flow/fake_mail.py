# SPDX-License-Identifier: MIT
"""SMTP and POP3 servers that do what a test wants at any step of the dialogue.

A script is {step: act}. A step is named after the command whose answer is due ("greeting", "mail", "rcpt2", "dot", …), and an act
is a text to send instead of the usual answer, or a function(wire, usual) of those below. What is not in the script is answered
as a plain, good server would. A server plays its scripts one a connection and is good when they have run out."""

import contextlib
import re
import socket
import ssl
import struct
import threading
import time

FLOOD_MAX = 64 << 20
PATIENCE_S = 20


class Gone(Exception):
    """The connection is over."""


# -- acts


def fin(wire, _):
    """The server ends the connection."""
    wire.close()


def rst(wire, _):
    """The server's machine says that it knows nothing of the connection."""
    time.sleep(0.05)        # at once, it would be a connection that never was
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.close()


def silent(wire, _):
    """Nothing ever comes."""
    wire.listen()


def drip(wire, usual):
    """The answer comes a byte at a time, and never to its end."""
    try:
        for byte in usual.encode().rstrip() + b"x" * 1000:
            wire.send(bytes([byte]))
            time.sleep(0.05)
    except OSError:
        pass
    wire.listen()


def partial(wire, usual):
    """Half an answer, then nothing."""
    wire.send(usual[:max(len(usual) // 2, 2)])
    wire.listen()


def partial_fin(wire, usual):
    """Half an answer, then the end."""
    wire.send(usual[:max(len(usual) // 2, 2)])
    wire.close()


def garbage(wire, _):
    wire.send("what is this\r\n")


def binary(wire, _):
    wire.send(bytes(range(256)) * 4 + b"\r\n")


def twice(wire, usual):
    wire.send(usual * 2)


def endless_line(wire, usual):
    """The line never ends."""
    flood(wire, usual.encode().rstrip(b"\r\n") + b" ", b"x" * 65536)


def after(text, act):
    """The text as an answer, then the act."""
    def run(wire, usual):
        wire.send(text)
        act(wire, usual)
    return run


def late(seconds):
    """The usual answer after some time."""
    def run(wire, usual):
        time.sleep(seconds)
        wire.send(usual)
    return run


def both(*acts):
    """One after the other; a text is sent."""
    def run(wire, usual):
        for act in acts:
            wire.act(act, usual)
    return run


def endless(text):
    """The text again and again."""
    def run(wire, usual):
        flood(wire, b"", text.encode() * (65536 // len(text)))
    return run


def then(text):
    """The usual answer, and the text behind it in one piece."""
    def run(wire, usual):
        wire.send(usual + text)
    return run


def flood(wire, first, chunk):
    sent = len(first)
    try:
        wire.send(first)
        while sent < FLOOD_MAX:
            wire.send(chunk)
            sent += len(chunk)
    except OSError:
        wire.close()
    wire.server.flooded = max(wire.server.flooded, sent)
    wire.listen()


# -- servers


class Wire:
    """One connection."""

    def __init__(self, server, sock, script):
        self.server, self.socket, self.script = server, sock, dict(script)
        self.input = b""
        self.tls = False
        self.ended = False      # by the other side
        sock.settimeout(PATIENCE_S)

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def close(self):
        self.socket.close()
        raise Gone()

    def line(self):
        while b"\n" not in self.input:
            data = self.socket.recv(65536)
            if not data:
                self.ended = True
                raise Gone()
            if not self.tls:
                self.server.clear += data
            self.input += data
        line, _, self.input = self.input.partition(b"\n")
        line = line.rstrip(b"\r").decode("latin-1")
        self.server.lines.append(line)
        return line

    def listen(self):
        """Reads until the other side ends it."""
        while True:
            self.line()

    def act(self, act, usual):
        if callable(act):
            act(self, usual)
        else:
            self.send(usual if act is None else act)

    def say(self, step, usual):
        """Answers; True when it was the usual answer."""
        self.server.steps.append(step)
        self.server.reached(step)
        act = self.script.pop(step, None)
        self.act(act, usual)
        return act is None or getattr(act, "goes_on", False)


class FakeMail:
    """Common to both protocols. `lines` holds what came, `clear` what came before TLS, `steps` what was answered."""

    def __init__(self, *scripts, certificate=None, implicit=False, capabilities=None):
        self.scripts = list(scripts)
        self.lines, self.steps, self.wires, self.clear = [], [], [], b""
        self.flooded = 0
        self.certificate, self.implicit, self.capabilities = certificate, implicit, capabilities
        self.watched = {}
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for wire in self.wires:
            with contextlib.suppress(OSError):
                wire.socket.shutdown(socket.SHUT_RDWR)

    @property
    def connections(self):
        return len(self.wires)

    def still_open(self):
        """Connections that the other side has not ended."""
        return [wire for wire in self.wires if not wire.ended and wire.socket.fileno() >= 0]

    def watch(self, step):
        """An event that is set when the step's answer is due."""
        return self.watched.setdefault(step, threading.Event())

    def reached(self, step):
        if step in self.watched:
            self.watched[step].set()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            wire = Wire(self, sock, self.scripts.pop(0) if self.scripts else {})
            self.wires.append(wire)
            threading.Thread(target=self.serve, args=(wire,), daemon=True).start()

    def serve(self, wire):
        try:
            if self.implicit:
                self.start_tls(wire)
            self.talk(wire)
        except ConnectionResetError:
            wire.ended = True
        except (Gone, OSError, ValueError):
            pass
        with contextlib.suppress(OSError):
            wire.socket.close()

    def start_tls(self, wire):
        """The server's part of the handshake, or what the script has instead."""
        self.reached("handshake")
        act = wire.script.pop("handshake", None)
        if act:
            time.sleep(0.05)        # not in one piece with the answer that began it
            wire.act(act, "\x16\x03\x01")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate["certificate"], self.certificate["key"])
        assert not wire.input, "bytes came before the handshake"
        wire.socket = context.wrap_socket(wire.socket, server_side=True)
        wire.tls = True


class FakeSmtp(FakeMail):
    """Steps: greeting ehlo starttls handshake ehlo_tls auth auth2 auth3 ehlo_auth rset mail rcpt rcpt2 data body dot quit idle."""

    pipelining = True
    mechanisms = "PLAIN LOGIN"

    def __init__(self, *scripts, pipelining=True, mechanisms="PLAIN LOGIN", **more):
        self.pipelining, self.mechanisms, self.bodies = pipelining, mechanisms, []
        super().__init__(*scripts, **more)

    def offers(self, wire):
        names = list(self.capabilities) if self.capabilities is not None else ["SIZE 10000000", "ENHANCEDSTATUSCODES", "DSN"]
        if self.pipelining:
            names.append("PIPELINING")
        if self.certificate and not wire.tls:
            names.append("STARTTLS")
        if self.mechanisms:
            names.append("AUTH " + self.mechanisms)
        lines = ["fake.example"] + names
        return "".join(f"250{'-' if number < len(lines) else ' '}{name}\r\n" for number, name in enumerate(lines, 1))

    def talk(self, wire):
        wire.say("greeting", "220 fake ESMTP\r\n")
        seen, recipients = [], 0
        while True:
            line = wire.line()
            verb = line.split(" ")[0].upper()
            if verb == "EHLO":
                wire.say("ehlo" + ("_auth" if "AUTH" in seen else "_tls" if "STARTTLS" in seen else ""), self.offers(wire))
            elif verb == "STARTTLS":
                wire.say("starttls", "220 2.0.0 go\r\n")
                self.start_tls(wire)
            elif verb == "AUTH":
                self.log_in(wire, line)
            elif verb == "MAIL":
                recipients = 0
                wire.say("mail", "250 2.1.0 ok\r\n")
            elif verb == "RCPT":
                recipients += 1
                wire.say("rcpt" if recipients == 1 else f"rcpt{recipients}", "250 2.1.5 ok\r\n")
            elif verb == "DATA":
                self.take_body(wire)
            elif verb == "RSET":
                wire.say("rset", "250 2.0.0 ok\r\n")
            elif verb == "QUIT":
                wire.say("quit", "221 2.0.0 bye\r\n")
                wire.close()
            else:
                wire.say(verb.lower(), "250 2.0.0 ok\r\n")
            seen.append(verb)

    def log_in(self, wire, line):
        words = line.split(" ")
        if words[1].upper() == "LOGIN":
            if wire.say("auth", "334 VXNlcm5hbWU6\r\n"):
                wire.line()
                if wire.say("auth2", "334 UGFzc3dvcmQ6\r\n"):
                    wire.line()
                    wire.say("auth3", "235 2.7.0 in\r\n")
        else:
            wire.say("auth", "235 2.7.0 in\r\n")

    def take_body(self, wire):
        answer = wire.script.get("data")
        wire.say("data", "354 go\r\n")
        if isinstance(answer, str) and not answer.startswith("354"):
            return
        act = wire.script.pop("body", None)
        if act:
            self.reached("body")
            wire.act(act, "250 2.0.0 queued\r\n")
            wire.listen()
        lines = []
        while (line := wire.line()) != ".":
            lines.append(line)
        self.bodies.append("\r\n".join(lines))
        wire.say("dot", f"250 2.0.0 queued as {len(self.bodies)}\r\n")
        if "idle" in wire.script:
            time.sleep(0.1)
            wire.say("idle", "")

    def account(self, **keys):
        return {"account": {"senders": "*"}, "auth": {"username": None, "password": None}, "smtp": dict(self.keys(), **keys)}

    def keys(self):
        return {"host": "127.0.0.1", "port": self.port, "tls": "none", "implicit_tls": "no", "pool_size": 1}


class FakePop3(FakeMail):
    """Steps: greeting capa stls handshake capa_tls user pass auth capa_auth stat list uidl retr top dele rset noop quit idle.
    `drop` holds the messages by unique id, `gone` the ids that were deleted by a QUIT."""

    def __init__(self, *scripts, pipelining=True, mechanisms="PLAIN", messages=3, **more):
        self.pipelining, self.mechanisms = pipelining, mechanisms
        self.drop = {f"id-{number}": f"Subject: {number}\r\n\r\nline\r\n..dot\r\n" for number in range(1, messages + 1)}
        self.gone, self.committed = [], []
        super().__init__(*scripts, **more)

    def offers(self, wire):
        names = list(self.capabilities) if self.capabilities is not None else ["UIDL", "TOP", "RESP-CODES"]
        names.append("USER")
        if self.mechanisms:
            names.append("SASL " + self.mechanisms)
        if self.pipelining:
            names.append("PIPELINING")
        if self.certificate and not wire.tls:
            names.append("STLS")
        return "+OK\r\n" + "".join(f"{name}\r\n" for name in names) + ".\r\n"

    def talk(self, wire):
        wire.say("greeting", "+OK fake POP3\r\n")
        names = list(self.drop)
        deleted, state = [], ""
        while True:
            words = wire.line().split(" ")
            verb, number = words[0].upper(), int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
            name = names[number - 1] if 0 < number <= len(names) else None
            if verb == "CAPA":
                wire.say("capa" + state, self.offers(wire))
            elif verb == "STLS":
                wire.say("stls", "+OK go\r\n")
                self.start_tls(wire)
                state = "_tls"
            elif verb in ("USER", "PASS", "AUTH"):
                wire.say(verb.lower(), "+OK\r\n")
                state = state if verb == "USER" else "_auth"
            elif verb == "STAT":
                wire.say("stat", f"+OK {len(names)} 100\r\n")
            elif verb in ("LIST", "UIDL"):
                entry = (lambda place: f"{place + 1} {len(self.drop[names[place]])}") if verb == "LIST" else (lambda place: f"{place + 1} {names[place]}")
                if number:
                    wire.say(verb.lower(), f"+OK {entry(number - 1)}\r\n")
                else:
                    wire.say(verb.lower(), "+OK\r\n" + "".join(entry(place) + "\r\n" for place in range(len(names))) + ".\r\n")
            elif verb in ("RETR", "TOP"):
                wire.say(verb.lower(), f"+OK\r\n{self.drop[name]}.\r\n" if name else "-ERR no such message\r\n")
            elif verb == "DELE":
                deleted.append(name)
                wire.say("dele", "+OK\r\n")
            elif verb == "RSET":
                deleted.clear()
                wire.say("rset", "+OK\r\n")
            elif verb == "QUIT":
                self.committed.append(list(deleted))
                wire.say("quit", "+OK bye\r\n")
                wire.close()
            else:
                wire.say(verb.lower(), "+OK\r\n")
            if state == "_auth" and "idle" in wire.script and verb not in ("PASS", "AUTH", "CAPA", "UIDL"):
                time.sleep(0.1)
                wire.say("idle", "")

    def account(self, **keys):
        return {"account": {}, "auth": {"username": "ann", "password": "geheim-7"}, "pop3": dict(self.keys(), **keys)}

    def keys(self):
        return {"host": "127.0.0.1", "port": self.port, "tls": "none", "implicit_tls": "no", "allow_plaintext_auth": "yes"}


def commands(server):
    """The verbs that came, in order."""
    return [re.split(r"[ :]", line)[0].upper() for line in server.lines]
