/* SPDX-License-Identifier: MIT */
/* From the greeting to READY. The order is the policy: nothing that needs TLS is said before it, and what was learned
 * before it is forgotten. */
#include "smtp_private.h"

#include <errno.h>

static const char out_of_memory[] = "out of memory";

static int send_line(struct smtp_client *c, const char *verb, const char *argument)
{
    writer_begin(&c->writer);
    writer_raw_str(&c->writer, verb);
    if (argument) {
        writer_char(&c->writer, ' ');
        writer_word(&c->writer, slice_of_str(argument));
    }
    return smtp_end_command(c);
}

static const char *own_name(const struct smtp_client *c)
{
    return c->config->domain ? c->config->domain : "localhost";
}

static int send_ehlo(struct smtp_client *c)
{
    smtp_set_state(c, SMTP_EHLO);
    return send_line(c, c->config->lmtp ? "LHLO" : "EHLO", own_name(c));
}

static bool tls_is_required(const struct smtp_client *c)
{
    return c->config->tls == TLS_POLICY_ALL || c->config->tls == TLS_POLICY_CONTROL;
}

static int become_ready(struct smtp_client *c)
{
    struct smtp_command *tls = smtp_open_command(c, SMTP_VERB_STARTTLS);

    smtp_set_state(c, SMTP_READY);
    c->dialogue = SMTP_DIALOGUE_READY;
    smtp_flight_begin(c);
    if (tls) {
        smtp_complete_command(c, tls, NULL);
        return 0;
    }
    smtp_push_event(c, ENGINE_EVENT_READY, NULL);
    return 0;
}

static int fail_fault(struct smtp_client *c, int err, const struct fault *fault)
{
    if (!fault_is_set(&c->engine.fault)) {
        c->engine.fault = *fault;
        c->engine.fault.protocol = protocol_name(PROTOCOL_SMTP);
    }
    return smtp_set_failed(c, err);
}

/* --- AUTH --- */

static int begin_auth(struct smtp_client *c, const struct engine_config *config, struct secret *secret)
{
    struct fault fault = {0};

    int r = sasl_new(c->method, PROTOCOL_SMTP, config, c->has_tls ? &c->tls : NULL, secret, &c->sasl, &fault);
    if (r < 0)
        return fail_fault(c, r, &fault);
    sasl_write_command(&c->writer, "AUTH ", c->method, c->sasl, SMTP_AUTH_LINE_MAX);
    smtp_set_state(c, SMTP_AUTH);
    return smtp_end_command(c);
}

/* `r` is what sasl_challenge() or sasl_derived() answered. */
static int auth_step(struct smtp_client *c, int r, const struct fault *fault)
{
    if (r == SASL_DERIVE) {
        smtp_set_state(c, SMTP_DERIVE);
        return 0;
    }
    sasl_write_reply(&c->writer, c->sasl);
    smtp_set_state(c, SMTP_AUTH);
    int end = smtp_end_command(c);
    /* "*" may still go out; the server's answer to it changes nothing. */
    return r < 0 ? fail_fault(c, r, fault) : end;
}

static int auth_refused(struct smtp_client *c, const struct smtp_reply *reply)
{
    struct smtp_command *login = smtp_open_command(c, SMTP_VERB_LOGIN);

    if (login && reply->code != 421) {
        /* The session goes on; another login may do better. */
        smtp_set_state(c, SMTP_READY);
        smtp_push_command_reply(c, login, reply);
        smtp_complete_command(c, login, reply);
        sasl_add_reason(&c->done_fault, sasl_server_error(c->sasl));
        sasl_free(c->sasl);
        c->sasl = NULL;
        return 0;
    }
    enum fault_kind kind = smtp_reply_class(reply) == SMTP_CLASS_TRANSIENT ? FAULT_REJECTED : FAULT_AUTH;
    int r = smtp_fail_reply(c, -EPERM, kind, "auth", reply);
    if (c->sasl)
        sasl_add_reason(&c->engine.fault, sasl_server_error(c->sasl));
    return r;
}

static int auth_reply(struct smtp_client *c, const struct smtp_reply *reply)
{
    struct fault fault = {0};
    int r;

    switch (smtp_reply_class(reply)) {
    case SMTP_CLASS_INTERMEDIATE:
        r = sasl_challenge(c->sasl, reply->text, &fault);
        return auth_step(c, r, &fault);
    case SMTP_CLASS_POSITIVE:
        r = sasl_success(c->sasl, &fault);
        sasl_free(c->sasl);
        c->sasl = NULL;
        if (r < 0)
            return fail_fault(c, r, &fault);
        c->logged_in = c->has_auth = true;
        struct smtp_command *login = smtp_open_command(c, SMTP_VERB_LOGIN);
        if (login) {
            smtp_set_state(c, SMTP_READY);
            c->dialogue = SMTP_DIALOGUE_AUTHENTICATED;
            smtp_push_command_reply(c, login, reply);
            smtp_complete_command(c, login, NULL);
            return 0;
        }
        /* What a server offers can depend on who asks. Some (OpenSMTPD) take no second EHLO: what they said stands. */
        return send_ehlo(c);
    case SMTP_CLASS_TRANSIENT:
    case SMTP_CLASS_PERMANENT:
        return auth_refused(c, reply);
    }
    return smtp_fail(c, -EPROTO, FAULT_PROTOCOL, "auth", "the server's reply is malformed");
}

/* --- after EHLO --- */

static bool wants_auth(const struct smtp_client *c)
{
    return c->config->wants_login || (c->config->has_client_cert && (c->caps.auth & SASL_BIT(SASL_EXTERNAL)));
}

static int choose_login(struct smtp_client *c)
{
    struct fault fault = {0};

    if (c->logged_in || !wants_auth(c) || smtp_open_command(c, SMTP_VERB_STARTTLS)) {
        c->logged_in = true;
        return become_ready(c);
    }
    int r = sasl_choose(c->config, PROTOCOL_SMTP, c->has_tls ? &c->tls : NULL, c->caps.auth, &c->method, &fault);
    if (r < 0)
        return fail_fault(c, r, &fault);
    if (!sasl_method_needs_secret(c->method))
        return begin_auth(c, c->config, NULL);
    smtp_set_state(c, SMTP_CREDENTIAL);
    return 0;
}

int smtp_login_check(const struct smtp_client *c, const struct smtp_login *login, struct fault *fault)
{
    enum sasl_method method;
    return sasl_choose(&login->config, PROTOCOL_SMTP, c->has_tls ? &c->tls : NULL, c->caps.auth, &method, fault);
}

int smtp_login_begin(struct smtp_client *c, const struct smtp_login *login)
{
    struct fault fault = {0};
    int r = sasl_choose(&login->config, PROTOCOL_SMTP, c->has_tls ? &c->tls : NULL, c->caps.auth, &c->method, &fault);
    return r < 0 ? fail_fault(c, r, &fault) : begin_auth(c, &login->config, login->secret);
}

static int after_capabilities(struct smtp_client *c)
{
    if (c->has_tls || c->config->tls == TLS_POLICY_NONE)
        return choose_login(c);
    if (smtp_has(&c->caps, SMTP_EXT_STARTTLS)) {
        smtp_set_state(c, SMTP_STARTTLS);
        return send_line(c, "STARTTLS", NULL);
    }
    if (tls_is_required(c))
        return smtp_fail(c, -EPERM, FAULT_TLS, "tls", "TLS is required, and the server does not offer it");
    return choose_login(c);
}

static int ehlo_reply(struct smtp_client *c, const struct smtp_reply *reply)
{
    switch (smtp_reply_class(reply)) {
    case SMTP_CLASS_POSITIVE:
        if (smtp_capabilities_parse(&c->caps, c->config, reply->text) < 0)
            return smtp_fail(c, -ENOMEM, FAULT_INTERNAL, NULL, out_of_memory);
        return after_capabilities(c);
    case SMTP_CLASS_PERMANENT:
        if (c->logged_in)
            return become_ready(c);
        if (!c->has_tls && tls_is_required(c))
            return smtp_fail(c, -EPERM, FAULT_TLS, "tls", "TLS is required, and the server refuses EHLO");
        if (c->config->lmtp || reply->code == 554)
            return smtp_fail_reply(c, -EPERM, FAULT_REJECTED, NULL, reply);
        smtp_set_state(c, SMTP_HELO);
        return send_line(c, "HELO", own_name(c));
    case SMTP_CLASS_TRANSIENT:
        return smtp_fail_reply(c, -EPERM, FAULT_REJECTED, NULL, reply);
    case SMTP_CLASS_INTERMEDIATE:
        break;
    }
    return smtp_fail(c, -EPROTO, FAULT_PROTOCOL, NULL, "the server's answer to EHLO is none");
}

static int helo_reply(struct smtp_client *c, const struct smtp_reply *reply)
{
    if (smtp_reply_is_refusal(reply))
        return smtp_fail_reply(c, -EPERM, FAULT_REJECTED, NULL, reply);
    if (smtp_reply_class(reply) != SMTP_CLASS_POSITIVE)
        return smtp_fail(c, -EPROTO, FAULT_PROTOCOL, NULL, "the server's answer to HELO is none");
    smtp_capabilities_reset(&c->caps);
    return choose_login(c);
}

static int greeting_reply(struct smtp_client *c, const struct smtp_reply *reply)
{
    fault_clean_text(c->greeting, sizeof(c->greeting), slice_to(reply->text, slice_find(reply->text, '\n')));
    if (smtp_reply_is_refusal(reply))
        return smtp_fail_reply(c, -EPERM, FAULT_REJECTED, NULL, reply);
    if (smtp_reply_class(reply) != SMTP_CLASS_POSITIVE)
        return smtp_fail(c, -EPROTO, FAULT_PROTOCOL, NULL, "the server's greeting is none");
    if (c->config->step_by_step) {
        smtp_set_state(c, SMTP_READY);
        c->dialogue = SMTP_DIALOGUE_GREETING_RECEIVED;
        c->logged_in = true;
        smtp_push_event(c, ENGINE_EVENT_READY, NULL)->reply = *reply;
        return 0;
    }
    return send_ehlo(c);
}

static int starttls_reply(struct smtp_client *c, const struct smtp_reply *reply)
{
    /* RFC 3207 section 4: 220 alone means go ahead. A 250 or anything else is not trusted. */
    if (reply->code != 220) {
        struct fault_reply text;
        struct fault fault = {0};
        smtp_reply_to_fault(reply, &text);
        fault_set_reply(&fault, -EPERM, FAULT_TLS, "tls", &text);
        if (smtp_reply_class(reply) == SMTP_CLASS_TRANSIENT)
            fault.retry = RETRY_LATER;
        return fail_fault(c, -EPERM, &fault);
    }
    return smtp_login_agreed(c);
}

int smtp_login_agreed(struct smtp_client *c)
{
    if (reader_pending(&c->reader))
        return smtp_fail(c, -EPROTO, FAULT_PROTOCOL, "tls", "bytes in clear came behind the answer to STARTTLS");
    smtp_set_state(c, SMTP_HANDSHAKE);
    return 0;
}

int smtp_login_reply(struct smtp_client *c, const struct smtp_reply *reply)
{
    /* No command is under way behind the one that was answered: more bytes answer nothing. */
    if (c->state != SMTP_STARTTLS && reader_pending(&c->reader))
        return smtp_fail(c, -EPROTO, FAULT_PROTOCOL, NULL, "the server sends a reply to no command");
    switch (c->state) {
    case SMTP_GREETING:
        return greeting_reply(c, reply);
    case SMTP_EHLO:
        return ehlo_reply(c, reply);
    case SMTP_HELO:
        return helo_reply(c, reply);
    case SMTP_STARTTLS:
        return starttls_reply(c, reply);
    case SMTP_AUTH:
        return auth_reply(c, reply);
    case SMTP_HANDSHAKE:
    case SMTP_CREDENTIAL:
    case SMTP_DERIVE:
    case SMTP_READY:
    case SMTP_QUITTING:
    case SMTP_QUIT:
    case SMTP_CLOSED:
    case SMTP_FAILED:
    case SMTP_STATE_COUNT:
        break;
    }
    return 0;
}

int smtp_login_tls_started(struct smtp_client *c, const struct engine_tls *tls)
{
    if (c->state != SMTP_HANDSHAKE && !(c->state == SMTP_GREETING && c->config->implicit_tls))
        return -EINVAL;
    c->tls = *tls;
    c->has_tls = true;
    if (c->state == SMTP_GREETING)
        return 0;
    size_t line = c->reader.max_line;
    reader_done(&c->reader);
    reader_init(&c->reader, READER_LF_ENDS_LINE | READER_REFUSE_NUL, line, line);
    smtp_reply_parser_reset(&c->parser);
    smtp_capabilities_reset(&c->caps);
    if (!c->config->step_by_step)
        return send_ehlo(c);
    struct smtp_command *asked = smtp_open_command(c, SMTP_VERB_STARTTLS);
    smtp_set_state(c, SMTP_READY);
    c->dialogue = SMTP_DIALOGUE_GREETING_RECEIVED;
    if (asked)
        smtp_complete_command(c, asked, NULL);
    return 0;
}

int smtp_login_credential(struct smtp_client *c, struct secret *secret)
{
    if (c->state != SMTP_CREDENTIAL)
        return -EINVAL;
    if (!secret)
        return smtp_fail(c, -EPERM, FAULT_AUTH, "auth", "there is no password or token");
    return begin_auth(c, c->config, secret);
}

int smtp_login_derived(struct smtp_client *c, const void *key, size_t len)
{
    struct fault fault = {0};

    if (c->state != SMTP_DERIVE)
        return -EINVAL;
    int r = sasl_derived(c->sasl, key, len, &fault);
    return auth_step(c, r, &fault);
}
