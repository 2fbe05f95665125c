/* SPDX-License-Identifier: MIT */
/* MD5 (RFC 1321) for APOP's digest, which no library of this room offers. Not for anything else. */
#include "base64.h"
#include "pop3_private.h"

struct md5 {
    uint32_t a, b, c, d;
    uint64_t len;
    unsigned char block[64];
};

/* floor(2^32 * abs(sin(i + 1))) */
static const uint32_t sines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};
static const unsigned char shifts[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

static void md5_block(struct md5 *m)
{
    uint32_t a = m->a, b = m->b, c = m->c, d = m->d, x[16];

    for (unsigned i = 0; i < 16; i++)
        x[i] = (uint32_t) m->block[4 * i] | (uint32_t) m->block[4 * i + 1] << 8 | (uint32_t) m->block[4 * i + 2] << 16 |
               (uint32_t) m->block[4 * i + 3] << 24;
    for (unsigned i = 0; i < 64; i++) {
        uint32_t f;
        unsigned k;
        switch (i / 16) {
        case 0:
            f = (b & c) | (~b & d);
            k = i;
            break;
        case 1:
            f = (d & b) | (~d & c);
            k = 5 * i + 1;
            break;
        case 2:
            f = b ^ c ^ d;
            k = 3 * i + 5;
            break;
        default:
            f = c ^ (b | ~d);
            k = 7 * i;
        }
        f += a + sines[i] + x[k % 16];
        unsigned s = shifts[i / 16][i % 4];
        a = d;
        d = c;
        c = b;
        b += f << s | f >> (32 - s);
    }
    m->a += a;
    m->b += b;
    m->c += c;
    m->d += d;
    explicit_bzero(x, sizeof(x));
}

static void md5_add(struct md5 *m, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        m->block[m->len++ % 64] = (unsigned char) s.data[i];
        if (m->len % 64 == 0)
            md5_block(m);
    }
}

void pop3_md5(struct slice a, struct slice b, char hex[33])
{
    struct md5 m = {.a = 0x67452301, .b = 0xefcdab89, .c = 0x98badcfe, .d = 0x10325476};
    unsigned char digest[16];
    char length[8];

    md5_add(&m, a);
    md5_add(&m, b);
    uint64_t bits = m.len * 8;
    md5_add(&m, SLICE("\x80"));
    while (m.len % 64 != 56)
        md5_add(&m, SLICE("\0"));
    for (unsigned i = 0; i < 8; i++)
        length[i] = (char) (bits >> (8 * i));
    md5_add(&m, slice_of(length, 8));
    const uint32_t words[4] = {m.a, m.b, m.c, m.d};
    for (unsigned i = 0; i < 16; i++)
        digest[i] = (unsigned char) (words[i / 4] >> (8 * (i % 4)));
    hex_encode(digest, 16, hex);
    hex[32] = '\0';
    explicit_bzero(&m, sizeof(m));
}
