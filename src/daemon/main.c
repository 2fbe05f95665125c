/* SPDX-License-Identifier: MIT */
/* posternd: reads the configuration, makes the parts, runs the loop, takes everything apart again. */
#include "config.h"

#include "client.h"
#include "content_types.h"
#include "event.h"
#include "file_helper.h"
#include "foreign_fd.h"
#include "idempotency.h"
#include "listener.h"
#include "log.h"
#include "methods.h"
#include "metrics.h"
#include "op_core.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_CONFIG POSTERN_SYSCONFDIR "/postern/postern.conf"

#define RESOLVER_THREADS 8
#define RESOLVER_QUEUE 4096
/* Used for foreign files only where there can be no helper processes. More than one user's share
 * (max_file_readers_per_user): whose files hang, hangs alone. */
#define FILES_THREADS 64
#define FILES_QUEUE 4096
#define CPU_QUEUE 4096
/* Shutting down: calls may finish, then they are ended, then the process goes whatever is left. */
#define STOP_FINISH_MS 4000
#define STOP_END_MS 6000
#define STOP_LOOK_MS 20
/* How old the service manager's line of status may be. */
#define STATUS_MS 5000

struct daemon {
    struct gateway gateway;
    const char *config_file, *socket;
    struct loop_signal term, interrupt, hup;
    struct loop_timer watchdog, stop_timer, status_timer;
    char status[STATUS_TEXT_SIZE]; /* as last told */
    uint64_t watchdog_ms;
    uint64_t stop_at_ms; /* loop time at which shutting down began */
    bool pools_closed;
};

/* --- what the service manager is told --- */

/* `state` comes first; "": only where the text is another one than before. */
static void tell_status(struct daemon *d, const char *state)
{
    char text[STATUS_TEXT_SIZE];
    status_text(&d->gateway, text);
    if (!*state && strcmp(text, d->status) == 0)
        return;
    memcpy(d->status, text, sizeof(text));
    sd_notifyf(0, "%sSTATUS=%s", state, text);
}

static void status_due(void *arg)
{
    struct daemon *d = arg;
    if (d->gateway.stopping)
        return;
    tell_status(d, "");
    loop_timer_set(&d->status_timer, STATUS_MS);
}

/* --- what the parts are told of the configuration --- */

static void apply_config(struct gateway *g)
{
    const struct daemon_config *c = gateway_config(g);
    g->rpc.limits = (struct rpc_limits){
        .max_request_size = c->max_request_size,
        .max_response_size = c->max_response_size,
        .max_output = c->output_hard_limit,
        .max_calls = c->max_calls_per_client,
        .max_batch = c->max_batch,
        .max_params = OP_ARENA_MAX,
    };
    spool_budget_set_max(&g->memory, c->memory);
    users_configure(g);
    log_set_level(c->log_level);
}

static int reload(struct gateway *g, struct buffer *errors)
{
    struct daemon *d = g->reload_arg;
    struct config *config = NULL;
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
               (unsigned long long) ts.tv_sec * 1000000 + (unsigned long long) ts.tv_nsec / 1000);
    int r = config_load(d->config_file, d->socket, &config, errors);
    if (r == 0)
        r = accounts_reload(g->accounts, config);
    config_unref(config);
    if (r == 0) {
        apply_config(g);
        events_reload(g);
        log_info("configuration reloaded", LOG_INT("accounts", accounts_config(g->accounts)->n_accounts));
    } else {
        struct slice all = buffer_slice(errors);
        log_error("configuration not taken", LOG_TEXT("why", slice_to(all, slice_find(all, '\n'))));
    }
    tell_status(d, "READY=1\n");
    return r;
}

/* --- signals and time --- */

static void hup(void *arg, int signo)
{
    struct daemon *d = arg;
    struct buffer errors;
    (void) signo;
    if (d->gateway.stopping)
        return;
    buffer_init(&errors, CONFIG_ERRORS_MAX);
    reload(&d->gateway, &errors);
    buffer_done(&errors);
}

static void pools_closed(void *arg)
{
    struct daemon *d = arg;
    d->pools_closed = true;
}

static void stop_look(void *arg)
{
    struct daemon *d = arg;
    struct gateway *g = &d->gateway;
    uint64_t spent = loop_now_ms(g->loop) - d->stop_at_ms;
    if (spent >= STOP_FINISH_MS && g->n_calls > 0) {
        struct fault fault = {0};
        fault_set(&fault, -ESHUTDOWN, FAULT_UNAVAILABLE, NULL, "the gateway is shutting down");
        ops_end_all(g, &fault);
    }
    bool done = g->n_calls == 0 && g->n_clients == 0 && d->pools_closed;
    if (done || spent >= STOP_END_MS)
        loop_stop(g->loop);
    else
        loop_timer_set(&d->stop_timer, STOP_LOOK_MS);
}

static void stop(void *arg, int signo)
{
    struct daemon *d = arg;
    struct gateway *g = &d->gateway;
    struct client *c;
    if (g->stopping)
        return;
    log_info("stopping", LOG_INT("signal", signo));
    sd_notify(0, "STOPPING=1\nSTATUS=Finishing calls");
    g->stopping = true;
    d->stop_at_ms = loop_now_ms(g->loop);
    listener_close(g);
    list_foreach (&g->clients, c, struct client, link) {
        sessions_client_stop(c);
        client_end_input(c);
    }
    accounts_close(g->accounts, STOP_FINISH_MS, pools_closed, d);
    loop_timer_set(&d->stop_timer, STOP_LOOK_MS);
}

static void watchdog(void *arg)
{
    struct daemon *d = arg;
    sd_notify(0, "WATCHDOG=1");
    loop_timer_set(&d->watchdog, d->watchdog_ms);
}

/* --- parts --- */

static void net_log(void *arg, int level, const struct endpoint *e, const char *event, const char *text)
{
    (void) arg;
    enum config_log_level to = level <= 3   ? CONFIG_LOG_ERROR
                               : level == 4 ? CONFIG_LOG_WARNING
                               : level <= 6 ? CONFIG_LOG_INFO
                                            : CONFIG_LOG_DEBUG;
    log_event(to, event, LOG_STR("account", e->account), LOG_STR("protocol", protocol_name(e->protocol)),
              LOG_STR("host", e->host), LOG_STR("text", text));
}

static void net_trace(void *arg, const struct endpoint *e, uint64_t session_id, bool outgoing, struct slice line)
{
    (void) arg;
    log_trace("trace", LOG_STR("account", e->account),
              LOG_STR("protocol", protocol_name(e->protocol)), LOG_INT("session", session_id),
              LOG_STR("direction", outgoing ? "out" : "in"), LOG_TEXT("line", line));
}

static const struct net_hooks net_hooks = {.log = net_log, .trace = net_trace};

static unsigned cpu_threads(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 2 ? (unsigned) n - 1 : 1;
}

static int make_parts(struct daemon *d, struct config *config)
{
    struct gateway *g = &d->gateway;
    uint64_t watchdog_us = 0;
    g->loop = loop_new();
    g->metrics = metrics_new();
    g->content_types = content_types_load(CONTENT_TYPES_FILE);
    if (!g->loop || !g->metrics || !g->content_types)
        return -ENOMEM;
    g->handlers = op_handlers;
    g->started_ms = loop_now_ms(g->loop);
    g->reload = reload;
    g->reload_arg = d;
    gateway_init_lists(g);
    g->resolver = worker_pool_new(g->loop, "resolver", RESOLVER_THREADS, RESOLVER_QUEUE);
    g->files = worker_pool_new(g->loop, "files", FILES_THREADS, FILES_QUEUE);
    g->cpu = worker_pool_new(g->loop, "cpu", cpu_threads(), CPU_QUEUE);
    if (!g->resolver || !g->files || !g->cpu)
        return -ENOMEM;
    g->net = net_context_new(g->loop, g->resolver, g->cpu, &net_hooks);
    if (file_helpers_start(g->helpers, g->loop, g->files) < 0)
        return -ENOMEM;
    g->accounts = g->net ? accounts_new(g->loop, g->net, config) : NULL;
    g->foreign = foreign_table_new(g);
    if (!g->accounts || !g->foreign)
        return -ENOMEM;
    spool_budget_init_root(&g->memory, g->loop, "memory", gateway_config(g)->memory);
    rpc_server_init(&g->rpc, &(struct rpc_limits){0}, foreign_release, g->foreign);
    apply_config(g);
    if (loop_signal_init(&d->term, g->loop, SIGTERM, stop, d) < 0 ||
        loop_signal_init(&d->interrupt, g->loop, SIGINT, stop, d) < 0 ||
        loop_signal_init(&d->hup, g->loop, SIGHUP, hup, d) < 0 ||
        loop_timer_init(&d->stop_timer, g->loop, stop_look, d) < 0 ||
        loop_timer_init(&d->status_timer, g->loop, status_due, d) < 0 ||
        loop_timer_init(&d->watchdog, g->loop, watchdog, d) < 0)
        return -ENOMEM;
    if (sd_watchdog_enabled(0, &watchdog_us) > 0) {
        d->watchdog_ms = watchdog_us / 2000;
        watchdog(d);
    }
    return listener_open(g, gateway_config(g)->socket, (unsigned) gateway_config(g)->socket_mode);
}

/* Ends the process itself where foreign file systems hold what we have. */
static void free_parts(struct daemon *d, int code)
{
    struct gateway *g = &d->gateway;
    if (!g->loop)
        return;
    listener_close(g);
    while (!list_is_empty(&g->clients))
        client_close(list_first(&g->clients, struct client, link), "stopped");
    accounts_free(g->accounts);
    net_context_free(g->net);
    loop_drain(g->loop);
    if (foreign_count(g->foreign) > 0 || file_helpers_busy(g->helpers) > 0) {
        log_warning("leaving foreign descriptors behind", LOG_INT("open", foreign_count(g->foreign)),
                    LOG_INT("helpers", file_helpers_busy(g->helpers)));
        log_flush();
        foreign_table_abandon(g->foreign);
        _exit(code);
    }
    file_helpers_free(g->helpers);
    worker_pool_free(g->resolver);
    worker_pool_free(g->files);
    worker_pool_free(g->cpu);
    ops_done(g);
    metrics_free(g->metrics);
    content_types_free(g->content_types);
    rpc_server_done(&g->rpc);
    idempotency_free(g->keys);
    foreign_table_free(g->foreign);
    users_done(g);
    spool_budget_done(&g->memory);
    loop_signal_done(&d->term);
    loop_signal_done(&d->interrupt);
    loop_signal_done(&d->hup);
    loop_timer_done(&d->stop_timer);
    loop_timer_done(&d->watchdog);
    loop_timer_done(&d->status_timer);
    loop_free(g->loop);
}

/* Secrets are in this memory: no core, no debugger of the same user. As many descriptors as we may. */
static void harden(void)
{
    struct rlimit files;
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
}

static int serve(struct daemon *d, const char *config_file, const char *socket, struct config *config)
{
    d->config_file = config_file;
    d->socket = socket;
    log_open();
    log_set_level(config->daemon.log_level);
    harden();
    int r = make_parts(d, config);
    if (r == 0) {
        log_info("serving", LOG_STR("socket", gateway_config(&d->gateway)->socket),
                 LOG_INT("accounts", accounts_config(d->gateway.accounts)->n_accounts));
        tell_status(d, "READY=1\n");
        if (getenv("NOTIFY_SOCKET"))
            loop_timer_set(&d->status_timer, STATUS_MS);
        r = loop_run(d->gateway.loop);
        log_info("stopped");
    } else {
        log_error("cannot start", LOG_ERRNO(r));
    }
    int code = r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    free_parts(d, code);
    log_flush();
    return code;
}

/* --- the command line --- */

static void usage(FILE *to)
{
    fputs("Usage: posternd [--config FILE] [--socket PATH] [--test-config] [--version]\n"
          "The mail gateway, in the foreground; posternd(8) says more.\n\n"
          "  --config FILE   read this configuration (default: " DEFAULT_CONFIG ")\n"
          "  --socket PATH   listen there, whatever the configuration says\n"
          "  --test-config   say what is wrong with the configuration, and exit\n"
          "  --version       print the version, and exit\n",
          to);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"socket", required_argument, NULL, 's'},
        {"test-config", no_argument, NULL, 't'},  {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    const char *file = DEFAULT_CONFIG, *socket = NULL;
    bool test = false;
    int opt;
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (opt) {
        case 'c':
            file = optarg;
            break;
        case 's':
            socket = optarg;
            break;
        case 't':
            test = true;
            break;
        case 'v':
            puts("posternd " PACKAGE_VERSION);
            return EXIT_SUCCESS;
        case 'h':
            usage(stdout);
            return EXIT_SUCCESS;
        default:
            usage(stderr);
            return 64; /* EX_USAGE */
        }
    }
    if (optind < argc) {
        usage(stderr);
        return 64;
    }
    static struct daemon the_daemon;
    struct config *config = NULL;
    struct buffer errors;
    /* The helpers begin while there are no secrets in this memory, and no threads. */
    if (!test && !(the_daemon.gateway.helpers = file_helpers_new()))
        return EXIT_FAILURE;
    buffer_init(&errors, CONFIG_ERRORS_MAX);
    int r = config_load(file, socket, &config, &errors);
    struct slice text = buffer_slice(&errors);
    fwrite(text.data ? text.data : "", 1, text.len, stderr);
    buffer_done(&errors);
    if (r < 0) {
        file_helpers_free(the_daemon.gateway.helpers);
        return EXIT_FAILURE;
    }
    int code = test ? EXIT_SUCCESS : serve(&the_daemon, file, socket, config);
    config_unref(config);
    return code;
}
