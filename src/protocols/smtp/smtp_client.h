/* SPDX-License-Identifier: MIT */
/* The SMTP client engine (RFC 5321, with 1870, 2034, 2852, 2920, 3030, 3207, 3461, 4954, 6152, 6531, 6710, 8689), and LMTP (RFC 2033)
 * with engine_config.lmtp. Its surface is engine.h's; here are the requests that it takes and what it tells.
 *
 * Order of the login: greeting, EHLO (HELO where it is refused and neither TLS nor a login is demanded), STARTTLS as the
 * account's `tls` says, EHLO anew, AUTH, EHLO anew, READY. Nothing learned in clear outlives STARTTLS.
 *
 * Transactions. With PIPELINING the whole envelope, DATA included, leaves in one write, and the envelope of the next
 * transaction follows the final dot of this one (engine_config.pipeline). Without it, one command waits for the reply of the
 * other, and DATA is said only when a recipient was accepted. Each reply is counted to the command it answers; one
 * reply too many, one of a class that cannot be, or a refused RSET is FAULT_PROTOCOL and ends the connection. The dot
 * after a 354 that came though every recipient was refused ends an empty message: no body byte is sent.
 *
 * Chunks (RFC 3030). A body of SMTP_BODY_BINARYMIME, and one of SMTP_CHUNK_FROM bytes or more where the server offers CHUNKING,
 * leaves as one chunk (BDAT … LAST), byte for byte, when the replies to all recipients are in and somebody gets it. A refused
 * chunk ends the connection: whether the server has passed over it, nobody knows. A refusal of the command itself (x0z) for
 * what DATA could carry makes the transaction fail as if the connection were lost, with ENGINE_LESSON_NO_CHUNKS: it can be
 * sent again.
 *
 * Chunks in flight (PIPELINE_CHUNKS, CHUNKING and PIPELINING offered, not LMTP). Then MAIL, RCPT and BDAT with its body leave in
 * one run, and up to SMTP_FLIGHT_MAX such messages wait for their replies. A refused MAIL or RCPT means a refused chunk, and a
 * server that did not pass over a refused chunk would run the message's lines as commands, in our name. Therefore:
 * - no body stands behind anything that may be refused before this very connection has passed over refused chunks: the first
 *   transaction brings along, in the same write, one chunk outside of any transaction and one behind MAIL without a recipient,
 *   each holding nothing but "QUIT". Both must be refused and the commands behind them answered in step; a server that runs
 *   what it refuses says goodbye instead, and nothing was lost;
 * - in flight each transaction begins with RSET, which no server refuses: behind a chunk that was run as commands the replies
 *   are out of step, and this one shows it;
 * - whatever does not fit (a refused RSET, a chunk accepted for nobody or with the enhanced code of an address, a verdict before the
 *   chunk was whole, a surplus reply) ends the connection, and ENGINE_LESSON_NO_CHUNKS keeps later ones from trying.
 * What was refused by its MAIL or all its RCPTs, or stands behind a 421, has not happened even when its chunk was written.
 *
 * A request's events: a REPLY for each reply, then DONE. Its fault is FAULT_REJECTED when nothing was accepted; single
 * refused recipients are no fault.
 *
 * 421 ends the connection, whatever it answers: an unfinished transaction is then left without DONE (its outcome follows
 * from its offsets: it may run elsewhere; CLOSING comes before the error), one whose final dot it answers is DONE and refused. */
#ifndef POSTERN_SMTP_CLIENT_H
#define POSTERN_SMTP_CLIENT_H

#include "engine.h"
#include "smtp_reply.h"

/* --- what the server can do --- */
enum smtp_extension {
    SMTP_EXT_SIZE,
    SMTP_EXT_PIPELINING,
    SMTP_EXT_8BITMIME,
    SMTP_EXT_SMTPUTF8,
    SMTP_EXT_DSN,
    SMTP_EXT_CHUNKING,
    SMTP_EXT_BINARYMIME,
    SMTP_EXT_ENHANCEDSTATUSCODES,
    SMTP_EXT_STARTTLS,
    SMTP_EXT_AUTH,
    SMTP_EXT_LIMITS,
    SMTP_EXT_REQUIRETLS,
    SMTP_EXT_DELIVERBY,
    SMTP_EXT_MT_PRIORITY,
    SMTP_EXT_COUNT
};

struct smtp_capabilities {
    unsigned extensions;  /* set of 1u << SMTP_EXT_…, without those that the account disables */
    uint64_t size_max;    /* 0: not told */
    unsigned auth;        /* set of SASL_BIT() */
    uint64_t mail_max, rcpt_max, rcpt_domain_max; /* LIMITS; 0: none */
    bool esmtp;           /* it took EHLO */
    struct buffer lines;  /* all keyword lines, as they came, joined by LF */
};
static inline bool smtp_has(const struct smtp_capabilities *c, enum smtp_extension ext)
{
    return c->extensions & (1u << ext);
}
/* Parameters of `keyword` (any case) in *ret; false: not offered, or disabled. Borrowed from the capabilities. */
bool smtp_capability_find(const struct smtp_capabilities *c, struct slice keyword, struct slice *ret);

/* Of the connection, as last told; valid until the next call that feeds. */
const struct smtp_capabilities *smtp_client_capabilities(const struct engine *e);

/* --- requests --- */
enum smtp_request_kind { SMTP_TRANSACTION, SMTP_COMMAND };

/* First in both requests. */
struct smtp_request {
    struct engine_request base;
    enum smtp_request_kind kind;
};

enum smtp_notify { SMTP_NOTIFY_NEVER = 1, SMTP_NOTIFY_SUCCESS = 2, SMTP_NOTIFY_FAILURE = 4, SMTP_NOTIFY_DELAY = 8 };
enum smtp_verdict { SMTP_UNDECIDED = 0, SMTP_ACCEPTED, SMTP_REFUSED };

struct smtp_recipient {
    struct slice address; /* local@domain, without brackets */
    unsigned notify;      /* set of SMTP_NOTIFY_…; 0: not said */
    struct slice orcpt;   /* "rfc822;ann@example.com", not yet in xtext; empty: not said */
    /* By the engine: what the server said of it; the words come with the REPLY event. */
    enum smtp_verdict verdict;
    int code;
};

/* Where a transaction stands, for writing and for reading replies. */
enum smtp_step { SMTP_STEP_PROOF = 0, SMTP_STEP_RSET, SMTP_STEP_MAIL, SMTP_STEP_RCPT, SMTP_STEP_DATA, SMTP_STEP_BODY, SMTP_STEP_FINAL, SMTP_STEP_END };

enum smtp_body_type { SMTP_BODY_7BIT = 0, SMTP_BODY_8BITMIME, SMTP_BODY_BINARYMIME };
enum smtp_by { SMTP_BY_UNSET = 0, SMTP_BY_RETURN, SMTP_BY_NOTIFY };
enum smtp_ret { SMTP_RET_UNSET = 0, SMTP_RET_FULL, SMTP_RET_HDRS };

#define SMTP_FLIGHT_MAX 4         /* whole messages in flight */
#define SMTP_CHUNK_FROM (1 << 20) /* bytes from which on a chunk is better than lines with dots */

/* One message to its recipients. The body comes through engine_ops.body(); line ends and dots are the engine's matter. Zero
 * what is not used; smtp_transaction_init() does so. */
struct smtp_transaction {
    struct smtp_request request;
    struct slice from; /* empty: the null sender */
    struct smtp_recipient *recipients;
    size_t n_recipients; /* at least 1 */
    bool has_size;
    uint64_t size; /* of the body as it will be given: exact */
    bool open_end; /* its last line has no end: a chunk gets one */
    enum smtp_body_type body;
    bool only_chunked; /* there is no form of it that DATA could carry */
    bool smtputf8;    /* an address or the header is beyond ASCII */
    bool utf8_header; /* the header is: without SMTPUTF8 nothing helps. Else domains can be written in ASCII */
    bool requiretls;  /* RFC 8689 */
    enum smtp_by by_mode; /* RFC 2852: what happens when it was not delivered in `by_s` seconds */
    int64_t by_s;
    bool has_priority; /* RFC 6710: -9 to 9 */
    int priority;
    enum smtp_ret ret;
    struct slice envid; /* not yet in xtext; empty: not said */

    /* Results. */
    size_t n_accepted;
    struct fault refusal; /* the first refusal that decided: of MAIL, DATA, the final dot, or of the last recipient */

    /* The engine's. */
    enum smtp_step write_step, read_step;
    size_t write_rcpt, read_rcpt;
    bool mail_accepted, data_accepted;
    bool chunked; /* BDAT instead of DATA */
    uint64_t chunk_left; /* of BDAT: bytes of the body announced and not yet given */
};
void smtp_transaction_init(struct smtp_transaction *t);
/* As new, for another connection: results and the engine's part are forgotten. */
void smtp_transaction_reset(struct smtp_transaction *t);

/* A single command with one reply (BODY in LMTP: one for each accepted recipient). */
enum smtp_verb {
    SMTP_VERB_NOOP,
    SMTP_VERB_RSET,
    SMTP_VERB_VRFY,
    SMTP_VERB_EXPN,
    SMTP_VERB_HELP,
    SMTP_VERB_RAW,
    SMTP_VERB_EHLO,      /* EHLO, in LMTP LHLO */
    SMTP_VERB_HELO,
    SMTP_VERB_MAIL,
    SMTP_VERB_RCPT,
    SMTP_VERB_DATA,
    SMTP_VERB_BODY,      /* the message, through engine_ops.body(), and the dot */
    SMTP_VERB_STARTTLS,  /* with the handshake and the EHLO behind it */
    SMTP_VERB_AUTH,      /* one step of a dialogue that the caller leads */
    SMTP_VERB_AUTH_LINE, /* his answer to a 334 */
    SMTP_VERB_LOGIN,     /* a whole login */
    SMTP_VERB_COUNT
};

/* Whom to log in as; `config` is a copy of the engine's with user name and methods as they are to be. */
struct smtp_login {
    struct engine_config config;
    struct secret *secret;
};

struct smtp_command {
    struct smtp_request request;
    enum smtp_verb verb;
    struct slice argument;                   /* RAW: the whole line; EHLO and HELO: our name, or empty; AUTH: the mechanism */
    struct slice response;                   /* AUTH, AUTH_LINE: in base64; AUTH with data NULL: none */
    const struct smtp_transaction *envelope; /* MAIL: all but the recipients; RCPT: the first of these */
    const struct smtp_login *login;          /* LOGIN */
    bool written, taken;                     /* the engine's */
};
void smtp_command_init(struct smtp_command *c, enum smtp_verb verb, struct slice argument);

/* Where the dialogue stands. READY after the login, and between transactions; AUTHENTICATED right behind AUTH. A command that
 * does not belong there is FAULT_INVALID_PARAMS, and names the state. */
enum smtp_dialogue {
    SMTP_DIALOGUE_GREETING_EXPECTED,
    SMTP_DIALOGUE_GREETING_RECEIVED,
    SMTP_DIALOGUE_AUTHENTICATING,
    SMTP_DIALOGUE_AUTHENTICATED,
    SMTP_DIALOGUE_READY,
    SMTP_DIALOGUE_MAILTX,
    SMTP_DIALOGUE_RECIPIENT_SENT,
    SMTP_DIALOGUE_SEND_DATA,
    SMTP_DIALOGUE_DATA_SENT,
    SMTP_DIALOGUE_FINISHED,
    SMTP_DIALOGUE_COUNT
};
const char *smtp_dialogue_name(enum smtp_dialogue dialogue);
enum smtp_dialogue smtp_client_dialogue(const struct engine *e);
/* The server holds an envelope that came to nothing: RSET must come before MAIL. Transactions see to it themselves. */
bool smtp_client_needs_rset(const struct engine *e);

/* engine_ops.submit with the checks that need no server round trip: FAULT_INVALID_PARAMS (an address or parameter that cannot be
 * written), FAULT_BAD_MESSAGE (larger than SIZE allows, 8-bit without 8BITMIME), FAULT_MISSING_EXTENSION (DSN, SMTPUTF8). READY only. */
int smtp_client_submit(struct engine *e, struct smtp_request *request, struct fault *fault) ATTR_WARN_UNUSED;
/* The checks alone. */
int smtp_client_check(struct engine *e, struct smtp_request *request, struct fault *fault) ATTR_WARN_UNUSED;

/* CHUNKING is offered, and nothing speaks against it. */
bool smtp_client_takes_chunks(const struct engine *e);
/* Of `n` recipients in this order, how many one transaction on this connection may name (LIMITS, RFC 9422); 0: none, only a new
 * connection helps. The first ones of a new connection are at least 1. */
size_t smtp_client_room(const struct engine *e, const struct smtp_recipient *recipients, size_t n);
/* How many transactions may be in flight now: 1; 2 where the next one's envelope may follow this one's body; SMTP_FLIGHT_MAX. */
unsigned smtp_client_depth(const struct engine *e);

/* --- events --- */
enum smtp_context { SMTP_CONTEXT_RSET, SMTP_CONTEXT_MAIL, SMTP_CONTEXT_RCPT, SMTP_CONTEXT_DATA, SMTP_CONTEXT_FINAL, SMTP_CONTEXT_COMMAND };

/* ENGINE_EVENT_REPLY: `reply` and `context`; with SMTP_CONTEXT_RCPT, and with SMTP_CONTEXT_FINAL in LMTP, `recipient`.
 * ENGINE_EVENT_READY of a step_by_step engine, and ENGINE_EVENT_CLOSING while no request is in flight: `reply`. */
struct smtp_event {
    struct engine_event base;
    enum smtp_context context;
    struct smtp_recipient *recipient;
    struct smtp_reply reply;
};

/* The server's greeting, for sessions; "" before it came. Valid as long as the engine. */
const char *smtp_client_greeting(const struct engine *e);

#endif
