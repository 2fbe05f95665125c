/* SPDX-License-Identifier: MIT */
#include "daemon_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>

static struct fixture f;
static struct user *user;

struct outcome {
    bool over;
    struct body *body;
    struct fault fault;
    struct foreign_read *read;
};

static void on_done(void *arg, struct body *body, const struct fault *fault)
{
    struct outcome *o = arg;
    ck_assert(!o->over);
    o->over = true;
    o->body = body;
    if (fault)
        o->fault = *fault;
}

static bool is_over(void *arg)
{
    return ((struct outcome *) arg)->over;
}

static bool all_closed(void *arg)
{
    (void) arg;
    return foreign_count(f.gateway.foreign) == 0 && list_is_empty(&user->file_queue) && user->file_jobs == 0;
}

static void setup(void)
{
    fixture_init(&f, "[daemon]\nmax_fds_per_user = 20\nmax_message_size = 1M\n", NULL);
    user = user_get(&f.gateway, 1000);
}

static void teardown(void)
{
    fixture_run(&f, all_closed, NULL);
    user_unref(user);
    fixture_done(&f);
}

/* Hands the descriptor over as if it had been received, and starts reading it. */
static int start(int fd, struct outcome *o)
{
    ck_assert_int_ge(fd, 0);
    *o = (struct outcome){0};
    ck_assert_int_eq(foreign_adopt(f.gateway.foreign, user, &fd, 1), 0);
    return foreign_read_start(f.gateway.foreign, fd, &user->memory, 1 << 20, "max_message_size", "raw", on_done, o,
                              &o->body, &o->read, &o->fault);
}

static void check_body(struct body *body, const char *text, size_t len)
{
    char *got = malloc(len + 1);
    size_t n;
    ck_assert_uint_eq(body_size(body), len);
    ck_assert_int_eq(body_read(body, 0, got, len + 1, &n), 0);
    ck_assert_uint_eq(n, len);
    ck_assert(memcmp(got, text, len) == 0);
    free(got);
    body_unref(body);
}

static int temporary_file(const char *text, size_t len)
{
    char path[] = "/tmp/postern-unit-file-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    unlink(path);
    ck_assert_int_eq(write(fd, text, len), (ssize_t) len);
    return fd;
}

START_TEST(a_file_is_read_from_its_beginning)
{
    struct outcome o;
    unsigned before = open_descriptors();
    ck_assert_int_eq(start(temporary_file("hello", 5), &o), 1);
    ck_assert(!o.over);
    fixture_run(&f, is_over, &o);
    ck_assert_ptr_nonnull(o.body);
    ck_assert(body_is_text(o.body));
    check_body(o.body, "hello", 5);
    fixture_run(&f, all_closed, NULL);
    ck_assert_uint_eq(open_descriptors(), before);
    ck_assert_uint_eq(user->fds, 0);
}
END_TEST

START_TEST(a_large_file_comes_in_pieces)
{
    size_t len = 900000;
    char *text = malloc(len);
    struct outcome o;
    for (size_t i = 0; i < len; i++)
        text[i] = (char) ('a' + i % 23);
    ck_assert_int_eq(start(temporary_file(text, len), &o), 1);
    fixture_run(&f, is_over, &o);
    ck_assert_uint_eq(user->memory.used, len);
    check_body(o.body, text, len);
    ck_assert_uint_eq(user->memory.used, 0);
    free(text);
}
END_TEST

START_TEST(too_large_a_file_is_refused)
{
    size_t len = (1 << 20) + 1;
    char *text = calloc(1, len);
    struct outcome o;
    ck_assert_int_eq(start(temporary_file(text, len), &o), 1);
    fixture_run(&f, is_over, &o);
    ck_assert_ptr_null(o.body);
    ck_assert_int_eq(o.fault.kind, FAULT_LIMIT);
    ck_assert_str_eq(o.fault.limit, "max_message_size");
    free(text);
}
END_TEST

START_TEST(a_sealed_memfd_is_used_as_it_stands)
{
    struct outcome o;
    int fd = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    ck_assert_int_eq(write(fd, "sealed", 6), 6);
    ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK), 0);
    ck_assert_int_eq(start(fd, &o), 0);
    ck_assert_uint_eq(foreign_count(f.gateway.foreign), 1);
    check_body(o.body, "sealed", 6);
    ck_assert_uint_eq(foreign_count(f.gateway.foreign), 0);
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}
END_TEST

START_TEST(a_memfd_that_can_change_is_copied)
{
    struct outcome o;
    int fd = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    ck_assert_int_eq(write(fd, "loose", 5), 5);
    int keep = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    ck_assert_int_eq(start(fd, &o), 1);
    fixture_run(&f, is_over, &o);
    ck_assert_int_eq(ftruncate(keep, 0), 0);
    check_body(o.body, "loose", 5);
    close(keep);
}
END_TEST

START_TEST(a_pipe_is_read_to_its_end)
{
    struct outcome o;
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(start(fds[0], &o), 1);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(write(fds[1], "abc", 3), 3);
    close(fds[1]);
    fixture_run(&f, is_over, &o);
    check_body(o.body, "abcabcabc", 9);
}
END_TEST

START_TEST(a_pipe_that_never_ends_can_be_cancelled)
{
    struct outcome o, other;
    int fds[2], also;
    ck_assert_int_eq(pipe(fds), 0);
    also = fcntl(fds[0], F_DUPFD_CLOEXEC, 3);
    ck_assert_int_eq(start(fds[0], &o), 1);
    ck_assert_int_eq(write(fds[1], "abc", 3), 3);
    ck_assert_int_eq(start(temporary_file("x", 1), &other), 1);
    fixture_run(&f, is_over, &other);
    body_unref(other.body);
    foreign_read_cancel(o.read);
    fixture_run(&f, all_closed, NULL);
    ck_assert(!o.over);
    /* The sender still has its end: nothing of it may wake the loop. */
    uint64_t turns = loop_turns(f.gateway.loop);
    ck_assert_int_eq(write(fds[1], "abc", 3), 3);
    ck_assert_int_eq(start(temporary_file("x", 1), &other), 1);
    fixture_run(&f, is_over, &other);
    body_unref(other.body);
    ck_assert_uint_lt(loop_turns(f.gateway.loop) - turns, 100);
    close(fds[1]);
    close(also);
}
END_TEST

START_TEST(a_file_can_be_cancelled_at_any_time)
{
    struct outcome o;
    char *text = calloc(1, 800000);
    for (unsigned turns = 0; turns < 6; turns++) {
        ck_assert_int_eq(start(temporary_file(text, 800000), &o), 1);
        for (unsigned i = 0; i < turns; i++)
            fixture_run(&f, NULL, NULL);
        if (!o.over)
            foreign_read_cancel(o.read);
        body_unref(o.body);
        fixture_run(&f, all_closed, NULL);
        ck_assert_uint_eq(user->memory.used, 0);
    }
    free(text);
}
END_TEST

static void refused(int fd, const char *why)
{
    struct outcome o;
    int r = start(fd, &o);
    if (r == 1) {
        fixture_run(&f, is_over, &o);
        r = -EINVAL;
    }
    ck_assert_int_lt(r, 0);
    ck_assert_int_eq(o.fault.kind, FAULT_INVALID_PARAMS);
    ck_assert_msg(strstr(o.fault.text, why) && strstr(o.fault.text, "raw"), "'%s' does not say '%s'", o.fault.text,
                  why);
    fixture_run(&f, all_closed, NULL);
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}

START_TEST(wrong_types_are_refused_and_closed)
{
    int fds[2];
    refused(open("/tmp", O_RDONLY | O_DIRECTORY), "directory");
    refused(open("/dev/null", O_RDONLY), "device");
    refused(open("/dev/null", O_WRONLY), "not open for reading");
    refused(open("/tmp", O_PATH), "not open for reading");
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    close(fds[1]);
    refused(fds[0], "socket");
    ck_assert_int_eq(pipe(fds), 0);
    close(fds[0]);
    refused(fds[1], "not open for reading");
    refused(epoll_create1(0), "no file");
}
END_TEST

START_TEST(what_nobody_claims_is_closed)
{
    unsigned before = open_descriptors();
    int fds[4], pair[2];
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    close(pair[1]);
    fds[2] = pair[0];
    fds[3] = temporary_file("", 0);
    ck_assert_int_eq(foreign_adopt(f.gateway.foreign, user, fds, 4), 0);
    ck_assert_uint_eq(user->fds, 4);
    for (unsigned i = 0; i < 4; i++)
        foreign_release(f.gateway.foreign, fds[i]);
    fixture_run(&f, all_closed, NULL);
    ck_assert_uint_eq(open_descriptors(), before);
}
END_TEST

START_TEST(descriptors_of_a_user_are_counted)
{
    int fds[21];
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = memfd_create("test", MFD_CLOEXEC);
    ck_assert_int_eq(foreign_adopt(f.gateway.foreign, user, fds, 20), 0);
    ck_assert_int_eq(foreign_adopt(f.gateway.foreign, user, fds + 20, 1), -EMFILE);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        foreign_release(f.gateway.foreign, fds[i]);
    ck_assert_uint_eq(user->fds, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("foreign_fd");
    TCase *tc = tcase_create("foreign_fd");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_file_is_read_from_its_beginning);
    tcase_add_test(tc, a_large_file_comes_in_pieces);
    tcase_add_test(tc, too_large_a_file_is_refused);
    tcase_add_test(tc, a_sealed_memfd_is_used_as_it_stands);
    tcase_add_test(tc, a_memfd_that_can_change_is_copied);
    tcase_add_test(tc, a_pipe_is_read_to_its_end);
    tcase_add_test(tc, a_pipe_that_never_ends_can_be_cancelled);
    tcase_add_test(tc, a_file_can_be_cancelled_at_any_time);
    tcase_add_test(tc, wrong_types_are_refused_and_closed);
    tcase_add_test(tc, what_nobody_claims_is_closed);
    tcase_add_test(tc, descriptors_of_a_user_are_counted);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
