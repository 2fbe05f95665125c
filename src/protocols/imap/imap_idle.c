/* SPDX-License-Identifier: MIT */
/* IDLE (RFC 2177): a command that lasts until the client says DONE, which it may only after the server's "+". */
#include "imap_internal.h"

/* Says DONE where it is due and the server waits for it. */
static int end_idle(struct imap_client *c, struct imap_command *cmd)
{
    if (!cmd->idle_over || cmd->idle != IMAP_IDLE_ON)
        return 0;
    writer_begin(&c->writer);
    writer_raw_str(&c->writer, "DONE");
    int ret = writer_end(&c->writer);
    if (ret < 0)
        return imap_fail_io(c, ret);
    cmd->idle = IMAP_IDLE_ENDED;
    imap_trace_written(c);
    return 0;
}

int imap_idle_continued(struct imap_client *c, struct imap_command *cmd)
{
    if (cmd->idle == IMAP_IDLE_ASKED)
        cmd->idle = IMAP_IDLE_ON;
    return end_idle(c, cmd);
}

int imap_client_end_idle(struct engine *e, struct imap_command *command)
{
    struct imap_client *c = imap_client_of(e);
    if (c->error)
        return c->error;
    if (command->kind != IMAP_IDLE || command->request.state == REQUEST_NEW || command->request.state == REQUEST_ANSWERED)
        return 0;
    command->idle_over = true;
    return end_idle(c, command);
}
