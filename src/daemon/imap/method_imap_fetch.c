/* SPDX-License-Identifier: MIT */
/* imap.fetch: messages as they come, written straight from the server's words into the answer. Large sections go through
 * a spool, or through the client's pipe as they arrive. */
#include "method_imap_fetch.h"

#include "api_imap_session.h"
#include "methods.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define BODIES_WITHOUT_STREAM 100

static struct fetch_call *fetch_of(struct imap_call *call)
{
    return container_of(call, struct fetch_call, call);
}

static size_t free_names(struct fetch_call *f)
{
    for (size_t i = 0; i < f->n_binary_names; i++)
        free(f->binary_names[i]);
    return 0;
}

static void drop_sections(struct fetch_call *f)
{
    for (size_t i = 0; i < f->n_sections; i++) {
        free(f->sections[i].name);
        spool_unref(f->sections[i].spool);
    }
    f->n_sections = 0;
    f->into_spool = false;
}

static void list_begin(struct fetch_call *f, struct op *op)
{
    if (!f->listed) {
        json_write_object_begin(&op->w);
        imap_call_write_mailbox(&f->call, op, true);
        op_list_begin(op, "messages");
    }
    f->listed = f->call.given_away = true;
}

static void fail(struct op *op, int err, enum fault_kind kind, const char *text)
{
    fault_set(&op->fault, err, kind, "fetch", "%s", text);
    op_fail(op, NULL);
}

/* --- the end of a message --- */

/* Sections that came with the items of this segment. */
static int write_small_sections(struct fetch_call *f, struct op *op, struct slice items, bool *open)
{
    struct imap_fetch_item item;
    char name[256], scratch[FETCH_NAME_MAX];
    while (imap_fetch_next(&items, &item) > 0) {
        struct slice bytes = SLICE_EMPTY;
        if (item.kind != IMAP_ITEM_SECTION || item.streamed || item.name.len >= sizeof(name))
            continue;
        buffer_clear(&f->json.scratch);
        bool understood = !item.broken && item.value.type != IMAP_LIST;
        if (understood && imap_value_text(&item.value, &f->json.scratch, &bytes) < 0)
            continue;
        struct slice key = fetch_section_name(f, item.name, scratch);
        memcpy(name, key.data, key.len);
        name[key.len] = '\0';
        if (!*open) {
            json_write_key(&op->w, "sections");
            json_write_object_begin(&op->w);
        }
        *open = true;
        if (!bytes.data) { /* NIL: there is no such section; or it was not understood */
            json_write_member_null(&op->w, name);
            continue;
        }
        if (fetch_decode_small(f, item.name, &bytes) < 0)
            return fault_set(&op->fault, -ENOMEM, FAULT_INTERNAL, "fetch", "out of memory");
        int ret = op_write_content(op, name, bytes);
        if (ret < 0)
            return ret;
    }
    return 0;
}

static int write_sections(struct fetch_call *f, struct op *op, struct slice items)
{
    bool open = false;
    int ret = write_small_sections(f, op, items, &open);
    for (size_t i = 0; i < f->n_sections && ret == 0; i++) {
        if (!open) {
            json_write_key(&op->w, "sections");
            json_write_object_begin(&op->w);
        }
        open = true;
        ret = op_write_content_spool(op, f->sections[i].name, f->sections[i].spool);
    }
    if (open)
        json_write_object_end(&op->w);
    return ret;
}

static struct slice take_length(struct slice *rest)
{
    uint32_t len;
    memcpy(&len, rest->data, sizeof(len));
    struct slice s = slice_of(rest->data + sizeof(len), len);
    *rest = slice_from(*rest, sizeof(len) + len);
    return s;
}

/* What was not understood, as bytes under its name. These few bytes stay inside the answer whatever form was asked for. */
static void write_raw(struct fetch_call *f, struct op *op)
{
    struct slice rest = buffer_slice(&f->raw);
    if (rest.len == 0)
        return;
    json_write_key(&op->w, "raw");
    json_write_object_begin(&op->w);
    while (rest.len) {
        struct slice name = take_length(&rest), bytes = take_length(&rest);
        bool text = utf8_is_valid(bytes) && slice_find(bytes, '\0') == bytes.len;
        json_write_key_slice(&op->w, name);
        json_write_object_begin(&op->w);
        json_write_key(&op->w, text ? "text" : "base64");
        if (text)
            json_write_string(&op->w, bytes);
        else
            json_write_base64(&op->w, bytes);
        json_write_member_uint(&op->w, "size", bytes.len);
        json_write_object_end(&op->w);
    }
    json_write_object_end(&op->w);
    buffer_clear(&f->raw);
}

static void write_defects(struct fetch_call *f, struct op *op)
{
    if (f->odd_items)
        mime_defect(&f->json.decoder, "the server's answer is malformed");
    if (f->json.defects.n == 0)
        return;
    json_write_key(&op->w, "defects");
    json_write_array_begin(&op->w);
    for (size_t i = 0; i < f->json.defects.n; i++)
        json_write_str(&op->w, f->json.defects.texts[i]);
    json_write_array_end(&op->w);
}

/* --- a message --- */

static void message_over(struct fetch_call *f)
{
    drop_sections(f);
    buffer_clear(&f->raw);
    f->in_message = f->odd_items = false;
    f->pipe = NULL;
}

static bool message_begin(struct fetch_call *f, struct op *op, const struct imap_event *e)
{
    message_over(f);
    if (f->bodies && !op->stream && ++f->n_bodies > BODIES_WITHOUT_STREAM) {
        op->fault.limit = "stream";
        fail(op, -EFBIG, FAULT_LIMIT, "bodies of more than 100 messages: use \"stream\"");
        return false;
    }
    list_begin(f, op);
    imap_json_reset(&f->json);
    f->json.decoder.where = NULL;
    f->json.utf8_names = imap_client_utf8(imap_call_engine(&f->call));
    op_item_begin(op);
    json_write_object_begin(&op->w);
    if (e->fetch.uid)
        json_write_member_uint(&op->w, "uid", e->fetch.uid);
    if (e->fetch.number)
        json_write_member_uint(&op->w, "seq", e->fetch.number);
    f->in_message = true;
    f->has_uid = e->fetch.uid != 0;
    return true;
}

/* UIDs that came, so that none comes twice and what did not come is known. */
static bool is_new(const struct fetch_call *f, uint32_t n)
{
    return n == 0 || f->seen.n == 0 || n > f->seen.ranges[f->seen.n - 1].last || !imap_set_contains(&f->seen, n);
}

static void note_seen(struct fetch_call *f)
{
    if (f->under_way)
        (void) !imap_set_add(&f->seen, f->under_way, f->under_way);
}

static void message_end(struct fetch_call *f, struct op *op, struct slice items)
{
    int ret = write_sections(f, op, items);
    write_raw(f, op);
    write_defects(f, op);
    json_write_object_end(&op->w);
    note_seen(f);
    message_over(f);
    if (ret < 0 || op_item_end(op) < 0)
        op_fail(op, NULL);
}

/* The answer leaves now and the section's bytes follow through the pipe; what the server says of the message behind them
 * cannot be shown. */
static void open_pipe(struct fetch_call *f, struct op *op, const char *name, uint64_t size, struct slice items)
{
    bool open = false;
    int ret = write_small_sections(f, op, items, &open);
    if (!open) {
        json_write_key(&op->w, "sections");
        json_write_object_begin(&op->w);
    }
    f->pipe = ret == 0 ? op_pipe_open(op, name, f->decoding ? UINT64_MAX : size) : NULL;
    if (!f->pipe) {
        op_fail(op, NULL);
        return;
    }
    note_seen(f);
    json_write_object_end(&op->w);
    write_raw(f, op);
    write_defects(f, op);
    json_write_object_end(&op->w);
    f->in_message = false;
    if (op_item_end(op) < 0) {
        op_fail(op, NULL);
        return;
    }
    if (op->stream)
        return;
    op_list_end(op);
    json_write_object_end(&op->w);
    op_respond_now(op);
}

/* A section that came with the items, kept until the message is over. False: the op has failed. */
static bool keep_section(struct fetch_call *f, struct op *op, const struct imap_fetch_item *item)
{
    struct slice bytes = SLICE_EMPTY;
    char scratch[FETCH_NAME_MAX];
    buffer_clear(&f->json.scratch);
    char *name = imap_call_text(fetch_section_name(f, item->name, scratch));
    if (!name || (!item->streamed && (imap_value_text(&item->value, &f->json.scratch, &bytes) < 0 ||
                                      fetch_decode_small(f, item->name, &bytes) < 0))) {
        free(name);
        fail(op, -ENOMEM, FAULT_INTERNAL, "out of memory");
        return false;
    }
    struct spool *spool = op_spool_new(op, 0);
    f->sections[f->n_sections++] = (struct section){name, spool};
    f->into_spool = item->streamed;
    if (item->streamed)
        return true;
    if ((bytes.len && op_spool_write(&f->call.ox, spool, bytes) < 0) || spool_seal(spool, &op->fault) < 0) {
        op_fail(op, NULL);
        return false;
    }
    return true;
}

static bool pipe_is_possible(const struct fetch_call *f, const struct op *op, const struct imap_event *e)
{
    return op->form == RPC_FORM_PIPE && e->fetch.uid && e->fetch.first && f->n_items == (f->hide_structure ? 3u : 2u) &&
           (op->stream || (imap_set_count(&f->call.set) == 1 && !f->call.set.star));
}

/* A segment whose last item's bytes follow. */
static void begin_section(struct fetch_call *f, struct op *op, const struct imap_event *e)
{
    struct slice items = e->fetch.items;
    struct imap_fetch_item item;
    char name[256], scratch[FETCH_NAME_MAX];
    f->total = e->fetch.size;
    f->done = 0;
    while (imap_fetch_next(&items, &item) > 0) {
        if (item.kind != IMAP_ITEM_SECTION || item.broken || item.value.type == IMAP_LIST || item.value.type == IMAP_NIL)
            continue;
        if (item.streamed) {
            mime_transfer_init(&f->transfer, fetch_encoding_of(f, item.name));
            f->decoding = f->transfer.encoding != MIME_ENCODING_IDENTITY;
        }
        if (item.streamed && item.name.len < sizeof(name) && pipe_is_possible(f, op, e)) {
            struct slice key = fetch_section_name(f, item.name, scratch);
            memcpy(name, key.data, key.len);
            name[key.len] = '\0';
            open_pipe(f, op, name, e->fetch.size, e->fetch.items);
            return;
        }
        if (f->n_sections == SECTIONS_MAX) {
            mime_defect(&f->json.decoder, "too many sections");
            return;
        }
        if (!keep_section(f, op, &item))
            return;
    }
}

static int section_bytes(struct fetch_call *f, struct slice bytes)
{
    if (f->pipe)
        return op_pipe_write(&f->call.ox, f->pipe, bytes);
    return op_spool_write(&f->call.ox, f->sections[f->n_sections - 1].spool, bytes);
}

/* Bytes of the section, encoded; `last`: none follow. */
static int section_decode(struct fetch_call *f, struct op *op, struct slice piece, bool last)
{
    char *out;
    if (f->transfer.encoding == MIME_ENCODING_IDENTITY)
        return section_bytes(f, piece);
    buffer_clear(&f->json.scratch);
    if (buffer_reserve(&f->json.scratch, mime_transfer_max(&f->transfer, piece.len) + mime_transfer_max(&f->transfer, 0), &out) < 0)
        return fault_set(&op->fault, -ENOMEM, FAULT_INTERNAL, "fetch", "out of memory");
    size_t n = mime_transfer_decode(&f->transfer, piece, out);
    if (last) {
        n += mime_transfer_finish(&f->transfer, out + n);
        fetch_note_damage(f, &f->transfer);
    }
    return n ? section_bytes(f, slice_of(out, n)) : 0;
}

static void section_piece(struct fetch_call *f, struct op *op, struct slice piece)
{
    if (!f->pipe && !f->into_spool)
        return; /* nobody's */
    f->done += piece.len;
    int ret = f->decoding ? section_decode(f, op, piece, f->done == f->total) : section_bytes(f, piece);
    if (ret < 0) {
        op_fail(op, NULL);
        return;
    }
    op_progress(op, f->done, f->total);
    if (f->done < f->total)
        return;
    if (f->pipe)
        op_pipe_end(f->pipe);
    else if (spool_seal(f->sections[f->n_sections - 1].spool, &op->fault) < 0)
        op_fail(op, NULL);
    f->pipe = NULL;
    f->into_spool = f->decoding = false;
}

static void fetch_segment(struct fetch_call *f, struct op *op, const struct imap_event *e)
{
    unsigned had = 0;
    f->json.quirks = imap_client_quirks(imap_call_engine(&f->call));
    if (e->fetch.first) {
        if (f->in_message)
            op_item_drop(op);
        f->in_message = false;
        if (!is_new(f, f->call.command.numbers ? e->fetch.number : e->fetch.uid)) {
            drop_sections(f); /* a second time: its bytes are read over */
            return;
        }
        if (!message_begin(f, op, e))
            return;
        f->under_way = f->call.command.numbers ? e->fetch.number : e->fetch.uid;
    }
    if (!f->in_message) {
        if (e->fetch.last)
            message_over(f);
        return;
    }
    bool late = !f->has_uid && e->fetch.uid; /* behind a section's bytes */
    if ((e->fetch.last && e->fetch.discard) || (late && !f->call.command.numbers && !is_new(f, e->fetch.uid))) {
        op_item_drop(op);
        message_over(f);
        return;
    }
    if (late)
        json_write_member_uint(&op->w, "uid", e->fetch.uid);
    if (late && !f->call.command.numbers)
        f->under_way = e->fetch.uid;
    f->has_uid = f->has_uid || late;
    fetch_write_items(f, op, e->fetch.items, &had);
    if (e->fetch.last)
        message_end(f, op, e->fetch.items);
    else
        begin_section(f, op, e);
}

/* What was asked for and has not come, as the set to ask for again. False: nothing, or memory is out. */
static bool take_missing(struct fetch_call *f)
{
    struct imap_set missing;
    imap_set_init(&missing, IMAP_CALL_RANGES_MAX);
    for (size_t i = 0, k = 0; i < f->call.set.n; i++) {
        uint64_t from = f->call.set.ranges[i].first, last = f->call.set.ranges[i].last;
        while (k < f->seen.n && f->seen.ranges[k].last < from)
            k++;
        for (size_t j = k; from <= last; j++) {
            uint64_t until = j < f->seen.n && f->seen.ranges[j].first <= last ? f->seen.ranges[j].first : last + 1;
            if (until > from && imap_set_add(&missing, (uint32_t) from, (uint32_t) (until - 1)) < 0)
                break;
            from = until > last ? until : (uint64_t) f->seen.ranges[j].last + 1;
        }
    }
    if (missing.n == 0) {
        imap_set_done(&missing);
        return false;
    }
    imap_set_done(&f->call.set);
    f->call.set = missing;
    imap_call_rewind(&f->call);
    return true;
}

/* The next part of the set; and where messages did not come that the server may not have looked for yet, once more. */
static int next_command(struct fetch_call *f, const struct imap_event *e, struct fault *fault)
{
    struct imap_call *call = &f->call;
    bool refreshed = e->base.request == &call->refresh.request;
    if (!refreshed && imap_call_next_part(call))
        return imap_call_command(call, &call->command, fault);
    if (!refreshed)
        return call->fresh || f->since || f->partial.data || !take_missing(f) ? 0 : imap_call_refresh(call, fault);
    return imap_call_next_part(call) ? imap_call_command(call, &call->command, fault) : 0;
}

/* Who undoes the transfer encodings: the server, where it offers to. */
static int take_binary(struct fetch_call *f)
{
    struct imap_command *c = &f->call.command;
    f->binary = f->n_decoded > 0 && !f->cannot_decode && imap_client_has(imap_call_engine(&f->call), IMAP_CAP_BINARY_FETCH);
    c->items = f->items;
    c->n_items = f->n_items;
    if (!f->binary)
        return 0;
    f->n_binary_names = f->binary_items ? free_names(f) : 0;
    c->items = NULL;
    int ret = fetch_binary_items(f, &c->n_items);
    c->items = f->binary_items;
    return ret;
}

/* RFC 3516 section 4.3: an encoding that the server does not know. What it has told stays, the rest is decoded here. */
static bool fetch_refused(struct imap_call *call, const struct imap_event *e)
{
    struct fetch_call *f = fetch_of(call);
    if (!f->binary || !slice_eq_ci(e->response.code.name, SLICE("UNKNOWN-CTE")))
        return false;
    f->cannot_decode = true;
    return true;
}

static void fetch_vanished(struct fetch_call *f, struct slice text)
{
    bool earlier;
    struct slice uids;
    if (!f->call.command.vanished || imap_vanished_parse(text, &earlier, &uids) < 0)
        return;
    int ret = imap_set_parse(&f->vanished, uids);
    if (ret < 0)
        imap_found_fault(&f->call.fault, ret);
}

/* The set becomes that part of it. */
static void fetch_looked(struct fetch_call *f, const struct imap_event *e)
{
    struct imap_call *call = &f->call;
    int ret = e->base.type == ENGINE_EVENT_REPLY ? imap_found_take(&f->there, &e->response) : imap_found_end(&f->there);
    if (ret == 0 && e->base.type == ENGINE_EVENT_DONE)
        ret = imap_partial_cut(&f->there.set, f->from, f->to);
    if (ret < 0)
        imap_found_fault(&call->fault, ret);
    if (ret < 0 || e->base.type != ENGINE_EVENT_DONE)
        return;
    struct imap_set swap = call->set;
    call->set = f->there.set;
    f->there.set = swap;
    f->looked = call->fresh = true;
    imap_call_rewind(call);
    if (imap_call_next_part(call))
        imap_call_command(call, &call->command, &call->fault);
}

static void fetch_event(struct imap_call *call, const struct imap_event *e)
{
    struct fetch_call *f = fetch_of(call);
    if (e->base.request == &f->look.request) {
        fetch_looked(f, e);
        return;
    }
    struct op *op = call->ox.op;
    struct fault fault = {.kind = FAULT_NONE};
    if (e->base.type == ENGINE_EVENT_DONE) {
        if (e->base.fault) { /* fetch_refused() */
            take_binary(f);
            imap_call_rewind(call);
        }
        if (op && next_command(f, e, &fault) < 0)
            call->fault = fault;
        return;
    }
    if (!op || op_has_ended(op))
        return;
    if (e->base.type == ENGINE_EVENT_DATA)
        section_piece(f, op, e->base.data);
    else if (e->base.type == ENGINE_EVENT_REPLY && e->fetch.is_fetch)
        fetch_segment(f, op, e);
    else if (e->base.type == ENGINE_EVENT_REPLY && e->response.data == IMAP_DATA_VANISHED)
        fetch_vanished(f, e->response.text);
}

static int fetch_begin(struct imap_call *call, struct fault *fault)
{
    struct fetch_call *f = fetch_of(call);
    if (call->in_session && call->command.vanished && !imap_client_enabled(imap_call_engine(call), IMAP_CAP_QRESYNC))
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, "fetch", "`vanished` needs QRESYNC, which imap.enable switches on");
    if (take_binary(f) < 0)
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, "fetch", "out of memory");
    imap_set_clear(&f->seen);
    imap_set_clear(&f->vanished);
    imap_call_rewind(call);
    if (f->partial.data && !f->looked) {
        /* One command must hold the whole set for the server to count in it. */
        bool served = imap_client_has(imap_call_engine(call), IMAP_CAP_PARTIAL) && call->set.n < 300 &&
                      !imap_client_message_limit(imap_call_engine(call));
        call->command.partial = served ? f->partial : SLICE_EMPTY;
        if (!served) {
            imap_found_clear(&f->there);
            f->look = (struct imap_command){.kind = IMAP_SEARCH, .set = &call->set, .text = SLICE("ALL")};
            return imap_call_command(call, &f->look, fault);
        }
    }
    if (!imap_call_next_part(call))
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, "fetch", "no message is named");
    return imap_call_command(call, &call->command, fault);
}

static void write_missing(struct fetch_call *f, struct op *op)
{
    struct slice text = f->asked.text;
    struct number_range range;
    json_write_key(&op->w, "missing");
    json_write_array_begin(&op->w);
    for (size_t i = 0; i < f->asked.n && !f->asked.text.data; i++)
        if (!imap_set_contains(&f->seen, f->asked.numbers[i]))
            json_write_uint(&op->w, f->asked.numbers[i]);
    while (text.len && imap_range_next(&text, &range) > 0)
        if (range.first && range.first == range.last && !imap_set_contains(&f->seen, range.first))
            json_write_uint(&op->w, range.first);
    json_write_array_end(&op->w);
}

static void fetch_finish(struct imap_call *call, struct op *op)
{
    struct fetch_call *f = fetch_of(call);
    if (op->state_now == OP_ANSWERED) {
        op_finish(op);
        return;
    }
    if (f->in_message)
        op_item_drop(op);
    list_begin(f, op);
    op_list_end(op);
    if (!call->command.numbers && !f->since && !f->partial.data)
        write_missing(f, op);
    if (call->command.vanished) {
        json_write_key(&op->w, "vanished");
        imap_json_ranges(&op->w, &f->vanished);
    }
    json_write_object_end(&op->w);
    op_finish(op);
}

static void fetch_dispose(struct imap_call *call)
{
    struct fetch_call *f = fetch_of(call);
    drop_sections(f);
    imap_json_done(&f->json);
    imap_set_done(&f->seen);
    imap_set_done(&f->vanished);
    imap_found_done(&f->there);
    buffer_done(&f->raw);
    free_names(f);
    free(f->binary_names);
    free(f->binary_items);
    free(f->items);
    free(f->decoded);
}

static const struct imap_call_ops fetch_ops = {.name = "imap.fetch",
                                               .begin = fetch_begin,
                                               .event = fetch_event,
                                               .finish = fetch_finish,
                                               .dispose = fetch_dispose,
                                               .refused = fetch_refused};

/* --- parameters --- */

/* RFC 3501's macros, spelled out, since a macro may not stand beside other items. */
static const struct slice all_items[] = {SLICE("FLAGS"), SLICE("INTERNALDATE"), SLICE("RFC822.SIZE"), SLICE("ENVELOPE"),
                                         SLICE("BODY")};
static const struct slice whole[] = {SLICE("BODY.PEEK[]")};

static int take_items(struct op *op, struct fetch_call *f, const struct rpc_strings *given, bool named, bool decode)
{
    const struct slice *items = given->n ? given->items : whole;
    size_t n = given->n ? given->n : 1;
    if (n == 1 && slice_eq_ci(items[0], SLICE("FAST"))) {
        items = all_items;
        n = 3;
    } else if (n == 1 && slice_eq_ci(items[0], SLICE("ALL"))) {
        items = all_items;
        n = 4;
    } else if (n == 1 && slice_eq_ci(items[0], SLICE("FULL"))) {
        items = all_items;
        n = 5;
    }
    f->items = calloc(n + 3, sizeof(*f->items));
    f->decoded = decode ? calloc(n, sizeof(*f->decoded)) : NULL;
    if (!f->items || (decode && !f->decoded))
        return op_refuse(op, FAULT_LIMIT, "out of memory");
    /* First, so that it is known to whom a section belongs before its bytes come. */
    f->items[f->n_items++] = SLICE("UID");
    for (size_t i = 0; i < n && decode; i++)
        if (fetch_part_of(items[i]).len)
            f->decoded[f->n_decoded++].part = fetch_part_of(items[i]);
    if (f->n_decoded) { /* before the sections too */
        f->hide_structure = true;
        f->items[f->n_items++] = SLICE("BODYSTRUCTURE");
    }
    for (size_t i = 0; i < n; i++) {
        if (!imap_item_is_valid(items[i]))
            return op_refuse(op, FAULT_INVALID_PARAMS, "`items[%zu]` is no item of FETCH", i);
        if (imap_item_sets_seen(items[i])) {
            if (!(op->rights & RIGHT_WRITE))
                return op_refuse(op, FAULT_DENIED, "`items[%zu]` would set \\Seen: use BODY.PEEK", i);
            f->call.write = named && !(op->session && op->session->readonly);
        }
        if (slice_eq_ci(items[i], SLICE("UID")))
            continue;
        if (f->n_decoded && imap_item_kind(items[i]) == IMAP_ITEM_BODYSTRUCTURE) {
            f->hide_structure = false;
            continue;
        }
        f->bodies = f->bodies || imap_item_kind(items[i]) == IMAP_ITEM_SECTION;
        f->asks_modseq = f->asks_modseq || slice_eq_ci(items[i], SLICE("MODSEQ"));
        f->items[f->n_items++] = items[i];
    }
    return 0;
}

static int fetch_messages(struct op *op, const struct api_imap_fetch_params *p)
{
    static const struct slice qresync = SLICE("QRESYNC");
    struct fetch_call *f = imap_call_new(op, sizeof(*f), &fetch_ops);
    struct imap_call *call = &f->call;
    imap_json_init(&f->json);
    imap_set_init(&f->seen, IMAP_CALL_RANGES_MAX);
    imap_set_init(&f->vanished, IMAP_CALL_RANGES_MAX);
    imap_found_init(&f->there);
    buffer_init(&f->raw, 4u * 1024 * 1024);
    call->command.kind = IMAP_FETCH;
    int ret = imap_call_take_set(op, call, &p->uids, &p->numbers);
    if (ret == 0)
        ret = imap_call_take_mailbox(op, call, p->mailbox, &p->uidvalidity, false);
    if (ret == 0)
        ret = take_items(op, f, &p->items, p->mailbox.data != NULL, p->decode);
    if (ret == 0 && p->vanished && (p->changedsince == RPC_ABSENT || p->changedsince == 0 || call->command.numbers))
        ret = op_refuse(op, FAULT_INVALID_PARAMS, "`vanished` needs `changedsince` and `uids`");
    if (ret == 0 && p->partial.data && (!imap_partial_take(p->partial, &f->from, &f->to) || call->command.numbers))
        ret = op_refuse(op, FAULT_INVALID_PARAMS, "`partial` must be like \"1:100\", or \"-1:-100\", and goes with `uids`");
    if (ret < 0)
        return imap_call_drop(call, ret);
    f->partial = p->partial;
    f->asked = p->uids;
    f->since = p->changedsince != RPC_ABSENT;
    /* All have changed since 0, which the command itself cannot say. */
    if (p->changedsince == 0 && !f->asks_modseq)
        f->items[f->n_items++] = SLICE("MODSEQ");
    call->command.vanished = p->vanished;
    call->enable = p->vanished && !op->session ? &qresync : NULL;
    call->part = call->set; /* what fits() looks at */
    call->wants_fresh = call->set.star || (call->set.n && call->set.ranges[call->set.n - 1].last == UINT32_MAX);
    call->command.set = &call->part;
    call->command.items = f->items;
    call->command.n_items = f->n_items;
    call->command.modseq = f->since ? (uint64_t) p->changedsince : 0;
    return imap_call_submit(call);
}

static int fetch_run(struct op *op)
{
    return fetch_messages(op, op->params);
}

const struct op_handler imap_fetch_handler = {.run = fetch_run};

/* --- partial --- */

static int partial_run(struct op *op)
{
    const struct api_imap_partial_params *p = op->params;
    struct api_imap_fetch_params *f = arena_alloc(&op->arena, sizeof(*f));
    uint32_t *number = arena_alloc(&op->arena, sizeof(*number));
    struct slice *item = arena_alloc(&op->arena, sizeof(*item));
    size_t size = p->section.len + sizeof("BODY.PEEK[]<4294967295.4294967295>");
    char *text = arena_alloc(&op->arena, size);
    if (!f || !number || !item || !text)
        return op_refuse(op, FAULT_LIMIT, "out of memory");
    int len = snprintf(text, size, "BODY.PEEK[%.*s]<%lld.%lld>", (int) p->section.len, p->section.len ? p->section.data : "",
                       (long long) p->start, (long long) p->length);
    *item = slice_of(text, (size_t) len);
    *number = (uint32_t) p->number;
    *f = (struct api_imap_fetch_params){.common = p->common, .changedsince = RPC_ABSENT};
    f->numbers = (struct rpc_set){.numbers = number, .n = 1, .given = true};
    f->items = (struct rpc_strings){item, 1};
    if (!imap_item_is_valid(*item))
        return op_refuse(op, FAULT_INVALID_PARAMS, "section: no section of a message is named so");
    return fetch_messages(op, f);
}

const struct op_handler imap_partial_handler = {.run = partial_run};
