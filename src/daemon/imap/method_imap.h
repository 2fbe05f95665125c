/* SPDX-License-Identifier: MIT */
/* What the handlers of imap.* share. Each pooled call is one exchange: a SELECT or EXAMINE where one is needed, then the
 * call's commands. Calls of a session go the same way on its leased connection.
 *
 * An imap_call is the exchange's own object: it keeps what its commands point to, because it may outlive its op. */
#ifndef POSTERN_METHOD_IMAP_H
#define POSTERN_METHOD_IMAP_H

#include "api_imap.h"
#include "imap_client.h"
#include "op.h"

#define IMAP_CALL_RANGES_MAX 1000000  /* of one call's `uids` */
#define IMAP_COMMAND_SET 7000         /* characters of one command's set: servers take lines of 8 kB at least */
#define IMAP_CALL_DEPTH 128           /* commands of several calls in flight on one connection */

struct imap_call;

struct imap_call_ops {
    const char *name;
    /* The mailbox is selected (or none is needed): submit the first command with imap_call_command(). */
    int (*begin)(struct imap_call *call, struct fault *fault);
    /* REPLY and DATA of the call's commands, and each one's DONE that was a yes (a no is the call's fault already); may
     * submit further commands. op is call->ox.op, NULL when nobody listens. */
    void (*event)(struct imap_call *call, const struct imap_event *event);
    /* All is done and well: write the result. */
    void (*finish)(struct imap_call *call, struct op *op);
    void (*dispose)(struct imap_call *call); /* may be NULL */
    /* As exchange_ops.body(), for APPEND. */
    ssize_t (*body)(struct imap_call *call, const char **ret, bool *ret_last);
    /* All is done, well (NULL) or not, whether the op still is or not. May be NULL. */
    void (*ended)(struct imap_call *call, const struct fault *fault);
    /* A DONE that was a no: true makes it part of the answer, and event() gets it too. May be NULL: it is the call's fault. */
    bool (*refused)(struct imap_call *call, const struct imap_event *event);
};

struct imap_call {
    struct op_exchange ox; /* first */
    const struct imap_call_ops *ops;
    struct body_owner *text; /* what the slices below live in */
    struct session *session; /* while it runs */
    struct fault fault;      /* the first no */

    /* Filled by the handler before imap_call_submit(). */
    struct slice mailbox;    /* to be selected; data NULL: none is needed */
    char *own_mailbox;       /* its bytes, where they are not the parameters' */
    bool write;              /* SELECT, not EXAMINE */
    bool wants_fresh;        /* what has arrived meanwhile matters (changing calls want that without saying) */
    uint32_t expected;       /* UIDVALIDITY to insist on; 0: any */
    const struct slice *enable; /* what must be switched on first, one name; NULL: nothing */
    bool enable_if_offered;     /* else it goes on without */

    /* Filled while it runs. */
    uint32_t uidvalidity;    /* of the selected mailbox */
    bool began;
    bool rides;              /* on another call's SELECT or EXAMINE, whose answer was not awaited */
    bool leaves;             /* the mailbox that the connection has open, before it begins */
    bool selects_again;      /* that one failed, and this call has asked for itself */
    bool given_away;         /* part of the answer has left */
    bool acted;              /* a command that changes something was answered with yes */

    struct imap_command leave, switch_on, refresh, select, command;
    bool in_session;
    bool fresh; /* the mailbox was selected or looked at anew for this call */
    struct imap_set set;     /* `uids` or `numbers` */
    struct imap_set part;    /* borrowed: the ranges of the command under way */
    size_t next_range;
    uint32_t next_offset;      /* numbers of that range that have been in a part */
    struct number_range piece; /* `part`, where it is less than one range of the set */

    /* A server that does only so much at once (RFC 9738): what is left of the command under way. */
    struct imap_set rest;
    const struct imap_set *whole; /* the set that the command had; meaningful while `limited_at` is set */
    uint32_t limited_at;          /* the lowest UID done so far; 0: all is done in one */
};

/* An imap_call of `size` bytes for the op. */
void *imap_call_new(struct op *op, size_t size, const struct imap_call_ops *ops);
/* Decodes a set that the parameters call `name`. <0 with op->fault. */
int imap_take_set(struct op *op, struct imap_set *set, const struct rpc_set *from, const char *name);
/* Decodes `uids` or `numbers` into call->set. <0 with op->fault. */
int imap_call_take_set(struct op *op, struct imap_call *call, const struct rpc_set *uids, const struct rpc_set *numbers);
/* Names the mailbox that must be selected, with the contract's rules on UIDVALIDITY, sessions and `readonly`. <0 with
 * op->fault. */
int imap_call_take_mailbox(struct op *op, struct imap_call *call, struct slice mailbox,
                           const struct rpc_uidvalidity *uidvalidity, bool changing);
/* Hands it over; <0: op->fault is set and the call is gone. Returns OP_WAIT else. */
int imap_call_submit(struct imap_call *call);

/* Frees a call that will not be handed over; passes `ret` on. */
int imap_call_drop(struct imap_call *call, int ret);

/* Submits `command` on the call's connection. */
int imap_call_command(struct imap_call *call, struct imap_command *command, struct fault *fault);
/* Has the server look for what has arrived; the DONE of call->refresh comes to event(). */
int imap_call_refresh(struct imap_call *call, struct fault *fault);
/* Makes call->part the next ranges of call->set, no longer than a command may be, and of no more messages than a server with
 * MESSAGELIMIT takes at once. False: there are none left. */
bool imap_call_next_part(struct imap_call *call);
/* Back to the set's beginning. */
void imap_call_rewind(struct imap_call *call);
struct engine *imap_call_engine(const struct imap_call *call);
/* A copy with a NUL behind it; free() it. NULL when out of memory. */
char *imap_call_text(struct slice text);
/* `"mailbox": …, "uidvalidity": …` of the answer, and remembers the UIDVALIDITY for the client. */
void imap_call_write_mailbox(struct imap_call *call, struct op *op, bool name);

/* Items of STATUS as members of the open object; a UIDVALIDITY among them is remembered for the client. */
void imap_write_status(struct op *op, struct slice items, struct slice mailbox);

/* --- searches (method_imap_search.c) --- */

/* UIDs or numbers that a search has found, in order, as ranges. */
struct imap_found {
    struct imap_set set;
    struct buffer loose; /* uint32_t each: what came out of order */
    uint64_t modseq;     /* the highest of what was found, where MODSEQ was a key; 0: not told */
};
void imap_found_init(struct imap_found *f);
void imap_found_done(struct imap_found *f);
void imap_found_clear(struct imap_found *f);
/* Takes a SEARCH or ESEARCH; other answers are none of its business. -EBADMSG, -ENOMEM, -E2BIG, -EMSGSIZE. */
int imap_found_take(struct imap_found *f, const struct imap_response *r) ATTR_WARN_UNUSED;
/* All has come: `set` is complete. The same errors. */
int imap_found_end(struct imap_found *f) ATTR_WARN_UNUSED;
/* "1:100", or "-1:-100" for the last hundred (RFC 9394). False: neither. */
bool imap_partial_take(struct slice text, int64_t *ret_from, int64_t *ret_to);
/* Leaves of the set what is at those places. -ENOMEM. */
int imap_partial_cut(struct imap_set *set, int64_t from, int64_t to);
/* What such an error is for the caller. */
void imap_found_fault(struct fault *fault, int err);
/* The command's query from `query`; *ret_terms, where it is set, is to be freed after the command. <0 with op->fault. */
int imap_take_query(struct op *op, struct imap_command *c, const struct rpc_terms *query, struct imap_term **ret_terms);
/* imap.search with `mailboxes` or `scope` (method_imap_multi.c). `wanted`: enum imap_return. */
int imap_multi_search(struct op *op, unsigned wanted);
/* "1:5,8" as one string. */
void imap_json_ranges(struct json_writer *w, const struct imap_set *set);

/* --- JSON of what servers say (method_imap_json.c) --- */
#include "mime_header.h"

/* Decoding with an arena that is emptied between messages. */
struct imap_json {
    struct arena arena;
    struct mime_defects defects;
    struct mime_decoder decoder;
    struct buffer scratch;
    bool utf8_names; /* imap_client_utf8() */
    struct imap_quirks quirks; /* imap_client_quirks() */
};
void imap_json_init(struct imap_json *j);
void imap_json_reset(struct imap_json *j);
void imap_json_done(struct imap_json *j);
/* Each writes one value. <0: the value cannot be understood (or memory is out); what was written stays to be taken back. */
int imap_json_envelope(struct imap_json *j, struct json_writer *w, const struct imap_value *value);
int imap_json_bodystructure(struct imap_json *j, struct json_writer *w, const struct imap_value *value);
int imap_json_flags(struct json_writer *w, struct slice flags);
int imap_json_date(struct json_writer *w, struct slice raw);
/* Gmail's labels as an array. */
int imap_json_labels(struct imap_json *j, struct json_writer *w, struct slice labels);
/* {uid, seq, flags, modseq} of a FETCH that tells flags, `uid` and `seq` where they are known and wanted. False: it tells none. */
bool imap_json_flag_change(struct json_writer *w, const struct imap_event *e, bool seq);
/* A mailbox name, as on the wire, in UTF-8. */
int imap_json_mailbox(struct imap_json *j, struct json_writer *w, const struct imap_value *name);

#endif
