/* SPDX-License-Identifier: MIT */
/* What subjects have in common (RFC 5256 section 2.1), and how texts are compared whatever their case (RFC 5051). Pure functions,
 * linear in their input; results live in the arena. */
#ifndef POSTERN_MIME_SUBJECT_H
#define POSTERN_MIME_SUBJECT_H

#include "arena.h"
#include "macros.h"
#include "slice.h"

/* The base subject of a decoded subject; may be empty. *ret_reply: something that marks a reply or a forwarded message was taken
 * away. -ENOMEM. */
int mime_base_subject(struct arena *a, struct slice subject, struct slice *ret, bool *ret_reply) ATTR_WARN_UNUSED;

/* A key: two texts are equal, or one comes before the other, as their keys are as bytes. -ENOMEM. */
int mime_collation_key(struct arena *a, struct slice text, struct slice *ret) ATTR_WARN_UNUSED;
static inline int mime_collate(struct slice a, struct slice b)
{
    int r = a.len && b.len ? memcmp(a.data, b.data, a.len < b.len ? a.len : b.len) : 0;
    return r ? r : a.len < b.len ? -1 : a.len > b.len;
}

/* mime_collation_tables.c: in the order of `from`; `to` ends with 0 where it is shorter. */
struct mime_collation {
    uint16_t from, to[4];
};
extern const struct mime_collation mime_collations[];
extern const size_t mime_collations_count;

#endif
