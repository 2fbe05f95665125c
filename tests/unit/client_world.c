/* SPDX-License-Identifier: MIT */
#include "client_world.h"

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

/* The next line, NUL-terminated; NULL at the end. Its descriptors are collected. */
char *server_read(struct server *s)
{
    static _Thread_local char line[70000];
    for (;;) {
        char *end = memchr(s->text, '\n', s->len);
        if (end) {
            size_t n = (size_t) (end - s->text);
            memcpy(line, s->text, n);
            line[n] = 0;
            s->len -= n + 1;
            memmove(s->text, end + 1, s->len);
            return line;
        }
        union {
            char room[CMSG_SPACE(sizeof(int) * 16)];
            struct cmsghdr align;
        } control;
        struct iovec part = {s->text + s->len, sizeof(s->text) - s->len};
        struct msghdr m = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
        ssize_t n = recvmsg(s->fd, &m, MSG_CMSG_CLOEXEC);
        if (n <= 0)
            return NULL;
        s->len += (size_t) n;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
            size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            memcpy(s->fds + s->n_fds, CMSG_DATA(c), count * sizeof(int));
            s->n_fds += count;
        }
    }
}

void server_write(struct server *s, const char *text)
{
    for (size_t n = strlen(text); n > 0;) {
        ssize_t sent = send(s->fd, text, n, MSG_NOSIGNAL);
        if (sent < 0)
            return;
        text += sent;
        n -= (size_t) sent;
    }
}

void server_write_fd(struct server *s, const char *text, int fd)
{
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {.room = ""};
    struct iovec part = {(char *) text, strlen(text)};
    struct msghdr m = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    (void) !sendmsg(s->fd, &m, MSG_NOSIGNAL);
}

static client_script *script;
static struct server server;
static pthread_t server_thread;
static bool server_runs;

static void *run_script(void *arg)
{
    struct server *s = arg;
    script(s);
    close(s->fd);
    for (size_t i = 0; i < s->n_fds; i++)
        close(s->fds[i]);
    return NULL;
}

struct postern *p;
struct postern_error error;

int serve(client_script *fn)
{
    int ends[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    server = (struct server){.fd = ends[1]};
    script = fn;
    ck_assert_int_eq(pthread_create(&server_thread, NULL, run_script, &server), 0);
    server_runs = true;
    return ends[0];
}

void served(void)
{
    if (server_runs)
        pthread_join(server_thread, NULL);
    server_runs = false;
}

void start(client_script *fn)
{
    ck_assert_int_eq(postern_open_fd(&p, serve(fn), &error), 0);
}

void stop(void)
{
    postern_close(p);
    p = NULL;
    served();
    postern_error_done(&error);
}
