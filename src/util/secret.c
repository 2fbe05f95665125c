/* SPDX-License-Identifier: MIT */
#include "secret.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct secret {
    size_t len;
    size_t mapped;
    unsigned refs;
    char data[];
};

struct secret *secret_new(const void *data, size_t len)
{
    if (len > SECRET_MAX)
        return NULL;
    /* Pages of its own: only whole pages can be kept out of core files and fork children. */
    size_t page = (size_t) sysconf(_SC_PAGESIZE);
    size_t mapped = (sizeof(struct secret) + len + 1 + page - 1) & ~(page - 1);
    struct secret *s = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED)
        return NULL;
    /* Best effort: kernels may lack the advice, and the secret is wiped in any case. */
    (void) madvise(s, mapped, MADV_DONTDUMP);
    (void) madvise(s, mapped, MADV_WIPEONFORK);
    s->len = len;
    s->mapped = mapped;
    s->refs = 1;
    if (len)
        memcpy(s->data, data, len);
    s->data[len] = '\0';
    return s;
}

struct secret *secret_ref(struct secret *s)
{
    if (s)
        s->refs++;
    return s;
}

struct secret *secret_unref(struct secret *s)
{
    if (s && --s->refs == 0) {
        size_t mapped = s->mapped;
        explicit_bzero(s, mapped);
        munmap(s, mapped);
    }
    return NULL;
}

struct slice secret_expose(const struct secret *s)
{
    return s ? slice_of(s->data, s->len) : SLICE_EMPTY;
}

bool secret_eq(const struct secret *a, const struct secret *b)
{
    unsigned char diff = 0;
    if (!a || !b || a->len != b->len)
        return a == b;
    for (size_t i = 0; i < a->len; i++)
        diff |= (unsigned char) (a->data[i] ^ b->data[i]);
    return diff == 0;
}
