/* SPDX-License-Identifier: MIT */
/* The configuration: postern.conf and one accounts.d/NAME.conf an account, loaded whole into one immutable, counted
 * object. A configuration with any error is refused whole. One table (config_keys.c) knows every key: its section,
 * type, bounds, default and documentation; files, inline `options`, the manual page and tests are served by it.
 *
 * All strings and arrays below belong to the object they stand in and live as long as a reference to it is held.
 * Optional strings are NULL where not set. Not thread-safe; loading blocks (files, name service) and is done on the
 * loop's thread at start and on reload only.
 *
 * The name is not config.h, because that is what autoconf calls its own. */
#ifndef POSTERN_CONFIGURATION_H
#define POSTERN_CONFIGURATION_H

#include "arena.h"
#include "buffer.h"
#include "endpoint.h"
#include "fault.h"
#include "macros.h"
#include "rpc_types.h"
#include "secret.h"
#include "slice.h"

#include <sys/types.h>

#define ACCOUNT_NAME_MAX 64

/* What a peer may do with an account; a set of these is an `unsigned`. */
enum account_right { RIGHT_SEND = 1, RIGHT_READ = 2, RIGHT_WRITE = 4, RIGHT_RAW = 8 };
#define RIGHTS_ALL 15u
#define N_RIGHTS 4

enum config_tls_version { CONFIG_TLS_1_2, CONFIG_TLS_1_3 };
enum config_family { CONFIG_FAMILY_ANY, CONFIG_FAMILY_IPV4, CONFIG_FAMILY_IPV6 };
enum config_log_level { CONFIG_LOG_ERROR, CONFIG_LOG_WARNING, CONFIG_LOG_INFO, CONFIG_LOG_DEBUG };

struct config_list {
    const char *const *items;
    size_t n;
};

struct config_rate {
    uint32_t count; /* 0: no limit */
    uint64_t per_ms;
};

struct config_proxy {
    enum proxy_kind kind;
    const char *host; /* NULL with PROXY_NONE */
    uint16_t port;
};

/* `user:NAME` or `group:NAME`, resolved when the configuration was loaded. */
struct principal {
    bool is_group;
    uint32_t id; /* uid or gid */
};
struct principals {
    const struct principal *items;
    size_t n;
};

/* Addresses that may stand as sender: `ann@example.com`, `*@example.com`, `*`. */
struct sender_narrowing {
    struct principal who;
    struct config_list senders;
};
struct sender_narrowings {
    const struct sender_narrowing *items;
    size_t n;
};

/* Where the secret comes from: at most one member is set. The commands are lines for /bin/sh. */
struct config_secret {
    struct secret *password;
    const char *password_file, *password_command;
    const char *credential; /* a name in $CREDENTIALS_DIRECTORY */
    struct secret *token;
    const char *token_file, *token_command;
};
static inline bool config_secret_is_set(const struct config_secret *s)
{
    return s->password || s->password_file || s->password_command || s->credential || s->token || s->token_file ||
           s->token_command;
}
static inline bool config_secret_is_token(const struct config_secret *s)
{
    return s->token || s->token_file || s->token_command;
}

struct auth_config {
    const char *username, *authzid;
    struct config_secret secret;
    struct config_list method; /* names in lower case, in order of preference; "auto" alone is the default */
};

/* The settings of one protocol of one account, with the rules on `tls`, `implicit_tls` and `port`, the inheritance
 * from [auth] and all defaults already applied. */
struct protocol_config {
    bool present; /* the section is there (inline: the protocol asked for) */
    struct auth_config auth;

    const char *host;
    uint16_t port; /* never 0 when present */
    enum tls_policy tls;
    bool implicit_tls; /* TLS from the first byte; false: upgrade as `tls` says */
    bool verify_peer, verify_host;
    const char *verify_name; /* name expected in the certificate; NULL: the host */
    const char *ca_file;
    const char *ca; /* PEM, inline only */
    const char *client_cert, *client_key, *key_passphrase_file;
    struct config_list fingerprint; /* SHA-256 of certificates, 64 lower-case hex digits each */
    enum config_tls_version tls_min_version;
    const char *tls_ciphers;
    const char *alpn;
    bool allow_plaintext_auth;

    struct config_proxy proxy;
    const char *proxy_username, *proxy_ca_file;
    enum proxy_method proxy_method;
    struct secret *proxy_password;
    bool verify_proxy_peer, verify_proxy_host;
    struct config_list no_proxy; /* see proxy_is_bypassed() */

    const char *local_address; /* a numeric address */
    enum config_family family;
    bool keepalive;
    bool compress;
    const char *domain; /* EHLO name; NULL: the machine's own */

    uint64_t connect_timeout_ms, timeout_ms, data_timeout_ms;
    uint64_t min_rate; /* bytes a second; 0: none */

    uint64_t pool_size, min_pool_size, queue_size;
    uint64_t idle_timeout_ms, idle_probe_ms, max_lifetime_ms, queue_timeout_ms;
    uint64_t max_uses; /* 0: no limit */
    struct config_rate rate_limit;
    unsigned pipeline; /* engine.h's PIPELINE_OFF, PIPELINE_ENVELOPE, PIPELINE_CHUNKS */
    uint64_t idle_renew_ms;
    uint64_t session_idle_ms, session_max_ms;

    struct config_list disable; /* extensions and capabilities, in upper case */
    struct config_list quirks;
    bool debug;

    /* Of everything above; equal digests are the same connections. */
    unsigned char digest[32];
};

struct account_config {
    unsigned refs;
    struct arena arena;
    const char *name; /* NULL: made from inline options */
    const char *file; /* NULL likewise */
    const char *email, *display_name;
    struct principals allow;
    bool allow_is_set;                       /* else root and the daemon's own user */
    unsigned permit;                         /* rights of those in `allow` */
    struct principals allow_right[N_RIGHTS]; /* allow_send, allow_read, allow_write, allow_raw */
    struct principals default_for;           /* a hint for clients; gives no right */
    struct config_list senders;
    bool senders_is_set; /* else `email` only */
    struct sender_narrowings narrowings;
    uint64_t max_connections; /* all protocols together */
    struct auth_config auth;
    struct protocol_config protocols[PROTOCOL_COUNT];
    unsigned char digest[32]; /* of everything, rights included */
};

struct host_config {
    const char *host;         /* lower case */
    uint64_t max_connections; /* 0: no limit */
    struct config_rate rate_limit;
};

struct daemon_config {
    const char *socket;
    uint64_t socket_mode;
    const char *state_dir;
    struct principals admin, allow_inline;
    bool admin_is_set, allow_inline_is_set; /* else root and the daemon's own user */
    enum config_log_level log_level;
    uint64_t max_clients, max_clients_per_user, max_calls_per_client, max_calls_per_user;
    uint64_t max_batch, max_fds_per_user, max_subscriptions_per_user, max_file_readers_per_user;
    uint64_t max_request_size, max_response_size, max_message_size, fd_answer_max;
    uint64_t user_memory, memory;
    uint64_t partial_request_timeout_ms, client_stall_ms;
    uint64_t output_hard_limit;
    uint64_t call_timeout_ms, key_lifetime_ms;
};

struct config {
    unsigned refs;
    struct arena arena;
    const char *file;
    struct daemon_config daemon;
    struct host_config *hosts;
    size_t n_hosts;
    struct account_config **accounts; /* sorted by name */
    size_t n_accounts;
};

/* What is wrong, one `FILE:LINE: text` a line, as --test-config prints it. */
#define CONFIG_ERRORS_MAX (256 * 1024)

/* Loads `file` and the accounts.d folder beside it. `errors` (initialised by the caller, e.g. with
 * CONFIG_ERRORS_MAX) gets every error that was found; on any, the result is -EINVAL and *ret is untouched.
 * `socket` (may be NULL) stands for the [daemon] key of that name whatever the file says. */
int config_load(const char *file, const char *socket, struct config **ret, struct buffer *errors);
struct config *config_ref(struct config *c);
struct config *config_unref(struct config *c); /* accepts NULL, returns NULL */
/* By exact name; NULL: none. */
struct account_config *config_find_account(const struct config *c, struct slice name);
/* By host, whatever the case; NULL: none. */
const struct host_config *config_find_host(const struct config *c, const char *host);

struct account_config *account_config_ref(struct account_config *a);
struct account_config *account_config_unref(struct account_config *a); /* accepts NULL, returns NULL */
bool account_name_is_valid(struct slice name);

/* The endpoint that net connects to: everything of protocols[p], which must be present. `source` and the quotas may be
 * NULL, and are referenced. -ENOMEM, or FAULT_TLS where the file with the key's passphrase cannot be read. */
int account_config_endpoint(const struct account_config *account, enum protocol p, struct credential_source *source,
                            struct connection_quota *account_quota, struct connection_quota *host_quota,
                            struct endpoint **ret, struct fault *fault);

/* An account of its own for one protocol, from a call's inline `options` (NULL: none; durations are in ms). A Content
 * (`ca`) must hold its bytes, not a descriptor. Errors are FAULT_INVALID_PARAMS naming the option. Equal digests of the
 * protocol are equal connections. */
int account_config_from_options(enum protocol protocol, const struct rpc_options *options, struct account_config **ret,
                                struct fault *fault);

#endif
