/* SPDX-License-Identifier: MIT */
/* Logging in: which way, whether now, and what to say. One module for SMTP, IMAP and POP3.
 *
 * Three parts. sasl_may_send_credential() is the one place that answers whether a credential may go out. sasl_choose()
 * picks the method from a white list, in the account's order or our own of strength, never in the server's or a
 * library's. `struct sasl` is one dialogue (RFC 4422) without I/O: base64 texts in, base64 texts out, bounded in rounds and sizes.
 *
 *     sasl_new() ─▶ sasl_initial(): into the command, or not
 *                ─▶ for each challenge ("334 …", "+ …"): sasl_challenge()
 *                      0: send sasl_reply() as a line      SASL_DERIVE: derive sasl_derive_job(), sasl_derived(), then send
 *                      <0: send sasl_reply() (it is "*"), the server's refusal that follows ends it; `fault` is the reason
 *                ─▶ on the server's yes: sasl_success(): a server that has not proved itself (SCRAM, DIGEST-MD5) fails here
 *                ─▶ on its no: sasl_server_error() may say more
 *
 * What it holds of secrets is wiped with it. One thread at a time. -ENOMEM is possible everywhere. */
#ifndef POSTERN_SASL_H
#define POSTERN_SASL_H

#include "engine.h"

#define SASL_CHALLENGE_MAX 12288 /* characters of base64 in one challenge (RFC 4954 section 4.3) */
#define SASL_ROUNDS_MAX 8        /* challenges in one dialogue; no mechanism here needs more than 3 */
#define SASL_ITERATIONS_MIN 4096u
#define SASL_ITERATIONS_MAX 100000u

/* The white list, strongest first; the last three are not SASL but protocols' own commands, chosen by the same rule.
 * The bearer mechanisms are for tokens, and tokens for nothing else. */
enum sasl_method {
    SASL_SCRAM_SHA_256_PLUS = 0,
    SASL_SCRAM_SHA_1_PLUS,
    SASL_SCRAM_SHA_256,
    SASL_SCRAM_SHA_1,
    SASL_DIGEST_MD5,
    SASL_CRAM_MD5,
    SASL_METHOD_APOP, /* POP3 APOP */
    SASL_EXTERNAL,
    SASL_PLAIN,
    SASL_LOGIN,
    SASL_METHOD_IMAP_LOGIN, /* IMAP's LOGIN command */
    SASL_METHOD_POP3_USER,  /* POP3 USER and PASS */
    SASL_OAUTHBEARER,
    SASL_XOAUTH2,
    SASL_METHOD_COUNT
};

/* A set of methods. */
#define SASL_BIT(method) (1u << (method))

/* "SCRAM-SHA-256", …, "LOGIN command", "APOP", "USER". */
const char *sasl_method_name(enum sasl_method method);
/* Whether it is a mechanism for `struct sasl`. */
bool sasl_method_is_sasl(enum sasl_method method);

/* Adds the mechanism that a server names to the set; names that are not on the white list, or that the account
 * disables ("AUTH=NAME"), are passed over. */
void sasl_offer_add(unsigned *offered, struct slice name, const struct engine_config *config);

/* The one answer to "may a credential (or what is derived from one) be sent now". */
bool sasl_may_send_credential(const struct engine_config *config, bool tls_active);

/* Takes -PLUS out of the set where it cannot work: Cyrus, by what it says of itself, knows channels by tls-unique alone, in TLS 1.3
 * too, which has no such thing. */
void sasl_offer_unbound(unsigned *offered, struct slice server, const struct engine_tls *tls);

/* Picks from `offered`, which the engine has filled with what the server has listed (and with the SASL_METHOD_ bits of
 * what goes without being listed). `tls` is NULL in clear. Faults: FAULT_TLS when no credential may be sent,
 * FAULT_MISSING_EXTENSION when nothing at all is offered, FAULT_UNSUPPORTED_MECHANISM when nothing of it is acceptable; -EPERM, -ENOTSUP. */
int sasl_choose(const struct engine_config *config, enum protocol protocol, const struct engine_tls *tls,
                unsigned offered, enum sasl_method *ret, struct fault *fault) ATTR_WARN_UNUSED;

/* Whether the method needs the password or token (all but EXTERNAL). */
bool sasl_method_needs_secret(enum sasl_method method);

struct sasl;

/* `config`, `tls` (NULL in clear) outlive the object; it takes a reference of `secret`. Refuses with FAULT_AUTH what no
 * server could accept (no user name, NUL in a name or password, characters that RFC 6750 does not allow in a token). */
int sasl_new(enum sasl_method method, enum protocol protocol, const struct engine_config *config,
             const struct engine_tls *tls, struct secret *secret, struct sasl **ret, struct fault *fault) ATTR_WARN_UNUSED;
void sasl_free(struct sasl *s);

/* The initial response for the command line, in base64 ("=" for an empty one), when there is one of at most `max`
 * characters. Call it once, when the command is written, and only where the protocol takes one. False: write the command
 * without; the first challenge is answered with it. Valid until the next call on the object. */
bool sasl_initial(struct sasl *s, size_t max, struct slice *ret);

#define SASL_DERIVE 1
int sasl_challenge(struct sasl *s, struct slice base64, struct fault *fault) ATTR_WARN_UNUSED;
/* The line to send, without its line end; may be empty. Valid until the next call on the object. */
struct slice sasl_reply(const struct sasl *s);
/* After SASL_DERIVE, until sasl_derived(). */
const struct engine_derive *sasl_derive_job(const struct sasl *s);
/* As sasl_challenge(). */
int sasl_derived(struct sasl *s, const void *key, size_t len, struct fault *fault) ATTR_WARN_UNUSED;
/* <0 with FAULT_PROTOCOL when the mechanism demands a proof from the server which has not come. */
int sasl_success(struct sasl *s, struct fault *fault) ATTR_WARN_UNUSED;
/* What a bearer mechanism's error challenge said (JSON), or SCRAM's `e=`; empty: nothing. */
struct slice sasl_server_error(const struct sasl *s);
/* The reply is "*": the dialogue was cancelled by us, and the fault was given when that happened. */
bool sasl_is_cancelled(const struct sasl *s);

#endif
