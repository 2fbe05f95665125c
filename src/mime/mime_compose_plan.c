/* SPDX-License-Identifier: MIT */
#include "mime_compose_private.h"

static void facts_feed(struct compose_facts *f, struct slice s, size_t *line, char *last)
{
    utf8_state_feed(&f->utf8, s.data, s.len);
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char) s.data[i];
        if (c == '\n') {
            f->bare |= *last != '\r';
            f->longest = MAX(f->longest, *line);
            f->size += *last == '\r' ? 0 : 2;
            *line = 0;
        } else if (c == '\r') {
            f->bare |= *last == '\r';
            if (*last == '\r')
                f->longest = MAX(f->longest, *line), *line = 0;
            f->size += 2;
        } else {
            if (*last == '\r')
                f->bare = true, f->longest = MAX(f->longest, *line), *line = 0;
            ++*line;
            f->size++;
            f->has_8bit |= c >= 0x80;
            f->has_nul |= c == 0;
            f->has_control |= (c < 0x20 && c != '\t') || c == 0x7f;
            f->escapes += c >= 0x7f || c == '=' || (c < 0x20 && c != '\t');
        }
        *last = (char) c;
    }
}

/* Looks at all of a source. */
int compose_facts_of(const struct mime_source *src, struct compose_facts *ret)
{
    struct mime_window w;
    struct slice s;
    size_t line = 0;
    char last = 0;
    int r;
    *ret = (struct compose_facts){0};
    mime_window_init(&w, src);
    for (uint64_t pos = 0;; pos += s.len) {
        r = mime_window_get(&w, pos, 1, &s);
        if (r < 0 || s.len == 0)
            break;
        facts_feed(ret, s, &line, &last);
    }
    mime_window_done(&w);
    ret->bare |= last == '\r';
    ret->longest = MAX(ret->longest, line);
    ret->ends_with_line = last == '\n' || last == '\r';
    return r;
}

/* The size of the quoted-printable form, by making it. */
int compose_qp_size(const struct mime_source *src, bool text, uint64_t *ret)
{
    struct mime_window w;
    struct mime_qp_encoder e = {.text = text};
    struct slice s;
    char out[4096];
    uint64_t size = 0, pos = 0;
    int r = 0;
    mime_window_init(&w, src);
    while (pos < src->size) {
        size_t n;
        r = mime_window_get(&w, pos, 16, &s);
        if (r < 0 || s.len == 0)
            break;
        size_t used = mime_qp_encode(&e, s, pos + s.len >= src->size, out, sizeof(out), &n);
        if (used == 0 && n == 0)
            break;
        pos += used;
        size += n;
    }
    mime_window_done(&w);
    *ret = size;
    return r;
}

/* A text of ours: UTF-8 whose line ends may be made CRLF. */
struct compose_plan compose_plan_text(const struct compose_facts *f, enum mime_transport transport)
{
    bool lines = f->longest <= MIME_LINE_MAX && !f->has_control;
    if (lines && !f->has_8bit)
        return (struct compose_plan){SEGMENT_TEXT, "7bit", true};
    if (lines && transport != MIME_TRANSPORT_7BIT)
        return (struct compose_plan){SEGMENT_TEXT, "8bit", true};
    /* Base64 only where it is clearly shorter: filters look askance at texts that nobody can read. */
    if (f->size + 2 * f->escapes + f->size / 38 <= f->size * 5 / 3)
        return (struct compose_plan){SEGMENT_QP, "quoted-printable", true};
    return (struct compose_plan){SEGMENT_BASE64, "base64", true};
}

/* A content whose bytes must not change. */
struct compose_plan compose_plan_bytes(const struct compose_facts *f, bool text_like, enum mime_transport transport)
{
    bool lines = text_like && f && !f->bare && !f->has_control && f->longest <= MIME_LINE_MAX;
    if (lines && !f->has_8bit)
        return (struct compose_plan){SEGMENT_COPY, "7bit", false};
    if (lines && transport != MIME_TRANSPORT_7BIT)
        return (struct compose_plan){SEGMENT_COPY, "8bit", false};
    if (transport == MIME_TRANSPORT_BINARY)
        return (struct compose_plan){SEGMENT_COPY, "binary", false};
    return (struct compose_plan){SEGMENT_BASE64, "base64", false};
}

/* An attached message: its line ends may be made CRLF, but it must not be encoded. */
struct compose_plan compose_plan_message(const struct compose_facts *f, enum mime_transport transport)
{
    bool lines = f->longest <= MIME_LINE_MAX && !f->has_nul;
    if (lines && !f->has_8bit)
        return (struct compose_plan){SEGMENT_TEXT, "7bit", true};
    if (lines && transport != MIME_TRANSPORT_7BIT)
        return (struct compose_plan){SEGMENT_TEXT, "8bit", true};
    return compose_plan_bytes(f, true, transport);
}
