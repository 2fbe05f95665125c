/* SPDX-License-Identifier: MIT */
/* The answers of an IMAP server, all but FETCH's items: what kind one is, response codes, capabilities, LIST, STATUS,
 * SEARCH. Slices of the response's text; see imap_parse.h for the rules. */
#ifndef POSTERN_IMAP_RESPONSE_H
#define POSTERN_IMAP_RESPONSE_H

#include "imap_capability.h"
#include "imap_parse.h"
#include "imap_set.h"

enum imap_status { IMAP_STATUS_NONE = 0, IMAP_OK, IMAP_NO, IMAP_BAD, IMAP_PREAUTH, IMAP_BYE };

/* Untagged data. OTHER: known or not, this engine passes it on to the command that wants it. */
enum imap_data {
    IMAP_DATA_NONE = 0,
    IMAP_DATA_FETCH,
    IMAP_DATA_EXISTS,
    IMAP_DATA_RECENT,
    IMAP_DATA_EXPUNGE,
    IMAP_DATA_VANISHED,
    IMAP_DATA_FLAGS,
    IMAP_DATA_LIST,
    IMAP_DATA_LSUB,
    IMAP_DATA_STATUS,
    IMAP_DATA_SEARCH,
    IMAP_DATA_ESEARCH,
    IMAP_DATA_SORT,
    IMAP_DATA_THREAD,
    IMAP_DATA_CAPABILITY,
    IMAP_DATA_ENABLED,
    IMAP_DATA_NAMESPACE,
    IMAP_DATA_ID,
    IMAP_DATA_QUOTA,
    IMAP_DATA_QUOTAROOT,
    IMAP_DATA_ACL,
    IMAP_DATA_LISTRIGHTS,
    IMAP_DATA_MYRIGHTS,
    IMAP_DATA_METADATA,
    IMAP_DATA_OTHER,
    IMAP_DATA_COUNT
};

enum imap_response_kind { IMAP_RESPONSE_CONTINUE = 0, IMAP_RESPONSE_TAGGED, IMAP_RESPONSE_CONDITION, IMAP_RESPONSE_DATA };

/* [CODE arguments] */
struct imap_code {
    struct slice name; /* empty: none */
    struct slice arguments;
};

struct imap_response {
    enum imap_response_kind kind;
    struct slice tag;         /* tagged */
    enum imap_status status;  /* tagged, condition */
    struct imap_code code;    /* tagged, condition, continue */
    struct slice text;        /* behind the code; of data: behind its name; of a continuation: all behind "+ " */
    enum imap_data data;
    struct slice name;        /* of data, as it came */
    uint32_t number;          /* of EXISTS, RECENT, EXPUNGE, FETCH */
    bool by_uid;              /* FETCH: UIDFETCH (RFC 9586), `number` is a UID */
};

/* One response, without its line end. -EBADMSG: it is none of an IMAP server. */
int imap_response_parse(struct slice line, struct imap_response *ret) ATTR_WARN_UNUSED;
const char *imap_status_name(enum imap_status status);

/* mailbox-list, behind "LIST": (attributes) delimiter name [extended]. */
struct imap_list_data {
    struct slice attributes;  /* between the parentheses; imap_word_next() walks it */
    struct imap_value delimiter; /* IMAP_NIL: a flat name */
    struct imap_value name;   /* as on the wire */
    struct slice extended;    /* between the parentheses: names and values by turns (RFC 5258) */
};
int imap_list_parse(struct slice text, struct imap_list_data *ret) ATTR_WARN_UNUSED;

/* STATUS: name, and the text between the parentheses, walked with imap_status_next(): 1, 0, -EBADMSG. */
int imap_status_parse(struct slice text, struct imap_value *ret_name, struct slice *ret_items) ATTR_WARN_UNUSED;
int imap_status_next(struct slice *items, struct slice *ret_name, struct imap_value *ret) ATTR_WARN_UNUSED;

/* SEARCH, SORT: takes the next number; 1, 0 at the end or at "(MODSEQ …)", -EBADMSG. */
int imap_search_next(struct slice *rest, uint32_t *ret) ATTR_WARN_UNUSED;

/* ESEARCH (RFC 4731, 7377, 9394). Sets are texts for imap_range_next(); empty: not told. */
struct imap_esearch {
    struct imap_value tag; /* IMAP_NIL: none */
    struct imap_value mailbox; /* of MULTISEARCH; IMAP_NIL: none */
    uint32_t uidvalidity;      /* the same; 0: none */
    bool uid;
    struct slice all;
    bool has_partial;      /* `all` is that part of the result */
    bool has_count, has_min, has_max, has_modseq;
    uint64_t count, min, max, modseq;
};
int imap_esearch_parse(struct slice text, struct imap_esearch *ret) ATTR_WARN_UNUSED;

/* VANISHED (RFC 7162): a set of UIDs, and whether they went before this connection looked. */
int imap_vanished_parse(struct slice text, bool *ret_earlier, struct slice *ret_uids) ATTR_WARN_UNUSED;

/* APPENDUID's and COPYUID's arguments. */
struct imap_appenduid {
    uint32_t uidvalidity;
    struct slice uids;
};
struct imap_copyuid {
    uint32_t uidvalidity;
    struct slice from, to; /* sets of the same count: checked */
};
int imap_appenduid_parse(struct slice arguments, struct imap_appenduid *ret) ATTR_WARN_UNUSED;
int imap_copyuid_parse(struct slice arguments, struct imap_copyuid *ret) ATTR_WARN_UNUSED;

/* SEARCH, STORE, …: what kind of data the name announces. */
enum imap_data imap_data_find(struct slice name);

#endif
