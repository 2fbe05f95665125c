# SPDX-License-Identifier: MIT
"""An SMTP server with CHUNKING, which may run the chunks that it refuses as commands.

Recipients whose address begins with "no" are refused, senders that begin with "bad" too, and a body that holds "REFUSE". What a
server does with a refused chunk is decided by why it was refused: "alone" (no transaction), "recipient" (nobody accepted),
"content". Those named in `runs` are not passed over."""

import contextlib
import time

from fake_mail import FakeMail, Gone

from harness import ready


class ChunkServer(FakeMail):
    """Steps of scripts: chunk1, chunk2 … (the verdict on the connection's chunks that were not refused before), bdat1, bdat2 …
    (before such a chunk is read). `mails` holds (sender, recipients, body) of all that was accepted, `senders` whoever was
    named by MAIL, `verbs` the commands of each connection, `most` the most chunks that were on their way at once."""

    def __init__(self, *scripts, offers=("PIPELINING", "CHUNKING", "8BITMIME", "SIZE 50000000"), runs=(), slow=0.0, round_trip=0.0, **more):
        self.offers, self.runs, self.slow, self.round_trip = offers, set(runs), slow, round_trip
        self.mails, self.senders, self.verbs, self.most = [], [], [], 0
        super().__init__(*scripts, **more)

    def exactly(self, wire, size):
        while len(wire.input) < size:
            data = wire.socket.recv(1 << 20)
            if not data:
                raise Gone()
            wire.input += data
        body, wire.input = wire.input[:size], wire.input[size:]
        return body

    def look(self, wire):
        """How many chunks are there beside the one at hand."""
        time.sleep(self.slow)
        with contextlib.suppress(OSError):
            while ready([wire.socket], seconds=0.01)[0]:
                data = wire.socket.recv(1 << 20)
                if not data:
                    break
                wire.input += data
        self.most = max(self.most, 1 + wire.input.count(b"BDAT"))

    @staticmethod
    def refuses(wire, step):
        act = wire.script.get(step)
        return getattr(act, "refuses", isinstance(act, str) and act[0] in "45")

    def talk(self, wire):
        verbs, chunks = [], 0
        self.verbs.append(verbs)
        wire.say("greeting", "220 fake ESMTP\r\n")
        sender, recipients = None, []
        while True:
            line = wire.line()
            verb = line.split(" ")[0].upper()
            verbs.append(verb)
            if verb == "EHLO":
                names = ["fake.example", *self.offers]
                wire.send("".join(f"250{'-' if name is not names[-1] else ' '}{name}\r\n" for name in names))
            elif verb == "MAIL":
                address = line.partition("<")[2].partition(">")[0]
                self.senders.append(address)
                if sender is not None:
                    wire.send("503 5.5.1 nested MAIL\r\n")
                elif address.startswith("bad"):
                    wire.say("mail", "550 5.7.1 not you\r\n")
                else:
                    sender = None if self.refuses(wire, "mail") else address
                    wire.say("mail", "250 2.1.0 ok\r\n")
            elif verb == "RCPT":
                address = line.partition("<")[2].partition(">")[0]
                if sender is None:
                    wire.send("503 5.5.1 MAIL?\r\n")
                elif address.startswith("no"):
                    wire.say("rcpt", "550 5.1.1 nobody\r\n")
                else:
                    recipients += [] if self.refuses(wire, "rcpt") else [address]
                    wire.say("rcpt", "250 2.1.5 ok\r\n")
            elif verb == "BDAT":
                size = int(line.split(" ")[1])
                why = "alone" if sender is None else "" if recipients else "recipient"
                if not why:
                    chunks += 1
                    if f"bdat{chunks}" in wire.script:
                        wire.say(f"bdat{chunks}", "")
                        continue
                    body = self.exactly(wire, size)
                    if b"REFUSE" in body:
                        why = "content"
                        if "content" in self.runs:
                            wire.input = body + wire.input
                    else:
                        self.look(wire)
                        if not self.refuses(wire, f"chunk{chunks}"):
                            self.mails.append((sender, recipients, body))
                        wire.say(f"chunk{chunks}", f"250 2.0.0 {size} bytes\r\n")
                elif why not in self.runs:
                    self.exactly(wire, size)
                if why:
                    wire.say("refused", "554 5.6.0 no\r\n" if why == "content" else "503 5.5.1 what for?\r\n")
                sender, recipients = (sender if why else None), []
            elif verb == "DATA":
                wire.send("354 go\r\n")
                lines = []
                while (line := wire.line()) != ".":
                    lines.append(line + "\r\n")
                if not self.refuses(wire, "dot"):
                    self.mails.append((sender, recipients, "".join(lines).encode("latin-1")))
                wire.say("dot", "250 2.0.0 queued\r\n")
                sender, recipients = None, []
            elif verb == "RSET":
                sender, recipients = None, []
                wire.say("rset", "250 2.0.0 ok\r\n")
            elif verb == "QUIT":
                wire.send("221 2.0.0 bye\r\n")
                wire.close()
            else:
                wire.send("500 5.5.2 what?\r\n")

    def account(self, flow, **keys):
        smtp = dict({"host": "127.0.0.1", "port": self.port, "tls": "none", "implicit_tls": "no", "pool_size": 1, "pipeline": "chunks"}, **keys)
        return flow.account("ann", account={"senders": "*"}, auth={"username": None, "password": None}, smtp=smtp)

    def tried(self):
        """Whether each connection tried a chunk."""
        return ["BDAT" in verbs for verbs in self.verbs]
