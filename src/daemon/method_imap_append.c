/* SPDX-License-Identifier: MIT */
/* imap.append: a composed or finished message into a mailbox, once for each idempotency key. */
#include "method_imap.h"

#include "digest.h"
#include "gateway.h"
#include "idempotency.h"
#include "methods.h"
#include "outgoing.h"

#include <errno.h>
#include <stdio.h>

struct append_state {
    struct outgoing *mail;
    struct op *op;
    struct idempotency_waiter waiter;
    bool waiting;
};

struct append_call {
    struct imap_call call;
    struct outgoing *mail;
    struct idempotency_record *record; /* NULL: no key was named */
    char date[40];
    uint32_t uidvalidity, uid;
};

static struct append_call *append_of(struct imap_call *call)
{
    return container_of(call, struct append_call, call);
}

static int append_begin(struct imap_call *call, struct fault *fault)
{
    outgoing_rewind(append_of(call)->mail);
    return imap_call_command(call, &call->command, fault);
}

static ssize_t append_body(struct imap_call *call, const char **ret, bool *ret_last)
{
    return outgoing_next(append_of(call)->mail, ret, ret_last);
}

static void append_event(struct imap_call *call, const struct imap_event *e)
{
    struct append_call *a = append_of(call);
    struct imap_appenduid told;
    uint64_t uid;
    if (e->base.type == ENGINE_EVENT_DONE && slice_eq_ci(e->response.code.name, SLICE("APPENDUID")) &&
        imap_appenduid_parse(e->response.code.arguments, &told) == 0 && slice_to_u64(told.uids, UINT32_MAX, &uid)) {
        a->uidvalidity = told.uidvalidity;
        a->uid = (uint32_t) uid;
    }
}

static void write_appended(const struct append_call *a, struct json_writer *w)
{
    json_write_object_begin(w);
    if (a->uidvalidity) {
        json_write_member_uint(w, "uidvalidity", a->uidvalidity);
        json_write_member_uint(w, "uid", a->uid);
    }
    json_write_object_end(w);
}

static void append_finish(struct imap_call *call, struct op *op)
{
    struct append_call *a = append_of(call);
    write_appended(a, &op->w);
    if (a->uidvalidity)
        op_uidvalidity_remember(op, call->command.mailbox, a->uidvalidity);
    op_finish(op);
}

/* Whether somebody still waits or not: the key's record learns what became of it. */
static void append_ended(struct imap_call *call, const struct fault *fault)
{
    struct append_call *a = append_of(call);
    struct buffer result;
    struct json_writer w;
    if (!a->record)
        return;
    buffer_init(&result, 256);
    json_writer_init(&w, &result);
    if (!fault)
        write_appended(a, &w);
    idempotency_finish(a->record, fault ? SLICE_EMPTY : w.error ? SLICE("{}") : buffer_slice(&result), fault, SLICE_EMPTY);
    buffer_done(&result);
}

static void append_dispose(struct imap_call *call)
{
    struct append_call *a = append_of(call);
    outgoing_unref(a->mail);
    idempotency_unref(a->record);
}

static const struct imap_call_ops append_ops = {.name = "imap.append",
                                                .begin = append_begin,
                                                .event = append_event,
                                                .finish = append_finish,
                                                .dispose = append_dispose,
                                                .body = append_body,
                                                .ended = append_ended};

/* date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE */
static bool format_date(struct slice iso, char out[40])
{
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct mime_date d;
    if (!mime_parse_iso_date(iso, &d) || d.year < 0 || d.year > 9999)
        return false;
    int offset = d.offset_minutes < 0 ? -d.offset_minutes : d.offset_minutes;
    snprintf(out, 40, "%02d-%s-%04d %02d:%02d:%02d %c%02d%02d", d.day, months[(d.month - 1) % 12], d.year, d.hour, d.minute,
             d.second, d.offset_minutes < 0 ? '-' : '+', offset / 60 % 100, offset % 60);
    return true;
}

static int append_prepare(struct op *op)
{
    const struct api_imap_append_params *p = op->params;
    struct append_state *st = op->state;
    char date[40];
    st->op = op;
    if (op->session && op->session->readonly)
        return op_refuse(op, FAULT_READONLY, "this session is read-only");
    if (p->date.data && !format_date(p->date, date))
        return op_refuse(op, FAULT_INVALID_PARAMS, "date: must be an ISO 8601 date with a time");
    int ret = p->message ? outgoing_message(op, p->message, "message", &st->mail)
                         : outgoing_raw(op, &p->raw, "raw", &st->mail);
    return ret < 0 ? ret : OP_WAIT;
}

/* `record` (may be NULL) is the call's from here on. */
static int append_submit(struct op *op, struct idempotency_record *record)
{
    const struct api_imap_append_params *p = op->params;
    struct append_state *st = op->state;
    struct append_call *a = imap_call_new(op, sizeof(*a), &append_ops);
    struct imap_command *c = &a->call.command;
    a->mail = outgoing_ref(st->mail);
    a->record = record ? idempotency_ref(record) : NULL;
    c->kind = IMAP_APPEND;
    c->mailbox = p->mailbox;
    c->items = p->flags.items;
    c->n_items = p->flags.n;
    c->body_size = outgoing_facts(st->mail)->size;
    if (p->date.data && format_date(p->date, a->date))
        c->date = slice_of_str(a->date);
    a->call.ox.x.changes = true;
    a->call.ox.x.long_wait = true;
    int ret = imap_call_submit(&a->call);
    if (ret < 0 && record)
        idempotency_finish(record, SLICE_EMPTY, &op->fault, SLICE_EMPTY);
    idempotency_unref(record);
    return ret;
}

static uint64_t append_digest(const struct api_imap_append_params *p)
{
    uint64_t h = 1;
    digest_text(&h, p->mailbox);
    if (p->message)
        digest_message(&h, p->message);
    digest_content(&h, &p->raw);
    digest_strings(&h, &p->flags);
    digest_text(&h, p->date);
    return h;
}

static void append_go(struct op *op);

/* The first call with this key has ended, one way or the other. */
static void append_key_ready(struct idempotency_waiter *w)
{
    struct append_state *st = container_of(w, struct append_state, waiter);
    st->waiting = false;
    append_go(st->op);
}

/* IDEMPOTENCY_NEW with the record, or the op waits or has its answer. */
static int append_take_key(struct op *op, struct idempotency_record **ret)
{
    const struct api_imap_append_params *p = op->params;
    struct append_state *st = op->state;
    struct gateway *g = op->gateway;
    struct idempotency_record *record = NULL;
    if (!g->keys)
        g->keys = idempotency_new(g->loop);
    if (!g->keys)
        return op_refuse(op, FAULT_INTERNAL, "out of memory");
    const char *name = account_name(op->account);
    int ret_found = idempotency_begin(g->keys, op->peer->uid, slice_of_str(name ? name : ""), p->idempotency_key,
                                      append_digest(p), gateway_config(g)->key_lifetime_ms, &record, &op->fault);
    if (ret_found == IDEMPOTENCY_RUNNING) {
        st->waiting = true;
        st->waiter.ready = append_key_ready;
        idempotency_wait(record, &st->waiter);
    } else if (ret_found == IDEMPOTENCY_ENDED) {
        const struct idempotency_answer *answer = idempotency_answer(record);
        if (fault_is_set(&answer->fault)) {
            op_fail(op, &answer->fault);
        } else {
            json_write_raw(&op->w, answer->result);
            op_finish(op);
        }
    } else if (ret_found == IDEMPOTENCY_NEW) {
        *ret = record;
        return IDEMPOTENCY_NEW;
    }
    idempotency_unref(record);
    return ret_found;
}

static void append_go(struct op *op)
{
    const struct api_imap_append_params *p = op->params;
    struct idempotency_record *record = NULL;
    int ret = p->idempotency_key.data ? append_take_key(op, &record) : IDEMPOTENCY_NEW;
    if (ret == IDEMPOTENCY_NEW)
        ret = append_submit(op, record);
    if (ret < 0)
        op_fail(op, NULL);
}

static void append_planned(struct op *op, struct outgoing *mail, void *arg, const struct fault *fault)
{
    (void) mail;
    (void) arg;
    if (fault)
        op_fail(op, fault);
    else
        append_go(op);
}

static int append_run(struct op *op)
{
    struct append_state *st = op->state;
    const struct outgoing_plan plan = {.transport = MIME_TRANSPORT_8BIT};
    outgoing_plan(op, st->mail, &plan, append_planned, NULL);
    return OP_WAIT;
}

static void append_free(struct op *op)
{
    struct append_state *st = op->state;
    if (st->waiting)
        idempotency_wait_cancel(&st->waiter);
    outgoing_unref(st->mail);
}

const struct op_handler imap_append_handler = {
    .state_size = sizeof(struct append_state), .prepare = append_prepare, .run = append_run, .free = append_free};
