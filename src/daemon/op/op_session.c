/* SPDX-License-Identifier: MIT */
/* Sessions of clients: leases on connections, with an id that is good for one client connection only, and a queue of
 * the calls made on them. */
#include "op_core.h"

#include "base64.h"
#include "log.h"
#include "must.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

static void session_free(void *object)
{
    struct op_session_core *sc = object;
    struct op_session *s = &sc->session;
    loop_timer_done(&sc->idle);
    loop_timer_done(&sc->max);
    if (s->free_state && s->state)
        s->free_state(s->state);
    account_unref(s->account);
    free(sc);
}

static struct op_session_core *core_of(struct op_session *s)
{
    return container_of(s, struct op_session_core, session);
}

/* The latest sessions of a connection that ended, to tell who asks for them why. */
#define ENDED_REMEMBERED 16
struct ended_sessions {
    size_t next;
    struct {
        char id[SESSION_ID_SIZE];
        const char *limit;
        char why[FAULT_TEXT_MAX];
    } items[ENDED_REMEMBERED];
};

static void remember_end(struct client *c, const struct op_session *s, const struct fault *why)
{
    if (!c->ended)
        c->ended = must_calloc(1, sizeof(*c->ended));
    size_t at = c->ended->next++ % ENDED_REMEMBERED;
    memcpy(c->ended->items[at].id, s->id, sizeof(s->id));
    snprintf(c->ended->items[at].why, sizeof(c->ended->items[at].why), "%s", why->text);
    c->ended->items[at].limit = why->limit;
}

static int tell_end(const struct client *c, struct slice id, struct fault *fault)
{
    for (size_t i = 0; c->ended && i < ENDED_REMEMBERED; i++) {
        if (!slice_eq(slice_of_str(c->ended->items[i].id), id))
            continue;
        fault->limit = c->ended->items[i].limit;
        return fault_set(fault, -ENOENT, FAULT_NO_SUCH_SESSION, NULL, "%s", c->ended->items[i].why);
    }
    return fault_set(fault, -ENOENT, FAULT_NO_SUCH_SESSION, NULL, "no such session on this connection");
}

/* What waits in its queue hears why. */
static void fail_queue(struct op_session_core *sc, const struct fault *why)
{
    struct op_core *core;
    struct fault fault = {0};
    if (fault_is_set(why) && why->kind != FAULT_CANCELLED)
        fault = *why;
    fault_set(&fault, -ENOENT, FAULT_NO_SUCH_SESSION, NULL, "the session has ended");
    while ((core = list_first(&sc->queue, struct op_core, session_link))) {
        list_remove(&core->session_link);
        core->op.session = NULL;
        op_core_end(core, &fault);
    }
}

/* Out of the client's sight; the object goes when net has let go of the lease, or after the dispatch where there is none. */
static void session_end(struct op_session_core *sc, const struct fault *why, bool orderly, bool lease_gone)
{
    struct op_session *s = &sc->session;
    if (sc->ended)
        return;
    sc->ended = true;
    loop_timer_clear(&sc->idle);
    loop_timer_clear(&sc->max);
    list_remove(&sc->link);
    if (s->client) {
        s->client->n_sessions--;
        if (sc->ready)
            remember_end(s->client, s, why);
    }
    s->client = NULL;
    struct op_core *opener = sc->opener;
    sc->opener = NULL;
    fail_queue(sc, why);
    if (opener) {
        opener->opening = NULL;
        op_fail(&opener->op, why);
    }
    if (s->manual)
        loop_defer_free(sc->idle.loop, session_free, sc);
    else if (!lease_gone)
        lease_end(&s->lease, orderly);
}

void op_session_drop(struct op_session *s, const struct fault *why)
{
    session_end(core_of(s), why, false, false);
}

/* --- what net says --- */

static void lease_ready(struct lease *lease, struct session *net)
{
    struct op_session_core *sc = container_of(lease, struct op_session_core, session.lease);
    struct op_core *opener = sc->opener;
    sc->ready = true;
    if (!opener || sc->ended)
        return;
    sc->opener = NULL;
    opener->opening = NULL;
    const struct endpoint *e = pool_endpoint(lease->pool);
    sc->idle_ms = e->session_idle_ms;
    loop_timer_set(&sc->max, e->session_max_ms);
    loop_timer_set(&sc->idle, sc->idle_ms);
    op_core_enter(opener);
    if (!op_has_ended(&opener->op))
        sc->opened(&opener->op, &sc->session, net);
    op_core_leave(opener);
}

static void lease_gone(struct lease *lease, const struct fault *fault)
{
    struct op_session_core *sc = container_of(lease, struct op_session_core, session.lease);
    struct fault why = {0};
    if (fault)
        why = *fault;
    if (!fault_is_set(&why))
        fault_set(&why, -ENOENT, FAULT_NO_SUCH_SESSION, NULL, "the session has ended");
    session_end(sc, &why, false, true);
    loop_defer_free(sc->idle.loop, session_free, sc);
}

static void lease_notice(struct lease *lease, const struct engine_event *event)
{
    struct op_session_core *sc = container_of(lease, struct op_session_core, session.lease);
    if (sc->session.notice && !sc->ended)
        sc->session.notice(&sc->session, event);
}

void op_session_trace(struct op_session *s, bool outgoing, struct slice line)
{
    struct client *c = s->client;
    if (!c || s->core->ended)
        return;
    struct json_writer *w = rpc_peer_notify_begin(&c->rpc, "trace");
    json_write_object_begin(w);
    json_write_member_str(w, "session", s->id);
    json_write_key(w, "outgoing");
    json_write_bool(w, outgoing);
    json_write_key(w, "line");
    json_write_string(w, line);
    json_write_object_end(w);
    /* A trace that has no room is no reason to end anything. */
    (void) !rpc_peer_notify_end(&c->rpc);
    client_flush_later(c);
}

static void lease_trace(struct lease *lease, bool outgoing, struct slice line)
{
    struct op_session_core *sc = container_of(lease, struct op_session_core, session.lease);
    if (sc->session.trace && !sc->ended)
        sc->session.trace(&sc->session, outgoing, line);
    if (sc->session.tells_trace)
        op_session_trace(&sc->session, outgoing, line);
}

static const struct lease_ops lease_ops = {lease_ready, lease_gone, lease_notice, lease_trace};

/* --- limits of time --- */

static void session_over(struct op_session_core *sc, const char *limit)
{
    struct fault fault = {.limit = limit};
    fault_set(&fault, -ETIMEDOUT, FAULT_NO_SUCH_SESSION, NULL, "the session has ended: %s", limit);
    session_end(sc, &fault, true, false);
}

static void idle_over(void *arg)
{
    struct op_session_core *sc = arg;
    if (list_is_empty(&sc->queue))
        session_over(sc, "session_idle");
}

static void max_over(void *arg)
{
    session_over(arg, "session_max");
}

/* --- opening --- */

static int name_session(struct op_session *s, struct fault *fault)
{
    unsigned char random[16];
    if (getrandom(random, sizeof(random), 0) != (ssize_t) sizeof(random))
        return fault_set(fault, -EIO, FAULT_INTERNAL, NULL, "no random numbers");
    hex_encode(random, sizeof(random), s->id);
    s->id[sizeof(random) * 2] = '\0';
    return 0;
}

/* With an id, timers and the account's reference; not yet the client's. NULL with op->fault. */
static struct op_session_core *session_new(struct op *op, enum protocol protocol)
{
    struct loop *l = op->gateway->loop;
    if (op_core_of(op)->client->n_sessions >= CLIENT_SESSIONS_MAX) {
        op->fault.limit = "sessions";
        op_refuse(op, FAULT_LIMIT, "this connection has %d sessions already", CLIENT_SESSIONS_MAX);
        return NULL;
    }
    struct op_session_core *sc = must_calloc(1, sizeof(*sc));
    struct op_session *s = &sc->session;
    list_init(&sc->link);
    list_init(&sc->queue);
    s->core = sc;
    s->protocol = protocol;
    s->number = ++op->gateway->next_session_number;
    s->account = op->account ? account_ref(op->account) : NULL;
    sc->opened_ms = sc->used_ms = loop_now_ms(l);
    if (name_session(s, &op->fault) == 0 && loop_timer_init(&sc->idle, l, idle_over, sc) == 0 &&
        loop_timer_init(&sc->max, l, max_over, sc) == 0)
        return sc;
    session_free(sc);
    fault_set(&op->fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
    return NULL;
}

static void session_enlist(struct op_session_core *sc, struct client *c)
{
    sc->session.client = c;
    c->n_sessions++;
    list_append(&c->sessions, &sc->link);
}

int op_session_open(struct op *op, enum protocol protocol, bool login,
                    void (*opened)(struct op *op, struct op_session *s, struct session *net))
{
    struct op_core *core = op_core_of(op);
    struct pool *pool;
    int r = op_pool(op, protocol, &pool);
    if (r < 0)
        return r;
    struct op_session_core *sc = session_new(op, protocol);
    if (!sc)
        return -EINVAL;
    struct op_session *s = &sc->session;
    s->lease.ops = &lease_ops;
    s->lease.owner = op->owner;
    s->lease.no_login = !login;
    s->lease.queue_deadline_ms =
        MIN(loop_now_ms(op->gateway->loop) + pool_endpoint(pool)->queue_timeout_ms, op->deadline_ms);
    sc->opener = core;
    sc->opened = opened;
    r = pool_lease(pool, &s->lease, &op->fault);
    if (r < 0) {
        session_free(sc);
        return r;
    }
    session_enlist(sc, core->client);
    core->opening = s;
    return 0;
}

struct op_session *op_session_open_manual(struct op *op, enum protocol protocol, uint64_t idle_ms, uint64_t max_ms)
{
    struct op_session_core *sc = session_new(op, protocol);
    if (!sc)
        return NULL;
    sc->session.manual = sc->ready = true;
    sc->idle_ms = idle_ms;
    loop_timer_set(&sc->max, max_ms);
    loop_timer_set(&sc->idle, idle_ms);
    session_enlist(sc, op_core_of(op)->client);
    return &sc->session;
}

void op_session_end(struct op_session *s, bool orderly)
{
    struct op_session_core *sc = core_of(s);
    struct op_core *core = list_first(&sc->queue, struct op_core, session_link);
    if (core) {
        core->ending = s;
        core->ending_orderly = orderly;
        core->ending_handed = false;
        return;
    }
    struct fault why = {0};
    fault_set(&why, -ENOENT, FAULT_NO_SUCH_SESSION, NULL, "the session has ended");
    session_end(sc, &why, orderly, false);
}

int op_session_hand_over(struct op *op, int fd, struct slice ahead)
{
    struct op_core *core = op_core_of(op);
    int r = lease_hand_over(&op->session->lease, fd, ahead, &op->fault);
    if (r < 0)
        return r;
    core->ending = op->session;
    core->ending_handed = true;
    return 0;
}

void op_session_set_trace(struct op_session *s, bool on)
{
    s->tells_trace = on;
    lease_set_trace(&s->lease, on || s->trace);
}

struct session *op_session_net(const struct op_session *s)
{
    return s->core->ended ? NULL : s->lease.session;
}

void sessions_client_stop(struct client *c)
{
    struct op_session_core *sc;
    struct fault why = {0};
    fault_set(&why, -ESHUTDOWN, FAULT_UNAVAILABLE, NULL, "the gateway is shutting down");
    list_foreach (&c->sessions, sc, struct op_session_core, link)
        if (list_is_empty(&sc->queue))
            session_end(sc, &why, true, false);
}

/* --- calls --- */

struct op_session *op_session_find(struct client *c, struct slice id, struct fault *fault)
{
    struct op_session_core *sc;
    list_foreach (&c->sessions, sc, struct op_session_core, link)
        if (sc->ready && slice_eq(slice_of_str(sc->session.id), id))
            return &sc->session;
    tell_end(c, id, fault);
    return NULL;
}

struct op_session *op_session_by_number(struct gateway *g, uint64_t number)
{
    struct client *c;
    list_foreach (&g->clients, c, struct client, link) {
        struct op_session_core *sc;
        list_foreach (&c->sessions, sc, struct op_session_core, link)
            if (sc->session.number == number)
                return &sc->session;
    }
    return NULL;
}

bool op_session_enter(struct op_core *core)
{
    struct op_session_core *sc = core_of(core->op.session);
    bool first = list_is_empty(&sc->queue);
    loop_timer_clear(&sc->idle);
    list_append(&sc->queue, &core->session_link);
    return first;
}

void op_session_leave(struct op_core *core)
{
    struct op_session_core *sc = core_of(core->op.session);
    bool was_first = sc->queue.next == &core->session_link;
    struct op_session *ending = core->ending;
    list_remove(&core->session_link);
    core->op.session = NULL;
    core->ending = NULL;
    if (sc->ended)
        return;
    if (ending) {
        struct fault why = {0};
        fault_set(&why, -ENOENT, FAULT_NO_SUCH_SESSION, NULL, "the session has ended");
        session_end(sc, &why, core->ending_orderly, core->ending_handed);
        return;
    }
    struct op_core *next = list_first(&sc->queue, struct op_core, session_link);
    sc->used_ms = loop_now_ms(core->op.gateway->loop);
    if (!next)
        loop_timer_set(&sc->idle, sc->idle_ms);
    else if (was_first)
        op_core_begin_later(next);
}
