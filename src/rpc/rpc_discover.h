/* SPDX-License-Identifier: MIT */
/* Documents made from the method table: OpenRPC for rpc.discover, and texts for people. Pure functions. */
#ifndef POSTERN_RPC_DISCOVER_H
#define POSTERN_RPC_DISCOVER_H

#include "buffer.h"
#include "json_writer.h"
#include "macros.h"
#include "rpc_methods.h"

#define RPC_API_MAJOR 1
#define RPC_API_MINOR 0

/* The names under `features`; ends with NULL. */
extern const char *const rpc_features[];

/* The whole OpenRPC document as one value. `version`: of the package. */
void rpc_discover_write(struct json_writer *w, const char *version);
/* The JSON Schema of a parameter or of a result's member. */
void rpc_discover_schema(struct json_writer *w, const struct rpc_field *field);

/* The page for `postern help METHOD`: plain text, lines of at most 79 columns. 0 or a negative errno of the buffer. */
int rpc_help_method(struct buffer *out, enum rpc_method_id id) ATTR_WARN_UNUSED;
/* All methods with their summaries, a line each. */
int rpc_help_list(struct buffer *out) ATTR_WARN_UNUSED;
/* "METHOD\tPARAM\tTYPE[\tVALUE,VALUE…]" a line, and "METHOD" alone for each name: what completions read. */
int rpc_help_completion(struct buffer *out) ATTR_WARN_UNUSED;
/* Names a type for people: "string", "integer", "Content". */
const char *rpc_type_name(const struct rpc_field *field);
/* "pooled", and "send": the names of x-where and x-permission. */
const char *rpc_where_name(enum rpc_where where);
const char *rpc_permission_name(enum rpc_permission permission);

#endif
