/* SPDX-License-Identifier: MIT */
/* An exchange: what a pooled call, or one call of a session, asks of a connection. It is the owner of one or more
 * engine requests that belong together (SELECT and FETCH; one SMTP transaction), and it is what the pool queues, places,
 * repeats and accounts for.
 *
 * Life. The submitter embeds `struct exchange` in its own heap object, fills the upper part, and hands it over with
 * pool_submit() or lease_submit(). From then on it belongs to net until done() is called, exactly once, always from the
 * loop, never from inside a call that the submitter made; done() may free it.
 *
 *   submitted ─▶ placed on a READY session: start() submits engine requests ─▶ event()… body()… ─▶ done()
 *
 * When a connection dies, the outcome follows from the requests' offsets and what had begun to reach the kernel:
 * - no request that changes something was wholly written: outcome `none`; the exchange is started once more, silently,
 *   on another connection (start() is called again; it must reset its requests), unless restart() forbids it;
 * - a changing request was wholly written and is unanswered: done() with outcome `unknown`. Never repeated.
 *
 * What an exchange sends may depend on what the server of its connection can do. start() may look (the engine tells), answer
 * EXCHANGE_NOT_YET, have what is needed made, and call exchange_prepared(): start() is called again, on that connection if it
 * still lives, else on the next. Nobody is queued behind it meanwhile.
 *
 * Cancel, deadline and lost clients: exchange_cancel(). An exchange of which nothing was written is dropped and done()
 * comes with FAULT_CANCELLED. One that was written is orphaned: `orphaned` is set, its remaining bytes are still written
 * (body() is still called), its replies are still counted (event() is still called), and done() comes when the server is
 * through; neighbours notice nothing. A submitter therefore keeps all that start() and body() need inside the exchange,
 * not in the call's object. */
#ifndef POSTERN_EXCHANGE_H
#define POSTERN_EXCHANGE_H

#include "engine.h"
#include "list.h"

#include <sys/types.h>

struct exchange;
struct session;

#define EXCHANGE_NOT_YET 1

struct exchange_ops {
    const char *name; /* for logs: "smtp.send" */
    /* Can the session take it? <0: not now (conflicts with what is in flight there). 0: yes, at a cost (another mailbox
     * is selected). >0: yes, the more the better. Looks only; the session is READY, perhaps with exchanges in flight.
     * NULL: 1 when the session is idle, else -1. */
    int (*fits)(const struct exchange *x, const struct session *s);
    /* Nothing fits it, and it does not want a connection of its own either: what it waits for is in flight. NULL: never. */
    bool (*waits)(const struct exchange *x);
    /* Submit the engine requests, in order, to session_engine(s); set request->owner = x on each. <0 with *fault: the
     * exchange ends with that fault and outcome none. Requests submitted before that are still awaited. EXCHANGE_NOT_YET,
     * with nothing submitted: exchange_prepared() will follow. */
    int (*start)(struct exchange *x, struct session *s, struct fault *fault);
    /* An engine event of one of its requests; event->type is REPLY, DATA, DONE, or NOTICE that came while it was head. May
     * submit further requests (a dialogue). The exchange is over when all its requests are DONE and this returns
     * without having submitted another. */
    void (*event)(struct exchange *x, struct session *s, const struct engine_event *event);
    /* Body bytes for `request`, valid until the next call: >0 how many at *ret, 0: none ready now (call
     * session_body_ready() later), <0: cannot be had (-errno; the request is aborted). *ret_last: these are the last; an
     * empty body is 0 with *ret_last set. Called again only after all that was given has been taken. NULL: no bodies. */
    ssize_t (*body)(struct exchange *x, struct engine_request *request, const char **ret, bool *ret_last);
    /* After a loss with outcome none, or of a pure read: may it be started on another connection? Resets what was
     * gathered. false: part of an answer was already given away. NULL: always. */
    bool (*restart)(struct exchange *x);
    /* The one end. `fault` NULL: every request was answered (refusals of single requests were seen by event()). With a
     * fault, fault->outcome says what happened on the server. */
    void (*done)(struct exchange *x, const struct fault *fault);
};

/* Who asked: fairness is between users, and within a user between clients. */
struct exchange_owner {
    uid_t uid;
    uint64_t client; /* the listener's number of the connection; 0: the daemon itself */
};

struct exchange {
    /* The submitter's. */
    const struct exchange_ops *ops;
    struct exchange_owner owner;
    uint64_t queue_deadline_ms; /* loop time by which it must have been placed (FAULT_BUSY, with the pool's last reason) */
    uint64_t deadline_ms;       /* loop time by which it must be over: then as exchange_cancel(), with FAULT_TIMEOUT */
    bool changes;               /* any request of it has an effect: idle connections are probed first */
    bool reads_only;            /* may be started again even after it was written */
    bool long_wait;             /* `data_timeout` instead of `timeout` governs silence */
    bool complete;              /* all its bytes are at hand: others may be queued behind it */
    const void *clings;         /* those with the same (not NULL) go over one connection: rather behind another, where fits()
                                   agrees, than on one that is still to be made */

    /* For the submitter to read. */
    bool orphaned;
    struct session *session; /* NULL while it waits */

    /* net's. */
    struct list link;       /* on its session */
    struct list queue_link; /* while it waits, or is about to end */
    struct pool *pool;
    struct lease *lease;
    unsigned open_requests, restarts;
    int state;
    bool ended_by_deadline, paused;
    enum fault_outcome outcome;
    struct fault *fault; /* why start() failed, while requests of it are still awaited */
    uint64_t orphan_bytes;
    uint64_t submitted_ms, started_ms;
};

/* Zeroes net's part. */
void exchange_init(struct exchange *x, const struct exchange_ops *ops);
/* See above. Allowed from submission until done() has been called; twice is once. Returns the outcome as far as it is
 * known now: OUTCOME_NONE (it will not happen), OUTCOME_UNKNOWN (it was written; done() will know). */
enum fault_outcome exchange_cancel(struct exchange *x);
/* After start() has answered EXCHANGE_NOT_YET, from the loop, not from inside start(); once for each such answer, but not after
 * done(). Where the connection has gone meanwhile start() comes by itself with the next one. */
void exchange_prepared(struct exchange *x);
/* Where it is, or the connection that it waits for: the contract's stage, static text. */
const char *exchange_stage(const struct exchange *x);
/* An event's reader is full: the session reads no more from the server until resumed (only its own connection is held
 * back). */
void exchange_pause(struct exchange *x);
void exchange_resume(struct exchange *x);

/* The engine of the session, to be cast by the protocol's functions. */
struct engine *session_engine(const struct session *s);
/* Body bytes have come for an exchange whose body() had answered 0. */
void session_body_ready(struct session *s);
/* A request that lasts until it is asked to end (IMAP IDLE) is asked to; its EVENT_DONE follows. */
void session_end_wait(struct session *s, struct engine_request *request);
/* It is about to be closed: exchanges in flight should come to their end. */
bool session_is_closing(const struct session *s);
/* No exchange is in flight on it. */
bool session_is_idle(const struct session *s);
/* Exchanges in flight. */
unsigned session_depth(const struct session *s);
/* For how long the server has said nothing to what is in flight; 0: nothing is. */
uint64_t session_silence_ms(const struct session *s);

#endif
