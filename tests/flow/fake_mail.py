# SPDX-License-Identifier: MIT
"""Mail servers that do what a test wants at any step of the dialogue: what all share, and SMTP.

A script is {step: act}. A step is named after the command whose answer is due ("greeting", "mail", "rcpt2", "dot", …), and an act
is a text to send instead of the usual answer, or a function(wire, usual) of those below. What is not in the script is answered
as a plain, good server would. A server plays its scripts one a connection and is good when they have run out; what stands in its
`always` holds on all connections."""

import contextlib
import socket
import ssl
import struct
import threading
import time

import fake_sasl

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
    run.goes_on = True
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
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

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

    def ahead(self):
        """How many lines have come that are not answered."""
        with contextlib.suppress(BlockingIOError):
            self.socket.setblocking(False)
            self.input += self.socket.recv(65536)
        self.socket.settimeout(PATIENCE_S)
        return self.input.count(b"\n")

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
        act = self.script.pop(step, self.server.always.get(step))
        self.act(act, usual)
        return act is None or getattr(act, "goes_on", False)


class FakeMail:
    """Common to both protocols. `lines` holds what came, `clear` what came before TLS, `steps` what was answered."""

    def __init__(self, *scripts, always=None, certificate=None, implicit=False, capabilities=None, password="geheim-7"):
        self.scripts, self.always, self.password = list(scripts), always or {}, password
        self.lines, self.steps, self.wires, self.clear = [], [], [], b""
        self.flooded = 0
        self.certificate, self.implicit, self.capabilities = certificate, implicit, capabilities
        self.prepare_tls = None         # a function(context)
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
        if self.prepare_tls:
            self.prepare_tls(context)
        assert not wire.input, "bytes came before the handshake"
        wire.socket = context.wrap_socket(wire.socket, server_side=True)
        wire.tls = True

    def authenticate(self, wire, mechanism, first, prompt):
        """The dialogue's challenges are the steps auth, auth2, …; the last step's name and whether the client is in, or None."""
        talk, number = fake_sasl.dialogue(mechanism.upper(), fake_sasl.decode(first) if first else None, self.password), 1
        try:
            challenge = next(talk)
            while wire.say("auth" + (str(number) if number > 1 else ""), prompt + fake_sasl.encode(challenge) + "\r\n"):
                number += 1
                line = wire.line()
                if line == "*":
                    return f"auth{number}", False
                challenge = talk.send(fake_sasl.decode(line))
        except StopIteration as end:
            return "auth" + (str(number) if number > 1 else ""), end.value
        return None


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
                again = "2" if "EHLO" in seen and "AUTH" not in seen and "STARTTLS" not in seen else ""
                wire.say("ehlo" + ("_auth" if "AUTH" in seen else "_tls" if "STARTTLS" in seen else again), self.offers(wire))
            elif verb == "HELO":
                wire.say("helo", "250 fake.example\r\n")
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
            elif verb == "BDAT":
                self.take_chunk(wire, line)
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
        found = self.authenticate(wire, words[1], words[2] if len(words) > 2 else "", "334 ")
        if found:
            wire.say(found[0], "235 2.7.0 in\r\n" if found[1] else "535 5.7.8 no\r\n")

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

    def take_chunk(self, wire, line):
        """A whole message as one chunk."""
        size = int(line.split(" ")[1])
        while len(wire.input) < size:
            data = wire.socket.recv(65536)
            if not data:
                raise Gone()
            wire.input += data
        self.bodies.append(wire.input[:size].decode("latin-1"))
        wire.input = wire.input[size:]
        wire.say("dot", f"250 2.0.0 queued as {len(self.bodies)}\r\n")

    def account(self, **keys):
        return {"account": {"senders": "*"}, "auth": {"username": None, "password": None}, "smtp": dict(self.keys(), **keys)}

    def keys(self):
        return {"host": "127.0.0.1", "port": self.port, "tls": "none", "implicit_tls": "no", "pool_size": 1}
