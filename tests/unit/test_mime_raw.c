/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "mime_unit.h"

#include "mime_raw.h"

#include <stdio.h>

static void check_raw(const char *raw, const char *prefix, const char *want)
{
    struct mime_source src;
    mime_source_memory(&src, slice_of_str(raw));
    for (size_t piece = 1; piece < 100; piece++) {
        struct mime_raw_reader *r = mime_raw_reader_new(&src, slice_of_str(prefix));
        char out[2048];
        for (int round = 0; round < 2; round++) {
            size_t n = 0, got = 1;
            while (got) {
                ck_assert_int_eq(mime_raw_read(r, out + n, piece, &got), 0);
                n += got;
            }
            ck_assert_msg(slice_eq(slice_of(out, n), slice_of_str(want)), "'%s' gives '%.*s'", raw, (int) n, out);
            mime_raw_rewind(r);
        }
        mime_raw_reader_free(r);
    }
    struct mime_raw_info info;
    ck_assert_int_eq(mime_raw_scan(&decoder, &src, &info), 0);
    ck_assert_uint_eq(info.size + strlen(prefix) + (prefix[0] && !info.has_header ? 2 : 0), strlen(want));
}

START_TEST(raw_filter)
{
    check_raw("A: b\r\n\r\nbody\r\n", "", "A: b\r\n\r\nbody\r\n");
    check_raw("A: b\n\nbody\n", "X: y\r\n", "X: y\r\nA: b\r\n\r\nbody\r\n");
    check_raw("A: b\rC: d\r\rbo\rdy\r\n\n\r", "", "A: b\r\nC: d\r\n\r\nbo\r\ndy\r\n\r\n\r\n");
    /* Smuggled ends of data */
    check_raw("A: b\n\nx\n.\nMAIL\r.\rRCPT\r\n.\n", "", "A: b\r\n\r\nx\r\n.\r\nMAIL\r\n.\r\nRCPT\r\n.\r\n");
    check_raw("To: a\nBcc: b,\n c,\n\td\nBCC : e\nResent-Bcc: f\nBccx: g\n\nBcc: body\n", "",
              "To: a\r\nBccx: g\r\n\r\nBcc: body\r\n");
    /* A Bcc that only shows once line ends are right. */
    check_raw("To: a\rBcc: b\r\n\r\n", "", "To: a\r\n\r\n");
    check_raw("no header\nBcc: text\n", "X: y\r\n", "X: y\r\n\r\nno header\r\nBcc: text\r\n");
    check_raw("no header", "", "no header");
    check_raw("\nbody", "X: y\r\n", "X: y\r\n\r\nbody");
    check_raw("Subject: only a header", "X: y\r\n", "X: y\r\nSubject: only a header");
    check_raw("From ann Mon\nA: b\n\nx", "X: y\r\n", "From ann Mon\r\nX: y\r\nA: b\r\n\r\nx");
    check_raw("", "X: y\r\n", "X: y\r\n\r\n");
}
END_TEST

/* What is found of lines in one pass, and what comes out with and without that knowledge, for texts of which each place is hit by each
 * kind of line end. */
START_TEST(raw_lines)
{
    static const char alphabet[] = "abcdefgh\r\n\r\n\r\n.\xe4";
    uint32_t chance = 1;

    for (unsigned round = 0; round < 3000; round++) {
        char text[400], plain[800], known[800];
        size_t len = round % sizeof(text), sparse = round % 7 + 1, n = 0, k = 0, got = 1;
        for (size_t i = 0; i < len; i++) {
            chance = chance * 1664525 + 1013904223;
            text[i] = (chance >> 16) % sparse ? 'x' : alphabet[(chance >> 8) % (sizeof(alphabet) - 1)];
            if (round % 3 == 0 && text[i] == '\r' && i + 1 < len)
                text[++i] = '\n';
            else if (round % 3 == 0 && text[i] == '\n')
                text[i] = 'y';
        }
        if (len > 2 && round % 2)
            memcpy(text, "\r\n", 2);
        struct mime_source src;
        struct mime_raw_info info;
        mime_source_memory(&src, slice_of(text, len));
        ck_assert_int_eq(mime_raw_scan(&decoder, &src, &info), 0);
        struct mime_raw_reader *r = mime_raw_reader_new(&src, SLICE_EMPTY), *fast = mime_raw_reader_new(&src, SLICE_EMPTY);
        mime_raw_reader_knows(fast, &info);
        for (; got; n += got)
            ck_assert_int_eq(mime_raw_read(r, plain + n, 1 + round % 50, &got), 0);
        for (struct slice next = SLICE("-"); next.len; k += next.len) {
            if (round % 5) {
                ck_assert_int_eq(mime_raw_next(fast, &next), 0);
                memcpy(known + k, next.data ? next.data : "", next.len);
            } else {
                next.data = known + k;
                ck_assert_int_eq(mime_raw_read(fast, known + k, 7, &next.len), 0);
            }
        }
        ck_assert_uint_eq(info.size, n);
        ck_assert_uint_eq(k, n);
        ck_assert_mem_eq(known, plain, n);
        size_t longest = 0, line = 0;
        bool high = false;
        for (size_t i = 0; i < n; i++) {
            high |= (unsigned char) plain[i] > 127;
            line = plain[i] == '\n' ? 0 : line + (plain[i] != '\r');
            longest = MAX(longest, line);
        }
        ck_assert_uint_eq(info.longest_line, longest);
        ck_assert_int_eq(info.header_8bit || info.body_8bit, high);
        ck_assert_int_eq(info.open_end, line > 0);
        mime_raw_reader_free(r);
        mime_raw_reader_free(fast);
    }
}
END_TEST

START_TEST(raw_info)
{
    static const char raw[] = "From: Ann <ann@x>\nSender: sec@x\nTo: b@x, G: c@x, d@x;\nCc: b@x\nBcc: e@x\nTo: f@x\n"
                              "Message-ID: <id@x>\n\nb\xc3\xb6\n0123456789";
    struct mime_source src;
    struct mime_raw_info info;
    mime_source_memory(&src, SLICE_EMPTY);
    ck_assert_int_eq(mime_raw_scan(&decoder, &src, &info), 0);
    ck_assert(!info.has_header && !info.from.data);
    mime_source_memory(&src, slice_of_str(raw));
    ck_assert_int_eq(mime_raw_scan(&decoder, &src, &info), 0);
    ck_assert(info.has_header && !info.has_date && info.has_message_id && !info.header_8bit && info.body_8bit);
    ck_slice_eq(info.message_id, "id@x");
    ck_slice_eq(info.from, "sec@x");
    ck_slice_eq(info.header_from, "ann@x");
    ck_assert_uint_eq(info.n_recipients, 5);
    ck_slice_eq(info.recipients[0], "b@x");
    ck_slice_eq(info.recipients[4], "e@x");
    ck_assert_uint_eq(info.longest_line, strlen("To: b@x, G: c@x, d@x;"));
    mime_source_memory(&src, SLICE("Resent-From: r@x\nResent-To: s@x\nResent-From: old@x\nResent-To: old@x\nFrom: a@x\n"
                                   "To: b@x\n\n"));
    ck_assert_int_eq(mime_raw_scan(&decoder, &src, &info), 0);
    ck_slice_eq(info.from, "r@x");
    ck_assert_uint_eq(info.n_authors, 3);
    ck_slice_eq(info.authors[1], "old@x");
    ck_assert_uint_eq(info.n_recipients, 1);
    ck_slice_eq(info.recipients[0], "s@x");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mime_raw");
    TCase *tc = tcase_create("raw");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, raw_filter);
    tcase_add_test(tc, raw_lines);
    tcase_add_test(tc, raw_info);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
