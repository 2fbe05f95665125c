/* SPDX-License-Identifier: MIT */
#include "smtp_step.h"

#include "gateway.h"
#include "smtp_manual.h"

#include <stdlib.h>

static struct smtp_step_call *step_of(struct exchange *x)
{
    return container_of(container_of(x, struct op_exchange, x), struct smtp_step_call, ox);
}

void smtp_step_release(struct smtp_step_call *s)
{
    secret_unref(s->login.secret);
    free(s->username);
    outgoing_unref(s->out);
    body_owner_unref(s->text);
    buffer_done(&s->reply);
}

static void dispose(struct op_exchange *ox)
{
    smtp_step_release(container_of(ox, struct smtp_step_call, ox));
}

int smtp_step_submit(struct smtp_step_call *s, struct engine *e, struct fault *fault)
{
    smtp_command_init(&s->command, s->verb, s->argument);
    s->command.response = s->response;
    s->command.envelope = &s->envelope;
    s->command.login = &s->login;
    s->command.request.base.owner = &s->ox.x;
    return smtp_client_submit(e, &s->command.request, fault);
}

/* The command that has to be said first; SMTP_VERB_COUNT: none. */
static enum smtp_verb verb_before(const struct smtp_step_call *s, const struct engine *e)
{
    enum smtp_dialogue now = smtp_client_dialogue(e);

    if (s->verb == SMTP_VERB_MAIL && smtp_client_needs_rset(e) && (now == SMTP_DIALOGUE_READY || now == SMTP_DIALOGUE_AUTHENTICATED))
        return SMTP_VERB_RSET;
    return s->verb == SMTP_VERB_BODY && now == SMTP_DIALOGUE_RECIPIENT_SENT ? SMTP_VERB_DATA : SMTP_VERB_COUNT;
}

static int step_start(struct exchange *x, struct session *session, struct fault *fault)
{
    struct smtp_step_call *s = step_of(x);
    enum smtp_verb before = verb_before(s, session_engine(session));

    s->has_before = before != SMTP_VERB_COUNT;
    if (!s->has_before)
        return smtp_step_submit(s, session_engine(session), fault);
    smtp_command_init(&s->before, before, SLICE_EMPTY);
    s->before.request.base.owner = x;
    return smtp_client_submit(session_engine(session), &s->before.request, fault);
}

static void step_event(struct exchange *x, struct session *session, const struct engine_event *event)
{
    struct smtp_step_call *s = step_of(x);
    const struct smtp_event *ev = container_of((struct engine_event *) (void *) (uintptr_t) event, struct smtp_event, base);

    if (event->type == ENGINE_EVENT_REPLY) {
        s->code = ev->reply.code;
        buffer_clear(&s->reply);
        (void) !buffer_append_slice(&s->reply, ev->reply.text);
    } else if (event->type == ENGINE_EVENT_DONE && event->fault && s->falls_back && s->code >= 500 && s->code < 505) {
        /* RFC 5321 section 3.2: a server that is older than EHLO */
        s->falls_back = false;
        s->verb = SMTP_VERB_HELO;
        (void) !smtp_step_submit(s, session_engine(session), &s->fault);
    } else if (event->type == ENGINE_EVENT_DONE && event->fault) {
        if (!fault_is_set(&s->fault))
            s->fault = *event->fault;
    } else if (event->type == ENGINE_EVENT_DONE && s->has_before && event->request == &s->before.request.base) {
        (void) !smtp_step_submit(s, session_engine(session), &s->fault);
    }
}

static ssize_t step_body(struct exchange *x, struct engine_request *request, const char **ret, bool *ret_last)
{
    (void) request;
    return outgoing_next(step_of(x)->out, ret, ret_last);
}

void smtp_write_answer(struct json_writer *w, int code, struct slice text)
{
    char enhanced[16], other[16];

    smtp_enhanced_code(text, code, enhanced);
    json_write_member_int(w, "code", code);
    json_write_member_str(w, "enhanced", enhanced[0] ? enhanced : NULL);
    json_write_key(w, "lines");
    json_write_array_begin(w);
    for (bool more = true; more;) {
        size_t end = slice_find(text, '\n');
        struct slice line = slice_to(text, end);
        more = end < text.len;
        text = slice_from(text, end + 1);
        json_write_string(w, slice_trim(slice_from(line, smtp_enhanced_code(line, code, other))));
    }
    json_write_array_end(w);
}

static void step_done(struct exchange *x, const struct fault *fault)
{
    struct smtp_step_call *s = step_of(x);
    const struct fault *why = fault ? fault : fault_is_set(&s->fault) ? &s->fault : NULL;
    struct op *op = op_exchange_end(x, why);

    if (op && why) {
        op_fail(op, NULL);
    } else if (op) {
        json_write_object_begin(&op->w);
        smtp_write_answer(&op->w, s->code, buffer_slice(&s->reply));
        json_write_object_end(&op->w);
        op_finish(op);
    }
    smtp_step_release(s);
}

static const struct exchange_ops step_ops = {
    .name = "smtp.step", .start = step_start, .event = step_event, .body = step_body, .done = step_done};

struct smtp_step_call *smtp_step_new(struct op *op, enum smtp_verb verb)
{
    struct smtp_step_call *s = op_exchange_new(op, sizeof(*s), &step_ops);

    s->ox.dispose = dispose;
    s->verb = verb;
    s->text = body_owner_ref(op_text_owner(op));
    s->ox.x.complete = true;
    smtp_transaction_init(&s->envelope);
    s->envelope.recipients = &s->recipient;
    buffer_init(&s->reply, SMTP_REPLY_MAX);
    return s;
}

int smtp_step_run(struct smtp_step_call *s)
{
    if (s->ox.op->session->manual)
        return smtp_manual_say(s->ox.op, s);
    int r = op_exchange_submit(&s->ox, PROTOCOL_SMTP);
    return r < 0 ? r : OP_WAIT;
}
