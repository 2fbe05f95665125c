/* SPDX-License-Identifier: MIT */
#include "library.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

uint64_t client_now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}

/* Connecting to a Unix socket whose backlog is full never says "in progress": it blocks, for as long as SO_SNDTIMEO
 * allows, or fails with EAGAIN at once on a non-blocking socket. So it is done blocking, and again until the time is
 * over. */
static int connect_to(const char *path, uint64_t deadline_ms)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, len);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    for (;;) {
        uint64_t now = client_now_ms(), left = deadline_ms > now ? deadline_ms - now : 1;
        struct timeval tv = {(time_t) (left / 1000), (suseconds_t) (left % 1000 * 1000)};
        if (deadline_ms == UINT64_MAX)
            tv = (struct timeval){0, 0}; /* for ever */
        int err = 0;
        if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0 ||
            connect(fd, (const struct sockaddr *) &address, sizeof(address)) < 0)
            err = errno;
        if (err == 0 || err == EISCONN)
            break;
        if (err == EINTR || (err == EAGAIN && client_now_ms() < deadline_ms))
            continue;
        close(fd);
        return err == EAGAIN ? -ETIMEDOUT : -err;
    }
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
        int err = errno;
        close(fd);
        return -err;
    }
    return fd;
}

/* Absent, or nobody listens. */
static bool is_passed_over(int r)
{
    return r == -ENOENT || r == -ENOTDIR || r == -ECONNREFUSED || r == -EACCES || r == -ENAMETOOLONG;
}

int client_connect(const char *path, int timeout_ms, char **ret_path, struct postern_error *error)
{
    uint64_t deadline_ms = timeout_ms < 0 ? UINT64_MAX : client_now_ms() + (uint64_t) timeout_ms;
    const char *given = path ? NULL : secure_getenv("POSTERN_SOCKET"), *run = secure_getenv("XDG_RUNTIME_DIR");
    char user[sizeof(((struct sockaddr_un *) NULL)->sun_path)] = "";
    if (run && run[0] == '/' && (size_t) snprintf(user, sizeof(user), "%s/postern/postern.sock", run) >= sizeof(user))
        user[0] = 0;
    const char *const candidates[] = {path, given, path ? NULL : user, path ? NULL : POSTERN_SYSTEM_SOCKET};
    int r = -ENOENT;
    const char *last = POSTERN_SYSTEM_SOCKET;
    for (size_t i = 0; i < ARRAY_LEN(candidates); i++) {
        if (!candidates[i] || !candidates[i][0])
            continue;
        last = candidates[i];
        r = connect_to(last, deadline_ms);
        if (r >= 0 || !is_passed_over(r))
            break;
    }
    if (r < 0)
        return client_error(error, r, "cannot connect to the gateway at %s: %s", last, strerror(-r));
    char *copy = strdup(last);
    if (!copy) {
        close(r);
        return client_error(error, -ENOMEM, "out of memory");
    }
    *ret_path = copy;
    return r;
}

static struct postern *connection_new(void)
{
    struct postern *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->fd = -1;
    p->next_id = 1;
    buffer_init(&p->input, CLIENT_MAX_RESPONSE);
    list_init(&p->outputs);
    list_init(&p->all);
    hash_table_init(&p->requests);
    return p;
}

int postern_open(struct postern **ret, const char *path, int timeout_ms, struct postern_error *error)
{
    struct postern *p = connection_new();
    if (!p)
        return client_error(error, -ENOMEM, "out of memory");
    int fd = client_connect(path, timeout_ms, &p->path, error);
    if (fd < 0) {
        postern_close(p);
        return fd;
    }
    p->fd = fd;
    *ret = p;
    return 0;
}

int postern_open_fd(struct postern **ret, int fd, struct postern_error *error)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return client_error(error, -errno, "the descriptor cannot be used: %s", strerror(errno));
    struct postern *p = connection_new();
    if (!p)
        return client_error(error, -ENOMEM, "out of memory");
    p->fd = fd;
    *ret = p;
    return 0;
}

void postern_close(struct postern *p)
{
    if (!p)
        return;
    client_lost(p, -ECONNABORTED, NULL);
    while (!list_is_empty(&p->all)) {
        struct postern_request *r = list_first(&p->all, struct postern_request, link);
        list_remove(&r->link);
        r->connection = NULL;
    }
    hash_table_done(&p->requests);
    buffer_done(&p->input);
    free(p->path);
    free(p);
}

int postern_reconnect(struct postern *p, int timeout_ms, struct postern_error *error)
{
    uint64_t deadline_ms = timeout_ms < 0 ? UINT64_MAX : client_now_ms() + (uint64_t) timeout_ms;
    if (p->in_callback)
        return client_error(error, -EDEADLK, "not from within a callback");
    if (!p->path)
        return client_error(error, -ENOTSUP, "the connection was made from a descriptor");
    client_lost(p, -ECONNRESET, NULL);
    for (unsigned pause_ms = 10;; pause_ms = MIN(pause_ms * 2, 500u)) {
        struct postern_error why = POSTERN_ERROR_INIT;
        uint64_t now = client_now_ms();
        int left =
            deadline_ms == UINT64_MAX ? -1 : (int) MIN(deadline_ms > now ? deadline_ms - now : 0, (uint64_t) INT32_MAX);
        char *path = NULL;
        int fd = client_connect(p->path, left, &path, &why);
        free(path);
        if (fd >= 0) {
            p->fd = fd;
            p->lost = 0;
            return 0;
        }
        if (!is_passed_over(fd) || client_now_ms() >= deadline_ms) {
            client_error(error, fd, "%s", why.message);
            return fd;
        }
        poll(NULL, 0, (int) pause_ms);
    }
}

const char *postern_path(const struct postern *p)
{
    return p->path;
}

int postern_is_connected(const struct postern *p)
{
    return p->fd >= 0;
}

void postern_set_max_response(struct postern *p, size_t bytes)
{
    p->input.max = MAX(bytes, buffer_len(&p->input));
}

void postern_on_notification(struct postern *p, postern_notification_fn *fn, void *arg)
{
    p->on_notification = fn;
    p->notification_arg = arg;
}

const char *postern_version(void)
{
    return POSTERN_VERSION;
}
