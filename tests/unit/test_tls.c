/* SPDX-License-Identifier: MIT */
#include "tls.h"
#include "tls_peer.h"
#include "unit.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <unistd.h>

static struct test_ca ca;
static char *ca_pem;
static struct tls_cache *cache;

static void setup(void)
{
    test_ca_init(&ca, "The test authority");
    ca_pem = test_cert_pem(ca.cert);
    cache = tls_cache_new();
    ck_assert_ptr_nonnull(cache);
}

static void teardown(void)
{
    tls_cache_free(cache);
    test_ca_done(&ca);
    free(ca_pem);
    ERR_clear_error();
}

static struct tls_config strict(const char *host)
{
    return (struct tls_config){.host = host, .verify_peer = true, .verify_host = true, .ca_pem = ca_pem};
}

/* Moves up to `step` bytes each way; true when something moved. */
static bool pump(struct tls_stage *t, struct tls_peer *p, size_t step)
{
    char bytes[32768], *to;
    bool moved = false;
    struct slice out = slice_to(tls_output(t), step);
    if (out.len) {
        tls_peer_feed(p, out.data, out.len);
        tls_sent(t, out.len);
        moved = true;
    }
    size_t n = tls_peer_take(p, bytes, MIN(step, sizeof(bytes)));
    if (n) {
        ck_assert_int_eq(tls_input_reserve(t, n, &to), 0);
        memcpy(to, bytes, n);
        tls_input_commit(t, n);
        moved = true;
    }
    return moved;
}

/* 1: both are through; <0: the client refused. */
static int shake(struct tls_stage *t, struct tls_peer *p, size_t step, struct fault *fault)
{
    for (int i = 0; i < 100000; i++) {
        int r = tls_handshake(t, fault);
        bool done = tls_peer_shake(p);
        if (r < 0 || (r == 1 && done && tls_output(t).len == 0))
            return r;
        if (!pump(t, p, step) && r == 0 && !done && tls_output(t).len == 0)
            return 0;
    }
    return 0;
}

struct talk {
    struct tls_stage *t;
    struct tls_peer peer;
    SSL_CTX *ctx;
    struct fault fault;
    int r;
};

static void talk_begin(struct talk *k, const struct tls_config *config, struct tls_tickets *tickets, SSL_CTX *ctx,
                       size_t step)
{
    memset(k, 0, sizeof(*k));
    k->ctx = ctx;
    tls_peer_init(&k->peer, ctx);
    k->r = tls_stage_new(cache, config, tickets, &k->t, &k->fault);
    ck_assert_msg(k->r == 0, "%s", k->fault.text);
    k->r = shake(k->t, &k->peer, step, &k->fault);
}

static void talk_end(struct talk *k)
{
    tls_close(k->t); /* without it a session of TLS 1.2 would not be resumable */
    tls_stage_free(k->t);
    tls_peer_done(&k->peer);
}

/* A line there and back. */
static void check_data(struct talk *k, size_t step)
{
    char got[64];
    size_t n = 0;
    ck_assert_int_eq((int) tls_write(k->t, "hello", 5, &k->fault), 5);
    while (pump(k->t, &k->peer, step))
        ;
    ck_assert_int_eq(SSL_read(k->peer.ssl, got, sizeof(got)), 5);
    ck_assert_int_eq(SSL_write(k->peer.ssl, "world!", 6), 6);
    for (int i = 0; i < 10000 && n < 6; i++) {
        ssize_t r = tls_read(k->t, got + n, sizeof(got) - n, &k->fault);
        ck_assert_msg(r > 0 || r == -EAGAIN, "%s", k->fault.text);
        if (r > 0)
            n += (size_t) r;
        pump(k->t, &k->peer, step);
    }
    ck_assert_uint_eq(n, 6);
    ck_assert(memcmp(got, "world!", 6) == 0);
    /* Nothing is held when nothing is under way. */
    while (pump(k->t, &k->peer, 65536))
        ck_assert_int_eq((int) tls_read(k->t, got, sizeof(got), &k->fault), -EAGAIN);
    ck_assert_ptr_null(tls_output(k->t).data);
    ck_assert_uint_eq(tls_input_len(k->t), 0);
}

START_TEST(good_peers)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    static const size_t steps[] = {65536, 1};
    struct test_cert cert;
    test_cert_init(&cert, &ca, "DNS:mail.example.com,DNS:*.example.net,DNS:xn--bcher-kva.example,IP:192.0.2.1,IP:2001:db8::1", -60, 3600);
    static const char *const hosts[] = {"mail.example.com", "MAIL.Example.COM.", "a.example.net", "192.0.2.1",
                                        "[2001:db8::1]", "bücher.example"};
    for (size_t v = 0; v < 2; v++) {
        SSL_CTX *ctx = tls_peer_ctx(&cert, versions[v]);
        for (size_t s = 0; s < 2; s++) {
            for (size_t h = 0; h < ARRAY_LEN(hosts); h++) {
                struct tls_config config = strict(hosts[h]);
                struct talk k;
                struct engine_tls told;
                talk_begin(&k, &config, NULL, ctx, steps[s]);
                ck_assert_msg(k.r == 1, "%s: %s", hosts[h], k.fault.text);
                check_data(&k, steps[s]);
                tls_describe(k.t, &told);
                ck_assert(told.verified);
                ck_assert_str_eq(told.version, v ? "TLSv1.3" : "TLSv1.2");
                /* RFC 9266 for both (there is an extended master secret); RFC 5929 is not defined for TLS 1.3. */
                unsigned char theirs[32];
                ck_assert_uint_eq(told.exporter_len, 32);
                SSL_export_keying_material(k.peer.ssl, theirs, 32, "EXPORTER-Channel-Binding", 24,
                                           (const unsigned char *) "", 0, 1);
                ck_assert(memcmp(theirs, told.exporter, 32) == 0);
                unsigned char finished[64];
                size_t n = SSL_get_peer_finished(k.peer.ssl, finished, sizeof(finished));
                ck_assert_uint_eq(told.unique_len, v ? 0 : n);
                if (!v)
                    ck_assert(memcmp(finished, told.unique, n) == 0);
                talk_end(&k);
            }
        }
        SSL_CTX_free(ctx);
    }
    test_cert_done(&cert);
}
END_TEST

/* A refusal, and the words for it. */
static void refused(const struct tls_config *config, const struct test_cert *cert, int version, const char *words)
{
    struct talk k;
    SSL_CTX *ctx = tls_peer_ctx(cert, version);
    talk_begin(&k, config, NULL, ctx, 65536);
    ck_assert_msg(k.r < 0, "accepted, instead of: %s", words);
    ck_assert_int_eq(k.fault.kind, FAULT_TLS);
    ck_assert_str_eq(k.fault.stage, "tls");
    ck_assert_msg(strstr(k.fault.text, words) != NULL, "'%s' is not in '%s'", words, k.fault.text);
    /* No byte passes. */
    struct fault fault = {0};
    char c;
    ck_assert_int_lt((int) tls_write(k.t, "x", 1, &fault), 0);
    ck_assert_int_lt((int) tls_read(k.t, &c, 1, &fault), 0);
    talk_end(&k);
    SSL_CTX_free(ctx);
}

START_TEST(bad_peers)
{
    struct test_cert cert;
    struct tls_config config = strict("mail.example.com");
    struct test_ca other;

    test_cert_init(&cert, &ca, "DNS:mail.example.com", -7200, -3600);
    refused(&config, &cert, 0, "certificate expired on 2");
    refused(&config, &cert, TLS1_2_VERSION, "certificate expired on 2");
    test_cert_done(&cert);
    test_cert_init(&cert, &ca, "DNS:mail.example.com", 3600, 7200);
    refused(&config, &cert, 0, "certificate is not valid before 2");
    test_cert_done(&cert);
    test_cert_init(&cert, &ca, "DNS:www.example.com,IP:192.0.2.7", -60, 3600);
    refused(&config, &cert, 0, "name mismatch: wanted mail.example.com, got www.example.com, 192.0.2.7");
    struct tls_config literal = strict("192.0.2.8");
    refused(&literal, &cert, 0, "name mismatch: wanted 192.0.2.8");
    test_cert_done(&cert);
    /* The common name alone says nothing. */
    test_cert_init(&cert, &ca, NULL, -60, 3600);
    struct tls_config named = strict("server.example");
    refused(&named, &cert, 0, "name mismatch");
    test_cert_done(&cert);
    test_cert_init(&cert, NULL, "DNS:mail.example.com", -60, 3600);
    refused(&config, &cert, 0, "self-signed certificate");
    test_cert_done(&cert);
    test_ca_init(&other, "Somebody else");
    test_cert_init(&cert, &other, "DNS:mail.example.com", -60, 3600);
    refused(&config, &cert, 0, "not issued by a trusted authority (issuer: Somebody else)");
    test_cert_done(&cert);
    test_ca_done(&other);
    test_cert_init(&cert, &ca, "DNS:mail.example.com", -60, 3600);
    refused(&config, &cert, TLS1_1_VERSION, "handshake: ");
    struct tls_config newest = strict("mail.example.com");
    newest.min_version = TLS1_3_VERSION;
    refused(&newest, &cert, TLS1_2_VERSION, "handshake: ");
    test_cert_done(&cert);
}
END_TEST

static void accepted(const struct tls_config *config, const struct test_cert *cert, bool verified)
{
    struct talk k;
    struct engine_tls told;
    SSL_CTX *ctx = tls_peer_ctx(cert, 0);
    talk_begin(&k, config, NULL, ctx, 65536);
    ck_assert_msg(k.r == 1, "%s", k.fault.text);
    tls_describe(k.t, &told);
    ck_assert_int_eq(told.verified, verified);
    check_data(&k, 65536);
    talk_end(&k);
    SSL_CTX_free(ctx);
}

START_TEST(policies)
{
    struct test_cert cert;
    test_cert_init(&cert, NULL, "DNS:www.example.com", -60, 3600);
    struct tls_config config = {.host = "mail.example.com", .ca_pem = ca_pem};
    accepted(&config, &cert, false);
    config.verify_host = true;
    refused(&config, &cert, 0, "name mismatch");
    config.verify_name = "www.example.com";
    accepted(&config, &cert, false);
    config.verify_peer = true;
    refused(&config, &cert, 0, "self-signed");
    test_cert_done(&cert);
    test_cert_init(&cert, &ca, "DNS:www.example.com", -60, 3600);
    accepted(&config, &cert, true);
    config.verify_name = NULL;
    config.verify_host = false;
    accepted(&config, &cert, false);
    test_cert_done(&cert);
}
END_TEST

START_TEST(pins)
{
    struct test_cert cert, other;
    char of_cert[72], of_key[65], wrong[65], colons[128] = "SHA256:";
    test_cert_init(&cert, NULL, NULL, -7200, -60); /* expired, nameless, self-signed: the pin stands for all */
    test_cert_init(&other, &ca, "DNS:mail.example.com", -60, 3600);
    test_fingerprint(cert.cert, false, of_cert);
    test_fingerprint(cert.cert, true, of_key);
    test_fingerprint(other.cert, false, wrong);
    for (int i = 0; i < 64; i++) {
        size_t n = strlen(colons);
        colons[n] = ascii_upper(of_cert[i]);
        if (i % 2 && i < 63)
            colons[n + 1] = ':';
    }
    struct tls_config config = strict("mail.example.com");
    config.fingerprints = (char *[]){of_cert, NULL};
    accepted(&config, &cert, true);
    config.fingerprints = (char *[]){of_key, NULL};
    accepted(&config, &cert, true);
    config.fingerprints = (char *[]){wrong, colons, NULL};
    accepted(&config, &cert, true);
    /* A good chain does not help against a pin. */
    config.fingerprints = (char *[]){of_key, NULL};
    refused(&config, &other, 0, "fingerprint mismatch");
    of_cert[63] = '\0';
    config.fingerprints = (char *[]){of_cert, NULL};
    refused(&config, &cert, 0, "fingerprint mismatch");
    test_cert_done(&cert);
    test_cert_done(&other);
}
END_TEST

START_TEST(tickets_are_used_once)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct test_cert cert;
    test_cert_init(&cert, &ca, "DNS:mail.example.com", -60, 3600);
    struct tls_config config = strict("mail.example.com");
    for (size_t v = 0; v < 2; v++) {
        SSL_CTX *ctx = tls_peer_ctx(&cert, versions[v]);
        struct tls_tickets tickets = {.n = 0};
        struct talk k;
        for (int i = 0; i < 3; i++) {
            talk_begin(&k, &config, &tickets, ctx, 65536);
            ck_assert_msg(k.r == 1, "%s", k.fault.text);
            ck_assert_int_eq(tls_resumed(k.t), i > 0);
            check_data(&k, 65536); /* TLS 1.3 sends tickets behind the handshake */
            ck_assert_uint_gt(tickets.n, 0);
            ck_assert_uint_le(tickets.n, TLS_TICKETS_MAX);
            talk_end(&k);
        }
        /* Resumed for another name: the certificate is looked at again. */
        struct tls_config elsewhere = strict("other.example.com");
        talk_begin(&k, &elsewhere, &tickets, ctx, 65536);
        ck_assert_int_lt(k.r, 0);
        ck_assert_ptr_nonnull(strstr(k.fault.text, "name mismatch"));
        talk_end(&k);
        tls_tickets_done(&tickets);
        SSL_CTX_free(ctx);
    }
    test_cert_done(&cert);
}
END_TEST

START_TEST(closing_and_garbage)
{
    struct test_cert cert;
    struct talk k;
    char c, *to;
    test_cert_init(&cert, &ca, "DNS:mail.example.com", -60, 3600);
    SSL_CTX *ctx = tls_peer_ctx(&cert, 0);
    struct tls_config config = strict("mail.example.com");
    talk_begin(&k, &config, NULL, ctx, 65536);
    ck_assert_int_eq(k.r, 1);
    tls_close(k.t);
    tls_close(k.t);
    while (pump(k.t, &k.peer, 65536))
        ;
    ck_assert_int_eq(SSL_read(k.peer.ssl, &c, 1), 0);
    ck_assert_int_eq(SSL_get_shutdown(k.peer.ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
    talk_end(&k);
    /* Theirs. */
    talk_begin(&k, &config, NULL, ctx, 65536);
    SSL_shutdown(k.peer.ssl);
    while (pump(k.t, &k.peer, 65536))
        ;
    ck_assert_int_eq((int) tls_read(k.t, &c, 1, &k.fault), 0);
    ck_assert_int_eq((int) tls_read(k.t, &c, 1, &k.fault), 0);
    talk_end(&k);
    /* A server that speaks in clear. */
    memset(&k, 0, sizeof(k));
    ck_assert_int_eq(tls_stage_new(cache, &config, NULL, &k.t, &k.fault), 0);
    ck_assert_int_eq(tls_handshake(k.t, &k.fault), 0);
    ck_assert_int_eq(tls_input_reserve(k.t, 24, &to), 0);
    memcpy(to, "220 mail.example.com hi\n", 24);
    tls_input_commit(k.t, 24);
    ck_assert_int_lt(tls_handshake(k.t, &k.fault), 0);
    ck_assert_int_eq(k.fault.kind, FAULT_TLS);
    tls_stage_free(k.t);
    SSL_CTX_free(ctx);
    test_cert_done(&cert);
}
END_TEST

START_TEST(configurations_that_cannot_be)
{
    struct tls_stage *t = NULL;
    struct fault fault = {0};
    struct tls_config config = strict("mail.example.com");
    config.ca_pem = "nothing";
    ck_assert_int_lt(tls_stage_new(cache, &config, NULL, &t, &fault), 0);
    ck_assert_ptr_nonnull(strstr(fault.text, "ca"));
    fault_clear(&fault);
    config = strict("mail.example.com");
    config.ca_pem = NULL;
    config.ca_file = "/nonexistent/ca.pem";
    ck_assert_int_lt(tls_stage_new(cache, &config, NULL, &t, &fault), 0);
    ck_assert_ptr_nonnull(strstr(fault.text, "/nonexistent/ca.pem"));
    fault_clear(&fault);
    config = strict("mail.example.com");
    config.client_cert = "/nonexistent/cert.pem";
    ck_assert_int_lt(tls_stage_new(cache, &config, NULL, &t, &fault), 0);
    ck_assert_ptr_nonnull(strstr(fault.text, "client_cert"));
    fault_clear(&fault);
    config = strict("mail.example.com");
    config.ciphers = "NO-SUCH-CIPHER";
    ck_assert_int_lt(tls_stage_new(cache, &config, NULL, &t, &fault), 0);
    ck_assert_ptr_nonnull(strstr(fault.text, "tls_ciphers"));
    fault_clear(&fault);
    config = strict("two words");
    ck_assert_int_lt(tls_stage_new(cache, &config, NULL, &t, &fault), 0);
    ck_assert_int_eq(fault.kind, FAULT_TLS);
    ck_assert_ptr_null(t);
}
END_TEST

/* --- stapled responses --- */

struct staple {
    unsigned char *der; /* NULL: none is offered */
    int len;
};

static int staple(SSL *ssl, void *arg)
{
    const struct staple *s = arg;
    if (!s->der)
        return SSL_TLSEXT_ERR_NOACK;
    unsigned char *copy = OPENSSL_memdup(s->der, (size_t) s->len);
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, s->len);
    return SSL_TLSEXT_ERR_OK;
}

/* `about` is issued by `issuer`; times in seconds from now, `until` 0: none. */
struct response {
    int status;
    long from, until;
    const EVP_MD *id_hash;
};

static struct staple make_staple(const struct response *r, X509 *about, X509 *issuer, X509 *signer, EVP_PKEY *key)
{
    struct staple s = {NULL, 0};
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_CERTID *id = OCSP_cert_to_id(r->id_hash, about, issuer);
    ASN1_TIME *from = X509_gmtime_adj(NULL, r->from), *until = r->until ? X509_gmtime_adj(NULL, r->until) : NULL;
    ASN1_TIME *revoked = X509_gmtime_adj(NULL, -86400);
    bool is_revoked = r->status == V_OCSP_CERTSTATUS_REVOKED;
    ck_assert_ptr_nonnull(OCSP_basic_add1_status(basic, id, r->status, OCSP_REVOKED_STATUS_KEYCOMPROMISE,
                                                 is_revoked ? revoked : NULL, from, until));
    ck_assert_int_eq(OCSP_basic_sign(basic, signer, key, EVP_sha256(), NULL, OCSP_RESPID_KEY), 1);
    OCSP_RESPONSE *response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    s.len = i2d_OCSP_RESPONSE(response, &s.der);
    ck_assert_int_gt(s.len, 0);
    OCSP_RESPONSE_free(response);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    ASN1_TIME_free(revoked);
    return s;
}

/* A handshake with that response, which is freed; `words` NULL: accepted. */
static void stapled(const struct test_cert *cert, struct staple s, const struct tls_config *config, const char *words)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t v = 0; v < 2; v++) {
        struct talk k;
        SSL_CTX *ctx = tls_peer_ctx(cert, versions[v]);
        SSL_CTX_set_tlsext_status_cb(ctx, staple);
        SSL_CTX_set_tlsext_status_arg(ctx, &s);
        talk_begin(&k, config, NULL, ctx, 65536);
        ck_assert_msg((k.r == 1) == !words, "%d '%s', not '%s'", k.r, k.fault.text, words ? words : "");
        if (words) {
            ck_assert_int_eq(k.fault.kind, FAULT_TLS);
            ck_assert_msg(strstr(k.fault.text, words) != NULL, "'%s' is not in '%s'", words, k.fault.text);
            struct fault fault = {0};
            ck_assert_int_lt((int) tls_write(k.t, "x", 1, &fault), 0);
        }
        talk_end(&k);
        SSL_CTX_free(ctx);
    }
    OPENSSL_free(s.der);
}

START_TEST(stapled_responses)
{
    struct test_cert plain, demanding, delegate, other;
    struct test_ca foreign;
    struct tls_config config = strict("mail.example.com"), careless = {.host = "mail.example.com", .ca_pem = ca_pem}, pinned = config;
    char fingerprint[65];
    static const struct {
        int status;
        long from, until;
        const char *why; /* NULL: good */
    } cases[] = {
        {V_OCSP_CERTSTATUS_GOOD, -60, 3600, NULL},
        {V_OCSP_CERTSTATUS_GOOD, -60, 0, NULL},
        {V_OCSP_CERTSTATUS_GOOD, -30 * 86400L, 0, "it is out of date"},
        {V_OCSP_CERTSTATUS_GOOD, -7200, -3600, "it is out of date"},
        {V_OCSP_CERTSTATUS_GOOD, 3600, 7200, "it is out of date"},
        {V_OCSP_CERTSTATUS_UNKNOWN, -60, 3600, "does not know the certificate"},
    };
    test_ca_init(&foreign, "Somebody else");
    test_cert_init(&plain, &ca, "DNS:mail.example.com", -60, 3600);
    test_cert_init(&other, &ca, "DNS:mail.example.com", -60, 3600);
    test_cert_init_with(&demanding, &ca, "DNS:mail.example.com", "tlsfeature", "status_request");
    test_cert_init_with(&delegate, &ca, NULL, "extendedKeyUsage", "OCSPSigning");
    /* What cannot be used is as if it were not there, except for a certificate that demands it. */
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct response r = {cases[i].status, cases[i].from, cases[i].until, i % 2 ? EVP_sha256() : EVP_sha1()};
        stapled(&plain, make_staple(&r, plain.cert, ca.cert, ca.cert, ca.key), &config, NULL);
        stapled(&demanding, make_staple(&r, demanding.cert, ca.cert, ca.cert, ca.key), &config, cases[i].why);
    }
    struct response good = {V_OCSP_CERTSTATUS_GOOD, -60, 3600, EVP_sha1()};
    stapled(&demanding, make_staple(&good, demanding.cert, ca.cert, delegate.cert, delegate.key), &config, NULL);
    stapled(&demanding, make_staple(&good, demanding.cert, ca.cert, foreign.cert, foreign.key), &config, "not signed by the certificate's authority");
    stapled(&demanding, make_staple(&good, demanding.cert, ca.cert, other.cert, other.key), &config, "not signed by the certificate's authority");
    stapled(&demanding, make_staple(&good, other.cert, ca.cert, ca.cert, ca.key), &config, "about another certificate");
    stapled(&demanding, (struct staple){NULL, 0}, &config, "demands a stapled OCSP response: there is none");
    stapled(&demanding, (struct staple){OPENSSL_memdup("rubbish", 7), 7}, &config, "it cannot be read");
    stapled(&demanding, (struct staple){OPENSSL_memdup("\x30\x03\x0a\x01\x03", 5), 5}, &config, "trylater");
    stapled(&plain, (struct staple){OPENSSL_memdup("rubbish", 7), 7}, &config, NULL);
    stapled(&plain, (struct staple){NULL, 0}, &config, NULL);
    /* Revoked, and by whom it may be said; old news of it is still news. */
    struct response revoked = {V_OCSP_CERTSTATUS_REVOKED, -60, 3600, EVP_sha1()};
    stapled(&plain, make_staple(&revoked, plain.cert, ca.cert, ca.cert, ca.key), &config, "certificate was revoked on 2");
    stapled(&plain, make_staple(&revoked, other.cert, ca.cert, ca.cert, ca.key), &config, NULL);
    stapled(&plain, make_staple(&revoked, plain.cert, ca.cert, foreign.cert, foreign.key), &config, NULL);
    revoked.until = -30;
    stapled(&plain, make_staple(&revoked, plain.cert, ca.cert, delegate.cert, delegate.key), &config, "certificate was revoked on 2");
    /* Where the chain is not asked for, neither is this. */
    revoked.until = 3600;
    stapled(&demanding, make_staple(&revoked, demanding.cert, ca.cert, ca.cert, ca.key), &careless, NULL);
    test_fingerprint(demanding.cert, false, fingerprint);
    pinned.fingerprints = (char *[]){fingerprint, NULL};
    stapled(&demanding, make_staple(&revoked, demanding.cert, ca.cert, ca.cert, ca.key), &pinned, NULL);
    test_cert_done(&plain);
    test_cert_done(&other);
    test_cert_done(&demanding);
    test_cert_done(&delegate);
    test_ca_done(&foreign);
}
END_TEST

/* None comes with a resumed session. */
START_TEST(staples_and_tickets)
{
    struct test_cert cert;
    struct tls_tickets tickets = {.n = 0};
    struct tls_config config = strict("mail.example.com");
    struct response good = {V_OCSP_CERTSTATUS_GOOD, -60, 3600, EVP_sha1()};
    test_cert_init_with(&cert, &ca, "DNS:mail.example.com", "tlsfeature", "status_request");
    struct staple s = make_staple(&good, cert.cert, ca.cert, ca.cert, ca.key);
    SSL_CTX *ctx = tls_peer_ctx(&cert, 0);
    SSL_CTX_set_tlsext_status_cb(ctx, staple);
    SSL_CTX_set_tlsext_status_arg(ctx, &s);
    for (int i = 0; i < 2; i++) {
        struct talk k;
        talk_begin(&k, &config, &tickets, ctx, 65536);
        ck_assert_msg(k.r == 1, "%s", k.fault.text);
        ck_assert_int_eq(tls_resumed(k.t), i > 0);
        check_data(&k, 65536);
        talk_end(&k);
    }
    tls_tickets_done(&tickets);
    SSL_CTX_free(ctx);
    OPENSSL_free(s.der);
    test_cert_done(&cert);
}
END_TEST

/* The first of the client's list, or none at all. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned in_len,
                           void *arg)
{
    (void) ssl;
    (void) in_len;
    *(int *) arg += 1;
    *out = in + 1;
    *out_len = in[0];
    return SSL_TLSEXT_ERR_OK;
}

START_TEST(alpn_and_ciphers)
{
    struct test_cert cert;
    test_cert_init(&cert, &ca, "DNS:mail.example.com", -60, 3600);
    struct tls_config config = strict("mail.example.com");
    config.alpn = "imap, smtp";
    config.ciphers = "TLS_AES_128_GCM_SHA256";
    config.min_version = TLS1_3_VERSION;
    struct talk k;
    int asked = 0;
    const unsigned char *chosen;
    unsigned len;
    SSL_CTX *ctx = tls_peer_ctx(&cert, 0);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, &asked);
    talk_begin(&k, &config, NULL, ctx, 65536);
    ck_assert_msg(k.r == 1, "%s", k.fault.text);
    ck_assert_str_eq(tls_cipher(k.t), "TLS_AES_128_GCM_SHA256");
    SSL_get0_alpn_selected(k.peer.ssl, &chosen, &len);
    ck_assert(slice_eq(slice_of(chosen, len), SLICE("imap")));
    talk_end(&k);
    config.alpn = NULL;
    talk_begin(&k, &config, NULL, ctx, 65536);
    ck_assert_int_eq(k.r, 1);
    ck_assert_int_eq(asked, 1);
    talk_end(&k);
    SSL_CTX_free(ctx);
    test_cert_done(&cert);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls");
    TCase *t = tcase_create("tls");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, good_peers);
    tcase_add_test(t, stapled_responses);
    tcase_add_test(t, staples_and_tickets);
    tcase_add_test(t, bad_peers);
    tcase_add_test(t, policies);
    tcase_add_test(t, pins);
    tcase_add_test(t, tickets_are_used_once);
    tcase_add_test(t, closing_and_garbage);
    tcase_add_test(t, configurations_that_cannot_be);
    tcase_add_test(t, alpn_and_ciphers);
    suite_add_tcase(s, t);
    return unit_run(s);
}
