/* SPDX-License-Identifier: MIT */
#include "mime_raw.h"

#include "mime_envelope.h"
#include "mime_internal.h"
#include "mime_lines.h"

#include <errno.h>
#include <stdlib.h>

#define NAME_MAX_LEN 1000 /* of what may be a field's name: a line is no longer */
#define HEADER_STEP 4096  /* header bytes looked at between two answers */
#define RAW_PIECE 65536   /* bytes that mime_raw_next() gives at most */

enum raw_state {
    RAW_LINE, /* at the start of a header line */
    RAW_NAME, /* in what may be a field's name */
    RAW_KEEP, /* in a field that stays */
    RAW_DROP, /* in a field that goes */
    RAW_BODY,
    RAW_END,
};

struct mime_raw_reader {
    struct mime_source src;
    struct mime_window w;
    struct slice prefix;
    uint64_t pos;
    enum raw_state state;
    bool first;    /* no line has been finished: there may be no header at all */
    bool dropping; /* the last field went: so do its folded lines */
    bool after_cr; /* CRLF has been written for a CR: an LF behind it is part of it */
    bool has_header;
    uint64_t clean_from; /* in the source: from here on its lines are as they have to be. UINT64_MAX: not known */
    bool keep_bcc;
    bool header_only;    /* stop where the body begins */
    char *piece;         /* of mime_raw_next() */
    uint64_t written; /* bytes given to the caller, and those in `pending` */
    uint64_t body_at; /* … when the body began */
    struct buffer pending;
    size_t name_len;
    char name[NAME_MAX_LEN];
};

struct mime_raw_reader *mime_raw_reader_new(const struct mime_source *src, struct slice prefix)
{
    struct mime_raw_reader *r = calloc(1, sizeof(*r) + prefix.len);
    if (!r)
        return NULL;
    r->src = *src;
    r->prefix = slice_of(r + 1, prefix.len);
    if (prefix.len)
        memcpy(r + 1, prefix.data, prefix.len);
    mime_window_init(&r->w, src);
    buffer_init(&r->pending, 4 * (size_t) HEADER_STEP + NAME_MAX_LEN + prefix.len);
    r->first = true;
    r->clean_from = UINT64_MAX;
    return r;
}

void mime_raw_reader_knows(struct mime_raw_reader *r, const struct mime_raw_info *info)
{
    r->clean_from = info->clean_from;
    r->keep_bcc = info->keeps_bcc;
}

void mime_raw_reader_free(struct mime_raw_reader *r)
{
    if (!r)
        return;
    mime_window_done(&r->w);
    buffer_done(&r->pending);
    free(r->piece);
    free(r);
}

void mime_raw_rewind(struct mime_raw_reader *r)
{
    buffer_clear(&r->pending);
    r->pos = r->written = r->body_at = 0;
    r->state = RAW_LINE;
    r->first = true;
    r->dropping = r->after_cr = r->has_header = false;
    r->name_len = 0;
}

static int raw_put(struct mime_raw_reader *r, struct slice s)
{
    int e = buffer_append_slice(&r->pending, s);
    if (e < 0)
        return -ENOMEM;
    r->written += s.len;
    return 0;
}

static int raw_put_line_end(struct mime_raw_reader *r)
{
    return raw_put(r, SLICE("\r\n"));
}

static void raw_begin_body(struct mime_raw_reader *r)
{
    r->state = RAW_BODY;
    r->body_at = r->written;
}

/* The first line has told that a header stands here. */
static int raw_first_done(struct mime_raw_reader *r, bool header)
{
    if (!r->first)
        return 0;
    r->first = false;
    r->has_header = header;
    int e = raw_put(r, r->prefix);
    if (e == 0 && !header && r->prefix.len)
        e = raw_put_line_end(r);
    return e;
}

static bool name_is_field(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char) name.data[i] <= ' ' || name.data[i] == 0x7f)
            return false;
    return name.len != 0;
}

/* The name is complete: `colon` says how. */
static int raw_name_done(struct mime_raw_reader *r, bool colon)
{
    struct slice text = slice_of(r->name, r->name_len), name = text;
    while (name.len && ascii_is_wsp(name.data[name.len - 1]))
        name.len--;
    bool field = colon && name_is_field(name);
    bool mbox = r->first && !colon && (slice_starts(text, SLICE("From ")) || slice_starts(text, SLICE(">From ")));
    int e = 0;

    r->name_len = 0;
    r->dropping = field && !r->keep_bcc && (slice_eq_ci(name, SLICE("bcc")) || slice_eq_ci(name, SLICE("resent-bcc")));
    if (mbox) {
        /* The separator of an mbox file has to stay in front. */
        e = raw_put(r, text);
        r->state = RAW_KEEP;
        return e;
    }
    if (r->first && !field) {
        e = raw_first_done(r, false);
        raw_begin_body(r);
    } else if (r->first) {
        e = raw_first_done(r, true);
    }
    if (r->state != RAW_BODY)
        r->state = r->dropping ? RAW_DROP : RAW_KEEP;
    if (e == 0 && !r->dropping)
        e = raw_put(r, text);
    if (e == 0 && !r->dropping && colon)
        e = raw_put(r, SLICE(":"));
    return e;
}

static int raw_header_line_end(struct mime_raw_reader *r)
{
    int e = 0;
    if (r->state == RAW_NAME) {
        bool was_first = r->first;
        e = raw_name_done(r, false);
        if (e == 0 && was_first && r->first) {
            /* mbox separator: its line ends before the prefix. */
            e = raw_put_line_end(r);
            r->state = RAW_LINE;
            return e < 0 ? e : raw_first_done(r, true);
        }
    } else if (r->state == RAW_LINE) {
        e = raw_first_done(r, true);
        if (e == 0)
            e = raw_put_line_end(r);
        raw_begin_body(r);
        return e;
    }
    if (e == 0 && r->state != RAW_DROP)
        e = raw_put_line_end(r);
    if (r->state != RAW_BODY)
        r->state = RAW_LINE;
    return e;
}

static int raw_header_char(struct mime_raw_reader *r, char c)
{
    if (r->state == RAW_LINE) {
        bool fold = ascii_is_wsp(c);
        r->state = !fold || r->first ? RAW_NAME : r->dropping ? RAW_DROP : RAW_KEEP;
    }
    if (r->state == RAW_NAME) {
        if (c == ':')
            return raw_name_done(r, true);
        r->name[r->name_len++] = c;
        return r->name_len == NAME_MAX_LEN ? raw_name_done(r, false) : 0;
    }
    return r->state == RAW_KEEP ? raw_put(r, slice_of(&c, 1)) : 0;
}

/* Some of the header, into `pending`; returns the input used. */
static int raw_header(struct mime_raw_reader *r, struct slice in, size_t *ret_used)
{
    size_t i = 0;
    int e = 0;
    while (i < in.len && i < HEADER_STEP && r->state < RAW_BODY && e == 0) {
        char c = in.data[i++];
        bool swallow = r->after_cr && c == '\n';
        r->after_cr = c == '\r';
        if (swallow)
            continue;
        if (c == '\r' || c == '\n') {
            e = raw_header_line_end(r);
        } else if (r->state == RAW_KEEP || r->state == RAW_DROP) {
            /* The rest of the line at once. */
            size_t start = i - 1;
            while (i < in.len && i < HEADER_STEP && in.data[i] != '\r' && in.data[i] != '\n')
                i++;
            if (r->state == RAW_KEEP)
                e = raw_put(r, slice_of(in.data + start, i - start));
        } else {
            e = raw_header_char(r, c);
        }
    }
    *ret_used = i;
    return e;
}

static int raw_header_end_of_input(struct mime_raw_reader *r)
{
    int e = 0;
    if (r->state == RAW_NAME)
        e = raw_name_done(r, false);
    if (e == 0)
        e = raw_first_done(r, false);
    if (r->state != RAW_BODY)
        raw_begin_body(r);
    r->state = RAW_END;
    return e;
}

/* Body bytes with their line ends set right; returns the input used. `room` is at least 2. */
static size_t raw_body(struct mime_raw_reader *r, struct slice in, char *out, size_t room, size_t *ret_len)
{
    size_t i = 0, o = 0;
    const char *lf = NULL;
    bool lf_known = false;

    if (r->after_cr && in.len && in.data[0] == '\n')
        i++;
    if (in.len)
        r->after_cr = false;
    while (i < in.len && room - o >= 2) {
        if (!lf_known || (lf && lf < in.data + i)) {
            lf = memchr(in.data + i, '\n', in.len - i);
            lf_known = true;
        }
        size_t line = lf ? (size_t) (lf - in.data) - i : in.len - i;
        const char *cr = memchr(in.data + i, '\r', line);
        size_t run = cr ? (size_t) (cr - in.data) - i : line;
        if (run > room - o - 2) {
            run = room - o - 2;
            memcpy(out + o, in.data + i, run);
            o += run;
            i += run;
            break;
        }
        memcpy(out + o, in.data + i, run);
        o += run;
        i += run;
        if (i == in.len)
            break;
        out[o++] = '\r';
        out[o++] = '\n';
        i++;
        if (cr && i < in.len && in.data[i] == '\n')
            i++;
        else if (cr && i == in.len)
            r->after_cr = true;
    }
    *ret_len = o;
    return i;
}

/* Body bytes that may go as they are. */
static size_t raw_clean(struct slice in, char *out, size_t room, size_t *ret_len)
{
    size_t n = MIN(in.len, room);

    memcpy(out, in.data, n);
    *ret_len = n;
    return n;
}

static bool is_clean(const struct mime_raw_reader *r)
{
    return r->state == RAW_BODY && r->pos >= r->clean_from;
}

int mime_raw_next(struct mime_raw_reader *r, struct slice *ret)
{
    size_t n = 0;

    if (is_clean(r) && buffer_len(&r->pending) == 0) {
        int e = mime_window_get(&r->w, r->pos, 1, ret);
        if (e < 0)
            return e;
        *ret = slice_to(*ret, RAW_PIECE);
        r->pos += ret->len;
        r->written += ret->len;
        return 0;
    }
    if (!r->piece && !(r->piece = malloc(RAW_PIECE)))
        return -ENOMEM;
    int e = mime_raw_read(r, r->piece, RAW_PIECE, &n);
    *ret = slice_of(r->piece, n);
    return e;
}

int mime_raw_read(struct mime_raw_reader *r, char *buf, size_t len, size_t *ret_len)
{
    size_t n = 0;
    while (n < len) {
        struct slice waiting = buffer_slice(&r->pending), in;
        if (waiting.len) {
            size_t take = MIN(waiting.len, len - n);
            memcpy(buf + n, waiting.data, take);
            buffer_consume(&r->pending, take);
            n += take;
            continue;
        }
        if (r->state == RAW_END || (r->state == RAW_BODY && r->header_only))
            break;
        int e = mime_window_get(&r->w, r->pos, 1, &in);
        if (e < 0)
            return e;
        size_t used = 0, made = 0;
        if (in.len == 0) {
            e = raw_header_end_of_input(r);
        } else if (r->state != RAW_BODY) {
            e = raw_header(r, in, &used);
        } else if (is_clean(r)) {
            used = raw_clean(in, buf + n, len - n, &made);
            n += made;
            r->written += made;
        } else if (len - n < 4) {
            /* Too little room for a line end: the last bytes go through the buffer. */
            char few[4];
            used = raw_body(r, in, few, sizeof(few), &made);
            e = raw_put(r, slice_of(few, made));
        } else {
            used = raw_body(r, in, buf + n, len - n, &made);
            n += made;
            r->written += made;
        }
        if (e < 0)
            return e;
        r->pos += used;
    }
    *ret_len = n;
    return 0;
}

/* What has been made of the header, and what of a body without one came along with it. */
static int scan_header(struct mime_raw_reader *r, struct mime_raw_info *info, struct mime_lines *header, struct mime_lines *body)
{
    char chunk[4096];
    size_t n = 1;

    r->header_only = true;
    while (n) {
        uint64_t start = info->size;
        int e = mime_raw_read(r, chunk, sizeof(chunk), &n);
        if (e < 0)
            return e;
        size_t of_header = r->state < RAW_BODY ? n : r->body_at > start ? (size_t) MIN(r->body_at - start, (uint64_t) n) : 0;
        mime_lines_look(header, slice_of(chunk, of_header));
        mime_lines_look(body, slice_of(chunk + of_header, n - of_header));
        info->size += n;
    }
    r->header_only = false;
    return 0;
}

static int scan_body(struct mime_raw_reader *r, struct mime_raw_info *info, struct mime_lines *body)
{
    struct slice in;
    int e = mime_window_get(&r->w, r->pos, 1, &in);

    /* The line feed of a CR that has become a line end already. */
    if (e == 0 && r->after_cr && in.len && in.data[0] == '\n')
        r->pos++;
    info->clean_from = r->pos;
    while (e == 0) {
        e = mime_window_get(&r->w, r->pos, 1, &in);
        if (e < 0 || in.len == 0)
            break;
        in = slice_to(in, MIME_WINDOW);
        mime_lines_look(body, in);
        r->pos += in.len;
    }
    mime_lines_end(body);
    info->size += r->pos - info->clean_from + body->bare;
    if (body->bare)
        info->clean_from = UINT64_MAX;
    return e;
}

static int scan_lines(const struct mime_source *src, struct mime_raw_info *info)
{
    struct mime_raw_reader *r = mime_raw_reader_new(src, SLICE_EMPTY);
    struct mime_lines header = {0}, body = {0};
    if (r)
        r->keep_bcc = info->keeps_bcc;
    int e = r ? scan_header(r, info, &header, &body) : -ENOMEM;

    info->clean_from = UINT64_MAX;
    if (e == 0 && r->state == RAW_BODY)
        e = scan_body(r, info, &body);
    info->header_8bit = header.has_8bit;
    info->body_8bit = body.has_8bit;
    info->has_nul = header.has_nul || body.has_nul;
    info->longest_line = (size_t) MAX(MAX(header.longest, header.open), MAX(body.longest, body.open));
    info->open_end = body.open > 0 || header.open > 0;
    if (r)
        info->has_header = r->has_header;
    mime_raw_reader_free(r);
    return e;
}

/* The fields of one set: the ordinary ones, or those of a resent block. */
struct raw_fields {
    struct mime_address *from, *sender, *to, *cc, *bcc;
    unsigned seen;
    bool closed; /* a resent field came twice: an older block begins */
};

static int take_addresses(struct mime_decoder *d, struct slice value, struct mime_address **list)
{
    struct mime_address *more;
    int e = mime_parse_addresses(d, value, &more);
    if (e < 0)
        return e;
    while (*list)
        list = &(*list)->next;
    *list = more;
    return 0;
}

static int raw_field(struct mime_decoder *d, struct mime_raw_info *info, struct raw_fields *plain,
                     struct raw_fields *resent, struct mime_recipients *authors, const struct mime_field *f)
{
    static const char *const names[] = {"from", "sender", "to", "cc", "bcc", "date", "message-id"};
    bool again = slice_starts_ci(f->name, SLICE("resent-"));
    struct raw_fields *set = again ? resent : plain;
    struct slice name = again ? slice_from(f->name, 7) : f->name, *ids;
    unsigned which = 0;
    size_t n;

    while (which < ARRAY_LEN(names) && !slice_eq_ci(name, slice_of_str(names[which])))
        which++;
    if (which == ARRAY_LEN(names))
        return 0;
    if (which < 2) {
        struct mime_address *list = NULL;
        int e = take_addresses(d, f->value, &list);
        if (e == 0)
            e = mime_recipients_add(authors, list);
        if (e < 0)
            return e;
    }
    if (set->closed)
        return 0;
    if (again && (set->seen & 1u << which)) {
        set->closed = true;
        return 0;
    }
    set->seen |= 1u << which;
    struct mime_address **lists[] = {&set->from, &set->sender, &set->to, &set->cc, &set->bcc};
    if (which < ARRAY_LEN(lists))
        return take_addresses(d, f->value, lists[which]);
    if (again)
        return 0;
    if (which == 5) {
        info->has_date = true;
        return 0;
    }
    int e = mime_parse_message_ids(d, f->value, &ids, &n);
    if (e == 0 && !info->has_message_id && n)
        info->message_id = ids[0];
    info->has_message_id = true;
    return e;
}

/* The header with its line ends set right: what a server will see. In the arena. */
static int normal_header(struct mime_decoder *d, const struct mime_source *src, struct slice *ret)
{
    struct mime_window w;
    struct slice in;
    mime_window_init(&w, src);
    int e = mime_window_get(&w, 0, MIME_HEADER_BYTES_MAX, &in);
    if (e == 0) {
        in = slice_to(in, MIME_HEADER_BYTES_MAX);
        size_t end = 0, o = 0, line = 0;
        /* Up to the empty line, whatever its form. */
        for (; end < in.len; end++) {
            char c = in.data[end];
            if (c != '\r' && c != '\n') {
                line++;
                continue;
            }
            if (c == '\r' && end + 1 < in.len && in.data[end + 1] == '\n')
                end++;
            if (line == 0)
                break;
            line = 0;
        }
        char *out = arena_alloc(d->arena, end + 1);
        if (!out)
            e = -ENOMEM;
        for (size_t i = 0; i < end && e == 0; i++) {
            if (in.data[i] == '\r' && i + 1 < in.len && in.data[i + 1] == '\n')
                continue;
            out[o++] = in.data[i] == '\r' ? '\n' : in.data[i];
        }
        if (e == 0)
            *ret = slice_of(out, o);
    }
    mime_window_done(&w);
    return e;
}

static int scan_fields(struct mime_decoder *d, const struct mime_source *src, struct mime_raw_info *info)
{
    struct raw_fields plain = {0}, resent = {0};
    struct slice header;
    struct mime_field f;
    struct mime_recipients authors = {.arena = d->arena};
    int e = normal_header(d, src, &header);
    while (e == 0 && mime_field_next(&header, &f))
        if (f.name.len)
            e = raw_field(d, info, &plain, &resent, &authors, &f);
    if (e == 0)
        e = mime_recipients_settle(&authors);
    if (e < 0)
        return e;
    info->authors = authors.list;
    info->n_authors = authors.n;
    bool forwarded = resent.from || resent.sender || resent.to || resent.cc || resent.bcc;
    const struct raw_fields *set = forwarded ? &resent : &plain;
    struct mime_recipients to = {.arena = d->arena};
    info->header_from = mime_first_address(plain.from);
    info->header_sender = mime_first_address(plain.sender);
    info->from = mime_first_address(set->sender);
    if (!info->from.data)
        info->from = mime_first_address(set->from);
    if (!info->from.data)
        info->from = info->header_sender.data ? info->header_sender : info->header_from;
    e = mime_recipients_add(&to, set->to);
    if (e == 0)
        e = mime_recipients_add(&to, set->cc);
    if (e == 0)
        e = mime_recipients_add(&to, set->bcc);
    if (e == 0)
        e = mime_recipients_settle(&to);
    info->recipients = to.list;
    info->n_recipients = to.n;
    return e;
}

static int scan(struct mime_decoder *d, const struct mime_source *src, bool keep_bcc, struct mime_raw_info *ret)
{
    struct mime_raw_info info = {.keeps_bcc = keep_bcc};
    int e = scan_lines(src, &info);
    if (e == 0 && info.has_header)
        e = scan_fields(d, src, &info);
    if (e == 0)
        *ret = info;
    return e;
}

int mime_raw_scan(struct mime_decoder *d, const struct mime_source *src, struct mime_raw_info *ret)
{
    return scan(d, src, false, ret);
}

int mime_raw_scan_stored(struct mime_decoder *d, const struct mime_source *src, struct mime_raw_info *ret)
{
    return scan(d, src, true, ret);
}
