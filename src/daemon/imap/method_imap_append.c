/* SPDX-License-Identifier: MIT */
/* imap.append and replace: composed or finished messages into a mailbox, once for each idempotency key. */
#include "method_imap.h"

#include "digest.h"
#include "gateway.h"
#include "idempotency.h"
#include "methods.h"
#include "outgoing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Texts of a message or of its pieces, in the order in which they are sent. */
struct mails {
    struct outgoing **list;
    size_t n;
};

struct append_state {
    struct mails mails;
    size_t planned;
    struct op *op;
    struct idempotency_waiter waiter;
    bool waiting;
};

struct append_call {
    struct imap_call call;
    struct mails mails;
    size_t at; /* whose bytes are sent */
    struct idempotency_record *record; /* NULL: no key was named */
    struct imap_append_message *messages;
    size_t n_messages, next; /* next: not asked to be stored yet */
    bool one_by_one, listed;
    struct imap_append_part *parts;
    char **texts; /* dates of the messages, URLs of the parts */
    size_t n_texts;
    uint32_t uidvalidity;
    struct buffer uids; /* uint32_t each */
    bool replaces, by_steps;
    enum { STEP_LOOK, STEP_APPEND, STEP_MARK, STEP_EXPUNGE } step;
    struct imap_found there;
    struct imap_command look, remove;
};

static struct append_call *append_of(struct imap_call *call)
{
    return container_of(call, struct append_call, call);
}

static void mails_done(struct mails *m)
{
    for (size_t i = 0; i < m->n; i++)
        outgoing_unref(m->list[i]);
    free(m->list);
    *m = (struct mails){NULL, 0};
}

/* --- its course --- */

/* What depends on the connection. */
static int fit_to_server(struct append_call *a, const struct engine *e, struct fault *fault)
{
    uint64_t limit = imap_client_append_limit(e);
    bool parts = a->parts != NULL;
    for (size_t i = 0; i < a->n_messages && !parts; i++) {
        const struct outgoing_facts *facts = outgoing_facts(a->mails.list[i]);
        struct imap_append_message *m = &a->messages[i];
        if (limit && facts->size > limit)
            return fault_set(fault, -EFBIG, FAULT_BAD_MESSAGE, "append",
                             "the message has %llu bytes, and the server takes no more than %llu (APPENDLIMIT)",
                             (unsigned long long) facts->size, (unsigned long long) limit);
        m->binary = facts->has_nul;
        m->utf8 = facts->needs_utf8 && !facts->has_nul && imap_client_enabled(e, IMAP_CAP_UTF8_ACCEPT);
    }
    a->one_by_one = a->n_messages > 1 && !imap_client_has(e, IMAP_CAP_MULTIAPPEND);
    a->by_steps = a->replaces && !imap_client_has(e, IMAP_CAP_REPLACE);
    if (a->by_steps && !imap_client_has(e, IMAP_CAP_UIDPLUS))
        return fault_set(fault, -ENOTSUP, FAULT_MISSING_EXTENSION, "replace", "the server offers neither REPLACE nor UIDPLUS");
    return 0;
}

static int next_append(struct append_call *a, struct fault *fault)
{
    struct imap_command *c = &a->call.command;
    c->kind = a->replaces && !a->by_steps ? IMAP_REPLACE : IMAP_APPEND;
    c->set = c->kind == IMAP_REPLACE ? &a->call.set : NULL;
    c->messages = a->messages + a->next;
    c->n_messages = a->one_by_one ? 1 : a->n_messages;
    a->next += c->n_messages;
    a->step = STEP_APPEND;
    return imap_call_command(&a->call, c, fault);
}

static int append_begin(struct imap_call *call, struct fault *fault)
{
    struct append_call *a = append_of(call);
    int ret = fit_to_server(a, imap_call_engine(call), fault);
    if (ret < 0)
        return ret;
    for (size_t i = 0; i < a->mails.n; i++)
        outgoing_rewind(a->mails.list[i]);
    buffer_clear(&a->uids);
    imap_found_clear(&a->there);
    a->at = a->next = 0;
    if (!a->by_steps)
        return next_append(a, fault);
    /* Nothing is stored where there is nothing that it could be put in the place of. */
    a->step = STEP_LOOK;
    a->look = (struct imap_command){.kind = IMAP_SEARCH, .set = &call->set, .text = SLICE("ALL")};
    return imap_call_command(call, &a->look, fault);
}

static ssize_t append_body(struct imap_call *call, const char **ret, bool *ret_last)
{
    struct append_call *a = append_of(call);
    for (; a->at < a->mails.n; a->at++) {
        bool last = false;
        ssize_t n = outgoing_next(a->mails.list[a->at], ret, &last);
        bool very_last = last && a->at + 1 == a->mails.n;
        if (n < 0)
            return n;
        if (n > 0 || very_last || !last) {
            a->at += last && !very_last;
            *ret_last = very_last;
            return n;
        }
    }
    *ret_last = true;
    return 0;
}

static void take_uids(struct append_call *a, const struct imap_code *code)
{
    struct imap_appenduid told;
    struct number_range range;
    if (!slice_eq_ci(code->name, SLICE("APPENDUID")) || imap_appenduid_parse(code->arguments, &told) < 0)
        return;
    a->uidvalidity = told.uidvalidity;
    while (imap_range_next(&told.uids, &range) > 0)
        for (uint64_t n = range.first; n && n <= range.last; n++)
            if (buffer_append(&a->uids, &(uint32_t){(uint32_t) n}, sizeof(uint32_t)) < 0)
                return;
}

/* The new message is there: the old one goes. */
static void remove_old(struct append_call *a)
{
    static const struct slice deleted[] = {SLICE("\\Deleted")};
    a->step = a->step == STEP_APPEND ? STEP_MARK : STEP_EXPUNGE;
    a->remove = (struct imap_command){.kind = a->step == STEP_MARK ? IMAP_STORE : IMAP_EXPUNGE, .set = &a->call.set};
    if (a->step == STEP_MARK) {
        a->remove.items = deleted;
        a->remove.n_items = 1;
        a->remove.store = IMAP_STORE_ADD;
        a->remove.silent = true;
    }
    imap_call_command(&a->call, &a->remove, &a->call.fault);
}

static void looked(struct append_call *a)
{
    if (imap_found_end(&a->there) < 0 || a->there.set.n == 0)
        fault_set(&a->call.fault, -ENOENT, FAULT_NOT_FOUND, "replace", "the message that is to be replaced is not there");
    else
        next_append(a, &a->call.fault);
}

static void append_event(struct imap_call *call, const struct imap_event *e)
{
    struct append_call *a = append_of(call);
    if (e->base.type == ENGINE_EVENT_REPLY && e->base.request == &a->look.request) {
        int ret = imap_found_take(&a->there, &e->response);
        if (ret < 0)
            imap_found_fault(&call->fault, ret);
        return;
    }
    if (e->base.request == &call->command.request && !e->fetch.is_fetch)
        take_uids(a, &e->response.code);
    if (e->base.type != ENGINE_EVENT_DONE)
        return;
    if (e->base.request == &a->look.request)
        looked(a);
    else if (a->next < a->n_messages)
        next_append(a, &call->fault);
    else if (a->by_steps && a->step != STEP_EXPUNGE)
        remove_old(a);
}

/* --- the answer --- */

static void write_appended(const struct append_call *a, struct json_writer *w)
{
    struct slice uids = buffer_slice(&a->uids);
    size_t n = uids.len / sizeof(uint32_t);
    uint32_t uid;
    json_write_object_begin(w);
    if (a->uidvalidity && n == a->n_messages) {
        json_write_member_uint(w, "uidvalidity", a->uidvalidity);
        if (a->listed) {
            json_write_key(w, "uids");
            json_write_array_begin(w);
        } else {
            json_write_key(w, "uid");
        }
        for (; uids.len >= sizeof(uid); uids = slice_from(uids, sizeof(uid))) {
            memcpy(&uid, uids.data, sizeof(uid));
            json_write_uint(w, uid);
        }
        if (a->listed)
            json_write_array_end(w);
    }
    json_write_object_end(w);
}

static void append_finish(struct imap_call *call, struct op *op)
{
    struct append_call *a = append_of(call);
    write_appended(a, &op->w);
    if (a->uidvalidity)
        op_uidvalidity_remember(op, call->command.mailbox, a->uidvalidity);
    op_finish(op);
}

/* One of several that the server refused: those before it are there. */
static bool append_refused(struct imap_call *call, const struct imap_event *e)
{
    struct append_call *a = append_of(call);
    (void) e;
    if (a->one_by_one && a->next > 1 && !fault_is_set(&call->fault)) {
        call->fault = *e->base.fault;
        snprintf(call->fault.text, sizeof(call->fault.text), "message %zu of %zu was refused; those before it are stored: %.100s",
                 a->next, a->n_messages, e->base.fault->text);
    }
    return false;
}

/* Whether somebody still waits or not: the key's record learns what became of it. */
static void append_ended(struct imap_call *call, const struct fault *fault)
{
    struct append_call *a = append_of(call);
    struct buffer result;
    struct json_writer w;
    if (!a->record)
        return;
    buffer_init(&result, 65536);
    json_writer_init(&w, &result);
    if (!fault)
        write_appended(a, &w);
    idempotency_finish(a->record, fault ? SLICE_EMPTY : w.error ? SLICE("{}") : buffer_slice(&result), fault, SLICE_EMPTY);
    buffer_done(&result);
}

static void append_dispose(struct imap_call *call)
{
    struct append_call *a = append_of(call);
    mails_done(&a->mails);
    for (size_t i = 0; i < a->n_texts; i++)
        free(a->texts[i]);
    free(a->texts);
    free(a->messages);
    free(a->parts);
    buffer_done(&a->uids);
    imap_found_done(&a->there);
    idempotency_unref(a->record);
}

static const struct imap_call_ops append_ops = {.name = "imap.append",
                                                .begin = append_begin,
                                                .event = append_event,
                                                .finish = append_finish,
                                                .dispose = append_dispose,
                                                .body = append_body,
                                                .ended = append_ended,
                                                .refused = append_refused};

/* --- parameters --- */

/* date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE */
static bool format_date(struct slice iso, char out[40])
{
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct mime_date d;
    if (!mime_parse_iso_date(iso, &d) || d.year < 0 || d.year > 9999)
        return false;
    int offset = d.offset_minutes < 0 ? -d.offset_minutes : d.offset_minutes;
    snprintf(out, 40, "%02d-%s-%04d %02d:%02d:%02d %c%02d%02d", d.day, months[(d.month - 1) % 12], d.year, d.hour, d.minute,
             d.second, d.offset_minutes < 0 ? '-' : '+', offset / 60 % 100, offset % 60);
    return true;
}

/* A part that the server has already, as a URL of RFC 5092; the caller frees it. */
static char *url_of(const struct api_imap_append_part *p)
{
    static const char hex[] = "0123456789ABCDEF";
    struct buffer b;
    char number[64];
    buffer_init(&b, 65536);
    int ret = buffer_append_char(&b, '/');
    for (size_t i = 0; i < p->mailbox.len && ret == 0; i++) {
        unsigned char c = (unsigned char) p->mailbox.data[i];
        const char escaped[3] = {'%', hex[c >> 4], hex[c & 15]};
        bool plain = ascii_is_alpha((char) c) || ascii_is_digit((char) c) || c == '-' || c == '.' || c == '_' || c == '~' || c == '/';
        ret = plain ? buffer_append_char(&b, (char) c) : buffer_append(&b, escaped, 3);
    }
    int n = p->uidvalidity == RPC_ABSENT
                ? snprintf(number, sizeof(number), "/;UID=%u", (unsigned) p->uid)
                : snprintf(number, sizeof(number), ";UIDVALIDITY=%u/;UID=%u", (unsigned) p->uidvalidity, (unsigned) p->uid);
    if (ret == 0)
        ret = buffer_append(&b, number, (size_t) n);
    if (ret == 0 && p->section.data)
        ret = buffer_append_slice(&b, SLICE("/;SECTION="));
    if (ret == 0 && p->section.data)
        ret = buffer_append_slice(&b, p->section);
    char *url = ret == 0 ? imap_call_text(buffer_slice(&b)) : NULL;
    buffer_done(&b);
    return url;
}

static int check_date(struct op *op, struct slice iso)
{
    char date[40];
    if (iso.data && !format_date(iso, date))
        return op_refuse(op, FAULT_INVALID_PARAMS, "date: must be an ISO 8601 date with a time");
    return 0;
}

static int prepare_item(struct op *op, const struct api_imap_append_item *item, const char *name)
{
    struct append_state *st = op->state;
    const char *what = item->message ? "message" : "raw";
    if (name)
        what = arena_printf(&op->arena, "%s.%s", name, what);
    if (!what)
        return op_refuse(op, FAULT_LIMIT, "out of memory");
    int ret = check_date(op, item->date);
    if (ret < 0)
        return ret;
    ret = item->message ? outgoing_message(op, item->message, what, &st->mails.list[st->mails.n])
                        : outgoing_raw(op, &item->raw, what, &st->mails.list[st->mails.n]);
    st->mails.n += ret >= 0;
    return ret;
}

static int append_prepare(struct op *op)
{
    const struct api_imap_append_params *p = op->params;
    const struct api_imap_append_item *items = p->messages.items;
    const struct api_imap_append_part *parts = p->parts.items;
    struct append_state *st = op->state;
    size_t n = p->messages.n + p->parts.n;
    int ret = 0;
    st->op = op;
    if (op->session && op->session->readonly)
        return op_refuse(op, FAULT_READONLY, "this session is read-only");
    st->mails.list = calloc(MAX(n, (size_t) 1), sizeof(*st->mails.list));
    if (!st->mails.list)
        return op_refuse(op, FAULT_LIMIT, "out of memory");
    if (n == 0)
        return prepare_item(op, &p->item, NULL);
    if (p->messages.n && (p->item.flags.n || p->item.date.data))
        return op_refuse(op, FAULT_INVALID_PARAMS, "`flags` and `date` belong into `messages`");
    for (size_t i = 0; i < p->messages.n && ret >= 0; i++)
        ret = prepare_item(op, &items[i], arena_printf(&op->arena, "messages[%zu]", i));
    for (size_t i = 0; i < p->parts.n && ret >= 0; i++)
        if (parts[i].raw.kind != RPC_CONTENT_ABSENT)
            ret = prepare_item(op, &(struct api_imap_append_item){.raw = parts[i].raw}, arena_printf(&op->arena, "parts[%zu]", i));
    return ret < 0 ? ret : check_date(op, p->item.date);
}

static int keep_text(struct append_call *a, char *text, struct slice *ret)
{
    if (!text)
        return -ENOMEM;
    a->texts[a->n_texts++] = text;
    *ret = slice_of_str(text);
    return 0;
}

static int take_message(struct append_call *a, size_t i, const struct api_imap_append_item *item)
{
    struct imap_append_message *m = &a->messages[i];
    char date[40];
    m->flags = item->flags.items;
    m->n_flags = item->flags.n;
    if (!a->parts)
        m->size = outgoing_facts(a->mails.list[i])->size;
    return item->date.data && format_date(item->date, date) ? keep_text(a, imap_call_text(slice_of_str(date)), &m->date) : 0;
}

static int take_parts(struct append_call *a, const struct api_imap_append_part *parts, size_t n)
{
    size_t mail = 0;
    int ret = 0;
    for (size_t i = 0; i < n && ret == 0; i++) {
        if (parts[i].raw.kind != RPC_CONTENT_ABSENT)
            a->parts[i].size = outgoing_facts(a->mails.list[mail++])->size;
        else if (parts[i].url.data)
            a->parts[i].url = parts[i].url;
        else
            ret = keep_text(a, url_of(&parts[i]), &a->parts[i].url);
    }
    a->messages[0].parts = a->parts;
    a->messages[0].n_parts = n;
    return ret;
}

static int take_messages(struct append_call *a, const struct api_imap_append_params *p)
{
    const struct api_imap_append_item *items = p->messages.n ? p->messages.items : &p->item;
    int ret = 0;
    a->listed = p->messages.n > 0;
    a->n_messages = MAX(p->messages.n, (size_t) 1);
    a->messages = calloc(a->n_messages, sizeof(*a->messages));
    a->parts = p->parts.n ? calloc(p->parts.n, sizeof(*a->parts)) : NULL;
    a->texts = calloc(a->n_messages + p->parts.n, sizeof(*a->texts));
    if (!a->messages || !a->texts || (p->parts.n && !a->parts))
        return -ENOMEM;
    for (size_t i = 0; i < a->n_messages && ret == 0; i++)
        ret = take_message(a, i, &items[i]);
    return ret == 0 && p->parts.n ? take_parts(a, p->parts.items, p->parts.n) : ret;
}

static int take_mails(struct append_call *a, const struct mails *from)
{
    a->mails.list = calloc(MAX(from->n, (size_t) 1), sizeof(*a->mails.list));
    if (!a->mails.list)
        return -ENOMEM;
    for (; a->mails.n < from->n; a->mails.n++)
        a->mails.list[a->mails.n] = outgoing_ref(from->list[a->mails.n]);
    return 0;
}

static int take_replaced(struct op *op, struct append_call *a)
{
    const struct api_imap_append_params *p = op->params;
    if (imap_set_add(&a->call.set, (uint32_t) p->uid, (uint32_t) p->uid) < 0)
        return op_refuse(op, FAULT_LIMIT, "out of memory");
    int ret = imap_call_take_mailbox(op, &a->call, p->mailbox, &p->uidvalidity, true);
    a->replaces = true;
    a->call.command.mailbox = p->destination.data ? p->destination : a->call.mailbox;
    return ret;
}

/* `record` (may be NULL) is the call's from here on. */
static int append_submit(struct op *op, struct idempotency_record *record)
{
    static const struct slice utf8 = SLICE("UTF8=ACCEPT");
    const struct api_imap_append_params *p = op->params;
    struct append_state *st = op->state;
    struct append_call *a = imap_call_new(op, sizeof(*a), &append_ops);
    struct imap_command *c = &a->call.command;
    imap_found_init(&a->there);
    buffer_init(&a->uids, 1024 * sizeof(uint32_t));
    a->record = record ? idempotency_ref(record) : NULL;
    c->kind = IMAP_APPEND;
    c->mailbox = p->mailbox;
    a->call.ox.x.changes = true;
    int ret = take_mails(a, &st->mails);
    if (ret == 0)
        ret = take_messages(a, p);
    if (ret < 0)
        op_refuse(op, FAULT_LIMIT, "out of memory");
    for (size_t i = 0; i < a->mails.n && ret == 0 && !a->parts; i++)
        if (outgoing_facts(a->mails.list[i])->needs_utf8)
            a->call.enable = &utf8;
    a->call.enable_if_offered = true;
    if (ret == 0 && op->id == RPC_IMAP_REPLACE)
        ret = take_replaced(op, a);
    a->call.ox.x.long_wait = true;
    ret = ret < 0 ? imap_call_drop(&a->call, ret) : imap_call_submit(&a->call);
    if (ret < 0 && record)
        idempotency_finish(record, SLICE_EMPTY, &op->fault, SLICE_EMPTY);
    idempotency_unref(record);
    return ret;
}

static void digest_item(uint64_t *h, const struct api_imap_append_item *item)
{
    if (item->message)
        digest_message(h, item->message);
    digest_content(h, &item->raw);
    digest_strings(h, &item->flags);
    digest_text(h, item->date);
}

static uint64_t append_digest(const struct op *op)
{
    const struct api_imap_append_params *p = op->params;
    const struct append_state *st = op->state;
    const struct api_imap_append_item *items = p->messages.items;
    const struct api_imap_append_part *parts = p->parts.items;
    uint64_t h = 1;
    digest_text(&h, p->mailbox);
    digest_item(&h, &p->item);
    for (size_t i = 0; i < p->messages.n; i++)
        digest_item(&h, &items[i]);
    for (size_t i = 0; i < p->parts.n; i++) {
        digest_content(&h, &parts[i].raw);
        digest_text(&h, parts[i].url);
        digest_number(&h, (uint64_t) parts[i].uid);
        digest_number(&h, (uint64_t) parts[i].uidvalidity);
        digest_text(&h, parts[i].mailbox);
        digest_text(&h, parts[i].section);
    }
    digest_number(&h, (uint64_t) p->uid);
    digest_text(&h, p->destination);
    for (size_t i = 0; i < st->mails.n; i++)
        digest_number(&h, outgoing_digest(st->mails.list[i]));
    return h;
}

static void append_go(struct op *op);

/* The first call with this key has ended, one way or the other. */
static void append_key_ready(struct idempotency_waiter *w)
{
    struct append_state *st = container_of(w, struct append_state, waiter);
    st->waiting = false;
    append_go(st->op);
}

/* IDEMPOTENCY_NEW with the record, or the op waits or has its answer. */
static int append_take_key(struct op *op, struct idempotency_record **ret)
{
    const struct api_imap_append_params *p = op->params;
    struct append_state *st = op->state;
    struct gateway *g = op->gateway;
    struct idempotency_record *record = NULL;
    if (!g->keys)
        g->keys = idempotency_new(g->loop);
    if (!g->keys)
        return op_refuse(op, FAULT_INTERNAL, "out of memory");
    const char *name = account_name(op->account);
    int ret_found = idempotency_begin(g->keys, op->peer->uid, slice_of_str(name ? name : ""), p->idempotency_key,
                                      append_digest(op), gateway_config(g)->key_lifetime_ms, &record, &op->fault);
    if (ret_found == IDEMPOTENCY_RUNNING) {
        st->waiting = true;
        st->waiter.ready = append_key_ready;
        idempotency_wait(record, &st->waiter);
    } else if (ret_found == IDEMPOTENCY_ENDED) {
        const struct idempotency_answer *answer = idempotency_answer(record);
        if (fault_is_set(&answer->fault)) {
            op_fail(op, &answer->fault);
        } else {
            json_write_raw(&op->w, answer->result);
            op_finish(op);
        }
    } else if (ret_found == IDEMPOTENCY_NEW) {
        *ret = record;
        return IDEMPOTENCY_NEW;
    }
    idempotency_unref(record);
    return ret_found;
}

static void append_go(struct op *op)
{
    const struct api_imap_append_params *p = op->params;
    struct idempotency_record *record = NULL;
    int ret = p->idempotency_key.data ? append_take_key(op, &record) : IDEMPOTENCY_NEW;
    if (ret == IDEMPOTENCY_NEW)
        ret = append_submit(op, record);
    if (ret < 0)
        op_fail(op, NULL);
}

static void append_plan(struct op *op);

static void append_planned(struct op *op, struct outgoing *mail, void *arg, const struct fault *fault)
{
    struct append_state *st = op->state;
    (void) mail;
    (void) arg;
    st->planned++;
    if (fault)
        op_fail(op, fault);
    else if (st->planned < st->mails.n)
        op_again(op); /* many of them shall not nest */
    else
        append_go(op);
}

static void append_plan(struct op *op)
{
    struct append_state *st = op->state;
    const struct outgoing_plan plan = {.transport = MIME_TRANSPORT_8BIT, .stored = true};
    outgoing_plan(op, st->mails.list[st->planned], &plan, append_planned, NULL);
}

static int append_run(struct op *op)
{
    const struct append_state *st = op->state;
    if (st->mails.n == 0) /* parts that the server has all of */
        append_go(op);
    else
        append_plan(op);
    return OP_WAIT;
}

static void append_free(struct op *op)
{
    struct append_state *st = op->state;
    if (st->waiting)
        idempotency_wait_cancel(&st->waiter);
    mails_done(&st->mails);
}

const struct op_handler imap_append_handler = {
    .state_size = sizeof(struct append_state), .prepare = append_prepare, .run = append_run, .free = append_free};
const struct op_handler imap_replace_handler = {
    .state_size = sizeof(struct append_state), .prepare = append_prepare, .run = append_run, .free = append_free};
