/* SPDX-License-Identifier: MIT */
/* smtp.*, step by step in sessions: each call is one command, sometimes with another before it, on the session's connection.
 * Which call belongs into which state is the engine's matter. */
#include "api_pop3.h" /* struct api_debuglevel_params */
#include "api_smtp.h"
#include "gateway.h"
#include "methods.h"
#include "must.h"
#include "smtp_manual.h"
#include "smtp_item.h"

#include <errno.h>
#include <stdlib.h>

/* NULL with op->fault: the session has ended. */
static const struct engine *engine_of(struct op *op)
{
    if (op->session->manual)
        return smtp_manual_engine(op->session);
    struct session *net = op_session_net(op->session);
    if (!net)
        fault_set(&op->fault, -ENOENT, FAULT_NO_SUCH_SESSION, NULL, "the session has ended");
    return net ? session_engine(net) : NULL;
}

/* --- commands of one word, or of a word and a text --- */

static int run_word(struct op *op, enum smtp_verb verb)
{
    return smtp_step_run(smtp_step_new(op, verb));
}

static int run_text(struct op *op, enum smtp_verb verb)
{
    const struct api_smtp_text_params *p = op->params;
    struct smtp_step_call *s = smtp_step_new(op, verb);

    s->argument = p->text.data ? p->text : SLICE_EMPTY;
    return smtp_step_run(s);
}

static int ehlo_run(struct op *op)
{
    return run_text(op, SMTP_VERB_EHLO);
}

static int send_greeting_run(struct op *op)
{
    const struct api_smtp_text_params *p = op->params;
    struct smtp_step_call *s = smtp_step_new(op, SMTP_VERB_EHLO);

    s->argument = p->text.data ? p->text : SLICE_EMPTY;
    s->falls_back = true;
    return smtp_step_run(s);
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
const struct op_handler smtp_send_greeting_handler = {.run = send_greeting_run};
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

/* Who carries the bytes of a session without a connection answers for them. */
static int check_sender(struct op *op, const char *what, struct slice address)
{
    if (op->session->manual)
        return 0;
    return access_check_sender(account_config(op->account), op->peer, what, address, &op->fault);
}

static int mail_run(struct op *op)
{
    static const enum smtp_body_type types[] = {
        [API_BODY_7BIT] = SMTP_BODY_7BIT, [API_BODY_8BITMIME] = SMTP_BODY_8BITMIME, [API_BODY_BINARYMIME] = SMTP_BODY_BINARYMIME};
    const struct api_smtp_mail_params *p = op->params;

    int r = check_sender(op, "envelope sender", p->from);
    if (r < 0)
        return r;
    struct smtp_step_call *s = smtp_step_new(op, SMTP_VERB_MAIL);
    s->envelope.from = p->from;
    s->envelope.has_size = p->size != RPC_ABSENT;
    s->envelope.size = s->envelope.has_size ? (uint64_t) p->size : 0;
    s->envelope.body = p->body == RPC_ENUM_ABSENT ? SMTP_BODY_7BIT : types[p->body];
    s->envelope.smtputf8 = p->smtputf8 || !is_ascii(p->from);
    s->envelope.utf8_header = p->smtputf8;
    if (p->ret != RPC_ENUM_ABSENT)
        s->envelope.ret = p->ret == API_RET_FULL ? SMTP_RET_FULL : SMTP_RET_HDRS;
    s->envelope.envid = p->envid.data ? p->envid : SLICE_EMPTY;
    s->envelope.requiretls = p->requiretls;
    if (p->deliver_by != RPC_ABSENT) {
        s->envelope.by_mode = p->deliver_by_mode == API_BY_NOTIFY ? SMTP_BY_NOTIFY : SMTP_BY_RETURN;
        s->envelope.by_s = p->deliver_by;
    }
    s->envelope.has_priority = p->mt_priority != RPC_ABSENT;
    s->envelope.priority = s->envelope.has_priority ? (int) p->mt_priority : 0;
    return smtp_step_run(s);
}

static int rcpt_run(struct op *op)
{
    const struct api_smtp_rcpt_params *p = op->params;
    struct smtp_step_call *s = smtp_step_new(op, SMTP_VERB_RCPT);

    s->recipient.address = p->to;
    s->recipient.notify = smtp_notify_set(&p->notify);
    s->recipient.orcpt = p->orcpt.data ? p->orcpt : SLICE_EMPTY;
    s->envelope.n_recipients = 1;
    s->envelope.smtputf8 = !is_ascii(p->to);
    return smtp_step_run(s);
}

struct data_state {
    struct outgoing *out;
    struct op_session *session; /* in which it waits */
};

static int data_prepare(struct op *op)
{
    const struct api_smtp_data_params *p = op->params;
    struct data_state *st = op->state;
    int r = outgoing_raw(op, &p->raw, "raw", &st->out);
    return r < 0 ? r : OP_WAIT;
}

/* What the server would not take, or would spoil. */
static int check_message(struct op *op, const struct outgoing_facts *facts)
{
    const struct engine *e = engine_of(op);

    if (!e)
        return -ENOENT;
    const struct smtp_capabilities *caps = smtp_client_capabilities(e);
    if (facts->needs_binary)
        return op_refuse(op, FAULT_BAD_MESSAGE, "the message holds NUL or lines over 998 bytes, which DATA cannot carry");
    if (facts->needs_8bit && !smtp_has(caps, SMTP_EXT_8BITMIME))
        return op_refuse(op, FAULT_BAD_MESSAGE, "the message has bytes beyond ASCII, and the server does not offer 8BITMIME");
    if (facts->needs_utf8 && !smtp_has(caps, SMTP_EXT_SMTPUTF8))
        return op_refuse(op, FAULT_MISSING_EXTENSION, "the header has bytes beyond ASCII, and the server does not offer SMTPUTF8");
    if (caps->size_max && facts->size > caps->size_max)
        return op_refuse(op, FAULT_BAD_MESSAGE, "the message has %llu bytes, the server takes %llu", (unsigned long long) facts->size,
                         (unsigned long long) caps->size_max);
    return 0;
}

static int data_send(struct op *op, struct outgoing *out)
{
    const struct outgoing_facts *facts = outgoing_facts(out);

    for (size_t i = 0; i < facts->n_authors; i++) {
        int r = check_sender(op, "From or Sender", facts->authors[i]);
        if (r < 0)
            return r;
    }
    int r = check_message(op, facts);
    if (r < 0)
        return r;
    struct smtp_step_call *s = smtp_step_new(op, SMTP_VERB_BODY);
    s->out = outgoing_ref(out);
    s->ox.x.changes = true;
    outgoing_rewind(out);
    return smtp_step_run(s);
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
    st->session = op->session;
    const struct outgoing_plan plan = {.transport = MIME_TRANSPORT_7BIT};

    outgoing_plan(op, st->out, &plan, data_planned, NULL);
    return OP_WAIT;
}

static void data_free(struct op *op)
{
    struct data_state *st = op->state;

    smtp_manual_forget(st->session, op);
    outgoing_unref(st->out);
}

const struct op_handler smtp_mail_handler = {.run = mail_run};
const struct op_handler smtp_rcpt_handler = {.run = rcpt_run};
const struct op_handler smtp_data_handler = {
    .state_size = sizeof(struct data_state), .prepare = data_prepare, .run = data_run, .free = data_free};

/* --- who we are --- */

/* What the session's engine knows of its account. */
static struct engine_config config_of(const struct op_session *s)
{
    if (s->manual)
        return *smtp_manual_config(s);
    const struct endpoint *e = pool_endpoint(s->lease.pool);
    struct engine_config config = e->engine;
    config.host = e->host;
    config.port = e->port;
    return config;
}

static int login_run(struct op *op)
{
    const struct api_smtp_login_params *p = op->params;
    struct smtp_step_call *s = smtp_step_new(op, SMTP_VERB_LOGIN);
    struct smtp_login *login = &s->login;

    s->username = strndup(p->username.data, p->username.len);
    login->secret = secret_new(p->password.data, p->password.len);
    if (!s->username || !login->secret) {
        smtp_step_release(s);
        free(s);
        return op_refuse(op, FAULT_INTERNAL, "out of memory");
    }
    login->config = config_of(op->session);
    login->config.username = s->username;
    login->config.authzid = NULL;
    login->config.wants_login = true;
    if (login->config.has_token)
        login->config.methods[0] = NULL; /* they are for the token */
    login->config.has_token = false;
    return smtp_step_run(s);
}

static int authenticate_run(struct op *op)
{
    const struct api_smtp_authenticate_params *p = op->params;
    struct smtp_step_call *s = smtp_step_new(op, SMTP_VERB_AUTH);

    s->argument = p->mechanism;
    s->response = p->secret;
    return smtp_step_run(s);
}

static int response_run(struct op *op)
{
    const struct api_smtp_text_params *p = op->params;
    struct smtp_step_call *s = smtp_step_new(op, SMTP_VERB_AUTH_LINE);

    s->response = p->text;
    return smtp_step_run(s);
}

const struct op_handler smtp_login_handler = {.run = login_run};
const struct op_handler smtp_authenticate_handler = {.run = authenticate_run};
const struct op_handler smtp_send_authentication_data_handler = {.run = response_run};

/* --- what is known --- */

static int connect_run(struct op *op)
{
    const struct api_smtp_connect_params *p = op->params;
    if (op->session->manual)
        return op_refuse(op, FAULT_INVALID_PARAMS, "session: it has no connection (manual)");
    const struct engine *e = engine_of(op);
    const struct endpoint *at = pool_endpoint(op->session->lease.pool);
    if (!e)
        return -ENOENT;
    if ((p->host.data && !slice_eq_ci(p->host, slice_of_str(at->host))) || (p->port != RPC_ABSENT && p->port != at->port))
        return op_refuse(op, FAULT_INVALID_PARAMS, "%s: the session is connected to another server",
                         p->host.data && !slice_eq_ci(p->host, slice_of_str(at->host)) ? "host" : "port");
    json_write_object_begin(&op->w);
    smtp_write_answer(&op->w, 220, slice_of_str(smtp_client_greeting(e)));
    json_write_object_end(&op->w);
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

    if (op->session->manual)
        smtp_manual_set_trace(op->session, p->level > 0);
    else
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
