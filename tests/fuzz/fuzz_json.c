/* SPDX-License-Identifier: MIT */
/* The JSON reader: what skipping accepts, reading accepts with the same structure; what a string gives is UTF-8, and
 * written again it reads the same. */
#include "fuzz.h"
#include "json_reader.h"
#include "json_writer.h"
#include "utf8.h"

#include <stdlib.h>

static void check(bool ok)
{
    if (!ok)
        abort();
}

static int copy_value(struct json_reader *r, struct json_writer *w);

static int copy_scalar(struct json_reader *r, enum json_token token, struct json_writer *w)
{
    struct slice s;
    bool yes = false;
    int n;

    switch (token) {
    case JSON_TOKEN_STRING:
        n = json_read_string(r, &s);
        check(n < 0 || utf8_is_valid(s));
        if (n == 0)
            json_write_string(w, s);
        return n;
    case JSON_TOKEN_NUMBER:
        n = json_read_number(r, &s);
        if (n == 0)
            json_write_raw(w, s);
        return n;
    case JSON_TOKEN_TRUE:
    case JSON_TOKEN_FALSE:
        n = json_read_bool(r, &yes);
        json_write_bool(w, yes);
        return n;
    case JSON_TOKEN_NULL:
        json_write_null(w);
        return json_read_null(r);
    case JSON_TOKEN_OBJECT:
    case JSON_TOKEN_ARRAY:
        break;
    }
    abort();
}

static int copy_value(struct json_reader *r, struct json_writer *w)
{
    struct slice key;
    int n = json_read_peek(r);

    if (n == JSON_TOKEN_OBJECT) {
        json_write_object_begin(w);
        n = json_read_object(r);
        while (n >= 0 && (n = json_read_member(r, &key)) == 1) {
            json_write_key_slice(w, key);
            n = copy_value(r, w);
        }
        json_write_object_end(w);
    } else if (n == JSON_TOKEN_ARRAY) {
        json_write_array_begin(w);
        n = json_read_array(r);
        while (n >= 0 && (n = json_read_item(r)) == 1)
            n = copy_value(r, w);
        json_write_array_end(w);
    } else if (n >= 0) {
        n = copy_scalar(r, (enum json_token) n, w);
    }
    return n;
}

static int copy_text(char *text, size_t len, struct json_keyset *keys, struct buffer *out)
{
    struct json_reader r;
    struct json_writer w;
    int n;

    json_reader_init(&r, text, len, keys);
    json_writer_init(&w, out);
    n = copy_value(&r, &w);
    check(w.error == 0);
    return n == 0 ? json_read_end(&r) : n;
}

int fuzz_one(const uint8_t *data, size_t size)
{
    struct json_keyset keys;
    struct json_reader r, part;
    struct json_writer w;
    struct buffer once, again;
    struct slice raw;
    char *text = malloc(size + 1), *copy = malloc(size + 1);

    check(text && copy);
    memcpy(text, data, size);
    memcpy(copy, data, size);
    json_keyset_init(&keys);
    buffer_init(&once, size * 6 + 64);
    buffer_init(&again, size * 6 + 64);

    int n = copy_text(copy, size, &keys, &once);
    json_reader_init(&r, text, size, &keys);
    int m = json_read_skip(&r, &raw);
    if (m == 0)
        m = json_read_end(&r);
    check(memcmp(text, data, size) == 0);
    check((n == 0) == (m == 0));
    if (m == 0) {
        /* A part that was skipped over reads the same without checks. */
        json_reader_init_part(&part, raw, 0, &keys);
        json_writer_init(&w, &again);
        check(copy_value(&part, &w) == 0 && json_read_end(&part) == 0);
        check(slice_eq(buffer_slice(&once), buffer_slice(&again)));
        /* Escaped NULs are written as U+FFFD, which could make keys equal: then it may fail, but not crash. */
        buffer_clear(&again);
        n = copy_text((char *) (uintptr_t) buffer_slice(&once).data, buffer_len(&once), &keys, &again);
        check(n == 0 || memchr(data, 'u', size));
    }
    buffer_done(&once);
    buffer_done(&again);
    json_keyset_done(&keys);
    free(text);
    free(copy);
    return 0;
}
