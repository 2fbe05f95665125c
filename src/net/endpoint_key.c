/* SPDX-License-Identifier: MIT */
#include "buffer.h"
#include "endpoint.h"
#include "hash.h"

#define KEY_MAX (256 * 1024) /* an inline CA may stand in it */

/* One named value each, ended by a line feed; the first failure sticks. Lengths keep values apart from names. */
struct key {
    struct buffer b;
    int r;
};

static void text(struct key *k, const char *name, const char *value)
{
    if (k->r == 0)
        k->r = value ? buffer_printf(&k->b, "%s:%zu=%s\n", name, strlen(value), value) : buffer_printf(&k->b, "%s-\n", name);
}

static void number(struct key *k, const char *name, uint64_t value)
{
    if (k->r == 0)
        k->r = buffer_printf(&k->b, "%s=%llu\n", name, (unsigned long long) value);
}

static void secret(struct key *k, const char *name, const struct secret *s)
{
    number(k, name, s ? hash_slice(secret_expose(s)) : 0);
}

static void texts(struct key *k, const char *name, const char *const *values)
{
    for (size_t i = 0; values && values[i]; i++)
        text(k, name, values[i]);
}

static void engine_part(struct key *k, const struct engine_config *c)
{
    number(k, "tls", c->tls);
    number(k, "flags", (unsigned) c->implicit_tls | (unsigned) c->allow_plaintext_auth << 1 |
                           (unsigned) c->wants_login << 2 | (unsigned) c->has_token << 3 |
                           (unsigned) c->has_client_cert << 4 | (unsigned) c->lmtp << 5 | (unsigned) c->trace << 6);
    number(k, "pipeline", c->pipeline);
    number(k, "compress", c->compress);
    text(k, "domain", c->domain);
    text(k, "username", c->username);
    text(k, "authzid", c->authzid);
    texts(k, "method", c->methods);
    texts(k, "disable", c->disabled);
    texts(k, "quirk", c->quirks);
    number(k, "max_line", c->max_line);
    number(k, "max_reply", c->max_reply);
    number(k, "max_literal", c->max_literal);
}

static void way_part(struct key *k, const struct endpoint *e)
{
    text(k, "host", e->host);
    number(k, "port", e->port);
    number(k, "family", (uint64_t) e->family);
    text(k, "local", e->local_address);
    number(k, "keepalive", e->keepalive);
    number(k, "proxy", e->proxy.kind);
    text(k, "proxy_host", e->proxy.host);
    number(k, "proxy_port", e->proxy.port);
    text(k, "proxy_username", e->proxy.username);
    secret(k, "proxy_password", e->proxy.password);
    number(k, "proxy_method", e->proxy.method);
    text(k, "proxy_ca_file", e->proxy.ca_file);
    number(k, "proxy_verify", (unsigned) e->proxy.verify_peer | (unsigned) e->proxy.verify_host << 1);
    texts(k, "no_proxy", (const char *const *) e->no_proxy);
}

static void tls_part(struct key *k, const struct endpoint *e)
{
    number(k, "verify", (unsigned) e->verify_peer | (unsigned) e->verify_host << 1);
    text(k, "verify_name", e->verify_name);
    text(k, "ca_file", e->ca_file);
    text(k, "ca_pem", e->ca_pem);
    text(k, "client_cert", e->client_cert);
    text(k, "client_key", e->client_key);
    secret(k, "key_passphrase", e->key_passphrase);
    texts(k, "fingerprint", (const char *const *) e->fingerprints);
    number(k, "tls_min_version", (uint64_t) e->tls_min_version);
    text(k, "tls_ciphers", e->tls_ciphers);
    text(k, "alpn", e->alpn);
}

static void limits_part(struct key *k, const struct endpoint *e)
{
    const uint64_t limits[] = {e->connect_timeout_ms, e->ready_timeout_ms, e->timeout_ms, e->data_timeout_ms,
        e->min_rate, e->pool_size, e->min_pool_size, e->idle_timeout_ms, e->idle_probe_ms, e->max_lifetime_ms,
        e->max_uses, e->queue_size, e->queue_timeout_ms, e->rate_limit, e->rate_period_ms, e->session_idle_ms,
        e->session_max_ms, e->idle_renew_ms};
    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        number(k, "limit", limits[i]);
}

char *endpoint_key(const struct endpoint *e)
{
    struct key k = {.r = 0};
    buffer_init(&k.b, KEY_MAX);
    text(&k, "protocol", protocol_name(e->protocol));
    text(&k, "account", e->account);
    /* A source is itself the identity of what it gives. */
    number(&k, "credential", (uint64_t) (uintptr_t) e->credential);
    number(&k, "quotas", hash_bytes((const void *const[]){e->account_quota, e->host_quota}, 2 * sizeof(void *)));
    engine_part(&k, &e->engine);
    way_part(&k, e);
    tls_part(&k, e);
    limits_part(&k, e);
    char *key = k.r == 0 ? buffer_steal(&k.b, NULL) : NULL;
    buffer_done(&k.b);
    return key;
}
