/* SPDX-License-Identifier: MIT */
/* A whole session against the SMTP engine. The first byte says how the server's bytes are cut (the low six bits) and whether
 * it is LMTP; the second what the account wants. Whatever the server says, the engine never says more to it than it may:
 * no credential in clear, no body byte before a 354. */
#include "fuzz.h"
#include "smtp_client.h"

#include <stdlib.h>

#define MAILS 3

struct run {
    struct engine *e;
    struct smtp_transaction mails[MAILS];
    struct smtp_recipient recipients[MAILS][2];
    struct smtp_command command;
    bool tls, submitted;
};

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void submit(struct run *r)
{
    struct fault fault = {0};

    if (r->submitted)
        return;
    r->submitted = true;
    for (size_t i = 0; i < MAILS; i++) {
        struct smtp_transaction *t = &r->mails[i];
        smtp_transaction_init(t);
        t->from = SLICE("a@example.com");
        t->recipients = r->recipients[i];
        t->n_recipients = 2;
        r->recipients[i][0].address = SLICE("b@example.com");
        r->recipients[i][1].address = SLICE("c@example.com");
        (void) !smtp_client_submit(r->e, &t->request, &fault);
    }
    smtp_command_init(&r->command, SMTP_VERB_VRFY, SLICE("ann"));
    (void) !smtp_client_submit(r->e, &r->command.request, &fault);
}

static void send(struct run *r)
{
    for (unsigned turns = 0; turns < 100; turns++) {
        struct slice out = r->e->ops->output(r->e);
        if (!r->tls)
            require(memmem(out.data ? out.data : "", out.len, "AUTH", 4) == NULL);
        r->e->ops->sent(r->e, out.len);
        if (!(r->e->ops->wants(r->e) & ENGINE_WANT_BODY)) {
            if (out.len == 0)
                return;
            continue;
        }
        const struct smtp_transaction *t = container_of(
            container_of(r->e->ops->body_request(r->e), struct smtp_request, base), struct smtp_transaction, request);
        require(t->n_accepted > 0 && t->data_accepted);
        if (r->e->ops->body(r->e, ".x\n", 3, true) < 0)
            return;
    }
}

static void settle(struct run *r)
{
    static const unsigned char key[32];
    const struct engine_tls tls = {.exporter_len = 32, .version = "TLSv1.3"};
    unsigned wants = r->e->ops->wants(r->e);

    if (wants & ENGINE_WANT_START_TLS) {
        r->tls = true;
        (void) !r->e->ops->tls_started(r->e, &tls);
    }
    if (wants & ENGINE_WANT_CREDENTIAL) {
        require(r->tls);
        struct secret *secret = secret_new("token", 5);
        (void) !r->e->ops->credential(r->e, secret);
        secret_unref(secret);
    }
    if (wants & ENGINE_WANT_DERIVE)
        (void) !r->e->ops->derived(r->e, key, r->e->ops->derive_job(r->e)->key_len);
    send(r);
}

static void look_at(const struct engine_event *event)
{
    const struct smtp_event *ev = container_of((struct engine_event *) (void *) (uintptr_t) event, struct smtp_event, base);
    struct fault_reply text;

    if (event->type != ENGINE_EVENT_REPLY)
        return;
    require(ev->reply.code >= 200 && ev->reply.code < 600);
    smtp_reply_to_fault(&ev->reply, &text);
}

int fuzz_one(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct engine_config config = {
        .tls = (data[1] & 1) ? TLS_POLICY_ALL : (data[1] & 2) ? TLS_POLICY_TRY : TLS_POLICY_NONE,
        .wants_login = data[1] & 4, .has_token = data[1] & 8, .lmtp = data[0] & 64, .trace = data[1] & 16,
        .pipeline = (data[1] & 32) ? PIPELINE_OFF : PIPELINE_ENVELOPE, .username = "ann", .host = "h", .domain = "d"};
    struct run *r = calloc(1, sizeof(*r));
    size_t step = (data[0] & 63) + 1u;
    int ret = 0;

    if (!r)
        return 0;
    r->e = smtp_client_new(&config);
    for (size_t at = 2; r->e && at < size && ret >= 0; at += step) {
        size_t n = size - at < step ? size - at : step;
        char *window = malloc(n); /* exact, so that reading beyond it is seen */
        struct engine_event *event;
        memcpy(window, data + at, n);
        ret = r->e->ops->feed(r->e, window, n);
        while (ret >= 0 && (ret = r->e->ops->next(r->e, &event)) > 0) {
            if (event->type == ENGINE_EVENT_READY)
                submit(r);
            look_at(event);
            send(r);
        }
        free(window);
        settle(r);
    }
    if (r->e && ret < 0)
        require(fault_is_set(&r->e->fault));
    if (r->e)
        (void) !r->e->ops->eof(r->e);
    engine_free(r->e);
    free(r);
    return 0;
}
