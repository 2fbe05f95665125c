/* SPDX-License-Identifier: MIT */
/* The accounts registry: which accounts there are now, and the pools that serve them. An account object is bound to
 * one immutable configuration; after a reload a changed account is a new object, calls in flight keep the old one
 * by their reference, and pools whose connections would be the same go over to the new object while the others
 * drain when the last reference to the old object goes: whoever has something under way in a pool holds one. Accounts
 * of inline options live here too: at most 32 a user, forgotten when idle. Loop thread only. */
#ifndef POSTERN_ACCOUNTS_H
#define POSTERN_ACCOUNTS_H

#include "access.h"
#include "configuration.h"
#include "pool.h"

struct accounts;
struct account;

#define INLINE_ACCOUNTS_PER_USER 32

/* Takes a reference of `config`; `loop` and `net` must outlive it. NULL when out of memory. */
struct accounts *accounts_new(struct loop *loop, struct net_context *net, struct config *config);
/* Ends all pools: what waits gets FAULT_UNAVAILABLE, what is in flight has `grace_ms` to finish; `closed` (may be NULL)
 * is called from the loop when the last connection is gone, and then accounts_free() may be called. Look-ups fail with
 * FAULT_UNAVAILABLE from here on. */
void accounts_close(struct accounts *accounts, uint64_t grace_ms, void (*closed)(void *arg), void *arg);
/* Forgets everything; without accounts_close() before it pools are closed without grace. */
void accounts_free(struct accounts *accounts);
/* The configuration in force. */
struct config *accounts_config(const struct accounts *accounts);
/* Puts `config` in force (a reference is taken). On failure (-ENOMEM) the old one stays. */
int accounts_reload(struct accounts *accounts, struct config *config);

/* A reference to the account of that name, for a peer that has all of `rights` (RIGHT_… set; 0: any right at all).
 * -ENOENT FAULT_NO_SUCH_ACCOUNT when there is none or the peer has no right on it, -EACCES FAULT_DENIED when it
 * has others. */
int account_lookup(struct accounts *accounts, const struct peer *peer, struct slice name, unsigned rights,
                   struct account **ret, struct fault *fault);
/* The same for inline options (see account_config_from_options()). -EACCES when the peer may not use them, -EBUSY
 * FAULT_LIMIT when it has too many. */
int account_lookup_inline(struct accounts *accounts, const struct peer *peer, enum protocol protocol,
                          const struct rpc_options *options, unsigned rights, struct account **ret,
                          struct fault *fault);
struct account *account_ref(struct account *account);
struct account *account_unref(struct account *account); /* accepts NULL, returns NULL */

const struct account_config *account_config(const struct account *account);
/* NULL for inline options. */
const char *account_name(const struct account *account);
/* The pool of that protocol, made when first asked for; borrowed, lives as long as the account's reference.
 * -EINVAL FAULT_INVALID_PARAMS when the account has no such section. */
int account_pool(struct account *account, enum protocol protocol, struct pool **ret, struct fault *fault);
/* The same without making one; NULL: none yet. */
struct pool *account_existing_pool(const struct account *account, enum protocol protocol);

/* All accounts, named ones first: start with NULL; NULL at the end. The registry must not change meanwhile. */
struct account *accounts_next(const struct accounts *accounts, const struct account *after);

#endif
