/* SPDX-License-Identifier: MIT */
/* Requests on their way to the server: the queue, what may be written of it now, and the bodies. */
#include "imap_internal.h"

#include <errno.h>
#include <stdio.h>

/* Conflicts with what was submitted before `until` (NULL: all) and is not done. */
static bool would_wait(const struct imap_client *c, const struct imap_command *cmd, const struct engine_request *until)
{
    struct engine_request *r;
    list_foreach (&c->engine.requests, r, struct engine_request, link) {
        if (r == until)
            break;
        if (imap_conflicts(c, imap_command_of(r), cmd))
            return true;
    }
    return c->own_pending && imap_conflicts(c, &c->own, cmd);
}

bool imap_client_would_wait(const struct engine *e, const struct imap_command *command)
{
    return would_wait(imap_client_of(e), command, NULL);
}

/* The command is out but for a body. */
static void written(struct imap_client *c, struct imap_command *cmd)
{
    cmd->request.begin_offset = c->writer.begin;
    cmd->request.end_offset = writer_position(&c->writer);
    bool partly = imap_has_body(cmd) && cmd->literal_due;
    cmd->request.state = partly ? REQUEST_PARTLY_WRITTEN : REQUEST_WRITTEN;
    imap_trace_written(c);
    if (partly) {
        cmd->request.end_offset = UINT64_MAX;
        cmd->body_open = !writer_is_stopped(&c->writer);
    }
    imap_selected_written(c, cmd);
}

static bool body_under_way(const struct imap_client *c)
{
    struct engine_request *r;
    list_foreach (&c->engine.requests, r, struct engine_request, link)
        if (r->state == REQUEST_PARTLY_WRITTEN)
            return true;
    return false;
}

int imap_write_own(struct imap_client *c, enum imap_kind kind)
{
    static const struct slice messages = SLICE("MESSAGES");
    c->own = (struct imap_command){.kind = kind, .mailbox = SLICE("INBOX"), .items = &messages, .n_items = 1};
    imap_new_tag(c, c->own.tag);
    int ret = imap_command_write(c, &c->own);
    if (ret < 0)
        return imap_fail_io(c, ret);
    imap_trace_written(c);
    c->own_pending = true;
    return 0;
}

int imap_pump(struct imap_client *c)
{
    struct engine_request *r;
    if (c->state != IMAP_STATE_READY)
        return 0;
    list_foreach (&c->engine.requests, r, struct engine_request, link) {
        if (r->state != REQUEST_QUEUED)
            continue;
        struct imap_command *cmd = imap_command_of(r);
        if (body_under_way(c) || writer_is_stopped(&c->writer) || buffer_len(&c->writer.out) >= IMAP_OUTPUT_LOW ||
            would_wait(c, cmd, r))
            return 0;
        if (imap_is_step(cmd->kind))
            return imap_step_begin(c, cmd);
        if (imap_is_raw(cmd->kind)) {
            c->box.selected = false;
            imap_set_state(c, IMAP_STATE_RAW);
            return 0;
        }
        imap_new_tag(c, cmd->tag);
        int ret = imap_command_write(c, cmd);
        if (ret < 0)
            return imap_fail_io(c, ret);
        written(c, cmd);
    }
    if (c->quitting && c->n_requests == 0 && !c->own_pending) {
        int ret = imap_write_own(c, IMAP_LOGOUT);
        if (ret < 0)
            return ret;
        imap_set_state(c, IMAP_STATE_LOGOUT);
    }
    return 0;
}

int imap_client_submit(struct engine *e, struct imap_command *command, struct fault *fault)
{
    struct imap_client *c = imap_client_of(e);
    if (c->error)
        return c->error;
    bool open = c->state == IMAP_STATE_READY || c->state == IMAP_STATE_CHALLENGED || c->state == IMAP_STATE_RAW;
    if (!open || c->quitting)
        return fault_set(fault, -EBUSY, FAULT_UNAVAILABLE, imap_kind_stage(command->kind),
                         "the connection takes no further command");
    int ret = imap_command_check(c, command, fault);
    if (ret < 0)
        return ret;
    command->request.state = REQUEST_QUEUED;
    command->request.begin_offset = command->request.end_offset = UINT64_MAX;
    command->request.has_body = imap_has_body(command);
    command->request.changes = imap_command_changes(command);
    command->status = IMAP_STATUS_NONE;
    command->body_open = command->answered_early = command->idle_over = false;
    command->idle = IMAP_IDLE_ASKED;
    command->wanted = 0;
    if (command->kind == IMAP_FETCH)
        for (size_t i = 0; i < command->n_items; i++)
            command->wanted |= IMAP_ITEM_BIT(imap_item_kind_of_request(command->items[i]));
    list_append(&c->engine.requests, &command->request.link);
    c->n_requests++;
    if (c->state == IMAP_STATE_CHALLENGED)
        return imap_step_begin(c, command);
    if (c->state == IMAP_STATE_RAW && !imap_is_raw(command->kind))
        imap_set_state(c, IMAP_STATE_READY);
    return imap_pump(c);
}

int imap_request_submit(struct engine *e, struct engine_request *request, struct fault *fault)
{
    return imap_client_submit(e, imap_command_of(request), fault);
}

int imap_request_withdraw(struct engine *e, struct engine_request *request)
{
    struct imap_client *c = imap_client_of(e);
    if (request->state != REQUEST_QUEUED)
        return -EBUSY;
    list_remove(&request->link);
    request->state = REQUEST_NEW;
    c->n_requests--;
    return imap_pump(c);
}

int imap_request_end_wait(struct engine *e, struct engine_request *request)
{
    return imap_client_end_idle(e, imap_command_of(request));
}

struct engine_request *imap_request_with_body(const struct engine *e)
{
    const struct imap_client *c = imap_client_of(e);
    struct engine_request *r;
    list_foreach (&c->engine.requests, r, struct engine_request, link)
        if (r->state == REQUEST_PARTLY_WRITTEN && imap_command_of(r)->body_open)
            return r;
    return NULL;
}

/* A literal's bytes are all written: what follows it is, too, up to the next literal or to the end. */
static int literal_done(struct imap_client *c, struct imap_command *cmd, bool last)
{
    struct engine_request *r = &cmd->request;
    struct writer *w = &c->writer;
    bool single = !cmd->messages;
    if (single && !last)
        return 0; /* the end is still to be said */
    writer_begin(w);
    /* Refused in the middle of a literal: nothing more is worth sending. */
    bool more = !cmd->answered_early && imap_append_on(w, cmd);
    int ret = more ? writer_finish(w) : writer_end(w);
    if (ret < 0)
        return imap_fail_io(c, ret);
    if (more) {
        imap_trace_written(c);
        cmd->body_open = !writer_is_stopped(w);
        return 0;
    }
    cmd->body_open = false;
    r->state = REQUEST_WRITTEN;
    r->end_offset = writer_position(w);
    if (cmd->answered_early)
        c->early_done = cmd;
    return imap_pump(c);
}

ssize_t imap_request_body(struct engine *e, const char *bytes, size_t len, bool last)
{
    struct imap_client *c = imap_client_of(e);
    struct engine_request *r = imap_request_with_body(e);
    if (c->error)
        return c->error;
    if (!r)
        return 0;
    struct imap_command *cmd = imap_command_of(r);
    if (len > cmd->body_left)
        return imap_fail(c, -EINVAL, FAULT_INTERNAL, "the message is longer than was announced");
    size_t room = IMAP_OUTPUT_LOW + BUFSIZ - MIN(buffer_len(&c->writer.out), (size_t) IMAP_OUTPUT_LOW);
    ssize_t taken = len ? writer_body(&c->writer, bytes, MIN(len, room)) : 0;
    if (taken < 0)
        return imap_fail_io(c, (int) taken);
    cmd->body_left -= (uint64_t) taken;
    if ((size_t) taken < len || (cmd->body_left > 0 && !last))
        return taken;
    if (cmd->body_left > 0)
        return imap_fail(c, -EINVAL, FAULT_INTERNAL, "the message is shorter than was announced");
    int ret = literal_done(c, cmd, last);
    return ret < 0 ? ret : taken;
}

int imap_request_body_abort(struct engine *e)
{
    struct imap_client *c = imap_client_of(e);
    if (c->error)
        return c->error;
    /* A literal that was announced can only be completed or cut off with the connection; cut off, it is not stored. */
    return imap_fail(c, -ECANCELED, FAULT_CANCELLED, "the message could not be read to its end");
}
