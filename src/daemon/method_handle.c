/* SPDX-License-Identifier: MIT */
/* smtp.get_handle, imap.get_handle, pop3.get_handle (and .socket): a session's connection, handed over. */
#include "imap_client.h"
#include "methods.h"
#include "pop3_client.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct slice read_ahead(const struct op_session *s)
{
    const struct engine *e = session_engine(op_session_net(s));
    if (s->protocol == PROTOCOL_IMAP)
        return imap_client_unread(e);
    return s->protocol == PROTOCOL_POP3 ? pop3_client_unread(e) : SLICE_EMPTY;
}

static int get_handle_run(struct op *op)
{
    int fds[2];

    if (!op_session_net(op->session))
        return op_refuse(op, FAULT_NO_SUCH_SESSION, "the session has ended");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return op_refuse(op, FAULT_LIMIT, "no socket is to be had: %s", strerror(errno));
    /* Only our end: how the client waits is its own matter. */
    int r = fcntl(fds[0], F_SETFL, O_NONBLOCK);
    r = r < 0 ? op_refuse(op, FAULT_INTERNAL, "%s", strerror(errno)) : op_session_hand_over(op, fds[0], read_ahead(op->session));
    if (r < 0) {
        close(fds[0]);
        close(fds[1]);
        return r;
    }
    json_write_object_begin(&op->w);
    r = op_write_fd(op, "handle", fds[1]);
    json_write_object_end(&op->w);
    return r < 0 ? r : OP_DONE;
}

const struct op_handler get_handle_handler = {.run = get_handle_run};
