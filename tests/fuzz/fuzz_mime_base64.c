/* SPDX-License-Identifier: MIT */
/* Base64: pieces decode like the whole, what is encoded decodes to itself, and the vector code agrees with the portable one.
 * The first byte chooses the size of the pieces. */
#include "base64_vector.h"
#include "fuzz_mime_check.h"

static void check_round_trip(struct slice in)
{
    char *text = malloc(in.len * 4 + 256), *back = malloc(in.len * 4 + 512);
    check(text && back);
    size_t n = mime_base64_lines(in.data, in.len, text);
    check(n == mime_base64_lines_len(in.len));
    check(slice_eq(in, slice_of(back, fuzz_decoded(MIME_ENCODING_BASE64, slice_of(text, n), n + 1, back))));
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
    size_t lines = in.len / BASE64_LINE;
    check_decoder(base64_decode_groups, base64_decode_groups_portable, in);
    check_decoder(base64_decode_lines, base64_decode_lines_portable, in);
    check_encoder(base64_encode_groups, base64_encode_groups_portable, in.data, in.len / 3 * 3, in.len / 3 * 4);
    check_encoder(base64_encode_lines, base64_encode_lines_portable, in.data, lines * BASE64_LINE, lines * BASE64_LINE_TEXT);
}

int fuzz_one(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice in = slice_of(data + 1, size - 1);
    check_vectors(in);
    fuzz_check_pieces(MIME_ENCODING_BASE64, in, data[0] % 70u + 1);
    check_round_trip(in);
    return 0;
}
