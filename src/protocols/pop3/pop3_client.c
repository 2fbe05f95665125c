/* SPDX-License-Identifier: MIT */
/* The engine's surface: bytes in, events out, and what it wants. */
#include "pop3_private.h"

#include <errno.h>
#include <stdlib.h>

static const struct {
    const char *name, *stage;
    enum engine_timeout timeout;
} states[] = {
    [POP3_GREETING] = {"greeting", "greeting", ENGINE_TIMEOUT_LOGIN},
    [POP3_STATE_CAPA] = {"capa", "capa", ENGINE_TIMEOUT_LOGIN},
    [POP3_STATE_CAPA_LINES] = {"capa-lines", "capa", ENGINE_TIMEOUT_LOGIN},
    [POP3_STATE_STLS] = {"stls", "tls", ENGINE_TIMEOUT_LOGIN},
    [POP3_HANDSHAKE] = {"handshake", "tls", ENGINE_TIMEOUT_LOGIN},
    [POP3_CREDENTIAL] = {"credential", "auth", ENGINE_TIMEOUT_LOGIN},
    [POP3_STATE_AUTH] = {"auth", "auth", ENGINE_TIMEOUT_LOGIN},
    [POP3_DERIVE] = {"derive", "auth", ENGINE_TIMEOUT_LOGIN},
    [POP3_STATE_APOP] = {"apop", "auth", ENGINE_TIMEOUT_LOGIN},
    [POP3_STATE_USER] = {"user", "auth", ENGINE_TIMEOUT_LOGIN},
    [POP3_STATE_PASS] = {"pass", "auth", ENGINE_TIMEOUT_LOGIN},
    [POP3_READY] = {"ready", NULL, ENGINE_TIMEOUT_NONE},
    [POP3_PROBE] = {"probe", "stat", ENGINE_TIMEOUT_COMMAND},
    [POP3_QUITTING] = {"quitting", NULL, ENGINE_TIMEOUT_COMMAND},
    [POP3_GOODBYE] = {"goodbye", "quit", ENGINE_TIMEOUT_COMMAND},
    [POP3_CLOSED] = {"closed", "quit", ENGINE_TIMEOUT_NONE},
    [POP3_FAILED] = {"failed", NULL, ENGINE_TIMEOUT_NONE},
};
_Static_assert(ARRAY_LEN(states) == POP3_STATE_COUNT, "every state has a row");

void pop3_set_state(struct pop3_client *c, enum pop3_state state)
{
    if (c->state != POP3_FAILED)
        c->state = state;
}

static const char *client_stage(const struct engine *e)
{
    const struct pop3_client *c = pop3_of_const(e);
    if (c->state == POP3_FAILED)
        return e->fault.stage;
    return states[c->state].stage ? states[c->state].stage : pop3_command_stage(c);
}

int pop3_set_failed(struct pop3_client *c, int err)
{
    if (!c->error)
        c->error = err;
    pop3_set_state(c, POP3_FAILED);
    return c->error;
}

int pop3_fail(struct pop3_client *c, int err, enum fault_kind kind, const char *stage, const char *text)
{
    fault_set(&c->engine.fault, err, kind, stage ? stage : client_stage(&c->engine), "%s", text);
    c->engine.fault.protocol = protocol_name(PROTOCOL_POP3);
    return pop3_set_failed(c, err);
}

struct pop3_event *pop3_push_event(struct pop3_client *c, enum engine_event_type type, struct engine_request *request)
{
    struct pop3_event *ev = &c->events[c->n_events++];
    *ev = (struct pop3_event){.base = {.type = type, .request = request}};
    return ev;
}

/* --- trace --- */

/* Lines of the dialogue wait here until next() gives them out; messages are left out. When memory or room is short, lines
 * are missing: the trace is no part of the protocol. */
void pop3_trace(struct pop3_client *c, char direction, struct slice line)
{
    if (!c->config->trace || buffer_room(&c->trace) < line.len + 2)
        return;
    if (buffer_append_char(&c->trace, direction) == 0 && buffer_append_slice(&c->trace, line) == 0)
        (void) !buffer_append_char(&c->trace, '\n');
}

int pop3_end_command(struct pop3_client *c)
{
    struct buffer line;

    int r = writer_end(&c->writer);
    if (r < 0)
        return pop3_fail(c, r, r == -ENOMEM ? FAULT_INTERNAL : FAULT_INVALID_PARAMS, NULL, "the command cannot be written");
    if (!c->config->trace)
        return 0;
    buffer_init(&line, POP3_AUTH_REPLY_MAX);
    if (writer_trace(&c->writer, &line) == 0)
        pop3_trace(c, '>', buffer_slice(&line));
    buffer_done(&line);
    return 0;
}

static bool next_trace(struct pop3_client *c, struct engine_event **ret)
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
    c->trace_event = (struct pop3_event){.base = {.type = ENGINE_EVENT_TRACE,
                                                  .outgoing = all.data[0] == '>',
                                                  .data = slice_from(slice_to(all, end), 1)}};
    *ret = &c->trace_event.base;
    return true;
}

/* --- bytes in, events out --- */

static int client_feed(struct engine *e, const char *bytes, size_t len)
{
    struct pop3_client *c = pop3_of(e);
    if (c->state == POP3_FAILED)
        return c->error;
    if (c->state == POP3_HANDSHAKE && len)
        return pop3_fail(c, -EPROTO, FAULT_PROTOCOL, NULL, "bytes in clear came where TLS begins");
    return reader_feed(&c->reader, bytes, len);
}

static int reader_error(struct pop3_client *c, int r)
{
    if (r == -ENOMEM)
        return pop3_fail(c, r, FAULT_INTERNAL, NULL, "out of memory");
    if (r == -EMSGSIZE)
        return pop3_fail(c, r, FAULT_PROTOCOL, NULL, "the server's line is too long");
    return pop3_fail(c, r, FAULT_PROTOCOL, NULL, "the server's line is malformed");
}

/* A line outside requests: 1 taken, 0 none there. */
static int take_own_line(struct pop3_client *c)
{
    struct pop3_status s;
    struct slice line;

    int r = reader_line(&c->reader, &line);
    if (r <= 0)
        return r;
    pop3_trace(c, '<', line);
    if (c->state == POP3_PROBE) {
        if (!pop3_parse_status(line, &s) || !s.ok || reader_pending(&c->reader))
            return pop3_fail(c, -EPROTO, FAULT_PROTOCOL, NULL, "the server's answer to STAT is none");
        pop3_set_state(c, POP3_READY);
        return 1;
    }
    if (c->state == POP3_GOODBYE) {
        pop3_set_state(c, POP3_CLOSED);
        return 1;
    }
    r = pop3_login_line(c, line);
    return r < 0 ? r : 1;
}

static int take_something(struct pop3_client *c)
{
    switch (c->state) {
    case POP3_GREETING:
    case POP3_STATE_CAPA:
    case POP3_STATE_CAPA_LINES:
    case POP3_STATE_STLS:
    case POP3_STATE_AUTH:
    case POP3_STATE_APOP:
    case POP3_STATE_USER:
    case POP3_STATE_PASS:
    case POP3_HANDSHAKE:
    case POP3_CREDENTIAL:
    case POP3_DERIVE:
    case POP3_PROBE:
    case POP3_GOODBYE:
        return take_own_line(c);
    case POP3_READY:
    case POP3_QUITTING:
        return pop3_take_answer(c);
    case POP3_CLOSED:
    case POP3_FAILED:
    case POP3_STATE_COUNT:
        break;
    }
    /* What a server says behind its goodbye is nobody's. */
    reader_take(&c->reader, UINT64_MAX);
    return 0;
}

static int client_next(struct engine *e, struct engine_event **ret)
{
    struct pop3_client *c = pop3_of(e);

    for (;;) {
        if (next_trace(c, ret))
            return 1;
        if (c->next_event < c->n_events) {
            *ret = &c->events[c->next_event++].base;
            return 1;
        }
        c->next_event = c->n_events = 0;
        if (c->unread_given) {
            buffer_consume(&c->unread, c->unread_given);
            c->unread_given = 0;
        }
        if (c->state == POP3_FAILED)
            return c->error;
        int r = take_something(c);
        if (r < 0 && c->state != POP3_FAILED)
            reader_error(c, r);
        if (r == 0)
            return 0;
        if (c->state != POP3_FAILED)
            (void) !pop3_pump(c); /* a failure comes out when all events have been given */
    }
}

static int client_eof(struct engine *e)
{
    struct pop3_client *c = pop3_of(e);

    if (c->state == POP3_FAILED)
        return c->error;
    if (c->state == POP3_CLOSED || c->state == POP3_GOODBYE ||
        (c->state == POP3_READY && list_is_empty(&c->engine.requests) && reader_pending(&c->reader) == 0)) {
        pop3_set_state(c, POP3_CLOSED);
        return 0;
    }
    return pop3_fail(c, -ECONNRESET, FAULT_DISCONNECTED, NULL, "the server closed the connection");
}

static struct slice client_output(const struct engine *e)
{
    return writer_output(&pop3_of_const(e)->writer);
}

static void client_sent(struct engine *e, size_t len)
{
    struct pop3_client *c = pop3_of(e);
    writer_sent(&c->writer, len);
    (void) !pop3_pump(c);
}

static unsigned client_wants(const struct engine *e)
{
    const struct pop3_client *c = pop3_of_const(e);
    unsigned want = c->state == POP3_CLOSED || c->state == POP3_FAILED ? ENGINE_WANT_CLOSED : ENGINE_WANT_READ;

    if (writer_output(&c->writer).len)
        want |= ENGINE_WANT_WRITE;
    if (c->state == POP3_HANDSHAKE)
        want |= ENGINE_WANT_START_TLS;
    if (c->state == POP3_CREDENTIAL)
        want |= ENGINE_WANT_CREDENTIAL;
    if (c->state == POP3_DERIVE)
        want |= ENGINE_WANT_DERIVE;
    return want;
}

static enum engine_timeout client_timeout(const struct engine *e)
{
    const struct pop3_client *c = pop3_of_const(e);
    const struct pop3_command *cmd = pop3_head(c);
    if (!cmd)
        return states[c->state].timeout;
    return cmd->verb == POP3_QUIT && c->deletions ? ENGINE_TIMEOUT_DATA : ENGINE_TIMEOUT_COMMAND;
}

static int client_tls_started(struct engine *e, const struct engine_tls *tls)
{
    struct pop3_client *c = pop3_of(e);
    return c->state == POP3_FAILED ? c->error : pop3_login_tls_started(c, tls);
}

static int client_credential(struct engine *e, struct secret *secret)
{
    struct pop3_client *c = pop3_of(e);
    return c->state == POP3_FAILED ? c->error : pop3_login_credential(c, secret);
}

static const struct engine_derive *client_derive_job(const struct engine *e)
{
    const struct pop3_client *c = pop3_of_const(e);
    return c->state == POP3_DERIVE ? sasl_derive_job(c->sasl) : NULL;
}

static int client_derived(struct engine *e, const void *key, size_t len)
{
    struct pop3_client *c = pop3_of(e);
    return c->state == POP3_FAILED ? c->error : pop3_login_derived(c, key, len);
}

/* --- requests --- */

int pop3_client_submit(struct engine *e, struct pop3_command *command, struct fault *fault)
{
    struct pop3_client *c = pop3_of(e);

    if (c->state == POP3_FAILED) {
        *fault = e->fault;
        return c->error;
    }
    if (c->state != POP3_READY)
        return fault_set(fault, -EBUSY, FAULT_UNAVAILABLE, NULL, "the connection takes no requests now");
    int r = pop3_check_command(c, command, fault);
    if (r < 0)
        return r;
    list_append(&c->engine.requests, &command->request.link);
    c->n_requests++;
    command->request.state = REQUEST_QUEUED;
    command->written = false;
    if (command->verb == POP3_QUIT && c->deletions)
        command->request.changes = true;
    /* What goes wrong from here on is the connection's matter, and next() tells. */
    (void) !pop3_pump(c);
    return 0;
}

static int client_submit(struct engine *e, struct engine_request *request, struct fault *fault)
{
    return pop3_client_submit(e, container_of(request, struct pop3_command, request), fault);
}

static int client_withdraw(struct engine *e, struct engine_request *request)
{
    struct pop3_client *c = pop3_of(e);

    if (request->state != REQUEST_QUEUED)
        return -EBUSY;
    list_remove(&request->link);
    c->n_requests--;
    request->state = REQUEST_NEW;
    return 0;
}

static struct engine_request *client_body_request(const struct engine *e)
{
    (void) e;
    return NULL;
}

static ssize_t client_body(struct engine *e, const char *bytes, size_t len, bool last)
{
    (void) e, (void) bytes, (void) len, (void) last;
    return -EINVAL;
}

static int client_body_abort(struct engine *e)
{
    (void) e;
    return -EINVAL;
}

static int client_probe(struct engine *e)
{
    struct pop3_client *c = pop3_of(e);

    /* Before the login there is no command that proves anything. */
    if (c->state != POP3_READY || !c->logged_in || !list_is_empty(&c->engine.requests))
        return 0;
    pop3_set_state(c, POP3_PROBE);
    writer_begin(&c->writer);
    writer_raw_str(&c->writer, "STAT");
    int r = pop3_end_command(c);
    return r < 0 ? r : 1;
}

static bool client_idle(const struct engine *e)
{
    const struct pop3_client *c = pop3_of_const(e);
    return c->state == POP3_READY && list_is_empty(&c->engine.requests) && reader_pending(&c->reader) == 0 &&
           c->next_event == c->n_events && writer_output(&c->writer).len == 0;
}

static size_t client_in_flight(const struct engine *e)
{
    return pop3_of_const(e)->n_requests;
}

static int client_quit(struct engine *e)
{
    struct pop3_client *c = pop3_of(e);

    switch (c->state) {
    case POP3_READY:
        pop3_set_state(c, POP3_QUITTING);
        return pop3_pump(c);
    case POP3_GREETING:
    case POP3_STATE_CAPA:
    case POP3_STATE_CAPA_LINES:
    case POP3_STATE_STLS:
    case POP3_HANDSHAKE:
    case POP3_CREDENTIAL:
    case POP3_STATE_AUTH:
    case POP3_DERIVE:
    case POP3_STATE_APOP:
    case POP3_STATE_USER:
    case POP3_STATE_PASS:
    case POP3_PROBE:
        pop3_set_state(c, POP3_CLOSED);
        return 0;
    case POP3_FAILED:
        return c->error;
    case POP3_QUITTING:
    case POP3_GOODBYE:
    case POP3_CLOSED:
    case POP3_STATE_COUNT:
        break;
    }
    return 0;
}

static uint64_t client_login_delay_ms(const struct engine *e)
{
    return UINT64_C(1000) * pop3_of_const(e)->caps.login_delay_s;
}

static void client_free(struct engine *e)
{
    struct pop3_client *c = pop3_of(e);

    reader_done(&c->reader);
    writer_done(&c->writer);
    buffer_done(&c->caps.lines);
    buffer_done(&c->trace);
    buffer_done(&c->unread);
    pop3_ids_forget(&c->ids);
    sasl_free(c->sasl);
    secret_unref(c->secret);
    explicit_bzero(&c->tls, sizeof(c->tls));
    free(c);
}

static const struct engine_ops pop3_ops = {
    .protocol = PROTOCOL_POP3,
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
    .login_delay_ms = client_login_delay_ms,
};

struct engine *pop3_client_new(const struct engine_config *config)
{
    struct pop3_client *c = calloc(1, sizeof(*c));
    size_t line = config->max_line ? config->max_line : POP3_LINE_MAX;

    if (!c)
        return NULL;
    c->engine.ops = &pop3_ops;
    c->config = config;
    c->state = POP3_GREETING;
    reader_init(&c->reader, READER_LF_ENDS_LINE | READER_REFUSE_NUL, line, line);
    /* A bearer token in base64 is the longest thing that is ever said. */
    writer_init(&c->writer, POP3_OUTPUT_MAX + POP3_AUTH_REPLY_MAX);
    pop3_capabilities_reset(&c->caps);
    buffer_init(&c->trace, 65536);
    buffer_init(&c->unread, POP3_UNREAD_MAX);
    pop3_ids_init(&c->ids);
    list_init(&c->engine.requests);
    return &c->engine;
}

const struct pop3_capabilities *pop3_client_capabilities(const struct engine *e)
{
    return &pop3_of_const(e)->caps;
}

bool pop3_client_find(const struct engine *e, struct slice id, uint32_t *ret_number)
{
    const struct pop3_client *c = pop3_of_const(e);
    uint32_t number = 0;

    if (!c->ids.known || pop3_ids_find(&c->ids, id, &number) != 1)
        return false;
    *ret_number = number;
    return true;
}

bool pop3_client_knows_ids(const struct engine *e)
{
    return pop3_of_const(e)->ids.known;
}

bool pop3_client_may_uidl(const struct engine *e)
{
    const struct pop3_capabilities *c = &pop3_of_const(e)->caps;
    return !c->told || pop3_has(c, POP3_EXT_UIDL);
}

bool pop3_client_quit_expires(const struct engine *e)
{
    const struct pop3_client *c = pop3_of_const(e);
    return c->fetched && c->caps.expires_at_once;
}

struct slice pop3_client_unread(const struct engine *e)
{
    return buffer_slice(&pop3_of_const(e)->unread);
}

const char *pop3_client_greeting(const struct engine *e)
{
    return pop3_of_const(e)->greeting;
}
