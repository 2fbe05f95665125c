/* SPDX-License-Identifier: MIT */
#include "mime_source.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

void mime_source_memory(struct mime_source *src, struct slice bytes)
{
    *src = (struct mime_source){.data = bytes.data ? bytes.data : "", .fd = -1, .size = bytes.len};
}

void mime_source_fd(struct mime_source *src, int fd, uint64_t base, uint64_t size)
{
    *src = (struct mime_source){.fd = fd, .base = base, .size = size};
}

struct mime_source mime_source_part(const struct mime_source *src, uint64_t offset, uint64_t size)
{
    struct mime_source part = *src;
    if (offset > src->size)
        offset = src->size;
    if (part.data)
        part.data += offset;
    else
        part.base += offset;
    part.size = MIN(size, src->size - offset);
    return part;
}

int mime_source_read(const struct mime_source *src, uint64_t offset, void *buf, size_t len, size_t *ret_len)
{
    if (offset >= src->size)
        len = 0;
    else if (len > src->size - offset)
        len = (size_t) (src->size - offset);
    if (src->data) {
        if (len)
            memcpy(buf, src->data + offset, len);
        *ret_len = len;
        return 0;
    }
    size_t got = 0;
    while (got < len) {
        ssize_t n = pread(src->fd, (char *) buf + got, len - got, (off_t) (src->base + offset + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        got += (size_t) n;
    }
    *ret_len = got;
    return 0;
}

void mime_window_init(struct mime_window *w, const struct mime_source *src)
{
    *w = (struct mime_window){.src = *src};
}

void mime_window_done(struct mime_window *w)
{
    if (!w)
        return;
    free(w->buf);
    w->buf = NULL;
    w->cap = w->len = 0;
}

/* Moves the window so that it begins at `offset`, keeping what it already has from there on. */
static int window_move(struct mime_window *w, uint64_t offset, size_t need)
{
    size_t want = MAX(need, (size_t) MIME_WINDOW), kept = 0;
    if (want > w->src.size - offset)
        want = (size_t) (w->src.size - offset);
    if (offset >= w->offset && offset < w->offset + w->len) {
        kept = (size_t) (w->offset + w->len - offset);
        memmove(w->buf, w->buf + (offset - w->offset), kept);
    }
    w->offset = offset;
    w->len = kept;
    if (want > w->cap) {
        char *bigger = realloc(w->buf, want);
        if (!bigger)
            return -ENOMEM;
        w->buf = bigger;
        w->cap = want;
    }
    size_t got = 0;
    if (want > kept) {
        int r = mime_source_read(&w->src, offset + kept, w->buf + kept, want - kept, &got);
        if (r < 0)
            return r;
    }
    w->len = kept + got;
    return 0;
}

int mime_window_get(struct mime_window *w, uint64_t offset, size_t need, struct slice *ret)
{
    if (offset >= w->src.size) {
        *ret = SLICE("");
        return 0;
    }
    if (w->src.data) {
        *ret = slice_of(w->src.data + offset, (size_t) (w->src.size - offset));
        return 0;
    }
    if (need > w->src.size - offset)
        need = (size_t) (w->src.size - offset);
    if (offset < w->offset || offset + need > w->offset + w->len || w->len == 0) {
        int r = window_move(w, offset, need);
        if (r < 0)
            return r;
    }
    *ret = slice_of(w->buf + (offset - w->offset), w->len - (size_t) (offset - w->offset));
    return 0;
}
