/* SPDX-License-Identifier: MIT */
#include "mime_lines.h"

#include <string.h>

/* A line of `open` bytes has ended. */
static void line_end(struct mime_lines *l)
{
    l->longest = MAX(l->longest, l->open);
    l->open = 0;
}

static void look_at(struct mime_lines *l, unsigned char c)
{
    l->has_8bit |= c >= 0x80;
    l->has_nul |= c == 0;
    if (c == '\n') {
        if (!l->after_cr) {
            l->bare++;
            line_end(l);
        }
        l->after_cr = false;
        return;
    }
    l->bare += l->after_cr;
    l->after_cr = c == '\r';
    if (c == '\r')
        line_end(l);
    else
        l->open++;
}

#if defined(__SSE2__)
#include <emmintrin.h>

struct masks {
    uint64_t cr, lf, nul, high;
};

static struct masks masks_of(const char *at)
{
    const __m128i cr = _mm_set1_epi8('\r'), lf = _mm_set1_epi8('\n'), nul = _mm_setzero_si128();
    struct masks m = {0};

    for (unsigned k = 0; k < 4; k++) {
        __m128i v = _mm_loadu_si128((const __m128i *) (const void *) (at + 16 * k));
        m.cr |= (uint64_t) (unsigned) _mm_movemask_epi8(_mm_cmpeq_epi8(v, cr)) << 16 * k;
        m.lf |= (uint64_t) (unsigned) _mm_movemask_epi8(_mm_cmpeq_epi8(v, lf)) << 16 * k;
        m.nul |= (uint64_t) (unsigned) _mm_movemask_epi8(_mm_cmpeq_epi8(v, nul)) << 16 * k;
        m.high |= (uint64_t) (unsigned) _mm_movemask_epi8(v) << 16 * k;
    }
    return m;
}

/* 64 bytes at once: a bit for each of them in each of the masks. */
static void look_at_64(struct mime_lines *l, const char *at)
{
    struct masks m = masks_of(at);
    uint64_t before = l->after_cr, behind_cr = m.cr << 1 | before;
    uint64_t bare_lf = m.lf & ~behind_cr;
    /* The last byte's CR is the next piece's matter, the one before these bytes is ours. */
    uint64_t bare_cr = behind_cr & ~m.lf;
    uint64_t ends = m.cr | bare_lf, mended = m.lf & behind_cr; /* where lines end; LFs that belong to a CR before them */
    unsigned from = 0;

    l->has_8bit |= m.high != 0;
    l->has_nul |= m.nul != 0;
    if (bare_lf | bare_cr)
        l->bare += (uint64_t) __builtin_popcountll(bare_lf) + (uint64_t) __builtin_popcountll(bare_cr);
    l->after_cr = m.cr >> 63;
    if (mended & 1)
        from = 1;
    while (ends) {
        unsigned end = (unsigned) __builtin_ctzll(ends);
        l->open += end - from;
        line_end(l);
        from = end + 1;
        from += from < 64 && (mended >> from & 1);
        ends &= ends - 1;
    }
    l->open += 64 - from;
}

void mime_lines_look(struct mime_lines *l, struct slice piece)
{
    size_t i = 0;

    for (; piece.len - i >= 64; i += 64)
        look_at_64(l, piece.data + i);
    for (; i < piece.len; i++)
        look_at(l, (unsigned char) piece.data[i]);
}

#else

void mime_lines_look(struct mime_lines *l, struct slice piece)
{
    for (size_t i = 0; i < piece.len; i++)
        look_at(l, (unsigned char) piece.data[i]);
}

#endif

void mime_lines_end(struct mime_lines *l)
{
    l->bare += l->after_cr;
    l->after_cr = false;
}
