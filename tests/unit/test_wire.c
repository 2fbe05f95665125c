/* SPDX-License-Identifier: MIT */
/* The shared reader and writer. */
#include "reader.h"
#include "unit.h"
#include "writer.h"

#include <errno.h>
#include <stdlib.h>

/* A window of exactly this size on the heap, so that a sanitizer sees a byte read too many. */
static char *window(const char *bytes, size_t len)
{
    char *copy = malloc(len ? len : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, bytes, len);
    return copy;
}

/* Reads all units of `text` in windows of `step` bytes, the first one of `first`; literals announced as "{n}" are joined.
 * Units are put into `out`, each followed by '|'; returns the first error or 0. */
static int read_all(const char *text, size_t len, size_t first, size_t step, unsigned policy, size_t max_line,
                    size_t max_unit, struct buffer *out)
{
    struct reader r;
    reader_init(&r, policy, max_line, max_unit);
    int ret = 0;
    for (size_t at = 0; at < len && ret >= 0;) {
        size_t n = at == 0 ? first : step;
        n = MIN(n, len - at);
        char *w = window(text + at, n);
        ck_assert_int_eq(reader_feed(&r, w, n), 0);
        struct slice unit;
        while ((ret = reader_line(&r, &unit)) == 1) {
            size_t brace = unit.len;
            uint64_t literal;
            if (unit.len && unit.data[unit.len - 1] == '}') {
                while (brace > 0 && unit.data[brace - 1] != '{')
                    brace--;
                if (slice_to_u64(slice_of(unit.data + brace, unit.len - 1 - brace), 1000, &literal)) {
                    ret = reader_join(&r, literal);
                    if (ret < 0)
                        break;
                    continue;
                }
            }
            ck_assert_int_eq(buffer_append_slice(out, unit), 0);
            ck_assert_int_eq(buffer_append_char(out, '|'), 0);
        }
        free(w);
        at += n;
    }
    if (ret == 0) {
        ck_assert_uint_eq(reader_pending(&r), 0);
        ck_assert_ptr_null(r.stash.data);
    }
    reader_done(&r);
    return ret < 0 ? ret : 0;
}

START_TEST(reader_gives_the_same_units_at_every_split)
{
    static const char text[] = "one\r\n\r\ntwo {5}\r\nab\r\nc tail {0}\r\n end\r\nx\ry\r\nlast\r\n";
    static const char want[] = "one||two {5}\r\nab\r\nc tail {0}\r\n end|x\ry|last|";
    size_t len = sizeof(text) - 1;
    for (size_t first = 1; first <= len; first++)
        for (size_t step = 1; step <= len; step++) {
            struct buffer out;
            buffer_init(&out, 1000);
            ck_assert_int_eq(read_all(text, len, first, step, 0, 100, 100, &out), 0);
            ck_slice_eq(buffer_slice(&out), want);
            buffer_done(&out);
        }
}
END_TEST

/* The same verdict wherever the windows end. */
static void check_policy(const char *text, unsigned policy, int want, const char *units)
{
    size_t len = strlen(text);
    for (size_t first = 1; first <= len; first++) {
        struct buffer out;
        buffer_init(&out, 1000);
        ck_assert_int_eq(read_all(text, len, first, 1, policy, 100, 100, &out), want);
        ck_slice_eq(buffer_slice(&out), units);
        buffer_done(&out);
    }
}

START_TEST(reader_policies)
{
    check_policy("a\nb\r\n", 0, -EBADMSG, "");
    check_policy("a\nb\r\n", READER_LF_ENDS_LINE, 0, "a|b|");
    check_policy("a\r\nb\n\n", READER_LF_ENDS_LINE, 0, "a|b||");
    check_policy("a\rb\r\n", 0, 0, "a\rb|");
    check_policy("a\r\r\n", 0, 0, "a\r|");
    check_policy("ok\r\na\rb\r\n", READER_REFUSE_CR, -EBADMSG, "ok|");
    check_policy("ok\r\na\r\r\n", READER_REFUSE_CR, -EBADMSG, "ok|");
    check_policy("ok\r\nfine\r\n", READER_REFUSE_CR | READER_REFUSE_NUL, 0, "ok|fine|");
    struct buffer out;
    buffer_init(&out, 100);
    ck_assert_int_eq(read_all("a\0b\r\n", 5, 5, 5, 0, 100, 100, &out), 0);
    ck_assert(slice_eq(buffer_slice(&out), SLICE("a\0b|")));
    buffer_clear(&out);
    ck_assert_int_eq(read_all("a\0b\r\n", 5, 2, 1, READER_REFUSE_NUL, 100, 100, &out), -EBADMSG);
    /* What a literal holds is not judged. */
    ck_assert_int_eq(read_all("{3}\r\n\n\0\r!\r\n", 11, 11, 1, READER_REFUSE_NUL | READER_REFUSE_CR, 100, 100, &out), 0);
    ck_assert(slice_eq(buffer_slice(&out), SLICE("{3}\r\n\n\0\r!|")));
    buffer_done(&out);
}
END_TEST

START_TEST(reader_limits)
{
    struct buffer out;
    buffer_init(&out, 1000);
    for (size_t step = 1; step <= 12; step++) {
        ck_assert_int_eq(read_all("12345678\r\n", 10, step, step, 0, 10, 10, &out), 0);
        ck_assert_int_eq(read_all("123456789\r\n", 11, step, step, 0, 10, 10, &out), -EMSGSIZE);
        /* Each line is short enough, the unit is not. */
        ck_assert_int_eq(read_all("a{5}\r\n12345\r\n", 13, step, step, 0, 10, 13, &out), 0);
        ck_assert_int_eq(read_all("a{5}\r\n12345\r\n", 13, step, step, 0, 10, 12, &out), -EMSGSIZE);
        ck_assert_int_eq(read_all("a{999}\r\n12345\r\n", 15, step, step, 0, 10, 100, &out), -EMSGSIZE);
    }
    /* The error is there as soon as the limit is passed, without a line end. */
    ck_assert_int_eq(read_all("12345678901", 11, 11, 1, 0, 10, 10, &out), -EMSGSIZE);
    ck_assert_int_eq(read_all("12345678901", 11, 1, 1, 0, 10, 10, &out), -EMSGSIZE);
    buffer_done(&out);
}
END_TEST

START_TEST(reader_takes_literals_in_pieces)
{
    static const char text[] = "head {10}\r\n0123456789 tail\r\nmore\r\n";
    size_t len = sizeof(text) - 1;
    for (size_t step = 1; step <= len; step++) {
        struct reader r;
        reader_init(&r, 0, 100, 100);
        char body[16], lines[64];
        size_t n_body = 0, n_lines = 0;
        uint64_t left = 0;
        for (size_t at = 0; at < len; at += step) {
            size_t n = MIN(step, len - at);
            char *w = window(text + at, n);
            ck_assert_int_eq(reader_feed(&r, w, n), 0);
            for (;;) {
                struct slice s = SLICE_EMPTY;
                if (left > 0) {
                    s = reader_take(&r, left);
                    if (s.len == 0)
                        break;
                    memcpy(body + n_body, s.data, s.len);
                    n_body += s.len;
                    left -= s.len;
                    continue;
                }
                int ret = reader_line(&r, &s);
                ck_assert_int_ge(ret, 0);
                if (ret == 0)
                    break;
                memcpy(lines + n_lines, s.data, s.len);
                n_lines += s.len;
                lines[n_lines++] = '|';
                if (slice_starts(s, SLICE("head")))
                    left = 10;
            }
            free(w);
        }
        ck_slice_eq(slice_of(body, n_body), "0123456789");
        ck_slice_eq(slice_of(lines, n_lines), "head {10}| tail|more|");
        reader_done(&r);
    }
}
END_TEST

START_TEST(reader_knows_what_is_left)
{
    struct reader r;
    struct slice s;
    reader_init(&r, 0, 100, 100);
    ck_assert_int_eq(reader_feed(&r, "220 go\r\nextra", 13), 0);
    ck_assert_int_eq(reader_line(&r, &s), 1);
    ck_assert_uint_eq(reader_pending(&r), 5);
    ck_slice_eq(reader_peek(&r), "extra");
    ck_assert_int_eq(reader_feed(&r, "x", 1), -EINVAL); /* the window is not used up */
    ck_assert_int_eq(reader_line(&r, &s), 0);
    ck_assert_uint_eq(reader_pending(&r), 5); /* a line half read still counts */
    ck_assert_int_eq(reader_feed(&r, "\r\n", 2), 0);
    ck_assert_int_eq(reader_line(&r, &s), 1);
    ck_slice_eq(s, "extra");
    ck_assert_uint_eq(reader_pending(&r), 0);
    ck_assert_int_eq(reader_feed(&r, NULL, 0), 0);
    ck_assert_int_eq(reader_line(&r, &s), 0);
    reader_done(&r);
}
END_TEST

/* --- writer --- */

typedef int piece_fn(struct writer *w, struct slice s);

static void check_piece(piece_fn *piece, struct slice value, bool utf8, const char *want)
{
    struct writer w;
    writer_init(&w, 10000);
    w.utf8 = utf8;
    writer_begin(&w);
    writer_raw_str(&w, "<");
    int ret = piece(&w, value);
    writer_raw_str(&w, ">");
    int end = writer_end(&w);
    ck_assert_msg((ret == 0) == (want != NULL), "piece: %d", ret);
    ck_assert_int_eq(ret, end);
    struct slice out = buffer_slice(&w.out);
    if (want) {
        ck_assert_uint_ge(out.len, 4);
        ck_slice_eq(slice_of(out.data + 1, out.len - 4), want);
    } else {
        ck_assert_int_eq(ret, -EINVAL);
        ck_assert_uint_eq(out.len, 0);
    }
    writer_done(&w);
}

START_TEST(no_piece_lets_line_ends_or_nul_through)
{
    static piece_fn *const pieces[] = {writer_raw,           writer_word,  writer_text,  writer_path, writer_esmtp_keyword,
                                       writer_esmtp_value,   writer_xtext, writer_atom,  writer_flag, writer_quoted,
                                       writer_astring};
    static const char bad[] = {'\r', '\n', '\0'};
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
        for (size_t j = 0; j < sizeof(bad); j++)
            for (size_t at = 0; at < 3; at++) {
                char value[3] = {'a', 'a', 'a'};
                value[at] = bad[j];
                if (pieces[i] == writer_astring && bad[j] != '\0')
                    continue; /* goes as a literal */
                check_piece(pieces[i], slice_of(value, 3), false, NULL);
                check_piece(pieces[i], slice_of(value, 3), true, NULL);
            }
    check_piece(writer_literal, SLICE("a\0b"), false, NULL);
    check_piece(writer_string, SLICE("a\0b"), false, NULL);
}
END_TEST

START_TEST(pieces)
{
    check_piece(writer_word, SLICE("user@host"), false, "user@host");
    check_piece(writer_word, SLICE(""), false, NULL);
    check_piece(writer_word, SLICE("a b"), false, NULL);
    check_piece(writer_word, SLICE("a\x7f"), false, NULL);
    check_piece(writer_word, SLICE("\xc3\xa4"), false, NULL);
    check_piece(writer_word, SLICE("\xc3\xa4"), true, "\xc3\xa4");
    check_piece(writer_word, SLICE("\xc3"), true, NULL);
    check_piece(writer_text, SLICE("a b"), false, "a b");
    check_piece(writer_text, SLICE("a\tb"), false, NULL);
    check_piece(writer_path, SLICE(""), false, "<>");
    check_piece(writer_path, SLICE("a@b.example"), false, "<a@b.example>");
    check_piece(writer_path, SLICE("\"a b\\\" <c>\"@d"), false, "<\"a b\\\" <c>\"@d>");
    check_piece(writer_path, SLICE("a> SIZE=1"), false, NULL);
    check_piece(writer_path, SLICE("a b@c"), false, NULL);
    check_piece(writer_path, SLICE("\"a@c"), false, NULL);
    check_piece(writer_path, SLICE("\xc3\xa4@c"), false, NULL);
    check_piece(writer_path, SLICE("\xc3\xa4@c"), true, "<\xc3\xa4@c>");
    check_piece(writer_esmtp_keyword, SLICE("X-SIZE"), false, "X-SIZE");
    check_piece(writer_esmtp_keyword, SLICE("-X"), false, NULL);
    check_piece(writer_esmtp_keyword, SLICE("A=B"), false, NULL);
    check_piece(writer_esmtp_value, SLICE("a=b"), false, NULL);
    check_piece(writer_esmtp_value, SLICE("a+b"), false, "a+b");
    check_piece(writer_xtext, SLICE("a+b=c d\xe4"), false, "a+2Bb+3Dc+20d+E4");
    check_piece(writer_base64, SLICE("\0user\0pass"), false, "AHVzZXIAcGFzcw==");
    check_piece(writer_base64, SLICE(""), false, "");
    check_piece(writer_atom, SLICE("INBOX"), false, "INBOX");
    check_piece(writer_atom, SLICE("a]"), false, NULL);
    check_piece(writer_atom, SLICE("(a"), false, NULL);
    check_piece(writer_atom, SLICE(""), false, NULL);
    check_piece(writer_flag, SLICE("\\Seen"), false, "\\Seen");
    check_piece(writer_flag, SLICE("$Junk"), false, "$Junk");
    check_piece(writer_flag, SLICE("\\"), false, NULL);
    check_piece(writer_flag, SLICE("\\\\Seen"), false, NULL);
    check_piece(writer_flag, SLICE("a) EXPUNGE ("), false, NULL);
    check_piece(writer_quoted, SLICE("a\"b\\c"), false, "\"a\\\"b\\\\c\"");
    check_piece(writer_quoted, SLICE(""), false, "\"\"");
    check_piece(writer_quoted, SLICE("\xc3\xa4"), false, NULL);
    check_piece(writer_quoted, SLICE("\xc3\xa4"), true, "\"\xc3\xa4\"");
    check_piece(writer_astring, SLICE("INBOX"), false, "INBOX");
    check_piece(writer_astring, SLICE("a]"), false, "a]");
    check_piece(writer_astring, SLICE(""), false, "\"\"");
    check_piece(writer_astring, SLICE("nil"), false, "\"nil\"");
    check_piece(writer_astring, SLICE("a b"), false, "\"a b\"");
    check_piece(writer_astring, SLICE("{3}"), false, "\"{3}\"");
    check_piece(writer_astring, SLICE("a\r\nb EXPUNGE"), false, "{12}\r\na\r\nb EXPUNGE");
    check_piece(writer_astring, SLICE("\xc3\xa4"), false, "{2}\r\n\xc3\xa4");
    check_piece(writer_astring, SLICE("\xc3\xa4"), true, "\"\xc3\xa4\"");
    check_piece(writer_astring, SLICE("\xc3"), true, "{1}\r\n\xc3");
    check_piece(writer_string, SLICE("ALL"), false, "\"ALL\"");
}
END_TEST

START_TEST(writer_sets_and_numbers)
{
    struct writer w;
    writer_init(&w, 1000);
    static const struct number_range set[] = {{1, 5}, {7, 7}, {9, 0}, {0, 0}, {4294967295u, 4294967295u}};
    writer_begin(&w);
    writer_number_set(&w, set, ARRAY_LEN(set));
    writer_char(&w, ' ');
    writer_number(&w, UINT64_MAX);
    ck_assert_int_eq(writer_end(&w), 0);
    ck_slice_eq(writer_output(&w), "1:5,7,9:*,*,4294967295 18446744073709551615\r\n");
    writer_begin(&w);
    ck_assert_int_eq(writer_number_set(&w, set, 0), -EINVAL);
    ck_assert_int_eq(writer_end(&w), -EINVAL);
    writer_done(&w);
}
END_TEST

START_TEST(writer_takes_a_bad_command_back_whole)
{
    struct writer w;
    writer_init(&w, 40);
    writer_begin(&w);
    writer_raw_str(&w, "NOOP");
    ck_assert_uint_eq(writer_output(&w).len, 0); /* not before it is complete */
    ck_assert_int_eq(writer_end(&w), 0);
    ck_assert_uint_eq(writer_position(&w), 6);
    writer_begin(&w);
    writer_raw_str(&w, "a ");
    writer_literal(&w, SLICE("x\ny"));
    writer_atom(&w, SLICE("b c"));
    ck_assert_int_eq(writer_end(&w), -EINVAL);
    ck_assert(!writer_is_stopped(&w));
    ck_slice_eq(writer_output(&w), "NOOP\r\n");
    writer_sent(&w, 3);
    ck_slice_eq(writer_output(&w), "P\r\n");
    writer_begin(&w);
    writer_raw(&w, SLICE("0123456789012345678901234567890123456789"));
    ck_assert_int_eq(writer_end(&w), -EMSGSIZE);
    writer_sent(&w, 3);
    ck_assert_uint_eq(writer_position(&w), 6);
    ck_assert_ptr_null(w.out.data);
    /* Outside a command nothing can be written. */
    ck_assert_int_eq(writer_raw_str(&w, "x"), -EMSGSIZE);
    ck_assert_int_eq(writer_body(&w, "body", 4), 4);
    ck_slice_eq(writer_output(&w), "body");
    writer_done(&w);
}
END_TEST

START_TEST(writer_leaves_secrets_out_of_the_trace)
{
    struct writer w;
    struct buffer trace;
    writer_init(&w, 1000);
    buffer_init(&trace, 1000);
    writer_begin(&w);
    writer_raw_str(&w, "a LOGIN ");
    writer_secret_begin(&w);
    writer_astring(&w, SLICE("ann"));
    writer_secret_end(&w);
    writer_char(&w, ' ');
    writer_secret_begin(&w);
    writer_astring(&w, SLICE("pass\nword"));
    writer_secret_end(&w);
    ck_assert_int_eq(writer_end(&w), 0);
    ck_assert_int_eq(writer_trace(&w, &trace), 0);
    ck_slice_eq(buffer_slice(&trace), "a LOGIN *** ***");
    ck_assert(w.out.secret);
    while (writer_output(&w).len || writer_release(&w))
        writer_sent(&w, 1);
    ck_assert(!w.out.secret);
    buffer_clear(&trace);
    writer_begin(&w);
    writer_raw_str(&w, "b NOOP");
    ck_assert_int_eq(writer_end(&w), 0);
    ck_assert_int_eq(writer_trace(&w, &trace), 0);
    ck_slice_eq(buffer_slice(&trace), "b NOOP");
    buffer_done(&trace);
    writer_done(&w);
}
END_TEST

START_TEST(writer_stops_at_synchronising_literals)
{
    struct writer w;
    writer_init(&w, 10000);
    writer_begin(&w);
    writer_raw_str(&w, "a X ");
    writer_literal(&w, SLICE("one\n"));
    writer_char(&w, ' ');
    writer_literal(&w, SLICE("two\n"));
    ck_assert_int_eq(writer_end(&w), 0);
    ck_slice_eq(writer_output(&w), "a X {4}\r\n");
    ck_assert(!writer_waits(&w)); /* the announcement is not sent yet: a "+" is nobody's */
    ck_assert(!writer_release(&w));
    writer_sent(&w, 9);
    ck_assert(writer_waits(&w));
    ck_assert_uint_eq(writer_output(&w).len, 0);
    ck_assert(writer_release(&w));
    ck_slice_eq(writer_output(&w), "one\n {4}\r\n");
    writer_sent(&w, 10);
    writer_abandon(&w);
    ck_assert(!writer_is_stopped(&w));
    ck_assert_uint_eq(writer_output(&w).len, 0);
    ck_assert(!writer_release(&w));

    w.literals = WRITER_LITERAL_MINUS;
    bool wait = true;
    writer_begin(&w);
    ck_assert_int_eq(writer_literal_announce(&w, 4096, &wait), 0);
    ck_assert(!wait);
    ck_assert_int_eq(writer_literal_announce(&w, 4097, &wait), 0);
    ck_assert(wait);
    ck_assert_int_eq(writer_finish(&w), 0);
    ck_slice_eq(writer_output(&w), "{4096+}\r\n{4097}\r\n");
    writer_abandon(&w);
    w.literals = WRITER_LITERAL_PLUS;
    writer_begin(&w);
    ck_assert_int_eq(writer_literal_announce(&w, 1000000, &wait), 0);
    ck_assert(!wait);
    ck_assert_int_eq(writer_finish(&w), 0);
    writer_done(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wire");
    TCase *tc = tcase_create("reader");
    tcase_add_test(tc, reader_gives_the_same_units_at_every_split);
    tcase_add_test(tc, reader_policies);
    tcase_add_test(tc, reader_limits);
    tcase_add_test(tc, reader_takes_literals_in_pieces);
    tcase_add_test(tc, reader_knows_what_is_left);
    suite_add_tcase(suite, tc);
    tc = tcase_create("writer");
    tcase_add_test(tc, no_piece_lets_line_ends_or_nul_through);
    tcase_add_test(tc, pieces);
    tcase_add_test(tc, writer_sets_and_numbers);
    tcase_add_test(tc, writer_takes_a_bad_command_back_whole);
    tcase_add_test(tc, writer_leaves_secrets_out_of_the_trace);
    tcase_add_test(tc, writer_stops_at_synchronising_literals);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
