/* SPDX-License-Identifier: MIT */
/* From the greeting to READY: capabilities, STARTTLS, LOGIN or AUTHENTICATE, and who may be sent what when. */
#include "imap_internal.h"

#include <errno.h>

/* --- capabilities --- */

static bool is_disabled(const struct imap_client *c, struct slice name)
{
    for (size_t i = 0; c->config->disabled[i]; i++)
        if (slice_eq_ci(name, slice_of_str(c->config->disabled[i])))
            return true;
    return false;
}

static void forget_capabilities(struct imap_client *c)
{
    c->caps = 0;
    c->offered = 0;
    c->caps_known = false;
    c->writer.literals = WRITER_LITERAL_SYNC;
    buffer_clear(&c->cap_text);
    buffer_trim(&c->cap_text);
}

void imap_take_capabilities(struct imap_client *c, struct slice text)
{
    forget_capabilities(c);
    c->caps_known = true;
    for (struct slice rest = text; rest.len;) {
        struct slice name = imap_word_next(&rest);
        if (name.len == 0 || is_disabled(c, name))
            continue;
        if (slice_starts_ci(name, SLICE("AUTH="))) {
            sasl_offer_add(&c->offered, slice_from(name, 5), c->config);
        } else {
            enum imap_cap cap = imap_cap_find(name);
            if (cap != IMAP_CAP_COUNT)
                c->caps |= UINT64_C(1) << cap;
        }
        /* What does not fit is known all the same, only not shown. */
        if (buffer_room(&c->cap_text) > name.len + 1) {
            int ret = buffer_len(&c->cap_text) ? buffer_append_char(&c->cap_text, ' ') : 0;
            if (ret == 0)
                ret = buffer_append_slice(&c->cap_text, name);
            if (ret < 0)
                break;
        }
    }
    if (imap_has(c, IMAP_CAP_LITERAL_PLUS))
        c->writer.literals = WRITER_LITERAL_PLUS;
    else if (imap_has(c, IMAP_CAP_LITERAL_MINUS) || imap_has(c, IMAP_CAP_IMAP4REV2))
        c->writer.literals = WRITER_LITERAL_MINUS;
}

/* --- commands of the login --- */

static int say(struct imap_client *c, const char *command, enum imap_state state)
{
    struct writer *w = &c->writer;
    imap_new_tag(c, c->login_tag);
    writer_begin(w);
    writer_raw_str(w, c->login_tag);
    writer_char(w, ' ');
    writer_raw_str(w, command);
    int ret = writer_end(w);
    if (ret < 0)
        return imap_fail_io(c, ret);
    imap_trace_written(c);
    imap_set_state(c, state);
    return 0;
}

static int ready(struct imap_client *c)
{
    imap_set_state(c, IMAP_STATE_READY);
    c->ready_due = true;
    sasl_free(c->sasl);
    c->sasl = NULL;
    return 0;
}

/* NetEase's servers select nothing until the client has told its name. */
static bool wants_id(const struct imap_client *c)
{
    bool want = false;
    struct slice greeting = buffer_slice(&c->greeting);
    for (size_t i = 0; i + 8 <= greeting.len && !want; i++)
        want = slice_eq_ci(slice_of(greeting.data + i, 8), SLICE("Coremail"));
    for (size_t i = 0; c->config->quirks[i]; i++) {
        if (slice_eq(slice_of_str(c->config->quirks[i]), SLICE("id-first")))
            want = true;
        if (slice_eq(slice_of_str(c->config->quirks[i]), SLICE("-id-first")))
            want = false;
    }
    return want && imap_has(c, IMAP_CAP_ID);
}

static int after_login(struct imap_client *c)
{
    if (!c->caps_known)
        return say(c, "CAPABILITY", IMAP_STATE_CAPABILITY_AGAIN);
    if (wants_id(c))
        return say(c, "ID (\"name\" \"postern\")", IMAP_STATE_ID);
    return ready(c);
}

static int choose_method(struct imap_client *c)
{
    struct fault fault = {.kind = FAULT_NONE};
    unsigned offered = c->offered;
    if (!c->config->wants_login || c->preauth)
        return after_login(c);
    if (!imap_has(c, IMAP_CAP_LOGINDISABLED))
        offered |= SASL_BIT(SASL_METHOD_IMAP_LOGIN);
    imap_set_state(c, IMAP_STATE_CREDENTIAL); /* what fails from here on has failed in "auth" */
    int ret = sasl_choose(c->config, PROTOCOL_IMAP, c->tls_active ? &c->tls : NULL, offered, &c->method, &fault);
    if (ret < 0)
        return imap_fail(c, ret, fault.kind, "%s", fault.text);
    return sasl_method_needs_secret(c->method) ? 0 : imap_login_credential(c, NULL);
}

/* The capabilities are known: TLS first, then the login. */
static int go_on(struct imap_client *c)
{
    bool required = c->config->tls == TLS_POLICY_ALL || c->config->tls == TLS_POLICY_CONTROL;
    if (!c->tls_active && c->config->tls != TLS_POLICY_NONE) {
        if (imap_has(c, IMAP_CAP_STARTTLS) && !c->preauth)
            return say(c, "STARTTLS", IMAP_STATE_STARTTLS);
        if (required)
            return imap_fail(c, -EPROTO, FAULT_TLS, "TLS is required, and the server does not offer it");
    }
    return choose_method(c);
}

int imap_login_tls_started(struct imap_client *c)
{
    if (c->state == IMAP_STATE_GREETING)
        return 0; /* implicit TLS: the greeting comes now */
    if (c->state != IMAP_STATE_HANDSHAKE)
        return -EINVAL;
    forget_capabilities(c);
    return say(c, "CAPABILITY", IMAP_STATE_CAPABILITY);
}

/* --- the credential --- */

static int say_login(struct imap_client *c, struct secret *secret)
{
    struct writer *w = &c->writer;
    imap_new_tag(c, c->login_tag);
    writer_begin(w);
    writer_raw_str(w, c->login_tag);
    writer_raw_str(w, " LOGIN ");
    writer_astring(w, slice_of_str(c->config->username));
    writer_char(w, ' ');
    writer_secret_begin(w);
    writer_astring(w, secret_expose(secret));
    writer_secret_end(w);
    int ret = writer_end(w);
    if (ret == -EINVAL)
        return imap_fail(c, ret, FAULT_AUTH, "the user name or password holds a character that cannot be sent");
    if (ret < 0)
        return imap_fail_io(c, ret);
    imap_trace_written(c);
    imap_set_state(c, IMAP_STATE_LOGIN);
    return 0;
}

static int say_authenticate(struct imap_client *c, struct secret *secret)
{
    struct fault fault = {.kind = FAULT_NONE};
    struct writer *w = &c->writer;
    struct slice initial;
    int ret = sasl_new(c->method, PROTOCOL_IMAP, c->config, c->tls_active ? &c->tls : NULL, secret, &c->sasl, &fault);
    if (ret < 0)
        return imap_fail(c, ret, fault.kind == FAULT_NONE ? FAULT_INTERNAL : fault.kind, "%s", fault.text);
    imap_new_tag(c, c->login_tag);
    writer_begin(w);
    writer_raw_str(w, c->login_tag);
    writer_raw_str(w, " AUTHENTICATE ");
    writer_raw_str(w, sasl_method_name(c->method));
    if (imap_has(c, IMAP_CAP_SASL_IR) && sasl_initial(c->sasl, IMAP_LOGIN_LINE_MAX, &initial)) {
        writer_char(w, ' ');
        writer_secret_begin(w);
        writer_raw(w, initial);
        writer_secret_end(w);
    }
    ret = writer_end(w);
    if (ret < 0)
        return imap_fail_io(c, ret);
    imap_trace_written(c);
    imap_set_state(c, IMAP_STATE_AUTHENTICATE);
    return 0;
}

int imap_login_credential(struct imap_client *c, struct secret *secret)
{
    if (!secret && sasl_method_needs_secret(c->method))
        return imap_fail(c, -EACCES, FAULT_AUTH, "there is no credential to be had");
    return c->method == SASL_METHOD_IMAP_LOGIN ? say_login(c, secret) : say_authenticate(c, secret);
}

/* What the mechanism has to say to the challenge; also "*" when it gives up. */
static int say_sasl(struct imap_client *c)
{
    struct writer *w = &c->writer;
    writer_begin(w);
    writer_secret_begin(w);
    writer_raw(w, sasl_reply(c->sasl));
    writer_secret_end(w);
    int ret = writer_end(w);
    if (ret < 0)
        return imap_fail_io(c, ret);
    imap_trace_written(c);
    return 0;
}

static int sasl_step(struct imap_client *c, int step, const struct fault *fault)
{
    if (step == SASL_DERIVE) {
        imap_set_state(c, IMAP_STATE_DERIVE);
        return 0;
    }
    imap_set_state(c, IMAP_STATE_AUTHENTICATE);
    if (step < 0) {
        /* The "*" may still be sent, but nothing that the server says to it matters. */
        writer_begin(&c->writer);
        writer_raw(&c->writer, sasl_reply(c->sasl));
        if (writer_end(&c->writer) == 0)
            imap_trace_written(c);
        return imap_fail(c, step, fault->kind == FAULT_NONE ? FAULT_PROTOCOL : fault->kind, "%s", fault->text);
    }
    return say_sasl(c);
}

int imap_login_derived(struct imap_client *c, const void *key, size_t len)
{
    struct fault fault = {.kind = FAULT_NONE};
    return sasl_step(c, sasl_derived(c->sasl, key, len, &fault), &fault);
}

/* --- responses --- */

static int greeting(struct imap_client *c, const struct imap_response *r)
{
    if (r->kind != IMAP_RESPONSE_CONDITION || r->status == IMAP_NO || r->status == IMAP_BAD)
        return imap_fail(c, -EPROTO, FAULT_PROTOCOL, "the greeting is not that of an IMAP server");
    if (r->status == IMAP_BYE)
        return imap_fail_reply(c, -ECONNREFUSED, FAULT_REJECTED, r);
    struct slice kept = slice_to(r->text, 1000);
    if (buffer_append_slice(&c->greeting, kept) < 0)
        return imap_fail_io(c, -ENOMEM);
    if (r->status == IMAP_PREAUTH) {
        /* Logged in as whom nobody has said, and past the point where STARTTLS is possible. */
        if (!c->tls_active && c->config->tls != TLS_POLICY_NONE)
            return imap_fail(c, -EPROTO, FAULT_TLS, "the server skips the login, so that TLS can no longer be started");
        if (c->config->wants_login)
            return imap_fail(c, -EPROTO, FAULT_PROTOCOL, "the server skips the login that the account asks for");
        c->preauth = true;
    }
    if (slice_eq_ci(r->code.name, SLICE("CAPABILITY"))) {
        imap_take_capabilities(c, r->code.arguments);
        return go_on(c);
    }
    return say(c, "CAPABILITY", IMAP_STATE_CAPABILITY);
}

static int login_done(struct imap_client *c, const struct imap_response *r)
{
    static const struct slice passing[] = {SLICE("UNAVAILABLE"), SLICE("INUSE"), SLICE("LIMIT"), SLICE("SERVERBUG"),
                                           SLICE("CONTACTADMIN")};
    if (r->status != IMAP_OK) {
        enum fault_kind kind = FAULT_AUTH;
        for (size_t i = 0; i < ARRAY_LEN(passing); i++)
            if (slice_eq_ci(r->code.name, passing[i]))
                kind = FAULT_REJECTED; /* the credentials were not judged */
        imap_fail_reply(c, -EACCES, kind, r);
        if (kind == FAULT_REJECTED)
            c->engine.fault.retry = RETRY_LATER;
        return c->error;
    }
    if (c->state == IMAP_STATE_AUTHENTICATE) {
        struct fault fault = {.kind = FAULT_NONE};
        int ret = sasl_success(c->sasl, &fault);
        if (ret < 0)
            return imap_fail(c, ret, fault.kind, "%s", fault.text);
    }
    forget_capabilities(c);
    if (slice_eq_ci(r->code.name, SLICE("CAPABILITY")))
        imap_take_capabilities(c, r->code.arguments);
    return after_login(c);
}

static int tagged(struct imap_client *c, const struct imap_response *r)
{
    if (!slice_eq(r->tag, slice_of_str(c->login_tag)))
        return imap_fail(c, -EPROTO, FAULT_PROTOCOL, "an answer to a command that was not sent");
    c->login_tag[0] = '\0';
    switch (c->state) {
    case IMAP_STATE_CAPABILITY:
        if (r->status != IMAP_OK)
            forget_capabilities(c);
        c->caps_known = true;
        return go_on(c);
    case IMAP_STATE_STARTTLS:
        if (r->status != IMAP_OK)
            return imap_fail_reply(c, -EPROTO, FAULT_TLS, r);
        if (reader_pending(&c->reader) > 0)
            return imap_fail(c, -EPROTO, FAULT_PROTOCOL, "bytes in clear behind the agreement to start TLS");
        imap_set_state(c, IMAP_STATE_HANDSHAKE);
        return 0;
    case IMAP_STATE_LOGIN:
    case IMAP_STATE_AUTHENTICATE:
        return login_done(c, r);
    case IMAP_STATE_CAPABILITY_AGAIN:
        c->caps_known = true;
        return after_login(c);
    case IMAP_STATE_ID:
        return ready(c);
    case IMAP_STATE_GREETING:
    case IMAP_STATE_HANDSHAKE:
    case IMAP_STATE_CREDENTIAL:
    case IMAP_STATE_DERIVE:
    case IMAP_STATE_READY:
    case IMAP_STATE_LOGOUT:
    case IMAP_STATE_CLOSING:
    case IMAP_STATE_CLOSED:
    case IMAP_STATE_FAILED:
    case IMAP_STATE_COUNT:
        break;
    }
    return imap_fail(c, -EPROTO, FAULT_PROTOCOL, "an answer to a command that was not sent");
}

static int continuation(struct imap_client *c, const struct imap_response *r)
{
    if (c->state == IMAP_STATE_AUTHENTICATE && c->login_tag[0]) {
        struct fault fault = {.kind = FAULT_NONE};
        return sasl_step(c, sasl_challenge(c->sasl, slice_trim(r->text), &fault), &fault);
    }
    /* LOGIN with literals; else nobody asked for it. */
    writer_release(&c->writer);
    return 0;
}

int imap_login_response(struct imap_client *c, const struct imap_response *r)
{
    if (c->state == IMAP_STATE_GREETING)
        return greeting(c, r);
    switch (r->kind) {
    case IMAP_RESPONSE_CONTINUE:
        return continuation(c, r);
    case IMAP_RESPONSE_TAGGED:
        return tagged(c, r);
    case IMAP_RESPONSE_CONDITION:
        if (r->status == IMAP_BYE)
            return imap_fail_reply(c, -ECONNRESET, FAULT_DISCONNECTED, r);
        return 0;
    case IMAP_RESPONSE_DATA:
        /* What comes on its own is believed only as the answer to the question. */
        if (r->data == IMAP_DATA_CAPABILITY && (c->state == IMAP_STATE_CAPABILITY || c->state == IMAP_STATE_CAPABILITY_AGAIN))
            imap_take_capabilities(c, r->text);
        return 0;
    }
    return 0;
}
