/* SPDX-License-Identifier: MIT */
/* The reader's inside: keys of the objects that are open, so that one that comes twice is found in one look-up. The keys of an object
 * of few keys are only a stack; those of a larger one are in the keyset's slots as well. */
#ifndef POSTERN_JSON_KEYS_H
#define POSTERN_JSON_KEYS_H

#include "json_reader.h"

/* Sticky, the first one wins. Always r->failed. `error`: static text. */
int json_reader_fail(struct json_reader *r, int err, const char *error);

/* For the next text. */
void json_keys_reset(struct json_keyset *keys);
/* A key of the innermost object: 0, -EBADMSG (it was there before, or there are too many), -ENOMEM. */
int json_keys_note(struct json_reader *r, struct slice key) ATTR_WARN_UNUSED;
/* Takes the keys of the object that has just ended, at level r->depth, out of the slots. */
void json_keys_unindex(struct json_reader *r);

#endif
