# SPDX-License-Identifier: MIT
"""doc/servers.md: which extension was exercised against which server, made from what all cases of peers.py said."""

import extensions
import packages
import servers
from peers import PORTS, TITLES

PACKAGE = {"postfix": "postfix", "exim": "exim4-base", "opensmtpd": "opensmtpd", "dovecot": "dovecot-core", "courier": "courier-base", "cyrus": "cyrus-common"}
NAMES = {"smtp": "SMTP", "pop3": "POP3", "imap": "IMAP"}
USED, READ, OFFERED, ABSENT = "exercised", "read", "offered", "–"
# nothing that one could use: the daemon heeds what they say
READ_ONLY = {"EXPIRE", "IMPLEMENTATION", "LOGIN-DELAY", "RESP-CODES", "AUTH-RESP-CODE", "ENHANCEDSTATUSCODES", "IMAP4REV1", "APPENDLIMIT", "RIGHTS", "CHILDREN"}
BEGIN = """\
# Servers that Postern is tested against

Made by `tests/flow/run --build DIR --table servers_` from what was said on the connections between the daemon and the servers while the
lists of `tests/flow/test_servers_*.py` ran; `tests/flow/test_servers_table.py` fails when it is not so any more. The servers are
Debian's, configured in `tests/mailserver/servers/`.

**exercised**: the server offers it, the daemon used it, and the server took it. **read**: it only says something, which the daemon
heeds. **offered**: the server offers it, and no test of
these lists uses it (others may, against servers of the tests' own). **–**: the server does not offer it: there the same lists show that
it is done by other means, or that the error says which extension is missing.
"""


def observed(peers):
    """{protocol: {server: (offered, used)}}."""
    found = {protocol: {server: (set(), set()) for server in PORTS[protocol]} for protocol in PORTS}
    for (protocol, server, _), relay in peers.relays.items():
        for record in list(relay.records):
            offered, used = extensions.dissect(protocol, record)
            found[protocol][server][0].update(offered)
            found[protocol][server][1].update(used)
    return found


def version(server):
    """The upstream version of the unpacked package, from its change log."""
    tree = packages.tree(server if server in servers.FURTHER else "servers")
    return packages.version(tree, PACKAGE[server])


def versions():
    return {TITLES[server]: version(server) for server in PACKAGE}


def without_figures(name):
    """Names that carry a limit or version are one extension."""
    return name.split("=")[0] if name.startswith(("APPENDLIMIT=", "RIGHTS=")) else name


def render(peers):
    found = observed(peers)
    text = BEGIN + "\n| server | version |\n| --- | --- |\n" + "".join(f"| {name} | {number} |\n" for name, number in versions().items())
    for protocol, by_server in found.items():
        heads = [TITLES[server] for server in by_server]
        rows = {}
        for server, (offered, used) in by_server.items():
            offered, used = {without_figures(name) for name in offered}, {without_figures(name) for name in used}
            for name in offered | used:
                word = USED if name in used else READ if name in READ_ONLY else OFFERED
                if name in offered or protocol != "imap":       # IMAP's commands are known beforehand, and some do without them
                    rows.setdefault(name, {})[server] = word
        text += f"\n## {NAMES[protocol]}\n\n| extension | " + " | ".join(heads) + " |\n| --- |" + " --- |" * len(heads) + "\n"
        for name in sorted(rows):
            text += f"| {name} | " + " | ".join(rows[name].get(server, ABSENT) for server in by_server) + " |\n"
    return text
