/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "outgoing_private.h"

#include "base64.h"
#include "content_types.h"
#include "gateway.h"
#include "hash.h"

#include <errno.h>
#include <idn2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#define OUTGOING_MEMORY (8u << 20) /* converted addresses and the like, for one mail */
#define PIECE 65536

struct outgoing *outgoing_ref(struct outgoing *out)
{
    out->refs++;
    return out;
}

struct outgoing *outgoing_unref(struct outgoing *out)
{
    if (!out || --out->refs)
        return NULL;
    for (size_t i = 0; i < out->n_bodies; i++)
        body_unref(out->bodies[i]);
    mime_composer_free(out->composer);
    mime_raw_reader_free(out->reader);
    body_owner_unref(out->texts);
    arena_done(&out->arena);
    free(out->piece);
    free(out);
    return NULL;
}

static int no_memory(struct op *op)
{
    return fault_set(&op->fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
}

static struct outgoing *outgoing_new(struct op *op, const char *name)
{
    struct outgoing *out = calloc(1, sizeof(*out));
    if (!out)
        return NULL;
    out->refs = 1;
    arena_init(&out->arena, OUTGOING_MEMORY);
    out->texts = body_owner_ref(op_text_owner(op));
    out->name = arena_strdup(&out->arena, name);
    return out->name ? out : outgoing_unref(out);
}

/* Room for `n` bodies, here and in the op. */
static int outgoing_room(struct op *op, struct outgoing *out, size_t n)
{
    out->collected = arena_calloc(&op->arena, n ? n : 1, sizeof(struct body *));
    out->bodies = arena_calloc(&out->arena, n ? n : 1, sizeof(struct body *));
    return out->collected && out->bodies ? 0 : no_memory(op);
}

/* --- a message object --- */

/* The domain in its ASCII form (IDNA), so that every server takes it. */
static int ascii_domain(struct outgoing *out, struct slice *address)
{
    size_t at = address->len;
    while (at && address->data[at - 1] != '@')
        at--;
    struct slice domain = slice_from(*address, at);
    bool beyond = false;
    for (size_t i = 0; i < domain.len; i++)
        beyond |= (unsigned char) domain.data[i] >= 0x80;
    if (!at || !beyond)
        return 0;
    char *text = arena_dup(&out->arena, domain.data, domain.len), *converted = NULL;
    if (!text)
        return -ENOMEM;
    int r = idn2_to_ascii_8z(text, &converted, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
    if (r == IDN2_OK) {
        char *whole = arena_printf(&out->arena, "%.*s%s", (int) at, address->data, converted);
        idn2_free(converted);
        if (!whole)
            return -ENOMEM;
        *address = slice_of_str(whole);
    }
    return r == IDN2_MALLOC ? -ENOMEM : 0; /* what is no name stays as it was: the server will say so */
}

static int ascii_domains(struct outgoing *out, struct mime_address *list)
{
    int r = 0;
    for (; list && r == 0; list = list->next)
        r = list->is_group ? ascii_domains(out, list->members) : ascii_domain(out, &list->address);
    return r;
}

static int convert_addresses(struct outgoing *out, const struct rpc_addresses *in, const struct mime_address **ret)
{
    struct mime_decoder d;
    struct mime_address *list = NULL, **tail = &list;
    int r = 0;
    mime_decoder_init(&d, &out->arena, NULL);
    for (size_t i = 0; i < in->n && r == 0; i++) {
        const struct rpc_address *a = &in->items[i];
        if (a->text.data) {
            r = mime_parse_addresses(&d, a->text, tail);
        } else if ((*tail = arena_alloc(&out->arena, sizeof(**tail)))) {
            (*tail)->name = a->name.len ? a->name : SLICE_EMPTY;
            (*tail)->address = a->address;
        } else {
            r = -ENOMEM;
        }
        while (r == 0 && *tail)
            tail = &(*tail)->next;
    }
    mime_decoder_done(&d);
    if (r == 0)
        r = ascii_domains(out, list);
    *ret = list;
    return r;
}

/* Ids and URIs are given without brackets; with them they are taken as well. */
static struct slice bare_id(struct slice id)
{
    if (id.len > 2 && id.data[0] == '<' && id.data[id.len - 1] == '>')
        return slice_of(id.data + 1, id.len - 2);
    return id;
}

static int convert_ids(struct outgoing *out, const struct rpc_strings *in, const struct slice **ret, size_t *ret_n)
{
    struct slice *ids = arena_calloc(&out->arena, in->n ? in->n : 1, sizeof(*ids));
    if (!ids)
        return -ENOMEM;
    for (size_t i = 0; i < in->n; i++)
        ids[i] = bare_id(in->items[i]);
    *ret = ids;
    *ret_n = in->n;
    return 0;
}

static int convert_headers(struct outgoing *out, const struct rpc_map *in)
{
    size_t n = 0;
    for (size_t i = 0; i < in->n; i++)
        n += in->items[i].values.n;
    struct mime_header_value *values = arena_calloc(&out->arena, n ? n : 1, sizeof(*values));
    if (!values)
        return -ENOMEM;
    out->outline.headers = values;
    out->outline.n_headers = n;
    for (size_t i = 0; i < in->n; i++)
        for (size_t k = 0; k < in->items[i].values.n; k++)
            *values++ = (struct mime_header_value){in->items[i].name, in->items[i].values.items[k]};
    return 0;
}

static int convert_attachments(struct op *op, struct outgoing *out, const struct api_message *m)
{
    const struct api_attachment *in = m->attachments.items;
    size_t n = m->attachments.n;
    out->attachments = arena_calloc(&out->arena, n ? n : 1, sizeof(*out->attachments));
    if (!out->attachments)
        return no_memory(op);
    int r = outgoing_room(op, out, n);
    for (size_t i = 0; i < n && r == 0; i++) {
        struct mime_attachment *a = &out->attachments[i];
        bool inline_image = in[i].content_id.data && m->html.data;
        a->filename = in[i].filename;
        a->content_type = in[i].content_type.len ? in[i].content_type : SLICE_EMPTY;
        if (!a->content_type.len && !mime_type_is_known(a->filename)) {
            a->content_type = content_types_find(op->gateway->content_types, a->filename);
            a->type_of_name = a->content_type.len;
        }
        a->content_id = in[i].content_id.len ? bare_id(in[i].content_id) : SLICE_EMPTY;
        a->disposition =
            in[i].disposition == API_DISPOSITION_INLINE || (in[i].disposition == RPC_ENUM_ABSENT && inline_image)
                ? MIME_DISPOSITION_INLINE
                : MIME_DISPOSITION_ATTACHMENT;
        char *name = arena_printf(&op->arena, "%s.attachments[%zu].content", out->name, i);
        r = name ? op_collect(op, &in[i].content, name, &out->collected[i]) : no_memory(op);
    }
    out->outline.attachments = out->attachments;
    out->outline.n_attachments = n;
    return r;
}

/* A Message-ID that nobody else makes: 128 random bits at the sender's domain. */
static int make_message_id(struct arena *arena, struct slice from, struct slice *ret)
{
    unsigned char random[16];
    char hex[2 * sizeof(random) + 1] = "";
    size_t at = from.len;
    if (getrandom(random, sizeof(random), 0) != (ssize_t) sizeof(random))
        return -EIO;
    hex_encode(random, sizeof(random), hex);
    while (at && from.data[at - 1] != '@')
        at--;
    struct slice domain = at ? slice_from(from, at) : SLICE_EMPTY;
    for (size_t i = 0; i < domain.len; i++)
        if (!ascii_is_alpha(domain.data[i]) && !ascii_is_digit(domain.data[i]) && domain.data[i] != '-' &&
            domain.data[i] != '.')
            domain = SLICE_EMPTY;
    if (!domain.len)
        domain = SLICE("localhost");
    char *id = arena_printf(arena, "%.*s@%.*s", 32, hex, (int) domain.len, domain.data);
    if (!id)
        return -ENOMEM;
    *ret = slice_of_str(id);
    return 0;
}

static void date_now(struct mime_date *ret)
{
    time_t now = time(NULL);
    struct tm local;
    int offset = localtime_r(&now, &local) ? (int) (local.tm_gmtoff / 60) : 0;
    mime_date_from_unix(now, offset, ret);
}

static struct slice first_of(const struct mime_address *list)
{
    for (; list; list = list->next) {
        struct slice a = list->is_group ? first_of(list->members) : list->address;
        if (a.len)
            return a;
    }
    return SLICE_EMPTY;
}

static int fill_in(struct op *op, struct outgoing *out, const struct api_message *m)
{
    struct mime_outline *o = &out->outline;
    int r = 0;
    if (m->date.data && !mime_parse_iso_date(m->date, &o->date))
        return op_refuse(op, FAULT_INVALID_PARAMS, "%s.date: a date is given as ISO 8601 has it", out->name);
    if (!m->date.data)
        date_now(&o->date);
    o->has_date = true;
    if (m->message_id.len)
        o->message_id = bare_id(m->message_id);
    else
        r = make_message_id(&out->arena, first_of(o->from), &o->message_id);
    /* The same message gives the same bytes: what the boundaries begin with is looked for in the contents anyway. */
    o->seed = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < o->message_id.len; i++)
        o->seed = (o->seed ^ (unsigned char) o->message_id.data[i]) * UINT64_C(0x100000001b3);
    return r;
}

int outgoing_message(struct op *op, const struct api_message *m, const char *name, struct outgoing **ret)
{
    struct outgoing *out = outgoing_new(op, name);
    if (!out)
        return no_memory(op);
    struct mime_outline *o = &out->outline;
    const struct {
        const struct rpc_addresses *in;
        const struct mime_address **to;
    } lists[] = {{&m->from, &o->from}, {&m->sender, &o->sender}, {&m->to, &o->to},
                 {&m->cc, &o->cc},     {&m->bcc, &o->bcc},       {&m->reply_to, &o->reply_to}};
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(lists) && r == 0; i++)
        r = convert_addresses(out, lists[i].in, lists[i].to);
    o->subject = m->subject;
    o->text = m->text;
    o->html = m->html;
    o->calendar = m->calendar;
    o->method = m->calendar_method;
    o->one_click = m->one_click;
    o->priority = m->priority == RPC_ENUM_ABSENT ? MIME_PRIORITY_NONE : (enum mime_priority) (m->priority + 1);
    if (r == 0)
        r = convert_ids(out, &m->in_reply_to, &o->in_reply_to, &o->n_in_reply_to);
    if (r == 0)
        r = convert_ids(out, &m->references, &o->references, &o->n_references);
    if (r == 0)
        r = convert_ids(out, &m->list_unsubscribe, &o->unsubscribe, &o->n_unsubscribe);
    if (r == 0)
        r = convert_headers(out, &m->headers);
    if (r == 0)
        r = fill_in(op, out, m);
    if (r == 0)
        r = convert_attachments(op, out, m);
    if (r < 0) {
        outgoing_unref(out);
        return fault_is_set(&op->fault) ? r : no_memory(op);
    }
    *ret = out;
    return 0;
}

int outgoing_raw(struct op *op, const struct rpc_content *raw, const char *name, struct outgoing **ret)
{
    struct outgoing *out = outgoing_new(op, name);
    if (!out)
        return no_memory(op);
    out->is_raw = true;
    int r = outgoing_room(op, out, 1);
    if (r == 0)
        r = op_collect(op, raw, out->name, &out->collected[0]);
    if (r < 0) {
        outgoing_unref(out);
        return r;
    }
    *ret = out;
    return 0;
}

/* --- planning --- */

struct plan_job {
    struct op_job job; /* first */
    struct outgoing *out;
    struct outgoing_plan plan;
    struct fault fault;
    void (*planned)(struct op *op, struct outgoing *out, void *arg, const struct fault *fault);
    void *arg;
};

/* Everything that takes long, on whatever thread. Touches nothing but the outgoing. */
static void plan_work(struct outgoing *out, const struct outgoing_plan *plan, struct fault *fault)
{
    struct fault inner = {0};
    int r;
    if (out->is_raw) {
        struct mime_decoder d;
        mime_decoder_init(&d, &out->arena, NULL);
        r = (plan->stored ? mime_raw_scan_stored : mime_raw_scan)(&d, &out->source, &out->info);
        mime_decoder_done(&d);
        if (r < 0)
            fault_set(&inner, r, r == -ENOMEM ? FAULT_INTERNAL : FAULT_STORAGE, NULL, "the message cannot be read");
    } else {
        out->outline.transport = plan->transport;
        out->outline.utf8 = plan->utf8;
        r = mime_composer_new(&out->outline, &out->composer, &inner);
    }
    if (r == 0)
        return;
    if (inner.kind == FAULT_INVALID_PARAMS)
        fault_set(fault, r, inner.kind, NULL, "%s.%s", out->name, inner.text);
    else
        *fault = inner;
}

/* Fields that a raw message lacks. */
static int make_prefix(struct outgoing *out, const struct outgoing_plan *plan, struct slice *ret)
{
    struct mime_raw_info *info = &out->info;
    struct mime_date now;
    char date[MIME_DATE_MAX] = "", *prefix;
    *ret = SLICE_EMPTY;
    if (!plan->complete || (info->has_date && info->has_message_id))
        return 0;
    if (!info->has_date) {
        date_now(&now);
        mime_format_date(&now, date);
    }
    if (!info->has_message_id) {
        int r = make_message_id(&out->arena, info->header_from, &info->message_id);
        if (r < 0)
            return r;
    }
    const char *date_name = info->has_date ? "" : "Date: ", *date_end = info->has_date ? "" : "\r\n";
    if (info->has_message_id)
        prefix = arena_printf(&out->arena, "%s%s%s", date_name, date, date_end);
    else
        prefix = arena_printf(&out->arena, "%s%s%sMessage-ID: <%.*s>\r\n", date_name, date, date_end,
                              (int) info->message_id.len, info->message_id.data);
    if (!prefix)
        return -ENOMEM;
    *ret = slice_of_str(prefix);
    return 0;
}

static int settle_raw(struct outgoing *out, const struct outgoing_plan *plan)
{
    struct mime_raw_info *info = &out->info;
    struct slice prefix;
    int r = make_prefix(out, plan, &prefix);
    if (r < 0)
        return r;
    out->reader = mime_raw_reader_new(&out->source, prefix);
    if (!out->reader)
        return -ENOMEM;
    mime_raw_reader_knows(out->reader, info);
    out->facts = (struct outgoing_facts){
        .size = info->size + prefix.len + (prefix.len && !info->has_header ? 2 : 0),
        .message_id = info->message_id.len ? info->message_id : SLICE_EMPTY,
        .from = info->from,
        .authors = info->authors,
        .n_authors = info->n_authors,
        .recipients = info->recipients,
        .n_recipients = info->n_recipients,
        .open_end = info->open_end,
        .needs_utf8 = info->header_8bit,
        .needs_8bit = info->body_8bit,
        .needs_binary = info->has_nul || info->longest_line > 998,
        .has_nul = info->has_nul,
    };
    return 0;
}

static void count_authors(const struct mime_address *list, struct slice *out, size_t *n)
{
    for (; list; list = list->next) {
        if (list->is_group)
            count_authors(list->members, out, n);
        else if (out)
            out[(*n)++] = list->address;
        else
            ++*n;
    }
}

static int settle_message(struct outgoing *out)
{
    const struct mime_outline *o = &out->outline;
    struct slice *recipients, *authors;
    size_t n = 0, k = 0;
    count_authors(o->from, NULL, &n);
    count_authors(o->sender, NULL, &n);
    authors = arena_calloc(&out->arena, n ? n : 1, sizeof(*authors));
    if (!authors)
        return -ENOMEM;
    count_authors(o->from, authors, &k);
    count_authors(o->sender, authors, &k);
    out->facts = (struct outgoing_facts){
        .size = mime_composer_size(out->composer),
        .message_id = o->message_id,
        .authors = authors,
        .n_authors = n,
        .needs_utf8 = mime_composer_needs_utf8(out->composer),
        .needs_8bit = mime_composer_needs_8bit(out->composer),
        .needs_binary = mime_composer_needs_binary(out->composer),
    };
    int r = mime_outline_envelope(o, &out->arena, &out->facts.from, &recipients, &out->facts.n_recipients);
    out->facts.recipients = recipients;
    return r;
}

/* Back on the loop. */
static void plan_settle(struct plan_job *p, struct op *op)
{
    struct outgoing *out = p->out;
    int r = 0;
    if (!fault_is_set(&p->fault))
        r = out->is_raw ? settle_raw(out, &p->plan) : settle_message(out);
    if (r < 0)
        fault_set(&p->fault, r, FAULT_INTERNAL, NULL, "the message cannot be prepared");
    p->planned(op, out, p->arg, fault_is_set(&p->fault) ? &p->fault : NULL);
}

static void plan_job_work(struct worker_job *job)
{
    struct plan_job *p = container_of(job, struct plan_job, job.job);
    plan_work(p->out, &p->plan, &p->fault);
}

static void plan_job_finished(struct op_job *job)
{
    struct plan_job *p = container_of(job, struct plan_job, job);
    plan_settle(p, job->op);
}

static void plan_job_destroy(struct worker_job *job)
{
    struct plan_job *p = container_of(job, struct plan_job, job.job);
    outgoing_unref(p->out);
    free(p);
}

/* The bodies are at hand: takes references, and says how much there is to look at. */
static uint64_t take_bodies(struct outgoing *out, size_t n)
{
    uint64_t work = out->outline.text.len + out->outline.html.len + out->outline.calendar.len;
    for (size_t i = 0; i < n; i++) {
        out->bodies[i] = body_ref(out->collected[i]);
        out->n_bodies++;
        struct mime_source src = body_source(out->bodies[i]);
        if (out->is_raw)
            out->source = src;
        else
            out->attachments[i].content = src;
        work += src.size;
    }
    return work;
}

void outgoing_plan(struct op *op, struct outgoing *out, const struct outgoing_plan *plan,
                   void (*planned)(struct op *op, struct outgoing *out, void *arg, const struct fault *fault),
                   void *arg)
{
    struct plan_job at_once = {.out = out, .plan = *plan, .planned = planned, .arg = arg};
    uint64_t work = out->work = take_bodies(out, out->is_raw ? 1 : out->outline.n_attachments);
    if (out->is_raw && work == 0)
        fault_set(&at_once.fault, -EINVAL, FAULT_BAD_MESSAGE, NULL, "%s: the message is empty", out->name);
    if (fault_is_set(&at_once.fault) || work <= AT_ONCE_MAX) {
        if (!fault_is_set(&at_once.fault))
            plan_work(out, plan, &at_once.fault);
        plan_settle(&at_once, op);
        return;
    }
    struct plan_job *p = malloc(sizeof(*p));
    if (!p) {
        fault_set(&at_once.fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
        plan_settle(&at_once, op);
        return;
    }
    *p = at_once;
    outgoing_ref(out);
    p->job.job.work = plan_job_work;
    p->job.job.destroy = plan_job_destroy;
    p->job.finished = plan_job_finished;
    if (op_job_submit(op, &p->job, op->gateway->cpu) < 0) {
        at_once.fault = op->fault;
        plan_settle(&at_once, op);
    }
}

const struct outgoing_facts *outgoing_facts(const struct outgoing *out)
{
    return &out->facts;
}

ssize_t outgoing_next(struct outgoing *out, const char **ret, bool *ret_last)
{
    struct slice next = SLICE_EMPTY;
    int r;
    if (out->is_raw) {
        r = mime_raw_next(out->reader, &next);
    } else {
        if (!out->piece && !(out->piece = malloc(PIECE)))
            return -ENOMEM;
        next.data = out->piece;
        r = mime_composer_read(out->composer, out->piece, PIECE, &next.len);
    }
    if (r < 0)
        return r;
    out->given += next.len;
    *ret = next.data;
    *ret_last = next.len == 0 || out->given >= out->facts.size;
    return (ssize_t) next.len;
}

uint64_t outgoing_memory(const struct outgoing *out)
{
    /* Twice: a composer has the header, converted from what the arena holds. */
    return sizeof(*out) + 4096 + 2 * out->arena.used;
}

uint64_t outgoing_given(const struct outgoing *out)
{
    return out->given;
}

void outgoing_rewind(struct outgoing *out)
{
    out->given = 0;
    if (out->reader)
        mime_raw_rewind(out->reader);
    if (out->composer)
        mime_composer_rewind(out->composer);
}

uint64_t outgoing_digest(const struct outgoing *out)
{
    enum { PART = 32768 };
    uint64_t mix[4] = {0};
    char *part = malloc(PART);
    size_t n;

    for (size_t i = 0; i < out->n_bodies; i++) {
        mix[1] = body_size(out->bodies[i]);
        mix[2] = part && body_read(out->bodies[i], 0, part, PART, &n) == 0 ? hash_bytes(part, n) : 0;
        uint64_t tail = mix[1] > PART ? mix[1] - PART : 0;
        mix[3] = tail && part && body_read(out->bodies[i], tail, part, PART, &n) == 0 ? hash_bytes(part, n) : 0;
        mix[0] = hash_bytes(mix, sizeof(mix));
    }
    free(part);
    return mix[0];
}
