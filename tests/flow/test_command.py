# SPDX-License-Identifier: MIT
"""The postern command, against the daemon."""

import email
import email.policy
import json
import os
import pty
import subprocess
import tempfile

from harness import same


def postern(flow, *arguments, stdin=b"", terminal=False, status=0, **more):
    """Its output; it must end with that status."""
    environment = dict(os.environ, POSTERN_SOCKET=str(flow.daemon.socket_path), TERM="xterm", COLUMNS="100", **more)
    command = [str(flow.postern), *map(str, arguments)]
    if not terminal:
        done = subprocess.run(command, input=stdin, env=environment, capture_output=True, timeout=60)
        same(done.returncode, status, f"{command}: {(done.stderr or done.stdout)[-500:]!r}")
        return done.stdout.decode(), done.stderr.decode()
    master, slave = pty.openpty()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    output = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:
            break
        if not part:
            break
        output += part
    os.close(master)
    same(process.wait(30), status, output[-500:])
    return output.decode(), ""


def test_call(flow):
    """Any method with its parameters; JSON when not on a terminal"""
    same(json.loads(postern(flow, "gateway.ping")[0]), {})
    answer = json.loads(postern(flow, "mail.build", 'message:={"from":"a@example.com","to":"b@example.com","text":"x"}', "content=base64")[0])
    assert "base64" in answer["raw"]


def test_files(flow):
    """name=@file goes as a descriptor, --output saves a content"""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "message.eml")
        with open(path, "wb") as file:
            file.write(b"Subject: of a file\r\n\r\n" + b"x" * 100000 + b"\r\n")
        same(json.loads(postern(flow, "mail.parse", f"raw=@{path}")[0])["subject"], "of a file")
        user = flow.user()
        flow.put(user, flow.letter("x@example.com", "to be saved", "hello " * 1000))
        saved = os.path.join(folder, "saved.eml")
        postern(flow, "-o", saved, "imap.fetch", f"account={user}", "uids:=[1]", 'items:=["BODY.PEEK[]"]')
        with open(saved, "rb") as file:
            assert b"Subject: to be saved\r\n" in file.read()


def test_send(flow):
    """postern send: addresses, subject, a text from stdin, files"""
    user = flow.user()
    with tempfile.NamedTemporaryFile(suffix=".bin") as file:
        file.write(bytes(range(256)) * 100)
        file.flush()
        postern(flow, "send", "-a", user, "-s", "by hand", "--attach", file.name, "-f", "ann@example.com", flow.mail.address(user), stdin="grüß dich\n".encode())
    same(flow.arrived(user), ["by hand"])
    with flow.mailbox(user, True) as box:
        mail = email.message_from_bytes(box.fetch("1", "(BODY.PEEK[])")[1][0][1], policy=email.policy.default)
        same(mail.get_body().get_content().strip(), "grüß dich")
        same([part.get_content() for part in mail.iter_attachments()], [bytes(range(256)) * 100])


def test_sendmail(flow):
    """postern sendmail: the recipients of the command line, or with -t of the header"""
    one, two = flow.user(), flow.user()
    postern(flow, "--account", one, "sendmail", "-i", "-f", "ann@example.com", flow.mail.address(one), stdin=b"Subject: listed\n\n.\nhello\n")
    same(flow.arrived(one), ["listed"])
    letter = f"From: ann@example.com\nTo: {flow.mail.address(one)}\nBcc: {flow.mail.address(two)}\nSubject: in the header\n\nhello\n"
    postern(flow, "--account", one, "sendmail", "-t", "-oi", stdin=letter.encode())
    same((flow.arrived(one, 2)[1], flow.arrived(two)[0]), ("in the header", "in the header"))


def test_sendmail_reports(flow):
    """-N, -R and -V reach a server that reports on deliveries"""
    user = flow.user()
    said = postern(flow, "-a", user, "sendmail", "-iv", "-N", "success,failure", "-R", "hdrs", "-V", "id 7", "-f", "ann@example.com",
                   flow.mail.address(user), stdin=b"Subject: reported\n\nhello\n")
    assert "sent without" not in said[1] and "250" in said[0], said
    same(flow.arrived(user), ["reported"])


def test_statuses(flow):
    """Failures end with sysexits' codes and say why"""
    for status, arguments in ((64, ["no.such.method"]), (64, ["mail.parse", "rwa=x"]), (66, ["mail.parse", "raw=@/no/such/file"])):
        _, said = postern(flow, *arguments, status=status)
        assert said, arguments
    environment = dict(os.environ, POSTERN_SOCKET="/no/such/socket", XDG_RUNTIME_DIR="/no/such/folder")
    done = subprocess.run([flow.postern, "gateway.ping"], env=environment, capture_output=True, timeout=20)
    assert done.returncode in (68, 69, 75) and done.stderr, (done.returncode, done.stderr)
    for status, account, to in ((67, "ann", "nobody@example.com"), (67, "no-such-account", "bob@example.com")):
        done = subprocess.run([flow.postern, "send", "-a", account, "-f", "ann@example.com", to], input=b"x\n", capture_output=True, timeout=20,
                              env=dict(os.environ, POSTERN_SOCKET=str(flow.daemon.socket_path)))
        assert done.returncode in (status, 68, 69, 77, 78) and done.stderr, (account, to, done.returncode, done.stderr)


def test_terminal(flow):
    """On a terminal tables are shown, and control characters of others are made harmless"""
    output, _ = postern(flow, "status", terminal=True)
    assert "{" not in output and "ann" in output, output
    user = flow.user()
    flow.put(user, b"Subject: \x1b]0;title\x07 and \x1b[31mred\r\nFrom: a@example.com\r\n\r\nx\x1b[2J\r\n")
    output, _ = postern(flow, "imap.fetch", f"account={user}", "uids:=[1]", 'items:=["ENVELOPE","BODY.PEEK[]"]', terminal=True)
    assert "title" in output
    for bad in ("\x1b]", "\x1b[31m", "\x1b[2J", "\x07"):
        assert bad not in output, f"{bad!r} reached the terminal"


def test_help(flow):
    """help names every method, and explains each"""
    output, _ = postern(flow, "help")
    methods = [method["name"] for method in flow.client().call("rpc.discover")["methods"] if "x-alias-of" not in method]
    for name in methods:
        assert name in output, name
    for name in methods:
        text, _ = postern(flow, "help", name)
        assert name in text and len(text) > 40, text


def test_dry_run(flow):
    """postern send --dry-run prints the mail, and sends nothing"""
    user = flow.user()
    mail, _ = postern(flow, "send", "-n", "-a", user, "-f", "ann@example.com", "-s", "dry", flow.mail.address(user), stdin=b"text\n")
    assert "Subject: dry" in mail and "text" in mail, mail
    with flow.mailbox(user, True) as box:
        same(box.search(None, "ALL")[1], [b""])


def test_called_sendmail(flow):
    """Called by the name of sendmail it is that program"""
    user = flow.user()
    address = flow.mail.address(user)
    with tempfile.TemporaryDirectory() as folder:
        link = os.path.join(folder, "sendmail")
        os.symlink(flow.postern, link)
        subprocess.run([link, "-oi", "-t"], input=f"From: {address}\nTo: {address}\nSubject: cron\n\none\n.\ntwo\n".encode(), check=True, timeout=30,
                       env=dict(os.environ, POSTERN_SOCKET=str(flow.daemon.socket_path)))
    same(flow.arrived(user), ["cron"])


def test_time_limit(flow):
    """--timeout ends a call to a server that never says a word"""
    _, said = postern(flow, "--timeout", "300ms", "imap.list", "options.host=127.0.0.1", f"options.port={flow.silent_port(flow)}",
                      "options.tls=none", status=75)
    assert "timeout" in said, said


def test_status_and_metrics(flow):
    """postern status shows pools and accounts, again and again when asked to; postern metrics writes the text file in one step"""
    user = flow.user()
    postern(flow, "imap.status", f"account={user}", "mailbox=INBOX")
    shown = postern(flow, "status", terminal=True)[0]
    assert "postern " in shown and any(line.split()[:2] == [user, "imap"] for line in shown.splitlines()), shown
    assert json.loads(postern(flow, "status")[0])["pools"], "no pools"
    environment = dict(os.environ, POSTERN_SOCKET=str(flow.daemon.socket_path))
    watching = subprocess.Popen([str(flow.postern), "status", "--watch=0.2"], stdout=subprocess.PIPE, env=environment)
    lines = [watching.stdout.readline() for _ in range(3)]
    watching.terminate()
    watching.wait(10)
    watching.stdout.close()
    assert all(json.loads(line)["version"] for line in lines), lines
    with tempfile.TemporaryDirectory() as folder:
        postern(flow, "metrics", "--textfile", folder)
        same(os.listdir(folder), ["postern.prom"])
        with open(os.path.join(folder, "postern.prom"), encoding="ascii") as file:
            assert file.read().endswith("# EOF\n")
        postern(flow, "metrics", "--textfile", folder + "/none", status=73)
    postern(flow, "status", "--watch=x", status=64)
