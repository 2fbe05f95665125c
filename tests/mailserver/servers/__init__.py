# SPDX-License-Identifier: MIT
"""One module per kind of server. Each has

    PACKAGES   the Debian packages to unpack
    ACCOUNTS   names of the system users that it runs under (numbers are given out by the instance)
    PORTS      {name: meaning} of the loopback ports that it listens on
    configure(instance) -> [{"name", "command", "environment", "output"}]

configure() writes everything below instance.folder and returns the processes to start in the foreground. What it
reads from the instance is documented in mailserver.py."""

from . import dovecot, postfix

ALL = {"dovecot": dovecot, "postfix": postfix}


def packages():
    return [name for module in ALL.values() for name in module.PACKAGES]
