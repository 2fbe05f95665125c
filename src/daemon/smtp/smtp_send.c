/* SPDX-License-Identifier: MIT */
#include "smtp_send.h"

#include "gateway.h"
#include "hash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define RESULT_MAX (16u << 20)

struct smtp_group {
    unsigned refs;
    struct list sends;          /* struct smtp_send that are not done */
    const struct session *last; /* where one of them went last: for comparing only */
};

struct smtp_send {
    struct op_exchange ox; /* first */
    struct list link;      /* the group's */
    struct smtp_transaction t;
    struct smtp_send_order order;
    struct smtp_recipient *recipients;
    struct fault_reply **replies; /* of refused recipients, else NULL */
    struct fault_reply final;
    /* A server may take fewer recipients at once than there are: then the mail goes in parts, one transaction after the other. */
    size_t first, most;   /* recipient with which the part under way begins; most in a part, 0: as many as there is room for */
    bool taken;           /* a part was accepted */
    struct fault refusal; /* the first one of a part */
    struct fault unmade;  /* why the message could not be made for the server */
    struct worker_pool *cpu;
    bool wants_utf8, utf8_header; /* addresses or the header are beyond ASCII, whatever the form */
    bool done;            /* the part under way was answered */
};

static struct smtp_send *send_of(struct exchange *x)
{
    return container_of(container_of(x, struct op_exchange, x), struct smtp_send, ox);
}

struct smtp_group *smtp_group_new(void)
{
    struct smtp_group *g = calloc(1, sizeof(*g));

    if (g) {
        g->refs = 1;
        list_init(&g->sends);
    }
    return g;
}

struct smtp_group *smtp_group_unref(struct smtp_group *g)
{
    if (g && --g->refs == 0)
        free(g);
    return NULL;
}

static void forget_replies(struct smtp_send *s)
{
    for (size_t i = s->first; s->replies && i < s->order.n_recipients; i++) {
        free(s->replies[i]);
        s->replies[i] = NULL;
    }
}

/* Everything but the object, which net or op_exchange_submit() frees. */
static void release(struct smtp_send *s)
{
    s->first = 0;
    forget_replies(s);
    free(s->replies);
    free(s->recipients);
    outgoing_reform_cancel(s->order.out);
    list_remove(&s->link);
    smtp_group_unref(s->order.group);
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

#define FITS_BEST 16

static size_t rest_of(const struct smtp_send *s)
{
    return s->order.n_recipients - s->first;
}

/* Whether another of its group is on a connection, and on another than this (NULL: on any). */
static bool has_left(const struct smtp_send *send, const struct session *s)
{
    struct smtp_send *other;

    list_foreach (&send->order.group->sends, other, struct smtp_send, link)
        if (other != send && other->ox.x.session && other->ox.x.session != s)
            return true;
    return false;
}

/* A connection that takes no more is awaited to its end: the next is for those who are left. */
static bool send_waits(const struct exchange *x)
{
    const struct smtp_send *send = send_of((struct exchange *) (uintptr_t) x);
    return send->order.group && has_left(send, NULL);
}

static int send_fits(const struct exchange *x, const struct session *s)
{
    const struct smtp_send *send = send_of((struct exchange *) (uintptr_t) x);
    const struct smtp_group *g = send->order.group;
    int better = g && g->last == s ? FITS_BEST : 0;
    unsigned most = smtp_client_depth(session_engine(s));

    if ((g && has_left(send, s)) || smtp_client_room(session_engine(s), send->recipients + send->first, rest_of(send)) == 0)
        return -1;
    if (session_is_idle(s))
        return better + SMTP_FLIGHT_MAX;
    /* Behind others where that is possible, and rather where they are few. */
    return session_depth(s) < most ? better + (int) (most - session_depth(s)) : -1;
}

/* A composed message takes what this server takes: the shortest form, and a header in UTF-8 where the envelope asks for
 * SMTPUTF8 anyway. A raw one stays as it is. */
static struct outgoing_form form_for(const struct smtp_send *s, const struct engine *e)
{
    const struct smtp_capabilities *caps = smtp_client_capabilities(e);
    bool binary = smtp_has(caps, SMTP_EXT_BINARYMIME) && smtp_client_takes_chunks(e);

    return (struct outgoing_form){
        .transport = binary                              ? MIME_TRANSPORT_BINARY
                     : smtp_has(caps, SMTP_EXT_8BITMIME) ? MIME_TRANSPORT_8BIT
                                                         : MIME_TRANSPORT_7BIT,
        .utf8 = s->wants_utf8 && smtp_has(caps, SMTP_EXT_SMTPUTF8),
    };
}

static void take_facts(struct smtp_send *s)
{
    const struct outgoing_facts *facts = outgoing_facts(s->order.out);
    struct smtp_transaction *t = &s->t;

    t->has_size = true;
    t->size = facts->size;
    t->open_end = facts->open_end && !facts->needs_binary;
    t->body = facts->needs_binary ? SMTP_BODY_BINARYMIME : facts->needs_8bit ? SMTP_BODY_8BITMIME : SMTP_BODY_7BIT;
    t->only_chunked = facts->needs_binary && outgoing_suits(s->order.out, &(struct outgoing_form){.transport = MIME_TRANSPORT_7BIT});
    t->smtputf8 = s->wants_utf8;
    t->utf8_header = s->utf8_header;
}

static void reformed(void *arg, const struct fault *fault)
{
    struct smtp_send *s = arg;

    if (fault)
        s->unmade = *fault;
    exchange_prepared(&s->ox.x);
}

/* The message as the server of this connection is to have it. 0, EXCHANGE_NOT_YET, or <0 with *fault. */
static int make_message(struct smtp_send *s, struct session *session, struct fault *fault)
{
    const struct outgoing_form form = form_for(s, session_engine(session));

    if (fault_is_set(&s->unmade)) {
        *fault = s->unmade;
        return -EIO;
    }
    if (outgoing_suits(s->order.out, &form))
        return 0;
    int r = outgoing_reform(s->order.out, &form, s->cpu, reformed, s, fault);
    return r > 0 ? EXCHANGE_NOT_YET : r;
}

/* --- parts --- */

/* As many of the recipients that are left as the connection takes. */
static int submit_part(struct smtp_send *s, struct engine *e, struct fault *fault)
{
    struct smtp_transaction *t = &s->t;
    size_t n = smtp_client_room(e, s->recipients + s->first, s->most ? MIN(s->most, rest_of(s)) : rest_of(s));

    if (n == 0)
        return fault_set(fault, -EBUSY, FAULT_UNAVAILABLE, "mail", "the server takes no further mail on this connection");
    t->recipients = s->recipients + s->first;
    t->n_recipients = rest_of(s);
    smtp_transaction_reset(t);
    take_facts(s);
    forget_replies(s);
    s->done = false;
    /* Nothing is sent to some where it cannot be to others. */
    int r = n < rest_of(s) && s->first == 0 ? smtp_client_check(e, &t->request, fault) : 0;
    if (r < 0)
        return r;
    t->n_recipients = n;
    outgoing_rewind(s->order.out);
    t->request.base.owner = &s->ox.x;
    return smtp_client_submit(e, &t->request, fault);
}

static void refuse_from(struct smtp_send *s, size_t from, size_t to, const struct fault *why)
{
    struct fault_reply reply = why->reply;

    if (reply.code == 0) {
        reply = (struct fault_reply){.code = 451};
        snprintf(reply.text, sizeof(reply.text), "%s", why->text);
    }
    for (size_t i = from; i < to; i++) {
        if (s->recipients[i].verdict == SMTP_REFUSED)
            continue;
        s->recipients[i].verdict = SMTP_REFUSED;
        s->recipients[i].code = reply.code;
        free(s->replies[i]);
        s->replies[i] = malloc(sizeof(reply));
        if (s->replies[i])
            *s->replies[i] = reply;
    }
}

/* "Too many recipients" (RFC 5321 section 4.5.3.1.10, RFC 3463 X.5.3) is no word about those whom it refuses: they go with the next
 * part. How many of the part that is over are settled. */
static size_t settled(const struct smtp_send *s)
{
    size_t n = s->t.n_recipients;

    while (n > 1) {
        const struct smtp_recipient *rcpt = &s->recipients[s->first + n - 1];
        const struct fault_reply *reply = s->replies[s->first + n - 1];
        if (rcpt->verdict != SMTP_REFUSED || !reply || reply->code / 100 != 4 || strcmp(reply->enhanced, "4.5.3") != 0)
            break;
        n--;
    }
    return n;
}

static void end_part(struct smtp_send *s, const struct fault *refusal)
{
    size_t n = s->t.n_recipients;

    s->done = true;
    if (refusal) {
        /* Whoever was accepted before the message was refused gets nothing, though others may. */
        if (n < s->order.n_recipients)
            refuse_from(s, s->first, s->first + n, refusal);
        if (!fault_is_set(&s->refusal))
            s->refusal = *refusal;
    } else {
        s->taken = true;
        if (s->ox.op)
            s->ox.op->done_outcome = OUTCOME_DONE;
        size_t known = settled(s);
        s->most = known < n ? known : s->most;
        n = known;
    }
    s->first += n;
}

/* The next part, at once and on the same connection where that takes more. Nobody waits any more: no more is begun. */
static void next_part(struct smtp_send *s, struct session *session)
{
    struct engine *e = session_engine(session);
    struct fault fault = {0};

    if (rest_of(s) == 0 || !s->ox.op || smtp_client_room(e, s->recipients + s->first, rest_of(s)) == 0)
        return;
    if (submit_part(s, e, &fault) < 0)
        s->done = true; /* send_done() looks for another connection */
}

static int send_start(struct exchange *x, struct session *session, struct fault *fault)
{
    struct smtp_send *s = send_of(x);
    int r = make_message(s, session, fault);

    if (r != 0)
        return r;
    if (s->order.group)
        s->order.group->last = session;
    r = submit_part(s, session_engine(session), fault);
    if (r == 0 && s->ox.op)
        s->order.started(s->ox.op, s->order.arg, smtp_client_depth(session_engine(session)));
    return r;
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

    switch (event->type) {
    case ENGINE_EVENT_REPLY:
        if (ev->recipient && ev->recipient->verdict == SMTP_REFUSED)
            keep_reply(s, ev);
        if (ev->context == SMTP_CONTEXT_FINAL)
            smtp_reply_to_fault(&ev->reply, &s->final);
        break;
    case ENGINE_EVENT_DONE:
        end_part(s, event->fault);
        next_part(s, session);
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
    struct smtp_send *s = send_of(x);
    ssize_t n = outgoing_next(s->order.out, ret, ret_last);

    (void) request;
    if (n > 0 && s->ox.op)
        s->order.moved(s->ox.op, s->order.arg, outgoing_given(s->order.out));
    return n;
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

/* The parts that are left go over another connection: an exchange of their own, which has all that this one had. */
static bool go_on_elsewhere(struct smtp_send *s, struct op *op)
{
    struct smtp_send *next = op_exchange_new(op, sizeof(*next), s->ox.x.ops);
    struct op_exchange ox = next->ox;

    *next = *s;
    next->ox = ox;
    next->done = false;
    next->ox.x.changes = true;
    next->ox.x.complete = true;
    next->ox.x.clings = s->ox.x.clings;
    list_init(&next->link);
    if (op_exchange_submit(&next->ox, PROTOCOL_SMTP) < 0)
        return false; /* it owned nothing yet */
    next->ox.dispose = dispose;
    list_remove(&s->link);
    if (next->order.group)
        list_append(&next->order.group->sends, &next->link);
    return true;
}

/* What becomes of the parts that came to no end: `fault`, of the exchange, or what keeps them from going on. */
static const struct fault *settle_rest(struct smtp_send *s, const struct fault *fault, const struct fault *other)
{
    struct fault gone = {0};

    if (s->done && rest_of(s) == 0)
        return s->taken ? NULL : &s->refusal;
    if (!s->taken)
        return s->done ? other ? other : &s->refusal : fault;
    if (!s->done && fault && fault->outcome != OUTCOME_NONE)
        return fault;
    fault_set(&gone, -ECANCELED, FAULT_CANCELLED, "mail", "the call was over before");
    refuse_from(s, s->first, s->order.n_recipients, !s->done && fault ? fault : other ? other : &gone);
    return NULL;
}

static void send_done(struct exchange *x, const struct fault *fault)
{
    struct smtp_send *s = send_of(x);
    struct buffer result, rejected, refused;
    struct json_writer w;
    struct smtp_sent sent = {0};
    struct op *op = op_exchange_end(x, NULL);
    struct fault failed = {0}, other = {0};

    if (op && s->done && rest_of(s)) {
        if (go_on_elsewhere(s, op))
            return;
        other = op->fault;
        fault_clear(&op->fault);
    }
    sent.fault = settle_rest(s, fault, fault_is_set(&other) ? &other : NULL);

    buffer_init(&result, RESULT_MAX);
    buffer_init(&rejected, RESULT_MAX);
    buffer_init(&refused, RESULT_MAX);
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
        s->order.finished(op, s->order.arg, &sent);
    buffer_done(&result);
    buffer_done(&rejected);
    buffer_done(&refused);
    release(s);
}

static const struct exchange_ops send_ops = {
    .name = "smtp.send",
    .fits = send_fits,
    .waits = send_waits,
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
    struct smtp_transaction *t = &s->t;

    smtp_transaction_init(t);
    t->from = s->order.from;
    t->recipients = s->recipients;
    t->n_recipients = s->order.n_recipients;
    for (size_t i = 0; i < t->n_recipients; i++)
        s->recipients[i] = (struct smtp_recipient){.address = s->order.recipients[i], .notify = s->order.notify};
    s->wants_utf8 = needs_utf8(&s->order);
    s->utf8_header = outgoing_facts(s->order.out)->needs_utf8;
    t->requiretls = s->order.requiretls;
    t->by_mode = s->order.by_mode;
    t->by_s = s->order.by_s;
    t->has_priority = s->order.has_priority;
    t->priority = s->order.priority;
    t->ret = s->order.ret;
    t->envid = s->order.envid;
}

/* What was said of single recipients goes to them; what was said of nobody is a mistake. */
struct orcpt_entry {
    struct hash_node node;
    const struct rpc_map_member *member;
    bool used;
};

static int take_orcpt(struct smtp_send *s, struct op *op)
{
    const struct rpc_map *map = s->order.orcpt;
    struct hash_table table;
    struct hash_node *node;
    int r = 0;

    if (!map || map->n == 0)
        return 0;
    struct orcpt_entry *entries = calloc(map->n, sizeof(*entries));
    hash_table_init(&table);
    for (size_t i = 0; entries && r == 0 && i < map->n; i++) {
        entries[i].member = &map->items[i];
        r = hash_table_insert(&table, hash_slice(map->items[i].name), &entries[i].node);
    }
    for (size_t i = 0; entries && r == 0 && i < s->t.n_recipients; i++) {
        for (node = hash_table_find(&table, hash_slice(s->recipients[i].address)); node; node = hash_next(node)) {
            struct orcpt_entry *e = container_of(node, struct orcpt_entry, node);
            if (!slice_eq(e->member->name, s->recipients[i].address))
                continue;
            s->recipients[i].orcpt = e->member->values.items[0];
            e->used = true;
        }
    }
    if (!entries || r < 0)
        r = op_refuse(op, FAULT_INTERNAL, "out of memory");
    for (size_t i = 0; r == 0 && i < map->n; i++)
        if (!entries[i].used)
            r = op_refuse(op, FAULT_INVALID_PARAMS, "envelope.orcpt: %.*s is not among the recipients",
                          (int) MIN(map->items[i].name.len, (size_t) 100), map->items[i].name.data);
    hash_table_done(&table);
    free(entries);
    return r;
}

int smtp_send_submit(struct op *op, const struct smtp_send_order *order)
{
    struct smtp_send *s = op_exchange_new(op, sizeof(*s), &send_ops);
    struct idempotency_record *record = order->record;

    s->order = *order;
    s->ox.dispose = dispose;
    s->cpu = op->gateway->cpu;
    outgoing_ref(order->out);
    if (order->text)
        body_owner_ref(order->text);
    if (record)
        idempotency_ref(record);
    list_init(&s->link);
    if (order->group) {
        order->group->refs++;
        list_append(&order->group->sends, &s->link);
    }
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
        s->ox.x.clings = order->group;
        r = take_orcpt(s, op);
        if (r == 0) {
            r = op_exchange_submit(&s->ox, PROTOCOL_SMTP);
        } else {
            release(s);
            free(s);
        }
    }
    if (r < 0 && record)
        idempotency_finish(record, SLICE_EMPTY, &op->fault, SLICE_EMPTY);
    return r;
}
