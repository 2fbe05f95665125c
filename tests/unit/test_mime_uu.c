/* SPDX-License-Identifier: MIT */
/* Files within texts: uuencode and yEnc, whole and damaged, in pieces of every size. */
#include "mime_uu.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a text gives: "text", <name:…, {data}, and > with the flags of the end. Written to `out`. */
static void told(struct slice all, size_t piece, size_t max_blocks, char *out)
{
    static struct mime_uu u;
    struct slice in = SLICE_EMPTY, s;
    enum mime_uu_event event;
    bool last = false;
    char *p = out;
    mime_uu_init(&u, max_blocks);
    while ((event = mime_uu_next(&u, &in, last, &s)) != MIME_UU_MORE || !last) {
        switch (event) {
        case MIME_UU_MORE:
            ck_assert_uint_eq(in.len, 0);
            in = slice_to(all, piece);
            all = slice_from(all, in.len);
            last = all.len == 0;
            break;
        case MIME_UU_TEXT:
        case MIME_UU_DATA:
            ck_assert_uint_gt(s.len, 0);
            memcpy(p, s.data, s.len);
            p += s.len;
            break;
        case MIME_UU_BEGIN:
            p += snprintf(p, MIME_UU_NAME_MAX + 10, "<%.*s:", (int) u.n_name, u.name);
            break;
        case MIME_UU_END:
            p += snprintf(p, MIME_UU_NAME_MAX + 10, "%s%s%s%s>", u.broken ? "!broken" : "", u.missing_end ? "!end" : "",
                         u.wrong_size ? "!size" : "", u.wrong_crc ? "!crc" : "");
            break;
        }
    }
    snprintf(p, 10, "%s", u.too_many ? "!many" : "");
}

static const struct {
    const char *text, *told;
} rows[] = {
    {"", ""},
    {"a\r\nb", "a\r\nb"},
    {"hi\nbegin 644 c.txt\n#0V%T\n`\nend\nbye\n", "hi\n<c.txt:Cat>bye\n"},
    {"begin 0644 my cat.txt \r\n#0V%T\r\n \r\nend\r\nbye", "<my cat.txt:Cat>bye"},
    {"begin 644 c\n#0V%T\n\nend\n", "<c:Cat>"},
    {"begin 644 c\n#0V%T\nend", "<c:Cat>"},
    {"begin 644 c\n$0V%T80``\n`\nend\n", "<c:Cata>"},
    {"begin 644 c\n$0V%T80``#\n`\nend\n", "<c:Cata>"}, /* a checksum at the end */
    {"begin 644 empty\n`\nend\n", "<empty:>"},
    {"begin 644 a\n#0V%T\n`\nend\nbegin 644 b\n#0V%T\n`\nend\n", "<a:Cat><b:Cat>"},
    /* In base64. */
    {"hi\nbegin-base64 644 c.txt\nQ2F0\n====\nbye\n", "hi\n<c.txt:Cat>bye\n"},
    {"begin-base64 0644 c\r\nQ2F0Q2F0\r\nQ2E=\r\n====\r\n", "<c:CatCatCa>"},
    {"begin-base64 644 empty\n====\n", "<empty:>"},
    {"begin-base64 644 c\nQ2F0\n", "<c:Cat!end>"},
    {"begin-base64 644 c\nQ2F0\nHello there.\n", "<c:Cat!end>Hello there.\n"},
    {"begin-base64 644 c\nQ2F0\nQ2F0Q2\n====\n", "<c:CatCatC!broken>"},
    {"begin-base64 644 c\nwhat, no?\n", "begin-base64 644 c\nwhat, no?\n"},
    {"begin-base64 644 c\n\nQ2F0\n", "begin-base64 644 c\n\nQ2F0\n"},
    {"begin-base64 c\nQ2F0\n", "begin-base64 c\nQ2F0\n"},
    /* No blocks. */
    {"begin 644 words of prose\nand more\n", "begin 644 words of prose\nand more\n"},
    {"begin 644 c", "begin 644 c"},
    {"begin 644 c\n\n", "begin 644 c\n\n"},
    {"begin 644\n#0V%T\n", "begin 644\n#0V%T\n"},
    {"begin 999 c\n#0V%T\n", "begin 999 c\n#0V%T\n"},
    {"begin 64 c\n#0V%T\n", "begin 64 c\n#0V%T\n"},
    {" begin 644 c\n#0V%T\n", " begin 644 c\n#0V%T\n"},
    {"begin 644 x\nbegin 644 c\n#0V%T\n`\nend\n", "begin 644 x\n<c:Cat>"},
    {"=ybegin line=128 name=x\n", "=ybegin line=128 name=x\n"},
    {"=ybegin line=128 size=x name=x\n", "=ybegin line=128 size=x name=x\n"},
    {"=ybegin line=128 size=1\n", "=ybegin line=128 size=1\n"},
    /* Damaged. */
    {"begin 644 c\n#0V%T\n", "<c:Cat!end>"},
    {"begin 644 c\n#0V%T\nHello there\n", "<c:Cat!end>Hello there\n"},
    {"begin 644 c\n#0V%T\n`\nHello there\n", "<c:Cat!end>Hello there\n"},
    {"begin 644 c\n#0V%T\n#0VeT\n`\nend\n", "<c:CatCat!broken>"},
    /* yEnc: "cat" is 0x8d 0x8b 0x9e. */
    {"x\n=ybegin line=128 size=3 name=a cat.txt \r\n\x8d\x8b\x9e\r\n=yend size=3 crc32=9e5e43a8\r\ny\n", "x\n<a cat.txt:cat>y\n"},
    {"=ybegin line=128 size=3 name=c\n\x8d\x8b\x9e\n=yend size=3 crc32=9E5E43A9\n", "<c:cat!crc>"},
    {"=ybegin line=128 size=3 name=c\n\x8d\x8b\x9e\n=yend size=4\n", "<c:cat!size>"},
    {"=ybegin line=128 size=3 name=c\n\x8d\x8b\x9e\n=yend size=3 crc32=zz\n", "<c:cat!broken>"},
    {"=ybegin line=128 size=3 name=c\n\x8d\x8b\x9e\n", "<c:cat!end>"},
    {"=ybegin line=128 size=1 name=c\n=}\n=yend size=1\n", "<c:\x13>"}, /* 0x13 + 42 is '=' */
    {"=ybegin line=128 size=1 name=c\n\x8d=\n=yend size=1\n", "<c:c!broken>"},
    {"=ybegin part=2 total=3 line=128 size=9 name=c\n=ypart begin=4 end=6\n\x8d\x8b\x9e\n=yend size=3 part=2 pcrc32=9e5e43a8 crc32=1\n",
     "<c:cat>"},
};

START_TEST(blocks_in_pieces)
{
    char out[1000];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t piece = 1; piece < 130; piece++) {
            told(slice_of_str(rows[i].text), piece, 10, out);
            ck_assert_msg(strcmp(out, rows[i].told) == 0, "row %zu, pieces of %zu: '%s' is not '%s'", i, piece, out,
                          rows[i].told);
        }
    }
}
END_TEST

START_TEST(blocks_have_a_limit)
{
    char out[1000];
    told(SLICE("begin 644 a\n#0V%T\n`\nend\nbegin 644 b\n#0V%T\n`\nend\n"), 1000, 1, out);
    ck_assert_str_eq(out, "<a:Cat>begin 644 b\n#0V%T\n`\nend\n!many");
}
END_TEST

START_TEST(names_have_a_limit)
{
    static char text[3000], out[6000];
    struct slice all = slice_of(text, sizeof(text));
    size_t n;
    memset(text, 'n', sizeof(text));
    memcpy(text, "begin 644 ", 10);
    memcpy(text + 400, "\n#0V%T\n`\nend\n", 13);
    told(slice_to(all, 413), 7, 10, out);
    ck_assert_uint_eq(strlen(out), 1 + MIME_UU_NAME_MAX + strlen(":Cat>"));
    /* A line that is too long is none of these, whatever it begins with. */
    for (n = 7; n < 3000; n += 1000) {
        memcpy(text, "begin 644 ", 10);
        memset(text + 10, 'n', 1500);
        memcpy(text + 1500, "\n#0V%T\n`\nend\n", 13);
        told(slice_to(all, 1513), n, 10, out);
        ck_slice_eq(slice_to(all, 1513), out);
        memcpy(text, "=ybegin line=1 size=1 name=", 27);
        told(slice_to(all, 1513), n, 10, out);
        ck_slice_eq(slice_to(all, 1513), out);
    }
}
END_TEST

START_TEST(long_lines_of_yenc)
{
    static char text[5000], out[5000];
    size_t n = (size_t) snprintf(text, sizeof(text), "=ybegin line=4000 size=4000 name=c\n");
    memset(text + n, 'a' + 42, 4000);
    memcpy(text + n + 4000, "\n=yend size=4000\nx", 18);
    told(slice_of(text, n + 4018), 333, 10, out);
    ck_assert_uint_eq(strlen(out), 4000 + strlen("<c:>x"));
    ck_assert_str_eq(out + 4000, "aaa>x");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mime_uu");
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, blocks_in_pieces);
    tcase_add_test(tc, blocks_have_a_limit);
    tcase_add_test(tc, names_have_a_limit);
    tcase_add_test(tc, long_lines_of_yenc);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
