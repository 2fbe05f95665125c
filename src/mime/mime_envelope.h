/* SPDX-License-Identifier: MIT */
/* Recipients gathered from address lists. Internal to the room. */
#ifndef POSTERN_MIME_ENVELOPE_H
#define POSTERN_MIME_ENVELOPE_H

#include "mime_header.h"

struct mime_recipients {
    struct arena *arena;
    struct slice *list;
    size_t n, cap;
};

/* Adds the addresses of a list, groups taken apart; the slices are borrowed from it. -ENOMEM. */
int mime_recipients_add(struct mime_recipients *r, const struct mime_address *list) ATTR_WARN_UNUSED;
/* Drops repetitions; the order of first mention stays. -ENOMEM. */
int mime_recipients_settle(struct mime_recipients *r) ATTR_WARN_UNUSED;
/* The first address of a list that is not empty, groups taken apart; data NULL when there is none. */
struct slice mime_first_address(const struct mime_address *list);

#endif
