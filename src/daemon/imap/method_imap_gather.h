/* SPDX-License-Identifier: MIT */
/* Messages as sorting and threading on this side need them, from what FETCH answers. */
#ifndef POSTERN_METHOD_IMAP_GATHER_H
#define POSTERN_METHOD_IMAP_GATHER_H

#include "imap_client.h"
#include "mime_text.h"
#include "mime_thread.h"

#define GATHER_MESSAGES_MAX 500000u
#define GATHER_BYTES_MAX (64u * 1024 * 1024)

/* Not to be moved. */
struct gather {
    unsigned keys; /* 1u << enum mime_sort_key: what is needed */
    bool threads;  /* ids and references are needed too */
    bool numbers;  /* messages are named by number */
    struct arena arena; /* what lasts */
    struct arena passing; /* emptied with each message */
    struct mime_decoder decoder;
    struct buffer scratch, section;
    bool under_way, dated; /* a message of which more is to come; its date is known */
    struct mime_thread_item *items;
    size_t n, room;
};

void gather_init(struct gather *g);
void gather_done(struct gather *g);
void gather_clear(struct gather *g);
/* Bytes that it holds for the messages so far. */
size_t gather_memory(const struct gather *g);
/* FETCH's items for what is needed, UID first; at most 6. */
size_t gather_items(const struct gather *g, struct slice items[6]);
/* A message's answer, or a segment of it; a piece of the section that comes between two. -ENOMEM, -E2BIG: more than is sorted here. */
int gather_take(struct gather *g, const struct imap_event *e) ATTR_WARN_UNUSED;
int gather_piece(struct gather *g, struct slice piece) ATTR_WARN_UNUSED;

#endif
