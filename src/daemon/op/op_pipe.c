/* SPDX-License-Identifier: MIT */
/* Contents that leave through a pipe: written as far as the pipe takes them, the rest when it has room again. */
#include "op_core.h"

#include "must.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define PIPE_ROOM (256 * 1024)             /* asked of the kernel; it may give less */
#define PIPE_WAITING_MAX (4 * 1024 * 1024) /* more than any piece that a paused exchange still delivers */
#define PIPE_TURN (512 * 1024)

struct op_pipe {
    struct list link;
    struct op_core *core;
    int fd; /* -1: closed */
    struct loop_io io;
    struct loop_timer stall; /* while a server waits for the reader */
    struct buffer waiting;
    struct spool *spool; /* where the bytes come from, when all of them are there */
    uint64_t spool_offset;
    uint64_t done;
    bool ended;
};

static void pipe_close(struct op_pipe *p)
{
    loop_timer_done(&p->stall);
    loop_io_done(&p->io);
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
}

bool op_pipes_drained(const struct op_core *core)
{
    const struct op_pipe *p;
    list_foreach (&core->pipes, p, struct op_pipe, link)
        if (p->fd >= 0)
            return false;
    return true;
}

void op_pipes_done(struct op_core *core)
{
    struct op_pipe *p;
    list_foreach (&core->pipes, p, struct op_pipe, link) {
        list_remove(&p->link);
        pipe_close(p);
        buffer_done(&p->waiting);
        spool_unref(p->spool);
        free(p);
    }
}

static void pipe_fail(struct op_pipe *p, int err)
{
    struct op *op = &p->core->op;
    struct fault fault = {0};
    if (err == EPIPE)
        fault_set(&fault, -err, FAULT_CANCELLED, NULL, "the reader of the pipe has gone");
    else
        fault_set(&fault, -err, FAULT_STORAGE, NULL, "pipe: %s", strerror(err));
    pipe_close(p);
    op_fail(op, &fault);
}

/* Who does not read keeps a connection from others. */
static void pipe_stalled(void *arg)
{
    struct op_pipe *p = arg;
    struct op *op = &p->core->op;
    struct fault fault = {.limit = "client_stall"};
    fault_set(&fault, -ETIMEDOUT, FAULT_LIMIT, NULL, "nobody took anything from the pipe for client_stall");
    pipe_close(p);
    op_fail(op, &fault);
}

static void await_reader(struct op_pipe *p)
{
    loop_timer_set(&p->stall, gateway_config(p->core->op.gateway)->client_stall_ms);
}

/* Everything has been given and taken: the reader sees the end, then the client hears of it. */
static void pipe_complete(struct op_pipe *p)
{
    struct op_core *core = p->core;
    pipe_close(p);
    if (core->client && core->op.request) {
        rpc_peer_progress(&core->client->rpc, core->op.request->id, p->done, (int64_t) p->done);
        client_flush_later(core->client);
    }
    if (core->finish_due && op_pipes_drained(core))
        op_finish(&core->op);
}

/* >0 bytes written, 0: no room now, <0: the op has failed. */
static ssize_t pipe_put(struct op_pipe *p, struct slice bytes)
{
    ssize_t n = write(p->fd, bytes.data, bytes.len);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n < 0) {
        int err = errno;
        pipe_fail(p, err);
        return -err;
    }
    p->done += (uint64_t) n;
    return n;
}

/* The next bytes of the spool into `waiting`. */
static int refill(struct op_pipe *p)
{
    char *at;
    size_t n = 0;
    if (!p->spool || buffer_len(&p->waiting) > 0 || p->spool_offset >= spool_size(p->spool))
        return 0;
    int r = buffer_reserve(&p->waiting, SPOOL_MEMORY, &at);
    if (r == 0)
        r = spool_read(p->spool, p->spool_offset, at, SPOOL_MEMORY, &n);
    if (r < 0)
        return r;
    buffer_commit(&p->waiting, n);
    p->spool_offset += n;
    return n > 0 ? 0 : -EIO;
}

static void pipe_step(struct op_pipe *p)
{
    for (size_t turn = 0; turn < PIPE_TURN;) {
        int r = refill(p);
        if (r < 0) {
            pipe_fail(p, -r);
            return;
        }
        if (buffer_len(&p->waiting) == 0)
            break;
        ssize_t n = pipe_put(p, buffer_slice(&p->waiting));
        if (n < 0)
            return;
        if (n == 0)
            break;
        buffer_consume(&p->waiting, (size_t) n);
        turn += (size_t) n;
    }
    if (p->stall.due_ms)
        await_reader(p);
    bool more = buffer_len(&p->waiting) > 0 || (p->spool && p->spool_offset < spool_size(p->spool));
    if (!more)
        buffer_trim(&p->waiting);
    if (loop_io_want(&p->io, more ? LOOP_WRITE : 0) < 0)
        pipe_fail(p, ENOMEM);
    else if (!more && p->ended)
        pipe_complete(p);
    else if (!more) {
        loop_timer_clear(&p->stall);
        op_exchanges_resume(p->core, PAUSE_PIPE);
    }
}

static void pipe_ready(void *arg, unsigned what)
{
    (void) what;
    pipe_step(arg);
}

struct op_pipe *op_pipe_open(struct op *op, const char *key, uint64_t size)
{
    struct op_core *core = op_core_of(op);
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0) {
        fault_set(&op->fault, -errno, FAULT_STORAGE, NULL, "pipe: %s", strerror(errno));
        return NULL;
    }
    /* Each end has flags of its own: ours does not wait, the reader's may. */
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    fcntl(fds[1], F_SETPIPE_SZ, PIPE_ROOM);
    struct op_pipe *p = must_calloc(1, sizeof(*p));
    p->core = core;
    p->fd = fds[1];
    buffer_init(&p->waiting, PIPE_WAITING_MAX);
    list_append(&core->pipes, &p->link);
    if (loop_io_init(&p->io, op->gateway->loop, p->fd, pipe_ready, p) < 0 ||
        loop_timer_init(&p->stall, op->gateway->loop, pipe_stalled, p) < 0) {
        fault_set(&op->fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
        close(fds[0]);
        pipe_close(p);
        return NULL;
    }
    if (op_answer_put_fd(op, key, fds[0], size) < 0) {
        pipe_close(p);
        return NULL;
    }
    return p;
}

int op_pipe_write(struct op_exchange *ox, struct op_pipe *p, struct slice piece)
{
    struct op *op = &p->core->op;
    if (p->fd < 0)
        return fault_set(&op->fault, -EPIPE, FAULT_CANCELLED, NULL, "the reader of the pipe has gone");
    if (buffer_len(&p->waiting) == 0) {
        ssize_t n = pipe_put(p, piece);
        if (n < 0)
            return (int) n;
        piece = slice_from(piece, (size_t) n);
        if (piece.len == 0)
            return 0;
    }
    int r = buffer_append_slice(&p->waiting, piece);
    if (r == 0)
        r = loop_io_want(&p->io, LOOP_WRITE);
    if (r < 0)
        return fault_set(&op->fault, r, FAULT_INTERNAL, NULL, "out of memory");
    if (!p->stall.due_ms)
        await_reader(p);
    op_exchange_pause_one(ox, PAUSE_PIPE);
    return 0;
}

void op_pipe_end(struct op_pipe *p)
{
    if (p->fd < 0)
        return;
    p->ended = true;
    if (buffer_len(&p->waiting) == 0 && !p->spool)
        pipe_complete(p);
}

int op_pipe_from_spool(struct op *op, const char *key, struct spool *spool)
{
    struct op_pipe *p = op_pipe_open(op, key, spool_size(spool));
    if (!p)
        return -EMFILE;
    p->spool = spool_ref(spool);
    p->ended = true;
    if (loop_io_want(&p->io, LOOP_WRITE) < 0)
        return fault_set(&op->fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
    return 0;
}
