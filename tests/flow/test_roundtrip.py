# SPDX-License-Identifier: MIT
"""Messages that are built and read back: tests/roundtrip has what they are like, and more readers."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "roundtrip"))
import compare      # noqa: E402
import letters      # noqa: E402
import readers      # noqa: E402

COUNT = 100


def test_roundtrip(flow):
    """What mail.build makes, mail.parse and Python's email read back to the same values"""
    client = flow.client(120)
    found = {"postern": readers.Postern(client), "python": readers.Python()}
    wrong = []
    for seed in range(COUNT):
        params, want = letters.letter(seed)
        raw = readers.content(client.call("mail.build", **params)["raw"])
        for name, reader in found.items():
            wrong += [f"seed {seed}: {name}: {key}: {words[:300]}" for key, words in compare.differences(want, reader.read(raw), name, params["utf8"])]
    assert not wrong, "\n".join(wrong[:5])
