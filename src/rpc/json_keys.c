/* SPDX-License-Identifier: MIT */
#include "json_keys.h"

#include "rpc_hash.h"

#include <errno.h>
#include <stdlib.h>

#define LINEAR_KEYS 16 /* objects of more keys are looked up in the slots */

ATTR_COLD int json_reader_fail(struct json_reader *r, int err, const char *error)
{
    if (!r->failed) {
        r->failed = err;
        r->error = error;
    }
    return r->failed;
}

void json_keyset_init(struct json_keyset *keys)
{
    *keys = (struct json_keyset){.cap = ARRAY_LEN(keys->few), .seed = hash_bytes("keys", 4)};
}

void json_keyset_done(struct json_keyset *keys)
{
    if (!keys)
        return;
    free(keys->hashes);
    free(keys->slots);
    json_keyset_init(keys);
}

static inline uint64_t *keyset_hashes(struct json_keyset *keys)
{
    return keys->hashes ? keys->hashes : keys->few;
}

void json_keys_reset(struct json_keyset *keys)
{
    keys->n = 0;
    if (keys->n_indexed) {
        memset(keys->slots, 0, keys->n_slots * sizeof(*keys->slots));
        keys->n_indexed = 0;
    }
}

static int keyset_grow(struct json_keyset *keys)
{
    size_t cap = keys->cap * 2;
    uint64_t *hashes = realloc(keys->hashes, cap * sizeof(*hashes));
    if (!hashes)
        return -ENOMEM;
    if (!keys->hashes)
        memcpy(hashes, keys->few, keys->n * sizeof(*hashes));
    keys->hashes = hashes;
    keys->cap = cap;
    return 0;
}

/* The slot that holds key `i`, or the free one where it belongs. */
static uint32_t *keyset_slot(struct json_keyset *keys, size_t i)
{
    const uint64_t *hashes = keyset_hashes(keys);
    size_t at = (size_t) hashes[i] & (keys->n_slots - 1);
    while (keys->slots[at] && keys->slots[at] != i + 1)
        at = (at + 1) & (keys->n_slots - 1);
    return &keys->slots[at];
}

static bool keyset_has(struct json_keyset *keys, uint64_t hash)
{
    const uint64_t *hashes = keyset_hashes(keys);
    size_t at = (size_t) hash & (keys->n_slots - 1);
    for (; keys->slots[at]; at = (at + 1) & (keys->n_slots - 1))
        if (hashes[keys->slots[at] - 1] == hash)
            return true;
    return false;
}

/* Moves to more slots, and puts the keys of all indexed levels into them. */
static int grow_slots(struct json_reader *r)
{
    struct json_keyset *keys = r->keys;
    size_t n_slots = 64;

    while (n_slots < keys->n * 4)
        n_slots *= 2;
    uint32_t *slots = calloc(n_slots, sizeof(*slots));
    if (!slots)
        return json_reader_fail(r, -ENOMEM, "out of memory");
    free(keys->slots);
    keys->slots = slots;
    keys->n_slots = n_slots;
    keys->n_indexed = 0;
    for (unsigned level = 0; level < r->depth; level++) {
        size_t to = level + 1 < r->depth ? r->base[level + 1] : keys->n;
        if (!(r->indexed >> level & 1))
            continue;
        for (size_t i = r->base[level]; i < to; i++) {
            *keyset_slot(keys, i) = (uint32_t) i + 1;
            keys->n_indexed++;
        }
    }
    return 0;
}

/* Puts the keys from `from` on, which are the innermost object's youngest, into the slots. */
static int index_keys(struct json_reader *r, size_t from)
{
    struct json_keyset *keys = r->keys;

    if ((keys->n_indexed + keys->n - from) * 2 > keys->n_slots)
        return grow_slots(r);
    for (size_t i = from; i < keys->n; i++) {
        *keyset_slot(keys, i) = (uint32_t) i + 1;
        keys->n_indexed++;
    }
    return 0;
}

int json_keys_note(struct json_reader *r, struct slice key)
{
    struct json_keyset *keys = r->keys;
    unsigned level = r->depth - 1;
    /* The level is mixed in, so that equal keys of different levels differ. */
    uint64_t hash = rpc_hash_short(key, keys->seed) ^ (level * UINT64_C(0x9e3779b97f4a7c15));
    bool indexed = r->indexed >> level & 1;

    if (indexed) {
        if (keyset_has(keys, hash))
            return json_reader_fail(r, -EBADMSG, "an object has the same key twice");
    } else {
        const uint64_t *hashes = keyset_hashes(keys);
        for (size_t i = r->base[level]; i < keys->n; i++)
            if (hashes[i] == hash)
                return json_reader_fail(r, -EBADMSG, "an object has the same key twice");
    }
    if (keys->n == JSON_KEYS_MAX)
        return json_reader_fail(r, -EBADMSG, "objects have too many keys");
    if (keys->n == keys->cap && keyset_grow(keys) < 0)
        return json_reader_fail(r, -ENOMEM, "out of memory");
    keyset_hashes(keys)[keys->n++] = hash;
    if (indexed)
        return index_keys(r, keys->n - 1);
    if (keys->n - r->base[level] > LINEAR_KEYS) {
        r->indexed |= UINT64_C(1) << level;
        return index_keys(r, r->base[level]);
    }
    return 0;
}

void json_keys_unindex(struct json_reader *r)
{
    struct json_keyset *keys = r->keys;

    /* The youngest first: in an open-addressed table, what was added last can be taken out by clearing its slot. */
    for (size_t i = keys->n; i-- > r->base[r->depth];) {
        *keyset_slot(keys, i) = 0;
        keys->n_indexed--;
    }
}
