/* SPDX-License-Identifier: MIT */
/* smtp.*, step by step in sessions: each call is one command, sometimes with another before it, on the session's connection.
 * Which call belongs into which state is the engine's matter. */
#include "api_pop3.h" /* struct api_debuglevel_params */
#include "api_smtp.h"
#include "gateway.h"
#include "methods.h"
#include "must.h"
#include "smtp_client.h"
#include "smtp_send.h"

#include <errno.h>
#include <stdlib.h>

/* --- a step --- */

struct step {
    struct op_exchange ox; /* first */
    enum smtp_verb verb;
    struct slice argument, response;
    struct smtp_command before, command;
    bool has_before;
    struct smtp_transaction envelope;
    struct smtp_recipient recipient;
    struct smtp_login login;
    char *username;
    struct outgoing *out;    /* of smtp.data */
    struct body_owner *text; /* what slices of the parameters live in */
    struct buffer reply;
    int code;
    struct fault fault;
};

static struct step *step_of(struct exchange *x)
{
    return container_of(container_of(x, struct op_exchange, x), struct step, ox);
}

static void release(struct step *s)
{
    secret_unref(s->login.secret);
    free(s->username);
    outgoing_unref(s->out);
    body_owner_unref(s->text);
    buffer_done(&s->reply);
}

static void dispose(struct op_exchange *ox)
{
    release(container_of(ox, struct step, ox));
}

static int submit_command(struct step *s, struct fault *fault)
{
    smtp_command_init(&s->command, s->verb, s->argument);
    s->command.response = s->response;
    s->command.envelope = &s->envelope;
    s->command.login = &s->login;
    s->command.request.base.owner = &s->ox.x;
    return smtp_client_submit(session_engine(s->ox.x.session), &s->command.request, fault);
}

/* The command that has to be said first; SMTP_VERB_COUNT: none. */
static enum smtp_verb verb_before(const struct step *s, const struct engine *e)
{
    enum smtp_dialogue now = smtp_client_dialogue(e);

    if (s->verb == SMTP_VERB_MAIL && smtp_client_needs_rset(e) && (now == SMTP_DIALOGUE_READY || now == SMTP_DIALOGUE_AUTHENTICATED))
        return SMTP_VERB_RSET;
    return s->verb == SMTP_VERB_BODY && now == SMTP_DIALOGUE_RECIPIENT_SENT ? SMTP_VERB_DATA : SMTP_VERB_COUNT;
}

static int step_start(struct exchange *x, struct session *session, struct fault *fault)
{
    struct step *s = step_of(x);
    enum smtp_verb before = verb_before(s, session_engine(session));

    s->has_before = before != SMTP_VERB_COUNT;
    if (!s->has_before)
        return submit_command(s, fault);
    smtp_command_init(&s->before, before, SLICE_EMPTY);
    s->before.request.base.owner = x;
    return smtp_client_submit(session_engine(session), &s->before.request, fault);
}

static void step_event(struct exchange *x, struct session *session, const struct engine_event *event)
{
    struct step *s = step_of(x);
    const struct smtp_event *ev = container_of((struct engine_event *) (void *) (uintptr_t) event, struct smtp_event, base);

    (void) session;
    if (event->type == ENGINE_EVENT_REPLY) {
        s->code = ev->reply.code;
        buffer_clear(&s->reply);
        (void) !buffer_append_slice(&s->reply, ev->reply.text);
    } else if (event->type == ENGINE_EVENT_DONE && event->fault) {
        if (!fault_is_set(&s->fault))
            s->fault = *event->fault;
    } else if (event->type == ENGINE_EVENT_DONE && s->has_before && event->request == &s->before.request.base) {
        (void) !submit_command(s, &s->fault);
    }
}

static ssize_t step_body(struct exchange *x, struct engine_request *request, const char **ret, bool *ret_last)
{
    (void) request;
    return outgoing_next(step_of(x)->out, ret, ret_last);
}

/* {code, enhanced, lines} */
static void write_answer(struct json_writer *w, int code, struct slice text)
{
    char enhanced[16], other[16];

    smtp_enhanced_code(text, code, enhanced);
    json_write_object_begin(w);
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
    json_write_object_end(w);
}

static void step_done(struct exchange *x, const struct fault *fault)
{
    struct step *s = step_of(x);
    const struct fault *why = fault ? fault : fault_is_set(&s->fault) ? &s->fault : NULL;
    struct op *op = op_exchange_end(x, why);

    if (op && why) {
        op_fail(op, NULL);
    } else if (op) {
        write_answer(&op->w, s->code, buffer_slice(&s->reply));
        op_finish(op);
    }
    release(s);
}

static const struct exchange_ops step_ops = {
    .name = "smtp.step", .start = step_start, .event = step_event, .body = step_body, .done = step_done};

static struct step *step_new(struct op *op, enum smtp_verb verb)
{
    struct step *s = op_exchange_new(op, sizeof(*s), &step_ops);

    s->ox.dispose = dispose;
    s->verb = verb;
    s->text = body_owner_ref(op_text_owner(op));
    s->ox.x.complete = true;
    smtp_transaction_init(&s->envelope);
    s->envelope.recipients = &s->recipient;
    buffer_init(&s->reply, SMTP_REPLY_MAX);
    return s;
}

static int step_submit(struct step *s)
{
    int r = op_exchange_submit(&s->ox, PROTOCOL_SMTP);
    return r < 0 ? r : OP_WAIT;
}

/* --- commands of one word, or of a word and a text --- */

static int run_word(struct op *op, enum smtp_verb verb)
{
    return step_submit(step_new(op, verb));
}

static int run_text(struct op *op, enum smtp_verb verb)
{
    const struct api_smtp_text_params *p = op->params;
    struct step *s = step_new(op, verb);

    s->argument = p->text.data ? p->text : SLICE_EMPTY;
    return step_submit(s);
}

static int ehlo_run(struct op *op)
{
    return run_text(op, SMTP_VERB_EHLO);
}

static int helo_run(struct op *op)
{
    return run_text(op, SMTP_VERB_HELO);
}

static int start_data_run(struct op *op)
{
    return run_word(op, SMTP_VERB_DATA);
}

static int rset_run(struct op *op)
{
    return run_word(op, SMTP_VERB_RSET);
}

static int noop_run(struct op *op)
{
    return run_word(op, SMTP_VERB_NOOP);
}

static int vrfy_run(struct op *op)
{
    return run_text(op, SMTP_VERB_VRFY);
}

static int expn_run(struct op *op)
{
    return run_text(op, SMTP_VERB_EXPN);
}

static int help_run(struct op *op)
{
    return run_text(op, SMTP_VERB_HELP);
}

static int docmd_run(struct op *op)
{
    return run_text(op, SMTP_VERB_RAW);
}

static int starttls_run(struct op *op)
{
    return run_word(op, SMTP_VERB_STARTTLS);
}

const struct op_handler smtp_ehlo_handler = {.run = ehlo_run};
const struct op_handler smtp_helo_handler = {.run = helo_run};
const struct op_handler smtp_start_data_handler = {.run = start_data_run};
const struct op_handler smtp_rset_handler = {.run = rset_run};
const struct op_handler smtp_noop_handler = {.run = noop_run};
const struct op_handler smtp_vrfy_handler = {.run = vrfy_run};
const struct op_handler smtp_expn_handler = {.run = expn_run};
const struct op_handler smtp_help_handler = {.run = help_run};
const struct op_handler smtp_docmd_handler = {.run = docmd_run};
const struct op_handler smtp_starttls_handler = {.run = starttls_run};

/* --- the envelope and the message --- */

static bool is_ascii(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char) s.data[i] > 127)
            return false;
    return true;
}

static int mail_run(struct op *op)
{
    static const enum smtp_body_type types[] = {
        [API_BODY_7BIT] = SMTP_BODY_7BIT, [API_BODY_8BITMIME] = SMTP_BODY_8BITMIME, [API_BODY_BINARYMIME] = SMTP_BODY_BINARYMIME};
    const struct api_smtp_mail_params *p = op->params;

    int r = access_check_sender(account_config(op->account), op->peer, "envelope sender", p->from, &op->fault);
    if (r < 0)
        return r;
    struct step *s = step_new(op, SMTP_VERB_MAIL);
    s->envelope.from = p->from;
    s->envelope.has_size = p->size != RPC_ABSENT;
    s->envelope.size = s->envelope.has_size ? (uint64_t) p->size : 0;
    s->envelope.body = p->body == RPC_ENUM_ABSENT ? SMTP_BODY_7BIT : types[p->body];
    s->envelope.smtputf8 = p->smtputf8 || !is_ascii(p->from);
    s->envelope.utf8_header = p->smtputf8;
    if (p->ret != RPC_ENUM_ABSENT)
        s->envelope.ret = p->ret == API_RET_FULL ? SMTP_RET_FULL : SMTP_RET_HDRS;
    s->envelope.envid = p->envid.data ? p->envid : SLICE_EMPTY;
    return step_submit(s);
}

static int rcpt_run(struct op *op)
{
    const struct api_smtp_rcpt_params *p = op->params;
    struct step *s = step_new(op, SMTP_VERB_RCPT);

    s->recipient.address = p->to;
    s->recipient.notify = smtp_notify_set(&p->notify);
    s->recipient.orcpt = p->orcpt.data ? p->orcpt : SLICE_EMPTY;
    s->envelope.n_recipients = 1;
    s->envelope.smtputf8 = !is_ascii(p->to);
    return step_submit(s);
}

struct data_state {
    struct outgoing *out;
};

static int data_prepare(struct op *op)
{
    const struct api_smtp_data_params *p = op->params;
    struct data_state *st = op->state;
    int r = outgoing_raw(op, &p->raw, "raw", &st->out);
    return r < 0 ? r : OP_WAIT;
}

static int data_send(struct op *op, struct outgoing *out)
{
    const struct outgoing_facts *facts = outgoing_facts(out);

    for (size_t i = 0; i < facts->n_authors; i++) {
        int r = access_check_sender(account_config(op->account), op->peer, "From or Sender", facts->authors[i], &op->fault);
        if (r < 0)
            return r;
    }
    if (facts->needs_binary)
        return op_refuse(op, FAULT_BAD_MESSAGE, "the message holds NUL or lines over 998 bytes, which DATA cannot carry");
    struct step *s = step_new(op, SMTP_VERB_BODY);
    s->out = outgoing_ref(out);
    s->ox.x.changes = true;
    outgoing_rewind(out);
    return step_submit(s);
}

static void data_planned(struct op *op, struct outgoing *out, void *arg, const struct fault *fault)
{
    (void) arg;
    if (fault)
        op_fail(op, fault);
    else if (data_send(op, out) < 0)
        op_fail(op, NULL);
}

static int data_run(struct op *op)
{
    struct data_state *st = op->state;
    const struct outgoing_plan plan = {.transport = MIME_TRANSPORT_7BIT};

    outgoing_plan(op, st->out, &plan, data_planned, NULL);
    return OP_WAIT;
}

static void data_free(struct op *op)
{
    outgoing_unref(((struct data_state *) op->state)->out);
}

const struct op_handler smtp_mail_handler = {.run = mail_run};
const struct op_handler smtp_rcpt_handler = {.run = rcpt_run};
const struct op_handler smtp_data_handler = {
    .state_size = sizeof(struct data_state), .prepare = data_prepare, .run = data_run, .free = data_free};

/* --- who we are --- */

static int login_run(struct op *op)
{
    const struct api_smtp_login_params *p = op->params;
    struct step *s = step_new(op, SMTP_VERB_LOGIN);
    struct smtp_login *login = &s->login;
    const struct endpoint *e = pool_endpoint(op->session->lease.pool);

    s->username = strndup(p->username.data, p->username.len);
    login->secret = secret_new(p->password.data, p->password.len);
    if (!s->username || !login->secret) {
        release(s);
        free(s);
        return op_refuse(op, FAULT_INTERNAL, "out of memory");
    }
    login->config = e->engine;
    login->config.host = e->host;
    login->config.port = e->port;
    login->config.username = s->username;
    login->config.authzid = NULL;
    login->config.wants_login = true;
    if (login->config.has_token)
        login->config.methods[0] = NULL; /* they are for the token */
    login->config.has_token = false;
    return step_submit(s);
}

static int authenticate_run(struct op *op)
{
    const struct api_smtp_authenticate_params *p = op->params;
    struct step *s = step_new(op, SMTP_VERB_AUTH);

    s->argument = p->mechanism;
    s->response = p->secret;
    return step_submit(s);
}

static int response_run(struct op *op)
{
    const struct api_smtp_text_params *p = op->params;
    struct step *s = step_new(op, SMTP_VERB_AUTH_LINE);

    s->response = p->text;
    return step_submit(s);
}

const struct op_handler smtp_login_handler = {.run = login_run};
const struct op_handler smtp_authenticate_handler = {.run = authenticate_run};
const struct op_handler smtp_send_authentication_data_handler = {.run = response_run};

/* --- what is known --- */

static const struct engine *engine_of(struct op *op)
{
    struct session *net = op_session_net(op->session);
    if (!net)
        fault_set(&op->fault, -ENOENT, FAULT_NO_SUCH_SESSION, NULL, "the session has ended");
    return net ? session_engine(net) : NULL;
}

static int connect_run(struct op *op)
{
    const struct api_smtp_connect_params *p = op->params;
    const struct engine *e = engine_of(op);
    const struct endpoint *at = pool_endpoint(op->session->lease.pool);

    if (!e)
        return -ENOENT;
    if ((p->host.data && !slice_eq_ci(p->host, slice_of_str(at->host))) || (p->port != RPC_ABSENT && p->port != at->port))
        return op_refuse(op, FAULT_INVALID_PARAMS, "%s: the session is connected to another server",
                         p->host.data && !slice_eq_ci(p->host, slice_of_str(at->host)) ? "host" : "port");
    write_answer(&op->w, 220, slice_of_str(smtp_client_greeting(e)));
    return OP_DONE;
}

static int has_extn_run(struct op *op)
{
    const struct api_smtp_text_params *p = op->params;
    const struct engine *e = engine_of(op);
    struct slice params = SLICE_EMPTY;

    if (!e)
        return -ENOENT;
    bool present = smtp_capability_find(smtp_client_capabilities(e), p->text, &params);
    json_write_object_begin(&op->w);
    json_write_member_bool(&op->w, "present", present);
    json_write_key(&op->w, "params");
    if (present)
        json_write_string(&op->w, params);
    else
        json_write_null(&op->w);
    json_write_object_end(&op->w);
    return OP_DONE;
}

static int state_run(struct op *op)
{
    const struct engine *e = engine_of(op);

    if (!e)
        return -ENOENT;
    json_write_object_begin(&op->w);
    json_write_member_str(&op->w, "state", smtp_dialogue_name(smtp_client_dialogue(e)));
    json_write_object_end(&op->w);
    return OP_DONE;
}

static int max_message_size_run(struct op *op)
{
    const struct engine *e = engine_of(op);

    if (!e)
        return -ENOENT;
    uint64_t size = smtp_client_capabilities(e)->size_max;
    json_write_object_begin(&op->w);
    if (size)
        json_write_member_uint(&op->w, "size", size);
    else
        json_write_member_null(&op->w, "size");
    json_write_object_end(&op->w);
    return OP_DONE;
}

static int auth_mechanisms_run(struct op *op)
{
    const struct engine *e = engine_of(op);
    struct slice rest = SLICE_EMPTY;

    if (!e)
        return -ENOENT;
    (void) !smtp_capability_find(smtp_client_capabilities(e), SLICE("AUTH"), &rest);
    json_write_object_begin(&op->w);
    json_write_key(&op->w, "mechanisms");
    json_write_array_begin(&op->w);
    while (rest.len) {
        size_t end = slice_find(rest, ' ');
        if (end)
            json_write_string(&op->w, slice_to(rest, end));
        rest = slice_from(rest, end + 1);
    }
    json_write_array_end(&op->w);
    json_write_object_end(&op->w);
    return OP_DONE;
}

static int set_debuglevel_run(struct op *op)
{
    const struct api_debuglevel_params *p = op->params;

    op_session_set_trace(op->session, p->level > 0);
    json_write_object_begin(&op->w);
    json_write_object_end(&op->w);
    return OP_DONE;
}

const struct op_handler smtp_set_debuglevel_handler = {.run = set_debuglevel_run};
const struct op_handler smtp_connect_handler = {.run = connect_run};
const struct op_handler smtp_has_extn_handler = {.run = has_extn_run};
const struct op_handler smtp_state_handler = {.run = state_run};
const struct op_handler smtp_max_message_size_handler = {.run = max_message_size_run};
const struct op_handler smtp_auth_mechanisms_handler = {.run = auth_mechanisms_run};
