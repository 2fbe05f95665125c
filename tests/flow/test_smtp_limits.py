# SPDX-License-Identifier: MIT
"""What a server takes at most (LIMITS, 452 4.5.3): envelopes go in parts, connections are retired in time, results are one."""

import contextlib

from fake_mail import FakeSmtp, fin
from harness import same

TO = [f"{name}@{domain}.example" for domain in ("one", "two", "three") for name in "ab"]


@contextlib.contextmanager
def played(flow, *scripts, limits="", pipelining=True, **keys):
    server = FakeSmtp(*scripts, capabilities=["SIZE 10000000", *([f"LIMITS {limits}"] if limits else [])], pipelining=pipelining, mechanisms="")
    try:
        with flow.own_daemon({"limits": flow.account("ann", **server.account(**keys))}) as daemon, daemon.client() as client:
            yield server, client
    finally:
        server.close()


def mail(to, **more):
    return dict({"account": "limits", "raw": "Subject: x\n\nhello\n", "envelope": {"from": "a@example.com", "to": to}}, **more)


def parts(server):
    """The recipients of each transaction."""
    found = []
    for line in server.lines:
        if line.startswith("MAIL"):
            found.append([])
        elif line.startswith("RCPT"):
            found[-1].append(line.partition("<")[2].partition(">")[0])
    return found


def test_rcptmax(flow):
    """RCPTMAX: as many transactions as needed on one connection, each recipient's verdict in one result"""
    for pipelining in (True, False):
        with played(flow, {"rcpt2": "550 5.1.1 no\r\n"}, limits="RCPTMAX=2", pipelining=pipelining) as (server, client):
            result = client.call("smtp.send", **mail(TO[:5]))
            same((result["accepted"], [one["address"] for one in result["rejected"]]), ([TO[0], *TO[2:5]], [TO[1]]))
            same((parts(server), len(server.bodies), server.connections), ([TO[:2], TO[2:4], TO[4:5]], 3, 1))
            same(len(set(server.bodies)), 1, "different bodies")
            client.call("smtp.send", **mail(TO[:2]))
            same((len(server.bodies), server.connections), (4, 1))


def test_parts_that_fail(flow):
    """One part is refused, or lost, and the others are not: a success that lists who did not get it"""
    with played(flow, {"rcpt": "550 5.1.1 no\r\n", "rcpt2": "550 5.1.1 no\r\n"}, limits="RCPTMAX=2") as (server, client):
        result = client.call("smtp.send", **mail(TO[:4]))
        same((result["accepted"], [one["address"] for one in result["rejected"]]), (TO[2:4], TO[:2]))
    with played(flow, {"dot": "452 4.3.1 full\r\n"}, limits="RCPTMAX=2") as (server, client):
        result = client.call("smtp.send", **mail(TO[:4]))
        same((result["accepted"], {one["address"]: one["reply"]["code"] for one in result["rejected"]}), (TO[2:4], dict.fromkeys(TO[:2], 452)))
    with played(flow, limits="RCPTMAX=2") as (server, client):
        error = client.fails(-32602, "smtp.send", **mail([*TO[:3], "not an address\u0001@x"]))
        same((parts(server), len(server.bodies)), ([], 0), str(error))
    # Lost behind the second dot: nobody knows, and nothing is repeated.
    with played(flow, {"dot": "250 fine\r\n"}, limits="RCPTMAX=2") as (server, client):
        watch = server.take_body

        def second_is_lost(wire):
            if len(server.bodies) == 1:
                wire.script["dot"] = fin
            watch(wire)
        server.take_body = second_is_lost
        error = client.fails("disconnected", "smtp.send", **mail(TO[:6]))
        same((error.data["outcome"], len(server.bodies)), ("unknown", 2))
    # Lost before it: the rest goes over another connection.
    with played(flow, limits="RCPTMAX=2") as (server, client):
        watch = server.take_body

        def second_is_cut(wire):
            if len(server.bodies) == 1 and server.connections == 1:
                wire.script["data"] = fin
            watch(wire)
        server.take_body = second_is_cut
        same(client.call("smtp.send", **mail(TO[:6]))["accepted"], TO[:6])
        same((len(server.bodies), server.connections, parts(server)), (3, 2, [TO[:2], TO[2:4], TO[2:4], TO[4:6]]))


def test_mailmax(flow):
    """MAILMAX: connections are retired in time, with QUIT, and parts go on over the next one"""
    with played(flow, limits="MAILMAX=2") as (server, client):
        for _ in range(5):
            client.call("smtp.send", **mail(TO[:1]))
        same((len(server.bodies), server.connections), (5, 3))
        flow.wait_for(lambda: server.lines.count("QUIT") == 2, what="the goodbyes")
        numbers = [client.begin("smtp.send", **mail(TO[:1])) for _ in range(7)]
        for number in numbers:
            same(client.finish(number)[0]["accepted"], TO[:1])
        same((len(server.bodies), server.connections), (12, 6))
    with played(flow, limits="MAILMAX=2 RCPTMAX=1") as (server, client):
        same(client.call("smtp.send", **mail(TO))["accepted"], TO)
        same((len(server.bodies), server.connections), (6, 3))
    with played(flow, limits="MAILMAX=1 RCPTMAX=1") as (server, client):
        opened = client.call("smtp.open", account="limits")
        result = client.call("smtp.send", session=opened["session"], raw="Subject: x\n\nx", envelope={"from": "a@example.com", "to": TO[:3]})
        same((result["accepted"], [one["address"] for one in result["rejected"]]), (TO[:1], TO[1:3]))


def test_rcptdomainmax(flow):
    """RCPTDOMAINMAX: no connection names recipients of more domains than it may"""
    for most in (1, 2):
        with played(flow, limits=f"RCPTDOMAINMAX={most}") as (server, client):
            same(client.call("smtp.send", **mail(TO))["accepted"], TO)
            same((parts(server), server.connections), ([TO[:2], TO[2:4], TO[4:]] if most == 1 else [TO[:4], TO[4:]], 4 - most))


def test_too_many(flow):
    """452 4.5.3 without LIMITS: those that were too many go with the next transaction"""
    class Two(FakeSmtp):
        def talk(self, wire):
            for number in range(3, 20):
                wire.script[f"rcpt{number}"] = "452 4.5.3 too many\r\n"
            super().talk(wire)

        def take_body(self, wire):
            super().take_body(wire)
            for number in range(3, 20):
                wire.script[f"rcpt{number}"] = "452 4.5.3 too many\r\n"
    server = Two(mechanisms="")
    try:
        with flow.own_daemon({"limits": flow.account("ann", **server.account())}) as daemon, daemon.client() as client:
            same(client.call("smtp.send", **mail(TO))["accepted"], TO)
            same((parts(server), server.connections, len(server.bodies)), ([TO, TO[2:4], TO[4:]], 1, 3))
    finally:
        server.close()
