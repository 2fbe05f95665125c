/* SPDX-License-Identifier: MIT */
/* What an HTTP proxy wants to know of us: its challenges (RFC 9110 section 11), and the answers to those of Basic
 * (RFC 7617) and Digest (RFC 7616: MD5, SHA-256, SHA-512-256 and their -sess forms; qop "auth", or none as in RFC 2069).
 * Functions without state but the struct's; no I/O. Loop thread only. */
#ifndef POSTERN_HTTP_AUTH_H
#define POSTERN_HTTP_AUTH_H

#include "buffer.h"
#include "endpoint.h"
#include "slice.h"

#define HTTP_AUTH_VALUE_MAX 1024 /* bytes of a realm, nonce or opaque; a challenge with longer ones is passed over */
#define HTTP_DIGEST_HEX_MAX 64

/* What was offered. Of several Digest challenges the strongest is kept. Zeroed: nothing. */
struct http_challenges {
    bool basic, digest;
    bool stale; /* the kept one says that only the nonce was too old */
    bool qop_auth, session;
    int strength; /* 0: no Digest; else the row of the algorithm in http_auth.c, plus 1 */
    char realm[HTTP_AUTH_VALUE_MAX + 1], nonce[HTTP_AUTH_VALUE_MAX + 1], opaque[HTTP_AUTH_VALUE_MAX + 1];
    bool has_opaque;
};
/* Adds those of one Proxy-Authenticate field, which may hold several. What cannot be understood is passed over. */
void http_challenges_add(struct http_challenges *c, struct slice field);

/* What the answer to a Digest challenge is made of besides it. */
struct http_digest_request {
    const char *method, *uri;
    const char *username;
    const struct secret *password;
    const char *cnonce; /* printable, without quotes and backslashes */
    uint32_t count;     /* how often the nonce was used, from 1 */
};
/* Appends the value of Proxy-Authorization, "Digest …", to `out` (use a secret buffer). -EINVAL: a name that no field
 * can hold; -ENOTSUP: this machine has no such hash; -ENOMEM, -EMSGSIZE. */
int http_digest_answer(const struct http_challenges *c, const struct http_digest_request *request,
                       struct buffer *out) ATTR_WARN_UNUSED;
/* Appends "Basic …". -ENOMEM, -EMSGSIZE. */
int http_basic_answer(const char *username, const struct secret *password, struct buffer *out) ATTR_WARN_UNUSED;

#endif
