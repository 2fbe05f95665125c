/* SPDX-License-Identifier: MIT */
/* The raw side of a connection: the client writes and reads bytes by itself. From the first such request on nothing that comes
 * is looked at; a command of another kind ends that, once all that came has been read, and what was selected is not known then. */
#include "imap_internal.h"

#include <errno.h>

bool imap_is_raw(enum imap_kind kind)
{
    return kind == IMAP_RAW_SEND || kind == IMAP_RAW_READ || kind == IMAP_RAW_LINE;
}

int imap_raw_check(const struct imap_client *c, const struct imap_command *cmd, struct fault *fault)
{
    const char *stage = imap_kind_stage(cmd->kind);
    bool raw = imap_is_raw(cmd->kind);
    if (!raw && c->state == IMAP_STATE_RAW && buffer_len(&c->raw))
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, stage, "bytes of the server are unread");
    if (!raw)
        return 0;
    if (c->state != IMAP_STATE_RAW && reader_pending(&c->reader))
        return fault_set(fault, -EBUSY, FAULT_BUSY, stage, "the server is in the middle of a line");
    if (cmd->kind == IMAP_RAW_READ && (cmd->body_size == 0 || cmd->body_size > IMAP_RAW_READ_MAX))
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, stage, "1 to %u bytes can be read at once", IMAP_RAW_READ_MAX);
    if (cmd->kind == IMAP_RAW_SEND && cmd->text.len > writer_room(&c->writer))
        return fault_set(fault, -EMSGSIZE, FAULT_LIMIT, stage, "too many bytes at once");
    return 0;
}

static int done(struct imap_client *c, struct imap_command *cmd, struct slice bytes)
{
    list_remove(&cmd->request.link);
    c->n_requests--;
    cmd->request.state = REQUEST_ANSWERED;
    c->event = (struct imap_event){.base = {.type = ENGINE_EVENT_DONE, .request = &cmd->request, .data = bytes}};
    return 1;
}

/* What the last event showed is gone. */
static void consume(struct imap_client *c)
{
    buffer_consume(&c->raw, c->raw_shown);
    c->raw_shown = 0;
    if (buffer_len(&c->raw) == 0)
        buffer_trim(&c->raw);
}

static int serve(struct imap_client *c, struct imap_command *cmd)
{
    struct slice have = buffer_slice(&c->raw);
    if (cmd->kind == IMAP_RAW_SEND) {
        cmd->request.begin_offset = writer_position(&c->writer);
        ssize_t n = writer_body(&c->writer, cmd->text.data, cmd->text.len);
        if (n != (ssize_t) cmd->text.len)
            return imap_fail_io(c, n < 0 ? (int) n : -EMSGSIZE);
        cmd->request.end_offset = writer_position(&c->writer);
        return done(c, cmd, SLICE_EMPTY);
    }
    size_t want = (size_t) cmd->body_size;
    if (cmd->kind == IMAP_RAW_LINE) {
        want = slice_find(have, '\n') + 1;
        if (want > have.len && have.len >= IMAP_RAW_READ_MAX)
            return imap_fail(c, -EMSGSIZE, FAULT_PROTOCOL, "the server's line is longer than allowed");
    }
    if (want > have.len)
        return 0;
    c->raw_shown = want;
    return done(c, cmd, slice_to(have, want));
}

int imap_raw_receive(struct imap_client *c)
{
    struct slice piece;
    consume(c);
    while ((piece = reader_take(&c->reader, UINT64_MAX)).len)
        if (buffer_append_slice(&c->raw, piece) < 0)
            return imap_fail_io(c, buffer_room(&c->raw) < piece.len ? -EMSGSIZE : -ENOMEM);
    struct engine_request *r = list_first(&c->engine.requests, struct engine_request, link);
    return r ? serve(c, imap_command_of(r)) : 0;
}

struct slice imap_client_unread(const struct engine *e)
{
    const struct imap_client *c = imap_client_of(e);
    return slice_from(buffer_slice(&c->raw), c->raw_shown);
}
