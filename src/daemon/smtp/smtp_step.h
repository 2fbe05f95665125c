/* SPDX-License-Identifier: MIT */
/* One call of smtp.* step by step in a session: a command, sometimes with another before it, and all that it needs until it is
 * answered. On a session with a connection it is an exchange (method_smtp_steps.c); on one without it is smtp_manual.c's
 * until the client has brought the answer. */
#ifndef POSTERN_SMTP_STEP_H
#define POSTERN_SMTP_STEP_H

#include "op.h"
#include "outgoing.h"
#include "smtp_client.h"

struct smtp_step_call {
    struct op_exchange ox; /* first */
    enum smtp_verb verb;
    struct slice argument, response;
    struct smtp_command before, command;
    bool has_before;
    bool falls_back; /* an EHLO that the server does not know becomes a HELO */
    struct smtp_transaction envelope;
    struct smtp_recipient recipient;
    struct smtp_login login;
    char *username;
    struct outgoing *out;    /* of smtp.data */
    struct body_owner *text; /* what slices of the parameters live in */
    struct buffer reply;
    int code;
    struct fault fault;
};

/* With the op's owner and the parameters' text; never NULL. */
struct smtp_step_call *smtp_step_new(struct op *op, enum smtp_verb verb);
/* What run() returns; the step is not the caller's any more. */
int smtp_step_run(struct smtp_step_call *s);
/* Everything but the object. */
void smtp_step_release(struct smtp_step_call *s);
/* The command proper goes to the engine. */
int smtp_step_submit(struct smtp_step_call *s, struct engine *e, struct fault *fault) ATTR_WARN_UNUSED;
/* Members code, enhanced and lines of an object that is open. */
void smtp_write_answer(struct json_writer *w, int code, struct slice text);

#endif
