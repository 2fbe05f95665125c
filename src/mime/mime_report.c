/* SPDX-License-Identifier: MIT */
#include "mime_report.h"

#include "mime_internal.h"

#include <errno.h>

static bool kind_of(const struct mime_part *p, enum mime_report_kind *ret)
{
    static const struct {
        const char *subtype;
        enum mime_report_kind kind;
    } kinds[] = {
        {"delivery-status", MIME_REPORT_DELIVERY},
        {"global-delivery-status", MIME_REPORT_DELIVERY},
        {"disposition-notification", MIME_REPORT_DISPOSITION},
        {"global-disposition-notification", MIME_REPORT_DISPOSITION},
        {"feedback-report", MIME_REPORT_FEEDBACK},
    };
    for (size_t i = 0; slice_eq(p->type, SLICE("message")) && i < ARRAY_LEN(kinds); i++) {
        if (slice_eq(p->subtype, slice_of_str(kinds[i].subtype))) {
            *ret = kinds[i].kind;
            return true;
        }
    }
    return false;
}

const char *mime_report_kind_name(enum mime_report_kind kind)
{
    switch (kind) {
    case MIME_REPORT_DELIVERY:
        return "delivery-status";
    case MIME_REPORT_DISPOSITION:
        return "disposition-notification";
    case MIME_REPORT_FEEDBACK:
        return "feedback-report";
    }
    return "";
}

/* Message or header that came back. */
static bool is_original(const struct mime_part *p)
{
    return (slice_eq(p->type, SLICE("message")) &&
            (slice_eq(p->subtype, SLICE("rfc822")) || slice_eq(p->subtype, SLICE("global")) ||
             slice_eq(p->subtype, SLICE("global-headers")) || slice_eq(p->subtype, SLICE("rfc822-headers")))) ||
           (slice_eq(p->type, SLICE("text")) && slice_eq(p->subtype, SLICE("rfc822-headers")));
}

/* The beginning of a part's content, in the arena. */
static int read_content(struct mime_message *m, const struct mime_part *p, enum mime_read_mode mode, struct slice *ret)
{
    struct mime_part_reader *r = mime_part_reader_new(m, p, mode);
    struct buffer all;
    struct slice piece;
    int e = r ? 0 : -ENOMEM;
    buffer_init(&all, MIME_REPORT_BYTES_MAX);
    while (e == 0) {
        e = mime_part_read(r, &piece);
        if (e < 0 || piece.len == 0)
            break;
        struct slice part = slice_to(piece, buffer_room(&all));
        e = buffer_append_slice(&all, part) < 0 ? -ENOMEM : 0;
        if (part.len < piece.len) {
            if (mode == MIME_READ_TEXT)
                mime_defect(&m->decoder, "a report is too long");
            break;
        }
    }
    if (e == 0)
        e = arena_dup_slice(m->decoder.arena, buffer_slice(&all), ret);
    buffer_done(&all);
    mime_part_reader_free(r);
    return e < 0 ? e : 0;
}

/* The fields up to an empty line; *rest goes behind all empty lines. */
static struct slice next_group(struct slice *rest)
{
    struct mime_field f;
    while (rest->len && rest->data[0] == '\n')
        *rest = slice_from(*rest, 1);
    struct slice group = *rest;
    while (mime_field_next(rest, &f))
        ;
    group.len -= rest->len;
    return group;
}

/* "type; value" → value */
static struct slice without_type(struct slice s)
{
    size_t semicolon = slice_find(s, ';');
    return semicolon < s.len ? slice_trim(slice_from(s, semicolon + 1)) : s;
}

enum { TYPED = 1, WORD = 2, LOWER = 4 };

static int take_value(struct mime_decoder *d, const struct mime_field *f, unsigned how, struct slice *to)
{
    struct slice text, raw = how & TYPED ? without_type(f->value) : f->value;
    if (to->data)
        return 0;
    if (how & WORD) {
        size_t start = mime_skip_cfws(raw, 0), end = start;
        while (end < raw.len && !mime_is_space(raw.data[end]) && raw.data[end] != '(' && raw.data[end] != ';')
            end++;
        raw = slice_of(raw.data + start, end - start);
    }
    int r = mime_decode_text(d, raw, &text);
    if (r < 0 || text.len == 0)
        return r;
    for (size_t i = 0; (how & LOWER) && i < text.len; i++)
        ((char *) (uintptr_t) text.data)[i] = ascii_lower(text.data[i]);
    /* "<ann@example.com>" is not what the grammar wants, and means the same. */
    if ((how & TYPED) && text.len > 2 && text.data[0] == '<' && text.data[text.len - 1] == '>')
        text = slice_of(text.data + 1, text.len - 2);
    *to = text;
    return 0;
}

/* One recipient's group; *ret_any: it says something of a recipient. */
static int read_recipient(struct mime_decoder *d, struct slice group, struct mime_report_recipient *to, bool *ret_any)
{
    const struct {
        const char *name;
        unsigned how;
        struct slice *to;
    } known[] = {
        {"final-recipient", TYPED, &to->final_recipient},
        {"original-recipient", TYPED, &to->original_recipient},
        {"original-rcpt-to", TYPED, &to->original_recipient},
        {"action", WORD | LOWER, &to->action},
        {"status", WORD, &to->status},
        {"remote-mta", TYPED, &to->remote_mta},
        {"diagnostic-code", TYPED, &to->diagnostic},
        {"disposition", LOWER, &to->disposition},
    };
    struct mime_field f;
    int r = 0;
    to->fields = group;
    while (r == 0 && mime_field_next(&group, &f))
        for (size_t i = 0; i < ARRAY_LEN(known) && r == 0; i++)
            if (slice_eq_ci(f.name, slice_of_str(known[i].name)))
                r = take_value(d, &f, known[i].how, known[i].to);
    *ret_any = to->final_recipient.data || to->original_recipient.data || to->action.data || to->disposition.data;
    return r;
}

static int add_recipient(struct mime_decoder *d, struct slice group, struct mime_report_recipient ***tail)
{
    struct mime_report_recipient one = {0}, *kept;
    bool any;
    int r = read_recipient(d, group, &one, &any);
    if (r < 0 || !any)
        return r;
    kept = arena_alloc(d->arena, sizeof(*kept));
    if (!kept)
        return -ENOMEM;
    *kept = one;
    **tail = kept;
    *tail = &kept->next;
    return 0;
}

/* Complaints name several recipients in fields of one name. */
static int feedback_recipients(struct mime_decoder *d, struct slice group, struct mime_report_recipient ***tail)
{
    struct mime_field f;
    size_t n = 0;
    int r = 0;
    while (r == 0 && n < MIME_REPORT_RECIPIENTS_MAX && mime_field_next(&group, &f)) {
        if (slice_eq_ci(f.name, SLICE("original-rcpt-to"))) {
            r = add_recipient(d, f.line, tail);
            n++;
        }
    }
    return r;
}

static int read_groups(struct mime_decoder *d, struct slice content, struct mime_report *report)
{
    struct mime_report_recipient **tail = &report->recipients;
    size_t n = 0;
    int r = 0;
    report->fields = next_group(&content);
    switch (report->kind) {
    case MIME_REPORT_DISPOSITION:
        return add_recipient(d, report->fields, &tail);
    case MIME_REPORT_FEEDBACK:
        return feedback_recipients(d, report->fields, &tail);
    case MIME_REPORT_DELIVERY:
        break;
    }
    /* Some leave out the empty line behind the fields of the message. */
    if (slice_trim(content).len == 0)
        return add_recipient(d, report->fields, &tail);
    while (r == 0 && content.len) {
        struct slice group = next_group(&content);
        if (n++ == MIME_REPORT_RECIPIENTS_MAX) {
            mime_defect(d, "a report on too many recipients");
            break;
        }
        r = add_recipient(d, group, &tail);
    }
    return r;
}

static int read_original(struct mime_message *m, struct mime_report *report)
{
    struct slice header, *ids;
    struct mime_field f;
    size_t n;
    int r = read_content(m, report->original, MIME_READ_BYTES, &header);
    while (r == 0 && header.len && mime_is_space(header.data[0]))
        header = slice_from(header, 1);
    while (r == 0 && !report->original_message_id.data && mime_field_next(&header, &f)) {
        if (!slice_eq_ci(f.name, SLICE("message-id")))
            continue;
        r = mime_parse_message_ids(&m->decoder, f.value, &ids, &n);
        if (r == 0 && n)
            report->original_message_id = ids[0];
    }
    return r;
}

/* Where no message came back, the report itself may name it. */
static int named_message(struct mime_message *m, struct mime_report *report)
{
    struct slice group = report->fields, *ids;
    struct mime_field f;
    size_t n;
    int r = 0;
    while (r == 0 && !report->original_message_id.data && mime_field_next(&group, &f)) {
        if (!slice_eq_ci(f.name, SLICE("original-message-id")))
            continue;
        r = mime_parse_message_ids(&m->decoder, f.value, &ids, &n);
        if (r == 0 && n)
            report->original_message_id = ids[0];
    }
    return r;
}

int mime_report_find(struct mime_message *m, struct mime_report **ret)
{
    struct mime_report found = {0};
    struct slice content = SLICE_EMPTY;
    struct mime_report *kept;
    for (const struct mime_part *p = m->root; p; p = p->following) {
        if (p->is_multipart)
            continue;
        if (!found.part && kind_of(p, &found.kind))
            found.part = p;
        else if (found.part && !found.original && is_original(p))
            found.original = p;
    }
    *ret = NULL;
    if (!found.part)
        return 0;
    int r = read_content(m, found.part, MIME_READ_TEXT, &content);
    if (r == 0)
        r = read_groups(&m->decoder, content, &found);
    if (r == 0 && found.original)
        r = read_original(m, &found);
    if (r == 0)
        r = named_message(m, &found);
    if (r < 0)
        return r;
    kept = arena_alloc(m->decoder.arena, sizeof(*kept));
    if (!kept)
        return -ENOMEM;
    *kept = found;
    *ret = kept;
    return 0;
}
