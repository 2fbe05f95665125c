/* SPDX-License-Identifier: MIT */
/* Transfer encodings: pieces of any size decode to the same bytes, what is encoded decodes to itself, and the vector
 * code agrees with the portable one. The first byte chooses the size of the pieces. */
#include "fuzz.h"
#include "base64_vector.h"
#include "mime_qp.h"
#include "mime_scan.h"
#include "mime_transfer.h"
#include "mime_uu.h"

#include <stdlib.h>

static void check(bool good)
{
    if (!good)
        abort();
}

static size_t decoded(enum mime_encoding encoding, struct slice in, size_t piece, char *out)
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

static void check_pieces(struct slice in, size_t piece)
{
    static const enum mime_encoding all[] = {MIME_ENCODING_IDENTITY, MIME_ENCODING_BASE64, MIME_ENCODING_QP,
                                             MIME_ENCODING_UUENCODE};
    char *a = malloc(in.len + 1024), *b = malloc(in.len + 1024);
    for (size_t i = 0; i < 4; i++) {
        size_t n = decoded(all[i], in, in.len + 1, a), k = decoded(all[i], in, piece, b);
        /* Blanks at the end of a line that is longer than any real one may be told apart by where a piece ends. */
        if (all[i] != MIME_ENCODING_QP || in.len < 60)
            check(slice_eq(slice_of(a, n), slice_of(b, k)));
    }
    free(a);
    free(b);
}

/* All that a text's blocks give: each event's first letter and bytes; neighbouring bytes of one kind are one run. */
static size_t blocks(struct slice all, size_t piece, char *out)
{
    struct mime_uu *u = malloc(sizeof(*u));
    enum mime_uu_event event, before = MIME_UU_MORE;
    struct slice in = SLICE_EMPTY, s;
    size_t n = 0;
    bool last = false;
    check(u != NULL);
    mime_uu_init(u, 5);
    for (;;) {
        event = mime_uu_next(u, &in, last, &s);
        if (event == MIME_UU_MORE && last)
            break;
        if (event == MIME_UU_MORE) {
            check(in.len == 0);
            in = slice_to(all, piece);
            all = slice_from(all, in.len);
            last = all.len == 0;
            continue;
        }
        if (event != before)
            out[n++] = "-TBDE"[event];
        before = event;
        if (event == MIME_UU_TEXT || event == MIME_UU_DATA) {
            check(s.len > 0);
            memcpy(out + n, s.data, s.len);
            n += s.len;
        }
    }
    check(u->n_blocks <= 5);
    free(u);
    return n;
}

static void check_blocks(struct slice in, size_t piece)
{
    char *a = malloc(2 * in.len + 1024), *b = malloc(2 * in.len + 1024);
    size_t n = blocks(in, in.len + 1, a), k = blocks(in, piece, b);
    check(slice_eq(slice_of(a, n), slice_of(b, k)));
    free(a);
    free(b);
}

static void check_round_trips(struct slice in)
{
    char *text = malloc(in.len * 4 + 256), *back = malloc(in.len * 4 + 512);
    size_t n = mime_base64_lines(in.data, in.len, text);
    check(n == mime_base64_lines_len(in.len));
    check(slice_eq(in, slice_of(back, decoded(MIME_ENCODING_BASE64, slice_of(text, n), n + 1, back))));
    struct mime_qp_encoder e = {.text = false};
    check(mime_qp_encode(&e, in, true, text, in.len * 4 + 256, &n) == in.len);
    check(slice_eq(in, slice_of(back, decoded(MIME_ENCODING_QP, slice_of(text, n), n + 1, back))));
    for (size_t i = 0, column = 0; i < n; i++) {
        column = text[i] == '\n' ? 0 : column + 1;
        check(column <= 77); /* CR counts */
    }
    free(text);
    free(back);
}

static void check_decoder(base64_decode_fn *fast, base64_decode_fn *portable, struct slice in)
{
    const unsigned char *p = (const unsigned char *) in.data;
    unsigned char *a = malloc(in.len + 64), *b = malloc(in.len + 64);
    size_t used_a, used_b, n = portable(p, in.len, a, &used_a);
    check(n == fast(p, in.len, b, &used_b) && used_a == used_b && memcmp(a, b, n) == 0);
    free(a);
    free(b);
}

static void check_encoder(base64_encode_fn *fast, base64_encode_fn *portable, const char *in, size_t len, size_t made)
{
    char *a = malloc(made + 1), *b = malloc(made + 1);
    portable((const unsigned char *) in, len, a);
    fast((const unsigned char *) in, len, b);
    check(memcmp(a, b, made) == 0);
    free(a);
    free(b);
}

/* The vector code does what the portable code does. */
static void check_vectors(struct slice in)
{
    char *a = malloc(in.len + 64), *b = malloc(in.len + 64);
    bool bad_a = false, bad_b = false;
    size_t lines = slice_find(in, '\n') < in.len ? (size_t) ((const char *) memrchr(in.data, '\n', in.len) - in.data) + 1 : 0;
    size_t n = mime_qp_lines_portable(in.data, lines, a, &bad_a);
    check(n <= lines && n == mime_qp_lines(in.data, lines, b, &bad_b) && bad_a == bad_b && memcmp(a, b, n) == 0);
    check(mime_find_dash_line(in) == mime_find_dash_line_portable(in));
    check_decoder(base64_decode_groups, base64_decode_groups_portable, in);
    check_decoder(base64_decode_lines, base64_decode_lines_portable, in);
    check_encoder(base64_encode_groups, base64_encode_groups_portable, in.data, in.len / 3 * 3, in.len / 3 * 4);
    lines = in.len / BASE64_LINE;
    check_encoder(base64_encode_lines, base64_encode_lines_portable, in.data, lines * BASE64_LINE, lines * BASE64_LINE_TEXT);
    free(a);
    free(b);
}

int fuzz_one(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice in = slice_of(data + 1, size - 1);
    check_vectors(in);
    check_pieces(in, data[0] % 70u + 1);
    check_blocks(in, data[0] % 70u + 1);
    check_round_trips(in);
    return 0;
}
