/* SPDX-License-Identifier: MIT */
/* Bytes and descriptors of a stream in, complete lines and their descriptors out; no I/O. Used by the daemon for
 * requests and by libpostern for answers. A line ends with LF; a CR before it is dropped and empty lines are passed
 * over. An idle framing holds no memory: complete lines are handed out where the caller read them, only what is
 * left over at the end of a read is kept here.
 *
 * Descriptors belong to the framing from rpc_framing_add_fds() on until rpc_framing_take_fds() hands them out in
 * the order in which they came; what it must get rid of it gives to `release_fd`, and never calls anything else on
 * a descriptor. rpc_framing_done() releases those that wait. Not thread-safe. */
#ifndef POSTERN_RPC_FRAMING_H
#define POSTERN_RPC_FRAMING_H

#include "buffer.h"
#include "macros.h"
#include "slice.h"

#define RPC_FDS_PER_MESSAGE 253 /* SCM_MAX_FD: the kernel passes no more at once */
#define RPC_FDS_WAITING 1024    /* received and not yet claimed by a line */
#define RPC_FEED_MAX 1048576    /* bytes fed at once */

struct rpc_framing {
    size_t max_line;                       /* longest line, without its LF */
    void (*release_fd)(void *ctx, int fd); /* must not call back into the framing */
    void *release_ctx;

    char *fed; /* what the last feed left unread, borrowed from the caller */
    size_t fed_len;
    struct buffer kept; /* the beginning of a line, or lines that rpc_framing_keep() saved */
    size_t searched;    /* bytes of `kept` known to hold no LF */
    size_t handed;      /* bytes of `kept` that the last line took, with its LF */
    uint64_t lines;     /* that have ended, of any kind */
    bool discarding;    /* inside a line that was too long */
    bool failed;        /* out of memory: nothing more comes out */

    int *fds; /* ring */
    size_t fd_first, fd_count, fd_cap;
};

struct rpc_line {
    char *data; /* writable; without CR and LF */
    size_t len;
    bool owned; /* it is the only content of the framing's own buffer: rpc_framing_steal() takes it without a copy */
};

void rpc_framing_init(struct rpc_framing *f, size_t max_line, void (*release_fd)(void *ctx, int fd), void *release_ctx);
void rpc_framing_done(struct rpc_framing *f);
/* For lines that begin from now on. */
void rpc_framing_set_max(struct rpc_framing *f, size_t max_line);

/* `data` was read from the peer, at most RPC_FEED_MAX bytes. It must stay, and may be written to, until rpc_framing_next() has returned 0 or
 * rpc_framing_keep() was called; only then may the next bytes be fed. */
void rpc_framing_feed(struct rpc_framing *f, char *data, size_t len);
/* Descriptors that came with the bytes that will be fed next: call this before rpc_framing_feed(). Takes them in
 * any case; on -EMFILE (more than RPC_FDS_WAITING would wait) and -ENOMEM all of them have been released and the
 * connection cannot go on. */
int rpc_framing_add_fds(struct rpc_framing *f, const int *fds, size_t n) ATTR_WARN_UNUSED;

/* 1: a line is in *ret, valid until the next call of any function here but take_fds; 0: no complete line is left;
 * -EMSGSIZE: a line is too long: said once, as soon as it is known, then everything up to its LF is dropped and
 * reading goes on behind it; -ENOMEM: the beginning of a line could not be kept, the connection cannot go on. */
int rpc_framing_next(struct rpc_framing *f, struct rpc_line *ret) ATTR_WARN_UNUSED;
/* Copies what was fed and not yet handed out, so that the caller's bytes may go: for a reader that pauses in the
 * middle. -ENOMEM as above. More than max_line may be kept then: at most by one feed's length. */
int rpc_framing_keep(struct rpc_framing *f) ATTR_WARN_UNUSED;
/* The line that rpc_framing_next() has just returned with `owned`, as an allocation for the caller to free(); the
 * text is where it was, so slices into it stay valid. */
char *rpc_framing_steal(struct rpc_framing *f);

/* Hands out the next `n` descriptors; false, and nothing handed out, when fewer wait. */
bool rpc_framing_take_fds(struct rpc_framing *f, size_t n, int *ret_fds);
static inline size_t rpc_framing_fds_waiting(const struct rpc_framing *f)
{
    return f->fd_count;
}
/* A line has begun and not ended: its time is bounded by the caller. Meaningful once next() has returned 0. */
bool rpc_framing_is_partial(const struct rpc_framing *f);
/* Complete lines may be waiting in what rpc_framing_keep() saved. */
static inline bool rpc_framing_has_kept(const struct rpc_framing *f)
{
    return buffer_len(&f->kept) != 0;
}
/* Bytes held in memory. */
static inline size_t rpc_framing_memory(const struct rpc_framing *f)
{
    return f->kept.cap + f->fd_cap * sizeof(int);
}

#endif
