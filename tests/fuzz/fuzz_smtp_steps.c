/* SPDX-License-Identifier: MIT */
/* A dialogue with the SMTP engine that is led step by step. The first byte says how the server's bytes are cut (the low six bits)
 * and whether it is LMTP; the second, from where the dialogue is led and what the account wants; the third, how many bytes of
 * commands follow. Whatever is asked for and whatever the server says: no credential in clear, a message only where the server
 * waits for one, one command at a time, and a state that belongs to what was said. */
#include "fuzz.h"
#include "smtp_client.h"

#include <stdlib.h>

struct run {
    struct engine *e;
    const uint8_t *verbs;
    size_t n_verbs, next_verb;
    struct smtp_command command;
    struct smtp_transaction envelope;
    struct smtp_recipient recipient;
    struct smtp_login login;
    bool tls, in_flight, greeted;
};

static void require(bool ok)
{
    if (!ok)
        abort();
}

static struct slice argument_of(enum smtp_verb verb)
{
    switch (verb) {
    case SMTP_VERB_RAW:
        return SLICE("XYZZY");
    case SMTP_VERB_VRFY:
    case SMTP_VERB_EXPN:
        return SLICE("ann");
    case SMTP_VERB_AUTH:
        return SLICE("LOGIN");
    case SMTP_VERB_NOOP:
    case SMTP_VERB_RSET:
    case SMTP_VERB_HELP:
    case SMTP_VERB_EHLO:
    case SMTP_VERB_HELO:
    case SMTP_VERB_MAIL:
    case SMTP_VERB_RCPT:
    case SMTP_VERB_DATA:
    case SMTP_VERB_BODY:
    case SMTP_VERB_STARTTLS:
    case SMTP_VERB_AUTH_LINE:
    case SMTP_VERB_LOGIN:
    case SMTP_VERB_COUNT:
        break;
    }
    return SLICE_EMPTY;
}

/* The next command that the engine takes. */
static void lead(struct run *r)
{
    while (r->greeted && !r->in_flight && r->next_verb < r->n_verbs) {
        enum smtp_verb verb = (enum smtp_verb) (r->verbs[r->next_verb++] % SMTP_VERB_COUNT);
        enum smtp_dialogue before = smtp_client_dialogue(r->e);
        struct fault fault = {0};
        smtp_command_init(&r->command, verb, argument_of(verb));
        r->command.envelope = &r->envelope;
        r->command.login = &r->login;
        r->command.response = verb == SMTP_VERB_AUTH_LINE ? SLICE("YW5u") : SLICE_EMPTY;
        if (smtp_client_submit(r->e, &r->command.request, &fault) < 0) {
            require(fault_is_set(&fault));
            continue;
        }
        require(verb != SMTP_VERB_BODY || before == SMTP_DIALOGUE_SEND_DATA);
        require(verb != SMTP_VERB_RCPT || before == SMTP_DIALOGUE_MAILTX || before == SMTP_DIALOGUE_RECIPIENT_SENT);
        require(verb != SMTP_VERB_DATA || before == SMTP_DIALOGUE_RECIPIENT_SENT);
        require(verb != SMTP_VERB_AUTH_LINE || before == SMTP_DIALOGUE_AUTHENTICATING);
        r->in_flight = true;
    }
    require(r->e->ops->in_flight(r->e) <= 1);
}

static void send(struct run *r)
{
    for (unsigned turns = 0; turns < 100; turns++) {
        struct slice out = r->e->ops->output(r->e);
        if (!r->tls)
            require(memmem(out.data ? out.data : "", out.len, "AUTH", 4) == NULL);
        r->e->ops->sent(r->e, out.len);
        if (r->e->ops->wants(r->e) & ENGINE_WANT_BODY) {
            require(r->in_flight && r->command.verb == SMTP_VERB_BODY);
            if (r->e->ops->body(r->e, ".x\n", 3, true) < 0)
                return;
        } else if (out.len == 0) {
            return;
        }
    }
}

static void look_at(struct run *r, const struct engine_event *event)
{
    if (event->type == ENGINE_EVENT_READY) {
        r->greeted = true;
    } else if (event->type == ENGINE_EVENT_REPLY) {
        require(r->in_flight && event->request == &r->command.request.base);
    } else if (event->type == ENGINE_EVENT_DONE) {
        require(r->in_flight && event->request == &r->command.request.base);
        r->in_flight = false;
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
    if (wants & ENGINE_WANT_DERIVE)
        (void) !r->e->ops->derived(r->e, key, r->e->ops->derive_job(r->e)->key_len);
    require(!(wants & ENGINE_WANT_CREDENTIAL)); /* it was not asked to log in by itself */
    require(!(wants & ENGINE_WANT_CLOSED) || smtp_client_dialogue(r->e) == SMTP_DIALOGUE_FINISHED);
}

static int drain(struct run *r)
{
    struct engine_event *event;
    int ret;

    while ((ret = r->e->ops->next(r->e, &event)) > 0)
        look_at(r, event);
    if (ret == 0) {
        lead(r);
        send(r);
    }
    return ret;
}

int fuzz_one(const uint8_t *data, size_t size)
{
    if (size < 3 || size < 3u + data[2] % 64)
        return 0;
    struct engine_config config = {.tls = (data[1] & 2) ? TLS_POLICY_TRY : TLS_POLICY_NONE,
                                   .lmtp = data[0] & 64,
                                   .trace = data[1] & 4,
                                   .step_by_step = data[1] & 1,
                                   .host = "h",
                                   .domain = "d"};
    struct run *r = calloc(1, sizeof(*r));
    size_t step = (data[0] & 63) + 1u;
    int ret = 0;

    if (!r)
        return 0;
    r->verbs = data + 3;
    r->n_verbs = data[2] % 64;
    smtp_transaction_init(&r->envelope);
    r->envelope.from = SLICE("a@example.com");
    r->envelope.recipients = &r->recipient;
    r->envelope.n_recipients = 1;
    r->recipient.address = SLICE("b@example.com");
    r->login.config = config;
    r->login.config.username = "ann";
    r->login.config.wants_login = true;
    r->login.secret = secret_new("secret", 6);
    r->e = smtp_client_new(&config);
    for (size_t at = 3 + r->n_verbs; r->e && at < size && ret >= 0; at += step) {
        size_t n = size - at < step ? size - at : step;
        char *window = malloc(n); /* exact, so that reading beyond it is seen */
        memcpy(window, data + at, n);
        ret = r->e->ops->feed(r->e, window, n);
        if (ret >= 0)
            ret = drain(r);
        free(window);
        settle(r);
        if (ret >= 0)
            ret = drain(r);
    }
    if (r->e && ret < 0)
        require(fault_is_set(&r->e->fault));
    engine_free(r->e);
    secret_unref(r->login.secret);
    free(r);
    return 0;
}
