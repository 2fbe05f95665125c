/* SPDX-License-Identifier: MIT */
#include "utf8.h"

static inline bool is_tail(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

size_t utf8_char_len(const char *p, size_t len)
{
    const unsigned char *s = (const unsigned char *) p;

    if (len == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    if (s[0] < 0xe0)
        return len >= 2 && is_tail(s[1]) ? 2 : 0;
    if (s[0] < 0xf0) {
        if (len < 3 || !is_tail(s[1]) || !is_tail(s[2]))
            return 0;
        if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f))
            return 0;
        return 3;
    }
    if (len < 4 || !is_tail(s[1]) || !is_tail(s[2]) || !is_tail(s[3]))
        return 0;
    if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return 4;
}

size_t utf8_valid_prefix(const char *p, size_t len)
{
    size_t i = 0;
    while (i < len) {
        /* Eight ASCII bytes at a time: most mail is. */
        uint64_t w;
        while (len - i >= sizeof(w)) {
            memcpy(&w, p + i, sizeof(w));
            if (w & 0x8080808080808080U)
                break;
            i += sizeof(w);
        }
        if (i == len)
            break;
        size_t n = utf8_char_len(p + i, len - i);
        if (n == 0)
            return i;
        i += n;
    }
    return len;
}

size_t utf8_encode(uint32_t cp, char out[4])
{
    if (cp < 0x80) {
        out[0] = (char) cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char) (0xc0 | cp >> 6);
        out[1] = (char) (0x80 | (cp & 0x3f));
        return 2;
    }
    if (cp < 0x10000) {
        if (cp >= 0xd800 && cp <= 0xdfff)
            return 0;
        out[0] = (char) (0xe0 | cp >> 12);
        out[1] = (char) (0x80 | (cp >> 6 & 0x3f));
        out[2] = (char) (0x80 | (cp & 0x3f));
        return 3;
    }
    if (cp > 0x10ffff)
        return 0;
    out[0] = (char) (0xf0 | cp >> 18);
    out[1] = (char) (0x80 | (cp >> 12 & 0x3f));
    out[2] = (char) (0x80 | (cp >> 6 & 0x3f));
    out[3] = (char) (0x80 | (cp & 0x3f));
    return 4;
}

size_t utf8_decode(const char *p, size_t len, uint32_t *ret)
{
    const unsigned char *s = (const unsigned char *) p;
    size_t n = utf8_char_len(p, len);
    switch (n) {
    case 1:
        *ret = s[0];
        break;
    case 2:
        *ret = (uint32_t) (s[0] & 0x1f) << 6 | (s[1] & 0x3f);
        break;
    case 3:
        *ret = (uint32_t) (s[0] & 0x0f) << 12 | (uint32_t) (s[1] & 0x3f) << 6 | (s[2] & 0x3f);
        break;
    case 4:
        *ret = (uint32_t) (s[0] & 0x07) << 18 | (uint32_t) (s[1] & 0x3f) << 12 | (uint32_t) (s[2] & 0x3f) << 6 |
               (s[3] & 0x3f);
        break;
    }
    return n;
}

/* Bytes that a lead byte asks for, 0 for what cannot lead. */
static size_t lead_len(unsigned char c)
{
    return c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
}

void utf8_state_feed(struct utf8_state *st, const char *p, size_t len)
{
    size_t i = 0;

    if (len && !st->has_nul && memchr(p, 0, len))
        st->has_nul = true;
    if (st->bad)
        return;
    while (st->n_pending && i < len) {
        st->pending[st->n_pending++] = (unsigned char) p[i++];
        size_t want = lead_len(st->pending[0]);
        if (st->n_pending < want)
            continue;
        if (utf8_char_len((const char *) st->pending, want) != want)
            st->bad = true;
        st->n_pending = 0;
    }
    if (st->bad || i == len)
        return;
    i += utf8_valid_prefix(p + i, len - i);
    if (i < len) {
        size_t left = len - i;
        if (left < lead_len((unsigned char) p[i])) {
            memcpy(st->pending, p + i, left);
            st->n_pending = (unsigned char) left;
        } else {
            st->bad = true;
        }
    }
}
