# SPDX-License-Identifier: MIT
"""Attacks and faults of IMAP servers: one test each, which fails where the defence is gone. doc/security.md has the table."""

import time

import matrix
from fake_imap import FakeImap
from fake_imap_steps import FakeImapSteps
from fake_mail import fin, then
from harness import INVALID_PARAMS, RpcError, same, slow, span, text_of
from matrix import Pulse
from test_imap_hostile import against, fetch

MEMORY = 24 << 20       # with the sanitizers' own
PLAIN = "\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 1"


def one_answer(text, end="% OK x\r\n"):
    return {"UID FETCH": text + end}


def over_tls(flow, script, kind, **more):
    """What a call says of a server with STARTTLS that plays the script; nothing secret went out in clear."""
    server = FakeImapSteps(script, certificate=flow.mail.certificates["good"], **more)
    account = flow.account("ann", imap=dict(host="127.0.0.1", port=server.port, tls="all", implicit_tls="no", timeout=span(800)),
                           auth={"username": "ann", "password": matrix.PASSWORD})
    with flow.own_daemon({"a": account}) as daemon, daemon.client() as client:
        client.fails(kind, "imap.list", account="a")
    server.close()
    assert not [form for form in matrix.forms(matrix.PASSWORD) if form in server.clear], server.lines
    return server


def test_starttls(flow):
    """STARTTLS taken away, refused, or followed by answers in clear: no credential goes out"""
    for script, kind in (({"capability": "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n% OK x\r\n"}, "tls"), ({"capability": "% BAD x\r\n"}, "tls"),
                         ({"starttls": "% NO x\r\n"}, "tls"), ({"starttls": "% BAD x\r\n"}, "tls"), ({"starttls": "% MAYBE x\r\n"}, "protocol"),
                         ({"starttls": then("* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n")}, "protocol"), ({"starttls": then("* CAPA")}, "protocol")):
        over_tls(flow, script, kind)


def test_preauth(flow):
    """A server that skips the login gets no command where TLS or a login was asked for"""
    over_tls(flow, {"greeting": "* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] x\r\n"}, "tls")
    with FakeImap(greeting="* PREAUTH [CAPABILITY IMAP4rev1] x\r\n") as server, flow.own_daemon({"a": server.account()}) as daemon, daemon.client() as client:
        client.fails("protocol", "imap.list", account="a")
        same(server.lines, [])


def test_learned_in_clear(flow):
    """What a server said of itself before TLS counts for nothing behind it"""
    server = FakeImapSteps({"greeting": "* OK [CAPABILITY IMAP4rev1 STARTTLS X-BEFORE METADATA] x\r\n"}, certificate=flow.mail.certificates["good"], extensions="UIDPLUS")
    account = flow.account("ann", imap=dict(host="127.0.0.1", port=server.port, tls="all", implicit_tls="no"), auth={"username": "ann", "password": matrix.PASSWORD})
    with flow.own_daemon({"a": account}) as daemon, daemon.client() as client:
        client.call("imap.list", account="a")
        client.fails("missing_extension", "imap.getmetadata", account="a", mailbox="INBOX", entries=["/private/comment"])
    assert server.steps.index("starttls") < server.steps.index("capability_tls") < server.steps.index("login"), server.steps
    server.close()


def test_predicted_answers(flow):
    """Tags cannot be guessed: they differ between connections and within one, and follow no order"""
    tags = []

    class Watching(FakeImap):
        def answer(self, wire, tag, line):
            tags.append(tag)
            super().answer(wire, tag, line)
    for _ in range(2):
        with Watching() as server, flow.own_daemon({"a": server.account()}) as daemon, daemon.client() as client:
            for _ in range(5):
                client.call("imap.list", account="a")
    same(len(set(tags)), len(tags))
    assert not any(a[:-1] == b[:-1] for a, b in zip(tags, tags[1:])) and tags != sorted(tags), tags


def test_referral(flow):
    """A server that names another one is not followed"""
    with FakeImap() as other, FakeImap({"LOGIN": f"% NO [REFERRAL imap://ann@127.0.0.1:{other.port}/] there\r\n"}, capabilities="IMAP4rev1 LOGIN-REFERRALS") as server:
        with flow.own_daemon({"a": server.account()}) as daemon, daemon.client() as client:
            client.fails("auth", "imap.list", account="a")
            same(other.connections, 0)


def test_literal_sizes(flow):
    """A literal larger than any message, negative, or of a number too long for a number is refused before a byte is reserved"""
    for size in ("2147483649", "4294967295", "4294967296", "18446744073709551615", "18446744073709551617", "-1", "9" * 100000):
        for line in ("* 1 FETCH (UID 1 BODY[] {%s}\r\n", "* LIST () \"/\" {%s}\r\n", "* STATUS {%s}\r\n", "* 1 FETCH (UID 1 ENVELOPE ({%s}\r\n"):
            with FakeImap({"UID FETCH": line % size}) as server, flow.own_daemon({"a": server.account()}) as daemon, daemon.client() as client:
                before = daemon.memory("RssAnon")
                client.fails("protocol", "imap.fetch", account="a", uids=[1])
                assert daemon.memory("RssAnon") - before < MEMORY, (size[:30], line)
            if len(size) > 1000:
                break


def test_literals_that_lie(flow):
    """A literal longer or shorter than it says ends the connection: no byte of a message becomes an answer"""
    forged = "* 2 FETCH (UID 2 BODY[] {6}\r\nforged)\r\n% OK x\r\n"
    for text in ("* 1 FETCH (UID 1 BODY[] {3}\r\nabcdef)\r\n% OK x\r\n", "* 1 FETCH (UID 1 BODY[] {3}\r\nabc\r\n" + forged,
                 "* 1 FETCH (UID 1 BODY[] {5000}\r\n" + "x" * 5000 + forged, "* 1 FETCH (UID 1 BODY[] {1}\r\nabc\r\n" + forged):
        with against(flow, {"UID FETCH": text}) as (server, client):
            client.fails("protocol", "imap.fetch", account="a", uids="1:2")
    with against(flow, one_answer("* 1 FETCH (UID 1 BODY[] {0}\r\n)\r\n* 2 FETCH (UID 2 BODY[TEXT] {0}\r\n BODY[] {2}\r\n)\r\r\n)\r\n".replace(")\r\r\n", "x\n"))) as (server, client):
        messages = fetch(client, uids="1:2", items=["BODY.PEEK[]"])["messages"]
        same([text_of(one["sections"]["BODY[]"]) for one in messages], [b"", b"x\n"])


def test_many_literals(flow):
    """Twenty thousand literals in one answer cost no more than their length"""
    answer = "* 1 FETCH (UID 1 X (" + "{1}\r\na " * 20000 + ") BODY[] {1}\r\nz)\r\n"
    with FakeImap(one_answer(answer)) as server, flow.own_daemon({"a": server.account()}) as daemon, daemon.client() as client, Pulse(daemon) as pulse:
        began = time.monotonic()
        same(text_of(fetch(client, uids=[1])["messages"][0]["sections"]["BODY[]"]), b"z")
        assert time.monotonic() - began < 10 * slow() and pulse.worst < 2 * slow(), (time.monotonic() - began, pulse.worst)


def test_deep_structures(flow):
    """Parentheses a hundred and more deep are an item that cannot be understood; the stack is not theirs to use"""
    def nested(depth):
        return "(" * depth + PLAIN + ")" + " \"mixed\")" * (depth - 1)
    bombs = [nested(101), nested(1000), nested(100000), "(" * 200000,
             "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 1 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) " * 2000]
    answer = "".join(f"* {uid} FETCH (UID {uid} BODYSTRUCTURE {bomb})\r\n" for uid, bomb in enumerate([nested(30), *bombs], 1))
    with against(flow, one_answer(answer)) as (server, client):
        fine, *messages = fetch(client, uids="1:9", items=["BODYSTRUCTURE"])["messages"]
        assert fine["bodystructure"]["subtype"] == "mixed" and not fine.get("defects"), fine
        same(([one.get("bodystructure") for one in messages], all(one["defects"] for one in messages)), ([None] * len(bombs), True))


def test_wide_structures(flow):
    """A hundred thousand addresses or parts, or capabilities without end, are bounded and cost no more than their length"""
    addresses = "(" + "(NIL NIL \"a\" \"b\")" * 100000 + ")"
    parts = "(" + f"({PLAIN})" * 100000 + " \"mixed\")"
    answer = f"* 1 FETCH (UID 1 ENVELOPE (NIL NIL {addresses} NIL NIL NIL NIL NIL NIL NIL))\r\n* 2 FETCH (UID 2 BODYSTRUCTURE {parts})\r\n"
    capabilities = "IMAP4rev1 UIDPLUS " + " ".join(f"X{number}" for number in range(8000))
    with FakeImap(one_answer(answer), capabilities=capabilities) as server, flow.own_daemon({"a": server.account()}) as daemon, daemon.client() as client, Pulse(daemon) as pulse:
        one, two = fetch(client, uids="1:2", items=["ENVELOPE", "BODYSTRUCTURE"])["messages"]
        assert len(one["envelope"]["from"]) == 100000 and two["bodystructure"] is None and two["defects"], two
        assert pulse.worst < 5 * slow(), pulse.worst


def test_wrong_types(flow):
    """Lists, states and searches of the wrong shape are passed over or an error, and never believed"""
    odd = "".join(f"* LIST {text}\r\n" for text in ("", "x", "() \"/\"", "() (a) b", "(a \"/\" b", "NIL NIL NIL", "() \"/\" (b)", "() NIL {2}\r\nok"))
    with against(flow, {"LIST": odd + "% OK x\r\n", "STATUS": "* STATUS\r\n* STATUS (x)\r\n* STATUS x MESSAGES 1\r\n* STATUS x (MESSAGES)\r\n* STATUS x (MESSAGES (1))\r\n% OK x\r\n",
                        "UID SEARCH": "* SEARCH 1 x 2\r\n* SEARCH -1\r\n* SEARCH 3\r\n% OK x\r\n"}) as (server, client):
        same([one["name"] for one in client.call("imap.list", account="a")["mailboxes"]], ["NIL", "ok"])
        try:
            assert "messages" not in client.call("imap.status", account="a", mailbox="x", items=["MESSAGES"])
        except RpcError as error:
            same(error.kind, "protocol")
        try:
            same(set(client.call("imap.search", account="a", query="ALL")["uids"]) - {1, 2, 3}, set())
        except RpcError as error:
            same(error.kind, "protocol")


def test_raw_bytes(flow):
    """NUL, controls and bytes that are no UTF-8 are data: what comes out is JSON in UTF-8, and the stream stays in step"""
    answer = (b"* 1 FETCH (UID 1 FLAGS (\\Seen k\xff\xfe) ENVELOPE (\"\x01\" \"a\0b\xff\" ((\"n\xe4\" NIL \"l\0\" \"h\xff\")) NIL NIL NIL NIL NIL NIL \"<\xff\0@x>\") "
              b"X\xffY \"\0\" BODY[] {4}\r\n\0\xff\r\n)\r\n* OK \0\xff text\r\n* 2 FETCH (UID 2 FLAGS () X 1)\r\n% OK \xff\0\r\n")
    with against(flow, {"UID FETCH": answer, "LIST": b"* LIST () \"/\" \"a\xff\0b\"\r\n% OK x\r\n"}) as (server, client):
        one, two = fetch(client, uids="1:2", items=["FLAGS", "ENVELOPE", "BODY.PEEK[]"])["messages"]
        assert "\0" not in str(one["envelope"]) and one["envelope"]["subject"].startswith("a"), one
        same((text_of(one["sections"]["BODY[]"]), two["flags"]), (b"\0\xff\r\n", []))
        assert "\0" not in client.call("imap.list", account="a")["mailboxes"][0]["name"]


def test_numbers_out_of_range(flow):
    """Numbers that do not fit are absent or an error: nothing wraps, nothing is reserved for them"""
    answer = ("* 1 FETCH (UID 4294967297 BODY[] {1}\r\nx)\r\n* 4294967297 FETCH (UID 1 BODY[] {1}\r\nx)\r\n* 1 FETCH (UID 1 RFC822.SIZE 18446744073709551617 BODY[] {1}\r\nx)\r\n"
              "* 0 FETCH (UID 0 BODY[] {1}\r\nx)\r\n* 4294967296 EXISTS\r\n* -1 EXPUNGE\r\n")
    status = "* STATUS x (MESSAGES 18446744073709551617 UIDNEXT 4294967297 UNSEEN -1)\r\n% OK x\r\n"
    with against(flow, {"UID FETCH": answer + "% OK x\r\n", "STATUS": status, "UID SEARCH": "* SEARCH 4294967297 1\r\n% OK x\r\n"}) as (server, client):
        messages = fetch(client, uids=[1, 2], items=["RFC822.SIZE", "BODY.PEEK[]"])["messages"]
        same([(one["uid"], one.get("size")) for one in messages], [(1, None)])
        for method, params, wrong in (("imap.status", {"mailbox": "x", "items": ["MESSAGES", "UIDNEXT"]}, (1, 0)), ("imap.search", {"query": "ALL"}, None)):
            try:
                result = client.call(method, account="a", **params)
                assert 0 not in result.get("uids", []) and result.get("messages") is None and result.get("uidnext") is None, (result, wrong)
            except RpcError as error:
                same(error.kind, "protocol", method)


def test_sets_stay_ranges(flow):
    """A set of four thousand million numbers is two numbers here, and what would list them is bounded"""
    with FakeImap({"UID SEARCH": "* ESEARCH (TAG \"%\") UID ALL 1:4294967295\r\n% OK x\r\n", "UID COPY": "% OK [COPYUID 9 1:4294967295 1:4294967295] x\r\n"},
                  capabilities="IMAP4rev1 UIDPLUS ESEARCH") as server, flow.own_daemon({"a": server.account()}) as daemon, daemon.client() as client:
        before = daemon.memory("RssAnon")
        client.fails("limit", "imap.search", account="a", query="ALL")
        try:
            same(client.call("imap.copy", account="a", uids=[1], uidvalidity="any", destination="x").get("uids"), None)
        except RpcError as error:
            same(error.kind, "limit")
        grown = daemon.memory("RssAnon") - before
        assert grown < 160 << 20, grown       # the answer's limit is 64 MB


def test_tags(flow):
    """An answer to no command, to one that was answered, or to one that is not yet said ends the connection"""
    for text in ("X1 OK x\r\n", "% OK x\r\n% OK x\r\n", "* OK x\r\n%x OK x\r\n"):
        with against(flow, {"UID FETCH": text}) as (server, client):
            try:
                client.call("imap.fetch", account="a", uids=[1], items=["FLAGS"])
            except RpcError as error:
                same(error.kind, "protocol", text)
            before = server.connections
            server.answers.clear()
            client.call("imap.list", account="a")
            same(server.connections, before + 1, text)
    with against(flow, {"UID FETCH": ""}) as (server, client):     # none at all
        client.fails("timeout", "imap.fetch", account="a", uids=[1], items=["FLAGS"])


def test_expunge_between(flow):
    """Messages that go while others are fetched shift numbers, and nothing else"""
    answer = ("* 1 FETCH (UID 11 BODY[] {2}\r\n11)\r\n* 1 EXPUNGE\r\n* 1 EXPUNGE\r\n* 0 EXPUNGE\r\n* 999999 EXPUNGE\r\n* 1 FETCH (UID 13 BODY[] {2}\r\n13)\r\n"
              "* 2 FETCH (UID 12 BODY[] {2}\r\n12)\r\n")
    with against(flow, one_answer(answer)) as (server, client):
        messages = fetch(client, uids=[11, 12, 13], items=["BODY.PEEK[]"])["messages"]
        same({one["uid"]: text_of(one["sections"]["BODY[]"]) for one in messages}, {11: b"11", 12: b"12", 13: b"13"})
        assert all(line.startswith("UID ") for line in server.lines if "FETCH" in line), server.lines


def test_foreign_messages(flow):
    """A message that was not asked for, has no UID, or comes twice is not given out under the UID that was asked for"""
    big = "x" * 9000
    answer = (f"* 1 FETCH (UID 9 BODY[] {{5}}\r\nother)\r\n* 1 FETCH (BODY[] {{5}}\r\nother)\r\n* 1 FETCH (BODY[] {{9000}}\r\n{big} UID 9)\r\n"
              f"* 1 FETCH (UID 1 BODY[] {{9000}}\r\n{big} UID 9)\r\n* 2 FETCH (UID 2 BODY[] {{3}}\r\ntwo)\r\n* 2 FETCH (UID 2 BODY[] {{5}}\r\nother)\r\n")
    with against(flow, one_answer(answer)) as (server, client):
        result = fetch(client, uids=[1, 2], items=["BODY.PEEK[]"])
        same([(one["uid"], text_of(one["sections"]["BODY[]"])) for one in result["messages"]], [(2, b"two")])
        same(result["missing"], [1])


def test_uidvalidity(flow):
    """UIDs of another UIDVALIDITY reach no message, also where it changes while the mailbox is open, or is not told at all"""
    with against(flow, {"UID STORE": "% OK x\r\n", "UID FETCH": "* OK [UIDVALIDITY 8] new\r\n* 1 FETCH (UID 1 FLAGS (other))\r\n% OK x\r\n"}) as (server, client):
        error = client.fails("uidvalidity", "imap.store", account="a", uids=[1], uidvalidity=6, command="FLAGS", flags=[])
        same((error.data["expected"], error.data["found"], server.said("UID STORE")), (6, 7, []))
        client.fails("uidvalidity", "imap.fetch", account="a", uids=[1], items=["FLAGS"])
    with against(flow, {"EXAMINE": "* 1 EXISTS\r\n% OK x\r\n", "SELECT": "* 1 EXISTS\r\n* OK [UIDVALIDITY 0] x\r\n% OK x\r\n"}) as (server, client):
        client.call("imap.search", account="a", query="ALL")
        client.fails("uidvalidity", "imap.store", account="a", uids=[1], uidvalidity=7, command="FLAGS", flags=[])
        same(server.said("UID STORE"), [])


def test_other_mailboxes(flow):
    """What is said of another mailbox is not believed of this one, and a SELECT that was refused leaves none selected"""
    with against(flow, {"STATUS": "* STATUS other (MESSAGES 9)\r\n* STATUS INBOX (MESSAGES 1)\r\n* STATUS other (MESSAGES 9)\r\n% OK x\r\n",
                        "EXAMINE GONE": "% NO [NONEXISTENT] x\r\n", "UID SEARCH": "* SEARCH 1\r\n% OK x\r\n"}) as (server, client):
        same(client.call("imap.status", account="a", mailbox="INBOX", items=["MESSAGES"])["messages"], 1)
        client.call("imap.search", account="a", query="ALL")
        client.fails("rejected", "imap.search", account="a", mailbox="Gone", query="ALL")
        examined = len(server.said("EXAMINE INBOX"))
        client.call("imap.search", account="a", query="ALL")
        same(len(server.said("EXAMINE INBOX")), examined + 1)


def test_stray_uids(flow):
    """APPENDUID and COPYUID count as the answer of the command that asked, in the shape that they must have"""
    stray = "* OK [COPYUID 5 1 99] x\r\n* OK [APPENDUID 5 99] x\r\n"
    with against(flow, {"UID COPY": stray + "% OK x\r\n", "APPEND": stray + "% OK [COPYUID 5 1 99] x\r\n", "UID STORE": "% OK [COPYUID 5 1 99] x\r\n"}) as (server, client):
        same(client.call("imap.copy", account="a", uids=[1], uidvalidity="any", destination="x").get("uids"), None)
        same(client.call("imap.append", account="a", raw="Subject: x\n\nx\n"), {})
    with against(flow, {"UID COPY": "% OK [COPYUID 5 9 7] x\r\n"}) as (server, client):
        same(client.call("imap.copy", account="a", uids="1:2", uidvalidity="any", destination="x").get("uids"), None)
    with against(flow, {"UID COPY": "% OK [COPYUID 5 1:2 7] x\r\n", "APPEND": "% OK [APPENDUID 0 x] x\r\n"}) as (server, client):
        same(client.call("imap.copy", account="a", uids="1:2", uidvalidity="any", destination="x").get("uids"), None)
        same(client.call("imap.append", account="a", raw="Subject: x\n\nx\n"), {})


def append_to(flow, act, kind):
    server = FakeImapSteps(*act)
    account = flow.account("ann", imap=dict(host="127.0.0.1", port=server.port, tls="none", implicit_tls="no", ca_file=None, allow_plaintext_auth="yes", timeout=span(800),
                                            data_timeout=span(800)), auth={"username": "ann", "password": matrix.PASSWORD})
    with flow.own_daemon({"a": account}) as daemon, daemon.client() as client:
        error = client.fails(kind, "imap.append", account="a", mailbox="x", raw="Subject: x\n\nkept\n")
    server.close()
    return error.data["outcome"], len(server.changes)


def test_append(flow):
    """APPEND: without its "+" or behind an early no not a byte is sent; cut behind its last byte it is unknown, and not said again"""
    same(append_to(flow, [{"append": "% NO [OVERQUOTA] x\r\n"}], "rejected"), ("none", 0))
    same(append_to(flow, [{"append": lambda wire, _: wire.listen()}], "timeout"), ("none", 0))
    same(append_to(flow, [{"append": "% OK [APPENDUID 1 1] x\r\n"}], "protocol"), ("none", 0))
    same(append_to(flow, [{"append_end": fin}], "disconnected"), ("unknown", 1))
    same(append_to(flow, [{"append": fin}, {"append": fin}], "disconnected"), ("none", 0))


def test_cut_move(flow):
    """A MOVE that is cut is unknown, and not said again"""
    def cut(server, wire, tag, line):
        wire.sendall(b"* OK [COPYUID 5 1 9] x\r\n* 1 EXPUNGE\r\n")
        wire.shutdown(2)
    with against(flow, {"UID MOVE": cut}) as (server, client):
        error = client.fails("disconnected", "imap.move", account="a", uids=[1], uidvalidity="any", destination="x")
        same((error.data["outcome"], len(server.said("UID MOVE"))), ("unknown", 1))


def test_uninvited(flow):
    """A "+" that nobody waits for is answered with nothing"""
    with against(flow, {"UID FETCH": "+ give me your password\r\n+\r\n* 1 FETCH (UID 1 FLAGS ())\r\n+ more\r\n% OK x\r\n"}) as (server, client):
        same(len(fetch(client, uids=[1], items=["FLAGS"])["messages"]), 1)
        time.sleep(0.2)
        same([line.split()[0] for line in server.lines if line != "CAPABILITY"], ["LOGIN", "EXAMINE", "UID"])


def test_goodbye(flow):
    """BYE in the middle of an answer ends the call or runs it again; behind an idle time nobody notices; part of an answer is no answer"""
    def bye(server, wire, tag, line):
        wire.sendall(b"* 1 FETCH (UID 1 FLAGS ())\r\n* BYE overloaded\r\n")
        wire.shutdown(2)
    with against(flow, {"UID FETCH": bye}) as (server, client):
        error = client.fails("disconnected", "imap.fetch", account="a", uids="1:2", items=["FLAGS"])
        same(error.data["outcome"], "none")
        server.answers.clear()
        client.call("imap.list", account="a")
        for wire in server.open:
            try:
                wire.sendall(b"* BYE autologout\r\n")
            except OSError:
                pass
        time.sleep(0.2)
        client.call("imap.list", account="a")


def test_injected_commands(flow):
    """CR, LF, NUL, quotes and literals in names, texts, flags, sets and criteria end no command and begin none"""
    evil = ["x\r\nZ LOGOUT", "x\nZ LOGOUT", "x\0y"]
    with against(flow, capabilities="IMAP4rev1 UIDPLUS MOVE LITERAL+ METADATA ACL QUOTA SORT THREAD=REFERENCES") as (server, client):
        changing = {"uids": [1], "uidvalidity": "any"}
        for text in evil:
            for method, params in (("imap.create", {"mailbox": text}), ("imap.rename", {"mailbox": "a", "new_name": text}), ("imap.list", {"pattern": text}),
                                   ("imap.status", {"mailbox": text}), ("imap.status", {"mailbox": "x", "items": [text]}), ("imap.copy", dict(changing, destination=text)),
                                   ("imap.fetch", {"uids": text}), ("imap.fetch", {"uids": [1], "items": [f"BODY[{text}]"]}),
                                   ("imap.store", dict(changing, command="FLAGS", flags=[text])), ("imap.append", {"mailbox": text, "raw": "x: y\n\n"}),
                                   ("imap.append", {"raw": "x: y\n\n", "flags": [text]}), ("imap.setacl", {"mailbox": "x", "identifier": text, "rights": "lr"}),
                                   ("imap.search", {"query": text}), ("imap.sort", {"criteria": [text], "query": "ALL"})):
                client.fails(INVALID_PARAMS, method, account="a", **params)
        for text in ("a\"b", "a\\b", "x {5}", "{5}", "a) (b", "NIL", "", "*", "\"\" EXPUNGE"):
            client.call("imap.list", account="a", pattern=text or "x")
            client.call("imap.search", account="a", query=["SUBJECT", text])
        same({line.split()[0] for line in server.lines} - {"LOGIN", "LIST", "EXAMINE", "UID", "NOOP", "CAPABILITY"}, set())
        same({line.split()[1] for line in server.said("UID")}, {"SEARCH"})


def test_odd_mailbox_names(flow):
    """Names like paths or options, with line ends and quotes in them, are names: given out as they are, and sent as strings"""
    names = ["../../etc/passwd", "/abs", "-x", "a\"b\\c", "&", "~root", "a b", "$(id)"]
    listed = "".join("* LIST () \"/\" {%d}\r\n%s\r\n" % (len(name), name) for name in names) + "* LIST () \"/\" {6}\r\na\r\nb/c\r\n% OK x\r\n"
    with against(flow, {"LIST": listed.replace("{1}\r\n&", "{2}\r\n&-"), "STATUS": ""}) as (server, client):
        found = [one["name"] for one in client.call("imap.list", account="a")["mailboxes"]]
        same(found, [*names, "a\r\nb/c"])
        client.call("imap.create", account="a", mailbox="../../etc/passwd")
        client.call("imap.create", account="a", mailbox="a\"b\\c")
        same(server.said("CREATE"), ["CREATE ../../etc/passwd", "CREATE \"a\\\"b\\\\c\""])
