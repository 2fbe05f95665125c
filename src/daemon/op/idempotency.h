/* SPDX-License-Identifier: MIT */
/* Idempotency keys: what became of a call that named a key, so that its repeat does not act twice. A record belongs to
 * (uid, account, key) and outlives the call: it is the exchange that finishes it, late or not. Kept in memory for
 * `key_lifetime` from its end; what one user may keep is bounded (FAULT_LIMIT names key_lifetime). Loop thread only. */
#ifndef POSTERN_IDEMPOTENCY_H
#define POSTERN_IDEMPOTENCY_H

#include "fault.h"
#include "list.h"
#include "loop.h"
#include "slice.h"

#define IDEMPOTENCY_BYTES_PER_USER (16u << 20)

struct idempotency;
struct idempotency_record;

struct idempotency *idempotency_new(struct loop *l); /* NULL when out of memory */
void idempotency_free(struct idempotency *t);

/* What a finished call had to say. Borrowed from the record. */
struct idempotency_answer {
    struct slice result;   /* JSON; data NULL: it failed */
    struct fault fault;
    struct slice rejected; /* JSON array of the refused recipients; data NULL: none */
};

enum idempotency_found {
    IDEMPOTENCY_NEW = 0, /* nobody has used it: act, then call idempotency_finish() */
    IDEMPOTENCY_RUNNING, /* somebody acts: idempotency_wait() */
    IDEMPOTENCY_ENDED,   /* idempotency_answer() */
};
/* `digest` stands for the parameters; another one under the same key is -EEXIST FAULT_CONFLICT. <0 also -ENOMEM and -EDQUOT
 * (FAULT_LIMIT). A reference to the record goes to *ret. */
int idempotency_begin(struct idempotency *t, uint32_t uid, struct slice account, struct slice key, uint64_t digest,
                      uint64_t lifetime_ms, struct idempotency_record **ret, struct fault *fault) ATTR_WARN_UNUSED;
struct idempotency_record *idempotency_ref(struct idempotency_record *r);
struct idempotency_record *idempotency_unref(struct idempotency_record *r); /* accepts NULL, returns NULL */

/* The call is over: with a result (`fault` NULL), or with a fault. After outcome `none` the key is free again and one of those
 * who wait goes on as IDEMPOTENCY_NEW. Once. */
void idempotency_finish(struct idempotency_record *r, struct slice result, const struct fault *fault, struct slice rejected);
/* Valid while a reference is held. */
const struct idempotency_answer *idempotency_answer(const struct idempotency_record *r);

struct idempotency_waiter {
    struct list link;
    /* From the loop, once: begin anew (the key may have become free). Holds no reference. */
    void (*ready)(struct idempotency_waiter *w);
};
void idempotency_wait(struct idempotency_record *r, struct idempotency_waiter *w);
/* It will not be called. Accepts a zeroed waiter and one that was called. */
void idempotency_wait_cancel(struct idempotency_waiter *w);

#endif
