/* SPDX-License-Identifier: MIT */
/* What the handlers of pop3.* share. Each call is one exchange on the account's single connection (or on a session's). A
 * pop3_call is the exchange's own object: it keeps what its commands point to, because it may outlive its op. */
#ifndef POSTERN_METHOD_POP3_H
#define POSTERN_METHOD_POP3_H

#include "api_pop3.h"
#include "op.h"
#include "pop3_client.h"

struct pop3_call;

struct pop3_call_ops {
    const char *name;
    /* Submits the first commands; called once more when the call starts anew on another connection. */
    int (*begin)(struct pop3_call *call, struct fault *fault);
    /* Whether it can run behind what other calls have asked of the connection. NULL: it can. */
    bool (*overlaps)(const struct pop3_call *call, const struct engine *e);
    /* REPLY and DATA of the call's commands, and DONE of those that were not refused. May be NULL. */
    void (*event)(struct pop3_call *call, const struct pop3_event *event);
    /* A command was refused. true: that is no failure of the call. NULL: it always is. */
    bool (*refused)(struct pop3_call *call, const struct engine_request *request, const struct fault *fault);
    /* All is done and well: write the result and end the op. */
    void (*finish)(struct pop3_call *call, struct op *op);
    void (*dispose)(struct pop3_call *call); /* may be NULL */
};

struct pop3_call {
    struct op_exchange ox; /* first */
    const struct pop3_call_ops *ops;
    struct body_owner *text; /* what slices of the parameters live in */
    struct session *session; /* where it runs; NULL before */
    struct fault fault;      /* the first refusal */
    bool given_away;         /* part of the answer has left */
};

/* Zeroed but for the base. Never NULL. */
void *pop3_call_new(struct op *op, size_t size, const struct pop3_call_ops *ops);
/* Hands it over; <0: op->fault is set and the call is gone. OP_WAIT else. */
int pop3_call_submit(struct pop3_call *call);
/* Submits a command on the call's connection. */
int pop3_call_command(struct pop3_call *call, struct pop3_command *command, struct fault *fault);
/* The same from an event: a failure becomes the call's. */
void pop3_call_follow(struct pop3_call *call, struct pop3_command *command);
/* The op, if somebody still waits for the answer. */
struct op *pop3_call_op(const struct pop3_call *call);
struct engine *pop3_call_engine(const struct pop3_call *call);

/* {NAME: [argument, …], …} */
void pop3_write_capabilities(struct json_writer *w, const struct pop3_capabilities *caps);

#endif
