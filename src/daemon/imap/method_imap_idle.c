/* SPDX-License-Identifier: MIT */
/* imap.idle: a session listens to the server for a while. One exchange, which asks again before servers lose patience. */
#include "method_imap.h"

#include "gateway.h"
#include "methods.h"

#include <stdlib.h>

#define IDLE_DEFAULT_MS 60000
#define IDLE_GATHER_MS 50   /* what comes together is told together */
#define IDLE_GRACE_MS 30000 /* for the server to answer DONE */

struct idle_call {
    struct op_exchange ox; /* first */
    struct imap_command command;
    struct session *session; /* while a command is under way */
    struct loop_timer timer;
    uint64_t until_ms, renew_ms;
    bool listed, heard;
    struct fault fault;
};

static struct idle_call *idle_of(const struct exchange *x)
{
    return container_of((struct exchange *) (uintptr_t) x, struct idle_call, ox.x);
}

static uint64_t now_ms(const struct idle_call *c)
{
    return loop_now_ms(c->ox.loop);
}

/* --- what the server says --- */

static void write_messages(struct json_writer *w, struct slice items)
{
    struct imap_fetch_item item;
    uint64_t n;
    while (imap_fetch_next(&items, &item) > 0) {
        if (item.kind == IMAP_ITEM_UID && imap_value_number(&item.value, UINT32_MAX, &n)) {
            json_write_member_uint(w, "uid", n);
        } else if (item.kind == IMAP_ITEM_FLAGS && item.value.type == IMAP_LIST) {
            json_write_key(w, "flags");
            imap_json_flags(w, item.value.bytes);
        } else if (item.kind == IMAP_ITEM_MODSEQ && slice_to_u64(slice_trim(item.value.bytes), INT64_MAX, &n)) {
            json_write_member_uint(w, "modseq", n);
        }
    }
}

static void write_response(struct json_writer *w, const struct imap_event *e)
{
    const struct imap_response *r = &e->response;
    bool numbered = r->data == IMAP_DATA_EXISTS || r->data == IMAP_DATA_RECENT || r->data == IMAP_DATA_EXPUNGE;
    json_write_object_begin(w);
    if (e->fetch.is_fetch) {
        json_write_member_str(w, "name", "FETCH");
        json_write_member_uint(w, "number", e->fetch.number);
        write_messages(w, e->fetch.items);
    } else if (r->kind == IMAP_RESPONSE_CONDITION) {
        json_write_member_str(w, "name", imap_status_name(r->status));
        if (r->code.name.len)
            json_write_member_string(w, "code", r->code.name);
        json_write_member_string(w, "text", r->text);
    } else {
        json_write_member_string(w, "name", r->name);
        if (numbered)
            json_write_member_uint(w, "number", r->number);
        else
            json_write_member_string(w, "text", slice_trim(r->text));
    }
    json_write_object_end(w);
}

static void list_begin(struct idle_call *c, struct op *op)
{
    if (c->listed)
        return;
    c->listed = true;
    json_write_object_begin(&op->w);
    op_list_begin(op, "responses");
}

static void heard(struct idle_call *c, const struct imap_event *e)
{
    struct op *op = c->ox.op;
    if (!op)
        return;
    list_begin(c, op);
    op_item_begin(op);
    write_response(&op->w, e);
    if (op_item_end(op) < 0) {
        op_fail(op, NULL);
        return;
    }
    if (!c->heard && !op->stream) {
        c->until_ms = MIN(c->until_ms, now_ms(c) + IDLE_GATHER_MS);
        loop_timer_set_at(&c->timer, c->until_ms);
    }
    c->heard = true;
}

/* --- its course --- */

static int listen(struct idle_call *c, struct fault *fault)
{
    c->command = (struct imap_command){.kind = IMAP_IDLE, .request.owner = &c->ox.x};
    const struct imap_quirks quirks = imap_client_quirks(session_engine(c->session));
    uint64_t patience = imap_quirks_idle_ms(&quirks);
    c->renew_ms = c->renew_ms ? MIN(c->renew_ms, patience) : patience == UINT64_MAX ? 0 : patience;
    uint64_t now = now_ms(c), last = c->renew_ms ? MIN(c->until_ms, now + c->renew_ms) : c->until_ms;
    int r = imap_client_submit(session_engine(c->session), &c->command, fault);
    if (r == 0)
        loop_timer_set_at(&c->timer, MAX(last, now + 1));
    return r;
}

static void time_over(void *arg)
{
    struct idle_call *c = arg;
    struct engine_request *r = &c->command.request;
    if (!c->session || r->state == REQUEST_NEW || r->state == REQUEST_ANSWERED)
        return;
    session_end_wait(c->session, r);
}

static int start(struct exchange *x, struct session *s, struct fault *fault)
{
    struct idle_call *c = idle_of(x);
    c->session = s;
    return listen(c, fault);
}

static void event(struct exchange *x, struct session *s, const struct engine_event *base)
{
    struct idle_call *c = idle_of(x);
    const struct imap_event *e = (const struct imap_event *) base;
    c->session = s;
    if (base->type == ENGINE_EVENT_NOTICE || base->type == ENGINE_EVENT_REPLY)
        heard(c, e);
    if (base->type != ENGINE_EVENT_DONE)
        return;
    c->session = NULL;
    if (base->fault) {
        c->fault = *base->fault;
    } else if (c->ox.op && !op_has_ended(c->ox.op) && now_ms(c) < c->until_ms) {
        c->session = s;
        if (listen(c, &c->fault) < 0)
            c->session = NULL;
    }
}

static void done(struct exchange *x, const struct fault *fault)
{
    struct idle_call *c = idle_of(x);
    loop_timer_done(&c->timer);
    struct op *op = op_exchange_end(x, fault && fault_is_set(fault) ? fault : &c->fault);
    if (!op)
        return;
    if (fault_is_set(&op->fault)) {
        op_fail(op, NULL);
        return;
    }
    list_begin(c, op);
    op_list_end(op);
    json_write_object_end(&op->w);
    op_finish(op);
}

static const struct exchange_ops idle_ops = {.name = "imap.idle", .start = start, .event = event, .done = done};

static void dispose(struct op_exchange *ox)
{
    loop_timer_done(&idle_of(&ox->x)->timer);
}

static int idle_run(struct op *op)
{
    struct session *net = op_session_net(op->session);
    struct idle_call *c = op_exchange_new(op, sizeof(*c), &idle_ops);
    uint64_t lasts = op->common->timeout_ms ? op->common->timeout_ms : IDLE_DEFAULT_MS;
    c->ox.dispose = dispose;
    /* That its time is over is no failure here. */
    c->until_ms = loop_now_ms(op->gateway->loop) + MIN(lasts, (uint64_t) INT32_MAX);
    op_set_deadline(op, c->until_ms + IDLE_GRACE_MS);
    c->ox.x.deadline_ms = c->ox.x.queue_deadline_ms = op->deadline_ms;
    c->ox.x.reads_only = true;
    if (net)
        c->renew_ms = pool_endpoint(op->session->lease.pool)->idle_renew_ms;
    if (loop_timer_init(&c->timer, op->gateway->loop, time_over, c) < 0) {
        free(c);
        return op_refuse(op, FAULT_INTERNAL, "out of memory");
    }
    int r = op_exchange_submit(&c->ox, PROTOCOL_IMAP);
    return r < 0 ? r : OP_WAIT;
}

const struct op_handler imap_idle_handler = {.run = idle_run};
