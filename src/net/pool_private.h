/* SPDX-License-Identifier: MIT */
/* Shared by pool.c, pool_place.c, pool_slot.c and pool_lease.c only. */
#ifndef POSTERN_POOL_PRIVATE_H
#define POSTERN_POOL_PRIVATE_H

#include "backoff.h"
#include "fair_queue.h"
#include "net_private.h"
#include "session.h"

#define WATCHES_AT_ONCE 4         /* connections for watches that are opened at a time */
#define PIPELINE_DEPTH 128        /* exchanges on one connection */
#define SHORT_BACKOFF_MS 1000     /* callers wait for the end of a shorter one instead of failing */
#define PROOF_OF_LIFE_MS 1000     /* a session that died younger, without an answer, counts as a failure */
#define LIVED_MS 10000            /* an exchange completed on a session of that age shows that the server is well */
#define SURVIVED_MS 60000
#define LOGIN_DELAY_MAX_MS 3600000 /* a server that demands more is not believed */
#define HOLD_FIRST_MS 5000 /* where the server did not say for how long */
#define HOLD_LONGEST_MS 300000
#define HOLD_MAX_MS 3600000 /* a server that asks for more is not believed */
#define BREAKER_FIRST_MS 60000
#define BREAKER_LONGEST_MS 3600000

/* lease->state */
enum lease_state {
    LEASE_NEW = 0,
    LEASE_WAITING, /* in pool->leases_waiting */
    LEASE_OPENING, /* a session is on its way */
    LEASE_ACTIVE,
    LEASE_ENDING, /* gone() is due */
    LEASE_GONE,
};

struct probe {
    struct list link; /* pool->probes while it has no session */
    uint64_t deadline_ms;
    pool_probe_done *done;
    void *arg;
};

/* A place of the pool, and the session that has it. */
struct slot {
    struct list link;
    struct pool *pool;
    struct session *session;
    struct lease *lease; /* whose it is */
    struct probe *probe; /* who waits for its login, or for its proof of life */
    uint64_t expires_ms; /* max_lifetime; 0: none */
    bool survived;       /* back-off was reset for it */
    bool lease_over;     /* lease_end() was called, or its time was up: no fault of the connection */
    bool yields;         /* a watch whose place is wanted by others */
};

struct pool {
    struct list link; /* net->pools */
    struct net_context *net;
    struct endpoint *endpoint;
    struct list slots; /* most recently used first */
    unsigned n_slots, n_leased, n_watching; /* n_leased: clients' */
    struct fair_queue queue;
    struct list leases_waiting, leases_over, probes;
    struct list account_wait, host_wait; /* in the waiters of the quotas */
    struct loop_task converge;
    struct loop_timer timer;
    struct tls_tickets tickets;
    struct backoff backoff;
    struct backoff_host *host;
    unsigned auth_failures;
    uint64_t broken_until_ms; /* the breaker; 0: closed */
    uint64_t login_after_ms;  /* POP3's LOGIN-DELAY: no new connection before; 0: none */
    uint64_t epoch;
    struct rate_limit rate;
    uint64_t held_until_ms;   /* the server asked to be left alone; 0: it did not */
    unsigned holds;           /* one behind the other */
    uint64_t expiry_ms;       /* earliest deadline of what waits in the queue; 0: none */
    uint64_t wake_ms;         /* earliest time at which there is something to do; 0: none */
    enum { POOL_OPEN, POOL_PAUSED, POOL_CLOSING, POOL_CLOSED } state;
    uint64_t grace_until_ms;
    void (*closed)(void *arg);
    void *closed_arg;
    struct pool_stats stats; /* the counters */
};

static inline uint64_t pool_now(const struct pool *p)
{
    return loop_now_ms(p->net->loop);
}
static inline void pool_look(struct pool *p)
{
    loop_task_schedule(&p->converge);
}
/* There will be something to do at that time. */
static inline void pool_wake_at(struct pool *p, uint64_t ms)
{
    if (ms && (p->wake_ms == 0 || ms < p->wake_ms))
        p->wake_ms = ms;
}

/* pool.c */
/* The last connection is gone. */
void pool_finish(struct pool *p);

/* Notes the deadlines of an exchange that joins the queue. */
void pool_note_deadlines(struct pool *p, const struct exchange *x);

/* pool_place.c */
void pool_converge(void *arg);

/* pool_slot.c */
/* May a connection be opened now? Where only time or another pool forbids it, it is arranged that the pool looks again. */
bool pool_may_open(struct pool *p);
/* NULL when out of memory. */
struct slot *pool_open_slot(struct pool *p, struct lease *lease, struct probe *probe);
unsigned pool_count(const struct pool *p, enum session_state from, enum session_state to);
/* Connections that count for pool_size. One of SMTP that only waits for the answer to its QUIT does no work and holds nothing: the
 * next need not wait for that (quotas count it still, and there are never more of them than pool_size). */
unsigned pool_places_taken(const struct pool *p);
/* Closes the idle session that was used least recently. */
bool pool_close_idle(struct pool *p);
/* The server's LOGIN-DELAY holds; the pool will look again. */
bool pool_login_delayed(struct pool *p);
/* The breaker or back-off holds: why, with retry_after. */
bool pool_is_blocked(struct pool *p, struct fault *fault);
/* Is another pool waiting for a connection that this one's quotas would have to give? */
bool pool_is_asked_for_room(struct pool *p);
void pool_fail_waiters(struct pool *p, const struct fault *fault);

/* A server asked to be left alone by the fault of an exchange: all who use the pool are held, for as long as it said, or for a
 * while that grows. */
void pool_hold(struct pool *p, uint64_t ms);

/* pool_lease.c */
/* Ends one of the watches, if there is one. */
bool pool_yield_watch(struct pool *p);
void pool_serve_leases(struct pool *p);
void pool_serve_probes(struct pool *p);
void pool_lease_ready(struct slot *slot);
void pool_lease_gone(struct slot *slot, const struct fault *fault);
void pool_probe_end(struct pool *p, struct probe *probe, struct session *s, const struct fault *fault);
void pool_fail_leases(struct pool *p, const struct fault *fault);
void pool_expire_leases(struct pool *p);

#endif
