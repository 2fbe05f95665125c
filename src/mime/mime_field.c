/* SPDX-License-Identifier: MIT */
#include "mime_header.h"

#include "mime_internal.h"

#include <errno.h>

/* Behind the line that begins at `i`, its line end included. */
static size_t line_after(struct slice s, size_t i)
{
    const char *lf = memchr(s.data + i, '\n', s.len - i);
    return lf ? (size_t) (lf - s.data) + 1 : s.len;
}

static struct slice without_line_end(struct slice s)
{
    if (s.len && s.data[s.len - 1] == '\n')
        s.len--;
    if (s.len && s.data[s.len - 1] == '\r')
        s.len--;
    return s;
}

/* field = field-name *WSP ":" unstructured; field-name = 1*%d33-57 / %d59-126, and UTF-8 where RFC 6532 is stretched */
static struct slice field_name(struct slice line)
{
    size_t start = 0, end, colon;
    /* Only the first line of a header can begin with white space here: there is nothing that it could go on with. */
    while (start < line.len && ascii_is_wsp(line.data[start]))
        start++;
    end = start;
    while (end < line.len && line.data[end] != ':' && (unsigned char) line.data[end] > ' ' && line.data[end] != 0x7f)
        end++;
    for (colon = end; colon < line.len && ascii_is_wsp(line.data[colon]); colon++)
        ;
    return colon < line.len && line.data[colon] == ':' ? slice_of(line.data + start, end - start) : SLICE_EMPTY;
}

bool mime_field_next(struct slice *rest, struct mime_field *ret)
{
    struct slice s = *rest;
    if (s.len == 0 || s.data[0] == '\n' || (s.data[0] == '\r' && s.len > 1 && s.data[1] == '\n'))
        return false;
    size_t first = line_after(s, 0), end = first;
    while (end < s.len && ascii_is_wsp(s.data[end]))
        end = line_after(s, end);
    ret->line = slice_to(s, end);
    ret->name = field_name(slice_to(s, first));
    ret->value = without_line_end(ret->line);
    if (ret->name.len) {
        size_t colon = slice_find(ret->line, ':');
        ret->value = slice_trim(slice_from(ret->value, colon + 1));
    }
    *rest = slice_from(s, end);
    return true;
}

struct id_list {
    struct slice *ids;
    size_t n, cap;
};

/* One more id. White space in it goes where the line was folded; else it is part of the id, odd as that is. */
static int id_add(struct mime_decoder *d, struct id_list *list, struct slice raw)
{
    struct slice id;
    raw = slice_trim(raw);
    if (raw.len == 0)
        return 0;
    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 4;
        struct slice *bigger = arena_calloc(d->arena, cap, sizeof(*bigger));
        if (!bigger)
            return -ENOMEM;
        if (list->n)
            memcpy(bigger, list->ids, list->n * sizeof(*bigger));
        list->ids = bigger;
        list->cap = cap;
    }
    buffer_clear(&d->text);
    buffer_clear(&d->bytes);
    for (size_t i = 0, end; i < raw.len; i = end) {
        bool folded = false;
        for (end = i; end < raw.len && mime_is_space(raw.data[end]); end++)
            folded |= raw.data[end] == '\n' || raw.data[end] == '\r';
        if (end == i)
            end++;
        else if (folded)
            continue;
        if (buffer_append_char(&d->bytes, mime_is_space(raw.data[i]) ? ' ' : raw.data[i]) < 0)
            return -ENOMEM;
    }
    int r = mime_text_append(d, NULL, buffer_slice(&d->bytes), true);
    buffer_clear(&d->bytes);
    if (r == 0)
        r = mime_text_take(d, &id);
    if (r < 0)
        return r;
    list->ids[list->n++] = id;
    return 0;
}

/* Ids without brackets: words with an "@" in them, or the only word. */
static int ids_without_brackets(struct mime_decoder *d, struct slice raw, struct id_list *list)
{
    size_t words = 0, i = 0;
    struct slice only = SLICE_EMPTY;
    int r = 0;
    while (r == 0 && (i = mime_skip_cfws(raw, i)) < raw.len) {
        size_t start = i;
        while (i < raw.len && !mime_is_space(raw.data[i]) && raw.data[i] != ',' && raw.data[i] != '(')
            i++;
        struct slice word = slice_of(raw.data + start, i - start);
        if (i < raw.len && raw.data[i] == ',')
            i++;
        if (word.len == 0)
            continue;
        words++;
        only = word;
        if (slice_find(word, '@') < word.len)
            r = id_add(d, list, word);
    }
    if (r == 0 && list->n == 0 && words == 1)
        r = id_add(d, list, only);
    return r;
}

int mime_parse_message_ids(struct mime_decoder *d, struct slice raw, struct slice **ret_ids, size_t *ret_n)
{
    struct id_list list = {0};
    size_t i = 0;
    bool brackets = false;
    int r = 0;

    while (i < raw.len && r == 0) {
        size_t open = slice_find(slice_from(raw, i), '<') + i;
        if (open >= raw.len)
            break;
        /* "<a <b>": the first bracket was never closed. */
        struct slice rest = slice_from(raw, open + 1);
        struct slice inside = slice_to(rest, slice_find(rest, '<'));
        size_t close = slice_find(inside, '>');
        brackets = true;
        r = id_add(d, &list, slice_to(inside, close));
        i = open + 1 + close;
    }
    if (r == 0 && !brackets)
        r = ids_without_brackets(d, raw, &list);
    if (r < 0)
        return r;
    *ret_ids = list.ids;
    *ret_n = list.n;
    return 0;
}
