# SPDX-License-Identifier: MIT
"""Configuration: reading, refusing, reloading."""

import os
import re
import signal
import socket
import subprocess
import time

from harness import INVALID_PARAMS, RpcError, same


def run(daemon, *arguments, **more):
    return subprocess.run(daemon.command(*arguments), capture_output=True, text=True, timeout=20, **more)


def test_version(flow):
    """posternd tells its version"""
    told = subprocess.run([flow.binary, "--version"], capture_output=True, text=True, timeout=10)
    same(told.returncode, 0)
    assert flow.client().call("gateway.status")["version"] in told.stdout, told.stdout


def test_test_config(flow):
    """--test-config is silent about a good configuration, and names every mistake of a bad one with its line"""
    daemon = flow.own_daemon({"ann": flow.account("ann")})
    try:
        good = run(daemon, "--test-config")
        same(good.returncode, 0, good.stderr)
        daemon.write_account("bad", {"account": {"email": "x", "allow": "user:root"}, "smtp": {"host": "localhost", "port": "many"},
                                     "imap": {"hots": "localhost"}, "pop4": {"host": "x"}})
        (daemon.folder / "accounts.d" / "twice.conf").write_text("[account]\nemail = a@example.com\nemail = b@example.com\n[smtp]\nhost = x\n[smtp]\n")
        bad = run(daemon, "--test-config")
        same(bad.returncode, 1)
        said = bad.stdout + bad.stderr
        for pattern in (r"bad\.conf:\d+: .*port", r"bad\.conf:\d+: .*hots", r"bad\.conf:\d+: .*pop4", r"twice\.conf:3: .*email", r"twice\.conf:\d+: .*smtp"):
            assert re.search(pattern, said), f"{pattern} is not in:\n{said}"
        ended = run(daemon)
        assert ended.returncode not in (0, None) and "bad.conf" in ended.stdout + ended.stderr, "it started with a bad configuration"
    finally:
        daemon.remove()


def test_small_print(flow):
    """Comments, semicolons and hashes in values, spaces, CRLF and long lines are read as documented"""
    word = 'pa;ss #w"ord\\n'
    daemon = flow.own_daemon({})
    long_name = "Ann " + "x" * 900
    text = (f"# comment\n; another\n[account]\nemail=ann@example.com\n  \nname   =   {long_name}  \nallow = user:root\npermit = send read write\n"
            f"[auth]\nusername = ann\npassword = {word}\n[imap]\nhost = localhost\n[smtp]\nhost = localhost\n")
    path = daemon.folder / "accounts.d" / "odd.conf"
    path.write_text(text)
    path.chmod(0o600)
    with daemon:
        with daemon.client() as client:
            account = client.call("account.list")["accounts"][0]
            same((account["name"], account["email"]), ("odd", "ann@example.com"))
            client.fails(INVALID_PARAMS, "pop3.list", account="odd")      # no such section


def test_secret_files(flow):
    """A file that holds a secret must not be readable by others"""
    daemon = flow.own_daemon({"ann": flow.account("ann")})
    try:
        (daemon.folder / "accounts.d" / "ann.conf").chmod(0o644)
        bad = run(daemon, "--test-config")
        same(bad.returncode, 1, "a password in a file for all to read")
        assert "ann.conf" in bad.stdout + bad.stderr
        secret = daemon.folder / "word"
        secret.write_text(flow.mail.users["ann"] + "\n")
        secret.chmod(0o644)
        daemon.write_account("ann", flow.account("ann", auth={"password": None, "password_file": secret}))
        same(run(daemon, "--test-config").returncode, 1, "a password file for all to read")
        secret.chmod(0o600)
        same(run(daemon, "--test-config").returncode, 0)
    finally:
        daemon.remove()


def test_secrets(flow):
    """Passwords come from a file, a command, a credential; tokens from a file and a command"""
    word, token = flow.mail.users["ann"], flow.mail.token("ann")
    daemon = flow.own_daemon({})
    folder = daemon.folder / "secrets"
    folder.mkdir(mode=0o700)
    for name, text in (("word", word + "\n"), ("token", token + "\n"), ("json", '{"access_token": "%s", "expires_in": 3600}\n' % token)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    ways = {"file": {"password_file": folder / "word"}, "command": {"password_command": f"cat {folder}/word"}, "credential": {"credential": "word"},
            "token-file": {"token_file": folder / "token"}, "token-command": {"token_command": f"cat {folder}/token"},
            "token-json": {"token_command": f"cat {folder}/json"}}
    for name, keys in ways.items():
        daemon.write_account(name, flow.account("ann", auth=dict(keys, password=None)))
    daemon.environment = {"CREDENTIALS_DIRECTORY": str(folder)}
    with daemon:
        with daemon.client() as client:
            for name in ways:
                assert client.call("imap.list", account=name)["mailboxes"], name
                same(client.call("smtp.test_connection", account=name)["ok"], True, name)
        assert word not in daemon.log_text() and token not in daemon.log_text()


def test_reload(flow):
    """A reload takes new accounts in and old ones out, without dropping what is in flight"""
    with flow.own_daemon({"ann": flow.account("ann"), "slow": flow.account("ann", imap={"port": flow.silent.getsockname()[1]})}) as daemon:
        with daemon.client() as client:
            client.call("imap.list", account="ann")
            slow = client.begin("imap.list", account="slow", timeout=1500)
            daemon.write_account("bob", flow.account("bob"))
            (daemon.folder / "accounts.d" / "slow.conf").unlink()
            client.call("gateway.reload")
            assert client.call("imap.list", account="bob")["mailboxes"]
            client.fails("no_such_account", "imap.list", account="slow")
            try:
                client.finish(slow)
                raise AssertionError("the silent server answered")
            except RpcError as error:
                assert error.kind in ("timeout", "unavailable"), error
            mark = flow.mail.log_sizes()
            client.call("imap.list", account="ann")
            same(flow.mail.connections("imaps", mark), 0, "new connections for an account that did not change")


def test_bad_reload(flow):
    """A bad configuration is refused whole, and the old one stays"""
    with flow.own_daemon({"ann": flow.account("ann")}) as daemon:
        with daemon.client() as client:
            daemon.write_account("bob", flow.account("bob"))
            daemon.write_account("bad", {"account": {"nonsense": "1"}})
            try:
                client.call("gateway.reload")
                raise AssertionError("a bad configuration was taken")
            except RpcError as error:
                assert "bad.conf" in str(error.error), error
            client.fails("no_such_account", "imap.list", account="bob")
            assert client.call("imap.list", account="ann")["mailboxes"]
            daemon.process.send_signal(signal.SIGHUP)
            flow.wait_for(lambda: daemon.log_text().count("bad.conf") >= 1, what="a line in the log")
            assert client.call("imap.list", account="ann")["mailboxes"]
            (daemon.folder / "accounts.d" / "bad.conf").unlink()
            daemon.process.send_signal(signal.SIGHUP)
            flow.wait_for(lambda: len(client.call("account.list")["accounts"]) == 2, what="the reload by SIGHUP")
            assert client.call("imap.list", account="bob")["mailboxes"]


def test_changed_password(flow):
    """A refused log-in is tried again after the configuration changed"""
    with flow.own_daemon({"ann": flow.account("ann", auth={"password": "wrong"})}) as daemon:
        with daemon.client() as client:
            client.fails("auth", "imap.list", account="ann")
            daemon.write_account("ann", flow.account("ann"))
            client.call("gateway.reload")
            assert client.call("imap.list", account="ann")["mailboxes"]


def test_second_daemon(flow):
    """A second daemon does not take the first one's socket; a stale socket is replaced"""
    with flow.own_daemon({"ann": flow.account("ann")}) as daemon:
        second = run(daemon)
        assert second.returncode != 0, "a second daemon started on the same socket"
        with daemon.client() as client:
            same(client.call("gateway.ping"), {})
    daemon = flow.own_daemon({})
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(daemon.socket_path))
    stale.close()
    with daemon:
        with daemon.client() as client:
            same(client.call("gateway.ping"), {})


def test_socket_option(flow):
    """--socket goes over the configuration"""
    daemon = flow.own_daemon({})
    daemon.socket_path = daemon.folder / "other"
    daemon.command = lambda *more: [str(daemon.binary), "--config", str(daemon.config_path), "--socket", str(daemon.socket_path), *more]
    with daemon:
        assert not (daemon.folder / "socket").exists()


def test_socket_activation(flow):
    """A socket handed over by the service manager is used, and readiness is told"""
    daemon = flow.own_daemon({"ann": flow.account("ann")})
    notify_path = daemon.folder / "notify"
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(notify_path))
    notify.settimeout(10)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(daemon.socket_path))
    listener.listen(64)
    environment = dict(os.environ, LISTEN_FDS="1", NOTIFY_SOCKET=str(notify_path))
    with open(daemon.log_path, "ab") as log:
        # the shell knows its own pid, and keeps it through exec
        daemon.process = subprocess.Popen(["sh", "-c", 'LISTEN_PID=$$ exec "$@" 3<&0', "sh", *daemon.command()], env=environment, stdin=listener,
                                          stdout=log, stderr=log)
    try:
        states = b""
        while b"READY=1" not in states:
            states += notify.recv(4096) + b"\n"
        assert b"STATUS=Serving 1 account: 0 connections to servers" in states, states
        with daemon.client() as client:
            assert client.call("imap.list", account="ann")["mailboxes"]
            daemon.process.send_signal(signal.SIGHUP)
            states = b""
            while b"READY=1" not in states:
                states += notify.recv(4096) + b"\n"
        told = re.match(rb"(?s)(?:STATUS=[^\n]*\n)*RELOADING=1\nMONOTONIC_USEC=(\d+)\n.*READY=1\nSTATUS=Serving 1 account: 1 connection to servers, 1 client\n", states)
        assert told and 0 <= time.monotonic() - int(told.group(1)) / 1e6 < 60, states
        daemon.process.send_signal(signal.SIGTERM)
        same(daemon.process.wait(60), 0)
        assert daemon.socket_path.exists(), "the service manager's socket was removed"
    finally:
        if daemon.process.poll() is None:
            daemon.process.kill()
            daemon.process.wait()
        notify.close()
        listener.close()
        daemon.remove()


def test_end(flow):
    """SIGTERM ends the daemon within 10 s, with calls in flight, and removes its socket"""
    daemon = flow.own_daemon({"slow": flow.account("ann", imap={"port": flow.silent.getsockname()[1]}), "ann": flow.account("ann")})
    with daemon:
        with daemon.client() as client:
            client.call("imap.list", account="ann")
            client.begin("imap.list", account="slow")
            began = time.monotonic()
            same(daemon.stop(), None, "its end")
            assert time.monotonic() - began < 10
            answers = client.until_closed(5)
            assert all(answer["error"]["data"]["kind"] in ("unavailable", "cancelled") for answer in answers), answers
        assert not daemon.socket_path.exists()


def test_inline_options(flow):
    """Whoever may use inline options names the server in the call"""
    client = flow.client()
    options = {"host": "localhost", "port": flow.mail.ports["imaps"], "implicit_tls": True, "username": "ann", "password": flow.mail.users["ann"]}
    with open(flow.mail.ca_file) as file:
        authority = file.read()
    client.fails("tls", "imap.list", options=options)
    assert client.call("imap.list", options=dict(options, ca=authority))["mailboxes"]
    client.fails(INVALID_PARAMS, "imap.list", options=dict(options, ca_file=flow.mail.ca_file))
    client.fails(INVALID_PARAMS, "imap.list", options=dict(options, hots="x"))
    client.fails(INVALID_PARAMS, "imap.list", options=options, account="ann")
