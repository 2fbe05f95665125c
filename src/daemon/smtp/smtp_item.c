/* SPDX-License-Identifier: MIT */
#include "smtp_item.h"

#include "digest.h"
#include "gateway.h"
#include "must.h"

#include <errno.h>
#include <stdlib.h>

/* --- its end --- */

static int keep(const struct slice s, char **ret, size_t *ret_len)
{
    if (!s.data)
        return 0;
    *ret = malloc(s.len + 1);
    if (!*ret)
        return -ENOMEM;
    memcpy(*ret, s.data, s.len);
    *ret_len = s.len;
    return 0;
}

static void item_end(struct smtp_item *it, const struct smtp_sent *sent)
{
    int r = keep(sent->rejected, &it->rejected, &it->rejected_len);

    if (r == 0 && !sent->fault)
        r = keep(sent->result, &it->result, &it->result_len);
    if (r == 0)
        r = keep(sent->refused, &it->refused, &it->refused_len);
    if (sent->fault || r < 0) {
        it->fault = must_calloc(1, sizeof(*it->fault));
        if (sent->fault)
            *it->fault = *sent->fault;
        else
            fault_set(it->fault, r, FAULT_INTERNAL, NULL, "out of memory");
    }
    if (!sent->fault) {
        if (it->fault)
            it->fault->outcome = OUTCOME_DONE;
        it->op->done_outcome = OUTCOME_DONE;
    }
    it->state = SMTP_ITEM_ENDED;
    it->out = outgoing_unref(it->out);
    it->changed(it);
}

/* With op->fault, which is made free for the next item. */
static void item_fail(struct smtp_item *it, const struct fault *fault)
{
    struct fault copy = *fault;
    struct smtp_sent sent = {.fault = &copy};

    fault_clear(&it->op->fault);
    item_end(it, &sent);
}

void smtp_item_write(struct op *op, const struct smtp_item *it)
{
    const struct rpc_fault_context context = {.account = slice_of_str(account_name(op->account)),
                                              .rejected = slice_of(it->rejected, it->rejected_len)};
    if (!it->fault) {
        json_write_raw(&op->w, slice_of(it->result, it->result_len));
        return;
    }
    json_write_object_begin(&op->w);
    json_write_key(&op->w, "error");
    rpc_write_fault(&op->w, it->fault, &context);
    json_write_object_end(&op->w);
}

void smtp_item_done(struct smtp_item *it)
{
    if (it->state == SMTP_ITEM_KEY) {
        idempotency_wait_cancel(&it->waiter);
    } else if (it->record) {
        /* Its turn has not come: the key is free again. */
        struct fault fault = {0};
        fault_set(&fault, -ECANCELED, FAULT_CANCELLED, NULL, "cancelled");
        idempotency_finish(it->record, SLICE_EMPTY, &fault, SLICE_EMPTY);
    }
    idempotency_unref(it->record);
    outgoing_unref(it->out);
    body_owner_unref(it->text);
    free(it->result);
    free(it->rejected);
    free(it->refused);
    free(it->fault);
}

/* --- what the caller said --- */

/* Two calls with one key must mean the same. */
static uint64_t digest_of(const struct api_smtp_item *p)
{
    uint64_t h = 0;

    if (p->message)
        digest_message(&h, p->message);
    digest_content(&h, &p->raw);
    if (p->envelope) {
        digest_text(&h, p->envelope->from);
        digest_strings(&h, &p->envelope->to);
        digest_strings(&h, &p->envelope->notify);
        digest_number(&h, (uint64_t) p->envelope->ret);
        digest_text(&h, p->envelope->envid);
        digest_number(&h, p->envelope->requiretls);
        digest_number(&h, (uint64_t) p->envelope->deliver_by);
        digest_number(&h, (uint64_t) p->envelope->deliver_by_mode);
        digest_number(&h, (uint64_t) p->envelope->mt_priority);
        for (size_t i = 0; i < p->envelope->orcpt.n; i++) {
            digest_text(&h, p->envelope->orcpt.items[i].name);
            digest_strings(&h, &p->envelope->orcpt.items[i].values);
        }
    }
    return h;
}

void smtp_item_take(struct smtp_item *it, const struct api_smtp_item *p)
{
    const struct api_envelope *e = p->envelope;

    if (p->idempotency_key.data) {
        it->key = p->idempotency_key;
        it->digest = digest_of(p);
    }
    if (!e)
        return;
    it->envelope = e;
    it->from = e->from;
    it->to = e->to;
    it->notify = e->notify;
    it->envid = e->envid.len ? e->envid : SLICE_EMPTY;
    if (e->ret != RPC_ENUM_ABSENT)
        it->ret = e->ret == API_RET_FULL ? SMTP_RET_FULL : SMTP_RET_HDRS;
}

unsigned smtp_notify_set(const struct rpc_strings *names)
{
    static const struct {
        struct slice name;
        unsigned bit;
    } rows[] = {{{"NEVER", 5}, SMTP_NOTIFY_NEVER},
                {{"SUCCESS", 7}, SMTP_NOTIFY_SUCCESS},
                {{"FAILURE", 7}, SMTP_NOTIFY_FAILURE},
                {{"DELAY", 5}, SMTP_NOTIFY_DELAY}};
    unsigned set = 0;

    for (size_t i = 0; i < names->n; i++)
        for (size_t k = 0; k < ARRAY_LEN(rows); k++)
            if (slice_eq_ci(names->items[i], rows[k].name))
                set |= rows[k].bit;
    return set;
}

/* Who sends and who receives, where the caller has not said so. */
static int complete_envelope(const struct smtp_item *it, struct smtp_send_order *order)
{
    const struct outgoing_facts *facts = outgoing_facts(it->out);
    const struct account_config *account = account_config(it->op->account);
    struct op *op = it->op;

    order->from = it->from.data ? it->from : facts->from.data ? facts->from : slice_of_str(account->email);
    order->recipients = it->to.n ? it->to.items : facts->recipients;
    order->n_recipients = it->to.n ? it->to.n : facts->n_recipients;
    if (!order->from.data)
        return op_refuse(op, FAULT_BAD_MESSAGE, "there is no sender: neither in the envelope nor in the message");
    if (order->n_recipients == 0)
        return op_refuse(op, FAULT_BAD_MESSAGE, "there is no recipient: neither in the envelope nor in the message");
    int r = access_check_sender(account, op->peer, "envelope sender", order->from, &op->fault);
    for (size_t i = 0; r == 0 && i < facts->n_authors; i++)
        r = access_check_sender(account, op->peer, "From or Sender", facts->authors[i], &op->fault);
    return r;
}

static void take_wishes(const struct api_envelope *e, struct smtp_send_order *order)
{
    order->orcpt = &e->orcpt;
    order->requiretls = e->requiretls;
    if (e->deliver_by != RPC_ABSENT) {
        order->by_mode = e->deliver_by_mode == API_BY_NOTIFY ? SMTP_BY_NOTIFY : SMTP_BY_RETURN;
        order->by_s = e->deliver_by;
    }
    order->has_priority = e->mt_priority != RPC_ABSENT;
    order->priority = order->has_priority ? (int) e->mt_priority : 0;
}

/* --- on its way --- */

static void item_ready(struct smtp_item *it)
{
    it->state = SMTP_ITEM_READY;
    it->size = outgoing_facts(it->out)->size;
    it->changed(it);
}

static void seek_key(struct smtp_item *it);

/* The first call with this key has ended, one way or the other. */
static void key_ready(struct idempotency_waiter *w)
{
    struct smtp_item *it = container_of(w, struct smtp_item, waiter);

    it->record = idempotency_unref(it->record);
    seek_key(it);
}

/* IDEMPOTENCY_NEW: go on; else it waits or has its answer. */
static int take_key(struct smtp_item *it)
{
    struct op *op = it->op;
    struct gateway *g = op->gateway;
    const char *name = account_name(op->account);

    if (!g->keys)
        g->keys = idempotency_new(g->loop);
    if (!g->keys)
        return op_refuse(op, FAULT_INTERNAL, "out of memory");
    uint64_t digest = it->digest;
    digest_number(&digest, RPC_SMTP_SEND); /* the same mail appended to a mailbox is another matter */
    digest_number(&digest, outgoing_digest(it->out));
    int r = idempotency_begin(g->keys, op->peer->uid, slice_of_str(name ? name : ""), it->key, digest,
                              gateway_config(g)->key_lifetime_ms, &it->record, &op->fault);
    if (r == IDEMPOTENCY_RUNNING) {
        it->state = SMTP_ITEM_KEY;
        it->waiter.ready = key_ready;
        idempotency_wait(it->record, &it->waiter);
        it->changed(it);
    } else if (r == IDEMPOTENCY_ENDED) {
        const struct idempotency_answer *a = idempotency_answer(it->record);
        struct smtp_sent sent = {.result = a->result,
                                 .fault = fault_is_set(&a->fault) ? &a->fault : NULL,
                                 .rejected = a->rejected};
        struct idempotency_record *record = it->record;
        it->record = NULL;
        item_end(it, &sent);
        idempotency_unref(record);
    }
    return r;
}

static void seek_key(struct smtp_item *it)
{
    /* What cannot be sent at all takes no key. */
    struct smtp_send_order order = {0};
    int r = complete_envelope(it, &order);

    if (r == 0 && it->key.data)
        r = take_key(it);
    if (r < 0)
        item_fail(it, &it->op->fault);
    else if (r == 0)
        item_ready(it);
}

static void item_planned(struct op *op, struct outgoing *out, void *arg, const struct fault *fault)
{
    struct smtp_item *it = arg;

    (void) op, (void) out;
    if (fault)
        item_fail(it, fault);
    else
        seek_key(it);
}

void smtp_item_begin(struct smtp_item *it)
{
    const struct outgoing_plan plan = {.transport = MIME_TRANSPORT_7BIT, .complete = it->complete};

    it->state = SMTP_ITEM_PLANNING;
    if (it->planned)
        seek_key(it);
    else
        outgoing_plan(it->op, it->out, &plan, item_planned, it);
}

static void send_finished(struct op *op, void *arg, const struct smtp_sent *sent)
{
    (void) op;
    item_end(arg, sent);
}

static void send_started(struct op *op, void *arg, unsigned depth)
{
    struct smtp_item *it = arg;

    (void) op;
    it->size = outgoing_facts(it->out)->size; /* as this server gets it */
    it->started(it, depth);
}

static void send_moved(struct op *op, void *arg, uint64_t given)
{
    struct smtp_item *it = arg;

    (void) op;
    it->given = given;
    it->moved(it);
}

void smtp_item_submit(struct smtp_item *it, struct smtp_group *group)
{
    struct op *op = it->op;
    struct smtp_send_order order = {
        .out = it->out,
        .notify = smtp_notify_set(&it->notify),
        .ret = it->ret,
        .envid = it->envid,
        .text = it->text ? it->text : op_text_owner(op),
        .group = group,
        .record = it->record,
        .finished = send_finished,
        .started = send_started,
        .moved = send_moved,
        .arg = it,
    };
    int r = complete_envelope(it, &order);

    if (it->envelope)
        take_wishes(it->envelope, &order);
    it->state = SMTP_ITEM_SENDING;
    if (r == 0)
        r = smtp_send_submit(op, &order);
    else if (it->record)
        idempotency_finish(it->record, SLICE_EMPTY, &op->fault, SLICE_EMPTY);
    it->record = idempotency_unref(it->record); /* it is finished by what was submitted */
    if (r < 0)
        item_fail(it, &op->fault);
}
