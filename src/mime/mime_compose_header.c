/* SPDX-License-Identifier: MIT */
#include "mime_compose_private.h"

#include <errno.h>
#include <stdio.h>

int compose_refuse(struct compose_header *h, const char *field, const char *what)
{
    return fault_set(h->fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "%s: %s", field, what);
}

const char compose_bad_text[] = "a control character, or bytes that are not UTF-8, may not stand there";

static int check_addresses(struct compose_header *h, const char *field, const struct mime_address *list)
{
    int r = 0;
    for (; list && r == 0; list = list->next) {
        if (!mime_text_is_line(list->name))
            r = compose_refuse(h, field, compose_bad_text);
        else if (list->is_group)
            r = check_addresses(h, field, list->members);
        else if (!mime_text_is_address(list->address))
            r = compose_refuse(h, field, "that is no address");
    }
    return r;
}

static int put_addresses(struct compose_header *h, const char *field, const char *name, const struct mime_address *list)
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

int compose_put_ids(struct compose_header *h, const char *field, const char *name, const struct slice *ids, size_t n)
{
    if (n == 0)
        return 0;
    int r = mime_fold_begin(&h->fold, name);
    for (size_t i = 0; i < n && r == 0; i++) {
        char token[1024];
        if (!mime_text_is_id(ids[i]))
            return compose_refuse(h, field, "that is no message id");
        int len = snprintf(token, sizeof(token), "<%.*s>", (int) ids[i].len, ids[i].data);
        r = mime_fold_token(&h->fold, slice_of(token, (size_t) len));
    }
    return r == 0 ? mime_fold_end(&h->fold) : r;
}

/* Fields that the composer writes itself; given twice they would contradict each other. */
static bool is_own_field(struct slice name)
{
    static const char *const own[] = {"from",       "sender",       "to",        "cc",         "bcc",
                                      "reply-to",   "subject",      "date",      "message-id", "in-reply-to",
                                      "references", "mime-version", "resent-bcc"};
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (slice_eq_ci(name, slice_of_str(own[i])))
            return true;
    return slice_starts_ci(name, SLICE("content-"));
}

static int put_further(struct compose_header *h)
{
    int r = 0;
    for (size_t i = 0; i < h->o->n_headers && r == 0; i++) {
        const struct mime_header_value *v = &h->o->headers[i];
        char field[128];
        snprintf(field, sizeof(field), "headers.%.*s", (int) MIN(v->name.len, (size_t) 80), v->name.data);
        if (!mime_text_is_field_name(v->name))
            return compose_refuse(h, field, "that is no name of a header field");
        if (is_own_field(v->name) || compose_is_wish(h->o, v->name))
            return compose_refuse(h, field, "this field is made from other parameters");
        if (!mime_text_is_line(v->value))
            return compose_refuse(h, field, compose_bad_text);
        r = mime_fold_begin_slice(&h->fold, v->name);
        if (r == 0)
            r = mime_fold_text(&h->fold, v->value);
        if (r == 0)
            r = mime_fold_end(&h->fold);
    }
    return r;
}

int compose_put_plain(struct compose_header *h, const char *name, const char *value)
{
    int r = mime_fold_begin(&h->fold, name);
    if (r == 0)
        r = mime_fold_token(&h->fold, slice_of_str(value));
    return r == 0 ? mime_fold_end(&h->fold) : r;
}

int compose_put_top(struct compose_header *h)
{
    const struct mime_outline *o = h->o;
    char date[MIME_DATE_MAX];
    int r = 0;
    if (o->has_date) {
        mime_format_date(&o->date, date);
        r = compose_put_plain(h, "Date", date);
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
            return compose_refuse(h, "subject", compose_bad_text);
        r = mime_fold_begin(&h->fold, "Subject");
        if (r == 0)
            r = mime_fold_text(&h->fold, o->subject);
        if (r == 0)
            r = mime_fold_end(&h->fold);
    }
    if (r == 0 && o->message_id.data)
        r = compose_put_ids(h, "message_id", "Message-ID", &o->message_id, 1);
    if (r == 0)
        r = compose_put_ids(h, "in_reply_to", "In-Reply-To", o->in_reply_to, o->n_in_reply_to);
    if (r == 0)
        r = compose_put_ids(h, "references", "References", o->references, o->n_references);
    if (r == 0)
        r = compose_put_wishes(h);
    if (r == 0)
        r = put_further(h);
    return r == 0 ? compose_put_plain(h, "MIME-Version", "1.0") : r;
}
