/* SPDX-License-Identifier: MIT */
/* Allocations that fail when a test says so. A program that has failing_alloc.c is linked with WITH_FAILING_ALLOC, which brings all
 * of its own allocations here (not those of shared libraries). By thread: another's allocations never fail. */
#ifndef POSTERN_FAILING_ALLOC_H
#define POSTERN_FAILING_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

extern _Thread_local bool alloc_failing;     /* counts; false: every allocation is as usual */
extern _Thread_local long alloc_countdown;   /* the allocation that finds 1 fails, and it alone; 0: none fails */

/* The allocation number `at` from now on, beginning at 1, is to fail. */
static inline void alloc_fail_at(long at)
{
    alloc_countdown = at;
    alloc_failing = true;
}

/* Whether the one that was to fail has failed; from now on none does. */
static inline bool alloc_has_failed(void)
{
    alloc_failing = false;
    return alloc_countdown == 0;
}

/* For libraries that can be told where to allocate. */
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);

#endif
