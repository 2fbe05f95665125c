/* SPDX-License-Identifier: MIT */
/* Which command may be sent behind which, while the first is unanswered (RFC 3501 section 5.5, and what is needed so
 * that every piece of untagged data has one owner). One table; all pipelining rests on it. */
#include "imap_internal.h"

#include "imap_mailbox.h"

enum verdict {
    N = 0, /* never */
    F,     /* free */
    U,     /* when their UIDs are disjoint */
    M,     /* when they name different mailboxes */
    T,     /* when answers bear their command's tag (ESEARCH) */
};

/* Kinds that behave alike share a class. */
enum class { SELECT, LIST, STATUS, FETCH, SEARCH, STORE, COPY, MOVE, EXPUNGE, APPEND, NOOP, ALONE, N_CLASSES };

static const unsigned char classes[IMAP_KIND_COUNT] = {
    [IMAP_SELECT] = SELECT,    [IMAP_EXAMINE] = SELECT,   [IMAP_LIST_COMMAND] = LIST, [IMAP_LSUB] = LIST,
    [IMAP_STATUS] = STATUS,    [IMAP_FETCH] = FETCH,      [IMAP_SEARCH] = SEARCH,     [IMAP_STORE] = STORE,
    [IMAP_SORT] = SEARCH,      [IMAP_THREAD] = SEARCH,
    [IMAP_COPY] = COPY,        [IMAP_MOVE] = MOVE,        [IMAP_EXPUNGE] = EXPUNGE,   [IMAP_APPEND] = APPEND,
    [IMAP_NOOP] = NOOP,        [IMAP_CHECK] = ALONE,      [IMAP_CLOSE] = ALONE,       [IMAP_UNSELECT] = ALONE,
    [IMAP_CREATE] = ALONE,     [IMAP_DELETE] = ALONE,     [IMAP_RENAME] = ALONE,      [IMAP_SUBSCRIBE] = ALONE,
    [IMAP_UNSUBSCRIBE] = ALONE, [IMAP_CAPABILITY] = ALONE, [IMAP_NAMESPACE] = ALONE,  [IMAP_ID] = ALONE,
    [IMAP_ENABLE] = ALONE,     [IMAP_LOGOUT] = ALONE,     [IMAP_GENERIC] = ALONE,
    [IMAP_GETQUOTA] = ALONE,   [IMAP_GETQUOTAROOT] = ALONE, [IMAP_SETQUOTA] = ALONE,  [IMAP_GETACL] = ALONE,
    [IMAP_SETACL] = ALONE,     [IMAP_DELETEACL] = ALONE,  [IMAP_LISTRIGHTS] = ALONE,  [IMAP_MYRIGHTS] = ALONE,
    [IMAP_GETMETADATA] = ALONE, [IMAP_SETMETADATA] = ALONE,
    [IMAP_STARTTLS] = ALONE,   [IMAP_LOGIN] = ALONE,      [IMAP_AUTHENTICATE] = ALONE, [IMAP_PROXYAUTH] = ALONE,
    [IMAP_RAW_SEND] = ALONE,   [IMAP_RAW_READ] = ALONE,   [IMAP_RAW_LINE] = ALONE,
    [IMAP_IDLE] = ALONE,       [IMAP_NOTIFY] = ALONE, [IMAP_REPLACE] = ALONE,     [IMAP_UNAUTHENTICATE] = ALONE,     [IMAP_MULTISEARCH] = ALONE,
};

/* clang-format off */
static const unsigned char table[N_CLASSES][N_CLASSES] = {
    /* in flight    SELECT LIST STATUS FETCH SEARCH STORE COPY MOVE EXPUNGE APPEND NOOP ALONE  <- to be sent */
    [SELECT]  = {   N,     F,   F,     F,    F,     N,    N,   N,   N,      N,     N,   N },
    [LIST]    = {   N,     N,   F,     F,    F,     F,    F,   F,   F,      F,     F,   N },
    [STATUS]  = {   N,     F,   M,     F,    F,     F,    F,   F,   F,      M,     F,   N },
    [FETCH]   = {   N,     F,   F,     U,    F,     U,    F,   U,   U,      F,     F,   N },
    [SEARCH]  = {   N,     F,   F,     F,    T,     N,    F,   N,   N,      F,     F,   N },
    [STORE]   = {   N,     F,   F,     U,    N,     U,    U,   U,   U,      F,     F,   N },
    [COPY]    = {   N,     F,   F,     F,    F,     U,    F,   U,   U,      F,     F,   N },
    [MOVE]    = {   N,     F,   F,     U,    N,     U,    U,   N,   N,      F,     F,   N },
    [EXPUNGE] = {   N,     F,   F,     U,    N,     U,    U,   N,   N,      F,     F,   N },
    [APPEND]  = {   N,     F,   M,     F,    F,     F,    F,   F,   F,      F,     F,   N },
    [NOOP]    = {   N,     F,   F,     F,    F,     F,    F,   F,   F,      F,     F,   N },
    [ALONE]   = {   N,     N,   N,     N,    N,     N,    N,   N,   N,      N,     N,   N },
};
/* clang-format on */

bool imap_conflicts(const struct imap_client *c, const struct imap_command *first, const struct imap_command *second)
{
    /* Message numbers mean something only when nothing else is under way. */
    if (first->numbers || second->numbers)
        return true;
    /* An extended LIST is answered with what other commands are answered with, too. */
    if (first->list || second->list)
        return true;
    switch ((enum verdict) table[classes[first->kind]][classes[second->kind]]) {
    case F:
        return false;
    case U:
        if (!first->set || !second->set)
            return true;
        /* Where a literal may come before its UID is known, only one command can be the one that it is for. */
        if (!c->uid_comes_first && (first->wanted & second->wanted & IMAP_ITEM_BIT(IMAP_ITEM_SECTION)))
            return true;
        return imap_set_intersects(first->set, second->set);
    case M:
        return imap_mailbox_eq(first->mailbox, second->mailbox);
    case T:
        /* What SORT and THREAD answer bears no tag. */
        if (first->kind == second->kind && first->kind != IMAP_SEARCH)
            return true;
        return !imap_has(c, IMAP_CAP_ESEARCH);
    case N:
        break;
    }
    return true;
}

bool imap_client_works_long(const struct engine *e)
{
    const struct engine_request *r;
    list_foreach (&e->requests, r, struct engine_request, link) {
        enum class class = classes[container_of(r, const struct imap_command, request)->kind];
        if (class == SEARCH || class == COPY || class == MOVE || class == EXPUNGE || class == APPEND)
            return true;
    }
    return false;
}
