/* SPDX-License-Identifier: MIT */
/* An arena: many small objects with one lifetime, freed at once. It has a limit from birth; what would pass it
 * is refused with NULL, like a failed allocation. Not thread-safe. */
#ifndef POSTERN_ARENA_H
#define POSTERN_ARENA_H

#include "macros.h"
#include "slice.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    char *next, *limit;         /* free room in the newest block */
    size_t used;                /* bytes taken from malloc */
    size_t max;
    bool over;                  /* something was refused because of the limit, not of memory */
};

void arena_init(struct arena *a, size_t max);
void arena_done(struct arena *a);

/* Zeroed, aligned for any object; NULL when out of memory or over the limit. Lives until arena_done(). */
void *arena_alloc(struct arena *a, size_t size) ATTR_WARN_UNUSED;
/* The same for `n` objects of `size` bytes, with the multiplication checked. */
void *arena_calloc(struct arena *a, size_t n, size_t size) ATTR_WARN_UNUSED;
/* A copy of the bytes with a NUL behind them; NULL as above. */
char *arena_dup(struct arena *a, const void *data, size_t len) ATTR_WARN_UNUSED;
char *arena_strdup(struct arena *a, const char *s) ATTR_WARN_UNUSED;
/* A copy of `s` in *ret; -ENOMEM as above. */
int arena_dup_slice(struct arena *a, struct slice s, struct slice *ret) ATTR_WARN_UNUSED;
char *arena_printf(struct arena *a, const char *fmt, ...) ATTR_PRINTF(2, 3) ATTR_WARN_UNUSED;

#endif
