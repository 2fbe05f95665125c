/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "metrics.h"

#include "accounts.h"
#include "buffer.h"
#include "event.h"
#include "foreign_fd.h"
#include "gateway.h"
#include "loop.h"
#include "pool.h"
#include "worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* Upper bounds, in milliseconds; a last one without bound follows. */
static const unsigned bounds_ms[] = {1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 60000};
#define BUCKETS (ARRAY_LEN(bounds_ms) + 1)

static const char *const event_kinds[] = {"new", "changed", "vanished", "resync", "down", "up"};

struct metrics {
    uint64_t events[ARRAY_LEN(event_kinds)];
    struct {
        uint64_t outcomes[FAULT_KIND_COUNT]; /* FAULT_NONE: it went well */
        uint64_t buckets[BUCKETS];           /* not yet summed up */
        uint64_t total_ms;
    } calls[RPC_METHOD_COUNT];
};

struct metrics *metrics_new(void)
{
    return calloc(1, sizeof(struct metrics));
}

void metrics_free(struct metrics *m)
{
    free(m);
}

void metrics_count_call(struct metrics *m, enum rpc_method_id id, enum fault_kind outcome, uint64_t took_ms)
{
    size_t bucket = 0;
    if (!m)
        return;
    while (bucket < ARRAY_LEN(bounds_ms) && took_ms > bounds_ms[bucket])
        bucket++;
    m->calls[id].outcomes[outcome]++;
    m->calls[id].buckets[bucket]++;
    m->calls[id].total_ms += took_ms;
}

void metrics_count_event(struct metrics *m, const char *kind)
{
    for (size_t i = 0; m && i < ARRAY_LEN(event_kinds); i++)
        m->events[i] += strcmp(event_kinds[i], kind) == 0;
}

/* --- text; the first failure to append sticks in *r --- */

/* What is told of one pool, looked at once for all families. */
struct pool_row {
    const char *account; /* "": those of inline options together */
    enum protocol protocol;
    struct pool_stats stats;
};
struct metrics_text {
    const struct gateway *gateway;
    struct buffer *out;
    struct pool_row *pools;
    size_t n_pools;
    int r;
};
#define PUT(w, ...)                                                                                                    \
    do {                                                                                                               \
        if ((w)->r == 0)                                                                                               \
            (w)->r = buffer_printf((w)->out, __VA_ARGS__);                                                             \
    } while (0)

static void family(struct metrics_text *w, const char *name, const char *type, const char *help)
{
    PUT(w, "# TYPE postern_%s %s\n# HELP postern_%s %s\n", name, type, name, help);
}

static void single(struct metrics_text *w, const char *name, const char *type, const char *help, uint64_t value)
{
    family(w, name, type, help);
    PUT(w, "postern_%s%s %llu\n", name, strcmp(type, "counter") == 0 ? "_total" : "", (unsigned long long) value);
}

/* Those of JSON-RPC itself have no name in the contract. */
static const char *outcome_name(enum fault_kind kind)
{
    const char *name = kind == FAULT_NONE ? "ok" : fault_kind_name(kind);
    return name                           ? name
           : kind == FAULT_INVALID_PARAMS ? "invalid_params"
           : kind == FAULT_INTERNAL       ? "internal"
                                          : "invalid_request";
}

static void put_calls(struct metrics_text *w, const struct metrics *m)
{
    family(w, "calls", "counter", "Calls that are over, by method and outcome.");
    for (int id = 0; id < RPC_METHOD_COUNT; id++)
        for (int kind = 0; kind < FAULT_KIND_COUNT; kind++)
            if (m->calls[id].outcomes[kind])
                PUT(w, "postern_calls_total{method=\"%s\",outcome=\"%s\"} %llu\n",
                    rpc_method_row((enum rpc_method_id) id)->name, outcome_name((enum fault_kind) kind),
                    (unsigned long long) m->calls[id].outcomes[kind]);
    family(w, "call_duration_seconds", "histogram", "How long calls took, from the request to the answer.");
    for (int id = 0; id < RPC_METHOD_COUNT; id++) {
        const char *name = rpc_method_row((enum rpc_method_id) id)->name;
        unsigned long long sum = 0;
        for (size_t i = 0; i < BUCKETS; i++)
            sum += m->calls[id].buckets[i];
        if (sum == 0)
            continue;
        sum = 0;
        for (size_t i = 0; i < BUCKETS; i++) {
            sum += m->calls[id].buckets[i];
            if (i < ARRAY_LEN(bounds_ms))
                PUT(w, "postern_call_duration_seconds_bucket{method=\"%s\",le=\"%g\"} %llu\n", name,
                    (double) bounds_ms[i] / 1000, sum);
            else
                PUT(w, "postern_call_duration_seconds_bucket{method=\"%s\",le=\"+Inf\"} %llu\n", name, sum);
        }
        PUT(w, "postern_call_duration_seconds_count{method=\"%s\"} %llu\n", name, sum);
        PUT(w, "postern_call_duration_seconds_sum{method=\"%s\"} %.3f\n", name, (double) m->calls[id].total_ms / 1000);
    }
}

/* What is told of every pool; accounts' names need no escaping (configuration.h says which they are). */
enum pool_metric {
    POOL_CONNECTING,
    POOL_ACTIVE,
    POOL_IDLE,
    POOL_LEASED,
    POOL_WAITING,
    POOL_BACKOFF,
    POOL_OPENED,
    POOL_TLS,
    POOL_FAILED,
    POOL_CLOSED,
    POOL_REUSED,
    POOL_RESTARTED,
    POOL_IN,
    POOL_OUT,
    POOL_METRICS
};
static const struct {
    const char *name, *type, *help;
} pool_metrics[POOL_METRICS] = {
    [POOL_CONNECTING] = {"pool_connecting", "gauge", "Connections that are being made."},
    [POOL_ACTIVE] = {"pool_active", "gauge", "Connections that work."},
    [POOL_IDLE] = {"pool_idle", "gauge", "Connections that wait for work."},
    [POOL_LEASED] = {"pool_leased", "gauge", "Connections that are a session's."},
    [POOL_WAITING] = {"pool_waiting", "gauge", "Calls that wait for a connection."},
    [POOL_BACKOFF] = {"pool_backoff_seconds", "gauge", "How long the server is still left alone."},
    [POOL_OPENED] = {"pool_opened", "counter", "Connections made and logged in."},
    [POOL_TLS] = {"pool_opened_tls", "counter", "Those of them with TLS."},
    [POOL_FAILED] = {"pool_failed", "counter", "Connections that could not be made."},
    [POOL_CLOSED] = {"pool_closed", "counter", "Connections that ended."},
    [POOL_REUSED] = {"pool_reused", "counter", "Calls that found a connection ready."},
    [POOL_RESTARTED] = {"pool_restarted", "counter", "Calls that were run anew on another connection."},
    [POOL_IN] = {"pool_received_bytes", "counter", "Bytes from servers."},
    [POOL_OUT] = {"pool_sent_bytes", "counter", "Bytes to servers."},
};

static double pool_value(const struct metrics_text *w, enum pool_metric which, const struct pool_stats *s)
{
    uint64_t now = loop_now_ms(w->gateway->loop);
    switch (which) {
    case POOL_CONNECTING:
        return s->connecting;
    case POOL_ACTIVE:
        return s->active;
    case POOL_IDLE:
        return s->idle;
    case POOL_LEASED:
        return s->leased;
    case POOL_WAITING:
        return s->waiting;
    case POOL_BACKOFF:
        return s->backoff_until_ms > now ? (double) (s->backoff_until_ms - now) / 1000 : 0;
    case POOL_OPENED:
        return (double) s->opened;
    case POOL_TLS:
        return (double) s->opened_tls;
    case POOL_FAILED:
        return (double) s->failed;
    case POOL_CLOSED:
        return (double) s->closed;
    case POOL_REUSED:
        return (double) s->reused;
    case POOL_RESTARTED:
        return (double) s->restarted;
    case POOL_IN:
        return (double) s->bytes_in;
    case POOL_OUT:
        return (double) s->bytes_out;
    case POOL_METRICS:
        break;
    }
    return 0;
}

static void add_stats(struct pool_stats *sum, const struct pool_stats *s)
{
    sum->connecting += s->connecting;
    sum->active += s->active;
    sum->idle += s->idle;
    sum->leased += s->leased;
    sum->waiting += s->waiting;
    sum->backoff_until_ms = MAX(sum->backoff_until_ms, s->backoff_until_ms);
    sum->opened += s->opened;
    sum->opened_tls += s->opened_tls;
    sum->failed += s->failed;
    sum->closed += s->closed;
    sum->reused += s->reused;
    sum->restarted += s->restarted;
    sum->bytes_in += s->bytes_in;
    sum->bytes_out += s->bytes_out;
    sum->exchanges += s->exchanges;
    sum->wait_total_ms += s->wait_total_ms;
}

/* Those of inline options have no name, come and go, and are told together. */
static int look_at_pools(struct metrics_text *w)
{
    struct pool_row unnamed[PROTOCOL_COUNT] = {0};
    bool any[PROTOCOL_COUNT] = {false};
    size_t n = 0;
    for (struct account *a = NULL; (a = accounts_next(w->gateway->accounts, a));)
        n += account_name(a) != NULL;
    w->pools = calloc((n + 1) * PROTOCOL_COUNT, sizeof(*w->pools));
    if (!w->pools)
        return -ENOMEM;
    for (struct account *a = NULL; (a = accounts_next(w->gateway->accounts, a));)
        for (int p = 0; p < PROTOCOL_COUNT; p++) {
            struct pool *pool = account_existing_pool(a, (enum protocol) p);
            struct pool_row row = {account_name(a), (enum protocol) p, {0}};
            if (!pool)
                continue;
            pool_stats(pool, &row.stats);
            if (row.account) {
                w->pools[w->n_pools++] = row;
                continue;
            }
            any[p] = true;
            add_stats(&unnamed[p].stats, &row.stats);
        }
    for (int p = 0; p < PROTOCOL_COUNT; p++)
        if (any[p])
            w->pools[w->n_pools++] = (struct pool_row){"", (enum protocol) p, unnamed[p].stats};
    return 0;
}

#define POOL_LABELS "account=\"%s\",protocol=\"%s\""

static void put_pools(struct metrics_text *w)
{
    for (int which = 0; which < POOL_METRICS; which++) {
        const char *suffix = strcmp(pool_metrics[which].type, "counter") == 0 ? "_total" : "";
        family(w, pool_metrics[which].name, pool_metrics[which].type, pool_metrics[which].help);
        for (const struct pool_row *row = w->pools; row < w->pools + w->n_pools; row++)
            PUT(w, "postern_%s%s{" POOL_LABELS "} %.15g\n", pool_metrics[which].name, suffix, row->account,
                protocol_name(row->protocol), pool_value(w, (enum pool_metric) which, &row->stats));
    }
    family(w, "pool_wait_seconds", "summary", "How long calls waited for a connection.");
    for (const struct pool_row *row = w->pools; row < w->pools + w->n_pools; row++) {
        const char *protocol = protocol_name(row->protocol);
        PUT(w, "postern_pool_wait_seconds_count{" POOL_LABELS "} %llu\n", row->account, protocol,
            (unsigned long long) row->stats.exchanges);
        PUT(w, "postern_pool_wait_seconds_sum{" POOL_LABELS "} %.3f\n", row->account, protocol,
            (double) row->stats.wait_total_ms / 1000);
    }
}

/* Watched mailboxes by how they are watched, with those that are out of reach apart. */
static void put_events(struct metrics_text *w, const struct metrics *m)
{
    static const char *const modes[] = {[EVENT_MODE_IDLE] = "idle", [EVENT_MODE_NOTIFY] = "notify", [EVENT_MODE_POLL] = "poll"};
    uint64_t up[ARRAY_LEN(modes)] = {0}, down = 0, subscriptions = 0;
    const struct event_watch *watch;
    list_foreach (&w->gateway->watches, watch, struct event_watch, link) {
        if (watch->up)
            up[watch->mode]++;
        else
            down++;
        const struct event_sub *sub;
        list_foreach (&watch->subs, sub, struct event_sub, link)
            subscriptions += sub->watch == watch;
    }
    single(w, "subscriptions", "gauge", "Subscriptions of callers to mailboxes.", subscriptions);
    family(w, "watches", "gauge", "Mailboxes that are watched, by how.");
    for (size_t i = 0; i < ARRAY_LEN(modes); i++)
        PUT(w, "postern_watches{mode=\"%s\"} %llu\n", modes[i], (unsigned long long) up[i]);
    PUT(w, "postern_watches{mode=\"down\"} %llu\n", (unsigned long long) down);
    if (!m)
        return;
    family(w, "events", "counter", "Notifications to subscribers, by kind.");
    for (size_t i = 0; i < ARRAY_LEN(event_kinds); i++)
        PUT(w, "postern_events_total{kind=\"%s\"} %llu\n", event_kinds[i], (unsigned long long) m->events[i]);
}

static void put_helper(struct metrics_text *w, const char *name, const struct worker_pool *pool)
{
    PUT(w, "postern_helper_jobs{helper=\"%s\",state=\"busy\"} %llu\n", name, (unsigned long long) worker_pool_busy(pool));
    PUT(w, "postern_helper_jobs{helper=\"%s\",state=\"queued\"} %llu\n", name, (unsigned long long) worker_pool_queued(pool));
}

/* What the kernel says of this process, by the names that are usual for it. */
static void put_process(struct metrics_text *w)
{
    struct rusage usage = {0};
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm && fscanf(statm, "%*u %lu", &pages) == 1)
        PUT(w, "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes %llu\n",
            (unsigned long long) pages * (unsigned long long) sysconf(_SC_PAGESIZE));
    if (statm)
        fclose(statm);
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        PUT(w, "# TYPE process_cpu_seconds counter\nprocess_cpu_seconds_total %.3f\n",
            (double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                (double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
}

int metrics_write(const struct gateway *g, struct buffer *out)
{
    struct metrics_text w = {.gateway = g, .out = out};
    w.r = look_at_pools(&w);
    family(&w, "build", "info", "The version.");
    PUT(&w, "postern_build_info{version=\"%s\"} 1\n", PACKAGE_VERSION);
    single(&w, "uptime_seconds", "gauge", "Since the daemon started.", (loop_now_ms(g->loop) - g->started_ms) / 1000);
    single(&w, "loop_turns", "counter", "Turns of the event loop.", loop_turns(g->loop));
    single(&w, "clients", "gauge", "Connections to the socket.", g->n_clients);
    single(&w, "clients_accepted", "counter", "Connections to the socket so far.", g->n_clients_ever);
    single(&w, "calls_running", "gauge", "Calls under way.", g->n_calls);
    single(&w, "descriptors", "gauge", "Descriptors of callers that are held.", foreign_count(g->foreign));
    family(&w, "memory_bytes", "gauge", "Memory by what for.");
    PUT(&w, "postern_memory_bytes{use=\"spools\"} %llu\npostern_memory_bytes{use=\"requests\"} %llu\n",
        (unsigned long long) (g->memory.used - g->memory.taken), (unsigned long long) g->memory.taken);
    single(&w, "memory_max_bytes", "gauge", "What both may take together.", g->memory.max);
    family(&w, "helper_jobs", "gauge", "Work that is done beside the loop.");
    put_helper(&w, "resolver", g->resolver);
    put_helper(&w, "files", g->files);
    put_helper(&w, "cpu", g->cpu);
    if (g->metrics)
        put_calls(&w, g->metrics);
    put_pools(&w);
    put_events(&w, g->metrics);
    put_process(&w);
    PUT(&w, "# EOF\n");
    free(w.pools);
    return w.r;
}
