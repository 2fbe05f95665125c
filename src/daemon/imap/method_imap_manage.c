/* SPDX-License-Identifier: MIT */
/* imap.create, delete, rename, subscribe, unsubscribe, close, unselect, check; and what the server is asked of
 * mailboxes and of itself: namespace, id, enable, capability, quotas, access rights, annotations. One table says which
 * is which. */
#include "method_imap.h"

#include "method_imap_told.h"
#include "methods.h"

#include <errno.h>
#include <stdlib.h>

struct manage_call {
    struct imap_call call;
    enum rpc_method_id id;
    struct imap_told told;
    struct slice *words; /* what the command's items point to, where they are not the parameters' own */
};

static const struct told_row {
    enum rpc_method_id id;
    enum imap_kind kind;
    void (*write)(const struct imap_told *told, struct json_writer *w); /* NULL: an empty result */
    enum imap_data needs; /* without this the server has not answered; NONE: an answer may tell nothing */
} rows[] = {
    {RPC_IMAP_CREATE, IMAP_CREATE, NULL, IMAP_DATA_NONE},
    {RPC_IMAP_DELETE, IMAP_DELETE, NULL, IMAP_DATA_NONE},
    {RPC_IMAP_RENAME, IMAP_RENAME, NULL, IMAP_DATA_NONE},
    {RPC_IMAP_SUBSCRIBE, IMAP_SUBSCRIBE, NULL, IMAP_DATA_NONE},
    {RPC_IMAP_UNSUBSCRIBE, IMAP_UNSUBSCRIBE, NULL, IMAP_DATA_NONE},
    {RPC_IMAP_CLOSE, IMAP_CLOSE, NULL, IMAP_DATA_NONE},
    {RPC_IMAP_UNSELECT, IMAP_UNSELECT, NULL, IMAP_DATA_NONE},
    {RPC_IMAP_UNAUTHENTICATE, IMAP_UNAUTHENTICATE, NULL, IMAP_DATA_NONE},
    {RPC_IMAP_CHECK, IMAP_CHECK, NULL, IMAP_DATA_NONE},
    {RPC_IMAP_SETQUOTA, IMAP_SETQUOTA, NULL, IMAP_DATA_NONE},
    {RPC_IMAP_SETACL, IMAP_SETACL, NULL, IMAP_DATA_NONE},
    {RPC_IMAP_DELETEACL, IMAP_DELETEACL, NULL, IMAP_DATA_NONE},
    {RPC_IMAP_SETMETADATA, IMAP_SETMETADATA, NULL, IMAP_DATA_NONE},
    {RPC_IMAP_CAPABILITY, IMAP_CAPABILITY, NULL, IMAP_DATA_NONE},
    {RPC_IMAP_NAMESPACE, IMAP_NAMESPACE, imap_told_namespace, IMAP_DATA_NAMESPACE},
    {RPC_IMAP_ID, IMAP_ID, imap_told_id, IMAP_DATA_NONE},
    {RPC_IMAP_ENABLE, IMAP_ENABLE, imap_told_enabled, IMAP_DATA_NONE},
    {RPC_IMAP_GETQUOTA, IMAP_GETQUOTA, imap_told_quotas, IMAP_DATA_NONE},
    {RPC_IMAP_GETQUOTAROOT, IMAP_GETQUOTAROOT, imap_told_quotaroots, IMAP_DATA_QUOTAROOT},
    {RPC_IMAP_GETACL, IMAP_GETACL, imap_told_acl, IMAP_DATA_ACL},
    {RPC_IMAP_LISTRIGHTS, IMAP_LISTRIGHTS, imap_told_listrights, IMAP_DATA_LISTRIGHTS},
    {RPC_IMAP_MYRIGHTS, IMAP_MYRIGHTS, imap_told_myrights, IMAP_DATA_MYRIGHTS},
    {RPC_IMAP_GETMETADATA, IMAP_GETMETADATA, imap_told_metadata, IMAP_DATA_NONE},
};

static const struct told_row *row_of(enum rpc_method_id id)
{
    size_t i = 0;
    while (i < ARRAY_LEN(rows) - 1 && rows[i].id != id)
        i++;
    return &rows[i];
}

static struct manage_call *manage_of(struct imap_call *call)
{
    return container_of(call, struct manage_call, call);
}

/* --- its course --- */

static int manage_begin(struct imap_call *call, struct fault *fault)
{
    struct manage_call *m = manage_of(call);
    buffer_clear(&m->told.kept);
    m->told.utf8_names = imap_client_utf8(imap_call_engine(call));
    return imap_call_command(call, &call->command, fault);
}

static void write_capabilities(struct imap_call *call, struct op *op)
{
    json_write_object_begin(&op->w);
    json_write_key(&op->w, "capabilities");
    imap_json_flags(&op->w, imap_client_capabilities(imap_call_engine(call)));
    json_write_object_end(&op->w);
}

static void manage_event(struct imap_call *call, const struct imap_event *e)
{
    struct manage_call *m = manage_of(call);
    struct op *op = call->ox.op;
    if (e->base.type == ENGINE_EVENT_DONE) {
        if (op && imap_kind_changes(call->command.kind))
            op->done_outcome = OUTCOME_DONE;
        if (op && m->id == RPC_IMAP_CAPABILITY)
            write_capabilities(call, op);
        if (m->id == RPC_IMAP_UNAUTHENTICATE && e->base.request == &call->command.request) {
            /* What a login may use is another matter than what came with the last one. */
            call->refresh = (struct imap_command){.kind = IMAP_CAPABILITY};
            imap_call_command(call, &call->refresh, &call->fault);
        }
        /* RFC 8474 section 4.2: [MAILBOXID (id)] */
        if (m->id == RPC_IMAP_CREATE && slice_eq_ci(e->response.code.name, SLICE("MAILBOXID")) &&
            buffer_append_slice(&m->told.kept, e->response.code.arguments) < 0)
            buffer_clear(&m->told.kept);
        return;
    }
    if (!op || e->base.type != ENGINE_EVENT_REPLY || e->fetch.is_fetch)
        return;
    int ret = imap_told_keep(&m->told, &e->response);
    if (ret < 0)
        fault_set(&call->fault, ret, ret == -ENOMEM ? FAULT_INTERNAL : FAULT_LIMIT, imap_kind_stage(call->command.kind),
                  "the server tells too much");
}

static void manage_finish(struct imap_call *call, struct op *op)
{
    struct manage_call *m = manage_of(call);
    const struct told_row *row = row_of(m->id);
    if (row->needs != IMAP_DATA_NONE && !imap_told_has(&m->told, row->needs)) {
        fault_set(&op->fault, -EPROTO, FAULT_PROTOCOL, imap_kind_stage(row->kind),
                  "the server says OK and tells nothing");
        op_fail(op, NULL);
        return;
    }
    if (m->id != RPC_IMAP_CAPABILITY) {
        json_write_object_begin(&op->w);
        if (row->write)
            row->write(&m->told, &op->w);
        struct slice kept = buffer_slice(&m->told.kept);
        struct imap_value id;
        if (m->id == RPC_IMAP_CREATE && imap_value_next(&kept, &id) > 0 && id.bytes.len)
            json_write_member_string(&op->w, "mailboxid", id.bytes);
        json_write_object_end(&op->w);
    }
    op_finish(op);
}

static void manage_dispose(struct imap_call *call)
{
    struct manage_call *m = manage_of(call);
    imap_told_done(&m->told);
    free(m->words);
}

static const struct imap_call_ops manage_ops = {"imap.manage",  manage_begin, manage_event, manage_finish,
                                                manage_dispose, NULL,         NULL};

static struct manage_call *manage_new(struct op *op)
{
    struct manage_call *m = imap_call_new(op, sizeof(*m), &manage_ops);
    m->id = op->id;
    imap_told_init(&m->told);
    m->call.command.kind = row_of(op->id)->kind;
    m->call.ox.x.changes = imap_kind_changes(m->call.command.kind);
    m->call.ox.x.reads_only = !m->call.ox.x.changes;
    return m;
}

static int manage_submit(struct op *op, struct manage_call *m)
{
    /* A mailbox that is only examined loses nothing by CLOSE. */
    if (op->session && op->session->readonly && m->call.ox.x.changes && m->id != RPC_IMAP_CLOSE)
        return imap_call_drop(&m->call, op_refuse(op, FAULT_READONLY, "this session is read-only"));
    return imap_call_submit(&m->call);
}

static int manage_run(struct op *op)
{
    struct manage_call *m = manage_new(op);
    if (op->id == RPC_IMAP_CLOSE || op->id == RPC_IMAP_UNSELECT || op->id == RPC_IMAP_CHECK || op->id == RPC_IMAP_UNAUTHENTICATE)
        return manage_submit(op, m);
    const struct api_imap_manage_params *p = op->params;
    m->call.command.mailbox = p->mailbox;
    m->call.command.other = p->new_name;
    m->call.command.text = p->special_use.data ? p->special_use : SLICE_EMPTY;
    return manage_submit(op, m);
}

const struct op_handler imap_manage_handler = {.run = manage_run};

/* --- what a command says --- */

static int take_words(struct op *op, struct manage_call *m, size_t n)
{
    m->words = calloc(MAX(n, (size_t) 1), sizeof(*m->words));
    if (!m->words)
        return op_refuse(op, FAULT_LIMIT, "out of memory");
    m->call.command.items = m->words;
    m->call.command.n_items = n;
    return 0;
}

static int take_map(struct op *op, struct manage_call *m, const struct rpc_map *map)
{
    int ret = take_words(op, m, map->n * 2);
    for (size_t i = 0; ret == 0 && i < map->n; i++) {
        m->words[2 * i] = map->items[i].name;
        m->words[2 * i + 1] = map->items[i].is_null ? (struct slice){NULL, 0} : map->items[i].values.items[0];
    }
    return ret;
}

static int take_tell(struct op *op, struct manage_call *m)
{
    const struct api_imap_tell_params *p = op->params;
    struct imap_command *c = &m->call.command;
    int ret = 0;
    c->mailbox = p->mailbox;
    if (op->id == RPC_IMAP_ID || op->id == RPC_IMAP_SETMETADATA) {
        ret = take_map(op, m, &p->map);
    } else if (op->id == RPC_IMAP_SETQUOTA) {
        c->text = p->root;
        ret = take_map(op, m, &p->map);
    } else if (op->id == RPC_IMAP_ENABLE || op->id == RPC_IMAP_GETMETADATA) {
        c->items = p->words.items;
        c->n_items = p->words.n;
        c->text = p->depth.data ? p->depth : SLICE_EMPTY;
        c->modseq = op->id == RPC_IMAP_GETMETADATA && p->maxsize != RPC_ABSENT ? (uint64_t) p->maxsize : 0;
    } else if (op->id == RPC_IMAP_GETQUOTA) {
        ret = take_words(op, m, 1);
        if (ret == 0)
            m->words[0] = p->root;
    } else if (op->id == RPC_IMAP_SETACL || op->id == RPC_IMAP_DELETEACL || op->id == RPC_IMAP_LISTRIGHTS) {
        ret = take_words(op, m, op->id == RPC_IMAP_SETACL ? 2 : 1);
        if (ret == 0)
            m->words[0] = p->identifier;
        if (ret == 0 && op->id == RPC_IMAP_SETACL)
            m->words[1] = p->rights;
    }
    return ret;
}

static int tell_run(struct op *op)
{
    struct manage_call *m = manage_new(op);
    if (op->id != RPC_IMAP_NAMESPACE && op->id != RPC_IMAP_CAPABILITY) {
        int ret = take_tell(op, m);
        if (ret < 0)
            return imap_call_drop(&m->call, ret);
    }
    return manage_submit(op, m);
}

const struct op_handler imap_tell_handler = {.run = tell_run};
