/* SPDX-License-Identifier: MIT */
#include "imap_response.h"

#include <errno.h>

static const char *const statuses[] = {[IMAP_STATUS_NONE] = "", [IMAP_OK] = "OK",           [IMAP_NO] = "NO",
                                       [IMAP_BAD] = "BAD",      [IMAP_PREAUTH] = "PREAUTH", [IMAP_BYE] = "BYE"};

const char *imap_status_name(enum imap_status status)
{
    return (unsigned) status < ARRAY_LEN(statuses) ? statuses[status] : "";
}

static enum imap_status find_status(struct slice word)
{
    for (unsigned i = IMAP_OK; i < ARRAY_LEN(statuses); i++)
        if (slice_eq_ci(word, slice_of_str(statuses[i])))
            return (enum imap_status) i;
    return IMAP_STATUS_NONE;
}

static const char *const data_names[IMAP_DATA_COUNT] = {
    [IMAP_DATA_FETCH] = "FETCH",           [IMAP_DATA_EXISTS] = "EXISTS",
    [IMAP_DATA_RECENT] = "RECENT",         [IMAP_DATA_EXPUNGE] = "EXPUNGE",
    [IMAP_DATA_VANISHED] = "VANISHED",     [IMAP_DATA_FLAGS] = "FLAGS",
    [IMAP_DATA_LIST] = "LIST",             [IMAP_DATA_LSUB] = "LSUB",
    [IMAP_DATA_STATUS] = "STATUS",         [IMAP_DATA_SEARCH] = "SEARCH",
    [IMAP_DATA_ESEARCH] = "ESEARCH",       [IMAP_DATA_SORT] = "SORT",
    [IMAP_DATA_THREAD] = "THREAD",         [IMAP_DATA_CAPABILITY] = "CAPABILITY",
    [IMAP_DATA_ENABLED] = "ENABLED",       [IMAP_DATA_NAMESPACE] = "NAMESPACE",
    [IMAP_DATA_ID] = "ID",                 [IMAP_DATA_QUOTA] = "QUOTA",
    [IMAP_DATA_QUOTAROOT] = "QUOTAROOT",   [IMAP_DATA_ACL] = "ACL",
    [IMAP_DATA_LISTRIGHTS] = "LISTRIGHTS", [IMAP_DATA_MYRIGHTS] = "MYRIGHTS",
    [IMAP_DATA_METADATA] = "METADATA",
};

enum imap_data imap_data_find(struct slice name)
{
    for (unsigned i = IMAP_DATA_FETCH; i < IMAP_DATA_COUNT; i++)
        if (data_names[i] && slice_eq_ci(name, slice_of_str(data_names[i])))
            return (enum imap_data) i;
    return IMAP_DATA_OTHER;
}

/* resp-text = ["[" resp-text-code "]" SP] text. A bracket inside a quoted argument does not end the code. */
static void take_code(struct slice *text, struct imap_code *ret)
{
    *ret = (struct imap_code){SLICE_EMPTY, SLICE_EMPTY};
    if (text->len == 0 || text->data[0] != '[')
        return;
    bool quoted = false;
    size_t i = 1;
    for (; i < text->len && (quoted || text->data[i] != ']'); i++) {
        if (quoted && text->data[i] == '\\')
            i++;
        else if (text->data[i] == '"')
            quoted = !quoted;
    }
    if (i >= text->len)
        return;
    struct slice code = slice_of(text->data + 1, i - 1);
    ret->name = imap_word_next(&code);
    ret->arguments = slice_trim(code);
    *text = slice_trim(slice_from(*text, i + 1));
}

static int parse_data(struct slice word, struct slice rest, struct imap_response *r)
{
    uint64_t number;
    r->kind = IMAP_RESPONSE_DATA;
    if (slice_to_u64(word, UINT32_MAX, &number)) {
        r->number = (uint32_t) number;
        r->name = imap_word_next(&rest);
        r->data = imap_data_find(r->name);
        if (slice_eq_ci(r->name, SLICE("UIDFETCH"))) {
            r->data = IMAP_DATA_FETCH;
            r->by_uid = true;
        }
        if (r->name.len == 0)
            return -EBADMSG;
    } else {
        r->name = word;
        r->data = imap_data_find(word);
        /* What needs its number and has none is nothing that is known. */
        if (r->data == IMAP_DATA_FETCH || r->data == IMAP_DATA_EXISTS || r->data == IMAP_DATA_RECENT ||
            r->data == IMAP_DATA_EXPUNGE)
            r->data = IMAP_DATA_OTHER;
    }
    r->text = rest;
    return 0;
}

int imap_response_parse(struct slice line, struct imap_response *ret)
{
    struct imap_response r = {.kind = IMAP_RESPONSE_CONTINUE};
    struct slice rest = line;
    if (line.len == 0)
        return -EBADMSG;
    if (line.data[0] == '+') {
        rest = slice_from(line, line.len > 1 && line.data[1] == ' ' ? 2 : 1);
        r.text = rest;
        take_code(&rest, &r.code);
        *ret = r;
        return 0;
    }
    if (line.data[0] == ' ')
        return -EBADMSG;
    r.tag = imap_word_next(&rest);
    struct slice word = imap_word_next(&rest);
    bool untagged = r.tag.len == 1 && r.tag.data[0] == '*';
    r.status = find_status(word);
    if (word.len == 0 || (!untagged && (r.status == IMAP_STATUS_NONE || r.status > IMAP_BAD)))
        return -EBADMSG;
    if (r.status == IMAP_STATUS_NONE) {
        int error = parse_data(word, rest, &r);
        if (error < 0)
            return error;
    } else {
        r.kind = untagged ? IMAP_RESPONSE_CONDITION : IMAP_RESPONSE_TAGGED;
        take_code(&rest, &r.code);
        r.text = rest;
    }
    *ret = r;
    return 0;
}

int imap_list_parse(struct slice text, struct imap_list_data *ret)
{
    struct imap_list_data d = {.extended = SLICE_EMPTY};
    struct imap_value attributes;
    if (imap_value_next(&text, &attributes) <= 0 || (attributes.type != IMAP_LIST && attributes.type != IMAP_NIL) ||
        imap_value_next(&text, &d.delimiter) <= 0 || d.delimiter.type == IMAP_LIST)
        return -EBADMSG;
    d.attributes = attributes.bytes;
    struct slice name = slice_trim(text);
    if (imap_value_next(&text, &d.name) <= 0 || d.name.type == IMAP_LIST)
        return -EBADMSG;
    imap_skip_spaces(&text);
    if (d.name.type == IMAP_NIL)
        d.name.type = IMAP_ATOM; /* a mailbox that is called NIL */
    /* An unquoted name with spaces in it: all of the line, unless RFC 5258's extended data follows. */
    if (d.name.type == IMAP_ATOM && text.len && text.data[0] != '(')
        d.name.bytes = name;
    struct imap_value extended;
    if (text.len && text.data[0] == '(' && imap_value_next(&text, &extended) > 0 && extended.type == IMAP_LIST)
        d.extended = extended.bytes;
    *ret = d;
    return 0;
}

int imap_status_parse(struct slice text, struct imap_value *ret_name, struct slice *ret_items)
{
    struct imap_value name, items;
    if (imap_value_next(&text, &name) <= 0 || name.type == IMAP_LIST || imap_value_next(&text, &items) <= 0 ||
        items.type != IMAP_LIST)
        return -EBADMSG;
    if (name.type == IMAP_NIL)
        name.type = IMAP_ATOM;
    *ret_name = name;
    *ret_items = items.bytes;
    return 0;
}

int imap_status_next(struct slice *items, struct slice *ret_name, struct imap_value *ret)
{
    struct imap_value name;
    int taken = imap_value_next(items, &name);
    if (taken <= 0)
        return taken;
    if (!imap_value_is_string(&name) || imap_value_next(items, ret) <= 0)
        return -EBADMSG;
    *ret_name = name.bytes;
    return 1;
}

int imap_search_next(struct slice *rest, uint32_t *ret)
{
    uint64_t n;
    imap_skip_spaces(rest);
    if (rest->len == 0 || rest->data[0] == '(')
        return 0;
    if (!imap_number_next(rest, UINT32_MAX, &n) || n == 0 || (rest->len && rest->data[0] != ' '))
        return -EBADMSG;
    *ret = (uint32_t) n;
    return 1;
}

static int parse_esearch_item(struct slice name, const struct imap_value *v, struct imap_esearch *e)
{
    if (slice_eq_ci(name, SLICE("ALL"))) {
        if (v->type != IMAP_ATOM)
            return -EBADMSG;
        e->all = v->bytes;
    } else if (slice_eq_ci(name, SLICE("PARTIAL"))) { /* ( partial-range SP partial-results / NIL ) */
        struct slice inside = v->bytes;
        struct imap_value range, set;
        if (v->type != IMAP_LIST || imap_value_next(&inside, &range) <= 0 || imap_value_next(&inside, &set) <= 0)
            return -EBADMSG;
        e->has_partial = true;
        e->all = set.type == IMAP_ATOM ? set.bytes : SLICE_EMPTY;
    } else if (slice_eq_ci(name, SLICE("COUNT"))) {
        e->has_count = imap_value_number(v, UINT32_MAX, &e->count);
    } else if (slice_eq_ci(name, SLICE("MIN"))) {
        e->has_min = imap_value_number(v, UINT32_MAX, &e->min);
    } else if (slice_eq_ci(name, SLICE("MAX"))) {
        e->has_max = imap_value_number(v, UINT32_MAX, &e->max);
    } else if (slice_eq_ci(name, SLICE("MODSEQ"))) {
        e->has_modseq = imap_value_number(v, UINT64_MAX, &e->modseq);
    }
    return 0;
}

/* one-correlator = ("TAG" SP tag-string) / ("MAILBOX" SP astring) / ("UIDVALIDITY" SP nz-number) */
static int parse_correlators(struct slice text, struct imap_esearch *e)
{
    struct imap_value name, value;
    uint64_t n;
    int taken;
    while ((taken = imap_value_next(&text, &name)) > 0) {
        if (imap_value_next(&text, &value) <= 0)
            return -EBADMSG;
        if (slice_eq_ci(name.bytes, SLICE("TAG")))
            e->tag = value;
        else if (slice_eq_ci(name.bytes, SLICE("MAILBOX")))
            e->mailbox = value;
        else if (slice_eq_ci(name.bytes, SLICE("UIDVALIDITY")) && imap_value_number(&value, UINT32_MAX, &n))
            e->uidvalidity = (uint32_t) n;
    }
    return taken;
}

int imap_esearch_parse(struct slice text, struct imap_esearch *ret)
{
    struct imap_esearch e = {.uid = false};
    struct imap_value v, name;
    int taken;
    imap_skip_spaces(&text);
    if (text.len && text.data[0] == '(') { /* search-correlator = SP "(" one-correlator *(SP one-correlator) ")" */
        if (imap_value_next(&text, &v) <= 0 || parse_correlators(v.bytes, &e) < 0)
            return -EBADMSG;
    }
    while ((taken = imap_value_next(&text, &name)) > 0) {
        if (name.type != IMAP_ATOM)
            return -EBADMSG;
        if (slice_eq_ci(name.bytes, SLICE("UID"))) {
            e.uid = true;
            continue;
        }
        if (imap_value_next(&text, &v) <= 0 || parse_esearch_item(name.bytes, &v, &e) < 0)
            return -EBADMSG;
    }
    if (taken < 0)
        return taken;
    *ret = e;
    return 0;
}

/* How many numbers a set names; 0 when it is none, or has "*". */
static uint64_t count_set(struct slice set)
{
    struct number_range range;
    uint64_t count = 0;
    int ret;
    while ((ret = imap_range_next(&set, &range)) > 0) {
        if (range.first == 0 || range.last == 0)
            return 0;
        count += (range.first < range.last ? range.last - range.first : range.first - range.last) + UINT64_C(1);
    }
    return ret < 0 ? 0 : count;
}

int imap_vanished_parse(struct slice text, bool *ret_earlier, struct slice *ret_uids)
{
    struct imap_value v;
    bool earlier = false;
    if (imap_value_next(&text, &v) <= 0)
        return -EBADMSG;
    if (v.type == IMAP_LIST) {
        if (!slice_eq_ci(slice_trim(v.bytes), SLICE("EARLIER")) || imap_value_next(&text, &v) <= 0)
            return -EBADMSG;
        earlier = true;
    }
    if (v.type != IMAP_ATOM || count_set(v.bytes) == 0)
        return -EBADMSG;
    *ret_earlier = earlier;
    *ret_uids = v.bytes;
    return 0;
}

static bool take_uidvalidity(struct slice *rest, uint32_t *ret)
{
    uint64_t n;
    if (!slice_to_u64(imap_word_next(rest), UINT32_MAX, &n) || n == 0)
        return false;
    *ret = (uint32_t) n;
    return true;
}

int imap_appenduid_parse(struct slice arguments, struct imap_appenduid *ret)
{
    struct imap_appenduid a;
    if (!take_uidvalidity(&arguments, &a.uidvalidity))
        return -EBADMSG;
    a.uids = imap_word_next(&arguments);
    if (count_set(a.uids) == 0)
        return -EBADMSG;
    *ret = a;
    return 0;
}

int imap_copyuid_parse(struct slice arguments, struct imap_copyuid *ret)
{
    struct imap_copyuid c;
    if (!take_uidvalidity(&arguments, &c.uidvalidity))
        return -EBADMSG;
    c.from = imap_word_next(&arguments);
    c.to = imap_word_next(&arguments);
    uint64_t count = count_set(c.from);
    if (count == 0 || count != count_set(c.to))
        return -EBADMSG;
    *ret = c;
    return 0;
}
