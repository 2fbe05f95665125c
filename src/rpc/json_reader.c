/* SPDX-License-Identifier: MIT */
#include "json_keys.h"

#include "utf8.h"

#include <errno.h>
#include <stdlib.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* ---- the reader's base -------------------------------------------------------------------------------------- */

void json_reader_init(struct json_reader *r, char *text, size_t len, struct json_keyset *keys)
{
    r->p = r->start = text;
    r->end = text + len;
    r->depth = 0;
    r->first = false;
    r->trusted = false;
    r->is_object = r->indexed = 0;
    r->keys = keys;
    r->error = NULL;
    r->failed = 0;
    json_keys_reset(keys);
}

void json_reader_init_part(struct json_reader *r, struct slice part, unsigned depth, struct json_keyset *keys)
{
    /* The part lies in a text that was given to json_reader_init() as writable. */
    json_reader_init(r, (char *) (uintptr_t) part.data, part.len, keys);
    r->depth = depth;
    r->trusted = true;
}

ATTR_COLD static int fail(struct json_reader *r, const char *error)
{
    return json_reader_fail(r, -EBADMSG, error);
}

static inline void skip_space(struct json_reader *r)
{
    char *p = r->p;
    while (p < r->end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    r->p = p;
}

static inline bool level_is_object(const struct json_reader *r)
{
    return r->is_object >> (r->depth - 1) & 1;
}

static int open_container(struct json_reader *r, bool object)
{
    if (r->depth == JSON_DEPTH_MAX)
        return fail(r, "nested deeper than 64 levels");
    uint64_t bit = UINT64_C(1) << r->depth;
    r->is_object = object ? r->is_object | bit : r->is_object & ~bit;
    r->indexed &= ~bit;
    r->base[r->depth++] = (uint32_t) r->keys->n;
    r->first = true;
    r->p++;
    return 0;
}

static void close_container(struct json_reader *r)
{
    r->depth--;
    r->first = false;
    r->p++;
    if (r->trusted)
        return;
    if (r->indexed >> r->depth & 1)
        json_keys_unindex(r);
    r->keys->n = r->base[r->depth];
}

/* ---- strings ------------------------------------------------------------------------------------------------ */

#define ONES UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

/* Not zero when one of eight bytes ends a plain run: quote, backslash, control character, or beyond ASCII. */
static inline uint64_t stops(uint64_t x)
{
    uint64_t quote = x ^ (ONES * '"'), slash = x ^ (ONES * '\\');
    return ((x - ONES * 0x20) | (quote - ONES) | (slash - ONES) | x) & HIGHS;
}

/* The first byte from `p` on that ends a plain run, or a place close to `end`. */
static inline char *plain_end(char *p, const char *end)
{
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'), space = _mm_set1_epi8(0x20);

    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *) (const void *) p);
        /* Beyond ASCII is negative here, and so below a space as well. */
        __m128i hit = _mm_or_si128(_mm_cmplt_epi8(v, space), _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)));
        int mask = _mm_movemask_epi8(hit);
        if (mask)
            return p + __builtin_ctz((unsigned) mask);
    }
#endif
    while (end - p >= 8) {
        uint64_t x;
        memcpy(&x, p, 8);
        x = stops(x);
        if (x) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
            /* What a borrow marks by mistake lies behind a byte that is marked rightly. */
            p += __builtin_ctzll(x) / 8;
#endif
            break;
        }
        p += 8;
    }
    return p;
}

/* Runs over plain characters from `p` on, to the next quote or backslash; NULL: the text is wrong. */
static char *run_over(struct json_reader *r, char *p)
{
    char *end = r->end;

    for (;;) {
        p = plain_end(p, end);
        if (p == end) {
            fail(r, "a string has no end");
            return NULL;
        }
        unsigned char c = (unsigned char) *p;
        if (c == '"' || c == '\\')
            return p;
        if (c < 0x20) {
            fail(r, "a control character in a string");
            return NULL;
        }
        if (c < 0x80 || r->trusted) {
            p++;
            continue;
        }
        do {
            size_t n = utf8_char_len(p, (size_t) (end - p));
            if (n == 0) {
                fail(r, "a string is not UTF-8");
                return NULL;
            }
            p += n;
        } while (p < end && (unsigned char) *p >= 0x80);
    }
}

static int hex4(const char *p, const char *end, uint32_t *ret)
{
    uint32_t v = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = ascii_lower(p[i]);
        if (ascii_is_digit(c))
            v = v << 4 | (uint32_t) (c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v << 4 | (uint32_t) (c - 'a' + 10);
        else
            return -1;
    }
    *ret = v;
    return 0;
}

/* The escape whose backslash is at `p`; its character goes to *ret. Returns what follows, NULL: wrong. */
static char *escape(struct json_reader *r, char *p, uint32_t *ret)
{
    static const char values[128] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                     ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
    uint32_t cp, low;

    if (r->end - p < 2) {
        fail(r, "a string has no end");
        return NULL;
    }
    if (p[1] != 'u') {
        unsigned char name = (unsigned char) p[1];
        if (name >= sizeof(values) || !values[name]) {
            fail(r, "an unknown escape in a string");
            return NULL;
        }
        *ret = (unsigned char) values[name];
        return p + 2;
    }
    if (hex4(p + 2, r->end, &cp) < 0) {
        fail(r, "\\u without four hexadecimal digits");
        return NULL;
    }
    p += 6;
    if (cp >= 0xd800 && cp < 0xe000) {
        if (cp >= 0xdc00 || r->end - p < 6 || p[0] != '\\' || p[1] != 'u' || hex4(p + 2, r->end, &low) < 0 ||
            low < 0xdc00 || low > 0xdfff) {
            fail(r, "an unpaired surrogate in a string");
            return NULL;
        }
        cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
        p += 6;
    }
    *ret = cp;
    return p;
}

/* The string whose opening quote is at r->p, without changing it; *ret: what stands between the quotes. */
static int pass_string(struct json_reader *r, struct slice *ret, bool *ret_escaped)
{
    char *start = r->p + 1, *p = start;
    bool escaped = false;
    uint32_t cp;

    for (;;) {
        p = run_over(r, p);
        if (!p)
            return r->failed;
        if (*p == '"')
            break;
        escaped = true;
        p = escape(r, p, &cp);
        if (!p)
            return r->failed;
    }
    *ret = slice_of(start, (size_t) (p - start));
    *ret_escaped = escaped;
    r->p = p + 1;
    return 0;
}

/* The string whose opening quote is at r->p, unescaped where it stands: it only ever gets shorter. */
static int take_string(struct json_reader *r, struct slice *ret)
{
    char *start = r->p + 1;
    char *p = run_over(r, start), *out = p;
    uint32_t cp;

    while (p && *p == '\\') {
        p = escape(r, p, &cp);
        if (!p)
            break;
        if (cp < 0x80)
            *out++ = (char) cp;
        else
            out += utf8_encode(cp, out);
        char *run = p;
        p = run_over(r, run);
        if (p) {
            memmove(out, run, (size_t) (p - run));
            out += p - run;
        }
    }
    if (!p)
        return r->failed;
    *ret = slice_of(start, (size_t) (out - start));
    r->p = p + 1;
    return 0;
}

/* ---- members and items -------------------------------------------------------------------------------------- */

/* A key that holds escapes and must stay as it is: it is compared unescaped. */
static int note_escaped_key(struct json_reader *r, struct slice raw)
{
    char *copy = malloc(raw.len + 2);
    struct json_keyset none;
    struct json_reader part;
    struct slice key;

    if (!copy)
        return json_reader_fail(r, -ENOMEM, "out of memory");
    copy[0] = '"';
    memcpy(copy + 1, raw.data, raw.len);
    copy[raw.len + 1] = '"';
    json_keyset_init(&none);
    json_reader_init_part(&part, slice_of(copy, raw.len + 2), 0, &none);
    int n = take_string(&part, &key);
    if (n == 0)
        n = json_keys_note(r, key);
    explicit_bzero(copy, raw.len + 2);
    free(copy);
    return n;
}

static int next_member(struct json_reader *r, struct slice *ret_key, bool keep)
{
    struct slice key;
    bool escaped = false;
    int n;

    if (r->failed)
        return r->failed;
    skip_space(r);
    if (r->p == r->end)
        return fail(r, "an object has no end");
    if (*r->p == '}') {
        close_container(r);
        return 0;
    }
    if (!r->first) {
        if (*r->p != ',')
            return fail(r, "a comma or the end of an object was expected");
        r->p++;
        skip_space(r);
    }
    if (r->p == r->end || *r->p != '"')
        return fail(r, "a key was expected");
    r->first = false;
    n = keep ? pass_string(r, &key, &escaped) : take_string(r, &key);
    if (n < 0)
        return n;
    if (!r->trusted) {
        n = escaped ? note_escaped_key(r, key) : json_keys_note(r, key);
        if (n < 0)
            return n;
    }
    skip_space(r);
    if (r->p == r->end || *r->p != ':')
        return fail(r, "a colon was expected");
    r->p++;
    *ret_key = key;
    return 1;
}

int json_read_member(struct json_reader *r, struct slice *ret_key)
{
    return next_member(r, ret_key, false);
}

int json_read_item(struct json_reader *r)
{
    if (r->failed)
        return r->failed;
    skip_space(r);
    if (r->p == r->end)
        return fail(r, "an array has no end");
    if (*r->p == ']') {
        close_container(r);
        return 0;
    }
    if (!r->first) {
        if (*r->p != ',')
            return fail(r, "a comma or the end of an array was expected");
        r->p++;
    }
    r->first = false;
    return 1;
}

/* ---- values ------------------------------------------------------------------------------------------------- */

int json_read_peek(struct json_reader *r)
{
    if (r->failed)
        return r->failed;
    skip_space(r);
    if (r->p == r->end)
        return fail(r, "a value was expected");
    switch (*r->p) {
    case '{':
        return JSON_TOKEN_OBJECT;
    case '[':
        return JSON_TOKEN_ARRAY;
    case '"':
        return JSON_TOKEN_STRING;
    case 't':
        return JSON_TOKEN_TRUE;
    case 'f':
        return JSON_TOKEN_FALSE;
    case 'n':
        return JSON_TOKEN_NULL;
    default:
        if (*r->p == '-' || ascii_is_digit(*r->p))
            return JSON_TOKEN_NUMBER;
        return fail(r, "a value was expected");
    }
}

/* 0 when a value of this type stands next. */
static int expect(struct json_reader *r, enum json_token token)
{
    int n = json_read_peek(r);
    if (n < 0)
        return n;
    return n == (int) token ? 0 : -EINVAL;
}

int json_read_object(struct json_reader *r)
{
    int n = expect(r, JSON_TOKEN_OBJECT);
    return n < 0 ? n : open_container(r, true);
}

int json_read_array(struct json_reader *r)
{
    int n = expect(r, JSON_TOKEN_ARRAY);
    return n < 0 ? n : open_container(r, false);
}

int json_read_string(struct json_reader *r, struct slice *ret)
{
    int n = expect(r, JSON_TOKEN_STRING);
    return n < 0 ? n : take_string(r, ret);
}

static int literal(struct json_reader *r, struct slice word)
{
    if (!slice_starts(slice_of(r->p, (size_t) (r->end - r->p)), word))
        return fail(r, "a value was expected");
    r->p += word.len;
    return 0;
}

int json_read_bool(struct json_reader *r, bool *ret)
{
    int n = json_read_peek(r);
    if (n < 0)
        return n;
    if (n != JSON_TOKEN_TRUE && n != JSON_TOKEN_FALSE)
        return -EINVAL;
    bool yes = n == JSON_TOKEN_TRUE;
    n = literal(r, yes ? SLICE("true") : SLICE("false"));
    if (n == 0)
        *ret = yes;
    return n;
}

int json_read_null(struct json_reader *r)
{
    int n = expect(r, JSON_TOKEN_NULL);
    return n < 0 ? n : literal(r, SLICE("null"));
}

static char *digits(const struct json_reader *r, char *p)
{
    while (p < r->end && ascii_is_digit(*p))
        p++;
    return p;
}

/* number = [ "-" ] int [ frac ] [ exp ]; int = "0" / digit1-9 *DIGIT (RFC 8259 section 6) */
static int take_number(struct json_reader *r, struct slice *ret)
{
    char *start = r->p, *p = start, *from;

    if (*p == '-')
        p++;
    from = p;
    p = digits(r, p);
    if (p == from || (*from == '0' && p - from > 1))
        return fail(r, "a number is malformed");
    if (p < r->end && *p == '.') {
        from = ++p;
        p = digits(r, p);
        if (p == from)
            return fail(r, "a number is malformed");
    }
    if (p < r->end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < r->end && (*p == '+' || *p == '-'))
            p++;
        from = p;
        p = digits(r, p);
        if (p == from)
            return fail(r, "a number is malformed");
    }
    *ret = slice_of(start, (size_t) (p - start));
    r->p = p;
    return 0;
}

int json_read_number(struct json_reader *r, struct slice *ret)
{
    int n = expect(r, JSON_TOKEN_NUMBER);
    return n < 0 ? n : take_number(r, ret);
}

int json_read_int(struct json_reader *r, int64_t *ret)
{
    struct slice s;
    int n = json_read_number(r, &s);
    return n < 0 ? n : json_number_to_int(s, ret);
}

static int skip_scalar(struct json_reader *r, enum json_token token)
{
    struct slice s;
    bool escaped;

    switch (token) {
    case JSON_TOKEN_STRING:
        return pass_string(r, &s, &escaped);
    case JSON_TOKEN_NUMBER:
        return take_number(r, &s);
    case JSON_TOKEN_TRUE:
        return literal(r, SLICE("true"));
    case JSON_TOKEN_FALSE:
        return literal(r, SLICE("false"));
    case JSON_TOKEN_NULL:
        return literal(r, SLICE("null"));
    case JSON_TOKEN_OBJECT:
    case JSON_TOKEN_ARRAY:
        return open_container(r, token == JSON_TOKEN_OBJECT);
    }
    return -EINVAL;
}

int json_read_skip(struct json_reader *r, struct slice *ret)
{
    unsigned outside = r->depth;
    struct slice key;
    char *start = NULL;
    int n;

    for (;;) {
        n = json_read_peek(r);
        if (n < 0)
            return n;
        if (!start)
            start = r->p;
        n = skip_scalar(r, (enum json_token) n);
        if (n < 0)
            return n;
        do {
            if (r->depth == outside) {
                if (ret)
                    *ret = slice_of(start, (size_t) (r->p - start));
                return 0;
            }
            n = level_is_object(r) ? next_member(r, &key, true) : json_read_item(r);
        } while (n == 0);
        if (n < 0)
            return n;
    }
}

int json_read_end(struct json_reader *r)
{
    if (r->failed)
        return r->failed;
    skip_space(r);
    return r->p == r->end ? 0 : fail(r, "something follows the JSON text");
}
