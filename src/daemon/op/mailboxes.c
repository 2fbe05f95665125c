/* SPDX-License-Identifier: MIT */
#include "client.h"

#include <stdlib.h>

/* More than a person's folders; a client that walks thousands names the value in its calls. */
#define MAILBOXES_MAX 512

struct known_mailbox {
    struct hash_node node;
    struct list link;           /* oldest first */
    const void *inline_account; /* which account of inline options; compared, never followed. NULL: a named one */
    uint32_t value;
    size_t account_len, len;
    char name[]; /* of the account, then of the mailbox */
};

struct mailbox_memory {
    struct hash_table table;
    struct list order;
};

struct mailbox_key {
    const void *inline_account;
    struct slice account, mailbox;
};

/* By the account's name: a reload makes new objects of the same account. */
static struct mailbox_key key_of(const struct account *account, struct slice mailbox)
{
    const char *name = account_name(account);
    return (struct mailbox_key){name ? NULL : account, slice_of_str(name), mailbox};
}

static uint64_t key_hash(const struct mailbox_key *key)
{
    return hash_slice(key->mailbox) ^ (hash_slice(key->account) << 1) ^
           hash_bytes(&key->inline_account, sizeof(key->inline_account));
}

static struct known_mailbox *find(const struct mailbox_memory *m, const struct mailbox_key *key)
{
    if (!m)
        return NULL;
    struct hash_node *n = hash_table_find(&m->table, key_hash(key));
    for (; n; n = hash_next(n)) {
        struct known_mailbox *k = container_of(n, struct known_mailbox, node);
        if (k->inline_account == key->inline_account && slice_eq(slice_of(k->name, k->account_len), key->account) &&
            slice_eq(slice_of(k->name + k->account_len, k->len), key->mailbox))
            return k;
    }
    return NULL;
}

static void forget(struct mailbox_memory *m, struct known_mailbox *k)
{
    hash_table_remove(&m->table, &k->node);
    list_remove(&k->link);
    free(k);
}

bool mailbox_memory_find(const struct mailbox_memory *m, const struct account *account, struct slice mailbox,
                         uint32_t *ret)
{
    struct mailbox_key key = key_of(account, mailbox);
    struct known_mailbox *k = find(m, &key);
    if (!k)
        return false;
    *ret = k->value;
    return true;
}

static struct mailbox_memory *memory_new(void)
{
    struct mailbox_memory *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    hash_table_init(&m->table);
    list_init(&m->order);
    return m;
}

/* Out of memory it forgets: a call then has to name the value. */
void mailbox_memory_set(struct mailbox_memory **memory, const struct account *account, struct slice mailbox,
                        uint32_t value)
{
    struct mailbox_key key = key_of(account, mailbox);
    if (!*memory && !(*memory = memory_new()))
        return;
    struct mailbox_memory *m = *memory;
    struct known_mailbox *k = find(m, &key);
    if (k) {
        k->value = value;
        return;
    }
    if (m->table.count >= MAILBOXES_MAX)
        forget(m, list_first(&m->order, struct known_mailbox, link));
    k = malloc(sizeof(*k) + key.account.len + mailbox.len);
    if (!k)
        return;
    *k = (struct known_mailbox){
        .inline_account = key.inline_account, .value = value, .account_len = key.account.len, .len = mailbox.len};
    if (key.account.len > 0)
        memcpy(k->name, key.account.data, key.account.len);
    if (mailbox.len > 0)
        memcpy(k->name + key.account.len, mailbox.data, mailbox.len);
    if (hash_table_insert(&m->table, key_hash(&key), &k->node) < 0)
        free(k);
    else
        list_append(&m->order, &k->link);
}

void mailbox_memory_free(struct mailbox_memory *m)
{
    if (!m)
        return;
    while (!list_is_empty(&m->order))
        forget(m, list_first(&m->order, struct known_mailbox, link));
    hash_table_done(&m->table);
    free(m);
}
