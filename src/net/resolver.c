/* SPDX-License-Identifier: MIT */
#include "resolver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <idn2.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

struct resolver {
    struct loop *loop;
    struct worker_pool *workers;
    struct list lookups;
    struct list literals; /* look-ups that needed no thread and wait for `answer` */
    struct loop_task answer;
};

/* One name that is being looked up, and who waits for it. The job is the thread's: it shares nothing with the lookup. */
struct resolver_job {
    struct worker_job job;
    struct resolver_lookup *lookup; /* NULL: nobody waits any more */
    char host[HOST_NAME_LIMIT];
    int family;
    int error, saved_errno; /* of getaddrinfo */
    struct address_list list;
};

struct resolver_lookup {
    struct list link;
    struct resolver *resolver;
    struct list queries;
    struct resolver_job *job; /* NULL: a literal */
    char host[HOST_NAME_LIMIT];
    int family;
    struct address literal;
};

bool address_from_literal(const char *text, struct address *ret)
{
    char host[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
    struct address a = {.len = 0};
    size_t len = strlen(text);

    if (len > 2 && text[0] == '[' && text[len - 1] == ']')
        text++, len -= 2;
    if (len == 0 || len >= sizeof(host))
        return false;
    memcpy(host, text, len);
    host[len] = '\0';

    struct sockaddr_in *v4 = (struct sockaddr_in *) &a.storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) &a.storage;
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        a.len = sizeof(*v4);
    } else {
        char *zone = strchr(host, '%');
        if (zone) {
            *zone++ = '\0';
            v6->sin6_scope_id = if_nametoindex(zone);
            if (v6->sin6_scope_id == 0)
                return false;
        }
        if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1)
            return false;
        v6->sin6_family = AF_INET6;
        a.len = sizeof(*v6);
    }
    *ret = a;
    return true;
}

void address_set_port(struct address *a, uint16_t port)
{
    if (a->sa.sa_family == AF_INET)
        ((struct sockaddr_in *) &a->storage)->sin_port = htons(port);
    else if (a->sa.sa_family == AF_INET6)
        ((struct sockaddr_in6 *) &a->storage)->sin6_port = htons(port);
}

void address_format(const struct address *a, char *out, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (a->sa.sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *) &a->storage;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
        snprintf(out, size, "%s:%u", host, ntohs(v4->sin_port));
    } else if (a->sa.sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *) &a->storage;
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
        snprintf(out, size, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else {
        snprintf(out, size, "?");
    }
}

int host_to_ascii(const char *host, char ret[HOST_NAME_LIMIT])
{
    struct address literal;
    size_t len = strlen(host);

    if (address_from_literal(host, &literal)) {
        bool bracketed = host[0] == '[';
        size_t bare = len - (bracketed ? 2 : 0);
        if (bare >= HOST_NAME_LIMIT)
            return -EINVAL;
        memcpy(ret, host + (bracketed ? 1 : 0), bare);
        ret[bare] = '\0';
        return 0;
    }
    if (len && host[len - 1] == '.')
        len--;
    if (len == 0 || len >= HOST_NAME_LIMIT)
        return -EINVAL;
    char name[HOST_NAME_LIMIT];
    bool ascii = true;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char) host[i];
        if (c <= ' ' || c == 0x7f || c == '/' || c == '@' || c == ':' || c == '%')
            return -EINVAL;
        ascii = ascii && c < 0x80;
        name[i] = ascii_lower(host[i]);
    }
    name[len] = '\0';
    if (ascii) {
        memcpy(ret, name, len + 1);
        return 0;
    }
    char *converted = NULL;
    int r = idn2_to_ascii_8z(name, &converted, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
    if (r != IDN2_OK)
        return r == IDN2_MALLOC ? -ENOMEM : -EINVAL;
    len = strlen(converted);
    if (len < HOST_NAME_LIMIT)
        memcpy(ret, converted, len + 1);
    idn2_free(converted);
    return len < HOST_NAME_LIMIT ? 0 : -EINVAL;
}

/* On a helper thread. */
static void job_work(struct worker_job *wj)
{
    struct resolver_job *job = container_of(wj, struct resolver_job, job);
    struct addrinfo hints = {.ai_family = job->family, .ai_socktype = SOCK_STREAM}, *found = NULL;

    job->error = getaddrinfo(job->host, NULL, &hints, &found);
    job->saved_errno = errno;
    if (job->error)
        return;
    for (struct addrinfo *ai = found; ai && job->list.n < ADDRESS_MAX; ai = ai->ai_next) {
        if (ai->ai_addrlen > sizeof(struct sockaddr_storage))
            continue;
        struct address *a = &job->list.items[job->list.n++];
        memcpy(&a->storage, ai->ai_addr, ai->ai_addrlen);
        a->len = ai->ai_addrlen;
    }
    freeaddrinfo(found);
}

static void lookup_answer(struct resolver_lookup *lookup, const struct address_list *list, const struct fault *fault)
{
    list_remove(&lookup->link);
    while (!list_is_empty(&lookup->queries)) {
        struct resolver_query *q = list_first(&lookup->queries, struct resolver_query, link);
        list_remove(&q->link);
        q->lookup = NULL;
        q->done(q, list, fault);
    }
    free(lookup);
}

static void job_done(struct worker_job *wj)
{
    struct resolver_job *job = container_of(wj, struct resolver_job, job);
    struct fault fault = {0};

    if (job->error) {
        const char *why = job->error == EAI_SYSTEM ? strerror(job->saved_errno) : gai_strerror(job->error);
        fault_set(&fault, -EHOSTUNREACH, FAULT_CONNECT, "dns", "look-up of %s: %s", job->host, why);
        if (job->error == EAI_NONAME)
            fault.retry = RETRY_NO;
    } else if (job->list.n == 0) {
        fault_set(&fault, -EHOSTUNREACH, FAULT_CONNECT, "dns", "look-up of %s: no address", job->host);
    }
    job->lookup->job = NULL;
    lookup_answer(job->lookup, job->list.n ? &job->list : NULL, &fault);
}

static void job_destroy(struct worker_job *wj)
{
    free(container_of(wj, struct resolver_job, job));
}

static void answer_literals(void *arg)
{
    struct resolver *r = arg;
    while (!list_is_empty(&r->literals)) {
        struct resolver_lookup *lookup = list_first(&r->literals, struct resolver_lookup, link);
        struct address_list list = {.n = 1};
        list.items[0] = lookup->literal;
        lookup_answer(lookup, &list, NULL);
    }
}

struct resolver *resolver_new(struct loop *l, struct worker_pool *workers)
{
    struct resolver *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->loop = l;
    r->workers = workers;
    list_init(&r->lookups);
    list_init(&r->literals);
    loop_task_init(&r->answer, l, answer_literals, r);
    return r;
}

void resolver_free(struct resolver *r)
{
    if (!r)
        return;
    loop_task_cancel(&r->answer);
    free(r);
}

static int start_job(struct resolver *r, struct resolver_lookup *lookup)
{
    struct resolver_job *job = calloc(1, sizeof(*job));
    if (!job)
        return -ENOMEM;
    job->job.work = job_work;
    job->job.done = job_done;
    job->job.destroy = job_destroy;
    job->lookup = lookup;
    job->family = lookup->family;
    memcpy(job->host, lookup->host, sizeof(job->host));
    int e = worker_submit(r->workers, &job->job);
    if (e < 0) {
        free(job);
        return e;
    }
    lookup->job = job;
    return 0;
}

int resolver_query(struct resolver *r, const char *host, int family, struct resolver_query *q, struct fault *fault)
{
    char name[HOST_NAME_LIMIT];
    struct resolver_lookup *lookup;

    list_init(&q->link);
    q->lookup = NULL;
    int e = host_to_ascii(host, name);
    if (e < 0)
        return fault_set(fault, e, e == -ENOMEM ? FAULT_INTERNAL : FAULT_CONNECT, "dns", "%s: %s", host,
                         e == -ENOMEM ? "out of memory" : "not the name of a host");
    list_foreach(&r->lookups, lookup, struct resolver_lookup, link)
        if (lookup->family == family && strcmp(lookup->host, name) == 0)
            goto found;

    lookup = calloc(1, sizeof(*lookup));
    if (!lookup)
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, "dns", "out of memory");
    lookup->resolver = r;
    lookup->family = family;
    memcpy(lookup->host, name, sizeof(lookup->host));
    list_init(&lookup->queries);
    list_init(&lookup->link);
    if (address_from_literal(name, &lookup->literal)) {
        if (family != AF_UNSPEC && family != lookup->literal.sa.sa_family) {
            free(lookup);
            return fault_set(fault, -EAFNOSUPPORT, FAULT_CONNECT, "dns", "%s is not of the configured family", name);
        }
        list_append(&r->literals, &lookup->link);
        loop_task_schedule(&r->answer);
    } else {
        e = start_job(r, lookup);
        if (e < 0) {
            free(lookup);
            return fault_set(fault, e, FAULT_CONNECT, "dns", "look-up of %s: too many look-ups at once", name);
        }
        list_append(&r->lookups, &lookup->link);
    }
found:
    q->lookup = lookup;
    list_append(&lookup->queries, &q->link);
    return 0;
}

void resolver_cancel(struct resolver_query *q)
{
    struct resolver_lookup *lookup = q->lookup;
    if (!lookup)
        return;
    list_remove(&q->link);
    q->lookup = NULL;
    /* A lookup that is just answering is not in a list of the resolver: lookup_answer() frees it. */
    if (!list_is_empty(&lookup->queries) || list_is_empty(&lookup->link))
        return;
    list_remove(&lookup->link);
    if (lookup->job)
        worker_detach(&lookup->job->job);
    free(lookup);
}
