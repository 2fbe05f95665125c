/* SPDX-License-Identifier: MIT */
/* A whole connection: the first bytes say how the rest is cut and which descriptors come with it. However it is cut,
 * the same requests come out and every answer is JSON; no descriptor is lost or released twice. */
#include "fuzz.h"
#include "rpc_peer.h"

#include <stdlib.h>

#define FDS 4096
static unsigned char fd_state[FDS];

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void release_fd(void *ctx, int fd)
{
    (void) ctx;
    check(fd_state[fd] == 1);
    fd_state[fd] = 2;
}

/* Answers one request in a way that depends on it. */
static void answer(struct rpc_request *r, unsigned turn)
{
    struct fault f;

    if (turn % 3 == 0) {
        rpc_answer_empty(r);
    } else if (turn % 3 == 1) {
        fault_clear(&f);
        fault_set(&f, -1, FAULT_BUSY, "connect", "no connection");
        rpc_answer_fault(r, &f, NULL);
    }
    /* Else it goes without an answer, as when a client has left. */
    rpc_request_free(r);
}

/* Returns the number of requests; what was sent goes to `sent`. */
static unsigned serve(const uint8_t *data, size_t size, size_t step, unsigned n_fds, struct buffer *sent)
{
    static const struct rpc_limits limits = {.max_request_size = 2000,
                                             .max_response_size = 10000,
                                             .max_output = 1000000,
                                             .max_calls = 3,
                                             .max_batch = 5,
                                             .max_params = 10000};
    struct rpc_server server;
    struct rpc_peer peer;
    struct rpc_request *r, *held[4];
    struct slice bytes;
    const int *fds;
    size_t n_held = 0, n, next_fd = 0;
    unsigned turn = 0;
    char *scratch = malloc(step);
    enum rpc_peer_event event = RPC_PEER_IDLE;

    check(scratch);
    memset(fd_state, 0, sizeof(fd_state));
    rpc_server_init(&server, &limits, release_fd, NULL);
    rpc_peer_init(&peer, &server);
    for (size_t at = 0; at < size && event != RPC_PEER_CLOSE; at += step) {
        n = MIN(step, size - at);
        memcpy(scratch, data + at, n);
        for (unsigned i = 0; i < n_fds && next_fd < FDS && at == 0; i++) {
            int fd = (int) next_fd++;
            fd_state[fd] = 1;
            if (rpc_peer_add_fds(&peer, &fd, 1) < 0)
                event = RPC_PEER_CLOSE;
        }
        rpc_peer_feed(&peer, scratch, n);
        while ((event = rpc_peer_next(&peer, &r)) == RPC_PEER_REQUEST || event == RPC_PEER_FULL) {
            if (event == RPC_PEER_REQUEST) {
                check(n_held < ARRAY_LEN(held));
                if (r->row->flags & RPC_AT_ONCE)
                    answer(r, turn++);
                else
                    held[n_held++] = r;
            } else {
                memset(scratch, '#', step);
                while (n_held)
                    answer(held[--n_held], turn++);
            }
        }
    }
    while (n_held)
        answer(held[--n_held], turn++);
    while (rpc_output_peek(&peer.output, &bytes, &fds, &n) == 1) {
        check(n == 0 && buffer_append_slice(sent, bytes) == 0);
        rpc_output_sent(&peer.output, bytes.len);
    }
    rpc_peer_done(&peer);
    rpc_server_done(&server);
    for (size_t i = 0; i < next_fd; i++)
        check(fd_state[i] == 2);
    free(scratch);
    return turn;
}

static void check_lines(struct slice s)
{
    struct json_keyset keys;
    struct json_reader r;

    json_keyset_init(&keys);
    while (s.len) {
        size_t n = slice_find(s, '\n');
        check(n < s.len);
        json_reader_init(&r, (char *) (uintptr_t) s.data, n, &keys);
        check(json_read_skip(&r, NULL) == 0 && json_read_end(&r) == 0);
        s = slice_from(s, n + 1);
    }
    json_keyset_done(&keys);
}

int fuzz_one(const uint8_t *data, size_t size)
{
    struct buffer one, two;

    if (size < 2)
        return 0;
    buffer_init(&one, 16000000);
    buffer_init(&two, 16000000);
    unsigned n = serve(data + 2, size - 2, size, data[1] % 32, &one);
    unsigned m = serve(data + 2, size - 2, data[0] % 64 + 1u, data[1] % 32, &two);
    /* Descriptors that nobody claims end the connection where no line waits: that depends on the cuts. */
    check(n == m || data[1] % 32);
    check_lines(buffer_slice(&one));
    check_lines(buffer_slice(&two));
    buffer_done(&one);
    buffer_done(&two);
    return 0;
}
