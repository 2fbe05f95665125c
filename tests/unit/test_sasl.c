/* SPDX-License-Identifier: MIT */
/* SASL: choice and white list, framing, bounds, and each mechanism against its RFC's vectors. */
#include "unit.h"

#include "base64.h"
#include "sasl.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

static struct engine_config config;
static struct engine_tls tls;
static struct fault fault;

static void set_up(void)
{
    config = (struct engine_config){
        .wants_login = true, .host = "mail.example.com", .port = 587, .username = "user", .domain = "client.example"};
    tls = (struct engine_tls){.verified = true, .exporter_len = 32, .version = "TLSv1.3"};
    memset(tls.exporter, 7, sizeof(tls.exporter));
    fault = (struct fault){0};
}

static struct sasl *start(enum sasl_method method, const char *password)
{
    struct secret *secret = password ? secret_new(password, strlen(password)) : NULL;
    struct sasl *s = NULL;

    int r = sasl_new(method, PROTOCOL_IMAP, &config, &tls, secret, &s, &fault);
    secret_unref(secret);
    ck_assert_msg(r == 0, "%s", fault.text);
    return s;
}

/* Base64 of a text, NUL-terminated; the last four results stay. */
static const char *b64(const char *text)
{
    static char ring[4][4096];
    static unsigned at;
    char *out = ring[at++ % 4];
    out[base64_encode(text, strlen(text), out)] = '\0';
    return out;
}

static void decoded(struct slice text, char *out, size_t size)
{
    size_t len;
    ck_assert(base64_decoded_max(text.len) < size);
    ck_assert_int_eq(base64_decode(text.data, text.len, out, &len), 0);
    out[len] = '\0';
}

static int challenge(struct sasl *s, const char *text)
{
    return sasl_challenge(s, slice_of_str(text), &fault);
}

/* --- choice --- */

static int choose(unsigned offered, const struct engine_tls *t, enum sasl_method *ret)
{
    fault = (struct fault){0};
    return sasl_choose(&config, PROTOCOL_SMTP, t, offered, ret, &fault);
}

START_TEST(choice_by_strength)
{
    enum sasl_method m = SASL_METHOD_COUNT;
    unsigned offered = 0;
    const char *names[] = {"PLAIN", "login", "CRAM-MD5", "scram-sha-1", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "NTLM",
                           "GSSAPI", "XOAUTH2", "ANONYMOUS", ""};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        sasl_offer_add(&offered, slice_of_str(names[i]), &config);
    ck_assert_int_eq(choose(offered, &tls, &m), 0);
    ck_assert_str_eq(sasl_method_name(m), "SCRAM-SHA-256-PLUS");
    tls.exporter_len = 0; /* no binding data: not -PLUS */
    ck_assert_int_eq(choose(offered, &tls, &m), 0);
    ck_assert_str_eq(sasl_method_name(m), "SCRAM-SHA-256");
    ck_assert_int_eq(choose(SASL_BIT(SASL_PLAIN) | SASL_BIT(SASL_LOGIN), &tls, &m), 0);
    ck_assert_str_eq(sasl_method_name(m), "PLAIN");
    ck_assert_int_eq(choose(0, &tls, &m), -ENOTSUP);
    ck_assert_int_eq(fault.kind, FAULT_MISSING_EXTENSION);
    ck_assert_int_eq(choose(SASL_BIT(SASL_XOAUTH2), &tls, &m), -ENOTSUP); /* a password is no token */
    ck_assert_int_eq(fault.kind, FAULT_UNSUPPORTED_MECHANISM);
}
END_TEST

START_TEST(choice_never_in_clear)
{
    enum sasl_method m = SASL_METHOD_COUNT;
    unsigned all = SASL_BIT(SASL_SCRAM_SHA_256) | SASL_BIT(SASL_CRAM_MD5) | SASL_BIT(SASL_PLAIN);

    ck_assert_int_eq(choose(all, NULL, &m), -EPERM);
    ck_assert_int_eq(fault.kind, FAULT_TLS);
    ck_assert(!sasl_may_send_credential(&config, false));
    ck_assert(sasl_may_send_credential(&config, true));
    config.allow_plaintext_auth = true;
    ck_assert_int_eq(choose(all, NULL, &m), 0);
    ck_assert_str_eq(sasl_method_name(m), "SCRAM-SHA-256");
}
END_TEST

START_TEST(choice_in_the_accounts_order)
{
    enum sasl_method m = SASL_METHOD_COUNT;
    unsigned all = SASL_BIT(SASL_SCRAM_SHA_256) | SASL_BIT(SASL_LOGIN) | SASL_BIT(SASL_PLAIN);

    config.methods[0] = "gssapi";
    config.methods[1] = "Plain";
    config.methods[2] = "login";
    ck_assert_int_eq(choose(all, &tls, &m), 0);
    ck_assert_int_eq(m, SASL_PLAIN);
    ck_assert_int_eq(choose(SASL_BIT(SASL_LOGIN), &tls, &m), 0);
    ck_assert_int_eq(m, SASL_LOGIN);
    ck_assert_int_eq(choose(SASL_BIT(SASL_SCRAM_SHA_256), &tls, &m), -ENOTSUP);
    ck_assert_int_eq(fault.kind, FAULT_UNSUPPORTED_MECHANISM);
    config.methods[0] = "sasl-login";
    config.methods[1] = NULL;
    ck_assert_int_eq(sasl_choose(&config, PROTOCOL_IMAP, &tls, SASL_BIT(SASL_LOGIN) | SASL_BIT(SASL_METHOD_IMAP_LOGIN), &m, &fault), 0);
    ck_assert_int_eq(m, SASL_LOGIN);
    config.methods[0] = "login";
    ck_assert_int_eq(sasl_choose(&config, PROTOCOL_IMAP, &tls, SASL_BIT(SASL_LOGIN) | SASL_BIT(SASL_METHOD_IMAP_LOGIN), &m, &fault), 0);
    ck_assert_int_eq(m, SASL_METHOD_IMAP_LOGIN);
}
END_TEST

START_TEST(choice_of_tokens)
{
    enum sasl_method m = SASL_METHOD_COUNT;
    unsigned offered = 0;

    config.has_token = true;
    ck_assert_int_eq(choose(SASL_BIT(SASL_PLAIN) | SASL_BIT(SASL_LOGIN), &tls, &m), -ENOTSUP);
    ck_assert_int_eq(choose(SASL_BIT(SASL_PLAIN) | SASL_BIT(SASL_XOAUTH2), &tls, &m), 0);
    ck_assert_int_eq(m, SASL_XOAUTH2);
    ck_assert_int_eq(choose(SASL_BIT(SASL_OAUTHBEARER) | SASL_BIT(SASL_XOAUTH2), &tls, &m), 0);
    ck_assert_int_eq(m, SASL_OAUTHBEARER);
    config.methods[0] = "plain"; /* not even when asked to */
    ck_assert_int_eq(choose(SASL_BIT(SASL_PLAIN), &tls, &m), -ENOTSUP);
    config.disabled[0] = "AUTH=xoauth2";
    sasl_offer_add(&offered, SLICE("XOAUTH2"), &config);
    ck_assert_uint_eq(offered, 0);
}
END_TEST

START_TEST(choice_of_external)
{
    enum sasl_method m = SASL_METHOD_COUNT;

    config.has_client_cert = true;
    ck_assert_int_eq(choose(SASL_BIT(SASL_EXTERNAL) | SASL_BIT(SASL_PLAIN), &tls, &m), 0);
    ck_assert_int_eq(m, SASL_PLAIN);
    config.username = NULL;
    ck_assert_int_eq(choose(SASL_BIT(SASL_EXTERNAL) | SASL_BIT(SASL_PLAIN), &tls, &m), 0);
    ck_assert_int_eq(m, SASL_EXTERNAL);
    config.has_client_cert = false;
    ck_assert_int_eq(choose(SASL_BIT(SASL_EXTERNAL), &tls, &m), -ENOTSUP);
}
END_TEST

/* --- simple mechanisms --- */

START_TEST(plain)
{
    struct slice ir;

    config.username = "tim";
    struct sasl *s = start(SASL_PLAIN, "tanstaaftanstaaf");
    ck_assert(!sasl_initial(s, 10, &ir)); /* too long for that line */
    ck_assert(sasl_initial(s, 512, &ir));
    ck_slice_eq(ir, "AHRpbQB0YW5zdGFhZnRhbnN0YWFm"); /* RFC 4616 section 4, without authorization identity */
    ck_assert_int_eq(sasl_success(s, &fault), 0);
    ck_assert_int_eq(challenge(s, ""), -EPROTO);
    ck_slice_eq(sasl_reply(s), "*");
    ck_assert(sasl_is_cancelled(s));
    sasl_free(s);

    fault = (struct fault){0};
    config.username = "Kurt";
    config.authzid = "Ursel";
    s = start(SASL_PLAIN, "xipj3plmq");
    ck_assert_int_eq(sasl_success(s, &fault), -EPROTO); /* a yes before anything was said */
    fault = (struct fault){0};
    ck_assert_int_eq(challenge(s, "cHJvbXB0Og== junk"), 0);
    ck_slice_eq(sasl_reply(s), "VXJzZWwAS3VydAB4aXBqM3BsbXE=");
    ck_assert_int_eq(sasl_success(s, &fault), 0);
    sasl_free(s);
}
END_TEST

START_TEST(login)
{
    struct slice ir;
    struct sasl *s = start(SASL_LOGIN, "secret");

    ck_assert(!sasl_initial(s, 512, &ir));
    ck_assert_int_eq(challenge(s, "VXNlcm5hbWU6"), 0);
    ck_slice_eq(sasl_reply(s), b64("user"));
    ck_assert_int_eq(sasl_success(s, &fault), -EPROTO);
    fault = (struct fault){0};
    ck_assert_int_eq(challenge(s, "not base64 at all"), 0);
    ck_slice_eq(sasl_reply(s), b64("secret"));
    ck_assert_int_eq(sasl_success(s, &fault), 0);
    sasl_free(s);
}
END_TEST

START_TEST(cram_md5)
{
    config.username = "tim"; /* RFC 2195 section 2 */
    struct sasl *s = start(SASL_CRAM_MD5, "tanstaaftanstaaf");
    ck_assert_int_eq(challenge(s, "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+"), 0);
    ck_slice_eq(sasl_reply(s), "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw");
    ck_assert_int_eq(sasl_success(s, &fault), 0);
    sasl_free(s);
    s = start(SASL_CRAM_MD5, "x");
    ck_assert_int_eq(challenge(s, ""), -EPROTO);
    ck_slice_eq(sasl_reply(s), "*");
    sasl_free(s);
}
END_TEST

START_TEST(external)
{
    struct slice ir;
    struct sasl *s = start(SASL_EXTERNAL, NULL);

    ck_assert(sasl_initial(s, 512, &ir));
    ck_slice_eq(ir, "="); /* an empty first message is not the same as none */
    ck_assert_int_eq(sasl_success(s, &fault), 0);
    sasl_free(s);
    s = start(SASL_EXTERNAL, NULL);
    ck_assert_int_eq(challenge(s, ""), 0);
    ck_slice_eq(sasl_reply(s), "");
    sasl_free(s);
    config.authzid = "ann";
    s = start(SASL_EXTERNAL, NULL);
    ck_assert(sasl_initial(s, 512, &ir));
    ck_slice_eq(ir, b64("ann"));
    sasl_free(s);
}
END_TEST

/* --- DIGEST-MD5 (RFC 2831) --- */

static void md5_hex(const void *data, size_t len, char out[33])
{
    unsigned char md[16];
    EVP_Digest(data, len, md, NULL, EVP_md5(), NULL);
    hex_encode(md, 16, out);
    out[32] = '\0';
}

static void digest_response(const char *user, const char *realm, const char *password, const char *nonce,
                            const char *cnonce, const char *a2, char out[33])
{
    char text[512], ha1[33], ha2[33];
    unsigned char a1[512];
    size_t n;

    n = (size_t) snprintf(text, sizeof(text), "%s:%s:%s", user, realm, password);
    EVP_Digest(text, n, a1, NULL, EVP_md5(), NULL);
    n = 16 + (size_t) snprintf((char *) a1 + 16, sizeof(a1) - 16, ":%s:%s", nonce, cnonce);
    md5_hex(a1, n, ha1);
    md5_hex(a2, strlen(a2), ha2);
    n = (size_t) snprintf(text, sizeof(text), "%s:%s:00000001:%s:auth:%s", ha1, nonce, cnonce, ha2);
    md5_hex(text, n, out);
}

START_TEST(digest_md5)
{
    char text[2048], response[33], cnonce[256], expected[64];

    /* The formula itself, by the example of RFC 2831 section 4. */
    digest_response("chris", "elwood.innosoft.com", "secret", "OA6MG9tEQGm2hh", "OA6MHXh6VqTrRk",
                    "AUTHENTICATE:imap/elwood.innosoft.com", response);
    ck_assert_str_eq(response, "d388dad90d4bbd760a152321f2143af7");

    for (int honest = 0; honest < 2; honest++) {
        config.username = "chris";
        config.host = "elwood.innosoft.com";
        struct sasl *s = start(SASL_DIGEST_MD5, "secret");
        ck_assert_int_eq(challenge(s, b64("realm=\"elwood.innosoft.com\",nonce=\"OA6MG9tEQGm2hh\",qop=\"auth\","
                                          "algorithm=md5-sess,charset=utf-8")), 0);
        decoded(sasl_reply(s), text, sizeof(text));
        char *p = strstr(text, "cnonce=\"");
        ck_assert_ptr_nonnull(p);
        ck_assert_int_eq(sscanf(p, "cnonce=\"%255[^\"]", cnonce), 1);
        digest_response("chris", "elwood.innosoft.com", "secret", "OA6MG9tEQGm2hh", cnonce,
                        "AUTHENTICATE:imap/elwood.innosoft.com", response);
        snprintf(expected, sizeof(expected), "response=%s", response);
        ck_assert_ptr_nonnull(strstr(text, expected));
        ck_assert_int_eq(sasl_success(s, &fault), -EPROTO); /* no proof from the server yet */
        fault = (struct fault){0};
        digest_response("chris", "elwood.innosoft.com", honest ? "secret" : "guess", "OA6MG9tEQGm2hh", cnonce,
                        ":imap/elwood.innosoft.com", response);
        snprintf(expected, sizeof(expected), "rspauth=%s", response);
        ck_assert_int_eq(challenge(s, b64(expected)) == 0, honest);
        if (honest)
            ck_assert_int_eq(sasl_success(s, &fault), 0);
        fault = (struct fault){0};
        sasl_free(s);
    }
}
END_TEST

/* --- SCRAM --- */

struct scram_side {
    const EVP_MD *md;
    size_t len;
    unsigned char salted[32];
};

static void hmac(const struct scram_side *v, const void *key, const void *data, size_t len, unsigned char *out)
{
    unsigned n = 0;
    ck_assert_ptr_nonnull(HMAC(v->md, key, (int) v->len, data, len, out, &n));
}

/* RFC 5802 section 3: ClientProof and ServerSignature in base64. */
static void scram_compute(const struct scram_side *v, const char *auth_message, char proof[64], char signature[64])
{
    unsigned char client_key[32], stored[32], client_sig[32], server_key[32], sig[32];

    hmac(v, v->salted, "Client Key", 10, client_key);
    EVP_Digest(client_key, v->len, stored, NULL, v->md, NULL);
    hmac(v, stored, auth_message, strlen(auth_message), client_sig);
    for (size_t i = 0; i < v->len; i++)
        client_key[i] ^= client_sig[i];
    hmac(v, v->salted, "Server Key", 10, server_key);
    hmac(v, server_key, auth_message, strlen(auth_message), sig);
    proof[base64_encode(client_key, v->len, proof)] = '\0';
    signature[base64_encode(sig, v->len, signature)] = '\0';
}

static void derive(struct scram_side *v, const char *password, const char *salt, unsigned iterations)
{
    unsigned char raw[64];
    size_t len;
    ck_assert_int_eq(base64_decode(salt, strlen(salt), raw, &len), 0);
    PKCS5_PBKDF2_HMAC(password, (int) strlen(password), raw, (int) len, (int) iterations, v->md, (int) v->len, v->salted);
}

START_TEST(scram_formula_of_the_rfcs)
{
    char proof[64], signature[64];
    struct scram_side v = {EVP_sha1(), 20, {0}};

    derive(&v, "pencil", "QSXCR+Q6sek8bf92", 4096); /* RFC 5802 section 5 */
    scram_compute(&v, "n=user,r=fyko+d2lbbFgONRv9qkxdawL,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,"
                      "i=4096,c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j", proof, signature);
    ck_assert_str_eq(proof, "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=");
    ck_assert_str_eq(signature, "rmF9pqV8S7suAoZWja4dJRkFsKQ=");
    v = (struct scram_side){EVP_sha256(), 32, {0}};
    derive(&v, "pencil", "W22ZaJ0SNY7soEsUEjb6gQ==", 4096); /* RFC 7677 section 3 */
    scram_compute(&v, "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                      "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
                  proof, signature);
    ck_assert_str_eq(proof, "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    ck_assert_str_eq(signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}
END_TEST

/* A whole dialogue with a server that knows the formula; `lie`: its proof is wrong. */
static void scram_dialogue(enum sasl_method method, const char *header, const char *cbind, bool sha256, bool lie)
{
    char first[512], server_first[512], final[1024], auth[2048], proof[64], signature[64], expected[1200];
    struct scram_side v = {sha256 ? EVP_sha256() : EVP_sha1(), sha256 ? 32 : 20, {0}};
    struct slice ir;

    fault = (struct fault){0};
    struct sasl *s = start(method, "pencil");
    ck_assert(sasl_initial(s, 1024, &ir));
    decoded(ir, first, sizeof(first));
    ck_assert_msg(strncmp(first, header, strlen(header)) == 0, "%s", first);
    const char *bare = first + strlen(header);
    const char *nonce = strstr(bare, "r=");
    ck_assert_ptr_nonnull(nonce);
    snprintf(server_first, sizeof(server_first), "%s3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096", nonce);
    ck_assert_int_eq(challenge(s, b64(server_first)), SASL_DERIVE);
    const struct engine_derive *job = sasl_derive_job(s);
    ck_assert_ptr_nonnull(job);
    ck_assert_str_eq(job->hash, sha256 ? "SHA256" : "SHA1");
    ck_assert_uint_eq(job->iterations, 4096);
    ck_slice_eq(job->password, "pencil");
    ck_assert_uint_eq(job->key_len, v.len);
    PKCS5_PBKDF2_HMAC(job->password.data, (int) job->password.len, (const unsigned char *) job->salt.data, (int) job->salt.len,
                      (int) job->iterations, v.md, (int) v.len, v.salted);
    ck_assert_int_eq(sasl_derived(s, v.salted, v.len, &fault), 0);
    decoded(sasl_reply(s), final, sizeof(final));
    char *p = strstr(final, ",p=");
    ck_assert_ptr_nonnull(p);
    *p = '\0';
    snprintf(auth, sizeof(auth), "%s,%s,%s", bare, server_first, final);
    scram_compute(&v, auth, proof, signature);
    ck_assert_str_eq(p + 3, proof);
    snprintf(expected, sizeof(expected), "c=%s,", cbind);
    ck_assert_msg(strncmp(final, expected, strlen(expected)) == 0, "%s is not %s", final, expected);
    ck_assert_int_eq(sasl_success(s, &fault), -EPROTO); /* no proof from the server yet */
    fault = (struct fault){0};
    if (lie)
        signature[0] = signature[0] == 'A' ? 'B' : 'A';
    snprintf(expected, sizeof(expected), "v=%s", signature);
    ck_assert_int_eq(challenge(s, b64(expected)) == 0, !lie);
    if (lie) {
        ck_slice_eq(sasl_reply(s), "*");
        ck_assert_int_eq(fault.kind, FAULT_PROTOCOL);
        ck_assert_int_lt(sasl_success(s, &fault), 0);
    } else {
        ck_slice_eq(sasl_reply(s), "");
        ck_assert_int_eq(sasl_success(s, &fault), 0);
    }
    sasl_free(s);
}

START_TEST(scram)
{
    char cbind[256];
    char raw[128] = "p=tls-exporter,,";
    size_t n = strlen(raw);

    scram_dialogue(SASL_SCRAM_SHA_1, "n,,", "biws", false, false);
    scram_dialogue(SASL_SCRAM_SHA_256, "n,,", "biws", true, false);
    scram_dialogue(SASL_SCRAM_SHA_256, "n,,", "biws", true, true);
    memcpy(raw + n, tls.exporter, 32);
    cbind[base64_encode(raw, n + 32, cbind)] = '\0';
    scram_dialogue(SASL_SCRAM_SHA_256_PLUS, "p=tls-exporter,,", cbind, true, false);
    scram_dialogue(SASL_SCRAM_SHA_1_PLUS, "p=tls-exporter,,", cbind, false, true);
    memcpy(raw, "p=tls-unique,,", sizeof("p=tls-unique,,"));
    n = strlen(raw);
    tls.exporter_len = 0;
    tls.unique_len = 12;
    memcpy(raw + n, tls.unique, 12);
    cbind[base64_encode(raw, n + 12, cbind)] = '\0';
    scram_dialogue(SASL_SCRAM_SHA_1_PLUS, "p=tls-unique,,", cbind, false, false);
}
END_TEST

START_TEST(unbound)
{
    const unsigned all = SASL_BIT(SASL_SCRAM_SHA_256_PLUS) | SASL_BIT(SASL_SCRAM_SHA_1_PLUS) | SASL_BIT(SASL_SCRAM_SHA_256) | SASL_BIT(SASL_PLAIN);
    const unsigned rest = SASL_BIT(SASL_SCRAM_SHA_256) | SASL_BIT(SASL_PLAIN);
    static const struct {
        struct slice server;
        size_t unique_len;
        bool bound;
    } rows[] = {
        {SLICE("mail.example.com Cyrus IMAP 3.6.1 server ready"), 0, false},
        {SLICE("cyrus"), 0, false},
        {SLICE("Cyrus POP3"), 12, true},
        {SLICE("Dovecot ready."), 0, true},
        {SLICE("Cyru"), 0, true},
        {SLICE(""), 0, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        unsigned offered = all;
        tls.unique_len = rows[i].unique_len;
        sasl_offer_unbound(&offered, rows[i].server, &tls);
        ck_assert_uint_eq(offered, rows[i].bound ? all : rest);
    }
    unsigned offered = all;
    sasl_offer_unbound(&offered, rows[0].server, NULL);
    ck_assert_uint_eq(offered, all);
}
END_TEST

START_TEST(scram_bounds)
{
    static const char *const bad[] = {
        "r=NONCEx,s=QSXCR+Q6sek8bf92,i=4095",
        "r=NONCEx,s=QSXCR+Q6sek8bf92,i=100001",
        "r=NONCEx,s=QSXCR+Q6sek8bf92,i=2147483648",
        "r=NONCEx,s=QSXCR+Q6sek8bf92,i=18446744073709555712",
        "r=NONCEx,s=QSXCR+Q6sek8bf92,i=-4096",
        "r=NONCEx,s=QSXCR+Q6sek8bf92,i=",
        "r=NONCEx,s=,i=4096",
        "r=,s=QSXCR+Q6sek8bf92,i=4096",
        "r=NONCEx,s=Q!XC,i=4096",
        "m=must,r=NONCEx,s=QSXCR+Q6sek8bf92,i=4096",
        "",
        "r",
    };
    struct slice ir;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct sasl *s = start(SASL_SCRAM_SHA_256, "pencil");
        ck_assert(sasl_initial(s, 512, &ir));
        ck_assert_msg(challenge(s, b64(bad[i])) < 0, "%s", bad[i]);
        ck_assert_int_eq(fault.kind, FAULT_PROTOCOL);
        ck_slice_eq(sasl_reply(s), "*");
        ck_assert_ptr_null(sasl_derive_job(s));
        fault = (struct fault){0};
        sasl_free(s);
    }
    /* A nonce that is not ours is seen when the key has come. */
    struct sasl *s = start(SASL_SCRAM_SHA_256, "pencil");
    unsigned char key[32] = {0};
    ck_assert(sasl_initial(s, 512, &ir));
    ck_assert_int_eq(challenge(s, b64("r=other,s=QSXCR+Q6sek8bf92,i=4096")), SASL_DERIVE);
    ck_assert_int_lt(sasl_derived(s, key, sizeof(key), &fault), 0);
    ck_slice_eq(sasl_reply(s), "*");
    fault = (struct fault){0};
    sasl_free(s);
    s = start(SASL_SCRAM_SHA_1, "pencil");
    ck_assert(sasl_initial(s, 512, &ir));
    ck_assert_int_eq(challenge(s, b64("e=unknown-user")), 0);
    ck_slice_eq(sasl_reply(s), "");
    ck_slice_eq(sasl_server_error(s), "unknown-user");
    ck_assert_int_lt(sasl_success(s, &fault), 0);
    sasl_free(s);
}
END_TEST

/* --- tokens --- */

START_TEST(bearer)
{
    char text[512];
    struct slice ir;

    config.username = "u=s,er";
    struct sasl *s = start(SASL_OAUTHBEARER, "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg==");
    ck_assert(sasl_initial(s, 1024, &ir));
    decoded(ir, text, sizeof(text));
    ck_assert_str_eq(text, "n,a=u=3Ds=2Cer,\1host=mail.example.com\1port=587\1"
                           "auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg==\1\1");
    ck_assert_int_eq(challenge(s, b64("{\"status\":\"invalid_token\"}")), 0);
    ck_slice_eq(sasl_reply(s), "AQ==");
    ck_slice_eq(sasl_server_error(s), "{\"status\":\"invalid_token\"}");
    ck_assert_int_lt(sasl_success(s, &fault), 0);
    ck_assert_int_lt(challenge(s, b64("{}")), 0);
    sasl_free(s);

    fault = (struct fault){0};
    config.username = "someuser@example.com";
    s = start(SASL_XOAUTH2, "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg==");
    ck_assert(!sasl_initial(s, 100, &ir)); /* goes behind an empty challenge then */
    ck_assert_int_eq(challenge(s, ""), 0);
    decoded(sasl_reply(s), text, sizeof(text));
    ck_assert_str_eq(text, "user=someuser@example.com\1auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg==\1\1");
    ck_assert_int_eq(challenge(s, b64("{\"status\":\"400\"}")), 0);
    ck_slice_eq(sasl_reply(s), "");
    sasl_free(s);
}
END_TEST

START_TEST(credentials_that_cannot_be)
{
    static const char *const tokens[] = {"a b", "a\r\nb", "=", "a=b", "t\xc3\xb6ken", ""};
    struct sasl *s = NULL;
    struct secret *nul = secret_new("a\0b", 3);

    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        struct secret *t = secret_new(tokens[i], strlen(tokens[i]));
        fault = (struct fault){0};
        ck_assert_int_lt(sasl_new(SASL_XOAUTH2, PROTOCOL_SMTP, &config, &tls, t, &s, &fault), 0);
        ck_assert_int_eq(fault.kind, FAULT_AUTH);
        secret_unref(t);
    }
    ck_assert_int_lt(sasl_new(SASL_PLAIN, PROTOCOL_SMTP, &config, &tls, nul, &s, &fault), 0);
    ck_assert_int_lt(sasl_new(SASL_PLAIN, PROTOCOL_SMTP, &config, &tls, NULL, &s, &fault), 0);
    config.username = NULL;
    struct secret *ok = secret_new("x", 1);
    ck_assert_int_lt(sasl_new(SASL_PLAIN, PROTOCOL_SMTP, &config, &tls, ok, &s, &fault), 0);
    config.username = "a\rb";
    ck_assert_int_lt(sasl_new(SASL_PLAIN, PROTOCOL_SMTP, &config, &tls, ok, &s, &fault), 0);
    ck_assert_ptr_null(s);
    secret_unref(ok);
    secret_unref(nul);
}
END_TEST

START_TEST(hostile_challenges)
{
    char *big = malloc(1 << 20);
    struct sasl *s = start(SASL_CRAM_MD5, "x");

    memset(big, 'A', 1 << 20);
    ck_assert_int_eq(sasl_challenge(s, slice_of(big, 1 << 20), &fault), -EPROTO);
    ck_slice_eq(sasl_reply(s), "*");
    sasl_free(s);
    fault = (struct fault){0};
    s = start(SASL_CRAM_MD5, "x");
    ck_assert_int_eq(challenge(s, "***"), -EPROTO);
    ck_assert_int_lt(sasl_success(s, &fault), 0);
    sasl_free(s);
    s = start(SASL_DIGEST_MD5, "x");
    fault = (struct fault){0};
    ck_assert_int_lt(sasl_challenge(s, slice_of(big, SASL_CHALLENGE_MAX), &fault), 0);
    sasl_free(s);
    fault = (struct fault){0};
    s = start(SASL_LOGIN, "x");
    int r = 0, rounds = 0;
    while (r == 0 && rounds < 100) {
        r = challenge(s, "Og==");
        rounds++;
    }
    ck_assert_int_lt(rounds, SASL_ROUNDS_MAX + 2);
    sasl_free(s);
    free(big);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sasl");
    TCase *t = tcase_create("sasl");

    tcase_add_checked_fixture(t, set_up, NULL);
    tcase_add_test(t, choice_by_strength);
    tcase_add_test(t, choice_never_in_clear);
    tcase_add_test(t, choice_in_the_accounts_order);
    tcase_add_test(t, choice_of_tokens);
    tcase_add_test(t, choice_of_external);
    tcase_add_test(t, plain);
    tcase_add_test(t, login);
    tcase_add_test(t, cram_md5);
    tcase_add_test(t, external);
    tcase_add_test(t, digest_md5);
    tcase_add_test(t, scram_formula_of_the_rfcs);
    tcase_add_test(t, scram);
    tcase_add_test(t, scram_bounds);
    tcase_add_test(t, unbound);
    tcase_add_test(t, bearer);
    tcase_add_test(t, credentials_that_cannot_be);
    tcase_add_test(t, hostile_challenges);
    suite_add_tcase(suite, t);
    return unit_run(suite);
}
