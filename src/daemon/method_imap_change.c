/* SPDX-License-Identifier: MIT */
/* imap.store, copy, move, expunge: what changes a mailbox. */
#include "method_imap.h"

#include "methods.h"

#include <errno.h>
#include <stdlib.h>

/* Writes the numbers of a set's text; false: the answer is too long. */
static bool write_set(struct op *op, struct slice text)
{
    struct number_range range;
    while (imap_range_next(&text, &range) > 0)
        for (uint64_t n = MIN(range.first, range.last); n && n <= MAX(range.first, range.last); n++) {
            json_write_uint(&op->w, n);
            if (op->w.error)
                return false;
        }
    return true;
}

/* --- store --- */

struct store_call {
    struct imap_call call;
    bool listed;
    struct buffer modified; /* sets, each with a comma behind it */
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

static void store_reply(struct store_call *s, struct op *op, const struct imap_event *e)
{
    struct slice items = e->fetch.items;
    struct imap_fetch_item item;
    struct slice flags = SLICE_EMPTY;
    uint64_t modseq = 0;
    bool has_flags = false;
    while (imap_fetch_next(&items, &item) > 0) {
        if (item.kind == IMAP_ITEM_FLAGS && item.value.type == IMAP_LIST) {
            flags = item.value.bytes;
            has_flags = true;
        } else if (item.kind == IMAP_ITEM_MODSEQ && !slice_to_u64(slice_trim(item.value.bytes), INT64_MAX, &modseq)) {
            modseq = 0;
        }
    }
    if (!has_flags)
        return;
    store_list_begin(s, op);
    op_item_begin(op);
    json_write_object_begin(&op->w);
    if (e->fetch.uid)
        json_write_member_uint(&op->w, "uid", e->fetch.uid);
    if (s->call.command.numbers)
        json_write_member_uint(&op->w, "seq", e->fetch.number);
    json_write_key(&op->w, "flags");
    imap_json_flags(&op->w, flags);
    if (modseq)
        json_write_member_uint(&op->w, "modseq", modseq);
    json_write_object_end(&op->w);
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
        if (slice_eq_ci(e->response.code.name, SLICE("MODIFIED")) && buffer_room(&s->modified) > set.len &&
            (buffer_append_slice(&s->modified, set) < 0 || buffer_append_char(&s->modified, ',') < 0))
            fault_set(&call->fault, -ENOMEM, FAULT_INTERNAL, "store", "out of memory");
        if (imap_call_next_part(call))
            imap_call_command(call, &call->command, &call->fault);
        return;
    }
    if (op && !op_has_ended(op) && e->base.type == ENGINE_EVENT_REPLY && e->fetch.is_fetch)
        store_reply(s, op, e);
}

static int parts_begin(struct imap_call *call, struct fault *fault)
{
    call->next_range = 0;
    if (!imap_call_next_part(call))
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "no message is named");
    return imap_call_command(call, &call->command, fault);
}

static void store_finish(struct imap_call *call, struct op *op)
{
    struct store_call *s = store_of(call);
    struct slice modified = buffer_slice(&s->modified);
    store_list_begin(s, op);
    op_list_end(op);
    if (modified.len) {
        json_write_key(&op->w, "modified");
        json_write_array_begin(&op->w);
        write_set(op, slice_to(modified, modified.len - 1));
        json_write_array_end(&op->w);
    }
    json_write_object_end(&op->w);
    op_finish(op);
}

static void store_dispose(struct imap_call *call)
{
    buffer_done(&store_of(call)->modified);
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
    buffer_init(&s->modified, 1024 * 1024);
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
    c->store = commands[p->command].store;
    c->silent = commands[p->command].silent;
    c->modseq = p->unchangedsince != RPC_ABSENT ? (uint64_t) p->unchangedsince : 0;
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
    uint32_t pair[2];
    c->uidvalidity = told.uidvalidity;
    c->told = true;
    while (walk(&from, &pair[0]) && walk(&to, &pair[1]))
        if (buffer_append(&c->pairs, pair, sizeof(pair)) < 0)
            return;
}

static int copy_begin(struct imap_call *call, struct fault *fault)
{
    struct copy_call *c = copy_of(call);
    const struct engine *e = imap_call_engine(call);
    c->by_steps = c->move && !imap_client_has(e, IMAP_CAP_MOVE) && !imap_client_has(e, IMAP_CAP_IMAP4REV2);
    if (c->by_steps && !imap_client_has(e, IMAP_CAP_UIDPLUS))
        return fault_set(fault, -ENOTSUP, FAULT_MISSING_EXTENSION, "move", "the server offers neither MOVE nor UIDPLUS");
    if (c->by_steps && call->command.numbers)
        return fault_set(fault, -ENOTSUP, FAULT_MISSING_EXTENSION, "move", "the server does not offer MOVE: use `uids`");
    call->command.kind = c->move && !c->by_steps ? IMAP_MOVE : IMAP_COPY;
    c->step = STEP_COPY;
    buffer_clear(&c->pairs);
    return parts_begin(call, fault);
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
}

static const struct imap_call_ops copy_ops = {"imap.copy", copy_begin, copy_event, copy_finish, copy_dispose, NULL};

static int copy_run(struct op *op)
{
    const struct api_imap_copy_params *p = op->params;
    struct copy_call *c = imap_call_new(op, sizeof(*c), &copy_ops);
    struct imap_call *call = &c->call;
    buffer_init(&c->pairs, PAIRS_MAX);
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
    struct imap_term terms[3];
    char *set_text;
    struct imap_set doomed; /* UIDs that the search found */
    struct imap_command expunge;
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
    const struct engine *e = imap_call_engine(call);
    bool by_uid = imap_client_has(e, IMAP_CAP_UIDPLUS) || imap_client_has(e, IMAP_CAP_IMAP4REV2);
    if (x->set_text && !by_uid)
        return fault_set(fault, -ENOTSUP, FAULT_MISSING_EXTENSION, "expunge", "the server does not offer UIDPLUS");
    imap_set_clear(&x->doomed);
    x->asked = false;
    return imap_call_command(call, &call->command, fault);
}

static void take_doomed(struct expunge_call *x, const struct imap_event *e)
{
    struct slice text = e->response.text;
    struct imap_esearch found;
    uint32_t n;
    int ret = 0;
    if (e->response.data == IMAP_DATA_ESEARCH) {
        ret = imap_esearch_parse(text, &found);
        if (ret == 0 && found.all.len)
            ret = imap_set_parse(&x->doomed, found.all);
    } else if (e->response.data == IMAP_DATA_SEARCH) {
        int got;
        while (ret == 0 && (got = imap_search_next(&text, &n)) > 0)
            ret = imap_set_add(&x->doomed, n, n);
    }
    if (ret < 0)
        fault_set(&x->call.fault, ret, FAULT_PROTOCOL, "search", "the server's list of results cannot be understood");
}

static void submit_expunge(struct expunge_call *x)
{
    const struct engine *e = imap_call_engine(&x->call);
    bool by_uid = imap_client_has(e, IMAP_CAP_UIDPLUS) || imap_client_has(e, IMAP_CAP_IMAP4REV2);
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
    if (e->base.type == ENGINE_EVENT_REPLY && search) {
        take_doomed(x, e);
    } else if (e->base.type == ENGINE_EVENT_DONE && search) {
        struct imap_set swap = call->set; /* from here on the set is what was found */
        call->set = x->doomed;
        x->doomed = swap;
        call->next_range = 0;
        if (call->set.n > 0)
            submit_expunge(x);
    } else if (e->base.type == ENGINE_EVENT_DONE) {
        if (call->ox.op)
            call->ox.op->done_outcome = OUTCOME_DONE;
        submit_expunge(x);
    }
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
    imap_set_done(&x->doomed);
    free(x->set_text);
}

static const struct imap_call_ops expunge_ops = {"imap.expunge", expunge_begin,   expunge_event,
                                                 expunge_finish, expunge_dispose, NULL};

/* A session's EXPUNGE of all that is marked, by number as the server tells it. */
struct expunge_all_call {
    struct imap_call call;
    struct buffer numbers; /* uint32_t each */
};

static void expunge_all_event(struct imap_call *call, const struct imap_event *e)
{
    struct expunge_all_call *x = container_of(call, struct expunge_all_call, call);
    if (e->base.type == ENGINE_EVENT_REPLY && e->response.data == IMAP_DATA_EXPUNGE &&
        buffer_append(&x->numbers, &e->response.number, sizeof(e->response.number)) == -ENOMEM)
        fault_set(&call->fault, -ENOMEM, FAULT_INTERNAL, "expunge", "out of memory");
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

/* The set as a search term. */
static int set_text(struct op *op, struct expunge_call *x)
{
    struct writer w;
    writer_init(&w, 1024 * 1024);
    writer_begin(&w);
    imap_set_write(&x->call.set, &w);
    int ret = writer_finish(&w);
    struct slice text = writer_output(&w);
    x->set_text = ret == 0 ? imap_call_text(text) : NULL;
    writer_done(&w);
    return x->set_text ? 0 : op_refuse(op, FAULT_LIMIT, "`uids` names too many single messages");
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
    imap_set_init(&x->doomed, IMAP_CALL_RANGES_MAX);
    if (p->uids.given)
        ret = imap_call_take_set(op, &x->call, &p->uids, NULL);
    if (ret == 0 && p->uids.given)
        ret = set_text(op, x);
    if (ret == 0)
        ret = imap_call_take_mailbox(op, &x->call, p->mailbox, &p->uidvalidity, true);
    if (ret < 0)
        return imap_call_drop(&x->call, ret);
    c->kind = IMAP_SEARCH;
    c->terms = x->terms;
    x->terms[c->n_terms++].text = SLICE("DELETED");
    if (x->set_text) {
        x->terms[c->n_terms++].text = SLICE("UID");
        x->terms[c->n_terms++].text = slice_of_str(x->set_text);
    }
    x->call.ox.x.long_wait = true;
    return imap_call_submit(&x->call);
}

const struct op_handler imap_expunge_handler = {.run = expunge_run};
