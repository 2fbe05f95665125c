/* SPDX-License-Identifier: MIT */
/* An SMTP server that takes TLS, AUTH PLAIN, PIPELINING and CHUNKING, says yes to everything and throws mail away.
 *   mail_sink CERTIFICATE KEY     prints the loopback ports "TLS PLAIN" and serves until its standard input ends
 * A thread for each connection; replies leave together, when nothing more has come in. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_SIZE 65536
#define OUT_SIZE 16384
#define LINE_SIZE 4096

static SSL_CTX *context;

struct sink {
    int fd;
    SSL *ssl; /* NULL: in clear */
    char in[IN_SIZE], out[OUT_SIZE];
    size_t begin, end, n_out;
    bool envelope; /* a recipient was named: a chunk outside of that is refused */
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "mail_sink: %s\n", what);
    exit(1);
}

static bool flush(struct sink *k)
{
    size_t n = k->n_out;
    k->n_out = 0;
    if (n == 0)
        return true;
    return k->ssl ? SSL_write(k->ssl, k->out, (int) n) == (int) n
                  : send(k->fd, k->out, n, MSG_NOSIGNAL) == (ssize_t) n;
}

static bool reply(struct sink *k, const char *text)
{
    size_t n = strlen(text);
    if (k->n_out + n > OUT_SIZE && !flush(k))
        return false;
    memcpy(k->out + k->n_out, text, n);
    k->n_out += n;
    return true;
}

/* More input, behind what is there; false at the end. */
static bool fill(struct sink *k)
{
    if (k->begin == k->end)
        k->begin = k->end = 0;
    if (k->begin && k->end == IN_SIZE) {
        memmove(k->in, k->in + k->begin, k->end - k->begin);
        k->end -= k->begin;
        k->begin = 0;
    }
    if (k->end == IN_SIZE || ((!k->ssl || !SSL_has_pending(k->ssl)) && !flush(k)))
        return false;
    ssize_t n = k->ssl ? SSL_read(k->ssl, k->in + k->end, (int) (IN_SIZE - k->end))
                       : recv(k->fd, k->in + k->end, IN_SIZE - k->end, 0);
    if (n <= 0)
        return false;
    k->end += (size_t) n;
    return true;
}

static bool read_line(struct sink *k, char line[LINE_SIZE])
{
    char *nl;
    while (!(nl = memchr(k->in + k->begin, '\n', k->end - k->begin)))
        if (!fill(k))
            return false;
    size_t n = (size_t) (nl + 1 - (k->in + k->begin));
    if (n >= LINE_SIZE)
        return false;
    memcpy(line, k->in + k->begin, n);
    line[n] = '\0';
    k->begin += n;
    return true;
}

static bool skip(struct sink *k, unsigned long long n)
{
    while (n) {
        if (k->begin == k->end && !fill(k))
            return false;
        size_t have = k->end - k->begin < n ? k->end - k->begin : (size_t) n;
        k->begin += have;
        n -= have;
    }
    return true;
}

/* Up to the final dot. */
static bool skip_data(struct sink *k)
{
    for (;;) {
        char *at = memmem(k->in + k->begin, k->end - k->begin, "\r\n.\r\n", 5);
        if (at) {
            k->begin = (size_t) (at + 5 - k->in);
            return true;
        }
        if (k->end - k->begin > 4)
            k->begin = k->end - 4;
        /* what is left is little: it goes to the front */
        memmove(k->in, k->in + k->begin, k->end - k->begin);
        k->end -= k->begin;
        k->begin = 0;
        if (!fill(k))
            return false;
    }
}

static bool command(struct sink *k, const char *line)
{
    if (strncasecmp(line, "EHLO", 4) == 0)
        return reply(k, "250-sink\r\n250-PIPELINING\r\n250-SIZE 100000000\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n"
                        "250-CHUNKING\r\n250 AUTH PLAIN\r\n");
    if (strncasecmp(line, "AUTH", 4) == 0) {
        char credentials[LINE_SIZE];
        if (strlen(line) <= strlen("AUTH PLAIN\r\n") && (!reply(k, "334 \r\n") || !read_line(k, credentials)))
            return false;
        return reply(k, "235 2.7.0 yes\r\n");
    }
    if (strncasecmp(line, "DATA", 4) == 0) {
        k->envelope = false;
        return reply(k, "354 go on\r\n") && skip_data(k) && reply(k, "250 2.0.0 gone\r\n");
    }
    if (strncasecmp(line, "BDAT", 4) == 0) {
        bool taken = k->envelope;
        k->envelope = false;
        return skip(k, strtoull(line + 4, NULL, 10)) && reply(k, taken ? "250 2.0.0 gone\r\n" : "503 5.5.1 for whom?\r\n");
    }
    k->envelope = strncasecmp(line, "RCPT", 4) == 0;
    if (strncasecmp(line, "QUIT", 4) == 0) {
        if (reply(k, "221 2.0.0 bye\r\n"))
            flush(k);
        return false;
    }
    return reply(k, "250 2.0.0 yes\r\n");
}

static void *serve(void *arg)
{
    struct sink *k = arg;
    char line[LINE_SIZE];
    bool good = !k->ssl || SSL_accept(k->ssl) == 1;
    good = good && reply(k, "220 sink ESMTP\r\n");
    while (good)
        good = read_line(k, line) && command(k, line);
    if (k->ssl) {
        SSL_shutdown(k->ssl);
        SSL_free(k->ssl);
    }
    close(k->fd);
    free(k);
    return NULL;
}

static int listener(int *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *) &a, n) < 0 || listen(fd, 128) < 0 ||
        getsockname(fd, (struct sockaddr *) &a, &n) < 0)
        die("cannot listen");
    *ret_port = ntohs(a.sin_port);
    return fd;
}

static void take(int from, bool tls)
{
    int on = 1, fd = accept(from, NULL, NULL);
    if (fd < 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct sink *k = calloc(1, sizeof(*k));
    if (!k)
        die("out of memory");
    k->fd = fd;
    if (tls && (!(k->ssl = SSL_new(context)) || SSL_set_fd(k->ssl, fd) != 1))
        die("out of memory");
    pthread_t thread;
    if (pthread_create(&thread, NULL, serve, k) != 0)
        die("no thread");
    pthread_detach(thread);
}

int main(int argc, char **argv)
{
    int tls_port, plain_port;
    if (argc != 3)
        die("usage: mail_sink CERTIFICATE KEY");
    signal(SIGPIPE, SIG_IGN);
    context = SSL_CTX_new(TLS_server_method());
    if (!context || SSL_CTX_use_certificate_chain_file(context, argv[1]) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, argv[2], SSL_FILETYPE_PEM) != 1)
        die("cannot use the certificate");
    struct pollfd fds[3] = {{listener(&tls_port), POLLIN, 0}, {listener(&plain_port), POLLIN, 0}, {0, POLLIN, 0}};
    printf("%d %d\n", tls_port, plain_port);
    fflush(stdout);
    while (poll(fds, 3, -1) > 0) {
        char ignored[64];
        if (fds[2].revents && read(0, ignored, sizeof(ignored)) <= 0)
            return 0;
        if (fds[0].revents)
            take(fds[0].fd, true);
        if (fds[1].revents)
            take(fds[1].fd, false);
    }
    return 1;
}
