/* SPDX-License-Identifier: MIT */
/* Operations: one `struct op` for each request, from its decoded parameters to its answer.
 *
 * A handler is a const struct op_handler, bound to its method in methods.c. The op goes through at most three steps:
 *
 *   prepare  look at the parameters, ask for the bodies of Contents (op_collect), refuse what cannot be. At once.
 *   run      all bodies are at hand: submit exchanges or jobs, or answer right away. May be asked for again (op_again).
 *   finish   op_finish() with the result written, op_fail() with a fault: the one exit. The handler's free() comes
 * last.
 *
 * Before prepare() the framework has checked what the method's row says: permission, account or options or session,
 * pooled or session only. It charges, counts, times and cancels:
 * - deadline, rpc.cancel, a lost client and shutdown end the op through the same exit, at any time between two calls
 * into the handler. The handler learns of it by its free(); exchanges that it has under way are cancelled for it and
 * outlive the op where they were written (op_exchange below). What a handler keeps for an exchange belongs into the
 * exchange's own object, never into op->state.
 * - the outcome that is reported then is the worst of its exchanges' (exchange_cancel() tells), or OUTCOME_DONE where
 * the handler said so in op->done_outcome.
 *
 * None of the functions here ends the op while a handler is inside a call: op_finish() and op_fail() mark it, and the
 * op is taken apart when the handler has returned. After either of them the handler touches the op no more. Loop thread
 * only. Small allocations abort when there is no memory (must_), those sized by a caller fail. */
#ifndef POSTERN_OP_H
#define POSTERN_OP_H

#include "access.h"
#include "accounts.h"
#include "arena.h"
#include "content.h"
#include "exchange.h"
#include "fault.h"
#include "json_writer.h"
#include "list.h"
#include "loop.h"
#include "pool.h"
#include "rpc_methods.h"
#include "rpc_peer.h"
#include "rpc_types.h"
#include "spool.h"
#include "worker.h"

struct client;
struct gateway;
struct op;
struct op_session;
struct op_pipe;

/* What a handler's prepare() and run() return; also any negative errno, with op->fault set (an unset fault becomes
 * FAULT_INTERNAL). */
enum op_step {
    OP_WAIT = 0, /* under way: op_finish() or op_fail() follows from a completion */
    OP_DONE = 1, /* run(): the result is written. prepare(): the same, run() is not called */
};

struct op_handler {
    size_t state_size;             /* of the handler's own struct: op->state, zeroed; 0: none */
    int (*prepare)(struct op *op); /* may be NULL; OP_WAIT: go on to run() when all bodies have been collected */
    int (*run)(struct op *op);
    /* Called once, last, whatever happened; releases what op->state holds. Jobs are detached here. May be NULL. */
    void (*free)(struct op *op);
};

/* handlers[RPC_…]; NULL: this build does not offer the method (-32601). The daemon's table is methods.c's. */
extern const struct op_handler *const op_handlers[RPC_METHOD_COUNT];

enum op_state {
    OP_QUEUED,    /* waits for its turn in a session */
    OP_PREPARING, /* prepare() is running, or bodies are being collected */
    OP_RUNNING,   /* run() was called */
    OP_ANSWERED,  /* the answer is out, a pipe is still being filled (op_respond_now) */
    OP_ENDED      /* op_finish(), op_fail() or a cancel: to be taken apart */
};

struct op {
    /* --- for handlers to read --- */
    struct gateway *gateway; /* loop, workers, accounts, configuration: gateway.h */
    enum rpc_method_id id;
    const struct rpc_method *method;
    const void *params;              /* the struct of api_*.h that the row names */
    const struct rpc_common *common; /* its beginning */
    const struct peer *peer;
    struct exchange_owner owner;
    uint64_t started_ms, deadline_ms; /* loop time */
    enum rpc_form form;
    bool stream, progress;
    struct account *account;    /* a reference; NULL for methods that name none */
    unsigned rights;            /* RIGHT_… of the peer on it */
    struct op_session *session; /* NULL when pooled */
    struct arena arena;         /* lives as long as the op; bounded */

    /* --- for handlers to write --- */
    void *state;
    struct json_writer w;  /* the result: one value. The handler writes its braces itself */
    struct fault fault;    /* the first one wins */
    struct slice rejected; /* JSON array of {address, reply} for the error object, in the arena; data NULL: none */
    enum fault_outcome done_outcome; /* what the server has done for sure so far, for whatever ends the op early */

    /* --- op.c's --- */
    enum op_state state_now;
    const struct op_handler *handler;
    struct rpc_request *request; /* NULL once answered */
    struct op_core *core;
};

/* --- ends: see above --- */
void op_finish(struct op *op);
/* `fault` NULL: op->fault. Its account and protocol are filled in where they are missing. */
void op_fail(struct op *op, const struct fault *fault);
/* run() is called again from the loop, when the present dispatch has ended. */
void op_again(struct op *op);
static inline bool op_has_ended(const struct op *op)
{
    return op->state_now == OP_ENDED;
}
/* From a handler whose call means something else by `timeout`: when the call must be over (loop time). */
void op_set_deadline(struct op *op, uint64_t deadline_ms);
/* For prepare() and run(): `return op_refuse(op, FAULT_INVALID_PARAMS, "…")`. Sets op->fault, returns -EINVAL. */
int op_refuse(struct op *op, enum fault_kind kind, const char *fmt, ...) ATTR_PRINTF(3, 4) ATTR_COLD;

/* --- bodies of Contents --- */
/* Asks for the bytes of `c`, which belongs to the parameters; `name` (static or in the arena) is the parameter's, for
 * errors. Only from prepare(). *ret (in op->state or the arena) is set before run() is called, and is the op's until
 * its end: an exchange takes a reference of its own. An absent content leaves *ret NULL. <0 with op->fault set. Bounded
 * by max_message_size. Closing, classifying and reading the descriptor is not the handler's matter. */
int op_collect(struct op *op, const struct rpc_content *c, const char *name, struct body **ret) ATTR_WARN_UNUSED;
/* What the strings and slices of the parameters live in: an exchange that needs them after the op's end takes a
 * reference (body_new_slice() does so too) or a copy. */
struct body_owner *op_text_owner(struct op *op);

/* The same for what stays as long as a session does: the request is not counted as one of the connection's calls then. */
struct body_owner *op_text_keep(struct op *op);

/* --- results --- */
/* Key and Content object, in the caller's form (op->form; RPC_FORM_PIPE is op_pipe_open()'s matter, here it is answered
 * as a pipe that is fed from these bytes). `key` NULL: the value alone. The bytes are used before it returns. Errors
 * end up in op->fault and the op fails with it when it finishes (or the item, see below): -EILSEQ FAULT_BAD_MESSAGE
 * (text where it cannot be), -EFBIG FAULT_LIMIT fd_answer_max, -EMSGSIZE FAULT_LIMIT max_response_size. */
int op_write_content(struct op *op, const char *key, struct slice bytes);
/* The same for a sealed spool; takes a reference of its own. */
int op_write_content_spool(struct op *op, const char *key, struct spool *spool);
int op_write_content_body(struct op *op, const char *key, struct body *body);

/* A list whose items are given one by one. op_list_begin() writes `"key":[` (nothing when streaming); each item is
 * written to op->w between op_item_begin() and op_item_end(), as one value; with `stream` it leaves as a notification
 * at once, whole, else it is a member of the array. op_list_end() writes `]`, or `"count": n` when streaming. One list
 * a result, inside its outermost object. */
void op_list_begin(struct op *op, const char *key);
void op_item_begin(struct op *op);
/* 0; <0: the item could not be written (op->fault): the op should fail. When the client does not keep up, the op's
 * exchanges are paused and resumed by themselves. */
int op_item_end(struct op *op) ATTR_WARN_UNUSED;
/* Takes back what was written since op_item_begin(). */
void op_item_drop(struct op *op);
void op_list_end(struct op *op);
uint64_t op_items(const struct op *op);

/* Says how far it is, at most ten times a second and only where asked for. `total` 0: not known. */
void op_progress(struct op *op, uint64_t done, uint64_t total);

/* A spool charged to the caller. `limit` 0: fd_answer_max with content "fd", max_message_size with "pipe",
 * max_response_size with the other forms. NULL never: op->fault is set and a later op_spool_write() fails. Unref it, or
 * hand it to op_write_content_spool(). */
struct op_exchange;
struct spool *op_spool_new(struct op *op, uint64_t limit);
/* spool_write() on behalf of an exchange: while the budget is used up the exchange is paused, and resumed by itself;
 * when there will be no room the op fails. 0, or <0 with op->fault. */
int op_spool_write(struct op_exchange *ox, struct spool *s, struct slice piece) ATTR_WARN_UNUSED;

/* Memory that may outlive the call (what a session keeps, what a helper works on), charged to the caller until it is freed. NULL with
 * op->fault: FAULT_LIMIT, the caller has used up what it may. */
struct memory_charge;
struct memory_charge *op_charge(struct op *op, uint64_t bytes);
/* The same memory has become `bytes` large; nothing happens where that much is charged already. -EDQUOT with FAULT_LIMIT. */
int memory_charge_grow(struct memory_charge *c, uint64_t bytes, struct fault *fault) ATTR_WARN_UNUSED;
void memory_charge_free(struct memory_charge *c); /* accepts NULL */

/* --- pipes: `content: "pipe"`, for bytes that are passed on while they come --- */
/* Writes key and `{"fd": n, "size": size}` (size UINT64_MAX: left out). The bytes follow by op_pipe_write(); the
 * exchange is paused while the reader is slow. Then, without `stream`: complete the result and call op_respond_now();
 * with it: op_item_end(). One pipe at a time. NULL with op->fault. It belongs to the op. */
struct op_pipe *op_pipe_open(struct op *op, const char *key, uint64_t size);
/* The same on behalf of `ox`. 0; <0: the reader has gone (-EPIPE, FAULT_CANCELLED) or the memory has: fail the op. */
int op_pipe_write(struct op_exchange *ox, struct op_pipe *p, struct slice piece) ATTR_WARN_UNUSED;
/* All bytes were given: the pipe is closed once they are through, and `progress` is said. */
void op_pipe_end(struct op_pipe *p);
/* Emits the response now, with what op->w holds; the op lives on in OP_ANSWERED. op_finish() then waits until pipes
 * have drained and says nothing more; op_fail() becomes a `failed` notification. */
void op_respond_now(struct op *op);

/* --- exchanges --- */
/* Pool of the account (op->account); -EINVAL with op->fault where it has no such section. */
int op_pool(struct op *op, enum protocol protocol, struct pool **ret) ATTR_WARN_UNUSED;

/* Embedded first in the handler's own heap object for one exchange:
 *
 *     struct fetch { struct op_exchange ox; …; };
 *     f = op_exchange_new(op, sizeof(*f), &fetch_ops);
 *     r = op_exchange_submit(&f->ox, PROTOCOL_IMAP);       <0: op->fault is set, the object was freed
 *     in done(): op = op_exchange_end(x, fault);           NULL: the op has ended before; else it is the op to finish
 *                … free what the object holds; itself it is freed when the dispatch has ended
 *     in event() and body(): f->ox.op is the op, or NULL when it has ended: then only count and drop.
 */
struct op_exchange {
    struct exchange x; /* first */
    struct op *op;     /* NULL: orphaned, or ended */
    struct list link;  /* the op's */
    struct loop *loop;
    unsigned paused; /* why: bits, op.c's */
    void (*dispose)(
        struct op_exchange *ox); /* may be NULL: releases what the object holds when it was never submitted */
};
/* Zeroed but for owner, deadlines (of the op and the pool's queue_timeout) and ops. Never NULL. */
void *op_exchange_new(struct op *op, size_t size, const struct exchange_ops *ops);
/* To the op's session if it has one, else to the account's pool of that protocol. Set x.changes, reads_only, long_wait
 * and complete before. */
int op_exchange_submit(struct op_exchange *ox, enum protocol protocol) ATTR_WARN_UNUSED;
/* First thing in every done(). `fault` (may be NULL) goes to op->fault if nothing stands there yet. */
struct op *op_exchange_end(struct exchange *x, const struct fault *fault);
/* Exchanges of the op that are under way. */
unsigned op_exchanges(const struct op *op);

/* --- helper jobs (cpu, files) --- */
/* A job whose op may end before it: embed it first in the heap object with `work` and `destroy` set. `finished` is
 * called on the loop unless the op has ended. -EAGAIN with op->fault (FAULT_BUSY), and then the job was destroyed. */
struct op_job {
    struct worker_job job; /* first */
    struct op *op;
    struct list link;
    void (*finished)(struct op_job *job);
};
int op_job_submit(struct op *op, struct op_job *job, struct worker_pool *pool) ATTR_WARN_UNUSED;

/* --- what a client connection remembers of mailboxes --- */
/* The UIDVALIDITY last answered for the mailbox of op->account on this client's connection; false: none. */
bool op_uidvalidity_known(const struct op *op, struct slice mailbox, uint32_t *ret);
void op_uidvalidity_remember(struct op *op, struct slice mailbox, uint32_t value);
/* The contract's rule for calls with `uids`: *ret is the value to insist on, 0 for none ("any", or not known and not
 * needed). `changing`: -EINVAL FAULT_INVALID_PARAMS where neither given nor known. */
int op_uidvalidity_expected(struct op *op, const struct rpc_uidvalidity *given, struct slice mailbox, bool changing,
                            uint32_t *ret) ATTR_WARN_UNUSED;

/* --- sessions: a leased connection, valid only on the client's connection that opened it. Calls on one session run one
 * after the other, in the order sent. --- */
#define SESSION_ID_SIZE 33
struct op_session {
    struct lease lease;
    char id[SESSION_ID_SIZE]; /* 128 random bits in hex */
    uint64_t number;          /* as gateway.sessions names it to administrators */
    enum protocol protocol;
    struct account *account;
    struct client *client;
    bool readonly;
    bool manual; /* there is no connection and no lease: the client carries the bytes */
    /* The protocol's own: what a handler keeps between calls (the selected mailbox…). `free_state` runs at the end. */
    void *state;
    void (*free_state)(void *state);
    /* What the server says while no call is under way; may be set by the handler of *.open. */
    void (*notice)(struct op_session *s, const struct engine_event *event);
    /* Each line of the dialogue, once op_session_set_trace() was called; may be set like `notice`. */
    void (*trace)(struct op_session *s, bool outgoing, struct slice line);
    bool tells_trace;
    struct op_session_core *core;
};
/* For the handlers of *.open, from run(): leases a connection. `opened` is called from the loop when it is ready; it
 * writes `{"session": id, …}` and finishes the op. If that does not come to pass the op fails by itself. <0 with
 * op->fault. `login`: go through the login (false: the client does it step by step). */
int op_session_open(struct op *op, enum protocol protocol, bool login,
                    void (*opened)(struct op *op, struct op_session *s, struct session *net)) ATTR_WARN_UNUSED;
/* The same for a session without a connection, ready at once; `state` is the handler's matter. The op need not name an account.
 * NULL with op->fault. */
struct op_session *op_session_open_manual(struct op *op, enum protocol protocol, uint64_t idle_ms, uint64_t max_ms);
/* The last call (quit, logout): the lease ends when the op has finished. `orderly`: QUIT or LOGOUT is still to be said
 * by net; false: it has been, or is not wanted. */
void op_session_end(struct op_session *s, bool orderly);
/* Gives the connection to whoever holds the other end of `fd` (lease_hand_over()); the session ends for its client when the
 * op has finished, and the connection lives on. <0 with op->fault: the descriptor stays the caller's. */
int op_session_hand_over(struct op *op, int fd, struct slice ahead) ATTR_WARN_UNUSED;
/* `trace` notifications to the session's client: {session, outgoing, line}; off, lines still go to s->trace. */
void op_session_set_trace(struct op_session *s, bool on);
/* One such notification, of a session without a connection. */
void op_session_trace(struct op_session *s, bool outgoing, struct slice line);
/* For results: key and {"fd": n}; takes the descriptor in any case. */
int op_write_fd(struct op *op, const char *key, int fd) ATTR_WARN_UNUSED;
/* The connection behind it; NULL when it is gone. */
struct session *op_session_net(const struct op_session *s);

#endif
