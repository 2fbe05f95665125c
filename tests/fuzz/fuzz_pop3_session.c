/* SPDX-License-Identifier: MIT */
/* A whole session against the POP3 engine. The first byte says how the server's bytes are cut (the low six bits), the second
 * what the account wants. However they are cut, the messages are the same. */
#include "fuzz.h"
#include "pop3_client.h"

#include <stdlib.h>

struct run {
    struct engine *e;
    struct pop3_command commands[POP3_VERB_COUNT];
    bool tls, submitted, by_hand;
    struct secret *secret;
    uint64_t messages; /* a sum over all message bytes */
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
    for (int v = 0; v < POP3_VERB_COUNT; v++) {
        struct pop3_command *c = &r->commands[v];
        pop3_command_init(c, (enum pop3_verb) v);
        c->number = 1;
        c->multiline = true;
        if (v == POP3_RAW)
            c->argument = SLICE("XTND");
        if (v == POP3_USER || v == POP3_APOP || v == POP3_RPOP)
            c->argument = SLICE("ann");
        if (v == POP3_AUTH)
            c->argument = SLICE("PLAIN");
        c->by_hand = v == POP3_RAW && r->by_hand;
        c->secret = r->secret;
        if (v != POP3_DELE)
            (void) !pop3_client_submit(r->e, c, &fault);
    }
}

static void send(struct run *r)
{
    struct slice out = r->e->ops->output(r->e);

    while (out.len) {
        if (!r->tls)
            require(memmem(out.data, out.len, "AUTH", 4) == NULL && memmem(out.data, out.len, "PASS", 4) == NULL &&
                    memmem(out.data, out.len, "APOP", 4) == NULL);
        r->e->ops->sent(r->e, out.len);
        out = r->e->ops->output(r->e);
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

static void look_at(struct run *r, const struct engine_event *event)
{
    const struct pop3_event *ev = container_of((struct engine_event *) (void *) (uintptr_t) event, struct pop3_event, base);

    for (size_t i = 0; event->type == ENGINE_EVENT_DATA && i < event->data.len; i++)
        r->messages = r->messages * 31 + (unsigned char) event->data.data[i];
    if (event->type == ENGINE_EVENT_REPLY && ev->kind == POP3_EVENT_ENTRY)
        require(ev->number > 0 && ev->id.len <= POP3_ID_MAX);
}

/* The sum, when the whole session went well; 0 else. */
static uint64_t session(const struct engine_config *config, bool by_hand, const uint8_t *data, size_t size, size_t step)
{
    struct run *r = calloc(1, sizeof(*r));
    int ret = 0;
    uint64_t sum = 0;

    if (!r)
        return 0;
    r->by_hand = by_hand;
    r->secret = secret_new("pencil", 6);
    r->e = pop3_client_new(config);
    for (size_t at = 0; r->e && at < size && ret >= 0; at += step) {
        size_t n = size - at < step ? size - at : step;
        char *window = malloc(n); /* exact, so that reading beyond it is seen */
        struct engine_event *event;
        memcpy(window, data + at, n);
        ret = r->e->ops->feed(r->e, window, n);
        while (ret >= 0 && (ret = r->e->ops->next(r->e, &event)) > 0) {
            if (event->type == ENGINE_EVENT_READY)
                submit(r);
            look_at(r, event);
            send(r);
        }
        free(window);
        settle(r);
    }
    if (r->e && ret < 0)
        require(fault_is_set(&r->e->fault));
    sum = ret < 0 ? 0 : r->messages;
    engine_free(r->e);
    secret_unref(r->secret);
    free(r);
    return sum;
}

int fuzz_one(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const struct engine_config config = {
        .tls = (data[1] & 1) ? TLS_POLICY_ALL : (data[1] & 2) ? TLS_POLICY_TRY : TLS_POLICY_NONE,
        .wants_login = data[1] & 4, .has_token = data[1] & 8, .trace = data[1] & 16, .username = "ann", .host = "h"};
    uint64_t a = session(&config, data[1] & 32, data + 2, size - 2, (data[0] & 63) + 1u);
    uint64_t b = session(&config, data[1] & 32, data + 2, size - 2, 1);

    require(a == b || a == 0 || b == 0);
    return 0;
}
