# SPDX-License-Identifier: MIT
"""A configuration that is read again and again while calls of all kinds run: none of them fails because of it."""

import os
import signal
import threading
import time

from harness import ini, same, text_of

FULL = bool(os.environ.get("POSTERN_FULL"))
SECONDS = 60 if FULL else 3


class Caller(threading.Thread):
    """Calls again and again until told; the first failure is kept."""

    def __init__(self, daemon, name, play):
        super().__init__(daemon=True)
        self.gateway, self.name, self.play = daemon, name, play
        self.done, self.wrong, self.over = 0, None, False

    def run(self):
        try:
            with self.gateway.client(60) as client:
                while not self.over:
                    self.play(client)
                    self.done += 1
        except Exception as error:
            self.wrong = f"{self.name}: {type(error).__name__}: {error}"


def session(user, count):
    """A session from its beginning to its end."""
    def play(client):
        number = client.call("imap.open", account=user)["session"]
        same(client.call("imap.select", session=number, mailbox="INBOX")["exists"] >= count, True)
        client.call("imap.noop", session=number)
        same(text_of(client.call("imap.fetch", session=number, uids="1")["messages"][0]["sections"]["BODY[]"]).startswith(b"From"), True)
        client.call("imap.logout", session=number)
    return play


def calls_of(user, address, others):
    """What is called all the time: of the account `user`, whose settings change, and of others, whose do not."""
    for one in (user, *others):
        yield f"{one}: status", lambda client, one=one: client.call("imap.status", account=one, mailbox="INBOX")
        yield f"{one}: fetch", lambda client, one=one: same(len(client.call("imap.fetch", account=one, uids="1:3")["messages"]), 3)
        yield f"{one}: session", session(one, 3)
    yield "store", lambda client: client.call("imap.store", account=user, uids="1:3", uidvalidity="any", command="+FLAGS", flags=["\\Flagged"])
    yield "stat", lambda client: same(client.call("pop3.stat", account=others[0])["count"] >= 3, True)
    yield "send", lambda client: same(client.call("smtp.send", account=user, message={"from": address, "to": address, "subject": "x", "text": "x" * 2000})["accepted"],
                                      [address])
    yield "streamed", lambda client: same(len(client.streamed("imap.fetch", account=user, uids="1:3")[0]), 3)
    yield "parse", lambda client: client.call("mail.parse", raw="Subject: x\r\n\r\nx\r\n")
    yield "ping", lambda client: client.call("gateway.ping")


def put_account(daemon, name, sections):
    """In one step, as the daemon may read at any time."""
    draft = daemon.folder / "draft"
    draft.write_text(ini(sections))
    draft.chmod(0o600)
    os.replace(draft, daemon.folder / "accounts.d" / f"{name}.conf")


def reload_often(flow, daemon, user, callers):
    """Until the time is over or a call failed; how often."""
    count, until = 0, time.monotonic() + SECONDS
    while time.monotonic() < until and not any(caller.wrong for caller in callers):
        put_account(daemon, user, flow.account(user, imap={"timeout": f"{50 + count % 4}s", "idle_timeout": ("5min", "2s")[count % 3 == 0]},
                                               smtp={"pool_size": 4 + count % 3}))
        if count % 2:
            (daemon.folder / "accounts.d" / "passing.conf").unlink()
        else:
            put_account(daemon, "passing", flow.account("ann"))
        daemon.process.send_signal(signal.SIGHUP)
        count += 1
        time.sleep(0.02)
    return count


def test_reload_loop(flow):
    """SIGHUP in a loop, with settings that change and accounts that come and go, makes no call fail and loses no event"""
    users = [flow.user() for _ in range(3)]
    changed, *others = users
    for user in users:
        flow.put(user, *[flow.letter("bob@example.com", f"number {number}") for number in range(1, 4)])
    with flow.own_daemon({user: flow.account(user) for user in users}, {"log_level": "info"}) as daemon, daemon.client() as watcher:
        watcher.call("event.subscribe", account=others[1], mailbox="INBOX")
        callers = [Caller(daemon, name, play) for name, play in calls_of(changed, flow.mail.address(changed), others)]
        for caller in callers:
            caller.start()
        flow.wait_for(lambda: all(caller.done or caller.wrong for caller in callers), 60, "each call's first answer")
        begun = sum(caller.done for caller in callers)
        count = reload_often(flow, daemon, changed, callers)
        grown = sum(caller.done for caller in callers) - begun
        for caller in callers:
            caller.over = True
        for caller in callers:
            caller.join(60)
        wrong = [caller.wrong for caller in callers if caller.wrong] + [f"{caller.name} hangs" for caller in callers if caller.is_alive()]
        assert not wrong, f"{count} reloads, {grown} calls:\n" + "\n".join(wrong)
        assert count > 5 and grown > 5, (count, grown)
        flow.put(others[1], flow.letter("bob@example.com", "told"))
        deadline = time.monotonic() + 20
        while not any(note.get("method") == "event" for note in watcher.notes):
            watcher.collect(deadline - time.monotonic())
        same(watcher.call("gateway.ping"), {})


test_reload_loop.limit = 120 + 2 * SECONDS
