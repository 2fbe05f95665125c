/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "mime_compose.h"

#include "mime_envelope.h"
#include "mime_fold.h"
#include "mime_transfer.h"
#include "mime_types.h"
#include "utf8.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define HEADER_MAX (16u << 20) /* of all that is not content */
#define STEM_LEN 18            /* "=_" and 16 hexadecimal digits */
#define CHUNK (MIME_BASE64_LINE * 1024)

enum segment_kind {
    SEGMENT_BYTES,  /* of the composer's own: headers and boundaries */
    SEGMENT_TEXT,   /* a text whose line ends become CRLF */
    SEGMENT_QP,
    SEGMENT_BASE64,
    SEGMENT_COPY,   /* a source as it is */
};

struct segment {
    enum segment_kind kind;
    size_t offset, len;        /* SEGMENT_BYTES: in `bytes` */
    struct mime_source source; /* the others */
    uint64_t size;             /* encoded */
};

struct mime_composer {
    struct buffer bytes;
    struct segment *segments;
    size_t n, cap;
    uint64_t size;
    bool needs_utf8, needs_8bit, needs_binary;
    char stem[STEM_LEN + 1];
    unsigned n_boundaries;
    /* where reading is */
    size_t at;
    uint64_t pos;    /* in the segment's input */
    struct mime_qp_encoder qp;
    bool after_cr;   /* SEGMENT_TEXT: CRLF was written for a CR */
    char *in, *out;  /* a piece, and what it has become */
    size_t out_len, out_at;
    char *canonical[2]; /* texts in base64: with CRLF line ends */
};

/* How a body is encoded. */
struct plan {
    enum segment_kind kind;
    const char *encoding;
    bool text; /* kind SEGMENT_QP: line ends stand for themselves */
};

/* What a content is like. */
struct facts {
    uint64_t size;        /* as CRLF text */
    uint64_t escapes;     /* bytes that quoted-printable would escape */
    size_t longest;       /* line, without its end */
    bool has_8bit, has_nul, has_control;
    bool bare;            /* CR or LF that are no CRLF */
    bool ends_with_line;
    struct utf8_state utf8;
};

static void facts_feed(struct facts *f, struct slice s, size_t *line, char *last)
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
static int facts_of(const struct mime_source *src, struct facts *ret)
{
    struct mime_window w;
    struct slice s;
    size_t line = 0;
    char last = 0;
    int r;
    *ret = (struct facts){0};
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

static struct slice own_bytes(const struct mime_composer *c, const struct segment *s)
{
    return slice_of(buffer_slice(&c->bytes).data + s->offset, s->len);
}

static int segment_add(struct mime_composer *c, const struct segment *s)
{
    if (c->n == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 16;
        struct segment *bigger = reallocarray(c->segments, cap, sizeof(*bigger));
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
static int segment_bytes(struct mime_composer *c, size_t *from)
{
    struct segment s = {.kind = SEGMENT_BYTES, .offset = *from, .len = buffer_len(&c->bytes) - *from};
    s.size = s.len;
    *from = buffer_len(&c->bytes);
    return s.len ? segment_add(c, &s) : 0;
}

/* The size of the quoted-printable form, by making it. */
static int qp_size(const struct mime_source *src, bool text, uint64_t *ret)
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

/* --- encodings --- */

/* A text of ours: UTF-8 whose line ends may be made CRLF. */
static struct plan plan_text(const struct facts *f, enum mime_transport transport)
{
    bool lines = f->longest <= MIME_LINE_MAX && !f->has_control;
    if (lines && !f->has_8bit)
        return (struct plan){SEGMENT_TEXT, "7bit", true};
    if (lines && transport != MIME_TRANSPORT_7BIT)
        return (struct plan){SEGMENT_TEXT, "8bit", true};
    /* Base64 only where it is clearly shorter: filters look askance at texts that nobody can read. */
    if (f->size + 2 * f->escapes + f->size / 38 <= f->size * 5 / 3)
        return (struct plan){SEGMENT_QP, "quoted-printable", true};
    return (struct plan){SEGMENT_BASE64, "base64", true};
}

/* A content whose bytes must not change. */
static struct plan plan_bytes(const struct facts *f, bool text_like, enum mime_transport transport)
{
    bool lines = text_like && f && !f->bare && !f->has_control && f->longest <= MIME_LINE_MAX;
    if (lines && !f->has_8bit)
        return (struct plan){SEGMENT_COPY, "7bit", false};
    if (lines && transport != MIME_TRANSPORT_7BIT)
        return (struct plan){SEGMENT_COPY, "8bit", false};
    if (transport == MIME_TRANSPORT_BINARY)
        return (struct plan){SEGMENT_COPY, "binary", false};
    return (struct plan){SEGMENT_BASE64, "base64", false};
}

/* An attached message: its line ends may be made CRLF, but it must not be encoded. */
static struct plan plan_message(const struct facts *f, enum mime_transport transport)
{
    bool lines = f->longest <= MIME_LINE_MAX && !f->has_nul;
    if (lines && !f->has_8bit)
        return (struct plan){SEGMENT_TEXT, "7bit", true};
    if (lines && transport != MIME_TRANSPORT_7BIT)
        return (struct plan){SEGMENT_TEXT, "8bit", true};
    return plan_bytes(f, true, transport);
}

static int add_content(struct mime_composer *c, const struct mime_source *src, const struct plan *plan,
                       const struct facts *f)
{
    struct segment s = {.kind = plan->kind, .source = *src};
    int r = 0;
    switch (plan->kind) {
    case SEGMENT_TEXT:
        s.size = f->size;
        break;
    case SEGMENT_QP:
        r = qp_size(src, plan->text, &s.size);
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

/* --- header --- */

struct header {
    struct mime_composer *c;
    const struct mime_outline *o;
    struct mime_fold fold;
    struct fault *fault;
};

static int refuse(struct header *h, const char *field, const char *what)
{
    return fault_set(h->fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "%s: %s", field, what);
}

static const char bad_text[] = "a control character, or bytes that are not UTF-8, may not stand there";

static int check_addresses(struct header *h, const char *field, const struct mime_address *list)
{
    int r = 0;
    for (; list && r == 0; list = list->next) {
        if (!mime_text_is_line(list->name))
            r = refuse(h, field, bad_text);
        else if (list->is_group)
            r = check_addresses(h, field, list->members);
        else if (!mime_text_is_address(list->address))
            r = refuse(h, field, "that is no address");
    }
    return r;
}

static int put_addresses(struct header *h, const char *field, const char *name, const struct mime_address *list)
{
    if (!list)
        return 0;
    int r = check_addresses(h, field, list);
    if (r == 0)
        r = mime_fold_begin(&h->fold, name);
    if (r == 0)
        r = mime_fold_addresses(&h->fold, list);
    return r == 0 ? mime_fold_end(&h->fold) : r;
}

static int put_ids(struct header *h, const char *field, const char *name, const struct slice *ids, size_t n)
{
    if (n == 0)
        return 0;
    int r = mime_fold_begin(&h->fold, name);
    for (size_t i = 0; i < n && r == 0; i++) {
        char token[1024];
        if (!mime_text_is_id(ids[i]))
            return refuse(h, field, "that is no message id");
        int len = snprintf(token, sizeof(token), "<%.*s>", (int) ids[i].len, ids[i].data);
        r = mime_fold_token(&h->fold, slice_of(token, (size_t) len));
    }
    return r == 0 ? mime_fold_end(&h->fold) : r;
}

/* Fields that the composer writes itself; given twice they would contradict each other. */
static bool is_own_field(struct slice name)
{
    static const char *const own[] = {"from", "sender", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id",
                                      "in-reply-to", "references", "mime-version", "resent-bcc"};
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (slice_eq_ci(name, slice_of_str(own[i])))
            return true;
    return slice_starts_ci(name, SLICE("content-"));
}

static int put_further(struct header *h)
{
    int r = 0;
    for (size_t i = 0; i < h->o->n_headers && r == 0; i++) {
        const struct mime_header_value *v = &h->o->headers[i];
        char field[128];
        snprintf(field, sizeof(field), "headers.%.*s", (int) MIN(v->name.len, (size_t) 80), v->name.data);
        if (!mime_text_is_field_name(v->name))
            return refuse(h, field, "that is no name of a header field");
        if (is_own_field(v->name))
            return refuse(h, field, "this field is made from other parameters");
        if (!mime_text_is_line(v->value))
            return refuse(h, field, bad_text);
        r = mime_fold_begin_slice(&h->fold, v->name);
        if (r == 0)
            r = mime_fold_text(&h->fold, v->value);
        if (r == 0)
            r = mime_fold_end(&h->fold);
    }
    return r;
}

static int put_plain(struct header *h, const char *name, const char *value)
{
    int r = mime_fold_begin(&h->fold, name);
    if (r == 0)
        r = mime_fold_token(&h->fold, slice_of_str(value));
    return r == 0 ? mime_fold_end(&h->fold) : r;
}

static int put_top(struct header *h)
{
    const struct mime_outline *o = h->o;
    char date[MIME_DATE_MAX];
    int r = 0;
    if (o->has_date) {
        mime_format_date(&o->date, date);
        r = put_plain(h, "Date", date);
    }
    if (r == 0)
        r = put_addresses(h, "from", "From", o->from);
    if (r == 0)
        r = put_addresses(h, "sender", "Sender", o->sender);
    if (r == 0)
        r = put_addresses(h, "reply_to", "Reply-To", o->reply_to);
    if (r == 0)
        r = put_addresses(h, "to", "To", o->to);
    if (r == 0)
        r = put_addresses(h, "cc", "Cc", o->cc);
    if (r == 0)
        r = check_addresses(h, "bcc", o->bcc);
    if (r == 0 && o->subject.data) {
        if (!mime_text_is_line(o->subject))
            return refuse(h, "subject", bad_text);
        r = mime_fold_begin(&h->fold, "Subject");
        if (r == 0)
            r = mime_fold_text(&h->fold, o->subject);
        if (r == 0)
            r = mime_fold_end(&h->fold);
    }
    if (r == 0 && o->message_id.data)
        r = put_ids(h, "message_id", "Message-ID", &o->message_id, 1);
    if (r == 0)
        r = put_ids(h, "in_reply_to", "In-Reply-To", o->in_reply_to, o->n_in_reply_to);
    if (r == 0)
        r = put_ids(h, "references", "References", o->references, o->n_references);
    if (r == 0)
        r = put_further(h);
    return r == 0 ? put_plain(h, "MIME-Version", "1.0") : r;
}

/* --- body --- */

struct body {
    struct header *h;
    size_t from; /* of what is rendered and not in a segment yet */
    bool open_line; /* the last content does not end with a line end: the boundary brings its own */
};

static void boundary_text(const struct mime_composer *c, unsigned number, char out[64])
{
    snprintf(out, 64, "%s_%u", c->stem, number);
}

/* A delimiter in front of a part, or behind the last one. */
static int put_boundary(struct body *b, unsigned number, bool last)
{
    char boundary[64];
    boundary_text(b->h->c, number, boundary);
    int r = buffer_printf(&b->h->c->bytes, "%s--%s%s\r\n", b->open_line ? "\r\n" : "", boundary, last ? "--" : "");
    b->open_line = false;
    return r < 0 ? -ENOMEM : 0;
}

static int begin_multipart(struct body *b, const char *subtype, const char *root_type, unsigned *ret_number)
{
    struct mime_fold *f = &b->h->fold;
    char boundary[64], type[64];
    *ret_number = b->h->c->n_boundaries++;
    boundary_text(b->h->c, *ret_number, boundary);
    snprintf(type, sizeof(type), "multipart/%s", subtype);
    int r = mime_fold_begin(f, "Content-Type");
    if (r == 0)
        r = mime_fold_token(f, slice_of_str(type));
    if (r == 0)
        r = mime_fold_param(f, "boundary", slice_of_str(boundary));
    if (r == 0 && root_type)
        r = mime_fold_param(f, "type", slice_of_str(root_type));
    if (r == 0)
        r = mime_fold_end(f);
    if (r == 0)
        r = mime_fold_end(f);
    return r;
}

/* CRLF for every line end. */
static size_t text_lines(struct mime_composer *c, struct slice in, char *out)
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

/* A text in base64 has its line ends as CRLF (RFC 2045 section 6.8). */
static int make_canonical(struct mime_composer *c, unsigned which, struct slice text, const struct facts *facts,
                          struct mime_source *ret)
{
    free(c->canonical[which]);
    c->canonical[which] = malloc((size_t) facts->size + 1);
    if (!c->canonical[which])
        return -ENOMEM;
    c->after_cr = false;
    size_t n = text_lines(c, text, c->canonical[which]);
    c->after_cr = false;
    mime_source_memory(ret, slice_of(c->canonical[which], n));
    return 0;
}

static int put_text_part(struct body *b, const char *subtype, struct slice text, const char *field, bool alone)
{
    struct header *h = b->h;
    struct mime_source src;
    struct facts facts;
    char type[32];
    mime_source_memory(&src, text);
    int r = facts_of(&src, &facts);
    if (r < 0)
        return r;
    if (facts.has_nul || !utf8_state_ok(&facts.utf8))
        return refuse(h, field, "a text is UTF-8 without NUL");
    struct plan plan = plan_text(&facts, h->o->transport);
    if (plan.kind == SEGMENT_BASE64)
        r = make_canonical(h->c, field[0] == 'h', text, &facts, &src);
    if (r < 0)
        return r;
    snprintf(type, sizeof(type), "text/%s", subtype);
    r = mime_fold_begin(&h->fold, "Content-Type");
    if (r == 0)
        r = mime_fold_token(&h->fold, slice_of_str(type));
    if (r == 0)
        r = mime_fold_param(&h->fold, "charset", facts.has_8bit ? SLICE("utf-8") : SLICE("us-ascii"));
    if (r == 0)
        r = mime_fold_end(&h->fold);
    if (r == 0)
        r = put_plain(h, "Content-Transfer-Encoding", plan.encoding);
    if (r == 0)
        r = mime_fold_end(&h->fold);
    if (r == 0)
        r = segment_bytes(h->c, &b->from);
    if (r == 0)
        r = add_content(h->c, &src, &plan, &facts);
    b->open_line = plan.kind != SEGMENT_BASE64 && text.len;
    /* A message ends with a line end; in quoted-printable it need not be the text's. */
    if (r == 0 && alone && b->open_line && !facts.ends_with_line)
        r = buffer_append_slice(&h->c->bytes, plan.kind == SEGMENT_QP ? SLICE("=\r\n") : SLICE("\r\n"));
    return r;
}

static int put_attachment_header(struct body *b, const struct mime_attachment *a, struct slice type,
                                 const struct facts *facts, bool from_name, const struct plan *plan)
{
    struct mime_fold *f = &b->h->fold;
    int r = mime_fold_begin(f, "Content-Type");
    if (r == 0)
        r = mime_fold_token(f, type);
    if (r == 0 && from_name && facts && slice_starts(type, SLICE("text/")) && utf8_state_ok(&facts->utf8))
        r = mime_fold_param(f, "charset", facts->has_8bit ? SLICE("utf-8") : SLICE("us-ascii"));
    if (r == 0)
        r = mime_fold_end(f);
    if (r == 0)
        r = put_plain(b->h, "Content-Transfer-Encoding", plan->encoding);
    if (r == 0)
        r = mime_fold_begin(f, "Content-Disposition");
    if (r == 0)
        r = mime_fold_token(f, a->disposition == MIME_DISPOSITION_INLINE ? SLICE("inline") : SLICE("attachment"));
    if (r == 0 && a->filename.len)
        r = mime_fold_param(f, "filename", a->filename);
    if (r == 0)
        r = mime_fold_end(f);
    if (r == 0 && a->content_id.data)
        r = put_ids(b->h, "attachments.content_id", "Content-ID", &a->content_id, 1);
    return r == 0 ? mime_fold_end(f) : r;
}

/* type "/" subtype *(";" parameter), in printable ASCII; multiparts cannot be attached as bytes. */
static bool is_content_type(struct slice s)
{
    struct slice type = slice_trim(slice_to(s, slice_find(s, ';')));
    size_t slash = slice_find(type, '/');
    if (!mime_text_is_line(s) || !mime_text_is_ascii(s) || s.len > 900 || slash == 0 || slash + 1 >= type.len)
        return false;
    for (size_t i = 0; i < type.len; i++)
        if (i != slash && (type.data[i] <= ' ' || strchr("()<>@,;:\\\"/[]?=", type.data[i])))
            return false;
    return !slice_starts_ci(type, SLICE("multipart/"));
}

static int put_attachment(struct body *b, const struct mime_attachment *a)
{
    struct header *h = b->h;
    struct slice type = a->content_type.data ? a->content_type : mime_type_of_name(a->filename);
    struct facts facts;
    int r = 0;
    if (!mime_text_is_line(a->filename))
        return refuse(h, "attachments.filename", bad_text);
    if (!is_content_type(type))
        return refuse(h, "attachments.content_type", "that is no content type of a file");
    bool message = slice_starts_ci(type, SLICE("message/"));
    bool text_like = message || slice_starts_ci(type, SLICE("text/"));
    if (text_like)
        r = facts_of(&a->content, &facts);
    if (r < 0)
        return fault_set(h->fault, r, FAULT_STORAGE, NULL, "attachments: the content cannot be read");
    struct plan plan = message ? plan_message(&facts, h->o->transport)
                               : plan_bytes(text_like ? &facts : NULL, text_like, h->o->transport);
    /* RFC 2046 section 5.2.1 has message/rfc822 in no encoding; what needs one goes as a file. */
    if (message && plan.kind == SEGMENT_BASE64)
        type = SLICE("application/octet-stream");
    r = put_attachment_header(b, a, type, text_like ? &facts : NULL, !a->content_type.data, &plan);
    if (r == 0)
        r = segment_bytes(h->c, &b->from);
    if (r == 0)
        r = add_content(h->c, &a->content, &plan, &facts);
    b->open_line = plan.kind != SEGMENT_BASE64 && a->content.size;
    return r;
}

/* Images and the like that the html shows by their ids. */
static bool is_related(const struct mime_outline *o, const struct mime_attachment *a)
{
    return o->html.data && a->content_id.data && a->disposition == MIME_DISPOSITION_INLINE;
}

static int put_html(struct body *b, bool alone)
{
    const struct mime_outline *o = b->h->o;
    size_t related = 0;
    unsigned number;
    for (size_t i = 0; i < o->n_attachments; i++)
        related += is_related(o, &o->attachments[i]);
    if (!related)
        return put_text_part(b, "html", o->html, "html", alone);
    int r = begin_multipart(b, "related", "text/html", &number);
    if (r == 0)
        r = put_boundary(b, number, false);
    if (r == 0)
        r = put_text_part(b, "html", o->html, "html", false);
    for (size_t i = 0; i < o->n_attachments && r == 0; i++) {
        if (!is_related(o, &o->attachments[i]))
            continue;
        r = put_boundary(b, number, false);
        if (r == 0)
            r = put_attachment(b, &o->attachments[i]);
    }
    return r == 0 ? put_boundary(b, number, true) : r;
}

/* The text, the html, or both as alternatives. */
static int put_texts(struct body *b, bool alone)
{
    const struct mime_outline *o = b->h->o;
    unsigned number;
    if (!o->html.data)
        return put_text_part(b, "plain", o->text, "text", alone);
    if (!o->text.data)
        return put_html(b, alone);
    int r = begin_multipart(b, "alternative", NULL, &number);
    if (r == 0)
        r = put_boundary(b, number, false);
    if (r == 0)
        r = put_text_part(b, "plain", o->text, "text", false);
    if (r == 0)
        r = put_boundary(b, number, false);
    if (r == 0)
        r = put_html(b, false);
    return r == 0 ? put_boundary(b, number, true) : r;
}

static int put_body(struct body *b)
{
    const struct mime_outline *o = b->h->o;
    size_t mixed = 0;
    unsigned number;
    for (size_t i = 0; i < o->n_attachments; i++)
        mixed += !is_related(o, &o->attachments[i]);
    if (!mixed)
        return put_texts(b, true);
    int r = begin_multipart(b, "mixed", NULL, &number);
    if (r == 0 && (o->text.data || o->html.data)) {
        r = put_boundary(b, number, false);
        if (r == 0)
            r = put_texts(b, false);
    }
    for (size_t i = 0; i < o->n_attachments && r == 0; i++) {
        if (is_related(o, &o->attachments[i]))
            continue;
        r = put_boundary(b, number, false);
        if (r == 0)
            r = put_attachment(b, &o->attachments[i]);
    }
    return r == 0 ? put_boundary(b, number, true) : r;
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
}

static int compose(struct mime_composer *c, const struct mime_outline *o, struct fault *fault)
{
    struct header h = {.c = c, .o = o, .fault = fault, .fold = {.out = &c->bytes, .utf8 = o->utf8}};
    struct body b = {.h = &h};
    uint64_t seed = o->seed;
    bool occurs = true;
    int r = 0;
    while (occurs && r == 0) {
        seed = mix(seed);
        snprintf(c->stem, sizeof(c->stem), "=_%016llx", (unsigned long long) seed);
        composer_reset(c);
        b = (struct body){.h = &h};
        h.fold.used_8bit = false;
        r = put_top(&h);
        if (r == 0)
            r = put_body(&b);
        if (r == 0)
            r = segment_bytes(c, &b.from);
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
        c->in = malloc(CHUNK);
        c->out = malloc((size_t) mime_base64_lines_len(CHUNK));
        if (c->in && c->out)
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
    free(c->canonical[0]);
    free(c->canonical[1]);
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

/* --- reading --- */

/* The next piece of the segment into c->out; nothing when it is over. */
static int segment_piece(struct mime_composer *c, const struct segment *s)
{
    size_t want = s->kind == SEGMENT_BASE64 || s->kind == SEGMENT_COPY ? CHUNK : CHUNK / 4, got = 0, used;
    c->out_at = c->out_len = 0;
    int r = mime_source_read(&s->source, c->pos, c->in, want, &got);
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
        c->out_len = text_lines(c, in, c->out);
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
        const struct segment *s = &c->segments[c->at];
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
