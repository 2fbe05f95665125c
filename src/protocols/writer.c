/* SPDX-License-Identifier: MIT */
#include "writer.h"

#include "base64.h"
#include "utf8.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

void writer_init(struct writer *w, size_t max)
{
    *w = (struct writer){0};
    buffer_init(&w->out, max);
}

void writer_done(struct writer *w)
{
    buffer_done(&w->out);
    free(w->stops);
    *w = (struct writer){0};
}

struct slice writer_output(const struct writer *w)
{
    struct slice all = buffer_slice(&w->out);
    if (w->open) /* not yet: it may be taken back */
        all = slice_to(all, (size_t) (w->begin - w->sent));
    if (writer_is_stopped(w) && w->stops[w->stops_released] < w->sent + all.len)
        all.len = (size_t) (w->stops[w->stops_released] - w->sent);
    return all;
}

void writer_sent(struct writer *w, size_t len)
{
    len = MIN(len, buffer_len(&w->out));
    buffer_consume(&w->out, len);
    w->sent += len;
    if (buffer_len(&w->out) == 0) {
        buffer_trim(&w->out);
        w->out.secret = false;
    }
}

/* --- a command --- */

static void forget_stops(struct writer *w)
{
    free(w->stops);
    w->stops = NULL;
    w->n_stops = w->stops_released = 0;
}

void writer_begin(struct writer *w)
{
    w->begin = writer_position(w);
    w->error = 0;
    w->open = true;
    w->n_secrets = 0;
    w->in_secret = false;
    if (!writer_is_stopped(w))
        forget_stops(w);
}

static int refuse(struct writer *w, int error)
{
    if (!w->error)
        w->error = error;
    return w->error;
}

static int put(struct writer *w, const void *bytes, size_t len)
{
    if (w->error)
        return w->error;
    if (!w->open)
        return refuse(w, -EINVAL);
    int ret = buffer_append(&w->out, bytes, len);
    return ret < 0 ? refuse(w, ret) : 0;
}

int writer_finish(struct writer *w)
{
    if (w->in_secret)
        writer_secret_end(w);
    w->open = false;
    if (!w->error)
        return 0;
    buffer_truncate(&w->out, (size_t) (w->begin - w->sent));
    while (w->n_stops > w->stops_released && w->stops[w->n_stops - 1] > w->begin)
        w->n_stops--;
    w->n_secrets = 0;
    return w->error;
}

int writer_end(struct writer *w)
{
    put(w, "\r\n", 2);
    return writer_finish(w);
}

void writer_secret_begin(struct writer *w)
{
    if (w->n_secrets == WRITER_SECRETS_MAX) {
        refuse(w, -EINVAL);
        return;
    }
    w->out.secret = true;
    w->secrets[w->n_secrets].begin = writer_position(w);
    w->in_secret = true;
}

void writer_secret_end(struct writer *w)
{
    if (!w->in_secret)
        return;
    w->secrets[w->n_secrets++].end = writer_position(w);
    w->in_secret = false;
}

int writer_trace(const struct writer *w, struct buffer *out)
{
    struct slice all = buffer_slice(&w->out);
    uint64_t at = MAX(w->begin, w->sent), end = w->sent + all.len;
    if (end >= at + 2 && all.data[all.len - 1] == '\n')
        end -= 2;
    for (unsigned i = 0; i < w->n_secrets; i++) {
        if (w->secrets[i].begin < at || w->secrets[i].end > end)
            continue;
        int ret = buffer_append(out, all.data + (at - w->sent), (size_t) (w->secrets[i].begin - at));
        if (ret == 0)
            ret = buffer_append(out, "***", 3);
        if (ret < 0)
            return ret;
        at = w->secrets[i].end;
    }
    return end > at ? buffer_append(out, all.data + (at - w->sent), (size_t) (end - at)) : 0;
}

/* --- what may stand where --- */

enum {
    C_RAW = 1 << 0,     /* all but CR, LF, NUL */
    C_TEXT = 1 << 1,    /* 32 to 126 */
    C_WORD = 1 << 2,    /* 33 to 126 */
    C_ATOM = 1 << 3,    /* RFC 3501 ATOM-CHAR */
    C_ASTRING = 1 << 4, /* ATOM-CHAR and "]" */
    C_ESMTP = 1 << 5,   /* RFC 5321 esmtp-value */
    C_XTEXT = 1 << 6,   /* RFC 3461 xchar */
    C_ALNUM = 1 << 7,
};

static unsigned char_class(unsigned char c)
{
    unsigned cls = c != '\r' && c != '\n' && c != 0 ? C_RAW : 0;
    if (c < 32 || c > 126)
        return cls;
    cls |= C_TEXT;
    if (c == ' ')
        return cls;
    cls |= C_WORD;
    if (!strchr("(){%*\"\\", c))
        cls |= C_ASTRING | (c != ']' ? C_ATOM : 0u);
    if (c != '=')
        cls |= C_ESMTP | (c != '+' ? C_XTEXT : 0u);
    if (ascii_is_digit((char) c) || ascii_is_alpha((char) c))
        cls |= C_ALNUM;
    return cls;
}

/* Every byte is of the class, or (with `utf8`) part of well-formed UTF-8. */
static bool all_of(struct slice s, unsigned cls, bool utf8)
{
    bool eight = false;
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char) s.data[i] >= 128 && utf8)
            eight = true;
        else if (!(char_class((unsigned char) s.data[i]) & cls))
            return false;
    }
    return !eight || utf8_is_valid(s);
}

static int put_checked(struct writer *w, struct slice s, unsigned cls, bool utf8, size_t min)
{
    if (s.len < min || !all_of(s, cls, utf8))
        return refuse(w, -EINVAL);
    return put(w, s.data, s.len);
}

/* --- pieces of any protocol --- */

int writer_raw(struct writer *w, struct slice text)
{
    return put_checked(w, text, C_RAW, false, 0);
}

int writer_raw_str(struct writer *w, const char *text)
{
    return writer_raw(w, slice_of_str(text));
}

int writer_char(struct writer *w, char c)
{
    return writer_raw(w, slice_of(&c, 1));
}

int writer_number(struct writer *w, uint64_t n)
{
    char digits[20];
    size_t i = sizeof(digits);
    do
        digits[--i] = (char) ('0' + n % 10);
    while (n /= 10);
    return put(w, digits + i, sizeof(digits) - i);
}

int writer_base64(struct writer *w, struct slice bytes)
{
    if (w->error)
        return w->error;
    if (!w->open || bytes.len > w->out.max)
        return refuse(w, -EINVAL);
    char *room;
    size_t n = base64_encoded_len(bytes.len);
    int ret = buffer_reserve(&w->out, n, &room);
    if (ret < 0)
        return refuse(w, ret);
    buffer_commit(&w->out, base64_encode(bytes.data, bytes.len, room));
    return 0;
}

int writer_word(struct writer *w, struct slice word)
{
    return put_checked(w, word, C_WORD, w->utf8, 1);
}

int writer_text(struct writer *w, struct slice text)
{
    return put_checked(w, text, C_TEXT, w->utf8, 0);
}

/* --- SMTP --- */

int writer_path(struct writer *w, struct slice address)
{
    bool quoted = false;
    for (size_t i = 0; i < address.len; i++) {
        char c = address.data[i];
        if (quoted && c == '\\' && i + 1 < address.len)
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == ' ' || c == '<' || c == '>'))
            return refuse(w, -EINVAL);
    }
    if (quoted)
        return refuse(w, -EINVAL);
    put(w, "<", 1);
    put_checked(w, address, C_TEXT, w->utf8, 0);
    return put(w, ">", 1);
}

int writer_esmtp_keyword(struct writer *w, struct slice keyword)
{
    if (keyword.len == 0 || keyword.data[0] == '-')
        return refuse(w, -EINVAL);
    for (size_t i = 0; i < keyword.len; i++)
        if (keyword.data[i] != '-' && !(char_class((unsigned char) keyword.data[i]) & C_ALNUM))
            return refuse(w, -EINVAL);
    return put(w, keyword.data, keyword.len);
}

int writer_esmtp_value(struct writer *w, struct slice value)
{
    return put_checked(w, value, C_ESMTP, w->utf8, 1);
}

int writer_xtext(struct writer *w, struct slice text)
{
    static const char hex[] = "0123456789ABCDEF";
    if (!all_of(text, C_RAW, false))
        return refuse(w, -EINVAL);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char) text.data[i];
        char escaped[3] = {'+', hex[c >> 4], hex[c & 15]};
        if (char_class(c) & C_XTEXT)
            put(w, &c, 1);
        else
            put(w, escaped, 3);
    }
    return w->error;
}

/* --- IMAP --- */

int writer_atom(struct writer *w, struct slice atom)
{
    return put_checked(w, atom, C_ATOM, false, 1);
}

int writer_flag(struct writer *w, struct slice flag)
{
    if (flag.len > 1 && flag.data[0] == '\\') {
        put(w, "\\", 1);
        flag = slice_from(flag, 1);
    }
    return writer_atom(w, flag);
}

int writer_quoted(struct writer *w, struct slice text)
{
    if (!all_of(text, C_RAW, w->utf8))
        return refuse(w, -EINVAL);
    put(w, "\"", 1);
    size_t from = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char) text.data[i];
        if (c >= 128 && !w->utf8)
            return refuse(w, -EINVAL);
        if (c != '"' && c != '\\')
            continue;
        put(w, text.data + from, i - from);
        put(w, "\\", 1);
        from = i;
    }
    if (text.len > from)
        put(w, text.data + from, text.len - from);
    return put(w, "\"", 1);
}

int writer_literal_announce(struct writer *w, uint64_t n, bool *ret_wait)
{
    bool sync = w->literals == WRITER_LITERAL_SYNC ||
                (w->literals == WRITER_LITERAL_MINUS && n > WRITER_LITERAL_MINUS_MAX);
    if (sync && w->n_stops == WRITER_STOPS_MAX)
        return refuse(w, -EINVAL);
    if (sync && !w->stops && !(w->stops = calloc(WRITER_STOPS_MAX, sizeof(*w->stops))))
        return refuse(w, -ENOMEM);
    put(w, "{", 1);
    writer_number(w, n);
    int ret = sync ? put(w, "}\r\n", 3) : put(w, "+}\r\n", 4);
    if (ret == 0 && sync)
        w->stops[w->n_stops++] = writer_position(w);
    if (ret == 0 && ret_wait)
        *ret_wait = sync;
    return ret;
}

int writer_literal(struct writer *w, struct slice bytes)
{
    if (bytes.len > 0 && memchr(bytes.data, 0, bytes.len))
        return refuse(w, -EINVAL);
    writer_literal_announce(w, bytes.len, NULL);
    return put(w, bytes.data, bytes.len);
}

int writer_string(struct writer *w, struct slice text)
{
    if (text.len <= 1024 && all_of(text, C_TEXT, w->utf8))
        return writer_quoted(w, text);
    return writer_literal(w, text);
}

int writer_astring(struct writer *w, struct slice text)
{
    if (text.len > 0 && text.len <= 1024 && all_of(text, C_ASTRING, false) && !slice_eq_ci(text, SLICE("NIL")))
        return put(w, text.data, text.len);
    return writer_string(w, text);
}

static int put_set_number(struct writer *w, uint32_t n)
{
    return n ? writer_number(w, n) : put(w, "*", 1);
}

int writer_number_set(struct writer *w, const struct number_range *ranges, size_t n)
{
    if (n == 0)
        return refuse(w, -EINVAL);
    for (size_t i = 0; i < n; i++) {
        if (i)
            put(w, ",", 1);
        put_set_number(w, ranges[i].first);
        if (ranges[i].last != ranges[i].first) {
            put(w, ":", 1);
            put_set_number(w, ranges[i].last);
        }
    }
    return w->error;
}

bool writer_waits(const struct writer *w)
{
    return writer_is_stopped(w) && w->stops[w->stops_released] <= w->sent;
}

bool writer_release(struct writer *w)
{
    if (!writer_waits(w))
        return false;
    w->stops_released++;
    return true;
}

void writer_abandon(struct writer *w)
{
    if (!writer_is_stopped(w))
        return;
    uint64_t stop = w->stops[w->stops_released];
    buffer_truncate(&w->out, stop > w->sent ? (size_t) (stop - w->sent) : 0);
    forget_stops(w);
}

/* --- bodies --- */

ssize_t writer_body(struct writer *w, const char *bytes, size_t len)
{
    len = MIN(len, MIN(buffer_room(&w->out), (size_t) SSIZE_MAX));
    if (w->open)
        return -EINVAL;
    int ret = buffer_append(&w->out, bytes, len);
    return ret < 0 ? ret : (ssize_t) len;
}
