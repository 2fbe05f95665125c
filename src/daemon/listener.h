/* SPDX-License-Identifier: MIT */
/* The listening socket: ours, or the one that the service manager passed. */
#ifndef POSTERN_LISTENER_H
#define POSTERN_LISTENER_H

#include "gateway.h"

/* Socket activation if it was used, else binds `path` with `mode`. A socket file that nobody listens on is replaced
 * when it is ours; a live one, a foreign one or anything else at that place is left alone. 0, or a negative errno after
 * having logged why. */
int listener_open(struct gateway *g, const char *path, unsigned mode);
/* Takes no new client; removes our own socket file. */
void listener_close(struct gateway *g);

#endif
