/* SPDX-License-Identifier: MIT */
/* SMTP and POP3 with the least that the protocols allow: the limit for any client. The task is JSON on standard input
 * (frame.py); "work" is
 *   envelope   the envelope in one write, the body after 354
 *   next       the next envelope in one write with this body
 *   chunks     whole messages by BDAT, 16 in flight, or as many as "depth" says
 *   cold       a connection for each message
 *   retr       POP3: all RETRs of a maildrop in one write
 * One thread; sockets that do not block and poll(). */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 64
#define IN_SIZE 65536
#define ENVELOPE_REPLIES 3

enum work { ENVELOPE, NEXT, CHUNKS, COLD, RETR };
static const char *const works[] = {"envelope", "next", "chunks", "cold", "retr"};

struct bytes {
    const char *data;
    size_t len;
};

struct raw {
    int fd;
    SSL *ssl; /* NULL: in clear */
    char in[IN_SIZE];
    size_t n_in;
    struct bytes out;
    size_t replies; /* that are still to come for what was said */
    bool body_next; /* the body is to be said after them */
    size_t n_queued; /* messages that were begun and are not answered */
};

static const char *host, *user, *password, *ca, *from, *to;
static int port, tls;
static enum work work;
static SSL_CTX *context;
static SSL_SESSION *ticket;
static struct bytes envelope, body, body_and_envelope, chunk;
static long left, done;
static size_t depth = 16; /* messages in flight on a connection */

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "mail_raw: %s\n", what);
    exit(1);
}

/* --- blocking, for the beginning of a connection --- */

static int keep_ticket(SSL *ssl, SSL_SESSION *session)
{
    (void) ssl;
    SSL_SESSION_free(ticket);
    ticket = session;
    return 1;
}

static void say(struct raw *k, struct bytes b)
{
    while (b.len) {
        ssize_t n = k->ssl ? SSL_write(k->ssl, b.data, b.len > 1 << 30 ? 1 << 30 : (int) b.len)
                           : send(k->fd, b.data, b.len, MSG_NOSIGNAL);
        if (n <= 0)
            die("cannot write");
        b.data += n;
        b.len -= (size_t) n;
    }
}

static void say_text(struct raw *k, const char *text)
{
    say(k, (struct bytes){text, strlen(text)});
}

static ssize_t receive(struct raw *k)
{
    ssize_t n = k->ssl ? SSL_read(k->ssl, k->in + k->n_in, (int) (IN_SIZE - k->n_in))
                       : recv(k->fd, k->in + k->n_in, IN_SIZE - k->n_in, 0);
    if (n > 0)
        k->n_in += (size_t) n;
    return n;
}

/* How many whole replies there are, which are taken away. */
static size_t take_replies(struct raw *k)
{
    size_t n = 0, at = 0;
    char *nl;
    while ((nl = memchr(k->in + at, '\n', k->n_in - at))) {
        const char *line = k->in + at;
        at = (size_t) (nl + 1 - k->in);
        if (work == RETR ? *line != '+' : *line != '2' && *line != '3') {
            fprintf(stderr, "mail_raw: %.*s", (int) (nl + 1 - line), line);
            exit(1);
        }
        n += work == RETR || line[3] == ' ';
    }
    memmove(k->in, k->in + at, k->n_in - at);
    k->n_in -= at;
    return n;
}

static void await(struct raw *k, size_t replies)
{
    while (replies) {
        if (receive(k) <= 0)
            die("the server closed the connection");
        size_t n = take_replies(k);
        if (n > replies)
            die("too many replies");
        replies -= n;
    }
}

static void open_raw(struct raw *k)
{
    int on = 1;
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t) port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    k->n_in = k->replies = k->n_queued = 0;
    k->body_next = false;
    k->ssl = NULL;
    k->out.len = 0;
    k->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (k->fd < 0 || connect(k->fd, (struct sockaddr *) &a, sizeof(a)) < 0)
        die("cannot connect");
    setsockopt(k->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (tls) {
        k->ssl = SSL_new(context);
        if (!k->ssl || SSL_set_fd(k->ssl, k->fd) != 1 || SSL_set1_host(k->ssl, host) != 1 ||
            SSL_set_tlsext_host_name(k->ssl, host) != 1 || (ticket && SSL_set_session(k->ssl, ticket) != 1) ||
            SSL_connect(k->ssl) != 1)
            die("TLS does not come about");
        setsockopt(k->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
    }
    await(k, 1);
    char line[2048];
    if (work == RETR) {
        snprintf(line, sizeof(line), "USER %s\r\nPASS %s\r\n", user, password);
        say_text(k, line);
        await(k, 2);
        return;
    }
    say_text(k, "EHLO localhost\r\n");
    await(k, 1);
    unsigned char clear[512], coded[1024];
    int n = snprintf((char *) clear, sizeof(clear), "%c%s%c%s", 0, user, 0, password);
    EVP_EncodeBlock(coded, clear, n);
    snprintf(line, sizeof(line), "AUTH PLAIN %s\r\n", (char *) coded);
    say_text(k, line);
    await(k, 1);
}

static void close_raw(struct raw *k)
{
    say_text(k, "QUIT\r\n");
    await(k, 1);
    if (k->ssl) {
        SSL_shutdown(k->ssl);
        SSL_free(k->ssl);
    }
    close(k->fd);
}

/* --- messages on open connections --- */

static void set_out(struct raw *k, struct bytes what, size_t replies, bool body_next)
{
    k->out = what;
    k->replies += replies;
    k->body_next = body_next;
}

/* What is to be said next, as soon as all that was said is out. */
static void next_words(struct raw *k)
{
    if (work == CHUNKS) {
        if (left && k->n_queued < depth) {
            left--;
            k->n_queued++;
            set_out(k, chunk, ENVELOPE_REPLIES, false);
        }
        return;
    }
    if (k->replies)
        return;
    if (!k->body_next && k->n_queued == 0 && left) {
        left--;
        k->n_queued++;
        set_out(k, envelope, ENVELOPE_REPLIES, true);
    } else if (k->body_next && work == NEXT && left) {
        left--;
        k->n_queued++;
        set_out(k, body_and_envelope, 1 + ENVELOPE_REPLIES, true);
    } else if (k->body_next) {
        set_out(k, body, 1, false);
    }
}

static void count_replies(struct raw *k, size_t n)
{
    while (n--) {
        if (k->replies == 0)
            die("too many replies");
        k->replies--;
        /* the last reply to a message: what is left belongs to those after it */
        bool last = work == CHUNKS ? k->replies % ENVELOPE_REPLIES == 0
                    : work == NEXT && k->body_next ? k->n_queued == 2 && k->replies == ENVELOPE_REPLIES
                                                   : !k->body_next && k->replies == 0;
        if (last) {
            k->n_queued--;
            done++;
        }
    }
}

static bool would_block(struct raw *k, ssize_t n)
{
    if (k->ssl) {
        int e = SSL_get_error(k->ssl, (int) n);
        return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE;
    }
    return n < 0 && errno == EAGAIN;
}

static void turn(struct raw *k)
{
    for (;;) {
        ssize_t n = receive(k);
        if (n <= 0 && !would_block(k, n))
            die("the server closed the connection");
        if (n <= 0)
            break;
        count_replies(k, take_replies(k));
    }
    for (;;) {
        if (k->out.len == 0)
            next_words(k);
        if (k->out.len == 0)
            return;
        ssize_t n = k->ssl ? SSL_write(k->ssl, k->out.data, (int) k->out.len)
                           : send(k->fd, k->out.data, k->out.len, MSG_NOSIGNAL);
        if (n <= 0 && !would_block(k, n))
            die("cannot write");
        if (n <= 0)
            return;
        k->out.data += n;
        k->out.len -= (size_t) n;
    }
}

static void run(struct raw *all, int n_all, long count)
{
    struct pollfd fds[CONNECTIONS_MAX];
    left = count;
    done = 0;
    for (int i = 0; i < n_all; i++)
        turn(&all[i]);
    while (done < count) {
        for (int i = 0; i < n_all; i++)
            fds[i] = (struct pollfd){all[i].fd, (short) (POLLIN | (all[i].out.len ? POLLOUT : 0)), 0};
        if (poll(fds, (nfds_t) n_all, 10000) <= 0)
            die("nothing happens");
        for (int i = 0; i < n_all; i++)
            if (fds[i].revents)
                turn(&all[i]);
    }
}

static void run_cold(struct raw *k, long count)
{
    while (count--) {
        open_raw(k);
        say(k, envelope);
        await(k, ENVELOPE_REPLIES);
        say(k, body);
        await(k, 1);
        close_raw(k);
    }
}

/* Counts the messages by what ends them. */
static void run_retr(struct raw *k, long count)
{
    static const char end[] = "\r\n.\r\n";
    size_t matched = 0;
    char *lines = NULL;
    size_t n_lines = 0;
    FILE *f = open_memstream(&lines, &n_lines);
    for (long i = 1; f && i <= count; i++)
        fprintf(f, "RETR %ld\r\n", i);
    if (!f || fclose(f) != 0)
        die("out of memory");
    say(k, (struct bytes){lines, n_lines});
    while (count) {
        k->n_in = 0;
        if (receive(k) <= 0)
            die("the server closed the connection");
        const char *at = k->in, *stop = k->in + k->n_in;
        while (at < stop) {
            if (matched == 0 && !(at = memchr(at, '\r', (size_t) (stop - at))))
                break;
            matched = *at == end[matched] ? matched + 1 : *at == '\r';
            at++;
            if (matched == sizeof(end) - 1) {
                count--;
                matched = 2;
            }
        }
    }
    k->n_in = 0;
    free(lines);
}

/* --- the task --- */

__attribute__((format(printf, 1, 2))) static struct bytes format(const char *text, ...)
{
    char *out;
    va_list args;
    va_start(args, text);
    int len = vasprintf(&out, text, args);
    va_end(args);
    if (len < 0)
        die("out of memory");
    return (struct bytes){out, (size_t) len};
}

/* Dots at the beginnings of lines doubled, and the final one. */
static struct bytes stuffed(const char *message)
{
    size_t n = strlen(message), at = 0;
    char *out = malloc(2 * n + 6);
    if (!out)
        die("out of memory");
    for (size_t i = 0; i < n; i++) {
        if (message[i] == '.' && (i == 0 || message[i - 1] == '\n'))
            out[at++] = '.';
        out[at++] = message[i];
    }
    memcpy(out + at, ".\r\n", 4);
    return (struct bytes){out, at + 3};
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

/* The peak since exec: that of getrusage() has the parent's in it. */
static long peak_rss(void)
{
    char line[256];
    long kib = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "VmHWM: %ld", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib * 1024;
}

static double cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double) (u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double) (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void read_task(int *connections, long *count)
{
    json_error_t error;
    const char *name, *message = "";
    json_int_t wanted, in_flight = 16;
    json_t *task = json_loadf(stdin, 0, &error);
    from = to = "";
    if (!task || json_unpack(task, "{s:s,s:s,s:i,s:s,s:s,s:s,s?s,s?s,s?s,s:i,s:I,s:b,s?I}", "work", &name, "host", &host, "port", &port,
                             "user", &user, "password", &password, "ca_file", &ca, "from", &from, "to", &to, "message", &message,
                             "connections", connections, "count", &wanted, "tls", &tls, "depth", &in_flight) < 0)
        die("not the task");
    while (work < RETR && strcmp(name, works[work]) != 0)
        work++;
    *count = (long) wanted;
    depth = (size_t) in_flight;
    if (*connections > CONNECTIONS_MAX)
        die("too many connections");
    envelope = format("MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n", from, to);
    body = stuffed(message);
    body_and_envelope = format("%s%s", body.data, envelope.data);
    chunk = format("MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nBDAT %zu LAST\r\n%s", from, to, strlen(message), message);
}

int main(void)
{
    static struct raw all[CONNECTIONS_MAX];
    int connections;
    long count;
    signal(SIGPIPE, SIG_IGN);
    read_task(&connections, &count);
    context = SSL_CTX_new(TLS_client_method());
    if (!context || (tls && SSL_CTX_load_verify_locations(context, ca, NULL) != 1))
        die("no TLS");
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, keep_ticket);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (work == COLD) {
        run_cold(all, 2);
    } else {
        for (int i = 0; i < connections; i++) {
            open_raw(&all[i]);
            if (work != RETR && fcntl(all[i].fd, F_SETFL, O_NONBLOCK) < 0)
                die("fcntl");
        }
        if (work != RETR)
            run(all, connections, 2L * connections);
    }
    double wall = now_s(), cpu = cpu_s();
    if (work == COLD)
        run_cold(all, count);
    else if (work == RETR)
        run_retr(all, count);
    else
        run(all, connections, count);
    wall = now_s() - wall;
    cpu = cpu_s() - cpu;
    printf("{\"count\": %ld, \"wall\": %.6f, \"cpu\": %.6f, \"rss\": %ld}\n", count, wall, cpu, peak_rss());
    return 0;
}
