/* SPDX-License-Identifier: MIT */
/* The engine's surface: bytes in, events out, and what it wants. What replies mean is smtp_login.c's and
 * smtp_transaction.c's matter. */
#include "smtp_private.h"

#include <errno.h>
#include <stdlib.h>

static const struct {
    const char *name, *stage;
    enum engine_timeout timeout;
} states[] = {
    [SMTP_GREETING] = {"greeting", "greeting", ENGINE_TIMEOUT_LOGIN},
    [SMTP_EHLO] = {"ehlo", "ehlo", ENGINE_TIMEOUT_LOGIN},
    [SMTP_HELO] = {"helo", "ehlo", ENGINE_TIMEOUT_LOGIN},
    [SMTP_STARTTLS] = {"starttls", "tls", ENGINE_TIMEOUT_LOGIN},
    [SMTP_HANDSHAKE] = {"handshake", "tls", ENGINE_TIMEOUT_LOGIN},
    [SMTP_CREDENTIAL] = {"credential", "auth", ENGINE_TIMEOUT_LOGIN},
    [SMTP_AUTH] = {"auth", "auth", ENGINE_TIMEOUT_LOGIN},
    [SMTP_DERIVE] = {"derive", "auth", ENGINE_TIMEOUT_LOGIN},
    [SMTP_READY] = {"ready", NULL, ENGINE_TIMEOUT_NONE},
    [SMTP_QUITTING] = {"quitting", NULL, ENGINE_TIMEOUT_COMMAND},
    [SMTP_QUIT] = {"quit", "quit", ENGINE_TIMEOUT_COMMAND},
    [SMTP_CLOSED] = {"closed", "quit", ENGINE_TIMEOUT_NONE},
    [SMTP_FAILED] = {"failed", NULL, ENGINE_TIMEOUT_NONE},
};
_Static_assert(ARRAY_LEN(states) == SMTP_STATE_COUNT, "every state has a row");

void smtp_set_state(struct smtp_client *c, enum smtp_state state)
{
    if (c->state != SMTP_FAILED)
        c->state = state;
}

const char *smtp_state_stage(enum smtp_state state)
{
    return states[state].stage;
}

static const char *client_stage(const struct engine *e)
{
    const struct smtp_client *c = smtp_of_const(e);
    if (c->state == SMTP_FAILED)
        return e->fault.stage;
    return states[c->state].stage ? states[c->state].stage : smtp_request_stage(c);
}

int smtp_set_failed(struct smtp_client *c, int err)
{
    if (!c->error)
        c->error = err;
    smtp_set_state(c, SMTP_FAILED);
    c->body_of = NULL;
    return c->error;
}

int smtp_fail(struct smtp_client *c, int err, enum fault_kind kind, const char *stage, const char *text)
{
    fault_set(&c->engine.fault, err, kind, stage ? stage : client_stage(&c->engine), "%s", text);
    c->engine.fault.protocol = protocol_name(PROTOCOL_SMTP);
    smtp_flight_failed(c, kind);
    return smtp_set_failed(c, err);
}

int smtp_fail_reply(struct smtp_client *c, int err, enum fault_kind kind, const char *stage, const struct smtp_reply *r)
{
    struct fault_reply reply;

    smtp_reply_to_fault(r, &reply);
    fault_set_reply(&c->engine.fault, err, kind, stage ? stage : client_stage(&c->engine), &reply);
    if (smtp_reply_class(r) == SMTP_CLASS_TRANSIENT)
        c->engine.fault.retry = RETRY_LATER;
    c->engine.fault.protocol = protocol_name(PROTOCOL_SMTP);
    return smtp_set_failed(c, err);
}

static int sticky(const struct smtp_client *c)
{
    return c->error;
}

struct smtp_event *smtp_push_event(struct smtp_client *c, enum engine_event_type type, struct engine_request *request)
{
    struct smtp_event *ev = &c->events[c->n_events++];
    *ev = (struct smtp_event){.base = {.type = type, .request = request}};
    return ev;
}

/* --- trace --- */

/* Lines of the dialogue wait here until next() gives them out. When memory or room is short, lines are missing: the trace
 * is no part of the protocol. */
static void trace_line(struct smtp_client *c, char direction, struct slice line)
{
    if (!c->config->trace || buffer_room(&c->trace) < line.len + 2)
        return;
    if (buffer_append_char(&c->trace, direction) == 0 && buffer_append_slice(&c->trace, line) == 0)
        (void) !buffer_append_char(&c->trace, '\n');
}

int smtp_end_command(struct smtp_client *c)
{
    struct buffer line;

    int r = writer_end(&c->writer);
    if (r < 0)
        return smtp_fail(c, r, r == -ENOMEM ? FAULT_INTERNAL : FAULT_INVALID_PARAMS, NULL, "the command cannot be written");
    if (!c->config->trace)
        return 0;
    buffer_init(&line, SMTP_AUTH_LINE_MAX * 2);
    if (writer_trace(&c->writer, &line) == 0)
        trace_line(c, '>', buffer_slice(&line));
    buffer_done(&line);
    return 0;
}

static bool next_trace(struct smtp_client *c, struct engine_event **ret)
{
    if (c->trace_given) {
        buffer_consume(&c->trace, c->trace_given);
        c->trace_given = 0;
    }
    struct slice all = buffer_slice(&c->trace);
    if (all.len == 0) {
        buffer_trim(&c->trace);
        return false;
    }
    size_t end = slice_find(all, '\n');
    c->trace_given = MIN(end + 1, all.len);
    c->trace_event = (struct smtp_event){.base = {.type = ENGINE_EVENT_TRACE,
                                                  .outgoing = all.data[0] == '>',
                                                  .data = slice_from(slice_to(all, end), 1)}};
    *ret = &c->trace_event.base;
    return true;
}

/* --- bytes in, events out --- */

static int client_feed(struct engine *e, const char *bytes, size_t len)
{
    struct smtp_client *c = smtp_of(e);
    if (c->state == SMTP_FAILED)
        return sticky(c);
    if (c->state == SMTP_HANDSHAKE && len)
        return smtp_fail(c, -EPROTO, FAULT_PROTOCOL, NULL, "bytes in clear came where TLS begins");
    return reader_feed(&c->reader, bytes, len);
}

static int reader_error(struct smtp_client *c, int r)
{
    if (r == -ENOMEM)
        return smtp_fail(c, r, FAULT_INTERNAL, NULL, "out of memory");
    if (r == -EMSGSIZE)
        return smtp_fail(c, r, FAULT_PROTOCOL, NULL, "the server's reply is too long");
    return smtp_fail(c, r, FAULT_PROTOCOL, NULL, "the server's reply is malformed");
}

/* 421 answers anything: the server is about to close. */
static int handle_closing(struct smtp_client *c, const struct smtp_reply *reply)
{
    if (list_is_empty(&c->engine.requests)) {
        smtp_push_event(c, ENGINE_EVENT_CLOSING, NULL)->reply = *reply;
        smtp_set_state(c, SMTP_CLOSED);
        return 0;
    }
    if (smtp_awaits_final(c)) {
        int r = smtp_request_reply(c, reply);
        if (r < 0 || list_is_empty(&c->engine.requests)) {
            smtp_push_event(c, ENGINE_EVENT_CLOSING, NULL);
            smtp_set_state(c, SMTP_CLOSED);
            return r;
        }
    }
    /* Who goes takes nothing more, whatever is on its way. */
    smtp_disown(c);
    smtp_push_event(c, ENGINE_EVENT_CLOSING, NULL);
    return smtp_fail_reply(c, -ECONNRESET, FAULT_REJECTED, NULL, reply);
}

static int handle_reply(struct smtp_client *c, const struct smtp_reply *reply)
{
    switch (c->state) {
    case SMTP_GREETING:
    case SMTP_EHLO:
    case SMTP_HELO:
    case SMTP_STARTTLS:
    case SMTP_AUTH:
        return smtp_login_reply(c, reply);
    case SMTP_READY:
    case SMTP_QUITTING:
        return reply->code == 421 ? handle_closing(c, reply) : smtp_request_reply(c, reply);
    case SMTP_QUIT:
        smtp_set_state(c, SMTP_CLOSED);
        return 0;
    case SMTP_HANDSHAKE:
    case SMTP_CREDENTIAL:
    case SMTP_DERIVE:
        return smtp_fail(c, -EPROTO, FAULT_PROTOCOL, NULL, "the server speaks out of turn");
    case SMTP_CLOSED:
    case SMTP_FAILED:
    case SMTP_STATE_COUNT:
        break;
    }
    return 0;
}

static int client_next(struct engine *e, struct engine_event **ret)
{
    struct smtp_client *c = smtp_of(e);
    struct smtp_reply reply;
    struct slice line;
    int r;

    for (;;) {
        if (next_trace(c, ret))
            return 1;
        if (c->next_event < c->n_events) {
            *ret = &c->events[c->next_event++].base;
            return 1;
        }
        c->next_event = c->n_events = 0;
        if (c->state == SMTP_FAILED)
            return sticky(c);
        r = reader_line(&c->reader, &line);
        if (r < 0)
            return reader_error(c, r);
        if (r == 0)
            break;
        trace_line(c, '<', line);
        r = smtp_reply_line(&c->parser, line, &reply);
        if (r < 0)
            return reader_error(c, r);
        if (r == 0)
            continue;
        r = handle_reply(c, &reply);
        if (r == 0 && c->state != SMTP_CLOSED)
            (void) !smtp_pump(c); /* a failure comes out when all events have been given */
    }
    if (!smtp_reply_is_open(&c->parser))
        smtp_reply_parser_reset(&c->parser);
    return 0;
}

static int client_eof(struct engine *e)
{
    struct smtp_client *c = smtp_of(e);

    if (c->state == SMTP_FAILED)
        return sticky(c);
    if (c->state == SMTP_CLOSED || c->state == SMTP_QUIT ||
        (c->state == SMTP_READY && list_is_empty(&c->engine.requests) && !smtp_reply_is_open(&c->parser) &&
         reader_pending(&c->reader) == 0)) {
        smtp_set_state(c, SMTP_CLOSED);
        return 0;
    }
    return smtp_fail(c, -ECONNRESET, FAULT_DISCONNECTED, NULL, "the server closed the connection");
}

static struct slice client_output(const struct engine *e)
{
    return writer_output(&smtp_of_const(e)->writer);
}

static void client_sent(struct engine *e, size_t len)
{
    struct smtp_client *c = smtp_of(e);
    writer_sent(&c->writer, len);
    /* A long envelope goes out as room comes. An error is kept and comes out of next(). */
    if (c->state == SMTP_READY || c->state == SMTP_QUITTING)
        (void) !smtp_pump(c);
}

static unsigned client_wants(const struct engine *e)
{
    const struct smtp_client *c = smtp_of_const(e);
    unsigned want = c->state == SMTP_CLOSED || c->state == SMTP_FAILED ? ENGINE_WANT_CLOSED : ENGINE_WANT_READ;

    if (writer_output(&c->writer).len)
        want |= ENGINE_WANT_WRITE;
    if (c->state == SMTP_HANDSHAKE)
        want |= ENGINE_WANT_START_TLS;
    if (c->state == SMTP_CREDENTIAL)
        want |= ENGINE_WANT_CREDENTIAL;
    if (c->state == SMTP_DERIVE)
        want |= ENGINE_WANT_DERIVE;
    if (c->body_of && !(want & ENGINE_WANT_CLOSED) && buffer_len(&c->writer.out) < SMTP_BODY_AHEAD)
        want |= ENGINE_WANT_BODY;
    return want;
}

static enum engine_timeout client_timeout(const struct engine *e)
{
    const struct smtp_client *c = smtp_of_const(e);
    if (list_is_empty(&c->engine.requests))
        return states[c->state].timeout;
    return smtp_awaits_final(c) ? ENGINE_TIMEOUT_DATA : ENGINE_TIMEOUT_COMMAND;
}

static int client_tls_started(struct engine *e, const struct engine_tls *tls)
{
    struct smtp_client *c = smtp_of(e);
    return c->state == SMTP_FAILED ? sticky(c) : smtp_login_tls_started(c, tls);
}

static int client_credential(struct engine *e, struct secret *secret)
{
    struct smtp_client *c = smtp_of(e);
    return c->state == SMTP_FAILED ? sticky(c) : smtp_login_credential(c, secret);
}

static const struct engine_derive *client_derive_job(const struct engine *e)
{
    const struct smtp_client *c = smtp_of_const(e);
    return c->state == SMTP_DERIVE ? sasl_derive_job(c->sasl) : NULL;
}

static int client_derived(struct engine *e, const void *key, size_t len)
{
    struct smtp_client *c = smtp_of(e);
    return c->state == SMTP_FAILED ? sticky(c) : smtp_login_derived(c, key, len);
}

/* --- requests --- */

static int client_submit(struct engine *e, struct engine_request *request, struct fault *fault)
{
    return smtp_client_submit(e, container_of(request, struct smtp_request, base), fault);
}

int smtp_client_submit(struct engine *e, struct smtp_request *request, struct fault *fault)
{
    struct smtp_client *c = smtp_of(e);

    if (c->state == SMTP_FAILED) {
        *fault = e->fault;
        return c->error;
    }
    if (c->state != SMTP_READY)
        return fault_set(fault, -EBUSY, FAULT_UNAVAILABLE, NULL, "the connection takes no requests now");
    int r = smtp_check_request(c, request, fault);
    if (r < 0)
        return r;
    if (request->kind == SMTP_TRANSACTION && smtp_limits_count(c, smtp_transaction_of(request)) < 0)
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
    list_append(&c->engine.requests, &request->base.link);
    c->n_queued++;
    request->base.state = REQUEST_QUEUED;
    /* What goes wrong from here on is the connection's matter, and next() tells. */
    (void) !smtp_pump(c);
    return 0;
}

int smtp_client_check(struct engine *e, struct smtp_request *request, struct fault *fault)
{
    return smtp_check_request(smtp_of(e), request, fault);
}

static int client_withdraw(struct engine *e, struct engine_request *request)
{
    struct smtp_client *c = smtp_of(e);

    if (request->state != REQUEST_QUEUED)
        return -EBUSY;
    list_remove(&request->link);
    c->n_queued--;
    request->state = REQUEST_NEW;
    return 0;
}

static struct engine_request *client_body_request(const struct engine *e)
{
    const struct smtp_client *c = smtp_of_const(e);
    return c->body_of ? &c->body_of->base : NULL;
}

static ssize_t client_body(struct engine *e, const char *bytes, size_t len, bool last)
{
    struct smtp_client *c = smtp_of(e);
    return c->state == SMTP_FAILED ? sticky(c) : smtp_take_body(c, bytes, len, last);
}

static int client_body_abort(struct engine *e)
{
    struct smtp_client *c = smtp_of(e);
    if (!c->body_of)
        return -EINVAL;
    /* DATA has no way back: only an end without the dot keeps half a message from being delivered. */
    return smtp_fail(c, -ECANCELED, FAULT_CANCELLED, "data", "the body could not be had whole, and nothing was sent");
}

static int client_probe(struct engine *e)
{
    (void) e;
    return 0; /* no body byte leaves before the envelope's replies have come */
}

static bool client_idle(const struct engine *e)
{
    const struct smtp_client *c = smtp_of_const(e);
    return c->state == SMTP_READY && list_is_empty(&c->engine.requests) && reader_pending(&c->reader) == 0 &&
           !smtp_reply_is_open(&c->parser) && c->next_event == c->n_events && writer_output(&c->writer).len == 0;
}

static size_t client_in_flight(const struct engine *e)
{
    return smtp_of_const(e)->n_queued;
}

static int client_quit(struct engine *e)
{
    struct smtp_client *c = smtp_of(e);

    switch (c->state) {
    case SMTP_READY:
        if (c->dialogue == SMTP_DIALOGUE_SEND_DATA || c->dialogue == SMTP_DIALOGUE_AUTHENTICATING) {
            /* What we say now would be taken for a message, or for an answer: only the end of the connection is clear. */
            smtp_set_state(c, SMTP_CLOSED);
            return 0;
        }
        smtp_set_state(c, SMTP_QUITTING);
        return smtp_pump(c);
    case SMTP_GREETING:
    case SMTP_EHLO:
    case SMTP_HELO:
    case SMTP_STARTTLS:
    case SMTP_HANDSHAKE:
    case SMTP_CREDENTIAL:
    case SMTP_AUTH:
    case SMTP_DERIVE:
        smtp_set_state(c, SMTP_CLOSED);
        return 0;
    case SMTP_FAILED:
        return sticky(c);
    case SMTP_QUITTING:
    case SMTP_QUIT:
    case SMTP_CLOSED:
    case SMTP_STATE_COUNT:
        break;
    }
    return 0;
}

/* One that ends in the middle of the proof has run what it refused, or cannot bear it. */
static unsigned client_lessons(const struct engine *e)
{
    const struct smtp_client *c = smtp_of_const(e);
    return c->lessons | (c->flight == SMTP_FLIGHT_PROVING ? (unsigned) ENGINE_LESSON_NO_CHUNKS : 0);
}

static bool client_spent(const struct engine *e)
{
    return smtp_limits_reached(smtp_of_const(e));
}

static void client_free(struct engine *e)
{
    struct smtp_client *c = smtp_of(e);

    reader_done(&c->reader);
    writer_done(&c->writer);
    smtp_reply_parser_done(&c->parser);
    buffer_done(&c->caps.lines);
    free(c->domains);
    buffer_done(&c->trace);
    sasl_free(c->sasl);
    explicit_bzero(&c->tls, sizeof(c->tls));
    free(c);
}

static const struct engine_ops smtp_ops = {
    .protocol = PROTOCOL_SMTP,
    .free = client_free,
    .feed = client_feed,
    .eof = client_eof,
    .next = client_next,
    .output = client_output,
    .sent = client_sent,
    .wants = client_wants,
    .timeout = client_timeout,
    .stage = client_stage,
    .tls_started = client_tls_started,
    .credential = client_credential,
    .derive_job = client_derive_job,
    .derived = client_derived,
    .submit = client_submit,
    .withdraw = client_withdraw,
    .body_request = client_body_request,
    .body = client_body,
    .body_abort = client_body_abort,
    .probe = client_probe,
    .idle = client_idle,
    .in_flight = client_in_flight,
    .quit = client_quit,
    .lessons = client_lessons,
    .spent = client_spent,
};

struct engine *smtp_client_new(const struct engine_config *config)
{
    struct smtp_client *c = calloc(1, sizeof(*c));
    size_t line = config->max_line ? config->max_line : SMTP_LINE_MAX;

    if (!c)
        return NULL;
    c->engine.ops = &smtp_ops;
    c->config = config;
    c->state = SMTP_GREETING;
    reader_init(&c->reader, READER_LF_ENDS_LINE | READER_REFUSE_NUL, line, line);
    writer_init(&c->writer, SMTP_OUTPUT_MAX);
    smtp_reply_parser_init(&c->parser, config->max_reply);
    smtp_capabilities_reset(&c->caps);
    buffer_init(&c->trace, 65536);
    list_init(&c->engine.requests);
    return &c->engine;
}

const struct smtp_capabilities *smtp_client_capabilities(const struct engine *e)
{
    return &smtp_of_const(e)->caps;
}

bool smtp_client_needs_rset(const struct engine *e)
{
    return smtp_of_const(e)->needs_rset;
}

const char *smtp_client_greeting(const struct engine *e)
{
    return smtp_of_const(e)->greeting;
}

unsigned smtp_client_depth(const struct engine *e)
{
    const struct smtp_client *c = smtp_of_const(e);

    if (!smtp_has(&c->caps, SMTP_EXT_PIPELINING) || c->config->pipeline == PIPELINE_OFF)
        return 1;
    return smtp_limits_reached(c) ? 1 : c->flight == SMTP_FLIGHT_PROVED ? SMTP_FLIGHT_MAX : 2;
}
