/* SPDX-License-Identifier: MIT */
/* What IMAP servers say, as the contract's JSON: written straight from the response's slices; only what is encoded in
 * some way (RFC 2047, 2231, backslashes) goes through the decoder. */
#include "method_imap.h"

#include "imap_mailbox.h"

#include <errno.h>

#define ARENA_MAX (8u * 1024 * 1024)
#define SCRATCH_MAX (8u * 1024 * 1024)

void imap_json_init(struct imap_json *j)
{
    arena_init(&j->arena, ARENA_MAX);
    j->defects = (struct mime_defects){.n = 0};
    mime_decoder_init(&j->decoder, &j->arena, &j->defects);
    buffer_init(&j->scratch, SCRATCH_MAX);
    j->utf8_names = false;
}

void imap_json_reset(struct imap_json *j)
{
    if (j->arena.used > 0) {
        arena_done(&j->arena);
        arena_init(&j->arena, ARENA_MAX);
    }
    j->defects.n = j->defects.more = 0;
    buffer_clear(&j->scratch);
}

void imap_json_done(struct imap_json *j)
{
    mime_decoder_done(&j->decoder);
    arena_done(&j->arena);
    buffer_done(&j->scratch);
}

/* Says itself: printable ASCII without encoded words. */
static bool is_plain(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char) s.data[i];
        if (c < 0x20 || c > 0x7e || (c == '=' && i + 1 < s.len && s.data[i + 1] == '?'))
            return false;
    }
    return true;
}

static int text_of(struct imap_json *j, const struct imap_value *v, struct slice *ret)
{
    buffer_clear(&j->scratch);
    return imap_value_text(v, &j->scratch, ret);
}

/* A header's text: null, or decoded. */
static int write_text(struct imap_json *j, struct json_writer *w, const char *key, const struct imap_value *v,
                      const char *where)
{
    struct slice text;
    int ret = text_of(j, v, &text);
    if (ret < 0)
        return ret;
    if (text.data && !is_plain(text)) {
        j->decoder.where = where;
        ret = mime_decode_text(&j->decoder, text, &text);
        if (ret < 0)
            return ret;
    }
    json_write_key(w, key);
    json_write_string_or_null(w, text);
    return 0;
}

static void write_lower(struct json_writer *w, struct slice text)
{
    char lower[128];
    if (text.len > sizeof(lower)) {
        json_write_string_or_null(w, text);
        return;
    }
    for (size_t i = 0; i < text.len; i++)
        lower[i] = ascii_lower(text.data[i]);
    json_write_string_or_null(w, text.data ? slice_of(lower, text.len) : text);
}

int imap_json_date(struct json_writer *w, struct slice raw)
{
    struct mime_date date;
    char iso[MIME_DATE_MAX];
    if (!mime_parse_date(raw, &date)) {
        json_write_null(w);
        return -EBADMSG;
    }
    json_write_string(w, slice_of(iso, mime_format_iso_date(&date, iso)));
    return 0;
}

int imap_json_flags(struct json_writer *w, struct slice flags)
{
    json_write_array_begin(w);
    while (flags.len) {
        struct slice flag = imap_word_next(&flags);
        if (flag.len)
            json_write_string(w, flag);
    }
    json_write_array_end(w);
    return 0;
}

int imap_json_labels(struct imap_json *j, struct json_writer *w, struct slice labels)
{
    struct imap_value v;
    int got, ret = 0;
    json_write_array_begin(w);
    while (ret == 0 && (got = imap_value_next(&labels, &v)) > 0)
        ret = imap_value_is_string(&v) ? imap_json_mailbox(j, w, &v) : -EBADMSG;
    json_write_array_end(w);
    return ret < 0 ? ret : got;
}

bool imap_json_flag_change(struct json_writer *w, const struct imap_event *e, bool seq)
{
    struct slice items = e->fetch.items, flags = SLICE_EMPTY;
    struct imap_fetch_item item;
    uint64_t modseq = 0;
    bool has_flags = false;
    while (imap_fetch_next(&items, &item) > 0) {
        if (item.kind == IMAP_ITEM_FLAGS && item.value.type == IMAP_LIST) {
            flags = item.value.bytes;
            has_flags = true;
        } else if (item.kind == IMAP_ITEM_MODSEQ && !slice_to_u64(slice_trim(item.value.bytes), INT64_MAX, &modseq)) {
            modseq = 0;
        }
    }
    if (!has_flags)
        return false;
    json_write_object_begin(w);
    if (e->fetch.uid)
        json_write_member_uint(w, "uid", e->fetch.uid);
    if (seq && e->fetch.number)
        json_write_member_uint(w, "seq", e->fetch.number);
    json_write_key(w, "flags");
    imap_json_flags(w, flags);
    if (modseq)
        json_write_member_uint(w, "modseq", modseq);
    json_write_object_end(w);
    return true;
}

int imap_json_mailbox(struct imap_json *j, struct json_writer *w, const struct imap_value *name)
{
    struct slice wire;
    struct buffer decoded;
    bool odd;
    int ret = text_of(j, name, &wire);
    if (ret < 0)
        return ret;
    if (is_plain(wire) && slice_find(wire, '&') == wire.len) {
        json_write_string(w, wire);
        return 0;
    }
    buffer_init(&decoded, SCRATCH_MAX);
    ret = imap_mailbox_take(wire, j->utf8_names, &decoded, &odd);
    if (ret == 0)
        json_write_string(w, slice_of(decoded.data ? decoded.data + decoded.start : "", buffer_len(&decoded)));
    buffer_done(&decoded);
    return ret;
}

/* What was bent so that it could be understood. -EBADMSG: it could not. */
static int bent(struct imap_json *j, unsigned odd)
{
    static const struct {
        unsigned odd;
        const char *text;
    } texts[] = {
        {IMAP_ODD_NUMBER, "the body structure holds numbers that are negative or have a fraction"},
        {IMAP_ODD_DISPOSITION, "the body structure has a word where a disposition belongs"},
        {IMAP_ODD_NO_PARTS, "the body structure has a multipart without parts"},
        {IMAP_ODD_NO_MESSAGE, "the body structure has a message without a body"},
        {IMAP_ODD_PARAM, "the body structure has a parameter without a value"},
    };
    unsigned usual, refused;
    imap_quirks_odd(&j->quirks, &usual, &refused);
    odd &= ~usual;
    if (odd & (IMAP_ODD_SHAPE | IMAP_ODD_SHORT | refused))
        return -EBADMSG;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (odd & texts[i].odd)
            mime_defect(&j->decoder, texts[i].text);
    return 0;
}

/* --- ENVELOPE --- */

/* What servers write where there is no domain. */
static bool is_missing_host(const struct imap_json *j, struct slice host)
{
    static const struct slice words[] = {SLICE("MISSING_DOMAIN"), SLICE(".MISSING-HOST-NAME."), SLICE("unspecified-domain"),
                                         SLICE(".SYNTAX-ERROR.")};
    for (size_t i = 0; i < ARRAY_LEN(words) && imap_quirk_is_on(&j->quirks, IMAP_QUIRK_MISSING_HOSTS); i++)
        if (slice_eq_ci(host, words[i]))
            return true;
    return false;
}

/* "local@host". */
static int write_address(struct imap_json *j, struct json_writer *w, const struct imap_address *a)
{
    struct slice mailbox, host;
    char small[512];
    buffer_clear(&j->scratch);
    /* Both may be unescaped into the scratch; the second reservation may move the first. */
    int ret = buffer_reserve(&j->scratch, a->mailbox.bytes.len + a->host.bytes.len, &(char *){NULL});
    if (ret == 0)
        ret = imap_value_text(&a->mailbox, &j->scratch, &mailbox);
    if (ret == 0)
        ret = imap_value_text(&a->host, &j->scratch, &host);
    if (ret < 0)
        return ret;
    json_write_key(w, "address");
    if (host.len == 0 || is_missing_host(j, host)) {
        json_write_string(w, mailbox);
    } else if (mailbox.len + host.len + 1 <= sizeof(small)) {
        if (mailbox.len)
            memcpy(small, mailbox.data, mailbox.len);
        small[mailbox.len] = '@';
        memcpy(small + mailbox.len + 1, host.data, host.len);
        json_write_string(w, slice_of(small, mailbox.len + 1 + host.len));
    } else {
        char *joined = arena_alloc(&j->arena, mailbox.len + host.len + 1);
        if (!joined)
            return -ENOMEM;
        if (mailbox.len)
            memcpy(joined, mailbox.data, mailbox.len);
        joined[mailbox.len] = '@';
        memcpy(joined + mailbox.len + 1, host.data, host.len);
        json_write_string(w, slice_of(joined, mailbox.len + 1 + host.len));
    }
    return 0;
}

static int write_addresses(struct imap_json *j, struct json_writer *w, const char *key, const struct imap_value *list)
{
    struct slice rest = list->type == IMAP_LIST ? list->bytes : SLICE_EMPTY;
    struct imap_address a;
    bool in_group = false;
    int ret = 0, got = 0;
    json_write_key(w, key);
    json_write_array_begin(w);
    while (ret == 0 && (got = imap_address_next(&rest, &a)) > 0) {
        if (a.kind == IMAP_ADDRESS_GROUP_END || (a.kind == IMAP_ADDRESS_GROUP_BEGIN && in_group)) {
            if (in_group) {
                json_write_array_end(w);
                json_write_object_end(w);
            }
            in_group = false;
            if (a.kind == IMAP_ADDRESS_GROUP_END)
                continue;
        }
        json_write_object_begin(w);
        if (a.kind == IMAP_ADDRESS_GROUP_BEGIN) {
            ret = write_text(j, w, "group", &a.mailbox, key);
            json_write_key(w, "members");
            json_write_array_begin(w);
            in_group = true;
            continue;
        }
        if (a.odd)
            mime_defect(&j->decoder, "an address of the envelope is of the wrong shape");
        ret = write_text(j, w, "name", &a.name, key);
        if (ret == 0)
            ret = write_address(j, w, &a);
        json_write_object_end(w);
    }
    if (in_group) {
        json_write_array_end(w);
        json_write_object_end(w);
    }
    json_write_array_end(w);
    return ret < 0 ? ret : got;
}

static int write_ids(struct imap_json *j, struct json_writer *w, const char *key, const struct imap_value *v, bool list)
{
    struct slice text, *ids = NULL;
    size_t n = 0;
    int ret = text_of(j, v, &text);
    if (ret < 0)
        return ret;
    json_write_key(w, key);
    /* The usual: one id in brackets, nothing odd in it. */
    if (text.len > 2 && text.data[0] == '<' && text.data[text.len - 1] == '>' && is_plain(text) &&
        slice_find(slice_from(text, 1), '<') == text.len - 1 && slice_find(text, ' ') == text.len &&
        slice_find(text, '"') == text.len && slice_find(text, '(') == text.len) {
        struct slice id = slice_of(text.data + 1, text.len - 2);
        if (list)
            json_write_array_begin(w);
        json_write_string(w, id);
        if (list)
            json_write_array_end(w);
        return 0;
    }
    j->decoder.where = key;
    ret = text.len ? mime_parse_message_ids(&j->decoder, text, &ids, &n) : 0;
    if (ret < 0)
        return ret;
    if (!list) {
        json_write_string_or_null(w, n ? ids[0] : SLICE_EMPTY);
        return 0;
    }
    json_write_array_begin(w);
    for (size_t i = 0; i < n; i++)
        json_write_string(w, ids[i]);
    json_write_array_end(w);
    return 0;
}

int imap_json_envelope(struct imap_json *j, struct json_writer *w, const struct imap_value *value)
{
    struct imap_envelope e;
    struct slice date;
    int ret = imap_envelope_parse(value, &e);
    if (ret < 0)
        return ret;
    ret = bent(j, e.odd);
    if (ret < 0)
        return ret;
    json_write_object_begin(w);
    ret = text_of(j, &e.date, &date);
    if (ret < 0)
        return ret;
    json_write_key(w, "date");
    if (date.len && imap_json_date(w, date) < 0)
        mime_defect(&j->decoder, "the date is not usable");
    else if (!date.len)
        json_write_null(w);
    json_write_key(w, "date_raw");
    json_write_string_or_null(w, date);
    ret = write_text(j, w, "subject", &e.subject, "subject");
    const struct {
        const char *key;
        const struct imap_value *list;
    } lists[] = {{"from", &e.from}, {"sender", &e.sender}, {"reply_to", &e.reply_to},
                 {"to", &e.to},     {"cc", &e.cc},         {"bcc", &e.bcc}};
    for (size_t i = 0; i < ARRAY_LEN(lists) && ret == 0; i++)
        ret = write_addresses(j, w, lists[i].key, lists[i].list);
    if (ret == 0)
        ret = write_ids(j, w, "in_reply_to", &e.in_reply_to, true);
    if (ret == 0)
        ret = write_ids(j, w, "message_id", &e.message_id, false);
    json_write_object_end(w);
    j->decoder.where = NULL;
    return ret;
}

/* --- BODYSTRUCTURE --- */

#define PARAMS_MAX 64

static int write_params(struct imap_json *j, struct json_writer *w, const char *key, const struct imap_value *list)
{
    struct mime_param pairs[PARAMS_MAX];
    struct mime_params decoded = {NULL, 0};
    struct slice rest = list->type == IMAP_LIST ? list->bytes : SLICE_EMPTY;
    struct imap_value name, value;
    size_t n = 0;
    bool plain = true;
    int got = 0, ret = 0;
    while (n < PARAMS_MAX && ret == 0 && (got = imap_value_next(&rest, &name)) > 0) {
        got = imap_value_next(&rest, &value);
        if (got <= 0 || !imap_value_is_string(&name) || value.type == IMAP_LIST)
            return -EBADMSG;
        pairs[n] = (struct mime_param){name.bytes, value.type == IMAP_NIL ? SLICE("") : value.bytes};
        if (value.escaped) {
            buffer_clear(&j->scratch);
            ret = imap_value_text(&value, &j->scratch, &pairs[n].value);
            if (ret == 0)
                ret = arena_dup_slice(&j->arena, pairs[n].value, &pairs[n].value);
        }
        plain = plain && is_plain(pairs[n].value) && slice_find(name.bytes, '*') == name.bytes.len;
        n++;
    }
    if (got < 0 || ret < 0)
        return got < 0 ? got : ret;
    if (!plain) {
        ret = mime_decode_params(&j->decoder, pairs, n, &decoded);
        if (ret < 0)
            return ret;
    }
    json_write_key(w, key);
    json_write_object_begin(w);
    for (size_t i = 0; i < (plain ? n : decoded.n); i++) {
        const struct mime_param *p = plain ? &pairs[i] : &decoded.list[i];
        char lower[64];
        for (size_t k = 0; k < p->name.len && k < sizeof(lower); k++)
            lower[k] = ascii_lower(p->name.data[k]);
        bool again = false; /* a key that came before: JSON has one of each */
        for (size_t k = 0; k < i && !again; k++)
            again = slice_eq_ci(p->name, plain ? pairs[k].name : decoded.list[k].name);
        if (again)
            continue;
        json_write_key_slice(w, p->name.len <= sizeof(lower) ? slice_of(lower, p->name.len) : p->name);
        json_write_string(w, slice_of(p->value.data ? p->value.data : "", p->value.len));
    }
    json_write_object_end(w);
    return 0;
}

static int write_lower_value(struct imap_json *j, struct json_writer *w, const char *key, const struct imap_value *v)
{
    struct slice text;
    int ret = text_of(j, v, &text);
    if (ret < 0)
        return ret;
    json_write_key(w, key);
    write_lower(w, text);
    return 0;
}

/* Type and subtype are always strings. */
static int write_media(struct imap_json *j, struct json_writer *w, const char *key, const struct imap_value *v)
{
    static const struct imap_value none = {.type = IMAP_QUOTED};
    return write_lower_value(j, w, key, v->type == IMAP_NIL ? &none : v);
}

/* A string or a list of strings: always an array. */
static int write_language(struct imap_json *j, struct json_writer *w, const struct imap_value *v)
{
    struct slice rest = v->bytes, text;
    struct imap_value item = *v;
    int got = 1, ret = 0;
    json_write_key(w, "language");
    json_write_array_begin(w);
    if (v->type != IMAP_LIST) {
        ret = text_of(j, v, &text);
        if (ret == 0)
            json_write_string(w, text);
    }
    while (v->type == IMAP_LIST && ret == 0 && (got = imap_value_next(&rest, &item)) > 0) {
        if (!imap_value_is_string(&item))
            continue;
        ret = text_of(j, &item, &text);
        if (ret == 0)
            json_write_string(w, text);
    }
    json_write_array_end(w);
    return ret < 0 ? ret : got < 0 ? got : 0;
}

static int write_extension(struct imap_json *j, struct json_writer *w, const struct imap_body_part *p)
{
    struct slice text;
    int ret = 0;
    if (p->has_lines)
        json_write_member_uint(w, "lines", p->lines);
    if (p->md5.type != IMAP_NIL) {
        ret = text_of(j, &p->md5, &text);
        json_write_member_string(w, "md5", text);
    }
    if (ret == 0 && p->disposition.type != IMAP_NIL) {
        ret = write_lower_value(j, w, "disposition", &p->disposition);
        if (ret == 0)
            ret = write_params(j, w, "disposition_params", &p->disposition_params);
    }
    if (ret == 0 && p->language.type != IMAP_NIL)
        ret = write_language(j, w, &p->language);
    if (ret == 0 && p->location.type != IMAP_NIL) {
        ret = text_of(j, &p->location, &text);
        if (ret == 0)
            json_write_member_string(w, "location", text);
    }
    return ret;
}

static int write_id(struct imap_json *j, struct json_writer *w, const struct imap_value *v)
{
    struct slice text;
    int ret = text_of(j, v, &text);
    if (ret < 0)
        return ret;
    text = slice_trim(text);
    if (text.len >= 2 && text.data[0] == '<' && text.data[text.len - 1] == '>')
        text = slice_of(text.data + 1, text.len - 2);
    json_write_key(w, "id");
    json_write_string_or_null(w, text);
    return 0;
}

static int begin_leaf(struct imap_json *j, struct json_writer *w, const struct imap_body_part *p)
{
    json_write_object_begin(w);
    json_write_member_string(w, "part", p->part);
    int ret = write_media(j, w, "type", &p->type);
    if (ret == 0)
        ret = write_media(j, w, "subtype", &p->subtype);
    if (ret == 0)
        ret = write_params(j, w, "params", &p->params);
    if (ret == 0)
        ret = write_id(j, w, &p->id);
    if (ret == 0)
        ret = write_text(j, w, "description", &p->description, "description");
    if (ret == 0)
        ret = write_lower_value(j, w, "encoding", &p->encoding);
    json_write_key(w, "size");
    if (p->has_size)
        json_write_uint(w, p->size);
    else
        json_write_null(w);
    return ret;
}

static int write_part(struct imap_json *j, struct json_writer *w, const struct imap_body_part *p)
{
    int ret = 0;
    switch (p->event) {
    case IMAP_BODY_LEAF:
    case IMAP_BODY_MESSAGE_BEGIN:
        ret = begin_leaf(j, w, p);
        if (ret == 0 && p->envelope.type != IMAP_NIL) {
            json_write_key(w, "envelope");
            ret = imap_json_envelope(j, w, &p->envelope);
        }
        if (p->event == IMAP_BODY_LEAF) {
            if (ret == 0)
                ret = write_extension(j, w, p);
            json_write_object_end(w);
            return ret;
        }
        break;
    case IMAP_BODY_MULTI_BEGIN:
        json_write_object_begin(w);
        json_write_member_string(w, "part", p->part);
        json_write_member_str(w, "type", "multipart");
        break;
    case IMAP_BODY_MULTI_END:
        json_write_array_end(w);
        ret = write_media(j, w, "subtype", &p->subtype);
        if (ret == 0)
            ret = write_params(j, w, "params", &p->params);
        ATTR_FALLTHROUGH;
    case IMAP_BODY_MESSAGE_END:
        if (p->event == IMAP_BODY_MESSAGE_END)
            json_write_array_end(w);
        if (ret == 0)
            ret = write_extension(j, w, p);
        json_write_object_end(w);
        return ret;
    }
    json_write_key(w, "children");
    json_write_array_begin(w);
    return ret;
}

int imap_json_bodystructure(struct imap_json *j, struct json_writer *w, const struct imap_value *value)
{
    struct imap_body_parser parser;
    struct imap_body_part part;
    int ret;
    imap_body_init(&parser, value);
    while ((ret = imap_body_next(&parser, &part)) > 0) {
        ret = bent(j, part.odd);
        if (ret == 0)
            ret = write_part(j, w, &part);
        if (ret < 0)
            return ret;
    }
    return ret;
}
