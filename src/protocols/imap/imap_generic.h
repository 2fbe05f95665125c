/* SPDX-License-Identifier: MIT */
/* Commands of a caller's own (IMAP_GENERIC): what is known of them by their first word, and how their arguments are written.
 * Pure functions. */
#ifndef POSTERN_IMAP_GENERIC_H
#define POSTERN_IMAP_GENERIC_H

#include "buffer.h"
#include "macros.h"
#include "slice.h"

/* What a command does to the connection, as far as its name tells. */
enum imap_effect {
    IMAP_EFFECT_UNKNOWN = 0, /* perhaps it changes something, on the server or in what the connection says from then on */
    IMAP_EFFECT_CHANGES,     /* something on the server, nothing of the connection */
    IMAP_EFFECT_READS,       /* nothing */
    IMAP_EFFECT_SELECTS,     /* opens the mailbox that it names */
    IMAP_EFFECT_EXAMINES,    /* the same, for reading only */
    IMAP_EFFECT_CLOSES,      /* no mailbox is selected afterwards */
    IMAP_EFFECT_RENAMES,     /* the mailbox that it names is no more, or another one */
    IMAP_EFFECT_OWN,         /* what only a request of its own can follow: LOGIN, STARTTLS, IDLE… */
};

/* Of a command as it stands behind its tag. With IMAP_EFFECT_OWN, *ret_own is the name of what does the same ("login");
 * may be NULL. */
enum imap_effect imap_generic_effect(struct slice command, const char **ret_own);
/* Appends the mailbox's name, as on the wire, that stands behind the first word. -EBADMSG: none does. */
int imap_generic_mailbox(struct slice command, struct buffer *ret) ATTR_WARN_UNUSED;

/* Appends an argument: as it is where it may stand so (atoms, sets, flags, patterns, items of FETCH, and what is already in
 * quotes or parentheses), else as a quoted string, or as a literal where it is not ASCII. -EINVAL: CR, LF or NUL. */
int imap_generic_argument(struct buffer *out, struct slice argument) ATTR_WARN_UNUSED;

/* Takes the next piece off a command with literals, "…{5}\r\n" and five bytes: *ret_text without the announcement,
 * *ret_literal with data NULL when none follows. 1; 0 at the end; -EINVAL: CR or LF stands where no literal was announced, or
 * fewer bytes follow than were announced. A NUL is the writer's matter. */
int imap_generic_piece(struct slice *rest, struct slice *ret_text, struct slice *ret_literal) ATTR_WARN_UNUSED;

#endif
