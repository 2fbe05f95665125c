/* SPDX-License-Identifier: MIT */
#include "configuration.h"

#include "credentials.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* A copy in *ret; NULL stays NULL. */
static bool copy_string(const char *s, char **ret)
{
    *ret = s ? strdup(s) : NULL;
    return !s || *ret;
}

static bool copy_list(const struct config_list *list, char ***ret)
{
    *ret = NULL;
    if (list->n == 0)
        return true;
    char **copy = calloc(list->n + 1, sizeof(*copy));
    if (!copy)
        return false;
    *ret = copy;
    for (size_t i = 0; i < list->n; i++)
        if (!copy_string(list->items[i], &copy[i]))
            return false;
    return true;
}

/* Into one of the engine's arrays; the table bounds the length of these lists. */
static bool copy_words(const struct config_list *list, const char **out, size_t max)
{
    for (size_t i = 0; i < MIN(list->n, max); i++) {
        out[i] = strdup(list->items[i]);
        if (!out[i])
            return false;
    }
    return true;
}

static bool method_is_listed(const struct protocol_config *c, const char *name)
{
    for (size_t i = 0; i < c->auth.method.n; i++)
        if (strcmp(c->auth.method.items[i], name) == 0)
            return true;
    return false;
}

/* The machine's own name where it can stand in EHLO (RFC 5321 section 4.1.2), else one that says nothing. */
static bool copy_domain(const char *configured, char **ret)
{
    char name[256] = "";

    if (configured)
        return copy_string(configured, ret);
    if (gethostname(name, sizeof(name) - 1) < 0)
        name[0] = '\0';
    for (size_t i = 0; name[i]; i++)
        if (!ascii_is_alpha(name[i]) && !ascii_is_digit(name[i]) && name[i] != '-' && name[i] != '.')
            name[0] = '\0';
    return copy_string(name[0] ? name : "localhost", ret);
}

static bool fill_engine(const struct protocol_config *c, struct engine_config *e)
{
    static const struct config_list none = {NULL, 0};
    e->tls = c->tls;
    e->implicit_tls = c->implicit_tls;
    e->allow_plaintext_auth = c->allow_plaintext_auth;
    e->wants_login = config_secret_is_set(&c->auth.secret) || method_is_listed(c, "external");
    e->has_token = config_secret_is_token(&c->auth.secret);
    e->has_client_cert = c->client_cert != NULL;
    e->trace = c->debug;
    e->compress = c->compress;
    e->pipeline = (int) c->pipeline;
    e->port = c->port;
    /* No names at all stand for "auto". */
    const struct config_list *methods = method_is_listed(c, "auto") ? &none : &c->auth.method;
    return copy_string(c->host, (char **) &e->host) && copy_domain(c->domain, (char **) &e->domain) &&
           copy_string(c->auth.username, (char **) &e->username) &&
           copy_string(c->auth.authzid, (char **) &e->authzid) && copy_words(methods, e->methods, ENGINE_MAX_METHODS) &&
           copy_words(&c->disable, e->disabled, ENGINE_MAX_DISABLED) &&
           copy_words(&c->quirks, e->quirks, ENGINE_MAX_DISABLED);
}

static bool fill_proxy(const struct protocol_config *c, struct proxy_config *p)
{
    p->kind = c->proxy.kind;
    p->method = c->proxy_method;
    p->port = c->proxy.port;
    p->verify_peer = c->verify_proxy_peer;
    p->verify_host = c->verify_proxy_host;
    if (c->proxy_password)
        p->password = secret_ref(c->proxy_password);
    return copy_string(c->proxy.host, &p->host) && copy_string(c->proxy_username, &p->username) &&
           copy_string(c->proxy_ca_file, &p->ca_file);
}

static bool fill_tls(const struct protocol_config *c, struct endpoint *e)
{
    e->verify_peer = c->verify_peer;
    e->verify_host = c->verify_host;
    e->tls_min_version = c->tls_min_version == CONFIG_TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    /* The key may stand in the file of the certificate. */
    return copy_string(c->verify_name, &e->verify_name) && copy_string(c->ca_file, &e->ca_file) &&
           copy_string(c->ca, &e->ca_pem) && copy_string(c->client_cert, &e->client_cert) &&
           copy_string(c->client_key ? c->client_key : c->client_cert, &e->client_key) &&
           copy_list(&c->fingerprint, &e->fingerprints) && copy_string(c->tls_ciphers, &e->tls_ciphers) &&
           copy_string(c->alpn, &e->alpn);
}

static void fill_limits(const struct protocol_config *c, struct endpoint *e)
{
    e->connect_timeout_ms = c->connect_timeout_ms;
    e->ready_timeout_ms = 2 * c->connect_timeout_ms;
    e->timeout_ms = c->timeout_ms;
    e->data_timeout_ms = c->data_timeout_ms;
    e->min_rate = c->min_rate;
    e->pool_size = (unsigned) c->pool_size;
    e->min_pool_size = (unsigned) c->min_pool_size;
    e->idle_timeout_ms = c->idle_timeout_ms;
    e->idle_probe_ms = c->idle_probe_ms;
    e->max_lifetime_ms = c->max_lifetime_ms;
    e->max_uses = (unsigned) c->max_uses;
    e->queue_size = (unsigned) c->queue_size;
    e->queue_timeout_ms = c->queue_timeout_ms;
    e->rate_limit = c->rate_limit.count;
    e->rate_period_ms = c->rate_limit.per_ms;
    e->session_idle_ms = c->session_idle_ms;
    e->session_max_ms = c->session_max_ms;
    e->idle_renew_ms = c->idle_renew_ms;
}

int account_config_endpoint(const struct account_config *account, enum protocol p, struct credential_source *source,
                            struct connection_quota *account_quota, struct connection_quota *host_quota,
                            struct endpoint **ret, struct fault *fault)
{
    static const int families[] = {
        [CONFIG_FAMILY_ANY] = AF_UNSPEC,
        [CONFIG_FAMILY_IPV4] = AF_INET,
        [CONFIG_FAMILY_IPV6] = AF_INET6,
    };
    const struct protocol_config *c = &account->protocols[p];
    struct endpoint *e = endpoint_new(p);
    if (!e)
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
    e->port = c->port;
    e->family = families[c->family];
    e->keepalive = c->keepalive;
    fill_limits(c, e);
    if (source)
        e->credential = source->ops->ref(source);
    e->account_quota = connection_quota_ref(account_quota);
    e->host_quota = connection_quota_ref(host_quota);
    bool ok = copy_string(account->name ? account->name : "", &e->account) && copy_string(c->host, &e->host) &&
              copy_string(c->local_address, &e->local_address) && copy_list(&c->no_proxy, &e->no_proxy) &&
              fill_engine(c, &e->engine) && fill_proxy(c, &e->proxy) && fill_tls(c, e);
    const char *why = NULL;
    int r = ok ? 0 : fault_set(fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
    if (r == 0 && c->key_passphrase_file)
        r = credential_read_line(c->key_passphrase_file, &e->key_passphrase, &why);
    if (why)
        fault_set(fault, r, FAULT_TLS, "tls", "key_passphrase_file: %s", why);
    if (r < 0)
        endpoint_unref(e);
    else
        *ret = e;
    return r;
}
