/* SPDX-License-Identifier: MIT */
/* The pool where something goes wrong: calls that are cancelled or late, connections that die, servers that fail. */
#include "net_world.h"

#include "backoff.h"

#include <errno.h>
#include <stdio.h>

static int submit(struct pool *p, struct test_exchange *t, struct fault *fault)
{
    return pool_submit(p, &t->x, fault);
}

/* --- cancelling --- */

START_TEST(cancel_of_what_waits_and_of_what_was_written)
{
    struct world w;
    struct fault fault = {0};
    world_init(&w);
    struct endpoint *e = world_endpoint(&w);
    e->pool_size = 1;
    struct pool *p = world_pool(&w, e);
    struct test_exchange *a = test_exchange_new(&w, "a", "HANG", true);
    struct test_exchange *b = test_exchange_new(&w, "b", "ECHO b", false);
    struct test_exchange *c = test_exchange_new(&w, "c", "ECHO c", false);
    a->x.complete = b->x.complete = c->x.complete = true;
    ck_assert_int_eq(submit(p, a, &fault), 0);
    ck_assert_int_eq(submit(p, b, &fault), 0);
    ck_assert_int_eq(submit(p, c, &fault), 0);
    /* Nothing was placed yet. */
    ck_assert_int_eq(exchange_cancel(&b->x), OUTCOME_NONE);
    ck_assert_int_eq(exchange_cancel(&b->x), OUTCOME_NONE);
    ck_assert_uint_eq(b->done, 0);
    world_run(&w, world_done_is, 1);
    ck_assert_int_eq(b->fault.kind, FAULT_CANCELLED);
    ck_assert_uint_eq(b->started, 0);
    world_run_for(&w, 30);
    ck_assert_uint_eq(a->started, 1);
    /* Written: it is orphaned, its answer still counted, the neighbour notices nothing. */
    ck_assert_int_eq(exchange_cancel(&a->x), OUTCOME_UNKNOWN);
    ck_assert(a->x.orphaned);
    world_run_for(&w, 10);
    ck_assert_uint_eq(a->done, 0);
    conn_say(list_first(&w.conns, struct line_conn, link), "+late\n");
    world_run(&w, world_done_is, 3);
    ck_assert(!a->has_fault && a->last_ok);
    ck_assert(!c->has_fault);
    ck_assert_str_eq(c->data, "c");
    ck_assert_uint_eq(w.accepted, 1);
    world_close(&w, p);
    test_exchange_free(a);
    test_exchange_free(b);
    test_exchange_free(c);
    world_done(&w);
}
END_TEST

START_TEST(cancel_from_inside_an_event)
{
    struct world w;
    struct fault fault = {0};
    world_init(&w);
    struct pool *p = world_pool(&w, world_endpoint(&w));
    struct test_exchange *a = test_exchange_new(&w, "a", "ECHO a|ECHO b", true);
    a->cancel_at_data = true;
    ck_assert_int_eq(submit(p, a, &fault), 0);
    world_run(&w, world_done_is, 1);
    ck_assert(!a->has_fault && a->x.orphaned);
    world_close(&w, p);
    test_exchange_free(a);
    world_done(&w);
}
END_TEST

START_TEST(cancel_of_one_that_dies_with_its_neighbour)
{
    struct world w;
    struct fault fault = {0};
    world_init(&w);
    struct endpoint *e = world_endpoint(&w);
    e->pool_size = 1;
    struct pool *p = world_pool(&w, e);
    struct test_exchange *a = test_exchange_new(&w, "a", "HANG", true);
    struct test_exchange *b = test_exchange_new(&w, "b", "ECHO b", false);
    a->x.complete = b->x.complete = true;
    a->cancels = b;
    ck_assert_int_eq(submit(p, a, &fault), 0);
    ck_assert_int_eq(submit(p, b, &fault), 0);
    world_run_for(&w, 30);
    ck_assert_uint_eq(b->started, 1);
    conn_reset(list_first(&w.conns, struct line_conn, link));
    world_run(&w, world_done_is, 2);
    ck_assert_int_eq(a->fault.outcome, OUTCOME_UNKNOWN);
    /* It would have been started again. */
    ck_assert(b->has_fault && b->started == 1);
    ck_assert_int_eq(b->fault.outcome, OUTCOME_NONE);
    world_close(&w, p);
    test_exchange_free(a);
    test_exchange_free(b);
    world_done(&w);
}
END_TEST

START_TEST(an_orphan_owing_too_much_closes_the_connection)
{
    struct world w;
    struct fault fault = {0};
    world_init(&w);
    struct pool *p = world_pool(&w, world_endpoint(&w));
    struct test_exchange *a = test_exchange_new(&w, "a", "HANG", false);
    ck_assert_int_eq(submit(p, a, &fault), 0);
    world_run_for(&w, 30);
    exchange_cancel(&a->x);
    char line[4097];
    memset(line, 'x', sizeof(line));
    line[0] = '=';
    line[4095] = '\n';
    line[4096] = '\0';
    for (int i = 0; i < 400 && !a->done; i++) {
        struct line_conn *c = list_first(&w.conns, struct line_conn, link);
        if (c)
            conn_say(c, line);
        world_run_for(&w, 1);
    }
    ck_assert_uint_eq(a->done, 1);
    ck_assert_uint_eq(w.accepted, 1);
    world_close(&w, p);
    test_exchange_free(a);
    world_done(&w);
}
END_TEST

START_TEST(deadlines)
{
    struct world w;
    struct fault fault = {0};
    world_init(&w);
    struct endpoint *e = world_endpoint(&w);
    e->pool_size = 1;
    e->timeout_ms = 900;
    struct pool *p = world_pool(&w, e);
    struct test_exchange *a = test_exchange_new(&w, "a", "HANG", true);
    struct test_exchange *b = test_exchange_new(&w, "b", "ECHO b", false);
    a->x.deadline_ms = b->x.deadline_ms = loop_now_ms(w.loop) + 300; /* written by then, on a busy machine too */
    ck_assert_int_eq(submit(p, a, &fault), 0);
    ck_assert_int_eq(submit(p, b, &fault), 0);
    world_run(&w, world_done_is, 1);
    ck_assert_int_eq(b->fault.kind, FAULT_TIMEOUT);
    world_run_for(&w, 5);
    ck_assert(a->x.orphaned && a->x.ended_by_deadline);
    /* The server stays silent: the time limit of the connection ends the orphan. */
    world_run(&w, world_done_is, 2);
    ck_assert_int_eq(a->fault.kind, FAULT_TIMEOUT);
    ck_assert_int_eq(a->fault.outcome, OUTCOME_UNKNOWN);
    ck_assert_str_eq(a->fault.stage, "command");
    world_close(&w, p);
    test_exchange_free(a);
    test_exchange_free(b);
    world_done(&w);
}
END_TEST

/* --- deaths --- */

START_TEST(outcomes_when_the_connection_dies)
{
    struct world w;
    world_init(&w);
    struct pool *p = world_pool(&w, world_endpoint(&w));
    /* A change that was wholly written: unknown, never repeated. */
    struct test_exchange *t = world_call(&w, p, "DROP", true);
    ck_assert_int_eq(t->fault.kind, FAULT_DISCONNECTED);
    ck_assert_int_eq(t->fault.outcome, OUTCOME_UNKNOWN);
    ck_assert_int_eq(t->fault.retry, RETRY_NO);
    ck_assert_uint_eq(t->started, 1);
    ck_assert_str_eq(t->fault.protocol, "smtp");
    test_exchange_free(t);
    t = world_call(&w, p, "RESET", true);
    ck_assert_int_eq(t->fault.outcome, OUTCOME_UNKNOWN);
    ck_assert_uint_eq(t->started, 1);
    test_exchange_free(t);
    /* A read: once more, silently; then told. */
    unsigned before = w.accepted;
    t = world_call(&w, p, "DROP", false);
    ck_assert_int_eq(t->fault.kind, FAULT_DISCONNECTED);
    ck_assert_int_eq(t->fault.outcome, OUTCOME_NONE);
    ck_assert_uint_eq(t->started, 2);
    ck_assert_uint_le(w.accepted - before, 2);
    test_exchange_free(t);
    struct pool_stats stats;
    pool_stats(p, &stats);
    ck_assert_uint_eq(stats.restarted, 1);
    /* The next call works. */
    pool_resume(p);
    t = world_call(&w, p, "DO it", true);
    ck_assert(!t->has_fault);
    test_exchange_free(t);
    world_close(&w, p);
    world_done(&w);
}
END_TEST

static int drop_in_body(struct world *w, struct line_conn *c, const char *line)
{
    if (strcmp(line, "PUT") != 0 || w->accepted > 1)
        return 0;
    conn_close(c);
    return 1;
}

START_TEST(a_body_that_was_cut_is_sent_again)
{
    struct world w;
    struct fault fault = {0};
    world_init(&w);
    w.on_line = drop_in_body;
    struct pool *p = world_pool(&w, world_endpoint(&w));
    struct test_exchange *t = test_exchange_new(&w, "t", "PUT", true);
    /* Far more than the kernel's buffers take. */
    size_t len = 16u << 20;
    char *body = malloc(len);
    memset(body, 'x', len);
    for (size_t i = 99; i < len; i += 100)
        body[i] = '\n';
    t->body = body;
    t->body_len = len;
    ck_assert_int_eq(submit(p, t, &fault), 0);
    world_run(&w, world_done_is, 1);
    ck_assert_msg(!t->has_fault, "%s (%u starts, %u connections)", t->fault.text, t->started, w.accepted);
    ck_assert_uint_eq(t->started, 2);
    ck_assert_uint_eq(w.commits, 1);
    ck_assert_uint_eq(w.accepted, 2);
    /* A body that cannot be had fails its own call, here with the connection. */
    struct test_exchange *bad = test_exchange_new(&w, "bad", "PUT", true);
    bad->body_fail = true;
    ck_assert_int_eq(submit(p, bad, &fault), 0);
    world_run(&w, world_done_is, 2);
    ck_assert_int_eq(bad->fault.kind, FAULT_BAD_MESSAGE);
    ck_assert_int_eq(bad->fault.outcome, OUTCOME_NONE);
    world_close(&w, p);
    test_exchange_free(t);
    test_exchange_free(bad);
    free(body);
    world_done(&w);
}
END_TEST

START_TEST(idle_connections_that_died_are_not_noticed)
{
    struct world w;
    world_init(&w);
    struct endpoint *e = world_endpoint(&w);
    e->pool_size = 1;
    struct pool *p = world_pool(&w, e);
    static const char *const deaths[] = {"", "!bye\n", "+nobody asked\n", "?garbage\n", "half a li"};
    for (size_t i = 0; i < ARRAY_LEN(deaths); i++) {
        struct test_exchange *t = world_call(&w, p, "DO it", true);
        ck_assert_msg(!t->has_fault, "before death %zu: %s", i, t->fault.text);
        test_exchange_free(t);
        struct line_conn *c = list_first(&w.conns, struct line_conn, link);
        ck_assert_ptr_nonnull(c);
        /* The next call comes in the same turn, before anything was read. */
        conn_say(c, deaths[i]);
        if (!deaths[i][0])
            conn_close(c);
        t = world_call(&w, p, "DO again", true);
        ck_assert_msg(!t->has_fault, "after death %zu: %s", i, t->fault.text);
        ck_assert_uint_eq(t->started, 1);
        test_exchange_free(t);
        ck_assert_uint_eq(w.accepted, i + 2);
    }
    ck_assert_uint_eq(w.commits, 2 * ARRAY_LEN(deaths));
    world_close(&w, p);
    world_done(&w);
}
END_TEST

static int hang_on_noop(struct world *w, struct line_conn *c, const char *line)
{
    (void) w;
    return strcmp(line, "NOOP") == 0 && c->number == 1;
}

START_TEST(a_silent_connection_proves_itself)
{
    struct world w;
    world_init(&w);
    struct endpoint *e = world_endpoint(&w);
    e->pool_size = 1;
    e->idle_probe_ms = 20;
    e->timeout_ms = 1000;
    struct pool *p = world_pool(&w, e);
    test_exchange_free(world_call(&w, p, "DO it", true));
    world_run_for(&w, 40);
    /* Reads go at once, changes behind a proof. */
    test_exchange_free(world_call(&w, p, "ECHO x", false));
    ck_assert_ptr_null(strstr(w.log, "NOOP"));
    world_run_for(&w, 40);
    struct test_exchange *t = world_call(&w, p, "DO two", true);
    ck_assert(!t->has_fault);
    test_exchange_free(t);
    ck_assert_ptr_nonnull(strstr(w.log, "1:NOOP 1:DO two"));
    /* Dark: no answer to the proof; another connection does it, and the caller sees nothing. */
    w.on_line = hang_on_noop;
    world_run_for(&w, 40);
    t = world_call(&w, p, "DO three", true);
    ck_assert_msg(!t->has_fault, "%s", t->fault.text);
    ck_assert_uint_eq(t->started, 1);
    ck_assert_ptr_nonnull(strstr(w.log, "1:NOOP 2:DO three"));
    test_exchange_free(t);
    world_close(&w, p);
    world_done(&w);
}
END_TEST

/* --- failures on the way --- */

START_TEST(failures_at_each_step)
{
    struct {
        const char *greeting, *stage;
        enum fault_kind kind;
        bool close;
    } cases[] = {
        {"", "greeting", FAULT_DISCONNECTED, true},
        {"", "greeting", FAULT_TIMEOUT, false},
        {"-go away\n", "greeting", FAULT_REJECTED, false},
        {"SSH-2.0\n", "greeting", FAULT_PROTOCOL, false},
    };
    struct world w;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        world_init(&w);
        w.greeting = cases[i].greeting;
        w.close_at_accept = cases[i].close;
        struct endpoint *e = world_endpoint(&w);
        e->timeout_ms = 600;
        struct pool *p = world_pool(&w, e);
        struct test_exchange *t = world_call(&w, p, "DO it", true);
        ck_assert_msg(t->fault.kind == cases[i].kind, "case %zu: %d %s", i, t->fault.kind, t->fault.text);
        ck_assert_str_eq(t->fault.stage, cases[i].stage);
        ck_assert_int_eq(t->fault.outcome, OUTCOME_NONE);
        ck_assert_uint_eq(t->started, 0);
        test_exchange_free(t);
        /* The server is well again: the next call works at once. */
        w.greeting = NULL;
        w.close_at_accept = false;
        t = world_call(&w, p, "DO it", true);
        ck_assert_msg(!t->has_fault, "case %zu: %s", i, t->fault.text);
        test_exchange_free(t);
        world_close(&w, p);
        world_done(&w);
    }
}
END_TEST

START_TEST(names_that_do_not_exist)
{
    struct world w;
    world_init(&w);
    struct endpoint *e = world_endpoint(&w);
    free(e->host);
    e->host = strdup("no such host");
    struct pool *p = world_pool(&w, e);
    struct test_exchange *t = world_call(&w, p, "DO it", true);
    ck_assert_int_eq(t->fault.kind, FAULT_CONNECT);
    ck_assert_str_eq(t->fault.stage, "dns");
    test_exchange_free(t);
    world_close(&w, p);
    world_done(&w);
}
END_TEST

START_TEST(back_off_grows_and_is_shared)
{
    struct world w;
    struct fault fault = {0};
    struct pool_stats stats;
    world_init(&w);
    world_unlisten(&w);
    struct pool *p = world_pool(&w, world_endpoint(&w)), *q = world_pool(&w, world_endpoint(&w));
    for (int i = 0; i < 4; i++) {
        struct test_exchange *t = test_exchange_new(&w, "t", "DO it", true);
        fault_clear(&fault);
        int r = submit(p, t, &fault);
        if (r == 0) {
            world_run(&w, world_done_is, w.done + 1);
            ck_assert_int_eq(t->fault.kind, FAULT_CONNECT);
            ck_assert_str_eq(t->fault.stage, "connect");
        } else {
            ck_assert_int_eq(fault.kind, FAULT_CONNECT);
            ck_assert_uint_gt(fault.retry_after_ms, 1000);
        }
        test_exchange_free(t);
    }
    pool_stats(p, &stats);
    ck_assert_uint_gt(stats.backoff_until_ms, 0);
    ck_assert_uint_ge(stats.failed, 3);
    /* The other pool of that host is held back as well. */
    pool_stats(q, &stats);
    ck_assert_uint_gt(stats.backoff_until_ms, 0);
    world_listen(&w);
    pool_resume(p);
    struct test_exchange *t = world_call(&w, p, "DO it", true);
    ck_assert(!t->has_fault);
    test_exchange_free(t);
    world_close(&w, p);
    world_close(&w, q);
    world_done(&w);
}
END_TEST

START_TEST(the_breaker)
{
    struct world w;
    struct fault fault = {0};
    struct test_credential credential;
    world_init(&w);
    test_credential_init(&credential, &w, "wrong");
    struct endpoint *e = world_endpoint(&w);
    e->engine.wants_login = true;
    e->credential = credential.source.ops->ref(&credential.source);
    struct pool *p = world_pool(&w, e);
    struct test_exchange *t = world_call(&w, p, "DO it", true);
    ck_assert_int_eq(t->fault.kind, FAULT_AUTH);
    ck_assert_str_eq(t->fault.stage, "auth");
    test_exchange_free(t);
    ck_assert_uint_eq(credential.refused, 1);
    t = test_exchange_new(&w, "t", "DO it", true);
    for (int i = 0; i < 5; i++) {
        fault_clear(&fault);
        ck_assert_int_lt(submit(p, t, &fault), 0);
        ck_assert_int_eq(fault.kind, FAULT_AUTH);
    }
    world_run_for(&w, 30);
    ck_assert_uint_eq(w.auths, 1);
    struct pool_stats stats;
    pool_stats(p, &stats);
    ck_assert(stats.broken);
    test_exchange_free(t);
    /* "Later" is no refusal of the credentials. */
    credential.password = "later";
    pool_resume(p);
    t = world_call(&w, p, "DO it", true);
    ck_assert_int_eq(t->fault.kind, FAULT_REJECTED);
    test_exchange_free(t);
    pool_stats(p, &stats);
    ck_assert(!stats.broken);
    credential.password = NULL;
    t = world_call(&w, p, "DO it", true);
    ck_assert_int_eq(t->fault.kind, FAULT_STORAGE);
    test_exchange_free(t);
    credential.password = "right";
    pool_resume(p);
    t = world_call(&w, p, "DO it", true);
    ck_assert(!t->has_fault);
    test_exchange_free(t);
    world_close(&w, p);
    ck_assert_uint_eq(credential.refs, 1);
    world_done(&w);
}
END_TEST

/* Where another credential can be had, one refusal is not the last word; a second one is. */
START_TEST(the_breaker_of_what_renews)
{
    for (int renews = 0; renews < 2; renews++) {
        struct world w;
        struct test_credential credential;
        world_init(&w);
        test_credential_init(&credential, &w, "wrong");
        credential.source.renews = renews;
        struct endpoint *e = world_endpoint(&w);
        e->engine.wants_login = e->engine.has_token = true;
        e->credential = credential.source.ops->ref(&credential.source);
        struct pool *p = world_pool(&w, e);
        struct test_exchange *t = world_call(&w, p, "DO it", true);
        ck_assert_int_eq(t->fault.kind, FAULT_AUTH);
        ck_assert_uint_eq(w.auths, renews ? 2 : 1);
        ck_assert_uint_eq(credential.refused, renews ? 2 : 1);
        test_exchange_free(t);
        world_close(&w, p);
        world_done(&w);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pool_failures");
    TCase *t = tcase_create("pool_failures");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, cancel_of_what_waits_and_of_what_was_written);
    tcase_add_test(t, cancel_from_inside_an_event);
    tcase_add_test(t, cancel_of_one_that_dies_with_its_neighbour);
    tcase_add_test(t, an_orphan_owing_too_much_closes_the_connection);
    tcase_add_test(t, deadlines);
    tcase_add_test(t, outcomes_when_the_connection_dies);
    tcase_add_test(t, a_body_that_was_cut_is_sent_again);
    tcase_add_test(t, idle_connections_that_died_are_not_noticed);
    tcase_add_test(t, a_silent_connection_proves_itself);
    tcase_add_test(t, failures_at_each_step);
    tcase_add_test(t, names_that_do_not_exist);
    tcase_add_test(t, back_off_grows_and_is_shared);
    tcase_add_test(t, the_breaker);
    tcase_add_test(t, the_breaker_of_what_renews);
    suite_add_tcase(s, t);
    return unit_run(s);
}
