/* SPDX-License-Identifier: MIT */
/* A gateway without a listener, for unit tests: the loop, the helpers, a configuration from a text. */
#ifndef POSTERN_DAEMON_FIXTURE_H
#define POSTERN_DAEMON_FIXTURE_H

#include "client.h"
#include "file_helper.h"
#include "foreign_fd.h"
#include "op_core.h"
#include "unit.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    struct gateway gateway;
    struct config *config;
    char folder[64];
    struct loop_timer timer;
    bool (*until)(void *arg);
    void *arg;
    unsigned looks;
};

static inline void fixture_look(void *arg)
{
    struct fixture *f = arg;
    ck_assert_msg(++f->looks < 20000, "nothing came in 20 s");
    if (!f->until || f->until(f->arg))
        loop_stop(f->gateway.loop);
    else
        loop_timer_set(&f->timer, 1);
}

/* Runs the loop until the condition holds; without one, once around. */
static inline void fixture_run(struct fixture *f, bool (*until)(void *arg), void *arg)
{
    f->until = until;
    f->arg = arg;
    f->looks = 0;
    loop_timer_set(&f->timer, 0);
    ck_assert_int_eq(loop_run(f->gateway.loop), 0);
}

static inline void fixture_write(const struct fixture *f, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", f->folder, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

/* `text`: of postern.conf. `handlers` may be NULL. */
static inline void fixture_init(struct fixture *f, const char *text, const struct op_handler *const *handlers)
{
    struct gateway *g = &f->gateway;
    struct buffer errors;
    char path[128];
    memset(f, 0, sizeof(*f));
    snprintf(f->folder, sizeof(f->folder), "/tmp/postern-unit-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(f->folder));
    fixture_write(f, "postern.conf", text);
    snprintf(path, sizeof(path), "%s/accounts.d", f->folder);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    fixture_write(f, "accounts.d/a.conf",
                  "[account]\nemail = a@example.com\npermit = send read write\n[imap]\nhost = 127.0.0.1\n");
    snprintf(path, sizeof(path), "%s/postern.conf", f->folder);
    buffer_init(&errors, CONFIG_ERRORS_MAX);
    int r = config_load(path, "/nowhere/postern.sock", &f->config, &errors);
    ck_assert_msg(r == 0, "%.*s", (int) buffer_len(&errors), buffer_slice(&errors).data);
    buffer_done(&errors);

    gateway_init_lists(g);
    g->helpers = file_helpers_new();
    g->loop = loop_new();
    g->resolver = worker_pool_new(g->loop, "resolver", 1, 16);
    g->files = worker_pool_new(g->loop, "files", 8, 64);
    g->cpu = worker_pool_new(g->loop, "cpu", 1, 16);
    g->net = net_context_new(g->loop, g->resolver, g->cpu, NULL);
    g->accounts = accounts_new(g->loop, g->net, f->config);
    ck_assert_ptr_nonnull(g->accounts);
    ck_assert_int_eq(file_helpers_start(g->helpers, g->loop, g->files), 0);
    g->foreign = foreign_table_new(g);
    spool_budget_init_root(&g->memory, g->loop, "memory", gateway_config(g)->memory);
    rpc_server_init(&g->rpc, &(struct rpc_limits){0}, foreign_release, g->foreign);
    const struct daemon_config *c = gateway_config(g);
    g->rpc.limits = (struct rpc_limits){c->max_request_size,     c->max_response_size, c->output_hard_limit,
                                        c->max_calls_per_client, c->max_batch,         OP_ARENA_MAX};
    g->handlers = handlers ? handlers : op_handlers;
    ck_assert_int_eq(loop_timer_init(&f->timer, g->loop, fixture_look, f), 0);
}

static inline void fixture_done(struct fixture *f)
{
    struct gateway *g = &f->gateway;
    char path[128];
    while (!list_is_empty(&g->clients))
        client_close(list_first(&g->clients, struct client, link), "the test is over");
    loop_drain(g->loop);
    accounts_free(g->accounts);
    net_context_free(g->net);
    loop_drain(g->loop);
    file_helpers_free(g->helpers);
    worker_pool_free(g->resolver);
    worker_pool_free(g->files);
    worker_pool_free(g->cpu);
    ops_done(g);
    rpc_server_done(&g->rpc);
    foreign_table_free(g->foreign);
    users_done(g);
    ck_assert_uint_eq(g->memory.used, 0);
    spool_budget_done(&g->memory);
    loop_timer_done(&f->timer);
    loop_free(g->loop);
    config_unref(f->config);
    static const char *const names[] = {"accounts.d/a.conf", "accounts.d", "postern.conf"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", f->folder, names[i]);
        remove(path);
    }
    remove(f->folder);
}

/* Descriptors that this process has open. */
static inline unsigned open_descriptors(void)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

#endif
