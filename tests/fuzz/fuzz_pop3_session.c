/* SPDX-License-Identifier: MIT */
/* A whole session against the POP3 engine. The first byte says how the server's bytes are cut (the low six bits), the second
 * what the account wants. However they are cut, the messages are the same. */
#include "fuzz.h"
#include "pop3_client.h"
#include "session.h"

#include <stdlib.h>

struct run {
    struct fuzz_session session; /* first */
    struct pop3_command commands[POP3_VERB_COUNT];
    bool by_hand;
    struct secret *secret;
};

static void submit(struct fuzz_session *f)
{
    struct run *r = container_of(f, struct run, session);
    struct fault fault = {0};

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
            (void) !pop3_client_submit(f->e, c, &fault);
    }
}

static void look_at(struct fuzz_session *f, const struct engine_event *event)
{
    const struct pop3_event *ev = container_of((struct engine_event *) (void *) (uintptr_t) event, struct pop3_event, base);

    if (event->type == ENGINE_EVENT_DATA)
        fuzz_session_add(f, event->data.data, event->data.len);
    if (event->type == ENGINE_EVENT_REPLY && ev->kind == POP3_EVENT_ENTRY)
        fuzz_require(ev->number > 0 && ev->id.len <= POP3_ID_MAX);
}

/* The sum over all message bytes, when the whole session went well; 0 else. */
static uint64_t play(const struct engine_config *config, bool by_hand, const uint8_t *data, size_t size, size_t step)
{
    static const char *const words[] = {"AUTH", "PASS", "APOP", NULL};
    struct run *r = calloc(1, sizeof(*r));
    fuzz_require(r != NULL);
    r->by_hand = by_hand;
    r->secret = secret_new("pencil", 6);
    r->session = (struct fuzz_session){.e = pop3_client_new(config), .secret_words = words, .ready = submit, .look = look_at};
    fuzz_require(r->session.e != NULL);
    uint64_t sum = fuzz_session_run(&r->session, data, size, step) < 0 ? 0 : r->session.sum;
    engine_free(r->session.e);
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
    uint64_t a = play(&config, data[1] & 32, data + 2, size - 2, (data[0] & 63) + 1u);
    uint64_t b = play(&config, data[1] & 32, data + 2, size - 2, 1);

    fuzz_require(a == b || a == 0 || b == 0);
    return 0;
}
