/* SPDX-License-Identifier: MIT */
#include "smtp_batch.h"

#include "methods.h"
#include "must.h"

#include <stdlib.h>

#define TEXT_MIN 8192 /* of a request's text, which is not charged by itself below that */

struct entry {
    struct list link;
    const struct api_smtp_item *wanted; /* lives in `text` */
    struct outgoing *out;               /* planned */
    struct body_owner *text;
    struct memory_charge *charge;
};

struct batch {
    struct list entries;
    size_t n;
};

static void entry_free(struct entry *e)
{
    outgoing_unref(e->out);
    body_owner_unref(e->text);
    memory_charge_free(e->charge);
    free(e);
}

static void batch_free(void *state)
{
    struct batch *b = state;
    struct entry *e;

    while ((e = list_first(&b->entries, struct entry, link))) {
        list_remove(&e->link);
        entry_free(e);
    }
    free(b);
}

static struct batch *batch_of(const struct op_session *s)
{
    return s->state;
}

size_t smtp_batch_count(const struct op_session *s)
{
    return batch_of(s) ? batch_of(s)->n : 0;
}

void smtp_batch_take(struct op_session *s, struct smtp_item *items)
{
    struct batch *b = batch_of(s);
    struct entry *e;

    while (b && (e = list_first(&b->entries, struct entry, link))) {
        list_remove(&e->link);
        b->n--;
        smtp_item_take(items, e->wanted);
        items->out = e->out;
        items->text = e->text;
        items->planned = true;
        items++;
        memory_charge_free(e->charge);
        free(e);
    }
}

/* --- smtp.add_message --- */

struct add_state {
    struct outgoing *out;
};

static int add_prepare(struct op *op)
{
    const struct api_smtp_add_message_params *p = op->params;
    struct add_state *st = op->state;

    if (smtp_batch_count(op->session) >= SMTP_BATCH_MAX) {
        op->fault.limit = "messages";
        return op_refuse(op, FAULT_LIMIT, "there are %d messages already", SMTP_BATCH_MAX);
    }
    int r = p->item.message ? outgoing_message(op, p->item.message, "message", &st->out)
                            : outgoing_raw(op, &p->item.raw, "raw", &st->out);
    return r < 0 ? r : OP_WAIT;
}

static void add_planned(struct op *op, struct outgoing *out, void *arg, const struct fault *fault)
{
    const struct api_smtp_add_message_params *p = op->params;
    struct op_session *s = op->session;

    (void) arg;
    if (fault) {
        op_fail(op, fault);
        return;
    }
    struct memory_charge *charge = op_charge(op, sizeof(struct entry) + TEXT_MIN + outgoing_memory(out));
    if (!charge) {
        op_fail(op, NULL);
        return;
    }
    if (!s->state) {
        struct batch *b = must_calloc(1, sizeof(*b));
        list_init(&b->entries);
        s->state = b;
        s->free_state = batch_free;
    }
    struct entry *e = must_calloc(1, sizeof(*e));
    e->wanted = &p->item;
    e->text = body_owner_ref(op_text_keep(op));
    e->out = outgoing_ref(out);
    e->charge = charge;
    list_append(&batch_of(s)->entries, &e->link);
    batch_of(s)->n++;
    json_write_object_begin(&op->w);
    json_write_member_uint(&op->w, "count", batch_of(s)->n);
    json_write_object_end(&op->w);
    op_finish(op);
}

static int add_run(struct op *op)
{
    const struct outgoing_plan plan = {.transport = MIME_TRANSPORT_7BIT, .complete = true};

    outgoing_plan(op, ((struct add_state *) op->state)->out, &plan, add_planned, NULL);
    return OP_WAIT;
}

static void add_free(struct op *op)
{
    outgoing_unref(((struct add_state *) op->state)->out);
}

const struct op_handler smtp_add_message_handler = {
    .state_size = sizeof(struct add_state), .prepare = add_prepare, .run = add_run, .free = add_free};
