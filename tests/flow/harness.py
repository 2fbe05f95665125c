# SPDX-License-Identifier: MIT
"""What the flow tests stand on: the daemon under test, a client that speaks the socket's protocol by itself, users.

A test is a function test_…(flow) in tests/flow/test_*.py; its documentation string is its name in the report. What it may use
is in class Flow. A test file may say ACCOUNTS = {name: {section: {key: value}}} for accounts of its own beside the plain
ones that flow.user() gives out; a value may be a function of the flow, "user" in it names the mail server's user."""

import array
import base64
import collections
import contextlib
import email.message
import email.policy
import json
import os
import pathlib
import pickle
import pwd
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "mailserver"))
import schema      # noqa: E402
from mailserver import MailServer       # noqa: E402

KINDS = {
    -32001: "denied", -32002: "no_such_account", -32003: "no_such_session", -32004: "busy", -32005: "limit", -32006: "cancelled",
    -32007: "storage", -32008: "conflict", -32009: "unavailable", -32010: "connect", -32011: "tls", -32012: "proxy",
    -32013: "timeout", -32014: "disconnected", -32015: "protocol", -32016: "missing_extension", -32017: "unsupported_mechanism",
    -32018: "auth", -32019: "consent", -32020: "rejected", -32021: "readonly", -32022: "uidvalidity", -32023: "bad_message",
    -32024: "not_found",
}
PARSE_ERROR, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS = -32700, -32600, -32601, -32602
WAIT_S = 40
END_S = 60      # a daemon has so long to end
DEATHS = {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGFPE, -signal.SIGILL, -signal.SIGTRAP, 99}    # 99: valgrind's
harms = []      # what was seen of daemons that died or were reported by a sanitizer, since a test began


def ready(reading, writing=(), seconds=None):
    """Those that can be read from, and those that can be written to; as select(), which knows no descriptor above 1023."""
    poll, of = select.poll(), {}
    for one, what in [(one, select.POLLIN) for one in reading] + [(one, select.POLLOUT) for one in writing]:
        number = one if isinstance(one, int) else one.fileno()
        of[number] = (one, of.get(number, (one, 0))[1] | what)
    for number, (_, what) in of.items():
        poll.register(number, what)
    found = dict(poll.poll(None if seconds is None else seconds * 1000))
    broken = select.POLLERR | select.POLLHUP
    return ([one for number, (one, what) in of.items() if what & select.POLLIN and found.get(number, 0) & (select.POLLIN | broken)],
            [one for number, (one, what) in of.items() if what & select.POLLOUT and found.get(number, 0) & (select.POLLOUT | broken)])


class Skip(Exception):
    """Raised by a test that cannot run here; the text says why."""


class Closed(Exception):
    """The daemon closed the connection."""


class RpcError(Exception):
    def __init__(self, error):
        super().__init__(json.dumps(error, ensure_ascii=False))
        self.error = error
        self.code = error["code"]
        self.message = error["message"]
        self.data = error.get("data") or {}
        self.kind = self.data.get("kind", KINDS.get(self.code))


def slow():
    """How many times later than on a machine that has nothing else to do things may happen now: 1 to 4."""
    words = pathlib.Path("/proc/loadavg").read_text().split()
    return min(4.0, max(1.0, max(float(words[0]), float(words[3].split("/")[0])) / os.cpu_count()))


def span(ms):
    """A time in a configuration, longer on a slow machine."""
    return f"{int(ms * slow())}ms"


def same(found, wanted, what="value"):
    assert found == wanted, f"{what}: wanted {wanted!r}, got {found!r}"


def text_of(content):
    """The bytes of a Content object that holds them itself."""
    return content["text"].encode() if "text" in content else base64.b64decode(content["base64"], validate=True)


def read_all(descriptor):
    """All bytes of a received descriptor, which is closed."""
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read()


def memfd(data, seal=True):
    """A memory file with the data, at position 0."""
    import fcntl
    descriptor = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view):]
    os.lseek(descriptor, 0, os.SEEK_SET)
    if seal:
        fcntl.fcntl(descriptor, 1033, 0x0001 | 0x0002 | 0x0004 | 0x0008)     # F_ADD_SEALS: all of them
    return descriptor


class Client:
    """One connection to the daemon."""

    def __init__(self, path, wait=WAIT_S):
        self.wait_s = wait
        self.path = path
        self.methods = {}           # id -> method, of calls that were begun
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(str(path))      # blocking: without that it fails when the backlog is full
        self.socket.settimeout(wait)
        self.poll = select.poll()
        self.poll.register(self.socket, select.POLLIN)
        self.partial = b""
        self.answers = {}           # id -> (message, descriptors)
        self.notes = []             # notifications and answers without a usable id, in order
        self.descriptors = collections.deque()
        self.last_id = 0

    def close(self):
        self.socket.close()
        while self.descriptors:
            os.close(self.descriptors.popleft())
        for _, held in self.answers.values():
            for descriptor in held:
                os.close(descriptor)
        self.answers.clear()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- bytes

    def send_bytes(self, data, fds=()):
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        view = memoryview(data)
        while view:
            sent = self.socket.sendmsg([view], ancillary)
            view, ancillary = view[sent:], []

    def send(self, message, fds=()):
        self.send_bytes(json.dumps(message).encode() + b"\n", fds)

    def read_message(self, deadline=None):
        """The next message with its descriptors; Closed at the end."""
        deadline = deadline or time.monotonic() + self.wait_s
        while b"\n" not in self.partial:
            left = deadline - time.monotonic()
            if left <= 0 or not self.poll.poll(left * 1000):
                raise AssertionError("no answer in time")
            try:
                data, ancillary, flags, _ = self.socket.recvmsg(1 << 20, socket.CMSG_SPACE(4 * 253), socket.MSG_CMSG_CLOEXEC)
            except ConnectionResetError:
                raise Closed() from None
            assert not flags & socket.MSG_CTRUNC, "descriptors were cut off"
            for level, kind, content in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    received = array.array("i")
                    received.frombytes(content[:len(content) - len(content) % received.itemsize])
                    self.descriptors.extend(received)
            if not data:
                raise Closed()
            self.partial = b"".join((self.partial, data)) if self.partial else data
        line, _, self.partial = self.partial.partition(b"\n")
        message = json.loads(line.decode("utf-8"))
        taken = []
        for part in message if isinstance(message, list) else [message]:
            taken += [self.descriptors.popleft() for _ in range(part.get("fds", 0))]
        return message, taken

    def until_closed(self, limit=10):
        """Reads until the daemon closes; returns the messages that still came."""
        messages = []
        deadline = time.monotonic() + limit
        try:
            while True:
                messages.append(self.read_message(deadline)[0])
        except Closed:
            return messages

    # -- calls

    def begin(self, method, fds=(), **params):
        self.last_id += 1
        self.methods[self.last_id] = method
        schema.called.add(method)
        request = {"jsonrpc": "2.0", "id": self.last_id, "method": method}
        if params:
            request["params"] = params
        if fds:
            request["fds"] = len(fds)
        self.send(request, fds)
        return self.last_id

    def notify(self, method, **params):
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def collect(self, limit):
        """Takes in one message."""
        message, taken = self.read_message(time.monotonic() + limit)
        if isinstance(message, dict) and message.get("id") is not None and "method" not in message:
            self.answers[message["id"]] = (message, taken)
        else:
            self.notes.append(message)

    def finish(self, number, limit=None):
        """(result, descriptors) of a call that was begun; RpcError where it failed."""
        deadline = time.monotonic() + (limit or self.wait_s)
        while number not in self.answers:
            left = deadline - time.monotonic()
            assert left > 0, f"no answer to request {number}"
            self.collect(left)
        message, taken = self.answers.pop(number)
        same(message.get("jsonrpc"), "2.0", "jsonrpc")
        assert ("result" in message) != ("error" in message), f"neither result nor error, or both: {message}"
        if "error" in message:
            raise RpcError(message["error"])
        if number in self.methods:
            schema.check_result(self.path, self.methods.pop(number), message["result"])
        return message["result"], taken

    def call(self, method, fds=(), **params):
        result, taken = self.finish(self.begin(method, fds, **params))
        assert not taken, "descriptors came that nobody asked for"
        return result

    def call_fds(self, method, fds=(), **params):
        return self.finish(self.begin(method, fds, **params))

    def streamed(self, method, **params):
        """(items, result) of a call with "stream": true."""
        number = self.begin(method, stream=True, **params)
        result, _ = self.finish(number)
        mine = [note for note in self.notes if note.get("method") == "stream" and note["params"]["id"] == number]
        self.notes = [note for note in self.notes if note not in mine]
        return [note["params"]["item"] for note in mine], result

    def fails(self, what, method, fds=(), **params):
        """The error of a call that must fail, as that kind (a name) or code (a number)."""
        try:
            result, taken = self.call_fds(method, fds, **params)
        except RpcError as error:
            found = error.code if isinstance(what, int) else error.kind
            assert found == what, f"{method}: wanted {what}, got {error.kind or error.code}: {error}"
            if isinstance(what, str):
                same(KINDS.get(error.code), what, f"{method}: code of {what}")
                same(error.data.get("kind"), what, f"{method}: data.kind")
            return error
        for descriptor in taken:
            os.close(descriptor)
        raise AssertionError(f"{method}: wanted {what}, got the result {str(result)[:300]}")


def ini(sections):
    text = ""
    for section, keys in sections.items():
        text += f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())
    return text


class Daemon:
    """A posternd with a configuration, a socket and a log of its own."""

    wrapper = []        # a program to run it under

    def __init__(self, binary, mail, accounts, settings=None, environment=None):
        self.binary = binary
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postern-flow-"))
        self.folder.chmod(0o755)
        self.socket_path = self.folder / "socket"
        self.log_path = self.folder / "log"
        self.config_path = self.folder / "postern.conf"
        self.environment = environment or {}
        self.mail = mail
        (self.folder / "accounts.d").mkdir()
        (self.folder / "state").mkdir()
        self.settings = {"socket": self.socket_path, "state_dir": self.folder / "state", "admin": "user:root",
                         "allow_inline": "user:root", "log_level": "debug"}
        self.settings.update(settings or {})
        self.config_path.write_text(ini({"daemon": self.settings}))
        for name, sections in accounts.items():
            self.write_account(name, sections)
        self.process = None

    def write_account(self, name, sections):
        path = self.folder / "accounts.d" / f"{name}.conf"
        path.write_text(ini(sections))
        path.chmod(0o600)

    def command(self, *arguments):
        return [*self.wrapper, str(self.binary), "--config", str(self.config_path), *arguments]

    def start(self):
        environment = dict(os.environ, **self.environment)
        environment.setdefault("ASAN_OPTIONS", "detect_stack_use_after_return=1:strict_string_checks=1")
        environment.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        for name in ("NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "JOURNAL_STREAM"):
            environment.pop(name, None)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        deadline = time.monotonic() + 60
        while True:
            try:
                with self.client() as client:
                    client.call("gateway.ping")
                    return self
            except (OSError, Closed):
                if self.process.poll() is not None:
                    raise AssertionError(f"the daemon ended with {self.process.returncode}:\n{self.log_tail()}") from None
                assert time.monotonic() < deadline, "the daemon does not answer"
                time.sleep(0.02)

    def client(self, wait=WAIT_S):
        return Client(self.socket_path, wait)

    def log_text(self):
        return self.log_path.read_text(errors="replace")

    def log_tail(self):
        return self.log_text()[-4000:]

    def alive(self):
        return self.process.poll() is None

    def memory(self, field="RssAnon"):
        """Bytes, from /proc/PID/status."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s+(\d+) kB", text, re.M).group(1)) * 1024

    def files(self):
        """What the daemon has open, but for TCP connections (pools may keep these): {kind: count}."""
        inodes = set()
        for table in ("tcp", "tcp6"):
            for line in pathlib.Path(f"/proc/{self.process.pid}/net/{table}").read_text().splitlines()[1:]:
                inodes.add(line.split()[9])
        found = collections.Counter()
        base = f"/proc/{self.process.pid}/fd"
        for entry in os.listdir(base):
            try:
                target = os.readlink(f"{base}/{entry}")
            except OSError:
                continue
            kind = re.sub(r"\[\d+\]|:\d+", "", target)
            if target.startswith("socket:["):
                if target[8:-1] in inodes:
                    continue
                kind = "socket"
            found[kind] += 1
        return found

    def sanitizer_report(self, since=0):
        text = self.log_path.read_bytes()[since:].decode(errors="replace")
        found = re.search(r"^.*(ERROR: \w+Sanitizer|runtime error:|WARNING: ThreadSanitizer|^==\d+== \w)", text, re.M)
        return text[found.start():found.start() + 4000] if found else None

    def stop(self):
        """Ends the daemon as a service manager does; says what was wrong with its end, or None."""
        if self.process is None:
            return None
        wrong = None
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            wrong = f"the daemon did not end within {END_S} s of SIGTERM"
        else:
            if status != 0:
                wrong = f"the daemon ended with status {status}"
            if status in DEATHS:
                harms.append(wrong)
        report = self.sanitizer_report()
        self.process = None
        if report:
            wrong = f"{wrong or 'the daemon ended'}; {report}"
            harms.append(report)
        return wrong

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            self.remove()
            raise

    def __exit__(self, kind, *_):
        wrong = self.stop()
        log = self.log_tail()
        self.remove()
        if wrong and kind is None:
            raise AssertionError(f"{wrong}\n{log}")


def check_daemon(daemon, files, log_size):
    """What a test did to the daemon, or None."""
    if not daemon.alive():
        return f"the daemon died with status {daemon.process.returncode}\n{daemon.log_tail()}"
    report = daemon.sanitizer_report(log_size)
    if report:
        return f"a sanitizer spoke up:\n{report}"
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            more = daemon.files() - files
        except OSError:
            return f"the daemon died\n{daemon.log_tail()}"
        if not more:
            break
        if time.monotonic() > deadline:
            return f"the daemon holds descriptors that it did not hold before: {dict(more)}"
        time.sleep(0.05)
    try:
        with daemon.client() as client:
            client.call("gateway.ping")
    except (AssertionError, OSError, Closed) as error:
        return f"the daemon does not answer a ping: {error}"
    return None


class Flow:
    """What a test gets: flow.mail (the servers), flow.daemon, and the helpers below."""

    def __init__(self, build, mail):
        self.build = pathlib.Path(build)
        self.mail = mail
        self.binary = self.build / "posternd"
        self.postern = self.build / "postern"
        self.daemon = None
        self.unused = [name for name in mail.users if name.startswith("u")]
        self.cleanups = []
        self.peers = None           # further servers, with the first test that wants them (peers.py)
        self.silent = socket.create_server(("127.0.0.1", 0), backlog=512)     # takes connections and never says a word
        with socket.create_server(("127.0.0.1", 0)) as closed:
            self.closed_port = closed.getsockname()[1]

    @staticmethod
    def silent_port(flow):
        """In ACCOUNTS: the port of a server that never says a word."""
        return flow.silent.getsockname()[1]

    # -- accounts

    def account(self, user, **changes):
        """The sections of an account for one of the servers' users, with changes = {section: {key: value}}."""
        ports = self.mail.ports
        common = {"host": "localhost", "tls": "all", "implicit_tls": "yes", "ca_file": self.mail.ca_file}
        sections = {
            "account": {"email": self.mail.address(user), "allow": "user:root", "permit": "send read write raw", "senders": "*"},
            "auth": {"username": user, "password": self.mail.users[user]},
            "smtp": dict(common, port=ports["smtps"]),
            "imap": dict(common, port=ports["imaps"]),
            "pop3": dict(common, port=ports["pop3s"]),
        }
        for section, keys in changes.items():
            merged = sections.setdefault(section, {})
            merged.update({key: value(self) if callable(value) else value for key, value in keys.items()})
            for key in [key for key, value in merged.items() if value is None]:
                del merged[key]
        return sections

    def plain_accounts(self):
        return {user: self.account(user) for user in self.mail.users}

    def user(self):
        """A user, and account of the same name, that no other test has."""
        return self.unused.pop(0)

    def client(self, wait=WAIT_S):
        """A connection to the daemon, closed after the test."""
        client = self.daemon.client(wait)
        self.cleanups.append(client.close)
        return client

    def own_daemon(self, accounts=None, settings=None, environment=None):
        """A daemon for this test alone: `with flow.own_daemon({…}) as daemon:`."""
        chosen = self.plain_accounts() if accounts is None else accounts
        return Daemon(self.binary, self.mail, chosen, settings, environment)

    # -- messages

    def letter(self, to, subject, body="hello\n", sender="ann@example.com", attachment=None):
        """A message as bytes with CRLF."""
        message = email.message.EmailMessage(policy=email.policy.SMTP)
        message["From"], message["To"], message["Subject"] = sender, to, subject
        message["Date"], message["Message-ID"] = "Mon, 02 Mar 2026 10:00:00 +0100", f"<{os.urandom(8).hex()}@example.com>"
        message.set_content(body)
        if attachment is not None:
            message.add_attachment(attachment, maintype="application", subtype="octet-stream", filename="data.bin")
        return message.as_bytes()

    def put(self, user, *letters):
        """Puts messages into the user's INBOX past the daemon; bytes as they are."""
        import imaplib
        import ssl
        box = imaplib.IMAP4_SSL("localhost", self.mail.ports["imaps"],
                                ssl_context=ssl.create_default_context(cafile=self.mail.ca_file))
        box.login(user, self.mail.users[user])
        for letter in letters:
            status, text = box.append("INBOX", None, None, letter)
            assert status == "OK", text
        box.logout()

    def fill(self, user, letters):
        """Puts messages into the user's INBOX in one APPEND (RFC 3502), which takes Dovecot a fraction of the time."""
        import ssl
        context = ssl.create_default_context(cafile=self.mail.ca_file)
        with socket.create_connection(("localhost", self.mail.ports["imaps"])) as plain, context.wrap_socket(plain, server_hostname="localhost") as wire:
            wire.sendall(f"a LOGIN {user} {self.mail.users[user]}\r\nb APPEND INBOX".encode())
            for letter in letters:
                wire.sendall(b" {%d+}\r\n%b" % (len(letter), letter))
            wire.sendall(b"\r\n")
            answers = wire.makefile("rb")
            while not (line := answers.readline()).startswith(b"b "):
                assert line, "the server went away"
            assert line.startswith(b"b OK"), line

    @contextlib.contextmanager
    def mailbox(self, user, readonly=False):
        """imaplib on the user's INBOX, past the daemon."""
        import imaplib
        import ssl
        box = imaplib.IMAP4_SSL("localhost", self.mail.ports["imaps"],
                                ssl_context=ssl.create_default_context(cafile=self.mail.ca_file))
        try:
            box.login(user, self.mail.users[user])
            box.select("INBOX", readonly)
            yield box
        finally:
            box.shutdown()

    def subjects(self, user):
        """The subjects in the user's INBOX, in order, past the daemon."""
        with self.mailbox(user, True) as box:
            if not box.search(None, "ALL")[1][0]:       # numbers of an empty mailbox are an error to ask for
                return []
            found = box.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
            return [part[1].decode().partition(":")[2].strip() for part in found if isinstance(part, tuple)]

    def wait_for(self, condition, limit=WAIT_S, what="it"):
        """The first true value of condition()."""
        deadline = time.monotonic() + limit
        while True:
            value = condition()
            if value:
                return value
            assert time.monotonic() < deadline, f"{what} did not come about within {limit} s"
            time.sleep(0.05)

    def arrived(self, user, count=1):
        """Waits until that many messages are in the user's INBOX; their subjects."""
        return self.wait_for(lambda: (lambda all: all if len(all) >= count else None)(self.subjects(user)),
                             what=f"the arrival of {count} messages for {user}")

    # -- users and processes

    def as_user(self, name, function):
        """The result of function(), run in a child process of that system user."""
        entry = pwd.getpwnam(name)
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.close(read_end)
                os.setgroups([])
                os.setgid(entry.pw_gid)
                os.setuid(entry.pw_uid)
                try:
                    outcome = (True, function())
                except BaseException as error:
                    outcome = (False, f"{type(error).__name__}: {error}\n{traceback.format_exc()}")
                with os.fdopen(write_end, "wb") as stream:
                    pickle.dump(outcome, stream)
                status = 0
            finally:
                os._exit(status)
        os.close(write_end)
        with os.fdopen(read_end, "rb") as stream:
            data = stream.read()
        os.waitpid(child, 0)
        assert data, f"the child of {name} died"
        good, value = pickle.loads(data)
        assert good, value
        return value

    def together(self, *functions):
        """Runs them in threads; their results, in order; the first failure is raised."""
        results, failures = [None] * len(functions), []

        def run(index, function):
            try:
                results[index] = function()
            except BaseException as error:
                failures.append(error)
        threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in enumerate(functions)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        if failures:
            raise failures[0]
        assert not any(thread.is_alive() for thread in threads), "a thread still waits"
        return results

    def clean_up(self):
        while self.cleanups:
            self.cleanups.pop()()


__all__ = ["Client", "Closed", "Daemon", "Flow", "INVALID_PARAMS", "INVALID_REQUEST", "KINDS", "MailServer", "NO_METHOD",
           "PARSE_ERROR", "RpcError", "SOURCE", "Skip", "check_daemon", "ini", "memfd", "read_all", "same", "slow", "span", "text_of"]
