# SPDX-License-Identifier: MIT
"""Holds every answer against the method table, as rpc.discover shows it: the part of JSON Schema that it uses."""

import json
import socket

called = set()      # names of the methods that some test has called
_document = None    # of the first daemon: all are the same build

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def _is_type(value, name):
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def _problem(value, schema, shared, where):
    """What is wrong with the value, or None."""
    if "$ref" in schema:
        return _problem(value, shared[schema["$ref"].rsplit("/", 1)[1]], shared, where)
    if "oneOf" in schema:
        problems = [_problem(value, inner, shared, where) for inner in schema["oneOf"]]
        return None if None in problems else "; ".join(problems)
    if "type" in schema:
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not any(_is_type(value, name) for name in types):
            return f"{where} is {json.dumps(value)[:80]}, not {' or '.join(types)}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{where} is {value!r}, not one of {schema['enum']}"
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        for name in schema.get("required", []):
            if name not in value:
                return f"{where} has no {name}"
        for name, inner in value.items():
            if name in properties:
                found = _problem(inner, properties[name], shared, f"{where}.{name}")
            elif isinstance(schema.get("additionalProperties"), dict):
                found = _problem(inner, schema["additionalProperties"], shared, f"{where}.{name}")
            elif properties and schema.get("additionalProperties") is not True:
                found = f"{where}.{name} is not in the method table"
            else:
                found = None
            if found:
                return found
    if isinstance(value, list) and "items" in schema:
        for index, inner in enumerate(value):
            found = _problem(inner, schema["items"], shared, f"{where}[{index}]")
            if found:
                return found
    return None


def document(path):
    """What rpc.discover tells, asked once and on a connection of its own."""
    global _document
    if _document is None:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(20)
            asking.connect(str(path))
            asking.sendall(b'{"jsonrpc":"2.0","id":1,"method":"rpc.discover"}\n')
            answer = b""
            while not answer.endswith(b"\n"):
                piece = asking.recv(1 << 20)
                assert piece, "rpc.discover was not answered"
                answer += piece
        _document = json.loads(answer)["result"]
    return _document


def check_result(path, method, result):
    """AssertionError where the result of a call is not what the method table says."""
    called.add(method)
    known = document(path)
    for row in known["methods"]:
        if row["name"] == method:
            found = _problem(result, row["result"]["schema"], known["components"]["schemas"], "result")
            assert not found, f"{method}: {found}"


def never_called():
    """Methods that no test has called, under whatever name."""
    rows = _document["methods"] if _document else []
    used = {row.get("x-alias-of", row["name"]) for row in rows if row["name"] in called}
    return sorted({row.get("x-alias-of", row["name"]) for row in rows} - used)


def all_called():
    """The methods that some test has called, by their own names."""
    rows = _document["methods"] if _document else []
    return sorted({row.get("x-alias-of", row["name"]) for row in rows if row["name"] in called})
