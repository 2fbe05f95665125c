/* SPDX-License-Identifier: MIT */
/* What an IMAP session remembers, and the calls that show it: imap.response, recent, print_log, set_debuglevel, shutdown. */
#include "method_imap_session.h"

#include "api_imap_session.h"
#include "api_pop3.h"
#include "method_imap.h"
#include "methods.h"
#include "must.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOLD_MAX 65536u     /* bytes of what was told and not taken */
#define TOLD_ONE_MAX 4096u  /* of one of them */
#define LOG_LINES 32u
#define LOG_LINE_MAX 200u

struct log_line {
    bool outgoing;
    unsigned short len;
    char text[LOG_LINE_MAX];
};

struct imap_session {
    struct buffer told; /* entries, oldest first */
    struct log_line log[LOG_LINES];
    size_t n_lines; /* ever */
};

/* Before each name and its data in `told`. */
struct entry {
    unsigned short name, data;
};

static bool next_entry(struct slice *rest, struct slice *ret_name, struct slice *ret_data)
{
    struct entry e;
    if (rest->len < sizeof(e))
        return false;
    memcpy(&e, rest->data, sizeof(e));
    *ret_name = slice_of(rest->data + sizeof(e), e.name);
    *ret_data = slice_of(rest->data + sizeof(e) + e.name, e.data);
    *rest = slice_from(*rest, sizeof(e) + e.name + e.data);
    return true;
}

static void remember(struct imap_session *m, struct slice name, struct slice data)
{
    struct entry e = {(unsigned short) name.len, (unsigned short) data.len};
    size_t need = sizeof(e) + name.len + data.len;
    struct slice oldest = buffer_slice(&m->told), first, second;
    if (name.len == 0 || name.len > 256 || data.len > TOLD_ONE_MAX)
        return;
    /* Half of them at once: making room for each one alone would move all the others each time. */
    bool full = buffer_room(&m->told) < need;
    while (full && buffer_room(&m->told) < TOLD_MAX / 2 && next_entry(&oldest, &first, &second)) {
        buffer_consume(&m->told, buffer_len(&m->told) - oldest.len);
        oldest = buffer_slice(&m->told);
    }
    size_t before = buffer_len(&m->told);
    if (buffer_append(&m->told, &e, sizeof(e)) < 0 || buffer_append_slice(&m->told, name) < 0 ||
        buffer_append_slice(&m->told, data) < 0)
        buffer_truncate(&m->told, before);
}

static void remember_response(struct imap_session *m, const struct imap_event *e)
{
    const struct imap_response *r = &e->response;
    char number[24];
    if (e->fetch.is_fetch) {
        if (e->fetch.first && e->fetch.last && slice_starts(e->raw, SLICE("* ")))
            remember(m, SLICE("FETCH"), slice_from(e->raw, 2));
        return;
    }
    if (r->kind != IMAP_RESPONSE_DATA) {
        remember(m, r->code.name, r->code.arguments);
        if (r->kind == IMAP_RESPONSE_CONDITION)
            remember(m, slice_of_str(imap_status_name(r->status)), r->text);
        return;
    }
    if (r->number || r->data == IMAP_DATA_EXISTS || r->data == IMAP_DATA_RECENT) {
        snprintf(number, sizeof(number), "%u", r->number);
        remember(m, r->name, slice_of_str(number));
        return;
    }
    remember(m, r->name, slice_trim(r->text));
}

void imap_session_note(struct op_session *s, const struct imap_event *e)
{
    struct imap_session *m = s->state;
    const struct engine_request *r = e->base.request;
    enum imap_kind kind = r ? container_of(r, const struct imap_command, request)->kind : IMAP_NOOP;
    bool opens = kind == IMAP_SELECT || kind == IMAP_EXAMINE || kind == IMAP_GENERIC;
    if (!m)
        return;
    if (e->base.type == ENGINE_EVENT_NOTICE || (e->base.type == ENGINE_EVENT_REPLY && opens) || e->base.type == ENGINE_EVENT_DONE)
        remember_response(m, e);
}

void imap_session_forget(struct op_session *s)
{
    struct imap_session *m = s->state;
    if (m)
        buffer_clear(&m->told);
}

static void said_meanwhile(struct op_session *s, const struct engine_event *event)
{
    struct imap_session *m = s->state;
    if (event->type == ENGINE_EVENT_NOTICE)
        remember_response(m, (const struct imap_event *) event);
}

static void line_spoken(struct op_session *s, bool outgoing, struct slice line)
{
    struct imap_session *m = s->state;
    struct log_line *l = &m->log[m->n_lines++ % LOG_LINES];
    struct slice front = slice_to(slice_to(line, slice_find(line, '\r')), LOG_LINE_MAX);
    l->outgoing = outgoing;
    l->len = (unsigned short) front.len;
    memcpy(l->text, front.data, front.len);
}

static void session_state_free(void *state)
{
    struct imap_session *m = state;
    buffer_done(&m->told);
    free(m);
}

void imap_session_begin(struct op_session *s)
{
    struct imap_session *m = must_calloc(1, sizeof(*m));
    buffer_init(&m->told, TOLD_MAX);
    s->state = m;
    s->free_state = session_state_free;
    s->notice = said_meanwhile;
    s->trace = line_spoken;
    op_session_set_trace(s, false);
}

/* --- response --- */

static int response_run(struct op *op)
{
    const struct api_imap_response_params *p = op->params;
    struct imap_session *m = op->session->state;
    struct slice rest = buffer_slice(&m->told), name, data;
    char *code = arena_alloc(&op->arena, p->code.len + 1);
    struct buffer kept;
    if (!code)
        return op_refuse(op, FAULT_LIMIT, "out of memory");
    for (size_t i = 0; i < p->code.len; i++)
        code[i] = ascii_upper(p->code.data[i]);
    buffer_init(&kept, TOLD_MAX);
    json_write_object_begin(&op->w);
    json_write_member_string(&op->w, "code", slice_of(code, p->code.len));
    json_write_key(&op->w, "data");
    json_write_array_begin(&op->w);
    int ret = 0;
    while (ret == 0) {
        struct slice entry = rest;
        if (!next_entry(&rest, &name, &data))
            break;
        if (slice_eq_ci(name, p->code))
            json_write_string(&op->w, data);
        else
            ret = buffer_append(&kept, entry.data, entry.len - rest.len);
    }
    json_write_array_end(&op->w);
    json_write_object_end(&op->w);
    if (ret < 0) {
        buffer_done(&kept);
        return op_refuse(op, FAULT_LIMIT, "out of memory");
    }
    buffer_done(&m->told);
    m->told = kept;
    return OP_DONE;
}

const struct op_handler imap_response_handler = {.run = response_run};

/* --- recent --- */

static int recent_begin(struct imap_call *call, struct fault *fault)
{
    return imap_call_command(call, &call->command, fault);
}

static void recent_event(struct imap_call *call, const struct imap_event *e)
{
    struct op *op = call->ox.op;
    struct imap_mailbox_state box;
    if (!op || e->base.type != ENGINE_EVENT_DONE)
        return;
    imap_client_selected(imap_call_engine(call), &box);
    json_write_object_begin(&op->w);
    if (box.selected)
        json_write_member_uint(&op->w, "recent", box.recent);
    else
        json_write_member_null(&op->w, "recent");
    json_write_object_end(&op->w);
}

static void recent_finish(struct imap_call *call, struct op *op)
{
    (void) call;
    op_finish(op);
}

static const struct imap_call_ops recent_ops = {
    .name = "imap.recent", .begin = recent_begin, .event = recent_event, .finish = recent_finish};

static int recent_run(struct op *op)
{
    struct imap_call *call = imap_call_new(op, sizeof(*call), &recent_ops);
    call->command.kind = IMAP_NOOP;
    call->ox.x.reads_only = true;
    return imap_call_submit(call);
}

const struct op_handler imap_recent_handler = {.run = recent_run};

/* --- print_log, set_debuglevel, shutdown --- */

static int print_log_run(struct op *op)
{
    const struct imap_session *m = op->session->state;
    json_write_object_begin(&op->w);
    json_write_key(&op->w, "log");
    json_write_array_begin(&op->w);
    for (size_t i = m->n_lines - MIN(m->n_lines, (size_t) LOG_LINES); i < m->n_lines; i++) {
        const struct log_line *l = &m->log[i % LOG_LINES];
        json_write_object_begin(&op->w);
        json_write_member_bool(&op->w, "outgoing", l->outgoing);
        json_write_member_string(&op->w, "line", slice_of(l->text, l->len));
        json_write_object_end(&op->w);
    }
    json_write_array_end(&op->w);
    json_write_object_end(&op->w);
    return OP_DONE;
}

const struct op_handler imap_print_log_handler = {.run = print_log_run};

static int empty_result(struct op *op)
{
    json_write_object_begin(&op->w);
    json_write_object_end(&op->w);
    return OP_DONE;
}

static int set_debuglevel_run(struct op *op)
{
    const struct api_debuglevel_params *p = op->params;
    op_session_set_trace(op->session, p->level > 0);
    return empty_result(op);
}

const struct op_handler imap_set_debuglevel_handler = {.run = set_debuglevel_run};

static int shutdown_run(struct op *op)
{
    op_session_end(op->session, false);
    return empty_result(op);
}

const struct op_handler imap_shutdown_handler = {.run = shutdown_run};
