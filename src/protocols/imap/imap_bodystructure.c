/* SPDX-License-Identifier: MIT */
#include "imap_fetch.h"

#include <errno.h>
#include <stdio.h>

void imap_body_init(struct imap_body_parser *p, const struct imap_value *value)
{
    p->rest = value->type == IMAP_LIST ? value->bytes : SLICE_EMPTY;
    p->depth = p->parts = 0;
    p->started = p->child_over = p->empty_multi = false;
}

/* The next value, unless the part ends here. */
static bool take(struct imap_body_parser *p, struct imap_value *ret, int *error)
{
    *ret = (struct imap_value){.type = IMAP_NIL};
    imap_skip_spaces(&p->rest);
    if (p->rest.len == 0 || p->rest.data[0] == ')' || *error < 0)
        return false;
    int taken = imap_value_next(&p->rest, ret);
    if (taken < 0)
        *error = taken;
    return taken > 0;
}

static bool take_string(struct imap_body_parser *p, struct imap_value *ret, struct imap_body_part *part, int *error)
{
    bool there = take(p, ret, error);
    if (!there || ret->type == IMAP_LIST) {
        part->odd |= IMAP_ODD_SHAPE;
        *ret = (struct imap_value){.type = IMAP_NIL};
    }
    return there;
}

static bool take_number(struct imap_body_parser *p, uint64_t *ret, struct imap_body_part *part, int *error)
{
    struct imap_value v;
    if (take(p, &v, error))
        return imap_value_count(&v, INT64_MAX, ret, &part->odd);
    part->odd |= IMAP_ODD_SHAPE;
    return false;
}

/* nstring of the extension data, which may be missing. */
static void take_extension_string(struct imap_body_parser *p, struct imap_value *ret, struct imap_body_part *part, int *error)
{
    if (take(p, ret, error) && ret->type == IMAP_LIST) {
        part->odd |= IMAP_ODD_SHAPE;
        *ret = (struct imap_value){.type = IMAP_NIL};
    }
}

/* body-fld-param: "(" string SP string *(SP string SP string) ")" / nil */
static void take_params(struct imap_body_parser *p, struct imap_value *ret, struct imap_body_part *part, int *error)
{
    struct imap_value v;
    if (!take(p, ret, error) || ret->type == IMAP_NIL)
        return;
    struct slice rest = ret->type == IMAP_LIST ? ret->bytes : SLICE_EMPTY;
    bool value = false, odd = ret->type != IMAP_LIST;
    int taken;
    for (; (taken = imap_value_next(&rest, &v)) > 0; value = !value) {
        if (value && v.type == IMAP_NIL)
            part->odd |= IMAP_ODD_PARAM;
        else
            odd = odd || !imap_value_is_string(&v);
    }
    if (odd || value || taken < 0)
        part->odd |= IMAP_ODD_SHAPE;
}

/* body-ext-1part and body-ext-mpart behind what comes first in them:
 *     [SP body-fld-dsp [SP body-fld-lang [SP body-fld-loc *(SP body-extension)]]] */
static void take_extension(struct imap_body_parser *p, struct imap_body_part *part, int *error)
{
    struct imap_value v;
    if (take(p, &v, error)) {
        part->extended = true;
        if (v.type == IMAP_LIST) {
            struct slice inner = v.bytes;
            if (imap_value_next(&inner, &part->disposition) <= 0 || part->disposition.type == IMAP_LIST) {
                part->disposition = (struct imap_value){.type = IMAP_NIL};
                part->odd |= IMAP_ODD_SHAPE;
            } else if (imap_value_next(&inner, &part->disposition_params) <= 0) {
                part->disposition_params = (struct imap_value){.type = IMAP_NIL};
            }
        } else if (v.type != IMAP_NIL) {
            part->disposition = v;
            part->odd |= IMAP_ODD_DISPOSITION;
        }
    }
    take(p, &part->language, error);
    take_extension_string(p, &part->location, part, error);
    while (take(p, &v, error))
        ;
}

/* The closing parenthesis of a part; the outermost was taken off by whoever made the value. */
static int close_part(struct imap_body_parser *p)
{
    imap_skip_spaces(&p->rest);
    if (p->depth == 0)
        return p->rest.len ? -EBADMSG : 0;
    if (p->rest.len == 0 || p->rest.data[0] != ')')
        return -EBADMSG;
    p->rest = slice_from(p->rest, 1);
    return 0;
}

static bool at_open(struct imap_body_parser *p)
{
    imap_skip_spaces(&p->rest);
    return p->rest.len && p->rest.data[0] == '(';
}

/* The number of the part that begins now: its parent's and its place. */
static int name_part(struct imap_body_parser *p, bool multi, size_t *ret_len, bool *ret_shares)
{
    size_t len = 0;
    *ret_shares = false;
    if (++p->parts > IMAP_PARTS_MAX)
        return -EBADMSG;
    if (p->depth == 0) {
        if (!multi)
            p->name[len++] = '1';
        *ret_len = len;
        return 0;
    }
    len = p->stack[p->depth - 1].name_len;
    unsigned place = ++p->stack[p->depth - 1].children;
    if (multi && p->stack[p->depth - 1].message) {
        *ret_shares = true;
        *ret_len = len;
        return 0;
    }
    int n = snprintf(p->name + len, sizeof(p->name) - len, len ? ".%u" : "%u", place);
    if (n < 0 || (size_t) n >= sizeof(p->name) - len)
        return -EBADMSG;
    *ret_len = len + (size_t) n;
    return 0;
}

static int push(struct imap_body_parser *p, bool message, size_t name_len, bool shares)
{
    if (p->depth == IMAP_DEPTH_MAX)
        return -EBADMSG;
    p->stack[p->depth].message = message;
    p->stack[p->depth].shares_part = shares;
    p->stack[p->depth].children = 0;
    p->stack[p->depth].name_len = (unsigned short) name_len;
    p->depth++;
    return 1;
}

static bool is_type(const struct imap_value *v, struct slice name)
{
    return imap_value_is_string(v) && slice_eq_ci(v->bytes, name);
}

/* NIL or "()". */
static bool skip_nothing(struct slice *rest)
{
    imap_skip_spaces(rest);
    struct slice r = slice_from(*rest, 1);
    imap_skip_spaces(&r);
    if (slice_starts(*rest, SLICE("(")) && slice_starts(r, SLICE(")")))
        *rest = slice_from(r, 1);
    else if (slice_starts_ci(*rest, SLICE("NIL ")))
        *rest = slice_from(*rest, 3);
    else
        return false;
    return true;
}

/* "()" or NIL where a body belongs, or NIL for envelope and body: some servers' word for a message that they could not
 * read. Lines follow it. */
static bool skip_no_message(struct imap_body_parser *p, bool envelope)
{
    struct slice r = p->rest, behind;
    struct imap_value v = {.type = IMAP_NIL};
    uint64_t lines;
    unsigned odd = 0;
    if ((!envelope && !skip_nothing(&r)) || !skip_nothing(&r))
        return false;
    behind = r;
    imap_skip_spaces(&r);
    if (r.len == 0 || r.data[0] == '(' || r.data[0] == ')' || imap_value_next(&r, &v) <= 0 ||
        (!imap_value_count(&v, INT64_MAX, &lines, &odd) && (odd & IMAP_ODD_SHAPE)))
        return false;
    p->rest = behind;
    return true;
}

/* body-type-msg behind its size: envelope SP body SP lines. 1: its body follows. */
static int begin_message(struct imap_body_parser *p, size_t name_len, struct imap_body_part *part, int *error)
{
    bool envelope = at_open(p);
    if (envelope)
        take(p, &part->envelope, error);
    if (*error == 0 && skip_no_message(p, envelope)) {
        part->odd |= IMAP_ODD_NO_MESSAGE;
        part->has_lines = take_number(p, &part->lines, part, error);
        return 0;
    }
    if (*error == 0 && envelope && at_open(p)) {
        part->event = IMAP_BODY_MESSAGE_BEGIN;
        return push(p, true, name_len, false);
    }
    if (envelope)
        part->odd |= IMAP_ODD_SHAPE;
    return 0;
}

/* A multipart without parts, as some servers write it: ("MIXED") or (NIL "MIXED" …). */
static int begin_empty_multi(struct imap_body_parser *p, size_t name_len, bool shares, bool alone, struct imap_body_part *part)
{
    p->empty_subtype = alone ? part->type : part->subtype;
    part->event = IMAP_BODY_MULTI_BEGIN;
    part->odd = p->empty_subtype.type == IMAP_NIL ? IMAP_ODD_SHAPE : IMAP_ODD_NO_PARTS;
    part->type = part->subtype = (struct imap_value){.type = IMAP_NIL};
    p->empty_multi = true;
    if (p->depth == 0)
        part->part.len = name_len = 0;
    return push(p, false, name_len, shares);
}

/* body-type-1part: media, fields, and what its kind adds; *rest is behind the parenthesis that opens it. */
static int begin_leaf(struct imap_body_parser *p, size_t name_len, bool shares, struct imap_body_part *part)
{
    int error = 0;
    part->event = IMAP_BODY_LEAF;
    take_string(p, &part->type, part, &error);
    imap_skip_spaces(&p->rest);
    bool alone = p->rest.len == 0 || p->rest.data[0] == ')';
    if (!alone)
        take_string(p, &part->subtype, part, &error);
    if (error == 0 && (alone || part->type.type == IMAP_NIL))
        return begin_empty_multi(p, name_len, shares, alone, part);
    take_params(p, &part->params, part, &error);
    take_string(p, &part->id, part, &error);
    take_string(p, &part->description, part, &error);
    take_string(p, &part->encoding, part, &error);
    part->has_size = take_number(p, &part->size, part, &error);
    if (is_type(&part->type, SLICE("TEXT")) && error == 0) {
        part->has_lines = take_number(p, &part->lines, part, &error);
    } else if (is_type(&part->type, SLICE("MESSAGE")) && error == 0) {
        int follows = begin_message(p, name_len, part, &error);
        if (follows)
            return follows;
    } else if (is_type(&part->type, SLICE("MULTIPART"))) {
        part->odd |= IMAP_ODD_NO_PARTS;
        while (take(p, &part->md5, &error)) /* what stands here belongs to no known form */
            ;
    }
    take_extension_string(p, &part->md5, part, &error);
    take_extension(p, part, &error);
    if (error == 0)
        error = close_part(p);
    p->child_over = true;
    return error < 0 ? error : 1;
}

static int begin_part(struct imap_body_parser *p, struct imap_body_part *part)
{
    size_t len = 0;
    bool shares = false, multi = at_open(p);
    int ret = name_part(p, multi, &len, &shares);
    if (ret < 0)
        return ret;
    part->part = slice_of(p->name, len);
    if (!multi)
        return begin_leaf(p, len, shares, part);
    part->event = IMAP_BODY_MULTI_BEGIN;
    return push(p, false, len, shares);
}

/* What stands behind the parts of a multipart or the body of a message. */
static int end_part(struct imap_body_parser *p, struct imap_body_part *part)
{
    int error = 0;
    bool message = p->stack[p->depth - 1].message;
    part->part = slice_of(p->name, p->stack[p->depth - 1].name_len);
    if (message) {
        part->event = IMAP_BODY_MESSAGE_END;
        part->has_lines = take_number(p, &part->lines, part, &error);
        take_extension_string(p, &part->md5, part, &error);
    } else {
        part->event = IMAP_BODY_MULTI_END;
        if (p->empty_multi)
            part->subtype = p->empty_subtype;
        else
            take_string(p, &part->subtype, part, &error);
        p->empty_multi = false;
        struct slice before = p->rest;
        take_params(p, &part->params, part, &error);
        part->extended = p->rest.data != before.data;
    }
    take_extension(p, part, &error);
    p->depth--;
    if (error == 0)
        error = close_part(p);
    p->child_over = true;
    return error < 0 ? error : 1;
}

int imap_body_next(struct imap_body_parser *p, struct imap_body_part *ret)
{
    struct imap_body_part part = {.odd = 0};
    int result;
    if (!p->started) {
        imap_skip_spaces(&p->rest);
        if (p->rest.len == 0)
            return -EBADMSG;
        p->started = true;
        result = begin_part(p, &part);
    } else if (p->depth == 0) {
        return 0;
    } else if (p->empty_multi || (p->child_over && p->stack[p->depth - 1].message)) {
        result = end_part(p, &part);
    } else if (at_open(p)) {
        p->rest = slice_from(p->rest, 1);
        p->child_over = false;
        result = begin_part(p, &part);
    } else {
        result = end_part(p, &part);
    }
    if (result > 0)
        *ret = part;
    return result;
}
