/* SPDX-License-Identifier: MIT */
/* The inside of the POP3 engine: what its files share. */
#ifndef POSTERN_POP3_PRIVATE_H
#define POSTERN_POP3_PRIVATE_H

#include "pop3_client.h"
#include "reader.h"
#include "sasl_wire.h"
#include "writer.h"

#define POP3_LINE_MAX 65536
#define POP3_CAPA_MAX 65536
#define POP3_OUTPUT_MAX 65536
#define POP3_COMMAND_MAX 1024 /* longest line but for authentication */
#define POP3_UNREAD_MAX 1048576 /* lines kept for POP3_READLINE */
#define POP3_AUTH_LINE_MAX 255 /* RFC 5034 section 4: a longer initial response goes on a line of its own */
#define POP3_AUTH_REPLY_MAX 131072
#define POP3_IDS_MAX 65536
#define POP3_IDS_TEXT_MAX (4u << 20)

struct pop3_id {
    uint64_t hash;
    uint32_t number, at, len;
};

struct pop3_ids {
    bool known;     /* a whole UIDL was taken, and nothing since has changed what it would say */
    bool overflown; /* more than is kept */
    struct pop3_id *entries;
    size_t n, room;
    struct buffer text;
};

enum pop3_state {
    POP3_GREETING,
    POP3_STATE_CAPA,       /* waits for CAPA's status */
    POP3_STATE_CAPA_LINES, /* inside its list */
    POP3_STATE_STLS,
    POP3_HANDSHAKE,  /* the driver's turn: tls_started() */
    POP3_CREDENTIAL, /* the driver's turn: credential() */
    POP3_STATE_AUTH,
    POP3_DERIVE,     /* the driver's turn: derived() */
    POP3_STATE_APOP,
    POP3_STATE_USER,
    POP3_STATE_PASS,
    POP3_READY,
    POP3_PROBE,    /* STAT of our own, to see that the connection lives */
    POP3_QUITTING, /* QUIT goes out behind what is in flight */
    POP3_GOODBYE,  /* QUIT of our own was put out */
    POP3_CLOSED,
    POP3_FAILED,
    POP3_STATE_COUNT
};

/* Where the head's answer stands. */
enum pop3_answer {
    POP3_ANSWER_STATUS = 0,
    POP3_ANSWER_LINES,   /* a list, line by line */
    POP3_ANSWER_MESSAGE, /* a message, in pieces of any size */
};

/* A message's block: only CRLF "." CRLF ends it. */
enum pop3_block {
    POP3_BLOCK_START = 0, /* at a line's beginning */
    POP3_BLOCK_LINE,
    POP3_BLOCK_CR,     /* the last byte was a CR */
    POP3_BLOCK_DOT,    /* a dot at a line's beginning is held back */
    POP3_BLOCK_DOT_CR, /* a dot and a CR are held back */
};

#define POP3_EVENTS 4

struct pop3_client {
    struct engine engine;
    const struct engine_config *config;
    enum pop3_state state;
    int error;
    struct reader reader;
    struct writer writer;
    struct pop3_capabilities caps;
    struct engine_tls tls;
    bool has_tls;
    bool logged_in;
    bool step_failed;          /* it could not begin: done_fault */
    struct pop3_command *step; /* the request that a state of the login belongs to; NULL: it is the engine's own */
    bool fetched;   /* a RETR was answered with +OK */
    bool by_hand;   /* lines that answer nothing are kept in `unread` */
    struct buffer unread;
    size_t unread_given; /* of it, in events that are being given */
    bool deletions; /* DELE was answered with +OK, and neither RSET nor QUIT since */
    enum sasl_method method;
    struct sasl *sasl;
    struct secret *secret; /* between USER and PASS */

    size_t n_requests;
    const char *last_stage; /* of the request that was done last */
    enum pop3_answer answer;
    enum pop3_block block;
    uint32_t n_lines;
    uint64_t n_bytes;
    struct pop3_ids ids;

    struct pop3_event events[POP3_EVENTS];
    unsigned n_events, next_event;
    struct fault done_fault;
    struct buffer trace;
    struct pop3_event trace_event;
    size_t trace_given;
    char greeting[FAULT_REPLY_MAX];
    char stamp[256]; /* "<…>" of the greeting for APOP, or "" */
};

static inline struct pop3_client *pop3_of(struct engine *e)
{
    return container_of(e, struct pop3_client, engine);
}
static inline const struct pop3_client *pop3_of_const(const struct engine *e)
{
    return container_of((struct engine *) (void *) (uintptr_t) e, struct pop3_client, engine);
}

struct pop3_status {
    bool ok;
    bool is_challenge; /* "+ …" */
    struct slice code, text;
};

/* --- pop3_client.c --- */
void pop3_set_state(struct pop3_client *c, enum pop3_state state);
int pop3_set_failed(struct pop3_client *c, int err);
int pop3_fail(struct pop3_client *c, int err, enum fault_kind kind, const char *stage, const char *text);
struct pop3_event *pop3_push_event(struct pop3_client *c, enum engine_event_type type, struct engine_request *request);
int pop3_end_command(struct pop3_client *c);
/* '<' came, '>' went. */
void pop3_trace(struct pop3_client *c, char direction, struct slice line);

/* --- pop3_reply.c --- */
/* "+OK …", "-ERR …" or "+ …"; false: none of these. */
bool pop3_parse_status(struct slice line, struct pop3_status *ret);
void pop3_status_to_reply(const struct pop3_status *s, struct fault_reply *ret);
/* FAULT_REJECTED for a -ERR, `retry` by its code. */
void pop3_status_fault(const struct pop3_status *s, enum fault_kind kind, const char *stage, struct fault *fault);
/* [SYS/TEMP], [IN-USE], [LOGIN-DELAY]: the credentials are not what is wrong. */
bool pop3_status_is_temporary(const struct pop3_status *s);
void pop3_capabilities_reset(struct pop3_capabilities *caps);
int pop3_capabilities_line(struct pop3_capabilities *caps, const struct engine_config *config, struct slice line);
/* "number rest" */
bool pop3_parse_number(struct slice *rest, uint64_t max, uint64_t *ret);

/* --- pop3_ids.c --- */
void pop3_ids_init(struct pop3_ids *ids);
void pop3_ids_forget(struct pop3_ids *ids);
void pop3_ids_add(struct pop3_ids *ids, uint32_t number, struct slice id);
void pop3_ids_end(struct pop3_ids *ids);
/* How many messages have that id, and the number of one of them. */
unsigned pop3_ids_find(const struct pop3_ids *ids, struct slice id, uint32_t *ret);

/* --- pop3_login.c --- */
int pop3_login_line(struct pop3_client *c, struct slice line);
int pop3_login_tls_started(struct pop3_client *c, const struct engine_tls *tls);
int pop3_login_credential(struct pop3_client *c, struct secret *secret);
/* A request that is a step of the login; state READY. */
int pop3_step_begin(struct pop3_client *c, struct pop3_command *cmd);
/* Ends the step that could not begin. */
int pop3_step_fail(struct pop3_client *c);
int pop3_check_step(struct pop3_client *c, const struct pop3_command *cmd, struct fault *fault);
int pop3_login_derived(struct pop3_client *c, const void *key, size_t len);

/* --- pop3_command.c --- */
int pop3_check_command(struct pop3_client *c, const struct pop3_command *cmd, struct fault *fault);
int pop3_pump(struct pop3_client *c);
/* Gives EVENT_DONE; `fault` stays unchanged until it was given. */
int pop3_complete(struct pop3_client *c, struct pop3_command *cmd, const struct fault *fault);
/* A line that no command asked for, by hand. */
int pop3_keep_line(struct pop3_client *c, struct slice line);
/* 1: something was taken (and perhaps events were pushed); 0: more bytes are needed. */
int pop3_take_answer(struct pop3_client *c);
const char *pop3_command_stage(const struct pop3_client *c);
struct pop3_command *pop3_head(const struct pop3_client *c);

/* --- pop3_md5.c: RFC 1321, for APOP alone --- */
void pop3_md5(struct slice a, struct slice b, char hex[33]);

#endif
