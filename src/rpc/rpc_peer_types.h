/* SPDX-License-Identifier: MIT */
/* Between rpc_peer.c, which reads requests, and rpc_answer.c, which writes answers. */
#ifndef POSTERN_RPC_PEER_TYPES_H
#define POSTERN_RPC_PEER_TYPES_H

#include "rpc_peer.h"

/* Answers of one batch gather here, in the order in which they become ready. */
struct rpc_batch {
    struct rpc_peer *peer; /* NULL: the connection has gone */
    struct rpc_output output;
    size_t n_left; /* entries that are neither answered nor freed */
    bool any;      /* an answer has been written */
};

/* An entry is over; the last one sends the batch's answer. */
void rpc_batch_entry_done(struct rpc_batch *b);
/* Takes the request's id out of those in flight, and its place in a batch. */
void rpc_request_answered(struct rpc_request *r);
/* A message that belongs to no request: an error with id null. */
void rpc_peer_error(struct rpc_peer *p, const struct fault *fault);

#endif
