# SPDX-License-Identifier: MIT
"""IMAP extensions: used where they are offered, left alone where they are disabled, done without or named where they are missing."""

import threading

from fake_imap import FakeImap
from harness import INVALID_PARAMS, RpcError, same

BASE = "IMAP4rev1 LITERAL+"


def fake(flow, capabilities=BASE, answers=None, **keys):
    """(the server, a context with an account "a" of it)"""
    server = FakeImap(answers, capabilities=capabilities)
    account = server.account()
    account["imap"].update(keys)
    return server, flow.own_daemon({"a": account})


def test_disabled(flow):
    """What an account disables is as if the server did not offer it, in its file and in inline options"""
    server, daemon = fake(flow, BASE + " MOVE UIDPLUS NAMESPACE ACL RIGHTS=texk QUOTA QUOTA=RES-STORAGE", disable="MOVE acl RIGHTS QUOTA")
    with server, daemon as daemon, daemon.client() as client:
        offered = client.call("imap.capability", account="a")["capabilities"]
        assert not {"MOVE", "ACL", "RIGHTS=texk", "QUOTA", "QUOTA=RES-STORAGE"} & set(offered) and {"UIDPLUS", "NAMESPACE"} <= set(offered), offered
        client.fails("missing_extension", "imap.getacl", account="a")
        client.fails("missing_extension", "imap.getquotaroot", account="a")
        client.call("imap.move", account="a", uids=[1], destination="X", uidvalidity="any")
        same((server.said("UID MOVE"), server.said("UID COPY"), server.said("UID EXPUNGE")), ([], ["UID COPY 1 X"], ["UID EXPUNGE 1"]))
        keys = dict(server.account()["imap"], username="ann", password="secret", tls="none", implicit_tls=False, allow_plaintext_auth=True, timeout=3000)
        client.call("imap.move", options=dict(keys, disable=["UIDPLUS"]), uids=[1], destination="X", uidvalidity="any")
        same(server.said("UID MOVE"), ["UID MOVE 1 X"])
        error = client.fails("missing_extension", "imap.move", options=dict(keys, disable=["MOVE", "UIDPLUS"]), uids=[1], destination="X", uidvalidity="any")
        assert "MOVE" in error.message and "UIDPLUS" in error.message, error


def test_rev2(flow):
    """A server of IMAP4rev2 alone is spoken to as RFC 9051 has it"""
    answers = {
        "STATUS": "* STATUS \"Gr\u00f6\u00dfe & mehr\" (MESSAGES 3 UNSEEN 1 UIDNEXT 9 UIDVALIDITY 7)\r\n% OK x\r\n",
        "LIST (SUBSCRIBED)": "* LIST (\\Subscribed) \"/\" \"Gr\u00f6\u00dfe & mehr\"\r\n% OK x\r\n",
        "UID SEARCH": "* ESEARCH (TAG \"%\") UID ALL 2,4:5\r\n% OK x\r\n",
        "SELECT": "* 0 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 1] x\r\n* LIST () \"/\" INBOX\r\n% OK [READ-WRITE] x\r\n",
    }
    server, daemon = fake(flow, "IMAP4rev2 ACL", answers)
    with server, daemon as daemon, daemon.client() as client:
        status = client.call("imap.status", account="a", mailbox="Größe & mehr")
        same(status, {"mailbox": "Größe & mehr", "messages": 3, "unseen": 1, "uidnext": 9, "uidvalidity": 7})
        said = server.said("STATUS")[0].encode("latin-1").decode()
        same(said, "STATUS \"Größe & mehr\" (MESSAGES UNSEEN UIDNEXT UIDVALIDITY)")
        same([box["name"] for box in client.call("imap.lsub", account="a")["mailboxes"]], ["Größe & mehr"])
        same(client.call("imap.search", account="a", query="SUBJECT Grüße")["uids"], [2, 4, 5])
        said = server.said("UID SEARCH")[0].encode("latin-1").decode()
        same(said, "UID SEARCH RETURN (ALL) SUBJECT \"Grüße\"")
        client.call("imap.move", account="a", uids=[1], destination="X", uidvalidity="any")
        same(server.said("UID MOVE"), ["UID MOVE 1 X"])
    server, daemon = fake(flow, "IMAP4rev2", disable="MOVE")
    with server, daemon as daemon, daemon.client() as client:
        client.call("imap.move", account="a", uids=[1], destination="X", uidvalidity="any")
        same((server.said("UID MOVE"), server.said("UID COPY")), ([], ["UID COPY 1 X"]))


def test_enabled(flow):
    """What a session switches on is understood from then on: names in UTF-8, VANISHED in place of EXPUNGE"""
    answers = {
        "ENABLE": lambda server, wire, tag, line: wire.sendall(f"* ENABLED{line[6:]}\r\n{tag} OK x\r\n".encode()),
        "LIST": "* LIST () \"/\" \"a & \u65e5\u672c\"\r\n% OK x\r\n",
        "EXPUNGE": "* VANISHED 4,8:9\r\n% OK x\r\n",
    }
    server, daemon = fake(flow, BASE + " ENABLE UTF8=ACCEPT QRESYNC CONDSTORE", answers)
    with server, daemon as daemon, daemon.client() as client:
        session = client.call("imap.open", account="a")["session"]
        same(client.call("imap.enable", session=session, capabilities=["UTF8=ACCEPT", "QRESYNC"]), {"enabled": ["UTF8=ACCEPT", "QRESYNC"]})
        same([box["name"] for box in client.call("imap.list", session=session)["mailboxes"]], ["a & 日本"])
        client.call("imap.create", session=session, mailbox="b & ü")
        same([line.encode("latin-1").decode() for line in server.said("CREATE")], ["CREATE \"b & ü\""])
        client.call("imap.select", session=session)
        same(client.call("imap.expunge", session=session)["expunged"], [4, 8, 9])
        client.call("imap.logout", session=session)


def test_utf8_only(flow):
    """A server that takes nothing but UTF-8 is told that it may"""
    answers = {"ENABLE": "* ENABLED UTF8=ACCEPT\r\n% OK x\r\n"}
    server, daemon = fake(flow, BASE + " ENABLE UTF8=ACCEPT UTF8=ONLY", answers)
    with server, daemon as daemon, daemon.client() as client:
        client.call("imap.create", account="a", mailbox="ü")
        same([line.encode("latin-1").decode() for line in server.lines[-2:]], ["ENABLE UTF8=ACCEPT", "CREATE \"ü\""])


def test_names_told_twice(flow):
    """What a server tells twice under one name counts once, the first time"""
    answers = {
        "GETACL": "* ACL INBOX ann lr carol l ann rw\r\n% OK x\r\n",
        "ID": "* ID (\"name\" \"a\" \"name\" \"b\" \"version\" NIL)\r\n% OK x\r\n",
        "GETMETADATA": "* METADATA \"\" (/private/x \"1\" /private/x \"2\")\r\n* METADATA \"\" (/private/x \"3\" /private/y \"4\")\r\n% OK x\r\n",
        "GETQUOTA": "* QUOTA \"\" (STORAGE 1 2 STORAGE 3 4)\r\n% OK x\r\n",
    }
    server, daemon = fake(flow, BASE + " ACL ID METADATA QUOTA", answers)
    with server, daemon as daemon, daemon.client() as client:
        same(client.call("imap.getacl", account="a"), {"acl": {"ann": "lr", "carol": "l"}})
        same(client.call("imap.id", account="a"), {"fields": {"name": "a", "version": None}})
        same(client.call("imap.getmetadata", account="a", mailbox="", entries=["/private"], depth="infinity"), {"entries": {"/private/x": "1", "/private/y": "4"}})
        same(client.call("imap.getquota", account="a", root=""), {"quotas": [{"root": "", "resources": {"STORAGE": {"usage": 1, "limit": 2}}}]})


def test_search_returns(flow):
    """imap.search tells all, the lowest, the highest, how many, or a part, whether the server helps or not"""
    user, client = flow.user(), flow.client()
    flow.put(user, *[flow.letter("bob@example.com", f"number {number}") for number in range(1, 13)])
    client.call("imap.store", account=user, uids=[3, 7], command="+FLAGS", flags=["\\Deleted"], uidvalidity="any")
    client.call("imap.expunge", account=user, uids=[3, 7], uidvalidity="any")
    there = [1, 2, 4, 5, 6, 8, 9, 10, 11, 12]
    for disabled in ("", "ESEARCH PARTIAL"):
        account = flow.account(user)
        account["imap"]["disable"] = disabled or "X"
        with flow.own_daemon({"a": account}) as daemon, daemon.client() as client:
            def search(**params):
                answer = client.call("imap.search", account="a", query=params.pop("query", "ALL"), **params)
                answer.pop("uidvalidity")
                return answer
            same(search(), {"uids": there}, disabled)
            same(search(ranges=True), {"ranges": "1:2,4:6,8:12"}, disabled)
            same(search(**{"return": ["MIN", "MAX", "COUNT"]}), {"min": 1, "max": 12, "count": 10}, disabled)
            same(search(**{"return": "count all"}), {"uids": there, "count": 10}, disabled)
            same(search(query="SUBJECT nothing", **{"return": "MIN MAX COUNT ALL"}), {"uids": [], "count": 0}, disabled)
            for part, wanted in (("1:3", [1, 2, 4]), ("3:3", [4]), ("9:20", [11, 12]), ("5:2", [2, 4, 5, 6]), ("11:12", []),
                                 ("-1:-3", [10, 11, 12]), ("-3:-2", [10, 11]), ("-9:-30", [1, 2]), ("-11:-12", []), ("-1:-1", [12])):
                same(search(partial=part), {"uids": wanted}, (part, disabled))
            same(search(partial="-2:-6", ranges=True, **{"return": "COUNT"}), {"ranges": "6,8:11", "count": 10}, disabled)
            items, result = client.streamed("imap.search", account="a", query="ALL", partial="2:3")
            same((items, result["count"]), ([2, 4], 2))
            for wrong in ("0:1", "1:-1", "x:1", "1:", "1", "-:-1"):
                client.fails(INVALID_PARAMS, "imap.search", account="a", query="ALL", partial=wrong)
            client.fails(INVALID_PARAMS, "imap.search", account="a", query="ALL", **{"return": "SAVE"})


def test_fetch_part(flow):
    """imap.fetch pages through a mailbox, whether the server counts or not"""
    user, client = flow.user(), flow.client()
    flow.put(user, *[flow.letter("bob@example.com", f"number {number}") for number in range(1, 10)])
    client.call("imap.store", account=user, uids=[3, 7], command="+FLAGS", flags=["\\Deleted"], uidvalidity="any")
    client.call("imap.expunge", account=user, uids=[3, 7], uidvalidity="any")
    for part, wanted in (("1:3", [1, 2, 4]), ("-1:-2", [8, 9]), ("6:20", [8, 9]), ("8:9", [])):
        answer = client.call("imap.fetch", account=user, uids="1:*", items="FLAGS", partial=part)
        same(([one["uid"] for one in answer["messages"]], "missing" in answer), (wanted, False), part)
    same([one["uid"] for one in client.call("imap.fetch", account=user, uids="2:6", items="FLAGS", partial="-1:-2")["messages"]], [5, 6])
    flow.put(user, flow.letter("bob@example.com", "newest"))
    same([one["uid"] for one in client.call("imap.fetch", account=user, uids="1:*", items="FLAGS", partial="-1:-1")["messages"]], [10])
    client.fails(INVALID_PARAMS, "imap.fetch", account=user, uids="1:*", items="FLAGS", partial="0:1")
    server, daemon = fake(flow, BASE + " PARTIAL CONDSTORE", {"UID FETCH": "* 4 FETCH (UID 8 FLAGS ())\r\n% OK x\r\n"})
    with server, daemon as daemon, daemon.client() as client:
        same([one["uid"] for one in client.call("imap.fetch", account="a", uids="1:*", items="FLAGS", partial="-1:-1", changedsince=5)["messages"]], [8])
        same(server.lines[-1], "UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE 5 PARTIAL -1:-1)")


def test_search_saved(flow):
    """What a session's search has saved is "$" for the calls behind it"""
    user, client = flow.user(), flow.client()
    flow.put(user, *[flow.letter("bob@example.com", f"number {number}") for number in range(1, 6)])
    session = client.call("imap.open", account=user)["session"]
    client.call("imap.select", session=session)
    same(client.call("imap.search", session=session, query="OR SUBJECT \"number 2\" SUBJECT \"number 4\"", **{"return": "SAVE COUNT"})["count"], 2)
    same([one["uid"] for one in client.call("imap.fetch", session=session, uids="$", items="FLAGS")["messages"]], [2, 4])
    same([one["uid"] for one in client.call("imap.store", session=session, uids="$", command="+FLAGS", flags="\\Flagged")["messages"]], [2, 4])
    same(client.call("imap.search", session=session, query="$ SUBJECT 4")["uids"], [4])
    same([pair[0] for pair in client.call("imap.copy", session=session, uids="$", destination="Sent")["uids"]], [2, 4])
    client.fails(INVALID_PARAMS, "imap.fetch", account=user, uids="$", items="FLAGS")
    client.call("imap.logout", session=session)
    server, daemon = fake(flow, BASE + " ESEARCH")
    with server, daemon as daemon, daemon.client() as client:
        session = client.call("imap.open", account="a")["session"]
        client.call("imap.select", session=session)
        for method, params in (("search", {"query": "ALL", "return": "SAVE"}), ("search", {"query": "$ SEEN"}), ("fetch", {"uids": "$", "items": "FLAGS"})):
            assert "SEARCHRES" in client.fails("missing_extension", "imap." + method, session=session, **params).message
        client.call("imap.logout", session=session)


def test_search_keys(flow):
    """A search key of an extension is sent where that is offered, and named where it is not"""
    keys = {"WITHIN": "YOUNGER 3600", "SEARCH=FUZZY": "FUZZY SUBJECT x", "CONDSTORE": "MODSEQ 5", "OBJECTID": "EMAILID M1", "SAVEDATE": "SAVEDSINCE 1-Jan-2026",
            "X-GM-EXT-1": "X-GM-RAW \"in:inbox has:attachment\"", "ANNOTATE-EXPERIMENT-1": "ANNOTATION /comment value x"}
    answers = {"UID SEARCH": "* SEARCH 5 2 3 (MODSEQ 77)\r\n% OK x\r\n"}
    server, daemon = fake(flow, BASE + " " + " ".join(keys), answers)
    with server, daemon as daemon, daemon.client() as client:
        for query in keys.values():
            same(client.call("imap.search", account="a", query=query), {"uidvalidity": 7, "modseq": 77, "uids": [2, 3, 5]}, query)
            same(server.lines[-1], "UID SEARCH " + query)
            same(client.call("imap.search", account="a", query=["OR", "SEEN", [query]])["uids"], [2, 3, 5], query)
    server, daemon = fake(flow, BASE, answers)
    with server, daemon as daemon, daemon.client() as client:
        for name, query in keys.items():
            assert name in client.fails("missing_extension", "imap.search", account="a", query=query).message, query
        same(server.said("UID SEARCH"), [])
        client.call("imap.search", account="a", query="SUBJECT YOUNGER")    # a word to look for is no key


def test_search_results_out_of_order(flow):
    """Numbers in any order, over several lines, become what they are: a set"""
    many = " ".join(str(number) for number in range(60000, 0, -3))
    answers = {"UID SEARCH": f"* SEARCH 9 7 8\r\n* SEARCH {many}\r\n* SEARCH 7\r\n% OK x\r\n"}
    server, daemon = fake(flow, BASE, answers)
    with server, daemon as daemon, daemon.client() as client:
        same(client.call("imap.search", account="a", query="ALL")["uids"], sorted({7, 8, 9} | set(range(60000, 0, -3))))
    answers = {"UID SEARCH": lambda server, wire, tag, line: wire.sendall(f"* ESEARCH (TAG \"{tag}\") UID COUNT 20000 PARTIAL (1:2 4,9)\r\n{tag} OK x\r\n".encode())}
    server, daemon = fake(flow, BASE + " ESEARCH PARTIAL", answers)
    with server, daemon as daemon, daemon.client() as client:
        same(client.call("imap.search", account="a", query="ALL", partial="1:2", **{"return": "COUNT"}), {"uidvalidity": 7, "uids": [4, 9], "count": 20000})
        same(server.said("UID SEARCH"), ["UID SEARCH RETURN (COUNT PARTIAL 1:2) ALL"])


def test_search_charset(flow):
    """Text of any language goes out as UTF-8, and a server that knows no charset is quoted"""
    answers = {"UID SEARCH CHARSET": "% NO [BADCHARSET (US-ASCII)] x\r\n", "UID SEARCH": "* SEARCH 1\r\n% OK x\r\n"}
    server, daemon = fake(flow, BASE, answers)
    with server, daemon as daemon, daemon.client() as client:
        error = client.fails("rejected", "imap.search", account="a", query=["SUBJECT", "日本"])
        assert "BADCHARSET" in str(error.data["reply"]), error.data
        same(server.lines[-1].encode("latin-1").decode(), "UID SEARCH CHARSET UTF-8 SUBJECT {6+}\r\n日本")
        same(client.call("imap.search", account="a", query=["SUBJECT", "x"])["uids"], [1])


def test_long_sets(flow):
    """Sets of any length go out compacted, in commands of less than 8 kB"""
    answers = {
        "UID STORE": lambda server, wire, tag, line: wire.sendall(f"{tag} OK x\r\n".encode()),
        "UID SEARCH": lambda server, wire, tag, line: wire.sendall(f"* SEARCH {line.split(' ')[3].replace(',', ' ')}\r\n{tag} OK x\r\n".encode()),
        "UID EXPUNGE": "% OK x\r\n",
    }
    uids = list(range(4000000001, 4000010001, 2))
    server, daemon = fake(flow, BASE + " UIDPLUS", answers)
    with server, daemon as daemon, daemon.client() as client:
        client.call("imap.store", account="a", uids=uids + [5, 6, 7, 8, 4], command="+FLAGS.SILENT", flags="\\Seen", uidvalidity="any")
        same(client.call("imap.expunge", account="a", uids=uids, uidvalidity="any")["expunged"], uids)
        for name in ("UID STORE", "UID SEARCH", "UID EXPUNGE"):
            lines = server.said(name)
            assert len(lines) > 5 and max(map(len, lines)) < 8000, (name, len(lines), max(map(len, lines)))
        sent = ",".join(line.split(" ")[2] for line in server.said("UID STORE")).split(",")
        same(sent, ["4:8"] + [str(uid) for uid in uids])


def test_condstore(flow):
    """Modification sequences: what has changed since, and changes that hold only where nothing has"""
    user, client = flow.user(), flow.client()
    flow.put(user, *[flow.letter("bob@example.com", f"number {number}") for number in range(1, 6)])
    before = client.call("imap.status", account=user, items="HIGHESTMODSEQ")["highestmodseq"]
    same(client.call("imap.fetch", account=user, uids="1:*", items="FLAGS", changedsince=before)["messages"], [])
    stored = client.call("imap.store", account=user, uids=[2, 4], command="+FLAGS", flags="\\Flagged", uidvalidity="any")
    changed = client.call("imap.fetch", account=user, uids="1:*", items="FLAGS", changedsince=before)
    same([(one["uid"], "\\Flagged" in one["flags"]) for one in changed["messages"]], [(2, True), (4, True)])
    assert all(one["modseq"] > before for one in changed["messages"]) and "missing" not in changed, changed
    assert all(one.get("modseq", before + 1) > before for one in stored["messages"]), stored
    answer = client.call("imap.store", account=user, uids=[1, 2, 3, 4], command="+FLAGS", flags="\\Answered", unchangedsince=before)
    same(answer["modified"], [2, 4])
    same(client.call("imap.search", account=user, query="ANSWERED")["uids"], [1, 3])
    same(client.call("imap.store", account=user, uids=[1], command="FLAGS", flags=[], unchangedsince=0)["modified"], [1])
    found = client.call("imap.search", account=user, query=f"MODSEQ {before + 1}")
    same(found["uids"], [1, 2, 3, 4])
    assert found["modseq"] > before, found
    everything = client.call("imap.fetch", account=user, uids="1:*", items="FLAGS", changedsince=0)["messages"]
    assert [one["uid"] for one in everything] == [1, 2, 3, 4, 5] and all(one["modseq"] for one in everything), everything
    server, daemon = fake(flow)
    with server, daemon as daemon, daemon.client() as client:
        for method, params in (("fetch", {"changedsince": 5}), ("fetch", {"changedsince": 0}), ("fetch", {"items": ["UID", "MODSEQ"]}),
                               ("store", {"command": "FLAGS", "flags": [], "unchangedsince": 0, "uidvalidity": "any"}),
                               ("search", {"query": "MODSEQ 5"}), ("status", {"items": "HIGHESTMODSEQ"})):
            params = params if method in ("search", "status") else dict(params, uids=[1])
            assert "CONDSTORE" in client.fails("missing_extension", "imap." + method, account="a", **params).message, method


def test_vanished(flow):
    """imap.fetch tells what has vanished since, on a connection that switches QRESYNC on for it"""
    user, client = flow.user(), flow.client()
    flow.put(user, *[flow.letter("bob@example.com", f"number {number}") for number in range(1, 9)])
    before = client.call("imap.status", account=user, items="HIGHESTMODSEQ")["highestmodseq"]
    client.call("imap.store", account=user, uids="3:5", command="+FLAGS", flags="\\Deleted", uidvalidity="any")
    client.call("imap.expunge", account=user, all=True, uidvalidity="any")
    answer = client.call("imap.fetch", account=user, uids="1:*", items="FLAGS", changedsince=before, vanished=True)
    same((answer["messages"], answer["vanished"]), ([], "3:5"))
    same(client.call("imap.fetch", account=user, uids=[1, 4], items="FLAGS", changedsince=before, vanished=True)["vanished"], "4")
    # the connection goes on as before, though the server now tells UIDs
    client.call("imap.store", account=user, uids=[7], command="+FLAGS", flags="\\Deleted", uidvalidity="any")
    same(client.call("imap.expunge", account=user, uids=[7, 8], uidvalidity="any")["expunged"], [7])
    same(client.call("imap.status", account=user)["messages"], 4)
    same([one["uid"] for one in client.call("imap.fetch", account=user, uids="1:*", items="FLAGS")["messages"]], [1, 2, 6, 8])
    client.fails(INVALID_PARAMS, "imap.fetch", account=user, uids="1:*", items="FLAGS", vanished=True)
    server, daemon = fake(flow, BASE + " CONDSTORE ENABLE UNSELECT")
    with server, daemon as daemon, daemon.client() as client:
        assert "QRESYNC" in client.fails("missing_extension", "imap.fetch", account="a", uids="1:*", items="FLAGS", changedsince=5, vanished=True).message
    answers = {"ENABLE": "* ENABLED QRESYNC\r\n% OK x\r\n", "UID FETCH": "* VANISHED (EARLIER) 41,43:116\r\n* 1 FETCH (UID 3 FLAGS () MODSEQ (9))\r\n% OK x\r\n"}
    server, daemon = fake(flow, BASE + " CONDSTORE ENABLE UNSELECT QRESYNC", answers)
    with server, daemon as daemon, daemon.client() as client:
        client.call("imap.search", account="a", query="ALL")
        for _ in range(2):
            answer = client.call("imap.fetch", account="a", uids="1:*", items="FLAGS", changedsince=5, vanished=True)
            same((answer["vanished"], [one["modseq"] for one in answer["messages"]]), ("41,43:116", [9]))
        words = [line.split(" ")[0] for line in server.lines]
        same(words[words.index("UID") + 1:], ["UNSELECT", "ENABLE", "EXAMINE", "UID", "NOOP", "UID"])
        same(server.connections, 1)


def test_resynchronise(flow):
    """A session that knows a mailbox is told what has happened to it since"""
    user, client = flow.user(), flow.client()
    flow.put(user, *[flow.letter("bob@example.com", f"number {number}") for number in range(1, 9)])
    session = client.call("imap.open", account=user)["session"]
    box = client.call("imap.select", session=session, condstore=True)
    known = {"uidvalidity": box["uidvalidity"], "modseq": box["highestmodseq"]}
    client.fails(INVALID_PARAMS, "imap.select", session=session, qresync=known)
    same(client.call("imap.enable", session=session, capabilities="QRESYNC")["enabled"], ["QRESYNC"])
    same(client.call("imap.fetch", session=session, uids="1:*", items="FLAGS", changedsince=known["modseq"], vanished=True)["vanished"], "")
    other = flow.client()
    other.call("imap.store", account=user, uids=[3, 4], command="+FLAGS", flags="\\Deleted", uidvalidity="any")
    other.call("imap.expunge", account=user, all=True, uidvalidity="any")
    other.call("imap.store", account=user, uids=[5], command="+FLAGS", flags="\\Seen", uidvalidity="any")
    client.call("imap.select", session=session, mailbox="Sent")
    box = client.call("imap.select", session=session, qresync=known)
    same((box["vanished"], [(one["uid"], one["seq"], "\\Seen" in one["flags"]) for one in box["changed"]], box["exists"]), ("3:4", [(5, 3, True)], 6))
    box = client.call("imap.examine", session=session, qresync=dict(known, uids="6:7"))
    same((box["vanished"], [one["uid"] for one in box["changed"]], box["readonly"]), ("", [], True))
    box = client.call("imap.select", session=session, qresync=dict(known, uidvalidity=known["uidvalidity"] + 1))
    same((box["vanished"], box["changed"]), ("", []))
    client.call("imap.store", session=session, uids=[8, 1], command="+FLAGS", flags="\\Deleted")
    same(sorted(client.call("imap.expunge", session=session)["expunged"]), [1, 8])
    client.call("imap.logout", session=session)
    # what comes before CLOSED was about the other mailbox
    answers = {"ENABLE": "* ENABLED QRESYNC\r\n% OK x\r\n",
               "EXAMINE B": "* 9 EXISTS\r\n* VANISHED 5\r\n* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n* OK [CLOSED] x\r\n* 4 EXISTS\r\n* OK [UIDVALIDITY 8] x\r\n"
                            "* VANISHED (EARLIER) 2\r\n* 1 FETCH (UID 7 FLAGS () MODSEQ (12))\r\n% OK x\r\n"}
    server, daemon = fake(flow, BASE + " CONDSTORE ENABLE QRESYNC", answers)
    with server, daemon as daemon, daemon.client() as client:
        session = client.call("imap.open", account="a")["session"]
        client.call("imap.enable", session=session, capabilities="QRESYNC")
        client.call("imap.select", session=session, mailbox="A")
        box = client.call("imap.examine", session=session, mailbox="B", qresync={"uidvalidity": 8, "modseq": 3, "uids": "1:9"})
        same(server.lines[-1], "EXAMINE B (QRESYNC (8 3 1:9))")
        same((box["exists"], box["vanished"], box["changed"]), (4, "2", [{"uid": 7, "seq": 1, "flags": [], "modseq": 12}]))
        client.call("imap.logout", session=session)


def boxes(answer):
    return {box["name"]: box for box in answer["mailboxes"]}


def test_list_extended(flow):
    """imap.list chooses and tells more of mailboxes, in one command or, without extensions, in several"""
    user, client = flow.user(), flow.client()
    for name in ("Größe & mehr", "Größe & mehr/unten", "A"):
        client.call("imap.create", account=user, mailbox=name)
    client.call("imap.subscribe", account=user, mailbox="Größe & mehr/unten")
    flow.put(user, *[flow.letter("bob@example.com", f"number {number}") for number in (1, 2, 3)])
    client.call("imap.setmetadata", account=user, mailbox="A", entries={"/private/comment": "schön"})
    for disabled in ("X", "LIST-EXTENDED LIST-STATUS LIST-METADATA LIST-MYRIGHTS", "LIST-EXTENDED"):
        account = flow.account(user)
        account["imap"]["disable"] = disabled
        with flow.own_daemon({"a": account}) as daemon, daemon.client() as client:
            found = boxes(client.call("imap.list", account="a", status=["MESSAGES", "UIDNEXT", "UIDVALIDITY"]))
            same(({name: box["status"]["messages"] for name, box in found.items() if box["status"]}["INBOX"], found["INBOX"]["status"]["uidnext"] > 3), (3, True), disabled)
            assert all(box["status"] for box in found.values()) and len(found) >= 6, found
            flow.put(user, flow.letter("bob@example.com", "one more"))
            client.call("imap.search", account="a", query="ALL")
            items, result = client.streamed("imap.list", account="a", status="MESSAGES", pattern="INBOX")
            same((items[0]["status"], result["count"]), ({"messages": 4}, 1), disabled)
            with flow.mailbox(user) as box:
                box.store("4", "+FLAGS", "\\Deleted")
                box.expunge()
            same(client.call("imap.list", account="a", status="MESSAGES", pattern="INBOX")["mailboxes"][0]["status"], {"messages": 3}, disabled)
            found = boxes(client.call("imap.list", account="a", patterns=["A", "Größe*", "A*", "nothing"]))
            same(sorted(found), ["A", "Größe & mehr", "Größe & mehr/unten"], disabled)
            same(list(boxes(client.call("imap.list", account="a", selection="SUBSCRIBED"))), ["Größe & mehr/unten"], disabled)
            special = boxes(client.call("imap.list", account="a", selection="SPECIAL-USE", **{"return": "SPECIAL-USE"}))
            assert {box["special_use"] for box in special.values()} >= {"\\Sent", "\\Drafts", "\\Trash"} and "A" not in special, (special, disabled)
            found = boxes(client.call("imap.list", account="a", metadata=["/private/comment"], **{"return": "MYRIGHTS"}))
            same((found["A"]["metadata"].get("/private/comment"), found["INBOX"]["metadata"].get("/private/comment")), ("schön", None), disabled)
            assert all("lr" in box["rights"] for box in found.values()), found
            found = boxes(client.call("imap.list", account="a", pattern="Gr%", **{"return": "CHILDREN"}))
            assert "\\HasChildren" in found["Größe & mehr"]["attributes"], found
            same(client.call("imap.list", account="a", pattern="nothing", status="MESSAGES"), {"mailboxes": []})
    flow.client().fails(INVALID_PARAMS, "imap.list", account=user, selection="ODD")


def test_list_commands(flow):
    """What goes out for an extended LIST, and what is understood of its answer"""
    answers = {"LIST": "* LIST (\\Subscribed \\HasChildren) \"/\" A (\"CHILDINFO\" (\"SUBSCRIBED\") \"OLDNAME\" (\"B\") \"X\" 5)\r\n* LIST (\\NonExistent) \"/\" C\r\n"
                       "* STATUS A (MESSAGES 4 MAILBOXID (F1) MESSAGES 5 mailbox 3)\r\n* MYRIGHTS A lrs\r\n* METADATA A (/private/comment x)\r\n* STATUS D (MESSAGES 1)\r\n% OK x\r\n"}
    every = BASE + " LIST-EXTENDED LIST-STATUS LIST-MYRIGHTS LIST-METADATA SPECIAL-USE CREATE-SPECIAL-USE OBJECTID ACL METADATA"
    server, daemon = fake(flow, every, answers)
    with server, daemon as daemon, daemon.client() as client:
        answer = client.call("imap.list", account="a", patterns=["A", "B C"], selection="SUBSCRIBED RECURSIVEMATCH", status="MESSAGES MAILBOXID",
                             metadata="/private/comment", **{"return": ["CHILDREN", "MYRIGHTS"]})
        same(server.lines[-1], "LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (\"A\" \"B C\") RETURN (SPECIAL-USE CHILDREN MYRIGHTS STATUS (MESSAGES MAILBOXID) METADATA (/private/comment))")
        same(answer["mailboxes"], [
            {"name": "A", "delimiter": "/", "attributes": ["\\Subscribed", "\\HasChildren"], "special_use": None, "child_info": ["SUBSCRIBED"], "old_name": "B",
             "status": {"messages": 4, "mailboxid": "F1"}, "rights": "lrs", "metadata": {"/private/comment": "x"}},
            {"name": "C", "delimiter": "/", "attributes": ["\\NonExistent"], "special_use": None, "status": None, "rights": None, "metadata": {}}])
    answers = {"CREATE": "% OK [MAILBOXID (F77)] x\r\n"}
    server, daemon = fake(flow, every, answers)
    with server, daemon as daemon, daemon.client() as client:
        same(client.call("imap.create", account="a", mailbox="Sent 2", special_use="\\Sent"), {"mailboxid": "F77"})
        same(server.lines[-1], "CREATE \"Sent 2\" (USE (\\Sent))")
        client.fails(INVALID_PARAMS, "imap.create", account="a", mailbox="x", special_use="a b)")
    server, daemon = fake(flow, BASE, {"LIST": "* LIST () \"/\" A\r\n* LIST () \"/\" B\r\n% OK x\r\n", "STATUS A": "* STATUS A (MESSAGES 4)\r\n% OK x\r\n", "STATUS B": "% NO x\r\n"})
    with server, daemon as daemon, daemon.client() as client:
        same([box["status"] for box in client.call("imap.list", account="a", status="MESSAGES")["mailboxes"]], [{"messages": 4}, None])
        for name, params in (("LIST-EXTENDED", {"selection": "REMOTE"}), ("SPECIAL-USE", {"selection": "SPECIAL-USE"}), ("MYRIGHTS", {"return": "MYRIGHTS"}),
                             ("METADATA", {"metadata": "/private/x"}), ("LIST-EXTENDED", {"return": "SUBSCRIBED"}), ("OBJECTID", {"status": "MAILBOXID"})):
            assert name in client.fails("missing_extension", "imap.list", account="a", **params).message, params
        assert "CREATE-SPECIAL-USE" in client.fails("missing_extension", "imap.create", account="a", mailbox="x", special_use="\\Sent").message


def letter(number, size=20):
    return f"Subject: number {number}\r\n\r\n" + "x" * size + "\r\n"


def test_append_several(flow):
    """imap.append stores several messages, all or none where the server can"""
    user = flow.user()
    for disabled in ("X", "MULTIAPPEND", "MULTIAPPEND LITERAL+"):
        account = flow.account(user)
        account["imap"]["disable"] = disabled
        with flow.own_daemon({"a": account}) as daemon, daemon.client() as client:
            before = client.call("imap.status", account="a", mailbox="Drafts")["uidnext"]
            answer = client.call("imap.append", account="a", mailbox="Drafts", idempotency_key=disabled, messages=[
                {"raw": letter(1), "flags": ["\\Seen"]}, {"raw": letter(2, 300000), "date": "2026-03-02T10:00:00+01:00"},
                {"message": {"from": "a@example.com", "subject": "number 3", "text": "x"}, "flags": "$Label \\Flagged"}, {"raw": letter(4, 5000)}])
            same(answer["uids"], list(range(before, before + 4)), disabled)
            found = client.call("imap.fetch", account="a", mailbox="Drafts", uids=answer["uids"], items=["FLAGS", "ENVELOPE", "RFC822.SIZE", "INTERNALDATE"])["messages"]
            same([one["envelope"]["subject"] for one in found], [f"number {number}" for number in (1, 2, 3, 4)])
            same(("\\Seen" in found[0]["flags"], "$Label" in found[2]["flags"], found[1]["size"], found[1]["internaldate"][:10]),
                 (True, True, len(letter(2, 300000)), "2026-03-02"))
            again = client.call("imap.append", account="a", mailbox="Drafts", idempotency_key=disabled, messages=[
                {"raw": letter(1), "flags": ["\\Seen"]}, {"raw": letter(2, 300000), "date": "2026-03-02T10:00:00+01:00"},
                {"message": {"from": "a@example.com", "subject": "number 3", "text": "x"}, "flags": "$Label \\Flagged"}, {"raw": letter(4, 5000)}])
            same(again, answer)
            client.fails("rejected", "imap.append", account="a", mailbox="No Such", messages=[{"raw": letter(1)}, {"raw": letter(2)}])
            client.fails(INVALID_PARAMS, "imap.append", account="a", mailbox="Drafts", messages=[{"raw": letter(1)}], flags="\\Seen")
            client.fails("bad_message", "imap.append", account="a", mailbox="Drafts", messages=[{"raw": letter(1)}, {"raw": ""}])
    stored = []

    def append(server, wire, tag, line):
        stored.append(line)
        wire.sendall(f"{tag} NO [OVERQUOTA] x\r\n".encode() if "number 2" in line else f"{tag} OK [APPENDUID 7 {len(stored)}] x\r\n".encode())
    server, daemon = fake(flow, BASE, {"APPEND": append})
    with server, daemon as daemon, daemon.client() as client:
        error = client.fails("rejected", "imap.append", account="a", messages=[{"raw": letter(number)} for number in (1, 2, 3)])
        same((error.data["outcome"], "OVERQUOTA" in str(error.data["reply"]), "message 2 of 3" in error.message, len(stored)), ("done", True, True, 2))


def test_append_keeps_bcc(flow):
    """What is stored keeps its Bcc: a draft would lose it"""
    user, client = flow.user(), flow.client()
    raw = "From: a@example.com\r\nBcc: secret@example.com,\r\n other@example.com\r\nSubject: draft\r\n\r\nx\r\n"
    uid = client.call("imap.append", account=user, mailbox="Drafts", raw=raw, flags="\\Draft")["uid"]
    same(client.call("imap.fetch", account=user, mailbox="Drafts", uids=[uid])["messages"][0]["sections"]["BODY[]"]["text"], raw)


def test_append_literals(flow):
    """Further literals of a command wait for the server only where they are long; NUL and UTF-8 have literals of their own"""
    answers = {"APPEND": "% OK [APPENDUID 7 4:6] x\r\n", "ENABLE": "* ENABLED UTF8=ACCEPT\r\n% OK x\r\n"}
    server, daemon = fake(flow, BASE + " MULTIAPPEND BINARY UTF8=ACCEPT ENABLE UNSELECT", answers)
    with server, daemon as daemon, daemon.client() as client:
        same(client.call("imap.append", account="a", messages=[{"raw": letter(1)}, {"raw": letter(2), "flags": "\\Seen"}, {"raw": letter(3, 70000)}])["uids"], [4, 5, 6])
        line = server.said("APPEND")[0]
        same((line.startswith("APPEND INBOX {43}\r\n"), " (\\Seen) {43+}\r\n" in line, f" {{{len(letter(3, 70000))}}}\r\n" in line), (True, True, True), line[:200])
        client.call("imap.append", account="a", raw={"base64": "U3ViamVjdDogeA0KDQoAYQ0K"})
        same(server.lines[-1], "APPEND INBOX ~{18}\r\nSubject: x\r\n\r\n\0a")
        client.call("imap.search", account="a", query="ALL")
        client.call("imap.append", account="a", raw="Subject: ü\r\n\r\nx\r\n")
        same(server.lines[-3:-1], ["UNSELECT", "ENABLE UTF8=ACCEPT"])
        same(server.lines[-1].encode("latin-1"), "APPEND INBOX UTF8 (~{18}\r\nSubject: ü\r\n\r\nx\r\n)".encode())
    server, daemon = fake(flow, BASE + " APPENDLIMIT=100", answers)
    with server, daemon as daemon, daemon.client() as client:
        assert "BINARY" in client.fails("missing_extension", "imap.append", account="a", raw={"base64": "U3ViamVjdDogeA0KDQoAYQ0K"}).message
        client.call("imap.append", account="a", raw="Subject: ü\r\n\r\nx\r\n")
        same(server.lines[-1].encode("latin-1"), "APPEND INBOX {18}\r\nSubject: ü\r\n\r\nx".encode())
        assert "APPENDLIMIT" in client.fails("bad_message", "imap.append", account="a", raw=letter(1, 100)).message
        same(len(server.said("APPEND")), 1)


def test_catenate(flow):
    """A message is put together from texts and from what the server has already"""
    user, client = flow.user(), flow.client()
    flow.put(user, "From: a@example.com\r\nSubject: old\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nsecret\r\n--b--\r\n".encode())
    capabilities = client.call("imap.capability", account=user)["capabilities"]
    if "CATENATE" in capabilities:
        validity = client.call("imap.status", account=user)["uidvalidity"]
        uid = client.call("imap.append", account=user, parts=[
            {"raw": "Subject: new\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n"}, {"uid": 1, "section": "1.MIME", "uidvalidity": validity},
            {"uid": 1, "section": "1"}, {"raw": "\r\n--c--\r\n"}], flags="\\Draft")["uid"]
        whole = client.call("imap.fetch", account=user, uids=[uid])["messages"][0]["sections"]["BODY[]"]["text"]
        same(whole, "Subject: new\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\nContent-Type: text/plain\r\n\r\nsecret\r\n--c--\r\n")
    answers = {"APPEND": "% OK [APPENDUID 7 4] x\r\n"}
    server, daemon = fake(flow, BASE + " CATENATE", answers)
    with server, daemon as daemon, daemon.client() as client:
        parts = [{"raw": "Subject: x\r\n\r\n"}, {"uid": 5, "mailbox": "A/ü", "uidvalidity": 9, "section": "2.TEXT"}, {"url": "/INBOX/;UID=7"}]
        same(client.call("imap.append", account="a", parts=parts)["uid"], 4)
        same(server.lines[-1], "APPEND INBOX CATENATE (TEXT {14}\r\nSubject: x\r\n\r\n URL \"/A/%C3%BC;UIDVALIDITY=9/;UID=5/;SECTION=2.TEXT\" URL /INBOX/;UID=7)")
        client.call("imap.append", account="a", parts=[{"url": "/INBOX/;UID=7"}], flags="\\Seen")
        same(server.lines[-1], "APPEND INBOX (\\Seen) CATENATE (URL /INBOX/;UID=7)")
        client.fails(INVALID_PARAMS, "imap.append", account="a", parts=[{"url": "x", "uid": 5}])
    server, daemon = fake(flow)
    with server, daemon as daemon, daemon.client() as client:
        assert "CATENATE" in client.fails("missing_extension", "imap.append", account="a", parts=parts).message


def test_replace(flow):
    """imap.replace puts a message in the place of another, in one step or in several"""
    user, client = flow.user(), flow.client()
    uid = client.call("imap.append", account=user, mailbox="Drafts", raw=letter(1), flags="\\Draft")["uid"]
    answer = client.call("imap.replace", account=user, mailbox="Drafts", uid=uid, raw=letter(2), flags="\\Draft")
    left = client.call("imap.fetch", account=user, mailbox="Drafts", uids="1:*", items=["ENVELOPE", "FLAGS"])["messages"]
    same([(one["uid"], one["envelope"]["subject"]) for one in left], [(answer["uid"], "number 2")])
    same(client.fails("not_found", "imap.replace", account=user, mailbox="Drafts", uid=uid, raw=letter(3)).data["outcome"], "none")
    client.call("imap.replace", account=user, mailbox="Drafts", uid=answer["uid"], raw=letter(4), destination="Sent")
    same((client.call("imap.status", account=user, mailbox="Drafts")["messages"], client.call("imap.status", account=user, mailbox="Sent")["messages"]), (0, 1))
    answers = {"UID REPLACE": "* OK [APPENDUID 9 44] x\r\n* 2 EXPUNGE\r\n% OK x\r\n", "APPEND": "% OK [APPENDUID 7 9] x\r\n",
               "UID SEARCH": "* SEARCH 5\r\n% OK x\r\n", "UID STORE": "% NO [EXPUNGEISSUED] x\r\n"}
    server, daemon = fake(flow, BASE + " REPLACE", answers)
    with server, daemon as daemon, daemon.client() as client:
        same(client.call("imap.replace", account="a", uid=5, raw=letter(1), uidvalidity=7, destination="B"), {"uidvalidity": 9, "uid": 44})
        same(server.lines[-1], "UID REPLACE 5 B {43}\r\n" + letter(1).rstrip())
    server, daemon = fake(flow, BASE + " UIDPLUS", answers)
    with server, daemon as daemon, daemon.client() as client:
        error = client.fails("rejected", "imap.replace", account="a", uid=5, raw=letter(1), uidvalidity=7)
        same((error.data["outcome"], error.data["stage"]), ("done", "store"))
    server, daemon = fake(flow, BASE, answers)
    with server, daemon as daemon, daemon.client() as client:
        assert "REPLACE" in client.fails("missing_extension", "imap.replace", account="a", uid=5, raw=letter(1), uidvalidity=7).message


def test_items(flow):
    """Items of extensions have types of their own"""
    answers = {"UID FETCH": "* 1 FETCH (UID 3 EMAILID (M1) THREADID NIL SAVEDATE \" 2-Mar-2026 10:00:00 +0100\" PREVIEW {5}\r\nGr\u00f6\u00df "
                            "X-GM-MSGID 18446744073709551615 X-GM-THRID 5 X-GM-LABELS (\"\\\\Inbox\" &ZeVnLA- \"a b\") "
                            "ANNOTATION (/comment (value.priv \"x\" value.priv y value.shared NIL)))\r\n"
                            "* 2 FETCH (UID 4 EMAILID 5 THREADID (T2) SAVEDATE NIL PREVIEW NIL X-GM-MSGID x X-GM-LABELS NIL ANNOTATION (/a))\r\n% OK x\r\n"}
    answers["UID FETCH"] = answers["UID FETCH"].encode().replace("{5}\r\nGröß ".encode(), "{6}\r\nGröß ".encode())
    every = BASE + " OBJECTID SAVEDATE PREVIEW X-GM-EXT-1 ANNOTATE-EXPERIMENT-1 CONDSTORE BINARY"
    items = ["EMAILID", "THREADID", "SAVEDATE", "PREVIEW (LAZY)", "X-GM-MSGID", "X-GM-THRID", "X-GM-LABELS", "ANNOTATION (/comment (value.priv value.shared))"]
    server, daemon = fake(flow, every, answers)
    with server, daemon as daemon, daemon.client() as client:
        one, two = client.call("imap.fetch", account="a", uids="1:*", items=items)["messages"]
        same(server.lines[-1], f"UID FETCH 1:* (UID {' '.join(items)})")
        same({key: one[key] for key in one if key not in ("uid", "seq")}, {
            "emailid": "M1", "threadid": None, "savedate": "2026-03-02T10:00:00+01:00", "preview": "Größ", "gm_msgid": "18446744073709551615", "gm_thrid": "5",
            "gm_labels": ["\\Inbox", "日本", "a b"], "annotations": {"/comment": {"value.priv": "x", "value.shared": None}}})
        same((two["emailid"], two["threadid"], two["savedate"], two["preview"], two["gm_msgid"], two["gm_labels"], two["annotations"]), ("5", "T2", None, None, None, None, None))
        same((sorted(two["raw"]), len(two["defects"])), (["ANNOTATION", "X-GM-LABELS", "X-GM-MSGID"], 3), two)
        for wrong in ("PREVIEW (NOW)", "ANNOTATION (/x", "ANNOTATION (/x) (", "ANNOTATION (/x {5})", "ANNOTATION (/x) FLAGS"):
            client.fails(INVALID_PARAMS, "imap.fetch", account="a", uids="1:*", items=[wrong])
    server, daemon = fake(flow, BASE, answers)
    with server, daemon as daemon, daemon.client() as client:
        for item, name in zip(items, ["OBJECTID", "OBJECTID", "SAVEDATE", "PREVIEW", "X-GM-EXT-1", "X-GM-EXT-1", "X-GM-EXT-1", "ANNOTATE-EXPERIMENT-1"]):
            assert name in client.fails("missing_extension", "imap.fetch", account="a", uids="1:*", items=[item]).message, item
    user, client = flow.user(), flow.client()
    if "PREVIEW" in client.call("imap.capability", account=user)["capabilities"]:
        flow.put(user, flow.letter("bob@example.com", "x", "see here\n"))
        same(client.call("imap.fetch", account=user, uids=[1], items=["PREVIEW"])["messages"][0]["preview"], "see here")


def test_labels(flow):
    """Gmail's labels are stored and told"""
    answers = {"UID STORE": "* 1 FETCH (UID 3 X-GM-LABELS (\"\\\\Inbox\" \"&ZeVnLA-\"))\r\n% OK x\r\n"}
    server, daemon = fake(flow, BASE + " X-GM-EXT-1", answers)
    with server, daemon as daemon, daemon.client() as client:
        stored = client.call("imap.store", account="a", uids=[3], command="+X-GM-LABELS", flags=["\\Inbox", "日本", "a b"], uidvalidity="any")
        same((server.lines[-1], stored["messages"]), ("UID STORE 3 +X-GM-LABELS (\\Inbox &ZeVnLA- \"a b\")", [{"uid": 3, "gm_labels": ["\\Inbox", "日本"]}]))
        client.call("imap.store", account="a", uids=[3], command="X-GM-LABELS.SILENT", flags=[], uidvalidity="any")
        same(server.lines[-1], "UID STORE 3 X-GM-LABELS.SILENT ()")
    server, daemon = fake(flow, BASE, answers)
    with server, daemon as daemon, daemon.client() as client:
        assert "X-GM-EXT-1" in client.fails("missing_extension", "imap.store", account="a", uids=[3], command="X-GM-LABELS", flags=["a"], uidvalidity="any").message


class Limited:
    """A server that takes `limit` messages at once: it does the highest of those that a command names, or copies none of too many."""

    def __init__(self, limit, uids):
        self.limit, self.uids = limit, list(uids)

    def named(self, text):
        found = set()
        for part in text.split(","):
            first, _, last = part.partition(":")
            last = last or first
            high = 2**32 if last == "*" else int(last)
            found |= {uid for uid in self.uids if int(first) <= uid <= high}
        return sorted(found)

    def answer(self, server, wire, tag, line):
        words = line.split(" ")
        searching = words[1] == "SEARCH"
        uids = self.named(words[words.index("UID", 1) + 1] if searching and "UID" in words[1:] else "1:*" if searching else words[2])
        if len(uids) > self.limit and words[1] == "COPY":
            wire.sendall(f"{tag} NO [MESSAGELIMIT {self.limit}] too many\r\n".encode())
            return
        done = uids[-self.limit:]
        code = f"[MESSAGELIMIT {self.limit} {done[0]}] " if len(done) < len(uids) else ""
        out = ""
        if searching:
            out = "* SEARCH " + " ".join(map(str, done)) + "\r\n" if "RETURN" not in line else f"* ESEARCH (TAG \"{tag}\") UID ALL {','.join(map(str, done))} COUNT {len(done)} MIN {done[0]}\r\n"
        elif words[1] in ("FETCH", "STORE") and "SILENT" not in line:
            out = "".join(f"* {self.uids.index(uid) + 1} FETCH (UID {uid} FLAGS ())\r\n" for uid in reversed(done))
        elif words[1] == "MOVE":
            out = f"* OK [COPYUID 9 {','.join(map(str, done))} {','.join(str(uid + 1000) for uid in done)}] x\r\n"
            self.uids = [uid for uid in self.uids if uid not in done]
        elif words[1] == "COPY" and done:
            code = f"[COPYUID 9 {','.join(map(str, done))} {','.join(str(uid + 1000) for uid in done)}] "
        wire.sendall((out + f"{tag} OK {code}x\r\n").encode())


def test_message_limit(flow):
    """Of a server that takes only so many messages at once everything is seen, and all is done"""
    uids = [1, 3, 5, 7, 20, 21, 22, 30, 40, 50, 51]
    for announced in (" MESSAGELIMIT=3", ""):
        limited = Limited(3, uids)
        server, daemon = fake(flow, BASE + " UIDPLUS ESEARCH MOVE" + announced, {"UID": limited.answer})
        with server, daemon as daemon, daemon.client() as client:
            def call(method, **params):
                return client.call("imap." + method, account="a", **params)
            same(sorted(one["uid"] for one in call("fetch", uids="1:*", items="FLAGS")["messages"]), uids, announced)
            same(len(server.said("UID FETCH")), 4, server.said("UID FETCH"))
            same(call("fetch", uids=uids + [99], items="FLAGS")["missing"], [99], announced)
            same(sorted(one["uid"] for one in call("store", uids="1:45", command="+FLAGS", flags="\\Seen", uidvalidity="any")["messages"]), uids[:9], announced)
            if not announced:
                continue
            found = call("search", query="ALL", **{"return": "MIN MAX COUNT ALL"})
            same((found["uids"], found["min"], found["max"], found["count"]), (uids, 1, 51, 11))
            same(call("search", query="ALL", partial="-1:-4")["uids"], [30, 40, 50, 51])
            same(call("search", query="SEEN OR ANSWERED FLAGGED")["uids"], uids)
            same([pair[0] for pair in call("copy", uids="1:*", destination="B", uidvalidity="any")["uids"]], uids)
            same(sorted(pair[0] for pair in call("move", uids="3:40", destination="B", uidvalidity="any")["uids"]), uids[1:9])
    answers = {"UID FETCH": "% OK [MESSAGELIMIT 3 9] x\r\n", "FETCH": "% OK [MESSAGELIMIT 3 9] x\r\n"}
    server, daemon = fake(flow, BASE, answers)
    with server, daemon as daemon, daemon.client() as client:
        client.fails("limit", "imap.fetch", account="a", uids="1:*", items="FLAGS")        # never comes to an end
        session = client.call("imap.open", account="a")["session"]
        client.call("imap.select", session=session)
        assert "uids" in client.fails("limit", "imap.fetch", session=session, numbers="1:*", items="FLAGS").message
        client.call("imap.logout", session=session)


def test_uid_only(flow):
    """A session that has switched UIDONLY on gets messages without numbers"""
    answers = {"ENABLE": "* ENABLED UIDONLY\r\n% OK x\r\n", "UID FETCH": b"* 77 UIDFETCH (FLAGS (\\Seen) BODY[] NIL)\r\n* 78 UIDFETCH (BODY[] {9000}\r\n" + b"x" * 9000 + b")\r\n% OK x\r\n",
               "UID STORE": "* 77 UIDFETCH (FLAGS (\\Seen))\r\n% OK x\r\n"}
    server, daemon = fake(flow, BASE + " UIDONLY ENABLE", answers)
    with server, daemon as daemon, daemon.client() as client:
        session = client.call("imap.open", account="a")["session"]
        same(client.call("imap.enable", session=session, capabilities="UIDONLY")["enabled"], ["UIDONLY"])
        client.call("imap.select", session=session)
        one, two = client.call("imap.fetch", session=session, uids="70:80", items=["FLAGS", "BODY.PEEK[]"])["messages"]
        same((one, two["uid"], two["sections"]["BODY[]"]["size"]), ({"uid": 77, "flags": ["\\Seen"], "sections": {"BODY[]": None}}, 78, 9000))
        same(client.call("imap.store", session=session, uids=[77], command="+FLAGS", flags="\\Seen")["messages"], [{"uid": 77, "flags": ["\\Seen"]}])
        client.call("imap.logout", session=session)


def test_small_extensions(flow):
    """Progress that the server tells, ids of mailboxes, annotations of the server alone, referrals that nobody follows"""
    answers = {"UID SEARCH": lambda server, wire, tag, line: wire.sendall(f"* OK [INPROGRESS (\"{tag}\" 30 100)] x\r\n* OK [INPROGRESS (\"{tag}\" 60 NIL)] x\r\n* OK [INPROGRESS] x\r\n* SEARCH 1\r\n{tag} OK x\r\n".encode()),
               "SELECT": "* 1 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [MAILBOXID (F9)] x\r\n% OK [READ-WRITE] x\r\n",
               "GETMETADATA": "* METADATA \"\" (/shared/x y)\r\n% OK x\r\n"}
    server, daemon = fake(flow, BASE + " METADATA-SERVER OBJECTID", answers)
    with server, daemon as daemon, daemon.client() as client:
        number = client.begin("imap.search", account="a", query="ALL", progress=True)
        seen = []
        while True:
            message, _ = client.read_message()
            if message.get("method") == "progress":
                seen.append((message["params"]["done"], message["params"]["total"]))
            if message.get("id") == number:
                break
        same(seen[0], (30, 100))
        same(client.call("imap.getmetadata", account="a", mailbox="", entries=["/shared/x"])["entries"], {"/shared/x": "y"})
        assert "METADATA" in client.fails("missing_extension", "imap.getmetadata", account="a", mailbox="INBOX", entries=["/shared/x"]).message
        session = client.call("imap.open", account="a")["session"]
        same(client.call("imap.select", session=session)["mailboxid"], "F9")
        client.call("imap.logout", session=session)
    with FakeImap() as other:
        server, daemon = fake(flow, BASE + " LOGIN-REFERRALS", {"LOGIN": f"% NO [REFERRAL imap://ann@127.0.0.1:{other.port}/] go there\r\n"})
        with server, daemon as daemon, daemon.client() as client:
            assert "REFERRAL" in str(client.fails("auth", "imap.noop", account="a").data["reply"])
            same(other.connections, 0)


def test_binary_decode(flow):
    """Sections without their transfer encoding: decoded by the server where it can, here where it cannot, under the same names"""
    structure = "BODYSTRUCTURE (\"TEXT\" \"PLAIN\" NIL NIL NIL \"base64\" 8 1)"

    def fetch(server, wire, tag, line):
        if "UNKNOWN" in server.capabilities and "BINARY" in line:
            wire.sendall(b"* 1 FETCH (UID 1 BINARY[1] {4}\r\nabcd)\r\n" + f"{tag} NO [UNKNOWN-CTE] x\r\n".encode())
        elif "BINARY" in line:
            wire.sendall(b"* 1 FETCH (UID 1 BINARY[1] ~{4}\r\nabcd)\r\n* 2 FETCH (UID 2 BINARY[1] ~{9000}\r\n" + b"x" * 9000 + f")\r\n{tag} OK x\r\n".encode())
        else:
            wire.sendall(f"* 1 FETCH (UID 1 {structure} BODY[1] \"YWJjZA==\")\r\n* 2 FETCH (UID 2 {structure} BODY[1] {{12000}}\r\n".encode() + b"eHh4" * 3000 + f")\r\n{tag} OK x\r\n".encode())
    for capabilities, sent in ((" BINARY", ["UID FETCH 1:2 (UID BINARY.PEEK[1])"]), ("", ["UID FETCH 1:2 (UID BODYSTRUCTURE BODY.PEEK[1])"]),
                               (" BINARY X-UNKNOWN", ["UID FETCH 1:2 (UID BINARY.PEEK[1])", "UID FETCH 1:2 (UID BODYSTRUCTURE BODY.PEEK[1])"])):
        server, daemon = fake(flow, BASE + capabilities, {"UID FETCH": fetch})
        with server, daemon as daemon, daemon.client() as client:
            messages = client.call("imap.fetch", account="a", uids="1:2", items=["BODY.PEEK[1]"], decode=True)["messages"]
            same([(one["uid"], one["sections"]["BODY[1]"]["text"]) for one in messages], [(1, "abcd"), (2, "x" * 9000)], capabilities)
            same(server.said("UID FETCH"), sent, capabilities)


def test_search_in_several(flow):
    """imap.search looks into several mailboxes: at once, or one after the other"""
    user, client = flow.user(), flow.client()
    for mailbox, count in (("INBOX", 3), ("Größe & mehr", 2), ("Sent", 1)):
        if mailbox not in ("INBOX", "Sent"):
            client.call("imap.create", account=user, mailbox=mailbox)
        client.call("imap.append", account=user, mailbox=mailbox, messages=[{"raw": letter(number)} for number in range(1, count + 1)])
    names = ["Sent", "No Such", "Größe & mehr", "INBOX", "Trash"]
    found = client.call("imap.search", account=user, mailboxes=names, query="ALL")["mailboxes"]
    same([(one["mailbox"], one["uids"]) for one in found], [("Sent", [1]), ("Größe & mehr", [1, 2]), ("INBOX", [1, 2, 3])])
    assert all(one["uidvalidity"] for one in found), found
    found = client.call("imap.search", account=user, mailboxes=names, query="SUBJECT \"number 2\"", ranges=True, **{"return": "ALL COUNT MIN MAX"})["mailboxes"]
    same([{key: one[key] for key in one if key != "uidvalidity"} for one in found],
         [{"mailbox": name, "ranges": "2", "count": 1, "min": 2, "max": 2} for name in ("Größe & mehr", "INBOX")])
    client.call("imap.store", account=user, mailbox="Größe & mehr", uids=[2], command="+FLAGS", flags="\\Seen")     # the validity is known now
    items, result = client.streamed("imap.search", account=user, mailboxes=names, query="SEEN")
    same(([one["mailbox"] for one in items], result["count"]), (["Größe & mehr"], 1))
    for wrong in ({"scope": "subtree"}, {"scope": "personal", "mailboxes": ["A"]}, {"mailboxes": ["A"], "partial": "1:2"}, {"mailboxes": ["A"], "uidvalidity": 5}):
        client.fails(INVALID_PARAMS, "imap.search", account=user, query="ALL", **wrong)

    def search(server, wire, tag, line):
        wire.sendall(f"* ESEARCH (TAG \"{tag}\" MAILBOX \"A &ZeVnLA-\" UIDVALIDITY 9) UID ALL 4:5\r\n* ESEARCH (TAG \"{tag}\" MAILBOX B UIDVALIDITY 8) UID\r\n"
                     f"* ESEARCH (TAG \"{tag}\" MAILBOX inbox UIDVALIDITY 7) UID ALL 1\r\n{tag} OK x\r\n".encode())
    server, daemon = fake(flow, BASE + " MULTISEARCH ESEARCH", {"ESEARCH": search})
    with server, daemon as daemon, daemon.client() as client:
        found = client.call("imap.search", account="a", mailboxes=["A", "ü"], scope="subtree", query="SUBJECT x")["mailboxes"]
        same(found, [{"mailbox": "A 日本", "uidvalidity": 9, "uids": [4, 5]}, {"mailbox": "inbox", "uidvalidity": 7, "uids": [1]}])
        same(server.lines[-1], "ESEARCH IN (subtree (A &APw-)) RETURN (ALL) SUBJECT x")
        client.call("imap.search", account="a", scope="personal", query="UNSEEN")
        same(server.lines[-1], "ESEARCH IN (personal) RETURN (ALL) UNSEEN")
    server, daemon = fake(flow)
    with server, daemon as daemon, daemon.client() as client:
        assert "MULTISEARCH" in client.fails("missing_extension", "imap.search", account="a", scope="personal", query="ALL").message
        session = client.call("imap.open", account="a")["session"]
        assert "MULTISEARCH" in client.fails("missing_extension", "imap.search", session=session, mailboxes=["A"], query="ALL").message
        client.call("imap.logout", session=session)


def test_unauthenticate(flow):
    """A session logs out, keeps its connection and logs in again"""
    server, daemon = fake(flow, BASE + " UNAUTHENTICATE ENABLE CONDSTORE", {"ENABLE": "* ENABLED CONDSTORE\r\n% OK x\r\n"})
    with server, daemon as daemon, daemon.client() as client:
        session = client.call("imap.open", account="a")["session"]
        client.call("imap.select", session=session)
        same(client.call("imap.unauthenticate", session=session), {})
        client.fails(INVALID_PARAMS, "imap.search", session=session, query="ALL")
        client.call("imap.login", session=session, username="bob", password="other")
        client.call("imap.select", session=session)
        client.call("imap.logout", session=session)
        same(([line.split(" ")[0] for line in server.lines if line.split(" ")[0] in ("LOGIN", "UNAUTHENTICATE", "SELECT")], server.connections),
             (["LOGIN", "SELECT", "UNAUTHENTICATE", "LOGIN", "SELECT"], 1))
    server, daemon = fake(flow)
    with server, daemon as daemon, daemon.client() as client:
        session = client.call("imap.open", account="a")["session"]
        assert "UNAUTHENTICATE" in client.fails("missing_extension", "imap.unauthenticate", session=session).message
        client.call("imap.logout", session=session)


def test_cancelled_in_the_middle(flow):
    """What several commands do is cancelled between any two of them, and the daemon goes on"""
    def stall(server, wire, tag, line):
        go_on.wait(30)
        server.plain(wire, tag, line)
    names = {"UID SEARCH": ("replace", {"uid": 5, "raw": letter(1), "uidvalidity": 7}), "UID STORE": ("replace", {"uid": 5, "raw": letter(1), "uidvalidity": 7}),
             "UID EXPUNGE": ("move", {"uids": [5], "destination": "B", "uidvalidity": 7}), "STATUS B": ("list", {"status": "MESSAGES"}),
             "EXAMINE B": ("search", {"mailboxes": ["A", "B", "C"], "query": "ALL"}), "APPEND INBOX {44}": ("append", {"messages": [{"raw": letter(1)}, {"raw": letter(22)}]})}
    plain = {"UID SEARCH": "* SEARCH 5\r\n% OK x\r\n", "LIST": "* LIST () \"/\" A\r\n* LIST () \"/\" B\r\n* LIST () \"/\" C\r\n% OK x\r\n", "STATUS A": "* STATUS A (MESSAGES 4)\r\n% OK x\r\n"}
    for where, (method, params) in names.items():
        answers = dict({where: stall}, **{name: answer for name, answer in plain.items() if name != where})
        server, daemon = fake(flow, BASE + " UIDPLUS", answers)
        go_on = threading.Event()
        server.plain = lambda wire, tag, line: wire.sendall(("* SEARCH 5\r\n" if "SEARCH" in line else "").encode() + f"{tag} OK x\r\n".encode())
        with server, daemon as daemon, daemon.client() as client:
            call = client.begin("imap." + method, account="a", **params)
            flow.wait_for(lambda: server.said(where), what=where)
            same(client.call("rpc.cancel", id=call), {"found": True})
            try:
                client.finish(call)
                raise AssertionError("not cancelled")
            except RpcError as error:
                same(error.code, -32006, where)
            go_on.set()
            client.call("imap.noop", account="a")
            server.answers.clear()
            client.call("imap.noop", account="a")
