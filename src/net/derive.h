/* SPDX-License-Identifier: MIT */
/* PBKDF2 on the cpu helper: what an engine that logs in by SCRAM asks for (ENGINE_WANT_DERIVE). Password, salt and key are
 * copies, wiped with the job. Loop thread only. */
#ifndef POSTERN_DERIVE_H
#define POSTERN_DERIVE_H

#include "engine.h"
#include "worker.h"

struct derive;

/* `done` is called once, from the loop, never from here, with a key of d->key_len bytes (NULL: it failed) that is valid during
 * the call; the object is gone after it. <0 with *fault (FAULT_INTERNAL, or FAULT_BUSY where the helper's queue is full): it
 * is not called. */
int derive_begin(struct worker_pool *cpu, const struct engine_derive *d, void (*done)(void *arg, const void *key, size_t len),
                 void *arg, struct derive **ret, struct fault *fault) ATTR_WARN_UNUSED;
/* `done` will not be called. Accepts NULL. Not from within `done`. */
void derive_abandon(struct derive *d);

#endif
