/* SPDX-License-Identifier: MIT */
#include "session.h"

#include "session_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

#define CLOSE_LIMIT_MS UINT64_C(5000) /* for a goodbye nobody waits for */
#define RATE_WINDOW_MS 60000
#define PROOF_LIMIT_MS 5000 /* for the first sign of life of a connection that was silent for long; another is soon made */

/* What governs the time that may be spent in a state. */
enum limit {
    LIMIT_STAGE,    /* connect_timeout since the state was entered, and ready_timeout since the beginning */
    LIMIT_LOGIN,    /* `timeout` without progress, and ready_timeout since the beginning */
    LIMIT_NONE,     /* the pool decides how long it may idle */
    LIMIT_RELAY,    /* the pool's session_max; `timeout` without progress once one side has ended */
    LIMIT_EXCHANGE, /* as the engine says, min_rate, and the deadlines of what is in flight */
    LIMIT_CLOSE,
};

/* What cancelling an exchange means while its session is in that state. */
enum cancel_meaning {
    CANCEL_NOT_HERE, /* no exchange is on it yet: it waits in the pool and is dropped there */
    CANCEL_ORPHANS,  /* dropped if no byte was put out, else its answers are awaited without it */
    CANCEL_SETTLED,  /* the outcome is known already */
};

static const struct {
    const char *name;
    enum limit limit;
    enum cancel_meaning cancel;
    const char *stage; /* NULL: the engine's */
} states[] = {
    [SESSION_RESOLVE] = {"resolve", LIMIT_STAGE, CANCEL_NOT_HERE, "dns"},
    [SESSION_CONNECT] = {"connect", LIMIT_STAGE, CANCEL_NOT_HERE, "connect"},
    [SESSION_PROXY] = {"proxy", LIMIT_STAGE, CANCEL_NOT_HERE, "proxy"},
    [SESSION_TLS] = {"tls", LIMIT_STAGE, CANCEL_NOT_HERE, "tls"},
    [SESSION_GREETING] = {"greeting", LIMIT_LOGIN, CANCEL_NOT_HERE, NULL},
    [SESSION_LOGIN] = {"login", LIMIT_LOGIN, CANCEL_NOT_HERE, NULL},
    [SESSION_READY] = {"ready", LIMIT_NONE, CANCEL_NOT_HERE, NULL},
    [SESSION_BUSY] = {"busy", LIMIT_EXCHANGE, CANCEL_ORPHANS, NULL},
    [SESSION_RELAY] = {"relay", LIMIT_RELAY, CANCEL_NOT_HERE, "socket"},
    [SESSION_CLOSING] = {"closing", LIMIT_CLOSE, CANCEL_ORPHANS, NULL},
    [SESSION_DEAD] = {"dead", LIMIT_NONE, CANCEL_SETTLED, NULL},
};
_Static_assert(ARRAY_LEN(states) == SESSION_STATE_COUNT, "every state has a row");

const char *session_state_name(enum session_state state)
{
    return states[state].name;
}

void session_set_state(struct session *s, enum session_state state)
{
    uint64_t now = loop_now_ms(s->net->loop);
    if (s->view.state == state)
        return;
    if (s->view.state == SESSION_RESOLVE)
        s->view.times.lookup_ms += now - s->state_ms;
    else if (s->view.state == SESSION_GREETING)
        s->view.times.greeting_ms += now - s->state_ms;
    s->view.state = state;
    s->state_ms = s->progress_ms = now;
    s->rate_ms = now;
    s->rate_bytes = 0;
    if (state == SESSION_READY)
        s->view.idle_ms = now;
}

const char *session_stage(const struct session *s)
{
    const char *stage = states[s->view.state].stage;
    if (!stage && s->engine)
        stage = s->engine->ops->stage(s->engine);
    return stage ? stage : states[s->view.state].name;
}

void session_wake(struct session *s)
{
    if (!session_is_dead(s))
        loop_task_schedule(&s->step);
}

/* --- the way to a connection --- */

static void resolved(struct resolver_query *q, const struct address_list *list, const struct fault *fault)
{
    struct session *s = container_of(q, struct session, query);
    if (!list) {
        session_fail(s, fault);
    } else if (!s->hop) {
        s->hop = malloc(sizeof(*s->hop));
        if (s->hop)
            *s->hop = *list;
    } else {
        /* SOCKS 4 knows IPv4 only. */
        s->target = list->items[0];
        for (size_t i = 0; s->endpoint->proxy.kind == PROXY_SOCKS4 && i < list->n; i++)
            if (list->items[i].sa.sa_family == AF_INET)
                s->target = list->items[i];
        address_set_port(&s->target, s->endpoint->port);
    }
    session_wake(s);
}

static int step_resolve(struct session *s, struct fault *fault)
{
    const struct endpoint *e = s->endpoint;
    const char *host;

    if (s->query.lookup)
        return 0;
    if (!s->hop)
        host = s->via_proxy ? e->proxy.host : e->host;
    else if (s->via_proxy && !proxy_resolves(e->proxy.kind) && s->target.len == 0)
        host = e->host;
    else {
        session_set_state(s, SESSION_CONNECT);
        return 1;
    }
    return resolver_query(s->net->resolver, host, e->family, &s->query, fault);
}

static void connected(void *arg, int fd, const struct address *peer, const struct fault *fault)
{
    struct session *s = arg;
    struct connector *connector = s->connector; /* peer and fault are its own */
    s->connector = NULL;
    if (fd < 0) {
        session_fail(s, fault);
    } else {
        s->fd = fd;
        address_format(peer, s->view.times.peer, sizeof(s->view.times.peer));
        session_wake(s);
    }
    connector_free(connector);
}

static int step_connect(struct session *s, struct fault *fault)
{
    const struct endpoint *e = s->endpoint;

    if (s->connector)
        return 0;
    if (s->fd < 0) {
        struct connector_options options = {
            .port = s->via_proxy ? e->proxy.port : e->port,
            .local_address = e->local_address,
            .keepalive = e->keepalive,
            /* Longer than any wait for an answer is bounded by our own timers; this bounds unacknowledged output. */
            .user_timeout_ms = e->timeout_ms ? 2 * e->timeout_ms : 0,
        };
        s->connector = connector_new(s->net->loop, s->hop, &options, connected, s);
        return s->connector ? 0 : fault_set(fault, -ENOMEM, FAULT_INTERNAL, "connect", "out of memory");
    }
    free(s->hop);
    s->hop = NULL;
    if (loop_io_init(&s->io, s->net->loop, s->fd, session_io_ready, s) < 0)
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, "connect", "out of memory");
    s->view.times.connect_ms = loop_now_ms(s->net->loop) - s->view.opened_ms;
    session_set_state(s, SESSION_PROXY);
    return 1;
}

/* --- the dialogue --- */

static struct engine *make_engine(enum protocol protocol, const struct engine_config *config)
{
    switch (protocol) {
    case PROTOCOL_SMTP:
        return smtp_client_new(config);
    case PROTOCOL_IMAP:
        return imap_client_new(config);
    case PROTOCOL_POP3:
        return pop3_client_new(config);
    case PROTOCOL_COUNT:
        break;
    }
    return NULL;
}

/* The TLS state is through: with TLS, or without it because it is not implicit. */
static int begin_dialogue(struct session *s, struct fault *fault)
{
    if (!s->engine) {
        s->engine = make_engine(s->endpoint->protocol, &s->config);
        if (!s->engine)
            return fault_set(fault, -ENOMEM, FAULT_INTERNAL, "connect", "out of memory");
    }
    if (s->tls) {
        struct engine_tls tls;
        tls_describe(s->tls, &tls);
        s->view.times.tls = true;
        snprintf(s->view.times.tls_version, sizeof(s->view.times.tls_version), "%s", tls.version);
        snprintf(s->view.times.tls_cipher, sizeof(s->view.times.tls_cipher), "%s", tls_cipher(s->tls));
        int r = s->engine->ops->tls_started(s->engine, &tls);
        if (r < 0) {
            *fault = s->engine->fault;
            return r;
        }
    }
    /* Where a client asked for it, its request is still in flight. */
    session_set_state(s, s->view.ready_ms ? SESSION_BUSY : SESSION_GREETING);
    return 1;
}

/* The dialogue is over: as asked for, or before its time. */
static int end_of_dialogue(struct session *s, struct fault *fault)
{
    if (s->view.state == SESSION_CLOSING && list_is_empty(&s->exchanges)) {
        session_abort(s, NULL);
        return 0;
    }
    *fault = s->engine->fault;
    return fault_set(fault, -ECONNRESET, FAULT_DISCONNECTED, session_stage(s), "the server ended the dialogue");
}

/* A server that takes no more may have said why before it went: a refusal in the middle of a body. */
static void last_words(struct session *s, struct fault *fault)
{
    struct fault ignored = {0};
    s->drained = false;
    (void) session_input(s, &ignored);
    if (!session_is_dead(s) && fault_is_set(&s->engine->fault) && s->engine->fault.kind != FAULT_DISCONNECTED)
        *fault = s->engine->fault;
}

/* Everything from the greeting to the goodbye is moved by the engine. */
static int step_dialogue(struct session *s, struct fault *fault)
{
    unsigned completed = s->view.completed;
    int r = session_input(s, fault);
    if (r < 0 || session_is_dead(s))
        return r;
    /* An exchange has ended, and others are in flight: the pool's turn comes first, and ours again before anything is waited for. */
    s->output_waits = !s->output_waits && s->view.completed != completed && s->view.state == SESSION_BUSY &&
                      !list_is_empty(&s->exchanges) && !(s->engine->ops->wants(s->engine) & ENGINE_WANT_CLOSED);
    if (s->output_waits) {
        session_wake(s);
        return 0;
    }
    if (s->view.state == SESSION_GREETING && strcmp(session_stage(s), "greeting") != 0)
        session_set_state(s, SESSION_LOGIN);
    session_begin_probed(s);
    if (s->view.state <= SESSION_BUSY)
        r = session_login(s, s->engine->ops->wants(s->engine), fault);
    if (r >= 0) {
        r = session_output(s, fault);
        if (r < 0 && fault->kind == FAULT_DISCONNECTED)
            last_words(s, fault);
    }
    if (r < 0 || session_is_dead(s))
        return r;
    unsigned wants = s->engine->ops->wants(s->engine);
    if ((wants & ENGINE_WANT_START_TLS) && !s->tls) {
        session_set_state(s, SESSION_TLS);
        return 1;
    }
    if ((wants & ENGINE_WANT_START_DEFLATE) && !s->deflate) {
        s->deflate = deflate_stage_new();
        if (!s->deflate)
            return fault_set(fault, -ENOMEM, FAULT_INTERNAL, "compress", "out of memory");
        r = s->engine->ops->deflate_started(s->engine);
        return r < 0 ? r : 1;
    }
    if ((wants & ENGINE_WANT_CLOSED) && s->engine->ops->output(s->engine).len == 0)
        return end_of_dialogue(s, fault);
    return 0;
}

/* Asks for the goodbye as soon as nothing is in flight; to a server that has said its own there is no more to say. */
static int step_closing(struct session *s, struct fault *fault)
{
    if (!s->quit_asked && list_is_empty(&s->exchanges)) {
        s->quit_asked = true;
        s->state_ms = loop_now_ms(s->net->loop);
        if (s->server_bye || s->engine->ops->quit(s->engine) < 0) {
            session_abort(s, NULL);
            return 0;
        }
    }
    int r = step_dialogue(s, fault);
    if (r == 0 && !session_is_dead(s) && !s->quit_asked && list_is_empty(&s->exchanges))
        session_wake(s);
    return r;
}

/* --- time --- */

static uint64_t answer_limit(const struct session *s)
{
    const struct exchange *head = list_first(&s->exchanges, struct exchange, link);
    const struct endpoint *e = s->endpoint;
    switch (s->engine->ops->timeout(s->engine)) {
    case ENGINE_TIMEOUT_NONE:
        /* The server may be silent for as long as it likes (IMAP IDLE), unless it stopped in the middle of a line. */
        return head ? 0 : e->timeout_ms;
    case ENGINE_TIMEOUT_DATA:
        return e->data_timeout_ms;
    case ENGINE_TIMEOUT_LOGIN:
    case ENGINE_TIMEOUT_COMMAND:
        break;
    }
    return head && head->long_wait ? MAX(e->data_timeout_ms, e->timeout_ms) : e->timeout_ms;
}

static uint64_t silence_limit(const struct session *s)
{
    uint64_t limit = answer_limit(s);
    return s->stale && session_is_unproved(s) && limit > PROOF_LIMIT_MS ? PROOF_LIMIT_MS : limit;
}

static uint64_t earlier(uint64_t a, uint64_t since, uint64_t limit)
{
    uint64_t b = limit ? since + limit : 0;
    return a == 0 || (b && b < a) ? b : a;
}

/* An orphan ends what it began, but bytes that complete nothing do not keep a connection for it. */
static uint64_t orphan_due_ms(const struct session *s)
{
    const struct exchange *head = list_first(&s->exchanges, struct exchange, link);
    return head && head->orphaned ? earlier(0, s->moved_ms, answer_limit(s)) : 0;
}

/* When the present state has lasted too long; 0: it may last. */
static uint64_t due_ms(const struct session *s)
{
    const struct endpoint *e = s->endpoint;
    uint64_t due = 0;
    switch (states[s->view.state].limit) {
    case LIMIT_STAGE:
        due = earlier(due, s->state_ms, e->connect_timeout_ms);
        return s->view.ready_ms ? due : earlier(due, s->view.opened_ms, e->ready_timeout_ms);
    case LIMIT_LOGIN:
        due = earlier(due, s->progress_ms, e->timeout_ms);
        return earlier(due, s->view.opened_ms, e->ready_timeout_ms);
    case LIMIT_NONE:
        return 0;
    case LIMIT_RELAY:
        return session_relay_due_ms(s);
    case LIMIT_EXCHANGE:
        if (s->n_paused || s->body_awaited)
            return session_next_deadline(s);
        due = earlier(due, s->progress_ms, silence_limit(s));
        due = earlier(due, s->rate_ms, e->min_rate ? RATE_WINDOW_MS : 0);
        due = earlier(due, orphan_due_ms(s), orphan_due_ms(s) ? 1 : 0);
        return earlier(due, session_next_deadline(s), session_next_deadline(s) ? 1 : 0);
    case LIMIT_CLOSE:
        if (!s->quit_asked) {
            due = earlier(due, s->progress_ms, silence_limit(s) ? silence_limit(s) : CLOSE_LIMIT_MS);
            due = earlier(due, orphan_due_ms(s), orphan_due_ms(s) ? 1 : 0);
            return earlier(due, session_next_deadline(s), session_next_deadline(s) ? 1 : 0);
        }
        if (s->engine->ops->timeout(s->engine) == ENGINE_TIMEOUT_DATA)
            return earlier(0, s->state_ms, MAX(CLOSE_LIMIT_MS, e->data_timeout_ms));
        /* It takes a place of the pool meanwhile. */
        return earlier(0, s->state_ms, e->timeout_ms ? MIN(CLOSE_LIMIT_MS, e->timeout_ms) : CLOSE_LIMIT_MS);
    }
    return 0;
}

/* Nothing is awaited of the server (IMAP IDLE): it says what it likes, when it likes. */
static bool may_be_silent(const struct session *s)
{
    return s->engine->ops->timeout(s->engine) == ENGINE_TIMEOUT_NONE;
}

/* A peer that drips: bytes come or go, but in a minute fewer than min_rate allows. Windows without any byte are the
 * silence limit's matter, and each reply begins a new one. */
static bool too_slow(struct session *s, uint64_t now)
{
    uint64_t least = s->endpoint->min_rate * (RATE_WINDOW_MS / 1000);
    if (s->view.state != SESSION_BUSY || !s->endpoint->min_rate || now < s->rate_ms + RATE_WINDOW_MS || s->n_paused)
        return false;
    bool slow = s->rate_bytes && s->rate_bytes < least && !s->body_awaited && !may_be_silent(s);
    s->rate_ms = now;
    s->rate_bytes = 0;
    return slow;
}

static void arm_timer(struct session *s)
{
    uint64_t due = due_ms(s);
    if (due)
        loop_timer_set_at(&s->timer, due);
    else
        loop_timer_clear(&s->timer);
}

static void timer_fired(void *arg)
{
    struct session *s = arg;
    uint64_t now = loop_now_ms(s->net->loop);
    struct fault fault = {0};

    session_expire_exchanges(s);
    if (too_slow(s, now)) {
        fault_set(&fault, -ETIMEDOUT, FAULT_TIMEOUT, session_stage(s), "slower than min_rate for a minute");
    } else {
        uint64_t due = due_ms(s);
        if (due == 0 || due > now) {
            session_wake(s);
            arm_timer(s);
            return;
        }
        uint64_t since = s->view.state < SESSION_READY ? s->state_ms : s->progress_ms;
        fault_set(&fault, -ETIMEDOUT, FAULT_TIMEOUT, session_stage(s), "no answer within %llu s",
                  (unsigned long long) ((now - since + 500) / 1000));
    }
    if (s->view.state == SESSION_CLOSING && list_is_empty(&s->exchanges))
        session_abort(s, NULL);
    else
        session_fail(s, &fault);
}

/* --- the step --- */

/* Something came, nothing went, and more is awaited: a server that writes its answers in small pieces waits with the next
 * for our acknowledgement, which the kernel would put off by 40 ms. */
static void acknowledge(struct session *s, uint64_t in_before, uint64_t out_before)
{
    if (s->view.bytes_in != in_before && s->view.bytes_out == out_before && s->view.state != SESSION_READY && s->fd >= 0)
        socket_quickack(s->fd);
}

static void session_step(void *arg)
{
    struct session *s = arg;
    struct fault fault = {0};
    uint64_t in_before = s->view.bytes_in, out_before = s->view.bytes_out;
    int r = 1;

    while (r > 0) {
        switch (s->view.state) {
        case SESSION_RESOLVE:
            r = step_resolve(s, &fault);
            break;
        case SESSION_CONNECT:
            r = step_connect(s, &fault);
            break;
        case SESSION_PROXY:
            r = session_step_proxy(s, &fault);
            break;
        case SESSION_TLS:
            r = session_step_tls(s, &fault);
            if (r > 0)
                r = begin_dialogue(s, &fault);
            break;
        case SESSION_GREETING:
        case SESSION_LOGIN:
        case SESSION_READY:
        case SESSION_BUSY:
            r = step_dialogue(s, &fault);
            break;
        case SESSION_RELAY:
            r = session_step_relay(s, &fault);
            break;
        case SESSION_CLOSING:
            r = step_closing(s, &fault);
            break;
        case SESSION_DEAD:
        case SESSION_STATE_COUNT:
            return;
        }
    }
    if (r < 0) {
        session_fail(s, &fault);
        return;
    }
    if (session_is_dead(s) || s->output_waits)
        return;
    if (s->fd >= 0 && s->io.event && session_want(s) < 0) {
        fault_set(&fault, -ENOMEM, FAULT_INTERNAL, session_stage(s), "out of memory");
        session_fail(s, &fault);
        return;
    }
    acknowledge(s, in_before, out_before);
    arm_timer(s);
}

/* --- life and death --- */

static void session_free(void *object)
{
    struct session *s = object;
    loop_timer_done(&s->timer);
    endpoint_unref(s->endpoint);
    free(s->in);
    free(s->marks);
    free(s->why);
    free(s);
}

/* What the connection has taught goes to all who come after it. That an idle one was gone teaches nothing, nor does an end that
 * was our own. */
static bool learn(struct session *s)
{
    const struct fault *why = s->view.fault;
    bool unexpected = why->kind == FAULT_PROTOCOL || why->kind == FAULT_TIMEOUT || why->kind == FAULT_REJECTED ||
                      (why->kind == FAULT_DISCONNECTED && !session_is_unproved(s));
    unsigned lessons = s->engine && s->engine->ops->lessons ? s->engine->ops->lessons(s->engine) : 0;

    if (!s->host || !unexpected || !lessons)
        return false;
    backoff_host_teach(s->host, lessons, loop_now_ms(s->net->loop));
    net_log(s->net, LOG_WARNING, s->endpoint, "chunks are off", "%s does not pass over chunks that it refuses, or answers out of step",
            s->host->name);
    return true;
}

static void session_buried(void *arg)
{
    struct session *s = arg;
    struct list lost;
    list_init(&lost);
    /* The outcomes are read off the engine's requests, which the exchanges may free in done(). */
    session_settle(s, &lost);
    s->taught = learn(s);
    engine_free(s->engine);
    s->engine = NULL;
    session_hand_back(s, &lost);
    s->ops->ended(s);
    backoff_host_unref(&s->net->hosts, s->host);
    s->host = NULL;
    loop_defer_free(s->net->loop, session_free, s);
}

/* Everything but the engine and the exchanges goes at once: they may be in use by the caller. */
static void die(struct session *s)
{
    session_set_state(s, SESSION_DEAD);
    session_login_abandon(s);
    resolver_cancel(&s->query);
    connector_free(s->connector);
    s->connector = NULL;
    session_io_close(s);
    loop_timer_clear(&s->timer);
    loop_task_cancel(&s->step);
    loop_task_schedule(&s->bury);
}

/* A session that lives has none. */
static struct fault *own_fault(struct session *s, const struct fault *fault)
{
    if (!s->why && !(s->why = calloc(1, sizeof(*s->why))))
        abort(); /* a small thing, and one for each connection at most */
    if (fault)
        *s->why = *fault;
    s->why->protocol = protocol_name(s->endpoint->protocol);
    s->view.fault = s->why;
    return s->why;
}

void session_fail(struct session *s, const struct fault *fault)
{
    if (session_is_dead(s))
        return;
    struct fault *why = own_fault(s, fault);
    if (!fault_is_set(why))
        fault_set(why, -EIO, FAULT_DISCONNECTED, session_stage(s), "the connection ended");
    if (!why->stage)
        why->stage = session_stage(s);
    s->view.login_refused = s->view.state < SESSION_READY && (why->kind == FAULT_AUTH || why->kind == FAULT_CONSENT);
    if (s->view.login_refused && s->secret && s->endpoint->credential->ops->refused)
        s->endpoint->credential->ops->refused(s->endpoint->credential, s->secret);
    /* What an engine that gave up still has to say (an "*" of SASL, a QUIT) goes out if the kernel takes it. In all other
     * cases not a byte more: it could complete what is about to be reported as not done. */
    if (s->engine && fault_is_set(&s->engine->fault) && s->fd >= 0 && s->view.state != SESSION_TLS) {
        struct fault ignored = {0};
        (void) session_output(s, &ignored);
    }
    if (session_is_dead(s))
        return;
    die(s);
}

void session_abort(struct session *s, const struct fault *fault)
{
    if (session_is_dead(s))
        return;
    own_fault(s, fault);
    die(s);
}

void session_close(struct session *s)
{
    if (session_is_dead(s) || s->view.state == SESSION_CLOSING)
        return;
    if (s->view.state < SESSION_READY || s->view.state == SESSION_RELAY) {
        session_abort(s, NULL);
        return;
    }
    session_set_state(s, SESSION_CLOSING);
    session_end_waits(s, NULL);
    session_wake(s);
}

static const struct fault no_fault = {.kind = FAULT_NONE};

struct session *session_new(struct net_context *n, struct endpoint *e, struct tls_tickets *tickets, bool login,
                            const struct session_owner_ops *ops, void *owner)
{
    struct session *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->fd = -1;
    if (loop_timer_init(&s->timer, n->loop, timer_fired, s) < 0) {
        free(s);
        return NULL;
    }
    s->net = n;
    s->endpoint = endpoint_ref(e);
    s->ops = ops;
    s->tickets = tickets;
    s->view.fault = &no_fault;
    s->view.owner = owner;
    s->view.id = ++n->last_session_id;
    s->view.opened_ms = s->state_ms = s->progress_ms = loop_now_ms(n->loop);
    s->config = e->engine;
    s->host = backoff_host_get(&n->hosts, e->host, e->port);
    s->config.lessons = s->host ? backoff_host_lessons(s->host, loop_now_ms(n->loop)) : 0;
    s->config.host = e->host;
    s->config.port = e->port;
    if (!login)
        s->config.wants_login = s->config.has_client_cert = false;
    s->via_proxy = e->proxy.kind != PROXY_NONE && !proxy_is_bypassed(e->no_proxy, e->host, e->port);
    list_init(&s->exchanges);
    list_init(&s->query.link);
    list_init(&s->credential.link);
    s->query.done = resolved;
    buffer_init(&s->glued, PROXY_HEADER_MAX);
    loop_task_init(&s->step, n->loop, session_step, s);
    loop_task_init(&s->bury, n->loop, session_buried, s);
    session_wake(s);
    return s;
}

void session_keep_plain(struct session *s)
{
    s->config.compress = false;
}

void session_set_trace(struct session *s, bool on)
{
    s->traced = on;
    s->config.trace = on || s->endpoint->engine.trace;
}

bool session_certificate(const struct session *s, struct tls_certificate *ret)
{
    return s->tls && tls_describe_certificate(s->tls, ret);
}

const struct session_view *session_view(const struct session *s)
{
    return &s->view;
}

struct engine *session_engine(const struct session *s)
{
    return s->engine;
}

bool session_is_closing(const struct session *s)
{
    return s->view.state >= SESSION_CLOSING;
}

bool session_is_idle(const struct session *s)
{
    return s->view.state == SESSION_READY;
}

unsigned session_depth(const struct session *s)
{
    return s->view.depth;
}

bool session_is_spent(const struct session *s)
{
    return s->engine && s->engine->ops->spent && s->engine->ops->spent(s->engine);
}

uint64_t session_silence_ms(const struct session *s)
{
    const struct exchange *head = list_first(&s->exchanges, struct exchange, link);
    uint64_t now = loop_now_ms(s->net->loop), since = head ? MAX(head->started_ms, s->view.last_in_ms) : now;
    return now > since ? now - since : 0;
}

bool session_check(struct session *s)
{
    if (s->view.state != SESSION_READY)
        return false;
    /* What came since the last dispatch: a goodbye, the end, or what must not be there. */
    s->drained = false;
    session_step(s);
    if (s->view.state == SESSION_READY && !s->engine->ops->idle(s->engine))
        session_abort(s, NULL); /* half a line: of what, nobody knows */
    return s->view.state == SESSION_READY;
}
