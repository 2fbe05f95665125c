/* SPDX-License-Identifier: MIT */
#include "json_reader.h"

#include <errno.h>

/* The exponent behind 'e', bounded: beyond the bound the value is 0 or out of range anyway. */
static int64_t exponent(struct slice s)
{
    bool negative = s.len && s.data[0] == '-';
    int64_t v = 0;

    for (size_t i = 0; i < s.len; i++)
        if (ascii_is_digit(s.data[i]) && v < INT32_MAX)
            v = v * 10 + (s.data[i] - '0');
    return negative ? -v : v;
}

int json_number_to_int(struct slice s, int64_t *ret)
{
    bool negative = s.data[0] == '-';
    struct slice mantissa = slice_from(s, negative);
    size_t e = MIN(slice_find(mantissa, 'e'), slice_find(mantissa, 'E'));
    int64_t point = (int64_t) MIN(slice_find(slice_to(mantissa, e), '.'), e) + exponent(slice_from(mantissa, e + 1));
    uint64_t v = 0;
    int64_t at = 0; /* digits seen; those before the point, which the exponent has moved, are the value */

    mantissa.len = e;
    for (size_t i = 0; i < mantissa.len; i++) {
        if (mantissa.data[i] == '.')
            continue;
        unsigned digit = (unsigned) (mantissa.data[i] - '0');
        if (at++ >= point) {
            if (digit)
                return -EINVAL;
        } else if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, digit, &v)) {
            return -ERANGE;
        }
    }
    for (; at < point && v; at++)
        if (__builtin_mul_overflow(v, 10, &v))
            return -ERANGE;
    if (v > (uint64_t) INT64_MAX + negative)
        return -ERANGE;
    *ret = negative ? (int64_t) (0 - v) : (int64_t) v;
    return 0;
}
