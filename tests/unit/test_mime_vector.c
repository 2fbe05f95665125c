/* SPDX-License-Identifier: MIT */
/* The vector code of the transfer encodings and of the search for boundaries against the portable code, on what machines
 * make of text and damage. Where the machine has no such vectors both are the same. */
#include "config.h"

#include "unit.h"

#include "base64.h"
#include "base64_vector.h"
#include "mime_qp.h"
#include "mime_scan.h"

#include <errno.h>
#include <string.h>

#define ROUNDS 4000
#define LONGEST 400

static uint64_t state;

static uint64_t number(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

static void setup(void)
{
    state = 88172645463325252U;
}

/* Bytes of `from`, now and then any byte; in lines of about `line` where that is not 0. */
static size_t make(const char *from, size_t line, unsigned damage, char *out)
{
    size_t len = number(LONGEST), n = strlen(from), column = 0;
    for (size_t i = 0; i < len; i++) {
        out[i] = from[number(n)];
        if (damage && number(damage) == 0)
            out[i] = (char) number(256);
        if (line && ++column >= line && i + 1 < len) {
            if (number(8))
                out[i++] = '\r';
            out[i] = '\n';
            column = 0;
            line = number(6) ? line : 1 + number(90);
        }
    }
    return len;
}

static void check_decoders(const char *in, size_t len)
{
    static const struct {
        base64_decode_fn *fast, *portable;
    } both[] = {{base64_decode_groups, base64_decode_groups_portable}, {base64_decode_lines, base64_decode_lines_portable}};
    unsigned char a[LONGEST + BASE64_BEHIND], b[LONGEST + BASE64_BEHIND];
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        size_t used_a, used_b, n = both[i].fast((const unsigned char *) in, len, a, &used_a);
        ck_assert_uint_eq(n, both[i].portable((const unsigned char *) in, len, b, &used_b));
        ck_assert_uint_eq(used_a, used_b);
        ck_assert_int_eq(memcmp(a, b, n), 0);
    }
}

START_TEST(base64_decoding)
{
    static const size_t lines[] = {0, 76, 76, 64, 60, 32, 36, 100, 20};
    char in[LONGEST + 2], alphabet[65] = "";
    memcpy(alphabet, base64_alphabet, 64);
    for (unsigned i = 0; i < ROUNDS; i++)
        check_decoders(in, make(alphabet, lines[i % ARRAY_LEN(lines)], i % 3 ? 0 : 1 + i % 200, in));
    /* Every byte in every lane. */
    for (unsigned c = 0; c < 256; c++)
        for (unsigned lane = 0; lane < 33; lane++) {
            memset(in, 'Q', 64);
            in[lane] = (char) c;
            check_decoders(in, 64);
        }
}
END_TEST

START_TEST(base64_encoding)
{
    char in[LONGEST], a[LONGEST * 2], b[LONGEST * 2];
    for (unsigned i = 0; i < ROUNDS; i++) {
        size_t len = make("x", 0, 1, in), groups = len / 3, lines = len / BASE64_LINE;
        memset(a, '.', sizeof(a));
        memset(b, '.', sizeof(b));
        base64_encode_groups((const unsigned char *) in, groups * 3, a);
        base64_encode_groups_portable((const unsigned char *) in, groups * 3, b);
        /* Nothing is written behind the result either. */
        ck_assert_int_eq(memcmp(a, b, sizeof(a)), 0);
        base64_encode_lines((const unsigned char *) in, lines * BASE64_LINE, a);
        base64_encode_lines_portable((const unsigned char *) in, lines * BASE64_LINE, b);
        ck_assert_int_eq(memcmp(a, b, lines * BASE64_LINE_TEXT), 0);
    }
}
END_TEST

/* In place, and refused wherever the bad character stands. */
START_TEST(base64_in_place)
{
    for (size_t len = 0; len < 200; len++) {
        char raw[200], text[300], copy[300];
        size_t got;
        for (size_t i = 0; i < len; i++)
            raw[i] = (char) number(256);
        size_t n = base64_encode(raw, len, text);
        memcpy(copy, text, n);
        ck_assert_int_eq(base64_decode(copy, n, copy, &got), 0);
        ck_assert_uint_eq(got, len);
        ck_assert_int_eq(memcmp(copy, raw, len), 0);
        for (size_t bad = 0; bad < n; bad++) {
            memcpy(copy, text, n);
            copy[bad] = "\n=.\x80"[number(4)];
            if (copy[bad] != text[bad] && !(copy[bad] == '=' && bad + 2 >= n))
                ck_assert_int_eq(base64_decode(copy, n, copy, &got), -EINVAL);
        }
    }
}
END_TEST

START_TEST(quoted_printable)
{
    static const char *const kinds[] = {"abcdefghijklmnop =", "=0123456789ABCDEFabcdef", "a= \t\r\n", "abc \t", "=\n", "=3D=20\r\n"};
    char in[LONGEST + 2], a[LONGEST + 64], b[LONGEST + 64];
    for (unsigned i = 0; i < ROUNDS; i++) {
        bool bad_a = false, bad_b = false;
        size_t len = make(kinds[i % ARRAY_LEN(kinds)], i % 4 ? 76 : 0, i % 5 ? 0 : 40, in);
        while (len && in[len - 1] != '\n')
            len--;
        size_t n = mime_qp_lines(in, len, a, &bad_a);
        ck_assert_uint_eq(n, mime_qp_lines_portable(in, len, b, &bad_b));
        ck_assert_int_eq(bad_a, bad_b);
        ck_assert_int_eq(memcmp(a, b, n), 0);
        /* Byte by byte the same comes out: that is another path. */
        struct mime_transfer t;
        mime_transfer_init(&t, MIME_ENCODING_QP);
        size_t k = 0;
        for (size_t j = 0; j < len; j++)
            k += mime_transfer_decode(&t, slice_of(in + j, 1), b + k);
        k += mime_transfer_finish(&t, b + k);
        ck_assert_uint_eq(n, k);
        ck_assert_int_eq(memcmp(a, b, n), 0);
        ck_assert_int_eq(bad_a, t.damaged);
    }
}
END_TEST

START_TEST(dash_lines)
{
    char in[LONGEST + 2];
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct slice s = slice_of(in, make(i % 2 ? "abcdef-\n" : "-\n\n", i % 3 ? 76 : 0, 0, in));
        for (size_t end = s.len;; end = number(end)) {
            ck_assert_uint_eq(mime_find_dash_line(slice_to(s, end)), mime_find_dash_line_portable(slice_to(s, end)));
            if (!end)
                break;
        }
    }
    /* In every place, and at the very end. */
    for (size_t len = 3; len < 300; len++)
        for (size_t at = 0; at + 3 <= len; at++) {
            memset(in, '-', len);
            in[at] = '\n';
            ck_assert_uint_eq(mime_find_dash_line(slice_of(in, len)), at);
        }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mime_vector");
    TCase *tc = tcase_create("vector");
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, base64_decoding);
    tcase_add_test(tc, base64_encoding);
    tcase_add_test(tc, base64_in_place);
    tcase_add_test(tc, quoted_printable);
    tcase_add_test(tc, dash_lines);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
