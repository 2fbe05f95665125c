/* SPDX-License-Identifier: MIT */
/* Parameters of imap.*. Pooled calls always have `mailbox` (its default is INBOX) and `uids`; in a session `mailbox`
 * is absent (data NULL) where the caller means the selected one, and `numbers` may stand for `uids`. Mailbox names
 * are UTF-8 without NUL, CR and LF. Ownership: rpc_types.h. */
#ifndef POSTERN_API_IMAP_H
#define POSTERN_API_IMAP_H

#include "api_mail.h"
#include "api_smtp.h" /* struct api_open_params */
#include "rpc_method.h"

struct api_imap_list_params {
    struct rpc_common common;
    struct slice reference, pattern;
    /* imap.list only: */
    struct rpc_strings patterns; /* n 0: `pattern` */
    struct rpc_strings selection, returns, status, metadata;
};

struct api_imap_status_params {
    struct rpc_common common;
    struct slice mailbox;
    struct rpc_strings items; /* n 0: MESSAGES, UNSEEN, RECENT, UIDNEXT and UIDVALIDITY */
};

/* What is known of a mailbox. */
struct api_imap_known {
    int64_t uidvalidity, modseq;
    struct rpc_set uids;
};

/* imap.select, imap.examine */
struct api_imap_select_params {
    struct rpc_common common;
    struct slice mailbox;
    bool readonly;
    bool condstore;
    struct api_imap_known *qresync; /* or NULL */
};

struct api_imap_search_params {
    struct rpc_common common;
    struct slice mailbox;
    struct rpc_terms query;
    struct rpc_uidvalidity uidvalidity;
    bool numbers; /* session: answer message numbers */
    struct rpc_strings returns; /* n 0: ALL */
    struct slice partial;       /* "1:100", not checked yet */
    bool ranges;
    struct rpc_strings mailboxes; /* several, in place of `mailbox` */
    int scope; /* enum api_scope, or RPC_ENUM_ABSENT */
};

/* Where imap.search looks (RFC 7377). */
enum api_scope { API_SCOPE_MAILBOXES, API_SCOPE_SUBTREE, API_SCOPE_SUBTREE_ONE, API_SCOPE_PERSONAL, API_SCOPE_SUBSCRIBED, API_SCOPE_INBOXES };

struct api_imap_fetch_params {
    struct rpc_common common;
    struct slice mailbox;
    struct rpc_set uids, numbers;
    struct rpc_strings items; /* n 0: the whole message */
    struct rpc_uidvalidity uidvalidity;
    int64_t changedsince; /* or RPC_ABSENT */
    bool vanished;
    struct slice partial; /* "1:100", not checked yet */
    bool decode;
};

/* One message to be stored: `message` or `raw`. */
struct api_imap_append_item {
    struct api_message *message; /* NULL: raw */
    struct rpc_content raw;
    struct rpc_strings flags;
    struct slice date; /* ISO 8601, not checked yet */
};

/* A piece of a message that the server puts together: `raw`, `url`, or what `uid` names. */
struct api_imap_append_part {
    struct rpc_content raw;
    struct slice url;
    int64_t uid; /* or RPC_ABSENT */
    struct slice mailbox, section;
    int64_t uidvalidity; /* or RPC_ABSENT */
};

/* imap.append, imap.replace */
struct api_imap_append_params {
    struct rpc_common common;
    struct slice mailbox;
    struct api_imap_append_item item;
    struct rpc_objects messages; /* of struct api_imap_append_item */
    struct rpc_objects parts;    /* of struct api_imap_append_part */
    struct slice idempotency_key;
    /* imap.replace: */
    int64_t uid;
    struct rpc_uidvalidity uidvalidity;
    struct slice destination; /* data NULL: `mailbox` */
};

enum api_store {
    API_STORE_SET,
    API_STORE_ADD,
    API_STORE_REMOVE,
    API_STORE_SET_SILENT,
    API_STORE_ADD_SILENT,
    API_STORE_REMOVE_SILENT,
    API_STORE_LABELS /* and the same six again: Gmail's labels */
};

struct api_imap_store_params {
    struct rpc_common common;
    struct slice mailbox;
    struct rpc_set uids, numbers;
    struct rpc_uidvalidity uidvalidity;
    int command; /* enum api_store */
    struct rpc_strings flags;
    int64_t unchangedsince; /* or RPC_ABSENT */
};

/* imap.copy, imap.move */
struct api_imap_copy_params {
    struct rpc_common common;
    struct slice mailbox;
    struct rpc_set uids, numbers;
    struct rpc_uidvalidity uidvalidity;
    struct slice destination;
};

struct api_imap_expunge_params {
    struct rpc_common common;
    struct slice mailbox;
    struct rpc_set uids;
    bool all;
    struct rpc_uidvalidity uidvalidity;
};

/* --- api_imap_manage.c --- */

/* What names a mailbox alone, or with a second text. */
struct api_imap_manage_params {
    struct rpc_common common;
    struct slice mailbox;
    struct slice new_name;
    struct slice special_use; /* create; data NULL: none */
};

struct api_imap_dirs_params {
    struct rpc_common common;
    struct slice path; /* empty: all */
};

/* Methods that ask for something or set it; each uses what its row names. */
struct api_imap_tell_params {
    struct rpc_common common;
    struct slice mailbox;       /* may be empty for METADATA: the server */
    struct slice root, identifier, rights;
    struct rpc_strings words;   /* enable: capabilities; getmetadata: entries */
    struct rpc_map map;         /* id: fields; setquota: limits; setmetadata: entries */
    struct slice depth;
    int64_t maxsize;            /* or RPC_ABSENT */
};

/* imap.list's result, which imap.lsub and its like share. */
extern const struct rpc_object api_imap_list_result;
/* imap.fetch's, which imap.partial shares. */
extern const struct rpc_object api_imap_fetch_result;

#endif
