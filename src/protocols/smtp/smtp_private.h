/* SPDX-License-Identifier: MIT */
/* The inside of the SMTP engine: what its files share. */
#ifndef POSTERN_SMTP_PRIVATE_H
#define POSTERN_SMTP_PRIVATE_H

#include "reader.h"
#include "sasl_wire.h"
#include "smtp_body.h"
#include "smtp_client.h"
#include "writer.h"

#define SMTP_OUTPUT_MAX 262144     /* bytes that may wait to be sent */
#define SMTP_BODY_AHEAD 65536      /* body bytes are asked for while fewer than these wait */
#define SMTP_COMMAND_LINE_MAX 4096 /* longest line of an envelope */
#define SMTP_DOMAINS_MAX 64        /* a RCPTDOMAINMAX of more is none */
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

/* Messages in flight as chunks, see smtp_client.h. */
enum smtp_flight {
    SMTP_FLIGHT_OFF,
    SMTP_FLIGHT_WANTED,  /* the next transaction proves the server */
    SMTP_FLIGHT_PROVING, /* replies to the proof are due */
    SMTP_FLIGHT_PROVED,
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
    bool bearer;      /* the dialogue that the caller leads by AUTH is one of these */
    char reason[200]; /* and was told this before the refusal; "": nothing */

    enum smtp_flight flight;
    unsigned proofs; /* replies to the proof that have come */
    unsigned lessons;

    uint64_t mails;    /* transactions begun, or about to be, on this connection */
    uint64_t *domains; /* of their recipients, as numbers; only where the server has a limit */
    size_t n_domains;

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

static inline struct smtp_request *smtp_request_of(struct list *link)
{
    return container_of(container_of(link, struct engine_request, link), struct smtp_request, base);
}
static inline struct smtp_transaction *smtp_transaction_of(struct smtp_request *r)
{
    return container_of(r, struct smtp_transaction, request);
}
/* The oldest request with a reply due. */
static inline struct smtp_request *smtp_head(const struct smtp_client *c)
{
    return list_is_empty(&c->engine.requests) ? NULL : smtp_request_of(c->engine.requests.next);
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

/* --- smtp_chunks.c --- */
/* At READY: may chunks be in flight here? */
void smtp_flight_begin(struct smtp_client *c);
bool smtp_wants_chunk(const struct smtp_client *c, const struct smtp_transaction *t);
/* The proof, if it is due, in front of the transaction. 1: it was written, 0: none. */
int smtp_write_proof(struct smtp_client *c, const struct smtp_transaction *t);
/* A reply to it. 1: it was the last, 0: more are due. */
int smtp_proof_reply(struct smtp_client *c, const struct smtp_reply *reply);
/* The announcement; the body follows at once. */
int smtp_write_bdat(struct smtp_client *c, struct smtp_transaction *t);
ssize_t smtp_take_chunk(struct smtp_client *c, struct smtp_transaction *t, const char *bytes, size_t len, bool last);
/* The verdict on a chunk, whole or not: 1: as on any message; 0: it was dealt with. */
int smtp_chunk_verdict(struct smtp_client *c, struct smtp_transaction *t, const struct smtp_reply *reply);
/* The server goes, or does not take it: what is on the list has not happened. */
void smtp_disown(struct smtp_client *c);
/* What is in flight has got out of step, or ended in the middle of the proof. */
void smtp_flight_failed(struct smtp_client *c, enum fault_kind kind);

/* --- smtp_limits.c --- */
bool smtp_limits_reached(const struct smtp_client *c);
/* It has been submitted. */
int smtp_limits_count(struct smtp_client *c, const struct smtp_transaction *t);

/* --- smtp_transaction.c: all from READY on --- */
int smtp_write_word(struct smtp_client *c, const char *word);
int smtp_impossible(struct smtp_client *c, const char *stage);
void smtp_body_is_whole(struct smtp_client *c, struct smtp_request *of);
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
