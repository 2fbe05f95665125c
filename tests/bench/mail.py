# SPDX-License-Identifier: MIT
"""What the benchmarks of SMTP and POP3 share: the programs in C beside them, the daemon with a client, rounds of peers."""

import array
import contextlib
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import time

import frame

HERE = frame.HERE
PROGRAMS = ("posternd", "tests/bench/mail_sink", "tests/bench/mail_relay", "tests/bench/mail_raw")


def build(folder, *more):
    source = frame.harness.SOURCE
    if not (source / "configure").exists():
        subprocess.run([source / "autogen.sh"], check=True, capture_output=True)
    if not (folder / "Makefile").exists():
        subprocess.run([source / "configure", "CFLAGS=-O2 -g"], cwd=folder, check=True, capture_output=True)
    done = subprocess.run(["make", f"-j{os.cpu_count()}", *PROGRAMS, *more], cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"bench: cannot build: {(done.stderr or done.stdout)[-2000:]}")


def curl_client(folder):
    """The path of mail_curl, built now; Absent without libcurl's development files."""
    path = pathlib.Path(folder) / "mail_curl"
    if path.exists():
        return path
    flags = shutil.which("pkg-config") and subprocess.run(["pkg-config", "--cflags", "--libs", "libcurl", "jansson"], capture_output=True, text=True)
    if not flags or flags.returncode != 0:
        raise frame.Absent("no libcurl to build with")
    subprocess.run([os.environ.get("CC", "cc"), "-O2", str(HERE / "mail_curl.c"), "-o", str(path), *flags.stdout.split()], check=True)
    return path


def letter(to, size):
    line = "The quick brown fox jumps over the lazy dog, and the lazy dog lets it.\r\n"
    head = (f"From: Ann <ann@example.com>\r\nTo: {to}\r\nSubject: a message\r\nDate: Mon, 02 Mar 2026 10:00:00 +0100\r\n"
            "Message-ID: <bench@example.com>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n")
    return head + line * ((size - len(head)) // len(line))


@contextlib.contextmanager
def helper(*command):
    """A program that prints ports and ends with its standard input: the ports."""
    process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        ports = [int(word) for word in process.stdout.readline().split()]
        if not ports:
            raise RuntimeError(f"{command[0]} did not start")
        yield ports
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


class Client:
    """An ordinary client with as many calls in flight as it likes; answers are looked at, not parsed."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.socket.settimeout(120)

    def send(self, lines, fds):
        """Each line goes with the descriptor that belongs to it, where there is one; without, all in one write."""
        if fds is None:
            self.socket.sendall(b"".join(lines))
            return
        for line in lines:
            sent = self.socket.sendmsg([line], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fds]))])
            self.socket.sendall(line[sent:])

    def run(self, lines, window, fd=None):
        """{"wall", "cpu"} of it, until all the lines have an answer."""
        began, cpu = time.monotonic(), time.process_time()
        self.send(lines[:window], fd)
        said, done, rest = min(window, len(lines)), 0, b""
        while done < len(lines):
            data, ancillary, _, _ = self.socket.recvmsg(1 << 18, 8192)
            for _, _, content in ancillary:
                received = array.array("i")
                received.frombytes(content)
                for one in received:
                    os.close(one)
            if not data:
                raise RuntimeError("the daemon closed the connection")
            new = data.count(b"\n")
            if not new:
                rest = rest + data if len(rest) < 4096 else rest        # a long answer: its beginning is enough
                continue
            answers = (rest + data).split(b"\n")
            rest = answers.pop()
            if any(b'"error"' in answer[:200] for answer in answers):
                raise RuntimeError(f"an error: {[a for a in answers if b'error' in a][0][:400]!r}")
            finals = sum(b'"method":"stream"' not in answer[:100] for answer in answers)
            done += finals
            if said < len(lines) and finals:
                self.send(lines[said:said + finals], fd)
                said = min(said + finals, len(lines))
        return {"wall": time.monotonic() - began, "cpu": time.process_time() - cpu}

    def close(self):
        self.socket.close()


def call(number, method, **params):
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode() + b"\n"


class Postern:
    """A daemon with the accounts; measures of what its client does."""

    def __init__(self, binary, mail, accounts, settings=None):
        self.daemon = frame.harness.Daemon(binary, mail, accounts, dict({"log_level": "warning"}, **(settings or {})))

    def __enter__(self):
        self.daemon.start()
        self.client = Client(self.daemon.socket_path)
        return self

    def __exit__(self, *_):
        self.client.close()
        self.daemon.stop()
        self.daemon.remove()

    def work(self, lines, window, count=None, fd=None):
        pid = self.daemon.process.pid
        frame.reset_peak(pid)
        before = frame.cpu_of(pid)
        took = self.client.run(lines, window, fd)
        cpu = frame.cpu_of(pid) - before
        return {"count": count or len(lines), "wall": took["wall"], "cpu": cpu, "both": cpu + took["cpu"], "rss": frame.peak_rss(pid)}


def rounds(table, peers, number):
    """Every peer in turn, `number` times over; the medians become rows. peers = {name: work() -> a peer's answer}.
    Milliseconds of cpu for each message, by name."""
    got = {name: [] for name in peers}
    absent = {}
    for _ in range(number):
        for name, work in peers.items():
            if name in absent:
                continue
            try:
                got[name].append(work())
            except frame.Absent as why:
                absent[name] = why
    for name, all_of in got.items():
        if not all_of:
            table.absent(name, absent[name])
            continue
        middle = {key: statistics.median(one[key] for one in all_of) for key in all_of[0]}
        table.row(name, int(middle["count"]), middle["wall"], middle["cpu"], middle["rss"])
        if "both" in middle:
            print(f"{'  daemon and client':44} {'':6} {'':12} {'':12} {middle['both']:12.3f} {middle['both'] / middle['count'] * 1000:12.3f}")
    return {name: statistics.median(one["cpu"] for one in all_of) / all_of[0]["count"] * 1000 for name, all_of in got.items() if all_of}
