/* SPDX-License-Identifier: MIT */
#include "net_world.h"

struct test_lease {
    struct lease lease;
    struct world *world;
    bool ready, gone, noticed;
    struct fault fault;
};

static void lease_ready(struct lease *l, struct session *s)
{
    struct test_lease *t = container_of(l, struct test_lease, lease);
    ck_assert_ptr_eq(l->session, s);
    t->ready = true;
    t->world->done++;
}

static void lease_gone(struct lease *l, const struct fault *fault)
{
    struct test_lease *t = container_of(l, struct test_lease, lease);
    ck_assert(!t->gone);
    t->gone = true;
    t->fault = *fault;
    t->world->done++;
}

static void lease_notice(struct lease *l, const struct engine_event *event)
{
    (void) event;
    container_of(l, struct test_lease, lease)->noticed = true;
}

static const struct lease_ops test_lease_ops = {lease_ready, lease_gone, lease_notice};

static void lease_init(struct test_lease *t, struct world *w)
{
    *t = (struct test_lease){.lease.ops = &test_lease_ops, .world = w};
}

START_TEST(leases)
{
    struct world w;
    struct fault fault = {0};
    struct test_lease a, b, c;
    world_init(&w);
    struct endpoint *e = world_endpoint(&w);
    e->pool_size = 3;
    struct pool *p = world_pool(&w, e);
    lease_init(&a, &w);
    lease_init(&b, &w);
    lease_init(&c, &w);
    ck_assert_int_eq(pool_lease(p, &a.lease, &fault), 0);
    b.lease.queue_deadline_ms = loop_now_ms(w.loop) + 200;
    ck_assert_int_eq(pool_lease(p, &b.lease, &fault), 0);
    /* Half of three, at least one: the second waits in vain. */
    world_run(&w, world_done_is, 2);
    ck_assert(a.ready && b.gone && !b.ready);
    ck_assert_int_eq(b.fault.kind, FAULT_BUSY);
    /* Exchanges go in the order submitted, one after the other; notices in between reach the lease. */
    struct test_exchange *x = test_exchange_new(&w, "x", "ECHO 1|ECHO 2", false);
    struct test_exchange *y = test_exchange_new(&w, "y", "ECHO 3", false);
    ck_assert_int_eq(lease_submit(&a.lease, &x->x, &fault), 0);
    ck_assert_int_eq(lease_submit(&a.lease, &y->x, &fault), 0);
    world_run(&w, world_done_is, 4);
    ck_assert(!x->has_fault && !y->has_fault);
    ck_assert_ptr_nonnull(strstr(w.log, "1:ECHO 1 1:ECHO 2 1:ECHO 3"));
    conn_say(list_first(&w.conns, struct line_conn, link), "*exists\n");
    world_run_for(&w, 20);
    ck_assert(a.noticed);
    /* The pool's own calls use other connections. */
    test_exchange_free(world_call(&w, p, "DO it", true));
    ck_assert_uint_eq(w.accepted, 2);
    lease_end(&a.lease, true);
    lease_end(&a.lease, true);
    world_run(&w, world_done_is, w.done + 1);
    ck_assert(a.gone && a.fault.kind == FAULT_NONE);
    ck_assert_ptr_nonnull(strstr(w.log, "1:QUIT"));
    /* A lease's connection that dies: what it had asked is told, nothing is repeated. */
    ck_assert_int_eq(pool_lease(p, &c.lease, &fault), 0);
    world_run(&w, world_done_is, w.done + 1);
    struct test_exchange *d = test_exchange_new(&w, "d", "DROP", false);
    struct test_exchange *f = test_exchange_new(&w, "f", "ECHO f", false);
    ck_assert_int_eq(lease_submit(&c.lease, &d->x, &fault), 0);
    ck_assert_int_eq(lease_submit(&c.lease, &f->x, &fault), 0);
    world_run(&w, world_done_is, w.done + 3);
    ck_assert(c.gone && c.fault.kind == FAULT_DISCONNECTED);
    ck_assert_int_eq(d->fault.kind, FAULT_DISCONNECTED);
    ck_assert_uint_eq(d->started, 1);
    ck_assert(f->has_fault && f->started == 0);
    ck_assert_int_lt(lease_submit(&c.lease, &f->x, &fault), 0);
    world_close(&w, p);
    test_exchange_free(x);
    test_exchange_free(y);
    test_exchange_free(d);
    test_exchange_free(f);
    world_done(&w);
}
END_TEST

START_TEST(leases_end_by_themselves)
{
    struct world w;
    struct fault fault = {0};
    struct test_lease a, b;
    world_init(&w);
    struct endpoint *e = world_endpoint(&w);
    e->pool_size = 1;
    e->session_idle_ms = 40;
    struct pool *p = world_pool(&w, e);
    lease_init(&a, &w);
    ck_assert_int_eq(pool_lease(p, &a.lease, &fault), 0);
    world_run(&w, world_done_is, 2);
    ck_assert(a.ready && a.gone && a.fault.kind == FAULT_TIMEOUT);
    /* Cancelled before it had a connection; ended with the pool. */
    lease_init(&a, &w);
    ck_assert_int_eq(pool_lease(p, &a.lease, &fault), 0);
    lease_end(&a.lease, false);
    world_run(&w, world_done_is, 3);
    ck_assert(a.gone && !a.ready && a.fault.kind == FAULT_NONE);
    lease_init(&b, &w);
    ck_assert_int_eq(pool_lease(p, &b.lease, &fault), 0);
    world_run(&w, world_done_is, 4);
    ck_assert_ptr_null(strstr(w.log, "QUIT"));
    world_close(&w, p);
    ck_assert(b.gone && b.fault.kind == FAULT_UNAVAILABLE);
    ck_assert_ptr_null(strstr(w.log, "QUIT"));
    world_done(&w);
}
END_TEST

START_TEST(watches_starve_nobody)
{
    struct world w;
    struct fault fault = {0};
    struct test_lease a, b, c;
    world_init(&w);
    struct endpoint *e = world_endpoint(&w);
    e->pool_size = 2;
    e->session_max_ms = 60; /* of clients' sessions only */
    e->account_quota = connection_quota_new(2);
    struct pool *p = world_pool(&w, e);
    lease_init(&a, &w);
    lease_init(&b, &w);
    lease_init(&c, &w);
    a.lease.watch = b.lease.watch = true;
    ck_assert_int_eq(pool_lease(p, &a.lease, &fault), 0);
    ck_assert_int_eq(pool_lease(p, &b.lease, &fault), 0);
    world_run(&w, world_done_is, 2);
    ck_assert(a.ready && !a.gone && b.gone && b.fault.kind == FAULT_BUSY);
    world_run_for(&w, 100);
    ck_assert(!a.gone);
    test_exchange_free(world_call(&w, p, "DO it", true));
    ck_assert(!a.gone);
    /* A client's session would take the last place: the watch gives up its own. */
    ck_assert_int_eq(pool_lease(p, &c.lease, &fault), 0);
    world_run(&w, world_done_is, w.done + 2);
    ck_assert(a.gone && a.fault.kind == FAULT_BUSY && c.ready);
    lease_end(&c.lease, true);
    world_run(&w, world_done_is, w.done + 1);
    /* The account's limit leaves no room for a call beside the watch. */
    e->account_quota->max = 1;
    world_run_for(&w, 50);
    lease_init(&a, &w);
    a.lease.watch = true;
    ck_assert_int_eq(pool_lease(p, &a.lease, &fault), 0);
    world_run(&w, world_done_is, w.done + 1);
    if (a.ready) {
        struct test_exchange *x = world_call(&w, p, "DO more", true);
        ck_assert(!x->has_fault);
        ck_assert(a.gone && a.fault.kind == FAULT_BUSY);
        test_exchange_free(x);
    }
    world_close(&w, p);
    world_done(&w);
}
END_TEST

START_TEST(a_lease_without_login)
{
    struct world w;
    struct fault fault = {0};
    struct test_lease a;
    struct test_credential credential;
    world_init(&w);
    test_credential_init(&credential, &w, "right");
    struct endpoint *e = world_endpoint(&w);
    e->engine.wants_login = true;
    e->credential = credential.source.ops->ref(&credential.source);
    struct pool *p = world_pool(&w, e);
    lease_init(&a, &w);
    a.lease.no_login = true;
    ck_assert_int_eq(pool_lease(p, &a.lease, &fault), 0);
    world_run(&w, world_done_is, 1);
    ck_assert(a.ready);
    ck_assert_uint_eq(credential.fetched, 0);
    lease_end(&a.lease, false);
    world_run(&w, world_done_is, 2);
    world_close(&w, p);
    world_done(&w);
}
END_TEST

struct probed {
    struct world *world;
    struct pool_probe_result result;
    struct fault fault;
    bool ok;
};

static void probed(void *arg, const struct pool_probe_result *result, const struct fault *fault,
                   const struct session *s)
{
    struct probed *pr = arg;
    pr->result = *result;
    pr->ok = fault == NULL;
    ck_assert((s != NULL) == pr->ok);
    if (fault)
        pr->fault = *fault;
    pr->world->done++;
}

START_TEST(probes)
{
    struct world w;
    struct fault fault = {0};
    world_init(&w);
    struct endpoint *e = world_endpoint(&w);
    e->pool_size = 1;
    struct pool *p = world_pool(&w, e);
    struct probed pr = {.world = &w};
    ck_assert_int_eq(pool_probe(p, loop_now_ms(w.loop) + 20000, probed, &pr, &fault), 0);
    world_run(&w, world_done_is, 1);
    ck_assert(pr.ok);
    ck_assert_ptr_nonnull(strstr(pr.result.peer, "127.0.0.1:"));
    /* The pool is full: the idle one proves itself. */
    pr.ok = false;
    ck_assert_int_eq(pool_probe(p, loop_now_ms(w.loop) + 20000, probed, &pr, &fault), 0);
    world_run(&w, world_done_is, 2);
    ck_assert(pr.ok);
    ck_assert_ptr_nonnull(strstr(w.log, "1:NOOP"));
    ck_assert_uint_eq(w.accepted, 1);
    /* And one that died is replaced. */
    pr.ok = false;
    conn_reset(list_first(&w.conns, struct line_conn, link));
    ck_assert_int_eq(pool_probe(p, loop_now_ms(w.loop) + 20000, probed, &pr, &fault), 0);
    world_run(&w, world_done_is, 3);
    ck_assert_msg(pr.ok, "%s", pr.fault.text);
    world_close(&w, p);
    world_unlisten(&w);
    p = world_pool(&w, world_endpoint(&w));
    ck_assert_int_eq(pool_probe(p, loop_now_ms(w.loop) + 20000, probed, &pr, &fault), 0);
    world_run(&w, world_done_is, 4);
    ck_assert(!pr.ok && pr.fault.kind == FAULT_CONNECT);
    world_close(&w, p);
    world_done(&w);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lease");
    TCase *t = tcase_create("lease");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, leases);
    tcase_add_test(t, leases_end_by_themselves);
    tcase_add_test(t, watches_starve_nobody);
    tcase_add_test(t, a_lease_without_login);
    tcase_add_test(t, probes);
    suite_add_tcase(s, t);
    return unit_run(s);
}
