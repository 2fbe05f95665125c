/* SPDX-License-Identifier: MIT */
/* The bytes of a session: from the wire through the proxy's TLS, the tunnel, the server's TLS and decompression to the engine and back.
 * Each layer is pulled by the one above it, so nothing is read that nobody has room for. */
#include "session_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_MIN 4096
#define READ_MAX 65536
#define OUT_HIGH 65536          /* encrypted bytes that wait for the kernel before more are made */
#define TURN_BUDGET (512 * 1024) /* bytes in one direction before others have their turn */
#define EVENT_COST 64            /* what each answer counts for besides: many short ones are more work than one that is long */
#define GLUED_CHUNK 4096

enum layer { LAYER_WIRE, LAYER_TUNNEL, LAYER_TOP, LAYER_APP };

/* --- reading --- */

static int io_fault(struct session *s, int err, struct fault *fault)
{
    enum fault_kind kind = FAULT_DISCONNECTED;
    if (s->view.state == SESSION_PROXY)
        kind = FAULT_PROXY;
    else if (s->view.state == SESSION_TLS)
        kind = FAULT_TLS;
    else if (err == ETIMEDOUT)
        kind = FAULT_TIMEOUT;
    return fault_set(fault, -err, kind, session_stage(s), "connection lost: %s", strerror(err));
}

static ssize_t wire_read(struct session *s, char *buf, size_t len, struct fault *fault)
{
    ssize_t n;
    if (s->drained)
        return -EAGAIN;
    do
        n = recv(s->fd, buf, len, 0);
    while (n < 0 && errno == EINTR);
    s->drained = n < 0 || (n > 0 && (size_t) n < len);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return -EAGAIN;
    if (n < 0)
        return io_fault(s, errno, fault);
    if (n > 0) {
        s->view.bytes_in += (uint64_t) n;
        s->rate_bytes += (uint64_t) n;
        s->view.last_in_ms = s->progress_ms = loop_now_ms(s->net->loop);
    }
    return n;
}

static ssize_t layer_read(struct session *s, enum layer layer, char *buf, size_t len, struct fault *fault);

/* Ciphertext for a TLS stage from the layer below it: >0, 0 at the end, <0. */
static ssize_t tls_fill(struct session *s, struct tls_stage *t, enum layer below, struct fault *fault)
{
    char *to;
    size_t want = s->read_size;
    if (tls_input_reserve(t, want, &to) < 0)
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, "tls", "out of memory");
    ssize_t n = layer_read(s, below, to, want, fault);
    tls_input_commit(t, n > 0 ? (size_t) n : 0);
    if (n == (ssize_t) want && s->read_size < READ_MAX)
        s->read_size *= 2;
    return n;
}

static ssize_t tls_pull(struct session *s, struct tls_stage *t, enum layer below, char *buf, size_t len,
                        struct fault *fault)
{
    for (;;) {
        ssize_t n = tls_read(t, buf, len, fault);
        if (n != -EAGAIN)
            return n;
        n = tls_fill(s, t, below, fault);
        if (n <= 0)
            return n;
    }
}

static ssize_t deflate_pull(struct session *s, char *buf, size_t len, struct fault *fault)
{
    for (;;) {
        char *to;
        ssize_t n = deflate_read(s->deflate, buf, len, fault);
        if (n != -EAGAIN)
            return n;
        if (deflate_input_reserve(s->deflate, READ_MIN, &to) < 0)
            return fault_set(fault, -ENOMEM, FAULT_INTERNAL, session_stage(s), "out of memory");
        n = layer_read(s, LAYER_TOP, to, READ_MIN, fault);
        deflate_input_commit(s->deflate, n > 0 ? (size_t) n : 0);
        if (n <= 0)
            return n;
    }
}

/* >0 bytes, 0: the end, -EAGAIN: nothing now, <0: *fault. */
static ssize_t layer_read(struct session *s, enum layer layer, char *buf, size_t len, struct fault *fault)
{
    switch (layer) {
    case LAYER_APP:
        if (s->deflate)
            return deflate_pull(s, buf, len, fault);
        ATTR_FALLTHROUGH;
    case LAYER_TOP:
        if (s->tls)
            return tls_pull(s, s->tls, LAYER_TUNNEL, buf, len, fault);
        ATTR_FALLTHROUGH;
    case LAYER_TUNNEL:
        if (buffer_len(&s->glued)) {
            struct slice have = slice_to(buffer_slice(&s->glued), len);
            memcpy(buf, have.data, have.len);
            buffer_consume(&s->glued, have.len);
            buffer_trim(&s->glued);
            return (ssize_t) have.len;
        }
        if (s->proxy_tls)
            return tls_pull(s, s->proxy_tls, LAYER_WIRE, buf, len, fault);
        ATTR_FALLTHROUGH;
    case LAYER_WIRE:
        break;
    }
    return wire_read(s, buf, len, fault);
}

/* --- writing --- */

/* How many bytes the kernel took; 0: none now. */
static ssize_t wire_write(struct session *s, struct slice out, struct fault *fault)
{
    ssize_t n;
    if (out.len == 0)
        return 0;
    do
        n = send(s->fd, out.data, out.len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : io_fault(s, errno, fault);
    s->wire_sent += (uint64_t) n;
    s->view.bytes_out += (uint64_t) n;
    s->rate_bytes += (uint64_t) n;
    s->progress_ms = s->moved_ms = loop_now_ms(s->net->loop);
    while (s->n_marks && s->marks[s->first_mark].wire_begin < s->wire_sent) {
        s->app_reached = MAX(s->app_reached, s->marks[s->first_mark].app_end);
        s->first_mark = (s->first_mark + 1) % WRITE_MARKS;
        s->n_marks--;
    }
    if (s->n_marks == 0 && s->marks) {
        free(s->marks); /* an idle connection holds none */
        s->marks = NULL;
    }
    return n;
}

static ssize_t flush_tls(struct session *s, struct tls_stage *t, struct fault *fault)
{
    ssize_t n = wire_write(s, tls_output(t), fault);
    if (n > 0)
        tls_sent(t, (size_t) n);
    return n;
}

/* Into the tunnel: through the proxy's TLS where there is one. */
static ssize_t tunnel_write(struct session *s, struct slice out, struct fault *fault)
{
    if (!s->proxy_tls)
        return wire_write(s, out, fault);
    if (out.len == 0 || tls_output(s->proxy_tls).len >= OUT_HIGH)
        return 0;
    return tls_write(s->proxy_tls, out.data, out.len, fault);
}

/* Compressed bytes one layer down: how much. */
static ssize_t write_below(struct session *s, struct slice out, struct fault *fault)
{
    if (!s->tls)
        return tunnel_write(s, out, fault);
    return tls_output(s->tls).len >= OUT_HIGH ? 0 : tls_write(s->tls, out.data, MIN(out.len, (size_t) TLS_RECORD_MAX), fault);
}

/* What waits in the stages goes down as far as the kernel takes it. 1: something moved. */
static int flush(struct session *s, struct fault *fault)
{
    int moved = 0;
    for (;;) {
        ssize_t n = 0, m = 0, k = 0;
        if (s->deflate && deflate_output(s->deflate).len) {
            k = write_below(s, deflate_output(s->deflate), fault);
            if (k < 0)
                return (int) k;
            deflate_sent(s->deflate, (size_t) k);
        }
        if (s->tls && tls_output(s->tls).len) {
            n = tunnel_write(s, tls_output(s->tls), fault);
            if (n < 0)
                return (int) n;
            tls_sent(s->tls, (size_t) n);
        }
        if (s->proxy_tls) {
            m = flush_tls(s, s->proxy_tls, fault);
            if (m < 0)
                return (int) m;
        }
        if (n == 0 && m == 0 && k == 0)
            return moved;
        moved = 1;
    }
}

/* Bytes made before `wire_begin` are already on their way; where two stages are in a row the true beginning may lie
 * later, never earlier. */
static void add_mark(struct session *s, uint64_t app_end)
{
    const struct tls_stage *bottom = s->proxy_tls ? s->proxy_tls : s->tls;
    if (!s->marks && !(s->marks = calloc(WRITE_MARKS, sizeof(*s->marks)))) {
        s->app_reached = MAX(s->app_reached, app_end); /* the same without memory */
        return;
    }
    if (s->n_marks == WRITE_MARKS) {
        /* Joined with the last one: too much counts as sent, never too little. */
        s->marks[(s->first_mark + s->n_marks - 1) % WRITE_MARKS].app_end = app_end;
        return;
    }
    size_t below = bottom ? tls_output(bottom).len : 0;
    if (s->deflate && !bottom)
        below = deflate_output(s->deflate).len;
    s->marks[(s->first_mark + s->n_marks++) % WRITE_MARKS] = (struct write_mark){s->wire_sent + below, app_end};
}

/* One piece of the engine's output one layer down: how much. */
static ssize_t write_piece(struct session *s, struct slice out, struct fault *fault)
{
    ssize_t n;
    if (s->deflate) {
        if (deflate_output(s->deflate).len >= OUT_HIGH)
            return 0;
        out = slice_to(out, DEFLATE_PIECE_MAX);
        add_mark(s, s->app_out + out.len);
        return deflate_write(s->deflate, out, fault);
    }
    if (!s->tls && !s->proxy_tls) {
        n = wire_write(s, out, fault);
        if (n > 0)
            s->app_reached = s->app_out + (uint64_t) n;
        return n;
    }
    if (tls_output(s->proxy_tls ? s->proxy_tls : s->tls).len >= OUT_HIGH || (s->tls && tls_output(s->tls).len >= OUT_HIGH))
        return 0;
    out = slice_to(out, TLS_RECORD_MAX);
    add_mark(s, s->app_out + out.len);
    return s->tls ? tls_write(s->tls, out.data, out.len, fault) : tunnel_write(s, out, fault);
}

int session_output(struct session *s, struct fault *fault)
{
    size_t budget = TURN_BUDGET;
    for (;;) {
        bool progress = false;
        int r = session_body(s, fault);
        if (r < 0 || session_is_dead(s))
            return r;
        struct slice out = s->engine->ops->output(s->engine);
        while (out.len && budget) {
            ssize_t n = write_piece(s, out, fault);
            if (n < 0)
                return (int) n;
            if (n == 0)
                break;
            s->app_out += (uint64_t) n;
            s->engine->ops->sent(s->engine, (size_t) n);
            progress = true;
            budget -= MIN(budget, (size_t) n);
            out = s->engine->ops->output(s->engine);
        }
        r = flush(s, fault);
        if (r < 0)
            return r;
        if (!progress && r == 0) {
            if (s->deflate)
                deflate_rest(s->deflate);
            return 0;
        }
        if (budget == 0) {
            session_wake(s);
            return 0;
        }
    }
}

/* --- states before the dialogue --- */

/* 1: done; 0: waits. */
static int handshake(struct session *s, struct tls_stage *t, enum layer below, struct fault *fault)
{
    for (;;) {
        int done = tls_handshake(t, fault);
        /* Also an alert goes out. */
        struct fault ignored = {0};
        int r = flush(s, done < 0 ? &ignored : fault);
        if (done != 0 || r < 0)
            return done != 0 ? done : r;
        ssize_t n = tls_fill(s, t, below, fault);
        if (n == -EAGAIN)
            return 0;
        if (n == 0)
            return fault_set(fault, -ECONNRESET, FAULT_TLS, "tls", "handshake: the server closed the connection");
        if (n < 0)
            return (int) n;
    }
}

static int begin_proxy(struct session *s, struct fault *fault)
{
    const struct endpoint *e = s->endpoint;
    if (e->proxy.kind == PROXY_HTTPS && !s->proxy_tls) {
        struct tls_config config;
        tls_config_of_proxy(&config, &e->proxy);
        int r = tls_stage_new(s->net->tls, &config, NULL, &s->proxy_tls, fault);
        if (r < 0)
            return r;
    }
    if (s->proxy_tls) {
        int r = handshake(s, s->proxy_tls, LAYER_WIRE, fault);
        if (r <= 0)
            return r;
    }
    if (s->proxy)
        return 1;
    int r = proxy_stage_new(&e->proxy, e->host, e->port, s->target.len ? &s->target : NULL, &s->proxy, fault);
    return r < 0 ? r : 1;
}

/* The proxy ends the connection on which it asked for a name: the answer goes to it on another one. */
static void reach_proxy_again(struct session *s)
{
    loop_io_done(&s->io);
    close(s->fd);
    s->fd = -1;
    tls_stage_free(s->proxy_tls);
    s->proxy_tls = NULL;
    s->drained = false;
    session_set_state(s, SESSION_RESOLVE);
}

/* 1: the tunnel stands; 0: waits; PROXY_AGAIN. */
static int proxy_dialogue(struct session *s, struct fault *fault)
{
    char in[GLUED_CHUNK];
    for (;;) {
        struct slice out = proxy_output(s->proxy);
        ssize_t n = tunnel_write(s, out, fault);
        if (n < 0)
            return (int) n;
        proxy_sent(s->proxy, (size_t) n);
        int r = flush(s, fault);
        if (r < 0)
            return r;
        n = layer_read(s, LAYER_TUNNEL, in, sizeof(in), fault);
        if (n == -EAGAIN)
            return 0;
        if (n == 0)
            return fault_set(fault, -ECONNRESET, FAULT_PROXY, "proxy", "the proxy closed the connection");
        if (n < 0)
            return (int) n;
        size_t used;
        r = proxy_feed(s->proxy, in, (size_t) n, &used, fault);
        if (r < 0 || r == PROXY_AGAIN)
            return r;
        if (r == 0 && used < (size_t) n)
            return fault_set(fault, -EPROTO, FAULT_PROXY, "proxy", "the proxy answered what was not asked yet");
        if (r == 1) {
            if (buffer_append(&s->glued, in + used, (size_t) n - used) < 0)
                return fault_set(fault, -ENOMEM, FAULT_INTERNAL, "proxy", "out of memory");
            return 1;
        }
    }
}

int session_step_proxy(struct session *s, struct fault *fault)
{
    if (s->read_size == 0)
        s->read_size = READ_MIN;
    if (s->via_proxy) {
        int r = begin_proxy(s, fault);
        if (r > 0)
            r = proxy_dialogue(s, fault);
        if (r == PROXY_AGAIN) {
            reach_proxy_again(s);
            return 1;
        }
        if (r <= 0) {
            /* Whatever failed here failed between us and the proxy. */
            if (r < 0 && fault->kind != FAULT_INTERNAL) {
                fault->kind = FAULT_PROXY;
                fault->stage = "proxy";
            }
            return r;
        }
        proxy_stage_free(s->proxy);
        s->proxy = NULL;
    }
    session_set_state(s, SESSION_TLS);
    return 1;
}

int session_step_tls(struct session *s, struct fault *fault)
{
    if (!s->config.implicit_tls && !s->engine)
        return 1;
    if (!s->tls) {
        struct tls_config config;
        tls_config_of_endpoint(&config, s->endpoint);
        int r = tls_stage_new(s->net->tls, &config, s->tickets, &s->tls, fault);
        if (r < 0)
            return r;
    }
    int r = handshake(s, s->tls, LAYER_TUNNEL, fault);
    if (r <= 0)
        return r;
    s->view.times.tls_ms = loop_now_ms(s->net->loop) - s->state_ms;
    socket_quickack(s->fd);
    return 1;
}

/* --- the engine's input --- */

static void give_back_input(struct session *s)
{
    free(s->in);
    s->in = NULL;
}

/* The engine has no room for more: what comes waits in the kernel. */
static bool is_full(const struct session *s)
{
    bool open = s->view.state == SESSION_READY || s->view.state == SESSION_BUSY;
    unsigned wants = open ? s->engine->ops->wants(s->engine) : ENGINE_WANT_READ;
    return !(wants & (ENGINE_WANT_READ | ENGINE_WANT_START_TLS | ENGINE_WANT_START_DEFLATE | ENGINE_WANT_CLOSED));
}

/* Lets the engine say all it has to say of what it was fed. 1: all was used up, 0: held back, <0: failed. */
static int pull_events(struct session *s, struct fault *fault)
{
    struct engine_event *event;
    for (;;) {
        if (s->n_paused)
            return 0;
        int r = s->engine->ops->next(s->engine, &event);
        if (r == 0)
            return 1;
        if (r < 0) {
            *fault = s->engine->fault;
            return r;
        }
        s->turn_events++;
        session_dispatch(s, event);
        if (session_is_dead(s))
            return 0;
    }
}

/* The server's side is closed. */
static int end_of_input(struct session *s, struct fault *fault)
{
    int r = s->engine->ops->eof(s->engine);
    if (r >= 0)
        r = pull_events(s, fault);
    if (r < 0) {
        if (!fault_is_set(fault))
            *fault = s->engine->fault;
        if (!fault_is_set(fault))
            fault_set(fault, r, FAULT_DISCONNECTED, session_stage(s), "the server closed the connection");
        return r;
    }
    if (session_is_dead(s))
        return 0;
    if (s->view.state == SESSION_CLOSING && list_is_empty(&s->exchanges)) {
        session_abort(s, NULL);
        return 0;
    }
    return fault_set(fault, -ECONNRESET, FAULT_DISCONNECTED, session_stage(s), "the server closed the connection");
}

int session_input(struct session *s, struct fault *fault)
{
    for (size_t budget = TURN_BUDGET;;) {
        s->turn_events = 0;
        int r = pull_events(s, fault);
        if (r <= 0) {
            if (r < 0)
                give_back_input(s);
            return r;
        }
        budget -= MIN(budget, s->turn_events * EVENT_COST);
        if (budget == 0) {
            session_wake(s);
            break;
        }
        /* The handshake must see what follows the agreement to it, not the engine. */
        if ((s->engine->ops->wants(s->engine) & (ENGINE_WANT_START_TLS | ENGINE_WANT_START_DEFLATE)) || is_full(s))
            break;
        if (s->in_cap < s->read_size)
            give_back_input(s);
        s->in_cap = s->read_size;
        if (!s->in && !(s->in = malloc(s->in_cap)))
            return fault_set(fault, -ENOMEM, FAULT_INTERNAL, session_stage(s), "out of memory");
        ssize_t n = layer_read(s, LAYER_APP, s->in, s->in_cap, fault);
        if (n == -EAGAIN)
            break;
        if (n <= 0) {
            give_back_input(s);
            return n < 0 ? (int) n : end_of_input(s, fault);
        }
        budget -= MIN(budget, (size_t) n);
        if ((size_t) n == s->in_cap && s->read_size < READ_MAX)
            s->read_size *= 2;
        r = s->engine->ops->feed(s->engine, s->in, (size_t) n);
        if (r < 0) {
            *fault = s->engine->fault;
            give_back_input(s);
            return r;
        }
    }
    int r = pull_events(s, fault);
    if (r == 0)
        return 0;
    give_back_input(s);
    return r < 0 ? r : 0;
}

/* --- the socket --- */

static bool stages_have_output(const struct session *s)
{
    return (s->deflate && deflate_output(s->deflate).len) || (s->tls && tls_output(s->tls).len) || (s->proxy_tls && tls_output(s->proxy_tls).len);
}

ssize_t session_io_read(struct session *s, char *buf, size_t len, struct fault *fault)
{
    return layer_read(s, LAYER_APP, buf, len, fault);
}

ssize_t session_io_write(struct session *s, struct slice bytes, struct fault *fault)
{
    ssize_t n = bytes.len ? write_piece(s, bytes, fault) : 0;
    int r = n < 0 ? 0 : flush(s, fault);
    return r < 0 ? r : n;
}

int session_want(struct session *s)
{
    if (s->view.state == SESSION_RELAY)
        return loop_io_want(&s->io, (session_relay_wants_input(s) ? LOOP_READ : 0) |
                                        (session_relay_has_output(s) || stages_have_output(s) ? LOOP_WRITE : 0));
    unsigned want = s->n_paused || is_full(s) ? 0 : LOOP_READ;
    bool pending = stages_have_output(s) || (s->proxy && proxy_output(s->proxy).len) ||
                   (s->engine && s->view.state != SESSION_TLS && s->engine->ops->output(s->engine).len);
    return loop_io_want(&s->io, want | (pending ? LOOP_WRITE : 0));
}

void session_io_ready(void *arg, unsigned what)
{
    struct session *s = arg;
    if (what & LOOP_READ)
        s->drained = false;
    s->step.run(s->step.arg);
}

void session_io_close(struct session *s)
{
    struct fault ignored = {0};
    /* The end is announced, unless bytes of exchanges wait before it: these must not go out any more. */
    if (s->fd >= 0 && s->n_marks == 0) {
        if (s->tls)
            tls_close(s->tls);
        (void) flush(s, &ignored);
    }
    session_relay_free(s);
    loop_io_done(&s->io);
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    deflate_stage_free(s->deflate);
    s->deflate = NULL;
    tls_stage_free(s->tls);
    tls_stage_free(s->proxy_tls);
    proxy_stage_free(s->proxy);
    s->tls = s->proxy_tls = NULL;
    s->proxy = NULL;
    buffer_done(&s->glued);
    free(s->hop);
    s->hop = NULL;
}
