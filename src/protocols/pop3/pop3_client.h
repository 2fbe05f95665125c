/* SPDX-License-Identifier: MIT */
/* The POP3 client engine (RFC 1939, with 2449, 2595, 3206, 5034, 6856). Its surface is engine.h's; here are the requests
 * that it takes and what it tells.
 *
 * Order of the login: greeting, CAPA, STLS as the account's `tls` says, CAPA anew, a login (SASL, APOP, USER and PASS), CAPA
 * anew, READY. Nothing learned in clear outlives STLS but the greeting's stamp, which is a challenge and no promise.
 *
 * Commands with PIPELINING leave as they are submitted, without it one after the other. Answers are counted in order; one
 * too many ends the connection with FAULT_PROTOCOL. Only CRLF "." CRLF ends a multi-line answer that is a message.
 * Numbers are those of this connection.
 *
 * Where the configuration asks for no login, READY comes before it, and STLS, USER, PASS, APOP, RPOP and AUTH are requests.
 * They run alone, each with CAPA anew behind its success. A refused one leaves the connection as it was.
 *
 * Deletions happen at QUIT and nowhere else: submit POP3_QUIT to commit them (it is the last request; the engine is closed
 * then). engine_ops.quit() says QUIT only where no deletion is pending; a connection that is just closed deletes nothing. The
 * same where the server says EXPIRE 0 (RFC 2449 section 6.7) and a message was fetched: its QUIT would delete that message. */
#ifndef POSTERN_POP3_CLIENT_H
#define POSTERN_POP3_CLIENT_H

#include "buffer.h"
#include "engine.h"

#define POP3_LIST_MAX (1u << 20) /* entries of one LIST or UIDL */
#define POP3_ID_MAX 255          /* bytes of a unique id; RFC 1939 says 70 */

enum pop3_extension {
    POP3_EXT_TOP,
    POP3_EXT_UIDL,
    POP3_EXT_USER,
    POP3_EXT_SASL,
    POP3_EXT_STLS,
    POP3_EXT_PIPELINING,
    POP3_EXT_RESP_CODES,
    POP3_EXT_AUTH_RESP_CODE,
    POP3_EXT_UTF8,
    POP3_EXT_LANG,
    POP3_EXT_EXPIRE,
    POP3_EXT_LOGIN_DELAY,
    POP3_EXT_IMPLEMENTATION,
    POP3_EXT_COUNT
};

struct pop3_capabilities {
    bool told;            /* CAPA was answered: what is not listed is not there */
    unsigned extensions;  /* set of 1u << POP3_EXT_…, without those that the account disables */
    unsigned auth;        /* set of SASL_BIT() */
    bool expires_at_once; /* EXPIRE 0: QUIT may delete what was fetched */
    uint32_t login_delay_s; /* LOGIN-DELAY: between two logins */
    struct buffer lines;  /* all lines as they came, joined by LF */
};
static inline bool pop3_has(const struct pop3_capabilities *c, enum pop3_extension ext)
{
    return c->extensions & (1u << ext);
}
/* Valid until the next call that feeds. */
const struct pop3_capabilities *pop3_client_capabilities(const struct engine *e);
/* Whether UIDL may be asked for: listed, or CAPA was refused (RFC 1939 has it as optional). */
bool pop3_client_may_uidl(const struct engine *e);
/* The number of the one message with that unique id, as the last UIDL of this connection has it; false: UIDL has to be
 * asked (again). Nothing that is found this way should be deleted. */
bool pop3_client_find(const struct engine *e, struct slice id, uint32_t *ret_number);
/* Whether the next UIDL would say what the last one said. */
bool pop3_client_knows_ids(const struct engine *e);
/* Whether QUIT may delete what was only fetched. */
bool pop3_client_quit_expires(const struct engine *e);
/* Lines that POP3_RAW with `by_hand` left, and that POP3_READLINE has not taken; valid until the next call on the engine. */
struct slice pop3_client_unread(const struct engine *e);
/* The greeting's text; "" before it came. */
const char *pop3_client_greeting(const struct engine *e);

enum pop3_verb {
    POP3_STAT,
    POP3_LIST,     /* all */
    POP3_LIST_ONE, /* `number` */
    POP3_UIDL,
    POP3_UIDL_ONE,
    POP3_RETR,
    POP3_TOP, /* `number`, `lines` */
    POP3_DELE,
    POP3_NOOP,
    POP3_RSET,
    POP3_CAPA,
    POP3_UTF8,
    POP3_RAW, /* `argument` is the line; `multiline`: a block follows a +OK, and comes as a message does */
    POP3_READLINE, /* says nothing: the next line that comes, or that POP3_RAW has left */
    POP3_USER, /* `argument` is the user's name */
    /* These run alone, and change what the server offers: */
    POP3_PASS, /* `secret` */
    POP3_APOP, /* `argument` is the user's name, `secret` */
    POP3_RPOP, /* `argument` is the user's name */
    POP3_AUTH, /* `argument` is the mechanism; `secret`, or ENGINE_WANT_CREDENTIAL asks for the account's */
    POP3_STLS,
    POP3_QUIT,
    POP3_VERB_COUNT
};

/* A command. Zero what is not used; pop3_command_init() does so. */
struct pop3_command {
    struct engine_request request; /* first; `changes` is set for QUIT behind a deletion, and may be set by the submitter */
    enum pop3_verb verb;
    uint32_t number; /* from 1 */
    uint32_t lines;
    struct slice argument;
    bool multiline;
    bool by_hand; /* RAW: lines behind the first are kept for POP3_READLINE, from now on */
    struct secret *secret; /* borrowed until EVENT_DONE */
    /* The engine's. */
    bool written;
};
void pop3_command_init(struct pop3_command *c, enum pop3_verb verb);

/* engine_ops.submit with checks: FAULT_INVALID_PARAMS (number 0, a line with CR, LF or NUL, a login in the wrong state, a command
 * while lines are unread), FAULT_MISSING_EXTENSION (UIDL, TOP, UTF8, STLS), FAULT_UNSUPPORTED_MECHANISM (AUTH, APOP), FAULT_TLS (no
 * credential in clear). READY only; nothing may follow POP3_QUIT. */
int pop3_client_submit(struct engine *e, struct pop3_command *command, struct fault *fault) ATTR_WARN_UNUSED;

enum pop3_event_kind {
    POP3_EVENT_STATUS, /* "+OK" or "-ERR": `ok`, `text`, `code`; with STAT, LIST_ONE and UIDL_ONE also the numbers or the id */
    POP3_EVENT_ENTRY,  /* a line of LIST or UIDL: `number` and `size` or `id` */
    POP3_EVENT_LINE,   /* a line of CAPA, or READLINE's: `text` */
};

/* ENGINE_EVENT_REPLY has these. Messages (RETR, TOP) come as ENGINE_EVENT_DATA without stuffed dots, line ends as the
 * server sent them. ENGINE_EVENT_DONE has FAULT_REJECTED for "-ERR". */
struct pop3_event {
    struct engine_event base;
    enum pop3_event_kind kind;
    bool ok;
    struct slice code; /* RESP-CODES: "SYS/TEMP"; empty: none */
    struct slice text;
    uint32_t number; /* STAT: how many messages */
    uint64_t size;   /* STAT: of all of them */
    struct slice id;
};

#endif
