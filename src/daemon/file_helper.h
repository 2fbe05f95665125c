/* SPDX-License-Identifier: MIT */
/* Processes that touch foreign descriptors for us: look at, read, close. They share our table of descriptors and
 * nothing else (clone with CLONE_FILES), because a thread that hangs in a foreign file system cannot be killed and
 * keeps its whole process from ending; a process of its own hangs alone, and closing in it frees the number in our
 * table.
 *
 * A first one (the "nursery") is cloned before there are threads or secrets, and clones the others when they are
 * needed. All end with us, but for those that hang. What they read comes back through memory that is shared from the
 * start.
 *
 * Loop thread only, but for file_helpers_new(), which comes before the loop. */
#ifndef POSTERN_FILE_HELPER_H
#define POSTERN_FILE_HELPER_H

#include "list.h"
#include "loop.h"
#include "macros.h"
#include "worker.h"

#include <sys/types.h>

#define FILE_HELPERS_MAX 64
/* Bytes that one visit reads. The helper is free again in between, so that a slow file costs its own reader only and a
 * budget that is used up stops the reading. */
#define FILE_CHUNK (256 * 1024)

struct file_helpers;

enum file_visit_kind { FILE_VISIT_READ = 1, FILE_VISIT_CLOSE };

/* One visit to one descriptor. Embedded in the asker's object, which stays until done(). */
struct file_visit {
    enum file_visit_kind kind;
    int fd;
    bool look;       /* READ: fstat first, and read only what is a regular file */
    uint64_t offset; /* READ: where */
    /* From the loop, once. */
    void (*done)(struct file_visit *v);
    /* The result. */
    int error;        /* errno, or 0 */
    mode_t mode;      /* with `look` */
    const char *data; /* READ: valid during done() */
    size_t n;
};

/* Before any thread is started and any secret read. NULL when out of memory. Where such processes cannot be made, the
 * visits are made by threads. */
struct file_helpers *file_helpers_new(void);
/* Connects it with the loop, once; `threads` (which must outlive it) is what to fall back to. */
int file_helpers_start(struct file_helpers *h, struct loop *l, struct worker_pool *threads) ATTR_WARN_UNUSED;
/* Ends them; those that hang are left, and their visits are never done. */
void file_helpers_free(struct file_helpers *h);
/* 0: done() will be called. -EAGAIN: all helpers are at work. */
int file_visit_submit(struct file_helpers *h, struct file_visit *v) ATTR_WARN_UNUSED;
/* Visits under way. */
size_t file_helpers_busy(const struct file_helpers *h);

#endif
