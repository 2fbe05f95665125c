/* SPDX-License-Identifier: MIT */
#include "mime_message.h"

#include "mime_flowed.h"
#include "mime_internal.h"
#include "mime_uu.h"
#include "utf8.h"

#include <errno.h>
#include <stdlib.h>

#define CHUNK 65536 /* encoded bytes taken at once: decoded and converted, they stay in the processor's cache */

struct mime_part_reader {
    struct mime_decoder *d;
    struct mime_source src;
    const struct mime_part *part; /* NULL: a bare content */
    enum mime_read_mode mode;
    struct mime_window w;
    uint64_t pos, count;
    struct mime_transfer transfer;
    struct slice charset_name;
    struct mime_charset charset;
    struct mime_conversion conversion;
    size_t chunk;         /* at most CHUNK */
    char *decoded, *text; /* of that many input bytes */
    enum { READER_START, READER_BODY, READER_GUESSED, READER_END } state;
    bool cr_waits; /* text: the last piece ended with CR */
    struct mime_flowed flowed;
    char *unfolded; /* NULL: the text is not unfolded */
    struct mime_uu *blocks; /* to be left out of the text; NULL: none are */
    struct slice within;    /* decoded bytes that were not looked at for blocks yet */
    bool within_end;        /* nothing follows behind them */
};

static struct mime_part_reader *reader_new(struct mime_decoder *d, const struct mime_source *src,
                                           enum mime_encoding encoding, struct slice charset, enum mime_read_mode mode)
{
    struct mime_part_reader *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->d = d;
    r->src = *src;
    r->mode = mode;
    r->charset_name = charset;
    mime_transfer_init(&r->transfer, encoding);
    mime_window_init(&r->w, &r->src);
    r->chunk = (size_t) MIN(src->size, (uint64_t) CHUNK);
    size_t room = mime_transfer_max(&r->transfer, r->chunk) + mime_transfer_max(&r->transfer, 0);
    if (encoding != MIME_ENCODING_IDENTITY)
        r->decoded = malloc(room);
    if (mode != MIME_READ_BYTES)
        r->text = malloc(mime_convert_max(room) + mime_convert_max(0) + 1);
    if ((encoding != MIME_ENCODING_IDENTITY && !r->decoded) || (mode != MIME_READ_BYTES && !r->text)) {
        mime_part_reader_free(r);
        return NULL;
    }
    return r;
}

struct mime_part_reader *mime_content_reader_new(struct mime_decoder *d, const struct mime_source *src,
                                                 enum mime_encoding encoding, struct slice charset,
                                                 enum mime_read_mode mode)
{
    return reader_new(d, src, encoding, charset, mode);
}

struct mime_part_reader *mime_part_reader_new(struct mime_message *m, const struct mime_part *part,
                                              enum mime_read_mode mode)
{
    struct mime_source src = mime_source_part(&m->source, part->body_offset, part->body_size);
    struct mime_part_reader *r = reader_new(&m->decoder, &src, part->encoding, part->charset, mode);
    if (!r)
        return NULL;
    r->part = part;
    if (mode == MIME_READ_UNFOLDED && mime_flowed_init(&r->flowed, part)) {
        size_t decoded = mime_transfer_max(&r->transfer, r->chunk) + mime_transfer_max(&r->transfer, 0);
        r->unfolded = malloc(mime_flowed_max(mime_convert_max(decoded) + mime_convert_max(0) + 1));
        if (!r->unfolded) {
            mime_part_reader_free(r);
            return NULL;
        }
    }
    return r;
}

void mime_part_reader_free(struct mime_part_reader *r)
{
    if (!r)
        return;
    mime_window_done(&r->w);
    free(r->decoded);
    free(r->text);
    free(r->unfolded);
    free(r->blocks);
    free(r);
}

void mime_part_defect(struct mime_decoder *d, const struct mime_part *part, const char *what)
{
    char where[128];
    const char *saved = d->where;
    if (part && part->parent && part->number.len < 100) {
        memcpy(where, "part ", 5);
        memcpy(where + 5, part->number.data, part->number.len);
        where[5 + part->number.len] = '\0';
        d->where = where;
    }
    mime_defect(d, what);
    d->where = saved;
}

static void reader_defect(struct mime_part_reader *r, const char *what)
{
    mime_part_defect(r->d, r->part, what);
}

int mime_part_reader_leave_blocks_out(struct mime_part_reader *r, size_t max_blocks)
{
    r->blocks = malloc(sizeof(*r->blocks));
    if (!r->blocks)
        return -ENOMEM;
    mime_uu_init(r->blocks, max_blocks);
    return 0;
}

size_t mime_part_reader_blocks(const struct mime_part_reader *r)
{
    return r->blocks ? r->blocks->n_blocks : 0;
}

/* The next decoded bytes; empty and *ret_end at the end. */
static int next_bytes(struct mime_part_reader *r, struct slice *ret, bool *ret_end)
{
    struct slice in;
    *ret_end = false;
    int e = mime_window_get(&r->w, r->pos, 1, &in);
    if (e < 0)
        return e;
    in = slice_to(in, r->chunk);
    r->pos += in.len;
    *ret_end = in.len == 0;
    if (r->transfer.encoding == MIME_ENCODING_IDENTITY) {
        r->count += in.len;
        *ret = in;
        return 0;
    }
    size_t n =
        in.len ? mime_transfer_decode(&r->transfer, in, r->decoded) : mime_transfer_finish(&r->transfer, r->decoded);
    r->count += n;
    *ret = slice_of(r->decoded, n);
    return 0;
}

/* The next decoded bytes of the text itself. A run of them is never longer than what next_bytes() gives at once: what
 * is held back of a line came from a content that is at least as long. */
static int next_outside(struct mime_part_reader *r, struct slice *ret, bool *ret_end)
{
    enum mime_uu_event event;
    if (!r->blocks)
        return next_bytes(r, ret, ret_end);
    do {
        event = mime_uu_next(r->blocks, &r->within, r->within_end, ret);
        if (event == MIME_UU_MORE && r->within_end) {
            *ret = SLICE_EMPTY;
            break;
        }
        int e = event == MIME_UU_MORE ? next_bytes(r, &r->within, &r->within_end) : 0;
        if (e < 0)
            return e;
    } while (event != MIME_UU_TEXT);
    *ret_end = event == MIME_UU_MORE;
    return 0;
}

uint64_t mime_part_reader_count(const struct mime_part_reader *r)
{
    return r->count;
}

static bool is_ascii(struct slice s)
{
    size_t i = 0;
    uint64_t w;
    for (; s.len - i >= sizeof(w); i += sizeof(w)) {
        memcpy(&w, s.data + i, sizeof(w));
        if (w & 0x8080808080808080U)
            return false;
    }
    for (; i < s.len; i++)
        if ((unsigned char) s.data[i] >= 0x80)
            return false;
    return true;
}

#define META_WITHIN 1024 /* where HTML's own standard looks for it */

/* What an HTML text says of itself: <meta charset=…>, or the same in a content type. */
static bool meta_charset(struct slice head, struct mime_charset *ret)
{
    const struct slice key = SLICE("charset=");
    head = slice_to(head, META_WITHIN);
    for (size_t i = 0; i + key.len < head.len; i++) {
        if (!slice_starts_ci(slice_from(head, i), key))
            continue;
        size_t start = i + key.len, end;
        while (start < head.len && (head.data[start] == '"' || head.data[start] == '\'' || head.data[start] == ' '))
            start++;
        for (end = start; end < head.len && !memchr("\"' />;\r\n", head.data[end], 8); end++)
            ;
        mime_charset_find(slice_of(head.data + start, end - start), ret);
        /* A text in which this can be read is not in UTF-16, and UTF-7 would hide tags. */
        return ret->kind == MIME_CHARSET_TABLE ||
               (ret->kind == MIME_CHARSET_ICONV && !slice_starts(slice_of_str(ret->iconv_name), SLICE("UTF-")));
    }
    return false;
}

/* Looks at the whole content: what no charset is declared for is UTF-8, or what HTML says, or windows-1252. */
static int guess_charset(struct mime_part_reader *r)
{
    struct mime_part_reader *again = reader_new(r->d, &r->src, r->transfer.encoding, SLICE_EMPTY, MIME_READ_BYTES);
    struct utf8_state st = {0};
    struct mime_charset meta;
    struct slice s;
    bool end = false, has_meta = false, first = true;
    int e = again ? 0 : -ENOMEM;
    if (e == 0 && r->blocks)
        e = mime_part_reader_leave_blocks_out(again, r->blocks->max_blocks);
    while (e == 0 && !end && !st.bad) {
        e = next_outside(again, &s, &end);
        if (e == 0 && first && r->part && slice_eq(r->part->subtype, SLICE("html")))
            has_meta = meta_charset(s, &meta);
        first = false;
        if (e == 0)
            utf8_state_feed(&st, s.data, s.len);
    }
    mime_part_reader_free(again);
    if (e < 0)
        return e;
    if (has_meta && !utf8_state_ok(&st)) {
        r->charset = meta;
        reader_defect(r, "8-bit text without a charset, taken as its HTML says");
        return mime_conversion_init(&r->conversion, r->d, &r->charset);
    }
    mime_charset_guess(utf8_state_ok(&st), &r->charset);
    reader_defect(r, r->charset.kind == MIME_CHARSET_UTF8 ? "8-bit text without a charset, taken as UTF-8"
                                                          : "8-bit text without a charset, taken as windows-1252");
    return mime_conversion_init(&r->conversion, r->d, &r->charset);
}

static int start_text(struct mime_part_reader *r)
{
    mime_charset_find(r->charset_name, &r->charset);
    if (r->charset.kind == MIME_CHARSET_UNKNOWN)
        reader_defect(r, "unknown charset");
    bool guess = r->charset.kind == MIME_CHARSET_UNKNOWN || r->charset.kind == MIME_CHARSET_UNDECLARED;
    r->state = guess ? READER_BODY : READER_GUESSED;
    return mime_conversion_init(&r->conversion, r->d, &r->charset);
}

/* CRLF and CR as LF, in place; a CR at the end waits for what follows. */
static size_t line_ends(struct mime_part_reader *r, char *p, size_t len, bool end)
{
    size_t i = 0, o = 0;
    if (!memchr(p, '\r', len))
        return len;
    while (i < len) {
        const char *cr = memchr(p + i, '\r', len - i);
        size_t run = cr ? (size_t) (cr - p) - i : len - i;
        if (o != i)
            memmove(p + o, p + i, run);
        o += run;
        i += run;
        if (!cr)
            break;
        if (i + 1 == len && !end) {
            r->cr_waits = true;
            break;
        }
        p[o++] = '\n';
        i += i + 1 < len && p[i + 1] == '\n' ? 2 : 1;
    }
    return o;
}

static int next_text(struct mime_part_reader *r, struct slice *ret, bool *ret_end)
{
    struct slice s;
    int e = 0;
    bool first = r->state == READER_START;
    if (first)
        e = start_text(r);
    if (e == 0)
        e = next_outside(r, &s, ret_end);
    if (e == 0 && r->state == READER_BODY && !is_ascii(s)) {
        /* The conversion so far has seen ASCII only: it can begin anew. */
        e = guess_charset(r);
        r->state = READER_GUESSED;
    }
    if (e < 0)
        return e;
    size_t n = 0;
    if (r->cr_waits)
        r->text[n++] = '\r';
    r->cr_waits = false;
    n += mime_conversion_feed(&r->conversion, s, r->text + n);
    if (*ret_end)
        n += mime_conversion_finish(&r->conversion, r->text + n);
    n = line_ends(r, r->text, n, *ret_end);
    *ret = slice_of(r->text, n);
    if (first && slice_starts(*ret, SLICE("\xef\xbb\xbf")))
        *ret = slice_from(*ret, 3);
    if (r->unfolded)
        *ret = slice_of(r->unfolded, mime_flowed_feed(&r->flowed, *ret, *ret_end, r->unfolded));
    return 0;
}

static void report_damage(struct mime_part_reader *r)
{
    if (r->transfer.damaged) {
        switch (r->transfer.encoding) {
        case MIME_ENCODING_BASE64:
            reader_defect(r, "damaged base64");
            break;
        case MIME_ENCODING_QP:
            reader_defect(r, "damaged quoted-printable");
            break;
        case MIME_ENCODING_UUENCODE:
            reader_defect(r, "damaged uuencode");
            break;
        case MIME_ENCODING_IDENTITY:
            break;
        }
    }
    if (r->conversion.damaged)
        reader_defect(r, "bytes that are no characters of the charset");
    if (r->conversion.had_nul)
        reader_defect(r, "NUL in a text");
}

int mime_part_read(struct mime_part_reader *r, struct slice *ret)
{
    bool end = false;
    *ret = SLICE("");
    /* A piece may decode to nothing; only the end is empty. */
    while (r->state != READER_END && ret->len == 0) {
        int e = r->mode == MIME_READ_BYTES ? next_bytes(r, ret, &end) : next_text(r, ret, &end);
        if (e < 0)
            return e;
        if (end) {
            report_damage(r);
            r->state = READER_END;
        }
    }
    return 0;
}
