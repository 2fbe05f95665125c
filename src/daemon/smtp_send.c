/* SPDX-License-Identifier: MIT */
#include "smtp_send.h"

#include <errno.h>
#include <stdlib.h>

#define RESULT_MAX (16u << 20)

struct smtp_send {
    struct op_exchange ox; /* first */
    struct smtp_transaction t;
    struct smtp_send_order order;
    struct smtp_recipient *recipients;
    struct fault_reply **replies; /* of refused recipients, else NULL */
    struct fault_reply final;
    struct fault refusal; /* of the transaction */
    bool done;            /* the transaction was answered */
};

static struct smtp_send *send_of(struct exchange *x)
{
    return container_of(container_of(x, struct op_exchange, x), struct smtp_send, ox);
}

static void forget_replies(struct smtp_send *s)
{
    for (size_t i = 0; s->replies && i < s->order.n_recipients; i++) {
        free(s->replies[i]);
        s->replies[i] = NULL;
    }
}

/* Everything but the object, which net or op_exchange_submit() frees. */
static void release(struct smtp_send *s)
{
    forget_replies(s);
    free(s->replies);
    free(s->recipients);
    outgoing_unref(s->order.out);
    if (s->order.text)
        body_owner_unref(s->order.text);
    idempotency_unref(s->order.record);
}

static void dispose(struct op_exchange *ox)
{
    release(container_of(ox, struct smtp_send, ox));
}

/* --- the exchange --- */

static int send_fits(const struct exchange *x, const struct session *s)
{
    (void) x;
    if (session_is_idle(s))
        return 2;
    /* Behind the body of another, but not in a queue of them: others may find an idle connection. */
    return session_depth(s) == 1 && smtp_client_may_follow(session_engine(s)) ? 1 : -1;
}

static int send_start(struct exchange *x, struct session *session, struct fault *fault)
{
    struct smtp_send *s = send_of(x);

    smtp_transaction_reset(&s->t);
    forget_replies(s);
    fault_clear(&s->refusal);
    s->done = false;
    outgoing_rewind(s->order.out);
    s->t.request.base.owner = x;
    return smtp_client_submit(session_engine(session), &s->t.request, fault);
}

static void keep_reply(struct smtp_send *s, const struct smtp_event *ev)
{
    size_t i = (size_t) (ev->recipient - s->recipients);

    if (!s->replies[i])
        s->replies[i] = malloc(sizeof(**s->replies));
    if (s->replies[i])
        smtp_reply_to_fault(&ev->reply, s->replies[i]);
}

static void send_event(struct exchange *x, struct session *session, const struct engine_event *event)
{
    struct smtp_send *s = send_of(x);
    const struct smtp_event *ev = container_of((struct engine_event *) (void *) (uintptr_t) event, struct smtp_event, base);

    (void) session;
    switch (event->type) {
    case ENGINE_EVENT_REPLY:
        if (ev->recipient && ev->recipient->verdict == SMTP_REFUSED)
            keep_reply(s, ev);
        if (ev->context == SMTP_CONTEXT_FINAL)
            smtp_reply_to_fault(&ev->reply, &s->final);
        break;
    case ENGINE_EVENT_DONE:
        s->done = true;
        if (event->fault)
            s->refusal = *event->fault;
        break;
    case ENGINE_EVENT_READY:
    case ENGINE_EVENT_DATA:
    case ENGINE_EVENT_NOTICE:
    case ENGINE_EVENT_CLOSING:
    case ENGINE_EVENT_TRACE:
        break;
    }
}

static ssize_t send_body(struct exchange *x, struct engine_request *request, const char **ret, bool *ret_last)
{
    (void) request;
    return outgoing_next(send_of(x)->order.out, ret, ret_last);
}

/* --- results --- */

static void write_rejected(struct json_writer *w, const struct smtp_send *s)
{
    static const struct fault_reply lost = {.text = "refused"};

    json_write_array_begin(w);
    for (size_t i = 0; i < s->order.n_recipients; i++) {
        if (s->recipients[i].verdict != SMTP_REFUSED)
            continue;
        json_write_object_begin(w);
        json_write_member_string(w, "address", s->recipients[i].address);
        json_write_key(w, "reply");
        rpc_write_reply(w, s->replies[i] ? s->replies[i] : &lost);
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

static void write_refused(struct json_writer *w, const struct smtp_send *s)
{
    json_write_object_begin(w);
    for (size_t i = 0; i < s->order.n_recipients; i++) {
        if (s->recipients[i].verdict != SMTP_REFUSED)
            continue;
        json_write_key_slice(w, s->recipients[i].address);
        json_write_array_begin(w);
        json_write_int(w, s->recipients[i].code);
        json_write_str(w, s->replies[i] ? s->replies[i]->text : "refused");
        json_write_array_end(w);
    }
    json_write_object_end(w);
}

static void write_result(struct json_writer *w, const struct smtp_send *s)
{
    const struct outgoing_facts *facts = outgoing_facts(s->order.out);

    json_write_object_begin(w);
    json_write_key(w, "accepted");
    json_write_array_begin(w);
    for (size_t i = 0; i < s->order.n_recipients; i++)
        if (s->recipients[i].verdict == SMTP_ACCEPTED)
            json_write_string(w, s->recipients[i].address);
    json_write_array_end(w);
    json_write_key(w, "rejected");
    write_rejected(w, s);
    json_write_key(w, "reply");
    rpc_write_reply(w, &s->final);
    json_write_key(w, "message_id");
    json_write_string_or_null(w, facts->message_id);
    json_write_member_uint(w, "size", facts->size);
    json_write_object_end(w);
}

static bool has_refused(const struct smtp_send *s)
{
    for (size_t i = 0; i < s->order.n_recipients; i++)
        if (s->recipients[i].verdict == SMTP_REFUSED)
            return true;
    return false;
}

static void send_done(struct exchange *x, const struct fault *fault)
{
    struct smtp_send *s = send_of(x);
    struct buffer result, rejected, refused;
    struct json_writer w;
    struct smtp_sent sent = {.fault = s->done ? NULL : fault};
    struct op *op = op_exchange_end(x, NULL);
    struct fault failed = {0};

    buffer_init(&result, RESULT_MAX);
    buffer_init(&rejected, RESULT_MAX);
    buffer_init(&refused, RESULT_MAX);
    if (s->done && fault_is_set(&s->refusal))
        sent.fault = &s->refusal;
    if (has_refused(s)) {
        json_writer_init(&w, &rejected);
        write_rejected(&w, s);
        if (!w.error)
            sent.rejected = buffer_slice(&rejected);
    }
    json_writer_init(&w, &refused);
    write_refused(&w, s);
    sent.refused = w.error ? SLICE("{}") : buffer_slice(&refused);
    if (!sent.fault) {
        json_writer_init(&w, &result);
        write_result(&w, s);
        if (w.error) {
            fault_set(&failed, w.error, FAULT_INTERNAL, NULL, "it was sent; the answer could not be written");
            failed.outcome = OUTCOME_DONE;
            sent.fault = &failed;
        } else {
            sent.result = buffer_slice(&result);
        }
    }
    if (s->order.record)
        idempotency_finish(s->order.record, sent.result, sent.fault, sent.rejected);
    if (op)
        s->order.finished(op, s->order.index, &sent);
    buffer_done(&result);
    buffer_done(&rejected);
    buffer_done(&refused);
    release(s);
}

static const struct exchange_ops send_ops = {
    .name = "smtp.send",
    .fits = send_fits,
    .start = send_start,
    .event = send_event,
    .body = send_body,
    .done = send_done,
};

/* --- submitting --- */

static bool is_ascii(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char) s.data[i] > 127)
            return false;
    return true;
}

static bool needs_utf8(const struct smtp_send_order *o)
{
    bool ascii = is_ascii(o->from);

    for (size_t i = 0; ascii && i < o->n_recipients; i++)
        ascii = is_ascii(o->recipients[i]);
    return !ascii || outgoing_facts(o->out)->needs_utf8;
}

static void fill_transaction(struct smtp_send *s)
{
    const struct outgoing_facts *facts = outgoing_facts(s->order.out);
    struct smtp_transaction *t = &s->t;

    smtp_transaction_init(t);
    t->from = s->order.from;
    t->recipients = s->recipients;
    t->n_recipients = s->order.n_recipients;
    for (size_t i = 0; i < t->n_recipients; i++)
        s->recipients[i] = (struct smtp_recipient){.address = s->order.recipients[i], .notify = s->order.notify};
    t->has_size = true;
    t->size = facts->size;
    t->body = facts->needs_binary ? SMTP_BODY_BINARYMIME : facts->needs_8bit ? SMTP_BODY_8BITMIME : SMTP_BODY_7BIT;
    t->smtputf8 = needs_utf8(&s->order);
    t->utf8_header = facts->needs_utf8;
    t->requiretls = s->order.requiretls;
    t->by_mode = s->order.by_mode;
    t->by_s = s->order.by_s;
    t->has_priority = s->order.has_priority;
    t->priority = s->order.priority;
    t->ret = s->order.ret;
    t->envid = s->order.envid;
}

int smtp_send_submit(struct op *op, const struct smtp_send_order *order)
{
    struct smtp_send *s = op_exchange_new(op, sizeof(*s), &send_ops);
    struct idempotency_record *record = order->record;

    s->order = *order;
    s->ox.dispose = dispose;
    outgoing_ref(order->out);
    if (order->text)
        body_owner_ref(order->text);
    if (record)
        idempotency_ref(record);
    s->recipients = calloc(order->n_recipients, sizeof(*s->recipients));
    s->replies = calloc(order->n_recipients, sizeof(struct fault_reply *));
    int r;
    if (!s->recipients || !s->replies) {
        r = fault_set(&op->fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
        release(s);
        free(s);
    } else {
        fill_transaction(s);
        s->ox.x.changes = true;
        s->ox.x.complete = true;
        r = op_exchange_submit(&s->ox, PROTOCOL_SMTP);
    }
    if (r < 0 && record)
        idempotency_finish(record, SLICE_EMPTY, &op->fault, SLICE_EMPTY);
    return r;
}
