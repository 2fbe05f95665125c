/* SPDX-License-Identifier: MIT */
#include "mime_base64.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define HAVE_AVX2_PATH 1
#else
#define HAVE_AVX2_PATH 0
#endif

const char mime_base64_alphabet[64] = {
    'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', 'P', 'Q', 'R', 'S', 'T', 'U', 'V',
    'W', 'X', 'Y', 'Z', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r',
    's', 't', 'u', 'v', 'w', 'x', 'y', 'z', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '+', '/',
};

/* clang-format off */
const signed char mime_base64_values[256] = {
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

size_t mime_base64_decode_portable(const unsigned char *in, size_t len, unsigned char *out, size_t *ret_used)
{
    size_t i = 0, o = 0;
    for (; len - i >= 4; i += 4) {
        int a = mime_base64_values[in[i]], b = mime_base64_values[in[i + 1]];
        int c = mime_base64_values[in[i + 2]], d = mime_base64_values[in[i + 3]];
        if ((a | b | c | d) < 0)
            break;
        out[o++] = (unsigned char) (a << 2 | b >> 4);
        out[o++] = (unsigned char) (b << 4 | c >> 2);
        out[o++] = (unsigned char) (c << 6 | d);
    }
    *ret_used = i;
    return o;
}

void mime_base64_encode_portable(const unsigned char *in, size_t len, char *out)
{
    for (size_t i = 0; i + 2 < len; i += 3, out += 4) {
        uint32_t v = (uint32_t) in[i] << 16 | (uint32_t) in[i + 1] << 8 | in[i + 2];
        out[0] = mime_base64_alphabet[v >> 18];
        out[1] = mime_base64_alphabet[v >> 12 & 63];
        out[2] = mime_base64_alphabet[v >> 6 & 63];
        out[3] = mime_base64_alphabet[v & 63];
    }
}

#if HAVE_AVX2_PATH

/* 32 characters at once: each of the five ranges of the alphabet is compared for, and has its own distance to the
 * values. What is outside all ranges shows in the mask. Where a line ends inside the block, the groups before its end
 * are good all the same, so that a line of 76 takes three blocks and no single step. */
__attribute__((target("avx2"))) static inline __m256i between(__m256i c, char low, char high)
{
    return _mm256_and_si256(_mm256_cmpgt_epi8(c, _mm256_set1_epi8((char) (low - 1))),
                            _mm256_cmpgt_epi8(_mm256_set1_epi8((char) (high + 1)), c));
}

__attribute__((target("avx2"))) static size_t decode_avx2(const unsigned char *in, size_t len, unsigned char *out,
                                                          size_t *ret_used)
{
    size_t i = 0, o = 0;
    while (len - i >= 32) {
        __m256i c = _mm256_loadu_si256((const __m256i *) (const void *) (in + i));
        __m256i upper = between(c, 'A', 'Z'), lower = between(c, 'a', 'z'), digit = between(c, '0', '9');
        __m256i plus = _mm256_cmpeq_epi8(c, _mm256_set1_epi8('+'));
        __m256i slash = _mm256_cmpeq_epi8(c, _mm256_set1_epi8('/'));
        __m256i any =
            _mm256_or_si256(_mm256_or_si256(upper, lower), _mm256_or_si256(digit, _mm256_or_si256(plus, slash)));
        uint32_t outside = ~(uint32_t) _mm256_movemask_epi8(any);
        __m256i distance = _mm256_and_si256(upper, _mm256_set1_epi8(0 - 'A'));
        distance = _mm256_or_si256(distance, _mm256_and_si256(lower, _mm256_set1_epi8(26 - 'a')));
        distance = _mm256_or_si256(distance, _mm256_and_si256(digit, _mm256_set1_epi8(52 - '0')));
        distance = _mm256_or_si256(distance, _mm256_and_si256(plus, _mm256_set1_epi8(62 - '+')));
        distance = _mm256_or_si256(distance, _mm256_and_si256(slash, _mm256_set1_epi8(63 - '/')));
        __m256i v = _mm256_add_epi8(c, distance);
        /* 6 + 6 bits to 12, 12 + 12 to 24, and the three bytes of each 24 in their order. */
        v = _mm256_maddubs_epi16(v, _mm256_set1_epi32(0x01400140));
        v = _mm256_madd_epi16(v, _mm256_set1_epi32(0x00011000));
        v = _mm256_shuffle_epi8(v, _mm256_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1, 2, 1, 0, 6,
                                                    5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1));
        v = _mm256_permutevar8x32_epi32(v, _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7));
        _mm256_storeu_si256((__m256i *) (void *) (out + o), v);
        if (outside) {
            size_t groups = (size_t) __builtin_ctz(outside) / 4;
            *ret_used = i + groups * 4;
            return o + groups * 3;
        }
        i += 32;
        o += 24;
    }
    size_t used;
    o += mime_base64_decode_portable(in + i, len - i, out + o, &used);
    *ret_used = i + used;
    return o;
}

/* 24 bytes to 32 characters. */
__attribute__((target("avx2"))) static void encode_avx2(const unsigned char *in, size_t len, char *out)
{
    size_t i = 0;
    for (; len - i >= 28; i += 24, out += 32) {
        __m128i low = _mm_loadu_si128((const __m128i *) (const void *) (in + i));
        __m128i high = _mm_loadu_si128((const __m128i *) (const void *) (in + i + 12));
        __m256i v = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
        /* Each three bytes a b c as b a c b in a word of 32 bits … */
        v = _mm256_shuffle_epi8(v, _mm256_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10, 1, 0, 2, 1, 4, 3,
                                                    5, 4, 7, 6, 8, 7, 10, 9, 11, 10));
        /* … of which four groups of six bits are moved to a byte each. */
        __m256i odd =
            _mm256_mulhi_epu16(_mm256_and_si256(v, _mm256_set1_epi32(0x0fc0fc00)), _mm256_set1_epi32(0x04000040));
        __m256i even =
            _mm256_mullo_epi16(_mm256_and_si256(v, _mm256_set1_epi32(0x003f03f0)), _mm256_set1_epi32(0x01000010));
        v = _mm256_or_si256(odd, even);
        __m256i distance = _mm256_set1_epi8('A');
        __m256i past_upper = _mm256_cmpgt_epi8(v, _mm256_set1_epi8(25));
        __m256i past_lower = _mm256_cmpgt_epi8(v, _mm256_set1_epi8(51));
        __m256i plus = _mm256_cmpeq_epi8(v, _mm256_set1_epi8(62));
        __m256i slash = _mm256_cmpeq_epi8(v, _mm256_set1_epi8(63));
        distance = _mm256_blendv_epi8(distance, _mm256_set1_epi8('a' - 26), past_upper);
        distance = _mm256_blendv_epi8(distance, _mm256_set1_epi8('0' - 52), past_lower);
        distance = _mm256_blendv_epi8(distance, _mm256_set1_epi8('+' - 62), plus);
        distance = _mm256_blendv_epi8(distance, _mm256_set1_epi8('/' - 63), slash);
        _mm256_storeu_si256((__m256i *) (void *) out, _mm256_add_epi8(v, distance));
    }
    mime_base64_encode_portable(in + i, len - i, out);
}

mime_base64_decode_fn *mime_base64_decoder(void)
{
    return __builtin_cpu_supports("avx2") ? decode_avx2 : mime_base64_decode_portable;
}

mime_base64_encode_fn *mime_base64_encoder(void)
{
    return __builtin_cpu_supports("avx2") ? encode_avx2 : mime_base64_encode_portable;
}

#else

mime_base64_decode_fn *mime_base64_decoder(void)
{
    return mime_base64_decode_portable;
}

mime_base64_encode_fn *mime_base64_encoder(void)
{
    return mime_base64_encode_portable;
}

#endif
