/* SPDX-License-Identifier: MIT */
#include "smtp_body.h"

#include <string.h>

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

/* Line by line, whatever the line ends. */
static char *filter_lines(struct smtp_body *b, const char *p, const char *end, char *o)
{
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
    return o;
}

#define BLOCK 64

#if defined(__SSE2__)
#include <emmintrin.h>

/* Most bytes are as they must be: all line ends are CRLF, and no line begins with a dot. Copies a block of such, without a CR at its
 * end, and says how many bytes that were; 0: it has to be looked at closer. Not behind a CR. */
static size_t copy_block(struct smtp_body *b, const char *p, char *o)
{
    const __m128i cr = _mm_set1_epi8('\r'), lf = _mm_set1_epi8('\n'), dot = _mm_set1_epi8('.');
    uint64_t crs = 0, lfs = 0, dots = 0;
    __m128i v[4];

    for (unsigned k = 0; k < 4; k++) {
        v[k] = _mm_loadu_si128((const __m128i *) (const void *) (p + 16 * k));
        crs |= (uint64_t) (unsigned) _mm_movemask_epi8(_mm_cmpeq_epi8(v[k], cr)) << 16 * k;
        lfs |= (uint64_t) (unsigned) _mm_movemask_epi8(_mm_cmpeq_epi8(v[k], lf)) << 16 * k;
        dots |= (uint64_t) (unsigned) _mm_movemask_epi8(_mm_cmpeq_epi8(v[k], dot)) << 16 * k;
    }
    size_t n = BLOCK - (size_t) (crs >> 63);
    crs &= ~(UINT64_C(1) << 63);
    if (lfs != crs << 1 || (dots & (lfs << 1 | (b->state == SMTP_BODY_LINE_START))))
        return 0;
    for (unsigned k = 0; k < 4; k++)
        _mm_storeu_si128((__m128i *) (void *) (o + 16 * k), v[k]);
    b->state = lfs >> (n - 1) & 1 ? SMTP_BODY_LINE_START : SMTP_BODY_IN_LINE;
    return n;
}

#else

static size_t copy_block(struct smtp_body *b, const char *p, char *o)
{
    (void) b;
    (void) p;
    (void) o;
    return 0;
}

#endif

size_t smtp_body_filter(struct smtp_body *b, struct slice in, char *out)
{
    const char *p = in.data, *end = in.data + in.len;
    char *o = out;

    while (p < end) {
        size_t left = (size_t) (end - p);
        size_t n = b->state != SMTP_BODY_AFTER_CR && left >= BLOCK ? copy_block(b, p, o) : 0;
        if (n) {
            o += n;
        } else {
            n = MIN(left, (size_t) BLOCK);
            o = filter_lines(b, p, p + n, o);
        }
        p += n;
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
