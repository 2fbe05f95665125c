/* SPDX-License-Identifier: MIT */
/* A number that stands for the parameters of a call that named an idempotency key: a repeat must bear the same. Keyed, good
 * for this process only. Pure functions. */
#ifndef POSTERN_DIGEST_H
#define POSTERN_DIGEST_H

#include "api_mail.h"

void digest_text(uint64_t *h, struct slice s);
void digest_number(uint64_t *h, uint64_t n);
void digest_strings(uint64_t *h, const struct rpc_strings *s);
/* The bytes behind a descriptor are looked at when they have been collected: outgoing_digest(). */
void digest_content(uint64_t *h, const struct rpc_content *c);
void digest_message(uint64_t *h, const struct api_message *m);

#endif
