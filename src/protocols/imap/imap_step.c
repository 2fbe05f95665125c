/* SPDX-License-Identifier: MIT */
/* Steps of the login as requests: STARTTLS, LOGIN, AUTHENTICATE and PROXYAUTH at the client's word, on a connection that was
 * made without a login. They run alone, through the states of the login itself. */
#include "imap_internal.h"

#include "base64.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct imap_step {
    struct imap_command *command;
    struct engine_config config; /* the account's, with the request's user name */
    char *username;
    size_t responses;            /* given so far, where the client says them itself */
    struct fault fault;          /* why it ended before anything was said */
    bool failed;
};

bool imap_is_step(enum imap_kind kind)
{
    return kind == IMAP_STARTTLS || kind == IMAP_LOGIN || kind == IMAP_AUTHENTICATE || kind == IMAP_PROXYAUTH;
}

const struct engine_config *imap_login_config(const struct imap_client *c)
{
    return c->step ? &c->step->config : c->config;
}

void imap_step_free(struct imap_step *s)
{
    if (s)
        free(s->username);
    free(s);
}

/* --- what is allowed --- */

static bool method_by_name(const struct imap_client *c, struct slice name, enum sasl_method *ret)
{
    unsigned named = 0;
    sasl_offer_add(&named, name, c->config);
    if (!named)
        return false;
    *ret = (enum sasl_method) __builtin_ctz(named);
    return sasl_method_is_sasl(*ret);
}

/* In the client's own dialogue the names of mechanisms are the client's matter. */
static int check_authenticate(const struct imap_client *c, const struct imap_command *cmd, struct fault *fault)
{
    enum sasl_method m;
    for (size_t i = 0; i < cmd->text.len; i++)
        if (!ascii_is_alpha(cmd->text.data[i]) && !ascii_is_digit(cmd->text.data[i]) && cmd->text.data[i] != '-' &&
            cmd->text.data[i] != '_')
            return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, "auth", "no mechanism is named so");
    if (cmd->by_hand)
        return 0;
    if (!method_by_name(c, cmd->text, &m))
        return fault_set(fault, -ENOTSUP, FAULT_UNSUPPORTED_MECHANISM, "auth", "that mechanism is not known here, or disabled");
    if (!(c->offered & SASL_BIT(m)))
        return fault_set(fault, -ENOTSUP, FAULT_UNSUPPORTED_MECHANISM, "auth", "the server does not offer that mechanism");
    /* The account's own credential goes only where the account's policy would send it. */
    return cmd->secret ? 0 : sasl_choose(c->config, PROTOCOL_IMAP, c->tls_active ? &c->tls : NULL, SASL_BIT(m), &m, fault);
}

static bool is_line(struct slice s)
{
    return slice_find(s, '\r') == s.len && slice_find(s, '\n') == s.len && slice_find(s, '\0') == s.len;
}

/* A response is base64, or "*", which cancels. */
static bool are_responses(const struct imap_command *cmd)
{
    for (size_t i = 0; i < cmd->n_items; i++) {
        struct slice r = cmd->items[i];
        for (size_t k = 0; k < r.len; k++)
            if (!ascii_is_alpha(r.data[k]) && !ascii_is_digit(r.data[k]) && !strchr("+/=", r.data[k]) && !slice_eq(r, SLICE("*")))
                return false;
    }
    return true;
}

int imap_step_check(const struct imap_client *c, const struct imap_command *cmd, struct fault *fault)
{
    const char *stage = imap_kind_stage(cmd->kind);
    bool goes_on = c->state == IMAP_STATE_CHALLENGED;
    if (goes_on != (goes_on && cmd->kind == IMAP_AUTHENTICATE && cmd->by_hand))
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, stage, "an authentication is under way: give its next response");
    if (!is_line(cmd->other) || !is_line(cmd->text) || (cmd->secret && !is_line(secret_expose(cmd->secret))) || !are_responses(cmd))
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, stage,
                         "names and passwords are one line without NUL, responses are base64 or \"*\"");
    if (cmd->kind == IMAP_PROXYAUTH)
        return 0;
    if (c->logged_in || c->preauth)
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, stage, "the session is logged in");
    if (cmd->kind == IMAP_STARTTLS && c->tls_active)
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, stage, "TLS is active already");
    if (cmd->kind == IMAP_STARTTLS)
        return imap_has(c, IMAP_CAP_STARTTLS)
                   ? 0 : fault_set(fault, -ENOTSUP, FAULT_MISSING_EXTENSION, stage, "the server does not offer STARTTLS");
    if (!sasl_may_send_credential(c->config, c->tls_active))
        return fault_set(fault, -EPERM, FAULT_TLS, stage,
                         "the connection is not encrypted, so no credential is sent (allow_plaintext_auth would)");
    if (cmd->kind == IMAP_LOGIN && imap_has(c, IMAP_CAP_LOGINDISABLED))
        return fault_set(fault, -ENOTSUP, FAULT_UNSUPPORTED_MECHANISM, stage, "the server does not take LOGIN here");
    return cmd->kind == IMAP_AUTHENTICATE ? check_authenticate(c, cmd, fault) : 0;
}

/* --- its course --- */

static int say_response(struct imap_client *c)
{
    struct imap_step *s = c->step;
    struct writer *w = &c->writer;
    writer_begin(w);
    writer_secret_begin(w);
    writer_raw(w, s->command->items[s->responses++]);
    writer_secret_end(w);
    int ret = writer_end(w);
    if (ret < 0)
        return imap_fail_io(c, ret);
    imap_trace_written(c);
    return 0;
}

static int begin_authenticate(struct imap_client *c)
{
    struct imap_command *cmd = c->step->command;
    if (cmd->by_hand) {
        struct writer *w = &c->writer;
        imap_new_tag(c, c->login_tag);
        writer_begin(w);
        writer_raw_str(w, c->login_tag);
        writer_raw_str(w, " AUTHENTICATE ");
        writer_atom(w, cmd->text);
        int ret = writer_end(w);
        if (ret < 0)
            return imap_fail_io(c, ret);
        imap_trace_written(c);
        imap_set_state(c, IMAP_STATE_AUTHENTICATE);
        return 0;
    }
    if (!method_by_name(c, cmd->text, &c->method))
        return imap_fail_io(c, -EINVAL); /* it was checked */
    if (cmd->secret || !sasl_method_needs_secret(c->method))
        return imap_login_credential(c, cmd->secret);
    imap_set_state(c, IMAP_STATE_CREDENTIAL);
    return 0;
}

static int begin(struct imap_client *c)
{
    struct imap_command *cmd = c->step->command;
    if (cmd->kind == IMAP_STARTTLS)
        return imap_login_say(c, "STARTTLS", SLICE_EMPTY, IMAP_STATE_STARTTLS);
    if (cmd->kind == IMAP_PROXYAUTH)
        return imap_login_say(c, "PROXYAUTH", cmd->other, IMAP_STATE_LOGIN);
    if (cmd->kind == IMAP_AUTHENTICATE)
        return begin_authenticate(c);
    c->method = SASL_METHOD_IMAP_LOGIN;
    return imap_login_credential(c, cmd->secret);
}

static struct imap_step *step_new(const struct imap_client *c, struct imap_command *cmd)
{
    struct imap_step *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->command = cmd;
    s->config = *c->config;
    if (cmd->other.len == 0)
        return s;
    s->username = malloc(cmd->other.len + 1);
    if (!s->username) {
        imap_step_free(s);
        return NULL;
    }
    memcpy(s->username, cmd->other.data, cmd->other.len);
    s->username[cmd->other.len] = '\0';
    s->config.username = s->username;
    s->config.authzid = NULL;
    return s;
}

int imap_step_begin(struct imap_client *c, struct imap_command *cmd)
{
    bool goes_on = c->state == IMAP_STATE_CHALLENGED;
    c->step = step_new(c, cmd);
    if (!c->step)
        return imap_fail_io(c, -ENOMEM);
    cmd->request.state = REQUEST_WRITTEN;
    cmd->request.begin_offset = writer_position(&c->writer);
    if (!goes_on)
        return begin(c);
    imap_set_state(c, IMAP_STATE_AUTHENTICATE);
    return cmd->n_items ? say_response(c) : imap_fail(c, -EINVAL, FAULT_INVALID_PARAMS, "no response is given");
}

/* Its end is an event, and must not come inside the call that submits it. */
int imap_step_fail(struct imap_client *c, int err, const struct fault *fault)
{
    c->step->fault = *fault;
    fault_set(&c->step->fault, err, FAULT_INTERNAL, "auth", "the login could not be begun");
    c->step->fault.protocol = "imap";
    c->step->failed = true;
    imap_set_state(c, IMAP_STATE_READY);
    return 0;
}

/* Gives the request its DONE. */
static int end(struct imap_client *c, const struct imap_response *r, const struct fault *fault)
{
    struct imap_step *s = c->step;
    struct imap_command *cmd = s->command;
    c->step = NULL;
    sasl_free(c->sasl);
    c->sasl = NULL;
    free(c->done_fault);
    c->done_fault = NULL;
    if (fault && !imap_new_fault(c, &c->done_fault))
        return c->error;
    if (fault)
        *c->done_fault = *fault;
    imap_step_free(s);
    list_remove(&cmd->request.link);
    c->n_requests--;
    cmd->request.state = REQUEST_ANSWERED;
    cmd->status = fault ? IMAP_NO : IMAP_OK;
    c->event = (struct imap_event){.base = {.type = ENGINE_EVENT_DONE, .request = &cmd->request}, .response = *r, .raw = c->unit};
    c->event.base.fault = c->done_fault;
    int ret = imap_pump(c);
    return ret < 0 ? ret : 1;
}

bool imap_step_has_failed(const struct imap_client *c)
{
    return c->step && c->step->failed;
}

int imap_step_end_failed(struct imap_client *c)
{
    const struct imap_response none = {.kind = IMAP_RESPONSE_TAGGED, .status = IMAP_NO};
    struct fault fault = c->step->fault;
    return end(c, &none, &fault);
}

int imap_step_done(struct imap_client *c)
{
    const struct imap_response yes = {.kind = IMAP_RESPONSE_TAGGED, .status = IMAP_OK};
    if (c->step->command->kind == IMAP_PROXYAUTH)
        c->box.selected = false; /* it was another user's */
    else if (c->step->command->kind != IMAP_STARTTLS)
        c->logged_in = true;
    imap_set_state(c, IMAP_STATE_READY);
    return end(c, &yes, NULL);
}

int imap_step_refused(struct imap_client *c, const struct imap_response *r, enum fault_kind kind)
{
    struct fault fault = {.kind = FAULT_NONE};
    struct fault_reply reply;
    bool credential = c->step->command->kind == IMAP_LOGIN || c->step->command->kind == IMAP_AUTHENTICATE;
    imap_fill_reply(r, &reply);
    fault_set_reply(&fault, -EACCES, credential ? kind : FAULT_REJECTED, imap_kind_stage(c->step->command->kind), &reply);
    if (c->sasl)
        sasl_add_reason(&fault, sasl_server_error(c->sasl));
    fault.protocol = "imap";
    if (credential && kind == FAULT_REJECTED)
        fault.retry = RETRY_LATER;
    imap_set_state(c, IMAP_STATE_READY);
    return end(c, r, &fault);
}

bool imap_step_is_by_hand(const struct imap_client *c)
{
    return c->step && c->step->command->by_hand;
}

/* The client's next response; where there is none any more it is shown the challenge, and may go on. */
int imap_step_challenge(struct imap_client *c, const struct imap_response *r)
{
    if (c->step->responses < c->step->command->n_items)
        return say_response(c);
    imap_set_state(c, IMAP_STATE_CHALLENGED);
    return end(c, r, NULL);
}
