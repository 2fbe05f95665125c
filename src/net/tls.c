/* SPDX-License-Identifier: MIT */
#include "tls.h"

#include "tls_private.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

/* Two reads of the driver and a record that is not whole. A peer's flood stays in the kernel. */
#define IN_MAX (192 * 1024)
/* A driver takes output away before it adds more than this. */
#define OUT_MAX (512 * 1024)

/* --- the BIO: reads from t->in, writes to t->out --- */

static int bio_read(BIO *b, char *out, size_t len, size_t *ret)
{
    struct tls_stage *t = BIO_get_data(b);
    struct slice in = buffer_slice(&t->in);
    BIO_clear_retry_flags(b);
    if (in.len == 0) {
        BIO_set_retry_read(b);
        return 0;
    }
    *ret = MIN(len, in.len);
    memcpy(out, in.data, *ret);
    buffer_consume(&t->in, *ret);
    buffer_trim(&t->in);
    return 1;
}

static int bio_write(BIO *b, const char *data, size_t len, size_t *ret)
{
    struct tls_stage *t = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (buffer_append(&t->out, data, len) < 0)
        return 0;
    *ret = len;
    return 1;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    (void) b;
    (void) num;
    (void) ptr;
    /* Everything else (kTLS, MTU, peeking…) is not offered. */
    return cmd == BIO_CTRL_FLUSH || cmd == BIO_CTRL_PUSH || cmd == BIO_CTRL_POP ? 1 : 0;
}

static BIO_METHOD *bio_method(void)
{
    static BIO_METHOD *method; /* one for the process, never freed */
    if (!method) {
        method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "postern");
        if (method) {
            BIO_meth_set_read_ex(method, bio_read);
            BIO_meth_set_write_ex(method, bio_write);
            BIO_meth_set_ctrl(method, bio_ctrl);
        }
    }
    return method;
}

BIO *tls_bio_new(struct tls_stage *t)
{
    BIO_METHOD *method = bio_method();
    BIO *b = method ? BIO_new(method) : NULL;
    if (b) {
        BIO_set_data(b, t);
        BIO_set_init(b, 1);
    }
    return b;
}

/* --- life --- */

static int set_alpn(SSL *ssl, const char *names)
{
    /* RFC 7301 section 3.1: each name behind a byte with its length. */
    unsigned char wire[256];
    size_t n = 0;
    struct slice rest = slice_of_str(names);
    while (rest.len) {
        size_t comma = slice_find(rest, ',');
        struct slice name = slice_trim(slice_to(rest, comma));
        if (name.len > 255 || n + 1 + name.len > sizeof(wire))
            return -EINVAL;
        if (name.len) {
            wire[n++] = (unsigned char) name.len;
            memcpy(wire + n, name.data, name.len);
            n += name.len;
        }
        rest = slice_from(rest, comma + 1);
    }
    return n == 0 || SSL_set_alpn_protos(ssl, wire, (unsigned) n) == 0 ? 0 : -ENOMEM;
}

static void use_ticket(struct tls_stage *t)
{
    struct tls_tickets *k = t->tickets;
    while (k && k->n) {
        /* The newest: it is good for longest. One of TLS 1.2 stays, since the server gives no other for it. */
        SSL_SESSION *session = k->items[k->n - 1];
        bool usable = SSL_SESSION_is_resumable(session) && SSL_set_session(t->ssl, session) == 1;
        if (!usable || SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION) {
            SSL_SESSION_free(session);
            k->n--;
        }
        if (usable)
            return;
    }
}

static int stage_init(struct tls_stage *t, struct fault *fault)
{
    char host[HOST_NAME_LIMIT];
    struct address literal;
    int r = host_to_ascii(t->config.verify_name ? t->config.verify_name : t->config.host, t->expected->name);
    if (r == 0)
        r = host_to_ascii(t->config.host, host);
    if (r < 0)
        return fault_set(fault, r, FAULT_TLS, "tls", "%s: not the name of a host", t->config.host);
    t->expected->name_is_address = address_from_literal(t->expected->name, &literal);
    /* RFC 6066 section 3: no literals in SNI. */
    if (!address_from_literal(host, &literal) && SSL_set_tlsext_host_name(t->ssl, host) != 1)
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, "tls", "out of memory");
    if (t->config.alpn && set_alpn(t->ssl, t->config.alpn) < 0)
        return fault_set(fault, -EINVAL, FAULT_TLS, "tls", "alpn: not usable");
    r = tls_verify_arm(t, fault);
    if (r < 0)
        return r;
    BIO *bio = tls_bio_new(t);
    if (!bio)
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, "tls", "out of memory");
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_connect_state(t->ssl);
    use_ticket(t);
    return 0;
}

int tls_stage_new(struct tls_cache *c, const struct tls_config *config, struct tls_tickets *tickets,
                  struct tls_stage **ret, struct fault *fault)
{
    SSL_CTX *ctx = NULL;
    int r = tls_cache_get(c, config, &ctx, fault);
    if (r < 0)
        return r;
    struct tls_stage *t = calloc(1, sizeof(*t));
    if (t) {
        buffer_init(&t->in, IN_MAX);
        buffer_init(&t->out, OUT_MAX);
        t->config = *config;
        t->tickets = tickets;
        t->ssl = SSL_new(ctx);
        t->expected = calloc(1, sizeof(*t->expected));
    }
    SSL_CTX_free(ctx);
    if (!t || !t->ssl || !t->expected || SSL_set_app_data(t->ssl, t) != 1)
        r = fault_set(fault, -ENOMEM, FAULT_INTERNAL, "tls", "out of memory");
    else
        r = stage_init(t, fault);
    if (r < 0) {
        ERR_clear_error();
        tls_stage_free(t);
        return r;
    }
    *ret = t;
    return 0;
}

void tls_stage_free(struct tls_stage *t)
{
    if (!t)
        return;
    SSL_free(t->ssl);
    buffer_done(&t->in);
    buffer_done(&t->out);
    free(t->expected);
    free(t);
}

struct tls_stage *tls_stage_of(const SSL *ssl)
{
    return SSL_get_app_data(ssl);
}

void tls_tickets_done(struct tls_tickets *t)
{
    while (t->n)
        SSL_SESSION_free(t->items[--t->n]);
}

/* --- bytes --- */

int tls_input_reserve(struct tls_stage *t, size_t len, char **ret)
{
    return buffer_reserve(&t->in, len, ret);
}

void tls_input_commit(struct tls_stage *t, size_t len)
{
    buffer_commit(&t->in, len);
    if (len == 0)
        buffer_trim(&t->in);
}

size_t tls_input_len(const struct tls_stage *t)
{
    return buffer_len(&t->in);
}

struct slice tls_output(const struct tls_stage *t)
{
    return buffer_slice(&t->out);
}

void tls_sent(struct tls_stage *t, size_t len)
{
    buffer_consume(&t->out, len);
    buffer_trim(&t->out);
}

/* What SSL_get_error() said of a call that did not succeed: -EAGAIN, 0 (close_notify), or a failure. */
static int stage_error(struct tls_stage *t, int ssl_ret, const char *doing, struct fault *fault)
{
    char text[160];
    switch (SSL_get_error(t->ssl, ssl_ret)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        t->state = TLS_PEER_CLOSED;
        return 0;
    }
    tls_error_text(text, sizeof(text));
    t->state = TLS_FAILED;
    return fault_set(fault, -EPROTO, FAULT_TLS, "tls", "%s: %s", doing, text);
}

int tls_handshake(struct tls_stage *t, struct fault *fault)
{
    if (t->state == TLS_OPEN)
        return 1;
    if (t->state != TLS_HANDSHAKE)
        return fault_set(fault, -EPROTO, FAULT_TLS, "tls", "the TLS session is over");
    ERR_clear_error();
    int r = SSL_do_handshake(t->ssl);
    if (r != 1) {
        struct fault reason = {0};
        r = stage_error(t, r, "handshake", &reason);
        if (r == -EAGAIN)
            return 0;
        if (r == 0)
            fault_set(&reason, -ECONNRESET, FAULT_TLS, "tls", "handshake: the server closed the connection");
        tls_verify_explain(t, &reason);
        t->state = TLS_FAILED;
        return fault_set(fault, -EPROTO, FAULT_TLS, "tls", "%s", reason.text);
    }
    r = tls_verify_peer(t, fault);
    if (r < 0) {
        t->state = TLS_FAILED;
        return r;
    }
    t->state = TLS_OPEN;
    free(t->expected);
    t->expected = NULL;
    return 1;
}

ssize_t tls_read(struct tls_stage *t, void *out, size_t len, struct fault *fault)
{
    size_t n;
    if (t->state == TLS_PEER_CLOSED)
        return 0;
    if (t->state != TLS_OPEN && t->state != TLS_CLOSED)
        return fault_set(fault, -EPROTO, FAULT_TLS, "tls", "the TLS session is not open");
    ERR_clear_error();
    int r = SSL_read_ex(t->ssl, out, len, &n);
    if (r == 1)
        return (ssize_t) n;
    return stage_error(t, r, "reading", fault);
}

ssize_t tls_write(struct tls_stage *t, const void *data, size_t len, struct fault *fault)
{
    size_t n;
    if (t->state != TLS_OPEN)
        return fault_set(fault, -EPIPE, FAULT_TLS, "tls", "the TLS session is not open");
    if (len == 0)
        return 0;
    ERR_clear_error();
    int r = SSL_write_ex(t->ssl, data, MIN(len, (size_t) TLS_RECORD_MAX), &n);
    if (r == 1)
        return (ssize_t) n;
    r = stage_error(t, r, "writing", fault);
    /* The BIO takes everything, so there is no waiting here. */
    return r < 0 && r != -EAGAIN ? r : fault_set(fault, -EPROTO, FAULT_TLS, "tls", "writing: refused");
}

void tls_close(struct tls_stage *t)
{
    if (t->state != TLS_OPEN && t->state != TLS_PEER_CLOSED)
        return;
    ERR_clear_error();
    SSL_shutdown(t->ssl);
    ERR_clear_error();
    t->state = TLS_CLOSED;
}

/* --- what is known of the session --- */

void tls_describe(const struct tls_stage *t, struct engine_tls *ret)
{
    static const char label[] = "EXPORTER-Channel-Binding";
    int version = SSL_version(t->ssl);
    bool extended = SSL_get_extms_support(t->ssl) == 1;

    *ret = (struct engine_tls){.version = SSL_get_version(t->ssl)};
    ret->verified = (t->config.verify_peer && t->config.verify_host) || t->config.fingerprints;
    /* RFC 9266 section 3: needs TLS 1.3, or the extended master secret. The context is empty, not absent. */
    if (version >= TLS1_3_VERSION || extended) {
        if (SSL_export_keying_material(t->ssl, ret->exporter, sizeof(ret->exporter), label, sizeof(label) - 1,
                                       (const unsigned char *) "", 0, 1) == 1)
            ret->exporter_len = sizeof(ret->exporter);
    }
    /* RFC 5929 section 3: the first Finished message; undefined for TLS 1.3, and unsafe (RFC 7627) when a session
     * without the extended master secret was resumed. */
    if (version < TLS1_3_VERSION && (extended || !SSL_session_reused(t->ssl))) {
        size_t n = SSL_session_reused(t->ssl) ? SSL_get_peer_finished(t->ssl, ret->unique, sizeof(ret->unique))
                                              : SSL_get_finished(t->ssl, ret->unique, sizeof(ret->unique));
        ret->unique_len = MIN(n, sizeof(ret->unique));
    }
    ERR_clear_error();
}

const char *tls_cipher(const struct tls_stage *t)
{
    return SSL_get_cipher_name(t->ssl);
}

bool tls_resumed(const struct tls_stage *t)
{
    return SSL_session_reused(t->ssl) == 1;
}

void tls_error_text(char *out, size_t size)
{
    unsigned long e = ERR_get_error();
    const char *reason = e ? ERR_reason_error_string(e) : NULL;
    if (e && ERR_GET_LIB(e) == ERR_LIB_SSL && ERR_GET_REASON(e) == SSL_R_WRONG_VERSION_NUMBER)
        snprintf(out, size, "what the server says is not TLS");
    else if (reason)
        snprintf(out, size, "%s", reason);
    else if (e)
        ERR_error_string_n(e, out, size);
    else
        snprintf(out, size, "the connection was cut");
    ERR_clear_error();
}
