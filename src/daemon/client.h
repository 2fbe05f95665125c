/* SPDX-License-Identifier: MIT */
/* One connection of a client: the socket, who is at its other end, what it has asked and not been answered. Reads with
 * recvmsg and writes with sendmsg, descriptors included; rpc_peer knows what the bytes mean, op.c what is done about
 * them.
 *
 * Reading stops while more than CLIENT_OUTPUT_HIGH bytes of answers wait, while max_calls_per_client calls are in
 * flight, and after the client has shut down its writing side: then its calls finish, are answered, and the connection
 * is closed. A client that takes nothing for client_stall has its calls failed; one that lets more than
 * output_hard_limit pile up, or breaks the rules on descriptors, is closed. Whatever ends a connection ends its calls
 * and sessions. An idle client holds no buffer. Loop thread only. */
#ifndef POSTERN_CLIENT_H
#define POSTERN_CLIENT_H

#include "access.h"
#include "gateway.h"
#include "rpc_peer.h"

#define CLIENT_OUTPUT_HIGH (256 * 1024)
#define CLIENT_OUTPUT_LOW (64 * 1024)
#define CLIENT_SESSIONS_MAX 64

enum client_state {
    CLIENT_OPEN,     /* reads and writes */
    CLIENT_NO_INPUT, /* its writing side is shut down, or what it sent forbids to read on: answers go out, then it ends
                      */
    CLIENT_GONE      /* taken apart; freed when the dispatch has ended */
};

/* Bytes of long answers that were handed over and still wait; counted, because they may outlive the connection. */
struct client_load {
    unsigned refs;
    size_t bytes;
};
struct client_load *client_load_ref(struct client_load *l);
void client_load_unref(struct client_load *l);

/* What was answered for a mailbox on this connection (op_uidvalidity_…). */
struct mailbox_memory;
struct ended_sessions;

struct client {
    struct list link; /* gateway->clients */
    struct gateway *gateway;
    struct user *user;
    struct peer peer; /* its groups are `groups` */
    gid_t *groups;
    uint64_t number;
    int fd;
    enum client_state state;
    struct loop_io io;
    struct rpc_peer rpc;
    struct list ops;      /* struct op_core */
    struct list sessions; /* struct op_session_core */
    size_t n_sessions;
    struct list subscriptions; /* struct event_sub */
    struct ended_sessions *ended; /* op_session.c's */
    struct mailbox_memory *mailboxes;
    struct client_load *load;
    struct loop_task flush_task;
    struct loop_timer partial_timer; /* an unfinished line */
    uint64_t partial_line;           /* which one it is, by rpc_peer_lines() */
    struct loop_timer stall_timer;   /* output that nobody takes; while nothing is read: is it still there? */
    bool reading;                    /* inside the reading loop: output is written at its end */
    bool full;                       /* max_calls_per_client are in flight */
    bool held;                       /* over the high mark: calls that stream are held back */
};

/* Takes over the accepted socket, also on failure: NULL when it had to be closed. */
struct client *client_new(struct gateway *g, int fd);
/* Ends it at once. Frees later, when nobody can be looking at it any more. */
void client_close(struct client *c, const char *why);
/* No more input is read, and it ends when all has been answered (shutdown). */
void client_end_input(struct client *c);
/* Something was put into its output: it is written when the present dispatch ends, or the reading loop. */
void client_flush_later(struct client *c);
/* A call was freed: there may be room for another. */
void client_call_ended(struct client *c);
/* Answers wait beyond the high mark. */
bool client_is_slow(const struct client *c);

/* mailboxes.c: remembers at most a few hundred mailboxes a connection, the oldest go first. */
bool mailbox_memory_find(const struct mailbox_memory *m, const struct account *account, struct slice mailbox,
                         uint32_t *ret);
void mailbox_memory_set(struct mailbox_memory **m, const struct account *account, struct slice mailbox, uint32_t value);
void mailbox_memory_free(struct mailbox_memory *m);

#endif
