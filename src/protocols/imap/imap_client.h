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
#include "imap_quirks.h"
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
    IMAP_MULTISEARCH, /* ESEARCH IN (RFC 7377): `other` is how to look ("subtree"), `items` are mailboxes in UTF-8; else as SEARCH */
    IMAP_SORT,   /* `items` are the criteria; the rest is SEARCH's */
    IMAP_THREAD, /* `items` is the algorithm; the same */
    IMAP_STORE,
    IMAP_COPY,
    IMAP_MOVE,
    IMAP_EXPUNGE, /* with a set: UID EXPUNGE */
    IMAP_APPEND,
    IMAP_REPLACE, /* as APPEND; `set` is the message that goes */
    IMAP_NOOP,
    IMAP_CHECK,
    IMAP_CLOSE,
    IMAP_UNSELECT,
    IMAP_UNAUTHENTICATE, /* of a session; its capabilities must be asked for again */
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
    IMAP_IDLE,   /* lasts until imap_client_end_idle() */
    IMAP_NOTIFY, /* mailboxes in `items`; none: NOTIFY NONE */
    /* Steps of the login, on a connection that was made without one (engine_config.wants_login); each runs alone and has the
     * capabilities asked for anew behind its success. A refused one leaves the connection as it was. */
    IMAP_STARTTLS,
    IMAP_LOGIN,        /* `other` is the user's name, `secret` the password */
    IMAP_AUTHENTICATE, /* `text` is the mechanism; `secret`, or ENGINE_WANT_CREDENTIAL asks for the account's; `other` a user's name in place
                        * of the account's. With `by_hand`, `items` are the responses, in base64, or "*": where the server wants more of
                        * them DONE has its challenge (IMAP_RESPONSE_CONTINUE), and the next such request goes on */
    IMAP_PROXYAUTH,    /* `other` is the user to become */
    /* The raw side: see imap_raw.c */
    IMAP_RAW_SEND,     /* `text` as it is; DONE comes when it is on its way */
    IMAP_RAW_READ,     /* `body_size` bytes, with DONE as its base.data, when all have come; withdrawn it takes none */
    IMAP_RAW_LINE,     /* the same up to a LF */
    IMAP_GENERIC, /* `text` as it stands behind the tag; literals in it as "{5}" CRLF and five bytes. See imap_generic.h */
    IMAP_KIND_COUNT
};
/* "SELECT", …; and in lower case, for a fault's stage. Static. */
const char *imap_kind_name(enum imap_kind kind);
const char *imap_kind_stage(enum imap_kind kind);
/* Whether it has an effect that must not happen twice: request.changes is set so when it is submitted. */
bool imap_kind_changes(enum imap_kind kind);

/* IDLE (RFC 2177): what has been said of it. */
enum imap_idle { IMAP_IDLE_ASKED = 0, IMAP_IDLE_ON /* "+" came */, IMAP_IDLE_ENDED /* DONE was said */ };

enum imap_store { IMAP_STORE_SET = 0, IMAP_STORE_ADD, IMAP_STORE_REMOVE };

/* A word of a search: quoted strings come as `string` with their contents. */
struct imap_term {
    enum { IMAP_TERM_WORD = 0, IMAP_TERM_STRING, IMAP_TERM_OPEN, IMAP_TERM_CLOSE } kind;
    struct slice text;
};

/* RETURN options of a search (RFC 4731, 5182, 9394). */
enum imap_return {
    IMAP_RETURN_ALL = 1 << 0,
    IMAP_RETURN_MIN = 1 << 1,
    IMAP_RETURN_MAX = 1 << 2,
    IMAP_RETURN_COUNT = 1 << 3,
    IMAP_RETURN_SAVE = 1 << 4,
    IMAP_RETURN_PARTIAL = 1 << 5, /* `partial`; in place of ALL */
};

/* APPEND of several messages, or of one that is more than a plain literal (RFC 3502, 4469, 3516, 6855). */
struct imap_append_part {
    struct slice url; /* data NULL: text of `size` bytes, at least one */
    uint64_t size;
};
struct imap_append_message {
    const struct slice *flags;
    size_t n_flags;
    struct slice date; /* as in imap_command */
    uint64_t size;     /* at least one */
    bool binary;       /* may hold NUL */
    bool utf8;         /* its header holds UTF-8 and UTF8=ACCEPT is enabled */
    const struct imap_append_part *parts; /* in place of `size`: put together by the server; NULL: none */
    size_t n_parts;
};

/* LIST (RFC 5258, 5819, 6154, 8440, 9590): which mailboxes, and what to tell of them beside their names. What a server tells of
 * them with STATUS, MYRIGHTS and METADATA are REPLYs of the command. */
enum imap_list_option {
    IMAP_LIST_SUBSCRIBED = 1 << 0,
    IMAP_LIST_REMOTE = 1 << 1,         /* selection only */
    IMAP_LIST_RECURSIVEMATCH = 1 << 2, /* selection only */
    IMAP_LIST_SPECIAL_USE = 1 << 3,
    IMAP_LIST_CHILDREN = 1 << 4,       /* to tell only */
    IMAP_LIST_MYRIGHTS = 1 << 5,       /* to tell only */
};
struct imap_list_options {
    unsigned select, tell;           /* enum imap_list_option */
    const struct slice *patterns;    /* besides the command's own */
    size_t n_patterns;
    const struct slice *status;      /* items of STATUS */
    size_t n_status;
    const struct slice *metadata;    /* entries */
    size_t n_metadata;
};

/* SELECT, EXAMINE (RFC 7162 section 3.2.5): what is known of the mailbox, so that the server tells what has changed. The changes are
 * REPLYs of the command, with `fetch` or as VANISHED; a condition with CLOSED says that those before it were another mailbox's. */
struct imap_known {
    uint32_t uidvalidity;
    uint64_t modseq;
    const struct imap_set *uids; /* NULL: all */
};

/* A command. Zero it, fill what its kind uses, submit it; all it points to stays until its EVENT_DONE. */
struct imap_command {
    struct engine_request request;
    enum imap_kind kind;
    struct slice mailbox;       /* UTF-8; SELECT, STATUS, APPEND, CREATE…; LIST: the reference */
    struct slice other;         /* UTF-8; COPY, MOVE: destination; RENAME: new name; LIST: pattern */
    const struct imap_set *set; /* FETCH, STORE, COPY, MOVE, EXPUNGE; SEARCH: only among these UIDs, or NULL */
    unsigned returns;           /* SEARCH: what to tell, where the server offers ESEARCH; 0: ALL */
    struct slice partial;       /* SEARCH with IMAP_RETURN_PARTIAL, FETCH where not empty: "1:100", "-1:-100" */
    bool numbers;               /* the set holds message numbers, SEARCH answers them: sessions only */
    /* FETCH, STATUS: items. STORE, APPEND: flags. ENABLE: names. ID, SETMETADATA: names and values (data NULL: NIL) by turns.
     * SETQUOTA: names and limits by turns. GETQUOTA: the root. SETACL: identifier and rights. DELETEACL, LISTRIGHTS: the
     * identifier. GETMETADATA: entries. */
    const struct slice *items;
    size_t n_items;
    struct slice text;          /* CREATE: a special use (RFC 6154), or empty; SEARCH: the query, if `terms` is NULL; GENERIC: the command; SETQUOTA: the root;
                                 * GETMETADATA: DEPTH, or empty */
    const struct imap_term *terms;
    size_t n_terms;
    enum imap_store store;
    bool silent;
    const struct imap_list_options *list; /* LIST; NULL: the plain command */
    bool labels;                /* STORE: `items` are Gmail's labels, in UTF-8, not flags */
    bool conditional;           /* STORE: UNCHANGEDSINCE, also where `modseq` is 0 */
    bool condstore;             /* SELECT, EXAMINE: tell MODSEQs from then on */
    const struct imap_known *known; /* SELECT, EXAMINE; needs QRESYNC to be enabled. NULL: nothing */
    bool vanished;              /* FETCH: VANISHED, with CHANGEDSINCE (QRESYNC must have been enabled) */
    uint64_t modseq;            /* FETCH: CHANGEDSINCE, STORE: UNCHANGEDSINCE (with `conditional`), GETMETADATA: MAXSIZE; 0: none */
    struct slice date;          /* APPEND: date-time as RFC 3501 has it, or empty */
    uint64_t body_size;         /* APPEND; RAW_READ */
    uint64_t stamp;             /* SELECT, EXAMINE: the submitter's; see imap_client_planned_stamp() */
    struct secret *secret;      /* borrowed until EVENT_DONE */
    bool by_hand;
    /* APPEND, REPLACE: in place of `items`, `date` and `body_size`. All literals' bytes come through body(), one behind the other;
     * `last` goes with the very last. */
    const struct imap_append_message *messages;
    size_t n_messages;
    /* The engine's. */
    char tag[12];
    unsigned wanted;            /* FETCH: IMAP_ITEM_BITs */
    uint64_t body_left;
    size_t at_message, at_part; /* which is written next */
    enum imap_idle idle;
    bool idle_over;             /* DONE is to be said as soon as it may */
    bool literal_due;           /* a literal was announced, perhaps of no bytes */
    bool body_open;             /* and may be sent */
    bool answered_early;        /* tagged answer before the body was complete */
    enum imap_status status;
};

/* Why imap_client_submit() refuses: FAULT_INVALID_PARAMS for what may not stand in a command, FAULT_MISSING_EXTENSION for
 * what the server lacks (MOVE, UID EXPUNGE, UNSELECT, CHANGEDSINCE…), FAULT_UNAVAILABLE outside READY. The command is
 * written or queued, and never refused later. */
int imap_client_submit(struct engine *e, struct imap_command *command, struct fault *fault) ATTR_WARN_UNUSED;
/* Ends an IDLE: DONE is said, now or as soon as the server has agreed to it; one that was not sent yet is sent all the same
 * and ended at once. What the server has to tell until its EVENT_DONE still comes. Does nothing to other commands. */
int imap_client_end_idle(struct engine *e, struct imap_command *command);
/* As imap_kind_changes(), and for GENERIC by what the command is. */
bool imap_command_changes(const struct imap_command *command);
/* It would have to wait for something submitted before. */
bool imap_client_would_wait(const struct engine *e, const struct imap_command *command);

struct imap_event {
    struct engine_event base;
    struct imap_response response; /* REPLY and NOTICE but for FETCH; DONE: the tagged answer; CLOSING: BYE */
    struct slice raw;  /* REPLY, NOTICE, DONE: the response as it stood on the wire, without its last CRLF; of FETCH with a
                        * literal that is not in it: the segment */
    struct {
        bool is_fetch;     /* REPLY and NOTICE: this instead of `response` */
        bool first, last, discard;
        uint32_t number, uid; /* uid 0: not known (yet); number 0: not told (UIDONLY) */
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

/* The stamp of the command that selects it. */
uint64_t imap_client_planned_stamp(const struct engine *e);
/* Something is under way that a server may work on for long, or that is long itself (SEARCH, COPY, APPEND…). */
bool imap_client_works_long(const struct engine *e);
/* Bytes of a section that are still to come before anything else can. */
uint64_t imap_client_literal_left(const struct engine *e);

/* Offered and not disabled; or part of IMAP4rev2, where that is spoken. */
bool imap_client_has(const struct engine *e, enum imap_cap cap);
/* The same for any name, as it is announced ("THREAD=REFS"). */
bool imap_client_offers(const struct engine *e, struct slice name);
/* ENABLE has switched it on: one of CONDSTORE, QRESYNC, UTF8=ACCEPT, UIDONLY, IMAP4rev2. */
bool imap_client_enabled(const struct engine *e, enum imap_cap cap);
/* The server knows nothing else, or it was switched on. */
bool imap_client_speaks_rev2(const struct engine *e);
/* Mailbox names are UTF-8 on the wire: what imap_mailbox_take() must know. */
bool imap_client_utf8(const struct engine *e);
/* APPENDLIMIT's bytes; 0: none announced for all mailboxes. */
uint64_t imap_client_append_limit(const struct engine *e);
/* MESSAGELIMIT's number; 0: none announced. */
uint64_t imap_client_message_limit(const struct engine *e);
/* The names as the server gave them, in order, separated by spaces. */
struct slice imap_client_capabilities(const struct engine *e);
/* Bytes that came for RAW_READ and were not read; valid until the next call on the engine. */
struct slice imap_client_unread(const struct engine *e);
#define IMAP_RAW_READ_MAX (1024u * 1024)
/* What the server is known to do in its own way; changes with what it tells of itself. */
struct imap_quirks imap_client_quirks(const struct engine *e);
/* The text of the greeting. */
struct slice imap_client_greeting(const struct engine *e);

#endif
