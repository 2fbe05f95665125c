# SPDX-License-Identifier: MIT
"""The table of extensions and servers in doc/servers.md."""

import difflib
import os
import re

import peers
import servers_table
from harness import SOURCE, Skip

PAGE = SOURCE / "doc" / "servers.md"


def test_current(flow):
    """doc/servers.md says what was on the wire while the lists ran"""
    missing = set(peers.all_cases) - (flow.peers.passed if flow.peers else set())
    if missing:
        raise Skip(f"{len(missing)} of {len(peers.all_cases)} cases did not run or pass before this")
    found = servers_table.render(flow.peers)
    if os.environ.get("POSTERN_WRITE_TABLE"):
        PAGE.write_text(found)
    written = PAGE.read_text()
    for name, number in servers_table.versions().items():
        if not re.search(rf"^\| {name} \| {re.escape(number)} \|$", written, re.M):
            raise Skip(f"the page was made with another version than {name} {number}")
    difference = list(difflib.unified_diff(written.splitlines(), found.splitlines(), "doc/servers.md", "on the wire", lineterm="", n=0))
    assert not difference, "make it anew with tests/flow/run --table servers_:\n" + "\n".join(difference)
