/* SPDX-License-Identifier: MIT */
/* Who the peer must be: chain, name, or pinned fingerprint. The only place that decides it, and that puts a refusal into
 * words. */
#include "base64.h"
#include "tls_private.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#define NAMES_SHOWN 3

static void time_text(const ASN1_TIME *at, char *out, size_t size)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(at, &tm) != 1)
        snprintf(out, size, "an unreadable date");
    else
        strftime(out, size, "%Y-%m-%d %H:%M:%S UTC", &tm);
}

/* The names that the certificate is for, as far as they fit: an answer to "what did I connect to?". */
static void names_text(X509 *cert, char *out, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    size_t n = 0;
    int shown = 0;
    out[0] = '\0';
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names) && shown < NAMES_SHOWN; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        char text[80] = "";
        if (name->type == GEN_DNS) {
            fault_clean_text(text, sizeof(text), slice_of(ASN1_STRING_get0_data(name->d.dNSName),
                                                          (size_t) ASN1_STRING_length(name->d.dNSName)));
        } else if (name->type == GEN_IPADD) {
            const unsigned char *b = ASN1_STRING_get0_data(name->d.iPAddress);
            if (ASN1_STRING_length(name->d.iPAddress) == 4)
                snprintf(text, sizeof(text), "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
            else
                snprintf(text, sizeof(text), "an IPv6 address");
        }
        if (text[0] && n < size) {
            n += (size_t) snprintf(out + n, size - n, "%s%s", shown ? ", " : "", text);
            shown++;
        }
    }
    if (names && sk_GENERAL_NAME_num(names) > NAMES_SHOWN && n < size)
        snprintf(out + n, size - n, ", …");
    GENERAL_NAMES_free(names);
    if (!shown)
        snprintf(out, size, "no name at all");
}

bool tls_describe_certificate(const struct tls_stage *t, struct tls_certificate *ret)
{
    X509 *cert = SSL_get0_peer_certificate(t->ssl);
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char text[120] = "";
    struct tm tm;
    unsigned n;
    if (!cert)
        return false;
    *ret = (struct tls_certificate){.names = ""};
    names_text(cert, ret->names, sizeof(ret->names));
    int len = X509_NAME_get_text_by_NID(X509_get_issuer_name(cert), NID_commonName, text, sizeof(text));
    fault_clean_text(ret->issuer, sizeof(ret->issuer), slice_of(text, len > 0 ? (size_t) len : 0));
    if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1)
        strftime(ret->not_after, sizeof(ret->not_after), "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (X509_digest(cert, EVP_sha256(), digest, &n) == 1)
        hex_encode(digest, sizeof(digest), ret->fingerprint);
    ERR_clear_error();
    return true;
}

static void mismatch(struct tls_stage *t, X509 *cert)
{
    char names[180];
    names_text(cert, names, sizeof(names));
    fault_set(&t->expected->fault, -EPROTO, FAULT_TLS, "tls", "name mismatch: wanted %s, got %s", t->expected->name, names);
}

/* In words, with what a person needs to repair it. */
static void describe(struct tls_stage *t, int error, int depth, X509 *cert)
{
    struct fault *f = &t->expected->fault;
    const char *whose = depth > 0 ? "the issuer's certificate" : "certificate";
    char text[160] = "";

    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        time_text(X509_get0_notAfter(cert), text, sizeof(text));
        fault_set(f, -EPROTO, FAULT_TLS, "tls", "%s expired on %s", whose, text);
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        time_text(X509_get0_notBefore(cert), text, sizeof(text));
        fault_set(f, -EPROTO, FAULT_TLS, "tls", "%s is not valid before %s", whose, text);
        break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        mismatch(t, cert);
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        fault_set(f, -EPROTO, FAULT_TLS, "tls", "self-signed certificate");
        break;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        X509_NAME_get_text_by_NID(X509_get_issuer_name(cert), NID_commonName, text, sizeof(text));
        fault_set(f, -EPROTO, FAULT_TLS, "tls", "certificate is not issued by a trusted authority (issuer: %s)",
                  text[0] ? text : "unnamed");
        break;
    case X509_V_ERR_INVALID_PURPOSE:
        fault_set(f, -EPROTO, FAULT_TLS, "tls", "%s is not made for servers", whose);
        break;
    default:
        fault_set(f, -EPROTO, FAULT_TLS, "tls", "certificate: %s", X509_verify_cert_error_string(error));
    }
    ERR_clear_error();
}

static int verify_callback(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_stage *t = tls_stage_of(ssl);
    /* A pin stands for chain and name: it is compared after the handshake. */
    if (ok || t->config.fingerprints)
        return 1;
    int error = X509_STORE_CTX_get_error(store);
    X509 *cert = X509_STORE_CTX_get_current_cert(store);
    if (cert)
        describe(t, error, X509_STORE_CTX_get_error_depth(store), cert);
    return 0;
}

int tls_verify_arm(struct tls_stage *t, struct fault *fault)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);
    int ok = 1;

    if (!t->config.verify_peer && !t->config.fingerprints) {
        SSL_set_verify(t->ssl, SSL_VERIFY_NONE, NULL);
        return 0;
    }
    SSL_set_verify(t->ssl, SSL_VERIFY_PEER, verify_callback);
    tls_ocsp_request(t);
    if (t->config.verify_host && !t->config.fingerprints) {
        /* RFC 6125 section 6.4.3: a wildcard is a whole left-most label. */
        X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        ok = t->expected->name_is_address ? X509_VERIFY_PARAM_set1_ip_asc(param, t->expected->name)
                                : X509_VERIFY_PARAM_set1_host(param, t->expected->name, 0);
    }
    return ok == 1 ? 0 : fault_set(fault, -ENOMEM, FAULT_INTERNAL, "tls", "out of memory");
}

/* 64 hexadecimal digits, in any case, with or without colons. */
static bool fingerprint_is(const char *text, const unsigned char digest[SHA256_DIGEST_LENGTH])
{
    char want[2 * SHA256_DIGEST_LENGTH];
    size_t n = 0;
    hex_encode(digest, SHA256_DIGEST_LENGTH, want);
    if (strncasecmp(text, "sha256:", 7) == 0)
        text += 7;
    for (; *text; text++) {
        if (*text == ':')
            continue;
        if (n == sizeof(want) || ascii_lower(*text) != want[n])
            return false;
        n++;
    }
    return n == sizeof(want);
}

static bool pinned(const struct tls_stage *t, X509 *cert)
{
    unsigned char of_cert[SHA256_DIGEST_LENGTH], of_key[SHA256_DIGEST_LENGTH], *der = NULL;
    unsigned n;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    if (len > 0)
        SHA256(der, (size_t) len, of_key);
    OPENSSL_free(der);
    if (len <= 0 || X509_digest(cert, EVP_sha256(), of_cert, &n) != 1)
        return false;
    for (size_t i = 0; t->config.fingerprints[i]; i++)
        if (fingerprint_is(t->config.fingerprints[i], of_cert) || fingerprint_is(t->config.fingerprints[i], of_key))
            return true;
    return false;
}

static bool name_matches(const struct tls_stage *t, X509 *cert)
{
    return t->expected->name_is_address ? X509_check_ip_asc(cert, t->expected->name, 0) == 1
                              : X509_check_host(cert, t->expected->name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

int tls_verify_peer(struct tls_stage *t, struct fault *fault)
{
    X509 *cert = SSL_get0_peer_certificate(t->ssl);
    struct fault *f = &t->expected->fault;

    if (!t->config.verify_peer && !t->config.verify_host && !t->config.fingerprints)
        return 0;
    if (!cert) {
        fault_set(f, -EPROTO, FAULT_TLS, "tls", "the server shows no certificate");
    } else if (t->config.fingerprints) {
        if (!pinned(t, cert))
            fault_set(f, -EPROTO, FAULT_TLS, "tls", "fingerprint mismatch: neither certificate nor key is a pinned one");
    } else {
        /* A resumed session skipped the chain; what may have changed since is looked at again. */
        long verified = SSL_get_verify_result(t->ssl);
        if (t->config.verify_peer && verified != X509_V_OK)
            describe(t, (int) verified, 0, cert);
        if (t->config.verify_peer && X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
            describe(t, X509_V_ERR_CERT_HAS_EXPIRED, 0, cert);
        if (t->config.verify_host && !name_matches(t, cert))
            mismatch(t, cert);
        tls_ocsp_check(t, cert, f);
    }
    ERR_clear_error();
    return fault_is_set(f) ? fault_set(fault, -EPROTO, FAULT_TLS, "tls", "%s", f->text) : 0;
}

void tls_verify_explain(struct tls_stage *t, struct fault *fault)
{
    if (t->expected && fault_is_set(&t->expected->fault))
        *fault = t->expected->fault;
}
