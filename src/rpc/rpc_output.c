/* SPDX-License-Identifier: MIT */
#include "rpc_output.h"

#include <errno.h>
#include <stdlib.h>

#define SOURCE_CHUNK 65536 /* bytes of a source encoded at a time */
#define KEPT 512           /* bytes of an empty head that are not given back */

enum segment_kind { SEGMENT_TEXT, SEGMENT_FDS, SEGMENT_SOURCE };

struct rpc_segment {
    struct list link;
    enum segment_kind kind;
    struct buffer text;
    size_t counted; /* bytes of text that rest_memory has */
    int *fds;
    size_t n_fds;
    struct rpc_source source;
    uint64_t offset; /* bytes of the source that have been encoded */
    struct json_text_encoder text_encoder;
    struct json_base64_encoder base64_encoder;
};

void rpc_output_init(struct rpc_output *o, size_t max, void (*release_fd)(void *ctx, int fd), void *release_ctx)
{
    *o = (struct rpc_output){.max = max, .release_fd = release_fd, .release_ctx = release_ctx};
    buffer_init(&o->bytes, max);
    list_init(&o->rest);
}

static void release_fds(struct rpc_output *o, int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        o->release_fd(o->release_ctx, fds[i]);
    free(fds);
}

static void release_source(const struct rpc_source *source)
{
    source->ops->release(source->ctx);
}

/* Takes a segment out and frees it with what it holds. */
static void segment_free(struct rpc_output *o, struct rpc_segment *s)
{
    list_remove(&s->link);
    switch (s->kind) {
    case SEGMENT_TEXT:
        o->rest_memory -= s->counted;
        break;
    case SEGMENT_FDS:
        release_fds(o, s->fds, s->n_fds);
        break;
    case SEGMENT_SOURCE:
        o->rest_source -= s->source.size - s->offset;
        release_source(&s->source);
        break;
    }
    buffer_done(&s->text);
    free(s);
}

void rpc_output_done(struct rpc_output *o)
{
    struct rpc_segment *s;

    if (!o || !o->rest.next)
        return;
    while ((s = list_first(&o->rest, struct rpc_segment, link)))
        segment_free(o, s);
    release_fds(o, o->fds, o->n_fds);
    o->fds = NULL;
    o->n_fds = 0;
    buffer_done(&o->bytes);
}

void rpc_output_trim(struct rpc_output *o)
{
    /* A little is kept, so that a small answer does not cost an allocation each time. */
    if (o->bytes.cap > KEPT && rpc_output_is_empty(o))
        buffer_trim(&o->bytes);
}

/* ---- taking ------------------------------------------------------------------------------------------------- */

/* The next chunk of a source, encoded into the empty head. 0 or a negative errno. */
static int encode_chunk(struct rpc_output *o, struct rpc_segment *s)
{
    uint64_t left = s->source.size - s->offset;
    size_t want = left < SOURCE_CHUNK ? (size_t) left : SOURCE_CHUNK;
    /* Text of a source must fit the head whatever the limit for waiting text is. */
    size_t max = o->bytes.max;
    char *raw;
    int r;

    o->bytes.max = MAX(max, (size_t) JSON_ENCODED_TEXT_MAX(SOURCE_CHUNK));
    if (s->source.form == RPC_SOURCE_JSON) {
        r = buffer_reserve(&o->bytes, want, &raw);
    } else {
        raw = malloc(want);
        r = raw ? 0 : -ENOMEM;
    }
    if (r < 0)
        goto out;
    ssize_t n = s->source.ops->read(s->source.ctx, s->offset, raw, want);
    if (n <= 0) {
        r = n < 0 ? (int) n : -EIO;
    } else {
        struct slice piece = slice_of(raw, (size_t) n);
        bool last = (uint64_t) n == left;
        switch (s->source.form) {
        case RPC_SOURCE_TEXT:
            r = json_encode_text(&s->text_encoder, &o->bytes, piece, last);
            break;
        case RPC_SOURCE_BASE64:
            r = json_encode_base64(&s->base64_encoder, &o->bytes, piece, last);
            break;
        case RPC_SOURCE_JSON:
            buffer_commit(&o->bytes, piece.len);
            break;
        }
    }
    if (s->source.form != RPC_SOURCE_JSON)
        free(raw);
    if (r == 0) {
        s->offset += (uint64_t) n;
        o->rest_source -= (uint64_t) n;
    }
out:
    o->bytes.max = max;
    return r;
}

/* Fills the empty head from the first segment. 0 or a negative errno. */
static int advance(struct rpc_output *o)
{
    struct rpc_segment *s = list_first(&o->rest, struct rpc_segment, link);
    int r = 0;

    switch (s->kind) {
    case SEGMENT_TEXT:
        buffer_done(&o->bytes);
        o->bytes = s->text;
        o->bytes.max = o->max;
        buffer_init(&s->text, 0);
        segment_free(o, s);
        break;
    case SEGMENT_FDS:
        if (o->fds)
            return -EINVAL; /* two in a row: rpc_output_add_fds() is followed by text */
        o->fds = s->fds;
        o->n_fds = s->n_fds;
        s->fds = NULL;
        s->n_fds = 0;
        segment_free(o, s);
        break;
    case SEGMENT_SOURCE:
        if (s->offset < s->source.size)
            r = encode_chunk(o, s);
        if (r == 0 && s->offset == s->source.size)
            segment_free(o, s);
        break;
    }
    return r;
}

int rpc_output_peek(struct rpc_output *o, struct slice *ret_bytes, const int **ret_fds, size_t *ret_n)
{
    while (buffer_len(&o->bytes) == 0) {
        if (list_is_empty(&o->rest))
            return 0;
        int r = advance(o);
        if (r < 0)
            return r;
    }
    *ret_bytes = buffer_slice(&o->bytes);
    *ret_fds = o->fds;
    *ret_n = o->n_fds;
    return 1;
}

void rpc_output_sent(struct rpc_output *o, size_t n)
{
    if (n == 0)
        return;
    release_fds(o, o->fds, o->n_fds);
    o->fds = NULL;
    o->n_fds = 0;
    buffer_consume(&o->bytes, n);
}

/* ---- appending ---------------------------------------------------------------------------------------------- */

void rpc_output_settle(struct rpc_output *o)
{
    struct rpc_segment *s = list_last(&o->rest, struct rpc_segment, link);

    if (s) {
        o->rest_memory += buffer_len(&s->text) - s->counted;
        s->counted = buffer_len(&s->text);
    }
}

static struct rpc_segment *segment_new(struct rpc_output *o, enum segment_kind kind)
{
    struct rpc_segment *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    rpc_output_settle(o);
    s->kind = kind;
    buffer_init(&s->text, kind == SEGMENT_TEXT ? o->max : 0);
    list_append(&o->rest, &s->link);
    return s;
}

struct buffer *rpc_output_text(struct rpc_output *o)
{
    struct rpc_segment *s = list_last(&o->rest, struct rpc_segment, link);

    if (!s)
        return &o->bytes;
    if (s->kind != SEGMENT_TEXT)
        s = segment_new(o, SEGMENT_TEXT);
    return s ? &s->text : NULL;
}

int rpc_output_add_source(struct rpc_output *o, const struct rpc_source *source)
{
    struct rpc_segment *s = segment_new(o, SEGMENT_SOURCE);

    if (!s) {
        release_source(source);
        return -ENOMEM;
    }
    s->source = *source;
    o->rest_source += source->size;
    return 0;
}

int rpc_output_add_fds(struct rpc_output *o, const int *fds, size_t n)
{
    int *copy = calloc(n ? n : 1, sizeof(*copy));
    struct rpc_segment *s = copy ? segment_new(o, SEGMENT_FDS) : NULL;

    if (!s) {
        for (size_t i = 0; i < n; i++)
            o->release_fd(o->release_ctx, fds[i]);
        free(copy);
        return -ENOMEM;
    }
    if (n)
        memcpy(copy, fds, n * sizeof(*fds));
    s->fds = copy;
    s->n_fds = n;
    return 0;
}

int rpc_output_move(struct rpc_output *o, struct rpc_output *from)
{
    struct slice head = buffer_slice(&from->bytes);
    struct rpc_segment *s;
    int r = 0;

    rpc_output_settle(from);
    if (head.len) {
        struct buffer *text = rpc_output_text(o);
        r = text ? buffer_append_slice(text, head) : -ENOMEM;
    }
    while (r == 0 && (s = list_first(&from->rest, struct rpc_segment, link))) {
        rpc_output_settle(o);
        list_remove(&s->link);
        list_append(&o->rest, &s->link);
        if (s->kind == SEGMENT_TEXT)
            s->text.max = o->max;
        o->rest_memory += s->counted;
        if (s->kind == SEGMENT_SOURCE)
            o->rest_source += s->source.size - s->offset;
    }
    while ((s = list_first(&from->rest, struct rpc_segment, link)))
        segment_free(from, s);
    from->rest_memory = 0;
    from->rest_source = 0;
    buffer_clear(&from->bytes);
    return r;
}

struct rpc_output_mark rpc_output_mark(struct rpc_output *o)
{
    struct rpc_segment *s = list_last(&o->rest, struct rpc_segment, link);

    rpc_output_settle(o);
    return (struct rpc_output_mark){o->rest.prev, s ? buffer_len(&s->text) : buffer_len(&o->bytes)};
}

void rpc_output_rewind(struct rpc_output *o, struct rpc_output_mark mark)
{
    rpc_output_settle(o);
    while (o->rest.prev != mark.last)
        segment_free(o, container_of(o->rest.prev, struct rpc_segment, link));
    if (mark.last == &o->rest)
        buffer_truncate(&o->bytes, mark.len);
    else
        buffer_truncate(&container_of(mark.last, struct rpc_segment, link)->text, mark.len);
    rpc_output_settle(o);
}
