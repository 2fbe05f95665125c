/* SPDX-License-Identifier: MIT */
#include "line_engine.h"

#include "buffer.h"

#include <errno.h>
#include <stdlib.h>

enum state { GREETING, ASKED_TLS, WANT_TLS, WANT_SECRET, ASKED_AUTH, READY, ASKED_QUIT, CLOSED };

struct line_engine {
    struct engine base;
    const struct engine_config *config;
    enum state state;
    bool probing, ready_given, in_tls;
    struct slice fed;
    struct buffer line, out;
    uint64_t put_out; /* bytes that output() has given or holds */
    struct line_event event;
    struct fault event_fault;
};

int line_engines_alive;

static struct line_engine *of(const struct engine *e)
{
    return container_of((struct engine *) e, struct line_engine, base);
}

static int fail(struct line_engine *l, enum fault_kind kind, const char *text)
{
    static const char *const stages[] = {"greeting", "tls", "tls", "auth", "auth", "command", "quit", "quit"};
    return fault_set(&l->base.fault, -EPROTO, kind, stages[l->state], "%s", text);
}

static void say(struct line_engine *l, const char *text, size_t len)
{
    if (buffer_append(&l->out, text, len) < 0)
        abort();
    l->put_out += len;
}

static void free_engine(struct engine *e)
{
    struct line_engine *l = of(e);
    buffer_done(&l->line);
    buffer_done(&l->out);
    free(l);
    line_engines_alive--;
}

static int feed(struct engine *e, const char *bytes, size_t len)
{
    struct line_engine *l = of(e);
    if (fault_is_set(&e->fault))
        return -EPROTO;
    l->fed = slice_of(bytes, len);
    return 0;
}

static int eof(struct engine *e)
{
    struct line_engine *l = of(e);
    return l->state == ASKED_QUIT || l->state == CLOSED ? 0 : fail(l, FAULT_DISCONNECTED, "the server hung up");
}

static void after_clear(struct line_engine *l)
{
    if (l->config->tls != TLS_POLICY_NONE && !l->in_tls) {
        say(l, "TLS\n", 4);
        l->state = ASKED_TLS;
    } else if (l->config->wants_login) {
        l->state = WANT_SECRET;
    } else {
        l->state = READY;
    }
}

static struct line_request *head(const struct line_engine *l)
{
    return container_of(list_first(&l->base.requests, struct engine_request, link), struct line_request, base);
}

/* The writing side: bodies hold back what is queued behind them. */
static void write_next(struct line_engine *l)
{
    struct engine_request *r;
    list_foreach(&l->base.requests, r, struct engine_request, link) {
        if (r->state == REQUEST_PARTLY_WRITTEN)
            return;
        if (r->state != REQUEST_QUEUED)
            continue;
        struct line_request *q = container_of(r, struct line_request, base);
        r->begin_offset = l->put_out;
        say(l, q->line, strlen(q->line));
        say(l, "\n", 1);
        r->state = r->has_body ? REQUEST_PARTLY_WRITTEN : REQUEST_WRITTEN;
        r->end_offset = l->put_out;
    }
}

static int give(struct line_engine *l, enum engine_event_type type, struct engine_request *r, struct slice text,
                struct engine_event **ret)
{
    l->event = (struct line_event){.base = {.type = type, .request = r, .data = text}, .text = text};
    *ret = &l->event.base;
    return 1;
}

/* One line from the server. 1: an event. */
static int handle(struct line_engine *l, struct slice line, struct engine_event **ret)
{
    char c = line.len ? line.data[0] : '\0';
    struct slice text = slice_from(line, 1);
    if (c == '*')
        return give(l, ENGINE_EVENT_NOTICE, NULL, text, ret);
    if (c == '!')
        return give(l, ENGINE_EVENT_CLOSING, NULL, text, ret);
    if (c != '+' && c != '-' && c != '~' && c != '=')
        return fail(l, FAULT_PROTOCOL, "not a line of this protocol");
    switch (l->state) {
    case GREETING:
        if (c != '+')
            return fail(l, FAULT_REJECTED, "refused at the door");
        after_clear(l);
        return 0;
    case ASKED_TLS:
        if (c != '+' || l->fed.len)
            return fail(l, FAULT_TLS, c == '+' ? "bytes behind the agreement to TLS" : "TLS refused");
        l->state = WANT_TLS;
        return 0;
    case ASKED_AUTH:
        if (c != '+')
            return fail(l, c == '-' ? FAULT_AUTH : FAULT_REJECTED, "credentials refused");
        l->state = READY;
        return 0;
    case READY:
        if (l->probing) {
            l->probing = false;
            return 0;
        }
        if (list_is_empty(&l->base.requests))
            return fail(l, FAULT_PROTOCOL, "an answer that nobody asked for");
        struct engine_request *r = &head(l)->base;
        if (c == '=')
            return give(l, ENGINE_EVENT_DATA, r, text, ret);
        list_remove(&r->link);
        r->state = REQUEST_ANSWERED;
        write_next(l);
        give(l, ENGINE_EVENT_DONE, r, text, ret);
        l->event.ok = c == '+';
        if (c == '~') {
            fault_set(&l->event.fault, -EIO, FAULT_REJECTED, "command", "not so fast");
            l->event.fault.back_off = true;
            (void) slice_to_u64(text, UINT32_MAX, &l->event.fault.retry_after_ms);
            l->event.base.fault = &l->event.fault;
        }
        return 1;
    case ASKED_QUIT:
        l->state = CLOSED;
        return 0;
    case WANT_TLS:
    case WANT_SECRET:
    case CLOSED:
        break;
    }
    return fail(l, FAULT_PROTOCOL, "a line out of turn");
}

static int next(struct engine *e, struct engine_event **ret)
{
    struct line_engine *l = of(e);
    if (fault_is_set(&e->fault))
        return -EPROTO;
    for (;;) {
        if (l->state == READY && !l->ready_given) {
            l->ready_given = true;
            return give(l, ENGINE_EVENT_READY, NULL, SLICE_EMPTY, ret);
        }
        if (l->fed.len == 0)
            return 0;
        size_t n = slice_find(l->fed, '\n');
        bool whole = n < l->fed.len;
        if (buffer_append(&l->line, l->fed.data, n) < 0)
            return fail(l, FAULT_PROTOCOL, "line too long");
        l->fed = slice_from(l->fed, n + 1);
        if (!whole)
            return 0;
        static char line[8192];
        size_t len = buffer_len(&l->line);
        if (len)
            memcpy(line, buffer_slice(&l->line).data, len);
        buffer_done(&l->line);
        int r = handle(l, slice_of(line, len), ret);
        if (r)
            return r;
    }
}

static struct slice output(const struct engine *e)
{
    return buffer_slice(&of(e)->out);
}

static void sent(struct engine *e, size_t len)
{
    buffer_consume(&of(e)->out, len);
    buffer_trim(&of(e)->out);
}

static struct engine_request *body_request(const struct engine *e)
{
    struct engine_request *r;
    list_foreach(&of(e)->base.requests, r, struct engine_request, link)
        if (r->state == REQUEST_PARTLY_WRITTEN)
            return r;
    return NULL;
}

static unsigned wants(const struct engine *e)
{
    const struct line_engine *l = of(e);
    unsigned w = ENGINE_WANT_READ | (buffer_len(&l->out) ? ENGINE_WANT_WRITE : 0);
    if (l->state == WANT_TLS)
        w |= ENGINE_WANT_START_TLS;
    if (l->state == WANT_SECRET)
        w |= ENGINE_WANT_CREDENTIAL;
    if (l->state == CLOSED)
        w |= ENGINE_WANT_CLOSED;
    if (body_request(e) && buffer_len(&l->out) < 32768)
        w |= ENGINE_WANT_BODY;
    return w;
}

static enum engine_timeout timeout(const struct engine *e)
{
    const struct line_engine *l = of(e);
    if (l->state < READY)
        return ENGINE_TIMEOUT_LOGIN;
    return l->probing || l->state != READY || !list_is_empty(&l->base.requests) ? ENGINE_TIMEOUT_COMMAND
                                                                                : ENGINE_TIMEOUT_NONE;
}

static const char *stage(const struct engine *e)
{
    static const char *const stages[] = {"greeting", "tls", "tls", "auth", "auth", "command", "quit", "quit"};
    return stages[of(e)->state];
}

static int tls_started(struct engine *e, const struct engine_tls *tls)
{
    (void) tls;
    of(e)->in_tls = true;
    if (of(e)->state == WANT_TLS)
        after_clear(of(e));
    return 0;
}

static int credential(struct engine *e, struct secret *secret)
{
    struct line_engine *l = of(e);
    if (!secret)
        return fail(l, FAULT_AUTH, "no password");
    struct slice s = secret_expose(secret);
    say(l, "AUTH ", 5);
    say(l, s.data, s.len);
    say(l, "\n", 1);
    l->state = ASKED_AUTH;
    return 0;
}

static const struct engine_derive *derive_job(const struct engine *e)
{
    (void) e;
    return NULL;
}

static int derived(struct engine *e, const void *key, size_t len)
{
    (void) e;
    (void) key;
    (void) len;
    return -EINVAL;
}

static int submit(struct engine *e, struct engine_request *r, struct fault *fault)
{
    struct line_engine *l = of(e);
    if (l->state != READY)
        return fault_set(fault, -EINVAL, FAULT_INTERNAL, "command", "not ready");
    r->state = REQUEST_QUEUED;
    list_append(&e->requests, &r->link);
    write_next(l);
    return 0;
}

int line_engine_submit(struct engine *e, struct line_request *r, struct fault *fault)
{
    r->base.has_body = strcmp(r->line, "PUT") == 0;
    return e->ops->submit(e, &r->base, fault);
}

static int withdraw(struct engine *e, struct engine_request *r)
{
    (void) e;
    if (r->state != REQUEST_QUEUED)
        return -EBUSY;
    list_remove(&r->link);
    return 0;
}

static ssize_t body(struct engine *e, const char *bytes, size_t len, bool last)
{
    struct line_engine *l = of(e);
    struct engine_request *r = body_request(e);
    if (!r)
        return 0;
    if (len > 32768) {
        len = 32768;
        last = false;
    }
    say(l, bytes, len);
    if (last) {
        say(l, "\n.\n", 3);
        r->end_offset = l->put_out;
        r->state = REQUEST_WRITTEN;
        write_next(l);
    }
    return (ssize_t) len;
}

static int body_abort(struct engine *e)
{
    return fail(of(e), FAULT_BAD_MESSAGE, "the body broke off");
}

static int probe(struct engine *e)
{
    of(e)->probing = true;
    say(of(e), "NOOP\n", 5);
    return 1;
}

static bool idle(const struct engine *e)
{
    const struct line_engine *l = of(e);
    return l->state == READY && !l->probing && list_is_empty(&e->requests) && buffer_len(&l->line) == 0 &&
           l->fed.len == 0;
}

static size_t in_flight(const struct engine *e)
{
    struct engine_request *r;
    size_t n = 0;
    list_foreach(&of(e)->base.requests, r, struct engine_request, link)
        n += r->state != REQUEST_ANSWERED;
    return n;
}

static int quit(struct engine *e)
{
    say(of(e), "QUIT\n", 5);
    of(e)->state = ASKED_QUIT;
    return 0;
}

static const struct engine_ops ops = {
    PROTOCOL_SMTP, free_engine, feed, eof, next, output, sent, wants, timeout, stage, tls_started, credential,
    derive_job, derived, submit, withdraw, body_request, body, body_abort, probe, idle, in_flight, quit,
};

static struct engine *make(const struct engine_config *config)
{
    struct line_engine *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    l->base.ops = &ops;
    l->config = config;
    list_init(&l->base.requests);
    buffer_init(&l->line, 8000);
    buffer_init(&l->out, 1024 * 1024);
    line_engines_alive++;
    return &l->base;
}

struct engine *smtp_client_new(const struct engine_config *config)
{
    return make(config);
}

struct engine *imap_client_new(const struct engine_config *config)
{
    return make(config);
}

struct engine *pop3_client_new(const struct engine_config *config)
{
    return make(config);
}
