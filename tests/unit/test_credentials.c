/* SPDX-License-Identifier: MIT */
/* Credentials from real files and real child processes. */
#include "credentials.h"
#include "scratch.h"
#include "unit.h"

#include <signal.h>
#include <time.h>

static struct loop *loop;
static struct config *config;
static struct credential_source *source;

static void setup(void)
{
    scratch_setup();
    ck_assert_int_eq(mkdir(scratch_path("accounts.d"), 0700), 0);
    scratch_write("postern.conf", "[daemon]\n");
    loop = loop_new();
}

static void teardown(void)
{
    if (source)
        source->ops->unref(source);
    source = NULL;
    config = config_unref(config);
    loop_free(loop);
    scratch_teardown();
}

static void start(const char *setting, uint64_t limit_ms)
{
    char text[2000];
    struct buffer errors;
    snprintf(text, sizeof(text), "[auth]\nusername = a\n%s\n[smtp]\n", setting);
    scratch_write("accounts.d/work.conf", text);
    buffer_init(&errors, CONFIG_ERRORS_MAX);
    int r = config_load(scratch_path("postern.conf"), NULL, &config, &errors);
    ck_assert_msg(r == 0, "%.*s", (int) buffer_len(&errors), buffer_slice(&errors).data);
    buffer_done(&errors);
    struct account_config *a = config->accounts[0];
    source = credential_source_new(loop, a, &a->protocols[PROTOCOL_SMTP].auth.secret, limit_ms);
    ck_assert_ptr_nonnull(source);
}

struct waiter {
    struct credential_waiter base;
    bool called;
    struct secret *secret;
    struct fault fault;
};
static unsigned n_open;

static void on_ready(struct credential_waiter *base, struct secret *secret, const struct fault *fault)
{
    struct waiter *w = container_of(base, struct waiter, base);
    ck_assert(!w->called);
    ck_assert((secret != NULL) != (fault != NULL));
    w->called = true;
    w->secret = secret;
    if (fault)
        w->fault = *fault;
    if (--n_open == 0)
        loop_stop(loop);
}

static void fetch(struct waiter *w)
{
    *w = (struct waiter){.base.ready = on_ready};
    n_open++;
    source->ops->fetch(source, &w->base);
    ck_assert(!w->called);
}

static void run(void)
{
    ck_assert_int_eq(loop_run(loop), 0);
}

static void expect(struct waiter *w, const char *value)
{
    ck_assert_msg(w->called, "not called");
    ck_assert_msg(w->secret != NULL, "%s", w->fault.text);
    ck_slice_eq(secret_expose(w->secret), value);
    w->secret = secret_unref(w->secret);
}

static void get(const char *setting, const char *value)
{
    struct waiter w;
    start(setting, 5000);
    fetch(&w);
    run();
    expect(&w, value);
}

static void get_failure(const char *setting, uint64_t limit_ms, const char *text)
{
    struct waiter w;
    start(setting, limit_ms);
    fetch(&w);
    run();
    ck_assert(w.called);
    ck_assert_ptr_null(w.secret);
    ck_assert_int_eq(w.fault.kind, FAULT_AUTH);
    ck_assert_int_eq(w.fault.retry, RETRY_LATER);
    ck_assert_str_eq(w.fault.stage, "auth");
    ck_assert_str_eq(w.fault.text, text);
}

START_TEST(test_password)
{
    get("password = p w", "p w");
}
END_TEST

START_TEST(test_password_file)
{
    scratch_write("pw", "first line\r\nsecond\n");
    get("password_file = ../pw", "first line");
}
END_TEST

START_TEST(test_password_file_that_changed)
{
    struct waiter w;
    scratch_write("pw", "x");
    start("password_file = ../pw", 5000);
    scratch_write("pw", "new");
    fetch(&w);
    run();
    expect(&w, "new");
}
END_TEST

START_TEST(test_password_file_that_was_opened_to_others)
{
    struct waiter w;
    scratch_write("pw", "x");
    start("password_file = ../pw", 5000);
    ck_assert_int_eq(chmod(scratch_path("pw"), 0644), 0);
    fetch(&w);
    run();
    ck_assert_str_eq(w.fault.text,
                     "no credential: password_file: holds a secret and is open to others (take away their "
                     "rights: chmod o=)");
}
END_TEST

START_TEST(test_credential)
{
    scratch_write("mail.pw", "from systemd\n");
    setenv("CREDENTIALS_DIRECTORY", scratch, 1);
    get("credential = mail.pw", "from systemd");
}
END_TEST

START_TEST(test_credential_without_folder)
{
    unsetenv("CREDENTIALS_DIRECTORY");
    get_failure("credential = mail.pw", 20000,
                "no credential: credential: the service has no credentials ($CREDENTIALS_DIRECTORY)");
}
END_TEST

START_TEST(test_password_command)
{
    setenv("SOME_SECRET_OF_THE_DAEMON", "x", 1);
    get("password_command = echo \"$POSTERN_ACCOUNT-$SOME_SECRET_OF_THE_DAEMON\"; echo more", "work-");
}
END_TEST

START_TEST(test_command_has_no_descriptor_of_ours)
{
    int fd = open("/dev/null", O_RDONLY); /* without close-on-exec */
    ck_assert_int_gt(fd, 2);
    get("password_command = if cat <&0 && test \"$(ls /proc/self/fd | wc -l)\" -le 4; then echo good; else ls -l "
        "/proc/self/fd; fi",
        "good");
    close(fd);
}
END_TEST

START_TEST(test_command_fails)
{
    get_failure("password_command = echo x; exit 3", 20000, "no credential: password_command: it ended with status 3");
}
END_TEST

START_TEST(test_command_dies)
{
    get_failure("password_command = kill -9 $$", 20000, "no credential: password_command: it was ended by signal 9");
}
END_TEST

START_TEST(test_command_prints_nothing)
{
    get_failure("password_command = true", 20000, "no credential: password_command: its first line is empty");
}
END_TEST

START_TEST(test_command_prints_too_much)
{
    get_failure("password_command = yes", 20000,
                "no credential: password_command: it printed more than a secret can be");
}
END_TEST

/* The whole group goes, with what it has started. */
START_TEST(test_command_takes_too_long)
{
    char setting[300];
    snprintf(setting, sizeof(setting), "password_command = sleep 1000 & echo $! > %s; wait", scratch_path("pid"));
    get_failure(setting, 1000, "no credential: password_command: it took too long");
    FILE *f = fopen(scratch_path("pid"), "re");
    int pid = 0;
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fscanf(f, "%d", &pid), 1);
    fclose(f);
    for (int i = 0; i < 2000 && kill(pid, 0) == 0; i++) {
        char path[64], state = 0;
        snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        FILE *stat = fopen(path, "re");
        if (stat) {
            ck_assert_int_eq(fscanf(stat, "%*d (%*[^)]) %c", &state), 1);
            fclose(stat);
        }
        if (state == 'Z')
            return;
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    ck_assert_msg(kill(pid, 0) < 0, "process %d lives", pid);
}
END_TEST

START_TEST(test_one_run_for_all_who_wait)
{
    struct waiter w[3], cancelled;
    char setting[400];
    snprintf(setting, sizeof(setting), "password_command = echo run >> %s; sleep 0.2; wc -l < %s", scratch_path("runs"),
             scratch_path("runs"));
    start(setting, 5000);
    for (size_t i = 0; i < ARRAY_LEN(w); i++)
        fetch(&w[i]);
    fetch(&cancelled);
    source->ops->cancel(source, &cancelled.base);
    n_open--;
    run();
    ck_assert(!cancelled.called);
    for (size_t i = 0; i < ARRAY_LEN(w); i++)
        expect(&w[i], "1");
}
END_TEST

/* Fetches once more, after whatever stopped the loop; the loop is only told to stop by the last waiter. */
static struct secret *seen[2];
static struct waiter second;
static void on_first(struct credential_waiter *base, struct secret *secret, const struct fault *fault)
{
    (void) base;
    (void) fault;
    seen[0] = secret;
    if (seen[1]) /* the marker of the test that wants a refusal */
        source->ops->refused(source, secret);
    fetch(&second);
}

static void fetch_twice(const char *setting, bool refuse, const char *first_value, const char *second_value)
{
    struct waiter first = {.base.ready = on_first};
    start(setting, 5000);
    seen[1] = refuse ? secret_new("x", 1) : NULL;
    source->ops->fetch(source, &first.base);
    run();
    ck_slice_eq(secret_expose(seen[0]), first_value);
    expect(&second, second_value);
    secret_unref(seen[0]);
    secret_unref(seen[1]);
}

START_TEST(test_kept_until_refused)
{
    char setting[400];
    snprintf(setting, sizeof(setting), "token_command = echo run >> %s; echo t$(wc -l < %s)", scratch_path("runs"),
             scratch_path("runs"));
    fetch_twice(setting, _i, "t1", _i ? "t2" : "t1");
}
END_TEST

static void stop_loop(void *arg)
{
    (void) arg;
    loop_stop(loop);
}

START_TEST(test_unref_while_it_runs)
{
    struct waiter w;
    start("password_command = sleep 1000", 60000);
    fetch(&w);
    struct loop_timer timer = {.event = NULL};
    ck_assert_int_eq(loop_timer_init(&timer, loop, stop_loop, NULL), 0);
    source->ops->cancel(source, &w.base);
    n_open--;
    source->ops->unref(source);
    source = NULL;
    /* The loop sees the killed command's end and frees what is left. */
    loop_timer_set(&timer, 300);
    run();
    loop_timer_done(&timer);
    ck_assert(!w.called);
}
END_TEST

START_TEST(test_tokens)
{
    static const struct {
        const char *text, *token;
        uint64_t lifetime_ms;
    } cases[] = {
        {"abc.DEF-1_2~3+4/5==\n", "abc.DEF-1_2~3+4/5==", CREDENTIAL_KEEP_MS},
        {"{\"access_token\": \"abc\", \"expires_in\": 3600}", "abc", 3600000},
        {" {\"expires_in\": \"3600\", \"token_type\": {\"a\": [1]}, \"access_token\": \"a\\u0062c\"}\n", "abc",
         3600000},
        {"{\"access_token\": \"abc\", \"expires_in\": 0}", "abc", CREDENTIAL_MIN_MS},
        {"{\"access_token\": \"abc\", \"expires_in\": -1}", "abc", CREDENTIAL_KEEP_MS},
        {"{\"access_token\": \"abc\", \"expires_in\": 1e300}", "abc", CREDENTIAL_KEEP_MS},
        {"{\"access_token\": \"abc\", \"expires_in\": 999999999}", "abc", CREDENTIAL_MAX_MS},
        {"{\"access_token\": \"abc\", \"expires_in\": null}", "abc", CREDENTIAL_KEEP_MS},
        {"{\"access_token\": \"abc\"}", "abc", CREDENTIAL_KEEP_MS},
        {"", NULL, 0},
        {"\n", NULL, 0},
        {"==", NULL, 0},
        {"abc def", NULL, 0},
        {"abc\r\nAuth", NULL, 0},
        {"a=b", NULL, 0},
        {"\"abc\"", NULL, 0},
        {"{\"access_token\": \"a\\r\\nb\"}", NULL, 0},
        {"{\"access_token\": 5}", NULL, 0},
        {"{\"access_token\": \"abc\"", NULL, 0},
        {"{\"access_token\": \"abc\"} x", NULL, 0},
        {"{\"expires_in\": 5}", NULL, 0},
        {"{}", NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buffer text;
        struct secret *s = NULL;
        uint64_t lifetime_ms = 1;
        const char *why = NULL;
        buffer_init_secret(&text, SECRET_MAX);
        ck_assert_int_eq(buffer_append_slice(&text, slice_of_str(cases[i].text)), 0);
        int r = credential_parse_token(&text, &s, &lifetime_ms, &why);
        buffer_done(&text);
        if (!cases[i].token) {
            ck_assert_msg(r == -EINVAL && why && !s, "case %zu: %d", i, r);
            continue;
        }
        ck_assert_msg(r == 0, "case %zu: %s", i, why);
        ck_slice_eq(secret_expose(s), cases[i].token);
        ck_assert_msg(lifetime_ms == cases[i].lifetime_ms, "case %zu: %llu", i, (unsigned long long) lifetime_ms);
        secret_unref(s);
    }
}
END_TEST

START_TEST(test_token_file)
{
    scratch_write("token", "{\"access_token\": \"abc\", \"expires_in\": 10}");
    get("token_file = ../token", "abc");
}
END_TEST

START_TEST(test_bad_token)
{
    get_failure("token_command = echo 'a b'", 20000,
                "no credential: token_command: what it gives is no token (RFC 6750 section 2.1)");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("credentials");
    TCase *c = tcase_create("sources");
    tcase_set_timeout(c, 20);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_password);
    tcase_add_test(c, test_password_file);
    tcase_add_test(c, test_password_file_that_changed);
    tcase_add_test(c, test_password_file_that_was_opened_to_others);
    tcase_add_test(c, test_credential);
    tcase_add_test(c, test_credential_without_folder);
    tcase_add_test(c, test_password_command);
    tcase_add_test(c, test_command_has_no_descriptor_of_ours);
    tcase_add_test(c, test_command_fails);
    tcase_add_test(c, test_command_dies);
    tcase_add_test(c, test_command_prints_nothing);
    tcase_add_test(c, test_command_prints_too_much);
    tcase_add_test(c, test_command_takes_too_long);
    tcase_add_test(c, test_one_run_for_all_who_wait);
    tcase_add_loop_test(c, test_kept_until_refused, 0, 2);
    tcase_add_test(c, test_unref_while_it_runs);
    tcase_add_test(c, test_tokens);
    tcase_add_test(c, test_token_file);
    tcase_add_test(c, test_bad_token);
    suite_add_tcase(suite, c);
    return unit_run(suite);
}
