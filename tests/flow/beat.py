# SPDX-License-Identifier: MIT
"""How long a ping takes, measured by a process that does nothing else, beside a process that only echoes: what both have in
common is the machine's."""

import json
import os
import signal
import socket
import tempfile
import time

BEAT_S = 0.01
PING = b'{"jsonrpc":"2.0","id":1,"method":"gateway.ping"}\n'


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def realtime(pid):
    """The process runs before all others; what threads it begins compute stays behind."""
    os.sched_setscheduler(pid, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))


class Echo:
    """A process that answers each line with itself."""

    def __init__(self):
        self.path = tempfile.mktemp(prefix="postern-echo-")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path)
        listener.listen()
        self.pid = os.fork()
        if self.pid == 0:
            while True:
                one = listener.accept()[0]
                while data := one.recv(4096):
                    one.sendall(data)
        listener.close()

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.unlink(self.path)


class Beat:
    """Pings by turns to the sockets; ended by result()."""

    def __init__(self, first, *paths):
        reading, writing = os.pipe()
        self.pid, self.reading = os.fork(), reading
        if self.pid == 0:
            try:
                if first:
                    realtime(0)
                self.beat(paths, writing)
            finally:
                os._exit(1)
        os.close(writing)

    @staticmethod
    def beat(paths, writing):
        over = []
        signal.signal(signal.SIGTERM, lambda *_: over.append(True))
        socks, took = [], [[] for _ in paths]
        for path in paths:
            socks.append(socket.socket(socket.AF_UNIX))
            socks[-1].connect(str(path))
        while not over:
            for sock, times in zip(socks, took):
                began = time.perf_counter()
                sock.sendall(PING)
                data = b""
                while not data.endswith(b"\n"):
                    piece = sock.recv(4096)
                    if not piece:
                        os._exit(1)
                    data += piece
                times.append(time.perf_counter() - began)
            time.sleep(BEAT_S)
        with os.fdopen(writing, "w") as stream:
            json.dump(took, stream)
        os._exit(0)

    def result(self):
        """Seconds of each ping, in lists: one for each path."""
        os.kill(self.pid, signal.SIGTERM)
        with os.fdopen(self.reading) as stream:
            text = stream.read()
        os.waitpid(self.pid, 0)
        assert text, "the daemon closed the connection"
        return json.loads(text)


def tell(name, took):
    """Prints percentiles of [the daemon's, the echo's]; the former's 99th."""
    ours, echo = took
    shown = " ".join(f"{part * 100:g} % {percentile(ours, part) * 1000:.2f} ({percentile(echo, part) * 1000:.2f})" for part in (0.5, 0.99, 0.999))
    print(f"  ping, {name}: {shown}, longest {max(ours) * 1000:.2f} ({max(echo) * 1000:.2f}) ms of {len(ours)}; in brackets the echo")
    return percentile(ours, 0.99) - percentile(echo, 0.99)
