/* SPDX-License-Identifier: MIT */
/* Calls gateway.ping over a Unix socket, one call in flight a connection (or more, with a depth), and says how many a
 * second were answered, and how long half and 99 of 100 of them took.
 *
 *     rpc_load SOCKET CLIENTS MILLISECONDS CPU [DEPTH] */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BUCKETS 4096 /* of 1/8 us up to 64 us, then of growing width */

static const char request[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"gateway.ping\"}\n";

struct client {
    int fd;
    unsigned depth;   /* calls in flight */
    uint64_t sent_ns; /* when the oldest of them was sent */
};

static uint64_t histogram[BUCKETS], answers;

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t) ts.tv_sec * 1000000000u + (uint64_t) ts.tv_nsec;
}

static void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

/* Eighths of a microsecond, in steps of one in 64. */
static unsigned bucket_of(uint64_t ns)
{
    uint64_t v = ns / 125, shift = 0;
    while (v >= 512) {
        v >>= 1;
        shift++;
    }
    unsigned bucket = (unsigned) (shift ? 512 + (shift - 1) * 256 + (v - 256) : v);
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static double bucket_us(unsigned bucket)
{
    if (bucket < 512)
        return bucket * 0.125;
    unsigned shift = (bucket - 512) / 256 + 1;
    return (double) ((uint64_t) ((bucket - 512) % 256 + 256) << shift) * 0.125;
}

static double percentile(double part)
{
    uint64_t seen = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += histogram[i];
        if ((double) seen >= (double) answers * part)
            return bucket_us(i);
    }
    return 0;
}

static void send_calls(struct client *c, unsigned n)
{
    char text[sizeof(request) * 64];
    size_t len = 0;
    for (unsigned i = 0; i < n; i++) {
        memcpy(text + len, request, sizeof(request) - 1);
        len += sizeof(request) - 1;
    }
    c->sent_ns = now_ns();
    c->depth += n;
    if (send(c->fd, text, len, MSG_NOSIGNAL) != (ssize_t) len)
        die("send");
}

static void take_answers(struct client *c, unsigned depth)
{
    char text[65536];
    ssize_t n = recv(c->fd, text, sizeof(text), MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        die("the server has closed the connection");
    uint64_t took = now_ns() - c->sent_ns;
    for (char *p = text; (p = memchr(p, '\n', (size_t) (text + n - p))); p++) {
        if (c->depth == 0) {
            fprintf(stderr, "an answer too many\n");
            exit(EXIT_FAILURE);
        }
        c->depth--;
        histogram[bucket_of(took)]++;
        answers++;
    }
    if (c->depth == 0)
        send_calls(c, depth);
}

static int connect_to(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || strlen(path) >= sizeof(addr.sun_path))
        die("socket");
    memcpy(addr.sun_path, path, strlen(path));
    while (connect(fd, (struct sockaddr *) &addr, sizeof(addr)) < 0)
        if (errno != EAGAIN && errno != EINTR)
            die(path);
    return fd;
}

static void run(int ep, uint64_t until, unsigned depth)
{
    struct epoll_event events[256];
    uint64_t now;

    while ((now = now_ns()) < until) {
        int n = epoll_wait(ep, events, 256, (int) ((until - now) / 1000000 + 1));
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++)
            take_answers(events[i].data.ptr, depth);
    }
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: rpc_load SOCKET CLIENTS MILLISECONDS CPU [DEPTH]\n");
        return 2;
    }
    size_t n = strtoul(argv[2], NULL, 10);
    uint64_t ms = strtoul(argv[3], NULL, 10);
    long cpu = strtol(argv[4], NULL, 10);
    unsigned depth = argc > 5 ? (unsigned) strtoul(argv[5], NULL, 10) : 1;
    struct client *clients = calloc(n, sizeof(*clients));
    cpu_set_t set;
    int ep = epoll_create1(EPOLL_CLOEXEC);

    if (!clients || ep < 0 || n == 0 || depth == 0 || depth > 64)
        die("set-up");
    if (cpu >= 0) {
        CPU_ZERO(&set);
        CPU_SET((size_t) cpu, &set);
        if (sched_setaffinity(0, sizeof(set), &set) < 0)
            die("sched_setaffinity");
    }
    for (size_t i = 0; i < n; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};
        clients[i].fd = connect_to(argv[1]);
        if (epoll_ctl(ep, EPOLL_CTL_ADD, clients[i].fd, &event) < 0)
            die("epoll_ctl");
        send_calls(&clients[i], depth);
    }
    run(ep, now_ns() + ms * 200000, depth); /* a fifth of the time to warm up */
    memset(histogram, 0, sizeof(histogram));
    answers = 0;
    uint64_t start = now_ns();
    run(ep, start + ms * 1000000, depth);
    double seconds = (double) (now_ns() - start) / 1e9;
    printf("{\"calls\":%llu,\"per_second\":%.0f,\"p50\":%.1f,\"p99\":%.1f}\n", (unsigned long long) answers,
           (double) answers / seconds, percentile(0.5), percentile(0.99));
    return 0;
}
