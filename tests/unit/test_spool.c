/* SPDX-License-Identifier: MIT */
#include "spool.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct seen {
    struct loop *loop;
    unsigned calls;
    struct fault fault;
};

static void on_room(void *arg, const struct fault *fault)
{
    struct seen *seen = arg;
    seen->calls++;
    if (fault)
        seen->fault = *fault;
}

static void stop(void *arg)
{
    loop_stop(arg);
}

/* Lets the tasks that wait run. A stopped loop stays stopped, so that each test spins once. */
static void spin(struct loop *l, unsigned ms)
{
    struct loop_timer timer = {0};
    ck_assert_int_eq(loop_timer_init(&timer, l, stop, l), 0);
    loop_timer_set(&timer, ms);
    ck_assert_int_eq(loop_run(l), 0);
    loop_timer_done(&timer);
}

static void fill(struct spool *s, size_t n, char c)
{
    char block[1000];
    struct fault fault = {0};
    memset(block, c, sizeof(block));
    while (n > 0) {
        size_t now = MIN(n, sizeof(block));
        ck_assert_int_eq(spool_write(s, slice_of(block, now), &fault), 0);
        n -= now;
    }
}

START_TEST(stays_in_memory)
{
    struct spool_budget root;
    struct fault fault = {0};
    spool_budget_init_root(&root, NULL, "memory", 1 << 20);
    struct spool *s = spool_new(&root, 0, NULL);
    fill(s, SPOOL_MEMORY, 'x');
    ck_assert_int_eq(spool_fd(s), -1);
    ck_assert_uint_eq(root.used, SPOOL_MEMORY);
    ck_assert_int_eq(spool_seal(s, &fault), 0);
    ck_assert(spool_is_text(s));
    ck_assert_uint_eq(spool_memory(s).len, SPOOL_MEMORY);
    ck_assert_int_lt(spool_write(s, SLICE("more"), &fault), 0);
    spool_unref(s);
    ck_assert_uint_eq(root.used, 0);
    spool_budget_done(&root);
}
END_TEST

START_TEST(spills_into_a_sealed_memfd)
{
    struct fault fault = {0};
    struct spool *s = spool_new(NULL, 0, NULL);
    fill(s, SPOOL_MEMORY, 'a');
    fill(s, 5000, 'b');
    ck_assert_int_ge(spool_fd(s), 0);
    ck_assert_ptr_null(spool_memory(s).data);
    ck_assert_int_eq(spool_seal(s, &fault), 0);
    ck_assert_int_eq(spool_seal(s, &fault), 0);
    ck_assert_uint_eq(spool_size(s), SPOOL_MEMORY + 5000);
    ck_assert(spool_is_text(s));

    char buf[20];
    size_t n = 99;
    ck_assert_int_eq(spool_read(s, SPOOL_MEMORY - 2, buf, 4, &n), 0);
    ck_slice_eq(slice_of(buf, n), "aabb");
    ck_assert_int_eq(spool_read(s, SPOOL_MEMORY + 4997, buf, sizeof(buf), &n), 0);
    ck_slice_eq(slice_of(buf, n), "bbb");
    ck_assert_int_eq(spool_read(s, UINT64_MAX, buf, sizeof(buf), &n), 0);
    ck_assert_uint_eq(n, 0);

    int fd = spool_export(s, &fault), other = spool_export(s, &fault);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_ge(other, 0);
    ck_assert_int_eq(lseek(other, 100, SEEK_SET), 100);
    ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 0);
    ck_assert_int_lt(write(fd, "x", 1), 0);
    ck_assert_int_ne(fcntl(fd, F_GET_SEALS) & F_SEAL_WRITE, 0);
    close(fd);
    close(other);
    spool_unref(s);
}
END_TEST

/* A memfd that served before is used again, shows nothing of what it held, and goes when nobody wants it. */
START_TEST(memfds_are_used_again)
{
    struct fault fault = {0};
    struct loop *l = loop_new();
    struct spool_budget root;
    struct stat st;
    char buf[8];
    size_t n;
    spool_budget_init_root(&root, l, "memory", 64 << 20);
    struct spool *s = spool_new(&root, 0, NULL);
    fill(s, 5 * SPOOL_MEMORY, 'a');
    int first = spool_fd(s);
    ck_assert_int_eq(spool_seal(s, &fault), 0);
    spool_unref(s);
    ck_assert_uint_eq(root.used, 0);
    ck_assert_uint_eq(root.n_kept, 1);

    s = spool_new(&root, 0, NULL);
    fill(s, 2 * SPOOL_MEMORY, 'b');
    ck_assert_int_eq(spool_fd(s), first);
    ck_assert_uint_eq(root.n_kept, 0);
    ck_assert_int_eq(spool_seal(s, &fault), 0);
    ck_assert_uint_eq(spool_size(s), 2 * SPOOL_MEMORY);
    ck_assert_int_eq(spool_read(s, 2 * SPOOL_MEMORY - 3, buf, sizeof(buf), &n), 0);
    ck_slice_eq(slice_of(buf, n), "bbb");
    int fd = spool_export(s, &fault);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &st), 0);
    ck_assert_int_eq((int) st.st_size, 2 * SPOOL_MEMORY);
    ck_assert_int_ne(fcntl(fd, F_GET_SEALS) & F_SEAL_WRITE, 0);
    close(fd);
    /* What somebody else has is not used again. */
    spool_unref(s);
    ck_assert_uint_eq(root.n_kept, 0);

    struct spool *many[2 * SPOOL_KEPT];
    for (unsigned i = 0; i < ARRAY_LEN(many); i++) {
        many[i] = spool_new(&root, 0, NULL);
        fill(many[i], i ? SPOOL_MEMORY + 1 : (int) SPOOL_KEPT_BYTES + 1, 'c');
    }
    for (unsigned i = 0; i < ARRAY_LEN(many); i++)
        spool_unref(many[i]);
    ck_assert_uint_eq(root.n_kept, SPOOL_KEPT);
    ck_assert_uint_le(root.kept_bytes, SPOOL_KEPT_BYTES);
    spin(l, SPOOL_KEPT_MS + 100);
    ck_assert_uint_eq(root.n_kept, 0);
    spool_budget_done(&root);
    loop_free(l);
}
END_TEST

START_TEST(exports_small_ones_too)
{
    struct fault fault = {0};
    struct spool *s = spool_new(NULL, 0, NULL);
    char buf[16];
    ck_assert_int_eq(spool_seal(s, &fault), 0);
    ck_assert_ptr_nonnull(spool_memory(s).data);
    int fd = spool_export(s, &fault);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(read(fd, buf, sizeof(buf)), 0);
    ck_assert_int_ne(fcntl(fd, F_GET_SEALS) & F_SEAL_SHRINK, 0);
    close(fd);
    spool_unref(s);
}
END_TEST

START_TEST(knows_text)
{
    static const struct {
        const char *a;
        size_t a_len;
        const char *b;
        bool text;
    } cases[] = {{"gr\xc3", 3, "\xbc\xc3\x9f", true},
                 {"gr\xc3", 3, "x", false},
                 {"gr\xc3", 3, "", false},
                 {"a\0b", 3, "", false},
                 {"", 0, "", true},
                 {"\xff", 1, "", false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fault fault = {0};
        struct spool *s = spool_new(NULL, 0, NULL);
        ck_assert_int_eq(spool_write(s, slice_of(cases[i].a, cases[i].a_len), &fault), 0);
        ck_assert_int_eq(spool_write(s, slice_of_str(cases[i].b), &fault), 0);
        ck_assert(!spool_is_text(s));
        ck_assert_int_eq(spool_seal(s, &fault), 0);
        ck_assert_msg(spool_is_text(s) == cases[i].text, "case %zu", i);
        spool_unref(s);
    }
}
END_TEST

START_TEST(has_a_maximum)
{
    struct fault fault = {0};
    struct spool *s = spool_new(NULL, 10, "max_message_size");
    ck_assert_int_eq(spool_write(s, SLICE("0123456789"), &fault), 0);
    ck_assert_int_eq(spool_write(s, SLICE("x"), &fault), -EMSGSIZE);
    ck_assert_int_eq(fault.kind, FAULT_LIMIT);
    ck_assert_str_eq(fault.limit, "max_message_size");
    ck_assert_uint_eq(spool_size(s), 10);
    spool_unref(s);
}
END_TEST

START_TEST(one_that_alone_fills_the_budget_fails)
{
    struct spool_budget root, user;
    struct fault fault = {0};
    spool_budget_init_root(&root, NULL, "memory", 10000);
    spool_budget_init(&user, &root, "user_memory", 3000);
    struct spool *s = spool_new(&user, 0, NULL);
    fill(s, 3000, 'x');
    ck_assert_int_eq(spool_write(s, SLICE("y"), &fault), -EDQUOT);
    ck_assert_str_eq(fault.limit, "user_memory");
    ck_assert_uint_eq(user.used, 3000);
    spool_unref(s);
    ck_assert_uint_eq(user.used, 0);
    ck_assert_uint_eq(root.used, 0);
    ck_assert_int_eq(spool_budget_take(&user, 3001, NULL), -EDQUOT);
    ck_assert_int_eq(spool_budget_take(&user, 3000, NULL), 0);
    ck_assert_int_eq(spool_budget_take(&user, 1, NULL), -EDQUOT);
    spool_budget_give(&user, 3000);
    ck_assert_uint_eq(root.used, 0);
}
END_TEST

START_TEST(waits_for_room)
{
    struct loop *l = loop_new();
    struct spool_budget root, user;
    struct fault fault = {0};
    struct seen seen = {0};
    spool_budget_init_root(&root, l, "memory", 100000);
    spool_budget_init(&user, &root, "user_memory", 10000);
    struct spool *done = spool_new(&user, 0, NULL), *s = spool_new(&user, 0, NULL);
    fill(done, 9500, 'x');
    ck_assert_int_eq(spool_seal(done, &fault), 0);
    spool_on_room(s, on_room, &seen);
    fill(s, 500, 'x');
    ck_assert_int_eq(spool_write(s, SLICE("taken all the same"), &fault), 1);
    ck_assert_int_eq(spool_write(s, SLICE("this too"), &fault), 1);
    ck_assert_uint_eq(spool_size(s), 500 + 18 + 8);
    spool_unref(done);
    ck_assert_uint_eq(seen.calls, 0);
    spin(l, 20);
    ck_assert_uint_eq(seen.calls, 1);
    ck_assert(!fault_is_set(&seen.fault));
    ck_assert_int_eq(spool_write(s, SLICE("goes on"), &fault), 0);
    spool_unref(s);
    ck_assert_uint_eq(user.held, 0);
    ck_assert_uint_eq(root.used, 0);
    spool_budget_done(&root);
    loop_free(l);
}
END_TEST

START_TEST(of_those_that_wait_for_each_other_the_youngest_fails)
{
    struct loop *l = loop_new();
    struct spool_budget root, user;
    struct fault fault = {0};
    struct seen first = {0}, second = {0};
    spool_budget_init_root(&root, l, "memory", 100000);
    spool_budget_init(&user, &root, "user_memory", 10000);
    struct spool *a = spool_new(&user, 0, NULL), *b = spool_new(&user, 0, NULL);
    spool_on_room(a, on_room, &first);
    spool_on_room(b, on_room, &second);
    ck_assert_int_eq(spool_budget_take(&user, 2000, NULL), 0);
    fill(a, 4000, 'a');
    fill(b, 4000, 'b');
    ck_assert_int_eq(spool_write(a, SLICE("more"), &fault), 1);
    ck_assert_int_eq(spool_write(b, SLICE("more"), &fault), 1);
    spin(l, 20);
    ck_assert_uint_eq(first.calls, 0);
    ck_assert_uint_eq(second.calls, 1);
    ck_assert_str_eq(second.fault.limit, "user_memory");
    ck_assert_int_lt(spool_write(b, SLICE("x"), &fault), 0);
    spool_unref(b);
    spool_unref(a);
    spool_budget_give(&user, 2000);
    ck_assert_uint_eq(root.used, 0);
    ck_assert_uint_eq(root.held, 0);
    spool_budget_done(&root);
    loop_free(l);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spool");
    TCase *tc = tcase_create("spool");
    tcase_add_test(tc, stays_in_memory);
    tcase_add_test(tc, spills_into_a_sealed_memfd);
    tcase_add_test(tc, memfds_are_used_again);
    tcase_add_test(tc, exports_small_ones_too);
    tcase_add_test(tc, knows_text);
    tcase_add_test(tc, has_a_maximum);
    tcase_add_test(tc, one_that_alone_fills_the_budget_fails);
    tcase_add_test(tc, waits_for_room);
    tcase_add_test(tc, of_those_that_wait_for_each_other_the_youngest_fails);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
