/* SPDX-License-Identifier: MIT */
#include "op_core.h"

#include "log.h"
#include "must.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Texts of requests below this are not worth counting. */
#define CHARGE_FROM 8192

static void dismantle(struct op_core *core);
static void advance(void *arg);
static void deadline_over(void *arg);

/* --- objects --- */

static struct op_core *core_get(struct gateway *g)
{
    struct op_core *core = list_first(&g->spare_ops, struct op_core, link);
    if (core) {
        list_remove(&core->link);
        g->n_spare_ops--;
        return core;
    }
    core = calloc(1, sizeof(*core));
    if (!core)
        return NULL;
    list_init(&core->link);
    list_init(&core->readings);
    list_init(&core->bodies);
    list_init(&core->exchanges);
    list_init(&core->jobs);
    list_init(&core->spools);
    list_init(&core->pipes);
    list_init(&core->session_link);
    loop_task_init(&core->task, g->loop, advance, core);
    return core;
}

static void core_free(struct op_core *core)
{
    loop_timer_done(&core->deadline);
    loop_timer_done(&core->progress);
    loop_task_cancel(&core->task);
    free(core);
}

static void core_put(struct op_core *core)
{
    struct gateway *g = core->op.gateway;
    if (g->n_spare_ops >= OP_SPARES) {
        core_free(core);
        return;
    }
    list_append(&g->spare_ops, &core->link);
    g->n_spare_ops++;
}

void ops_done(struct gateway *g)
{
    while (!list_is_empty(&g->spare_ops)) {
        struct op_core *core = list_first(&g->spare_ops, struct op_core, link);
        list_remove(&core->link);
        core_free(core);
    }
    g->n_spare_ops = 0;
}

/* Everything but lists, task and timers, which survive from call to call. */
static void core_init(struct op_core *core, struct client *c, struct rpc_request *request)
{
    struct gateway *g = c->gateway;
    core->op = (struct op){
        .gateway = g,
        .id = request->method,
        .method = request->row,
        .params = request->params,
        .common = request->common,
        .peer = &c->peer,
        .owner = {c->peer.uid, c->number},
        .form = request->common->content,
        .stream = request->common->stream && request->row->flags & RPC_STREAMS,
        .progress = request->common->progress,
        .handler = g->handlers[request->method],
        .request = request,
        .state_now = OP_PREPARING,
        .core = core,
    };
    uint64_t timeout = request->common->timeout_ms;
    if (timeout == 0)
        timeout = gateway_config(g)->call_timeout_ms;
    uint64_t now = loop_now_ms(g->loop);
    core->op.started_ms = now;
    core->op.deadline_ms = timeout > UINT64_MAX - now ? UINT64_MAX : now + timeout;
    arena_init(&core->op.arena, OP_ARENA_MAX);
    core->client = c;
    core->user = user_ref(c->user);
    core->text = NULL;
    core->in_call = 0;
    core->finish_due = core->answered = core->run_again = core->canceled = false;
    core->n_exchanges = 0;
    core->opening = core->ending = NULL;
    core->progress_at_ms = 0;
    core->progress_due = false;
    core->charged = 0;
    request->owner = core;
    list_append(&c->ops, &core->link);
    c->user->calls++;
    g->n_calls++;
    g->n_calls_ever++;
    op_answer_init(core);
}

/* --- the request's text --- */

static void text_free(struct body_owner *owner)
{
    struct op_text *text = container_of(owner, struct op_text, owner);
    rpc_request_free(text->request);
    spool_budget_give(&text->user->memory, text->charged);
    user_unref(text->user);
    free(text);
}

struct body_owner *op_text_owner(struct op *op)
{
    struct op_core *core = op_core_of(op);
    if (!core->text) {
        core->text = must_calloc(1, sizeof(*core->text));
        core->text->owner = (struct body_owner){1, text_free};
        core->text->request = op->request;
        core->text->user = user_ref(core->user);
        core->text->charged = core->charged;
        core->charged = 0;
    }
    return &core->text->owner;
}

struct body_owner *op_text_keep(struct op *op)
{
    struct body_owner *owner = op_text_owner(op);
    op_core_of(op)->text->kept = true;
    return owner;
}

static int charge_text(struct op_core *core)
{
    size_t n = rpc_request_memory(core->op.request);
    if (n < CHARGE_FROM)
        return 0;
    int r = spool_budget_take(&core->user->memory, n, &core->op.fault);
    if (r == 0)
        core->charged = n;
    return r;
}

/* --- what the row says --- */

static int check_permission(struct op *op)
{
    const struct config *config = accounts_config(op->gateway->accounts);
    enum rpc_permission p = op->method->permission;
    if (p == RPC_ALLOW_ADMIN && !access_is_admin(config, op->peer)) {
        fault_set(&op->fault, -EACCES, FAULT_DENIED, NULL, "%s is for administrators", op->method->name);
        return -EACCES;
    }
    if (p == RPC_ALLOW_PEER && !access_has_any(config, op->peer)) {
        fault_set(&op->fault, -EACCES, FAULT_DENIED, NULL, "this peer has no right on anything");
        return -EACCES;
    }
    return 0;
}

static unsigned rights_needed(enum rpc_permission p)
{
    switch (p) {
    case RPC_ALLOW_SEND:
        return RIGHT_SEND;
    case RPC_ALLOW_READ:
        return RIGHT_READ;
    case RPC_ALLOW_WRITE:
        return RIGHT_WRITE;
    case RPC_ALLOW_RAW:
        return RIGHT_RAW;
    case RPC_ALLOW_ALL:
    case RPC_ALLOW_PEER:
    case RPC_ALLOW_USE:
    case RPC_ALLOW_ADMIN:
        return 0;
    }
    return RIGHTS_ALL;
}

static enum protocol method_protocol(const struct rpc_method *m)
{
    if (strncmp(m->name, "imap.", 5) == 0 || strncmp(m->name, "event.", 6) == 0)
        return PROTOCOL_IMAP;
    return strncmp(m->name, "pop3.", 5) == 0 ? PROTOCOL_POP3 : PROTOCOL_SMTP;
}

/* An administrator need not have rights on what he pauses. */
static int admins_account(struct op *op)
{
    for (struct account *a = NULL; (a = accounts_next(op->gateway->accounts, a));) {
        const char *name = account_name(a);
        if (name && slice_eq(slice_of_str(name), op->common->account)) {
            op->account = account_ref(a);
            return 0;
        }
    }
    fault_set(&op->fault, -ENOENT, FAULT_NO_SUCH_ACCOUNT, NULL, "no such account");
    return -ENOENT;
}

static int find_where(struct op_core *core)
{
    struct op *op = &core->op;
    unsigned rights = rights_needed(op->method->permission);
    int r = 0;

    if (op->common->session.data) {
        op->session = op_session_find(core->client, op->common->session, &op->fault);
        if (!op->session)
            return -ENOENT;
        if (op->session->account) {
            op->account = account_ref(op->session->account);
            op->rights = access_rights(account_config(op->account), op->peer);
        } else {
            op->rights = RIGHTS_ALL; /* nothing of anybody's can be reached from it */
        }
        if ((op->rights & rights) != rights) {
            fault_set(&op->fault, -EACCES, FAULT_DENIED, NULL, "this peer may not do that with this account");
            return -EACCES;
        }
        if (op->method->where != RPC_LOCAL && op->session->protocol != method_protocol(op->method))
            return op_refuse(op, FAULT_INVALID_PARAMS, "session: it is one of %s",
                             protocol_name(op->session->protocol));
        if (op->session->manual && !(op->method->flags & RPC_MANUAL))
            return op_refuse(op, FAULT_INVALID_PARAMS, "session: it has no connection (manual), and %s needs one",
                             op->method->name);
        return 0;
    }
    if (op->common->account.data)
        r = op->method->permission == RPC_ALLOW_ADMIN
                ? admins_account(op)
                : account_lookup(op->gateway->accounts, op->peer, op->common->account, rights, &op->account,
                                 &op->fault);
    else if (op->common->options)
        r = account_lookup_inline(op->gateway->accounts, op->peer, method_protocol(op->method), op->common->options,
                                  rights, &op->account, &op->fault);
    if (r == 0 && op->account)
        op->rights = access_rights(account_config(op->account), op->peer);
    if (r == 0 && !op->account && op->method->flags & RPC_ACCOUNT_OPTIONAL &&
        !access_has_any(accounts_config(op->gateway->accounts), op->peer))
        r = fault_set(&op->fault, -EACCES, FAULT_DENIED, NULL, "this peer has no right on anything");
    return r;
}

static int check(struct op_core *core)
{
    struct op *op = &core->op;
    if (op->gateway->stopping) {
        fault_set(&op->fault, -ESHUTDOWN, FAULT_UNAVAILABLE, NULL, "the gateway is shutting down");
        return -ESHUTDOWN;
    }
    if (!op->handler)
        return op_refuse(op, FAULT_UNKNOWN_METHOD, "%s is not offered by this build", op->method->name);
    if (core->user->calls > gateway_config(op->gateway)->max_calls_per_user) {
        op->fault.limit = "max_calls_per_user";
        return op_refuse(op, FAULT_LIMIT, "too many calls of this user are under way");
    }
    int r = check_permission(op);
    if (r == 0 && !(op->method->flags & RPC_AT_ONCE))
        r = charge_text(core);
    return r < 0 ? r : find_where(core);
}

/* --- steps --- */

void op_core_enter(struct op_core *core)
{
    core->in_call++;
}

void op_core_leave(struct op_core *core)
{
    if (--core->in_call == 0 && core->op.state_now == OP_ENDED)
        dismantle(core);
}

/* Judges what a step returned; true: the next step may follow. The op may be gone on false. */
static bool stepped(struct op_core *core, int r)
{
    struct op *op = &core->op;
    if (op_has_ended(op))
        return false;
    if (r < 0) {
        fault_set(&op->fault, r, FAULT_INTERNAL, NULL, "%s: %s", op->method->name, strerror(-r));
        op_fail(op, NULL);
    } else if (r == OP_DONE) {
        op_finish(op);
    }
    return r == OP_WAIT;
}

static void run(struct op_core *core)
{
    struct op *op = &core->op;
    if (op->state_now == OP_PREPARING)
        op->state_now = OP_RUNNING;
    op_core_enter(core);
    stepped(core, op->handler->run ? op->handler->run(op) : OP_DONE);
    op_core_leave(core);
}

/* The call does not end at once: from here on it has a deadline. */
static void arm_deadline(struct op_core *core)
{
    struct loop *l = core->op.gateway->loop;
    if (!core->deadline.event && loop_timer_init(&core->deadline, l, deadline_over, core) < 0) {
        op_refuse(&core->op, FAULT_INTERNAL, "out of memory");
        op_fail(&core->op, NULL);
        return;
    }
    loop_timer_set_at(&core->deadline, core->op.deadline_ms);
}

static void begin(struct op_core *core)
{
    struct op *op = &core->op;
    bool go_on;
    op->state_now = OP_PREPARING;
    op_core_enter(core);
    go_on = stepped(core, op->handler->prepare ? op->handler->prepare(op) : OP_WAIT);
    if (go_on && list_is_empty(&core->readings))
        run(core);
    if (!op_has_ended(op) && !core->deadline.due_ms)
        arm_deadline(core);
    op_core_leave(core);
}

static void advance(void *arg)
{
    struct op_core *core = arg;
    if (op_has_ended(&core->op)) {
        if (core->in_call == 0)
            dismantle(core);
    } else if (core->op.state_now == OP_QUEUED) {
        begin(core);
    } else if (core->run_again && list_is_empty(&core->readings)) {
        core->run_again = false;
        run(core);
    }
}

void op_again(struct op *op)
{
    struct op_core *core = op_core_of(op);
    if (op_has_ended(op))
        return;
    core->run_again = true;
    loop_task_schedule(&core->task);
}

void op_start(struct client *c, struct rpc_request *request)
{
    struct op_core *core = core_get(c->gateway);
    if (!core) {
        struct fault fault = {0};
        fault_set(&fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
        rpc_answer_fault(request, &fault, NULL);
        rpc_request_free(request);
        return;
    }
    core_init(core, c, request);
    struct op *op = &core->op;
    op_core_enter(core);
    if (check(core) < 0) {
        op_fail(op, NULL);
    } else {
        size_t n = op->handler->state_size;
        op->state = core->inline_state;
        if (n > OP_INLINE_STATE)
            op->state = calloc(1, n);
        else if (n > 0)
            memset(core->inline_state, 0, n);
        if (!op->state) {
            op_refuse(op, FAULT_INTERNAL, "out of memory");
            op_fail(op, NULL);
        } else if (!op->session || op_session_enter(core)) {
            begin(core);
        } else {
            op->state_now = OP_QUEUED;
            arm_deadline(core);
        }
    }
    op_core_leave(core);
}

/* --- ends --- */

static void end(struct op_core *core)
{
    if (core->op.state_now == OP_ENDED)
        return;
    core->op.state_now = OP_ENDED;
    if (core->in_call == 0)
        loop_task_schedule(&core->task);
}

void op_finish(struct op *op)
{
    struct op_core *core = op_core_of(op);
    if (op_has_ended(op))
        return;
    if (!op_pipes_drained(core)) {
        /* The answer goes first, the pipe's end finishes it. */
        core->finish_due = true;
        op_respond_now(op);
        return;
    }
    end(core);
}

void op_fail(struct op *op, const struct fault *fault)
{
    if (op_has_ended(op))
        return;
    if (fault && fault_is_set(fault) && !fault_is_set(&op->fault))
        op->fault = *fault;
    if (!fault_is_set(&op->fault))
        op_refuse(op, FAULT_INTERNAL, "%s failed", op->method->name);
    op_core_of(op)->canceled = true;
    end(op_core_of(op));
}

void op_core_end(struct op_core *core, const struct fault *fault)
{
    if (op_has_ended(&core->op))
        return;
    /* Whatever was on its way is not what the caller hears: the reason of the end is. */
    core->op.fault = *fault;
    op_fail(&core->op, NULL);
    if (core->in_call == 0)
        dismantle(core);
}

int op_refuse(struct op *op, enum fault_kind kind, const char *fmt, ...)
{
    char text[FAULT_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return fault_set(&op->fault, -EINVAL, kind, NULL, "%s", text);
}

static void deadline_over(void *arg)
{
    struct op_core *core = arg;
    struct fault fault = {0};
    fault_set(&fault, -ETIMEDOUT, FAULT_TIMEOUT, NULL, "the call's time is over");
    op_core_end(core, &fault);
}

void op_set_deadline(struct op *op, uint64_t deadline_ms)
{
    struct op_core *core = op_core_of(op);
    op->deadline_ms = deadline_ms;
    if (core->deadline.due_ms) {
        loop_timer_clear(&core->deadline); /* it may be for later now */
        loop_timer_set_at(&core->deadline, deadline_ms);
    }
}

static void drop_jobs(struct op_core *core)
{
    struct op_job *j;
    list_foreach (&core->jobs, j, struct op_job, link) {
        list_remove(&j->link);
        j->op = NULL;
        worker_detach(&j->job);
    }
}

static void dismantle(struct op_core *core)
{
    struct op *op = &core->op;
    struct client *client = core->client;
    struct gateway *g = op->gateway;

    core->in_call++; /* nothing below may come back here */
    loop_task_cancel(&core->task);
    loop_timer_clear(&core->deadline);
    loop_timer_clear(&core->progress);
    enum fault_outcome outcome = op_exchanges_cancel(core);
    outcome = MAX(outcome, op->done_outcome);
    op->fault.outcome = MAX(op->fault.outcome, outcome);
    if (op->fault.outcome == OUTCOME_UNKNOWN)
        op->fault.retry = RETRY_NO;
    if (core->opening && fault_is_set(&op->fault) && !op->fault.stage) {
        op->fault.stage = lease_stage(&core->opening->lease);
        op->fault.protocol = protocol_name(core->opening->protocol);
    }
    op_readings_drop(core);
    drop_jobs(core);
    op_spool_waits_done(core);
    if (client) {
        if (core->answered)
            op_answer_epilogue(core);
        else
            op_answer_emit(core);
    }
    if (op->handler && op->handler->free && op->state)
        op->handler->free(op);
    if (op->state != core->inline_state)
        free(op->state);
    op_pipes_done(core);
    op_bodies_drop(core);
    if (core->opening)
        op_session_drop(core->opening, &op->fault);
    if (op->session)
        op_session_leave(core);
    op_note_end(core);
    op_answer_done(core);
    account_unref(op->account);
    arena_done(&op->arena);
    if (core->text && core->text->kept)
        rpc_request_detach(core->text->request);
    if (core->text)
        body_owner_unref(&core->text->owner);
    else
        rpc_request_free(op->request);
    spool_budget_give(&core->user->memory, core->charged);
    core->user->calls--;
    g->n_calls--;
    user_unref(core->user);
    list_remove(&core->link);
    core->in_call = 0;
    core_put(core);
    if (client)
        client_call_ended(client);
}

/* --- a client's calls --- */

void ops_client_fail(struct client *c, const struct fault *fault)
{
    while (!list_is_empty(&c->ops)) {
        struct op_core *core = list_first(&c->ops, struct op_core, link);
        /* One whose handler is on the stack is taken apart when that returns, and leaves the list already here. */
        if (core->in_call > 0)
            list_remove(&core->link);
        if (!op_has_ended(&core->op))
            op_core_end(core, fault);
        else if (core->in_call == 0)
            dismantle(core);
    }
}

void ops_client_gone(struct client *c)
{
    struct fault fault = {0};
    struct op_core *core;
    fault_set(&fault, -ECONNRESET, FAULT_CANCELLED, NULL, "the client has gone");
    list_foreach (&c->ops, core, struct op_core, link)
        core->client = NULL;
    ops_client_fail(c, &fault);
    struct op_session_core *s;
    while ((s = list_first(&c->sessions, struct op_session_core, link)))
        op_session_drop(&s->session, &fault);
}

bool ops_cancel_id(struct client *c, struct slice id, const struct op *asker)
{
    struct rpc_request *request = rpc_peer_find(&c->rpc, id);
    struct op_core *core = request ? request->owner : NULL;
    struct fault fault = {0};
    if (!core || &core->op == asker || op_has_ended(&core->op))
        return false;
    fault_set(&fault, -ECANCELED, FAULT_CANCELLED, NULL, "cancelled");
    op_core_end(core, &fault);
    return true;
}

void ops_client_drained(struct client *c)
{
    struct op_core *core;
    list_foreach (&c->ops, core, struct op_core, link)
        op_exchanges_resume(core, PAUSE_CLIENT);
}

void ops_end_all(struct gateway *g, const struct fault *fault)
{
    struct client *c;
    list_foreach (&g->clients, c, struct client, link) {
        ops_client_fail(c, fault);
        struct op_session_core *s;
        while ((s = list_first(&c->sessions, struct op_session_core, link)))
            op_session_drop(&s->session, fault);
    }
}
