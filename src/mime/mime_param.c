/* SPDX-License-Identifier: MIT */
#include "mime_header.h"

#include "mime_internal.h"

#include <errno.h>

/* A parameter as written: the name with RFC 2231's marks, the value without quotes. */
struct raw_param {
    struct slice base; /* lower case */
    struct slice value;
    unsigned segment; /* name*1 */
    bool segmented;
    bool extended; /* percent-encoded */
    bool taken;
};

struct raw_params {
    struct raw_param list[MIME_PARAMS_MAX];
    size_t n;
};

int mime_percent_decode(struct mime_decoder *d, struct slice s)
{
    char *out;
    if (buffer_reserve(&d->bytes, s.len, &out) < 0)
        return -ENOMEM;
    size_t o = 0;
    for (size_t i = 0; i < s.len; i++) {
        int high, low;
        if (s.data[i] == '%' && i + 2 < s.len && (high = mime_hex_digit(s.data[i + 1])) >= 0 &&
            (low = mime_hex_digit(s.data[i + 2])) >= 0) {
            out[o++] = (char) (high << 4 | low);
            i += 2;
        } else {
            out[o++] = s.data[i];
        }
    }
    buffer_commit(&d->bytes, o);
    return 0;
}

/* A name in lower case. It is ASCII by all rules; where it is not, it is read like a text. */
static int lower_copy(struct mime_decoder *d, struct slice s, struct slice *ret)
{
    struct slice text;
    int r = mime_decode_text(d, s, &text); /* a copy of its own */
    if (r < 0)
        return r;
    for (size_t i = 0; i < text.len; i++)
        ((char *) (uintptr_t) text.data)[i] = ascii_lower(text.data[i]);
    *ret = text;
    return 0;
}

/* parameter-name = attribute ["*" section] ["*"] */
static int raw_param_add(struct mime_decoder *d, struct raw_params *params, struct slice name, struct slice value)
{
    if (params->n == MIME_PARAMS_MAX) {
        mime_defect(d, "too many parameters");
        return 0;
    }
    struct raw_param *p = &params->list[params->n];
    *p = (struct raw_param){.value = value};
    size_t star = slice_find(name, '*');
    if (star < name.len) {
        struct slice marks = slice_from(name, star + 1);
        uint64_t segment;
        if (marks.len == 0) {
            p->extended = true;
        } else {
            if (marks.data[marks.len - 1] == '*') {
                p->extended = true;
                marks.len--;
            }
            if (slice_to_u64(marks, 99999, &segment)) {
                p->segmented = true;
                p->segment = (unsigned) segment;
            } else {
                mime_defect(d, "a parameter name with an odd \"*\"");
                star = name.len;
                p->extended = false;
            }
        }
        name = slice_to(name, star);
    }
    int r = lower_copy(d, name, &p->base);
    if (r == 0)
        params->n++;
    return r;
}

/* Bytes as they stand, folds and encoded words decoded. */
static int param_decode_plain(struct mime_decoder *d, struct slice value, struct slice *ret)
{
    return mime_decode_text(d, value, ret);
}

/* charset "'" [language] "'" value, the marks on the first segment only. */
static int param_decode_extended(struct mime_decoder *d, struct raw_param **segments, size_t n, struct slice *ret)
{
    struct mime_charset charset;
    bool extended = false;
    mime_charset_find(SLICE_EMPTY, &charset);
    struct buffer joined;
    buffer_init(&joined, MIME_TEXT_MAX);
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        struct slice value = segments[i]->value;
        if (!segments[i]->extended) {
            r = buffer_append_slice(&joined, value);
            continue;
        }
        if (i == 0 || !extended) {
            size_t quote = slice_find(value, '\''), second = quote + 1 + slice_find(slice_from(value, quote + 1), '\'');
            if (second < value.len) {
                mime_charset_find(slice_to(value, quote), &charset);
                value = slice_from(value, second + 1);
            }
        }
        extended = true;
        buffer_clear(&d->bytes);
        r = mime_percent_decode(d, value);
        if (r == 0)
            r = buffer_append_slice(&joined, buffer_slice(&d->bytes));
    }
    buffer_clear(&d->bytes);
    if (r == 0 && extended) {
        buffer_clear(&d->text);
        r = mime_text_append(d, &charset, buffer_slice(&joined), true);
        if (r == 0)
            r = mime_text_take(d, ret);
    } else if (r == 0) {
        r = param_decode_plain(d, buffer_slice(&joined), ret);
    }
    buffer_done(&joined);
    return r < 0 ? -ENOMEM : 0;
}

/* Gathers what bears the name of params->list[first], in the order of the sections. */
static size_t gather_segments(struct mime_decoder *d, struct raw_params *params, size_t first,
                              struct raw_param *segments[MIME_PARAM_SEGMENTS_MAX])
{
    struct slice base = params->list[first].base;
    size_t n = 0;
    for (size_t i = first; i < params->n; i++) {
        struct raw_param *p = &params->list[i];
        if (p->taken || !slice_eq(p->base, base) || (!p->extended && !p->segmented))
            continue;
        p->taken = true;
        if (n == MIME_PARAM_SEGMENTS_MAX) {
            mime_defect(d, "too many continuations of a parameter");
            continue;
        }
        size_t at = n;
        while (at && segments[at - 1]->segment > p->segment) {
            segments[at] = segments[at - 1];
            at--;
        }
        if (at && segments[at - 1]->segment == p->segment) {
            /* The same section twice: the first stands. */
            memmove(&segments[at], &segments[at + 1], (n - at) * sizeof(*segments));
            mime_defect(d, "a parameter is given twice");
            continue;
        }
        segments[at] = p;
        n++;
    }
    if (n && segments[n - 1]->segment >= n)
        mime_defect(d, "a continuation of a parameter is missing");
    return n;
}

static int params_decode(struct mime_decoder *d, struct raw_params *raw, struct mime_params *ret)
{
    struct mime_params out = {0};
    if (raw->n == 0) {
        *ret = out;
        return 0;
    }
    out.list = arena_calloc(d->arena, raw->n, sizeof(*out.list));
    if (!out.list)
        return -ENOMEM;
    for (size_t i = 0; i < raw->n; i++) {
        struct raw_param *p = &raw->list[i], *segments[MIME_PARAM_SEGMENTS_MAX];
        if (p->taken)
            continue;
        /* RFC 2231's form is the better one wherever both are given. */
        size_t n = gather_segments(d, raw, i, segments);
        bool plain = !p->taken;
        p->taken = true;
        for (size_t k = i + 1; k < raw->n; k++) {
            if (!raw->list[k].taken && slice_eq(raw->list[k].base, p->base)) {
                raw->list[k].taken = true;
                if (plain)
                    mime_defect(d, "a parameter is given twice");
            }
        }
        struct mime_param *to = &out.list[out.n++];
        to->name = p->base;
        int r = n ? param_decode_extended(d, segments, n, &to->value) : param_decode_plain(d, p->value, &to->value);
        if (r < 0)
            return r;
    }
    *ret = out;
    return 0;
}

int mime_decode_params(struct mime_decoder *d, const struct mime_param *pairs, size_t n, struct mime_params *ret)
{
    struct raw_params raw;
    raw.n = 0;
    for (size_t i = 0; i < n; i++) {
        int r = raw_param_add(d, &raw, pairs[i].name, pairs[i].value);
        if (r < 0)
            return r;
    }
    return params_decode(d, &raw, ret);
}

const struct slice *mime_param_get(const struct mime_params *params, struct slice name)
{
    for (size_t i = 0; i < params->n; i++)
        if (slice_eq(params->list[i].name, name))
            return &params->list[i].value;
    return NULL;
}

/* A quoted string whose quote stands at *i; *i goes behind it. */
static int quoted_value(struct mime_decoder *d, struct slice s, size_t *i, struct slice *ret)
{
    size_t start = *i + 1, end = start, n = 0;
    while (end < s.len && s.data[end] != '"')
        end += s.data[end] == '\\' && end + 1 < s.len ? 2 : 1;
    end = MIN(end, s.len);
    if (end == s.len)
        mime_defect(d, "a quoted string is not closed");
    char *out = arena_alloc(d->arena, end - start + 1);
    if (!out)
        return -ENOMEM;
    for (size_t k = start; k < end; k++) {
        if (s.data[k] == '\\' && k + 1 < end)
            k++;
        out[n++] = s.data[k];
    }
    *i = end < s.len ? end + 1 : end;
    *ret = slice_of(out, n);
    return 0;
}

/* Where a next parameter begins in what should have been one value: "a=b c=d", the semicolon forgotten. */
static bool looks_like_param(struct slice s, size_t i)
{
    size_t start = i;
    while (i < s.len && (ascii_is_alpha(s.data[i]) || ascii_is_digit(s.data[i]) || s.data[i] == '-' ||
                         s.data[i] == '*' || s.data[i] == '_'))
        i++;
    return i > start && i < s.len && s.data[i] == '=';
}

static struct slice bare_value(struct slice s, size_t *i, struct slice name)
{
    bool is_name = slice_starts_ci(name, SLICE("filename")) || slice_starts_ci(name, SLICE("name"));
    size_t start = *i, end = start;
    for (; end < s.len && s.data[end] != ';'; end++) {
        if (!mime_is_space(s.data[end]))
            continue;
        size_t next = end;
        while (next < s.len && mime_is_space(s.data[next]))
            next++;
        if (next < s.len && s.data[next] == '(' && !is_name) {
            *i = next;
            return slice_of(s.data + start, end - start);
        }
        if (looks_like_param(s, next) || (!is_name && !slice_eq_ci(name, SLICE("boundary")))) {
            *i = next;
            return slice_of(s.data + start, end - start);
        }
        end = next - 1;
    }
    *i = end;
    return slice_trim(slice_of(s.data + start, end - start));
}

/* *(";" attribute "=" value), from `i` on. */
/* RFC 2045 token. */
static size_t token_len(struct slice s, size_t i)
{
    size_t start = i;
    while (i < s.len && (unsigned char) s.data[i] > ' ' && (unsigned char) s.data[i] < 0x7f &&
           !memchr("()<>@,;:\\\"/[]?=", s.data[i], 15))
        i++;
    return i - start;
}

/* What a type without a subtype stands for. RFC 2045 section 5.2 makes it text/plain; what says that it is something
 * else is not shown as a text. */
static void type_alone(struct slice word, struct mime_content_type *ret)
{
    if (slice_eq_ci(word, SLICE("multipart"))) {
        ret->type = SLICE("multipart");
        ret->subtype = SLICE("mixed");
    } else if (slice_eq_ci(word, SLICE("text")) || slice_eq_ci(word, SLICE("plain"))) {
        ret->type = SLICE("text");
        ret->subtype = SLICE("plain");
    } else {
        ret->type = SLICE("application");
        ret->subtype = SLICE("octet-stream");
    }
}

static bool is_token(struct slice s)
{
    return s.len && token_len(s, 0) == s.len;
}

static int params_parse(struct mime_decoder *d, struct slice s, size_t i, struct mime_params *ret)
{
    struct raw_params raw;
    bool apart = false;
    raw.n = 0;
    while (i < s.len) {
        i = mime_skip_cfws(s, i);
        if (i < s.len && (s.data[i] == ';' || s.data[i] == ',')) {
            apart = s.data[i++] == ';';
            continue;
        }
        size_t start = i;
        while (i < s.len && s.data[i] != '=' && s.data[i] != ';' && s.data[i] != '"')
            i++;
        if (i == s.len || s.data[i] != '=') {
            if (slice_trim(slice_of(s.data + start, i - start)).len)
                mime_defect(d, "a parameter without a value");
            if (i < s.len && s.data[i] == '"') {
                struct slice skipped;
                if (quoted_value(d, s, &i, &skipped) < 0)
                    return -ENOMEM;
            }
            continue;
        }
        struct slice name = slice_trim(slice_of(s.data + start, i - start)), value;
        if (!apart)
            mime_defect(d, "a parameter without a semicolon before it");
        if (!is_token(name) || name.data[0] == '*')
            mime_defect(d, "an odd name of a parameter");
        apart = false;
        i = mime_skip_cfws(s, i + 1);
        int r = 0;
        if (i < s.len && s.data[i] == '"')
            r = quoted_value(d, s, &i, &value);
        else
            value = bare_value(s, &i, name);
        if (r == 0 && name.len)
            r = raw_param_add(d, &raw, name, value);
        if (r < 0)
            return r;
    }
    return params_decode(d, &raw, ret);
}

int mime_parse_content_type(struct mime_decoder *d, struct slice raw, struct mime_content_type *ret)
{
    struct mime_content_type out = {0};
    size_t i = mime_skip_cfws(raw, 0), type = token_len(raw, i), at = i;
    int r = 0;
    i = mime_skip_cfws(raw, i + type);
    if (type && i < raw.len && raw.data[i] == '/') {
        i = mime_skip_cfws(raw, i + 1);
        size_t subtype = token_len(raw, i);
        if (subtype) {
            r = lower_copy(d, slice_of(raw.data + at, type), &out.type);
            if (r == 0)
                r = lower_copy(d, slice_of(raw.data + i, subtype), &out.subtype);
            i += subtype;
        }
    }
    if (r == 0 && out.subtype.len == 0) {
        mime_defect(d, "an unusable content type");
        if (type && (i == raw.len || raw.data[i] == ';'))
            type_alone(slice_of(raw.data + at, type), &out);
        i = slice_find(raw, ';');
    }
    if (r == 0)
        r = params_parse(d, raw, i, &out.params);
    if (r == 0)
        *ret = out;
    return r;
}

int mime_parse_disposition(struct mime_decoder *d, struct slice raw, struct slice *ret_disposition,
                           struct mime_params *ret_params)
{
    struct slice name = SLICE_EMPTY;
    size_t i = mime_skip_cfws(raw, 0);
    bool quoted = i < raw.len && raw.data[i] == '"';
    i += quoted;
    size_t len = token_len(raw, i);
    int r = 0;
    /* "filename=x" alone: parameters without a disposition. */
    if (len && mime_skip_cfws(raw, i + len) < raw.len && raw.data[mime_skip_cfws(raw, i + len)] == '=')
        len = 0;
    if (len)
        r = lower_copy(d, slice_of(raw.data + i, len), &name);
    i += len;
    i += quoted && i < raw.len && raw.data[i] == '"';
    if (r == 0)
        r = params_parse(d, raw, i, ret_params);
    if (r == 0)
        *ret_disposition = name;
    return r;
}
