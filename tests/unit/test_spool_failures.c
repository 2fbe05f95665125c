/* SPDX-License-Identifier: MIT */
/* A spool's life in which each allocation, and each of its system calls, fails once: it says so, loses no descriptor and no byte of its
 * budget, and what it gives is whole. */
#include "failing_alloc.h"
#include "spool.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#define PIECE 5000
#define PIECES (SPOOL_MEMORY / PIECE + 3)

static long calls; /* the system call that finds 1 fails; 0: none does */
static int call_errno;

static bool call_fails(void)
{
    bool fails = alloc_failing && calls > 0 && --calls == 0;
    if (fails)
        errno = call_errno;
    return fails;
}

int __real_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags)
{
    return call_fails() ? -1 : __real_memfd_create(name, flags);
}

ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
    return call_fails() ? -1 : __real_write(fd, bytes, len);
}

ssize_t __real_pread(int fd, void *to, size_t len, off_t at);
ssize_t __wrap_pread(int fd, void *to, size_t len, off_t at);
ssize_t __wrap_pread(int fd, void *to, size_t len, off_t at)
{
    return call_fails() ? -1 : __real_pread(fd, to, len, at);
}

off_t __real_lseek(int fd, off_t at, int from);
off_t __wrap_lseek(int fd, off_t at, int from);
off_t __wrap_lseek(int fd, off_t at, int from)
{
    return call_fails() ? -1 : __real_lseek(fd, at, from);
}

int __real_ftruncate(int fd, off_t len);
int __wrap_ftruncate(int fd, off_t len);
int __wrap_ftruncate(int fd, off_t len)
{
    return call_fails() ? -1 : __real_ftruncate(fd, len);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    unsigned mode = flags & O_CREAT ? va_arg(ap, unsigned) : 0;
    va_end(ap);
    return call_fails() ? -1 : __real_open(path, flags, mode);
}

static int lowest_free(void)
{
    int fd = dup(STDIN_FILENO);
    ck_assert_int_ge(fd, 0);
    close(fd);
    return fd;
}

static int read_back(const struct spool *s, bool *ret_whole)
{
    char piece[PIECE];
    size_t n;

    for (uint64_t at = 0; at < spool_size(s); at += PIECE) {
        int r = spool_read(s, at, piece, sizeof(piece), &n);
        if (r < 0)
            return r;
        *ret_whole = *ret_whole && n == PIECE;
        for (size_t i = 0; i < n; i++)
            *ret_whole = *ret_whole && piece[i] == (char) ('a' + at / PIECE);
    }
    return 0;
}

/* Into memory or beyond it, sealed, read, and given away as a file. */
static int live(struct spool_budget *budget, unsigned pieces, bool *ret_whole, struct fault *fault)
{
    char piece[PIECE];
    struct spool *s = spool_new(budget, 0, NULL);
    int r = s ? 0 : fault_set(fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");

    for (unsigned i = 0; r == 0 && i < pieces; i++) {
        memset(piece, 'a' + (int) i, sizeof(piece));
        r = spool_write(s, slice_of(piece, sizeof(piece)), fault);
        if (r < 0) {
            struct fault again = {0};
            *ret_whole = *ret_whole && spool_write(s, SLICE("more"), &again) < 0 && spool_seal(s, &again) < 0;
        }
    }
    if (r == 0)
        r = spool_seal(s, fault);
    if (r == 0) {
        *ret_whole = *ret_whole && spool_size(s) == (uint64_t) pieces * PIECE;
        r = read_back(s, ret_whole);
        if (r < 0)
            fault_set(fault, r, FAULT_STORAGE, NULL, "reading");
    }
    int fd = r == 0 ? spool_export(s, fault) : -1;
    if (fd >= 0) {
        *ret_whole = *ret_whole && __real_lseek(fd, 0, SEEK_CUR) == 0 && __real_lseek(fd, 0, SEEK_END) == (off_t) spool_size(s);
        close(fd);
    } else if (r == 0) {
        r = fd;
    }
    spool_unref(s);
    return r;
}

/* Twice, so that the second one may take over the first one's memfd. */
static int live_twice(struct spool_budget *budget, unsigned pieces, bool *ret_whole, struct fault *fault)
{
    int r = live(budget, pieces, ret_whole, fault);
    return r < 0 ? r : live(budget, pieces + 1, ret_whole, fault);
}

static void each_failure(unsigned pieces, int err)
{
    bool met = true;
    unsigned failures = 0;

    for (long at = 1; met; at++) {
        struct spool_budget root;
        struct fault fault = {0};
        struct loop *loop = loop_new();
        bool whole = true;
        ck_assert_ptr_nonnull(loop);
        spool_budget_init_root(&root, loop, "memory", 64 << 20);
        int fd_before = lowest_free();
        call_errno = err;
        calls = err ? at : 0;
        alloc_fail_at(err ? 0 : at);
        int r = live_twice(&root, pieces, &whole, &fault);
        bool alloc_met = alloc_has_failed();
        met = err ? calls == 0 : alloc_met;
        ck_assert_msg(whole, "failure %ld: not whole", at);
        ck_assert_msg(r == 0 || met, "failure %ld: %d without a reason", at, r);
        if (r < 0) {
            failures++;
            ck_assert_int_eq(r, err ? -err : -ENOMEM);
            ck_assert_int_eq(fault.kind, err ? FAULT_STORAGE : FAULT_INTERNAL);
        }
        ck_assert_uint_eq(root.used, 0);
        spool_budget_done(&root);
        ck_assert_int_eq(lowest_free(), fd_before);
        loop_free(loop);
    }
    ck_assert_uint_gt(failures, 0);
}

START_TEST(allocations)
{
    each_failure(_i ? PIECES : 3, 0);
}
END_TEST

START_TEST(system_calls)
{
    each_failure(_i ? PIECES : 3, ENOSPC);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spool_failures");
    TCase *c = tcase_create("failures");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, allocations, 0, 2);
    tcase_add_loop_test(c, system_calls, 0, 2);
    suite_add_tcase(suite, c);
    return unit_run(suite);
}
