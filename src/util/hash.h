/* SPDX-License-Identifier: MIT */
/* A hash table of objects that carry their own node, and the keyed hash (SipHash-2-4) that keeps peers from
 * choosing colliding keys. The table never owns its objects. Not thread-safe. */
#ifndef POSTERN_HASH_H
#define POSTERN_HASH_H

#include "macros.h"
#include "slice.h"

/* Keyed by a random number drawn once a process; the same bytes give the same value within a process. */
uint64_t hash_bytes(const void *data, size_t len);
static inline uint64_t hash_slice(struct slice s)
{
    return hash_bytes(s.data, s.len);
}

struct hash_node {
    struct hash_node *next;
    uint64_t hash;
};

struct hash_table {
    struct hash_node **slots;
    size_t n_slots; /* a power of two, or 0 */
    size_t count;
};

void hash_table_init(struct hash_table *t);
/* Frees the slots, not the objects. */
void hash_table_done(struct hash_table *t);
/* Adds `node` under `hash`; equal keys are the caller's matter. -ENOMEM when the table cannot grow from empty;
 * later growth that fails only makes it slower. */
int hash_table_insert(struct hash_table *t, uint64_t hash, struct hash_node *node) ATTR_WARN_UNUSED;
void hash_table_remove(struct hash_table *t, struct hash_node *node);
/* First node under `hash`, or NULL; hash_next() gives the further ones. The caller compares keys. */
struct hash_node *hash_table_find(const struct hash_table *t, uint64_t hash);
struct hash_node *hash_next(const struct hash_node *node);
/* Walks all nodes: start with *pos = 0; NULL at the end. The table must not change meanwhile. */
struct hash_node *hash_table_walk(const struct hash_table *t, size_t *pos, struct hash_node *last);

#endif
