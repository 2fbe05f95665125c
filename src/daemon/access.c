/* SPDX-License-Identifier: MIT */
#include "access.h"

#include <errno.h>
#include <unistd.h>

static bool is_principal(const struct principal *who, const struct peer *peer)
{
    if (!who->is_group)
        return who->id == peer->uid;
    if (who->id == peer->gid)
        return true;
    for (size_t i = 0; i < peer->n_groups; i++)
        if (who->id == peer->groups[i])
            return true;
    return false;
}

static bool in_list(const struct principals *list, const struct peer *peer)
{
    for (size_t i = 0; i < list->n; i++)
        if (is_principal(&list->items[i], peer))
            return true;
    return false;
}

/* The list where it was given, else root and the daemon's own user. */
static bool in_list_or_default(bool is_set, const struct principals *list, const struct peer *peer)
{
    return is_set ? in_list(list, peer) : peer->uid == 0 || peer->uid == geteuid();
}

unsigned access_rights(const struct account_config *account, const struct peer *peer)
{
    if (!account->name)
        return RIGHT_SEND | RIGHT_READ | RIGHT_WRITE;
    unsigned rights = 0;
    if (in_list_or_default(account->allow_is_set, &account->allow, peer))
        rights = account->permit;
    for (unsigned i = 0; i < N_RIGHTS; i++)
        if (in_list(&account->allow_right[i], peer))
            rights |= 1u << i;
    return rights;
}

bool access_is_default(const struct account_config *account, const struct peer *peer)
{
    return in_list(&account->default_for, peer);
}

bool access_is_admin(const struct config *config, const struct peer *peer)
{
    return in_list_or_default(config->daemon.admin_is_set, &config->daemon.admin, peer);
}

bool access_allows_inline(const struct config *config, const struct peer *peer)
{
    return in_list_or_default(config->daemon.allow_inline_is_set, &config->daemon.allow_inline, peer);
}

bool access_has_any(const struct config *config, const struct peer *peer)
{
    if (access_is_admin(config, peer) || access_allows_inline(config, peer))
        return true;
    for (size_t i = 0; i < config->n_accounts; i++)
        if (access_rights(config->accounts[i], peer))
            return true;
    return false;
}

const char *access_right_name(enum account_right right)
{
    switch (right) {
    case RIGHT_SEND:
        return "send";
    case RIGHT_READ:
        return "read";
    case RIGHT_WRITE:
        return "write";
    case RIGHT_RAW:
        return "raw";
    }
    return "?";
}

/* Where the last '@' stands, or the length. */
static size_t at_sign(struct slice s)
{
    for (size_t i = s.len; i > 0; i--)
        if (s.data[i - 1] == '@')
            return i - 1;
    return s.len;
}

bool access_sender_matches(const char *pattern, struct slice address)
{
    struct slice p = slice_of_str(pattern);
    if (slice_eq(p, SLICE("*")))
        return true;
    size_t p_at = at_sign(p), a_at = at_sign(address);
    if (a_at == 0 || a_at == address.len || p_at == p.len)
        return false;
    if (!slice_eq_ci(slice_from(p, p_at + 1), slice_from(address, a_at + 1)))
        return false;
    struct slice local = slice_to(p, p_at);
    return slice_eq(local, SLICE("*")) || slice_eq_ci(local, slice_to(address, a_at));
}

static bool in_senders(const struct config_list *senders, struct slice address)
{
    for (size_t i = 0; i < senders->n; i++)
        if (access_sender_matches(senders->items[i], address))
            return true;
    return false;
}

/* The peer's own list if there is one: that of its user, else those of its groups together. 1 matches, 0 does not,
 * -1 no such list. */
static int in_narrowings(const struct sender_narrowings *list, const struct peer *peer, struct slice address)
{
    int groups = -1;
    for (size_t i = 0; i < list->n; i++) {
        const struct sender_narrowing *one = &list->items[i];
        if (!is_principal(&one->who, peer))
            continue;
        bool matches = in_senders(&one->senders, address);
        if (!one->who.is_group)
            return matches;
        groups = MAX(groups, (int) matches);
    }
    return groups;
}

int access_check_sender(const struct account_config *account, const struct peer *peer, const char *what,
                        struct slice address, struct fault *fault)
{
    if (!account->name)
        return 0;
    int narrowed = in_narrowings(&account->narrowings, peer, address);
    bool allowed;
    if (narrowed >= 0)
        allowed = narrowed > 0;
    else if (account->senders_is_set)
        allowed = in_senders(&account->senders, address);
    else
        allowed = account->email && access_sender_matches(account->email, address);
    if (allowed)
        return 0;
    return fault_set(fault, -EACCES, FAULT_DENIED, "policy",
                     "the account '%s' does not let you send with the %s '%.*s'", account->name, what,
                     (int) MIN(address.len, (size_t) 100), address.data ? address.data : "");
}
