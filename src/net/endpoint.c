/* SPDX-License-Identifier: MIT */
#include "endpoint.h"

#include "buffer.h"
#include "hash.h"

#include <stdlib.h>

struct connection_quota *connection_quota_new(unsigned max)
{
    struct connection_quota *q = calloc(1, sizeof(*q));
    if (!q)
        return NULL;
    q->refs = 1;
    q->max = max;
    list_init(&q->waiters);
    return q;
}

struct connection_quota *connection_quota_ref(struct connection_quota *q)
{
    if (q)
        q->refs++;
    return q;
}

struct connection_quota *connection_quota_unref(struct connection_quota *q)
{
    if (q && --q->refs == 0)
        free(q);
    return NULL;
}

struct endpoint *endpoint_new(enum protocol protocol)
{
    struct endpoint *e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    e->refs = 1;
    e->protocol = protocol;
    return e;
}

struct endpoint *endpoint_ref(struct endpoint *e)
{
    if (e)
        e->refs++;
    return e;
}

static void free_strings(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

/* The engine's strings are the endpoint's own as well, though const for the engine. */
static void free_engine_strings(struct engine_config *c)
{
    free((char *) c->host);
    free((char *) c->domain);
    free((char *) c->username);
    free((char *) c->authzid);
    for (size_t i = 0; c->methods[i]; i++)
        free((char *) c->methods[i]);
    for (size_t i = 0; c->disabled[i]; i++)
        free((char *) c->disabled[i]);
    for (size_t i = 0; c->quirks[i]; i++)
        free((char *) c->quirks[i]);
}

struct endpoint *endpoint_unref(struct endpoint *e)
{
    if (!e || --e->refs)
        return NULL;
    free_engine_strings(&e->engine);
    free(e->account);
    free(e->host);
    free(e->local_address);
    free(e->proxy.host);
    free(e->proxy.username);
    free(e->proxy.ca_file);
    secret_unref(e->proxy.password);
    free_strings(e->no_proxy);
    free(e->verify_name);
    free(e->ca_file);
    free(e->ca_pem);
    free(e->client_cert);
    free(e->client_key);
    secret_unref(e->key_passphrase);
    free_strings(e->fingerprints);
    free(e->tls_ciphers);
    free(e->alpn);
    if (e->credential)
        e->credential->ops->unref(e->credential);
    connection_quota_unref(e->account_quota);
    connection_quota_unref(e->host_quota);
    free(e);
    return NULL;
}

enum protocol endpoint_protocol(const struct endpoint *e)
{
    return e->protocol;
}
