/* SPDX-License-Identifier: MIT */
#include "mime_qp.h"

#include "mime_internal.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define HAVE_AVX2_PATH 1
#else
#define HAVE_AVX2_PATH 0
#endif

/* --- whole lines --- */

#define H(c, v) [c] = v
/* Values of hexadecimal digits plus one; 0 for what is none. */
static const unsigned char hex_values[256] = {
    H('0', 1),  H('1', 2),  H('2', 3),  H('3', 4),  H('4', 5),  H('5', 6),  H('6', 7),  H('7', 8),
    H('8', 9),  H('9', 10), H('a', 11), H('b', 12), H('c', 13), H('d', 14), H('e', 15), H('f', 16),
    H('A', 11), H('B', 12), H('C', 13), H('D', 14), H('E', 15), H('F', 16),
};
#undef H

/* Copies up to the next "=" or LF, which there is; returns how many bytes that are. */
typedef size_t copy_fn(const char *in, size_t len, char *out);

static inline size_t copy_portable(const char *in, size_t len, char *out)
{
    size_t i = 0;
    for (; i < len && in[i] != '=' && in[i] != '\n'; i++)
        out[i] = in[i];
    return i;
}

/* Lines as they stand, until a byte means something: "=" begins an escape or ends the line softly, and at LF the blanks
 * before it go, back to where an escape was decoded. */
__attribute__((always_inline)) static inline size_t lines_decode(const char *in, size_t len, char *out, bool *damaged,
                                                                copy_fn *copy)
{
    size_t i = 0, o = 0, fixed = 0;
    while (i < len) {
        size_t run = copy(in + i, len - i, out + o);
        i += run;
        o += run;
        if (in[i] == '\n') {
            size_t cr = o > fixed && out[o - 1] == '\r', end = o - cr;
            while (end > fixed && ascii_is_wsp(out[end - 1]))
                end--;
            o = end;
            if (cr)
                out[o++] = '\r';
            out[o++] = '\n';
            fixed = o;
            i++;
            continue;
        }
        /* An LF ends it all: the byte behind an "=" exists, and one more where that is a digit. */
        unsigned high = hex_values[(unsigned char) in[i + 1]], low = high ? hex_values[(unsigned char) in[i + 2]] : 0;
        if (low) {
            out[o++] = (char) ((high - 1) << 4 | (low - 1));
            fixed = o;
            i += 3;
            continue;
        }
        size_t end = i + 1;
        while (ascii_is_wsp(in[end]))
            end++;
        end += in[end] == '\r' && in[end + 1] == '\n';
        if (in[end] == '\n') {
            fixed = o;
            i = end + 1;
        } else {
            *damaged = true;
            out[o++] = in[i++];
        }
    }
    return o;
}

size_t mime_qp_lines_portable(const char *in, size_t len, char *out, bool *damaged)
{
    return lines_decode(in, len, out, damaged, copy_portable);
}

#if HAVE_AVX2_PATH

__attribute__((target("avx2"), always_inline)) static inline size_t copy_avx2(const char *in, size_t len, char *out)
{
    size_t i = 0;
    for (; len - i >= 32; i += 32) {
        __m256i v = _mm256_loadu_si256((const __m256i *) (const void *) (in + i));
        _mm256_storeu_si256((__m256i *) (void *) (out + i), v);
        unsigned hits = (unsigned) _mm256_movemask_epi8(_mm256_or_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('=')),
                                                                        _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\n'))));
        if (hits)
            return i + (size_t) __builtin_ctz(hits);
    }
    return i + copy_portable(in + i, len - i, out + i);
}

__attribute__((target("avx2"))) static size_t lines_avx2(const char *in, size_t len, char *out, bool *damaged)
{
    return lines_decode(in, len, out, damaged, copy_avx2);
}

size_t mime_qp_lines(const char *in, size_t len, char *out, bool *damaged)
{
    return (__builtin_cpu_supports("avx2") ? lines_avx2 : mime_qp_lines_portable)(in, len, out, damaged);
}

#else

size_t mime_qp_lines(const char *in, size_t len, char *out, bool *damaged)
{
    return mime_qp_lines_portable(in, len, out, damaged);
}

#endif

/* --- pieces --- */

/* The escapes of a piece of a line. */
static size_t qp_piece(struct mime_transfer *t, const char *p, size_t len, char *out)
{
    size_t i = 0, o = 0;
    while (i < len) {
        const char *sign = memchr(p + i, '=', len - i);
        size_t run = sign ? (size_t) (sign - p) - i : len - i;
        memcpy(out + o, p + i, run);
        i += run;
        o += run;
        if (!sign)
            break;
        int high = i + 1 < len ? mime_hex_digit(p[i + 1]) : -1, low = i + 2 < len ? mime_hex_digit(p[i + 2]) : -1;
        if (high >= 0 && low >= 0) {
            out[o++] = (char) (high << 4 | low);
            i += 3;
        } else {
            t->damaged = true;
            out[o++] = p[i++];
        }
    }
    return o;
}

/* Where the end of an unfinished line begins whose meaning hangs on what follows: blanks, a line end's first half, an
 * escape. */
static size_t qp_settled(const char *p, size_t len)
{
    size_t end = len;
    if (end && p[end - 1] == '\r')
        end--;
    while (end && ascii_is_wsp(p[end - 1]))
        end--;
    if (end && p[end - 1] == '=')
        return end - 1;
    if (end == len && end >= 2 && p[end - 2] == '=')
        return end - 2;
    return end;
}

/* Decodes whole lines and what is certain of the last one; returns the input used. */
static size_t qp_lines(struct mime_transfer *t, struct slice in, bool last, char *out, size_t *ret_len)
{
    size_t i = 0, o = 0;
    while (i < in.len) {
        const char *line = in.data + i, *lf = memchr(line, '\n', in.len - i);
        size_t len = lf ? (size_t) (lf - line) : in.len - i, text = len;
        if (!lf && !last) {
            text = qp_settled(line, len);
            o += qp_piece(t, line, text, out + o);
            i += text;
            break;
        }
        bool cr = lf && len && line[len - 1] == '\r';
        text -= cr;
        while (text && ascii_is_wsp(line[text - 1]))
            text--;
        bool soft = text && line[text - 1] == '=';
        o += qp_piece(t, line, text - soft, out + o);
        if (lf && !soft) {
            if (cr)
                out[o++] = '\r';
            out[o++] = '\n';
        }
        i += lf ? len + 1 : len;
    }
    *ret_len = o;
    return i;
}

#define QP_HOLD 64

size_t mime_qp_decode(struct mime_transfer *t, struct slice in, char *out)
{
    size_t o = 0, n;
    if (t->n_held) {
        /* What was held back, and as much of the new bytes as may be needed to understand it. */
        size_t held = t->n_held, add = MIN(in.len, sizeof(t->held) - held);
        memcpy(t->held + held, in.data, add);
        size_t used = qp_lines(t, slice_of(t->held, held + add), false, out, &n);
        o = n;
        if (used < held) {
            if (add == in.len && held + add - used <= QP_HOLD) {
                memmove(t->held, t->held + used, held + add - used);
                t->n_held = (unsigned) (held + add - used);
                return o;
            }
            /* Longer than anything that means something. */
            memcpy(out + o, t->held + used, held - used);
            o += held - used;
            used = held;
        }
        t->n_held = 0;
        in = slice_from(in, used - held);
    }
    const char *last_lf = memrchr(in.data, '\n', in.len);
    if (last_lf) {
        size_t whole = (size_t) (last_lf - in.data) + 1;
        o += mime_qp_lines(in.data, whole, out + o, &t->damaged);
        in = slice_from(in, whole);
    }
    size_t used = qp_lines(t, in, false, out + o, &n);
    o += n;
    size_t left = in.len - used;
    if (left > QP_HOLD) {
        memcpy(out + o, in.data + used, left - QP_HOLD);
        o += left - QP_HOLD;
        used = in.len - QP_HOLD;
        left = QP_HOLD;
    }
    if (left)
        memcpy(t->held, in.data + used, left);
    t->n_held = (unsigned) left;
    return o;
}

size_t mime_qp_finish(struct mime_transfer *t, char *out)
{
    size_t n = 0, used = qp_lines(t, slice_of(t->held, t->n_held), true, out, &n);
    (void) used;
    t->n_held = 0;
    return n;
}

/* --- encoding --- */

#define QP_LINE_MAX 76

/* Whether the byte stands for itself in quoted-printable, other than at a line's end. */
static bool qp_is_literal(unsigned char c)
{
    return (c >= 33 && c <= 126 && c != '=') || c == ' ' || c == '\t';
}

size_t mime_qp_encode(struct mime_qp_encoder *e, struct slice in, bool last, char *out, size_t room, size_t *ret_len)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t i = 0, o = 0;

    /* A soft line break and an escape take six characters. */
    while (i < in.len && room - o >= 6) {
        unsigned char c = (unsigned char) in.data[i];
        bool at_end = i + 1 == in.len;
        if (e->text && (c == '\n' || (c == '\r' && !at_end && in.data[i + 1] == '\n'))) {
            out[o++] = '\r';
            out[o++] = '\n';
            i += c == '\r' ? 2 : 1;
            e->column = 0;
            continue;
        }
        /* What follows a blank or CR decides what becomes of it. */
        if (at_end && !last && (ascii_is_wsp((char) c) || c == '\r'))
            break;
        if (c == 'F' && e->column == 0 && in.len - i < 5 && !last)
            break;
        bool literal = qp_is_literal(c);
        if (literal && ascii_is_wsp((char) c))
            literal = !at_end && !(e->text && (in.data[i + 1] == '\n' || in.data[i + 1] == '\r'));
        /* "From " and a lone dot at the start of a line are changed by some servers on the way. */
        if (e->column == 0 && (c == '.' || (c == 'F' && in.len - i >= 5 && memcmp(in.data + i, "From ", 5) == 0)))
            literal = false;
        unsigned width = literal ? 1 : 3;
        if (e->column + width > QP_LINE_MAX - 1) {
            memcpy(out + o, "=\r\n", 3);
            o += 3;
            e->column = 0;
            continue;
        }
        if (literal) {
            out[o++] = (char) c;
        } else {
            out[o++] = '=';
            out[o++] = hex[c >> 4];
            out[o++] = hex[c & 15];
        }
        e->column += width;
        i++;
    }
    *ret_len = o;
    return i;
}
