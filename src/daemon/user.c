/* SPDX-License-Identifier: MIT */
#include "gateway.h"

#include <stdlib.h>

static uint64_t uid_hash(uint32_t uid)
{
    return hash_bytes(&uid, sizeof(uid));
}

static void user_free(struct user *u)
{
    hash_table_remove(&u->gateway->users, &u->node);
    spool_budget_done(&u->memory);
    free(u);
}

/* Users that nobody held when the last bytes charged to them were still under way. */
static void forget_idle(struct gateway *g)
{
    size_t pos = 0;
    for (struct hash_node *n = hash_table_walk(&g->users, &pos, NULL); n; n = hash_table_walk(&g->users, &pos, n)) {
        struct user *u = container_of(n, struct user, node);
        if (u->refs == 0 && u->memory.used == 0) {
            user_free(u);
            return;
        }
    }
}

struct user *user_get(struct gateway *g, uint32_t uid)
{
    uint64_t hash = uid_hash(uid);
    for (struct hash_node *n = hash_table_find(&g->users, hash); n; n = hash_next(n)) {
        struct user *u = container_of(n, struct user, node);
        if (u->uid == uid)
            return user_ref(u);
    }
    forget_idle(g);
    struct user *u = calloc(1, sizeof(*u));
    if (!u)
        return NULL;
    u->gateway = g;
    u->refs = 1;
    u->uid = uid;
    list_init(&u->file_queue);
    spool_budget_init(&u->memory, &g->memory, "user_memory", gateway_config(g)->user_memory);
    if (hash_table_insert(&g->users, hash, &u->node) < 0) {
        free(u);
        return NULL;
    }
    return u;
}

struct user *user_ref(struct user *u)
{
    if (u)
        u->refs++;
    return u;
}

struct user *user_unref(struct user *u)
{
    if (!u || --u->refs > 0)
        return NULL;
    if (u->memory.used == 0)
        user_free(u);
    return NULL;
}

void users_configure(struct gateway *g)
{
    size_t pos = 0;
    for (struct hash_node *n = hash_table_walk(&g->users, &pos, NULL); n; n = hash_table_walk(&g->users, &pos, n))
        spool_budget_set_max(&container_of(n, struct user, node)->memory, gateway_config(g)->user_memory);
}

void users_done(struct gateway *g)
{
    size_t pos;
    struct hash_node *n;
    while (pos = 0, (n = hash_table_walk(&g->users, &pos, NULL)) != NULL)
        user_free(container_of(n, struct user, node));
    hash_table_done(&g->users);
}
