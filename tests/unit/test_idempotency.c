/* SPDX-License-Identifier: MIT */
/* Idempotency records: what a repeat finds, who waits, what is forgotten when. */
#include "unit.h"

#include "idempotency.h"

#include <errno.h>
#include <stdio.h>

static struct loop *loop;
static struct idempotency *table;
static struct fault fault;

static void set_up(void)
{
    loop = loop_new();
    table = idempotency_new(loop);
    fault = (struct fault){0};
}

static void tear_down(void)
{
    idempotency_free(table);
    loop_free(loop);
}

static int begin(uint32_t uid, const char *account, const char *key, uint64_t digest, struct idempotency_record **ret)
{
    fault = (struct fault){0};
    return idempotency_begin(table, uid, slice_of_str(account), slice_of_str(key), digest, 60000, ret, &fault);
}

START_TEST(repeat_gets_the_answer)
{
    struct idempotency_record *a, *b = NULL;

    ck_assert_int_eq(begin(1, "work", "k", 7, &a), IDEMPOTENCY_NEW);
    ck_assert_int_eq(begin(1, "work", "k", 7, &b), IDEMPOTENCY_RUNNING);
    idempotency_unref(b);
    ck_assert_int_eq(begin(1, "work", "k", 8, &b), -EEXIST);
    ck_assert_int_eq(fault.kind, FAULT_CONFLICT);
    /* Other users, accounts and keys are others. */
    struct idempotency_record *c, *d, *e;
    ck_assert_int_eq(begin(2, "work", "k", 8, &c), IDEMPOTENCY_NEW);
    ck_assert_int_eq(begin(1, "home", "k", 8, &d), IDEMPOTENCY_NEW);
    ck_assert_int_eq(begin(1, "wor", "kk", 8, &e), IDEMPOTENCY_NEW);
    idempotency_finish(a, SLICE("{\"x\":1}"), NULL, SLICE_EMPTY);
    idempotency_unref(a);
    ck_assert_int_eq(begin(1, "work", "k", 7, &b), IDEMPOTENCY_ENDED);
    ck_slice_eq(idempotency_answer(b)->result, "{\"x\":1}");
    ck_assert(!fault_is_set(&idempotency_answer(b)->fault));
    idempotency_unref(b);
    idempotency_unref(c);
    idempotency_unref(d);
    idempotency_unref(e);
}
END_TEST

START_TEST(failures)
{
    struct idempotency_record *a, *b;
    struct fault f = {0};

    /* Nothing happened: the key is free. */
    ck_assert_int_eq(begin(1, "work", "k", 7, &a), IDEMPOTENCY_NEW);
    fault_set(&f, -1, FAULT_CONNECT, "connect", "no");
    idempotency_finish(a, SLICE_EMPTY, &f, SLICE_EMPTY);
    idempotency_unref(a);
    ck_assert_int_eq(begin(1, "work", "k", 9, &a), IDEMPOTENCY_NEW);
    /* Nobody knows: that is the answer from now on. */
    f.outcome = OUTCOME_UNKNOWN;
    idempotency_finish(a, SLICE_EMPTY, &f, SLICE("[1]"));
    ck_assert_int_eq(begin(1, "work", "k", 9, &b), IDEMPOTENCY_ENDED);
    ck_assert_int_eq(idempotency_answer(b)->fault.kind, FAULT_CONNECT);
    ck_assert_ptr_null(idempotency_answer(b)->result.data);
    ck_slice_eq(idempotency_answer(b)->rejected, "[1]");
    idempotency_unref(a);
    idempotency_unref(b);
}
END_TEST

struct waiting {
    struct idempotency_waiter w;
    struct idempotency_record *record;
    int found;
};

static void ready(struct idempotency_waiter *w)
{
    struct waiting *me = container_of(w, struct waiting, w);
    idempotency_unref(me->record);
    me->record = NULL;
    me->found = begin(1, "work", "k", 7, &me->record);
    if (me->found == IDEMPOTENCY_RUNNING)
        idempotency_wait(me->record, &me->w);
    loop_stop(loop);
}

START_TEST(waiting_for_the_first)
{
    struct idempotency_record *a;
    struct waiting one = {.found = -1}, two = {.found = -1}, three = {.found = -1};
    struct waiting *all[] = {&one, &two, &three};
    struct fault f = {0};

    ck_assert_int_eq(begin(1, "work", "k", 7, &a), IDEMPOTENCY_NEW);
    for (size_t i = 0; i < 3; i++) {
        all[i]->w.ready = ready;
        ck_assert_int_eq(begin(1, "work", "k", 7, &all[i]->record), IDEMPOTENCY_RUNNING);
        idempotency_wait(all[i]->record, &all[i]->w);
    }
    idempotency_wait_cancel(&three.w);
    fault_set(&f, -1, FAULT_CONNECT, "connect", "no");
    idempotency_finish(a, SLICE_EMPTY, &f, SLICE_EMPTY);
    idempotency_unref(a);
    ck_assert_int_eq(one.found, -1); /* never from inside the call */
    loop_run(loop);
    ck_assert_int_eq(one.found, IDEMPOTENCY_NEW);
    ck_assert_int_eq(two.found, IDEMPOTENCY_RUNNING);
    ck_assert_int_eq(three.found, -1);
    idempotency_finish(one.record, SLICE("{}"), NULL, SLICE_EMPTY);
    loop_run(loop);
    ck_assert_int_eq(two.found, IDEMPOTENCY_ENDED);
    idempotency_unref(one.record);
    idempotency_unref(two.record);
    idempotency_unref(three.record);
}
END_TEST

START_TEST(bounded_and_forgotten)
{
    struct idempotency_record *r;
    char *big = calloc(1, 1 << 20), key[32];
    int i, found = 0;

    memset(big, 'x', 1 << 20);
    for (i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        found = begin(1, "work", key, 7, &r);
        if (found < 0)
            break;
        idempotency_finish(r, slice_of(big, 1 << 20), NULL, SLICE_EMPTY);
        idempotency_unref(r);
    }
    ck_assert_int_eq(found, -EDQUOT);
    ck_assert_int_eq(fault.kind, FAULT_LIMIT);
    ck_assert_str_eq(fault.limit, "key_lifetime");
    ck_assert_int_le(i, (int) (IDEMPOTENCY_BYTES_PER_USER >> 20) + 1);
    ck_assert_int_eq(begin(2, "work", "k", 7, &r), IDEMPOTENCY_NEW); /* others are not concerned */
    idempotency_unref(r);
    /* A lifetime of nothing is over at the next look. */
    ck_assert_int_eq(idempotency_begin(table, 3, SLICE("w"), SLICE("k"), 1, 0, &r, &fault), IDEMPOTENCY_NEW);
    idempotency_finish(r, SLICE("{}"), NULL, SLICE_EMPTY);
    idempotency_unref(r);
    ck_assert_int_eq(idempotency_begin(table, 3, SLICE("w"), SLICE("k"), 2, 0, &r, &fault), IDEMPOTENCY_NEW);
    idempotency_unref(r);
    free(big);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("idempotency");
    TCase *t = tcase_create("idempotency");

    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, repeat_gets_the_answer);
    tcase_add_test(t, failures);
    tcase_add_test(t, waiting_for_the_first);
    tcase_add_test(t, bounded_and_forgotten);
    suite_add_tcase(suite, t);
    return unit_run(suite);
}
