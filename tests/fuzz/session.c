/* SPDX-License-Identifier: MIT */
#include "session.h"

#include <stdlib.h>

#define TURNS 100

void fuzz_require(bool ok)
{
    if (!ok)
        abort();
}

void fuzz_session_add(struct fuzz_session *f, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < len; i++)
        f->sum = (f->sum ^ p[i]) * UINT64_C(1099511628211);
}

/* Everything that may be sent, is. */
static void send_all(struct fuzz_session *f)
{
    for (unsigned turns = 0; turns < TURNS; turns++) {
        struct slice out = f->e->ops->output(f->e);
        for (const char *const *word = f->secret_words; *word && !f->tls && out.len; word++)
            fuzz_require(memmem(out.data, out.len, *word, strlen(*word)) == NULL);
        f->e->ops->sent(f->e, out.len);
        struct engine_request *request = f->e->ops->wants(f->e) & ENGINE_WANT_BODY ? f->e->ops->body_request(f->e) : NULL;
        if (request && f->body)
            f->body(f, request);
        else if (out.len == 0)
            return;
    }
}

static void settle(struct fuzz_session *f)
{
    static const unsigned char key[64];
    static const struct engine_tls tls = {.exporter_len = 32, .version = "TLSv1.3"};
    unsigned wants = f->e->ops->wants(f->e);
    if (wants & ENGINE_WANT_START_TLS) {
        f->tls = true;
        (void) !f->e->ops->tls_started(f->e, &tls);
    }
    if (wants & ENGINE_WANT_START_DEFLATE) /* the bytes that follow are those that come out of it */
        (void) !f->e->ops->deflate_started(f->e);
    if (wants & ENGINE_WANT_CREDENTIAL) {
        fuzz_require(f->tls);
        struct secret *secret = secret_new("token", 5);
        (void) !f->e->ops->credential(f->e, secret);
        secret_unref(secret);
    }
    if (wants & ENGINE_WANT_DERIVE) {
        const struct engine_derive *job = f->e->ops->derive_job(f->e);
        fuzz_require(job && job->iterations <= 100000 && job->key_len <= sizeof(key));
        (void) !f->e->ops->derived(f->e, key, job->key_len);
    }
    send_all(f);
}

/* Events until there are none, and what they lead to. */
static int pull(struct fuzz_session *f)
{
    struct engine_event *event;
    int ret;
    while ((ret = f->e->ops->next(f->e, &event)) > 0) {
        if (event->type == ENGINE_EVENT_READY && !f->was_ready) {
            f->was_ready = true;
            f->ready(f);
        }
        f->look(f, event);
        send_all(f);
    }
    return ret;
}

int fuzz_session_run(struct fuzz_session *f, const uint8_t *bytes, size_t len, size_t step)
{
    int ret = 0;
    for (size_t at = 0; at < len && ret >= 0; at += step) {
        size_t n = len - at < step ? len - at : step;
        char *window = malloc(n); /* exact, so that reading beyond it is seen */
        fuzz_require(window != NULL);
        memcpy(window, bytes + at, n);
        ret = f->e->ops->feed(f->e, window, n);
        if (ret >= 0)
            ret = pull(f);
        settle(f);
        if (ret >= 0)
            ret = pull(f); /* of what was sent, or given */
        free(window);
    }
    if (ret < 0)
        fuzz_require(fault_is_set(&f->e->fault));
    return ret;
}
