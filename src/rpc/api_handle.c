/* SPDX-License-Identifier: MIT */
/* Rows of get_handle, alike for the three protocols. */
#include "rpc_methods.h"

static const struct rpc_field handle_result[] = {
    {"handle", RPC_CONTENT, .flags = RPC_REQUIRED, .doc = "{\"fd\": 0}: a stream socket, the first descriptor of the answer."},
};
static const struct rpc_object handle_object = {RPC_FIELDS(handle_result)};

#define HANDLE_ROW(protocol, text)                                                                                     \
    {                                                                                                                  \
        .name = #protocol ".get_handle", .aliases = {#protocol ".socket"}, .where = RPC_SESSION,                       \
        .permission = RPC_ALLOW_RAW, .flags = RPC_CHANGES, .summary = "Take over a session's connection as a descriptor", \
        .doc = "The socket speaks " text " in clear on the connection as it stands: the daemon does the TLS, and looks at " \
               "nothing. What was read ahead comes first. The session ends for this client; the connection lives until " \
               "either side closes, or session_max.",                                                                  \
        .params = &rpc_nothing, .result = &handle_object,                                                              \
        .errors = RPC_SERVER_ERRORS | RPC_ERROR(DENIED) | RPC_ERROR(LIMIT)                                             \
    }

const struct rpc_method api_smtp_get_handle = HANDLE_ROW(smtp, "SMTP");
const struct rpc_method api_imap_get_handle = HANDLE_ROW(imap, "IMAP");
const struct rpc_method api_pop3_get_handle = HANDLE_ROW(pop3, "POP3");
