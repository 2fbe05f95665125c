/* SPDX-License-Identifier: MIT */
#include "content.h"

#include "utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum body_kind { BODY_SLICE, BODY_ALLOCATED, BODY_SPOOL, BODY_FD };

struct body {
    unsigned refs;
    enum body_kind kind;
    enum { TEXT_UNKNOWN, TEXT_YES, TEXT_NO } text;
    struct slice bytes;       /* in memory */
    struct body_owner *owner; /* BODY_SLICE */
    char *allocated;          /* BODY_ALLOCATED */
    struct spool *spool;      /* BODY_SPOOL */
    int fd;                   /* BODY_FD, and of a spool: -1 in memory */
    uint64_t size;
    void (*release_fd)(void *ctx, int fd);
    void *release_ctx;
};

struct body_owner *body_owner_ref(struct body_owner *o)
{
    if (o)
        o->refs++;
    return o;
}

struct body_owner *body_owner_unref(struct body_owner *o)
{
    if (o && --o->refs == 0)
        o->free(o);
    return NULL;
}

static struct body *body_new(enum body_kind kind)
{
    struct body *b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    b->refs = 1;
    b->kind = kind;
    b->fd = -1;
    b->bytes = slice_of("", 0);
    return b;
}

struct body *body_new_slice(struct slice bytes, struct body_owner *owner)
{
    struct body *b = body_new(BODY_SLICE);
    if (!b)
        return NULL;
    if (bytes.data)
        b->bytes = bytes;
    b->size = b->bytes.len;
    b->owner = body_owner_ref(owner);
    return b;
}

struct body *body_new_allocated(char *data, size_t len)
{
    struct body *b = body_new(BODY_ALLOCATED);
    if (!b) {
        free(data);
        return NULL;
    }
    b->allocated = data;
    if (data)
        b->bytes = slice_of(data, len);
    b->size = b->bytes.len;
    return b;
}

struct body *body_new_spool(struct spool *spool)
{
    struct body *b = body_new(BODY_SPOOL);
    if (!b)
        return NULL;
    b->spool = spool_ref(spool);
    b->fd = spool_fd(spool);
    b->bytes = spool_memory(spool);
    b->size = spool_size(spool);
    b->text = spool_is_text(spool) ? TEXT_YES : TEXT_NO;
    return b;
}

struct body *body_new_fd(int fd, uint64_t size, void (*release_fd)(void *ctx, int fd), void *ctx)
{
    struct body *b = body_new(BODY_FD);
    if (!b)
        return NULL;
    b->bytes = SLICE_EMPTY;
    b->fd = fd;
    b->size = size;
    b->release_fd = release_fd;
    b->release_ctx = ctx;
    return b;
}

struct body *body_ref(struct body *b)
{
    if (b)
        b->refs++;
    return b;
}

struct body *body_unref(struct body *b)
{
    if (!b || --b->refs > 0)
        return NULL;
    if (b->kind == BODY_FD)
        b->release_fd(b->release_ctx, b->fd);
    spool_unref(b->spool);
    free(b->allocated);
    body_owner_unref(b->owner);
    free(b);
    return NULL;
}

uint64_t body_size(const struct body *b)
{
    return b->size;
}

struct slice body_memory(const struct body *b)
{
    return b->bytes;
}

struct mime_source body_source(const struct body *b)
{
    struct mime_source src;
    if (b->fd < 0)
        mime_source_memory(&src, b->bytes);
    else
        mime_source_fd(&src, b->fd, 0, b->size);
    return src;
}

int body_read(const struct body *b, uint64_t offset, void *buf, size_t len, size_t *ret_len)
{
    return spool_read_from(b->bytes, b->fd, b->size, offset, buf, len, ret_len);
}

bool body_is_text(struct body *b)
{
    if (b->text == TEXT_UNKNOWN) {
        struct utf8_state st = {0};
        struct body_reader r;
        const char *piece;
        bool last = false;
        ssize_t n = 0;
        body_reader_init(&r, b);
        while (!last && !st.bad && !st.has_nul && (n = body_reader_next(&r, &piece, &last)) >= 0)
            utf8_state_feed(&st, piece, (size_t) n);
        body_reader_done(&r);
        if (n < 0)
            return false; /* not known; whoever reads it will meet the error */
        b->text = utf8_state_ok(&st) && !st.has_nul ? TEXT_YES : TEXT_NO;
    }
    return b->text == TEXT_YES;
}

void body_reader_init(struct body_reader *r, struct body *body)
{
    *r = (struct body_reader){.body = body_ref(body)};
}

void body_reader_done(struct body_reader *r)
{
    body_unref(r->body);
    free(r->window);
    *r = (struct body_reader){0};
}

void body_reader_rewind(struct body_reader *r)
{
    r->offset = 0;
}

ssize_t body_reader_next(struct body_reader *r, const char **ret, bool *ret_last)
{
    const struct body *b = r->body;
    size_t n;

    if (r->offset >= b->size) {
        *ret = "";
        *ret_last = true;
        return 0;
    }
    if (b->fd < 0) {
        /* What lies in memory is given as it lies; the wire takes what it can. */
        *ret = b->bytes.data + r->offset;
        n = b->bytes.len - (size_t) r->offset;
        r->offset = b->size;
        *ret_last = true;
        return (ssize_t) n;
    }
    if (!r->window && !(r->window = malloc(BODY_WINDOW)))
        return -ENOMEM;
    int e = body_read(b, r->offset, r->window, BODY_WINDOW, &n);
    if (e < 0)
        return e;
    if (n == 0)
        return -EIO; /* shorter than its seals allow */
    *ret = r->window;
    r->offset += n;
    *ret_last = r->offset >= b->size;
    return (ssize_t) n;
}

/* --- sources of answers --- */

static ssize_t read_spool(void *ctx, uint64_t offset, char *buf, size_t size)
{
    size_t n;
    int r = spool_read(ctx, offset, buf, size, &n);
    return r < 0 ? r : n > 0 ? (ssize_t) n : -EIO;
}

static void release_spool(void *ctx)
{
    spool_unref(ctx);
}

static ssize_t read_body(void *ctx, uint64_t offset, char *buf, size_t size)
{
    size_t n;
    int r = body_read(ctx, offset, buf, size, &n);
    return r < 0 ? r : n > 0 ? (ssize_t) n : -EIO;
}

static void release_body(void *ctx)
{
    body_unref(ctx);
}

static const struct rpc_source_ops spool_source_ops = {read_spool, release_spool};
static const struct rpc_source_ops body_source_ops = {read_body, release_body};

struct rpc_source content_source(struct spool *spool, enum rpc_source_form form)
{
    return (struct rpc_source){&spool_source_ops, spool_ref(spool), spool_size(spool), form};
}

struct rpc_source content_source_body(struct body *body, enum rpc_source_form form)
{
    return (struct rpc_source){&body_source_ops, body_ref(body), body_size(body), form};
}
