/* SPDX-License-Identifier: MIT */
/* imap.store, copy, move, expunge: what changes a mailbox. */
#include "method_imap.h"

#include "methods.h"

#include <errno.h>
#include <stdlib.h>

/* --- store --- */

struct store_call {
    struct imap_call call;
    bool listed;
    struct imap_set modified;
    struct imap_json json;
};

static struct store_call *store_of(struct imap_call *call)
{
    return container_of(call, struct store_call, call);
}

static void store_list_begin(struct store_call *s, struct op *op)
{
    if (!s->listed) {
        json_write_object_begin(&op->w);
        imap_call_write_mailbox(&s->call, op, false);
        op_list_begin(op, "messages");
    }
    s->listed = s->call.given_away = true;
}

/* The flags, or the labels where those were stored. */
static bool find_stored(const struct store_call *s, struct slice items, struct slice *ret)
{
    struct imap_fetch_item item;
    while (imap_fetch_next(&items, &item) > 0) {
        bool is_it = s->call.command.labels ? slice_eq_ci(item.name, SLICE("X-GM-LABELS")) : item.kind == IMAP_ITEM_FLAGS;
        if (!is_it || item.broken || item.value.type != IMAP_LIST)
            continue;
        *ret = item.value.bytes;
        return true;
    }
    return false;
}

static void write_labels(struct store_call *s, struct op *op, const struct imap_event *e, struct slice labels)
{
    imap_json_reset(&s->json);
    s->json.utf8_names = imap_client_utf8(imap_call_engine(&s->call));
    json_write_object_begin(&op->w);
    if (e->fetch.uid)
        json_write_member_uint(&op->w, "uid", e->fetch.uid);
    if (s->call.command.numbers && e->fetch.number)
        json_write_member_uint(&op->w, "seq", e->fetch.number);
    json_write_key(&op->w, "gm_labels");
    if (imap_json_labels(&s->json, &op->w, labels) < 0)
        fault_set(&s->call.fault, -EBADMSG, FAULT_PROTOCOL, "store", "the labels cannot be understood");
    json_write_object_end(&op->w);
}

static void store_reply(struct store_call *s, struct op *op, const struct imap_event *e)
{
    struct slice stored;
    if (!find_stored(s, e->fetch.items, &stored))
        return;
    store_list_begin(s, op);
    op_item_begin(op);
    if (s->call.command.labels)
        write_labels(s, op, e, stored);
    else
        imap_json_flag_change(&op->w, e, s->call.command.numbers);
    if (op_item_end(op) < 0)
        op_fail(op, NULL);
}

static void store_event(struct imap_call *call, const struct imap_event *e)
{
    struct store_call *s = store_of(call);
    struct op *op = call->ox.op;
    if (e->base.type == ENGINE_EVENT_DONE) {
        struct slice set = e->response.code.arguments;
        if (op)
            op->done_outcome = OUTCOME_DONE;
        int ret = slice_eq_ci(e->response.code.name, SLICE("MODIFIED")) ? imap_set_parse(&s->modified, set) : 0;
        if (ret < 0)
            imap_found_fault(&call->fault, ret);
        if (imap_call_next_part(call))
            imap_call_command(call, &call->command, &call->fault);
        return;
    }
    if (op && !op_has_ended(op) && e->base.type == ENGINE_EVENT_REPLY && e->fetch.is_fetch)
        store_reply(s, op, e);
}

static int parts_begin(struct imap_call *call, struct fault *fault)
{
    imap_call_rewind(call);
    if (!imap_call_next_part(call))
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "no message is named");
    return imap_call_command(call, &call->command, fault);
}

static void store_finish(struct imap_call *call, struct op *op)
{
    struct store_call *s = store_of(call);
    const struct imap_set *modified = &s->modified;
    store_list_begin(s, op);
    op_list_end(op);
    if (modified->n) {
        json_write_key(&op->w, "modified");
        json_write_array_begin(&op->w);
        for (size_t i = 0; i < modified->n; i++)
            for (uint64_t n = modified->ranges[i].first; n <= modified->ranges[i].last && !op->w.error; n++)
                json_write_uint(&op->w, n);
        json_write_array_end(&op->w);
    }
    json_write_object_end(&op->w);
    op_finish(op);
}

static void store_dispose(struct imap_call *call)
{
    imap_set_done(&store_of(call)->modified);
    imap_json_done(&store_of(call)->json);
}

static const struct imap_call_ops store_ops = {"imap.store", parts_begin, store_event, store_finish, store_dispose, NULL};

static int store_run(struct op *op)
{
    static const struct {
        enum imap_store store;
        bool silent;
    } commands[] = {
        [API_STORE_SET] = {IMAP_STORE_SET, false},          [API_STORE_ADD] = {IMAP_STORE_ADD, false},
        [API_STORE_REMOVE] = {IMAP_STORE_REMOVE, false},    [API_STORE_SET_SILENT] = {IMAP_STORE_SET, true},
        [API_STORE_ADD_SILENT] = {IMAP_STORE_ADD, true},    [API_STORE_REMOVE_SILENT] = {IMAP_STORE_REMOVE, true},
    };
    const struct api_imap_store_params *p = op->params;
    struct store_call *s = imap_call_new(op, sizeof(*s), &store_ops);
    struct imap_command *c = &s->call.command;
    imap_set_init(&s->modified, IMAP_CALL_RANGES_MAX);
    imap_json_init(&s->json);
    c->kind = IMAP_STORE;
    int ret = imap_call_take_set(op, &s->call, &p->uids, &p->numbers);
    if (ret == 0)
        ret = imap_call_take_mailbox(op, &s->call, p->mailbox, &p->uidvalidity, true);
    if (ret < 0)
        return imap_call_drop(&s->call, ret);
    s->call.part = s->call.set;
    c->set = &s->call.part;
    c->items = p->flags.items;
    c->n_items = p->flags.n;
    bool labels = p->command >= API_STORE_LABELS;
    int command = labels ? p->command - API_STORE_LABELS : p->command;
    c->labels = labels;
    c->store = commands[command].store;
    c->silent = commands[command].silent;
    c->conditional = p->unchangedsince != RPC_ABSENT;
    c->modseq = c->conditional ? (uint64_t) p->unchangedsince : 0;
    return imap_call_submit(&s->call);
}

const struct op_handler imap_store_handler = {.run = store_run};

/* --- copy, move --- */

#define PAIRS_MAX (1024u * 1024 * 2 * sizeof(uint32_t))

struct copy_call {
    struct imap_call call;
    struct imap_command remove; /* of a move in three steps */
    bool move, by_steps;
    enum { STEP_COPY, STEP_MARK, STEP_EXPUNGE } step;
    uint32_t uidvalidity; /* of the destination */
    struct buffer pairs;  /* from, to, from, to … */
    bool told;
    struct imap_command look; /* which of the messages there are, for a server that takes only so many */
    struct imap_found there;
};

static struct copy_call *copy_of(struct imap_call *call)
{
    return container_of(call, struct copy_call, call);
}

/* The next number of a set's text, range by range. */
struct walker {
    struct slice rest;
    struct number_range range;
    uint64_t next;
    bool in_range;
};

static bool walk(struct walker *w, uint32_t *ret)
{
    if (!w->in_range || w->next > MAX(w->range.first, w->range.last)) {
        if (imap_range_next(&w->rest, &w->range) <= 0)
            return false;
        w->next = MIN(w->range.first, w->range.last);
        w->in_range = true;
    }
    *ret = (uint32_t) w->next++;
    return true;
}

static void take_copyuid(struct copy_call *c, const struct imap_code *code)
{
    struct imap_copyuid told;
    if (!slice_eq_ci(code->name, SLICE("COPYUID")) || imap_copyuid_parse(code->arguments, &told) < 0)
        return;
    struct walker from = {.rest = told.from}, to = {.rest = told.to};
    const struct imap_set *asked = &c->call.set;
    uint64_t left = asked->star || asked->saved || c->call.command.numbers ? IMAP_CALL_RANGES_MAX : imap_set_count(asked);
    size_t before = buffer_len(&c->pairs);
    uint32_t pair[2];
    while (walk(&from, &pair[0]) && walk(&to, &pair[1])) {
        /* Of messages that were not asked for, or more of them: nothing of it can be believed. */
        if (left-- == 0 || (!c->call.command.numbers && !imap_set_contains(asked, pair[0]))) {
            buffer_truncate(&c->pairs, before);
            return;
        }
        if (buffer_append(&c->pairs, pair, sizeof(pair)) < 0)
            return;
    }
    c->uidvalidity = told.uidvalidity;
    c->told = true;
}

static int copy_begin(struct imap_call *call, struct fault *fault)
{
    struct copy_call *c = copy_of(call);
    const struct engine *e = imap_call_engine(call);
    c->by_steps = c->move && !imap_client_has(e, IMAP_CAP_MOVE);
    if (c->by_steps && !imap_client_has(e, IMAP_CAP_UIDPLUS))
        return fault_set(fault, -ENOTSUP, FAULT_MISSING_EXTENSION, "move", "the server offers neither MOVE nor UIDPLUS");
    if (c->by_steps && call->command.numbers)
        return fault_set(fault, -ENOTSUP, FAULT_MISSING_EXTENSION, "move", "the server does not offer MOVE: use `uids`");
    call->command.kind = c->move && !c->by_steps ? IMAP_MOVE : IMAP_COPY;
    c->step = STEP_COPY;
    buffer_clear(&c->pairs);
    uint64_t limit = call->command.numbers ? 0 : imap_client_message_limit(e);
    if (!limit || imap_set_count(&call->set) <= limit)
        return parts_begin(call, fault);
    /* More than it takes at once it refuses, and copies none. */
    imap_found_clear(&c->there);
    c->look = (struct imap_command){.kind = IMAP_SEARCH, .set = &call->set, .text = SLICE("ALL")};
    return imap_call_command(call, &c->look, fault);
}

static void looked(struct copy_call *c, const struct imap_event *e)
{
    struct imap_call *call = &c->call;
    int ret = e->base.type == ENGINE_EVENT_REPLY ? imap_found_take(&c->there, &e->response) : imap_found_end(&c->there);
    if (ret < 0)
        imap_found_fault(&call->fault, ret);
    if (ret < 0 || e->base.type != ENGINE_EVENT_DONE || c->there.set.n == 0)
        return;
    struct imap_set swap = call->set;
    call->set = c->there.set;
    c->there.set = swap;
    parts_begin(call, &call->fault);
}

/* COPY is done: mark the originals, then expunge exactly them. True: a further step was sent. */
static bool next_step(struct copy_call *c)
{
    static const struct slice deleted[] = {SLICE("\\Deleted")};
    struct imap_call *call = &c->call;
    if (!c->by_steps || c->step == STEP_EXPUNGE) {
        c->step = STEP_COPY;
        return false;
    }
    c->step = c->step == STEP_COPY ? STEP_MARK : STEP_EXPUNGE;
    c->remove = (struct imap_command){.kind = c->step == STEP_MARK ? IMAP_STORE : IMAP_EXPUNGE, .set = &call->part};
    if (c->step == STEP_MARK) {
        c->remove.items = deleted;
        c->remove.n_items = 1;
        c->remove.store = IMAP_STORE_ADD;
        c->remove.silent = true;
    }
    imap_call_command(call, &c->remove, &call->fault);
    return true;
}

static void copy_event(struct imap_call *call, const struct imap_event *e)
{
    struct copy_call *c = copy_of(call);
    if (e->base.request == &c->look.request) {
        looked(c, e);
        return;
    }
    if (e->base.request == &call->command.request && !e->fetch.is_fetch)
        take_copyuid(c, &e->response.code);
    if (e->base.type != ENGINE_EVENT_DONE)
        return;
    if (call->ox.op)
        call->ox.op->done_outcome = OUTCOME_DONE;
    if (!next_step(c) && imap_call_next_part(call))
        imap_call_command(call, &call->command, &call->fault);
}

static void copy_finish(struct imap_call *call, struct op *op)
{
    struct copy_call *c = copy_of(call);
    struct slice pairs = buffer_slice(&c->pairs);
    json_write_object_begin(&op->w);
    if (c->told) {
        json_write_member_uint(&op->w, "uidvalidity", c->uidvalidity);
        op_uidvalidity_remember(op, call->command.other, c->uidvalidity);
        json_write_key(&op->w, "uids");
        json_write_array_begin(&op->w);
        for (uint32_t pair[2]; pairs.len >= sizeof(pair); pairs = slice_from(pairs, sizeof(pair))) {
            memcpy(pair, pairs.data, sizeof(pair));
            json_write_array_begin(&op->w);
            json_write_uint(&op->w, pair[0]);
            json_write_uint(&op->w, pair[1]);
            json_write_array_end(&op->w);
        }
        json_write_array_end(&op->w);
    }
    json_write_object_end(&op->w);
    op_finish(op);
}

static void copy_dispose(struct imap_call *call)
{
    buffer_done(&copy_of(call)->pairs);
    imap_found_done(&copy_of(call)->there);
}

static const struct imap_call_ops copy_ops = {"imap.copy", copy_begin, copy_event, copy_finish, copy_dispose, NULL};

static int copy_run(struct op *op)
{
    const struct api_imap_copy_params *p = op->params;
    struct copy_call *c = imap_call_new(op, sizeof(*c), &copy_ops);
    struct imap_call *call = &c->call;
    buffer_init(&c->pairs, PAIRS_MAX);
    imap_found_init(&c->there);
    c->move = op->id == RPC_IMAP_MOVE;
    int ret = imap_call_take_set(op, call, &p->uids, &p->numbers);
    if (ret == 0)
        ret = imap_call_take_mailbox(op, call, p->mailbox, &p->uidvalidity, true);
    if (ret < 0)
        return imap_call_drop(call, ret);
    call->write = c->move; /* a copy leaves the mailbox as it is */
    call->part = call->set;
    call->command.kind = c->move ? IMAP_MOVE : IMAP_COPY;
    call->command.set = &call->part;
    call->command.other = p->destination;
    call->ox.x.long_wait = true;
    return imap_call_submit(call);
}

const struct op_handler imap_copy_handler = {.run = copy_run};
const struct op_handler imap_move_handler = {.run = copy_run};

/* --- expunge --- */

struct expunge_call {
    struct imap_call call;
    struct imap_found doomed; /* UIDs that the search found */
    struct imap_command expunge;
    bool by_uids; /* `uids` was given */
    bool asked;
};

static struct expunge_call *expunge_of(struct imap_call *call)
{
    return container_of(call, struct expunge_call, call);
}

/* Which messages go is asked before they do, since EXPUNGE itself answers only numbers. */
static int expunge_begin(struct imap_call *call, struct fault *fault)
{
    struct expunge_call *x = expunge_of(call);
    if (x->by_uids && !imap_client_has(imap_call_engine(call), IMAP_CAP_UIDPLUS))
        return fault_set(fault, -ENOTSUP, FAULT_MISSING_EXTENSION, "expunge", "the server does not offer UIDPLUS");
    imap_found_clear(&x->doomed);
    x->asked = false;
    if (x->by_uids)
        imap_call_next_part(call);
    return imap_call_command(call, &call->command, fault);
}

static void submit_expunge(struct expunge_call *x)
{
    const struct engine *e = imap_call_engine(&x->call);
    bool by_uid = imap_client_has(e, IMAP_CAP_UIDPLUS);
    x->expunge = (struct imap_command){.kind = IMAP_EXPUNGE};
    if (by_uid) {
        if (!imap_call_next_part(&x->call))
            return;
        x->expunge.set = &x->call.part;
    } else if (x->asked) {
        return;
    }
    x->asked = true;
    imap_call_command(&x->call, &x->expunge, &x->call.fault);
}

static void expunge_event(struct imap_call *call, const struct imap_event *e)
{
    struct expunge_call *x = expunge_of(call);
    bool search = e->base.request == &call->command.request;
    int ret = 0;
    if (e->base.type == ENGINE_EVENT_REPLY && search) {
        ret = imap_found_take(&x->doomed, &e->response);
    } else if (e->base.type == ENGINE_EVENT_DONE && search) {
        if (x->by_uids && imap_call_next_part(call)) {
            imap_call_command(call, &call->command, &call->fault);
            return;
        }
        ret = imap_found_end(&x->doomed);
        struct imap_set swap = call->set; /* from here on the set is what was found */
        call->set = x->doomed.set;
        x->doomed.set = swap;
        imap_call_rewind(call);
        if (call->set.n > 0 && ret == 0)
            submit_expunge(x);
    } else if (e->base.type == ENGINE_EVENT_DONE) {
        if (call->ox.op)
            call->ox.op->done_outcome = OUTCOME_DONE;
        submit_expunge(x);
    }
    if (ret < 0)
        imap_found_fault(&call->fault, ret);
}

static void expunge_finish(struct imap_call *call, struct op *op)
{
    json_write_object_begin(&op->w);
    json_write_key(&op->w, "expunged");
    json_write_array_begin(&op->w);
    for (size_t i = 0; i < call->set.n; i++)
        for (uint64_t n = call->set.ranges[i].first; n <= call->set.ranges[i].last && !op->w.error; n++)
            json_write_uint(&op->w, n);
    json_write_array_end(&op->w);
    json_write_object_end(&op->w);
    op_finish(op);
}

static void expunge_dispose(struct imap_call *call)
{
    struct expunge_call *x = expunge_of(call);
    imap_found_done(&x->doomed);
}

static const struct imap_call_ops expunge_ops = {"imap.expunge", expunge_begin,   expunge_event,
                                                 expunge_finish, expunge_dispose, NULL};

/* A session's EXPUNGE of all that is marked, by number as the server tells it; by UID where QRESYNC was switched on. */
struct expunge_all_call {
    struct imap_call call;
    struct buffer numbers; /* uint32_t each */
};

static void expunge_all_event(struct imap_call *call, const struct imap_event *e)
{
    struct expunge_all_call *x = container_of(call, struct expunge_all_call, call);
    struct slice set = e->response.text;
    struct number_range range = {0, 0};
    int ret = 0;
    if (e->base.type != ENGINE_EVENT_REPLY)
        return;
    if (e->response.data == IMAP_DATA_EXPUNGE)
        ret = buffer_append(&x->numbers, &e->response.number, sizeof(e->response.number));
    else if (e->response.data == IMAP_DATA_VANISHED)
        while (ret == 0 && imap_range_next(&set, &range) > 0)
            for (uint64_t n = range.first; n && n <= range.last && ret == 0; n++)
                ret = buffer_append(&x->numbers, &(uint32_t){(uint32_t) n}, sizeof(uint32_t));
    if (ret < 0)
        fault_set(&call->fault, ret, ret == -ENOMEM ? FAULT_INTERNAL : FAULT_LIMIT, "expunge", "the server tells too much");
}

static void expunge_all_finish(struct imap_call *call, struct op *op)
{
    struct expunge_all_call *x = container_of(call, struct expunge_all_call, call);
    struct slice numbers = buffer_slice(&x->numbers);
    json_write_object_begin(&op->w);
    json_write_key(&op->w, "expunged");
    json_write_array_begin(&op->w);
    for (uint32_t n; numbers.len >= sizeof(n); numbers = slice_from(numbers, sizeof(n))) {
        memcpy(&n, numbers.data, sizeof(n));
        json_write_uint(&op->w, n);
    }
    json_write_array_end(&op->w);
    json_write_object_end(&op->w);
    op_finish(op);
}

static void expunge_all_dispose(struct imap_call *call)
{
    buffer_done(&container_of(call, struct expunge_all_call, call)->numbers);
}

static int expunge_all_begin(struct imap_call *call, struct fault *fault)
{
    return imap_call_command(call, &call->command, fault);
}

static const struct imap_call_ops expunge_all_ops = {
    "imap.expunge", expunge_all_begin, expunge_all_event, expunge_all_finish, expunge_all_dispose, NULL};

static int run_expunge_all(struct op *op, const struct api_imap_expunge_params *p)
{
    struct expunge_all_call *x = imap_call_new(op, sizeof(*x), &expunge_all_ops);
    buffer_init(&x->numbers, 16u * 1024 * 1024);
    x->call.command.kind = IMAP_EXPUNGE;
    x->call.ox.x.long_wait = true;
    int ret = imap_call_take_mailbox(op, &x->call, p->mailbox, &p->uidvalidity, true);
    return ret < 0 ? imap_call_drop(&x->call, ret) : imap_call_submit(&x->call);
}

static int expunge_run(struct op *op)
{
    const struct api_imap_expunge_params *p = op->params;
    if (!op->session && !p->uids.given && !p->all)
        return op_refuse(op, FAULT_INVALID_PARAMS, "`uids` must be given, or `all` as true");
    if (op->session && !p->uids.given)
        return run_expunge_all(op, p);
    struct expunge_call *x = imap_call_new(op, sizeof(*x), &expunge_ops);
    struct imap_command *c = &x->call.command;
    int ret = 0;
    imap_found_init(&x->doomed);
    x->by_uids = p->uids.given;
    if (p->uids.given)
        ret = imap_call_take_set(op, &x->call, &p->uids, NULL);
    if (ret == 0)
        ret = imap_call_take_mailbox(op, &x->call, p->mailbox, &p->uidvalidity, true);
    if (ret < 0)
        return imap_call_drop(&x->call, ret);
    c->kind = IMAP_SEARCH;
    c->text = SLICE("DELETED");
    if (p->uids.given)
        c->set = &x->call.part;
    x->call.ox.x.long_wait = true;
    return imap_call_submit(&x->call);
}

const struct op_handler imap_expunge_handler = {.run = expunge_run};
