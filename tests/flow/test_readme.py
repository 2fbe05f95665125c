# SPDX-License-Identifier: MIT
"""README.md and doc: every command of the tour and of the recipes is run as it stands, and answers as it says."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from harness import SOURCE, Skip

TEXT = (SOURCE / "README.md").read_text()
BOUNCE = b"""From: MAILER-DAEMON@example.com\r
To: bob@example.com\r
Subject: Undelivered Mail Returned to Sender\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=delivery-status; boundary=b\r
\r
--b\r
\r
It did not arrive.\r
--b\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; mail.example.com\r
\r
Final-Recipient: rfc822; gone@example.net\r
Action: failed\r
Status: 5.1.1\r
--b--\r
"""


def tour():
    """[(commands, expected answer or None)]"""
    section = TEXT[TEXT.index("## A tour"):TEXT.index("### Large messages")]
    return re.findall(r"```sh\n(.*?)```\n(?:```json\n(.*?)```)?", section, re.S)


def run(flow, commands, **more):
    environment = dict(os.environ, POSTERN_SOCKET=str(flow.daemon.socket_path), PATH=f"{flow.build}:{os.environ['PATH']}", **more)
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", commands], env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, f"{commands}\nended with {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


def answers_as_told(found, told):
    pattern = ".*".join(map(re.escape, told.strip().split("…")))
    return re.fullmatch(pattern, found.strip(), re.S)


def test_tour(flow):
    """printf and socat send a mail and read it back, as the tour says"""
    steps = [(commands, told) for commands, told in tour() if told]
    assert len(steps) >= 4, steps
    for commands, told in steps:
        found = run(flow, commands)
        assert answers_as_told(found, told), f"{commands}\ntold:  {told}\nfound: {found}"


def test_tour_command(flow):
    """The tour's lines with the postern command work"""
    if not flow.postern.exists():
        raise Skip("postern was not built")
    steps = [commands for commands, told in tour() if not told]
    assert steps and all("postern " in commands for commands in steps)
    for commands in steps:
        run(flow, commands)


def blocks(document):
    """[(language, text)] of its fenced blocks."""
    return re.findall(r"```(\w+)\n(.*?)```", (SOURCE / document).read_text(), re.S)


def play(flow, document, home):
    """Runs what is a command, sends what is a request; what follows as JSON is the answer."""
    asked = found = None
    for language, text in blocks(document):
        if language == "sh":
            run(flow, text, HOME=home)
        elif language == "json" and '"method"' in text:
            asked, found = text, run(flow, 'socat -t 30 - "UNIX-CONNECT:$POSTERN_SOCKET" <<<"$REQUEST"', REQUEST=text.strip())
        elif language == "json":
            assert asked and answers_as_told(found, text), f"{document}: {asked}\ntold:  {text}\nfound: {found}"
            asked = None
        else:
            assert language in ("ini", "console"), f"{document}: a block of {language}"


def test_recipes(flow):
    """Every recipe works as it stands"""
    if not shutil.which("jq"):
        raise Skip("jq is not installed")
    for letter in (flow.letter("bob@example.com", "invoice for tests", attachment=b"%PDF"), BOUNCE):
        flow.put("bob", letter)
    with tempfile.TemporaryDirectory() as home:
        play(flow, "doc/recipes.md", home)
        assert (pathlib.Path(home) / "invoices").iterdir(), "no attachment was saved"
    wanted = ["Cron <root@host> backup", "The job failed", "Invoice 2026-0815", "One", "Three megabytes"]
    flow.wait_for(lambda: set(wanted) <= set(flow.subjects("bob")), what="the recipes' mails")


def test_operating(flow):
    """What doc/operating.md says can be typed"""
    with tempfile.TemporaryDirectory() as home:
        play(flow, "doc/operating.md", home)


def test_keys(flow):
    """The keys that doc names are keys of the configuration"""
    keys = set(re.findall(r'^    \{"(\w+)"', (SOURCE / "src/daemon/config/config_keys.c").read_text(), re.M))
    assert len(keys) > 60, keys
    for _, text in blocks("doc/operating.md"):
        for key in re.findall(r"^([a-z_]+) = ", text, re.M):
            assert key in keys, key


def test_configuration(flow):
    """The configuration that README.md shows is a good one"""
    sample = re.search(r"```ini\n(.*?)```", TEXT, re.S).group(1)
    daemon = flow.own_daemon({})
    try:
        secret = daemon.folder / "work.password"
        secret.write_text("x\n")
        secret.chmod(0o600)
        path = daemon.folder / "accounts.d" / "work.conf"
        path.write_text(sample.replace("/etc/postern/work.password", str(secret)).replace("user:ann group:staff", "user:root group:root"))
        path.chmod(0o600)
        done = subprocess.run(daemon.command("--test-config"), capture_output=True, text=True, timeout=10)
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        daemon.remove()


def test_paths(flow):
    """What README.md and HACKING.md name is there"""
    for document in ("README.md", "HACKING.md"):
        for path in re.findall(r"(?:\./|\b)((?:tests|src|man|systemd)/[\w./]+\w|quickstart|runtests|autogen\.sh|[A-Z_]+\.md)", (SOURCE / document).read_text()):
            if "…" not in path and "*" not in path and not path.endswith("api_") and not path.endswith("method_"):
                assert (SOURCE / path).exists() or list(SOURCE.glob(path + "*")), f"{document} names {path}"
