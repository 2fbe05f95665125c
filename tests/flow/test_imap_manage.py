# SPDX-License-Identifier: MIT
"""IMAP: mailboxes as such, what the server tells of itself, quotas, access rights, annotations."""

from fake_imap import FakeImap
from harness import INVALID_PARAMS, same

ACCOUNTS = {
    "looker": {"account": {"permit": "read"}},
}
ALL = "IMAP4rev1 UIDPLUS MOVE LITERAL+ NAMESPACE ID ENABLE UNSELECT QUOTA ACL METADATA"


def names(answer):
    return sorted(box["name"] for box in answer["mailboxes"])


def against(flow, answers, capabilities=ALL):
    return FakeImap(answers, capabilities=capabilities)


def test_mailboxes(flow):
    """Mailboxes are made, renamed, removed, subscribed, with names of any language"""
    user, client = flow.user(), flow.client()
    same(client.call("imap.create", account=user, mailbox="Größe & mehr"), {})
    client.call("imap.create", account=user, mailbox="Größe & mehr/unten")
    client.call("imap.create", account=user, mailbox="Größe & mehrere")
    client.fails("rejected", "imap.create", account=user, mailbox="Größe & mehr")
    same(names(client.call("imap.get_dirs", account=user, path="Größe & mehr")), ["Größe & mehr/unten"])
    assert {"INBOX", "Größe & mehr", "Größe & mehrere"} <= set(names(client.call("imap.get_dirs", account=user)))
    same(client.call("imap.rename", account=user, mailbox="Größe & mehr", new_name="日本"), {})
    same(names(client.call("imap.list", account=user, pattern="日本*")), ["日本", "日本/unten"])
    same(client.call("imap.subscribe", account=user, mailbox="日本"), {})
    client.call("imap.subscribe", account=user, mailbox="Sent")
    same(names(client.call("imap.lsub", account=user, pattern="日*")), ["日本"])
    same(names(client.call("imap.get_subscribed_dirs", account=user)), ["Sent", "日本"])
    same(client.call("imap.unsubscribe", account=user, mailbox="日本"), {})
    same(names(client.call("imap.get_subscribed_dirs", account=user)), ["Sent"])
    same(client.call("imap.delete", account=user, mailbox="Größe & mehrere"), {})
    error = client.fails("rejected", "imap.delete", account=user, mailbox="Größe & mehrere")
    same((error.data["stage"], error.data["outcome"]), ("delete", "none"))
    client.fails(INVALID_PARAMS, "imap.create", account=user, mailbox="a\r\nb")
    client.fails("denied", "imap.create", account="looker", mailbox="x")


def test_renamed(flow):
    """A name that stands for another mailbox now is that other mailbox in the next call"""
    user, client = flow.user(), flow.client()
    client.call("imap.create", account=user, mailbox="A")
    client.call("imap.append", account=user, mailbox="A", raw=flow.letter("bob@example.com", "old").decode())
    same(client.call("imap.search", account=user, mailbox="A", query="ALL")["uids"], [1])
    client.call("imap.rename", account=user, mailbox="A", new_name="B")
    client.call("imap.create", account=user, mailbox="A")
    same(client.call("imap.search", account=user, mailbox="A", query="ALL", uidvalidity="any")["uids"], [])
    same(client.call("imap.search", account=user, mailbox="B", query="ALL")["uids"], [1])


def test_leaving(flow):
    """A session leaves its mailbox with close, which expunges, or unselect, which does not"""
    user, client = flow.user(), flow.client()
    flow.put(user, *[flow.letter("bob@example.com", f"number {number}") for number in (1, 2)])
    session = client.call("imap.open", account=user)["session"]
    for leave, left in (("imap.unselect", 2), ("imap.close", 1)):
        client.call("imap.select", session=session)
        same(client.call("imap.check", session=session), {})
        client.call("imap.store", session=session, uids=[1], command="+FLAGS", flags=["\\Deleted"])
        same(client.call(leave, session=session), {})
        client.fails(INVALID_PARAMS, "imap.search", session=session, query="ALL")
        same(len(flow.subjects(user)), left, leave)
    client.fails(INVALID_PARAMS, "imap.close", account=user)
    client.fails("rejected", "imap.close", session=session)
    client.call("imap.logout", session=session)
    session = client.call("imap.open", account=user, readonly=True)["session"]
    client.call("imap.select", session=session)
    client.fails("readonly", "imap.create", session=session, mailbox="x")
    client.call("imap.close", session=session)
    client.call("imap.logout", session=session)
    same(len(flow.subjects(user)), 1)


def test_server(flow):
    """The server tells its namespaces, its name, and what it can do; a session switches some of that on"""
    user, client = flow.user(), flow.client()
    same(client.call("imap.namespace", account=user), {"personal": [{"prefix": "", "delimiter": "/"}], "other": [], "shared": []})
    same(client.call("imap.id", account=user, fields={"name": "test", "version": None})["fields"]["name"], "Dovecot")
    capabilities = client.call("imap.capability", account=user)["capabilities"]
    assert {"IMAP4rev1", "QUOTA", "ACL", "METADATA"} <= set(capabilities), capabilities
    session = client.call("imap.open", account=user)["session"]
    same(client.call("imap.enable", session=session, capabilities=["CONDSTORE"]), {"enabled": ["CONDSTORE"]})
    same(client.call("imap.enable", session=session, capabilities=["X-NOT-THERE"]), {"enabled": []})
    client.fails(INVALID_PARAMS, "imap.enable", account=user, capabilities=["CONDSTORE"])
    client.call("imap.logout", session=session)


def test_quota(flow):
    """Quota roots, usage and limits"""
    user, client = flow.user(), flow.client()
    flow.put(user, flow.letter("bob@example.com", "one"))
    answer = client.call("imap.getquotaroot", account=user)
    same((answer["roots"], [quota["root"] for quota in answer["quotas"]]), (["User quota"], ["User quota"]))
    same(answer["quotas"][0]["resources"]["MESSAGE"], {"usage": 1, "limit": 1000000})
    same(client.call("imap.getquota", account=user, root="User quota"), {"quotas": answer["quotas"]})
    client.fails("rejected", "imap.getquota", account=user, root="no such")
    client.fails("rejected", "imap.setquota", account=user, root="User quota", limits={"STORAGE": 5})
    client.fails(INVALID_PARAMS, "imap.setquota", account=user, root="User quota", limits={"STORAGE": "much"})


def test_access_rights(flow):
    """Access rights are told, granted and taken away"""
    user, client = flow.user(), flow.client()
    assert set("lrsi") <= set(client.call("imap.myrights", account=user)["rights"])
    same(client.call("imap.setacl", account=user, mailbox="INBOX", identifier="carol", rights="lr"), {})
    same("".join(sorted(client.call("imap.getacl", account=user)["acl"]["carol"])), "lr")
    same(client.call("imap.deleteacl", account=user, mailbox="INBOX", identifier="carol"), {})
    assert "carol" not in client.call("imap.getacl", account=user)["acl"]
    rights = client.call("imap.listrights", account=user, mailbox="INBOX", identifier="carol")
    assert isinstance(rights["required"], str) and "l" in "".join(rights["optional"]), rights
    client.fails("rejected", "imap.getacl", account=user, mailbox="No Such")
    client.fails("denied", "imap.setacl", account="looker", mailbox="INBOX", identifier="carol", rights="lr")


def test_annotations(flow):
    """Annotations of a mailbox are set, told and removed"""
    user, client = flow.user(), flow.client()
    same(client.call("imap.setmetadata", account=user, mailbox="INBOX", entries={"/private/comment": "schön \"so\"", "/private/vendor/x/a": "1"}), {})
    same(client.call("imap.getmetadata", account=user, mailbox="INBOX", entries=["/private/comment"]), {"entries": {"/private/comment": "schön \"so\""}})
    deep = client.call("imap.getmetadata", account=user, mailbox="INBOX", entries="/private/vendor", depth="infinity")["entries"]
    same(deep.get("/private/vendor/x/a"), "1")
    client.call("imap.setmetadata", account=user, mailbox="INBOX", entries={"/private/comment": None})
    same(client.call("imap.getmetadata", account=user, mailbox="INBOX", entries=["/private/comment"])["entries"].get("/private/comment"), None)


def test_commands(flow):
    """Values go out as strings of IMAP, answers in any order and form are understood, and wrong ones left out"""
    answers = {
        "GETQUOTAROOT": "* QUOTA \"\" (STORAGE 10 512 BROKEN x y MESSAGE 3 9)\r\n* QUOTAROOT INBOX \"\" {3}\r\na b\r\n* QUOTA broken\r\n* QUOTA \"a b\" ()\r\n% OK x\r\n",
        "GETACL": "* ACL INBOX \"ann b\" lr -carol {2}\r\nwi odd\r\n% OK x\r\n",
        "LISTRIGHTS": "* LISTRIGHTS INBOX ann \"\" l r \"s w\"\r\n% OK x\r\n",
        "NAMESPACE": "* NAMESPACE ((\"\" \"/\")(\"&ZeVnLA-.\" \".\" \"X-P\" (\"a\" \"b\"))) NIL ((\"#flat\" NIL))\r\n% OK x\r\n",
        "GETMETADATA": "* METADATA \"\" (/shared/admin NIL /shared/comment {5}\r\na\r\n)b)\r\n* METADATA \"\" /shared/changed\r\n% OK x\r\n",
        "MYRIGHTS": "% OK nothing told\r\n",
        "ID": "* ID NIL\r\n% OK x\r\n",
    }
    with against(flow, answers) as server, flow.own_daemon({"a": server.account()}) as daemon, daemon.client() as client:
        same(client.call("imap.getquotaroot", account="a"), {"roots": ["", "a b"], "quotas": [
            {"root": "", "resources": {"STORAGE": {"usage": 10, "limit": 512}, "MESSAGE": {"usage": 3, "limit": 9}}}, {"root": "a b", "resources": {}}]})
        same(client.call("imap.getacl", account="a"), {"acl": {"ann b": "lr", "-carol": "wi"}})
        same(client.call("imap.listrights", account="a", mailbox="INBOX", identifier="ann"), {"required": "", "optional": ["l", "r", "s w"]})
        same(client.call("imap.namespace", account="a"), {"personal": [{"prefix": "", "delimiter": "/"}, {"prefix": "日本.", "delimiter": "."}],
                                                         "other": [], "shared": [{"prefix": "#flat", "delimiter": None}]})
        same(client.call("imap.getmetadata", account="a", mailbox="", entries=["/shared/comment"], depth="1", maxsize=9)["entries"],
             {"/shared/admin": None, "/shared/comment": "a\r\n)b"})
        same(client.fails("protocol", "imap.myrights", account="a").data["stage"], "myrights")
        same(client.call("imap.id", account="a"), {"fields": {}})
        same(client.call("imap.setquota", account="a", root="a\"b", limits={"STORAGE": 5, "MESSAGE": 7}), {})
        same(client.call("imap.setquota", account="a", root="", limits={}), {})
        client.call("imap.setacl", account="a", mailbox="A & B", identifier="x y", rights="+lr")
        client.call("imap.setmetadata", account="a", mailbox="", entries={"/private/comment": None, "/private/x": "a b"})
        for wanted in ("SETQUOTA \"a\\\"b\" (STORAGE 5 MESSAGE 7)", "SETQUOTA \"\" ()", "SETACL \"A &- B\" \"x y\" +lr",
                       "GETMETADATA (MAXSIZE 9 DEPTH 1) \"\" (/shared/comment)",
                       "SETMETADATA \"\" (\"/private/comment\" NIL \"/private/x\" \"a b\")"):
            assert wanted in server.lines, (wanted, server.lines)
        client.fails(INVALID_PARAMS, "imap.setquota", account="a", root="x", limits={"A B": 1})


def test_missing(flow):
    """What the server does not offer is named, and not sent"""
    with against(flow, {}, "IMAP4rev1") as server, flow.own_daemon({"a": server.account()}) as daemon, daemon.client() as client:
        for method, extension, params in (("namespace", "NAMESPACE", {}), ("id", "ID", {}), ("getquotaroot", "QUOTA", {}), ("getacl", "ACL", {}),
                                          ("getmetadata", "METADATA", {"mailbox": "", "entries": ["/private/x"]})):
            error = client.fails("missing_extension", "imap." + method, account="a", **params)
            assert extension in error.message, error
        session = client.call("imap.open", account="a")["session"]
        client.call("imap.select", session=session)
        client.fails("missing_extension", "imap.unselect", session=session)
        client.fails("missing_extension", "imap.enable", session=session, capabilities=["CONDSTORE"])
        client.call("imap.logout", session=session)
        same([line for line in server.lines if line.split(" ")[0] in ("NAMESPACE", "GETACL", "UNSELECT", "ENABLE")], [])
