# SPDX-License-Identifier: MIT
"""IMAP: COMPRESS=DEFLATE on pooled connections."""

import time
import zlib

from fake_imap import FakeImap
from harness import Skip, memfd, same, text_of

CAPABILITIES = "IMAP4rev1 LITERAL+ UIDPLUS COMPRESS=DEFLATE"


class Wire:
    """A socket that a server compresses on from the moment that it says so."""

    def __init__(self, sock):
        self.sock, self.held, self.out, self.into, self.plain, self.sent = sock, b"", None, None, 0, 0

    def start(self):
        self.out, self.into = zlib.compressobj(6, zlib.DEFLATED, -15), zlib.decompressobj(-15)

    def sendall(self, data):
        self.plain += len(data)
        if self.out:
            data = self.out.compress(data) + self.out.flush(zlib.Z_SYNC_FLUSH)
        self.sent += len(data)
        self.sock.sendall(data)

    def makefile(self, _mode):
        return self

    def fill(self):
        data = self.sock.recv(65536)
        self.held += self.into.decompress(data) if self.into else data
        return bool(data)

    def take(self, size):
        taken, self.held = self.held[:size], self.held[size:]
        return taken

    def readline(self):
        while b"\n" not in self.held:
            if not self.fill():
                return b""
        return self.take(self.held.index(b"\n") + 1)

    def read(self, size):
        while len(self.held) < size and self.fill():
            pass
        return self.take(size)

    def shutdown(self, how):
        self.sock.shutdown(how)


class Compressing(FakeImap):
    def serve(self, wire):
        self.wire = Wire(wire)
        super().serve(self.wire)


def compress(server, wire, tag, line):
    wire.sendall(f"{tag} OK deflate from here\r\n".encode())
    wire.start()


def world(flow, answers, **keys):
    server = Compressing(dict({"COMPRESS": compress}, **answers), capabilities=CAPABILITIES)
    account = server.account()
    account["imap"].update({"compress": "yes"}, **keys)
    return server, flow.own_daemon({"a": account})


def body(size):
    return b"".join(b"line %d of the message, like all the others\r\n" % number for number in range(size))


def test_compressed(flow):
    """Both directions are compressed, bodies of any size come and go whole"""
    large = body(20000)
    answers = {"UID FETCH 1": b"* 1 FETCH (UID 1 BODY[] {%d}\r\n" % len(large) + large + b")\r\n% OK x\r\n", "APPEND": "% OK [APPENDUID 7 9] x\r\n"}
    answers["UID FETCH 1"] = lambda server, wire, tag, line: wire.sendall(b"* 1 FETCH (UID 1 BODY[] {%d}\r\n" % len(large) + large + f")\r\n{tag} OK x\r\n".encode())
    server, daemon = world(flow, answers)
    with server, daemon as daemon, daemon.client() as client:
        for _ in range(3):
            got = client.call("imap.fetch", account="a", uids=[1])["messages"][0]["sections"]["BODY[]"]
            same(text_of(got) == large, True)
        same((server.said("COMPRESS"), server.connections), (["COMPRESS DEFLATE"], 1))
        assert server.wire.sent < server.wire.plain / 5, (server.wire.sent, server.wire.plain)
        descriptor = memfd(b"Subject: x\r\n\r\n" + large)
        same(client.call("imap.append", fds=[descriptor], account="a", raw={"fd": 0})["uid"], 9)
        same(server.said("APPEND")[0].encode("latin-1").rstrip().endswith(large.rstrip()), True)
        pools = [one for one in client.call("gateway.pools")["pools"] if one.get("account") == "a"]
        assert pools, "no pool"


def test_uncompressed(flow):
    """Nothing is compressed where it is disabled, not asked for or refused, nor in sessions"""
    answers = {"UID SEARCH": "* SEARCH 4\r\n% OK x\r\n"}
    for keys, said in (({"disable": "COMPRESS"}, 0), ({"compress": "no"}, 0), ({}, 1)):
        server, daemon = world(flow, answers, **keys)
        if said:
            server.answers["COMPRESS"] = "% NO [COMPRESSIONACTIVE] x\r\n"
        with server, daemon as daemon, daemon.client() as client:
            same((client.call("imap.search", account="a", query="ALL")["uids"], len(server.said("COMPRESS"))), ([4], said), keys)
    server, daemon = world(flow, answers)
    with server, daemon as daemon, daemon.client() as client:
        session = client.call("imap.open", account="a")["session"]
        client.call("imap.select", session=session)
        same((client.call("imap.search", session=session, query="ALL")["uids"], server.said("COMPRESS")), ([4], []))
        client.call("imap.logout", session=session)


def test_bombs(flow):
    """What a server compresses takes no more memory than what it would say in plain, and what is no deflate is an error"""
    def bomb(server, wire, tag, line):
        packer = wire.out
        zeros = b"x" * (1 << 20)
        wire.sock.sendall(packer.compress(b"* OK "))
        for _ in range(600):
            wire.sock.sendall(packer.compress(zeros))
        wire.sock.sendall(packer.flush(zlib.Z_SYNC_FLUSH))
    server, daemon = world(flow, {"UID SEARCH": bomb}, timeout="10s")
    with server, daemon as daemon, daemon.client() as client:
        client.fails("missing_extension", "imap.getacl", account="a")
        before = daemon.memory()
        client.fails("protocol", "imap.search", account="a", query="ALL")
        assert daemon.memory() - before < 40_000_000, (before, daemon.memory())
    for wrong in (b"no deflate at all, as plain as it can be\r\n" * 20, zlib.compressobj(6, zlib.DEFLATED, -15).flush()):
        server, daemon = world(flow, {"UID SEARCH": lambda server, wire, tag, line, wrong=wrong: wire.sock.sendall(wrong)})
        with server, daemon as daemon, daemon.client() as client:
            error = client.fails("protocol", "imap.search", account="a", query="ALL")
            assert "compressed" in error.message, error


def test_lost(flow):
    """Outcomes are as exact as in plain: what was not written is done again, what was is not known"""
    def vanish(server, wire, tag, line):
        if server.connections < 3:
            wire.shutdown(2)
        else:
            wire.sendall(f"{tag} OK x\r\n".encode())
    server, daemon = world(flow, {"UID STORE": vanish})
    with server, daemon as daemon, daemon.client() as client:
        client.call("imap.search", account="a", query="ALL")
        same(client.fails("disconnected", "imap.store", account="a", uids=[1], command="+FLAGS.SILENT", flags="\\Seen").data["outcome"], "unknown")
        same(len(server.said("UID STORE")), 1)
        server.wire.shutdown(2) if server.connections > 1 else None
        time.sleep(0.1)
        client.call("imap.search", account="a", query="ALL")


def test_real_server(flow):
    """The mail server's own compression is understood"""
    user = flow.user()
    flow.put(user, *[flow.letter("bob@example.com", f"number {number}", "hello\n" * 3000) for number in range(1, 6)])
    account = flow.account(user)
    account["imap"]["compress"] = "yes"
    with flow.own_daemon({"a": account}) as daemon, daemon.client() as client:
        if "COMPRESS=DEFLATE" not in client.call("imap.capability", account="a")["capabilities"]:
            raise Skip("the server does not offer it")
        for _ in range(3):
            messages = client.call("imap.fetch", account="a", uids="1:*")["messages"]
            same([len(text_of(one["sections"]["BODY[]"])) > 18000 for one in messages], [True] * 5)
