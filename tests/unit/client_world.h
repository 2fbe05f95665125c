/* SPDX-License-Identifier: MIT */
/* A gateway for tests of libpostern: a thread that reads lines and answers as the test's script says. */
#ifndef POSTERN_CLIENT_WORLD_H
#define POSTERN_CLIENT_WORLD_H

#include "macros.h"
#include "postern.h"
#include "unit.h"

struct server {
    int fd;
    char text[70000];
    size_t len;
    int fds[16];
    size_t n_fds;
};
typedef void client_script(struct server *s);

/* The next line, NUL-terminated, until the next call; NULL at the end. Its descriptors are collected. */
char *server_read(struct server *s);
void server_write(struct server *s, const char *text);
void server_write_fd(struct server *s, const char *text, int fd);

/* The connection of most tests, and what went wrong with it. */
extern struct postern *p;
extern struct postern_error error;
/* Connects it to a gateway that does what the script says; closes it, and waits for the gateway's end. */
void start(client_script *fn);
void stop(void);
/* The gateway alone: the client's end of its socket; waits until it has ended. */
int serve(client_script *fn);
void served(void);

#endif
