/* SPDX-License-Identifier: MIT */
/* A spool: bytes whose number is not known before, from a server, a composer or a client's descriptor, kept until they
 * are passed on. Up to SPOOL_MEMORY bytes stay in memory, above that they go to a memfd that is written with write()
 * and never mapped. UTF-8 validity and NULs are found out on the way in. The memfds of spools that are over are kept for a
 * moment, with the pages that they have, since giving pages back and asking for others costs more than filling them; no reader
 * gets to see more of one than was written into it this time, and one that was exported is not used again.
 *
 * Life: new ─▶ write … write ─▶ seal ─▶ read by offset, any number of times. A spool is counted; the memory it takes is
 * charged to a budget until the last reference goes. Reading a sealed spool (spool_read, spool_source_fd with pread) is
 * safe from any thread as long as somebody holds a reference; all the rest belongs to the loop's thread.
 *
 * Back-pressure. A budget that is used up refuses nobody in the middle of a piece: spool_write() takes it and returns
 * 1, and the writer writes no more until `room` was called (an exchange is paused meanwhile). Two cases cannot be
 * helped by waiting and end with FAULT_LIMIT that names the budget: one spool that alone fills it, and spools that all
 * wait for each other (the youngest of them fails). */
#ifndef POSTERN_SPOOL_H
#define POSTERN_SPOOL_H

#include "buffer.h"
#include "fault.h"
#include "list.h"
#include "loop.h"
#include "macros.h"
#include "slice.h"
#include "utf8.h"

#define SPOOL_MEMORY 65536           /* bytes kept in memory before a memfd is made */
#define SPOOL_KEPT 8                 /* memfds kept for the next spools … */
#define SPOOL_KEPT_BYTES (24U << 20) /* … with so much memory at most … */
#define SPOOL_KEPT_MS 300            /* … until nobody has wanted one for so long */

/* A memfd and how much memory it has. */
struct spool_pages {
    int fd;
    uint64_t bytes;
};

/* Memory that several holders share: one for each user below one for the process. Bytes charged to a user's budget are
 * charged to its parent as well. Embedded; must outlive what is charged to it. */
struct spool_budget {
    struct spool_budget *parent; /* NULL: the root */
    const char *limit;           /* its name in the configuration, for errors: "user_memory"; static */
    uint64_t used, max;
    uint64_t taken;        /* part of `used` that spool_budget_take() and _force() charged */
    uint64_t held;         /* part of `used` that belongs to spools that wait for room */
    struct list waiting;   /* the root's: spools that wait, oldest first */
    struct loop_task task; /* the root's: looks who may go on */
    struct spool_pages kept[SPOOL_KEPT]; /* the root's */
    unsigned n_kept;
    uint64_t kept_bytes;
    struct loop_timer forget;
};

/* The root needs the loop; a child needs the parent. */
void spool_budget_init_root(struct spool_budget *b, struct loop *l, const char *limit, uint64_t max);
void spool_budget_init(struct spool_budget *b, struct spool_budget *parent, const char *limit, uint64_t max);
void spool_budget_done(struct spool_budget *b);
/* A changed configuration; what is over the new maximum stays. */
void spool_budget_set_max(struct spool_budget *b, uint64_t max);
/* Charges bytes that are no spool's (texts of requests, answers that wait): all or nothing, -EDQUOT with FAULT_LIMIT.
 */
int spool_budget_take(struct spool_budget *b, uint64_t n, struct fault *fault) ATTR_WARN_UNUSED;
/* The same whether there is room or not. */
void spool_budget_force(struct spool_budget *b, uint64_t n);
void spool_budget_give(struct spool_budget *b, uint64_t n);

struct spool;

/* `budget` NULL: charged to nobody. `max`: bytes it may come to hold, 0: no bound of its own; `limit` (static) names
 * that bound in the fault. NULL when out of memory. */
struct spool *spool_new(struct spool_budget *budget, uint64_t max, const char *limit);
struct spool *spool_ref(struct spool *s);
struct spool *spool_unref(struct spool *s); /* accepts NULL, returns NULL */

/* Called from the loop, at most once for each spool_write() that returned 1: with NULL, write on; with a fault, the
 * spool has failed. Set it before the first write; `room` NULL forgets it. */
void spool_on_room(struct spool *s, void (*room)(void *arg, const struct fault *fault), void *arg);
/* Before spool_seal(). 0: taken. 1: taken, and no more until room() was called. <0 with *fault: not taken, and the
 * spool cannot be finished: -EMSGSIZE and -EDQUOT (FAULT_LIMIT), -ENOMEM (FAULT_INTERNAL), -ENOSPC and the like
 * (FAULT_STORAGE). */
int spool_write(struct spool *s, struct slice piece, struct fault *fault) ATTR_WARN_UNUSED;
/* Nothing follows. -ENOMEM with FAULT_INTERNAL. Sealing twice is once. */
int spool_seal(struct spool *s, struct fault *fault) ATTR_WARN_UNUSED;

/* Bytes written so far. */
uint64_t spool_size(const struct spool *s);
/* Sealed, and all of it is valid UTF-8 without NUL. */
bool spool_is_text(const struct spool *s);
bool spool_is_sealed(const struct spool *s);
/* --- sealed spools only --- */
/* Copies up to `len` bytes from `offset` on; fewer only at the end. 0, or a negative errno of pread. */
int spool_read(const struct spool *s, uint64_t offset, void *buf, size_t len, size_t *ret_len) ATTR_WARN_UNUSED;
/* The same of bytes that are no spool's: `size` of them in memory, or in a file where `fd` is not -1. */
int spool_read_from(struct slice memory, int fd, uint64_t size, uint64_t offset, void *buf, size_t len,
                    size_t *ret_len) ATTR_WARN_UNUSED;
/* All the bytes when they are in memory (valid as long as the reference), data NULL when they are in a memfd. An empty
 * spool is in memory; its data is not NULL. */
struct slice spool_memory(const struct spool *s);
/* The memfd, for pread only; -1 when the bytes are in memory. Stays the spool's. */
int spool_fd(const struct spool *s);
/* A descriptor for somebody else: a memfd with all the bytes, sealed against everything, opened for itself and
 * positioned at 0. The caller closes it. <0 with *fault: -EMFILE, -ENOMEM … (FAULT_STORAGE). */
int spool_export(struct spool *s, struct fault *fault) ATTR_WARN_UNUSED;

#endif
