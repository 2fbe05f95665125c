/* SPDX-License-Identifier: MIT */
/* account.list, account.test */
#include "api_gateway.h"
#include "methods.h"
#include "must.h"
#include "op_core.h"

static int list_run(struct op *op)
{
    json_write_object_begin(&op->w);
    json_write_key(&op->w, "accounts");
    status_write_accounts(op);
    json_write_object_end(&op->w);
    return OP_DONE;
}

const struct op_handler account_list_handler = {.run = list_run};

/* A probe cannot be called back: it lives until it is over, and what it finds is written only if its op still does. */
struct probe {
    struct op *op; /* NULL: the call has ended */
    enum protocol protocol;
    bool over;
    struct pool_probe_result result;
    struct fault fault;
};

struct test_state {
    struct probe *probes[PROTOCOL_COUNT];
    unsigned left;
};

static void write_probe(struct op *op, const struct probe *p)
{
    const struct rpc_fault_context context = {.account = slice_of_str(account_name(op->account))};
    struct json_writer *w = &op->w;
    bool ok = !fault_is_set(&p->fault);
    json_write_key(w, protocol_name(p->protocol));
    json_write_object_begin(w);
    json_write_member_bool(w, "ok", ok);
    if (!ok) {
        json_write_key(w, "error");
        rpc_write_fault(w, &p->fault, &context);
    } else {
        json_write_member_bool(w, "tls", p->result.tls);
        json_write_member_uint(w, "time", p->result.total_ms);
    }
    json_write_object_end(w);
}

static void test_finish(struct op *op)
{
    const struct test_state *t = op->state;
    json_write_object_begin(&op->w);
    for (int p = 0; p < PROTOCOL_COUNT; p++)
        if (t->probes[p])
            write_probe(op, t->probes[p]);
    json_write_object_end(&op->w);
    op_finish(op);
}

static void probe_done(void *arg, const struct pool_probe_result *result, const struct fault *fault,
                       const struct session *s)
{
    struct probe *p = arg;
    struct op *op = p->op;
    (void) s;
    if (!op) {
        free(p);
        return;
    }
    p->over = true;
    if (fault)
        p->fault = *fault;
    else
        p->result = *result;
    if (!p->fault.protocol)
        p->fault.protocol = protocol_name(p->protocol);
    struct test_state *t = op->state;
    if (--t->left == 0)
        test_finish(op);
}

static int probe_start(struct op *op, enum protocol protocol)
{
    struct test_state *t = op->state;
    struct probe *p = must_calloc(1, sizeof(*p));
    struct pool *pool;
    p->op = op;
    p->protocol = protocol;
    t->probes[protocol] = p;
    int r = op_pool(op, protocol, &pool);
    if (r < 0) {
        p->over = true;
        return r;
    }
    if (pool_probe(pool, op->deadline_ms, probe_done, p, &p->fault) < 0)
        p->over = true; /* refused at once: that is the finding */
    else
        t->left++;
    return 0;
}

static int test_run(struct op *op)
{
    const struct api_account_test_params *params = op->params;
    struct test_state *t = op->state;
    for (int p = 0; p < PROTOCOL_COUNT; p++) {
        bool wanted = params->protocol == RPC_ENUM_ABSENT ? account_config(op->account)->protocols[p].present
                                                          : params->protocol == p;
        int r = wanted ? probe_start(op, (enum protocol) p) : 0;
        if (r < 0)
            return r;
    }
    if (t->left == 0)
        test_finish(op);
    return OP_WAIT;
}

static void test_free(struct op *op)
{
    struct test_state *t = op->state;
    for (int p = 0; p < PROTOCOL_COUNT; p++) {
        if (!t->probes[p])
            continue;
        if (t->probes[p]->over)
            free(t->probes[p]);
        else
            t->probes[p]->op = NULL;
    }
}

const struct op_handler account_test_handler = {
    .state_size = sizeof(struct test_state), .run = test_run, .free = test_free};
