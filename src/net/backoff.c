/* SPDX-License-Identifier: MIT */
#include "backoff.h"

#include "hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FIRST_MS 250
#define LONGEST_MS 60000

/* Chance enough to spread load; nothing secret hangs on it. */
static uint64_t chance(uint64_t below)
{
    static uint64_t counter;
    counter++;
    return below ? hash_bytes(&counter, sizeof(counter)) % below : 0;
}

uint64_t backoff_growing(uint64_t base_ms, unsigned n, uint64_t max_ms)
{
    uint64_t ms = base_ms;
    for (unsigned i = 1; i < n && ms < max_ms; i++)
        ms *= 2;
    ms = MIN(ms, max_ms);
    return ms - chance(ms / 5 + 1);
}

uint64_t backoff_jitter(uint64_t ms)
{
    return ms - chance(ms / 10 + 1);
}

void backoff_failed(struct backoff *b, uint64_t now_ms)
{
    b->failures++;
    b->until_ms = b->failures > 1 ? now_ms + backoff_growing(FIRST_MS, b->failures - 1, LONGEST_MS) : 0;
}

void backoff_reset(struct backoff *b)
{
    *b = (struct backoff){0};
}

uint64_t backoff_remaining(const struct backoff *b, uint64_t now_ms)
{
    return b->until_ms > now_ms ? b->until_ms - now_ms : 0;
}

static struct backoff_host *find_or_add(struct list *hosts, const char *name)
{
    struct backoff_host *h;
    list_foreach(hosts, h, struct backoff_host, link) {
        if (strcasecmp(h->name, name) == 0) {
            h->refs++;
            return h;
        }
    }
    h = calloc(1, sizeof(*h) + strlen(name) + 1);
    if (h) {
        h->refs = 1;
        memcpy(h->name, name, strlen(name) + 1);
        list_append(hosts, &h->link);
    }
    return h;
}

struct backoff_host *backoff_host_get(struct list *hosts, const char *host, unsigned port)
{
    return backoff_host_get_via(hosts, host, port, NULL, 0);
}

struct backoff_host *backoff_host_get_via(struct list *hosts, const char *host, unsigned port, const char *proxy,
                                          unsigned proxy_port)
{
    char *name = NULL;
    int r = proxy ? asprintf(&name, "%s:%u by way of %s:%u", host, port, proxy, proxy_port)
                  : asprintf(&name, "%s:%u", host, port);
    if (r < 0)
        return NULL;
    struct backoff_host *h = find_or_add(hosts, name);
    free(name);
    return h;
}

static void forget(struct backoff_host *h)
{
    list_remove(&h->link);
    free(h);
}

void backoff_host_unref(struct list *hosts, struct backoff_host *h)
{
    struct backoff_host *other, *oldest = NULL;
    unsigned n = 0;

    if (!h || --h->refs)
        return;
    if (!h->lessons) {
        forget(h);
        return;
    }
    h->backoff = (struct backoff){0};
    list_foreach(hosts, other, struct backoff_host, link) {
        if (other->refs)
            continue;
        n++;
        if (!oldest || other->lessons_until_ms < oldest->lessons_until_ms)
            oldest = other;
    }
    if (n > BACKOFF_HOSTS_TAUGHT)
        forget(oldest);
}

unsigned backoff_host_lessons(const struct backoff_host *h, uint64_t now_ms)
{
    return now_ms < h->lessons_until_ms ? h->lessons : 0;
}

void backoff_host_teach(struct backoff_host *h, unsigned lessons, uint64_t now_ms)
{
    h->lessons = backoff_host_lessons(h, now_ms) | lessons;
    h->lessons_until_ms = now_ms + BACKOFF_LESSON_MS;
}

void backoff_hosts_done(struct list *hosts)
{
    struct backoff_host *h;
    list_foreach(hosts, h, struct backoff_host, link)
        if (h->refs == 0)
            forget(h);
}
