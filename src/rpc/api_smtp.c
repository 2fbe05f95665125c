/* SPDX-License-Identifier: MIT */
/* Rows of smtp.*. */
#include "api_smtp.h"

#include "rpc_methods.h"

#define SEND_ERRORS (RPC_SERVER_ERRORS | RPC_ERROR(DENIED) | RPC_ERROR(LIMIT) | RPC_ERROR(BAD_MESSAGE))

static const char *const ret_names[] = {"full", "hdrs", NULL};
static const char *const by_names[] = {"return", "notify", NULL};
static const char *const notify_names[] = {"never", "success", "failure", "delay", NULL};

static const struct rpc_field envelope_fields[] = {
    {"from", RPC_STRING, RPC_AT(api_envelope, from), .flags = RPC_LINE | RPC_NULLABLE, .max = 1000,
     .doc = "The sender's address, \"\" for the null sender; by default the message's."},
    {"to", RPC_STRINGS, RPC_AT(api_envelope, to), .flags = RPC_LINE | RPC_ONE | RPC_NULLABLE,
     .doc = "The recipients' addresses; by default the message's."},
    {"notify", RPC_STRINGS, RPC_AT(api_envelope, notify), .flags = RPC_NULLABLE, .names = notify_names,
     .doc = "When the sender wants a report: never, or any of success, failure and delay."},
    {"ret", RPC_ENUM, RPC_AT(api_envelope, ret), .flags = RPC_NULLABLE, .names = ret_names,
     .doc = "What a report is to hold of the message."},
    {"envid", RPC_STRING, RPC_AT(api_envelope, envid), .flags = RPC_LINE | RPC_NULLABLE, .max = 100,
     .doc = "A name for the transaction, which reports repeat."},
    {"orcpt", RPC_MAP, RPC_AT(api_envelope, orcpt), .flags = RPC_LINE | RPC_NULLABLE, .max = 500,
     .doc = "Recipient to whom the message was first meant for, as \"rfc822;ann@example.com\": what reports about it name."},
    {"requiretls", RPC_BOOL, RPC_AT(api_envelope, requiretls), .initial = "false",
     .doc = "Whether every server on the way must use TLS (REQUIRETLS)."},
    {"deliver_by", RPC_INT, RPC_AT(api_envelope, deliver_by), .flags = RPC_NULLABLE, .min = -999999999, .max = 999999999,
     .doc = "Seconds in which it is to be delivered (DELIVERBY)."},
    {"deliver_by_mode", RPC_ENUM, RPC_AT(api_envelope, deliver_by_mode), .initial = "\"return\"", .names = by_names,
     .doc = "What happens when it was not: it is returned, or the sender is told."},
    {"mt_priority", RPC_INT, RPC_AT(api_envelope, mt_priority), .flags = RPC_NULLABLE, .min = -9, .max = 9,
     .doc = "The message's priority (MT-PRIORITY)."},
};
static const struct rpc_object envelope_object = {.name = "Envelope",
                                                  .doc = "Who sends and who receives, where it is not as in the message.",
                                                  RPC_FIELDS(envelope_fields),
                                                  .size = sizeof(struct api_envelope)};

#define KEY_DOC                                                                                                        \
    "A repeat with the same key, for the same account by the same user, does not send again: it gets the first call's "  \
    "answer."

static const struct rpc_field item_fields[] = {
    {"message", RPC_OBJECT, RPC_AT(api_smtp_item, message), .flags = RPC_ONE_OF, .object = &api_message_object,
     .doc = "The message, to be built."},
    {"raw", RPC_CONTENT, RPC_AT(api_smtp_item, raw), .flags = RPC_ONE_OF, .doc = "The message, as it is."},
    {"envelope", RPC_OBJECT, RPC_AT(api_smtp_item, envelope), .flags = RPC_NULLABLE, .object = &envelope_object,
     .doc = "The envelope."},
    {"idempotency_key", RPC_STRING, RPC_AT(api_smtp_item, idempotency_key), .flags = RPC_NUL_OK, .min = 1, .max = 128,
     .doc = KEY_DOC},
};
static const struct rpc_object item_object = {
    .name = "Sending", .doc = "One mail of several.", RPC_FIELDS(item_fields), .size = sizeof(struct api_smtp_item)};

static const struct rpc_field send_params[] = {
    {"message", RPC_OBJECT, RPC_AT(api_smtp_send_params, item.message), .flags = RPC_AT_MOST_ONE,
     .object = &api_message_object, .doc = "The message, to be built."},
    {"raw", RPC_CONTENT, RPC_AT(api_smtp_send_params, item.raw), .flags = RPC_AT_MOST_ONE,
     .doc = "The message, as it is: bare CR and LF become CRLF, Bcc goes, a missing Date or Message-ID comes."},
    {"messages", RPC_OBJECTS, RPC_AT(api_smtp_send_params, messages), .flags = RPC_AT_MOST_ONE, .min = 1, .max = 1000,
     .object = &item_object, .doc = "Several mails; each has a result of its own."},
    {"envelope", RPC_OBJECT, RPC_AT(api_smtp_send_params, item.envelope), .flags = RPC_NULLABLE,
     .object = &envelope_object, .doc = "The envelope; by default, the message's addresses."},
    {"idempotency_key", RPC_STRING, RPC_AT(api_smtp_send_params, item.idempotency_key), .flags = RPC_NUL_OK, .min = 1,
     .max = 128, .doc = KEY_DOC},
};
static const struct rpc_object send_object = {RPC_FIELDS(send_params), .size = sizeof(struct api_smtp_send_params)};

static const struct rpc_field refused_fields[] = {
    {"address", RPC_STRING, .flags = RPC_REQUIRED, .doc = "The recipient."},
    {"reply", RPC_OBJECT, .flags = RPC_REQUIRED, .object = &api_reply_result, .doc = "Why."},
};
static const struct rpc_object refused_object = {
    .name = "RefusedRecipient", .doc = "A recipient that the server refused.", RPC_FIELDS(refused_fields)};

#define SENT_FIELDS(required)                                                                                          \
    {"accepted", RPC_STRINGS, .flags = required, .doc = "Recipients that the server took."},                           \
        {"rejected", RPC_OBJECTS, .flags = required, .object = &refused_object, .doc = "Recipients that it refused."},  \
        {"reply", RPC_OBJECT, .flags = required, .object = &api_reply_result, .doc = "Its reply to the message."},      \
        {"message_id", RPC_STRING, .flags = (required) | RPC_NULLABLE, .doc = "The message's id, without angle brackets."},\
    {                                                                                                                  \
        "size", RPC_INT, .flags = required, .doc = "Bytes sent."                                                       \
    }

static const struct rpc_field sent_one_fields[] = {
    SENT_FIELDS(0),
    {"error", RPC_ANY, .doc = "The error object, in place of all other members."},
};
static const struct rpc_object sent_one_object = {
    .name = "Sent", .doc = "How sending one mail of several went.", RPC_FIELDS(sent_one_fields)};

static const struct rpc_field send_result[] = {
    SENT_FIELDS(0),
    {"count", RPC_INT, .doc = "With `stream`, how many there were."},
    {"results", RPC_OBJECTS, .object = &sent_one_object,
     .doc = "For `messages`, and for what was added in a session: a result for each, in place of all other members."},
};
static const struct rpc_object send_result_object = {RPC_FIELDS(send_result)};

const struct rpc_method api_smtp_send = {
    .name = "smtp.send",
    .aliases = {"smtp.send_message"},
    .where = RPC_BOTH,
    .permission = RPC_ALLOW_SEND,
    .flags = RPC_STREAMS | RPC_CHANGES,
    .summary = "Send a mail",
    .doc = "Give `message`, or `raw`, or `messages`, or in a session what smtp.add_message has put aside. Several mails go over one "
           "connection, one behind the other; each has a result, and the failure of one is no other's. A refused recipient among others is a success that lists it; when all "
           "are refused, the error is `rejected`.\n\nWhere the connection was lost after the final dot, the error's outcome is "
           "`unknown`: the daemon does not send again by itself.",
    .params = &send_object,
    .result = &send_result_object,
    .errors = SEND_ERRORS | RPC_ERROR(CONFLICT) | RPC_ERROR(STORAGE),
};

static const struct rpc_field add_message_params[] = {
    {"message", RPC_OBJECT, RPC_AT(api_smtp_add_message_params, item.message), .flags = RPC_ONE_OF, .object = &api_message_object,
     .doc = "The message, to be built."},
    {"raw", RPC_CONTENT, RPC_AT(api_smtp_add_message_params, item.raw), .flags = RPC_ONE_OF, .doc = "The message, as it is."},
    {"envelope", RPC_OBJECT, RPC_AT(api_smtp_add_message_params, item.envelope), .flags = RPC_NULLABLE,
     .object = &envelope_object, .doc = "The envelope; by default, the message's addresses."},
    {"idempotency_key", RPC_STRING, RPC_AT(api_smtp_add_message_params, item.idempotency_key), .flags = RPC_NUL_OK, .min = 1,
     .max = 128, .doc = KEY_DOC},
};
static const struct rpc_object add_message_object = {RPC_FIELDS(add_message_params),
                                                     .size = sizeof(struct api_smtp_add_message_params)};
static const struct rpc_field add_message_result[] = {
    {"count", RPC_INT, .flags = RPC_REQUIRED, .doc = "How many mails are put aside now."}};
static const struct rpc_object add_message_result_object = {RPC_FIELDS(add_message_result)};

const struct rpc_method api_smtp_add_message = {
    .name = "smtp.add_message",
    .where = RPC_SESSION,
    .permission = RPC_ALLOW_SEND,
    .summary = "Put a mail aside, to be sent with others",
    .doc = "smtp.send in the same session, without a message of its own, sends all that was added, in that order, and answers with "
           "`results`: what becomes of each. Nothing is left then, whatever the results are. A message that cannot be built is refused "
           "here.",
    .params = &add_message_object,
    .result = &add_message_result_object,
    .errors = RPC_ERROR(NO_SUCH_SESSION) | RPC_ERROR(DENIED) | RPC_ERROR(LIMIT) | RPC_ERROR(BAD_MESSAGE),
};

static const struct rpc_field sendmail_params[] = {
    {"from", RPC_STRING, RPC_AT(api_smtp_sendmail_params, from), .flags = RPC_REQUIRED | RPC_LINE, .max = 1000,
     .doc = "The sender's address, \"\" for the null sender."},
    {"to", RPC_STRINGS, RPC_AT(api_smtp_sendmail_params, to), .flags = RPC_REQUIRED | RPC_LINE | RPC_ONE, .min = 1,
     .doc = "The recipients' addresses."},
    {"raw", RPC_CONTENT, RPC_AT(api_smtp_sendmail_params, raw), .flags = RPC_REQUIRED,
     .doc = "The message: nothing is added to it; Bcc goes, and line ends become CRLF."},
};
static const struct rpc_object sendmail_object = {RPC_FIELDS(sendmail_params),
                                                  .size = sizeof(struct api_smtp_sendmail_params)};
static const struct rpc_field sendmail_result[] = {
    {"refused", RPC_MAP_OF, .flags = RPC_REQUIRED, .doc = "Refused recipient to [code, text]."}};
static const struct rpc_object sendmail_result_object = {RPC_FIELDS(sendmail_result)};

const struct rpc_method api_smtp_sendmail = {
    .name = "smtp.sendmail",
    .where = RPC_BOTH,
    .permission = RPC_ALLOW_SEND,
    .flags = RPC_CHANGES,
    .summary = "Send a complete message in a given envelope",
    .doc = "Like smtplib's method of this name.",
    .params = &sendmail_object,
    .result = &sendmail_result_object,
    .errors = SEND_ERRORS,
};

static const struct rpc_field ok_result[] = {
    {"ok", RPC_BOOL, .flags = RPC_REQUIRED, .doc = "Whether a connection was made and the credentials were taken."},
    {"error", RPC_ANY, .doc = "The error object, when not."},
};
static const struct rpc_object ok_object = {RPC_FIELDS(ok_result)};

const struct rpc_method api_smtp_test_connection = {
    .name = "smtp.test_connection",
    .where = RPC_POOLED,
    .permission = RPC_ALLOW_SEND,
    .summary = "Try to connect and to log in",
    .doc = "Makes a new connection, logs in and leaves again.",
    .params = &rpc_nothing,
    .result = &ok_object,
    .errors = RPC_ERROR(DENIED) | RPC_ERROR(NO_SUCH_ACCOUNT) | RPC_ERROR(BUSY),
};

static const struct rpc_field verify_params[] = {
    {"address", RPC_STRING, RPC_AT(api_smtp_verify_params, address), .flags = RPC_REQUIRED | RPC_LINE, .min = 1,
     .max = 1000, .doc = "The address or user name."}};
static const struct rpc_object verify_object = {RPC_FIELDS(verify_params), .size = sizeof(struct api_smtp_verify_params)};
static const struct rpc_field verify_result[] = {
    {"valid", RPC_BOOL, .flags = RPC_REQUIRED, .doc = "Whether the server knows it (250, 251)."},
    {"reply", RPC_OBJECT, .flags = RPC_REQUIRED, .object = &api_reply_result, .doc = "What it said."},
};
static const struct rpc_object verify_result_object = {RPC_FIELDS(verify_result)};

const struct rpc_method api_smtp_verify = {
    .name = "smtp.verify",
    .where = RPC_BOTH,
    .permission = RPC_ALLOW_SEND,
    .summary = "Ask the server about an address (VRFY)",
    .doc = "Many servers answer 252, which says nothing: `valid` is false then.",
    .params = &verify_object,
    .result = &verify_result_object,
    .errors = RPC_SERVER_ERRORS | RPC_ERROR(DENIED),
};

static const struct rpc_field open_params[] = {
    {"login", RPC_BOOL, RPC_AT(api_open_params, login), .initial = "true", .doc = "Whether to log in."},
    {"manual", RPC_BOOL, RPC_AT(api_open_params, manual), .initial = "false",
     .doc = "A session without a connection: its commands answer with the bytes to send, and smtp.feed_bytes takes what came."},
};
static const struct rpc_object open_object = {RPC_FIELDS(open_params), .size = sizeof(struct api_open_params)};
static const struct rpc_field open_result[] = {
    {"session", RPC_STRING, .flags = RPC_REQUIRED, .doc = "The session's id, for this client connection only."},
    {"greeting", RPC_STRING, .doc = "What the server said first."},
    {"extensions", RPC_MAP_OF, .doc = "The server's extensions and their parameters."},
    {"state", RPC_STRING, .doc = "Of a session without a connection, in place of these: greeting_expected."},
};
static const struct rpc_object open_result_object = {RPC_FIELDS(open_result)};

const struct rpc_method api_smtp_open = {
    .name = "smtp.open",
    .where = RPC_POOLED,
    .permission = RPC_ALLOW_SEND,
    .flags = RPC_ACCOUNT_OPTIONAL,
    .summary = "Open a session: a connection for this client alone",
    .doc = "It ends with smtp.quit, after session_idle or session_max, or with the client's connection.\n\n"
           "With `manual` there is no connection, and no account is needed: the client carries the bytes. Each step answers {output, "
           "state}, and is over when its reply was fed; one at a time. The daemon's own engine judges what may be said in which "
           "state. An account lends its EHLO name, its time limits and `disable`, never its credentials, and `senders` binds "
           "nobody there.",
    .params = &open_object,
    .result = &open_result_object,
    .errors = RPC_SERVER_ERRORS | RPC_ERROR(DENIED),
};

static const struct rpc_field quit_result[] = {
    {"output", RPC_CONTENT, .doc = "Of a session without a connection: the bytes to send."}};
static const struct rpc_object quit_result_object = {RPC_FIELDS(quit_result)};

const struct rpc_method api_smtp_quit = {
    .name = "smtp.quit",
    .where = RPC_SESSION,
    .permission = RPC_ALLOW_SEND,
    .flags = RPC_CONTENTS | RPC_MANUAL,
    .summary = "End a session",
    .doc = "Says QUIT and closes the connection.",
    .params = &rpc_nothing,
    .result = &quit_result_object,
    .errors = RPC_ERROR(NO_SUCH_SESSION),
};
