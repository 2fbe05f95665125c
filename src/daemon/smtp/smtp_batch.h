/* SPDX-License-Identifier: MIT */
/* Mails that smtp.add_message has put aside in a session, composed or looked through, until smtp.send sends all of them. They
 * are charged to the user until then, and go with the session. */
#ifndef POSTERN_SMTP_BATCH_H
#define POSTERN_SMTP_BATCH_H

#include "smtp_item.h"

#define SMTP_BATCH_MAX 1000

size_t smtp_batch_count(const struct op_session *s);
/* Moves all of them into `items`, of which there are smtp_batch_count(); nothing is left. */
void smtp_batch_take(struct op_session *s, struct smtp_item *items);

#endif
