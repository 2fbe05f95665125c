/* SPDX-License-Identifier: MIT */
/* What the daemon tells of itself: gateway.status, gateway.pools, gateway.metrics, and the list of accounts. */
#include "config.h"

#include "client.h"
#include "foreign_fd.h"
#include "methods.h"
#include "metrics.h"
#include "op_core.h"
#include "rpc_discover.h"

#include <stdio.h>

/* --- one line --- */

void status_text(const struct gateway *g, char out[STATUS_TEXT_SIZE])
{
    size_t connections = 0, accounts = accounts_config(g->accounts)->n_accounts;
    for (struct account *a = NULL; (a = accounts_next(g->accounts, a));)
        for (int p = 0; p < PROTOCOL_COUNT; p++) {
            struct pool *pool = account_existing_pool(a, (enum protocol) p);
            struct pool_stats stats;
            if (!pool)
                continue;
            pool_stats(pool, &stats);
            connections += stats.active + stats.idle + stats.leased;
        }
    snprintf(out, STATUS_TEXT_SIZE, "Serving %zu account%s: %zu connection%s to servers, %zu client%s", accounts,
             accounts == 1 ? "" : "s", connections, connections == 1 ? "" : "s", g->n_clients, g->n_clients == 1 ? "" : "s");
}

/* --- accounts --- */

static void write_protocols(struct json_writer *w, const struct account_config *config)
{
    json_write_key(w, "protocols");
    json_write_array_begin(w);
    for (int p = 0; p < PROTOCOL_COUNT; p++)
        if (config->protocols[p].present)
            json_write_str(w, protocol_name((enum protocol) p));
    json_write_array_end(w);
}

static void write_rights(struct json_writer *w, unsigned rights)
{
    json_write_key(w, "permit");
    json_write_array_begin(w);
    for (unsigned right = RIGHT_SEND; right <= RIGHT_RAW; right <<= 1)
        if (rights & right)
            json_write_str(w, access_right_name((enum account_right) right));
    json_write_array_end(w);
}

/* Whether any of its pools is paused, and what keeps connections from being made. */
static void write_health(struct json_writer *w, const struct account *account)
{
    bool paused = false;
    struct fault problem = {0};
    for (int p = 0; p < PROTOCOL_COUNT; p++) {
        struct pool *pool = account_existing_pool(account, (enum protocol) p);
        struct pool_stats stats;
        if (!pool)
            continue;
        pool_stats(pool, &stats);
        paused = paused || stats.paused;
        if (!fault_is_set(&problem))
            problem = stats.last_fault;
    }
    json_write_member_bool(w, "paused", paused);
    json_write_member_str(w, "problem", fault_is_set(&problem) ? problem.text : NULL);
}

void status_write_accounts(struct op *op)
{
    struct json_writer *w = &op->w;
    json_write_array_begin(w);
    for (struct account *a = NULL; (a = accounts_next(op->gateway->accounts, a));) {
        const struct account_config *config = account_config(a);
        unsigned rights = access_rights(config, op->peer);
        if (!rights || !account_name(a))
            continue;
        json_write_object_begin(w);
        json_write_member_str(w, "name", account_name(a));
        json_write_member_str(w, "email", config->email);
        write_protocols(w, config);
        write_rights(w, rights);
        json_write_member_bool(w, "default", access_is_default(config, op->peer));
        write_health(w, a);
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

/* --- gateway.status --- */

static void write_limits(struct json_writer *w, const struct daemon_config *c)
{
    const struct {
        const char *name;
        uint64_t value;
    } limits[] = {
        {"max_clients", c->max_clients},
        {"max_clients_per_user", c->max_clients_per_user},
        {"max_calls_per_client", c->max_calls_per_client},
        {"max_calls_per_user", c->max_calls_per_user},
        {"max_batch", c->max_batch},
        {"max_fds_per_user", c->max_fds_per_user},
        {"max_file_readers_per_user", c->max_file_readers_per_user},
        {"max_subscriptions_per_user", c->max_subscriptions_per_user},
        {"max_request_size", c->max_request_size},
        {"max_response_size", c->max_response_size},
        {"max_message_size", c->max_message_size},
        {"fd_answer_max", c->fd_answer_max},
        {"user_memory", c->user_memory},
        {"memory", c->memory},
        {"partial_request_timeout", c->partial_request_timeout_ms},
        {"client_stall", c->client_stall_ms},
        {"output_hard_limit", c->output_hard_limit},
        {"call_timeout", c->call_timeout_ms},
        {"key_lifetime", c->key_lifetime_ms},
    };
    json_write_key(w, "limits");
    json_write_object_begin(w);
    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        json_write_member_uint(w, limits[i].name, limits[i].value);
    json_write_object_end(w);
}

static int status_run(struct op *op)
{
    struct gateway *g = op->gateway;
    struct json_writer *w = &op->w;
    json_write_object_begin(w);
    json_write_member_str(w, "version", PACKAGE_VERSION);
    json_write_key(w, "api");
    json_write_object_begin(w);
    json_write_member_int(w, "major", RPC_API_MAJOR);
    json_write_member_int(w, "minor", RPC_API_MINOR);
    json_write_object_end(w);
    json_write_key(w, "features");
    json_write_array_begin(w);
    for (const char *const *feature = rpc_features; *feature; feature++)
        json_write_str(w, *feature);
    json_write_array_end(w);
    write_limits(w, gateway_config(g));
    json_write_member_uint(w, "uptime", loop_now_ms(g->loop) - g->started_ms);
    json_write_member_uint(w, "clients", g->n_clients);
    json_write_key(w, "memory");
    json_write_object_begin(w);
    json_write_member_uint(w, "spools", g->memory.used - g->memory.taken);
    json_write_member_uint(w, "requests", g->memory.taken);
    json_write_member_uint(w, "max", g->memory.max);
    json_write_object_end(w);
    json_write_key(w, "accounts");
    status_write_accounts(op);
    json_write_object_end(w);
    return OP_DONE;
}

const struct op_handler gateway_status_handler = {.run = status_run};

/* --- gateway.pools --- */

static void write_pool(struct op *op, const struct account *account, enum protocol protocol, struct pool *pool)
{
    struct json_writer *w = &op->w;
    const struct endpoint *e = pool_endpoint(pool);
    uint64_t now = loop_now_ms(op->gateway->loop);
    struct pool_stats s;
    pool_stats(pool, &s);
    json_write_object_begin(w);
    json_write_member_str(w, "account", account_name(account));
    json_write_member_str(w, "protocol", protocol_name(protocol));
    json_write_member_str(w, "host", e->host);
    json_write_member_uint(w, "port", e->port);
    json_write_member_uint(w, "active", s.active + s.leased);
    json_write_member_uint(w, "idle", s.idle);
    json_write_member_uint(w, "waiting", s.waiting);
    json_write_member_uint(w, "opened", s.opened);
    json_write_member_uint(w, "failed", s.failed);
    json_write_member_uint(w, "reused", s.reused);
    json_write_key(w, "bytes");
    json_write_object_begin(w);
    json_write_member_uint(w, "in", s.bytes_in);
    json_write_member_uint(w, "out", s.bytes_out);
    json_write_object_end(w);
    json_write_key(w, "times");
    json_write_object_begin(w);
    json_write_member_uint(w, "waited", s.wait_total_ms);
    json_write_object_end(w);
    json_write_key(w, "last_byte_age");
    if (s.last_byte_ms)
        json_write_uint(w, now - MIN(s.last_byte_ms, now));
    else
        json_write_null(w);
    json_write_member_str(w, "problem", fault_is_set(&s.last_fault) ? s.last_fault.text : NULL);
    json_write_object_end(w);
}

static int pools_run(struct op *op)
{
    struct gateway *g = op->gateway;
    bool admin = access_is_admin(accounts_config(g->accounts), op->peer);
    json_write_object_begin(&op->w);
    json_write_key(&op->w, "pools");
    json_write_array_begin(&op->w);
    for (struct account *a = NULL; (a = accounts_next(g->accounts, a));) {
        if (!admin && !access_rights(account_config(a), op->peer))
            continue;
        for (int p = 0; p < PROTOCOL_COUNT; p++) {
            struct pool *pool = account_existing_pool(a, (enum protocol) p);
            if (pool)
                write_pool(op, a, (enum protocol) p, pool);
        }
    }
    json_write_array_end(&op->w);
    json_write_object_end(&op->w);
    return OP_DONE;
}

const struct op_handler gateway_pools_handler = {.run = pools_run};

/* --- gateway.metrics --- */

#define METRICS_MAX (16 * 1024 * 1024)

static int metrics_run(struct op *op)
{
    struct buffer text;
    buffer_init(&text, METRICS_MAX);
    if (metrics_write(op->gateway, &text) < 0) {
        buffer_done(&text);
        return op_refuse(op, FAULT_INTERNAL, "out of memory");
    }
    json_write_object_begin(&op->w);
    json_write_member_str(&op->w, "content_type", METRICS_CONTENT_TYPE);
    json_write_member_string(&op->w, "metrics", buffer_slice(&text));
    json_write_object_end(&op->w);
    buffer_done(&text);
    return OP_DONE;
}

const struct op_handler gateway_metrics_handler = {.run = metrics_run};
