/* SPDX-License-Identifier: MIT */
/* The TLS stage: one client side of TLS as a machine without I/O, between the bytes of the wire and those of the
 * protocol. OpenSSL works over a BIO whose two buffers are freed whenever they are empty; nothing here knows a socket, so
 * TLS in TLS (an https proxy) is two stages in a row. Policy of verification stands in struct tls_config and is enforced
 * in one place (tls_verify.c); a stapled OCSP response is asked for and looked at with it (tls_ocsp.c). Loop thread only. */
#ifndef POSTERN_TLS_H
#define POSTERN_TLS_H

#include "endpoint.h"
#include "engine.h"
#include "fault.h"

#include <sys/types.h>

/* What decides how a peer is met; strings are borrowed and must outlive the stage. */
struct tls_config {
    const char *host;        /* SNI (not for IP literals) and the name wanted in the certificate */
    const char *verify_name; /* wanted instead of `host`; NULL: host */
    bool verify_peer, verify_host;
    const char *ca_file, *ca_pem; /* both NULL: the system's store */
    const char *client_cert, *client_key;
    const struct secret *key_passphrase;
    /* SHA-256 of the certificate or of its public key (SubjectPublicKeyInfo), in hexadecimal, colons allowed; any one
     * must match, and then neither chain nor name are asked: pinning stands for both. NULL: none. */
    char *const *fingerprints;
    int min_version; /* 0: TLS 1.2 */
    const char *ciphers, *alpn;
};
void tls_config_of_endpoint(struct tls_config *ret, const struct endpoint *e);
/* For the TLS session with an https proxy: no client certificate, pins or names of the account. */
void tls_config_of_proxy(struct tls_config *ret, const struct proxy_config *p);

/* --- contexts: one SSL_CTX for each distinct trust, client certificate, version and cipher configuration. --- */
struct tls_cache;
struct tls_cache *tls_cache_new(void); /* NULL when out of memory */
void tls_cache_free(struct tls_cache *c);

/* --- tickets of one endpoint: what the server gave for resumption. Those of TLS 1.3 are used once (RFC 8446 appendix
 * C.4). --- */
#define TLS_TICKETS_MAX 8
struct tls_tickets {
    struct ssl_session_st *items[TLS_TICKETS_MAX]; /* oldest first */
    size_t n;
};
void tls_tickets_done(struct tls_tickets *t); /* accepts a zeroed one */

/* --- the stage --- */
struct tls_stage;
/* `tickets` may be NULL and must outlive the stage. <0 with *fault (stage "tls"): files that cannot be read, bad
 * configuration, -ENOMEM. */
int tls_stage_new(struct tls_cache *c, const struct tls_config *config, struct tls_tickets *tickets,
                  struct tls_stage **ret, struct fault *fault) ATTR_WARN_UNUSED;
void tls_stage_free(struct tls_stage *t);

/* Place for at least `len` bytes that come from the wire, then how many came. */
int tls_input_reserve(struct tls_stage *t, size_t len, char **ret) ATTR_WARN_UNUSED;
void tls_input_commit(struct tls_stage *t, size_t len);
size_t tls_input_len(const struct tls_stage *t);
/* Bytes for the wire; valid until the next call on the stage. Also after an error: the alert. */
struct slice tls_output(const struct tls_stage *t);
void tls_sent(struct tls_stage *t, size_t len);

/* 1: the handshake is done and the peer is who it should be; 0: more input is needed (or output must go out first);
 * <0: failed, *fault says why in words. Before it has answered 1 no application byte can pass in either direction. */
int tls_handshake(struct tls_stage *t, struct fault *fault) ATTR_WARN_UNUSED;
/* Decrypted bytes: >0 how many; -EAGAIN: more input is needed; 0: the peer said close_notify; <0: *fault. */
ssize_t tls_read(struct tls_stage *t, void *out, size_t len, struct fault *fault);
/* Encrypts `len` bytes (at most TLS_RECORD_MAX count) as one record: how many were taken, or <0 with *fault. */
#define TLS_RECORD_MAX 16384
ssize_t tls_write(struct tls_stage *t, const void *data, size_t len, struct fault *fault);
/* Puts out close_notify, once. */
void tls_close(struct tls_stage *t);

/* What the peer showed of itself, for people. */
struct tls_certificate {
    char names[180];      /* that it is for, as far as they fit */
    char issuer[120];
    char not_after[32];   /* ISO 8601, UTC */
    char fingerprint[65]; /* SHA-256 of the certificate, in hexadecimal */
};
/* After the handshake; false: there is none. */
bool tls_describe_certificate(const struct tls_stage *t, struct tls_certificate *ret);
/* After the handshake. */
void tls_describe(const struct tls_stage *t, struct engine_tls *ret);
const char *tls_cipher(const struct tls_stage *t);
bool tls_resumed(const struct tls_stage *t);

#endif
