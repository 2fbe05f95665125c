# SPDX-License-Identifier: MIT
"""Real mail servers on free loopback ports, for tests, benchmarks and the quick start.

    with MailServer(users=10) as mail:
        mail.ports["imaps"], mail.users["ann"], mail.ca_file, mail.token("ann"), mail.count("Login: user=<ann>")

All state is in one temporary folder; the servers live in a pid and mount namespace of their own (sandbox.py) and go
with the process that started them, whatever way it ends. start(tied=False) leaves them running until stop().

What servers/*.py see of an instance: folder, domain, ports {name: number}, users {name: password}, certificates
{variant: {"certificate", "key"}}, addresses {variant: loopback address that shows it}, token_key, options, extra {server:
[configuration lines]}, log(name) -> path, own(path, account)."""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import certificates     # noqa: E402
import packages         # noqa: E402
import servers          # noqa: E402

START_LIMIT_S = 15
PEOPLE = ["ann", "bob", "carol", "dave"]
FIRST_ACCOUNT = 61100
SETTINGS = ["folder", "domain", "host", "ports", "users", "ca_file", "certificates", "addresses", "logs", "mechanisms",
            "token_key_hex", "pid", "started", "first_process"]


class MailServerError(Exception):
    pass


def _free_ports(count, addresses):
    """Ports free on all the addresses, from below the range that the kernel gives to outgoing connections."""
    found = []
    while len(found) < count:
        port = random.randint(12000, 31999)
        held = []
        try:
            for address in addresses:
                held.append(socket.socket())
                held[-1].bind((address, port))
            if port not in found:
                found.append(port)
        except OSError:
            pass
        finally:
            for one in held:
                one.close()
    return found


def _process_started(pid):
    """Tells a process from a later one of the same number."""
    try:
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
    except (OSError, IndexError):
        return None


class MailServer:
    def __init__(self, folder=None, users=0, kinds=("dovecot", "postfix"), extra=None, options=None):
        self.wanted_folder = folder
        self.kinds = list(dict.fromkeys(name for kind in kinds for name in [*getattr(servers.ALL[kind], "NEEDS", []), kind]))
        self.extra = extra or {}
        self.options = options or {}
        self.domain = "example.com"
        self.host = "localhost"
        names = PEOPLE + [f"u{number:04d}" for number in range(1, users + 1)]
        self.users = {name: f"{name}-secret" for name in names}
        self.addresses = dict(certificates.ADDRESSES)
        self.token_key = os.urandom(32)
        self.mechanisms = list(servers.dovecot.MECHANISMS)
        self.process = None
        self.logs = {}

    # -- what servers/*.py use

    def log(self, name):
        self.logs[name] = str(self.folder / "log" / name) + ".log"
        return self.logs[name]

    def own(self, path, account):
        os.chown(path, self.accounts[account], self.accounts[account])

    def place(self, path, account=None, mode=0o755):
        """The folder that the sandbox's processes see at that path, which is one of their PLACES or in one."""
        folder = self.folder / "places" / path.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(mode)
        if account:
            self.own(folder, account)
        return folder

    # -- start and stop

    def start(self, tied=True):
        if os.geteuid() != 0:
            raise MailServerError("the mail servers need root (they change users, and use a mount namespace)")
        if not packages.ready(servers.packages()):
            raise MailServerError(f"no mail servers in {packages.cache_folder()}: run tests/install-deps first")
        for kind in self.kinds:
            if kind in servers.FURTHER and not packages.ready(servers.ALL[kind].PACKAGES, kind):
                raise MailServerError(f"no {kind} in {packages.cache_folder()}: run tests/mailserver/mailserver unpack {kind}")
        for attempt in range(3):
            self._lay_out()
            try:
                self._launch(tied)
                self._write_settings()
                return self
            except BaseException as error:
                reason = self._why() if isinstance(error, MailServerError) else ""
                self.stop()
                if "in use" in reason and attempt < 2:      # somebody took a port between our look and the start
                    continue
                if isinstance(error, MailServerError):
                    raise MailServerError(f"{error}\n{reason}") from None
                raise

    def _lay_out(self):
        if self.wanted_folder:
            self.folder = pathlib.Path(self.wanted_folder).resolve()
            self.folder.mkdir(parents=True, exist_ok=True)
            if any(self.folder.iterdir()):
                raise MailServerError(f"{self.folder} is not empty")
        else:
            self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postern-mail-", dir=os.environ.get("TMPDIR")))
        if len(str(self.folder)) > 60:
            raise MailServerError(f"{self.folder}: too long a path for the servers' sockets (60 bytes at most)")
        self.folder.chmod(0o755)
        (self.folder / "log").mkdir()
        (self.folder / "log").chmod(0o777)
        self.certificates = certificates.make(self.folder / "certificates")
        self.ca_file = str(self.folder / "certificates" / "ca.pem")
        modules = [servers.ALL[kind] for kind in self.kinds]
        names = [name for module in modules for name in module.PORTS]
        self.ports = dict(zip(names, _free_ports(len(names), self.addresses.values())))
        accounts = [name for module in modules for name in module.ACCOUNTS]
        self.accounts = {name: FIRST_ACCOUNT + index for index, name in enumerate(accounts)}
        for path in {path for module in modules for path in getattr(module, "PLACES", [])}:
            self.place(path)
        plan = {
            "trees": [*(str(packages.tree(kind)) for kind in self.kinds if kind in servers.FURTHER), str(packages.tree())],
            "places": sorted({path for module in modules for path in getattr(module, "PLACES", [])}),
            "accounts": self.accounts,
            "servers": [process for module in modules for process in module.configure(self)],
        }
        (self.folder / "plan.json").write_text(json.dumps(plan, indent=1))

    def _launch(self, tied):
        plan_file = self.folder / "plan.json"
        plan_file.write_text(json.dumps(dict(json.loads(plan_file.read_text()), tied=tied), indent=1))
        with open(self.log("sandbox"), "wb") as output:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child=SIGKILL",
                 "--mount-proc", sys.executable, "-B", str(HERE / "sandbox.py"), str(self.folder)],
                stdin=subprocess.PIPE if tied else subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True)
        self.pid = self.process.pid
        self.started = _process_started(self.pid)
        self.first_process = None
        deadline = time.monotonic() + START_LIMIT_S
        waiting = dict(self.ports)
        while waiting or self.first_process is None:
            if self.first_process is None:
                children = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children")
                children = children.read_text().split() if children.exists() else []
                self.first_process = int(children[0]) if children else None
            for name, port in list(waiting.items()):
                try:
                    with socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
                        if name.endswith("s") or probe.recv(1):
                            del waiting[name]
                except OSError:
                    break
            if self.process.poll() is not None or (self.folder / "ended").exists():
                raise MailServerError("a server ended while starting")
            if time.monotonic() > deadline:
                raise MailServerError(f"not up within {START_LIMIT_S} s: {', '.join(waiting)}")
            if waiting:
                time.sleep(0.02)

    def _why(self):
        text = ""
        for part in [self.folder / "ended", *sorted((self.folder / "log").glob("*.log"))]:
            if part.exists() and part.stat().st_size:
                text += f"--- {part.name}\n" + part.read_text(errors="replace")[-2000:]
        return text

    def _write_settings(self):
        self.token_key_hex = self.token_key.hex()
        settings = {name: getattr(self, name) for name in SETTINGS}
        settings["folder"] = str(self.folder)
        (self.folder / "env.json").write_text(json.dumps(settings, indent=1) + "\n")
        shell = {"FOLDER": self.folder, "HOST": self.host, "DOMAIN": self.domain, "CA_FILE": self.ca_file}
        shell.update({f"PORT_{name.upper()}": port for name, port in self.ports.items()})
        shell.update({f"PASSWORD_{name.upper()}": word for name, word in self.users.items()})
        shell.update({f"LOG_{name.upper().replace('-', '_')}": path for name, path in self.logs.items()})
        (self.folder / "env.sh").write_text(
            "".join(f"MAIL_{name}={shlex.quote(str(value))}\n" for name, value in shell.items()))

    @classmethod
    def attach(cls, folder):
        """The instance that somebody else started in that folder."""
        self = cls()
        try:
            settings = json.loads((pathlib.Path(folder) / "env.json").read_text())
        except OSError as error:
            raise MailServerError(f"no mail servers in {folder}: {error.strerror}") from None
        for name in SETTINGS:
            setattr(self, name, settings[name])
        self.folder = pathlib.Path(self.folder)
        self.token_key = bytes.fromhex(self.token_key_hex)
        return self

    def running(self):
        return self.started is not None and _process_started(self.pid) == self.started \
            and (self.process is None or self.process.poll() is None)

    def stop(self):
        """Ends every process of the sandbox and removes its folder."""
        if getattr(self, "started", None) is not None:
            deadline = time.monotonic() + 10
            told = False
            while self.running():
                if not told and self.first_process:
                    try:
                        os.kill(self.first_process, signal.SIGTERM)
                        told = True
                    except ProcessLookupError:
                        pass
                if time.monotonic() > deadline or not self.first_process:
                    try:
                        os.kill(self.pid, signal.SIGKILL)       # unshare --kill-child takes the rest with it
                    except ProcessLookupError:
                        pass
                time.sleep(0.01)
        if self.process is not None:
            if self.process.stdin:
                self.process.stdin.close()
            self.process.wait()
            self.process = None
        self.started = None
        if getattr(self, "folder", None):
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    # -- for tests

    def address(self, user):
        return f"{user}@{self.domain}"

    def token(self, user, expires_in=3600):
        """A bearer token (JWT) that the servers accept for the user."""
        def part(value):
            return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")
        now = int(time.time())
        text = part({"alg": "HS256", "typ": "JWT"}) + b"." + part({"sub": user, "iat": now, "exp": now + expires_in})
        signature = base64.urlsafe_b64encode(hmac.new(self.token_key, text, hashlib.sha256).digest()).rstrip(b"=")
        return (text + b"." + signature).decode()

    def log_text(self, name, since=0):
        return pathlib.Path(self.logs[name]).read_bytes()[since:].decode(errors="replace")

    def log_sizes(self):
        """A mark for connections(): counts from here on."""
        return {name: os.path.getsize(path) if os.path.exists(path) else 0 for name, path in self.logs.items()}

    def connections(self, port, mark=None, user=None):
        """How many connections a port took (smtp, submission, smtps) or how many of them logged in (imap, imaps, pop3,
        pop3s), by the servers' own logs."""
        mark = mark or {}
        if port in ("smtp", "submission", "smtps"):
            text = self.log_text("postfix", mark.get("postfix", 0))
            if user:
                return len(set(re.findall(rf"postfix/{port}/smtpd\[(\d+)\]: \S+: client=.*sasl_username={user}\b", text)))
            return len(re.findall(rf"postfix/{port}/smtpd\[\d+\]: connect from", text))
        text = self.log_text("dovecot", mark.get("dovecot", 0))
        who = re.escape(user) if user else "[^>]*"
        return len(re.findall(rf"-login: Info: Login: user=<{who}>, .*lport={self.ports[port]},", text))

    def processes(self, name, program=""):
        """The servers' processes of that command name ("imap", "pop3", "smtpd", …), as this side numbers them; of those, the ones
        whose program has that in its path."""
        found = []
        mine = os.readlink(f"/proc/{self.first_process}/ns/pid")
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and (entry / "comm").read_text().strip() == name \
                        and os.readlink(entry / "ns" / "pid") == mine and program in os.readlink(entry / "exe"):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def end_processes(self, name, program=""):
        """Ends the processes that serve connections, as a crash or a restart of the server would; returns how many."""
        pids = self.processes(name, program)
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return len(pids)
