/* SPDX-License-Identifier: MIT */
/* What a round gathers, and what the mailbox is after it. */
#include "event.h"

#include "method_imap.h"

#include <errno.h>
#include <stdlib.h>

/* --- sets --- */

static int add(struct imap_set *to, uint64_t first, uint64_t last)
{
    return first <= last ? imap_set_add(to, (uint32_t) first, (uint32_t) last) : 0;
}

int set_minus(const struct imap_set *a, const struct imap_set *b, struct imap_set *ret)
{
    size_t k = 0;
    int r = 0;
    for (size_t i = 0; i < a->n && r == 0; i++) {
        uint64_t from = a->ranges[i].first, last = a->ranges[i].last;
        while (k > 0 && b->ranges[k - 1].last >= from)
            k--;
        while (k < b->n && b->ranges[k].last < from)
            k++;
        for (; k < b->n && b->ranges[k].first <= last && r == 0; k++) {
            if (b->ranges[k].first > from)
                r = add(ret, from, b->ranges[k].first - UINT64_C(1));
            from = b->ranges[k].last + UINT64_C(1);
        }
        if (r == 0)
            r = add(ret, from, last);
    }
    return r;
}

int set_below(const struct imap_set *a, uint32_t limit, struct imap_set *ret)
{
    int r = 0;
    for (size_t i = 0; i < a->n && a->ranges[i].first < limit && r == 0; i++)
        r = add(ret, a->ranges[i].first, MIN(a->ranges[i].last, limit - 1));
    return r;
}

static int set_join(struct imap_set *to, const struct imap_set *from)
{
    int r = 0;
    for (size_t i = 0; i < from->n && r == 0; i++)
        r = add(to, from->ranges[i].first, from->ranges[i].last);
    return r;
}

/* --- gathering --- */

void round_init(struct event_round *r)
{
    *r = (struct event_round){.n = 0};
    buffer_init(&r->text, EVENT_ROUND_TEXT);
    imap_set_init(&r->found, EVENT_SET_RANGES);
    imap_set_init(&r->vanished, EVENT_SET_RANGES);
    imap_set_init(&r->listed, EVENT_SET_RANGES);
}

void round_done(struct event_round *r)
{
    free(r->messages);
    buffer_done(&r->text);
    imap_set_done(&r->found);
    imap_set_done(&r->vanished);
    imap_set_done(&r->listed);
    *r = (struct event_round){.n = 0};
}

void round_clear(struct event_round *r)
{
    round_done(r);
    round_init(r);
}

/* Its members, without braces, at the end of the text. */
static int write_message(struct buffer *out, uint32_t uid, uint64_t modseq, const struct slice *flags)
{
    struct json_writer w;
    json_writer_init(&w, out);
    json_write_object_begin(&w);
    json_write_member_uint(&w, "uid", uid);
    if (modseq)
        json_write_member_uint(&w, "modseq", modseq);
    if (flags->data) {
        struct slice rest = *flags;
        json_write_key(&w, "flags");
        json_write_array_begin(&w);
        while (rest.len) {
            struct slice flag = imap_word_next(&rest);
            if (flag.len && !slice_eq_ci(flag, SLICE("\\Recent"))) /* that is one of connections, not of messages */
                json_write_string(&w, flag);
        }
        json_write_array_end(&w);
    }
    return w.error;
}

static int remember(struct event_round *r, uint32_t uid, uint64_t modseq, const struct slice *flags)
{
    size_t at = buffer_len(&r->text);
    if (r->overflow)
        return 0;
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 16;
        struct event_message *messages = cap <= EVENT_ROUND_MESSAGES ? realloc(r->messages, cap * sizeof(*messages)) : NULL;
        if (!messages && cap <= EVENT_ROUND_MESSAGES)
            return -ENOMEM;
        if (!messages) {
            r->overflow = true;
            return 0;
        }
        r->messages = messages;
        r->cap = cap;
    }
    int ret = write_message(&r->text, uid, modseq, flags);
    if (ret < 0) {
        buffer_truncate(&r->text, at);
        r->overflow = true;
        return ret == -ENOMEM ? ret : 0;
    }
    r->messages[r->n++] =
        (struct event_message){.uid = uid, .modseq = modseq, .at = (uint32_t) at + 1, .len = (uint32_t) (buffer_len(&r->text) - at - 1)};
    return 0;
}

static void add_up(struct event_round *r, struct event_watch *w, uint32_t uid, struct slice flags)
{
    struct event_sub *s;
    uint64_t sum = event_flags_sum(uid, flags);
    if (uid < w->place.uidnext)
        r->sum += sum;
    else
        r->sum_new += sum;
    list_foreach (&w->subs, s, struct event_sub, link)
        if (s->takes_part && uid < s->place.uidnext)
            s->sum += sum;
}

int round_take(struct event_round *r, struct event_watch *w, struct slice items)
{
    struct imap_fetch_item item;
    struct slice flags = {NULL, 0};
    uint64_t uid = 0, modseq = 0;
    while (imap_fetch_next(&items, &item) > 0) {
        if (item.kind == IMAP_ITEM_UID && !imap_value_number(&item.value, UINT32_MAX, &uid))
            uid = 0;
        else if (item.kind == IMAP_ITEM_FLAGS && item.value.type == IMAP_LIST)
            flags = item.value.bytes.data ? item.value.bytes : SLICE("");
        else if (item.kind == IMAP_ITEM_MODSEQ && !slice_to_u64(slice_trim(item.value.bytes), INT64_MAX, &modseq))
            modseq = 0;
    }
    if (uid == 0)
        return 0;
    bool again = imap_set_contains(&r->found, (uint32_t) uid);
    r->top_modseq = MAX(r->top_modseq, modseq);
    r->top_uid = MAX(r->top_uid, (uint32_t) uid);
    int ret = again ? 0 : imap_set_add(&r->found, (uint32_t) uid, (uint32_t) uid);
    if (ret < 0)
        return ret;
    if (r->whole && again) {
        r->doubtful = true; /* changed while they were being counted */
        return 0;
    }
    if (r->whole)
        add_up(r, w, (uint32_t) uid, flags);
    return r->whole && uid < r->new_from ? 0 : remember(r, (uint32_t) uid, modseq, &flags);
}

/* --- what there is now --- */

int round_known(const struct event_round *r, const struct event_watch *w, struct imap_set *ret)
{
    uint32_t next = MAX(w->place.uidnext, r->top_uid == UINT32_MAX ? UINT32_MAX : r->top_uid + 1);
    struct imap_set fresh;
    int err = 0;
    if (r->whole)
        return set_join(ret, &r->found);
    if (r->has_list)
        return set_below(&r->listed, next, ret); /* what came after that is the next round's */
    imap_set_init(&fresh, EVENT_SET_RANGES);
    err = set_minus(&w->uids, &r->vanished, ret);
    for (size_t i = 0; i < r->found.n && err == 0; i++)
        if (r->found.ranges[i].last >= w->place.uidnext)
            err = add(&fresh, MAX(r->found.ranges[i].first, w->place.uidnext), r->found.ranges[i].last);
    if (err == 0)
        err = set_join(ret, &fresh);
    imap_set_done(&fresh);
    return err;
}

static int by_uid(const void *a, const void *b)
{
    const struct event_message *x = a, *y = b;
    if (x->uid != y->uid)
        return x->uid < y->uid ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* Of a message that was told twice the last word counts. */
static void order(struct event_round *r)
{
    size_t n = 0;
    if (r->n > 1)
        qsort(r->messages, r->n, sizeof(*r->messages), by_uid);
    for (size_t i = 0; i < r->n; i++)
        if (i + 1 == r->n || r->messages[i + 1].uid != r->messages[i].uid)
            r->messages[n++] = r->messages[i];
    r->n = n;
}

int round_adopt(struct event_round *r, struct event_watch *w, struct imap_set *ret_before, struct event_place *ret_place)
{
    struct imap_set known;
    imap_set_init(&known, EVENT_SET_RANGES);
    int err = round_known(r, w, &known);
    if (err < 0) {
        imap_set_done(&known);
        return err;
    }
    order(r);
    *ret_before = w->uids;
    *ret_place = w->place;
    w->uids = known;
    uint32_t top = MAX(r->top_uid, known.n ? known.ranges[known.n - 1].last : 0);
    if (top >= w->place.uidnext)
        w->place.uidnext = top == UINT32_MAX ? top : top + 1;
    w->place.exists = (uint32_t) imap_set_count(&known);
    if (r->since)
        w->place.modseq = MAX(w->place.modseq, r->top_modseq);
    w->place.flags = r->whole ? r->sum + r->sum_new : 0;
    return 0;
}
