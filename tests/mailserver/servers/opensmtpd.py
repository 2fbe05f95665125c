# SPDX-License-Identifier: MIT
"""OpenSMTPD: submission with STARTTLS, and smtps. Knows the users' passwords itself; hands mail for the sandbox's domain to
Dovecot's LMTP."""

import subprocess

PACKAGES = ["opensmtpd"]
NEEDS = ["dovecot"]
ACCOUNTS = ["opensmtpd", "opensmtpq", "pt_smtpd"]      # the first two are compiled in
PORTS = {"opensmtpd_submission": "OpenSMTPD, submission with STARTTLS", "opensmtpd_smtps": "OpenSMTPD, submission over TLS"}
PLACES = ["/run", "/var/spool/smtpd", "/var/lib/opensmtpd"]
MECHANISMS = ["PLAIN", "LOGIN"]

CONFIG = """\
pki mail cert "{certificate}"
pki mail key "{key}"
table passwords file:{folder}/passwords
table people file:{folder}/people
table later {{ "later@{domain}" }}
smtp max-message-size 100M
smtp limit max-mails 10000
smtp limit max-rcpt 10000
filter soft phase rcpt-to match rcpt-to <later> reject "451 4.7.1 come again later"
listen on 127.0.0.1 port {opensmtpd_submission} tls-require pki mail auth <passwords> hostname opensmtpd.{domain} filter soft
listen on 127.0.0.1 port {opensmtpd_smtps} smtps pki mail auth <passwords> hostname opensmtpd.{domain} filter soft
action "deliver" lmtp "{lmtp}" rcpt-to virtual <people>
match from auth for domain "{domain}" action "deliver"
"""


def hashed(words):
    """What crypt() makes of the words, in their order."""
    return subprocess.run(["openssl", "passwd", "-6", "-stdin"], input="".join(word + "\n" for word in words), check=True,
                          capture_output=True, text=True).stdout.split()


def configure(instance):
    folder = instance.folder / "opensmtpd"
    folder.mkdir()
    instance.place("/var/lib/opensmtpd/empty")
    instance.place("/var/spool/smtpd", mode=0o711)
    (folder / "passwords").write_text("".join(f"{name}\t{word}\n" for name, word in zip(instance.users, hashed(instance.users.values()))))
    (folder / "people").write_text("".join(f"{name}@{instance.domain}\tpt_smtpd\n" for name in [*instance.users, "later"]))
    config = folder / "smtpd.conf"
    config.write_text(CONFIG.format(folder=folder, domain=instance.domain, lmtp=instance.folder / "dovecot" / "run" / "lmtp",
                                    **instance.certificates["good"], **instance.ports)
                      + "".join(line + "\n" for line in instance.extra.get("opensmtpd", [])))
    return [{
        "name": "opensmtpd",
        "command": ["/usr/sbin/smtpd", "-d", "-f", str(config)],
        "environment": {},
        "output": str(instance.log("opensmtpd")),
    }]
