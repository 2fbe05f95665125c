/* SPDX-License-Identifier: MIT */
/* The surface that every protocol engine (SMTP, IMAP, POP3) offers, so that one driver serves all.
 *
 * An engine is a client's side of one connection without any I/O: no socket, clock, thread, log, environment. Its
 * driver feeds it the bytes that came, pulls events until there are none, sends the bytes that the engine has put out,
 * and looks at what the engine wants. Nothing calls back out of an engine.
 *
 *     feed(bytes) ─▶ next(event) … next(event) ─▶ 0    output() ─▶ the wire ─▶ sent(n)    wants() ─▶ what to do next
 *
 * Life: new (connected) ─▶ greeting, capabilities, TLS, authentication ─▶ EVENT_READY ─▶ requests ─▶ quit ─▶ closed.
 *
 * Errors are sticky and the first one wins: feed(), next() and the submitting functions then return the same negative
 * errno, engine->fault says why, and what output() still holds may be sent (a goodbye, an "*" of SASL). After an error
 * the connection must be closed and never reused.
 *
 * Memory: an idle engine holds no buffer. All buffers are bounded. -ENOMEM is an error like the others.
 * One thread at a time. */
#ifndef POSTERN_ENGINE_H
#define POSTERN_ENGINE_H

#include "fault.h"
#include "list.h"
#include "macros.h"
#include "secret.h"
#include "slice.h"

#include <sys/types.h>

enum protocol { PROTOCOL_SMTP = 0, PROTOCOL_IMAP, PROTOCOL_POP3, PROTOCOL_COUNT };

/* "smtp", "imap", "pop3". */
const char *protocol_name(enum protocol p);

/* contract: `tls`. ALL and CONTROL: TLS or fail. */
enum tls_policy { TLS_POLICY_ALL = 0, TLS_POLICY_CONTROL, TLS_POLICY_TRY, TLS_POLICY_NONE };

/* What wants() answers: any of these. */
enum engine_want {
    ENGINE_WANT_READ = 1 << 0,       /* bytes from the peer (nearly always) */
    ENGINE_WANT_WRITE = 1 << 1,      /* output() is not empty */
    ENGINE_WANT_START_TLS = 1 << 2,  /* the peer agreed: do the handshake now, then tls_started(). Output is empty and
                                        nothing that was fed is left over (that would have been a protocol error) */
    ENGINE_WANT_CREDENTIAL = 1 << 3, /* credential() with what `needs` says, before the login can go on */
    ENGINE_WANT_DERIVE = 1 << 4,     /* PBKDF2 as derive_job() says, off the loop, then derived() */
    ENGINE_WANT_BODY = 1 << 5,       /* body bytes of the request body_request() names, through body() */
    ENGINE_WANT_START_DEFLATE = 1 << 7, /* the peer agreed: all bytes are compressed from here on, then deflate_started().
                                        Output is empty and nothing that was fed is left over */
    ENGINE_WANT_CLOSED = 1 << 6,     /* the dialogue is over: send what is left, close */
};

/* Which of the configured time limits runs now; the driver arms the timer anew at each change and progress. */
enum engine_timeout {
    ENGINE_TIMEOUT_NONE = 0, /* nothing is awaited (READY without requests, IMAP IDLE) */
    ENGINE_TIMEOUT_LOGIN,    /* greeting to READY: covered by connect_timeout's 60 s */
    ENGINE_TIMEOUT_COMMAND,  /* `timeout`: 30 s without progress */
    ENGINE_TIMEOUT_DATA,     /* `data_timeout`: the server works (final dot, APPEND, COPY, EXPUNGE, QUIT that deletes) */
};

/* Where a request stands (architecture: exchange states). Set by the engine, read by all. */
enum engine_request_state {
    REQUEST_NEW = 0,
    REQUEST_QUEUED,         /* submitted, no byte put out */
    REQUEST_PARTLY_WRITTEN, /* begin_offset is set */
    REQUEST_WRITTEN,        /* end_offset is set too */
    REQUEST_ANSWERED,       /* its EVENT_DONE was given; the engine has forgotten it */
};

/* One thing asked of the server: an SMTP transaction, an IMAP or POP3 command. Embedded first in the protocol's own
 * struct (smtp_transaction, imap_command, pop3_command). The submitter owns it and keeps it, and all slices in it,
 * unchanged until EVENT_DONE or until the engine is freed. */
struct engine_request {
    struct list link; /* in engine->requests */
    enum engine_request_state state;
    /* Positions in the stream of all bytes that output() has ever given, counted from 0 at new(): what the driver
     * compares with what has begun to reach the kernel, to know an outcome when the connection dies. end_offset is
     * where the effect is committed (the final dot, the CRLF of a command or of its last literal). */
    uint64_t begin_offset, end_offset;
    bool changes;    /* it has an effect on the server: outcome `unknown` is possible */
    bool has_body;   /* the driver will be asked for body bytes */
    void *owner;     /* the submitter's; the driver's exchange layer sets it */
};

enum engine_event_type {
    ENGINE_EVENT_READY,  /* logged in: requests may be submitted. Once in a life */
    ENGINE_EVENT_REPLY,  /* part of the answer to `request`; protocol's detail */
    ENGINE_EVENT_DATA,   /* body bytes of the answer to `request`: `data`, a piece of any size */
    ENGINE_EVENT_DONE,   /* the answer to `request` is complete; `fault` is NULL, or why it failed (the connection lives) */
    ENGINE_EVENT_NOTICE, /* what the server said of itself (IMAP EXISTS, EXPUNGE, ALERT…); request may be NULL */
    ENGINE_EVENT_CLOSING, /* the server says goodbye (421, BYE): no further request; the connection will end */
    ENGINE_EVENT_TRACE,  /* a line of the dialogue for `debug`: `data`, secrets already left out; `outgoing` */
};

/* Valid until the next call of feed() or next(). Protocols extend it (smtp_event, imap_event, pop3_event): `base` is
 * their first member, so a pointer to it may be cast. */
struct engine_event {
    enum engine_event_type type;
    struct engine_request *request;
    struct slice data;
    bool outgoing;
    const struct fault *fault;
};

/* What the TLS stage knows after a handshake. */
struct engine_tls {
    bool verified;               /* chain and name were checked against the configuration */
    unsigned char exporter[32];  /* RFC 9266 tls-exporter */
    unsigned char unique[64];    /* RFC 5929 tls-unique */
    size_t exporter_len, unique_len; /* 0: not to be had (unsafe in this version of TLS) */
    const char *version;         /* "TLSv1.3"; static */
};

/* PBKDF2 that a SCRAM login needs; valid until derived(). */
struct engine_derive {
    const char *hash; /* "SHA1" or "SHA256", OpenSSL's name */
    struct slice password, salt;
    unsigned iterations; /* 4096 to 100,000: checked */
    size_t key_len;
};

/* What one connection has taught about a server, and later ones to the same host and port should heed. */
enum engine_lesson {
    ENGINE_LESSON_NO_CHUNKS = 1 << 0, /* SMTP: no BDAT but for what DATA cannot carry */
};

#define ENGINE_MAX_METHODS 16
#define ENGINE_MAX_DISABLED 32

/* What an engine must know of its account; must outlive the engine. Strings are NUL-terminated; NULL: not configured. */
struct engine_config {
    enum tls_policy tls;
    bool implicit_tls;         /* the driver did the handshake before new() */
    bool allow_plaintext_auth;
    bool wants_login;          /* credentials are configured: no authentication offered is FAULT_MISSING_EXTENSION */
    bool has_token;            /* the credential is an OAuth token: OAUTHBEARER, XOAUTH2, nothing else */
    bool has_client_cert;      /* EXTERNAL is possible */
    bool lmtp;
    bool compress;             /* IMAP: COMPRESS=DEFLATE where it is offered */
    bool trace;                /* give ENGINE_EVENT_TRACE */
    bool step_by_step;         /* SMTP: READY with the greeting; whatever follows is asked for by commands, EHLO behind
                                  STARTTLS too */
    enum { PIPELINE_OFF, PIPELINE_ENVELOPE, PIPELINE_CHUNKS } pipeline;
    unsigned lessons; /* set of ENGINE_LESSON_…: the driver remembers them */
    const char *host, *domain; /* server's name (SASL), EHLO name */
    uint16_t port;
    const char *username, *authzid;
    const char *methods[ENGINE_MAX_METHODS + 1];   /* in order of preference, NULL-ended; none: auto */
    const char *disabled[ENGINE_MAX_DISABLED + 1]; /* extensions that are to be ignored, NULL-ended */
    const char *quirks[ENGINE_MAX_DISABLED + 1];   /* named quirks to switch on ("name") or off ("-name") */
    const char *tag_prefix; /* of tests, which play dialogues: IMAP tags are this and a number. NULL: nobody can guess them */
    /* Bounds on what a peer may send; 0: the engine's own default. */
    size_t max_line, max_reply;
    uint64_t max_literal;
};

struct engine;

struct engine_ops {
    enum protocol protocol;
    /* Takes the state apart without output. Requests in it are forgotten, not touched. Accepts any state. */
    void (*free)(struct engine *e);
    /* Gives the engine bytes from the peer. They must stay unchanged until next() has answered 0 or an error; only
     * then may feed() be called again. `len` may be 0. */
    int (*feed)(struct engine *e, const char *bytes, size_t len);
    /* The peer closed its side. An error where something was owed. */
    int (*eof)(struct engine *e);
    /* 1: *ret is an event. 0: all that was fed is used up. <0: sticky error. A driver that is held back by its reader
     * simply does not call. */
    int (*next)(struct engine *e, struct engine_event **ret);
    /* Bytes for the peer, as one run; valid until the next call on the engine. */
    struct slice (*output)(const struct engine *e);
    void (*sent)(struct engine *e, size_t len);
    unsigned (*wants)(const struct engine *e);
    enum engine_timeout (*timeout)(const struct engine *e);
    /* For faults and logs: the stage of the contract ("greeting", "auth", "mail", "data", "fetch", …); static. */
    const char *(*stage)(const struct engine *e);
    /* After the handshake (or before the first feed with implicit TLS). What was learned in clear is forgotten. */
    int (*tls_started)(struct engine *e, const struct engine_tls *tls);
    /* The password or token; the engine takes a reference. NULL: there is none to be had, `fault` of the source has
     * been reported by the driver, the engine fails. */
    int (*credential)(struct engine *e, struct secret *secret);
    const struct engine_derive *(*derive_job)(const struct engine *e);
    int (*derived)(struct engine *e, const void *key, size_t len);
    /* Queues a request; READY only. The protocol's typed functions (smtp_client_submit()…) do the same with checks.
     * -EBUSY: what is in flight forbids it now; -EINVAL: never possible, `fault` of the engine is NOT set. */
    int (*submit)(struct engine *e, struct engine_request *request, struct fault *fault);
    /* Takes back a request of which no byte was put out; -EBUSY when it is too late. */
    int (*withdraw)(struct engine *e, struct engine_request *request);
    struct engine_request *(*body_request)(const struct engine *e);
    /* Body bytes for body_request(); returns how many were taken (0: not now, wait for WANT_BODY). `last`: nothing
     * follows these. */
    ssize_t (*body)(struct engine *e, const char *bytes, size_t len, bool last);
    /* The body cannot be had after all: the engine ends the request without completing it if the protocol allows, else
     * it fails. */
    int (*body_abort)(struct engine *e);
    /* Proves that an idle connection lives (IMAP NOOP, POP3 STAT). 1: a probe is under way, wait until idle() again.
     * 0: not needed here (SMTP: the envelope's replies are the proof). */
    int (*probe)(struct engine *e);
    /* READY, and nothing is queued, in flight or half read. */
    bool (*idle)(const struct engine *e);
    /* Requests submitted and not done. */
    size_t (*in_flight)(const struct engine *e);
    /* QUIT or LOGOUT behind what is in flight; WANT_CLOSED follows. */
    int (*quit)(struct engine *e);
    /* What the server demands between two logins (POP3's LOGIN-DELAY); 0: nothing. May be NULL. */
    uint64_t (*login_delay_ms)(const struct engine *e);
    /* From here on all bytes are compressed. May be NULL: never wanted. */
    int (*deflate_started)(struct engine *e);
    /* A request that lasts until it is asked to end (IMAP IDLE) is asked to; its EVENT_DONE follows. Others go on as they
     * are. May be NULL. */
    int (*end_wait)(struct engine *e, struct engine_request *request);
    /* Set of ENGINE_LESSON_…; asked when the connection has ended before its time. May be NULL. */
    unsigned (*lessons)(const struct engine *e);
    /* A limit of the server's is reached: no further request should be given to it, and it is closed in good order when
     * nothing is in flight. May be NULL. */
    bool (*spent)(const struct engine *e);
};

struct engine {
    const struct engine_ops *ops;
    struct fault fault; /* set once, with the first error */
    /* Every request that was submitted and is not done, in the order submitted; kept by the engine, which takes one out
     * before it gives its EVENT_DONE. The driver looks at it to know what belongs to whom and, when the connection has
     * died, what had been written; after an error it stays as it was until free(). */
    struct list requests;
};

static inline void engine_free(struct engine *e)
{
    if (e)
        e->ops->free(e);
}

/* The constructors, called when the connection stands (and, with implicit TLS, before tls_started()). `config` must
 * outlive the engine. NULL when out of memory. */
struct engine *smtp_client_new(const struct engine_config *config);
struct engine *imap_client_new(const struct engine_config *config);
struct engine *pop3_client_new(const struct engine_config *config);

#endif
