/* SPDX-License-Identifier: MIT */
/* libpostern where something goes wrong: calls that are cancelled, late, lost or answered badly, gateways that are not there, and every
 * allocation failing once. */
#include "client_world.h"
#include "failing_alloc.h"
#include "scratch.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

/* --- cancelling, timeouts, losses --- */

static void serve_cancel(struct server *s)
{
    server_read(s);
    ck_assert_str_eq(server_read(s), "{\"jsonrpc\":\"2.0\",\"method\":\"rpc.cancel\",\"params\":{\"id\":1}}");
    server_write(
        s, "{\"id\":1,\"error\":{\"code\":-32006,\"message\":\"cancelled\",\"data\":{\"kind\":\"cancelled\"}}}\n");
    server_read(s);
}

START_TEST(test_cancel)
{
    start(serve_cancel);
    struct postern_request *r = postern_request_new(p, "m", NULL);
    ck_assert_int_eq(postern_request_start(r, &error), 0);
    ck_assert_int_ge(postern_process(p), 0);
    ck_assert_int_eq(postern_request_cancel(r), 0);
    ck_assert_int_eq(postern_request_cancel(r), 0);
    ck_assert_int_eq(postern_request_status(r), -EINPROGRESS);
    ck_assert_int_eq(postern_request_wait(r, 5000), 0);
    ck_assert_int_eq(postern_request_status(r), -32006);
    postern_request_free(r);
    stop();
}
END_TEST

static void serve_nothing(struct server *s)
{
    server_read(s);
}

START_TEST(test_cancel_before_it_is_sent)
{
    start(serve_nothing);
    struct postern_request *r = postern_request_new(p, "m", NULL);
    ck_assert_int_eq(postern_request_start(r, &error), 0);
    ck_assert_int_eq(postern_request_cancel(r), 0);
    ck_assert_int_eq(postern_request_status(r), -ECANCELED);
    ck_assert_int_eq(postern_get_events(p) & POLLOUT, 0);
    postern_request_free(r);
    stop();
}
END_TEST

static void serve_late(struct server *s)
{
    server_read(s);
    server_read(s); /* the cancel */
    server_write(s, "{\"id\":1,\"result\":\"late\"}\n");
    if (server_read(s))
        server_write(s, "{\"id\":2,\"result\":\"right\"}\n");
    server_read(s);
}

START_TEST(test_timeout)
{
    json_t *result = NULL;
    start(serve_late);
    struct postern_request *r = postern_request_new(p, "m", NULL);
    postern_request_set_timeout(r, 50);
    ck_assert_int_eq(postern_request_start(r, &error), 0);
    ck_assert_int_eq(postern_request_wait(r, 5), -ETIMEDOUT);
    ck_assert_int_eq(postern_request_status(r), -EINPROGRESS);
    ck_assert_int_eq(postern_request_wait(r, -1), 0);
    ck_assert_int_eq(postern_request_status(r), -ETIMEDOUT);
    ck_assert_int_eq(postern_request_error(r)->outcome, POSTERN_OUTCOME_UNKNOWN);
    postern_request_free(r);
    /* The late answer goes to nobody. */
    ck_assert_int_eq(postern_call(p, "m", NULL, &result, &error), 0);
    ck_assert_str_eq(json_string_value(result), "right");
    json_decref(result);
    stop();
}
END_TEST

START_TEST(test_lost)
{
    start(serve_nothing); /* reads one line, and goes */
    struct postern_request *r = postern_request_new(p, "m", NULL), *late = postern_request_new(p, "m", NULL);
    ck_assert_int_eq(postern_request_start(r, &error), 0);
    ck_assert_int_eq(postern_request_wait(r, 5000), 0);
    ck_assert_int_eq(postern_request_status(r), -ECONNRESET);
    ck_assert_int_eq(postern_request_error(r)->outcome, POSTERN_OUTCOME_UNKNOWN);
    ck_assert_int_eq(postern_request_start(late, &error), -ENOTCONN);
    ck_assert_int_eq(postern_call(p, "m", NULL, NULL, &error), -ENOTCONN);
    ck_assert_int_eq(postern_reconnect(p, 10, &error), -ENOTSUP);
    ck_assert_int_eq(postern_process(p), -ECONNRESET);
    postern_request_free(r);
    postern_close(p);
    p = NULL;
    postern_request_free(late); /* requests may outlive their connection */
    stop();
}
END_TEST

static const char *bad_line;
static void serve_bad(struct server *s)
{
    server_read(s);
    server_write(s, bad_line);
    server_read(s);
}

START_TEST(test_bad_answers)
{
    static const struct {
        const char *line;
        int code;
    } cases[] = {
        {"nonsense\n", -EPROTO},
        {"{\"id\":1\n", -EPROTO},
        {"{\"id\":1}\n", -EPROTO},
        {"{\"id\":1,\"result\":1,\"fds\":-1}\n", -EPROTO},
        {"{\"id\":1,\"result\":1,\"fds\":\"x\"}\n", -EPROTO},
        {"{\"id\":null,\"error\":{\"code\":-32700,\"message\":\"what?\"}}\n", -32700},
        {"{\"id\":1,\"error\":{}}\n", -32603},
        {"{\"id\":1,\"error\":\"x\"}\n", -32603},
        {"{\"id\":1,\"error\":{\"code\":5,\"data\":7}}\n", -32603},
    };
    bad_line = cases[_i].line;
    start(serve_bad);
    int r = postern_call(p, "m", NULL, NULL, &error);
    ck_assert_msg(r == cases[_i].code, "%s: %d %s", bad_line, r, error.message);
    ck_assert_int_eq(error.code, r);
    stop();
}
END_TEST

START_TEST(test_answer_too_long)
{
    bad_line = "{\"id\":1,\"result\":\"0123456789012345678901234567890123456789\"}\n";
    start(serve_bad);
    postern_set_max_response(p, 40);
    ck_assert_int_eq(postern_call(p, "m", NULL, NULL, &error), -EMSGSIZE);
    stop();
}
END_TEST

/* --- connecting --- */

static int listen_at(const char *path, int backlog)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    ck_assert_int_eq(bind(fd, (struct sockaddr *) &a, sizeof(a)), 0);
    ck_assert_int_eq(listen(fd, backlog), 0);
    return fd;
}

START_TEST(test_search)
{
    char own[200];
    scratch_setup();
    snprintf(own, sizeof(own), "%s/postern", scratch);
    ck_assert_int_eq(mkdir(own, 0700), 0);
    /* Somebody has listened here, and does no more. */
    setenv("POSTERN_SOCKET", scratch_path("given"), 1);
    setenv("XDG_RUNTIME_DIR", scratch, 1);
    close(listen_at(scratch_path("given"), 1));
    ck_assert_int_lt(postern_open(&p, scratch_path("given"), 100, &error), 0);
    ck_assert_int_eq(error.code, -ECONNREFUSED);
    int user = listen_at(scratch_path("postern/postern.sock"), 1);
    ck_assert_int_eq(postern_open(&p, NULL, 1000, &error), 0);
    ck_assert_str_eq(postern_path(p), scratch_path("postern/postern.sock"));
    stop();
    unlink(scratch_path("given"));
    int given = listen_at(scratch_path("given"), 1);
    ck_assert_int_eq(postern_open(&p, NULL, 1000, &error), 0);
    ck_assert_str_eq(postern_path(p), scratch_path("given"));
    stop();
    close(given);
    close(user);
    scratch_teardown();
}
END_TEST

START_TEST(test_busy_gateway)
{
    scratch_setup();
    const char *path = scratch_path("s");
    int fd = listen_at(path, 0);
    struct postern *first = NULL, *second = NULL;
    ck_assert_int_eq(postern_open(&first, path, 20000, &error), 0);
    ck_assert_int_eq(postern_open(&second, path, 200, &error), -ETIMEDOUT);
    close(accept(fd, NULL, NULL));
    ck_assert_int_eq(postern_open(&second, path, 20000, &error), 0);
    postern_close(first);
    postern_close(second);
    close(fd);
    postern_error_done(&error);
    scratch_teardown();
}
END_TEST

static int restart_fd;
static void *restart_later(void *arg)
{
    usleep(200000);
    unlink(arg);
    restart_fd = listen_at(arg, 4);
    struct server s = {.fd = accept(restart_fd, NULL, NULL)};
    server_read(&s);
    server_write(&s, "{\"id\":1,\"result\":\"again\"}\n");
    server_read(&s);
    close(s.fd);
    return NULL;
}

START_TEST(test_reconnect)
{
    pthread_t thread;
    json_t *result = NULL;
    char path[200];
    scratch_setup();
    snprintf(path, sizeof(path), "%s", scratch_path("s"));
    int fd = listen_at(path, 4);
    ck_assert_int_eq(postern_open(&p, path, 20000, &error), 0);
    close(accept(fd, NULL, NULL));
    close(fd);
    ck_assert_int_eq(pthread_create(&thread, NULL, restart_later, path), 0);
    int r = postern_call(p, "m", NULL, &result, &error);
    ck_assert_msg(r == 0, "%s", error.message);
    ck_assert_str_eq(json_string_value(result), "again");
    json_decref(result);
    stop();
    pthread_join(thread, NULL);
    close(restart_fd);
    unlink(path);
    ck_assert_int_lt(postern_open(&p, path, 20000, &error), 0);
    postern_error_done(&error);
    scratch_teardown();
}
END_TEST

/* --- failing allocations --- */

static void serve_everything(struct server *s)
{
    int fd = memfd_create("x", MFD_CLOEXEC);
    while (server_read(s)) {
        for (size_t i = 0; i < s->n_fds; i++)
            close(s->fds[i]);
        s->n_fds = 0;
        server_write(s, "{\"method\":\"event\",\"params\":{}}\n");
        server_write_fd(s, "{\"method\":\"stream\",\"params\":{\"id\":1,\"item\":{\"n\":[1]}},\"fds\":1}\n", fd);
        server_write(s, "{\"method\":\"stream\",\"params\":{\"id\":1,\"item\":{\"n\":[2]}}}\n");
        server_write_fd(s, "{\"id\":1,\"result\":{\"a\":\"b\"},\"fds\":1}\n", fd);
        server_write(s, "{\"id\":2,\"error\":{\"code\":-32006,\"message\":\"x\",\"data\":{\"kind\":\"y\"}}}\n");
    }
    close(fd);
}

/* The checks of the test allocate too. */
#define CHECK(assertion, ...)                                                                                          \
    do {                                                                                                               \
        alloc_failing = false;                                                                                         \
        assertion(__VA_ARGS__);                                                                                        \
        alloc_failing = true;                                                                                          \
    } while (0)

/* Uses all of the library; what fails may only fail with -ENOMEM, and asking again must go on. */
static bool use_everything(struct postern *connection, int fd)
{
    bool ok = true;
    json_t *params = json_object(), *item = NULL;
    int *fds = NULL;
    size_t n_fds = 0, len;
    char *text = NULL;
    json_t *content = postern_content_new("a\0b", 3);
    ok = ok && params && content && json_object_set(params, "raw", content) == 0;
    json_decref(content);
    struct postern_request *r = ok ? postern_request_new(connection, "m", params) : NULL;
    ok = ok && r && postern_request_add_fd(r, fd) == 0;
    struct postern_error why = POSTERN_ERROR_INIT;
    if (ok) {
        int err = postern_request_start(r, &why);
        CHECK(ck_assert_msg, err == 0 || err == -ENOMEM, "%d", err);
        ok = err == 0;
    }
    for (int i = 0; ok && i < 2;) {
        int err = postern_request_next_item(r, 5000, &item, &fds, &n_fds);
        CHECK(ck_assert_msg, err == 1 || err == -ENOMEM, "%d %s", err,
              postern_request_error(r) ? postern_request_error(r)->message : "");
        if (err != 1)
            continue;
        for (size_t k = 0; k < n_fds; k++)
            close(fds[k]);
        free(fds);
        json_decref(item);
        i++;
    }
    int err = ok ? postern_request_wait(r, 5000) : 0;
    while (err == -ENOMEM)
        err = postern_request_wait(r, 5000);
    CHECK(ck_assert_int_eq, err, 0);
    if (ok) {
        CHECK(ck_assert_int_eq, postern_request_status(r), 0);
        CHECK(ck_assert_str_eq, json_string_value(json_object_get(postern_request_result(r), "a")), "b");
        content = postern_content_new_fd(0);
        const int *answer = postern_request_fds(r, &n_fds);
        CHECK(ck_assert_uint_eq, n_fds, 1);
        ok = content && postern_content_read(content, answer, n_fds, &text, &len) == 0;
        json_decref(content);
        free(text);
    }
    postern_request_free(r);
    json_decref(params);
    postern_error_done(&why);
    return ok;
}

START_TEST(test_every_allocation_may_fail)
{
    json_set_alloc_funcs(__wrap_malloc, free);
    int files_before = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(files_before);
    long at = 1;
    for (bool done = false; !done; at++) {
        struct postern *connection = NULL;
        int end = serve(serve_everything);
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        alloc_fail_at(at);
        int err = postern_open_fd(&connection, end, &error);
        bool ok = err == 0 && use_everything(connection, fd);
        done = !alloc_has_failed() && ok; /* the failure was not reached any more */
        ck_assert_msg(err == 0 || err == -ENOMEM, "%d", err);
        if (err < 0)
            close(end);
        postern_close(connection);
        close(fd);
        served();
        ck_assert_msg(at < 1000, "no end");
    }
    ck_assert_int_gt(at, 20);
    /* No descriptor was lost. */
    int files_after = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(files_after);
    ck_assert_int_eq(files_after, files_before);
    postern_error_done(&error);
    json_set_alloc_funcs(malloc, free);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client_loss");
    TCase *c = tcase_create("loss");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, test_cancel);
    tcase_add_test(c, test_cancel_before_it_is_sent);
    tcase_add_test(c, test_timeout);
    tcase_add_test(c, test_lost);
    tcase_add_loop_test(c, test_bad_answers, 0, 9);
    tcase_add_test(c, test_answer_too_long);
    tcase_add_test(c, test_search);
    tcase_add_test(c, test_busy_gateway);
    tcase_add_test(c, test_reconnect);
    tcase_add_test(c, test_every_allocation_may_fail);
    suite_add_tcase(suite, c);
    return unit_run(suite);
}
