/* SPDX-License-Identifier: MIT */
/* A folder for one test's files, removed with all that is in it. */
#ifndef POSTERN_SCRATCH_H
#define POSTERN_SCRATCH_H

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch[64];

static inline void scratch_setup(void)
{
    snprintf(scratch, sizeof(scratch), "/tmp/postern-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(scratch));
}

static inline int scratch_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void) st, (void) type, (void) ftw;
    return remove(path);
}

static inline void scratch_teardown(void)
{
    nftw(scratch, scratch_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* The path of a file in the folder; valid until the fourth next call. */
static inline const char *scratch_path(const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", scratch, name);
    return path;
}

static inline void scratch_write_bytes(const char *name, const void *data, size_t len, mode_t mode)
{
    const char *path = scratch_path(name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
    ck_assert_int_eq(write(fd, data, len), (ssize_t) len);
    ck_assert_int_eq(fchmod(fd, mode), 0);
    close(fd);
}

static inline void scratch_write(const char *name, const char *text)
{
    scratch_write_bytes(name, text, strlen(text), 0600);
}

#endif
