/* SPDX-License-Identifier: MIT */
/* What the parts of the pool side share and nobody else sees. */
#ifndef POSTERN_NET_PRIVATE_H
#define POSTERN_NET_PRIVATE_H

#include "pool.h"
#include "resolver.h"
#include "salted_keys.h"
#include "tls.h"

struct net_context {
    struct loop *loop;
    struct worker_pool *cpu;
    struct resolver *resolver;
    struct tls_cache *tls;
    struct salted_keys *keys; /* of logins by SCRAM; NULL: none are kept */
    struct net_hooks hooks;
    struct list pools;
    struct list hosts;    /* struct backoff_host: back-off by host and port */
    struct list finished; /* exchanges whose done() is due, by queue_link */
    struct loop_task finish;
    uint64_t last_session_id;
};

/* exchange->state */
enum exchange_state {
    EXCHANGE_NEW = 0,
    EXCHANGE_QUEUED, /* waits in a pool or behind a lease */
    EXCHANGE_PROBING, /* on a session that proves itself first */
    EXCHANGE_PREPARING, /* on a session; start() wants to be called again */
    EXCHANGE_PLACED, /* start() was called */
    EXCHANGE_ENDING, /* nothing was written; done() comes with the next task */
    EXCHANGE_DONE,
};

void net_log(const struct net_context *n, int level, const struct endpoint *e, const char *event, const char *fmt, ...)
    ATTR_PRINTF(5, 6);
/* done() with FAULT_CANCELLED or FAULT_TIMEOUT, and OUTCOME_NONE, from the loop. */
void net_finish_later(struct net_context *n, struct exchange *x);
/* Takes it out of where it waits and lets it end (exchange_cancel). */
void pool_forget_waiting(struct exchange *x);
/* Calls done(); the exchange is forgotten. Only from the loop. */
void exchange_end(struct exchange *x, const struct fault *fault);

#endif
