/* SPDX-License-Identifier: MIT */
/* The compression stage (RFC 4978): raw deflate in both directions as a machine without I/O, between the protocol's bytes
 * and those of TLS. What comes is inflated only as it is pulled, into the reader's own buffer, so that no input however
 * small becomes more memory than this stage's own (about 40 kB while it lives: the window that the server's bytes refer
 * to). What goes out is flushed with each piece and refers to nothing before it: at rest that half holds no memory.
 * Loop thread only. */
#ifndef POSTERN_DEFLATE_STAGE_H
#define POSTERN_DEFLATE_STAGE_H

#include "fault.h"
#include "slice.h"

#include <sys/types.h>

struct deflate_stage;
struct deflate_stage *deflate_stage_new(void); /* NULL when out of memory */
void deflate_stage_free(struct deflate_stage *d); /* accepts NULL */

/* Place for `len` compressed bytes that come from below, then how many came. Only after deflate_read() has said -EAGAIN. */
int deflate_input_reserve(struct deflate_stage *d, size_t len, char **ret) ATTR_WARN_UNUSED;
void deflate_input_commit(struct deflate_stage *d, size_t len);
/* Inflated bytes: >0 how many; -EAGAIN: more input is needed; <0: *fault. */
ssize_t deflate_read(struct deflate_stage *d, void *out, size_t len, struct fault *fault);

/* Compresses a piece and flushes: all of it is taken, or <0 with *fault. */
#define DEFLATE_PIECE_MAX 16384
ssize_t deflate_write(struct deflate_stage *d, struct slice piece, struct fault *fault);
/* Compressed bytes for the layer below; valid until the next call. */
struct slice deflate_output(const struct deflate_stage *d);
void deflate_sent(struct deflate_stage *d, size_t len);
/* Nothing more is to be written soon: gives back what writing needs. */
void deflate_rest(struct deflate_stage *d);

#endif
