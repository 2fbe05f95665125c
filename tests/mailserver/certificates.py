# SPDX-License-Identifier: MIT
"""A certificate authority for one sandbox, and the good and bad certificates that tests need."""

import datetime
import pathlib
import secrets
import subprocess

GOOD_NAMES = "DNS:localhost,DNS:mail.example.com,IP:127.0.0.1,IP:127.0.0.2,IP:127.0.0.3,IP:127.0.0.4,IP:127.0.0.5"

# variant -> the loopback address on which every server shows it; 127.0.0.1 has the good one
ADDRESSES = {
    "good": "127.0.0.1",
    "wrong_name": "127.0.0.2",
    "expired": "127.0.0.3",
    "self_signed": "127.0.0.4",
    "not_for_servers": "127.0.0.5",
}

AUTHORITY_CONFIG = """
[ca]
default_ca = authority
[authority]
database = {folder}/index.txt
new_certs_dir = {folder}
serial = {folder}/serial
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
[extensions]
basicConstraints = CA:FALSE
keyUsage = digitalSignature
extendedKeyUsage = {usage}
subjectAltName = {names}
"""


def _openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, stdin=subprocess.DEVNULL)


def _key(path):
    _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)


def _date(days):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)).strftime("%Y%m%d%H%M%SZ")


def _signed(folder, variant, name, names=GOOD_NAMES, usage="serverAuth", begins=-1, ends=30):
    work = folder / f"issue-{variant}"
    work.mkdir()
    (work / "index.txt").touch()
    (work / "serial").write_text(secrets.token_hex(8).upper() + "\n")
    config = work / "config"
    config.write_text(AUTHORITY_CONFIG.format(folder=work, names=names, usage=usage))
    _key(folder / f"{variant}.key")
    _openssl("req", "-new", "-key", folder / f"{variant}.key", "-subj", f"/CN={name}", "-out", work / "request")
    _openssl("ca", "-batch", "-notext", "-config", config, "-extensions", "extensions",
             "-cert", folder / "ca.pem", "-keyfile", folder / "ca.key", "-in", work / "request",
             "-startdate", _date(begins), "-enddate", _date(ends), "-out", folder / f"{variant}.pem")


def make(folder):
    """Fills the folder with ca.pem and VARIANT.pem and .key; returns {variant: {"certificate", "key"}}."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    _key(folder / "ca.key")
    _openssl("req", "-x509", "-new", "-key", folder / "ca.key", "-subj", "/CN=Postern test authority", "-days", "30",
             "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
             "-out", folder / "ca.pem")
    _signed(folder, "good", "localhost")
    _signed(folder, "wrong_name", "mail.elsewhere.example", names="DNS:mail.elsewhere.example")
    _signed(folder, "expired", "localhost", begins=-30, ends=-1)
    _signed(folder, "not_yet", "localhost", begins=2, ends=30)
    _signed(folder, "not_for_servers", "localhost", usage="clientAuth")
    _key(folder / "self_signed.key")
    _openssl("req", "-x509", "-new", "-key", folder / "self_signed.key", "-subj", "/CN=localhost", "-days", "30",
             "-addext", "subjectAltName=" + GOOD_NAMES, "-out", folder / "self_signed.pem")
    return {v: {"certificate": str(folder / f"{v}.pem"), "key": str(folder / f"{v}.key")} for v in (*ADDRESSES, "not_yet")}
