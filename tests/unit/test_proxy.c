/* SPDX-License-Identifier: MIT */
#include "proxy.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>

struct talk {
    struct proxy_stage *p;
    struct fault fault;
    int r;
};

static void begin(struct talk *k, enum proxy_kind kind, const char *user, const char *password, const char *host,
                  const char *address)
{
    struct proxy_config config = {.kind = kind, .username = (char *) user};
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
    begin(&k, PROXY_HTTP, "me", "s:cret", "bücher.example", NULL);
    EXPECT(&k, "CONNECT xn--bcher-kva.example:993 HTTP/1.1\r\nHost: xn--bcher-kva.example:993\r\n"
               "Proxy-Authorization: Basic bWU6czpjcmV0\r\n\r\n");
    ck_assert_int_eq(FEED(&k, "HTTP/1.1 200 Connection established\r\nVia: x\r\nX: \r\n\r\n"), 1);
    proxy_stage_free(k.p);
    begin(&k, PROXY_HTTPS, NULL, NULL, "[2001:db8::1]", NULL);
    EXPECT(&k, "CONNECT [2001:db8::1]:993 HTTP/1.1\r\nHost: [2001:db8::1]:993\r\n\r\n");
    ck_assert_int_eq(FEED(&k, "HTTP/1.0 200\n\n"), 1);
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

START_TEST(who_goes_without)
{
    char *const list[] = {(char *) "localhost", (char *) ".example.com", NULL}, *const all[] = {(char *) "*", NULL};
    ck_assert(proxy_is_bypassed(list, "LOCALHOST"));
    ck_assert(proxy_is_bypassed(list, "mail.example.com"));
    ck_assert(proxy_is_bypassed(list, "a.b.Example.com"));
    ck_assert(proxy_is_bypassed(list, "example.com"));
    ck_assert(!proxy_is_bypassed(list, "badexample.com"));
    ck_assert(!proxy_is_bypassed(list, "example.org"));
    ck_assert(!proxy_is_bypassed(NULL, "example.org"));
    ck_assert(proxy_is_bypassed(all, "anything"));
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
    tcase_add_test(t, who_goes_without);
    tcase_add_test(t, hosts_and_addresses);
    suite_add_tcase(s, t);
    return unit_run(s);
}
