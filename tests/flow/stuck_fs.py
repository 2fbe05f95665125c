# SPDX-License-Identifier: MIT
"""A FUSE file system by hand with one file whose content never comes: `stuck_fs.py COUNT`, with a Unix socket as standard
output, sends its mount point with COUNT descriptors of that file over it, then "stuck".

It is a process of its own, with a mount namespace of its own, so that killing it frees whoever hangs on it: the only
descriptor of /dev/fuse goes with it. Whoever holds the file's descriptors hangs in close() and in exit as well until then;
so fork nothing while holding them."""

import array
import contextlib
import ctypes
import os
import socket
import struct
import sys
import tempfile
import threading
import time

LOOKUP, GETATTR, OPEN, FLUSH, INIT, OPENDIR = 1, 3, 14, 25, 26, 27
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 16384, 1 << 18
NOT_HERE = 77
libc = ctypes.CDLL(None, use_errno=True)


def attributes(node):
    mode = 0o40755 if node == 1 else 0o100444
    return struct.pack("<6Q10I", node, 4096, 8, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def serve(device, closing):
    while True:
        try:
            request = os.read(device, 1 << 18)
        except OSError:
            return
        _, opcode, unique, node = struct.unpack_from("<IIQQ", request)
        if opcode == INIT:
            body = struct.pack("<IIIIHHIIHH7I", 7, 31, 0, 0, 12, 10, 4096, 1, 32, 0, *[0] * 7)
        elif opcode == LOOKUP:
            body = struct.pack("<QQQQII", 2, 0, 0, 0, 0, 0) + attributes(2)
        elif opcode == GETATTR and node == 1:
            body = struct.pack("<QII", 60, 0, 0) + attributes(1)
        elif opcode in (OPEN, OPENDIR):
            body = struct.pack("<QII", 1, 1, 0)     # direct I/O
        elif opcode == FLUSH and closing.is_set():
            body = b""
        else:           # READ, FLUSH, GETATTR of the file, …: never; FORGET wants no answer
            continue
        with contextlib.suppress(OSError):
            os.write(device, struct.pack("<IiQ", 16 + len(body), 0, unique) + body)


def main():
    out = socket.socket(fileno=1)
    try:
        device = os.open("/dev/fuse", os.O_RDWR)
    except OSError:
        sys.exit(NOT_HERE)
    folder = tempfile.mkdtemp(prefix="postern-stuck-")
    options = f"fd={device},rootmode=40755,user_id=0,group_id=0,allow_other".encode()
    if libc.unshare(CLONE_NEWNS) != 0 or libc.mount(b"none", b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None) != 0 \
            or libc.mount(b"postern-stuck", folder.encode(), b"fuse", ctypes.c_ulong(0), options) != 0:
        os.rmdir(folder)
        sys.exit(NOT_HERE)
    # this process must be able to die, so it lets go of the file before the file system gets stuck
    closing = threading.Event()
    closing.set()
    threading.Thread(target=serve, args=(device, closing), daemon=True).start()
    files = [os.open(os.path.join(folder, "message"), os.O_RDONLY) for _ in range(int(sys.argv[1]))]
    out.sendmsg([folder.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))])
    for descriptor in files:
        os.close(descriptor)
    closing.clear()
    out.send(b"stuck")
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
