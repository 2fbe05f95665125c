/* SPDX-License-Identifier: MIT */
/* The inside of the SMTP engine: what its files share. */
#ifndef POSTERN_SMTP_PRIVATE_H
#define POSTERN_SMTP_PRIVATE_H

#include "reader.h"
#include "sasl.h"
#include "smtp_body.h"
#include "smtp_client.h"
#include "writer.h"

#define SMTP_OUTPUT_MAX 262144     /* bytes that may wait to be sent */
#define SMTP_BODY_AHEAD 65536      /* body bytes are asked for while fewer than these wait */
#define SMTP_COMMAND_LINE_MAX 4096 /* longest line of an envelope */
#define SMTP_AUTH_LINE_MAX 12288   /* RFC 4954 section 4 */

enum smtp_state {
    SMTP_GREETING,
    SMTP_EHLO,
    SMTP_HELO,
    SMTP_STARTTLS,
    SMTP_HANDSHAKE,  /* the driver's turn: tls_started() */
    SMTP_CREDENTIAL, /* the driver's turn: credential() */
    SMTP_AUTH,
    SMTP_DERIVE,     /* the driver's turn: derived() */
    SMTP_READY,
    SMTP_QUITTING,   /* QUIT goes out behind what is in flight */
    SMTP_QUIT,       /* QUIT was put out */
    SMTP_CLOSED,
    SMTP_FAILED,
    SMTP_STATE_COUNT
};

#define SMTP_EVENTS 4 /* one reply gives at most REPLY, DONE, CLOSING */

struct smtp_client {
    struct engine engine;
    const struct engine_config *config;
    enum smtp_state state;
    int error; /* what the state FAILED answers */
    struct reader reader;
    struct writer writer;
    struct smtp_reply_parser parser;
    struct smtp_capabilities caps;
    struct engine_tls tls;
    bool has_tls;
    bool logged_in; /* AUTH is done, or not wanted */
    bool has_auth;   /* … by AUTH */
    bool needs_rset; /* the server holds an envelope that came to nothing */
    enum smtp_dialogue dialogue; /* in READY */
    size_t step_accepted; /* recipients of the envelope that is made step by step */
    enum sasl_method method;
    struct sasl *sasl;

    size_t n_queued;
    struct smtp_request *body_of; /* whose body is being written */
    struct smtp_body filter;

    struct smtp_event events[SMTP_EVENTS];
    unsigned n_events, next_event;
    struct fault done_fault;
    struct buffer trace; /* lines of '>' or '<' and text */
    struct smtp_event trace_event;
    size_t trace_given;
    char greeting[FAULT_REPLY_MAX];
};

static inline struct smtp_client *smtp_of(struct engine *e)
{
    return container_of(e, struct smtp_client, engine);
}
static inline const struct smtp_client *smtp_of_const(const struct engine *e)
{
    return container_of((struct engine *) (void *) (uintptr_t) e, struct smtp_client, engine);
}

/* --- smtp_client.c --- */
void smtp_set_state(struct smtp_client *c, enum smtp_state state);
/* The sticky error, with the engine's fault already set. */
int smtp_set_failed(struct smtp_client *c, int err);
/* The same: the fault is the engine's if it has none yet. Returns `err`. */
int smtp_fail(struct smtp_client *c, int err, enum fault_kind kind, const char *stage, const char *text);
int smtp_fail_reply(struct smtp_client *c, int err, enum fault_kind kind, const char *stage, const struct smtp_reply *r);
struct smtp_event *smtp_push_event(struct smtp_client *c, enum engine_event_type type, struct engine_request *request);
/* Ends the command that was begun with writer_begin(), and traces it. */
int smtp_end_command(struct smtp_client *c);
const char *smtp_state_stage(enum smtp_state state);

/* --- smtp_capabilities.c --- */
int smtp_capabilities_parse(struct smtp_capabilities *caps, const struct engine_config *config, struct slice text);
void smtp_capabilities_reset(struct smtp_capabilities *caps);

/* --- smtp_login.c: all before READY --- */
int smtp_login_reply(struct smtp_client *c, const struct smtp_reply *r);
int smtp_login_tls_started(struct smtp_client *c, const struct engine_tls *tls);
int smtp_login_credential(struct smtp_client *c, struct secret *secret);
int smtp_login_derived(struct smtp_client *c, const void *key, size_t len);
/* For the commands that go the same ways later. */
int smtp_login_check(const struct smtp_client *c, const struct smtp_login *login, struct fault *fault);
int smtp_login_begin(struct smtp_client *c, const struct smtp_login *login);
/* The server has agreed to TLS. */
int smtp_login_agreed(struct smtp_client *c);

/* --- smtp_command.c --- */
enum smtp_dialogue smtp_dialogue(const struct smtp_client *c);
int smtp_check_rest(const struct smtp_client *c, struct fault *fault);
int smtp_check_dialogue(const struct smtp_client *c, unsigned states, const char *what, struct fault *fault);
int smtp_check_command(const struct smtp_client *c, const struct smtp_command *cmd, struct fault *fault);
int smtp_write_command(struct smtp_client *c, struct smtp_command *cmd);
int smtp_command_reply(struct smtp_client *c, struct smtp_command *cmd, const struct smtp_reply *reply);
void smtp_push_command_reply(struct smtp_client *c, struct smtp_command *cmd, const struct smtp_reply *reply);
/* DONE; `refusal` NULL: well. */
void smtp_complete_command(struct smtp_client *c, struct smtp_command *cmd, const struct smtp_reply *refusal);
const char *smtp_verb_stage(enum smtp_verb verb);
struct smtp_command *smtp_command_of(struct smtp_request *r);
/* The command of this kind that was written and is not answered; NULL: none. */
struct smtp_command *smtp_open_command(const struct smtp_client *c, enum smtp_verb verb);

/* --- smtp_envelope.c --- */
int smtp_check_request(struct smtp_client *c, struct smtp_request *r, struct fault *fault);
/* One part of an envelope: the sender with all parameters, or the first recipient. */
int smtp_check_envelope(const struct smtp_client *c, const struct smtp_transaction *t, bool sender, struct fault *fault);
int smtp_write_mail(struct smtp_client *c, const struct smtp_transaction *t);
int smtp_write_rcpt(struct smtp_client *c, const struct smtp_transaction *t, const struct smtp_recipient *rcpt);

/* --- smtp_transaction.c: all from READY on --- */
void smtp_mark_begin(struct smtp_client *c, struct engine_request *r);
void smtp_mark_end(struct smtp_client *c, struct engine_request *r);
/* Takes it off the list. */
void smtp_forget(struct smtp_client *c, struct engine_request *r);
/* A reply to nothing. */
int smtp_surplus(struct smtp_client *c);
/* Puts out whatever may be said now. */
int smtp_pump(struct smtp_client *c);
int smtp_request_reply(struct smtp_client *c, const struct smtp_reply *r);
ssize_t smtp_take_body(struct smtp_client *c, const char *bytes, size_t len, bool last);
/* The stage of the oldest request with a reply due. */
const char *smtp_request_stage(const struct smtp_client *c);
/* It waits for the verdict on a message. */
bool smtp_awaits_final(const struct smtp_client *c);

#endif
