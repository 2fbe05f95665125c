/* SPDX-License-Identifier: MIT */
/* What posternd's socket is measured against: the least that a libevent server can do.
 *
 *     rpc_echo SOCKET raw       sends back the bytes that come
 *     rpc_echo SOCKET jansson   reads each line into jansson's values and writes an answer from such values
 *     rpc_echo SOCKET peer      the daemon's own reading and writing of JSON-RPC, without the rest of the daemon */
#include "rpc_peer.h"

#include <errno.h>
#include <event2/event.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum mode { MODE_RAW, MODE_JANSSON, MODE_PEER };

struct connection {
    int fd;
    struct event *event;
    size_t kept; /* bytes of an unfinished line (jansson) */
    char line[65536];
    struct rpc_peer peer;
};

static enum mode mode;
static struct event_base *base;
static struct rpc_server server;
static char scratch[65536];

static void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static void close_fd(void *ctx, int fd)
{
    (void) ctx;
    close(fd);
}

static void put(int fd, const char *data, size_t len)
{
    if (send(fd, data, len, MSG_NOSIGNAL) != (ssize_t) len)
        die("send");
}

static void answer_line(struct connection *c, const char *line, size_t len)
{
    json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
    json_t *id = json_object_get(request, "id");
    const char *method = json_string_value(json_object_get(request, "method"));
    if (!id || !method || strcmp(method, "gateway.ping") != 0)
        die("not a ping");
    json_t *answer = json_object();
    json_object_set_new(answer, "jsonrpc", json_string("2.0"));
    json_object_set(answer, "id", id);
    json_object_set_new(answer, "result", json_object());
    char *text = json_dumps(answer, JSON_COMPACT);
    size_t n = strlen(text);
    text[n] = '\n';
    put(c->fd, text, n + 1);
    free(text);
    json_decref(answer);
    json_decref(request);
}

static void serve_jansson(struct connection *c, size_t n)
{
    char *start = c->line, *lf;

    c->kept += n;
    while ((lf = memchr(start, '\n', c->kept))) {
        answer_line(c, start, (size_t) (lf - start));
        c->kept -= (size_t) (lf + 1 - start);
        start = lf + 1;
    }
    memmove(c->line, start, c->kept);
}

static void serve_peer(struct connection *c, size_t n)
{
    struct rpc_request *r;
    struct slice bytes;
    const int *fds;
    size_t n_fds;

    rpc_peer_feed(&c->peer, scratch, n);
    while (rpc_peer_next(&c->peer, &r) == RPC_PEER_REQUEST) {
        rpc_answer_empty(r);
        rpc_request_free(r);
    }
    while (rpc_output_peek(&c->peer.output, &bytes, &fds, &n_fds) == 1) {
        put(c->fd, bytes.data, bytes.len);
        rpc_output_sent(&c->peer.output, bytes.len);
    }
    rpc_output_trim(&c->peer.output);
}

static void ready(evutil_socket_t fd, short what, void *arg)
{
    struct connection *c = arg;
    char *to = mode == MODE_JANSSON ? c->line + c->kept : scratch;
    size_t room = mode == MODE_JANSSON ? sizeof(c->line) - c->kept : sizeof(scratch);
    ssize_t n = recv(fd, to, room, MSG_DONTWAIT);

    (void) what;
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        event_free(c->event);
        close(c->fd);
        if (mode == MODE_PEER)
            rpc_peer_done(&c->peer);
        free(c);
        return;
    }
    switch (mode) {
    case MODE_RAW:
        put(c->fd, scratch, (size_t) n);
        break;
    case MODE_JANSSON:
        serve_jansson(c, (size_t) n);
        break;
    case MODE_PEER:
        serve_peer(c, (size_t) n);
        break;
    }
}

static void accept_one(evutil_socket_t listener, short what, void *arg)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    struct connection *c = fd < 0 ? NULL : calloc(1, sizeof(*c));

    (void) what, (void) arg;
    if (!c)
        die("accept");
    c->fd = fd;
    if (mode == MODE_PEER)
        rpc_peer_init(&c->peer, &server);
    c->event = event_new(base, fd, EV_READ | EV_PERSIST, ready, c);
    if (!c->event || event_add(c->event, NULL) < 0)
        die("event");
}

int main(int argc, char **argv)
{
    static const struct rpc_limits limits = {.max_request_size = 1 << 24,
                                             .max_response_size = 1 << 26,
                                             .max_output = 1 << 24,
                                             .max_calls = 256,
                                             .max_batch = 100,
                                             .max_params = 1 << 20};
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    if (argc != 3 || strlen(argv[1]) >= sizeof(addr.sun_path))
        return 2;
    mode = strcmp(argv[2], "raw") == 0 ? MODE_RAW : strcmp(argv[2], "jansson") == 0 ? MODE_JANSSON : MODE_PEER;
    memcpy(addr.sun_path, argv[1], strlen(argv[1]));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *) &addr, sizeof(addr)) < 0 || listen(fd, 512) < 0)
        die(argv[1]);
    rpc_server_init(&server, &limits, close_fd, NULL);
    base = event_base_new();
    struct event *event = base ? event_new(base, fd, EV_READ | EV_PERSIST, accept_one, NULL) : NULL;
    if (!event || event_add(event, NULL) < 0)
        die("event");
    event_base_dispatch(base);
    return 0;
}
