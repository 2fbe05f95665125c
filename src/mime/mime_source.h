/* SPDX-License-Identifier: MIT */
/* Where a message's bytes come from: a piece of memory, or a descriptor that is read by pread, so that neither its
 * position nor other readers matter. A source is a plain value and owns nothing: memory and descriptor belong to the
 * caller and outlive it. Safe from any thread. */
#ifndef POSTERN_MIME_SOURCE_H
#define POSTERN_MIME_SOURCE_H

#include "macros.h"
#include "slice.h"

#define MIME_WINDOW 262144 /* bytes read from a descriptor at once */

struct mime_source {
    const char *data; /* memory, or NULL: a descriptor (or empty) */
    int fd;           /* -1 when memory */
    uint64_t base;    /* where in the descriptor the source begins */
    uint64_t size;
};

void mime_source_memory(struct mime_source *src, struct slice bytes);
/* `size` bytes of `fd` from `base` on. Where the file turns out to be shorter, what is missing does not exist. */
void mime_source_fd(struct mime_source *src, int fd, uint64_t base, uint64_t size);
/* A piece of another source; cut to what the outer one has. */
struct mime_source mime_source_part(const struct mime_source *src, uint64_t offset, uint64_t size);
/* Copies up to `len` bytes from `offset` on; fewer only at the end. 0, or a negative errno of pread. */
int mime_source_read(const struct mime_source *src, uint64_t offset, void *buf, size_t len,
                     size_t *ret_len) ATTR_WARN_UNUSED;

/* A window over a source: contiguous views without copying for memory, one growing buffer for a descriptor. */
struct mime_window {
    struct mime_source src;
    char *buf;
    size_t cap;
    uint64_t offset; /* of buf[0] in the source */
    size_t len;
};

void mime_window_init(struct mime_window *w, const struct mime_source *src);
void mime_window_done(struct mime_window *w);
/* At least `need` bytes from `offset` on (fewer only at the source's end), and all that happens to be there. Valid
 * until the next call. 0, -ENOMEM, or an errno of pread. */
int mime_window_get(struct mime_window *w, uint64_t offset, size_t need, struct slice *ret) ATTR_WARN_UNUSED;

#endif
