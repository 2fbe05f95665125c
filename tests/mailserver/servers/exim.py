# SPDX-License-Identifier: MIT
"""Exim: submission with STARTTLS, and smtps. Knows the users' passwords itself; hands mail for the sandbox's domain to
Dovecot's LMTP."""

import shutil

PACKAGES = ["exim4-daemon-heavy", "exim4-base", "exim4-config"]
NEEDS = ["dovecot"]
ACCOUNTS = ["pt_exim", "Debian-exim"]      # the second is compiled in; it is only looked up
PORTS = {"exim_submission": "Exim, submission with STARTTLS", "exim_smtps": "Exim, submission over TLS"}
MECHANISMS = ["PLAIN", "LOGIN", "CRAM-MD5"]

CONFIG = """\
exim_user = pt_exim
exim_group = pt_exim
primary_hostname = exim.{domain}
spool_directory = {folder}/spool
log_file_path = {log}
pid_file_path = {folder}/exim.pid
log_selector = +smtp_connection +received_recipients
keep_environment =
add_environment = PATH=/usr/sbin:/usr/bin:/sbin:/bin
local_interfaces = <; [127.0.0.1]:{exim_submission} ; [127.0.0.1]:{exim_smtps}
tls_on_connect_ports = {exim_smtps}
tls_advertise_hosts = *
tls_certificate = {certificate}
tls_privatekey = {key}
tls_dhparam = none
host_lookup =
helo_try_verify_hosts =
rfc1413_hosts =
message_size_limit = 100M
smtp_accept_max = 200
smtp_accept_max_per_connection = 0
smtp_accept_queue_per_connection = 0
smtp_enforce_sync = true
pipelining_advertise_hosts = *
chunking_advertise_hosts = *
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
accept_8bitmime = true
acl_smtp_rcpt = recipient
acl_smtp_mail = accept
acl_smtp_data = accept
acl_smtp_vrfy = accept
domainlist own = {domain}

begin acl
recipient:
  deny message = log in first
    !authenticated = *
  defer local_parts = later
    domains = +own
    message = come again later
  deny message = this server sends nothing to other hosts
    !domains = +own
  require message = no such user
    verify = recipient
  accept

begin routers
users:
  driver = accept
  domains = +own
  local_parts = lsearch;{folder}/passwords
  transport = dovecot

begin transports
dovecot:
  driver = lmtp
  socket = {lmtp}
  batch_max = 100
  user = pt_exim

begin retry
* * F,1h,1m

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{!eq{{$auth3}}{{}}}}{{eq{{$auth3}}{{${{lookup{{$auth2}}lsearch{{{folder}/passwords}}{{$value}}{{}}}}}}}}}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${{if and{{{{!eq{{$auth2}}{{}}}}{{eq{{$auth2}}{{${{lookup{{$auth1}}lsearch{{{folder}/passwords}}{{$value}}{{}}}}}}}}}}}}
  server_set_id = $auth1
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${{lookup{{$auth1}}lsearch{{{folder}/passwords}}{{$value}}fail}}
  server_set_id = $auth1
"""


def configure(instance):
    folder = instance.folder / "exim"
    (folder / "spool").mkdir(parents=True)
    instance.own(folder / "spool", "pt_exim")
    (folder / "passwords").write_text("".join(f"{name}: {word}\n" for name, word in instance.users.items())
                                      + "later: -\n")
    tls = {}
    for part, path in instance.certificates["good"].items():
        tls[part] = shutil.copy(path, folder)
        instance.own(tls[part], "pt_exim")
    log = str(instance.log("exim-main")).replace("exim-main", "exim-%s")
    instance.log("exim-reject")
    instance.log("exim-panic")
    config = folder / "exim.conf"
    config.write_text(CONFIG.format(folder=folder, domain=instance.domain, log=log,
                                    lmtp=instance.folder / "dovecot" / "run" / "lmtp", **tls,
                                    **instance.ports)
                      + "".join(line + "\n" for line in instance.extra.get("exim", [])))
    return [{
        "name": "exim",
        "command": ["/usr/sbin/exim4", "-C", str(config), "-bdf", "-q1m"],
        "environment": {},
        "output": str(instance.log("exim-start")),
    }]
