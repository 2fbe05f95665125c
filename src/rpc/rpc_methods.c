/* SPDX-License-Identifier: MIT */
#include "rpc_methods.h"

#include "rpc_decode.h"
#include "rpc_hash.h"

#include <errno.h>
#include <pthread.h>

static const struct rpc_method *const rows[RPC_METHOD_COUNT] = {
#define ROW(id, row) [RPC_##id] = &api_##row,
    RPC_METHODS(ROW)
#undef ROW
};

/* Names and aliases, hashed: built once, then only read. */
#define INDEX_SIZE 1024
_Static_assert(RPC_METHOD_COUNT * 5 < INDEX_SIZE, "names and aliases must leave room in the index");

static struct index_entry {
    struct slice name;
    unsigned id;
} name_index[INDEX_SIZE];
static pthread_once_t index_once = PTHREAD_ONCE_INIT;

static unsigned index_hash(struct slice name)
{
    return (unsigned) (rpc_hash_short(name, 0) & (INDEX_SIZE - 1));
}

static void index_add(const char *text, unsigned id)
{
    struct slice name = slice_of_str(text);
    unsigned at = index_hash(name);
    while (name_index[at].name.len)
        at = (at + 1) & (INDEX_SIZE - 1);
    name_index[at] = (struct index_entry){name, id};
}

static void index_build(void)
{
    for (unsigned id = 0; id < RPC_METHOD_COUNT; id++) {
        index_add(rows[id]->name, id);
        for (size_t i = 0; i < ARRAY_LEN(rows[id]->aliases) && rows[id]->aliases[i]; i++)
            index_add(rows[id]->aliases[i], id);
    }
}

const struct rpc_method *rpc_method_row(enum rpc_method_id id)
{
    return (unsigned) id < RPC_METHOD_COUNT ? rows[id] : NULL;
}

int rpc_method_find(struct slice name, enum rpc_method_id *ret)
{
    pthread_once(&index_once, index_build);
    if (name.len == 0 || name.len > 64)
        return -ENOENT;
    for (unsigned at = index_hash(name); name_index[at].name.len; at = (at + 1) & (INDEX_SIZE - 1))
        if (slice_eq(name_index[at].name, name)) {
            *ret = (enum rpc_method_id) name_index[at].id;
            return 0;
        }
    return -ENOENT;
}

const char *rpc_method_similar(struct slice name)
{
    const char *names[RPC_METHOD_COUNT * 5];
    size_t n = 0;

    for (unsigned id = 0; id < RPC_METHOD_COUNT; id++) {
        names[n++] = rows[id]->name;
        for (size_t i = 0; i < ARRAY_LEN(rows[id]->aliases) && rows[id]->aliases[i]; i++)
            names[n++] = rows[id]->aliases[i];
    }
    return rpc_similar_name(name, names, n);
}

/* ---- parameters that all calls share ------------------------------------------------------------------------ */

static const char *const form_names[] = {"auto", "text", "base64", "fd", "pipe", NULL};

#define COMMON(member) RPC_AT(rpc_common, member)

static const struct rpc_field common_fields[] = {
    {"timeout", RPC_MS, COMMON(timeout_ms), .min = 1, .max = INT64_C(31536000000),
     .doc = "Milliseconds after which the whole call ends with the error `timeout`. Default: the daemon's call_timeout."},
    {"content", RPC_ENUM, COMMON(content), .names = form_names, .initial = "\"auto\"",
     .doc = "The form of contents in the answer: `text`, `base64`, `fd` (a sealed memfd), `pipe` (the bytes as they come), "
            "or `auto`: text where the bytes are UTF-8 without NUL, base64 else."},
    {"stream", RPC_BOOL, COMMON(stream), .initial = "false",
     .doc = "Send every item of the list by itself, as a `stream` notification, before the response."},
    {"progress", RPC_BOOL, COMMON(progress), .initial = "false",
     .doc = "Send `progress` notifications, at most ten a second."},
};

const struct rpc_object rpc_common_object = {
    RPC_FIELDS(common_fields), .size = sizeof(struct rpc_common)};

static const struct rpc_field where_fields[] = {
    {"account", RPC_STRING, COMMON(account), .flags = RPC_NUL_OK,
     .doc = "The account, by its name in the configuration."},
    {"options", RPC_OPTIONS, COMMON(options),
     .doc = "Instead of an account: a server of the caller's choosing, with the configuration's keys (times in ms)."},
    {"session", RPC_STRING, COMMON(session), .flags = RPC_NUL_OK,
     .doc = "Instead of an account: a session that this client has opened."},
};

const struct rpc_object rpc_where_object = {
    RPC_FIELDS(where_fields), .size = sizeof(struct rpc_common)};

const struct rpc_object rpc_nothing = {.size = sizeof(struct api_none_params)};
