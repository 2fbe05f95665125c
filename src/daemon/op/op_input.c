/* SPDX-License-Identifier: MIT */
/* What an op is given: bodies of Contents, and what its client's connection remembers of mailboxes. */
#include "op_core.h"

#include "must.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* A Content that is still being read. */
struct op_reading {
    struct list link;
    struct op_core *core;
    struct foreign_read *read;
    struct body **ret;
    char name[160];
};

struct op_body {
    struct list link;
    struct body *body;
};

void op_readings_drop(struct op_core *core)
{
    struct op_reading *r;
    list_foreach (&core->readings, r, struct op_reading, link) {
        list_remove(&r->link);
        foreign_read_cancel(r->read);
        free(r);
    }
}

void op_bodies_drop(struct op_core *core)
{
    struct op_body *b;
    list_foreach (&core->bodies, b, struct op_body, link) {
        list_remove(&b->link);
        body_unref(b->body);
        free(b);
    }
}

/* --- bodies --- */

static struct spool_budget *budget_of(struct op_core *core)
{
    return &core->user->memory;
}

/* The op keeps a reference until its end. */
static void keep_body(struct op_core *core, struct body *body)
{
    struct op_body *b = must_calloc(1, sizeof(*b));
    b->body = body;
    list_append(&core->bodies, &b->link);
}

static void collected(void *arg, struct body *body, const struct fault *fault)
{
    struct op_reading *r = arg;
    struct op_core *core = r->core;
    list_remove(&r->link);
    if (fault) {
        free(r);
        op_fail(&core->op, fault);
        return;
    }
    keep_body(core, body);
    *r->ret = body;
    free(r);
    if (list_is_empty(&core->readings))
        op_again(&core->op);
}

static int collect_fd(struct op_core *core, const struct rpc_content *c, const char *name, struct body **ret)
{
    struct op *op = &core->op;
    struct gateway *g = op->gateway;
    int fd = rpc_request_take_fd(op->request, c->fd);
    if (fd < 0)
        return op_refuse(op, FAULT_INVALID_PARAMS, "%s: there is no descriptor %u", name, c->fd);
    struct op_reading *r = must_calloc(1, sizeof(*r));
    struct body *body = NULL;
    r->core = core;
    r->ret = ret;
    snprintf(r->name, sizeof(r->name), "%s", name);
    list_init(&r->link);
    int e = foreign_read_start(g->foreign, fd, budget_of(core), gateway_config(g)->max_message_size, "max_message_size",
                               r->name, collected, r, &body, &r->read, &op->fault);
    if (e == 1) {
        list_append(&core->readings, &r->link);
        return 0;
    }
    free(r);
    if (e < 0)
        return e;
    keep_body(core, body);
    *ret = body;
    return 0;
}

int op_collect(struct op *op, const struct rpc_content *c, const char *name, struct body **ret)
{
    struct op_core *core = op_core_of(op);
    uint64_t max = gateway_config(op->gateway)->max_message_size;
    switch (c->kind) {
    case RPC_CONTENT_ABSENT:
        *ret = NULL;
        return 0;
    case RPC_CONTENT_FD:
        return collect_fd(core, c, name, ret);
    case RPC_CONTENT_BYTES:
        break;
    }
    if (c->bytes.len > max) {
        op->fault.limit = "max_message_size";
        return op_refuse(op, FAULT_LIMIT, "%s: more than max_message_size (%llu bytes)", name,
                         (unsigned long long) max);
    }
    struct body *body = body_new_slice(c->bytes, op_text_owner(op));
    if (!body)
        return op_refuse(op, FAULT_INTERNAL, "out of memory");
    keep_body(core, body);
    *ret = body;
    return 0;
}

/* --- mailboxes --- */

bool op_uidvalidity_known(const struct op *op, struct slice mailbox, uint32_t *ret)
{
    const struct client *c = op->core->client;
    return c && op->account && mailbox_memory_find(c->mailboxes, op->account, mailbox, ret);
}

void op_uidvalidity_remember(struct op *op, struct slice mailbox, uint32_t value)
{
    struct client *c = op->core->client;
    if (c && op->account)
        mailbox_memory_set(&c->mailboxes, op->account, mailbox, value);
}

int op_uidvalidity_expected(struct op *op, const struct rpc_uidvalidity *given, struct slice mailbox, bool changing,
                            uint32_t *ret)
{
    uint32_t known;
    switch (given->kind) {
    case RPC_UIDVALIDITY_NUMBER:
        *ret = given->value;
        return 0;
    case RPC_UIDVALIDITY_ANY:
        *ret = 0;
        return 0;
    case RPC_UIDVALIDITY_ABSENT:
        break;
    }
    if (op_uidvalidity_known(op, mailbox, &known)) {
        *ret = known;
        return 0;
    }
    if (changing)
        return op_refuse(op, FAULT_INVALID_PARAMS,
                         "uidvalidity: must be given (or \"any\"): nothing was answered for this mailbox on this "
                         "connection yet");
    *ret = 0;
    return 0;
}
