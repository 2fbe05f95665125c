# SPDX-License-Identifier: MIT
"""The first process of a sandbox: runs as pid 1 of its own pid and mount namespace.

Lays the private copies of the servers over /usr, the sandbox's folders over the paths that they have compiled in and
made-up users over /etc/passwd (all seen only in here), starts the
servers, restarts none, and when told to stop (SIGTERM, or the end of its standard input where it is tied to its
starter) kills all processes in here and removes the sandbox's folder."""

import ctypes
import json
import os
import pathlib
import selectors
import shutil
import signal
import subprocess
import sys

MS_RDONLY, MS_BIND = 1, 4096
libc = ctypes.CDLL(None, use_errno=True)


def mount(source, target, kind, flags, data):
    encode = [None if text is None else str(text).encode() for text in (source, target, kind)]
    if libc.mount(*encode, ctypes.c_ulong(flags), None if data is None else data.encode()) != 0:
        raise OSError(ctypes.get_errno(), f"cannot mount {source} on {target}")


def add_accounts(folder, accounts):
    """Made-up users over the machine's: an {"name": number} becomes a user and a group of that name and number."""
    for database, line in (("passwd", "{0}:x:{1}:{1}::/nonexistent:/usr/sbin/nologin\n"), ("group", "{0}:x:{1}:\n")):
        text = pathlib.Path("/etc", database).read_text()
        if text and not text.endswith("\n"):
            text += "\n"
        private = folder / database
        private.write_text(text + "".join(line.format(name, number) for name, number in accounts.items()))
        private.chmod(0o644)
        mount(private, f"/etc/{database}", None, MS_BIND, None)


def lay_places(folder, places):
    """Folders of the sandbox's own where a server has a path compiled in. One that the machine has not gets its place in a
    read-only layer over its parent, so that nothing is made on the machine."""
    parents = {}
    for path in map(pathlib.Path, places):
        if not path.is_dir():
            (folder / "places-made" / path.relative_to("/")).mkdir(parents=True)
            parents[path.parent] = folder / "places-made" / path.parent.relative_to("/")
    for parent, layer in parents.items():
        layer.chmod(0o755)
        mount("overlay", parent, "overlay", MS_RDONLY, f"lowerdir={layer}:{parent}")
    for path in places:
        mount(folder / "places" / path.lstrip("/"), path, None, MS_BIND, None)


def end_all_but_me():
    try:
        os.kill(-1, signal.SIGKILL)     # in this pid namespace only
    except ProcessLookupError:
        return
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def main():
    assert os.getpid() == 1, "must be the first process of a pid namespace"
    folder = pathlib.Path(sys.argv[1])
    plan = json.loads((folder / "plan.json").read_text())
    wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    layers = ":".join(f"{tree}/usr" for tree in plan["trees"])
    mount("overlay", "/usr", "overlay", MS_RDONLY, f"lowerdir={layers}:/usr")
    lay_places(folder, plan["places"])
    add_accounts(folder, plan["accounts"])

    servers = {}
    for server in plan["servers"]:
        with open(server["output"], "ab") as output:
            process = subprocess.Popen(server["command"], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                       env=dict(server["environment"], PATH="/usr/sbin:/usr/bin:/sbin:/bin"), cwd="/")
        servers[process.pid] = server["name"]

    waiting = selectors.DefaultSelector()
    waiting.register(wake_read, selectors.EVENT_READ)
    if plan["tied"]:
        waiting.register(0, selectors.EVENT_READ)
    stopping = False
    while not stopping:
        for key, _ in waiting.select():
            if key.fd == 0:
                stopping = stopping or not os.read(0, 64)
                continue
            numbers = os.read(wake_read, 256)
            stopping = stopping or signal.SIGTERM in numbers or signal.SIGINT in numbers
        while servers:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid in servers:
                with open(folder / "ended", "a") as ended:
                    ended.write(f"{servers.pop(pid)} ended with status {os.waitstatus_to_exitcode(status)}\n")
    end_all_but_me()
    os.chdir("/")
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
