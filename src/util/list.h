/* SPDX-License-Identifier: MIT */
/* An intrusive doubly linked list: the node lives in the object, the head is a node too, nothing is allocated.
 * A node that is in no list points at itself, so that list_remove() may be called at any time. */
#ifndef POSTERN_LIST_H
#define POSTERN_LIST_H

#include "macros.h"

#include <stdbool.h>

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_is_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_insert_before(struct list *where, struct list *node)
{
    node->prev = where->prev;
    node->next = where;
    where->prev->next = node;
    where->prev = node;
}

/* At the tail of the list with this head. */
static inline void list_append(struct list *head, struct list *node)
{
    list_insert_before(head, node);
}

static inline void list_prepend(struct list *head, struct list *node)
{
    list_insert_before(head->next, node);
}

static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* The first object, or NULL. */
#define list_first(head, type, member)                                                                                 \
    (list_is_empty(head) ? NULL : container_of((head)->next, type, member))
#define list_last(head, type, member) (list_is_empty(head) ? NULL : container_of((head)->prev, type, member))
/* The object behind `obj`, or NULL at the end. */
#define list_after(head, obj, type, member)                                                                            \
    ((obj)->member.next == (head) ? NULL : container_of((obj)->member.next, type, member))

/* Walks the objects; the body may remove and free the current one, and no other. */
#define list_foreach(head, it, type, member)                                                                           \
    for (struct list *it##_pos_ = (head)->next, *it##_next_ = it##_pos_->next;                                         \
         it##_pos_ != (head) && ((it) = container_of(it##_pos_, type, member), 1);                                     \
         it##_pos_ = it##_next_, it##_next_ = it##_pos_->next)

#endif
