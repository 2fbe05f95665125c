/* SPDX-License-Identifier: MIT */
/* gateway.*, but for what only looks (status.c). */
#include "api_gateway.h"
#include "buffer.h"
#include "log.h"
#include "methods.h"
#include "op_core.h"

#include <errno.h>
#include <stdio.h>

static int ping_run(struct op *op)
{
    (void) op;
    return OP_DONE; /* an empty result is {} */
}

const struct op_handler gateway_ping_handler = {.run = ping_run};

/* --- sessions --- */

static void write_session(struct op *op, const struct op_session *s)
{
    const struct op_session_core *sc = s->core;
    uint64_t now = loop_now_ms(op->gateway->loop);
    char number[24];
    snprintf(number, sizeof(number), "%llu", (unsigned long long) s->number);
    json_write_object_begin(&op->w);
    json_write_member_str(&op->w, "session", number);
    json_write_member_str(&op->w, "account", s->account ? account_name(s->account) : NULL);
    json_write_member_str(&op->w, "protocol", protocol_name(s->protocol));
    json_write_member_str(&op->w, "state", !sc->ready ? "opening" : list_is_empty(&sc->queue) ? "idle" : "busy");
    json_write_member_uint(&op->w, "uid", s->client->peer.uid);
    json_write_member_int(&op->w, "pid", s->client->peer.pid);
    json_write_member_uint(&op->w, "age", now - sc->opened_ms);
    if (list_is_empty(&sc->queue))
        json_write_member_uint(&op->w, "idle", now - sc->used_ms);
    json_write_object_end(&op->w);
}

static int sessions_run(struct op *op)
{
    struct client *c;
    json_write_object_begin(&op->w);
    json_write_key(&op->w, "sessions");
    json_write_array_begin(&op->w);
    list_foreach (&op->gateway->clients, c, struct client, link) {
        struct op_session_core *sc;
        list_foreach (&c->sessions, sc, struct op_session_core, link)
            write_session(op, &sc->session);
    }
    json_write_array_end(&op->w);
    json_write_object_end(&op->w);
    return OP_DONE;
}

const struct op_handler gateway_sessions_handler = {.run = sessions_run};

static int close_run(struct op *op)
{
    const struct api_gateway_close_params *p = op->params;
    struct fault why = {0};
    uint64_t number;
    struct op_session *s =
        slice_to_u64(p->session, UINT64_MAX, &number) ? op_session_by_number(op->gateway, number) : NULL;
    if (!s)
        return op_refuse(op, FAULT_NO_SUCH_SESSION, "no such session");
    fault_set(&why, -ECONNABORTED, FAULT_DISCONNECTED, NULL, "the session was closed by an administrator");
    op_session_drop(s, &why);
    return OP_DONE;
}

const struct op_handler gateway_close_handler = {.run = close_run};

/* --- configuration --- */

static int reload_run(struct op *op)
{
    struct gateway *g = op->gateway;
    struct buffer errors;
    buffer_init(&errors, CONFIG_ERRORS_MAX);
    int r = g->reload ? g->reload(g, &errors) : -ENOTSUP;
    if (r < 0) {
        struct slice first = buffer_slice(&errors);
        first = slice_to(first, slice_find(first, '\n'));
        op_refuse(op, FAULT_UNAVAILABLE, "the configuration was not taken: %.*s", (int) MIN(first.len, 200),
                  first.data);
    }
    buffer_done(&errors);
    if (r < 0)
        return r;
    json_write_object_begin(&op->w);
    json_write_member_uint(&op->w, "accounts", accounts_config(g->accounts)->n_accounts);
    json_write_object_end(&op->w);
    return OP_DONE;
}

const struct op_handler gateway_reload_handler = {.run = reload_run};

/* --- pause and resume --- */

static int each_pool(struct op *op, void (*fn)(struct pool *p))
{
    for (int p = 0; p < PROTOCOL_COUNT; p++) {
        struct pool *pool;
        if (!account_config(op->account)->protocols[p].present)
            continue;
        int r = op_pool(op, (enum protocol) p, &pool);
        if (r < 0)
            return r;
        fn(pool);
    }
    log_info(op->method->name, LOG_STR("account", account_name(op->account)), LOG_INT("uid", op->peer->uid));
    return OP_DONE;
}

static int pause_run(struct op *op)
{
    return each_pool(op, pool_pause);
}

static int resume_run(struct op *op)
{
    return each_pool(op, pool_resume);
}

const struct op_handler gateway_pause_handler = {.run = pause_run};
const struct op_handler gateway_resume_handler = {.run = resume_run};
