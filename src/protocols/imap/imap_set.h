/* SPDX-License-Identifier: MIT */
/* Sets of UIDs or message numbers, kept as ranges: "1:4294967295" is one range, whoever says it. Ranges are sorted and
 * do not touch each other. Bounded from birth: -E2BIG when a set would need more ranges than that. Not thread-safe. */
#ifndef POSTERN_IMAP_SET_H
#define POSTERN_IMAP_SET_H

#include "macros.h"
#include "slice.h"
#include "writer.h"

struct imap_set {
    struct number_range *ranges; /* first <= last, never 0 */
    size_t n, cap, max;
    bool star; /* "*" alone is in it too: the last message, whatever its number */
    bool loose; /* between imap_set_add_loose() and imap_set_settle(): not sorted */
    bool saved; /* "$" (RFC 5182): what the last search has found; nothing else is in it then */
};

void imap_set_init(struct imap_set *s, size_t max_ranges);
void imap_set_done(struct imap_set *s);
void imap_set_clear(struct imap_set *s);

/* Adds first to last, in either order. Adding behind the end, as servers answer, costs no search. -ENOMEM, -E2BIG,
 * -EINVAL (0). */
int imap_set_add(struct imap_set *s, uint32_t first, uint32_t last) ATTR_WARN_UNUSED;
/* The same for many in any order: linear but for a sort at the end. Until imap_set_settle() nothing else may be done with
 * the set. */
int imap_set_add_loose(struct imap_set *s, uint32_t first, uint32_t last) ATTR_WARN_UNUSED;
void imap_set_settle(struct imap_set *s);
/* Adds a sequence set of RFC 3501 ("1:5,7,9:*"), or is "$". A range to "*" goes to 4294967295. -EINVAL when it is none. */
int imap_set_parse(struct imap_set *s, struct slice text) ATTR_WARN_UNUSED;
/* With "*" or "$" in it, every number may be the one that is meant. */
bool imap_set_contains(const struct imap_set *s, uint32_t n);
bool imap_set_intersects(const struct imap_set *a, const struct imap_set *b);
/* How many numbers. */
uint64_t imap_set_count(const struct imap_set *s);
static inline bool imap_set_is_empty(const struct imap_set *s)
{
    return s->n == 0 && !s->star && !s->saved;
}
/* Writes it as a piece of a command. */
int imap_set_write(const struct imap_set *s, struct writer *w);

/* Walks a sequence set's text in its own order, without a set: what SEARCH and COPYUID answer. 1, 0 at the end,
 * -EBADMSG. "*" is 0. */
int imap_range_next(struct slice *rest, struct number_range *ret) ATTR_WARN_UNUSED;

#endif
