/* SPDX-License-Identifier: MIT */
/* A session that was handed over: bytes between the server's connection (through TLS and proxies as it stands) and a
 * local socket, unseen. One bounded buffer a direction; a side is read only when its buffer is empty, so that a slow
 * reader holds back its own writer and nobody else. */
#include "session_private.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define RELAY_PIECE 32768
#define RELAY_TURN (8 * RELAY_PIECE) /* bytes moved before others have their turn */

struct session_relay {
    int fd;
    struct loop_io io;
    struct buffer ahead;        /* of the server, from before; goes first */
    struct slice to_client;     /* in `in`, or `ahead` */
    struct slice to_server;     /* in `out` */
    bool client_ended, server_ended;
    char in[RELAY_PIECE], out[RELAY_PIECE];
};

static void client_ready(void *arg, unsigned what)
{
    struct session *s = arg;
    (void) what;
    session_wake(s);
}

int session_relay(struct session *s, int fd, struct slice ahead, struct fault *fault)
{
    if (s->view.state != SESSION_READY || !s->engine->ops->idle(s->engine))
        return fault_set(fault, -EBUSY, FAULT_UNAVAILABLE, NULL, "the connection is not at rest");
    struct session_relay *r = malloc(sizeof(*r));
    if (!r)
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
    *r = (struct session_relay){.fd = fd};
    buffer_init(&r->ahead, ahead.len + 1);
    if (buffer_append_slice(&r->ahead, ahead) < 0 || loop_io_init(&r->io, s->net->loop, fd, client_ready, s) < 0) {
        buffer_done(&r->ahead);
        free(r);
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
    }
    r->to_client = buffer_slice(&r->ahead);
    s->relay = r;
    session_set_state(s, SESSION_RELAY);
    session_wake(s);
    return 0;
}

void session_relay_free(struct session *s)
{
    struct session_relay *r = s->relay;

    if (!r)
        return;
    s->relay = NULL;
    loop_io_done(&r->io);
    close(r->fd);
    buffer_done(&r->ahead);
    explicit_bzero(r->in, sizeof(r->in));
    explicit_bzero(r->out, sizeof(r->out));
    free(r);
}

bool session_relay_has_output(const struct session *s)
{
    return s->relay->to_server.len > 0;
}

bool session_relay_wants_input(const struct session *s)
{
    return s->relay->to_client.len == 0 && !s->relay->server_ended;
}

uint64_t session_relay_due_ms(const struct session *s)
{
    bool half = s->relay->client_ended || s->relay->server_ended;
    return half && s->endpoint->timeout_ms ? s->progress_ms + s->endpoint->timeout_ms : 0;
}

/* --- one piece in one direction: how much; 0: nothing now --- */

static ssize_t from_server(struct session *s, struct session_relay *r, struct fault *fault)
{
    if (r->to_client.len || r->server_ended)
        return 0;
    ssize_t n = session_io_read(s, r->in, sizeof(r->in), fault);
    if (n == -EAGAIN)
        return 0;
    r->server_ended = n == 0;
    if (n > 0)
        r->to_client = slice_of(r->in, (size_t) n);
    return n;
}

static ssize_t from_client(struct session_relay *r)
{
    ssize_t n;

    if (r->to_server.len || r->client_ended)
        return 0;
    do
        n = recv(r->fd, r->out, sizeof(r->out), 0);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    r->client_ended = n <= 0;
    if (n > 0)
        r->to_server = slice_of(r->out, (size_t) n);
    return MAX(n, 0);
}

/* -EPIPE: nobody reads there any more. */
static ssize_t into_client(struct session *s, struct session_relay *r)
{
    ssize_t n;

    if (r->to_client.len == 0)
        return 0;
    do
        n = send(r->fd, r->to_client.data, r->to_client.len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -EPIPE;
    r->to_client = slice_from(r->to_client, (size_t) n);
    s->progress_ms = loop_now_ms(s->net->loop);
    return n;
}

static ssize_t into_server(struct session *s, struct session_relay *r, struct fault *fault)
{
    ssize_t n = session_io_write(s, r->to_server, fault);
    if (n > 0)
        r->to_server = slice_from(r->to_server, (size_t) n);
    return n;
}

/* Whether the client's end is closed for both directions: then what the server says is nobody's. */
static bool client_is_gone(const struct session_relay *r)
{
    struct pollfd p = {.fd = r->fd};
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR));
}

int session_step_relay(struct session *s, struct fault *fault)
{
    struct session_relay *r = s->relay;
    size_t moved = 0;
    ssize_t n;

    do {
        ssize_t sum = 0;
        if ((n = from_client(r)) > 0)
            sum += n;
        if ((n = into_server(s, r, fault)) < 0)
            return (int) n;
        sum += n;
        if ((n = from_server(s, r, fault)) < 0)
            return (int) n;
        sum += n;
        if ((n = into_client(s, r)) < 0) {
            session_abort(s, NULL);
            return 0;
        }
        sum += n;
        if (sum == 0)
            break;
        moved += (size_t) sum;
    } while (moved < RELAY_TURN);
    if ((r->server_ended && r->to_client.len == 0) || (r->client_ended && r->to_server.len == 0 && client_is_gone(r))) {
        session_abort(s, NULL);
        return 0;
    }
    if (moved >= RELAY_TURN)
        session_wake(s);
    if (loop_io_want(&r->io, (r->to_server.len == 0 && !r->client_ended ? LOOP_READ : 0) |
                                 (r->to_client.len ? LOOP_WRITE : 0)) < 0)
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, "socket", "out of memory");
    return 0;
}
