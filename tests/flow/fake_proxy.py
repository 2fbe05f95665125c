# SPDX-License-Identifier: MIT
"""Proxies that do what a test wants: SOCKS 4, 4a and 5, HTTP CONNECT, and that over TLS. Scripts are those of fake_mail.py."""

import contextlib
import socket
import ssl

from fake_mail import FakeMail, Gone
from harness import ready

PASSWORD = "tor-und-riegel"     # the proxy's own
GRANTED = {"socks4": "\0\x5a" + "\0" * 6, "socks5": "\5\0\0\1" + "\0" * 6, "http": "HTTP/1.1 200 yes\r\nVia: fake\r\n\r\n"}
FAMILY = {"socks4": "socks4", "socks4a": "socks4", "socks5": "socks5", "socks5h": "socks5", "http": "http", "https": "http"}


class FakeProxy(FakeMail):
    """Steps: handshake (of an https proxy), method and auth (SOCKS 5), connect, again (HTTP, behind a 407). `asked` holds what tunnels were asked for: (host,
    port) of which the host is bytes of an address or a name. Behind `connect` bytes go to the server at `target`. `clear` is all that came."""

    def __init__(self, scheme, target, *scripts, named=False, **more):
        self.scheme, self.target, self.named, self.asked = scheme, target, named, []
        super().__init__(*scripts, implicit=scheme == "https", **more)

    def take(self, wire, count=None):
        """So many bytes, or those before a NUL."""
        while (len(wire.input) < count) if count is not None else (b"\0" not in wire.input):
            self.more(wire)
        if count is None:
            piece, _, wire.input = wire.input.partition(b"\0")
        else:
            piece, wire.input = wire.input[:count], wire.input[count:]
        return piece

    def more(self, wire):
        data = wire.socket.recv(65536)
        if not data:
            wire.ended = True
            raise Gone()
        self.clear += data
        wire.input += data

    def talk(self, wire):
        getattr(self, "talk_" + FAMILY[self.scheme])(wire)
        self.carry(wire)

    def talk_socks4(self, wire):
        head = self.take(wire, 8)
        assert head[:2] == b"\4\1", head
        self.lines.append(self.take(wire).decode())
        host = self.take(wire) if self.scheme == "socks4a" and head[4:7] == b"\0\0\0" else head[4:]
        self.asked.append((host, int.from_bytes(head[2:4], "big")))
        self.grant(wire)

    def talk_socks5(self, wire):
        version, count = self.take(wire, 2)
        methods = self.take(wire, count)
        assert version == 5 and (2 in methods) == self.named, methods
        wire.say("method", "\5\2" if self.named else "\5\0")
        if self.named:
            user = self.take(wire, self.take(wire, 2)[1])
            password = self.take(wire, self.take(wire, 1)[0])
            self.lines.append(user.decode())
            wire.say("auth", "\1\0" if password.decode() == PASSWORD else "\1\1")
        kind = self.take(wire, 4)[3]
        host = self.take(wire, self.take(wire, 1)[0] if kind == 3 else {1: 4, 4: 16}[kind])
        self.asked.append((host, int.from_bytes(self.take(wire, 2), "big")))
        self.grant(wire)

    def talk_http(self, wire):
        step = "connect"
        while True:
            while b"\r\n\r\n" not in wire.input:
                self.more(wire)
            head, _, wire.input = wire.input.partition(b"\r\n\r\n")
            verb, where, _ = head.split(b"\r\n")[0].split(b" ")
            assert verb == b"CONNECT", head
            host, _, port = where.rpartition(b":")
            self.asked.append((host, int(port)))
            act = wire.script.get(step, self.always.get(step))
            wire.say(step, GRANTED["http"])
            if not isinstance(act, str) or not act.startswith("HTTP/1.1 407"):
                return
            step = "again"      # who was asked for a name may ask on the same connection

    def grant(self, wire):
        wire.say("connect", GRANTED[FAMILY[self.scheme]])

    def carry(self, wire):
        """To the server and back, until one of them ends it."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.target)) as server:
            if wire.input:
                server.sendall(wire.input)
            while True:
                for one in ready([wire.socket, server], seconds=20)[0]:
                    try:
                        data = one.recv(1 << 16)
                        while isinstance(one, ssl.SSLSocket) and one.pending():
                            data += one.recv(one.pending())
                    except ConnectionResetError:
                        data = b""
                    if not data:
                        wire.ended = wire.ended or one is wire.socket
                        raise Gone()
                    if one is wire.socket:
                        self.clear += data
                        server.sendall(data)
                    else:
                        wire.socket.sendall(data)

    def keys(self, host, flow):
        """Of a protocol's section: where this proxy is, and how to name oneself to it."""
        found = {"host": host, "port": self.target, "proxy": f"{self.scheme}://localhost:{self.port}"}
        if self.named:
            found.update(proxy_username="ann", proxy_password=PASSWORD)
        if self.scheme == "https":
            found["ca_file"] = flow.mail.ca_file
        return found
