# SPDX-License-Identifier: MIT
"""Dovecot: IMAP, POP3, LMTP for the other servers' deliveries, and the authentication service for their SASL."""

import base64

PACKAGES = ["dovecot-core", "dovecot-imapd", "dovecot-pop3d", "dovecot-lmtpd"]
ACCOUNTS = ["pt_dovecot", "pt_dovenull", "pt_mail"]
PORTS = {"imap": "IMAP with STARTTLS", "imaps": "IMAP over TLS", "pop3": "POP3 with STLS", "pop3s": "POP3 over TLS"}
MECHANISMS = ["plain", "login", "cram-md5", "digest-md5", "scram-sha-1", "scram-sha-256", "xoauth2", "oauthbearer"]

CONFIG = """\
base_dir = {run}
state_dir = {state}
log_path = {log}
info_log_path = {log}
debug_log_path = {log}
log_timestamp = "%Y-%m-%d %H:%M:%S "
login_log_format_elements = user=<%u> method=%m rip=%r rport=%b lport=%a mpid=%e %c session=<%{{session}}>
auth_verbose = yes
default_internal_user = pt_dovecot
default_internal_group = pt_dovecot
default_login_user = pt_dovenull
default_client_limit = 4096
default_process_limit = 1024
protocols = imap pop3 lmtp
listen = 127.0.0.1
shutdown_clients = yes

ssl = yes
ssl_cert = <{certificates}/good.pem
ssl_key = <{certificates}/good.key
ssl_min_protocol = TLSv1.2
ssl_dh =
{variants}
disable_plaintext_auth = no
auth_mechanisms = {mechanisms}
auth_username_format = %Ln
auth_failure_delay = {auth_failure_delay}
auth_cache_size = 0
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/dovecot/oauth2.conf
}}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%Ln {folder}/dovecot/users
}}
userdb {{
  driver = static
  args = uid=pt_mail gid=pt_mail home={mail}/%Ln
}}

mail_location = maildir:~/Maildir
mail_max_userip_connections = 0
mail_fsync = never
first_valid_uid = 1
lda_mailbox_autocreate = yes
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Drafts {{
    auto = create
    special_use = \\Drafts
  }}
  mailbox Sent {{
    auto = create
    special_use = \\Sent
  }}
  mailbox Trash {{
    auto = create
    special_use = \\Trash
  }}
}}

service anvil {{
  client_limit = 20000
  # no growing pauses after wrong passwords
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  client_limit = 20000
  unix_listener sasl {{
    mode = 0666
  }}
}}
service imap-login {{
  service_count = 0
  process_min_avail = 1
  client_limit = 4096
  inet_listener imap {{
    address = {addresses}
    port = {imap}
  }}
  inet_listener imaps {{
    address = {addresses}
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  service_count = 0
  process_min_avail = 1
  client_limit = 4096
  inet_listener pop3 {{
    address = {addresses}
    port = {pop3}
  }}
  inet_listener pop3s {{
    address = {addresses}
    port = {pop3s}
    ssl = yes
  }}
}}
service imap {{
  process_limit = 4096
}}
service pop3 {{
  process_limit = 4096
}}
service lmtp {{
  process_min_avail = 2
  unix_listener lmtp {{
    mode = 0666
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
  client_limit = 20000
}}
protocol imap {{
  mail_max_userip_connections = 0
  mail_plugins = quota imap_quota acl imap_acl imap_zlib
  imap_metadata = yes
}}
mail_attribute_dict = file:%h/attributes
plugin {{
  quota = count:User quota
  quota_rule = *:storage=1G
  quota_rule2 = *:messages=1000000
  quota_vsizes = yes
  acl = vfile
}}
protocol pop3 {{
  pop3_uidl_format = %08Xu%08Xv
}}
protocol lmtp {{
  postmaster_address = postmaster@{domain}
}}
"""

OAUTH2 = """\
introspection_mode = local
local_validation_key_dict = fs:posix:prefix={folder}/dovecot/keys/
username_attribute = sub
username_format = %Ln
"""


def configure(instance):
    folder = instance.folder / "dovecot"
    keys = folder / "keys" / "default" / "HS256"
    for part in (folder / "run", folder / "state", keys):
        part.mkdir(parents=True)
    mail = instance.folder / "mail"
    mail.mkdir()
    instance.own(mail, "pt_mail")

    (folder / "users").write_text("".join(f"{name}:{{PLAIN}}{word}\n" for name, word in instance.users.items()))
    (folder / "oauth2.conf").write_text(OAUTH2.format(folder=instance.folder))
    (keys / "default").write_text(base64.b64encode(instance.token_key).decode() + "\n")
    variants = "".join(
        "local {} {{\n  ssl_cert = <{}\n  ssl_key = <{}\n}}\n".format(address, *instance.certificates[variant].values())
        for variant, address in instance.addresses.items() if variant != "good")
    (folder / "dovecot.conf").write_text(CONFIG.format(
        run=folder / "run", state=folder / "state", log=instance.log("dovecot"), folder=instance.folder, mail=mail,
        certificates=instance.folder / "certificates", variants=variants, mechanisms=" ".join(MECHANISMS),
        addresses=" ".join(instance.addresses.values()), domain=instance.domain,
        auth_failure_delay=instance.options.get("auth_failure_delay", "0"), **instance.ports)
        + "\n".join(instance.extra.get("dovecot", [])) + "\n")
    for readable in [folder / "users", keys / "default"]:
        readable.chmod(0o644)
    return [{
        "name": "dovecot",
        "command": ["/usr/sbin/dovecot", "-F", "-c", str(folder / "dovecot.conf")],
        "environment": {},
        "output": str(instance.log("dovecot-start")),
    }]
