/* SPDX-License-Identifier: MIT */
/* Shared by tls.c, tls_context.c and tls_verify.c only. */
#ifndef POSTERN_TLS_PRIVATE_H
#define POSTERN_TLS_PRIVATE_H

#include "buffer.h"
#include "resolver.h"
#include "tls.h"

#include <openssl/ssl.h>

enum tls_state { TLS_HANDSHAKE = 0, TLS_OPEN, TLS_PEER_CLOSED, TLS_CLOSED, TLS_FAILED };

/* Who the peer should be. */
struct tls_expected {
    char name[HOST_NAME_LIMIT]; /* wanted in the certificate, as A-labels */
    bool name_is_address;
    struct fault fault; /* what the verification found first */
};

struct tls_stage {
    SSL *ssl;
    enum tls_state state;
    struct buffer in, out;
    struct tls_config config;
    struct tls_tickets *tickets;
    struct tls_expected *expected; /* until the handshake is done */
};

/* The context for that configuration, a reference of its own. */
int tls_cache_get(struct tls_cache *c, const struct tls_config *config, SSL_CTX **ret, struct fault *fault);
/* First error of OpenSSL's queue as text; empties the queue. */
void tls_error_text(char *out, size_t size);
/* The stage of an SSL, for callbacks. */
struct tls_stage *tls_stage_of(const SSL *ssl);

/* Arms verification on the SSL before the handshake. */
int tls_verify_arm(struct tls_stage *t, struct fault *fault);
/* After the handshake, also a resumed one: is the peer who it should be? */
int tls_verify_peer(struct tls_stage *t, struct fault *fault);
/* The handshake failed: in the words of verification where that was the reason. */
void tls_verify_explain(struct tls_stage *t, struct fault *fault);
/* Before the handshake: asks for a stapled OCSP response, where the certificate counts. */
void tls_ocsp_request(struct tls_stage *t);
/* Behind it: a certificate that a response says is revoked, or that demands a response and has no good one, is a fault. */
void tls_ocsp_check(struct tls_stage *t, X509 *cert, struct fault *fault);
BIO *tls_bio_new(struct tls_stage *t);

#endif
