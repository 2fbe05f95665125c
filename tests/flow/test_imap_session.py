# SPDX-License-Identifier: MIT
"""IMAP sessions: commands of the caller's own, what the server said meanwhile, the dialogue's log."""

import time

from fake_imap import FakeImap
from harness import INVALID_PARAMS, read_all, same, text_of

ACCOUNTS = {
    "norights": {"account": {"permit": "read"}},
}


def opened(flow, count=2, **params):
    """(user, client, session) of a mailbox with that many messages."""
    user, client = flow.user(), flow.client()
    if count:
        flow.put(user, *[flow.letter("bob@example.com", f"number {number}", ("x" * 70 + "\n") * 100) for number in range(1, count + 1)])
    return user, client, client.call("imap.open", account=user, **params)["session"]


def lines(answer):
    return [text_of(one).decode() for one in answer["untagged"]]


def test_exec(flow):
    """imap.exec answers with the server's own words, and a NO or BAD is its result"""
    _, client, session = opened(flow)
    answer = client.call("imap.exec", session=session, command="LIST \"\" INBOX")
    same((answer["status"], len(answer["untagged"])), ("OK", 1))
    assert lines(answer)[0].startswith("* LIST (") and lines(answer)[0].endswith(" INBOX"), lines(answer)
    answer = client.call("imap.exec", session=session, command="SELECT \"No Such\"")
    assert answer["status"] == "NO" and answer["text"], answer
    same(client.call("imap.exec", session=session, command="FROBNICATE")["status"], "BAD")
    client.fails(INVALID_PARAMS, "imap.search", session=session, query="ALL")


def test_exec_follows_selection(flow):
    """What imap.exec selects and closes, the session has selected and closed"""
    _, client, session = opened(flow)
    answer = client.call("imap.exec", session=session, command="SELECT {5}\r\nINBOX")
    same((answer["status"], answer["code"]), ("OK", "READ-WRITE"))
    assert "* 2 EXISTS" in lines(answer), lines(answer)
    same(client.call("imap.search", session=session, query="ALL")["uids"], [1, 2])
    client.call("imap.store", session=session, uids=[1], command="+FLAGS", flags=["\\Deleted"])
    same(client.call("imap.exec", session=session, command="EXAMINE INBOX")["code"], "READ-ONLY")
    client.fails("readonly", "imap.store", session=session, uids=[1], command="FLAGS", flags=[])
    same(client.call("imap.exec", session=session, command="CREATE \"Gr&APwA3w-e\"")["status"], "OK")
    client.call("imap.exec", session=session, command="SELECT \"Gr&APwA3w-e\"")
    same(client.call("imap.fetch", session=session, uids="1:*", items=["FLAGS"])["mailbox"], "Grüße")
    client.call("imap.exec", session=session, command="CLOSE")
    client.fails(INVALID_PARAMS, "imap.search", session=session, query="ALL")


def test_exec_fetch(flow):
    """Literals of any size come whole and in place"""
    _, client, session = opened(flow)
    client.call("imap.select", session=session)
    answer = client.call("imap.exec", session=session, command="FETCH 1:2 (UID BODY.PEEK[TEXT] FLAGS)")
    same(answer["status"], "OK")
    for number, line in enumerate(lines(answer), 1):
        assert line.startswith(f"* {number} FETCH (UID {number} ") and ("x" * 70 + "\r\n") * 100 in line, line[:80]
        assert "{7200}\r\nxxx" in line and line.endswith(")"), line[-80:]
    items, totals = client.streamed("imap.exec", session=session, command="FETCH 1:2 BODY.PEEK[]")
    same((len(items), totals["count"], totals["status"], "untagged" in totals), (2, 2, "OK", False))
    answer, descriptors = client.finish(client.begin("imap.exec", session=session, command="FETCH 1 BODY.PEEK[TEXT]", content="fd"))
    assert (b"x" * 70 + b"\r\n") * 100 in read_all(descriptors[answer["untagged"][0]["fd"]])


def test_exec_literals(flow):
    """Literals of a command are synchronised where the server wants that, and what is no literal ends no command"""
    for capabilities, wanted in (("IMAP4rev1", "{5}"), ("IMAP4rev1 LITERAL+", "{5+}")):
        with FakeImap(capabilities=capabilities) as server:
            name = f"exec-{'plus' if '+' in capabilities else 'sync'}"
            with flow.own_daemon({name: server.account()}) as daemon:
                client = daemon.client()
                session = client.call("imap.open", account=name)["session"]
                client.call("imap.exec", session=session, command="X-PUT {5+}\r\na\r\nb\" {0}\r\n tail")
                assert any(line.startswith(f"X-PUT {wanted}\r\na\r\nb\" {{0") and line.endswith(" tail") for line in server.lines), server.lines
                for bad in ("NOOP\r\nx LOGOUT", "X {3}\r\nab", "X {3}", "X \"{3}\r\nabc\"", "X a\nb", " NOOP"):
                    client.fails(INVALID_PARAMS, "imap.exec", session=session, command=bad)
                for own in ("LOGIN a b", "authenticate PLAIN", "STARTTLS", "IDLE", "LOGOUT", "COMPRESS DEFLATE", "PROXYAUTH x"):
                    error = client.fails(INVALID_PARAMS, "imap.exec", session=session, command=own)
                    assert "imap." in error.message, error
                same(len(server.said("X")), 1)


def test_xatom(flow):
    """imap.xatom quotes what needs it and leaves the rest"""
    with FakeImap(answers={"XPING": "* XPONG (1)\r\n% OK [X-CODE a b] done\r\n"}) as server:
        with flow.own_daemon({"xatom": server.account()}) as daemon:
            client = daemon.client()
            session = client.call("imap.open", account="xatom")["session"]
            answer = client.call("imap.xatom", session=session, name="XPING",
                                 arguments=["plain", "two words", "", "\\Seen", "(a b)", "\"own\"", "say \"hi\"", ["x", "y z"], "BODY[HEADER.FIELDS (TO)]", "1:*", "ü"])
            same((answer["status"], answer["code"], answer["text"], lines(answer)), ("OK", "X-CODE a b", "done", ["* XPONG (1)"]))
            same(server.said("XPING"), ['XPING plain "two words" "" \\Seen (a b) "own" "say \\"hi\\"" (x "y z") BODY[HEADER.FIELDS (TO)] 1:* {2+}\r\nÃ¼'])
            client.fails(INVALID_PARAMS, "imap.xatom", session=session, name="X Y", arguments=[])
            client.fails(INVALID_PARAMS, "imap.xatom", session=session, name="XPING", arguments=["a\r\nb"])
            client.call("imap.xatom", session=session, name="XPING", arguments="as it (is \"here\")")
            same(server.said("XPING")[-1], "XPING as it (is \"here\")")


def test_uid(flow):
    """imap.uid sends what names messages by UID, and nothing else"""
    _, client, session = opened(flow)
    client.call("imap.select", session=session)
    answer = client.call("imap.uid", session=session, command="FETCH", arguments=["1:*", "(FLAGS)"])
    same((answer["status"], len(lines(answer))), ("OK", 2))
    assert "UID 2" in lines(answer)[1]
    same(lines(client.call("imap.uid", session=session, command="search", arguments="SUBJECT \"number 2\"")), ["* SEARCH 2"])
    same(client.call("imap.uid", session=session, command="STORE", arguments=["1", "+FLAGS", ["\\Flagged"]])["status"], "OK")
    client.fails(INVALID_PARAMS, "imap.uid", session=session, command="SELECT", arguments=["INBOX"])
    same(client.call("imap.uid", session=session, command="COPY", arguments=["1", "No Such"])["status"], "NO")


def test_rights(flow):
    """Without `raw` there is no imap.exec, without `write` no change; a read-only session changes nothing"""
    client = flow.client()
    session = client.call("imap.open", account="norights")["session"]
    client.call("imap.select", session=session)
    client.fails("denied", "imap.exec", session=session, command="NOOP")
    client.fails("denied", "imap.xatom", session=session, name="XPING", arguments=[])
    client.fails("denied", "imap.uid", session=session, command="STORE", arguments=["1", "FLAGS", "()"])
    client.fails("denied", "imap.uid", session=session, command="FETCH", arguments=["1", "BODY[]"])
    client.call("imap.uid", session=session, command="FETCH", arguments=["1:*", "(BODY.PEEK[HEADER])"])
    client.call("imap.logout", session=session)
    _, client, session = opened(flow, readonly=True)
    client.call("imap.select", session=session)
    client.fails("readonly", "imap.exec", session=session, command="STORE 1 FLAGS (\\Seen)")
    client.fails("readonly", "imap.exec", session=session, command="SELECT INBOX")
    client.fails("readonly", "imap.exec", session=session, command="XCHANGE 1")
    same(client.call("imap.exec", session=session, command="NOOP")["status"], "OK")


def test_partial(flow):
    """imap.partial fetches a piece of a section"""
    _, client, session = opened(flow)
    client.call("imap.select", session=session)
    one = client.call("imap.partial", session=session, number=2, section="TEXT", start=7190, length=100)["messages"][0]
    same((one["uid"], one["seq"], text_of(one["sections"]["BODY[TEXT]<7190>"])), (2, 2, b"x" * 8 + b"\r\n"))
    one = client.call("imap.partial", session=session, number=1, section="", start=0, length=6)["messages"][0]
    same(text_of(one["sections"]["BODY[]<0>"]), b"From: ")
    client.fails(INVALID_PARAMS, "imap.partial", session=session, number=1, section="TEXT] FLAGS", start=0, length=6)
    flags = client.call("imap.fetch", session=session, uids="1:*", items=["FLAGS"])
    assert not any("\\Seen" in message["flags"] for message in flags["messages"]), flags


def test_response(flow):
    """imap.response gives once what the server said on its own, and imap.recent the last count"""
    user, client, session = opened(flow)
    same(client.call("imap.recent", session=session)["recent"], None)
    box = client.call("imap.select", session=session)
    same(client.call("imap.response", session=session, code="exists"), {"code": "EXISTS", "data": ["2"]})
    same(client.call("imap.response", session=session, code="EXISTS")["data"], [])
    same(client.call("imap.response", session=session, code="UIDVALIDITY")["data"], [str(box["uidvalidity"])])
    same(client.call("imap.response", session=session, code="READ-WRITE")["data"], [""])
    assert "\\Seen" in client.call("imap.response", session=session, code="FLAGS")["data"][0]
    flow.put(user, flow.letter("bob@example.com", "more"))
    assert client.call("imap.recent", session=session)["recent"] >= 0
    deadline = time.monotonic() + 10
    while not (data := client.call("imap.response", session=session, code="EXISTS")["data"]):
        assert time.monotonic() < deadline
        client.call("imap.noop", session=session)
    same(data, ["3"])
    client.call("imap.exec", session=session, command="NOOP")
    client.call("imap.select", session=session, mailbox="Sent")
    same(client.call("imap.response", session=session, code="EXISTS")["data"], ["0"])


def test_log(flow):
    """imap.print_log and traces show the dialogue without secrets"""
    user, client, session = opened(flow, 1)
    client.call("imap.select", session=session)
    log = client.call("imap.print_log", session=session)["log"]
    assert any(one["outgoing"] and one["line"].endswith("SELECT INBOX") for one in log), log
    assert any(not one["outgoing"] and one["line"] == "* 1 EXISTS" for one in log), log
    assert not any(note.get("method") == "trace" for note in client.notes)
    client.call("imap.set_debuglevel", session=session, level=1)
    client.call("imap.noop", session=session)
    client.call("imap.set_debuglevel", session=session, level=0)
    client.call("imap.check", session=session)
    said = [note["params"]["line"] for note in client.notes if note.get("method") == "trace" and note["params"]["outgoing"]]
    assert len(said) == 1 and said[0].endswith(" NOOP"), said
    for _ in range(40):
        client.call("imap.noop", session=session)
    log = client.call("imap.print_log", session=session)["log"]
    same((len(log), log[-2]["line"][-5:]), (32, " NOOP"))


def test_shutdown(flow):
    """imap.shutdown ends the session without a goodbye"""
    with FakeImap() as server:
        with flow.own_daemon({"cut": server.account()}) as daemon:
            client = daemon.client()
            session = client.call("imap.open", account="cut")["session"]
            client.call("imap.shutdown", session=session)
            client.fails("no_such_session", "imap.noop", session=session)
            same(server.said("LOGOUT"), [])


def test_pooled(flow):
    """Without a session imap.exec, xatom and uid open the mailbox that is named, and leave nothing behind on the connection"""
    user, client = flow.user(), flow.client()
    flow.put(user, flow.letter("bob@example.com", "one"))
    same(client.call("imap.exec", account=user, command="NOOP")["status"], "OK")
    same(lines(client.call("imap.exec", account=user, mailbox="INBOX", command="SEARCH ALL")), ["* SEARCH 1"])
    client.fails(INVALID_PARAMS, "imap.uid", account=user, command="STORE", arguments=["1", "+FLAGS", ["\\Flagged"]])
    error = client.fails("uidvalidity", "imap.uid", account=user, command="STORE", arguments=["1", "+FLAGS", ["\\Flagged"]], uidvalidity=1)
    known = error.data["found"]
    same(client.call("imap.uid", account=user, command="STORE", arguments=["1", "+FLAGS", ["\\Flagged"]], uidvalidity=known)["status"], "OK")
    assert "\\Flagged" in client.call("imap.fetch", account=user, uids=[1], items=["FLAGS"])["messages"][0]["flags"]
    client.fails(INVALID_PARAMS, "imap.exec", account=user, command="ENABLE QRESYNC")
    client.fails("denied", "imap.exec", account="norights", command="NOOP")
    with FakeImap() as server:
        account = server.account()
        account["imap"]["pool_size"] = 1
        with flow.own_daemon({"pooled": account}) as daemon:
            client = daemon.client()
            client.call("imap.fetch", account="pooled", uids=[1], items=["FLAGS"])
            client.call("imap.exec", account="pooled", mailbox="INBOX", command="SEARCH ALL")
            client.call("imap.uid", account="pooled", command="COPY", arguments=["1", "x"], uidvalidity="any")
            same((server.connections, [line for line in server.lines if line.startswith(("EX", "SEL"))]), (1, ["EXAMINE INBOX", "SELECT INBOX"]))
            client.call("imap.exec", account="pooled", command="SELECT Other")
            client.call("imap.fetch", account="pooled", uids=[1], items=["FLAGS"])
            same((server.connections, server.lines[-2][:13]), (1, "EXAMINE INBOX"))
            client.call("imap.xatom", account="pooled", name="XANY", arguments=[])
            client.call("imap.fetch", account="pooled", uids=[1], items=["FLAGS"])
            same(server.connections, 2)
