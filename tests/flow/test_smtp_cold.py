# SPDX-License-Identifier: MIT
"""Connections that are made for one mail each."""

import pathlib
import time

import fake_sasl
from fake_mail import FakeSmtp, late
from harness import same

LOGINS = 6
LATE_S = 4
MAIL = {"raw": "Subject: x\n\nx\n", "envelope": {"from": "ann@example.com", "to": ["b@example.com"]}}


def cpu_ticks(daemon):
    fields = pathlib.Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_scram(flow):
    """The key of a login by SCRAM is made once for a salt, not at each login; a new salt and a new password need a new one"""
    server = FakeSmtp(mechanisms="SCRAM-SHA-256")
    server.password = "geheim-7"
    fake_sasl.ITERATIONS = 100000

    def logins(daemon, client):
        before = cpu_ticks(daemon)
        for _ in range(LOGINS):
            client.call("smtp.send", account="cold", **MAIL)
        return cpu_ticks(daemon) - before

    try:
        auth = {"username": "ann", "password": "geheim-7", "method": "SCRAM-SHA-256"}
        keys = dict(server.keys(), max_uses=1, allow_plaintext_auth="yes")
        accounts = {"cold": {"account": {"senders": "*"}, "auth": auth, "smtp": keys},
                    "wrong": {"account": {"senders": "*"}, "auth": dict(auth, password="geheim-8"), "smtp": keys}}
        with flow.own_daemon(accounts) as daemon, daemon.client() as client:
            anew = logins(daemon, client)
            fake_sasl.SALT = b"always the same"
            kept = logins(daemon, client)
            same(server.connections, 2 * LOGINS)
            assert kept < anew / 2, f"{kept} ticks with one salt, {anew} with one for each login"
            client.fails("auth", "smtp.send", account="wrong", **MAIL)
            logins(daemon, client)
    finally:
        fake_sasl.ITERATIONS, fake_sasl.SALT = 4096, None
        server.close()


def test_goodbye(flow):
    """A mail does not wait for the answer to the QUIT of the connection before, and these do not pile up"""
    server = FakeSmtp(*[{"quit": late(LATE_S)}] * 4, mechanisms="")
    try:
        account = flow.account("ann", **server.account(max_uses=1))
        with flow.own_daemon({"cold": account}) as daemon, daemon.client() as client:
            began = time.monotonic()
            client.call("smtp.send", account="cold", **MAIL)
            client.call("smtp.send", account="cold", **MAIL)
            took = time.monotonic() - began
            assert took < LATE_S, f"{took:.2f} s for two mails"
            client.call("smtp.send", account="cold", **MAIL)
            took = time.monotonic() - began
            assert took > LATE_S - 0.5, f"{took:.2f} s for three mails: two connections were waiting for their goodbye"
            same(len(server.bodies), 3)
    finally:
        server.close()
