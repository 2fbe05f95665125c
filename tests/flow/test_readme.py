# SPDX-License-Identifier: MIT
"""README.md and doc: every command of the tour and of the recipes is run as it stands, and answers as it says."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from harness import SOURCE, Skip, same

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
    wanted = ["Cron <root@host> backup", "The job failed", "Invoice 2026-0815", "One", "Fwd: invoice", "Lunch", "News",
              "Three megabytes"]
    flow.wait_for(lambda: set(wanted) <= set(flow.subjects("bob")), what="the recipes' mails")
    flow.wait_for(lambda: "Re: invoice for tests" in flow.subjects("ann"), what="the recipes' answer")


def test_operating(flow):
    """What doc/operating.md says can be typed"""
    with tempfile.TemporaryDirectory() as home:
        play(flow, "doc/operating.md", home)


def lines_of(document, word):
    """The lines of its console blocks that hold the word."""
    return [line for language, text in blocks(document) if language == "console" for line in text.splitlines() if word in line]


def test_following(flow):
    """The recipes that wait for mail run a command for it, and end with it"""
    with tempfile.TemporaryDirectory() as home:
        script = pathlib.Path(home) / "on-new-mail"
        script.write_text('#!/bin/sh\necho "$POSTERN_KIND $POSTERN_UIDS" >>seen\ncat >>events\n')
        script.chmod(0o755)
        (pathlib.Path(home) / ".local" / "state").mkdir(parents=True)
        environment = dict(os.environ, POSTERN_SOCKET=str(flow.daemon.socket_path), PATH=f"{flow.build}:{os.environ['PATH']}", HOME=home)
        (watch,), (wait,) = lines_of("doc/recipes.md", "postern watch"), lines_of("doc/recipes.md", "postern wait")
        following = [subprocess.Popen(["bash", "-c", prefix + line], cwd=home, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                     for prefix, line in (("exec ", watch), ("", wait))]
        try:
            # one of them may not be there yet
            for number in range(60):
                flow.put("ann", flow.letter("ann@example.com", f"followed {number}"))
                try:
                    flow.wait_for(lambda: (pathlib.Path(home) / "events").exists() and following[1].poll() is not None, 1)
                    break
                except AssertionError:
                    pass
            said = following[1].communicate(timeout=30)[0]
            same(following[1].returncode, 0, said)
            assert "followed" in said, said
            assert (pathlib.Path(home) / "seen").read_text().startswith("new "), (pathlib.Path(home) / "seen").read_text()
            assert '"kind":"new"' in (pathlib.Path(home) / "events").read_text()
            flow.wait_for((pathlib.Path(home) / ".local" / "state" / "ann.cursor").exists, what="the cursor")
        finally:
            for process in following:
                process.kill()
                process.wait()
                process.stdout.close()


def manual_examples(page):
    """The lines of a manual page's section of examples, as they are shown."""
    section = re.split(r"^\.SH EXAMPLES?\n", (SOURCE / "man" / page).read_text(), flags=re.M)[1].split("\n.SH ")[0]
    text = "\n".join(re.findall(r"^\.nf\n(.*?)^\.fi", section, re.S | re.M))
    return re.sub(r"\\(.)", lambda found: {"e": "\\"}.get(found[1], found[1]), text)


def test_manual_command(flow):
    """The examples of postern(1) and posternd(8) work as they stand"""
    user = flow.user()
    flow.put(user, flow.letter(flow.mail.address(user), "for the manual", attachment=b"%PDF"))
    with flow.own_daemon({"work": flow.account(user)}) as daemon, tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ, POSTERN_SOCKET=str(daemon.socket_path), PATH=f"{flow.build}:{os.environ['PATH']}", PAGER="cat", HOME=folder)
        with daemon.client() as client:
            names = {"UID4711": client.call("pop3.list", account="work")["messages"][0]["id"],
                     "4711": str(client.call("imap.search", account="work", query="ALL")["uids"][0])}
        lines = manual_examples("postern.1").splitlines()
        assert len(lines) >= 6, lines
        lines.append(manual_examples("posternd.8").replace("/run/postern/postern.sock", str(daemon.socket_path)))
        for line in lines:
            for told, real in names.items():
                line = line.replace(told, real)
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
            same(done.returncode, 0, f"{line}\n{done.stdout}{done.stderr}")
        same('"result":{}' in done.stdout, True, done.stdout)
        same(len([name for name in os.listdir(folder) if name == "mail.eml"]), 1)


def test_manual_library(flow):
    """The example of libpostern(3) is C"""
    compiler = shutil.which("cc")
    if not compiler:
        raise Skip("no C compiler")
    text = "#include <postern.h>\n#include <stdio.h>\nint main(void)\n{\n" + manual_examples("libpostern.3") + "\nreturn 0;\n}\n"
    done = subprocess.run([compiler, "-Wall", "-Werror", "-fsyntax-only", f"-I{SOURCE}/src/client", "-x", "c", "-"], input=text, capture_output=True, text=True, timeout=60)
    same(done.returncode, 0, done.stderr)


def manual_configuration(text):
    """The example of a generated page, as its configuration."""
    section = text.split(".SH EXAMPLE\n")[1].split(".fi")[0]
    return section[section.index("["):].replace("\n.RE\n", "\n")


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


def test_manual_configuration(flow):
    """The account that postern-account(5) shows is a good one, and so is that of doc/operating.md"""
    page = flow.build / "man" / "postern-account.5"
    if not page.exists():
        raise Skip("the manual page was not made")
    wanted = [text for language, text in blocks("doc/operating.md") if language == "ini" and "accounts.d" in text]
    for sample in [manual_configuration(page.read_text()), *wanted]:
        daemon = flow.own_daemon({}, environment={"CREDENTIALS_DIRECTORY": "/nonexistent"})
        try:
            (daemon.folder / "accounts.d" / "work.password").write_text("x\n")
            (daemon.folder / "accounts.d" / "work.password").chmod(0o600)
            sample = re.sub(r"(user|group):(?!root)[\w-]+", r"\1:root", sample) + ("" if "username" in sample else "username = x\n")
            path = daemon.write_account("work", {})
            path = daemon.folder / "accounts.d" / "work.conf"
            path.write_text(sample)
            path.chmod(0o600)
            done = subprocess.run(daemon.command("--test-config"), capture_output=True, text=True, timeout=20,
                                  env=dict(os.environ, **daemon.environment))
            same((done.returncode, done.stdout + done.stderr), (0, ""), sample)
        finally:
            daemon.remove()


def test_paths(flow):
    """What README.md and HACKING.md name is there"""
    for document in ("README.md", "HACKING.md"):
        for path in re.findall(r"(?:\./|\b)((?:tests|src|man|systemd)/[\w./]+\w|quickstart|runtests|autogen\.sh|[A-Z_]+\.md)", (SOURCE / document).read_text()):
            if "…" not in path and "*" not in path and not path.endswith("api_") and not path.endswith("method_"):
                assert (SOURCE / path).exists() or list(SOURCE.glob(path + "*")), f"{document} names {path}"
