/* SPDX-License-Identifier: MIT */
/* Shared by session.c, session_io.c, session_login.c and session_exchange.c only. */
#ifndef POSTERN_SESSION_PRIVATE_H
#define POSTERN_SESSION_PRIVATE_H

#include "backoff.h"
#include "buffer.h"
#include "connector.h"
#include "deflate_stage.h"
#include "derive.h"
#include "proxy.h"
#include "session.h"

/* Which application bytes a ciphertext byte stands for: once the wire has got past `wire_begin`, all bytes before
 * `app_end` may have reached the server. */
struct write_mark {
    uint64_t wire_begin, app_end;
};
#define WRITE_MARKS 32

struct session_relay;

struct session {
    struct session_view view;
    struct net_context *net;
    struct endpoint *endpoint;
    struct backoff_host *host; /* what is known of it; NULL: nothing */
    struct engine_config config; /* the endpoint's, with `wants_login` and `implicit_tls` as they are here */
    const struct session_owner_ops *ops;
    struct tls_tickets *tickets;
    struct engine *engine;
    struct list exchanges; /* in the order started */

    /* The way there. */
    struct resolver_query query;
    struct address_list *hop; /* addresses of whom to connect to: the server or the proxy */
    struct address target;    /* the server's, where the proxy wants it resolved */
    bool via_proxy;
    struct connector *connector;
    int fd;
    struct loop_io io;
    struct proxy_stage *proxy;
    struct tls_stage *proxy_tls, *tls;
    struct deflate_stage *deflate; /* above all others */

    /* Bytes. */
    struct buffer glued; /* behind the proxy's success: the tunnel's first */
    char *in;            /* what the engine is fed from; NULL: all was used up */
    size_t in_cap;
    size_t read_size;
    bool drained; /* the kernel had less than was asked for: nothing more until it says so */
    uint64_t wire_sent, app_out, app_reached;
    struct write_mark *marks; /* WRITE_MARKS of them; NULL: none is set */
    unsigned n_marks, first_mark;
    const struct engine_request *body_request; /* whose body is being given */
    const char *body; /* given by an exchange, not yet taken by the engine */
    size_t body_left;
    bool body_last, body_awaited;
    unsigned n_paused;

    /* Login. */
    struct credential_waiter credential;
    bool credential_awaited;
    struct secret *secret;
    struct derive *derive;

    /* Time. */
    struct loop_timer timer;
    struct loop_task step, bury;
    uint64_t state_ms, progress_ms;
    uint64_t rate_ms, rate_bytes; /* start of the present window of min_rate, bytes moved in it */
    size_t turn_events; /* seen in this turn */
    uint64_t moved_ms; /* when the server last answered something or took bytes, or an exchange was orphaned */
    uint64_t in_before; /* bytes_in when the first of what is in flight was placed */
    bool reused;     /* and the connection had served before, or was stale */
    bool stale;      /* was silent for longer than idle_probe when the first of what is in flight was placed */
    bool back_off, answered; /* what session_take_back_off() tells next */
    uint64_t back_off_ms;
    bool server_bye; /* the server announced the end */
    struct session_relay *relay;
    struct fault *why; /* it died; NULL: it has not */
    bool traced;     /* the owner wants lines of the dialogue */
    bool output_waits; /* for whom the pool places behind what has just ended: what both say leaves in one write */
    bool quit_asked; /* the engine was asked for our goodbye */
    bool taught;     /* it ended with a lesson: what did not happen on it may go another way */
};

/* session.c */
void session_set_state(struct session *s, enum session_state state);
void session_wake(struct session *s);
void session_fail(struct session *s, const struct fault *fault);
/* A connection was taken that had been idle, and since then not a byte came: it may have been dead from the start. */
static inline bool session_is_unproved(const struct session *s)
{
    return s->reused && s->view.bytes_in == s->in_before;
}
static inline bool session_is_dead(const struct session *s)
{
    return s->view.state == SESSION_DEAD;
}

/* session_io.c */
void session_io_ready(void *arg, unsigned what);
int session_want(struct session *s);
/* One step each of a state: 1: go on with the next, 0: wait, <0: failed with *fault. */
int session_step_proxy(struct session *s, struct fault *fault);
int session_step_tls(struct session *s, struct fault *fault);
/* Reads and lets the engine work; writes what it has put out. <0 with *fault. */
int session_input(struct session *s, struct fault *fault);
int session_output(struct session *s, struct fault *fault);
/* For bytes that no engine looks at. read: >0, 0: the end, -EAGAIN. write: how much was taken; flushes what waits. */
ssize_t session_io_read(struct session *s, char *buf, size_t len, struct fault *fault);
ssize_t session_io_write(struct session *s, struct slice bytes, struct fault *fault);
void session_io_close(struct session *s);

/* session_relay.c */
int session_step_relay(struct session *s, struct fault *fault);
/* Bytes wait for the server; more of it can be taken. */
bool session_relay_has_output(const struct session *s);
bool session_relay_wants_input(const struct session *s);
/* When a half-closed one has been silent for too long; 0: it may last. */
uint64_t session_relay_due_ms(const struct session *s);
void session_relay_free(struct session *s);

/* session_exchange.c */
void session_dispatch(struct session *s, const struct engine_event *event);
/* Body bytes from the exchange that the engine asks for. */
int session_body(struct session *s, struct fault *fault);
/* Begins what waited for the proof of life. */
void session_begin_probed(struct session *s);
void session_end_waits(struct session *s, const struct exchange *x);
void session_expire_exchanges(struct session *s);
uint64_t session_next_deadline(const struct session *s);
/* Decides the outcomes, takes the exchanges off. */
void session_settle(struct session *s, struct list *ret);
void session_hand_back(struct session *s, struct list *list);

/* session_login.c */
int session_login(struct session *s, unsigned wants, struct fault *fault);
void session_login_abandon(struct session *s);

#endif
