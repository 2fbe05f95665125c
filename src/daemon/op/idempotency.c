/* SPDX-License-Identifier: MIT */
#include "idempotency.h"

#include "hash.h"

#include <errno.h>
#include <stdlib.h>

enum record_state { RECORD_RUNNING, RECORD_ENDED, RECORD_FORGOTTEN };

/* What one uid keeps. */
struct key_user {
    struct hash_node node;
    uint32_t uid;
    size_t bytes, records;
};

struct idempotency_record {
    struct hash_node node;
    struct list link; /* of the ended ones, oldest first */
    struct idempotency *table;
    struct key_user *user;
    unsigned refs;
    enum record_state state;
    uint64_t digest, expires_ms, lifetime_ms;
    size_t bytes;
    struct list waiters;
    struct idempotency_answer answer;
    char *texts;       /* result and rejected */
    size_t name_len;
    char name[];       /* account, NUL, key */
};

struct idempotency {
    struct loop *loop;
    struct hash_table records, users;
    struct list ended;
    struct list woken; /* waiters whose record has ended */
    struct loop_task task;
};

static void wake(void *arg)
{
    struct idempotency *t = arg;
    struct list batch;

    /* Those who begin anew may wait again, and are then behind this batch. */
    list_init(&batch);
    while (!list_is_empty(&t->woken)) {
        struct list *l = t->woken.next;
        list_remove(l);
        list_append(&batch, l);
    }
    while (!list_is_empty(&batch)) {
        struct idempotency_waiter *w = list_first(&batch, struct idempotency_waiter, link);
        list_remove(&w->link);
        w->ready(w);
    }
}

struct idempotency *idempotency_new(struct loop *l)
{
    struct idempotency *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->loop = l;
    hash_table_init(&t->records);
    hash_table_init(&t->users);
    list_init(&t->ended);
    list_init(&t->woken);
    loop_task_init(&t->task, l, wake, t);
    return t;
}

static void user_give(struct idempotency *t, struct key_user *u, size_t bytes)
{
    u->bytes -= bytes;
    if (--u->records)
        return;
    hash_table_remove(&t->users, &u->node);
    free(u);
}

/* Out of the table; whoever holds a reference keeps the object. */
static void forget(struct idempotency_record *r)
{
    if (r->state == RECORD_FORGOTTEN)
        return;
    r->state = RECORD_FORGOTTEN;
    hash_table_remove(&r->table->records, &r->node);
    list_remove(&r->link);
    user_give(r->table, r->user, r->bytes);
    r->table = NULL;
    idempotency_unref(r);
}

void idempotency_free(struct idempotency *t)
{
    struct hash_node *n, *next;
    size_t pos = 0;

    if (!t)
        return;
    loop_task_cancel(&t->task);
    while (!list_is_empty(&t->woken))
        list_remove(t->woken.next);
    for (n = hash_table_walk(&t->records, &pos, NULL); n; n = next) {
        struct idempotency_record *r = container_of(n, struct idempotency_record, node);
        while (!list_is_empty(&r->waiters))
            list_remove(r->waiters.next);
        forget(r);
        pos = 0;
        next = hash_table_walk(&t->records, &pos, NULL);
    }
    hash_table_done(&t->records);
    hash_table_done(&t->users);
    free(t);
}

struct idempotency_record *idempotency_ref(struct idempotency_record *r)
{
    r->refs++;
    return r;
}

struct idempotency_record *idempotency_unref(struct idempotency_record *r)
{
    if (r && --r->refs == 0) {
        free(r->texts);
        free(r);
    }
    return NULL;
}

static void expire(struct idempotency *t)
{
    uint64_t now = loop_now_ms(t->loop);
    struct idempotency_record *r;

    while ((r = list_first(&t->ended, struct idempotency_record, link)) && r->expires_ms <= now)
        forget(r);
}

static struct key_user *user_of(struct idempotency *t, uint32_t uid)
{
    uint64_t hash = hash_bytes(&uid, sizeof(uid));
    struct key_user *u;

    for (struct hash_node *n = hash_table_find(&t->users, hash); n; n = hash_next(n)) {
        u = container_of(n, struct key_user, node);
        if (u->uid == uid)
            return u;
    }
    u = calloc(1, sizeof(*u));
    if (!u)
        return NULL;
    u->uid = uid;
    if (hash_table_insert(&t->users, hash, &u->node) < 0) {
        free(u);
        return NULL;
    }
    return u;
}

static struct idempotency_record *find(struct idempotency *t, uint64_t hash, uint32_t uid, struct slice name)
{
    for (struct hash_node *n = hash_table_find(&t->records, hash); n; n = hash_next(n)) {
        struct idempotency_record *r = container_of(n, struct idempotency_record, node);
        if (r->user->uid == uid && slice_eq(slice_of(r->name, r->name_len), name))
            return r;
    }
    return NULL;
}

static int add(struct idempotency *t, uint64_t hash, struct key_user *u, struct idempotency_record *r)
{
    if (hash_table_insert(&t->records, hash, &r->node) < 0)
        return -ENOMEM;
    r->table = t;
    r->user = u;
    r->bytes = sizeof(*r) + r->name_len;
    u->bytes += r->bytes;
    u->records++;
    return 0;
}

int idempotency_begin(struct idempotency *t, uint32_t uid, struct slice account, struct slice key, uint64_t digest,
                      uint64_t lifetime_ms, struct idempotency_record **ret, struct fault *fault)
{
    size_t len = account.len + 1 + key.len;
    struct idempotency_record *r = calloc(1, sizeof(*r) + len);

    expire(t);
    if (!r)
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
    r->name_len = len;
    if (account.len)
        memcpy(r->name, account.data, account.len);
    memcpy(r->name + account.len + 1, key.data, key.len);
    uint64_t hash = hash_bytes(r->name, len) ^ uid;
    struct idempotency_record *old = find(t, hash, uid, slice_of(r->name, len));
    /* A shorter lifetime than that of older records: their place in the row hides it. */
    if (old && old->state == RECORD_ENDED && old->expires_ms <= loop_now_ms(t->loop)) {
        forget(old);
        old = NULL;
    }
    if (old) {
        free(r);
        if (old->digest != digest)
            return fault_set(fault, -EEXIST, FAULT_CONFLICT, NULL, "the idempotency key was used with other parameters");
        *ret = idempotency_ref(old);
        return old->state == RECORD_ENDED ? IDEMPOTENCY_ENDED : IDEMPOTENCY_RUNNING;
    }
    struct key_user *u = user_of(t, uid);
    if (!u) {
        free(r);
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
    }
    r->refs = 2; /* the table's and the caller's */
    r->digest = digest;
    r->lifetime_ms = lifetime_ms;
    list_init(&r->link);
    list_init(&r->waiters);
    bool full = u->bytes > IDEMPOTENCY_BYTES_PER_USER;
    int added = full ? -EDQUOT : add(t, hash, u, r);
    if (added < 0) {
        free(r);
        if (u->records == 0) {
            hash_table_remove(&t->users, &u->node);
            free(u);
        }
        if (full && fault && !fault_is_set(fault))
            fault->limit = "key_lifetime";
        return fault_set(fault, added, full ? FAULT_LIMIT : FAULT_INTERNAL, NULL,
                         full ? "too many idempotency keys are being kept" : "out of memory");
    }
    *ret = r;
    return IDEMPOTENCY_NEW;
}

static void wake_waiters(struct idempotency_record *r)
{
    struct idempotency *t = r->table;

    while (!list_is_empty(&r->waiters)) {
        struct list *l = r->waiters.next;
        list_remove(l);
        list_append(&t->woken, l);
        loop_task_schedule(&t->task);
    }
}

static int keep_texts(struct idempotency_record *r, struct slice result, struct slice rejected)
{
    r->texts = malloc(result.len + rejected.len + 1);
    if (!r->texts)
        return -ENOMEM;
    if (result.len)
        memcpy(r->texts, result.data, result.len);
    if (rejected.len)
        memcpy(r->texts + result.len, rejected.data, rejected.len);
    r->answer.result = result.data ? slice_of(r->texts, result.len) : SLICE_EMPTY;
    r->answer.rejected = rejected.data ? slice_of(r->texts + result.len, rejected.len) : SLICE_EMPTY;
    r->bytes += result.len + rejected.len;
    r->user->bytes += result.len + rejected.len;
    return 0;
}

void idempotency_finish(struct idempotency_record *r, struct slice result, const struct fault *fault, struct slice rejected)
{
    if (r->state != RECORD_RUNNING)
        return;
    wake_waiters(r);
    if (fault && fault->outcome == OUTCOME_NONE) {
        forget(r);
        return;
    }
    if (fault)
        r->answer.fault = *fault;
    /* Without memory for the words the record still says what happened. */
    if (keep_texts(r, fault ? SLICE_EMPTY : result, rejected) < 0 && !fault) {
        fault_set(&r->answer.fault, -ENOMEM, FAULT_INTERNAL, NULL, "it was done; its answer could not be kept");
        r->answer.fault.outcome = OUTCOME_DONE;
    }
    r->state = RECORD_ENDED;
    r->expires_ms = loop_now_ms(r->table->loop) + r->lifetime_ms;
    list_append(&r->table->ended, &r->link);
}

const struct idempotency_answer *idempotency_answer(const struct idempotency_record *r)
{
    return &r->answer;
}

void idempotency_wait(struct idempotency_record *r, struct idempotency_waiter *w)
{
    list_init(&w->link);
    list_append(&r->waiters, &w->link);
}

void idempotency_wait_cancel(struct idempotency_waiter *w)
{
    if (w->link.next)
        list_remove(&w->link);
}
