/* SPDX-License-Identifier: MIT */
#include "hash.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static uint64_t hash_key[2];

/* Before main(), so that threads only ever read the key. */
__attribute__((constructor)) static void hash_seed(void)
{
    if (getrandom(hash_key, sizeof(hash_key), GRND_NONBLOCK) != (ssize_t) sizeof(hash_key)) {
        /* Early boot without entropy: addresses and the clock still differ from one process to the next. */
        struct timespec ts;
        clock_gettime(CLOCK_REALTIME, &ts);
        hash_key[0] = (uint64_t) ts.tv_nsec * 0x9e3779b97f4a7c15U ^ (uint64_t) (uintptr_t) &ts;
        hash_key[1] = (uint64_t) ts.tv_sec ^ (uint64_t) (uintptr_t) &hash_key << 16;
    }
}

static inline uint64_t rotl(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1], v[1] = rotl(v[1], 13) ^ v[0], v[0] = rotl(v[0], 32);
    v[2] += v[3], v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3], v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1], v[1] = rotl(v[1], 17) ^ v[2], v[2] = rotl(v[2], 32);
}

uint64_t hash_bytes(const void *data, size_t len)
{
    const unsigned char *p = data;
    uint64_t v[4] = {hash_key[0] ^ 0x736f6d6570736575U, hash_key[1] ^ 0x646f72616e646f6dU,
                     hash_key[0] ^ 0x6c7967656e657261U, hash_key[1] ^ 0x7465646279746573U};
    uint64_t tail = (uint64_t) len << 56, m;

    for (; len >= 8; len -= 8, p += 8) {
        memcpy(&m, p, 8);
        v[3] ^= m;
        sip_round(v), sip_round(v);
        v[0] ^= m;
    }
    for (size_t i = 0; i < len; i++)
        tail |= (uint64_t) p[i] << (8 * i);
    v[3] ^= tail;
    sip_round(v), sip_round(v);
    v[0] ^= tail;
    v[2] ^= 0xff;
    sip_round(v), sip_round(v), sip_round(v), sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void hash_table_init(struct hash_table *t)
{
    *t = (struct hash_table){0};
}

void hash_table_done(struct hash_table *t)
{
    if (!t)
        return;
    free(t->slots);
    *t = (struct hash_table){0};
}

static int hash_table_resize(struct hash_table *t, size_t n_slots)
{
    struct hash_node **slots = calloc(n_slots, sizeof(struct hash_node *));
    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < t->n_slots; i++)
        for (struct hash_node *n = t->slots[i], *next; n; n = next) {
            next = n->next;
            n->next = slots[n->hash & (n_slots - 1)];
            slots[n->hash & (n_slots - 1)] = n;
        }
    free(t->slots);
    t->slots = slots;
    t->n_slots = n_slots;
    return 0;
}

int hash_table_insert(struct hash_table *t, uint64_t hash, struct hash_node *node)
{
    if (t->count >= t->n_slots) {
        int r = hash_table_resize(t, t->n_slots ? t->n_slots * 2 : 16);
        if (r < 0 && t->n_slots == 0)
            return r;
    }
    struct hash_node **slot = &t->slots[hash & (t->n_slots - 1)];
    node->hash = hash;
    node->next = *slot;
    *slot = node;
    t->count++;
    return 0;
}

void hash_table_remove(struct hash_table *t, struct hash_node *node)
{
    if (t->n_slots == 0)
        return;
    for (struct hash_node **p = &t->slots[node->hash & (t->n_slots - 1)]; *p; p = &(*p)->next)
        if (*p == node) {
            *p = node->next;
            t->count--;
            return;
        }
}

struct hash_node *hash_table_find(const struct hash_table *t, uint64_t hash)
{
    if (t->n_slots == 0)
        return NULL;
    struct hash_node *n = t->slots[hash & (t->n_slots - 1)];
    while (n && n->hash != hash)
        n = n->next;
    return n;
}

struct hash_node *hash_next(const struct hash_node *node)
{
    uint64_t hash = node->hash;
    struct hash_node *n = node->next;
    while (n && n->hash != hash)
        n = n->next;
    return n;
}

struct hash_node *hash_table_walk(const struct hash_table *t, size_t *pos, struct hash_node *last)
{
    if (last && last->next)
        return last->next;
    while (*pos < t->n_slots) {
        struct hash_node *n = t->slots[(*pos)++];
        if (n)
            return n;
    }
    return NULL;
}
