# SPDX-License-Identifier: MIT
"""postern account add: tries an account on the real servers, writes its file, and the daemon takes it over."""

import os
import pathlib
import pty
import stat
import subprocess
import time

from harness import ready, same
from test_command import postern


def arguments(flow, user, name, **more):
    ports = flow.mail.ports
    options = {"email": flow.mail.address(user), "username": user, "smtp": f"localhost:{ports['smtps']}", "imap": f"localhost:{ports['imaps']}",
               "ca-file": flow.mail.ca_file, "allow": "user:root", "dir": str(flow.daemon.folder), "password-file": "-", **more}
    words = [word for key, value in options.items() if value is not None for word in (f"--{key}", str(value))]
    return ["account", "add", *words, name]


def test_account_add(flow):
    """From options and a password on stdin to an account that works"""
    user, client = flow.user(), flow.client()
    name = "added-" + user
    said = postern(flow, *arguments(flow, user, name, pop3=f"localhost:{flow.mail.ports['pop3s']}"), stdin=(flow.mail.users[user] + "\n").encode())
    assert "it can be used now" in said[0] and said[1].count("... ok") == 3, said
    folder = pathlib.Path(flow.daemon.folder)
    for path in (folder / "accounts.d" / f"{name}.conf", folder / f"{name}.password"):
        assert not path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP), oct(path.stat().st_mode)
    assert flow.mail.users[user] not in (folder / "accounts.d" / f"{name}.conf").read_text() + said[0] + said[1]
    same(client.call("imap.status", account=name, mailbox="INBOX")["messages"], 0)
    same(client.call("pop3.stat", account=name)["count"], 0)
    # it is not written over unless asked for
    postern(flow, *arguments(flow, user, name), stdin=(flow.mail.users[user] + "\n").encode(), status=73)
    postern(flow, *arguments(flow, user, name), "--replace", stdin=(flow.mail.users[user] + "\n").encode())
    assert "[pop3]" not in (folder / "accounts.d" / f"{name}.conf").read_text()
    leftover = [path.name for path in folder.iterdir() if path.name.endswith(".new")]
    same(leftover, [])
    for path in (folder / "accounts.d" / f"{name}.conf", folder / f"{name}.password"):
        path.unlink()
    client.call("gateway.reload")


def test_account_add_refused(flow):
    """What does not work is not saved, and the reason is told in plain words"""
    user = flow.user()
    name = "refused-" + user
    text = postern(flow, *arguments(flow, user, name), stdin=b"wrong\n", status=69)[1]
    assert "refuses user name or password" in text and "not saved" in text, text
    text = postern(flow, *arguments(flow, user, name, imap=f"localhost:{flow.mail.ports['imap']}"), stdin=(flow.mail.users[user] + "\n").encode(), status=69)[1]
    assert "a port for STARTTLS" in text, text
    folder = pathlib.Path(flow.daemon.folder)
    assert not (folder / "accounts.d" / f"{name}.conf").exists() and not (folder / f"{name}.password").exists()
    for words, status in ((["account", "add"], 64), (["account", "add", "../x"], 64), (["account", "add", "-e", "nobody", "x"], 64),
                          (["account", "add", "-e", "a@b", "--smtp", "h:99999", "x"], 64), (["account", "add", "-e", "a@b\n[smtp]", "x"], 64),
                          (["account"], 64)):
        postern(flow, *words, "--dir" if len(words) > 1 else "--bad", str(folder), status=status)


def test_account_add_asks(flow):
    """On a terminal it asks for what it was not told, and never shows the password"""
    user = flow.user()
    name, secret = "asked-" + user, flow.mail.users[user]
    words = arguments(flow, user, name, **{"password-file": None, "email": None, "username": None})
    master, slave = pty.openpty()
    process = subprocess.Popen([str(flow.postern), *words], stdin=slave, stdout=slave, stderr=slave,
                               env=dict(os.environ, POSTERN_SOCKET=str(flow.daemon.socket_path)))
    os.close(slave)
    shown, answers = b"", [(b"address: ", flow.mail.address(user)), (b"user name [", user), (b"password: ", secret)]
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if not ready([master], seconds=0.2)[0]:
            continue
        try:
            piece = os.read(master, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
        if answers and answers[0][0] in shown and shown.rstrip(b" ").endswith(b":"):
            os.write(master, answers.pop(0)[1].encode() + b"\n")
    os.close(master)
    same(process.wait(10), 0, shown)
    assert secret.encode() not in shown and b"it can be used now" in shown, shown
    folder = pathlib.Path(flow.daemon.folder)
    same((folder / f"{name}.password").read_text(), secret + "\n")
    for path in (folder / "accounts.d" / f"{name}.conf", folder / f"{name}.password"):
        path.unlink()
    flow.client().call("gateway.reload")
