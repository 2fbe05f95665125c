/* SPDX-License-Identifier: MIT */
#include "tls_peer.h"

#include "base64.h"
#include "unit.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

static X509 *make_cert(EVP_PKEY *key, const char *name, X509 *issuer, EVP_PKEY *signer, const char *san, long from,
                       long until, bool is_ca, const char *extension, const char *value)
{
    static long serial = 1;
    X509 *x = X509_new();
    X509V3_CTX ctx;
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
    X509_gmtime_adj(X509_getm_notBefore(x), from);
    X509_gmtime_adj(X509_getm_notAfter(x), until);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *) name, -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer : x));
    X509_set_pubkey(x, key);
    X509V3_set_ctx(&ctx, issuer ? issuer : x, x, NULL, NULL, 0);
    if (is_ca) {
        X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, NID_basic_constraints, "critical,CA:TRUE");
        X509_add_ext(x, e, -1);
        X509_EXTENSION_free(e);
    }
    if (san) {
        X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_alt_name, san);
        ck_assert_ptr_nonnull(e);
        X509_add_ext(x, e, -1);
        X509_EXTENSION_free(e);
    }
    if (extension) {
        X509_EXTENSION *e = X509V3_EXT_conf(NULL, &ctx, extension, value);
        ck_assert_ptr_nonnull(e);
        X509_add_ext(x, e, -1);
        X509_EXTENSION_free(e);
    }
    ck_assert_int_gt(X509_sign(x, signer, EVP_sha256()), 0);
    return x;
}

void test_ca_init(struct test_ca *ca, const char *name)
{
    ca->key = EVP_EC_gen("P-256");
    ca->cert = make_cert(ca->key, name, NULL, ca->key, NULL, -86400, 86400L * 365, true, NULL, NULL);
}

void test_ca_done(struct test_ca *ca)
{
    EVP_PKEY_free(ca->key);
    X509_free(ca->cert);
}

char *test_cert_pem(X509 *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data;
    PEM_write_bio_X509(bio, cert);
    long len = BIO_get_mem_data(bio, &data);
    char *pem = strndup(data, (size_t) len);
    BIO_free(bio);
    return pem;
}

void test_cert_init(struct test_cert *c, const struct test_ca *ca, const char *san, long from, long until)
{
    c->key = EVP_EC_gen("P-256");
    c->cert = make_cert(c->key, "server", ca ? ca->cert : NULL, ca ? ca->key : c->key, san, from, until, false, NULL,
                        NULL);
}

void test_cert_init_with(struct test_cert *c, const struct test_ca *ca, const char *san, const char *extension, const char *value)
{
    c->key = EVP_EC_gen("P-256");
    c->cert = make_cert(c->key, "server", ca->cert, ca->key, san, -60, 3600, false, extension, value);
}

void test_cert_done(struct test_cert *c)
{
    EVP_PKEY_free(c->key);
    X509_free(c->cert);
}

void test_fingerprint(X509 *cert, bool of_key, char out[65])
{
    unsigned char digest[32], *der = NULL;
    unsigned n = 0;
    if (of_key) {
        int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
        EVP_Digest(der, (size_t) len, digest, &n, EVP_sha256(), NULL);
        OPENSSL_free(der);
    } else {
        X509_digest(cert, EVP_sha256(), digest, &n);
    }
    hex_encode(digest, 32, out);
    out[64] = '\0';
}

SSL_CTX *tls_peer_ctx(const struct test_cert *c, int version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    ck_assert_int_eq(SSL_CTX_use_certificate(ctx, c->cert), 1);
    ck_assert_int_eq(SSL_CTX_use_PrivateKey(ctx, c->key), 1);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *) "t", 1);
    if (version) {
        SSL_CTX_set_min_proto_version(ctx, version);
        SSL_CTX_set_max_proto_version(ctx, version);
        if (version < TLS1_2_VERSION)
            SSL_CTX_set_security_level(ctx, 0);
    }
    return ctx;
}

void tls_peer_init(struct tls_peer *p, SSL_CTX *ctx)
{
    p->ssl = SSL_new(ctx);
    p->in = BIO_new(BIO_s_mem());
    p->out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(p->in, -1);
    SSL_set_bio(p->ssl, p->in, p->out);
    SSL_set_accept_state(p->ssl);
}

void tls_peer_done(struct tls_peer *p)
{
    SSL_free(p->ssl);
    p->ssl = NULL;
}

void tls_peer_feed(struct tls_peer *p, const void *bytes, size_t len)
{
    ck_assert_int_eq(BIO_write(p->in, bytes, (int) len), (int) len);
}

size_t tls_peer_take(struct tls_peer *p, void *out, size_t len)
{
    int n = BIO_read(p->out, out, (int) len);
    return n > 0 ? (size_t) n : 0;
}

bool tls_peer_shake(struct tls_peer *p)
{
    int r = SSL_do_handshake(p->ssl);
    ERR_clear_error();
    return r == 1;
}
