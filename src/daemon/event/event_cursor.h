/* SPDX-License-Identifier: MIT */
/* Where a subscriber stands in a mailbox, and the text that stands for it: what the contract calls a cursor. All that is
 * needed to go on from there is in it, so that the daemon keeps nothing: it survives restarts, and bounds nobody's memory.
 *
 * It is not signed. A client can only make one that misleads itself about a mailbox that it may read anyway; what is no
 * cursor, is damaged, or was given for another mailbox is refused. Pure functions. */
#ifndef POSTERN_EVENT_CURSOR_H
#define POSTERN_EVENT_CURSOR_H

#include "macros.h"
#include "slice.h"

struct event_place {
    uint32_t uidvalidity;
    uint32_t uidnext;  /* messages from here on are new */
    uint32_t exists;   /* how many messages there were below it */
    uint64_t modseq;   /* all changes up to this are known (RFC 7162); 0: the server has no such thing */
    uint64_t flags;    /* without modseq: what the flags of these messages add up to */
};

static inline bool event_place_eq(const struct event_place *a, const struct event_place *b)
{
    return a->uidvalidity == b->uidvalidity && a->uidnext == b->uidnext && a->exists == b->exists && a->modseq == b->modseq &&
           a->flags == b->flags;
}

#define EVENT_CURSOR_SIZE 96 /* with its NUL */

/* `account`: its name; NULL for inline options. */
void event_cursor_write(const struct event_place *p, const char *account, struct slice mailbox, char ret[EVENT_CURSOR_SIZE]);
/* -EINVAL: no cursor. -ENOENT: one of another mailbox or account. -EPROTONOSUPPORT: of a version that is not known here. */
int event_cursor_read(struct slice text, const char *account, struct slice mailbox, struct event_place *ret)
    ATTR_WARN_UNUSED;

/* What one message adds to event_place.flags: \Recent, which is nobody's doing, does not count, nor does the order. */
uint64_t event_flags_sum(uint32_t uid, struct slice flags);

#endif
