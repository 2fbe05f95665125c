/* SPDX-License-Identifier: MIT */
/* The IMAP client engine (RFC 3501, 9051): engine.h's surface, with typed commands and answers. Sans-IO, one thread.
 *
 * Commands are pipelined as far as conflict.c allows; what may not yet go out waits in the engine's queue, in order.
 * Every tagged answer must be one that is awaited, and tags cannot be guessed; a "+" that nobody waits for is ignored.
 * Untagged data goes to the command that asked for it: FETCH by UID (or number), STATUS by mailbox name, ESEARCH by tag. What
 * nobody asked for updates the picture of the selected mailbox and is a NOTICE.
 *
 * A message's answer. ENGINE_EVENT_REPLY with `fetch` brings items (imap_fetch_next()). Where a section is a literal too
 * large to come with them, the last item is `streamed`, `fetch.last` is false, ENGINE_EVENT_DATA brings the literal's
 * `fetch.size` bytes in pieces, and a further REPLY brings the items behind it. A message is over with `last`; if `discard`
 * is set there, it turned out to be none that was asked for, and what was given of it must be thrown away.
 *
 * States: requests may be submitted after ENGINE_EVENT_READY until ENGINE_EVENT_CLOSING or an error. */
#ifndef POSTERN_IMAP_CLIENT_H
#define POSTERN_IMAP_CLIENT_H

#include "engine.h"
#include "imap_fetch.h"
#include "imap_response.h"
#include "imap_set.h"

enum imap_kind {
    IMAP_SELECT = 0,
    IMAP_EXAMINE,
    IMAP_LIST_COMMAND,
    IMAP_LSUB,
    IMAP_STATUS,
    IMAP_FETCH,
    IMAP_SEARCH,
    IMAP_STORE,
    IMAP_COPY,
    IMAP_MOVE,
    IMAP_EXPUNGE, /* with a set: UID EXPUNGE */
    IMAP_APPEND,
    IMAP_NOOP,
    IMAP_CHECK,
    IMAP_CLOSE,
    IMAP_UNSELECT,
    IMAP_CREATE,
    IMAP_DELETE,
    IMAP_RENAME,
    IMAP_SUBSCRIBE,
    IMAP_UNSUBSCRIBE,
    IMAP_CAPABILITY,
    IMAP_NAMESPACE,
    IMAP_ID,
    IMAP_ENABLE,
    IMAP_LOGOUT,
    IMAP_GETQUOTA,
    IMAP_GETQUOTAROOT,
    IMAP_SETQUOTA,
    IMAP_GETACL,
    IMAP_SETACL,
    IMAP_DELETEACL,
    IMAP_LISTRIGHTS,
    IMAP_MYRIGHTS,
    IMAP_GETMETADATA,
    IMAP_SETMETADATA,
    IMAP_GENERIC, /* `text` as it stands behind the tag */
    IMAP_KIND_COUNT
};
/* "SELECT", …; and in lower case, for a fault's stage. Static. */
const char *imap_kind_name(enum imap_kind kind);
const char *imap_kind_stage(enum imap_kind kind);
/* Whether it has an effect that must not happen twice: request.changes is set so when it is submitted. */
bool imap_kind_changes(enum imap_kind kind);

enum imap_store { IMAP_STORE_SET = 0, IMAP_STORE_ADD, IMAP_STORE_REMOVE };

/* A word of a search: quoted strings come as `string` with their contents. */
struct imap_term {
    enum { IMAP_TERM_WORD = 0, IMAP_TERM_STRING, IMAP_TERM_OPEN, IMAP_TERM_CLOSE } kind;
    struct slice text;
};

/* A command. Zero it, fill what its kind uses, submit it; all it points to stays until its EVENT_DONE. */
struct imap_command {
    struct engine_request request;
    enum imap_kind kind;
    struct slice mailbox;       /* UTF-8; SELECT, STATUS, APPEND, CREATE…; LIST: the reference */
    struct slice other;         /* UTF-8; COPY, MOVE: destination; RENAME: new name; LIST: pattern */
    const struct imap_set *set; /* FETCH, STORE, COPY, MOVE, EXPUNGE */
    bool numbers;               /* the set holds message numbers, SEARCH answers them: sessions only */
    /* FETCH, STATUS: items. STORE, APPEND: flags. ENABLE: names. ID, SETMETADATA: names and values (data NULL: NIL) by turns.
     * SETQUOTA: names and limits by turns. GETQUOTA: the root. SETACL: identifier and rights. DELETEACL, LISTRIGHTS: the
     * identifier. GETMETADATA: entries. */
    const struct slice *items;
    size_t n_items;
    struct slice text;          /* SEARCH: the query, if `terms` is NULL; GENERIC: the command; SETQUOTA: the root;
                                 * GETMETADATA: DEPTH, or empty */
    const struct imap_term *terms;
    size_t n_terms;
    enum imap_store store;
    bool silent;
    uint64_t modseq;            /* FETCH: CHANGEDSINCE, STORE: UNCHANGEDSINCE, GETMETADATA: MAXSIZE; 0: none */
    struct slice date;          /* APPEND: date-time as RFC 3501 has it, or empty */
    uint64_t body_size;         /* APPEND */
    /* The engine's. */
    char tag[12];
    unsigned wanted;            /* FETCH: IMAP_ITEM_BITs */
    uint64_t body_left;
    bool body_open;             /* the literal may be sent */
    bool answered_early;        /* tagged answer before the body was complete */
    enum imap_status status;
};

/* Why imap_client_submit() refuses: FAULT_INVALID_PARAMS for what may not stand in a command, FAULT_MISSING_EXTENSION for
 * what the server lacks (MOVE, UID EXPUNGE, UNSELECT, CHANGEDSINCE…), FAULT_UNAVAILABLE outside READY. The command is
 * written or queued, and never refused later. */
int imap_client_submit(struct engine *e, struct imap_command *command, struct fault *fault) ATTR_WARN_UNUSED;
/* It would have to wait for something submitted before. */
bool imap_client_would_wait(const struct engine *e, const struct imap_command *command);

struct imap_event {
    struct engine_event base;
    struct imap_response response; /* REPLY and NOTICE but for FETCH; DONE: the tagged answer; CLOSING: BYE */
    struct {
        bool is_fetch;     /* REPLY and NOTICE: this instead of `response` */
        bool first, last, discard;
        uint32_t number, uid; /* uid 0: not known (yet) */
        struct slice items;
        uint64_t size;     /* of the literal that follows when not `last` */
    } fetch;
};

/* The mailbox that is selected, as far as the server has told. Valid until the next call of next(). */
struct imap_mailbox_state {
    bool selected, readonly;
    struct slice mailbox; /* UTF-8, as the command named it */
    uint32_t uidvalidity, uidnext; /* 0: not told */
    uint32_t exists, recent;
    uint64_t highestmodseq;        /* 0: not told, or NOMODSEQ */
    struct slice flags, permanentflags; /* between the parentheses */
};
void imap_client_selected(const struct engine *e, struct imap_mailbox_state *ret);
/* What will be selected when all that was submitted has succeeded: name empty for nothing. `pending`: a SELECT or
 * EXAMINE of it is still under way, so that its uidvalidity is not known. */
void imap_client_planned(const struct engine *e, struct slice *ret_mailbox, bool *ret_readonly, bool *ret_pending);

bool imap_client_has(const struct engine *e, enum imap_cap cap);
/* The names as the server gave them, in order, separated by spaces. */
struct slice imap_client_capabilities(const struct engine *e);
/* The text of the greeting. */
struct slice imap_client_greeting(const struct engine *e);

#endif
