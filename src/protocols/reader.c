/* SPDX-License-Identifier: MIT */
#include "reader.h"

#include <errno.h>

void reader_init(struct reader *r, unsigned policy, size_t max_line, size_t max_unit)
{
    *r = (struct reader){.policy = policy, .max_line = max_line, .max_unit = MAX(max_unit, max_line)};
    buffer_init(&r->stash, r->max_unit);
}

void reader_done(struct reader *r)
{
    buffer_done(&r->stash);
    *r = (struct reader){.error = -EINVAL};
}

/* The unit that was given away is over: what comes begins a new one. */
static void begin_unit(struct reader *r)
{
    if (!r->given)
        return;
    r->given = false;
    r->start = r->scanned;
    r->line_len = 0;
    r->cr_pending = false;
    buffer_clear(&r->stash);
    if (r->start == r->len)
        buffer_trim(&r->stash);
}

int reader_feed(struct reader *r, const char *bytes, size_t len)
{
    if (r->error)
        return r->error;
    begin_unit(r);
    if (r->start < r->len)
        return -EINVAL;
    r->window = bytes;
    r->len = len;
    r->start = r->scanned = 0;
    return 0;
}

static int fail(struct reader *r, int error)
{
    if (!r->error)
        r->error = error;
    return r->error;
}

/* The window's part of the unit, [start, scanned), goes behind the stash. */
static int stash(struct reader *r)
{
    int ret = buffer_append(&r->stash, r->window + r->start, r->scanned - r->start);
    if (ret < 0)
        return fail(r, ret);
    r->start = r->scanned;
    return 0;
}

static size_t unit_len(const struct reader *r)
{
    return buffer_len(&r->stash) + (r->scanned - r->start);
}

/* Bytes of the current line that are new in this window. */
static int check_policy(struct reader *r, const char *p, size_t n, bool ends)
{
    if ((r->policy & READER_REFUSE_NUL) && memchr(p, 0, n))
        return fail(r, -EBADMSG);
    if (!(r->policy & READER_REFUSE_CR))
        return 0;
    if (r->cr_pending && n > 0 && p[0] != '\n')
        return fail(r, -EBADMSG);
    for (const char *cr = memchr(p, '\r', n); cr; cr = memchr(cr + 1, '\r', n - (size_t) (cr + 1 - p))) {
        size_t at = (size_t) (cr - p);
        if (at + 1 == n && !ends)
            break; /* what follows it comes with the next window */
        if (at + 1 == n || p[at + 1] != '\n')
            return fail(r, -EBADMSG);
    }
    return 0;
}

/* Takes window bytes into the unit up to a line end: 1, or 0 when there is none in this window. */
static int scan_line(struct reader *r)
{
    size_t avail = r->len - r->scanned;
    if (avail == 0)
        return 0;
    const char *p = r->window + r->scanned;
    const char *lf = memchr(p, '\n', avail);
    size_t n = lf ? (size_t) (lf - p) + 1 : avail;
    if (n > r->max_line - r->line_len || n > r->max_unit - unit_len(r))
        return fail(r, -EMSGSIZE);
    int ret = check_policy(r, p, n, lf != NULL);
    if (ret < 0)
        return ret;
    bool after_cr = n > 1 ? p[n - 2] == '\r' : r->cr_pending;
    r->scanned += n;
    r->line_len += n;
    r->cr_pending = p[n - 1] == '\r';
    if (!lf)
        return 0;
    if (!after_cr && !(r->policy & READER_LF_ENDS_LINE))
        return fail(r, -EBADMSG);
    r->cr_pending = after_cr; /* remembered for the length of the line end */
    return 1;
}

/* Takes what has come of a joined literal. 1: all of it. */
static int scan_literal(struct reader *r)
{
    size_t n = (size_t) MIN(r->join_left, (uint64_t) (r->len - r->scanned));
    r->scanned += n;
    r->join_left -= n;
    return r->join_left == 0;
}

int reader_line(struct reader *r, struct slice *ret)
{
    if (r->error)
        return r->error;
    begin_unit(r);
    int found = scan_literal(r) ? scan_line(r) : 0;
    if (found < 0)
        return found;
    if (!found || buffer_len(&r->stash) > 0) {
        int stashed = r->scanned > r->start ? stash(r) : 0;
        if (stashed < 0)
            return stashed;
    }
    if (!found)
        return 0;
    struct slice unit = buffer_len(&r->stash) > 0 ? buffer_slice(&r->stash)
                                                  : slice_of(r->window + r->start, r->scanned - r->start);
    unit.len -= r->cr_pending ? 2 : 1;
    r->given = true;
    *ret = unit;
    return 1;
}

int reader_join(struct reader *r, uint64_t n)
{
    if (r->error)
        return r->error;
    if (!r->given)
        return -EINVAL;
    if (n > r->max_unit - unit_len(r))
        return fail(r, -EMSGSIZE);
    r->given = false;
    r->join_left = n;
    r->line_len = 0;
    r->cr_pending = false;
    return 0;
}

struct slice reader_take(struct reader *r, uint64_t max)
{
    if (r->error)
        return SLICE_EMPTY;
    begin_unit(r);
    if (buffer_len(&r->stash) > 0 || r->scanned > r->start || r->start == r->len)
        return SLICE_EMPTY;
    struct slice piece = slice_of(r->window + r->start, (size_t) MIN(max, (uint64_t) (r->len - r->start)));
    r->start = r->scanned = r->start + piece.len;
    return piece.len > 0 ? piece : SLICE_EMPTY;
}

struct slice reader_peek(const struct reader *r)
{
    size_t from = r->given ? r->scanned : r->start;
    return from < r->len && !r->error ? slice_of(r->window + from, r->len - from) : SLICE_EMPTY;
}

size_t reader_pending(const struct reader *r)
{
    return r->given ? r->len - r->scanned : buffer_len(&r->stash) + (r->len - r->start);
}
