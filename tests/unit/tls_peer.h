/* SPDX-License-Identifier: MIT */
/* The server's side of TLS in memory, with certificates made on the spot, for tests. */
#ifndef POSTERN_TLS_PEER_H
#define POSTERN_TLS_PEER_H

#include <openssl/ssl.h>
#include <stdbool.h>

struct test_ca {
    EVP_PKEY *key;
    X509 *cert;
};
struct test_cert {
    EVP_PKEY *key;
    X509 *cert;
};
void test_ca_init(struct test_ca *ca, const char *name);
void test_ca_done(struct test_ca *ca);
/* malloc'ed PEM. */
char *test_cert_pem(X509 *cert);
/* `san`: as in OpenSSL's configuration, "DNS:a.example,IP:127.0.0.1"; NULL: none. Validity in seconds from now. ca NULL:
 * self-signed. */
void test_cert_init(struct test_cert *c, const struct test_ca *ca, const char *san, long from, long until);
/* The same with one more extension, by its name in OpenSSL's configuration: "tlsfeature", "status_request". */
void test_cert_init_with(struct test_cert *c, const struct test_ca *ca, const char *san, const char *extension, const char *value);
void test_cert_done(struct test_cert *c);
/* SHA-256 in lower-case hexadecimal, of the certificate or its key. */
void test_fingerprint(X509 *cert, bool of_key, char out[65]);

/* A server context with that certificate; version 0: any. */
SSL_CTX *tls_peer_ctx(const struct test_cert *c, int version);

struct tls_peer {
    SSL *ssl;
    BIO *in, *out;
};
void tls_peer_init(struct tls_peer *p, SSL_CTX *ctx);
void tls_peer_done(struct tls_peer *p);
void tls_peer_feed(struct tls_peer *p, const void *bytes, size_t len);
/* Ciphertext for the client: how much was copied to `out`. */
size_t tls_peer_take(struct tls_peer *p, void *out, size_t len);
/* Goes on with the handshake: true when it is done. */
bool tls_peer_shake(struct tls_peer *p);

#endif
