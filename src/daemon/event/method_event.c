/* SPDX-License-Identifier: MIT */
/* event.subscribe, event.unsubscribe. */
#include "api_event.h"
#include "client.h"
#include "event.h"
#include "methods.h"
#include "op_core.h"

#include <errno.h>
#include <stdlib.h>

#define ITEMS_TEXT_MAX 256

struct subscribing {
    struct event_sub *sub; /* NULL: there is none (any more) */
};

/* What an event may say of a new message: nothing that is large, or that changes it. */
static int take_items(struct op *op, const struct rpc_strings *items, struct buffer *text)
{
    unsigned had = 0;
    for (size_t i = 0; i < items->n; i++) {
        struct slice item = items->items[i];
        enum imap_item_kind kind = imap_item_kind_of_request(item);
        bool known = kind == IMAP_ITEM_ENVELOPE || kind == IMAP_ITEM_BODYSTRUCTURE || kind == IMAP_ITEM_INTERNALDATE ||
                     kind == IMAP_ITEM_SIZE;
        if (kind == IMAP_ITEM_UID || kind == IMAP_ITEM_FLAGS || kind == IMAP_ITEM_MODSEQ)
            continue; /* said anyway */
        if (!known || !imap_item_is_valid(item))
            return op_refuse(op, FAULT_INVALID_PARAMS,
                             "`items` may name UID, FLAGS, MODSEQ, ENVELOPE, BODYSTRUCTURE, INTERNALDATE and RFC822.SIZE");
        if (had & IMAP_ITEM_BIT(kind))
            continue;
        had |= IMAP_ITEM_BIT(kind);
        if ((buffer_len(text) && buffer_append_char(text, ' ') < 0) || buffer_append_slice(text, item) < 0)
            return op_refuse(op, FAULT_LIMIT, "out of memory");
    }
    return buffer_append_char(text, '\0') < 0 ? op_refuse(op, FAULT_LIMIT, "out of memory") : 0;
}

static int take_cursor(struct op *op, struct slice text, struct slice mailbox, struct event_place *ret)
{
    switch (event_cursor_read(text, account_name(op->account), mailbox, ret)) {
    case 0:
        return 0;
    case -EPROTONOSUPPORT:
        *ret = (struct event_place){.uidvalidity = 0};
        return 0;
    case -ENOENT:
        return op_refuse(op, FAULT_INVALID_PARAMS, "`cursor` is one of another mailbox or account");
    default:
        return op_refuse(op, FAULT_INVALID_PARAMS, "`cursor` must be one that an answer or event has given");
    }
}

static int subscribe_run(struct op *op)
{
    const struct api_event_subscribe_params *p = op->params;
    struct subscribing *state = op->state;
    struct event_place place;
    struct buffer items;
    struct pool *pool;
    int ret = op_pool(op, PROTOCOL_IMAP, &pool);
    if (ret == 0 && p->cursor.data)
        ret = take_cursor(op, p->cursor, p->mailbox, &place);
    if (ret < 0)
        return ret;
    buffer_init(&items, ITEMS_TEXT_MAX);
    ret = take_items(op, &p->items, &items);
    if (ret == 0)
        ret = event_subscribe(op, op_core_of(op)->client, p->mailbox, p->cursor.data ? &place : NULL, buffer_slice(&items).data,
                              &state->sub);
    buffer_done(&items);
    return ret < 0 ? ret : OP_WAIT;
}

/* The answer is out, or will never be. */
static void subscribe_free(struct op *op)
{
    struct subscribing *state = op->state;
    if (!state->sub)
        return;
    if (state->sub->op || fault_is_set(&op->fault))
        event_sub_free(state->sub);
    else
        event_sub_open(state->sub);
}

const struct op_handler event_subscribe_handler = {
    .state_size = sizeof(struct subscribing), .run = subscribe_run, .free = subscribe_free};

static int unsubscribe_run(struct op *op)
{
    const struct api_event_unsubscribe_params *p = op->params;
    struct event_sub *s = event_sub_find(op_core_of(op)->client, p->subscription);
    if (!s)
        return op_refuse(op, FAULT_NOT_FOUND, "this connection has no such subscription");
    event_sub_free(s);
    json_write_object_begin(&op->w);
    json_write_object_end(&op->w);
    return OP_DONE;
}

const struct op_handler event_unsubscribe_handler = {.run = unsubscribe_run};
