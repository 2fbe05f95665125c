/* SPDX-License-Identifier: MIT */
#include "mime_message.h"

#include "mime_internal.h"
#include "mime_scan.h"

#include <errno.h>
#include <stdlib.h>

#define BOUNDARY_MAX 2048 /* RFC 2046 allows 70 */

/* A multipart that encloses the place where the scan is. */
struct level {
    struct mime_part *part;
    struct slice boundary;
    bool active; /* its closing delimiter has not been met */
};

struct scan {
    struct mime_message *m;
    struct mime_window w;
    struct level levels[MIME_DEPTH_MAX];
    size_t depth;
    struct mime_part *last; /* newest part, in message order */
    bool over_parts;
};

/* A line that is a delimiter. */
struct delimiter {
    size_t level;
    bool closes;
    uint64_t body_end; /* of what it ends: before the line end in front of it */
    uint64_t next;     /* behind its line */
};

/* Whether `line` (without its line end) is a delimiter of an enclosing multipart; the innermost one counts.
 * delimiter := "--" boundary; close-delimiter := delimiter "--"; transport-padding := *LWSP-char */
static bool line_is_delimiter(const struct scan *sc, struct slice line, struct delimiter *ret)
{
    if (line.len < 2 || line.data[0] != '-' || line.data[1] != '-')
        return false;
    line = slice_from(line, 2);
    while (line.len && mime_is_space(line.data[line.len - 1]))
        line.len--;
    for (size_t i = sc->depth; i-- > 0;) {
        const struct level *l = &sc->levels[i];
        if (!l->active || !slice_starts(line, l->boundary))
            continue;
        struct slice rest = slice_from(line, l->boundary.len);
        if (rest.len && !slice_eq(rest, SLICE("--")))
            continue;
        ret->level = i;
        ret->closes = rest.len != 0;
        return true;
    }
    return false;
}

static bool any_active(const struct scan *sc)
{
    for (size_t i = 0; i < sc->depth; i++)
        if (sc->levels[i].active)
            return true;
    return false;
}

/* The line at the front of `s`, which holds at least BOUNDARY_MAX + 8 bytes or reaches the source's end. False: too
 * long to be a delimiter. */
static bool short_line(struct slice s, struct slice *ret, size_t *ret_next)
{
    struct slice head = slice_to(s, BOUNDARY_MAX + 8);
    size_t lf = slice_find(head, '\n');
    if (lf == head.len && head.len == BOUNDARY_MAX + 8)
        return false;
    *ret = slice_to(head, lf);
    *ret_next = MIN(lf + 1, s.len);
    return true;
}

/* The next delimiter from `pos` on, which is the start of a line. 1: found, 0: none up to the end, or an errno. */
static int find_delimiter(struct scan *sc, uint64_t pos, struct delimiter *ret)
{
    uint64_t start = pos, size = sc->m->source.size;
    struct slice s, line;
    size_t next;

    if (!any_active(sc))
        return 0;
    int r = mime_window_get(&sc->w, pos, BOUNDARY_MAX + 8, &s);
    if (r < 0)
        return r;
    if (short_line(s, &line, &next) && line_is_delimiter(sc, line, ret)) {
        ret->body_end = pos;
        ret->next = pos + next;
        return 1;
    }
    while (pos < size) {
        r = mime_window_get(&sc->w, pos, BOUNDARY_MAX + 16, &s);
        if (r < 0)
            return r;
        if (s.len < 3)
            return 0;
        size_t lf = mime_find_dash_line(s);
        if (lf == s.len) {
            if (pos + s.len >= size || s.len < BOUNDARY_MAX)
                return 0;
            pos += s.len - 2;
            continue;
        }
        pos += lf;
        r = mime_window_get(&sc->w, pos, BOUNDARY_MAX + 16, &s);
        if (r < 0)
            return r;
        if (s.len && short_line(slice_from(s, 1), &line, &next) && line_is_delimiter(sc, line, ret)) {
            ret->body_end = pos;
            ret->next = pos + 1 + next;
            if (pos > start) {
                r = mime_window_get(&sc->w, pos - 1, 1, &s);
                if (r < 0)
                    return r;
                if (s.len && s.data[0] == '\r')
                    ret->body_end--;
            }
            return 1;
        }
        pos++;
    }
    return 0;
}

/* Behind a header that is longer than what is looked at. */
static int skip_header(struct scan *sc, uint64_t pos, uint64_t *ret)
{
    struct slice s;
    bool line_start = false;
    while (pos < sc->m->source.size) {
        int r = mime_window_get(&sc->w, pos, 4096, &s);
        if (r < 0)
            return r;
        if (s.len == 0)
            break;
        size_t i = 0;
        while (i < s.len) {
            const char *lf = memchr(s.data + i, '\n', s.len - i);
            size_t end = lf ? (size_t) (lf - s.data) : s.len;
            struct slice line = slice_of(s.data + i, end - i);
            if (lf && line_start && (line.len == 0 || slice_eq(line, SLICE("\r")))) {
                *ret = pos + end + 1;
                return 0;
            }
            line_start = lf != NULL;
            i = lf ? end + 1 : end;
        }
        pos += s.len;
    }
    *ret = pos;
    return 0;
}

/* Whether a line can stand in a header: a field's first line, or a folded one. */
static bool line_is_field(struct slice line)
{
    struct slice rest = line;
    struct mime_field f;
    return mime_field_next(&rest, &f) && f.name.len;
}

/* Finds the end of the header at `pos`. *ret_header is valid until the window moves. */
static int read_header(struct scan *sc, uint64_t pos, struct slice *ret_header, uint64_t *ret_body)
{
    size_t need = 8192, i = 0, fields = 0;
    struct slice s;
    struct delimiter d;

    for (;;) {
        int r = mime_window_get(&sc->w, pos, need, &s);
        if (r < 0)
            return r;
        bool whole = pos + s.len >= sc->m->source.size || s.len < need;
        s = slice_to(s, MIME_HEADER_BYTES_MAX);
        while (i < s.len) {
            const char *lf = memchr(s.data + i, '\n', s.len - i);
            if (!lf && !(whole && s.len < MIME_HEADER_BYTES_MAX))
                break;
            size_t end = lf ? (size_t) (lf - s.data) : s.len, next = lf ? end + 1 : end;
            struct slice line = slice_of(s.data + i, end - i);
            if (line.len && line.data[line.len - 1] == '\r')
                line.len--;
            if (line.len == 0 && lf) {
                *ret_header = slice_to(s, i);
                *ret_body = pos + next;
                return 0;
            }
            bool folded = i && line.len && ascii_is_wsp(line.data[0]);
            bool ends = sc->depth && line_is_delimiter(sc, line, &d);
            if (ends) {
                *ret_header = slice_to(s, i);
                *ret_body = pos + i;
                return 0;
            }
            if (!folded && !line_is_field(line))
                mime_defect(&sc->m->decoder, "a line in a header that is no field");
            fields += !folded;
            if (fields > MIME_HEADER_FIELDS_MAX)
                break;
            i = next;
        }
        if (fields > MIME_HEADER_FIELDS_MAX || i >= MIME_HEADER_BYTES_MAX || s.len == MIME_HEADER_BYTES_MAX) {
            mime_defect(&sc->m->decoder, "the header is too large");
            *ret_header = slice_to(s, i);
            return skip_header(sc, pos + i, ret_body);
        }
        if (whole) {
            *ret_header = s;
            *ret_body = pos + s.len;
            return 0;
        }
        need = MIN(MAX(need, s.len) * 2, (size_t) MIME_HEADER_BYTES_MAX + 1);
    }
}

static int take_content_id(struct mime_decoder *d, struct slice raw, struct mime_part *part)
{
    struct slice *ids;
    size_t n;
    int r = mime_parse_message_ids(d, raw, &ids, &n);
    if (r == 0 && n)
        part->content_id = ids[0];
    return r;
}

static int take_encoding(struct mime_decoder *d, struct slice raw, struct mime_part *part)
{
    size_t start = mime_skip_cfws(raw, 0), end = start;
    bool known;
    while (end < raw.len && raw.data[end] != ';' && raw.data[end] != '(')
        end++;
    struct slice name = slice_trim(slice_of(raw.data + start, end - start));
    if (name.len && name.data[0] == '"')
        name = slice_trim(slice_of(name.data + 1, name.len - 1 - (name.len > 1 && name.data[name.len - 1] == '"')));
    part->encoding = mime_encoding_of(name, &known);
    if (!known)
        mime_defect(d, "an unknown transfer encoding");
    struct slice text;
    int r = mime_decode_text(d, name, &text);
    if (r < 0)
        return r;
    for (size_t i = 0; i < text.len; i++)
        ((char *) (uintptr_t) text.data)[i] = ascii_lower(text.data[i]);
    part->encoding_name = text.len ? text : SLICE("7bit");
    return 0;
}

/* The fields that say what a part is; of each the first counts. */
static int interpret_header(struct mime_decoder *d, struct slice header, struct mime_part *part)
{
    enum { TYPE = 1, DISPOSITION = 2, ENCODING = 4, ID = 8 };
    unsigned seen = 0;
    struct mime_field f;
    struct mime_content_type type = {0};
    int r = 0;

    while (r == 0 && mime_field_next(&header, &f)) {
        if (f.name.len < 10 || !slice_starts_ci(f.name, SLICE("content-")))
            continue;
        unsigned what = slice_eq_ci(f.name, SLICE("content-type"))                ? TYPE
                        : slice_eq_ci(f.name, SLICE("content-disposition"))       ? DISPOSITION
                        : slice_eq_ci(f.name, SLICE("content-transfer-encoding")) ? ENCODING
                        : slice_eq_ci(f.name, SLICE("content-id"))                ? ID
                                                                                  : 0;
        if (!what)
            continue;
        if (seen & what) {
            mime_defect(d, "a content field is given twice");
            continue;
        }
        seen |= what;
        if (what == TYPE)
            r = mime_parse_content_type(d, f.value, &type);
        else if (what == DISPOSITION)
            r = mime_parse_disposition(d, f.value, &part->disposition, &part->disposition_params);
        else if (what == ENCODING)
            r = take_encoding(d, f.value, part);
        else
            r = take_content_id(d, f.value, part);
    }
    if (r < 0)
        return r;
    part->params = type.params;
    if (type.subtype.len) {
        part->type = type.type;
        part->subtype = type.subtype;
    } else if (seen & TYPE) {
        part->type = SLICE("text");
        part->subtype = SLICE("plain");
    }
    const struct slice *charset = mime_param_get(&part->params, SLICE("charset"));
    const struct slice *name = mime_param_get(&part->disposition_params, SLICE("filename"));
    if (!name || !name->len)
        name = mime_param_get(&part->params, SLICE("name"));
    if (charset && charset->len)
        part->charset = *charset;
    if (name && name->len)
        part->filename = *name;
    return 0;
}

/* "1.2" for the second child of "1", "2" for that of the root. */
static int number_of(struct arena *a, struct slice parent, size_t n, struct slice *ret)
{
    char digits[24], *at = digits + sizeof(digits), *text;
    for (; n; n /= 10)
        *--at = (char) ('0' + n % 10);
    if (parent.len)
        *--at = '.';
    size_t len = (size_t) (digits + sizeof(digits) - at);
    text = arena_alloc(a, parent.len + len + 1);
    if (!text)
        return -ENOMEM;
    if (parent.len)
        memcpy(text, parent.data, parent.len);
    memcpy(text + parent.len, at, len);
    *ret = slice_of(text, parent.len + len);
    return 0;
}

static int part_new(struct scan *sc, struct mime_part *parent, uint64_t pos, struct mime_part **ret)
{
    struct arena *a = &sc->m->arena;
    struct mime_part *part = arena_alloc(a, sizeof(*part));
    if (!part)
        return -ENOMEM;
    bool digest = parent && slice_eq(parent->subtype, SLICE("digest"));
    part->type = digest ? SLICE("message") : SLICE("text");
    part->subtype = digest ? SLICE("rfc822") : SLICE("plain");
    part->encoding_name = SLICE("7bit");
    part->header_offset = pos;
    part->parent = parent;
    part->number = SLICE("");
    if (parent) {
        int r = number_of(a, parent->number, ++parent->n_children, &part->number);
        if (r < 0)
            return r;
        if (parent->last_child)
            parent->last_child->next = part;
        else
            parent->children = part;
        parent->last_child = part;
    }
    if (sc->last)
        sc->last->following = part;
    sc->last = part;
    sc->m->n_parts++;
    *ret = part;
    return 0;
}

/* The same within the memory that is meant for it: what a message makes of it is bounded, and the tree comes first. Where there truly is
 * no memory that is said: a multipart must not be taken for one text. */
static int interpret_within_memory(struct scan *sc, struct slice header, struct mime_part *part)
{
    struct mime_message *m = sc->m;
    struct mime_part plain = *part;
    m->arena.max = MIME_MESSAGE_MEMORY - MIME_MESSAGE_RESERVE;
    m->arena.over = m->arena.used > m->arena.max;
    int r = m->arena.over ? -ENOMEM : interpret_header(&m->decoder, header, part);
    m->arena.max = MIME_MESSAGE_MEMORY;
    if (r == -ENOMEM && m->arena.over) {
        *part = plain;
        mime_defect(&m->decoder, "its header takes too much memory");
        r = 0;
    }
    return r;
}

/* The part that begins at `pos`: its header, and whether it is taken apart. */
static int begin_part(struct scan *sc, struct mime_part *parent, uint64_t pos, struct mime_part **ret)
{
    struct mime_decoder *d = &sc->m->decoder;
    struct mime_part *part;
    struct slice header = SLICE_EMPTY;
    int r = part_new(sc, parent, pos, &part);
    if (r < 0)
        return r;
    char where[128];
    if (parent && part->number.len < 100) {
        memcpy(where, "part ", 5);
        memcpy(where + 5, part->number.data, part->number.len);
        where[5 + part->number.len] = '\0';
        d->where = where;
    }
    r = read_header(sc, pos, &header, &part->body_offset);
    if (r == 0)
        r = interpret_within_memory(sc, header, part);
    if (r < 0)
        goto out;
    part->header_size = (uint32_t) header.len;
    if (slice_eq(part->type, SLICE("multipart"))) {
        const struct slice *boundary = mime_param_get(&part->params, SLICE("boundary"));
        if (!boundary || boundary->len == 0 || boundary->len > BOUNDARY_MAX) {
            mime_defect(d, "a multipart without a usable boundary");
            part->is_multipart = true;
        } else if (sc->depth == MIME_DEPTH_MAX) {
            mime_defect(d, "nested too deeply");
        } else {
            if (part->encoding != MIME_ENCODING_IDENTITY)
                mime_defect(d, "a transfer encoding on a multipart");
            part->is_multipart = true;
            sc->levels[sc->depth++] = (struct level){part, *boundary, true};
        }
    }
    *ret = part;
out:
    d->where = NULL;
    return r;
}

/* Whether the line at `pos` is a delimiter as well: then there is no part between the two. */
static int delimiter_follows(struct scan *sc, uint64_t pos)
{
    struct delimiter d;
    struct slice s, line;
    size_t next;
    int r = mime_window_get(&sc->w, pos, BOUNDARY_MAX + 8, &s);
    if (r < 0)
        return r;
    return s.len && short_line(s, &line, &next) && line_is_delimiter(sc, line, &d);
}

/* Ends what stands deeper than `level`, and the leaf. */
static void end_parts(struct scan *sc, struct mime_part *leaf, size_t depth, uint64_t end)
{
    if (leaf)
        leaf->body_size = end > leaf->body_offset ? end - leaf->body_offset : 0;
    while (sc->depth > depth) {
        struct level *l = &sc->levels[--sc->depth];
        l->part->body_size = end > l->part->body_offset ? end - l->part->body_offset : 0;
        if (l->active)
            mime_defect(&sc->m->decoder, "a multipart is not closed");
    }
}

static int scan_parts(struct scan *sc, uint64_t pos)
{
    struct mime_part *part = NULL, *leaf; /* leaf: whose end the next delimiter is */
    struct delimiter d;
    int r = begin_part(sc, NULL, pos, &part);
    if (r < 0)
        return r;
    sc->m->root = part;
    leaf = part->is_multipart && sc->depth ? NULL : part;
    pos = part->body_offset;
    for (;;) {
        r = find_delimiter(sc, pos, &d);
        if (r <= 0) {
            end_parts(sc, leaf, 0, sc->m->source.size);
            return r;
        }
        end_parts(sc, leaf, d.level + 1, d.body_end);
        leaf = NULL;
        pos = d.next;
        if (d.closes) {
            sc->levels[d.level].active = false;
            continue;
        }
        r = delimiter_follows(sc, pos);
        if (r < 0)
            return r;
        if (r > 0) {
            mime_defect(&sc->m->decoder, "a part without anything in it");
            continue;
        }
        if (sc->m->n_parts >= MIME_PARTS_MAX) {
            if (!sc->over_parts)
                mime_defect(&sc->m->decoder, "too many parts");
            sc->over_parts = true;
            continue;
        }
        r = begin_part(sc, sc->levels[d.level].part, pos, &part);
        if (r < 0)
            return r;
        leaf = part == sc->levels[sc->depth - 1].part ? NULL : part;
        pos = part->body_offset;
    }
}

/* A leading "From " line as mbox files have it. */
static int skip_mbox_line(struct scan *sc, uint64_t *ret)
{
    struct slice s;
    int r = mime_window_get(&sc->w, 0, 4096, &s);
    if (r < 0)
        return r;
    *ret = 0;
    s = slice_to(s, 4096);
    size_t lf = slice_find(s, '\n');
    if ((slice_starts(s, SLICE("From ")) || slice_starts(s, SLICE(">From "))) && lf < s.len)
        *ret = lf + 1;
    return 0;
}

/* A message that is one leaf has a section number all the same. */
static void settle_numbers(struct mime_message *m)
{
    for (struct mime_part *p = m->root; p; p = p->following)
        if (p->is_multipart && !p->children)
            mime_defect(&m->decoder, "a multipart without parts");
    if (!m->root->is_multipart)
        m->root->number = SLICE("1");
}

int mime_message_parse(const struct mime_source *src, struct mime_message **ret)
{
    struct mime_message *m = calloc(1, sizeof(*m));
    struct scan *sc = calloc(1, sizeof(*sc));
    int r = -ENOMEM;
    if (!m || !sc)
        goto out;
    m->source = *src;
    arena_init(&m->arena, MIME_MESSAGE_MEMORY);
    m->defects.arena = &m->arena;
    mime_decoder_init(&m->decoder, &m->arena, &m->defects);
    sc->m = m;
    mime_window_init(&sc->w, &m->source);
    r = skip_mbox_line(sc, &m->header_offset);
    if (r == 0)
        r = scan_parts(sc, m->header_offset);
    mime_window_done(&sc->w);
    if (r == 0) {
        settle_numbers(m);
        mime_message_sort(m);
    }
out:
    free(sc);
    if (r < 0)
        mime_message_free(m);
    else
        *ret = m;
    return r;
}

void mime_message_free(struct mime_message *m)
{
    if (!m)
        return;
    mime_decoder_done(&m->decoder);
    arena_done(&m->arena);
    free(m);
}

int mime_message_header(const struct mime_message *m, const struct mime_part *part, struct arena *arena,
                        struct slice *ret)
{
    size_t len = part->header_size, got;
    if (m->source.data) {
        *ret = slice_of(m->source.data + part->header_offset, len);
        return 0;
    }
    char *p = arena_alloc(arena, len + 1);
    if (!p)
        return -ENOMEM;
    int r = mime_source_read(&m->source, part->header_offset, p, len, &got);
    if (r == 0)
        *ret = slice_of(p, got);
    return r;
}

struct mime_part *mime_message_find(const struct mime_message *m, struct slice number)
{
    for (struct mime_part *p = m->root; p; p = p->following)
        if (slice_eq(p->number, number))
            return p;
    return NULL;
}
