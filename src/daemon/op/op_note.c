/* SPDX-License-Identifier: MIT */
/* What stays of a call that is over: a count, and a line in the log. */
#include "op_core.h"

#include "log.h"
#include "metrics.h"

#include <string.h>

/* "imap" of imap.fetch; empty for the methods that belong to no protocol. */
static struct slice protocol_of(const struct op *op)
{
    struct slice name = slice_of_str(op->method->name), area = slice_to(name, slice_find(name, '.'));
    for (int p = 0; p < PROTOCOL_COUNT; p++)
        if (slice_eq(area, slice_of_str(protocol_name((enum protocol) p))))
            return area;
    return slice_eq(area, SLICE("event")) ? SLICE("imap") : SLICE_EMPTY;
}

/* A mistake of the caller's in the parameters is its own business, and so is its change of mind. */
static bool is_worth_telling(enum fault_kind kind)
{
    return kind != FAULT_INVALID_PARAMS && kind != FAULT_INVALID_REQUEST && kind != FAULT_CANCELLED;
}

/* Neither the fault's text nor the server's: they may hold addresses and whatever else a server likes to say. */
static void write_line(const struct op_core *core, uint64_t took_ms)
{
    const struct op *op = &core->op;
    const struct fault *fault = &op->fault;
    bool failed = fault_is_set(fault);
    enum config_log_level level = failed && is_worth_telling(fault->kind) ? CONFIG_LOG_INFO : CONFIG_LOG_DEBUG;
    struct log_field fields[12];
    size_t n = 0;
    if (!log_wants(level))
        return;
    fields[n++] = LOG_STR("method", op->method->name);
    if (op->account && account_name(op->account))
        fields[n++] = LOG_STR("account", account_name(op->account));
    struct slice protocol = failed && fault->protocol ? slice_of_str(fault->protocol) : protocol_of(op);
    if (protocol.len)
        fields[n++] = LOG_TEXT("protocol", protocol);
    fields[n++] = LOG_INT("uid", core->user->uid);
    fields[n++] = LOG_INT("duration_ms", took_ms);
    if (failed) {
        const char *kind = fault_kind_name(fault->kind);
        fields[n++] = LOG_STR("kind", kind ? kind : "internal");
        if (fault->stage)
            fields[n++] = LOG_STR("stage", fault->stage);
        fields[n++] = LOG_STR("outcome", fault_outcome_name(fault->outcome));
        if (fault->has_reply && fault->reply.code)
            fields[n++] = LOG_INT("code", fault->reply.code);
    }
    log_event_fields(level, failed ? "call failed" : "call", fields, n);
}

void op_note_end(const struct op_core *core)
{
    const struct op *op = &core->op;
    uint64_t took_ms = loop_now_ms(op->gateway->loop) - op->started_ms;
    metrics_count_call(op->gateway->metrics, op->id, op->fault.kind, took_ms);
    if (op->method->where != RPC_LOCAL)
        write_line(core, took_ms);
}
