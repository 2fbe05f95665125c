/* SPDX-License-Identifier: MIT */
#include "mime_tnef.h"

#include "mime_types.h"

#include <errno.h>
#include <stdio.h>

#define SIGNATURE 0x223e9f78u
#define LEVEL_ATTACHMENT 2

/* MS-OXTNEF section 2.1.3.2 */
#define ATT_OEM_CODEPAGE 0x00069007u
#define ATT_REND_DATA 0x00069002u /* begins an attachment */
#define ATT_TITLE 0x00018010u
#define ATT_TRANSPORT_NAME 0x00069001u
#define ATT_DATA 0x0006800fu
#define ATT_PROPS 0x00069005u

/* MS-OXPROPS */
#define PROP_DATA_OBJECT 0x3701
#define PROP_SHORT_NAME 0x3704
#define PROP_LONG_NAME 0x3707
#define PROP_MIME_TAG 0x370e
#define PROP_CONTENT_ID 0x3712

#define TYPE_OBJECT 0x000d
#define TYPE_STRING 0x001e
#define TYPE_UNICODE 0x001f
#define TYPE_BINARY 0x0102
#define TYPE_MULTIPLE 0x1000

/* {00020307-0000-0000-C000-000000000046}: what follows is a message in this same form */
static const unsigned char message_interface[16] = {0x07, 0x03, 0x02, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46};

void mime_tnef_init(struct mime_tnef *t, size_t max_files)
{
    memset(t, 0, sizeof(*t));
    t->max_files = max_files;
    t->text = -1;
}

bool mime_part_is_tnef(const struct mime_part *part)
{
    if (slice_eq(part->type, SLICE("application")) &&
        (slice_eq(part->subtype, SLICE("ms-tnef")) || slice_eq(part->subtype, SLICE("vnd.ms-tnef"))))
        return true;
    return !part->is_multipart && !slice_eq(part->type, SLICE("text")) && slice_eq_ci(part->filename, SLICE("winmail.dat"));
}

static bool in_attribute(const struct mime_tnef *t)
{
    return t->state >= TNEF_SKIP && t->state <= TNEF_PROPS;
}

static uint32_t number(const unsigned char *p, size_t n)
{
    uint32_t v = 0;
    while (n--)
        v = v << 8 | p[n];
    return v;
}

/* The next `n` bytes of the input, once all of them are there. */
static const unsigned char *take(struct mime_tnef *t, struct slice *in, size_t n)
{
    size_t k = MIN(n - t->n_held, in->len);
    if (k)
        memcpy(t->held + t->n_held, in->data, k);
    *in = slice_from(*in, k);
    t->n_held += k;
    if (t->n_held < n)
        return NULL;
    t->n_held = 0;
    return t->held;
}

static void collect(struct mime_tnef *t, struct slice piece)
{
    if (t->text < 0)
        return;
    struct mime_tnef_string *s = &t->texts[t->text];
    size_t k = MIN(piece.len, sizeof(s->bytes) - s->n);
    if (k)
        memcpy(s->bytes + s->n, piece.data, k);
    s->n += k;
}

static void collect_begin(struct mime_tnef *t, int text, bool utf16)
{
    t->text = text;
    if (text >= 0) {
        t->texts[text].n = 0;
        t->texts[text].utf16 = utf16;
    }
}

/* --- properties of an attachment --- */

/* Bytes that a value of fixed size takes, 0: its size is told, -1: not known */
static int fixed_size(uint16_t type)
{
    switch (type) {
    case 0x0000: /* unspecified */
    case 0x0001: /* null */
    case 0x0002: /* 16 bits, filled up */
    case 0x0003:
    case 0x0004:
    case 0x000a:
    case 0x000b: /* boolean, filled up */
        return 4;
    case 0x0005:
    case 0x0006:
    case 0x0007:
    case 0x0014:
    case 0x0040:
        return 8;
    case 0x0048:
        return 16;
    case TYPE_OBJECT:
    case TYPE_STRING:
    case TYPE_UNICODE:
    case TYPE_BINARY:
        return 0;
    default:
        return -1;
    }
}

static void props_stop(struct mime_tnef *t)
{
    t->broken = true;
    t->state = TNEF_SKIP;
}

static void prop_next(struct mime_tnef *t)
{
    t->text = -1;
    if (t->props_left == 0) {
        t->state = TNEF_SKIP; /* nothing, or rubbish */
        return;
    }
    t->props_left--;
    t->prop = PROP_HEAD;
}

static void value_next(struct mime_tnef *t)
{
    t->text = -1;
    if (t->values_left == 0) {
        prop_next(t);
        return;
    }
    t->values_left--;
    t->prop = PROP_LEN;
}

static void values_begin(struct mime_tnef *t);

static void skipped(struct mime_tnef *t)
{
    switch (t->then) {
    case THEN_VALUES:
        values_begin(t);
        break;
    case THEN_VALUE:
        value_next(t);
        break;
    case THEN_PROP:
        prop_next(t);
        break;
    }
}

static void skip(struct mime_tnef *t, uint64_t n, int then)
{
    t->skip_left = n;
    t->then = then;
    t->prop = PROP_SKIP;
    if (n == 0)
        skipped(t);
}

/* Name and kind are known: what comes is the value, or how many there are. */
static void values_begin(struct mime_tnef *t)
{
    int size = fixed_size(t->prop_type & (uint16_t) ~TYPE_MULTIPLE);
    if (size < 0)
        props_stop(t);
    else if (size && !(t->prop_type & TYPE_MULTIPLE))
        skip(t, (uint64_t) size, THEN_PROP);
    else
        t->prop = PROP_VALUES;
}

static int text_of_prop(uint16_t id)
{
    switch (id) {
    case PROP_SHORT_NAME:
        return TNEF_SHORT_NAME;
    case PROP_LONG_NAME:
        return TNEF_LONG_NAME;
    case PROP_MIME_TAG:
        return TNEF_TYPE;
    case PROP_CONTENT_ID:
        return TNEF_ID;
    default:
        return -1;
    }
}

static void value_begin(struct mime_tnef *t, uint32_t len)
{
    t->value_left = len;
    t->padding = -len & 3;
    t->prop = PROP_VALUE;
    if (t->prop_type == TYPE_UNICODE || t->prop_type == TYPE_STRING)
        collect_begin(t, text_of_prop(t->prop_id), t->prop_type == TYPE_UNICODE);
    if (t->prop_id != PROP_DATA_OBJECT || (t->prop_type != TYPE_OBJECT && t->prop_type != TYPE_BINARY))
        return;
    t->again = t->has_data && t->is_open;
    if (t->prop_type == TYPE_OBJECT && len >= 16)
        t->prop = PROP_OBJECT;
}

/* A piece of the value. True: *ret is one of the file. */
static bool value_piece(struct mime_tnef *t, struct slice *in, struct slice *ret)
{
    struct slice piece = slice_to(*in, t->value_left);
    *in = slice_from(*in, piece.len);
    t->value_left -= (uint32_t) piece.len;
    collect(t, piece);
    if (t->value_left == 0)
        skip(t, t->padding, THEN_VALUE);
    *ret = piece;
    return piece.len && t->prop_id == PROP_DATA_OBJECT && (t->prop_type == TYPE_OBJECT || t->prop_type == TYPE_BINARY);
}

/* One step within the properties; `in` holds bytes of this attribute only. True: *ret is a piece of the file. */
static bool props_step(struct mime_tnef *t, struct slice *in, struct slice *ret)
{
    static const size_t sizes[] = {
        [PROP_COUNT] = 4, [PROP_HEAD] = 4, [PROP_NAMED] = 24, [PROP_VALUES] = 4, [PROP_LEN] = 4, [PROP_OBJECT] = 16,
    };
    if (t->prop == PROP_VALUE)
        return value_piece(t, in, ret);
    if (t->prop == PROP_SKIP) {
        size_t k = (size_t) MIN((uint64_t) in->len, t->skip_left);
        *in = slice_from(*in, k);
        skip(t, t->skip_left - k, (int) t->then);
        return false;
    }
    const unsigned char *p = take(t, in, sizes[t->prop]);
    if (!p)
        return false;
    switch (t->prop) {
    case PROP_COUNT:
        t->props_left = number(p, 4);
        prop_next(t);
        break;
    case PROP_HEAD:
        t->prop_type = (uint16_t) number(p, 2);
        t->prop_id = (uint16_t) number(p + 2, 2);
        if (t->prop_id >= 0x8000)
            t->prop = PROP_NAMED;
        else
            values_begin(t);
        break;
    case PROP_NAMED: { /* GUID, kind, and a number or the length of a name */
        uint32_t kind = number(p + 16, 4), len = number(p + 20, 4);
        skip(t, kind ? (uint64_t) len + (-len & 3) : 0, THEN_VALUES);
        break;
    }
    case PROP_VALUES: {
        int size = fixed_size(t->prop_type & (uint16_t) ~TYPE_MULTIPLE);
        t->values_left = number(p, 4);
        if (size)
            skip(t, (uint64_t) size * t->values_left, THEN_PROP);
        else
            value_next(t);
        break;
    }
    case PROP_LEN:
        value_begin(t, number(p, 4));
        break;
    case PROP_OBJECT: /* which interface it is stored by */
        t->value_left -= 16;
        t->is_message = memcmp(p, message_interface, sizeof(message_interface)) == 0;
        t->prop = PROP_VALUE;
        break;
    case PROP_VALUE:
    case PROP_SKIP:
        break;
    }
    return false;
}

/* --- attributes --- */

static void attribute_begin(struct mime_tnef *t, const unsigned char *p)
{
    t->of_file = p[0] == LEVEL_ATTACHMENT;
    t->attribute = number(p + 1, 4);
    t->left = number(p + 5, 4);
    t->sum = 0;
    t->text = -1;
    t->state = TNEF_SKIP;
    if (!t->of_file) {
        if (t->attribute == ATT_OEM_CODEPAGE && t->left >= 4)
            t->state = TNEF_CODEPAGE;
    } else if (t->attribute == ATT_TITLE || t->attribute == ATT_TRANSPORT_NAME) {
        collect_begin(t, t->attribute == ATT_TITLE ? TNEF_TITLE : TNEF_TRANSPORT_NAME, false);
        t->state = TNEF_COLLECT;
    } else if (t->attribute == ATT_DATA) {
        t->state = TNEF_FILE;
    } else if (t->attribute == ATT_PROPS) {
        t->prop = PROP_COUNT;
        t->state = TNEF_PROPS;
    }
}

/* A piece of the attribute. True: *ret is one of the file. */
static bool attribute_piece(struct mime_tnef *t, struct slice *in, struct slice *ret)
{
    struct slice piece = slice_to(*in, t->left), rest = piece;
    const unsigned char *p;
    bool file = false;
    switch (t->state) {
    case TNEF_CODEPAGE:
        p = take(t, &rest, 4);
        if (p) {
            t->codepage = number(p, 4);
            t->state = TNEF_SKIP;
        }
        break;
    case TNEF_COLLECT:
        collect(t, piece);
        rest = SLICE_EMPTY;
        break;
    case TNEF_FILE:
        *ret = piece;
        file = piece.len != 0;
        t->has_data |= file;
        rest = SLICE_EMPTY;
        break;
    case TNEF_PROPS:
        file = props_step(t, &rest, ret);
        break;
    case TNEF_SIGNATURE:
    case TNEF_ATTRIBUTE:
    case TNEF_CHECKSUM:
    case TNEF_OVER:
    case TNEF_SKIP:
        rest = SLICE_EMPTY;
        break;
    }
    size_t used = piece.len - rest.len;
    for (size_t i = 0; i < used; i++)
        t->sum = (uint16_t) (t->sum + (unsigned char) piece.data[i]);
    *in = slice_from(*in, used);
    t->left -= (uint32_t) used;
    return file;
}

static void attribute_end(struct mime_tnef *t)
{
    t->broken |= t->state == TNEF_PROPS; /* its last property is not whole */
    t->n_held = 0;
    t->text = -1;
    t->state = TNEF_CHECKSUM;
}

/* Whether what stands in this attribute belongs to a file that nothing was told of yet. */
static bool begins_file(const struct mime_tnef *t)
{
    return t->of_file && !t->is_open && t->n_files < t->max_files;
}

/* What comes next in front of a new attachment, or of one that is told of for the first time. */
static enum mime_tnef_event file_event(struct mime_tnef *t)
{
    if (t->of_file && t->attribute == ATT_REND_DATA && t->is_open && !t->is_new) {
        t->is_open = false;
        return MIME_TNEF_END;
    }
    if (begins_file(t)) {
        for (int i = 0; i < MIME_TNEF_TEXTS; i++)
            t->texts[i].n = 0;
        t->is_message = t->has_data = false;
        t->is_open = t->is_new = true;
        t->n_files++;
        return MIME_TNEF_BEGIN;
    }
    t->too_many |= t->of_file && !t->is_open;
    t->is_new = false;
    return MIME_TNEF_MORE;
}

/* An attachment that has contents of its own, and an object besides: the object is a file of the same name. */
static enum mime_tnef_event again_event(struct mime_tnef *t)
{
    if (t->is_open) {
        t->is_open = false;
        return MIME_TNEF_END;
    }
    t->again = t->has_data = t->is_message = false;
    if (t->n_files >= t->max_files) {
        t->too_many = true;
        return MIME_TNEF_MORE;
    }
    t->is_open = true;
    t->n_files++;
    return MIME_TNEF_BEGIN;
}

static void signature(struct mime_tnef *t, const unsigned char *p)
{
    t->no_tnef = number(p, 4) != SIGNATURE;
    t->state = t->no_tnef ? TNEF_OVER : TNEF_ATTRIBUTE;
}

static enum mime_tnef_event behind_last(struct mime_tnef *t)
{
    if (t->state == TNEF_SIGNATURE)
        t->no_tnef = true;
    else if (t->state != TNEF_OVER && (t->state != TNEF_ATTRIBUTE || t->n_held))
        t->cut = true;
    if (!t->is_open)
        return MIME_TNEF_MORE;
    t->is_open = false;
    return MIME_TNEF_END;
}

enum mime_tnef_event mime_tnef_next(struct mime_tnef *t, struct slice *in, bool last, struct slice *ret)
{
    enum mime_tnef_event event;
    const unsigned char *p;
    for (;;) {
        switch (t->state) {
        case TNEF_SIGNATURE: /* and a number that says nothing */
            p = take(t, in, 6);
            if (p)
                signature(t, p);
            break;
        case TNEF_ATTRIBUTE:
            p = take(t, in, 9);
            if (p) {
                attribute_begin(t, p);
                t->begun = true;
            }
            break;
        case TNEF_CHECKSUM:
            p = take(t, in, 2);
            if (p) {
                t->broken |= number(p, 2) != t->sum;
                t->state = TNEF_ATTRIBUTE;
            }
            break;
        case TNEF_OVER:
            *in = SLICE_EMPTY;
            p = NULL;
            break;
        case TNEF_SKIP:
        case TNEF_CODEPAGE:
        case TNEF_COLLECT:
        case TNEF_FILE:
        case TNEF_PROPS:
            event = t->begun ? file_event(t) : t->again ? again_event(t) : MIME_TNEF_MORE;
            if (event != MIME_TNEF_MORE)
                return event;
            t->begun = false;
            if (t->left == 0)
                attribute_end(t);
            else if (in->len && attribute_piece(t, in, ret) && t->is_open)
                return MIME_TNEF_DATA;
            break;
        }
        if (in->len == 0 && !(t->left == 0 && in_attribute(t)))
            return last ? behind_last(t) : MIME_TNEF_MORE;
    }
}

/* --- what the file is called --- */

static int text_decode(const struct mime_tnef *t, const struct mime_tnef_string *s, struct mime_decoder *d, struct slice *ret)
{
    char charset[32] = "utf-16le";
    size_t n = s->n;
    if (s->utf16)
        n &= ~(size_t) 1;
    else
        snprintf(charset, sizeof(charset), "cp%u", t->codepage ? t->codepage : 1252);
    /* Strings end with a NUL, and titles are filled up with them. */
    for (size_t i = 0; i + s->utf16 < n; i += s->utf16 ? 2 : 1)
        if (s->bytes[i] == '\0' && (!s->utf16 || s->bytes[i + 1] == '\0'))
            n = i;
    struct slice text;
    int r = mime_to_utf8(d, slice_of_str(charset), slice_of(s->bytes, n), &text);
    if (r == 0 && text.len)
        r = mime_decode_text(d, text, ret);
    return r;
}

/* The name without folders that somebody's disk has. */
static struct slice base_name(struct slice name)
{
    for (size_t i = name.len; i-- > 0;)
        if (name.data[i] == '/' || name.data[i] == '\\')
            return slice_from(name, i + 1);
    return name;
}

int mime_tnef_file(const struct mime_tnef *t, struct mime_decoder *d, struct slice *ret_name, struct slice *ret_type,
                   struct slice *ret_id)
{
    static const enum mime_tnef_text names[] = {TNEF_LONG_NAME, TNEF_TRANSPORT_NAME, TNEF_TITLE, TNEF_SHORT_NAME};
    struct slice name = SLICE_EMPTY, type = SLICE_EMPTY, id = SLICE_EMPTY;
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(names) && r == 0 && name.len == 0; i++) {
        r = text_decode(t, &t->texts[names[i]], d, &name);
        name = base_name(name);
    }
    if (r == 0)
        r = text_decode(t, &t->texts[TNEF_TYPE], d, &type);
    if (r == 0)
        r = text_decode(t, &t->texts[TNEF_ID], d, &id);
    if (r < 0)
        return r;
    struct mime_content_type given = {0};
    if (t->is_message)
        type = SLICE("application/ms-tnef");
    else if (type.len && (mime_parse_content_type(d, type, &given) < 0 || given.subtype.len == 0))
        type = SLICE_EMPTY;
    *ret_name = name.len ? name : SLICE_EMPTY;
    *ret_type = type.len ? type : mime_type_of_name(name);
    *ret_id = id.len ? id : SLICE_EMPTY;
    return 0;
}
