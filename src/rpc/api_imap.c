/* SPDX-License-Identifier: MIT */
/* Rows of imap.*. */
#include "api_imap.h"

#include "rpc_methods.h"

#define READ_ERRORS (RPC_SERVER_ERRORS | RPC_ERROR(DENIED) | RPC_ERROR(LIMIT) | RPC_ERROR(UIDVALIDITY) | RPC_ERROR(NOT_FOUND))
#define WRITE_ERRORS (READ_ERRORS | RPC_ERROR(READONLY))

/* ---- parameters that several methods take ------------------------------------------------------------------- */

#define MAILBOX(type)                                                                                                  \
    {                                                                                                                  \
        "mailbox", RPC_STRING, RPC_AT(type, mailbox), .flags = RPC_LINE | RPC_POOLED_DEFAULT, .min = 1, .max = 4096,   \
        .initial = "\"INBOX\"",                                                                                        \
        .doc = "The mailbox, in UTF-8. In a session, the selected one by default."                                     \
    }
#define UIDS(type)                                                                                                     \
    {                                                                                                                  \
        "uids", RPC_SET, RPC_AT(type, uids), .flags = RPC_POOLED_REQUIRED | RPC_ONE_OF,                                \
        .doc = "The messages by UID: \"1:*\", or an array of numbers; in a session also \"$\", what was saved by imap.search."                                                 \
    }
#define NUMBERS(type)                                                                                                  \
    {                                                                                                                  \
        "numbers", RPC_SET, RPC_AT(type, numbers), .flags = RPC_SESSION_ONLY | RPC_ONE_OF,                             \
        .doc = "The messages by number, in place of UIDs."                                                             \
    }
#define UIDVALIDITY(type, text)                                                                                        \
    {                                                                                                                  \
        "uidvalidity", RPC_UIDVALIDITY, RPC_AT(type, uidvalidity), .doc = text                                         \
    }
#define READ_VALIDITY                                                                                                  \
    "The mailbox's validity that the UIDs belong to; by default, the one last answered on this client connection. "     \
    "On a mismatch nothing is sent."
#define WRITE_VALIDITY                                                                                                 \
    "The mailbox's validity that the UIDs belong to, or \"any\". Required unless this client connection has been "      \
    "answered one for the mailbox. On a mismatch nothing is sent."

#define VALIDITY_RESULT                                                                                                \
    {                                                                                                                  \
        "uidvalidity", RPC_INT, .doc = "The mailbox's validity."                                                       \
    }

/* ---- open, logout, noop ------------------------------------------------------------------------------------- */

static const struct rpc_field open_params[] = {
    {"login", RPC_BOOL, RPC_AT(api_open_params, login), .initial = "true", .doc = "Whether to log in."},
    {"readonly", RPC_BOOL, RPC_AT(api_open_params, readonly), .initial = "false",
     .doc = "Never change anything: mailboxes are examined, not selected."},
};
static const struct rpc_object open_object = {RPC_FIELDS(open_params), .size = sizeof(struct api_open_params)};
static const struct rpc_field open_result[] = {
    {"session", RPC_STRING, .flags = RPC_REQUIRED, .doc = "The session's id, for this client connection only."},
    {"greeting", RPC_STRING, .doc = "What the server said first."},
    {"capabilities", RPC_STRINGS, .doc = "The server's capabilities."},
};
static const struct rpc_object open_result_object = {RPC_FIELDS(open_result)};

const struct rpc_method api_imap_open = {
    .name = "imap.open",
    .where = RPC_POOLED,
    .permission = RPC_ALLOW_READ,
    .summary = "Open a session: a connection for this client alone",
    .doc = "It ends with imap.logout, after session_idle or session_max, or with the client's connection.",
    .params = &open_object,
    .result = &open_result_object,
    .errors = RPC_SERVER_ERRORS | RPC_ERROR(DENIED),
};

const struct rpc_method api_imap_logout = {
    .name = "imap.logout",
    .aliases = {"imap.quit"},
    .where = RPC_SESSION,
    .permission = RPC_ALLOW_READ,
    .summary = "End a session",
    .doc = "Says LOGOUT and closes the connection.",
    .params = &rpc_nothing,
    .result = &rpc_nothing,
    .errors = RPC_ERROR(NO_SUCH_SESSION),
};

const struct rpc_method api_imap_noop = {
    .name = "imap.noop",
    .where = RPC_BOTH,
    .permission = RPC_ALLOW_READ,
    .summary = "Do nothing, but show that the connection lives",
    .doc = "",
    .params = &rpc_nothing,
    .result = &rpc_nothing,
    .errors = RPC_SERVER_ERRORS,
};

/* ---- mailboxes ---------------------------------------------------------------------------------------------- */

static const char *const list_selections[] = {"SUBSCRIBED", "REMOTE", "RECURSIVEMATCH", "SPECIAL-USE", NULL};
static const char *const list_returns[] = {"SUBSCRIBED", "CHILDREN", "SPECIAL-USE", "MYRIGHTS", NULL};

static const struct rpc_field list_params[] = {
    {"reference", RPC_STRING, RPC_AT(api_imap_list_params, reference), .flags = RPC_LINE, .max = 4096, .initial = "\"\"",
     .doc = "The name that the pattern is relative to."},
    {"pattern", RPC_STRING, RPC_AT(api_imap_list_params, pattern), .flags = RPC_LINE, .max = 4096, .initial = "\"*\"",
     .doc = "`*` stands for anything, `%` for anything within a level; empty: only the delimiter is asked for."},
    {"patterns", RPC_STRINGS, RPC_AT(api_imap_list_params, patterns), .flags = RPC_LINE, .max = 64,
     .doc = "Several patterns, in place of `pattern`."},
    {"selection", RPC_STRINGS, RPC_AT(api_imap_list_params, selection), .flags = RPC_ONE | RPC_SPLIT, .max = 8, .names = list_selections,
     .doc = "Only those mailboxes (RFC 5258, 6154)."},
    {"return", RPC_STRINGS, RPC_AT(api_imap_list_params, returns), .flags = RPC_ONE | RPC_SPLIT, .max = 8, .names = list_returns,
     .doc = "What to tell of each: further attributes, or one's own rights."},
    {"status", RPC_STRINGS, RPC_AT(api_imap_list_params, status), .flags = RPC_LINE | RPC_ONE | RPC_SPLIT, .max = 32,
     .doc = "Items of imap.status to tell of each."},
    {"metadata", RPC_STRINGS, RPC_AT(api_imap_list_params, metadata), .flags = RPC_LINE | RPC_ONE, .max = 100,
     .doc = "Annotations to tell of each, such as /private/comment."},
};
static const struct rpc_object list_object = {RPC_FIELDS(list_params), .size = sizeof(struct api_imap_list_params)};
static const struct rpc_field mailbox_fields[] = {
    {"name", RPC_STRING, .flags = RPC_REQUIRED, .doc = "The name, in UTF-8 whatever the server speaks."},
    {"delimiter", RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "What separates levels; null: there are none."},
    {"attributes", RPC_STRINGS, .flags = RPC_REQUIRED, .doc = "As the server names them."},
    {"special_use", RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "What it is for (RFC 6154), such as \\Sent."},
    {"child_info", RPC_STRINGS, .doc = "Why it is listed though it was not selected itself, such as SUBSCRIBED."},
    {"old_name", RPC_STRING, .flags = RPC_NULLABLE, .doc = "What it was called before."},
    {"status", RPC_MAP_OF, .flags = RPC_NULLABLE, .doc = "As in imap.status, where that was asked for; null: not told."},
    {"rights", RPC_STRING, .flags = RPC_NULLABLE, .doc = "One's own rights, where they were asked for; null: not told."},
    {"metadata", RPC_MAP_OF, .doc = "Annotations, where they were asked for: name to value."},
};
static const struct rpc_object mailbox_object = {
    .name = "Mailbox", .doc = "A mailbox in a list.", RPC_FIELDS(mailbox_fields)};
static const struct rpc_field list_result[] = {
    {"mailboxes", RPC_OBJECTS, .object = &mailbox_object, .doc = "The mailboxes."},
    {"count", RPC_INT, .doc = "With `stream`, how many there were."},
};
const struct rpc_object api_imap_list_result = {RPC_FIELDS(list_result)};

const struct rpc_method api_imap_list = {
    .name = "imap.list",
    .where = RPC_BOTH,
    .permission = RPC_ALLOW_READ,
    .flags = RPC_STREAMS,
    .summary = "List mailboxes",
    .doc = "`status`, `metadata`, rights, several patterns and SUBSCRIBED alone work with any server: what an extended LIST does not tell "
           "is asked for each mailbox.",
    .params = &list_object,
    .result = &api_imap_list_result,
    .errors = RPC_SERVER_ERRORS | RPC_ERROR(DENIED) | RPC_ERROR(LIMIT),
};

static const struct rpc_field status_params[] = {
    MAILBOX(api_imap_status_params),
    {"items", RPC_STRINGS, RPC_AT(api_imap_status_params, items), .flags = RPC_LINE | RPC_ONE | RPC_SPLIT, .max = 32,
     .doc = "Of MESSAGES, RECENT, UNSEEN, UIDNEXT, UIDVALIDITY, HIGHESTMODSEQ, SIZE, …; by default the first five."},
};
static const struct rpc_object status_object = {RPC_FIELDS(status_params), .size = sizeof(struct api_imap_status_params)};
static const struct rpc_field status_result[] = {
    {"mailbox", RPC_STRING, .flags = RPC_REQUIRED, .doc = "The mailbox."},
    {"messages", RPC_INT, .doc = "Messages in it."},
    {"recent", RPC_INT, .doc = "Messages that no session has seen before."},
    {"unseen", RPC_INT, .doc = "Messages without \\Seen."},
    {"uidnext", RPC_INT, .doc = "The UID that the next message will have, at least."},
    VALIDITY_RESULT,
    {"highestmodseq", RPC_INT, .doc = "The highest modification sequence."},
    {"size", RPC_INT, .doc = "Bytes in it."},
};
static const struct rpc_object status_result_object = {RPC_FIELDS(status_result)};

const struct rpc_method api_imap_status = {
    .name = "imap.status",
    .where = RPC_BOTH,
    .permission = RPC_ALLOW_READ,
    .summary = "Count what a mailbox holds, without opening it",
    .doc = "The answer has a member for each item asked for, in lower case.",
    .params = &status_object,
    .result = &status_result_object,
    .errors = RPC_SERVER_ERRORS | RPC_ERROR(DENIED),
};

static const struct rpc_field known_fields[] = {
    {"uidvalidity", RPC_INT, RPC_AT(api_imap_known, uidvalidity), .flags = RPC_REQUIRED, .min = 1, .max = UINT32_MAX,
     .doc = "The mailbox's validity."},
    {"modseq", RPC_INT, RPC_AT(api_imap_known, modseq), .flags = RPC_REQUIRED, .min = 1, .max = INT64_MAX,
     .doc = "The highest modification sequence that is known."},
    {"uids", RPC_SET, RPC_AT(api_imap_known, uids), .doc = "The messages that are known; by default, all up to now."},
};
static const struct rpc_object known_object = {
    .name = "KnownMailbox", .doc = "What is known of a mailbox.", RPC_FIELDS(known_fields), .size = sizeof(struct api_imap_known)};
#define RESYNC_PARAMS                                                                                                  \
    {"condstore", RPC_BOOL, RPC_AT(api_imap_select_params, condstore), .initial = "false",                             \
     .doc = "Have the server tell modification sequences from then on (CONDSTORE)."},                                  \
    {                                                                                                                  \
        "qresync", RPC_OBJECT, RPC_AT(api_imap_select_params, qresync), .object = &known_object,                       \
        .doc = "What is known of the mailbox, to be told what has changed since; QRESYNC must have been switched on with imap.enable."  \
    }

static const struct rpc_field select_params[] = {
    {"mailbox", RPC_STRING, RPC_AT(api_imap_select_params, mailbox), .flags = RPC_LINE, .min = 1, .max = 4096,
     .initial = "\"INBOX\"", .doc = "The mailbox, in UTF-8."},
    {"readonly", RPC_BOOL, RPC_AT(api_imap_select_params, readonly), .initial = "false", .doc = "Examine it."},
    RESYNC_PARAMS,
};
static const struct rpc_object select_object = {RPC_FIELDS(select_params), .size = sizeof(struct api_imap_select_params)};
static const struct rpc_field examine_params[] = {
    {"mailbox", RPC_STRING, RPC_AT(api_imap_select_params, mailbox), .flags = RPC_LINE, .min = 1, .max = 4096,
     .initial = "\"INBOX\"", .doc = "The mailbox, in UTF-8."},
    RESYNC_PARAMS,
};
static const struct rpc_object examine_object = {RPC_FIELDS(examine_params),
                                                 .size = sizeof(struct api_imap_select_params)};
static const struct rpc_field stored_fields[] = {
    {"uid", RPC_INT, .doc = "The UID."},
    {"seq", RPC_INT, .doc = "Its number, where numbers were given, or at imap.select."},
    {"flags", RPC_STRINGS, .doc = "Its flags now."},
    {"gm_labels", RPC_STRINGS, .doc = "Its labels now, where those were stored."},
    {"modseq", RPC_INT, .doc = "Its modification sequence."},
};
static const struct rpc_object stored_object = {
    .name = "StoredFlags", .doc = "A message's flags as they are now.", RPC_FIELDS(stored_fields)};
static const struct rpc_field select_result[] = {
    {"mailbox", RPC_STRING, .flags = RPC_REQUIRED, .doc = "The mailbox."},
    {"exists", RPC_INT, .flags = RPC_REQUIRED, .doc = "Messages in it."},
    {"recent", RPC_INT, .doc = "Messages that no session has seen before."},
    {"flags", RPC_STRINGS, .doc = "Flags that messages may have."},
    {"permanentflags", RPC_STRINGS, .doc = "Flags that can be changed for good."},
    {"uidvalidity", RPC_INT, .doc = "The mailbox's validity."},
    {"uidnext", RPC_INT, .doc = "The UID that the next message will have, at least."},
    {"highestmodseq", RPC_INT, .flags = RPC_NULLABLE, .doc = "The highest modification sequence."},
    {"readonly", RPC_BOOL, .flags = RPC_REQUIRED, .doc = "Whether nothing can be changed."},
    {"mailboxid", RPC_STRING, .doc = "The mailbox's id, where the server tells it (OBJECTID)."},
    {"vanished", RPC_STRING, .doc = "With `qresync`: UIDs of messages that have gone since, such as \"3,5:9\"."},
    {"changed", RPC_OBJECTS, .object = &stored_object, .doc = "With `qresync`: messages that are new or have changed since."},
};
static const struct rpc_object select_result_object = {
    .name = "Selected", .doc = "A mailbox that was selected.", RPC_FIELDS(select_result)};

const struct rpc_method api_imap_select = {
    .name = "imap.select",
    .where = RPC_SESSION,
    .permission = RPC_ALLOW_READ,
    .summary = "Open a mailbox in a session",
    .doc = "Without the right to write, it is examined.",
    .params = &select_object,
    .result = &select_result_object,
    .errors = RPC_SERVER_ERRORS | RPC_ERROR(DENIED),
};

const struct rpc_method api_imap_examine = {
    .name = "imap.examine",
    .where = RPC_SESSION,
    .permission = RPC_ALLOW_READ,
    .summary = "Open a mailbox in a session, for reading only",
    .doc = "",
    .params = &examine_object,
    .result = &select_result_object,
    .errors = RPC_SERVER_ERRORS | RPC_ERROR(DENIED),
};

/* ---- reading ------------------------------------------------------------------------------------------------ */

static const char *const search_scopes[] = {"mailboxes", "subtree", "subtree-one", "personal", "subscribed", "inboxes", NULL};
static const char *const search_returns[] = {"ALL", "MIN", "MAX", "COUNT", "SAVE", NULL};

static const struct rpc_field search_params[] = {
    MAILBOX(api_imap_search_params),
    {"query", RPC_TERMS, RPC_AT(api_imap_search_params, query), .flags = RPC_LINE,
     .doc = "IMAP's search keys as one string, or an array of terms (an array inside stands for parentheses); empty: NEW."},
    UIDVALIDITY(api_imap_search_params, READ_VALIDITY),
    {"numbers", RPC_BOOL, RPC_AT(api_imap_search_params, numbers), .flags = RPC_SESSION_ONLY, .initial = "false",
     .doc = "Answer message numbers in place of UIDs."},
    {"return", RPC_STRINGS, RPC_AT(api_imap_search_params, returns), .flags = RPC_ONE | RPC_SPLIT, .max = 8, .names = search_returns,
     .doc = "What to tell of the messages found: ALL, which is the default, the lowest, the highest, how many. SAVE, in a session: "
            "they are what \"$\" stands for in later calls."},
    {"partial", RPC_STRING, RPC_AT(api_imap_search_params, partial), .flags = RPC_LINE, .min = 3, .max = 32,
     .doc = "Only a part of ALL, by its place: \"1:100\" for the first hundred, \"-1:-100\" for the last."},
    {"ranges", RPC_BOOL, RPC_AT(api_imap_search_params, ranges), .initial = "false",
     .doc = "Tell ALL as one string, such as \"1:500,502\"."},
    {"mailboxes", RPC_STRINGS, RPC_AT(api_imap_search_params, mailboxes), .flags = RPC_LINE | RPC_ONE, .max = 1000,
     .doc = "Look into all of these, in place of `mailbox`."},
    {"scope", RPC_ENUM, RPC_AT(api_imap_search_params, scope), .names = search_scopes,
     .doc = "What `mailboxes` stand for: themselves, all below them too, or one level; or without `mailboxes`, all personal ones, all "
            "subscribed ones, all that mail is delivered to (MULTISEARCH)."},
};
static const struct rpc_object search_object = {RPC_FIELDS(search_params), .size = sizeof(struct api_imap_search_params)};
static const struct rpc_field found_fields[] = {
    {"mailbox", RPC_STRING, .flags = RPC_REQUIRED, .doc = "The mailbox, in UTF-8."},
    VALIDITY_RESULT,
    {"uids", RPC_INTS, .doc = "The messages found."},
    {"ranges", RPC_STRING, .doc = "The same, where ranges were asked for."},
    {"min", RPC_INT, .doc = "The lowest, where that was asked for."},
    {"max", RPC_INT, .doc = "The highest, likewise."},
    {"count", RPC_INT, .doc = "How many, likewise."},
};
static const struct rpc_object found_object = {
    .name = "FoundIn", .doc = "What was found in one of several mailboxes.", RPC_FIELDS(found_fields)};
static const struct rpc_field search_result[] = {
    VALIDITY_RESULT,
    {"uids", RPC_INTS, .doc = "The messages found."},
    {"numbers", RPC_INTS, .doc = "The messages found, where numbers were asked for."},
    {"ranges", RPC_STRING, .doc = "The messages found, where ranges were asked for."},
    {"min", RPC_INT, .doc = "The lowest, where that was asked for and there is one."},
    {"max", RPC_INT, .doc = "The highest, likewise."},
    {"count", RPC_INT, .doc = "How many, where that was asked for; with `stream`, how many were told."},
    {"modseq", RPC_INT, .doc = "The highest modification sequence of what was found, where the query has MODSEQ."},
    {"mailboxes", RPC_OBJECTS, .object = &found_object, .doc = "With `mailboxes` or `scope`: those in which something was found."},
};
static const struct rpc_object search_result_object = {RPC_FIELDS(search_result)};

const struct rpc_method api_imap_search = {
    .name = "imap.search",
    .where = RPC_BOTH,
    .permission = RPC_ALLOW_READ,
    .flags = RPC_STREAMS,
    .summary = "Find messages",
    .doc = "Texts of any language work. A search key that needs an extension (OLDER and YOUNGER, FUZZY, MODSEQ, EMAILID, SAVEDSINCE, "
           "X-GM-RAW, …) is `missing_extension` where the server does not offer it; all of `return`, `partial`, `ranges` and `mailboxes` but SAVE "
           "works with any server.",
    .params = &search_object,
    .result = &search_result_object,
    .errors = READ_ERRORS,
};

static const struct rpc_field fetch_params[] = {
    MAILBOX(api_imap_fetch_params),
    UIDS(api_imap_fetch_params),
    NUMBERS(api_imap_fetch_params),
    {"items", RPC_STRINGS, RPC_AT(api_imap_fetch_params, items), .flags = RPC_LINE | RPC_ONE, .max = 64,
     .doc = "What to fetch: FLAGS, ENVELOPE, BODY.PEEK[], …, or ALL, FAST or FULL; by default the whole message, without "
            "setting \\Seen."},
    UIDVALIDITY(api_imap_fetch_params, READ_VALIDITY),
    {"changedsince", RPC_INT, RPC_AT(api_imap_fetch_params, changedsince), .min = 0, .max = INT64_MAX,
     .doc = "Only messages that have changed since this modification sequence (CONDSTORE)."},
    {"vanished", RPC_BOOL, RPC_AT(api_imap_fetch_params, vanished), .initial = "false",
     .doc = "With `changedsince` and `uids`: tell which of the messages have gone since (QRESYNC)."},
    {"partial", RPC_STRING, RPC_AT(api_imap_fetch_params, partial), .flags = RPC_LINE, .min = 3, .max = 32,
     .doc = "Only a part of the messages that `uids` names, by its place: \"1:100\" for the first hundred, \"-1:-100\" for the last."},
    {"decode", RPC_BOOL, RPC_AT(api_imap_fetch_params, decode), .initial = "false",
     .doc = "Give sections of single parts without their transfer encoding."},
};
static const struct rpc_object fetch_object = {RPC_FIELDS(fetch_params), .size = sizeof(struct api_imap_fetch_params)};

#define ENVELOPE_ADDRESSES(field)                                                                                      \
    {                                                                                                                  \
        field, RPC_OBJECTS, .flags = RPC_REQUIRED, .object = &api_address_result, .doc = "As in mail.parse."           \
    }
static const struct rpc_field envelope_fields[] = {
    {"date", RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "ISO 8601 with its offset; null if it is unusable."},
    {"date_raw", RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "The date as the message has it."},
    {"subject", RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "The subject, decoded."},
    ENVELOPE_ADDRESSES("from"),
    ENVELOPE_ADDRESSES("sender"),
    ENVELOPE_ADDRESSES("reply_to"),
    ENVELOPE_ADDRESSES("to"),
    ENVELOPE_ADDRESSES("cc"),
    ENVELOPE_ADDRESSES("bcc"),
    {"in_reply_to", RPC_STRINGS, .flags = RPC_REQUIRED, .doc = "Ids without angle brackets."},
    {"message_id", RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "Without angle brackets."},
};
static const struct rpc_object envelope_object = {
    .name = "FetchedEnvelope", .doc = "IMAP's ENVELOPE, decoded.", RPC_FIELDS(envelope_fields)};

static const struct rpc_object bodystructure_object;
static const struct rpc_field bodystructure_fields[] = {
    {"part", RPC_STRING, .flags = RPC_REQUIRED, .doc = "The section number."},
    {"type", RPC_STRING, .flags = RPC_REQUIRED, .doc = "Lower case."},
    {"subtype", RPC_STRING, .flags = RPC_REQUIRED, .doc = "Lower case."},
    {"params", RPC_MAP_OF, .flags = RPC_REQUIRED, .doc = "Lower-case name to value, decoded."},
    {"id", RPC_STRING, .flags = RPC_NULLABLE, .doc = "Content-ID, without angle brackets."},
    {"description", RPC_STRING, .flags = RPC_NULLABLE, .doc = "Content-Description."},
    {"encoding", RPC_STRING, .flags = RPC_NULLABLE, .doc = "The transfer encoding."},
    {"size", RPC_INT, .flags = RPC_NULLABLE, .doc = "Bytes, encoded."},
    {"lines", RPC_INT, .doc = "Lines, for text and messages."},
    {"md5", RPC_STRING, .flags = RPC_NULLABLE, .doc = "Content-MD5."},
    {"disposition", RPC_STRING, .flags = RPC_NULLABLE, .doc = "Lower case."},
    {"disposition_params", RPC_MAP_OF, .flags = RPC_NULLABLE, .doc = "Lower-case name to value, decoded."},
    {"language", RPC_STRINGS, .flags = RPC_NULLABLE, .doc = "Content-Language."},
    {"location", RPC_STRING, .flags = RPC_NULLABLE, .doc = "Content-Location."},
    {"envelope", RPC_OBJECT, .flags = RPC_NULLABLE, .object = &envelope_object, .doc = "Of an enclosed message."},
    {"children", RPC_OBJECTS, .object = &bodystructure_object, .doc = "Parts of a multipart or of an enclosed message."},
};
static const struct rpc_object bodystructure_object = {
    .name = "BodyStructure", .doc = "IMAP's BODYSTRUCTURE, with section numbers.", RPC_FIELDS(bodystructure_fields)};

static const struct rpc_field fetched_fields[] = {
    {"uid", RPC_INT, .doc = "The UID."},
    {"seq", RPC_INT, .doc = "The message's number when it was fetched."},
    {"flags", RPC_STRINGS, .flags = RPC_NULLABLE, .doc = "Its flags."},
    {"internaldate", RPC_STRING, .flags = RPC_NULLABLE, .doc = "When it arrived, ISO 8601."},
    {"size", RPC_INT, .flags = RPC_NULLABLE, .doc = "RFC822.SIZE."},
    {"modseq", RPC_INT, .flags = RPC_NULLABLE, .doc = "Its modification sequence."},
    {"envelope", RPC_OBJECT, .flags = RPC_NULLABLE, .object = &envelope_object, .doc = "The envelope."},
    {"bodystructure", RPC_OBJECT, .flags = RPC_NULLABLE, .object = &bodystructure_object, .doc = "The structure."},
    {"emailid", RPC_STRING, .flags = RPC_NULLABLE, .doc = "EMAILID (OBJECTID)."},
    {"threadid", RPC_STRING, .flags = RPC_NULLABLE, .doc = "THREADID, where the server has threads."},
    {"savedate", RPC_STRING, .flags = RPC_NULLABLE, .doc = "SAVEDATE: when it came into this mailbox, ISO 8601."},
    {"preview", RPC_STRING, .flags = RPC_NULLABLE, .doc = "PREVIEW; null where PREVIEW (LAZY) found none ready."},
    {"gm_msgid", RPC_STRING, .flags = RPC_NULLABLE, .doc = "X-GM-MSGID, a number of 64 bits as text."},
    {"gm_thrid", RPC_STRING, .flags = RPC_NULLABLE, .doc = "X-GM-THRID, likewise."},
    {"gm_labels", RPC_STRINGS, .flags = RPC_NULLABLE, .doc = "X-GM-LABELS, in UTF-8."},
    {"annotations", RPC_MAP_OF, .flags = RPC_NULLABLE, .doc = "ANNOTATION: entry to attributes."},
    {"sections", RPC_MAP_OF, .doc = "Content by section, as the server names it: \"BODY[]\"."},
    {"raw", RPC_MAP_OF, .doc = "Bytes of items that could not be understood, which are null then."},
    {"defects", RPC_STRINGS, .doc = "What is wrong with items, in words."},
};
static const struct rpc_object fetched_object = {
    .name = "FetchedMessage", .doc = "A message, as far as it was asked for.", RPC_FIELDS(fetched_fields)};

static const struct rpc_field fetch_result[] = {
    {"mailbox", RPC_STRING, .doc = "The mailbox."},
    VALIDITY_RESULT,
    {"messages", RPC_OBJECTS, .object = &fetched_object, .doc = "The messages, in the server's order."},
    {"missing", RPC_INTS, .doc = "UIDs that were named singly and are not there; not with `changedsince` or `partial`."},
    {"vanished", RPC_STRING, .doc = "Where it was asked for: UIDs of messages that have gone, such as \"3,5:9\"."},
    {"count", RPC_INT, .doc = "With `stream`, how many there were."},
};
const struct rpc_object api_imap_fetch_result = {RPC_FIELDS(fetch_result)};

const struct rpc_method api_imap_fetch = {
    .name = "imap.fetch",
    .where = RPC_BOTH,
    .permission = RPC_ALLOW_READ,
    .flags = RPC_STREAMS | RPC_CONTENTS,
    .summary = "Fetch messages or parts of them",
    .doc = "Items that set \\Seen need the right to write. Bodies of more than 100 messages need `stream`.",
    .params = &fetch_object,
    .result = &api_imap_fetch_result,
    .errors = READ_ERRORS | RPC_ERROR(BAD_MESSAGE),
};

/* ---- changing ----------------------------------------------------------------------------------------------- */

#define FLAGS_AND_DATE(type, at)                                                                                       \
    {"flags", RPC_STRINGS, RPC_AT(type, at flags), .flags = RPC_LINE | RPC_ONE | RPC_SPLIT, .max = 256,                \
     .doc = "Flags to set, such as \\Seen."},                                                                          \
    {                                                                                                                  \
        "date", RPC_STRING, RPC_AT(type, at date), .flags = RPC_LINE, .min = 1, .max = 64,                             \
        .doc = "The date of arrival, ISO 8601; by default, now."                                                       \
    }
#define APPEND_KEY                                                                                                     \
    {                                                                                                                  \
        "idempotency_key", RPC_STRING, RPC_AT(api_imap_append_params, idempotency_key), .flags = RPC_NUL_OK, .min = 1, \
        .max = 128, .doc = "A repeat with the same key does not append again: it gets the first call's answer."        \
    }

static const struct rpc_field append_item_fields[] = {
    {"message", RPC_OBJECT, RPC_AT(api_imap_append_item, message), .flags = RPC_ONE_OF, .object = &api_message_object,
     .doc = "The message, to be built."},
    {"raw", RPC_CONTENT, RPC_AT(api_imap_append_item, raw), .flags = RPC_ONE_OF, .doc = "The message, as it is."},
    FLAGS_AND_DATE(api_imap_append_item, ),
};
static const struct rpc_object append_item_object = {.name = "Appending",
                                                     .doc = "One message of several.",
                                                     RPC_FIELDS(append_item_fields),
                                                     .size = sizeof(struct api_imap_append_item)};
static const struct rpc_field append_part_fields[] = {
    {"raw", RPC_CONTENT, RPC_AT(api_imap_append_part, raw), .flags = RPC_ONE_OF, .doc = "Text, as it is."},
    {"url", RPC_STRING, RPC_AT(api_imap_append_part, url), .flags = RPC_ONE_OF | RPC_LINE, .min = 1, .max = 8192,
     .doc = "An IMAP URL (RFC 5092), such as \"/INBOX;UIDVALIDITY=1/;UID=7/;SECTION=2\"."},
    {"uid", RPC_INT, RPC_AT(api_imap_append_part, uid), .flags = RPC_ONE_OF, .min = 1, .max = UINT32_MAX,
     .doc = "A message of `mailbox`."},
    {"mailbox", RPC_STRING, RPC_AT(api_imap_append_part, mailbox), .flags = RPC_LINE, .min = 1, .max = 4096, .initial = "\"INBOX\"",
     .doc = "Where `uid` is, in UTF-8."},
    {"uidvalidity", RPC_INT, RPC_AT(api_imap_append_part, uidvalidity), .min = 1, .max = UINT32_MAX,
     .doc = "The validity of `mailbox`."},
    {"section", RPC_STRING, RPC_AT(api_imap_append_part, section), .flags = RPC_LINE, .min = 1, .max = 256,
     .doc = "The section of it, such as \"2\", \"2.MIME\" or \"HEADER\"; by default, the whole message."},
};
static const struct rpc_object append_part_object = {.name = "AppendPart",
                                                     .doc = "A piece of a message that the server puts together.",
                                                     RPC_FIELDS(append_part_fields),
                                                     .size = sizeof(struct api_imap_append_part)};

static const struct rpc_field append_params[] = {
    MAILBOX(api_imap_append_params),
    {"message", RPC_OBJECT, RPC_AT(api_imap_append_params, item.message), .flags = RPC_ONE_OF, .object = &api_message_object,
     .doc = "The message, to be built."},
    {"raw", RPC_CONTENT, RPC_AT(api_imap_append_params, item.raw), .flags = RPC_ONE_OF, .doc = "The message, as it is."},
    {"messages", RPC_OBJECTS, RPC_AT(api_imap_append_params, messages), .flags = RPC_ONE_OF, .min = 1, .max = 1000,
     .object = &append_item_object, .doc = "Several messages: all or none where the server offers MULTIAPPEND."},
    {"parts", RPC_OBJECTS, RPC_AT(api_imap_append_params, parts), .flags = RPC_ONE_OF, .min = 1, .max = 1000,
     .object = &append_part_object, .doc = "The message in pieces, some of which the server has already (CATENATE)."},
    FLAGS_AND_DATE(api_imap_append_params, item.),
    APPEND_KEY,
};
static const struct rpc_object append_object = {RPC_FIELDS(append_params), .size = sizeof(struct api_imap_append_params)};
static const struct rpc_field append_result[] = {
    VALIDITY_RESULT,
    {"uid", RPC_INT, .doc = "The message's UID, where the server tells it."},
    {"uids", RPC_INTS, .doc = "With `messages`: theirs, in order, where the server tells all of them."},
};
static const struct rpc_object append_result_object = {RPC_FIELDS(append_result)};

const struct rpc_method api_imap_append = {
    .name = "imap.append",
    .where = RPC_BOTH,
    .permission = RPC_ALLOW_WRITE,
    .flags = RPC_CHANGES,
    .summary = "Put a message into a mailbox",
    .doc = "Several `messages` go into it one by one where the server does not offer MULTIAPPEND: an error then says how many are there, "
           "with the outcome `done`.",
    .params = &append_object,
    .result = &append_result_object,
    .errors = WRITE_ERRORS | RPC_ERROR(BAD_MESSAGE) | RPC_ERROR(CONFLICT) | RPC_ERROR(STORAGE),
};

static const struct rpc_field replace_params[] = {
    MAILBOX(api_imap_append_params),
    {"uid", RPC_INT, RPC_AT(api_imap_append_params, uid), .flags = RPC_REQUIRED, .min = 1, .max = UINT32_MAX,
     .doc = "The message that goes."},
    UIDVALIDITY(api_imap_append_params, WRITE_VALIDITY),
    {"message", RPC_OBJECT, RPC_AT(api_imap_append_params, item.message), .flags = RPC_ONE_OF, .object = &api_message_object,
     .doc = "The message that comes, to be built."},
    {"raw", RPC_CONTENT, RPC_AT(api_imap_append_params, item.raw), .flags = RPC_ONE_OF, .doc = "The same, as it is."},
    {"destination", RPC_STRING, RPC_AT(api_imap_append_params, destination), .flags = RPC_LINE, .min = 1, .max = 4096,
     .doc = "Where it is put; by default, into the same mailbox."},
    FLAGS_AND_DATE(api_imap_append_params, item.),
    APPEND_KEY,
};
static const struct rpc_object replace_object = {RPC_FIELDS(replace_params), .size = sizeof(struct api_imap_append_params)};

const struct rpc_method api_imap_replace = {
    .name = "imap.replace",
    .where = RPC_BOTH,
    .permission = RPC_ALLOW_WRITE,
    .flags = RPC_CHANGES,
    .summary = "Put a message in the place of another, such as a draft",
    .doc = "In one step where the server offers REPLACE; else the new message is stored first, and the old one removed then.",
    .params = &replace_object,
    .result = &append_result_object,
    .errors = WRITE_ERRORS | RPC_ERROR(BAD_MESSAGE) | RPC_ERROR(CONFLICT) | RPC_ERROR(STORAGE),
};

static const char *const store_names[] = {"FLAGS",        "+FLAGS",        "-FLAGS", "FLAGS.SILENT",
                                          "+FLAGS.SILENT", "-FLAGS.SILENT", "X-GM-LABELS", "+X-GM-LABELS", "-X-GM-LABELS",
                                          "X-GM-LABELS.SILENT", "+X-GM-LABELS.SILENT", "-X-GM-LABELS.SILENT", NULL};

static const struct rpc_field store_params[] = {
    MAILBOX(api_imap_store_params),
    UIDS(api_imap_store_params),
    NUMBERS(api_imap_store_params),
    {"command", RPC_ENUM, RPC_AT(api_imap_store_params, command), .flags = RPC_REQUIRED, .names = store_names,
     .doc = "Set, add or take away; .SILENT: do not answer what the flags are then. X-GM-LABELS: Gmail's labels in place of flags."},
    {"flags", RPC_STRINGS, RPC_AT(api_imap_store_params, flags), .flags = RPC_REQUIRED | RPC_LINE | RPC_ONE | RPC_SPLIT,
     .max = 256, .doc = "The flags, such as \\Seen; or the labels, in UTF-8."},
    UIDVALIDITY(api_imap_store_params, WRITE_VALIDITY),
    {"unchangedsince", RPC_INT, RPC_AT(api_imap_store_params, unchangedsince), .min = 0, .max = INT64_MAX,
     .doc = "Only messages that have not changed since this modification sequence."},
};
static const struct rpc_object store_object = {RPC_FIELDS(store_params), .size = sizeof(struct api_imap_store_params)};
static const struct rpc_field store_result[] = {
    VALIDITY_RESULT,
    {"messages", RPC_OBJECTS, .object = &stored_object, .doc = "What the server told."},
    {"modified", RPC_INTS, .doc = "Messages that unchangedsince kept from being changed."},
    {"count", RPC_INT, .doc = "With `stream`, how many there were."},
};
static const struct rpc_object store_result_object = {RPC_FIELDS(store_result)};

const struct rpc_method api_imap_store = {
    .name = "imap.store",
    .where = RPC_BOTH,
    .permission = RPC_ALLOW_WRITE,
    .flags = RPC_STREAMS | RPC_CHANGES,
    .summary = "Change messages' flags",
    .doc = "",
    .params = &store_object,
    .result = &store_result_object,
    .errors = WRITE_ERRORS,
};

static const struct rpc_field copy_params[] = {
    MAILBOX(api_imap_copy_params),
    UIDS(api_imap_copy_params),
    NUMBERS(api_imap_copy_params),
    {"destination", RPC_STRING, RPC_AT(api_imap_copy_params, destination), .flags = RPC_REQUIRED | RPC_LINE, .min = 1,
     .max = 4096, .doc = "The mailbox to put them into, in UTF-8."},
    UIDVALIDITY(api_imap_copy_params, WRITE_VALIDITY),
};
static const struct rpc_object copy_object = {RPC_FIELDS(copy_params), .size = sizeof(struct api_imap_copy_params)};
static const struct rpc_field copy_result[] = {
    {"uidvalidity", RPC_INT, .doc = "The destination's validity, where the server tells it."},
    {"uids", RPC_UID_PAIRS, .doc = "[from, to] of each message, where the server tells it."},
};
static const struct rpc_object copy_result_object = {RPC_FIELDS(copy_result)};

const struct rpc_method api_imap_copy = {
    .name = "imap.copy",
    .where = RPC_BOTH,
    .permission = RPC_ALLOW_WRITE,
    .flags = RPC_CHANGES,
    .summary = "Copy messages to another mailbox",
    .doc = "",
    .params = &copy_object,
    .result = &copy_result_object,
    .errors = WRITE_ERRORS,
};

const struct rpc_method api_imap_move = {
    .name = "imap.move",
    .where = RPC_BOTH,
    .permission = RPC_ALLOW_WRITE,
    .flags = RPC_CHANGES,
    .summary = "Move messages to another mailbox",
    .doc = "",
    .params = &copy_object,
    .result = &copy_result_object,
    .errors = WRITE_ERRORS,
};

static const struct rpc_field expunge_params[] = {
    MAILBOX(api_imap_expunge_params),
    {"uids", RPC_SET, RPC_AT(api_imap_expunge_params, uids), .flags = RPC_AT_MOST_ONE,
     .doc = "Those messages only (UID EXPUNGE)."},
    {"all", RPC_BOOL, RPC_AT(api_imap_expunge_params, all), .flags = RPC_AT_MOST_ONE, .initial = "false",
     .doc = "All messages with \\Deleted, whoever set it."},
    UIDVALIDITY(api_imap_expunge_params, WRITE_VALIDITY),
};
static const struct rpc_object expunge_object = {RPC_FIELDS(expunge_params),
                                                 .size = sizeof(struct api_imap_expunge_params)};
static const struct rpc_field expunge_result[] = {
    {"expunged", RPC_INTS, .flags = RPC_REQUIRED, .doc = "UIDs of the messages that went; in a session without `uids`, their numbers, unless it has QRESYNC switched on."}};
static const struct rpc_object expunge_result_object = {RPC_FIELDS(expunge_result)};

const struct rpc_method api_imap_expunge = {
    .name = "imap.expunge",
    .where = RPC_BOTH,
    .permission = RPC_ALLOW_WRITE,
    .flags = RPC_CHANGES,
    .summary = "Remove messages that are marked as deleted",
    .doc = "A pooled call needs `uids`, or `all` as true.",
    .params = &expunge_object,
    .result = &expunge_result_object,
    .errors = WRITE_ERRORS,
};
