# SPDX-License-Identifier: MIT
"""README.md: every command of the tour is run as it stands, and answers as it says."""

import os
import re
import subprocess

from harness import SOURCE, Skip

TEXT = (SOURCE / "README.md").read_text()


def tour():
    """[(commands, expected answer or None)]"""
    section = TEXT[TEXT.index("## A tour"):TEXT.index("### Large messages")]
    return re.findall(r"```sh\n(.*?)```\n(?:```json\n(.*?)```)?", section, re.S)


def run(flow, commands):
    environment = dict(os.environ, POSTERN_SOCKET=str(flow.daemon.socket_path), PATH=f"{flow.build}:{os.environ['PATH']}")
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
