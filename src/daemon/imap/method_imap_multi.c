/* SPDX-License-Identifier: MIT */
/* imap.search in several mailboxes: one command where the server offers MULTISEARCH (RFC 7377), else one mailbox after the
 * other on the same connection. */
#include "method_imap.h"

#include "hash.h"
#include "imap_mailbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FOUND_MAX 10000 /* mailboxes */

struct found_in {
    char *name; /* UTF-8 */
    uint64_t hash;
    uint32_t uidvalidity;
    struct imap_found found;
};

struct multi_call {
    struct imap_call call;
    struct imap_term *terms;
    struct imap_command examine;
    struct rpc_strings mailboxes;
    size_t next; /* mailbox to be opened; one by one */
    bool one_by_one, as_ranges;
    unsigned wanted;
    struct found_in *list;
    size_t n, cap;
};

static struct multi_call *multi_of(struct imap_call *call)
{
    return container_of(call, struct multi_call, call);
}

static void forget(struct multi_call *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->list[i].name);
        imap_found_done(&m->list[i].found);
    }
    m->n = 0;
}

/* The place of a mailbox's result, a new one if need be. NULL: too many, or memory is out. */
static struct found_in *place_of(struct multi_call *m, struct slice name, uint32_t uidvalidity)
{
    uint64_t hash = hash_slice(imap_mailbox_eq(name, SLICE("INBOX")) ? SLICE("INBOX") : name);
    for (size_t i = m->n; i-- > 0;)
        if (m->list[i].hash == hash && imap_mailbox_eq(slice_of_str(m->list[i].name), name))
            return &m->list[i];
    if (m->n == m->cap) {
        size_t cap = m->cap ? m->cap * 2 : 16;
        struct found_in *list = cap > FOUND_MAX ? NULL : realloc(m->list, cap * sizeof(*list));
        if (!list)
            return NULL;
        m->list = list;
        m->cap = cap;
    }
    struct found_in *f = &m->list[m->n];
    *f = (struct found_in){.name = imap_call_text(name), .hash = hash, .uidvalidity = uidvalidity};
    imap_found_init(&f->found);
    if (!f->name)
        return NULL;
    m->n++;
    return f;
}

/* --- one command --- */

static int take_result(struct multi_call *m, const struct imap_response *r)
{
    struct imap_esearch e;
    struct buffer scratch, decoded;
    struct slice wire, name = SLICE_EMPTY;
    bool odd;
    int ret = imap_esearch_parse(r->text, &e);
    if (ret < 0 || e.mailbox.type == IMAP_NIL || e.mailbox.type == IMAP_LIST || e.all.len == 0)
        return ret;
    buffer_init(&scratch, 65536);
    buffer_init(&decoded, 65536);
    ret = imap_value_text(&e.mailbox, &scratch, &wire);
    if (ret == 0)
        ret = imap_mailbox_take(wire, imap_client_utf8(imap_call_engine(&m->call)), &decoded, &odd);
    if (ret == 0) {
        name = buffer_slice(&decoded);
        struct found_in *f = place_of(m, name, e.uidvalidity);
        ret = f ? imap_found_take(&f->found, r) : -E2BIG;
    }
    buffer_done(&scratch);
    buffer_done(&decoded);
    return ret;
}

/* --- one mailbox after the other --- */

static void next_mailbox(struct multi_call *m, struct fault *fault)
{
    if (m->next == m->mailboxes.n)
        return;
    m->examine = (struct imap_command){.kind = IMAP_EXAMINE, .mailbox = m->mailboxes.items[m->next++]};
    imap_call_command(&m->call, &m->examine, fault);
}

/* As with MULTISEARCH, what cannot be opened holds nothing. */
static bool multi_refused(struct imap_call *call, const struct imap_event *e)
{
    return e->base.request == &multi_of(call)->examine.request;
}

static int take_single(struct multi_call *m, const struct imap_response *r)
{
    struct imap_mailbox_state box;
    imap_client_selected(imap_call_engine(&m->call), &box);
    struct found_in *f = place_of(m, m->examine.mailbox, box.uidvalidity);
    return f ? imap_found_take(&f->found, r) : -E2BIG;
}

/* --- its course --- */

static int multi_begin(struct imap_call *call, struct fault *fault)
{
    struct multi_call *m = multi_of(call);
    const struct engine *e = imap_call_engine(call);
    bool served = imap_client_has(e, IMAP_CAP_MULTISEARCH);
    forget(m);
    m->next = 0;
    m->one_by_one = !served && !call->in_session && slice_eq(call->command.other, SLICE("mailboxes"));
    call->command.kind = m->one_by_one ? IMAP_SEARCH : IMAP_MULTISEARCH;
    if (!m->one_by_one)
        return imap_call_command(call, &call->command, fault);
    next_mailbox(m, fault);
    return fault_is_set(fault) ? -EINVAL : 0;
}

static void multi_event(struct imap_call *call, const struct imap_event *e)
{
    struct multi_call *m = multi_of(call);
    bool search = e->base.request == &call->command.request;
    int ret = 0;
    if (e->base.type == ENGINE_EVENT_REPLY && search && !e->fetch.is_fetch)
        ret = m->one_by_one ? take_single(m, &e->response) : take_result(m, &e->response);
    if (ret < 0)
        imap_found_fault(&call->fault, ret);
    if (e->base.type != ENGINE_EVENT_DONE || !m->one_by_one)
        return;
    if (search || e->base.fault)
        next_mailbox(m, &call->fault);
    else
        imap_call_command(call, &call->command, &call->fault);
}

/* --- the answer --- */

static void write_found(struct multi_call *m, struct op *op, struct found_in *f)
{
    const struct imap_set *set = &f->found.set;
    op_item_begin(op);
    json_write_object_begin(&op->w);
    json_write_member_str(&op->w, "mailbox", f->name);
    if (f->uidvalidity) {
        json_write_member_uint(&op->w, "uidvalidity", f->uidvalidity);
        op_uidvalidity_remember(op, slice_of_str(f->name), f->uidvalidity);
    }
    if (m->wanted & IMAP_RETURN_MIN)
        json_write_member_uint(&op->w, "min", set->ranges[0].first);
    if (m->wanted & IMAP_RETURN_MAX)
        json_write_member_uint(&op->w, "max", set->ranges[set->n - 1].last);
    if (m->wanted & IMAP_RETURN_COUNT)
        json_write_member_uint(&op->w, "count", imap_set_count(set));
    if ((m->wanted & IMAP_RETURN_ALL) && m->as_ranges) {
        json_write_key(&op->w, "ranges");
        imap_json_ranges(&op->w, set);
    } else if (m->wanted & IMAP_RETURN_ALL) {
        json_write_key(&op->w, "uids");
        json_write_array_begin(&op->w);
        for (size_t i = 0; i < set->n; i++)
            for (uint64_t n = set->ranges[i].first; n <= set->ranges[i].last && !op->w.error; n++)
                json_write_uint(&op->w, n);
        json_write_array_end(&op->w);
    }
    json_write_object_end(&op->w);
    if (op_item_end(op) < 0)
        op_fail(op, NULL);
}

static void multi_finish(struct imap_call *call, struct op *op)
{
    struct multi_call *m = multi_of(call);
    json_write_object_begin(&op->w);
    op_list_begin(op, "mailboxes");
    for (size_t i = 0; i < m->n && !op_has_ended(op); i++) {
        int ret = imap_found_end(&m->list[i].found);
        if (ret < 0) {
            imap_found_fault(&op->fault, ret);
            op_fail(op, NULL);
        } else if (m->list[i].found.set.n) {
            write_found(m, op, &m->list[i]);
        }
    }
    if (op_has_ended(op))
        return;
    op_list_end(op);
    json_write_object_end(&op->w);
    op_finish(op);
}

static void multi_dispose(struct imap_call *call)
{
    struct multi_call *m = multi_of(call);
    forget(m);
    free(m->list);
    free(m->terms);
}

static const struct imap_call_ops multi_ops = {.name = "imap.search",
                                               .begin = multi_begin,
                                               .event = multi_event,
                                               .finish = multi_finish,
                                               .dispose = multi_dispose,
                                               .refused = multi_refused};

int imap_multi_search(struct op *op, unsigned wanted)
{
    static const struct slice scopes[] = {
        [API_SCOPE_MAILBOXES] = SLICE("mailboxes"),     [API_SCOPE_SUBTREE] = SLICE("subtree"),
        [API_SCOPE_SUBTREE_ONE] = SLICE("subtree-one"), [API_SCOPE_PERSONAL] = SLICE("personal"),
        [API_SCOPE_SUBSCRIBED] = SLICE("subscribed"),   [API_SCOPE_INBOXES] = SLICE("inboxes"),
    };
    const struct api_imap_search_params *p = op->params;
    int scope = p->scope == RPC_ENUM_ABSENT ? API_SCOPE_MAILBOXES : p->scope;
    bool named = scope <= API_SCOPE_SUBTREE_ONE;
    if (named != (p->mailboxes.n > 0))
        return op_refuse(op, FAULT_INVALID_PARAMS, named ? "`scope` needs `mailboxes`" : "`mailboxes` does not go with that `scope`");
    if (wanted & (IMAP_RETURN_SAVE | IMAP_RETURN_PARTIAL) || p->numbers)
        return op_refuse(op, FAULT_INVALID_PARAMS, "`partial`, `numbers` and SAVE are for one mailbox");
    if (p->uidvalidity.kind == RPC_UIDVALIDITY_NUMBER)
        return op_refuse(op, FAULT_INVALID_PARAMS, "`uidvalidity` is for one mailbox");
    struct multi_call *m = imap_call_new(op, sizeof(*m), &multi_ops);
    struct imap_command *c = &m->call.command;
    m->wanted = wanted;
    m->as_ranges = p->ranges;
    m->mailboxes = p->mailboxes;
    c->kind = IMAP_MULTISEARCH;
    c->other = scopes[scope];
    c->items = p->mailboxes.items;
    c->n_items = p->mailboxes.n;
    m->call.ox.x.reads_only = true;
    int ret = imap_take_query(op, c, &p->query, &m->terms);
    return ret < 0 ? imap_call_drop(&m->call, ret) : imap_call_submit(&m->call);
}
