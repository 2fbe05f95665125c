# SPDX-License-Identifier: MIT
"""imap.sort and imap.thread: by the server, and on this side; both must agree."""

import email.header
import random
import re

from fake_imap import FakeImap
from harness import INVALID_PARAMS, same

NAMES = ["Ann <ann@example.com>", "zoe@example.com", "\"B, Ob\" <bob@example.com>", "=?utf-8?q?=C3=89mile?= <emile@example.com>", "ÄRGER@x.example", "", "Émile <e@example.com>"]
SUBJECTS = ["apple", "Apple", "Re: apple", "[list] Fwd: APPLE (fwd)", "äpfel", "Äpfel", "Re: äpfel", "zebra", "", "Re:", "[fwd: zebra]", "éclair", "eclair", "banana", "no one", "[tag]",
            "Re: [tag] x", "  two   words ", "Ελλάς", "ελλάς", "яблоко", "Яблоко", "日本語"]


def letter(generator, number, ids):
    """A message whose headers are a mess within reason."""
    def pick(values):
        return generator.choice(values)

    def text(value):
        return value if value.isascii() else email.header.Header(value, "utf-8", maxlinelen=1000).encode()

    lines = []
    if pick([1, 1, 1, 0]):
        day, hour, zone = generator.randint(1, 27), generator.randint(0, 23), pick(["+0000", "+0200", "-0700"])
        lines.append(f"Date: {pick(['', 'Mon, '])}{day:02} {pick(['Jan', 'Feb', 'Mar'])} 2026 {hour:02}:{generator.randint(0, 59):02}:00 {zone}")
    for name in ("From", "To", "Cc"):
        value = pick(NAMES)
        if value:
            lines.append(f"{name}: {value if value.isascii() or '<' not in value else text(value.split(' <')[0]) + ' <' + value.split(' <')[1]}")
    if pick([1, 1, 1, 1, 0]):
        lines.append(f"Subject: {text(pick(SUBJECTS))}")
    mine = f"<{number}@x>"
    if pick([1] * 9 + [0]):
        lines.append(f"Message-ID: {mine}")
    known = [f"<{other}@x>" for other in range(1, number)] or ["<0@x>"]
    chosen = pick(["none", "none", "references", "references", "reply", "both", "lost"])
    if chosen in ("references", "both"):
        lines.append("References: " + "\r\n ".join(generator.sample(known, min(len(known), generator.randint(1, 3)))))
    if chosen in ("reply", "both"):
        lines.append("In-Reply-To: " + pick(known))
    if chosen == "lost":
        lines.append(f"References: <gone{generator.randint(1, 5)}@x>")
    ids.append(mine)
    return ("\r\n".join(lines) + "\r\n\r\n" + "x" * generator.randint(0, 2000) + "\r\n").encode()


def filled(flow, count, seed):
    user, generator, ids = flow.user(), random.Random(seed), []
    with flow.mailbox(user) as box:
        for number in range(1, count + 1):
            when = f"\"{generator.randint(10, 28)}-Feb-2026 {generator.randint(10, 23)}:00:00 +0000\""
            status, answer = box.append("INBOX", None, when, letter(generator, number, ids))
            same(status, "OK", str(answer))
    return user


def own(flow, user):
    """Where to find the same mailbox with nothing but SEARCH and FETCH."""
    return {"host": "localhost", "port": flow.mail.ports["imaps"], "username": user, "password": flow.mail.users[user],
            "implicit_tls": True, "ca": open(flow.mail.ca_file).read(), "disable": ["SORT", "THREAD"]}


def both(flow, client, user, method, **params):
    server = client.call(method, account=user, **params)
    here = client.call(method, options=own(flow, user), **params)
    return server, here


def test_sort(flow):
    """The server's order and ours are the same for every criterion"""
    user, client = filled(flow, 60, 1), flow.client()
    for criteria in ("ARRIVAL", "CC", "DATE", "FROM", "SIZE", "SUBJECT", "TO", "DISPLAYFROM", "DISPLAYTO", "REVERSE DATE", "SUBJECT REVERSE SIZE",
                     "REVERSE SUBJECT DATE", "REVERSE FROM REVERSE ARRIVAL"):
        server, here = both(flow, client, user, "imap.sort", criteria=criteria)
        same(len(server["uids"]), 60)
        same(here["uids"], server["uids"], criteria)
        same(here["uidvalidity"], server["uidvalidity"])
    server, here = both(flow, client, user, "imap.sort", criteria=["REVERSE", "ARRIVAL"], query="SMALLER 1000")
    assert 0 < len(server["uids"]) < 60 and here == server
    items, totals = client.streamed("imap.sort", options=own(flow, user), criteria="(DATE)", query=["SUBJECT", "äpfel"])
    assert items == client.call("imap.sort", account=user, criteria="DATE", query=["SUBJECT", "äpfel"])["uids"] and totals["count"] == len(items) > 0
    same(client.call("imap.sort", options=own(flow, user), criteria="DATE", query="FROM nobody")["uids"], [])


def test_thread(flow):
    """The server's threads and ours are the same for every algorithm"""
    client = flow.client()
    for seed in (2, 3, 4):
        user = filled(flow, 50, seed)
        for algorithm in ("ORDEREDSUBJECT", "REFERENCES", "REFS"):
            server, here = both(flow, client, user, "imap.thread", algorithm=algorithm)
            same(sorted(re.findall(r"\d+", str(server["threads"])), key=int), [str(uid) for uid in range(1, 51)], algorithm)
            assert here["threads"] == server["threads"], f"{algorithm}, {seed}:\n{here['threads']}\n{server['threads']}"


def test_sessions(flow):
    """In a session, by number where that is wanted, and for the selected mailbox"""
    client = flow.client()
    user = flow.user()
    flow.put(user, *[flow.letter("bob@example.com", subject) for subject in ("gone", "b", "a", "Re: b")])
    client.call("imap.store", account=user, uids=[1], command="+FLAGS", flags=["\\Deleted"], uidvalidity="any")
    client.call("imap.expunge", account=user, all=True)
    for where in ({"account": user}, {"options": own(flow, user)}):
        session = client.call("imap.open", **where)["session"]
        client.fails(INVALID_PARAMS, "imap.sort", session=session, criteria="SUBJECT")
        client.call("imap.select", session=session)
        same(client.call("imap.sort", session=session, criteria="SUBJECT")["uids"], [3, 2, 4])
        same(client.call("imap.sort", session=session, criteria="SUBJECT", numbers=True), {"numbers": [2, 1, 3]})
        same(client.call("imap.thread", session=session, algorithm="ORDEREDSUBJECT", numbers=True), {"threads": [[1, 3], [2]]})
        same(client.call("imap.thread", session=session)["threads"], [[2, 4], [3]])
        client.call("imap.logout", session=session)


def test_parameters(flow):
    """What is no criterion or algorithm is refused, and what only a server could know is named"""
    client = flow.client()
    for criteria in ("", [], "DATES", "REVERSE", "DATE REVERSE", "REVERSE REVERSE DATE", "(DATE) (SIZE)"):
        client.fails(INVALID_PARAMS, "imap.sort", account="ann", criteria=criteria)
    client.fails(INVALID_PARAMS, "imap.thread", account="ann", algorithm="A B")
    client.fails(INVALID_PARAMS, "imap.sort", account="ann", criteria="DATE", numbers=True)
    error = client.fails("missing_extension", "imap.thread", account="ann", algorithm="BYMOON")
    assert "THREAD=BYMOON" in error.message, error


def test_odd_answers(flow):
    """Threads nested without end, and answers that are none"""
    nested = "(1 " * 100 + "7" + ")" * 100
    answers = {"UID THREAD REFERENCES": f"* THREAD {nested}(8)\r\n% OK x\r\n", "UID THREAD REFS": "* THREAD (1 2\r\n% OK x\r\n",
               "UID SORT (SIZE)": "* SORT 5 x\r\n% OK x\r\n", "UID SORT (DATE)": "* SORT\r\n% OK x\r\n"}
    with FakeImap(answers=answers, capabilities="IMAP4rev1 SORT THREAD=REFERENCES THREAD=REFS") as server:
        with flow.own_daemon({"odd-sort": server.account()}) as daemon:
            client = daemon.client()
            threads = client.call("imap.thread", account="odd-sort")["threads"]
            same((len(threads), threads[1], str(threads).count("["), str(threads).count("7")), (2, [8], 50, 1))
            client.fails("protocol", "imap.thread", account="odd-sort", algorithm="REFS")
            client.fails("protocol", "imap.sort", account="odd-sort", criteria="SIZE")
            same(client.call("imap.sort", account="odd-sort", criteria="DATE")["uids"], [])


def test_many(flow):
    """Many messages are put in order too, and a call that is cancelled meanwhile ends"""
    count = 3000
    fetch = "".join(f"* {n} FETCH (UID {n} RFC822.SIZE {n * 7919 % count} ENVELOPE (NIL \"s{n % 50}\" NIL NIL NIL NIL NIL NIL NIL \"<{n}@x>\") "
                    f"INTERNALDATE \"01-Jan-2026 00:{n // 60 % 60:02}:{n % 60:02} +0000\" BODY[HEADER.FIELDS (REFERENCES)] NIL)\r\n" for n in range(1, count + 1))
    answers = {"UID SEARCH": "* SEARCH " + " ".join(map(str, range(1, count + 1))) + "\r\n% OK x\r\n", "UID FETCH": fetch + "% OK x\r\n"}
    with FakeImap(answers=answers, capabilities="IMAP4rev1") as server:
        with flow.own_daemon({"many": server.account()}) as daemon:
            client = daemon.client()
            uids = client.call("imap.sort", account="many", criteria="SIZE")["uids"]
            same(uids, sorted(range(1, count + 1), key=lambda n: (n * 7919 % count, n)))
            threads = client.call("imap.thread", account="many", algorithm="ORDEREDSUBJECT")["threads"]
            same((len(threads), sorted(int(uid) for uid in re.findall(r"\d+", str(threads)))), (50, list(range(1, count + 1))))
            for _ in range(10):
                number = client.begin("imap.thread", account="many")
                client.call("rpc.cancel", id=number)
            items, totals = client.streamed("imap.thread", account="many")
            same((len(items), totals["count"]), (50, 50))


def test_memory(flow):
    """What is gathered for sorting is its caller's memory: too much is refused by name, less goes on, and all of it is given back"""
    def fetched(server, wire, tag, line):
        last = 300 if line.startswith("UID FETCH 1:300 ") else 8000
        wire.sendall("".join(f"* {n} FETCH (UID {n} ENVELOPE (NIL \"s{n}\" NIL NIL NIL NIL NIL NIL NIL \"<{n}@x>\") INTERNALDATE \"01-Jan-2026 00:00:00 +0000\" "
                             f"BODY[HEADER.FIELDS (REFERENCES)] {{20}}\r\nReferences: <{n - 1:04}@x>)\r\n" for n in range(1, last + 1)).encode() + f"{tag} OK x\r\n".encode())

    def found(server, wire, tag, line):
        wire.sendall(f"* SEARCH {' '.join(map(str, range(1, 301 if 'SEEN' in line else 8001)))}\r\n{tag} OK x\r\n".encode())

    with FakeImap(answers={"UID SEARCH": found, "UID FETCH": fetched}, capabilities="IMAP4rev1") as server:
        with flow.own_daemon({"big-sort": server.account()}, {"user_memory": "1M"}) as daemon, daemon.client() as client:
            for method, more in (("imap.sort", {"criteria": "SUBJECT"}), ("imap.thread", {})):
                same(client.fails("limit", method, account="big-sort", **more).data["limit"], "user_memory")
                answer = client.call(method, account="big-sort", query="SEEN", **more)
                same(sorted(map(int, re.findall(r"\d+", str(answer["uids" if method == "imap.sort" else "threads"])))), list(range(1, 301)))
            flow.wait_for(lambda: client.call("gateway.status")["memory"]["requests"] < 65536, what="the memory to be given back")


def test_broken_envelopes(flow):
    """A message that is not understood is sorted as an empty one; long References come in pieces"""
    long = " ".join(f"<{number:060}@x>" for number in range(200))
    fetch = ("* 1 FETCH (UID 1 ENVELOPE broken INTERNALDATE \"01-Jan-2026 00:00:00 +0000\" BODY[HEADER.FIELDS (REFERENCES)] {2}\r\n\r\n)\r\n"
             "* 2 FETCH (UID 2 ENVELOPE (NIL \"x\" NIL NIL NIL NIL NIL NIL NIL \"<a@x>\") INTERNALDATE \"02-Jan-2026 00:00:00 +0000\" BODY[HEADER.FIELDS (REFERENCES)] NIL)\r\n"
             f"* 3 FETCH (UID 3 INTERNALDATE \"03-Jan-2026 00:00:00 +0000\" BODY[HEADER.FIELDS (REFERENCES)] {{{len(long) + 24}}}\r\nReferences: {long} <a@x>\r\n\r\n\r\n"
             " ENVELOPE (NIL \"y\" NIL NIL NIL NIL NIL NIL NIL \"<b@x>\"))\r\n% OK x\r\n")
    answers = {"UID SEARCH": "* SEARCH 1 2 3\r\n% OK x\r\n", "UID FETCH": fetch}
    with FakeImap(answers=answers, capabilities="IMAP4rev1") as server:
        with flow.own_daemon({"broken-sort": server.account()}) as daemon:
            client = daemon.client()
            same(client.call("imap.sort", account="broken-sort", criteria="REVERSE SUBJECT")["uids"], [3, 2, 1])
            same(client.call("imap.thread", account="broken-sort")["threads"], [[1], [2, 3]])
