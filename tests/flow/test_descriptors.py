# SPDX-License-Identifier: MIT
"""Bytes by descriptor: memory files, files, pipes, and a file system that never answers."""

import array
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

from harness import INVALID_PARAMS, SOURCE, WAIT_S, Client, Closed, RpcError, Skip, memfd, read_all, same, slow, text_of

ACCOUNTS = {
    "for-parsing": {"account": {"allow": "user:nobody"}},       # a user without any right may not parse either
}
MESSAGE = b"Subject: by descriptor\r\nFrom: ann@example.com\r\n\r\n" + b"0123456789" * 7 + b"\r\n"


def parsed(client, descriptor, **more):
    try:
        return client.call("mail.parse", fds=[descriptor], raw={"fd": 0}, **more)
    finally:
        os.close(descriptor)


def test_memory_files(flow):
    """Memory files are read whether sealed or not"""
    client = flow.client()
    for seal in (True, False):
        result = parsed(client, memfd(MESSAGE, seal))
        same((result["subject"], result["size"]), ("by descriptor", len(MESSAGE)))


def test_files(flow):
    """A regular file is read from its beginning or position to its end, and left as it is"""
    with tempfile.NamedTemporaryFile() as file:
        file.write(MESSAGE)
        file.flush()
        same(parsed(flow.client(), os.open(file.name, os.O_RDONLY))["size"], len(MESSAGE))
        same(os.path.getsize(file.name), len(MESSAGE))


def test_pipes(flow):
    """A pipe is read to its end, however slowly it comes"""
    client = flow.client()
    read_end, write_end = os.pipe()
    number = client.begin("mail.parse", fds=[read_end], raw={"fd": 0})
    os.close(read_end)
    for start in range(0, len(MESSAGE), 13):
        os.write(write_end, MESSAGE[start:start + 13])
        time.sleep(0.002)
    same(client.call("gateway.ping"), {}, "while the pipe is open")
    os.close(write_end)
    same(client.finish(number)[0]["size"], len(MESSAGE))


def test_endless_pipe(flow):
    """A pipe that never ends is ended by the call's timeout"""
    client = flow.client()
    read_end, write_end = os.pipe()
    try:
        client.fails("timeout", "mail.parse", fds=[read_end], raw={"fd": 0}, timeout=300)
    finally:
        os.close(read_end)
        os.close(write_end)


def test_same_descriptor_twice(flow):
    """Several descriptors in one request keep their order, in a batch each entry takes its own"""
    client = flow.client()
    files = [memfd(b"Subject: %d\r\n\r\n" % number) for number in range(3)]
    for index in range(3):
        same(client.call("mail.parse", fds=files, raw={"fd": index})["subject"], str(index))
    batch = [{"jsonrpc": "2.0", "id": number, "method": "mail.parse", "params": {"raw": {"fd": 0}}, "fds": 1} for number in range(3)]
    client.send(batch, files)
    answer, _ = client.read_message()
    same({message["id"]: message["result"]["subject"] for message in answer}, {0: "0", 1: "1", 2: "2"})
    for descriptor in files:
        os.close(descriptor)


def test_content_forms(flow):
    """Answers come as text, base64, sealed memory file or pipe, as the caller likes"""
    client = flow.client()
    message = {"from": "ann@example.com", "to": "bob@example.com", "subject": "forms", "text": "hello"}
    raw = client.call("mail.build", message=message)["raw"]
    assert "text" in raw and "base64" not in raw, raw
    same(raw["size"], len(raw["text"].encode()))
    raw = client.call("mail.build", message=message, content="base64")["raw"]
    assert "base64" in raw and b"Subject: forms\r\n" in text_of(raw)
    result, taken = client.call_fds("mail.build", message=message, content="fd")
    same((len(taken), result["raw"]["fd"]), (1, 0))
    same(os.lseek(taken[0], 0, os.SEEK_CUR), 0, "its position")
    try:
        os.write(taken[0], b"x")
        raise AssertionError("an answer's memory file can be written to")
    except OSError:
        pass
    data = read_all(taken[0])
    assert b"Subject: forms\r\n" in data and len(data) == result["raw"]["size"]
    result, taken = client.call_fds("mail.build", message=message, content="pipe")
    same((len(taken), result["raw"]["fd"]), (1, 0))
    assert b"Subject: forms\r\n" in read_all(taken[0])
    binary = client.call("mail.parse", raw={"base64": "U3ViamVjdDogYmluCkNvbnRlbnQtVHlwZTogYXBwbGljYXRpb24veAoKAAH/"})
    same([text_of(one["content"]) for one in binary["attachments"]], [b"\0\1\xff"])
    error = client.fails("bad_message", "mail.parse", content="text",
                         raw={"base64": "U3ViamVjdDogYmluCkNvbnRlbnQtVHlwZTogYXBwbGljYXRpb24veAoKAAH/"})
    same(error.code, -32023)


@contextlib.contextmanager
def stuck_files(count):
    """Descriptors of a file on a file system that never answers; nothing may be forked while they are held."""
    mine, its = socket.socketpair(type=socket.SOCK_SEQPACKET)
    mine.settimeout(WAIT_S)
    helper = subprocess.Popen([sys.executable, "-B", str(SOURCE / "tests" / "flow" / "stuck_fs.py"), str(count)], stdout=its, stderr=subprocess.DEVNULL)
    its.close()
    files = array.array("i")
    try:
        folder, ancillary, _, _ = mine.recvmsg(4096, socket.CMSG_SPACE(4 * count))
        if not folder:
            raise Skip("no FUSE here (/dev/fuse, or the right to mount)")
        for _, _, data in ancillary:
            files.frombytes(data)
        same(mine.recv(16), b"stuck")
        os.rmdir(folder.decode())     # mounted on only for the helper
        yield list(files)
    finally:
        helper.kill()           # frees whatever hangs
        helper.wait()
        mine.close()
        for descriptor in files:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def without_wrapper(flow):
    if flow.daemon.wrapper:     # valgrind knows no processes that share descriptors: threads serve, and those hang
        raise Skip("the helpers that touch stuck files do not run under valgrind")


def test_stuck_file_system(flow):
    """A descriptor on a file system that never answers hurts only its own call"""
    without_wrapper(flow)
    worst = 0
    stop = threading.Event()

    def ping():
        nonlocal worst
        with flow.daemon.client() as client, contextlib.suppress(OSError, Closed):
            while not stop.is_set():
                began = time.monotonic()
                client.call("gateway.ping")
                worst = max(worst, time.monotonic() - began)
                time.sleep(0.005)

    with stuck_files(2) as mine:
        flow.cleanups.append(stop.set)
        pinger = threading.Thread(target=ping, daemon=True)
        pinger.start()
        client = flow.client()
        began = time.monotonic()
        client.fails("timeout", "mail.parse", fds=[mine[0]], raw={"fd": 0}, timeout=500)
        assert time.monotonic() - began < 10, f"took {time.monotonic() - began:.1f} s"
        # and with a client that is gone at once
        with flow.daemon.client() as gone:
            gone.send({"jsonrpc": "2.0", "id": 1, "method": "mail.parse", "params": {"raw": {"fd": 0}}, "fds": 1}, [mine[1]])
        # claimed and not used, and not claimed at all
        same(client.call("gateway.ping", fds=mine), {})
        unclaimed = flow.client()
        unclaimed.send({"jsonrpc": "2.0", "id": 1, "method": "gateway.ping"}, mine)
        unclaimed.until_closed()
        stop.set()
        pinger.join(WAIT_S)
        assert worst < slow(), f"a ping beside it took {worst * 1000:.0f} ms"
    flow.wait_for(lambda: can_parse(flow), what="a free reader")


def test_stuck_at_the_end(flow):
    """What hangs in a stuck file system does not keep the daemon from ending, nor the next one from starting"""
    without_wrapper(flow)
    daemon = flow.own_daemon({})
    with daemon:
        with stuck_files(2) as mine:
            with daemon.client() as client:
                same(client.call("gateway.ping", fds=mine[:1]), {})
                client.send({"jsonrpc": "2.0", "id": 1, "method": "mail.parse", "params": {"raw": {"fd": 0}}, "fds": 1}, mine[1:])
                time.sleep(0.2)
                began = time.monotonic()
                same(daemon.stop(), None, "the daemon's end")
                assert time.monotonic() - began < 30, f"took {time.monotonic() - began:.1f} s"
                client.until_closed()
        daemon.start()
        with daemon.client() as client:
            same(client.call("gateway.ping"), {})


def test_stuck_file_readers(flow):
    """When a user's readers all hang, that user gets busy, and others are served"""
    without_wrapper(flow)
    path = flow.daemon.socket_path
    told_ready, ready = os.pipe()
    go, start = os.pipe()

    def as_another():       # forked before the stuck descriptors are there
        os.write(ready, b"x")
        os.read(go, 1)
        with Client(path) as client:
            return client.call("mail.parse", fds=[memfd(MESSAGE, seal=False)], raw={"fd": 0}, timeout=10000)["size"]
    other = []
    waiter = threading.Thread(target=lambda: other.append(flow.as_user("nobody", as_another)), daemon=True)
    waiter.start()
    os.read(told_ready, 1)
    with stuck_files(8) as mine:
        clients = [flow.client() for _ in mine]
        numbers = [client.begin("mail.parse", fds=[descriptor], raw={"fd": 0}, timeout=15000)
                   for client, descriptor in zip(clients, mine)]
        time.sleep(0.2)
        os.write(start, b"x")
        waiter.join(WAIT_S)
        same(other, [len(MESSAGE)], "another user's file")
        kinds = []
        for client, number in zip(clients, numbers):
            try:
                client.finish(number)
                raise AssertionError("the stuck file was read")
            except RpcError as error:
                kinds.append(error.kind)
        assert set(kinds) <= {"timeout", "busy"}, kinds
    for descriptor in (told_ready, ready, go, start):
        os.close(descriptor)
    # once the file system is gone, the readers are free again
    flow.wait_for(lambda: can_parse(flow), what="a free reader")


def can_parse(flow):
    client = flow.client()
    descriptor = memfd(MESSAGE, seal=False)
    try:
        return client.call("mail.parse", fds=[descriptor], raw={"fd": 0}, timeout=2000)["size"] == len(MESSAGE)
    except RpcError as error:
        assert error.kind in ("busy", "timeout"), error
        return False
    finally:
        os.close(descriptor)


def test_index_without_descriptors(flow):
    """An index without a descriptor is -32602"""
    flow.client().fails(INVALID_PARAMS, "mail.parse", raw={"fd": 0})
