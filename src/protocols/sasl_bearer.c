/* SPDX-License-Identifier: MIT */
/* OAUTHBEARER (RFC 7628) and XOAUTH2, which Google and Microsoft describe: a token, and on failure a challenge with the
 * reason in JSON, which has to be answered before the server says no. */
#include "sasl_private.h"

#include <errno.h>

/* RFC 5801 section 4, saslname: "," and "=" are written as =2C and =3D. */
static int append_saslname(struct buffer *b, struct slice name)
{
    int r = 0;

    for (size_t i = 0; i < name.len && r == 0; i++) {
        if (name.data[i] == ',')
            r = buffer_append_slice(b, SLICE("=2C"));
        else if (name.data[i] == '=')
            r = buffer_append_slice(b, SLICE("=3D"));
        else
            r = buffer_append_char(b, name.data[i]);
    }
    return r;
}

/* "n,a=" user "," SOH "host=" host SOH "port=" port SOH "auth=Bearer " token SOH SOH */
static int build_oauthbearer(struct sasl *s)
{
    struct buffer *b = &s->message;
    const char *name = s->config->authzid ? s->config->authzid : s->config->username;
    int r = buffer_append_slice(b, SLICE("n,"));

    if (r == 0 && name)
        r = buffer_append_slice(b, SLICE("a="));
    if (r == 0 && name)
        r = append_saslname(b, slice_of_str(name));
    if (r == 0)
        r = buffer_append_slice(b, SLICE(",\x01"));
    if (r == 0 && s->config->host)
        r = buffer_printf(b, "host=%s\x01", s->config->host);
    if (r == 0 && s->config->port)
        r = buffer_printf(b, "port=%u\x01", (unsigned) s->config->port);
    return r;
}

static int bearer_start(struct sasl *s, struct fault *fault)
{
    struct buffer *b = &s->message;
    int r = s->method == SASL_OAUTHBEARER ? build_oauthbearer(s) : buffer_printf(b, "user=%s\x01", s->config->username);

    if (r == 0)
        r = buffer_append_slice(b, SLICE("auth=Bearer "));
    if (r == 0)
        r = buffer_append_slice(b, secret_expose(s->secret));
    if (r == 0)
        r = buffer_append_slice(b, SLICE("\x01\x01"));
    if (r < 0)
        return fault_set(fault, r, FAULT_INTERNAL, "auth", "out of memory");
    return SASL_STATE_COMPLETE;
}

static int bearer_step(struct sasl *s, struct slice challenge, struct fault *fault)
{
    int r = buffer_append_slice(&s->error, slice_to(challenge, s->error.max));

    buffer_clear(&s->message);
    /* RFC 7628 section 3.2.3: a dummy %x01; XOAUTH2 wants an empty line. */
    if (r == 0 && s->method == SASL_OAUTHBEARER)
        r = buffer_append_char(&s->message, '\x01');
    if (r < 0)
        return fault_set(fault, r, FAULT_INTERNAL, "auth", "out of memory");
    return SASL_STATE_REFUSED;
}

static void bearer_done(struct sasl *s)
{
    (void) s;
}

const struct sasl_family sasl_family_bearer = {
    .client_first = true,
    .start = bearer_start,
    .step = bearer_step,
    .done = bearer_done,
};
