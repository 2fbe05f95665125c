/* SPDX-License-Identifier: MIT */
#include "library.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_CHUNK 65536

void client_close_fds(int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* --- output --- */

void client_output_free(struct client_output *o)
{
    list_remove(&o->link);
    if (o->request)
        o->request->output = NULL;
    client_close_fds(o->fds, o->n_fds);
    free(o->fds);
    free(o->text);
    free(o);
}

int client_queue(struct postern *p, char *text, size_t len, int *fds, size_t n_fds, struct postern_request *request)
{
    struct client_output *o = calloc(1, sizeof(*o));
    if (o && n_fds) {
        o->fds = malloc(n_fds * sizeof(int));
        if (!o->fds) {
            free(o);
            o = NULL;
        }
    }
    if (!o) {
        free(text);
        return -ENOMEM;
    }
    o->text = text;
    o->len = len;
    if (n_fds)
        memcpy(o->fds, fds, n_fds * sizeof(int));
    o->n_fds = n_fds;
    o->request = request;
    if (request)
        request->output = o;
    list_append(&p->outputs, &o->link);
    return 0;
}

/* The descriptors go with the first byte of their message. */
static ssize_t send_some(int fd, const struct client_output *o)
{
    union {
        char room[CMSG_SPACE(sizeof(int) * CLIENT_FDS_PER_MESSAGE)];
        struct cmsghdr align;
    } control;
    struct iovec part = {o->text + o->sent, o->len - o->sent};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (o->sent == 0 && o->n_fds > 0) {
        memset(&control, 0, sizeof(control));
        message.msg_control = control.room;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * o->n_fds);
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * o->n_fds);
        memcpy(CMSG_DATA(c), o->fds, sizeof(int) * o->n_fds);
    }
    return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int write_output(struct postern *p)
{
    while (!list_is_empty(&p->outputs)) {
        struct client_output *o = list_first(&p->outputs, struct client_output, link);
        ssize_t n = send_some(p->fd, o);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == ETOOMANYREFS))
            return 0;
        if (n < 0)
            return -errno;
        o->sent += (size_t) n;
        if (o->sent == o->len)
            client_output_free(o);
    }
    return 0;
}

/* --- input --- */

static int take_fds(struct postern *p, struct msghdr *message)
{
    int r = message->msg_flags & MSG_CTRUNC ? -EPROTO : 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (p->n_fds < CLIENT_FDS_WAITING) {
                p->fds[p->n_fds++] = fd;
            } else {
                close(fd);
                r = -EPROTO;
            }
        }
    }
    return r;
}

/* >0 bytes came, 0 none now, -ECONNRESET at the end. */
static int read_input(struct postern *p)
{
    union {
        char room[CMSG_SPACE(sizeof(int) * CLIENT_FDS_PER_MESSAGE)];
        struct cmsghdr align;
    } control;
    char *room;
    size_t want = MIN(buffer_room(&p->input), (size_t) READ_CHUNK);
    if (want == 0)
        return -EMSGSIZE;
    int r = buffer_reserve(&p->input, want, &room);
    if (r < 0)
        return r;
    struct iovec part = {room, want};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
    ssize_t n = recvmsg(p->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    r = take_fds(p, &message);
    if (r < 0)
        return r;
    buffer_commit(&p->input, (size_t) n);
    return n == 0 ? -ECONNRESET : (int) n;
}

/* Handles the lines that are there, up to the bound on waiting items. How many, or a negative errno. */
static int handle_lines(struct postern *p)
{
    int handled = 0;
    while (p->fd >= 0 && p->n_items < CLIENT_ITEMS_WAITING) {
        struct slice text = buffer_slice(&p->input);
        size_t end = p->scanned + slice_find(slice_from(text, p->scanned), '\n');
        if (end >= text.len) {
            p->scanned = text.len;
            buffer_trim(&p->input);
            break;
        }
        struct slice line = slice_trim(slice_to(text, end));
        int r = line.len ? client_dispatch(p, line.data, line.len) : 0;
        if (r < 0)
            return r;
        if (p->fd < 0)
            break; /* a callback reconnected, or the answer ended the connection */
        buffer_consume(&p->input, end + 1);
        p->scanned = 0;
        handled++;
    }
    return handled;
}

static int expire_requests(struct postern *p)
{
    uint64_t now = client_now_ms();
    int expired = 0;
    struct postern_request *r, *due;
    do {
        due = NULL;
        list_foreach (&p->all, r, struct postern_request, link)
            if (r->state == REQUEST_IN_FLIGHT && r->deadline_ms && r->deadline_ms <= now) {
                due = r;
                break;
            }
        if (due) {
            bool sent = !due->output || due->output->sent > 0;
            postern_request_cancel(due);
            client_error(&due->error, -ETIMEDOUT, "no answer from the gateway in %d ms", due->timeout_ms);
            due->error.outcome = sent ? POSTERN_OUTCOME_UNKNOWN : POSTERN_OUTCOME_NONE;
            client_request_end(due);
            expired++;
        }
    } while (due);
    return expired;
}

void client_lost(struct postern *p, int code, const struct postern_error *why)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    p->lost = code;
    client_close_fds(p->fds, p->n_fds);
    p->n_fds = 0;
    buffer_clear(&p->input);
    buffer_trim(&p->input);
    p->scanned = 0;
    /* Those that a callback starts now fail by themselves: there is no connection. */
    for (;;) {
        struct postern_request *r, *found = NULL;
        list_foreach (&p->all, r, struct postern_request, link) {
            if (r->state == REQUEST_IN_FLIGHT) {
                found = r;
                break;
            }
        }
        if (!found)
            break;
        bool sent = !found->output || found->output->sent > 0;
        if (why)
            client_error_copy(&found->error, why);
        else
            client_error(&found->error, code, "the connection to the gateway was lost: %s", strerror(-code));
        found->error.outcome = sent ? POSTERN_OUTCOME_UNKNOWN : POSTERN_OUTCOME_NONE;
        client_request_end(found);
    }
    while (!list_is_empty(&p->outputs))
        client_output_free(list_first(&p->outputs, struct client_output, link));
}

int postern_get_fd(const struct postern *p)
{
    return p->fd;
}

short postern_get_events(const struct postern *p)
{
    short events = 0;
    if (p->n_items < CLIENT_ITEMS_WAITING)
        events |= POLLIN;
    if (!list_is_empty(&p->outputs))
        events |= POLLOUT;
    return events;
}

int postern_get_timeout(const struct postern *p)
{
    uint64_t now = client_now_ms(), least = UINT64_MAX;
    struct postern_request *r;
    list_foreach (&p->all, r, struct postern_request, link)
        if (r->state == REQUEST_IN_FLIGHT && r->deadline_ms)
            least = MIN(least, r->deadline_ms);
    if (least == UINT64_MAX)
        return -1;
    return least <= now ? 0 : (int) MIN(least - now, (uint64_t) INT32_MAX);
}

/* One round: what is there is handled first, so that an answer counts that came together with the end. */
static int process_once(struct postern *p)
{
    int handled = expire_requests(p);
    int r = p->fd < 0 ? p->lost : write_output(p);
    int write_error = r;
    for (;;) {
        r = p->fd < 0 ? p->lost : handle_lines(p);
        if (r < 0)
            return r;
        handled += r;
        if (p->n_items >= CLIENT_ITEMS_WAITING)
            return handled;
        r = read_input(p);
        if (r < 0)
            return r;
        if (r == 0)
            break;
    }
    return write_error < 0 ? write_error : handled;
}

int postern_process(struct postern *p)
{
    if (p->in_callback)
        return -EDEADLK;
    if (p->fd < 0)
        return p->lost;
    int r = process_once(p);
    if (r < 0 && r != -ENOMEM && p->fd >= 0)
        client_lost(p, r == -EPIPE ? -ECONNRESET : r, NULL);
    return r == -EPIPE ? -ECONNRESET : r;
}

int postern_wait(struct postern *p, int timeout_ms)
{
    if (p->in_callback)
        return -EDEADLK;
    if (p->fd < 0)
        return p->lost;
    int own_ms = postern_get_timeout(p);
    struct pollfd poller = {.fd = p->fd, .events = postern_get_events(p)};
    if (own_ms >= 0 && (timeout_ms < 0 || own_ms < timeout_ms))
        timeout_ms = own_ms;
    if (poll(&poller, 1, timeout_ms) < 0 && errno != EINTR)
        return -errno;
    return postern_process(p);
}
