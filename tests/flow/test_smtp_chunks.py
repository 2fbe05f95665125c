# SPDX-License-Identifier: MIT
"""BDAT: whole messages in flight, and what happens where a server does not pass over a chunk that it refuses; large bodies."""

import concurrent.futures
import contextlib
import re

import matrix
from fake_chunks import ChunkServer
from fake_mail import binary, both, fin, garbage, partial, partial_fin, rst, silent, then, twice
from harness import RpcError, memfd, same

LEAVING = both("421 4.3.2 going down\r\n", fin)
LEAVING.refuses = True
EVIL = "RSET\nMAIL FROM:<evil@example.com>\nRCPT TO:<victim@example.com>\nDATA\n"


def letter(number, to="b@example.com", sender="a@example.com", body=""):
    return {"raw": f"Subject: {number}\n\n{body}mail {number}\n", "envelope": {"from": sender, "to": [to]}}


@contextlib.contextmanager
def played(flow, server, **keys):
    """A client of a daemon whose account "chunks" leads to the server."""
    try:
        with flow.own_daemon({"chunks": server.account(flow, **keys)}) as daemon, daemon.client() as client:
            client.log = daemon.log_text
            yield client
    finally:
        server.close()


def send_all(client, letters, account="chunks"):
    """What became of each: the accepted, or (kind, outcome)."""
    numbers = [client.begin("smtp.send", account=account, **one) for one in letters]
    found = []
    for number in numbers:
        try:
            found.append(client.finish(number)[0]["accepted"])
        except RpcError as error:
            found.append((error.kind, error.data["outcome"]))
    return found


def subjects(server):
    return sorted(re.search(rb"^Subject: (.*)\r$", body, re.M)[1].decode() for _, recipients, body in server.mails if recipients)


def test_flight(flow):
    """Four whole messages are on their way at once, not five, byte for byte, on one connection; none where the account does not ask"""
    server = ChunkServer(slow=0.05)
    with played(flow, server) as client:
        same(send_all(client, [letter(number) for number in range(24)]), [["b@example.com"]] * 24)
        same((server.connections, server.most, subjects(server)), (1, 4, sorted(map(str, range(24)))))
        same(sorted(body.partition(b"Subject: ")[2] for _, _, body in server.mails),
             sorted(f"{number}\r\n\r\nmail {number}\r\n".encode() for number in range(24)), "bodies")
        client.call("smtp.send", account="chunks", raw="Subject: open\n\nno line end", envelope={"from": "a@example.com", "to": ["b@example.com"]})
        assert server.mails[-1][2].endswith(b"\r\n\r\nno line end\r\n"), server.mails[-1]
    server = ChunkServer(slow=0.02)
    with played(flow, server, pipeline="envelope") as client:
        send_all(client, [letter(number) for number in range(8)])
        same((server.tried(), len(server.mails)), ([False], 8))
    server = ChunkServer(offers=("CHUNKING",))
    with played(flow, server) as client:
        send_all(client, [letter(number) for number in range(4)])
        same((server.tried(), len(server.mails)), ([False], 4))


def test_refusals_in_flight(flow):
    """Refused senders, recipients and bodies among others in flight: each has its own verdict, the connection goes on"""
    server = ChunkServer(slow=0.02)
    letters = [letter(number, to="no@example.com" if number % 5 == 2 else "b@example.com",
                      sender="bad@example.com" if number % 5 == 3 else "a@example.com",
                      body="REFUSE\n" if number % 5 == 4 else "") for number in range(30)]
    with played(flow, server) as client:
        same(send_all(client, letters), [["b@example.com"] if number % 5 < 2 else ("rejected", "none") for number in range(30)])
        same((server.connections, subjects(server)), (1, sorted(str(number) for number in range(30) if number % 5 < 2)))
        assert server.most > 1, server.most


def test_runs_refused_chunks(flow):
    """A server that runs a refused chunk as commands gets no body of ours to run, and is not tried again"""
    for runs in ({"alone", "recipient", "content"}, {"alone"}, {"recipient"}):
        server = ChunkServer(runs=runs, slow=0.02)
        letters = [letter(number, to="no@example.com" if number % 3 == 1 else "b@example.com", body=EVIL) for number in range(12)]
        with played(flow, server) as client:
            same(send_all(client, letters), [["b@example.com"] if number % 3 != 1 else ("rejected", "none") for number in range(12)], str(runs))
            same((set(server.senders), len(subjects(server))), ({"a@example.com"}, 8), str(runs))
            same(send_all(client, letters[:4]), [["b@example.com"], ("rejected", "none"), ["b@example.com"], ["b@example.com"]])
            same([tried for tried in server.tried() if tried], [True], str(runs))
            assert "chunks are off" in client.log(), client.log()


def test_gets_out_of_step(flow):
    """One that passes over some and runs others is found out by its replies: the connection ends, what was in flight is unknown"""
    server = ChunkServer(runs={"content"}, slow=0.1)
    letters = [letter(number, body="REFUSE\n" if number == 3 else "") for number in range(6)]
    with played(flow, server) as client:
        found = send_all(client, letters)
        same(found[3], ("rejected", "none"))
        delivered = subjects(server)
        for number, what in enumerate(found):
            if number == 3:
                continue
            count = delivered.count(str(number))
            if what == ["b@example.com"]:
                same(count, 1, f"copies of {number}")
            else:
                same(what, ("protocol", "unknown"), str(number))
                assert count <= 1, (number, delivered)
        assert found.count(("protocol", "unknown")) >= 1, found
        same(send_all(client, [letter(number) for number in range(6)]), [["b@example.com"]] * 6)
        same(server.tried(), [True] + [False] * (server.connections - 1))


def test_lost_in_flight(flow):
    """The connection goes with four in flight: done, unknown, or sent again elsewhere, exactly once each"""
    for step in ("chunk2", "bdat2"):
        server = ChunkServer({step: fin}, slow=0.1)
        with played(flow, server) as client:
            found = send_all(client, [letter(number) for number in range(8)])
            delivered = subjects(server)
            for number, what in enumerate(found):
                count = delivered.count(str(number))
                if what == ["b@example.com"]:
                    same(count, 1, f"{step}: copies of {number}")
                else:
                    same(what, ("disconnected", "unknown"), f"{step}: {number}")
                    assert count <= 1, (number, delivered)
            assert 1 <= found.count(("disconnected", "unknown")) <= 4, (step, found)
            # That it was lost says nothing of chunks.
            same(send_all(client, [letter("again"), letter("and again"), letter("and so on")]), [["b@example.com"]] * 3)
            same(server.tried()[-1], True)


def test_leaves_in_flight(flow):
    """421 in the middle: what stands behind it has not happened and is sent on another connection, unseen"""
    server = ChunkServer({"chunk2": LEAVING}, slow=0.1)
    with played(flow, server) as client:
        found = send_all(client, [letter(number) for number in range(8)])
        same(sorted(map(str, found)), sorted(map(str, [["b@example.com"]] * 7 + [("rejected", "none")])))
        same(len(set(subjects(server))), len(server.mails), "copies")


def test_too_many_errors(flow):
    """A server that cannot bear the proof is sent mail without chunks, unseen"""
    for act in ("421 4.7.0 too many errors\r\n", fin, "250 fine\r\n", "what is this\r\n"):
        server = ChunkServer({"refused": act}, slow=0.02)
        with played(flow, server) as client:
            same(send_all(client, [letter(number) for number in range(8)]), [["b@example.com"]] * 8, str(act))
            same((len(server.mails), [tried for tried in server.tried() if tried]), (8, [True]), str(act))


LARGE = "Subject: large\n\n" + ".a line of the large body\n" * 50000


def test_large(flow):
    """A large body goes as one chunk by itself, not where `disable` says so, and by DATA where the command is refused"""
    wanted = LARGE.replace("\n", "\r\n").encode()

    def call(client, **more):
        return client.call("smtp.send", account="chunks", fds=[memfd(LARGE.encode())], raw={"fd": 0},
                           envelope={"from": "a@example.com", "to": ["b@example.com"], **more})

    for keys, tried in (({}, [True]), ({"disable": "CHUNKING"}, [False])):
        server = ChunkServer()
        with played(flow, server, pipeline="envelope", **keys) as client:
            same(call(client)["accepted"], ["b@example.com"])
            same(server.tried(), tried, str(keys))
            body = server.mails[0][2]
            if not tried[0]:
                body = body.replace(b"\r\n..", b"\r\n.")
            assert body.endswith(wanted), body[:200]
            if tried[0]:
                error = client.fails("rejected", "smtp.send", account="chunks", fds=[memfd(LARGE.encode() + b"REFUSE\n")], raw={"fd": 0},
                                     envelope={"from": "a@example.com", "to": ["b@example.com"]})
                same((error.data["reply"]["code"], error.data["outcome"], error.data["stage"]), (554, "none", "data"))
    # What says that it has the command and does not.
    server = ChunkServer({"bdat1": "502 5.5.1 unknown command\r\n"}, {"bdat1": "502 5.5.1 unknown command\r\n"})
    with played(flow, server, pipeline="envelope") as client:
        for _ in range(2):
            same(call(client)["accepted"], ["b@example.com"])
        same((server.tried(), len(server.mails)), ([True, False], 2))
    # The same for a message that would be binary, and has another form; one that has none is refused.
    refuses = {"bdat1": "500 5.5.2 what?\r\n"}
    server = ChunkServer(refuses, offers=("PIPELINING", "CHUNKING", "BINARYMIME", "8BITMIME"))
    attached = {"from": "a@example.com", "to": "b@example.com", "attachments": [{"content": {"base64": "AAEC"}, "filename": "a.bin"}]}
    with played(flow, server, pipeline="envelope") as client:
        same(client.call("smtp.send", account="chunks", message=attached)["accepted"], ["b@example.com"])
        same((server.tried(), len(server.mails), b"base64" in server.mails[0][2]), ([True, False], 1, True))
    server = ChunkServer(refuses, offers=("PIPELINING", "CHUNKING", "BINARYMIME", "8BITMIME"))
    with played(flow, server, pipeline="envelope") as client:
        client.fails("rejected", "smtp.send", account="chunks", raw="Subject: x\n\n" + "x" * 1200, envelope={"from": "a@example.com", "to": ["b@example.com"]})
        same((server.tried(), len(server.mails)), ([True], 0))


def test_postfix(flow):
    """Postfix: whole messages in flight with refused recipients among them"""
    user = flow.user()
    address = flow.mail.address(user)
    wanted = ["nobody@example.com" if number % 4 == 2 else address for number in range(16)]
    with flow.own_daemon({"chunks": flow.account(user, account={"senders": "*"}, smtp={"pipeline": "chunks", "pool_size": 1})}) as daemon, \
            daemon.client() as client:
        found = send_all(client, [letter(f"flight {number}", to=to) for number, to in enumerate(wanted)])
        same(found, [[to] if to == address else ("rejected", "none") for to in wanted])
        assert "chunks are off" not in daemon.log_text()
        opened = client.call("smtp.open", account="chunks")
        assert "CHUNKING" in opened["extensions"], opened
        client.call("smtp.quit", session=opened["session"])
        pool = client.call("gateway.pools")["pools"][0]
        same((pool["opened"] - 1, pool["failed"]), (1, 0))
    names = [f"flight {number}" for number, to in enumerate(wanted) if to == address]
    same(sorted(flow.arrived(user, len(names))), sorted(names))


FAULTS = {"fin": fin, "rst": rst, "silent": silent, "partial": partial, "partial-fin": partial_fin, "garbage": garbage, "binary": binary,
          "twice": twice, "surplus": then("250 and more\r\n"), "354": "354 go\r\n", "221": both("221 bye\r\n", fin), "421": LEAVING,
          "4xx": "451 4.3.0 later\r\n", "5xx": "550 5.7.1 no\r\n", "500": "500 5.5.2 what?\r\n"}
STEPS = ("refused", "rset", "mail", "rcpt", "chunk1", "chunk2", "bdat2", "dot")
LIES = {("bdat2", name) for name in ("twice", "surplus")}       # yes to what was not even read: who would know
LETTERS = 6


def judge(server, found):
    """What was said of each mail against what the server has."""
    delivered = subjects(server)
    for number, what in enumerate(found):
        copies = delivered.count(str(number))
        if what == ["b@example.com"] and copies != 1:
            yield f"mail {number} is said to be sent, and is there {copies} times"
        elif what != ["b@example.com"] and what[1] == "none" and copies:
            yield f"mail {number} is said not to be sent, and is there"
        elif copies > 1:
            yield f"mail {number} is there {copies} times"
        elif what == ("cancelled", "none"):
            yield f"mail {number} was cancelled by nobody"


def play_fault(daemon, name, server):
    with daemon.client() as client:
        found = send_all(client, [letter(number) for number in range(LETTERS)], name)
        wrong = list(judge(server, found))
        server.scripts.clear()
        client.call("gateway.resume", account=name)
        if send_all(client, [letter("again"), letter("and again")], name) != [["b@example.com"]] * 2:
            wrong.append("the next calls failed")
    return [f"{name}: {one}; {found}" for one in wrong]


def test_faults_in_flight(flow):
    """Each answer of the proof and of mails in flight lost, broken, early, twice or refused: what is said of each mail is what happened"""
    servers = {f"{step}-{name}": ChunkServer({step: act}, slow=0.02) for step in STEPS for name, act in FAULTS.items()
               if (step, name) not in LIES}
    accounts = {name: server.account(flow, **matrix.WAITS) for name, server in servers.items()}
    try:
        with flow.own_daemon(accounts) as daemon:
            files = daemon.files()
            with concurrent.futures.ThreadPoolExecutor(12) as pool:
                wrong = [one for job in [pool.submit(play_fault, daemon, name, server) for name, server in servers.items()] for one in job.result()]
            assert not wrong, "\n".join(wrong)
            flow.wait_for(lambda: not daemon.files() - files, what="the end of all descriptors")
    finally:
        for server in servers.values():
            server.close()
