/* SPDX-License-Identifier: MIT */
/* Who may do what: a peer is what the kernel says of the other end of the socket, and the configuration decides by
 * its uid and groups. Pure functions over immutable objects; nothing is looked up here. */
#ifndef POSTERN_ACCESS_H
#define POSTERN_ACCESS_H

#include "configuration.h"

/* Filled from SO_PEERCRED and SO_PEERGROUPS when the connection is accepted. */
struct peer {
    uint32_t uid, gid;
    int32_t pid;
    const gid_t *groups; /* supplementary groups; owned by the client connection */
    size_t n_groups;
};

/* The rights (RIGHT_… set) of the peer on the account; 0: the account does not exist for it. An account made from
 * inline options gives send, read and write to whoever could make it. */
unsigned access_rights(const struct account_config *account, const struct peer *peer);
/* Whether the account is the one that the peer uses where it names none (`default_for`). */
bool access_is_default(const struct account_config *account, const struct peer *peer);
bool access_is_admin(const struct config *config, const struct peer *peer);
bool access_allows_inline(const struct config *config, const struct peer *peer);
/* Any right at all: administration, inline options or some account. */
bool access_has_any(const struct config *config, const struct peer *peer);

/* Whether the peer may send as `address` (local@domain without brackets; empty: the null sender, for `*` only).
 * `what` names the field for the error: "envelope sender", "From", "Sender". -EACCES with FAULT_DENIED, stage
 * "policy". */
int access_check_sender(const struct account_config *account, const struct peer *peer, const char *what,
                        struct slice address, struct fault *fault);
/* One pattern against one address; the case of ASCII letters makes no difference. */
bool access_sender_matches(const char *pattern, struct slice address);

/* "send", "read", "write", "raw". */
const char *access_right_name(enum account_right right);

#endif
