# SPDX-License-Identifier: MIT
"""One module per kind of server. Each has

    PACKAGES   the Debian packages to unpack
    ACCOUNTS   names of the system users that it runs under (numbers are given out by the instance)
    PORTS      {name: meaning} of the loopback ports that it listens on
    configure(instance) -> [{"name", "command", "environment", "output"}]

Each of the FURTHER servers has a tree of its own in the cache, since mail servers replace each other's files, and names in
NEEDS the servers that it works with, in MECHANISMS how users log in, and in PLACES the paths that it has compiled in: in the
sandbox they are folders of the instance (instance.place(path)).

configure() writes everything below instance.folder and returns the processes to start in the foreground. What it
reads from the instance is documented in mailserver.py."""

from . import courier, cyrus, dovecot, exim, opensmtpd, postfix

BASIC = {"dovecot": dovecot, "postfix": postfix}       # what every test has
FURTHER = {"courier": courier, "cyrus": cyrus, "exim": exim, "opensmtpd": opensmtpd}      # started only where a test asks for them
ALL = {**BASIC, **FURTHER}


def packages():
    return [name for module in BASIC.values() for name in module.PACKAGES]
