/* SPDX-License-Identifier: MIT */
#include "derive.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>

#define DERIVE_KEY_MAX 64

struct derive {
    struct worker_job job; /* first */
    void (*done)(void *arg, const void *key, size_t len);
    void *arg;
    struct secret *password, *salt; /* copies: counting is not for threads */
    const char *hash;
    unsigned iterations;
    unsigned char key[DERIVE_KEY_MAX];
    size_t key_len;
    bool ok;
};

static struct derive *derive_of(struct worker_job *job)
{
    return container_of(job, struct derive, job);
}

/* On a helper thread. */
static void derive_work(struct worker_job *job)
{
    struct derive *d = derive_of(job);
    struct slice password = secret_expose(d->password), salt = secret_expose(d->salt);
    EVP_MD *md = EVP_MD_fetch(NULL, d->hash, NULL);
    d->ok = md && PKCS5_PBKDF2_HMAC(password.data, (int) password.len, (const unsigned char *) salt.data, (int) salt.len,
                                    (int) d->iterations, md, (int) d->key_len, d->key) == 1;
    EVP_MD_free(md);
}

static void derive_done(struct worker_job *job)
{
    struct derive *d = derive_of(job);
    d->done(d->arg, d->ok ? d->key : NULL, d->key_len);
}

static void derive_destroy(struct worker_job *job)
{
    struct derive *d = derive_of(job);
    explicit_bzero(d->key, sizeof(d->key));
    secret_unref(d->password);
    secret_unref(d->salt);
    free(d);
}

int derive_begin(struct worker_pool *cpu, const struct engine_derive *wanted,
                 void (*done)(void *arg, const void *key, size_t len), void *arg, struct derive **ret, struct fault *fault)
{
    struct derive *d = wanted && wanted->key_len <= DERIVE_KEY_MAX ? calloc(1, sizeof(*d)) : NULL;
    if (!d)
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, "auth", "out of memory");
    d->job.work = derive_work;
    d->job.done = derive_done;
    d->job.destroy = derive_destroy;
    d->done = done;
    d->arg = arg;
    d->hash = wanted->hash;
    d->iterations = wanted->iterations;
    d->key_len = wanted->key_len;
    d->password = secret_new(wanted->password.data, wanted->password.len);
    d->salt = secret_new(wanted->salt.data, wanted->salt.len);
    int r = d->password && d->salt ? worker_submit(cpu, &d->job) : -ENOMEM;
    if (r < 0) {
        derive_destroy(&d->job);
        return fault_set(fault, r, FAULT_BUSY, "auth", "too many logins at once");
    }
    *ret = d;
    return 0;
}

void derive_abandon(struct derive *d)
{
    if (d)
        worker_detach(&d->job);
}
