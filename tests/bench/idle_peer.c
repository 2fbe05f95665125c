/* SPDX-License-Identifier: MIT */
/* The least of clients that idle: one event a connection, OpenSSL with SSL_MODE_RELEASE_BUFFERS, nothing remembered. Prints how
 * much memory all its connections take: {"count", "before", "after"} in bytes of RssAnon.
 *
 *     idle_peer PORT CA-FILE USER PASSWORD COUNT       mailboxes are M0000, M0001, … */
#include <arpa/inet.h>
#include <event2/event.h>
#include <malloc.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct conn {
    SSL *ssl;
    struct event *event;
};

static unsigned long rss(void)
{
    char line[256];
    unsigned long kb = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "RssAnon: %lu", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb * 1024;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* Reads up to the end of the answer that begins with `until`. */
static void expect(SSL *ssl, const char *until)
{
    char buf[16384];
    size_t n = 0;
    for (;;) {
        int got = SSL_read(ssl, buf + n, (int) (sizeof(buf) - n - 1));
        if (got <= 0)
            die("read");
        n += (size_t) got;
        buf[n] = '\0';
        const char *at = strncmp(buf, until, strlen(until)) == 0 ? buf : NULL;
        for (const char *p = buf; !at && (p = strchr(p, '\n')); p++)
            if (strncmp(p + 1, until, strlen(until)) == 0)
                at = p + 1;
        if (at && strchr(at, '\n'))
            return;
    }
}

static void say(SSL *ssl, const char *text)
{
    if (SSL_write(ssl, text, (int) strlen(text)) <= 0)
        die("write");
}

static void readable(evutil_socket_t fd, short what, void *arg)
{
    char buf[4096];
    (void) fd;
    (void) what;
    while (SSL_read(((struct conn *) arg)->ssl, buf, sizeof(buf)) > 0)
        ;
}

int main(int argc, char **argv)
{
    if (argc != 6)
        return 64;
    int count = (int) strtol(argv[5], NULL, 10);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    struct event_base *base = event_base_new();
    struct conn *conns = calloc((size_t) count, sizeof(*conns));
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short) strtol(argv[1], NULL, 10)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_load_verify_locations(ctx, argv[2], NULL) != 1)
        die("CA");
    unsigned long before = 0;
    for (int i = 0; i < count; i++) {
        char command[512];
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        SSL *ssl = conns[i].ssl = SSL_new(ctx);
        if (fd < 0 || connect(fd, (struct sockaddr *) &to, sizeof(to)) < 0)
            die("connect");
        SSL_set_fd(ssl, fd);
        SSL_set_tlsext_host_name(ssl, "localhost");
        SSL_set1_host(ssl, "localhost");
        if (SSL_connect(ssl) != 1)
            die("handshake");
        expect(ssl, "* OK");
        snprintf(command, sizeof(command), "a LOGIN %s \"%s\"\r\n", argv[3], argv[4]);
        say(ssl, command);
        expect(ssl, "a OK");
        snprintf(command, sizeof(command), "b EXAMINE M%04d\r\n", i);
        say(ssl, command);
        expect(ssl, "b OK");
        say(ssl, "c IDLE\r\n");
        expect(ssl, "+ ");
        evutil_make_socket_nonblocking(fd);
        conns[i].event = event_new(base, fd, EV_READ | EV_PERSIST, readable, &conns[i]);
        event_add(conns[i].event, NULL);
        if (i == 0)
            before = rss(); /* what is once, however many there are, is not counted */
    }
    event_base_loop(base, EVLOOP_NONBLOCK);
    malloc_trim(0);
    unsigned long after = rss();
    printf("{\"count\": %d, \"before\": %lu, \"after\": %lu}\n", count - 1, before, after);
    return 0;
}
