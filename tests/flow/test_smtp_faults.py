# SPDX-License-Identifier: MIT
"""smtp.send against a server that fails in every way: what the call says must be what happened."""

import socket
import threading
import time

from harness import RpcError, same

BINARY = ["250-fake", "250-PIPELINING", "250-CHUNKING", "250-BINARYMIME", "250 8BITMIME"]
HELLO = ["250-fake", "250-PIPELINING", "250 SIZE 10000000"]


class Server:
    """Speaks SMTP until its script for the connection says otherwise. A script maps a step ("mail", "rcpt", "data", "body",
    "dot") to what happens there: a reply, "close", or a number of seconds to wait before a 250."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.scripts, self.connections, self.bodies, self.lines = [], 0, [], []
        threading.Thread(target=self.accept, daemon=True).start()

    def reset(self, *scripts):
        self.scripts, self.connections, self.bodies, self.lines = list(scripts), 0, [], []

    def accept(self):
        while True:
            conn, _ = self.listener.accept()
            self.connections += 1
            script = self.scripts.pop(0) if self.scripts else {}
            threading.Thread(target=self.serve, args=(conn, script), daemon=True).start()

    def serve(self, conn, script):
        try:
            with conn, conn.makefile("rwb") as stream:
                self.talk(stream, script)
        except (OSError, ValueError):
            pass

    def talk(self, stream, script):
        def say(*lines):
            stream.write("".join(line + "\r\n" for line in lines).encode())
            stream.flush()

        def act(step, usual):
            what = script.pop(step, usual)
            if what == "close":
                raise OSError
            if isinstance(what, (int, float)):
                time.sleep(what)
                what = "250 2.0.0 late"
            say(what)
            return what

        say("220 fake ESMTP")
        for line in stream:
            self.lines.append(line.rstrip(b"\r\n"))
            verb = (line.split() or [b""])[0].upper()[:4]
            if verb == b"EHLO":
                say(*script.get("hello", HELLO))
            elif verb == b"MAIL":
                act("mail", "250 2.1.0 ok")
            elif verb == b"RCPT":
                act("rcpt", "250 2.1.5 ok")
            elif verb == b"DATA":
                if not act("data", "354 go").startswith("354"):
                    continue
                if script.get("body") == "close":
                    raise OSError
                body = []
                for part in stream:
                    if part == b".\r\n":
                        break
                    body.append(part)
                else:
                    return
                self.bodies.append(b"".join(body))
                act("dot", "250 2.0.0 queued")
            elif verb == b"BDAT":
                if not script.get("no-chunk"):
                    self.bodies.append(stream.read(int(line.split()[1])))
                act("chunk", "250 2.0.0 queued")
            elif verb == b"QUIT":
                say("221 bye")
                return
            else:
                say("250 ok")


SERVER = Server()
FAULTY = {"account": {"senders": "*"}, "auth": {"username": None, "password": None},
          "smtp": {"host": "127.0.0.1", "port": lambda flow: SERVER.port, "tls": "none", "implicit_tls": "no", "pool_size": 1, "max_uses": 1}}
ACCOUNTS = {"faulty": FAULTY, "faulty-binary": FAULTY}


def play(flow, *scripts):
    """The server will follow the scripts, one a connection; what it did before is forgiven."""
    SERVER.reset(*scripts)
    client = flow.client()
    client.call("gateway.resume", account="faulty")
    return client


def mail(**more):
    return dict({"account": "faulty", "raw": "Subject: x\n\n" + "line\n" * 50, "envelope": {"from": "a@example.com", "to": ["b@example.com"]}}, **more)


def test_lost_before_the_dot(flow):
    """Connections lost before the final dot are invisible: the mail goes once over another one"""
    for script in ({"mail": "close"}, {"rcpt": "close"}, {"data": "close"}, {"mail": "421 4.3.2 going down"},
                   {"data": "421 4.3.2 going down"}):
        client = play(flow, script)
        same(client.call("smtp.send", **mail())["accepted"], ["b@example.com"], str(script))
        same((SERVER.connections, len(SERVER.bodies)), (2, 1), str(script))


def test_lost_in_the_body(flow):
    """The same in the middle of a long body"""
    client = play(flow, {"body": "close"})
    long = mail(raw="Subject: x\n\n" + ("x" * 900 + "\n") * 6000)
    same((client.call("smtp.send", **long)["accepted"], SERVER.connections, len(SERVER.bodies)), (["b@example.com"], 2, 1))


def test_lost_after_the_dot(flow):
    """A connection lost after the final dot is `unknown`, is not repeated, and its key remembers it"""
    client = play(flow, {"dot": "close"})
    error = client.fails("disconnected", "smtp.send", **mail(idempotency_key="lost"))
    same((error.data["outcome"], error.data["stage"]), ("unknown", "data"))
    error = client.fails("disconnected", "smtp.send", **mail(idempotency_key="lost"))
    same((error.data["outcome"], SERVER.connections, len(SERVER.bodies)), ("unknown", 1, 1))


def test_late_reply(flow):
    """A reply that comes after the call's time corrects what the key remembers"""
    client = play(flow, {"dot": 1.5})
    error = client.fails("timeout", "smtp.send", **mail(idempotency_key="late", timeout=500))
    same(error.data["outcome"], "unknown")
    result = client.call("smtp.send", **mail(idempotency_key="late"))
    same((result["accepted"], result["reply"]["text"], len(SERVER.bodies)), (["b@example.com"], "late", 1))


def test_refused(flow):
    """A refusal at any step is `rejected` with its stage, and says whether later may be better"""
    for script, stage, code, retry in (({"mail": "451 4.3.0 later"}, "mail", 451, "later"), ({"rcpt": "550 5.1.1 no"}, "rcpt", 550, "no"),
                                       ({"data": "554 5.3.0 no"}, "data", 554, "no"), ({"dot": "452 4.3.1 full"}, "data", 452, "later"),
                                       ({"dot": "421 4.3.2 going down"}, "data", 421, "later")):
        error = play(flow, script).fails("rejected", "smtp.send", **mail())
        same((error.data["stage"], error.data["reply"]["code"], error.data["retry"], error.data["outcome"]), (stage, code, retry, "none"), str(script))
        assert error.data["reply"]["enhanced"] and SERVER.connections == 1, (error, SERVER.connections)


def test_broken(flow):
    """A server that breaks the protocol is `protocol`, and the next call works"""
    for script in ({"data": "250 what"}, {"mail": "354 what"}, {"mail": "hello"}, {"rcpt": "250-a\r\n251 b"}, {"rcpt": "250 ok\r\n250 ok\r\n250 ok"}):
        error = play(flow, script, dict(script)).fails("protocol", "smtp.send", **mail())
        same(error.data["outcome"], "none", str(script))
        same(play(flow).call("smtp.send", **mail())["accepted"], ["b@example.com"])


def test_domains_beyond_ascii(flow):
    """Without SMTPUTF8 a domain beyond ASCII is written in ASCII; a local part cannot be, and nothing is sent"""
    client = play(flow)
    envelope = {"from": "a@example.com", "to": ["b@b\u00fccher.example"]}
    same(client.call("smtp.send", **mail(envelope=envelope))["accepted"], envelope["to"])
    assert b"RCPT TO:<b@xn--bcher-kva.example>" in SERVER.lines, SERVER.lines
    for bad in (dict(envelope, to=["\u00e4@example.com"]), dict(envelope, **{"from": "\u00e4@example.com"})):
        client = play(flow)
        error = client.fails("missing_extension", "smtp.send", **mail(envelope=bad))
        same((error.data["outcome"], SERVER.bodies), ("none", []), str(bad))


def test_wishes(flow):
    """What the server cannot promise is not sent without it"""
    for wish, kind in (({"requiretls": True}, "missing_extension"), ({"deliver_by": 60}, "missing_extension"),
                       ({"mt_priority": 3}, "missing_extension"), ({"ret": "hdrs"}, "missing_extension"), ({"notify": ["never"]}, "missing_extension")):
        client = play(flow)
        envelope = dict({"from": "a@example.com", "to": ["b@example.com"]}, **wish)
        same(client.fails(kind, "smtp.send", **mail(envelope=envelope)).data["outcome"], "none", str(wish))
        same(SERVER.bodies, [])


def test_binary(flow):
    """What DATA cannot carry goes as a chunk, byte for byte, where the server takes it, and nowhere else"""
    raw = "Subject: x\nDate: Thu, 1 Jan 2026 00:00:00 +0000\nMessage-ID: <x@example.com>\n\n.\n" + "x" * 3000 + "\n"
    client = play(flow, {"hello": BINARY})
    same(client.call("smtp.send", **mail(account="faulty-binary", raw=raw))["accepted"], ["b@example.com"])
    same(SERVER.bodies, [raw.replace("\n", "\r\n").encode()])
    assert b"MAIL FROM:<a@example.com> BODY=BINARYMIME" in SERVER.lines, SERVER.lines
    client = play(flow)
    same(client.fails("bad_message", "smtp.send", **mail(raw=raw)).data["outcome"], "none")
    same(SERVER.bodies, [])


def test_refused_chunk(flow):
    """A server that refuses a chunk, and reads it as commands: the call is `rejected`, and the connection is not used again"""
    raw = "Subject: x\n\n" + "x" * 1200 + "\nRSET\nMAIL FROM:<evil@example.com>\n"
    client = play(flow, {"hello": BINARY, "no-chunk": True, "chunk": "503 5.5.1 no"}, {})
    numbers = [client.begin("smtp.send", **mail(account="faulty-binary", **more)) for more in ({"raw": raw}, {})]
    try:
        client.finish(numbers[0])
        raise AssertionError("a refused chunk was taken for a success")
    except RpcError as error:
        same((error.kind, error.data["reply"]["code"]), ("rejected", 503))
    same(client.finish(numbers[1])[0]["accepted"], ["b@example.com"])
    same((SERVER.connections, len(SERVER.bodies)), (2, 1))
