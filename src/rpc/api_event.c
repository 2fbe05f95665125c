/* SPDX-License-Identifier: MIT */
/* Rows of what servers tell without being asked: imap.idle, event.*. */
#include "api_event.h"

#include "rpc_methods.h"

static const struct rpc_field response_fields[] = {
    {"name", RPC_STRING, .flags = RPC_REQUIRED, .doc = "EXISTS, EXPUNGE, FETCH, VANISHED, OK, or whatever the server says."},
    {"number", RPC_INT, .doc = "Of EXISTS, RECENT, EXPUNGE and FETCH."},
    {"uid", RPC_INT, .doc = "Of FETCH, where the server tells it."},
    {"modseq", RPC_INT, .doc = "Likewise."},
    {"flags", RPC_STRINGS, .doc = "Likewise."},
    {"code", RPC_STRING, .doc = "A response code, such as ALERT."},
    {"text", RPC_STRING, .doc = "What else is said."},
};
static const struct rpc_object response_object = {
    .name = "Untagged", .doc = "Something that the server says without being asked.", RPC_FIELDS(response_fields)};
static const struct rpc_field idle_result[] = {
    {"responses", RPC_OBJECTS, .object = &response_object, .doc = "What the server said, in order."},
    {"count", RPC_INT, .doc = "With `stream`, how many there were."},
};
static const struct rpc_object idle_result_object = {RPC_FIELDS(idle_result)};

const struct rpc_method api_imap_idle = {
    .name = "imap.idle",
    .where = RPC_SESSION,
    .permission = RPC_ALLOW_READ,
    .flags = RPC_STREAMS,
    .summary = "Wait for the server to tell of changes to the selected mailbox",
    .doc = "Ends as soon as the server has said something, or after `timeout` (a minute by default), then with an empty list. "
           "With `stream` it lasts for all of `timeout`, and tells each thing as it comes. Programs that want to follow a "
           "mailbox find event.subscribe better suited.",
    .params = &rpc_nothing,
    .result = &idle_result_object,
    .errors = RPC_SERVER_ERRORS | RPC_ERROR(DENIED) | RPC_ERROR(LIMIT),
};

/* ---- event.* ------------------------------------------------------------------------------------------------- */

static const struct rpc_field subscribe_params[] = {
    {"mailbox", RPC_STRING, RPC_AT(api_event_subscribe_params, mailbox), .flags = RPC_LINE, .min = 1, .max = 4096,
     .initial = "\"INBOX\"", .doc = "The mailbox, in UTF-8."},
    {"cursor", RPC_STRING, RPC_AT(api_event_subscribe_params, cursor), .flags = RPC_LINE, .min = 1, .max = 512,
     .doc = "Where to go on: the last cursor that was received. What has happened since is told first. By default, events begin "
            "now."},
    {"items", RPC_STRINGS, RPC_AT(api_event_subscribe_params, items), .flags = RPC_LINE | RPC_ONE | RPC_SPLIT, .max = 16,
     .doc = "What to tell of new messages beside UID, FLAGS and MODSEQ: ENVELOPE, BODYSTRUCTURE, INTERNALDATE, RFC822.SIZE."},
};
static const struct rpc_object subscribe_object = {
    RPC_FIELDS(subscribe_params), .size = sizeof(struct api_event_subscribe_params)};
static const char *const modes[] = {"notify", "idle", "poll", NULL};
static const struct rpc_field subscribe_result[] = {
    {"subscription", RPC_STRING, .flags = RPC_REQUIRED, .doc = "Its id, for this client connection only."},
    {"cursor", RPC_STRING, .flags = RPC_REQUIRED, .doc = "Where the events begin."},
    {"uidvalidity", RPC_INT, .flags = RPC_REQUIRED, .doc = "The mailbox's validity."},
    {"mode", RPC_ENUM, .names = modes, .flags = RPC_REQUIRED, .doc = "How the server is listened to; it may change."},
};
static const struct rpc_object subscribe_result_object = {RPC_FIELDS(subscribe_result)};

const struct rpc_method api_event_subscribe = {
    .name = "event.subscribe",
    .where = RPC_POOLED,
    .permission = RPC_ALLOW_READ,
    .summary = "Be told of what happens in a mailbox",
    .doc = "Events come as notifications {\"method\": \"event\", \"params\": {subscription, account, mailbox, uidvalidity, cursor, "
           "kind, messages, uids, reason?}} until event.unsubscribe, or the end of the client's connection. `kind` is `new` or "
           "`changed` with `messages` [{uid, modseq, flags, …}], `vanished` with `uids` in ranges like \"3,5:9\" (all of them "
           "are gone, whether they were known or not), `resync`: list the mailbox again, for that `reason`; `down` and `up`: the server is "
           "out of reach, and in reach again.\n\n"
           "A cursor holds where the events that came with it lead to; the daemon keeps nothing. Whoever saves the last one, and "
           "gives it with the next event.subscribe, is told all that happened meanwhile: with CONDSTORE what is new, has "
           "changed and has vanished; without it what is new, and `resync` where anything else has happened. An event may be told "
           "twice, never under another message's UID. Where a client does not keep up, it is told later, all at once; where that is "
           "too much, `resync`.\n\n"
           "All subscriptions of a mailbox share one connection in IDLE, which is asked for again as `idle_renew` says, sooner where "
           "a provider is known to need it; where the server offers NOTIFY, all mailboxes of an account but the first share one more. It takes a place of the pool, at most half of them and never the last, and gives it up where "
           "calls need it; then, and where the server has no IDLE or refuses it, the mailbox is looked at every minute, or every "
           "`idle_renew` if that is less.",
    .params = &subscribe_object,
    .result = &subscribe_result_object,
    .errors = RPC_SERVER_ERRORS | RPC_ERROR(DENIED) | RPC_ERROR(LIMIT),
};

static const struct rpc_field unsubscribe_params[] = {
    {"subscription", RPC_STRING, RPC_AT(api_event_unsubscribe_params, subscription), .flags = RPC_REQUIRED | RPC_LINE, .min = 1,
     .max = 64, .doc = "Its id."},
};
static const struct rpc_object unsubscribe_object = {
    RPC_FIELDS(unsubscribe_params), .size = sizeof(struct api_event_unsubscribe_params)};

const struct rpc_method api_event_unsubscribe = {
    .name = "event.unsubscribe",
    .where = RPC_LOCAL,
    .permission = RPC_ALLOW_PEER,
    .summary = "End a subscription",
    .doc = "No event of it comes after the answer.",
    .params = &unsubscribe_object,
    .result = &rpc_nothing,
    .errors = RPC_ERROR(NOT_FOUND),
};
