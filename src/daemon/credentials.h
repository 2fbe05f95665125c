/* SPDX-License-Identifier: MIT */
/* Where the secret of an account comes from: the configuration itself, a file, a command, a systemd credential. Each is
 * a credential_source (net/endpoint.h) that is asked at every login and answers from the loop.
 *
 * Passwords and files are read each time, so that a changed file counts at once. Commands run one at a time a source,
 * for all who wait; what they print is kept: a password for CREDENTIAL_KEEP_MS, a token for the `expires_in` that comes
 * with it (RFC 6749 section 5.1), between CREDENTIAL_MIN_MS and CREDENTIAL_MAX_MS, and neither any longer when the
 * server has refused it. Tokens hold the characters of RFC 6750 section 2.1 only.
 *
 * Files are small and local to the machine; they are read on the loop. Loop thread only. */
#ifndef POSTERN_CREDENTIALS_H
#define POSTERN_CREDENTIALS_H

#include "configuration.h"
#include "loop.h"

#define CREDENTIAL_COMMAND_LIMIT_MS 30000
#define CREDENTIAL_KEEP_MS (5 * 60 * 1000)
#define CREDENTIAL_MIN_MS (60 * 1000)
#define CREDENTIAL_MAX_MS (24 * 3600 * 1000)

/* Takes a reference of `account`, in which `secret` stands. `command_limit_ms` is normally
 * CREDENTIAL_COMMAND_LIMIT_MS. NULL when out of memory. Free it through its ops->unref; waiters must have been called
 * or cancelled by then. */
struct credential_source *credential_source_new(struct loop *l, struct account_config *account,
                                                const struct config_secret *secret, uint64_t command_limit_ms);

/* The first line of a file with a secret. 0, or a negative errno and why (static text, or strerror's). */
int credential_read_line(const char *path, struct secret **ret, const char **ret_why);

/* A token as commands and files give it: bare, or a JSON object with `access_token` and perhaps `expires_in` (seconds).
 * *ret_lifetime_ms is within the limits above. -EINVAL with the reason otherwise. `text` is written to. */
int credential_parse_token(struct buffer *text, struct secret **ret, uint64_t *ret_lifetime_ms, const char **ret_why);

#endif
