/* SPDX-License-Identifier: MIT */
/* Items of a fetched message as members of its object, and sections without their transfer encoding. */
#include "method_imap_fetch.h"

#include <errno.h>

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
    mime_defect(&f->json.decoder, key);
}

static int write_value(struct fetch_call *f, struct json_writer *w, const struct imap_fetch_item *item)
{
    uint64_t n;
    const struct imap_value *v = &item->value;
    switch (item->kind) {
    case IMAP_ITEM_FLAGS:
        return v->type == IMAP_LIST ? imap_json_flags(w, v->bytes) : -EBADMSG;
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
    if (item->kind == IMAP_ITEM_OTHER) {
        keep_raw(f, item);
        return;
    }
    if (item->kind == IMAP_ITEM_BODYSTRUCTURE && f->n_decoded)
        learn_encodings(f, &item->value);
    if (!key || (*had & IMAP_ITEM_BIT(item->kind)) || (item->kind == IMAP_ITEM_BODYSTRUCTURE && f->hide_structure))
        return;
    *had |= IMAP_ITEM_BIT(item->kind);
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
