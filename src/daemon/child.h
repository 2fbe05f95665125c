/* SPDX-License-Identifier: MIT */
/* A command that prints a secret: run by /bin/sh in a process group of its own, with a minimal environment, nothing on
 * stdin, no descriptor of the daemon's, its stderr being the daemon's. It is watched through a pidfd where there are such; when its time is
 * over, or it prints more than a secret can be, the group is killed. Loop thread only. */
#ifndef POSTERN_CHILD_H
#define POSTERN_CHILD_H

#include "buffer.h"
#include "loop.h"
#include "secret.h"

struct child;

/* How it ended. `output` (a secret buffer) is valid during the call. `status` as of waitid(): the exit code, or the
 * negative signal number; `problem` (static text, NULL: none) says when it was killed and why, or could not be run. */
typedef void child_done(void *arg, struct buffer *output, int status, const char *problem);

/* Starts `command`; `account` stands in $POSTERN_ACCOUNT. `done` is called from the loop, once, unless child_abandon()
 * comes before. NULL when it cannot be started (errno). */
struct child *child_start(struct loop *l, const char *command, const char *account, uint64_t limit_ms, child_done *done,
                          void *arg);
/* Kills the group; `done` will not be called. The object frees itself when the process is gone. */
void child_abandon(struct child *c);

#endif
