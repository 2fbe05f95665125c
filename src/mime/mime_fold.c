/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "mime_fold.h"

#include "base64.h"
#include "utf8.h"

#include <errno.h>
#include <stdio.h>

#define WORD_MAX 75 /* RFC 2047: of an encoded word */
#define WORD_HEAD "=?utf-8?"
#define WORD_FRAME (sizeof(WORD_HEAD) - 1 + 2 + 2) /* with "Q?" and "?=" */

static const char hex_digits[] = "0123456789ABCDEF";

bool mime_text_is_line(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (((unsigned char) s.data[i] < 0x20 && s.data[i] != '\t') || s.data[i] == 0x7f)
            return false;
    return utf8_is_valid(s);
}

bool mime_text_is_ascii(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char) s.data[i] >= 0x80)
            return false;
    return true;
}

bool mime_text_is_field_name(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] <= ' ' || s.data[i] >= 0x7f || s.data[i] == ':')
            return false;
    return s.len != 0 && s.len <= 76;
}

bool mime_text_is_id(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char) s.data[i] <= ' ' || s.data[i] == 0x7f || s.data[i] == '<' || s.data[i] == '>')
            return false;
    return s.len != 0 && s.len <= 900 && utf8_is_valid(s);
}

bool mime_text_is_address(struct slice s)
{
    size_t i = 0;
    if (s.len == 0 || s.len > 900 || !mime_text_is_line(s))
        return false;
    if (s.data[0] == '"') {
        for (i = 1; i < s.len && s.data[i] != '"'; i++)
            if (s.data[i] == '\\')
                i++;
        if (i >= s.len)
            return false;
        i++;
    }
    for (; i < s.len; i++)
        if (strchr(" \t<>,;:\"()[]\\", s.data[i]) && !(strchr("[]:", s.data[i]) && slice_find(s, '@') < i))
            return false;
    return true;
}

static int put(struct mime_fold *f, struct slice s)
{
    if (buffer_append_slice(f->out, s) < 0)
        return -ENOMEM;
    f->column += s.len;
    if (!f->used_8bit && !mime_text_is_ascii(s))
        f->used_8bit = true;
    return 0;
}

int mime_fold_begin_slice(struct mime_fold *f, struct slice name)
{
    f->column = 0;
    int r = put(f, name);
    return r == 0 ? put(f, SLICE(":")) : r;
}

int mime_fold_begin(struct mime_fold *f, const char *name)
{
    return mime_fold_begin_slice(f, slice_of_str(name));
}

static int new_line(struct mime_fold *f)
{
    int r = put(f, SLICE("\r\n"));
    f->column = 0;
    return r;
}

/* A space, as a fold where `len` more bytes would not fit. */
static int space(struct mime_fold *f, size_t len)
{
    int r = 0;
    if (f->column + 1 + len > MIME_FOLD_AT && f->column > 1)
        r = new_line(f);
    return r == 0 ? put(f, SLICE(" ")) : r;
}

int mime_fold_token(struct mime_fold *f, struct slice token)
{
    int r = space(f, token.len);
    return r == 0 ? put(f, token) : r;
}

int mime_fold_mark(struct mime_fold *f, const char *mark)
{
    return put(f, slice_of_str(mark));
}

int mime_fold_end(struct mime_fold *f)
{
    return new_line(f);
}

/* What stands for itself in a Q word wherever it is (RFC 2047 section 5 (3)). */
static bool q_is_literal(unsigned char c)
{
    return ascii_is_alpha((char) c) || ascii_is_digit((char) c) || (c && strchr("!*+-/", c));
}

static size_t q_width(unsigned char c)
{
    return q_is_literal(c) || c == ' ' ? 1 : 3;
}

/* One encoded word of `s`, which fits. */
static int put_word(struct mime_fold *f, struct slice s, bool base64)
{
    char word[WORD_MAX + 1];
    size_t n = sizeof(WORD_HEAD) - 1;
    memcpy(word, WORD_HEAD, n);
    word[n++] = base64 ? 'B' : 'Q';
    word[n++] = '?';
    if (base64) {
        n += base64_encode(s.data, s.len, word + n);
    } else {
        for (size_t i = 0; i < s.len; i++) {
            unsigned char c = (unsigned char) s.data[i];
            if (c == ' ') {
                word[n++] = '_';
            } else if (q_is_literal(c)) {
                word[n++] = (char) c;
            } else {
                word[n++] = '=';
                word[n++] = hex_digits[c >> 4];
                word[n++] = hex_digits[c & 15];
            }
        }
    }
    word[n++] = '?';
    word[n++] = '=';
    return mime_fold_token(f, slice_of(word, n));
}

/* How many bytes of `s`, which end with a character, one word of `room` characters holds. *ret_whole: the longest such piece
 * whose base64 needs no padding; 0 where there is none. */
static size_t word_take(struct slice s, bool base64, size_t room, size_t *ret_whole)
{
    size_t take = 0, width = 0;
    *ret_whole = 0;
    while (take < s.len) {
        size_t n = utf8_char_len(s.data + take, s.len - take), w = 0;
        for (size_t k = 0; k < n; k++)
            w += q_width((unsigned char) s.data[take + k]);
        if (n == 0 || WORD_FRAME + (base64 ? base64_encoded_len(take + n) : width + w) > room)
            break;
        take += n;
        width += w;
        if (take % 3 == 0)
            *ret_whole = take;
    }
    return take;
}

/* Encoded words for the whole of `s`, broken between characters, in the shorter of the two encodings. Some readers take
 * the base64 of neighbouring words as one and lose all that follows on padding: only the last of them has any. Where no
 * character ends so that this can be, a character in the other encoding goes before; after at most two of them it can. */
static int put_words(struct mime_fold *f, struct slice s)
{
    size_t q = 0;
    int r = 0;
    for (size_t i = 0; i < s.len; i++)
        q += q_width((unsigned char) s.data[i]);
    bool base64 = q > base64_encoded_len(s.len);
    bool one = WORD_FRAME + MIN(q, base64_encoded_len(s.len)) <= WORD_MAX;
    while (s.len && r == 0) {
        /* What fits into one word is not broken: some readers put a space between two of them. Else the first takes
         * what is left of the line when that is worth it. */
        size_t left = f->column + 1 < MIME_FOLD_AT - 2 ? MIME_FOLD_AT - 2 - f->column - 1 : 0;
        size_t room = !one && left >= WORD_FRAME + 16 ? MIN(left, (size_t) WORD_MAX) : WORD_MAX;
        size_t whole, take = word_take(s, base64, room, &whole);
        if (take == 0)
            return -EILSEQ; /* callers have checked that it is UTF-8 */
        bool in_q = !base64;
        if (base64 && take < s.len) {
            in_q = whole == 0;
            take = in_q ? utf8_char_len(s.data, s.len) : whole;
        }
        r = put_word(f, slice_to(s, take), !in_q);
        s = slice_from(s, take);
    }
    return r;
}

static bool contains(struct slice s, const char *needle)
{
    return s.len && memmem(s.data, s.len, needle, strlen(needle)) != NULL;
}

/* Whether a word of unstructured text cannot stand for itself. */
static bool word_needs_encoding(const struct mime_fold *f, struct slice word)
{
    return contains(word, "=?") || word.len > MIME_LINE_MAX - 100 || (!f->utf8 && !mime_text_is_ascii(word));
}

/* HT, or a run of blanks so long that no fold could be put where it belongs. */
static bool has_odd_blank(struct slice s)
{
    size_t run = 0;
    for (size_t i = 0; i < s.len; i++) {
        run = ascii_is_wsp(s.data[i]) ? run + 1 : 0;
        if (run > 16 || s.data[i] == '\t')
            return true;
    }
    return false;
}

static size_t word_end(struct slice s, size_t i)
{
    while (i < s.len && !ascii_is_wsp(s.data[i]))
        i++;
    return i;
}

/* Unstructured text: words that need it are encoded, with the spaces between them; the rest stays readable. Space at
 * both ends would be lost by readers: it is encoded as well. */
int mime_fold_text(struct mime_fold *f, struct slice s)
{
    size_t i = 0;
    int r = 0;
    bool ends_blank = s.len && ascii_is_wsp(s.data[s.len - 1]);
    if (s.len == 0)
        return put(f, SLICE(" "));
    if (ascii_is_wsp(s.data[0]) || ends_blank || has_odd_blank(s))
        return put_words(f, s);
    while (i < s.len && r == 0) {
        size_t end = word_end(s, i);
        if (word_needs_encoding(f, slice_of(s.data + i, end - i))) {
            /* As many words as need it in a row. */
            size_t next = end;
            for (;;) {
                size_t start = next;
                while (start < s.len && ascii_is_wsp(s.data[start]))
                    start++;
                next = word_end(s, start);
                if (start == s.len || !word_needs_encoding(f, slice_of(s.data + start, next - start)))
                    break;
                end = next;
            }
            r = put_words(f, slice_of(s.data + i, end - i));
        } else {
            r = mime_fold_token(f, slice_of(s.data + i, end - i));
        }
        i = end;
        /* One space is written with the next word; further ones stay where they are. */
        for (i += i < s.len; i < s.len && ascii_is_wsp(s.data[i]) && r == 0; i++)
            r = put(f, slice_of(s.data + i, 1));
    }
    return r;
}

static bool is_atext(unsigned char c)
{
    return ascii_is_alpha((char) c) || ascii_is_digit((char) c) || c >= 0x80 || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/* phrase = 1*word: atoms where they do, a quoted string else. */
int mime_fold_phrase(struct mime_fold *f, struct slice s)
{
    bool atoms = s.len != 0 && !ascii_is_wsp(s.data[0]) && !ascii_is_wsp(s.data[s.len - 1]);
    char quoted[2 * 200 + 2];
    size_t n = 0;

    if ((!f->utf8 && !mime_text_is_ascii(s)) || contains(s, "=?") || s.len > 200)
        return put_words(f, s);
    for (size_t i = 0; i < s.len && atoms; i++)
        atoms = is_atext((unsigned char) s.data[i]) || (s.data[i] == ' ' && s.data[i + 1] != ' ');
    if (atoms) {
        int r = 0;
        for (size_t i = 0; i < s.len && r == 0;) {
            size_t end = word_end(s, i);
            r = mime_fold_token(f, slice_of(s.data + i, end - i));
            i = end + 1;
        }
        return r;
    }
    quoted[n++] = '"';
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] == '"' || s.data[i] == '\\')
            quoted[n++] = '\\';
        quoted[n++] = s.data[i];
    }
    quoted[n++] = '"';
    return mime_fold_token(f, slice_of(quoted, n));
}

/* A local part of other characters than dot-atom's is quoted. */
static int put_address(struct mime_fold *f, const struct mime_address *a, const char *behind)
{
    struct buffer b;
    bool named = a->name.data && a->name.len;
    int r = named ? mime_fold_phrase(f, a->name) : 0;
    buffer_init(&b, 4096);
    if (r == 0 && named)
        r = buffer_append_char(&b, '<');
    if (r == 0)
        r = buffer_append_slice(&b, a->address);
    if (r == 0 && named)
        r = buffer_append_char(&b, '>');
    if (r == 0)
        r = buffer_append_slice(&b, slice_of_str(behind));
    if (r == 0)
        r = mime_fold_token(f, buffer_slice(&b));
    buffer_done(&b);
    return r < 0 ? -ENOMEM : 0;
}

int mime_fold_addresses(struct mime_fold *f, const struct mime_address *list)
{
    int r = 0;
    for (; list && r == 0; list = list->next) {
        const char *behind = list->next ? "," : "";
        if (!list->is_group) {
            r = put_address(f, list, behind);
            continue;
        }
        r = mime_fold_phrase(f, list->name.len ? list->name : SLICE("group"));
        if (r == 0)
            r = mime_fold_mark(f, ":");
        if (r == 0 && list->members)
            r = mime_fold_addresses(f, list->members);
        if (r == 0)
            r = mime_fold_mark(f, list->next ? ";," : ";");
    }
    return r;
}

static bool is_token(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] <= ' ' || s.data[i] >= 0x7f || strchr("()<>@,;:\\\"/[]?=*'%", s.data[i]))
            return false;
    return s.len != 0;
}

#define SEGMENT_MAX 58 /* characters of a value on one line */

/* attribute "*" section "*" "=" extended-value */
static int put_extended(struct mime_fold *f, const char *name, struct slice value)
{
    /* What is only long is easier to read for all in sections without percent signs. */
    bool plain = mime_text_is_ascii(value) && !contains(value, "=?");
    size_t i = 0, n, section = 0;
    int r = 0;
    char line[256];

    do {
        char part[SEGMENT_MAX + 16];
        size_t len = 0;
        if (!plain && section == 0)
            len = 7, memcpy(part, "utf-8''", 7);
        while (i < value.len && len < SEGMENT_MAX) {
            unsigned char c = (unsigned char) value.data[i];
            /* A character stays whole: some readers decode each section by itself. */
            if (c >= 0xc0 && len + 3 * utf8_char_len(value.data + i, value.len - i) > SEGMENT_MAX && len > 7)
                break;
            if (plain ? c == '"' || c == '\\' : !is_token(slice_of(value.data + i, 1))) {
                if (plain) {
                    part[len++] = '\\';
                    part[len++] = (char) c;
                } else {
                    part[len++] = '%';
                    part[len++] = hex_digits[c >> 4];
                    part[len++] = hex_digits[c & 15];
                }
            } else {
                part[len++] = (char) c;
            }
            i++;
        }
        const char *quote = plain ? "\"" : "", *star = plain ? "" : "*";
        if (section == 0 && i == value.len)
            n = (size_t) snprintf(line, sizeof(line), "%s%s=%s%.*s%s", name, star, quote, (int) len, part, quote);
        else
            n = (size_t) snprintf(line, sizeof(line), "%s*%zu%s=%s%.*s%s", name, section, star, quote, (int) len, part,
                                  quote);
        section++;
        r = mime_fold_mark(f, ";");
        if (r == 0)
            r = mime_fold_token(f, slice_of(line, n));
    } while (i < value.len && r == 0);
    return r;
}

int mime_fold_param(struct mime_fold *f, const char *name, struct slice value)
{
    struct buffer b;
    bool ascii = mime_text_is_ascii(value);
    if ((!ascii && !f->utf8) || value.len > SEGMENT_MAX || contains(value, "=?"))
        return put_extended(f, name, value);
    bool token = is_token(value);
    buffer_init(&b, 4096);
    int r = buffer_printf(&b, "%s=%s", name, token ? "" : "\"");
    for (size_t i = 0; i < value.len && r == 0; i++) {
        if (value.data[i] == '"' || value.data[i] == '\\')
            r = buffer_append_char(&b, '\\');
        if (r == 0)
            r = buffer_append_char(&b, value.data[i]);
    }
    if (r == 0 && !token)
        r = buffer_append_char(&b, '"');
    if (r == 0)
        r = mime_fold_mark(f, ";");
    if (r == 0)
        r = mime_fold_token(f, buffer_slice(&b));
    buffer_done(&b);
    return r < 0 ? -ENOMEM : 0;
}
