/* SPDX-License-Identifier: MIT */
/* Rows of pop3.*. */
#include "api_pop3.h"

#include "rpc_methods.h"

#define POP3_ERRORS (RPC_SERVER_ERRORS | RPC_ERROR(DENIED) | RPC_ERROR(LIMIT))

#define NUMBER(type, more, text)                                                                                       \
    {                                                                                                                  \
        "number", RPC_INT, RPC_AT(type, number), .flags = RPC_SESSION_ONLY | (more), .min = 1, .max = INT32_MAX,       \
        .doc = text                                                                                                    \
    }
#define ID(type)                                                                                                       \
    {                                                                                                                  \
        "id", RPC_STRING, RPC_AT(type, id), .flags = RPC_LINE | RPC_ONE_OF, .min = 1, .max = 512,                      \
        .doc = "The message, by its unique id."                                                                        \
    }

static const struct rpc_field open_params[] = {
    {"login", RPC_BOOL, RPC_AT(api_open_params, login), .initial = "true", .doc = "Whether to log in."}};
static const struct rpc_object open_object = {RPC_FIELDS(open_params), .size = sizeof(struct api_open_params)};
static const struct rpc_field open_result[] = {
    {"session", RPC_STRING, .flags = RPC_REQUIRED, .doc = "The session's id, for this client connection only."},
    {"greeting", RPC_STRING, .doc = "What the server said first."},
    {"capabilities", RPC_MAP_OF, .doc = "The server's capabilities and their arguments."},
};
static const struct rpc_object open_result_object = {RPC_FIELDS(open_result)};

const struct rpc_method api_pop3_open = {
    .name = "pop3.open",
    .where = RPC_POOLED,
    .permission = RPC_ALLOW_READ,
    .summary = "Open a session: a connection for this client alone",
    .doc = "The server locks the maildrop meanwhile. It ends with pop3.quit, which alone makes deletions happen, after "
           "session_idle or session_max, or with the client's connection.",
    .params = &open_object,
    .result = &open_result_object,
    .errors = RPC_SERVER_ERRORS | RPC_ERROR(DENIED),
};

static const struct rpc_field list_params[] = {NUMBER(api_pop3_list_params, 0, "This message only.")};
static const struct rpc_object list_object = {RPC_FIELDS(list_params), .size = sizeof(struct api_pop3_list_params)};

static const struct rpc_field listed_fields[] = {
    {"number", RPC_INT, .flags = RPC_REQUIRED, .doc = "Its number; of this moment only, when pooled."},
    {"size", RPC_INT, .doc = "Bytes."},
    {"id", RPC_STRING, .flags = RPC_NULLABLE, .doc = "Its unique id, where the server has such."},
};
static const struct rpc_object listed_object = {
    .name = "ListedMessage", .doc = "A message in the maildrop.", RPC_FIELDS(listed_fields)};
static const struct rpc_field list_result[] = {
    {"messages", RPC_OBJECTS, .object = &listed_object, .doc = "The messages."},
    {"count", RPC_INT, .doc = "With `stream`, how many there were."},
};
static const struct rpc_object list_result_object = {RPC_FIELDS(list_result)};

const struct rpc_method api_pop3_list = {
    .name = "pop3.list",
    .where = RPC_BOTH,
    .permission = RPC_ALLOW_READ,
    .flags = RPC_STREAMS,
    .summary = "List the messages, with sizes and unique ids",
    .doc = "",
    .params = &list_object,
    .result = &list_result_object,
    .errors = POP3_ERRORS,
};

const struct rpc_method api_pop3_uid_list = {
    .name = "pop3.uid_list",
    .aliases = {"pop3.uidl"},
    .where = RPC_BOTH,
    .permission = RPC_ALLOW_READ,
    .flags = RPC_STREAMS,
    .summary = "List the messages' unique ids",
    .doc = "",
    .params = &list_object,
    .result = &list_result_object,
    .errors = POP3_ERRORS,
};

static const struct rpc_field message_params[] = {
    ID(api_pop3_message_params),
    {"ids", RPC_STRINGS, RPC_AT(api_pop3_message_params, ids), .flags = RPC_LINE | RPC_ONE_OF, .min = 1,
     .doc = "Several messages, by unique id."},
    NUMBER(api_pop3_message_params, RPC_ONE_OF, "The message, by its number in this session."),
};
static const struct rpc_object message_object = {RPC_FIELDS(message_params),
                                                 .size = sizeof(struct api_pop3_message_params)};
static const struct rpc_field fetched_fields[] = {
    {"id", RPC_STRING, .flags = RPC_NULLABLE, .doc = "Its unique id, where the server has such."},
    {"number", RPC_INT, .doc = "Its number, in a session."},
    {"raw", RPC_CONTENT, .doc = "The message, with CRLF lines as the server sent them."},
    {"error", RPC_ANY, .doc = "The error object, in place of `raw`."},
};
static const struct rpc_object fetched_object = {
    .name = "RetrievedMessage", .doc = "A message from the maildrop.", RPC_FIELDS(fetched_fields)};
static const struct rpc_field retr_result[] = {
    {"id", RPC_STRING, .flags = RPC_NULLABLE, .doc = "Its unique id, where the server has such."},
    {"number", RPC_INT, .doc = "Its number, in a session."},
    {"raw", RPC_CONTENT, .doc = "The message, with CRLF lines as the server sent them."},
    {"messages", RPC_OBJECTS, .object = &fetched_object, .doc = "For `ids`: the messages, in the order asked for."},
    {"count", RPC_INT, .doc = "With `stream`, how many there were."},
};
static const struct rpc_object retr_result_object = {RPC_FIELDS(retr_result)};

const struct rpc_method api_pop3_retr = {
    .name = "pop3.retr",
    .where = RPC_BOTH,
    .permission = RPC_ALLOW_READ,
    .flags = RPC_STREAMS | RPC_CONTENTS,
    .summary = "Fetch messages",
    .doc = "Pooled calls name messages by unique id: a server without UIDL gives `missing_extension`.",
    .params = &message_object,
    .result = &retr_result_object,
    .errors = POP3_ERRORS | RPC_ERROR(NOT_FOUND) | RPC_ERROR(CONFLICT) | RPC_ERROR(BAD_MESSAGE),
};

static const struct rpc_field top_params[] = {
    ID(api_pop3_top_params),
    NUMBER(api_pop3_top_params, RPC_ONE_OF, "The message, by its number in this session."),
    {"lines", RPC_INT, RPC_AT(api_pop3_top_params, lines), .min = 0, .max = INT32_MAX, .initial = "0",
     .doc = "Lines of the body."},
};
static const struct rpc_object top_object = {RPC_FIELDS(top_params), .size = sizeof(struct api_pop3_top_params)};
static const struct rpc_field top_result[] = {
    {"id", RPC_STRING, .flags = RPC_NULLABLE, .doc = "Its unique id, where the server has such."},
    {"number", RPC_INT, .doc = "Its number, in a session."},
    {"raw", RPC_CONTENT, .flags = RPC_REQUIRED, .doc = "The header, an empty line, and so many lines of the body."},
};
static const struct rpc_object top_result_object = {RPC_FIELDS(top_result)};

const struct rpc_method api_pop3_top = {
    .name = "pop3.top",
    .where = RPC_BOTH,
    .permission = RPC_ALLOW_READ,
    .flags = RPC_CONTENTS,
    .summary = "Fetch a message's header and its first lines",
    .doc = "",
    .params = &top_object,
    .result = &top_result_object,
    .errors = POP3_ERRORS | RPC_ERROR(NOT_FOUND) | RPC_ERROR(CONFLICT) | RPC_ERROR(BAD_MESSAGE),
};

static const struct rpc_field stat_result[] = {
    {"count", RPC_INT, .flags = RPC_REQUIRED, .doc = "Messages in the maildrop."},
    {"size", RPC_INT, .flags = RPC_REQUIRED, .doc = "Bytes in it."},
};
static const struct rpc_object stat_object = {RPC_FIELDS(stat_result)};

const struct rpc_method api_pop3_stat = {
    .name = "pop3.stat",
    .where = RPC_BOTH,
    .permission = RPC_ALLOW_READ,
    .summary = "Count the messages and their bytes",
    .doc = "",
    .params = &rpc_nothing,
    .result = &stat_object,
    .errors = POP3_ERRORS,
};

static const struct rpc_field delete_result[] = {
    {"deleted", RPC_STRINGS, .doc = "Unique ids of the messages that went, when pooled."}};
static const struct rpc_object delete_object = {RPC_FIELDS(delete_result)};

const struct rpc_method api_pop3_delete = {
    .name = "pop3.delete",
    .aliases = {"pop3.dele"},
    .where = RPC_BOTH,
    .permission = RPC_ALLOW_WRITE,
    .flags = RPC_CHANGES,
    .summary = "Delete messages",
    .doc = "A pooled call commits before it answers; in a session, pop3.quit commits.",
    .params = &message_object,
    .result = &delete_object,
    .errors = POP3_ERRORS | RPC_ERROR(NOT_FOUND) | RPC_ERROR(CONFLICT),
};

const struct rpc_method api_pop3_noop = {
    .name = "pop3.noop",
    .where = RPC_BOTH,
    .permission = RPC_ALLOW_READ,
    .summary = "Do nothing, but show that the connection lives",
    .doc = "",
    .params = &rpc_nothing,
    .result = &rpc_nothing,
    .errors = RPC_SERVER_ERRORS,
};

const struct rpc_method api_pop3_rset = {
    .name = "pop3.rset",
    .where = RPC_SESSION,
    .permission = RPC_ALLOW_READ,
    .summary = "Take back all deletions of the session",
    .doc = "",
    .params = &rpc_nothing,
    .result = &rpc_nothing,
    .errors = RPC_SERVER_ERRORS,
};

const struct rpc_method api_pop3_quit = {
    .name = "pop3.quit",
    .where = RPC_SESSION,
    .permission = RPC_ALLOW_READ,
    .flags = RPC_CHANGES,
    .summary = "Commit deletions and end the session",
    .doc = "Where messages were deleted and the server does not answer, the error's outcome is `unknown`.",
    .params = &rpc_nothing,
    .result = &rpc_nothing,
    .errors = RPC_SERVER_ERRORS,
};
