/* SPDX-License-Identifier: MIT */
#include "salted_keys.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>

#define NAME_SIZE 32 /* of SHA-256 */

struct entry {
    unsigned char name[NAME_SIZE], key[SALTED_KEY_MAX];
    size_t key_len; /* 0: free */
    uint64_t used;
};

struct salted_keys {
    unsigned char secret[NAME_SIZE]; /* begins every name */
    uint64_t clock;
    struct entry entries[SALTED_KEYS_MAX];
};

struct salted_keys *salted_keys_new(void)
{
    struct salted_keys *k = calloc(1, sizeof(*k));

    if (k && RAND_bytes(k->secret, sizeof(k->secret)) == 1)
        return k;
    free(k);
    return NULL;
}

void salted_keys_free(struct salted_keys *k)
{
    if (!k)
        return;
    explicit_bzero(k, sizeof(*k));
    free(k);
}

/* Every part with its length, so that no two sets of parts look alike. */
static bool name_of(const struct salted_keys *k, const struct engine_derive *d, unsigned char out[NAME_SIZE])
{
    const struct {
        const void *data;
        size_t len;
    } parts[] = {{&d->iterations, sizeof(d->iterations)},
                 {&d->key_len, sizeof(d->key_len)},
                 {d->hash, strlen(d->hash)},
                 {d->salt.data, d->salt.len},
                 {d->password.data, d->password.len}};
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 && EVP_DigestUpdate(ctx, k->secret, sizeof(k->secret)) == 1;

    for (size_t i = 0; ok && i < ARRAY_LEN(parts); i++)
        ok = EVP_DigestUpdate(ctx, &parts[i].len, sizeof(parts[i].len)) == 1 &&
             (parts[i].len == 0 || EVP_DigestUpdate(ctx, parts[i].data, parts[i].len) == 1);
    ok = ok && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

static struct entry *find(struct salted_keys *k, const unsigned char name[NAME_SIZE], size_t key_len)
{
    struct entry *found = NULL;

    for (size_t i = 0; i < SALTED_KEYS_MAX; i++)
        if (k->entries[i].key_len == key_len && CRYPTO_memcmp(k->entries[i].name, name, NAME_SIZE) == 0)
            found = &k->entries[i];
    return found;
}

const void *salted_keys_find(struct salted_keys *k, const struct engine_derive *d)
{
    unsigned char name[NAME_SIZE];

    if (!k || !d || d->key_len == 0 || d->key_len > SALTED_KEY_MAX || !name_of(k, d, name))
        return NULL;
    struct entry *e = find(k, name, d->key_len);
    if (e)
        e->used = ++k->clock;
    return e ? e->key : NULL;
}

void salted_keys_add(struct salted_keys *k, const struct engine_derive *d, const void *key)
{
    unsigned char name[NAME_SIZE];

    if (!k || !d || d->key_len == 0 || d->key_len > SALTED_KEY_MAX || !name_of(k, d, name))
        return;
    struct entry *e = find(k, name, d->key_len), *oldest = &k->entries[0];
    for (size_t i = 1; !e && i < SALTED_KEYS_MAX; i++)
        if (k->entries[i].used < oldest->used)
            oldest = &k->entries[i];
    if (!e)
        e = oldest;
    explicit_bzero(e, sizeof(*e));
    memcpy(e->name, name, NAME_SIZE);
    memcpy(e->key, key, d->key_len);
    e->key_len = d->key_len;
    e->used = ++k->clock;
}
