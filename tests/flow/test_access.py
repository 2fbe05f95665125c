# SPDX-License-Identifier: MIT
"""Who may do what: by the peer's uid and groups."""

from harness import Client, RpcError, same

ACCOUNTS = {
    "for-nobody": {"account": {"allow": "user:nobody", "permit": "read"}},
    "for-games": {"account": {"allow": "group:games", "permit": "send read write", "senders": "*", "allow_read": "user:nobody"}},
    "for-senders": {"account": {"allow": "user:root", "permit": "read", "allow_send": "user:www-data", "senders": "boss@example.com", "default_for": "user:www-data group:games",
                                "senders.user:www-data": "shop@example.com"}},
}


def outcome(path, method, params):
    """What a fresh client gets: the result, or the error's kind or code."""
    with Client(path) as client:
        try:
            return client.call(method, **params)
        except RpcError as error:
            return error.kind or error.code


def ask(flow, user, method, **params):
    path = flow.daemon.socket_path
    return flow.as_user(user, lambda: outcome(path, method, params))


def test_foreign_user(flow):
    """A user without any right may ping and discover, and sees no account"""
    same(ask(flow, "www-data", "gateway.ping"), {})
    assert "methods" in ask(flow, "daemon", "rpc.discover")
    same(ask(flow, "daemon", "gateway.status"), "denied")
    same(ask(flow, "daemon", "account.list"), {"accounts": []})
    for method, params in (("imap.list", {}), ("pop3.list", {}), ("smtp.send", {"message": {"from": "a@example.com", "to": "b@example.com"}})):
        same(ask(flow, "daemon", method, account="ann", **params), "no_such_account", method)
    for method in ("gateway.reload", "gateway.pools"):
        same(ask(flow, "daemon", method), "denied", method)
    same(ask(flow, "daemon", "imap.list", options={"host": "localhost"}), "denied")
    assert flow.client().call("imap.list", account="ann")["mailboxes"]


def names(answer):
    return [one["name"] for one in answer["accounts"] if one["name"] != "for-parsing"]      # of another test


def test_rights(flow):
    """Rights are given by user and by group, each for itself"""
    same(names(ask(flow, "nobody", "account.list")), ["for-games", "for-nobody"])
    assert ask(flow, "nobody", "imap.list", account="for-nobody")["mailboxes"]
    same(ask(flow, "nobody", "imap.append", account="for-nobody", mailbox="INBOX", raw="Subject: x\n\nx\n"), "denied")
    assert ask(flow, "nobody", "imap.list", account="for-games")["mailboxes"]
    same(ask(flow, "nobody", "imap.append", account="for-games", mailbox="INBOX", raw="Subject: x\n\nx\n"), "denied")
    same(names(ask(flow, "games", "account.list")), ["for-games"])
    same(ask(flow, "games", "imap.append", account="for-games", mailbox="INBOX", raw="Subject: x\n\nx\n")["uid"], 1)
    same(ask(flow, "games", "imap.list", account="for-nobody"), "no_such_account")


def test_senders(flow):
    """A peer may be bound to senders of its own"""
    def mail(sender):
        return {"from": sender, "to": "x@sink.example.com", "text": "hello"}
    same(ask(flow, "www-data", "smtp.send", account="for-senders", message=mail("shop@example.com"))["accepted"], ["x@sink.example.com"])
    same(ask(flow, "www-data", "smtp.send", account="for-senders", message=mail("boss@example.com")), "denied")
    same(ask(flow, "www-data", "imap.list", account="for-senders"), "denied")
    same(flow.client().call("imap.list", account="for-senders")["mailboxes"] != [], True)
    flow.client().fails("denied", "smtp.send", account="for-senders", message=mail("shop@example.com"))


def test_default(flow):
    """An account may be somebody's where none is named; that gives no right"""
    def default(user):
        return [one["name"] for one in ask(flow, user, "account.list")["accounts"] if one["default"]]
    same(default("www-data"), ["for-senders"])
    same(default("games"), [])
    same(default("root"), [])


def test_administration(flow):
    """Root may look and reload"""
    client = flow.client()
    assert client.call("gateway.pools") is not None
    client.call("gateway.reload")
    assert {"ann", "bob"} <= set(names(client.call("account.list")))
