/* SPDX-License-Identifier: MIT */
/* Quoted-printable: pieces decode like the whole, what is encoded decodes to itself, in lines that are short enough, and the
 * vector code agrees with the portable one, as in the search for boundaries. The first byte chooses the size of the pieces. */
#include "fuzz_mime_check.h"
#include "mime_qp.h"
#include "mime_scan.h"

static void check_round_trip(struct slice in)
{
    size_t room = in.len * 4 + 256, n;
    char *text = malloc(room), *back = malloc(room + 256);
    struct mime_qp_encoder e = {.text = false};
    check(text && back);
    check(mime_qp_encode(&e, in, true, text, room, &n) == in.len);
    check(slice_eq(in, slice_of(back, fuzz_decoded(MIME_ENCODING_QP, slice_of(text, n), n + 1, back))));
    for (size_t i = 0, column = 0; i < n; i++) {
        column = text[i] == '\n' ? 0 : column + 1;
        check(column <= 77); /* CR counts */
    }
    free(text);
    free(back);
}

static void check_vectors(struct slice in)
{
    char *a = malloc(in.len + 64), *b = malloc(in.len + 64);
    bool bad_a = false, bad_b = false;
    const char *last = in.len ? memrchr(in.data, '\n', in.len) : NULL;
    size_t lines = last ? (size_t) (last - in.data) + 1 : 0;
    check(a && b);
    size_t n = mime_qp_lines_portable(in.data, lines, a, &bad_a);
    check(n <= lines && n == mime_qp_lines(in.data, lines, b, &bad_b) && bad_a == bad_b && memcmp(a, b, n) == 0);
    check(mime_find_dash_line(in) == mime_find_dash_line_portable(in));
    free(a);
    free(b);
}

int fuzz_one(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice in = slice_of(data + 1, size - 1);
    fuzz_check_pieces(MIME_ENCODING_QP, in, data[0] % 70u + 1);
    fuzz_check_pieces(MIME_ENCODING_IDENTITY, in, data[0] % 70u + 1);
    check_vectors(in);
    check_round_trip(in);
    return 0;
}
