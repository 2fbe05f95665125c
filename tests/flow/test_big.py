# SPDX-License-Identifier: MIT
"""A message of 50 MB by descriptor, with the daemon's own memory bounded."""

import base64
import contextlib
import fcntl
import hashlib
import os
import socket
import tempfile
import threading
import time

from harness import Skip, memfd, same

FULL = bool(os.environ.get("POSTERN_FULL"))      # make check-full
SIZE = 50 << 20
HUGE = 1 << 30
BOUND = 24 << 20
IMAP_SIZE, IMAP_MESSAGES, IMAP_BOUND = (100 << 20, 10000, 16 << 20) if FULL else (30 << 20, 3000, 16 << 20)


class Watch:
    """The largest RssAnon while it runs, over that at its start; with `shared`, RssShmem is added."""

    def __init__(self, daemon, bound=BOUND, shared=False):
        self.daemon, self.bound, self.fields = daemon, bound, ("RssAnon", "RssShmem") if shared else ("RssAnon",)

    def memory(self):
        return sum(self.daemon.memory(field) for field in self.fields)

    def __enter__(self):
        self.idle = self.largest = self.memory()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()
        return self

    def look(self):
        while not self.stop.is_set():
            self.largest = max(self.largest, self.memory())
            time.sleep(0.005)

    def __exit__(self, kind, *_):
        self.stop.set()
        self.thread.join()
        self.grown = self.largest - self.idle
        if kind is None:
            assert self.grown < self.bound, f"{' + '.join(self.fields)} grew by {self.grown / 2 ** 20:.1f} MB"


def big_letter(to, size=SIZE):
    """Head, and a body of base64 lines, 50 MB."""
    lines = base64.encodebytes(os.urandom(57 * 1000)).replace(b"\n", b"\r\n")
    head = (f"From: ann@example.com\r\nTo: {to}\r\nSubject: big\r\nDate: Mon, 02 Mar 2026 10:00:00 +0100\r\n"
            "Message-ID: <big@example.com>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
            "--b\r\n\r\nhello\r\n--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
            "Content-Disposition: attachment; filename=big.bin\r\n\r\n").encode()
    body = lines * ((size - len(head)) // len(lines) + 1)
    return head + body + b"--b--\r\n"


def digest(descriptor):
    """(size, hash) of all that comes from it; it is closed."""
    found, size = hashlib.sha256(), 0
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        while True:
            part = stream.read(1 << 20)
            if not part:
                return size, found.hexdigest()
            found.update(part)
            size += len(part)


# freed memory held back by the address sanitizer would count as the daemon's
MEASURED = {"ASAN_OPTIONS": "quarantine_size_mb=1:thread_local_quarantine_size_kb=64"}


@contextlib.contextmanager
def measured(flow, settings=None):
    with flow.own_daemon(settings=settings, environment=MEASURED) as daemon:
        with daemon.client(120) as client:
            client.call("mail.parse", raw="Subject: x\n\nx\n")
            yield daemon, client


def body_end(data):
    """The message without what a server puts in front: from its first own header."""
    return data[data.index(b"From: ann@example.com\r\n"):]


def test_big(flow):
    """50 MB go through smtp.send, imap.fetch by fd and pipe, pop3.retr and mail.parse"""
    user = flow.user()
    letter = big_letter(flow.mail.address(user))
    wanted = (len(letter), hashlib.sha256(letter).hexdigest())
    with measured(flow) as (daemon, client):
        client.call("smtp.send", account=user, message={"from": "ann@example.com", "to": "x@sink.example.com", "text": "warm"})
        client.call("imap.list", account=user)
        for seal in (True, False):
            data = memfd(letter, seal)
            with Watch(daemon):
                result = client.call("smtp.send", fds=[data], account=user, raw={"fd": 0},
                                     envelope={"from": "ann@example.com", "to": [flow.mail.address(user) if seal else "x@sink.example.com"]})
            os.close(data)
            assert result["size"] >= len(letter), result
        read_end, write_end = os.pipe()

        def fill():
            with os.fdopen(write_end, "wb") as stream:
                stream.write(letter)
        threading.Thread(target=fill, daemon=True).start()
        with Watch(daemon):
            number = client.begin("smtp.send", fds=[read_end], account=user, raw={"fd": 0},
                                  envelope={"from": "ann@example.com", "to": ["x@sink.example.com"]})
            os.close(read_end)
            client.finish(number)

        flow.wait_for(lambda: client.call("imap.status", account=user, mailbox="INBOX")["messages"] == 1, 60, "the big message's arrival")
        sizes = set()
        for form in ("fd", "pipe"):
            with Watch(daemon):
                result, taken = client.call_fds("imap.fetch", account=user, uids=[1], items=["BODY.PEEK[]"], content=form)
                index = result["messages"][0]["sections"]["BODY[]"]["fd"]
                size, _ = digest(taken[index])
            sizes.add(size)
            assert size >= len(letter), f"{form}: {size}"
        with Watch(daemon):
            name = client.call("pop3.list", account=user)["messages"][0]["id"]
            result, taken = client.call_fds("pop3.retr", account=user, id=name, content="fd")
            with os.fdopen(os.dup(taken[0]), "rb") as stream:
                same(body_end(stream.read(1 << 16))[:100], letter[:100])
                stream.seek(-len(letter), os.SEEK_END)
                same(hashlib.file_digest(stream, "sha256").hexdigest(), wanted[1], "the message's end, as it was sent")
            size = os.fstat(taken[0]).st_size
            with Watch(daemon):
                mail, parts = client.call_fds("mail.parse", fds=[taken[0]], raw={"fd": 0}, content="fd")
            os.close(taken[0])
        sizes.add(size)
        same(len(sizes), 1, "the size by IMAP and POP3")
        same((mail["subject"], mail["attachments"][0]["filename"], mail["size"]), ("big", "big.bin", size))
        decoded, _ = digest(parts[mail["attachments"][0]["content"]["fd"]])
        same(decoded, mail["attachments"][0]["size"])
        for index, descriptor in enumerate(parts):
            if index != mail["attachments"][0]["content"]["fd"]:
                os.close(descriptor)
        time.sleep(0.5)
        shared = daemon.memory("RssShmem")
        assert shared < 8 << 20, f"spools are kept: {shared >> 20} MB"


def test_imap_memory(flow):
    """A message of 100 MB by descriptor and by pipe, and a list of 10,000 as a stream, are no matter of the daemon's memory"""
    user = flow.user()
    letter = big_letter(flow.mail.address(user), IMAP_SIZE)
    size, wanted = len(letter), hashlib.sha256(letter).digest()
    flow.fill(user, [letter])
    del letter
    with measured(flow, {"fd_answer_max": "200M", "user_memory": "300M", "memory": "400M"}) as (daemon, client):
        client.call("imap.fetch", account=user, uids=[1], items=["FLAGS"])
        for form in ("fd", "pipe"):
            with Watch(daemon, IMAP_BOUND, True):
                result, taken = client.call_fds("imap.fetch", account=user, uids=[1], items=["BODY.PEEK[]"], content=form)
                found = digest(taken[result["messages"][0]["sections"]["BODY[]"]["fd"]])
            same(found, (size, wanted.hex()), form)
        # more than the bound in all, by many addresses
        letter = flow.letter(", ".join(f"Receiver {number} <receiver{number}@example.com>" for number in range(100)), "Message NUMBER")
        flow.fill(user, (letter.replace(b"NUMBER", b"%d" % number) for number in range(IMAP_MESSAGES)))
        items = ["FLAGS", "ENVELOPE", "BODYSTRUCTURE", "INTERNALDATE", "RFC822.SIZE"]
        with Watch(daemon, IMAP_BOUND, True):
            number = client.begin("imap.fetch", account=user, uids="2:*", items=items, stream=True)
            count = 0
            size = 0
            while "id" not in (message := client.read_message()[0]):
                if message["method"] == "stream":       # and not the pipe's progress
                    count, size = count + 1, size + len(str(message))
        assert size > IMAP_BOUND, size
        same((message["id"], message["result"]["count"], count), (number, IMAP_MESSAGES, IMAP_MESSAGES))


test_imap_memory.limit = 900 if FULL else 180


def test_file(flow):
    """50 MB from a file on a disk"""
    user = flow.user()
    with tempfile.NamedTemporaryFile() as file, measured(flow) as (daemon, client):
        file.write(big_letter("x@sink.example.com"))
        file.flush()
        with open(file.name, "rb") as opened, Watch(daemon):
            client.call("smtp.send", fds=[opened.fileno()], account=user, raw={"fd": 0},
                        envelope={"from": "ann@example.com", "to": ["x@sink.example.com"]})
        with open(file.name, "rb") as opened, Watch(daemon):
            mail = client.call("mail.parse", fds=[opened.fileno()], raw={"fd": 0}, attachments=False)
        same(mail["size"], os.path.getsize(file.name))


class Sink:
    """An SMTP server for one mail: what stands between its last two boundaries is base64, and is hashed decoded."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.size, self.digest, self.decoded, self.trouble = 0, hashlib.sha256(), 0, None
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def account(self, flow):
        return flow.account("ann", account={"senders": "*"}, auth={"username": None, "password": None},
                            smtp={"host": "127.0.0.1", "port": self.listener.getsockname()[1], "tls": "none", "implicit_tls": "no"})

    def serve(self):
        try:
            connection = self.listener.accept()[0]
            with connection, connection.makefile("rb", 1 << 20) as stream:
                connection.sendall(b"220 sink\r\n")
                for line in stream:
                    verb = line[:4].upper()
                    if verb == b"EHLO":
                        connection.sendall(b"250-sink\r\n250-PIPELINING\r\n250 SIZE 3000000000\r\n")
                    elif verb == b"DATA":
                        connection.sendall(b"354 go\r\n")
                        self.take(stream)
                        connection.sendall(b"250 taken\r\n")
                    else:
                        connection.sendall(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
        except (OSError, ValueError) as error:
            self.trouble = error

    def take(self, stream):
        lines, within = [], False
        for line in stream:
            if line == b".\r\n":
                break
            self.size += len(line)
            if within and len(line) == 78:
                lines.append(line[:76])
                if len(lines) < 10000:
                    continue
            elif line.startswith(b"Content-Disposition: attachment"):
                within = True
            elif within and len(line) > 2 and not line.startswith(b"--"):
                lines.append(line[:-2])
            if lines:
                data = base64.b64decode(b"".join(lines), validate=True)
                self.digest.update(data)
                self.decoded += len(data)
                lines = []


def test_huge_attachment(flow):
    """An attachment of 1 GB is composed and sent in constant memory"""
    if not FULL:
        raise Skip("it takes minutes: make check-full")
    size, sink, wanted = HUGE, Sink(), hashlib.sha256()
    # sparse, and sealed: what is read as it stands
    with os.fdopen(os.memfd_create("huge", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "r+b", buffering=0) as file:
        file.truncate(size)
        for place in (0, size // 3, size - 5):
            file.seek(place)
            file.write(b"mark!")
        file.seek(0)
        while part := file.read(1 << 20):
            wanted.update(part)
        fcntl.fcntl(file.fileno(), fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        with flow.own_daemon({"sink": sink.account(flow)}, {"max_message_size": "2G"}, MEASURED) as daemon, daemon.client(1200) as client:
            client.call("mail.build", message={"from": "a@example.com", "to": "b@example.com", "text": "warm"})
            with Watch(daemon):
                result = client.call("smtp.send", fds=[file.fileno()], account="sink", message={
                    "from": "ann@example.com", "to": "x@sink.example.com", "text": "see the file", "date": "2026-03-02T10:00:00Z",
                    "attachments": [{"content": {"fd": 0}, "filename": "huge.bin"}]}, timeout=1200000)
            same(result["size"], sink.size)
            assert daemon.memory("RssShmem") < 8 << 20, "the attachment is kept"
    sink.thread.join(20)
    same((sink.trouble, sink.decoded, sink.digest.hexdigest()), (None, size, wanted.hexdigest()))


def test_lazy_pipe_reader(flow):
    """A big answer by pipe that nobody reads holds up nobody"""
    user = flow.user()
    letter = big_letter(flow.mail.address(user))[:8 << 20] + b"\r\n"
    flow.put(user, letter, b"Subject: small\r\n\r\nx\r\n")
    client, other = flow.client(), flow.client()
    result, taken = client.call_fds("imap.fetch", account=user, uids=[1], items=["BODY.PEEK[]"], content="pipe")
    for _ in range(3):
        same(other.call("imap.fetch", account=user, uids=[2], items=["ENVELOPE"])["messages"][0]["envelope"]["subject"], "small")
    same(digest(taken[0])[0], result["messages"][0]["sections"]["BODY[]"]["size"])


test_big.limit = test_file.limit = 180
test_huge_attachment.limit = 1500
