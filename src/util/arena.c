/* SPDX-License-Identifier: MIT */
#include "arena.h"

#include <errno.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ARENA_FIRST 1024   /* one small request and its parameters */
#define ARENA_BLOCK 65536  /* blocks double up to this */
#define ARENA_ALIGN alignof(max_align_t)

struct arena_block {
    struct arena_block *older;
    size_t size;
    alignas(max_align_t) char data[];
};

void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){.max = max};
}

void arena_done(struct arena *a)
{
    if (!a)
        return;
    for (struct arena_block *b = a->blocks, *older; b; b = older) {
        older = b->older;
        free(b);
    }
    a->blocks = NULL;
    a->next = a->limit = NULL;
    a->used = 0;
}

static struct arena_block *arena_grow(struct arena *a, size_t size)
{
    size_t want = a->blocks ? MIN(a->blocks->size * 2, (size_t) ARENA_BLOCK) : ARENA_FIRST;
    if (want < size)
        want = size;
    if (want > a->max - a->used)
        want = size;
    if (want > a->max - a->used || want > SIZE_MAX - sizeof(struct arena_block)) {
        a->over = true;
        return NULL;
    }
    struct arena_block *b = malloc(sizeof(*b) + want);
    if (!b)
        return NULL;
    b->size = want;
    b->older = a->blocks;
    a->blocks = b;
    a->used += want;
    a->next = b->data;
    a->limit = b->data + want;
    return b;
}

/* What is in it is whatever was there. */
static void *arena_take(struct arena *a, size_t size)
{
    if (size > SIZE_MAX - ARENA_ALIGN)
        return NULL;
    size = (size + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
    if (size > (size_t) (a->limit - a->next) && !arena_grow(a, size))
        return NULL;
    void *p = a->next;
    a->next += size;
    return p;
}

void *arena_alloc(struct arena *a, size_t size)
{
    void *p = arena_take(a, size);
    return p && size ? memset(p, 0, size) : p;
}

void *arena_calloc(struct arena *a, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    return arena_alloc(a, bytes ? bytes : 1);
}

char *arena_dup(struct arena *a, const void *data, size_t len)
{
    if (len == SIZE_MAX)
        return NULL;
    char *p = arena_take(a, len + 1);
    if (p && len)
        memcpy(p, data, len);
    if (p)
        p[len] = '\0';
    return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return arena_dup(a, s, strlen(s));
}

int arena_dup_slice(struct arena *a, struct slice s, struct slice *ret)
{
    char *p = arena_dup(a, s.data, s.len);
    if (!p)
        return -ENOMEM;
    *ret = slice_of(p, s.len);
    return 0;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *p = n < 0 ? NULL : arena_alloc(a, (size_t) n + 1);
    if (p)
        vsnprintf(p, (size_t) n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return p;
}
