/* SPDX-License-Identifier: MIT */
/* Allocation of small objects whose number is bounded by configuration: running out of memory for them ends the
 * process, which loses nothing that was acknowledged. Sizes that a peer decides go through malloc(). */
#ifndef POSTERN_MUST_H
#define POSTERN_MUST_H

#include "macros.h"

#include <stdlib.h>

static inline void *must_calloc(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (!p)
        abort();
    return p;
}

#endif
