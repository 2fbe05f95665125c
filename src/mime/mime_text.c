/* SPDX-License-Identifier: MIT */
#include "mime_text.h"

#include "mime_internal.h"
#include "mime_transfer.h"
#include "utf8.h"

#include <errno.h>

#define DEFECTS_RESERVED 8 /* places kept for those without a `where` */

void mime_decoder_init(struct mime_decoder *d, struct arena *arena, struct mime_defects *defects)
{
    *d = (struct mime_decoder){.arena = arena, .defects = defects};
    buffer_init(&d->text, MIME_TEXT_MAX);
    buffer_init(&d->bytes, MIME_TEXT_MAX);
}

void mime_decoder_done(struct mime_decoder *d)
{
    if (!d)
        return;
    for (unsigned i = 0; i < MIME_CONVERTERS; i++) {
        if (d->converters[i].name[0])
            iconv_close(d->converters[i].cd);
        d->converters[i].name[0] = '\0';
    }
    buffer_done(&d->text);
    buffer_done(&d->bytes);
}

void mime_defect(struct mime_decoder *d, const char *what)
{
    struct mime_defects *list = d->defects;
    if (!list)
        return;
    size_t where_len = d->where ? strlen(d->where) : 0;
    for (size_t i = 0; i < list->n; i++) {
        const char *t = list->texts[i];
        if (where_len == 0 ? strcmp(t, what) == 0
                           : strncmp(t, d->where, where_len) == 0 && strncmp(t + where_len, ": ", 2) == 0 &&
                                 strcmp(t + where_len + 2, what) == 0)
            return;
    }
    /* Ten thousand bad parts do not hide what is wrong with the whole. */
    if (list->n + (d->where ? DEFECTS_RESERVED : 0) >= MIME_DEFECTS_MAX) {
        list->more++;
        return;
    }
    struct arena *a = list->arena ? list->arena : d->arena;
    const char *text = d->where ? arena_printf(a, "%s: %s", d->where, what) : arena_strdup(a, what);
    if (text)
        list->texts[list->n++] = text;
    else
        list->more++;
}

/* Controls but HT as spaces, in place. */
static void blank_controls(char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (((unsigned char) p[i] < 0x20 && p[i] != '\t') || p[i] == 0x7f)
            p[i] = ' ';
}

/* Whether bytes of no declared charset are UTF-8: all of them, or nearly all. Names are cut within a character by
 * programs that count bytes; other charsets hardly ever make several characters that are well-formed in UTF-8. */
static bool is_mostly_utf8(struct slice s)
{
    size_t good = 0, bad = 0;
    for (size_t i = 0; i < s.len;) {
        size_t n = utf8_char_len(s.data + i, s.len - i);
        good += n > 1;
        bad += n == 0;
        i += n ? n : 1;
    }
    return good >= 8 * bad;
}

int mime_text_append(struct mime_decoder *d, const struct mime_charset *charset, struct slice bytes, bool header)
{
    struct mime_charset guess;
    struct mime_conversion c;
    char *out;

    if (!charset || charset->kind == MIME_CHARSET_UNDECLARED || charset->kind == MIME_CHARSET_UNKNOWN) {
        if (charset && charset->kind == MIME_CHARSET_UNKNOWN)
            mime_defect(d, "unknown charset");
        mime_charset_guess(utf8_is_valid(bytes) || is_mostly_utf8(bytes), &guess);
        charset = &guess;
    }
    int r = mime_conversion_init(&c, d, charset);
    if (r < 0)
        return r;
    r = buffer_reserve(&d->text, mime_convert_max(bytes.len) + mime_convert_max(0), &out);
    if (r < 0)
        return -ENOMEM;
    size_t n = mime_conversion_feed(&c, bytes, out);
    n += mime_conversion_finish(&c, out + n);
    if (c.damaged)
        mime_defect(d, "bytes that are no characters of the charset");
    if (c.had_nul)
        mime_defect(d, "NUL in a text");
    if (header)
        blank_controls(out, n);
    buffer_commit(&d->text, n);
    return 0;
}

int mime_text_take(struct mime_decoder *d, struct slice *ret)
{
    int r = arena_dup_slice(d->arena, slice_trim(buffer_slice(&d->text)), ret);
    buffer_clear(&d->text);
    return r;
}

int mime_to_utf8(struct mime_decoder *d, struct slice charset, struct slice bytes, struct slice *ret)
{
    struct mime_charset cs;
    mime_charset_find(charset, &cs);
    buffer_clear(&d->text);
    int r = mime_text_append(d, &cs, bytes, false);
    if (r == 0)
        r = arena_dup_slice(d->arena, buffer_slice(&d->text), ret);
    buffer_clear(&d->text);
    return r;
}

/* encoded-word = "=?" charset ["*" language] "?" encoding "?" encoded-text "?=" */
struct encoded_word {
    struct slice charset, text;
    bool base64;
    size_t len;
};

#define WORD_CHARSET_MAX 64

static bool word_parse(struct slice s, struct encoded_word *ret)
{
    /* Where a word may begin is where the search for the end of another stops: the whole is linear. */
    if (s.len < 8 || s.data[0] != '=' || s.data[1] != '?' || !ascii_is_alpha(s.data[2]))
        return false;
    struct slice head = slice_to(slice_from(s, 2), WORD_CHARSET_MAX);
    size_t mark = slice_find(head, '?');
    if (mark == head.len || s.len < mark + 6 || s.data[mark + 4] != '?')
        return false;
    for (size_t i = 0; i < mark; i++)
        if ((unsigned char) head.data[i] <= ' ' || head.data[i] == '=' || head.data[i] == '<')
            return false;
    char encoding = ascii_lower(s.data[mark + 3]);
    if (encoding != 'b' && encoding != 'q')
        return false;
    size_t start = mark + 5;
    for (size_t i = start; i + 1 < s.len; i++) {
        if (s.data[i] == '?' && s.data[i + 1] == '=') {
            *ret = (struct encoded_word){.charset = slice_to(head, mark),
                                         .text = slice_of(s.data + start, i - start),
                                         .base64 = encoding == 'b',
                                         .len = i + 2};
            return true;
        }
        /* A next word begins before this one ends: this one never does. */
        if (s.data[i] == '=' && s.data[i + 1] == '?' && i + 2 < s.len && ascii_is_alpha(s.data[i + 2]))
            return false;
    }
    return false;
}

size_t mime_word_len(struct slice s)
{
    struct encoded_word w;
    return word_parse(s, &w) ? w.len : 0;
}

static size_t q_decode(struct slice s, char *out)
{
    size_t o = 0;
    for (size_t i = 0; i < s.len; i++) {
        int high, low;
        if (s.data[i] == '_') {
            out[o++] = ' ';
        } else if (s.data[i] == '=' && i + 2 < s.len && (high = mime_hex_digit(s.data[i + 1])) >= 0 &&
                   (low = mime_hex_digit(s.data[i + 2])) >= 0) {
            out[o++] = (char) (high << 4 | low);
            i += 2;
        } else if (s.data[i] != '\r' && s.data[i] != '\n') {
            out[o++] = s.data[i];
        }
    }
    return o;
}

/* The word's bytes, behind those that wait for their conversion. */
static int word_bytes(struct mime_decoder *d, const struct encoded_word *w, struct mime_transfer *t, bool goes_on)
{
    char *out;
    /* `t` is base64's, which makes fewer bytes than there are characters; Q may make as many. */
    size_t room = w->base64 ? mime_transfer_max(t, w->text.len) + mime_transfer_max(t, 0) : w->text.len;
    int r = buffer_reserve(&d->bytes, room, &out);
    if (r < 0)
        return -ENOMEM;
    size_t n;
    if (w->base64) {
        n = mime_transfer_decode(t, w->text, out);
        if (!goes_on) {
            n += mime_transfer_finish(t, out + n);
            if (t->damaged)
                mime_defect(d, "damaged base64 in an encoded word");
        }
    } else {
        n = q_decode(w->text, out);
    }
    buffer_commit(&d->bytes, n);
    return 0;
}

/* Whether the word's base64 ends inside a character's bits, which go on in the next word: encoders that cut the finished
 * text do so. Where padding was only left out, the bits behind the last byte are zero. */
static bool word_goes_on(const struct encoded_word *w, const struct encoded_word *next)
{
    size_t n = w->text.len % 4;
    if (!w->base64 || !next->base64 || n == 0 || slice_find(w->text, '=') < w->text.len)
        return false;
    int last = base64_values[(unsigned char) w->text.data[w->text.len - 1]];
    return n == 1 || (last >= 0 && (last & (n == 2 ? 15 : 3)));
}

static int words_flush(struct mime_decoder *d, struct slice charset)
{
    struct mime_charset cs;
    if (buffer_len(&d->bytes) == 0)
        return 0;
    mime_charset_find(charset, &cs);
    int r = mime_text_append(d, &cs, buffer_slice(&d->bytes), true);
    buffer_clear(&d->bytes);
    return r;
}

/* The same for ASCII without NUL and escapes, which needs no conversion. */
static int append_folded(struct mime_decoder *d, struct slice s)
{
    char *out;
    size_t n = 0;
    if (buffer_reserve(&d->text, s.len, &out) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (c >= ' ' && c < 0x7f) {
            out[n++] = c;
            continue;
        }
        bool line_end = c == '\r' || c == '\n';
        if (line_end && (i + 1 == s.len || mime_is_space(s.data[i + 1])))
            continue;
        out[n++] = c == '\t' && !(i && s.data[i - 1] == '\n') ? c : ' ';
    }
    buffer_commit(&d->text, n);
    return 0;
}

/* What bytes there are in a text. */
enum { HAS_CONTROL = 1, HAS_8BIT = 2, HAS_NUL = 4, HAS_ESCAPE = 8 };

static unsigned kinds_of(struct slice s)
{
    unsigned kinds = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char) s.data[i];
        if (c - 0x20U >= 0x7fU - 0x20U)
            kinds |= c >= 0x80 ? HAS_8BIT : c == 0 ? HAS_NUL : c == 0x1b ? HAS_ESCAPE | HAS_CONTROL : HAS_CONTROL;
    }
    return kinds;
}

static bool has_jis_escape(struct slice s)
{
    for (size_t i = 0; i + 1 < s.len; i++)
        if (s.data[i] == 0x1b && (s.data[i + 1] == '$' || s.data[i + 1] == '('))
            return true;
    return false;
}

/* Text between encoded words: folds go, 8-bit is guessed, ISO-2022 escapes are honoured. */
static int append_literal(struct mime_decoder *d, struct slice s)
{
    struct mime_charset cs, *known = NULL;
    unsigned kinds = kinds_of(s);

    if (!kinds)
        return buffer_append_slice(&d->text, s) < 0 ? -ENOMEM : 0;
    bool escapes = (kinds & HAS_ESCAPE) && has_jis_escape(s);
    if (!(kinds & (HAS_8BIT | HAS_NUL)) && !escapes)
        return append_folded(d, s);
    if (escapes) {
        mime_charset_find(SLICE("iso-2022-jp"), &cs);
        known = &cs;
    }
    buffer_clear(&d->bytes);
    char *out;
    if (buffer_reserve(&d->bytes, s.len, &out) < 0)
        return -ENOMEM;
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        bool line_end = s.data[i] == '\r' || s.data[i] == '\n';
        /* A line end goes, the space behind it stays (HT as SP: nobody means it); without one it separates like a
         * space. */
        if (!line_end)
            out[n++] = s.data[i] == '\t' && i && s.data[i - 1] == '\n' ? ' ' : s.data[i];
        else if (i + 1 < s.len && !mime_is_space(s.data[i + 1]))
            out[n++] = ' ';
    }
    buffer_commit(&d->bytes, n);
    int r = mime_text_append(d, known, buffer_slice(&d->bytes), true);
    buffer_clear(&d->bytes);
    return r;
}

static bool only_space(struct slice s)
{
    return slice_trim(s).len == 0;
}

/* Whether a word that takes up the bits of `w`, which begins at `i`, follows at once. */
static bool next_goes_on(struct slice raw, size_t i, const struct encoded_word *w)
{
    struct encoded_word next;
    if (!w->base64 || w->text.len % 4 == 0)
        return false;
    size_t at = i + w->len;
    while (at < raw.len && mime_is_space(raw.data[at]))
        at++;
    return word_parse(slice_from(raw, at), &next) && slice_eq_ci(next.charset, w->charset) && word_goes_on(w, &next);
}

int mime_text_append_words(struct mime_decoder *d, struct slice raw)
{
    struct slice charset = SLICE_EMPTY; /* of the bytes that wait */
    size_t literal = 0, i = 0;
    bool after_word = false, goes_on = false; /* base64 that the last word has not finished */
    struct mime_transfer t;

    mime_transfer_init(&t, MIME_ENCODING_BASE64);
    buffer_clear(&d->bytes);
    while (i < raw.len) {
        struct encoded_word w;
        const char *sign = memchr(raw.data + i, '=', raw.len - i);
        if (!sign)
            break;
        i = (size_t) (sign - raw.data);
        if (!word_parse(slice_from(raw, i), &w)) {
            i++;
            continue;
        }
        struct slice between = slice_of(raw.data + literal, i - literal);
        bool joined = after_word && only_space(between);
        int r = 0;
        if (!joined || !slice_eq_ci(charset, w.charset))
            r = words_flush(d, charset);
        if (r == 0 && !joined)
            r = append_literal(d, between);
        if (!goes_on)
            mime_transfer_init(&t, MIME_ENCODING_BASE64);
        goes_on = next_goes_on(raw, i, &w);
        if (r == 0)
            r = word_bytes(d, &w, &t, goes_on);
        if (r < 0)
            return r;
        charset = w.charset;
        after_word = true;
        i += w.len;
        literal = i;
    }
    int r = words_flush(d, charset);
    return r < 0 ? r : append_literal(d, slice_from(raw, literal));
}

int mime_decode_text(struct mime_decoder *d, struct slice raw, struct slice *ret)
{
    raw = slice_trim(raw);
    bool plain = true;
    for (size_t i = 0; i < raw.len && plain; i++)
        plain = (unsigned char) raw.data[i] >= 0x20 && (unsigned char) raw.data[i] < 0x7f &&
                !(raw.data[i] == '=' && i + 1 < raw.len && raw.data[i + 1] == '?');
    if (plain)
        return arena_dup_slice(d->arena, raw, ret);
    buffer_clear(&d->text);
    int r = mime_text_append_words(d, raw);
    return r < 0 ? r : mime_text_take(d, ret);
}

size_t mime_skip_comment(struct slice s, size_t i)
{
    size_t depth = 0;
    for (; i < s.len; i++) {
        if (s.data[i] == '\\')
            i++;
        else if (s.data[i] == '(')
            depth++;
        else if (s.data[i] == ')' && --depth == 0)
            return i + 1;
    }
    return s.len;
}

size_t mime_skip_cfws(struct slice s, size_t i)
{
    while (i < s.len) {
        if (mime_is_space(s.data[i]))
            i++;
        else if (s.data[i] == '(')
            i = mime_skip_comment(s, i);
        else
            break;
    }
    return i;
}

int mime_decode_phrase(struct mime_decoder *d, struct slice raw, struct slice *ret)
{
    struct buffer plain;
    int r = 0;
    buffer_init(&plain, MIME_TEXT_MAX);
    for (size_t i = 0; i < raw.len && r == 0;) {
        if (raw.data[i] == '(') {
            i = mime_skip_comment(raw, i);
            continue;
        }
        if (raw.data[i] != '"') {
            r = buffer_append_char(&plain, raw.data[i++]);
            continue;
        }
        for (i++; i < raw.len && raw.data[i] != '"' && r == 0; i++) {
            if (raw.data[i] == '\\' && i + 1 < raw.len)
                i++;
            r = buffer_append_char(&plain, raw.data[i]);
        }
        i++;
    }
    if (r == 0)
        r = mime_decode_text(d, buffer_slice(&plain), ret);
    buffer_done(&plain);
    return r < 0 ? -ENOMEM : 0;
}
