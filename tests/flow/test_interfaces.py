# SPDX-License-Identifier: MIT
"""Walks doc/interfaces.md: whatever it names must be there, and be called by some test."""

import pathlib
import re

import schema
from harness import KINDS, same

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADING = re.compile(r"^## (.*) \((\d+)\)$")


def rows():
    """(heading, its count, names in the third column) of every row."""
    heading = None
    for line in (ROOT / "doc" / "interfaces.md").read_text().splitlines():
        found = HEADING.match(line)
        if found:
            heading = found.groups()
        elif heading and line.startswith("| ") and not line.startswith(("| name |", "| --- |")):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            same(len(cells), 4, f"cells of {line}")
            yield heading, cells[0], re.findall(r"`([^`]+)`", cells[2])


def step(node, name, shared):
    """The schema of a member, through references and arrays; None: there is no such member."""
    node = whole(node, shared)
    if "items" in node:
        return step(node["items"], name, shared)
    for inner in node.get("oneOf", []):
        found = step(inner, name, shared)
        if found is not None:
            return found
    return node.get("properties", {}).get(name)


def whole(node, shared):
    while "$ref" in node:
        node = shared[node["$ref"].rsplit("/", 1)[1]]
    return node


def follow(node, path, shared):
    for name in path.split("."):
        node = step(node, name, shared) if node is not None else None
    return node is not None


def problem(token, methods, shared, options, library, tests):
    """Why a name of the list is not there; None: it is."""
    kind, _, rest = token.partition(" ")
    if kind == "option":
        return None if f'{{"{rest}"' in options else "no such key of the configuration"
    if kind == "error":
        return None if rest in KINDS.values() else "no such kind"
    if kind == "postern":
        return None if rest in ("send", "sendmail", "status", "help") else "no such command"
    if token.endswith("()"):
        return None if re.search(rf"\b{token[:-2]}\(", library) else "no such function"
    found = re.fullmatch(r"([a-z0-9]+\.[a-z0-9_]+)(?:\((.+)\)|\.(.+))?", token)
    if not found or found[1] not in methods:
        return "no such method"
    method = methods[found[1]]
    if found[2]:
        first, _, deeper = found[2].partition(".")
        inner = next((one["schema"] for one in method["params"] if one["name"] == first), None)
        if inner is None or (deeper and not follow(inner, deeper, shared)):
            return "no such parameter"
    if found[3] and not follow(method["result"]["schema"], found[3], shared):
        return "no such member of the result"
    names = {name for name, one in methods.items() if one.get("x-alias-of", name) == method.get("x-alias-of", found[1])}
    return None if any(f'"{name}"' in tests for name in names) else "no test calls it"


def test_list(flow):
    """Every name of doc/interfaces.md is served by what the list says"""
    document = schema.document(flow.client().path)
    methods = {method["name"]: method for method in document["methods"]}
    options = next((ROOT / "src" / "daemon").rglob("config_keys.c")).read_text()
    library = (ROOT / "src" / "client" / "postern.h").read_text()
    tests = "".join(path.read_text() for path in pathlib.Path(__file__).parent.glob("test_*.py") if path.name != "test_interfaces.py")
    wrong, count = [], {}
    for heading, name, tokens in rows():
        count[heading] = count.get(heading, 0) + 1
        if not tokens:
            wrong.append(f"{heading[0]}: {name}: nothing serves it")
        for token in tokens:
            why = problem(token, methods, document["components"]["schemas"], options, library, tests)
            if why:
                wrong.append(f"{heading[0]}: {name}: {token}: {why}")
    assert not wrong, "\n".join(wrong)
    for (title, wanted), found in count.items():
        same(found, int(wanted), f"rows of {title}")
    assert len(count) >= 8, count
