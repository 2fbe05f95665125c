/* SPDX-License-Identifier: MIT */
/* pop3.retr, pop3.top, pop3.delete: calls on messages that are named by unique id or, in a session, by number.
 *
 * Numbers hold for one connection only, so a unique id is looked up (UIDL) on the very connection that serves the call, and
 * once only by calls that delete nothing. A
 * pooled delete says QUIT, which alone makes it happen, before it answers; where the caller has gone before, it says
 * RSET instead. Nothing is ever deleted of which the look-up was not unambiguous. */
#include "gateway.h"
#include "hash.h"
#include "method_pop3.h"
#include "methods.h"

#include <errno.h>
#include <stdlib.h>

#define DEPTH 64 /* commands of one call in flight; what answers them waits in the socket, not here */

struct wanted {
    struct hash_node node;
    struct slice id;     /* data NULL: by number */
    uint32_t number;     /* 0: not known yet */
    unsigned matches;    /* of the id in the maildrop */
    bool answered;
    struct pop3_command command;
    struct spool *spool;
    struct fault *fault; /* why this one failed */
};

struct message_call {
    struct pop3_call call;
    enum pop3_verb verb; /* RETR, TOP, DELE */
    bool list;           /* `ids`: each has its result */
    bool pooled;
    bool resolving;
    uint32_t lines;
    struct wanted *wanted;
    size_t n, next, in_flight, emitted;
    struct hash_table by_id;
    struct pop3_command uidl, last; /* last: QUIT or RSET */
    bool closing;                   /* `last` was submitted */
    struct op_pipe *pipe;           /* of the message that is coming */
    char id[POP3_ID_MAX];           /* by number: what UIDL says */
    size_t id_len;
};

static struct message_call *message_of(struct pop3_call *call)
{
    return container_of(call, struct message_call, call);
}

static void forget_results(struct message_call *c)
{
    for (size_t i = 0; i < c->n; i++) {
        struct wanted *w = &c->wanted[i];
        w->spool = spool_unref(w->spool);
        free(w->fault);
        w->fault = NULL;
        w->answered = false;
        w->matches = 0;
        if (w->id.data)
            w->number = 0;
    }
}

static void message_dispose(struct pop3_call *call)
{
    struct message_call *c = message_of(call);
    forget_results(c);
    hash_table_done(&c->by_id);
    free(c->wanted);
}

static void item_fault(struct wanted *w, const struct fault *fault)
{
    if (!w->fault)
        w->fault = malloc(sizeof(*w->fault));
    if (w->fault)
        *w->fault = *fault;
    w->answered = true;
}

/* --- results --- */

static void write_names(struct message_call *c, struct json_writer *w, const struct wanted *m)
{
    json_write_key(w, "id");
    json_write_string_or_null(w, m->id.data ? m->id : c->id_len ? slice_of(c->id, c->id_len) : SLICE_EMPTY);
    if (!c->pooled)
        json_write_member_uint(w, "number", m->number);
}

static int write_one(struct message_call *c, struct op *op, const struct wanted *m)
{
    const struct rpc_fault_context context = {.account = slice_of_str(account_name(op->account))};
    int r = 0;

    json_write_object_begin(&op->w);
    write_names(c, &op->w, m);
    if (m->fault) {
        json_write_key(&op->w, "error");
        rpc_write_fault(&op->w, m->fault, &context);
    } else if (m->spool) {
        r = op_write_content_spool(op, "raw", m->spool);
    }
    json_write_object_end(&op->w);
    return r;
}

/* Items that are through, in their order. false: the op has failed. */
static bool emit(struct message_call *c, struct op *op)
{
    while (c->emitted < c->n && c->wanted[c->emitted].answered) {
        struct wanted *m = &c->wanted[c->emitted++];
        op_item_begin(op);
        if (write_one(c, op, m) < 0 || op_item_end(op) < 0) {
            op_fail(op, NULL);
            return false;
        }
        c->call.given_away = c->call.given_away || op->stream;
        m->spool = spool_unref(m->spool);
    }
    return true;
}

static void write_deleted(struct message_call *c, struct op *op)
{
    if (!c->pooled)
        return;
    json_write_key(&op->w, "deleted");
    json_write_array_begin(&op->w);
    for (size_t i = 0; i < c->n; i++)
        json_write_string(&op->w, c->wanted[i].id);
    json_write_array_end(&op->w);
}

static void message_finish(struct pop3_call *call, struct op *op)
{
    struct message_call *c = message_of(call);

    if (c->verb == POP3_DELE) {
        json_write_object_begin(&op->w);
        write_deleted(c, op);
        json_write_object_end(&op->w);
    } else if (c->list) {
        if (!emit(c, op))
            return;
        op_list_end(op);
        json_write_object_end(&op->w);
    } else if (!call->given_away && write_one(c, op, &c->wanted[0]) < 0) {
        op_fail(op, NULL);
        return;
    }
    op_finish(op);
}

/* --- commands --- */

static void follow_wanted(struct message_call *c)
{
    while (c->next < c->n && c->in_flight < DEPTH && !fault_is_set(&c->call.fault)) {
        struct wanted *m = &c->wanted[c->next++];
        if (m->fault)
            continue;
        pop3_command_init(&m->command, c->verb);
        m->command.number = m->number;
        m->command.lines = c->lines;
        if (pop3_call_command(&c->call, &m->command, &c->call.fault) == 0)
            c->in_flight++;
    }
}

/* All DELEs are answered: commit, or take back. */
static void close_deletions(struct message_call *c)
{
    bool commit = !fault_is_set(&c->call.fault) && pop3_call_op(&c->call);

    if (c->verb != POP3_DELE || c->closing || c->in_flight || (c->next < c->n && commit) || !c->pooled)
        return;
    c->closing = true;
    pop3_command_init(&c->last, commit ? POP3_QUIT : POP3_RSET);
    c->last.request.changes = commit;
    pop3_call_follow(&c->call, &c->last);
}

static void go_on(struct message_call *c)
{
    if (pop3_call_op(&c->call) || c->verb != POP3_DELE)
        follow_wanted(c);
    close_deletions(c);
}

/* Each id has its one number already. */
static bool all_known(struct message_call *c, const struct engine *e)
{
    if (c->verb == POP3_DELE)
        return false;
    for (size_t i = 0; i < c->n; i++)
        if (!pop3_client_find(e, c->wanted[i].id, &c->wanted[i].number))
            return false;
    return true;
}

/* Not where each of many calls would ask for all ids. */
static bool message_overlaps(const struct pop3_call *call, const struct engine *e)
{
    const struct message_call *c = container_of((struct pop3_call *) (void *) (uintptr_t) call, struct message_call, call);
    return !c->wanted[0].id.data || pop3_client_knows_ids(e);
}

static int message_begin(struct pop3_call *call, struct fault *fault)
{
    struct message_call *c = message_of(call);

    forget_results(c);
    c->next = c->in_flight = c->emitted = c->id_len = 0;
    c->closing = false;
    c->resolving = c->wanted[0].id.data && !all_known(c, pop3_call_engine(call));
    pop3_command_init(&c->uidl, c->resolving ? POP3_UIDL : POP3_UIDL_ONE);
    c->uidl.number = c->wanted[0].number;
    /* By number, the id is only for the answer. */
    if (c->resolving || (!c->wanted[0].id.data && c->verb != POP3_DELE && pop3_client_may_uidl(pop3_call_engine(call)))) {
        int r = pop3_call_command(call, &c->uidl, fault);
        if (r < 0 || c->resolving)
            return r;
    }
    follow_wanted(c);
    if (!fault_is_set(&call->fault))
        return 0;
    *fault = call->fault;
    return -EINVAL;
}

/* --- looking up --- */

static void look_at_id(struct message_call *c, const struct pop3_event *event)
{
    for (struct hash_node *n = hash_table_find(&c->by_id, hash_slice(event->id)); n; n = hash_next(n)) {
        struct wanted *m = container_of(n, struct wanted, node);
        if (slice_eq(m->id, event->id)) {
            m->number = event->number;
            m->matches++;
        }
    }
}

static void resolved(struct message_call *c)
{
    c->resolving = false;
    for (size_t i = 0; i < c->n; i++) {
        struct wanted *m = &c->wanted[i];
        struct fault fault = {.protocol = protocol_name(PROTOCOL_POP3)};
        if (m->matches == 1)
            continue;
        if (m->matches == 0)
            fault_set(&fault, -ENOENT, FAULT_NOT_FOUND, "uidl", "there is no message with that unique id");
        else
            fault_set(&fault, -EEXIST, FAULT_CONFLICT, "uidl", "several messages have that unique id");
        /* Deleting some of what was asked for is worse than nothing. */
        if (!c->list || c->verb == POP3_DELE) {
            if (!fault_is_set(&c->call.fault))
                c->call.fault = fault;
            return;
        }
        item_fault(m, &fault);
    }
    follow_wanted(c);
}

/* --- what comes --- */

static struct wanted *by_request(const struct engine_request *request)
{
    return container_of(container_of((struct engine_request *) (void *) (uintptr_t) request, struct pop3_command, request),
                        struct wanted, command);
}

static bool is_wanted(const struct message_call *c, const struct engine_request *request)
{
    return request != &c->uidl.request && request != &c->last.request;
}

/* The caller's pipe gets the bytes as they come; the answer, or the item, leaves before them. */
static void open_pipe(struct message_call *c, struct op *op, struct wanted *m)
{
    if (c->list) {
        if (!emit(c, op))
            return;
        op_item_begin(op);
    }
    json_write_object_begin(&op->w);
    write_names(c, &op->w, m);
    c->pipe = op_pipe_open(op, "raw", UINT64_MAX);
    json_write_object_end(&op->w);
    if (!c->pipe || (c->list && op_item_end(op) < 0)) {
        op_fail(op, NULL);
        return;
    }
    c->call.given_away = true;
    if (c->list)
        c->emitted++;
    else
        op_respond_now(op);
}

static void message_begins(struct message_call *c, struct wanted *m)
{
    struct op *op = pop3_call_op(&c->call);

    if (!op || c->verb == POP3_DELE)
        return;
    if (op->form == RPC_FORM_PIPE && (!c->list || op->stream))
        open_pipe(c, op, m);
    else
        m->spool = op_spool_new(op, 0);
}

static void message_piece(struct message_call *c, struct wanted *m, struct slice piece)
{
    struct op *op = pop3_call_op(&c->call);
    int r = 0;

    if (!op)
        return;
    if (c->pipe)
        r = op_pipe_write(&c->call.ox, c->pipe, piece);
    else if (m->spool)
        r = op_spool_write(&c->call.ox, m->spool, piece);
    if (r < 0)
        op_fail(op, NULL);
}

static void message_ends(struct message_call *c, struct wanted *m)
{
    struct op *op = pop3_call_op(&c->call);

    m->answered = true;
    if (op && c->pipe)
        op_pipe_end(c->pipe);
    else if (op && m->spool && spool_seal(m->spool, &op->fault) < 0)
        op_fail(op, NULL);
    c->pipe = NULL;
    op = pop3_call_op(&c->call);
    if (op && c->list && op->stream && c->verb != POP3_DELE)
        emit(c, op);
}

static void uidl_event(struct message_call *c, const struct pop3_event *event)
{
    if (event->base.type == ENGINE_EVENT_DONE && c->resolving)
        resolved(c);
    if (event->base.type != ENGINE_EVENT_REPLY || event->id.len == 0)
        return;
    if (c->resolving) {
        look_at_id(c, event);
    } else {
        c->id_len = MIN(event->id.len, sizeof(c->id));
        memcpy(c->id, event->id.data, c->id_len);
    }
}

static void message_event(struct pop3_call *call, const struct pop3_event *event)
{
    struct message_call *c = message_of(call);

    if (event->base.request == &c->uidl.request) {
        uidl_event(c, event);
        return;
    }
    if (!is_wanted(c, event->base.request))
        return;
    struct wanted *m = by_request(event->base.request);
    if (event->base.type == ENGINE_EVENT_REPLY && event->kind == POP3_EVENT_STATUS && event->ok)
        message_begins(c, m);
    else if (event->base.type == ENGINE_EVENT_DATA)
        message_piece(c, m, event->base.data);
    else if (event->base.type == ENGINE_EVENT_DONE) {
        c->in_flight--;
        message_ends(c, m);
        go_on(c);
    }
}

static bool message_refused(struct pop3_call *call, const struct engine_request *request, const struct fault *fault)
{
    struct message_call *c = message_of(call);

    if (request == &c->uidl.request)
        return !c->resolving;
    if (request == &c->last.request) {
        if (c->last.verb == POP3_RSET)
            return true;
        /* RFC 1939 section 6: some messages may have gone all the same. */
        call->fault = *fault;
        call->fault.outcome = OUTCOME_UNKNOWN;
        return true;
    }
    struct wanted *m = by_request(request);
    c->in_flight--;
    if (c->list && c->verb != POP3_DELE) {
        struct op *op = pop3_call_op(call);
        item_fault(m, fault);
        if (op && op->stream)
            emit(c, op);
    } else if (!fault_is_set(&call->fault)) {
        call->fault = *fault;
    }
    go_on(c);
    return true;
}

static const struct pop3_call_ops message_ops = {
    .name = "pop3.message",
    .begin = message_begin,
    .overlaps = message_overlaps,
    .event = message_event,
    .refused = message_refused,
    .finish = message_finish,
    .dispose = message_dispose,
};

/* --- running --- */

/* A message can be deleted once only. */
static bool is_there(const struct message_call *c, struct slice id)
{
    for (struct hash_node *n = hash_table_find(&c->by_id, hash_slice(id)); n; n = hash_next(n))
        if (slice_eq(container_of(n, struct wanted, node)->id, id))
            return true;
    return false;
}

static int want_ids(struct op *op, struct message_call *c, const struct slice *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (ids[i].len == 0 || ids[i].len > POP3_ID_MAX)
            return op_refuse(op, FAULT_NOT_FOUND, "there is no message with that unique id");
        if (c->verb == POP3_DELE && is_there(c, ids[i]))
            continue;
        struct wanted *m = &c->wanted[c->n];
        m->id = ids[i];
        if (hash_table_insert(&c->by_id, hash_slice(ids[i]), &m->node) < 0)
            return op_refuse(op, FAULT_INTERNAL, "out of memory");
        c->n++;
    }
    return 0;
}

static int want(struct op *op, struct message_call *c, const struct slice *ids, size_t n, int64_t number)
{
    c->wanted = calloc(n, sizeof(*c->wanted));
    hash_table_init(&c->by_id);
    if (!c->wanted)
        return op_refuse(op, FAULT_INTERNAL, "out of memory");
    if (ids)
        return want_ids(op, c, ids, n);
    c->n = 1;
    c->wanted[0].number = (uint32_t) number;
    return 0;
}

static int drop(struct message_call *c, int r)
{
    c->call.ox.dispose(&c->call.ox);
    free(c);
    return r;
}

static int run_messages(struct op *op, enum pop3_verb verb, struct slice id, const struct rpc_strings *ids, int64_t number,
                        uint32_t lines)
{
    struct message_call *c = pop3_call_new(op, sizeof(*c), &message_ops);
    bool by_number = !id.data && !ids->n;

    c->verb = verb;
    c->lines = lines;
    c->pooled = !op->session;
    c->list = ids->n > 0;
    int r = want(op, c, by_number ? NULL : c->list ? ids->items : &id, c->list ? ids->n : 1, number);
    if (r < 0)
        return drop(c, r);
    if (verb == POP3_DELE) {
        c->call.ox.x.reads_only = c->call.ox.x.complete = false;
        c->call.ox.x.changes = true;
        c->call.ox.x.long_wait = c->pooled;
    } else if (c->list) {
        json_write_object_begin(&op->w);
        op_list_begin(op, "messages");
    }
    return pop3_call_submit(&c->call);
}

static int retr_run(struct op *op)
{
    const struct api_pop3_message_params *p = op->params;
    return run_messages(op, POP3_RETR, p->id, &p->ids, p->number, 0);
}

static int delete_run(struct op *op)
{
    const struct api_pop3_message_params *p = op->params;
    return run_messages(op, POP3_DELE, p->id, &p->ids, p->number, 0);
}

static int top_run(struct op *op)
{
    const struct api_pop3_top_params *p = op->params;
    const struct rpc_strings none = {NULL, 0};
    return run_messages(op, POP3_TOP, p->id, &none, p->number, (uint32_t) p->lines);
}

const struct op_handler pop3_retr_handler = {.run = retr_run};
const struct op_handler pop3_delete_handler = {.run = delete_run};
const struct op_handler pop3_top_handler = {.run = top_run};
