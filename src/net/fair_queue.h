/* SPDX-License-Identifier: MIT */
/* Who is next: users take turns, a user's clients take turns, a client's exchanges come in the order submitted. Holds
 * exchanges by their queue_link; owns only its own nodes. */
#ifndef POSTERN_FAIR_QUEUE_H
#define POSTERN_FAIR_QUEUE_H

#include "exchange.h"

struct fair_queue {
    struct list users;
    unsigned n;
};
void fair_queue_init(struct fair_queue *q);
/* The exchanges in it must have been taken out. */
void fair_queue_done(struct fair_queue *q);
/* -ENOMEM, or 0. `front`: before the client's others and the next to be served (a restart). */
int fair_queue_add(struct fair_queue *q, struct exchange *x, bool front) ATTR_WARN_UNUSED;
/* The next, still in the queue; NULL: empty. */
struct exchange *fair_queue_peek(struct fair_queue *q);
/* Takes out the one that peek gave and passes the turn on. */
struct exchange *fair_queue_pop(struct fair_queue *q);
/* Takes out any. */
void fair_queue_remove(struct fair_queue *q, struct exchange *x);
/* Walks all in no particular order; `fn` may remove the one it is given. */
void fair_queue_walk(struct fair_queue *q, void (*fn)(struct exchange *x, void *arg), void *arg);

#endif
