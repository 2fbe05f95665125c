/* SPDX-License-Identifier: MIT */
/* imap.send, read, readline: bytes of the caller's own, there and back. */
#include "api_imap_session.h"
#include "method_imap.h"
#include "methods.h"

#include <errno.h>
#include <stdlib.h>

#define SEND_MAX (1024u * 1024)

struct send_state {
    struct body *body;
};

struct raw_call {
    struct imap_call call;
    char *bytes;
};

static struct raw_call *raw_of(struct imap_call *call)
{
    return container_of(call, struct raw_call, call);
}

static int raw_begin(struct imap_call *call, struct fault *fault)
{
    return imap_call_command(call, &call->command, fault);
}

static void raw_event(struct imap_call *call, const struct imap_event *e)
{
    struct op *op = call->ox.op;
    if (!op || e->base.type != ENGINE_EVENT_DONE)
        return;
    json_write_object_begin(&op->w);
    if (call->command.kind != IMAP_RAW_SEND && op_write_content(op, "raw", e->base.data) < 0 && !fault_is_set(&op->fault))
        fault_set(&op->fault, -EIO, FAULT_INTERNAL, "read", "the bytes cannot be given");
    json_write_object_end(&op->w);
}

static void raw_finish(struct imap_call *call, struct op *op)
{
    (void) call;
    op_finish(op);
}

static void raw_dispose(struct imap_call *call)
{
    free(raw_of(call)->bytes);
}

static const struct imap_call_ops raw_ops = {
    .name = "imap.read", .begin = raw_begin, .event = raw_event, .finish = raw_finish, .dispose = raw_dispose};

static int send_prepare(struct op *op)
{
    const struct api_imap_send_params *p = op->params;
    struct send_state *st = op->state;
    if (op->session->readonly)
        return op_refuse(op, FAULT_READONLY, "this session is read-only");
    int ret = op_collect(op, &p->raw, "raw", &st->body);
    return ret < 0 ? ret : OP_WAIT;
}

static int send_run(struct op *op)
{
    const struct send_state *st = op->state;
    uint64_t size = body_size(st->body);
    size_t got = 0;
    if (size == 0 || size > SEND_MAX)
        return op_refuse(op, FAULT_INVALID_PARAMS, "raw: must be 1 to %u bytes", SEND_MAX);
    struct raw_call *r = imap_call_new(op, sizeof(*r), &raw_ops);
    r->bytes = malloc((size_t) size);
    if (!r->bytes)
        return imap_call_drop(&r->call, op_refuse(op, FAULT_LIMIT, "out of memory"));
    for (size_t at = 0; at < size; at += got)
        if (body_read(st->body, at, r->bytes + at, (size_t) size - at, &got) < 0 || got == 0)
            return imap_call_drop(&r->call, op_refuse(op, FAULT_BAD_MESSAGE, "raw: cannot be read"));
    r->call.command.kind = IMAP_RAW_SEND;
    r->call.command.text = slice_of(r->bytes, (size_t) size);
    r->call.ox.x.changes = true;
    return imap_call_submit(&r->call);
}

static int read_run(struct op *op)
{
    const struct api_imap_read_params *p = op->params;
    struct raw_call *r = imap_call_new(op, sizeof(*r), &raw_ops);
    bool line = op->id == RPC_IMAP_READLINE;
    r->call.command.kind = line ? IMAP_RAW_LINE : IMAP_RAW_READ;
    r->call.command.body_size = line ? 0 : (uint64_t) p->size;
    return imap_call_submit(&r->call);
}

const struct op_handler imap_send_handler = {.state_size = sizeof(struct send_state), .prepare = send_prepare, .run = send_run};
const struct op_handler imap_read_handler = {.run = read_run};
