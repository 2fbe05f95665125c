/* SPDX-License-Identifier: MIT */
#include "listener.h"

#include "client.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define BACKLOG 1024
#define ACCEPTS_A_TURN 64
/* How long no client is accepted when descriptors have run out. */
#define ACCEPT_PAUSE_MS 100

struct listener {
    struct gateway *gateway;
    int fd;
    int reserve; /* given up for a moment to turn a client away when no other descriptor is left */
    int lock;    /* beside our own socket, for as long as we live */
    struct loop_io io;
    struct loop_timer pause;
    bool own; /* the file is ours to remove */
    struct stat st;
    struct sockaddr_un address;
    char lock_path[128];
};

/* --- accepting --- */

static void accept_again(void *arg)
{
    struct listener *l = arg;
    if (l->reserve < 0)
        l->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    loop_io_want(&l->io, LOOP_READ);
}

/* With no descriptor left the next client would wait for ever and keep the loop awake: take it with the reserve, and
 * hang up. */
static void out_of_descriptors(struct listener *l, int err)
{
    log_warning("accept failed", LOG_ERRNO(err));
    if (l->reserve >= 0) {
        close(l->reserve);
        int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
            close(fd);
        l->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    loop_io_want(&l->io, 0);
    loop_timer_set(&l->pause, ACCEPT_PAUSE_MS);
}

static void accept_ready(void *arg, unsigned what)
{
    struct listener *l = arg;
    (void) what;
    for (unsigned i = 0; i < ACCEPTS_A_TURN; i++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            client_new(l->gateway, fd);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
            out_of_descriptors(l, errno);
        else if (errno == EINTR || errno == ECONNABORTED)
            continue;
        return;
    }
}

/* --- our own socket --- */

static int complain(const char *path, const char *what, int err)
{
    log_error("socket", LOG_STR("path", path), LOG_STR("what", what), LOG_ERRNO(err));
    return -err;
}

/* Two daemons that start at once must not both find the socket stale: whoever holds the lock decides. */
static int take_lock(struct listener *l)
{
    for (;;) {
        struct stat ours, there;
        int fd = open(l->lock_path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
        if (fd < 0)
            return complain(l->lock_path, "the lock cannot be made", errno);
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
            int err = errno;
            close(fd);
            return complain(l->lock_path, "another daemon holds it", err == EWOULDBLOCK ? EADDRINUSE : err);
        }
        /* The one before us removes the file with the lock held: what we have may be that one. */
        if (fstat(fd, &ours) == 0 && stat(l->lock_path, &there) == 0 && ours.st_ino == there.st_ino &&
            ours.st_dev == there.st_dev) {
            l->lock = fd;
            return 0;
        }
        close(fd);
    }
}

/* 0: the place is free now. */
static int clear_place(struct listener *l)
{
    const char *path = l->address.sun_path;
    struct stat st;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : complain(path, "cannot be looked at", errno);
    if (!S_ISSOCK(st.st_mode))
        return complain(path, "is there and no socket", EEXIST);
    if (st.st_uid != geteuid())
        return complain(path, "belongs to another user", EEXIST);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return complain(path, "socket", errno);
    int r = connect(fd, (const struct sockaddr *) &l->address, sizeof(l->address)) < 0 ? errno : 0;
    close(fd);
    if (r != ECONNREFUSED)
        return complain(path, "somebody listens there", EADDRINUSE);
    return unlink(path) < 0 ? complain(path, "the stale one cannot be removed", errno) : 0;
}

static void make_folder(const char *path)
{
    char folder[sizeof(((struct sockaddr_un *) 0)->sun_path)];
    snprintf(folder, sizeof(folder), "%s", path);
    char *slash = strrchr(folder, '/');
    if (!slash || slash == folder)
        return;
    *slash = '\0';
    if (mkdir(folder, 0755) < 0 && errno != EEXIST)
        log_warning("socket", LOG_STR("path", folder), LOG_STR("what", "the folder cannot be made"), LOG_ERRNO(errno));
}

static int bind_own(struct listener *l, const char *path, unsigned mode)
{
    l->address.sun_family = AF_UNIX;
    if (strlen(path) >= sizeof(l->address.sun_path))
        return complain(path, "the path is too long", ENAMETOOLONG);
    snprintf(l->address.sun_path, sizeof(l->address.sun_path), "%s", path);
    snprintf(l->lock_path, sizeof(l->lock_path), "%s.lock", path);
    make_folder(path);
    int r = take_lock(l);
    if (r == 0)
        r = clear_place(l);
    if (r < 0)
        return r;
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        return complain(path, "socket", errno);
    /* The mode is right from the first moment: nobody can connect in between. */
    mode_t old = umask(0777 & ~(mode_t) mode);
    r = bind(l->fd, (const struct sockaddr *) &l->address, sizeof(l->address)) < 0 ? errno : 0;
    umask(old);
    if (r != 0)
        return complain(path, "bind", r);
    l->own = lstat(path, &l->st) == 0;
    return listen(l->fd, BACKLOG) < 0 ? complain(path, "listen", errno) : 0;
}

/* 1: the service manager passed one; 0: it did not. */
static int passed_socket(struct listener *l)
{
    int n = sd_listen_fds(1);
    if (n <= 0)
        return n;
    int fd = SD_LISTEN_FDS_START;
    if (n > 1 || sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) <= 0)
        return complain("socket activation", "exactly one listening AF_UNIX stream socket is expected", EINVAL);
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return complain("socket activation", "fcntl", errno);
    l->fd = fd;
    return 1;
}

int listener_open(struct gateway *g, const char *path, unsigned mode)
{
    struct listener *l = calloc(1, sizeof(*l));
    if (!l)
        return -ENOMEM;
    l->gateway = g;
    l->fd = l->lock = -1;
    l->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    g->listener = l;
    int r = passed_socket(l);
    if (r == 0)
        r = bind_own(l, path, mode);
    if (r >= 0)
        r = loop_io_init(&l->io, g->loop, l->fd, accept_ready, l);
    if (r >= 0)
        r = loop_timer_init(&l->pause, g->loop, accept_again, l);
    if (r >= 0)
        r = loop_io_want(&l->io, LOOP_READ);
    if (r < 0)
        listener_close(g);
    return r < 0 ? r : 0;
}

void listener_close(struct gateway *g)
{
    struct listener *l = g->listener;
    struct stat st;
    if (!l)
        return;
    loop_io_done(&l->io);
    loop_timer_done(&l->pause);
    /* Only the file that we made: somebody may have put another there. */
    if (l->own && lstat(l->address.sun_path, &st) == 0 && st.st_ino == l->st.st_ino && st.st_dev == l->st.st_dev)
        unlink(l->address.sun_path);
    if (l->fd >= 0)
        close(l->fd);
    if (l->lock >= 0) {
        unlink(l->lock_path);
        close(l->lock);
    }
    if (l->reserve >= 0)
        close(l->reserve);
    free(l);
    g->listener = NULL;
}
