/* SPDX-License-Identifier: MIT */
/* Rows of pop3.*: a session's steps of the login, and its raw side. */
#include "api_pop3.h"

#include "rpc_methods.h"

#define POP3_RAW_ERRORS (RPC_SERVER_ERRORS | RPC_ERROR(DENIED) | RPC_ERROR(LIMIT) | RPC_ERROR(BAD_MESSAGE))
#define LINE_MAX_BYTES 512 /* of a command, a name, a password */

static const struct rpc_field told_result[] = {
    {"text", RPC_STRING, .flags = RPC_REQUIRED, .doc = "What the server said behind +OK."},
};
static const struct rpc_object told_object = {RPC_FIELDS(told_result)};

#define USERNAME                                                                                                       \
    {                                                                                                                  \
        "username", RPC_STRING, RPC_AT(api_pop3_user_params, username), .flags = RPC_REQUIRED | RPC_LINE, .min = 1,    \
        .max = LINE_MAX_BYTES, .doc = "The user's name."                                                               \
    }
#define PASSWORD                                                                                                       \
    {                                                                                                                  \
        "password", RPC_STRING, RPC_AT(api_pop3_user_params, password),                                                \
        .flags = RPC_REQUIRED | RPC_LINE | RPC_SECRET, .min = 1, .max = LINE_MAX_BYTES, .doc = "The password."         \
    }
#define STEP(method, title, text, parameters, more)                                                                    \
    {                                                                                                                  \
        .name = "pop3." method, .where = RPC_SESSION, .permission = RPC_ALLOW_READ, .summary = title, .doc = text,     \
        .params = parameters, .result = &told_object, .errors = RPC_SERVER_ERRORS | RPC_ERROR(DENIED) | (more)         \
    }

static const struct rpc_field user_params[] = {USERNAME};
static const struct rpc_object user_object = {RPC_FIELDS(user_params), .size = sizeof(struct api_pop3_user_params)};
static const struct rpc_field pass_params[] = {PASSWORD};
static const struct rpc_object pass_object = {RPC_FIELDS(pass_params), .size = sizeof(struct api_pop3_user_params)};
static const struct rpc_field apop_params[] = {USERNAME, PASSWORD};
static const struct rpc_object apop_object = {RPC_FIELDS(apop_params), .size = sizeof(struct api_pop3_user_params)};
static const struct rpc_field auth_params[] = {
    {"mechanism", RPC_STRING, RPC_AT(api_pop3_auth_params, mechanism), .flags = RPC_REQUIRED | RPC_LINE, .min = 1,
     .max = 64, .doc = "The SASL mechanism, among those that the server offers."},
    {"secret", RPC_STRING, RPC_AT(api_pop3_auth_params, secret), .flags = RPC_SECRET, .min = 1, .max = 65536,
     .doc = "The password, or the token for XOAUTH2 and OAUTHBEARER. Default: the account's."},
};
static const struct rpc_object auth_object = {RPC_FIELDS(auth_params), .size = sizeof(struct api_pop3_auth_params)};

const struct rpc_method api_pop3_user =
    STEP("user", "Give the user's name", "In a session opened with `login` false; pop3.pass_ follows.", &user_object, 0);
const struct rpc_method api_pop3_pass = {
    .name = "pop3.pass_",
    .aliases = {"pop3.pass"},
    .where = RPC_SESSION,
    .permission = RPC_ALLOW_READ,
    .summary = "Give the password, after pop3.user",
    .doc = "The maildrop is locked from now on. Without TLS no password is sent, unless the account says "
           "allow_plaintext_auth.",
    .params = &pass_object,
    .result = &told_object,
    .errors = RPC_SERVER_ERRORS | RPC_ERROR(DENIED),
};
const struct rpc_method api_pop3_apop =
    STEP("apop", "Log in with a digest of the password", "Where the server's greeting bears a stamp.", &apop_object, 0);
const struct rpc_method api_pop3_rpop =
    STEP("rpop", "Log in by the machine that is connected",
         "RPOP, of RFC 1081, which newer servers refuse.", &user_object, 0);
const struct rpc_method api_pop3_auth =
    STEP("auth", "Log in with a SASL mechanism",
         "In a session opened with `login` false. The user's name and `authzid` are the account's.", &auth_object, 0);
const struct rpc_method api_pop3_stls =
    STEP("stls", "Begin TLS",
         "In a session opened with `login` false on an account whose `tls` is `none`: others have begun it already. The "
         "certificate is checked as configured; the session ends when it is not good.", &rpc_nothing, 0);
const struct rpc_method api_pop3_utf8 =
    STEP("utf8", "Ask for UTF-8 in names and messages", "RFC 6856: before the login.", &rpc_nothing, 0);

static const struct rpc_field capa_result[] = {
    {"capabilities", RPC_MAP_OF, .flags = RPC_REQUIRED, .doc = "The server's capabilities and their arguments."}};
static const struct rpc_object capa_object = {RPC_FIELDS(capa_result)};

const struct rpc_method api_pop3_capa = {
    .name = "pop3.capa",
    .where = RPC_BOTH,
    .permission = RPC_ALLOW_READ,
    .summary = "Ask for the server's capabilities",
    .doc = "Those that the account disables are left out. LOGIN-DELAY is kept to by the pool, between two logins. With EXPIRE "
           "0 the server may delete what was fetched at QUIT: connections on which messages were fetched then end without, "
           "but for pop3.quit and pop3.delete.",
    .params = &rpc_nothing,
    .result = &capa_object,
    .errors = RPC_SERVER_ERRORS | RPC_ERROR(DENIED),
};

const struct rpc_method api_pop3_getwelcome = {
    .name = "pop3.getwelcome",
    .where = RPC_SESSION,
    .permission = RPC_ALLOW_READ,
    .summary = "What the server said first",
    .doc = "",
    .params = &rpc_nothing,
    .result = &told_object,
    .errors = RPC_SERVER_ERRORS,
};

const struct rpc_method api_pop3_close = {
    .name = "pop3.close",
    .where = RPC_SESSION,
    .permission = RPC_ALLOW_READ,
    .summary = "End the session without QUIT: nothing is deleted",
    .doc = "",
    .params = &rpc_nothing,
    .result = &rpc_nothing,
    .errors = RPC_SERVER_ERRORS,
};

static const struct rpc_field exec_params[] = {
    {"command", RPC_STRING, RPC_AT(api_pop3_exec_params, command), .flags = RPC_REQUIRED | RPC_LINE, .min = 1,
     .max = LINE_MAX_BYTES, .doc = "The command with its arguments, as one line."},
    {"multiline", RPC_BOOL, RPC_AT(api_pop3_exec_params, multiline), .flags = RPC_AT_MOST_ONE,
     .doc = "Lines up to a single dot follow a +OK. Needed only for commands that this program does not know."},
    {"readline", RPC_BOOL, RPC_AT(api_pop3_exec_params, readline), .flags = RPC_AT_MOST_ONE,
     .doc = "Leave the lines that follow the first to pop3.readline."},
};
static const struct rpc_object exec_object = {RPC_FIELDS(exec_params), .size = sizeof(struct api_pop3_exec_params)};
static const struct rpc_field exec_result[] = {
    {"ok", RPC_BOOL, .flags = RPC_REQUIRED, .doc = "+OK, and not -ERR."},
    {"text", RPC_STRING, .flags = RPC_REQUIRED, .doc = "What stood behind it."},
    {"raw", RPC_CONTENT, .doc = "The lines that followed, dot-unstuffed, without the single dot."},
};
static const struct rpc_object exec_result_object = {RPC_FIELDS(exec_result)};

const struct rpc_method api_pop3_exec = {
    .name = "pop3.exec",
    .where = RPC_SESSION,
    .permission = RPC_ALLOW_RAW,
    .flags = RPC_CHANGES | RPC_CONTENTS,
    .summary = "Send any command",
    .doc = "LIST and UIDL without a number, LANG without a language, RETR, TOP and CAPA are known to have lines behind +OK. STLS, "
           "AUTH, PASS, APOP and QUIT have calls of their own.",
    .params = &exec_object,
    .result = &exec_result_object,
    .errors = POP3_RAW_ERRORS,
};

static const struct rpc_field readline_result[] = {
    {"raw", RPC_CONTENT, .flags = RPC_REQUIRED, .doc = "The line, with CRLF, as it came."}};
static const struct rpc_object readline_object = {RPC_FIELDS(readline_result)};

const struct rpc_method api_pop3_readline = {
    .name = "pop3.readline",
    .where = RPC_SESSION,
    .permission = RPC_ALLOW_RAW,
    .flags = RPC_CONTENTS,
    .summary = "Take the next line of the server",
    .doc = "After pop3.exec with `readline`. Waits until one comes; where none does within `timeout`, the connection is "
           "given up.",
    .params = &rpc_nothing,
    .result = &readline_object,
    .errors = POP3_RAW_ERRORS,
};

static const struct rpc_field debuglevel_params[] = {
    {"level", RPC_INT, RPC_AT(api_debuglevel_params, level), .flags = RPC_REQUIRED, .min = 0, .max = 9,
     .doc = "0: none; above: every line of the dialogue."}};
static const struct rpc_object debuglevel_object = {RPC_FIELDS(debuglevel_params),
                                                    .size = sizeof(struct api_debuglevel_params)};

const struct rpc_method api_pop3_set_debuglevel = {
    .name = "pop3.set_debuglevel",
    .where = RPC_SESSION,
    .permission = RPC_ALLOW_READ,
    .summary = "Trace the session's dialogue",
    .doc = "Lines come as `trace` notifications, {session, outgoing, line}, without secrets and messages.",
    .params = &debuglevel_object,
    .result = &rpc_nothing,
    .errors = RPC_SERVER_ERRORS,
};
