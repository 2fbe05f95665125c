/* SPDX-License-Identifier: MIT */
/* smtp.open {"manual": true}: a session without a connection. The client carries the bytes: each step answers with those to
 * send, smtp.feed_bytes takes those that came and tells what they answer. The engine is the daemon's own, with
 * engine_config.step_by_step; the account lends it names and limits, never a credential. One command at a time: the next
 * may be said when the answer to the last has been fed.
 * Loop thread only. */
#ifndef POSTERN_SMTP_MANUAL_H
#define POSTERN_SMTP_MANUAL_H

#include "smtp_step.h"

/* From the run() of smtp.open: opens it and writes the result. */
int smtp_manual_open(struct op *op);
/* The engine of a session for which op_session.manual holds. */
struct engine *smtp_manual_engine(const struct op_session *s);
/* What the engine knows of itself: for a login of the caller's own. */
const struct engine_config *smtp_manual_config(const struct op_session *s);
/* From run(): says the command and writes {output, state}, or lets the op wait while a message is being written out. The step
 * is this module's in any case. */
int smtp_manual_say(struct op *op, struct smtp_step_call *step);
/* From the free() of a handler that may have waited in the session `s` (NULL: it did not get so far; op->session may be gone by
 * then). What was half written ends the dialogue. */
void smtp_manual_forget(struct op_session *s, const struct op *op);
void smtp_manual_set_trace(struct op_session *s, bool on);
/* smtp.quit: writes {output}. */
void smtp_manual_quit(struct op *op);

#endif
