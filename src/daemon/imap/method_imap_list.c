/* SPDX-License-Identifier: MIT */
/* imap.list, lsub, get_dirs, get_subscribed_dirs. A plain list is passed on as it comes. Where more is told of each mailbox than
 * LIST does, the list is gathered first: from an extended LIST as far as the server offers that, and for the rest from commands
 * for each mailbox. */
#include "method_imap.h"

#include "imap_mailbox.h"
#include "method_imap_told.h"
#include "methods.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LIST_NAME_MAX 65536u
#define GATHERED_MAX (32u * 1024 * 1024)
#define ASKING_MAX 16 /* commands for single mailboxes in flight */

struct told {
    struct told *next;
    struct slice text;
};

/* A mailbox of a list that is gathered; all of it lives in the arena. */
struct entry {
    struct hash_node node;
    struct entry *next;
    struct slice name; /* UTF-8 */
    struct imap_list_data data;
    struct slice status, rights; /* data NULL: not told */
    struct told *metadata;
};

/* What is asked of one mailbox after the other. */
enum question { ASK_STATUS = 0, ASK_RIGHTS, ASK_METADATA, N_QUESTIONS };

struct list_call {
    struct imap_call call;
    struct imap_json json;
    bool listed, inbox; /* begun; INBOX was among them */
    struct slice under; /* only what lies below it; data NULL: all */
    char *pattern;

    /* What is wanted besides. */
    bool gather, with_status, with_rights, with_metadata;
    unsigned select, tell;
    struct slice own_pattern;
    struct rpc_strings patterns, status, metadata; /* patterns: those behind the first */
    struct imap_list_options options; /* of the command under way */
    bool only_special; /* the server does not choose: this side does */
    size_t next_pattern;
    struct arena arena;
    struct hash_table table;
    struct entry *first, **last, *asked;
    enum question question;
    bool asks[N_QUESTIONS];
    struct {
        struct imap_command command;
        struct entry *entry; /* NULL: free */
    } asking[ASKING_MAX];
};

static struct list_call *list_of(struct imap_call *call)
{
    return container_of(call, struct list_call, call);
}

static void list_begin(struct list_call *l, struct op *op)
{
    if (!l->listed) {
        json_write_object_begin(&op->w);
        op_list_begin(op, "mailboxes");
    }
    l->listed = l->call.given_away = true;
}

/* RFC 6154's attributes, and RFC 8457's. */
static struct slice special_use(struct slice attributes)
{
    static const struct slice uses[] = {SLICE("\\All"),   SLICE("\\Archive"), SLICE("\\Drafts"),   SLICE("\\Flagged"),
                                        SLICE("\\Junk"),  SLICE("\\Sent"),    SLICE("\\Trash"),    SLICE("\\Important")};
    while (attributes.len) {
        struct slice word = imap_word_next(&attributes);
        for (size_t i = 0; i < ARRAY_LEN(uses); i++)
            if (slice_eq_ci(word, uses[i]))
                return uses[i];
    }
    return SLICE_EMPTY;
}

static bool has_attribute(struct slice attributes, struct slice name)
{
    while (attributes.len)
        if (slice_eq_ci(imap_word_next(&attributes), name))
            return true;
    return false;
}

/* The name in UTF-8, in the arena of the list or in `decoded`. */
static int decode_name(struct list_call *l, const struct imap_value *name, struct buffer *decoded, struct slice *ret)
{
    struct slice wire;
    bool odd;
    buffer_clear(&l->json.scratch);
    int got = imap_value_text(name, &l->json.scratch, &wire);
    if (got == 0)
        got = imap_mailbox_take(wire, l->json.utf8_names, decoded, &odd);
    if (got == 0)
        *ret = buffer_len(decoded) ? buffer_slice(decoded) : SLICE("");
    return got;
}

/* Whether the name lies below `under`, by the delimiter that the server tells with it. */
static bool is_under(struct list_call *l, const struct imap_list_data *d)
{
    struct buffer decoded;
    struct slice delimiter, name;
    bool found = false;
    if (!l->under.data)
        return true;
    buffer_init(&decoded, LIST_NAME_MAX);
    if (decode_name(l, &d->name, &decoded, &name) == 0) {
        buffer_clear(&l->json.scratch);
        found = imap_value_text(&d->delimiter, &l->json.scratch, &delimiter) == 0 && delimiter.len == 1 &&
                name.len > l->under.len && imap_mailbox_eq(slice_to(name, l->under.len), l->under) &&
                name.data[l->under.len] == delimiter.data[0];
    }
    buffer_done(&decoded);
    return found;
}

/* --- the answer --- */

/* mbox-list-extended: CHILDINFO and OLDNAME (RFC 5258, 9051). */
static void write_extended(struct list_call *l, struct json_writer *w, struct slice extended)
{
    struct imap_value name, value, one;
    bool had_child = false, had_old = false;
    while (imap_value_next(&extended, &name) > 0 && imap_value_next(&extended, &value) > 0) {
        bool child = slice_eq_ci(name.bytes, SLICE("CHILDINFO")), old = slice_eq_ci(name.bytes, SLICE("OLDNAME"));
        if (value.type != IMAP_LIST || (child ? had_child : old ? had_old : true))
            continue;
        if (child) {
            json_write_key(w, "child_info");
            json_write_array_begin(w);
            while (imap_value_next(&value.bytes, &one) > 0)
                if (imap_value_is_string(&one))
                    json_write_string(w, one.bytes);
            json_write_array_end(w);
        } else if (imap_value_next(&value.bytes, &one) > 0 && imap_value_is_string(&one)) {
            json_write_key(w, "old_name");
            if (imap_json_mailbox(&l->json, w, &one) < 0)
                json_write_null(w);
        }
        had_child = had_child || child;
        had_old = had_old || old;
    }
}

/* The members that LIST itself tells. <0: it cannot be understood. */
static int write_mailbox(struct list_call *l, struct json_writer *w, const struct imap_list_data *d)
{
    struct slice delimiter;
    json_write_key(w, "name");
    int ret = imap_json_mailbox(&l->json, w, &d->name);
    buffer_clear(&l->json.scratch);
    if (ret == 0)
        ret = imap_value_text(&d->delimiter, &l->json.scratch, &delimiter);
    if (ret < 0)
        return ret;
    json_write_key(w, "delimiter");
    json_write_string_or_null(w, delimiter);
    json_write_key(w, "attributes");
    imap_json_flags(w, d->attributes);
    json_write_key(w, "special_use");
    json_write_string_or_null(w, special_use(d->attributes));
    write_extended(l, w, d->extended);
    return 0;
}

static void write_item(struct list_call *l, struct op *op, const struct imap_list_data *d, const struct entry *entry)
{
    op_item_begin(op);
    json_write_object_begin(&op->w);
    if (write_mailbox(l, &op->w, d) < 0) {
        op_item_drop(op);
        return;
    }
    if (l->with_status) {
        json_write_key(&op->w, "status");
        if (entry->status.data) {
            json_write_object_begin(&op->w);
            imap_write_status(op, entry->status, entry->name);
            json_write_object_end(&op->w);
        } else {
            json_write_null(&op->w);
        }
    }
    if (l->with_rights) {
        json_write_key(&op->w, "rights");
        json_write_string_or_null(&op->w, entry->rights);
    }
    if (l->with_metadata) {
        struct imap_names names;
        imap_names_init(&names);
        json_write_key(&op->w, "metadata");
        json_write_object_begin(&op->w);
        for (const struct told *t = entry->metadata; t; t = t->next)
            imap_told_pairs(&names, &op->w, t->text);
        json_write_object_end(&op->w);
        imap_names_done(&names);
    }
    json_write_object_end(&op->w);
    if (op_item_end(op) < 0)
        op_fail(op, NULL);
}

/* One that every account has, whatever the server lists. */
static void add_inbox(struct list_call *l, struct op *op)
{
    static const struct imap_list_data inbox = {.name = {IMAP_ATOM, {"INBOX", 5}, false}};
    const struct imap_command *c = &l->call.command;
    struct imap_quirks quirks = imap_client_quirks(imap_call_engine(&l->call));
    bool fits = slice_eq(c->other, SLICE("*")) || slice_eq(c->other, SLICE("%")) || slice_eq_ci(c->other, SLICE("INBOX"));
    if (imap_quirk_is_on(&quirks, IMAP_QUIRK_STRATO_INBOX) && op->id == RPC_IMAP_LIST && !l->gather && !l->inbox && fits &&
        !c->mailbox.len && !l->select)
        write_item(l, op, &inbox, NULL);
}

static void list_finish(struct imap_call *call, struct op *op)
{
    struct list_call *l = list_of(call);
    list_begin(l, op);
    add_inbox(l, op);
    for (const struct entry *e = l->first; e && !op_has_ended(op); e = e->next) {
        imap_json_reset(&l->json);
        if (!l->only_special || special_use(e->data.attributes).len)
            write_item(l, op, &e->data, e);
    }
    if (op_has_ended(op))
        return;
    op_list_end(op);
    json_write_object_end(&op->w);
    op_finish(op);
}

/* --- gathering --- */

static struct entry *find_entry(const struct list_call *l, struct slice name)
{
    for (struct hash_node *n = hash_table_find(&l->table, hash_slice(name)); n; n = hash_next(n))
        if (slice_eq(container_of(n, struct entry, node)->name, name))
            return container_of(n, struct entry, node);
    return NULL;
}

static int add_entry(struct list_call *l, struct slice text)
{
    struct buffer decoded;
    struct slice name = SLICE_EMPTY;
    struct entry *e = arena_alloc(&l->arena, sizeof(*e));
    int ret = e ? arena_dup_slice(&l->arena, text, &text) : -ENOMEM;
    if (ret < 0 || imap_list_parse(text, &e->data) < 0)
        return ret;
    buffer_init(&decoded, LIST_NAME_MAX);
    /* What no name can be made of is left out, as it is in a plain list. */
    bool is_new = decode_name(l, &e->data.name, &decoded, &name) == 0 && !find_entry(l, name);
    if (is_new)
        ret = arena_dup_slice(&l->arena, name, &e->name);
    buffer_done(&decoded);
    if (!is_new || ret < 0)
        return ret;
    ret = hash_table_insert(&l->table, hash_slice(e->name), &e->node);
    if (ret < 0)
        return ret;
    *l->last = e;
    l->last = &e->next;
    return 0;
}

/* The mailbox that STATUS, MYRIGHTS or METADATA is about; *text is what follows its name. */
static struct entry *entry_of(struct list_call *l, struct slice *text)
{
    struct buffer decoded;
    struct imap_value name;
    struct slice utf8;
    struct entry *found = NULL;
    if (imap_value_next(text, &name) <= 0 || name.type == IMAP_LIST)
        return NULL;
    if (name.type == IMAP_NIL)
        name.type = IMAP_ATOM;
    buffer_init(&decoded, LIST_NAME_MAX);
    if (decode_name(l, &name, &decoded, &utf8) == 0)
        found = find_entry(l, utf8);
    buffer_done(&decoded);
    return found;
}

static int take_told(struct list_call *l, const struct imap_response *r)
{
    struct slice text = r->text;
    struct imap_value v;
    struct entry *e = entry_of(l, &text);
    if (!e || imap_value_next(&text, &v) <= 0)
        return 0;
    if (r->data == IMAP_DATA_STATUS && v.type == IMAP_LIST && !e->status.data)
        return arena_dup_slice(&l->arena, v.bytes, &e->status);
    if (r->data == IMAP_DATA_MYRIGHTS && imap_value_is_string(&v) && !e->rights.data)
        return arena_dup_slice(&l->arena, v.bytes, &e->rights);
    if (r->data != IMAP_DATA_METADATA || v.type != IMAP_LIST)
        return 0;
    struct told *t = arena_alloc(&l->arena, sizeof(*t)), **end = &e->metadata;
    if (!t)
        return -ENOMEM;
    while (*end)
        end = &(*end)->next;
    *end = t;
    return arena_dup_slice(&l->arena, v.bytes, &t->text);
}

/* --- asking for each mailbox what LIST did not tell --- */

static bool next_question(struct list_call *l)
{
    for (; l->question < N_QUESTIONS; l->question++, l->asked = NULL) {
        if (!l->asks[l->question])
            continue;
        for (;;) {
            l->asked = l->asked ? l->asked->next : l->first;
            if (!l->asked)
                break;
            struct slice a = l->asked->data.attributes;
            if (!has_attribute(a, SLICE("\\Noselect")) && !has_attribute(a, SLICE("\\NonExistent")))
                return true;
        }
    }
    return false;
}

static void ask(struct list_call *l, size_t i)
{
    static const enum imap_kind kinds[N_QUESTIONS] = {IMAP_STATUS, IMAP_MYRIGHTS, IMAP_GETMETADATA};
    if (!next_question(l)) {
        l->asking[i].entry = NULL;
        return;
    }
    const struct rpc_strings *items = l->question == ASK_STATUS ? &l->status : &l->metadata;
    l->asking[i].entry = l->asked;
    l->asking[i].command = (struct imap_command){.kind = kinds[l->question], .mailbox = l->asked->name};
    if (l->question != ASK_RIGHTS) {
        l->asking[i].command.items = items->items;
        l->asking[i].command.n_items = items->n;
    }
    imap_call_command(&l->call, &l->asking[i].command, &l->call.fault);
}

/* The place of a question's command; -1: it is another one. */
static int place_of(const struct list_call *l, const struct engine_request *r)
{
    for (int i = 0; i < ASKING_MAX; i++)
        if (l->asking[i].entry && r == &l->asking[i].command.request)
            return i;
    return -1;
}

/* One mailbox of many that cannot be looked at has no status, and that is all. */
static bool list_refused(struct imap_call *call, const struct imap_event *e)
{
    return place_of(list_of(call), e->base.request) >= 0;
}

/* --- its course --- */

static int next_list(struct list_call *l, struct fault *fault)
{
    return imap_call_command(&l->call, &l->call.command, fault);
}

/* Further patterns where the server takes one at a time; then the questions. */
static void list_done(struct list_call *l)
{
    struct imap_call *call = &l->call;
    if (l->next_pattern < l->patterns.n && !l->options.n_patterns) {
        call->command.other = l->patterns.items[l->next_pattern++];
        next_list(l, &call->fault);
        return;
    }
    for (size_t i = 0; i < ASKING_MAX && !fault_is_set(&call->fault); i++)
        ask(l, i);
}

static void list_event(struct imap_call *call, const struct imap_event *e)
{
    struct list_call *l = list_of(call);
    struct op *op = call->ox.op;
    struct imap_list_data d;
    if (!op || op_has_ended(op))
        return;
    if (e->base.type == ENGINE_EVENT_DONE) {
        int place = place_of(l, e->base.request);
        if (e->base.request == &call->refresh.request)
            next_list(l, &call->fault);
        else if (place >= 0)
            ask(l, (size_t) place);
        else if (l->gather)
            list_done(l);
        return;
    }
    if (e->base.type != ENGINE_EVENT_REPLY || e->fetch.is_fetch)
        return;
    bool is_list = e->response.data == IMAP_DATA_LIST || e->response.data == IMAP_DATA_LSUB;
    imap_json_reset(&l->json);
    l->json.utf8_names = imap_client_utf8(imap_call_engine(call));
    if (l->gather) {
        int ret = is_list ? add_entry(l, e->response.text) : take_told(l, &e->response);
        if (ret < 0)
            fault_set(&call->fault, ret, FAULT_LIMIT, "list", "the list is too long to be gathered");
        return;
    }
    if (!is_list || imap_list_parse(e->response.text, &d) < 0)
        return;
    l->inbox = l->inbox || slice_eq_ci(d.name.bytes, SLICE("INBOX"));
    list_begin(l, op);
    if (is_under(l, &d))
        write_item(l, op, &d, NULL);
}

/* What of it the server does by itself. */
static void choose(struct list_call *l, const struct engine *e)
{
    bool extended = imap_client_has(e, IMAP_CAP_LIST_EXTENDED), subscribed = l->select == IMAP_LIST_SUBSCRIBED && !extended;
    struct imap_list_options *o = &l->options;
    *o = (struct imap_list_options){.select = l->select, .tell = l->tell};
    l->call.command.list = NULL;
    l->only_special = false;
    if (l->call.command.kind == IMAP_LSUB && !l->select)
        return;
    l->call.command.kind = subscribed ? IMAP_LSUB : IMAP_LIST_COMMAND;
    if (subscribed)
        o->select = 0;
    if (!extended && imap_client_has(e, IMAP_CAP_SPECIAL_USE)) { /* told without being asked for */
        l->only_special = o->select & IMAP_LIST_SPECIAL_USE;
        o->select &= ~(unsigned) IMAP_LIST_SPECIAL_USE;
        o->tell &= ~(unsigned) IMAP_LIST_SPECIAL_USE;
    }
    if (!extended && imap_client_has(e, IMAP_CAP_CHILDREN))
        o->tell &= ~(unsigned) IMAP_LIST_CHILDREN;
    if (extended && l->patterns.n) {
        o->patterns = l->patterns.items;
        o->n_patterns = l->patterns.n;
    }
    bool status = imap_client_has(e, IMAP_CAP_LIST_STATUS) && extended, metadata = imap_client_has(e, IMAP_CAP_LIST_METADATA) && extended;
    o->status = l->status.items;
    o->n_status = status ? l->status.n : 0;
    o->metadata = l->metadata.items;
    o->n_metadata = metadata ? l->metadata.n : 0;
    if (imap_client_has(e, IMAP_CAP_LIST_MYRIGHTS) && extended)
        o->tell |= l->with_rights ? IMAP_LIST_MYRIGHTS : 0;
    l->asks[ASK_STATUS] = l->with_status && !status;
    l->asks[ASK_RIGHTS] = l->with_rights && !(o->tell & IMAP_LIST_MYRIGHTS);
    l->asks[ASK_METADATA] = l->with_metadata && !metadata;
    if (!o->select && !o->tell && !o->n_patterns && !o->n_status && !o->n_metadata)
        return;
    /* What a plain LIST tells without being asked, an extended one tells only so. */
    if (extended && imap_client_has(e, IMAP_CAP_SPECIAL_USE))
        o->tell |= IMAP_LIST_SPECIAL_USE;
    if (extended && imap_client_has(e, IMAP_CAP_CHILDREN))
        o->tell |= IMAP_LIST_CHILDREN;
    l->call.command.list = o;
}

static int list_start(struct imap_call *call, struct fault *fault)
{
    struct list_call *l = list_of(call);
    struct imap_mailbox_state box;
    const struct engine *e = imap_call_engine(call);
    choose(l, e);
    if (l->asks[ASK_RIGHTS] && !imap_client_has(e, IMAP_CAP_ACL))
        return fault_set(fault, -ENOTSUP, FAULT_MISSING_EXTENSION, "list", "the server offers neither LIST-MYRIGHTS nor ACL");
    if (l->asks[ASK_METADATA] && !imap_client_has(e, IMAP_CAP_METADATA))
        return fault_set(fault, -ENOTSUP, FAULT_MISSING_EXTENSION, "list", "the server offers neither LIST-METADATA nor METADATA");
    if (l->gather) {
        hash_table_done(&l->table);
        arena_done(&l->arena);
        hash_table_init(&l->table);
        arena_init(&l->arena, GATHERED_MAX);
        l->first = l->asked = NULL;
        l->last = &l->first;
        l->question = ASK_STATUS;
        l->next_pattern = 0;
        call->command.other = l->own_pattern;
        memset(l->asking, 0, sizeof(l->asking));
    }
    /* A mailbox that is selected is counted as it was when it was last looked at. */
    imap_client_selected(e, &box);
    return l->with_status && box.selected && !call->in_session ? imap_call_refresh(call, fault) : next_list(l, fault);
}

static void list_dispose(struct imap_call *call)
{
    struct list_call *l = list_of(call);
    imap_json_done(&l->json);
    hash_table_done(&l->table);
    arena_done(&l->arena);
    free(l->pattern);
}

static const struct imap_call_ops list_ops = {.name = "imap.list",
                                              .begin = list_start,
                                              .event = list_event,
                                              .finish = list_finish,
                                              .dispose = list_dispose,
                                              .refused = list_refused};

/* --- parameters --- */

/* Everything below a path: asked for by its beginning, since the delimiter is not known before the answer. */
static int take_dirs(struct op *op, struct list_call *l)
{
    const struct api_imap_dirs_params *p = op->params;
    l->call.command.mailbox = SLICE_EMPTY;
    l->call.command.other = SLICE("*");
    if (op->id != RPC_IMAP_GET_DIRS || !p->path.len)
        return 0;
    l->under = p->path;
    l->pattern = malloc(p->path.len + 1);
    if (!l->pattern)
        return op_refuse(op, FAULT_LIMIT, "out of memory");
    memcpy(l->pattern, p->path.data, p->path.len);
    l->pattern[p->path.len] = '*';
    l->call.command.other = slice_of(l->pattern, p->path.len + 1);
    return 0;
}

static unsigned take_bits(const struct rpc_strings *names)
{
    static const struct {
        struct slice name;
        unsigned bit;
    } bits[] = {
        {SLICE("SUBSCRIBED"), IMAP_LIST_SUBSCRIBED},         {SLICE("REMOTE"), IMAP_LIST_REMOTE},
        {SLICE("RECURSIVEMATCH"), IMAP_LIST_RECURSIVEMATCH}, {SLICE("SPECIAL-USE"), IMAP_LIST_SPECIAL_USE},
        {SLICE("CHILDREN"), IMAP_LIST_CHILDREN},             {SLICE("MYRIGHTS"), IMAP_LIST_MYRIGHTS},
    };
    unsigned found = 0;
    for (size_t i = 0; i < names->n; i++)
        for (size_t k = 0; k < ARRAY_LEN(bits); k++)
            if (slice_eq_ci(names->items[i], bits[k].name))
                found |= bits[k].bit;
    return found;
}

static void take_extended(struct list_call *l, const struct api_imap_list_params *p)
{
    l->select = take_bits(&p->selection);
    l->tell = take_bits(&p->returns) & ~(unsigned) IMAP_LIST_MYRIGHTS;
    l->patterns = p->patterns;
    l->status = p->status;
    l->metadata = p->metadata;
    l->with_status = p->status.n > 0;
    l->with_metadata = p->metadata.n > 0;
    l->with_rights = take_bits(&p->returns) & IMAP_LIST_MYRIGHTS;
    l->gather = l->with_status || l->with_metadata || l->with_rights || l->patterns.n || (l->select & IMAP_LIST_SPECIAL_USE);
    if (l->patterns.n) { /* the first is the command's own */
        l->call.command.other = l->patterns.items[0];
        l->patterns.items++;
        l->patterns.n--;
    }
}

static int list_run(struct op *op)
{
    const struct api_imap_list_params *p = op->params;
    bool dirs = op->id == RPC_IMAP_GET_DIRS || op->id == RPC_IMAP_GET_SUBSCRIBED_DIRS;
    struct list_call *l = imap_call_new(op, sizeof(*l), &list_ops);
    imap_json_init(&l->json);
    hash_table_init(&l->table);
    arena_init(&l->arena, GATHERED_MAX);
    bool subscribed = op->id == RPC_IMAP_LSUB || op->id == RPC_IMAP_GET_SUBSCRIBED_DIRS;
    l->call.command.kind = subscribed ? IMAP_LSUB : IMAP_LIST_COMMAND;
    l->call.ox.x.reads_only = true;
    if (dirs) {
        int ret = take_dirs(op, l);
        if (ret < 0)
            return imap_call_drop(&l->call, ret);
    } else {
        l->call.command.mailbox = p->reference;
        l->call.command.other = p->pattern;
    }
    if (op->id == RPC_IMAP_LIST)
        take_extended(l, p);
    l->own_pattern = l->call.command.other;
    return imap_call_submit(&l->call);
}

const struct op_handler imap_list_handler = {.run = list_run};
