/* SPDX-License-Identifier: MIT */
/* A whole session against the SMTP engine. The first byte says how the server's bytes are cut (the low six bits) and whether
 * it is LMTP; the second what the account wants. Whatever the server says, the engine never says more to it than it may:
 * no credential in clear, no body byte before a 354. */
#include "fuzz.h"
#include "session.h"
#include "smtp_client.h"

#include <stdlib.h>

#define MAILS 3

struct run {
    struct fuzz_session session; /* first */
    struct smtp_transaction mails[MAILS];
    struct smtp_recipient recipients[MAILS][2];
    struct smtp_command command;
};

static void submit(struct fuzz_session *f)
{
    struct run *r = container_of(f, struct run, session);
    struct fault fault = {0};

    for (size_t i = 0; i < MAILS; i++) {
        struct smtp_transaction *t = &r->mails[i];
        smtp_transaction_init(t);
        t->from = SLICE("a@example.com");
        t->recipients = r->recipients[i];
        t->n_recipients = 2;
        r->recipients[i][0].address = SLICE("b@example.com");
        r->recipients[i][1].address = SLICE("c@example.com");
        (void) !smtp_client_submit(f->e, &t->request, &fault);
    }
    smtp_command_init(&r->command, SMTP_VERB_VRFY, SLICE("ann"));
    (void) !smtp_client_submit(f->e, &r->command.request, &fault);
}

static void body(struct fuzz_session *f, struct engine_request *request)
{
    const struct smtp_transaction *t =
        container_of(container_of(request, struct smtp_request, base), struct smtp_transaction, request);
    fuzz_require(t->n_accepted > 0 && t->data_accepted);
    (void) !f->e->ops->body(f->e, ".x\n", 3, true);
}

static void look_at(struct fuzz_session *f, const struct engine_event *event)
{
    const struct smtp_event *ev = container_of((struct engine_event *) (void *) (uintptr_t) event, struct smtp_event, base);
    struct fault_reply text;

    (void) f;
    if (event->type != ENGINE_EVENT_REPLY)
        return;
    fuzz_require(ev->reply.code >= 200 && ev->reply.code < 600);
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
    static const char *const words[] = {"AUTH", NULL};
    struct run *r = calloc(1, sizeof(*r));
    fuzz_require(r != NULL);
    r->session = (struct fuzz_session){
        .e = smtp_client_new(&config), .secret_words = words, .ready = submit, .look = look_at, .body = body};
    fuzz_require(r->session.e != NULL);
    (void) !fuzz_session_run(&r->session, data + 2, size - 2, (data[0] & 63) + 1u);
    (void) !r->session.e->ops->eof(r->session.e);
    engine_free(r->session.e);
    free(r);
    return 0;
}
