# SPDX-License-Identifier: MIT
"""The server's side of SASL for the tests' fake servers, each mechanism a generator: it yields challenges, is sent the client's
answers, and returns whether the client is in. `first` is the initial response, None where there was none."""

import base64
import hashlib
import hmac
import os

STAMP = "<1896.697170952@fake.example>"
ITERATIONS = 4096
SALT = None             # a new one for each login


def plain(first, password):
    said = (yield b"") if first is None else first
    return said.split(b"\0")[-1] == password


def login(first, password):
    if first is None:
        yield b"Username:"
    return (yield b"Password:") == password


def cram_md5(_, password):
    said = yield STAMP.encode()
    return said.split(b" ")[-1].decode() == hmac.new(password, STAMP.encode(), "md5").hexdigest()


def digest_md5(_, password):
    nonce = os.urandom(8).hex()
    said = yield f'realm="fake",nonce="{nonce}",qop="auth",charset=utf-8,algorithm=md5-sess'.encode()
    fields = {}
    for part in said.decode().split(","):
        name, _, value = part.partition("=")
        fields[name.strip()] = value.strip('"')

    def response(method):
        def md5(text):
            return hashlib.md5(text).digest()
        a1 = md5(f"{fields['username']}:{fields.get('realm', '')}:".encode() + password) + f":{nonce}:{fields['cnonce']}".encode()
        a2 = f"{method}:{fields['digest-uri']}".encode()
        middle = f"{nonce}:{fields['nc']}:{fields['cnonce']}:auth"
        return md5(f"{md5(a1).hex()}:{middle}:{md5(a2).hex()}".encode()).hex()
    if fields["response"] != response("AUTHENTICATE"):
        return False
    yield ("rspauth=" + response("")).encode()
    return True


def scram(first, password, name):
    first = (yield b"") if first is None else first
    header, bare = first[:3], first[3:]
    nonce = dict(part.split(b"=", 1) for part in bare.split(b","))[b"r"] + os.urandom(6).hex().encode()
    salt = SALT or os.urandom(12)
    challenge = b"r=" + nonce + b",s=" + base64.b64encode(salt) + b",i=%d" % ITERATIONS
    final = yield challenge
    without = final[:final.index(b",p=")]
    text = bare + b"," + challenge + b"," + without
    salted = hashlib.pbkdf2_hmac(name, password, salt, ITERATIONS)
    key = hmac.digest(salted, b"Client Key", name)
    signature = hmac.digest(hashlib.new(name, key).digest(), text, name)
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature)))
    if final != without + b",p=" + proof or not without.startswith(b"c=" + base64.b64encode(header)):
        return False
    yield b"v=" + base64.b64encode(hmac.digest(hmac.digest(salted, b"Server Key", name), text, name))
    return True


def bearer(first, token):
    said = (yield b"") if first is None else first
    if b"auth=Bearer " + token + b"\1" in said:
        return True
    yield b'{"status":"401","schemes":"bearer","scope":"mail"}'
    return False


def external(first, _):
    if first is None:
        yield b""
    return True


MECHANISMS = {"PLAIN": plain, "LOGIN": login, "CRAM-MD5": cram_md5, "DIGEST-MD5": digest_md5, "XOAUTH2": bearer, "OAUTHBEARER": bearer,
              "EXTERNAL": external, "SCRAM-SHA-1": lambda first, password: scram(first, password, "sha1"),
              "SCRAM-SHA-256": lambda first, password: scram(first, password, "sha256")}


def dialogue(mechanism, first, password):
    return MECHANISMS[mechanism](first, password.encode())


def encode(data):
    return base64.b64encode(data).decode()


def decode(text):
    """RFC 4954: "=" is an initial response that is empty."""
    return b"" if text == "=" else base64.b64decode(text)
