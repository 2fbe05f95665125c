/* SPDX-License-Identifier: MIT */
/* Single commands: which may be said in which state of the dialogue, how they are written, and what their replies make of
 * the state. The states and their rules are those of sans-I/O SMTP libraries: a caller who goes step by step can do
 * nothing that a transaction would not do. */
#include "base64.h"
#include "smtp_private.h"

#include <errno.h>

#define IN(name) (1u << SMTP_DIALOGUE_##name)
#define IN_REST (IN(READY) | IN(AUTHENTICATED))
#define IN_QUIET (IN_REST | IN(GREETING_RECEIVED) | IN(MAILTX) | IN(RECIPIENT_SENT))

static const char *const dialogue_names[] = {
    [SMTP_DIALOGUE_GREETING_EXPECTED] = "greeting_expected",
    [SMTP_DIALOGUE_GREETING_RECEIVED] = "greeting_received",
    [SMTP_DIALOGUE_AUTHENTICATING] = "authenticating",
    [SMTP_DIALOGUE_AUTHENTICATED] = "authenticated",
    [SMTP_DIALOGUE_READY] = "ready",
    [SMTP_DIALOGUE_MAILTX] = "mailtx",
    [SMTP_DIALOGUE_RECIPIENT_SENT] = "recipient_sent",
    [SMTP_DIALOGUE_SEND_DATA] = "send_data",
    [SMTP_DIALOGUE_DATA_SENT] = "data_sent",
    [SMTP_DIALOGUE_FINISHED] = "finished",
};
_Static_assert(ARRAY_LEN(dialogue_names) == SMTP_DIALOGUE_COUNT, "every state has a name");

static const struct {
    const char *word, *stage;
    unsigned states; /* in which it may be said */
} verbs[] = {
    [SMTP_VERB_NOOP] = {"NOOP", "noop", IN_QUIET},
    [SMTP_VERB_RSET] = {"RSET", "rset", IN_QUIET},
    [SMTP_VERB_VRFY] = {"VRFY", "vrfy", IN_QUIET},
    [SMTP_VERB_EXPN] = {"EXPN", "expn", IN_QUIET},
    [SMTP_VERB_HELP] = {"HELP", "help", IN_QUIET},
    [SMTP_VERB_RAW] = {NULL, "docmd", IN_QUIET},
    [SMTP_VERB_EHLO] = {"EHLO", "ehlo", IN_QUIET},
    [SMTP_VERB_HELO] = {"HELO", "helo", IN_QUIET},
    [SMTP_VERB_MAIL] = {"MAIL", "mail", IN_REST},
    [SMTP_VERB_RCPT] = {"RCPT", "rcpt", IN(MAILTX) | IN(RECIPIENT_SENT)},
    [SMTP_VERB_DATA] = {"DATA", "data", IN(RECIPIENT_SENT)},
    [SMTP_VERB_BODY] = {NULL, "data", IN(SEND_DATA)},
    [SMTP_VERB_STARTTLS] = {"STARTTLS", "tls", IN(READY)},
    [SMTP_VERB_AUTH] = {"AUTH", "auth", IN(READY)},
    [SMTP_VERB_AUTH_LINE] = {NULL, "auth", IN(AUTHENTICATING)},
    [SMTP_VERB_LOGIN] = {NULL, "auth", IN(READY)},
};
_Static_assert(ARRAY_LEN(verbs) == SMTP_VERB_COUNT, "every verb has a row");

const char *smtp_dialogue_name(enum smtp_dialogue dialogue)
{
    return dialogue_names[dialogue];
}

enum smtp_dialogue smtp_dialogue(const struct smtp_client *c)
{
    switch (c->state) {
    case SMTP_GREETING:
        return SMTP_DIALOGUE_GREETING_EXPECTED;
    case SMTP_EHLO:
    case SMTP_HELO:
    case SMTP_STARTTLS:
    case SMTP_HANDSHAKE:
        return SMTP_DIALOGUE_GREETING_RECEIVED;
    case SMTP_CREDENTIAL:
    case SMTP_AUTH:
    case SMTP_DERIVE:
        return SMTP_DIALOGUE_AUTHENTICATING;
    case SMTP_READY:
    case SMTP_QUITTING:
        return c->dialogue;
    case SMTP_QUIT:
    case SMTP_CLOSED:
    case SMTP_FAILED:
    case SMTP_STATE_COUNT:
        break;
    }
    return SMTP_DIALOGUE_FINISHED;
}

enum smtp_dialogue smtp_client_dialogue(const struct engine *e)
{
    return smtp_dialogue(smtp_of_const(e));
}

const char *smtp_verb_stage(enum smtp_verb verb)
{
    return verbs[verb].stage;
}

struct smtp_command *smtp_command_of(struct smtp_request *r)
{
    return container_of(r, struct smtp_command, request);
}

struct smtp_command *smtp_open_command(const struct smtp_client *c, enum smtp_verb verb)
{
    struct engine_request *r = list_first(&c->engine.requests, struct engine_request, link);
    struct smtp_request *request = r ? container_of(r, struct smtp_request, base) : NULL;

    if (!request || request->kind != SMTP_COMMAND || smtp_command_of(request)->verb != verb)
        return NULL;
    return smtp_command_of(request)->written ? smtp_command_of(request) : NULL;
}

void smtp_command_init(struct smtp_command *c, enum smtp_verb verb, struct slice argument)
{
    *c = (struct smtp_command){.request = {.kind = SMTP_COMMAND}, .verb = verb, .argument = argument};
    list_init(&c->request.base.link);
    if (verb == SMTP_VERB_BODY)
        c->request.base.changes = c->request.base.has_body = true;
}

/* --- checks --- */

int smtp_check_dialogue(const struct smtp_client *c, unsigned states, const char *what, struct fault *fault)
{
    enum smtp_dialogue now = smtp_dialogue(c);

    if (states & (1u << now))
        return 0;
    return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, what, "%s cannot be said in the state %s", what, dialogue_names[now]);
}

int smtp_check_rest(const struct smtp_client *c, struct fault *fault)
{
    return smtp_check_dialogue(c, IN_REST, "mail", fault);
}

static int invalid(struct fault *fault, const char *text)
{
    return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "%s", text);
}

static bool first_word_is(struct slice line, const char *word)
{
    size_t n = strlen(word);
    return slice_starts_ci(line, slice_of_str(word)) && (line.len == n || !ascii_is_alpha(line.data[n]));
}

/* What follows these is not one reply, or is not in clear. */
static int check_raw(struct slice line, struct fault *fault)
{
    static const char *const special[] = {"STARTTLS", "AUTH", "BDAT", "QUIT"};

    for (size_t i = 0; i < ARRAY_LEN(special); i++)
        if (first_word_is(line, special[i]))
            return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "%s has a call of its own", special[i]);
    return 0;
}

static int check_base64_line(struct slice line, struct fault *fault)
{
    if (line.len > SMTP_AUTH_LINE_MAX - 64)
        return invalid(fault, "the response is too long");
    for (size_t i = 0; i < line.len; i++) {
        char ch = line.data[i];
        if (!ascii_is_alpha(ch) && !ascii_is_digit(ch) && ch != '+' && ch != '/' && ch != '=' && !(ch == '*' && line.len == 1))
            return invalid(fault, "a response is base64, or \"*\" alone");
    }
    return 0;
}

static int check_auth(const struct smtp_client *c, const struct smtp_command *cmd, struct fault *fault)
{
    bool offered = false;
    struct slice rest;

    if (cmd->argument.len == 0 || cmd->argument.len > 64)
        return invalid(fault, "which mechanism?");
    if (!smtp_capability_find(&c->caps, SLICE("AUTH"), &rest))
        return fault_set(fault, -ENOTSUP, FAULT_MISSING_EXTENSION, "auth", "the server does not offer AUTH");
    while (rest.len && !offered) {
        size_t end = slice_find(rest, ' ');
        offered = slice_eq_ci(slice_to(rest, end), cmd->argument);
        rest = slice_from(rest, end + 1);
    }
    if (!offered)
        return fault_set(fault, -ENOTSUP, FAULT_UNSUPPORTED_MECHANISM, "auth", "the server does not offer the mechanism %.*s",
                         (int) cmd->argument.len, cmd->argument.data);
    if (!sasl_may_send_credential(c->config, c->has_tls))
        return fault_set(fault, -EPERM, FAULT_TLS, "auth", "no credential may be sent without TLS");
    return check_base64_line(cmd->response, fault);
}

static int check_line(const struct smtp_command *cmd, struct fault *fault)
{
    struct slice a = cmd->argument;

    if (a.len > SMTP_COMMAND_LINE_MAX - 16 || slice_find(a, '\r') < a.len || slice_find(a, '\n') < a.len ||
        slice_find(a, '\0') < a.len)
        return invalid(fault, "a command is one line without CR, LF and NUL");
    if ((cmd->verb == SMTP_VERB_VRFY || cmd->verb == SMTP_VERB_EXPN || cmd->verb == SMTP_VERB_RAW) && a.len == 0)
        return invalid(fault, "the command lacks its argument");
    return cmd->verb == SMTP_VERB_RAW ? check_raw(a, fault) : 0;
}

int smtp_check_command(const struct smtp_client *c, const struct smtp_command *cmd, struct fault *fault)
{
    int r = smtp_check_dialogue(c, verbs[cmd->verb].states, verbs[cmd->verb].stage, fault);

    if (r == 0)
        r = check_line(cmd, fault);
    if (r < 0)
        return r;
    switch (cmd->verb) {
    case SMTP_VERB_MAIL:
        return smtp_check_envelope(c, cmd->envelope, true, fault);
    case SMTP_VERB_RCPT:
        return smtp_check_envelope(c, cmd->envelope, false, fault);
    case SMTP_VERB_STARTTLS:
        if (c->has_tls)
            return invalid(fault, "TLS is in use already");
        if (!smtp_has(&c->caps, SMTP_EXT_STARTTLS))
            return fault_set(fault, -ENOTSUP, FAULT_MISSING_EXTENSION, "tls", "the server does not offer STARTTLS");
        return 0;
    case SMTP_VERB_AUTH:
    case SMTP_VERB_LOGIN:
        if (c->has_auth)
            return invalid(fault, "the session is authenticated already");
        return cmd->verb == SMTP_VERB_AUTH ? check_auth(c, cmd, fault) : smtp_login_check(c, cmd->login, fault);
    case SMTP_VERB_AUTH_LINE:
        return check_base64_line(cmd->response, fault);
    case SMTP_VERB_NOOP:
    case SMTP_VERB_RSET:
    case SMTP_VERB_VRFY:
    case SMTP_VERB_EXPN:
    case SMTP_VERB_HELP:
    case SMTP_VERB_RAW:
    case SMTP_VERB_EHLO:
    case SMTP_VERB_HELO:
    case SMTP_VERB_DATA:
    case SMTP_VERB_BODY:
    case SMTP_VERB_COUNT:
        break;
    }
    return 0;
}

/* --- writing --- */

static int write_secret_line(struct smtp_client *c, const char *word, struct slice argument, struct slice response)
{
    struct writer *w = &c->writer;

    writer_begin(w);
    if (word) {
        writer_raw_str(w, word);
        writer_char(w, ' ');
        writer_word(w, argument);
    }
    if (word && response.data)
        writer_char(w, ' ');
    if (response.data) {
        writer_secret_begin(w);
        writer_raw(w, response);
        writer_secret_end(w);
    }
    return smtp_end_command(c);
}

static int write_line(struct smtp_client *c, const char *word, struct slice argument)
{
    struct writer *w = &c->writer;

    writer_begin(w);
    w->utf8 = true;
    if (word)
        writer_raw_str(w, word);
    if (word && argument.len)
        writer_char(w, ' ');
    writer_raw(w, argument);
    return smtp_end_command(c);
}

static int write_verb(struct smtp_client *c, const struct smtp_command *cmd)
{
    switch (cmd->verb) {
    case SMTP_VERB_MAIL:
        return smtp_write_mail(c, cmd->envelope);
    case SMTP_VERB_RCPT:
        return smtp_write_rcpt(c, cmd->envelope, &cmd->envelope->recipients[0]);
    case SMTP_VERB_EHLO:
    case SMTP_VERB_HELO:
        return write_line(c, cmd->verb == SMTP_VERB_HELO ? "HELO" : c->config->lmtp ? "LHLO" : "EHLO",
                          cmd->argument.len ? cmd->argument : slice_of_str(c->config->domain ? c->config->domain : "localhost"));
    case SMTP_VERB_AUTH:
        c->bearer = slice_eq_ci(cmd->argument, SLICE("XOAUTH2")) || slice_eq_ci(cmd->argument, SLICE("OAUTHBEARER"));
        c->reason[0] = '\0';
        return write_secret_line(c, "AUTH", cmd->argument, cmd->response);
    case SMTP_VERB_AUTH_LINE:
        return write_secret_line(c, NULL, SLICE_EMPTY, cmd->response);
    case SMTP_VERB_LOGIN:
        return smtp_login_begin(c, cmd->login);
    case SMTP_VERB_NOOP:
    case SMTP_VERB_RSET:
    case SMTP_VERB_VRFY:
    case SMTP_VERB_EXPN:
    case SMTP_VERB_HELP:
    case SMTP_VERB_RAW:
    case SMTP_VERB_DATA:
    case SMTP_VERB_STARTTLS:
        return write_line(c, verbs[cmd->verb].word, cmd->argument);
    case SMTP_VERB_BODY:
    case SMTP_VERB_COUNT:
        break;
    }
    return 0;
}

int smtp_write_command(struct smtp_client *c, struct smtp_command *cmd)
{
    smtp_mark_begin(c, &cmd->request.base);
    if (cmd->verb == SMTP_VERB_BODY) {
        if (c->body_of != &cmd->request) {
            c->body_of = &cmd->request;
            smtp_body_init(&c->filter);
        }
        return 0;
    }
    cmd->written = true;
    int r = write_verb(c, cmd);
    smtp_mark_end(c, &cmd->request.base);
    return r;
}

/* --- replies --- */

/* What a line of the caller's own asks for. */
static enum smtp_verb meaning(const struct smtp_command *cmd)
{
    static const enum smtp_verb known[] = {SMTP_VERB_RSET, SMTP_VERB_EHLO, SMTP_VERB_HELO,
                                           SMTP_VERB_MAIL, SMTP_VERB_RCPT, SMTP_VERB_DATA};

    if (cmd->verb != SMTP_VERB_RAW)
        return cmd->verb;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (first_word_is(cmd->argument, verbs[known[i]].word))
            return known[i];
    return first_word_is(cmd->argument, "LHLO") ? SMTP_VERB_EHLO : SMTP_VERB_RAW;
}

/* Why a token is refused comes as a challenge, before the refusal itself (RFC 7628 section 3.2.2). */
static void keep_reason(struct smtp_client *c, const struct smtp_reply *reply)
{
    char decoded[sizeof(c->reason)];
    struct slice text = slice_to(slice_trim(reply->text), sizeof(decoded) / 3 * 4);
    size_t len;

    c->reason[0] = '\0';
    if (c->bearer && text.len && base64_decode(text.data, text.len, decoded, &len) == 0)
        fault_clean_text(c->reason, sizeof(c->reason), slice_of(decoded, len));
}

/* Where the dialogue stands after a yes. 0, or <0 when this yes cannot be. */
static int follow(struct smtp_client *c, enum smtp_verb verb, const struct smtp_reply *reply)
{
    bool go_on = smtp_reply_class(reply) == SMTP_CLASS_INTERMEDIATE;

    switch (verb) {
    case SMTP_VERB_EHLO:
        if (smtp_capabilities_parse(&c->caps, c->config, reply->text) < 0)
            return -ENOMEM;
        c->needs_rset = false;
        c->dialogue = SMTP_DIALOGUE_READY;
        break;
    case SMTP_VERB_HELO:
        smtp_capabilities_reset(&c->caps);
        c->needs_rset = false;
        c->dialogue = SMTP_DIALOGUE_READY;
        break;
    case SMTP_VERB_RSET:
        c->needs_rset = false;
        if (c->dialogue == SMTP_DIALOGUE_MAILTX || c->dialogue == SMTP_DIALOGUE_RECIPIENT_SENT)
            c->dialogue = SMTP_DIALOGUE_READY;
        break;
    case SMTP_VERB_MAIL:
        c->dialogue = SMTP_DIALOGUE_MAILTX;
        c->step_accepted = 0;
        break;
    case SMTP_VERB_RCPT:
        c->dialogue = SMTP_DIALOGUE_RECIPIENT_SENT;
        c->step_accepted++;
        break;
    case SMTP_VERB_DATA:
        if (!go_on)
            return -EPROTO;
        c->dialogue = SMTP_DIALOGUE_SEND_DATA;
        return 0;
    case SMTP_VERB_AUTH:
    case SMTP_VERB_AUTH_LINE:
        if (go_on)
            keep_reason(c, reply);
        c->dialogue = go_on ? SMTP_DIALOGUE_AUTHENTICATING : SMTP_DIALOGUE_AUTHENTICATED;
        c->has_auth = !go_on;
        return 0;
    case SMTP_VERB_BODY:
    case SMTP_VERB_NOOP:
    case SMTP_VERB_VRFY:
    case SMTP_VERB_EXPN:
    case SMTP_VERB_HELP:
    case SMTP_VERB_RAW:
    case SMTP_VERB_STARTTLS:
    case SMTP_VERB_LOGIN:
    case SMTP_VERB_COUNT:
        break;
    }
    return go_on ? -EPROTO : 0;
}

static void refused(struct smtp_client *c, struct smtp_command *cmd, const struct smtp_reply *reply, struct smtp_event *done)
{
    bool login = cmd->verb == SMTP_VERB_AUTH || cmd->verb == SMTP_VERB_AUTH_LINE || cmd->verb == SMTP_VERB_LOGIN;
    bool later = smtp_reply_class(reply) == SMTP_CLASS_TRANSIENT;
    struct fault_reply text;

    fault_clear(&c->done_fault);
    smtp_reply_to_fault(reply, &text);
    fault_set_reply(&c->done_fault, 0, login && !later ? FAULT_AUTH : cmd->verb == SMTP_VERB_STARTTLS ? FAULT_TLS : FAULT_REJECTED,
                    verbs[cmd->verb].stage, &text);
    c->done_fault.protocol = protocol_name(PROTOCOL_SMTP);
    if (later)
        c->done_fault.retry = RETRY_LATER;
    if (cmd->verb == SMTP_VERB_AUTH || cmd->verb == SMTP_VERB_AUTH_LINE)
        sasl_add_reason(&c->done_fault, slice_of_str(c->reason));
    done->base.fault = &c->done_fault;
}

void smtp_complete_command(struct smtp_client *c, struct smtp_command *cmd, const struct smtp_reply *refusal)
{
    if (c->body_of == &cmd->request)
        c->body_of = NULL;
    smtp_forget(c, &cmd->request.base);
    struct smtp_event *done = smtp_push_event(c, ENGINE_EVENT_DONE, &cmd->request.base);
    if (refusal)
        refused(c, cmd, refusal, done);
}

void smtp_push_command_reply(struct smtp_client *c, struct smtp_command *cmd, const struct smtp_reply *reply)
{
    struct smtp_event *ev = smtp_push_event(c, ENGINE_EVENT_REPLY, &cmd->request.base);
    ev->context = SMTP_CONTEXT_COMMAND;
    ev->reply = *reply;
}

static int impossible(struct smtp_client *c, const struct smtp_command *cmd)
{
    return smtp_fail(c, -EPROTO, FAULT_PROTOCOL, verbs[cmd->verb].stage, "the server's reply does not fit the command it answers");
}

/* The verdict on a body; in LMTP one for each accepted recipient. */
static int body_reply(struct smtp_client *c, struct smtp_command *cmd, const struct smtp_reply *reply)
{
    bool refusal = smtp_reply_is_refusal(reply);

    if (!refusal && (smtp_reply_class(reply) != SMTP_CLASS_POSITIVE || !cmd->written))
        return impossible(c, cmd);
    smtp_push_command_reply(c, cmd, reply);
    if (!cmd->written) {
        /* What is left of the body cannot be unsaid: the connection is spent. */
        smtp_complete_command(c, cmd, reply);
        smtp_push_event(c, ENGINE_EVENT_CLOSING, NULL);
        smtp_set_state(c, SMTP_CLOSED);
        return 0;
    }
    cmd->taken = cmd->taken || !refusal;
    if (c->config->lmtp && c->step_accepted > 1) {
        c->step_accepted--;
        return 0;
    }
    c->dialogue = SMTP_DIALOGUE_READY;
    smtp_complete_command(c, cmd, cmd->taken ? NULL : reply);
    return 0;
}

static int starttls_reply(struct smtp_client *c, struct smtp_command *cmd, const struct smtp_reply *reply)
{
    smtp_push_command_reply(c, cmd, reply);
    if (reply->code == 220)
        return smtp_login_agreed(c);
    if (!smtp_reply_is_refusal(reply))
        return impossible(c, cmd);
    smtp_complete_command(c, cmd, reply);
    return 0;
}

int smtp_command_reply(struct smtp_client *c, struct smtp_command *cmd, const struct smtp_reply *reply)
{
    bool refusal = smtp_reply_is_refusal(reply);

    if (cmd->verb == SMTP_VERB_BODY && c->body_of != &cmd->request && !cmd->written)
        return smtp_surplus(c);
    if (cmd->verb == SMTP_VERB_BODY)
        return body_reply(c, cmd, reply);
    if (!cmd->written)
        return smtp_surplus(c);
    if (cmd->verb == SMTP_VERB_STARTTLS)
        return starttls_reply(c, cmd, reply);
    if (refusal && c->dialogue == SMTP_DIALOGUE_AUTHENTICATING)
        c->dialogue = SMTP_DIALOGUE_READY;
    int r = refusal ? 0 : follow(c, meaning(cmd), reply);
    if (r == -ENOMEM)
        return smtp_fail(c, r, FAULT_INTERNAL, verbs[cmd->verb].stage, "out of memory");
    if (r < 0)
        return impossible(c, cmd);
    smtp_push_command_reply(c, cmd, reply);
    smtp_complete_command(c, cmd, refusal ? reply : NULL);
    return 0;
}
