/* SPDX-License-Identifier: MIT */
/* The unique ids that the last UIDL told, so that many calls on one connection need not ask again. Numbers and ids of a
 * connection belong together to its end (RFC 1939 section 7). */
#include "pop3_private.h"

#include "hash.h"

#include <errno.h>
#include <stdlib.h>

void pop3_ids_init(struct pop3_ids *ids)
{
    *ids = (struct pop3_ids){0};
    buffer_init(&ids->text, POP3_IDS_TEXT_MAX);
}

void pop3_ids_forget(struct pop3_ids *ids)
{
    free(ids->entries);
    buffer_done(&ids->text);
    pop3_ids_init(ids);
}

/* It is no failure where they cannot be kept: UIDL is asked again. */
static void give_up(struct pop3_ids *ids)
{
    pop3_ids_forget(ids);
    ids->overflown = true;
}

void pop3_ids_add(struct pop3_ids *ids, uint32_t number, struct slice id)
{
    if (ids->overflown)
        return;
    if (ids->n == ids->room) {
        size_t room = ids->room ? 2 * ids->room : 64;
        struct pop3_id *more = ids->n < POP3_IDS_MAX ? realloc(ids->entries, room * sizeof(*more)) : NULL;
        if (!more) {
            give_up(ids);
            return;
        }
        ids->entries = more;
        ids->room = room;
    }
    ids->entries[ids->n] = (struct pop3_id){
        .hash = hash_slice(id), .number = number, .at = (uint32_t) buffer_len(&ids->text), .len = (uint32_t) id.len};
    if (buffer_append_slice(&ids->text, id) < 0)
        give_up(ids);
    else
        ids->n++;
}

static int by_hash(const void *a, const void *b)
{
    uint64_t x = ((const struct pop3_id *) a)->hash, y = ((const struct pop3_id *) b)->hash;
    return (x > y) - (x < y);
}

void pop3_ids_end(struct pop3_ids *ids)
{
    if (ids->overflown)
        return;
    if (ids->n)
        qsort(ids->entries, ids->n, sizeof(*ids->entries), by_hash);
    ids->known = true;
}

/* The first place whose hash is not smaller. */
static size_t lower_bound(const struct pop3_ids *ids, uint64_t hash)
{
    size_t from = 0, to = ids->n;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (ids->entries[middle].hash < hash)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

unsigned pop3_ids_find(const struct pop3_ids *ids, struct slice id, uint32_t *ret)
{
    uint64_t hash = hash_slice(id);
    struct slice text = buffer_slice(&ids->text);
    unsigned found = 0;

    for (size_t i = lower_bound(ids, hash); i < ids->n && ids->entries[i].hash == hash; i++) {
        const struct pop3_id *entry = &ids->entries[i];
        if (!slice_eq(slice_to(slice_from(text, entry->at), entry->len), id))
            continue;
        *ret = entry->number;
        found++;
    }
    return found;
}
