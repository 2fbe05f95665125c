/* SPDX-License-Identifier: MIT */
/* A secret is a type of its own, so that no formatter, log or answer can take one by mistake. It is counted, and
 * wiped when the last reference goes. Its allocation is kept out of core files. Counting is not thread-safe: a job
 * for another thread takes a copy. */
#ifndef POSTERN_SECRET_H
#define POSTERN_SECRET_H

#include "macros.h"
#include "slice.h"

#define SECRET_MAX 65536 /* tokens of some providers pass 4 kB; nothing real passes this */

struct secret;

/* NULL when out of memory or longer than SECRET_MAX. */
struct secret *secret_new(const void *data, size_t len);
struct secret *secret_ref(struct secret *s);
struct secret *secret_unref(struct secret *s); /* accepts NULL, returns NULL */
/* The bytes, for the few places that must put them on the wire; valid while a reference is held. */
struct slice secret_expose(const struct secret *s);
/* In constant time for equal lengths. */
bool secret_eq(const struct secret *a, const struct secret *b);

#endif
