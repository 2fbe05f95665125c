# SPDX-License-Identifier: MIT
"""What of each protocol's extensions was offered by a server and used by the daemon, from what was said on the wire.

dissect(protocol, record) gives (offered, used), two sets of names as doc/servers.md has them. An extension counts as used when
a command or parameter of it went out and was taken, or when what only the extension allows was done (several commands
in one flight, a literal that waits for nobody)."""

import re


class Reader:
    """The pieces of one side as they come, in lines and counted bytes."""

    def __init__(self):
        self.data = b""

    def add(self, data):
        self.data += data

    def line(self):
        line, found, rest = self.data.partition(b"\n")
        if not found:
            return None
        self.data = rest
        return line.rstrip(b"\r")

    def take(self, count):
        data, self.data = self.data[:count], self.data[count:]
        return data


def dissect(protocol, record):
    found = {"smtp": Smtp, "pop3": Pop3, "imap": Imap}[protocol]()
    for who, data in record.pieces:
        reader = found.client if who == "C" else found.server
        reader.add(data)
        (found.from_client if who == "C" else found.from_server)()
    return found.offered, found.used


class Dialogue:
    def __init__(self):
        self.client, self.server = Reader(), Reader()
        self.offered, self.used = set(), set()
        self.waiting = []           # commands that are not answered yet
        self.started()

    def started(self):
        pass


# -- SMTP


PARAMETERS = [("SIZE", rb" SIZE=\d"), ("8BITMIME", rb" BODY=8BITMIME"), ("BINARYMIME", rb" BODY=BINARYMIME"), ("SMTPUTF8", rb" SMTPUTF8\b"),
              ("DSN", rb" (?:RET|ENVID|NOTIFY|ORCPT)="), ("REQUIRETLS", rb" REQUIRETLS\b"), ("DELIVERBY", rb" BY="), ("MT-PRIORITY", rb" MT-PRIORITY="),
              ("AUTH=", rb" AUTH=")]


class Smtp(Dialogue):
    def started(self):
        self.waiting = [b"greeting"]
        self.left = 0               # bytes of a chunk
        self.in_body = self.challenged = False
        self.lines = []

    def from_client(self):
        while True:
            if self.left:
                taken = len(self.client.take(self.left))
                self.left -= taken
                if not taken:
                    return
                continue
            line = self.client.line()
            if line is None:
                return
            if self.in_body:
                self.in_body = line != b"."
                if not self.in_body:
                    self.waiting.append(b".")
            elif self.challenged:
                self.challenged = False
                self.waiting.append(self.auth)
            else:
                self.command(line)

    def command(self, line):
        verb = line.split(b" ")[0].upper()
        if self.waiting and verb in (b"MAIL", b"RCPT", b"DATA", b"BDAT", b"RSET"):
            self.used.add("PIPELINING")
        if verb == b"BDAT":
            self.left = int(line.split(b" ")[1])
        if verb == b"AUTH":
            self.auth = line
        self.waiting.append(line)

    def from_server(self):
        while (line := self.server.line()) is not None:
            self.lines.append(line)
            if line[3:4] == b"-":
                continue
            reply, self.lines = self.lines, []
            command = self.waiting.pop(0) if self.waiting else b""
            self.answered(command, reply)
        if self.client.data:
            self.from_client()

    def answered(self, command, reply):
        verb, good = command.split(b" ")[0].upper(), reply[-1][:1] in b"23"
        if re.match(rb"\d{3}[ -][245]\.\d{1,3}\.\d{1,3}", reply[-1]):
            self.used.add("ENHANCEDSTATUSCODES")
        if verb == b"EHLO" and good:
            for line in reply[1:]:
                words = line[4:].decode("ascii", "replace").upper().split()
                if words[:1] == ["AUTH"]:
                    self.offered |= {f"AUTH {name}" for name in words[1:]}
                elif words and not words[0].startswith("AUTH="):
                    self.offered.add(words[0])
        elif verb in (b"MAIL", b"RCPT") and good:
            self.used |= {name for name, pattern in PARAMETERS if re.search(pattern, command, re.I)}
        elif verb == b"DATA" and reply[-1].startswith(b"354"):
            self.in_body = True
        elif verb == b"BDAT" and good:
            self.used.add("CHUNKING")
        elif verb == b"AUTH":
            self.challenged = reply[-1].startswith(b"334")
            if reply[-1].startswith(b"235"):
                self.used.add("AUTH " + command.split(b" ")[1].decode().upper())
        elif verb in (b"STARTTLS", b"VRFY", b"EXPN", b"HELP", b"ETRN") and good:
            self.used.add(verb.decode())


# -- POP3


class Pop3(Dialogue):
    def started(self):
        self.waiting = [b"greeting"]
        self.multiline = None       # the command whose lines come
        self.challenged = False

    def from_client(self):
        while (line := self.client.line()) is not None:
            if self.challenged:
                self.challenged = False
                self.waiting.append(self.auth)
                continue
            if self.waiting:
                self.used.add("PIPELINING")
            if line[:5].upper() == b"AUTH ":
                self.auth = line
            self.waiting.append(line)

    def from_server(self):
        while (line := self.server.line()) is not None:
            if self.multiline is not None:
                if line == b".":
                    self.multiline = None
                elif self.multiline == b"CAPA":
                    self.capability(line.decode("ascii", "replace").upper().split())
                continue
            command = self.waiting.pop(0) if self.waiting else b""
            words = command.upper().split(b" ")
            if words[0] == b"AUTH" and line.startswith(b"+ "):
                self.challenged = True
                continue
            self.answered(words, line)

    def capability(self, words):
        if words[:1] == ["SASL"]:
            self.offered |= {f"SASL {name}" for name in words[1:]}
        elif words:
            self.offered.add(words[0])

    def answered(self, words, line):
        good = line.startswith(b"+OK")
        verb = words[0].decode()
        if verb == "GREETING" and re.search(rb"<[^<>\s]+@[^<>\s]+>", line):
            self.offered.add("APOP")
        if not good:
            code = re.match(rb"-ERR \[([A-Z/-]+)", line)
            if code:
                self.used.add("AUTH-RESP-CODE" if code.group(1).split(b"/")[0] in (b"AUTH", b"SYS") else "RESP-CODES")
            return
        if verb in ("RETR", "TOP", "CAPA") or (verb in ("LIST", "UIDL", "LANG") and len(words) == 1):
            self.multiline = words[0]
        if verb == "AUTH":
            self.used.add(f"SASL {words[1].decode()}")
        elif verb == "PASS":
            self.used.add("USER")
        elif verb in ("CAPA", "TOP", "UIDL", "APOP", "STLS", "UTF8", "LANG"):
            self.used.add(verb)


# -- IMAP


COMMANDS = [
    ("IDLE", rb"IDLE$"), ("NAMESPACE", rb"NAMESPACE$"), ("ID", rb"ID "), ("ENABLE", rb"ENABLE "), ("UNSELECT", rb"UNSELECT$"),
    ("UIDPLUS", rb"UID EXPUNGE "), ("MOVE", rb"(UID )?MOVE "), ("LIST-EXTENDED", rb"LIST (\(|.* RETURN \()"), ("LIST-STATUS", rb"LIST .* RETURN \(.*STATUS "),
    ("LIST-MYRIGHTS", rb"LIST .* RETURN \(.*MYRIGHTS"), ("LIST-METADATA", rb"LIST .* RETURN \(.*METADATA"),
    ("SPECIAL-USE", rb"LIST (\(SPECIAL-USE|.* RETURN \(.*SPECIAL-USE)"), ("CREATE-SPECIAL-USE", rb"CREATE .* \(USE "),
    ("ESEARCH", rb"(UID )?SEARCH RETURN "), ("SEARCHRES", rb"(UID )?(SEARCH RETURN \(.*SAVE|.* \$( |$))"), ("PARTIAL", rb"(UID )?(SEARCH RETURN|FETCH) .*\(.*PARTIAL "),
    ("WITHIN", rb"(UID )?SEARCH .*\b(OLDER|YOUNGER) "), ("SEARCH=FUZZY", rb"(UID )?SEARCH .*\bFUZZY "), ("SORT", rb"(UID )?SORT "),
    ("ESORT", rb"(UID )?SORT RETURN "), ("SORT=DISPLAY", rb"(UID )?SORT .*\bDISPLAY(FROM|TO)"), ("THREAD=REFERENCES", rb"(UID )?THREAD REFERENCES "),
    ("THREAD=ORDEREDSUBJECT", rb"(UID )?THREAD ORDEREDSUBJECT "), ("THREAD=REFS", rb"(UID )?THREAD REFS "), ("MULTISEARCH", rb"ESEARCH "),
    ("CONDSTORE", rb"(ENABLE .*CONDSTORE|.*\b(CHANGEDSINCE|UNCHANGEDSINCE|MODSEQ|HIGHESTMODSEQ)\b|(SELECT|EXAMINE) .*\(CONDSTORE)"),
    ("QRESYNC", rb"(ENABLE .*QRESYNC|(SELECT|EXAMINE) .*\(QRESYNC|.*VANISHED)"), ("NOTIFY", rb"NOTIFY "), ("BINARY", rb"((UID )?FETCH .*BINARY|APPEND .*~\{)"),
    ("CATENATE", rb"(APPEND|REPLACE|UID REPLACE) .*CATENATE "), ("REPLACE", rb"(UID )?REPLACE "), ("STATUS=SIZE", rb"(STATUS|LIST) .*\bSIZE\b"),
    ("OBJECTID", rb".*\b(EMAILID|THREADID|MAILBOXID)\b"), ("SAVEDATE", rb".*\bSAVE(DATE|DBEFORE|DON|DSINCE)"), ("PREVIEW", rb"(UID )?FETCH .*PREVIEW"),
    ("SNIPPET=FUZZY", rb"(UID )?FETCH .*SNIPPET"), ("UTF8=ACCEPT", rb"ENABLE .*UTF8=ACCEPT"), ("QUOTA", rb"(GET|SET)QUOTA"),
    ("ACL", rb"(GETACL|SETACL|DELETEACL|LISTRIGHTS|MYRIGHTS) "), ("METADATA", rb"(GET|SET)METADATA "), ("ANNOTATE-EXPERIMENT-1", rb".*\bANNOTATION "),
    ("COMPRESS=DEFLATE", rb"COMPRESS DEFLATE"), ("UIDONLY", rb"ENABLE .*UIDONLY"), ("UNAUTHENTICATE", rb"UNAUTHENTICATE$"), ("STARTTLS", rb"STARTTLS$"),
    ("URLAUTH", rb"(GENURLAUTH|RESETKEY|URLFETCH) "), ("XLIST", rb"XLIST "), ("MULTIAPPEND", rb"APPEND .*\{\d+\+?\} .*\{\d+\+?\}"),
]
# what an answer shows to be in use; the daemon reads it
ANSWERS = [("UIDPLUS", rb"\[(APPENDUID|COPYUID) "), ("CHILDREN", rb"\* LIST \(.*\\Has(No)?Children"), ("SPECIAL-USE", rb"(?i)\* LIST \(.*\\(Drafts|Sent|Trash|Junk|Archive|All|Flagged)"),
           ("INPROGRESS", rb"\[INPROGRESS"), ("OBJECTID", rb"\[MAILBOXID ")]


class Imap(Dialogue):
    def started(self):
        self.partial = b""          # of a command with literals
        self.left = {"C": 0, "S": 0}
        self.said = {}              # tag -> command

    def from_client(self):
        while True:
            if self.left["C"]:
                taken = len(self.client.take(self.left["C"]))
                self.left["C"] -= taken
                if not taken:
                    return
                continue
            line = self.client.line()
            if line is None:
                return
            self.partial += line
            literal = re.search(rb"\{(\d+)(\+?)\}$", line)
            if literal:
                self.left["C"] = int(literal.group(1))
                if literal.group(2):
                    self.used.add("LITERAL+")
                continue
            command, self.partial = self.partial, b""
            tag, _, rest = command.partition(b" ")
            if rest:
                self.said[tag] = rest

    def from_server(self):
        while True:
            if self.left["S"]:
                taken = len(self.server.take(self.left["S"]))
                self.left["S"] -= taken
                if not taken:
                    return
                continue
            line = self.server.line()
            if line is None:
                return
            literal = re.search(rb"\{(\d+)\}$", line)
            if literal:
                self.left["S"] = int(literal.group(1))
            self.answer(line)

    def answer(self, line):
        self.used |= {name for name, pattern in ANSWERS if re.search(pattern, line)}
        told = re.match(rb"\* CAPABILITY (.*)$", line, re.I) or re.search(rb"\[CAPABILITY ([^\]]*)\]", line, re.I)
        if told:
            names = {name.upper() for name in told.group(1).decode("ascii", "replace").split()}
            self.offered |= names - {"LOGINDISABLED"}
        tag, _, rest = line.partition(b" ")
        command = self.said.pop(tag, None)
        if command is None or not rest.upper().startswith(b"OK"):
            return
        self.used |= {name for name, pattern in COMMANDS if re.match(pattern, command, re.I)}
        words = command.split(b" ")
        if words[0].upper() == b"AUTHENTICATE":
            self.used.add("AUTH=" + words[1].decode().upper())
            if len(words) > 2:
                self.used.add("SASL-IR")
