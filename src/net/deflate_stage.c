/* SPDX-License-Identifier: MIT */
#include "deflate_stage.h"

#include "buffer.h"
#include "macros.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#define WINDOW_BITS (-15)       /* RFC 4978: raw deflate; the server may refer to 32 kB */
#define OUT_WINDOW_BITS (-13)
#define OUT_MEMORY_LEVEL 6
#define INPUT_MAX (128u * 1024)
#define OUTPUT_MAX (256u * 1024)

struct deflate_stage {
    z_stream in, out;
    bool writing; /* `out` is set up */
    bool more;    /* inflate() filled all it was given: it may have more without more input */
    struct buffer input, output;
};

struct deflate_stage *deflate_stage_new(void)
{
    struct deflate_stage *d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    if (inflateInit2(&d->in, WINDOW_BITS) != Z_OK) {
        free(d);
        return NULL;
    }
    buffer_init(&d->input, INPUT_MAX);
    buffer_init(&d->output, OUTPUT_MAX);
    return d;
}

void deflate_stage_free(struct deflate_stage *d)
{
    if (!d)
        return;
    inflateEnd(&d->in);
    deflate_rest(d);
    buffer_done(&d->input);
    buffer_done(&d->output);
    free(d);
}

int deflate_input_reserve(struct deflate_stage *d, size_t len, char **ret)
{
    return buffer_reserve(&d->input, len, ret);
}

void deflate_input_commit(struct deflate_stage *d, size_t len)
{
    buffer_commit(&d->input, len);
    buffer_trim(&d->input);
}

ssize_t deflate_read(struct deflate_stage *d, void *out, size_t len, struct fault *fault)
{
    struct slice have = buffer_slice(&d->input);
    if (len == 0 || (have.len == 0 && !d->more))
        return -EAGAIN;
    len = MIN(len, (size_t) UINT32_MAX);
    d->in.next_in = (unsigned char *) (uintptr_t) have.data;
    d->in.avail_in = (uInt) have.len;
    d->in.next_out = out;
    d->in.avail_out = (uInt) len;
    int ret = inflate(&d->in, Z_SYNC_FLUSH);
    size_t made = len - d->in.avail_out;
    buffer_consume(&d->input, have.len - d->in.avail_in);
    buffer_trim(&d->input);
    d->more = d->in.avail_out == 0;
    d->in.next_in = d->in.next_out = NULL;
    if (ret == Z_MEM_ERROR)
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
    /* The stream has no end but the connection's; what claims one is as wrong as what is no deflate. */
    if (ret != Z_OK && ret != Z_BUF_ERROR)
        return fault_set(fault, -EBADMSG, FAULT_PROTOCOL, NULL, "what the server compressed cannot be read");
    return made ? (ssize_t) made : -EAGAIN;
}

static bool begin_writing(struct deflate_stage *d)
{
    if (!d->writing)
        d->writing = deflateInit2(&d->out, Z_DEFAULT_COMPRESSION, Z_DEFLATED, OUT_WINDOW_BITS, OUT_MEMORY_LEVEL,
                                  Z_DEFAULT_STRATEGY) == Z_OK;
    return d->writing;
}

ssize_t deflate_write(struct deflate_stage *d, struct slice piece, struct fault *fault)
{
    char *to;
    piece = slice_to(piece, DEFLATE_PIECE_MAX);
    /* What a full flush adds is not in the bound. */
    size_t bound = begin_writing(d) ? deflateBound(&d->out, piece.len) + 64 : 0;
    if (bound == 0 || buffer_reserve(&d->output, bound, &to) < 0)
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
    d->out.next_in = (unsigned char *) (uintptr_t) piece.data;
    d->out.avail_in = (uInt) piece.len;
    d->out.next_out = (unsigned char *) to;
    d->out.avail_out = (uInt) bound;
    int ret = deflate(&d->out, Z_FULL_FLUSH);
    bool whole = ret == Z_OK && d->out.avail_in == 0 && d->out.avail_out > 0;
    buffer_commit(&d->output, bound - d->out.avail_out);
    d->out.next_in = d->out.next_out = NULL;
    if (!whole)
        return fault_set(fault, -EIO, FAULT_INTERNAL, NULL, "the bytes could not be compressed");
    return (ssize_t) piece.len;
}

struct slice deflate_output(const struct deflate_stage *d)
{
    return buffer_slice(&d->output);
}

void deflate_sent(struct deflate_stage *d, size_t len)
{
    buffer_consume(&d->output, len);
    buffer_trim(&d->output);
}

void deflate_rest(struct deflate_stage *d)
{
    if (d->writing)
        deflateEnd(&d->out);
    d->writing = false;
}
