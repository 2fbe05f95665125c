# SPDX-License-Identifier: MIT
"""IMAP servers that are broken, odd or hostile."""

import contextlib
import json
import time

from fake_imap import FakeImap
from harness import INVALID_PARAMS, RpcError, same, text_of


@contextlib.contextmanager
def against(flow, answers=None, **more):
    """A server that answers so, and a client of a daemon whose account `a` it is."""
    with FakeImap(answers, **more) as server, flow.own_daemon({"a": server.account()}) as daemon:
        client = daemon.client()
        try:
            yield server, client
            client.call("gateway.ping")
        finally:
            client.close()


def fetch(client, **params):
    return client.call("imap.fetch", **dict({"account": "a", "uids": "1:3", "items": ["FLAGS", "BODY.PEEK[]"]}, **params))


def test_wrong_messages(flow):
    """What was not asked for, has no UID or comes twice is not reported"""
    big = "x" * 9000
    answer = ("* 1 FETCH (UID 1 FLAGS () BODY[] {3}\r\none)\r\n* 9 FETCH (UID 9 FLAGS () BODY[] \"nine\")\r\n"
              "* 2 FETCH (FLAGS () BODY[] \"nobody\")\r\n* 1 FETCH (UID 1 FLAGS () BODY[] \"again\")\r\n"
              f"* 8 FETCH (UID 8 BODY[] {{9000}}\r\n{big})\r\n* 3 EXPUNGE\r\n* 0 EXPUNGE\r\n* 999999 EXPUNGE\r\n+ surprise\r\n"
              f"* 2 FETCH (BODY[] {{9000}}\r\n{big} UID 77)\r\n* 2 FETCH (FLAGS (\\Seen) UID 2)\r\n"
              f"* 2 FETCH (BODY[] {{9000}}\r\n{big} UID 2 FLAGS (\\Seen))\r\n* 3 FETCH (UID 3 FLAGS () BODY[] NIL)\r\n% OK x\r\n")
    with against(flow, {"UID FETCH": answer}) as (server, client):
        messages = fetch(client)["messages"]
        same([one["uid"] for one in messages], [1, 2, 3])
        same(text_of(messages[0]["sections"]["BODY[]"]), b"one")
        same((messages[1]["flags"], messages[1]["sections"]["BODY[]"]["size"]), (["\\Seen"], 9000))
        same(messages[2]["sections"], {"BODY[]": None})


# What a server may say of an item that nobody can understand: the item, its member in the message, the bytes.
NOT_UNDERSTOOD = [
    ("ENVELOPE", "envelope", "NIL"), ("ENVELOPE", "envelope", "\"text\""), ("ENVELOPE", "envelope", "()"),
    ("ENVELOPE", "envelope", "(NIL NIL NIL NIL)"), ("ENVELOPE", "envelope", "(NIL (a) NIL NIL NIL NIL NIL NIL NIL NIL)"),
    ("ENVELOPE", "envelope", "(NIL NIL \"a@x\" NIL NIL NIL NIL NIL NIL NIL)"),
    ("ENVELOPE", "envelope", "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"),
    ("BODYSTRUCTURE", "bodystructure", "NIL"), ("BODYSTRUCTURE", "bodystructure", "()"), ("BODYSTRUCTURE", "bodystructure", "(NIL)"),
    ("BODYSTRUCTURE", "bodystructure", "(\"text\" \"plain\")"),
    ("BODYSTRUCTURE", "bodystructure", "(\"text\" \"plain\" NIL NIL NIL \"7bit\" many 1)"),
    ("BODYSTRUCTURE", "bodystructure", "(\"text\" \"plain\" \"charset\" NIL NIL \"7bit\" 1 1)"),
    ("BODYSTRUCTURE", "bodystructure", "(\"text\" \"plain\" (\"charset\") NIL NIL \"7bit\" 1 1)"),
    ("BODYSTRUCTURE", "bodystructure", "((\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 1) (a))"),
    ("BODYSTRUCTURE", "bodystructure", "(\"x-zip\" (\"boundary\" \"\"))"),
    ("BODYSTRUCTURE", "bodystructure", "((\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 1)(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 9 (NIL) "
     "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 1) 2) \"mixed\")"),
    ("BODYSTRUCTURE", "bodystructure", "(" * 101 + "\"a\" \"b\" NIL NIL NIL \"7bit\" 1" + ")" * 101),
    ("INTERNALDATE", "internaldate", "NIL"), ("INTERNALDATE", "internaldate", "\"nonsense\""), ("INTERNALDATE", "internaldate", "(1)"),
    ("INTERNALDATE", "internaldate", "\"99-Foo-2026 25:61:00 +0000\""),
    ("RFC822.SIZE", "size", "-5"), ("RFC822.SIZE", "size", "18446744073709551616"), ("RFC822.SIZE", "size", "9223372036854775808"),
    ("RFC822.SIZE", "size", "NIL"), ("RFC822.SIZE", "size", "(1)"), ("RFC822.SIZE", "size", "1x"),
    ("MODSEQ", "modseq", "(x)"), ("MODSEQ", "modseq", "(99999999999999999999)"), ("MODSEQ", "modseq", "()"),
    ("BODY[TEXT]", None, "(a b)"),
    # nothing here closes, and still the items behind it are delivered
    ("BODYSTRUCTURE", "bodystructure", "((\"text\" (\"x\")"), ("ENVELOPE", "envelope", "(NIL \"open"), ("X-ODD", None, "(((a"),
]


def test_odd_items(flow):
    """An item that cannot be understood is null, its bytes are kept, and all else of the message and of the others is delivered"""
    answer = "".join(f"* {uid} FETCH (UID {uid} {item} {value} FLAGS (\\Seen f{uid}) X-MORE 1)\r\n" for uid, (item, _, value) in enumerate(NOT_UNDERSTOOD, 1))
    last = len(NOT_UNDERSTOOD) + 1
    answer += f"* {last} FETCH (UID {last} FLAGS (\\Seen (a) \"b\") RFC822.SIZE 9)\r\n* {last + 1} FETCH (UID {last + 1} RFC822.SIZE 8)) FLAGS (x))\r\n% OK x\r\n"
    with against(flow, {"UID FETCH": answer}) as (server, client):
        messages = fetch(client, uids="1:*", items=["ENVELOPE", "BODYSTRUCTURE", "INTERNALDATE", "RFC822.SIZE", "FLAGS"])["messages"]
        same([one["uid"] for one in messages], list(range(1, last + 2)))
        for one, (item, member, value) in zip(messages, NOT_UNDERSTOOD):
            what = f"{item} {value}"
            same(one["flags"], ["\\Seen", f"f{one['uid']}"], what)
            if member:
                same(one.get(member, "absent"), None, what)
            same(text_of(one["raw"][item]).decode(), value, what)
            assert one["defects"], what
        same((messages[-2]["flags"], text_of(messages[-2]["raw"]["FLAGS"]), messages[-2]["size"]), (None, b"(\\Seen (a) \"b\")", 9))
        same((messages[-1]["flags"], messages[-1]["size"]), (["x"], 8))
        assert messages[-1]["defects"], messages[-1]
        same(len(server.said("LOGIN")), 1)


def test_odd_values(flow):
    """What is odd and yet clear is delivered, and said to be odd"""
    plain = "\"text\" \"plain\" NIL NIL NIL \"7bit\""
    answer = ("* 1 FETCH (UID 1 ENVELOPE (\"00-Jan-0000\" {4}\r\na\"bc ((\"x\" NIL \"x\" \"y\")(broken)) NIL NIL NIL NIL NIL NIL \"<i@x>\"))\r\n"
              f"* 2 FETCH (UID 2 BODYSTRUCTURE ({plain} 10 -1) X-UNKNOWN (a \"b\"))\r\n"
              f"* 3 FETCH (UID 3 BODYSTRUCTURE ({plain} 9.3736e+06 2.0 NIL \"inline\" NIL NIL))\r\n"
              f"* 4 FETCH (UID 4 BODYSTRUCTURE (({plain} 1 2)(NIL \"alternative\" (\"boundary\" NIL) NIL NIL NIL)(\"related\") \"mixed\"))\r\n"
              f"* 5 FETCH (UID 5 BODYSTRUCTURE (({plain} 1 2)(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 9 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) () 0 NIL) \"report\"))\r\n"
              "* 6 FETCH (UID 6 BODYSTRUCTURE (\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 9 NIL NIL 3 NIL (\"inline\" NIL)))\r\n% OK x\r\n")
    with against(flow, {"UID FETCH": answer}) as (server, client):
        messages = fetch(client, uids="1:6", items=["ENVELOPE", "BODYSTRUCTURE"])["messages"]
        for one in messages:
            assert one["defects"], one
        same((messages[0]["envelope"]["subject"], messages[0]["envelope"]["date"], messages[0]["envelope"]["message_id"]), ("a\"bc", None, "i@x"))
        same(messages[0]["envelope"]["from"][0], {"name": "x", "address": "x@y"})
        bodies = [one.get("bodystructure") for one in messages]
        same((bodies[1]["size"], "lines" in bodies[1], text_of(messages[1]["raw"]["X-UNKNOWN"])), (10, False, b"(a \"b\")"))
        same((bodies[2]["size"], bodies[2]["lines"], bodies[2]["disposition"]), (9373600, 2, "inline"))
        same([(one["part"], one["type"], one["subtype"]) for one in bodies[3]["children"]],
             [("1", "text", "plain"), ("2", "multipart", "alternative"), ("3", "multipart", "related")])
        same((bodies[4]["children"][1]["size"], bodies[4]["children"][1]["lines"], bodies[5]["lines"], bodies[5]["disposition"]), (9, 0, 3, "inline"))


def test_desynchronised(flow):
    """Broken streams end the connection, and the next call works on another"""
    broken = ["* 1 FETCH (UID 1 BODY[] {4294967295}\r\n", "* 1 FETCH (UID 1 BODY[] {-1}\r\n", "garbage\r\n", "A1 OK stray\r\n",
              "* 1 FETCH (UID 1 BODY[] {99999999999999999999}\r\n", "\r\n", "* LIST () \"/\" {3000000000}\r\n"]
    for text in broken:
        calls = []

        def answer(server, wire, tag, line):
            calls.append(line)
            wire.sendall(text.encode() if len(calls) <= 2 else f"* 1 FETCH (UID 1 FLAGS ())\r\n{tag} OK x\r\n".encode())
        with against(flow, {"UID FETCH": answer}) as (server, client):
            error = client.fails("protocol", "imap.fetch", account="a", uids=[1], items=["FLAGS"])
            same((error.data["protocol"], error.data["outcome"]), ("imap", "none"), text)
            calls[:] = [1, 2]
            same(len(fetch(client, uids=[1], items=["FLAGS"])["messages"]), 1, text)
            assert server.connections >= 2, text


def test_lost_while_it_answers(flow):
    """A read is repeated once where nothing was given away; a change whose fate is not known is not"""
    calls = []

    def bye(server, wire, tag, line):
        calls.append(line)
        if len(calls) == 1:
            wire.sendall(b"* BYE restarting\r\n")
            wire.close()
            wire.detach()
        else:
            wire.sendall(f"* 1 FETCH (UID 1 FLAGS ())\r\n{tag} OK x\r\n".encode())

    def lost(server, wire, tag, line):
        calls.append(line)
        wire.shutdown(2)
    with against(flow, {"UID FETCH": bye, "UID MOVE": lost, "APPEND": lost}) as (server, client):
        same(len(fetch(client, uids=[1], items=["FLAGS"])["messages"]), 1)
        for method, params in (("imap.move", {"uids": [1], "destination": "x", "uidvalidity": "any"}), ("imap.append", {"raw": "Subject: x\n\nx\n"})):
            calls.clear()
            error = client.fails("disconnected", method, account="a", **params)
            same((error.data["outcome"], len(calls)), ("unknown", 1), method)


def test_half_a_move(flow):
    """A move in steps that is cut off or refused half way is not begun anew, and says that something was done"""
    def cut(server, wire, tag, line):
        wire.shutdown(2)
    for answer, kind, outcome in ((cut, "disconnected", "unknown"), ("% NO [EXPUNGEISSUED] x\r\n", "rejected", "done")):
        with against(flow, {"UID STORE": answer}, capabilities="IMAP4rev1 UIDPLUS") as (server, client):
            error = client.fails(kind, "imap.move", account="a", uids="1:2", destination="Sent", uidvalidity="any")
            same((error.data["outcome"], len(server.said("UID COPY")), len(server.said("UID EXPUNGE"))), (outcome, 1, 0), kind)


def test_uidvalidity(flow):
    """UIDs of another time reach nobody"""
    with against(flow, {"UID FETCH": "* 1 FETCH (UID 1 FLAGS ())\r\n% OK x\r\n"}) as (server, client):
        same(fetch(client, items=["FLAGS"])["uidvalidity"], 7)
        client.call("imap.store", account="a", uids=[1], command="FLAGS", flags=[])
        server.uidvalidity = 8
        for wire in server.open:
            wire.shutdown(2)
        time.sleep(0.2)
        before = len(server.said("UID"))
        error = client.fails("uidvalidity", "imap.store", account="a", uids=[1], command="FLAGS", flags=[])
        same((error.data["expected"], error.data["found"], len(server.said("UID"))), (7, 8, before))
        client.fails("uidvalidity", "imap.fetch", account="a", uids=[1], items=["FLAGS"], uidvalidity=7)
        same(len(server.said("UID")), before)
        same(fetch(client, items=["FLAGS"], uidvalidity="any")["uidvalidity"], 8)


def test_poor_server(flow):
    """Without extensions what can be done honestly is done, the rest names what is missing"""
    poor = {"UID SEARCH": "* SEARCH 3 1\r\n* SEARCH 2 (MODSEQ 9)\r\n% OK x\r\n"}
    with against(flow, poor, capabilities="IMAP4rev1") as (server, client):
        same(client.call("imap.search", account="a", query=["SUBJECT", "Grüße {5}\" x"])["uids"], [1, 2, 3])
        same(server.said("UID SEARCH"), ["UID SEARCH CHARSET UTF-8 SUBJECT {14}\r\nGrÃ¼Ã\x9fe {5}\" x".replace("{14}", "{%d}" % len("Grüße {5}\" x".encode()))])
        assert "MOVE" in str(client.fails("missing_extension", "imap.move", account="a", uids=[1], destination="x", uidvalidity="any").error)
        assert "UIDPLUS" in str(client.fails("missing_extension", "imap.expunge", account="a", uids=[1], uidvalidity="any").error)
        same(client.call("imap.append", account="a", raw="Subject: x\n\nx\n"), {})
        assert server.said("APPEND INBOX {")
    with against(flow, {"UID COPY": "% OK [COPYUID 5 1:2 11:12] x\r\n"}, capabilities="IMAP4rev1 UIDPLUS") as (server, client):
        answer = client.call("imap.move", account="a", uids="1:2", destination="Sent", uidvalidity="any")
        same(answer, {"uidvalidity": 5, "uids": [[1, 11], [2, 12]]})
        same([line.split()[1] for line in server.said("UID")], ["COPY", "STORE", "EXPUNGE"])
        same(server.said("UID STORE"), ["UID STORE 1:2 +FLAGS.SILENT (\\Deleted)"])


def test_no_injection(flow):
    """Nothing that a caller gives ends a command and begins another"""
    with against(flow) as (server, client):
        evil = "x\r\nZ LOGOUT"
        tries = [("imap.status", {"mailbox": evil}), ("imap.status", {"mailbox": "x", "items": ["A) (B"]}),
                 ("imap.search", {"query": evil}), ("imap.search", {"query": "UNSEEN) NOOP ("}),
                 ("imap.fetch", {"uids": "1\r\nZ LOGOUT"}), ("imap.fetch", {"uids": [1], "items": ["BODY[]) (FLAGS"]}),
                 ("imap.store", {"uids": [1], "uidvalidity": "any", "command": "FLAGS", "flags": ["a) EXPUNGE ("]}),
                 ("imap.copy", {"uids": [1], "uidvalidity": "any", "destination": evil}),
                 ("imap.append", {"raw": "x: y\n\n", "date": "2026-01-01T00:00:00Z\" {5}"}), ("imap.list", {"pattern": evil})]
        for method, params in tries:
            client.fails(INVALID_PARAMS, method, account="a", **params)
        client.call("imap.list", account="a", reference="a\"b\\", pattern="%{5}")
        assert server.said('LIST "a\\"b\\\\" "%{5}"'.replace('"a\\', '"a\\')), server.lines
        words = {line.split()[0] for line in server.lines}
        assert words <= {"LOGIN", "CAPABILITY", "LIST", "NOOP", "EXAMINE", "SELECT"}, server.lines


def test_untrusted_greetings(flow):
    """No credential goes where TLS was required and is not to be had, or the login is skipped"""
    for greeting, kind in (("* PREAUTH [CAPABILITY IMAP4rev1] x\r\n", "tls"), ("* OK [CAPABILITY IMAP4rev1] x\r\n", "tls"),
                           ("* BYE too busy\r\n", "rejected"), ("220 mail ESMTP\r\n", "protocol")):
        with FakeImap(greeting=greeting) as server:
            account = server.account()
            account["imap"]["tls"] = "all"
            with flow.own_daemon({"a": account}) as daemon, daemon.client() as client:
                client.fails(kind, "imap.status", account="a")
                same(server.said("LOGIN"), [], greeting)


def test_long_streams(flow):
    """A long streamed listing neither stops half way nor grows the daemon, however fast or slow the client reads"""
    count = 20000
    lines = b"".join(b"* %d FETCH (UID %d FLAGS (\\Seen keyword%d) RFC822.SIZE 1234)\r\n" % (uid, uid, uid) for uid in range(1, count + 1))

    def answer(server, wire, tag, line):
        wire.sendall(lines + f"{tag} OK x\r\n".encode())
    with against(flow, {"UID FETCH": answer}) as (server, client):
        for pause in (0, 0, 0.3):
            client.send({"jsonrpc": "2.0", "id": "long", "method": "imap.fetch",
                         "params": {"account": "a", "uids": "1:*", "items": ["FLAGS", "RFC822.SIZE"], "stream": True}})
            time.sleep(pause)
            pieces, tail = [], b""
            client.socket.settimeout(10)
            while b'"count":%d' % count not in tail:
                pieces.append(client.socket.recv(1 << 18))
                tail = tail[-100:] + pieces[-1]
            client.socket.settimeout(None)
            items = b"".join(pieces).split(b"\n")
            same((len(items), json.loads(items[-3])["params"]["item"]["uid"]), (count + 2, count))


def test_pipelining(flow):
    """Fetches of several callers share one connection and one SELECT"""
    def answer(server, wire, tag, line):
        uid = line.split()[2]
        time.sleep(0.02)
        wire.sendall(f"* {uid} FETCH (UID {uid} FLAGS (f{uid}))\r\n{tag} OK x\r\n".encode())
    with FakeImap({"UID FETCH": answer}) as server:
        account = server.account()
        account["imap"]["pool_size"] = 1
        with flow.own_daemon({"a": account}) as daemon, daemon.client() as client:
            numbers = [client.begin("imap.fetch", account="a", uids=[uid], items=["FLAGS"]) for uid in range(1, 31)]
            for uid, number in enumerate(numbers, 1):
                same([(one["uid"], one["flags"]) for one in client.finish(number)[0]["messages"]], [(uid, [f"f{uid}"])])
        same((server.connections, len(server.said("EXAMINE")), len(server.said("SELECT"))), (1, 1, 0))


def test_riding(flow):
    """Calls that went out behind another's EXAMINE get the server's word on the mailbox, not what came of it"""
    examined, searches = [], []

    def examine(server, wire, tag, line):
        examined.append(tag)
        if len(examined) > 1:
            wire.sendall(f"{tag} NO [NONEXISTENT] no such mailbox\r\n".encode())

    def search(server, wire, tag, line):
        searches.append(tag)
        if len(searches) == 2:
            wire.sendall(f"{examined[0]} NO [NONEXISTENT] no such mailbox\r\n".encode())
            for one in searches:
                wire.sendall(f"{one} BAD no mailbox is selected\r\n".encode())

    with FakeImap({"EXAMINE": examine, "UID SEARCH": search}, capabilities="IMAP4rev1 UIDPLUS ESEARCH") as server:
        account = server.account()
        account["imap"]["pool_size"] = 1
        with flow.own_daemon({"a": account}) as daemon, daemon.client() as client:
            numbers = [client.begin("imap.search", account="a", mailbox="Gone", query=query) for query in ("ALL", "SEEN")]
            errors = []
            for number in numbers:
                try:
                    client.finish(number)
                except RpcError as error:
                    errors.append((error.kind, error.data.get("reply", {}).get("status"), error.message))
            same([error[:2] for error in errors], [("rejected", "NO"), ("rejected", "NO")], f"{errors} {server.lines}")
            same(len(examined), 2)
