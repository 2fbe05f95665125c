# SPDX-License-Identifier: MIT
"""smtp.send through Exim, in a sandbox of its own."""

import contextlib

import packages
import servers
from harness import Flow, MailServer, Skip, memfd, same

MECHANISMS = ("PLAIN", "sasl-login", "CRAM-MD5")


@contextlib.contextmanager
def exim(flow):
    """(a flow whose accounts send through Exim, a client of its daemon)."""
    if not packages.ready(servers.ALL["exim"].PACKAGES, "exim"):
        raise Skip("Exim is not unpacked (tests/mailserver/mailserver unpack exim)")
    with MailServer(users=12, kinds=["dovecot", "postfix", "exim"]) as mail:
        side = Flow(flow.build, mail)
        try:
            accounts = {user: side.account(user, smtp={"port": mail.ports["exim_smtps"]}) for user in mail.users}
            starttls = {"port": mail.ports["exim_submission"], "implicit_tls": "no"}
            accounts["starttls"] = side.account("ann", smtp=starttls)
            accounts["wrong"] = side.account("ann", smtp=starttls, auth={"password": "not-this"})
            for name in MECHANISMS:
                accounts[f"by-{name.lower()}"] = side.account("ann", smtp=starttls, auth={"method": name})
            with side.own_daemon(accounts) as daemon, daemon.client() as client:
                yield side, client
        finally:
            side.silent.close()


def message(to, subject, **more):
    return dict({"from": "ann@example.com", "to": to, "subject": subject, "text": "hello\n"}, **more)


def test_exim(flow):
    """Exim: mails small and big, refusals, DSN, the null sender, STARTTLS, mechanisms, a wrong password, a warm connection"""
    with exim(flow) as (side, client):
        user = side.user()
        address = side.mail.address(user)
        opened = client.call("smtp.open", account=user)
        for name in ("SIZE", "8BITMIME", "DSN", "PIPELINING", "CHUNKING", "SMTPUTF8"):
            assert name in opened["extensions"], opened
        client.call("smtp.quit", session=opened["session"])
        mark = side.mail.log_sizes()
        same(client.call("smtp.send", account=user, message=message(address, "small"))["accepted"], [address])
        client.call("smtp.send", account=user, message=message(
            address, "attached", attachments=[{"content": {"base64": "AAEC"}, "filename": "a.bin"}]))
        result = client.call("smtp.send", account=user, message=message([address, "nobody@example.com", "later@example.com"], "some"))
        same((result["accepted"], {one["address"]: one["reply"]["code"] for one in result["rejected"]}),
             ([address], {"nobody@example.com": 550, "later@example.com": 451}))
        error = client.fails("rejected", "smtp.send", account=user, message=message("nobody@example.com", "none"))
        same((error.data["stage"], error.data["outcome"]), ("rcpt", "none"))
        client.call("smtp.send", account=user, message=message(address, "eight", text="Grüße\n" * 20))
        client.call("smtp.send", account=user, message=message(address, "null"), envelope={"from": "", "to": [address]})
        client.call("smtp.send", account=user, message=message(address, "reported"),
                    envelope={"from": "ann@example.com", "to": [address], "notify": ["failure"], "ret": "hdrs", "envid": "e+1=x"})
        big = side.letter(address, "big", ".dotted line of the big message\n" * 160000)
        client.call("smtp.send", fds=[memfd(big)], account=user, raw={"fd": 0}, envelope={"from": "ann@example.com", "to": [address]})
        connections = side.mail.log_text("exim-main", mark["exim-main"]).count("SMTP connection from [127.0.0.1] (TCP/IP")
        assert connections == 1, f"{connections} connections"
        names = ["small", "attached", "some", "eight", "null", "reported", "big"]
        same(sorted(side.arrived(user, len(names))), sorted(names))
        with side.mailbox(user, True) as box:
            number = box.search(None, "SUBJECT", "big")[1][0].decode()
            got = box.fetch(number, "(BODY.PEEK[TEXT])")[1][0][1]
            same(got.count(b"\r\n.dotted line of the big message") + 1, 160000, "lines")
        client.call("smtp.send", account="starttls", message=message(address, "starttls"))
        for name in MECHANISMS:
            same(client.call("smtp.test_connection", account=f"by-{name.lower()}"), {"ok": True}, name)
        client.fails("auth", "smtp.send", account="wrong", message=message(address, "never"))
