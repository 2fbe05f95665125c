/* SPDX-License-Identifier: MIT */
#include "imap_set.h"

#include "imap_parse.h"

#include <errno.h>
#include <stdlib.h>

void imap_set_init(struct imap_set *s, size_t max_ranges)
{
    *s = (struct imap_set){.max = max_ranges};
}

void imap_set_done(struct imap_set *s)
{
    free(s->ranges);
    *s = (struct imap_set){0};
}

void imap_set_clear(struct imap_set *s)
{
    s->n = 0;
    s->star = s->saved = false;
}

static int grow(struct imap_set *s)
{
    if (s->n < s->cap)
        return 0;
    if (s->n >= s->max)
        return -E2BIG;
    size_t cap = s->cap ? s->cap * 2 : 8;
    cap = MIN(cap, s->max);
    struct number_range *ranges = realloc(s->ranges, cap * sizeof(*ranges));
    if (!ranges)
        return -ENOMEM;
    s->ranges = ranges;
    s->cap = cap;
    return 0;
}

/* Index of the first range that ends at `n` or behind it. */
static size_t find(const struct imap_set *s, uint32_t n)
{
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->ranges[middle].last < n)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int imap_set_add(struct imap_set *s, uint32_t first, uint32_t last)
{
    if (first > last) {
        uint32_t swap = first;
        first = last;
        last = swap;
    }
    if (first == 0)
        return -EINVAL;
    /* Ranges that touch the new one: they become one with it. */
    size_t from = s->n > 0 && s->ranges[s->n - 1].last < first - 1 ? s->n : find(s, first - 1);
    size_t to = from;
    while (to < s->n && (last == UINT32_MAX || s->ranges[to].first <= last + 1))
        to++;
    if (from == to) {
        int ret = grow(s);
        if (ret < 0)
            return ret;
        memmove(s->ranges + from + 1, s->ranges + from, (s->n - from) * sizeof(*s->ranges));
        s->ranges[from] = (struct number_range){first, last};
        s->n++;
        return 0;
    }
    s->ranges[from].first = MIN(s->ranges[from].first, first);
    s->ranges[from].last = MAX(s->ranges[to - 1].last, last);
    memmove(s->ranges + from + 1, s->ranges + to, (s->n - to) * sizeof(*s->ranges));
    s->n -= to - from - 1;
    return 0;
}

static int by_first(const void *a, const void *b)
{
    const struct number_range *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

void imap_set_settle(struct imap_set *s)
{
    size_t n = 0;
    if (!s->loose)
        return;
    s->loose = false;
    qsort(s->ranges, s->n, sizeof(*s->ranges), by_first);
    for (size_t i = 0; i < s->n; i++) {
        struct number_range *last = n ? &s->ranges[n - 1] : NULL;
        if (last && (last->last == UINT32_MAX || s->ranges[i].first <= last->last + 1))
            last->last = MAX(last->last, s->ranges[i].last);
        else
            s->ranges[n++] = s->ranges[i];
    }
    s->n = n;
}

int imap_set_add_loose(struct imap_set *s, uint32_t first, uint32_t last)
{
    if (first == 0 || last == 0)
        return -EINVAL;
    if (!s->loose && (s->n == 0 || MIN(first, last) > s->ranges[s->n - 1].last))
        return imap_set_add(s, first, last);
    s->loose = true;
    int ret = grow(s);
    if (ret == -E2BIG) { /* some may be one */
        imap_set_settle(s);
        s->loose = true;
        ret = grow(s);
    }
    if (ret == 0)
        s->ranges[s->n++] = (struct number_range){MIN(first, last), MAX(first, last)};
    return ret;
}

/* seq-number = nz-number / "*" */
static bool take_number(struct slice *rest, uint32_t *ret)
{
    uint64_t n = 0;
    if (rest->len && rest->data[0] == '*')
        *rest = slice_from(*rest, 1);
    else if (!imap_number_next(rest, UINT32_MAX, &n) || n == 0)
        return false;
    *ret = (uint32_t) n;
    return true;
}

int imap_range_next(struct slice *rest, struct number_range *ret)
{
    struct slice r = *rest;
    struct number_range range;
    if (r.len == 0)
        return 0;
    if (!take_number(&r, &range.first))
        return -EBADMSG;
    range.last = range.first;
    if (r.len && r.data[0] == ':') {
        r = slice_from(r, 1);
        if (!take_number(&r, &range.last))
            return -EBADMSG;
    }
    if (r.len) {
        if (r.data[0] != ',' || r.len == 1)
            return -EBADMSG;
        r = slice_from(r, 1);
    }
    *rest = r;
    *ret = range;
    return 1;
}

int imap_set_parse(struct imap_set *s, struct slice text)
{
    struct number_range range;
    int ret;
    if (text.len == 0)
        return -EINVAL;
    if (slice_eq(text, SLICE("$"))) {
        s->saved = true;
        return s->n || s->star ? -EINVAL : 0;
    }
    while ((ret = imap_range_next(&text, &range)) > 0) {
        if (range.first == 0 && range.last == 0) {
            s->star = true;
            continue;
        }
        /* "*" as one end: the range goes on to the last message. */
        if (range.first == 0 || range.last == 0)
            range = (struct number_range){MAX(range.first, range.last), UINT32_MAX};
        int added = imap_set_add_loose(s, range.first, range.last);
        if (added < 0) {
            imap_set_settle(s);
            return added;
        }
    }
    imap_set_settle(s);
    return ret < 0 ? -EINVAL : 0;
}

bool imap_set_contains(const struct imap_set *s, uint32_t n)
{
    if (s->star || s->saved)
        return true;
    size_t i = find(s, n);
    /* "n:*" names the last message even when its number is below n: RFC 3501, seq-range. */
    return (i < s->n && s->ranges[i].first <= n) || (s->n > 0 && s->ranges[s->n - 1].last == UINT32_MAX);
}

bool imap_set_intersects(const struct imap_set *a, const struct imap_set *b)
{
    if (a->saved || b->saved)
        return true;
    if ((a->star && !imap_set_is_empty(b)) || (b->star && !imap_set_is_empty(a)))
        return true;
    for (size_t i = 0, j = 0; i < a->n && j < b->n;) {
        if (a->ranges[i].last < b->ranges[j].first)
            i++;
        else if (b->ranges[j].last < a->ranges[i].first)
            j++;
        else
            return true;
    }
    /* Open ends may both mean the last message. */
    return (a->n && a->ranges[a->n - 1].last == UINT32_MAX && b->n) ||
           (b->n && b->ranges[b->n - 1].last == UINT32_MAX && a->n);
}

uint64_t imap_set_count(const struct imap_set *s)
{
    uint64_t count = s->star;
    for (size_t i = 0; i < s->n; i++)
        count += (uint64_t) s->ranges[i].last - s->ranges[i].first + 1;
    return count;
}

int imap_set_write(const struct imap_set *s, struct writer *w)
{
    struct number_range star = {0, 0};
    if (s->saved)
        return writer_char(w, '$');
    for (size_t i = 0; i < s->n; i++) {
        struct number_range range = s->ranges[i];
        if (range.last == UINT32_MAX && range.first != UINT32_MAX)
            range.last = 0;
        if (i)
            writer_char(w, ',');
        writer_number_set(w, &range, 1);
    }
    if (!s->star)
        return s->n ? w->error : writer_number_set(w, NULL, 0);
    if (s->n)
        writer_char(w, ',');
    return writer_number_set(w, &star, 1);
}
