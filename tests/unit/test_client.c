/* SPDX-License-Identifier: MIT */
/* libpostern against a gateway of the tests' own: a thread that reads lines and answers as the test's script says. */
#include "macros.h"
#include "postern.h"
#include "scratch.h"
#include "unit.h"

#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

/* --- allocations that fail when the test says so (--wrap, and jansson's own hooks) --- */

static long fail_at; /* counts down; the allocation that finds 1 fails, 0: none fails */
static _Thread_local bool failing;

static bool must_fail(void)
{
    return failing && fail_at > 0 && --fail_at == 0;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);
void *__wrap_malloc(size_t n)
{
    return must_fail() ? NULL : __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t size)
{
    return must_fail() ? NULL : __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t n)
{
    return must_fail() ? NULL : __real_realloc(p, n);
}
char *__wrap_strdup(const char *s)
{
    return must_fail() ? NULL : __real_strdup(s);
}

/* --- the other side --- */

struct server {
    int fd;
    char text[70000];
    size_t len;
    int fds[16];
    size_t n_fds;
};

/* The next line, NUL-terminated; NULL at the end. Its descriptors are collected. */
static char *server_read(struct server *s)
{
    static _Thread_local char line[70000];
    for (;;) {
        char *end = memchr(s->text, '\n', s->len);
        if (end) {
            size_t n = (size_t) (end - s->text);
            memcpy(line, s->text, n);
            line[n] = 0;
            s->len -= n + 1;
            memmove(s->text, end + 1, s->len);
            return line;
        }
        union {
            char room[CMSG_SPACE(sizeof(int) * 16)];
            struct cmsghdr align;
        } control;
        struct iovec part = {s->text + s->len, sizeof(s->text) - s->len};
        struct msghdr m = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
        ssize_t n = recvmsg(s->fd, &m, MSG_CMSG_CLOEXEC);
        if (n <= 0)
            return NULL;
        s->len += (size_t) n;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
            size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            memcpy(s->fds + s->n_fds, CMSG_DATA(c), count * sizeof(int));
            s->n_fds += count;
        }
    }
}

static void server_write(struct server *s, const char *text)
{
    for (size_t n = strlen(text); n > 0;) {
        ssize_t sent = send(s->fd, text, n, MSG_NOSIGNAL);
        if (sent < 0)
            return;
        text += sent;
        n -= (size_t) sent;
    }
}

static void server_write_fd(struct server *s, const char *text, int fd)
{
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {.room = ""};
    struct iovec part = {(char *) text, strlen(text)};
    struct msghdr m = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    (void) !sendmsg(s->fd, &m, MSG_NOSIGNAL);
}

typedef void script_fn(struct server *s);
static script_fn *script;
static struct server server;
static pthread_t server_thread;
static bool server_runs;

static void *run_script(void *arg)
{
    struct server *s = arg;
    script(s);
    close(s->fd);
    for (size_t i = 0; i < s->n_fds; i++)
        close(s->fds[i]);
    return NULL;
}

static struct postern *p;
static struct postern_error error;

static void start(script_fn *fn)
{
    int ends[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    server = (struct server){.fd = ends[1]};
    script = fn;
    ck_assert_int_eq(pthread_create(&server_thread, NULL, run_script, &server), 0);
    server_runs = true;
    ck_assert_int_eq(postern_open_fd(&p, ends[0], &error), 0);
}

static void stop(void)
{
    postern_close(p);
    p = NULL;
    if (server_runs)
        pthread_join(server_thread, NULL);
    server_runs = false;
    postern_error_done(&error);
}

/* --- calls --- */

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
    ck_assert_int_eq(postern_open(&first, path, 1000, &error), 0);
    ck_assert_int_eq(postern_open(&second, path, 200, &error), -ETIMEDOUT);
    close(accept(fd, NULL, NULL));
    ck_assert_int_eq(postern_open(&second, path, 1000, &error), 0);
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
    ck_assert_int_eq(postern_open(&p, path, 1000, &error), 0);
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
    ck_assert_int_lt(postern_open(&p, path, 1000, &error), 0);
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
        failing = false;                                                                                               \
        assertion(__VA_ARGS__);                                                                                        \
        failing = true;                                                                                                \
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
    int ends[2], files_before = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(files_before);
    long at = 1;
    for (bool done = false; !done; at++) {
        struct postern *connection = NULL;
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        server = (struct server){.fd = ends[1]};
        script = serve_everything;
        ck_assert_int_eq(pthread_create(&server_thread, NULL, run_script, &server), 0);
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        fail_at = at;
        failing = true;
        int err = postern_open_fd(&connection, ends[0], &error);
        bool ok = err == 0 && use_everything(connection, fd);
        failing = false;
        done = ok && fail_at > 0; /* the failure was not reached any more */
        ck_assert_msg(err == 0 || err == -ENOMEM, "%d", err);
        if (err < 0)
            close(ends[0]);
        postern_close(connection);
        close(fd);
        pthread_join(server_thread, NULL);
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
