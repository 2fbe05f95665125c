# SPDX-License-Identifier: MIT
"""The examples of doc/examples, each run as it stands."""

import os
import pathlib
import shutil
import subprocess

from harness import Skip, same

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "doc" / "examples"
LANGUAGES = {"mail.py": ["python3"], "mail.php": ["php"], "mail.js": ["node"], "mail.pl": ["perl"], "mail.sh": ["socat", "jq"]}


def start(flow, *command, **more):
    environment = dict(os.environ, POSTERN_SOCKET=str(flow.daemon.socket_path))
    return subprocess.Popen([str(word) for word in command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


def run(flow, *command, text=""):
    process = start(flow, *command, stdin=subprocess.PIPE)
    out, err = process.communicate(text, timeout=60)
    same(process.returncode, 0, f"{command}: {err[-500:]}")
    return out


def test_languages(flow):
    """A mail sent and a mailbox listed from Python, PHP, Node.js, Perl and the shell, without any library"""
    missing = []
    for name, needs in LANGUAGES.items():
        if not all(shutil.which(need) for need in needs):
            missing.append(name)
            continue
        user = flow.user()
        flow.put(user, flow.letter("x@example.com", "already there"))
        out = run(flow, EXAMPLES / name, user, flow.mail.address(user))
        lines = out.splitlines()
        assert lines[0].startswith("sent as ") and "@" in lines[0] and "1 already there" in lines, f"{name}: {out}"
        same(len(flow.arrived(user, 2)), 2, name)
    same(sorted(set(LANGUAGES) - set(missing)) != [], True)
    if missing:
        raise Skip("not installed: what runs " + " ".join(missing))


def program(flow, name):
    path = pathlib.Path(flow.build) / "doc" / "examples" / name
    if not path.exists():
        raise Skip("the examples were not compiled (make check compiles them)")
    return path


def test_c(flow):
    """The C examples: send with a file, fetch as a stream, watch in a loop"""
    user = flow.user()
    watching = start(flow, program(flow, "watch"), user, "1")
    same(watching.stderr.readline(), "watching\n")
    out = run(flow, program(flow, "send"), user, flow.mail.address(user), "From C", EXAMPLES / "send.c", text="See the source.\n")
    assert out.startswith("sent as "), out
    out, err = watching.communicate(timeout=30)
    same((watching.returncode, "new " in out), (0, True), out + err)
    out = run(flow, program(flow, "fetch"), user)
    assert "From C" in out, out
