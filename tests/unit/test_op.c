/* SPDX-License-Identifier: MIT */
/* Operations from the socket to the answer, with handlers made for the purpose behind the rows of mail.parse (which
 * echoes its content here), imap.fetch (which streams) and mail.build (which waits). */
#include "api_mail.h"
#include "daemon_fixture.h"
#include "methods.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

static struct fixture f;
static int sock; /* the client's end */
static char got[4 * 1024 * 1024];
static size_t got_len;
static int got_fds[64];
static size_t got_n_fds;
static bool got_end;

/* --- handlers --- */

static unsigned frees, runs;

struct echo_state {
    struct body *body;
};

static int echo_prepare(struct op *op)
{
    const struct api_mail_parse_params *p = op->params;
    struct echo_state *s = op->state;
    return op_collect(op, &p->raw, "raw", &s->body);
}

static int echo_run(struct op *op)
{
    struct echo_state *s = op->state;
    runs++;
    json_write_object_begin(&op->w);
    if (s->body && op_write_content_body(op, "raw", s->body) < 0)
        return -EINVAL;
    json_write_member_str(&op->w, "after", "yes");
    json_write_object_end(&op->w);
    return OP_DONE;
}

static void count_free(struct op *op)
{
    (void) op;
    frees++;
}

static const struct op_handler echo = {sizeof(struct echo_state), echo_prepare, echo_run, count_free};

static struct op *waiting;

static int wait_run(struct op *op)
{
    runs++;
    if (runs == 1)
        op_again(op);
    waiting = op;
    return OP_WAIT;
}

static const struct op_handler waits = {400, NULL, wait_run, count_free}; /* a state too large for the op itself */

static unsigned items = 3;

static int stream_run(struct op *op)
{
    char text[32];
    json_write_object_begin(&op->w);
    json_write_member_str(&op->w, "mailbox", "INBOX");
    op_list_begin(op, "messages");
    for (unsigned i = 0; i < items; i++) {
        snprintf(text, sizeof(text), "message %u", i);
        op_item_begin(op);
        json_write_object_begin(&op->w);
        json_write_member_uint(&op->w, "uid", i);
        op_write_content(op, "body", slice_of_str(text));
        json_write_object_end(&op->w);
        if (i == 1) {
            op_item_drop(op);
            continue;
        }
        int r = op_item_end(op);
        if (r < 0)
            return r;
    }
    op_list_end(op);
    json_write_member_uint(&op->w, "missing", 1);
    json_write_object_end(&op->w);
    return OP_DONE;
}

static const struct op_handler streams = {0, NULL, stream_run, count_free};

static const struct op_handler *handlers[RPC_METHOD_COUNT];

/* --- the client --- */

static void take(void)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int) * 64)];
    } control;
    struct iovec iov = {got + got_len, sizeof(got) - got_len};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof(control.space)};
    ssize_t n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return;
    got_end = n == 0;
    got_len += (size_t) n;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        size_t n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(got_fds + got_n_fds, CMSG_DATA(c), n_fds * sizeof(int));
        got_n_fds += n_fds;
    }
}

static bool has_lines(void *arg)
{
    unsigned lines = 0;
    take();
    for (size_t i = 0; i < got_len; i++)
        lines += got[i] == '\n';
    return lines >= *(unsigned *) arg || got_end;
}

static void expect_lines(unsigned n)
{
    fixture_run(&f, has_lines, &n);
    got[got_len] = '\0';
}

static bool calls_over(void *arg)
{
    (void) arg;
    return f.gateway.n_calls == 0;
}

/* What is neither memory nor a pipe is closed by a helper, a moment later. */
static bool descriptors_closed(void *arg)
{
    (void) arg;
    return f.gateway.n_calls == 0 && foreign_count(f.gateway.foreign) == 0;
}

static void say(const char *text, const int *fds, size_t n)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int) * 64)];
    } control;
    struct iovec iov = {(char *) text, strlen(text)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    got_len = got_n_fds = 0;
    if (n > 0) {
        msg.msg_control = control.space;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * n);
        memset(control.space, 0, sizeof(control.space));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * n);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
    }
    ck_assert_int_eq(sendmsg(sock, &msg, 0), (ssize_t) strlen(text));
}

static void setup(void)
{
    int pair[2];
    memset(handlers, 0, sizeof(handlers));
    handlers[RPC_GATEWAY_PING] = &gateway_ping_handler;
    handlers[RPC_RPC_CANCEL] = &rpc_cancel_handler;
    handlers[RPC_MAIL_PARSE] = &echo;
    handlers[RPC_MAIL_BUILD] = &waits;
    handlers[RPC_IMAP_FETCH] = &streams;
    fixture_init(&f,
                 "[daemon]\nclient_stall = 100ms\npartial_request_timeout = 100ms\nuser_memory = "
                 "128M\nmax_calls_per_user = 3\nmax_response_size = 3M\n",
                 handlers);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    sock = pair[0];
    got_len = got_n_fds = frees = runs = 0;
    got_end = false;
    items = 3;
    fcntl(pair[1], F_SETFL, O_NONBLOCK);
    ck_assert_ptr_nonnull(client_new(&f.gateway, pair[1]));
}

static void teardown(void)
{
    close(sock);
    fixture_run(&f, descriptors_closed, NULL);
    for (size_t i = 0; i < got_n_fds; i++)
        close(got_fds[i]);
    ck_assert_uint_eq(foreign_count(f.gateway.foreign), 0);
    fixture_done(&f);
}

static void says(const char *text)
{
    ck_assert_msg(strstr(got, text) != NULL, "no '%s' in '%.2000s'", text, got);
}

/* --- tests --- */

START_TEST(ping_is_answered_and_leaves_nothing)
{
    say("{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"gateway.ping\"}\n", NULL, 0);
    expect_lines(1);
    ck_assert_str_eq(got, "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"result\":{}}\n");
    ck_assert_uint_eq(f.gateway.n_calls, 0);
    ck_assert_uint_eq(f.gateway.n_spare_ops, 1);
}
END_TEST

START_TEST(after_half_close_calls_finish_and_the_connection_ends)
{
    say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"gateway.ping\"}\n"
        "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"mail.parse\",\"params\":{\"raw\":\"x\"}}\n",
        NULL, 0);
    shutdown(sock, SHUT_WR);
    expect_lines(9);
    ck_assert(got_end);
    says("\"id\":1");
    says("{\"text\":\"x\",\"size\":1}");
    ck_assert_uint_eq(f.gateway.n_clients, 0);
}
END_TEST

START_TEST(content_comes_back_in_the_form_asked_for)
{
    static const struct {
        const char *params, *answer;
    } cases[] = {
        {"\"raw\":\"gr\\u00fc\\u00df\"", "{\"text\":\"gr\xc3\xbc\xc3\x9f\",\"size\":6}"},
        {"\"raw\":{\"text\":\"a\"},\"content\":\"base64\"", "{\"base64\":\"YQ==\",\"size\":1}"},
        {"\"raw\":{\"base64\":\"/w==\"}", "{\"base64\":\"/w==\",\"size\":1}"},
        {"\"raw\":{\"base64\":\"/w==\"},\"content\":\"text\"", "\"kind\":\"bad_message\""},
        {"\"raw\":\"\"", "{\"text\":\"\",\"size\":0}"},
        {"\"raw\":\"a\\u0000b\"", "{\"base64\":\"YQBi\",\"size\":3}"},
    };
    char line[300];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(line, sizeof(line), "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"mail.parse\",\"params\":{%s}}\n",
                 cases[i].params);
        say(line, NULL, 0);
        expect_lines(1);
        says(cases[i].answer);
    }
    ck_assert_uint_eq(frees, ARRAY_LEN(cases));
}
END_TEST

static size_t read_all(int fd, char *to, size_t max)
{
    size_t n = 0;
    ssize_t r;
    while (n < max && (r = read(fd, to + n, max - n)) > 0)
        n += (size_t) r;
    return n;
}

START_TEST(descriptors_go_both_ways)
{
    static const char *const forms[] = {"fd", "pipe"};
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        int pair[2];
        char line[200], text[16];
        ck_assert_int_eq(pipe(pair), 0);
        ck_assert_int_eq(write(pair[1], "from a pipe", 11), 11);
        close(pair[1]);
        snprintf(line, sizeof(line),
                 "{\"jsonrpc\":\"2.0\",\"id\":7,\"fds\":1,\"method\":\"mail.parse\",\"params\":{\"raw\":{\"fd\":0},"
                 "\"content\":\"%s\"}}\n",
                 forms[i]);
        say(line, pair, 1);
        close(pair[0]);
        expect_lines(i == 0 ? 1 : 2);
        says("\"raw\":{\"fd\":0,\"size\":11},\"after\":\"yes\"");
        says("\"fds\":1");
        if (i == 1)
            says("\"method\":\"progress\",\"params\":{\"id\":7,\"done\":11,\"total\":11}");
        ck_assert_uint_eq(got_n_fds, 1);
        ck_assert_uint_eq(read_all(got_fds[0], text, sizeof(text)), 11);
        ck_assert(memcmp(text, "from a pipe", 11) == 0);
        close(got_fds[0]);
        got_n_fds = 0;
        fixture_run(&f, calls_over, NULL);
    }
}
END_TEST

START_TEST(a_large_content_is_encoded_as_it_drains)
{
    int fd = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    char block[1000];
    memset(block, 'x', sizeof(block));
    for (unsigned i = 0; i < 1500; i++)
        ck_assert_int_eq(write(fd, block, sizeof(block)), 1000);
    ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK), 0);
    say("{\"jsonrpc\":\"2.0\",\"id\":7,\"fds\":1,\"method\":\"mail.parse\",\"params\":{\"raw\":{\"fd\":0}}}\n", &fd, 1);
    close(fd);
    expect_lines(1);
    says("\"raw\":{\"text\":\"xxxxxxxx");
    says("xxxx\",\"size\":1500000},\"after\":\"yes\"}}\n");
    ck_assert_uint_gt(got_len, 1500000);
}
END_TEST

START_TEST(a_wrong_descriptor_is_refused)
{
    int fd = open("/tmp", O_RDONLY | O_DIRECTORY);
    say("{\"jsonrpc\":\"2.0\",\"id\":7,\"fds\":1,\"method\":\"mail.parse\",\"params\":{\"raw\":{\"fd\":0}}}\n", &fd, 1);
    close(fd);
    expect_lines(1);
    says("-32602");
    says("raw: is a directory");
    ck_assert_uint_eq(frees, 1);
}
END_TEST

START_TEST(items_are_an_array_or_a_stream)
{
    const char *expected = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"mailbox\":\"INBOX\",\"messages\":["
                           "{\"uid\":0,\"body\":{\"text\":\"message 0\",\"size\":9}},"
                           "{\"uid\":2,\"body\":{\"text\":\"message 2\",\"size\":9}}],\"missing\":1}}\n";
    say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"imap.fetch\",\"params\":{\"account\":\"a\",\"uids\":\"1:*\"}}\n",
        NULL, 0);
    expect_lines(1);
    ck_assert_str_eq(got, expected);
    say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"imap.fetch\",\"params\":{\"account\":\"a\",\"uids\":\"1:*\","
        "\"stream\":"
        "true,\"content\":\"fd\"}}\n",
        NULL, 0);
    expect_lines(3);
    says("{\"jsonrpc\":\"2.0\",\"method\":\"stream\",\"params\":{\"id\":1,\"item\":{\"uid\":0,\"body\":{\"fd\":0,"
         "\"size\":9}}}"
         ",\"fds\":1}\n");
    says("\"result\":{\"mailbox\":\"INBOX\",\"count\":2,\"missing\":1}}\n");
    ck_assert_uint_eq(got_n_fds, 2);
}
END_TEST

START_TEST(too_long_an_answer_is_the_error_limit)
{
    items = 100000;
    say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"imap.fetch\",\"params\":{\"account\":\"a\",\"uids\":\"1:*\"}}\n",
        NULL, 0);
    expect_lines(1);
    says("\"limit\":\"max_response_size\"");
    says("stream");
    ck_assert_uint_eq(frees, 1);
}
END_TEST

static bool has_run(void *arg)
{
    (void) arg;
    return runs >= 2;
}

static void start_waiting(const char *more)
{
    char line[200];
    snprintf(line, sizeof(line),
             "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"mail.build\",\"params\":{\"message\":{}%s}}\n", more);
    say(line, NULL, 0);
    fixture_run(&f, has_run, NULL);
    ck_assert_uint_eq(f.gateway.n_calls, 1);
}

START_TEST(cancel_ends_a_call_once)
{
    start_waiting("");
    say("{\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"rpc.cancel\",\"params\":{\"id\":5}}\n", NULL, 0);
    expect_lines(2);
    says("\"kind\":\"cancelled\"");
    says("\"id\":6,\"result\":{\"found\":true}");
    ck_assert_uint_eq(frees, 1);
    say("{\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"rpc.cancel\",\"params\":{\"id\":\"5\"}}\n", NULL, 0);
    expect_lines(1);
    says("\"found\":false");
}
END_TEST

START_TEST(time_ends_a_call)
{
    start_waiting(",\"timeout\":1500");
    waiting->done_outcome = OUTCOME_DONE;
    expect_lines(1);
    says("\"kind\":\"timeout\"");
    says("\"outcome\":\"done\"");
    ck_assert_uint_eq(frees, 1);
}
END_TEST

START_TEST(a_lost_client_ends_its_calls)
{
    start_waiting("");
    shutdown(sock, SHUT_RDWR);
    fixture_run(&f, calls_over, NULL);
    ck_assert_uint_eq(frees, 1);
    ck_assert_uint_eq(f.gateway.n_clients, 0);
}
END_TEST

START_TEST(a_finish_from_outside_is_answered)
{
    start_waiting("");
    json_write_object_begin(&waiting->w);
    json_write_member_bool(&waiting->w, "late", true);
    json_write_object_end(&waiting->w);
    op_finish(waiting);
    expect_lines(1);
    says("\"result\":{\"late\":true}");
}
END_TEST

START_TEST(an_unfinished_line_has_its_time)
{
    say("{\"jsonrpc\":", NULL, 0);
    expect_lines(9);
    ck_assert(got_end);
    says("partial_request_timeout");
}
END_TEST

START_TEST(a_client_that_does_not_read_fails_its_calls)
{
    start_waiting("");
    items = 20000;
    say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"imap.fetch\",\"params\":{\"account\":\"a\",\"uids\":\"1:*\"}}\n",
        NULL, 0);
    fixture_run(&f, calls_over, NULL);
    ck_assert_uint_eq(frees, 2);
    expect_lines(2);
    says("\"limit\":\"client_stall\"");
}
END_TEST

START_TEST(text_of_requests_is_charged)
{
    size_t len = 200000;
    char *line = malloc(len + 200);
    int n = snprintf(line, len + 200,
                     "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"mail.build\",\"params\":{\"message\":{\"text\":\"");
    memset(line + n, 'x', len);
    snprintf(line + n + len, 200 - (size_t) n, "\"}}}\n");
    say(line, NULL, 0);
    fixture_run(&f, has_run, NULL);
    ck_assert_uint_ge(f.gateway.memory.used, len);
    ck_assert_ptr_nonnull(op_text_owner(waiting));
    say("{\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"rpc.cancel\",\"params\":{\"id\":5}}\n", NULL, 0);
    expect_lines(2);
    ck_assert_uint_eq(f.gateway.memory.used, 0);
    free(line);
}
END_TEST

START_TEST(every_method_has_a_handler)
{
    for (int id = 0; id < RPC_METHOD_COUNT; id++)
        ck_assert_msg(op_handlers[id] && op_handlers[id]->run, "%s has none",
                      rpc_method_row((enum rpc_method_id) id)->name);
}
END_TEST

START_TEST(calls_of_a_user_are_counted)
{
    char line[200];
    for (int i = 0; i < 4; i++) {
        snprintf(line, sizeof(line),
                 "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"mail.build\",\"params\":{\"message\":{}}}\n", i);
        say(line, NULL, 0);
    }
    expect_lines(1);
    says("\"id\":3,\"error\"");
    says("\"limit\":\"max_calls_per_user\"");
    ck_assert_uint_eq(f.gateway.n_calls, 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("op");
    TCase *tc = tcase_create("op");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, ping_is_answered_and_leaves_nothing);
    tcase_add_test(tc, after_half_close_calls_finish_and_the_connection_ends);
    tcase_add_test(tc, content_comes_back_in_the_form_asked_for);
    tcase_add_test(tc, descriptors_go_both_ways);
    tcase_add_test(tc, a_large_content_is_encoded_as_it_drains);
    tcase_add_test(tc, a_wrong_descriptor_is_refused);
    tcase_add_test(tc, items_are_an_array_or_a_stream);
    tcase_add_test(tc, too_long_an_answer_is_the_error_limit);
    tcase_add_test(tc, cancel_ends_a_call_once);
    tcase_add_test(tc, time_ends_a_call);
    tcase_add_test(tc, a_lost_client_ends_its_calls);
    tcase_add_test(tc, a_finish_from_outside_is_answered);
    tcase_add_test(tc, an_unfinished_line_has_its_time);
    tcase_add_test(tc, a_client_that_does_not_read_fails_its_calls);
    tcase_add_test(tc, text_of_requests_is_charged);
    tcase_add_test(tc, every_method_has_a_handler);
    tcase_add_test(tc, calls_of_a_user_are_counted);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
