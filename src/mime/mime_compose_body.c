/* SPDX-License-Identifier: MIT */
#include "mime_compose_private.h"

#include "mime_types.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* For another transport the same content would be encoded like this. */
static void note_other(struct mime_composer *c, const struct compose_plan *plan, struct compose_plan other, enum mime_transport t)
{
    if (strcmp(plan->encoding, other.encoding) != 0)
        c->differs |= 1u << t;
}

/* `f` NULL: the content is no text. */
static struct compose_plan plan_attachment(bool message, const struct compose_facts *f, enum mime_transport t)
{
    return message ? compose_plan_message(f, t) : compose_plan_bytes(f, f, t);
}

static void boundary_text(const struct mime_composer *c, unsigned number, char out[64])
{
    snprintf(out, 64, "%s_%u", c->stem, number);
}

/* A delimiter in front of a part, or behind the last one. */
static int put_boundary(struct compose_body *b, unsigned number, bool last)
{
    char boundary[64];
    boundary_text(b->h->c, number, boundary);
    int r = buffer_printf(&b->h->c->bytes, "%s--%s%s\r\n", b->open_line ? "\r\n" : "", boundary, last ? "--" : "");
    b->open_line = false;
    return r < 0 ? -ENOMEM : 0;
}

static int begin_multipart(struct compose_body *b, const char *subtype, const char *root_type, unsigned *ret_number)
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
    if (r == 0 && b->h->c->container)
        r = compose_put_plain(b->h, "Content-Transfer-Encoding", b->h->c->container);
    if (r == 0)
        r = mime_fold_end(f);
    return r;
}

/* A text in base64 has its line ends as CRLF (RFC 2045 section 6.8). */
static int make_canonical(struct mime_composer *c, unsigned which, struct slice text, const struct compose_facts *facts,
                          struct mime_source *ret)
{
    free(c->canonical[which]);
    c->canonical[which] = malloc((size_t) facts->size + 1);
    if (!c->canonical[which])
        return -ENOMEM;
    c->after_cr = false;
    size_t n = compose_text_lines(c, text, c->canonical[which]);
    c->after_cr = false;
    mime_source_memory(ret, slice_of(c->canonical[which], n));
    return 0;
}

enum compose_text { TEXT_PLAIN, TEXT_HTML, TEXT_CALENDAR };

static int put_text_part(struct compose_body *b, enum compose_text which, struct slice text, bool alone)
{
    static const struct {
        const char *type, *field;
    } names[] = {[TEXT_PLAIN] = {"text/plain", "text"},
                 [TEXT_HTML] = {"text/html", "html"},
                 [TEXT_CALENDAR] = {"text/calendar", "calendar"}};
    struct compose_header *h = b->h;
    struct mime_source src;
    struct compose_facts facts;
    mime_source_memory(&src, text);
    int r = compose_facts_of(&src, &facts);
    if (r < 0)
        return r;
    if (facts.has_nul || !utf8_state_ok(&facts.utf8))
        return compose_refuse(h, names[which].field, "a text is UTF-8 without NUL");
    struct compose_plan plan = compose_plan_text(&facts, h->o->transport);
    for (enum mime_transport t = MIME_TRANSPORT_7BIT; t <= MIME_TRANSPORT_BINARY; t++)
        note_other(h->c, &plan, compose_plan_text(&facts, t), t);
    if (plan.kind == SEGMENT_BASE64)
        r = make_canonical(h->c, which, text, &facts, &src);
    if (r < 0)
        return r;
    r = mime_fold_begin(&h->fold, "Content-Type");
    if (r == 0)
        r = mime_fold_token(&h->fold, slice_of_str(names[which].type));
    if (r == 0 && which == TEXT_CALENDAR && h->o->method.data)
        r = mime_fold_param(&h->fold, "method", h->o->method);
    if (r == 0)
        r = mime_fold_param(&h->fold, "charset", facts.has_8bit ? SLICE("utf-8") : SLICE("us-ascii"));
    if (r == 0)
        r = mime_fold_end(&h->fold);
    if (r == 0)
        r = compose_put_plain(h, "Content-Transfer-Encoding", plan.encoding);
    if (r == 0)
        r = mime_fold_end(&h->fold);
    if (r == 0)
        r = compose_add_bytes(h->c, &b->from);
    if (r == 0)
        r = compose_add_content(h->c, &src, &plan, &facts);
    b->open_line = plan.kind != SEGMENT_BASE64 && text.len;
    /* A message ends with a line end; in quoted-printable it need not be the text's. */
    if (r == 0 && alone && b->open_line && !facts.ends_with_line)
        r = buffer_append_slice(&h->c->bytes, plan.kind == SEGMENT_QP ? SLICE("=\r\n") : SLICE("\r\n"));
    return r;
}

static int put_attachment_header(struct compose_body *b, const struct mime_attachment *a, struct slice type,
                                 const struct compose_facts *facts, bool from_name, const struct compose_plan *plan)
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
        r = compose_put_plain(b->h, "Content-Transfer-Encoding", plan->encoding);
    if (r == 0)
        r = mime_fold_begin(f, "Content-Disposition");
    if (r == 0)
        r = mime_fold_token(f, a->disposition == MIME_DISPOSITION_INLINE ? SLICE("inline") : SLICE("attachment"));
    if (r == 0 && a->filename.len)
        r = mime_fold_param(f, "filename", a->filename);
    if (r == 0)
        r = mime_fold_end(f);
    if (r == 0 && a->content_id.data)
        r = compose_put_ids(b->h, "attachments.content_id", "Content-ID", &a->content_id, 1);
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

static int put_attachment(struct compose_body *b, const struct mime_attachment *a)
{
    struct compose_header *h = b->h;
    struct slice type = a->content_type.data ? a->content_type : mime_type_of_name(a->filename);
    struct compose_facts facts;
    int r = 0;
    if (!mime_text_is_line(a->filename))
        return compose_refuse(h, "attachments.filename", compose_bad_text);
    if (!is_content_type(type))
        return compose_refuse(h, "attachments.content_type", "that is no content type of a file");
    bool message = slice_starts_ci(type, SLICE("message/"));
    bool text_like = message || slice_starts_ci(type, SLICE("text/"));
    if (text_like)
        r = compose_facts_of(&a->content, &facts);
    if (r < 0)
        return fault_set(h->fault, r, FAULT_STORAGE, NULL, "attachments: the content cannot be read");
    struct compose_plan plan = plan_attachment(message, text_like ? &facts : NULL, h->o->transport);
    for (enum mime_transport t = MIME_TRANSPORT_7BIT; t <= MIME_TRANSPORT_BINARY; t++)
        note_other(h->c, &plan, plan_attachment(message, text_like ? &facts : NULL, t), t);
    /* RFC 2046 section 5.2.1 has message/rfc822 in no encoding; what needs one goes as a file. */
    if (message && plan.kind == SEGMENT_BASE64)
        type = SLICE("application/octet-stream");
    r = put_attachment_header(b, a, type, text_like ? &facts : NULL, !a->content_type.data || a->type_of_name, &plan);
    if (r == 0)
        r = compose_add_bytes(h->c, &b->from);
    if (r == 0)
        r = compose_add_content(h->c, &a->content, &plan, &facts);
    b->open_line = plan.kind != SEGMENT_BASE64 && a->content.size;
    return r;
}

/* Images and the like that the html shows by their ids. */
static bool is_related(const struct mime_outline *o, const struct mime_attachment *a)
{
    return o->html.data && a->content_id.data && a->disposition == MIME_DISPOSITION_INLINE;
}

static int put_html(struct compose_body *b, bool alone)
{
    const struct mime_outline *o = b->h->o;
    size_t related = 0;
    unsigned number;
    for (size_t i = 0; i < o->n_attachments; i++)
        related += is_related(o, &o->attachments[i]);
    if (!related)
        return put_text_part(b, TEXT_HTML, o->html, alone);
    int r = begin_multipart(b, "related", "text/html", &number);
    if (r == 0)
        r = put_boundary(b, number, false);
    if (r == 0)
        r = put_text_part(b, TEXT_HTML, o->html, false);
    for (size_t i = 0; i < o->n_attachments && r == 0; i++) {
        if (!is_related(o, &o->attachments[i]))
            continue;
        r = put_boundary(b, number, false);
        if (r == 0)
            r = put_attachment(b, &o->attachments[i]);
    }
    return r == 0 ? put_boundary(b, number, true) : r;
}

/* One of the alternatives in front of its boundary. */
static int put_alternative(struct compose_body *b, enum compose_text which, unsigned number)
{
    const struct mime_outline *o = b->h->o;
    int r = put_boundary(b, number, false);
    if (r < 0)
        return r;
    switch (which) {
    case TEXT_PLAIN:
        return put_text_part(b, which, o->text, false);
    case TEXT_HTML:
        return put_html(b, false);
    case TEXT_CALENDAR:
        return put_text_part(b, which, o->calendar, false);
    }
    return r;
}

/* RFC 5545 section 3.7.2: an IANA token */
static bool is_method(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!ascii_is_alpha(s.data[i]) && !ascii_is_digit(s.data[i]) && s.data[i] != '-')
            return false;
    return s.len && s.len <= 64;
}

/* The text, the html, the calendar, or several as alternatives: the plainest first. */
static int put_texts(struct compose_body *b, bool alone)
{
    const struct mime_outline *o = b->h->o;
    const bool has[] = {[TEXT_PLAIN] = o->text.data, [TEXT_HTML] = o->html.data, [TEXT_CALENDAR] = o->calendar.data};
    unsigned number;
    if (o->method.data && (!is_method(o->method) || !o->calendar.data))
        return compose_refuse(b->h, "calendar_method", o->calendar.data ? "that is no method of iCalendar" : "there is no calendar");
    if (has[TEXT_PLAIN] + has[TEXT_HTML] + has[TEXT_CALENDAR] < 2) {
        if (o->html.data)
            return put_html(b, alone);
        return o->calendar.data ? put_text_part(b, TEXT_CALENDAR, o->calendar, alone) : put_text_part(b, TEXT_PLAIN, o->text, alone);
    }
    int r = begin_multipart(b, "alternative", NULL, &number);
    for (enum compose_text which = TEXT_PLAIN; which <= TEXT_CALENDAR && r == 0; which++)
        if (has[which])
            r = put_alternative(b, which, number);
    return r == 0 ? put_boundary(b, number, true) : r;
}

int compose_put_body(struct compose_body *b)
{
    const struct mime_outline *o = b->h->o;
    size_t mixed = 0;
    unsigned number;
    for (size_t i = 0; i < o->n_attachments; i++)
        mixed += !is_related(o, &o->attachments[i]);
    if (!mixed)
        return put_texts(b, true);
    int r = begin_multipart(b, "mixed", NULL, &number);
    if (r == 0 && (o->text.data || o->html.data || o->calendar.data)) {
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
