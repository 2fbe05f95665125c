/* SPDX-License-Identifier: MIT */
/* Mailbox names: UTF-8 outside, modified UTF-7 (RFC 3501 section 5.1.3) on the wire, or UTF-8 there too once it is
 * enabled (RFC 6855). INBOX is INBOX in any case. Pure functions. */
#ifndef POSTERN_IMAP_MAILBOX_H
#define POSTERN_IMAP_MAILBOX_H

#include "buffer.h"
#include "macros.h"
#include "slice.h"

/* Appends the name in modified UTF-7. -EINVAL: not UTF-8, or with NUL, CR or LF. -ENOMEM, -EMSGSIZE. */
int imap_mailbox_encode(struct slice name, struct buffer *out) ATTR_WARN_UNUSED;
/* Appends the name in UTF-8. A name that is no modified UTF-7 but UTF-8 is taken as it is; anything else as its
 * bytes, with '&' sequences that say nothing left alone and bytes beyond ASCII replaced by U+FFFD; *ret_odd then. */
int imap_mailbox_decode(struct slice wire, struct buffer *out, bool *ret_odd) ATTR_WARN_UNUSED;
/* Either, as the connection speaks: modified UTF-7, or `utf8` on the wire. */
int imap_mailbox_give(struct slice name, bool utf8, struct buffer *out) ATTR_WARN_UNUSED;
int imap_mailbox_take(struct slice wire, bool utf8, struct buffer *out, bool *ret_odd) ATTR_WARN_UNUSED;
/* Equal as names in UTF-8. */
bool imap_mailbox_eq(struct slice a, struct slice b);

#endif
