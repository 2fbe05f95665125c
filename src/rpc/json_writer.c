/* SPDX-License-Identifier: MIT */
#include "json_writer.h"

#include "base64.h"
#include "utf8.h"

#include <errno.h>

#define TEXT_PIECE 4096

/* Room for `len` bytes, or NULL: nothing is to be written. */
static char *reserve(struct json_writer *w, size_t len)
{
    char *to;
    if (w->error || !w->out)
        return NULL;
    w->error = buffer_reserve(w->out, len, &to);
    return w->error ? NULL : to;
}

/* The comma before a value or key that needs one, and `len` bytes. */
static void put(struct json_writer *w, const char *bytes, size_t len)
{
    char *to = reserve(w, len + 1);
    if (!to)
        return;
    size_t n = 0;
    if (w->comma)
        to[n++] = ',';
    if (len)
        memcpy(to + n, bytes, len);
    buffer_commit(w->out, n + len);
}

static void put_end(struct json_writer *w, char c)
{
    w->comma = false;
    put(w, &c, 1);
    w->comma = true;
}

void json_write_object_begin(struct json_writer *w)
{
    put(w, "{", 1);
    w->comma = false;
}

void json_write_object_end(struct json_writer *w)
{
    put_end(w, '}');
}

void json_write_array_begin(struct json_writer *w)
{
    put(w, "[", 1);
    w->comma = false;
}

void json_write_array_end(struct json_writer *w)
{
    put_end(w, ']');
}

void json_write_key(struct json_writer *w, const char *key)
{
    json_write_key_slice(w, slice_of_str(key));
}

void json_write_key_slice(struct json_writer *w, struct slice key)
{
    json_write_string(w, key);
    w->comma = false;
    put(w, ":", 1);
}

void json_write_string_begin(struct json_writer *w)
{
    put(w, "\"", 1);
    w->comma = false;
}

void json_write_string_end(struct json_writer *w)
{
    put_end(w, '"');
}

#define ONES UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

/* Bytes at `p` that go out as they are: ASCII without quote, backslash and control characters. */
static size_t plain_run(const char *p, size_t len)
{
    size_t i = 0;

    for (; len - i >= 8; i += 8) {
        uint64_t x;
        memcpy(&x, p + i, 8);
        uint64_t quote = x ^ (ONES * '"'), slash = x ^ (ONES * '\\'), del = x ^ (ONES * 0x7f);
        if (((x - ONES * 0x20) | (quote - ONES) | (slash - ONES) | (del - ONES) | x) & HIGHS)
            break;
    }
    for (; i < len; i++) {
        unsigned char c = (unsigned char) p[i];
        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
            break;
    }
    return i;
}

void json_write_string(struct json_writer *w, struct slice s)
{
    struct json_text_encoder e = {0};

    if (s.len <= TEXT_PIECE && plain_run(s.data, s.len) == s.len) {
        char *to = reserve(w, s.len + 3);
        if (!to)
            return;
        size_t n = 0;
        if (w->comma)
            to[n++] = ',';
        to[n++] = '"';
        if (s.len)
            memcpy(to + n, s.data, s.len);
        to[n + s.len] = '"';
        buffer_commit(w->out, n + s.len + 1);
        w->comma = true;
        return;
    }
    json_write_string_begin(w);
    if (w->out && !w->error)
        w->error = json_encode_text(&e, w->out, s, true);
    json_write_string_end(w);
}

void json_write_str(struct json_writer *w, const char *s)
{
    if (s)
        json_write_string(w, slice_of_str(s));
    else
        json_write_null(w);
}

void json_write_string_or_null(struct json_writer *w, struct slice s)
{
    if (s.data)
        json_write_string(w, s);
    else
        json_write_null(w);
}

void json_write_uint(struct json_writer *w, uint64_t v)
{
    char digits[20];
    size_t i = sizeof(digits);
    do
        digits[--i] = (char) ('0' + v % 10);
    while ((v /= 10));
    put(w, digits + i, sizeof(digits) - i);
    w->comma = true;
}

void json_write_int(struct json_writer *w, int64_t v)
{
    if (v >= 0) {
        json_write_uint(w, (uint64_t) v);
        return;
    }
    put(w, "-", 1);
    w->comma = false;
    json_write_uint(w, 0 - (uint64_t) v);
}

void json_write_bool(struct json_writer *w, bool v)
{
    json_write_raw(w, v ? SLICE("true") : SLICE("false"));
}

void json_write_null(struct json_writer *w)
{
    json_write_raw(w, SLICE("null"));
}

void json_write_raw(struct json_writer *w, struct slice json)
{
    put(w, json.data, json.len);
    w->comma = true;
}

void json_write_base64(struct json_writer *w, struct slice bytes)
{
    struct json_base64_encoder e = {0};

    json_write_string_begin(w);
    if (w->out && !w->error)
        w->error = json_encode_base64(&e, w->out, bytes, true);
    json_write_string_end(w);
}

void json_write_member_string(struct json_writer *w, const char *key, struct slice s)
{
    json_write_key(w, key);
    json_write_string(w, s);
}

void json_write_member_str(struct json_writer *w, const char *key, const char *s)
{
    json_write_key(w, key);
    json_write_str(w, s);
}

void json_write_member_int(struct json_writer *w, const char *key, int64_t v)
{
    json_write_key(w, key);
    json_write_int(w, v);
}

void json_write_member_uint(struct json_writer *w, const char *key, uint64_t v)
{
    json_write_key(w, key);
    json_write_uint(w, v);
}

void json_write_member_bool(struct json_writer *w, const char *key, bool v)
{
    json_write_key(w, key);
    json_write_bool(w, v);
}

void json_write_member_null(struct json_writer *w, const char *key)
{
    json_write_key(w, key);
    json_write_null(w);
}

/* ---- text --------------------------------------------------------------------------------------------------- */

/* One ASCII character that needs an escape; returns the bytes written (at most 6). */
static size_t put_escape(char *to, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    char name = 0;

    switch (c) {
    case '"':
    case '\\':
        name = (char) c;
        break;
    case '\n':
        name = 'n';
        break;
    case '\r':
        name = 'r';
        break;
    case '\t':
        name = 't';
        break;
    case '\b':
        name = 'b';
        break;
    case '\f':
        name = 'f';
        break;
    case '\0':
        memcpy(to, UTF8_REPLACEMENT, 3);
        return 3;
    default:
        memcpy(to, "\\u00", 4);
        to[4] = hex[c >> 4];
        to[5] = hex[c & 15];
        return 6;
    }
    to[0] = '\\';
    to[1] = name;
    return 2;
}

/* Whether the bytes at `p` can be the beginning of a character that is cut off by the end of the piece. */
static bool is_cut_character(const char *p, size_t len)
{
    static const char *const fillers[] = {"\x80\x80\x80", "\xbf\xbf\xbf"};
    char whole[8];

    if (len == 0 || len > 3)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(fillers); i++) {
        memcpy(whole, p, len);
        memcpy(whole + len, fillers[i], 3);
        if (utf8_char_len(whole, len + 3) > len)
            return true;
    }
    return false;
}

/* Encodes `in`; stops before a character that is cut off at the end unless `last`. Returns the bytes left over. */
static size_t encode_run(char *to, size_t *ret_len, const char *in, size_t len, bool last)
{
    char *start = to;

    while (len) {
        size_t n = plain_run(in, len);
        memcpy(to, in, n);
        to += n, in += n, len -= n;
        if (len == 0)
            break;
        if ((unsigned char) *in < 0x80) {
            to += put_escape(to, (unsigned char) *in);
            in++, len--;
            continue;
        }
        n = utf8_char_len(in, len);
        if (n == 0 && !last && is_cut_character(in, len))
            break;
        memcpy(to, n ? in : UTF8_REPLACEMENT, n ? n : 3);
        to += n ? n : 3;
        n = n ? n : 1;
        in += n, len -= n;
    }
    *ret_len = (size_t) (to - start);
    return len;
}

/* Room is taken for pieces of this length at a time: six times as much is needed at worst. */

int json_encode_text(struct json_text_encoder *e, struct buffer *out, struct slice piece, bool last)
{
    struct json_text_encoder was = *e;
    size_t before = buffer_len(out), len, left;
    char joined[8], few[64];
    int r = 0;

    /* A cut character is completed byte by byte; the rest is then encoded where it stands. */
    while (e->n_pending && (piece.len || last)) {
        size_t n = e->n_pending;
        memcpy(joined, e->pending, n);
        if (piece.len) {
            joined[n++] = piece.data[0];
            piece = slice_from(piece, 1);
        }
        left = encode_run(few, &len, joined, n, last && piece.len == 0);
        r = buffer_append(out, few, len);
        if (r < 0)
            goto undo;
        memcpy(e->pending, joined + n - left, left);
        e->n_pending = (unsigned char) left;
    }
    while (piece.len) {
        /* Most text needs no escapes: those runs are copied in one go. */
        size_t n = plain_run(piece.data, piece.len);
        r = buffer_append(out, piece.data, n);
        if (r < 0)
            goto undo;
        piece = slice_from(piece, n);
        n = MIN(piece.len, (size_t) TEXT_PIECE);
        if (n == 0)
            break;
        /* The room that is really needed is counted in the limit, not the worst case. */
        char space[JSON_ENCODED_TEXT_MAX(TEXT_PIECE)];
        left = encode_run(space, &len, piece.data, n, last && n == piece.len);
        r = buffer_append(out, space, len);
        if (r < 0)
            goto undo;
        if (n == piece.len) {
            memcpy(e->pending, piece.data + n - left, left);
            e->n_pending = (unsigned char) left;
            break;
        }
        piece = slice_from(piece, n - left);
    }
    return 0;
undo:
    buffer_truncate(out, before);
    *e = was;
    return r;
}

/* ---- base64 ------------------------------------------------------------------------------------------------- */

int json_encode_base64(struct json_base64_encoder *e, struct buffer *out, struct slice piece, bool last)
{
    size_t total = e->n_pending + piece.len;
    size_t now = last ? total : total - total % 3;
    size_t n = 0;
    char *to;
    int r = buffer_reserve(out, base64_encoded_len(now), &to);
    if (r < 0)
        return r;

    if (e->n_pending && now) {
        unsigned char group[3];
        size_t have = e->n_pending, more = MIN(3 - have, piece.len);
        memcpy(group, e->pending, have);
        if (more)
            memcpy(group + have, piece.data, more);
        n = base64_encode(group, have + more, to);
        now -= have + more;
        piece = slice_from(piece, more);
        e->n_pending = 0;
    }
    n += base64_encode(piece.data, now, to + n);
    buffer_commit(out, n);
    piece = slice_from(piece, now);
    if (piece.len) {
        memcpy(e->pending + e->n_pending, piece.data, piece.len);
        e->n_pending = (unsigned char) (e->n_pending + piece.len);
    }
    return 0;
}
