/* SPDX-License-Identifier: MIT */
/* What all parts of the daemon share: one object a process, made by main.c and passed around; no globals. */
#ifndef POSTERN_GATEWAY_H
#define POSTERN_GATEWAY_H

#include "accounts.h"
#include "configuration.h"
#include "hash.h"
#include "list.h"
#include "loop.h"
#include "pool.h"
#include "rpc_peer.h"
#include "spool.h"
#include "worker.h"

struct content_types;
struct file_helpers;
struct foreign_table;
struct listener;
struct op_handler;
struct idempotency;
struct metrics;
struct op_core;

struct gateway {
    struct loop *loop;
    struct worker_pool *resolver, *files, *cpu;
    struct file_helpers *helpers; /* foreign descriptors */
    struct net_context *net;
    struct accounts *accounts; /* and the configuration in force: gateway_config() */
    struct rpc_server rpc;
    struct spool_budget memory;               /* `memory`: all users' spools, texts and answers */
    const struct op_handler *const *handlers; /* RPC_METHOD_COUNT of them */

    struct foreign_table *foreign;
    struct content_types *content_types; /* of attached files, by their names; NULL: only the composer's own */
    struct metrics *metrics;  /* what calls came to; NULL: not counted */
    struct idempotency *keys; /* made with the first key */
    struct hash_table users; /* struct user, by uid */
    struct list clients;     /* struct client */
    struct list watches;     /* struct event_watch */
    struct list notifiers;   /* struct event_notifier */
    struct listener *listener;
    size_t n_clients, n_calls;
    uint64_t n_clients_ever, n_calls_ever;
    uint64_t next_session_number;
    uint64_t started_ms;   /* loop time */
    struct list spare_ops; /* struct op_core */
    size_t n_spare_ops;
    bool stopping; /* no new client, no new call */

    /* Re-reads the configuration; errors, one a line, to `errors`. main.c's, used by SIGHUP and gateway.reload. */
    int (*reload)(struct gateway *g, struct buffer *errors);
    void *reload_arg;
};

static inline void gateway_init_lists(struct gateway *g)
{
    hash_table_init(&g->users);
    list_init(&g->clients);
    list_init(&g->watches);
    list_init(&g->notifiers);
    list_init(&g->spare_ops);
}

static inline const struct daemon_config *gateway_config(const struct gateway *g)
{
    return &accounts_config(g->accounts)->daemon;
}

/* One user (uid) of the socket: what its connections and calls take together. Exists as long as anything is
 * charged to it. */
struct user {
    struct hash_node node;
    struct gateway *gateway;
    unsigned refs;
    uint32_t uid;
    size_t clients, calls, fds, file_jobs, subscriptions;
    struct list file_queue;     /* jobs that wait for one of max_file_readers_per_user */
    struct spool_budget memory; /* `user_memory` */
};
/* With a reference; NULL when out of memory. */
struct user *user_get(struct gateway *g, uint32_t uid);
struct user *user_ref(struct user *u);
struct user *user_unref(struct user *u);
/* The limits of the configuration in force, for those that exist. */
void users_configure(struct gateway *g);
/* At the end: forgets all of them. */
void users_done(struct gateway *g);

#endif
