# SPDX-License-Identifier: MIT
"""Postfix: a server for other servers (smtp), submission with STARTTLS, and smtps. Asks Dovecot about passwords and
hands mail for the sandbox's domain to Dovecot's LMTP."""

PACKAGES = ["postfix"]
ACCOUNTS = ["pt_postfix", "pt_postdrop"]
PORTS = {"smtp": "SMTP with STARTTLS offered", "submission": "submission with STARTTLS", "smtps": "submission over TLS"}

MAIN = """\
compatibility_level = 3.6
config_directory = {folder}/config
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
shlib_directory = /usr/lib/postfix
meta_directory = {folder}/config
mail_owner = pt_postfix
setgid_group = pt_postdrop
default_privs = nobody
maillog_file = {log}
maillog_file_prefixes = {instance_folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.{domain}
mydomain = {domain}
myorigin = {domain}
mynetworks =
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
biff = no
disable_dns_lookups = yes
smtp_host_lookup = native
smtpd_peername_lookup = no
smtpd_banner = $myhostname ESMTP $mail_name

# users of the domain go to Dovecot; for benchmarks, mail for one domain is queued and thrown away, for another thrown away
# without being queued; all else is refused
virtual_mailbox_domains = {domain}
virtual_mailbox_maps = texthash:{folder}/users
virtual_transport = lmtp:unix:{lmtp}
relay_domains = sink.{domain}, null.{domain}
transport_maps = inline:{{ sink.{domain}=discard: }}
default_transport = error:5.1.2 this server sends nothing to other hosts
recipient_delimiter = +

message_size_limit = 104857600
mailbox_size_limit = 0
virtual_mailbox_limit = 0
smtputf8_enable = yes

# nothing here may slow a benchmark down
default_process_limit = 1000
in_flow_delay = 0
smtpd_error_sleep_time = 0
smtpd_soft_error_limit = 1000
smtpd_hard_error_limit = 1000
smtpd_junk_command_limit = 100000
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_message_rate_limit = 0
smtpd_client_recipient_rate_limit = 0
service_throttle_time = 1
smtpd_client_auth_rate_limit = 0
smtpd_client_new_tls_session_rate_limit = 0
smtpd_client_event_limit_exceptions = static:all
lmtp_destination_concurrency_limit = 20
initial_destination_concurrency = 20
qmgr_message_active_limit = 100000
qmgr_message_recipient_limit = 100000

smtpd_tls_security_level = may
smtpd_tls_chain_files = {good_key}, {good_certificate}
smtpd_tls_mandatory_protocols = >=TLSv1.2
smtpd_tls_protocols = >=TLSv1.2
smtpd_tls_loglevel = 1
tls_random_source = dev:/dev/urandom

smtpd_sasl_type = dovecot
smtpd_sasl_path = {sasl}
smtpd_sasl_auth_enable = yes
smtpd_sasl_security_options = noanonymous
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_recipient_restrictions =
    check_recipient_access texthash:{folder}/answers
"""

SERVICES = """\
postlog   unix-dgram n - n - 1 postlogd
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
smtp      unix - - n - - smtp
relay     unix - - n - - smtp
showq     unix n - n - - showq
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
lmtp      unix - - n - - lmtp
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
"""

LISTENERS = """\
{address}:{smtp} inet n - n - - smtpd
  -o syslog_name=postfix/smtp {tls}
{address}:{submission} inet n - n - - smtpd
  -o syslog_name=postfix/submission -o smtpd_tls_security_level=encrypt {submit} {tls}
{address}:{smtps} inet n - n - - smtpd
  -o syslog_name=postfix/smtps -o smtpd_tls_wrappermode=yes {submit} {tls}
"""
SUBMIT = "-o smtpd_relay_restrictions=permit_sasl_authenticated,reject"


def configure(instance):
    folder = instance.folder / "postfix"
    config, queue, data = folder / "config", folder / "queue", folder / "data"
    for part in (config, queue, data):
        part.mkdir(parents=True)
    for part in ("active bounce corrupt defer deferred flush hold incoming private saved trace public maildrop pid"
                 .split()):
        (queue / part).mkdir()
        if part != "pid":
            instance.own(queue / part, "pt_postfix")
            (queue / part).chmod(0o700)
    (queue / "public").chmod(0o755)
    instance.own(data, "pt_postfix")

    good = instance.certificates["good"]
    (config / "main.cf").write_text(MAIN.format(
        folder=folder, instance_folder=instance.folder, domain=instance.domain, log=instance.log("postfix"),
        good_key=good["key"], good_certificate=good["certificate"],
        sasl=instance.folder / "dovecot" / "run" / "sasl", lmtp=instance.folder / "dovecot" / "run" / "lmtp")
        + "".join(line + "\n" for line in instance.extra.get("postfix", [])))
    services = SERVICES
    for variant, address in instance.addresses.items():
        own = instance.certificates[variant]
        tls = "" if variant == "good" else "-o smtpd_tls_chain_files={key},{certificate}".format(**own)
        services += LISTENERS.format(address=address, tls=tls, submit=SUBMIT, **instance.ports)
    (config / "master.cf").write_text(services)
    (config / "dynamicmaps.cf").touch()
    (folder / "users").write_text("".join(f"{name}@{instance.domain} here\n" for name in instance.users)
                                  + f"later@{instance.domain} here\nbusy@{instance.domain} here\n")
    (folder / "answers").write_text(f"later@{instance.domain} 450 4.7.1 come again later\n"
                                    f"busy@{instance.domain} 452 4.3.1 no room\n"
                                    f"null.{instance.domain} DISCARD\n")
    return [{
        "name": "postfix",
        "command": ["/usr/lib/postfix/sbin/master", "-s", "-c", str(config)],
        "environment": {"MAIL_CONFIG": str(config)},
        "output": str(instance.log("postfix-start")),
    }]
