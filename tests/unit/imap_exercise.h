/* SPDX-License-Identifier: MIT */
/* Has every parser look at what an IMAP engine's event brings: shared by tests that feed it odd bytes. */
#ifndef POSTERN_IMAP_EXERCISE_H
#define POSTERN_IMAP_EXERCISE_H

#include "imap_client.h"
#include "imap_mailbox.h"

static inline void exercise_text(const struct imap_value *v)
{
    struct buffer scratch, name;
    struct slice text;
    bool odd;
    buffer_init(&scratch, 1 << 20);
    buffer_init(&name, 1 << 22);
    if (imap_value_text(v, &scratch, &text) == 0 && imap_mailbox_decode(text, &name, &odd) == 0 && !odd) {
        struct buffer wire;
        buffer_init(&wire, 1 << 24);
        int ret = imap_mailbox_encode(buffer_slice(&name), &wire);
        (void) ret;
        buffer_done(&wire);
    }
    buffer_done(&scratch);
    buffer_done(&name);
}

static inline void exercise_addresses(const struct imap_value *list)
{
    struct slice rest = list->type == IMAP_LIST ? list->bytes : SLICE_EMPTY;
    struct imap_address a;
    while (imap_address_next(&rest, &a) > 0) {
        exercise_text(&a.name);
        exercise_text(&a.mailbox);
    }
}

static inline void exercise_item(const struct imap_fetch_item *item)
{
    struct imap_envelope e;
    struct imap_body_parser parser;
    struct imap_body_part part;
    uint64_t n;
    exercise_text(&item->value);
    imap_value_number(&item->value, UINT64_MAX, &n);
    if (imap_envelope_parse(&item->value, &e) == 0) {
        exercise_text(&e.subject);
        exercise_addresses(&e.from);
        exercise_addresses(&e.bcc);
    }
    imap_body_init(&parser, &item->value);
    while (imap_body_next(&parser, &part) > 0) {
        exercise_text(&part.subtype);
        if (part.envelope.type == IMAP_LIST)
            (void) !imap_envelope_parse(&part.envelope, &e);
    }
}

static inline void exercise_event(const struct imap_event *event)
{
    struct slice rest = event->fetch.is_fetch ? event->fetch.items : event->response.text;
    struct imap_fetch_item item;
    while (event->fetch.is_fetch && imap_fetch_next(&rest, &item) > 0)
        exercise_item(&item);
    if (event->fetch.is_fetch)
        return;
    struct imap_list_data list;
    struct imap_esearch esearch;
    struct imap_appenduid append;
    struct imap_copyuid copy;
    struct imap_value name, value;
    struct slice items, word;
    struct number_range range;
    struct imap_set set;
    uint32_t n;
    if (imap_list_parse(rest, &list) == 0)
        exercise_text(&list.name);
    if (imap_status_parse(rest, &name, &items) == 0)
        while (imap_status_next(&items, &word, &value) > 0)
            ;
    if (imap_esearch_parse(rest, &esearch) == 0)
        for (struct slice all = esearch.all; imap_range_next(&all, &range) > 0;)
            ;
    for (struct slice numbers = rest; imap_search_next(&numbers, &n) > 0;)
        ;
    (void) !imap_appenduid_parse(event->response.code.arguments, &append);
    (void) !imap_copyuid_parse(event->response.code.arguments, &copy);
    imap_set_init(&set, 1000);
    (void) !imap_set_parse(&set, rest);
    imap_set_done(&set);
}

#endif
