# SPDX-License-Identifier: MIT
"""Requests that are not right: the error that the contract names, and nobody else harmed."""

import json
import os
import socket

from harness import INVALID_PARAMS, INVALID_REQUEST, NO_METHOD, PARSE_ERROR, Closed, memfd, same


def answer_to(client, data):
    client.send_bytes(data + b"\n")
    message, _ = client.read_message()
    return message


def expect(flow, codes, *texts):
    """Each text gets one of the codes, with the connection alive after it."""
    for text in texts:
        client = flow.client()
        message = answer_to(client, text)
        assert "error" in message, f"{text[:80]!r}: {message}"
        assert message["error"]["code"] in codes, f"{text[:80]!r}: {message['error']}"
        assert isinstance(message["error"]["message"], str) and message["error"]["message"], text[:80]
        same(client.call("gateway.ping"), {}, f"ping after {text[:80]!r}")
        client.close()


def test_not_json(flow):
    """What is not JSON is -32700"""
    expect(flow, {PARSE_ERROR}, b"hello", b"{", b'{"jsonrpc":"2.0"', b"[1,", b'{"a":1,}', b"{'a':1}", b'{"a":01}', b'{"a":+1}', b'{"a":.5}',
           b'{"a":NaN}', b'{"a":"\t"}', b'{"a":"\\x"}', b'{"a":"\\ud800"}', b'{"a":tru}', b'"abc', b"GET / HTTP/1.1\r",
           b'{"a":1} {"b":2}', b"\xef\xbb\xbf{}")


def test_encoding(flow):
    """Invalid UTF-8 is refused with a clear text"""
    expect(flow, {PARSE_ERROR, INVALID_REQUEST},
           b'{"jsonrpc":"2.0","id":1,"method":"gateway.\xff"}', b'{"jsonrpc":"2.0","id":"\xc0\xaf","method":"gateway.ping"}',
           b'{"jsonrpc":"2.0","id":"\xed\xa0\x80","method":"gateway.ping"}', b'{"jsonrpc":"2.0","id":1,"method":"gateway.ping","\xf8":1}')


def test_duplicate_keys(flow):
    """Duplicate keys are refused, outside, in parameters, deep inside, and when written differently"""
    expect(flow, {PARSE_ERROR, INVALID_REQUEST},
           b'{"jsonrpc":"2.0","id":1,"id":2,"method":"gateway.ping"}',
           b'{"jsonrpc":"2.0","id":1,"method":"gateway.ping","method":"gateway.ping"}',
           b'{"jsonrpc":"2.0","id":1,"method":"mail.parse","params":{"raw":"a","raw":"b"}}',
           b'{"jsonrpc":"2.0","id":1,"method":"mail.build","params":{"message":{"headers":{"X-A":"1","X-A":"2"}}}}',
           b'{"jsonrpc":"2.0","id":1,"method":"mail.parse","params":{"raw":"a","\\u0072aw":"b"}}')


def test_depth(flow):
    """64 levels are read, 65 refused"""
    def nested(levels):     # the outermost brace and "params" are two of them
        inner = levels - 2
        return b'{"jsonrpc":"2.0","id":1,"method":"mail.parse","params":{"raw":' + b"[" * inner + b"]" * inner + b"}}"
    expect(flow, {INVALID_PARAMS}, nested(64))
    expect(flow, {PARSE_ERROR, INVALID_REQUEST}, nested(65), nested(1000), nested(200000))
    expect(flow, {PARSE_ERROR, INVALID_REQUEST}, b"[" * 100000)


def test_not_a_request(flow):
    """JSON that is no request is -32600"""
    expect(flow, {INVALID_REQUEST}, b"1", b'"gateway.ping"', b"null", b"true", b"{}", b'{"id":1,"method":"gateway.ping"}',
           b'{"jsonrpc":"1.0","id":1,"method":"gateway.ping"}', b'{"jsonrpc":2.0,"id":1,"method":"gateway.ping"}',
           b'{"jsonrpc":"2.0","id":1}', b'{"jsonrpc":"2.0","id":1,"method":7}', b'{"jsonrpc":"2.0","id":{},"method":"gateway.ping"}',
           b'{"jsonrpc":"2.0","id":[1],"method":"gateway.ping"}', b'{"jsonrpc":"2.0","id":true,"method":"gateway.ping"}',
           b'{"jsonrpc":"2.0","id":1,"method":"gateway.ping","params":7}')


def test_methods(flow):
    """An unknown method is -32601"""
    client = flow.client()
    for name in ("", "gateway", "gateway.", "gateway.pin", "gateway.pingg", "GATEWAY.PING", "smtp.senD", "a" * 10000, "é"):
        client.fails(NO_METHOD, name)


def test_parameters(flow):
    """Wrong parameters are -32602, which names them"""
    client = flow.client()

    def refused(named, method, **params):
        error = client.fails(INVALID_PARAMS, method, **params)
        assert named in json.dumps(error.error), f"{method}: {named} is not named in {error}"
        return error
    client.send({"jsonrpc": "2.0", "id": 77, "method": "mail.parse", "params": ["raw"]})
    same(client.read_message()[0]["error"]["code"], INVALID_PARAMS, "parameters by position")
    refused("raw", "mail.parse")
    refused("raw", "mail.parse", raw=7)
    refused("raw", "mail.parse", raw=None)
    refused("raw", "mail.parse", raw={})
    refused("raw", "mail.parse", raw={"text": "a", "base64": "YQ=="})
    refused("raw", "mail.parse", raw={"base64": "YQ"})
    refused("raw", "mail.parse", raw={"base64": "Y Q="})
    refused("raw", "mail.parse", raw={"fd": 0})
    refused("content", "mail.parse", raw="a", content="xml")
    refused("attachments", "mail.parse", raw="a", attachments="yes")
    refused("message", "mail.build", message="x")
    error = refused("contnet", "mail.parse", raw="a", contnet="auto")
    same(error.data.get("did_you_mean"), "content", "did_you_mean")
    refused("uids", "imap.fetch", account="ann")
    refused("account", "imap.list")
    refused("numbers", "imap.fetch", account="ann", uids="1", numbers="1")
    error = refused("session", "imap.select", account="ann", mailbox="INBOX")


def test_injection(flow):
    """CR, LF and NUL are refused wherever they would reach a command or a header"""
    client = flow.client()
    good = {"from": "ann@example.com", "to": "bob@example.com", "text": "x"}
    for field, value in (("subject", "a\r\nBcc: eve@example.com"), ("subject", "a\nb"), ("from", "a\r@example.com"), ("message_id", "a\r\nb@c"),
                         ("to", ["x@example.com>\r\nRCPT TO:<y@example.com"]), ("headers", {"X-A": "1\r\n2"}), ("headers", {"X-A\r\nB": "1"})):
        error = client.fails(INVALID_PARAMS, "mail.build", message=dict(good, **{field: value}))
        assert field in json.dumps(error.error), f"{field} is not named in {error}"
    user = flow.user()
    for envelope in ({"from": "a@b\r\nRCPT TO:<x@y>", "to": ["bob@example.com"]}, {"from": "ann@example.com", "to": ["bob@example.com\r\nDATA"]},
                     {"from": "ann@example.com", "to": ["bob@example.com"], "envid": "a\r\nb"}):
        client.fails(INVALID_PARAMS, "smtp.send", account=user, raw="Subject: x\n\nx\n", envelope=envelope)
    client.fails(INVALID_PARAMS, "imap.status", account=user, mailbox="INBOX\0")


def test_too_long(flow):
    """A text longer than max_request_size is refused, and never buffered past it"""
    with flow.own_daemon(accounts={}, settings={"max_request_size": "1M"}) as daemon:
        client = daemon.client()
        before = daemon.memory()
        try:
            client.send_bytes(b'{"jsonrpc":"2.0","id":1,"method":"mail.parse","params":{"raw":"' + b"x" * (32 << 20) + b'"}}\n')
        except OSError:
            pass        # it may close while we are still writing
        try:
            message, _ = client.read_message()
            same(message["error"]["code"], INVALID_REQUEST)
        except (Closed, OSError):
            pass
        assert daemon.memory() - before < 12 << 20, f"grew by {(daemon.memory() - before) >> 20} MB"
        client.close()
        with daemon.client() as second:
            same(second.call("gateway.ping"), {})


def test_unfinished_line(flow):
    """A line that is never finished is ended by partial_request_timeout"""
    with flow.own_daemon(accounts={}, settings={"partial_request_timeout": "500ms"}) as daemon:
        with daemon.client() as idle, daemon.client() as client:
            client.send_bytes(b'{"jsonrpc":"2.0",')
            client.until_closed(5)
            same(idle.call("gateway.ping"), {}, "a client that is only idle")


def test_too_few_descriptors(flow):
    """Fewer descriptors than a request says close its connection"""
    client = flow.client()
    client.send({"jsonrpc": "2.0", "id": 1, "method": "gateway.ping", "fds": 2}, [0])
    messages = client.until_closed()
    same([message["error"]["code"] for message in messages], [INVALID_REQUEST])


def test_unclaimed_descriptors(flow):
    """Descriptors that no request claims close the connection"""
    client = flow.client()
    client.send({"jsonrpc": "2.0", "id": 1, "method": "gateway.ping"}, [0, 1])
    messages = client.until_closed()
    assert INVALID_REQUEST in [message.get("error", {}).get("code") for message in messages], messages


def test_two_hundred_descriptors(flow):
    """Two hundred descriptors, claimed and unused, are closed silently"""
    client = flow.client()
    files = [os.open("/dev/null", os.O_RDONLY) for _ in range(200)]
    try:
        same(client.call("gateway.ping", fds=files), {})
        data = memfd(b"Subject: x\r\n\r\nhello\r\n")
        same(client.call("mail.parse", fds=files[:199] + [data], raw={"fd": 199})["subject"], "x")
        os.close(data)
        client.send({"jsonrpc": "2.0", "id": 1, "method": "gateway.ping"}, files)
        client.until_closed()
        gone = flow.client()        # on half a line, then away
        gone.send_bytes(b'{"jsonrpc":"2.0","id":1,', files)
        gone.close()
    finally:
        for descriptor in files:
            os.close(descriptor)


def test_flood_of_descriptors(flow):
    """More waiting descriptors than a connection may have close it"""
    client = flow.client()
    files = [os.open("/dev/null", os.O_RDONLY) for _ in range(250)]
    try:
        for _ in range(8):
            client.send_bytes(b" ", files)
        client.until_closed()
    except (BrokenPipeError, ConnectionResetError):
        pass
    finally:
        for descriptor in files:
            os.close(descriptor)


def test_wrong_descriptors(flow):
    """A directory, a socket, a device, a write-only file and a closed end are -32602"""
    client = flow.client()
    one, two = socket.socketpair()
    read_end, write_end = os.pipe()
    opened = [os.open("/tmp", os.O_RDONLY), one.fileno(), os.open("/dev/zero", os.O_RDONLY), write_end,
              os.open(flow.daemon.folder / "only-write", os.O_WRONLY | os.O_CREAT), os.open("/tmp", os.O_PATH)]
    try:
        for descriptor in opened:
            client.fails(INVALID_PARAMS, "mail.parse", fds=[descriptor], raw={"fd": 0})
        data = memfd(b"Subject: x\r\n\r\n")
        for index in (1, -1, 253, "0", 0.5):
            client.fails(INVALID_PARAMS, "mail.parse", fds=[data], raw={"fd": index})
        os.close(data)
    finally:
        for descriptor in (opened[0], opened[2], opened[4], opened[5], read_end, write_end):
            os.close(descriptor)
        one.close()
        two.close()


def test_garbage(flow):
    """Random bytes, with others being served meanwhile"""
    other = flow.client()
    for _ in range(30):
        client = flow.daemon.client()
        try:
            client.send_bytes(os.urandom(20000) + b"\n")
            client.send_bytes(b"\0" * 1000 + b"\n")
        except OSError:
            pass
        same(other.call("gateway.ping"), {})
        try:
            client.read_message()
        except (Closed, OSError):
            pass
        client.close()
