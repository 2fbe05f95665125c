/* SPDX-License-Identifier: MIT */
/* Names to addresses. getaddrinfo() runs on a helper thread, so that nsswitch is honoured and the loop never waits. One
 * look-up a name and family at a time, however many ask for it; nothing is cached beyond that (the system's resolver
 * does). Names beyond ASCII are turned into A-labels (IDNA 2008, RFC 5891). Loop thread only. */
#ifndef POSTERN_RESOLVER_H
#define POSTERN_RESOLVER_H

#include "fault.h"
#include "loop.h"
#include "worker.h"

#include <sys/socket.h>

#define ADDRESS_MAX 16     /* addresses of one name that are kept */
#define HOST_NAME_LIMIT 254 /* RFC 1035 2.3.4, with a NUL */

struct address {
    union {
        struct sockaddr sa;
        struct sockaddr_storage storage;
    };
    socklen_t len;
};

struct address_list {
    size_t n;
    struct address items[ADDRESS_MAX];
};

struct resolver;
/* NULL when out of memory. Both must outlive it. */
struct resolver *resolver_new(struct loop *l, struct worker_pool *workers);
/* No query may be waiting. */
void resolver_free(struct resolver *r);

/* Embedded in the asker's object. */
struct resolver_query {
    struct list link;
    struct resolver_lookup *lookup;
    /* From the loop, once, never from inside resolver_query(): a list of at least one address with port 0, valid during
     * the call, or NULL and why (stage "dns"). */
    void (*done)(struct resolver_query *q, const struct address_list *list, const struct fault *fault);
};
/* `family`: AF_UNSPEC, AF_INET, AF_INET6. <0 with *fault: refused at once, done() will not be called. */
int resolver_query(struct resolver *r, const char *host, int family, struct resolver_query *q,
                   struct fault *fault) ATTR_WARN_UNUSED;
/* done() will not be called; a query that is not waiting is left alone. The thread is not disturbed, and who else waits
 * for the name still gets it. */
void resolver_cancel(struct resolver_query *q);

/* The name as it goes to DNS, SNI and certificates: lower-case A-labels, without the dot at the end; IP literals (also
 * in brackets) as they are. -EINVAL when it cannot be a host's name, -ENOMEM. */
int host_to_ascii(const char *host, char ret[HOST_NAME_LIMIT]);
/* An IPv4 or IPv6 literal (a zone index is allowed), without any look-up. */
bool address_from_literal(const char *text, struct address *ret);
void address_set_port(struct address *a, uint16_t port);
/* "192.0.2.1:25", "[2001:db8::1]:25". */
void address_format(const struct address *a, char *out, size_t size);

#endif
