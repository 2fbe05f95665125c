/* SPDX-License-Identifier: MIT */
/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. Pure functions. */
#ifndef POSTERN_UTF8_H
#define POSTERN_UTF8_H

#include "macros.h"
#include "slice.h"

#define UTF8_REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* Bytes of the well-formed character at `p` (1 to 4), 0 when there is none. */
size_t utf8_char_len(const char *p, size_t len);
/* Length of the longest well-formed prefix; equal to `len` when all of it is. */
size_t utf8_valid_prefix(const char *p, size_t len);
static inline bool utf8_is_valid(struct slice s)
{
    return utf8_valid_prefix(s.data, s.len) == s.len;
}
/* Writes `cp` to `out`; returns its bytes (1 to 4), 0 for what is no scalar value. */
size_t utf8_encode(uint32_t cp, char out[4]);
/* The character at `p` into *ret; returns its bytes, 0 when there is none. */
size_t utf8_decode(const char *p, size_t len, uint32_t *ret);

/* Validity of bytes that come in pieces; start with {0}. Once bad, bad for good. */
struct utf8_state {
    unsigned char pending[4];
    unsigned char n_pending;
    bool bad;
    bool has_nul;
};
void utf8_state_feed(struct utf8_state *st, const char *p, size_t len);
/* After the last piece: valid, and no character was left unfinished. */
static inline bool utf8_state_ok(const struct utf8_state *st)
{
    return !st->bad && st->n_pending == 0;
}

#endif
