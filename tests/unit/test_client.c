/* SPDX-License-Identifier: MIT */
/* libpostern: calls, descriptors and streams, over a gateway of the tests' own. */
#include "client_world.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void serve_simple(struct server *s)
{
    char *line = server_read(s);
    ck_assert_str_eq(line, "{\"jsonrpc\":\"2.0\",\"method\":\"gateway.ping\",\"id\":1,\"params\":{\"a\":[1,\"x\"]}}");
    server_write(s, "\r\n{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"ok\":true}}\n");
    line = server_read(s);
    ck_assert_str_eq(line, "{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"id\":2}");
    server_write(s,
                 "{\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{\"code\":-32020,\"message\":\"the server said no\",\"data\":"
                 "{\"kind\":\"rejected\",\"outcome\":\"done\",\"retry\":\"later\",\"retry_after\":1500}}}\n");
    server_read(s);
}

START_TEST(test_call)
{
    json_t *params = json_pack("{s:[is]}", "a", 1, "x"), *result = NULL;
    start(serve_simple);
    int r = postern_call(p, "gateway.ping", params, &result, &error);
    ck_assert_msg(r == 0, "%s", error.message);
    ck_assert(json_is_true(json_object_get(result, "ok")));
    json_decref(params);
    json_decref(result);
    ck_assert_int_eq(postern_call(p, "x", NULL, NULL, &error), -32020);
    ck_assert_int_eq(error.code, -32020);
    ck_assert_str_eq(error.kind, "rejected");
    ck_assert_str_eq(error.message, "the server said no");
    ck_assert_int_eq(error.outcome, POSTERN_OUTCOME_DONE);
    ck_assert_int_eq(error.retry, POSTERN_RETRY_LATER);
    ck_assert_uint_eq(error.retry_after_ms, 1500);
    ck_assert_str_eq(json_string_value(json_object_get(error.data, "kind")), "rejected");
    stop();
}
END_TEST

static void serve_backwards(struct server *s)
{
    for (int i = 0; i < 3; i++)
        server_read(s);
    static const char answers[] = "{\"id\":3,\"result\":3}\n{\"id\":2,\"result\":2}\n{\"id\":1,\"result\":1}\n";
    for (size_t i = 0; answers[i]; i++) {
        char byte[2] = {answers[i], 0};
        server_write(s, byte);
    }
    server_read(s);
}

static int order[3];
static size_t n_done;
static void note_order(struct postern_request *r, void *arg)
{
    (void) arg;
    order[n_done++] = (int) json_integer_value(postern_request_result(r));
    ck_assert_int_eq(postern_call(postern_request_connection(r), "x", NULL, NULL, NULL), -EDEADLK);
    ck_assert_int_eq(postern_request_wait(r, 0), 0);
    postern_request_free(r); /* allowed here */
}

START_TEST(test_concurrent_in_a_loop_of_ones_own)
{
    start(serve_backwards);
    n_done = 0;
    for (int i = 0; i < 3; i++) {
        struct postern_request *r = postern_request_new(p, "m", NULL);
        postern_request_on_done(r, note_order, NULL);
        ck_assert_int_eq(postern_request_start(r, &error), 0);
        ck_assert_int_eq(postern_request_start(r, &error), -EBUSY);
    }
    while (n_done < 3) {
        struct pollfd poller = {.fd = postern_get_fd(p), .events = postern_get_events(p)};
        ck_assert_int_eq(poll(&poller, 1, 5000), 1);
        ck_assert_int_ge(postern_process(p), 0);
    }
    ck_assert(order[0] == 3 && order[1] == 2 && order[2] == 1);
    ck_assert_int_eq(postern_get_timeout(p), -1);
    stop();
}
END_TEST

/* --- descriptors --- */

static void serve_fds(struct server *s)
{
    char bytes[32] = "";
    char *line = server_read(s);
    ck_assert_ptr_nonnull(strstr(line, "\"fds\":1"));
    ck_assert_uint_eq(s->n_fds, 1);
    ck_assert_int_eq(pread(s->fds[0], bytes, sizeof(bytes), 0), 5);
    ck_assert_str_eq(bytes, "hello");
    int fd = memfd_create("answer", MFD_CLOEXEC);
    ck_assert_int_eq(write(fd, "world", 5), 5);
    server_write_fd(s, "{\"id\":1,\"result\":{\"raw\":{\"fd\":0,\"size\":5}},\"fds\":1}\n", fd);
    close(fd);
    server_read(s);
}

START_TEST(test_descriptors_both_ways)
{
    size_t n_fds, len;
    char *text;
    start(serve_fds);
    int fd = memfd_create("question", MFD_CLOEXEC);
    ck_assert_int_eq(write(fd, "hello", 5), 5);
    json_t *params = json_object();
    struct postern_request *r = postern_request_new(p, "mail.parse", params);
    int index = postern_request_add_fd(r, fd);
    ck_assert_int_eq(index, 0);
    close(fd);
    json_object_set_new(params, "raw", postern_content_new_fd(index));
    ck_assert_int_eq(postern_request_start(r, &error), 0);
    ck_assert_int_eq(postern_request_wait(r, 5000), 0);
    json_decref(params);
    const int *fds = postern_request_fds(r, &n_fds);
    ck_assert_uint_eq(n_fds, 1);
    ck_assert_int_eq(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(postern_content_read(json_object_get(postern_request_result(r), "raw"), fds, n_fds, &text, &len),
                     0);
    ck_assert_uint_eq(len, 5);
    ck_assert_str_eq(text, "world");
    free(text);
    int taken = postern_request_take_fd(r, 0);
    ck_assert_int_ge(taken, 0);
    ck_assert_int_eq(postern_request_take_fd(r, 0), -1);
    ck_assert_int_eq(postern_request_take_fd(r, 1), -1);
    postern_request_free(r);
    ck_assert_int_eq(close(taken), 0);
    stop();
}
END_TEST

static void serve_missing_fd(struct server *s)
{
    server_read(s);
    server_write(s, "{\"id\":1,\"result\":{},\"fds\":1}\n");
    server_read(s);
}

START_TEST(test_missing_descriptor)
{
    start(serve_missing_fd);
    ck_assert_int_eq(postern_call(p, "m", NULL, NULL, &error), -EPROTO);
    ck_assert(!postern_is_connected(p));
    ck_assert_int_eq(postern_get_fd(p), -1);
    stop();
}
END_TEST

START_TEST(test_contents)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *json;
    } cases[] = {
        {"", 0, "{\"text\":\"\"}"},
        {"a\xc3\xa4", 3, "{\"text\":\"a\xc3\xa4\"}"},
        {"a\0b", 3, "{\"base64\":\"YQBi\"}"},
        {"\xff", 1, "{\"base64\":\"/w==\"}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        json_t *c = postern_content_new(cases[i].bytes, cases[i].len);
        char *text = json_dumps(c, JSON_COMPACT), *back;
        size_t len;
        ck_assert_str_eq(text, cases[i].json);
        ck_assert_int_eq(postern_content_read(c, NULL, 0, &back, &len), 0);
        ck_assert_uint_eq(len, cases[i].len);
        ck_assert_mem_eq(back, cases[i].bytes, len);
        free(text);
        free(back);
        json_decref(c);
    }
    static const char *const bad[] = {"{}", "{\"fd\":0}", "{\"fd\":-1}", "{\"base64\":\"x\"}", "{\"text\":5}", "[]"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        json_t *c = json_loads(bad[i], 0, NULL);
        char *text = NULL;
        size_t len;
        ck_assert_msg(postern_content_read(c, NULL, 0, &text, &len) == -EINVAL, "%s", bad[i]);
        json_decref(c);
    }
}
END_TEST

/* --- streams --- */

static void serve_stream(struct server *s)
{
    server_read(s);
    int fd = memfd_create("item", MFD_CLOEXEC);
    ck_assert_int_eq(write(fd, "one", 3), 3);
    server_write(s, "{\"method\":\"progress\",\"params\":{\"id\":1,\"done\":5,\"total\":null}}\n");
    server_write_fd(s, "{\"method\":\"stream\",\"params\":{\"id\":1,\"item\":{\"n\":1}},\"fds\":1}\n", fd);
    close(fd);
    server_write(s, "{\"method\":\"stream\",\"params\":{\"id\":99,\"item\":{\"n\":0}}}\n"
                    "{\"method\":\"stream\",\"params\":{\"id\":1,\"item\":{\"n\":2}}}\n"
                    "{\"method\":\"event\",\"params\":{\"kind\":\"new\"}}\n"
                    "{\"id\":1,\"result\":{\"count\":2}}\n"
                    "{\"method\":\"failed\",\"params\":{\"id\":1,\"error\":{\"code\":-32014,\"message\":\"gone\"}}}\n");
    server_read(s);
}

static unsigned n_events, n_items, n_progress, n_failed;
static void on_event(struct postern *connection, const char *method, json_t *params, void *arg)
{
    ck_assert_ptr_eq(connection, p);
    ck_assert_ptr_eq(arg, &n_events);
    ck_assert_str_eq(method, "event");
    ck_assert_str_eq(json_string_value(json_object_get(params, "kind")), "new");
    n_events++;
}

static void on_progress(struct postern_request *r, uint64_t done, uint64_t total, void *arg)
{
    (void) r;
    (void) arg;
    ck_assert_uint_eq(done, 5);
    ck_assert_uint_eq(total, UINT64_MAX);
    n_progress++;
}

static void on_failed(struct postern_request *r, const struct postern_error *why, void *arg)
{
    (void) arg;
    ck_assert(postern_request_is_done(r));
    ck_assert_int_eq(why->code, -32014);
    n_failed++;
}

static int kept_fd;
static void on_item(struct postern_request *r, json_t *item, int *fds, size_t n_fds, void *arg)
{
    (void) r;
    (void) arg;
    n_items++;
    ck_assert_int_eq(json_integer_value(json_object_get(item, "n")), n_items);
    ck_assert_uint_eq(n_fds, n_items == 1);
    if (n_fds) {
        kept_fd = fds[0];
        fds[0] = -1;
    }
}

START_TEST(test_stream)
{
    start(serve_stream);
    n_events = n_items = n_progress = n_failed = 0;
    struct postern_request *r = postern_request_new(p, "imap.fetch", NULL);
    postern_on_notification(p, on_event, &n_events);
    if (_i == 0)
        postern_request_on_item(r, on_item, NULL);
    postern_request_on_progress(r, on_progress, NULL);
    postern_request_on_failed(r, on_failed, NULL);
    ck_assert_int_eq(postern_request_start(r, &error), 0);
    for (int i = 1; _i == 1 && i <= 2; i++) {
        json_t *item = NULL;
        int *fds = NULL;
        size_t n_fds = 0;
        ck_assert_int_eq(postern_request_next_item(r, 5000, &item, &fds, &n_fds), 1);
        ck_assert_int_eq(json_integer_value(json_object_get(item, "n")), i);
        ck_assert_uint_eq(n_fds, i == 1);
        if (n_fds)
            kept_fd = fds[0];
        free(fds);
        json_decref(item);
        n_items++;
    }
    json_t *none = NULL;
    if (_i == 1)
        ck_assert_int_eq(postern_request_next_item(r, 5000, &none, NULL, NULL), 0);
    ck_assert_int_eq(postern_request_wait(r, 5000), 0);
    while (n_failed == 0)
        ck_assert_int_ge(postern_wait(p, 5000), 0);
    ck_assert_uint_eq(n_items, 2);
    ck_assert_uint_eq(n_events, 1);
    ck_assert_uint_eq(n_progress, 1);
    ck_assert_int_eq(json_integer_value(json_object_get(postern_request_result(r), "count")), 2);
    ck_assert_int_eq(close(kept_fd), 0);
    postern_request_free(r);
    stop();
}
END_TEST

static void serve_flood(struct server *s)
{
    server_read(s);
    for (int i = 0; i < 5000; i++)
        server_write(s, "{\"method\":\"stream\",\"params\":{\"id\":1,\"item\":[1,2,3]}}\n");
    server_write(s, "{\"id\":1,\"result\":{}}\n");
    server_read(s);
}

/* Items that nobody takes hold the gateway back instead of filling memory. */
START_TEST(test_stream_is_held_back)
{
    start(serve_flood);
    struct postern_request *r = postern_request_new(p, "m", NULL);
    ck_assert_int_eq(postern_request_start(r, &error), 0);
    ck_assert_int_eq(postern_request_wait(r, 5000), -ENOBUFS);
    ck_assert_int_eq(postern_get_events(p) & POLLIN, 0);
    for (int i = 0; i < 5000; i++) {
        json_t *item = NULL;
        ck_assert_int_eq(postern_request_next_item(r, 5000, &item, NULL, NULL), 1);
        json_decref(item);
    }
    ck_assert_int_eq(postern_request_wait(r, 5000), 0);
    postern_request_free(r);
    stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client");
    TCase *c = tcase_create("library");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, test_call);
    tcase_add_test(c, test_concurrent_in_a_loop_of_ones_own);
    tcase_add_test(c, test_descriptors_both_ways);
    tcase_add_test(c, test_missing_descriptor);
    tcase_add_test(c, test_contents);
    tcase_add_loop_test(c, test_stream, 0, 2);
    tcase_add_test(c, test_stream_is_held_back);
    suite_add_tcase(suite, c);
    return unit_run(suite);
}
