/* SPDX-License-Identifier: MIT */
/* Parameters into a method's struct, by its row, in one pass over their text. The text is written to (strings are
 * unescaped in place) and slices in the struct point into it. */
#ifndef POSTERN_RPC_DECODE_H
#define POSTERN_RPC_DECODE_H

#include "arena.h"
#include "fault.h"
#include "json_reader.h"
#include "macros.h"
#include "rpc_method.h"

#define RPC_PARAM_PATH_MAX 160

/* What an error object says about a refused parameter beside the fault's text. */
struct rpc_hint {
    char param[RPC_PARAM_PATH_MAX]; /* "message.attachments[0].filename", cut; "": none */
    const char *did_you_mean;       /* static; NULL: none */
};

struct rpc_decode {
    struct arena *arena;       /* takes arrays and nested structs */
    struct json_keyset *keys;
    size_t n_fds;              /* descriptors of the request */
    struct rpc_hint *hint;     /* filled with the fault; may be NULL */
};

/* `params`: the object as json_read_skip() gave it; empty: none were sent. `out`: the zeroed struct of
 * `method->params->size` bytes. 0; -EINVAL with FAULT_INVALID_PARAMS; -ENOMEM with FAULT_INTERNAL or, over the
 * arena's limit, FAULT_LIMIT. */
int rpc_decode_params(const struct rpc_decode *d, const struct rpc_method *method, struct slice params, void *out,
                      struct fault *fault) ATTR_WARN_UNUSED;

/* The name out of `n` that `name` is a slip of, or NULL: at most a third of its characters differ. */
const char *rpc_similar_name(struct slice name, const char *const *names, size_t n);

#endif
