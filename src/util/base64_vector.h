/* SPDX-License-Identifier: MIT */
/* The inner loops of base64: vector code where the machine has it, chosen at run time, and the portable code that does the
 * same. Pure functions. */
#ifndef POSTERN_BASE64_VECTOR_H
#define POSTERN_BASE64_VECTOR_H

#include <stdbool.h>
#include <stddef.h>

#define BASE64_LINE 57       /* bytes that a line of mail holds (RFC 2045: 76 characters) */
#define BASE64_LINE_TEXT 78  /* … and its characters with CRLF */
#define BASE64_BEHIND 32     /* bytes behind the result that a decoder may write */

/* Groups of four characters from the front of `in`, up to the first one that has another character in it; *ret_used is what was
 * taken. May write BASE64_BEHIND bytes behind the result, never beyond the end of `in` where `out` is `in`. Returns the bytes
 * decoded. */
typedef size_t base64_decode_fn(const unsigned char *in, size_t len, unsigned char *out, size_t *ret_used);
base64_decode_fn base64_decode_groups, base64_decode_groups_portable;
/* The same, and line ends (CRLF, LF) that stand behind whole groups are passed over. */
base64_decode_fn base64_decode_lines, base64_decode_lines_portable;

/* Encodes a multiple of three bytes. */
typedef void base64_encode_fn(const unsigned char *in, size_t len, char *out);
base64_encode_fn base64_encode_groups, base64_encode_groups_portable;
/* Encodes a multiple of BASE64_LINE bytes in lines with CRLF. */
base64_encode_fn base64_encode_lines, base64_encode_lines_portable;

extern const signed char base64_values[256]; /* -1: not in the alphabet */
extern const char base64_alphabet[64];

#endif
