/* SPDX-License-Identifier: MIT */
#include "mime_subject.h"

#include "utf8.h"

#include <errno.h>

/* --- base subject --- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_spaces(struct slice *s)
{
    while (s->len && is_space(s->data[0]))
        *s = slice_from(*s, 1);
}

/* subj-trailer = "(fwd)" / WSP */
static bool strip_trailers(struct slice *s)
{
    bool reply = false;
    for (;;) {
        while (s->len && is_space(s->data[s->len - 1]))
            s->len--;
        if (s->len < 5 || !slice_eq_ci(slice_from(*s, s->len - 5), SLICE("(fwd)")))
            return reply;
        s->len -= 5;
        reply = true;
    }
}

/* subj-blob = "[" *BLOBCHAR "]" *WSP; what is left behind it, if one stands there. */
static bool skip_blob(struct slice *s)
{
    size_t i = 1;
    if (s->len == 0 || s->data[0] != '[')
        return false;
    while (i < s->len && s->data[i] != '[' && s->data[i] != ']')
        i++;
    if (i == s->len || s->data[i] != ']')
        return false;
    *s = slice_from(*s, i + 1);
    skip_spaces(s);
    return true;
}

/* subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":" */
static bool skip_refwd(struct slice *s)
{
    struct slice rest;
    if (slice_starts_ci(*s, SLICE("fwd")))
        rest = slice_from(*s, 3);
    else if (slice_starts_ci(*s, SLICE("re")) || slice_starts_ci(*s, SLICE("fw")))
        rest = slice_from(*s, 2);
    else
        return false;
    skip_spaces(&rest);
    (void) skip_blob(&rest);
    if (rest.len == 0 || rest.data[0] != ':')
        return false;
    *s = slice_from(rest, 1);
    return true;
}

/* Leaders, then blobs; as many of them as leave something. */
static bool strip_leaders(struct slice *s)
{
    bool reply = false;
    for (;;) {
        struct slice at, last;
        skip_spaces(s);
        at = last = *s;
        for (struct slice next = at; skip_blob(&next);) {
            last = at;
            at = next;
        }
        if (skip_refwd(&at)) {
            *s = at;
            reply = true;
            continue;
        }
        *s = at.len ? at : last;
        return reply;
    }
}

int mime_base_subject(struct arena *a, struct slice subject, struct slice *ret, bool *ret_reply)
{
    char *out = arena_alloc(a, subject.len + 1);
    struct slice s;
    size_t n = 0;
    if (!out)
        return -ENOMEM;
    for (size_t i = 0; i < subject.len; i++)
        if (!is_space(subject.data[i]))
            out[n++] = subject.data[i];
        else if (n == 0 || out[n - 1] != ' ')
            out[n++] = ' ';
    s = slice_of(out, n);
    bool reply = false;
    for (;;) {
        reply |= strip_trailers(&s);
        reply |= strip_leaders(&s);
        /* subj-fwd = subj-fwd-hdr subject subj-fwd-trl */
        if (s.len < 6 || !slice_starts_ci(s, SLICE("[fwd:")) || s.data[s.len - 1] != ']')
            break;
        s = slice_of(s.data + 5, s.len - 6);
        reply = true;
    }
    *ret = s;
    *ret_reply = reply;
    return 0;
}

/* --- comparing --- */

static const struct mime_collation *find(uint32_t cp)
{
    size_t low = 0, high = mime_collations_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (mime_collations[mid].from < cp)
            low = mid + 1;
        else
            high = mid;
    }
    return low < mime_collations_count && mime_collations[low].from == cp ? &mime_collations[low] : NULL;
}

int mime_collation_key(struct arena *a, struct slice text, struct slice *ret)
{
    /* Four characters of at most three bytes come of one that had two at least. */
    size_t n = 0, size = text.len + 1;
    for (size_t i = 0; i < text.len; i++)
        size += (unsigned char) text.data[i] < 128 ? 0 : 5;
    char *out = arena_alloc(a, size);
    if (!out)
        return -ENOMEM;
    for (size_t i = 0; i < text.len;) {
        uint32_t cp = 0;
        if ((unsigned char) text.data[i] < 128) {
            out[n++] = ascii_upper(text.data[i++]);
            continue;
        }
        size_t len = utf8_decode(text.data + i, text.len - i, &cp);
        const struct mime_collation *c = len ? find(cp) : NULL;
        for (size_t k = 0; c && k < ARRAY_LEN(c->to) && c->to[k]; k++)
            n += utf8_encode(c->to[k], out + n);
        for (size_t k = 0; !c && k < (len ? len : 1); k++)
            out[n++] = text.data[i + k];
        i += len ? len : 1;
    }
    *ret = slice_of(out, n);
    return 0;
}
