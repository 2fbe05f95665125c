# SPDX-License-Identifier: MIT
"""SMTP sessions without a connection: the test carries the bytes, to nobody or to a real server."""

import base64
import json
import socket
import ssl

from harness import INVALID_PARAMS, memfd, read_all, same, text_of

ACCOUNTS = {
    "carried": {"account": {"senders": "ann@example.com"}, "smtp": {"domain": "me.example", "disable": "SIZE"}},
    "carried-raw": {"account": {"permit": "send"}},
}
EHLO = "250-fake.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN SCRAM-SHA-256\r\n"


class Manual:
    """A session without a connection."""

    def __init__(self, client, **where):
        self.client = client
        answer = client.call("smtp.open", manual=True, **where)
        same(answer["state"], "greeting_expected")
        self.session = answer["session"]

    def call(self, method, **params):
        return self.client.call(f"smtp.{method}", session=self.session, **params)

    def say(self, method, **params):
        """The bytes to send."""
        return text_of(self.call(method, **params)["output"])

    def feed(self, raw):
        return self.call("feed_bytes", raw=raw)

    def state(self):
        return self.call("state")["state"]

    def out_of_place(self, state, method, **params):
        error = self.client.fails(INVALID_PARAMS, f"smtp.{method}", session=self.session, **params)
        assert state in error.message, error.message

    def greeted(self, ehlo=EHLO):
        self.feed("220 fake ESMTP\r\n")
        self.say("ehlo")
        self.feed(ehlo)
        return self


def test_whole_dialogue(flow):
    """From the greeting to the end, byte by byte, without an account; the states are smtpproto's"""
    manual = Manual(flow.client())
    manual.out_of_place("greeting_expected", "send_greeting", domain="me.example")
    same(manual.feed("220-fa")["answers"], [])
    fed = manual.feed("ke\r\n220 ESMTP\r\n")
    same(fed["answers"], [{"command": "greeting", "code": 220, "enhanced": None, "lines": ["fake", "ESMTP"]}])
    same((fed["state"], fed["closed"], fed["start_tls"], text_of(fed["output"])), ("greeting_received", False, False, b""))
    manual.out_of_place("greeting_received", "mail", **{"from": "ann@example.com"})
    same(manual.call("send_greeting", domain="me.example"), {"output": {"text": "EHLO me.example\r\n", "size": 17}, "state": "greeting_received"})
    manual.out_of_place("send_greeting", "noop")
    for byte in EHLO[:-1]:
        same(manual.feed(byte)["answers"], [])
    same(manual.feed("\n")["answers"][0]["command"], "send_greeting")
    same(manual.state(), "ready")
    same(manual.call("has_extn", name="size"), {"present": True, "params": "1000"})
    same(manual.call("max_message_size")["size"], 1000)
    same(manual.call("auth_mechanisms")["mechanisms"], ["PLAIN", "LOGIN", "SCRAM-SHA-256"])
    manual.out_of_place("ready", "recipient", to="bob@example.com")
    same(manual.say("mail", size=40, **{"from": "eve@example.com"}), b"MAIL FROM:<eve@example.com> SIZE=40\r\n")
    same(manual.state(), "ready")
    same(manual.feed("250 2.1.0 ok\r\n")["answers"], [{"command": "mail", "code": 250, "enhanced": "2.1.0", "lines": ["ok"]}])
    manual.out_of_place("mailtx", "start_data")
    same(manual.say("recipient", to="nobody@example.com"), b"RCPT TO:<nobody@example.com>\r\n")
    fed = manual.feed("550 5.1.1 no\r\n")
    same((fed["answers"][0]["code"], fed["state"]), (550, "mailtx"))
    manual.say("recipient", to="bob@example.com")
    same(manual.feed("250 ok\r\n")["state"], "recipient_sent")
    manual.out_of_place("recipient_sent", "data", raw="Subject: x\n\nx\n")
    same(manual.say("start_data"), b"DATA\r\n")
    same(manual.feed("354 go\r\n")["state"], "send_data")
    answer = manual.call("data", raw="Subject: x\n\n.dot\nend")
    same((text_of(answer["output"]), answer["state"]), (b"Subject: x\r\n\r\n..dot\r\nend\r\n.\r\n", "data_sent"))
    fed = manual.feed("250 2.0.0 queued\r\n")
    same((fed["answers"][0]["command"], fed["answers"][0]["code"], fed["state"]), ("data", 250, "ready"))
    same(manual.say("rset"), b"RSET\r\n")
    manual.feed("250 ok\r\n")
    same(manual.say("docmd", command="XYZZY now"), b"XYZZY now\r\n")
    same(manual.feed("500 what\r\n")["answers"][0]["code"], 500)
    same(manual.say("quit"), b"QUIT\r\n")
    manual.client.fails("no_such_session", "smtp.state", session=manual.session)


def test_account(flow):
    """An account lends its name, what it disables and its rights, and nothing of its credentials"""
    client = flow.client()
    manual = Manual(client, account="carried")
    manual.feed("220 hello\r\n")
    same(manual.say("ehlo"), b"EHLO me.example\r\n")
    manual.feed(EHLO)
    same(manual.call("has_extn", name="SIZE")["present"], False)
    same(manual.say("mail", **{"from": "anybody@example.net"}), b"MAIL FROM:<anybody@example.net>\r\n")
    raw = Manual(client, account="carried-raw").greeted()
    client.fails("denied", "smtp.docmd", session=raw.session, command="NOOP")
    client.fails(INVALID_PARAMS, "smtp.open")
    client.fails("no_such_account", "smtp.open", manual=True, account="nobody-at-all")
    client.fails(INVALID_PARAMS, "smtp.open", manual=True, session=raw.session)
    shown = [one for one in client.call("gateway.sessions")["sessions"] if one["protocol"] == "smtp"]
    same(sorted(one["account"] for one in shown), ["carried", "carried-raw"])


def test_no_connection(flow):
    """What needs a connection says that there is none; a session with one is not fed"""
    client = flow.client()
    manual = Manual(client).greeted()
    letter = {"raw": "Subject: x\n\nx\n", "envelope": {"from": "ann@example.com", "to": ["bob@example.com"]}}
    for method, params in (("send", letter), ("verify", {"address": "bob"}), ("connect", {}), ("get_handle", {}), ("socket", {}),
                           ("sendmail", {"from": "ann@example.com", "to": ["bob@example.com"], "raw": "Subject: x\n\nx\n"})):
        error = client.fails(INVALID_PARAMS, f"smtp.{method}", session=manual.session, **params)
        assert "connection" in error.message, error.message
    session = client.call("smtp.open", account="ann")["session"]
    client.fails(INVALID_PARAMS, "smtp.feed_bytes", session=session, raw="250 ok\r\n")
    client.call("smtp.quit", session=session)
    client.fails(INVALID_PARAMS, "imap.noop", session=manual.session)


def test_violations(flow):
    """What breaks the protocol ends the dialogue: finished, by an error that says why"""
    client = flow.client()
    for stage, bytes_ in (("greeting", "no greeting\r\n"), ("greeting", "250-x\r\n220 y\r\n"), ("mail", "354 go\r\n"), ("mail", "250 ok\r\n250 again\r\n"),
                          ("idle", "250 to nothing\r\n"), ("mail", "xyz\r\n"), ("starttls", "220 go\r\n220 injected\r\n")):
        manual = Manual(client)
        if stage != "greeting":
            manual.greeted()
        if stage == "mail":
            manual.say("mail", **{"from": "ann@example.com"})
        if stage == "starttls":
            same(manual.say("start_tls"), b"STARTTLS\r\n")
        error = client.fails("protocol", "smtp.feed_bytes", session=manual.session, raw=bytes_)
        same(error.data["protocol"], "smtp")
        same(manual.state(), "finished")
        manual.out_of_place("finished", "noop")
        manual.out_of_place("finished", "feed_bytes", raw="250 ok\r\n")
        same(manual.say("quit"), b"")
    for bytes_, code in (("554 go away\r\n", 554), ("421 not now\r\n", 421)):
        manual = Manual(client)
        error = client.fails("rejected", "smtp.feed_bytes", session=manual.session, raw=bytes_)
        same((error.data["stage"], error.data["reply"]["code"], manual.state()), ("greeting", code, "finished"))
        manual.call("quit")
    manual = Manual(client).greeted()
    fed = manual.feed("421 4.3.2 closing\r\n")
    same((fed["answers"], fed["closed"], fed["state"]), ([{"command": None, "code": 421, "enhanced": "4.3.2", "lines": ["closing"]}], True, "finished"))
    manual.call("quit")


def test_logins(flow):
    """Logging in by steps, and whole, SCRAM with its key derived by the daemon"""
    client = flow.client()
    manual = Manual(client).greeted()
    client.fails("unsupported_mechanism", "smtp.authenticate", session=manual.session, mechanism="GSSAPI")
    same(manual.say("authenticate", mechanism="LOGIN"), b"AUTH LOGIN\r\n")
    fed = manual.feed("334 VXNlcm5hbWU6\r\n")
    same((fed["state"], fed["answers"][0]["code"], fed["answers"][0]["lines"]), ("authenticating", 334, ["VXNlcm5hbWU6"]))
    manual.out_of_place("authenticating", "noop")
    same(manual.say("send_authentication_data", data="YW5u"), b"YW5u\r\n")
    manual.feed("334 UGFzc3dvcmQ6\r\n")
    manual.say("send_authentication_data", data="eA==")
    fed = manual.feed("535 5.7.8 no\r\n")
    same((fed["answers"][0]["code"], fed["state"]), (535, "ready"))
    manual.say("authenticate", mechanism="PLAIN", secret="AGFubgB4")
    same(manual.feed("235 2.7.0 yes\r\n")["state"], "authenticated")
    manual.say("mail", **{"from": ""})
    same(manual.feed("250 ok\r\n")["state"], "mailtx")
    manual.call("quit")
    # RFC 7677's dialogue but for the client's nonce, which is ours
    manual = Manual(client).greeted()
    first = manual.say("login", username="user", password="pencil")
    assert first.startswith(b"AUTH SCRAM-SHA-256 "), first
    said = base64.b64decode(first.split()[2]).decode()
    nonce = said.rpartition("r=")[2]
    challenge = base64.b64encode(f"r={nonce}server,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".encode()).decode()
    fed = manual.feed(f"334 {challenge}\r\n")
    same((fed["answers"], fed["state"]), ([], "authenticating"))
    final = base64.b64decode(text_of(fed["output"])).decode()
    assert final.startswith(f"c=biws,r={nonce}server,p="), final
    error = client.fails("protocol", "smtp.feed_bytes", session=manual.session, raw="235 2.7.0 yes\r\n")
    assert "password" in error.message, error.message
    manual.call("quit")


def test_forms(flow):
    """Bytes go in and out in every form of Content; long messages too"""
    client = flow.client()
    manual = Manual(client)
    client.call("smtp.feed_bytes", fds=[memfd(b"220 hello\r\n")], session=manual.session, raw={"fd": 0})
    same(manual.call("ehlo", domain="x.example", content="base64")["output"], {"base64": base64.b64encode(b"EHLO x.example\r\n").decode(), "size": 16})
    manual.feed({"base64": base64.b64encode(EHLO.replace("SIZE 1000", "SIZE").encode()).decode()})
    manual.say("mail", **{"from": "ann@example.com"})
    manual.feed("250 ok\r\n")
    manual.say("rcpt", to="bob@example.com")
    manual.feed("250 ok\r\n")
    manual.say("start_data")
    manual.feed("354 go\r\n")
    line = b".x" * 30 + b"\r\n"
    long = b"Subject: long\r\n\r\n" + line * 100_000
    answer, descriptors = client.call_fds("smtp.data", fds=[memfd(long)], session=manual.session, raw={"fd": 0}, content="fd")
    same(read_all(descriptors[0]), b"Subject: long\r\n\r\n" + (b"." + line) * 100_000 + b".\r\n")
    same(answer["state"], "data_sent")
    same(manual.feed("250 ok\r\n")["state"], "ready")


def test_cut_short(flow):
    """A message that is given up while it is written ends the dialogue; a session that ends meanwhile leaves nothing behind"""
    client = flow.client()
    long = b"Subject: long\r\n\r\n" + b"x" * 70 + b"\r\n"
    for way in ("cancel", "quit", "close"):
        other = flow.client()
        manual = Manual(other).greeted(EHLO.replace("SIZE 1000", "SIZE"))
        for method, params, reply in (("mail", {"from": "ann@example.com"}, "250"), ("rcpt", {"to": "bob@example.com"}, "250"), ("start_data", {}, "354")):
            manual.say(method, **params)
            manual.feed(f"{reply} ok\r\n")
        number = other.begin("smtp.data", fds=[memfd(long + b"y" * 76 + b"\r\n" * 20_000_000)], session=manual.session, raw={"fd": 0}, content="fd")
        if way == "cancel":
            other.call("rpc.cancel", id=number)
            assert manual.state() in ("send_data", "finished", "data_sent")
        elif way == "quit":
            administrator = flow.client()
            for one in administrator.call("gateway.sessions")["sessions"]:
                if one["account"] is None:
                    administrator.call("gateway.close", session=one["session"])
        else:
            other.close()
    client.call("gateway.ping")


def test_trace(flow):
    """set_debuglevel shows the lines, without secrets"""
    manual = Manual(flow.client()).greeted()
    manual.call("set_debuglevel", level=1)
    manual.say("authenticate", mechanism="PLAIN", secret="AGFubgB4")
    manual.feed("235 yes\r\n")
    manual.call("set_debuglevel", level=0)
    manual.say("noop")
    lines = [(note["params"]["outgoing"], note["params"]["line"]) for note in manual.client.notes if note["method"] == "trace"]
    same([outgoing for outgoing, _ in lines], [True, False])
    assert "AGFubgB4" not in json.dumps(lines) and lines[0][1].startswith("AUTH PLAIN") and lines[1][1] == "235 yes", lines


def test_carried_to_a_server(flow):
    """The bytes, carried to a real server by hand and through TLS of the test's own, deliver a mail"""
    user, client = flow.user(), flow.client()
    address = flow.mail.address(user)
    manual = Manual(client)
    wire = socket.create_connection(("localhost", flow.mail.ports["submission"]), timeout=20)

    def hear():
        while True:
            fed = manual.feed({"base64": base64.b64encode(wire.recv(65536)).decode()})
            wire.sendall(text_of(fed["output"]))
            if fed["answers"]:
                return fed

    def ask(method, **params):
        wire.sendall(manual.say(method, **params))
        return hear()

    hear()
    ask("ehlo", domain="me.example")
    same(ask("start_tls")["start_tls"], True)
    same(manual.state(), "greeting_received")
    wire = ssl.create_default_context(cafile=flow.mail.ca_file).wrap_socket(wire, server_hostname="localhost")
    manual.out_of_place("greeting_received", "mail", **{"from": "ann@example.com"})
    ask("send_greeting", domain="me.example")
    client.fails(INVALID_PARAMS, "smtp.start_tls", session=manual.session)
    same(ask("login", username="ann", password=flow.mail.users["ann"])["answers"][-1]["code"], 235)
    ask("mail", **{"from": "ann@example.com"})
    ask("recipient", to=address)
    ask("start_data")
    same(ask("data", raw=flow.letter(address, "carried").decode())["state"], "ready")
    wire.sendall(manual.say("quit"))
    wire.close()
    same(flow.arrived(user), ["carried"])


def test_half_closed(flow):
    """A client that says no more gets its answers and the end, though a command waits for its reply and mails were put aside"""
    for what in ("command", "mails"):
        client = flow.client()
        if what == "command":
            Manual(client).greeted().say("mail", **{"from": "ann@example.com"})
        else:
            session = client.call("smtp.open", account="ann")["session"]
            client.call("smtp.add_message", session=session, message={"from": "ann@example.com", "to": "bob@example.com", "text": "x"})
        client.socket.shutdown(socket.SHUT_WR)
        client.until_closed()
