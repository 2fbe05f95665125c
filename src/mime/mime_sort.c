/* SPDX-License-Identifier: MIT */
/* Which parts are the body and which are attachments: RFC 8621 section 4.1.4, with two additions so that no leaf is
 * lost: what is no text goes to the attachments even when it is shown in the body, and so does a leaf that the rules of
 * alternatives leave in no list. */
#include "mime_internal.h"
#include "mime_message.h"

static bool is_type(const struct mime_part *p, const char *type, const char *subtype)
{
    return slice_eq(p->type, slice_of_str(type)) && slice_eq(p->subtype, slice_of_str(subtype));
}

static bool is_media(const struct mime_part *p)
{
    return slice_eq(p->type, SLICE("image")) || slice_eq(p->type, SLICE("audio")) || slice_eq(p->type, SLICE("video"));
}

struct sorting {
    size_t n_text, n_html; /* lengths of the two lists */
};

/* May the part stand in the body? `first`: of its multipart. */
static bool is_inline(const struct mime_part *p, bool first, bool related)
{
    if (slice_eq(p->disposition, SLICE("attachment")))
        return false;
    if (!is_type(p, "text", "plain") && !is_type(p, "text", "html") && !is_media(p))
        return false;
    return first || (!related && (is_media(p) || !p->filename.data));
}

static void push_text(struct sorting *s, struct mime_part *p)
{
    if (!p->in_text)
        s->n_text++;
    p->in_text = true;
}

static void push_html(struct sorting *s, struct mime_part *p)
{
    if (!p->in_html)
        s->n_html++;
    p->in_html = true;
}

/* All leaves below `p` that are in one list go to the other one, too. */
static void copy_lists(struct sorting *s, struct mime_part *p, bool to_text)
{
    for (struct mime_part *c = p->children; c; c = c->next) {
        if (c->is_multipart)
            copy_lists(s, c, to_text);
        else if (to_text && c->in_html)
            push_text(s, c);
        else if (!to_text && c->in_text)
            push_html(s, c);
    }
}

static void sort_parts(struct sorting *s, struct mime_part *parent, struct mime_part *first, bool in_alternative,
                       bool to_text, bool to_html);

static void sort_inline(struct sorting *s, struct mime_part *p, bool alternative, bool in_alternative, bool *to_text,
                        bool *to_html)
{
    if (alternative) {
        if (is_type(p, "text", "plain"))
            push_text(s, p);
        else if (is_type(p, "text", "html"))
            push_html(s, p);
        else
            p->is_attachment = true;
        return;
    }
    if (in_alternative) {
        if (is_type(p, "text", "plain"))
            *to_html = false;
        if (is_type(p, "text", "html"))
            *to_text = false;
    }
    if (*to_text)
        push_text(s, p);
    if (*to_html)
        push_html(s, p);
    if ((!*to_text || !*to_html) && is_media(p))
        p->is_attachment = true;
}

static void sort_parts(struct sorting *s, struct mime_part *parent, struct mime_part *first, bool in_alternative,
                       bool to_text, bool to_html)
{
    bool alternative = parent && slice_eq(parent->subtype, SLICE("alternative"));
    bool related = parent && slice_eq(parent->subtype, SLICE("related"));
    bool both = to_text && to_html;
    size_t n_text = s->n_text, n_html = s->n_html;

    for (struct mime_part *p = first; p; p = p->next) {
        if (p->is_multipart)
            sort_parts(s, p, p->children, in_alternative || slice_eq(p->subtype, SLICE("alternative")), to_text,
                       to_html);
        else if (is_inline(p, p == first, related))
            sort_inline(s, p, alternative, in_alternative, &to_text, &to_html);
        else
            p->is_attachment = true;
    }
    if (alternative && both && s->n_text == n_text && s->n_html != n_html)
        copy_lists(s, parent, true);
    else if (alternative && both && s->n_html == n_html && s->n_text != n_text)
        copy_lists(s, parent, false);
}

void mime_message_sort(struct mime_message *m)
{
    struct sorting s = {0};
    sort_parts(&s, NULL, m->root, false, true, true);
    for (struct mime_part *p = m->root; p; p = p->following) {
        if (p->is_multipart)
            continue;
        bool text = (p->in_text && is_type(p, "text", "plain")) || (p->in_html && is_type(p, "text", "html"));
        if (!text)
            p->is_attachment = true;
        p->is_inline = p->is_attachment && (p->in_text || p->in_html);
    }
}
