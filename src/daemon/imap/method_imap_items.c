/* SPDX-License-Identifier: MIT */
/* Items of a fetched message as members of its object, and sections without their transfer encoding. */
#include "method_imap_fetch.h"

#include "method_imap_told.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- transfer encodings --- */

/* The part that "BODY[1.2]" or a request for it names; empty: something else. */
struct slice fetch_part_of(struct slice name)
{
    struct slice part = slice_from(name, slice_find(name, '[') + 1);
    if (!slice_starts_ci(name, SLICE("BODY")) || part.len < 2 || part.data[part.len - 1] != ']')
        return SLICE_EMPTY;
    part.len--;
    for (size_t i = 0; i < part.len; i++)
        if (!ascii_is_digit(part.data[i]) && part.data[i] != '.')
            return SLICE_EMPTY;
    return part;
}

struct slice fetch_section_name(const struct fetch_call *f, struct slice name, char out[FETCH_NAME_MAX])
{
    if (!f->binary || !slice_starts_ci(name, SLICE("BINARY[")) || name.len >= FETCH_NAME_MAX)
        return name;
    struct slice section = slice_from(name, sizeof("BINARY") - 1);
    memcpy(out, "BODY", 4);
    memcpy(out + 4, section.data, section.len);
    return slice_of(out, 4 + section.len);
}

int fetch_binary_items(struct fetch_call *f, size_t *ret_n)
{
    size_t n = 0;
    if (!f->binary_items) {
        f->binary_items = calloc(f->n_items, sizeof(*f->binary_items));
        f->binary_names = calloc(f->n_items, sizeof(*f->binary_names));
        if (!f->binary_items || !f->binary_names)
            return -ENOMEM;
    }
    for (size_t i = 0; i < f->n_items; i++) {
        struct slice item = f->items[i];
        if (f->hide_structure && slice_eq(item, SLICE("BODYSTRUCTURE")))
            continue;
        if (fetch_part_of(item).len && f->n_binary_names < f->n_items) {
            /* "BODY.PEEK[1.2]" */
            struct slice rest = slice_from(item, 4);
            char *name = malloc(rest.len + sizeof("BINARY"));
            if (!name)
                return -ENOMEM;
            memcpy(name, "BINARY", 6);
            memcpy(name + 6, rest.data, rest.len);
            f->binary_names[f->n_binary_names++] = name;
            item = slice_of(name, 6 + rest.len);
        }
        f->binary_items[n++] = item;
    }
    *ret_n = n;
    return 0;
}

enum mime_encoding fetch_encoding_of(const struct fetch_call *f, struct slice name)
{
    struct slice part = fetch_part_of(name);
    for (size_t i = 0; i < f->n_decoded && part.len; i++)
        if (slice_eq(f->decoded[i].part, part))
            return f->decoded[i].encoding;
    return MIME_ENCODING_IDENTITY;
}

static void learn_encodings(struct fetch_call *f, const struct imap_value *structure)
{
    struct imap_body_parser parser;
    struct imap_body_part p;
    bool known;
    for (size_t i = 0; i < f->n_decoded; i++)
        f->decoded[i].encoding = MIME_ENCODING_IDENTITY;
    imap_body_init(&parser, structure);
    while (imap_body_next(&parser, &p) > 0)
        for (size_t i = 0; i < f->n_decoded && p.event == IMAP_BODY_LEAF; i++)
            if (slice_eq(f->decoded[i].part, p.part))
                f->decoded[i].encoding = mime_encoding_of(p.encoding.bytes, &known);
}

void fetch_note_damage(struct fetch_call *f, const struct mime_transfer *t)
{
    if (t->damaged)
        mime_defect(&f->json.decoder, "the transfer encoding of a section is damaged");
}

/* A section that came with the items. *bytes lives as long as the message. */
int fetch_decode_small(struct fetch_call *f, struct slice name, struct slice *bytes)
{
    struct mime_transfer t;
    enum mime_encoding encoding = fetch_encoding_of(f, name);
    if (encoding == MIME_ENCODING_IDENTITY || bytes->len == 0)
        return 0;
    mime_transfer_init(&t, encoding);
    char *out = arena_alloc(&f->json.arena, mime_transfer_max(&t, bytes->len) + mime_transfer_max(&t, 0));
    if (!out)
        return -ENOMEM;
    size_t n = mime_transfer_decode(&t, *bytes, out);
    n += mime_transfer_finish(&t, out + n);
    fetch_note_damage(f, &t);
    *bytes = slice_of(out, n);
    return 0;
}

/* --- items --- */

/* For `raw`: name and bytes, each with its length before it; what does not fit any more is only a defect. */
static void keep_raw(struct fetch_call *f, const struct imap_fetch_item *item)
{
    const struct slice both[] = {item->name, item->raw};
    size_t before = buffer_len(&f->raw);
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        uint32_t len = (uint32_t) both[i].len;
        if (buffer_append(&f->raw, &len, sizeof(len)) < 0 || buffer_append_slice(&f->raw, both[i]) < 0) {
            buffer_truncate(&f->raw, before);
            return;
        }
    }
}

/* The value was not understood: what of it was written goes, null stands there, its bytes are kept. */
static void not_understood(struct fetch_call *f, struct op *op, const struct imap_fetch_item *item, const char *key,
                           size_t len, struct json_writer before)
{
    if (op->w.out)
        buffer_truncate(op->w.out, len);
    op->w = before;
    json_write_null(&op->w);
    keep_raw(f, item);
    f->json.decoder.where = key;
    mime_defect(&f->json.decoder, item->broken ? "parentheses or quotes do not match" : "it cannot be understood");
    f->json.decoder.where = NULL;
}

/* Atoms, and nothing else. */
static bool are_flags(const struct imap_value *v)
{
    for (size_t i = 0; i < v->bytes.len; i++) {
        unsigned char c = (unsigned char) v->bytes.data[i];
        if (c < ' ' || c == 0x7f || c == '(' || c == ')' || c == '"' || c == '{')
            return false;
    }
    return v->type == IMAP_LIST;
}

/* This server's way to say that it has no value. */
static bool is_none(const struct fetch_call *f, const struct imap_fetch_item *item)
{
    const struct imap_quirks *q = &f->json.quirks;
    if (item->kind == IMAP_ITEM_MODSEQ)
        return imap_quirk_is_on(q, IMAP_QUIRK_ZOHO_MODSEQ) && slice_eq(slice_trim(item->value.bytes), SLICE("-1"));
    return item->kind == IMAP_ITEM_INTERNALDATE && imap_quirk_is_on(q, IMAP_QUIRK_DOMINO_DATES) &&
           slice_starts_ci(item->value.bytes, SLICE("00-Jan-0000"));
}

/* --- items of extensions --- */

static int write_string(struct fetch_call *f, struct json_writer *w, const struct imap_value *v)
{
    struct slice text;
    buffer_clear(&f->json.scratch);
    int ret = v->type == IMAP_LIST ? -EBADMSG : imap_value_text(v, &f->json.scratch, &text);
    if (ret == 0)
        json_write_string_or_null(w, text);
    return ret;
}

/* RFC 8474: an id in parentheses, or NIL. */
static int write_object_id(struct fetch_call *f, struct json_writer *w, const struct imap_value *v)
{
    struct slice inside = v->bytes;
    struct imap_value id;
    if (v->type == IMAP_LIST && imap_value_next(&inside, &id) <= 0)
        return -EBADMSG;
    return write_string(f, w, v->type == IMAP_LIST ? &id : v);
}

static int write_savedate(struct fetch_call *f, struct json_writer *w, const struct imap_value *v)
{
    (void) f;
    if (v->type != IMAP_NIL)
        return imap_value_is_string(v) ? imap_json_date(w, v->bytes) : -EBADMSG;
    json_write_null(w);
    return 0;
}

/* 64 bits without a sign, which not every reader of JSON can take as a number. */
static int write_long_number(struct fetch_call *f, struct json_writer *w, const struct imap_value *v)
{
    uint64_t n;
    return imap_value_number(v, UINT64_MAX, &n) ? write_string(f, w, v) : -EBADMSG;
}

static int write_labels(struct fetch_call *f, struct json_writer *w, const struct imap_value *v)
{
    return v->type == IMAP_LIST ? imap_json_labels(&f->json, w, v->bytes) : -EBADMSG;
}

/* RFC 5257: entries and their attributes by turns, as an object of objects. */
static int write_annotations(struct fetch_call *f, struct json_writer *w, const struct imap_value *v)
{
    struct slice rest = v->bytes, text;
    struct imap_value entry, attributes;
    struct imap_names entries, names;
    int got = 0, ret = v->type == IMAP_LIST ? 0 : -EBADMSG;
    imap_names_init(&entries);
    json_write_object_begin(w);
    while (ret == 0 && (got = imap_value_next(&rest, &entry)) > 0) {
        if (!imap_value_is_string(&entry) || imap_value_next(&rest, &attributes) <= 0 || attributes.type != IMAP_LIST) {
            ret = -EBADMSG;
            break;
        }
        buffer_clear(&f->json.scratch);
        ret = imap_value_text(&entry, &f->json.scratch, &text);
        int is_new = ret == 0 ? imap_names_new(&entries, text) : 0;
        if (is_new <= 0)
            continue;
        json_write_key_slice(w, text);
        json_write_object_begin(w);
        imap_names_init(&names);
        imap_told_pairs(&names, w, attributes.bytes);
        imap_names_done(&names);
        json_write_object_end(w);
    }
    json_write_object_end(w);
    imap_names_done(&entries);
    return ret < 0 ? ret : got;
}

static const struct extension {
    struct slice name;
    const char *key;
    int (*write)(struct fetch_call *f, struct json_writer *w, const struct imap_value *v);
} extensions[] = {
    {SLICE("EMAILID"), "emailid", write_object_id},       {SLICE("THREADID"), "threadid", write_object_id},
    {SLICE("SAVEDATE"), "savedate", write_savedate},      {SLICE("PREVIEW"), "preview", write_string},
    {SLICE("X-GM-MSGID"), "gm_msgid", write_long_number}, {SLICE("X-GM-THRID"), "gm_thrid", write_long_number},
    {SLICE("X-GM-LABELS"), "gm_labels", write_labels},    {SLICE("ANNOTATION"), "annotations", write_annotations},
};

static const struct extension *extension_of(struct slice name)
{
    size_t i = 0;
    while (i < ARRAY_LEN(extensions) - 1 && !slice_eq_ci(name, extensions[i].name))
        i++;
    return &extensions[i];
}

static int write_value(struct fetch_call *f, struct json_writer *w, const struct imap_fetch_item *item)
{
    uint64_t n;
    const struct imap_value *v = &item->value;
    if (item->broken)
        return -EBADMSG;
    if (is_none(f, item)) {
        json_write_null(w);
        return 0;
    }
    switch (item->kind) {
    case IMAP_ITEM_FLAGS:
        return are_flags(v) ? imap_json_flags(w, v->bytes) : -EBADMSG;
    case IMAP_ITEM_INTERNALDATE:
        return imap_value_is_string(v) ? imap_json_date(w, v->bytes) : -EBADMSG;
    case IMAP_ITEM_SIZE:
        if (!imap_value_number(v, INT64_MAX, &n))
            return -EBADMSG;
        json_write_uint(w, n);
        return 0;
    case IMAP_ITEM_MODSEQ:
        if (!slice_to_u64(slice_trim(v->bytes), INT64_MAX, &n))
            return -EBADMSG;
        json_write_uint(w, n);
        return 0;
    case IMAP_ITEM_ENVELOPE:
        return imap_json_envelope(&f->json, w, v);
    case IMAP_ITEM_BODYSTRUCTURE:
        return imap_json_bodystructure(&f->json, w, v);
    case IMAP_ITEM_EXTENSION:
        return extension_of(item->name)->write(f, w, v);
    case IMAP_ITEM_UID:
    case IMAP_ITEM_SECTION:
    case IMAP_ITEM_OTHER:
    case IMAP_ITEM_KIND_COUNT:
        break;
    }
    return -EINVAL;
}

static void write_item(struct fetch_call *f, struct op *op, const struct imap_fetch_item *item, unsigned *had)
{
    static const char *const keys[IMAP_ITEM_KIND_COUNT] = {
        [IMAP_ITEM_FLAGS] = "flags",       [IMAP_ITEM_INTERNALDATE] = "internaldate",   [IMAP_ITEM_SIZE] = "size",
        [IMAP_ITEM_MODSEQ] = "modseq",     [IMAP_ITEM_ENVELOPE] = "envelope",           [IMAP_ITEM_BODYSTRUCTURE] = "bodystructure",
    };
    const char *key = keys[item->kind];
    unsigned bit = IMAP_ITEM_BIT(item->kind);
    if (item->kind == IMAP_ITEM_EXTENSION) {
        const struct extension *x = extension_of(item->name);
        key = x->key;
        bit = IMAP_ITEM_BIT(IMAP_ITEM_KIND_COUNT + (unsigned) (x - extensions));
    }
    f->odd_items = f->odd_items || item->surplus;
    if (item->kind == IMAP_ITEM_OTHER) {
        keep_raw(f, item);
        if (item->broken)
            mime_defect(&f->json.decoder, "an unknown item cannot be understood");
        return;
    }
    if (item->kind == IMAP_ITEM_SECTION && (item->broken || item->value.type == IMAP_LIST)) {
        keep_raw(f, item);
        mime_defect(&f->json.decoder, "a section cannot be understood");
        return;
    }
    if (item->kind == IMAP_ITEM_BODYSTRUCTURE && f->n_decoded)
        learn_encodings(f, &item->value);
    if (!key || (*had & bit) || (item->kind == IMAP_ITEM_BODYSTRUCTURE && f->hide_structure))
        return;
    *had |= bit;
    json_write_key(&op->w, key);
    struct json_writer before = op->w;
    size_t len = op->w.out ? buffer_len(op->w.out) : 0;
    if (write_value(f, &op->w, item) < 0)
        not_understood(f, op, item, key, len, before);
}

/* Members of the message from one segment's items; sections are left for the end. */
void fetch_write_items(struct fetch_call *f, struct op *op, struct slice items, unsigned *had)
{
    struct imap_fetch_item item;
    int got;
    while ((got = imap_fetch_next(&items, &item)) > 0)
        write_item(f, op, &item, had);
    if (got < 0 || items.len == 0 || items.data[0] != ')')
        f->odd_items = f->odd_items || got < 0;
}
