/* SPDX-License-Identifier: MIT */
/* From the greeting to READY: capabilities, STARTTLS, LOGIN or AUTHENTICATE, and who may be sent what when. */
#include "imap_internal.h"

#include <errno.h>
#include <stdio.h>

/* --- capabilities --- */

static void forget_capabilities(struct imap_client *c)
{
    c->caps = 0;
    c->offered = 0;
    c->caps_known = false;
    c->append_limit = c->message_limit = 0;
    c->writer.literals = WRITER_LITERAL_SYNC;
    buffer_clear(&c->cap_text);
    buffer_trim(&c->cap_text);
}

void imap_take_quirks(struct imap_client *c, struct slice id)
{
    if (id.data) {
        buffer_clear(&c->server_id);
        if (buffer_append_slice(&c->server_id, slice_to(id, 1000)) < 0)
            buffer_clear(&c->server_id); /* it is known by less, then */
    }
    const struct imap_server server = {.host = slice_of_str(c->config->host),
                                       .greeting = buffer_slice(&c->greeting),
                                       .capabilities = buffer_slice(&c->cap_text),
                                       .id = buffer_slice(&c->server_id)};
    c->quirks = imap_quirks_of(&server, c->config->quirks);
}

static void take_capability(struct imap_client *c, struct slice name)
{
    enum imap_cap cap = imap_cap_find(name);
    if (slice_starts_ci(name, SLICE("AUTH=")))
        sasl_offer_add(&c->offered, slice_from(name, 5), c->config);
    if (cap == IMAP_CAP_COUNT)
        return;
    c->caps |= IMAP_CAP_BIT(cap);
    if (cap == IMAP_CAP_BINARY)
        c->caps |= IMAP_CAP_BIT(IMAP_CAP_BINARY_FETCH);
    if (cap == IMAP_CAP_APPENDLIMIT)
        imap_cap_value(name, &c->append_limit);
    if (cap == IMAP_CAP_MESSAGELIMIT)
        imap_cap_value(name, &c->message_limit);
}

/* What follows from capabilities, and from those that were switched on. */
static void capabilities_changed(struct imap_client *c)
{
    bool rev2 = imap_has(c, IMAP_CAP_IMAP4REV2) &&
                (!imap_has(c, IMAP_CAP_IMAP4REV1) || (c->enabled & IMAP_CAP_BIT(IMAP_CAP_IMAP4REV2)));
    for (unsigned i = 0; i < IMAP_CAP_COUNT && rev2; i++)
        if ((imap_caps_of_rev2 & IMAP_CAP_BIT(i)) &&
            !imap_cap_is_disabled(c->config->disabled, slice_of_str(imap_cap_name((enum imap_cap) i))))
            c->caps |= IMAP_CAP_BIT(i);
    c->rev2 = rev2;
    c->utf8 = rev2 || (c->enabled & IMAP_CAP_BIT(IMAP_CAP_UTF8_ACCEPT));
    c->writer.utf8 = c->utf8;
    if (imap_has(c, IMAP_CAP_LITERAL_PLUS))
        c->writer.literals = WRITER_LITERAL_PLUS;
    else if (imap_has(c, IMAP_CAP_LITERAL_MINUS))
        c->writer.literals = WRITER_LITERAL_MINUS;
}

int imap_take_capabilities(struct imap_client *c, struct slice text)
{
    forget_capabilities(c);
    c->caps_known = true;
    for (struct slice rest = text; rest.len;) {
        struct slice name = imap_word_next(&rest);
        if (name.len == 0 || imap_cap_is_disabled(c->config->disabled, name))
            continue;
        take_capability(c, name);
        /* What does not fit is known all the same, only not shown. */
        if (buffer_room(&c->cap_text) > name.len + 1) {
            int ret = buffer_len(&c->cap_text) ? buffer_append_char(&c->cap_text, ' ') : 0;
            if (ret == 0)
                ret = buffer_append_slice(&c->cap_text, name);
            if (ret < 0)
                return imap_fail_io(c, ret); /* half of a list would be judged as if the server lacked the rest */
        }
    }
    capabilities_changed(c);
    imap_take_quirks(c, SLICE_EMPTY);
    return 0;
}

void imap_login_undone(struct imap_client *c)
{
    c->logged_in = c->preauth = false;
    c->enabled = 0;
    c->box.selected = false;
    forget_capabilities(c);
    capabilities_changed(c);
}

void imap_take_enabled(struct imap_client *c, struct slice names)
{
    static const enum imap_cap known[] = {IMAP_CAP_CONDSTORE, IMAP_CAP_QRESYNC, IMAP_CAP_UTF8_ACCEPT, IMAP_CAP_IMAP4REV2,
                                          IMAP_CAP_UIDONLY};
    while (names.len) {
        enum imap_cap cap = imap_cap_find(imap_word_next(&names));
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
            if (cap == known[i])
                c->enabled |= IMAP_CAP_BIT(cap);
    }
    capabilities_changed(c);
}

/* --- commands of the login --- */

int imap_login_say(struct imap_client *c, const char *command, struct slice argument, enum imap_state state)
{
    struct writer *w = &c->writer;
    imap_new_tag(c, c->login_tag);
    writer_begin(w);
    writer_raw_str(w, c->login_tag);
    writer_char(w, ' ');
    writer_raw_str(w, command);
    if (argument.len) {
        writer_char(w, ' ');
        writer_astring(w, argument);
    }
    int ret = writer_end(w);
    if (ret < 0)
        return imap_fail_io(c, ret);
    imap_trace_written(c);
    imap_set_state(c, state);
    return 0;
}

static int say(struct imap_client *c, const char *command, enum imap_state state)
{
    return imap_login_say(c, command, SLICE_EMPTY, state);
}

static int ready(struct imap_client *c)
{
    if (c->step)
        return imap_step_done(c);
    imap_set_state(c, IMAP_STATE_READY);
    c->ready_due = true;
    sasl_free(c->sasl);
    c->sasl = NULL;
    return 0;
}

static bool wants_id(const struct imap_client *c)
{
    return imap_has_quirk(c, IMAP_QUIRK_NETEASE_ID) && imap_has(c, IMAP_CAP_ID);
}

static int compress_or_ready(struct imap_client *c)
{
    if (!c->config->compress || c->compress_said || !imap_has(c, IMAP_CAP_COMPRESS_DEFLATE))
        return ready(c);
    c->compress_said = true;
    return say(c, "COMPRESS DEFLATE", IMAP_STATE_COMPRESS);
}

int imap_login_deflate_started(struct imap_client *c)
{
    return c->state == IMAP_STATE_DEFLATE ? ready(c) : -EINVAL;
}

static int after_login(struct imap_client *c)
{
    if (!c->caps_known)
        return say(c, "CAPABILITY", IMAP_STATE_CAPABILITY_AGAIN);
    if (wants_id(c) && !c->id_said) {
        c->id_said = true;
        return say(c, "ID (\"name\" \"postern\")", IMAP_STATE_ID);
    }
    /* RFC 6855 section 4: such a server selects nothing before. */
    if (imap_has(c, IMAP_CAP_UTF8_ONLY) && imap_has(c, IMAP_CAP_ENABLE) && !c->utf8)
        return say(c, "ENABLE UTF8=ACCEPT", IMAP_STATE_ENABLE);
    return compress_or_ready(c);
}

static int choose_method(struct imap_client *c)
{
    struct fault fault = {.kind = FAULT_NONE};
    unsigned offered = c->offered;
    if (!c->config->wants_login || c->preauth)
        return after_login(c);
    if (!imap_has(c, IMAP_CAP_LOGINDISABLED))
        offered |= SASL_BIT(SASL_METHOD_IMAP_LOGIN);
    /* LOGIN is the only one that takes them. */
    if (imap_has_quirk(c, IMAP_QUIRK_EXCHANGE_LOGIN) && !c->config->has_token && !c->config->methods[0] && c->config->username &&
        strpbrk(c->config->username, "/\\") && !imap_has(c, IMAP_CAP_LOGINDISABLED))
        offered = SASL_BIT(SASL_METHOD_IMAP_LOGIN);
    sasl_offer_unbound(&offered, buffer_slice(&c->greeting), c->tls_active ? &c->tls : NULL);
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
    if (c->step)
        return ready(c);
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
    writer_astring(w, slice_of_str(imap_login_config(c)->username));
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
    char prefix[sizeof(c->login_tag) + sizeof(" AUTHENTICATE ")];
    bool initial = imap_has(c, IMAP_CAP_SASL_IR) && !imap_has_quirk(c, IMAP_QUIRK_NETEASE_SASL_IR);
    int ret = sasl_new(c->method, PROTOCOL_IMAP, imap_login_config(c), c->tls_active ? &c->tls : NULL, secret, &c->sasl, &fault);
    if (ret < 0 && c->step)
        return imap_step_fail(c, ret, &fault);
    if (ret < 0)
        return imap_fail(c, ret, fault.kind == FAULT_NONE ? FAULT_INTERNAL : fault.kind, "%s", fault.text);
    imap_new_tag(c, c->login_tag);
    snprintf(prefix, sizeof(prefix), "%s AUTHENTICATE ", c->login_tag);
    sasl_write_command(&c->writer, prefix, c->method, c->sasl, initial ? IMAP_LOGIN_LINE_MAX : 0);
    ret = writer_end(&c->writer);
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

static int sasl_step(struct imap_client *c, int step, const struct fault *fault)
{
    if (step == SASL_DERIVE) {
        imap_set_state(c, IMAP_STATE_DERIVE);
        return 0;
    }
    imap_set_state(c, IMAP_STATE_AUTHENTICATE);
    sasl_write_reply(&c->writer, c->sasl);
    int ret = writer_end(&c->writer);
    if (ret == 0)
        imap_trace_written(c);
    /* "*" may still be sent, but nothing that the server says to it matters. */
    if (step < 0)
        return imap_fail(c, step, fault->kind == FAULT_NONE ? FAULT_PROTOCOL : fault->kind, "%s", fault->text);
    return ret < 0 ? imap_fail_io(c, ret) : 0;
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
    imap_take_quirks(c, SLICE_EMPTY);
    if (r->status == IMAP_PREAUTH) {
        /* Logged in as whom nobody has said, and past the point where STARTTLS is possible. */
        if (!c->tls_active && c->config->tls != TLS_POLICY_NONE)
            return imap_fail(c, -EPROTO, FAULT_TLS, "the server skips the login, so that TLS can no longer be started");
        if (c->config->wants_login)
            return imap_fail(c, -EPROTO, FAULT_PROTOCOL, "the server skips the login that the account asks for");
        c->preauth = true;
    }
    if (slice_eq_ci(r->code.name, SLICE("CAPABILITY"))) {
        int ret = imap_take_capabilities(c, r->code.arguments);
        return ret < 0 ? ret : go_on(c);
    }
    return say(c, "CAPABILITY", IMAP_STATE_CAPABILITY);
}

static int login_done(struct imap_client *c, const struct imap_response *r)
{
    if (r->status != IMAP_OK) {
        enum fault_kind kind = imap_login_passes(c, r) ? FAULT_REJECTED : FAULT_AUTH;
        if (c->step)
            return imap_step_refused(c, r, kind);
        imap_fail_reply(c, -EACCES, kind, r);
        if (c->sasl)
            sasl_add_reason(&c->engine.fault, sasl_server_error(c->sasl));
        if (kind == FAULT_REJECTED)
            c->engine.fault.retry = RETRY_LATER;
        return c->error;
    }
    if (c->state == IMAP_STATE_AUTHENTICATE && c->sasl) {
        struct fault fault = {.kind = FAULT_NONE};
        int ret = sasl_success(c->sasl, &fault);
        if (ret < 0)
            return imap_fail(c, ret, fault.kind, "%s", fault.text);
    }
    forget_capabilities(c);
    c->logged_in = true;
    if (slice_eq_ci(r->code.name, SLICE("CAPABILITY")) && imap_take_capabilities(c, r->code.arguments) < 0)
        return c->error;
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
        if (r->status != IMAP_OK && c->step)
            return imap_step_refused(c, r, FAULT_REJECTED);
        if (r->status != IMAP_OK) {
            imap_fail_reply(c, -EPROTO, FAULT_TLS, r);
            imap_mend_fault(c, r, &c->engine.fault);
            return c->error;
        }
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
        return after_login(c);
    case IMAP_STATE_ENABLE:
        return compress_or_ready(c);
    case IMAP_STATE_COMPRESS:
        if (r->status != IMAP_OK)
            return ready(c); /* RFC 4978: COMPRESSIONACTIVE, because TLS does it already */
        if (reader_pending(&c->reader) > 0)
            return imap_fail(c, -EPROTO, FAULT_PROTOCOL, "bytes behind the agreement to compress");
        imap_set_state(c, IMAP_STATE_DEFLATE);
        return 0;
    case IMAP_STATE_GREETING:
    case IMAP_STATE_HANDSHAKE:
    case IMAP_STATE_DEFLATE:
    case IMAP_STATE_CREDENTIAL:
    case IMAP_STATE_DERIVE:
    case IMAP_STATE_READY:
    case IMAP_STATE_CHALLENGED:
    case IMAP_STATE_RAW:
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
    if (c->state == IMAP_STATE_AUTHENTICATE && imap_step_is_by_hand(c))
        return imap_step_challenge(c, r);
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
            return imap_take_capabilities(c, r->text);
        if (r->data == IMAP_DATA_ENABLED && c->state == IMAP_STATE_ENABLE)
            imap_take_enabled(c, r->text);
        if (r->data == IMAP_DATA_ID && c->state == IMAP_STATE_ID)
            imap_take_quirks(c, r->text);
        return 0;
    }
    return 0;
}
