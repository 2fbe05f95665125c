/* SPDX-License-Identifier: MIT */
/* A pool: the connections of one endpoint, and who waits for them. It converges: every event (a submission, a finished
 * exchange, a connection that became ready or died, a timer, a raised limit) makes it look at waiters, idle sessions,
 * sessions under way, limits (pool, account, host) and back-off, and do what is due. Fair between users, and within a
 * user between clients. Completions never fire inside the call that asked. */
#ifndef POSTERN_POOL_H
#define POSTERN_POOL_H

#include "endpoint.h"
#include "exchange.h"
#include "loop.h"
#include "worker.h"

/* What all pools of a process share. */
struct net_context;
struct net_hooks {
    /* An event worth a log line; `text` holds no secret. May be NULL. */
    void (*log)(void *arg, int level /* syslog's */, const struct endpoint *e, const char *event, const char *text);
    /* A trace line of a session whose endpoint has engine.trace. May be NULL. */
    void (*trace)(void *arg, const struct endpoint *e, uint64_t session_id, bool outgoing, struct slice line);
    void *arg;
};
/* `resolver` runs getaddrinfo, `cpu` PBKDF2. All must outlive the context. NULL when out of memory. */
struct net_context *net_context_new(struct loop *l, struct worker_pool *resolver, struct worker_pool *cpu,
                                    const struct net_hooks *hooks);
void net_context_free(struct net_context *n);

struct pool;
/* Takes a reference of the endpoint. Opens nothing yet (but min_pool_size, when resumed by the loop). */
struct pool *pool_new(struct net_context *n, struct endpoint *e);
/* Ends it: waiters get FAULT_UNAVAILABLE, what is in flight is finished for at most `grace_ms`, idle sessions say
 * goodbye. The object frees itself when the last session is gone; `closed` (may be NULL) is called then. No call on the
 * pool is allowed afterwards, but exchanges in flight may still be cancelled. */
void pool_close(struct pool *p, uint64_t grace_ms, void (*closed)(void *arg), void *arg);
struct endpoint *pool_endpoint(const struct pool *p);
/* A number that its user raises when what connections have learned may no longer hold (IMAP: a mailbox was renamed or deleted, so
 * that a selected one may not be the one of that name any more). From 1. */
uint64_t pool_epoch(const struct pool *p);
void pool_next_epoch(struct pool *p);

/* Queues the exchange; it is net's until done(). <0 with *fault: refused at once (queue full: FAULT_BUSY; paused:
 * FAULT_UNAVAILABLE; breaker or back-off: the last reason) and the exchange stays the caller's, done() is not called. */
int pool_submit(struct pool *p, struct exchange *x, struct fault *fault) ATTR_WARN_UNUSED;

/* Pause: nothing new is placed and idle connections are closed; resume also clears back-off and breaker. */
void pool_pause(struct pool *p);
void pool_resume(struct pool *p);

struct pool_stats {
    unsigned connecting, active, idle, waiting, leased; /* active, idle: of those that are not leased */
    uint64_t opened, opened_tls, failed, reused, closed, exchanges, restarted;
    uint64_t bytes_in, bytes_out;
    uint64_t wait_total_ms, last_byte_ms; /* loop time of the last byte from the server; 0: never */
    bool paused, broken;                  /* broken: the breaker holds after refused credentials */
    uint64_t backoff_until_ms;            /* 0: none */
    struct fault last_fault;
};
void pool_stats(const struct pool *p, struct pool_stats *ret);

/* --- leases: a connection for one client, for stateful work (the contract's sessions). --- */
struct lease;
struct lease_ops {
    /* From the loop, once: the session is logged in (or connected, where the lease asked for no login). */
    void (*ready)(struct lease *lease, struct session *s);
    /* From the loop, once, the last call: it is over. `fault` says why; kind FAULT_NONE after lease_end(). */
    void (*gone)(struct lease *lease, const struct fault *fault);
    /* What the server says while no exchange is in flight. May be NULL. */
    void (*notice)(struct lease *lease, const struct engine_event *event);
    /* A line of the dialogue, while lease_set_trace() asks for it; secrets are left out. May be NULL. */
    void (*trace)(struct lease *lease, bool outgoing, struct slice line);
};
/* Embedded in the submitter's object; its own until gone(). */
struct lease {
    const struct lease_ops *ops;
    struct exchange_owner owner;
    uint64_t queue_deadline_ms;
    bool no_login; /* ready as soon as requests may be sent, without the configured credentials */
    /* The daemon's own, to listen to the server for as long as it likes. It takes what others need least: one place of the
     * pool is always left to pooled calls, at most half of pool_size (at least 1) goes to such leases, none of the limits on
     * clients' sessions holds, and where others wait for its place it is ended, orderly, with FAULT_BUSY. */
    bool watch;
    /* net's. */
    struct list link;
    struct pool *pool;
    struct session *session;
    struct list exchanges;
    int state;
};
/* Clients' leases take at most half of pool_size, at least 1. As pool_submit(). A watch that cannot have a place now is
 * refused with FAULT_BUSY, and never waits for one. */
int pool_lease(struct pool *p, struct lease *lease, struct fault *fault) ATTR_WARN_UNUSED;
/* An exchange on the leased connection, in the order submitted. Its fits() is not asked. */
int lease_submit(struct lease *lease, struct exchange *x, struct fault *fault) ATTR_WARN_UNUSED;
/* Lines of the dialogue come through trace(). Once it is ready. */
void lease_set_trace(struct lease *lease, bool on);
/* Gives the connection away to whoever holds the other end of `fd`, a stream socket that does not block: what session_relay()
 * says. Nothing may be in flight. The pool's session_max goes on counting; gone() comes at the end. <0 with *fault: the
 * descriptor stays the caller's, and the lease what it was. */
int lease_hand_over(struct lease *lease, int fd, struct slice ahead, struct fault *fault) ATTR_WARN_UNUSED;
/* Where it is: the contract's stage, static text. */
const char *lease_stage(const struct lease *lease);
/* Ends it. `orderly`: QUIT or LOGOUT is said; else the connection is closed as it is (a POP3 session deletes nothing). The
 * connection is never given back to the pool. gone() follows. */
void lease_end(struct lease *lease, bool orderly);

/* Outcome of pool_probe(): what account.test and smtp.test_connection tell. Opens (or takes) a connection, logs in. */
struct pool_probe_result {
    bool tls;
    char tls_version[16], tls_cipher[64], peer[64]; /* peer: address and port */
    uint64_t connect_ms, tls_ms, login_ms, total_ms;
    uint64_t lookup_ms, greeting_ms; /* within connect_ms and login_ms */
};
/* From the loop, once. fault NULL: logged in. `s` valid during the call, NULL with a fault. */
typedef void pool_probe_done(void *arg, const struct pool_probe_result *result, const struct fault *fault,
                             const struct session *s);
int pool_probe(struct pool *p, uint64_t deadline_ms, pool_probe_done *done, void *arg, struct fault *fault)
    ATTR_WARN_UNUSED;

#endif
