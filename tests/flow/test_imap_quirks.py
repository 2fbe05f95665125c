# SPDX-License-Identifier: MIT
"""Servers that have ways of their own: each quirk is seen, allowed for, shown, and can be switched off and on."""

import contextlib
import subprocess
import time

from fake_imap import FakeImap
from harness import same, text_of

PLAIN = "\"text\" \"plain\" NIL NIL NIL \"7bit\""
EXCHANGE = "The Microsoft Exchange IMAP4 service is ready."
COREMAIL = "Coremail System IMap Server Ready(163com)"


@contextlib.contextmanager
def server(flow, greeting, answers=None, quirks=None, capabilities="IMAP4rev1 UIDPLUS", auth=None, **more):
    """A fake server with that greeting, and a client whose account `a` it is."""
    with FakeImap(answers, capabilities=capabilities, greeting=f"* OK [CAPABILITY {capabilities}] {greeting}\r\n", **more) as fake:
        account = fake.account()
        if quirks:
            account["imap"]["quirks"] = quirks
        account["auth"].update(auth or {})
        with flow.own_daemon({"a": account}) as daemon, daemon.client() as client:
            yield fake, client


def shown(client):
    return client.call("account.test", account="a", protocol="imap")["imap"]["quirks"]


def fetched(client, *items):
    return client.call("imap.fetch", account="a", uids=[1], items=list(items))["messages"][0]


def three_ways(flow, quirk, greeting, value, item, member, capabilities="IMAP4rev1 UIDPLUS"):
    """What one message's item becomes: of that server, of any other, and where the quirk is switched off."""
    answers = {"UID FETCH": f"* 1 FETCH (UID 1 {item} {value} X 1)\r\n% OK x\r\n"}
    found = []
    for hello, offers, quirks in ((greeting, capabilities, None), ("some server", "IMAP4rev1 CONDSTORE", None), (greeting, capabilities, f"-{quirk}"),
                                  ("some server", "IMAP4rev1 CONDSTORE", quirk)):
        with server(flow, hello, answers, quirks, offers) as (_, client):
            same(quirk in shown(client), quirks == quirk or (hello == greeting and not quirks), f"{quirk}: {hello}, {quirks}")
            message = fetched(client, item)
            found.append((message.get(member, "absent"), item in message.get("raw", {}), message.get("defects", [])))
    return found


def check_understood_by_all(flow, quirk, greeting, value, seen, capabilities="IMAP4rev1 UIDPLUS"):
    of_it, of_others, without, named = three_ways(flow, quirk, greeting, value, "BODYSTRUCTURE", "bodystructure", capabilities)
    for one in (of_it, of_others, named):
        seen(one[0])
    same((of_it[1:], named[1:], without[:2]), ((False, []), (False, []), (None, True)))
    assert of_others[2] and without[2], (of_others, without)


def test_exchange_bodystructure(flow):
    """Exchange: a word for a disposition, line counts of -1, messages without a body"""
    check_understood_by_all(flow, "exchange-bodystructure", EXCHANGE, f"({PLAIN} 10 -1 NIL \"inline\" NIL NIL)",
                            lambda body: same((body["disposition"], "lines" in body), ("inline", False)))


def test_proxied_lines(flow):
    """Dovecot in front of another server: line counts of -1"""
    check_understood_by_all(flow, "proxied-lines", "Dovecot ready.", f"({PLAIN} 10 -1)", lambda body: same("lines" in body, False))


def test_mailru_numbers(flow):
    """mail.ru: counts with a fraction, parameters without a value"""
    check_understood_by_all(flow, "mailru-numbers", "imap.mail.ru ready", "(\"text\" \"plain\" (\"boundary\" NIL) NIL NIL \"7bit\" 9.3736e+06 2.0)",
                            lambda body: same((body["size"], body["lines"], body["params"]), (9373600, 2, {"boundary": ""})))


def test_domino(flow):
    """Domino: 00-Jan-0000 is no date, () is no body"""
    check_understood_by_all(flow, "domino-bodystructure", "Domino IMAP4 Server Release 10.0.1 ready",
                            "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 9 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) () 0)",
                            lambda body: same((body["size"], body["lines"], "children" in body), (9, 0, False)))
    of_it, of_others, without, named = three_ways(flow, "domino-dates", "Domino IMAP4 Server Release 10.0.1 ready",
                                                  "\"00-Jan-0000 00:00:00 +0000\"", "INTERNALDATE", "internaldate")
    same((of_it, named), ((None, False, []), (None, False, [])))
    for one in (of_others, without):
        same((one[:2], bool(one[2])), ((None, True), True))


def test_empty_multipart(flow):
    """QQ, Yandex, Gmail: multiparts without parts"""
    for greeting, capabilities in (("QQMail IMAP4Server ready", "IMAP4rev1"), ("Yandex IMAP4rev1 at imap.yandex", "IMAP4rev1"),
                                   ("Gimap ready for requests", "IMAP4rev1 X-GM-EXT-1")):
        check_understood_by_all(flow, "empty-multipart", greeting, "(NIL \"alternative\" (\"boundary\" \"x\") NIL NIL)",
                                lambda body: same((body["type"], body["subtype"], body["children"]), ("multipart", "alternative", [])),
                                capabilities + " UIDPLUS")


def test_lark_envelope(flow):
    """Lark: an envelope that ends before its addresses"""
    of_it, of_others, without, named = three_ways(flow, "lark-envelope", "Lark IMAP ready", "(NIL \"subject\")", "ENVELOPE", "envelope")
    for one in (of_it, named):
        same((one[0]["subject"], one[0]["from"], one[1:]), ("subject", [], (False, [])))
    for one in (of_others, without):
        same((one[:2], bool(one[2])), ((None, True), True))


def test_zoho_modseq(flow):
    """Zoho: a MODSEQ of -1"""
    of_it, of_others, without, named = three_ways(flow, "zoho-modseq", "Zoho Mail IMAP4rev1 Server", "(-1)", "MODSEQ", "modseq",
                                                  "IMAP4rev1 CONDSTORE")
    same((of_it, named), ((None, False, []), (None, False, [])))
    for one in (of_others, without):
        same((one[:2], bool(one[2])), ((None, True), True))


def test_missing_hosts(flow):
    """Exchange, Dovecot, Cyrus: a word where an address has no domain"""
    value = "(NIL NIL ((\"Ann\" NIL \"ann\" \".MISSING-HOST-NAME.\")) NIL NIL ((NIL NIL \"bob\" \"MISSING_DOMAIN\")) NIL NIL NIL NIL)"
    of_it, of_others, without, named = three_ways(flow, "missing-hosts", EXCHANGE, value, "ENVELOPE", "envelope")
    for one in (of_it, named):
        same((one[0]["from"], one[0]["to"]), ([{"name": "Ann", "address": "ann"}], [{"name": None, "address": "bob"}]))
    for one in (of_others, without):
        same(one[0]["to"][0]["address"], "bob@MISSING_DOMAIN")


def test_exchange_status(flow):
    """Exchange: STATUS with an unquoted name and a space at its end"""
    answers = {"STATUS": "* STATUS Sent Items (MESSAGES 5 UNSEEN 1) \r\n% OK x\r\n"}
    for quirks, wanted in ((None, 5), ("-exchange-status", None)):
        with server(flow, EXCHANGE, answers, quirks) as (_, client):
            same("exchange-status" in shown(client), quirks is None)
            if wanted:
                same(client.call("imap.status", account="a", mailbox="Sent Items", items=["MESSAGES"])["messages"], wanted)
            else:
                client.fails("protocol", "imap.status", account="a", mailbox="Sent Items", items=["MESSAGES"])
    with server(flow, "x", {"STATUS": "* STATUS \"a b\" (MESSAGES 5) \r\n% OK x\r\n"}) as (_, client):
        same(client.call("imap.status", account="a", mailbox="a b", items=["MESSAGES"])["messages"], 5)


def test_exchange_login(flow):
    """Exchange: names of shared mailboxes go by LOGIN"""
    for user, quirks, said in (("ann/shared", None, "LOGIN"), ("corp\\ann", None, "LOGIN"), ("ann/shared", "-exchange-login", "AUTHENTICATE"),
                               ("ann", None, "AUTHENTICATE")):
        with server(flow, EXCHANGE, {}, quirks, "IMAP4rev1 AUTH=PLAIN SASL-IR", {"username": user}) as (fake, client):
            client.call("imap.list", account="a")
            same(fake.lines[0].split()[0], said, f"{user} {quirks}")


def test_exchange_passing_faults(flow):
    """Exchange: unavailable, not connected, throttled: all of it passes"""
    with server(flow, EXCHANGE, {"STATUS": "Server Unavailable. 15\r\n"}) as (fake, client):
        error = client.fails("disconnected", "imap.status", account="a", mailbox="x")
        same((error.data["retry"], error.data["outcome"]), ("later", "none"))
    with server(flow, EXCHANGE, {"STATUS": "Server Unavailable. 15\r\n"}, "-exchange-unavailable") as (fake, client):
        client.fails("protocol", "imap.status", account="a", mailbox="x")
    with server(flow, EXCHANGE, {"STATUS": "% BAD User is authenticated but not connected.\r\n"}) as (fake, client):
        error = client.fails("rejected", "imap.status", account="a", mailbox="x")
        same((error.data["retry"], error.data["reply"]["status"]), ("later", "BAD"))
        before = fake.connections
        fake.answers.clear()
        client.call("gateway.resume", account="a")
        client.call("imap.list", account="a")
        same(fake.connections, before + 1)
    throttled = {"STATUS": "% BAD Request is throttled. Suggested Backoff Time: 4321 milliseconds\r\n"}
    for quirks, wanted in ((None, ("later", 4321)), ("-exchange-throttle", ("no", None))):
        with server(flow, EXCHANGE, throttled, quirks) as (fake, client):
            error = client.fails("rejected", "imap.status", account="a", mailbox="x")
            same((error.data["retry"], error.data.get("retry_after")), wanted)


def test_gmail_limits(flow):
    """Gmail: too many connections or too much traffic at the login is no word about the password"""
    refusals = ("% NO [ALERT] Too many simultaneous connections. (Failure)\r\n", "% NO [OVERQUOTA] Account exceeded command or bandwidth limits. (Failure)\r\n")
    for refusal in refusals:
        for quirks, kind in ((None, "rejected"), ("-gmail-limits", "auth")):
            with server(flow, "Gimap ready for requests from 192.0.2.1", {"LOGIN": refusal}, quirks) as (fake, client):
                error = client.fails(kind, "imap.list", account="a")
                same(error.data["retry"] == "later", kind == "rejected", f"{refusal} {quirks}: {error.data}")
                fake.answers.clear()
                if kind == "rejected":
                    client.call("gateway.resume", account="a")
                    client.call("imap.list", account="a")


def test_asked_for_patience(flow):
    """A server that asks one caller to wait is left alone by all of them, who wait or hear at once when to come back"""
    for refusal, least in (("% BAD Request is throttled. Suggested Backoff Time: 1500 milliseconds\r\n", 1.5), ("% NO [THROTTLED] slowly\r\n", 3)):
        with server(flow, EXCHANGE, {"STATUS": refusal}) as (_, client):
            begin = time.monotonic()
            client.fails("rejected", "imap.status", account="a", mailbox="x")
            client.call("imap.list", account="a")
            assert time.monotonic() - begin >= least, time.monotonic() - begin
    with server(flow, EXCHANGE, {"STATUS": "% BAD Request is throttled. Suggested Backoff Time: 600000 milliseconds\r\n"}) as (fake, client):
        client.fails("rejected", "imap.status", account="a", mailbox="x")
        said = len(fake.lines)
        error = client.fails("busy", "imap.list", account="a")
        assert error.data["retry"] == "later" and 500000 < error.data["retry_after"] <= 600000, error.data
        same(len(fake.lines), said)
        client.call("gateway.resume", account="a")
        client.call("imap.list", account="a")


def test_icloud_rfc822(flow):
    """iCloud: RFC822 is answered with nothing, BODY[] is asked for instead"""
    def answer(fake, wire, tag, line):
        body = "BODY[] {3}\r\nabc" if "BODY[]" in line else "RFC822 \"\""
        wire.sendall(f"* 1 FETCH (UID 1 {body})\r\n{tag} OK x\r\n".encode())
    for quirks, wanted in ((None, {"BODY[]": b"abc"}), ("-icloud-rfc822", {"RFC822": b""})):
        with server(flow, "(2436B180) pv50p00im-hyfv10021701.me.com", {"UID FETCH": answer}, quirks) as (fake, client):
            same("icloud-rfc822" in shown(client), quirks is None)
            same({name: text_of(value) for name, value in fetched(client, "RFC822")["sections"].items()}, wanted)
            if not quirks:
                client.call("imap.fetch", account="a", uids=[1], items=["RFC822.HEADER", "RFC822.TEXT"])
                same(fake.said("UID FETCH")[-1], "UID FETCH 1 (UID BODY.PEEK[HEADER] BODY[TEXT])")


def test_netease(flow):
    """NetEase: nothing without ID, an initial response that is refused, NOOP that proves nothing"""
    def authenticate(fake, wire, tag, line):
        if len(line.split()) > 2:
            wire.sendall(f"{tag} BAD no initial response\r\n".encode())
            return
        wire.sendall(b"+ \r\n")
        fake.tag = tag

    def select(fake, wire, tag, line):
        good = any(line.startswith("ID (") for line in fake.lines)
        wire.sendall((f"* 0 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n{tag} OK x\r\n" if good else f"{tag} NO SELECT Unsafe Login.\r\n").encode())
    answers = {"AUTHENTICATE": authenticate, "EXAMINE": select, "SELECT": select}

    class Coremail(FakeImap):       # the response comes as a line of its own
        def answer(self, wire, tag, line):
            if not line and getattr(self, "tag", None):
                wire.sendall(f"{self.tag} OK x\r\n".encode())
            else:
                super().answer(wire, tag, line)
    capabilities = "IMAP4rev1 ID UIDPLUS AUTH=PLAIN SASL-IR"
    for quirks, kind in ((None, None), ("-netease-id", "rejected"), ("-netease-sasl-ir", "auth")):
        with Coremail(answers, capabilities=capabilities, greeting=f"* OK [CAPABILITY {capabilities}] {COREMAIL}\r\n") as fake:
            account = fake.account()
            account["imap"]["idle_probe"] = "100ms"
            if quirks:
                account["imap"]["quirks"] = quirks
            with flow.own_daemon({"a": account}) as daemon, daemon.client() as client:
                if kind:
                    client.fails(kind, "imap.search", account="a", query="ALL")
                    continue
                same({"netease-id", "netease-sasl-ir", "netease-noop", "short-idle-55s"} - set(shown(client)), set())
                client.call("imap.search", account="a", query="ALL")
                time.sleep(0.3)
                client.call("imap.store", account="a", uids=[1], uidvalidity="any", command="FLAGS", flags=[])
                assert "STATUS INBOX (MESSAGES)" in fake.lines and "NOOP" not in fake.lines, fake.lines


def test_yahoo_expunge(flow):
    """Yahoo: EXPUNGE does not renumber, and IDLE is short"""
    for quirks in (None, "-yahoo-expunge"):
        with server(flow, "imapgate", {}, quirks, "IMAP4rev1 UIDPLUS XYMHIGHESTMODSEQ") as (fake, client):
            same(set(shown(client)), {"short-idle-3min"} | (set() if quirks else {"yahoo-expunge"}))


def test_strato_inbox(flow):
    """Strato: INBOX is missing from LIST"""
    answers = {"LIST": "* LIST () \".\" Sent\r\n% OK x\r\n"}
    for quirks, pattern, wanted in ((None, "*", ["Sent", "INBOX"]), (None, "S*", ["Sent"]), ("-strato-inbox", "*", ["Sent"])):
        with server(flow, "STRATO IMAP ready", answers, quirks) as (_, client):
            same([one["name"] for one in client.call("imap.list", account="a", pattern=pattern)["mailboxes"]], wanted)
    with server(flow, "STRATO IMAP ready", {"LIST": "* LIST () \".\" inbox\r\n% OK x\r\n"}) as (_, client):
        same(len(client.call("imap.list", account="a")["mailboxes"]), 1)


def test_leading_nul(flow):
    """NUL bytes before answers, where they are allowed for by name"""
    answers = {"STATUS": b"\0\0* STATUS x (MESSAGES 5)\r\n\0% OK x\r\n"}
    with server(flow, "x", answers, "leading-nul") as (_, client):
        same(client.call("imap.status", account="a", mailbox="x", items=["MESSAGES"])["messages"], 5)
    with server(flow, "x", answers) as (_, client):
        client.fails("protocol", "imap.status", account="a", mailbox="x", items=["MESSAGES"])


def test_known_by_id(flow):
    """A server that is known by what it answers to ID; and names that are none are refused"""
    with server(flow, "ready", {"ID": "* ID (\"name\" \"Lotus Domino\")\r\n% OK x\r\n", "UID FETCH": "* 1 FETCH (UID 1 INTERNALDATE \"00-Jan-0000 00:00:00 +0000\")\r\n% OK x\r\n"},
                None, "IMAP4rev1 ID") as (_, client):
        assert fetched(client, "INTERNALDATE").get("defects")
        client.call("imap.id", account="a", fields={"name": "test"})
        assert not fetched(client, "INTERNALDATE").get("defects")
    with flow.own_daemon({}) as daemon:
        account = FakeImap().account()
        account["imap"]["quirks"] = "exchange-status -no-such"
        daemon.write_account("b", account)
        checked = subprocess.run(daemon.command("--test-config"), capture_output=True, text=True)
        same(checked.returncode, 1)
        assert "no quirk of imap is called 'no-such'" in checked.stdout + checked.stderr, checked
