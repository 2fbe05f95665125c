/* SPDX-License-Identifier: MIT */
#include "net_world.h"

#include <errno.h>
#include <stdio.h>

static int submit(struct pool *p, struct test_exchange *t, struct fault *fault)
{
    return pool_submit(p, &t->x, fault);
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

int main(void)
{
    Suite *s = suite_create("pool");
    TCase *t = tcase_create("pool");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, one_call_and_a_warm_second);
    suite_add_tcase(s, t);
    return unit_run(s);
}
