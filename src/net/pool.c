/* SPDX-License-Identifier: MIT */
#include "pool.h"

#include "pool_private.h"
#include "proxy.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>

/* --- what all pools share --- */

static void finish_exchanges(void *arg)
{
    struct net_context *n = arg;
    while (!list_is_empty(&n->finished)) {
        struct exchange *x = list_first(&n->finished, struct exchange, queue_link);
        struct fault fault = {0};
        list_remove(&x->queue_link);
        if (x->ended_by_deadline)
            fault_set(&fault, -ETIMEDOUT, FAULT_TIMEOUT, NULL, "the time given for the call is over");
        else
            fault_set(&fault, -ECANCELED, FAULT_CANCELLED, NULL, "cancelled");
        if (x->pool)
            fault.protocol = protocol_name(x->pool->endpoint->protocol);
        exchange_end(x, &fault);
    }
}

struct net_context *net_context_new(struct loop *l, struct worker_pool *resolver, struct worker_pool *cpu,
                                    const struct net_hooks *hooks)
{
    struct net_context *n = calloc(1, sizeof(*n));
    if (!n)
        return NULL;
    n->loop = l;
    n->cpu = cpu;
    if (hooks)
        n->hooks = *hooks;
    list_init(&n->pools);
    list_init(&n->hosts);
    list_init(&n->finished);
    loop_task_init(&n->finish, l, finish_exchanges, n);
    n->resolver = resolver_new(l, resolver);
    n->tls = tls_cache_new();
    n->keys = salted_keys_new();
    if (!n->resolver || !n->tls) {
        net_context_free(n);
        return NULL;
    }
    return n;
}

void net_context_free(struct net_context *n)
{
    if (!n)
        return;
    loop_task_cancel(&n->finish);
    resolver_free(n->resolver);
    tls_cache_free(n->tls);
    salted_keys_free(n->keys);
    backoff_hosts_done(&n->hosts);
    free(n);
}

void net_log(const struct net_context *n, int level, const struct endpoint *e, const char *event, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    if (!n->hooks.log)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    n->hooks.log(n->hooks.arg, level, e, event, text);
}

/* --- exchanges --- */

void exchange_init(struct exchange *x, const struct exchange_ops *ops)
{
    *x = (struct exchange){.ops = ops};
    list_init(&x->link);
    list_init(&x->queue_link);
}

void net_finish_later(struct net_context *n, struct exchange *x)
{
    x->state = EXCHANGE_ENDING;
    list_append(&n->finished, &x->queue_link);
    loop_task_schedule(&n->finish);
}

void exchange_end(struct exchange *x, const struct fault *fault)
{
    x->state = EXCHANGE_DONE;
    x->session = NULL;
    x->ops->done(x, fault);
}

const char *exchange_stage(const struct exchange *x)
{
    struct slot *slot;
    if (x->session)
        return session_stage(x->session);
    if (x->pool)
        list_foreach(&x->pool->slots, slot, struct slot, link)
            if (session_view(slot->session)->state < SESSION_READY)
                return session_stage(slot->session);
    return "connect";
}

const char *lease_stage(const struct lease *lease)
{
    struct slot *slot;
    if (lease->pool)
        list_foreach(&lease->pool->slots, slot, struct slot, link)
            if (slot->lease == lease)
                return session_stage(slot->session);
    return "connect";
}

void pool_forget_waiting(struct exchange *x)
{
    if (x->lease)
        list_remove(&x->queue_link);
    else
        fair_queue_remove(&x->pool->queue, x);
    net_finish_later(x->pool->net, x);
}

/* --- pools --- */

struct pool *pool_new(struct net_context *n, struct endpoint *e)
{
    struct pool *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    bool direct = e->proxy.kind == PROXY_NONE || proxy_is_bypassed(e->no_proxy, e->host, e->port);
    p->host = backoff_host_get_via(&n->hosts, e->host, e->port, direct ? NULL : e->proxy.host, e->proxy.port);
    if (!p->host || loop_timer_init(&p->timer, n->loop, pool_converge, p) < 0) {
        backoff_host_unref(&n->hosts, p->host);
        free(p);
        return NULL;
    }
    p->net = n;
    p->endpoint = endpoint_ref(e);
    p->rate = (struct rate_limit){e->rate_limit, e->rate_period_ms, 0};
    list_init(&p->slots);
    list_init(&p->leases_waiting);
    list_init(&p->leases_over);
    list_init(&p->probes);
    list_init(&p->account_wait);
    list_init(&p->host_wait);
    fair_queue_init(&p->queue);
    loop_task_init(&p->converge, n->loop, pool_converge, p);
    list_append(&n->pools, &p->link);
    pool_look(p);
    return p;
}

static void pool_free(void *object)
{
    struct pool *p = object;
    fair_queue_done(&p->queue);
    tls_tickets_done(&p->tickets);
    loop_timer_done(&p->timer);
    loop_task_cancel(&p->converge);
    backoff_host_unref(&p->net->hosts, p->host);
    endpoint_unref(p->endpoint);
    free(p);
}

void pool_finish(struct pool *p)
{
    p->state = POOL_CLOSED;
    list_remove(&p->link);
    list_remove(&p->account_wait);
    list_remove(&p->host_wait);
    loop_timer_clear(&p->timer);
    loop_task_cancel(&p->converge);
    loop_defer_free(p->net->loop, pool_free, p);
    if (p->closed)
        p->closed(p->closed_arg);
}

void pool_close(struct pool *p, uint64_t grace_ms, void (*closed)(void *arg), void *arg)
{
    p->state = POOL_CLOSING;
    p->closed = closed;
    p->closed_arg = arg;
    p->grace_until_ms = pool_now(p) + grace_ms;
    pool_look(p);
}

uint64_t pool_epoch(const struct pool *p)
{
    return p->epoch + 1;
}

void pool_next_epoch(struct pool *p)
{
    p->epoch++;
}

struct endpoint *pool_endpoint(const struct pool *p)
{
    return p->endpoint;
}

void pool_pause(struct pool *p)
{
    if (p->state == POOL_OPEN)
        p->state = POOL_PAUSED;
    pool_look(p);
}

void pool_resume(struct pool *p)
{
    if (p->state == POOL_PAUSED)
        p->state = POOL_OPEN;
    backoff_reset(&p->backoff);
    backoff_reset(&p->host->backoff);
    p->auth_failures = 0;
    p->broken_until_ms = 0;
    p->held_until_ms = 0;
    p->holds = 0;
    pool_look(p);
}

void pool_note_deadlines(struct pool *p, const struct exchange *x)
{
    if (x->queue_deadline_ms && (p->expiry_ms == 0 || x->queue_deadline_ms < p->expiry_ms))
        p->expiry_ms = x->queue_deadline_ms;
    if (x->deadline_ms && (p->expiry_ms == 0 || x->deadline_ms < p->expiry_ms))
        p->expiry_ms = x->deadline_ms;
}

int pool_submit(struct pool *p, struct exchange *x, struct fault *fault)
{
    if (p->state != POOL_OPEN)
        return fault_set(fault, -ESHUTDOWN, FAULT_UNAVAILABLE, "connect", "the account is paused or being closed");
    if (p->queue.n >= p->endpoint->queue_size && p->endpoint->queue_size)
        return fault_set(fault, -EBUSY, FAULT_BUSY, "connect", "%u calls wait already (queue_size)", p->queue.n);
    struct fault why = {0};
    if (pool_count(p, SESSION_RESOLVE, SESSION_BUSY) == 0 && pool_is_blocked(p, &why) && fault_is_set(&why)) {
        if (fault && !fault_is_set(fault))
            *fault = why;
        return -EAGAIN;
    }
    uint64_t place_by = x->queue_deadline_ms ? x->queue_deadline_ms : pool_now(p) + p->endpoint->queue_timeout_ms;
    if (p->held_until_ms > place_by && (x->queue_deadline_ms || p->endpoint->queue_timeout_ms)) {
        fault_set(fault, -EBUSY, FAULT_BUSY, "connect", "the server asked to be left alone for a while");
        if (fault)
            fault->retry_after_ms = p->held_until_ms - pool_now(p);
        return -EBUSY;
    }
    x->pool = p;
    x->lease = NULL;
    x->session = NULL;
    if (fair_queue_add(&p->queue, x, false) < 0)
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, "connect", "out of memory");
    x->state = EXCHANGE_QUEUED;
    x->submitted_ms = pool_now(p);
    if (x->queue_deadline_ms == 0 && p->endpoint->queue_timeout_ms)
        x->queue_deadline_ms = x->submitted_ms + p->endpoint->queue_timeout_ms;
    pool_note_deadlines(p, x);
    pool_look(p);
    return 0;
}

void pool_fail_waiters(struct pool *p, const struct fault *fault)
{
    /* Those that come while this goes on are not meant. */
    for (unsigned n = p->queue.n; n && p->queue.n; n--)
        exchange_end(fair_queue_pop(&p->queue), fault);
}

void pool_stats(const struct pool *p, struct pool_stats *ret)
{
    struct slot *slot;
    *ret = p->stats;
    ret->waiting = p->queue.n;
    ret->paused = p->state == POOL_PAUSED;
    ret->broken = p->broken_until_ms > pool_now(p);
    ret->backoff_until_ms = MAX(p->held_until_ms, MAX(p->backoff.until_ms, p->host->backoff.until_ms));
    if (ret->backoff_until_ms <= pool_now(p))
        ret->backoff_until_ms = 0;
    list_foreach(&p->slots, slot, struct slot, link) {
        const struct session_view *v = session_view(slot->session);
        ret->connecting += v->state < SESSION_READY;
        ret->leased += slot->lease != NULL;
        ret->active += v->state == SESSION_BUSY && !slot->lease;
        ret->idle += v->state == SESSION_READY && !slot->lease;
        ret->bytes_in += v->bytes_in;
        ret->bytes_out += v->bytes_out;
        ret->last_byte_ms = MAX(ret->last_byte_ms, v->last_in_ms);
    }
}
