/* SPDX-License-Identifier: MIT */
#include "mime_scan.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define HAVE_AVX2_PATH 1
#else
#define HAVE_AVX2_PATH 0
#endif

size_t mime_find_dash_line_portable(struct slice s)
{
    size_t i = 0;
    while (i + 2 < s.len) {
        const char *lf = memchr(s.data + i, '\n', s.len - 2 - i);
        if (!lf)
            break;
        if (lf[1] == '-' && lf[2] == '-')
            return (size_t) (lf - s.data);
        i = (size_t) (lf - s.data) + 1;
    }
    return s.len;
}

#if HAVE_AVX2_PATH

/* Bits for the places among 32 where a line feed and a dash stand. */
__attribute__((target("avx2"), always_inline)) static inline __m256i line_and_dash(const char *at)
{
    __m256i a = _mm256_loadu_si256((const __m256i *) (const void *) at);
    __m256i b = _mm256_loadu_si256((const __m256i *) (const void *) (at + 1));
    return _mm256_and_si256(_mm256_cmpeq_epi8(a, _mm256_set1_epi8('\n')), _mm256_cmpeq_epi8(b, _mm256_set1_epi8('-')));
}

/* 128 places at once. What makes it look closer is at least two bytes long: there is no input that makes it slow. */
__attribute__((target("avx2"))) static size_t find_avx2(struct slice s)
{
    size_t i = 0;
    for (; s.len - i >= 130; i += 128) {
        const char *at = s.data + i;
        __m256i h0 = line_and_dash(at), h1 = line_and_dash(at + 32), h2 = line_and_dash(at + 64), h3 = line_and_dash(at + 96);
        __m256i any = _mm256_or_si256(_mm256_or_si256(h0, h1), _mm256_or_si256(h2, h3));
        if (_mm256_testz_si256(any, any))
            continue;
        uint64_t low = (uint32_t) _mm256_movemask_epi8(h0) | (uint64_t) (uint32_t) _mm256_movemask_epi8(h1) << 32;
        uint64_t high = (uint32_t) _mm256_movemask_epi8(h2) | (uint64_t) (uint32_t) _mm256_movemask_epi8(h3) << 32;
        for (; low; low &= low - 1)
            if (at[__builtin_ctzll(low) + 2] == '-')
                return i + (size_t) __builtin_ctzll(low);
        for (; high; high &= high - 1)
            if (at[__builtin_ctzll(high) + 66] == '-')
                return i + 64 + (size_t) __builtin_ctzll(high);
    }
    return i + mime_find_dash_line_portable(slice_from(s, i));
}

size_t mime_find_dash_line(struct slice s)
{
    return (__builtin_cpu_supports("avx2") ? find_avx2 : mime_find_dash_line_portable)(s);
}

#else

size_t mime_find_dash_line(struct slice s)
{
    return mime_find_dash_line_portable(s);
}

#endif
