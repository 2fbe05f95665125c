/* SPDX-License-Identifier: MIT */
/* The shape of the one method table: const rows, in api_*.c, from which everything about a method is made:
 * validation and decoding (rpc_decode), rpc.discover, `postern help`, completion and postern-methods(7).
 *
 * Adding a method: a line in RPC_METHODS (rpc_methods.h), a row `const struct rpc_method api_AREA_NAME` in
 * api_AREA.c, its parameter struct in api_AREA.h, and its handler, bound by RPC_AREA_NAME in the daemon. */
#ifndef POSTERN_RPC_METHOD_H
#define POSTERN_RPC_METHOD_H

#include "fault.h"
#include "macros.h"
#include "rpc_types.h"
#include "slice.h"

/* Types of parameters, of members of objects, and of members of results. In brackets: the C type that decode fills. */
enum rpc_type {
    RPC_BOOL,        /* [bool] */
    RPC_INT,         /* [int64_t] within min..max; RPC_ABSENT when left out without default */
    RPC_MS,          /* [uint64_t] milliseconds within min..max; 0 when left out */
    RPC_STRING,      /* [struct slice] data NULL when left out; min..max bytes (max 0: no bound); no NUL unless allowed */
    RPC_ENUM,        /* [int] index into `names`, or RPC_ENUM_ABSENT; compared without case */
    RPC_STRINGS,     /* [struct rpc_strings] min..max items */
    RPC_CONTENT,     /* [struct rpc_content] */
    RPC_ADDRESSES,   /* [struct rpc_addresses] */
    RPC_OBJECT,      /* [STRUCT *] NULL when left out; `object` says which */
    RPC_OBJECTS,     /* [struct rpc_objects] of `object` */
    RPC_MAP,         /* [struct rpc_map] */
    RPC_SET,         /* [struct rpc_set] */
    RPC_UIDVALIDITY, /* [struct rpc_uidvalidity] */
    RPC_TERMS,       /* [struct rpc_terms] */
    RPC_OPTIONS,     /* [struct rpc_options *] NULL when left out */
    RPC_ID,          /* [struct slice] a request's id, as the bytes that came */
    RPC_ANY,         /* [struct slice] any JSON, as the bytes that came */
    /* in results only */
    RPC_INTS,        /* an array of integers */
    RPC_UID_PAIRS,   /* [[from, to], …] */
    RPC_MAP_OF       /* a free map of `object`, or of anything when that is NULL */
};

enum rpc_field_flag {
    RPC_REQUIRED = 1 << 0, /* parameters; in results: always there */
    RPC_NULLABLE = 1 << 1, /* null is the same as left out; in results: may be null */
    RPC_NUL_OK = 1 << 2,   /* the string may hold NUL */
    RPC_LINE = 1 << 3,     /* CR and LF are refused as well as NUL */
    RPC_ONE = 1 << 4,      /* RPC_STRINGS: a single string is an array of one */
    RPC_SPLIT = 1 << 5,    /* … and is split at its spaces (with RPC_ONE) */
    RPC_SECRET = 1 << 6,   /* never shown */
    RPC_ONE_OF = 1 << 7,   /* exactly one of the fields so marked is given */
    RPC_AT_MOST_ONE = 1 << 8,   /* at most one of the fields so marked is given */
    RPC_SESSION_ONLY = 1 << 9,  /* refused without `session` */
    RPC_POOLED_ONLY = 1 << 10,  /* refused with `session` */
    RPC_POOLED_REQUIRED = 1 << 11, /* required without `session` */
    RPC_POOLED_DEFAULT = 1 << 12,  /* the default holds without `session` only */
    RPC_MAP_NULL = 1 << 13,    /* RPC_MAP: values may be null */
    RPC_MAP_NUMBERS = 1 << 14, /* RPC_MAP: values are non-negative integers */
    RPC_MAP_LISTS = 1 << 15    /* RPC_MAP: values may be arrays of strings */
};

struct rpc_object;

struct rpc_field {
    const char *name;
    enum rpc_type type;
    unsigned flags;  /* enum rpc_field_flag */
    unsigned offset; /* into the struct that decode fills; not used in results */
    int64_t min, max;
    const char *initial; /* the default as JSON; NULL: none */
    const char *const *names;        /* RPC_ENUM, RPC_STRINGS (only these, without case); ends with NULL */
    const struct rpc_object *object; /* RPC_OBJECT, RPC_OBJECTS, RPC_MAP_OF */
    const char *doc;
};

struct rpc_object {
    const char *name; /* of the schema; NULL: stands where it is used */
    const char *doc;
    const struct rpc_field *fields;
    size_t n_fields; /* at most 64 */
    size_t size;     /* of the struct that decode fills; 0 in results */
};

/* Where a method runs. */
enum rpc_where {
    RPC_LOCAL,   /* names no account */
    RPC_POOLED,  /* `account` or `options` */
    RPC_SESSION, /* `session` */
    RPC_BOTH     /* any of the three */
};

/* What the peer needs; rights are those of the account that the call names. */
enum rpc_permission {
    RPC_ALLOW_ALL,  /* nothing */
    RPC_ALLOW_PEER, /* any right on anything */
    RPC_ALLOW_USE,  /* any right on the account */
    RPC_ALLOW_SEND,
    RPC_ALLOW_READ,
    RPC_ALLOW_WRITE,
    RPC_ALLOW_RAW,
    RPC_ALLOW_ADMIN
};

enum rpc_method_flag {
    RPC_AT_ONCE = 1 << 0,   /* the handler needs its parameters only until it returns: their text is not kept */
    RPC_STREAMS = 1 << 1,   /* `stream` makes a difference */
    RPC_CHANGES = 1 << 2,   /* changes something on the server */
    RPC_CONTENTS = 1 << 3,  /* the answer holds Content */
    RPC_ACCOUNT_OPTIONAL = 1 << 4, /* RPC_POOLED: account and options may be left out; the handler decides when */
    RPC_MANUAL = 1 << 5 /* RPC_SESSION: works in a session without a connection, too */
};

struct rpc_method {
    const char *name;
    const char *aliases[4]; /* NULL: no more */
    enum rpc_where where;
    enum rpc_permission permission;
    unsigned flags; /* enum rpc_method_flag */
    const char *summary; /* one line, no full stop */
    const char *doc;     /* paragraphs, separated by an empty line; may be "" */
    const struct rpc_object *params; /* its own parameters; its struct begins with struct rpc_common */
    const struct rpc_object *result;
    uint64_t errors; /* 1 << FAULT_x of each kind that is its own; those of every call are not listed */
};

#define RPC_ERROR(kind) (UINT64_C(1) << FAULT_##kind)
/* What any call that reaches a mail server can end with. */
#define RPC_SERVER_ERRORS                                                                                              \
    (RPC_ERROR(NO_SUCH_ACCOUNT) | RPC_ERROR(NO_SUCH_SESSION) | RPC_ERROR(BUSY) | RPC_ERROR(UNAVAILABLE) |               \
     RPC_ERROR(CONNECT) | RPC_ERROR(TLS) | RPC_ERROR(PROXY) | RPC_ERROR(TIMEOUT) | RPC_ERROR(DISCONNECTED) |            \
     RPC_ERROR(PROTOCOL) | RPC_ERROR(MISSING_EXTENSION) | RPC_ERROR(UNSUPPORTED_MECHANISM) | RPC_ERROR(AUTH) |          \
     RPC_ERROR(CONSENT) | RPC_ERROR(REJECTED))

#endif
