/* SPDX-License-Identifier: MIT */
#include "base64.h"

#include "base64_vector.h"

#include <errno.h>

size_t base64_encode(const void *data, size_t len, char *out)
{
    const unsigned char *p = data;
    char *o = out;

    size_t whole = len / 3 * 3;
    base64_encode_groups(p, whole, o);
    p += whole;
    o += whole / 3 * 4;
    len -= whole;
    if (len) {
        uint32_t v = (uint32_t) p[0] << 16 | (len == 2 ? (uint32_t) p[1] << 8 : 0);
        o[0] = base64_alphabet[v >> 18];
        o[1] = base64_alphabet[v >> 12 & 63];
        o[2] = len == 2 ? base64_alphabet[v >> 6 & 63] : '=';
        o[3] = '=';
        o += 4;
    }
    return (size_t) (o - out);
}

/* Characters at the end that are decoded one group at a time: for them, what the fast code writes behind its result has no
 * room. */
#define FAST_TAIL 12

int base64_decode(const char *text, size_t len, void *out, size_t *ret_len)
{
    const unsigned char *p = (const unsigned char *) text;
    unsigned char *o = out;

    if (len % 4)
        return -EINVAL;
    if (len > FAST_TAIL) {
        size_t used;
        o += base64_decode_groups(p, len - FAST_TAIL, o, &used);
        if (used < len - FAST_TAIL)
            return -EINVAL;
        p += used;
        len -= used;
    }
    for (; len > 4 || (len == 4 && p[3] != '='); len -= 4, p += 4) {
        int a = base64_values[p[0]], b = base64_values[p[1]], c = base64_values[p[2]], d = base64_values[p[3]];
        if ((a | b | c | d) < 0)
            return -EINVAL;
        *o++ = (unsigned char) (a << 2 | b >> 4);
        *o++ = (unsigned char) (b << 4 | c >> 2);
        *o++ = (unsigned char) (c << 6 | d);
    }
    if (len == 4) {
        bool two = p[2] != '=';
        int a = base64_values[p[0]], b = base64_values[p[1]], c = two ? base64_values[p[2]] : 0;
        if ((a | b | c) < 0)
            return -EINVAL;
        uint32_t v = (uint32_t) a << 18 | (uint32_t) b << 12 | (uint32_t) c << 6;
        /* Bits that stand for nothing must be zero: one value, one text. */
        if (v & (two ? 0xffU : 0xffffU))
            return -EINVAL;
        *o++ = (unsigned char) (v >> 16);
        if (two)
            *o++ = (unsigned char) (v >> 8);
    }
    *ret_len = (size_t) (o - (unsigned char *) out);
    return 0;
}

void hex_encode(const void *data, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *p = data;
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
}
