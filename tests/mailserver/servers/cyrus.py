# SPDX-License-Identifier: MIT
"""Cyrus IMAP: IMAP with STARTTLS, IMAP over TLS, POP3 with STLS, POP3 over TLS, with every extension on that it has. Knows the
users' passwords itself; a user's mailboxes are made at the first login."""

import contextlib
import pathlib
import shutil
import sqlite3

PACKAGES = ["cyrus-imapd", "cyrus-pop3d", "cyrus-common", "libsasl2-modules", "libsasl2-modules-sql"]
ACCOUNTS = ["pt_cyrus"]
PORTS = {"cyrus_imap": "Cyrus, IMAP with STARTTLS", "cyrus_imaps": "Cyrus, IMAP over TLS",
         "cyrus_pop3": "Cyrus, POP3 with STLS", "cyrus_pop3s": "Cyrus, POP3 over TLS",
         "cyrus_tls12_imaps": "Cyrus, IMAP over TLS 1.2", "cyrus_tls12_pop3s": "Cyrus, POP3 over TLS 1.2"}
MECHANISMS = ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"]

CONFIG = """\
configdirectory: {folder}/config
defaultpartition: default
partition-default: {folder}/spool
temp_path: {folder}/temporary
proc_path: {folder}/proc
cyrus_user: pt_cyrus
cyrus_group: pt_cyrus
servername: cyrus.{domain}
admins: cyrus
sendmail: /bin/true
altnamespace: yes
unixhierarchysep: yes
virtdomains: off

tls_server_cert: {folder}/certificate.pem
tls_server_key: {folder}/key.pem
tls_versions: {versions}

sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sql
sasl_sql_engine: sqlite3
sasl_sql_database: {folder}/users.db
sasl_sql_select: SELECT word FROM users WHERE name = '%u' AND '%p' = 'userPassword'
sasl_mech_list: {mechanisms}
allowplaintext: yes
failedloginpause: 0s
plaintextloginpause: 0
allowapop: yes

autocreate_quota: 1048576
autocreate_quota_messages: 1000000
autocreate_inbox_folders: Drafts | Sent | Trash
autocreate_subscribe_folders: Drafts | Sent | Trash
xlist-drafts: Drafts
xlist-sent: Sent
xlist-trash: Trash
defaultacl: anyone p

conversations: yes
annotation_allow_undefined: yes
annotation_enable_legacy_commands: yes
imapidlepoll: 1s
imapmagicplus: no
literalminus: no
maxmessagesize: 104857600
maxlogins_per_user: 0
statuscache: yes
expunge_mode: immediate
delete_mode: immediate
popuseimapflags: no
popexpiretime: 60d
specialusealways: yes
lmtpsocket: {folder}/config/socket/lmtp
duplicatesuppression: no
"""

SERVICES = """\
START {{
  recover cmd="ctl_cyrusdb -C {folder}/imapd.conf -r"
  idled cmd="idled -C {folder}/imapd.conf"
}}
SERVICES {{
  imap cmd="imapd -C {folder}/imapd.conf" listen="127.0.0.1:{cyrus_imap}" prefork=1 maxchild=400
  imaps cmd="imapd -C {folder}/imapd.conf -s" listen="127.0.0.1:{cyrus_imaps}" prefork=1 maxchild=400
  pop3 cmd="pop3d -C {folder}/imapd.conf" listen="127.0.0.1:{cyrus_pop3}" prefork=1 maxchild=400
  pop3s cmd="pop3d -C {folder}/imapd.conf -s" listen="127.0.0.1:{cyrus_pop3s}" prefork=1 maxchild=400
  imapsold cmd="imapd -C {folder}/tls12.conf -s" listen="127.0.0.1:{cyrus_tls12_imaps}" prefork=0 maxchild=400
  pop3sold cmd="pop3d -C {folder}/tls12.conf -s" listen="127.0.0.1:{cyrus_tls12_pop3s}" prefork=0 maxchild=400
  lmtp cmd="lmtpd -C {folder}/imapd.conf" listen="{folder}/config/socket/lmtp" prefork=0 maxchild=20
}}
EVENTS {{
  checkpoint cmd="ctl_cyrusdb -C {folder}/imapd.conf -c" period=30
}}
"""


def configure(instance):
    folder = instance.folder / "cyrus"
    for part in ("config/socket", "config/db", "config/proc", "config/log", "config/lock", "config/msg", "config/ptclient", "config/quota",
                 "config/user", "config/rpm", "proc", "spool", "temporary"):
        (folder / part).mkdir(parents=True)
    for variant in ("certificate", "key"):
        shutil.copy(instance.certificates["good"][variant], folder / f"{variant}.pem")
    with contextlib.closing(sqlite3.connect(folder / "users.db")) as database:
        database.execute("CREATE TABLE users (name TEXT PRIMARY KEY, word TEXT)")
        database.executemany("INSERT INTO users VALUES (?, ?)", [*instance.users.items(), ("cyrus", "cyrus-secret")])
        database.commit()
    for path in [folder, *folder.rglob("*")]:
        instance.own(pathlib.Path(path), "pt_cyrus")
    for name, versions in (("imapd", "tls1_2 tls1_3"), ("tls12", "tls1_2")):
        (folder / f"{name}.conf").write_text(
            CONFIG.format(folder=folder, domain=instance.domain, mechanisms=" ".join(MECHANISMS), versions=versions)
            + "".join(line + "\n" for line in instance.extra.get("cyrus", [])))
    (folder / "cyrus.conf").write_text(SERVICES.format(folder=folder, **instance.ports))
    return [{
        "name": "cyrus",
        "command": ["/usr/lib/cyrus/bin/master", "-D", "-C", str(folder / "imapd.conf"), "-M", str(folder / "cyrus.conf"),
                    "-p", str(folder / "master.pid"), "-L", str(instance.log("cyrus"))],
        "environment": {},
        "output": str(instance.log("cyrus-start")),
    }]
