/* SPDX-License-Identifier: MIT */
/* What waits to be sent on one connection: text, descriptors that ride on certain bytes of it, and sources, whose
 * bytes are fetched, encoded and appended only as the peer drains them, so that a large answer costs no memory. No
 * I/O: the owner takes what rpc_output_peek() shows, sends it, and says how much went out. Not thread-safe. */
#ifndef POSTERN_RPC_OUTPUT_H
#define POSTERN_RPC_OUTPUT_H

#include "buffer.h"
#include "json_writer.h"
#include "list.h"
#include "macros.h"
#include "slice.h"

#include <sys/types.h>

/* Bytes that lie elsewhere. The output calls `read` with rising offsets and `release` exactly once, when the source
 * has been read to its end or the output goes. */
struct rpc_source_ops {
    /* Bytes from `offset` on into `buf`: their number (at least 1), or a negative errno, which ends the connection,
     * since the line that has begun cannot be completed. */
    ssize_t (*read)(void *ctx, uint64_t offset, char *buf, size_t size);
    void (*release)(void *ctx);
};

enum rpc_source_form {
    RPC_SOURCE_TEXT,   /* as a JSON string without its quotes; what is not UTF-8, and NUL, becomes U+FFFD */
    RPC_SOURCE_BASE64, /* as base64 without quotes */
    RPC_SOURCE_JSON    /* valid JSON, as it is */
};

struct rpc_source {
    const struct rpc_source_ops *ops;
    void *ctx;
    uint64_t size; /* exactly so many bytes are read */
    enum rpc_source_form form;
};

struct rpc_output {
    struct buffer bytes;  /* the head: what is sent next */
    struct list rest;     /* struct rpc_segment */
    size_t rest_memory;   /* bytes of text in `rest` */
    uint64_t rest_source; /* bytes that sources in `rest` still owe */
    size_t max;           /* bytes of text in one piece */
    int *fds;             /* ride on the first byte of `bytes`; NULL: none */
    size_t n_fds;
    void (*release_fd)(void *ctx, int fd);
    void *release_ctx;
};

void rpc_output_init(struct rpc_output *o, size_t max, void (*release_fd)(void *ctx, int fd), void *release_ctx);
void rpc_output_done(struct rpc_output *o);

/* 1: *ret_bytes are to be sent next, in one sendmsg() with the *ret_n descriptors if there are any; valid until the
 * next call here. 0: nothing waits. Negative errno: a source failed, or no memory: close the connection. */
int rpc_output_peek(struct rpc_output *o, struct slice *ret_bytes, const int **ret_fds, size_t *ret_n) ATTR_WARN_UNUSED;
/* `n` of the bytes shown went out (n > 0: the descriptors with them; they are released). */
void rpc_output_sent(struct rpc_output *o, size_t n);

static inline bool rpc_output_is_empty(const struct rpc_output *o)
{
    return buffer_len(&o->bytes) == 0 && list_is_empty(&o->rest);
}
/* Bytes of text that wait in memory, and all that wait, sources included (before encoding). */
static inline size_t rpc_output_memory(const struct rpc_output *o)
{
    return buffer_len(&o->bytes) + o->rest_memory;
}
static inline uint64_t rpc_output_waiting(const struct rpc_output *o)
{
    return rpc_output_memory(o) + o->rest_source;
}
/* Gives memory back when nothing waits, but for what one small answer needs. */
void rpc_output_trim(struct rpc_output *o);

/* The writing side, used by rpc_peer and libpostern. The buffer to append text to; NULL: out of memory. */
struct buffer *rpc_output_text(struct rpc_output *o);
/* Appends a source, which from now on is the output's; on failure it has been released. */
int rpc_output_add_source(struct rpc_output *o, const struct rpc_source *source) ATTR_WARN_UNUSED;
/* Appends descriptors that ride on the next text that is appended; likewise the output's in any case. */
int rpc_output_add_fds(struct rpc_output *o, const int *fds, size_t n) ATTR_WARN_UNUSED;
/* After text was appended: counts it. */
void rpc_output_settle(struct rpc_output *o);
/* Moves all of `from`, of which nothing has been taken yet, behind what is in `o`; `from` is empty afterwards, also on
 * failure (-ENOMEM, -EMSGSIZE), which may leave a part in `o`. */
int rpc_output_move(struct rpc_output *o, struct rpc_output *from) ATTR_WARN_UNUSED;

/* A place to return to: everything appended since rpc_output_mark() goes, its sources and descriptors released.
 * Nothing may be taken from the output between the two. */
struct rpc_output_mark {
    struct list *last;
    size_t len;
};
struct rpc_output_mark rpc_output_mark(struct rpc_output *o);
void rpc_output_rewind(struct rpc_output *o, struct rpc_output_mark mark);

#endif
