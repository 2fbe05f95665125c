/* SPDX-License-Identifier: MIT */
/* Writes JSON into a buffer, value after value; commas come by themselves. Errors are sticky (-ENOMEM, -EMSGSIZE:
 * the buffer's limit), so that a whole answer is written first and json_writer.error is looked at once. Strings
 * may be any bytes: what is not UTF-8, and NUL, becomes U+FFFD, so that the output is always valid. A writer whose
 * buffer is NULL writes nowhere and succeeds. Not thread-safe. */
#ifndef POSTERN_JSON_WRITER_H
#define POSTERN_JSON_WRITER_H

#include "buffer.h"
#include "macros.h"
#include "slice.h"

struct json_writer {
    struct buffer *out; /* borrowed; NULL: write nowhere */
    bool comma;         /* a value stands before this place */
    int error;          /* 0, or the first error */
};

static inline void json_writer_init(struct json_writer *w, struct buffer *out)
{
    *w = (struct json_writer){.out = out};
}

void json_write_object_begin(struct json_writer *w);
void json_write_object_end(struct json_writer *w);
void json_write_array_begin(struct json_writer *w);
void json_write_array_end(struct json_writer *w);
/* The key of the next value. */
void json_write_key(struct json_writer *w, const char *key);
void json_write_key_slice(struct json_writer *w, struct slice key);

void json_write_string(struct json_writer *w, struct slice s);
void json_write_str(struct json_writer *w, const char *s); /* NULL: null */
/* A string, or null when its pointer is NULL. */
void json_write_string_or_null(struct json_writer *w, struct slice s);
void json_write_int(struct json_writer *w, int64_t v);
void json_write_uint(struct json_writer *w, uint64_t v);
void json_write_bool(struct json_writer *w, bool v);
void json_write_null(struct json_writer *w);
/* JSON that is known to be valid, as it is. */
void json_write_raw(struct json_writer *w, struct slice json);
/* A string that holds the base64 of the bytes. */
void json_write_base64(struct json_writer *w, struct slice bytes);

/* Key and value in one call. */
void json_write_member_string(struct json_writer *w, const char *key, struct slice s);
void json_write_member_str(struct json_writer *w, const char *key, const char *s);
void json_write_member_int(struct json_writer *w, const char *key, int64_t v);
void json_write_member_uint(struct json_writer *w, const char *key, uint64_t v);
void json_write_member_bool(struct json_writer *w, const char *key, bool v);
void json_write_member_null(struct json_writer *w, const char *key);

/* A string whose bytes come in pieces: json_write_string_begin(), any number of json_encode_*() calls with the same
 * encoder and out = w->out, then json_write_string_end(). The encoders can also be used on any other buffer, when
 * the bytes between the two quotes are produced as a client drains them. They return 0, -ENOMEM or -EMSGSIZE; after
 * a failure nothing of the piece counts and the call may be repeated. Start with {0}; `last`: no more pieces. */
void json_write_string_begin(struct json_writer *w);
void json_write_string_end(struct json_writer *w);

struct json_text_encoder {
    unsigned char pending[4]; /* beginning of a character that the next piece continues */
    unsigned char n_pending;
};
/* Most bytes that json_encode_text() and json_encode_base64() append for `n` bytes. */
#define JSON_ENCODED_TEXT_MAX(n) (6 * (n) + 24)
#define JSON_ENCODED_BASE64_MAX(n) (((n) + 4) / 3 * 4 + 4)
int json_encode_text(struct json_text_encoder *e, struct buffer *out, struct slice piece, bool last) ATTR_WARN_UNUSED;

struct json_base64_encoder {
    unsigned char pending[3];
    unsigned char n_pending;
};
int json_encode_base64(struct json_base64_encoder *e, struct buffer *out, struct slice piece, bool last)
    ATTR_WARN_UNUSED;

#endif
