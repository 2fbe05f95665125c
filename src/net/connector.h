/* SPDX-License-Identifier: MIT */
/* From a list of addresses to one connected socket: addresses are tried alternating between families, a new attempt every
 * 250 ms or as soon as the one before has failed, the first that connects wins (RFC 8305 sections 4 and 5). The socket
 * comes out non-blocking, with TCP_NODELAY, TCP_QUICKACK and, where asked for, keep-alive. Loop thread only. */
#ifndef POSTERN_CONNECTOR_H
#define POSTERN_CONNECTOR_H

#include "fault.h"
#include "loop.h"
#include "resolver.h"

struct connector;

struct connector_options {
    uint16_t port;
    const char *local_address; /* a numeric address to connect from, or NULL */
    bool keepalive;
    uint64_t user_timeout_ms; /* how long sent bytes may stay unacknowledged (TCP_USER_TIMEOUT); 0: the system's */
};

/* `done`: from the loop, once, never from inside connector_new(): a socket, the receiver's from then on, and the address
 * it is connected to; or -1 and why (stage "connect"). The connector has to be freed by the receiver, which may be done
 * in the call. The list is copied. NULL when out of memory. */
typedef void connector_done(void *arg, int fd, const struct address *peer, const struct fault *fault);
struct connector *connector_new(struct loop *l, const struct address_list *list, const struct connector_options *options,
                                connector_done *done, void *arg);
/* Abandons what is under way; accepts NULL. */
void connector_free(struct connector *c);

/* Asks the kernel to acknowledge at once what comes next: a server that sends a greeting behind its TLS tickets waits
 * for that acknowledgement. */
void socket_quickack(int fd);

#endif
