/* SPDX-License-Identifier: MIT */
/* Requests and answers: envelopes, batches, ids in flight, descriptors, streams, limits. */
#include "api_mail.h"
#include "rpc_peer.h"
#include "unit.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#define FDS 2048
static int fd_state[FDS];
static struct rpc_server server;
static struct rpc_peer peer;
static struct buffer sent;

static void release_fd(void *ctx, int fd)
{
    (void) ctx;
    ck_assert_int_eq(fd_state[fd], 1);
    fd_state[fd] = 2;
}

static void setup(void)
{
    static const struct rpc_limits limits = {.max_request_size = 100000,
                                             .max_response_size = 10000,
                                             .max_output = 100000,
                                             .max_calls = 8,
                                             .max_batch = 10,
                                             .max_params = 100000};
    memset(fd_state, 0, sizeof(fd_state));
    rpc_server_init(&server, &limits, release_fd, NULL);
    rpc_peer_init(&peer, &server);
    buffer_init(&sent, 1 << 22);
}

static void teardown(void)
{
    rpc_peer_done(&peer);
    rpc_server_done(&server);
    buffer_done(&sent);
    for (int i = 0; i < FDS; i++)
        ck_assert_msg(fd_state[i] != 1, "descriptor %d is lost", i);
}

/* What the peer would send, descriptors as <n>; valid until the next call. */
static const char *output(void)
{
    struct slice bytes;
    const int *fds;
    size_t n;

    buffer_clear(&sent);
    while (rpc_output_peek(&peer.output, &bytes, &fds, &n) == 1) {
        for (size_t i = 0; i < n; i++)
            ck_assert_int_eq(buffer_printf(&sent, "<%d>", fds[i]), 0);
        ck_assert_int_eq(buffer_append_slice(&sent, bytes), 0);
        rpc_output_sent(&peer.output, bytes.len);
    }
    ck_assert_int_eq(buffer_append(&sent, "", 1), 0);
    return buffer_slice(&sent).data;
}

static char scratch[300000];

static void feed(const char *text)
{
    size_t len = strlen(text);
    memcpy(scratch, text, len);
    rpc_peer_feed(&peer, scratch, len);
}

/* Feeds lines and answers every ping; other requests are a mistake. Returns the last event. */
static enum rpc_peer_event serve(const char *text)
{
    struct rpc_request *r;
    enum rpc_peer_event event;

    feed(text);
    while ((event = rpc_peer_next(&peer, &r)) == RPC_PEER_REQUEST) {
        ck_assert_int_eq(r->method, RPC_GATEWAY_PING);
        rpc_answer_empty(r);
        rpc_request_free(r);
    }
    memset(scratch, '#', strlen(text));
    return event;
}

#define PING(id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"gateway.ping\"}"
#define PONG(id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"result\":{}}"

/* The error of one answer: its code, and the id as JSON. */
static void check_error(const char *answer, int code, const char *id, const char *part)
{
    json_t *value = json_loads(answer, 0, NULL);
    ck_assert_msg(value != NULL, "not JSON: %s", answer);
    json_t *error = json_object_get(value, "error");
    ck_assert_msg(error != NULL, "no error: %s", answer);
    char *got = json_dumps(json_object_get(value, "id"), JSON_ENCODE_ANY | JSON_COMPACT);
    ck_assert_str_eq(got, id);
    free(got);
    ck_assert_msg(json_integer_value(json_object_get(error, "code")) == code, "%s", answer);
    ck_assert_msg(strstr(json_string_value(json_object_get(error, "message")), part) != NULL, "no \"%s\": %s", part, answer);
    ck_assert_str_eq(json_string_value(json_object_get(json_object_get(error, "data"), "outcome")), "none");
    json_decref(value);
}

#define ERROR(text, code, id, part)                                                                                    \
    do {                                                                                                               \
        ck_assert_int_eq(serve(text "\n"), RPC_PEER_IDLE);                                                             \
        check_error(output(), code, id, part);                                                                         \
    } while (0)

/* ---- envelopes ---------------------------------------------------------------------------------------------- */

START_TEST(test_ping)
{
    ck_assert_int_eq(serve(PING("1") "\n"), RPC_PEER_IDLE);
    ck_assert_str_eq(output(), PONG("1") "\n");
    /* Ids come back as they came. */
    ck_assert_int_eq(serve(PING("\"\\u0041\\n\"") "\n" PING("-1.50e0") "\r\n\n" PING("null") "\n"), RPC_PEER_IDLE);
    ck_assert_str_eq(output(), PONG("\"\\u0041\\n\"") "\n" PONG("-1.50e0") "\n" PONG("null") "\n");
    /* Members in any order, escapes in keys and method. */
    ck_assert_int_eq(serve("{\"params\":{},\"met\\u0068od\":\"gateway\\u002eping\",\"id\":2,\"jsonrpc\":\"2.0\"}\n"),
                     RPC_PEER_IDLE);
    ck_assert_str_eq(output(), PONG("2") "\n");
    /* A notification is not answered. */
    ck_assert_int_eq(serve("{\"jsonrpc\":\"2.0\",\"method\":\"gateway.ping\"}\n"), RPC_PEER_IDLE);
    ck_assert_str_eq(output(), "");
    ck_assert(rpc_peer_is_quiet(&peer));
}
END_TEST

START_TEST(test_split_anywhere)
{
    static const char text[] = PING("1") "\r\n[" PING("2") "," PING("\"3\"") "]\n";

    for (size_t cut = 0; cut < sizeof(text); cut++) {
        char part[sizeof(text)];
        memcpy(part, text, cut);
        part[cut] = '\0';
        ck_assert_int_eq(serve(part), RPC_PEER_IDLE);
        ck_assert(cut == 0 || text[cut - 1] == '\n' || rpc_peer_is_partial(&peer));
        ck_assert_int_eq(serve(text + cut), RPC_PEER_IDLE);
        ck_assert_str_eq(output(), PONG("1") "\n[" PONG("2") "," PONG("\"3\"") "]\n");
        ck_assert(!rpc_peer_is_partial(&peer));
    }
}
END_TEST

START_TEST(test_bad_envelopes)
{
    ERROR("{", -32700, "null", "object");
    ERROR("hello", -32700, "null", "value");
    ERROR(PING("1") " x", -32700, "null", "follows");
    ERROR("{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"gateway.ping\"}", -32700, "null", "twice");
    ERROR("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":{\"a\":1,\"a\":2}}", -32700, "null", "twice");
    ERROR("\xef\xbb\xbf" PING("1"), -32700, "null", "value");
    ERROR("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}", -32700, "null", "UTF-8");
    ERROR("1", -32600, "null", "object");
    ERROR("\"x\"", -32600, "null", "object");
    ERROR("{}", -32600, "null", "jsonrpc");
    ERROR("{\"id\":1,\"method\":\"gateway.ping\"}", -32600, "1", "jsonrpc");
    ERROR("{\"jsonrpc\":2.0,\"id\":1,\"method\":\"gateway.ping\"}", -32600, "1", "jsonrpc");
    ERROR("{\"jsonrpc\":\"1.0\",\"method\":\"gateway.ping\"}", -32600, "null", "jsonrpc");
    ERROR("{\"jsonrpc\":\"2.0\",\"id\":1}", -32600, "1", "method");
    ERROR("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", -32600, "1", "method");
    ERROR("{\"jsonrpc\":\"2.0\",\"id\":[1],\"method\":\"gateway.ping\"}", -32600, "null", "id must be");
    ERROR("{\"jsonrpc\":\"2.0\",\"id\":true,\"method\":\"gateway.ping\"}", -32600, "null", "id must be");
    ERROR("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"gateway.ping\",\"params\":3}", -32600, "1", "params");
    ERROR("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"gateway.ping\",\"params\":[]}", -32602, "1", "by name");
    ERROR("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"gateway.ping\",\"parms\":{}}", -32600, "1", "parms");
    ERROR("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"gateway.pong\"}", -32601, "1", "did you mean gateway.ping");
    ERROR("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\"}", -32601, "1", "no method");
    ERROR("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\\u0000\\n\"}", -32601, "1", "no method");
    ERROR("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"gateway.ping\",\"fds\":-1}", -32600, "1", "fds");
    ck_assert_int_eq(serve(PING("9") "\n"), RPC_PEER_IDLE);
    ck_assert_str_eq(output(), PONG("9") "\n");
    /* A notification with a mistake in method or parameters stays unanswered. */
    ck_assert_int_eq(serve("{\"jsonrpc\":\"2.0\",\"method\":\"nope\"}\n"
                           "{\"jsonrpc\":\"2.0\",\"method\":\"gateway.ping\",\"params\":{\"x\":1}}\n"),
                     RPC_PEER_IDLE);
    ck_assert_str_eq(output(), "");
}
END_TEST

START_TEST(test_depth_of_requests)
{
    char text[600];

    /* The outermost brace counts: 64 levels are read, 65 refused. */
    for (int inner = 61; inner <= 63; inner++) {
        size_t len = (size_t) snprintf(text, sizeof(text),
                                       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"gateway.ping\",\"params\":{\"a\":");
        for (int i = 0; i < inner; i++)
            text[len++] = '[';
        for (int i = 0; i < inner; i++)
            text[len++] = ']';
        memcpy(text + len, "}}\n", 4);
        ck_assert_int_eq(serve(text), RPC_PEER_IDLE);
        if (inner <= 62)
            check_error(output(), -32602, "1", "a is not a known parameter");
        else
            check_error(output(), -32700, "null", "64");
    }
}
END_TEST

START_TEST(test_long_ids)
{
    char id[300], text[600];

    for (int len = 255; len <= 257; len++) {
        memset(id, '7', sizeof(id));
        id[len] = '\0';
        snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"gateway.ping\"}\n", id);
        ck_assert_int_eq(serve(text), RPC_PEER_IDLE);
        const char *answer = output();
        ck_assert((strstr(answer, "\"result\"") != NULL) == (len <= RPC_ID_MAX));
        ck_assert((strstr(answer, id) != NULL) == (len <= RPC_ID_MAX));
    }
}
END_TEST

START_TEST(test_too_long)
{
    memset(scratch, 'x', 250000);
    rpc_peer_feed(&peer, scratch, 250000);
    struct rpc_request *r;
    ck_assert_int_eq(rpc_peer_next(&peer, &r), RPC_PEER_IDLE);
    check_error(output(), -32600, "null", "max_request_size");
    /* Said once; behind the LF it goes on. */
    memset(scratch, 'x', 250000);
    rpc_peer_feed(&peer, scratch, 250000);
    ck_assert_int_eq(rpc_peer_next(&peer, &r), RPC_PEER_IDLE);
    ck_assert_str_eq(output(), "");
    ck_assert_int_eq(serve("\n" PING("1") "\n"), RPC_PEER_IDLE);
    ck_assert_str_eq(output(), PONG("1") "\n");
}
END_TEST

START_TEST(test_end_of_input)
{
    struct rpc_request *r;
    enum rpc_peer_event event;

    ck_assert_int_eq(serve(PING("1")), RPC_PEER_IDLE);
    rpc_peer_end_of_input(&peer);
    while ((event = rpc_peer_next(&peer, &r)) == RPC_PEER_REQUEST) {
        rpc_answer_empty(r);
        rpc_request_free(r);
    }
    ck_assert_int_eq(event, RPC_PEER_IDLE);
    ck_assert_str_eq(output(), PONG("1") "\n");
    rpc_peer_end_of_input(&peer);
    ck_assert_int_eq(rpc_peer_next(&peer, &r), RPC_PEER_IDLE);
}
END_TEST

/* ---- calls in flight ---------------------------------------------------------------------------------------- */

#define STAT(id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"pop3.stat\",\"params\":{\"account\":\"a\"}}"

static struct rpc_request *next_request(void)
{
    struct rpc_request *r = NULL;
    ck_assert_int_eq(rpc_peer_next(&peer, &r), RPC_PEER_REQUEST);
    return r;
}

static void nothing_more(enum rpc_peer_event want)
{
    struct rpc_request *r;
    ck_assert_int_eq(rpc_peer_next(&peer, &r), want);
    memset(scratch, '#', 1000);
}

START_TEST(test_ids_in_flight)
{
    feed(STAT("5") "\n" STAT("\"5\"") "\n");
    struct rpc_request *a = next_request(), *b = next_request();
    nothing_more(RPC_PEER_IDLE);
    ck_assert_ptr_eq(rpc_peer_find(&peer, SLICE("5")), a);
    ck_assert_ptr_eq(rpc_peer_find(&peer, SLICE("\"5\"")), b);
    ck_assert_ptr_null(rpc_peer_find(&peer, SLICE("6")));
    ERROR(STAT("5"), -32600, "5", "in flight");
    ck_slice_eq(a->common->account, "a");
    rpc_answer_empty(b);
    ck_assert_ptr_null(rpc_peer_find(&peer, SLICE("\"5\"")));
    ck_assert_str_eq(output(), PONG("\"5\"") "\n");
    rpc_request_free(b);
    feed(STAT("\"5\"") "\n");
    b = next_request();
    nothing_more(RPC_PEER_IDLE);
    rpc_answer_empty(b);
    rpc_request_free(b);
    rpc_answer_empty(a);
    rpc_request_free(a);
    ck_assert_str_eq(output(), PONG("\"5\"") "\n" PONG("5") "\n");
    ck_assert(rpc_peer_is_quiet(&peer));
}
END_TEST

START_TEST(test_held_back)
{
    struct rpc_request *r[8];

    feed(STAT("1") "\n" STAT("2") "\n" STAT("3") "\n" STAT("4") "\n" STAT("5") "\n" STAT("6") "\n" STAT("7") "\n" STAT(
        "8") "\n" STAT("9") "\n" PING("10") "\n{\"json");
    for (int i = 0; i < 8; i++)
        r[i] = next_request();
    nothing_more(RPC_PEER_FULL);
    memset(scratch, '#', sizeof(scratch));
    nothing_more(RPC_PEER_FULL);
    rpc_answer_empty(r[3]);
    rpc_request_free(r[3]);
    r[3] = next_request();
    ck_slice_eq(r[3]->id, "9");
    nothing_more(RPC_PEER_FULL);
    for (int i = 0; i < 8; i++) {
        rpc_answer_empty(r[i]);
        rpc_request_free(r[i]);
    }
    r[0] = next_request();
    ck_assert_int_eq(r[0]->method, RPC_GATEWAY_PING);
    rpc_answer_empty(r[0]);
    rpc_request_free(r[0]);
    nothing_more(RPC_PEER_IDLE);
    ck_assert(rpc_peer_is_partial(&peer));
    output();
    ck_assert_int_eq(serve("rpc\":\"2.0\",\"id\":11,\"method\":\"gateway.ping\"}\n"), RPC_PEER_IDLE);
    ck_assert_str_eq(output(), PONG("11") "\n");
}
END_TEST

START_TEST(test_connection_goes)
{
    feed(STAT("1") "\n[" STAT("2") "," STAT("3") "]\n");
    struct rpc_request *a = next_request(), *b = next_request();
    rpc_peer_done(&peer);
    ck_assert_ptr_null(a->peer);
    ck_slice_eq(a->common->account, "a");
    json_write_str(rpc_answer_begin(a), "nobody hears it");
    ck_assert_int_eq(rpc_answer_end(a, OUTCOME_DONE), 0);
    rpc_request_free(a);
    rpc_request_free(b);
}
END_TEST

/* ---- batches ------------------------------------------------------------------------------------------------ */

START_TEST(test_batches)
{
    ck_assert_int_eq(serve("[" PING("1") "," PING("2") "]\n"), RPC_PEER_IDLE);
    ck_assert_str_eq(output(), "[" PONG("1") "," PONG("2") "]\n");
    ERROR("[]", -32600, "null", "empty");
    ERROR("[" PING("1") "", -32700, "null", "array");
    ERROR("[" PING("1") ",]", -32700, "null", "");
    ck_assert_int_eq(serve("[1," PING("2") ",{}]\n"), RPC_PEER_IDLE);
    json_t *value = json_loads(output(), 0, NULL);
    ck_assert_uint_eq(json_array_size(value), 3);
    json_decref(value);
    /* Nothing but notifications: nothing. */
    ck_assert_int_eq(serve("[{\"jsonrpc\":\"2.0\",\"method\":\"gateway.ping\"},{\"jsonrpc\":\"2.0\",\"method\":\"x\"}]\n"),
                     RPC_PEER_IDLE);
    ck_assert_str_eq(output(), "");
    ck_assert_int_eq(serve("[" PING("1") "," PING("1") "]\n"), RPC_PEER_IDLE);
    ck_assert_ptr_nonnull(strstr(output(), "in flight"));
    ERROR("[" PING("1") "," PING("2") "," PING("3") "," PING("4") "," PING("5") "," PING("6") "," PING("7") "," PING(
              "8") "," PING("9") "," PING("10") "," PING("11") "]",
          -32600, "null", "max_batch");
    ck_assert(rpc_peer_is_quiet(&peer));
}
END_TEST

START_TEST(test_batch_waits_for_all)
{
    feed("[" STAT("1") "," PING("2") "," STAT("3") ",{\"jsonrpc\":\"2.0\",\"method\":\"pop3.stat\",\"params\":{"
         "\"account\":\"b\"}}]\n" PING("4") "\n");
    struct rpc_request *a = next_request(), *p = next_request(), *b = next_request(), *n = next_request();
    rpc_answer_empty(p);
    rpc_request_free(p);
    struct rpc_request *q = next_request();
    rpc_answer_empty(q);
    rpc_request_free(q);
    nothing_more(RPC_PEER_IDLE);
    ck_assert_str_eq(output(), PONG("4") "\n");
    rpc_answer_empty(b);
    rpc_request_free(b);
    rpc_answer_empty(a);
    rpc_request_free(a);
    ck_assert_str_eq(output(), "");
    ck_slice_eq(n->common->account, "b");
    rpc_answer_empty(n);
    rpc_request_free(n);
    ck_assert_str_eq(output(), "[" PONG("2") "," PONG("3") "," PONG("1") "]\n");
}
END_TEST

/* ---- descriptors -------------------------------------------------------------------------------------------- */

#define PARSE(id, fds, content)                                                                                        \
    "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"mail.parse\",\"params\":{\"raw\":" content "},\"fds\":" fds "}\n"

static void add_fds(int from, int n)
{
    int fds[300];
    for (int i = 0; i < n; i++) {
        fds[i] = from + i;
        fd_state[from + i] = 1;
    }
    ck_assert_int_eq(rpc_peer_add_fds(&peer, fds, (size_t) n), 0);
}

static const struct api_mail_parse_params *parse_params(struct rpc_request *r)
{
    ck_assert_int_eq(r->method, RPC_MAIL_PARSE);
    return r->params;
}

START_TEST(test_fds_in)
{
    add_fds(10, 9);
    feed(PARSE("1", "1", "{\"fd\":0}") PARSE("2", "6", "{\"fd\":4}") PARSE("3", "2", "\"text\""));
    struct rpc_request *a = next_request(), *b = next_request(), *c = next_request();
    nothing_more(RPC_PEER_IDLE);
    ck_assert_int_eq(parse_params(a)->raw.kind, RPC_CONTENT_FD);
    ck_assert_int_eq(rpc_request_take_fd(a, 0), 10);
    fd_state[10] = 3;
    ck_assert_int_eq(rpc_request_take_fd(a, 0), -1);
    ck_assert_int_eq(rpc_request_take_fd(a, 1), -1);
    ck_assert_uint_eq(parse_params(b)->raw.fd, 4);
    ck_assert_int_eq(rpc_request_take_fd(b, 4), 15);
    fd_state[15] = 3;
    ck_slice_eq(parse_params(c)->raw.bytes, "text");
    rpc_request_free(a);
    rpc_request_free(b);
    rpc_request_free(c);
    /* Those that were not taken have been released. */
    ck_assert_int_eq(fd_state[11], 2);
    ck_assert_int_eq(fd_state[18], 2);
}
END_TEST

START_TEST(test_fds_refused)
{
    ERROR(PARSE("1", "0", "{\"fd\":0}"), -32602, "1", "raw.fd needs a descriptor");
    add_fds(1, 1);
    ERROR(PARSE("1", "1", "{\"fd\":1}"), -32602, "1", "raw.fd is beyond");
    ck_assert_int_eq(fd_state[1], 2);
    add_fds(2, 1);
    ERROR("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"smtp.send\",\"fds\":1,\"params\":{\"account\":\"a\",\"messages\":["
          "{\"raw\":{\"fd\":0}},{\"raw\":{\"fd\":0}}]}}",
          -32602, "1", "messages[1].raw.fd names a descriptor that another content uses");
    /* Fewer than claimed: the connection ends. */
    add_fds(3, 1);
    feed(PARSE("1", "2", "{\"fd\":0}"));
    nothing_more(RPC_PEER_CLOSE);
    check_error(output(), -32600, "1", "fewer descriptors");
}
END_TEST

START_TEST(test_fds_left_over)
{
    add_fds(1, 2);
    feed(PARSE("1", "1", "{\"fd\":0}") "{\"json");
    struct rpc_request *r = next_request();
    nothing_more(RPC_PEER_IDLE); /* the line that has begun may claim it */
    rpc_request_free(r);
    feed("rpc\":\"2.0\",\"id\":2,\"method\":\"gateway.ping\"}\n");
    r = next_request();
    rpc_answer_empty(r);
    rpc_request_free(r);
    nothing_more(RPC_PEER_CLOSE);
    ck_assert_ptr_nonnull(strstr(output(), "no request claims"));
}
END_TEST

START_TEST(test_fds_out)
{
    feed("[" STAT("1") "," STAT("2") "]\n" STAT("3") "\n");
    struct rpc_request *r[3] = {next_request(), next_request(), next_request()};
    for (int i = 2; i >= 0; i--) {
        struct json_writer *w = rpc_answer_begin(r[i]);
        fd_state[i + 1] = 1;
        json_write_int(w, rpc_answer_fd(r[i], i + 1));
        ck_assert_int_eq(rpc_answer_end(r[i], OUTCOME_DONE), 0);
        rpc_request_free(r[i]);
    }
    ck_assert_str_eq(output(), "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":0<3>,\"fds\":1}\n"
                               "[{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":0<2>,\"fds\":1},"
                               "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":0<1>,\"fds\":1}]\n");
    /* An answer that is taken back, or too long, releases them. */
    feed(STAT("4") "\n");
    r[0] = next_request();
    rpc_answer_begin(r[0]);
    fd_state[20] = 1;
    ck_assert_int_eq(rpc_answer_fd(r[0], 20), 0);
    rpc_answer_abort(r[0]);
    ck_assert_int_eq(fd_state[20], 2);
    struct json_writer *w = rpc_answer_begin(r[0]);
    json_write_array_begin(w);
    fd_state[21] = 1;
    ck_assert_int_eq(rpc_answer_fd(r[0], 21), 0);
    for (int i = 0; i < 2000; i++)
        json_write_str(w, "too long");
    json_write_array_end(w);
    ck_assert_int_eq(rpc_answer_end(r[0], OUTCOME_DONE), -EMSGSIZE);
    ck_assert_int_eq(fd_state[21], 2);
    rpc_request_free(r[0]);
    const char *answer = output();
    ck_assert_ptr_nonnull(strstr(answer, "\"limit\":\"max_response_size\""));
    ck_assert_ptr_nonnull(strstr(answer, "\"outcome\":\"done\""));
    for (int i = 0; i < 300; i++) {
        feed(STAT("5") "\n");
        r[0] = next_request();
        rpc_answer_begin(r[0]);
        for (int j = 0; j <= RPC_FDS_PER_MESSAGE; j++) {
            fd_state[100 + j] = 1;
            ck_assert_int_eq(rpc_answer_fd(r[0], 100 + j), j < RPC_FDS_PER_MESSAGE ? j : -EMFILE);
        }
        rpc_answer_abort(r[0]);
        rpc_request_free(r[0]);
        nothing_more(RPC_PEER_IDLE);
    }
}
END_TEST

/* ---- answers ------------------------------------------------------------------------------------------------ */

static ssize_t source_read(void *ctx, uint64_t offset, char *buf, size_t size)
{
    (void) size;
    *buf = ((const char *) ctx)[offset];
    return 1;
}

static void source_release(void *ctx)
{
    (void) ctx;
}

static const struct rpc_source_ops source_ops = {source_read, source_release};

START_TEST(test_sources_and_streams)
{
    char text[] = "a\nb";
    struct rpc_source source = {&source_ops, text, 3, RPC_SOURCE_TEXT};

    feed(STAT("1") "\n" PING("2") "\n");
    struct rpc_request *r = next_request(), *p = next_request();
    struct json_writer *w = rpc_stream_begin(r);
    json_write_object_begin(w);
    json_write_member_int(w, "n", 1);
    json_write_key(w, "raw");
    rpc_answer_source(r, &source);
    json_write_object_end(w);
    ck_assert_int_eq(rpc_stream_end(r), 0);
    json_write_int(rpc_stream_begin(r), 7);
    rpc_stream_abort(r);
    rpc_peer_progress(&peer, r->id, 5, -1);
    w = rpc_answer_begin(r);
    json_write_array_begin(w);
    source.form = RPC_SOURCE_BASE64;
    rpc_answer_source(r, &source);
    rpc_answer_source(r, &source);
    json_write_array_end(w);
    ck_assert_int_eq(rpc_answer_end(r, OUTCOME_DONE), 0);
    rpc_answer_empty(p);
    rpc_request_free(p);
    struct fault f;
    fault_clear(&f);
    fault_set(&f, -ETIMEDOUT, FAULT_TIMEOUT, "fetch", "late");
    rpc_peer_failed(&peer, r->id, &f, NULL);
    rpc_request_free(r);
    ck_assert_str_eq(output(),
                     "{\"jsonrpc\":\"2.0\",\"method\":\"stream\",\"params\":{\"id\":1,\"item\":{\"n\":1,\"raw\":\"a\\nb\"}}}\n"
                     "{\"jsonrpc\":\"2.0\",\"method\":\"progress\",\"params\":{\"id\":1,\"done\":5,\"total\":null}}\n"
                     "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[\"YQpi\",\"YQpi\"]}\n" PONG("2") "\n"
                     "{\"jsonrpc\":\"2.0\",\"method\":\"failed\",\"params\":{\"id\":1,\"error\":{\"code\":-32013,\"message\":"
                     "\"late\",\"data\":{\"kind\":\"timeout\",\"stage\":\"fetch\",\"retry\":\"later\",\"outcome\":\"none\"}}}}\n");
}
END_TEST

START_TEST(test_fault_members)
{
    struct fault_reply reply = {.code = 550, .enhanced = "5.1.1", .text = "no such user"};
    struct fault f;

    fault_clear(&f);
    fault_set_reply(&f, -EIO, FAULT_REJECTED, "rcpt", &reply);
    f.protocol = "smtp";
    f.retry_after_ms = 1500;
    f.outcome = OUTCOME_UNKNOWN;
    feed(STAT("1") "\n");
    struct rpc_request *r = next_request();
    struct rpc_fault_context context = {.account = SLICE("work"), .rejected = SLICE("[{\"address\":\"a@b\"}]")};
    rpc_answer_fault(r, &f, &context);
    rpc_request_free(r);
    ck_assert_str_eq(output(),
                     "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32020,\"message\":\"no such user\",\"data\":{"
                     "\"kind\":\"rejected\",\"protocol\":\"smtp\",\"account\":\"work\",\"stage\":\"rcpt\",\"reply\":{\"code\":550,"
                     "\"enhanced\":\"5.1.1\",\"text\":\"no such user\"},\"rejected\":[{\"address\":\"a@b\"}],\"retry\":\"no\","
                     "\"retry_after\":1500,\"outcome\":\"unknown\"}}}\n");
}
END_TEST

START_TEST(test_output_limit)
{
    /* Who does not read is cut off: the waiting text stays near the limit. */
    for (int i = 0; i < 100 && !rpc_peer_is_broken(&peer); i++) {
        feed(STAT("1") "\n");
        struct rpc_request *r;
        if (rpc_peer_next(&peer, &r) != RPC_PEER_REQUEST)
            break;
        struct json_writer *w = rpc_answer_begin(r);
        memset(scratch, 'x', 9000);
        json_write_string(w, slice_of(scratch, 9000));
        rpc_answer_end(r, OUTCOME_DONE);
        rpc_request_free(r);
    }
    ck_assert(rpc_peer_is_broken(&peer));
    ck_assert_uint_lt(rpc_output_memory(&peer.output), 120000);
    nothing_more(RPC_PEER_CLOSE);
}
END_TEST

START_TEST(test_refuse_partial)
{
    struct fault f;

    ck_assert_int_eq(serve("{\"jsonrpc\":"), RPC_PEER_IDLE);
    fault_clear(&f);
    fault_set(&f, -ETIMEDOUT, FAULT_INVALID_REQUEST, NULL, "the request was not finished in time");
    rpc_peer_refuse(&peer, &f);
    check_error(output(), -32600, "null", "in time");
    nothing_more(RPC_PEER_CLOSE);
}
END_TEST

static TCase *add_case(Suite *suite, const char *name)
{
    TCase *c = tcase_create(name);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    suite_add_tcase(suite, c);
    return c;
}

int main(void)
{
    Suite *suite = suite_create("rpc");
    TCase *c = add_case(suite, "envelopes");
    tcase_add_test(c, test_ping);
    tcase_add_test(c, test_split_anywhere);
    tcase_add_test(c, test_bad_envelopes);
    tcase_add_test(c, test_depth_of_requests);
    tcase_add_test(c, test_long_ids);
    tcase_add_test(c, test_too_long);
    tcase_add_test(c, test_end_of_input);
    c = add_case(suite, "calls");
    tcase_add_test(c, test_ids_in_flight);
    tcase_add_test(c, test_held_back);
    tcase_add_test(c, test_connection_goes);
    tcase_add_test(c, test_batches);
    tcase_add_test(c, test_batch_waits_for_all);
    c = add_case(suite, "descriptors");
    tcase_add_test(c, test_fds_in);
    tcase_add_test(c, test_fds_refused);
    tcase_add_test(c, test_fds_left_over);
    tcase_add_test(c, test_fds_out);
    c = add_case(suite, "answers");
    tcase_add_test(c, test_sources_and_streams);
    tcase_add_test(c, test_fault_members);
    tcase_add_test(c, test_output_limit);
    tcase_add_test(c, test_refuse_partial);
    return unit_run(suite);
}
