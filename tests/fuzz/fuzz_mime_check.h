/* SPDX-License-Identifier: MIT */
/* What the targets of mime share. */
#ifndef POSTERN_FUZZ_MIME_CHECK_H
#define POSTERN_FUZZ_MIME_CHECK_H

#include "fuzz.h"
#include "mime_header.h"
#include "mime_transfer.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

static inline void check(bool good)
{
    if (!good)
        abort();
}

/* What is decoded is valid UTF-8 without NUL, whatever came in. */
static inline void check_text(struct slice s)
{
    check(utf8_is_valid(s) && !(s.len && memchr(s.data, '\0', s.len)));
}

/* The input as a header value, in memory of exactly its size, and a decoder for it. */
struct fuzz_value {
    struct arena arena;
    struct mime_defects defects;
    struct mime_decoder decoder;
    char *copy;
    struct slice raw;
};

static inline void fuzz_value_init(struct fuzz_value *v, const uint8_t *data, size_t size)
{
    memset(v, 0, sizeof(*v));
    v->copy = malloc(size ? size : 1);
    check(v->copy != NULL);
    if (size)
        memcpy(v->copy, data, size);
    v->raw = slice_of(v->copy, size);
    arena_init(&v->arena, 256 << 20);
    mime_decoder_init(&v->decoder, &v->arena, &v->defects);
}

static inline void fuzz_value_done(struct fuzz_value *v)
{
    mime_decoder_done(&v->decoder);
    arena_done(&v->arena);
    free(v->copy);
}

static inline size_t fuzz_decoded(enum mime_encoding encoding, struct slice in, size_t piece, char *out)
{
    struct mime_transfer t;
    size_t n = 0;
    mime_transfer_init(&t, encoding);
    for (; in.len; in = slice_from(in, MIN(piece, in.len))) {
        size_t most = mime_transfer_max(&t, MIN(piece, in.len)), got;
        got = mime_transfer_decode(&t, slice_to(in, piece), out + n);
        check(got <= most);
        n += got;
    }
    return n + mime_transfer_finish(&t, out + n);
}

/* Pieces of any size decode to the same bytes. Blanks at the end of a line of quoted-printable that is longer than any real one
 * may be told apart by where a piece ends. */
static inline void fuzz_check_pieces(enum mime_encoding encoding, struct slice in, size_t piece)
{
    char *a = malloc(in.len + 1024), *b = malloc(in.len + 1024);
    check(a && b);
    size_t n = fuzz_decoded(encoding, in, in.len + 1, a), k = fuzz_decoded(encoding, in, piece, b);
    if (encoding != MIME_ENCODING_QP || in.len < 60)
        check(slice_eq(slice_of(a, n), slice_of(b, k)));
    free(a);
    free(b);
}

#endif
