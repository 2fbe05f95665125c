/* SPDX-License-Identifier: MIT */
/* More of new messages than their flags: the items that subscribers asked for, as JSON, by UID. */
#include "event.h"
#include "method_imap.h"

#include <errno.h>
#include <stdlib.h>

void event_details_init(struct event_details *d)
{
    *d = (struct event_details){.n = 0};
    buffer_init(&d->text, EVENT_ROUND_TEXT);
}

void event_details_done(struct event_details *d)
{
    free(d->messages);
    buffer_done(&d->text);
}

void event_details_clear(struct event_details *d)
{
    event_details_done(d);
    event_details_init(d);
}

static int write_detail(struct imap_json *json, struct json_writer *w, const struct imap_fetch_item *item)
{
    uint64_t n;
    switch (item->kind) {
    case IMAP_ITEM_ENVELOPE:
        json_write_key(w, "envelope");
        return imap_json_envelope(json, w, &item->value);
    case IMAP_ITEM_BODYSTRUCTURE:
        json_write_key(w, "bodystructure");
        return imap_json_bodystructure(json, w, &item->value);
    case IMAP_ITEM_INTERNALDATE:
        json_write_key(w, "internaldate");
        return imap_value_is_string(&item->value) ? imap_json_date(w, item->value.bytes) : -EBADMSG;
    case IMAP_ITEM_SIZE:
        if (!imap_value_number(&item->value, INT64_MAX, &n))
            return -EBADMSG;
        json_write_member_uint(w, "size", n);
        return 0;
    case IMAP_ITEM_UID:
    case IMAP_ITEM_FLAGS:
    case IMAP_ITEM_MODSEQ:
    case IMAP_ITEM_SECTION:
    case IMAP_ITEM_OTHER:
    case IMAP_ITEM_EXTENSION:
    case IMAP_ITEM_KIND_COUNT:
        break;
    }
    return 0;
}

int event_details_take(struct event_details *d, struct imap_json *json, struct slice items, bool *ret_overflow)
{
    struct imap_fetch_item item;
    struct json_writer w;
    size_t at = buffer_len(&d->text);
    uint64_t uid = 0;
    if (d->n == d->cap) {
        size_t cap = d->cap ? d->cap * 2 : 16;
        struct event_message *messages = realloc(d->messages, cap * sizeof(*messages));
        if (!messages)
            return -ENOMEM;
        d->messages = messages;
        d->cap = cap;
    }
    imap_json_reset(json);
    json_writer_init(&w, &d->text);
    json_write_object_begin(&w);
    size_t begin = buffer_len(&d->text);
    while (imap_fetch_next(&items, &item) > 0 && !w.error) {
        struct json_writer before = w;
        size_t len = buffer_len(&d->text);
        if (item.kind == IMAP_ITEM_UID) {
            if (!imap_value_number(&item.value, UINT32_MAX, &uid))
                uid = 0;
        } else if (write_detail(json, &w, &item) < 0) {
            buffer_truncate(&d->text, len); /* left out: imap.fetch tells what is wrong with it */
            w = before;
        }
    }
    if (w.error == -ENOMEM)
        return w.error;
    if (w.error)
        *ret_overflow = true;
    if (w.error || uid == 0 || d->n > EVENT_ROUND_MESSAGES) {
        buffer_truncate(&d->text, at);
        return 0;
    }
    d->messages[d->n++] =
        (struct event_message){.uid = (uint32_t) uid, .at = (uint32_t) begin, .len = (uint32_t) (buffer_len(&d->text) - begin)};
    return 0;
}

static int detail_order(const void *a, const void *b)
{
    const struct event_message *x = a, *y = b;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

void event_details_sort(struct event_details *d)
{
    if (d->n > 1)
        qsort(d->messages, d->n, sizeof(*d->messages), detail_order);
}
