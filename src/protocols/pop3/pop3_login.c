/* SPDX-License-Identifier: MIT */
/* From the greeting to READY. The order is the policy: nothing that needs TLS is said before it, and what was learned
 * before it is forgotten. */
#include "pop3_private.h"

#include <errno.h>

static int send_line(struct pop3_client *c, enum pop3_state next, const char *line)
{
    pop3_set_state(c, next);
    writer_begin(&c->writer);
    writer_raw_str(&c->writer, line);
    return pop3_end_command(c);
}

static int fail_fault(struct pop3_client *c, int err, const struct fault *fault)
{
    if (!fault_is_set(&c->engine.fault)) {
        c->engine.fault = *fault;
        c->engine.fault.protocol = protocol_name(PROTOCOL_POP3);
    }
    return pop3_set_failed(c, err);
}

/* The request that was a step is over; the connection goes on. */
static int end_step(struct pop3_client *c, const struct fault *fault)
{
    struct pop3_command *cmd = c->step;

    c->step = NULL;
    sasl_free(c->sasl);
    c->sasl = NULL;
    pop3_set_state(c, POP3_READY);
    return pop3_complete(c, cmd, fault);
}

int pop3_step_fail(struct pop3_client *c)
{
    c->step_failed = false;
    return end_step(c, &c->done_fault);
}

static void tell_step(struct pop3_client *c, const struct pop3_status *s)
{
    struct pop3_event *ev = pop3_push_event(c, ENGINE_EVENT_REPLY, &c->step->request);
    ev->kind = POP3_EVENT_STATUS;
    ev->ok = s->ok;
    ev->code = s->code;
    ev->text = s->text;
}

static int fail_status(struct pop3_client *c, enum fault_kind kind, const char *stage, const struct pop3_status *s)
{
    struct fault fault = {0};

    if (c->step) {
        tell_step(c, s);
        fault_clear(&c->done_fault);
        pop3_status_fault(s, c->step->verb == POP3_STLS ? FAULT_REJECTED : kind, stage, &c->done_fault);
        if (c->sasl)
            sasl_add_reason(&c->done_fault, sasl_server_error(c->sasl));
        return end_step(c, &c->done_fault);
    }
    pop3_status_fault(s, kind, stage, &fault);
    if (c->sasl)
        sasl_add_reason(&fault, sasl_server_error(c->sasl));
    return fail_fault(c, -EPERM, &fault);
}

static bool tls_is_required(const struct pop3_client *c)
{
    return c->config->tls == TLS_POLICY_ALL || c->config->tls == TLS_POLICY_CONTROL;
}

static int ask_capabilities(struct pop3_client *c)
{
    pop3_capabilities_reset(&c->caps);
    return send_line(c, POP3_STATE_CAPA, "CAPA");
}

static int logged_in(struct pop3_client *c, const struct pop3_status *s)
{
    if (c->step)
        tell_step(c, s);
    c->logged_in = true;
    /* What a server offers differs between its states. */
    return ask_capabilities(c);
}

/* --- logging in --- */

static int begin_sasl(struct pop3_client *c, struct secret *secret)
{
    struct fault fault = {0};

    int r = sasl_new(c->method, PROTOCOL_POP3, c->config, c->has_tls ? &c->tls : NULL, secret, &c->sasl, &fault);
    if (r < 0 && c->step) {
        /* Its end is an event, and must not come inside the call that submits it. */
        c->done_fault = fault;
        c->step_failed = true;
        pop3_set_state(c, POP3_READY);
        return 0;
    }
    if (r < 0)
        return fail_fault(c, r, &fault);
    /* Some servers take XOAUTH2's initial response only on a line of its own, and all take it there. */
    sasl_write_command(&c->writer, "AUTH ", c->method, c->sasl, c->method == SASL_XOAUTH2 ? 0 : POP3_AUTH_LINE_MAX);
    pop3_set_state(c, POP3_STATE_AUTH);
    return pop3_end_command(c);
}

static int sasl_step(struct pop3_client *c, int r, const struct fault *fault)
{
    if (r == SASL_DERIVE) {
        pop3_set_state(c, POP3_DERIVE);
        return 0;
    }
    sasl_write_reply(&c->writer, c->sasl);
    pop3_set_state(c, POP3_STATE_AUTH);
    int end = pop3_end_command(c);
    return r < 0 ? fail_fault(c, r, fault) : end;
}

/* APOP name digest: MD5 of the stamp and the password (RFC 1939 section 7). */
static int begin_apop(struct pop3_client *c, struct slice username, struct secret *secret)
{
    char digest[33];

    pop3_md5(slice_of_str(c->stamp), secret_expose(secret), digest);
    writer_begin(&c->writer);
    writer_raw_str(&c->writer, "APOP ");
    writer_word(&c->writer, username);
    writer_char(&c->writer, ' ');
    writer_secret_begin(&c->writer);
    writer_raw_str(&c->writer, digest);
    writer_secret_end(&c->writer);
    explicit_bzero(digest, sizeof(digest));
    pop3_set_state(c, POP3_STATE_APOP);
    return pop3_end_command(c);
}

static int begin_user(struct pop3_client *c, struct secret *secret)
{
    c->secret = secret_ref(secret);
    writer_begin(&c->writer);
    writer_raw_str(&c->writer, "USER ");
    writer_raw(&c->writer, slice_of_str(c->config->username));
    pop3_set_state(c, POP3_STATE_USER);
    return pop3_end_command(c);
}

static int send_pass(struct pop3_client *c)
{
    writer_begin(&c->writer);
    writer_raw_str(&c->writer, "PASS ");
    writer_secret_begin(&c->writer);
    writer_raw(&c->writer, secret_expose(c->secret));
    writer_secret_end(&c->writer);
    c->secret = secret_unref(c->secret);
    pop3_set_state(c, POP3_STATE_PASS);
    return pop3_end_command(c);
}

int pop3_login_credential(struct pop3_client *c, struct secret *secret)
{
    if (c->state != POP3_CREDENTIAL)
        return -EINVAL;
    if (!secret)
        return pop3_fail(c, -EPERM, FAULT_AUTH, "auth", "there is no password or token");
    if (sasl_method_is_sasl(c->method))
        return begin_sasl(c, secret);
    if (!c->config->username)
        return pop3_fail(c, -EPERM, FAULT_AUTH, "auth", "there is no user name");
    return c->method == SASL_METHOD_APOP ? begin_apop(c, slice_of_str(c->config->username), secret) : begin_user(c, secret);
}

int pop3_login_derived(struct pop3_client *c, const void *key, size_t len)
{
    struct fault fault = {0};

    if (c->state != POP3_DERIVE)
        return -EINVAL;
    int r = sasl_derived(c->sasl, key, len, &fault);
    return sasl_step(c, r, &fault);
}

/* --- the same, step by step --- */

static bool method_by_name(const struct pop3_client *c, struct slice name, enum sasl_method *ret)
{
    unsigned named = 0;

    sasl_offer_add(&named, name, c->config);
    if (!named)
        return false;
    *ret = (enum sasl_method) __builtin_ctz(named);
    return sasl_method_is_sasl(*ret);
}

static int check_auth(struct pop3_client *c, const struct pop3_command *cmd, struct fault *fault)
{
    enum sasl_method m;

    if (!method_by_name(c, cmd->argument, &m))
        return fault_set(fault, -ENOTSUP, FAULT_UNSUPPORTED_MECHANISM, "auth", "that mechanism is not known here, or disabled");
    if (c->caps.told && !(c->caps.auth & SASL_BIT(m)))
        return fault_set(fault, -ENOTSUP, FAULT_UNSUPPORTED_MECHANISM, "auth", "the server does not offer that mechanism");
    /* The account's own credential goes only where the account's policy would send it. */
    return cmd->secret || !sasl_method_needs_secret(m)
               ? 0 : sasl_choose(c->config, PROTOCOL_POP3, c->has_tls ? &c->tls : NULL, SASL_BIT(m), &m, fault);
}

static bool is_line(struct slice s)
{
    return s.len && s.len <= POP3_COMMAND_MAX / 2 && slice_find(s, '\r') == s.len && slice_find(s, '\n') == s.len &&
           slice_find(s, '\0') == s.len;
}

static bool is_word(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] <= ' ' || s.data[i] > '~')
            return false;
    return is_line(s);
}

static bool has_arguments(const struct pop3_command *cmd)
{
    bool password = cmd->verb == POP3_PASS || cmd->verb == POP3_APOP;
    bool word = cmd->verb == POP3_APOP || cmd->verb == POP3_AUTH;

    if (password && (!cmd->secret || !is_line(secret_expose(cmd->secret))))
        return false;
    if (cmd->verb == POP3_PASS || cmd->verb == POP3_STLS)
        return true;
    return word ? is_word(cmd->argument) : is_line(cmd->argument);
}

int pop3_check_step(struct pop3_client *c, const struct pop3_command *cmd, struct fault *fault)
{
    const char *stage = cmd->verb == POP3_STLS ? "tls" : "auth";

    if (!has_arguments(cmd))
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, stage,
                         "names and passwords are one line of at most %d bytes, without NUL", POP3_COMMAND_MAX / 2);
    if (c->logged_in)
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, stage, "the session is logged in (state transaction)");
    if (cmd->verb == POP3_STLS && c->has_tls)
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, stage, "TLS is active already");
    if (cmd->verb == POP3_STLS)
        return !c->caps.told || pop3_has(&c->caps, POP3_EXT_STLS)
                   ? 0 : fault_set(fault, -ENOTSUP, FAULT_MISSING_EXTENSION, stage, "the server does not offer STLS");
    if (cmd->verb == POP3_APOP && !c->stamp[0])
        return fault_set(fault, -ENOTSUP, FAULT_UNSUPPORTED_MECHANISM, stage, "the server's greeting has no stamp for APOP");
    if (!sasl_may_send_credential(c->config, c->has_tls))
        return fault_set(fault, -EPERM, FAULT_TLS, stage,
                         "the connection is not encrypted, so no credential is sent (allow_plaintext_auth would)");
    return cmd->verb == POP3_AUTH ? check_auth(c, cmd, fault) : 0;
}

static int begin_rpop(struct pop3_client *c, struct slice username)
{
    writer_begin(&c->writer);
    writer_raw_str(&c->writer, "RPOP ");
    writer_raw(&c->writer, username);
    pop3_set_state(c, POP3_STATE_PASS);
    return pop3_end_command(c);
}

static int begin_auth(struct pop3_client *c, struct pop3_command *cmd)
{
    (void) method_by_name(c, cmd->argument, &c->method);
    if (cmd->secret || !sasl_method_needs_secret(c->method))
        return begin_sasl(c, cmd->secret);
    pop3_set_state(c, POP3_CREDENTIAL);
    return 0;
}

int pop3_step_begin(struct pop3_client *c, struct pop3_command *cmd)
{
    int r = 0;

    c->step = cmd;
    cmd->written = true;
    cmd->request.begin_offset = writer_position(&c->writer);
    fault_clear(&c->done_fault);
    /* What was submitted before it may have changed what it was checked against. */
    if (pop3_check_step(c, cmd, &c->done_fault) < 0) {
        cmd->request.state = REQUEST_WRITTEN;
        cmd->request.end_offset = cmd->request.begin_offset;
        c->step_failed = true;
        return 0;
    }
    if (cmd->verb == POP3_STLS) {
        r = send_line(c, POP3_STATE_STLS, "STLS");
    } else if (cmd->verb == POP3_PASS) {
        c->secret = secret_ref(cmd->secret);
        r = send_pass(c);
    } else if (cmd->verb == POP3_APOP) {
        r = begin_apop(c, cmd->argument, cmd->secret);
    } else {
        r = cmd->verb == POP3_RPOP ? begin_rpop(c, cmd->argument) : begin_auth(c, cmd);
    }
    if (c->step) {
        cmd->request.end_offset = writer_position(&c->writer);
        cmd->request.state = REQUEST_WRITTEN;
    }
    return r;
}

/* RFC 3206, 2449: what is not about the credentials is no reason to give them up. */
static int login_refused(struct pop3_client *c, const struct pop3_status *s)
{
    bool other = pop3_status_is_temporary(s) || slice_eq_ci(s->code, SLICE("SYS/PERM"));
    return fail_status(c, other ? FAULT_REJECTED : FAULT_AUTH, "auth", s);
}

static int auth_status(struct pop3_client *c, const struct pop3_status *s)
{
    struct fault fault = {0};

    if (s->is_challenge) {
        int r = sasl_challenge(c->sasl, s->text, &fault);
        return sasl_step(c, r, &fault);
    }
    if (!s->ok)
        return login_refused(c, s);
    int r = sasl_success(c->sasl, &fault);
    sasl_free(c->sasl);
    c->sasl = NULL;
    return r < 0 ? fail_fault(c, r, &fault) : logged_in(c, s);
}

/* --- capabilities and TLS --- */

static unsigned offered_methods(const struct pop3_client *c)
{
    unsigned offered = c->caps.auth;

    if (c->stamp[0])
        offered |= SASL_BIT(SASL_METHOD_APOP);
    /* RFC 1939 knows no list: a server without CAPA has USER and PASS. */
    if (!c->caps.told || pop3_has(&c->caps, POP3_EXT_USER))
        offered |= SASL_BIT(SASL_METHOD_POP3_USER);
    sasl_offer_unbound(&offered, slice_of_str(c->greeting), c->has_tls ? &c->tls : NULL);
    return offered;
}

static int after_capabilities(struct pop3_client *c)
{
    struct fault fault = {0};

    if (c->step)
        return end_step(c, NULL);
    if (c->logged_in) {
        pop3_set_state(c, POP3_READY);
        pop3_push_event(c, ENGINE_EVENT_READY, NULL);
        return 0;
    }
    if (!c->has_tls && c->config->tls != TLS_POLICY_NONE) {
        if (pop3_has(&c->caps, POP3_EXT_STLS))
            return send_line(c, POP3_STATE_STLS, "STLS");
        if (tls_is_required(c))
            return pop3_fail(c, -EPERM, FAULT_TLS, "tls", "TLS is required, and the server does not offer it");
    }
    if (!c->config->wants_login && !(c->config->has_client_cert && (c->caps.auth & SASL_BIT(SASL_EXTERNAL)))) {
        /* Requests before a login are the matter of who opened the session. */
        pop3_set_state(c, POP3_READY);
        pop3_push_event(c, ENGINE_EVENT_READY, NULL);
        return 0;
    }
    int r = sasl_choose(c->config, PROTOCOL_POP3, c->has_tls ? &c->tls : NULL, offered_methods(c), &c->method, &fault);
    if (r < 0)
        return fail_fault(c, r, &fault);
    if (!sasl_method_needs_secret(c->method))
        return begin_sasl(c, NULL);
    pop3_set_state(c, POP3_CREDENTIAL);
    return 0;
}

static int capa_status(struct pop3_client *c, const struct pop3_status *s)
{
    if (!s->ok)
        return after_capabilities(c);
    c->caps.told = true;
    c->n_lines = 0;
    pop3_set_state(c, POP3_STATE_CAPA_LINES);
    return 0;
}

static int capa_line(struct pop3_client *c, struct slice line)
{
    if (line.len == 1 && line.data[0] == '.') {
        if (reader_pending(&c->reader))
            return pop3_fail(c, -EPROTO, FAULT_PROTOCOL, NULL, "the server answers no command");
        return after_capabilities(c);
    }
    if (line.len && line.data[0] == '.')
        line = slice_from(line, 1);
    int r = ++c->n_lines > 1000 ? -EMSGSIZE : pop3_capabilities_line(&c->caps, c->config, line);
    if (r == -ENOMEM)
        return pop3_fail(c, r, FAULT_INTERNAL, NULL, "out of memory");
    if (r < 0)
        return pop3_fail(c, r, FAULT_PROTOCOL, NULL, "the server's list of capabilities is too long");
    return 0;
}

static int stls_status(struct pop3_client *c, const struct pop3_status *s)
{
    if (!s->ok)
        return fail_status(c, FAULT_TLS, "tls", s);
    if (reader_pending(&c->reader))
        return pop3_fail(c, -EPROTO, FAULT_PROTOCOL, "tls", "bytes in clear came behind the answer to STLS");
    if (c->step)
        tell_step(c, s);
    pop3_set_state(c, POP3_HANDSHAKE);
    return 0;
}

/* timestamp = "<" *VCHAR "@" *VCHAR ">" somewhere in the greeting */
static void take_stamp(struct pop3_client *c, struct slice text)
{
    size_t begin = slice_find(text, '<');
    struct slice rest = slice_from(text, begin);
    size_t end = slice_find(rest, '>');

    if (end == rest.len || end + 1 >= sizeof(c->stamp) || slice_find(slice_to(rest, end), '@') == end)
        return;
    for (size_t i = 0; i < end; i++)
        if (rest.data[i] <= ' ' || rest.data[i] > '~')
            return;
    memcpy(c->stamp, rest.data, end + 1);
    c->stamp[end + 1] = '\0';
}

static int greeting_status(struct pop3_client *c, const struct pop3_status *s)
{
    fault_clean_text(c->greeting, sizeof(c->greeting), s->text);
    if (!s->ok)
        return fail_status(c, FAULT_REJECTED, "greeting", s);
    take_stamp(c, s->text);
    return ask_capabilities(c);
}

int pop3_login_line(struct pop3_client *c, struct slice line)
{
    struct pop3_status s;

    if (c->state == POP3_STATE_CAPA_LINES)
        return capa_line(c, line);
    if (!pop3_parse_status(line, &s) || (s.is_challenge && c->state != POP3_STATE_AUTH))
        return pop3_fail(c, -EPROTO, FAULT_PROTOCOL, NULL, "the server's answer is none of POP3");
    /* No command is under way behind the one that was answered: more bytes answer nothing (but CAPA's are a list). */
    if (reader_pending(&c->reader) && c->state != POP3_STATE_STLS && !(c->state == POP3_STATE_CAPA && s.ok))
        return pop3_fail(c, -EPROTO, FAULT_PROTOCOL, NULL, "the server answers no command");
    switch (c->state) {
    case POP3_GREETING:
        return greeting_status(c, &s);
    case POP3_STATE_CAPA:
        return capa_status(c, &s);
    case POP3_STATE_STLS:
        return stls_status(c, &s);
    case POP3_STATE_AUTH:
        return auth_status(c, &s);
    case POP3_STATE_USER:
        return s.ok ? send_pass(c) : login_refused(c, &s);
    case POP3_STATE_APOP:
    case POP3_STATE_PASS:
        return s.ok ? logged_in(c, &s) : login_refused(c, &s);
    case POP3_STATE_CAPA_LINES:
    case POP3_HANDSHAKE:
    case POP3_CREDENTIAL:
    case POP3_DERIVE:
    case POP3_READY:
    case POP3_PROBE:
    case POP3_QUITTING:
    case POP3_GOODBYE:
    case POP3_CLOSED:
    case POP3_FAILED:
    case POP3_STATE_COUNT:
        break;
    }
    return pop3_fail(c, -EPROTO, FAULT_PROTOCOL, NULL, "the server speaks out of turn");
}

int pop3_login_tls_started(struct pop3_client *c, const struct engine_tls *tls)
{
    if (c->state != POP3_HANDSHAKE && !(c->state == POP3_GREETING && c->config->implicit_tls))
        return -EINVAL;
    c->tls = *tls;
    c->has_tls = true;
    if (c->state == POP3_GREETING)
        return 0;
    size_t line = c->reader.max_line;
    reader_done(&c->reader);
    reader_init(&c->reader, READER_LF_ENDS_LINE | READER_REFUSE_NUL, line, line);
    return ask_capabilities(c);
}
