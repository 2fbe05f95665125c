/* SPDX-License-Identifier: MIT */
/* What an engine needs from outside to log in: the credential, and PBKDF2 off the loop. */
#include "session_private.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>

#define DERIVE_KEY_MAX 64

struct derive_job {
    struct worker_job job;
    struct session *session;
    struct secret *password, *salt; /* copies: counting is not for threads */
    const char *hash;
    unsigned iterations;
    unsigned char key[DERIVE_KEY_MAX];
    size_t key_len;
    bool ok;
};

/* On a helper thread. */
static void derive_work(struct worker_job *wj)
{
    struct derive_job *job = container_of(wj, struct derive_job, job);
    struct slice password = secret_expose(job->password), salt = secret_expose(job->salt);
    EVP_MD *md = EVP_MD_fetch(NULL, job->hash, NULL);
    job->ok = md && PKCS5_PBKDF2_HMAC(password.data, (int) password.len, (const unsigned char *) salt.data,
                                      (int) salt.len, (int) job->iterations, md, (int) job->key_len, job->key) == 1;
    EVP_MD_free(md);
}

static void derive_done(struct worker_job *wj)
{
    struct derive_job *job = container_of(wj, struct derive_job, job);
    struct session *s = job->session;
    struct fault fault = {0};
    s->derive = NULL;
    int r = -EIO;
    if (job->ok)
        r = s->engine->ops->derived(s->engine, job->key, job->key_len);
    if (r < 0) {
        fault = s->engine->fault;
        fault_set(&fault, r, FAULT_INTERNAL, "auth", "the password could not be derived");
        session_fail(s, &fault);
        return;
    }
    s->progress_ms = loop_now_ms(s->net->loop);
    session_wake(s);
}

static void derive_destroy(struct worker_job *wj)
{
    struct derive_job *job = container_of(wj, struct derive_job, job);
    explicit_bzero(job->key, sizeof(job->key));
    secret_unref(job->password);
    secret_unref(job->salt);
    free(job);
}

static int begin_derive(struct session *s, struct fault *fault)
{
    const struct engine_derive *d = s->engine->ops->derive_job(s->engine);
    struct derive_job *job = d && d->key_len <= DERIVE_KEY_MAX ? calloc(1, sizeof(*job)) : NULL;
    if (!job)
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, "auth", "out of memory");
    job->job.work = derive_work;
    job->job.done = derive_done;
    job->job.destroy = derive_destroy;
    job->session = s;
    job->hash = d->hash;
    job->iterations = d->iterations;
    job->key_len = d->key_len;
    job->password = secret_new(d->password.data, d->password.len);
    job->salt = secret_new(d->salt.data, d->salt.len);
    int r = job->password && job->salt ? worker_submit(s->net->cpu, &job->job) : -ENOMEM;
    if (r < 0) {
        derive_destroy(&job->job);
        return fault_set(fault, r, FAULT_BUSY, "auth", "too many logins at once");
    }
    s->derive = job;
    return 0;
}

/* The source has answered. */
static void credential_ready(struct credential_waiter *w, struct secret *secret, const struct fault *fault)
{
    struct session *s = container_of(w, struct session, credential);
    s->credential_awaited = false;
    if (!secret) {
        struct fault none = {0};
        if (!fault)
            fault_set(&none, -ENOENT, FAULT_AUTH, "auth", "no credential is to be had");
        session_fail(s, fault ? fault : &none);
        return;
    }
    secret_unref(s->secret);
    s->secret = secret;
    if (s->engine->ops->credential(s->engine, secret) < 0) {
        session_fail(s, &s->engine->fault);
        return;
    }
    s->progress_ms = loop_now_ms(s->net->loop);
    session_wake(s);
}

int session_login(struct session *s, unsigned wants, struct fault *fault)
{
    if ((wants & ENGINE_WANT_CREDENTIAL) && !s->credential_awaited) {
        struct credential_source *source = s->endpoint->credential;
        if (source) {
            s->credential_awaited = true;
            s->credential.ready = credential_ready;
            source->ops->fetch(source, &s->credential);
        } else if (s->engine->ops->credential(s->engine, NULL) < 0) {
            *fault = s->engine->fault;
            return fault_set(fault, -ENOENT, FAULT_AUTH, "auth", "no credential is configured");
        } else {
            session_wake(s);
        }
    }
    return (wants & ENGINE_WANT_DERIVE) && !s->derive ? begin_derive(s, fault) : 0;
}

void session_login_abandon(struct session *s)
{
    if (s->credential_awaited)
        s->endpoint->credential->ops->cancel(s->endpoint->credential, &s->credential);
    s->credential_awaited = false;
    if (s->derive)
        worker_detach(&s->derive->job);
    s->derive = NULL;
    s->secret = secret_unref(s->secret);
}
