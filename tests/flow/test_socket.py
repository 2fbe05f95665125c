# SPDX-License-Identifier: MIT
"""The socket: lines, ids, batches, notifications, cancelling, time limits."""

import json
import os
import re
import socket
import stat
import threading
import time

from harness import INVALID_PARAMS, INVALID_REQUEST, NO_METHOD, Closed, Flow, RpcError, same, slow

ACCOUNTS = {
    "silent": {"smtp": {"port": Flow.silent_port}, "imap": {"port": Flow.silent_port}, "pop3": {"port": Flow.silent_port}},
}


def request(number, method="gateway.ping", **params):
    message = {"jsonrpc": "2.0", "id": number, "method": method}
    if params:
        message["params"] = params
    return message


def test_ping(flow):
    """A ping is answered"""
    same(flow.client().call("gateway.ping"), {})


def test_mode(flow):
    """Everybody may connect to the socket"""
    same(stat.S_IMODE(os.stat(flow.daemon.socket_path).st_mode), 0o666)


def test_ids(flow):
    """Ids of every legal type come back exactly as they came"""
    client = flow.client()
    for text in ('1', '-7', '0', '1.50', '1e3', '12345678901234567890123', '"5"', '"\\u00e9\\/"', '"Zo\u00eb"', '""', '"%s"' % ("x" * 200)):
        client.send_bytes(b'{"jsonrpc":"2.0","id":' + text.encode() + b',"method":"gateway.ping"}\n')
        line = b""
        while not line.endswith(b"\n"):
            line += client.socket.recv(65536)
        assert re.search(rb'"id":\s*' + re.escape(text.encode()) + rb'\s*[,}]', line), f"{text} came back in {line}"
    client.send_bytes(b'{"jsonrpc":"2.0","id":"%s","method":"gateway.ping"}\n' % (b"x" * 300))
    message, _ = client.read_message()
    same(message["error"]["code"], INVALID_REQUEST, "the code for an id of 300 bytes")


def test_ids_in_flight(flow):
    """An id in flight may not be used again, and 5 is not "5\""""
    client = flow.client()
    client.send(request(5, "imap.status", account="silent", mailbox="INBOX", timeout=3000))
    client.send(request(5))
    message, _ = client.read_message()
    same((message["error"]["code"], message["id"] in (5, None)), (INVALID_REQUEST, True), "the second 5")
    client.send(request("5"))
    same(client.read_message()[0], {"jsonrpc": "2.0", "id": "5", "result": {}})
    message, _ = client.read_message()
    same((message["id"], message["error"]["data"]["kind"]), (5, "timeout"))
    client.send(request(5))
    same(client.read_message()[0]["result"], {}, "5 when it is free again")


def test_lines(flow):
    """CR before LF and empty lines are ignored; a request may come byte by byte, or many in one write"""
    client = flow.client()
    text = json.dumps(request(1)).encode()
    client.send_bytes(b"\n\r\n" + text + b"\r\n\n\n")
    same(client.read_message()[0]["id"], 1)
    for byte in json.dumps(request(2)).encode() + b"\n":
        client.send_bytes(bytes([byte]))
    same(client.read_message()[0]["id"], 2)
    client.send_bytes(b"".join(json.dumps(request(number)).encode() + b"\n" for number in range(100, 300)))
    same(sorted(client.read_message()[0]["id"] for _ in range(200)), list(range(100, 300)))


def test_half_close(flow):
    """After the client shuts down its writing side its calls are finished and answered"""
    client = flow.client()
    client.send(request(1, "imap.list", account=flow.user()))
    client.send(request(2))
    client.socket.shutdown(socket.SHUT_WR)
    messages = client.until_closed(20)
    same(sorted(message["id"] for message in messages), [1, 2])
    assert all("result" in message for message in messages), messages


def test_unfinished_last_line(flow):
    """A last line without LF is not executed as if it were whole"""
    client = flow.client()
    client.send_bytes(json.dumps(request(1)).encode()[:-1])
    client.socket.shutdown(socket.SHUT_WR)
    assert not [message for message in client.until_closed() if "result" in message]


def test_notifications(flow):
    """Notifications are carried out and not answered"""
    client = flow.client()
    client.notify("gateway.ping")
    client.notify("no.such.method")
    client.send(request(1))
    same(client.read_message()[0]["id"], 1)


def test_batches(flow):
    """A batch is answered in one array, without its notifications"""
    client = flow.client()
    client.send([request(1), {"jsonrpc": "2.0", "method": "gateway.ping"}, request("two", "no.such.method"), request(3), 7])
    answer, _ = client.read_message()
    assert isinstance(answer, list), answer
    by_id = {json.dumps(message["id"]): message for message in answer}
    same(set(by_id), {"1", '"two"', "3", "null"})
    same((by_id["1"]["result"], by_id['"two"']["error"]["code"], by_id["null"]["error"]["code"]), ({}, NO_METHOD, INVALID_REQUEST))
    client.send([])
    answer, _ = client.read_message()
    same((answer["error"]["code"], answer["id"]), (INVALID_REQUEST, None), "an empty batch")
    client.send([{"jsonrpc": "2.0", "method": "gateway.ping"}])
    client.send(request(9))
    same(client.read_message()[0]["id"], 9, "after a batch of notifications only")
    client.send([request(number) for number in range(100)])
    same(len(client.read_message()[0]), 100)


def test_batch_too_long(flow):
    """A batch of more than max_batch is refused whole"""
    client = flow.client()
    client.send([request(number) for number in range(101)])
    answer, _ = client.read_message()
    assert isinstance(answer, dict), "one error, not an array"
    same((answer["error"]["code"], answer["id"]), (INVALID_REQUEST, None))
    same(flow.client().call("gateway.ping"), {})


def test_concurrency(flow):
    """A call that waits for its server does not keep the connection's other calls waiting"""
    client = flow.client()
    slow = client.begin("imap.status", account="silent", mailbox="INBOX", timeout=5000)
    began = time.monotonic()
    same(client.call("gateway.ping"), {})
    assert time.monotonic() - began < 4
    try:
        client.finish(slow)
        raise AssertionError("the silent server answered")
    except RpcError as error:
        same(error.kind, "timeout")


def test_timeout(flow):
    """A call ends when its time is over, with what is known about its outcome"""
    client = flow.client()
    for method, params in (("imap.list", {}), ("pop3.list", {}),
                           ("smtp.send", {"message": {"from": "ann@example.com", "to": "bob@example.com", "text": "x"}})):
        began = time.monotonic()
        error = client.fails("timeout", method, account="silent", timeout=400, **params)
        took = time.monotonic() - began
        assert 0.35 < took < 15, f"{method} took {took:.2f} s"
        same(error.data.get("outcome"), "none", method)
    for bad in (0, -1, "5", 1.5, True):
        client.fails(INVALID_PARAMS, "gateway.ping", timeout=bad)


def test_cancel(flow):
    """rpc.cancel ends a call of the same connection, and only that"""
    client, other = flow.client(), flow.client()
    slow = client.begin("imap.list", account="silent")
    time.sleep(0.1)
    same(other.call("rpc.cancel", id=slow), {"found": False}, "from another connection")
    same(client.call("rpc.cancel", id="1"), {"found": False}, "an id of another type")
    same(client.call("rpc.cancel", id=slow), {"found": True})
    try:
        client.finish(slow)
        raise AssertionError("the cancelled call succeeded")
    except RpcError as error:
        same((error.kind, error.code), ("cancelled", -32006))
    same(client.call("rpc.cancel", id=slow), {"found": False}, "a second time")


def test_gone_client(flow):
    """A client that goes away with calls in flight leaves nothing behind"""
    for _ in range(20):
        client = flow.daemon.client()
        for number in range(5):
            client.send(request(number, "imap.list", account="silent"))
        client.send_bytes(b'{"jsonrpc":')
        client.close()
    same(flow.client().call("gateway.ping"), {})
    status = flow.wait_for(lambda: (lambda s: s if count_clients(s) <= 2 else None)(flow.client().call("gateway.status")))
    assert status["version"]


def count_clients(status):
    clients = status["clients"]
    return clients if isinstance(clients, int) else clients.get("now", clients.get("count", clients.get("connected", 0)))


def test_many_clients(flow):
    """Two hundred clients at once are served"""
    clients = [flow.client() for _ in range(200)]
    numbers = [client.begin("gateway.ping") for client in clients]
    for client, number in zip(clients, numbers):
        same(client.finish(number)[0], {})


def test_clients_of_one_user_are_limited(flow):
    """Connections of one user over max_clients_per_user are refused, and the others live on"""
    clients = []
    refused = 0
    for _ in range(300):
        try:
            client = flow.daemon.client()
            flow.cleanups.append(client.close)
            clients.append(client)
        except OSError:
            refused += 1
    for client in clients:
        try:
            client.call("gateway.ping")
        except (Closed, OSError, RpcError):
            refused += 1
    assert refused >= 300 - 256, f"only {refused} of 300 refused"
    same(clients[0].call("gateway.ping"), {})


def test_status(flow):
    """gateway.status tells version, api, features and limits"""
    status = flow.client().call("gateway.status")
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", status["version"]), status["version"]
    assert isinstance(status["api"]["major"], int) and isinstance(status["api"]["minor"], int)
    assert isinstance(status["features"], list) and status["limits"]["max_batch"] == 100, status["limits"]


WANTED = """gateway.ping gateway.status gateway.pools gateway.reload account.list account.test rpc.discover rpc.cancel smtp.send
    smtp.test_connection imap.list imap.status imap.select imap.search imap.fetch imap.append imap.store imap.copy imap.expunge
    imap.open imap.logout pop3.open pop3.list pop3.uid_list pop3.retr pop3.stat pop3.top pop3.delete pop3.quit mail.parse
    mail.build""".split()


def test_discover(flow):
    """rpc.discover describes every method in OpenRPC"""
    document = flow.client().call("rpc.discover")
    assert document["openrpc"].startswith("1."), document.get("openrpc")
    same(document["info"]["version"], flow.client().call("gateway.status")["version"])
    methods = {method["name"]: method for method in document["methods"]}
    assert not set(WANTED) - set(methods), f"missing: {set(WANTED) - set(methods)}"
    for name, method in methods.items():
        assert method.get("summary") or method.get("description"), f"{name} is not documented"
        same(method.get("paramStructure", "by-name"), "by-name", name)
        for parameter in method["params"]:
            assert parameter["name"] and "schema" in parameter, f"{name}: {parameter}"
        assert "schema" in method["result"], name
    account = [parameter for parameter in methods["smtp.send"]["params"] if parameter["name"] == "account"]
    same(len(account), 1, "smtp.send's account")


def test_slow_reader(flow):
    """A client that does not read is held back, and others do not wait for it"""
    lazy = flow.daemon.client()
    flow.cleanups.append(lazy.close)
    lazy.socket.setblocking(False)
    line = json.dumps(request(1, "rpc.discover")).encode() + b"\n"
    stop = time.monotonic() + 1.5
    sent = 0

    def push():
        nonlocal sent
        number = 0
        while time.monotonic() < stop:
            number += 1
            try:
                sent += lazy.socket.send(line.replace(b'"id": 1', b'"id": %d' % number))
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                return
    thread = threading.Thread(target=push)
    thread.start()
    client, worst = flow.client(), 0
    while thread.is_alive():
        began = time.monotonic()
        client.call("gateway.ping")
        worst = max(worst, time.monotonic() - began)
        time.sleep(0.005)
    thread.join()
    assert worst < slow(), f"a ping beside it took {worst:.2f} s"
    assert sent < 4 << 20, "it was not held back"
