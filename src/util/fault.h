/* SPDX-License-Identifier: MIT */
/* What went wrong, in one value that travels from where it happened to the caller's error object. A fault is
 * filled once: the first one wins, whatever follows is a consequence. No allocation; copy it freely. */
#ifndef POSTERN_FAULT_H
#define POSTERN_FAULT_H

#include "macros.h"
#include "slice.h"

/* The kinds of the contract; fault_code() gives the JSON-RPC code of each. */
enum fault_kind {
    FAULT_NONE = 0,
    FAULT_PARSE,            /* -32700 */
    FAULT_INVALID_REQUEST,  /* -32600 */
    FAULT_UNKNOWN_METHOD,   /* -32601 */
    FAULT_INVALID_PARAMS,   /* -32602 */
    FAULT_INTERNAL,         /* -32603 */
    FAULT_DENIED,           /* -32001, and so on down the contract's table */
    FAULT_NO_SUCH_ACCOUNT,
    FAULT_NO_SUCH_SESSION,
    FAULT_BUSY,
    FAULT_LIMIT,
    FAULT_CANCELLED,
    FAULT_STORAGE,
    FAULT_CONFLICT,
    FAULT_UNAVAILABLE,
    FAULT_CONNECT,
    FAULT_TLS,
    FAULT_PROXY,
    FAULT_TIMEOUT,
    FAULT_DISCONNECTED,
    FAULT_PROTOCOL,
    FAULT_MISSING_EXTENSION,
    FAULT_UNSUPPORTED_MECHANISM,
    FAULT_AUTH,
    FAULT_CONSENT,
    FAULT_REJECTED,
    FAULT_READONLY,
    FAULT_UIDVALIDITY,
    FAULT_BAD_MESSAGE,
    FAULT_NOT_FOUND,
    FAULT_KIND_COUNT
};

/* What had happened on the server when the call ended. */
enum fault_outcome { OUTCOME_NONE = 0, OUTCOME_DONE, OUTCOME_UNKNOWN };

enum fault_retry { RETRY_NO = 0, RETRY_LATER, RETRY_NOW };

#define FAULT_TEXT_MAX 256  /* longer texts are cut: they come from peers and go to logs */
#define FAULT_REPLY_MAX 512

/* What the server answered. Texts hold valid UTF-8 without control characters, NUL-terminated. */
struct fault_reply {
    int code;                    /* SMTP code; 0 where the protocol has none */
    char enhanced[16];           /* SMTP "5.7.1", or "" */
    char status[8];              /* IMAP "NO", "BAD", "BYE", POP3 "-ERR", or "" */
    char response_code[48];      /* IMAP and POP3 [CODE], without brackets and arguments, or "" */
    char text[FAULT_REPLY_MAX];
};

struct fault {
    enum fault_kind kind; /* FAULT_NONE: nothing is wrong */
    enum fault_outcome outcome;
    enum fault_retry retry;
    uint64_t retry_after_ms; /* 0: not known */
    bool back_off;           /* the server asks all who use the account to leave it alone, for retry_after_ms or for a while */
    const char *stage;       /* static string: "dns", "connect", "tls", "mail", …; NULL: none */
    const char *protocol;    /* static string: "smtp", "imap", "pop3"; NULL: none */
    const char *limit;       /* static string: name of the configured limit, for FAULT_LIMIT; NULL: none */
    bool has_reply;
    struct fault_reply reply;
    uint64_t expected, found; /* FAULT_UIDVALIDITY */
    char text[FAULT_TEXT_MAX];
};

/* Fills `f` unless it is NULL or already set. Text is cut at FAULT_TEXT_MAX, made valid UTF-8, and its control
 * characters are replaced. `retry` gets the kind's default. Always returns the negative errno `err`,
 * so that a failing function can `return fault_set(f, -EIO, …)`. */
int fault_set(struct fault *f, int err, enum fault_kind kind, const char *stage, const char *fmt, ...)
    ATTR_PRINTF(5, 6) ATTR_COLD;
/* The same with the server's answer; `text` of the reply is cleaned like the fault's own. */
int fault_set_reply(struct fault *f, int err, enum fault_kind kind, const char *stage, const struct fault_reply *reply);
void fault_clear(struct fault *f);
static inline bool fault_is_set(const struct fault *f)
{
    return f->kind != FAULT_NONE;
}

/* The JSON-RPC code, and the contract's name of a kind ("no_such_account"; NULL for the codes of JSON-RPC itself). */
int fault_code(enum fault_kind kind);
const char *fault_kind_name(enum fault_kind kind);
const char *fault_outcome_name(enum fault_outcome outcome);
const char *fault_retry_name(enum fault_retry retry);

/* Copies `s` into `out` (size bytes, NUL-terminated): valid UTF-8, control characters as '?', cut at a character. */
void fault_clean_text(char *out, size_t size, struct slice s);

#endif
