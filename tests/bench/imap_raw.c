/* SPDX-License-Identifier: MIT */
/* IMAP with the least that it allows: commands go out, the bytes that come are looked at for the last tag and for nothing else; the
 * limit for any client. The task is JSON on standard input (frame.py); "work" is
 *   list     what a list of messages needs, of all
 *   fetch    whole messages, in one command
 *   single   the same, a command for each, all in one write
 *   search   for words in bodies, one after the other */
#include "peer.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_SIZE 65536
#define TAIL 32 /* of the bytes before, in which a tag's line may have begun */

static SSL *ssl;
static char in[TAIL + IN_SIZE];
static size_t tail;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "imap_raw: %s\n", what);
    exit(1);
}

static void say(const char *text, size_t len)
{
    if (SSL_write(ssl, text, (int) len) != (int) len)
        die("cannot write");
}

/* Until the line that begins with the tag; NULL: any one line. */
static void await(const char *tag)
{
    char end[TAIL];
    int n_end = snprintf(end, sizeof(end), "\n%s ", tag ? tag : "");
    for (;;) {
        int n = SSL_read(ssl, in + tail, IN_SIZE);
        if (n <= 0)
            die("the server closed the connection");
        size_t len = tail + (size_t) n;
        const char *found = tag ? memmem(in, len, end, (size_t) n_end) : memchr(in, '\n', len);
        if (found && tag && (size_t) (in + len - found) > (size_t) n_end && found[n_end] != 'O')
            die("the server refuses");
        if (found) {
            memcpy(in, "\n", tail = 1);
            return;
        }
        size_t keep = len < (size_t) n_end ? len : (size_t) n_end;
        memmove(in, in + len - keep, tail = keep);
    }
}

static void run(const char *tag, const char *command)
{
    char line[512];
    int n = snprintf(line, sizeof(line), "%s %s\r\n", tag, command);
    say(line, (size_t) n);
    await(tag);
}

static void connect_to(int port, const char *ca, const char *user, const char *password)
{
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t) port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (fd < 0 || connect(fd, (struct sockaddr *) &a, sizeof(a)) < 0)
        die("cannot connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (!context || SSL_CTX_load_verify_locations(context, ca, NULL) != 1)
        die("no TLS");
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_AUTO_RETRY);
    ssl = SSL_new(context);
    if (!ssl || SSL_set_fd(ssl, fd) != 1 || SSL_set1_host(ssl, "localhost") != 1 ||
        SSL_set_tlsext_host_name(ssl, "localhost") != 1 || SSL_connect(ssl) != 1)
        die("TLS does not come about");
    await(NULL);
    char command[400];
    snprintf(command, sizeof(command), "LOGIN \"%s\" \"%s\"", user, password);
    run("a1", command);
    run("a2", "EXAMINE INBOX");
}

static void fetch_singly(int count)
{
    char *commands = NULL, tag[16];
    size_t len = 0;
    FILE *f = open_memstream(&commands, &len);
    for (int i = 1; f && i <= count; i++)
        fprintf(f, "x%d UID FETCH %d (UID BODY.PEEK[])\r\n", i, i);
    if (!f || fclose(f) != 0)
        die("out of memory");
    say(commands, len);
    snprintf(tag, sizeof(tag), "x%d", count);
    await(tag);
    free(commands);
}

int main(void)
{
    json_error_t error;
    const char *work, *user, *password, *ca, *words = "";
    int port, count;
    char command[256], tag[16];
    json_t *task = json_loadf(stdin, 0, &error);
    if (!task || json_unpack(task, "{s:s,s:i,s:s,s:s,s:s,s:i,s?s}", "work", &work, "port", &port, "user", &user, "password",
                             &password, "ca", &ca, "count", &count, "words", &words) < 0)
        die("not the task");
    connect_to(port, ca, user, password);
    struct peer_clock begun = peer_begin();
    if (strcmp(work, "list") == 0) {
        run("b", "UID FETCH 1:* (UID FLAGS ENVELOPE BODYSTRUCTURE INTERNALDATE RFC822.SIZE)");
    } else if (strcmp(work, "fetch") == 0) {
        snprintf(command, sizeof(command), "UID FETCH 1:%d (UID BODY.PEEK[])", count);
        run("b", command);
    } else if (strcmp(work, "single") == 0) {
        fetch_singly(count);
    } else {
        snprintf(command, sizeof(command), "UID SEARCH BODY \"%s\"", words);
        for (int i = 0; i < count; i++) {
            snprintf(tag, sizeof(tag), "s%d", i);
            run(tag, command);
        }
    }
    peer_end(begun, count);
    return 0;
}
