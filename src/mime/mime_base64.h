/* SPDX-License-Identifier: MIT */
/* The inner loops of base64, chosen at run time. Internal to the room. */
#ifndef POSTERN_MIME_BASE64_H
#define POSTERN_MIME_BASE64_H

#include "macros.h"

/* Decodes groups of four from the front of `in`, up to the first character outside the alphabet; *ret_used is a
 * multiple of four. Writes up to 32 bytes behind the result. Returns the bytes decoded. */
typedef size_t mime_base64_decode_fn(const unsigned char *in, size_t len, unsigned char *out, size_t *ret_used);
mime_base64_decode_fn *mime_base64_decoder(void);
mime_base64_decode_fn mime_base64_decode_portable;

/* Encodes a multiple of three bytes. */
typedef void mime_base64_encode_fn(const unsigned char *in, size_t len, char *out);
mime_base64_encode_fn *mime_base64_encoder(void);
mime_base64_encode_fn mime_base64_encode_portable;

extern const signed char mime_base64_values[256]; /* -1: not in the alphabet */
extern const char mime_base64_alphabet[64];

#endif
