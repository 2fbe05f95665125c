/* SPDX-License-Identifier: MIT */
/* Content types by endings, from a file as the system has it. */
#include "content_types.h"
#include "scratch.h"
#include "unit.h"

static const char database[] = "# a comment\n"
                               "50:application/gzip:*.gz\n"
                               "50:application/x-compressed-tar:*.tar.gz\n"
                               "40:image/x-light:*.pic\n"
                               "60:image/x-heavy:*.pic\n"
                               "50:image/x-first:*.two\n"
                               "50:image/x-second:*.two\n"
                               "50:text/x-makefile:makefile\n"
                               "50:text/x-readme:readme*\n"
                               "50:text/x-odd:*.[ab]\n"
                               "50:text/x-c++src:*.C:cs\n"
                               "x:text/x-no-weight:*.noweight\n"
                               "50:notype:*.notype\n"
                               "50:text/x-empty:*.\n"
                               "50\n"
                               "50:text/x-last:*.last";

START_TEST(found)
{
    static const struct {
        const char *name, *type;
    } rows[] = {
        {"a.gz", "application/gzip"},  {"a.tar.gz", "application/x-compressed-tar"}, {"A.TAR.GZ", "application/x-compressed-tar"},
        {"a.b.gz", "application/gzip"}, {"a.pic", "image/x-heavy"},                  {"a.two", "image/x-first"},
        {"makefile", ""},              {"readme.txt", ""},                           {"a.a", ""},
        {"a.C", "text/x-c++src"},      {"a.noweight", ""},                           {"a.notype", ""},
        {"a.", ""},                    {"", ""},                                     {".gz", "application/gzip"},
        {"a.last", "text/x-last"},     {"gz", ""},
    };
    scratch_write("globs2", database);
    struct content_types *t = content_types_load(scratch_path("globs2"));
    ck_assert_ptr_nonnull(t);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        ck_slice_eq(content_types_find(t, slice_of_str(rows[i].name)), rows[i].type);
    content_types_free(t);
}
END_TEST

/* What cannot be read says nothing. */
START_TEST(none)
{
    static char big[CONTENT_TYPES_BYTES_MAX + 1];
    memset(big, '\n', sizeof(big));
    scratch_write_bytes("big", big, sizeof(big), 0600);
    scratch_write("empty", "");
    const char *const paths[] = {"big", "empty", "nothing", "."};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct content_types *t = content_types_load(scratch_path(paths[i]));
        ck_assert_ptr_nonnull(t);
        ck_assert_uint_eq(content_types_find(t, SLICE("a.gz")).len, 0);
        content_types_free(t);
    }
    ck_assert_uint_eq(content_types_find(NULL, SLICE("a.gz")).len, 0);
    content_types_free(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("content_types");
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, scratch_setup, scratch_teardown);
    tcase_add_test(tc, found);
    tcase_add_test(tc, none);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
