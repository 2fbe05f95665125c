# SPDX-License-Identifier: MIT
"""Real servers whose processes are killed in the middle of calls: what a call says must be what happened."""

import contextlib
import random
import threading
import time

from harness import RpcError, same, text_of

BODY = "a line of some length that is there many times\n" * 3000


@contextlib.contextmanager
def killer(flow, *names, pause=(0.005, 0.06)):
    """Kills the servers' processes of these names, again and again; gives a list of how many there were."""
    over, count, chance = threading.Event(), [], random.Random(7)

    def work():
        while not over.wait(chance.uniform(*pause)):
            count.append(flow.mail.end_processes(chance.choice(names)))
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield count
    finally:
        over.set()
        thread.join()


def outcome_of(client, account, method, **params):
    client.call("gateway.resume", account=account)
    try:
        return "done", client.call(method, account=account, **params)
    except RpcError as error:
        assert error.kind in ("disconnected", "tls", "connect", "rejected", "timeout"), error
        return error.data["outcome"], error


def test_smtpd(flow):
    """smtp.send while smtpd is killed all the time: sent is there once, none is not, unknown never twice"""
    user, client, outcomes = flow.user(), flow.client(), {}
    address = flow.mail.address(user)
    with killer(flow, "smtpd", pause=(0.02, 0.15)) as killed:
        for number in range(30):
            outcomes[f"number {number}"] = outcome_of(client, user, "smtp.send", message={
                "from": "ann@example.com", "to": address, "subject": f"number {number}", "text": BODY}, timeout=10000)[0]
    assert sum(killed) > 5, killed
    assert outcome_of(client, user, "smtp.send", message={"from": "ann@example.com", "to": address, "subject": "last", "text": "x"})[0] == "done"
    sent = [subject for subject, outcome in outcomes.items() if outcome == "done"]
    flow.wait_for(lambda: set(sent) | {"last"} <= set(flow.subjects(user)), what="all mails that were sent")
    time.sleep(0.5)
    there = flow.subjects(user)
    for subject, outcome in outcomes.items():
        count = there.count(subject)
        assert count == (outcome == "done") or (outcome == "unknown" and count < 2), f"{subject}: {outcome}, and it is there {count} times"
    assert sent, "nothing was sent"


def test_pop3(flow):
    """pop3.retr and pop3.delete while Dovecot's processes are killed all the time: whole messages, and deleted is gone"""
    user, client, outcomes = flow.user(), flow.client(), {}
    letters = {f"number {number}": flow.letter("bob@example.com", f"number {number}", BODY) for number in range(20)}
    flow.put(user, *letters.values())
    ids = {}
    for message in client.call("pop3.uid_list", account=user)["messages"]:
        head = text_of(client.call("pop3.top", account=user, id=message["id"])["raw"]).decode()
        ids[next(line[9:] for line in head.splitlines() if line.startswith("Subject: "))] = message["id"]
    same(set(ids), set(letters))
    with killer(flow, "pop3", "pop3", "pop3-login") as killed:
        for subject, name in ids.items():
            outcome, found = outcome_of(client, user, "pop3.retr", id=name, timeout=10000)
            assert outcome in ("done", "none"), found
            if outcome == "done":
                same(text_of(found["raw"]), letters[subject], subject)
            outcomes[subject], _ = outcome_of(client, user, "pop3.delete", id=name, timeout=10000)
    assert sum(killed) > 5, killed
    there = set(flow.subjects(user))
    for subject, outcome in outcomes.items():
        assert outcome == "unknown" or (subject in there) == (outcome == "none"), f"{subject}: {outcome}, and it is {subject in there}"
    flow.wait_for(lambda: outcome_of(client, user, "pop3.stat")[0] == "done")
    same(client.call("pop3.stat", account=user)["count"], len(there))
