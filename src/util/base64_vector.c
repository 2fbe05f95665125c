/* SPDX-License-Identifier: MIT */
#include "base64_vector.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define HAVE_AVX2_PATH 1
#else
#define HAVE_AVX2_PATH 0
#endif

const char base64_alphabet[64] = {
    'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', 'P', 'Q', 'R', 'S', 'T', 'U', 'V',
    'W', 'X', 'Y', 'Z', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r',
    's', 't', 'u', 'v', 'w', 'x', 'y', 'z', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '+', '/',
};

/* clang-format off */
const signed char base64_values[256] = {
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 62, -1, -1, -1, 63,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, -1, -1, -1, -1, -1, -1,
    -1,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, -1, -1, -1, -1, -1,
    -1, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
};
/* clang-format on */

size_t base64_decode_groups_portable(const unsigned char *in, size_t len, unsigned char *out, size_t *ret_used)
{
    size_t i = 0, o = 0;
    for (; len - i >= 4; i += 4) {
        int a = base64_values[in[i]], b = base64_values[in[i + 1]];
        int c = base64_values[in[i + 2]], d = base64_values[in[i + 3]];
        if ((a | b | c | d) < 0)
            break;
        out[o++] = (unsigned char) (a << 2 | b >> 4);
        out[o++] = (unsigned char) (b << 4 | c >> 2);
        out[o++] = (unsigned char) (c << 6 | d);
    }
    *ret_used = i;
    return o;
}

void base64_encode_groups_portable(const unsigned char *in, size_t len, char *out)
{
    for (size_t i = 0; i + 2 < len; i += 3, out += 4) {
        uint32_t v = (uint32_t) in[i] << 16 | (uint32_t) in[i + 1] << 8 | in[i + 2];
        out[0] = base64_alphabet[v >> 18];
        out[1] = base64_alphabet[v >> 12 & 63];
        out[2] = base64_alphabet[v >> 6 & 63];
        out[3] = base64_alphabet[v & 63];
    }
}

/* The length of the line end at the front of `in`, 0 where there is none. */
static inline size_t line_end(const unsigned char *in, size_t len)
{
    if (len && in[0] == '\n')
        return 1;
    return len >= 2 && in[0] == '\r' && in[1] == '\n' ? 2 : 0;
}

size_t base64_decode_lines_portable(const unsigned char *in, size_t len, unsigned char *out, size_t *ret_used)
{
    size_t i = 0, o = 0, used, end;
    do {
        o += base64_decode_groups_portable(in + i, len - i, out + o, &used);
        i += used;
        end = line_end(in + i, len - i);
        i += end;
    } while (end);
    *ret_used = i;
    return o;
}

void base64_encode_lines_portable(const unsigned char *in, size_t len, char *out)
{
    for (; len; in += BASE64_LINE, len -= BASE64_LINE, out += BASE64_LINE_TEXT) {
        base64_encode_groups_portable(in, BASE64_LINE, out);
        memcpy(out + BASE64_LINE_TEXT - 2, "\r\n", 2);
    }
}

#if HAVE_AVX2_PATH

#define AVX2 __attribute__((target("avx2")))
#define AVX2_INLINE __attribute__((target("avx2"), always_inline)) static inline
#define TWICE(...) _mm256_setr_epi8(__VA_ARGS__, __VA_ARGS__) /* the same table for both halves */

/* 32 characters to 24 bytes. A character is told by the two halves of its code: what the upper half allows (2: + and /, 3:
 * digits, 4 and 6: all but 0, 5 and 7: up to 10) has a bit of its own, and the lower half knows the bits that it does not
 * fit. Lanes that are not zero in the result are characters outside the alphabet. */
AVX2_INLINE __m256i decode_32(const unsigned char *in, unsigned char *out)
{
    const __m256i half = _mm256_set1_epi8(0x0f);
    const __m256i by_upper = TWICE(16, 16, 1, 2, 4, 8, 4, 8, 16, 16, 16, 16, 16, 16, 16, 16);
    const __m256i by_lower = TWICE(21, 17, 17, 17, 17, 17, 17, 17, 17, 17, 19, 26, 27, 27, 27, 26);
    /* From the character to its value; the slash, which shares its row with the plus, has the place before it. */
    const __m256i distance =
        TWICE(0, 63 - '/', 62 - '+', 52 - '0', 0 - 'A', 0 - 'A', 26 - 'a', 26 - 'a', 0, 0, 0, 0, 0, 0, 0, 0);
    __m256i c = _mm256_loadu_si256((const __m256i *) (const void *) in);
    __m256i upper = _mm256_and_si256(_mm256_srli_epi32(c, 4), half), lower = _mm256_and_si256(c, half);
    __m256i outside = _mm256_and_si256(_mm256_shuffle_epi8(by_upper, upper), _mm256_shuffle_epi8(by_lower, lower));
    __m256i place = _mm256_add_epi8(upper, _mm256_cmpeq_epi8(c, _mm256_set1_epi8('/')));
    __m256i v = _mm256_add_epi8(c, _mm256_shuffle_epi8(distance, place));
    /* 6 + 6 bits to 12, 12 + 12 to 24, and the three bytes of each 24 in their order. */
    v = _mm256_maddubs_epi16(v, _mm256_set1_epi32(0x01400140));
    v = _mm256_madd_epi16(v, _mm256_set1_epi32(0x00011000));
    v = _mm256_shuffle_epi8(v, TWICE(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1));
    v = _mm256_permutevar8x32_epi32(v, _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7));
    _mm256_storeu_si256((__m256i *) (void *) out, v);
    return outside;
}

AVX2 static size_t decode_groups_avx2(const unsigned char *in, size_t len, unsigned char *out, size_t *ret_used)
{
    size_t i = 0, o = 0, used;
    for (; len - i >= 32; i += 32, o += 24) {
        __m256i bad = decode_32(in + i, out + o);
        if (_mm256_testz_si256(bad, bad))
            continue;
        /* The groups before the first such character are good. */
        uint32_t good = (uint32_t) _mm256_movemask_epi8(_mm256_cmpeq_epi8(bad, _mm256_setzero_si256()));
        size_t groups = (size_t) __builtin_ctz(~good) / 4;
        *ret_used = i + groups * 4;
        return o + groups * 3;
    }
    o += base64_decode_groups_portable(in + i, len - i, out + o, &used);
    *ret_used = i + used;
    return o;
}

/* A line of `n` characters, a multiple of four and at least 32: its last block overlaps the one before. */
AVX2_INLINE bool decode_line(const unsigned char *in, size_t n, unsigned char *out)
{
    __m256i bad = _mm256_setzero_si256();
    for (size_t k = 0; k + 32 < n; k += 32)
        bad = _mm256_or_si256(bad, decode_32(in + k, out + k / 4 * 3));
    bad = _mm256_or_si256(bad, decode_32(in + n - 32, out + (n - 32) / 4 * 3));
    return _mm256_testz_si256(bad, bad);
}

/* Lines are as long as the one before until they are not. */
AVX2 static size_t decode_lines_avx2(const unsigned char *in, size_t len, unsigned char *out, size_t *ret_used)
{
    size_t i = 0, o = 0, n = 76, used, end;
    do {
        for (; len - i >= n + 2 && in[i + n] == '\r' && in[i + n + 1] == '\n'; i += n + 2, o += n / 4 * 3)
            if (n == 76 ? !decode_line(in + i, 76, out + o) : !decode_line(in + i, n, out + o))
                break;
        o += decode_groups_avx2(in + i, len - i, out + o, &used);
        i += used;
        end = line_end(in + i, len - i);
        i += end;
        if (end == 2 && used >= 32)
            n = used;
    } while (end);
    *ret_used = i;
    return o;
}

/* 24 bytes to 32 characters; reads 28 bytes. */
AVX2_INLINE void encode_24(const unsigned char *in, char *out)
{
    __m128i low = _mm_loadu_si128((const __m128i *) (const void *) in);
    __m128i high = _mm_loadu_si128((const __m128i *) (const void *) (in + 12));
    __m256i v = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
    /* Each three bytes a b c as b a c b in a word of 32 bits … */
    v = _mm256_shuffle_epi8(v, TWICE(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10));
    /* … of which four groups of six bits are moved to a byte each. */
    __m256i odd = _mm256_mulhi_epu16(_mm256_and_si256(v, _mm256_set1_epi32(0x0fc0fc00)), _mm256_set1_epi32(0x04000040));
    __m256i even = _mm256_mullo_epi16(_mm256_and_si256(v, _mm256_set1_epi32(0x003f03f0)), _mm256_set1_epi32(0x01000010));
    v = _mm256_or_si256(odd, even);
    /* A place for each distance: 0 for small letters, 1 to 10 for digits, 11 and 12 for the marks, 13 for capitals. */
    const __m256i distance = TWICE('a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
                                   '0' - 52, '0' - 52, '+' - 62, '/' - 63, 'A', 0, 0);
    __m256i place = _mm256_subs_epu8(v, _mm256_set1_epi8(51));
    __m256i capital = _mm256_and_si256(_mm256_cmpgt_epi8(_mm256_set1_epi8(26), v), _mm256_set1_epi8(13));
    place = _mm256_or_si256(place, capital);
    _mm256_storeu_si256((__m256i *) (void *) out, _mm256_add_epi8(v, _mm256_shuffle_epi8(distance, place)));
}

AVX2 static void encode_groups_avx2(const unsigned char *in, size_t len, char *out)
{
    size_t i = 0;
    for (; len - i >= 28; i += 24, out += 32)
        encode_24(in + i, out);
    base64_encode_groups_portable(in + i, len - i, out);
}

AVX2 static void encode_lines_avx2(const unsigned char *in, size_t len, char *out)
{
    /* A line is three blocks, the last of which overlaps the second and reads four bytes of the next line. */
    for (; len > BASE64_LINE; in += BASE64_LINE, len -= BASE64_LINE, out += BASE64_LINE_TEXT) {
        encode_24(in, out);
        encode_24(in + 24, out + 32);
        encode_24(in + 33, out + 44);
        memcpy(out + BASE64_LINE_TEXT - 2, "\r\n", 2);
    }
    base64_encode_lines_portable(in, len, out);
}

static bool use_avx2(void)
{
    return __builtin_cpu_supports("avx2");
}

#else

#define decode_groups_avx2 base64_decode_groups_portable
#define decode_lines_avx2 base64_decode_lines_portable
#define encode_groups_avx2 base64_encode_groups_portable
#define encode_lines_avx2 base64_encode_lines_portable

static bool use_avx2(void)
{
    return false;
}

#endif

size_t base64_decode_groups(const unsigned char *in, size_t len, unsigned char *out, size_t *ret_used)
{
    return (use_avx2() ? decode_groups_avx2 : base64_decode_groups_portable)(in, len, out, ret_used);
}

size_t base64_decode_lines(const unsigned char *in, size_t len, unsigned char *out, size_t *ret_used)
{
    return (use_avx2() ? decode_lines_avx2 : base64_decode_lines_portable)(in, len, out, ret_used);
}

void base64_encode_groups(const unsigned char *in, size_t len, char *out)
{
    (use_avx2() ? encode_groups_avx2 : base64_encode_groups_portable)(in, len, out);
}

void base64_encode_lines(const unsigned char *in, size_t len, char *out)
{
    (use_avx2() ? encode_lines_avx2 : base64_encode_lines_portable)(in, len, out);
}
