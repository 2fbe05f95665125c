/* SPDX-License-Identifier: MIT */
/* One mail of a call: from what the caller has given to what became of it. Planned (composed or looked through), perhaps waiting
 * for the first call with its key, ready, sent, ended; its owner is told at each change and decides what is sent when. */
#ifndef POSTERN_SMTP_ITEM_H
#define POSTERN_SMTP_ITEM_H

#include "api_smtp.h"
#include "idempotency.h"
#include "op.h"
#include "outgoing.h"
#include "smtp_send.h"

enum smtp_item_state { SMTP_ITEM_NEW = 0, SMTP_ITEM_PLANNING, SMTP_ITEM_KEY, SMTP_ITEM_READY, SMTP_ITEM_SENDING, SMTP_ITEM_ENDED };

struct smtp_item {
    struct op *op;
    size_t index;
    enum smtp_item_state state;
    struct outgoing *out;
    bool planned;            /* out was, already */
    bool complete;           /* raw: Date and Message-ID are put in front where they are missing */
    struct body_owner *text; /* what the slices below live in, where it is not the op's own text */
    uint64_t digest;         /* of the parameters */
    /* What the caller said; data NULL, n 0: by default. */
    struct slice from, envid, key;
    struct rpc_strings to, notify;
    enum smtp_ret ret;
    const struct api_envelope *envelope; /* may be NULL */
    uint64_t given, size; /* bytes of it that have gone out; all of them, from READY on, as far as is known */

    struct idempotency_record *record;
    struct idempotency_waiter waiter;
    /* What became of it. */
    char *result, *rejected, *refused; /* JSON, as struct smtp_sent has it */
    size_t result_len, rejected_len, refused_len;
    struct fault *fault;

    /* Its state is another, for good: KEY and READY after PLANNING, ENDED from anywhere; perhaps inside smtp_item_begin() and
     * smtp_item_submit(). */
    void (*changed)(struct smtp_item *it);
    /* It is being sent, on a connection that would take so many at once. */
    void (*started)(struct smtp_item *it, unsigned depth);
    void (*moved)(struct smtp_item *it); /* `given` is another */
};

/* What the caller has said of it, its message apart. */
void smtp_item_take(struct smtp_item *it, const struct api_smtp_item *p);
/* NEW: from run(). Leads to READY or ENDED. */
void smtp_item_begin(struct smtp_item *it);
/* READY. `group` may be NULL. */
void smtp_item_submit(struct smtp_item *it, struct smtp_group *group);
/* As a member of a list: the result, or {"error": …}. */
void smtp_item_write(struct op *op, const struct smtp_item *it);
/* What it holds; in any state. */
void smtp_item_done(struct smtp_item *it);

/* The set of SMTP_NOTIFY_… that these names say. */
unsigned smtp_notify_set(const struct rpc_strings *names);

#endif
