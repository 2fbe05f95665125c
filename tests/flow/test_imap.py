# SPDX-License-Identifier: MIT
"""IMAP calls over pooled connections."""

import os
import time

from harness import INVALID_PARAMS, memfd, read_all, same, text_of

ACCOUNTS = {
    "reader": {"account": {"permit": "read"}},
}
BODY = b"body [] {3} \\ \" of the message\r\n.\r\n"


def filled(flow, count=3):
    user = flow.user()
    flow.put(user, *[flow.letter("bob@example.com", f"number {number}", BODY.decode().replace("\r\n", "\n")) for number in range(1, count + 1)])
    return user, flow.client()


def test_list(flow):
    """imap.list tells names, delimiters, special uses"""
    user, client = flow.user(), flow.client()
    boxes = {box["name"]: box for box in client.call("imap.list", account=user)["mailboxes"]}
    assert {"INBOX", "Sent", "Drafts", "Trash"} <= set(boxes), boxes
    same(boxes["Sent"]["delimiter"], "/")
    assert "Sent" in str(boxes["Sent"]["special_use"]), boxes["Sent"]
    same([box["name"] for box in client.call("imap.list", account=user, pattern="Se%")["mailboxes"]], ["Sent"])


def test_status(flow):
    """imap.status counts"""
    user, client = filled(flow)
    status = client.call("imap.status", account=user, mailbox="INBOX", items=["MESSAGES", "UNSEEN", "UIDNEXT", "UIDVALIDITY"])
    same((status["mailbox"], status["messages"], status["unseen"], status["uidnext"]), ("INBOX", 3, 3, 4))
    error = client.fails("rejected", "imap.status", account=user, mailbox="No Such")
    assert error.data["reply"] and error.data["outcome"] == "none" and error.data["protocol"] == "imap", error.data


def test_search(flow):
    """imap.search finds, in any language"""
    user, client = filled(flow)
    flow.put(user, "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nFrom: zoe@example.com\r\n\r\nñandú\r\n".encode())
    found = client.call("imap.search", account=user, mailbox="INBOX", query="SUBJECT \"number 2\"")
    same(found["uids"], [2])
    assert found["uidvalidity"] > 0
    same(client.call("imap.search", account=user, mailbox="INBOX", query="SUBJECT Grüße")["uids"], [4])
    same(client.call("imap.search", account=user, mailbox="INBOX", query=["BODY", "ñandú"])["uids"], [4])
    same(client.call("imap.search", account=user, mailbox="INBOX", query="ALL")["uids"], [1, 2, 3, 4])
    same(client.call("imap.search", account=user, mailbox="INBOX", query="FROM nobody")["uids"], [])


def test_fetch(flow):
    """imap.fetch gives flags, envelope, structure and bodies, and does not set \\Seen"""
    user, client = filled(flow)
    answer = client.call("imap.fetch", account=user, mailbox="INBOX", uids="1:*",
                         items=["FLAGS", "ENVELOPE", "BODYSTRUCTURE", "INTERNALDATE", "RFC822.SIZE", "BODY.PEEK[]", "BODY.PEEK[TEXT]<5.4>"])
    same((answer["mailbox"], [one["uid"] for one in answer["messages"]]), ("INBOX", [1, 2, 3]))
    one = answer["messages"][1]
    same(one["envelope"]["subject"], "number 2")
    same(one["envelope"]["from"], [{"name": None, "address": "ann@example.com"}])
    same(one["envelope"]["date"], "2026-03-02T10:00:00+01:00")
    same((one["bodystructure"]["type"].lower(), one["bodystructure"]["subtype"].lower()), ("text", "plain"))
    raw = text_of(one["sections"]["BODY[]"])
    assert raw.endswith(BODY) and raw.startswith(b"From: ann@example.com\r\n"), raw
    same((one["size"], one["sections"]["BODY[]"]["size"]), (len(raw), len(raw)))
    same(text_of(one["sections"]["BODY[TEXT]<5>"]), BODY[5:9])
    same(client.call("imap.fetch", account=user, uids=[2, 3])["messages"][0]["uid"], 2, "INBOX and the whole message by default")
    flags = client.call("imap.fetch", account=user, mailbox="INBOX", uids="1:*", items=["FLAGS"])
    assert not any("\\Seen" in one["flags"] for one in flags["messages"]), flags
    client.call("imap.fetch", account=user, mailbox="INBOX", uids=[1], items=["BODY[]"])
    flags = client.call("imap.fetch", account=user, mailbox="INBOX", uids=[1], items=["FLAGS"])
    assert "\\Seen" in flags["messages"][0]["flags"], flags
    missing = client.call("imap.fetch", account=user, mailbox="INBOX", uids=[2, 99], items=["FLAGS"])
    same([one["uid"] for one in missing["messages"]], [2])
    assert "99" in str(missing["missing"]), missing


def test_fetch_contents(flow):
    """Bodies come as base64, memory file or pipe where the caller wants that"""
    user, client = filled(flow)
    answer = client.call("imap.fetch", account=user, uids=[1], items=["BODY.PEEK[TEXT]"], content="base64")
    assert "base64" in answer["messages"][0]["sections"]["BODY[TEXT]"]
    same(text_of(answer["messages"][0]["sections"]["BODY[TEXT]"]), BODY)
    for form in ("fd", "pipe"):
        answer, taken = client.call_fds("imap.fetch", account=user, uids="1:3", items=["BODY.PEEK[TEXT]"], content=form)
        indexes = [one["sections"]["BODY[TEXT]"]["fd"] for one in answer["messages"]]
        same((sorted(indexes), len(taken)), ([0, 1, 2], 3), form)
        for descriptor in taken:
            same(read_all(descriptor), BODY, form)


def test_new_mail_is_seen(flow):
    """What arrived a moment ago is there for every call, whichever connection has the mailbox selected"""
    user, client = flow.user(), flow.client()
    flow.put(user, flow.letter("bob@example.com", "one"))
    same([one["uid"] for one in client.call("imap.fetch", account=user, uids=[1], items=["FLAGS"])["messages"]], [1])
    flow.put(user, flow.letter("bob@example.com", "two"))
    answer = client.call("imap.fetch", account=user, uids=[1, 2, 9], items=["FLAGS"])
    same(([one["uid"] for one in answer["messages"]], answer["missing"]), ([1, 2], [9]))
    flow.put(user, flow.letter("bob@example.com", "three"))
    same(client.call("imap.search", account=user, query="SUBJECT three")["uids"], [3])
    flow.put(user, flow.letter("bob@example.com", "four"))
    same(client.call("imap.status", account=user)["messages"], 4)
    flow.put(user, flow.letter("bob@example.com", "five"))
    same(len(client.call("imap.fetch", account=user, uids="1:*", items=["FLAGS"])["messages"]), 5)
    flow.put(user, flow.letter("bob@example.com", "six"))
    same([one["uid"] for one in client.call("imap.store", account=user, uids=[6], command="+FLAGS", flags=["\\Flagged"])["messages"]], [6])
    flow.put(user, flow.letter("bob@example.com", "seven"))
    same(client.call("imap.move", account=user, uids=[7], destination="Trash")["uids"], [[7, 1]])


def test_fetch_decoded(flow):
    """Sections of single parts come without their transfer encoding where the caller wants that"""
    user, client = flow.user(), flow.client()
    for size in (100, 300000):
        data = os.urandom(size)
        flow.put(user, flow.letter("bob@example.com", "data", "Grüße\n", attachment=data))
        uid = client.call("imap.status", account=user)["messages"]
        sections = client.call("imap.fetch", account=user, uids=[uid], items=["BODY.PEEK[1]", "BODY.PEEK[2]"], decode=True)["messages"][0]["sections"]
        same((text_of(sections["BODY[1]"]).decode().strip(), len(text_of(sections["BODY[2]"])), text_of(sections["BODY[2]"]) == data), ("Grüße", size, True), sections)
        answer, taken = client.call_fds("imap.fetch", account=user, uids=[uid], items=["BODY.PEEK[2]"], decode=True, content="pipe")
        assert "bodystructure" not in answer["messages"][0]
        same(read_all(taken[0]) == data, True)
        encoded = client.call("imap.fetch", account=user, uids=[uid], items=["BODY.PEEK[2]"])["messages"][0]["sections"]["BODY[2]"]
        assert len(text_of(encoded)) > size


def test_fetch_stream(flow):
    """A streamed fetch gives each message as it comes"""
    user, client = filled(flow, 150)
    items, result = client.streamed("imap.fetch", account=user, mailbox="INBOX", uids="1:*", items=["FLAGS", "BODY.PEEK[]"])
    same([one["uid"] for one in items], list(range(1, 151)))
    same(result["count"], 150)
    assert "messages" not in result
    error = client.fails("limit", "imap.fetch", account=user, mailbox="INBOX", uids="1:*", items=["BODY.PEEK[]"])
    assert "stream" in str(error.error), error
    same(len(client.call("imap.fetch", account=user, mailbox="INBOX", uids="1:*", items=["FLAGS"])["messages"]), 150)


def test_binary(flow):
    """Bytes that are no UTF-8 come as base64, whole"""
    user = flow.user()
    data = b"Subject: binary\r\nFrom: a@example.com\r\n\r\n" + bytes(range(1, 256)) * 40 + b"\r\n"
    flow.put(user, data)
    section = flow.client().call("imap.fetch", account=user, uids=[1])["messages"][0]["sections"]["BODY[]"]
    assert "base64" in section
    got = text_of(section)
    same(len(got), section["size"])
    same(got.replace(b"\r", b"").replace(b"\n", b""), data.replace(b"\r", b"").replace(b"\n", b""))


def test_append(flow):
    """imap.append puts messages with flags and dates into mailboxes"""
    user, client = flow.user(), flow.client()
    first = client.call("imap.append", account=user, mailbox="INBOX", raw="Subject: by text\n\nhello\n", flags=["\\Seen", "$Label"],
                        date="2026-03-02T10:00:00+01:00")
    same(first["uid"], 1)
    data = memfd(b"Subject: by descriptor\r\n\r\n" + b"x" * 100000 + b"\r\n")
    same(client.call("imap.append", fds=[data], account=user, mailbox="INBOX", raw={"fd": 0})["uid"], 2)
    os.close(data)
    same(client.call("imap.append", account=user, mailbox="INBOX", message={"from": "a@example.com", "subject": "built", "text": "x"})["uid"], 3)
    messages = client.call("imap.fetch", account=user, uids="1:*", items=["FLAGS", "INTERNALDATE", "ENVELOPE", "RFC822.SIZE"])["messages"]
    same([one["envelope"]["subject"] for one in messages], ["by text", "by descriptor", "built"])
    assert {"\\Seen", "$Label"} <= set(messages[0]["flags"]), messages[0]
    assert messages[0]["internaldate"].startswith("2026-03-02T"), messages[0]
    same(messages[1]["size"], 100000 + 28)
    error = client.fails("rejected", "imap.append", account=user, mailbox="No Such", raw="Subject: x\n\nx\n")
    assert "TRYCREATE" in str(error.data["reply"]), error.data
    same(client.call("imap.append", account=user, mailbox="INBOX", raw="Subject: y\n\ny\n")["uid"], 4)
    key = client.call("imap.append", account=user, mailbox="INBOX", raw="Subject: z\n\nz\n", idempotency_key="a")
    same(client.call("imap.append", account=user, mailbox="INBOX", raw="Subject: z\n\nz\n", idempotency_key="a"), key)
    same(client.call("imap.status", account=user, mailbox="INBOX")["messages"], 5)


def test_store(flow):
    """imap.store changes flags, and knows which mailbox it means"""
    user, client = filled(flow)
    validity = client.call("imap.search", account=user, mailbox="INBOX", query="ALL")["uidvalidity"]
    answer = client.call("imap.store", account=user, mailbox="INBOX", uids=[1, 2], command="+FLAGS", flags=["\\Flagged"], uidvalidity=validity)
    same((answer["uidvalidity"], [one["uid"] for one in answer["messages"]]), (validity, [1, 2]))
    assert all("\\Flagged" in one["flags"] for one in answer["messages"])
    client.call("imap.store", account=user, mailbox="INBOX", uids="1", command="-FLAGS.SILENT", flags=["\\Flagged"])
    same(client.call("imap.search", account=user, mailbox="INBOX", query="FLAGGED")["uids"], [2])
    fresh = flow.client()
    fresh.fails(INVALID_PARAMS, "imap.store", account=user, mailbox="INBOX", uids=[1], command="FLAGS", flags=[])
    fresh.call("imap.store", account=user, mailbox="INBOX", uids=[1], command="FLAGS", flags=["\\Answered"], uidvalidity="any")
    error = client.fails("uidvalidity", "imap.store", account=user, mailbox="INBOX", uids=[1], command="FLAGS", flags=[], uidvalidity=validity + 1)
    same((error.data["expected"], error.data["found"], error.data["outcome"]), (validity + 1, validity, "none"))
    same(client.call("imap.search", account=user, mailbox="INBOX", query="ANSWERED")["uids"], [1])


def test_copy(flow):
    """imap.copy tells the copies' UIDs"""
    user, client = filled(flow)
    client.call("imap.status", account=user, mailbox="INBOX")
    answer = client.call("imap.copy", account=user, mailbox="INBOX", uids=[1, 3], destination="Sent", uidvalidity="any")
    same(answer["uids"], [[1, 1], [3, 2]])
    same(client.call("imap.status", account=user, mailbox="Sent", items=["MESSAGES"])["messages"], 2)
    error = client.fails("rejected", "imap.copy", account=user, mailbox="INBOX", uids=[1], destination="No Such", uidvalidity="any")
    assert "TRYCREATE" in str(error.data["reply"]), error.data


def test_expunge(flow):
    """imap.expunge removes only the messages that it was told"""
    user, client = filled(flow, 4)
    client.call("imap.store", account=user, mailbox="INBOX", uids="1:3", command="+FLAGS", flags=["\\Deleted"], uidvalidity="any")
    client.fails(INVALID_PARAMS, "imap.expunge", account=user, mailbox="INBOX")
    same(client.call("imap.expunge", account=user, mailbox="INBOX", uids=[2], uidvalidity="any")["expunged"], [2])
    same(client.call("imap.search", account=user, mailbox="INBOX", query="ALL")["uids"], [1, 3, 4])
    client.call("imap.expunge", account=user, mailbox="INBOX", all=True, uidvalidity="any")
    same(client.call("imap.search", account=user, mailbox="INBOX", query="ALL")["uids"], [4])


def test_mailbox_names(flow):
    """Mailbox names are UTF-8 here, whatever the server speaks"""
    user, client = flow.user(), flow.client()
    names = ["Entwürfe & mehr", "日本語", "with \"quotes\" and \\", "~tilde", "a{3}", "x%y*z"]
    made = []
    with flow.mailbox(user) as box:
        for name in names:
            if box.create('"' + utf7(name).replace("\\", "\\\\").replace('"', '\\"') + '"')[0] == "OK":
                made.append(name)
    assert len(made) >= 4, made
    listed = {one["name"] for one in client.call("imap.list", account=user)["mailboxes"]}
    assert set(made) <= listed, set(made) - listed
    for name in made:
        same(client.call("imap.append", account=user, mailbox=name, raw="Subject: x\n\nx\n")["uid"], 1, name)
        same(client.call("imap.status", account=user, mailbox=name)["messages"], 1, name)


def utf7(name):
    """RFC 3501, 5.1.3."""
    import base64
    out, held = "", ""
    for letter in name + "\0":
        if letter == "\0" or " " <= letter <= "~":
            if held:
                out += "&" + base64.b64encode(held.encode("utf-16-be")).decode().rstrip("=").replace("/", ",") + "-"
                held = ""
            out += "&-" if letter == "&" else letter
        else:
            held += letter
    return out[:-1]


def test_read_only(flow):
    """Who may only read changes nothing"""
    client = flow.client()
    client.call("imap.list", account="reader")
    client.fails("denied", "imap.append", account="reader", mailbox="INBOX", raw="Subject: x\n\nx\n")
    client.fails("denied", "imap.store", account="reader", mailbox="INBOX", uids=[1], command="FLAGS", flags=[], uidvalidity="any")
    client.fails("denied", "imap.fetch", account="reader", mailbox="INBOX", uids=[1], items=["BODY[]"])
    client.fails("denied", "imap.expunge", account="reader", mailbox="INBOX", all=True, uidvalidity="any")
    client.fails("denied", "smtp.send", account="reader", message={"from": "ann@example.com", "to": "bob@example.com", "text": "x"})
    client.call("imap.fetch", account="reader", mailbox="INBOX", uids="1:*", items=["FLAGS"])


def test_many_at_once(flow):
    """Two hundred fetches at once are answered, each with its own message"""
    user, client = filled(flow, 40)
    numbers = [client.begin("imap.fetch", account=user, mailbox="INBOX", uids=[number % 40 + 1], items=["ENVELOPE"]) for number in range(200)]
    for index, number in enumerate(numbers):
        same([one["envelope"]["subject"] for one in client.finish(number)[0]["messages"]], [f"number {index % 40 + 1}"])


def test_killed_connection(flow):
    """A server's connection killed while idle is invisible to the next call"""
    user, client = filled(flow)
    same(client.call("imap.status", account=user, mailbox="INBOX")["messages"], 3)
    assert flow.mail.end_processes("imap") > 0
    time.sleep(0.2)
    same(client.call("imap.status", account=user, mailbox="INBOX")["messages"], 3)
    flow.mail.end_processes("imap")
    same(client.call("imap.append", account=user, mailbox="INBOX", raw="Subject: x\n\nx\n")["uid"], 4)
    same(len(flow.subjects(user)), 4)
