/* SPDX-License-Identifier: MIT */
/* smtp.send and smtp.sendmail: one or many mails. Each is an item that goes its own way (planned, perhaps waiting for the
 * first call with its key, sent); what becomes of it is its result, in the order asked for. */
#include "api_smtp.h"
#include "digest.h"
#include "gateway.h"
#include "methods.h"
#include "must.h"
#include "smtp_send.h"

#include <errno.h>
#include <stdlib.h>

#define DEPTH 8 /* mails of one call under way at once; pools spread them over connections */

enum item_state { ITEM_NEW, ITEM_PLANNING, ITEM_KEY, ITEM_SENDING, ITEM_ENDED };

struct item {
    struct op *op;
    size_t index;
    enum item_state state;
    struct outgoing *out;
    uint64_t digest; /* of the parameters */
    /* What the caller said; data NULL, n 0: by default. */
    struct slice from, envid, key;
    struct rpc_strings to, notify;
    enum smtp_ret ret;
    const struct api_envelope *envelope; /* may be NULL */

    struct idempotency_record *record;
    struct idempotency_waiter waiter;
    /* What became of it. */
    char *result, *rejected, *refused;
    size_t result_len, rejected_len, refused_len;
    struct fault *fault;
};

struct send_state {
    struct item *items;
    size_t n, next, under_way, ended, emitted;
    bool list, sendmail, advancing;
};

static void advance(struct op *op);

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
    }
    return h;
}

/* --- an item's end --- */

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

static void item_end(struct item *it, const struct smtp_sent *sent)
{
    struct send_state *st = it->op->state;
    int r = keep(sent->rejected, &it->rejected, &it->rejected_len);

    if (r == 0 && !sent->fault)
        r = keep(sent->result, &it->result, &it->result_len);
    if (r == 0 && st->sendmail)
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
    it->state = ITEM_ENDED;
    st->under_way--;
    st->ended++;
    it->out = outgoing_unref(it->out);
}

/* With op->fault, which is made free for the next item. */
static void item_fail(struct item *it, const struct fault *fault)
{
    struct fault copy = *fault;
    struct smtp_sent sent = {.fault = &copy};

    fault_clear(&it->op->fault);
    item_end(it, &sent);
}

/* --- sending --- */

static void item_finished(struct op *op, size_t index, const struct smtp_sent *sent)
{
    struct send_state *st = op->state;
    item_end(&st->items[index], sent);
    advance(op);
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
static int complete_envelope(struct item *it, struct smtp_send_order *order)
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

static void item_send(struct item *it);

/* The first call with this key has ended, one way or the other. */
static void key_ready(struct idempotency_waiter *w)
{
    struct item *it = container_of(w, struct item, waiter);
    struct op *op = it->op;

    it->record = idempotency_unref(it->record);
    item_send(it);
    advance(op);
}

/* IDEMPOTENCY_NEW: go on; else it waits or has its answer. */
static int take_key(struct item *it)
{
    struct op *op = it->op;
    struct gateway *g = op->gateway;
    const char *name = account_name(op->account);

    if (!g->keys)
        g->keys = idempotency_new(g->loop);
    if (!g->keys)
        return op_refuse(op, FAULT_INTERNAL, "out of memory");
    uint64_t digest = it->digest;
    digest_number(&digest, op->id); /* the same mail appended to a mailbox is another matter */
    digest_number(&digest, outgoing_digest(it->out));
    int r = idempotency_begin(g->keys, op->peer->uid, slice_of_str(name ? name : ""), it->key, digest,
                              gateway_config(g)->key_lifetime_ms, &it->record, &op->fault);
    if (r == IDEMPOTENCY_RUNNING) {
        it->state = ITEM_KEY;
        it->waiter.ready = key_ready;
        idempotency_wait(it->record, &it->waiter);
    } else if (r == IDEMPOTENCY_ENDED) {
        const struct idempotency_answer *a = idempotency_answer(it->record);
        struct smtp_sent sent = {.result = a->result,
                                 .fault = fault_is_set(&a->fault) ? &a->fault : NULL,
                                 .rejected = a->rejected};
        item_end(it, &sent);
        it->record = idempotency_unref(it->record);
    }
    return r;
}

static void take_wishes(const struct api_envelope *e, struct smtp_send_order *order)
{
    order->requiretls = e->requiretls;
    if (e->deliver_by != RPC_ABSENT) {
        order->by_mode = e->deliver_by_mode == API_BY_NOTIFY ? SMTP_BY_NOTIFY : SMTP_BY_RETURN;
        order->by_s = e->deliver_by;
    }
    order->has_priority = e->mt_priority != RPC_ABSENT;
    order->priority = order->has_priority ? (int) e->mt_priority : 0;
}

static void item_send(struct item *it)
{
    struct op *op = it->op;
    struct smtp_send_order order = {
        .out = it->out,
        .notify = smtp_notify_set(&it->notify),
        .ret = it->ret,
        .envid = it->envid,
        .text = op_text_owner(op),
        .finished = item_finished,
        .index = it->index,
    };
    int r = complete_envelope(it, &order);

    if (it->envelope)
        take_wishes(it->envelope, &order);
    if (r == 0 && it->key.data) {
        r = take_key(it);
        if (r > 0)
            return;
    }
    if (r == 0) {
        it->state = ITEM_SENDING;
        order.record = it->record;
        r = smtp_send_submit(op, &order);
        it->record = idempotency_unref(it->record);
    }
    if (r < 0)
        item_fail(it, &op->fault);
}

static void item_planned(struct op *op, struct outgoing *out, void *arg, const struct fault *fault)
{
    struct item *it = arg;

    (void) out;
    if (fault)
        item_fail(it, fault);
    else
        item_send(it);
    advance(op);
}

static void item_begin(struct item *it)
{
    struct send_state *st = it->op->state;
    struct outgoing_plan plan = {.transport = MIME_TRANSPORT_7BIT, .complete = !st->sendmail};

    st->under_way++;
    it->state = ITEM_PLANNING;
    outgoing_plan(it->op, it->out, &plan, item_planned, it);
}

/* --- the answer --- */

static void write_item(struct op *op, const struct item *it)
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

static void fail_with(struct op *op, const struct item *it)
{
    if (it->rejected)
        (void) !arena_dup_slice(&op->arena, slice_of(it->rejected, it->rejected_len), &op->rejected);
    if (!it->fault->protocol)
        it->fault->protocol = protocol_name(PROTOCOL_SMTP);
    op_fail(op, it->fault);
}

/* Of the account or the server, and of no single mail. */
static bool is_common_cause(enum fault_kind kind)
{
    return kind == FAULT_CONNECT || kind == FAULT_TLS || kind == FAULT_PROXY || kind == FAULT_AUTH || kind == FAULT_BUSY ||
           kind == FAULT_UNAVAILABLE || kind == FAULT_UNSUPPORTED_MECHANISM || kind == FAULT_CONSENT ||
           kind == FAULT_NO_SUCH_SESSION;
}

static bool all_failed_alike(const struct send_state *st)
{
    for (size_t i = 0; i < st->n; i++)
        if (!st->items[i].fault || st->items[i].fault->kind != st->items[0].fault->kind ||
            st->items[i].fault->outcome != OUTCOME_NONE)
            return false;
    return is_common_cause(st->items[0].fault->kind);
}

static void finish(struct op *op)
{
    struct send_state *st = op->state;
    struct item *first = &st->items[0];

    if (first->fault && (!st->list || (!op->stream && all_failed_alike(st)))) {
        fail_with(op, first);
        return;
    }
    if (st->list) {
        op_list_end(op);
        json_write_object_end(&op->w);
    } else if (st->sendmail) {
        json_write_object_begin(&op->w);
        json_write_key(&op->w, "refused");
        json_write_raw(&op->w, slice_of(first->refused, first->refused_len));
        json_write_object_end(&op->w);
    } else {
        write_item(op, first);
    }
    op_finish(op);
}

/* Begins what may begin, gives out what has ended in its turn, ends the op with the last. */
static void advance(struct op *op)
{
    struct send_state *st = op->state;

    /* Items can end inside item_begin(): they are seen by the loop that has begun them. */
    if (st->advancing)
        return;
    st->advancing = true;
    while (st->next < st->n && st->under_way < DEPTH)
        item_begin(&st->items[st->next++]);
    st->advancing = false;
    while (st->list && st->emitted < st->n && st->items[st->emitted].state == ITEM_ENDED) {
        op_item_begin(op);
        write_item(op, &st->items[st->emitted++]);
        if (op_item_end(op) < 0) {
            op_fail(op, NULL);
            return;
        }
    }
    if (st->ended == st->n)
        finish(op);
}

/* --- preparing --- */

static int take_envelope(struct item *it, const struct api_envelope *e)
{
    if (!e)
        return 0;
    it->envelope = e;
    it->from = e->from;
    it->to = e->to;
    it->notify = e->notify;
    it->envid = e->envid.len ? e->envid : SLICE_EMPTY;
    if (e->ret != RPC_ENUM_ABSENT)
        it->ret = e->ret == API_RET_FULL ? SMTP_RET_FULL : SMTP_RET_HDRS;
    return 0;
}

static int prepare_item(struct op *op, struct item *it, const struct api_smtp_item *p, const char *name)
{
    const char *what = p->message ? "message" : "raw";

    if (name) {
        what = arena_printf(&op->arena, "%s.%s", name, what);
        if (!what)
            return op_refuse(op, FAULT_INTERNAL, "out of memory");
    }
    if (p->idempotency_key.data) {
        it->key = p->idempotency_key;
        it->digest = digest_of(p);
    }
    int r = take_envelope(it, p->envelope);
    if (r < 0)
        return r;
    return p->message ? outgoing_message(op, p->message, what, &it->out) : outgoing_raw(op, &p->raw, what, &it->out);
}

static int allocate(struct op *op, size_t n)
{
    struct send_state *st = op->state;

    st->items = calloc(n, sizeof(*st->items));
    if (!st->items)
        return op_refuse(op, FAULT_INTERNAL, "out of memory");
    st->n = n;
    for (size_t i = 0; i < n; i++) {
        st->items[i].op = op;
        st->items[i].index = i;
    }
    return 0;
}

static int send_prepare(struct op *op)
{
    const struct api_smtp_send_params *p = op->params;
    struct send_state *st = op->state;
    const struct api_smtp_item *items = p->messages.given ? p->messages.items : &p->item;

    st->list = p->messages.given;
    if (!st->list && !p->item.message && p->item.raw.kind == RPC_CONTENT_ABSENT)
        return op_refuse(op, FAULT_INVALID_PARAMS, "message: one of message, raw and messages must be given");
    if (st->list && (p->item.envelope || p->item.idempotency_key.data))
        return op_refuse(op, FAULT_INVALID_PARAMS, "%s: with messages, each has its own",
                         p->item.envelope ? "envelope" : "idempotency_key");
    int r = allocate(op, st->list ? p->messages.n : 1);
    for (size_t i = 0; r == 0 && i < st->n; i++) {
        const char *name = st->list ? arena_printf(&op->arena, "messages[%zu]", i) : NULL;
        r = prepare_item(op, &st->items[i], &items[i], name);
    }
    return r < 0 ? r : OP_WAIT;
}

static int sendmail_prepare(struct op *op)
{
    const struct api_smtp_sendmail_params *p = op->params;
    struct send_state *st = op->state;

    st->sendmail = true;
    int r = allocate(op, 1);
    if (r < 0)
        return r;
    st->items[0].from = p->from.data ? p->from : SLICE("");
    st->items[0].to = p->to;
    r = outgoing_raw(op, &p->raw, "raw", &st->items[0].out);
    return r < 0 ? r : OP_WAIT;
}

static int send_run(struct op *op)
{
    struct send_state *st = op->state;

    if (st->list) {
        json_write_object_begin(&op->w);
        op_list_begin(op, "results");
    }
    advance(op);
    return OP_WAIT;
}

static void send_free(struct op *op)
{
    struct send_state *st = op->state;

    for (size_t i = 0; i < st->n; i++) {
        struct item *it = &st->items[i];
        if (it->state == ITEM_KEY)
            idempotency_wait_cancel(&it->waiter);
        idempotency_unref(it->record);
        outgoing_unref(it->out);
        free(it->result);
        free(it->rejected);
        free(it->refused);
        free(it->fault);
    }
    free(st->items);
}

const struct op_handler smtp_send_handler = {
    .state_size = sizeof(struct send_state), .prepare = send_prepare, .run = send_run, .free = send_free};
const struct op_handler smtp_sendmail_handler = {
    .state_size = sizeof(struct send_state), .prepare = sendmail_prepare, .run = send_run, .free = send_free};
