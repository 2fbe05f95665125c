/* SPDX-License-Identifier: MIT */
/* A pull tokenizer over one complete JSON text (RFC 8259), in place. The caller asks for what it expects, value by
 * value; strings are validated and unescaped where they stand and come back as slices of the text, which therefore
 * must be writable and must outlive them. Each part of a text may be read once; json_read_skip() alone changes
 * nothing, so what was skipped can be read later by a reader of its own.
 *
 * Accepted is exactly RFC 8259 in UTF-8, and in addition: no byte order mark, no unpaired surrogate (neither as an
 * escape nor in UTF-8), no object with two equal keys (compared unescaped), no nesting deeper than JSON_DEPTH_MAX.
 * "\u0000" is read: what may hold a NUL is the caller's matter. Time is linear in the text, memory is bounded by
 * JSON_KEYS_MAX keys of objects open at once.
 *
 * Functions return 0 or more, or a negative errno: -EBADMSG (not JSON; json_reader.error says what, sticky),
 * -EINVAL (JSON, but not of the type asked for; nothing was consumed), -ERANGE (a number that does not fit;
 * consumed), -ENOMEM (sticky). Not thread-safe; no state outside the reader. */
#ifndef POSTERN_JSON_READER_H
#define POSTERN_JSON_READER_H

#include "macros.h"
#include "slice.h"

#define JSON_DEPTH_MAX 64
#define JSON_KEYS_MAX (1u << 17) /* keys of the objects that are open at once, over all levels */

/* What stands next. */
enum json_token {
    JSON_TOKEN_OBJECT,
    JSON_TOKEN_ARRAY,
    JSON_TOKEN_STRING,
    JSON_TOKEN_NUMBER,
    JSON_TOKEN_TRUE,
    JSON_TOKEN_FALSE,
    JSON_TOKEN_NULL
};

/* Keys of the open objects, for finding duplicates, as hashes of 64 bits under the process's secret key: two
 * different keys are taken for equal once in some 10^9 objects of 100,000 keys. A reader takes nothing from the heap
 * for small objects. One keyset may serve any number of readers, one after the other. */
struct json_keyset {
    uint64_t *hashes; /* a stack over all open objects; NULL: `few` */
    size_t n, cap;
    uint32_t *slots; /* open addressing, for objects of many keys: index into hashes + 1 */
    size_t n_slots, n_indexed;
    uint64_t seed;
    uint64_t few[32];
};
void json_keyset_init(struct json_keyset *keys);
/* Gives memory back; the keyset may be used again. */
void json_keyset_done(struct json_keyset *keys);

struct json_reader {
    char *p, *end;
    char *start;
    unsigned depth;
    bool first;   /* no member or item of the innermost container has been read yet */
    bool trusted; /* the text was skipped over before: keys and UTF-8 need no second check */
    uint64_t is_object; /* one bit a level */
    uint64_t indexed;   /* likewise: its keys are in the keyset's slots */
    uint32_t base[JSON_DEPTH_MAX]; /* per level: its first key in the keyset */
    struct json_keyset *keys;
    const char *error; /* static text; NULL: none */
    int failed;        /* 0, -EBADMSG or -ENOMEM */
};

/* `text` stays the caller's, is written to, and is not terminated by NUL. `keys` must outlive the reader. */
void json_reader_init(struct json_reader *r, char *text, size_t len, struct json_keyset *keys);
/* A reader over a value that another reader has skipped with json_read_skip(): nothing is checked twice.
 * `depth`: levels around the value, counted against JSON_DEPTH_MAX. */
void json_reader_init_part(struct json_reader *r, struct slice part, unsigned depth, struct json_keyset *keys);

/* The type of the next value, without consuming anything. */
int json_read_peek(struct json_reader *r) ATTR_WARN_UNUSED; /* an enum json_token, or -EBADMSG */

/* Consumes the opening brace; then call json_read_member() until it does not return 1. */
int json_read_object(struct json_reader *r) ATTR_WARN_UNUSED;
/* 1: a member follows, its key is in *ret and its value must be read or skipped next; 0: the object has ended. */
int json_read_member(struct json_reader *r, struct slice *ret_key) ATTR_WARN_UNUSED;
int json_read_array(struct json_reader *r) ATTR_WARN_UNUSED;
/* 1: an item follows and must be read or skipped next; 0: the array has ended. */
int json_read_item(struct json_reader *r) ATTR_WARN_UNUSED;

int json_read_string(struct json_reader *r, struct slice *ret) ATTR_WARN_UNUSED;
int json_read_bool(struct json_reader *r, bool *ret) ATTR_WARN_UNUSED;
int json_read_null(struct json_reader *r) ATTR_WARN_UNUSED;
/* An integer without fraction; "1.0" and "1e2" are integers too. -EINVAL: has a fraction (consumed). */
int json_read_int(struct json_reader *r, int64_t *ret) ATTR_WARN_UNUSED;
/* Any number, as the text that it is. */
int json_read_number(struct json_reader *r, struct slice *ret) ATTR_WARN_UNUSED;
/* A well-formed number (as json_read_number() gives it) as an integer; errors as above. */
int json_number_to_int(struct slice number, int64_t *ret) ATTR_WARN_UNUSED;
/* Any value, checked in every respect and left as it is; *ret (may be NULL): its text. */
int json_read_skip(struct json_reader *r, struct slice *ret) ATTR_WARN_UNUSED;
/* Nothing but white space may follow the value that was read. */
int json_read_end(struct json_reader *r) ATTR_WARN_UNUSED;

/* Where reading stopped, as an offset, for error texts. */
static inline size_t json_reader_offset(const struct json_reader *r)
{
    return (size_t) (r->p - r->start);
}

#endif
