/* SPDX-License-Identifier: MIT */
/* What a message goes through on its way into DATA (RFC 5321 sections 2.3.8 and 4.5.2), in one pass over pieces of any size:
 * every line end (CRLF, bare CR, bare LF) becomes CRLF, and a dot at a line's beginning is doubled, in this order, so that
 * nothing in a message can look like its end. Pure; no allocation. */
#ifndef POSTERN_SMTP_BODY_H
#define POSTERN_SMTP_BODY_H

#include "macros.h"
#include "slice.h"

struct smtp_body {
    enum { SMTP_BODY_LINE_START = 0, SMTP_BODY_IN_LINE, SMTP_BODY_AFTER_CR } state;
};

/* Most bytes that `n` input bytes become. */
static inline size_t smtp_body_max(size_t n)
{
    return 2 * n;
}
#define SMTP_BODY_END_MAX 5

void smtp_body_init(struct smtp_body *b);
/* Filters `in` into `out`, which has room for smtp_body_max(in.len); returns the bytes written. */
size_t smtp_body_filter(struct smtp_body *b, struct slice in, char *out);
/* Behind the last piece: a line end if one is missing, and the dot; at most SMTP_BODY_END_MAX bytes. */
size_t smtp_body_end(struct smtp_body *b, char *out);

#endif
