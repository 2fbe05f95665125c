# SPDX-License-Identifier: MIT
"""One list of IMAP tests over Dovecot, Cyrus and Courier.

A further extension is a case with what it needs and, in `otherwise`, what happens on a server without it (peers.py)."""

import os
import time

from harness import INVALID_PARAMS, memfd, read_all, same, text_of
from peers import Cases

cases = Cases("imap", __name__)
BODY = "body [] {3} \\ \" of the message\n.\n"
WHOLE = ["FLAGS", "ENVELOPE", "BODYSTRUCTURE", "INTERNALDATE", "RFC822.SIZE", "BODY.PEEK[]"]


def filled(peer, count=3):
    peer.put(*[peer.letter(f"number {number}", BODY) for number in range(1, count + 1)])
    return list(range(1, count + 1))


def boxed(peer, *path):
    """A mailbox's name where the server lets users have mailboxes."""
    if not hasattr(peer, "space"):
        peer.space = peer.call("imap.namespace")["personal"][0] if peer.offers("NAMESPACE") else {"prefix": "", "delimiter": "/"}
    return peer.space["prefix"] + peer.space["delimiter"].join(path)


def uids(peer, query="ALL", mailbox="INBOX", **more):
    return peer.call("imap.search", mailbox=mailbox, query=query, **more)["uids"]


def names(answer):
    return {box["name"] for box in answer["mailboxes"]}


def selected(peer, mailbox="INBOX", **params):
    """A session in that mailbox."""
    session = peer.open(**params)["session"]
    peer.call("imap.examine" if params.get("readonly") else "imap.select", session=session, mailbox=mailbox)
    return session


# -- mailboxes


@cases.add
def mailboxes(peer):
    """Mailboxes are made, listed, renamed and removed, with names of any language"""
    one, below, other = boxed(peer, "Größe & mehr"), boxed(peer, "Größe & mehr", "unten"), boxed(peer, "日本")
    assert set(peer.call("imap.create", mailbox=one)) <= {"mailboxid"}
    peer.call("imap.create", mailbox=below)
    listed = {box["name"]: box for box in peer.call("imap.list")["mailboxes"]}
    assert {"INBOX", one, below} <= set(listed), listed
    same(listed[one]["delimiter"], peer.space["delimiter"])
    error = peer.fails("rejected", "imap.create", mailbox=one)
    same((error.data["stage"], error.data["outcome"]), ("create", "none"))
    peer.call("imap.append", mailbox=one, raw="Subject: x\n\nx\n")
    peer.call("imap.rename", mailbox=one, new_name=other)
    assert other in names(peer.call("imap.list")) and one not in names(peer.call("imap.list"))
    same(peer.call("imap.status", mailbox=other)["messages"], 1)
    peer.call("imap.delete", mailbox=boxed(peer, "日本", "unten"))
    peer.call("imap.delete", mailbox=other)
    assert not {other, below} & names(peer.call("imap.list"))
    peer.fails("rejected", "imap.delete", mailbox=other)
    peer.fails("rejected", "imap.select", session=peer.open()["session"], mailbox=boxed(peer, "No Such"))


@cases.add
def open_mailboxes(peer):
    """A mailbox that a connection of ours has open is renamed, removed and filled all the same"""
    one, other = boxed(peer, "Offen"), boxed(peer, "Anders")
    account = peer.account(f"{peer.name}-one", pool_size=1)
    peer.call("imap.create", account=account, mailbox=one)
    for write in (False, True):
        for _ in range(2):
            peer.call("imap.append", account=account, mailbox=one, raw="Subject: x\n\nx\n")
            found = peer.call("imap.search", account=account, mailbox=one, query="ALL")["uids"]
        if write:
            peer.call("imap.store", account=account, mailbox=one, uids=[1], command="+FLAGS", flags=["\\Deleted"], uidvalidity="any")
        same(len(found), 4 if write else 2)
    peer.call("imap.rename", account=account, mailbox=one, new_name=other)
    same(len(peer.call("imap.search", account=account, mailbox=other, query="ALL")["uids"]), 4, "nothing was expunged")
    peer.call("imap.delete", account=account, mailbox=other)
    assert not {one, other} & names(peer.call("imap.list", account=account))      # Dovecot has ended the connection by now


@cases.add
def hard_names(peer):
    """Names with quotes, wildcards and the like are that mailbox and no other"""
    made = []
    for name in ("with \"quotes\"", "back\\slash", "~tilde", "a{3}", "x%y*z", "(paren)", "ünï & [1]", "&-", "🙂"):
        error = None
        try:
            peer.call("imap.create", mailbox=boxed(peer, name))
        except Exception as refused:        # servers differ in what they allow
            error = refused
            same(getattr(refused, "kind", refused), "rejected", name)
        if not error:
            made.append(boxed(peer, name))
    assert len(made) >= 5, made
    assert set(made) <= names(peer.call("imap.list")), (made, names(peer.call("imap.list")))
    for name in made:
        peer.call("imap.append", mailbox=name, raw="Subject: x\n\nx\n")
        same(peer.call("imap.status", mailbox=name)["messages"], 1, name)


@cases.add
def subscriptions(peer):
    """Subscribed mailboxes are told apart"""
    name = boxed(peer, "Liste")
    peer.call("imap.create", mailbox=name)
    peer.call("imap.unsubscribe", mailbox=name)
    assert name not in names(peer.call("imap.get_subscribed_dirs"))
    peer.call("imap.subscribe", mailbox=name)
    assert name in names(peer.call("imap.lsub", pattern="*")) and name in names(peer.call("imap.get_subscribed_dirs"))
    peer.call("imap.unsubscribe", mailbox=name)
    assert name not in names(peer.call("imap.get_subscribed_dirs"))


@cases.add(needs="NAMESPACE")
def namespaces(peer):
    """The namespaces, and what stands below a path"""
    spaces = peer.call("imap.namespace")
    same(set(spaces), {"personal", "other", "shared"})
    same(spaces["personal"][0], {"prefix": "INBOX.", "delimiter": "."} if peer.server == "courier" else {"prefix": "", "delimiter": "/"})
    peer.call("imap.create", mailbox=boxed(peer, "Arbeit"))
    peer.call("imap.create", mailbox=boxed(peer, "Arbeit", "Plan"))
    same(names(peer.call("imap.get_dirs", path=boxed(peer, "Arbeit"))), {boxed(peer, "Arbeit", "Plan")})


@cases.add
def status(peer):
    """Counts without opening the mailbox"""
    filled(peer)
    told = peer.call("imap.status", items=["MESSAGES", "UNSEEN", "UIDNEXT", "UIDVALIDITY", "RECENT"])
    same((told["mailbox"], told["messages"], told["unseen"], told["uidnext"]), ("INBOX", 3, 3, 4))
    assert told["uidvalidity"] > 0
    error = peer.fails("rejected", "imap.status", mailbox=boxed(peer, "No Such"))
    assert error.data["reply"] and error.data["outcome"] == "none", error.data


@cases.add
def selecting(peer):
    """What select and examine tell"""
    filled(peer)
    session = peer.open()["session"]
    told = peer.call("imap.select", session=session)
    same((told["mailbox"], told["exists"], told["readonly"]), ("INBOX", 3, False))
    assert {"\\Seen", "\\Deleted"} <= set(told["flags"]) and told["uidvalidity"] > 0, told
    same(told.get("uidnext"), None if peer.server == "courier" else 4)
    told = peer.call("imap.examine", session=session)
    same((told["exists"], told["readonly"]), (3, True))
    peer.fails("readonly", "imap.store", session=session, uids=[1], command="+FLAGS", flags=["\\Seen"])
    peer.call("imap.noop", session=session)
    peer.call("imap.check", session=session)
    peer.call("imap.logout", session=session)


def closes_alone(peer):
    session = selected(peer)
    peer.lacks("UNSELECT", "imap.unselect", session=session)
    same(peer.on_wire(rb"^\S+ UNSELECT"), [])


@cases.add(needs="UNSELECT", otherwise=closes_alone)
def unselect(peer):
    """unselect leaves what is marked as deleted, close removes it"""
    filled(peer)
    for leave, left in (("imap.unselect", 3), ("imap.close", 2)):
        session = selected(peer)
        peer.call("imap.store", session=session, uids=[1], command="+FLAGS", flags=["\\Deleted"])
        peer.call(leave, session=session)
        same(peer.call("imap.status")["messages"], left, leave)
        peer.call("imap.logout", session=session)


@cases.add
def closing(peer):
    """close removes what is marked as deleted"""
    filled(peer)
    session = selected(peer)
    peer.call("imap.store", session=session, uids=[2], command="+FLAGS", flags=["\\Deleted"])
    peer.call("imap.close", session=session)
    peer.fails(INVALID_PARAMS, "imap.search", session=session, query="ALL")
    peer.call("imap.logout", session=session)
    same(uids(peer), [1, 3])


# -- messages


@cases.add
def searching(peer):
    """Searches find, in any language, by flag, date and text"""
    filled(peer)
    peer.put("Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nFrom: zoe@example.com\r\nMIME-Version: 1.0\r\n"
             "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nñandú\r\n".encode())
    same(uids(peer, "SUBJECT \"number 2\""), [2])
    same(uids(peer, "SUBJECT Grüße"), [4])
    same(uids(peer, ["BODY", "ñandú"]), [4])
    same(uids(peer, "ALL"), [1, 2, 3, 4])
    same(uids(peer, "FROM nobody-at-all"), [])
    same(uids(peer, "OR FROM zoe UID 1"), [1, 4])
    same(uids(peer, "NOT SUBJECT number"), [4])
    peer.call("imap.store", uids=[3], command="+FLAGS", flags=["\\Flagged"], uidvalidity="any")
    same((uids(peer, "FLAGGED"), uids(peer, "UNFLAGGED SEEN")), ([3], []))
    same((uids(peer, "SENTSINCE 1-Jan-2026 SENTBEFORE 1-Jan-2027 SUBJECT number"), uids(peer, "LARGER 1000000")), ([1, 2, 3], []))
    session = selected(peer)
    same(peer.call("imap.search", session=session, query="SUBJECT \"number 3\"", numbers=True)["numbers"], [3])
    error = peer.fails("rejected", "imap.search", query="XYZZY 5")
    same((error.data["stage"], error.data["outcome"]), ("search", "none"))


@cases.add
def fetching(peer):
    """Every item of a message, and what is missing; nothing is marked as seen by it"""
    filled(peer)
    answer = peer.call("imap.fetch", uids="1:*", items=WHOLE + ["BODY.PEEK[TEXT]<5.4>", "BODY.PEEK[HEADER.FIELDS (SUBJECT)]"])
    same((answer["mailbox"], [one["uid"] for one in answer["messages"]]), ("INBOX", [1, 2, 3]))
    one = answer["messages"][1]
    same((one["envelope"]["subject"], one["envelope"]["from"]), ("number 2", [{"name": None, "address": "ann@example.com"}]))
    same(one["envelope"]["date"], "2026-03-02T10:00:00+01:00")
    same((one["bodystructure"]["type"].lower(), one["bodystructure"]["subtype"].lower()), ("text", "plain"))
    raw = text_of(one["sections"]["BODY[]"])
    body = BODY.replace("\n", "\r\n").encode()
    assert raw.endswith(b"\r\n\r\n" + body) and raw.startswith(b"From: ann@example.com\r\n"), raw
    same((one["size"], one["sections"]["BODY[]"]["size"]), (len(raw), len(raw)))
    same(text_of(one["sections"]["BODY[TEXT]<5>"]), body[5:9])
    subject, = [value for name, value in one["sections"].items() if name.startswith("BODY[HEADER.FIELDS")]    # Courier quotes the name
    same(text_of(subject), b"Subject: number 2\r\n\r\n")
    same(one.get("defects", []), [])
    answer = peer.call("imap.fetch", uids=[1, 2, 9], items=["FLAGS"])
    same(([one["uid"] for one in answer["messages"]], answer["missing"]), ([1, 2], [9]))
    assert not any("\\Seen" in one["flags"] for one in answer["messages"]), answer
    peer.call("imap.fetch", uids=[1], items=["BODY[]"])
    assert "\\Seen" in peer.call("imap.fetch", uids=[1], items=["FLAGS"])["messages"][0]["flags"]
    for macro in ("ALL", "FAST", "FULL"):
        same(len(peer.call("imap.fetch", uids="1:*", items=macro)["messages"]), 3, macro)


@cases.add
def fetching_parts(peer):
    """Parts of a message with an attachment, encoded and decoded, by text, base64, memory file and pipe"""
    data = bytes(range(256)) * 100
    peer.put(peer.letter("parts", "Grüße\n", attachment=data))
    one = peer.call("imap.fetch", uids=[1], items=["BODYSTRUCTURE", "BODY.PEEK[1]", "BODY.PEEK[2]", "BODY.PEEK[2.MIME]"], decode=True)["messages"][0]
    same([(part["part"], part["type"].lower()) for part in one["bodystructure"]["children"]], [("1", "text"), ("2", "application")])
    same(one["bodystructure"]["children"][1]["disposition_params"], {"filename": "data.bin"})
    same((text_of(one["sections"]["BODY[1]"]).decode().strip(), text_of(one["sections"]["BODY[2]"])), ("Grüße", data))
    for form in ("fd", "pipe"):
        answer, taken = peer.client.call_fds("imap.fetch", account=peer.name, uids=[1], items=["BODY.PEEK[2]"], decode=True, content=form)
        same(read_all(taken[0]), data, form)


@cases.add
def fetching_streams(peer):
    """A hundred and twenty messages one by one as they come"""
    filled(peer, 120)
    items, result = peer.client.streamed("imap.fetch", account=peer.name, uids="1:*", items=["FLAGS", "BODY.PEEK[]"])
    same(([one["uid"] for one in items], result["count"]), (list(range(1, 121)), 120))
    same(len(peer.call("imap.fetch", uids="1:*", items=["ENVELOPE"])["messages"]), 120)
    peer.call("imap.store", uids="1:119:2".split(":")[0] + ",3,5,7:50,119", command="+FLAGS.SILENT", flags=["\\Deleted"], uidvalidity="any")
    peer.call("imap.expunge", uids="1:50", uidvalidity="any")
    same(uids(peer)[0:3] + uids(peer)[-2:], [2, 4, 6, 119, 120])


@cases.add
def odd_messages(peer):
    """Messages that are not as they should be are told whole, and as every other server tells them"""
    odd = [
        b"\r\nno header at all\r\n",
        b"Subject: no body\r\n\r\n",
        b"From: \"a, b\" <a@example.com>, undisclosed:;, c@[127.0.0.1]\r\nSubject: group\r\n\r\nx\r\n",
        b"From: =?utf-8?b?w7zDtg==?= <u@example.com>\r\nSubject: =?utf-8?q?a?= =?utf-8?q?b_=22?=\r\n\r\nx\r\n",
        "From: ü@example.com\r\nSubject: größer \"als\" (gedacht) \\ nie\r\n\r\nx\r\n".encode(),
        b"From: latin@example.com\r\nSubject: gr\xfc\xdfe\r\n\r\n\xfc\r\n",
        b"Content-Type: multipart/mixed; boundary=\"b\"\r\nSubject: empty multipart\r\n\r\n--b--\r\n",
        b"Content-Type: multipart/mixed\r\nSubject: no boundary\r\n\r\nx\r\n",
        b"Content-Type: message/rfc822\r\nSubject: outer\r\n\r\nSubject: inner\r\nContent-Type: text/html\r\n\r\n<p>\r\n",
        b"Content-Type: text/plain; charset=\"x\"; name*0=\"a\"; name*1=\"b\"\r\nContent-Disposition: attachment; filename*=utf-8''%c3%bc\r\n"
        b"Content-Language: de, en\r\nContent-MD5: abc\r\nContent-ID: <i@x>\r\nContent-Description: what {3} it is\r\n\r\nx\r\n",
        b"Date: yesterday\r\nSubject:\r\nTo: nobody\r\nCc: <>\r\nBcc: @\r\n\r\nx\r\n",
        b"Subject: " + b"long " * 400 + b"\r\n\r\nx\r\n",
        b"Subject: lines\r\nX-Long: " + b"x" * 3000 + b"\r\n\r\n" + b"y" * 5000 + b"\r\n",
        b"Content-Type: multipart/alternative; boundary=one\r\n\r\n--one\r\nContent-Type: multipart/related; boundary=two\r\n\r\n--two\r\n\r\nplain\r\n"
        b"--two\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: BASE64\r\n\r\nAAEC\r\n--two--\r\n--one\r\n\r\nlast\r\n--one--\r\n",
    ]
    taken = []
    for letter in odd:
        try:
            peer.put(letter)
            taken.append(letter)
        except AssertionError as refused:       # Cyrus takes no message without a header, and none with eight bits there
            assert peer.server == "cyrus", refused
    assert len(taken) >= 10, len(taken)
    messages = peer.call("imap.fetch", uids="1:*", items=WHOLE)["messages"]
    same(len(messages), len(taken))
    for one, letter in zip(messages, taken):
        raw = text_of(one["sections"]["BODY[]"])
        assert one["envelope"] and one["bodystructure"], (letter, one)
        parsed = peer.client.call("mail.parse", raw={"base64": __import__("base64").b64encode(raw).decode()})
        if raw == letter and b"\xfc" not in letter and b"long long" not in letter:
            same((one["envelope"]["subject"] or "").strip(), (parsed["subject"] or "").strip(), letter)
        same(one["size"], len(raw), letter)


@cases.add
def appending(peer):
    """Messages with flags, keywords and dates, small and big, by text and descriptor"""
    first = peer.call("imap.append", raw="Subject: by text\n\nhello\n", flags=["\\Seen", "$Label"], date="2026-03-02T10:00:00+01:00")
    same(first["uid"], 1)
    data = memfd(b"Subject: by descriptor\r\n\r\n" + b"x" * 70 + b"\r\nline" * 400000 + b"\r\n")
    same(peer.call("imap.append", fds=[data], raw={"fd": 0})["uid"], 2)
    os.close(data)
    same(peer.call("imap.append", message={"from": "a@example.com", "subject": "built", "text": "x"})["uid"], 3)
    messages = peer.call("imap.fetch", uids="1:*", items=["FLAGS", "INTERNALDATE", "ENVELOPE", "RFC822.SIZE"])["messages"]
    same([one["envelope"]["subject"] for one in messages], ["by text", "by descriptor", "built"])
    assert {"\\Seen", "$Label"} <= set(messages[0]["flags"]), messages[0]
    assert messages[0]["internaldate"].startswith("2026-03-02T"), messages[0]
    same(messages[1]["size"], 26 + 70 + 6 * 400000 + 2)
    error = peer.fails("rejected", "imap.append", mailbox=boxed(peer, "No Such"), raw="Subject: x\n\nx\n")
    assert "TRYCREATE" in str(error.data["reply"]), error.data
    name = boxed(peer, "Anders")
    peer.call("imap.create", mailbox=name)
    key = peer.call("imap.append", mailbox=name, raw="Subject: z\n\nz\n", idempotency_key="a")
    same(peer.call("imap.append", mailbox=name, raw="Subject: z\n\nz\n", idempotency_key="a"), key)
    same((peer.call("imap.status")["messages"], peer.call("imap.status", mailbox=name)["messages"]), (3, 1))


@cases.add
def storing(peer):
    """Flags and keywords are changed; the wrong UIDVALIDITY keeps anything from happening"""
    filled(peer)
    validity = peer.call("imap.search", query="ALL")["uidvalidity"]
    answer = peer.call("imap.store", uids=[1, 2], command="+FLAGS", flags=["\\Flagged", "$Work"], uidvalidity=validity)
    same((answer["uidvalidity"], [one["uid"] for one in answer["messages"]]), (validity, [1, 2]))
    assert all({"\\Flagged", "$Work"} <= set(one["flags"]) for one in answer["messages"]), answer
    peer.call("imap.store", uids="1", command="-FLAGS.SILENT", flags=["\\Flagged"])
    same((uids(peer, "FLAGGED"), uids(peer, "KEYWORD $Work")), ([2], [1, 2]))
    error = peer.fails("uidvalidity", "imap.store", uids=[1], command="FLAGS", flags=[], uidvalidity=validity + 1)
    same((error.data["expected"], error.data["found"], error.data["outcome"]), (validity + 1, validity, "none"))
    peer.call("imap.store", uids=[1], command="FLAGS", flags=["\\Answered"])
    same((uids(peer, "ANSWERED"), uids(peer, "KEYWORD $Work")), ([1], [2]))


@cases.add(needs="UIDPLUS")
def copying(peer):
    """The copies' UIDs are told"""
    filled(peer)
    name = boxed(peer, "Kopien")
    peer.call("imap.create", mailbox=name)
    same(peer.call("imap.copy", uids=[1, 3], destination=name, uidvalidity="any")["uids"], [[1, 1], [3, 2]])
    same((peer.call("imap.status", mailbox=name)["messages"], peer.call("imap.status")["messages"]), (2, 3))
    error = peer.fails("rejected", "imap.copy", uids=[1], destination=boxed(peer, "No Such"), uidvalidity="any")
    assert "TRYCREATE" in str(error.data["reply"]), error.data


def moved(peer):
    filled(peer)
    name = boxed(peer, "Ablage")
    peer.call("imap.create", mailbox=name)
    peer.call("imap.store", uids=[1], command="+FLAGS", flags=["\\Deleted"], uidvalidity="any")
    same(peer.call("imap.move", uids=[2, 3], destination=name, uidvalidity="any")["uids"], [[2, 1], [3, 2]])
    same((uids(peer), uids(peer, mailbox=name)), ([1], [1, 2]), "others that are marked as deleted stay")


def moved_in_steps(peer):
    """Copied, marked, and of those alone expunged"""
    moved(peer)
    assert peer.on_wire(rb"^\S+ UID COPY 2:3 ") and peer.on_wire(rb"^\S+ UID EXPUNGE 2:3\r"), peer.wire()


@cases.add(needs="MOVE", otherwise=moved_in_steps)
def moving(peer):
    """Messages are moved, and only those that were named"""
    moved(peer)
    assert peer.on_wire(rb"^\S+ UID MOVE 2:3 "), peer.wire()


@cases.add(needs="UIDPLUS")
def expunging(peer):
    """Only what was named is removed, then all that is marked"""
    filled(peer, 4)
    peer.call("imap.store", uids="1:3", command="+FLAGS", flags=["\\Deleted"], uidvalidity="any")
    same(peer.call("imap.expunge", uids=[2], uidvalidity="any")["expunged"], [2])
    same(uids(peer), [1, 3, 4])
    peer.call("imap.expunge", all=True, uidvalidity="any")
    same(uids(peer), [4])


@cases.add
def new_mail(peer):
    """What arrived a moment ago is there for every call"""
    peer.put(peer.letter("one"))
    same(len(peer.call("imap.fetch", uids=[1], items=["FLAGS"])["messages"]), 1)
    peer.put(peer.letter("two"))
    same(peer.call("imap.fetch", uids=[1, 2, 9], items=["FLAGS"])["missing"], [9])
    peer.put(peer.letter("three"))
    same(uids(peer, "SUBJECT three"), [3])
    peer.put(peer.letter("four"))
    same(peer.call("imap.status")["messages"], 4)


# -- what the server has beside


@cases.add
def capabilities(peer):
    """The server's list, and the account's test"""
    told = peer.call("imap.capability")["capabilities"]
    assert {"IMAP4rev1", "IDLE", "UIDPLUS"} <= set(told), told
    assert "True" in str(peer.call("account.test"))


@cases.add(needs="ID", otherwise=lambda peer: peer.lacks("ID", "imap.id"))
def identification(peer):
    """The server's name"""
    fields = peer.call("imap.id", fields={"name": "test", "version": None})["fields"]
    assert peer.title.lower() in fields["name"].lower(), fields


@cases.add(needs=("ENABLE", "CONDSTORE"), otherwise=lambda peer: enables_nothing(peer))
def enabling(peer):
    """A session switches on what the server has"""
    session = peer.open()["session"]
    same(peer.call("imap.enable", session=session, capabilities=["CONDSTORE"])["enabled"], ["CONDSTORE"])
    peer.call("imap.logout", session=session)


def enables_nothing(peer):
    session = peer.open()["session"]
    same(peer.call("imap.enable", session=session, capabilities=["CONDSTORE"])["enabled"], [])
    peer.call("imap.logout", session=session)


@cases.add(needs="CONDSTORE", otherwise=lambda peer: peer.fails("missing_extension", "imap.fetch", uids="1:*", items=["FLAGS"], changedsince=1))
def changes(peer):
    """Only what has changed since"""
    filled(peer)
    before = max(int(one["modseq"]) for one in peer.call("imap.fetch", uids="1:*", items=["FLAGS", "MODSEQ"])["messages"])
    peer.call("imap.store", uids=[2], command="+FLAGS", flags=["\\Flagged"], uidvalidity="any")
    same([one["uid"] for one in peer.call("imap.fetch", uids="1:*", items=["FLAGS"], changedsince=before)["messages"]], [2])


@cases.add(needs="QUOTA", otherwise=lambda peer: peer.lacks("QUOTA", "imap.getquotaroot"))
def quota(peer):
    """Quota roots, usage and limits"""
    filled(peer)
    answer = peer.call("imap.getquotaroot")
    if peer.server == "courier":        # nothing is limited here
        return same((answer["roots"], [one["resources"] for one in answer["quotas"]] in ([], [{}])), (["ROOT"], True))
    same([one["root"] for one in answer["quotas"]], answer["roots"])
    resources = answer["quotas"][0]["resources"]
    same((resources["MESSAGE"]["usage"], resources["MESSAGE"]["limit"]), (3, 1000000))
    if peer.server == "cyrus":          # it is for administrators there
        peer.fails("rejected", "imap.getquota", root=answer["roots"][0])
    else:
        same(peer.call("imap.getquota", root=answer["roots"][0])["quotas"], answer["quotas"])
    peer.fails("rejected", "imap.getquota", root="no such root")
    peer.fails("rejected", "imap.setquota", root=answer["roots"][0], limits={"STORAGE": 5})


@cases.add(needs="ACL", otherwise=lambda peer: peer.lacks("ACL", "imap.getacl"))
def access_rights(peer):
    """Access rights are told, granted and taken away"""
    name = boxed(peer, "Geteilt")
    peer.call("imap.create", mailbox=name)
    assert set("lrsia") <= set(peer.call("imap.myrights", mailbox=name)["rights"])
    carol = "carol"
    peer.call("imap.setacl", mailbox=name, identifier=carol, rights="lr")
    same("".join(sorted(peer.call("imap.getacl", mailbox=name)["acl"][carol])), "lr")
    rights = peer.call("imap.listrights", mailbox=name, identifier=carol)
    assert isinstance(rights["required"], str) and "l" in "".join(rights["optional"]) + rights["required"], rights
    peer.call("imap.deleteacl", mailbox=name, identifier=carol)
    assert carol not in peer.call("imap.getacl", mailbox=name)["acl"]


@cases.add(needs="METADATA", otherwise=lambda peer: peer.lacks("METADATA", "imap.getmetadata", mailbox="", entries=["/private/x"]))
def annotations(peer):
    """Annotations of a mailbox are set, told and removed"""
    entry = "/private/comment"
    same(peer.call("imap.setmetadata", mailbox="INBOX", entries={entry: "schön \"so\""}), {})
    same(peer.call("imap.getmetadata", mailbox="INBOX", entries=[entry])["entries"][entry], "schön \"so\"")
    peer.call("imap.setmetadata", mailbox="INBOX", entries={entry: None})
    same(peer.call("imap.getmetadata", mailbox="INBOX", entries=[entry])["entries"].get(entry), None)


@cases.add(needs="IDLE")
def idling(peer):
    """A session in IDLE is told of new mail"""
    peer.put(peer.letter("one"))
    session = selected(peer)
    number = peer.begin("imap.idle", session=session, timeout=15000)
    peer.flow.wait_for(lambda: peer.on_wire(rb"^\S+ IDLE\r"), what="IDLE")
    time.sleep(0.3)
    peer.put(peer.letter("two"))
    try:
        peer.flow.wait_for(lambda: peer.on_wire(rb"^\* 2 EXISTS", "S"), what="EXISTS in IDLE")
    finally:
        peer.client.call("rpc.cancel", id=number)
    try:
        peer.client.finish(number)
    except Exception as error:
        same(getattr(error, "kind", error), "cancelled")
    peer.flow.wait_for(lambda: peer.on_wire(rb"^DONE\r"), what="DONE")
    same(uids(peer), [1, 2])


@cases.add
def events(peer):
    """A subscriber hears of new mail, by IDLE or NOTIFY where there is such"""
    peer.put(peer.letter("old"))
    answer = peer.call("event.subscribe", mailbox="INBOX")
    assert answer["mode"] in ("idle", "notify"), answer
    time.sleep(0.5)
    peer.put(peer.letter("new"))

    def told():
        peer.client.call("gateway.ping")
        return [note["params"] for note in peer.client.notes if note.get("method") == "event" and note["params"]["kind"] == "new"]
    news = peer.flow.wait_for(told, what="the event")
    same((news[0]["mailbox"], [one["uid"] for one in news[0]["messages"]]), ("INBOX", [2]))
    peer.client.call("event.unsubscribe", subscription=answer["subscription"])


# -- logging in, connections


@cases.add
def mechanisms(peer):
    """Every mechanism that the server offers logs in, a wrong password is refused once"""
    for name in peer.mechanisms:
        token = {"password": None, "token": peer.mail.token(peer.user)} if name in ("XOAUTH2", "OAUTHBEARER") else {}
        account = peer.account(f"{peer.name}-{name.lower()}", sections={"auth": {"method": "sasl-login" if name == "LOGIN" else name, **token}})
        assert "INBOX" in names(peer.call("imap.list", account=account)), name
        assert peer.on_wire(rf"^\S+ AUTHENTICATE {name}\b".encode()), name
    account = peer.account(f"{peer.name}-command", sections={"auth": {"method": "login"}})
    assert "INBOX" in names(peer.call("imap.list", account=account))
    assert peer.on_wire(rb"^\S+ LOGIN "), "the LOGIN command"
    wrong = peer.account(f"{peer.name}-wrong", sections={"auth": {"password": "not-this", "method": "PLAIN"}})
    peer.fails("auth", "imap.list", account=wrong)
    begun = peer.connections()
    peer.fails("auth", "imap.list", account=wrong)
    same(peer.connections(), begun, "a refused password was tried again")


@cases.add(only=["cyrus"])
def bound_login(peer):
    """A login bound to its TLS where that can be, and without where Cyrus cannot: past the relay, which is what it is against"""
    for version, method in (("tls12_", "SCRAM-SHA-256-PLUS"), ("tls12_", "SCRAM-SHA-1-PLUS"), ("tls12_", "auto"), ("", "auto")):
        port = peer.mail.ports[f"cyrus_{version}imaps"]
        account = peer.account(f"{peer.name}-{version}{method.lower()}", sections={"auth": {"method": method}}, disable="X", port=port)
        peer.call("imap.list", account=account)


@cases.add
def starttls(peer):
    """STARTTLS before anything is said that matters"""
    account = peer.account(f"{peer.name}-starttls", starttls=True)
    assert "INBOX" in names(peer.call("imap.list", account=account))
    said = peer.records(peer.clear)[0].said()
    assert 0 < said.index(b" STARTTLS\r\n") < min(said.find(word) for word in (b" AUTHENTICATE ", b" LOGIN ") if word in said), said


@cases.add
def login_by_steps(peer):
    """A session that logs in by itself"""
    session = peer.open(login=False)["session"]
    peer.call("imap.login", session=session, username=peer.user, password=peer.mail.users[peer.user])
    assert "INBOX" in names(peer.call("imap.list", session=session))
    peer.call("imap.logout", session=session)
    session = peer.open(login=False)["session"]
    peer.call("imap.login_cram_md5", session=session, username=peer.user, password=peer.mail.users[peer.user])
    peer.call("imap.select", session=session)
    peer.call("imap.logout", session=session)


@cases.add
def any_command(peer):
    """exec, uid and xatom send what the caller says"""
    filled(peer)
    session = selected(peer)
    same(peer.call("imap.exec", session=session, command="NOOP")["status"], "OK")
    answer = peer.call("imap.uid", session=session, command="FETCH", arguments="2 (FLAGS)")
    same((answer["status"], len(answer["untagged"])), ("OK", 1))
    assert b"UID 2" in text_of(answer["untagged"][0]), answer
    peer.call("imap.logout", session=session)


@cases.add
def at_once(peer):
    """A hundred fetches at once are answered, each with its own message"""
    filled(peer, 20)
    numbers = [peer.begin("imap.fetch", uids=[number % 20 + 1], items=["ENVELOPE"]) for number in range(100)]
    for index, number in enumerate(numbers):
        same([one["envelope"]["subject"] for one in peer.client.finish(number)[0]["messages"]], [f"number {index % 20 + 1}"])
    assert peer.connections() <= 5, peer.connections()


@cases.add
def killed_while_idle(peer):
    """A connection that the server ended while it was idle is not noticed by the next call"""
    filled(peer)
    for reset in (False, True):
        same(peer.call("imap.status")["messages"], 3)
        same(len(uids(peer)), 3)
        assert peer.drop(reset) >= 1
        time.sleep(0.1)
    same(peer.call("imap.append", raw="Subject: x\n\nx\n")["uid"], 4)
    peer.drop()
    time.sleep(0.1)
    peer.call("imap.store", uids=[4], command="+FLAGS", flags=["\\Flagged"], uidvalidity="any")
    same(uids(peer, "FLAGGED"), [4])
