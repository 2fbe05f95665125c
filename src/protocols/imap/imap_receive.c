/* SPDX-License-Identifier: MIT */
/* What comes from the server: units out of the reader, each to whom it belongs. */
#include "imap_internal.h"

#include "imap_mailbox.h"

#include <errno.h>
#include <stdlib.h>

/* --- units --- */

/* "* 12 FETCH (": whether that is how it begins. */
static bool is_fetch(struct slice line)
{
    uint64_t n;
    struct slice rest = slice_from(line, 2);
    return slice_starts(line, SLICE("* ")) && imap_number_next(&rest, UINT32_MAX, &n) &&
           (slice_starts_ci(rest, SLICE(" FETCH (")) || slice_starts_ci(rest, SLICE(" UIDFETCH (")));
}

/* Only data holds literals; a text that ends with "{5}" is a text. */
static bool holds_literals(struct slice line)
{
    static const struct slice texts[] = {SLICE("* OK"), SLICE("* NO"), SLICE("* BAD"), SLICE("* BYE"), SLICE("* PREAUTH")};
    if (!slice_starts(line, SLICE("* ")))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (slice_starts_ci(line, texts[i]) && (line.len == texts[i].len || line.data[texts[i].len] == ' '))
            return false;
    return true;
}

/* The literal at the end of the line is a section of the message: "BODY[…] {n}". What stands in earlier literals of the
 * unit, up to `joined_to`, cannot be the name. */
static bool is_section_literal(struct slice line, size_t joined_to, size_t announcement)
{
    static const struct slice names[] = {SLICE("RFC822"), SLICE("RFC822.TEXT"), SLICE("RFC822.HEADER")};
    size_t end = line.len - announcement;
    if (end < joined_to + 3 || line.data[end - 1] != ' ')
        return false;
    struct slice before = slice_of(line.data + joined_to, end - 1 - joined_to);
    char last = before.data[before.len - 1];
    if (last == ']' || last == '>')
        return true;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (before.len <= names[i].len)
            continue;
        struct slice tail = slice_from(before, before.len - names[i].len - 1);
        if ((tail.data[0] == ' ' || tail.data[0] == '(') && slice_eq_ci(slice_from(tail, 1), names[i]))
            return true;
    }
    return false;
}

/* Whether what stands behind a literal can stand there. If not, the literal was longer or shorter than it said, and nothing
 * that comes can be told from what a message says. `ends`: the response ends here. */
static bool fits_behind_literal(struct slice text, bool fetch, bool ends)
{
    struct slice trimmed = slice_trim(text);
    if (text.len > 0 && text.data[0] != ' ' && text.data[0] != ')')
        return false;
    return !fetch || !ends || (trimmed.len > 0 && trimmed.data[trimmed.len - 1] == ')');
}

/* 1: *ret is a unit; *ret_stream: its last literal is not in it, its `literal_left` bytes follow. */
static int next_unit(struct imap_client *c, struct slice *ret, bool *ret_stream)
{
    uint64_t max = c->config->max_literal ? c->config->max_literal : IMAP_LITERAL_MAX, n;
    size_t len;
    for (;;) {
        int got = reader_line(&c->reader, ret);
        if (got < 0)
            return imap_fail_io(c, got);
        if (got == 0)
            return 0;
        size_t joined_to = c->joined_at ? c->joined_at + (ret->data[c->joined_at] == '\r' ? 2 : 1) + c->joined_len : 0;
        int literal = c->in_fetch || holds_literals(*ret) ? imap_literal_at_end(*ret, max, &n, &len) : 0;
        if (literal < 0)
            return imap_fail(c, literal, FAULT_PROTOCOL, "a literal larger than allowed, or of no size");
        *ret_stream = literal > 0 && n > IMAP_JOIN_MAX && (c->in_fetch || is_fetch(*ret)) &&
                      is_section_literal(*ret, joined_to, len);
        if ((joined_to || c->in_fetch) &&
            !fits_behind_literal(slice_from(*ret, joined_to), c->in_fetch || is_fetch(*ret), literal == 0))
            return imap_fail(c, -EPROTO, FAULT_PROTOCOL, "a literal was longer or shorter than announced");
        if (literal == 0 || *ret_stream) {
            c->joined_at = 0;
            c->literal_left = *ret_stream ? n : 0;
            return 1;
        }
        c->joined_at = ret->len;
        got = reader_join(&c->reader, n);
        if (got < 0)
            return imap_fail_io(c, got);
        c->joined_len = (size_t) n; /* what is joined fits a unit */
    }
}

/* --- events --- */

static struct imap_event *event(struct imap_client *c, enum engine_event_type type, struct imap_command *cmd)
{
    c->event = (struct imap_event){.base = {.type = type, .request = cmd ? &cmd->request : NULL}, .raw = c->unit};
    return &c->event;
}

/* The first command that was written and is not answered. */
static struct imap_command *head(const struct imap_client *c)
{
    struct engine_request *r;
    list_foreach (&c->engine.requests, r, struct engine_request, link)
        if (r->state != REQUEST_QUEUED)
            return imap_command_of(r);
    return NULL;
}

static struct imap_command *find(const struct imap_client *c, enum imap_kind a, enum imap_kind b)
{
    struct engine_request *r;
    list_foreach (&c->engine.requests, r, struct engine_request, link) {
        enum imap_kind kind = imap_command_of(r)->kind;
        if (r->state != REQUEST_QUEUED && (kind == a || kind == b))
            return imap_command_of(r);
    }
    return NULL;
}

static int give(struct imap_client *c, struct imap_command *cmd, const struct imap_response *r)
{
    struct imap_event *e = cmd ? event(c, ENGINE_EVENT_REPLY, cmd) : event(c, ENGINE_EVENT_NOTICE, head(c));
    e->response = *r;
    return 1;
}

/* --- FETCH --- */

/* Finds the UID among a segment's items, and what kinds there are. False: something in it is no item. */
static bool scan_items(struct slice items, uint32_t *uid, unsigned *kinds)
{
    struct imap_fetch_item item;
    bool broken = false;
    int got;
    while ((got = imap_fetch_next(&items, &item)) > 0) {
        uint64_t n;
        *kinds |= IMAP_ITEM_BIT(item.kind);
        broken = broken || item.broken;
        if (item.kind == IMAP_ITEM_UID && imap_value_number(&item.value, UINT32_MAX, &n))
            *uid = (uint32_t) n;
    }
    return got == 0 && !broken;
}

#define FLAG_ITEMS (IMAP_ITEM_BIT(IMAP_ITEM_UID) | IMAP_ITEM_BIT(IMAP_ITEM_FLAGS) | IMAP_ITEM_BIT(IMAP_ITEM_MODSEQ))

static bool asked_for(const struct imap_client *c, const struct imap_command *cmd, unsigned kinds, bool understood)
{
    uint32_t uid = c->fetch_uid, number = c->fetch_number;
    if (cmd->request.state == REQUEST_QUEUED)
        return false;
    if (cmd->kind == IMAP_GENERIC)
        return true;
    if (cmd->known)
        return c->literal_left == 0 && uid != 0;
    if (cmd->kind != IMAP_FETCH && cmd->kind != IMAP_STORE)
        return false;
    if (cmd->numbers ? !imap_set_contains(cmd->set, number) : uid != 0 && !imap_set_contains(cmd->set, uid))
        return false;
    if (!cmd->numbers && uid == 0 && c->literal_left == 0)
        return false;
    /* Flags that change while something else was asked for are news, not the answer. */
    return !understood || !(cmd->wanted & ~FLAG_ITEMS) || (kinds & ~FLAG_ITEMS);
}

static int begin_fetch(struct imap_client *c, const struct imap_response *r, bool stream)
{
    struct engine_request *q;
    struct slice items = r->text;
    unsigned kinds = 0;
    imap_skip_spaces(&items);
    if (items.len == 0 || items.data[0] != '(')
        return give(c, NULL, r);
    items = slice_from(items, 1);
    c->fetch_number = r->by_uid ? 0 : r->number;
    c->fetch_uid = r->by_uid ? r->number : 0;
    c->fetch_for = NULL;
    bool understood = scan_items(items, &c->fetch_uid, &kinds);
    if (c->fetch_uid)
        c->uid_comes_first = true;
    else if (stream)
        c->uid_comes_first = false;
    list_foreach (&c->engine.requests, q, struct engine_request, link)
        if (asked_for(c, imap_command_of(q), kinds, understood)) {
            c->fetch_for = imap_command_of(q);
            break;
        }
    c->in_fetch = stream;
    struct imap_event *e = give(c, c->fetch_for, r) ? &c->event : NULL;
    e->fetch.is_fetch = true;
    e->fetch.first = true;
    e->fetch.last = !stream;
    e->fetch.number = c->fetch_number;
    e->fetch.uid = c->fetch_uid;
    e->fetch.items = items;
    e->fetch.size = c->literal_left;
    return 1;
}

/* A segment behind a literal that streamed through. */
static int continue_fetch(struct imap_client *c, struct slice items, bool stream)
{
    unsigned kinds = 0;
    uint32_t uid = 0;
    scan_items(items, &uid, &kinds);
    bool contradicts = uid && c->fetch_uid && uid != c->fetch_uid;
    if (!c->fetch_uid)
        c->fetch_uid = uid;
    c->in_fetch = stream;
    if (!c->fetch_for)
        return 0;
    struct imap_command *cmd = c->fetch_for;
    struct imap_event *e = event(c, ENGINE_EVENT_REPLY, cmd);
    e->fetch.is_fetch = true;
    e->fetch.last = !stream;
    e->fetch.number = c->fetch_number;
    e->fetch.uid = c->fetch_uid;
    e->fetch.items = items;
    e->fetch.size = c->literal_left;
    if (!stream && cmd->kind != IMAP_GENERIC && !cmd->numbers)
        e->fetch.discard = contradicts || !c->fetch_uid || !imap_set_contains(cmd->set, c->fetch_uid);
    return 1;
}

static int literal_piece(struct imap_client *c)
{
    while (c->literal_left > 0) {
        struct slice piece = reader_take(&c->reader, c->literal_left);
        if (piece.len == 0)
            return 0;
        c->literal_left -= piece.len;
        if (c->fetch_for) {
            event(c, ENGINE_EVENT_DATA, c->fetch_for)->base.data = piece;
            return 1;
        }
    }
    return 0;
}

/* --- the selected mailbox --- */

static int keep(struct buffer *to, struct slice text)
{
    buffer_clear(to);
    return buffer_room(to) < text.len ? 0 : buffer_append_slice(to, text);
}

static int box_code(struct imap_client *c, const struct imap_response *r)
{
    uint64_t n;
    struct slice name = r->code.name, arguments = r->code.arguments;
    struct imap_value flags;
    if (slice_eq_ci(name, SLICE("UIDVALIDITY")) && slice_to_u64(arguments, UINT32_MAX, &n)) {
        if (!c->box.by && c->box.selected && c->box.uidvalidity && c->box.uidvalidity != n) {
            imap_fail(c, -ESTALE, FAULT_UIDVALIDITY, "UIDVALIDITY changed while the mailbox was selected");
            c->engine.fault.expected = c->box.uidvalidity;
            c->engine.fault.found = n;
            return c->error;
        }
        c->box.uidvalidity = (uint32_t) n;
    } else if (slice_eq_ci(name, SLICE("UIDNEXT")) && slice_to_u64(arguments, UINT32_MAX, &n)) {
        c->box.uidnext = (uint32_t) n;
    } else if (slice_eq_ci(name, SLICE("HIGHESTMODSEQ")) && slice_to_u64(arguments, UINT64_MAX, &n)) {
        c->box.highestmodseq = n;
    } else if (slice_eq_ci(name, SLICE("READ-ONLY"))) {
        c->box.readonly = true;
    } else if (slice_eq_ci(name, SLICE("PERMANENTFLAGS")) && imap_value_next(&arguments, &flags) > 0) {
        if (keep(&c->box.permanentflags, flags.bytes) < 0)
            return imap_fail_io(c, -ENOMEM);
    }
    return 0;
}

/* How many messages "VANISHED 3,5:7" takes away; those of "VANISHED (EARLIER)" had gone before they were counted. */
static uint32_t vanished(struct slice set)
{
    struct number_range range;
    uint64_t count = 0;
    imap_skip_spaces(&set);
    while (count < UINT32_MAX && imap_range_next(&set, &range) > 0)
        if (range.first && range.last)
            count += (range.first < range.last ? range.last - range.first : range.first - range.last) + UINT64_C(1);
    return (uint32_t) MIN(count, (uint64_t) UINT32_MAX);
}

/* Numbers that the server tells on its own. */
static int box_data(struct imap_client *c, const struct imap_response *r)
{
    struct slice text = r->text;
    struct imap_value flags;
    if (r->data == IMAP_DATA_EXISTS) {
        c->box.exists = r->number;
    } else if (r->data == IMAP_DATA_RECENT) {
        c->box.recent = r->number;
    } else if (r->data == IMAP_DATA_EXPUNGE) {
        /* A number that no message has changes nothing. */
        if (r->number > 0 && r->number <= c->box.exists && !imap_has_quirk(c, IMAP_QUIRK_YAHOO_EXPUNGE))
            c->box.exists--;
    } else if (r->data == IMAP_DATA_VANISHED) {
        c->box.exists -= MIN(vanished(text), c->box.exists);
    } else if (r->data == IMAP_DATA_FLAGS && imap_value_next(&text, &flags) > 0) {
        if (keep(&c->box.flags, flags.bytes) < 0)
            return imap_fail_io(c, -ENOMEM);
    }
    return 0;
}

/* --- untagged data --- */

static struct imap_command *status_owner(const struct imap_client *c, struct slice text)
{
    struct engine_request *r;
    struct imap_value name;
    struct slice items, wire;
    struct buffer scratch, decoded;
    struct imap_command *found = NULL;
    bool odd;
    if (imap_status_parse(text, &name, &items) < 0)
        return NULL;
    buffer_init(&scratch, IMAP_TEXT_MAX);
    buffer_init(&decoded, IMAP_TEXT_MAX);
    if (imap_value_text(&name, &scratch, &wire) == 0 && imap_mailbox_take(wire, c->utf8, &decoded, &odd) == 0)
        list_foreach (&c->engine.requests, r, struct engine_request, link) {
            struct imap_command *cmd = imap_command_of(r);
            if (r->state == REQUEST_QUEUED || cmd->kind != IMAP_STATUS ||
                !imap_mailbox_eq(cmd->mailbox, buffer_slice(&decoded)))
                continue;
            found = cmd;
            break;
        }
    buffer_done(&scratch);
    buffer_done(&decoded);
    return found;
}

static struct imap_command *esearch_owner(const struct imap_client *c, struct slice text)
{
    struct engine_request *r;
    struct imap_esearch e;
    if (imap_esearch_parse(text, &e) < 0 || e.tag.type == IMAP_NIL)
        return find(c, IMAP_SEARCH, IMAP_SEARCH);
    list_foreach (&c->engine.requests, r, struct engine_request, link)
        if (r->state != REQUEST_QUEUED &&
            (imap_command_of(r)->kind == IMAP_SEARCH || imap_command_of(r)->kind == IMAP_MULTISEARCH) &&
            slice_eq(e.tag.bytes, slice_of_str(imap_command_of(r)->tag)))
            return imap_command_of(r);
    return NULL;
}

/* What an extended LIST is answered with beside LIST; else the command of that kind. */
static struct imap_command *list_or(const struct imap_client *c, enum imap_kind kind)
{
    struct imap_command *list = find(c, IMAP_LIST_COMMAND, IMAP_LIST_COMMAND);
    return list && list->list ? list : find(c, kind, kind);
}

static struct imap_command *data_owner(const struct imap_client *c, const struct imap_response *r)
{
    switch (r->data) {
    case IMAP_DATA_VANISHED:
        if (slice_starts_ci(slice_trim(r->text), SLICE("(EARLIER)")))
            return c->box.by && c->box.by->known ? c->box.by : find(c, IMAP_FETCH, IMAP_FETCH);
        return find(c, IMAP_EXPUNGE, IMAP_MOVE);
    case IMAP_DATA_EXPUNGE:
        return find(c, IMAP_EXPUNGE, IMAP_MOVE);
    case IMAP_DATA_LIST:
        return find(c, IMAP_LIST_COMMAND, IMAP_LSUB);
    case IMAP_DATA_LSUB:
        return find(c, IMAP_LSUB, IMAP_LSUB);
    case IMAP_DATA_STATUS:
        return list_or(c, IMAP_KIND_COUNT) ? list_or(c, IMAP_KIND_COUNT) : status_owner(c, r->text);
    case IMAP_DATA_SEARCH:
        return find(c, IMAP_SEARCH, IMAP_SEARCH);
    case IMAP_DATA_ESEARCH:
        return esearch_owner(c, r->text);
    case IMAP_DATA_SORT:
        return find(c, IMAP_SORT, IMAP_SORT);
    case IMAP_DATA_THREAD:
        return find(c, IMAP_THREAD, IMAP_THREAD);
    case IMAP_DATA_CAPABILITY:
        return find(c, IMAP_CAPABILITY, IMAP_CAPABILITY);
    case IMAP_DATA_ENABLED:
        return find(c, IMAP_ENABLE, IMAP_ENABLE);
    case IMAP_DATA_NAMESPACE:
        return find(c, IMAP_NAMESPACE, IMAP_NAMESPACE);
    case IMAP_DATA_ID:
        return find(c, IMAP_ID, IMAP_ID);
    case IMAP_DATA_QUOTA:
        return find(c, IMAP_GETQUOTA, IMAP_GETQUOTAROOT);
    case IMAP_DATA_QUOTAROOT:
        return find(c, IMAP_GETQUOTAROOT, IMAP_GETQUOTAROOT);
    case IMAP_DATA_ACL:
        return find(c, IMAP_GETACL, IMAP_GETACL);
    case IMAP_DATA_LISTRIGHTS:
        return find(c, IMAP_LISTRIGHTS, IMAP_LISTRIGHTS);
    case IMAP_DATA_MYRIGHTS:
        return list_or(c, IMAP_MYRIGHTS);
    case IMAP_DATA_METADATA:
        return list_or(c, IMAP_GETMETADATA);
    case IMAP_DATA_NONE:
    case IMAP_DATA_FETCH:
    case IMAP_DATA_EXISTS:
    case IMAP_DATA_RECENT:
    case IMAP_DATA_FLAGS:
    case IMAP_DATA_OTHER:
    case IMAP_DATA_COUNT:
        break;
    }
    return NULL;
}

static int data(struct imap_client *c, const struct imap_response *r, bool stream)
{
    if (r->data == IMAP_DATA_FETCH)
        return begin_fetch(c, r, stream);
    int ret = box_data(c, r);
    if (ret < 0)
        return ret;
    if (r->data == IMAP_DATA_CAPABILITY)
        ret = imap_take_capabilities(c, r->text);
    if (ret < 0)
        return ret;
    if (r->data == IMAP_DATA_ID)
        imap_take_quirks(c, r->text);
    if (r->data == IMAP_DATA_ENABLED && find(c, IMAP_ENABLE, IMAP_GENERIC))
        imap_take_enabled(c, r->text);
    struct imap_command *first = head(c), *owner = first && first->kind == IMAP_GENERIC ? first : data_owner(c, r);
    if (!owner && c->box.by && (r->data == IMAP_DATA_EXISTS || r->data == IMAP_DATA_RECENT || r->data == IMAP_DATA_FLAGS))
        owner = c->box.by;
    return give(c, owner, r);
}

/* --- conditions and tagged answers --- */

static int condition(struct imap_client *c, const struct imap_response *r)
{
    struct imap_command *first = head(c);
    if (r->status == IMAP_BYE) {
        if (c->state != IMAP_STATE_READY && c->state != IMAP_STATE_CHALLENGED)
            return 0;
        imap_set_state(c, IMAP_STATE_CLOSING);
        event(c, ENGINE_EVENT_CLOSING, NULL)->response = *r;
        return 1;
    }
    if (r->status == IMAP_PREAUTH)
        return imap_fail(c, -EPROTO, FAULT_PROTOCOL, "a greeting in the middle of the dialogue");
    int ret = box_code(c, r);
    if (ret < 0)
        return ret;
    /* RFC 7162 section 3.2.11: what came up to here was about the mailbox selected before. */
    if (c->box.by && slice_eq_ci(r->code.name, SLICE("CLOSED")))
        c->box.exists = c->box.recent = 0;
    if (first && first->kind == IMAP_GENERIC)
        return give(c, first, r);
    if (slice_eq_ci(r->code.name, SLICE("APPENDUID")) && find(c, IMAP_REPLACE, IMAP_REPLACE))
        return give(c, find(c, IMAP_REPLACE, IMAP_REPLACE), r); /* RFC 8508 section 3.2 */
    if (slice_eq_ci(r->code.name, SLICE("COPYUID"))) {
        /* RFC 6851: MOVE tells it before its answer. Anybody else's is a stray. */
        struct imap_command *move = find(c, IMAP_MOVE, IMAP_MOVE);
        return move ? give(c, move, r) : 0;
    }
    return give(c, c->box.by && r->status == IMAP_OK && !slice_eq_ci(r->code.name, SLICE("ALERT")) ? c->box.by : NULL, r);
}

static int done(struct imap_client *c, struct imap_command *cmd, const struct imap_response *r)
{
    list_remove(&cmd->request.link);
    c->n_requests--;
    cmd->request.state = REQUEST_ANSWERED;
    cmd->status = r->status;
    if (c->fetch_for == cmd)
        c->fetch_for = NULL;
    int ret = imap_selected_done(c, cmd, r);
    if (ret < 0)
        return ret;
    if (cmd->kind == IMAP_UNAUTHENTICATE && r->status == IMAP_OK)
        imap_login_undone(c);
    struct imap_event *e = event(c, ENGINE_EVENT_DONE, cmd);
    e->response = *r;
    free(c->done_fault);
    c->done_fault = NULL;
    if (r->status != IMAP_OK) {
        struct fault_reply reply;
        if (!imap_new_fault(c, &c->done_fault))
            return c->error;
        imap_fill_reply(r, &reply);
        fault_set_reply(c->done_fault, -EIO, FAULT_REJECTED, imap_kind_stage(cmd->kind), &reply);
        c->done_fault->protocol = "imap";
        imap_mend_fault(c, r, c->done_fault);
        e->base.fault = c->done_fault;
    }
    ret = imap_pump(c);
    return ret < 0 ? ret : 1;
}

/* An answer that comes before all of its command was sent. 1: it is to be given when the rest has been. */
static int cut_short(struct imap_client *c, struct imap_command *cmd, const struct imap_response *r)
{
    bool waits = writer_is_stopped(&c->writer) && cmd->request.end_offset > c->writer.stops[c->writer.stops_released];
    if (!waits && cmd->request.state != REQUEST_PARTLY_WRITTEN)
        return 0;
    if (r->status == IMAP_OK)
        return imap_fail(c, -EPROTO, FAULT_PROTOCOL, "success before the command was complete");
    if (waits) {
        writer_abandon(&c->writer);
        cmd->request.end_offset = UINT64_MAX; /* never completed */
        return 0;
    }
    /* The literal was promised: it must be sent to its end. The text of the answer does not live that long. */
    cmd->answered_early = true;
    c->early = (struct imap_response){.kind = r->kind, .status = r->status};
    struct fault_reply reply;
    imap_fill_reply(r, &reply);
    if (!imap_new_fault(c, &c->early_fault))
        return c->error;
    fault_set_reply(c->early_fault, -EIO, FAULT_REJECTED, imap_kind_stage(cmd->kind), &reply);
    c->early_fault->protocol = "imap";
    return 1;
}

static int tagged(struct imap_client *c, const struct imap_response *r)
{
    struct engine_request *q;
    if (c->own_pending && slice_eq(r->tag, slice_of_str(c->own.tag))) {
        c->own_pending = false;
        if (c->own.kind == IMAP_LOGOUT)
            imap_set_state(c, IMAP_STATE_CLOSED);
        return imap_pump(c);
    }
    list_foreach (&c->engine.requests, q, struct engine_request, link) {
        struct imap_command *cmd = imap_command_of(q);
        if (q->state == REQUEST_QUEUED || cmd->answered_early || !slice_eq(r->tag, slice_of_str(cmd->tag)))
            continue;
        int early = cut_short(c, cmd, r);
        if (early)
            return early < 0 ? early : 0;
        return done(c, cmd, r);
    }
    return imap_fail(c, -EPROTO, FAULT_PROTOCOL, "an answer to a command that was not sent");
}

static int continuation(struct imap_client *c)
{
    struct engine_request *r;
    struct imap_command *first = head(c);
    if (first && first->kind == IMAP_IDLE)
        return imap_idle_continued(c, first);
    if (!writer_release(&c->writer))
        return 0; /* nobody asked for it */
    if (!writer_is_stopped(&c->writer))
        list_foreach (&c->engine.requests, r, struct engine_request, link)
            if (r->state == REQUEST_PARTLY_WRITTEN)
                imap_command_of(r)->body_open = true;
    return imap_pump(c);
}

/* An endless stream of what nobody needs ends the connection: conditions, counts, data that is not known. */
static int bound_talk(struct imap_client *c, const struct imap_response *r, size_t len)
{
    const struct imap_command *first = head(c);
    if (r->kind == IMAP_RESPONSE_TAGGED || (first && first->kind == IMAP_GENERIC))
        c->idle_talk = 0; /* a command of the caller's own bounds what it takes */
    else if (r->kind != IMAP_RESPONSE_DATA || r->data == IMAP_DATA_OTHER || r->data == IMAP_DATA_EXISTS || r->data == IMAP_DATA_RECENT)
        c->idle_talk += len;
    /* To talk is what IDLE is for. */
    if (c->idle_talk <= (first && first->kind == IMAP_IDLE ? IMAP_IDLE_TALK_MAX * 16 : IMAP_IDLE_TALK_MAX))
        return 0;
    return imap_fail(c, -EMSGSIZE, FAULT_PROTOCOL, "the server talks on and on without an answer");
}

static int response(struct imap_client *c, struct slice line, bool stream)
{
    struct imap_response r;
    int ret = imap_mend_line(c, &line);
    if (ret < 0)
        return ret;
    if (imap_response_parse(line, &r) < 0)
        return imap_fail(c, -EPROTO, FAULT_PROTOCOL,
                         c->state == IMAP_STATE_GREETING ? "the greeting is not that of an IMAP server"
                                                         : "a line that is no answer of an IMAP server");
    ret = bound_talk(c, &r, line.len);
    if (ret < 0)
        return ret;
    if (c->state < IMAP_STATE_READY)
        return imap_login_response(c, &r);
    if (c->state == IMAP_STATE_CHALLENGED && (r.kind == IMAP_RESPONSE_CONTINUE || r.kind == IMAP_RESPONSE_TAGGED))
        return imap_fail(c, -EPROTO, FAULT_PROTOCOL, "the server does not wait for the response to its challenge");
    ret = imap_mend_response(c, &r);
    if (ret < 0)
        return ret;
    switch (r.kind) {
    case IMAP_RESPONSE_CONTINUE:
        return continuation(c);
    case IMAP_RESPONSE_TAGGED:
        return tagged(c, &r);
    case IMAP_RESPONSE_CONDITION:
        return condition(c, &r);
    case IMAP_RESPONSE_DATA:
        return data(c, &r, stream);
    }
    return 0;
}

/* The answer that had to wait until its command's literal was sent. */
static int early_done(struct imap_client *c)
{
    struct imap_command *cmd = c->early_done;
    c->early_done = NULL;
    int ret = done(c, cmd, &c->early);
    if (ret > 0) {
        free(c->done_fault);
        c->done_fault = TAKE_PTR(c->early_fault);
        c->event.base.fault = c->done_fault;
    }
    return ret;
}

/* Shown first, looked at with the next call. */
static int trace_line(struct imap_client *c, struct slice line, bool stream)
{
    c->traced = line;
    c->traced_streams = stream;
    event(c, ENGINE_EVENT_TRACE, NULL)->base.data = slice_to(line, 1024);
    return 1;
}

int imap_receive(struct imap_client *c)
{
    int ret = 0;
    while (ret == 0) {
        struct slice line;
        bool stream = false;
        if (c->ready_due) {
            c->ready_due = false;
            event(c, ENGINE_EVENT_READY, NULL);
            return 1;
        }
        if (c->early_done)
            return early_done(c);
        if (imap_step_has_failed(c))
            return imap_step_end_failed(c);
        if (c->state == IMAP_STATE_RAW)
            return imap_raw_receive(c);
        if (c->literal_left > 0 && !c->traced.data) {
            ret = literal_piece(c);
            if (ret > 0 || c->literal_left > 0)
                return ret;
        }
        if (c->state == IMAP_STATE_CLOSED || c->state == IMAP_STATE_HANDSHAKE || c->state == IMAP_STATE_DEFLATE)
            return 0;
        if (c->traced.data) {
            line = c->traced;
            stream = c->traced_streams;
            c->traced = SLICE_EMPTY;
        } else {
            ret = next_unit(c, &line, &stream);
            if (ret <= 0)
                return ret;
            if (c->config->trace)
                return trace_line(c, line, stream);
        }
        c->unit = line;
        ret = c->in_fetch ? continue_fetch(c, line, stream) : response(c, line, stream);
        c->unit = SLICE_EMPTY;
    }
    return ret;
}
