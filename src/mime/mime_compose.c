/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "mime_compose_private.h"

#include "mime_envelope.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define HEADER_MAX (16u << 20) /* of all that is not content */
#define CHUNK (MIME_BASE64_LINE * 1024)

static struct slice own_bytes(const struct mime_composer *c, const struct compose_segment *s)
{
    return slice_of(buffer_slice(&c->bytes).data + s->offset, s->len);
}

static int segment_add(struct mime_composer *c, const struct compose_segment *s)
{
    if (c->n == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 16;
        struct compose_segment *bigger = reallocarray(c->segments, cap, sizeof(*bigger));
        if (!bigger)
            return -ENOMEM;
        c->segments = bigger;
        c->cap = cap;
    }
    c->segments[c->n++] = *s;
    c->size += s->size;
    return 0;
}

/* What has been rendered since the last call becomes a segment. */
int compose_add_bytes(struct mime_composer *c, size_t *from)
{
    struct compose_segment s = {.kind = SEGMENT_BYTES, .offset = *from, .len = buffer_len(&c->bytes) - *from};
    s.size = s.len;
    *from = buffer_len(&c->bytes);
    return s.len ? segment_add(c, &s) : 0;
}

int compose_add_content(struct mime_composer *c, const struct mime_source *src, const struct compose_plan *plan,
                        const struct compose_facts *f)
{
    struct compose_segment s = {.kind = plan->kind, .source = *src};
    int r = 0;
    switch (plan->kind) {
    case SEGMENT_TEXT:
        s.size = f->size;
        break;
    case SEGMENT_QP:
        r = compose_qp_size(src, plan->text, &s.size);
        break;
    case SEGMENT_BASE64:
        s.size = mime_base64_lines_len(src->size);
        break;
    case SEGMENT_COPY:
        s.size = src->size;
        break;
    case SEGMENT_BYTES:
        break;
    }
    c->needs_8bit |= strcmp(plan->encoding, "8bit") == 0;
    c->needs_binary |= strcmp(plan->encoding, "binary") == 0;
    return r < 0 || src->size == 0 ? r : segment_add(c, &s);
}

/* CRLF for every line end. */
size_t compose_text_lines(struct mime_composer *c, struct slice in, char *out)
{
    size_t o = 0;
    for (size_t i = 0; i < in.len; i++) {
        char ch = in.data[i];
        bool swallow = c->after_cr && ch == '\n';
        c->after_cr = ch == '\r';
        if (swallow)
            continue;
        if (ch == '\r' || ch == '\n') {
            out[o++] = '\r';
            out[o++] = '\n';
        } else {
            out[o++] = ch;
        }
    }
    return o;
}

/* --- boundaries that cannot occur --- */

static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static int source_contains(const struct mime_source *src, const char *needle, size_t len, bool *ret)
{
    struct mime_window w;
    struct slice s;
    uint64_t pos = 0;
    int r = 0;
    *ret = false;
    mime_window_init(&w, src);
    while (!*ret && pos < src->size) {
        r = mime_window_get(&w, pos, len, &s);
        if (r < 0 || s.len < len)
            break;
        *ret = memmem(s.data, s.len, needle, len) != NULL;
        pos += s.len - len + 1;
    }
    mime_window_done(&w);
    return r;
}

/* Base64 and quoted-printable never hold "=_"; what goes out as it is might. */
static int stem_occurs(const struct mime_composer *c, bool *ret)
{
    int r = 0;
    *ret = false;
    for (size_t i = 0; i < c->n && r == 0 && !*ret; i++)
        if (c->segments[i].kind == SEGMENT_TEXT || c->segments[i].kind == SEGMENT_COPY)
            r = source_contains(&c->segments[i].source, c->stem, STEM_LEN, ret);
    return r;
}

static void composer_reset(struct mime_composer *c)
{
    buffer_clear(&c->bytes);
    c->n = 0;
    c->n_boundaries = 0;
    c->size = 0;
    c->needs_utf8 = c->needs_8bit = c->needs_binary = false;
    c->differs = 0;
}

/* RFC 2045 section 6.4: what is in a multipart is no more than what its own encoding says. */
static const char *container_of_needs(const struct mime_composer *c)
{
    return !c->n_boundaries ? NULL : c->needs_binary ? "binary" : c->needs_8bit ? "8bit" : NULL;
}

static int compose_once(struct compose_header *h)
{
    struct compose_body b = {.h = h};
    composer_reset(h->c);
    h->fold.used_8bit = false;
    int r = compose_put_top(h);
    if (r == 0)
        r = compose_put_body(&b);
    return r == 0 ? compose_add_bytes(h->c, &b.from) : r;
}

static int compose(struct mime_composer *c, const struct mime_outline *o, struct fault *fault)
{
    struct compose_header h = {.c = c, .o = o, .fault = fault, .fold = {.out = &c->bytes, .utf8 = o->utf8}};
    uint64_t seed = o->seed;
    bool occurs = true;
    int r = 0;
    while (occurs && r == 0) {
        seed = mix(seed);
        snprintf(c->stem, sizeof(c->stem), "=_%016llx", (unsigned long long) seed);
        r = compose_once(&h);
        if (r == 0 && container_of_needs(c) != c->container) {
            c->container = container_of_needs(c);
            r = compose_once(&h);
        }
        if (r == 0)
            r = stem_occurs(c, &occurs);
    }
    c->needs_utf8 = h.fold.used_8bit;
    return r;
}

int mime_composer_new(const struct mime_outline *outline, struct mime_composer **ret, struct fault *fault)
{
    struct mime_composer *c = calloc(1, sizeof(*c));
    int r = -ENOMEM;
    if (c) {
        buffer_init(&c->bytes, HEADER_MAX);
        r = compose(c, outline, fault);
    }
    if (r < 0) {
        mime_composer_free(c);
        return fault_set(fault, r, r == -ENOMEM ? FAULT_INTERNAL : FAULT_STORAGE, NULL, "the message cannot be built");
    }
    *ret = c;
    return 0;
}

void mime_composer_free(struct mime_composer *c)
{
    if (!c)
        return;
    buffer_done(&c->bytes);
    free(c->segments);
    for (size_t i = 0; i < ARRAY_LEN(c->canonical); i++)
        free(c->canonical[i]);
    free(c->in);
    free(c->out);
    free(c);
}

uint64_t mime_composer_size(const struct mime_composer *c)
{
    return c->size;
}

bool mime_composer_needs_utf8(const struct mime_composer *c)
{
    return c->needs_utf8;
}

bool mime_composer_needs_8bit(const struct mime_composer *c)
{
    return c->needs_8bit;
}

bool mime_composer_needs_binary(const struct mime_composer *c)
{
    return c->needs_binary;
}

bool mime_composer_differs(const struct mime_composer *c, enum mime_transport transport)
{
    return c->differs & (1u << transport);
}

/* --- reading --- */

/* Memory for pieces: one that is not read out has none. */
static int make_room(struct mime_composer *c)
{
    if (!c->in)
        c->in = malloc(CHUNK);
    if (!c->out)
        c->out = malloc((size_t) mime_base64_lines_len(CHUNK));
    return c->in && c->out ? 0 : -ENOMEM;
}

/* The next piece of the segment into c->out; nothing when it is over. */
static int segment_piece(struct mime_composer *c, const struct compose_segment *s)
{
    size_t want = s->kind == SEGMENT_BASE64 || s->kind == SEGMENT_COPY ? CHUNK : CHUNK / 4, got = 0, used;
    c->out_at = c->out_len = 0;
    int r = make_room(c);
    if (r == 0)
        r = mime_source_read(&s->source, c->pos, c->in, want, &got);
    if (r < 0)
        return r;
    if (got < want && c->pos + got < s->source.size)
        return -ESTALE;
    if (got == 0)
        return 0;
    struct slice in = slice_of(c->in, got);
    used = got;
    switch (s->kind) {
    case SEGMENT_TEXT:
        c->out_len = compose_text_lines(c, in, c->out);
        break;
    case SEGMENT_QP:
        used = mime_qp_encode(&c->qp, in, c->pos + got >= s->source.size, c->out, CHUNK, &c->out_len);
        break;
    case SEGMENT_BASE64:
        c->out_len = mime_base64_lines(c->in, got, c->out);
        break;
    case SEGMENT_COPY:
        memcpy(c->out, c->in, got);
        c->out_len = got;
        break;
    case SEGMENT_BYTES:
        break;
    }
    c->pos += used;
    return 0;
}

static void next_segment(struct mime_composer *c)
{
    c->at++;
    c->pos = 0;
    c->out_at = c->out_len = 0;
    c->qp = (struct mime_qp_encoder){.text = true};
    c->after_cr = false;
}

int mime_composer_read(struct mime_composer *c, char *buf, size_t len, size_t *ret_len)
{
    size_t n = 0;
    while (n < len && c->at < c->n) {
        const struct compose_segment *s = &c->segments[c->at];
        if (s->kind == SEGMENT_BYTES) {
            struct slice bytes = slice_from(own_bytes(c, s), (size_t) c->pos);
            size_t take = MIN(bytes.len, len - n);
            memcpy(buf + n, bytes.data, take);
            n += take;
            c->pos += take;
            if (take == bytes.len)
                next_segment(c);
            continue;
        }
        if (c->out_at == c->out_len) {
            int r = segment_piece(c, s);
            if (r < 0)
                return r;
            if (c->out_len == 0 && c->pos >= s->source.size) {
                next_segment(c);
                continue;
            }
        }
        size_t take = MIN(c->out_len - c->out_at, len - n);
        memcpy(buf + n, c->out + c->out_at, take);
        n += take;
        c->out_at += take;
    }
    *ret_len = n;
    return 0;
}

void mime_composer_rewind(struct mime_composer *c)
{
    next_segment(c);
    c->at = 0;
}

int mime_outline_envelope(const struct mime_outline *o, struct arena *arena, struct slice *ret_from,
                          struct slice **ret_recipients, size_t *ret_n)
{
    struct mime_recipients to = {.arena = arena};
    struct slice from = mime_first_address(o->sender);
    int r = mime_recipients_add(&to, o->to);
    if (r == 0)
        r = mime_recipients_add(&to, o->cc);
    if (r == 0)
        r = mime_recipients_add(&to, o->bcc);
    if (r == 0)
        r = mime_recipients_settle(&to);
    if (r < 0)
        return r;
    *ret_from = from.data ? from : mime_first_address(o->from);
    *ret_recipients = to.list;
    *ret_n = to.n;
    return 0;
}
