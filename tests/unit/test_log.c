/* SPDX-License-Identifier: MIT */
#include "log.h"
#include "scratch.h"
#include "unit.h"

static int saved_stderr = -1;

/* stderr goes to a file while `fn` runs; its text without the time stamps. */
static const char *logged(void (*fn)(void))
{
    static char raw[200000], text[200000];
    const char *path = scratch_path("stderr");
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    fflush(stderr);
    saved_stderr = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    fn();
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    ssize_t n = pread(fd, raw, sizeof(raw) - 1, 0);
    close(fd);
    ck_assert_int_ge(n, 0);
    raw[n] = 0;
    size_t out = 0;
    for (const char *p = raw; *p;) {
        ck_assert_int_eq(p[10], 'T');
        ck_assert_int_eq(p[23], 'Z');
        const char *end = strchr(p, '\n');
        ck_assert_ptr_nonnull(end);
        memcpy(text + out, p + 25, (size_t) (end - p) - 24);
        out += (size_t) (end - p) - 24;
        p = end + 1;
    }
    text[out] = 0;
    return text;
}

static void plain(void)
{
    log_info("one");
    log_warning("two", LOG_STR("name", "value"), LOG_INT("n", -5), LOG_STR("long", "a b"), LOG_STR("empty", ""));
    log_debug("not wanted");
    log_error("three", LOG_ERRNO(-ENOENT));
}

START_TEST(test_lines)
{
    ck_assert_str_eq(logged(plain), "info one\n"
                                    "warning two name=value n=-5 long=\"a b\" empty=\"\"\n"
                                    "error three error=\"No such file or directory\"\n");
}
END_TEST

static void hostile(void)
{
    char big[1000];
    memset(big, 'x', sizeof(big));
    log_info("a", LOG_TEXT("v", slice_of("x\ny\r\0z\x1b[31m", 11)));
    log_info("b", LOG_STR("v", "say \"hi\" \\ \xff \xc2\x9b \xe2\x80\xae \xc3\xa4"));
    log_info("c", LOG_TEXT("v", slice_of(big, sizeof(big))));
}

START_TEST(test_values_are_escaped)
{
    const char *text = logged(hostile);
    const char *const expected = "info a v=\"x\\x0ay\\x0d\\x00z\\x1b[31m\"\n"
                                 "info b v=\"say \\\"hi\\\" \\\\ \\xff \\u009b \\u202e \xc3\xa4\"\n";
    ck_assert_msg(strncmp(text, expected, strlen(expected)) == 0, "%s", text);
    ck_assert_uint_eq(strlen(text + strlen(expected)), strlen("info c v=\"\"\n") + LOG_VALUE_MAX + 3);
}
END_TEST

static void repeating(void)
{
    for (int i = 0; i < 50; i++)
        log_info("same", LOG_STR("v", "x"));
    log_info("same", LOG_STR("v", "y"));
    for (int i = 0; i < 300; i++)
        log_info("many", LOG_INT("i", i));
    for (int i = 0; i < 3; i++)
        log_trace("wire", LOG_STR("line", "x"));
    log_flush();
}

START_TEST(test_repeats_are_counted)
{
    const char *text = logged(repeating);
    ck_assert(strncmp(text, "info same v=x\ninfo same held_back=49\ninfo same v=y\ninfo many i=0\n", 60) == 0);
    ck_assert_ptr_nonnull(strstr(text, "info many i=99\n"));
    ck_assert_ptr_null(strstr(text, "info many i=100\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "trace wire line=x\ntrace wire line=x\ntrace wire line=x\ninfo many held_back=200\n"));
}
END_TEST

static void faulty(void)
{
    struct fault f = {.kind = FAULT_NONE};
    fault_set(&f, -EACCES, FAULT_AUTH, "auth", "no\nway");
    log_fault(CONFIG_LOG_WARNING, "login failed", "work", &f);
}

START_TEST(test_fault)
{
    ck_assert_str_eq(logged(faulty), "warning login failed account=work kind=auth stage=auth text=no?way\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *c = tcase_create("stderr");
    tcase_add_checked_fixture(c, scratch_setup, scratch_teardown);
    tcase_add_test(c, test_lines);
    tcase_add_test(c, test_values_are_escaped);
    tcase_add_test(c, test_repeats_are_counted);
    tcase_add_test(c, test_fault);
    suite_add_tcase(suite, c);
    return unit_run(suite);
}
