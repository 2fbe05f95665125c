/* SPDX-License-Identifier: MIT */
/* Convergence: look at everything, do what is due. Runs as a task after every event that may matter; twice is once. */
#include "pool_private.h"

#include <errno.h>

/* --- waiters whose time is up --- */

static void expire_waiter(struct exchange *x, void *arg)
{
    struct pool *p = arg;
    uint64_t now = pool_now(p);
    if (x->deadline_ms && x->deadline_ms <= now) {
        x->ended_by_deadline = true;
        exchange_cancel(x);
    } else if (x->queue_deadline_ms && x->queue_deadline_ms <= now) {
        struct fault fault = {0};
        fair_queue_remove(&p->queue, x);
        fault_set(&fault, -EBUSY, FAULT_BUSY, "connect", "no connection became free in time%s%s",
                  fault_is_set(&p->stats.last_fault) ? "; the last one that failed: " : "", p->stats.last_fault.text);
        fault.retry_after_ms = p->held_until_ms > now ? p->held_until_ms - now : 0;
        exchange_end(x, &fault);
    } else {
        pool_note_deadlines(p, x);
    }
}

/* All are looked at only when one is due: a long queue must not cost at each event. */
static void expire_waiters(struct pool *p)
{
    if (p->expiry_ms && p->expiry_ms <= pool_now(p)) {
        p->expiry_ms = 0;
        fair_queue_walk(&p->queue, expire_waiter, p);
    }
    pool_wake_at(p, p->expiry_ms);
}

/* --- sessions that should go --- */

static void tend_session(struct pool *p, struct slot *slot, unsigned *idle_spare)
{
    const struct endpoint *e = p->endpoint;
    const struct session_view *v = session_view(slot->session);
    uint64_t now = pool_now(p), idle_until = e->idle_timeout_ms ? v->idle_ms + e->idle_timeout_ms : 0;

    if (v->state != SESSION_READY || slot->lease || slot->probe)
        return;
    bool spare = *idle_spare > 0;
    bool over = p->state != POOL_OPEN || (slot->expires_ms && slot->expires_ms <= now) ||
                (e->max_uses && v->uses >= e->max_uses) || session_is_spent(slot->session) || (spare && idle_until && idle_until <= now);
    if (over) {
        *idle_spare -= spare;
        session_close(slot->session);
        return;
    }
    pool_wake_at(p, slot->expires_ms);
    if (spare)
        pool_wake_at(p, idle_until);
}

static void tend_sessions(struct pool *p)
{
    struct slot *slot;
    unsigned live = pool_count(p, SESSION_RESOLVE, SESSION_BUSY);
    unsigned spare = live > p->endpoint->min_pool_size ? live - p->endpoint->min_pool_size : 0;

    /* Least recently used first, so that those in use stay. */
    for (struct list *l = p->slots.prev, *before = l->prev; l != &p->slots; l = before, before = l->prev) {
        slot = container_of(l, struct slot, link);
        tend_session(p, slot, &spare);
    }
    if (p->queue.n == 0 && pool_is_asked_for_room(p) && !pool_close_idle(p))
        pool_yield_watch(p);
}

/* --- placing --- */

static bool usable(const struct pool *p, const struct slot *slot)
{
    const struct session_view *v = session_view(slot->session);
    return !slot->lease && !slot->probe && (v->state == SESSION_READY || v->state == SESSION_BUSY) &&
           !(p->endpoint->max_uses && v->uses >= p->endpoint->max_uses) && !session_is_spent(slot->session) &&
           !(slot->expires_ms && slot->expires_ms <= pool_now(p));
}

static int fits(const struct exchange *x, const struct slot *slot)
{
    bool idle = session_is_idle(slot->session);
    return x->ops->fits ? x->ops->fits(x, slot->session) : idle ? 1 : -1;
}

/* Of the sessions that are idle (or busy) the one that suits best; among equals the most recently used. */
static struct slot *best(struct pool *p, const struct exchange *x, bool idle)
{
    struct slot *slot, *found = NULL;
    int score = -1;
    list_foreach(&p->slots, slot, struct slot, link) {
        if (!usable(p, slot) || session_is_idle(slot->session) != idle)
            continue;
        if (!idle && (session_depth(slot->session) >= PIPELINE_DEPTH || !session_all_complete(slot->session)))
            continue;
        int s = fits(x, slot);
        if (s > score) {
            score = s;
            found = slot;
        }
    }
    return found;
}

/* RFC-less but usual: a steady rate with bursts of at most `count`. 0: one more may go, else the loop time when. */
static uint64_t rate_next_us(const struct rate_limit *r, uint64_t now_us)
{
    if (!r || !r->count || !r->period_ms)
        return 0;
    uint64_t each = r->period_ms * 1000 / r->count, settled = MAX(r->settled_us, now_us);
    uint64_t next = settled + each - MIN(settled + each, r->period_ms * 1000);
    return next > now_us ? next : 0;
}

static void rate_take(struct rate_limit *r, uint64_t now_us)
{
    if (r && r->count)
        r->settled_us = MAX(r->settled_us, now_us) + r->period_ms * 1000 / r->count;
}

/* What the pool's own limit says, its host's, and a server that asked to be left alone. */
static bool rate_allows(struct pool *p)
{
    struct endpoint *e = p->endpoint;
    struct rate_limit *of_host = e->host_quota && e->protocol == PROTOCOL_SMTP ? &e->host_quota->rate : NULL;
    uint64_t now_us = pool_now(p) * 1000;
    uint64_t next = MAX(rate_next_us(&p->rate, now_us), rate_next_us(of_host, now_us));
    if (next)
        pool_wake_at(p, next / 1000 + 1);
    if (p->held_until_ms > pool_now(p)) {
        pool_wake_at(p, p->held_until_ms);
        return false;
    }
    if (next)
        return false;
    rate_take(&p->rate, now_us);
    rate_take(of_host, now_us);
    return true;
}

/* false: the exchange goes back to where it was. */
static bool place(struct pool *p, struct slot *slot, struct exchange *x)
{
    struct fault fault = {0};
    bool reused = session_view(slot->session)->uses > 0;
    int r = session_place(slot->session, x, &fault);
    if (r == -EBUSY && !fault_is_set(&fault)) {
        x->state = EXCHANGE_QUEUED;
        return false;
    }
    p->stats.exchanges++;
    p->stats.reused += reused;
    p->stats.wait_total_ms += pool_now(p) - x->submitted_ms;
    list_remove(&slot->link);
    list_prepend(&p->slots, &slot->link);
    if (r < 0)
        exchange_end(x, &fault);
    return true;
}

static struct slot *find_slot(struct pool *p, const struct exchange *x, bool may_pipeline)
{
    struct slot *slot;
    /* What came in meanwhile may have ended an idle one. */
    while ((slot = best(p, x, true)))
        if (session_check(slot->session))
            return slot;
    return may_pipeline ? best(p, x, false) : NULL;
}

/* Serves waiters in fair order. One that fits nowhere is passed over only while a connection for it is, or can be put,
 * on its way: nobody overtakes one for whom there is no prospect, or it might wait for ever. Returns how many
 * connections are wanted. */
static unsigned place_waiters(struct pool *p, unsigned opening, unsigned room)
{
    struct list passed_over;
    struct exchange *x;
    const void *clinging = NULL;
    unsigned n_passed = 0;

    list_init(&passed_over);
    while ((x = fair_queue_peek(&p->queue)) && p->state == POOL_OPEN) {
        bool prospect = n_passed < opening + room;
        struct slot *slot = find_slot(p, x, !prospect || x->clings);
        if (!slot && !prospect)
            break;
        if (slot && !rate_allows(p))
            break;
        fair_queue_pop(&p->queue);
        if (slot && place(p, slot, x))
            continue;
        list_prepend(&passed_over, &x->queue_link);
        /* What clings together wants one connection. */
        n_passed += (!x->clings || x->clings != clinging) && !(x->ops->waits && x->ops->waits(x));
        clinging = x->clings;
        if (slot)
            break;
    }
    while ((x = list_first(&passed_over, struct exchange, queue_link))) {
        list_remove(&x->queue_link);
        if (fair_queue_add(&p->queue, x, true) < 0) {
            struct fault fault = {0};
            fault_set(&fault, -ENOMEM, FAULT_INTERNAL, "connect", "out of memory");
            exchange_end(x, &fault);
        }
    }
    return n_passed > opening ? n_passed - opening : 0;
}

/* How many more connections the pool itself would allow. */
static unsigned room_for(struct pool *p)
{
    unsigned size = MAX(p->endpoint->pool_size, 1U), taken = pool_places_taken(p);
    if (p->state != POOL_OPEN || taken >= size || pool_is_blocked(p, NULL) || pool_login_delayed(p))
        return 0;
    return size - taken;
}

static void serve_waiters(struct pool *p)
{
    unsigned opening = pool_count(p, SESSION_RESOLVE, SESSION_LOGIN);
    unsigned wanted = place_waiters(p, opening, room_for(p));
    unsigned live = pool_count(p, SESSION_RESOLVE, SESSION_BUSY);

    if (p->endpoint->min_pool_size > live)
        wanted = MAX(wanted, p->endpoint->min_pool_size - live);
    bool opened = true;
    while (wanted && (opened = pool_may_open(p)) && pool_open_slot(p, NULL, NULL))
        wanted--;
    /* Somebody must wait although nothing is busy for them: a limit of other pools holds. Pipelining is better. */
    if (!opened && wanted && pool_count(p, SESSION_READY, SESSION_BUSY))
        (void) place_waiters(p, opening, 0);
    else if (!opened && wanted)
        pool_yield_watch(p);
}

/* --- the end --- */

static void finish_closing(struct pool *p)
{
    uint64_t now = pool_now(p);
    struct fault fault = {0};
    struct slot *slot;

    fault_set(&fault, -ESHUTDOWN, FAULT_UNAVAILABLE, "connect", "the account is being closed or reloaded");
    pool_fail_waiters(p, &fault);
    pool_fail_leases(p, &fault);
    list_foreach(&p->slots, slot, struct slot, link) {
        const struct session_view *v = session_view(slot->session);
        bool quiet = v->state < SESSION_READY || (slot->lease && v->depth == 0);
        if (quiet || p->grace_until_ms <= now) {
            slot->lease_over = true;
            session_abort(slot->session, &fault);
        } else if (v->state == SESSION_READY || v->state == SESSION_BUSY) {
            session_close(slot->session);
        }
    }
    pool_wake_at(p, p->grace_until_ms > now ? p->grace_until_ms : 0);
}

void pool_converge(void *arg)
{
    struct pool *p = arg;
    struct fault fault;

    p->wake_ms = 0;
    expire_waiters(p);
    pool_expire_leases(p);
    tend_sessions(p);
    if (p->state == POOL_OPEN) {
        pool_serve_leases(p);
        pool_serve_probes(p);
        serve_waiters(p);
        if (p->n_slots == 0 && p->queue.n && pool_is_blocked(p, &fault) && fault_is_set(&fault))
            pool_fail_waiters(p, &fault);
    } else if (p->state == POOL_CLOSING) {
        finish_closing(p);
        if (p->n_slots == 0 && p->queue.n == 0 && list_is_empty(&p->leases_over)) {
            pool_finish(p);
            return;
        }
    }
    if (p->wake_ms)
        loop_timer_set_at(&p->timer, MAX(p->wake_ms, pool_now(p) + 1));
    else
        loop_timer_clear(&p->timer);
}
