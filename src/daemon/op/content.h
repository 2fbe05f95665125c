/* SPDX-License-Identifier: MIT */
/* Content, the contract's "bytes in JSON", in both directions.
 *
 * In: whatever form the caller chose (a bare string, text, base64, a descriptor of whatever kind), a handler gets a
 * `struct body`: all the bytes, at hand, unchanging. op_collect() (op.h) makes it; it reads what has to be read before
 * run() is called, without blocking the loop and charged to the user. A sealed memfd is used as it stands, anything
 * else of a descriptor is copied into a spool.
 *
 * Out: op_write_content() and its relatives (op.h) put a Content object into the result, in the form that the caller
 * asked for. Bytes that are in a spool are not copied into the answer: they are encoded piece by piece as the client
 * drains (content_source() below).
 *
 * Loop thread only, but for what is said to be safe from any. */
#ifndef POSTERN_CONTENT_H
#define POSTERN_CONTENT_H

#include "buffer.h"
#include "fault.h"
#include "macros.h"
#include "mime_source.h"
#include "rpc_output.h"
#include "slice.h"
#include "spool.h"

#include <sys/types.h>

/* --- in --- */

struct body;

/* Who owns the memory behind a body: counted, so that an exchange that outlives its call keeps its bytes. */
struct body_owner {
    unsigned refs;
    void (*free)(struct body_owner *owner);
};
struct body_owner *body_owner_ref(struct body_owner *o);
struct body_owner *body_owner_unref(struct body_owner *o); /* both accept NULL; _unref returns it */

/* Bytes in memory. `owner` (may be NULL: they live for ever) is referenced. NULL when out of memory. */
struct body *body_new_slice(struct slice bytes, struct body_owner *owner);
/* Takes over the allocation (free()d at the end), also on failure. */
struct body *body_new_allocated(char *data, size_t len);
/* References the sealed spool. */
struct body *body_new_spool(struct spool *spool);
/* `size` bytes of a descriptor that cannot change or shrink; `release_fd` gets it back at the end. On failure it stays
 * the caller's. */
struct body *body_new_fd(int fd, uint64_t size, void (*release_fd)(void *ctx, int fd), void *ctx);
struct body *body_ref(struct body *b);
struct body *body_unref(struct body *b); /* accepts NULL, returns NULL */

uint64_t body_size(const struct body *b);
/* All the bytes when they are in memory, data NULL when they are behind a descriptor. */
struct slice body_memory(const struct body *b);
/* As a source for mime; valid as long as the reference. Safe from any thread, as is reading from it. */
struct mime_source body_source(const struct body *b);
/* Copies up to `len` bytes from `offset` on; fewer only at the end. 0, or a negative errno. Safe from any thread. */
int body_read(const struct body *b, uint64_t offset, void *buf, size_t len, size_t *ret_len) ATTR_WARN_UNUSED;
/* Whether it is valid UTF-8 without NUL; reads all of a body that is behind a descriptor at the first asking. */
bool body_is_text(struct body *b);

/* Reads a body from its beginning to its end in pieces, as exchange_ops.body() wants them. */
struct body_reader {
    struct body *body; /* a reference of its own */
    uint64_t offset;
    char *window; /* for bodies behind a descriptor */
};
#define BODY_WINDOW 65536
void body_reader_init(struct body_reader *r, struct body *body);
void body_reader_done(struct body_reader *r);
/* Back to the beginning, for an exchange that is started once more. */
void body_reader_rewind(struct body_reader *r);
/* >0: that many bytes at *ret, valid until the next call; *ret_last: no more follow. 0 with *ret_last: it was empty or
 * is at its end. <0: -ENOMEM, -EIO. */
ssize_t body_reader_next(struct body_reader *r, const char **ret, bool *ret_last);

/* --- out --- */

/* The spool's bytes as a source of an answer (rpc_output.h): read piece by piece as the client drains. Takes a
 * reference of the sealed spool. */
struct rpc_source content_source(struct spool *spool, enum rpc_source_form form);
/* Likewise of a body. */
struct rpc_source content_source_body(struct body *body, enum rpc_source_form form);

#endif
