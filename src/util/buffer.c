/* SPDX-License-Identifier: MIT */
#include "buffer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define BUFFER_FIRST 256 /* most replies and requests fit; small enough for thousands of connections */

void buffer_init(struct buffer *b, size_t max)
{
    *b = (struct buffer){.max = max};
}

void buffer_init_secret(struct buffer *b, size_t max)
{
    *b = (struct buffer){.max = max, .secret = true};
}

static void wipe_and_free(struct buffer *b)
{
    if (b->secret && b->data)
        explicit_bzero(b->data, b->cap);
    free(b->data);
}

void buffer_done(struct buffer *b)
{
    if (!b)
        return;
    wipe_and_free(b);
    b->data = NULL;
    b->start = b->end = b->cap = 0;
}

/* Moves the waiting bytes into an allocation of `cap` bytes. */
static int buffer_move(struct buffer *b, size_t cap)
{
    size_t len = buffer_len(b);
    char *data;

    if (b->start == 0 && !b->secret) {
        data = realloc(b->data, cap);
        if (!data)
            return -ENOMEM;
    } else {
        data = malloc(cap);
        if (!data)
            return -ENOMEM;
        if (len)
            memcpy(data, b->data + b->start, len);
        wipe_and_free(b);
    }
    b->data = data;
    b->start = 0;
    b->end = len;
    b->cap = cap;
    return 0;
}

int buffer_make_room(struct buffer *b, size_t len, char **ret)
{
    size_t have = buffer_len(b);

    if (len > b->max - have)
        return -EMSGSIZE;
    if (!b->data || len > b->cap - b->end) {
        /* Sliding is worth it only when at least half is free, else appending byte by byte would be quadratic. */
        if (b->data && len <= b->cap - have && b->start >= b->cap / 2) {
            memmove(b->data, b->data + b->start, have);
            if (b->secret)
                explicit_bzero(b->data + have, b->end - have);
            b->start = 0;
            b->end = have;
        } else {
            size_t cap = b->cap ? b->cap : BUFFER_FIRST;
            while (cap < have + len)
                cap = cap > SIZE_MAX / 2 ? SIZE_MAX : cap * 2;
            /* One byte over the limit leaves room for the NUL of buffer_steal(). */
            if (cap > b->max && b->max < SIZE_MAX)
                cap = MAX(b->max + 1, have + len);
            int r = buffer_move(b, cap);
            if (r < 0)
                return r;
        }
    }
    *ret = b->data + b->end;
    return 0;
}

int buffer_append(struct buffer *b, const void *data, size_t len)
{
    char *to;
    if (len == 0)
        return 0;
    int r = buffer_reserve(b, len, &to);
    if (r < 0)
        return r;
    memcpy(to, data, len);
    b->end += len;
    return 0;
}

int buffer_append_slice(struct buffer *b, struct slice s)
{
    return buffer_append(b, s.data, s.len);
}

int buffer_append_u64(struct buffer *b, uint64_t v)
{
    char digits[20];
    size_t i = sizeof(digits);
    do
        digits[--i] = (char) ('0' + v % 10);
    while ((v /= 10));
    return buffer_append(b, digits + i, sizeof(digits) - i);
}

int buffer_vprintf(struct buffer *b, const char *fmt, va_list ap)
{
    char small[256], *to;
    va_list again;
    int r;

    va_copy(again, ap);
    int n = vsnprintf(small, sizeof(small), fmt, ap);
    if (n < 0)
        r = -EINVAL;
    else if ((size_t) n < sizeof(small))
        r = buffer_append(b, small, (size_t) n);
    else if ((size_t) n > buffer_room(b))
        r = -EMSGSIZE;
    else {
        /* vsnprintf wants room for its NUL, which may lie one byte over the limit. */
        char *tmp = malloc((size_t) n + 1);
        r = tmp ? 0 : -ENOMEM;
        if (tmp) {
            vsnprintf(tmp, (size_t) n + 1, fmt, again);
            r = buffer_reserve(b, (size_t) n, &to);
            if (r == 0) {
                memcpy(to, tmp, (size_t) n);
                b->end += (size_t) n;
            }
            if (b->secret)
                explicit_bzero(tmp, (size_t) n);
            free(tmp);
        }
    }
    if (b->secret)
        explicit_bzero(small, sizeof(small));
    va_end(again);
    return r;
}

int buffer_printf(struct buffer *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int r = buffer_vprintf(b, fmt, ap);
    va_end(ap);
    return r;
}

void buffer_consume(struct buffer *b, size_t len)
{
    size_t have = buffer_len(b);
    if (len > have)
        len = have;
    if (b->secret && len)
        explicit_bzero(b->data + b->start, len);
    b->start += len;
    if (b->start == b->end)
        b->start = b->end = 0;
}

void buffer_truncate(struct buffer *b, size_t len)
{
    size_t have = buffer_len(b);
    if (len >= have)
        return;
    if (b->secret)
        explicit_bzero(b->data + b->start + len, have - len);
    b->end = b->start + len;
    if (len == 0)
        b->start = b->end = 0;
}

void buffer_clear(struct buffer *b)
{
    buffer_consume(b, buffer_len(b));
}

void buffer_trim(struct buffer *b)
{
    if (buffer_len(b) == 0)
        buffer_done(b);
}

void buffer_fit(struct buffer *b)
{
    size_t len = buffer_len(b);
    if (len == 0)
        buffer_done(b);
    else if (len < b->cap)
        (void) !buffer_move(b, len); /* without memory it stays as it is */
}

char *buffer_steal(struct buffer *b, size_t *ret_len)
{
    size_t len = buffer_len(b);

    if (!b->data || b->end == b->cap || b->start) {
        char *copy = malloc(len + 1);
        if (!copy)
            return NULL;
        if (len)
            memcpy(copy, b->data + b->start, len);
        wipe_and_free(b);
        b->data = copy;
    }
    char *data = b->data;
    data[len] = '\0';
    b->data = NULL;
    b->start = b->end = b->cap = 0;
    if (ret_len)
        *ret_len = len;
    return data;
}
