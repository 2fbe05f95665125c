/* SPDX-License-Identifier: MIT */
/* What an IMAP session keeps between its calls: what the server said that was no call's result (imap.response), and the last
 * lines of the dialogue (imap.print_log). Both are bounded; the oldest goes first. */
#ifndef POSTERN_METHOD_IMAP_SESSION_H
#define POSTERN_METHOD_IMAP_SESSION_H

#include "imap_client.h"
#include "op.h"

/* A session of imap.open has come up. */
void imap_session_begin(struct op_session *s);
/* Something was said while a call of the session runs. */
void imap_session_note(struct op_session *s, const struct imap_event *e);
/* Another mailbox is going to be opened. */
void imap_session_forget(struct op_session *s);

#endif
