/* SPDX-License-Identifier: MIT */
#include "list.h"
#include "tls_private.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Contexts that are kept though no configuration may need them any more. */
#define CONTEXTS_MAX 64

struct cached_context {
    struct list link; /* most recently used first */
    struct buffer key;
    SSL_CTX *ctx;
};

struct tls_cache {
    struct list contexts;
    size_t n;
    X509_STORE *system; /* parsed once, shared: a hundred authorities are a megabyte */
};

struct tls_cache *tls_cache_new(void)
{
    struct tls_cache *c = calloc(1, sizeof(*c));
    if (c)
        list_init(&c->contexts);
    return c;
}

static void cached_free(struct tls_cache *c, struct cached_context *k)
{
    list_remove(&k->link);
    c->n--;
    SSL_CTX_free(k->ctx);
    buffer_done(&k->key);
    free(k);
}

void tls_cache_free(struct tls_cache *c)
{
    struct cached_context *k;
    if (!c)
        return;
    list_foreach(&c->contexts, k, struct cached_context, link)
        cached_free(c, k);
    X509_STORE_free(c->system);
    free(c);
}

/* The name, and what tells a renewed file from the old one. */
static int key_file(struct buffer *b, const char *path)
{
    struct stat st = {0};
    if (path)
        (void) stat(path, &st);
    return buffer_printf(b, "%s%c%llu.%llu.%lld.%ld%c", path ? path : "", 0, (unsigned long long) st.st_dev,
                         (unsigned long long) st.st_ino, (long long) st.st_mtim.tv_sec, st.st_mtim.tv_nsec, 0);
}

static int make_key(struct buffer *b, const struct tls_config *config)
{
    int r = buffer_printf(b, "%d%c%s%c%s%c", config->min_version, 0, config->ciphers ? config->ciphers : "", 0,
                          config->ca_pem ? config->ca_pem : "", 0);
    if (r == 0)
        r = key_file(b, config->ca_file);
    if (r == 0)
        r = key_file(b, config->client_cert);
    return r == 0 ? key_file(b, config->client_key) : r;
}

static int passphrase(char *out, int size, int writing, void *arg)
{
    struct slice s = secret_expose(arg);
    (void) writing;
    /* Without a passphrase OpenSSL would ask on the terminal: an empty one fails instead. */
    if (size <= 0 || s.len > (size_t) size)
        return -1;
    if (s.len)
        memcpy(out, s.data, s.len);
    return (int) s.len;
}

static int file_fault(struct fault *fault, const char *what, const char *path)
{
    char text[128];
    tls_error_text(text, sizeof(text));
    return fault_set(fault, -EINVAL, FAULT_TLS, "tls", "%s %s: %s", what, path, text);
}

static int load_client(SSL_CTX *ctx, const struct tls_config *config, struct fault *fault)
{
    const char *key = config->client_key ? config->client_key : config->client_cert;
    if (!config->client_cert)
        return 0;
    SSL_CTX_set_default_passwd_cb(ctx, passphrase);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, (void *) config->key_passphrase);
    int r = 0;
    if (SSL_CTX_use_certificate_chain_file(ctx, config->client_cert) != 1)
        r = file_fault(fault, "client_cert", config->client_cert);
    else if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
        r = file_fault(fault, "client_key", key);
    else if (SSL_CTX_check_private_key(ctx) != 1)
        r = file_fault(fault, "client_key does not belong to client_cert:", key);
    /* The passphrase is the endpoint's: it must not be looked at later. */
    SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
    return r;
}

static int add_pem(X509_STORE *store, const char *pem, struct fault *fault)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    int n = 0;
    X509 *cert;
    while (bio && (cert = PEM_read_bio_X509(bio, NULL, passphrase, NULL))) {
        n += X509_STORE_add_cert(store, cert);
        X509_free(cert);
    }
    BIO_free(bio);
    ERR_clear_error();
    return n > 0 ? 0 : fault_set(fault, -EINVAL, FAULT_TLS, "tls", "ca: no certificate in it");
}

static int load_trust(struct tls_cache *c, SSL_CTX *ctx, const struct tls_config *config, struct fault *fault)
{
    if (config->ca_file && SSL_CTX_load_verify_file(ctx, config->ca_file) != 1)
        return file_fault(fault, "ca_file", config->ca_file);
    if (config->ca_pem)
        return add_pem(SSL_CTX_get_cert_store(ctx), config->ca_pem, fault);
    if (config->ca_file)
        return 0;
    if (!c->system) {
        X509_STORE *store = X509_STORE_new();
        if (!store)
            return fault_set(fault, -ENOMEM, FAULT_INTERNAL, "tls", "out of memory");
        /* A machine without any trusted authority is reported when a chain is looked at. */
        X509_STORE_set_default_paths(store);
        ERR_clear_error();
        c->system = store;
    }
    SSL_CTX_set1_cert_store(ctx, c->system);
    return 0;
}

/* Keeps what the server gives for resumption. Who resumes is verified again (tls_verify_peer). */
static int new_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_stage *t = tls_stage_of(ssl);
    struct tls_tickets *k = t ? t->tickets : NULL;
    if (!k || t->state == TLS_FAILED)
        return 0;
    if (k->n == TLS_TICKETS_MAX) {
        SSL_SESSION_free(k->items[0]);
        memmove(k->items, k->items + 1, sizeof(k->items[0]) * --k->n);
    }
    k->items[k->n++] = session;
    return 1; /* the reference is ours now */
}

static int context_new(struct tls_cache *c, const struct tls_config *config, SSL_CTX **ret, struct fault *fault)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx)
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, "tls", "out of memory");
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, new_session);
    int r = 0;
    if (SSL_CTX_set_min_proto_version(ctx, config->min_version ? config->min_version : TLS1_2_VERSION) != 1)
        r = fault_set(fault, -EINVAL, FAULT_TLS, "tls", "tls_min_version: not supported");
    /* One key for both kinds of names: those of TLS 1.3 are told by their prefix, the rest goes to the old list. */
    if (r == 0 && config->ciphers) {
        int ok = strncmp(config->ciphers, "TLS_", 4) == 0 ? SSL_CTX_set_ciphersuites(ctx, config->ciphers)
                                                          : SSL_CTX_set_cipher_list(ctx, config->ciphers);
        if (ok != 1)
            r = fault_set(fault, -EINVAL, FAULT_TLS, "tls", "tls_ciphers: no known cipher in it");
    }
    if (r == 0)
        r = load_trust(c, ctx, config, fault);
    if (r == 0)
        r = load_client(ctx, config, fault);
    ERR_clear_error();
    if (r < 0) {
        SSL_CTX_free(ctx);
        return r;
    }
    *ret = ctx;
    return 0;
}

int tls_cache_get(struct tls_cache *c, const struct tls_config *config, SSL_CTX **ret, struct fault *fault)
{
    struct buffer key;
    struct cached_context *k;

    buffer_init(&key, 256 * 1024);
    int r = make_key(&key, config);
    if (r < 0) {
        buffer_done(&key);
        return fault_set(fault, r, FAULT_INTERNAL, "tls", "out of memory");
    }
    list_foreach(&c->contexts, k, struct cached_context, link) {
        if (slice_eq(buffer_slice(&k->key), buffer_slice(&key))) {
            buffer_done(&key);
            list_remove(&k->link);
            list_prepend(&c->contexts, &k->link);
            SSL_CTX_up_ref(k->ctx);
            *ret = k->ctx;
            return 0;
        }
    }
    SSL_CTX *ctx = NULL;
    r = context_new(c, config, &ctx, fault);
    k = r == 0 ? calloc(1, sizeof(*k)) : NULL;
    if (!k) {
        buffer_done(&key);
        SSL_CTX_free(ctx);
        return r < 0 ? r : fault_set(fault, -ENOMEM, FAULT_INTERNAL, "tls", "out of memory");
    }
    k->key = key;
    k->ctx = ctx;
    list_prepend(&c->contexts, &k->link);
    if (++c->n > CONTEXTS_MAX)
        cached_free(c, list_last(&c->contexts, struct cached_context, link));
    SSL_CTX_up_ref(ctx);
    *ret = ctx;
    return 0;
}

void tls_config_of_endpoint(struct tls_config *ret, const struct endpoint *e)
{
    *ret = (struct tls_config){
        .host = e->host,
        .verify_name = e->verify_name,
        .verify_peer = e->verify_peer,
        .verify_host = e->verify_host,
        .ca_file = e->ca_file,
        .ca_pem = e->ca_pem,
        .client_cert = e->client_cert,
        .client_key = e->client_key,
        .key_passphrase = e->key_passphrase,
        .fingerprints = e->fingerprints && e->fingerprints[0] ? e->fingerprints : NULL,
        .min_version = e->tls_min_version,
        .ciphers = e->tls_ciphers,
        .alpn = e->alpn,
    };
}

void tls_config_of_proxy(struct tls_config *ret, const struct proxy_config *p)
{
    *ret = (struct tls_config){
        .host = p->host, .verify_peer = p->verify_peer, .verify_host = p->verify_host, .ca_file = p->ca_file};
}
