/* SPDX-License-Identifier: MIT */
#include "imap_parse.h"

#include <errno.h>

void imap_skip_spaces(struct slice *rest)
{
    while (rest->len && rest->data[0] == ' ')
        rest->data++, rest->len--;
}

struct slice imap_word_next(struct slice *rest)
{
    imap_skip_spaces(rest);
    size_t n = slice_find(*rest, ' ');
    struct slice word = slice_to(*rest, n);
    *rest = slice_from(*rest, n + 1);
    return word;
}

bool imap_number_next(struct slice *rest, uint64_t max, uint64_t *ret)
{
    size_t n = 0;
    while (n < rest->len && ascii_is_digit(rest->data[n]))
        n++;
    if (!slice_to_u64(slice_to(*rest, n), max, ret))
        return false;
    *rest = slice_from(*rest, n);
    return true;
}

int imap_literal_at_end(struct slice text, uint64_t max, uint64_t *ret, size_t *ret_len)
{
    if (text.len < 3 || text.data[text.len - 1] != '}')
        return 0;
    size_t end = text.len - 1, i;
    if (text.data[end - 1] == '+') /* no server should, some do */
        end--;
    for (i = end; i > 0 && ascii_is_digit(text.data[i - 1]); i--)
        ;
    if (i == 0 || text.data[i - 1] != '{') {
        /* "{-1}", "{1e3}": meant as one. A "}" at the end of a text is none. */
        if (i > 1 && text.data[i - 1] == '-' && text.data[i - 2] == '{' && i < end)
            return -ERANGE;
        return 0;
    }
    if (i == end)
        return 0;
    if (!slice_to_u64(slice_of(text.data + i, end - i), max, ret))
        return -ERANGE;
    size_t begin = i - 1;
    if (begin > 0 && text.data[begin - 1] == '~')
        begin--;
    *ret_len = text.len - begin;
    return 1;
}

#define ONES UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

/* The first quote or backslash, or the end. */
static const char *quote_or_slash(const char *p, const char *end)
{
    for (; end - p >= 8; p += 8) {
        uint64_t x;
        memcpy(&x, p, 8);
        uint64_t quote = x ^ (ONES * '"'), slash = x ^ (ONES * '\\');
        if ((((quote - ONES) & ~quote) | ((slash - ONES) & ~slash)) & HIGHS)
            break;
    }
    while (p < end && *p != '"' && *p != '\\')
        p++;
    return p;
}

/* Behind the closing quote of what begins at `p`, behind the opening one; NULL: there is none. */
static const char *quoted_end(const char *p, const char *end, bool *ret_escaped)
{
    bool escaped = false;
    for (;;) {
        p = quote_or_slash(p, end);
        if (p == end)
            return NULL;
        if (*p == '"')
            break;
        escaped = true;
        if (end - p < 2)
            return NULL;
        p += 2;
    }
    *ret_escaped = escaped;
    return p + 1;
}

/* quoted = DQUOTE *QUOTED-CHAR DQUOTE; *rest begins at the quote. */
static int take_quoted(struct slice *rest, struct imap_value *ret)
{
    const char *p = rest->data + 1, *end = rest->data + rest->len, *behind;
    bool escaped;
    behind = quoted_end(p, end, &escaped);
    if (!behind)
        return -EBADMSG;
    *ret = (struct imap_value){IMAP_QUOTED, slice_of(p, (size_t) (behind - p) - 1), escaped};
    *rest = slice_of(behind, (size_t) (end - behind));
    return 1;
}

/* literal = "{" number ["+"] "}" CRLF *CHAR8; *rest begins at the brace. 0: it is none. */
static int take_literal(struct slice *rest, struct imap_value *ret)
{
    struct slice r = slice_from(*rest, rest->data[0] == '~' ? 2 : 1);
    uint64_t n;
    if (!imap_number_next(&r, UINT64_MAX, &n))
        return 0;
    if (r.len && r.data[0] == '+')
        r = slice_from(r, 1);
    if (r.len == 0 || r.data[0] != '}')
        return 0;
    r = slice_from(r, 1);
    if (r.len && r.data[0] == '\r')
        r = slice_from(r, 1);
    if (r.len == 0 || r.data[0] != '\n')
        return 0;
    r = slice_from(r, 1);
    if (n > r.len)
        return -EBADMSG;
    *ret = (struct imap_value){IMAP_LITERAL, slice_to(r, (size_t) n), false};
    *rest = slice_from(r, (size_t) n);
    return 1;
}

/* Up to a space or parenthesis; what stands in brackets belongs to it. */
static int take_atom(struct slice *rest, struct imap_value *ret)
{
    size_t n = 0;
    bool brackets = false, quotes = false;
    for (; n < rest->len; n++) {
        char c = rest->data[n];
        if (quotes) {
            if (c == '\\')
                n++;
            else if (c == '"')
                quotes = false;
        } else if (brackets) {
            if (c == '"')
                quotes = true;
            else if (c == ']')
                brackets = false;
        } else if (c == '[') {
            brackets = true;
        } else if (c == ' ' || c == '(' || c == ')' || c == '"' || c == '\r' || c == '\n') {
            break;
        }
    }
    if (n == 0 || n > rest->len)
        return -EBADMSG;
    struct slice atom = slice_to(*rest, n);
    *ret = (struct imap_value){IMAP_ATOM, atom, false};
    if (atom.len == 3 && slice_eq_ci(atom, SLICE("NIL")))
        ret->type = IMAP_NIL;
    *rest = slice_from(*rest, n);
    return 1;
}

int imap_token_next(struct slice *rest, enum imap_token_type *ret_type, struct imap_value *ret)
{
    imap_skip_spaces(rest);
    if (rest->len == 0) {
        *ret_type = IMAP_TOKEN_END;
        return 0;
    }
    char c = rest->data[0];
    if (c == '(' || c == ')') {
        *ret_type = c == '(' ? IMAP_TOKEN_OPEN : IMAP_TOKEN_CLOSE;
        *rest = slice_from(*rest, 1);
        return 1;
    }
    *ret_type = IMAP_TOKEN_VALUE;
    if (c == '"')
        return take_quoted(rest, ret);
    if (c == '{' || (c == '~' && rest->len > 1 && rest->data[1] == '{')) {
        int taken = take_literal(rest, ret);
        if (taken)
            return taken;
    }
    return take_atom(rest, ret);
}

/* *rest begins behind the opening parenthesis. */
static int take_list(struct slice *rest, struct imap_value *ret)
{
    static const bool stops[256] = {['('] = true, [')'] = true, ['"'] = true, ['{'] = true};
    const char *p = rest->data, *end = p + rest->len;
    unsigned depth = 1;
    bool ignored;
    for (;; p++) {
        while (p < end && !stops[(unsigned char) *p])
            p++;
        if (p == end)
            return -EBADMSG;
        if (*p == '(') {
            if (++depth > IMAP_DEPTH_MAX)
                return -EBADMSG;
        } else if (*p == ')') {
            if (--depth == 0)
                break;
        } else if (*p == '"') {
            p = quoted_end(p + 1, end, &ignored);
            if (!p)
                return -EBADMSG;
            p--;
        } else {
            struct slice r = slice_of(p, (size_t) (end - p));
            struct imap_value skipped;
            int taken = take_literal(&r, &skipped);
            if (taken < 0)
                return taken;
            if (taken)
                p = r.data - 1;
        }
    }
    *ret = (struct imap_value){IMAP_LIST, slice_of(rest->data, (size_t) (p - rest->data)), false};
    *rest = slice_of(p + 1, (size_t) (end - p) - 1);
    return 1;
}

int imap_value_next(struct slice *rest, struct imap_value *ret)
{
    enum imap_token_type type;
    imap_skip_spaces(rest);
    struct slice r = *rest;
    int taken = imap_token_next(&r, &type, ret);
    if (taken <= 0)
        return taken;
    if (type == IMAP_TOKEN_CLOSE)
        return -EBADMSG;
    if (type == IMAP_TOKEN_OPEN) {
        taken = take_list(&r, ret);
        if (taken < 0)
            return taken;
    }
    *rest = r;
    return 1;
}

int imap_value_text(const struct imap_value *v, struct buffer *scratch, struct slice *ret)
{
    if (v->type == IMAP_NIL) {
        *ret = SLICE_EMPTY;
        return 0;
    }
    if (!v->escaped) {
        *ret = slice_of(v->bytes.data ? v->bytes.data : "", v->bytes.len);
        return 0;
    }
    char *to;
    size_t n = 0;
    int r = buffer_reserve(scratch, v->bytes.len, &to);
    if (r < 0)
        return r;
    for (size_t i = 0; i < v->bytes.len; i++) {
        if (v->bytes.data[i] == '\\' && i + 1 < v->bytes.len)
            i++;
        to[n++] = v->bytes.data[i];
    }
    buffer_commit(scratch, n);
    *ret = slice_of(to, n);
    return 0;
}

bool imap_value_number(const struct imap_value *v, uint64_t max, uint64_t *ret)
{
    return imap_value_is_string(v) && slice_to_u64(v->bytes, max, ret);
}

/* 1*DIGIT ["." *DIGIT] [("e" / "E") ["+"] 1*2DIGIT]: what is behind the point is left out. */
static bool parse_decimal(struct slice s, uint64_t max, uint64_t *ret)
{
    uint64_t n = 0, exponent = 0;
    size_t i = 0, end;
    while (i < s.len && ascii_is_digit(s.data[i]))
        i++;
    if (!slice_to_u64(slice_to(s, i), max, &n))
        return false;
    size_t fraction = i < s.len && s.data[i] == '.' ? ++i : i;
    while (i < s.len && ascii_is_digit(s.data[i]))
        i++;
    end = i;
    if (i < s.len && (s.data[i] == 'e' || s.data[i] == 'E')) {
        i += i + 1 < s.len && s.data[i + 1] == '+' ? 2 : 1;
        if (!slice_to_u64(slice_from(s, i), 19, &exponent))
            return false;
        i = s.len;
    }
    for (; exponent > 0; exponent--) {
        uint64_t digit = fraction < end ? (uint64_t) (s.data[fraction++] - '0') : 0;
        if (n > (max - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *ret = n;
    return i == s.len;
}

bool imap_value_count(const struct imap_value *v, uint64_t max, uint64_t *ret, unsigned *odd)
{
    uint64_t n;
    if (imap_value_number(v, max, ret))
        return true;
    bool negative = v->type == IMAP_ATOM && v->bytes.len > 1 && v->bytes.data[0] == '-';
    struct slice digits = negative ? slice_from(v->bytes, 1) : v->bytes;
    if (v->type == IMAP_ATOM && parse_decimal(digits, max, &n)) {
        *odd |= IMAP_ODD_NUMBER;
        if (!negative)
            *ret = n;
        return !negative;
    }
    *odd |= IMAP_ODD_SHAPE;
    return false;
}
