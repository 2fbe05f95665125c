/* SPDX-License-Identifier: MIT */
#include "smtp_manual.h"

#include "api_smtp.h"
#include "derive.h"
#include "gateway.h"
#include "methods.h"
#include "must.h"

#include <errno.h>
#include <stdlib.h>

#define IDLE_MS (5 * 60 * 1000u)  /* session_idle and session_max where no account says otherwise */
#define MAX_MS (60 * 60 * 1000u)
#define MEMORY (SMTP_LINE_MAX + SMTP_REPLY_MAX + 16384) /* what a server's bytes can make an engine keep, and some */
#define PIECES_A_TURN 16          /* of a message, before others have their turn */

struct manual {
    struct op_session *session;
    struct memory_charge *charge;
    struct gateway *gateway;
    struct endpoint *endpoint; /* of the account; NULL: there is none */
    struct engine *engine;
    struct engine_config config;
    struct smtp_step_call *step; /* the command that is not answered yet */
    const char *name;       /* its method's, without the area */
    struct derive *derive;
    struct op *op; /* the call that waits; NULL: none */
    /* A message on its way out. */
    struct spool *spool;
    const char *piece;
    size_t piece_len;
    bool piece_is_last;
    struct loop_task task;
};

static struct manual *manual_of(const struct op_session *s)
{
    return s->state;
}

struct engine *smtp_manual_engine(const struct op_session *s)
{
    return manual_of(s)->engine;
}

const struct engine_config *smtp_manual_config(const struct op_session *s)
{
    return &manual_of(s)->config;
}

static const char *state_name(const struct manual *m)
{
    return smtp_dialogue_name(smtp_client_dialogue(m->engine));
}

static void drop_step(struct manual *m)
{
    if (m->step)
        smtp_step_release(m->step);
    free(m->step);
    m->step = NULL;
}

static void drop_body(struct manual *m)
{
    loop_task_cancel(&m->task);
    m->spool = spool_unref(m->spool);
    m->piece_len = 0;
}

static void manual_free(void *state)
{
    struct manual *m = state;

    derive_abandon(m->derive);
    drop_body(m);
    engine_free(m->engine);
    drop_step(m);
    memory_charge_free(m->charge);
    if (m->endpoint)
        endpoint_unref(m->endpoint);
    free(m);
}

/* --- what comes out of the engine --- */

static void write_one(struct json_writer *w, const char *command, const struct smtp_reply *reply)
{
    json_write_object_begin(w);
    json_write_member_str(w, "command", command);
    smtp_write_answer(w, reply->code, reply->text);
    json_write_object_end(w);
}

/* Answers go to `w`, as members of an array (NULL: there are none to come). <0: the engine has failed, and the fault is its
 * own. */
static int take_events(struct manual *m, struct json_writer *w)
{
    struct engine_event *event;
    int r;

    while ((r = m->engine->ops->next(m->engine, &event)) > 0) {
        const struct smtp_event *ev = container_of(event, struct smtp_event, base);
        switch (event->type) {
        case ENGINE_EVENT_READY:
            if (w)
                write_one(w, "greeting", &ev->reply);
            break;
        case ENGINE_EVENT_REPLY:
            if (w)
                write_one(w, m->name, &ev->reply);
            break;
        case ENGINE_EVENT_CLOSING:
            if (w && ev->reply.code)
                write_one(w, NULL, &ev->reply);
            break;
        case ENGINE_EVENT_DONE:
            drop_step(m);
            break;
        case ENGINE_EVENT_TRACE:
            op_session_trace(m->session, event->outgoing, event->data);
            break;
        case ENGINE_EVENT_DATA:
        case ENGINE_EVENT_NOTICE:
            break;
        }
    }
    return r;
}

static int engine_failure(struct manual *m, struct op *op, int r)
{
    op->fault = m->engine->fault;
    return fault_set(&op->fault, r, FAULT_PROTOCOL, NULL, "the dialogue has ended");
}

static int write_state(struct manual *m, struct op *op)
{
    struct slice out = m->engine->ops->output(m->engine);
    int r = op_write_content(op, "output", out.len ? out : SLICE(""));

    if (out.len)
        m->engine->ops->sent(m->engine, out.len);
    json_write_member_str(&op->w, "state", state_name(m));
    return r;
}

/* --- a message on its way out --- */

/* 1: there is more to give. 0: all of it is in the spool. */
static int move_piece(struct manual *m, struct fault *fault)
{
    const struct engine_ops *ops = m->engine->ops;
    ssize_t n = 0;

    if (ops->wants(m->engine) & ENGINE_WANT_BODY) {
        if (m->piece_len == 0) {
            n = outgoing_next(m->step->out, &m->piece, &m->piece_is_last);
            m->piece_len = n > 0 ? (size_t) n : 0;
        }
        if (n >= 0)
            n = ops->body(m->engine, m->piece, m->piece_len, m->piece_is_last);
        if (n < 0)
            return fault_set(fault, (int) n, FAULT_STORAGE, "data", "the message cannot be read");
        m->piece += n;
        m->piece_len -= (size_t) n;
    }
    struct slice out = ops->output(m->engine);
    int r = out.len ? spool_write(m->spool, out, fault) : 0;
    if (r > 0) {
        fault->limit = "user_memory";
        r = fault_set(fault, -EDQUOT, FAULT_LIMIT, "data", "the message takes more memory than this user has left");
    }
    if (r < 0)
        return r;
    ops->sent(m->engine, out.len);
    return ops->body_request(m->engine) || ops->output(m->engine).len;
}

static void write_message(void *arg)
{
    struct manual *m = arg;
    struct op *op = m->op;
    int r = 1;

    if (!op)
        return;
    for (unsigned i = 0; r > 0 && i < PIECES_A_TURN; i++)
        r = move_piece(m, &op->fault);
    if (r > 0) {
        loop_task_schedule(&m->task);
        return;
    }
    if (r == 0 && (r = take_events(m, NULL)) < 0)
        r = engine_failure(m, op, r);
    if (r == 0)
        r = spool_seal(m->spool, &op->fault);
    if (r < 0) {
        op_fail(op, NULL);
        return;
    }
    m->op = NULL;
    json_write_object_begin(&op->w);
    (void) !op_write_content_spool(op, "output", m->spool);
    json_write_member_str(&op->w, "state", state_name(m));
    json_write_object_end(&op->w);
    drop_body(m);
    m->step->out = outgoing_unref(m->step->out);
    op_finish(op);
}

void smtp_manual_forget(struct op_session *s, const struct op *op)
{
    struct manual *m = s && s->manual ? manual_of(s) : NULL;

    if (!m || m->op != op)
        return;
    m->op = NULL;
    /* Half a message has no way back. */
    if (m->spool)
        (void) !m->engine->ops->body_abort(m->engine);
    drop_body(m);
}

/* --- commands --- */

/* What cannot be asked of the engine, because it takes no requests then. */
static int check_state(const struct manual *m, struct op *op)
{
    enum smtp_dialogue now = smtp_client_dialogue(m->engine);

    if (m->step)
        return op_refuse(op, FAULT_INVALID_PARAMS, "%s cannot be said before %s is answered (state %s)", op->method->name, m->name,
                         smtp_dialogue_name(now));
    if (now == SMTP_DIALOGUE_GREETING_EXPECTED || now == SMTP_DIALOGUE_FINISHED)
        return op_refuse(op, FAULT_INVALID_PARAMS, "%s cannot be said in the state %s", op->method->name, smtp_dialogue_name(now));
    return 0;
}

int smtp_manual_say(struct op *op, struct smtp_step_call *step)
{
    struct manual *m = manual_of(op->session);
    int r = check_state(m, op);

    step->ox.op = NULL;
    if (r == 0)
        r = smtp_step_submit(step, m->engine, &op->fault);
    if (r < 0) {
        smtp_step_release(step);
        free(step);
        return r;
    }
    (void) op_text_keep(op); /* the step's slices, until it is answered */
    m->step = step;
    m->name = strchr(op->method->name, '.') + 1;
    r = take_events(m, NULL);
    if (r < 0)
        return engine_failure(m, op, r);
    if (step->out) {
        m->op = op;
        m->spool = op_spool_new(op, 0);
        loop_task_schedule(&m->task);
        return OP_WAIT;
    }
    json_write_object_begin(&op->w);
    r = write_state(m, op);
    json_write_object_end(&op->w);
    return r < 0 ? r : OP_DONE;
}

void smtp_manual_set_trace(struct op_session *s, bool on)
{
    manual_of(s)->config.trace = on;
}

void smtp_manual_quit(struct op *op)
{
    struct manual *m = manual_of(op->session);

    if (!m->step)
        (void) !m->engine->ops->quit(m->engine);
    (void) !take_events(m, NULL);
    struct slice out = m->engine->ops->output(m->engine);
    json_write_object_begin(&op->w);
    (void) !op_write_content(op, "output", out.len ? out : SLICE(""));
    json_write_object_end(&op->w);
}

/* --- opening --- */

/* As the account has it, but for whatever is secret or about a connection: that is the client's. */
static void configure(struct manual *m)
{
    struct engine_config *c = &m->config;

    if (m->endpoint) {
        *c = m->endpoint->engine;
        c->host = m->endpoint->host;
        c->port = m->endpoint->port;
    }
    c->tls = TLS_POLICY_TRY;
    c->implicit_tls = c->wants_login = c->has_token = c->has_client_cert = c->trace = false;
    /* Who carries the bytes sees to it where they go, and the credentials are its own. */
    c->allow_plaintext_auth = true;
    c->step_by_step = true;
    c->username = c->authzid = NULL;
    c->methods[0] = NULL;
    if (!c->host)
        c->host = "localhost";
}

int smtp_manual_open(struct op *op)
{
    struct pool *pool = NULL;

    int r = op->account ? op_pool(op, PROTOCOL_SMTP, &pool) : 0;
    if (r < 0)
        return r;
    struct manual *m = must_calloc(1, sizeof(*m));
    m->gateway = op->gateway;
    loop_task_init(&m->task, op->gateway->loop, write_message, m);
    m->endpoint = pool ? endpoint_ref(pool_endpoint(pool)) : NULL;
    configure(m);
    m->charge = op_charge(op, MEMORY);
    m->engine = m->charge ? smtp_client_new(&m->config) : NULL;
    m->session = m->engine ? op_session_open_manual(op, PROTOCOL_SMTP, pool ? m->endpoint->session_idle_ms : IDLE_MS,
                                                    pool ? m->endpoint->session_max_ms : MAX_MS)
                           : NULL;
    if (!m->session) {
        manual_free(m);
        return fault_set(&op->fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
    }
    m->session->state = m;
    m->session->free_state = manual_free;
    json_write_object_begin(&op->w);
    json_write_member_str(&op->w, "session", m->session->id);
    json_write_member_str(&op->w, "state", state_name(m));
    json_write_object_end(&op->w);
    return OP_DONE;
}

/* --- smtp.feed_bytes --- */

struct feed_state {
    struct body *body;
    struct body_reader reader;
    struct op_session *session; /* NULL: not begun */
    bool start_tls;
};

static int feed_prepare(struct op *op)
{
    const struct api_smtp_data_params *p = op->params;
    struct feed_state *st = op->state;

    if (!op->session->manual)
        return op_refuse(op, FAULT_INVALID_PARAMS, "session: it has a connection of its own, and is not fed");
    int r = op_collect(op, &p->raw, "raw", &st->body);
    return r < 0 ? r : OP_WAIT;
}

static void derived(void *arg, const void *key, size_t len);

/* The engine's turn after bytes, or a key. 1: a key is being derived. */
static int react(struct manual *m, struct op *op, struct feed_state *st)
{
    const struct engine_ops *ops = m->engine->ops;
    static const struct engine_tls tls = {.verified = true};

    int r = take_events(m, &op->w);
    if (r == 0 && ops->wants(m->engine) & ENGINE_WANT_START_TLS) {
        /* The handshake is the client's; the dialogue goes on behind it. */
        st->start_tls = true;
        r = ops->tls_started(m->engine, &tls);
        if (r == 0)
            r = take_events(m, &op->w);
    }
    if (r < 0)
        return engine_failure(m, op, r);
    if (!(ops->wants(m->engine) & ENGINE_WANT_DERIVE))
        return 0;
    if (m->derive)
        return 1;
    r = derive_begin(m->gateway->cpu, ops->derive_job(m->engine), derived, m, &m->derive, &op->fault);
    return r < 0 ? r : 1;
}

static int feed_finish(struct manual *m, struct op *op, const struct feed_state *st)
{
    json_write_array_end(&op->w);
    int r = write_state(m, op);
    json_write_member_bool(&op->w, "start_tls", st->start_tls);
    json_write_member_bool(&op->w, "closed", m->engine->ops->wants(m->engine) & ENGINE_WANT_CLOSED);
    json_write_object_end(&op->w);
    return r < 0 ? r : OP_DONE;
}

static void derived(void *arg, const void *key, size_t len)
{
    struct manual *m = arg;
    struct op *op = m->op;

    m->derive = NULL;
    m->op = NULL;
    if (m->engine->ops->derived(m->engine, key ? key : "", key ? len : 0) < 0 && !op)
        return;
    if (!op)
        return;
    int r = react(m, op, op->state);
    r = r == 0 ? feed_finish(m, op, op->state) : r > 0 ? -EPROTO : r;
    if (r < 0)
        op_fail(op, NULL);
    else
        op_finish(op);
}

static int feed_run(struct op *op)
{
    struct manual *m = manual_of(op->session);
    struct feed_state *st = op->state;
    const char *bytes = "";
    bool last = false;
    int r = 0;

    if (smtp_client_dialogue(m->engine) == SMTP_DIALOGUE_FINISHED)
        return op_refuse(op, FAULT_INVALID_PARAMS, "%s makes no sense in the state finished", op->method->name);
    json_write_object_begin(&op->w);
    json_write_key(&op->w, "answers");
    json_write_array_begin(&op->w);
    body_reader_init(&st->reader, st->body);
    st->session = op->session;
    while (r >= 0 && !last) {
        ssize_t n = body_reader_next(&st->reader, &bytes, &last);
        if (n < 0)
            return fault_set(&op->fault, (int) n, FAULT_STORAGE, NULL, "raw cannot be read");
        r = m->engine->ops->feed(m->engine, bytes, (size_t) n);
        r = r < 0 ? engine_failure(m, op, r) : react(m, op, st);
    }
    if (r > 0) {
        m->op = op;
        return OP_WAIT;
    }
    return r < 0 ? r : feed_finish(m, op, st);
}

static void feed_free(struct op *op)
{
    struct feed_state *st = op->state;

    smtp_manual_forget(st->session, op);
    if (st->session)
        body_reader_done(&st->reader);
}

const struct op_handler smtp_feed_bytes_handler = {
    .state_size = sizeof(struct feed_state), .prepare = feed_prepare, .run = feed_run, .free = feed_free};
