# SPDX-License-Identifier: MIT
"""An IMAP server that does what a test wants at any step of the dialogue (see fake_mail.py)."""

import re

from fake_mail import FakeMail, Gone

LETTERS = [b"Subject: one\r\n\r\nfirst\r\n", b"Subject: two\r\n\r\nsecond\r\n", b"Subject: three\r\n\r\nthird\r\n"]


class FakeImapSteps(FakeMail):
    """Steps: greeting capability starttls handshake capability_tls login auth auth2 auth3 capability_auth idle, and every command by
    its name in small letters, "uid" left out; "append" is the continuation, "append_end" the answer. A "%" in a script's text stands for
    the command's tag. `changes` holds what changed anything, in order."""

    def __init__(self, *scripts, mechanisms="", extensions="UIDPLUS MOVE LITERAL+ IDLE NAMESPACE ID ENABLE CONDSTORE UNSELECT QUOTA ACL METADATA", **more):
        self.mechanisms, self.extensions, self.changes = mechanisms, extensions, []
        super().__init__(*scripts, **more)

    def offers(self, wire):
        names = ["IMAP4rev1", *self.extensions.split()]
        if self.certificate and not wire.tls:
            names += ["STARTTLS", "LOGINDISABLED"]
        return " ".join(names + [f"AUTH={name}" for name in self.mechanisms.split()])

    def said(self, start):
        return [line for line in self.lines if line.partition(" ")[2].upper().startswith(start)]

    def command(self, wire):
        """The next command with its literals: its tag and the rest."""
        line = wire.line()
        wire.tag = line.split(" ")[0]
        while literal := re.search(r"\{(\d+)(\+?)\}$", line):
            verb = line.split(" ")[1].lower()
            if not literal[2] and not wire.say(verb, "+ go on\r\n") and verb == "append":
                raise Gone()
            count = int(literal[1])
            while len(wire.input) < count:
                data = wire.socket.recv(65536)
                if not data:
                    wire.ended = True
                    raise Gone()
                wire.input += data
            line, wire.input = line + wire.input[:count].decode("latin-1"), wire.input[count:]
            self.changes += [("append", line)] if verb == "append" else []
            rest = wire.line()
            self.lines.pop()
            line += rest
        return wire.tag, line.partition(" ")[2]

    def talk(self, wire):
        wire.tag, wire.selected, seen = "*", False, set()
        plain = wire.send
        wire.send = lambda data: plain(data.replace("%", wire.tag) if isinstance(data, str) else data)
        wire.say("greeting", "* OK fake ready\r\n")
        while True:
            try:
                tag, line = self.command(wire)
            except Gone:
                if wire.ended or wire.socket.fileno() < 0:
                    raise
                continue
            words = line.split(" ")
            verb = words[1].lower() if words[0].upper() == "UID" else words[0].lower()
            if verb == "capability":
                step = "capability" + ("_auth" if "in" in seen else "_tls" if wire.tls else "")
                wire.say(step, f"* CAPABILITY {self.offers(wire)}\r\n{tag} OK done\r\n")
            elif verb == "starttls":
                wire.say("starttls", f"{tag} OK go\r\n")
                self.start_tls(wire)
            elif verb == "login":
                good = self.password in line
                wire.say("login", f"{tag} OK in\r\n" if good else f"{tag} NO [AUTHENTICATIONFAILED] no\r\n")
                seen.add("in")
            elif verb == "authenticate":
                self.log_in(wire, tag, words)
                seen.add("in")
            elif verb == "logout":
                wire.say("logout", f"* BYE bye\r\n{tag} OK bye\r\n")
                wire.listen()
            else:
                self.work(wire, tag, verb, words)
                if "idle" in wire.script and verb != "noop":
                    wire.say("idle", "")

    def log_in(self, wire, tag, words):
        end = self.authenticate(wire, words[1], words[2] if len(words) > 2 else None, "+ ")
        if end:
            wire.say(end[0], f"{tag} OK in\r\n" if end[1] else f"{tag} NO [AUTHENTICATIONFAILED] no\r\n")

    def work(self, wire, tag, verb, words):
        text = f"{tag} OK done\r\n"
        if verb in ("select", "examine"):
            text = (f"* 3 EXISTS\r\n* 0 RECENT\r\n* FLAGS (\\Seen)\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 4] x\r\n"
                    f"{tag} OK [{'READ-WRITE' if verb == 'select' else 'READ-ONLY'}] done\r\n")
        elif verb == "fetch":
            first, _, last = words[2].partition(":")
            last = 3 if last == "*" else int(last or first)
            text = "".join(f"* {uid} FETCH (UID {uid} FLAGS () BODY[] {{{len(LETTERS[uid - 1])}}}\r\n{LETTERS[uid - 1].decode()})\r\n"
                           for uid in range(int(first), min(last, 3) + 1)) + text
        elif verb == "search":
            text = f"* SEARCH 1 2 3\r\n{text}"
        elif verb == "store":
            text = f"* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n{text}"
        elif verb in ("copy", "move"):
            text = f"{tag} OK [COPYUID 9 1 11] done\r\n"
        elif verb == "expunge":
            text = f"* 1 EXPUNGE\r\n{text}"
        elif verb == "append":
            verb, text = "append_end", f"{tag} OK [APPENDUID 9 12] done\r\n"
        elif verb in ("list", "lsub"):
            text = f"* {verb.upper()} () \"/\" INBOX\r\n{text}"
        elif verb == "status":
            text = f"* STATUS {words[1]} (MESSAGES 3 UIDNEXT 4 UIDVALIDITY 7 UNSEEN 1 RECENT 0)\r\n{text}"
        elif verb == "namespace":
            text = f"* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n{text}"
        elif verb == "id":
            text = f"* ID (\"name\" \"fake\")\r\n{text}"
        elif verb == "getquotaroot":
            text = f"* QUOTAROOT INBOX x\r\n* QUOTA x (STORAGE 1 2)\r\n{text}"
        elif verb == "getacl":
            text = f"* ACL INBOX ann lr\r\n{text}"
        elif verb == "getmetadata":
            text = f"* METADATA INBOX (/private/comment x)\r\n{text}"
        if verb in ("store", "copy", "move", "expunge", "create", "delete", "rename", "subscribe", "unsubscribe", "setacl", "setmetadata"):
            self.changes.append((verb, " ".join(words)))
        wire.say(verb, text)
