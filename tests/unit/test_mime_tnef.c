/* SPDX-License-Identifier: MIT */
/* Files within winmail.dat: whole, in pieces of every size, cut everywhere, and damaged. */
#include "mime_tnef.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

static unsigned char file[8192];
static size_t n_file;

static void put(uint64_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        file[n_file++] = (unsigned char) (i < 8 ? v >> 8 * i : 0);
}

static void put_bytes(const void *p, size_t n)
{
    memcpy(file + n_file, p, n);
    n_file += n;
}

static size_t begun; /* where the attribute's bytes begin */

static void begin(unsigned level, uint32_t attribute)
{
    put(level, 1);
    put(attribute, 4);
    put(0, 4);
    begun = n_file;
}

static void end(void)
{
    size_t n = n_file - begun;
    uint16_t sum = 0;
    for (size_t i = begun; i < n_file; i++)
        sum = (uint16_t) (sum + file[i]);
    for (size_t i = 0; i < 4; i++)
        file[begun - 4 + i] = (unsigned char) (n >> 8 * i);
    put(sum, 2);
}

static void attribute(unsigned level, uint32_t id, const void *p, size_t n)
{
    begin(level, id);
    put_bytes(p, n);
    end();
}

static void value(const void *p, size_t n)
{
    put(n, 4);
    put_bytes(p, n);
    put(0, -n & 3);
}

static void prop(unsigned type, unsigned id, const void *p, size_t n)
{
    put(type, 2);
    put(id, 2);
    put(1, 4);
    value(p, n);
}

static void signature(void)
{
    n_file = 0;
    put(0x223e9f78, 4);
    put(1, 2);
}

/* A file with all that there is. */
static void make(void)
{
    signature();
    attribute(1, 0x00069007, "\xe3\x04\0\0\0\0\0\0", 8); /* code page 1251 */
    attribute(1, 0x0002800c, "the text", 9);
    attribute(2, 0x00069002, "rendering data", 14);
    attribute(2, 0x00018010, "A:\\dir\\\xf4\xe0\xe9\xeb.txt", 16);
    attribute(2, 0x0006800f, "first", 5);
    attribute(2, 0x00069002, "", 0);
    attribute(2, 0x0006800f, "", 0);
    begin(2, 0x00069005);
    put(9, 4);
    prop(0x1e, 0x3704, "SHORT~1.PNG", 12);
    prop(0x1f, 0x3707, "\x4a\0\xf6\0r\0g\0.\0p\0n\0g\0\0", 18);
    prop(0x1e, 0x370e, "image/x-odd", 12);
    prop(0x1e, 0x3712, "id@example.com", 15);
    put(0x0003, 2), put(0x3705, 2), put(1, 4);                        /* a number */
    put(0x1003, 2), put(0x6001, 2), put(2, 4), put(1, 4), put(2, 4);  /* two of them */
    put(0x101e, 2), put(0x6002, 2), put(2, 4), value("a", 1), value("bcd", 3);
    put(0x0040, 2), put(0x8001, 2), put(0, 16), put(0, 4), put(7, 4), put(5, 8);
    put(0x000b, 2), put(0x8002, 2), put(0, 16), put(1, 4), put(6, 4), put_bytes("a\0b\0c\0\0\0", 8), put(1, 4);
    end();
    attribute(2, 0x00069002, "", 0);
    attribute(2, 0x00018010, "ole", 4);
    attribute(2, 0x0006800f, "picture", 7);
    begin(2, 0x00069005);
    put(1, 4);
    prop(0x0d, 0x3701, "\x07\x03\x02\0\0\0\0\0\xc0\0\0\0\0\0\0\x46inner", 21);
    end();
}

static const char made[] = "<first>[файл.txt text/plain -]<>[Jörg.png image/x-odd id@example.com]"
                           "<picture>[ole application/octet-stream -]<inner>[ole application/ms-tnef -]";

static int write_file(char *p, struct slice name, struct slice type, struct slice id)
{
    if (!name.len)
        name = SLICE("-");
    if (!id.len)
        id = SLICE("-");
    return snprintf(p, 4000, ">[%.*s %.*s %.*s]", (int) name.len, name.data, (int) type.len, type.data, (int) id.len, id.data);
}

/* What the first `len` bytes give, taken in pieces. */
static void told(size_t len, size_t piece, size_t max_files, char *out)
{
    static struct mime_tnef t;
    struct arena arena;
    struct mime_decoder d;
    struct slice all = slice_of((const char *) file, len), in = SLICE_EMPTY, s, name, type, id;
    enum mime_tnef_event event;
    bool last = false;
    char *p = out;
    arena_init(&arena, 1 << 20);
    mime_decoder_init(&d, &arena, NULL);
    mime_tnef_init(&t, max_files);
    while ((event = mime_tnef_next(&t, &in, last, &s)) != MIME_TNEF_MORE || !last) {
        switch (event) {
        case MIME_TNEF_MORE:
            ck_assert_uint_eq(in.len, 0);
            in = slice_to(all, piece);
            all = slice_from(all, in.len);
            last = all.len == 0;
            break;
        case MIME_TNEF_BEGIN:
            *p++ = '<';
            break;
        case MIME_TNEF_DATA:
            ck_assert_uint_gt(s.len, 0);
            memcpy(p, s.data, s.len);
            p += s.len;
            break;
        case MIME_TNEF_END:
            ck_assert_int_eq(mime_tnef_file(&t, &d, &name, &type, &id), 0);
            p += write_file(p, name, type, id);
            break;
        }
    }
    snprintf(p, 40, "%s%s%s%s", t.no_tnef ? "!no" : "", t.broken ? "!broken" : "", t.cut ? "!cut" : "",
             t.too_many ? "!many" : "");
    mime_decoder_done(&d);
    arena_done(&arena);
}

START_TEST(whole)
{
    char out[8192];
    make();
    for (size_t piece = 1; piece <= n_file; piece++) {
        told(n_file, piece, 1000, out);
        ck_assert_str_eq(out, made);
    }
}
END_TEST

START_TEST(cut_everywhere)
{
    char out[8192], *mark;
    make();
    for (size_t len = 0; len < n_file; len++) {
        told(len, 7, 1000, out);
        mark = strchr(out, '!');
        /* Only where an attribute ends it cannot be told. */
        if (mark) {
            ck_assert_str_eq(mark, len < 6 ? "!no" : "!cut");
            *mark = '\0';
        }
        size_t files = 0, ends = 0;
        for (const char *c = out; *c; c++) {
            files += *c == '<';
            ends += *c == ']';
        }
        ck_assert_uint_eq(files, ends);
    }
}
END_TEST

START_TEST(damaged)
{
    char out[8192];
    make();
    told(n_file, 100, 2, out);
    ck_assert_str_eq(out, "<first>[файл.txt text/plain -]<>[Jörg.png image/x-odd id@example.com]!many");
    told(n_file, 100, 3, out);
    ck_assert(strstr(out, "<picture>") && !strstr(out, "<inner>") && strstr(out, "!many"));
    told(n_file, 100, 0, out);
    ck_assert_str_eq(out, "!many");
    file[n_file - 1] ^= 1;
    told(n_file, 100, 1000, out);
    ck_assert_str_eq(strchr(out, '!'), "!broken");
    file[0] ^= 1;
    told(n_file, 100, 1000, out);
    ck_assert_str_eq(out, "!no");
    /* Lengths that nothing stands behind; a type that nobody knows; an attribute that is too short for what it says. */
    signature();
    attribute(2, 0x00018010, "x.txt", 6);
    put(2, 1), put(0x0006800f, 4), put(0xffffffff, 4), put_bytes("abc", 3);
    told(n_file, 100, 1000, out);
    ck_assert_str_eq(out, "<abc>[x.txt text/plain -]!cut");
    signature();
    begin(2, 0x00069005), put(0xffffffff, 4), put(0x1234, 2), put(0x3707, 2), put(9, 4), end();
    attribute(2, 0x0006800f, "y", 1);
    told(n_file, 100, 1000, out);
    ck_assert_str_eq(out, "<y>[- application/octet-stream -]!broken");
    signature();
    begin(2, 0x00069005), put(1, 4), put(0x1e, 2), put(0x3707, 2), put(0xffffffff, 4), put(0xfffffffd, 4), put_bytes("na", 2), end();
    told(n_file, 100, 1000, out);
    ck_assert_str_eq(out, "<>[na application/octet-stream -]!broken");
    signature();
    begin(2, 0x00069005), put(1, 4), put(0x1003, 2), put(0x3707, 2), put(0xffffffff, 4), put(7, 4), end();
    told(n_file, 100, 1000, out);
    ck_assert_str_eq(out, "<>[- application/octet-stream -]!broken");
}
END_TEST

START_TEST(noise)
{
    char out[20000];
    srand(7);
    for (unsigned round = 0; round < 3000; round++) {
        make();
        for (unsigned i = 0; i < 1 + round % 9; i++)
            file[6 + (size_t) rand() % (n_file - 6)] = (unsigned char) rand();
        told(n_file, 1 + (size_t) rand() % 50, 1000, out);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("mime_tnef");
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, whole);
    tcase_add_test(tc, cut_everywhere);
    tcase_add_test(tc, damaged);
    tcase_add_test(tc, noise);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
