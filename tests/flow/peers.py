# SPDX-License-Identifier: MIT
"""One list of tests over several real servers.

A test file makes a Cases object for its protocol, and decorates functions of one argument, the peer:

    cases = Cases("imap", __name__)

    @cases.add(needs="QUOTA", otherwise=lambda peer: peer.lacks("QUOTA", "imap.getquotaroot"))
    def quota(peer):
        "Quota roots, usage and limits"
        peer.call("imap.getquotaroot")

Every case becomes one flow test for each server of the protocol. `needs` names what the server must offer (one name or several);
where it does not, `otherwise` is run in its place: it shows the error, or that the same comes about by other means. Without
`otherwise` the case is skipped there. `only` names the servers for which the case is at all.

A peer has a user of its own, an account for that user whose connections go through a recording relay (wire.py), and what was said
on them since the case began. What all cases together said is what doc/servers.md is made from (extensions.py)."""

import functools
import re
import socket
import sys

import harness
import packages
import servers
from harness import Daemon, Flow, MailServer, Skip, check_daemon, same
from wire import Relay

# protocol: {server: its ports, with TLS and with STARTTLS}
PORTS = {
    "smtp": {"postfix": ("smtps", "submission"), "exim": ("exim_smtps", "exim_submission"),
             "opensmtpd": ("opensmtpd_smtps", "opensmtpd_submission")},
    "pop3": {"dovecot": ("pop3s", "pop3"), "courier": ("courier_pop3s", "courier_pop3"), "cyrus": ("cyrus_pop3s", "cyrus_pop3")},
    "imap": {"dovecot": ("imaps", "imap"), "cyrus": ("cyrus_imaps", "cyrus_imap"), "courier": ("courier_imaps", "courier_imap")},
}
TITLES = {"postfix": "Postfix", "exim": "Exim", "opensmtpd": "OpenSMTPD", "dovecot": "Dovecot", "courier": "Courier", "cyrus": "Cyrus"}
MECHANISMS = {"postfix": servers.dovecot.MECHANISMS, "dovecot": servers.dovecot.MECHANISMS,
              **{name: module.MECHANISMS for name, module in servers.FURTHER.items()}}
USERS = 190
all_cases = []      # (protocol, server, name) of every test that was made


class Peers:
    """All the servers in one sandbox, started when the first case wants them, the relays to them, and a daemon whose few accounts
    are quickly read again."""

    def __init__(self, flow):
        self.flow = flow
        self.side = self.daemon = None
        self.wrong = None
        self.relays = {}            # (protocol, server, implicit) -> Relay
        self.passed = set()
        self.offered = {}           # (protocol, server) -> names
        self.users = {}             # name of a case -> its user: the mailboxes of several servers do not meet

    def start(self):
        if self.wrong:
            raise AssertionError(self.wrong)
        if self.side is None:
            further = [name for name, module in servers.FURTHER.items() if packages.ready(module.PACKAGES, name)]
            self.mail = MailServer(users=USERS, kinds=[*servers.BASIC, *further])
            try:
                self.mail.start()
            except Exception as error:
                self.wrong = f"the servers did not start: {error}"
                raise
            self.side = Flow(self.flow.build, self.mail)
        if self.daemon is None:
            self.daemon = Daemon(self.side.binary, self.mail, {}).start()
        return self

    def look_after(self):
        """(what the daemon holds, how long its log is)."""
        return self.daemon.files(), self.daemon.log_path.stat().st_size

    def check(self, before):
        """What a case has done to the daemon is the case's failure, and the next one gets another daemon."""
        harm = check_daemon(self.daemon, *before)
        if harm:
            if self.daemon.alive():
                self.daemon.process.kill()
            self.daemon.stop()
            self.daemon.remove()
            self.daemon = None
            harness.harms.append(harm)
            raise AssertionError(harm)

    def user(self, protocol, server, name):
        key = (protocol, server if protocol == "smtp" else None, name)
        if key not in self.users:
            self.users[key] = self.side.user()
        return self.users[key]

    def relay(self, protocol, server, implicit):
        key = (protocol, server, implicit)
        if key not in self.relays:
            port = self.mail.ports[PORTS[protocol][server][0 if implicit else 1]]
            self.relays[key] = Relay(protocol, ("127.0.0.1", port), self.mail.certificates["good"], self.mail.ca_file, implicit)
        return self.relays[key]

    def stop(self):
        """What was wrong with the daemon's end, or None."""
        wrong = self.daemon.stop() if self.daemon else None
        for relay in self.relays.values():
            relay.close()
        if self.side is not None:
            self.side.silent.close()
            self.mail.stop()
        if self.daemon:
            self.daemon.remove()
        return wrong


def peers_of(flow):
    if getattr(flow, "peers", None) is None:
        flow.peers = Peers(flow)
    return flow.peers.start()


class Peer:
    """One server, for one case."""

    def __init__(self, peers, protocol, server, name):
        self.peers, self.side, self.mail, self.flow = peers, peers.side, peers.mail, peers.flow
        self.protocol, self.server, self.title = protocol, server, TITLES[server]
        self.user = peers.user(protocol, server, name)
        self.address = self.mail.address(self.user)
        self.name = f"{server}-{self.user}"
        self.mechanisms = [name.upper() for name in MECHANISMS[server]]
        self.client = peers.daemon.client()
        self.flow.cleanups.append(self.client.close)
        self.implicit = peers.relay(protocol, server, True)
        self.clear = peers.relay(protocol, server, False)
        self.accounts = []
        self.marks = {relay: relay.mark() for relay in (self.implicit, self.clear)}
        self.account(self.name)

    # -- accounts

    def account(self, name, starttls=False, user=None, sections=None, as_is=False, **keys):
        """An account of this server, by its name; keys are for the protocol's section. As it is: with what makes tests slow."""
        relay = self.clear if starttls else self.implicit
        wanted = dict({"port": relay.port, "implicit_tls": "no" if starttls else "yes"}, **keys)
        if self.server == "cyrus" and "disable" not in keys and not as_is:      # a login that is bound to its TLS goes past no relay; that is what it is for
            wanted["disable"] = " ".join([wanted.get("disable", ""), "AUTH=SCRAM-SHA-256-PLUS AUTH=SCRAM-SHA-1-PLUS"]).strip()
        if self.server == "courier" and self.protocol == "pop3" and not as_is:     # ten seconds, whatever one does
            wanted["disable"] = " ".join([wanted.get("disable", ""), "LOGIN-DELAY"]).strip()
        made = self.side.account(user or self.user, **{self.protocol: wanted}, **(sections or {}))
        if self.server in ("courier", "cyrus"):       # nothing may go to Dovecot by mistake
            for other in {"imap", "pop3"} - {self.protocol}:
                if (other, self.server, True) in self.peers.relays:
                    made[other]["port"] = self.peers.relays[other, self.server, True].port
                else:
                    made[other]["port"] = self.mail.ports[PORTS[other][self.server][0]]
        self.peers.daemon.write_account(name, made)
        self.accounts.append(name)
        self.client.call("gateway.reload")
        return name

    def forget(self):
        """The accounts go with the next one that is made."""
        for name in set(self.accounts):
            (self.peers.daemon.folder / "accounts.d" / f"{name}.conf").unlink()

    # -- calls

    def call(self, method, fds=(), **params):
        return self.client.call(method, fds, **self.params(params))

    def fails(self, what, method, fds=(), **params):
        return self.client.fails(what, method, fds, **self.params(params))

    def begin(self, method, fds=(), **params):
        return self.client.begin(method, fds, **self.params(params))

    def params(self, params):
        return params if "session" in params or "account" in params else dict(params, account=self.name)

    def open(self, **params):
        """The answer of PROTOCOL.open, with the session's id."""
        return self.call(f"{self.protocol}.open", **params)

    # -- what the server offers

    def offers(self, *names):
        """Whether the server names all these extensions to one who is logged in; it is asked once."""
        key = (self.protocol, self.server)
        if key not in self.peers.offered:
            opened = self.open()
            found = {name.upper() for name in opened["extensions" if self.protocol == "smtp" else "capabilities"]}
            if self.protocol == "pop3" and re.search(r"<[^<>\s]+@[^<>\s]+>", opened.get("greeting") or ""):
                found.add("APOP")
            self.call("imap.logout" if self.protocol == "imap" else f"{self.protocol}.quit", session=opened["session"])
            self.peers.offered[key] = found
        return all(name.upper() in self.peers.offered[key] for name in names)

    def lacks(self, extension, method, **params):
        """The call must say that the server lacks the extension."""
        error = self.fails("missing_extension", method, **params)
        assert extension.upper() in str(error.error).upper(), error
        return error

    # -- what was on the wire

    def records(self, relay=None):
        return (relay or self.implicit).since(self.marks[relay or self.implicit])

    def connections(self):
        """How many connections were begun in this case."""
        return sum(record.begun for record in self.records())

    def wire(self, who="C"):
        """All that one side said in this case, on all connections."""
        return b"".join(record.said(who) for relay in (self.implicit, self.clear) for record in self.records(relay))

    def on_wire(self, pattern, who="C"):
        """Every match of the pattern in what was said."""
        return re.findall(pattern, self.wire(who), re.M | re.I)

    def drop(self, reset=False):
        return self.implicit.drop(reset) + self.clear.drop(reset)

    # -- past the daemon

    def put(self, *letters):
        """Messages into the user's INBOX on this server."""
        import imaplib
        import ssl
        port = self.mail.ports[PORTS["imap"][self.server][0]]
        box = imaplib.IMAP4_SSL("localhost", port, ssl_context=ssl.create_default_context(cafile=self.mail.ca_file))
        box.login(self.user, self.mail.users[self.user])
        for letter in letters:
            for option in (socket.TCP_NODELAY, socket.TCP_QUICKACK):        # or each costs a tenth of a second
                box.sock.setsockopt(socket.IPPROTO_TCP, option, 1)
            status, text = box.append("INBOX", None, None, letter)
            assert status == "OK", text
        box.logout()

    def letter(self, subject, body="hello\n", **more):
        return self.side.letter(self.address, subject, body, **more)

    def arrived(self, *subjects):
        """Waits until exactly these messages are in the user's INBOX at Dovecot."""
        same(sorted(self.side.arrived(self.user, len(subjects))), sorted(subjects))


class Cases:
    def __init__(self, protocol, module):
        self.protocol, self.module = protocol, sys.modules[module]

    def add(self, function=None, *, needs=(), otherwise=None, only=None, limit=None):
        if function is None:
            return functools.partial(self.add, needs=needs, otherwise=otherwise, only=only, limit=limit)
        needs = (needs,) if isinstance(needs, str) else tuple(needs)
        for server in PORTS[self.protocol]:
            if only and server not in only:
                continue
            test = self._test(function, server, needs, otherwise)
            if limit:
                test.limit = limit
            setattr(self.module, f"test_{server}_{function.__name__}", test)
            all_cases.append((self.protocol, server, function.__name__))
        return function

    def _test(self, function, server, needs, otherwise):
        def test(flow):
            if server in servers.FURTHER and not packages.ready(servers.FURTHER[server].PACKAGES, server):
                raise Skip(f"{TITLES[server]} is not unpacked (tests/mailserver/mailserver unpack {server})")
            peers = peers_of(flow)
            before = peers.look_after()
            peer = Peer(peers, self.protocol, server, function.__name__)
            run = function
            try:
                if needs and not peer.offers(*needs):
                    run = otherwise
                if run:
                    run(peer)
            finally:
                peer.forget()
                flow.clean_up()
                peers.check(before)
            peers.passed.add((self.protocol, server, function.__name__))
            if not run:
                raise Skip(f"{peer.title} does not offer {' '.join(needs)}")
        test.__doc__ = f"{TITLES[server]}: {(function.__doc__ or function.__name__).strip()}"
        test.__name__ = f"test_{server}_{function.__name__}"
        test.__module__ = self.module.__name__
        return test
