/* SPDX-License-Identifier: MIT */
#include "imap_fetch.h"

#include <errno.h>

static bool is_section(struct slice name)
{
    static const struct slice words[] = {SLICE("RFC822"), SLICE("RFC822.HEADER"), SLICE("RFC822.TEXT")};
    if (slice_find(name, '[') < name.len)
        return slice_starts_ci(name, SLICE("BODY[")) || slice_starts_ci(name, SLICE("BODY.PEEK[")) ||
               slice_starts_ci(name, SLICE("BINARY[")) || slice_starts_ci(name, SLICE("BINARY.PEEK[")) ||
               slice_starts_ci(name, SLICE("RFC822["));
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (slice_eq_ci(name, words[i]))
            return true;
    return false;
}

enum imap_item_kind imap_item_kind(struct slice name)
{
    static const struct {
        struct slice name;
        enum imap_item_kind kind;
    } kinds[] = {
        {SLICE("UID"), IMAP_ITEM_UID},
        {SLICE("FLAGS"), IMAP_ITEM_FLAGS},
        {SLICE("INTERNALDATE"), IMAP_ITEM_INTERNALDATE},
        {SLICE("RFC822.SIZE"), IMAP_ITEM_SIZE},
        {SLICE("MODSEQ"), IMAP_ITEM_MODSEQ},
        {SLICE("ENVELOPE"), IMAP_ITEM_ENVELOPE},
        {SLICE("BODYSTRUCTURE"), IMAP_ITEM_BODYSTRUCTURE},
        {SLICE("BODY"), IMAP_ITEM_BODYSTRUCTURE},
        {SLICE("EMAILID"), IMAP_ITEM_EXTENSION},
        {SLICE("THREADID"), IMAP_ITEM_EXTENSION},
        {SLICE("SAVEDATE"), IMAP_ITEM_EXTENSION},
        {SLICE("PREVIEW"), IMAP_ITEM_EXTENSION},
        {SLICE("ANNOTATION"), IMAP_ITEM_EXTENSION},
        {SLICE("X-GM-MSGID"), IMAP_ITEM_EXTENSION},
        {SLICE("X-GM-THRID"), IMAP_ITEM_EXTENSION},
        {SLICE("X-GM-LABELS"), IMAP_ITEM_EXTENSION},
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (slice_eq_ci(name, kinds[i].name))
            return kinds[i].kind;
    return is_section(name) ? IMAP_ITEM_SECTION : IMAP_ITEM_OTHER;
}

enum imap_item_kind imap_item_kind_of_request(struct slice item)
{
    /* "PREVIEW (LAZY)", "ANNOTATION (/comment value)" */
    size_t space = slice_find(item, ' ');
    return imap_item_kind(space < item.len && slice_find(item, '[') > space ? slice_to(item, space) : item);
}

bool imap_item_sets_seen(struct slice item)
{
    return slice_eq_ci(item, SLICE("RFC822")) || slice_eq_ci(item, SLICE("RFC822.TEXT")) ||
           slice_starts_ci(item, SLICE("BODY[")) || slice_starts_ci(item, SLICE("BINARY[")) ||
           slice_starts_ci(item, SLICE("RFC822["));
}

/* ANNOTATION's entries and attributes (RFC 5257 section 4.3): words and quoted strings, in lists of one or two levels. */
static bool is_annotation(struct slice item)
{
    unsigned depth = 0;
    bool quoted = false;
    struct slice rest = slice_from(item, sizeof("ANNOTATION ") - 1);
    if (!slice_starts_ci(item, SLICE("ANNOTATION (")))
        return false;
    for (size_t i = 0; i < rest.len; i++) {
        unsigned char c = (unsigned char) rest.data[i];
        if (c < 0x20 || c > 0x7e || c == '{' || c == '\\' || (i > 0 && depth == 0))
            return false;
        quoted = quoted != (c == '"');
        depth += !quoted && c == '(';
        depth -= !quoted && c == ')';
        if (depth > 2)
            return false;
    }
    return depth == 0 && !quoted;
}

/* fetch-att: a word, and for some a section in brackets and a partial "<from.count>". */
bool imap_item_is_valid(struct slice item)
{
    size_t i = 0;
    if (slice_eq_ci(item, SLICE("PREVIEW (LAZY)")) || is_annotation(item))
        return true;
    while (i < item.len && (ascii_is_alpha(item.data[i]) || ascii_is_digit(item.data[i]) || item.data[i] == '.' ||
                            item.data[i] == '-' || item.data[i] == '_'))
        i++;
    if (i == 0)
        return false;
    if (i < item.len && item.data[i] == '[') {
        bool quoted = false, open = false;
        for (i++; i < item.len && (quoted || item.data[i] != ']'); i++) {
            unsigned char c = (unsigned char) item.data[i];
            if (c < 0x20 || c > 0x7e || c == '{')
                return false;
            if (quoted) {
                if (c == '\\' && ++i == item.len)
                    return false;
                quoted = c != '"';
            } else if (c == '"') {
                quoted = true;
            } else if (c == '(' || c == ')') {
                if (open == (c == '('))
                    return false;
                open = !open;
            }
        }
        if (i == item.len || open)
            return false;
        i++;
    }
    if (i < item.len && item.data[i] == '<') {
        size_t digits = 0;
        for (i++; i < item.len && (ascii_is_digit(item.data[i]) || item.data[i] == '.'); i++)
            digits += item.data[i] != '.';
        if (digits == 0 || i + 1 != item.len || item.data[i] != '>')
            return false;
        i++;
    }
    return i == item.len;
}

/* The name runs to the space before the value; brackets and what follows them belong to it. */
static bool take_name(struct slice *rest, struct slice *ret)
{
    struct imap_value name;
    imap_skip_spaces(rest);
    if (rest->len == 0 || imap_value_next(rest, &name) <= 0 || (name.type != IMAP_ATOM && name.type != IMAP_NIL))
        return false;
    *ret = name.bytes;
    return true;
}

/* A value whose parentheses or quotes do not match: it is taken to end where the next item's name stands as an atom, which
 * no value holds. Quotes are believed as long as they close. So that many such items in one answer cost no more than their
 * length, the search begins only where little is left. */
#define RESYNC_MAX 16384u
static void take_broken(struct slice *rest, struct slice *ret_raw)
{
    struct slice r = rest->len <= RESYNC_MAX ? *rest : slice_from(*rest, rest->len), before = r;
    bool quotes = true;
    while (r.len) {
        struct slice word = SLICE_EMPTY;
        imap_skip_spaces(&r);
        before = r;
        if (quotes) {
            enum imap_token_type type;
            struct imap_value v;
            quotes = imap_token_next(&r, &type, &v) >= 0;
            word = quotes && type == IMAP_TOKEN_VALUE && v.type == IMAP_ATOM ? v.bytes : SLICE_EMPTY;
        }
        if (!quotes)
            word = imap_word_next(&r);
        if (word.len && before.data > rest->data && before.data[-1] == ' ' && imap_item_kind(word) != IMAP_ITEM_OTHER)
            break;
        before = r;
    }
    *ret_raw = slice_trim(slice_of(rest->data, (size_t) (before.data - rest->data)));
    *rest = before;
    /* The parenthesis that closes the items. */
    if (before.len == 0 && ret_raw->len && ret_raw->data[ret_raw->len - 1] == ')')
        ret_raw->len--;
}

/* At a closing parenthesis that does not end the text: behind it, the name of an item that is known. */
static bool skip_surplus(struct slice *rest)
{
    struct slice r = *rest, name = SLICE_EMPTY;
    while (r.len && (r.data[0] == ')' || r.data[0] == ' '))
        r = slice_from(r, 1);
    struct slice found = r;
    if (!take_name(&r, &name) || imap_item_kind(name) == IMAP_ITEM_OTHER)
        return false;
    *rest = found;
    return true;
}

int imap_fetch_next(struct slice *rest, struct imap_fetch_item *ret)
{
    struct slice r = *rest;
    struct imap_fetch_item item = {.streamed = false};
    imap_skip_spaces(&r);
    item.surplus = r.len > 1 && r.data[0] == ')' && skip_surplus(&r);
    if (r.len == 0 || r.data[0] == ')') {
        *rest = r;
        return 0;
    }
    if (!take_name(&r, &item.name))
        return -EBADMSG;
    item.kind = imap_item_kind(item.name);
    imap_skip_spaces(&r);
    uint64_t size;
    size_t len;
    if (imap_literal_at_end(r, UINT64_MAX, &size, &len) > 0 && len == r.len) {
        item.streamed = true;
        item.value = (struct imap_value){IMAP_LITERAL, slice_from(r, r.len), false};
        r = slice_from(r, r.len);
    } else {
        const char *begin = r.data;
        int taken = r.len ? imap_value_next(&r, &item.value) : 0;
        if (taken == 0)
            return -EBADMSG;
        item.broken = taken < 0;
        if (item.broken)
            take_broken(&r, &item.raw);
        else
            item.raw = slice_of(begin, (size_t) (r.data - begin));
    }
    *rest = r;
    *ret = item;
    return 1;
}

/* --- ENVELOPE --- */

/* A field that is to be a string; NIL and odd when it is a list. */
static void take_string(struct slice *rest, struct imap_value *ret, unsigned *odd)
{
    struct imap_value v;
    *ret = (struct imap_value){.type = IMAP_NIL};
    int taken = imap_value_next(rest, &v);
    if (taken > 0 && v.type != IMAP_LIST)
        *ret = v;
    else
        *odd |= taken == 0 ? IMAP_ODD_SHORT : IMAP_ODD_SHAPE;
}

/* The same for a list. */
static void take_addresses(struct slice *rest, struct imap_value *ret, unsigned *odd)
{
    struct imap_value v;
    *ret = (struct imap_value){.type = IMAP_NIL};
    int taken = imap_value_next(rest, &v);
    if (taken > 0 && (v.type == IMAP_LIST || v.type == IMAP_NIL))
        *ret = v;
    else
        *odd |= taken == 0 ? IMAP_ODD_SHORT : IMAP_ODD_SHAPE;
}

int imap_envelope_parse(const struct imap_value *value, struct imap_envelope *ret)
{
    struct imap_envelope e = {.odd = 0};
    if (value->type != IMAP_LIST)
        return -EBADMSG;
    struct slice rest = value->bytes;
    take_string(&rest, &e.date, &e.odd);
    take_string(&rest, &e.subject, &e.odd);
    take_addresses(&rest, &e.from, &e.odd);
    take_addresses(&rest, &e.sender, &e.odd);
    take_addresses(&rest, &e.reply_to, &e.odd);
    take_addresses(&rest, &e.to, &e.odd);
    take_addresses(&rest, &e.cc, &e.odd);
    take_addresses(&rest, &e.bcc, &e.odd);
    take_string(&rest, &e.in_reply_to, &e.odd);
    take_string(&rest, &e.message_id, &e.odd);
    imap_skip_spaces(&rest);
    if (rest.len > 0)
        e.odd |= IMAP_ODD_SHAPE;
    *ret = e;
    return 0;
}

int imap_address_next(struct slice *rest, struct imap_address *ret)
{
    struct imap_value v;
    struct imap_address a = {.kind = IMAP_ADDRESS_MAILBOX};
    int taken = imap_value_next(rest, &v);
    if (taken <= 0)
        return taken;
    if (v.type == IMAP_LIST) {
        struct slice fields = v.bytes;
        take_string(&fields, &a.name, &a.odd);
        take_string(&fields, &a.route, &a.odd);
        take_string(&fields, &a.mailbox, &a.odd);
        take_string(&fields, &a.host, &a.odd);
        imap_skip_spaces(&fields);
        if (a.odd || fields.len > 0)
            a.odd = IMAP_ODD_ADDRESS;
        /* RFC 3501: host NIL begins a group, mailbox NIL too ends it. */
        if (a.host.type == IMAP_NIL && !a.odd)
            a.kind = a.mailbox.type == IMAP_NIL ? IMAP_ADDRESS_GROUP_END : IMAP_ADDRESS_GROUP_BEGIN;
    } else {
        /* Some servers put the address itself where its list belongs. */
        a.odd = IMAP_ODD_ADDRESS;
        a.mailbox = v;
    }
    *ret = a;
    return 1;
}
