# SPDX-License-Identifier: MIT
"""IMAP extensions over Dovecot, Cyrus and Courier: used where they are offered, and done by other means or named where not."""

from harness import same, text_of
from peers import Cases

cases = Cases("imap", __name__)


def filled(peer, count=3):
    peer.put(*[peer.letter(f"number {number}", f"text of {number}\n" * number) for number in range(1, count + 1)])


def boxed(peer, *path):
    space = peer.call("imap.namespace")["personal"][0]
    return space["prefix"] + space["delimiter"].join(path)


def without(peer, *extensions):
    """An account that leaves these alone."""
    return peer.account(f"{peer.name}-without", disable=" ".join(extensions))


def lacking(extension, method, **params):
    """For `otherwise`: the call names what is missing."""
    return lambda peer: peer.lacks(extension, method, **params)


def alike(peer, method, extensions, **params):
    """The same answer from the server and from our own means."""
    answer = peer.call(method, **params)
    same(peer.call(method, account=without(peer, *extensions), **params), answer, str(params))
    return answer


def numbers(tree):
    return [number for part in tree for number in (numbers(part) if isinstance(part, list) else [part])]


# -- finding


@cases.add(needs="SORT")
def sorting(peer):
    """The server's order is ours"""
    filled(peer, 6)
    same(alike(peer, "imap.sort", ["SORT"], criteria="REVERSE SUBJECT")["uids"], [6, 5, 4, 3, 2, 1])
    same(alike(peer, "imap.sort", ["SORT"], criteria=["SIZE"], query="NOT SUBJECT \"number 3\"")["uids"], [1, 2, 4, 5, 6])
    alike(peer, "imap.sort", ["SORT"], criteria="DATE REVERSE SIZE")
    assert len(peer.on_wire(rb"^\S+ UID SORT ")) == 3, peer.wire()


@cases.add
def sorting_by_display(peer):
    """DISPLAYFROM and DISPLAYTO work with any server"""
    peer.put(*[peer.letter(name, sender=f"\"{name}\" <{address}@example.com>") for name, address in (("Zoe", "a"), ("Ann", "z"), ("Max", "m"))])
    same(peer.call("imap.sort", criteria="DISPLAYFROM")["uids"], [2, 3, 1])
    assert bool(peer.on_wire(rb"^\S+ UID SORT .*DISPLAYFROM")) == peer.offers("SORT=DISPLAY")


@cases.add(needs=("THREAD=REFERENCES", "THREAD=ORDEREDSUBJECT"))
def threading(peer):
    """The server's threads are ours"""
    for number, parent in ((1, None), (2, 1), (3, None), (4, 2), (5, 3)):
        reference = f"In-Reply-To: <{parent}@x>\r\nReferences: <{parent}@x>\r\n" if parent else ""
        peer.put(f"From: a@example.com\r\nMessage-ID: <{number}@x>\r\n{reference}Date: Mon, 2 Mar 2026 10:0{number}:00 +0000\r\n"
                 f"Subject: {'Re: ' if parent else ''}{'one' if number in (1, 2, 4) else 'two'}\r\n\r\nx\r\n".encode())
    for algorithm in ("REFERENCES", "ORDEREDSUBJECT", "REFS"):
        answer = peer.call("imap.thread", algorithm=algorithm)
        here = peer.call("imap.thread", account=without(peer, "THREAD"), algorithm=algorithm)
        if peer.server == "courier" and algorithm == "ORDEREDSUBJECT":      # it chains what RFC 5256 puts side by side
            same(([sorted(numbers(one)) for one in here["threads"]]), [sorted(numbers(one)) for one in answer["threads"]])
        else:
            same(here, answer, algorithm)
        same(sorted(numbers(answer["threads"])), [1, 2, 3, 4, 5])
    same(len(peer.on_wire(rb"^\S+ UID THREAD ")), 2 + peer.offers("THREAD=REFS"))


@cases.add
def search_returns(peer):
    """The lowest, the highest, how many, a part: told by the server or counted here"""
    filled(peer, 8)
    found = peer.call("imap.search", query="ALL", **{"return": ["MIN", "MAX", "COUNT"]})
    same((found["min"], found["max"], found["count"]), (1, 8, 8))
    same(peer.call("imap.search", query="ALL", partial="-1:-3")["uids"], [6, 7, 8])
    same(peer.call("imap.search", query="SUBJECT \"number 2\"", ranges=True)["ranges"], "2")
    assert bool(peer.on_wire(rb"^\S+ UID SEARCH RETURN")) == peer.offers("ESEARCH")


@cases.add(needs="SEARCHRES", otherwise=lambda peer: saved_nothing(peer))
def search_saved(peer):
    """What a session's search has saved is "$" for what follows"""
    filled(peer, 5)
    session = peer.open()["session"]
    peer.call("imap.select", session=session)
    peer.call("imap.search", session=session, query="OR SUBJECT \"number 2\" SUBJECT \"number 4\"", **{"return": "SAVE"})
    same([one["uid"] for one in peer.call("imap.fetch", session=session, uids="$", items="FLAGS")["messages"]], [2, 4])
    peer.call("imap.logout", session=session)


def saved_nothing(peer):
    session = peer.open()["session"]
    peer.call("imap.select", session=session)
    peer.lacks("SEARCHRES", "imap.search", session=session, query="ALL", **{"return": "SAVE"})
    peer.call("imap.logout", session=session)


@cases.add(needs="WITHIN", otherwise=lacking("WITHIN", "imap.search", query="YOUNGER 3600"))
def searching_within(peer):
    """Messages younger and older than so many seconds"""
    filled(peer)
    same((peer.call("imap.search", query="YOUNGER 3600")["uids"], peer.call("imap.search", query="OLDER 3600")["uids"]), ([1, 2, 3], []))


@cases.add(needs="SEARCH=FUZZY", otherwise=lacking("FUZZY", "imap.search", query="FUZZY SUBJECT number"))
def searching_fuzzily(peer):
    """A fuzzy search is taken"""
    filled(peer)
    assert isinstance(peer.call("imap.search", query="FUZZY SUBJECT number")["uids"], list)


@cases.add
def searching_several(peer):
    """Several mailboxes in one call"""
    name = boxed(peer, "Zweite")
    peer.call("imap.create", mailbox=name)
    peer.call("imap.append", mailbox=name, raw="Subject: number 9\n\nx\n")
    filled(peer)
    found = peer.call("imap.search", mailboxes=[name, "INBOX"], query="SUBJECT number")["mailboxes"]
    same([(one["mailbox"], one["uids"]) for one in found], [(name, [1]), ("INBOX", [1, 2, 3])])


# -- telling


@cases.add
def listing_more(peer):
    """Counts, rights and children of every mailbox in one call"""
    name, below = boxed(peer, "Oben"), boxed(peer, "Oben", "unten")
    peer.call("imap.create", mailbox=name)
    peer.call("imap.create", mailbox=below)
    peer.call("imap.append", mailbox=name, raw="Subject: x\n\nx\n")
    told = {box["name"]: box for box in peer.call("imap.list", status=["MESSAGES", "UIDNEXT"], **{"return": ["MYRIGHTS", "CHILDREN"]})["mailboxes"]}
    same((told[name]["status"]["messages"], told[below]["status"]["messages"]), (1, 0))
    assert "\\HasChildren" in told[name]["attributes"] and set("lr") <= set(told[name]["rights"]), told[name]
    assert bool(peer.on_wire(rb"^\S+ LIST .*RETURN \(")) == peer.offers("LIST-EXTENDED"), peer.wire()


@cases.add(needs="SPECIAL-USE", otherwise=lambda peer: same([box["special_use"] for box in peer.call("imap.list")["mailboxes"] if box["special_use"]], []))
def special_uses(peer):
    """What mailboxes are for"""
    def told():
        boxes = peer.call("imap.list", selection="SPECIAL-USE", **{"return": "SPECIAL-USE"})["mailboxes"]
        return {box["name"]: box["special_use"].lower() for box in boxes}
    # Cyrus makes them while the first login is being answered
    peer.flow.wait_for(lambda: told() == {"Drafts": "\\drafts", "Sent": "\\sent", "Trash": "\\trash"}, what="the mailboxes of special use")


@cases.add(needs="CREATE-SPECIAL-USE", otherwise=lacking("CREATE-SPECIAL-USE", "imap.create", mailbox="Akten", special_use="\\Archive"))
def making_for_special_use(peer):
    """A mailbox is made for a purpose"""
    peer.call("imap.create", mailbox="Akten", special_use="\\Archive")
    box, = peer.call("imap.list", pattern="Akten")["mailboxes"]
    same(box["special_use"].lower(), "\\archive")


@cases.add(needs="STATUS=SIZE", otherwise=lacking("STATUS=SIZE", "imap.status", items=["SIZE"]))
def sizes(peer):
    """How many bytes a mailbox holds"""
    filled(peer)
    sizes = sum(one["size"] for one in peer.call("imap.fetch", uids="1:*", items=["RFC822.SIZE"])["messages"])
    same(peer.call("imap.status", items=["SIZE"])["size"], sizes)


@cases.add(needs="OBJECTID", otherwise=lacking("OBJECTID", "imap.fetch", uids="1:*", items=["EMAILID"]))
def object_ids(peer):
    """Ids that stay with messages and threads"""
    filled(peer, 2)
    one, two = peer.call("imap.fetch", uids="1:*", items=["EMAILID", "THREADID"])["messages"]
    assert one["emailid"] and one["emailid"] != two["emailid"] and one["threadid"], one
    name = boxed(peer, "Kopie")
    peer.call("imap.create", mailbox=name)
    peer.call("imap.copy", uids=[1], destination=name, uidvalidity="any")
    same(peer.call("imap.fetch", mailbox=name, uids=[1], items=["EMAILID"])["messages"][0]["emailid"], one["emailid"])


@cases.add(needs="SAVEDATE", otherwise=lacking("SAVEDATE", "imap.fetch", uids="1:*", items=["SAVEDATE"]))
def save_dates(peer):
    """When a message came into its mailbox"""
    peer.call("imap.append", raw="Subject: x\n\nx\n", date="2020-03-02T10:00:00+01:00")
    one, = peer.call("imap.fetch", uids="1:*", items=["SAVEDATE", "INTERNALDATE"])["messages"]
    assert one["internaldate"].startswith("2020-") and one["savedate"] > "2025", one


@cases.add(needs="PREVIEW", otherwise=lacking("PREVIEW", "imap.fetch", uids="1:*", items=["PREVIEW"]))
def previews(peer):
    """The beginning of a message's text, as the server has it"""
    peer.put(peer.letter("x", "see here\n"))
    one, = peer.call("imap.fetch", uids=[1], items=["PREVIEW"])["messages"]
    same(one["preview"].strip() if one["preview"] else None, None if peer.server == "cyrus" else "see here")


@cases.add
def binary(peer):
    """Parts without their transfer encoding, by the server or by us"""
    data = bytes(range(256)) * 50
    peer.put(peer.letter("parts", "Grüße\n", attachment=data))
    for account in (peer.name, without(peer, "BINARY")):
        one, = peer.call("imap.fetch", account=account, uids=[1], items=["BODY.PEEK[2]"], decode=True)["messages"]
        same(text_of(one["sections"]["BODY[2]"]), data, account)
    assert bool(peer.on_wire(rb"BINARY\.PEEK\[2\]")) == peer.offers("BINARY") and peer.on_wire(rb"BODY\.PEEK\[2\]"), peer.wire()


# -- changing


@cases.add
def appending_several(peer):
    """Several messages in one call, all or none where the server can"""
    answer = peer.call("imap.append", messages=[{"raw": "Subject: a\n\n" + "x\n" * 5000}, {"raw": "Subject: b\n\nx\n", "flags": ["\\Seen"]}, {"raw": "Subject: c\n\nx\n"}])
    same(answer["uids"], [1, 2, 3])
    found = peer.call("imap.fetch", uids="1:*", items=["ENVELOPE", "FLAGS"])["messages"]
    same([(one["envelope"]["subject"], "\\Seen" in one["flags"]) for one in found], [("a", False), ("b", True), ("c", False)])
    same(len(peer.on_wire(rb"^\S+ APPEND ")), 1 if peer.offers("MULTIAPPEND") else 3)


@cases.add(needs="CATENATE", otherwise=lacking("CATENATE", "imap.append", parts=[{"raw": "Subject: x\r\n\r\n"}]))
def catenating(peer):
    """A message is put together from texts and what the server has"""
    filled(peer, 2)
    validity = peer.call("imap.status")["uidvalidity"]
    uid = peer.call("imap.append", parts=[{"raw": "Subject: put together\r\n\r\nfirst\r\n"}, {"uid": 2, "section": "TEXT", "uidvalidity": validity}, {"raw": "last\r\n"}])["uid"]
    raw = text_of(peer.call("imap.fetch", uids=[uid])["messages"][0]["sections"]["BODY[]"])
    same(raw, b"Subject: put together\r\n\r\nfirst\r\ntext of 2\r\ntext of 2\r\nlast\r\n")


@cases.add
def replacing(peer):
    """A draft takes another's place"""
    filled(peer, 2)
    uid = peer.call("imap.replace", uid=1, raw="Subject: better\n\nx\n", flags=["\\Draft"], uidvalidity="any")["uid"]
    found = peer.call("imap.fetch", uids="1:*", items=["ENVELOPE", "FLAGS"])["messages"]
    same([(one["uid"], one["envelope"]["subject"]) for one in found], [(2, "number 2"), (uid, "better")])
    peer.fails("not_found", "imap.replace", uid=1, raw="Subject: again\n\nx\n", uidvalidity="any")


@cases.add(needs="QRESYNC", otherwise=lacking("QRESYNC", "imap.fetch", uids="1:*", items=["FLAGS"], changedsince=1, vanished=True))
def vanished(peer):
    """What has gone since"""
    filled(peer, 4)
    before = max(int(one["modseq"]) for one in peer.call("imap.fetch", uids="1:*", items=["MODSEQ"])["messages"])
    peer.call("imap.store", uids=[2, 3], command="+FLAGS", flags=["\\Deleted"], uidvalidity="any")
    peer.call("imap.expunge", uids=[2, 3], uidvalidity="any")
    peer.call("imap.store", uids=[4], command="+FLAGS", flags=["\\Flagged"], uidvalidity="any")
    answer = peer.call("imap.fetch", uids="1:*", items=["FLAGS"], changedsince=before, vanished=True)
    same([one["uid"] for one in answer["messages"]], [4])
    assert "2:3" in str(answer["vanished"]) or answer["vanished"] == [2, 3], answer


def goes_uncompressed(peer):
    """Nothing is said of it"""
    account = peer.account(f"{peer.name}-compressed", compress="yes")
    peer.call("imap.list", account=account)
    same(peer.on_wire(rb"COMPRESS"), [])


@cases.add(needs="COMPRESS=DEFLATE", otherwise=goes_uncompressed)
def compressed(peer):
    """A compressed connection carries the same"""
    account = peer.account(f"{peer.name}-compressed", compress="yes")
    peer.put(peer.letter("big", "the same line again and again\n" * 20000))
    raw = text_of(peer.call("imap.fetch", account=account, uids=[1])["messages"][0]["sections"]["BODY[]"])
    same(raw.count(b"the same line again and again\r\n"), 20000)
    data = "Subject: small\n\n" + "x\n" * 20000
    peer.call("imap.append", account=account, raw=data)
    same(peer.call("imap.status", account=account)["messages"], 2)
    assert peer.on_wire(rb"^\S+ COMPRESS DEFLATE\r") and peer.on_wire(rb"^\S+ APPEND "), peer.wire()


def enables_nothing(peer):
    session = peer.open()["session"]
    same(peer.call("imap.enable", session=session, capabilities=["UTF8=ACCEPT"])["enabled"], [])
    peer.call("imap.logout", session=session)


@cases.add(needs="UTF8=ACCEPT", otherwise=enables_nothing)
def utf8_accepted(peer):
    """With UTF8=ACCEPT names go and come as UTF-8"""
    session = peer.open()["session"]
    same(peer.call("imap.enable", session=session, capabilities=["UTF8=ACCEPT"])["enabled"], ["UTF8=ACCEPT"])
    name = boxed(peer, "Größe")
    peer.call("imap.create", session=session, mailbox=name)
    assert name in {box["name"] for box in peer.call("imap.list", session=session)["mailboxes"]}
    peer.call("imap.logout", session=session)
    assert name in {box["name"] for box in peer.call("imap.list")["mailboxes"]}
