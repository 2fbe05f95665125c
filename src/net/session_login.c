/* SPDX-License-Identifier: MIT */
/* What an engine needs from outside to log in: the credential, and PBKDF2 off the loop. */
#include "session_private.h"

#include <errno.h>

static void derived(void *arg, const void *key, size_t len)
{
    struct session *s = arg;
    struct fault fault = {0};
    s->derive = NULL;
    if (key)
        salted_keys_add(s->net->keys, s->engine->ops->derive_job(s->engine), key);
    int r = key ? s->engine->ops->derived(s->engine, key, len) : -EIO;
    if (r < 0) {
        fault = s->engine->fault;
        fault_set(&fault, r, FAULT_INTERNAL, "auth", "the password could not be derived");
        session_fail(s, &fault);
        return;
    }
    s->progress_ms = loop_now_ms(s->net->loop);
    session_wake(s);
}

static int begin_derive(struct session *s, struct fault *fault)
{
    const struct engine_derive *job = s->engine->ops->derive_job(s->engine);
    const void *key = salted_keys_find(s->net->keys, job);

    if (!key)
        return derive_begin(s->net->cpu, job, derived, s, &s->derive, fault);
    int r = s->engine->ops->derived(s->engine, key, job->key_len);
    if (r < 0)
        *fault = s->engine->fault;
    return r;
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
    derive_abandon(s->derive);
    s->derive = NULL;
    s->secret = secret_unref(s->secret);
}
