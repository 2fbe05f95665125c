/* SPDX-License-Identifier: MIT */
#include "http_auth.h"
#include "proxy.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>

struct talk {
    struct proxy_stage *p;
    struct fault fault;
    int r;
};

static enum proxy_method method; /* how begin() logs in */

static void begin(struct talk *k, enum proxy_kind kind, const char *user, const char *password, const char *host,
                  const char *address)
{
    struct proxy_config config = {.kind = kind, .method = method, .username = (char *) user};
    struct address a;
    *k = (struct talk){0};
    if (password)
        config.password = secret_new(password, strlen(password));
    if (address)
        ck_assert(address_from_literal(address, &a));
    k->r = proxy_stage_new(&config, host, 993, address ? &a : NULL, &k->p, &k->fault);
    secret_unref(config.password);
}

static void expect_output(struct talk *k, const char *bytes, size_t len)
{
    struct slice out = proxy_output(k->p);
    ck_assert_msg(out.len == len && memcmp(out.data, bytes, len) == 0, "got %zu bytes '%.*s'", out.len, (int) out.len,
                  out.data);
    proxy_sent(k->p, len);
}
#define EXPECT(k, literal) expect_output(k, literal, sizeof(literal) - 1)

/* Feeds byte by byte; what is behind the end must not be touched. */
static int feed(struct talk *k, const char *bytes, size_t len)
{
    int r = 0;
    for (size_t i = 0; i < len && r == 0; i++) {
        size_t used = 99;
        r = proxy_feed(k->p, bytes + i, 1, &used, &k->fault);
        if (r >= 0)
            ck_assert_uint_eq(used, 1);
        if (r == 1)
            ck_assert_uint_eq(i, len - 1);
    }
    return r;
}
#define FEED(k, literal) feed(k, literal, sizeof(literal) - 1)

START_TEST(socks4)
{
    struct talk k;
    begin(&k, PROXY_SOCKS4, "me", NULL, "mail.example.com", "192.0.2.1");
    EXPECT(&k, "\4\1\3\341\300\0\2\1me\0");
    ck_assert_int_eq(FEED(&k, "\0\132\0\0\0\0\0\0"), 1);
    proxy_stage_free(k.p);
    begin(&k, PROXY_SOCKS4A, NULL, NULL, "mail.example.com", NULL);
    EXPECT(&k, "\4\1\3\341\0\0\0\1\0mail.example.com\0");
    ck_assert_int_lt(FEED(&k, "\0\133\0\0\0\0\0\0"), 0);
    ck_assert_int_eq(k.fault.kind, FAULT_PROXY);
    ck_assert_str_eq(k.fault.stage, "proxy");
    size_t used;
    ck_assert_int_lt(proxy_feed(k.p, "x", 1, &used, &k.fault), 0);
    proxy_stage_free(k.p);
    begin(&k, PROXY_SOCKS4, NULL, NULL, "mail.example.com", "2001:db8::1");
    ck_assert_int_lt(k.r, 0);
    ck_assert_ptr_null(k.p);
}
END_TEST

START_TEST(socks5)
{
    struct talk k;
    begin(&k, PROXY_SOCKS5H, NULL, NULL, "mail.example.com", NULL);
    EXPECT(&k, "\5\1\0");
    ck_assert_int_eq(FEED(&k, "\5\0"), 0);
    EXPECT(&k, "\5\1\0\3\20mail.example.com\3\341");
    ck_assert_int_eq(FEED(&k, "\5\0\0\3\4abcd\0\31"), 1);
    proxy_stage_free(k.p);
    /* A password, and an address. */
    begin(&k, PROXY_SOCKS5, "me", "pw", "mail.example.com", "192.0.2.1");
    EXPECT(&k, "\5\2\0\2");
    ck_assert_int_eq(FEED(&k, "\5\2"), 0);
    EXPECT(&k, "\1\2me\2pw");
    ck_assert_int_eq(FEED(&k, "\1\0"), 0);
    EXPECT(&k, "\5\1\0\1\300\0\2\1\3\341");
    ck_assert_int_eq(FEED(&k, "\5\0\0\1\1\2\3\4\0\31"), 1);
    proxy_stage_free(k.p);
    begin(&k, PROXY_SOCKS5, NULL, NULL, "mail.example.com", "2001:db8::1");
    proxy_sent(k.p, 3);
    ck_assert_int_eq(FEED(&k, "\5\0"), 0);
    EXPECT(&k, "\5\1\0\4\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1\3\341");
    ck_assert_int_eq(FEED(&k, "\5\0\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), 1);
    proxy_stage_free(k.p);
    /* A literal goes as an address though the proxy resolves. */
    begin(&k, PROXY_SOCKS5H, NULL, NULL, "192.0.2.1", NULL);
    proxy_sent(k.p, 3);
    ck_assert_int_eq(FEED(&k, "\5\0"), 0);
    EXPECT(&k, "\5\1\0\1\300\0\2\1\3\341");
    proxy_stage_free(k.p);
}
END_TEST

START_TEST(socks5_refusals)
{
    static const struct {
        const char *replies[2];
        size_t len[2];
        const char *words;
    } cases[] = {
        {{"\5\377", NULL}, {2, 0}, "another authentication"},
        {{"\5\1", NULL}, {2, 0}, "another authentication"},
        {{"\4\0", NULL}, {2, 0}, "not a SOCKS 5 reply"},
        {{"HT", NULL}, {2, 0}, "not a SOCKS 5 reply"},
        {{"\5\2", NULL}, {2, 0}, "another authentication"}, /* a password that we do not have */
        {{"\5\0", "\5\5\0\1\0\0\0\0\0\0"}, {2, 10}, "connection refused"},
        {{"\5\0", "\5\2\0\1\0\0\0\0\0\0"}, {2, 10}, "rules"},
        {{"\5\0", "\5\143\0\1\0\0\0\0\0\0"}, {2, 10}, "unknown failure"},
        {{"\5\0", "\5\0\0\7\0\0\0\0\0\0"}, {2, 10}, "not a SOCKS 5 reply"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct talk k;
        int r = 0;
        begin(&k, PROXY_SOCKS5H, NULL, NULL, "mail.example.com", NULL);
        for (int j = 0; j < 2 && r == 0 && cases[i].replies[j]; j++)
            r = feed(&k, cases[i].replies[j], cases[i].len[j]);
        ck_assert_int_lt(r, 0);
        ck_assert_int_eq(k.fault.kind, FAULT_PROXY);
        ck_assert_msg(strstr(k.fault.text, cases[i].words) != NULL, "case %zu: %s", i, k.fault.text);
        proxy_stage_free(k.p);
    }
    struct talk k;
    begin(&k, PROXY_SOCKS5H, "me", "bad", "mail.example.com", NULL);
    ck_assert_int_eq(FEED(&k, "\5\2"), 0);
    ck_assert_int_lt(FEED(&k, "\1\1"), 0);
    ck_assert_ptr_nonnull(strstr(k.fault.text, "refused the name or password"));
    proxy_stage_free(k.p);
    char longest[300];
    memset(longest, 'a', sizeof(longest));
    longest[299] = '\0';
    begin(&k, PROXY_SOCKS5H, longest, "x", "mail.example.com", NULL);
    ck_assert_int_lt(k.r, 0);
}
END_TEST

START_TEST(http)
{
    struct talk k;
    begin(&k, PROXY_HTTPS, "me", "s:cret", "bücher.example", NULL);
    EXPECT(&k, "CONNECT xn--bcher-kva.example:993 HTTP/1.1\r\nHost: xn--bcher-kva.example:993\r\n"
               "Proxy-Authorization: Basic bWU6czpjcmV0\r\n\r\n");
    ck_assert_int_eq(FEED(&k, "HTTP/1.1 200 Connection established\r\nVia: x\r\nX: \r\n\r\n"), 1);
    proxy_stage_free(k.p);
    begin(&k, PROXY_HTTPS, NULL, NULL, "[2001:db8::1]", NULL);
    EXPECT(&k, "CONNECT [2001:db8::1]:993 HTTP/1.1\r\nHost: [2001:db8::1]:993\r\n\r\n");
    ck_assert_int_eq(FEED(&k, "HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 102 Wait\r\n\r\nHTTP/1.0 200\n\n"), 1);
    proxy_stage_free(k.p);
    /* Bytes behind the success are the tunnel's. */
    begin(&k, PROXY_HTTP, NULL, NULL, "mail.example.com", NULL);
    static const char glued[] = "HTTP/1.1 200 ok\r\n\r\n* OK hello\r\n";
    size_t used;
    ck_assert_int_eq(proxy_feed(k.p, glued, sizeof(glued) - 1, &used, &k.fault), 1);
    ck_assert_str_eq(glued + used, "* OK hello\r\n");
    proxy_stage_free(k.p);
}
END_TEST

START_TEST(http_refusals)
{
    static const struct {
        const char *reply, *words;
    } cases[] = {
        {"HTTP/1.1 099 x\r\n\r\n", "not an HTTP reply"},
        {"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "wants authentication"},
        {"HTTP/1.1 403 Forbidden by me\r\n\r\n", "answered 403 Forbidden by me"},
        {"HTTP/1.1 302 Found\r\nLocation: http://evil/\r\n\r\n", "answered 302"},
        {"HTTP/1.1 20 x\r\n\r\n", "not an HTTP reply"},
        {"HTTP/1.1 2000 x\r\n\r\n", "not an HTTP reply"},
        {"220 mail.example.com ESMTP\r\n", "not an HTTP reply"},
        {"\r\n", "not an HTTP reply"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct talk k;
        begin(&k, PROXY_HTTP, NULL, NULL, "mail.example.com", NULL);
        ck_assert_int_lt(feed(&k, cases[i].reply, strlen(cases[i].reply)), 0);
        ck_assert_msg(strstr(k.fault.text, cases[i].words) != NULL, "case %zu: %s", i, k.fault.text);
        proxy_stage_free(k.p);
    }
    /* Endless: a line, and a header. */
    for (int i = 0; i < 2; i++) {
        struct talk k;
        int r = 0;
        size_t n = 0;
        begin(&k, PROXY_HTTP, NULL, NULL, "mail.example.com", NULL);
        if (i)
            ck_assert_int_eq(FEED(&k, "HTTP/1.1 200 ok\r\n"), 0);
        for (; r == 0 && n < 100000; n += 10) {
            size_t used;
            r = proxy_feed(k.p, i ? "a: bcdef\r\n" : "0123456789", 10, &used, &k.fault);
        }
        ck_assert_int_lt(r, 0);
        ck_assert_uint_le(n, PROXY_HEADER_MAX + 10);
        ck_assert_ptr_nonnull(strstr(k.fault.text, "16 kB"));
        proxy_stage_free(k.p);
    }
}
END_TEST

/* --- HTTP with a name --- */

/* What http_challenges_add() makes of fields: "Basic" and the algorithm, or what stands in `want`. */
START_TEST(challenges)
{
    static const struct {
        const char *field;
        bool basic, digest;
        int strength;
        const char *nonce;
    } cases[] = {
        {"Basic realm=\"x\"", true, false, 0, ""},
        {"basic", true, false, 0, ""},
        {"Digest realm=\"x\", nonce=\"n\"", false, true, 1, "n"},
        {"Digest realm=x,nonce=n,algorithm=md5,qop=auth", false, true, 1, "n"},
        {"Digest realm=\"a \\\"b\\\", c\", nonce=\"n,1\", qop=\"auth-int, auth\", algorithm=SHA-256, stale=true", false, true, 3, "n,1"},
        {"Digest realm=\"x\", nonce=\"one\", algorithm=MD5, qop=\"auth\", Digest realm=\"x\", nonce=\"two\", algorithm=SHA-256, qop=\"auth\"",
         false, true, 3, "two"},
        {"Digest realm=\"x\", nonce=\"two\", algorithm=SHA-256, qop=\"auth\", Basic realm=\"y\", Digest realm=\"x\", nonce=\"one\"",
         true, true, 3, "two"},
        {"Negotiate, NTLM TlRMTVNTUAA=, Basic realm=\"y\"", true, false, 0, ""},
        {"Negotiate abc/+==, Digest realm = \"x\" , nonce = \"n\"", false, true, 1, "n"},
        /* What cannot be used is as if it were not there. */
        {"Digest realm=\"x\", nonce=\"n\", algorithm=SHA3", false, false, 0, ""},
        {"Digest realm=\"x\", nonce=\"n\", qop=\"auth-int\"", false, false, 0, ""},
        {"Digest realm=\"x\", nonce=\"n\", algorithm=MD5-sess", false, false, 0, ""},
        {"Digest realm=\"x\"", false, false, 0, ""},
        {"Digest nonce=\"n\"", false, false, 0, ""},
        {"Digest realm=\"x\", nonce=\"", false, false, 0, ""},
        {"Digest realm=\"x\", nonce=\"a\x01" "b\"", false, false, 0, ""},
        {"", false, false, 0, ""},
        {", ,", false, false, 0, ""},
        {"\"", false, false, 0, ""},
        {"=", false, false, 0, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_challenges c = {.basic = false};
        http_challenges_add(&c, slice_of_str(cases[i].field));
        ck_assert_msg(c.basic == cases[i].basic && c.digest == cases[i].digest && c.strength == cases[i].strength &&
                          strcmp(c.nonce, cases[i].nonce) == 0,
                      "case %zu: basic %d, digest %d, strength %d, nonce '%s'", i, c.basic, c.digest, c.strength, c.nonce);
    }
    /* Too long to be held: passed over. */
    char longest[3000];
    snprintf(longest, sizeof(longest), "Digest realm=\"x\", nonce=\"%02000d\"", 0);
    struct http_challenges c = {.basic = false};
    http_challenges_add(&c, slice_of_str(longest));
    ck_assert(!c.digest);
}
END_TEST

/* RFC 7616 section 3.9.1, and RFC 2069 as errata 749 has it */
START_TEST(digests)
{
    static const struct {
        const char *field, *username, *password, *uri, *response;
    } cases[] = {
        {"Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=MD5, "
         "nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"",
         "Mufasa", "Circle of Life", "/dir/index.html", "8ca523f5e9506fed4657c9700eebdbec"},
        {"Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=SHA-256, "
         "nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"",
         "Mufasa", "Circle of Life", "/dir/index.html",
         "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"},
        {"Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"", "Mufasa", "CircleOfLife",
         "/dir/index.html", "1949323746fe6a43ef61f9606e7febea"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_challenges c = {.basic = false};
        struct buffer out;
        struct secret *password = secret_new(cases[i].password, strlen(cases[i].password));
        struct http_digest_request q = {"GET", cases[i].uri, cases[i].username, password,
                                        "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", 1};
        char want[200];
        buffer_init_secret(&out, 4096);
        http_challenges_add(&c, slice_of_str(cases[i].field));
        ck_assert(c.digest);
        ck_assert_int_eq(http_digest_answer(&c, &q, &out), 0);
        ck_assert_int_eq(buffer_append(&out, "", 1), 0);
        snprintf(want, sizeof(want), "response=\"%s\"", cases[i].response);
        ck_assert_msg(strstr(buffer_slice(&out).data, want) != NULL, "%s", buffer_slice(&out).data);
        ck_assert((strstr(buffer_slice(&out).data, ", qop=auth, nc=00000001, cnonce=\"f2/wE4q7") != NULL) == (i < 2));
        ck_assert((strstr(buffer_slice(&out).data, ", opaque=\"FQhe/") != NULL) == (i < 2));
        /* A name is quoted, or refused: it makes no field of its own. */
        buffer_clear(&out);
        q.username = "a\"b\\c";
        ck_assert_int_eq(http_digest_answer(&c, &q, &out), 0);
        ck_assert(slice_starts(buffer_slice(&out), SLICE("Digest username=\"a\\\"b\\\\c\", realm=")));
        q.username = "a\r\nX: y";
        ck_assert_int_eq(http_digest_answer(&c, &q, &out), -EINVAL);
        buffer_done(&out);
        secret_unref(password);
    }
}
END_TEST

#define DIGEST "Proxy-Authenticate: Digest realm=\"r\", nonce=\"n1\", algorithm=SHA-256, qop=\"auth\"\r\n"
#define BASIC "proxy-authenticate: Basic realm=\"r\"\r\n"
#define NEEDS "HTTP/1.1 407 who are you?\r\n"
#define PLAINLY "CONNECT a.example:993 HTTP/1.1\r\nHost: a.example:993\r\n\r\n"
#define WITH_BASIC "CONNECT a.example:993 HTTP/1.1\r\nHost: a.example:993\r\nProxy-Authorization: Basic bWU6cHc=\r\n\r\n"

static bool says(const struct talk *k, const char *words)
{
    return memmem(proxy_output(k->p).data, proxy_output(k->p).len, words, strlen(words)) != NULL;
}

START_TEST(asked_for_a_name)
{
    struct talk k;
    /* In clear nothing is said before it is known what is asked for; Basic where there is nothing better. */
    begin(&k, PROXY_HTTP, "me", "pw", "a.example", NULL);
    EXPECT(&k, PLAINLY);
    ck_assert_int_eq(FEED(&k, NEEDS BASIC "Content-Length: 3\r\n\r\nabc"), 0);
    EXPECT(&k, WITH_BASIC);
    ck_assert_int_eq(FEED(&k, "HTTP/1.1 200 ok\r\n\r\n"), 1);
    proxy_stage_free(k.p);
    /* Digest before Basic; a stale nonce is worth another try, once. */
    begin(&k, PROXY_HTTP, "me", "pw", "a.example", NULL);
    EXPECT(&k, PLAINLY);
    ck_assert_int_eq(FEED(&k, NEEDS BASIC DIGEST "Content-Length: 0\r\n\r\n"), 0);
    ck_assert(says(&k, "Digest username=\"me\", realm=\"r\", nonce=\"n1\", uri=\"a.example:993\"") && !says(&k, "bWU6cHc="));
    proxy_sent(k.p, proxy_output(k.p).len);
    ck_assert_int_eq(FEED(&k, NEEDS "Content-Length: 0\r\nProxy-Authenticate: Digest realm=\"r\", nonce=\"n2\", stale=true, qop=auth\r\n\r\n"),
                     0);
    ck_assert(says(&k, "nonce=\"n2\""));
    proxy_sent(k.p, proxy_output(k.p).len);
    ck_assert_int_lt(FEED(&k, NEEDS "Content-Length: 0\r\nProxy-Authenticate: Digest realm=\"r\", nonce=\"n3\", stale=true\r\n\r\n"), 0);
    ck_assert_ptr_nonnull(strstr(k.fault.text, "refused the name or password"));
    proxy_stage_free(k.p);
    /* A connection that ends, or whose end cannot be known: said again on another one. */
    static const char *const ends[] = {"Connection: close\r\nContent-Length: 0\r\n", "", "Transfer-Encoding: chunked\r\n",
                                       "Content-Length: 99999999\r\n", "Content-Length: x\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        char reply[300];
        begin(&k, PROXY_HTTP, "me", "pw", "a.example", NULL);
        EXPECT(&k, PLAINLY);
        snprintf(reply, sizeof(reply), NEEDS "%s" DIGEST "\r\n", ends[i]);
        ck_assert_int_eq(feed(&k, reply, strlen(reply)), PROXY_AGAIN);
        ck_assert(says(&k, "Digest username=\"me\""));
        proxy_stage_free(k.p);
    }
    /* What comes before the question is no answer to it. */
    static const char ahead[] = NEEDS BASIC "Content-Length: 1\r\n\r\naHTTP/1.1 200 ok\r\n\r\n";
    size_t used;
    begin(&k, PROXY_HTTP, "me", "pw", "a.example", NULL);
    ck_assert_int_eq(proxy_feed(k.p, ahead, sizeof(ahead) - 1, &used, &k.fault), 0);
    ck_assert_str_eq(ahead + used, "HTTP/1.1 200 ok\r\n\r\n");
    proxy_stage_free(k.p);
}
END_TEST

START_TEST(no_weaker_than_asked_for)
{
    static const struct {
        enum proxy_kind kind;
        enum proxy_method method;
        const char *offer;
        bool basic_first;
        const char *then; /* NULL: refused */
    } cases[] = {
        {PROXY_HTTP, PROXY_METHOD_DIGEST, BASIC, false, NULL},
        {PROXY_HTTP, PROXY_METHOD_DIGEST, BASIC DIGEST, false, "Digest"},
        {PROXY_HTTP, PROXY_METHOD_BASIC, DIGEST, true, NULL},
        {PROXY_HTTP, PROXY_METHOD_AUTO, "Proxy-Authenticate: Negotiate\r\n", false, NULL},
        {PROXY_HTTP, PROXY_METHOD_AUTO, "", false, NULL},
        {PROXY_HTTPS, PROXY_METHOD_AUTO, BASIC, true, NULL},
        {PROXY_HTTPS, PROXY_METHOD_AUTO, DIGEST, true, "Digest"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct talk k;
        char reply[400];
        method = cases[i].method;
        begin(&k, cases[i].kind, "me", "pw", "a.example", NULL);
        ck_assert_int_eq(says(&k, "Basic"), cases[i].basic_first);
        proxy_sent(k.p, proxy_output(k.p).len);
        snprintf(reply, sizeof(reply), NEEDS "%sContent-Length: 0\r\n\r\n", cases[i].offer);
        int r = feed(&k, reply, strlen(reply));
        ck_assert_msg(r == (cases[i].then ? 0 : -EACCES), "case %zu: %d", i, r);
        if (cases[i].then)
            ck_assert(says(&k, cases[i].then));
        else
            ck_assert_int_eq(k.fault.kind, FAULT_PROXY);
        proxy_stage_free(k.p);
    }
    method = PROXY_METHOD_AUTO;
}
END_TEST

START_TEST(who_goes_without)
{
    static const struct {
        const char *entry, *host;
        uint16_t port;
        bool bypassed;
    } cases[] = {
        {"localhost", "LOCALHOST", 25, true},
        {"localhost", "localhost.", 25, true},
        {".example.com", "mail.example.com", 25, true},
        {".example.com", "a.b.Example.com", 25, true},
        {".example.com", "example.com", 25, true},
        {".example.com", "badexample.com", 25, false},
        {"*.example.com", "mail.example.com", 25, true},
        {"*.example.com", "badexample.com", 25, false},
        {"example.com", "mail.example.com", 25, false},
        {"example.com", "example.org", 25, false},
        {"*", "anything", 25, true},
        {"*:25", "anything", 25, true},
        {"*:25", "anything", 587, false},
        {".example.com:587", "mail.example.com", 587, true},
        {".example.com:587", "mail.example.com", 25, false},
        {"192.0.2.1", "192.0.2.1", 25, true},
        {"192.0.2.1:25", "192.0.2.1", 25, true},
        {"192.0.2.1:25", "192.0.2.1", 26, false},
        {"192.0.2.0/24", "192.0.2.77", 25, true},
        {"192.0.2.0/24", "192.0.3.77", 25, false},
        {"192.0.2.128/25", "192.0.2.127", 25, false},
        {"192.0.2.128/25", "192.0.2.128", 25, true},
        {"192.0.2.0/24:25", "192.0.2.77", 26, false},
        {"0.0.0.0/0", "198.51.100.1", 25, true},
        {"0.0.0.0/0", "2001:db8::1", 25, false},
        {"0.0.0.0/0", "mail.example.com", 25, false}, /* no look-up */
        {"2001:db8::/32", "[2001:db8:1::5]", 25, true},
        {"2001:db8::/32", "2001:db9::5", 25, false},
        {"2001:db8::1", "2001:DB8:0::1", 25, true},
        {"[2001:db8::1]", "2001:db8::1", 25, true},
        {"[2001:db8::1]:25", "2001:db8::1", 26, false},
        {"[2001:db8::1]:25", "2001:db8::1", 25, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *const list[] = {(char *) "other.example", (char *) cases[i].entry, NULL};
        ck_assert_msg(proxy_bypass_is_valid(cases[i].entry), "%s", cases[i].entry);
        ck_assert_msg(proxy_is_bypassed(list, cases[i].host, cases[i].port) == cases[i].bypassed, "%s: %s:%u", cases[i].entry,
                      cases[i].host, cases[i].port);
    }
    ck_assert(!proxy_is_bypassed(NULL, "example.org", 25));
    static const char *const bad[] = {"", ".", "*.", "a*b", "a/b", "10.0.0.0/33", "10.0.0/8", "2001:db8::/129", "a:0", "a:65536", "a:b",
                                      "a:1:2", "[::1", "[::1]x", "a@b", "10.0.0.0/8:0", "1.2.3.4/", "example.com/24"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!proxy_bypass_is_valid(bad[i]), "'%s'", bad[i]);
}
END_TEST

START_TEST(hosts_and_addresses)
{
    static const struct {
        const char *given, *ascii;
    } good[] = {{"Mail.Example.COM.", "mail.example.com"}, {"BÜCHER.example", "xn--bcher-kva.example"},
                {"192.0.2.1", "192.0.2.1"}, {"[::1]", "::1"}, {"::1", "::1"}, {"_service.example", "_service.example"}};
    static const char *const bad[] = {"", ".", "two words", "a/b", "user@host", "host:25", "a\nb", "a\x01"};
    char out[HOST_NAME_LIMIT], text[64];
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        ck_assert_int_eq(host_to_ascii(good[i].given, out), 0);
        ck_assert_str_eq(out, good[i].ascii);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(host_to_ascii(bad[i], out) == -EINVAL, "'%s'", bad[i]);
    char longest[300];
    memset(longest, 'a', sizeof(longest));
    longest[299] = '\0';
    ck_assert_int_eq(host_to_ascii(longest, out), -EINVAL);
    struct address a;
    ck_assert(address_from_literal("[2001:db8::1]", &a));
    address_set_port(&a, 25);
    address_format(&a, text, sizeof(text));
    ck_assert_str_eq(text, "[2001:db8::1]:25");
    ck_assert(!address_from_literal("192.0.2", &a));
    ck_assert(!address_from_literal("fe80::1%nosuchinterface", &a));
    ck_assert(!address_from_literal("", &a));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("proxy");
    TCase *t = tcase_create("proxy");
    tcase_add_test(t, socks4);
    tcase_add_test(t, socks5);
    tcase_add_test(t, socks5_refusals);
    tcase_add_test(t, http);
    tcase_add_test(t, http_refusals);
    tcase_add_test(t, challenges);
    tcase_add_test(t, digests);
    tcase_add_test(t, asked_for_a_name);
    tcase_add_test(t, no_weaker_than_asked_for);
    tcase_add_test(t, who_goes_without);
    tcase_add_test(t, hosts_and_addresses);
    suite_add_tcase(s, t);
    return unit_run(s);
}
