/* SPDX-License-Identifier: MIT */
#include "mime_envelope.h"

#include <errno.h>
#include <stdlib.h>

static int recipients_put(struct mime_recipients *r, struct slice address)
{
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 8;
        struct slice *bigger = arena_calloc(r->arena, cap, sizeof(*bigger));
        if (!bigger)
            return -ENOMEM;
        if (r->n)
            memcpy(bigger, r->list, r->n * sizeof(*bigger));
        r->list = bigger;
        r->cap = cap;
    }
    r->list[r->n++] = address;
    return 0;
}

int mime_recipients_add(struct mime_recipients *r, const struct mime_address *list)
{
    int e = 0;
    for (; list && e == 0; list = list->next) {
        if (list->is_group)
            e = mime_recipients_add(r, list->members);
        else if (list->address.len)
            e = recipients_put(r, list->address);
    }
    return e;
}

struct ranked {
    struct slice address;
    size_t rank;
    bool again;
};

static int by_address(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    size_t n = MIN(x->address.len, y->address.len);
    int c = n ? memcmp(x->address.data, y->address.data, n) : 0;
    if (c == 0 && x->address.len != y->address.len)
        c = x->address.len < y->address.len ? -1 : 1;
    if (c == 0)
        c = x->rank < y->rank ? -1 : x->rank > y->rank;
    return c;
}

static int by_rank(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

int mime_recipients_settle(struct mime_recipients *r)
{
    if (r->n < 2)
        return 0;
    struct ranked *all = calloc(r->n, sizeof(*all));
    if (!all)
        return -ENOMEM;
    for (size_t i = 0; i < r->n; i++)
        all[i] = (struct ranked){r->list[i], i, false};
    qsort(all, r->n, sizeof(*all), by_address);
    for (size_t i = 1; i < r->n; i++)
        all[i].again = slice_eq(all[i].address, all[i - 1].address);
    qsort(all, r->n, sizeof(*all), by_rank);
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        if (!all[i].again)
            r->list[n++] = all[i].address;
    r->n = n;
    free(all);
    return 0;
}

struct slice mime_first_address(const struct mime_address *list)
{
    for (; list; list = list->next) {
        struct slice a = list->is_group ? mime_first_address(list->members) : list->address;
        if (a.len)
            return a;
    }
    return SLICE_EMPTY;
}
