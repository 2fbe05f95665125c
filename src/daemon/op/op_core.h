/* SPDX-License-Identifier: MIT */
/* What op.c, op_answer.c, op_exchange.c and op_session.c share, and client.c's view of operations. Handlers of methods
 * do not include it. */
#ifndef POSTERN_OP_CORE_H
#define POSTERN_OP_CORE_H

#include "client.h"
#include "foreign_fd.h"
#include "op.h"

#define OP_INLINE_STATE 192
#define OP_ARENA_MAX (16 * 1024 * 1024)
#define OP_SPARES 64 /* kept for the next requests, so that small calls cost no allocation */

/* Why an exchange is paused; bits of op_exchange.paused. */
enum { PAUSE_MEMORY = 1, PAUSE_CLIENT = 2, PAUSE_PIPE = 4 };

/* A place in the result's text where bytes of a source, or nothing but a descriptor, belong. */
struct op_mark {
    size_t offset;
    enum { MARK_SOURCE, MARK_FD } kind;
    struct rpc_source source;
    int fd;
};

/* The text and descriptors of the request, counted: bodies that are slices of it keep it. */
struct op_text {
    struct body_owner owner; /* first */
    struct rpc_request *request;
    struct user *user;
    uint64_t charged;
    bool kept; /* op_text_keep() */
};

struct op_core {
    struct op op;     /* first */
    struct list link; /* client->ops, or gateway->spare_ops */
    struct client *client;
    struct user *user;
    struct op_text *text;
    unsigned in_call; /* calls into the handler on the stack */
    bool finish_due;  /* op_finish() was called while a pipe was still being filled */
    bool answered;
    bool run_again;
    bool canceled;
    struct list readings;  /* struct op_reading */
    struct list bodies;    /* struct op_body */
    struct list exchanges; /* struct op_exchange */
    unsigned n_exchanges;
    struct list jobs;         /* struct op_job */
    struct list spools;       /* struct op_spool_wait */
    struct list pipes;        /* struct op_pipe */
    struct list session_link; /* the session's queue */
    struct op_session *opening;
    struct op_session *ending;
    bool ending_orderly, ending_handed; /* handed: the connection is somebody else's and lives on */
    struct loop_task task;
    struct loop_timer deadline;
    struct loop_timer progress;
    uint64_t progress_at_ms, progress_done, progress_total;
    bool progress_due;

    struct buffer result;
    struct op_mark *marks;
    size_t n_marks, marks_cap;
    unsigned result_fds;
    uint64_t result_sources; /* bytes of sources in the result: counted against max_response_size */
    uint64_t n_items;
    bool in_list, in_item;
    size_t item_offset, item_marks;
    unsigned item_fds;
    bool item_comma;
    uint64_t charged;        /* of the request's text, to the user's memory */
    size_t result_charged;   /* of the result, likewise */
    _Alignas(16) char inline_state[OP_INLINE_STATE];
};

static inline struct op_core *op_core_of(struct op *op)
{
    return container_of(op, struct op_core, op);
}

/* --- client.c to op.c --- */
/* Runs a request; it is op.c's from now on. */
void op_start(struct client *c, struct rpc_request *request);
/* Ends all its calls and sessions: nobody waits for an answer any more. */
void ops_client_gone(struct client *c);
/* Ends all its calls with this fault. */
void ops_client_fail(struct client *c, const struct fault *fault);
/* Its output has gone below the low mark. */
void ops_client_drained(struct client *c);
/* rpc.cancel: whether a call of this id was under way. */
bool ops_cancel_id(struct client *c, struct slice id, const struct op *asker);
/* Frees spare objects at the end of the process. */
void ops_done(struct gateway *g);
/* Ends all calls and sessions of all clients with this fault. */
void ops_end_all(struct gateway *g, const struct fault *fault);

/* --- among op*.c --- */
/* op_note.c: it is over, and still whole. */
void op_note_end(const struct op_core *core);
/* Ends it with the fault; takes it apart at once unless a call into the handler is on the stack. */
void op_core_end(struct op_core *core, const struct fault *fault);
/* Calls into the handler are bracketed by these. */
void op_core_enter(struct op_core *core);
void op_core_leave(struct op_core *core);
/* The session's turn has come: prepare() and what follows, from the loop. */
static inline void op_core_begin_later(struct op_core *core)
{
    loop_task_schedule(&core->task);
}
/* op_input.c */
void op_readings_drop(struct op_core *core);
void op_bodies_drop(struct op_core *core);
/* op_answer.c */
void op_answer_init(struct op_core *core);
void op_answer_done(struct op_core *core);
/* Sends the result, or the fault. */
void op_answer_emit(struct op_core *core);
/* How an ANSWERED op ends: progress or failed. */
void op_answer_epilogue(struct op_core *core);
/* Key and {"fd": n, "size": size} (UINT64_MAX: none); takes the descriptor in any case. */
int op_answer_put_fd(struct op *op, const char *key, int fd, uint64_t size);
/* op_exchange.c: cancels what is under way; returns the worst outcome. An error of the op that has no stage yet gets where
 * it was. */
enum fault_outcome op_exchanges_cancel(struct op_core *core);
void op_exchanges_pause(struct op_core *core, unsigned why);
void op_exchanges_resume(struct op_core *core, unsigned why);
void op_exchange_pause_one(struct op_exchange *ox, unsigned why);
void op_exchange_resume_one(struct op_exchange *ox, unsigned why);
/* op_pipe.c */
int op_pipe_from_spool(struct op *op, const char *key, struct spool *spool);
bool op_pipes_drained(const struct op_core *core);
void op_pipes_done(struct op_core *core);
void op_spool_waits_done(struct op_core *core);

/* --- op_session.c --- */
struct op_session_core {
    struct op_session session; /* first */
    struct list link;          /* client->sessions */
    struct list queue;         /* struct op_core by session_link: the first is the one that runs */
    struct loop_timer idle, max;
    uint64_t idle_ms; /* session_idle */
    bool ready, ended;
    uint64_t opened_ms, used_ms; /* loop time */
    struct fault why;            /* of its end */
    struct op_core *opener;
    void (*opened)(struct op *op, struct op_session *s, struct session *net);
};
/* The session of this id on the client's connection; NULL with *fault. */
struct op_session *op_session_find(struct client *c, struct slice id, struct fault *fault);
/* Puts the op into the session's queue; true: it is its turn. */
bool op_session_enter(struct op_core *core);
void op_session_leave(struct op_core *core);
/* The client has gone, or the op that opens it has ended. */
void op_session_drop(struct op_session *s, const struct fault *why);
/* Shutting down: sessions without a call under way end now, the others with their calls. */
void sessions_client_stop(struct client *c);
/* By its number, for gateway.close; NULL: none. */
struct op_session *op_session_by_number(struct gateway *g, uint64_t number);

#endif
