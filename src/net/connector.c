/* SPDX-License-Identifier: MIT */
#include "connector.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#define ATTEMPT_DELAY_MS 250 /* RFC 8305 section 5 */

struct attempt {
    struct connector *connector;
    struct loop_io io;
    struct address address;
    int fd; /* -1: not begun, or over */
};

struct connector {
    struct loop *loop;
    struct loop_timer timer;
    struct loop_task step;
    struct address local;
    struct connector_options options;
    connector_done *done;
    void *arg;
    struct fault fault; /* of the first attempt that failed */
    size_t n, begun, failed;
    struct attempt attempts[];
};

void socket_quickack(int fd)
{
    (void) setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &(int){1}, sizeof(int));
}

static void set_options(int fd, const struct connector_options *o)
{
    unsigned user_timeout = (unsigned) MIN(o->user_timeout_ms, (uint64_t) INT32_MAX);
    /* All best effort: a socket without them works, only slower or with less certainty about dead peers. */
    (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (user_timeout)
        (void) setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, sizeof(user_timeout));
    if (o->keepalive) {
        (void) setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
        (void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){120}, sizeof(int));
        (void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &(int){30}, sizeof(int));
        (void) setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &(int){4}, sizeof(int));
    }
}

static void attempt_end(struct attempt *a)
{
    loop_io_done(&a->io);
    if (a->fd >= 0)
        close(a->fd);
    a->fd = -1;
}

static void attempt_failed(struct attempt *a, int err)
{
    struct connector *c = a->connector;
    char peer[64];
    address_format(&a->address, peer, sizeof(peer));
    fault_set(&c->fault, -err, FAULT_CONNECT, "connect", "%s: %s", peer, strerror(err));
    attempt_end(a);
    c->failed++;
    loop_task_schedule(&c->step);
}

static void attempt_won(struct attempt *a)
{
    struct connector *c = a->connector;
    struct address peer = a->address;
    int fd = a->fd;
    loop_io_done(&a->io);
    a->fd = -1;
    set_options(fd, &c->options);
    socket_quickack(fd);
    for (size_t i = 0; i < c->begun; i++)
        attempt_end(&c->attempts[i]);
    loop_timer_clear(&c->timer);
    loop_task_cancel(&c->step);
    c->done(c->arg, fd, &peer, NULL);
}

static void attempt_ready(void *arg, unsigned what)
{
    struct attempt *a = arg;
    int err = 0;
    socklen_t len = sizeof(err);
    (void) what;
    if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
        err = errno;
    if (err)
        attempt_failed(a, err);
    else
        attempt_won(a);
}

static void attempt_begin(struct attempt *a)
{
    const struct connector *c = a->connector;
    int family = a->address.sa.sa_family;

    a->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (a->fd < 0) {
        attempt_failed(a, errno);
        return;
    }
    /* The port is chosen at connect(), so that many connections from one address do not exhaust it. */
    (void) setsockopt(a->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
    if (c->local.len && c->local.sa.sa_family != family) {
        attempt_failed(a, EAFNOSUPPORT);
        return;
    }
    if (c->local.len && bind(a->fd, &c->local.sa, c->local.len) < 0) {
        attempt_failed(a, errno);
        return;
    }
    if (connect(a->fd, &a->address.sa, a->address.len) < 0 && errno != EINPROGRESS) {
        attempt_failed(a, errno);
        return;
    }
    /* A connection that stands already is told by the first dispatch: done() never comes from inside a call. */
    if (loop_io_init(&a->io, c->loop, a->fd, attempt_ready, a) < 0 || loop_io_want(&a->io, LOOP_WRITE) < 0)
        attempt_failed(a, ENOMEM);
}

/* Begins the next attempt when the one before has failed or had its time; reports when none is left. */
static void connector_step(void *arg)
{
    struct connector *c = arg;
    if (c->failed == c->n) {
        loop_timer_clear(&c->timer);
        c->done(c->arg, -1, NULL, &c->fault);
        return;
    }
    if (c->begun == c->n)
        return;
    struct attempt *a = &c->attempts[c->begun++];
    if (c->begun < c->n) {
        loop_timer_clear(&c->timer);
        loop_timer_set(&c->timer, ATTEMPT_DELAY_MS);
    }
    attempt_begin(a);
}

/* RFC 8305 section 4: families alternate, beginning with that of the first address; within one the order stays. */
static void order_addresses(struct connector *c, const struct address_list *list)
{
    bool taken[ADDRESS_MAX] = {false};
    sa_family_t turn = list->items[0].sa.sa_family;

    for (size_t n = 0; n < list->n; n++) {
        size_t pick = list->n;
        for (size_t i = 0; i < list->n; i++) {
            if (taken[i])
                continue;
            bool matches = list->items[i].sa.sa_family == turn;
            if (matches || pick == list->n)
                pick = i;
            if (matches)
                break;
        }
        taken[pick] = true;
        struct attempt *a = &c->attempts[c->n++];
        a->connector = c;
        a->fd = -1;
        a->address = list->items[pick];
        address_set_port(&a->address, c->options.port);
        turn = a->address.sa.sa_family == AF_INET ? AF_INET6 : AF_INET;
    }
}

struct connector *connector_new(struct loop *l, const struct address_list *list, const struct connector_options *options,
                                connector_done *done, void *arg)
{
    struct connector *c = calloc(1, sizeof(*c) + list->n * sizeof(struct attempt));
    if (!c)
        return NULL;
    c->loop = l;
    c->options = *options;
    c->done = done;
    c->arg = arg;
    loop_task_init(&c->step, l, connector_step, c);
    if (loop_timer_init(&c->timer, l, connector_step, c) < 0) {
        free(c);
        return NULL;
    }
    if (options->local_address && !address_from_literal(options->local_address, &c->local))
        fault_set(&c->fault, -EINVAL, FAULT_CONNECT, "connect", "local_address %s: not an address",
                  options->local_address);
    else
        order_addresses(c, list);
    loop_task_schedule(&c->step);
    return c;
}

void connector_free(struct connector *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->begun; i++)
        attempt_end(&c->attempts[i]);
    loop_timer_done(&c->timer);
    loop_task_cancel(&c->step);
    free(c);
}
