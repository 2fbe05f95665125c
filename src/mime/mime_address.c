/* SPDX-License-Identifier: MIT */
/* Address lists, RFC 5322 section 3.4 and 4.4:
 *   address = mailbox / group; group = display-name ":" [group-list] ";"
 *   mailbox = [display-name] "<" [route] addr-spec ">" / addr-spec
 * and what is seen instead: missing or stray brackets, names behind the address, semicolons between addresses,
 * encoded words that hold commas or the whole address. */
#include "mime_header.h"

#include "mime_internal.h"

#include <errno.h>

struct address_parser {
    struct mime_decoder *d;
    struct slice s;
    size_t i;
    size_t count;
    bool within_group; /* groups hold no groups, also where encoded words look like some */
    bool again;           /* the input is the decoded form of an entry: it is not decoded and read once more */
    struct buffer phrase; /* of the entry: words with quotes resolved */
    struct buffer bare;   /* of the entry: the same with quotes kept, for an address without brackets */
};

/* What an entry is made of, before it is known what it is. */
struct entry {
    struct slice angle, comment;
    bool has_angle, has_at;
};

static int put(struct address_parser *p, char c)
{
    return buffer_append_char(&p->phrase, c) < 0 || buffer_append_char(&p->bare, c) < 0 ? -ENOMEM : 0;
}

static int put_space(struct address_parser *p)
{
    struct slice s = buffer_slice(&p->phrase);
    return s.len && s.data[s.len - 1] != ' ' ? put(p, ' ') : 0;
}

static int take_quoted(struct address_parser *p)
{
    struct slice s = p->s;
    int r = buffer_append_char(&p->bare, '"');
    for (p->i++; p->i < s.len && s.data[p->i] != '"' && r == 0; p->i++) {
        if (s.data[p->i] == '\\' && p->i + 1 < s.len) {
            r = buffer_append_char(&p->bare, '\\');
            p->i++;
        }
        if (r == 0)
            r = put(p, s.data[p->i]);
    }
    if (p->i == s.len)
        mime_defect(p->d, "a quoted string is not closed");
    else
        p->i++;
    return r == 0 ? buffer_append_char(&p->bare, '"') : r;
}

static void take_comment(struct address_parser *p, struct entry *e)
{
    size_t end = mime_skip_comment(p->s, p->i);
    struct slice inside = slice_of(p->s.data + p->i + 1, end - p->i - 1);
    if (inside.len && inside.data[inside.len - 1] == ')')
        inside.len--;
    if (slice_trim(inside).len)
        e->comment = inside;
    p->i = end;
}

/* Behind the quoted string at `i`, or `i` when it is none or is not closed. */
static size_t skip_quoted(struct slice s, size_t i)
{
    size_t end = i + 1;
    if (i >= s.len || s.data[i] != '"')
        return i;
    while (end < s.len && s.data[end] != '"')
        end += s.data[end] == '\\' ? 2 : 1;
    return end < s.len ? end + 1 : i;
}

/* From "<" to ">"; without that, to the last comma before the next "<", or to the first one. No byte is looked at for
 * more than one bracket. */
static void take_angle(struct address_parser *p, struct entry *e)
{
    struct slice s = p->s;
    size_t start = p->i + 1, from = skip_quoted(s, start);
    size_t next = from + slice_find(slice_from(s, from), '<');
    size_t end = from + slice_find(slice_of(s.data + from, next - from), '>');
    bool closed = end < next;
    if (!closed) {
        size_t first = next, last = next;
        mime_defect(p->d, "an angle bracket is not closed");
        for (size_t i = from; i < next; i++) {
            if (s.data[i] == ',' || s.data[i] == ';') {
                first = MIN(first, i);
                last = i;
            }
        }
        end = next == s.len ? first : last;
    }
    if (end > start || closed) {
        e->angle = slice_of(s.data + start, end - start);
        e->has_angle = true;
    }
    p->i = closed ? end + 1 : end;
}

/* addr-spec out of brackets: comments, white space and a route "@a,@b:" go. */
static int clean_address(struct mime_decoder *d, struct slice s, struct slice *ret)
{
    struct buffer plain;
    int r = 0;
    bool quoted = false;
    s = slice_trim(s);
    if (s.len && s.data[0] == '@') {
        size_t colon = slice_find(s, ':');
        if (colon < s.len)
            s = slice_from(s, colon + 1);
    }
    if (slice_starts_ci(s, SLICE("mailto:")))
        s = slice_from(s, 7);
    buffer_init(&plain, MIME_TEXT_MAX);
    for (size_t i = 0; i < s.len && r == 0;) {
        if (!quoted && s.data[i] == '(') {
            i = mime_skip_comment(s, i);
            continue;
        }
        if (s.data[i] == '"')
            quoted = !quoted;
        if (s.data[i] == '\\' && i + 1 < s.len)
            r = buffer_append_char(&plain, s.data[i++]);
        if (r == 0 && (quoted ? s.data[i] != '\r' && s.data[i] != '\n' : !mime_is_space(s.data[i])))
            r = buffer_append_char(&plain, s.data[i]);
        i++;
    }
    if (r == 0)
        r = mime_decode_text(d, buffer_slice(&plain), ret);
    buffer_done(&plain);
    return r < 0 ? -ENOMEM : 0;
}

static struct mime_address *new_address(struct address_parser *p)
{
    p->count++;
    return arena_alloc(p->d->arena, sizeof(struct mime_address));
}

static int set_name(struct address_parser *p, struct mime_address *a, struct slice raw)
{
    struct slice name;
    int r = mime_decode_text(p->d, raw, &name);
    if (r == 0 && name.len)
        a->name = name;
    return r;
}

static int name_or_comment(struct address_parser *p, const struct entry *e, struct mime_address *a, struct slice name)
{
    if (slice_trim(name).len == 0)
        name = e->comment;
    return name.len ? set_name(p, a, name) : 0;
}

/* "ann @ example . com" is one word: no space around the marks. A stop that only has space behind it ends a name. */
static void close_up(struct buffer *b)
{
    char *p = b->data ? b->data + b->start : NULL;
    size_t n = buffer_len(b), o = 0;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '"')
            quoted = !quoted;
        bool joint = !quoted && (p[i] == '@' || (p[i] == '.' && o && p[o - 1] == ' '));
        if (joint && o && p[o - 1] == ' ')
            o--;
        p[o++] = p[i];
        if (joint)
            while (i + 1 < n && p[i + 1] == ' ')
                i++;
    }
    buffer_truncate(b, o);
}

/* Words without brackets, one of them with "@": that is the address, the rest is the name. */
static int finish_bare(struct address_parser *p, const struct entry *e, struct mime_address *a)
{
    close_up(&p->bare);
    struct slice s = slice_trim(buffer_slice(&p->bare));
    size_t start = 0, best = 0, best_end = 0;
    bool quoted = false, at = false;
    for (size_t i = 0; i <= s.len; i++) {
        if (i == s.len || (s.data[i] == ' ' && !quoted)) {
            if (at) {
                best = start;
                best_end = i;
            }
            start = i + 1;
            at = quoted = false;
        } else if (s.data[i] == '"') {
            quoted = !quoted;
        } else if (s.data[i] == '@' && !quoted) {
            at = true;
        }
    }
    struct slice before = slice_trim(slice_to(s, best)), after = slice_trim(slice_from(s, best_end));
    struct slice name = before.len ? before : after;
    int r = clean_address(p->d, slice_of(s.data + best, best_end - best), &a->address);
    if (r == 0 && slice_trim(name).len)
        r = mime_decode_phrase(p->d, name, &a->name);
    else if (r == 0)
        r = name_or_comment(p, e, a, SLICE_EMPTY);
    if (a->name.len == 0)
        a->name = SLICE_EMPTY;
    return r;
}

static int parse_entries(struct address_parser *p, bool in_group, struct mime_address **tail);

/* No address to be seen: it may be inside an encoded word, or there is none. */
static int finish_nameless(struct address_parser *p, const struct entry *e, struct mime_address ***tail)
{
    struct slice text;
    int r = mime_decode_text(p->d, buffer_slice(&p->phrase), &text);
    if (r < 0)
        return r;
    if (!p->again && slice_find(text, '@') < text.len && slice_find(text, '<') < text.len) {
        struct address_parser inner = {.d = p->d, .s = text, .count = p->count, .again = true, .within_group = p->within_group};
        buffer_init(&inner.phrase, MIME_TEXT_MAX);
        buffer_init(&inner.bare, MIME_TEXT_MAX);
        r = parse_entries(&inner, false, *tail);
        buffer_done(&inner.phrase);
        buffer_done(&inner.bare);
        p->count = inner.count;
        while (**tail)
            *tail = &(**tail)->next;
        return r;
    }
    struct mime_address *a = new_address(p);
    if (!a)
        return -ENOMEM;
    bool one_word = slice_find(text, ' ') == text.len;
    a->address = one_word ? text : SLICE("");
    if (one_word)
        r = name_or_comment(p, e, a, SLICE_EMPTY);
    else
        a->name = text;
    mime_defect(p->d, "an address without a domain");
    **tail = a;
    *tail = &a->next;
    return r;
}

static int finish_entry(struct address_parser *p, const struct entry *e, struct mime_address ***tail)
{
    struct slice phrase = slice_trim(buffer_slice(&p->phrase));
    if (!e->has_angle && phrase.len == 0)
        return 0;
    if (p->count >= MIME_ADDRESSES_MAX) {
        mime_defect(p->d, "too many addresses");
        return 0;
    }
    if (!e->has_angle && !e->has_at)
        return finish_nameless(p, e, tail);
    if (e->has_angle && phrase.len == 0 && slice_trim(e->angle).len == 0) {
        mime_defect(p->d, "empty angle brackets");
        return 0;
    }
    struct mime_address *a = new_address(p);
    if (!a)
        return -ENOMEM;
    int r;
    if (e->has_angle) {
        r = clean_address(p->d, e->angle, &a->address);
        /* An address in front of the brackets that hold it is no name. */
        bool repeated = slice_eq(slice_trim(buffer_slice(&p->bare)), a->address);
        if (r == 0 && !repeated)
            r = name_or_comment(p, e, a, phrase);
    } else {
        r = finish_bare(p, e, a);
    }
    **tail = a;
    *tail = &a->next;
    return r;
}

/* The members of a group whose name has been read up to its colon. */
static int finish_group(struct address_parser *p, struct mime_address ***tail)
{
    struct mime_address dropped = {0}, *a = &dropped;
    int r = 0;
    if (p->count >= MIME_ADDRESSES_MAX) {
        mime_defect(p->d, "too many addresses");
    } else {
        a = new_address(p);
        if (!a)
            return -ENOMEM;
        a->is_group = true;
        r = set_name(p, a, buffer_slice(&p->phrase));
        **tail = a;
        *tail = &a->next;
    }
    p->within_group = true;
    if (r == 0)
        r = parse_entries(p, true, &a->members);
    p->within_group = false;
    return r;
}

/* Words, marks and brackets up to the end of an entry; *ret_stop is the character that ended it, NUL at the end. */
static int read_entry(struct address_parser *p, struct entry *e, char *ret_stop)
{
    struct slice s = p->s;
    int r = 0;
    buffer_clear(&p->phrase);
    buffer_clear(&p->bare);
    *e = (struct entry){0};
    while (p->i < s.len && r == 0) {
        char c = s.data[p->i];
        size_t word;
        if (mime_is_space(c)) {
            r = put_space(p);
            p->i++;
        } else if (c == '"') {
            r = take_quoted(p);
        } else if (c == '(') {
            take_comment(p, e);
            r = put_space(p);
        } else if (c == '<' && !e->has_angle) {
            take_angle(p, e);
            r = put_space(p);
        } else if (c == ',' || c == ';' || (c == ':' && !p->within_group && !e->has_angle && !e->has_at)) {
            p->i++;
            *ret_stop = c;
            return 0;
        } else if (c == '=' && (word = mime_word_len(slice_from(s, p->i)))) {
            for (size_t end = p->i + word; p->i < end && r == 0; p->i++)
                r = put(p, s.data[p->i]);
        } else if (c == '\\' && p->i + 1 < s.len) {
            r = put(p, s.data[p->i + 1]);
            p->i += 2;
        } else if (c == '<' || c == '>') {
            p->i++;
        } else {
            e->has_at |= c == '@';
            r = put(p, c);
            p->i++;
        }
    }
    *ret_stop = '\0';
    return r;
}

static int parse_entries(struct address_parser *p, bool in_group, struct mime_address **tail)
{
    while (p->i < p->s.len) {
        struct entry e;
        char stop;
        int r = read_entry(p, &e, &stop);
        if (r == 0)
            r = stop == ':' ? finish_group(p, &tail) : finish_entry(p, &e, &tail);
        if (r < 0)
            return -ENOMEM;
        if (stop == ';' && in_group)
            return 0;
    }
    if (in_group)
        mime_defect(p->d, "a group of addresses is not closed");
    return 0;
}

int mime_parse_addresses(struct mime_decoder *d, struct slice raw, struct mime_address **ret)
{
    struct mime_address *list = NULL;
    struct address_parser p = {.d = d, .s = raw};
    buffer_init(&p.phrase, MIME_TEXT_MAX);
    buffer_init(&p.bare, MIME_TEXT_MAX);
    int r = parse_entries(&p, false, &list);
    buffer_done(&p.phrase);
    buffer_done(&p.bare);
    if (r == 0)
        *ret = list;
    return r;
}

size_t mime_address_count(const struct mime_address *list)
{
    size_t n = 0;
    for (; list; list = list->next)
        n += list->is_group ? mime_address_count(list->members) : 1;
    return n;
}
