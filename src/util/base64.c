/* SPDX-License-Identifier: MIT */
#include "base64.h"

#include <errno.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Value of a character plus one; 0 for what is no base64 character. */
static const unsigned char values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,  ['I'] = 9,
    ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18,
    ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['a'] = 27,
    ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36,
    ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45,
    ['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54,
    ['2'] = 55, ['3'] = 56, ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63,
    ['/'] = 64,
};

size_t base64_encode(const void *data, size_t len, char *out)
{
    const unsigned char *p = data;
    char *o = out;

    for (; len >= 3; len -= 3, p += 3, o += 4) {
        uint32_t v = (uint32_t) p[0] << 16 | (uint32_t) p[1] << 8 | p[2];
        o[0] = alphabet[v >> 18];
        o[1] = alphabet[v >> 12 & 63];
        o[2] = alphabet[v >> 6 & 63];
        o[3] = alphabet[v & 63];
    }
    if (len) {
        uint32_t v = (uint32_t) p[0] << 16 | (len == 2 ? (uint32_t) p[1] << 8 : 0);
        o[0] = alphabet[v >> 18];
        o[1] = alphabet[v >> 12 & 63];
        o[2] = len == 2 ? alphabet[v >> 6 & 63] : '=';
        o[3] = '=';
        o += 4;
    }
    return (size_t) (o - out);
}

int base64_decode(const char *text, size_t len, void *out, size_t *ret_len)
{
    const unsigned char *p = (const unsigned char *) text;
    unsigned char *o = out;

    if (len % 4)
        return -EINVAL;
    for (; len > 4 || (len == 4 && p[3] != '='); len -= 4, p += 4) {
        unsigned a = values[p[0]], b = values[p[1]], c = values[p[2]], d = values[p[3]];
        if (!a || !b || !c || !d)
            return -EINVAL;
        uint32_t v = (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6 | (d - 1);
        *o++ = (unsigned char) (v >> 16);
        *o++ = (unsigned char) (v >> 8);
        *o++ = (unsigned char) v;
    }
    if (len == 4) {
        bool two = p[2] != '=';
        unsigned a = values[p[0]], b = values[p[1]], c = two ? values[p[2]] : 1;
        if (!a || !b || !c)
            return -EINVAL;
        uint32_t v = (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6;
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
