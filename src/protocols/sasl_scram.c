/* SPDX-License-Identifier: MIT */
/* SCRAM (RFC 5802, 7677, 9266). The messages are GNU SASL's; what the server says first is read here, so that its numbers
 * are bounded before anything is computed with them, and the salted password comes from outside: the key derivation is
 * the one thing in a login that takes time. */
#include "base64.h"
#include "sasl_private.h"

#include <errno.h>
#include <stdlib.h>

static const char stage[] = "auth";

static bool is_sha256(const struct sasl *s)
{
    return s->method == SASL_SCRAM_SHA_256 || s->method == SASL_SCRAM_SHA_256_PLUS;
}

static bool is_plus(const struct sasl *s)
{
    return s->method == SASL_SCRAM_SHA_256_PLUS || s->method == SASL_SCRAM_SHA_1_PLUS;
}

/* Only for -PLUS: on the plain mechanisms these properties make the first step fail. The binding is the one that every server
 * has: tls-unique (RFC 5802 section 6.1), and from TLS 1.3 on, where that means nothing, tls-exporter (RFC 9266). */
static int set_binding(struct sasl *s)
{
    char text[128];
    bool unique = s->tls->unique_len > 0;
    const unsigned char *data = unique ? s->tls->unique : s->tls->exporter;
    size_t len = unique ? s->tls->unique_len : s->tls->exporter_len;

    if (base64_encoded_len(len) >= sizeof(text))
        return GSASL_CRYPTO_ERROR;
    text[base64_encode(data, len, text)] = '\0';
    return gsasl_property_set(s->session, unique ? GSASL_CB_TLS_UNIQUE : GSASL_CB_TLS_EXPORTER, text);
}

/* The password as RFC 4013 has it; what cannot be prepared is taken as it is, as most servers do. */
static int prepare_password(struct sasl *s)
{
    struct slice raw = secret_expose(s->secret);
    char *prepared = NULL;
    int r;

    r = buffer_append_slice(&s->password, raw);
    if (r == 0)
        r = buffer_append_char(&s->password, '\0');
    if (r < 0)
        return r;
    if (gsasl_saslprep(buffer_slice(&s->password).data, (Gsasl_saslprep_flags) 0, &prepared, NULL) == GSASL_OK &&
        prepared) {
        buffer_clear(&s->password);
        r = buffer_append(&s->password, prepared, strlen(prepared));
        explicit_bzero(prepared, strlen(prepared));
    } else {
        buffer_truncate(&s->password, raw.len);
    }
    gsasl_free(prepared);
    return r;
}

static int scram_start(struct sasl *s, struct fault *fault)
{
    int r = sasl_gnu_start(s, fault);
    if (r < 0)
        return r;
    if (is_plus(s) && set_binding(s) != GSASL_OK)
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, stage, "the channel binding cannot be used");
    if (prepare_password(s) < 0)
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, stage, "out of memory");
    return sasl_gnu_step(s, SLICE_EMPTY, fault);
}

/* One "x=value" off the front of *rest. */
static bool take_attribute(struct slice *rest, char name, struct slice *ret)
{
    if (rest->len < 2 || rest->data[0] != name || rest->data[1] != '=')
        return false;
    size_t end = slice_find(*rest, ',');
    *ret = slice_of(rest->data + 2, end - 2);
    *rest = slice_from(*rest, end + 1);
    return true;
}

/* server-first-message = [reserved-mext ","] nonce "," salt "," iteration-count ["," extensions] */
static int parse_server_first(struct sasl *s, struct slice text, struct fault *fault)
{
    struct slice rest = text, nonce, salt, count;
    uint64_t iterations;
    size_t len;
    char *to;

    if (!take_attribute(&rest, 'r', &nonce) || !take_attribute(&rest, 's', &salt) || !take_attribute(&rest, 'i', &count))
        return fault_set(fault, -EPROTO, FAULT_PROTOCOL, stage, "the server's SCRAM message is malformed");
    if (!slice_to_u64(count, SASL_ITERATIONS_MAX, &iterations) || iterations < SASL_ITERATIONS_MIN)
        return fault_set(fault, -EPROTO, FAULT_PROTOCOL, stage, "the server's SCRAM iteration count is not between %u and %u",
                         SASL_ITERATIONS_MIN, SASL_ITERATIONS_MAX);
    if (nonce.len == 0 || salt.len == 0)
        return fault_set(fault, -EPROTO, FAULT_PROTOCOL, stage, "the server's SCRAM nonce or salt is empty");
    if (buffer_reserve(&s->salt, base64_decoded_max(salt.len) + 1, &to) < 0 || buffer_append_slice(&s->server_first, text) < 0)
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, stage, "out of memory");
    if (base64_decode(salt.data, salt.len, to, &len) < 0 || len == 0)
        return fault_set(fault, -EPROTO, FAULT_PROTOCOL, stage, "the server's SCRAM salt is not base64");
    buffer_commit(&s->salt, len);
    s->derive = (struct engine_derive){
        .hash = is_sha256(s) ? "SHA256" : "SHA1",
        .password = buffer_slice(&s->password),
        .salt = buffer_slice(&s->salt),
        .iterations = (unsigned) iterations,
        .key_len = is_sha256(s) ? 32 : 20,
    };
    return SASL_STATE_DERIVE;
}

static int scram_step(struct sasl *s, struct slice challenge, struct fault *fault)
{
    struct slice rest = challenge, error;

    /* server-final-message = (server-error / verifier) ["," extensions]; an error is answered with nothing. */
    if (take_attribute(&rest, 'e', &error)) {
        buffer_clear(&s->message);
        if (buffer_append_slice(&s->error, slice_to(error, s->error.max)) < 0)
            return fault_set(fault, -ENOMEM, FAULT_INTERNAL, stage, "out of memory");
        return SASL_STATE_REFUSED;
    }
    if (buffer_len(&s->server_first) == 0)
        return parse_server_first(s, challenge, fault);
    return sasl_gnu_step(s, challenge, fault);
}

static int scram_derived(struct sasl *s, const void *key, size_t len, struct fault *fault)
{
    char hex[2 * 32 + 1];

    hex_encode(key, len, hex);
    hex[2 * len] = '\0';
    int rc = gsasl_property_set(s->session, GSASL_SCRAM_SALTED_PASSWORD, hex);
    explicit_bzero(hex, sizeof(hex));
    buffer_clear(&s->password);
    if (rc != GSASL_OK)
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, stage, "out of memory");
    return sasl_gnu_step(s, buffer_slice(&s->server_first), fault);
}

const struct sasl_family sasl_family_scram = {
    .client_first = true,
    .start = scram_start,
    .step = scram_step,
    .derived = scram_derived,
    .done = sasl_gnu_done,
};
