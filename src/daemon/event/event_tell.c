/* SPDX-License-Identifier: MIT */
/* Events as notifications. A round may be several of them; all but the last bear the cursor of before, so that whoever goes on
 * from one of these misses nothing. */
#include "event.h"

#include "client.h"
#include "gateway.h"
#include "metrics.h"

#include <stdio.h>
#include <stdlib.h>

#define CHUNK_MESSAGES 500
#define CHUNK_TEXT 65536
#define CHUNK_RANGES 2000

/* --- one notification --- */

static struct json_writer *begin(const struct event_sub *s, const struct event_place *cursor, const char *kind)
{
    const struct event_watch *w = s->watch;
    const char *account = account_name(w->account);
    char text[EVENT_CURSOR_SIZE];
    struct json_writer *j = rpc_peer_notify_begin(&s->client->rpc, "event");
    event_cursor_write(cursor, account, slice_of_str(w->mailbox), text);
    json_write_object_begin(j);
    json_write_member_str(j, "subscription", s->id);
    json_write_member_str(j, "account", account);
    json_write_member_str(j, "mailbox", w->mailbox);
    json_write_member_uint(j, "uidvalidity", cursor->uidvalidity);
    json_write_member_str(j, "cursor", text);
    json_write_member_str(j, "kind", kind);
    metrics_count_event(w->gateway->metrics, kind);
    return j;
}

static void end(struct event_sub *s, struct json_writer *j)
{
    json_write_object_end(j);
    if (rpc_peer_notify_end(&s->client->rpc) < 0)
        s->resync = "memory"; /* due, as soon as there is some */
    client_flush_later(s->client);
}

static void write_ranges(struct json_writer *j, const struct number_range *ranges, size_t n)
{
    char piece[32];
    json_write_key(j, "uids");
    json_write_string_begin(j);
    for (size_t i = 0; i < n && j->out && !j->error; i++) {
        int len = ranges[i].first == ranges[i].last
                      ? snprintf(piece, sizeof(piece), "%s%u", i ? "," : "", ranges[i].first)
                      : snprintf(piece, sizeof(piece), "%s%u:%u", i ? "," : "", ranges[i].first, ranges[i].last);
        j->error = buffer_append(j->out, piece, (size_t) len);
    }
    json_write_string_end(j);
}

static void write_empty(struct json_writer *j)
{
    json_write_key(j, "messages");
    json_write_array_begin(j);
    json_write_array_end(j);
}

/* --- messages --- */

static const struct event_message *find(const struct event_details *d, uint32_t uid)
{
    size_t low = 0, high = d ? d->n : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (d->messages[middle].uid < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return d && low < d->n && d->messages[low].uid == uid ? &d->messages[low] : NULL;
}

static struct slice text_of(const struct buffer *b, const struct event_message *m)
{
    return slice_to(slice_from(buffer_slice(b), m->at), m->len);
}

static void write_message(struct json_writer *j, const struct event_round *r, const struct event_message *m,
                          const struct event_details *d, struct buffer *scratch)
{
    const struct event_message *more = find(d, m->uid);
    buffer_clear(scratch);
    int err = buffer_append_char(scratch, '{');
    if (err == 0)
        err = buffer_append_slice(scratch, text_of(&r->text, m));
    if (err == 0 && more && more->len) {
        err = buffer_append_char(scratch, ',');
        if (err == 0)
            err = buffer_append_slice(scratch, text_of(&d->text, more));
    }
    if (err == 0)
        err = buffer_append_char(scratch, '}');
    if (err == 0)
        json_write_raw(j, buffer_slice(scratch));
    else if (!j->error)
        j->error = err;
}

/* Messages of one kind are picked out of the round, which is in order. */
struct picks {
    const struct event_message **messages;
    size_t n;
};

static void tell_chunk(struct event_sub *s, const struct event_place *cursor, const char *kind, const struct event_round *r,
                       const struct event_message *const *messages, size_t n, const struct event_details *d)
{
    struct json_writer *j = begin(s, cursor, kind);
    struct number_range ranges[CHUNK_MESSAGES];
    struct buffer scratch;
    size_t n_ranges = 0;
    buffer_init(&scratch, EVENT_ROUND_TEXT);
    json_write_key(j, "messages");
    json_write_array_begin(j);
    for (size_t i = 0; i < n; i++) {
        uint32_t uid = messages[i]->uid;
        write_message(j, r, messages[i], d, &scratch);
        if (n_ranges && ranges[n_ranges - 1].last + 1 == uid)
            ranges[n_ranges - 1].last = uid;
        else
            ranges[n_ranges++] = (struct number_range){uid, uid};
    }
    json_write_array_end(j);
    write_ranges(j, ranges, n_ranges);
    end(s, j);
    buffer_done(&scratch);
}

static void tell_messages(struct event_sub *s, const char *kind, const struct event_round *r, const struct picks *p,
                          const struct event_details *d, bool last)
{
    for (size_t i = 0; i < p->n;) {
        size_t n = 0, bytes = 0;
        while (i + n < p->n && n < CHUNK_MESSAGES && bytes < CHUNK_TEXT) {
            const struct event_message *more = find(d, p->messages[i + n]->uid);
            bytes += p->messages[i + n]->len + (more ? more->len : 0);
            n++;
        }
        tell_chunk(s, last && i + n == p->n ? &s->watch->place : &s->place, kind, r, p->messages + i, n, d);
        i += n;
    }
}

static void tell_vanished(struct event_sub *s, const struct imap_set *uids, bool last)
{
    for (size_t i = 0; i < uids->n; i += CHUNK_RANGES) {
        size_t n = MIN(uids->n - i, (size_t) CHUNK_RANGES);
        struct json_writer *j = begin(s, last && i + n == uids->n ? &s->watch->place : &s->place, "vanished");
        write_empty(j);
        write_ranges(j, uids->ranges + i, n);
        end(s, j);
    }
}

/* --- rounds --- */

/* What has gone of what the subscription knew. */
static int find_vanished(const struct event_sub *s, const struct event_round *r, const struct imap_set *before,
                         bool was_current, struct imap_set *ret)
{
    const struct event_watch *w = s->watch;
    struct imap_set part, all;
    int err;
    if (was_current)
        return set_minus(before, &w->uids, ret);
    imap_set_init(&part, EVENT_SET_RANGES);
    imap_set_init(&all, EVENT_SET_RANGES);
    if (r->vanished.n > 0) {
        err = set_below(&r->vanished, s->place.uidnext, &part);
        /* And what went after the server had looked, but before it counted. */
        if (err == 0)
            err = set_minus(before, &w->uids, &all);
        for (size_t i = 0; i < all.n && err == 0 && all.ranges[i].first < s->place.uidnext; i++)
            err = imap_set_add(&part, all.ranges[i].first, MIN(all.ranges[i].last, s->place.uidnext - 1));
        if (err == 0)
            err = set_minus(&part, &w->uids, ret);
    } else {
        err = set_below(&w->uids, s->place.uidnext, &part);
        /* Where the count is right nothing has gone: what was there once cannot come back. */
        if (err == 0 && s->place.uidnext > 1 && imap_set_count(&part) != s->place.exists) {
            err = imap_set_add(&all, 1, s->place.uidnext - 1);
            if (err == 0)
                err = set_minus(&all, &part, ret);
        }
    }
    imap_set_done(&part);
    imap_set_done(&all);
    return err;
}

/* Why all that is left to say is "list again"; NULL: it can be told what happened. */
static const char *must_resync(const struct event_sub *s, const struct event_round *r, const struct event_place *was,
                               bool was_current)
{
    const struct event_watch *w = s->watch;
    struct imap_set below;
    if (r->overflow)
        return "too_many_changes";
    if (s->place.uidnext > w->place.uidnext || (s->place.modseq != 0) != (w->place.modseq != 0))
        return "cursor";
    if (r->since)
        return NULL;
    /* Without CONDSTORE only new messages can be told for sure. */
    imap_set_init(&below, EVENT_SET_RANGES);
    int err = set_below(&w->uids, s->place.uidnext, &below);
    bool gone = err < 0 || imap_set_count(&below) != s->place.exists;
    imap_set_done(&below);
    if (gone)
        return "vanished";
    uint64_t sum = was_current ? r->sum : s->sum, known = was_current ? was->flags : s->place.flags;
    return r->whole && (known || s->place.exists == 0) && sum != known ? "changed" : NULL;
}

void event_tell_state(struct event_sub *s, const char *kind, const char *reason)
{
    bool resync = kind[0] == 'r';
    if (resync)
        s->resync = NULL; /* until that, too, finds no room */
    const struct event_place *cursor = resync || !s->placed ? &s->watch->place : &s->place;
    struct json_writer *j = begin(s, cursor, kind);
    write_empty(j);
    write_ranges(j, NULL, 0);
    if (reason)
        json_write_member_str(j, "reason", reason);
    end(s, j);
    if (resync && !s->resync) {
        s->place = s->watch->place;
        s->placed = true;
    }
}

void event_tell_round(struct event_sub *s, const struct event_round *r, const struct imap_set *before,
                      const struct event_place *was, const struct event_details *details)
{
    bool was_current = event_place_eq(&s->place, was);
    const char *resync = must_resync(s, r, was, was_current);
    struct picks fresh = {NULL, 0}, changed = {NULL, 0};
    struct imap_set vanished;
    imap_set_init(&vanished, EVENT_SET_RANGES);
    if (!resync && r->n) {
        fresh.messages = calloc(r->n, sizeof(*fresh.messages));
        changed.messages = calloc(r->n, sizeof(*changed.messages));
        if (!fresh.messages || !changed.messages)
            resync = "memory";
    }
    if (!resync && (r->since || was_current) && find_vanished(s, r, before, was_current, &vanished) < 0)
        resync = "too_many_changes";
    if (resync) {
        event_tell_state(s, "resync", resync);
    } else {
        for (size_t i = 0; i < r->n; i++) {
            const struct event_message *m = &r->messages[i];
            if (!imap_set_contains(&s->watch->uids, m->uid))
                continue;
            if (m->uid >= s->place.uidnext)
                fresh.messages[fresh.n++] = m;
            else if (r->since && (m->modseq > s->place.modseq || !m->modseq))
                changed.messages[changed.n++] = m;
        }
        tell_vanished(s, &vanished, changed.n + fresh.n == 0);
        tell_messages(s, "changed", r, &changed, NULL, fresh.n == 0);
        tell_messages(s, "new", r, &fresh, details, true);
        s->place = s->watch->place;
    }
    free(fresh.messages);
    free(changed.messages);
    imap_set_done(&vanished);
}
