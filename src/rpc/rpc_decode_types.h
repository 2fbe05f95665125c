/* SPDX-License-Identifier: MIT */
/* Between rpc_decode.c, which walks rows, and rpc_decode_types.c, which decodes one value of each type. */
#ifndef POSTERN_RPC_DECODE_TYPES_H
#define POSTERN_RPC_DECODE_TYPES_H

#include "rpc_decode.h"
#include "rpc_framing.h"

struct rpc_decoder {
    const struct rpc_decode *d;
    struct json_reader reader;
    struct fault *fault;
    bool in_session;
    uint64_t fds_used[(RPC_FDS_PER_MESSAGE + 63) / 64];
    size_t path_len;
    char path[RPC_PARAM_PATH_MAX]; /* of the value that is being decoded */
};

/* "PATH must …": always -EINVAL. */
int rpc_refuse(struct rpc_decoder *d, const char *must);
int rpc_out_of_room(struct rpc_decoder *d);
size_t rpc_path_push(struct rpc_decoder *d, struct slice name);
size_t rpc_path_push_index(struct rpc_decoder *d, size_t index);
void rpc_path_pop(struct rpc_decoder *d, size_t was);

/* Index of the name, compared without case, or RPC_ENUM_ABSENT. */
int rpc_enum_index(const char *const *names, struct slice s);
/* The next value into *at, as f->type says. Negative: refused, with the fault set, or the reader's error. */
int rpc_decode_field(struct rpc_decoder *d, const struct rpc_field *f, void *at);
/* The next value into the zeroed struct that `object` describes. */
int rpc_decode_object(struct rpc_decoder *d, const struct rpc_object *object, void *out);

#endif
