/* SPDX-License-Identifier: MIT */
#include "imap_internal.h"

#include "hash.h"
#include "imap_mailbox.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* What a state is called in faults, and which time limit runs in it. */
static const struct {
    const char *stage;
    enum engine_timeout timeout;
} states[IMAP_STATE_COUNT] = {
    [IMAP_STATE_GREETING] = {"greeting", ENGINE_TIMEOUT_LOGIN},
    [IMAP_STATE_CAPABILITY] = {"capability", ENGINE_TIMEOUT_LOGIN},
    [IMAP_STATE_STARTTLS] = {"tls", ENGINE_TIMEOUT_LOGIN},
    [IMAP_STATE_HANDSHAKE] = {"tls", ENGINE_TIMEOUT_LOGIN},
    [IMAP_STATE_CREDENTIAL] = {"auth", ENGINE_TIMEOUT_LOGIN},
    [IMAP_STATE_LOGIN] = {"auth", ENGINE_TIMEOUT_LOGIN},
    [IMAP_STATE_AUTHENTICATE] = {"auth", ENGINE_TIMEOUT_LOGIN},
    [IMAP_STATE_DERIVE] = {"auth", ENGINE_TIMEOUT_LOGIN},
    [IMAP_STATE_CAPABILITY_AGAIN] = {"capability", ENGINE_TIMEOUT_LOGIN},
    [IMAP_STATE_ID] = {"id", ENGINE_TIMEOUT_LOGIN},
    [IMAP_STATE_ENABLE] = {"enable", ENGINE_TIMEOUT_LOGIN},
    [IMAP_STATE_COMPRESS] = {"compress", ENGINE_TIMEOUT_LOGIN},
    [IMAP_STATE_DEFLATE] = {"compress", ENGINE_TIMEOUT_LOGIN},
    [IMAP_STATE_READY] = {NULL, ENGINE_TIMEOUT_COMMAND},
    [IMAP_STATE_CHALLENGED] = {"auth", ENGINE_TIMEOUT_NONE},
    [IMAP_STATE_RAW] = {NULL, ENGINE_TIMEOUT_NONE},
    [IMAP_STATE_LOGOUT] = {"logout", ENGINE_TIMEOUT_COMMAND},
    [IMAP_STATE_CLOSING] = {NULL, ENGINE_TIMEOUT_COMMAND},
    [IMAP_STATE_CLOSED] = {"logout", ENGINE_TIMEOUT_NONE},
    [IMAP_STATE_FAILED] = {NULL, ENGINE_TIMEOUT_NONE},
};

void imap_set_state(struct imap_client *c, enum imap_state state)
{
    if (c->state == IMAP_STATE_FAILED)
        return;
    c->state = state;
    if (state == IMAP_STATE_READY) {
        buffer_fit(&c->cap_text);
        buffer_fit(&c->greeting);
        buffer_fit(&c->server_id);
        c->reader.max_line = c->config->max_line ? c->config->max_line : IMAP_LINE_MAX;
        c->reader.max_unit = c->reader.stash.max = c->reader.max_line;
    }
}

static const char *stage(const struct engine *e)
{
    const struct imap_client *c = imap_client_of(e);
    if (states[c->state].stage)
        return states[c->state].stage;
    const struct engine_request *first = list_first(&c->engine.requests, struct engine_request, link);
    return first ? imap_kind_stage(container_of((struct engine_request *) (uintptr_t) first, struct imap_command, request)
                                       ->kind)
                 : c->own_pending ? imap_kind_stage(c->own.kind)
                                  : NULL;
}

int imap_fail(struct imap_client *c, int err, enum fault_kind kind, const char *fmt, ...)
{
    char text[FAULT_TEXT_MAX];
    va_list ap;
    if (c->error)
        return c->error;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    fault_set(&c->engine.fault, err, kind, stage(&c->engine), "%s", text);
    c->engine.fault.protocol = "imap";
    imap_set_state(c, IMAP_STATE_FAILED);
    return c->error = err;
}

struct fault *imap_new_fault(struct imap_client *c, struct fault **f)
{
    free(*f);
    *f = calloc(1, sizeof(**f));
    if (!*f)
        imap_fail_io(c, -ENOMEM);
    return *f;
}

void imap_fill_reply(const struct imap_response *r, struct fault_reply *ret)
{
    *ret = (struct fault_reply){.code = 0};
    snprintf(ret->status, sizeof(ret->status), "%s", imap_status_name(r->status));
    fault_clean_text(ret->response_code, sizeof(ret->response_code), r->code.name);
    fault_clean_text(ret->text, sizeof(ret->text), r->text);
}

int imap_fail_reply(struct imap_client *c, int err, enum fault_kind kind, const struct imap_response *r)
{
    struct fault_reply reply;
    if (c->error)
        return c->error;
    imap_fill_reply(r, &reply);
    fault_set_reply(&c->engine.fault, err, kind, stage(&c->engine), &reply);
    c->engine.fault.protocol = "imap";
    imap_set_state(c, IMAP_STATE_FAILED);
    return c->error = err;
}

int imap_fail_io(struct imap_client *c, int err)
{
    if (err == -ENOMEM)
        return imap_fail(c, err, FAULT_INTERNAL, "out of memory");
    if (err == -EMSGSIZE)
        return imap_fail(c, err, FAULT_PROTOCOL, "the server's answer is longer than allowed");
    if (err == -EBADMSG)
        return imap_fail(c, err, FAULT_PROTOCOL, "the server's answer is malformed");
    return imap_fail(c, err, FAULT_INTERNAL, "the command could not be written");
}

/* Nobody who does not see what we send can tell which tag comes next. */
void imap_new_tag(struct imap_client *c, char tag[12])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    struct {
        const void *client;
        uint64_t n;
    } seed = {c, ++c->tags};
    if (c->config->tag_prefix) {
        snprintf(tag, 12, "%.4s%u", c->config->tag_prefix, (unsigned) c->tags % 1000000);
        return;
    }
    uint64_t hash = hash_bytes(&seed, sizeof(seed));
    tag[0] = 'P';
    for (unsigned i = 1; i < 9; i++, hash >>= 5)
        tag[i] = letters[hash & 31];
    tag[9] = '\0';
}

void imap_trace_written(struct imap_client *c)
{
    if (!c->config->trace)
        return;
    size_t before = buffer_len(&c->trace);
    if (writer_trace(&c->writer, &c->trace) < 0 || buffer_append_char(&c->trace, '\n') < 0)
        buffer_truncate(&c->trace, before); /* a trace is no reason to fail */
}

static void free_client(struct engine *e)
{
    struct imap_client *c = imap_client_of(e);
    reader_done(&c->reader);
    writer_done(&c->writer);
    sasl_free(c->sasl);
    imap_step_free(c->step);
    buffer_done(&c->raw);
    buffer_done(&c->cap_text);
    buffer_done(&c->greeting);
    buffer_done(&c->server_id);
    buffer_done(&c->mended);
    buffer_done(&c->box.mailbox);
    buffer_done(&c->box.flags);
    buffer_done(&c->box.permanentflags);
    buffer_done(&c->trace);
    free(c->done_fault);
    free(c->early_fault);
    free(c);
}

static int feed(struct engine *e, const char *bytes, size_t len)
{
    struct imap_client *c = imap_client_of(e);
    if (c->error)
        return c->error;
    if (c->state == IMAP_STATE_HANDSHAKE && len > 0)
        return imap_fail(c, -EPROTO, FAULT_PROTOCOL, "bytes in clear after STARTTLS was agreed");
    if (c->state == IMAP_STATE_DEFLATE && len > 0)
        return imap_fail(c, -EPROTO, FAULT_PROTOCOL, "bytes behind the agreement to compress");
    int ret = reader_feed(&c->reader, bytes, len);
    return ret < 0 ? imap_fail_io(c, ret) : 0;
}

static int eof(struct engine *e)
{
    struct imap_client *c = imap_client_of(e);
    if (c->error)
        return c->error;
    if (c->state == IMAP_STATE_LOGOUT && !c->in_fetch) {
        imap_set_state(c, IMAP_STATE_CLOSED);
        c->own_pending = false;
        return 0;
    }
    if (c->state == IMAP_STATE_CLOSED ||
        (c->state == IMAP_STATE_CLOSING && c->n_requests == 0 && reader_pending(&c->reader) == 0))
        return 0;
    return imap_fail(c, -ECONNRESET, FAULT_DISCONNECTED, "the server closed the connection");
}

/* A line of what was written, if one waits to be shown. */
static bool next_trace(struct imap_client *c, struct engine_event **ret)
{
    struct slice waiting = buffer_slice(&c->trace);
    if (waiting.len == 0)
        return false;
    if (c->event.base.type == ENGINE_EVENT_TRACE && c->event.base.outgoing && c->event.base.data.data == waiting.data) {
        buffer_consume(&c->trace, c->event.base.data.len + 1);
        waiting = buffer_slice(&c->trace);
        if (waiting.len == 0) {
            buffer_trim(&c->trace);
            return false;
        }
    }
    c->event = (struct imap_event){.base = {.type = ENGINE_EVENT_TRACE, .outgoing = true}};
    c->event.base.data = slice_to(waiting, slice_find(waiting, '\n'));
    *ret = &c->event.base;
    return true;
}

static int next(struct engine *e, struct engine_event **ret)
{
    struct imap_client *c = imap_client_of(e);
    if (next_trace(c, ret))
        return 1;
    if (c->error)
        return c->error;
    int got = imap_receive(c);
    if (got > 0)
        *ret = &c->event.base;
    return got < 0 ? c->error : got;
}

static struct slice output(const struct engine *e)
{
    return writer_output(&imap_client_of(e)->writer);
}

static void sent(struct engine *e, size_t len)
{
    struct imap_client *c = imap_client_of(e);
    writer_sent(&c->writer, len);
    if (!c->error)
        imap_pump(c);
}

/* Nothing is awaited but what the server says by itself: after a goodbye, that is nothing. */
static bool is_idling(const struct imap_client *c)
{
    const struct engine_request *first = list_first(&c->engine.requests, struct engine_request, link);
    return first && container_of((struct engine_request *) (uintptr_t) first, struct imap_command, request)->kind == IMAP_IDLE &&
           first->state == REQUEST_WRITTEN;
}

static unsigned wants(const struct engine *e)
{
    const struct imap_client *c = imap_client_of(e);
    unsigned want = writer_output(&c->writer).len > 0 ? ENGINE_WANT_WRITE : 0;
    if (c->state == IMAP_STATE_FAILED || c->state == IMAP_STATE_CLOSED)
        return want | ENGINE_WANT_CLOSED;
    if (c->state == IMAP_STATE_HANDSHAKE)
        return want | (want ? 0u : (unsigned) ENGINE_WANT_START_TLS);
    if (c->state == IMAP_STATE_DEFLATE)
        return want | (want ? 0u : (unsigned) ENGINE_WANT_START_DEFLATE);
    if (buffer_len(&c->raw) < IMAP_RAW_READ_MAX)
        want |= ENGINE_WANT_READ;
    if (c->state == IMAP_STATE_CREDENTIAL)
        want |= ENGINE_WANT_CREDENTIAL;
    if (c->state == IMAP_STATE_DERIVE)
        want |= ENGINE_WANT_DERIVE;
    if (c->state == IMAP_STATE_CLOSING && (c->n_requests == 0 || is_idling(c)))
        want |= ENGINE_WANT_CLOSED;
    if (buffer_len(&c->writer.out) < IMAP_OUTPUT_LOW && imap_request_with_body(e))
        want |= ENGINE_WANT_BODY;
    return want;
}

static enum engine_timeout timeout(const struct engine *e)
{
    const struct imap_client *c = imap_client_of(e);
    struct engine_request *r;
    if (c->state != IMAP_STATE_READY)
        return states[c->state].timeout;
    if (c->n_requests == 0 && !c->own_pending)
        return ENGINE_TIMEOUT_NONE;
    list_foreach (&c->engine.requests, r, struct engine_request, link) {
        enum imap_kind kind = imap_command_of(r)->kind;
        if (kind == IMAP_IDLE && r->state == REQUEST_WRITTEN && imap_command_of(r)->idle == IMAP_IDLE_ON)
            return ENGINE_TIMEOUT_NONE;
        if (kind == IMAP_APPEND || kind == IMAP_REPLACE || kind == IMAP_COPY || kind == IMAP_MOVE || kind == IMAP_EXPUNGE || kind == IMAP_CLOSE)
            return ENGINE_TIMEOUT_DATA;
    }
    return ENGINE_TIMEOUT_COMMAND;
}

static int tls_started(struct engine *e, const struct engine_tls *tls)
{
    struct imap_client *c = imap_client_of(e);
    if (c->error)
        return c->error;
    c->tls = *tls;
    c->tls_active = true;
    return imap_login_tls_started(c);
}

static int deflate_started(struct engine *e)
{
    struct imap_client *c = imap_client_of(e);
    return c->error ? c->error : imap_login_deflate_started(c);
}

static int credential(struct engine *e, struct secret *secret)
{
    struct imap_client *c = imap_client_of(e);
    if (c->error)
        return c->error;
    if (c->state != IMAP_STATE_CREDENTIAL)
        return -EINVAL;
    return imap_login_credential(c, secret);
}

static const struct engine_derive *derive_job(const struct engine *e)
{
    const struct imap_client *c = imap_client_of(e);
    return c->state == IMAP_STATE_DERIVE ? sasl_derive_job(c->sasl) : NULL;
}

static int derived(struct engine *e, const void *key, size_t len)
{
    struct imap_client *c = imap_client_of(e);
    if (c->error)
        return c->error;
    return c->state == IMAP_STATE_DERIVE ? imap_login_derived(c, key, len) : -EINVAL;
}

static int probe(struct engine *e)
{
    struct imap_client *c = imap_client_of(e);
    if (c->error)
        return c->error;
    if (c->state != IMAP_STATE_READY || c->n_requests > 0)
        return 0;
    if (c->own_pending)
        return 1;
    int ret = imap_write_own(c, imap_has_quirk(c, IMAP_QUIRK_NETEASE_NOOP) ? IMAP_STATUS : IMAP_NOOP);
    return ret < 0 ? ret : 1;
}

static bool idle(const struct engine *e)
{
    const struct imap_client *c = imap_client_of(e);
    bool open = c->state == IMAP_STATE_READY || c->state == IMAP_STATE_CHALLENGED || c->state == IMAP_STATE_RAW;
    return open && c->n_requests == 0 && !c->own_pending && !c->in_fetch && !c->ready_due &&
           reader_pending(&c->reader) == 0;
}

static size_t in_flight(const struct engine *e)
{
    return imap_client_of(e)->n_requests;
}

static int quit(struct engine *e)
{
    struct imap_client *c = imap_client_of(e);
    if (c->error)
        return c->error;
    struct engine_request *r;
    c->quitting = true;
    if (c->state == IMAP_STATE_READY) {
        list_foreach (&c->engine.requests, r, struct engine_request, link)
            if (imap_client_end_idle(e, imap_command_of(r)) < 0)
                return c->error;
        return imap_pump(c);
    }
    if (c->state <= IMAP_STATE_RAW)
        imap_set_state(c, IMAP_STATE_CLOSED);
    return 0;
}

static bool spent(const struct engine *e)
{
    return imap_client_of(e)->spent;
}

static const struct engine_ops ops = {
    .protocol = PROTOCOL_IMAP,
    .free = free_client,
    .feed = feed,
    .eof = eof,
    .next = next,
    .output = output,
    .sent = sent,
    .wants = wants,
    .timeout = timeout,
    .stage = stage,
    .tls_started = tls_started,
    .deflate_started = deflate_started,
    .credential = credential,
    .derive_job = derive_job,
    .derived = derived,
    .submit = imap_request_submit,
    .withdraw = imap_request_withdraw,
    .end_wait = imap_request_end_wait,
    .body_request = imap_request_with_body,
    .body = imap_request_body,
    .body_abort = imap_request_body_abort,
    .probe = probe,
    .idle = idle,
    .in_flight = in_flight,
    .quit = quit,
    .spent = spent,
};

struct engine *imap_client_new(const struct engine_config *config)
{
    struct imap_client *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->engine.ops = &ops;
    c->config = config;
    list_init(&c->engine.requests);
    reader_init(&c->reader, READER_LF_ENDS_LINE, IMAP_LOGIN_LINE_MAX, IMAP_LOGIN_LINE_MAX);
    writer_init(&c->writer, IMAP_OUTPUT_MAX);
    buffer_init(&c->cap_text, IMAP_TEXT_MAX);
    buffer_init(&c->greeting, 1024);
    buffer_init(&c->server_id, 1024);
    buffer_init(&c->mended, IMAP_TEXT_MAX);
    imap_take_quirks(c, SLICE_EMPTY);
    buffer_init(&c->box.mailbox, IMAP_TEXT_MAX);
    buffer_init(&c->box.flags, IMAP_TEXT_MAX);
    buffer_init(&c->box.permanentflags, IMAP_TEXT_MAX);
    buffer_init(&c->trace, IMAP_TEXT_MAX);
    buffer_init(&c->raw, IMAP_RAW_MAX);
    return &c->engine;
}

/* --- what is known --- */

void imap_client_selected(const struct engine *e, struct imap_mailbox_state *ret)
{
    const struct imap_client *c = imap_client_of(e);
    *ret = (struct imap_mailbox_state){.selected = false};
    if (!c->box.selected)
        return;
    *ret = (struct imap_mailbox_state){
        .selected = true,
        .readonly = c->box.readonly,
        .mailbox = buffer_slice(&c->box.mailbox),
        .uidvalidity = c->box.uidvalidity,
        .uidnext = c->box.uidnext,
        .exists = c->box.exists,
        .recent = c->box.recent,
        .highestmodseq = c->box.highestmodseq,
        .flags = buffer_slice(&c->box.flags),
        .permanentflags = buffer_slice(&c->box.permanentflags),
    };
}

void imap_client_planned(const struct engine *e, struct slice *ret_mailbox, bool *ret_readonly, bool *ret_pending)
{
    const struct imap_client *c = imap_client_of(e);
    struct engine_request *r;
    *ret_mailbox = c->box.selected ? buffer_slice(&c->box.mailbox) : SLICE_EMPTY;
    *ret_readonly = c->box.readonly;
    *ret_pending = false;
    list_foreach (&c->engine.requests, r, struct engine_request, link) {
        const struct imap_command *cmd = imap_command_of(r);
        if (cmd->kind == IMAP_SELECT || cmd->kind == IMAP_EXAMINE) {
            *ret_mailbox = cmd->mailbox;
            *ret_readonly = cmd->kind == IMAP_EXAMINE;
            *ret_pending = true;
        } else if (cmd->kind == IMAP_CLOSE || cmd->kind == IMAP_UNSELECT || cmd->kind == IMAP_GENERIC) {
            *ret_mailbox = SLICE_EMPTY;
        }
    }
}

bool imap_client_has(const struct engine *e, enum imap_cap cap)
{
    return imap_has(imap_client_of(e), cap);
}

bool imap_client_offers(const struct engine *e, struct slice name)
{
    struct slice rest = imap_client_capabilities(e);
    while (rest.len)
        if (slice_eq_ci(imap_word_next(&rest), name))
            return true;
    return false;
}

bool imap_client_enabled(const struct engine *e, enum imap_cap cap)
{
    return imap_client_of(e)->enabled & IMAP_CAP_BIT(cap);
}

bool imap_client_speaks_rev2(const struct engine *e)
{
    return imap_client_of(e)->rev2;
}

bool imap_client_utf8(const struct engine *e)
{
    return imap_client_of(e)->utf8;
}

uint64_t imap_client_append_limit(const struct engine *e)
{
    return imap_client_of(e)->append_limit;
}

uint64_t imap_client_message_limit(const struct engine *e)
{
    return imap_client_of(e)->message_limit;
}

struct slice imap_client_capabilities(const struct engine *e)
{
    return buffer_slice(&imap_client_of(e)->cap_text);
}

struct imap_quirks imap_client_quirks(const struct engine *e)
{
    return imap_client_of(e)->quirks;
}

struct slice imap_client_greeting(const struct engine *e)
{
    return buffer_slice(&imap_client_of(e)->greeting);
}

uint64_t imap_client_literal_left(const struct engine *e)
{
    return imap_client_of(e)->literal_left;
}
