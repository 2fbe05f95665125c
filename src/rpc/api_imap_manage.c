/* SPDX-License-Identifier: MIT */
/* Rows of imap.*: mailboxes as such, what the server can do, quotas, access rights, annotations. */
#include "api_imap.h"

#include "rpc_methods.h"

#define MANAGE_ERRORS (RPC_SERVER_ERRORS | RPC_ERROR(DENIED))
#define CHANGE_ERRORS (MANAGE_ERRORS | RPC_ERROR(READONLY))
#define TELL_ERRORS (MANAGE_ERRORS | RPC_ERROR(LIMIT))

#define NAME(type, member, flag, least, text)                                                                          \
    {                                                                                                                  \
        #member, RPC_STRING, RPC_AT(type, member), .flags = RPC_LINE | (flag), .min = least, .max = 4096, .doc = text  \
    }

/* ---- without results ---------------------------------------------------------------------------------------- */

static const struct rpc_field mailbox_params[] = {
    NAME(api_imap_manage_params, mailbox, RPC_REQUIRED, 1, "The mailbox, in UTF-8."),
};
static const struct rpc_object mailbox_object = {RPC_FIELDS(mailbox_params), .size = sizeof(struct api_imap_manage_params)};
static const struct rpc_field rename_params[] = {
    NAME(api_imap_manage_params, mailbox, RPC_REQUIRED, 1, "The mailbox, in UTF-8."),
    NAME(api_imap_manage_params, new_name, RPC_REQUIRED, 1, "What it is to be called, in UTF-8."),
};
static const struct rpc_object rename_object = {RPC_FIELDS(rename_params), .size = sizeof(struct api_imap_manage_params)};

#define CHANGE(method, title, text, parameters)                                                                        \
    {                                                                                                                  \
        .name = "imap." method, .where = RPC_BOTH, .permission = RPC_ALLOW_WRITE, .flags = RPC_CHANGES,                \
        .summary = title, .doc = text, .params = parameters, .result = &rpc_nothing, .errors = CHANGE_ERRORS           \
    }

static const struct rpc_field create_params[] = {
    NAME(api_imap_manage_params, mailbox, RPC_REQUIRED, 1, "The mailbox, in UTF-8."),
    {"special_use", RPC_STRING, RPC_AT(api_imap_manage_params, special_use), .flags = RPC_LINE, .min = 2, .max = 64,
     .doc = "What it is for, such as \\Sent (CREATE-SPECIAL-USE)."},
};
static const struct rpc_object create_object = {RPC_FIELDS(create_params), .size = sizeof(struct api_imap_manage_params)};
static const struct rpc_field create_result[] = {
    {"mailboxid", RPC_STRING, .doc = "The mailbox's id, where the server tells it (OBJECTID)."}};
static const struct rpc_object create_result_object = {RPC_FIELDS(create_result)};
const struct rpc_method api_imap_create = {
    .name = "imap.create",
    .where = RPC_BOTH,
    .permission = RPC_ALLOW_WRITE,
    .flags = RPC_CHANGES,
    .summary = "Make a mailbox",
    .doc = "",
    .params = &create_object,
    .result = &create_result_object,
    .errors = CHANGE_ERRORS,
};
const struct rpc_method api_imap_delete =
    CHANGE("delete", "Remove a mailbox and the messages in it", "Mailboxes below it stay.", &mailbox_object);
const struct rpc_method api_imap_rename =
    CHANGE("rename", "Give a mailbox another name", "Mailboxes below it go along; INBOX stays, empty.", &rename_object);
const struct rpc_method api_imap_subscribe = CHANGE("subscribe", "Put a mailbox on the list of subscriptions", "", &mailbox_object);
const struct rpc_method api_imap_unsubscribe =
    CHANGE("unsubscribe", "Take a mailbox off the list of subscriptions", "", &mailbox_object);

#define STEP(method, title, text)                                                                                      \
    {                                                                                                                  \
        .name = "imap." method, .where = RPC_SESSION, .permission = RPC_ALLOW_READ, .summary = title, .doc = text,     \
        .params = &rpc_nothing, .result = &rpc_nothing, .errors = MANAGE_ERRORS                                        \
    }

const struct rpc_method api_imap_close =
    STEP("close", "Leave the selected mailbox and remove what is marked as deleted", "An examined mailbox loses nothing.");
const struct rpc_method api_imap_unselect = STEP("unselect", "Leave the selected mailbox as it is", "");
const struct rpc_method api_imap_unauthenticate =
    STEP("unauthenticate", "Log out and keep the connection", "imap.login and its like follow (UNAUTHENTICATE, RFC 8437).");
const struct rpc_method api_imap_check = STEP("check", "Have the server tidy up the selected mailbox", "");

/* ---- lists -------------------------------------------------------------------------------------------------- */

static const struct rpc_field lsub_params[] = {
    {"reference", RPC_STRING, RPC_AT(api_imap_list_params, reference), .flags = RPC_LINE, .max = 4096, .initial = "\"\"",
     .doc = "The name that the pattern is relative to."},
    {"pattern", RPC_STRING, RPC_AT(api_imap_list_params, pattern), .flags = RPC_LINE, .max = 4096, .initial = "\"*\"",
     .doc = "As in imap.list."},
};
static const struct rpc_object lsub_object = {RPC_FIELDS(lsub_params), .size = sizeof(struct api_imap_list_params)};
static const struct rpc_field dirs_params[] = {
    NAME(api_imap_dirs_params, path, 0, 0, "Only mailboxes below this one; by default, all."),
};
static const struct rpc_object dirs_object = {RPC_FIELDS(dirs_params), .size = sizeof(struct api_imap_dirs_params)};

#define LISTING(method, title, parameters)                                                                             \
    {                                                                                                                  \
        .name = "imap." method, .where = RPC_BOTH, .permission = RPC_ALLOW_READ, .flags = RPC_STREAMS,                 \
        .summary = title, .doc = "", .params = parameters, .result = &api_imap_list_result, .errors = TELL_ERRORS      \
    }

const struct rpc_method api_imap_lsub = LISTING("lsub", "List subscribed mailboxes", &lsub_object);
const struct rpc_method api_imap_get_dirs = LISTING("get_dirs", "List the mailboxes below a path", &dirs_object);
const struct rpc_method api_imap_get_subscribed_dirs =
    LISTING("get_subscribed_dirs", "List all subscribed mailboxes", &rpc_nothing);

/* ---- what the server tells ---------------------------------------------------------------------------------- */

#define OWN(member, flag, text) NAME(api_imap_tell_params, member, flag, 1, text)
#define TELL_MAILBOX                                                                                                   \
    {                                                                                                                  \
        "mailbox", RPC_STRING, RPC_AT(api_imap_tell_params, mailbox), .flags = RPC_LINE, .min = 1, .max = 4096,        \
        .initial = "\"INBOX\"", .doc = "The mailbox, in UTF-8."                                                        \
    }
#define METADATA_MAILBOX                                                                                               \
    NAME(api_imap_tell_params, mailbox, RPC_REQUIRED, 0, "The mailbox, in UTF-8; empty: the server itself.")
#define TELLING(method, title, text, parameters, answer)                                                               \
    {                                                                                                                  \
        .name = "imap." method, .where = RPC_BOTH, .permission = RPC_ALLOW_READ, .summary = title, .doc = text,        \
        .params = parameters, .result = answer, .errors = TELL_ERRORS                                                  \
    }
#define TELL_OBJECT(name, fields)                                                                                      \
    static const struct rpc_object name = {RPC_FIELDS(fields), .size = sizeof(struct api_imap_tell_params)}
#define RESULT(name, fields) static const struct rpc_object name = {RPC_FIELDS(fields)}

static const struct rpc_field prefix_fields[] = {
    {"prefix", RPC_STRING, .flags = RPC_REQUIRED, .doc = "What names in it begin with, in UTF-8."},
    {"delimiter", RPC_STRING, .flags = RPC_REQUIRED | RPC_NULLABLE, .doc = "What separates levels; null: there are none."},
};
static const struct rpc_object prefix_object = {
    .name = "Namespace", .doc = "A namespace of mailboxes.", RPC_FIELDS(prefix_fields)};
static const struct rpc_field namespace_result[] = {
    {"personal", RPC_OBJECTS, .flags = RPC_REQUIRED, .object = &prefix_object, .doc = "The user's own."},
    {"other", RPC_OBJECTS, .flags = RPC_REQUIRED, .object = &prefix_object, .doc = "Other users'."},
    {"shared", RPC_OBJECTS, .flags = RPC_REQUIRED, .object = &prefix_object, .doc = "Everybody's."},
};
RESULT(namespace_object, namespace_result);
const struct rpc_method api_imap_namespace =
    TELLING("namespace", "Tell the namespaces of mailboxes", "", &rpc_nothing, &namespace_object);

static const struct rpc_field id_params[] = {
    {"fields", RPC_MAP, RPC_AT(api_imap_tell_params, map), .flags = RPC_LINE | RPC_MAP_NULL, .max = 30,
     .doc = "What to tell the server of the caller, such as {\"name\": …}; by default, nothing."},
};
TELL_OBJECT(id_object, id_params);
static const struct rpc_field id_result[] = {
    {"fields", RPC_MAP_OF, .flags = RPC_REQUIRED, .doc = "What the server tells of itself; values may be null."}};
RESULT(id_result_object, id_result);
const struct rpc_method api_imap_id =
    TELLING("id", "Ask what the server's software is", "", &id_object, &id_result_object);

static const struct rpc_field enable_params[] = {
    {"capabilities", RPC_STRINGS, RPC_AT(api_imap_tell_params, words),
     .flags = RPC_REQUIRED | RPC_LINE | RPC_ONE | RPC_SPLIT, .min = 1, .max = 32, .doc = "The capabilities' names."},
};
TELL_OBJECT(enable_object, enable_params);
static const struct rpc_field enable_result[] = {
    {"enabled", RPC_STRINGS, .flags = RPC_REQUIRED, .doc = "What the server has switched on now."}};
RESULT(enable_result_object, enable_result);
const struct rpc_method api_imap_enable = {
    .name = "imap.enable",
    .where = RPC_SESSION,
    .permission = RPC_ALLOW_READ,
    .summary = "Switch on capabilities of the server for a session",
    .doc = "With QRESYNC the server tells the UIDs of messages that vanish, not their numbers. Pooled calls switch on what they "
           "need by themselves.",
    .params = &enable_object,
    .result = &enable_result_object,
    .errors = MANAGE_ERRORS,
};

static const struct rpc_field capability_result[] = {
    {"capabilities", RPC_STRINGS, .flags = RPC_REQUIRED, .doc = "As the server names them."}};
RESULT(capability_object, capability_result);
const struct rpc_method api_imap_capability =
    TELLING("capability", "Ask what the server can do", "", &rpc_nothing, &capability_object);

/* ---- quotas (RFC 9208) -------------------------------------------------------------------------------------- */

static const struct rpc_field quota_fields[] = {
    {"root", RPC_STRING, .flags = RPC_REQUIRED, .doc = "The quota root."},
    {"resources", RPC_MAP_OF, .flags = RPC_REQUIRED,
     .doc = "Name, such as STORAGE (in units of 1024 bytes) or MESSAGE, to {usage, limit}."},
};
static const struct rpc_object quota_object = {
    .name = "Quota", .doc = "What may be used below a quota root.", RPC_FIELDS(quota_fields)};
#define QUOTAS                                                                                                         \
    {                                                                                                                  \
        "quotas", RPC_OBJECTS, .flags = RPC_REQUIRED, .object = &quota_object, .doc = "The quotas."                    \
    }
static const struct rpc_field getquota_params[] = {
    NAME(api_imap_tell_params, root, RPC_REQUIRED, 0, "The quota root; many servers have one with an empty name."),
};
TELL_OBJECT(getquota_object, getquota_params);
static const struct rpc_field getquota_result[] = {QUOTAS};
RESULT(getquota_result_object, getquota_result);
const struct rpc_method api_imap_getquota =
    TELLING("getquota", "Tell usage and limits of a quota root", "", &getquota_object, &getquota_result_object);

static const struct rpc_field tell_mailbox_params[] = {TELL_MAILBOX};
TELL_OBJECT(tell_mailbox_object, tell_mailbox_params);
static const struct rpc_field getquotaroot_result[] = {
    {"roots", RPC_STRINGS, .flags = RPC_REQUIRED, .doc = "The roots that the mailbox belongs to."}, QUOTAS};
RESULT(getquotaroot_object, getquotaroot_result);
const struct rpc_method api_imap_getquotaroot = TELLING(
    "getquotaroot", "Tell the quota roots of a mailbox, and their quotas", "", &tell_mailbox_object, &getquotaroot_object);

static const struct rpc_field setquota_params[] = {
    NAME(api_imap_tell_params, root, RPC_REQUIRED, 0, "The quota root."),
    {"limits", RPC_MAP, RPC_AT(api_imap_tell_params, map), .flags = RPC_REQUIRED | RPC_MAP_NUMBERS, .max = 64,
     .doc = "Name to limit; what is not named is unlimited."},
};
TELL_OBJECT(setquota_object, setquota_params);
const struct rpc_method api_imap_setquota =
    CHANGE("setquota", "Set the limits of a quota root", "For administrators of the server.", &setquota_object);

/* ---- access rights (RFC 4314) ------------------------------------------------------------------------------- */

static const struct rpc_field getacl_result[] = {
    {"acl", RPC_MAP_OF, .flags = RPC_REQUIRED, .doc = "Identifier to rights, such as \"lrs\"."}};
RESULT(getacl_object, getacl_result);
const struct rpc_method api_imap_getacl =
    TELLING("getacl", "Tell who may do what with a mailbox", "", &tell_mailbox_object, &getacl_object);

static const struct rpc_field setacl_params[] = {
    OWN(mailbox, RPC_REQUIRED, "The mailbox, in UTF-8."),
    OWN(identifier, RPC_REQUIRED, "Whose rights, such as a user's name or \"anyone\"."),
    NAME(api_imap_tell_params, rights, RPC_REQUIRED, 0, "The rights; with + or - in front, more or fewer of them."),
};
TELL_OBJECT(setacl_object, setacl_params);
const struct rpc_method api_imap_setacl = CHANGE("setacl", "Set somebody's rights on a mailbox", "", &setacl_object);

static const struct rpc_field identifier_params[] = {
    OWN(mailbox, RPC_REQUIRED, "The mailbox, in UTF-8."),
    OWN(identifier, RPC_REQUIRED, "Whose rights, such as a user's name or \"anyone\"."),
};
TELL_OBJECT(identifier_object, identifier_params);
const struct rpc_method api_imap_deleteacl =
    CHANGE("deleteacl", "Take somebody off a mailbox's list of rights", "", &identifier_object);

static const struct rpc_field listrights_result[] = {
    {"required", RPC_STRING, .flags = RPC_REQUIRED, .doc = "Rights that the identifier always has."},
    {"optional", RPC_STRINGS, .flags = RPC_REQUIRED, .doc = "Rights that can be granted; those of one text only together."},
};
RESULT(listrights_object, listrights_result);
const struct rpc_method api_imap_listrights =
    TELLING("listrights", "Tell which rights can be granted to somebody", "", &identifier_object, &listrights_object);

static const struct rpc_field myrights_result[] = {
    {"rights", RPC_STRING, .flags = RPC_REQUIRED, .doc = "The rights, such as \"lrswipkxtea\"."}};
RESULT(myrights_object, myrights_result);
const struct rpc_method api_imap_myrights =
    TELLING("myrights", "Tell one's own rights on a mailbox", "", &tell_mailbox_object, &myrights_object);

/* ---- annotations (RFC 5464) --------------------------------------------------------------------------------- */

static const struct rpc_field getmetadata_params[] = {
    METADATA_MAILBOX,
    {"entries", RPC_STRINGS, RPC_AT(api_imap_tell_params, words), .flags = RPC_REQUIRED | RPC_LINE | RPC_ONE, .min = 1,
     .max = 100, .doc = "The entries' names, such as /private/comment."},
    {"depth", RPC_STRING, RPC_AT(api_imap_tell_params, depth), .flags = RPC_LINE, .max = 8,
     .doc = "Entries below those, too: \"1\" one level, \"infinity\" all; by default, none."},
    {"maxsize", RPC_INT, RPC_AT(api_imap_tell_params, maxsize), .min = 1, .max = UINT32_MAX,
     .doc = "Leave out values longer than this."},
};
TELL_OBJECT(getmetadata_object, getmetadata_params);
static const struct rpc_field getmetadata_result[] = {
    {"entries", RPC_MAP_OF, .flags = RPC_REQUIRED, .doc = "Name to value; null: there is none."}};
RESULT(getmetadata_result_object, getmetadata_result);
const struct rpc_method api_imap_getmetadata =
    TELLING("getmetadata", "Tell annotations of a mailbox or of the server", "", &getmetadata_object, &getmetadata_result_object);

static const struct rpc_field setmetadata_params[] = {
    METADATA_MAILBOX,
    {"entries", RPC_MAP, RPC_AT(api_imap_tell_params, map), .flags = RPC_REQUIRED | RPC_MAP_NULL, .min = 1, .max = 100,
     .doc = "Name to value; null removes the entry."},
};
TELL_OBJECT(setmetadata_object, setmetadata_params);
const struct rpc_method api_imap_setmetadata =
    CHANGE("setmetadata", "Set annotations of a mailbox or of the server", "", &setmetadata_object);
