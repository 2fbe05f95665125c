/* SPDX-License-Identifier: MIT */
/* A slice is a borrowed run of bytes: a pointer and a length, never terminated by NUL, possibly holding NULs.
 * Whoever hands one out says how long it stays valid. The empty slice may have a NULL pointer. Pure functions,
 * safe from any thread. */
#ifndef POSTERN_SLICE_H
#define POSTERN_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *data;
    size_t len;
};

#define SLICE_EMPTY ((struct slice){NULL, 0})
/* A string literal as a slice; the literal lives for ever. */
#define SLICE(literal) ((struct slice){"" literal, sizeof(literal) - 1})

static inline struct slice slice_of(const void *data, size_t len)
{
    return (struct slice){(const char *) data, len};
}

/* NULL gives the empty slice. */
static inline struct slice slice_of_str(const char *s)
{
    return (struct slice){s, s ? strlen(s) : 0};
}

static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char) (c + ('a' - 'A')) : c;
}

static inline char ascii_upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char) (c - ('a' - 'A')) : c;
}

static inline bool ascii_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool ascii_is_alpha(char c)
{
    c = ascii_lower(c);
    return c >= 'a' && c <= 'z';
}

/* Space or horizontal tab: RFC 5234 WSP. */
static inline bool ascii_is_wsp(char c)
{
    return c == ' ' || c == '\t';
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Equal but for the case of ASCII letters. */
static inline bool slice_eq_ci(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (ascii_lower(a.data[i]) != ascii_lower(b.data[i]))
            return false;
    return true;
}

static inline bool slice_starts(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.data, prefix.data, prefix.len) == 0);
}

static inline bool slice_starts_ci(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && slice_eq_ci((struct slice){s.data, prefix.len}, prefix);
}

/* What follows the first `n` bytes; empty when there are fewer. */
static inline struct slice slice_from(struct slice s, size_t n)
{
    return n >= s.len ? (struct slice){s.data ? s.data + s.len : NULL, 0} : (struct slice){s.data + n, s.len - n};
}

static inline struct slice slice_to(struct slice s, size_t n)
{
    return (struct slice){s.data, n < s.len ? n : s.len};
}

/* Index of the first `c`, or s.len. */
static inline size_t slice_find(struct slice s, char c)
{
    const char *p = s.len ? (const char *) memchr(s.data, (unsigned char) c, s.len) : NULL;
    return p ? (size_t) (p - s.data) : s.len;
}

/* Without white space (SP, HT, CR, LF) at both ends. */
static inline struct slice slice_trim(struct slice s)
{
    while (s.len && (ascii_is_wsp(s.data[0]) || s.data[0] == '\r' || s.data[0] == '\n'))
        s.data++, s.len--;
    while (s.len && (ascii_is_wsp(s.data[s.len - 1]) || s.data[s.len - 1] == '\r' || s.data[s.len - 1] == '\n'))
        s.len--;
    return s;
}

/* The whole slice as a decimal number of at most `max`: no sign, no space, at least one digit. */
static inline bool slice_to_u64(struct slice s, uint64_t max, uint64_t *ret)
{
    uint64_t v = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!ascii_is_digit(s.data[i]))
            return false;
        uint64_t d = (uint64_t) (s.data[i] - '0');
        if (v > (UINT64_MAX - d) / 10)
            return false;
        v = v * 10 + d;
        if (v > max)
            return false;
    }
    *ret = v;
    return true;
}

#endif
