/* SPDX-License-Identifier: MIT */
#include "fair_queue.h"

#include <errno.h>
#include <stdlib.h>

struct fair_user {
    struct list link;
    struct list clients;
    uid_t uid;
};

struct fair_client {
    struct list link;
    struct list exchanges;
    uint64_t id;
};

void fair_queue_init(struct fair_queue *q)
{
    list_init(&q->users);
    q->n = 0;
}

static void free_user(struct fair_user *u)
{
    struct fair_client *c;
    list_foreach(&u->clients, c, struct fair_client, link) {
        list_remove(&c->link);
        free(c);
    }
    list_remove(&u->link);
    free(u);
}

void fair_queue_done(struct fair_queue *q)
{
    struct fair_user *u;
    list_foreach(&q->users, u, struct fair_user, link)
        free_user(u);
}

static struct fair_user *find_user(struct fair_queue *q, uid_t uid)
{
    struct fair_user *u;
    list_foreach(&q->users, u, struct fair_user, link)
        if (u->uid == uid)
            return u;
    u = calloc(1, sizeof(*u));
    if (u) {
        u->uid = uid;
        list_init(&u->clients);
        list_append(&q->users, &u->link);
    }
    return u;
}

static struct fair_client *find_client(struct fair_user *u, uint64_t id)
{
    struct fair_client *c;
    list_foreach(&u->clients, c, struct fair_client, link)
        if (c->id == id)
            return c;
    c = calloc(1, sizeof(*c));
    if (c) {
        c->id = id;
        list_init(&c->exchanges);
        list_append(&u->clients, &c->link);
    }
    return c;
}

int fair_queue_add(struct fair_queue *q, struct exchange *x, bool front)
{
    struct fair_user *u = find_user(q, x->owner.uid);
    struct fair_client *c = u ? find_client(u, x->owner.client) : NULL;
    if (!c)
        return -ENOMEM;
    if (front) {
        list_prepend(&c->exchanges, &x->queue_link);
        list_remove(&c->link);
        list_prepend(&u->clients, &c->link);
        list_remove(&u->link);
        list_prepend(&q->users, &u->link);
    } else {
        list_append(&c->exchanges, &x->queue_link);
    }
    q->n++;
    return 0;
}

/* Nodes without exchanges are left behind by removals, and go when their turn comes. */
static struct fair_client *first_client(struct fair_queue *q, struct fair_user **ret_user)
{
    for (;;) {
        struct fair_user *u = list_first(&q->users, struct fair_user, link);
        if (!u)
            return NULL;
        struct fair_client *c = list_first(&u->clients, struct fair_client, link);
        if (!c) {
            free_user(u);
        } else if (list_is_empty(&c->exchanges)) {
            list_remove(&c->link);
            free(c);
        } else {
            *ret_user = u;
            return c;
        }
    }
}

struct exchange *fair_queue_peek(struct fair_queue *q)
{
    struct fair_user *u;
    struct fair_client *c = first_client(q, &u);
    return c ? list_first(&c->exchanges, struct exchange, queue_link) : NULL;
}

struct exchange *fair_queue_pop(struct fair_queue *q)
{
    struct fair_user *u;
    struct fair_client *c = first_client(q, &u);
    if (!c)
        return NULL;
    struct exchange *x = list_first(&c->exchanges, struct exchange, queue_link);
    fair_queue_remove(q, x);
    list_remove(&c->link);
    list_append(&u->clients, &c->link);
    list_remove(&u->link);
    list_append(&q->users, &u->link);
    return x;
}

void fair_queue_remove(struct fair_queue *q, struct exchange *x)
{
    list_remove(&x->queue_link);
    q->n--;
}

void fair_queue_walk(struct fair_queue *q, void (*fn)(struct exchange *x, void *arg), void *arg)
{
    struct fair_user *u;
    struct fair_client *c;
    struct exchange *x;
    list_foreach(&q->users, u, struct fair_user, link)
        list_foreach(&u->clients, c, struct fair_client, link)
            list_foreach(&c->exchanges, x, struct exchange, queue_link)
                fn(x, arg);
}
