/* SPDX-License-Identifier: MIT */
/* Opening connections as far as limits allow, and what is learned from how they end. */
#include "pool_private.h"

#include <errno.h>
#include <stdlib.h>
#include <syslog.h>

unsigned pool_count(const struct pool *p, enum session_state from, enum session_state to)
{
    struct slot *slot;
    unsigned n = 0;
    list_foreach(&p->slots, slot, struct slot, link) {
        enum session_state state = session_view(slot->session)->state;
        n += !slot->lease && state >= from && state <= to;
    }
    return n;
}

/* --- limits --- */

static bool quota_has_room(struct connection_quota *q, struct list *wait)
{
    if (!q || q->max == 0 || q->used < q->max)
        return true;
    if (list_is_empty(wait))
        list_append(&q->waiters, wait);
    return false;
}

static void quota_take(struct connection_quota *q, struct list *wait)
{
    if (q)
        q->used++;
    list_remove(wait);
}

/* All who wait look again, in the order in which they came. */
static void quota_give(struct connection_quota *q, bool is_account)
{
    if (!q)
        return;
    q->used--;
    for (struct list *l = q->waiters.next; l != &q->waiters; l = l->next)
        pool_look(is_account ? container_of(l, struct pool, account_wait) : container_of(l, struct pool, host_wait));
}

/* Other pools under the same quota may be holding connections that they do not use. */
static void ask_for_room(struct pool *p)
{
    const struct endpoint *e = p->endpoint;
    struct pool *other;
    list_foreach(&p->net->pools, other, struct pool, link) {
        const struct endpoint *o = other->endpoint;
        if (other != p && ((o->account_quota && o->account_quota == e->account_quota) ||
                           (o->host_quota && o->host_quota == e->host_quota)))
            pool_look(other);
    }
}

static bool others_wait(const struct connection_quota *q, const struct list *own)
{
    return q && q->max && q->used >= q->max && !list_is_empty(&q->waiters) &&
           !(q->waiters.next == own && q->waiters.prev == own);
}

bool pool_is_asked_for_room(struct pool *p)
{
    return others_wait(p->endpoint->account_quota, &p->account_wait) ||
           others_wait(p->endpoint->host_quota, &p->host_wait);
}

bool pool_is_blocked(struct pool *p, struct fault *fault)
{
    uint64_t now = pool_now(p);
    uint64_t wait = MAX(backoff_remaining(&p->backoff, now), backoff_remaining(&p->host->backoff, now));
    uint64_t broken = p->broken_until_ms > now ? p->broken_until_ms - now : 0;
    if (broken == 0 && wait == 0)
        return false;
    pool_wake_at(p, now + MAX(broken, wait));
    if (fault) {
        *fault = fault_is_set(&p->stats.last_fault) ? p->stats.last_fault : p->host->last_fault;
        fault_set(fault, -EAGAIN, FAULT_CONNECT, "connect", "other connections to %s failed", p->host->name);
        fault->outcome = OUTCOME_NONE;
        fault->retry_after_ms = MAX(broken, wait);
        if (!broken && wait <= SHORT_BACKOFF_MS)
            fault->kind = FAULT_NONE;
    }
    return true;
}

bool pool_login_delayed(struct pool *p)
{
    if (p->login_after_ms <= pool_now(p))
        return false;
    pool_wake_at(p, p->login_after_ms);
    return true;
}

/* RFC 2449 section 6.5 */
static void note_login_delay(struct pool *p, const struct session *s)
{
    const struct engine *e = session_engine(s);
    uint64_t delay_ms = e->ops->login_delay_ms ? e->ops->login_delay_ms(e) : 0;
    p->login_after_ms = delay_ms ? pool_now(p) + MIN(delay_ms, (uint64_t) LOGIN_DELAY_MAX_MS) : 0;
}

unsigned pool_places_taken(const struct pool *p)
{
    struct slot *slot;
    unsigned leaving = 0;
    if (p->endpoint->protocol != PROTOCOL_SMTP)
        return p->n_slots;
    list_foreach(&p->slots, slot, struct slot, link) {
        const struct session_view *v = session_view(slot->session);
        leaving += v->state == SESSION_CLOSING && v->depth == 0;
    }
    return p->n_slots - MIN(leaving, MAX(p->endpoint->pool_size, 1U));
}

bool pool_may_open(struct pool *p)
{
    const struct endpoint *e = p->endpoint;
    if (p->state != POOL_OPEN || pool_places_taken(p) >= MAX(e->pool_size, 1U) || pool_is_blocked(p, NULL) ||
        pool_login_delayed(p))
        return false;
    bool room = quota_has_room(e->account_quota, &p->account_wait);
    room = quota_has_room(e->host_quota, &p->host_wait) && room;
    if (!room)
        ask_for_room(p);
    return room;
}

/* --- what the session tells --- */

static void slot_ready(struct session *s)
{
    struct slot *slot = session_view(s)->owner;
    struct pool *p = slot->pool;
    uint64_t now = pool_now(p);
    const struct endpoint *e = p->endpoint;

    note_login_delay(p, s);
    p->stats.opened++;
    p->stats.opened_tls += session_view(s)->times.tls;
    p->auth_failures = 0;
    p->broken_until_ms = 0;
    fault_clear(&p->stats.last_fault);
    slot->expires_ms = e->max_lifetime_ms ? now + backoff_jitter(e->max_lifetime_ms) : 0;
    net_log(p->net, LOG_DEBUG, e, "connected", "%s in %llu ms", session_view(s)->times.peer,
            (unsigned long long) session_view(s)->times.total_ms);
    if (slot->lease)
        pool_lease_ready(slot);
    if (slot->probe) {
        struct probe *probe = slot->probe;
        slot->probe = NULL;
        pool_probe_end(p, probe, s, NULL);
    }
    pool_look(p);
}

static void reset_backoff(struct slot *slot)
{
    slot->survived = true;
    backoff_reset(&slot->pool->backoff);
    backoff_reset(&slot->pool->host->backoff);
}

void pool_hold(struct pool *p, uint64_t ms)
{
    uint64_t now = pool_now(p);
    /* Several in flight are refused together: that is one refusal. */
    if (p->held_until_ms <= now)
        p->holds++;
    uint64_t wait = ms ? MIN(ms, (uint64_t) HOLD_MAX_MS) : backoff_growing(HOLD_FIRST_MS, p->holds, HOLD_LONGEST_MS);
    p->held_until_ms = MAX(p->held_until_ms, now + wait);
    net_log(p->net, LOG_NOTICE, p->endpoint, "held", "the server asked to be left alone for %llu ms", (unsigned long long) wait);
}

/* What the answers of its exchanges said of the server's patience since the last look. */
static void note_patience(struct pool *p, struct session *s)
{
    uint64_t wait_ms;
    bool answered;
    if (session_take_back_off(s, &wait_ms, &answered))
        pool_hold(p, wait_ms);
    else if (answered && p->held_until_ms <= pool_now(p))
        p->holds = 0;
}

static void slot_relaxed(struct session *s)
{
    const struct session_view *v = session_view(s);
    struct slot *slot = v->owner;
    uint64_t age = pool_now(slot->pool) - v->ready_ms;
    note_patience(slot->pool, s);
    if (v->ready_ms && !slot->survived && ((v->completed && age >= LIVED_MS) || age >= SURVIVED_MS))
        reset_backoff(slot);
    if (v->state == SESSION_READY && slot->probe) {
        struct probe *probe = slot->probe;
        slot->probe = NULL;
        pool_probe_end(slot->pool, probe, s, NULL);
    }
    pool_look(slot->pool);
}

static void slot_notice(struct session *s, const struct engine_event *event)
{
    struct slot *slot = session_view(s)->owner;
    if (slot->lease && slot->lease->state == LEASE_ACTIVE && slot->lease->ops->notice)
        slot->lease->ops->notice(slot->lease, event);
}

static void slot_trace(struct session *s, bool outgoing, struct slice line)
{
    struct slot *slot = session_view(s)->owner;
    if (slot->lease && slot->lease->state == LEASE_ACTIVE && slot->lease->ops->trace)
        slot->lease->ops->trace(slot->lease, outgoing, line);
}

/* An exchange comes back from a dead session. */
static void slot_lost(struct session *s, struct exchange *x, const struct fault *fault, bool again)
{
    struct slot *slot = session_view(s)->owner;
    struct pool *p = slot->pool;
    bool untouched = x->state == EXCHANGE_PROBING || x->state == EXCHANGE_PREPARING;

    if (p->state == POOL_OPEN && !slot->lease && !x->orphaned &&
        (untouched || (again && x->restarts == 0 && (!x->ops->restart || x->ops->restart(x))))) {
        if (!untouched) {
            x->restarts++;
            p->stats.restarted++;
        }
        x->state = EXCHANGE_QUEUED;
        x->orphan_bytes = 0;
        if (x->queue_deadline_ms)
            x->queue_deadline_ms = MAX(x->queue_deadline_ms, pool_now(p) + p->endpoint->queue_timeout_ms);
        pool_note_deadlines(p, x);
        if (fair_queue_add(&p->queue, x, true) == 0)
            return;
    }
    exchange_end(x, fault);
}

/* Failures of the way to the server concern all who go there; refused credentials only this pool. */
static void learn_from_failure(struct slot *slot, const struct session_view *v)
{
    struct pool *p = slot->pool;
    uint64_t now = pool_now(p);
    const char *stage = v->fault->stage ? v->fault->stage : "";

    p->stats.failed++;
    p->stats.last_fault = *v->fault;
    if (v->login_refused) {
        p->auth_failures++;
        /* A token that was good may have run out: a new one, where it can be had, is worth one more try. */
        if (p->endpoint->credential && p->endpoint->credential->renews && p->auth_failures == 1)
            return;
        p->broken_until_ms = now + backoff_growing(BREAKER_FIRST_MS, p->auth_failures, BREAKER_LONGEST_MS);
        return;
    }
    backoff_failed(&p->backoff, now);
    /* What one account demands of the server's certificate, and whether a proxy takes it, is nothing to the others. */
    if (strcmp(stage, "auth") != 0 && v->fault->kind != FAULT_TLS && v->fault->kind != FAULT_PROXY) {
        backoff_failed(&p->host->backoff, now);
        p->host->last_fault = *v->fault;
        p->host->last_fault.protocol = NULL;
    }
}

static void fail_who_waits(struct pool *p, const struct session_view *v)
{
    bool token_again = v->login_refused && p->broken_until_ms == 0;
    bool others = pool_count(p, SESSION_RESOLVE, SESSION_BUSY) > 0;
    if (others || token_again)
        return;
    struct fault fault = *v->fault;
    fault.outcome = OUTCOME_NONE;
    pool_fail_waiters(p, &fault);
    pool_fail_leases(p, &fault);
}

static void slot_ended(struct session *s)
{
    const struct session_view *v = session_view(s);
    struct slot *slot = v->owner;
    struct pool *p = slot->pool;
    const struct fault *why = v->fault;
    bool failed = fault_is_set(why);

    list_remove(&slot->link);
    p->n_slots--;
    p->n_leased -= slot->lease && !slot->lease->watch;
    p->n_watching -= slot->lease && slot->lease->watch;
    quota_give(p->endpoint->account_quota, true);
    quota_give(p->endpoint->host_quota, false);
    p->stats.closed++;
    p->stats.bytes_in += v->bytes_in;
    p->stats.bytes_out += v->bytes_out;
    p->stats.last_byte_ms = MAX(p->stats.last_byte_ms, v->last_in_ms);

    if (failed && !slot->lease_over) {
        /* That a server ends an idle connection is everyday life. */
        int level = v->ready_ms == 0 ? LOG_WARNING : why->kind == FAULT_DISCONNECTED ? LOG_DEBUG : LOG_INFO;
        net_log(p->net, level, p->endpoint,
                v->ready_ms ? "connection lost" : "connection failed", "%s: %s", why->stage ? why->stage : "?",
                why->text);
        if (v->ready_ms == 0) {
            learn_from_failure(slot, v);
            if (p->state == POOL_OPEN)
                fail_who_waits(p, v);
        } else if (v->completed == 0 && pool_now(p) - v->ready_ms < PROOF_OF_LIFE_MS) {
            p->stats.last_fault = *why;
            backoff_failed(&p->backoff, pool_now(p));
        }
    }
    if (slot->probe) {
        /* An idle connection that did not prove itself says nothing about the server: look again. */
        if (v->ready_ms)
            list_append(&p->probes, &slot->probe->link);
        else
            pool_probe_end(p, slot->probe, NULL, why);
    }
    if (slot->lease)
        pool_lease_gone(slot, why);
    free(slot);
    pool_look(p);
}

static const struct session_owner_ops slot_ops = {
    .ready = slot_ready,
    .relaxed = slot_relaxed,
    .lost = slot_lost,
    .notice = slot_notice,
    .trace = slot_trace,
    .ended = slot_ended,
};

struct slot *pool_open_slot(struct pool *p, struct lease *lease, struct probe *probe)
{
    struct slot *slot = calloc(1, sizeof(*slot));
    if (!slot)
        return NULL;
    slot->pool = p;
    slot->session = session_new(p->net, p->endpoint, &p->tickets, !(lease && lease->no_login), &slot_ops, slot);
    if (!slot->session) {
        free(slot);
        return NULL;
    }
    /* A client that takes the connection over speaks to the server itself, and one that only waits for news would hold the
     * memory for nothing. */
    if (lease)
        session_keep_plain(slot->session);
    slot->lease = lease;
    slot->probe = probe;
    list_append(&p->slots, &slot->link);
    p->n_slots++;
    p->n_leased += lease && !lease->watch;
    p->n_watching += lease && lease->watch;
    quota_take(p->endpoint->account_quota, &p->account_wait);
    quota_take(p->endpoint->host_quota, &p->host_wait);
    return slot;
}

bool pool_close_idle(struct pool *p)
{
    for (struct list *l = p->slots.prev; l != &p->slots; l = l->prev) {
        struct slot *slot = container_of(l, struct slot, link);
        if (!slot->lease && !slot->probe && session_view(slot->session)->state == SESSION_READY) {
            session_close(slot->session);
            return true;
        }
    }
    return false;
}
