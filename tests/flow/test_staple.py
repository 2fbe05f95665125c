# SPDX-License-Identifier: MIT
"""OCSP responses stapled to the TLS handshake, by OpenSSL's server."""

import contextlib
import datetime
import pathlib
import socket
import subprocess
import threading

from harness import same

ANSWERS = {b"CAPA": b"+OK\r\nUSER\r\nSASL PLAIN\r\n.\r\n", b"AUTH": b"+OK\r\n", b"STAT": b"+OK 3 78\r\n", b"QUIT": b"+OK\r\n"}


def response(flow, folder, revoked):
    """What the authority says of the good certificate: a file."""
    made = pathlib.Path(flow.mail.ca_file).parent
    state, ends, _, serial, rest, name = (made / "issue-good" / "index.txt").read_text().rstrip("\n").split("\t")
    when = datetime.datetime.now(datetime.timezone.utc).strftime("%y%m%d%H%M%SZ")
    index, out = folder / "staple.index", folder / f"staple-{revoked}.der"
    index.write_text("\t".join(["R" if revoked else state, ends, when if revoked else "", serial, rest, name]) + "\n")
    subprocess.run(["openssl", "ocsp", "-index", index, "-CA", made / "ca.pem", "-issuer", made / "ca.pem", "-cert", made / "good.pem",
                    "-rsigner", made / "ca.pem", "-rkey", made / "ca.key", "-ndays", "1", "-respout", out], check=True, capture_output=True)
    return out


def speak(server):
    """POP3 behind OpenSSL's TLS, as far as it is needed."""
    with contextlib.suppress(OSError, ValueError):
        server.stdin.write(b"+OK hello\r\n")
        server.stdin.flush()
        for line in server.stdout:
            server.stdin.write(ANSWERS.get(line[:4].upper(), b"-ERR what?\r\n"))
            server.stdin.flush()


@contextlib.contextmanager
def stapling(flow, staple):
    """A port on which one connection is served."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    files = flow.mail.certificates["good"]
    server = subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-quiet", "-cert", files["certificate"], "-key", files["key"],
                               "-status_file", str(staple)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    thread = threading.Thread(target=speak, args=(server,))
    thread.start()
    try:
        flow.wait_for(lambda: listens(port), what="a server that listens")
        yield port
    finally:
        server.kill()
        server.wait()
        thread.join()
        server.stdout.close()
        with contextlib.suppress(OSError):
            server.stdin.close()


def listens(port):
    """Without a connection of its own, which would be the one that is served."""
    wanted = f":{port:04X} "
    return any(wanted in line and line.split()[3] == "0A" for line in pathlib.Path("/proc/net/tcp").read_text().splitlines())


def test_stapled(flow):
    """A certificate that its authority calls revoked is refused with the day; one that it calls good is not"""
    with flow.own_daemon({}) as daemon, daemon.client() as client:
        for name, revoked in (("good", False), ("revoked", True)):
            with stapling(flow, response(flow, daemon.folder, revoked)) as port:
                daemon.write_account(name, {"auth": {"username": "ann", "password": "secret"}, "account": {"email": "ann@example.com"},
                                            "pop3": {"host": "localhost", "port": port, "implicit_tls": "yes", "ca_file": flow.mail.ca_file, "family": "ipv4"}})
                client.call("gateway.reload")
                if not revoked:
                    same(client.call("pop3.stat", account=name), {"count": 3, "size": 78})
                    continue
                error = client.fails("tls", "pop3.stat", account=name)
                assert "certificate was revoked on 2" in error.error["message"], error.error
                same((error.data["stage"], error.data["outcome"], error.data["retry"]), ("tls", "none", "no"))
