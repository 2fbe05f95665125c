/* SPDX-License-Identifier: MIT */
#include "config_keys.h"

#define YEAR (366ull * 24 * 3600 * 1000)
#define GIGA (1ull << 30)
#define TERA (1ull << 40)
#define FOR_SMTP (1u << PROTOCOL_SMTP)
#define FOR_IMAP (1u << PROTOCOL_IMAP)
#define FOR_POP3 (1u << PROTOCOL_POP3)
#define SECRET_FILE (CONFIG_FILE_ONLY | CONFIG_CHECK_SECRET)
#define PLAIN_FILE (CONFIG_FILE_ONLY | CONFIG_CHECK_FILE)
#define ONE_SECRET_FILE_ONLY (CONFIG_ONE_SECRET | CONFIG_FILE_ONLY)

/* In the order of the enums that they stand for. */
static const char *const log_levels[] = {"error", "warning", "info", "debug", NULL};
static const char *const tls_policies[] = {"all", "control", "try", "none", NULL};
static const char *const tls_versions[] = {"1.2", "1.3", NULL};
static const char *const proxy_methods[] = {"auto", "basic", "digest", NULL};
static const char *const families[] = {"any", "ipv4", "ipv6", NULL};
static const char *const pipelines[] = {"off", "envelope", "chunks", NULL};

const struct config_key config_keys[] = {
    /* name, group, type, protocols, flags, min, max, default, words, offset, documentation */

    /* [daemon] */
    {"socket", CONFIG_IN_DAEMON, CONFIG_FILE, CONFIG_FOR_ALL, 0, 0, 0, NULL, NULL,
     offsetof(struct daemon_config, socket),
     "Path of the Unix socket, where the service manager passes none. Default: postern.sock in "
     "$RUNTIME_DIRECTORY, else postern/postern.sock in $XDG_RUNTIME_DIR (not for root), else in /run."},
    {"socket_mode", CONFIG_IN_DAEMON, CONFIG_MODE, CONFIG_FOR_ALL, 0, 0, 0777, "0666", NULL,
     offsetof(struct daemon_config, socket_mode),
     "Mode of the socket, octal. Who may do what is decided by the peer, not by the mode."},
    {"state_dir", CONFIG_IN_DAEMON, CONFIG_FILE, CONFIG_FOR_ALL, 0, 0, 0, NULL, NULL,
     offsetof(struct daemon_config, state_dir),
     "Folder for state that outlives the daemon. Default: $STATE_DIRECTORY, else $HOME/.local/state/postern (not "
     "for root), else /var/lib/postern."},
    {"admin", CONFIG_IN_DAEMON, CONFIG_PRINCIPALS, CONFIG_FOR_ALL, 0, 0, 0, NULL, NULL,
     offsetof(struct daemon_config, admin),
     "Who may administer: reload, pause, resume, sessions, close. Default: root and the daemon's own "
     "user."},
    {"allow_inline", CONFIG_IN_DAEMON, CONFIG_PRINCIPALS, CONFIG_FOR_ALL, 0, 0, 0, NULL, NULL,
     offsetof(struct daemon_config, allow_inline),
     "Who may name hosts and credentials of its own choosing in a call (inline `options`). Default: "
     "root and the daemon's own user."},
    {"log_level", CONFIG_IN_DAEMON, CONFIG_ENUM, CONFIG_FOR_ALL, 0, 0, 0, "info", log_levels,
     offsetof(struct daemon_config, log_level),
     "How much is logged: error, warning, info or debug."},
    {"max_clients", CONFIG_IN_DAEMON, CONFIG_UINT, CONFIG_FOR_ALL, 0, 1, 1000000, "4096", NULL,
     offsetof(struct daemon_config, max_clients),
     "Client connections at once."},
    {"max_clients_per_user", CONFIG_IN_DAEMON, CONFIG_UINT, CONFIG_FOR_ALL, 0, 1, 1000000, "256", NULL,
     offsetof(struct daemon_config, max_clients_per_user),
     "Client connections of one user at once."},
    {"max_calls_per_client", CONFIG_IN_DAEMON, CONFIG_UINT, CONFIG_FOR_ALL, 0, 1, 1000000, "256", NULL,
     offsetof(struct daemon_config, max_calls_per_client),
     "Calls in flight on one connection; over it the client is held back."},
    {"max_calls_per_user", CONFIG_IN_DAEMON, CONFIG_UINT, CONFIG_FOR_ALL, 0, 1, 1000000, "1024", NULL,
     offsetof(struct daemon_config, max_calls_per_user),
     "Calls in flight of one user."},
    {"max_batch", CONFIG_IN_DAEMON, CONFIG_UINT, CONFIG_FOR_ALL, 0, 1, 10000, "100", NULL,
     offsetof(struct daemon_config, max_batch),
     "Calls in one batch."},
    {"max_fds_per_user", CONFIG_IN_DAEMON, CONFIG_UINT, CONFIG_FOR_ALL, 0, 1, 1000000, "1024", NULL,
     offsetof(struct daemon_config, max_fds_per_user),
     "Descriptors of one user that the daemon holds at once."},
    {"max_subscriptions_per_user", CONFIG_IN_DAEMON, CONFIG_UINT, CONFIG_FOR_ALL, 0, 1, 1000000, "256", NULL,
     offsetof(struct daemon_config, max_subscriptions_per_user),
     "Subscriptions of one user."},
    {"max_file_readers_per_user", CONFIG_IN_DAEMON, CONFIG_UINT, CONFIG_FOR_ALL, 0, 1, 64, "4", NULL,
     offsetof(struct daemon_config, max_file_readers_per_user),
     "Helper threads that the descriptors of one user may occupy."},
    {"max_request_size", CONFIG_IN_DAEMON, CONFIG_SIZE, CONFIG_FOR_ALL, 0, 1024, GIGA, "16M", NULL,
     offsetof(struct daemon_config, max_request_size),
     "Length of one JSON text from a client."},
    {"max_response_size", CONFIG_IN_DAEMON, CONFIG_SIZE, CONFIG_FOR_ALL, 0, 1024, GIGA, "64M", NULL,
     offsetof(struct daemon_config, max_response_size),
     "Length of one answer; longer ones need stream or another content form."},
    {"max_message_size", CONFIG_IN_DAEMON, CONFIG_SIZE, CONFIG_FOR_ALL, 0, 1024, 100 * GIGA, "100M", NULL,
     offsetof(struct daemon_config, max_message_size),
     "Length of one mail."},
    {"fd_answer_max", CONFIG_IN_DAEMON, CONFIG_SIZE, CONFIG_FOR_ALL, 0, 1024, 100 * GIGA, "64M", NULL,
     offsetof(struct daemon_config, fd_answer_max),
     "Content that is answered as one sealed memory file; longer ones need a pipe."},
    {"user_memory", CONFIG_IN_DAEMON, CONFIG_SIZE, CONFIG_FOR_ALL, 0, 65536, 100 * GIGA, "64M", NULL,
     offsetof(struct daemon_config, user_memory),
     "Memory and spools that the calls of one user may hold."},
    {"memory", CONFIG_IN_DAEMON, CONFIG_SIZE, CONFIG_FOR_ALL, 0, 1024 * 1024, 1000 * GIGA, "256M", NULL,
     offsetof(struct daemon_config, memory),
     "The same for all users together."},
    {"partial_request_timeout", CONFIG_IN_DAEMON, CONFIG_DURATION, CONFIG_FOR_ALL, 0, 1, YEAR, "30s", NULL,
     offsetof(struct daemon_config, partial_request_timeout_ms),
     "How long a line of a client may stay unfinished."},
    {"client_stall", CONFIG_IN_DAEMON, CONFIG_DURATION, CONFIG_FOR_ALL, 0, 1, YEAR, "10s", NULL,
     offsetof(struct daemon_config, client_stall_ms),
     "After a client has not read its answers for so long, its calls fail."},
    {"output_hard_limit", CONFIG_IN_DAEMON, CONFIG_SIZE, CONFIG_FOR_ALL, 0, 65536, GIGA, "16M", NULL,
     offsetof(struct daemon_config, output_hard_limit),
     "Waiting output at which the connection of a client is closed."},
    {"call_timeout", CONFIG_IN_DAEMON, CONFIG_DURATION, CONFIG_FOR_ALL, 0, 1, YEAR, "15min", NULL,
     offsetof(struct daemon_config, call_timeout_ms),
     "How long a call that names no `timeout` may take."},
    {"key_lifetime", CONFIG_IN_DAEMON, CONFIG_DURATION, CONFIG_FOR_ALL, 0, 1000, YEAR, "24h", NULL,
     offsetof(struct daemon_config, key_lifetime_ms),
     "How long an idempotency key is remembered."},

    /* [host NAME] */
    {"max_connections", CONFIG_IN_HOST, CONFIG_UINT, CONFIG_FOR_ALL, 0, 0, 1000000, "0", NULL,
     offsetof(struct host_config, max_connections),
     "Connections to the host by all accounts together; 0: no limit."},
    {"rate_limit", CONFIG_IN_HOST, CONFIG_RATE, CONFIG_FOR_ALL, 0, 0, 0, NULL, NULL,
     offsetof(struct host_config, rate_limit),
     "Messages to the host over SMTP by all accounts together, as 100/min; a protocol's own `rate_limit` holds besides."},

    /* [account] */
    {"email", CONFIG_IN_ACCOUNT, CONFIG_ADDRESS, CONFIG_FOR_ALL, 0, 0, 0, NULL, NULL,
     offsetof(struct account_config, email),
     "The address of the account: the sender that is allowed unless `senders` says more."},
    {"name", CONFIG_IN_ACCOUNT, CONFIG_STRING, CONFIG_FOR_ALL, 0, 1, 4096, NULL, NULL,
     offsetof(struct account_config, display_name),
     "The name that goes with the address."},
    {"allow", CONFIG_IN_ACCOUNT, CONFIG_PRINCIPALS, CONFIG_FOR_ALL, 0, 0, 0, NULL, NULL,
     offsetof(struct account_config, allow),
     "Who has the rights of `permit`: user:NAME group:NAME. Default: root and the daemon's own user."},
    {"permit", CONFIG_IN_ACCOUNT, CONFIG_RIGHTS, CONFIG_FOR_ALL, 0, 0, 0, "send read write", NULL,
     offsetof(struct account_config, permit),
     "The rights of those in `allow`: send, read, write, raw."},
    {"allow_send", CONFIG_IN_ACCOUNT, CONFIG_PRINCIPALS, CONFIG_FOR_ALL, 0, 0, 0, NULL, NULL,
     offsetof(struct account_config, allow_right[0]),
     "Who has the right `send` besides."},
    {"allow_read", CONFIG_IN_ACCOUNT, CONFIG_PRINCIPALS, CONFIG_FOR_ALL, 0, 0, 0, NULL, NULL,
     offsetof(struct account_config, allow_right[1]),
     "Who has the right `read` besides."},
    {"allow_write", CONFIG_IN_ACCOUNT, CONFIG_PRINCIPALS, CONFIG_FOR_ALL, 0, 0, 0, NULL, NULL,
     offsetof(struct account_config, allow_right[2]),
     "Who has the right `write` besides."},
    {"allow_raw", CONFIG_IN_ACCOUNT, CONFIG_PRINCIPALS, CONFIG_FOR_ALL, 0, 0, 0, NULL, NULL,
     offsetof(struct account_config, allow_right[3]),
     "Who has the right `raw` besides."},
    {"default_for", CONFIG_IN_ACCOUNT, CONFIG_PRINCIPALS, CONFIG_FOR_ALL, 0, 0, 0, NULL, NULL,
     offsetof(struct account_config, default_for),
     "Who uses this account where several would do and none is named, as postern(1) and its sendmail do: user:NAME group:NAME."},
    {"senders", CONFIG_IN_ACCOUNT, CONFIG_SENDERS, CONFIG_FOR_ALL, 0, 0, 0, NULL, NULL,
     offsetof(struct account_config, senders),
     "Addresses that may stand as envelope sender, From and Sender: ann@example.com, *@example.com, or "
     "* for any. Default: `email` only."},
    {"senders.", CONFIG_IN_ACCOUNT, CONFIG_SENDERS, CONFIG_FOR_ALL, CONFIG_PREFIX, 0, 0, NULL, NULL,
     offsetof(struct account_config, narrowings),
     "The same for one peer only, as senders.user:NAME or senders.group:NAME, in the place of "
     "`senders`."},
    {"max_connections", CONFIG_IN_ACCOUNT, CONFIG_UINT, CONFIG_FOR_ALL, 0, 0, 1000000, "0", NULL,
     offsetof(struct account_config, max_connections),
     "Connections of all protocols of the account together; 0: no limit."},

    /* [auth], and in each protocol for that protocol */
    {"username", CONFIG_IN_AUTH, CONFIG_STRING, CONFIG_FOR_ALL, 0, 1, 4096, NULL, NULL,
     offsetof(struct auth_config, username),
     "Login name."},
    {"authzid", CONFIG_IN_AUTH, CONFIG_STRING, CONFIG_FOR_ALL, 0, 1, 4096, NULL, NULL,
     offsetof(struct auth_config, authzid),
     "Identity to act as, where it is not the login name (SASL authorization identity)."},
    {"method", CONFIG_IN_AUTH, CONFIG_METHODS, CONFIG_FOR_ALL, 0, 0, ENGINE_MAX_METHODS, "auto", NULL,
     offsetof(struct auth_config, method),
     "Authentication methods in order of preference: auto, SASL mechanisms, login (IMAP: the LOGIN "
     "command), sasl-login, apop, user (POP3: USER and PASS)."},
    {"password", CONFIG_IN_AUTH, CONFIG_SECRET, CONFIG_FOR_ALL, CONFIG_ONE_SECRET, 1, 0, NULL, NULL,
     offsetof(struct auth_config, secret.password),
     "The password itself; the file must then not be readable by others."},
    {"password_file", CONFIG_IN_AUTH, CONFIG_FILE, CONFIG_FOR_ALL, CONFIG_ONE_SECRET | SECRET_FILE, 0, 0, NULL, NULL,
     offsetof(struct auth_config, secret.password_file),
     "A file with the password on its first line, not readable by others."},
    {"password_command", CONFIG_IN_AUTH, CONFIG_STRING, CONFIG_FOR_ALL, ONE_SECRET_FILE_ONLY, 1, 4096, NULL, NULL,
     offsetof(struct auth_config, secret.password_command),
     "A line for /bin/sh that prints the password. The system's service runs it as the daemon's user and within its sandbox: without a home "
     "folder, devices, terminal and capabilities, without others' processes, writing nothing but its own /tmp. So it can read a file or ask "
     "a server, but no keyring, agent or token of a person's; for those there are `credential`, or a user's own service, which has no such bounds."},
    {"credential", CONFIG_IN_AUTH, CONFIG_NAME, CONFIG_FOR_ALL, ONE_SECRET_FILE_ONLY, 0, 0, NULL, NULL,
     offsetof(struct auth_config, secret.credential),
     "The name of a systemd credential (LoadCredential=) that holds the password."},
    {"token", CONFIG_IN_AUTH, CONFIG_SECRET, CONFIG_FOR_ALL, CONFIG_ONE_SECRET, 1, 0, NULL, NULL,
     offsetof(struct auth_config, secret.token),
     "An OAuth 2.0 access token itself; the file must then not be readable by others."},
    {"token_file", CONFIG_IN_AUTH, CONFIG_FILE, CONFIG_FOR_ALL, CONFIG_ONE_SECRET | SECRET_FILE, 0, 0, NULL, NULL,
     offsetof(struct auth_config, secret.token_file),
     "A file with an access token, bare or as JSON with access_token and expires_in, not readable by "
     "others."},
    {"token_command", CONFIG_IN_AUTH, CONFIG_STRING, CONFIG_FOR_ALL, ONE_SECRET_FILE_ONLY, 1, 4096, NULL, NULL,
     offsetof(struct auth_config, secret.token_command),
     "A line for /bin/sh that prints an access token, bare (kept for 5 minutes) or as JSON with "
     "access_token and expires_in."},

    /* [smtp], [imap], [pop3] */
    {"host", CONFIG_IN_PROTOCOL, CONFIG_HOST, CONFIG_FOR_ALL, 0, 0, 0, "localhost", NULL,
     offsetof(struct protocol_config, host),
     "The server."},
    {"port", CONFIG_IN_PROTOCOL, CONFIG_PORT, CONFIG_FOR_ALL, 0, 1, 65535, NULL, NULL,
     offsetof(struct protocol_config, port),
     "Its port. Default: as `tls` says: 465, 993, 995 with implicit TLS; 587, 143, 110 with an "
     "upgrade; 25, 143, 110 without TLS."},
    {"tls", CONFIG_IN_PROTOCOL, CONFIG_ENUM, CONFIG_FOR_ALL, 0, 0, 0, "all", tls_policies,
     offsetof(struct protocol_config, tls),
     "all and control: TLS or fail; try: TLS where it is offered; none."},
    {"implicit_tls", CONFIG_IN_PROTOCOL, CONFIG_BOOL, CONFIG_FOR_ALL, 0, 0, 0, NULL, NULL,
     offsetof(struct protocol_config, implicit_tls),
     "TLS from the first byte. Default: yes where no port is given and `tls` is all or control, and on "
     "the ports 465, 993 and 995."},
    {"verify_peer", CONFIG_IN_PROTOCOL, CONFIG_BOOL, CONFIG_FOR_ALL, 0, 0, 0, "yes", NULL,
     offsetof(struct protocol_config, verify_peer),
     "Verify the certificate of the server."},
    {"verify_host", CONFIG_IN_PROTOCOL, CONFIG_BOOL, CONFIG_FOR_ALL, 0, 0, 0, "yes", NULL,
     offsetof(struct protocol_config, verify_host),
     "Verify that the certificate is that of the host."},
    {"verify_name", CONFIG_IN_PROTOCOL, CONFIG_HOST, CONFIG_FOR_ALL, 0, 0, 0, NULL, NULL,
     offsetof(struct protocol_config, verify_name),
     "The name to expect in the certificate in the place of the host."},
    {"ca_file", CONFIG_IN_PROTOCOL, CONFIG_FILE, CONFIG_FOR_ALL, PLAIN_FILE, 0, 0, NULL, NULL,
     offsetof(struct protocol_config, ca_file),
     "Certificates to trust, in PEM, in the place of the system's."},
    {"ca", CONFIG_IN_PROTOCOL, CONFIG_STRING, CONFIG_FOR_ALL, CONFIG_INLINE_ONLY, 1, 1024 * 1024, NULL, NULL,
     offsetof(struct protocol_config, ca),
     "The same as bytes, in a call."},
    {"client_cert", CONFIG_IN_PROTOCOL, CONFIG_FILE, CONFIG_FOR_ALL, PLAIN_FILE, 0, 0, NULL, NULL,
     offsetof(struct protocol_config, client_cert),
     "Certificate to show to the server, in PEM."},
    {"client_key", CONFIG_IN_PROTOCOL, CONFIG_FILE, CONFIG_FOR_ALL, SECRET_FILE, 0, 0, NULL, NULL,
     offsetof(struct protocol_config, client_key),
     "Its key, in PEM, not readable by others. Default: in the file of the certificate."},
    {"key_passphrase_file", CONFIG_IN_PROTOCOL, CONFIG_FILE, CONFIG_FOR_ALL, SECRET_FILE, 0, 0, NULL, NULL,
     offsetof(struct protocol_config, key_passphrase_file),
     "A file with the passphrase of the key on its first line, not readable by others."},
    {"fingerprint", CONFIG_IN_PROTOCOL, CONFIG_DIGESTS, CONFIG_FOR_ALL, 0, 0, 0, NULL, NULL,
     offsetof(struct protocol_config, fingerprint),
     "SHA-256 of the certificate of the server, in hex; several may be given. One of them must fit."},
    {"tls_min_version", CONFIG_IN_PROTOCOL, CONFIG_ENUM, CONFIG_FOR_ALL, 0, 0, 0, "1.2", tls_versions,
     offsetof(struct protocol_config, tls_min_version),
     "The oldest TLS to accept: 1.2 or 1.3."},
    {"tls_ciphers", CONFIG_IN_PROTOCOL, CONFIG_STRING, CONFIG_FOR_ALL, 0, 1, 4096, NULL, NULL,
     offsetof(struct protocol_config, tls_ciphers),
     "Cipher list in the form of OpenSSL."},
    {"alpn", CONFIG_IN_PROTOCOL, CONFIG_STRING, CONFIG_FOR_ALL, 0, 1, 255, NULL, NULL,
     offsetof(struct protocol_config, alpn),
     "Protocol name to offer in the TLS handshake (ALPN)."},
    {"allow_plaintext_auth", CONFIG_IN_PROTOCOL, CONFIG_BOOL, CONFIG_FOR_ALL, 0, 0, 0, "no", NULL,
     offsetof(struct protocol_config, allow_plaintext_auth),
     "Let credentials out over a connection without TLS."},
    {"proxy", CONFIG_IN_PROTOCOL, CONFIG_PROXY, CONFIG_FOR_ALL, 0, 0, 0, NULL, NULL,
     offsetof(struct protocol_config, proxy),
     "Proxy to go through: socks5://, socks5h://, socks4://, socks4a://, http:// or https:// with "
     "host:port. With the h and a forms and with HTTP the proxy looks up the name."},
    {"proxy_username", CONFIG_IN_PROTOCOL, CONFIG_STRING, CONFIG_FOR_ALL, 0, 1, 255, NULL, NULL,
     offsetof(struct protocol_config, proxy_username),
     "Login name at the proxy."},
    {"proxy_password", CONFIG_IN_PROTOCOL, CONFIG_SECRET, CONFIG_FOR_ALL, 0, 1, 0, NULL, NULL,
     offsetof(struct protocol_config, proxy_password),
     "Password at the proxy; the file must then not be readable by others."},
    {"proxy_method", CONFIG_IN_PROTOCOL, CONFIG_ENUM, CONFIG_FOR_ALL, 0, 0, 0, "auto", proxy_methods,
     offsetof(struct protocol_config, proxy_method),
     "How to log in at an HTTP proxy: basic, digest (SHA-256 and others, or MD5), or auto: as the proxy asks, with Digest "
     "where it is among what it offers; an https:// proxy is shown Basic at once."},
    {"proxy_ca_file", CONFIG_IN_PROTOCOL, CONFIG_FILE, CONFIG_FOR_ALL, PLAIN_FILE, 0, 0, NULL, NULL,
     offsetof(struct protocol_config, proxy_ca_file),
     "Certificates to trust for an https:// proxy, in PEM, in the place of the system's."},
    {"verify_proxy_peer", CONFIG_IN_PROTOCOL, CONFIG_BOOL, CONFIG_FOR_ALL, 0, 0, 0, NULL, NULL,
     offsetof(struct protocol_config, verify_proxy_peer),
     "Verify the certificate of an https:// proxy. Default: as `verify_peer`."},
    {"verify_proxy_host", CONFIG_IN_PROTOCOL, CONFIG_BOOL, CONFIG_FOR_ALL, 0, 0, 0, NULL, NULL,
     offsetof(struct protocol_config, verify_proxy_host),
     "Verify its name. Default: as `verify_host`."},
    {"no_proxy", CONFIG_IN_PROTOCOL, CONFIG_NO_PROXY, CONFIG_FOR_ALL, 0, 0, 0, NULL, NULL,
     offsetof(struct protocol_config, no_proxy),
     "Hosts that are reached without the proxy: names, .suffixes, addresses, networks as 10.0.0.0/8 (for hosts given as "
     "addresses: no name is looked up for it), or *; each may end in :port."},
    {"local_address", CONFIG_IN_PROTOCOL, CONFIG_IP, CONFIG_FOR_ALL, 0, 0, 0, NULL, NULL,
     offsetof(struct protocol_config, local_address),
     "Numeric address to connect from."},
    {"family", CONFIG_IN_PROTOCOL, CONFIG_ENUM, CONFIG_FOR_ALL, 0, 0, 0, "any", families,
     offsetof(struct protocol_config, family),
     "Addresses to use: any, ipv4 or ipv6."},
    {"keepalive", CONFIG_IN_PROTOCOL, CONFIG_BOOL, CONFIG_FOR_ALL, 0, 0, 0, "yes", NULL,
     offsetof(struct protocol_config, keepalive),
     "TCP keep-alive."},
    {"domain", CONFIG_IN_PROTOCOL, CONFIG_HOST, CONFIG_FOR_ALL, 0, 0, 0, NULL, NULL,
     offsetof(struct protocol_config, domain),
     "Name to give in EHLO (SMTP). Default: the machine's own."},
    {"connect_timeout", CONFIG_IN_PROTOCOL, CONFIG_DURATION, CONFIG_FOR_ALL, 0, 1, YEAR, "30s", NULL,
     offsetof(struct protocol_config, connect_timeout_ms),
     "For the connection to stand; twice of it from the look-up of the name to the end of the login."},
    {"timeout", CONFIG_IN_PROTOCOL, CONFIG_DURATION, CONFIG_FOR_ALL, 0, 1, YEAR, "30s", NULL,
     offsetof(struct protocol_config, timeout_ms),
     "How long a server may go without any progress."},
    {"data_timeout", CONFIG_IN_PROTOCOL, CONFIG_DURATION, CONFIG_FOR_ALL, 0, 1, YEAR, "10min", NULL,
     offsetof(struct protocol_config, data_timeout_ms),
     "The same where the server works: after the final dot or last chunk, for APPEND, COPY, MOVE, "
     "EXPUNGE and a QUIT that deletes."},
    {"min_rate", CONFIG_IN_PROTOCOL, CONFIG_SIZE, CONFIG_FOR_ALL, 0, 0, GIGA, "500", NULL,
     offsetof(struct protocol_config, min_rate),
     "Bytes a second, over 60 s, below which a transfer is given up; 0: none."},
    {"pool_size", CONFIG_IN_PROTOCOL, CONFIG_UINT, FOR_SMTP | FOR_IMAP, 0, 1, 1000, "5", NULL,
     offsetof(struct protocol_config, pool_size),
     "Connections at most. For smtp.office365.com and smtp-mail.outlook.com 3 where nothing is set."},
    {"pool_size", CONFIG_IN_PROTOCOL, CONFIG_UINT, FOR_POP3, 0, 1, 1000, "1", NULL,
     offsetof(struct protocol_config, pool_size),
     "Connections at most."},
    {"min_pool_size", CONFIG_IN_PROTOCOL, CONFIG_UINT, CONFIG_FOR_ALL, 0, 0, 1000, "0", NULL,
     offsetof(struct protocol_config, min_pool_size),
     "Connections that are kept open."},
    {"idle_timeout", CONFIG_IN_PROTOCOL, CONFIG_DURATION, FOR_SMTP, 0, 0, YEAR, "60s", NULL,
     offsetof(struct protocol_config, idle_timeout_ms),
     "How long a connection may wait for work before it is closed."},
    {"idle_timeout", CONFIG_IN_PROTOCOL, CONFIG_DURATION, FOR_IMAP, 0, 0, YEAR, "25min", NULL,
     offsetof(struct protocol_config, idle_timeout_ms),
     "How long a connection may wait for work before it is closed."},
    {"idle_timeout", CONFIG_IN_PROTOCOL, CONFIG_DURATION, FOR_POP3, 0, 0, YEAR, "5s", NULL,
     offsetof(struct protocol_config, idle_timeout_ms),
     "How long a connection may wait for work before it is closed; the maildrop is locked meanwhile."},
    {"idle_probe", CONFIG_IN_PROTOCOL, CONFIG_DURATION, CONFIG_FOR_ALL, 0, 0, YEAR, "5s", NULL,
     offsetof(struct protocol_config, idle_probe_ms),
     "After how much silence a connection must prove that it lives before a call that changes "
     "something uses it."},
    {"max_lifetime", CONFIG_IN_PROTOCOL, CONFIG_DURATION, CONFIG_FOR_ALL, 0, 1, YEAR, "1h", NULL,
     offsetof(struct protocol_config, max_lifetime_ms),
     "Age at which a connection takes no more work."},
    {"max_uses", CONFIG_IN_PROTOCOL, CONFIG_UINT, FOR_SMTP, 0, 0, 1000000, "100", NULL,
     offsetof(struct protocol_config, max_uses),
     "Messages that one connection takes; 0: no limit."},
    {"max_uses", CONFIG_IN_PROTOCOL, CONFIG_UINT, FOR_IMAP | FOR_POP3, 0, 0, 1000000, "0", NULL,
     offsetof(struct protocol_config, max_uses),
     "Calls that one connection takes; 0: no limit."},
    {"queue_size", CONFIG_IN_PROTOCOL, CONFIG_UINT, CONFIG_FOR_ALL, 0, 1, 1000000, "1000", NULL,
     offsetof(struct protocol_config, queue_size),
     "Calls that may wait for a connection."},
    {"queue_timeout", CONFIG_IN_PROTOCOL, CONFIG_DURATION, CONFIG_FOR_ALL, 0, 1, YEAR, "60s", NULL,
     offsetof(struct protocol_config, queue_timeout_ms),
     "How long a call waits for a connection."},
    {"rate_limit", CONFIG_IN_PROTOCOL, CONFIG_RATE, CONFIG_FOR_ALL, 0, 0, 0, NULL, NULL,
     offsetof(struct protocol_config, rate_limit),
     "Messages (calls with IMAP and POP3), as 100/min. For smtp.office365.com and smtp-mail.outlook.com 30/min where nothing "
     "is set."},
    {"pipeline", CONFIG_IN_PROTOCOL, CONFIG_ENUM, CONFIG_FOR_ALL, 0, 0, 0, "envelope", pipelines,
     offsetof(struct protocol_config, pipeline),
     "SMTP: off; envelope: the next caller's envelope goes behind this body; chunks: up to four whole messages are in flight as "
     "BDAT where the server offers CHUNKING and has shown, on that connection, that it passes over chunks which it refuses. "
     "A server whose answers get out of step gets none for a day."},
    {"idle_renew", CONFIG_IN_PROTOCOL, CONFIG_DURATION, CONFIG_FOR_ALL, 0, 1000, YEAR, "25min", NULL,
     offsetof(struct protocol_config, idle_renew_ms),
     "After how long IMAP IDLE is renewed."},
    {"compress", CONFIG_IN_PROTOCOL, CONFIG_BOOL, CONFIG_FOR_ALL, 0, 0, 0, "no", NULL,
     offsetof(struct protocol_config, compress),
     "IMAP: compress pooled connections where the server offers COMPRESS=DEFLATE. Each holds 40 kB more then."},
    {"session_idle", CONFIG_IN_PROTOCOL, CONFIG_DURATION, CONFIG_FOR_ALL, 0, 1, YEAR, "5min", NULL,
     offsetof(struct protocol_config, session_idle_ms),
     "How long a session may be silent."},
    {"session_max", CONFIG_IN_PROTOCOL, CONFIG_DURATION, CONFIG_FOR_ALL, 0, 1, YEAR, "1h", NULL,
     offsetof(struct protocol_config, session_max_ms),
     "How long a session may last."},
    {"disable", CONFIG_IN_PROTOCOL, CONFIG_UPPER_LIST, CONFIG_FOR_ALL, 0, 0, ENGINE_MAX_DISABLED, NULL, NULL,
     offsetof(struct protocol_config, disable),
     "Extensions and capabilities of the server to leave alone; COMPRESS names COMPRESS=DEFLATE, too."},
    {"quirks", CONFIG_IN_PROTOCOL, CONFIG_LIST, CONFIG_FOR_ALL, 0, 0, ENGINE_MAX_DISABLED, NULL, NULL,
     offsetof(struct protocol_config, quirks),
     "What the server does in its own way, to be allowed for (name) or not (-name); see QUIRKS. Those that a "
     "server is known by are on without being named."},
    {"debug", CONFIG_IN_PROTOCOL, CONFIG_BOOL, CONFIG_FOR_ALL, 0, 0, 0, "no", NULL,
     offsetof(struct protocol_config, debug),
     "Log the dialogue, without secrets and contents."},
};
const size_t config_n_keys = ARRAY_LEN(config_keys);
_Static_assert(ARRAY_LEN(config_keys) <= CONFIG_KEYS_MAX, "CONFIG_KEYS_MAX is too small");

static bool key_has_name(const struct config_key *key, struct slice name)
{
    struct slice own = slice_of_str(key->name);
    return key->flags & CONFIG_PREFIX ? slice_starts(name, own) : slice_eq(name, own);
}

const struct config_key *config_key_find(enum config_group group, enum protocol p, struct slice name)
{
    for (const struct config_key *key = config_keys; key < config_keys + config_n_keys; key++)
        if (key->group == group && (group != CONFIG_IN_PROTOCOL || key->protocols & 1u << p) && key_has_name(key, name))
            return key;
    return NULL;
}

const struct config_key *config_key_any(struct slice name)
{
    for (const struct config_key *key = config_keys; key < config_keys + config_n_keys; key++)
        if (key_has_name(key, name))
            return key;
    return NULL;
}

/* Levenshtein's distance, for names up to 32 characters. */
static size_t distance(struct slice a, struct slice b)
{
    size_t row[33];
    if (a.len > 32 || b.len > 32)
        return SIZE_MAX;
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t above = row[j];
            size_t changed = diagonal + (ascii_lower(a.data[i - 1]) != ascii_lower(b.data[j - 1]));
            row[j] = MIN(changed, MIN(above, row[j - 1]) + 1);
            diagonal = above;
        }
    }
    return row[b.len];
}

const char *config_key_near(unsigned groups, struct slice name)
{
    const char *best = NULL;
    size_t best_distance = name.len < 4 ? 2 : 3; /* one change in short names, two in others */
    for (const struct config_key *key = config_keys; key < config_keys + config_n_keys; key++) {
        if (!(groups & 1u << key->group) || key->flags & CONFIG_PREFIX)
            continue;
        size_t d = distance(name, slice_of_str(key->name));
        if (d < best_distance) {
            best = key->name;
            best_distance = d;
        }
    }
    return best;
}
