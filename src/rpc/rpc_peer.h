/* SPDX-License-Identifier: MIT */
/* The JSON-RPC side of one client connection, without I/O, clock or descriptors' system calls: bytes and descriptors
 * in, decoded requests out; answers in, bytes and descriptors out. It answers by itself what is no valid request
 * (-32700, -32600, -32601, -32602); batches, ids in flight and the order of descriptors are its matter too.
 *
 * A turn of the reader:
 *
 *     n = recvmsg(fd, scratch, …)                       any writable memory, may be shared by all connections
 *     rpc_peer_add_fds(peer, fds, n_fds)
 *     rpc_peer_feed(peer, scratch, n)
 *     while ((event = rpc_peer_next(peer, &request)) == RPC_PEER_REQUEST)
 *         dispatch(request)                             which may answer at once
 *     event == RPC_PEER_FULL: stop reading the socket; call next() again after a request was freed
 *     event == RPC_PEER_CLOSE: read no more; send the output, then close
 *
 * A reader that stops in the middle for reasons of its own (output too long) calls rpc_peer_keep() first.
 *
 * A request: rpc_peer_next() gives it with its parameters decoded; the owner answers it once, with
 * rpc_answer_begin() … rpc_answer_end() or rpc_answer_fault(), and then frees it; parameters, id and descriptors
 * live until rpc_request_free(). Notifications are answered in the same way, and nothing is sent. A request may
 * outlive its connection: rpc_peer_done() detaches it, and its answer goes nowhere.
 *
 * Only one answer, stream item or notification may be open at a time: begin, write and end belong together, within
 * one call of the owner. Not thread-safe. */
#ifndef POSTERN_RPC_PEER_H
#define POSTERN_RPC_PEER_H

#include "arena.h"
#include "fault.h"
#include "hash.h"
#include "json_writer.h"
#include "list.h"
#include "macros.h"
#include "rpc_decode.h"
#include "rpc_framing.h"
#include "rpc_methods.h"
#include "rpc_output.h"

#define RPC_ID_MAX 256

struct rpc_limits {
    size_t max_request_size;  /* bytes of one line */
    size_t max_response_size; /* bytes of one answer's text, sources not counted */
    size_t max_output;        /* bytes of text that wait on one connection: one more message then breaks it */
    size_t max_calls;         /* requests in flight on one connection */
    size_t max_batch;
    size_t max_params;        /* bytes that decoded parameters of one request may take beside its text */
};

/* What the peers of one process share: limits (may change at any time), spare request objects, and the message that
 * is being written. */
struct rpc_server {
    struct rpc_limits limits;
    void (*release_fd)(void *ctx, int fd); /* the only thing ever done to a descriptor here */
    void *release_ctx;

    /* private */
    struct rpc_request *spare;
    size_t n_spare;
    struct json_keyset keys;
    struct json_writer writer;
    struct rpc_peer *open_peer;    /* whose message is being written; NULL: it goes nowhere */
    struct rpc_output *open_output;
    struct rpc_output_mark mark;
    const char *open_suffix;
    int open_fds[RPC_FDS_PER_MESSAGE];
    size_t n_open_fds;
};
void rpc_server_init(struct rpc_server *s, const struct rpc_limits *limits, void (*release_fd)(void *ctx, int fd),
                     void *release_ctx);
void rpc_server_done(struct rpc_server *s); /* after all peers and requests */

struct rpc_batch;

struct rpc_peer {
    struct rpc_server *server;
    struct rpc_framing framing;
    struct rpc_output output;
    struct list requests;        /* all that are not freed, by rpc_request.link */
    struct list pending;         /* decoded and not given out yet, by rpc_request.pending_link */
    struct hash_table in_flight; /* those with an id that are not answered */
    size_t n_given;              /* given out and not freed */
    bool closing;
    bool broken;
};

struct rpc_request {
    struct rpc_peer *peer; /* NULL: the connection has gone */
    enum rpc_method_id method;
    const struct rpc_method *row;
    void *params;             /* the method's struct, see api_*.h */
    struct rpc_common *common; /* its first member */
    struct slice id;          /* the bytes that came; data NULL: a notification */
    int *fds;                 /* -1: taken, see rpc_request_take_fd() */
    size_t n_fds;
    bool answered;
    void *owner; /* for whoever runs it; NULL at first */

    /* private */
    struct list link, pending_link;
    struct hash_node node;
    bool in_table, given;
    struct rpc_server *server;
    struct rpc_batch *batch;
    struct rpc_request *next_spare;
    struct arena arena;
    char *text; /* allocation that holds id and parameters, unless `space` does; NULL: none */
    size_t text_len, space_used;
    int few_fds[4];
    _Alignas(16) char space[1024]; /* parameters' struct, then the text, where they fit */
};

void rpc_peer_init(struct rpc_peer *p, struct rpc_server *server);
/* Detaches the requests that are left, releases descriptors and memory. */
void rpc_peer_done(struct rpc_peer *p);

/* See rpc_framing.h. -EMFILE, -ENOMEM: close the connection. */
int rpc_peer_add_fds(struct rpc_peer *p, const int *fds, size_t n) ATTR_WARN_UNUSED;
void rpc_peer_feed(struct rpc_peer *p, char *data, size_t len);

enum rpc_peer_event {
    RPC_PEER_IDLE,    /* everything that was fed has been handled */
    RPC_PEER_REQUEST, /* *ret is the caller's until rpc_request_free() */
    RPC_PEER_FULL,    /* max_calls are in flight; what is left has been kept */
    RPC_PEER_CLOSE    /* an error that cannot be recovered from; its answer is in the output */
};
enum rpc_peer_event rpc_peer_next(struct rpc_peer *p, struct rpc_request **ret) ATTR_WARN_UNUSED;
/* Keeps what was fed and not handled, so that the caller's bytes may go. -ENOMEM: close. */
int rpc_peer_keep(struct rpc_peer *p) ATTR_WARN_UNUSED;
/* The peer has shut down its writing side: what stands behind the last LF counts as a line. Call it once, when next()
 * has returned RPC_PEER_IDLE, and then next() again. Calls go on and are answered. */
void rpc_peer_end_of_input(struct rpc_peer *p);
/* A line has begun and not ended: bounded by partial_request_timeout. */
bool rpc_peer_is_partial(const struct rpc_peer *p);
/* How many have ended: tells one unfinished line from another. */
uint64_t rpc_peer_lines(const struct rpc_peer *p);
/* Answers `fault` to an unfinished line (its time is over), with id null; then close. */
void rpc_peer_refuse(struct rpc_peer *p, const struct fault *fault);
/* No request is being run, no answer waits to be sent. */
bool rpc_peer_is_quiet(const struct rpc_peer *p);
/* Too much output waits, or memory is out: close without further ado. */
static inline bool rpc_peer_is_broken(const struct rpc_peer *p)
{
    return p->broken;
}
/* The request in flight with this id (as its bytes), or NULL. */
struct rpc_request *rpc_peer_find(struct rpc_peer *p, struct slice id);
/* Bytes held by the connection, its requests not counted; and by one request. */
size_t rpc_peer_memory(const struct rpc_peer *p);
size_t rpc_request_memory(const struct rpc_request *r);

/* The descriptor becomes the caller's; -1 when it has been taken already or there is none of this index. */
int rpc_request_take_fd(struct rpc_request *r, size_t index);
/* Frees the request, answered or not (a batch then goes without this entry); descriptors that were not taken are
 * released. Accepts NULL. */
void rpc_request_free(struct rpc_request *r);
/* It is answered, and kept for its parameters only: it is none of the connection's calls any more. */
void rpc_request_detach(struct rpc_request *r);

/* Opens the answer; write one JSON value (the result) with the writer that it returns, never NULL. */
struct json_writer *rpc_answer_begin(struct rpc_request *r);
/* Within an open answer or stream item: a string (form text, base64; the quotes are written here) or value (JSON) whose
 * bytes come from a source as the client drains them. The source is the output's from now on, in any case. */
void rpc_answer_source(struct rpc_request *r, const struct rpc_source *source);
/* Within an open answer or stream item: adds a descriptor (ours from now on in any case) and returns its index for {"fd": INDEX};
 * -EMFILE when the answer has RPC_FDS_PER_MESSAGE already. */
int rpc_answer_fd(struct rpc_request *r, int fd) ATTR_WARN_UNUSED;
/* Takes back an open answer; another may be begun. */
void rpc_answer_abort(struct rpc_request *r);
/* Closes the answer. When it has become too long, or memory ran out, the error `limit` or -32603 is answered
 * instead, with this outcome (of what the call did); -EMSGSIZE or -ENOMEM then tell so. */
int rpc_answer_end(struct rpc_request *r, enum fault_outcome outcome);
/* gateway.ping and all that answer {}. */
void rpc_answer_empty(struct rpc_request *r);

/* What an error object says beside the fault. */
struct rpc_fault_context {
    struct slice account;        /* data NULL: none */
    struct slice rejected;       /* JSON array of {address, reply}; data NULL: none */
    const struct rpc_hint *hint; /* NULL: none */
};
/* Answers with an error; `context` may be NULL. */
void rpc_answer_fault(struct rpc_request *r, const struct fault *fault, const struct rpc_fault_context *context);
/* The error object alone, for results that hold {error} and for stored answers. */
void rpc_write_fault(struct json_writer *w, const struct fault *fault, const struct rpc_fault_context *context);
/* {code, enhanced, status, response_code, text}, what is empty left out. */
void rpc_write_reply(struct json_writer *w, const struct fault_reply *reply);

/* An item of a streamed call: {"method":"stream","params":{"id":…,"item":…}}. Write one value, then end. Not for
 * notifications: nothing is sent. rpc_stream_end(): -EMSGSIZE (item over max_response_size) or -ENOMEM: nothing of
 * it was sent. */
struct json_writer *rpc_stream_begin(struct rpc_request *r);
int rpc_stream_end(struct rpc_request *r) ATTR_WARN_UNUSED;
void rpc_stream_abort(struct rpc_request *r);

/* For a call's id, which may have been answered already (contents by pipe); a NULL id is a notification's: nothing
 * is sent. `total` negative: not known. */
void rpc_peer_progress(struct rpc_peer *p, struct slice id, uint64_t done, int64_t total);
void rpc_peer_failed(struct rpc_peer *p, struct slice id, const struct fault *fault,
                     const struct rpc_fault_context *context);
/* Any other notification: {"method":NAME,"params":…}; write one object, then end. */
struct json_writer *rpc_peer_notify_begin(struct rpc_peer *p, const char *method);
int rpc_peer_notify_end(struct rpc_peer *p) ATTR_WARN_UNUSED;

#endif
