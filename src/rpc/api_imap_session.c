/* SPDX-License-Identifier: MIT */
/* Rows of imap.*: what only sessions have. */
#include "api_imap_session.h"

#include "api_pop3.h" /* struct api_debuglevel_params */
#include "rpc_methods.h"

#define STEP_ERRORS (RPC_SERVER_ERRORS | RPC_ERROR(DENIED))
#define RAW_ERRORS (STEP_ERRORS | RPC_ERROR(LIMIT) | RPC_ERROR(BAD_MESSAGE) | RPC_ERROR(READONLY))
#define COMMAND_MAX (2 * 1024 * 1024)

/* ---- commands of the caller's own ----------------------------------------------------------------------------- */

static const struct rpc_field content_fields[] = {
    {"text", RPC_STRING, .doc = "The bytes, where they are text."},
    {"base64", RPC_STRING, .doc = "The bytes in base64."},
    {"fd", RPC_INT, .doc = "Index of the descriptor that holds them."},
    {"size", RPC_INT, .flags = RPC_REQUIRED, .doc = "How many they are."},
};
static const struct rpc_object content_object = {RPC_FIELDS(content_fields)};
static const struct rpc_field exec_result[] = {
    {"status", RPC_STRING, .flags = RPC_REQUIRED, .doc = "OK, NO or BAD."},
    {"code", RPC_STRING, .doc = "What stood in brackets: \"READ-WRITE\", \"APPENDUID 7 12\"."},
    {"text", RPC_STRING, .flags = RPC_REQUIRED, .doc = "What the server says to people."},
    {"untagged", RPC_OBJECTS, .object = &content_object, .doc = "Content of each untagged response, from its \"* \" on, without its last "
                                                     "CRLF; literals are in place."},
    {"count", RPC_INT, .doc = "With `stream`, how many there were."},
};
static const struct rpc_object exec_result_object = {
    .name = "ImapAnswer", .doc = "What a server answers to a command.", RPC_FIELDS(exec_result)};

#define OPEN_MAILBOX                                                                                                   \
    {                                                                                                                  \
        "mailbox", RPC_STRING, RPC_AT(api_imap_exec_params, mailbox), .flags = RPC_LINE, .min = 1, .max = 4096,        \
        .doc = "The mailbox that is to be open, in UTF-8; by default none needs to be, and in a session what is selected stays."  \
    }
#define EXEC(method, right, title, text, parameters)                                                                   \
    {                                                                                                                  \
        .name = "imap." method, .where = RPC_BOTH, .permission = right,                                             \
        .flags = RPC_STREAMS | RPC_CHANGES | RPC_CONTENTS, .summary = title, .doc = text, .params = parameters,        \
        .result = &exec_result_object, .errors = RAW_ERRORS | RPC_ERROR(UIDVALIDITY)                                   \
    }

static const struct rpc_field exec_params[] = {
    OPEN_MAILBOX,
    {"command", RPC_STRING, RPC_AT(api_imap_exec_params, command), .flags = RPC_REQUIRED, .min = 1, .max = COMMAND_MAX,
     .doc = "The command with its arguments, without a tag. A literal is written as on the wire: \"{5}\", CRLF and five bytes; CR "
            "and LF stand nowhere else."},
};
static const struct rpc_object exec_object = {RPC_FIELDS(exec_params), .size = sizeof(struct api_imap_exec_params)};

#define ARGUMENTS                                                                                                      \
    {                                                                                                                  \
        "arguments", RPC_TERMS, RPC_AT(api_imap_exec_params, arguments), .flags = RPC_LINE,                            \
        .doc = "An array: each is quoted or made a literal where it needs that, an array inside stands for parentheses, and what " \
               "has its own quotes or parentheses stays as it is. Or one text, which is sent as it is."                \
    }
static const struct rpc_field xatom_params[] = {
    OPEN_MAILBOX,
    {"name", RPC_STRING, RPC_AT(api_imap_exec_params, command), .flags = RPC_REQUIRED | RPC_LINE, .min = 1, .max = 64,
     .doc = "The command's name."},
    ARGUMENTS,
};
static const struct rpc_object xatom_object = {RPC_FIELDS(xatom_params), .size = sizeof(struct api_imap_exec_params)};
static const struct rpc_field uid_params[] = {
    {"mailbox", RPC_STRING, RPC_AT(api_imap_exec_params, mailbox), .flags = RPC_LINE | RPC_POOLED_DEFAULT, .min = 1, .max = 4096,
     .initial = "\"INBOX\"", .doc = "The mailbox, in UTF-8. In a session, the selected one by default."},
    {"command", RPC_STRING, RPC_AT(api_imap_exec_params, command), .flags = RPC_REQUIRED | RPC_LINE, .min = 1, .max = 64,
     .doc = "FETCH, SEARCH, STORE, COPY, MOVE, EXPUNGE, SORT or THREAD."},
    ARGUMENTS,
    {"uidvalidity", RPC_UIDVALIDITY, RPC_AT(api_imap_exec_params, uidvalidity),
     .doc = "The mailbox's validity that the UIDs belong to, or \"any\"; by default, the one last answered on this client connection. "
            "Without a session, commands that change something need it. On a mismatch nothing is sent."},
};
static const struct rpc_object uid_object = {RPC_FIELDS(uid_params), .size = sizeof(struct api_imap_exec_params)};

const struct rpc_method api_imap_exec =
    EXEC("exec", RPC_ALLOW_RAW, "Send any command",
         "NO and BAD are results here, not errors. What it selects or closes, the session has selected or closed. What changes the "
         "connection itself (LOGIN, AUTHENTICATE, STARTTLS, PROXYAUTH, ENABLE, IDLE, COMPRESS, LOGOUT, UNAUTHENTICATE) has a call of its "
         "own.\n\nWithout a session, a connection on which a command was given that is not known here is not used again.",
         &exec_object);
const struct rpc_method api_imap_xatom =
    EXEC("xatom", RPC_ALLOW_RAW, "Send a command of an extension", "As imap.exec, with arguments one by one.", &xatom_object);
const struct rpc_method api_imap_uid =
    EXEC("uid", RPC_ALLOW_READ, "Send a command that names messages by UID",
         "NO and BAD are results here, not errors. STORE, COPY, MOVE, EXPUNGE, and what sets \\Seen, "
         "need the right to write.",
         &uid_object);

static const struct rpc_field partial_params[] = {
    {"number", RPC_INT, RPC_AT(api_imap_partial_params, number), .flags = RPC_REQUIRED, .min = 1, .max = UINT32_MAX,
     .doc = "The message's number."},
    {"section", RPC_STRING, RPC_AT(api_imap_partial_params, section), .flags = RPC_REQUIRED | RPC_LINE, .max = 1000,
     .doc = "\"\" for the whole message, \"TEXT\", \"1.2\", …"},
    {"start", RPC_INT, RPC_AT(api_imap_partial_params, start), .flags = RPC_REQUIRED, .min = 0, .max = UINT32_MAX,
     .doc = "Where to begin; the first byte is 0."},
    {"length", RPC_INT, RPC_AT(api_imap_partial_params, length), .flags = RPC_REQUIRED, .min = 1, .max = UINT32_MAX,
     .doc = "How many bytes at most."},
};
static const struct rpc_object partial_object = {RPC_FIELDS(partial_params), .size = sizeof(struct api_imap_partial_params)};

const struct rpc_method api_imap_partial = {
    .name = "imap.partial",
    .where = RPC_SESSION,
    .permission = RPC_ALLOW_READ,
    .flags = RPC_CONTENTS,
    .summary = "Fetch a piece of a section of one message",
    .doc = "FETCH of BODY.PEEK[section]<start.length>; the result is imap.fetch's, and the section's key names where it starts.",
    .params = &partial_object,
    .result = &api_imap_fetch_result,
    .errors = STEP_ERRORS | RPC_ERROR(LIMIT) | RPC_ERROR(BAD_MESSAGE) | RPC_ERROR(NOT_FOUND),
};

/* ---- what the session knows ----------------------------------------------------------------------------------- */

static const struct rpc_field response_params[] = {
    {"code", RPC_STRING, RPC_AT(api_imap_response_params, code), .flags = RPC_REQUIRED | RPC_LINE, .min = 1, .max = 256,
     .doc = "A kind of data (EXISTS, FLAGS, EXPUNGE, …) or a response code (UIDVALIDITY, READ-WRITE, PERMANENTFLAGS, …)."},
};
static const struct rpc_object response_object = {RPC_FIELDS(response_params), .size = sizeof(struct api_imap_response_params)};
static const struct rpc_field response_result[] = {
    {"code", RPC_STRING, .flags = RPC_REQUIRED, .doc = "As asked for, in upper case."},
    {"data", RPC_STRINGS, .flags = RPC_REQUIRED, .doc = "What came, in order; empty where nothing did."},
};
static const struct rpc_object response_result_object = {RPC_FIELDS(response_result)};

const struct rpc_method api_imap_response = {
    .name = "imap.response",
    .where = RPC_SESSION,
    .permission = RPC_ALLOW_READ,
    .summary = "Take what the server has said on its own",
    .doc = "Untagged responses that were no call's result are kept until they are taken, or until the next SELECT or EXAMINE; of "
           "many, the latest.",
    .params = &response_object,
    .result = &response_result_object,
    .errors = RPC_SERVER_ERRORS,
};

static const struct rpc_field recent_result[] = {
    {"recent", RPC_INT, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "null where no mailbox is selected."},
};
static const struct rpc_object recent_object = {RPC_FIELDS(recent_result)};

const struct rpc_method api_imap_recent = {
    .name = "imap.recent",
    .where = RPC_SESSION,
    .permission = RPC_ALLOW_READ,
    .summary = "How many messages no other session has seen",
    .doc = "As the server last said it, which is asked for news first.",
    .params = &rpc_nothing,
    .result = &recent_object,
    .errors = RPC_SERVER_ERRORS,
};

static const struct rpc_field log_fields[] = {
    {"outgoing", RPC_BOOL, .flags = RPC_REQUIRED, .doc = "The gateway said it, not the server."},
    {"line", RPC_STRING, .flags = RPC_REQUIRED, .doc = "Its beginning, without secrets."},
};
static const struct rpc_object log_object = {RPC_FIELDS(log_fields)};
static const struct rpc_field log_result[] = {
    {"log", RPC_OBJECTS, .flags = RPC_REQUIRED, .object = &log_object, .doc = "The oldest first."},
};
static const struct rpc_object log_result_object = {RPC_FIELDS(log_result)};

const struct rpc_method api_imap_print_log = {
    .name = "imap.print_log",
    .where = RPC_SESSION,
    .permission = RPC_ALLOW_READ,
    .summary = "Show the last lines of the session's dialogue",
    .doc = "",
    .params = &rpc_nothing,
    .result = &log_result_object,
    .errors = RPC_ERROR(NO_SUCH_SESSION),
};

static const struct rpc_field debuglevel_params[] = {
    {"level", RPC_INT, RPC_AT(api_debuglevel_params, level), .flags = RPC_REQUIRED, .min = 0, .max = 9,
     .doc = "0: none; above: every line of the dialogue."},
};
static const struct rpc_object debuglevel_object = {RPC_FIELDS(debuglevel_params), .size = sizeof(struct api_debuglevel_params)};

const struct rpc_method api_imap_set_debuglevel = {
    .name = "imap.set_debuglevel",
    .where = RPC_SESSION,
    .permission = RPC_ALLOW_READ,
    .summary = "Trace the session's dialogue",
    .doc = "Lines come as `trace` notifications, {session, outgoing, line}, without secrets and messages.",
    .params = &debuglevel_object,
    .result = &rpc_nothing,
    .errors = RPC_SERVER_ERRORS,
};

const struct rpc_method api_imap_shutdown = {
    .name = "imap.shutdown",
    .where = RPC_SESSION,
    .permission = RPC_ALLOW_READ,
    .summary = "End the session without LOGOUT",
    .doc = "",
    .params = &rpc_nothing,
    .result = &rpc_nothing,
    .errors = RPC_ERROR(NO_SUCH_SESSION),
};

/* ---- steps of the login --------------------------------------------------------------------------------------- */

#define USERNAME(text)                                                                                                 \
    {                                                                                                                  \
        "username", RPC_STRING, RPC_AT(api_imap_login_params, username), .flags = RPC_REQUIRED | RPC_LINE, .min = 1,   \
        .max = 1000, .doc = text                                                                                       \
    }
#define PASSWORD                                                                                                       \
    {                                                                                                                  \
        "password", RPC_STRING, RPC_AT(api_imap_login_params, password),                                               \
        .flags = RPC_REQUIRED | RPC_LINE | RPC_SECRET, .max = 10000, .doc = "The password."                            \
    }
#define LOGIN(method, title, text, parameters, answer)                                                                 \
    {                                                                                                                  \
        .name = "imap." method, .where = RPC_SESSION, .permission = RPC_ALLOW_READ, .summary = title, .doc = text,     \
        .params = parameters, .result = answer, .errors = STEP_ERRORS                                                  \
    }

static const struct rpc_field login_params[] = {USERNAME("The user's name."), PASSWORD};
static const struct rpc_object login_object = {RPC_FIELDS(login_params), .size = sizeof(struct api_imap_login_params)};

static const struct rpc_field authenticate_params[] = {
    {"mechanism", RPC_STRING, RPC_AT(api_imap_authenticate_params, mechanism), .flags = RPC_REQUIRED | RPC_LINE, .min = 1, .max = 64,
     .doc = "The SASL mechanism."},
    {"secret", RPC_STRING, RPC_AT(api_imap_authenticate_params, secret),
     .flags = RPC_LINE | RPC_SECRET | RPC_NULLABLE | RPC_AT_MOST_ONE, .min = 1, .max = 65536,
     .doc = "The password, or the token for XOAUTH2 and OAUTHBEARER. Default: the account's."},
    {"responses", RPC_STRINGS, RPC_AT(api_imap_authenticate_params, responses),
     .flags = RPC_LINE | RPC_SECRET | RPC_NULLABLE | RPC_AT_MOST_ONE, .max = 16,
     .doc = "The caller's own answers to the server's challenges, in order and in base64; \"*\" gives up. Any mechanism."},
};
static const struct rpc_object authenticate_object = {RPC_FIELDS(authenticate_params),
                                                      .size = sizeof(struct api_imap_authenticate_params)};
static const struct rpc_field authenticate_result[] = {
    {"challenge", RPC_STRING, .doc = "The server wants more than `responses` had: what it said, in base64. The next imap.authenticate "
                                     "goes on with its `responses`."},
};
static const struct rpc_object authenticate_result_object = {RPC_FIELDS(authenticate_result)};

static const struct rpc_field proxyauth_params[] = {
    {"user", RPC_STRING, RPC_AT(api_imap_proxyauth_params, user), .flags = RPC_REQUIRED | RPC_LINE, .min = 1, .max = 1000,
     .doc = "Whose mail is to be worked on."},
};
static const struct rpc_object proxyauth_object = {RPC_FIELDS(proxyauth_params), .size = sizeof(struct api_imap_proxyauth_params)};

const struct rpc_method api_imap_login =
    LOGIN("login", "Log in with LOGIN",
          "In a session opened with `login` false. Without TLS no password is sent, unless the account says allow_plaintext_auth.",
          &login_object, &rpc_nothing);
const struct rpc_method api_imap_login_cram_md5 =
    LOGIN("login_cram_md5", "Log in with CRAM-MD5", "In a session opened with `login` false.", &login_object, &rpc_nothing);
const struct rpc_method api_imap_authenticate =
    LOGIN("authenticate", "Log in with a SASL mechanism",
          "In a session opened with `login` false. The user's name and `authzid` are the account's.", &authenticate_object,
          &authenticate_result_object);
const struct rpc_method api_imap_proxyauth =
    LOGIN("proxyauth", "Become another user", "For administrators, where the server knows PROXYAUTH.", &proxyauth_object, &rpc_nothing);
const struct rpc_method api_imap_starttls =
    LOGIN("starttls", "Begin TLS",
          "In a session opened with `login` false on an account whose `tls` is `none`: others have begun it already. The "
          "certificate is checked as configured; the session ends when it is not good.",
          &rpc_nothing, &rpc_nothing);

/* ---- the raw side --------------------------------------------------------------------------------------------- */

static const struct rpc_field send_params[] = {
    {"raw", RPC_CONTENT, RPC_AT(api_imap_send_params, raw), .flags = RPC_REQUIRED, .doc = "Bytes, sent as they are; at most 1 MB."},
};
static const struct rpc_object send_object = {RPC_FIELDS(send_params), .size = sizeof(struct api_imap_send_params)};

const struct rpc_method api_imap_send = {
    .name = "imap.send",
    .where = RPC_SESSION,
    .permission = RPC_ALLOW_RAW,
    .flags = RPC_CHANGES,
    .summary = "Write bytes to the server",
    .doc = "From then on what the server says is the caller's matter: imap.read and imap.readline take it, and nothing of it is "
           "traced. Another call goes on as usual once all has been read; what the bytes have selected is not known to it.",
    .params = &send_object,
    .result = &rpc_nothing,
    .errors = RAW_ERRORS,
};

static const struct rpc_field read_params[] = {
    {"size", RPC_INT, RPC_AT(api_imap_read_params, size), .flags = RPC_REQUIRED, .min = 1, .max = 1048576, .doc = "How many bytes."},
};
static const struct rpc_object read_object = {RPC_FIELDS(read_params), .size = sizeof(struct api_imap_read_params)};
static const struct rpc_field read_result[] = {
    {"raw", RPC_CONTENT, .flags = RPC_REQUIRED, .doc = "The bytes as they came; of a line, its end included."},
};
static const struct rpc_object read_result_object = {RPC_FIELDS(read_result)};

#define READ(method, title, parameters)                                                                                \
    {                                                                                                                  \
        .name = "imap." method, .where = RPC_SESSION, .permission = RPC_ALLOW_RAW, .flags = RPC_CONTENTS,              \
        .summary = title, .doc = "Waits until they have come; where they do not within `timeout`, nothing is taken.",   \
        .params = parameters, .result = &read_result_object, .errors = RAW_ERRORS                                      \
    }
const struct rpc_method api_imap_read = READ("read", "Take the next bytes of the server", &read_object);
const struct rpc_method api_imap_readline = READ("readline", "Take the next line of the server", &rpc_nothing);
