/* SPDX-License-Identifier: MIT */
/* What an op has under way: exchanges with servers, spools that wait for room, jobs of the helpers. */
#include "op_core.h"

#include "must.h"

#include <errno.h>
#include <stdlib.h>

/* --- spools that wait --- */

struct op_spool_wait {
    struct list link;
    struct op_core *core;
    struct op_exchange *ox;
    struct spool *spool;
};

static void wait_done(struct op_spool_wait *w)
{
    list_remove(&w->link);
    spool_on_room(w->spool, NULL, NULL);
    spool_unref(w->spool);
    free(w);
}

static void waits_forget(struct op_core *core, const struct op_exchange *ox)
{
    struct op_spool_wait *w;
    list_foreach (&core->spools, w, struct op_spool_wait, link)
        if (w->ox == ox)
            wait_done(w);
}

void op_spool_waits_done(struct op_core *core)
{
    while (!list_is_empty(&core->spools))
        wait_done(list_first(&core->spools, struct op_spool_wait, link));
}

/* --- exchanges --- */

int op_pool(struct op *op, enum protocol protocol, struct pool **ret)
{
    if (!op->account)
        return op_refuse(op, FAULT_INVALID_PARAMS, "account: must be given");
    return account_pool(op->account, protocol, ret, &op->fault);
}

void *op_exchange_new(struct op *op, size_t size, const struct exchange_ops *ops)
{
    struct op_exchange *ox = must_calloc(1, size);
    exchange_init(&ox->x, ops);
    ox->x.owner = op->owner;
    ox->x.deadline_ms = op->deadline_ms;
    ox->x.queue_deadline_ms = op->deadline_ms;
    ox->op = op;
    ox->loop = op->gateway->loop;
    list_init(&ox->link);
    return ox;
}

static void forget_unsubmitted(struct op_exchange *ox)
{
    if (ox->dispose)
        ox->dispose(ox);
    free(ox);
}

int op_exchange_submit(struct op_exchange *ox, enum protocol protocol)
{
    struct op *op = ox->op;
    struct op_core *core = op_core_of(op);
    struct pool *pool = NULL;
    int r;
    if (op->session) {
        r = op_session_net(op->session)
                ? lease_submit(&op->session->lease, &ox->x, &op->fault)
                : fault_set(&op->fault, -ENOENT, FAULT_NO_SUCH_SESSION, NULL, "the session has ended");
    } else {
        r = op_pool(op, protocol, &pool);
        if (r == 0) {
            uint64_t patience = pool_endpoint(pool)->queue_timeout_ms;
            uint64_t until = loop_now_ms(op->gateway->loop) + patience;
            ox->x.queue_deadline_ms = MIN(until, op->deadline_ms);
            r = pool_submit(pool, &ox->x, &op->fault);
        }
    }
    if (r < 0) {
        if (!op->fault.protocol)
            op->fault.protocol = protocol_name(protocol);
        forget_unsubmitted(ox);
        return r;
    }
    list_append(&core->exchanges, &ox->link);
    core->n_exchanges++;
    return 0;
}

static void exchange_free(void *object)
{
    free(object);
}

struct op *op_exchange_end(struct exchange *x, const struct fault *fault)
{
    struct op_exchange *ox = container_of(x, struct op_exchange, x);
    struct op *op = ox->op;
    loop_defer_free(ox->loop, exchange_free, ox);
    if (!op)
        return NULL;
    struct op_core *core = op_core_of(op);
    list_remove(&ox->link);
    core->n_exchanges--;
    ox->op = NULL;
    waits_forget(core, ox);
    if (op_has_ended(op))
        return NULL;
    if (fault && fault_is_set(fault) && !fault_is_set(&op->fault))
        op->fault = *fault;
    return op;
}

unsigned op_exchanges(const struct op *op)
{
    return op->core->n_exchanges;
}

enum fault_outcome op_exchanges_cancel(struct op_core *core)
{
    enum fault_outcome worst = OUTCOME_NONE;
    struct fault *why = &core->op.fault;
    while (!list_is_empty(&core->exchanges)) {
        struct op_exchange *ox = list_first(&core->exchanges, struct op_exchange, link);
        list_remove(&ox->link);
        ox->op = NULL;
        if (fault_is_set(why) && !why->stage)
            why->stage = exchange_stage(&ox->x);
        if (fault_is_set(why) && !why->protocol && ox->x.pool)
            why->protocol = protocol_name(pool_endpoint(ox->x.pool)->protocol);
        /* Nobody reads any more, so nobody holds the server back. */
        if (ox->paused)
            exchange_resume(&ox->x);
        ox->paused = 0;
        enum fault_outcome outcome = exchange_cancel(&ox->x);
        if (ox->x.changes)
            worst = MAX(worst, outcome);
    }
    core->n_exchanges = 0;
    return worst;
}

void op_exchange_pause_one(struct op_exchange *ox, unsigned why)
{
    if (!ox->paused && ox->op)
        exchange_pause(&ox->x);
    if (ox->op)
        ox->paused |= why;
}

void op_exchange_resume_one(struct op_exchange *ox, unsigned why)
{
    if (!(ox->paused & why))
        return;
    ox->paused &= ~why;
    if (!ox->paused)
        exchange_resume(&ox->x);
}

void op_exchanges_pause(struct op_core *core, unsigned why)
{
    struct op_exchange *ox;
    list_foreach (&core->exchanges, ox, struct op_exchange, link)
        op_exchange_pause_one(ox, why);
}

void op_exchanges_resume(struct op_core *core, unsigned why)
{
    struct op_exchange *ox;
    list_foreach (&core->exchanges, ox, struct op_exchange, link)
        op_exchange_resume_one(ox, why);
}

/* --- pieces into spools --- */

static void room(void *arg, const struct fault *fault)
{
    struct op_spool_wait *w = arg;
    struct op_core *core = w->core;
    struct op_exchange *ox = w->ox;
    wait_done(w);
    if (fault)
        op_fail(&core->op, fault);
    else if (ox->op)
        op_exchange_resume_one(ox, PAUSE_MEMORY);
}

struct spool *op_spool_new(struct op *op, uint64_t limit)
{
    const struct daemon_config *config = gateway_config(op->gateway);
    const char *name = "max_message_size";
    if (limit == 0 && op->form == RPC_FORM_PIPE) {
        limit = config->max_message_size;
    } else if (limit == 0) {
        limit = op->form == RPC_FORM_FD ? config->fd_answer_max : config->max_response_size;
        name = op->form == RPC_FORM_FD ? "fd_answer_max" : "max_response_size";
    }
    struct spool *s = spool_new(&op_core_of(op)->user->memory, limit, name);
    if (!s)
        abort();
    return s;
}

static bool already_waits(const struct op_core *core, const struct spool *s)
{
    const struct op_spool_wait *w;
    list_foreach (&core->spools, w, struct op_spool_wait, link)
        if (w->spool == s)
            return true;
    return false;
}

int op_spool_write(struct op_exchange *ox, struct spool *s, struct slice piece)
{
    struct op *op = ox->op;
    if (!op)
        return -ECANCELED;
    struct op_core *core = op_core_of(op);
    int r = spool_write(s, piece, &op->fault);
    if (r <= 0)
        return r;
    op_exchange_pause_one(ox, PAUSE_MEMORY);
    if (!already_waits(core, s)) {
        struct op_spool_wait *w = must_calloc(1, sizeof(*w));
        w->core = core;
        w->ox = ox;
        w->spool = spool_ref(s);
        list_append(&core->spools, &w->link);
        spool_on_room(s, room, w);
    }
    return 0;
}

/* --- memory that outlives the call --- */

struct memory_charge {
    struct user *user; /* a reference */
    uint64_t bytes;
};

struct memory_charge *op_charge(struct op *op, uint64_t bytes)
{
    struct user *user = op_core_of(op)->user;
    if (spool_budget_take(&user->memory, bytes, &op->fault) < 0)
        return NULL;
    struct memory_charge *c = must_calloc(1, sizeof(*c));
    c->user = user_ref(user);
    c->bytes = bytes;
    return c;
}

int memory_charge_grow(struct memory_charge *c, uint64_t bytes, struct fault *fault)
{
    if (bytes <= c->bytes)
        return 0;
    int r = spool_budget_take(&c->user->memory, bytes - c->bytes, fault);
    if (r == 0)
        c->bytes = bytes;
    return r;
}

void memory_charge_free(struct memory_charge *c)
{
    if (!c)
        return;
    spool_budget_give(&c->user->memory, c->bytes);
    user_unref(c->user);
    free(c);
}

/* --- jobs --- */

static void job_done(struct worker_job *wj)
{
    struct op_job *j = container_of(wj, struct op_job, job);
    if (!j->op)
        return;
    list_remove(&j->link);
    struct op_core *core = op_core_of(j->op);
    op_core_enter(core);
    if (!op_has_ended(&core->op))
        j->finished(j);
    op_core_leave(core);
}

int op_job_submit(struct op *op, struct op_job *job, struct worker_pool *pool)
{
    job->op = op;
    job->job.done = job_done;
    list_init(&job->link);
    int r = worker_submit(pool, &job->job);
    if (r < 0) {
        job->job.destroy(&job->job);
        return fault_set(&op->fault, r, FAULT_BUSY, NULL, "the helpers are busy");
    }
    list_append(&op_core_of(op)->jobs, &job->link);
    return 0;
}
