/* SPDX-License-Identifier: MIT */
/* Base64 (RFC 4648 section 4: padded, no white space) and hexadecimal, for credentials, challenges and JSON
 * contents. Mail's own base64, with its line ends and damages, is mime's matter. Pure functions. */
#ifndef POSTERN_BASE64_H
#define POSTERN_BASE64_H

#include "macros.h"
#include "slice.h"

static inline size_t base64_encoded_len(size_t n)
{
    return (n + 2) / 3 * 4;
}
/* Most bytes that `n` characters can stand for. */
static inline size_t base64_decoded_max(size_t n)
{
    return n / 4 * 3;
}

/* `out` has room for base64_encoded_len(len); returns that length. No NUL is written. */
size_t base64_encode(const void *data, size_t len, char *out);
/* Strict; `out` has room for base64_decoded_max(len) and may be the input itself. -EINVAL for anything else than
 * canonical base64. */
int base64_decode(const char *text, size_t len, void *out, size_t *ret_len) ATTR_WARN_UNUSED;

/* Lower-case; `out` has room for 2 * len. */
void hex_encode(const void *data, size_t len, char *out);

#endif
