/* SPDX-License-Identifier: MIT */
/* Keys that PBKDF2 has made for logins by SCRAM, so that the next login of an account costs no tenth of a second of computing. A
 * key is found again by password, salt, iterations and hash alone: another password, or a salt that the server has changed,
 * finds nothing. The passwords are not kept, only a keyed hash of all four. Bounded; the one used least recently goes. Wiped
 * when it goes, and at the end. Loop thread only. */
#ifndef POSTERN_SALTED_KEYS_H
#define POSTERN_SALTED_KEYS_H

#include "engine.h"

#define SALTED_KEYS_MAX 128
#define SALTED_KEY_MAX 64 /* bytes of one */

struct salted_keys;

struct salted_keys *salted_keys_new(void); /* NULL when out of memory, or of randomness */
void salted_keys_free(struct salted_keys *k);
/* d->key_len bytes, valid until the next call; NULL: not known. `k` may be NULL. */
const void *salted_keys_find(struct salted_keys *k, const struct engine_derive *d);
void salted_keys_add(struct salted_keys *k, const struct engine_derive *d, const void *key);

#endif
