/* SPDX-License-Identifier: MIT */
#include "mail_json.h"

#include "mime_report.h"
#include "utf8.h"

#include <errno.h>
#include <stdlib.h>

#define SCRATCH_MAX (64u << 20) /* of one header, decoded: more than MIME_HEADER_BYTES_MAX can come to */

/* A decoded field, for grouping. */
struct named_value {
    struct slice name, value;
    size_t index, leader; /* leader: index of the first of that name */
};

static int by_name(const void *a, const void *b)
{
    const struct named_value *x = a, *y = b;
    size_t n = MIN(x->name.len, y->name.len);
    int c = n ? memcmp(x->name.data, y->name.data, n) : 0;
    if (c == 0 && x->name.len != y->name.len)
        c = x->name.len < y->name.len ? -1 : 1;
    return c ? c : x->index < y->index ? -1 : x->index > y->index;
}

static int by_leader(const void *a, const void *b)
{
    const struct named_value *x = a, *y = b;
    if (x->leader != y->leader)
        return x->leader < y->leader ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static int decode_field(struct mime_decoder *d, const struct mime_field *f, size_t index, struct named_value *ret)
{
    char where[64] = "header ";
    const char *saved = d->where;
    int r = mime_decode_text(d, f->name, &ret->name);
    if (r < 0)
        return r;
    size_t n = MIN(ret->name.len, sizeof(where) - 8);
    for (size_t i = 0; i < ret->name.len; i++)
        ((char *) (uintptr_t) ret->name.data)[i] = ascii_lower(ret->name.data[i]);
    memcpy(where + 7, ret->name.data, utf8_valid_prefix(ret->name.data, n));
    d->where = where;
    r = mime_decode_text(d, f->value, &ret->value);
    d->where = saved;
    ret->index = index;
    return r;
}

/* All fields with their names in lower case, those of one name together, in the order of first appearance. */
static int decode_fields(struct mime_message *m, const struct mime_part *part, struct named_value **ret, size_t *ret_n)
{
    struct slice header, rest;
    struct mime_field f;
    size_t n = 0, k = 0;
    int r = mime_message_header(m, part, m->decoder.arena, &header);
    if (r < 0)
        return r;
    for (rest = header; mime_field_next(&rest, &f);)
        n += f.name.len != 0;
    struct named_value *all = calloc(n ? n : 1, sizeof(*all));
    if (!all)
        return -ENOMEM;
    for (rest = header; r == 0 && k < n && mime_field_next(&rest, &f);) {
        if (f.name.len) {
            r = decode_field(&m->decoder, &f, k, &all[k]);
            k++;
        }
    }
    qsort(all, n, sizeof(*all), by_name);
    for (size_t i = 0; i < n; i++)
        all[i].leader = i && slice_eq(all[i].name, all[i - 1].name) ? all[i - 1].leader : all[i].index;
    qsort(all, n, sizeof(*all), by_leader);
    *ret = all;
    *ret_n = n;
    return r;
}

/* What is decoded for an answer lives until it is written; ten thousand parts must not add up. */
static void scratch_begin(struct mime_message *m, struct arena *scratch)
{
    arena_init(scratch, SCRATCH_MAX);
    m->decoder.arena = scratch;
}

static void scratch_end(struct mime_message *m, struct arena *scratch)
{
    m->decoder.arena = &m->arena;
    arena_done(scratch);
}

int mail_write_headers(struct json_writer *w, struct mime_message *m, const struct mime_part *part)
{
    struct named_value *all = NULL;
    struct arena scratch;
    size_t n = 0;
    scratch_begin(m, &scratch);
    int r = decode_fields(m, part, &all, &n);
    json_write_key(w, "headers");
    json_write_object_begin(w);
    for (size_t i = 0; i < n && r == 0;) {
        size_t leader = all[i].leader;
        json_write_key_slice(w, all[i].name);
        json_write_array_begin(w);
        for (; i < n && all[i].leader == leader; i++)
            json_write_string(w, all[i].value);
        json_write_array_end(w);
    }
    json_write_object_end(w);
    free(all);
    scratch_end(m, &scratch);
    return r;
}

static void write_addresses(struct json_writer *w, const struct mime_address *list)
{
    json_write_array_begin(w);
    for (; list; list = list->next) {
        json_write_object_begin(w);
        if (list->is_group) {
            json_write_member_string(w, "group", list->name);
            json_write_key(w, "members");
            write_addresses(w, list->members);
        } else {
            json_write_key(w, "name");
            json_write_string_or_null(w, list->name);
            json_write_member_string(w, "address", list->address);
        }
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

/* The fields that are known by name: their first occurrence, but for lists, which are joined. */
struct known_fields {
    struct mime_address *lists[6];
    size_t n_addresses;
    struct slice subject;
    bool has_subject, has_date, date_ok;
    struct mime_date date;
    struct slice *ids[3];
    size_t n_ids[3];
};
static const char *const list_names[6] = {"from", "sender", "reply-to", "to", "cc", "bcc"};
static const char *const list_keys[6] = {"from", "sender", "reply_to", "to", "cc", "bcc"};
static const char *const id_names[3] = {"message-id", "in-reply-to", "references"};

static size_t index_of(struct slice name, const char *const *names, size_t n)
{
    size_t i = 0;
    while (i < n && !slice_eq_ci(name, slice_of_str(names[i])))
        i++;
    return i;
}

static int take_known(struct mime_decoder *d, const struct mime_field *f, struct known_fields *k)
{
    size_t i = index_of(f->name, list_names, ARRAY_LEN(list_names));
    if (i < ARRAY_LEN(list_names)) {
        struct mime_address **tail = &k->lists[i];
        while (*tail)
            tail = &(*tail)->next;
        if (k->n_addresses > MIME_ADDRESSES_MAX) {
            mime_defect(d, "too many addresses");
            return 0;
        }
        int r = mime_parse_addresses(d, f->value, tail);
        k->n_addresses += r == 0 ? mime_address_count(*tail) : 0;
        return r;
    }
    i = index_of(f->name, id_names, ARRAY_LEN(id_names));
    if (i < ARRAY_LEN(id_names))
        return k->n_ids[i] ? 0 : mime_parse_message_ids(d, f->value, &k->ids[i], &k->n_ids[i]);
    if (!k->has_subject && slice_eq_ci(f->name, SLICE("subject"))) {
        k->has_subject = true;
        return mime_decode_text(d, f->value, &k->subject);
    }
    if (!k->has_date && slice_eq_ci(f->name, SLICE("date"))) {
        k->has_date = true;
        k->date_ok = mime_parse_date(f->value, &k->date);
        if (!k->date_ok)
            mime_defect(d, "date: it cannot be understood");
    }
    return 0;
}

static int read_known(struct mime_message *m, struct known_fields *k)
{
    struct slice header;
    struct mime_field f;
    int r = mime_message_header(m, m->root, m->decoder.arena, &header);
    while (r == 0 && mime_field_next(&header, &f))
        r = take_known(&m->decoder, &f, k);
    return r;
}

int mail_write_known(struct json_writer *w, struct mime_message *m)
{
    struct known_fields k = {0};
    struct arena scratch;
    char date[MIME_DATE_MAX];
    scratch_begin(m, &scratch);
    int r = read_known(m, &k);
    if (r < 0) {
        scratch_end(m, &scratch);
        return r;
    }
    json_write_key(w, "subject");
    json_write_string_or_null(w, k.has_subject && !k.subject.data ? SLICE("") : k.subject);
    for (size_t i = 0; i < ARRAY_LEN(list_keys); i++) {
        json_write_key(w, list_keys[i]);
        write_addresses(w, k.lists[i]);
    }
    json_write_key(w, "date");
    if (k.date_ok)
        json_write_string(w, slice_of(date, mime_format_iso_date(&k.date, date)));
    else
        json_write_null(w);
    json_write_key(w, "message_id");
    json_write_string_or_null(w, k.n_ids[0] ? k.ids[0][0] : SLICE_EMPTY);
    for (size_t i = 1; i < ARRAY_LEN(id_names); i++) {
        json_write_key(w, i == 1 ? "in_reply_to" : "references");
        json_write_array_begin(w);
        for (size_t n = 0; n < k.n_ids[i]; n++)
            json_write_string(w, k.ids[i][n]);
        json_write_array_end(w);
    }
    scratch_end(m, &scratch);
    return 0;
}

void mail_write_content_type(struct json_writer *w, const struct mime_part *p)
{
    char text[512];
    size_t n = MIN(p->type.len, (size_t) 200), k = MIN(p->subtype.len, (size_t) 200);
    memcpy(text, p->type.data, n);
    text[n] = '/';
    memcpy(text + n + 1, p->subtype.data, k);
    json_write_member_string(w, "content_type", slice_of(text, n + 1 + k));
}

void mail_write_member_or_null(struct json_writer *w, const char *key, struct slice s)
{
    json_write_key(w, key);
    json_write_string_or_null(w, s.len ? s : SLICE_EMPTY);
}

int mail_write_report(struct json_writer *w, struct mime_message *m)
{
    struct mime_report *report;
    struct arena scratch;
    scratch_begin(m, &scratch);
    int r = mime_report_find(m, &report);
    if (r == 0 && !report) {
        json_write_member_null(w, "report");
    } else if (r == 0) {
        json_write_key(w, "report");
        json_write_object_begin(w);
        json_write_member_string(w, "type", slice_of_str(mime_report_kind_name(report->kind)));
        json_write_member_string(w, "part", report->part->number);
        mail_write_member_or_null(w, "original", report->original ? report->original->number : SLICE_EMPTY);
        mail_write_member_or_null(w, "original_message_id", report->original_message_id);
        json_write_key(w, "recipients");
        json_write_array_begin(w);
        for (const struct mime_report_recipient *to = report->recipients; to; to = to->next) {
            json_write_object_begin(w);
            mail_write_member_or_null(w, "final_recipient", to->final_recipient);
            mail_write_member_or_null(w, "original_recipient", to->original_recipient);
            mail_write_member_or_null(w, "action", to->action);
            mail_write_member_or_null(w, "status", to->status);
            mail_write_member_or_null(w, "remote_mta", to->remote_mta);
            mail_write_member_or_null(w, "diagnostic", to->diagnostic);
            mail_write_member_or_null(w, "disposition", to->disposition);
            json_write_object_end(w);
        }
        json_write_array_end(w);
        json_write_object_end(w);
    }
    scratch_end(m, &scratch);
    return r;
}

static void write_params(struct json_writer *w, const struct mime_params *params)
{
    json_write_key(w, "params");
    json_write_object_begin(w);
    for (size_t i = 0; i < params->n; i++) {
        json_write_key_slice(w, params->list[i].name);
        json_write_string(w, params->list[i].value);
    }
    json_write_object_end(w);
}

/* The tree of parts; its depth is bounded by MIME_DEPTH_MAX. */
void mail_write_structure(struct json_writer *w, const struct mime_part *p)
{
    json_write_object_begin(w);
    json_write_member_string(w, "part", p->number);
    mail_write_content_type(w, p);
    write_params(w, &p->params);
    mail_write_member_or_null(w, "disposition", p->disposition);
    mail_write_member_or_null(w, "filename", p->filename);
    mail_write_member_or_null(w, "content_id", p->content_id);
    json_write_member_string(w, "encoding", p->encoding_name);
    json_write_member_uint(w, "size", p->is_multipart ? p->body_size : p->decoded_size);
    if (p->is_multipart) {
        json_write_key(w, "children");
        json_write_array_begin(w);
        for (const struct mime_part *c = p->children; c; c = c->next)
            mail_write_structure(w, c);
        json_write_array_end(w);
    }
    json_write_object_end(w);
}
