# SPDX-License-Identifier: MIT
"""Methods that no other test is about: each is called once, and does what it says."""

from harness import same, text_of

ACCOUNTS = {"resting": {}}


def filled(flow, count=3):
    user = flow.user()
    flow.put(user, *[flow.letter("bob@example.com", f"number {number}") for number in range(1, count + 1)])
    return user, flow.client()


def test_pause(flow):
    """A paused account is unavailable until it is resumed; others go on"""
    client = flow.client()
    client.call("gateway.pause", account="resting")
    client.fails("unavailable", "imap.list", account="resting")
    assert client.call("imap.list", account="ann")["mailboxes"]
    client.call("gateway.resume", account="resting")
    assert client.call("imap.list", account="resting")["mailboxes"]
    client.fails("no_such_account", "gateway.pause", account="nobody-at-all")


def test_sessions(flow):
    """An administrator sees the sessions of all clients, and closes one"""
    user, client = filled(flow, 1)
    session = client.call("imap.open", account=user)["session"]
    administrator = flow.client()
    mine = [entry for entry in administrator.call("gateway.sessions")["sessions"] if entry["account"] == user]
    same((len(mine), mine[0]["protocol"], mine[0]["uid"]), (1, "imap", 0))
    assert mine[0]["session"] != session, "the secret id is shown"
    administrator.call("gateway.close", session=mine[0]["session"])
    client.fails("no_such_session", "imap.search", session=session, query="ALL")
    same([entry for entry in administrator.call("gateway.sessions")["sessions"] if entry["account"] == user], [])
    administrator.fails("no_such_session", "gateway.close", session="nothing")


def test_metrics(flow):
    """gateway.metrics is OpenMetrics text that counts calls and their outcomes, and tells of the pools"""
    user, client = flow.user(), flow.client()

    def samples():
        answer = client.call("gateway.metrics")
        assert answer["content_type"].startswith("application/openmetrics-text; version=1.0.0"), answer["content_type"]
        lines = answer["metrics"].splitlines()
        same(lines[-1], "# EOF")
        families, found, current = set(), {}, None
        for line in lines[:-1]:
            if line.startswith("# "):
                _, word, name, rest = line.split(" ", 3)
                assert word in ("TYPE", "HELP"), line
                if word == "TYPE":
                    assert name not in families, f"{name} twice"
                    families.add(name)
                    current = name
                continue
            name, value = line.rsplit(" ", 1)
            assert name.startswith(current), f"{name} stands below {current}"
            assert name not in found, f"{name} twice"
            found[name] = float(value)
        return found
    options = {"host": "localhost", "port": flow.mail.ports["imaps"], "username": user, "password": flow.mail.users[user], "implicit_tls": True, "verify_peer": False}
    for timeout in (11000, 12000):      # two pools that no account names
        client.call("imap.noop", options=dict(options, timeout=timeout))
    before = samples()
    assert before['postern_pool_opened_total{account="",protocol="imap"}'] >= 2, before
    client.call("imap.status", account=user, mailbox="INBOX")
    client.fails("rejected", "imap.status", account=user, mailbox="Nowhere")
    client.fails(-32602, "imap.status", account=user, mailbox="a\nb")
    after = samples()

    def grown(name):
        return after.get(name, 0) - before.get(name, 0)
    same(grown('postern_calls_total{method="imap.status",outcome="ok"}'), 1)
    same(grown('postern_calls_total{method="imap.status",outcome="rejected"}'), 1)
    same([name for name in after if "null" in name], [])
    calls = grown('postern_call_duration_seconds_count{method="imap.status"}')
    same((calls, grown('postern_call_duration_seconds_bucket{method="imap.status",le="+Inf"}')), (2 + grown('postern_calls_total{method="imap.status",outcome="invalid_params"}'), calls))
    pool = '{account="%s",protocol="imap"}' % user
    same((after["postern_pool_opened_total" + pool], after["postern_pool_opened_tls_total" + pool]), (1, 1))
    assert after["postern_pool_received_bytes_total" + pool] > 500 and after["postern_pool_wait_seconds_count" + pool] >= 2
    assert after["process_resident_memory_bytes"] > 1e6 and after["postern_clients"] >= 1
    before = after
    subscription = client.call("event.subscribe", account=user)["subscription"]
    flow.put(user, flow.letter("x@example.com", "counted"))
    flow.wait_for(lambda: client.call("gateway.ping") == {} and any(note.get("method") == "event" for note in client.notes), 30, "an event")
    after = samples()
    assert grown('postern_events_total{kind="new"}') >= 1 and after["postern_subscriptions"] >= 1, [line for line in after.items() if "event" in line[0] or "subscr" in line[0]]
    watched = sum(value for name, value in after.items() if name.startswith("postern_watches{"))
    assert 1 <= watched <= after["postern_subscriptions"], (watched, after["postern_subscriptions"])
    client.call("event.unsubscribe", subscription=subscription)


def test_imap(flow):
    """IMAP's examine, noop and move"""
    user, client = filled(flow)
    client.call("imap.noop", account=user)
    session = client.call("imap.open", account=user)["session"]
    box = client.call("imap.examine", session=session, mailbox="INBOX")
    same((box["exists"], box["readonly"]), (3, True))
    client.call("imap.noop", session=session)
    client.call("imap.logout", session=session)
    with flow.mailbox(user) as box:
        box.create("Kept")
    client.call("imap.move", account=user, uids=[2], destination="Kept", uidvalidity="any")
    same(flow.subjects(user), ["number 1", "number 3"])
    same(len(client.call("imap.search", account=user, mailbox="Kept", query="ALL")["uids"]), 1)


def test_pop3(flow):
    """POP3 in a session: numbers, unique ids, top, rset, and deletions that quit makes happen"""
    user, client = filled(flow)
    client.call("pop3.noop", account=user)
    ids = [message["id"] for message in client.call("pop3.uid_list", account=user)["messages"]]
    same(len(set(ids)), 3)
    same(text_of(client.call("pop3.top", account=user, id=ids[0], lines=0)["raw"]).count(b"\r\n\r\n"), 1)
    session = client.call("pop3.open", account=user)["session"]
    same([message["id"] for message in client.call("pop3.uidl", session=session)["messages"]], ids)
    assert b"number 2" in text_of(client.call("pop3.retr", session=session, number=2)["raw"])
    client.call("pop3.dele", session=session, number=1)
    client.call("pop3.rset", session=session)
    client.call("pop3.delete", session=session, number=3)
    client.call("pop3.noop", session=session)
    client.call("pop3.quit", session=session)
    same(flow.subjects(user), ["number 1", "number 2"])
    client.call("pop3.delete", account=user, id=ids[0])
    same(flow.subjects(user), ["number 2"])


def test_smtp(flow):
    """SMTP in a session, the envelope of one's own, and asking about an address"""
    user, client = filled(flow, 0)
    address = flow.mail.address(user)
    session = client.call("smtp.open", account=user)["session"]
    sent = client.call("smtp.send", session=session, raw=flow.letter(address, "one").decode(),
                       envelope={"from": "ann@example.com", "to": [address]})
    same(sent["accepted"], [address])
    client.call("smtp.quit", session=session)
    client.fails("no_such_session", "smtp.quit", session=session)
    same(client.call("smtp.sendmail", account=user, to=[address], raw=flow.letter(address, "two").decode(),
                     **{"from": "ann@example.com"})["refused"], {})
    flow.arrived(user, 2)
    same(sorted(flow.subjects(user)), ["one", "two"])
    answer = client.call("smtp.verify", account=user, address=address)
    assert isinstance(answer["valid"], bool) and answer["reply"]["code"] in range(200, 560), answer
