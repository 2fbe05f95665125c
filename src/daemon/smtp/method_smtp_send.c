/* SPDX-License-Identifier: MIT */
/* smtp.send and smtp.sendmail: one or many mails. Each is an item that goes its own way; several go over one connection, in their
 * order as far as they are ready. What becomes of each is its result, in the order asked for. */
#include "api_smtp.h"
#include "methods.h"
#include "smtp_batch.h"
#include "smtp_item.h"

#include <stdlib.h>

#define AHEAD 8 /* mails of one call that are made ready, or wait for their turn, while others are sent */

struct send_state {
    struct smtp_item *items;
    size_t n;
    size_t next;       /* the first that is not begun */
    size_t oldest;     /* all before it have ended */
    size_t under_way, ended, emitted;
    size_t flight;     /* how many may be sent at once */
    struct smtp_group *group;
    bool list, sendmail, begun, advancing;
};

static void advance(struct op *op);

/* --- the answer --- */

static void fail_with(struct op *op, const struct smtp_item *it)
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
    struct smtp_item *first = &st->items[0];

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
        smtp_item_write(op, first);
    }
    op_finish(op);
}

/* --- the items --- */

static void item_changed(struct smtp_item *it)
{
    struct send_state *st = it->op->state;

    if (it->state == SMTP_ITEM_ENDED) {
        st->under_way--;
        st->ended++;
        if (it->fault)
            st->flight = 1; /* its connection may be gone: one of the others shall make the next, not each */
    }
    advance(it->op);
}

static void item_started(struct smtp_item *it, unsigned depth)
{
    struct send_state *st = it->op->state;

    if (depth == st->flight)
        return;
    st->flight = depth;
    op_again(it->op); /* not from here: the connection is about to be told what this one sends */
}

static void item_moved(struct smtp_item *it)
{
    struct send_state *st = it->op->state;
    bool all = st->next == st->n; /* the sizes of all are known */
    uint64_t given = 0, size = 0;

    if (!it->op->progress)
        return;
    for (size_t i = 0; i < st->next; i++) {
        given += st->items[i].given;
        size += st->items[i].size;
        all = all && st->items[i].state >= SMTP_ITEM_READY;
    }
    op_progress(it->op, given, all ? size : 0);
}

/* The next in order that waits for its turn; NULL: none. */
static struct smtp_item *next_ready(struct send_state *st)
{
    while (st->oldest < st->n && st->items[st->oldest].state == SMTP_ITEM_ENDED)
        st->oldest++;
    for (size_t i = st->oldest; i < st->next; i++)
        if (st->items[i].state == SMTP_ITEM_READY)
            return &st->items[i];
    return NULL;
}

static size_t count_sending(const struct send_state *st)
{
    size_t n = 0;

    for (size_t i = st->oldest; i < st->next; i++)
        n += st->items[i].state == SMTP_ITEM_SENDING;
    return n;
}

/* One thing that is due; false: nothing is. */
static bool act(struct send_state *st)
{
    struct smtp_item *it;

    if (st->next < st->n && st->under_way < AHEAD) {
        st->under_way++;
        smtp_item_begin(&st->items[st->next++]);
        return true;
    }
    it = next_ready(st);
    if (!it || count_sending(st) >= st->flight)
        return false;
    smtp_item_submit(it, st->group);
    return true;
}

/* Begins and sends what may be, gives out what has ended in its turn, ends the op with the last. */
static void advance(struct op *op)
{
    struct send_state *st = op->state;

    /* Items can change inside act(): that is seen by the loop around it. */
    if (st->advancing || op_has_ended(op))
        return;
    st->advancing = true;
    while (act(st))
        ;
    st->advancing = false;
    while (st->list && st->emitted < st->n && st->items[st->emitted].state == SMTP_ITEM_ENDED) {
        op_item_begin(op);
        smtp_item_write(op, &st->items[st->emitted++]);
        if (op_item_end(op) < 0) {
            op_fail(op, NULL);
            return;
        }
    }
    if (st->ended == st->n)
        finish(op);
}

/* --- preparing --- */

static int prepare_item(struct op *op, struct smtp_item *it, const struct api_smtp_item *p, const char *name)
{
    const char *what = p->message ? "message" : "raw";

    if (name) {
        what = arena_printf(&op->arena, "%s.%s", name, what);
        if (!what)
            return op_refuse(op, FAULT_INTERNAL, "out of memory");
    }
    smtp_item_take(it, p);
    it->complete = true;
    return p->message ? outgoing_message(op, p->message, what, &it->out) : outgoing_raw(op, &p->raw, what, &it->out);
}

static int allocate(struct op *op, size_t n)
{
    struct send_state *st = op->state;

    st->items = calloc(n, sizeof(*st->items));
    if (st->list)
        st->group = smtp_group_new();
    if (!st->items || (st->list && !st->group))
        return op_refuse(op, FAULT_INTERNAL, "out of memory");
    st->n = n;
    st->flight = 1;
    for (size_t i = 0; i < n; i++) {
        st->items[i].op = op;
        st->items[i].index = i;
        st->items[i].changed = item_changed;
        st->items[i].started = item_started;
        st->items[i].moved = item_moved;
    }
    return 0;
}

/* What was added in the session leaves it: whatever becomes of it is told here. */
static int prepare_batch(struct op *op)
{
    struct send_state *st = op->state;
    size_t n = op->session ? smtp_batch_count(op->session) : 0;

    if (n == 0)
        return op_refuse(op, FAULT_INVALID_PARAMS, "message: one of message, raw and messages must be given%s",
                         op->session ? ", or something added before" : "");
    st->list = true;
    int r = allocate(op, n);
    if (r == 0)
        smtp_batch_take(op->session, st->items);
    return r;
}

static int send_prepare(struct op *op)
{
    const struct api_smtp_send_params *p = op->params;
    struct send_state *st = op->state;
    const struct api_smtp_item *items = p->messages.given ? p->messages.items : &p->item;
    bool none = !p->messages.given && !p->item.message && p->item.raw.kind == RPC_CONTENT_ABSENT;

    st->list = p->messages.given;
    if ((st->list || none) && (p->item.envelope || p->item.idempotency_key.data))
        return op_refuse(op, FAULT_INVALID_PARAMS, none ? "%s: it belongs to message or raw" : "%s: with messages, each has its own",
                         p->item.envelope ? "envelope" : "idempotency_key");
    int r = none ? prepare_batch(op) : allocate(op, st->list ? p->messages.n : 1);
    for (size_t i = 0; !none && r == 0 && i < st->n; i++) {
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

    if (st->list && !st->begun) {
        json_write_object_begin(&op->w);
        op_list_begin(op, "results");
    }
    st->begun = true;
    advance(op);
    return OP_WAIT;
}

static void send_free(struct op *op)
{
    struct send_state *st = op->state;

    for (size_t i = 0; i < st->n; i++)
        smtp_item_done(&st->items[i]);
    free(st->items);
    smtp_group_unref(st->group);
}

const struct op_handler smtp_send_handler = {
    .state_size = sizeof(struct send_state), .prepare = send_prepare, .run = send_run, .free = send_free};
const struct op_handler smtp_sendmail_handler = {
    .state_size = sizeof(struct send_state), .prepare = sendmail_prepare, .run = send_run, .free = send_free};
