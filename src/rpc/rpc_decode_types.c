/* SPDX-License-Identifier: MIT */
#include "rpc_decode_types.h"

#include "base64.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* ---- helpers ------------------------------------------------------------------------------------------------ */

/* An array that grows with what is really there. */
struct growing {
    char *items;
    size_t n, cap, size;
};

static void *grow(struct rpc_decoder *d, struct growing *g)
{
    if (g->n == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 4;
        char *items = arena_calloc(d->d->arena, cap, g->size);
        if (!items)
            return NULL;
        if (g->n)
            memcpy(items, g->items, g->n * g->size);
        g->items = items;
        g->cap = cap;
    }
    return g->items + g->size * g->n++;
}

int rpc_enum_index(const char *const *names, struct slice s)
{
    for (int i = 0; names[i]; i++)
        if (slice_eq_ci(s, slice_of_str(names[i])))
            return i;
    return RPC_ENUM_ABSENT;
}

static int refuse_names(struct rpc_decoder *d, const char *const *names)
{
    char text[192] = "must be one of ";
    size_t len = strlen(text);

    for (size_t i = 0; names[i] && len < sizeof(text); i++) {
        int n = snprintf(text + len, sizeof(text) - len, "%s%s", i ? ", " : "", names[i]);
        len += n > 0 ? (size_t) n : 0;
    }
    return rpc_refuse(d, text);
}

static int check_string(struct rpc_decoder *d, const struct rpc_field *f, struct slice s)
{
    char text[96];

    if (f->flags & RPC_LINE) {
        for (size_t i = 0; i < s.len; i++)
            if (s.data[i] == '\0' || s.data[i] == '\r' || s.data[i] == '\n')
                return rpc_refuse(d, "must not hold CR, LF or NUL");
    } else if (!(f->flags & RPC_NUL_OK) && slice_find(s, '\0') != s.len) {
        return rpc_refuse(d, "must not hold NUL");
    }
    if (f->type != RPC_STRING || (f->min == 0 && f->max == 0))
        return 0;
    if (s.len < (uint64_t) f->min || (f->max && s.len > (uint64_t) f->max)) {
        if (s.len == 0)
            return rpc_refuse(d, "must not be empty");
        if (f->max)
            snprintf(text, sizeof(text), "must have %" PRId64 " to %" PRId64 " bytes", f->min, f->max);
        else
            snprintf(text, sizeof(text), "must have at least %" PRId64 " bytes", f->min);
        return rpc_refuse(d, text);
    }
    return 0;
}

static int decode_string(struct rpc_decoder *d, const struct rpc_field *f, struct slice *at)
{
    struct slice s;
    int r = json_read_string(&d->reader, &s);
    if (r == -EINVAL)
        return rpc_refuse(d, "must be a string");
    if (r == 0)
        r = check_string(d, f, s);
    if (r == 0)
        *at = s;
    return r;
}

/* ---- numbers ------------------------------------------------------------------------------------------------ */

static int refuse_number(struct rpc_decoder *d, int64_t min, int64_t max, bool ms)
{
    char text[128];
    const char *what = ms ? "a whole number of milliseconds" : "an integer";

    if (min == 0 && max == 0)
        snprintf(text, sizeof(text), "must be %s", what);
    else if (max == INT64_MAX)
        snprintf(text, sizeof(text), "must be %s of at least %" PRId64, what, min);
    else
        snprintf(text, sizeof(text), "must be %s from %" PRId64 " to %" PRId64, what, min, max);
    return rpc_refuse(d, text);
}

static int decode_number(struct rpc_decoder *d, int64_t min, int64_t max, bool ms, int64_t *ret)
{
    int64_t v = 0;
    int r = json_read_int(&d->reader, &v);

    if (r == -EINVAL || r == -ERANGE || (r == 0 && (min || max) && (v < min || v > max)))
        return refuse_number(d, min, max, ms);
    if (r == 0)
        *ret = v;
    return r;
}

static int decode_uidvalidity(struct rpc_decoder *d, struct rpc_uidvalidity *at)
{
    struct slice s;
    int64_t v = 0;
    int r = json_read_peek(&d->reader);

    if (r == JSON_TOKEN_STRING) {
        r = json_read_string(&d->reader, &s);
        if (r == 0 && !slice_eq(s, SLICE("any")))
            return rpc_refuse(d, "must be a number from 1 to 4294967295, or \"any\"");
        if (r == 0)
            at->kind = RPC_UIDVALIDITY_ANY;
        return r;
    }
    if (r >= 0)
        r = json_read_int(&d->reader, &v);
    if (r == -EINVAL || r == -ERANGE || (r == 0 && (v < 1 || v > UINT32_MAX)))
        return rpc_refuse(d, "must be a number from 1 to 4294967295, or \"any\"");
    if (r == 0)
        *at = (struct rpc_uidvalidity){RPC_UIDVALIDITY_NUMBER, (uint32_t) v};
    return r;
}

static int decode_set(struct rpc_decoder *d, struct rpc_set *at)
{
    struct growing g = {.size = sizeof(uint32_t)};
    struct slice s;
    int64_t v;
    int r = json_read_peek(&d->reader);

    if (r == JSON_TOKEN_STRING) {
        r = json_read_string(&d->reader, &s);
        if (r < 0)
            return r;
        for (size_t i = 0; i < s.len && !slice_eq(s, SLICE("$")); i++)
            if (!ascii_is_digit(s.data[i]) && s.data[i] != ':' && s.data[i] != ',' && s.data[i] != '*')
                return rpc_refuse(d, "must hold numbers, ',', ':' and '*' only");
        if (s.len == 0)
            return rpc_refuse(d, "must not be empty");
        at->text = s;
        at->given = true;
        return 0;
    }
    if (r >= 0)
        r = json_read_array(&d->reader);
    if (r == -EINVAL)
        return rpc_refuse(d, "must be a string such as \"1:*\", or an array of numbers");
    while (r >= 0 && (r = json_read_item(&d->reader)) == 1) {
        size_t was = rpc_path_push_index(d, g.n);
        r = decode_number(d, 1, UINT32_MAX, false, &v);
        if (r < 0)
            return r;
        rpc_path_pop(d, was);
        uint32_t *item = grow(d, &g);
        if (!item)
            return rpc_out_of_room(d);
        *item = (uint32_t) v;
    }
    if (r == 0)
        *at = (struct rpc_set){.numbers = (uint32_t *) (void *) g.items, .n = g.n, .given = true};
    return r;
}

/* ---- strings ------------------------------------------------------------------------------------------------ */

static int decode_enum(struct rpc_decoder *d, const struct rpc_field *f, int *at)
{
    struct slice s;
    int r = json_read_string(&d->reader, &s);
    int index = r == 0 ? rpc_enum_index(f->names, s) : RPC_ENUM_ABSENT;

    if (r == -EINVAL || (r == 0 && index == RPC_ENUM_ABSENT))
        return refuse_names(d, f->names);
    if (r == 0)
        *at = index;
    return r;
}

static int add_string(struct rpc_decoder *d, const struct rpc_field *f, struct growing *g, struct slice s)
{
    int r = check_string(d, f, s);
    if (r < 0)
        return r;
    if (f->names && rpc_enum_index(f->names, s) == RPC_ENUM_ABSENT)
        return refuse_names(d, f->names);
    struct slice *item = grow(d, g);
    if (!item)
        return rpc_out_of_room(d);
    *item = s;
    return 0;
}

static int add_words(struct rpc_decoder *d, const struct rpc_field *f, struct growing *g, struct slice s)
{
    int r = 0;
    while (r == 0 && s.len) {
        size_t n = slice_find(s, ' ');
        if (n)
            r = add_string(d, f, g, slice_to(s, n));
        s = slice_from(s, n + 1);
    }
    return r;
}

static int decode_strings(struct rpc_decoder *d, const struct rpc_field *f, struct rpc_strings *at)
{
    struct growing g = {.size = sizeof(struct slice)};
    struct slice s;
    char text[96];
    int r = json_read_peek(&d->reader);

    if (r == JSON_TOKEN_STRING && f->flags & RPC_ONE) {
        r = json_read_string(&d->reader, &s);
        if (r == 0)
            r = f->flags & RPC_SPLIT ? add_words(d, f, &g, s) : add_string(d, f, &g, s);
    } else {
        if (r >= 0)
            r = json_read_array(&d->reader);
        if (r == -EINVAL)
            return rpc_refuse(d, f->flags & RPC_ONE ? "must be a string or an array of strings"
                                                    : "must be an array of strings");
        while (r >= 0 && (r = json_read_item(&d->reader)) == 1) {
            size_t was = rpc_path_push_index(d, g.n);
            r = json_read_string(&d->reader, &s);
            if (r == -EINVAL)
                return rpc_refuse(d, "must be a string");
            if (r == 0)
                r = add_string(d, f, &g, s);
            if (r < 0)
                return r;
            rpc_path_pop(d, was);
        }
    }
    if (r < 0)
        return r;
    if (g.n < (uint64_t) f->min || (f->max && g.n > (uint64_t) f->max)) {
        snprintf(text, sizeof(text), f->max ? "must have %" PRId64 " to %" PRId64 " items" : "must not be empty", f->min,
                 f->max);
        return rpc_refuse(d, text);
    }
    /* An empty array is given, not left out: its pointer says so. */
    size_t n = g.n;
    if (!g.items && !grow(d, &g))
        return rpc_out_of_room(d);
    *at = (struct rpc_strings){(struct slice *) (void *) g.items, n};
    return 0;
}

/* ---- Content ------------------------------------------------------------------------------------------------ */

static int decode_base64(struct rpc_decoder *d, struct rpc_content *c)
{
    struct slice s;
    size_t len;
    int r = json_read_string(&d->reader, &s);

    if (r == -EINVAL)
        return rpc_refuse(d, "must be a string");
    if (r < 0)
        return r;
    /* In place: what is decoded is shorter. The slice lies in the request's own text. */
    char *text = (char *) (uintptr_t) s.data;
    if (base64_decode(text, s.len, text, &len) < 0)
        return rpc_refuse(d, "must be padded base64 without white space");
    *c = (struct rpc_content){.kind = RPC_CONTENT_BYTES, .bytes = slice_of(text, len)};
    return 0;
}

static int decode_fd(struct rpc_decoder *d, struct rpc_content *c)
{
    int64_t v = 0;
    int r = json_read_int(&d->reader, &v);

    if (r == -EINVAL || r == -ERANGE || (r == 0 && v < 0))
        return rpc_refuse(d, "must be the index of a descriptor");
    if (r < 0)
        return r;
    if ((uint64_t) v >= d->d->n_fds || v >= RPC_FDS_PER_MESSAGE)
        return rpc_refuse(d, d->d->n_fds ? "is beyond the descriptors of the request"
                                         : "needs a descriptor, and the request has none (\"fds\")");
    uint64_t bit = UINT64_C(1) << (v % 64);
    if (d->fds_used[v / 64] & bit)
        return rpc_refuse(d, "names a descriptor that another content uses");
    d->fds_used[v / 64] |= bit;
    *c = (struct rpc_content){.kind = RPC_CONTENT_FD, .fd = (unsigned) v};
    return 0;
}

#define CONTENT_MUST "must be a string, or an object with exactly one of text, base64 and fd"

static int decode_content(struct rpc_decoder *d, struct rpc_content *at)
{
    struct rpc_content c = {0};
    struct slice key, s;
    int64_t size;
    int r = json_read_peek(&d->reader);

    if (r == JSON_TOKEN_STRING) {
        r = json_read_string(&d->reader, &s);
        if (r == 0)
            *at = (struct rpc_content){.kind = RPC_CONTENT_BYTES, .bytes = s};
        return r;
    }
    if (r >= 0)
        r = json_read_object(&d->reader);
    if (r == -EINVAL)
        return rpc_refuse(d, CONTENT_MUST);
    while (r >= 0 && (r = json_read_member(&d->reader, &key)) == 1) {
        bool is_size = slice_eq(key, SLICE("size"));
        if (c.kind != RPC_CONTENT_ABSENT && !is_size)
            return rpc_refuse(d, CONTENT_MUST);
        size_t was = rpc_path_push(d, key);
        if (slice_eq(key, SLICE("text"))) {
            r = json_read_string(&d->reader, &s);
            if (r == -EINVAL)
                return rpc_refuse(d, "must be a string");
            c = (struct rpc_content){.kind = RPC_CONTENT_BYTES, .bytes = s};
        } else if (slice_eq(key, SLICE("base64"))) {
            r = decode_base64(d, &c);
        } else if (slice_eq(key, SLICE("fd"))) {
            r = decode_fd(d, &c);
        } else if (is_size) {
            /* Contents of answers have it: they can be passed on as they are. */
            r = decode_number(d, 0, INT64_MAX, false, &size);
        } else {
            rpc_path_pop(d, was);
            return rpc_refuse(d, CONTENT_MUST);
        }
        if (r < 0)
            return r;
        rpc_path_pop(d, was);
    }
    if (r == 0 && c.kind == RPC_CONTENT_ABSENT)
        return rpc_refuse(d, CONTENT_MUST);
    if (r == 0)
        *at = c;
    return r;
}

/* ---- addresses ---------------------------------------------------------------------------------------------- */

#define ADDRESS_MUST "must be a string, or an object with address and perhaps name"

static int decode_address(struct rpc_decoder *d, const struct rpc_field *f, struct rpc_address *at)
{
    struct slice key;
    int r = json_read_peek(&d->reader);

    if (r == JSON_TOKEN_STRING)
        return decode_string(d, f, &at->text);
    if (r >= 0)
        r = json_read_object(&d->reader);
    if (r == -EINVAL)
        return rpc_refuse(d, ADDRESS_MUST);
    while (r >= 0 && (r = json_read_member(&d->reader, &key)) == 1) {
        size_t was = rpc_path_push(d, key);
        if (slice_eq(key, SLICE("address"))) {
            r = decode_string(d, f, &at->address);
        } else if (slice_eq(key, SLICE("name"))) {
            r = json_read_peek(&d->reader);
            if (r >= 0)
                r = r == JSON_TOKEN_NULL ? json_read_null(&d->reader) : decode_string(d, f, &at->name);
        } else {
            rpc_path_pop(d, was);
            return rpc_refuse(d, ADDRESS_MUST);
        }
        if (r < 0)
            return r;
        rpc_path_pop(d, was);
    }
    if (r == 0 && !at->address.data)
        return rpc_refuse(d, ADDRESS_MUST);
    return r;
}

static int decode_addresses(struct rpc_decoder *d, const struct rpc_field *f, struct rpc_addresses *at)
{
    struct growing g = {.size = sizeof(struct rpc_address)};
    struct rpc_address *item;
    int r = json_read_peek(&d->reader);

    if (r < 0)
        return r;
    if (r == JSON_TOKEN_ARRAY) {
        r = json_read_array(&d->reader);
        while (r >= 0 && (r = json_read_item(&d->reader)) == 1) {
            size_t was = rpc_path_push_index(d, g.n);
            item = grow(d, &g);
            r = item ? decode_address(d, f, item) : rpc_out_of_room(d);
            if (r < 0)
                return r;
            rpc_path_pop(d, was);
        }
    } else {
        item = grow(d, &g);
        r = item ? decode_address(d, f, item) : rpc_out_of_room(d);
    }
    if (r == 0)
        *at = (struct rpc_addresses){(struct rpc_address *) (void *) g.items, g.n, true};
    return r;
}

/* ---- maps, terms, options ----------------------------------------------------------------------------------- */

static int decode_map_value(struct rpc_decoder *d, const struct rpc_field *f, struct rpc_map_member *m)
{
    struct rpc_field strings = {.flags = f->flags | RPC_ONE, .type = RPC_STRINGS};
    int r = json_read_peek(&d->reader);

    if (r < 0)
        return r;
    if (r == JSON_TOKEN_NULL && f->flags & RPC_MAP_NULL) {
        m->is_null = true;
        return json_read_null(&d->reader);
    }
    if (f->flags & RPC_MAP_NUMBERS) {
        struct slice *one = arena_alloc(d->d->arena, sizeof(*one));
        int64_t v;
        if (!one)
            return rpc_out_of_room(d);
        if (r != JSON_TOKEN_NUMBER)
            return refuse_number(d, 0, INT64_MAX, false);
        const char *from = d->reader.p;
        r = decode_number(d, 0, INT64_MAX, false, &v);
        *one = slice_of(from, (size_t) (d->reader.p - from));
        m->values = (struct rpc_strings){one, 1};
        return r;
    }
    if (r == JSON_TOKEN_ARRAY && !(f->flags & RPC_MAP_LISTS))
        return rpc_refuse(d, "must be a string");
    return decode_strings(d, &strings, &m->values);
}

static int decode_map(struct rpc_decoder *d, const struct rpc_field *f, struct rpc_map *at)
{
    struct growing g = {.size = sizeof(struct rpc_map_member)};
    struct slice key;
    int r = json_read_object(&d->reader);

    if (r == -EINVAL)
        return rpc_refuse(d, "must be an object");
    while (r >= 0 && (r = json_read_member(&d->reader, &key)) == 1) {
        size_t was = rpc_path_push(d, key);
        struct rpc_map_member *m = grow(d, &g);
        if (!m)
            return rpc_out_of_room(d);
        m->name = key;
        r = check_string(d, f, key);
        if (r == 0)
            r = decode_map_value(d, f, m);
        if (r < 0)
            return r;
        rpc_path_pop(d, was);
    }
    if (r == 0)
        *at = (struct rpc_map){(struct rpc_map_member *) (void *) g.items, g.n, true};
    return r;
}

static int add_term(struct rpc_decoder *d, struct growing *g, enum rpc_term_kind kind, struct slice text)
{
    struct rpc_term *t = grow(d, g);
    if (!t)
        return rpc_out_of_room(d);
    *t = (struct rpc_term){kind, text};
    return 0;
}

static int decode_term_item(struct rpc_decoder *d, const struct rpc_field *f, struct growing *g, unsigned *depth)
{
    struct slice s = SLICE_EMPTY;
    int r = json_read_peek(&d->reader);

    if (r < 0)
        return r;
    if (r == JSON_TOKEN_ARRAY) {
        r = json_read_array(&d->reader);
        ++*depth;
        return r < 0 ? r : add_term(d, g, RPC_TERM_OPEN, SLICE_EMPTY);
    }
    if (r == JSON_TOKEN_NUMBER)
        r = json_read_number(&d->reader, &s);
    else if (r == JSON_TOKEN_STRING)
        r = decode_string(d, f, &s);
    else
        return rpc_refuse(d, "must hold strings, numbers and arrays of them");
    return r < 0 ? r : add_term(d, g, RPC_TERM_TEXT, s);
}

static int decode_terms(struct rpc_decoder *d, const struct rpc_field *f, struct rpc_terms *at)
{
    struct growing g = {.size = sizeof(struct rpc_term)};
    unsigned depth = 1; /* levels open; the reader bounds them */
    int r = json_read_peek(&d->reader);

    if (r == JSON_TOKEN_STRING) {
        r = decode_string(d, f, &at->text);
        at->given = r == 0;
        return r;
    }
    if (r >= 0)
        r = json_read_array(&d->reader);
    if (r == -EINVAL)
        return rpc_refuse(d, "must be a string or an array of terms");
    while (r >= 0 && depth) {
        r = json_read_item(&d->reader);
        if (r == 1)
            r = decode_term_item(d, f, &g, &depth);
        else if (r == 0 && --depth)
            r = add_term(d, &g, RPC_TERM_CLOSE, SLICE_EMPTY);
    }
    if (r == 0)
        *at = (struct rpc_terms){.items = (struct rpc_term *) (void *) g.items, .n = g.n, .given = true};
    return r;
}

static int decode_option(struct rpc_decoder *d, struct rpc_option *o)
{
    static const struct rpc_field text = {.type = RPC_STRING}; /* a certificate has lines */
    static const struct rpc_field lines = {.type = RPC_STRINGS, .flags = RPC_LINE};
    int r = json_read_peek(&d->reader);

    if (r < 0)
        return r;
    switch ((enum json_token) r) {
    case JSON_TOKEN_STRING:
        o->kind = RPC_OPTION_STRING;
        return decode_string(d, &text, &o->string);
    case JSON_TOKEN_NUMBER:
        o->kind = RPC_OPTION_NUMBER;
        return decode_number(d, 0, 0, false, &o->number);
    case JSON_TOKEN_TRUE:
    case JSON_TOKEN_FALSE:
        o->kind = RPC_OPTION_BOOL;
        return json_read_bool(&d->reader, &o->yes);
    case JSON_TOKEN_ARRAY:
        o->kind = RPC_OPTION_STRINGS;
        return decode_strings(d, &lines, &o->strings);
    case JSON_TOKEN_OBJECT:
        o->kind = RPC_OPTION_CONTENT;
        return decode_content(d, &o->content);
    case JSON_TOKEN_NULL:
        break;
    }
    return rpc_refuse(d, "must not be null");
}

static int decode_options(struct rpc_decoder *d, struct rpc_options **at)
{
    struct growing g = {.size = sizeof(struct rpc_option)};
    struct rpc_options *options;
    struct slice key;
    int r = json_read_object(&d->reader);

    if (r == -EINVAL)
        return rpc_refuse(d, "must be an object");
    while (r >= 0 && (r = json_read_member(&d->reader, &key)) == 1) {
        size_t was = rpc_path_push(d, key);
        struct rpc_option *o = grow(d, &g);
        if (!o)
            return rpc_out_of_room(d);
        o->name = key;
        r = decode_option(d, o);
        if (r < 0)
            return r;
        rpc_path_pop(d, was);
    }
    if (r < 0)
        return r;
    options = arena_alloc(d->d->arena, sizeof(*options));
    if (!options)
        return rpc_out_of_room(d);
    *options = (struct rpc_options){(struct rpc_option *) (void *) g.items, g.n};
    *at = options;
    return 0;
}

/* ---- objects and the rest ----------------------------------------------------------------------------------- */

static int decode_objects(struct rpc_decoder *d, const struct rpc_field *f, struct rpc_objects *at)
{
    struct growing g = {.size = f->object->size};
    char text[96];
    int r = json_read_array(&d->reader);

    if (r == -EINVAL)
        return rpc_refuse(d, "must be an array of objects");
    while (r >= 0 && (r = json_read_item(&d->reader)) == 1) {
        size_t was = rpc_path_push_index(d, g.n);
        void *item = grow(d, &g);
        r = item ? rpc_decode_object(d, f->object, item) : rpc_out_of_room(d);
        if (r < 0)
            return r;
        rpc_path_pop(d, was);
    }
    if (r < 0)
        return r;
    if (g.n < (uint64_t) f->min || (f->max && g.n > (uint64_t) f->max)) {
        snprintf(text, sizeof(text), f->max ? "must have %" PRId64 " to %" PRId64 " items" : "must not be empty", f->min,
                 f->max);
        return rpc_refuse(d, text);
    }
    *at = (struct rpc_objects){g.items, g.n, true};
    return 0;
}

static int decode_raw(struct rpc_decoder *d, bool id, struct slice *at)
{
    struct slice s;
    int token = json_read_peek(&d->reader);

    if (token < 0)
        return token;
    if (id && token != JSON_TOKEN_STRING && token != JSON_TOKEN_NUMBER && token != JSON_TOKEN_NULL)
        return rpc_refuse(d, "must be a request's id");
    int r = json_read_skip(&d->reader, &s);
    if (r == 0)
        *at = s;
    return r;
}

int rpc_decode_field(struct rpc_decoder *d, const struct rpc_field *f, void *at)
{
    int64_t v = 0;
    int r;

    switch (f->type) {
    case RPC_BOOL:
        r = json_read_bool(&d->reader, at);
        return r == -EINVAL ? rpc_refuse(d, "must be true or false") : r;
    case RPC_INT:
        return decode_number(d, f->min, f->max, false, at);
    case RPC_MS:
        r = decode_number(d, f->min, f->max ? f->max : INT64_MAX, true, &v);
        if (r == 0)
            *(uint64_t *) at = (uint64_t) v;
        return r;
    case RPC_STRING:
        return decode_string(d, f, at);
    case RPC_ENUM:
        return decode_enum(d, f, at);
    case RPC_STRINGS:
        return decode_strings(d, f, at);
    case RPC_CONTENT:
        return decode_content(d, at);
    case RPC_ADDRESSES:
        return decode_addresses(d, f, at);
    case RPC_OBJECT: {
        void *object = arena_alloc(d->d->arena, f->object->size);
        if (!object)
            return rpc_out_of_room(d);
        r = rpc_decode_object(d, f->object, object);
        if (r == 0)
            *(void **) at = object;
        return r;
    }
    case RPC_OBJECTS:
        return decode_objects(d, f, at);
    case RPC_MAP:
        return decode_map(d, f, at);
    case RPC_SET:
        return decode_set(d, at);
    case RPC_UIDVALIDITY:
        return decode_uidvalidity(d, at);
    case RPC_TERMS:
        return decode_terms(d, f, at);
    case RPC_OPTIONS:
        return decode_options(d, at);
    case RPC_ID:
    case RPC_ANY:
        return decode_raw(d, f->type == RPC_ID, at);
    case RPC_INTS:
    case RPC_UID_PAIRS:
    case RPC_MAP_OF:
        break; /* of results only */
    }
    return fault_set(d->fault, -EINVAL, FAULT_INTERNAL, NULL, "%s cannot be a parameter", f->name);
}
