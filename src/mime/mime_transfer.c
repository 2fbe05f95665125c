/* SPDX-License-Identifier: MIT */
#include "mime_transfer.h"

#include "mime_base64.h"
#include "mime_internal.h"

#define DECODE_SLACK 160 /* what was held back, and what vector stores write beyond the end */

enum mime_encoding mime_encoding_of(struct slice name, bool *ret_known)
{
    static const struct {
        const char *name;
        enum mime_encoding encoding;
    } names[] = {
        {"7bit", MIME_ENCODING_IDENTITY},
        {"8bit", MIME_ENCODING_IDENTITY},
        {"binary", MIME_ENCODING_IDENTITY},
        {"base64", MIME_ENCODING_BASE64},
        {"quoted-printable", MIME_ENCODING_QP},
        {"x-uuencode", MIME_ENCODING_UUENCODE},
        {"uuencode", MIME_ENCODING_UUENCODE},
        {"x-uue", MIME_ENCODING_UUENCODE},
        {"uue", MIME_ENCODING_UUENCODE},
        {"7-bit", MIME_ENCODING_IDENTITY},
        {"8-bit", MIME_ENCODING_IDENTITY},
        {"7 bit", MIME_ENCODING_IDENTITY},
        {"8 bit", MIME_ENCODING_IDENTITY},
        {"quoted_printable", MIME_ENCODING_QP},
        {"qp", MIME_ENCODING_QP},
        {"base-64", MIME_ENCODING_BASE64},
    };
    *ret_known = true;
    if (name.len == 0)
        return MIME_ENCODING_IDENTITY;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (slice_eq_ci(name, slice_of_str(names[i].name)))
            return names[i].encoding;
    *ret_known = false;
    return MIME_ENCODING_IDENTITY;
}

const char *mime_encoding_name(enum mime_encoding encoding)
{
    switch (encoding) {
    case MIME_ENCODING_IDENTITY:
        return "binary";
    case MIME_ENCODING_BASE64:
        return "base64";
    case MIME_ENCODING_QP:
        return "quoted-printable";
    case MIME_ENCODING_UUENCODE:
        return "x-uuencode";
    }
    return "binary";
}

void mime_transfer_init(struct mime_transfer *t, enum mime_encoding encoding)
{
    *t = (struct mime_transfer){.encoding = encoding};
}

size_t mime_transfer_max(const struct mime_transfer *t, size_t n)
{
    return (t->encoding == MIME_ENCODING_BASE64 ? n / 4 * 3 : n) + DECODE_SLACK;
}

/* One character that the fast loop did not take. */
static size_t base64_step(struct mime_transfer *t, unsigned char c, unsigned char *out)
{
    int v = mime_base64_values[c];
    if (v >= 0) {
        t->bits = t->bits << 6 | (uint32_t) v;
        if (++t->n_held < 4)
            return 0;
        out[0] = (unsigned char) (t->bits >> 16);
        out[1] = (unsigned char) (t->bits >> 8);
        out[2] = (unsigned char) t->bits;
        t->n_held = 0;
        t->bits = 0;
        return 3;
    }
    if (c != '=')
        t->damaged |= !mime_is_space((char) c);
    else if (t->n_held >= 2)
        t->ended = true;
    else
        t->damaged = true;
    return 0;
}

static size_t base64_decode_some(struct mime_transfer *t, struct slice in, unsigned char *out)
{
    mime_base64_decode_fn *fast = mime_base64_decoder();
    const unsigned char *p = (const unsigned char *) in.data;
    size_t i = 0, o = 0;

    while (i < in.len && !t->ended) {
        if (t->n_held == 0) {
            size_t used;
            o += fast(p + i, in.len - i, out + o, &used);
            i += used;
            /* Most often a line end. */
            if (in.len - i >= 2 && p[i] == '\r' && p[i + 1] == '\n') {
                i += 2;
                continue;
            }
        }
        if (i < in.len)
            o += base64_step(t, p[i++], out + o);
    }
    /* Behind the padding there is nothing but white space and more padding. */
    for (; i < in.len && !t->damaged; i++)
        t->damaged = p[i] != '=' && !mime_is_space((char) p[i]);
    return o;
}

static size_t base64_finish(struct mime_transfer *t, unsigned char *out)
{
    size_t n = 0;
    if (!t->ended && t->n_held)
        t->damaged = true;
    if (t->n_held == 2) {
        out[n++] = (unsigned char) (t->bits >> 4);
    } else if (t->n_held == 3) {
        out[n++] = (unsigned char) (t->bits >> 10);
        out[n++] = (unsigned char) (t->bits >> 2);
    }
    t->n_held = 0;
    return n;
}

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

static size_t qp_decode_some(struct mime_transfer *t, struct slice in, char *out)
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

static size_t qp_finish(struct mime_transfer *t, char *out)
{
    size_t n = 0, used = qp_lines(t, slice_of(t->held, t->n_held), true, out, &n);
    (void) used;
    t->n_held = 0;
    return n;
}

/* A line of uuencode: a length, then groups of four characters for three bytes. */
static size_t uu_line(struct mime_transfer *t, char *out)
{
    const char *p = t->held;
    size_t len = t->n_held, o = 0;
    t->n_held = 0;
    while (len && (p[len - 1] == '\r' || p[len - 1] == '\n'))
        len--;
    struct slice line = slice_of(p, len);
    if (!t->begun) {
        t->begun = slice_starts(line, SLICE("begin "));
        t->damaged |= !t->begun && len;
        return 0;
    }
    if (slice_eq(line, SLICE("end"))) {
        t->ended = true;
        return 0;
    }
    if (len == 0)
        return 0;
    size_t want = ((unsigned char) p[0] - ' ') & 63;
    for (size_t i = 1; o < want; i += 4) {
        uint32_t v = 0;
        for (size_t k = 0; k < 4; k++)
            v = v << 6 | (i + k < len ? ((unsigned char) p[i + k] - (uint32_t) ' ') & 63 : 0);
        for (int shift = 16; shift >= 0 && o < want; shift -= 8)
            out[o++] = (char) (v >> shift);
        t->damaged |= i >= len;
    }
    return o;
}

static size_t uu_decode_some(struct mime_transfer *t, struct slice in, char *out)
{
    size_t o = 0;
    for (size_t i = 0; i < in.len && !t->ended; i++) {
        if (t->n_held < 64 + 32)
            t->held[t->n_held++] = in.data[i];
        if (in.data[i] == '\n') {
            /* A line may claim more bytes than its characters are; room is counted by the input. */
            char line[64];
            size_t chars = t->n_held, n = uu_line(t, line);
            n = MIN(n, chars);
            memcpy(out + o, line, n);
            o += n;
        }
    }
    return o;
}

size_t mime_transfer_decode(struct mime_transfer *t, struct slice in, char *out)
{
    if (in.len == 0)
        return 0;
    switch (t->encoding) {
    case MIME_ENCODING_BASE64:
        return base64_decode_some(t, in, (unsigned char *) out);
    case MIME_ENCODING_QP:
        return qp_decode_some(t, in, out);
    case MIME_ENCODING_UUENCODE:
        return uu_decode_some(t, in, out);
    case MIME_ENCODING_IDENTITY:
        memcpy(out, in.data, in.len);
        return in.len;
    }
    return 0;
}

size_t mime_transfer_finish(struct mime_transfer *t, char *out)
{
    size_t n = 0;
    switch (t->encoding) {
    case MIME_ENCODING_BASE64:
        return base64_finish(t, (unsigned char *) out);
    case MIME_ENCODING_QP:
        return qp_finish(t, out);
    case MIME_ENCODING_UUENCODE:
        if (t->n_held && !t->ended)
            n = uu_line(t, out);
        t->damaged |= !t->ended;
        return n;
    case MIME_ENCODING_IDENTITY:
        return 0;
    }
    return n;
}

size_t mime_base64_lines(const char *in, size_t len, char *out)
{
    mime_base64_encode_fn *fast = mime_base64_encoder();
    const unsigned char *p = (const unsigned char *) in;
    char *start = out;

    for (; len >= MIME_BASE64_LINE; p += MIME_BASE64_LINE, len -= MIME_BASE64_LINE) {
        /* Where more follows, whole vectors are encoded: what is too much is written over by the next line. */
        fast(p, len >= 2 * MIME_BASE64_LINE ? 76 : MIME_BASE64_LINE, out);
        memcpy(out + 76, "\r\n", 2);
        out += 78;
    }
    if (len == 0)
        return (size_t) (out - start);
    size_t whole = len / 3 * 3;
    fast(p, whole, out);
    out += whole / 3 * 4;
    if (len > whole) {
        uint32_t v = (uint32_t) p[whole] << 16 | (len - whole == 2 ? (uint32_t) p[whole + 1] << 8 : 0);
        *out++ = mime_base64_alphabet[v >> 18];
        *out++ = mime_base64_alphabet[v >> 12 & 63];
        *out++ = len - whole == 2 ? mime_base64_alphabet[v >> 6 & 63] : '=';
        *out++ = '=';
    }
    memcpy(out, "\r\n", 2);
    return (size_t) (out + 2 - start);
}

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
