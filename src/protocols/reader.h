/* SPDX-License-Identifier: MIT */
/* The one reader under SMTP, IMAP and POP3: lines, literals and bodies out of the windows that a driver feeds, each
 * with a limit. What lies whole in a window is given as a slice of it; only what a window's end cuts through is copied
 * into a stash. Every byte is looked at once, however the peer splits its stream.
 *
 * A *unit* is what reader_line() gives: one line, or (IMAP) several lines joined by literals, from the first byte to
 * the line end of the last. Slices stay valid until the next call that takes something or feeds.
 *
 * Line ends. A line ends with CRLF. A bare LF ends it too with READER_LF_ENDS_LINE, else it is an error; a CR that no
 * LF follows is data unless READER_REFUSE_CR; NUL is data unless READER_REFUSE_NUL. What a literal holds is never
 * judged.
 *
 * Errors: -EMSGSIZE (a limit), -EBADMSG (the policy), -ENOMEM. They are sticky. Not thread-safe. */
#ifndef POSTERN_READER_H
#define POSTERN_READER_H

#include "buffer.h"
#include "macros.h"
#include "slice.h"

#include <sys/types.h>

enum reader_policy {
    READER_LF_ENDS_LINE = 1 << 0,
    READER_REFUSE_CR = 1 << 1,
    READER_REFUSE_NUL = 1 << 2,
};

struct reader {
    const char *window; /* what was fed */
    size_t len;
    size_t start;        /* first byte of the window that was not given away */
    size_t scanned;      /* window bytes up to here belong to the unit */
    struct buffer stash; /* the unit's beginning, when it came in an earlier window */
    size_t line_len;     /* bytes of the line under way that have been scanned */
    uint64_t join_left;  /* bytes of a joined literal that have not come yet */
    size_t max_line, max_unit;
    unsigned policy;
    int error;
    bool given;        /* the unit was given away: the next call begins a new one */
    bool cr_pending;   /* the last byte scanned was a CR */
};

/* `max_line`: bytes of one line, its end included. `max_unit`: bytes of lines joined by literals; at least max_line. */
void reader_init(struct reader *r, unsigned policy, size_t max_line, size_t max_unit);
void reader_done(struct reader *r);

/* The next window; the one before must have been used up (reader_line() or reader_take() answered "no more"). The
 * bytes must stay unchanged until that is so again. -EINVAL when it is not. */
int reader_feed(struct reader *r, const char *bytes, size_t len) ATTR_WARN_UNUSED;

/* 1: *ret is the next unit without its last line end. 0: more is needed; the window is used up. */
int reader_line(struct reader *r, struct slice *ret) ATTR_WARN_UNUSED;
/* The line just given announced a literal of `n` bytes that shall be part of the same unit: the next reader_line()
 * gives the unit from its first byte on, with the line end before the literal, the literal and the line behind it.
 * Call it at once after reader_line(), before anything else. */
int reader_join(struct reader *r, uint64_t n) ATTR_WARN_UNUSED;

/* Up to `max` bytes that are there, as one piece of the window: a literal's or a body's. Empty: the window is used up
 * (or max is 0). Only between units. */
struct slice reader_take(struct reader *r, uint64_t max);
/* All that is there, without taking it. Only between units. */
struct slice reader_peek(const struct reader *r);

/* Bytes fed and not given away, a line half read included: 0 where TLS may begin. */
size_t reader_pending(const struct reader *r);

#endif
