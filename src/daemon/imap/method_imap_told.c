/* SPDX-License-Identifier: MIT */
#include "method_imap_told.h"

#include "imap_mailbox.h"

#include <errno.h>
#include <string.h>

struct kept {
    enum imap_data kind;
    size_t len;
};

void imap_told_init(struct imap_told *t)
{
    buffer_init(&t->kept, IMAP_TOLD_MAX);
    t->utf8_names = false;
}

void imap_told_done(struct imap_told *t)
{
    buffer_done(&t->kept);
}

int imap_told_keep(struct imap_told *t, const struct imap_response *r)
{
    struct kept head = {.kind = r->data, .len = r->text.len};
    if (buffer_room(&t->kept) < sizeof(head) + r->text.len)
        return -EMSGSIZE;
    int ret = buffer_append(&t->kept, &head, sizeof(head));
    return ret < 0 ? ret : buffer_append_slice(&t->kept, r->text);
}

/* The next answer of this kind. */
static bool next(struct slice *rest, enum imap_data kind, struct slice *ret)
{
    struct kept head;
    while (rest->len >= sizeof(head)) {
        memcpy(&head, rest->data, sizeof(head));
        *ret = slice_to(slice_from(*rest, sizeof(head)), head.len);
        *rest = slice_from(*rest, sizeof(head) + head.len);
        if (head.kind == kind)
            return true;
    }
    return false;
}

bool imap_told_has(const struct imap_told *t, enum imap_data kind)
{
    struct slice rest = buffer_slice(&t->kept), text;
    return next(&rest, kind, &text);
}

/* --- values --- */

static void write_text(struct json_writer *w, const struct imap_value *v)
{
    struct buffer scratch;
    struct slice text = SLICE_EMPTY;
    buffer_init(&scratch, IMAP_TOLD_MAX);
    int ret = imap_value_text(v, &scratch, &text);
    if (ret < 0 && !w->error)
        w->error = ret;
    json_write_string_or_null(w, text);
    buffer_done(&scratch);
}

static void write_mailbox(const struct imap_told *t, struct json_writer *w, const struct imap_value *v)
{
    struct buffer scratch, decoded;
    struct slice text = SLICE_EMPTY;
    bool odd;
    buffer_init(&scratch, IMAP_TOLD_MAX);
    buffer_init(&decoded, IMAP_TOLD_MAX);
    int ret = imap_value_text(v, &scratch, &text);
    if (ret == 0)
        ret = imap_mailbox_take(text, t->utf8_names, &decoded, &odd);
    if (ret < 0 && !w->error)
        w->error = ret;
    json_write_string(w, buffer_len(&decoded) ? buffer_slice(&decoded) : SLICE(""));
    buffer_done(&scratch);
    buffer_done(&decoded);
}

struct name {
    struct hash_node node;
    struct slice text;
};

void imap_names_init(struct imap_names *n)
{
    hash_table_init(&n->table);
    arena_init(&n->arena, 2 * IMAP_TOLD_MAX);
}

void imap_names_done(struct imap_names *n)
{
    hash_table_done(&n->table);
    arena_done(&n->arena);
}

int imap_names_new(struct imap_names *n, struct slice text)
{
    uint64_t hash = hash_slice(text);
    for (struct hash_node *h = hash_table_find(&n->table, hash); h; h = hash_next(h))
        if (slice_eq(container_of(h, struct name, node)->text, text))
            return 0;
    struct name *name = arena_alloc(&n->arena, sizeof(*name));
    int ret = name ? arena_dup_slice(&n->arena, text, &name->text) : -ENOMEM;
    if (ret == 0)
        ret = hash_table_insert(&n->table, hash, &name->node);
    return ret < 0 ? ret : 1;
}

/* Writes the key. False: it was there before, or memory is out (the writer's error). */
static bool write_name(struct imap_names *n, struct json_writer *w, const struct imap_value *v)
{
    struct buffer scratch;
    struct slice text = SLICE_EMPTY;
    buffer_init(&scratch, IMAP_TOLD_MAX);
    int ret = imap_value_text(v, &scratch, &text);
    if (ret == 0)
        ret = imap_names_new(n, text);
    if (ret < 0 && !w->error)
        w->error = ret;
    if (ret > 0)
        json_write_key_slice(w, text);
    buffer_done(&scratch);
    return ret > 0;
}

static bool take_string(struct slice *rest, struct imap_value *ret)
{
    return imap_value_next(rest, ret) > 0 && imap_value_is_string(ret);
}

/* The strings that are left, as an array. */
static void write_strings(struct json_writer *w, const char *key, struct slice rest)
{
    struct imap_value v;
    json_write_key(w, key);
    json_write_array_begin(w);
    while (take_string(&rest, &v))
        write_text(w, &v);
    json_write_array_end(w);
}

/* --- results --- */

static void write_prefixes(const struct imap_told *t, struct json_writer *w, const char *key, struct slice *rest)
{
    struct imap_value list = {.type = IMAP_NIL}, one, prefix, delimiter;
    struct slice inside = SLICE_EMPTY;
    if (imap_value_next(rest, &list) > 0 && list.type == IMAP_LIST)
        inside = list.bytes;
    json_write_key(w, key);
    json_write_array_begin(w);
    while (imap_value_next(&inside, &one) > 0 && one.type == IMAP_LIST) {
        struct slice pair = one.bytes;
        if (!take_string(&pair, &prefix) || imap_value_next(&pair, &delimiter) <= 0 || delimiter.type == IMAP_LIST)
            continue;
        json_write_object_begin(w);
        json_write_key(w, "prefix");
        write_mailbox(t, w, &prefix);
        json_write_key(w, "delimiter");
        write_text(w, &delimiter);
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

void imap_told_namespace(const struct imap_told *t, struct json_writer *w)
{
    struct slice rest = buffer_slice(&t->kept), text = SLICE_EMPTY;
    if (!next(&rest, IMAP_DATA_NAMESPACE, &text))
        text = SLICE_EMPTY;
    write_prefixes(t, w, "personal", &text);
    write_prefixes(t, w, "other", &text);
    write_prefixes(t, w, "shared", &text);
}

void imap_told_pairs(struct imap_names *names, struct json_writer *w, struct slice rest)
{
    struct imap_value name, value;
    while (take_string(&rest, &name) && imap_value_next(&rest, &value) > 0 && value.type != IMAP_LIST)
        if (write_name(names, w, &name))
            write_text(w, &value);
}

void imap_told_id(const struct imap_told *t, struct json_writer *w)
{
    struct slice rest = buffer_slice(&t->kept), text;
    struct imap_value list;
    struct imap_names names;
    imap_names_init(&names);
    json_write_key(w, "fields");
    json_write_object_begin(w);
    if (next(&rest, IMAP_DATA_ID, &text) && imap_value_next(&text, &list) > 0 && list.type == IMAP_LIST)
        imap_told_pairs(&names, w, list.bytes);
    json_write_object_end(w);
    imap_names_done(&names);
}

void imap_told_enabled(const struct imap_told *t, struct json_writer *w)
{
    struct slice rest = buffer_slice(&t->kept), text;
    struct imap_value v;
    json_write_key(w, "enabled");
    json_write_array_begin(w);
    while (next(&rest, IMAP_DATA_ENABLED, &text))
        while (take_string(&text, &v))
            write_text(w, &v);
    json_write_array_end(w);
}

static void write_resources(struct json_writer *w, struct slice rest)
{
    struct imap_value name, usage, limit;
    uint64_t used, allowed;
    struct imap_names names;
    imap_names_init(&names);
    json_write_key(w, "resources");
    json_write_object_begin(w);
    while (take_string(&rest, &name) && take_string(&rest, &usage) && take_string(&rest, &limit)) {
        if (!imap_value_number(&usage, INT64_MAX, &used) || !imap_value_number(&limit, INT64_MAX, &allowed))
            continue;
        if (!write_name(&names, w, &name))
            continue;
        json_write_object_begin(w);
        json_write_member_uint(w, "usage", used);
        json_write_member_uint(w, "limit", allowed);
        json_write_object_end(w);
    }
    json_write_object_end(w);
    imap_names_done(&names);
}

void imap_told_quotas(const struct imap_told *t, struct json_writer *w)
{
    struct slice rest = buffer_slice(&t->kept), text;
    struct imap_value root, list;
    json_write_key(w, "quotas");
    json_write_array_begin(w);
    while (next(&rest, IMAP_DATA_QUOTA, &text)) {
        if (!take_string(&text, &root) || imap_value_next(&text, &list) <= 0 || list.type != IMAP_LIST)
            continue;
        json_write_object_begin(w);
        json_write_key(w, "root");
        write_text(w, &root);
        write_resources(w, list.bytes);
        json_write_object_end(w);
    }
    json_write_array_end(w);
}

void imap_told_quotaroots(const struct imap_told *t, struct json_writer *w)
{
    struct slice rest = buffer_slice(&t->kept), text = SLICE_EMPTY;
    struct imap_value mailbox;
    if (!next(&rest, IMAP_DATA_QUOTAROOT, &text) || !take_string(&text, &mailbox))
        text = SLICE_EMPTY;
    write_strings(w, "roots", text);
    imap_told_quotas(t, w);
}

void imap_told_acl(const struct imap_told *t, struct json_writer *w)
{
    struct slice rest = buffer_slice(&t->kept), text;
    struct imap_value mailbox;
    struct imap_names names;
    imap_names_init(&names);
    json_write_key(w, "acl");
    json_write_object_begin(w);
    if (next(&rest, IMAP_DATA_ACL, &text) && take_string(&text, &mailbox))
        imap_told_pairs(&names, w, text);
    json_write_object_end(w);
    imap_names_done(&names);
}

void imap_told_listrights(const struct imap_told *t, struct json_writer *w)
{
    struct slice rest = buffer_slice(&t->kept), text = SLICE_EMPTY;
    struct imap_value v, required = {.type = IMAP_QUOTED, .bytes = SLICE("")};
    if (!next(&rest, IMAP_DATA_LISTRIGHTS, &text) || !take_string(&text, &v) || !take_string(&text, &v) ||
        !take_string(&text, &required))
        text = SLICE_EMPTY;
    json_write_key(w, "required");
    write_text(w, &required);
    write_strings(w, "optional", text);
}

void imap_told_myrights(const struct imap_told *t, struct json_writer *w)
{
    struct slice rest = buffer_slice(&t->kept), text = SLICE_EMPTY;
    struct imap_value mailbox, rights = {.type = IMAP_QUOTED, .bytes = SLICE("")};
    if (next(&rest, IMAP_DATA_MYRIGHTS, &text) && take_string(&text, &mailbox) && !take_string(&text, &rights))
        rights = (struct imap_value){.type = IMAP_QUOTED, .bytes = SLICE("")};
    json_write_key(w, "rights");
    write_text(w, &rights);
}

void imap_told_metadata(const struct imap_told *t, struct json_writer *w)
{
    struct slice rest = buffer_slice(&t->kept), text;
    struct imap_value mailbox, list;
    struct imap_names names;
    imap_names_init(&names);
    json_write_key(w, "entries");
    json_write_object_begin(w);
    while (next(&rest, IMAP_DATA_METADATA, &text))
        if (take_string(&text, &mailbox) && imap_value_next(&text, &list) > 0 && list.type == IMAP_LIST)
            imap_told_pairs(&names, w, list.bytes);
    json_write_object_end(w);
    imap_names_done(&names);
}
