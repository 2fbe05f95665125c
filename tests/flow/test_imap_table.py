# SPDX-License-Identifier: MIT
"""IMAP: every extension with it and without it, one table: a call gives the same, or says what is missing."""

from harness import RpcError, same

RAW = "From: a@example.com\r\nSubject: {0}\r\n\r\n{0}\r\n"


def fill(call, mailbox="Drafts", count=3):
    uids = call("append", mailbox=mailbox, messages=[{"raw": RAW.format(f"number {number}")} for number in range(count)])["uids"]
    call("search", mailbox=mailbox, query="ALL")
    return uids


def subjects(call, mailbox="Drafts"):
    return sorted(one["envelope"]["subject"] for one in call("fetch", mailbox=mailbox, uids="1:*", items="ENVELOPE")["messages"])


def clear(call, mailbox="Drafts"):
    call("store", mailbox=mailbox, uids="1:*", command="+FLAGS.SILENT", flags="\\Deleted", uidvalidity="any")
    call("expunge", mailbox=mailbox, all=True, uidvalidity="any")


def in_drafts(scenario):
    """With three messages there, and none afterwards."""
    def run(call):
        uids = fill(call)
        try:
            return scenario(call, uids)
        finally:
            clear(call)
            clear(call, "Trash")
    return run


@in_drafts
def move(call, uids):
    moved = call("move", mailbox="Drafts", uids=uids[1:], destination="Trash")
    return len(moved["uids"]), subjects(call), subjects(call, "Trash")


@in_drafts
def expunge(call, uids):
    call("store", mailbox="Drafts", uids=uids, command="+FLAGS.SILENT", flags="\\Deleted")
    return len(call("expunge", mailbox="Drafts", uids=uids[:2])["expunged"]), subjects(call)


@in_drafts
def replace(call, uids):
    call("replace", mailbox="Drafts", uid=uids[0], raw=RAW.format("new"))
    return subjects(call)


@in_drafts
def several(call, uids):
    return len(uids), subjects(call)


@in_drafts
def vanished(call, uids):
    before = call("status", mailbox="Drafts", items="HIGHESTMODSEQ")["highestmodseq"]
    clear(call)
    gone = call("fetch", mailbox="Drafts", uids="1:*", items="FLAGS", changedsince=before, vanished=True)["vanished"]
    return gone.split(",")[-1].split(":")[-1] == str(uids[-1])


def saved(call):
    session = call("open")["session"]
    try:
        call("select", session=session)
        call("search", session=session, query="SUBJECT \"number 2\"", **{"return": "SAVE"})
        return [one["uid"] for one in call("fetch", session=session, uids="$", items="FLAGS")["messages"]]
    finally:
        call("logout", session=session)


def leave(call):
    session = call("open")["session"]
    try:
        call("select", session=session)
        return call("unselect", session=session)
    finally:
        call("logout", session=session)


def enable(call):
    session = call("open")["session"]
    try:
        return call("enable", session=session, capabilities="CONDSTORE")
    finally:
        call("logout", session=session)


def marked(call):
    before = call("status", items="HIGHESTMODSEQ")["highestmodseq"]
    call("store", uids=[2], command="+FLAGS", flags="\\Flagged", uidvalidity="any")
    call("store", uids=[2], command="-FLAGS", flags="\\Flagged")
    return [one["uid"] for one in call("fetch", uids="1:*", items="FLAGS", changedsince=before)["messages"]]


def boxes(call, **params):
    return sorted((box["name"], box["special_use"], str(box.get("status")), box.get("rights") is not None, len(box.get("metadata", {})))
                  for box in call("list", **params)["mailboxes"])


def special(call):
    call("create", mailbox="Old things", special_use="\\Archive")
    call("delete", mailbox="Old things")


TABLE = {
    "MOVE": [move],
    "UIDPLUS": [expunge, replace],
    "REPLACE": [replace],
    "MULTIAPPEND": [several],
    "LITERAL+": [several, lambda call: call("search", query=["SUBJECT", "日本"])["uids"]],
    "SASL-IR": [lambda call: call("noop")],
    "ESEARCH": [lambda call: {key: value for key, value in call("search", query="ALL", partial="2:3", **{"return": "MIN MAX COUNT"}).items() if key != "uidvalidity"}],
    "PARTIAL": [lambda call: call("search", query="ALL", partial="-1:-2")["uids"]],
    "SEARCHRES": [saved],
    "WITHIN": [lambda call: call("search", query="YOUNGER 100000")["uids"]],
    "SEARCH=FUZZY": [lambda call: call("search", query="FUZZY SUBJECT number")["uids"]],
    "CONDSTORE": [marked, lambda call: call("search", query="MODSEQ 1")["uids"]],
    "QRESYNC": [vanished],
    "ENABLE": [enable, vanished],
    "UNSELECT": [leave],
    "NAMESPACE": [lambda call: call("namespace")],
    "ID": [lambda call: call("id")["fields"]["name"]],
    "LIST-EXTENDED": [lambda call: boxes(call, patterns=["Drafts", "Tr%"]), lambda call: boxes(call, selection="SUBSCRIBED"),
                      lambda call: boxes(call, selection="SPECIAL-USE"), lambda call: boxes(call, pattern="%", **{"return": "CHILDREN"})],
    "LIST-STATUS": [lambda call: boxes(call, status=["MESSAGES", "UNSEEN"])],
    "LIST-MYRIGHTS": [lambda call: boxes(call, **{"return": "MYRIGHTS"})],
    "LIST-METADATA": [lambda call: boxes(call, metadata="/private/comment")],
    "SPECIAL-USE": [lambda call: boxes(call, selection="SPECIAL-USE", **{"return": "SPECIAL-USE"})],
    "CREATE-SPECIAL-USE": [special],
    "CHILDREN": [lambda call: boxes(call, pattern="%", **{"return": "CHILDREN"})],
    "STATUS=SIZE": [lambda call: call("status", items="SIZE")["size"] > 0],
    "METADATA": [lambda call: call("getmetadata", mailbox="INBOX", entries=["/private/comment"]), lambda call: boxes(call, metadata="/private/comment")],
    "ACL": [lambda call: call("myrights")],
    "QUOTA": [lambda call: call("getquotaroot")["roots"]],
    "BINARY": [lambda call: call("fetch", uids=[5], items=["BODY.PEEK[1]", "BODY.PEEK[2]"], decode=True)["messages"][0]["sections"]],
    "PREVIEW": [lambda call: call("fetch", uids=[1], items="PREVIEW")["messages"][0]["preview"]],
    "SAVEDATE": [lambda call: call("fetch", uids=[1], items="SAVEDATE")["messages"][0]["savedate"][:3]],
    "OBJECTID": [lambda call: call("fetch", uids=[1], items="EMAILID")["messages"][0]["emailid"] != ""],
    "COMPRESS": [lambda call: call("fetch", uids="1:3")["messages"][0]["sections"]["BODY[]"]],
    "SORT": [lambda call: call("sort", criteria="REVERSE SUBJECT", query="ALL")["uids"]],
    "ESORT": [lambda call: call("sort", criteria="SUBJECT", query="ALL")["uids"]],
    "THREAD": [lambda call: call("thread", algorithm="REFERENCES", query="ALL")["threads"]],
    "UTF8": [lambda call: boxes(call)],
    "IMAP4REV2": [lambda call: call("status", items="MESSAGES UNSEEN")],
}


def outcome(call, scenario):
    """What it gave, or the extensions that were missing."""
    try:
        return scenario(call), None
    except RpcError as error:
        if error.code != -32016:
            raise
        return None, error.error["message"]


def test_table(flow):
    """Every extension offered and disabled: the same answer, or the name of what is missing"""
    user = flow.user()
    flow.put(user, *[flow.letter("bob@example.com", f"number {number}") for number in range(1, 5)],
             flow.letter("bob@example.com", "number 5", "Grüße\n", attachment=bytes(range(256)) * 4))
    accounts = {"all": flow.account(user)}
    for name in TABLE:
        accounts["without-" + name.replace("=", "-").replace("+", "")] = flow.account(user, imap={"disable": name})
    for account in accounts.values():
        account["imap"].update(idle_timeout="200ms", compress="yes", pool_size="2")
    told = []
    with flow.own_daemon(accounts) as daemon, daemon.client() as client:
        def caller(account):
            def call(method, **params):
                where = {} if "session" in params else {"account": account}
                return client.call("imap." + method, **where, **params)
            return call
        offered = caller("all")("capability")["capabilities"]
        for name, scenarios in TABLE.items():
            there = any(one.upper() in (name, name + "=DEFLATE") or one.upper().startswith(name + "=") for one in offered)
            for scenario in scenarios:
                account = "without-" + name.replace("=", "-").replace("+", "")
                with_it, missing = outcome(caller("all"), scenario)
                without, missing_then = outcome(caller(account), scenario)
                if missing:
                    assert not there or name.split("=")[-1] not in missing, (name, missing)
                    same(missing_then is not None, True, name)
                elif missing_then:
                    assert name.split("=")[-1] in missing_then.upper(), (name, missing_then)
                else:
                    same(without, with_it, name)
                told.append((name, there, "the same" if not missing_then else missing_then))
    same({name for name, _, _ in told}, set(TABLE))
