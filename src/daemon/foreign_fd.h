/* SPDX-License-Identifier: MIT */
/* Descriptors that clients sent: owned here from recvmsg to close. No other file reads, stats or closes one, because
 * behind any of them may be a file system that never answers.
 *
 * What a descriptor is, is found out without calling into its file system: F_GET_SEALS (memfd), F_GETPIPE_SZ (pipe),
 * SO_TYPE (socket), F_GETFL (write-only, O_PATH). A memfd sealed against write and shrink is used as it stands; a pipe
 * is spliced into a pipe of our own; everything else is looked at, read and closed by helpers (file_helper.h), in pieces, by
 * at most max_file_readers_per_user jobs of one user at once. What has to wait longer than FOREIGN_PATIENCE_MS for one
 * of these is refused with `busy`. Closing goes the same way.
 *
 * Loop thread only. Descriptors count against max_fds_per_user until they are closed. */
#ifndef POSTERN_FOREIGN_FD_H
#define POSTERN_FOREIGN_FD_H

#include "content.h"
#include "fault.h"
#include "gateway.h"

#define FOREIGN_PATIENCE_MS 1000

/* The registry of received descriptors: gateway->foreign. */
struct foreign_table *foreign_table_new(struct gateway *g);
/* What is still open stays so until the process ends: closing it could hang. */
void foreign_table_free(struct foreign_table *t);

/* The last thing before the process ends while some are still open: closes all other descriptors, standard error among
 * them, because whoever hangs in one of these keeps the table that we share. */
void foreign_table_abandon(struct foreign_table *t);

/* Descriptors that recvmsg has just given. Takes them all in any case; -EMFILE when the user has more than
 * max_fds_per_user now (they are registered all the same, to be released with their connection), -ENOMEM when
 * they had to be closed at once. */
int foreign_adopt(struct foreign_table *t, struct user *user, const int *fds, size_t n) ATTR_WARN_UNUSED;
/* Closes a received descriptor, sooner or later; one that is not registered (an answer's) is closed at once. This is
 * rpc_server.release_fd with ctx = the table. */
void foreign_release(void *table, int fd);
/* Registered and not closed yet. */
size_t foreign_count(const struct foreign_table *t);

struct foreign_read;
/* The one end of a read: a body with a reference of its own, or NULL and why. */
typedef void foreign_read_done(void *arg, struct body *body, const struct fault *fault);
/* Reads all of a registered descriptor, which is consumed in any case. `budget` pays, `max` (with its name) bounds the
 * bytes, `name` (borrowed until the end) is the parameter's for errors. 0: *ret_body is it. 1: done() will be called
 * from the loop; *ret_read is to cancel it. <0 with *fault: FAULT_INVALID_PARAMS for what is no readable file, pipe or
 * memfd, FAULT_LIMIT, FAULT_BUSY. */
int foreign_read_start(struct foreign_table *t, int fd, struct spool_budget *budget, uint64_t max, const char *limit,
                       const char *name, foreign_read_done *done, void *arg, struct body **ret_body,
                       struct foreign_read **ret_read, struct fault *fault) ATTR_WARN_UNUSED;
/* done() will not be called. */
void foreign_read_cancel(struct foreign_read *r);

#endif
