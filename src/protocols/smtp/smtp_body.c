/* SPDX-License-Identifier: MIT */
#include "smtp_body.h"

void smtp_body_init(struct smtp_body *b)
{
    b->state = SMTP_BODY_LINE_START;
}

/* Position of the first `c` in [from, end), or `end`. */
static const char *find(const char *from, const char *end, char c)
{
    const char *p = from < end ? memchr(from, c, (size_t) (end - from)) : NULL;
    return p ? p : end;
}

size_t smtp_body_filter(struct smtp_body *b, struct slice in, char *out)
{
    const char *p = in.data, *end = in.data + in.len;
    char *o = out;

    if (in.len == 0)
        return 0;
    const char *cr = find(p, end, '\r'), *lf = find(p, end, '\n');
    while (p < end) {
        if (b->state == SMTP_BODY_AFTER_CR) {
            /* The CR was given out as CRLF already: a LF behind it belongs to it. */
            b->state = SMTP_BODY_LINE_START;
            if (*p == '\n') {
                p++;
                continue;
            }
        }
        if (b->state == SMTP_BODY_LINE_START && *p == '.')
            *o++ = '.';
        /* Each byte is searched once for each of the two: what was found stays until it is passed. */
        if (cr < p)
            cr = find(p, end, '\r');
        if (lf < p)
            lf = find(p, end, '\n');
        const char *stop = cr < lf ? cr : lf;
        size_t n = (size_t) (stop - p);
        memcpy(o, p, n);
        o += n;
        if (n)
            b->state = SMTP_BODY_IN_LINE;
        p = stop;
        if (p == end)
            break;
        *o++ = '\r';
        *o++ = '\n';
        b->state = *p == '\r' ? SMTP_BODY_AFTER_CR : SMTP_BODY_LINE_START;
        p++;
    }
    return (size_t) (o - out);
}

size_t smtp_body_end(struct smtp_body *b, char *out)
{
    size_t n = 0;

    if (b->state == SMTP_BODY_IN_LINE) {
        out[n++] = '\r';
        out[n++] = '\n';
    }
    out[n++] = '.';
    out[n++] = '\r';
    out[n++] = '\n';
    b->state = SMTP_BODY_LINE_START;
    return n;
}
