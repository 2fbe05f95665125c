/* SPDX-License-Identifier: MIT */
/* Rows of imap.sort and imap.thread. */
#include "api_imap_sort.h"

#include "rpc_methods.h"

#define SORT_ERRORS                                                                                                    \
    (RPC_SERVER_ERRORS | RPC_ERROR(DENIED) | RPC_ERROR(LIMIT) | RPC_ERROR(UIDVALIDITY) | RPC_ERROR(NOT_FOUND))

#define MAILBOX                                                                                                        \
    {                                                                                                                  \
        "mailbox", RPC_STRING, RPC_AT(api_imap_sort_params, mailbox), .flags = RPC_LINE | RPC_POOLED_DEFAULT,          \
        .min = 1, .max = 4096, .initial = "\"INBOX\"",                                                                 \
        .doc = "The mailbox, in UTF-8. In a session, the selected one by default."                                     \
    }
#define QUERY                                                                                                          \
    {                                                                                                                  \
        "query", RPC_TERMS, RPC_AT(api_imap_sort_params, query), .flags = RPC_LINE,                                    \
        .doc = "Which messages, as in imap.search; all by default."                                                    \
    }
#define UIDVALIDITY                                                                                                    \
    {                                                                                                                  \
        "uidvalidity", RPC_UIDVALIDITY, RPC_AT(api_imap_sort_params, uidvalidity),                                     \
        .doc = "The mailbox's validity; by default, the one last answered on this client connection."                  \
    }
#define NUMBERS                                                                                                        \
    {                                                                                                                  \
        "numbers", RPC_BOOL, RPC_AT(api_imap_sort_params, numbers), .flags = RPC_SESSION_ONLY, .initial = "false",     \
        .doc = "Answer message numbers in place of UIDs."                                                              \
    }
#define VALIDITY_RESULT                                                                                                \
    {                                                                                                                  \
        "uidvalidity", RPC_INT, .doc = "The mailbox's validity."                                                       \
    }

static const struct rpc_field sort_params[] = {
    MAILBOX,
    {"criteria", RPC_STRINGS, RPC_AT(api_imap_sort_params, criteria), .flags = RPC_REQUIRED | RPC_LINE | RPC_ONE | RPC_SPLIT, .min = 1,
     .max = 32, .doc = "ARRIVAL, CC, DATE, FROM, SIZE, SUBJECT, TO, DISPLAYFROM and DISPLAYTO, in order of weight; REVERSE before one turns "
                       "it round."},
    QUERY,
    UIDVALIDITY,
    NUMBERS,
};
static const struct rpc_object sort_object = {RPC_FIELDS(sort_params), .size = sizeof(struct api_imap_sort_params)};
static const struct rpc_field sort_result[] = {
    VALIDITY_RESULT,
    {"uids", RPC_INTS, .doc = "The messages, sorted."},
    {"numbers", RPC_INTS, .doc = "The messages, sorted, where numbers were asked for."},
    {"count", RPC_INT, .doc = "With `stream`, how many there were."},
};
static const struct rpc_object sort_result_object = {RPC_FIELDS(sort_result)};

const struct rpc_method api_imap_sort = {
    .name = "imap.sort",
    .where = RPC_BOTH,
    .permission = RPC_ALLOW_READ,
    .flags = RPC_STREAMS,
    .summary = "Find messages and sort them",
    .doc = "Where the server does not sort (RFC 5256, and 5957 for DISPLAYFROM and DISPLAYTO), what the criteria need is fetched and "
           "sorted here, in the same order.",
    .params = &sort_object,
    .result = &sort_result_object,
    .errors = SORT_ERRORS,
};

static const struct rpc_field thread_params[] = {
    MAILBOX,
    {"algorithm", RPC_STRING, RPC_AT(api_imap_sort_params, algorithm), .flags = RPC_LINE, .min = 1, .max = 64,
     .initial = "\"REFERENCES\"", .doc = "REFERENCES, REFS or ORDEREDSUBJECT; another one where the server has it."},
    QUERY,
    UIDVALIDITY,
    NUMBERS,
};
static const struct rpc_object thread_object = {RPC_FIELDS(thread_params), .size = sizeof(struct api_imap_sort_params)};
static const struct rpc_field thread_result[] = {
    VALIDITY_RESULT,
    {"threads", RPC_ANY, .doc = "An array for each thread: a message is followed by its only answer, or by an array for each of its "
                                "answers. A thread whose first message is not there holds arrays only. Arrays are at most 48 deep; what "
                                "lies deeper stands in the deepest."},
    {"count", RPC_INT, .doc = "With `stream`, how many there were."},
};
static const struct rpc_object thread_result_object = {RPC_FIELDS(thread_result)};

const struct rpc_method api_imap_thread = {
    .name = "imap.thread",
    .where = RPC_BOTH,
    .permission = RPC_ALLOW_READ,
    .flags = RPC_STREAMS,
    .summary = "Find messages and their threads",
    .doc = "Where the server does not find threads (RFC 5256), what that needs is fetched, and it is done here by the same rules.",
    .params = &thread_object,
    .result = &thread_result_object,
    .errors = SORT_ERRORS | RPC_ERROR(MISSING_EXTENSION),
};
