/* SPDX-License-Identifier: MIT */
/* pop3.*: the calls' common frame, and those that fetch no message. */
#include "method_pop3.h"

#include "methods.h"

#include <errno.h>
#include <stdlib.h>

/* --- the frame --- */

static struct pop3_call *call_of(struct exchange *x)
{
    return container_of(container_of(x, struct op_exchange, x), struct pop3_call, ox);
}

struct op *pop3_call_op(const struct pop3_call *call)
{
    return call->ox.op && !op_has_ended(call->ox.op) ? call->ox.op : NULL;
}

struct engine *pop3_call_engine(const struct pop3_call *call)
{
    return session_engine(call->session);
}

int pop3_call_command(struct pop3_call *call, struct pop3_command *command, struct fault *fault)
{
    command->request.owner = &call->ox.x;
    return pop3_client_submit(pop3_call_engine(call), command, fault);
}

void pop3_call_follow(struct pop3_call *call, struct pop3_command *command)
{
    (void) !pop3_call_command(call, command, &call->fault);
}

static void release(struct pop3_call *call)
{
    if (call->ops->dispose)
        call->ops->dispose(call);
    body_owner_unref(call->text);
}

static void call_dispose(struct op_exchange *ox)
{
    release(container_of(ox, struct pop3_call, ox));
}

/* Calls that only read share the connection where the server takes commands in advance. */
static int call_fits(const struct exchange *x, const struct session *s)
{
    const struct pop3_call *call = call_of((struct exchange *) (void *) (uintptr_t) x);
    const struct engine *e = session_engine(s);

    if (session_is_idle(s))
        return 1;
    if (!x->reads_only || !pop3_has(pop3_client_capabilities(e), POP3_EXT_PIPELINING))
        return -1;
    return !call->ops->overlaps || call->ops->overlaps(call, e) ? 1 : -1;
}

static int call_start(struct exchange *x, struct session *s, struct fault *fault)
{
    struct pop3_call *call = call_of(x);

    call->session = s;
    fault_clear(&call->fault);
    return call->ops->begin(call, fault);
}

static void call_event(struct exchange *x, struct session *s, const struct engine_event *event)
{
    struct pop3_call *call = call_of(x);
    const struct pop3_event *ev = container_of((struct engine_event *) (void *) (uintptr_t) event, struct pop3_event, base);

    (void) s;
    if (event->type == ENGINE_EVENT_NOTICE)
        return;
    if (event->type == ENGINE_EVENT_DONE && event->fault) {
        bool is_fine = call->ops->refused && call->ops->refused(call, event->request, event->fault);
        if (!is_fine && !fault_is_set(&call->fault))
            call->fault = *event->fault;
        return;
    }
    if (call->ops->event)
        call->ops->event(call, ev);
}

static bool call_restart(struct exchange *x)
{
    return !call_of(x)->given_away;
}

static void call_done(struct exchange *x, const struct fault *fault)
{
    struct pop3_call *call = call_of(x);
    const struct fault *why = fault ? fault : fault_is_set(&call->fault) ? &call->fault : NULL;
    struct op *op = op_exchange_end(x, why);

    if (op && why)
        op_fail(op, NULL);
    else if (op)
        call->ops->finish(call, op);
    release(call);
}

static const struct exchange_ops call_ops = {
    .name = "pop3", .fits = call_fits, .start = call_start, .event = call_event, .restart = call_restart, .done = call_done};

void *pop3_call_new(struct op *op, size_t size, const struct pop3_call_ops *ops)
{
    struct pop3_call *call = op_exchange_new(op, size, &call_ops);

    call->ops = ops;
    call->ox.dispose = call_dispose;
    call->text = body_owner_ref(op_text_owner(op));
    call->ox.x.reads_only = true;
    call->ox.x.complete = true;
    return call;
}

int pop3_call_submit(struct pop3_call *call)
{
    int r = op_exchange_submit(&call->ox, PROTOCOL_POP3);
    return r < 0 ? r : OP_WAIT;
}

/* --- pop3.stat, pop3.noop, pop3.rset, pop3.quit: one command --- */

struct simple_call {
    struct pop3_call call;
    enum pop3_verb verb;
    struct pop3_command command;
    uint32_t count;
    uint64_t size;
};

static int simple_begin(struct pop3_call *call, struct fault *fault)
{
    struct simple_call *c = container_of(call, struct simple_call, call);
    pop3_command_init(&c->command, c->verb);
    return pop3_call_command(call, &c->command, fault);
}

static void simple_event(struct pop3_call *call, const struct pop3_event *event)
{
    struct simple_call *c = container_of(call, struct simple_call, call);
    if (event->base.type == ENGINE_EVENT_REPLY && event->ok) {
        c->count = event->number;
        c->size = event->size;
    }
}

static void simple_finish(struct pop3_call *call, struct op *op)
{
    struct simple_call *c = container_of(call, struct simple_call, call);

    json_write_object_begin(&op->w);
    if (c->verb == POP3_STAT) {
        json_write_member_uint(&op->w, "count", c->count);
        json_write_member_uint(&op->w, "size", c->size);
    }
    json_write_object_end(&op->w);
    /* QUIT has been said by this call. */
    if (c->verb == POP3_QUIT)
        op_session_end(op->session, false);
    op_finish(op);
}

static const struct pop3_call_ops simple_ops = {
    .name = "pop3", .begin = simple_begin, .event = simple_event, .finish = simple_finish};

static int run_simple(struct op *op, enum pop3_verb verb)
{
    struct simple_call *c = pop3_call_new(op, sizeof(*c), &simple_ops);
    c->verb = verb;
    if (verb == POP3_QUIT) {
        c->call.ox.x.reads_only = c->call.ox.x.complete = false;
        c->call.ox.x.long_wait = true;
    }
    return pop3_call_submit(&c->call);
}

static int stat_run(struct op *op)
{
    return run_simple(op, POP3_STAT);
}

static int noop_run(struct op *op)
{
    return run_simple(op, POP3_NOOP);
}

static int rset_run(struct op *op)
{
    return run_simple(op, POP3_RSET);
}

static int quit_run(struct op *op)
{
    return run_simple(op, POP3_QUIT);
}

const struct op_handler pop3_stat_handler = {.run = stat_run};
const struct op_handler pop3_noop_handler = {.run = noop_run};
const struct op_handler pop3_rset_handler = {.run = rset_run};
const struct op_handler pop3_quit_handler = {.run = quit_run};

/* --- pop3.list, pop3.uid_list --- */

#define LIST_ENTRIES_MAX 500000u  /* of what is kept of a maildrop at once */
#define LIST_IDS_MAX (24u << 20)

struct listed {
    uint32_t number, id_len;
    uint64_t size;
    size_t id_at;
};

struct list_call {
    struct pop3_call call;
    struct pop3_command list, uidl;
    bool sizes; /* LIST; else UIDL alone */
    uint32_t number; /* 0: all */
    struct listed *entries;
    size_t n, room;
    struct buffer ids;
};

static void list_dispose(struct pop3_call *call)
{
    struct list_call *c = container_of(call, struct list_call, call);
    free(c->entries);
    buffer_done(&c->ids);
}

static int list_begin(struct pop3_call *call, struct fault *fault)
{
    struct list_call *c = container_of(call, struct list_call, call);
    int r = 0;

    c->n = 0;
    buffer_clear(&c->ids);
    pop3_command_init(&c->list, c->number ? POP3_LIST_ONE : POP3_LIST);
    pop3_command_init(&c->uidl, c->number ? POP3_UIDL_ONE : POP3_UIDL);
    c->list.number = c->uidl.number = c->number;
    if (c->sizes)
        r = pop3_call_command(call, &c->list, fault);
    if (r == 0 && (!c->sizes || pop3_client_may_uidl(pop3_call_engine(call))))
        r = pop3_call_command(call, &c->uidl, fault);
    return r;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = ((const struct listed *) a)->number, y = ((const struct listed *) b)->number;
    return (x > y) - (x < y);
}

static struct listed *add_entry(struct list_call *c, uint32_t number)
{
    if (c->n == LIST_ENTRIES_MAX) {
        fault_set(&c->call.fault, -EMSGSIZE, FAULT_LIMIT, "list", "the maildrop has more than %u messages", LIST_ENTRIES_MAX);
        return NULL;
    }
    if (c->n == c->room) {
        size_t room = c->room ? 2 * c->room : 64;
        struct listed *more = realloc(c->entries, room * sizeof(*more));
        if (!more) {
            fault_set(&c->call.fault, -ENOMEM, FAULT_INTERNAL, "list", "out of memory");
            return NULL;
        }
        c->entries = more;
        c->room = room;
    }
    c->entries[c->n] = (struct listed){.number = number};
    return &c->entries[c->n++];
}

static void take_id(struct list_call *c, const struct pop3_event *event)
{
    struct listed key = {.number = event->number}, *e;

    e = c->sizes && c->n ? bsearch(&key, c->entries, c->n, sizeof(key), by_number) : NULL;
    if (!e && !c->sizes)
        e = add_entry(c, event->number);
    if (!e)
        return;
    e->id_at = buffer_len(&c->ids);
    if (buffer_append_slice(&c->ids, event->id) < 0)
        fault_set(&c->call.fault, -EMSGSIZE, FAULT_LIMIT, "uidl", "the maildrop's unique ids are too many");
    else
        e->id_len = (uint32_t) event->id.len;
}

static void list_event(struct pop3_call *call, const struct pop3_event *event)
{
    struct list_call *c = container_of(call, struct list_call, call);
    struct listed *e;

    if (event->base.type == ENGINE_EVENT_DONE && event->base.request == &c->list.request && c->n)
        qsort(c->entries, c->n, sizeof(*c->entries), by_number);
    if (event->base.type != ENGINE_EVENT_REPLY || event->number == 0 || !pop3_call_op(call) || fault_is_set(&call->fault))
        return;
    if (event->base.request == &c->uidl.request) {
        take_id(c, event);
    } else {
        e = add_entry(c, event->number);
        if (e)
            e->size = event->size;
    }
}

static bool list_refused(struct pop3_call *call, const struct engine_request *request, const struct fault *fault)
{
    struct list_call *c = container_of(call, struct list_call, call);
    (void) fault;
    return c->sizes && request == &c->uidl.request; /* a server without unique ids */
}

static void list_finish(struct pop3_call *call, struct op *op)
{
    struct list_call *c = container_of(call, struct list_call, call);
    const char *ids = buffer_slice(&c->ids).data;
    struct json_writer *w = &op->w;

    json_write_object_begin(w);
    op_list_begin(op, "messages");
    for (size_t i = 0; i < c->n; i++) {
        const struct listed *e = &c->entries[i];
        op_item_begin(op);
        json_write_object_begin(w);
        json_write_member_uint(w, "number", e->number);
        if (c->sizes)
            json_write_member_uint(w, "size", e->size);
        json_write_key(w, "id");
        json_write_string_or_null(w, e->id_len ? slice_of(ids + e->id_at, e->id_len) : SLICE_EMPTY);
        json_write_object_end(w);
        if (op_item_end(op) < 0) {
            op_fail(op, NULL);
            return;
        }
    }
    op_list_end(op);
    json_write_object_end(w);
    op_finish(op);
}

static const struct pop3_call_ops list_ops = {
    .name = "pop3.list",
    .begin = list_begin,
    .event = list_event,
    .refused = list_refused,
    .finish = list_finish,
    .dispose = list_dispose,
};

static int run_list(struct op *op, bool sizes)
{
    const struct api_pop3_list_params *p = op->params;
    struct list_call *c = pop3_call_new(op, sizeof(*c), &list_ops);

    c->sizes = sizes;
    c->number = p->number == RPC_ABSENT ? 0 : (uint32_t) p->number;
    buffer_init(&c->ids, LIST_IDS_MAX);
    return pop3_call_submit(&c->call);
}

static int list_run(struct op *op)
{
    return run_list(op, true);
}

static int uid_list_run(struct op *op)
{
    return run_list(op, false);
}

const struct op_handler pop3_list_handler = {.run = list_run};
const struct op_handler pop3_uid_list_handler = {.run = uid_list_run};

/* --- pop3.open --- */

static struct slice take_word(struct slice *rest)
{
    *rest = slice_trim(*rest);
    size_t end = slice_find(*rest, ' ');
    struct slice word = slice_to(*rest, end);
    *rest = slice_from(*rest, end);
    return word;
}

/* {NAME: [argument, …], …} */
void pop3_write_capabilities(struct json_writer *w, const struct pop3_capabilities *caps)
{
    struct slice rest = buffer_slice(&caps->lines);

    json_write_object_begin(w);
    while (rest.len) {
        size_t end = slice_find(rest, '\n');
        struct slice line = slice_to(rest, end), word = take_word(&line);
        rest = slice_from(rest, end + 1);
        if (word.len == 0)
            continue;
        json_write_key_slice(w, word);
        json_write_array_begin(w);
        for (word = take_word(&line); word.len; word = take_word(&line))
            json_write_string(w, word);
        json_write_array_end(w);
    }
    json_write_object_end(w);
}

static void opened(struct op *op, struct op_session *s, struct session *net)
{
    const struct engine *e = session_engine(net);

    json_write_object_begin(&op->w);
    json_write_member_str(&op->w, "session", s->id);
    json_write_member_str(&op->w, "greeting", pop3_client_greeting(e));
    json_write_key(&op->w, "capabilities");
    pop3_write_capabilities(&op->w, pop3_client_capabilities(e));
    json_write_object_end(&op->w);
    op_finish(op);
}

static int open_run(struct op *op)
{
    const struct api_open_params *p = op->params;
    int r = op_session_open(op, PROTOCOL_POP3, p->login, opened);
    return r < 0 ? r : OP_WAIT;
}

const struct op_handler pop3_open_handler = {.run = open_run};
