/* SPDX-License-Identifier: MIT */
/* How long to leave a server alone after failures. The first failure costs nothing, so that a call after a hiccup works at
 * once; further ones cost 250 ms, doubled each time up to a minute, with jitter, so that many pools do not come
 * back together. One is kept by each pool, and one for each host and port by the net context. */
#ifndef POSTERN_BACKOFF_H
#define POSTERN_BACKOFF_H

#include "fault.h"
#include "list.h"
#include "macros.h"

struct backoff {
    unsigned failures;
    uint64_t until_ms; /* loop time; 0: none */
};
void backoff_failed(struct backoff *b, uint64_t now_ms);
void backoff_reset(struct backoff *b);
/* Milliseconds still to wait. */
uint64_t backoff_remaining(const struct backoff *b, uint64_t now_ms);
/* base * 2^(n-1), at most `max`, minus up to a fifth by chance. */
uint64_t backoff_growing(uint64_t base_ms, unsigned n, uint64_t max_ms);
/* `ms` less up to a tenth by chance. */
uint64_t backoff_jitter(uint64_t ms);

#define BACKOFF_HOSTS_TAUGHT 256                /* hosts without references that are remembered for what they taught */
#define BACKOFF_LESSON_MS (24 * 3600 * 1000ULL) /* after that a server may be tried anew */

/* What is known of a host and port, whoever connects to it. */
struct backoff_host {
    struct list link;
    unsigned refs;
    struct backoff backoff;
    struct fault last_fault;    /* why, as far as it does not depend on who connects */
    unsigned lessons;           /* set of ENGINE_LESSON_… */
    uint64_t lessons_until_ms;
    char name[]; /* "host:port", and by way of which proxy */
};
/* A reference to the one of that name in the list; NULL when out of memory. */
struct backoff_host *backoff_host_get(struct list *hosts, const char *host, unsigned port);
/* The same for those who go through a proxy (NULL: none): what fails on that way is nothing to those who take another. */
struct backoff_host *backoff_host_get_via(struct list *hosts, const char *host, unsigned port, const char *proxy,
                                          unsigned proxy_port);
/* One that has taught something stays in the list without references, as long as there are not too many. */
void backoff_host_unref(struct list *hosts, struct backoff_host *h);
/* Loop time is `now_ms`. */
unsigned backoff_host_lessons(const struct backoff_host *h, uint64_t now_ms);
void backoff_host_teach(struct backoff_host *h, unsigned lessons, uint64_t now_ms);
/* The end of the process: forgets all that have no references. */
void backoff_hosts_done(struct list *hosts);

#endif
