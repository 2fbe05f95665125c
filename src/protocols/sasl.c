/* SPDX-License-Identifier: MIT */
#include "sasl.h"

#include "base64.h"
#include "sasl_private.h"

#include <errno.h>
#include <stdlib.h>

static const char stage[] = "auth";

struct method_row {
    const char *name;
    const struct sasl_family *family; /* NULL: a command of the protocol */
    bool bearer;
    bool binding; /* needs the channel's binding data */
};

static const struct method_row methods[] = {
    [SASL_SCRAM_SHA_256_PLUS] = {"SCRAM-SHA-256-PLUS", &sasl_family_scram, .binding = true},
    [SASL_SCRAM_SHA_1_PLUS] = {"SCRAM-SHA-1-PLUS", &sasl_family_scram, .binding = true},
    [SASL_SCRAM_SHA_256] = {"SCRAM-SHA-256", &sasl_family_scram},
    [SASL_SCRAM_SHA_1] = {"SCRAM-SHA-1", &sasl_family_scram},
    [SASL_DIGEST_MD5] = {"DIGEST-MD5", &sasl_family_gnu_server_first},
    [SASL_CRAM_MD5] = {"CRAM-MD5", &sasl_family_gnu_server_first},
    [SASL_METHOD_APOP] = {"APOP", NULL},
    [SASL_EXTERNAL] = {"EXTERNAL", &sasl_family_gnu_client_first},
    [SASL_PLAIN] = {"PLAIN", &sasl_family_gnu_client_first},
    [SASL_LOGIN] = {"LOGIN", &sasl_family_gnu_server_first},
    [SASL_METHOD_IMAP_LOGIN] = {"LOGIN command", NULL},
    [SASL_METHOD_POP3_USER] = {"USER", NULL},
    [SASL_OAUTHBEARER] = {"OAUTHBEARER", &sasl_family_bearer, .bearer = true},
    [SASL_XOAUTH2] = {"XOAUTH2", &sasl_family_bearer, .bearer = true},
};
_Static_assert(ARRAY_LEN(methods) == SASL_METHOD_COUNT, "every method has a row");

const char *sasl_method_name(enum sasl_method method)
{
    return methods[method].name;
}

bool sasl_method_is_sasl(enum sasl_method method)
{
    return methods[method].family;
}

bool sasl_method_needs_secret(enum sasl_method method)
{
    return method != SASL_EXTERNAL;
}

static bool mechanism_by_name(struct slice name, enum sasl_method *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (methods[i].family && slice_eq_ci(name, slice_of_str(methods[i].name))) {
            *ret = (enum sasl_method) i;
            return true;
        }
    return false;
}

void sasl_offer_add(unsigned *offered, struct slice name, const struct engine_config *config)
{
    enum sasl_method method;

    if (!mechanism_by_name(name, &method))
        return;
    for (size_t i = 0; config->disabled[i]; i++) {
        struct slice d = slice_of_str(config->disabled[i]);
        if (slice_starts_ci(d, SLICE("AUTH=")) && slice_eq_ci(slice_from(d, 5), name))
            return;
    }
    *offered |= SASL_BIT(method);
}

void sasl_offer_unbound(unsigned *offered, struct slice server, const struct engine_tls *tls)
{
    const struct slice name = SLICE("Cyrus");

    if (!tls || tls->unique_len > 0)
        return;
    for (size_t i = 0; i + name.len <= server.len; i++)
        if (slice_starts_ci(slice_from(server, i), name))
            *offered &= ~(SASL_BIT(SASL_SCRAM_SHA_256_PLUS) | SASL_BIT(SASL_SCRAM_SHA_1_PLUS));
}

bool sasl_may_send_credential(const struct engine_config *config, bool tls_active)
{
    /* Challenge-response too: what is overheard can be searched for the password at leisure. */
    return tls_active || config->allow_plaintext_auth;
}

/* A name of the account's `method` list. */
static bool configured_method(const char *name, enum protocol protocol, enum sasl_method *ret)
{
    struct slice n = slice_of_str(name);

    if (slice_eq_ci(n, SLICE("login")) && protocol == PROTOCOL_IMAP)
        *ret = SASL_METHOD_IMAP_LOGIN;
    else if (slice_eq_ci(n, SLICE("sasl-login")))
        *ret = SASL_LOGIN;
    else if (slice_eq_ci(n, SLICE("apop")))
        *ret = SASL_METHOD_APOP;
    else if (slice_eq_ci(n, SLICE("user")))
        *ret = SASL_METHOD_POP3_USER;
    else
        return mechanism_by_name(n, ret);
    return true;
}

/* What the account's credential and the channel allow, whatever the server offers. */
static bool is_usable(const struct engine_config *config, const struct engine_tls *tls, enum sasl_method method)
{
    const struct method_row *row = &methods[method];

    if (row->bearer != config->has_token && method != SASL_EXTERNAL)
        return false;
    if (row->binding && (!tls || (tls->exporter_len == 0 && tls->unique_len == 0)))
        return false;
    return method != SASL_EXTERNAL || config->has_client_cert;
}

static bool is_auto(const struct engine_config *config)
{
    return !config->methods[0] || slice_eq_ci(slice_of_str(config->methods[0]), SLICE("auto"));
}

int sasl_choose(const struct engine_config *config, enum protocol protocol, const struct engine_tls *tls,
                unsigned offered, enum sasl_method *ret, struct fault *fault)
{
    if (!sasl_may_send_credential(config, tls != NULL))
        return fault_set(fault, -EPERM, FAULT_TLS, stage,
                         "the connection is not encrypted, so no credential is sent (allow_plaintext_auth would)");
    if (!offered)
        return fault_set(fault, -ENOTSUP, FAULT_MISSING_EXTENSION, stage, "the server offers no known way to log in");
    if (is_auto(config)) {
        for (enum sasl_method m = 0; m < SASL_METHOD_COUNT; m++) {
            /* A certificate stands for itself; an account with a user name means that user. */
            if (m == SASL_EXTERNAL && config->username)
                continue;
            /* Servers give a stamp to users who have no shared secret; under TLS a password may go as it is. */
            if (m == SASL_METHOD_APOP && tls && (offered & (SASL_BIT(SASL_PLAIN) | SASL_BIT(SASL_LOGIN))))
                continue;
            if ((offered & SASL_BIT(m)) && is_usable(config, tls, m)) {
                *ret = m;
                return 0;
            }
        }
    } else {
        for (size_t i = 0; config->methods[i]; i++) {
            enum sasl_method m;
            if (configured_method(config->methods[i], protocol, &m) && (offered & SASL_BIT(m)) &&
                is_usable(config, tls, m)) {
                *ret = m;
                return 0;
            }
        }
    }
    return fault_set(fault, -ENOTSUP, FAULT_UNSUPPORTED_MECHANISM, stage,
                     "the server offers none of the ways to log in that the account allows");
}

/* RFC 6750 section 2.1: b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"=" */
static bool is_b64token(struct slice t)
{
    size_t n = t.len;

    while (n && t.data[n - 1] == '=')
        n--;
    for (size_t i = 0; i < n; i++) {
        char c = t.data[i];
        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && !(c && strchr("-._~+/", c)))
            return false;
    }
    return n > 0;
}

static int check_credential(const struct sasl *s, struct fault *fault)
{
    struct slice secret = secret_expose(s->secret);

    if (s->method == SASL_EXTERNAL)
        return 0;
    if (!s->secret)
        return fault_set(fault, -EINVAL, FAULT_AUTH, stage, "there is no password or token");
    if (!s->config->username && s->method != SASL_OAUTHBEARER)
        return fault_set(fault, -EINVAL, FAULT_AUTH, stage, "%s needs a user name", methods[s->method].name);
    for (const char *p = s->config->username; p && *p; p++)
        if ((unsigned char) *p < 0x20)
            return fault_set(fault, -EINVAL, FAULT_AUTH, stage, "the user name holds a control character");
    if (secret.len == 0 || slice_find(secret, '\0') != secret.len)
        return fault_set(fault, -EINVAL, FAULT_AUTH, stage, "the password is empty or holds a NUL");
    if (methods[s->method].bearer && !is_b64token(secret))
        return fault_set(fault, -EINVAL, FAULT_AUTH, stage, "the token holds characters that RFC 6750 does not allow");
    return 0;
}

int sasl_new(enum sasl_method method, enum protocol protocol, const struct engine_config *config,
             const struct engine_tls *tls, struct secret *secret, struct sasl **ret, struct fault *fault)
{
    struct sasl *s = calloc(1, sizeof(*s));

    if (!s)
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, stage, "out of memory");
    s->method = method;
    s->protocol = protocol;
    s->config = config;
    s->tls = tls;
    s->secret = secret_ref(secret);
    s->family = methods[method].family;
    /* A token of SECRET_MAX bytes and what goes around it, then the same in base64. */
    buffer_init_secret(&s->message, SECRET_MAX + 4096);
    buffer_init_secret(&s->reply, base64_encoded_len(SECRET_MAX + 4096));
    buffer_init(&s->error, 1024);
    buffer_init_secret(&s->server_first, SASL_CHALLENGE_MAX);
    buffer_init_secret(&s->salt, SASL_CHALLENGE_MAX);
    buffer_init_secret(&s->password, 4 * SECRET_MAX);
    int r = check_credential(s, fault);
    if (r == 0)
        r = s->family->start(s, fault);
    if (r < 0) {
        sasl_free(s);
        return r;
    }
    s->after_first = (enum sasl_state) r;
    s->state = s->family->client_first ? SASL_STATE_FIRST : SASL_STATE_DIALOGUE;
    *ret = s;
    return 0;
}

void sasl_free(struct sasl *s)
{
    if (!s)
        return;
    if (s->family)
        s->family->done(s);
    buffer_done(&s->message);
    buffer_done(&s->reply);
    buffer_done(&s->error);
    buffer_done(&s->server_first);
    buffer_done(&s->salt);
    buffer_done(&s->password);
    secret_unref(s->secret);
    free(s);
}

/* s->message as the reply. */
static int encode_reply(struct sasl *s, struct fault *fault)
{
    struct slice m = buffer_slice(&s->message);
    size_t len = base64_encoded_len(m.len);
    char *to;

    buffer_clear(&s->reply);
    if (m.len && buffer_reserve(&s->reply, len, &to) < 0)
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, stage, "out of memory");
    if (m.len) {
        base64_encode(m.data, m.len, to);
        buffer_commit(&s->reply, len);
    }
    buffer_clear(&s->message);
    return 0;
}

bool sasl_initial(struct sasl *s, size_t max, struct slice *ret)
{
    size_t n = buffer_len(&s->message);

    if (s->state != SASL_STATE_FIRST || (n ? base64_encoded_len(n) : 1) > max)
        return false;
    if (n == 0) {
        *ret = SLICE("=");
    } else {
        if (encode_reply(s, NULL) < 0)
            return false;
        *ret = buffer_slice(&s->reply);
    }
    s->state = s->after_first;
    return true;
}

/* The dialogue cannot go on; RFC 4954, 5034, 9051: a line with a single "*" says so. */
static int cancel(struct sasl *s, int err)
{
    s->state = SASL_STATE_CANCELLED;
    buffer_clear(&s->message);
    buffer_clear(&s->reply);
    if (buffer_append_char(&s->reply, '*') < 0)
        return -ENOMEM;
    return err;
}

/* The family has answered with the state that follows. */
static int advance(struct sasl *s, int next, struct fault *fault)
{
    if (next < 0)
        return cancel(s, next);
    s->state = (enum sasl_state) next;
    if (s->state == SASL_STATE_DERIVE)
        return SASL_DERIVE;
    int r = encode_reply(s, fault);
    return r < 0 ? cancel(s, r) : 0;
}

int sasl_challenge(struct sasl *s, struct slice base64, struct fault *fault)
{
    struct buffer decoded;
    size_t len = 0;
    char *to;
    int r;

    base64 = slice_trim(base64);
    if (++s->rounds > SASL_ROUNDS_MAX)
        return cancel(s, fault_set(fault, -EPROTO, FAULT_PROTOCOL, stage, "the server sends challenges without end"));
    if (base64.len > SASL_CHALLENGE_MAX)
        return cancel(s, fault_set(fault, -EPROTO, FAULT_PROTOCOL, stage, "the server's challenge is too long"));
    switch (s->state) {
    case SASL_STATE_FIRST:
        /* Whatever stands there (servers put prompts): it asks for our first message. */
        s->state = s->after_first;
        r = encode_reply(s, fault);
        return r < 0 ? cancel(s, r) : 0;
    case SASL_STATE_DIALOGUE:
        break;
    case SASL_STATE_COMPLETE:
        /* Only a bearer mechanism says more: why it refuses. */
        if (methods[s->method].bearer)
            break;
        return cancel(s, fault_set(fault, -EPROTO, FAULT_PROTOCOL, stage, "the server sends a challenge too many"));
    case SASL_STATE_DERIVE:
    case SASL_STATE_REFUSED:
    case SASL_STATE_CANCELLED:
        return cancel(s, fault_set(fault, -EPROTO, FAULT_PROTOCOL, stage, "the server sends a challenge too many"));
    }
    if (base64.len == 1 && base64.data[0] == '=')
        base64.len = 0;
    buffer_init_secret(&decoded, SASL_CHALLENGE_MAX);
    r = base64.len ? buffer_reserve(&decoded, base64_decoded_max(base64.len) + 1, &to) : 0;
    if (r < 0)
        return cancel(s, fault_set(fault, r, FAULT_INTERNAL, stage, "out of memory"));
    if (base64.len && base64_decode(base64.data, base64.len, to, &len) < 0) {
        /* LOGIN's prompts say nothing that is needed. */
        if (s->method != SASL_LOGIN) {
            buffer_done(&decoded);
            return cancel(s, fault_set(fault, -EPROTO, FAULT_PROTOCOL, stage, "the server's challenge is not base64"));
        }
        len = 0;
    }
    buffer_commit(&decoded, len);
    r = s->family->step(s, buffer_slice(&decoded), fault);
    buffer_done(&decoded);
    return advance(s, r, fault);
}

struct slice sasl_reply(const struct sasl *s)
{
    return buffer_slice(&s->reply);
}

const struct engine_derive *sasl_derive_job(const struct sasl *s)
{
    return s->state == SASL_STATE_DERIVE ? &s->derive : NULL;
}

int sasl_derived(struct sasl *s, const void *key, size_t len, struct fault *fault)
{
    if (s->state != SASL_STATE_DERIVE || len != s->derive.key_len)
        return cancel(s, fault_set(fault, -EINVAL, FAULT_INTERNAL, stage, "no key of that length was asked for"));
    return advance(s, s->family->derived(s, key, len, fault), fault);
}

int sasl_success(struct sasl *s, struct fault *fault)
{
    if (s->state == SASL_STATE_COMPLETE)
        return 0;
    return fault_set(fault, -EPROTO, FAULT_PROTOCOL, stage,
                     s->state == SASL_STATE_DIALOGUE && s->family == &sasl_family_scram
                         ? "the server says yes without having proved that it knows the password"
                         : "the server says yes before the login is complete");
}

struct slice sasl_server_error(const struct sasl *s)
{
    return buffer_slice(&s->error);
}

bool sasl_is_cancelled(const struct sasl *s)
{
    return s->state == SASL_STATE_CANCELLED;
}
