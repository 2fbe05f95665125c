/* SPDX-License-Identifier: MIT */
/* A relay that keeps bytes for a while, as a far network does.
 *   mail_relay PORT MS     prints its loopback port, relays to PORT with MS each way until its standard input ends */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WAYS_MAX 512
#define PIECE 65536
#define HELD_MAX (8 * 1024 * 1024)

struct piece {
    struct piece *next;
    int64_t due_ns;
    size_t len, at;
    char bytes[];
};

struct way {
    int from, to; /* -1: no such way */
    struct piece *first, **last;
    size_t held;
    bool ended; /* nothing more comes; an empty piece tells when to pass that on */
};

static struct way ways[WAYS_MAX]; /* 2n and 2n + 1 are the two directions of a connection */
static int64_t delay_ns;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "mail_relay: %s\n", what);
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t) port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void begin(struct way *w, int from, int to)
{
    *w = (struct way){.from = from, .to = to};
    w->last = &w->first;
}

static void take(int listener, int port)
{
    int on = 1;
    struct sockaddr_in a = loopback(port);
    int near = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    int far = socket(AF_INET, SOCK_STREAM, 0);
    if (near < 0 || far < 0)
        die("no socket");
    size_t i = 0;
    while (i < WAYS_MAX && ways[i].from >= 0)
        i += 2;
    if (i == WAYS_MAX || connect(far, (struct sockaddr *) &a, sizeof(a)) < 0) {
        close(near);
        close(far);
        return;
    }
    setsockopt(near, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(far, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    begin(&ways[i], near, far);
    begin(&ways[i + 1], far, near);
}

static void receive(struct way *w)
{
    struct piece *p = malloc(sizeof(*p) + PIECE);
    if (!p)
        die("out of memory");
    ssize_t n = recv(w->from, p->bytes, PIECE, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        free(p);
        return;
    }
    w->ended = n <= 0;
    p->next = NULL;
    p->due_ns = now_ns() + delay_ns;
    p->len = n > 0 ? (size_t) n : 0;
    p->at = 0;
    w->held += p->len;
    *w->last = p;
    w->last = &p->next;
}

static void drop(struct way *w)
{
    struct piece *p = w->first;
    w->held -= p->len;
    w->first = p->next;
    if (!w->first)
        w->last = &w->first;
    free(p);
}

/* What is due goes out as far as the kernel takes it. */
static void deliver(struct way *w, int64_t now)
{
    while (w->first && w->first->due_ns <= now) {
        struct piece *p = w->first;
        if (p->len == 0)
            shutdown(w->to, SHUT_WR);
        while (p->at < p->len) {
            ssize_t n = send(w->to, p->bytes + p->at, p->len - p->at, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (n < 0 && errno == EAGAIN)
                return;
            p->at = n < 0 ? p->len : p->at + (size_t) n; /* to somebody who is gone */
        }
        drop(w);
    }
}

static void end_pairs(void)
{
    for (size_t i = 0; i < WAYS_MAX; i += 2) {
        struct way *a = &ways[i], *b = &ways[i + 1];
        if (a->from < 0 || !a->ended || a->first || !b->ended || b->first)
            continue;
        close(a->from);
        close(b->from);
        a->from = b->from = -1;
    }
}

static int make_listener(void)
{
    struct sockaddr_in a = loopback(0);
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *) &a, n) < 0 || listen(fd, 128) < 0 ||
        getsockname(fd, (struct sockaddr *) &a, &n) < 0)
        die("cannot listen");
    printf("%d\n", ntohs(a.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    struct pollfd fds[2 + WAYS_MAX];
    if (argc != 3)
        die("usage: mail_relay PORT MS");
    int port = (int) strtol(argv[1], NULL, 10);
    delay_ns = (int64_t) (strtod(argv[2], NULL) * 1e6);
    for (size_t i = 0; i < WAYS_MAX; i++)
        ways[i].from = -1;
    int listener = make_listener();
    for (;;) {
        nfds_t n = 2;
        size_t of[2 + WAYS_MAX];
        int64_t now = now_ns(), next = INT64_MAX;
        fds[0] = (struct pollfd){listener, POLLIN, 0};
        fds[1] = (struct pollfd){0, POLLIN, 0};
        for (size_t i = 0; i < WAYS_MAX; i++) {
            struct way *w = &ways[i];
            if (w->from < 0)
                continue;
            deliver(w, now);
            if (w->first && w->first->due_ns <= now)
                next = now + 200000; /* the kernel is full */
            else if (w->first && w->first->due_ns < next)
                next = w->first->due_ns;
            if (!w->ended && w->held < HELD_MAX) {
                of[n] = i;
                fds[n++] = (struct pollfd){w->from, POLLIN, 0};
            }
        }
        end_pairs();
        int64_t wait = next == INT64_MAX ? INT64_C(1000000000) : next > now ? next - now : 0;
        struct timespec t = {wait / 1000000000, wait % 1000000000};
        if (ppoll(fds, n, &t, NULL) < 0 && errno != EINTR)
            die("poll");
        char ignored[64];
        if (fds[1].revents && read(0, ignored, sizeof(ignored)) <= 0)
            return 0;
        for (nfds_t i = 2; i < n; i++)
            if (fds[i].revents && ways[of[i]].from == fds[i].fd)
                receive(&ways[of[i]]);
        if (fds[0].revents)
            take(listener, port);
    }
}
