# SPDX-License-Identifier: MIT
"""What the benchmarks share: peers as processes, the daemon on sandbox servers, the table.

A peer is a program that gets its task as JSON on standard input and prints JSON: {"wall": s, "cpu": s, "count": n,
"rss": bytes}, measured by itself around the work, without start and warming up."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "flow"))
import harness      # noqa: E402
import packages     # noqa: E402

PEERS = HERE / "peers"


class Absent(Exception):
    """This peer cannot run here; the text says why."""


def npm_package(name, version, fetch=True):
    """The folder of node_modules with that package, from the npm registry into the private cache; not `fetch`: only what is there."""
    if not shutil.which("node"):
        raise Absent("no node")
    folder = packages.cache_folder() / "npm" / f"{name}-{version}"
    modules = folder / "node_modules"
    if not (modules / name / "package.json").exists():
        if not fetch or not shutil.which("npm"):
            raise Absent("no npm" if fetch else "not fetched yet")
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts",
                               "--loglevel=error", f"{name}@{version}"], capture_output=True, text=True, timeout=120)
        if done.returncode != 0 or not modules.exists():
            raise Absent(f"npm could not fetch {name}: {done.stderr.strip()[-200:]}")
    return modules


def run_peer(command, task, environment=None, limit=300):
    done = subprocess.run(list(map(str, command)), input=json.dumps(task), capture_output=True, text=True, timeout=limit,
                          env=dict(os.environ, **(environment or {})))
    if done.returncode != 0:
        raise RuntimeError(f"{command}: {done.stderr.strip()[-800:]}")
    return json.loads(done.stdout)


def cpu_of(pid):
    """Seconds of processor time that a process's threads have used."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()) / 1e9


def peak_rss(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) * 1024


def reset_peak(pid):
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


def pipelined(socket_path, lines, window, expected=b'"result"'):
    """Sends the requests with at most `window` unanswered; {"wall", "cpu"} of this client. Answers are counted, not parsed."""
    client = harness.Client(socket_path, 120)
    room = threading.Semaphore(window)
    failure = []

    def send():
        for line in lines:
            room.acquire()
            if failure:
                return
            client.socket.sendall(line)
    began, cpu = time.monotonic(), time.process_time()
    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    done, rest = 0, b""
    while done < len(lines):
        data = client.socket.recv(1 << 18)
        if not data:
            raise RuntimeError("the daemon closed the connection")
        *answers, rest = (rest + data).split(b"\n")
        for answer in answers:
            if expected not in answer:
                failure.append(answer)
                room.release()
                raise RuntimeError(f"not the expected answer: {answer[:300]!r}")
            room.release()
        done += len(answers)
    took = {"wall": time.monotonic() - began, "cpu": time.process_time() - cpu}
    sender.join()
    client.close()
    return took


class Table:
    """Rows as they are ready, ratios at the end."""

    COLUMNS = ("wall s", "per s", "client cpu s", "cpu ms/op", "peak RSS MiB")

    def __init__(self, title):
        self.rows, self.counts, self.peaks = {}, {}, {}
        print(title)
        print(f"{'':44} {'n':>6} " + " ".join(f"{name:>12}" for name in self.COLUMNS))

    def row(self, name, count, wall, cpu, rss):
        self.rows[name], self.counts[name], self.peaks[name] = count / wall, count, rss
        print(f"{name:44} {count:6} {wall:12.3f} {count / wall:12.0f} {cpu:12.3f} {cpu / count * 1000:12.3f} "
              + (f"{rss / 2 ** 20:12.1f}" if rss else f"{'-':>12}"), flush=True)

    def absent(self, name, why):
        print(f"{name:44} absent ({why})", flush=True)

    def measure(self, name, work):
        """work() gives a peer's answer; an absent one is a line that says so."""
        try:
            got = work()
        except Absent as why:
            self.absent(name, why)
            return
        self.row(name, got["count"], got["wall"], got["cpu"], got["rss"])

    def ratios(self, mine, goals):
        """How many times faster mine is than each; goals = {peer: at least}; True if all that ran are met."""
        met = True
        for name, rate in self.rows.items():
            if name != mine and mine in self.rows:
                ratio = self.rows[mine] / rate
                goal = goals.get(name)
                met = met and (goal is None or ratio >= goal)
                print(f"{ratio:8.2f} times {name}" + (f" (goal: {goal}, {'met' if ratio >= goal else 'MISSED'})" if goal else ""))
        return met


def own_rss():
    return peak_rss("self")
