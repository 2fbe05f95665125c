# SPDX-License-Identifier: MIT
"""Clients of the socket that do wrong in every way, one after the other on one daemon: what each is told, or that it is thrown out;
behind each of them the same account works and others were served. doc/security.md has the table."""

import contextlib
import fcntl
import json
import os
import select
import socket
import struct
import tempfile
import time

import matrix
from fake_pop3 import FakePop3
from harness import INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, Closed, RpcError, memfd, same

SETTINGS = {"max_request_size": "1M", "partial_request_timeout": "1s", "client_stall": "1500ms", "max_clients_per_user": 100,
            "max_subscriptions_per_user": 20, "user_memory": "32M", "max_message_size": "4M"}
# what was freed is kept by the sanitizer for a while; that is not the daemon's memory
ENVIRONMENT = {"ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1:quarantine_size_mb=8"}
LETTER = b"Subject: x\r\n\r\n" + b"y" * 1000 + b"\r\n"
BAD = {PARSE_ERROR, INVALID_REQUEST, INVALID_PARAMS}
MEMORY = 64 << 20
CASES = {"texts": [], "frames": [], "descriptors": [], "floods": [], "readers": []}


def hostile(group, name=None):
    """Puts function(client, daemon) among the group's cases; `client` is a connection of its own."""
    def put(function):
        CASES[group].append((name or function.__name__.replace("_", "-"), function))
        return function
    return put


def line(method, number=1, **params):
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode() + b"\n"


PING = line("gateway.ping")


def run(flow, group):
    """All cases of the group; raises with all that was wrong."""
    server, wrong = FakePop3(), []
    with flow.own_daemon({"a": server.account(flow, pool_size=1)}, SETTINGS, ENVIRONMENT) as daemon, matrix.Pulse(daemon):
        files, memory = daemon.files(), daemon.memory()
        for name, function in CASES[group]:
            try:
                with daemon.client() as client:
                    function(client, daemon)
                with daemon.client() as client:
                    same(client.call("pop3.stat", account="a")["count"], 3, "the same account's next call")
                flow.wait_for(lambda: not daemon.files() - files, what="the end of its descriptors")
                grown = max(daemon.memory() - memory, 0)
                assert grown < MEMORY, f"the daemon has grown by {grown >> 20} MB"
            except (AssertionError, Closed, OSError, RpcError) as error:
                wrong.append(f"{name}: {type(error).__name__}: {error}")
                if not daemon.alive():
                    break
    server.close()
    assert not wrong, f"{len(wrong)} of {len(CASES[group])}:\n" + "\n".join(wrong)


# -- texts


def refused(codes, *texts, closes=False):
    """Each of these lines gets one of the codes, and the connection goes on (or ends)."""
    def play(client, _):
        for text in texts:
            client.send_bytes(text + b"\n")
            message = client.read_message()[0]
            found = message.get("error", {}).get("code")
            assert found in codes, f"{text[:60]!r}: {str(message)[:200]}"
        if closes:
            client.until_closed()
        else:
            same(client.call("gateway.ping"), {})
    return play


def of_ping(**more):
    return json.dumps(dict({"jsonrpc": "2.0", "id": 1, "method": "gateway.ping"}, **more)).encode()


def with_id(text):
    return b'{"jsonrpc":"2.0","method":"gateway.ping","id":' + text + b"}"


for name, codes, texts in (
        ("numbers", BAD, [with_id(text) for text in (b"-", b"0x10", b"1e", b"--1", b"1.", b"Infinity", b"9" * 100000)]),
        ("strings", BAD, [with_id(text) for text in (b'"\\u12"', b'"\\ud800\\u0041"', b'"a', b'"\x00"', b'"\x1f"', b'"\\U0041"')]),
        ("utf-8", BAD, [with_id(b'"' + text + b'"') for text in (b"\xff", b"\xc0\x80", b"\xe0\x80\xaf", b"\xf4\x90\x80\x80", b"\xed\xa0\x80", b"\xc3")]),
        ("keys-twice", BAD, [b'{"jsonrpc":"2.0","id":1,"method":"gateway.ping","id":1}', b'{"jsonrpc":"2.0","id":1,"method":"gateway.ping","\\u0069d":1}']),
        ("depth", BAD, [b"[" * 500000, b'{"a":' * 100000 + b"1" + b"}" * 100000, b"[" * 70 + b"]" * 70]),
        ("many-keys", BAD, [b"{" + b",".join(b'"k%d":%d' % (n, n) for n in range(60000)) + b"}", of_ping(params={f"k{n}": n for n in range(60000)})]),
        ("wide-values", BAD, [b"[" + b"0," * 100000 + b"0]", of_ping(params=[0] * 100000)]),
        ("types", BAD, [of_ping(jsonrpc=2.0), of_ping(method=None), of_ping(params="x"), of_ping(fds=-1), of_ping(fds=1.5), of_ping(fds="2"), of_ping(fds=254),
                        of_ping(fds=1 << 31)]),
        ("bad-ids", BAD, [with_id(text) for text in (b"{}", b"[]", b"true", b'"' + b"i" * 200000 + b'"')]),
        ("other-protocols", BAD, [b"GET / HTTP/1.1\r", b"\x16\x03\x01\x02\x00", b"EHLO x", b"\x00\x00\x00\x10", b"<?xml?>", b"l\x01\x00\x01"]),
        ("marks", BAD, [b"\xef\xbb\xbf" + of_ping(), b"\xff\xfe{\x00}\x00", b"\x1e" + of_ping(), of_ping() + b"\x00", of_ping() + of_ping()]),
        ("batches", BAD, [b"[]", b"[" + b",".join([of_ping()] * 200) + b"]", b"[" + b"1," * 500 + b"1]"]),
        ("odd-methods", BAD | {-32601}, [of_ping(method=text) for text in ("", "\0", "gateway.ping\0", "rpc.", "m" * 100000, "../ping", "%s%n")]),
        ("escapes", BAD, [line("mail.parse", raw={"base64": "=" * 100000})[:-1], line("mail.parse", raw={"text": "x", "fd": 0})[:-1],
                          line("mail.parse", raw={"fd": 1 << 40})[:-1]])):
    hostile("texts", name)(refused(codes, *texts))


@hostile("texts")
def nested_batches(client, _):
    client.send_bytes(b"[[" + of_ping() + b"],1,{}," + of_ping(id=7) + b"]\n")
    answers = client.read_message()[0]
    same(sorted((one.get("error") or {}).get("code", 0) for one in answers), [INVALID_REQUEST] * 3 + [0])


# -- frames


@hostile("frames")
def giant_line(client, _):
    with contextlib.suppress(OSError):
        client.send_bytes(b'{"x":"' + b"x" * (24 << 20) + b'"}\n')
    with contextlib.suppress(Closed, OSError):
        same(client.read_message()[0]["error"]["code"], INVALID_REQUEST)


@hostile("frames")
def line_without_end(client, _):
    client.send_bytes(b'{"jsonrpc":')
    client.until_closed()


@hostile("frames")
def line_byte_by_byte(client, _):
    with contextlib.suppress(OSError):
        for byte in PING * 100:
            client.send_bytes(bytes([byte]))
            time.sleep(0.03)
            if client.poll.poll(0):
                break
    client.until_closed()


@hostile("frames")
def always_in_a_line(client, _):
    """Lines that are ended, each in time, for longer than one line may take: whenever one looks, one of them is begun."""
    answered, deadline = 0, time.monotonic() + 2
    client.send_bytes(PING[:5])
    while time.monotonic() < deadline:
        client.send_bytes(PING[5:] + PING[:5])
        same(client.read_message()[0]["result"], {})
        answered += 1
    assert answered > 2, answered


@hostile("frames")
def blank_lines(client, _):
    client.send_bytes(b"\n\r\n" * 100000 + PING)
    same(client.read_message()[0]["result"], {})


@hostile("frames")
def blanks_without_end(client, _):
    with contextlib.suppress(OSError):
        client.send_bytes(b" " * (8 << 20))
    with contextlib.suppress(Closed, OSError):
        same(client.read_message()[0]["error"]["code"], INVALID_REQUEST)


@hostile("frames")
def nothing_but_nul(client, _):
    client.send_bytes(b"\0" * 500000 + b"\n")
    same(client.read_message()[0]["error"]["code"], PARSE_ERROR)
    same(client.call("gateway.ping"), {})


@hostile("frames")
def half_open(client, _):
    """What was said before the end is answered, what was not ended is not."""
    client.send_bytes(PING + line("gateway.ping", 2)[:-1] + b"x")
    client.socket.shutdown(socket.SHUT_WR)
    ids = [message.get("id") for message in client.until_closed()]
    assert 1 in ids and 2 not in ids, ids


@hostile("frames")
def end_behind_each_byte(_, daemon):
    for length in range(len(PING)):
        with daemon.client() as client:
            client.send_bytes(PING[:length])
            client.socket.shutdown((socket.SHUT_WR, socket.SHUT_RDWR)[length % 2])


@hostile("frames")
def garbage(_, daemon):
    for size in (1, 100, 5000, 70000):
        with daemon.client() as client, contextlib.suppress(Closed, OSError):
            client.send_bytes(os.urandom(size) + b"\n")
            client.send_bytes(os.urandom(size))


@hostile("frames")
def out_of_band(client, _):
    with contextlib.suppress(OSError):      # kernels that know it
        client.socket.send(b"x", socket.MSG_OOB)
        client.send_bytes(PING)
        client.socket.send(b"y", socket.MSG_OOB)
    client.socket.shutdown(socket.SHUT_WR)
    client.until_closed()


@hostile("frames")
def credentials(client, _):
    """Others' credentials in the message count for nothing: those of the connection do."""
    forged = struct.pack("3i", os.getpid(), 65534, 65534)
    client.socket.sendmsg([PING], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, forged)])
    same(client.read_message()[0]["result"], {})
    same(client.call("pop3.stat", account="a")["count"], 3)


# -- descriptors


def parse_of(client, descriptor, **more):
    """The answer, or the error's code or kind; the descriptor is closed here."""
    try:
        return client.call("mail.parse", fds=[descriptor], raw={"fd": 0}, **more)
    except RpcError as error:
        return error.code if error.code in BAD else error.kind
    finally:
        os.close(descriptor)


def temporary(content=b"", flags=os.O_RDWR):
    descriptor, path = tempfile.mkstemp()
    os.write(descriptor, content)
    os.close(descriptor)
    descriptor = os.open(path, flags)
    os.unlink(path)
    return descriptor


def not_readable():
    """What no content can be read from."""
    yield "directory", lambda: os.open("/", os.O_RDONLY)
    yield "path", lambda: os.open("/etc/passwd", os.O_PATH)
    yield "link", lambda: os.open("/proc/self/exe", os.O_PATH | os.O_NOFOLLOW)
    yield "write-only", lambda: temporary(LETTER, os.O_WRONLY)
    yield "zeros", lambda: os.open("/dev/zero", os.O_RDONLY)
    yield "full", lambda: os.open("/dev/full", os.O_RDWR)
    yield "terminal", lambda: os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY)
    yield "event", lambda: os.eventfd(0)
    yield "epoll", lambda: os.dup(KEPT[0].fileno())
    yield "process", lambda: os.pidfd_open(os.getpid())
    yield "datagrams", lambda: os.dup(KEPT[1].fileno())
    yield "listener", lambda: os.dup(KEPT[2].fileno())


KEPT = []


def kinds_of_file(client, _):
    KEPT[:] = [select.epoll(), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), socket.create_server(("127.0.0.1", 0))]
    for name, opened in not_readable():
        found = parse_of(client, opened())
        same(found, INVALID_PARAMS, name)
    while KEPT:
        KEPT.pop().close()
    same(client.call("gateway.ping"), {})


hostile("descriptors", "directories-devices-sockets-paths")(kinds_of_file)


@hostile("descriptors")
def own_socket(client, _):
    """The connection itself, again and again: it keeps nothing alive."""
    for _ in range(20):
        same(parse_of(client, os.dup(client.socket.fileno())), INVALID_PARAMS)
    client.send_bytes(b'{"jsonrpc":"2.0","id":', [client.socket.fileno()] * 10)


@hostile("descriptors")
def fifo_that_nobody_writes(client, daemon):
    path = daemon.folder / "fifo"
    os.mkfifo(path)
    same(parse_of(client, os.open(path, os.O_RDWR), timeout=300), "timeout")
    number = client.begin("mail.parse", fds=[os.open(path, os.O_RDWR)], raw={"fd": 0})
    client.notify("rpc.cancel", id=number)
    try:
        client.finish(number)
        raise AssertionError("it was read")
    except RpcError as error:
        same(error.kind, "cancelled")
    path.unlink()


@hostile("descriptors")
def pipe_of_packets(client, _):
    read_end, write_end = os.pipe2(os.O_DIRECT)
    os.write(write_end, LETTER[:100])
    os.write(write_end, LETTER[100:])
    os.close(write_end)
    same(parse_of(client, read_end)["size"], len(LETTER))


@hostile("descriptors")
def endless_pipe(client, _):
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    number = client.begin("mail.parse", fds=[read_end], raw={"fd": 0})
    os.close(read_end)
    deadline = time.monotonic() + 15
    try:
        while time.monotonic() < deadline and not client.poll.poll(0):
            with contextlib.suppress(BlockingIOError):
                os.write(write_end, b"x" * 65536)
    except BrokenPipeError:
        pass
    finally:
        os.close(write_end)
    try:
        client.finish(number)
        raise AssertionError("it was read")
    except RpcError as error:
        assert error.kind in ("limit", "bad_message"), error


@hostile("descriptors")
def memory_that_shrinks(client, _):
    for sealed in (False, True):
        descriptor = memfd(LETTER * 3000, seal=False)
        if sealed:
            fcntl.fcntl(descriptor, 1033, 0x0004)       # F_SEAL_GROW: it may still shrink
        number = client.begin("mail.parse", fds=[descriptor], raw={"fd": 0})
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 10)
        with contextlib.suppress(RpcError):
            client.finish(number)
        os.close(descriptor)


@hostile("descriptors")
def memory_that_grows(client, _):
    descriptor = memfd(LETTER, seal=False)
    number = client.begin("mail.parse", fds=[descriptor], raw={"fd": 0})
    os.ftruncate(descriptor, 1 << 40)
    with contextlib.suppress(RpcError):
        client.finish(number)
    os.close(descriptor)


@hostile("descriptors")
def file_that_shrinks_and_grows(client, _):
    descriptor = temporary(LETTER * 3000)
    for number in [client.begin("mail.parse", fds=[descriptor], raw={"fd": 0}) for _ in range(20)]:
        os.ftruncate(descriptor, (number % 2) * 3000000)
        with contextlib.suppress(RpcError):
            client.finish(number)
    os.close(descriptor)


@hostile("descriptors")
def holes(client, _):
    """A file and a memory file of a terabyte take no byte here."""
    for descriptor in (temporary(), os.memfd_create("holes", os.MFD_CLOEXEC)):
        os.ftruncate(descriptor, 1 << 40)
        found = parse_of(client, descriptor)
        assert found in ("limit", "bad_message", INVALID_PARAMS), found


@hostile("descriptors")
def positions(client, _):
    """A position far behind the end is no size."""
    for opened in (lambda: memfd(LETTER, seal=False), lambda: temporary(LETTER)):
        for place in (1 << 20, (1 << 62) + 1):
            descriptor = opened()
            with contextlib.suppress(OSError):      # file systems have their own limits
                os.lseek(descriptor, place, os.SEEK_SET)
            found = parse_of(client, descriptor)
            assert isinstance(found, dict) and found["size"] <= len(LETTER) or found in (INVALID_PARAMS, "bad_message"), found


@hostile("descriptors")
def system_files(client, _):
    """Files of /proc and /sys say that they are empty, or never end; whatever it is, nothing hangs."""
    for path in ("/proc/self/status", "/proc/self/mem", "/proc/self/environ", "/proc/self/pagemap", "/sys/kernel/mm/transparent_hugepage/enabled"):
        if os.path.exists(path):
            parse_of(client, os.open(path, os.O_RDONLY), timeout=5000)


@hostile("descriptors")
def sealed_and_written(client, _):
    """A seal that is set while the bytes are read, and a writer that goes on."""
    descriptor = memfd(LETTER * 100, seal=False)
    numbers = [client.begin("mail.parse", fds=[descriptor], raw={"fd": 0}) for _ in range(10)]
    for number in numbers:
        os.pwrite(descriptor, b"\0" * 5000, number * 100)
        result = client.finish(number)[0]
        same(result["size"], len(LETTER) * 100)
    os.close(descriptor)


@hostile("descriptors")
def numbers_that_lie(_, daemon):
    """More, fewer, unasked, on half a line, in two pieces, for a batch that wants others."""
    null = os.open("/dev/null", os.O_RDONLY)
    for said, given in ((3, 1), (0, 2), (1, 0)):
        with daemon.client() as client:
            client.send_bytes(of_ping(fds=said) + b"\n", [null] * given)
            with contextlib.suppress(OSError):
                client.until_closed()
    with daemon.client() as client:     # two pieces of one line, each with its own
        text = of_ping(fds=4) + b"\n"
        client.send_bytes(text[:10], [null] * 2)
        client.send_bytes(text[10:], [null] * 2)
        same(client.read_message()[0]["result"], {})
        client.send_bytes(b"[" + of_ping(fds=1) + b"," + of_ping(id=2, fds=250) + b"]\n", [null] * 2)
        with contextlib.suppress(OSError):
            client.until_closed()
    with daemon.client() as client:     # ahead of the request that claims them
        client.send_bytes(PING, [null])
        with contextlib.suppress(OSError):
            client.send_bytes(of_ping(fds=1) + b"\n")
            client.until_closed()
    os.close(null)


@hostile("descriptors")
def one_for_many(client, _):
    """One index named many times in one request."""
    descriptor = memfd(LETTER)
    error = None
    try:
        client.call("mail.build", fds=[descriptor], message={"from": "a@example.com", "to": "b@example.com", "text": "x",
                                                              "attachments": [{"filename": "a", "content": {"fd": 0}}] * 50})
    except RpcError as found:
        error = found
    assert error is None or error.code == INVALID_PARAMS, error
    os.close(descriptor)


@hostile("descriptors")
def hoards(_, daemon):
    """Descriptors on lines that are never ended, of many connections, up to the user's share."""
    null, clients = os.open("/dev/null", os.O_RDONLY), []
    for _ in range(20):
        client = daemon.client()
        clients.append(client)
        with contextlib.suppress(OSError):
            client.send_bytes(b"{", [null] * 200)
    with daemon.client() as other:
        same(other.call("gateway.ping"), {})
    for client in clients:
        client.close()
    os.close(null)


# -- floods


STUCK = []


@contextlib.contextmanager
def stuck():
    """A pipe that nobody writes to: what reads it waits."""
    ends = os.pipe()
    STUCK[:] = ends
    try:
        yield
    finally:
        STUCK.clear()
        for end in ends:
            os.close(end)


def begin_stuck(client):
    return client.begin("mail.parse", fds=[STUCK[0]], raw={"fd": 0})


@hostile("floods")
def cancel_storm(client, _):
    with stuck():
        numbers = [begin_stuck(client) for _ in range(200)]
        for number in numbers * 3:
            client.notify("rpc.cancel", id=number)
        for number in numbers:
            client.notify("rpc.cancel", id=str(number))
        for number in numbers:
            try:
                client.finish(number)
                raise AssertionError("it was read")
            except RpcError as error:
                same(error.kind, "cancelled")


@hostile("floods")
def cancels_of_nothing(client, _):
    client.send_bytes(b"".join(json.dumps({"jsonrpc": "2.0", "method": "rpc.cancel", "params": {"id": number}}).encode() + b"\n" for number in range(5000)))
    same(client.call("gateway.ping"), {})


@hostile("floods")
def same_id_again(client, _):
    with stuck():
        number = begin_stuck(client)
        for _ in range(300):
            client.send({"jsonrpc": "2.0", "id": number, "method": "gateway.ping"})
        for _ in range(300):
            same(client.read_message()[0]["error"]["code"], INVALID_REQUEST)
        client.notify("rpc.cancel", id=number)
        same(client.read_message()[0]["error"]["code"], -32006)


@hostile("floods")
def calls_over_the_limit(client, daemon):
    """More calls than one may have: the connection is read no further, and nothing is lost."""
    with stuck():
        first = [begin_stuck(client) for _ in range(250)]
        client.send_bytes(b"".join(line("gateway.ping", 10000 + number) for number in range(1000)))
        with daemon.client() as other:
            same(other.call("gateway.ping"), {})
        for number in first:
            client.notify("rpc.cancel", id=number)
        seen = 0
        while seen < 1250:
            client.read_message()
            seen += 1


@hostile("floods")
def gone_in_flight(_, daemon):
    with stuck():
        for _ in range(20):
            with daemon.client() as client:
                for _ in range(20):
                    begin_stuck(client)
                client.begin("pop3.stat", account="a")


@hostile("floods")
def come_and_go(_, daemon):
    for number in range(300):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(daemon.socket_path))
        if number % 3:
            sock.send(PING * (number % 5))
        sock.close()


@hostile("floods")
def too_many_clients(client, daemon):
    clients = []
    for _ in range(150):
        with contextlib.suppress(OSError):
            clients.append(daemon.client(5))
    same(client.call("gateway.ping"), {})
    for one in clients:
        one.close()
    deadline = time.monotonic() + 20
    while True:         # it has to notice that they are gone
        try:
            with daemon.client() as other:
                same(other.call("gateway.ping"), {})
                return
        except (Closed, OSError, RpcError):
            assert time.monotonic() < deadline, "nobody is let in any more"
            time.sleep(0.05)


@hostile("floods")
def sessions_without_end(client, _):
    """One connection takes all sessions that it can get; gone, it has none."""
    opened = 0
    for _ in range(20):
        try:
            client.call("pop3.open", account="a", timeout=300)
            opened += 1
        except RpcError as error:
            assert error.kind in ("busy", "limit", "timeout"), error
            break
    assert opened <= 1, f"{opened} sessions of an account that has one place"


@hostile("floods")
def batch_storm(client, _):
    whole = b"[" + b",".join(of_ping(id=number) for number in range(100)) + b"]\n"
    client.send_bytes(whole * 50)
    for _ in range(50):
        same(len(client.read_message()[0]), 100)


@hostile("floods")
def notifications_without_end(client, _):
    client.send_bytes(b'{"jsonrpc":"2.0","method":"gateway.ping"}\n' * 20000)
    same(client.call("gateway.ping"), {})


@hostile("floods")
def refused_without_end(client, _):
    client.send_bytes(b"x\n" * 5000)
    for _ in range(5000):
        same(client.read_message()[0]["error"]["code"], PARSE_ERROR)
    same(client.call("gateway.ping"), {})


# -- readers


@hostile("readers")
def never_reads(client, daemon):
    """Its requests are taken no more when too much waits for it."""
    client.socket.setblocking(False)
    request, sent, number, held = line("rpc.discover", "NUMBER"), 0, 0, 0
    before, top = daemon.memory(), 0
    while held < 10:
        number += 1
        try:
            sent += client.socket.send(request.replace(b'"NUMBER"', b"%d" % number))
            held = 0
        except BlockingIOError:
            held += 1
            top = max(top, daemon.memory() - before)
            time.sleep(0.1)
        assert sent < 2 << 20 and top < MEMORY, f"{sent} bytes were taken, {top} held"


@hostile("readers")
def reads_slowly(client, _):
    numbers = [client.begin("rpc.discover") for _ in range(4)]
    client.socket.settimeout(5)
    got = 0
    for _ in range(300):
        got += len(client.socket.recv(997))
        time.sleep(0.001)
    assert got > 0 and numbers


@hostile("readers")
def reads_no_more(client, _):
    client.send_bytes(line("rpc.discover") * 3)
    client.socket.shutdown(socket.SHUT_RD)
    with contextlib.suppress(OSError):
        for _ in range(100):
            client.send_bytes(PING)


@hostile("readers")
def never_reads_its_pipes(_, daemon):
    """Answers by pipe that nobody reads: what is held is bounded, and is over with the connection."""
    with daemon.client() as client:
        held = []
        for _ in range(20):
            descriptor = memfd(LETTER * 1000)
            try:
                _, fds = client.call_fds("mail.parse", fds=[descriptor], raw={"fd": 0}, content="pipe", parts=True)
                held += fds
            except RpcError:
                pass
            os.close(descriptor)
        with daemon.client() as other:
            same(other.call("gateway.ping"), {})
        for descriptor in held:
            os.close(descriptor)


@hostile("readers")
def closes_its_pipes(client, _):
    for _ in range(20):
        descriptor = memfd(LETTER * 1000)
        try:
            for one in client.call_fds("mail.parse", fds=[descriptor], raw={"fd": 0}, content="pipe", parts=True)[1]:
                os.close(one)
        except RpcError:
            pass
        os.close(descriptor)
    same(client.call("gateway.ping"), {})


@hostile("readers")
def does_not_take_descriptors(client, _):
    """Answers with descriptors to one that reads bytes only: the kernel closes them."""
    descriptor = memfd(LETTER * 1000)
    for number in range(30):
        client.send({"jsonrpc": "2.0", "id": number, "method": "mail.parse", "fds": 1, "params": {"raw": {"fd": 0}, "content": "fd"}}, [descriptor])
    os.close(descriptor)
    lines = 0
    client.socket.settimeout(10)
    while lines < 30:
        lines += client.socket.recv(65536).count(b"\n")


def test_texts(flow):
    """Texts that are no requests, by numbers, strings, keys, depth, width, and other protocols"""
    run(flow, "texts")


def test_frames(flow):
    """Lines without end, cut, too long, in pieces, half-open connections, bytes out of band, foreign credentials"""
    run(flow, "frames")


def test_descriptors(flow):
    """Descriptors of every wrong kind, that change while they are read, of wrong number, hoarded"""
    run(flow, "descriptors")


def test_floods(flow):
    """Storms of cancels, ids, calls, clients, sessions, batches"""
    run(flow, "floods")


def test_readers(flow):
    """Clients that do not read what they asked for, read slowly, or take no descriptors"""
    run(flow, "readers")
