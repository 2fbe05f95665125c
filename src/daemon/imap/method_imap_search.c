/* SPDX-License-Identifier: MIT */
/* imap.search. What ESEARCH and its like would tell is worked out here where the server does not offer them; results are
 * kept as ranges. */
#include "method_imap.h"

#include "methods.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* --- numbers that a server tells --- */

#define FOUND_NUMBERS_MAX (4u * 1024 * 1024)

void imap_found_init(struct imap_found *f)
{
    *f = (struct imap_found){.modseq = 0};
    imap_set_init(&f->set, IMAP_CALL_RANGES_MAX);
    buffer_init(&f->loose, FOUND_NUMBERS_MAX);
}

void imap_found_done(struct imap_found *f)
{
    imap_set_done(&f->set);
    buffer_done(&f->loose);
}

void imap_found_clear(struct imap_found *f)
{
    imap_set_clear(&f->set);
    buffer_clear(&f->loose);
    f->modseq = 0;
}

/* What comes in order is added at once; the rest waits, to be put in order together. */
static int add_number(struct imap_found *f, uint32_t n)
{
    if (f->set.n == 0 || n >= f->set.ranges[f->set.n - 1].first)
        return imap_set_add(&f->set, n, n);
    return buffer_append(&f->loose, &n, sizeof(n));
}

static int take_search(struct imap_found *f, struct slice text)
{
    struct imap_value v, word;
    uint32_t n;
    uint64_t modseq;
    int got, ret = 0;
    while (ret == 0 && (got = imap_search_next(&text, &n)) > 0)
        ret = add_number(f, n);
    if (ret < 0 || got < 0)
        return ret < 0 ? ret : got;
    /* "(MODSEQ 917162500)" */
    if (imap_value_next(&text, &v) > 0 && v.type == IMAP_LIST && imap_value_next(&v.bytes, &word) > 0 &&
        slice_eq_ci(word.bytes, SLICE("MODSEQ")) && slice_to_u64(slice_trim(v.bytes), INT64_MAX, &modseq))
        f->modseq = modseq;
    return 0;
}

int imap_found_take(struct imap_found *f, const struct imap_response *r)
{
    struct imap_esearch e;
    if (r->data == IMAP_DATA_SEARCH)
        return take_search(f, r->text);
    if (r->data != IMAP_DATA_ESEARCH)
        return 0;
    int ret = imap_esearch_parse(r->text, &e);
    if (ret == 0 && e.all.len)
        ret = imap_set_parse(&f->set, e.all);
    if (ret == 0 && e.has_modseq)
        f->modseq = e.modseq;
    return ret;
}

static int compare(const void *a, const void *b)
{
    uint32_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return x < y ? -1 : x > y;
}

int imap_found_end(struct imap_found *f)
{
    size_t n = buffer_len(&f->loose) / sizeof(uint32_t);
    struct imap_set all;
    int ret = 0;
    if (n == 0)
        return 0;
    /* Two runs in order become one, so that no insertion moves what is there. */
    uint32_t *loose = (uint32_t *) (void *) (f->loose.data + f->loose.start);
    qsort(loose, n, sizeof(*loose), compare);
    imap_set_init(&all, IMAP_CALL_RANGES_MAX);
    for (size_t i = 0, k = 0; ret == 0 && (i < n || k < f->set.n);) {
        if (k == f->set.n || (i < n && loose[i] < f->set.ranges[k].first)) {
            ret = imap_set_add(&all, loose[i], loose[i]);
            i++;
        } else {
            ret = imap_set_add(&all, f->set.ranges[k].first, f->set.ranges[k].last);
            k++;
        }
    }
    imap_set_done(&f->set);
    f->set = all;
    buffer_clear(&f->loose);
    return ret;
}

/* The results at places `from` to `to`, counted from 1. */
static int cut(struct imap_set *set, uint64_t from, uint64_t to)
{
    struct imap_set part;
    uint64_t before = 0;
    int ret = 0;
    imap_set_init(&part, IMAP_CALL_RANGES_MAX);
    for (size_t i = 0; i < set->n && before < to && ret == 0; i++) {
        uint64_t n = (uint64_t) set->ranges[i].last - set->ranges[i].first + 1;
        uint64_t first = from > before + 1 ? from - before - 1 : 0, last = MIN(n, to - before);
        if (first < last)
            ret = imap_set_add(&part, set->ranges[i].first + (uint32_t) first, set->ranges[i].first + (uint32_t) (last - 1));
        before += n;
    }
    imap_set_done(set);
    *set = part;
    return ret;
}

/* RFC 9394 section 3.1: negative places count from the end. */
int imap_partial_cut(struct imap_set *set, int64_t from, int64_t to)
{
    if (from > 0)
        return cut(set, (uint64_t) MIN(from, to), (uint64_t) MAX(from, to));
    uint64_t all = imap_set_count(set), near = (uint64_t) -MAX(from, to), far = (uint64_t) -MIN(from, to);
    return near > all ? cut(set, 1, 0) : cut(set, far > all ? 1 : all - far + 1, all - near + 1);
}

/* "1:100", or "-1:-100" for the last hundred (RFC 9394 section 3.1). */
bool imap_partial_take(struct slice text, int64_t *ret_from, int64_t *ret_to)
{
    size_t colon = slice_find(text, ':');
    struct slice ends[2] = {slice_to(text, colon), slice_from(text, colon + 1)};
    int64_t values[2];
    bool negative = ends[0].len && ends[0].data[0] == '-';
    for (size_t i = 0; i < 2; i++) {
        uint64_t n;
        bool sign = ends[i].len && ends[i].data[0] == '-';
        if (sign != negative || !slice_to_u64(slice_from(ends[i], sign), UINT32_MAX, &n) || n == 0)
            return false;
        values[i] = sign ? -(int64_t) n : (int64_t) n;
    }
    *ret_from = values[0];
    *ret_to = values[1];
    return colon < text.len;
}

void imap_found_fault(struct fault *fault, int err)
{
    fault_set(fault, err, err == -ENOMEM ? FAULT_INTERNAL : err == -E2BIG || err == -EMSGSIZE ? FAULT_LIMIT : FAULT_PROTOCOL,
              "search", err == -E2BIG || err == -EMSGSIZE ? "the server's list of results is too long"
                                                          : "the server's list of results cannot be understood");
}

/* --- the call --- */

struct search_call {
    struct imap_call call;
    struct imap_term *terms;
    struct imap_found found;
    unsigned wanted; /* enum imap_return: what the answer tells */
    bool as_ranges;
    int64_t from, to; /* `partial`; 0: none. Negative: counted from the end */
    bool told_part;   /* the server has cut the result */
    bool told_min, told_max, told_count;
    uint64_t min, max, count;
};

static struct search_call *search_of(struct imap_call *call)
{
    return container_of(call, struct search_call, call);
}

/* Only what was asked for: of a piece of the result the rest would say too little. */
static void take_esearch(struct search_call *s, const struct imap_response *r)
{
    struct imap_esearch e;
    unsigned asked = s->call.command.returns;
    if (imap_esearch_parse(r->text, &e) < 0)
        return;
    s->told_part = s->told_part || (e.has_partial && (asked & IMAP_RETURN_PARTIAL));
    if (e.has_min && (asked & IMAP_RETURN_MIN)) {
        s->min = e.min;
        s->told_min = true;
    }
    if (e.has_max && (asked & IMAP_RETURN_MAX)) {
        s->max = e.max;
        s->told_max = true;
    }
    if (e.has_count && (asked & IMAP_RETURN_COUNT)) {
        s->count = e.count;
        s->told_count = true;
    }
}

static void search_event(struct imap_call *call, const struct imap_event *e)
{
    struct search_call *s = search_of(call);
    if (e->base.type != ENGINE_EVENT_REPLY)
        return;
    if (e->response.data == IMAP_DATA_ESEARCH)
        take_esearch(s, &e->response);
    int ret = imap_found_take(&s->found, &e->response);
    if (ret < 0)
        imap_found_fault(&call->fault, ret);
}

/* --- the answer --- */

/* What ESEARCH did not tell. */
static int work_out(struct search_call *s)
{
    struct imap_set *set = &s->found.set;
    int ret = imap_found_end(&s->found);
    if (ret < 0)
        return ret;
    if (!s->told_part) {
        uint64_t all = imap_set_count(set);
        if (!s->told_count)
            s->count = all;
        if (!s->told_min && set->n) {
            s->min = set->ranges[0].first;
            s->told_min = true;
        }
        if (!s->told_max && set->n) {
            s->max = set->ranges[set->n - 1].last;
            s->told_max = true;
        }
        if (s->from)
            ret = imap_partial_cut(set, s->from, s->to);
    }
    return ret;
}

/* One number of the result; false: no more. */
static bool write_one(struct op *op, uint64_t n)
{
    if (!op->stream) {
        json_write_uint(&op->w, n);
        return !op->w.error;
    }
    op_item_begin(op);
    json_write_uint(&op->w, n);
    return op_item_end(op) == 0;
}

void imap_json_ranges(struct json_writer *w, const struct imap_set *set)
{
    struct json_text_encoder encoder = {.n_pending = 0};
    char one[32];
    json_write_string_begin(w);
    for (size_t i = 0; i < set->n && !w->error; i++) {
        const struct number_range *r = &set->ranges[i];
        int n = r->first == r->last ? snprintf(one, sizeof(one), "%s%u", i ? "," : "", r->first)
                                    : snprintf(one, sizeof(one), "%s%u:%u", i ? "," : "", r->first, r->last);
        w->error = json_encode_text(&encoder, w->out, slice_of(one, (size_t) n), i + 1 == set->n);
    }
    json_write_string_end(w);
}

static void write_list(struct search_call *s, struct op *op)
{
    const struct imap_set *set = &s->found.set;
    const char *key = s->call.command.numbers ? "numbers" : "uids";
    if (s->as_ranges) {
        json_write_key(&op->w, "ranges");
        imap_json_ranges(&op->w, set);
        return;
    }
    op_list_begin(op, key);
    bool more = true;
    for (size_t i = 0; i < set->n && more; i++)
        for (uint64_t n = set->ranges[i].first; n <= set->ranges[i].last && more; n++)
            more = write_one(op, n);
    op_list_end(op);
}

static void search_finish(struct imap_call *call, struct op *op)
{
    struct search_call *s = search_of(call);
    int ret = work_out(s);
    if (ret < 0) {
        imap_found_fault(&op->fault, ret);
        op_fail(op, NULL);
        return;
    }
    call->given_away = true;
    json_write_object_begin(&op->w);
    if (!call->command.numbers)
        imap_call_write_mailbox(call, op, false);
    if ((s->wanted & IMAP_RETURN_MIN) && s->told_min)
        json_write_member_uint(&op->w, "min", s->min);
    if ((s->wanted & IMAP_RETURN_MAX) && s->told_max)
        json_write_member_uint(&op->w, "max", s->max);
    if (s->found.modseq)
        json_write_member_uint(&op->w, "modseq", s->found.modseq);
    if (s->wanted & (IMAP_RETURN_ALL | IMAP_RETURN_PARTIAL))
        write_list(s, op);
    /* A stream's `count` is that of its items. */
    if ((s->wanted & IMAP_RETURN_COUNT) && (!op->stream || s->as_ranges || !(s->wanted & (IMAP_RETURN_ALL | IMAP_RETURN_PARTIAL))))
        json_write_member_uint(&op->w, "count", s->count);
    json_write_object_end(&op->w);
    op_finish(op);
}

static void search_dispose(struct imap_call *call)
{
    struct search_call *s = search_of(call);
    imap_found_done(&s->found);
    free(s->terms);
}

static int search_begin(struct imap_call *call, struct fault *fault)
{
    struct search_call *s = search_of(call);
    const struct engine *e = imap_call_engine(call);
    imap_found_clear(&s->found);
    s->told_part = s->told_min = s->told_max = s->told_count = false;
    call->command.returns = s->wanted;
    if ((s->wanted & IMAP_RETURN_PARTIAL) && (!imap_client_has(e, IMAP_CAP_PARTIAL) || !imap_client_has(e, IMAP_CAP_ESEARCH)))
        call->command.returns = (s->wanted & ~(unsigned) IMAP_RETURN_PARTIAL) | IMAP_RETURN_ALL;
    /* Of a result that comes in pieces the pieces' own counts and ends say nothing. */
    if (imap_client_message_limit(e))
        call->command.returns = IMAP_RETURN_ALL | (s->wanted & IMAP_RETURN_SAVE);
    return imap_call_command(call, &call->command, fault);
}

static const struct imap_call_ops search_ops = {.name = "imap.search",
                                                .begin = search_begin,
                                                .event = search_event,
                                                .finish = search_finish,
                                                .dispose = search_dispose};

/* --- parameters --- */

int imap_take_query(struct op *op, struct imap_command *c, const struct rpc_terms *query, struct imap_term **ret_terms)
{
    c->text = query->text.data ? query->text : SLICE_EMPTY;
    if (!query->given || (!query->text.data && query->n == 0) || (query->text.data && slice_trim(query->text).len == 0)) {
        c->text = SLICE("NEW");
        return 0;
    }
    if (query->text.data)
        return 0;
    struct imap_term *terms = calloc(query->n, sizeof(*terms));
    if (!terms)
        return op_refuse(op, FAULT_LIMIT, "out of memory");
    for (size_t i = 0; i < query->n; i++) {
        const struct rpc_term *t = &query->items[i];
        terms[i].kind = t->kind == RPC_TERM_OPEN    ? IMAP_TERM_OPEN
                        : t->kind == RPC_TERM_CLOSE ? IMAP_TERM_CLOSE
                                                    : IMAP_TERM_WORD;
        terms[i].text = t->text;
    }
    c->terms = *ret_terms = terms;
    c->n_terms = query->n;
    return 0;
}

static int take_returns(struct op *op, struct search_call *s, const struct api_imap_search_params *p)
{
    static const struct {
        struct slice name;
        unsigned bit;
    } names[] = {{SLICE("ALL"), IMAP_RETURN_ALL},
                 {SLICE("MIN"), IMAP_RETURN_MIN},
                 {SLICE("MAX"), IMAP_RETURN_MAX},
                 {SLICE("COUNT"), IMAP_RETURN_COUNT},
                 {SLICE("SAVE"), IMAP_RETURN_SAVE}};
    for (size_t i = 0; i < p->returns.n; i++)
        for (size_t k = 0; k < ARRAY_LEN(names); k++)
            if (slice_eq_ci(p->returns.items[i], names[k].name))
                s->wanted |= names[k].bit;
    if (!p->returns.n)
        s->wanted = IMAP_RETURN_ALL;
    if ((s->wanted & IMAP_RETURN_SAVE) && !op->session)
        return op_refuse(op, FAULT_INVALID_PARAMS, "`return`: SAVE works in a session only");
    s->as_ranges = p->ranges;
    if (!p->partial.data)
        return 0;
    if (!imap_partial_take(p->partial, &s->from, &s->to))
        return op_refuse(op, FAULT_INVALID_PARAMS, "`partial` must be like \"1:100\", or \"-1:-100\"");
    if (s->wanted & IMAP_RETURN_SAVE)
        return op_refuse(op, FAULT_INVALID_PARAMS, "`partial` and SAVE do not go together");
    s->call.command.partial = p->partial;
    s->wanted = (s->wanted & ~(unsigned) IMAP_RETURN_ALL) | IMAP_RETURN_PARTIAL;
    return 0;
}

static int search_run(struct op *op)
{
    const struct api_imap_search_params *p = op->params;
    struct search_call *s = imap_call_new(op, sizeof(*s), &search_ops);
    imap_found_init(&s->found);
    s->call.command.kind = IMAP_SEARCH;
    s->call.command.numbers = p->numbers;
    s->call.ox.x.reads_only = true;
    s->call.wants_fresh = true;
    int ret = imap_take_query(op, &s->call.command, &p->query, &s->terms);
    if (ret == 0)
        ret = take_returns(op, s, p);
    if (ret == 0 && (p->mailboxes.n || p->scope != RPC_ENUM_ABSENT)) {
        unsigned wanted = s->wanted;
        imap_call_drop(&s->call, 0);
        return imap_multi_search(op, wanted);
    }
    if (ret == 0)
        ret = imap_call_take_mailbox(op, &s->call, p->mailbox, &p->uidvalidity, false);
    return ret < 0 ? imap_call_drop(&s->call, ret) : imap_call_submit(&s->call);
}

const struct op_handler imap_search_handler = {.run = search_run};
