/* SPDX-License-Identifier: MIT */
#include "mime_thread.h"

#include "hash.h"
#include "mime_subject.h"

#include <errno.h>
#include <stdlib.h>

#define WALK_BUDGET 64u /* steps towards a root for each message; chains that ask for more are cut */

/* --- sorting --- */

static const char *const sort_keys[MIME_SORT_KEY_COUNT] = {
    [MIME_SORT_ARRIVAL] = "ARRIVAL", [MIME_SORT_CC] = "CC",     [MIME_SORT_DATE] = "DATE",
    [MIME_SORT_FROM] = "FROM",       [MIME_SORT_SIZE] = "SIZE", [MIME_SORT_SUBJECT] = "SUBJECT",
    [MIME_SORT_TO] = "TO",           [MIME_SORT_DISPLAYFROM] = "DISPLAYFROM", [MIME_SORT_DISPLAYTO] = "DISPLAYTO",
};

enum mime_sort_key mime_sort_key_find(struct slice name)
{
    unsigned i = 0;
    while (i < MIME_SORT_KEY_COUNT && !slice_eq_ci(name, slice_of_str(sort_keys[i])))
        i++;
    return (enum mime_sort_key) i;
}

static int compare_numbers(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_by(const struct mime_thread_item *a, const struct mime_thread_item *b, enum mime_sort_key key)
{
    switch (key) {
    case MIME_SORT_ARRIVAL:
        return compare_numbers(a->arrival, b->arrival);
    case MIME_SORT_CC:
        return mime_collate(a->cc, b->cc);
    case MIME_SORT_DATE:
        return compare_numbers(a->date, b->date);
    case MIME_SORT_FROM:
        return mime_collate(a->from, b->from);
    case MIME_SORT_SIZE:
        return a->size < b->size ? -1 : a->size > b->size;
    case MIME_SORT_SUBJECT:
        return mime_collate(a->subject, b->subject);
    case MIME_SORT_TO:
        return mime_collate(a->to, b->to);
    case MIME_SORT_DISPLAYFROM:
        return mime_collate(a->display_from, b->display_from);
    case MIME_SORT_DISPLAYTO:
        return mime_collate(a->display_to, b->display_to);
    case MIME_SORT_KEY_COUNT:
        break;
    }
    return 0;
}

struct criteria {
    const struct mime_sort_criterion *list;
    size_t n;
};

static int compare_items(const void *x, const void *y, void *arg)
{
    const struct mime_thread_item *a = x, *b = y;
    const struct criteria *c = arg;
    for (size_t i = 0; i < c->n; i++) {
        int r = compare_by(a, b, c->list[i].key);
        if (r)
            return c->list[i].reverse ? -r : r;
    }
    return a->order < b->order ? -1 : a->order > b->order;
}

void mime_sort_items(struct mime_thread_item *items, size_t n, const struct mime_sort_criterion *criteria, size_t n_criteria)
{
    struct criteria c = {criteria, n_criteria};
    if (n > 1)
        qsort_r(items, n, sizeof(*items), compare_items, &c);
}

/* --- trees --- */

struct node {
    struct hash_node hash; /* by id, or by subject */
    const struct mime_thread_item *item; /* NULL: a message that is only referred to */
    struct slice id;
    struct node *parent, *first, *last, *next, *prev;
    struct node *made_before;
    int64_t key; /* what siblings are sorted by, */
    uint32_t order; /* and then by this */
};

struct forest {
    struct arena *arena;
    struct hash_table ids;
    struct node top; /* its children are the roots */
    struct node *made; /* the newest */
    size_t n_nodes;
    uint64_t steps; /* that may still be walked */
};

static struct node *node_new(struct forest *f, const struct mime_thread_item *item)
{
    struct node *node = arena_alloc(f->arena, sizeof(*node));
    if (!node)
        return NULL;
    node->item = item;
    node->made_before = f->made;
    f->made = node;
    f->n_nodes++;
    return node;
}

static void unlink_node(struct node *n)
{
    if (!n->parent)
        return;
    if (n->prev)
        n->prev->next = n->next;
    else
        n->parent->first = n->next;
    if (n->next)
        n->next->prev = n->prev;
    else
        n->parent->last = n->prev;
    n->parent = n->next = n->prev = NULL;
}

static void append(struct node *parent, struct node *n)
{
    unlink_node(n);
    n->parent = parent;
    n->prev = parent->last;
    if (parent->last)
        parent->last->next = n;
    else
        parent->first = n;
    parent->last = n;
}

/* `n` is `a`, or below it; also where it would take too long to say. */
static bool is_below(struct forest *f, const struct node *n, const struct node *a)
{
    if (!a->first)
        return n == a;
    for (; n && n != a; n = n->parent) {
        if (f->steps == 0)
            return true;
        f->steps--;
    }
    return n == a;
}

/* A walk in which children come before their parents; the next node must be asked for before the present one is moved. */
static struct node *deepest(struct node *n)
{
    while (n->first)
        n = n->first;
    return n;
}

static struct node *after_children(struct node *n)
{
    return n->next ? deepest(n->next) : n->parent;
}

static int compare_nodes(const void *x, const void *y)
{
    const struct node *a = *(struct node *const *) x, *b = *(struct node *const *) y;
    int r = compare_numbers(a->key, b->key);
    return r ? r : a->order < b->order ? -1 : a->order > b->order;
}

static void sort_children(struct node *parent, struct node **scratch)
{
    size_t n = 0;
    bool sorted = true;
    for (struct node *c = parent->first; c; c = c->next) {
        sorted = sorted && (n == 0 || compare_nodes(&scratch[n - 1], &c) <= 0);
        scratch[n++] = c;
    }
    if (sorted)
        return;
    qsort(scratch, n, sizeof(*scratch), compare_nodes);
    parent->first = parent->last = NULL;
    for (size_t i = 0; i < n; i++) {
        scratch[i]->parent = NULL;
        scratch[i]->next = scratch[i]->prev = NULL;
        append(parent, scratch[i]);
    }
}

/* Sorts all siblings by date. What is no message goes by the first below it. */
static void sort_forest(struct forest *f, struct node **scratch)
{
    for (struct node *n = deepest(&f->top), *next; n; n = next) {
        next = n == &f->top ? NULL : after_children(n);
        sort_children(n, scratch);
        if (n->item) {
            n->key = n->item->date;
            n->order = n->item->order;
        } else if (n->first) {
            n->key = n->first->key;
            n->order = n->first->order;
        }
    }
}

/* --- writing --- */

static int write_char(struct buffer *out, char c, int ret)
{
    return ret < 0 ? ret : buffer_append_char(out, c);
}

/* thread-members = nz-number *(SP nz-number) [SP thread-nested]; an only child follows its parent, others are in parentheses. */
static int write_forest(const struct forest *f, struct buffer *out)
{
    int ret = 0;
    for (const struct node *n = f->top.first; n && ret == 0;) {
        bool alone = n->parent != &f->top && n->parent->item && !n->next && !n->prev;
        if (alone)
            ret = write_char(out, ' ', ret);
        else if (n->parent != &f->top && n->parent->item && !n->prev)
            ret = write_char(out, '(', write_char(out, ' ', ret));
        else
            ret = write_char(out, '(', ret);
        if (n->item && ret == 0)
            ret = buffer_append_u64(out, n->item->number);
        if (n->first) {
            n = n->first;
            continue;
        }
        for (; n != &f->top; n = n->parent) {
            alone = n->parent != &f->top && n->parent->item && !n->next && !n->prev;
            if (!alone)
                ret = write_char(out, ')', ret);
            if (n->next)
                break;
        }
        n = n == &f->top ? NULL : n->next;
    }
    return ret;
}

/* --- by subject --- */

static const struct mime_sort_criterion by_subject[] = {{MIME_SORT_SUBJECT, false}, {MIME_SORT_DATE, false}};

static int thread_by_subject(struct forest *f, struct mime_thread_item *items, size_t n)
{
    struct node *first = NULL;
    mime_sort_items(items, n, by_subject, ARRAY_LEN(by_subject));
    for (size_t i = 0; i < n; i++) {
        struct node *node = node_new(f, &items[i]);
        if (!node)
            return -ENOMEM;
        if (!first || mime_collate(first->item->subject, items[i].subject) != 0)
            append(&f->top, first = node);
        else
            append(first, node);
    }
    return 0;
}

/* --- by references: the steps of RFC 5256 --- */

static struct node *find_id(struct forest *f, struct slice id)
{
    struct hash_node *h = hash_table_find(&f->ids, hash_slice(id));
    while (h && !slice_eq(container_of(h, struct node, hash)->id, id))
        h = hash_next(h);
    return h ? container_of(h, struct node, hash) : NULL;
}

static struct node *node_of_id(struct forest *f, struct slice id)
{
    struct node *node = find_id(f, id);
    if (node)
        return node;
    node = node_new(f, NULL);
    if (!node)
        return NULL;
    node->id = id;
    return hash_table_insert(&f->ids, hash_slice(id), &node->hash) < 0 ? NULL : node;
}

/* Step 1: links as they are told. */
static int link_item(struct forest *f, const struct mime_thread_item *item)
{
    struct node *parent = NULL, *node = item->message_id.len ? node_of_id(f, item->message_id) : node_new(f, NULL);
    if (!node)
        return -ENOMEM;
    if (node->item && !(node = node_new(f, NULL))) /* the id is another's already */
        return -ENOMEM;
    node->item = item;
    for (size_t i = 0; i < item->n_references; i++) {
        struct node *child = node_of_id(f, item->references[i]);
        if (!child)
            return -ENOMEM;
        if (parent && !child->parent && !is_below(f, parent, child))
            append(parent, child);
        parent = child;
    }
    if (!parent || parent == node->parent)
        return 0;
    if (is_below(f, parent, node))
        return 0;
    append(parent, node); /* what others say of a message counts less than what it says itself */
    return 0;
}

/* Step 3: what is no message goes, its children take its place; but among the roots it holds several together. */
static void prune(struct forest *f)
{
    for (struct node *n = deepest(&f->top), *next; n && n != &f->top; n = next) {
        next = after_children(n);
        if (n->item || (n->parent == &f->top && n->first && n->first != n->last))
            continue;
        struct node *parent = n->parent;
        if (n->first) {
            for (struct node *c = n->first; c; c = c->next)
                c->parent = parent;
            n->first->prev = n->prev;
            n->last->next = n->next;
            if (n->prev)
                n->prev->next = n->first;
            else
                parent->first = n->first;
            if (n->next)
                n->next->prev = n->last;
            else
                parent->last = n->last;
        } else {
            unlink_node(n);
        }
    }
}

static struct slice subject_of(const struct node *root, bool *ret_reply)
{
    const struct node *n = root->item ? root : root->first;
    *ret_reply = n && n->item && n->item->reply;
    return n && n->item ? n->item->subject : SLICE_EMPTY;
}

struct subject {
    struct hash_node hash;
    struct slice text;
    struct node *node;
    struct subject *next;
};

static struct subject *find_subject(const struct hash_table *t, struct slice text)
{
    struct hash_node *h = hash_table_find(t, hash_slice(text));
    while (h && !slice_eq(container_of(h, struct subject, hash)->text, text))
        h = hash_next(h);
    return h ? container_of(h, struct subject, hash) : NULL;
}

/* Step 5 B: for each subject the root that is most like the beginning of a thread. */
static int note_subject(struct forest *f, struct hash_table *t, struct node *root)
{
    bool reply, other;
    struct slice text = subject_of(root, &reply);
    if (text.len == 0)
        return 0;
    struct subject *s = find_subject(t, text);
    if (!s) {
        s = arena_alloc(f->arena, sizeof(*s));
        if (!s)
            return -ENOMEM;
        s->text = text;
        s->node = root;
        return hash_table_insert(t, hash_slice(text), &s->hash);
    }
    (void) subject_of(s->node, &other);
    if (s->node->item && (!root->item || (other && !reply)))
        s->node = root;
    return 0;
}

/* Step 5 C. */
static int merge_root(struct forest *f, const struct hash_table *t, struct node *root)
{
    bool reply, other;
    struct slice text = subject_of(root, &reply);
    struct subject *s = text.len ? find_subject(t, text) : NULL;
    if (!s || s->node == root)
        return 0;
    struct node *with = s->node;
    (void) subject_of(with, &other);
    if (!root->item && !with->item) {
        while (root->first)
            append(with, root->first);
        unlink_node(root);
    } else if (!with->item || (reply && !other)) {
        append(with, root);
    } else {
        struct node *both = node_new(f, NULL);
        if (!both)
            return -ENOMEM;
        append(&f->top, both);
        append(both, with);
        append(both, root);
        s->node = both;
    }
    return 0;
}

static int merge_subjects(struct forest *f, struct node **roots)
{
    struct hash_table table;
    size_t n = 0;
    int ret = 0;
    hash_table_init(&table);
    for (struct node *r = f->top.first; r; r = r->next)
        roots[n++] = r;
    for (size_t i = 0; i < n && ret == 0; i++)
        ret = note_subject(f, &table, roots[i]);
    for (size_t i = 0; i < n && ret == 0; i++)
        ret = merge_root(f, &table, roots[i]);
    hash_table_done(&table);
    return ret;
}

/* Of REFS: threads by the latest message in each. */
static void sort_by_latest(struct forest *f, struct node **scratch)
{
    for (struct node *n = deepest(&f->top), *next; n; n = next) {
        next = n == &f->top ? NULL : after_children(n);
        n->key = n->item ? n->item->date : INT64_MIN;
        n->order = n->item ? n->item->order : UINT32_MAX;
        for (const struct node *c = n->first; c; c = c->next) {
            if (!n->item)
                n->order = MIN(n->order, c->order);
            n->key = MAX(n->key, c->key);
        }
    }
    sort_children(&f->top, scratch);
}

static int thread_by_references(struct forest *f, struct mime_thread_item *items, size_t n, bool refs)
{
    int ret = 0;
    mime_sort_items(items, n, NULL, 0);
    f->steps = WALK_BUDGET * (uint64_t) n + 65536;
    for (size_t i = 0; i < n && ret == 0; i++)
        ret = link_item(f, &items[i]);
    /* Step 2: the roots; their order comes with sorting. */
    for (struct node *node = f->made; node && ret == 0; node = node->made_before)
        if (!node->parent)
            append(&f->top, node);
    if (ret < 0)
        return ret;
    prune(f);
    /* Each merging of two subjects makes one more. */
    struct node **scratch = arena_calloc(f->arena, f->n_nodes * 2 + 1, sizeof(*scratch));
    if (!scratch)
        return -ENOMEM;
    sort_forest(f, scratch);
    if (refs) {
        sort_by_latest(f, scratch);
        return 0;
    }
    ret = merge_subjects(f, scratch);
    if (ret == 0)
        sort_forest(f, scratch);
    return ret;
}

/* --- all of it --- */

static const char *const algorithms[MIME_THREAD_ALGORITHM_COUNT] = {
    [MIME_THREAD_ORDEREDSUBJECT] = "ORDEREDSUBJECT",
    [MIME_THREAD_REFERENCES] = "REFERENCES",
    [MIME_THREAD_REFS] = "REFS",
};

enum mime_thread_algorithm mime_thread_algorithm_find(struct slice name)
{
    unsigned i = 0;
    while (i < MIME_THREAD_ALGORITHM_COUNT && !slice_eq_ci(name, slice_of_str(algorithms[i])))
        i++;
    return (enum mime_thread_algorithm) i;
}

size_t mime_thread_memory(const struct mime_thread_item *items, size_t n)
{
    /* its own, one that joins two of a subject, and each id that it names; each with its places in tables and lists */
    const size_t node = sizeof(struct node) + 6 * sizeof(void *);
    size_t nodes = 0;
    for (size_t i = 0; i < n; i++)
        nodes += 2 + items[i].n_references;
    return nodes * node + n * (sizeof(struct subject) + 2 * sizeof(void *)) + 65536;
}

int mime_thread_items(struct arena *a, enum mime_thread_algorithm algorithm, struct mime_thread_item *items, size_t n,
                      struct buffer *ret)
{
    struct forest f = {.arena = a};
    int r;
    hash_table_init(&f.ids);
    if (algorithm == MIME_THREAD_ORDEREDSUBJECT) {
        r = thread_by_subject(&f, items, n);
        struct node **scratch = r == 0 ? arena_calloc(a, f.n_nodes + 1, sizeof(*scratch)) : NULL;
        if (scratch)
            sort_forest(&f, scratch);
        else
            r = -ENOMEM;
    } else {
        r = thread_by_references(&f, items, n, algorithm == MIME_THREAD_REFS);
    }
    hash_table_done(&f.ids);
    return r < 0 ? r : write_forest(&f, ret);
}
