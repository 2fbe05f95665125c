/* SPDX-License-Identifier: MIT */
#include "imap_mailbox.h"

#include "utf8.h"

#include <errno.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

bool imap_mailbox_eq(struct slice a, struct slice b)
{
    return slice_eq(a, b) || (a.len == 5 && slice_eq_ci(a, SLICE("INBOX")) && slice_eq_ci(b, SLICE("INBOX")));
}

static bool stands_for_itself(unsigned char c)
{
    return c >= 0x20 && c <= 0x7e;
}

/* Bits that wait to become base64 characters. */
struct shift {
    uint32_t bits;
    unsigned n;
};

static int shift_unit(struct shift *s, uint32_t unit, struct buffer *out)
{
    int ret = 0;
    s->bits = (s->bits << 16) | unit;
    for (s->n += 16; s->n >= 6 && ret == 0; s->n -= 6)
        ret = buffer_append_char(out, alphabet[(s->bits >> (s->n - 6)) & 63]);
    s->bits &= 63;
    return ret;
}

/* A run of characters that need it: "&" base64(UTF-16) "-". */
static int encode_run(struct slice *rest, struct buffer *out)
{
    struct shift s = {0};
    int ret = buffer_append_char(out, '&');
    while (ret == 0 && rest->len && !stands_for_itself((unsigned char) rest->data[0])) {
        uint32_t cp;
        size_t n = utf8_decode(rest->data, rest->len, &cp);
        if (n == 0 || cp == 0 || cp == '\r' || cp == '\n')
            return -EINVAL;
        *rest = slice_from(*rest, n);
        if (cp >= 0x10000) {
            ret = shift_unit(&s, 0xd800 + ((cp - 0x10000) >> 10), out);
            cp = 0xdc00 + ((cp - 0x10000) & 0x3ff);
        }
        if (ret == 0)
            ret = shift_unit(&s, cp, out);
    }
    if (ret == 0 && s.n > 0)
        ret = buffer_append_char(out, alphabet[(s.bits << (6 - s.n)) & 63]);
    return ret == 0 ? buffer_append_char(out, '-') : ret;
}

int imap_mailbox_encode(struct slice name, struct buffer *out)
{
    int ret = 0;
    while (name.len && ret == 0) {
        size_t n = 0;
        while (n < name.len && stands_for_itself((unsigned char) name.data[n]) && name.data[n] != '&')
            n++;
        ret = buffer_append(out, name.data, n);
        name = slice_from(name, n);
        if (ret < 0 || name.len == 0)
            break;
        if (name.data[0] == '&') {
            ret = buffer_append(out, "&-", 2);
            name = slice_from(name, 1);
        } else {
            ret = encode_run(&name, out);
        }
    }
    return ret;
}

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == ',' ? 63 : -1;
}

/* What stands between "&" and "-" as UTF-8. False: it is no modified base64 of UTF-16. */
static bool decode_run(struct slice text, struct buffer *out, int *ret_error)
{
    uint32_t bits = 0, high = 0;
    unsigned n = 0;
    size_t before = buffer_len(out);
    for (size_t i = 0; i < text.len; i++) {
        int d = digit(text.data[i]);
        if (d < 0)
            goto bad;
        bits = (bits << 6) | (uint32_t) d;
        n += 6;
        if (n < 16)
            continue;
        n -= 16;
        uint32_t unit = (bits >> n) & 0xffff;
        bits &= (1u << n) - 1;
        char utf8[4];
        if (unit >= 0xd800 && unit < 0xdc00 && !high) {
            high = unit;
            continue;
        }
        if (high) {
            if (unit < 0xdc00 || unit > 0xdfff)
                goto bad;
            unit = 0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00);
            high = 0;
        }
        size_t len = unit ? utf8_encode(unit, utf8) : 0;
        if (len == 0)
            goto bad;
        *ret_error = buffer_append(out, utf8, len);
        if (*ret_error < 0)
            return false;
    }
    if (!high && n < 6 && bits == 0)
        return true;
bad:
    buffer_truncate(out, before);
    return false;
}

/* Bytes as they are; what is no UTF-8 becomes U+FFFD. */
static int append_clean(struct slice bytes, struct buffer *out, bool *ret_odd)
{
    int ret = 0;
    while (bytes.len && ret == 0) {
        size_t n = utf8_valid_prefix(bytes.data, bytes.len);
        const char *nul = n ? memchr(bytes.data, 0, n) : NULL;
        if (nul)
            n = (size_t) (nul - bytes.data);
        ret = buffer_append(out, bytes.data, n);
        bytes = slice_from(bytes, n);
        if (ret == 0 && bytes.len) {
            *ret_odd = true;
            ret = buffer_append(out, UTF8_REPLACEMENT, 3);
            bytes = slice_from(bytes, 1);
        }
    }
    return ret;
}

int imap_mailbox_decode(struct slice wire, struct buffer *out, bool *ret_odd)
{
    bool odd = false;
    int ret = 0;
    while (wire.len && ret == 0) {
        size_t n = slice_find(wire, '&');
        ret = append_clean(slice_to(wire, n), out, &odd);
        wire = slice_from(wire, n);
        if (ret < 0 || wire.len == 0)
            break;
        size_t end = 1;
        while (end < wire.len && digit(wire.data[end]) >= 0)
            end++;
        bool closed = end < wire.len && wire.data[end] == '-';
        if (closed && end == 1) {
            ret = buffer_append_char(out, '&');
            wire = slice_from(wire, 2);
        } else if (closed && decode_run(slice_of(wire.data + 1, end - 1), out, &ret)) {
            wire = slice_from(wire, end + 1);
        } else if (ret == 0) {
            odd = true;
            ret = buffer_append_char(out, '&');
            wire = slice_from(wire, 1);
        }
    }
    if (ret == 0)
        *ret_odd = odd;
    return ret;
}

int imap_mailbox_give(struct slice name, bool utf8, struct buffer *out)
{
    if (!utf8)
        return imap_mailbox_encode(name, out);
    if (!utf8_is_valid(name))
        return -EINVAL;
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] == '\0' || name.data[i] == '\r' || name.data[i] == '\n')
            return -EINVAL;
    return buffer_append_slice(out, name);
}

int imap_mailbox_take(struct slice wire, bool utf8, struct buffer *out, bool *ret_odd)
{
    bool odd = false;
    if (!utf8)
        return imap_mailbox_decode(wire, out, ret_odd);
    int ret = append_clean(wire, out, &odd);
    if (ret == 0)
        *ret_odd = odd;
    return ret;
}
