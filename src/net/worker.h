/* SPDX-License-Identifier: MIT */
/* Helpers for what would block or compute for long: a bounded queue with its own threads (1 MB stacks) and one eventfd
 * back to the loop. The daemon has three: `resolver` (getaddrinfo), `files` (foreign descriptors, fsync), `cpu` (MIME
 * over 64 kB, PBKDF2).
 *
 * A job owns its input and its result and touches no other object. Cancel is detach: the thread is not disturbed, only
 * nobody is told. The end of the process does not wait for threads. */
#ifndef POSTERN_WORKER_H
#define POSTERN_WORKER_H

#include "list.h"
#include "loop.h"
#include "macros.h"

struct worker_pool;

/* Embedded in the job's own struct, which lives on the heap. */
struct worker_job {
    struct list link;
    struct worker_pool *pool;
    void (*work)(struct worker_job *job);    /* on a helper thread */
    void (*done)(struct worker_job *job);    /* on the loop's thread, unless detached */
    void (*destroy)(struct worker_job *job); /* on the loop's thread, after done() or when detached; frees the job */
    unsigned state;                          /* private */
    bool detached;
};

/* At most `threads` threads, started as jobs come; at most `queue_max` jobs that no thread has begun. */
struct worker_pool *worker_pool_new(struct loop *l, const char *name, unsigned threads, size_t queue_max);
/* Destroys the jobs that have not begun; threads that are still busy are left alone and their jobs leak, which is
 * harmless at the end of the process. */
void worker_pool_free(struct worker_pool *p);
/* 0; -EAGAIN when the queue is full (the job stays the caller's). done() comes later, never from here. */
int worker_submit(struct worker_pool *p, struct worker_job *job) ATTR_WARN_UNUSED;
/* done() will not be called; destroy() will, at once if the job had not begun, else when the thread is through.
 * Not from within done(). */
void worker_detach(struct worker_job *job);
size_t worker_pool_queued(const struct worker_pool *p);
/* Jobs that a thread is busy with. */
size_t worker_pool_busy(const struct worker_pool *p);

#endif
