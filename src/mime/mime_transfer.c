/* SPDX-License-Identifier: MIT */
#include "mime_transfer.h"

#include "base64.h"
#include "base64_vector.h"
#include "mime_internal.h"
#include "mime_qp.h"

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
    int v = base64_values[c];
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
    const unsigned char *p = (const unsigned char *) in.data;
    size_t i = 0, o = 0;

    while (i < in.len && !t->ended) {
        if (t->n_held == 0) {
            size_t used;
            o += base64_decode_lines(p + i, in.len - i, out + o, &used);
            i += used;
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
    for (size_t i = 1; i < len; i++)
        t->damaged |= p[i] < ' ' || p[i] > '`';
    /* Some encoders put a checksum behind a line. */
    t->damaged |= len > 2 + (want + 2) / 3 * 4;
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
        return mime_qp_decode(t, in, out);
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
        return mime_qp_finish(t, out);
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
    const unsigned char *p = (const unsigned char *) in;
    size_t lines = len / MIME_BASE64_LINE, rest = len % MIME_BASE64_LINE;
    char *start = out;

    base64_encode_lines(p, len - rest, out);
    p += len - rest;
    out += lines * BASE64_LINE_TEXT;
    if (rest) {
        out += base64_encode(p, rest, out);
        memcpy(out, "\r\n", 2);
        out += 2;
    }
    return (size_t) (out - start);
}
