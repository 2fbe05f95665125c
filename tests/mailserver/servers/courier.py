# SPDX-License-Identifier: MIT
"""Courier: IMAP with STARTTLS, IMAP over TLS, POP3 with STLS, POP3 over TLS, on maildirs of its own."""

import subprocess

PACKAGES = ["courier-imap", "courier-pop", "courier-base", "courier-authlib", "courier-authdaemon", "courier-authlib-userdb",
            "libcourier-unicode4", "gamin", "libgamin0"]
ACCOUNTS = ["courier", "pt_courier"]        # the first is compiled in
PORTS = {"courier_imap": "Courier, IMAP with STARTTLS", "courier_imaps": "Courier, IMAP over TLS",
         "courier_pop3": "Courier, POP3 with STLS", "courier_pop3s": "Courier, POP3 over TLS"}
PLACES = ["/run", "/etc/courier"]
MECHANISMS = ["PLAIN", "CRAM-MD5"]

AUTHDAEMON = """\
authmodulelist="authuserdb"
authmodulelistorig="authuserdb"
daemons=3
authdaemonvar=/run/courier/authdaemon
DEBUG_LOGIN=0
"""

# passwords are kept as crypt() and, for CRAM-MD5, as the half-done digest that Courier's own program makes
MAKE_USERS = """\
set -e
while read -r name number group home hash word; do
    half=$(printf '%s\\n%s\\n' "$word" "$word" | userdbpw -hmac-md5)
    printf '%s\\tuid=%s|gid=%s|home=%s|systempw=%s|hmac-md5pw=%s\\n' "$name" "$number" "$group" "$home" "$hash" "$half"
done <"$1" >/etc/courier/userdb
chmod 600 /etc/courier/userdb
makeuserdb
exec /usr/lib/courier/courier-authlib/authdaemond
"""

# a server that listens lets people in: not before somebody knows them
WHEN_READY = "until [ -S /run/courier/authdaemon/socket ]; do sleep 0.05; done; exec \"$@\""

CAPABILITY = "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA AUTH=CRAM-MD5 IDLE"


def configure(instance):
    folder = instance.folder / "courier"
    folder.mkdir()
    instance.place("/run/courier/authdaemon", "courier")
    (instance.place("/etc/courier") / "authdaemonrc").write_text(AUTHDAEMON)
    number = instance.accounts["pt_courier"]
    hashes = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input="".join(word + "\n" for word in instance.users.values()),
                            check=True, capture_output=True, text=True).stdout.split()
    lines = []
    for (name, word), hashed in zip(instance.users.items(), hashes):
        for part in ("", "cur", "new", "tmp"):
            box = folder / "mail" / name / "Maildir" / part
            box.mkdir(parents=True)
            instance.own(box, "pt_courier")
        instance.own(folder / "mail" / name, "pt_courier")
        lines.append(f"{name} {number} {number} {folder / 'mail' / name} {hashed} {word}\n")
    (folder / "users").write_text("".join(lines))
    good = instance.certificates["good"]
    pem = folder / "certificate.pem"
    pem.write_text("".join(open(good[part]).read() for part in ("key", "certificate")))
    pem.chmod(0o600)
    instance.own(pem, "courier")
    tls = {"COURIERTLS": "/usr/bin/couriertls", "TLS_CERTFILE": str(pem), "TLS_VERIFYPEER": "NONE", "TLS_PROTOCOL": "TLSv1.2+"}
    # the name keeps the file monitors of several sandboxes apart
    imap = dict(tls, GAM_CLIENT_ID=instance.folder.name, IMAP_CAPABILITY=CAPABILITY, IMAP_CAPABILITY_TLS=CAPABILITY + " AUTH=PLAIN", IMAP_KEYWORDS="1", IMAP_ACL="1",
                IMAP_IDLE_TIMEOUT="1", IMAP_MAILBOX_SANITY_CHECK="1", IMAP_USELOCKS="1", IMAP_UMASK="022", IMAP_STARTTLS="YES",
                IMAP_TLS_REQUIRED="0", IMAP_ENHANCEDIDLE="1", IMAP_TRASHFOLDERNAME="Trash", IMAP_EMPTYTRASH="",
                HEADERFROM="X-IMAP-Sender", IMAP_SHAREDINDEXFILE=str(folder / "shared"), PROTOCOL="IMAP")
    pop3 = dict(tls, POP3AUTH="PLAIN CRAM-MD5", POP3AUTH_TLS="PLAIN CRAM-MD5", POP3_STARTTLS="YES", POP3_TLS_REQUIRED="0", PROTOCOL="POP3")
    programs = {
        "imap": (imap, ["/usr/lib/courier/courier/imaplogin", "/usr/bin/imapd", "Maildir"]),
        "pop3": (pop3, ["/usr/lib/courier/courier/courierpop3login", "/usr/lib/courier/courier/courierpop3d", "Maildir"]),
    }
    started = [{
        "name": "courier-auth",
        "command": ["/bin/sh", "-c", MAKE_USERS, "sh", str(folder / "users")],
        "environment": {},
        "output": str(instance.log("courier-auth")),
    }]
    for name, (environment, command) in programs.items():
        listen = ["/bin/sh", "-c", WHEN_READY, "sh", "/usr/sbin/couriertcpd", "-address=127.0.0.1", "-maxprocs=400", "-maxperip=400", "-nodnslookup", "-noidentlookup"]
        started.append({
            "name": f"courier-{name}",
            "command": [*listen, str(instance.ports[f"courier_{name}"]), *command],
            "environment": environment,
            "output": str(instance.log(f"courier-{name}")),
        })
        started.append({
            "name": f"courier-{name}s",
            "command": [*listen, str(instance.ports[f"courier_{name}s"]), "/usr/bin/couriertls", "-server", "-tcpd", "-user=courier", *command],
            "environment": dict(environment, **{f"{name.upper()}_TLS": "1"}),
            "output": str(instance.log(f"courier-{name}s")),
        })
    return started
