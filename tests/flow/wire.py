# SPDX-License-Identifier: MIT
"""A recording relay between the daemon and a real mail server.

It ends the daemon's TLS with the servers' good certificate and speaks TLS to the server by itself, so that what was said can be
looked at. A relay for a port with STARTTLS reads along in clear, and does the same on both sides when the server agrees.
Records are lists of (who, bytes) in the order in which the pieces came: who is "C" for the daemon, "S" for the server."""

import contextlib
import re
import socket
import ssl
import struct
import threading
import zlib

from harness import ready

PIECE = 1 << 16
AHEAD_MAX = 1 << 20     # a side that does not read is not read for
AGREED = {"smtp": (rb"STARTTLS\r\n", rb"220[ -]"), "pop3": (rb"STLS\r\n", rb"\+OK"), "imap": (rb"\S+ STARTTLS\r\n", rb"\S+ OK")}


class Side:
    """One socket of a connection, with or without TLS."""

    def __init__(self, sock):
        self.socket = sock
        self.tls = None
        self.shaken = True          # hands, in TLS
        self.output, self.held = b"", b""
        self.at_end = False
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start_tls(self, context, **more):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, **more)
        self.shaken = False
        self.handshake()

    def handshake(self):
        try:
            self.tls.do_handshake()
            self.shaken = True
        except ssl.SSLWantReadError:
            pass
        self.output += self.outgoing.read()
        if self.shaken and self.held:
            held, self.held = self.held, b""
            self.write(held)

    def write(self, data):
        if not self.tls:
            self.output += data
        elif not self.shaken:
            self.held += data
        else:
            self.tls.write(data)
            self.output += self.outgoing.read()

    def flush(self):
        if self.output:
            with contextlib.suppress(BlockingIOError):
                self.output = self.output[self.socket.send(self.output):]

    def read(self):
        """What came, in clear; sets at_end."""
        try:
            data = self.socket.recv(PIECE)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)     # the relay adds no delay of its own
        except BlockingIOError:
            return b""
        if not data:
            self.at_end = True
        if not self.tls:
            return data
        if data:
            self.incoming.write(data)
        return self.decrypted()

    def decrypted(self):
        if not self.shaken:
            self.handshake()
            if not self.shaken:
                return b""
        clear = b""
        try:
            while piece := self.tls.read(PIECE):
                clear += piece
            self.at_end = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:        # ended without a closing alert
            self.at_end = True
        self.output += self.outgoing.read()
        return clear


class Record:
    """What was said on one connection."""

    def __init__(self):
        self.pieces = []
        self.over = False
        self.version = None         # of the daemon's TLS
        self.compressing, self.inflate = False, None

    def add(self, who, data):
        """A piece, without the compression that the two may have agreed on (RFC 4978)."""
        if self.inflate:
            data = self.inflate[who].decompress(data)
        elif who == "C":
            self.compressing = re.fullmatch(rb"\S+ COMPRESS DEFLATE\r\n", data) is not None
        elif self.compressing and re.match(rb"\S+ OK", data):
            self.inflate = {side: zlib.decompressobj(-15) for side in "CS"}
        self.pieces.append((who, data))

    def said(self, who="C"):
        """All bytes of one side."""
        return b"".join(data for one, data in self.pieces if one == who)


class Relay:
    def __init__(self, protocol, target, certificate, ca_file, implicit):
        self.protocol, self.target, self.implicit = protocol, target, implicit
        self.for_daemon = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.for_daemon.load_cert_chain(certificate["certificate"], certificate["key"])
        self.for_server = ssl.create_default_context(cafile=ca_file)
        self.records, self.live = [], {}
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.drop()

    def drop(self, reset=False):
        """Ends all connections, as a server does that is restarted; returns how many there were."""
        with self.lock:
            found = list(self.live.values())
            for sides in found:
                if reset:
                    sides[0].socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                for side in sides:
                    side.at_end = True
                    with contextlib.suppress(OSError):
                        side.socket.shutdown(socket.SHUT_RDWR if not reset or side is sides[1] else socket.SHUT_RD)
        return len(found)

    def mark(self):
        return {id(record): len(record.pieces) for record in self.records}

    def since(self, mark):
        """What was said on each connection since then, where anything was."""
        found = []
        for record in list(self.records):
            later = record.pieces[mark.get(id(record), 0):]
            if later:
                part = Record()
                part.pieces, part.over, part.begun = later, record.over, id(record) not in mark
                found.append(part)
        return found

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(sock,), daemon=True).start()

    def _carry(self, sock):
        record = Record()
        try:
            daemon, server = Side(sock), Side(socket.create_connection(self.target))
        except OSError:
            sock.close()
            return
        sides = (daemon, server)
        with self.lock:
            self.live[id(record)] = sides
        self.records.append(record)
        try:
            if self.implicit:
                daemon.start_tls(self.for_daemon, server_side=True)
                server.start_tls(self.for_server, server_hostname="localhost")
            self._relay(record, daemon, server)
        except OSError:
            pass
        finally:
            with self.lock:
                del self.live[id(record)]
            record.over = True
            if daemon.tls and daemon.shaken:
                record.version = daemon.tls.version()
            for side in sides:
                with contextlib.suppress(OSError):
                    side.flush()
                side.socket.close()

    def _relay(self, record, daemon, server):
        asked = False
        while not daemon.at_end and not server.at_end:
            reading = [side.socket for side, other in ((daemon, server), (server, daemon)) if len(other.output) + len(other.held) < AHEAD_MAX]
            writing = [side.socket for side in (daemon, server) if side.output]
            readable, writable = ready(reading, writing, 60)
            for side, other, who in ((daemon, server, "C"), (server, daemon, "S")):
                if side.socket in writable:
                    side.flush()
                if side.socket not in readable:
                    continue
                data = side.read()
                if data:
                    record.add(who, data)
                    other.write(data)
                    other.flush()
                    if not self.implicit and not daemon.tls:
                        command, agreed = AGREED[self.protocol]
                        if who == "C":
                            asked = re.fullmatch(command, data, re.I) is not None
                        elif asked and re.match(agreed, data, re.I):
                            self._both_start(daemon, server)
        for side in (daemon, server):       # what is still to be told
            side.socket.setblocking(True)
            side.socket.settimeout(2)
            with contextlib.suppress(OSError):
                if side.output:
                    side.socket.sendall(side.output)
                    side.output = b""

    def _both_start(self, daemon, server):
        daemon.socket.setblocking(True)
        while daemon.output:
            daemon.flush()
        daemon.socket.setblocking(False)
        daemon.start_tls(self.for_daemon, server_side=True)
        server.start_tls(self.for_server, server_hostname="localhost")
