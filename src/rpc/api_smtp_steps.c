/* SPDX-License-Identifier: MIT */
/* Rows of smtp.*: the calls that go step by step, in sessions. */
#include "api_pop3.h" /* struct api_debuglevel_params */
#include "api_smtp.h"

#include "rpc_methods.h"

#define STEP_ERRORS (RPC_SERVER_ERRORS | RPC_ERROR(DENIED) | RPC_ERROR(BAD_MESSAGE))
#define STEP_DOC "A refusal is the error `rejected`. A call that does not belong into the session's state is -32602, and names it."

static const char *const body_names[] = {"7bit", "8bitmime", "binarymime", NULL};
static const char *const by_names[] = {"return", "notify", NULL};
static const char *const ret_names[] = {"full", "hdrs", NULL};
static const char *const notify_names[] = {"never", "success", "failure", "delay", NULL};

static const struct rpc_field answer_fields[] = {
    {"code", RPC_INT, .doc = "The reply's code."},
    {"enhanced", RPC_STRING, .flags = RPC_NULLABLE, .doc = "Its enhanced status code."},
    {"lines", RPC_STRINGS, .doc = "Its lines, without codes."},
    {"output", RPC_CONTENT, .doc = "In a session without a connection, in place of the above: the bytes to send."},
    {"state", RPC_STRING, .doc = "Likewise: the state now."},
};
static const struct rpc_object answer_object = {
    .name = "StepAnswer", .doc = "A server's reply, or what is to be sent to it.", RPC_FIELDS(answer_fields)};

#define ONE_TEXT(NAME, PARAM, FLAGS, MAX, DOC)                                                                         \
    static const struct rpc_field NAME##_params[] = {{PARAM, RPC_STRING, RPC_AT(api_smtp_text_params, text),           \
                                                      .flags = RPC_LINE | (FLAGS), .max = (MAX), .doc = (DOC)}};       \
    static const struct rpc_object NAME##_object = {RPC_FIELDS(NAME##_params), .size = sizeof(struct api_smtp_text_params)}

#define STEP(NAME, PERMISSION, FLAGS, SUMMARY, MORE, PARAMS, ...)                                                      \
    const struct rpc_method api_smtp_##NAME = {.name = "smtp." #NAME,                                                  \
                                               .aliases = {__VA_ARGS__},                                               \
                                               .where = RPC_SESSION,                                                   \
                                               .permission = (PERMISSION),                                             \
                                               .flags = (FLAGS) | RPC_CONTENTS | RPC_MANUAL,                         \
                                               .summary = (SUMMARY),                                                   \
                                               .doc = MORE STEP_DOC,                                                   \
                                               .params = &(PARAMS),                                                    \
                                               .result = &answer_object,                                               \
                                               .errors = STEP_ERRORS}

/* clang-format off */
ONE_TEXT(ehlo, "domain", 0, 255, "Our name; by default the account's.");
ONE_TEXT(address, "address", RPC_REQUIRED, 1000, "The address, user or list.");
ONE_TEXT(help, "topic", 0, 500, "What about.");
ONE_TEXT(docmd, "command", RPC_REQUIRED, 4000, "The line, without its end.");
ONE_TEXT(response, "data", RPC_REQUIRED | RPC_SECRET, 12000, "The response in base64, or \"*\" to give up.");
/* clang-format on */

static const struct rpc_field mail_params[] = {
    {"from", RPC_STRING, RPC_AT(api_smtp_mail_params, from), .flags = RPC_REQUIRED | RPC_LINE, .max = 1000,
     .doc = "The sender's address, \"\" for the null sender."},
    {"size", RPC_INT, RPC_AT(api_smtp_mail_params, size), .flags = RPC_NULLABLE, .min = 0, .max = INT64_MAX,
     .doc = "Bytes of the message; said where the server wants to know."},
    {"body", RPC_ENUM, RPC_AT(api_smtp_mail_params, body), .flags = RPC_NULLABLE, .names = body_names,
     .doc = "What the message holds."},
    {"smtputf8", RPC_BOOL, RPC_AT(api_smtp_mail_params, smtputf8), .initial = "false",
     .doc = "Whether addresses or the header are beyond ASCII."},
    {"ret", RPC_ENUM, RPC_AT(api_smtp_mail_params, ret), .flags = RPC_NULLABLE, .names = ret_names,
     .doc = "What a report is to hold of the message."},
    {"envid", RPC_STRING, RPC_AT(api_smtp_mail_params, envid), .flags = RPC_LINE | RPC_NULLABLE, .max = 100,
     .doc = "A name for the transaction, which reports repeat."},
    {"requiretls", RPC_BOOL, RPC_AT(api_smtp_mail_params, requiretls), .initial = "false",
     .doc = "Whether every server on the way must use TLS (REQUIRETLS)."},
    {"deliver_by", RPC_INT, RPC_AT(api_smtp_mail_params, deliver_by), .flags = RPC_NULLABLE, .min = -999999999, .max = 999999999,
     .doc = "Seconds in which it is to be delivered (DELIVERBY)."},
    {"deliver_by_mode", RPC_ENUM, RPC_AT(api_smtp_mail_params, deliver_by_mode), .initial = "\"return\"", .names = by_names,
     .doc = "What happens when it was not: it is returned, or the sender is told."},
    {"mt_priority", RPC_INT, RPC_AT(api_smtp_mail_params, mt_priority), .flags = RPC_NULLABLE, .min = -9, .max = 9,
     .doc = "The message's priority (MT-PRIORITY)."},
};
static const struct rpc_object mail_object = {RPC_FIELDS(mail_params), .size = sizeof(struct api_smtp_mail_params)};

static const struct rpc_field rcpt_params[] = {
    {"to", RPC_STRING, RPC_AT(api_smtp_rcpt_params, to), .flags = RPC_REQUIRED | RPC_LINE, .min = 1, .max = 1000,
     .doc = "The recipient's address."},
    {"notify", RPC_STRINGS, RPC_AT(api_smtp_rcpt_params, notify), .flags = RPC_NULLABLE, .names = notify_names,
     .doc = "When the sender wants a report: never, or any of success, failure and delay."},
    {"orcpt", RPC_STRING, RPC_AT(api_smtp_rcpt_params, orcpt), .flags = RPC_LINE | RPC_NULLABLE, .max = 500,
     .doc = "The original recipient: \"rfc822;ann@example.com\"."},
};
static const struct rpc_object rcpt_object = {RPC_FIELDS(rcpt_params), .size = sizeof(struct api_smtp_rcpt_params)};

static const struct rpc_field data_params[] = {{"raw", RPC_CONTENT, RPC_AT(api_smtp_data_params, raw), .flags = RPC_REQUIRED,
                                                .doc = "The message: nothing is added to it; Bcc goes, and line ends become CRLF."}};
static const struct rpc_object data_object = {RPC_FIELDS(data_params), .size = sizeof(struct api_smtp_data_params)};

static const struct rpc_field login_params[] = {
    {"username", RPC_STRING, RPC_AT(api_smtp_login_params, username), .flags = RPC_REQUIRED | RPC_LINE, .min = 1, .max = 1000,
     .doc = "The user's name."},
    {"password", RPC_STRING, RPC_AT(api_smtp_login_params, password), .flags = RPC_REQUIRED | RPC_SECRET, .max = 10000,
     .doc = "The password."},
};
static const struct rpc_object login_object = {RPC_FIELDS(login_params), .size = sizeof(struct api_smtp_login_params)};

static const struct rpc_field authenticate_params[] = {
    {"mechanism", RPC_STRING, RPC_AT(api_smtp_authenticate_params, mechanism), .flags = RPC_REQUIRED | RPC_LINE, .min = 1,
     .max = 64, .doc = "The SASL mechanism."},
    {"secret", RPC_STRING, RPC_AT(api_smtp_authenticate_params, secret), .flags = RPC_LINE | RPC_NULLABLE | RPC_SECRET,
     .max = 12000, .doc = "The initial response, in base64."},
};
static const struct rpc_object authenticate_object = {RPC_FIELDS(authenticate_params),
                                                      .size = sizeof(struct api_smtp_authenticate_params)};

static const struct rpc_field connect_params[] = {
    {"host", RPC_STRING, RPC_AT(api_smtp_connect_params, host), .flags = RPC_LINE | RPC_NULLABLE, .max = 255,
     .doc = "The server; it has to be the account's."},
    {"port", RPC_INT, RPC_AT(api_smtp_connect_params, port), .flags = RPC_NULLABLE, .min = 1, .max = 65535,
     .doc = "Its port; it has to be the account's."},
};
static const struct rpc_object connect_object = {RPC_FIELDS(connect_params), .size = sizeof(struct api_smtp_connect_params)};

STEP(ehlo, RPC_ALLOW_SEND, 0, "Greet the server and learn what it can do (EHLO)",
     "It was done when the session was opened; an envelope under way is forgotten.\n\n", ehlo_object, NULL);
STEP(send_greeting, RPC_ALLOW_SEND, 0, "Greet the server by EHLO, or by HELO where it knows no EHLO",
     "The answer is that of the greeting that was taken. In a session without a connection a refused EHLO is the caller's to see.\n\n",
     ehlo_object, NULL);
STEP(helo, RPC_ALLOW_SEND, 0, "Greet the server in the old way (HELO)", "No extension is used behind it.\n\n", ehlo_object, NULL);
STEP(mail, RPC_ALLOW_SEND, 0, "Begin an envelope (MAIL)", "", mail_object, NULL);
STEP(rcpt, RPC_ALLOW_SEND, 0, "Name a recipient (RCPT)", "", rcpt_object, "smtp.recipient");
STEP(start_data, RPC_ALLOW_SEND, 0, "Announce the message (DATA)", "", rpc_nothing, NULL);
STEP(data, RPC_ALLOW_SEND, RPC_CHANGES, "Send the message of the envelope",
     "Behind smtp.start_data, or in its place: then DATA is said as well.\n\n", data_object, NULL);
STEP(rset, RPC_ALLOW_SEND, 0, "Forget the envelope (RSET)", "", rpc_nothing, NULL);
STEP(noop, RPC_ALLOW_SEND, 0, "Do nothing (NOOP)", "", rpc_nothing, NULL);
STEP(vrfy, RPC_ALLOW_SEND, 0, "Ask about an address (VRFY)", "", address_object, NULL);
STEP(expn, RPC_ALLOW_SEND, 0, "Ask for a list's members (EXPN)", "", address_object, NULL);
STEP(help, RPC_ALLOW_SEND, 0, "Ask for help (HELP)", "", help_object, NULL);
STEP(docmd, RPC_ALLOW_RAW, RPC_CHANGES, "Send a line of the caller's own",
     "STARTTLS, AUTH and QUIT have calls of their own, BDAT cannot be said so.\n\n", docmd_object, "smtp.send_command");
STEP(starttls, RPC_ALLOW_SEND, 0, "Begin TLS (STARTTLS)", "The server is greeted anew behind it.\n\n", rpc_nothing,
     "smtp.start_tls");
STEP(login, RPC_ALLOW_SEND, 0, "Log in, by the best mechanism that the server offers", "", login_object, NULL);
STEP(authenticate, RPC_ALLOW_SEND, 0, "Begin to authenticate (AUTH)",
     "The answer's code is 334 where the server wants more: smtp.send_authentication_data goes on.\n\n", authenticate_object, NULL);
STEP(send_authentication_data, RPC_ALLOW_SEND, 0, "Answer the server's challenge", "", response_object, NULL);
STEP(connect, RPC_ALLOW_SEND, 0, "Tell the server's greeting",
     "The connection was made when the session was opened; another server is another account.\n\n", connect_object, NULL);

/* --- what is known of the session --- */

#define KNOWN(NAME, SUMMARY, DOC, PARAMS)                                                                              \
    const struct rpc_method api_smtp_##NAME = {.name = "smtp." #NAME,                                                  \
                                               .where = RPC_SESSION,                                                   \
                                               .permission = RPC_ALLOW_SEND,                                           \
                                               .flags = RPC_MANUAL,                                                    \
                                               .summary = (SUMMARY),                                                   \
                                               .doc = (DOC),                                                           \
                                               .params = &(PARAMS),                                                    \
                                               .result = &NAME##_result,                                               \
                                               .errors = RPC_ERROR(NO_SUCH_SESSION)}

/* clang-format off */
ONE_TEXT(has_extn, "name", RPC_REQUIRED, 64, "The extension's keyword, in any case.");
/* clang-format on */
static const struct rpc_field has_extn_fields[] = {
    {"present", RPC_BOOL, .flags = RPC_REQUIRED, .doc = "Whether the server offers it."},
    {"params", RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "Its parameters."},
};
static const struct rpc_object has_extn_result = {RPC_FIELDS(has_extn_fields)};
KNOWN(has_extn, "Say whether the server offers an extension", "As it was told last; what the account disables is not offered.",
      has_extn_object);

static const struct rpc_field state_fields[] = {
    {"state", RPC_STRING, .flags = RPC_REQUIRED,
     .doc = "greeting_expected, greeting_received, authenticating, authenticated, ready, mailtx, recipient_sent, send_data, "
            "data_sent or finished."}};
static const struct rpc_object state_result = {RPC_FIELDS(state_fields)};
KNOWN(state, "Tell the session's state", "", rpc_nothing);

static const struct rpc_field max_message_size_fields[] = {
    {"size", RPC_INT, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "Bytes; null where the server names no limit."}};
static const struct rpc_object max_message_size_result = {RPC_FIELDS(max_message_size_fields)};
KNOWN(max_message_size, "Tell how large a message the server takes", "", rpc_nothing);

static const struct rpc_field auth_mechanisms_fields[] = {
    {"mechanisms", RPC_STRINGS, .flags = RPC_REQUIRED, .doc = "Names, as the server lists them."}};
static const struct rpc_object auth_mechanisms_result = {RPC_FIELDS(auth_mechanisms_fields)};
KNOWN(auth_mechanisms, "Tell by which mechanisms the server lets users log in", "", rpc_nothing);

static const struct rpc_field feed_params[] = {{"raw", RPC_CONTENT, RPC_AT(api_smtp_data_params, raw), .flags = RPC_REQUIRED,
                                                .doc = "Bytes from the server, in pieces of any size."}};
static const struct rpc_object feed_object = {RPC_FIELDS(feed_params), .size = sizeof(struct api_smtp_data_params)};
static const struct rpc_field fed_fields[] = {
    {"command", RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE,
     .doc = "What it answers: greeting, or the method without its area; null: nothing, the server speaks of itself."},
    {"code", RPC_INT, .flags = RPC_REQUIRED, .doc = "The reply's code."},
    {"enhanced", RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "Its enhanced status code."},
    {"lines", RPC_STRINGS, .flags = RPC_REQUIRED, .doc = "Its lines, without codes."},
};
static const struct rpc_object fed_object = {.name = "FedAnswer", .doc = "A reply that was fed.", RPC_FIELDS(fed_fields)};
static const struct rpc_field feed_result[] = {
    {"answers", RPC_OBJECTS, .flags = RPC_REQUIRED, .object = &fed_object, .doc = "Replies that are whole now, refusals among them."},
    {"output", RPC_CONTENT, .flags = RPC_REQUIRED, .doc = "Bytes to send now, where a login goes on by itself; else empty."},
    {"state", RPC_STRING, .flags = RPC_REQUIRED, .doc = "The state now, as smtp.state says it."},
    {"start_tls", RPC_BOOL, .flags = RPC_REQUIRED,
     .doc = "Whether the server has agreed to TLS: do the handshake, then greet it anew."},
    {"closed", RPC_BOOL, .flags = RPC_REQUIRED, .doc = "Whether the dialogue is over: close the connection."},
};
static const struct rpc_object feed_result_object = {RPC_FIELDS(feed_result)};

const struct rpc_method api_smtp_feed_bytes = {
    .name = "smtp.feed_bytes",
    .where = RPC_SESSION,
    .permission = RPC_ALLOW_SEND,
    .flags = RPC_CONTENTS | RPC_MANUAL,
    .summary = "Feed a session without a connection with what the server has sent",
    .doc = "For sessions opened with `manual`. What breaks the protocol is the error `protocol`, and the state is finished from then "
           "on.",
    .params = &feed_object,
    .result = &feed_result_object,
    .errors = STEP_ERRORS | RPC_ERROR(LIMIT),
};

static const struct rpc_field debuglevel_params[] = {{"level", RPC_INT, RPC_AT(api_debuglevel_params, level), .flags = RPC_REQUIRED,
                                                      .min = 0, .max = 9, .doc = "0: nothing is shown any more."}};
static const struct rpc_object debuglevel_object = {RPC_FIELDS(debuglevel_params), .size = sizeof(struct api_debuglevel_params)};

const struct rpc_method api_smtp_set_debuglevel = {
    .name = "smtp.set_debuglevel",
    .where = RPC_SESSION,
    .permission = RPC_ALLOW_SEND,
    .flags = RPC_MANUAL,
    .summary = "Trace the session's dialogue",
    .doc = "Lines come as `trace` notifications, {session, outgoing, line}, without secrets and messages.",
    .params = &debuglevel_object,
    .result = &rpc_nothing,
    .errors = RPC_ERROR(NO_SUCH_SESSION),
};
