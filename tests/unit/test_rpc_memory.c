/* SPDX-License-Identifier: MIT */
/* Every allocation of a connection's life fails once: nothing crashes, hangs, leaks, or loses a descriptor, and what is
 * sent stays JSON. */
#include "failing_alloc.h"
#include "json_reader.h"
#include "rpc_peer.h"
#include "unit.h"

#include <jansson.h>

/* check allocates when it asserts: where allocations fail, this stands in. */
static void require(bool ok)
{
    if (!ok)
        abort();
}

#define FDS 64
static int fd_state[FDS], next_fd;

static void release_fd(void *ctx, int fd)
{
    (void) ctx;
    require(fd_state[fd] == 1);
    fd_state[fd] = 2;
}

static ssize_t source_read(void *ctx, uint64_t offset, char *buf, size_t size)
{
    (void) ctx, (void) offset;
    memset(buf, 'x', size);
    return (ssize_t) size;
}

static int sources;

static void source_release(void *ctx)
{
    (void) ctx;
    sources--;
}

static const struct rpc_source_ops source_ops = {source_read, source_release};

static void answer(struct rpc_request *r)
{
    struct rpc_source source = {&source_ops, NULL, 1000, RPC_SOURCE_BASE64};
    struct json_writer *w;

    if (!(r->row->flags & RPC_AT_ONCE)) {
        w = rpc_stream_begin(r);
        json_write_str(w, "item");
        (void) !rpc_stream_end(r);
        w = rpc_answer_begin(r);
        json_write_array_begin(w);
        sources++;
        rpc_answer_source(r, &source);
        int fd = next_fd++;
        fd_state[fd] = 1;
        if (rpc_answer_fd(r, fd) >= 0)
            json_write_str(w, "descriptor");
        json_write_array_end(w);
        rpc_answer_end(r, OUTCOME_NONE);
        require(r->answered);
    } else {
        rpc_answer_empty(r);
    }
    rpc_request_free(r);
}

/* Whole lines must be JSON; the last one may be cut off where the connection broke. */
static void check_sent(struct slice s)
{
    alloc_failing = false;
    while (s.len) {
        size_t n = slice_find(s, '\n');
        if (n == s.len)
            return;
        json_t *value = json_loadb(s.data, n, 0, NULL);
        ck_assert_msg(value != NULL, "%.*s", (int) n, s.data);
        json_decref(value);
        s = slice_from(s, n + 1);
    }
}

static bool drain(struct rpc_peer *p, char *to, size_t *len, size_t max)
{
    struct slice bytes;
    const int *fds;
    size_t n;
    int r;

    while ((r = rpc_output_peek(&p->output, &bytes, &fds, &n)) == 1) {
        require(*len + bytes.len <= max);
        memcpy(to + *len, bytes.data, bytes.len);
        *len += bytes.len;
        rpc_output_sent(&p->output, bytes.len);
    }
    return r == 0;
}

#define KEYS20                                                                                                         \
    "\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":1,\"k\":1,\"l\":1,\"m\":1,\"n\":1,\"o\":1," \
    "\"p\":1,\"q\":1,\"r\":1,\"s\":1,\"t\\u0061\":1,\"u\":1,\"v\":1,\"w\":1,\"x\":1,\"y\":1,\"z\":1,\"A\":1,\"B\":1,\"C\":1,"   \
    "\"D\":1,\"E\":1,\"F\":1,\"G\":1"

static const char *const lines[] = {
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"meth",
    "od\":\"gateway.ping\"}\n",
    "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"smtp.send\",\"fds\":6,\"params\":{\"account\":\"a\",\"message\":{\"to\":[\"a@b\","
    "{\"name\":\"N\",\"address\":\"c@d\"}],\"headers\":{\"X-A\":[\"1\"]},\"attachments\":[{\"content\":{\"fd\":5}}]}}}\n",
    "[{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"pop3.retr\",\"params\":{\"account\":\"a\",\"ids\":[\"1\",\"2\",\"3\",\"4\",\"5\"]}},"
    "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"gateway.ping\"},7,{\"jsonrpc\":\"2.0\",\"method\":\"gateway.ping\"}]\n",
    "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"nope\",\"params\":{" KEYS20 "}}\n{\"jsonrpc\":\"2.0\",\"id\":6,\"metho",
};

/* One life of a connection; true: it met no failure. */
static bool live(long fail_at)
{
    static const struct rpc_limits limits = {.max_request_size = 100000,
                                             .max_response_size = 10000,
                                             .max_output = 100000,
                                             .max_calls = 8,
                                             .max_batch = 10,
                                             .max_params = 100000};
    static char sent[100000], scratch[2000];
    struct rpc_server server;
    struct rpc_peer peer;
    struct rpc_request *r;
    enum rpc_peer_event event = RPC_PEER_IDLE;
    size_t len = 0;
    int fds[6];

    memset(fd_state, 0, sizeof(fd_state));
    next_fd = 10;
    rpc_server_init(&server, &limits, release_fd, NULL);
    rpc_peer_init(&peer, &server);
    alloc_fail_at(fail_at);
    for (size_t i = 0; i < ARRAY_LEN(lines) && event == RPC_PEER_IDLE; i++) {
        if (i == 2) {
            for (int j = 0; j < 6; j++)
                fd_state[fds[j] = j + 1] = 1;
            if (rpc_peer_add_fds(&peer, fds, 6) < 0)
                break;
        }
        memcpy(scratch, lines[i], strlen(lines[i]));
        rpc_peer_feed(&peer, scratch, strlen(lines[i]));
        while ((event = rpc_peer_next(&peer, &r)) == RPC_PEER_REQUEST) {
            answer(r);
            if (!drain(&peer, sent, &len, sizeof(sent)))
                event = RPC_PEER_CLOSE;
        }
    }
    bool met = fail_at > 0 && alloc_countdown == 0;
    if (!peer.broken)
        (void) !drain(&peer, sent, &len, sizeof(sent));
    check_sent(slice_of(sent, len));
    rpc_peer_done(&peer);
    rpc_server_done(&server);
    for (int i = 0; i < FDS; i++)
        ck_assert_int_ne(fd_state[i], 1);
    ck_assert_int_eq(sources, 0);
    return !met;
}

START_TEST(test_every_allocation)
{
    long n = 1;

    ck_assert(live(0));
    while (!live(n))
        n++;
    /* There must have been allocations to fail. */
    ck_assert_int_gt(n, 30);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rpc_memory");
    TCase *c = tcase_create("memory");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, test_every_allocation);
    suite_add_tcase(suite, c);
    return unit_run(suite);
}
