/* SPDX-License-Identifier: MIT */
#include "imap_capability.h"

static const char *const caps[IMAP_CAP_COUNT] = {
    [IMAP_CAP_IMAP4REV1] = "IMAP4REV1",
    [IMAP_CAP_IMAP4REV2] = "IMAP4REV2",
    [IMAP_CAP_STARTTLS] = "STARTTLS",
    [IMAP_CAP_LOGINDISABLED] = "LOGINDISABLED",
    [IMAP_CAP_SASL_IR] = "SASL-IR",
    [IMAP_CAP_LITERAL_PLUS] = "LITERAL+",
    [IMAP_CAP_LITERAL_MINUS] = "LITERAL-",
    [IMAP_CAP_ID] = "ID",
    [IMAP_CAP_ENABLE] = "ENABLE",
    [IMAP_CAP_IDLE] = "IDLE",
    [IMAP_CAP_NAMESPACE] = "NAMESPACE",
    [IMAP_CAP_CHILDREN] = "CHILDREN",
    [IMAP_CAP_UNSELECT] = "UNSELECT",
    [IMAP_CAP_UIDPLUS] = "UIDPLUS",
    [IMAP_CAP_MOVE] = "MOVE",
    [IMAP_CAP_ESEARCH] = "ESEARCH",
    [IMAP_CAP_SEARCHRES] = "SEARCHRES",
    [IMAP_CAP_CONDSTORE] = "CONDSTORE",
    [IMAP_CAP_QRESYNC] = "QRESYNC",
    [IMAP_CAP_LIST_EXTENDED] = "LIST-EXTENDED",
    [IMAP_CAP_LIST_STATUS] = "LIST-STATUS",
    [IMAP_CAP_LIST_MYRIGHTS] = "LIST-MYRIGHTS",
    [IMAP_CAP_LIST_METADATA] = "LIST-METADATA",
    [IMAP_CAP_SPECIAL_USE] = "SPECIAL-USE",
    [IMAP_CAP_CREATE_SPECIAL_USE] = "CREATE-SPECIAL-USE",
    [IMAP_CAP_SORT] = "SORT",
    [IMAP_CAP_SORT_DISPLAY] = "SORT=DISPLAY",
    [IMAP_CAP_ESORT] = "ESORT",
    [IMAP_CAP_THREAD] = "THREAD=REFERENCES",
    [IMAP_CAP_MULTISEARCH] = "MULTISEARCH",
    [IMAP_CAP_WITHIN] = "WITHIN",
    [IMAP_CAP_FUZZY] = "SEARCH=FUZZY",
    [IMAP_CAP_PARTIAL] = "PARTIAL",
    [IMAP_CAP_NOTIFY] = "NOTIFY",
    [IMAP_CAP_QUOTA] = "QUOTA",
    [IMAP_CAP_ACL] = "ACL",
    [IMAP_CAP_METADATA] = "METADATA",
    [IMAP_CAP_METADATA_SERVER] = "METADATA-SERVER",
    [IMAP_CAP_ANNOTATE] = "ANNOTATE-EXPERIMENT-1",
    [IMAP_CAP_BINARY] = "BINARY",
    [IMAP_CAP_BINARY_FETCH] = "BINARY",
    [IMAP_CAP_CATENATE] = "CATENATE",
    [IMAP_CAP_MULTIAPPEND] = "MULTIAPPEND",
    [IMAP_CAP_REPLACE] = "REPLACE",
    [IMAP_CAP_APPENDLIMIT] = "APPENDLIMIT",
    [IMAP_CAP_UTF8_ACCEPT] = "UTF8=ACCEPT",
    [IMAP_CAP_UTF8_ONLY] = "UTF8=ONLY",
    [IMAP_CAP_STATUS_SIZE] = "STATUS=SIZE",
    [IMAP_CAP_OBJECTID] = "OBJECTID",
    [IMAP_CAP_SAVEDATE] = "SAVEDATE",
    [IMAP_CAP_PREVIEW] = "PREVIEW",
    [IMAP_CAP_GMAIL] = "X-GM-EXT-1",
    [IMAP_CAP_UIDONLY] = "UIDONLY",
    [IMAP_CAP_MESSAGELIMIT] = "MESSAGELIMIT",
    [IMAP_CAP_INPROGRESS] = "INPROGRESS",
    [IMAP_CAP_UNAUTHENTICATE] = "UNAUTHENTICATE",
    [IMAP_CAP_COMPRESS_DEFLATE] = "COMPRESS=DEFLATE",
};

/* Section 2.1 of appendix A there; what it has of SPECIAL-USE needs no command of its own. */
const uint64_t imap_caps_of_rev2 =
    IMAP_CAP_BIT(IMAP_CAP_NAMESPACE) | IMAP_CAP_BIT(IMAP_CAP_UNSELECT) | IMAP_CAP_BIT(IMAP_CAP_UIDPLUS) |
    IMAP_CAP_BIT(IMAP_CAP_ESEARCH) | IMAP_CAP_BIT(IMAP_CAP_SEARCHRES) | IMAP_CAP_BIT(IMAP_CAP_ENABLE) |
    IMAP_CAP_BIT(IMAP_CAP_IDLE) | IMAP_CAP_BIT(IMAP_CAP_SASL_IR) | IMAP_CAP_BIT(IMAP_CAP_LIST_EXTENDED) |
    IMAP_CAP_BIT(IMAP_CAP_LIST_STATUS) | IMAP_CAP_BIT(IMAP_CAP_MOVE) | IMAP_CAP_BIT(IMAP_CAP_LITERAL_MINUS) |
    IMAP_CAP_BIT(IMAP_CAP_STATUS_SIZE) | IMAP_CAP_BIT(IMAP_CAP_CHILDREN) | IMAP_CAP_BIT(IMAP_CAP_BINARY_FETCH);

const char *imap_cap_name(enum imap_cap cap)
{
    return (unsigned) cap < IMAP_CAP_COUNT ? caps[cap] : "";
}

static bool has_value(enum imap_cap cap)
{
    return cap == IMAP_CAP_APPENDLIMIT || cap == IMAP_CAP_MESSAGELIMIT;
}

enum imap_cap imap_cap_find(struct slice name)
{
    struct slice front = slice_to(name, slice_find(name, '='));
    for (unsigned i = 0; i < IMAP_CAP_COUNT; i++)
        if (slice_eq_ci(has_value((enum imap_cap) i) ? front : name, slice_of_str(caps[i])))
            return (enum imap_cap) i;
    return IMAP_CAP_COUNT;
}

bool imap_cap_value(struct slice name, uint64_t *ret)
{
    size_t sign = slice_find(name, '=');
    return sign < name.len && slice_to_u64(slice_from(name, sign + 1), UINT64_MAX, ret);
}

bool imap_cap_is_disabled(const char *const *list, struct slice name)
{
    struct slice front = slice_to(name, slice_find(name, '='));
    for (size_t i = 0; list[i]; i++)
        if (slice_eq_ci(slice_of_str(list[i]), name) || slice_eq_ci(slice_of_str(list[i]), front))
            return true;
    return false;
}

struct needing {
    struct slice name;
    enum imap_cap cap;
};

static uint64_t caps_of(const struct needing *list, size_t n, struct slice name)
{
    for (size_t i = 0; i < n; i++)
        if (slice_eq_ci(name, list[i].name))
            return IMAP_CAP_BIT(list[i].cap);
    return 0;
}

uint64_t imap_caps_of_search_key(struct slice key)
{
    static const struct needing keys[] = {
        {SLICE("OLDER"), IMAP_CAP_WITHIN},           {SLICE("YOUNGER"), IMAP_CAP_WITHIN},
        {SLICE("FUZZY"), IMAP_CAP_FUZZY},            {SLICE("MODSEQ"), IMAP_CAP_CONDSTORE},
        {SLICE("$"), IMAP_CAP_SEARCHRES},            {SLICE("ANNOTATION"), IMAP_CAP_ANNOTATE},
        {SLICE("EMAILID"), IMAP_CAP_OBJECTID},       {SLICE("THREADID"), IMAP_CAP_OBJECTID},
        {SLICE("SAVEDBEFORE"), IMAP_CAP_SAVEDATE},   {SLICE("SAVEDON"), IMAP_CAP_SAVEDATE},
        {SLICE("SAVEDSINCE"), IMAP_CAP_SAVEDATE},    {SLICE("SAVEDATESUPPORTED"), IMAP_CAP_SAVEDATE},
        {SLICE("X-GM-RAW"), IMAP_CAP_GMAIL},         {SLICE("X-GM-LABELS"), IMAP_CAP_GMAIL},
        {SLICE("X-GM-MSGID"), IMAP_CAP_GMAIL},       {SLICE("X-GM-THRID"), IMAP_CAP_GMAIL},
    };
    return caps_of(keys, ARRAY_LEN(keys), key);
}

uint64_t imap_caps_of_fetch_item(struct slice item)
{
    static const struct needing items[] = {
        {SLICE("MODSEQ"), IMAP_CAP_CONDSTORE},       {SLICE("EMAILID"), IMAP_CAP_OBJECTID},
        {SLICE("THREADID"), IMAP_CAP_OBJECTID},      {SLICE("SAVEDATE"), IMAP_CAP_SAVEDATE},
        {SLICE("PREVIEW"), IMAP_CAP_PREVIEW},        {SLICE("PREVIEW (LAZY)"), IMAP_CAP_PREVIEW},
        {SLICE("X-GM-MSGID"), IMAP_CAP_GMAIL},       {SLICE("X-GM-THRID"), IMAP_CAP_GMAIL},
        {SLICE("X-GM-LABELS"), IMAP_CAP_GMAIL},
    };
    if (slice_starts_ci(item, SLICE("BINARY")))
        return IMAP_CAP_BIT(IMAP_CAP_BINARY_FETCH);
    if (slice_starts_ci(item, SLICE("ANNOTATION")))
        return IMAP_CAP_BIT(IMAP_CAP_ANNOTATE);
    return caps_of(items, ARRAY_LEN(items), item);
}

uint64_t imap_caps_of_status_item(struct slice item)
{
    static const struct needing items[] = {
        {SLICE("HIGHESTMODSEQ"), IMAP_CAP_CONDSTORE},
        {SLICE("SIZE"), IMAP_CAP_STATUS_SIZE},
        {SLICE("MAILBOXID"), IMAP_CAP_OBJECTID},
        {SLICE("APPENDLIMIT"), IMAP_CAP_APPENDLIMIT},
        {SLICE("DELETED-STORAGE"), IMAP_CAP_QUOTA},
    };
    return caps_of(items, ARRAY_LEN(items), item);
}
