/* SPDX-License-Identifier: MIT */
/* Connections for one client: leases, and probes, which look whether the account works. */
#include "pool_private.h"

#include <errno.h>
#include <stdlib.h>

static unsigned leases_max(const struct pool *p)
{
    return MAX(p->endpoint->pool_size / 2, 1U);
}

/* A watch may have a place when one is left after it, and not too many watch. */
static bool may_watch(const struct pool *p)
{
    return p->n_leased + p->n_watching + 1 < p->endpoint->pool_size && p->n_watching < MAX(p->endpoint->pool_size / 2, 1U);
}

/* gone() with that reason, and the fault of what was still queued. */
static void lease_finish(struct lease *lease, const struct fault *fault)
{
    struct fault none = {0}, ended = *fault;

    fault_set(&ended, -ECONNRESET, FAULT_NO_SUCH_SESSION, NULL, "the session has ended");
    ended.outcome = OUTCOME_NONE;
    lease->session = NULL;
    lease->state = LEASE_ENDING;
    while (!list_is_empty(&lease->exchanges)) {
        struct exchange *x = list_first(&lease->exchanges, struct exchange, queue_link);
        list_remove(&x->queue_link);
        exchange_end(x, &ended);
    }
    list_remove(&lease->link);
    lease->state = LEASE_GONE;
    lease->ops->gone(lease, fault_is_set(fault) ? fault : &none);
}

void pool_lease_ready(struct slot *slot)
{
    struct lease *lease = slot->lease;
    lease->session = slot->session;
    lease->state = LEASE_ACTIVE;
    lease->ops->ready(lease, slot->session);
}

void pool_lease_gone(struct slot *slot, const struct fault *fault)
{
    struct fault none = {0}, unexpected = *fault;
    if (slot->lease->state == LEASE_ENDING) {
        lease_finish(slot->lease, &none);
        return;
    }
    if (slot->yields) {
        fault_clear(&unexpected);
        fault_set(&unexpected, -EBUSY, FAULT_BUSY, "connect", "its place was needed for a call");
    }
    fault_set(&unexpected, -ECONNRESET, FAULT_DISCONNECTED, NULL, "the connection was closed");
    lease_finish(slot->lease, &unexpected);
}

/* Those that have no connection yet. */
void pool_fail_leases(struct pool *p, const struct fault *fault)
{
    struct lease *lease;
    while ((lease = list_first(&p->leases_waiting, struct lease, link)))
        lease_finish(lease, fault);
    struct probe *probe;
    while ((probe = list_first(&p->probes, struct probe, link)))
        pool_probe_end(p, probe, NULL, fault);
}

bool pool_yield_watch(struct pool *p)
{
    struct slot *slot, *found = NULL;
    list_foreach(&p->slots, slot, struct slot, link) {
        if (slot->lease && slot->lease->watch && slot->yields)
            return true; /* one is on its way out */
        if (slot->lease && slot->lease->watch && !slot->lease_over)
            found = slot;
    }
    if (!found)
        return false;
    found->yields = found->lease_over = true;
    session_close(found->session);
    return true;
}

static struct slot *slot_of_lease(const struct lease *lease)
{
    struct slot *slot;
    list_foreach(&lease->pool->slots, slot, struct slot, link)
        if (slot->lease == lease)
            return slot;
    return NULL;
}

/* The next of its exchanges, as soon as nothing is in flight. */
static void feed_lease(struct lease *lease)
{
    struct fault fault = {0};
    struct exchange *x;
    while (lease->state == LEASE_ACTIVE && session_is_idle(lease->session) &&
           (x = list_first(&lease->exchanges, struct exchange, queue_link))) {
        list_remove(&x->queue_link);
        int r = session_place(lease->session, x, &fault);
        lease->pool->stats.exchanges++;
        if (r == -EBUSY && !fault_is_set(&fault)) {
            x->state = EXCHANGE_QUEUED;
            list_prepend(&lease->exchanges, &x->queue_link);
            return;
        }
        if (r < 0)
            exchange_end(x, &fault);
        fault_clear(&fault);
    }
}

/* The first client that waits. */
static struct lease *next_client(struct pool *p)
{
    struct lease *lease;
    list_foreach(&p->leases_waiting, lease, struct lease, link)
        if (!lease->watch)
            return lease;
    return NULL;
}

/* A mail server is not run down, and each that comes after the first can resume its TLS session. */
static unsigned watches_on_their_way(const struct pool *p)
{
    struct slot *slot;
    unsigned n = 0;
    list_foreach(&p->slots, slot, struct slot, link)
        n += slot->lease && slot->lease->watch && session_view(slot->session)->state < SESSION_READY;
    return n;
}

/* It gets its place now, or not at all; only where time forbids it does it wait. */
static void open_watch(struct pool *p, struct lease *lease)
{
    struct fault busy = {0};
    if (watches_on_their_way(p) >= WATCHES_AT_ONCE)
        return;
    bool room = may_watch(p);
    if (room && !pool_may_open(p)) {
        if (p->n_slots >= p->endpoint->pool_size)
            room = pool_close_idle(p);
        else
            room = pool_is_blocked(p, NULL) || pool_login_delayed(p);
        if (room)
            return;
    }
    if (room && pool_open_slot(p, lease, NULL)) {
        list_remove(&lease->link);
        lease->state = LEASE_OPENING;
        return;
    }
    fault_set(&busy, -EBUSY, FAULT_BUSY, "connect", "every other connection of the pool is needed for calls");
    if (p->queue.n == 0 && !next_client(p)) {
        list_remove(&p->account_wait); /* nobody here waits for room */
        list_remove(&p->host_wait);
    }
    lease_finish(lease, &busy);
}

void pool_serve_leases(struct pool *p)
{
    struct slot *slot;
    struct lease *lease;

    list_foreach(&p->slots, slot, struct slot, link)
        if (slot->lease)
            feed_lease(slot->lease);
    list_foreach(&p->leases_waiting, lease, struct lease, link)
        if (lease->watch)
            open_watch(p, lease);
    while ((lease = next_client(p)) && p->n_leased < leases_max(p)) {
        /* The last place but one would be gone, and pooled calls have only what is left. */
        if (p->n_watching && p->n_leased + p->n_watching + 1 >= p->endpoint->pool_size) {
            pool_yield_watch(p);
            return;
        }
        /* Always a connection of its own making: a pooled one has a mailbox selected, or a past. */
        if (!pool_may_open(p)) {
            if (p->n_slots >= MAX(p->endpoint->pool_size, 1U) ? !pool_close_idle(p) : !pool_is_blocked(p, NULL))
                pool_yield_watch(p);
            return;
        }
        if (!pool_open_slot(p, lease, NULL))
            return;
        list_remove(&lease->link);
        lease->state = LEASE_OPENING;
    }
}

static void expire_active(struct pool *p, struct slot *slot)
{
    const struct endpoint *e = p->endpoint;
    const struct session_view *v = session_view(slot->session);
    uint64_t now = pool_now(p);
    uint64_t idle_until = e->session_idle_ms && v->state == SESSION_READY ? v->idle_ms + e->session_idle_ms : 0;
    uint64_t end = e->session_max_ms ? v->opened_ms + e->session_max_ms : 0;
    struct fault fault = {0};

    if (slot->lease->state != LEASE_ACTIVE || slot->lease->watch)
        return;
    if (idle_until && idle_until <= now && list_is_empty(&slot->lease->exchanges))
        fault_set(&fault, -ETIMEDOUT, FAULT_TIMEOUT, NULL, "the session was idle for longer than session_idle");
    else if (end && end <= now)
        fault_set(&fault, -ETIMEDOUT, FAULT_TIMEOUT, NULL, "the session lasted longer than session_max");
    if (fault_is_set(&fault)) {
        slot->lease_over = true;
        session_abort(slot->session, &fault);
        return;
    }
    pool_wake_at(p, idle_until);
    pool_wake_at(p, end);
}

static void expire_lease_exchanges(struct pool *p, struct lease *lease)
{
    struct exchange *x;
    uint64_t now = pool_now(p);
    list_foreach(&lease->exchanges, x, struct exchange, queue_link) {
        if (x->deadline_ms && x->deadline_ms <= now) {
            x->ended_by_deadline = true;
            exchange_cancel(x);
        } else {
            pool_wake_at(p, x->deadline_ms);
        }
    }
}

void pool_expire_leases(struct pool *p)
{
    uint64_t now = pool_now(p);
    struct lease *lease;
    struct probe *probe;
    struct slot *slot;
    struct fault busy = {0};

    fault_set(&busy, -EBUSY, FAULT_BUSY, "connect", "no connection became free in time");
    list_foreach(&p->leases_over, lease, struct lease, link) {
        struct fault none = {0};
        lease_finish(lease, &none);
    }
    list_foreach(&p->leases_waiting, lease, struct lease, link) {
        if (lease->queue_deadline_ms && lease->queue_deadline_ms <= now)
            lease_finish(lease, &busy);
        else
            pool_wake_at(p, lease->queue_deadline_ms);
    }
    list_foreach(&p->probes, probe, struct probe, link) {
        if (probe->deadline_ms && probe->deadline_ms <= now)
            pool_probe_end(p, probe, NULL, &busy);
        else
            pool_wake_at(p, probe->deadline_ms);
    }
    list_foreach(&p->slots, slot, struct slot, link) {
        if (slot->lease) {
            expire_lease_exchanges(p, slot->lease);
            expire_active(p, slot);
        } else if (slot->probe && slot->probe->deadline_ms && slot->probe->deadline_ms <= now) {
            struct fault late = {0};
            struct probe *waiting = slot->probe;
            slot->probe = NULL;
            fault_set(&late, -ETIMEDOUT, FAULT_TIMEOUT, session_state_name(session_view(slot->session)->state),
                      "not logged in within the time given");
            pool_probe_end(p, waiting, NULL, &late);
        } else if (slot->probe) {
            pool_wake_at(p, slot->probe->deadline_ms);
        }
    }
}

int pool_lease(struct pool *p, struct lease *lease, struct fault *fault)
{
    if (p->state != POOL_OPEN)
        return fault_set(fault, -ESHUTDOWN, FAULT_UNAVAILABLE, "connect", "the account is paused or being closed");
    if (pool_is_blocked(p, fault) && fault_is_set(fault))
        return -EAGAIN;
    list_init(&lease->link);
    list_init(&lease->exchanges);
    lease->pool = p;
    lease->session = NULL;
    lease->state = LEASE_WAITING;
    list_append(&p->leases_waiting, &lease->link);
    pool_look(p);
    return 0;
}

int lease_submit(struct lease *lease, struct exchange *x, struct fault *fault)
{
    enum lease_state state = lease->state;
    if (state != LEASE_ACTIVE && state != LEASE_WAITING && state != LEASE_OPENING)
        return fault_set(fault, -ENOTCONN, FAULT_NO_SUCH_SESSION, NULL, "the session has ended");
    x->pool = lease->pool;
    x->lease = lease;
    x->state = EXCHANGE_QUEUED;
    x->submitted_ms = pool_now(lease->pool);
    list_append(&lease->exchanges, &x->queue_link);
    pool_look(lease->pool);
    return 0;
}

void lease_set_trace(struct lease *lease, bool on)
{
    if (lease->state == LEASE_ACTIVE)
        session_set_trace(lease->session, on);
}

int lease_hand_over(struct lease *lease, int fd, struct slice ahead, struct fault *fault)
{
    if (lease->state != LEASE_ACTIVE)
        return fault_set(fault, -ENOTCONN, FAULT_NO_SUCH_SESSION, NULL, "the session has ended");
    return session_relay(lease->session, fd, ahead, fault);
}

void lease_end(struct lease *lease, bool orderly)
{
    struct slot *slot;
    switch ((enum lease_state) lease->state) {
    case LEASE_NEW:
    case LEASE_ENDING:
    case LEASE_GONE:
        return;
    case LEASE_WAITING:
        list_remove(&lease->link);
        list_append(&lease->pool->leases_over, &lease->link);
        break;
    case LEASE_OPENING:
    case LEASE_ACTIVE:
        slot = slot_of_lease(lease);
        slot->lease_over = true;
        if (orderly)
            session_close(slot->session);
        else
            session_abort(slot->session, NULL);
        break;
    }
    lease->state = LEASE_ENDING;
    pool_look(lease->pool);
}

/* --- probes --- */

void pool_probe_end(struct pool *p, struct probe *probe, struct session *s, const struct fault *fault)
{
    struct pool_probe_result result = {0};
    struct fault closed = {0};
    (void) p;
    list_remove(&probe->link);
    if (s) {
        result = session_view(s)->times;
    } else if (!fault || !fault_is_set(fault)) {
        fault_set(&closed, -ECONNRESET, FAULT_DISCONNECTED, "connect", "the connection was closed");
        fault = &closed;
    }
    probe->done(probe->arg, &result, s ? NULL : fault, s);
    free(probe);
}

void pool_serve_probes(struct pool *p)
{
    struct probe *probe;
    while ((probe = list_first(&p->probes, struct probe, link))) {
        struct slot *slot, *idle = NULL;
        if (pool_may_open(p)) {
            slot = pool_open_slot(p, NULL, probe);
            if (!slot)
                return;
            list_remove(&probe->link);
            continue;
        }
        list_foreach(&p->slots, slot, struct slot, link)
            if (!slot->lease && !slot->probe && session_is_idle(slot->session))
                idle = slot;
        if (!idle)
            return;
        if (!session_check(idle->session))
            return; /* it is ending, and its end makes the pool look again */
        list_remove(&probe->link);
        idle->probe = probe;
        int r = session_prove(idle->session);
        if (r == 0) {
            idle->probe = NULL;
            pool_probe_end(p, probe, idle->session, NULL);
        }
    }
}

int pool_probe(struct pool *p, uint64_t deadline_ms, pool_probe_done *done, void *arg, struct fault *fault)
{
    if (p->state != POOL_OPEN)
        return fault_set(fault, -ESHUTDOWN, FAULT_UNAVAILABLE, "connect", "the account is paused or being closed");
    if (pool_is_blocked(p, fault) && fault_is_set(fault))
        return -EAGAIN;
    struct probe *probe = calloc(1, sizeof(*probe));
    if (!probe)
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, "connect", "out of memory");
    list_init(&probe->link);
    probe->deadline_ms = deadline_ms;
    probe->done = done;
    probe->arg = arg;
    list_append(&p->probes, &probe->link);
    pool_look(p);
    return 0;
}
