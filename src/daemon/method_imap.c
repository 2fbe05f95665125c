/* SPDX-License-Identifier: MIT */
/* imap.open, logout, noop, list, status, select, examine, search. */
#include "method_imap.h"

#include "imap_mailbox.h"
#include "methods.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- sessions --- */

static void opened(struct op *op, struct op_session *s, struct session *net)
{
    const struct api_open_params *p = op->params;
    s->readonly = p->readonly;
    json_write_object_begin(&op->w);
    json_write_member_str(&op->w, "session", s->id);
    json_write_key(&op->w, "capabilities");
    imap_json_flags(&op->w, imap_client_capabilities(session_engine(net)));
    json_write_member_string(&op->w, "greeting", imap_client_greeting(session_engine(net)));
    json_write_object_end(&op->w);
    op_finish(op);
}

static int open_run(struct op *op)
{
    const struct api_open_params *p = op->params;
    int ret = op_session_open(op, PROTOCOL_IMAP, p->login, opened);
    return ret < 0 ? ret : OP_WAIT;
}

const struct op_handler imap_open_handler = {.run = open_run};

static int logout_run(struct op *op)
{
    op_session_end(op->session, true);
    json_write_object_begin(&op->w);
    json_write_object_end(&op->w);
    return OP_DONE;
}

const struct op_handler imap_logout_handler = {.run = logout_run};

/* --- commands with an empty result --- */

static int begin_command(struct imap_call *call, struct fault *fault)
{
    return imap_call_command(call, &call->command, fault);
}

static void no_event(struct imap_call *call, const struct imap_event *event)
{
    (void) call;
    (void) event;
}

static void finish_empty(struct imap_call *call, struct op *op)
{
    (void) call;
    json_write_object_begin(&op->w);
    json_write_object_end(&op->w);
    op_finish(op);
}

static const struct imap_call_ops noop_ops = {"imap.noop", begin_command, no_event, finish_empty, NULL};

static int noop_run(struct op *op)
{
    struct imap_call *call = imap_call_new(op, sizeof(*call), &noop_ops);
    call->command.kind = IMAP_NOOP;
    call->ox.x.reads_only = true;
    return imap_call_submit(call);
}

const struct op_handler imap_noop_handler = {.run = noop_run};

/* --- list, lsub, get_dirs, get_subscribed_dirs --- */

#define LIST_NAME_MAX 65536u

struct list_call {
    struct imap_call call;
    struct imap_json json;
    bool listed;
    struct slice under; /* only what lies below it; data NULL: all */
    char *pattern;
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

/* Whether the name lies below `under`, by the delimiter that the server tells with it. */
static bool is_under(struct list_call *l, const struct imap_list_data *d)
{
    struct buffer decoded;
    struct slice wire, delimiter, name;
    bool odd, found = false;
    if (!l->under.data)
        return true;
    buffer_init(&decoded, LIST_NAME_MAX);
    buffer_clear(&l->json.scratch);
    if (imap_value_text(&d->name, &l->json.scratch, &wire) == 0 && imap_mailbox_decode(wire, &decoded, &odd) == 0) {
        name = buffer_slice(&decoded);
        buffer_clear(&l->json.scratch);
        found = imap_value_text(&d->delimiter, &l->json.scratch, &delimiter) == 0 && delimiter.len == 1 &&
                name.len > l->under.len && imap_mailbox_eq(slice_to(name, l->under.len), l->under) &&
                name.data[l->under.len] == delimiter.data[0];
    }
    buffer_done(&decoded);
    return found;
}

static void list_event(struct imap_call *call, const struct imap_event *e)
{
    struct list_call *l = list_of(call);
    struct op *op = call->ox.op;
    struct imap_list_data d;
    struct slice delimiter;
    if (!op || e->base.type != ENGINE_EVENT_REPLY || imap_list_parse(e->response.text, &d) < 0)
        return;
    list_begin(l, op);
    imap_json_reset(&l->json);
    if (!is_under(l, &d))
        return;
    op_item_begin(op);
    json_write_object_begin(&op->w);
    json_write_key(&op->w, "name");
    int ret = imap_json_mailbox(&l->json, &op->w, &d.name);
    buffer_clear(&l->json.scratch);
    if (ret == 0)
        ret = imap_value_text(&d.delimiter, &l->json.scratch, &delimiter);
    if (ret < 0) {
        op_item_drop(op);
        return;
    }
    json_write_key(&op->w, "delimiter");
    json_write_string_or_null(&op->w, delimiter);
    json_write_key(&op->w, "attributes");
    imap_json_flags(&op->w, d.attributes);
    json_write_key(&op->w, "special_use");
    json_write_string_or_null(&op->w, special_use(d.attributes));
    json_write_object_end(&op->w);
    if (op_item_end(op) < 0)
        op_fail(op, NULL);
}

static void list_finish(struct imap_call *call, struct op *op)
{
    list_begin(list_of(call), op);
    op_list_end(op);
    json_write_object_end(&op->w);
    op_finish(op);
}

static void list_dispose(struct imap_call *call)
{
    imap_json_done(&list_of(call)->json);
    free(list_of(call)->pattern);
}

static const struct imap_call_ops list_ops = {"imap.list", begin_command, list_event, list_finish, list_dispose};

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

static int list_run(struct op *op)
{
    const struct api_imap_list_params *p = op->params;
    bool dirs = op->id == RPC_IMAP_GET_DIRS || op->id == RPC_IMAP_GET_SUBSCRIBED_DIRS;
    struct list_call *l = imap_call_new(op, sizeof(*l), &list_ops);
    imap_json_init(&l->json);
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
    return imap_call_submit(&l->call);
}

const struct op_handler imap_list_handler = {.run = list_run};

/* --- status --- */

struct status_call {
    struct imap_call call;
    struct slice name;
    bool answered;
};

static void write_status_items(struct op *op, struct slice items, struct slice mailbox)
{
    struct slice name;
    struct imap_value value;
    char lower[64];
    while (imap_status_next(&items, &name, &value) > 0) {
        uint64_t n;
        if (name.len > sizeof(lower))
            continue;
        for (size_t i = 0; i < name.len; i++)
            lower[i] = ascii_lower(name.data[i]);
        json_write_key_slice(&op->w, slice_of(lower, name.len));
        if (!imap_value_number(&value, UINT64_MAX, &n)) {
            /* MAILBOXID is a text in parentheses; anything else that is no number is not known. */
            json_write_string_or_null(&op->w, value.type == IMAP_LIST ? value.bytes : SLICE_EMPTY);
            continue;
        }
        json_write_uint(&op->w, n);
        if (slice_eq_ci(name, SLICE("UIDVALIDITY")) && n > 0 && n <= UINT32_MAX)
            op_uidvalidity_remember(op, mailbox, (uint32_t) n);
    }
}

/* Where the mailbox happens to be selected, servers count what that shows: it must be looked at anew first. */
static int status_begin(struct imap_call *call, struct fault *fault)
{
    struct imap_mailbox_state box;
    imap_client_selected(imap_call_engine(call), &box);
    if (box.selected && !call->in_session && imap_mailbox_eq(box.mailbox, call->command.mailbox))
        return imap_call_refresh(call, fault);
    return imap_call_command(call, &call->command, fault);
}

static void status_event(struct imap_call *call, const struct imap_event *e)
{
    struct status_call *s = container_of(call, struct status_call, call);
    struct op *op = call->ox.op;
    struct imap_value name;
    struct slice items;
    if (e->base.type == ENGINE_EVENT_DONE && e->base.request == &call->refresh.request) {
        imap_call_command(call, &call->command, &call->fault);
        return;
    }
    if (!op || e->base.type != ENGINE_EVENT_REPLY || s->answered || imap_status_parse(e->response.text, &name, &items) < 0)
        return;
    s->answered = call->given_away = true;
    json_write_object_begin(&op->w);
    json_write_member_string(&op->w, "mailbox", s->name);
    write_status_items(op, items, s->name);
    json_write_object_end(&op->w);
}

static void status_finish(struct imap_call *call, struct op *op)
{
    struct status_call *s = container_of(call, struct status_call, call);
    if (!s->answered) {
        fault_set(&op->fault, -EPROTO, FAULT_PROTOCOL, "status", "the server says OK and tells nothing of the mailbox");
        op_fail(op, NULL);
        return;
    }
    op_finish(op);
}

static const struct imap_call_ops status_ops = {"imap.status", status_begin, status_event, status_finish, NULL};

static int status_run(struct op *op)
{
    static const struct slice usual[] = {SLICE("MESSAGES"), SLICE("UNSEEN"), SLICE("RECENT"), SLICE("UIDNEXT"),
                                         SLICE("UIDVALIDITY")};
    const struct api_imap_status_params *p = op->params;
    struct status_call *s = imap_call_new(op, sizeof(*s), &status_ops);
    s->name = p->mailbox;
    s->call.command.kind = IMAP_STATUS;
    s->call.command.mailbox = p->mailbox;
    s->call.command.items = p->items.n ? p->items.items : usual;
    s->call.command.n_items = p->items.n ? p->items.n : ARRAY_LEN(usual);
    s->call.ox.x.reads_only = true;
    return imap_call_submit(&s->call);
}

const struct op_handler imap_status_handler = {.run = status_run};

/* --- select, examine --- */

static int select_begin(struct imap_call *call, struct fault *fault)
{
    return imap_call_command(call, &call->command, fault);
}

/* What the server has not told is left out. */
static void write_number(struct op *op, const char *key, uint64_t n)
{
    if (n)
        json_write_member_uint(&op->w, key, n);
}

/* The picture is that of the moment of the answer: written then, since more may come before the end. */
static void select_event(struct imap_call *call, const struct imap_event *e)
{
    struct op *op = call->ox.op;
    struct imap_mailbox_state box;
    if (!op || e->base.type != ENGINE_EVENT_DONE)
        return;
    imap_client_selected(imap_call_engine(call), &box);
    json_write_object_begin(&op->w);
    json_write_member_string(&op->w, "mailbox", box.mailbox);
    json_write_member_uint(&op->w, "exists", box.exists);
    json_write_member_uint(&op->w, "recent", box.recent);
    json_write_key(&op->w, "flags");
    imap_json_flags(&op->w, box.flags);
    json_write_key(&op->w, "permanentflags");
    imap_json_flags(&op->w, box.permanentflags);
    write_number(op, "uidvalidity", box.uidvalidity);
    write_number(op, "uidnext", box.uidnext);
    write_number(op, "highestmodseq", box.highestmodseq);
    json_write_member_bool(&op->w, "readonly", box.readonly);
    json_write_object_end(&op->w);
    if (box.uidvalidity)
        op_uidvalidity_remember(op, box.mailbox, box.uidvalidity);
}

static void select_finish(struct imap_call *call, struct op *op)
{
    (void) call;
    op_finish(op);
}

static const struct imap_call_ops select_ops = {"imap.select", select_begin, select_event, select_finish, NULL};

static int select_run(struct op *op)
{
    const struct api_imap_select_params *p = op->params;
    struct imap_call *call = imap_call_new(op, sizeof(*call), &select_ops);
    bool readonly = op->id == RPC_IMAP_EXAMINE || p->readonly || op->session->readonly || !(op->rights & RIGHT_WRITE);
    call->command.kind = readonly ? IMAP_EXAMINE : IMAP_SELECT;
    call->command.mailbox = p->mailbox;
    return imap_call_submit(call);
}

const struct op_handler imap_select_handler = {.run = select_run};
const struct op_handler imap_examine_handler = {.run = select_run};

/* --- search --- */

struct search_call {
    struct imap_call call;
    struct imap_term *terms;
    struct imap_set found;      /* ESEARCH's */
    struct buffer numbers;      /* SEARCH's, as text: in the server's order */
    bool esearch;
};

static struct search_call *search_of(struct imap_call *call)
{
    return container_of(call, struct search_call, call);
}

#define SEARCH_TEXT_MAX (8u * 1024 * 1024)

static void search_event(struct imap_call *call, const struct imap_event *e)
{
    struct search_call *s = search_of(call);
    struct imap_esearch found;
    int ret = 0;
    if (e->base.type != ENGINE_EVENT_REPLY)
        return;
    if (e->response.data == IMAP_DATA_ESEARCH) {
        ret = imap_esearch_parse(e->response.text, &found);
        if (ret == 0 && found.all.len)
            ret = imap_set_parse(&s->found, found.all);
        s->esearch = true;
    } else if (e->response.data == IMAP_DATA_SEARCH) {
        ret = buffer_append_char(&s->numbers, ' ');
        if (ret == 0)
            ret = buffer_append_slice(&s->numbers, e->response.text);
    }
    if (ret < 0)
        fault_set(&call->fault, ret, ret == -ENOMEM ? FAULT_INTERNAL : FAULT_PROTOCOL, "search",
                  "the server's list of results cannot be understood");
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

static int write_found(struct search_call *s, struct op *op)
{
    struct slice rest = buffer_slice(&s->numbers);
    uint32_t n;
    int got;
    for (;;) {
        while ((got = imap_search_next(&rest, &n)) > 0)
            if (!write_one(op, n))
                return 0;
        if (got != 0 || rest.len == 0)
            break;
        struct imap_value modseq; /* "(MODSEQ 5)"; another line's numbers may follow */
        if (imap_value_next(&rest, &modseq) <= 0)
            return -EBADMSG;
    }
    for (size_t i = 0; i < s->found.n; i++)
        for (uint64_t u = s->found.ranges[i].first; u <= s->found.ranges[i].last; u++)
            if (!write_one(op, u))
                return 0;
    return got;
}

static void search_finish(struct imap_call *call, struct op *op)
{
    struct search_call *s = search_of(call);
    call->given_away = true;
    json_write_object_begin(&op->w);
    if (!call->command.numbers)
        imap_call_write_mailbox(call, op, false);
    op_list_begin(op, call->command.numbers ? "numbers" : "uids");
    int ret = write_found(s, op);
    op_list_end(op);
    json_write_object_end(&op->w);
    if (ret < 0) {
        fault_set(&op->fault, ret, FAULT_PROTOCOL, "search", "the server's list of results cannot be understood");
        op_fail(op, NULL);
        return;
    }
    op_finish(op);
}

static void search_dispose(struct imap_call *call)
{
    struct search_call *s = search_of(call);
    imap_set_done(&s->found);
    buffer_done(&s->numbers);
    free(s->terms);
}

static int search_begin(struct imap_call *call, struct fault *fault)
{
    struct search_call *s = search_of(call);
    imap_set_clear(&s->found);
    buffer_clear(&s->numbers);
    return imap_call_command(call, &call->command, fault);
}

static const struct imap_call_ops search_ops = {"imap.search", search_begin, search_event, search_finish, search_dispose};

static int take_query(struct op *op, struct search_call *s, const struct rpc_terms *query)
{
    struct imap_command *c = &s->call.command;
    c->text = query->text.data ? query->text : SLICE_EMPTY;
    if (!query->given || (!query->text.data && query->n == 0) || (query->text.data && slice_trim(query->text).len == 0)) {
        c->text = SLICE("NEW");
        return 0;
    }
    if (query->text.data)
        return 0;
    s->terms = calloc(query->n, sizeof(*s->terms));
    if (!s->terms)
        return op_refuse(op, FAULT_LIMIT, "out of memory");
    for (size_t i = 0; i < query->n; i++) {
        const struct rpc_term *t = &query->items[i];
        s->terms[i].kind = t->kind == RPC_TERM_OPEN    ? IMAP_TERM_OPEN
                           : t->kind == RPC_TERM_CLOSE ? IMAP_TERM_CLOSE
                                                       : IMAP_TERM_WORD;
        s->terms[i].text = t->text;
    }
    c->terms = s->terms;
    c->n_terms = query->n;
    return 0;
}

static int search_run(struct op *op)
{
    const struct api_imap_search_params *p = op->params;
    struct search_call *s = imap_call_new(op, sizeof(*s), &search_ops);
    imap_set_init(&s->found, IMAP_CALL_RANGES_MAX);
    buffer_init(&s->numbers, SEARCH_TEXT_MAX);
    s->call.command.kind = IMAP_SEARCH;
    s->call.command.numbers = p->numbers;
    s->call.ox.x.reads_only = true;
    s->call.wants_fresh = true;
    int ret = take_query(op, s, &p->query);
    if (ret == 0)
        ret = imap_call_take_mailbox(op, &s->call, p->mailbox, &p->uidvalidity, false);
    return ret < 0 ? imap_call_drop(&s->call, ret) : imap_call_submit(&s->call);
}

const struct op_handler imap_search_handler = {.run = search_run};
