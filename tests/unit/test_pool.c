/* SPDX-License-Identifier: MIT */
/* The pool: calls on its connections, fairness, limits. */
#include "net_world.h"

#include "backoff.h"

#include <errno.h>
#include <stdio.h>

static int submit(struct pool *p, struct test_exchange *t, struct fault *fault)
{
    return pool_submit(p, &t->x, fault);
}

static bool started_is(struct world *w)
{
    return w->started == w->want;
}

START_TEST(one_call_and_a_warm_second)
{
    struct world w;
    struct fault fault = {0};
    world_init(&w);
    struct pool *p = world_pool(&w, world_endpoint(&w));
    struct test_exchange *a = test_exchange_new(&w, "a", "ECHO one", false);
    struct test_exchange *b = test_exchange_new(&w, "b", "ECHO two|DO it", true);
    ck_assert_int_eq(submit(p, a, &fault), 0);
    world_run(&w, world_done_is, 1);
    ck_assert(!a->has_fault);
    ck_assert_str_eq(a->data, "one");
    ck_assert_int_eq(submit(p, b, &fault), 0);
    world_run(&w, world_done_is, 2);
    ck_assert(!b->has_fault && b->last_ok);
    ck_assert_uint_eq(w.accepted, 1);
    struct pool_stats stats;
    pool_stats(p, &stats);
    ck_assert_uint_eq(stats.opened, 1);
    ck_assert_uint_eq(stats.reused, 1);
    ck_assert_uint_eq(stats.idle, 1);
    ck_assert_uint_gt(stats.bytes_in, 0);
    world_close(&w, p);
    ck_assert_ptr_nonnull(strstr(w.log, "1:QUIT"));
    test_exchange_free(a);
    test_exchange_free(b);
    world_done(&w);
}
END_TEST

/* Twenty clients of two users through two connections: each user gets every second turn, and no third connection. */
START_TEST(fair_and_within_limits)
{
    struct world w;
    struct fault fault = {0};
    struct test_exchange *all[40];
    world_init(&w);
    struct pool *p = world_pool(&w, world_endpoint(&w));
    for (int i = 0; i < 40; i++) {
        char name[8];
        /* The greedy user's 30 calls come first. */
        snprintf(name, sizeof(name), "%c%d", i < 30 ? 'g' : 'm', i);
        all[i] = test_exchange_new(&w, name, "DO it", true);
        all[i]->x.owner.uid = i < 30 ? 1000 : 2000;
        all[i]->x.owner.client = (uint64_t) i % 5;
        ck_assert_int_eq(submit(p, all[i], &fault), 0);
    }
    world_run(&w, world_done_is, 40);
    ck_assert_int_eq(w.failed, 0);
    ck_assert_uint_eq(w.accepted, 2);
    ck_assert_uint_eq(w.commits, 40);
    /* The modest user's ten are all among the first half. */
    char *last = strstr(w.order, "m39");
    unsigned before = 0;
    for (char *c = w.order; c < last; c++)
        before += *c == ' ';
    ck_assert_uint_le(before, 24);
    world_close(&w, p);
    for (int i = 0; i < 40; i++)
        test_exchange_free(all[i]);
    world_done(&w);
}
END_TEST

START_TEST(incomplete_exchanges_are_not_pipelined_behind)
{
    struct world w;
    struct fault fault = {0};
    world_init(&w);
    struct endpoint *e = world_endpoint(&w);
    e->pool_size = 1;
    struct pool *p = world_pool(&w, e);
    struct test_exchange *a = test_exchange_new(&w, "a", "PUT", true);
    struct test_exchange *b = test_exchange_new(&w, "b", "ECHO b", false);
    struct test_exchange *c = test_exchange_new(&w, "c", "ECHO c", false);
    a->body = "text\n";
    a->body_len = 5;
    a->body_wait = true;
    ck_assert_int_eq(submit(p, a, &fault), 0);
    ck_assert_int_eq(submit(p, b, &fault), 0);
    world_run_for(&w, 50);
    ck_assert_uint_eq(a->started, 1);
    ck_assert_uint_eq(b->started, 0);
    a->body_wait = false;
    session_body_ready(a->x.session);
    world_run(&w, world_done_is, 2);
    ck_assert_int_eq(w.failed, 0);
    /* One whose bytes are at hand lets others behind it. */
    struct test_exchange *h = test_exchange_new(&w, "h", "HANG", false);
    h->x.complete = true;
    ck_assert_int_eq(submit(p, h, &fault), 0);
    ck_assert_int_eq(submit(p, c, &fault), 0);
    world_run_for(&w, 30);
    ck_assert_uint_eq(c->started, 1);
    ck_assert_ptr_eq(c->x.session, h->x.session);
    ck_assert_uint_eq(session_depth(h->x.session), 2);
    world_close(&w, p);
    ck_assert_int_eq(w.done, 4);
    test_exchange_free(a);
    test_exchange_free(b);
    test_exchange_free(c);
    test_exchange_free(h);
    world_done(&w);
}
END_TEST

START_TEST(queue_limits)
{
    struct world w;
    struct fault fault = {0};
    world_init(&w);
    struct endpoint *e = world_endpoint(&w);
    e->pool_size = 1;
    e->queue_size = 2;
    struct pool *p = world_pool(&w, e);
    struct test_exchange *x[4];
    for (int i = 0; i < 4; i++)
        x[i] = test_exchange_new(&w, "x", "HANG", false);
    ck_assert_int_eq(submit(p, x[0], &fault), 0);
    world_run(&w, started_is, 1);
    e->queue_timeout_ms = 60;
    ck_assert_int_eq(submit(p, x[1], &fault), 0);
    ck_assert_int_eq(submit(p, x[2], &fault), 0);
    ck_assert_int_eq(submit(p, x[3], &fault), -EBUSY);
    ck_assert_int_eq(fault.kind, FAULT_BUSY);
    world_run(&w, world_done_is, 2);
    ck_assert_int_eq(x[1]->fault.kind, FAULT_BUSY);
    ck_assert_int_eq(x[1]->fault.outcome, OUTCOME_NONE);
    ck_assert_uint_eq(x[0]->done, 0);
    world_close(&w, p);
    ck_assert_int_eq(x[0]->fault.kind, FAULT_UNAVAILABLE);
    for (int i = 0; i < 4; i++)
        test_exchange_free(x[i]);
    world_done(&w);
}
END_TEST

/* One that is made ready on its connection: nobody is put behind it, it goes on when it is, wherever that is then. */
START_TEST(prepared_on_a_connection)
{
    struct world w;
    struct fault fault = {0};
    world_init(&w);
    struct endpoint *e = world_endpoint(&w);
    e->pool_size = 1;
    struct pool *p = world_pool(&w, e);
    struct test_exchange *a = test_exchange_new(&w, "a", "DO a", true), *b = test_exchange_new(&w, "b", "DO b", true);
    struct test_exchange *c = test_exchange_new(&w, "c", "DO c", true), *d = test_exchange_new(&w, "d", "DO d", true);
    a->not_yet = 1;
    ck_assert_int_eq(submit(p, a, &fault), 0);
    ck_assert_int_eq(submit(p, b, &fault), 0);
    world_run(&w, started_is, 1);
    world_run_for(&w, 50);
    ck_assert_int_eq(w.started, 1);
    exchange_prepared(&a->x);
    world_run(&w, world_done_is, 2);
    ck_assert_str_eq(w.order, "a b ");
    ck_assert(!a->has_fault && a->started == 2);

    /* Its connection goes meanwhile: it is begun on the next one, and what comes late is for nobody. */
    c->not_yet = 1;
    ck_assert_int_eq(submit(p, c, &fault), 0);
    world_run(&w, started_is, 4);
    conn_close(list_first(&w.conns, struct line_conn, link));
    world_run(&w, world_done_is, 3);
    ck_assert(!c->has_fault && c->started == 2);
    ck_assert_uint_eq(w.accepted, 2);
    ck_assert_uint_eq(w.commits, 3);

    /* Cancelled meanwhile, nothing has happened, and the connection serves others. */
    d->not_yet = 1;
    ck_assert_int_eq(submit(p, d, &fault), 0);
    world_run(&w, started_is, 6);
    ck_assert_int_eq(exchange_cancel(&d->x), OUTCOME_NONE);
    world_run(&w, world_done_is, 4);
    ck_assert_int_eq(d->fault.kind, FAULT_CANCELLED);
    struct test_exchange *last = world_call(&w, p, "DO it", true);
    ck_assert(!last->has_fault);
    ck_assert_uint_eq(w.accepted, 2);
    world_close(&w, p);
    test_exchange_free(a);
    test_exchange_free(b);
    test_exchange_free(c);
    test_exchange_free(d);
    test_exchange_free(last);
    world_done(&w);
}
END_TEST

/* --- limits --- */

START_TEST(quotas_are_shared)
{
    struct world w;
    struct fault fault = {0};
    world_init(&w);
    struct connection_quota *quota = connection_quota_new(1);
    struct endpoint *e[2];
    struct pool *p[2];
    for (int i = 0; i < 2; i++) {
        e[i] = world_endpoint(&w);
        e[i]->account_quota = connection_quota_ref(quota);
        p[i] = world_pool(&w, e[i]);
    }
    struct test_exchange *t = world_call(&w, p[0], "DO a", true);
    ck_assert(!t->has_fault);
    test_exchange_free(t);
    /* The first pool's idle connection makes room for the second, and so on. */
    for (int i = 1; i < 6; i++) {
        t = world_call(&w, p[i % 2], "DO b", true);
        ck_assert_msg(!t->has_fault, "%s", t->fault.text);
        test_exchange_free(t);
    }
    ck_assert_uint_eq(w.max_open, 1);
    /* A busy one does not. */
    struct test_exchange *hang = test_exchange_new(&w, "h", "HANG", false);
    t = test_exchange_new(&w, "t", "DO c", true);
    ck_assert_int_eq(submit(p[0], hang, &fault), 0);
    world_run_for(&w, 30);
    ck_assert_int_eq(submit(p[1], t, &fault), 0);
    world_run_for(&w, 30);
    ck_assert_uint_eq(t->done, 0);
    conn_say(list_first(&w.conns, struct line_conn, link), "+at last\n");
    world_run(&w, world_done_is, w.done + 2);
    ck_assert(!t->has_fault);
    ck_assert_uint_eq(w.max_open, 1);
    test_exchange_free(t);
    test_exchange_free(hang);
    world_close(&w, p[0]);
    world_close(&w, p[1]);
    ck_assert_uint_eq(quota->used, 0);
    ck_assert(list_is_empty(&quota->waiters));
    connection_quota_unref(quota);
    world_done(&w);
}
END_TEST

START_TEST(lives_end)
{
    struct world w;
    struct pool_stats stats;
    world_init(&w);
    struct endpoint *e = world_endpoint(&w);
    e->max_uses = 2;
    e->idle_timeout_ms = 50;
    struct pool *p = world_pool(&w, e);
    for (int i = 0; i < 5; i++)
        test_exchange_free(world_call(&w, p, "DO it", true));
    ck_assert_uint_eq(w.accepted, 3);
    world_run_for(&w, 800);
    ck_assert_uint_eq(w.open, 0);
    pool_stats(p, &stats);
    ck_assert_uint_eq(stats.closed, 3);
    world_close(&w, p);

    e = world_endpoint(&w);
    e->max_lifetime_ms = 1000;
    e->min_pool_size = 1;
    p = world_pool(&w, e);
    unsigned before = w.accepted;
    world_run_for(&w, 200);
    ck_assert_uint_eq(w.accepted, before + 1); /* opened without being asked */
    world_run_for(&w, 1300);
    ck_assert_uint_ge(w.accepted, before + 2);
    ck_assert_uint_eq(w.open, 1);
    world_close(&w, p);
    world_done(&w);
}
END_TEST

START_TEST(the_rate_is_limited)
{
    struct world w;
    struct fault fault = {0};
    struct test_exchange *t[4];
    world_init(&w);
    struct endpoint *e = world_endpoint(&w);
    e->rate_limit = 3;
    e->rate_period_ms = 6000;
    struct pool *p = world_pool(&w, e);
    uint64_t begin = loop_now_ms(w.loop);
    for (int i = 0; i < 4; i++) {
        t[i] = test_exchange_new(&w, "t", "DO it", true);
        ck_assert_int_eq(submit(p, t[i], &fault), 0);
    }
    world_run(&w, world_done_is, 3);
    ck_assert_uint_lt(loop_now_ms(w.loop) - begin, 1950);
    world_run(&w, world_done_is, 4);
    ck_assert_uint_ge(loop_now_ms(w.loop) - begin, 1990);
    world_close(&w, p);
    for (int i = 0; i < 4; i++)
        test_exchange_free(t[i]);
    world_done(&w);
}
END_TEST

/* Two accounts at one host: its rate holds for both together. */
START_TEST(the_rate_of_a_host_is_limited)
{
    struct world w;
    struct fault fault = {0};
    struct test_exchange *t[6];
    struct pool *p[2];
    world_init(&w);
    struct connection_quota *quota = connection_quota_new(0);
    quota->rate = (struct rate_limit){3, 300, 0};
    for (int i = 0; i < 2; i++) {
        struct endpoint *e = world_endpoint(&w);
        e->host_quota = connection_quota_ref(quota);
        p[i] = world_pool(&w, e);
    }
    uint64_t begin = loop_now_ms(w.loop);
    for (int i = 0; i < 6; i++) {
        t[i] = test_exchange_new(&w, "t", "DO it", true);
        ck_assert_int_eq(submit(p[i % 2], t[i], &fault), 0);
    }
    world_run(&w, world_done_is, 6);
    ck_assert_uint_ge(loop_now_ms(w.loop) - begin, 250);
    /* Without a limit any more, nobody waits for it. */
    quota->rate.count = 0;
    test_exchange_free(world_call(&w, p[0], "DO it", true));
    world_close(&w, p[0]);
    world_close(&w, p[1]);
    for (int i = 0; i < 6; i++)
        test_exchange_free(t[i]);
    connection_quota_unref(quota);
    world_done(&w);
}
END_TEST

static int not_so_fast(struct world *w, struct line_conn *c, const char *line)
{
    (void) w;
    if (strncmp(line, "SLOW ", 5) != 0)
        return 0;
    char answer[32];
    snprintf(answer, sizeof(answer), "~%s\n", line + 5);
    conn_say(c, answer);
    return 1;
}

/* A server that asks one caller for patience gets it from all. */
START_TEST(left_alone_when_it_asks)
{
    struct world w;
    struct fault fault = {0};
    struct pool_stats stats;
    world_init(&w);
    w.on_line = not_so_fast;
    struct pool *p = world_pool(&w, world_endpoint(&w));
    uint64_t begin = loop_now_ms(w.loop);
    test_exchange_free(world_call(&w, p, "SLOW 300", false));
    test_exchange_free(world_call(&w, p, "DO it", true));
    ck_assert_uint_ge(loop_now_ms(w.loop) - begin, 300);
    /* Who cannot wait so long hears it at once, and when to come back. */
    test_exchange_free(world_call(&w, p, "SLOW 60000", false));
    struct test_exchange *t = test_exchange_new(&w, "t", "DO it", true);
    t->x.queue_deadline_ms = loop_now_ms(w.loop) + 1000;
    ck_assert_int_eq(submit(p, t, &fault), -EBUSY);
    ck_assert_int_eq(fault.kind, FAULT_BUSY);
    ck_assert_uint_gt(fault.retry_after_ms, 50000);
    test_exchange_free(t);
    pool_resume(p);
    test_exchange_free(world_call(&w, p, "DO it", true));
    /* One that does not say for how long gets a while. */
    test_exchange_free(world_call(&w, p, "SLOW down", false));
    pool_stats(p, &stats);
    ck_assert_uint_gt(stats.backoff_until_ms, 0);
    world_close(&w, p);
    world_done(&w);
}
END_TEST

START_TEST(pause_and_resume)
{
    struct world w;
    struct fault fault = {0};
    world_init(&w);
    struct pool *p = world_pool(&w, world_endpoint(&w));
    test_exchange_free(world_call(&w, p, "DO it", true));
    pool_pause(p);
    world_run_for(&w, 30);
    ck_assert_uint_eq(w.open, 0);
    struct test_exchange *t = test_exchange_new(&w, "t", "DO it", true);
    ck_assert_int_lt(submit(p, t, &fault), 0);
    ck_assert_int_eq(fault.kind, FAULT_UNAVAILABLE);
    pool_resume(p);
    ck_assert_int_eq(submit(p, t, &fault), 0);
    world_run(&w, world_done_is, 2);
    ck_assert(!t->has_fault);
    test_exchange_free(t);
    world_close(&w, p);
    world_done(&w);
}
END_TEST

START_TEST(closing_gives_grace)
{
    struct world w;
    struct fault fault = {0};
    world_init(&w);
    struct endpoint *e = world_endpoint(&w);
    e->pool_size = 1;
    struct pool *p = world_pool(&w, e);
    struct test_exchange *a = test_exchange_new(&w, "a", "HANG", true);
    struct test_exchange *b = test_exchange_new(&w, "b", "DO b", true);
    ck_assert_int_eq(submit(p, a, &fault), 0);
    ck_assert_int_eq(submit(p, b, &fault), 0);
    world_run_for(&w, 30);
    pool_close(p, 1000, NULL, NULL);
    world_run(&w, world_done_is, 1);
    ck_assert_int_eq(b->fault.kind, FAULT_UNAVAILABLE);
    ck_assert_uint_eq(a->done, 0);
    conn_say(list_first(&w.conns, struct line_conn, link), "+done\n");
    world_run(&w, world_done_is, 2);
    ck_assert(!a->has_fault);
    world_run_for(&w, 20);
    ck_assert_ptr_nonnull(strstr(w.log, "1:QUIT"));
    test_exchange_free(a);
    test_exchange_free(b);
    world_done(&w);
}
END_TEST

START_TEST(a_reader_holds_back_only_its_connection)
{
    struct world w;
    struct fault fault = {0};
    world_init(&w);
    struct endpoint *e = world_endpoint(&w);
    e->timeout_ms = 600;
    struct pool *p = world_pool(&w, e);
    struct test_exchange *a = test_exchange_new(&w, "a", "HANG", false);
    ck_assert_int_eq(submit(p, a, &fault), 0);
    world_run_for(&w, 100);
    exchange_pause(&a->x);
    conn_say(list_first(&w.conns, struct line_conn, link), "=data\n+ok\n");
    test_exchange_free(world_call(&w, p, "DO other", true));
    world_run_for(&w, 1000); /* longer than `timeout`: it is the reader who is slow */
    ck_assert_uint_eq(a->n_events, 0);
    exchange_resume(&a->x);
    world_run(&w, world_done_is, 2);
    ck_assert(!a->has_fault);
    ck_assert_str_eq(a->data, "data");
    world_close(&w, p);
    test_exchange_free(a);
    world_done(&w);
}
END_TEST

START_TEST(keys_of_endpoints)
{
    struct world w;
    world_init(&w);
    struct endpoint *a = world_endpoint(&w), *b = world_endpoint(&w);
    char *ka = endpoint_key(a), *kb = endpoint_key(b);
    ck_assert_str_eq(ka, kb);
    free(kb);
    b->verify_peer = true;
    kb = endpoint_key(b);
    ck_assert_str_ne(ka, kb);
    free(kb);
    b->verify_peer = false;
    b->proxy.password = secret_new("hidden", 6);
    kb = endpoint_key(b);
    ck_assert_str_ne(ka, kb);
    ck_assert_ptr_null(strstr(kb, "hidden"));
    free(kb);
    free(ka);
    endpoint_unref(a);
    endpoint_unref(b);
    world_done(&w);
}
END_TEST

/* What a host has taught is kept when nobody uses it any more, for a day, and of so many hosts only. */
START_TEST(lessons_of_hosts)
{
    struct list hosts;
    struct backoff_host *h, *again;
    unsigned n = 0;

    list_init(&hosts);
    h = backoff_host_get(&hosts, "Mail.Example", 25);
    ck_assert_ptr_eq(backoff_host_get(&hosts, "mail.example", 25), h);
    again = backoff_host_get_via(&hosts, "mail.example", 25, "proxy.example", 1080);
    ck_assert_ptr_ne(again, h);
    backoff_host_unref(&hosts, again);
    ck_assert_uint_eq(backoff_host_lessons(h, 1000), 0);
    backoff_host_unref(&hosts, h);
    backoff_host_teach(h, ENGINE_LESSON_NO_CHUNKS, 1000);
    backoff_host_unref(&hosts, h);
    again = backoff_host_get(&hosts, "mail.example", 25);
    ck_assert_ptr_eq(again, h);
    ck_assert_uint_eq(backoff_host_lessons(again, 999 + BACKOFF_LESSON_MS), ENGINE_LESSON_NO_CHUNKS);
    ck_assert_uint_eq(backoff_host_lessons(again, 1000 + BACKOFF_LESSON_MS), 0);
    h = backoff_host_get(&hosts, "mail.example", 587);
    ck_assert_ptr_ne(h, again);
    backoff_host_unref(&hosts, h); /* it has taught nothing and goes */
    for (unsigned i = 0; i < 2 * BACKOFF_HOSTS_TAUGHT; i++) {
        h = backoff_host_get(&hosts, "many.example", i + 1);
        backoff_host_teach(h, ENGINE_LESSON_NO_CHUNKS, 2000 + i);
        backoff_host_unref(&hosts, h);
    }
    list_foreach(&hosts, h, struct backoff_host, link)
        n++;
    ck_assert_uint_eq(n, BACKOFF_HOSTS_TAUGHT + 1);
    /* The oldest went, but not the one that is in use. */
    h = backoff_host_get(&hosts, "many.example", 2 * BACKOFF_HOSTS_TAUGHT);
    ck_assert_uint_ne(backoff_host_lessons(h, 3000), 0);
    backoff_host_unref(&hosts, h);
    h = backoff_host_get(&hosts, "many.example", 1);
    ck_assert_uint_eq(backoff_host_lessons(h, 3000), 0);
    backoff_host_unref(&hosts, h);
    ck_assert_uint_ne(backoff_host_lessons(again, 3000), 0);
    backoff_hosts_done(&hosts);
    backoff_host_unref(&hosts, again);
    backoff_hosts_done(&hosts);
    ck_assert(list_is_empty(&hosts));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pool");
    TCase *t = tcase_create("pool");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, one_call_and_a_warm_second);
    tcase_add_test(t, fair_and_within_limits);
    tcase_add_test(t, incomplete_exchanges_are_not_pipelined_behind);
    tcase_add_test(t, queue_limits);
    tcase_add_test(t, lessons_of_hosts);
    tcase_add_test(t, prepared_on_a_connection);
    tcase_add_test(t, quotas_are_shared);
    tcase_add_test(t, lives_end);
    tcase_add_test(t, the_rate_is_limited);
    tcase_add_test(t, the_rate_of_a_host_is_limited);
    tcase_add_test(t, left_alone_when_it_asks);
    tcase_add_test(t, pause_and_resume);
    tcase_add_test(t, closing_gives_grace);
    tcase_add_test(t, a_reader_holds_back_only_its_connection);
    tcase_add_test(t, keys_of_endpoints);
    suite_add_tcase(s, t);
    return unit_run(s);
}
