/* SPDX-License-Identifier: MIT */
/* Sessions through TLS and proxies, and what becomes of exchanges there. */
#include "net_world.h"
#include "proxy.h"

#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <stdio.h>

static struct test_ca ca;
static struct test_cert cert, wrong_name;
static char *ca_pem;

static void setup(void)
{
    test_ca_init(&ca, "The test authority");
    ca_pem = test_cert_pem(ca.cert);
    test_cert_init(&cert, &ca, "IP:127.0.0.1", -60, 3600);
    test_cert_init(&wrong_name, &ca, "DNS:elsewhere.example", -60, 3600);
}

static void teardown(void)
{
    test_cert_done(&cert);
    test_cert_done(&wrong_name);
    test_ca_done(&ca);
    free(ca_pem);
}

static void world_tls_init(struct world *w, bool implicit)
{
    world_init(w);
    w->tls = tls_peer_ctx(&cert, 0);
    w->implicit_tls = implicit;
}

static void world_tls_done(struct world *w)
{
    SSL_CTX_free(w->tls);
    world_done(w);
    ERR_clear_error();
}

static struct endpoint *tls_endpoint(struct world *w, bool implicit)
{
    struct endpoint *e = world_endpoint(w);
    e->engine.tls = TLS_POLICY_ALL;
    e->engine.implicit_tls = implicit;
    e->verify_peer = e->verify_host = true;
    e->ca_pem = strdup(ca_pem);
    return e;
}

static void expect_ok(struct world *w, struct pool *p)
{
    struct test_exchange *t = world_call(w, p, "ECHO through|DO it", true);
    ck_assert_msg(!t->has_fault, "%s: %s", t->fault.stage, t->fault.text);
    ck_assert_str_eq(t->data, "through");
    test_exchange_free(t);
}

static void expect_fault(struct world *w, struct pool *p, enum fault_kind kind, const char *stage, const char *words)
{
    struct test_exchange *t = world_call(w, p, "DO it", true);
    ck_assert(t->has_fault);
    ck_assert_msg(t->fault.kind == kind, "%s %s: %s", fault_kind_name(t->fault.kind), t->fault.stage, t->fault.text);
    ck_assert_str_eq(t->fault.stage, stage);
    ck_assert_msg(strstr(t->fault.text, words) != NULL, "%s", t->fault.text);
    ck_assert_int_eq(t->fault.outcome, OUTCOME_NONE);
    ck_assert_uint_eq(t->started, 0);
    test_exchange_free(t);
}

START_TEST(tls_implicit_and_upgraded)
{
    for (int implicit = 0; implicit < 2; implicit++) {
        struct world w;
        world_tls_init(&w, implicit);
        struct endpoint *e = tls_endpoint(&w, implicit);
        e->max_uses = 1; /* each call has a connection of its own */
        struct pool *p = world_pool(&w, e);
        for (int i = 0; i < 4; i++)
            expect_ok(&w, p);
        ck_assert_uint_eq(w.accepted, 4);
        ck_assert_uint_ge(SSL_CTX_sess_hits(w.tls), 2); /* resumed */
        world_close(&w, p);
        world_tls_done(&w);
    }
}
END_TEST

START_TEST(tls_refused_or_wrong)
{
    struct world w;
    struct test_credential credential;
    world_tls_init(&w, false);
    test_credential_init(&credential, &w, "right");
    struct endpoint *e = tls_endpoint(&w, false);
    e->engine.wants_login = true;
    e->credential = credential.source.ops->ref(&credential.source);
    struct pool *p = world_pool(&w, e);
    w.no_tls = true;
    expect_fault(&w, p, FAULT_TLS, "tls", "TLS refused");
    w.no_tls = false;
    /* Bytes in clear behind the agreement. */
    w.behind_go = "+injected\n";
    pool_resume(p);
    expect_fault(&w, p, FAULT_TLS, "tls", "");
    w.behind_go = NULL;
    /* The wrong certificate. */
    SSL_CTX_use_certificate(w.tls, wrong_name.cert);
    SSL_CTX_use_PrivateKey(w.tls, wrong_name.key);
    pool_resume(p);
    expect_fault(&w, p, FAULT_TLS, "tls", "name mismatch: wanted 127.0.0.1, got elsewhere.example");
    /* No credential went out, nor was one asked for. */
    ck_assert_uint_eq(credential.fetched, 0);
    ck_assert_ptr_null(strstr(w.log, "AUTH"));
    SSL_CTX_use_certificate(w.tls, cert.cert);
    SSL_CTX_use_PrivateKey(w.tls, cert.key);
    pool_resume(p);
    expect_ok(&w, p);
    ck_assert_uint_eq(w.auths, 1);
    world_close(&w, p);
    world_tls_done(&w);
}
END_TEST

static int swallow(struct world *w, struct line_conn *c, const char *line)
{
    (void) w;
    (void) c;
    (void) line;
    return 1;
}

START_TEST(tls_that_hangs)
{
    struct world w;
    world_tls_init(&w, false);
    w.greeting = ""; /* accepts, says nothing: the handshake hangs */
    w.on_line = swallow;
    struct endpoint *e = tls_endpoint(&w, true);
    e->connect_timeout_ms = 800;
    struct pool *p = world_pool(&w, e);
    uint64_t begin = loop_now_ms(w.loop);
    expect_fault(&w, p, FAULT_TIMEOUT, "tls", "no answer");
    ck_assert_uint_lt(loop_now_ms(w.loop) - begin, 10000);
    /* Speaks in clear. */
    w.greeting = "220 hello, this is clear text\n";
    pool_resume(p);
    expect_fault(&w, p, FAULT_TLS, "tls", "not TLS");
    w.close_at_accept = true;
    pool_resume(p);
    expect_fault(&w, p, FAULT_TLS, "tls", "");
    world_close(&w, p);
    world_tls_done(&w);
}
END_TEST

static int drop_in_body(struct world *w, struct line_conn *c, const char *line)
{
    if (strcmp(line, "PUT") != 0 || w->accepted > 1)
        return 0;
    conn_reset(c);
    return 1;
}

START_TEST(outcomes_through_tls)
{
    struct world w;
    struct fault fault = {0};
    world_tls_init(&w, true);
    struct pool *p = world_pool(&w, tls_endpoint(&w, true));
    w.on_line = drop_in_body;
    struct test_exchange *t = test_exchange_new(&w, "t", "PUT", true);
    size_t len = 16u << 20;
    char *body = malloc(len);
    memset(body, 'x', len);
    for (size_t i = 99; i < len; i += 100)
        body[i] = '\n';
    t->body = body;
    t->body_len = len;
    ck_assert_int_eq(pool_submit(p, &t->x, &fault), 0);
    world_run(&w, world_done_is, 1);
    ck_assert_msg(!t->has_fault, "%s (%u starts)", t->fault.text, t->started);
    ck_assert_uint_eq(t->started, 2);
    ck_assert_uint_eq(w.commits, 1);
    test_exchange_free(t);
    free(body);
    t = world_call(&w, p, "DROP", true);
    ck_assert_int_eq(t->fault.outcome, OUTCOME_UNKNOWN);
    ck_assert_uint_eq(t->started, 1);
    test_exchange_free(t);
    world_close(&w, p);
    world_tls_done(&w);
}
END_TEST

/* --- proxies: the server plays one before its greeting --- */

static struct endpoint *proxied(struct world *w, struct endpoint *e, enum proxy_kind kind)
{
    e->proxy.kind = kind;
    e->proxy.host = strdup("127.0.0.1");
    e->proxy.port = w->port;
    free(e->host);
    /* A name that only the proxy can know. */
    e->host = strdup(proxy_resolves(kind) ? "mail.invalid" : "192.0.2.1");
    return e;
}

START_TEST(through_proxies)
{
    static const struct proxy_play http[] = {{0, "HTTP/1.1 200 ok\r\nX: y\r\n\r\n", 25}};
    static const struct proxy_play socks5[] = {{3, "\5\0", 2}, {19, "\5\0\0\1\0\0\0\0\0\0", 10}};
    static const struct proxy_play socks4[] = {{9, "\0\132\0\0\0\0\0\0", 8}};
    static const struct {
        enum proxy_kind kind;
        const struct proxy_play *play;
        unsigned n;
    } cases[] = {{PROXY_HTTP, http, 1}, {PROXY_SOCKS5H, socks5, 2}, {PROXY_SOCKS4, socks4, 1}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (int tls = 0; tls < 3; tls++) {
            struct world w;
            world_tls_init(&w, tls == 1);
            w.play = cases[i].play;
            w.n_play = cases[i].n;
            struct endpoint *e = tls ? tls_endpoint(&w, tls == 1) : world_endpoint(&w);
            e->verify_name = strdup("127.0.0.1");
            struct pool *p = world_pool(&w, proxied(&w, e, cases[i].kind));
            expect_ok(&w, p);
            if (proxy_resolves(cases[i].kind))
                ck_assert_ptr_nonnull(memmem(w.played, w.n_played, "mail.invalid", 12));
            world_close(&w, p);
            world_tls_done(&w);
        }
    }
}
END_TEST

START_TEST(through_a_proxy_with_tls)
{
    static const struct proxy_play http[] = {{0, "HTTP/1.1 200 ok\r\n\r\n", 19}};
    struct world w;
    world_tls_init(&w, false);
    w.tls_proxy = true;
    w.play = http;
    w.n_play = 1;
    struct endpoint *e = proxied(&w, world_endpoint(&w), PROXY_HTTPS);
    e->max_uses = 1;
    struct pool *p = world_pool(&w, e);
    expect_ok(&w, p);
    struct test_exchange *t = world_call(&w, p, "DROP", true);
    ck_assert_int_eq(t->fault.outcome, OUTCOME_UNKNOWN);
    test_exchange_free(t);
    world_close(&w, p);
    /* Its certificate counts as much as a server's: nobody here trusts that authority. */
    e = proxied(&w, world_endpoint(&w), PROXY_HTTPS);
    e->proxy.verify_peer = e->proxy.verify_host = true;
    p = world_pool(&w, e);
    expect_fault(&w, p, FAULT_PROXY, "proxy", "trusted authority");
    world_close(&w, p);
    world_tls_done(&w);
}
END_TEST

START_TEST(proxies_that_refuse_or_hang)
{
    static const struct proxy_play refuses[] = {{0, "HTTP/1.1 403 no\r\n\r\n", 19}};
    static const struct proxy_play hangs[] = {{0, "HTTP/1.1 200 ok\r\n", 17}};
    static const char early[] = "HTTP/1.1 407 who\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 ok\r\n\r\n";
    static const struct proxy_play ahead[] = {{0, early, sizeof(early) - 1}};
    /* With implicit TLS bytes glued behind the success are the server's, and must be TLS. */
    static const struct proxy_play glued[] = {{0, "HTTP/1.1 200 ok\r\n\r\n+hi\n+go\n", 27}};
    struct world w;
    world_tls_init(&w, false);
    struct endpoint *e = proxied(&w, tls_endpoint(&w, true), PROXY_HTTP);
    e->connect_timeout_ms = 800;
    struct pool *p = world_pool(&w, e);
    w.greeting = "";
    w.n_play = 1;
    w.play = refuses;
    expect_fault(&w, p, FAULT_PROXY, "proxy", "403 no");
    w.play = hangs;
    pool_resume(p);
    expect_fault(&w, p, FAULT_TIMEOUT, "proxy", "no answer");
    w.play = glued;
    pool_resume(p);
    expect_fault(&w, p, FAULT_TLS, "tls", "handshake");
    world_close(&w, p);
    /* What came before the question is no answer to it. */
    e = proxied(&w, world_endpoint(&w), PROXY_HTTP);
    e->proxy.username = strdup("me");
    p = world_pool(&w, e);
    w.play = ahead;
    expect_fault(&w, p, FAULT_PROXY, "proxy", "not asked yet");
    world_close(&w, p);
    world_unlisten(&w);
    p = world_pool(&w, proxied(&w, world_endpoint(&w), PROXY_SOCKS5H));
    expect_fault(&w, p, FAULT_CONNECT, "connect", "refused");
    world_close(&w, p);
    world_tls_done(&w);
}
END_TEST

/* A proxy that asks for a name: on the same connection, and on another one because it ends the first. */
START_TEST(proxies_that_ask)
{
#define ASKS "HTTP/1.1 407 who?\r\nProxy-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\n"
    static const char there[] = ASKS "Content-Length: 5\r\n\r\nwho?\n", leaves[] = ASKS "\r\n";
    static const char open[] = "HTTP/1.1 200 ok\r\n\r\n";
    for (int i = 0; i < 4; i++) {
        bool closes = i % 2, tls = i > 1;
        const struct proxy_play play[] = {{0, closes ? leaves : there, closes ? sizeof(leaves) - 1 : sizeof(there) - 1},
                                          {0, open, sizeof(open) - 1}};
        struct world w;
        world_tls_init(&w, false);
        w.tls_proxy = tls;
        w.play = play;
        w.n_play = 2;
        w.play_closes = closes;
        struct endpoint *e = proxied(&w, world_endpoint(&w), tls ? PROXY_HTTPS : PROXY_HTTP);
        e->proxy.username = strdup("me");
        e->proxy.password = secret_new("open sesame", 11);
        e->proxy.method = PROXY_METHOD_DIGEST;
        struct pool *p = world_pool(&w, e);
        expect_ok(&w, p);
        ck_assert_uint_eq(w.accepted, closes ? 2 : 1);
        ck_assert_ptr_nonnull(memmem(w.played, w.n_played, "Digest username=\"me\"", 20));
        ck_assert_ptr_null(memmem(w.played, w.n_played, "sesame", 6));
        world_close(&w, p);
        world_tls_done(&w);
    }
}
END_TEST

START_TEST(glued_bytes_are_the_tunnels)
{
    static const struct proxy_play glued[] = {{0, "HTTP/1.1 200 ok\r\n\r\n+hi\n", 23}};
    struct world w;
    world_init(&w);
    w.greeting = "";
    w.n_play = 1;
    w.play = glued;
    struct pool *p = world_pool(&w, proxied(&w, world_endpoint(&w), PROXY_HTTP));
    expect_ok(&w, p);
    world_close(&w, p);
    world_done(&w);
}
END_TEST

START_TEST(some_hosts_go_without_proxy)
{
    struct world w;
    world_init(&w);
    struct endpoint *e = world_endpoint(&w);
    e->proxy.kind = PROXY_HTTP;
    e->proxy.host = strdup("proxy.invalid");
    e->proxy.port = 1;
    e->no_proxy = calloc(2, sizeof(char *));
    e->no_proxy[0] = strdup("127.0.0.1");
    struct pool *p = world_pool(&w, e);
    expect_ok(&w, p);
    world_close(&w, p);
    world_done(&w);
}
END_TEST

/* --- limits of a connection --- */

static int drip(struct world *w, struct line_conn *c, const char *line)
{
    (void) w;
    (void) c;
    return strcmp(line, "DRIP") == 0;
}

START_TEST(drips_of_a_greeting_end)
{
    struct world w;
    world_init(&w);
    w.greeting = "+";
    w.on_line = drip;
    struct endpoint *e = world_endpoint(&w);
    e->timeout_ms = 1500;
    e->ready_timeout_ms = 2000;
    struct pool *p = world_pool(&w, e);
    struct test_exchange *t = test_exchange_new(&w, "t", "DO it", true);
    struct fault fault = {0};
    uint64_t begin = loop_now_ms(w.loop);
    ck_assert_int_eq(pool_submit(p, &t->x, &fault), 0);
    /* A byte every 20 ms: progress, but the time until ready is absolute. */
    for (int i = 0; i < 1000 && !t->done; i++) {
        struct line_conn *c = list_first(&w.conns, struct line_conn, link);
        if (c)
            conn_say(c, "x");
        world_run_for(&w, 20);
    }
    ck_assert_uint_eq(t->done, 1);
    ck_assert_int_eq(t->fault.kind, FAULT_TIMEOUT);
    ck_assert_str_eq(t->fault.stage, "greeting");
    ck_assert_uint_ge(loop_now_ms(w.loop) - begin, 1990);
    test_exchange_free(t);
    world_close(&w, p);
    world_done(&w);
}
END_TEST

START_TEST(drips_of_an_answer_end)
{
    struct world w;
    struct fault fault = {0};
    world_init(&w);
    w.on_line = drip;
    struct endpoint *e = world_endpoint(&w);
    e->timeout_ms = 2000; /* more than a byte takes on a busy machine */
    struct pool *p = world_pool(&w, e);
    struct test_exchange *t = test_exchange_new(&w, "t", "DRIP", false);
    t->x.deadline_ms = loop_now_ms(w.loop) + 300;
    ck_assert_int_eq(pool_submit(p, &t->x, &fault), 0);
    for (int i = 0; i < 500 && !t->x.orphaned && !t->done; i++) {
        struct line_conn *c = list_first(&w.conns, struct line_conn, link);
        if (c)
            conn_say(c, "+");
        world_run_for(&w, 10);
    }
    /* Its time was over though bytes kept coming; and when they stop, so does the connection. */
    ck_assert(t->x.orphaned && t->x.ended_by_deadline);
    world_run(&w, world_done_is, 1);
    ck_assert_int_eq(t->fault.kind, FAULT_TIMEOUT);
    test_exchange_free(t);
    world_close(&w, p);
    world_done(&w);
}
END_TEST

START_TEST(happy_eyeballs)
{
    struct world w;
    world_init(&w);
    /* localhost is ::1 and 127.0.0.1 in most places; the server listens on the latter only. */
    struct endpoint *e = world_endpoint(&w);
    free(e->host);
    e->host = strdup("localhost");
    struct pool *p = world_pool(&w, e);
    expect_ok(&w, p);
    world_close(&w, p);
    e = world_endpoint(&w);
    e->local_address = strdup("127.0.0.2");
    e->keepalive = true;
    p = world_pool(&w, e);
    expect_ok(&w, p);
    struct line_conn *c = list_last(&w.conns, struct line_conn, link);
    struct sockaddr_in from;
    socklen_t len = sizeof(from);
    ck_assert_int_eq(getpeername(c->fd, (struct sockaddr *) &from, &len), 0);
    ck_assert_uint_eq(ntohl(from.sin_addr.s_addr), 0x7f000002);
    world_close(&w, p);
    e = world_endpoint(&w);
    e->family = AF_INET6;
    p = world_pool(&w, e);
    expect_fault(&w, p, FAULT_CONNECT, "dns", "family");
    world_close(&w, p);
    world_done(&w);
}
END_TEST

#define MANY 40

static bool all_started(struct world *w)
{
    return w->started == w->want;
}

START_TEST(idle_connections_are_small)
{
    struct world w;
    struct fault fault = {0};
    struct test_exchange *t[MANY];
    world_tls_init(&w, true);
    struct endpoint *e = tls_endpoint(&w, true);
    e->pool_size = MANY;
    struct pool *p = world_pool(&w, e);
    expect_ok(&w, p); /* what is needed once */
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < MANY; i++) {
        t[i] = test_exchange_new(&w, "t", "HANG", false);
        ck_assert_int_eq(pool_submit(p, &t[i]->x, &fault), 0);
    }
    world_run(&w, all_started, MANY + 1);
    ck_assert_uint_eq(w.open, MANY);
    struct line_conn *c;
    list_foreach(&w.conns, c, struct line_conn, link)
        conn_say(c, "+ok\n");
    world_run(&w, world_done_is, MANY + 1);
    /* Both ends live here, and the server's connections hold 64 kB of input each. */
    size_t each = (mallinfo2().uordblks - before) / (MANY - 1);
    if (mallinfo2().uordblks) /* not under AddressSanitizer, which has an allocator of its own */
        ck_assert_msg(each < sizeof(struct line_conn) + 2 * 40000, "%zu bytes a connection", each);
    for (int i = 0; i < MANY; i++)
        test_exchange_free(t[i]);
    world_close(&w, p);
    world_tls_done(&w);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("session");
    TCase *t = tcase_create("session");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, tls_implicit_and_upgraded);
    tcase_add_test(t, tls_refused_or_wrong);
    tcase_add_test(t, tls_that_hangs);
    tcase_add_test(t, outcomes_through_tls);
    tcase_add_test(t, through_proxies);
    tcase_add_test(t, through_a_proxy_with_tls);
    tcase_add_test(t, proxies_that_ask);
    tcase_add_test(t, proxies_that_refuse_or_hang);
    tcase_add_test(t, glued_bytes_are_the_tunnels);
    tcase_add_test(t, some_hosts_go_without_proxy);
    tcase_add_test(t, drips_of_a_greeting_end);
    tcase_add_test(t, drips_of_an_answer_end);
    tcase_add_test(t, happy_eyeballs);
    tcase_add_test(t, idle_connections_are_small);
    suite_add_tcase(s, t);
    return unit_run(s);
}
