/* SPDX-License-Identifier: MIT */
#include "client.h"

#include "event.h"
#include "foreign_fd.h"
#include "log.h"
#include "must.h"
#include "op_core.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* One read of one client; then the others have their turn. */
#define READ_SIZE 65536
/* Bytes written to one client in one turn. */
#define WRITE_TURN (1024 * 1024)
/* How often it is asked whether a client is still there from which nothing is read now. */
#define UNREAD_LOOK_MS 500

/* Shared by all clients: it holds bytes only between recvmsg and the end of the same handler. */
static char read_buffer[READ_SIZE];

static void client_free(void *object)
{
    struct client *c = object;
    rpc_peer_done(&c->rpc);
    mailbox_memory_free(c->mailboxes);
    client_load_unref(c->load);
    user_unref(c->user);
    free(c->ended);
    free(c->groups);
    free(c);
}

void client_close(struct client *c, const char *why)
{
    if (c->state == CLIENT_GONE)
        return;
    c->state = CLIENT_GONE;
    log_debug("client gone", LOG_INT("client", c->number), LOG_STR("why", why));
    list_remove(&c->link);
    c->gateway->n_clients--;
    c->user->clients--;
    loop_io_done(&c->io);
    loop_task_cancel(&c->flush_task);
    loop_timer_done(&c->partial_timer);
    loop_timer_done(&c->stall_timer);
    close(c->fd);
    ops_client_gone(c);
    events_client_gone(c);
    loop_defer_free(c->gateway->loop, client_free, c);
}

struct client_load *client_load_ref(struct client_load *l)
{
    l->refs++;
    return l;
}

void client_load_unref(struct client_load *l)
{
    if (l && --l->refs == 0)
        free(l);
}

/* Bytes of answers that wait in memory. What waits in spools has its own budget. */
static size_t waiting(const struct client *c)
{
    return rpc_output_memory(&c->rpc.output) + c->load->bytes;
}

bool client_is_slow(const struct client *c)
{
    return waiting(c) > CLIENT_OUTPUT_HIGH;
}

/* --- what to wait for --- */

static bool may_read(const struct client *c)
{
    return c->state == CLIENT_OPEN && !c->full && !c->held;
}

static void client_update(struct client *c)
{
    bool waits = !rpc_output_is_empty(&c->rpc.output);
    if (c->state == CLIENT_GONE)
        return;
    if (c->state == CLIENT_NO_INPUT && !waits && list_is_empty(&c->ops) && rpc_peer_is_quiet(&c->rpc)) {
        client_close(c, "all answered");
        return;
    }
    if (loop_io_want(&c->io, (may_read(c) ? LOOP_READ : 0U) | (waits ? LOOP_WRITE : 0U)) < 0) {
        client_close(c, "out of memory");
        return;
    }
    if (waits) {
        if (!c->stall_timer.due_ms)
            loop_timer_set(&c->stall_timer, gateway_config(c->gateway)->client_stall_ms);
    } else if (!may_read(c)) {
        if (!c->stall_timer.due_ms)
            loop_timer_set(&c->stall_timer, UNREAD_LOOK_MS);
    } else {
        loop_timer_clear(&c->stall_timer);
    }
    if (may_read(c) && rpc_peer_is_partial(&c->rpc)) {
        /* Each line has that time: one that streams requests may be in the middle of one whenever it is looked at. */
        if (!c->partial_timer.due_ms || c->partial_line != rpc_peer_lines(&c->rpc))
            loop_timer_set(&c->partial_timer, gateway_config(c->gateway)->partial_request_timeout_ms);
        c->partial_line = rpc_peer_lines(&c->rpc);
    } else {
        loop_timer_clear(&c->partial_timer);
    }
}

/* --- writing --- */

/* 1: all is out; 0: the socket is full, or the turn is over; <0: the connection is lost. */
static int write_some(struct client *c)
{
    for (size_t turn = 0; turn < WRITE_TURN;) {
        struct slice bytes;
        const int *fds;
        size_t n_fds;
        union {
            struct cmsghdr align;
            char space[CMSG_SPACE(sizeof(int) * RPC_FDS_PER_MESSAGE)];
        } control;
        int r = rpc_output_peek(&c->rpc.output, &bytes, &fds, &n_fds);
        if (r <= 0)
            return r < 0 ? r : 1;
        struct iovec iov = {(char *) bytes.data, bytes.len};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
        if (n_fds > 0) {
            msg.msg_control = control.space;
            msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
            memset(control.space, 0, msg.msg_controllen); /* padding too */
            struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
            cmsg->cmsg_level = SOL_SOCKET;
            cmsg->cmsg_type = SCM_RIGHTS;
            cmsg->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
            memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * n_fds);
        }
        /* Most answers have no descriptors, and send() costs the kernel less. */
        ssize_t n = n_fds > 0 ? sendmsg(c->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL)
                              : send(c->fd, bytes.data, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == ENOBUFS ? 0 : -errno;
        rpc_output_sent(&c->rpc.output, (size_t) n);
        turn += (size_t) n;
        if (c->stall_timer.due_ms)
            loop_timer_set(&c->stall_timer, gateway_config(c->gateway)->client_stall_ms);
        if ((size_t) n < bytes.len)
            return 0;
    }
    return 0;
}

static void read_kept(struct client *c);

static void client_flush(struct client *c)
{
    if (c->state == CLIENT_GONE)
        return;
    if (rpc_peer_is_broken(&c->rpc)) {
        client_close(c, "output limit");
        return;
    }
    int r = rpc_output_is_empty(&c->rpc.output) ? 1 : write_some(c);
    if (r < 0) {
        client_close(c, log_errno_text(r));
        return;
    }
    if (r == 1)
        rpc_output_trim(&c->rpc.output);
    size_t waits = waiting(c);
    if (waits > CLIENT_OUTPUT_HIGH) {
        c->held = true;
    } else if (c->held && waits <= CLIENT_OUTPUT_LOW) {
        c->held = false;
        ops_client_drained(c);
        events_client_drained(c);
        read_kept(c);
    }
    client_update(c);
}

static void flush_task(void *arg)
{
    client_flush(arg);
}

void client_flush_later(struct client *c)
{
    if (c->state != CLIENT_GONE && !c->reading)
        loop_task_schedule(&c->flush_task);
}

/* --- reading --- */

/* Hands out what has been fed, as long as it may go on. */
static void run_requests(struct client *c)
{
    struct rpc_request *request;
    while (c->state != CLIENT_GONE) {
        if (client_is_slow(c)) {
            c->held = true;
            if (rpc_peer_keep(&c->rpc) < 0)
                client_close(c, "out of memory");
            return;
        }
        switch (rpc_peer_next(&c->rpc, &request)) {
        case RPC_PEER_REQUEST:
            op_start(c, request);
            continue;
        case RPC_PEER_FULL:
            c->full = true;
            return;
        case RPC_PEER_CLOSE:
            if (c->state == CLIENT_OPEN)
                c->state = CLIENT_NO_INPUT;
            return;
        case RPC_PEER_IDLE:
            c->full = false;
            return;
        }
    }
}

/* What had been read before a pause. */
static void read_kept(struct client *c)
{
    if (c->state == CLIENT_GONE || c->reading)
        return;
    c->reading = true;
    run_requests(c);
    c->reading = false;
}

void client_call_ended(struct client *c)
{
    if (c->state == CLIENT_GONE || c->reading)
        return;
    loop_task_schedule(&c->flush_task);
    if (c->full && !c->held) {
        c->full = false;
        read_kept(c);
    }
}

/* Every descriptor of the message, registered with its user; false: the connection cannot go on. */
static bool take_fds(struct client *c, struct msghdr *msg)
{
    bool ok = !(msg->msg_flags & MSG_CTRUNC);
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
            continue;
        int fds[RPC_FDS_PER_MESSAGE];
        size_t n = MIN((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int), ARRAY_LEN(fds));
        memcpy(fds, CMSG_DATA(cmsg), n * sizeof(int));
        int r = foreign_adopt(c->gateway->foreign, c->user, fds, n);
        if (r == -ENOMEM)
            return false;
        if (rpc_peer_add_fds(&c->rpc, fds, n) < 0 || r < 0)
            ok = false;
    }
    return ok;
}

static void end_of_input(struct client *c)
{
    c->state = CLIENT_NO_INPUT;
    rpc_peer_end_of_input(&c->rpc);
    run_requests(c);
    struct pollfd p = {.fd = c->fd};
    if (c->state != CLIENT_GONE && poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR))
        client_close(c, "closed by the client");
}

static void client_read(struct client *c)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int) * RPC_FDS_PER_MESSAGE)];
    } control;
    struct iovec iov = {read_buffer, sizeof(read_buffer)};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof(control.space)};

    ssize_t n = recvmsg(c->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            client_close(c, log_errno_text(errno));
        return;
    }
    if (msg.msg_controllen > 0 && !take_fds(c, &msg)) {
        client_close(c, "too many descriptors");
        return;
    }
    if (n == 0) {
        end_of_input(c);
        return;
    }
    rpc_peer_feed(&c->rpc, read_buffer, (size_t) n);
    run_requests(c);
}

static void client_ready(void *arg, unsigned what)
{
    struct client *c = arg;
    if (what & LOOP_READ && may_read(c)) {
        c->reading = true;
        client_read(c);
        c->reading = false;
    }
    client_flush(c);
}

void client_end_input(struct client *c)
{
    if (c->state == CLIENT_OPEN)
        c->state = CLIENT_NO_INPUT;
    client_flush_later(c);
}

/* --- limits of time --- */

static void partial_over(void *arg)
{
    struct client *c = arg;
    struct fault fault = {.limit = "partial_request_timeout"};
    fault_set(&fault, -ETIMEDOUT, FAULT_LIMIT, NULL, "the line was not finished within partial_request_timeout");
    rpc_peer_refuse(&c->rpc, &fault);
    if (c->state == CLIENT_OPEN)
        c->state = CLIENT_NO_INPUT;
    client_flush(c);
}

static void stall_over(void *arg)
{
    struct client *c = arg;
    struct pollfd p = {.fd = c->fd};
    if (poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR)) {
        client_close(c, "closed by the client");
        return;
    }
    if (!rpc_output_is_empty(&c->rpc.output) && !list_is_empty(&c->ops)) {
        struct fault fault = {.limit = "client_stall"};
        fault_set(&fault, -ETIMEDOUT, FAULT_LIMIT, NULL, "the client took no answer for client_stall");
        ops_client_fail(c, &fault);
    }
    client_flush(c);
}

/* --- begin --- */

static int peer_groups(int fd, gid_t **ret, size_t *ret_n)
{
    socklen_t len = 0;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0)
        return 0;
    if (errno != ERANGE)
        return errno == ENODATA ? 0 : -errno;
    gid_t *groups = malloc(len ? len : 1);
    if (!groups)
        return -ENOMEM;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0) {
        int err = errno;
        free(groups);
        return -err;
    }
    *ret = groups;
    *ret_n = len / sizeof(gid_t);
    return 0;
}

static int identify(struct client *c)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);
    if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return -errno;
    c->peer.uid = cred.uid;
    c->peer.gid = cred.gid;
    c->peer.pid = cred.pid;
    int r = peer_groups(c->fd, &c->groups, &c->peer.n_groups);
    c->peer.groups = c->groups;
    return r;
}

/* Tells a client in one line why it is not wanted, as far as its socket takes it, and forgets it. */
static void turn_away(struct client *c, const char *limit)
{
    struct fault fault = {.limit = limit};
    struct slice bytes;
    const int *fds;
    size_t n_fds;
    fault_set(&fault, -EBUSY, FAULT_LIMIT, NULL, "too many connections (%s)", limit);
    rpc_peer_refuse(&c->rpc, &fault);
    if (rpc_output_peek(&c->rpc.output, &bytes, &fds, &n_fds) > 0)
        (void) !send(c->fd, bytes.data, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    log_warning("client turned away", LOG_INT("uid", c->peer.uid), LOG_STR("limit", limit));
}

static const char *over_limit(const struct client *c)
{
    const struct daemon_config *config = gateway_config(c->gateway);
    if (c->gateway->n_clients >= config->max_clients)
        return "max_clients";
    if (c->user->clients >= config->max_clients_per_user)
        return "max_clients_per_user";
    return NULL;
}

struct client *client_new(struct gateway *g, int fd)
{
    struct client *c = calloc(1, sizeof(*c));
    if (!c) {
        close(fd);
        return NULL;
    }
    c->gateway = g;
    c->fd = fd;
    list_init(&c->link);
    list_init(&c->ops);
    list_init(&c->sessions);
    list_init(&c->subscriptions);
    loop_task_init(&c->flush_task, g->loop, flush_task, c);
    c->load = must_calloc(1, sizeof(*c->load));
    c->load->refs = 1;
    rpc_peer_init(&c->rpc, &g->rpc);
    const char *limit = NULL;
    if (identify(c) < 0 || !(c->user = user_get(g, c->peer.uid)) || (limit = over_limit(c)) ||
        loop_io_init(&c->io, g->loop, fd, client_ready, c) < 0 ||
        loop_timer_init(&c->partial_timer, g->loop, partial_over, c) < 0 ||
        loop_timer_init(&c->stall_timer, g->loop, stall_over, c) < 0 || loop_io_want(&c->io, LOOP_READ) < 0) {
        if (limit)
            turn_away(c, limit);
        loop_io_done(&c->io);
        loop_timer_done(&c->partial_timer);
        loop_timer_done(&c->stall_timer);
        close(fd);
        client_free(c);
        return NULL;
    }
    c->number = ++g->n_clients_ever;
    g->n_clients++;
    c->user->clients++;
    list_append(&g->clients, &c->link);
    log_debug("client connected", LOG_INT("client", c->number), LOG_INT("uid", c->peer.uid),
              LOG_INT("pid", c->peer.pid));
    return c;
}
