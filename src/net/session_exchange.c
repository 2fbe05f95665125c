/* SPDX-License-Identifier: MIT */
/* Exchanges on a session: starting, feeding with what the engine tells, cancelling, and what had happened when the
 * connection died. */
#include "session_private.h"

#include <errno.h>
#include <stdlib.h>

#define ORPHAN_BYTES_MAX (1024 * 1024) /* an answer nobody reads is not worth more than a new connection */
#define ORPHAN_REPLY_BYTES 128         /* what each piece of one that is no body counts for */

static unsigned count_requests(const struct session *s, const struct exchange *x)
{
    struct engine_request *r;
    unsigned n = 0;
    list_foreach(&s->engine->requests, r, struct engine_request, link)
        n += r->owner == x;
    return n;
}

static void take_off(struct session *s, struct exchange *x)
{
    list_remove(&x->link);
    x->session = NULL;
    s->view.depth--;
    if (x->paused) {
        x->paused = false;
        s->n_paused--;
    }
    if (list_is_empty(&s->exchanges) && s->view.state == SESSION_BUSY && s->engine->ops->idle(s->engine)) {
        session_set_state(s, SESSION_READY);
        s->stale = false;
    }
}

/* All its requests are done: it ends, with the fault of its start if it had one. */
static void finish(struct session *s, struct exchange *x)
{
    struct fault *fault = x->fault;
    x->fault = NULL;
    take_off(s, x);
    s->view.completed++;
    exchange_end(x, fault);
    free(fault);
    if (session_is_dead(s))
        return;
    if (s->view.state == SESSION_CLOSING)
        session_wake(s); /* for the goodbye */
    s->ops->relaxed(s);
}

/* The server may answer before it has the whole body: what is left of it is nobody's. */
static void forget_body(struct session *s)
{
    s->body = NULL;
    s->body_left = 0;
    s->body_last = s->body_awaited = false;
    s->body_request = NULL;
}

static void request_event(struct session *s, struct exchange *x, const struct engine_event *event)
{
    bool data = event->type == ENGINE_EVENT_DATA;
    if (!data) {
        s->rate_ms = s->moved_ms = loop_now_ms(s->net->loop);
        s->rate_bytes = 0;
    }
    if (x->orphaned && event->type != ENGINE_EVENT_DONE &&
        (x->orphan_bytes += data ? event->data.len : ORPHAN_REPLY_BYTES) > ORPHAN_BYTES_MAX) {
        struct fault fault = {0};
        fault_set(&fault, -ECONNABORTED, FAULT_DISCONNECTED, session_stage(s), "closed: nobody waits for the answer");
        session_fail(s, &fault);
        return;
    }
    if (event->type == ENGINE_EVENT_DONE && s->body_request == event->request)
        forget_body(s);
    x->ops->event(x, s, event);
    if (session_is_dead(s) || event->type != ENGINE_EVENT_DONE)
        return;
    x->open_requests = count_requests(s, x);
    if (x->open_requests == 0)
        finish(s, x);
}

bool session_take_back_off(struct session *s, uint64_t *ret_wait_ms, bool *ret_answered)
{
    bool asked = s->back_off;
    *ret_wait_ms = s->back_off_ms;
    *ret_answered = s->answered;
    s->back_off = s->answered = false;
    s->back_off_ms = 0;
    return asked;
}

void session_dispatch(struct session *s, const struct engine_event *event)
{
    const struct net_hooks *hooks = &s->net->hooks;
    struct exchange *x = event->request ? event->request->owner : NULL;

    switch (event->type) {
    case ENGINE_EVENT_READY:
        s->view.ready_ms = loop_now_ms(s->net->loop);
        s->view.times.total_ms = s->view.ready_ms - s->view.opened_ms;
        s->view.times.login_ms = s->view.times.total_ms - s->view.times.connect_ms - s->view.times.tls_ms;
        session_set_state(s, SESSION_READY);
        s->ops->ready(s);
        break;
    case ENGINE_EVENT_DONE:
        if (event->fault && event->fault->back_off) {
            s->back_off = true;
            s->back_off_ms = MAX(s->back_off_ms, event->fault->retry_after_ms);
        }
        s->answered = true;
        ATTR_FALLTHROUGH;
    case ENGINE_EVENT_REPLY:
    case ENGINE_EVENT_DATA:
        if (x)
            request_event(s, x, event);
        break;
    case ENGINE_EVENT_NOTICE:
        if (!x)
            x = list_first(&s->exchanges, struct exchange, link);
        if (x && x->state == EXCHANGE_PLACED)
            x->ops->event(x, s, event);
        else
            s->ops->notice(s, event);
        break;
    case ENGINE_EVENT_CLOSING:
        /* The server will end it: what is in flight may still be answered, nothing new is begun. */
        s->server_bye = true;
        if (s->view.state == SESSION_READY || s->view.state == SESSION_BUSY) {
            session_set_state(s, SESSION_CLOSING);
            session_wake(s);
            s->ops->relaxed(s);
        }
        break;
    case ENGINE_EVENT_TRACE:
        if (s->traced && s->ops->trace)
            s->ops->trace(s, event->outgoing, event->data);
        if (hooks->trace && s->endpoint->engine.trace)
            hooks->trace(hooks->arg, s->endpoint, s->view.id, event->outgoing, event->data);
        break;
    }
}

/* --- starting --- */

static int start(struct session *s, struct exchange *x, struct fault *fault)
{
    struct fault why = {0};
    x->state = EXCHANGE_PLACED;
    int r = x->ops->start(x, s, &why);
    x->open_requests = count_requests(s, x);
    if (r == EXCHANGE_NOT_YET && x->open_requests == 0) {
        x->state = EXCHANGE_PREPARING;
        return 0;
    }
    if (r >= 0 && x->open_requests == 0)
        r = fault_set(&why, -EINVAL, FAULT_INTERNAL, session_stage(s), "nothing was asked of the server");
    if (r < 0 && x->open_requests == 0) {
        *fault = why;
        return r;
    }
    if (r < 0) {
        /* What was submitted before is awaited; only then it ends with this. */
        x->fault = malloc(sizeof(*x->fault));
        if (x->fault)
            *x->fault = why;
    }
    s->view.uses++;
    return 0;
}

int session_prove(struct session *s)
{
    int r = s->engine->ops->probe(s->engine);
    if (r < 0) {
        session_fail(s, &s->engine->fault);
        return r;
    }
    if (r > 0) {
        session_set_state(s, SESSION_BUSY);
        s->stale = true;
        session_wake(s);
    }
    return r;
}

int session_place(struct session *s, struct exchange *x, struct fault *fault)
{
    uint64_t now = loop_now_ms(s->net->loop), silent = now - MAX(s->view.last_in_ms, s->view.ready_ms);
    bool was_idle = s->view.state == SESSION_READY;
    int r = 0;

    if (was_idle) {
        s->in_before = s->view.bytes_in;
        s->stale = s->endpoint->idle_probe_ms && silent > s->endpoint->idle_probe_ms;
        s->reused = s->stale || s->view.uses > 0;
        if (s->stale && x->changes) {
            r = session_prove(s);
            if (r < 0)
                return -EBUSY;
            s->stale = true;
        }
    }
    x->session = s;
    x->started_ms = now;
    list_append(&s->exchanges, &x->link);
    s->view.depth++;
    if (r > 0) {
        x->state = EXCHANGE_PROBING;
        return 0;
    }
    session_set_state(s, SESSION_BUSY);
    if (was_idle)
        s->progress_ms = now;
    r = start(s, x, fault);
    if (r < 0)
        take_off(s, x);
    session_wake(s);
    return r;
}

/* Begins one that is on the session already, and is not begun yet. */
static void start_late(struct session *s, struct exchange *x)
{
    struct fault fault = {0};

    if (start(s, x, &fault) < 0) {
        take_off(s, x);
        exchange_end(x, &fault);
        if (!session_is_dead(s))
            s->ops->relaxed(s);
    }
    session_wake(s);
}

void exchange_prepared(struct exchange *x)
{
    struct session *s = x->session;

    if (x->state != EXCHANGE_PREPARING || !s || session_is_dead(s))
        return;
    if (s->engine->ops->idle(s->engine))
        s->progress_ms = loop_now_ms(s->net->loop);
    start_late(s, x);
    if (!session_is_dead(s))
        s->ops->relaxed(s); /* others may follow it now */
}

void session_begin_probed(struct session *s)
{
    struct exchange *x = list_first(&s->exchanges, struct exchange, link);
    bool closing = s->view.state == SESSION_CLOSING && !s->server_bye && !s->quit_asked;
    if ((s->view.state != SESSION_BUSY && !closing) || !s->engine->ops->idle(s->engine))
        return;
    if (!x) {
        if (closing)
            return;
        session_set_state(s, SESSION_READY);
        s->ops->relaxed(s);
    } else if (x->state == EXCHANGE_PROBING) {
        s->stale = false;
        start_late(s, x);
    }
}

bool session_all_complete(const struct session *s)
{
    struct exchange *x;
    list_foreach(&s->exchanges, x, struct exchange, link)
        if (!x->complete || x->state != EXCHANGE_PLACED)
            return false;
    return true;
}

/* --- bodies --- */

static int give_body(struct session *s, struct engine_request *request, struct fault *fault)
{
    struct exchange *x = request->owner;
    if (s->body_request != request) {
        forget_body(s);
        s->body_request = request;
    }
    if (s->body_left == 0 && !s->body_last) {
        const char *bytes = NULL;
        bool last = false;
        ssize_t n = x && x->ops->body ? x->ops->body(x, request, &bytes, &last) : -ENODATA;
        if (session_is_dead(s))
            return 0;
        if (n < 0) {
            forget_body(s);
            int r = s->engine->ops->body_abort(s->engine);
            if (r < 0)
                *fault = s->engine->fault;
            return r < 0 ? fault_set(fault, r, FAULT_BAD_MESSAGE, session_stage(s), "the body cannot be read") : 1;
        }
        if (n == 0 && !last) {
            s->body_awaited = true;
            return 0;
        }
        s->body = bytes;
        s->body_left = (size_t) n;
        s->body_last = last;
    }
    s->body_awaited = false;
    ssize_t taken = s->engine->ops->body(s->engine, s->body ? s->body : "", s->body_left, s->body_last);
    if (taken < 0) {
        *fault = s->engine->fault;
        return (int) taken;
    }
    s->body += s->body ? taken : 0;
    s->body_left -= (size_t) taken;
    if (s->body_left)
        return taken > 0;
    s->body_last = false;
    s->body = NULL;
    return 1;
}

int session_body(struct session *s, struct fault *fault)
{
    int r = 1;
    while (r > 0 && !s->body_awaited && (s->engine->ops->wants(s->engine) & ENGINE_WANT_BODY)) {
        struct engine_request *request = s->engine->ops->body_request(s->engine);
        if (!request)
            return 0;
        r = give_body(s, request, fault);
        if (session_is_dead(s))
            return 0;
    }
    return r < 0 ? r : 0;
}

void session_body_ready(struct session *s)
{
    s->body_awaited = false;
    session_wake(s);
}

void session_end_wait(struct session *s, struct engine_request *request)
{
    if (s->engine && s->engine->ops->end_wait)
        (void) s->engine->ops->end_wait(s->engine, request); /* an error is found at the next step */
    session_wake(s);
}

/* --- pausing --- */

void exchange_pause(struct exchange *x)
{
    if (!x->session || x->paused || x->orphaned)
        return;
    x->paused = true;
    x->session->n_paused++;
}

void exchange_resume(struct exchange *x)
{
    if (!x->paused)
        return;
    x->paused = false;
    if (x->session) {
        x->session->n_paused--;
        x->session->progress_ms = loop_now_ms(x->session->net->loop);
        session_wake(x->session);
    }
}

/* --- cancelling --- */

/* What of it lasts until it is asked to end is asked to; NULL: of all. */
void session_end_waits(struct session *s, const struct exchange *x)
{
    struct engine_request *r;
    if (!s->engine || !s->engine->ops->end_wait)
        return;
    list_foreach(&s->engine->requests, r, struct engine_request, link)
        if ((!x || r->owner == x) && s->engine->ops->end_wait(s->engine, r) < 0)
            return; /* its error is found at the next step */
}

/* Takes back what has not put out a byte. true: nothing of it is left. */
static bool withdraw(struct session *s, struct exchange *x)
{
    struct engine_request *r;
    list_foreach(&s->engine->requests, r, struct engine_request, link)
        if (r->owner == x && r->state != REQUEST_QUEUED)
            return false;
    list_foreach(&s->engine->requests, r, struct engine_request, link)
        if (r->owner == x && s->engine->ops->withdraw(s->engine, r) < 0)
            break;
    x->open_requests = count_requests(s, x);
    return x->open_requests == 0;
}

static enum fault_outcome outcome_if_lost(const struct session *s, const struct exchange *x)
{
    struct engine_request *r;
    list_foreach(&s->engine->requests, r, struct engine_request, link)
        if (r->owner == x && r->changes && r->state >= REQUEST_WRITTEN && r->end_offset <= s->app_reached)
            return OUTCOME_UNKNOWN;
    return OUTCOME_NONE;
}

/* What is known of an exchange that nobody waits for any more: the rest of it will still be written. */
static enum fault_outcome outcome_if_left(const struct exchange *x)
{
    const struct session *s = x->session;
    struct engine_request *r;

    if (session_is_dead(s))
        return outcome_if_lost(s, x);
    list_foreach(&s->engine->requests, r, struct engine_request, link)
        if (r->owner == x && r->changes)
            return OUTCOME_UNKNOWN;
    return OUTCOME_NONE;
}

static enum fault_outcome cancel_placed(struct exchange *x)
{
    struct session *s = x->session;

    if (session_is_dead(s)) {
        x->orphaned = true;
        return outcome_if_left(x);
    }
    if (x->state == EXCHANGE_PROBING || withdraw(s, x)) {
        take_off(s, x);
        net_finish_later(s->net, x);
        s->ops->relaxed(s);
        return OUTCOME_NONE;
    }
    x->orphaned = true;
    session_end_waits(s, x);
    s->moved_ms = loop_now_ms(s->net->loop);
    exchange_resume(x);
    session_wake(s); /* it has less time now */
    return outcome_if_left(x);
}

enum fault_outcome exchange_cancel(struct exchange *x)
{
    switch ((enum exchange_state) x->state) {
    case EXCHANGE_QUEUED:
        pool_forget_waiting(x);
        return OUTCOME_NONE;
    case EXCHANGE_PROBING:
    case EXCHANGE_PREPARING:
    case EXCHANGE_PLACED:
        if (x->session)
            return x->orphaned ? outcome_if_left(x) : cancel_placed(x);
        /* Its connection is dead and it is about to be told; only that it is not started again is left to say. */
        x->orphaned = true;
        return x->outcome;
    case EXCHANGE_NEW:
    case EXCHANGE_ENDING:
    case EXCHANGE_DONE:
        break;
    }
    return OUTCOME_NONE;
}

uint64_t session_next_deadline(const struct session *s)
{
    struct exchange *x;
    uint64_t next = 0;
    list_foreach(&s->exchanges, x, struct exchange, link)
        if (x->deadline_ms && !x->orphaned && (next == 0 || x->deadline_ms < next))
            next = x->deadline_ms;
    return next;
}

void session_expire_exchanges(struct session *s)
{
    uint64_t now = loop_now_ms(s->net->loop);
    struct exchange *x;
    list_foreach(&s->exchanges, x, struct exchange, link) {
        if (x->deadline_ms && !x->orphaned && x->deadline_ms <= now) {
            x->ended_by_deadline = true;
            exchange_cancel(x);
        }
    }
}

/* --- death --- */

void session_settle(struct session *s, struct list *ret)
{
    while (!list_is_empty(&s->exchanges)) {
        struct exchange *x = list_first(&s->exchanges, struct exchange, link);
        x->outcome = x->state == EXCHANGE_PLACED ? outcome_if_lost(s, x) : OUTCOME_NONE;
        x->session = NULL;
        list_remove(&x->link);
        list_append(ret, &x->link);
    }
}

void session_hand_back(struct session *s, struct list *list)
{
    const struct fault *why = s->view.fault;
    /* A connection that was gone, or going, before it could be known is not the caller's trouble. One that broke the
     * protocol, or was too slow for a caller that it served from the start, is. */
    bool gone = why->kind == FAULT_DISCONNECTED || s->server_bye || s->taught;

    if (why->kind == FAULT_TIMEOUT) {
        const struct exchange *first = list_first(list, struct exchange, link);
        gone = gone || s->stale || session_is_unproved(s) || (first && first->orphaned);
    }

    while (!list_is_empty(list)) {
        struct exchange *x = list_first(list, struct exchange, link);
        struct fault fault = *why;
        list_remove(&x->link);
        x->paused = false;
        fault_set(&fault, -ECONNABORTED, x->orphaned ? FAULT_CANCELLED : FAULT_UNAVAILABLE, NULL, "the connection was closed");
        fault.outcome = x->outcome;
        if (fault.outcome == OUTCOME_UNKNOWN)
            fault.retry = RETRY_NO;
        bool again = gone && !x->orphaned && (fault.outcome == OUTCOME_NONE || x->reads_only);
        free(x->fault);
        x->fault = NULL;
        s->ops->lost(s, x, &fault, again);
    }
    s->view.depth = 0;
    s->n_paused = 0;
}
