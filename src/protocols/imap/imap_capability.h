/* SPDX-License-Identifier: MIT */
/* What IMAP servers announce that they can do, by name. What is announced with a value ("APPENDLIMIT=1000") is found by
 * what stands before it. Pure. */
#ifndef POSTERN_IMAP_CAPABILITY_H
#define POSTERN_IMAP_CAPABILITY_H

#include "macros.h"
#include "slice.h"

enum imap_cap {
    IMAP_CAP_IMAP4REV1 = 0,
    IMAP_CAP_IMAP4REV2,
    IMAP_CAP_STARTTLS,
    IMAP_CAP_LOGINDISABLED,
    IMAP_CAP_SASL_IR,
    IMAP_CAP_LITERAL_PLUS,
    IMAP_CAP_LITERAL_MINUS,
    IMAP_CAP_ID,
    IMAP_CAP_ENABLE,
    IMAP_CAP_IDLE,
    IMAP_CAP_NAMESPACE,
    IMAP_CAP_CHILDREN,
    IMAP_CAP_UNSELECT,
    IMAP_CAP_UIDPLUS,
    IMAP_CAP_MOVE,
    IMAP_CAP_ESEARCH,
    IMAP_CAP_SEARCHRES,
    IMAP_CAP_CONDSTORE,
    IMAP_CAP_QRESYNC,
    IMAP_CAP_LIST_EXTENDED,
    IMAP_CAP_LIST_STATUS,
    IMAP_CAP_LIST_MYRIGHTS,
    IMAP_CAP_LIST_METADATA,
    IMAP_CAP_SPECIAL_USE,
    IMAP_CAP_CREATE_SPECIAL_USE,
    IMAP_CAP_SORT,
    IMAP_CAP_SORT_DISPLAY,
    IMAP_CAP_ESORT,
    IMAP_CAP_THREAD,
    IMAP_CAP_MULTISEARCH,
    IMAP_CAP_WITHIN,
    IMAP_CAP_FUZZY,
    IMAP_CAP_PARTIAL,
    IMAP_CAP_NOTIFY,
    IMAP_CAP_QUOTA,
    IMAP_CAP_ACL,
    IMAP_CAP_METADATA,
    IMAP_CAP_METADATA_SERVER,
    IMAP_CAP_ANNOTATE,
    IMAP_CAP_BINARY,
    IMAP_CAP_BINARY_FETCH, /* all that IMAP4rev2 has of BINARY; set where BINARY is, too */
    IMAP_CAP_CATENATE,
    IMAP_CAP_MULTIAPPEND,
    IMAP_CAP_REPLACE,
    IMAP_CAP_APPENDLIMIT,
    IMAP_CAP_UTF8_ACCEPT,
    IMAP_CAP_UTF8_ONLY,
    IMAP_CAP_STATUS_SIZE,
    IMAP_CAP_OBJECTID,
    IMAP_CAP_SAVEDATE,
    IMAP_CAP_PREVIEW,
    IMAP_CAP_GMAIL,
    IMAP_CAP_UIDONLY,
    IMAP_CAP_MESSAGELIMIT,
    IMAP_CAP_INPROGRESS,
    IMAP_CAP_UNAUTHENTICATE,
    IMAP_CAP_COMPRESS_DEFLATE,
    IMAP_CAP_COUNT
};
_Static_assert(IMAP_CAP_COUNT <= 64, "capabilities fit one word");
#define IMAP_CAP_BIT(cap) (UINT64_C(1) << (cap))

/* "MOVE"; static. */
const char *imap_cap_name(enum imap_cap cap);
/* IMAP_CAP_COUNT when it is not one of these. */
enum imap_cap imap_cap_find(struct slice name);
/* The value behind "=" of a name that imap_cap_find() knows to have one; false: none, or no number. */
bool imap_cap_value(struct slice name, uint64_t *ret);
/* What a search key needs: bits; 0: nothing. */
uint64_t imap_caps_of_search_key(struct slice key);
/* What an item of a FETCH or STATUS command needs. */
uint64_t imap_caps_of_fetch_item(struct slice item);
uint64_t imap_caps_of_status_item(struct slice item);
/* What RFC 9051 made part of the protocol. */
extern const uint64_t imap_caps_of_rev2;
/* `list` names an extension that an account does without: all of its name, or what stands before "=". */
bool imap_cap_is_disabled(const char *const *list, struct slice name);

#endif
