# SPDX-License-Identifier: MIT
"""smtp.send over pooled connections."""

import email
import json
import re
import threading
import time

from harness import INVALID_PARAMS, RpcError, memfd, same

ACCOUNTS = {
    "pair": {"smtp": {"pool_size": 2}},
    "fair": {"smtp": {"pool_size": 1}},
    "gone": {"smtp": {"pool_size": 2}},
    "starttls": {"smtp": {"port": lambda flow: flow.mail.ports["submission"], "implicit_tls": "no"}},
    "plain": {"smtp": {"port": lambda flow: flow.mail.ports["smtp"], "tls": "none", "implicit_tls": "no", "allow_plaintext_auth": "yes"}},
    "narrow": {"account": {"senders": None}},
}
for mechanism in ("PLAIN", "sasl-login", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"):
    ACCOUNTS[f"by-{mechanism.lower()}"] = {"user": "ann", "auth": {"method": mechanism}}
for mechanism in ("XOAUTH2", "OAUTHBEARER"):
    ACCOUNTS[f"by-{mechanism.lower()}"] = {"user": "ann", "auth": {"method": mechanism, "password": None, "token": lambda flow: flow.mail.token("ann")}}
MECHANISMS = [name for name in ACCOUNTS if name.startswith("by-")]


def message(to, subject="hello", **more):
    return dict({"from": "ann@example.com", "to": to, "subject": subject, "text": "hello\n"}, **more)


def test_send_message(flow):
    """A message with an attachment is sent and arrives"""
    user = flow.user()
    address = flow.mail.address(user)
    result = flow.client().call("smtp.send", account=user, message=message(
        address, "with attachment", attachments=[{"content": {"base64": "AAEC"}, "filename": "a.bin"}]))
    same((result["accepted"], result["rejected"], result["reply"]["code"]), ([address], [], 250))
    assert result["message_id"] and "<" not in result["message_id"] and result["size"] > 100, result
    same(flow.arrived(user), ["with attachment"])


def test_send_raw(flow):
    """raw goes as it is: line ends mended, dots kept, Bcc removed, Date and Message-ID put in front"""
    user = flow.user()
    address = flow.mail.address(user)
    raw = f"From: ann@example.com\nTo: {address}\nBcc: bob@example.com\nSubject: raw\nX-Odd:   kept  as\n is\n\n.\n..\n.dot\rbare\nend"
    result = flow.client().call("smtp.send", account=user, raw=raw, envelope={"from": "ann@example.com", "to": [address]})
    same(result["accepted"], [address])
    flow.arrived(user)
    with flow.mailbox(user) as box:
        data = box.fetch("1", "(BODY.PEEK[])")[1][0][1]
    head, _, body = data.partition(b"\r\n\r\n")
    same(body, b".\r\n..\r\n.dot\r\nbare\r\nend\r\n")
    assert b"Bcc" not in head and b"X-Odd:   kept  as\r\n is" in head and b"\nDate: " in head, head
    same(re.search(rb"Message-I[Dd]: <(.*)>", head).group(1).decode(), result["message_id"])


def test_envelope(flow):
    """Without an envelope everybody in To, Cc and Bcc gets it, and nobody sees Bcc"""
    one, two, three = (flow.user() for _ in range(3))
    flow.client().call("smtp.send", account=one, message=message(
        flow.mail.address(one), "to all", cc=[{"name": "Two", "address": flow.mail.address(two)}], bcc=flow.mail.address(three)))
    for user in (one, two, three):
        flow.arrived(user)
        with flow.mailbox(user) as box:
            assert flow.mail.address(three).encode() not in box.fetch("1", "(BODY.PEEK[HEADER.FIELDS (TO CC BCC)])")[1][0][1]


def test_refused_recipients(flow):
    """A refused recipient among others is listed; all refused is an error"""
    user, client = flow.user(), flow.client()
    good = flow.mail.address(user)
    result = client.call("smtp.send", account=user, message=message([good, "nobody@example.com", "later@example.com"], "some"))
    same(result["accepted"], [good])
    refused = {one["address"]: one["reply"] for one in result["rejected"]}
    same({address: reply["code"] for address, reply in refused.items()}, {"nobody@example.com": 550, "later@example.com": 450})
    same(refused["nobody@example.com"]["enhanced"], "5.1.1")
    error = client.fails("rejected", "smtp.send", account=user, message=message("nobody@example.com"))
    same((error.data["stage"], error.data["outcome"], error.data["retry"]), ("rcpt", "none", "no"))
    assert error.data["reply"]["code"] == 550 and error.data["protocol"] == "smtp" and error.data["account"] == user, error.data
    same([one["address"] for one in error.data["rejected"]], ["nobody@example.com"])
    error = client.fails("rejected", "smtp.send", account=user, message=message("later@example.com"))
    same((error.data["outcome"], error.data["retry"]), ("none", "later"))
    same(client.call("smtp.send", account=user, message=message(good, "after"))["accepted"], [good])
    same(sorted(flow.arrived(user, 2)), sorted(["some", "after"]))


def test_no_recipient(flow):
    """No recipient at all is bad_message; an empty raw too"""
    client, user = flow.client(), flow.user()
    client.fails("bad_message", "smtp.send", account=user, message={"from": "ann@example.com", "text": "x"})
    client.fails("bad_message", "smtp.send", account=user, raw="", envelope={"from": "ann@example.com", "to": ["bob@example.com"]})
    client.fails(INVALID_PARAMS, "smtp.send", account=user)
    client.fails(INVALID_PARAMS, "smtp.send", account=user, raw="x", message=message("bob@example.com"))


def test_mechanisms(flow):
    """Every mechanism of the servers logs in, for all three protocols"""
    client = flow.client()
    for account in MECHANISMS:
        result = client.call("account.test", account=account)
        text = json.dumps(result)
        assert '"ok": false' not in text and '"ok": true' in text, f"{account}: {result}"
    mark = flow.mail.log_sizes()
    client.call("smtp.send", account="by-scram-sha-256", message=message("x@sink.example.com"))
    assert flow.mail.connections("smtps", mark) <= 1


def test_starttls(flow):
    """Submission with STARTTLS, and a plain connection where the account allows it"""
    client = flow.client()
    for account in ("starttls", "plain"):
        same(client.call("smtp.send", account=account, message=message("ann@example.com"))["accepted"], ["ann@example.com"], account)
    same(client.call("smtp.test_connection", account="starttls")["ok"], True)


def test_senders(flow):
    """An account without senders sends only as its own address"""
    client = flow.client()
    user = flow.unused[0]
    client.fails("denied", "smtp.send", account="narrow", message=message("bob@example.com", **{"from": "boss@example.com"}))
    error = client.fails("denied", "smtp.send", account="narrow", raw="From: boss@example.com\n\nx\n",
                         envelope={"from": "boss@example.com", "to": ["bob@example.com"]})
    same((error.data["stage"], error.data["outcome"]), ("policy", "none"))
    accounts = {one["name"]: one for one in client.call("account.list")["accounts"]}
    own = accounts["narrow"].get("email")
    assert own, f"account.list tells no email: {accounts['narrow']} (beside {user})"
    same(client.call("smtp.send", account="narrow", message=message("bob@example.com", **{"from": own}))["accepted"], ["bob@example.com"])


def test_twenty_clients(flow):
    """Twenty clients send through two connections; all mails arrive once, in fair order"""
    user = flow.user()
    mark = flow.mail.log_sizes()
    clients = [flow.client() for _ in range(20)]
    per_client = 5
    order, lock = [], threading.Lock()

    def send(index):
        for number in range(per_client):
            clients[index].call("smtp.send", account="pair", message=message(flow.mail.address(user), f"{index}/{number}"))
            with lock:
                order.append(index)
    flow.together(*[lambda index=index: send(index) for index in range(20)])
    same(flow.mail.connections("smtps", mark), 2, "connections by the server's log")
    subjects = flow.arrived(user, 20 * per_client)
    same(sorted(subjects), sorted(f"{index}/{number}" for index in range(20) for number in range(per_client)))
    # fair: when one client is through, every other has had its turns but for a few
    first_done = next(at for at in range(len(order)) if order[:at + 1].count(order[at]) == per_client)
    behind = [order[:first_done + 1].count(index) for index in range(20)]
    assert min(behind) >= per_client - 3, f"when the first was through the others had sent {sorted(behind)}"


def test_one_goes(flow):
    """Of many senders one hangs up and one cancels in the middle; the others notice nothing, nothing arrives twice"""
    user, client = flow.user(), flow.client()
    address = flow.mail.address(user)
    client.call("smtp.send", account="gone", message=message(address, "first"))
    mark = flow.mail.log_sizes()
    leaver, canceller = flow.client(), flow.client()
    body = "x" * 70 + "\n"
    numbers = []
    for number in range(30):
        numbers.append(client.begin("smtp.send", account="gone", message=message(address, f"kept {number}")))
        if number % 3 == 0:
            leaver.begin("smtp.send", account="gone", message=message(address, f"left {number}", text=body * 500))
            one = canceller.begin("smtp.send", account="gone", message=message(address, f"cancelled {number}", text=body * 500))
            canceller.send({"jsonrpc": "2.0", "method": "rpc.cancel", "params": {"id": one}})
    time.sleep(0.02)
    leaver.close()
    for number in numbers:
        same(client.finish(number)[0]["accepted"], [address])
    subjects = flow.arrived(user, 31)
    time.sleep(0.5)
    subjects = flow.subjects(user)
    same(sorted(one for one in subjects if one.startswith("kept")), sorted(f"kept {number}" for number in range(30)))
    assert len(subjects) == len(set(subjects)), "something arrived twice"
    assert flow.mail.connections("smtps", mark) <= 2, "more connections than before"
    with flow.mailbox(user, True) as box:      # what did arrive is whole
        for number, subject in enumerate(subjects, 1):
            if subject.startswith(("left", "cancelled")):
                assert box.fetch(str(number), "(BODY.PEEK[TEXT])")[1][0][1].count(b"x" * 70) == 500, subject


def test_warm(flow):
    """A second mail uses the first one's connection"""
    user, client = flow.user(), flow.client()
    mark = flow.mail.log_sizes()
    for number in range(5):
        client.call("smtp.send", account=user, message=message(flow.mail.address(user), str(number)))
    same(flow.mail.connections("smtps", mark), 1)
    pools = json.dumps(flow.client().call("gateway.pools"))
    assert user in pools and "reused" in pools, pools


def test_idempotency(flow):
    """A key sends once: repeats get the stored answer, others the conflict"""
    user, client = flow.user(), flow.client()
    address = flow.mail.address(user)
    first = client.call("smtp.send", account=user, message=message(address, "once"), idempotency_key="k1")
    same(client.call("smtp.send", account=user, message=message(address, "once"), idempotency_key="k1"), first)
    same(flow.client().call("smtp.send", account=user, message=message(address, "once"), idempotency_key="k1"), first, "another client")
    client.fails("conflict", "smtp.send", account=user, message=message(address, "other"), idempotency_key="k1")
    numbers = [client.begin("smtp.send", account=user, message=message(address, "at once"), idempotency_key="k2") for _ in range(5)]
    answers = [client.finish(number)[0] for number in numbers]
    assert all(answer == answers[0] for answer in answers), answers
    # nothing happened: the key may be used anew
    client.fails("rejected", "smtp.send", account=user, message=message("nobody@example.com"), idempotency_key="k3")
    client.fails("rejected", "smtp.send", account=user, message=message("nobody@example.com"), idempotency_key="k3")
    for bad in ("", "x" * 129):
        client.fails(INVALID_PARAMS, "smtp.send", account=user, message=message(address), idempotency_key=bad)
    same(sorted(flow.arrived(user, 2)), sorted(["once", "at once"]))
    time.sleep(0.3)
    same(len(flow.subjects(user)), 2)


def test_many_in_one(flow):
    """messages sends several; each has its own result"""
    user, client = flow.user(), flow.client()
    address = flow.mail.address(user)
    result = client.call("smtp.send", account=user, messages=[
        {"message": message(address, "a")}, {"message": message("nobody@example.com", "b")}, {"message": message(address, "c")}])
    same([("error" in one, one.get("accepted")) for one in result["results"]], [(False, [address]), (True, None), (False, [address])])
    same(result["results"][1]["error"]["data"]["kind"], "rejected")
    same(sorted(flow.arrived(user, 2)), ["a", "c"])


def test_by_descriptor(flow):
    """raw and an attachment may come by descriptor"""
    user, client = flow.user(), flow.client()
    address = flow.mail.address(user)
    one = memfd(flow.letter(address, "raw by descriptor"))
    client.call("smtp.send", fds=[one], account=user, raw={"fd": 0}, envelope={"from": "ann@example.com", "to": [address]})
    two = memfd(bytes(range(256)) * 300, seal=False)
    client.call("smtp.send", fds=[two], account=user, message=message(address, "attached", attachments=[{"content": {"fd": 0}, "filename": "b"}]))
    same(sorted(flow.arrived(user, 2)), sorted(["raw by descriptor", "attached"]))
    with flow.mailbox(user, True) as box:
        number = box.search(None, "SUBJECT", "attached")[1][0].decode()
        data = email.message_from_bytes(box.fetch(number, "(BODY.PEEK[])")[1][0][1])
        same([part.get_payload(decode=True) for part in data.walk() if part.get_filename() == "b"], [bytes(range(256)) * 300])


def test_key_by_descriptor(flow):
    """A key's parameters are compared where they come by descriptor too"""
    user, client = flow.user(), flow.client()
    address = flow.mail.address(user)

    letters = {subject: flow.letter(address, subject) for subject in ("first", "other")}

    def send(subject):
        return dict(fds=[memfd(letters[subject])], account=user, raw={"fd": 0}, idempotency_key="d1",
                    envelope={"from": "ann@example.com", "to": [address]})
    first = client.call("smtp.send", **send("first"))
    same(client.call("smtp.send", **send("first")), first)
    client.fails("conflict", "smtp.send", **send("other"))
    same(flow.arrived(user), ["first"])


def test_other_calls(flow):
    """smtp.verify, smtp.test_connection and smtp.sendmail"""
    user, client = flow.user(), flow.client()
    address = flow.mail.address(user)
    same(client.call("smtp.test_connection", account=user), {"ok": True})
    answer = client.call("smtp.verify", account=user, address=address)
    assert isinstance(answer["valid"], bool) and answer["reply"]["code"], answer
    answer = client.call("smtp.sendmail", **{"from": "ann@example.com"}, account=user, to=[address, "nobody@example.com"], raw=flow.letter(address, "by sendmail").decode())
    same((list(answer["refused"]), answer["refused"]["nobody@example.com"][0]), (["nobody@example.com"], 550))
    same(flow.arrived(user), ["by sendmail"])
    client.fails("rejected", "smtp.sendmail", **{"from": "ann@example.com"}, account=user, to=["nobody@example.com"], raw="Subject: x\n\nx")


def test_session(flow):
    """A session sends over its own connection and ends with quit"""
    user, client = flow.user(), flow.client()
    address = flow.mail.address(user)
    opened = client.call("smtp.open", account=user)
    assert "PIPELINING" in opened["extensions"] and opened["greeting"], opened
    session = opened["session"]
    for number in range(3):
        client.call("smtp.send", session=session, message=message(address, f"number {number}"))
    client.fails("rejected", "smtp.send", session=session, message=message("nobody@example.com"))
    client.call("smtp.send", session=session, message=message(address, "last"))
    client.call("smtp.quit", session=session)
    client.fails("no_such_session", "smtp.send", session=session, message=message(address))
    same(sorted(flow.arrived(user, 4)), ["last", "number 0", "number 1", "number 2"])


def test_killed_connection(flow):
    """A server's connection killed while idle is invisible to the next call"""
    user, client = flow.user(), flow.client()
    address = flow.mail.address(user)
    client.call("smtp.send", account=user, message=message(address, "before"))
    assert flow.mail.end_processes("smtpd") > 0
    time.sleep(0.2)
    client.call("smtp.send", account=user, message=message(address, "after"))
    same(sorted(flow.arrived(user, 2)), sorted(["before", "after"]))


def test_unsolicited_errors(flow):
    """After a refused message the same connection goes on"""
    user, client = flow.user(), flow.client()
    address = flow.mail.address(user)
    client.call("smtp.send", account=user, message=message(address, "0"))
    mark = flow.mail.log_sizes()
    for number in range(3):
        try:
            client.call("smtp.send", account=user, message=message("nobody@example.com"))
            raise AssertionError("was not refused")
        except RpcError as error:
            same(error.kind, "rejected")
        client.call("smtp.send", account=user, message=message(address, str(number + 1)))
    same(flow.mail.connections("smtps", mark), 0, "new connections")
    same(sorted(flow.arrived(user, 4)), sorted(["0", "1", "2", "3"]))
