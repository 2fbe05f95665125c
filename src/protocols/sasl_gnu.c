/* SPDX-License-Identifier: MIT */
/* PLAIN, LOGIN, CRAM-MD5, DIGEST-MD5 and EXTERNAL by GNU SASL, stepped without its base64 and without its I/O. */
#include "sasl_private.h"

#include <errno.h>
#include <stdlib.h>

static const char stage[] = "auth";

static int gnu_fault(struct fault *fault, int rc)
{
    switch (rc) {
    case GSASL_MALLOC_ERROR:
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, stage, "out of memory");
    case GSASL_UNKNOWN_MECHANISM:
        return fault_set(fault, -ENOTSUP, FAULT_UNSUPPORTED_MECHANISM, stage, "this build lacks the mechanism");
    case GSASL_AUTHENTICATION_ERROR:
        return fault_set(fault, -EPROTO, FAULT_PROTOCOL, stage, "the server could not prove that it knows the password");
    case GSASL_SASLPREP_ERROR:
        return fault_set(fault, -EINVAL, FAULT_AUTH, stage, "the user name or password is not valid text (RFC 4013)");
    default:
        return fault_set(fault, -EPROTO, FAULT_PROTOCOL, stage, "the server's challenge cannot be answered: %s",
                         gsasl_strerror(rc));
    }
}

/* The service names that RFC 4954, 5034 and 9051 have registered. */
static const char *service_name(enum protocol p)
{
    switch (p) {
    case PROTOCOL_SMTP:
        return "smtp";
    case PROTOCOL_IMAP:
        return "imap";
    case PROTOCOL_POP3:
        return "pop";
    case PROTOCOL_COUNT:
        break;
    }
    return "";
}

static int set(struct sasl *s, Gsasl_property property, const char *value)
{
    return value ? gsasl_property_set(s->session, property, value) : GSASL_OK;
}

int sasl_gnu_start(struct sasl *s, struct fault *fault)
{
    struct slice secret = secret_expose(s->secret);
    int rc;

    if ((rc = gsasl_init(&s->gsasl)) != GSASL_OK ||
        (rc = gsasl_client_start(s->gsasl, sasl_method_name(s->method), &s->session)) != GSASL_OK)
        return gnu_fault(fault, rc);
    if ((rc = set(s, GSASL_AUTHID, s->config->username)) != GSASL_OK ||
        (rc = set(s, GSASL_AUTHZID, s->config->authzid)) != GSASL_OK ||
        (rc = set(s, GSASL_SERVICE, service_name(s->protocol))) != GSASL_OK ||
        (rc = set(s, GSASL_HOSTNAME, s->config->host)) != GSASL_OK)
        return gnu_fault(fault, rc);
    /* EXTERNAL has no password; SCRAM gets the derived key only. */
    if (s->secret && s->family != &sasl_family_scram &&
        (rc = gsasl_property_set_raw(s->session, GSASL_PASSWORD, secret.data, secret.len)) != GSASL_OK)
        return gnu_fault(fault, rc);
    return 0;
}

int sasl_gnu_step(struct sasl *s, struct slice challenge, struct fault *fault)
{
    struct buffer input;
    char *out = NULL;
    size_t len = 0;
    int r;

    /* The library looks for a NUL behind its input. */
    buffer_init_secret(&input, SASL_CHALLENGE_MAX + 1);
    r = buffer_append_slice(&input, challenge);
    if (r == 0)
        r = buffer_append_char(&input, '\0');
    if (r < 0) {
        buffer_done(&input);
        return fault_set(fault, r, FAULT_INTERNAL, stage, "out of memory");
    }
    int rc = gsasl_step(s->session, buffer_slice(&input).data, challenge.len, &out, &len);
    buffer_done(&input);
    if (rc != GSASL_OK && rc != GSASL_NEEDS_MORE)
        return gnu_fault(fault, rc);
    buffer_clear(&s->message);
    if (out) {
        r = buffer_append(&s->message, out, len);
        explicit_bzero(out, len);
        gsasl_free(out);
    }
    if (r < 0)
        return fault_set(fault, r, FAULT_INTERNAL, stage, "out of memory");
    return rc == GSASL_OK ? SASL_STATE_COMPLETE : SASL_STATE_DIALOGUE;
}

/* The library frees its copies unwiped; they are reached through its own accessor. */
static void wipe(struct sasl *s, Gsasl_property property)
{
    char *copy = (char *) gsasl_property_fast(s->session, property);
    if (copy)
        explicit_bzero(copy, strlen(copy));
}

void sasl_gnu_done(struct sasl *s)
{
    if (s->session) {
        wipe(s, GSASL_PASSWORD);
        wipe(s, GSASL_SCRAM_SALTED_PASSWORD);
        gsasl_finish(s->session);
    }
    if (s->gsasl)
        gsasl_done(s->gsasl);
}

static int client_first_start(struct sasl *s, struct fault *fault)
{
    int r = sasl_gnu_start(s, fault);
    return r < 0 ? r : sasl_gnu_step(s, SLICE_EMPTY, fault);
}

static int server_first_start(struct sasl *s, struct fault *fault)
{
    int r = sasl_gnu_start(s, fault);
    if (r < 0)
        return r;
    if (s->method == SASL_LOGIN)
        return SASL_STATE_DIALOGUE;
    /* The library counts the step before the first challenge as one that says nothing; LOGIN's first is a reply. */
    r = sasl_gnu_step(s, SLICE_EMPTY, fault);
    buffer_clear(&s->message);
    return r;
}

static int server_first_step(struct sasl *s, struct slice challenge, struct fault *fault)
{
    /* An empty input would make CRAM-MD5 and DIGEST-MD5 start anew; LOGIN's prompts may be empty. */
    if (challenge.len == 0 && s->method != SASL_LOGIN)
        return fault_set(fault, -EPROTO, FAULT_PROTOCOL, stage, "the server's challenge is empty");
    return sasl_gnu_step(s, challenge, fault);
}

const struct sasl_family sasl_family_gnu_client_first = {
    .client_first = true,
    .start = client_first_start,
    .step = sasl_gnu_step,
    .done = sasl_gnu_done,
};
const struct sasl_family sasl_family_gnu_server_first = {
    .start = server_first_start,
    .step = server_first_step,
    .done = sasl_gnu_done,
};
