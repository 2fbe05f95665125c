/* SPDX-License-Identifier: MIT */
/* Where and how to connect for one protocol of one account: everything that decides identity and security of a
 * connection, and its limits. Filled by the daemon's configuration, immutable afterwards, counted. Strings are owned
 * by the endpoint, NUL-terminated, NULL where not configured. Durations in milliseconds, sizes in bytes. */
#ifndef POSTERN_ENDPOINT_H
#define POSTERN_ENDPOINT_H

#include "engine.h"
#include "fault.h"
#include "secret.h"

enum proxy_kind { PROXY_NONE = 0, PROXY_SOCKS4, PROXY_SOCKS4A, PROXY_SOCKS5, PROXY_SOCKS5H, PROXY_HTTP, PROXY_HTTPS };

/* How to log in at an HTTP proxy. AUTO: as it asks, Digest where it is offered; Basic unasked to an https proxy only. */
enum proxy_method { PROXY_METHOD_AUTO = 0, PROXY_METHOD_BASIC, PROXY_METHOD_DIGEST };

struct proxy_config {
    enum proxy_kind kind;
    enum proxy_method method;
    char *host;
    uint16_t port;
    char *username;
    struct secret *password;
    bool verify_peer, verify_host;
    char *ca_file; /* NULL: the system's store */
};

/* Where a password or token comes from (daemon/credentials). */
struct credential_source;
struct credential_waiter {
    struct list link;
    /* From the loop, once, never from inside fetch(): a reference of its own, or NULL and why. */
    void (*ready)(struct credential_waiter *w, struct secret *secret, const struct fault *fault);
};
struct credential_source_ops {
    void (*fetch)(struct credential_source *s, struct credential_waiter *w);
    /* The waiter will not be called. */
    void (*cancel)(struct credential_source *s, struct credential_waiter *w);
    /* The server refused what was given: a cached token is stale, ask anew next time. */
    void (*refused)(struct credential_source *s, const struct secret *secret);
    struct credential_source *(*ref)(struct credential_source *s);
    void (*unref)(struct credential_source *s);
};
struct credential_source {
    const struct credential_source_ops *ops;
    bool renews; /* what it gives after a refusal may be another: a token that ran out is asked for anew */
};

/* A steady rate, with bursts of at most `count`. */
struct rate_limit {
    unsigned count; /* in period_ms; 0: none */
    uint64_t period_ms;
    uint64_t settled_us; /* loop time at which what was taken is paid for */
};

/* Limits that several pools share: an account's or a host's `max_connections`, and a host's `rate_limit`, which counts what
 * goes out by SMTP. Counted by the pools. */
struct connection_quota {
    unsigned refs;
    unsigned max; /* 0: none */
    unsigned used;
    struct rate_limit rate;
    struct list waiters; /* pools that would open a connection as soon as one is given back; net's own */
};
struct connection_quota *connection_quota_new(unsigned max);
struct connection_quota *connection_quota_ref(struct connection_quota *q);
struct connection_quota *connection_quota_unref(struct connection_quota *q);

struct endpoint {
    unsigned refs;
    enum protocol protocol;
    char *account; /* name for logs and errors; inline options: "" */
    /* What the engine needs; its strings are the endpoint's. */
    struct engine_config engine;

    char *host;
    uint16_t port;
    int family; /* AF_UNSPEC, AF_INET, AF_INET6 */
    char *local_address;
    bool keepalive;
    struct proxy_config proxy;
    char **no_proxy; /* NULL-ended list, see proxy_is_bypassed() */

    /* TLS */
    bool verify_peer, verify_host;
    char *verify_name; /* instead of host */
    char *ca_file;     /* NULL: the system's store */
    char *ca_pem;      /* inline CA */
    char *client_cert, *client_key;
    struct secret *key_passphrase;
    char **fingerprints; /* NULL-ended, of key or certificate */
    int tls_min_version; /* TLS1_2_VERSION… */
    char *tls_ciphers;
    char *alpn;

    struct credential_source *credential; /* NULL: no login */

    uint64_t connect_timeout_ms; /* TCP and each stage to it; 30 s */
    uint64_t ready_timeout_ms;   /* from look-up to ready; 60 s */
    uint64_t timeout_ms;         /* without progress; 30 s */
    uint64_t data_timeout_ms;    /* 10 min */
    uint64_t min_rate;           /* bytes a second over 60 s; 0: none */

    unsigned pool_size, min_pool_size;
    uint64_t idle_timeout_ms, idle_probe_ms, max_lifetime_ms;
    unsigned max_uses; /* 0: no limit */
    unsigned queue_size;
    uint64_t queue_timeout_ms;
    unsigned rate_limit; /* messages in rate_period_ms; 0: none */
    uint64_t rate_period_ms;
    uint64_t session_idle_ms, session_max_ms;
    uint64_t idle_renew_ms;

    struct connection_quota *account_quota, *host_quota; /* NULL: none */
};

/* A zeroed endpoint with one reference; the defaults are the configuration's matter. NULL when out of memory. */
struct endpoint *endpoint_new(enum protocol protocol);
struct endpoint *endpoint_ref(struct endpoint *e);
struct endpoint *endpoint_unref(struct endpoint *e);
enum protocol endpoint_protocol(const struct endpoint *e);
/* Everything that decides identity, security and behaviour, as one string to compare: equal or not. Secrets enter as
 * a keyed hash. malloc'ed; NULL when out of memory. */
char *endpoint_key(const struct endpoint *e);

#endif
