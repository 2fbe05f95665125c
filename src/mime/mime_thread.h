/* SPDX-License-Identifier: MIT */
/* Sorting messages and finding their threads as a server with SORT and THREAD would (RFC 5256, 5957), from what was fetched of
 * them. Time is that of sorting; memory is the arena's. Nothing recurses. */
#ifndef POSTERN_MIME_THREAD_H
#define POSTERN_MIME_THREAD_H

#include "arena.h"
#include "buffer.h"
#include "macros.h"
#include "slice.h"

/* A message. Texts are collation keys (mime_subject.h) and live in the arena, ids are without brackets. What is not needed may be
 * empty. */
struct mime_thread_item {
    uint32_t number; /* what results name it by */
    uint32_t order;  /* its place in the mailbox: what decides where all else is equal */
    int64_t date;    /* sent, seconds in UTC; where unusable, the arrival */
    int64_t arrival;
    uint64_t size;
    struct slice subject; /* the base subject */
    bool reply;           /* the subject was that of a reply or a forwarded message */
    struct slice from, to, cc, display_from, display_to;
    struct slice message_id; /* empty: none */
    struct slice *references; /* References, or else the first id of In-Reply-To */
    size_t n_references;
};

enum mime_sort_key {
    MIME_SORT_ARRIVAL = 0,
    MIME_SORT_CC,
    MIME_SORT_DATE,
    MIME_SORT_FROM,
    MIME_SORT_SIZE,
    MIME_SORT_SUBJECT,
    MIME_SORT_TO,
    MIME_SORT_DISPLAYFROM,
    MIME_SORT_DISPLAYTO,
    MIME_SORT_KEY_COUNT
};
struct mime_sort_criterion {
    enum mime_sort_key key;
    bool reverse;
};
/* MIME_SORT_KEY_COUNT: no such key. */
enum mime_sort_key mime_sort_key_find(struct slice name);
/* Orders them; qsort's own memory is two pointers for each. */
void mime_sort_items(struct mime_thread_item *items, size_t n, const struct mime_sort_criterion *criteria, size_t n_criteria);

enum mime_thread_algorithm {
    MIME_THREAD_ORDEREDSUBJECT = 0,
    MIME_THREAD_REFERENCES,
    MIME_THREAD_REFS, /* by references alone; the thread with the latest message is the last */
    MIME_THREAD_ALGORITHM_COUNT
};
enum mime_thread_algorithm mime_thread_algorithm_find(struct slice name);
/* What mime_thread_items() may take at most, besides the text. */
size_t mime_thread_memory(const struct mime_thread_item *items, size_t n);
/* Appends the threads in IMAP's notation, "(2)(3 6 (4 23)(44 7 96))"; the order of `items` changes. -ENOMEM, -EMSGSIZE. */
int mime_thread_items(struct arena *a, enum mime_thread_algorithm algorithm, struct mime_thread_item *items, size_t n,
                      struct buffer *ret) ATTR_WARN_UNUSED;

#endif
