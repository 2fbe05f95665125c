/* SPDX-License-Identifier: MIT */
/* imap.sort and imap.thread: by the server, or here from what it tells of the messages. */
#include "api_imap_sort.h"
#include "gateway.h"
#include "method_imap.h"
#include "method_imap_gather.h"
#include "methods.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CRITERIA_MAX 16
#define NUMBERS_MAX (16u * 1024 * 1024)
#define THREADS_MAX (16u * 1024 * 1024)
#define NESTED_MAX 48 /* of arrays within a thread's */
#define INLINE_MAX 1000 /* messages that are put in order in the loop; more go to a helper thread */

enum step {
    STEP_SERVER, /* SORT or THREAD */
    STEP_SEARCH,
    STEP_FETCH,
};

struct sort_call {
    struct imap_call call;
    bool threads, numbers;
    enum step step;
    struct mime_sort_criterion criteria[CRITERIA_MAX];
    size_t n_criteria;
    struct slice words[2 * CRITERIA_MAX]; /* as SORT takes them */
    size_t n_words;
    enum mime_thread_algorithm algorithm; /* MIME_THREAD_ALGORITHM_COUNT: one that only a server can know */
    struct slice algorithm_name;
    struct imap_command query; /* of SEARCH, SORT and THREAD alike */
    struct imap_term *terms;
    struct imap_found found;
    struct gather gather;
    struct slice items[6];
    struct buffer order;  /* SORT: uint32_t each */
    struct buffer text;   /* THREAD: in IMAP's notation */
    struct memory_charge *charge; /* for all of these */
};

static struct sort_call *sort_of(struct imap_call *call)
{
    return container_of(call, struct sort_call, call);
}

static void sort_dispose(struct imap_call *call)
{
    struct sort_call *s = sort_of(call);
    free(s->terms);
    imap_found_done(&s->found);
    gather_done(&s->gather);
    buffer_done(&s->order);
    buffer_done(&s->text);
    memory_charge_free(s->charge);
}

static void trouble(struct fault *fault, int err, const char *stage)
{
    enum fault_kind kind = err == -ENOMEM ? FAULT_INTERNAL : err == -E2BIG || err == -EMSGSIZE ? FAULT_LIMIT : FAULT_PROTOCOL;
    fault_set(fault, err, kind, stage, "%s", kind == FAULT_LIMIT      ? "the messages are too many: narrow the query"
                                             : kind == FAULT_INTERNAL ? "out of memory"
                                                                      : "the server's answer cannot be understood");
}

/* --- its course --- */

static bool has_threads(const struct engine *e, struct slice algorithm)
{
    char name[80];
    int n = snprintf(name, sizeof(name), "THREAD=%.*s", (int) algorithm.len, algorithm.data);
    return n > 0 && (size_t) n < sizeof(name) && imap_client_offers(e, slice_of(name, (size_t) n));
}

static bool server_can(const struct sort_call *s, const struct engine *e)
{
    bool display = false;
    if (s->threads)
        return has_threads(e, s->algorithm_name);
    for (size_t i = 0; i < s->n_criteria; i++)
        display = display || s->criteria[i].key == MIME_SORT_DISPLAYFROM || s->criteria[i].key == MIME_SORT_DISPLAYTO;
    return imap_client_has(e, IMAP_CAP_SORT) && (!display || imap_client_has(e, IMAP_CAP_SORT_DISPLAY));
}

static int sort_begin(struct imap_call *call, struct fault *fault)
{
    struct sort_call *s = sort_of(call);
    struct imap_command *c = &call->command;
    bool served = server_can(s, imap_call_engine(call));
    imap_found_clear(&s->found);
    gather_clear(&s->gather);
    buffer_clear(&s->order);
    buffer_clear(&s->text);
    call->next_range = 0;
    *c = s->query;
    c->items = s->threads ? &s->algorithm_name : s->words;
    c->n_items = s->threads ? 1 : s->n_words;
    c->numbers = served && s->numbers;
    c->kind = !served ? IMAP_SEARCH : s->threads ? IMAP_THREAD : IMAP_SORT;
    s->step = served ? STEP_SERVER : STEP_SEARCH;
    if (!served && s->threads && s->algorithm == MIME_THREAD_ALGORITHM_COUNT)
        return fault_set(fault, -ENOTSUP, FAULT_MISSING_EXTENSION, "thread", "the server does not offer THREAD=%.*s",
                         (int) s->algorithm_name.len, s->algorithm_name.data);
    return imap_call_command(call, c, fault);
}

static int next_fetch(struct sort_call *s)
{
    struct imap_call *call = &s->call;
    return imap_call_next_part(call) ? imap_call_command(call, &call->command, &call->fault) : 0;
}

/* What was found is to be looked at. */
static int begin_fetch(struct sort_call *s)
{
    struct imap_call *call = &s->call;
    struct imap_command *c = &call->command;
    int ret = imap_found_end(&s->found);
    if (ret < 0)
        return ret;
    imap_set_done(&call->set);
    call->set = s->found.set;
    imap_set_init(&s->found.set, IMAP_CALL_RANGES_MAX);
    s->step = STEP_FETCH;
    *c = (struct imap_command){.kind = IMAP_FETCH, .set = &call->part, .items = s->items};
    c->n_items = gather_items(&s->gather, s->items);
    return next_fetch(s) < 0 && !fault_is_set(&call->fault) ? -EIO : 0;
}

static int take_order(struct sort_call *s, struct slice rest)
{
    uint32_t n;
    int got, ret = 0;
    while (ret == 0 && (got = imap_search_next(&rest, &n)) > 0)
        ret = buffer_append(&s->order, &n, sizeof(n));
    return ret < 0 ? ret : got;
}

static int sort_reply(struct sort_call *s, const struct imap_event *e)
{
    if (s->step == STEP_SEARCH)
        return imap_found_take(&s->found, &e->response);
    if (s->step == STEP_FETCH)
        return e->fetch.is_fetch ? gather_take(&s->gather, e) : 0;
    if (e->response.data == IMAP_DATA_SORT)
        return take_order(s, e->response.text);
    return e->response.data == IMAP_DATA_THREAD ? buffer_append_slice(&s->text, e->response.text) : 0;
}

/* What has come is the caller's to answer for. */
static int charge(struct sort_call *s)
{
    size_t ranges = s->found.set.cap + s->call.set.cap;
    return memory_charge_grow(s->charge,
                              gather_memory(&s->gather) + s->order.cap + s->text.cap + s->found.loose.cap +
                                  ranges * sizeof(struct number_range),
                              &s->call.fault);
}

static void sort_event(struct imap_call *call, const struct imap_event *e)
{
    struct sort_call *s = sort_of(call);
    int ret = 0;
    if (e->base.type == ENGINE_EVENT_REPLY)
        ret = sort_reply(s, e);
    else if (e->base.type == ENGINE_EVENT_DATA)
        ret = gather_piece(&s->gather, e->base.data);
    else if (e->base.type == ENGINE_EVENT_DONE && s->step == STEP_SEARCH)
        ret = begin_fetch(s);
    else if (e->base.type == ENGINE_EVENT_DONE && s->step == STEP_FETCH)
        next_fetch(s);
    if (ret < 0)
        trouble(&call->fault, ret, s->threads ? "thread" : "sort");
    else if (charge(s) < 0)
        call->fault.stage = s->threads ? "thread" : "sort";
}

/* --- the answer --- */

static void write_number(struct op *op, uint32_t n, bool *more)
{
    if (op->stream)
        op_item_begin(op);
    json_write_uint(&op->w, n);
    *more = op->stream ? op_item_end(op) == 0 : !op->w.error;
}

static void write_order(struct sort_call *s, struct op *op)
{
    struct slice order = buffer_slice(&s->order);
    bool more = true;
    uint32_t n;
    op_list_begin(op, s->numbers ? "numbers" : "uids");
    for (size_t i = 0; i + sizeof(n) <= order.len && more; i += sizeof(n)) {
        memcpy(&n, order.data + i, sizeof(n));
        write_number(op, n, &more);
    }
    op_list_end(op);
}

/* "(3 6 (4 23)(44 7 96))" as arrays, each thread an item. -EBADMSG: it is no such text. */
static int write_threads(struct op *op, struct slice text)
{
    unsigned depth = 0;
    int ret = 0;
    op_list_begin(op, "threads");
    for (uint64_t n; text.len && ret == 0;) {
        char c = text.data[0];
        if (ascii_is_digit(c)) {
            if (!imap_number_next(&text, UINT32_MAX, &n) || depth == 0)
                return -EBADMSG;
            json_write_uint(&op->w, n);
            continue;
        }
        text = slice_from(text, 1);
        if (c == '(') {
            if (depth == 0)
                op_item_begin(op);
            if (++depth <= NESTED_MAX)
                json_write_array_begin(&op->w);
        } else if (c == ')' && depth > 0) {
            if (depth-- <= NESTED_MAX)
                json_write_array_end(&op->w);
            if (depth == 0)
                ret = op_item_end(op);
        } else if (c != ' ') {
            return -EBADMSG;
        }
    }
    op_list_end(op);
    return ret < 0 ? -EIO : depth ? -EBADMSG : 0;
}

/* --- what the server did not do --- */

/* All that it needs is its own: it may be a helper thread's. */
struct order_job {
    struct op_job job; /* first */
    bool threads, numbers;
    struct mime_sort_criterion criteria[CRITERIA_MAX];
    size_t n_criteria;
    enum mime_thread_algorithm algorithm;
    struct arena arena;
    struct mime_thread_item *items;
    size_t n;
    struct buffer text;
    struct memory_charge *charge;
    int result;
};

static void order_work(struct worker_job *wj)
{
    struct order_job *o = container_of(wj, struct order_job, job.job);
    if (o->threads)
        o->result = mime_thread_items(&o->arena, o->algorithm, o->items, o->n, &o->text);
    else
        mime_sort_items(o->items, o->n, o->criteria, o->n_criteria);
}

static void order_destroy(struct worker_job *wj)
{
    struct order_job *o = container_of(wj, struct order_job, job.job);
    arena_done(&o->arena);
    buffer_done(&o->text);
    memory_charge_free(o->charge);
    free(o->items);
    free(o);
}

static void end_answer(struct op *op, int ret, bool threads)
{
    json_write_object_end(&op->w);
    if (ret == 0) {
        op_finish(op);
        return;
    }
    if (!fault_is_set(&op->fault))
        trouble(&op->fault, ret, threads ? "thread" : "sort");
    op_fail(op, NULL);
}

static void order_finished(struct op_job *job)
{
    struct order_job *o = container_of(job, struct order_job, job);
    struct op *op = job->op;
    int ret = o->result == -ENOMEM ? -E2BIG : o->result; /* the arena's end, most likely */
    bool more = true;
    if (ret == 0 && o->threads) {
        ret = write_threads(op, buffer_slice(&o->text));
    } else if (ret == 0) {
        op_list_begin(op, o->numbers ? "numbers" : "uids");
        for (size_t i = 0; i < o->n && more; i++)
            write_number(op, o->items[i].number, &more);
        op_list_end(op);
    }
    end_answer(op, ret, o->threads);
}

/* Takes what was gathered. */
static struct order_job *order_new(struct sort_call *s)
{
    struct order_job *o = calloc(1, sizeof(*o));
    struct gather *g = &s->gather;
    if (!o)
        return NULL;
    o->job.job.work = order_work;
    o->job.job.destroy = order_destroy;
    o->job.finished = order_finished;
    o->threads = s->threads;
    o->numbers = s->numbers;
    memcpy(o->criteria, s->criteria, sizeof(o->criteria));
    o->n_criteria = s->n_criteria;
    o->algorithm = s->algorithm;
    buffer_init(&o->text, THREADS_MAX);
    o->arena = g->arena;
    arena_init(&g->arena, 0);
    o->items = g->items;
    o->n = g->n;
    g->items = NULL;
    g->n = g->room = 0;
    o->charge = s->charge;
    s->charge = NULL;
    return o;
}

/* What the work itself takes; the text has at most a number and its signs for each message. */
static size_t order_memory(const struct order_job *o, size_t gathered)
{
    size_t work = o->threads ? mime_thread_memory(o->items, o->n) + o->n * 24 : o->n * 2 * sizeof(void *);
    return gathered + work;
}

static void put_in_order(struct sort_call *s, struct op *op)
{
    size_t gathered = gather_memory(&s->gather);
    struct order_job *o = order_new(s);
    if (!o) {
        end_answer(op, -ENOMEM, s->threads);
    } else if (memory_charge_grow(o->charge, order_memory(o, gathered), &op->fault) < 0) {
        order_destroy(&o->job.job);
        op_fail(op, NULL);
    } else if (o->n > INLINE_MAX) {
        if (op_job_submit(op, &o->job, op->gateway->cpu) < 0)
            op_fail(op, NULL);
    } else {
        o->job.op = op;
        order_work(&o->job.job);
        order_finished(&o->job);
        order_destroy(&o->job.job);
    }
}

static void sort_finish(struct imap_call *call, struct op *op)
{
    struct sort_call *s = sort_of(call);
    int ret = 0;
    call->given_away = true;
    json_write_object_begin(&op->w);
    if (!s->numbers)
        imap_call_write_mailbox(call, op, false);
    if (s->step != STEP_SERVER) {
        put_in_order(s, op);
        return;
    }
    if (s->threads)
        ret = write_threads(op, buffer_slice(&s->text));
    else
        write_order(s, op);
    end_answer(op, ret, s->threads);
}

static const struct imap_call_ops sort_ops = {
    .name = "imap.sort", .begin = sort_begin, .event = sort_event, .finish = sort_finish, .dispose = sort_dispose};

/* --- parameters --- */

static int take_criteria(struct op *op, struct sort_call *s, const struct rpc_strings *words)
{
    bool reverse = false;
    for (size_t i = 0; i < words->n; i++) {
        struct slice word = slice_trim(words->items[i]);
        /* "(REVERSE DATE)", as IMAP writes it */
        if (i == 0 && slice_starts(word, SLICE("(")))
            word = slice_from(word, 1);
        if (i + 1 == words->n && word.len && word.data[word.len - 1] == ')')
            word.len--;
        enum mime_sort_key key = mime_sort_key_find(word);
        bool turns = slice_eq_ci(word, SLICE("REVERSE"));
        if ((!turns && key == MIME_SORT_KEY_COUNT) || (turns && (reverse || i + 1 == words->n)) || s->n_criteria == CRITERIA_MAX)
            return op_refuse(op, FAULT_INVALID_PARAMS, "criteria: must be ARRIVAL, CC, DATE, FROM, SIZE, SUBJECT, TO, DISPLAYFROM or "
                                                       "DISPLAYTO, each with or without REVERSE before it");
        s->words[s->n_words++] = word;
        if (!turns) {
            s->criteria[s->n_criteria++] = (struct mime_sort_criterion){key, reverse};
            s->gather.keys |= 1u << key;
        }
        reverse = turns;
    }
    return 0;
}

static int take_algorithm(struct op *op, struct sort_call *s, struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!ascii_is_alpha(name.data[i]) && !ascii_is_digit(name.data[i]) && name.data[i] != '-')
            return op_refuse(op, FAULT_INVALID_PARAMS, "algorithm: must be one word");
    s->algorithm_name = name;
    s->algorithm = mime_thread_algorithm_find(name);
    s->gather.threads = true;
    return 0;
}

static int sort_run(struct op *op)
{
    const struct api_imap_sort_params *p = op->params;
    struct sort_call *s = imap_call_new(op, sizeof(*s), &sort_ops);
    struct imap_command *c = &s->call.command;
    imap_found_init(&s->found);
    gather_init(&s->gather);
    buffer_init(&s->order, NUMBERS_MAX);
    buffer_init(&s->text, THREADS_MAX);
    s->threads = op->id == RPC_IMAP_THREAD;
    s->numbers = s->gather.numbers = p->numbers;
    c->kind = IMAP_SEARCH;
    s->call.wants_fresh = true;
    int ret = s->threads ? take_algorithm(op, s, p->algorithm) : take_criteria(op, s, &p->criteria);
    if (ret == 0)
        ret = imap_take_query(op, c, &p->query, &s->terms);
    if (ret == 0 && !s->terms && slice_eq(c->text, SLICE("NEW")) && !(p->query.text.data && slice_trim(p->query.text).len))
        c->text = SLICE("ALL");
    if (ret == 0)
        ret = imap_call_take_mailbox(op, &s->call, p->mailbox, &p->uidvalidity, false);
    if (ret == 0 && !(s->charge = op_charge(op, sizeof(*s))))
        ret = -EDQUOT;
    s->query = *c;
    return ret < 0 ? imap_call_drop(&s->call, ret) : imap_call_submit(&s->call);
}

const struct op_handler imap_sort_handler = {.run = sort_run};
