/* SPDX-License-Identifier: MIT */
/* A byte buffer that grows up to a limit which it is given at birth: whatever a peer sends, it cannot make a
 * buffer grow further. Bytes are appended at the end and consumed at the front. Every function that adds bytes
 * returns 0, -ENOMEM, or -EMSGSIZE (the limit); on failure nothing has been added. Not thread-safe. */
#ifndef POSTERN_BUFFER_H
#define POSTERN_BUFFER_H

#include "macros.h"
#include "slice.h"

#include <stdarg.h>

struct buffer {
    char *data;   /* allocation, or NULL */
    size_t start; /* first byte that is not consumed */
    size_t end;   /* behind the last byte */
    size_t cap;   /* bytes allocated */
    size_t max;   /* bytes it may hold */
    bool secret;  /* wipe what is left behind when moving, shrinking and freeing */
};

/* `max`: bytes that may wait in it at once. */
void buffer_init(struct buffer *b, size_t max);
/* The same for bytes that must not survive in freed memory. */
void buffer_init_secret(struct buffer *b, size_t max);
void buffer_done(struct buffer *b);

static inline size_t buffer_len(const struct buffer *b)
{
    return b->end - b->start;
}

/* The waiting bytes; valid until the next call that changes the buffer. */
static inline struct slice buffer_slice(const struct buffer *b)
{
    return (struct slice){b->data ? b->data + b->start : NULL, b->end - b->start};
}

/* Room for more, as far as the limit allows. */
static inline size_t buffer_room(const struct buffer *b)
{
    return b->max - buffer_len(b);
}

int buffer_append(struct buffer *b, const void *data, size_t len) ATTR_WARN_UNUSED;
int buffer_append_slice(struct buffer *b, struct slice s) ATTR_WARN_UNUSED;
/* Most often there is room: then it is a store. */
ATTR_WARN_UNUSED static inline int buffer_append_char(struct buffer *b, char c)
{
    if (b->end < b->cap && buffer_len(b) < b->max) {
        b->data[b->end++] = c;
        return 0;
    }
    return buffer_append(b, &c, 1);
}
int buffer_printf(struct buffer *b, const char *fmt, ...) ATTR_PRINTF(2, 3) ATTR_WARN_UNUSED;
int buffer_vprintf(struct buffer *b, const char *fmt, va_list ap) ATTR_PRINTF(2, 0) ATTR_WARN_UNUSED;
/* Decimal digits of `v`, without printf's cost. */
int buffer_append_u64(struct buffer *b, uint64_t v) ATTR_WARN_UNUSED;

/* Makes room for `len` bytes behind the end and gives the place in *ret; buffer_commit() makes them count. */
static inline int buffer_reserve(struct buffer *b, size_t len, char **ret) ATTR_WARN_UNUSED;
static inline void buffer_commit(struct buffer *b, size_t len)
{
    b->end += len;
}

/* Drops `len` bytes (at most all) at the front. */
void buffer_consume(struct buffer *b, size_t len);
/* Cuts the buffer to its first `len` bytes; no effect when it is shorter. */
void buffer_truncate(struct buffer *b, size_t len);
/* Drops all bytes, keeps the allocation. */
void buffer_clear(struct buffer *b);
/* Gives the allocation back when no byte waits: an idle connection holds no buffer. */
void buffer_trim(struct buffer *b);
/* Gives back what is allocated beyond the bytes that wait: for those that stay as they are for long. */
void buffer_fit(struct buffer *b);
/* Hands the bytes on as an allocation of their own (free() it) and empties the buffer; NULL when out of memory.
 * A NUL stands behind the last byte. */
char *buffer_steal(struct buffer *b, size_t *ret_len);

/* buffer_reserve() where the room is not at hand. */
int buffer_make_room(struct buffer *b, size_t len, char **ret) ATTR_WARN_UNUSED;

static inline int buffer_reserve(struct buffer *b, size_t len, char **ret)
{
    if (!b->data || len > b->cap - b->end || len > buffer_room(b))
        return buffer_make_room(b, len, ret);
    *ret = b->data + b->end;
    return 0;
}

#endif
