/* SPDX-License-Identifier: MIT */
/* A session: one connection from look-up to grave. It drives whatever protocol's engine through engine_ops, over a
 * socket, perhaps a proxy, perhaps TLS, and carries exchanges. Its owner (the pool) decides what it is used for.
 *
 *   RESOLVE ─▶ CONNECT ─▶ PROXY ─▶ TLS ─▶ GREETING ─▶ LOGIN ─▶ READY ⇄ BUSY ─▶ CLOSING ─▶ DEAD
 *                                   ▲ STARTTLS  │
 *                                   └───────────┘
 *
 * RELAY comes after READY, and ends in DEAD. States are passed in this order; a proxy that ends the connection on which it asks
 * who we are is reached again, from PROXY back to RESOLVE; a session whose client asks for TLS itself goes from BUSY through TLS and back; where there is no proxy or no TLS their state is passed in one step. Every state has
 * its time limit and a meaning of cancel (the table in session.c). DEAD comes from anywhere; the exchanges it carried are
 * handed back with their outcomes before `ended`. Loop thread only; callbacks come from the loop, never from inside a
 * call of the owner. */
#ifndef POSTERN_SESSION_H
#define POSTERN_SESSION_H

#include "exchange.h"
#include "net_private.h"

enum session_state {
    SESSION_RESOLVE = 0,
    SESSION_CONNECT,
    SESSION_PROXY,
    SESSION_TLS,
    SESSION_GREETING,
    SESSION_LOGIN,
    SESSION_READY,   /* logged in, nothing in flight */
    SESSION_BUSY,    /* exchanges in flight, or proving that it lives */
    SESSION_RELAY,   /* handed over: bytes of a client's own, no engine any more */
    SESSION_CLOSING, /* no further exchange: the server or we have said goodbye */
    SESSION_DEAD,
    SESSION_STATE_COUNT
};
const char *session_state_name(enum session_state state);
/* The stage of the contract for what is being done now. */
const char *session_stage(const struct session *s);

struct session_owner_ops {
    /* Logged in, for the first time READY. */
    void (*ready)(struct session *s);
    /* An exchange is over, or the state changed: there may be room for more. */
    void (*relaxed)(struct session *s);
    /* The session died with this exchange on it, which is the owner's again. fault->outcome is decided; `again`: nothing
     * forbids to start it on another connection. */
    void (*lost)(struct session *s, struct exchange *x, const struct fault *fault, bool again);
    /* What the server says while nothing is in flight. */
    void (*notice)(struct session *s, const struct engine_event *event);
    /* A line of the dialogue, while session_set_trace() asks for it. */
    void (*trace)(struct session *s, bool outgoing, struct slice line);
    /* DEAD; the session frees itself after this call. */
    void (*ended)(struct session *s);
};

/* What may be looked at at any time. */
struct session_view {
    uint64_t id;
    enum session_state state;
    void *owner;
    uint64_t opened_ms;
    uint64_t ready_ms;  /* 0: never was */
    uint64_t idle_ms;   /* since when nothing is in flight */
    uint64_t last_in_ms; /* last byte from the server */
    unsigned uses;      /* exchanges begun */
    unsigned completed; /* exchanges whose answers came */
    unsigned depth;     /* exchanges in flight */
    uint64_t bytes_in, bytes_out;
    const struct fault *fault; /* never NULL. DEAD: why; kind NONE: closed as asked */
    struct pool_probe_result times;
    bool login_refused; /* DEAD: the credentials were refused */
};

/* Begins at once. `tickets` outlive the session. `login`: with the configured credentials. NULL when out of memory. */
struct session *session_new(struct net_context *n, struct endpoint *e, struct tls_tickets *tickets, bool login,
                            const struct session_owner_ops *ops, void *owner);
/* Right after session_new(): nothing is compressed on it, whatever the endpoint says. */
void session_keep_plain(struct session *s);
const struct session_view *session_view(const struct session *s);
/* What the server showed of itself; false: no TLS, or no certificate. */
struct tls_certificate;
bool session_certificate(const struct session *s, struct tls_certificate *ret);
/* Lets what is in flight finish, says QUIT or LOGOUT, closes. Before READY: as session_abort(). */
void session_close(struct session *s);
/* Lines of the dialogue go to the owner too, secrets left out. */
void session_set_trace(struct session *s, bool on);
/* READY: from now on the connection is whoever's holds the other end of `fd` (a stream socket that does not block, the
 * session's from now on): bytes go both ways, through TLS where there is, until either side closes. `ahead`: bytes of the
 * server that were read already. <0 with *fault: the descriptor stays the caller's. */
int session_relay(struct session *s, int fd, struct slice ahead, struct fault *fault) ATTR_WARN_UNUSED;
/* Closes without a goodbye; exchanges are lost with this fault (kind NONE: orderly end). */
void session_abort(struct session *s, const struct fault *fault);
/* A limit of the server's is reached: nothing more should be placed on it, and it should be closed when it is idle. */
bool session_is_spent(const struct session *s);
/* READY: reads what has come meanwhile. false: the session is not fit for use (any more). */
bool session_check(struct session *s);
/* READY or BUSY: puts the exchange on it. 0; <0 with *fault: start() refused and it is the owner's again. Where an
 * idle connection has been silent for too long it proves itself first. -EBUSY without fault: not now. */
int session_place(struct session *s, struct exchange *x, struct fault *fault) ATTR_WARN_UNUSED;
/* Has the server asked, by a refusal, to be left alone since the last call? *ret_wait_ms: for how long, 0: it did not say.
 * *ret_answered: an exchange was answered meanwhile without that. */
bool session_take_back_off(struct session *s, uint64_t *ret_wait_ms, bool *ret_answered);
/* Every exchange on it has all its bytes at hand. */
bool session_all_complete(const struct session *s);
/* READY: asks for a proof of life whatever idle_probe says; BUSY until it has come. 0: none needed. */
int session_prove(struct session *s);

#endif
