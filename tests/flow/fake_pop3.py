# SPDX-License-Identifier: MIT
"""A POP3 server for the tests: what real ones seldom offer, and failures at every step."""

import hashlib
import time

from fake_mail import FakeMail
from fake_sasl import STAMP

LETTERS = [f"Subject: {number}\r\n\r\nline\r\n.dot\r\n".encode() for number in range(1, 4)]


def lines(*texts):
    return "".join(f"{text}\r\n" for text in texts)


class FakePop3(FakeMail):
    """Steps: greeting capa stls handshake capa_tls user pass apop rpop auth auth2 auth3 capa_auth capa_again stat list list1 uidl uidl1 retr top
    dele noop rset utf8 lang lang1 quit idle ("1": with an argument). `drop` holds the messages by unique id, from which a QUIT
    takes them; `commits` what each QUIT took."""

    def __init__(self, *scripts, messages=LETTERS, capabilities=("UIDL", "TOP", "RESP-CODES", "PIPELINING"), mechanisms="", stamp=False, **more):
        self.drop = {f"id-{number}": message for number, message in enumerate(messages, 1)}
        self.mechanisms, self.stamp, self.commits, self.logins = mechanisms, stamp, [], []
        super().__init__(*scripts, capabilities=list(capabilities), **more)

    def account(self, flow, **changes):
        pop3 = {"host": "127.0.0.1", "port": self.port, "tls": "none", "allow_plaintext_auth": "yes", "implicit_tls": None,
                "ca_file": None, "method": "user"}
        pop3.update(changes)
        return flow.account("ann", auth={"password": self.password}, pop3=pop3)

    def said(self, verb):
        return [line for line in self.lines if line.upper().startswith(verb)]

    def offers(self, wire):
        names = [*self.capabilities, "USER"]
        if self.mechanisms:
            names.append("SASL " + self.mechanisms)
        if self.certificate and not wire.tls:
            names.append("STLS")
        return lines("+OK", *names, ".")

    def talk(self, wire):
        wire.names, wire.deleted, wire.stage = list(self.drop), [], "_tls" if wire.tls else ""
        wire.asked = False
        wire.say("greeting", f"+OK fake {STAMP if self.stamp else 'POP3'}\r\n")
        while True:
            verb, _, rest = wire.line().partition(" ")
            verb = verb.upper()
            step = verb.lower() + ("1" if rest and verb in ("LIST", "UIDL", "LANG") else "")
            answer = getattr(self, "on_" + verb.lower(), None)
            if answer:
                answer(wire, step, rest)
            elif verb in ("LIST", "UIDL", "RETR", "TOP", "DELE"):
                self.on_message(wire, step, rest)
            else:
                wire.say(step, "+OK\r\n" if verb in ("NOOP", "UTF8") else "-ERR what?\r\n")
            if wire.stage == "_auth" and "idle" in wire.script and verb not in ("PASS", "AUTH", "APOP", "CAPA", "UIDL"):
                time.sleep(0.1)
                wire.say("idle", "")

    # -- before the login

    def on_capa(self, wire, _, __):
        again = wire.stage == "_auth" and wire.asked
        wire.asked = wire.stage == "_auth"
        wire.say("capa" + ("_again" if again else wire.stage), self.offers(wire))

    def on_stls(self, wire, step, _):
        wire.say(step, "+OK go\r\n")
        self.start_tls(wire)
        wire.stage = "_tls"

    def log_in(self, wire, step, good):
        if good:
            wire.stage = "_auth"
            self.logins.append(time.monotonic())
        wire.say(step, "+OK in\r\n" if good else "-ERR [AUTH] no\r\n")

    def on_user(self, wire, step, _):
        wire.say(step, "+OK who\r\n")

    def on_pass(self, wire, step, rest):
        self.log_in(wire, step, rest == self.password)

    def on_apop(self, wire, step, rest):
        self.log_in(wire, step, rest.split()[-1] == hashlib.md5((STAMP + self.password).encode()).hexdigest())

    def on_rpop(self, wire, step, rest):
        self.log_in(wire, step, rest == "trusted")

    def on_auth(self, wire, _, rest):
        name, _, first = rest.partition(" ")
        if name.upper() not in self.mechanisms.split() or (name.upper() == "XOAUTH2" and first):   # the token only on a line of its own
            wire.say("auth", "-ERR Protocol error\r\n")
            return
        found = self.authenticate(wire, name, first, "+ ")
        if found:
            self.log_in(wire, *found)

    # -- behind it

    def left(self, wire):
        return {number: name for number, name in enumerate(wire.names, 1) if name not in wire.deleted}

    def on_stat(self, wire, step, _):
        left = self.left(wire)
        wire.say(step, f"+OK {len(left)} {sum(len(self.drop.get(name, b'')) for name in left.values())}\r\n")

    def on_lang(self, wire, step, rest):
        wire.say(step, f"+OK {rest}\r\n" if rest else "+OK\r\nen English\r\nde German\r\n.\r\n")

    def on_rset(self, wire, step, _):
        wire.deleted.clear()
        wire.say(step, "+OK\r\n")

    def on_quit(self, wire, step, _):
        for name in wire.deleted:
            self.drop.pop(name, None)
        self.commits.append(list(wire.deleted))
        wire.say(step, "+OK bye\r\n")
        wire.close()

    def on_message(self, wire, step, rest):
        left, words = self.left(wire), rest.split()
        number = int(words[0]) if words and words[0].isdigit() else 0
        entries = {place: len(self.drop.get(name, b"")) if step.startswith("list") else name for place, name in left.items()}
        if number not in left and (number or step not in ("list", "uidl")):
            wire.say(step, "-ERR no such message\r\n")
        elif step in ("list", "uidl"):
            wire.say(step, lines("+OK", *(f"{place} {entry}" for place, entry in entries.items()), "."))
        elif step in ("list1", "uidl1"):
            wire.say(step, f"+OK {number} {entries[number]}\r\n")
        elif step == "dele":
            wire.deleted.append(left[number])
            wire.say(step, "+OK gone\r\n")
        else:
            stuffed = (b"\r\n" + self.drop.get(left[number], b"")).replace(b"\r\n.", b"\r\n..")[2:]
            wire.say(step, f"+OK\r\n{stuffed.decode('latin-1')}.\r\n")
