/* SPDX-License-Identifier: MIT */
#include "accounts.h"

#include "credentials.h"
#include "hash.h"
#include "log.h"

#include <errno.h>
#include <stdlib.h>

#define DROPPED_POOL_GRACE_MS 30000 /* for what a dropped pool still has under way: orphaned exchanges, goodbyes */
#define SWEEP_MS 1000

/* A pool that accounts share when nothing of its connections has changed between them. */
struct slot {
    struct list link; /* accounts.slots */
    struct accounts *accounts;
    unsigned refs;
    struct pool *pool; /* NULL: closed already */
};

/* A pool that is going away. */
struct closing {
    struct list link;
    struct accounts *accounts; /* NULL: nobody cares any more */
};

/* `[host NAME]` in force; kept when a reload leaves it out, since pools may still count on it. */
struct host_limit {
    struct list link;
    char *host;
    bool configured;
    struct connection_quota *quota;
};

struct account {
    struct hash_node node;
    struct list link;
    unsigned refs;
    struct accounts *accounts;
    struct account_config *config;
    struct connection_quota *quota;          /* NULL: no limit */
    struct credential_source *shared_source; /* of [auth] */
    struct slot *slots[PROTOCOL_COUNT];
    /* Inline options. */
    uint32_t uid;
    enum protocol protocol;
    uint64_t idle_since_ms; /* 0: it was not idle at the last look */
};

struct accounts {
    unsigned refs; /* the owner's, and one for each account that is left */
    struct loop *loop;
    struct net_context *net;
    struct config *config;
    struct hash_table by_name;
    struct list named, inlined; /* struct account */
    struct list slots, closing, hosts;
    struct loop_timer sweep;
    bool is_closed;
    uint64_t grace_ms;
    void (*closed)(void *arg);
    void *closed_arg;
    struct loop_task closed_task;
};

/* --- pools --- */

static void check_closed(struct accounts *as)
{
    if (as->is_closed && as->closed && list_is_empty(&as->closing))
        loop_task_schedule(&as->closed_task);
}

static void pool_is_gone(void *arg)
{
    struct closing *c = arg;
    struct accounts *as = c->accounts;
    list_remove(&c->link);
    free(c);
    if (as)
        check_closed(as);
}

static void close_pool(struct slot *s, uint64_t grace_ms)
{
    struct pool *pool = TAKE_PTR(s->pool);
    struct closing *c = pool ? calloc(1, sizeof(*c)) : NULL;
    if (!pool)
        return;
    if (!c) {
        pool_close(pool, grace_ms, NULL, NULL);
        return;
    }
    c->accounts = s->accounts;
    list_append(&s->accounts->closing, &c->link);
    pool_close(pool, grace_ms, pool_is_gone, c);
}

static struct slot *slot_unref(struct slot *s)
{
    if (!s || --s->refs > 0)
        return NULL;
    close_pool(s, DROPPED_POOL_GRACE_MS);
    list_remove(&s->link);
    free(s);
    return NULL;
}

static struct slot *slot_new(struct accounts *as, struct pool *pool)
{
    struct slot *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->refs = 1;
    s->accounts = as;
    s->pool = pool;
    list_append(&as->slots, &s->link);
    return s;
}

/* --- host limits --- */

static struct host_limit *find_host(const struct accounts *as, const char *host)
{
    struct host_limit *h;
    list_foreach (&as->hosts, h, struct host_limit, link)
        if (slice_eq_ci(slice_of_str(h->host), slice_of_str(host)))
            return h;
    return NULL;
}

static int add_host(struct accounts *as, const struct host_config *config)
{
    struct host_limit *h = calloc(1, sizeof(*h));
    if (!h)
        return -ENOMEM;
    h->host = strdup(config->host);
    h->quota = connection_quota_new(0);
    if (!h->host || !h->quota) {
        free(h->host);
        connection_quota_unref(h->quota);
        free(h);
        return -ENOMEM;
    }
    list_append(&as->hosts, &h->link);
    return 0;
}

/* Fails before anything has changed. */
static int make_hosts(struct accounts *as, const struct config *config)
{
    for (size_t i = 0; i < config->n_hosts; i++) {
        int r = find_host(as, config->hosts[i].host) ? 0 : add_host(as, &config->hosts[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

static void apply_hosts(struct accounts *as, const struct config *config)
{
    struct host_limit *h;
    list_foreach (&as->hosts, h, struct host_limit, link) {
        const struct host_config *c = config_find_host(config, h->host);
        h->configured = c != NULL;
        h->quota->max = c ? (unsigned) c->max_connections : 0;
        h->quota->rate.count = c ? c->rate_limit.count : 0;
        h->quota->rate.period_ms = c ? c->rate_limit.per_ms : 0;
    }
}

/* --- accounts --- */

static void accounts_unref(struct accounts *as)
{
    if (--as->refs == 0)
        free(as);
}

static struct account *account_new(struct accounts *as, struct account_config *config)
{
    struct account *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    if (config->max_connections) {
        a->quota = connection_quota_new((unsigned) config->max_connections);
        if (!a->quota) {
            free(a);
            return NULL;
        }
    }
    a->refs = 1;
    a->accounts = as;
    as->refs++;
    a->config = account_config_ref(config);
    list_init(&a->link);
    return a;
}

struct account *account_ref(struct account *a)
{
    a->refs++;
    return a;
}

struct account *account_unref(struct account *a)
{
    if (!a || --a->refs > 0)
        return NULL;
    for (int p = 0; p < PROTOCOL_COUNT; p++)
        slot_unref(a->slots[p]);
    if (a->shared_source)
        a->shared_source->ops->unref(a->shared_source);
    connection_quota_unref(a->quota);
    account_config_unref(a->config);
    accounts_unref(a->accounts);
    free(a);
    return NULL;
}

const struct account_config *account_config(const struct account *a)
{
    return a->config;
}

const char *account_name(const struct account *a)
{
    return a->config->name;
}

struct pool *account_existing_pool(const struct account *a, enum protocol p)
{
    return a->slots[p] ? a->slots[p]->pool : NULL;
}

static bool same_secret(const struct config_secret *a, const struct config_secret *b)
{
    return a->password == b->password && a->password_file == b->password_file &&
           a->password_command == b->password_command && a->credential == b->credential && a->token == b->token &&
           a->token_file == b->token_file && a->token_command == b->token_command;
}

/* With a reference, in *ret; NULL where no secret is configured. Protocols that take the secret of [auth] share a
 * source, and thereby one run of its command. */
static int make_source(struct account *a, enum protocol p, struct credential_source **ret)
{
    const struct config_secret *own = &a->config->protocols[p].auth.secret, *shared = &a->config->auth.secret;
    *ret = NULL;
    if (!config_secret_is_set(own))
        return 0;
    if (!same_secret(own, shared)) {
        *ret = credential_source_new(a->accounts->loop, a->config, own, CREDENTIAL_COMMAND_LIMIT_MS);
        return *ret ? 0 : -ENOMEM;
    }
    if (!a->shared_source)
        a->shared_source = credential_source_new(a->accounts->loop, a->config, shared, CREDENTIAL_COMMAND_LIMIT_MS);
    if (!a->shared_source)
        return -ENOMEM;
    *ret = a->shared_source->ops->ref(a->shared_source);
    return 0;
}

static int open_pool(struct account *a, enum protocol p, struct fault *fault)
{
    struct accounts *as = a->accounts;
    const struct host_limit *host = find_host(as, a->config->protocols[p].host);
    struct credential_source *source;
    struct endpoint *e = NULL;
    int r = make_source(a, p, &source);
    if (r < 0)
        return fault_set(fault, r, FAULT_INTERNAL, NULL, "out of memory");
    r = account_config_endpoint(a->config, p, source, a->quota, host && host->configured ? host->quota : NULL, &e,
                                fault);
    if (source)
        source->ops->unref(source);
    if (r < 0)
        return r;
    struct pool *pool = pool_new(as->net, e);
    endpoint_unref(e);
    if (pool)
        a->slots[p] = slot_new(as, pool);
    if (pool && !a->slots[p])
        pool_close(pool, 0, NULL, NULL);
    return a->slots[p] ? 0 : fault_set(fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
}

int account_pool(struct account *a, enum protocol p, struct pool **ret, struct fault *fault)
{
    if (!a->config->protocols[p].present)
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "the account '%s' has no section [%s]",
                         a->config->name ? a->config->name : "", protocol_name(p));
    if (a->accounts->is_closed)
        return fault_set(fault, -ESHUTDOWN, FAULT_UNAVAILABLE, NULL, "the gateway is shutting down");
    int r = a->slots[p] ? 0 : open_pool(a, p, fault);
    if (r == 0)
        *ret = a->slots[p]->pool;
    return r;
}

/* --- the registry --- */

static struct account *find_named(const struct accounts *as, struct slice name)
{
    for (struct hash_node *n = hash_table_find(&as->by_name, hash_slice(name)); n; n = hash_next(n)) {
        struct account *a = container_of(n, struct account, node);
        if (slice_eq(slice_of_str(a->config->name), name))
            return a;
    }
    return NULL;
}

static void delist(struct account *a)
{
    if (a->config->name)
        hash_table_remove(&a->accounts->by_name, &a->node);
    list_remove(&a->link);
    account_unref(a);
}

/* Pools whose connections would be the same, and the count of connections, go over to the account's successor. */
static void hand_over(struct account *from, struct account *to)
{
    struct accounts *as = from->accounts;
    if (from->shared_source && memcmp(from->config->digest, to->config->digest, sizeof(to->config->digest)) == 0)
        to->shared_source = from->shared_source->ops->ref(from->shared_source);
    if (from->quota && to->quota) {
        unsigned max = to->quota->max;
        connection_quota_unref(to->quota);
        to->quota = connection_quota_ref(from->quota);
        to->quota->max = max;
    }
    for (int p = 0; p < PROTOCOL_COUNT; p++) {
        const struct protocol_config *old = &from->config->protocols[p], *new = &to->config->protocols[p];
        if (!from->slots[p] || !from->slots[p]->pool || !new->present ||
            memcmp(old->digest, new->digest, sizeof(old->digest)) != 0)
            continue;
        const struct host_limit *host = find_host(as, new->host);
        const struct endpoint *e = pool_endpoint(from->slots[p]->pool);
        if (e->account_quota != to->quota || e->host_quota != (host && host->configured ? host->quota : NULL))
            continue;
        to->slots[p] = from->slots[p];
        to->slots[p]->refs++;
    }
}

static void warm_up(struct account *a)
{
    for (int p = 0; p < PROTOCOL_COUNT; p++) {
        const struct protocol_config *c = &a->config->protocols[p];
        struct fault fault = {.kind = FAULT_NONE};
        struct pool *pool;
        if (c->present && c->min_pool_size > 0 && account_pool(a, (enum protocol) p, &pool, &fault) < 0)
            log_fault(CONFIG_LOG_ERROR, "pool", a->config->name, &fault);
    }
}

/* All of what the new configuration needs, before anything of the old is touched; *ret is a list of accounts. */
static int make_accounts(struct accounts *as, struct config *config, struct list *ret)
{
    for (size_t i = 0; i < config->n_accounts; i++) {
        struct account *a = account_new(as, config->accounts[i]);
        if (!a)
            return -ENOMEM;
        list_append(ret, &a->link);
    }
    return make_hosts(as, config);
}

static void drop_accounts(struct list *list)
{
    struct account *a;
    list_foreach (list, a, struct account, link) {
        list_remove(&a->link);
        account_unref(a);
    }
}

int accounts_reload(struct accounts *as, struct config *config)
{
    struct list fresh, old;
    struct hash_table by_name;
    struct account *a;
    list_init(&fresh);
    list_init(&old);
    hash_table_init(&by_name);
    int r = make_accounts(as, config, &fresh);
    list_foreach (&fresh, a, struct account, link) {
        if (r == 0)
            r = hash_table_insert(&by_name, hash_slice(slice_of_str(a->config->name)), &a->node);
    }
    if (r < 0) {
        hash_table_done(&by_name);
        drop_accounts(&fresh);
        return r;
    }
    apply_hosts(as, config);
    list_foreach (&fresh, a, struct account, link) {
        struct account *before = find_named(as, slice_of_str(a->config->name));
        if (before)
            hand_over(before, a);
    }
    list_foreach (&as->named, a, struct account, link) {
        list_remove(&a->link);
        list_append(&old, &a->link);
    }
    list_foreach (&fresh, a, struct account, link) {
        list_remove(&a->link);
        list_append(&as->named, &a->link);
    }
    hash_table_done(&as->by_name);
    as->by_name = by_name;
    drop_accounts(&old);
    config_ref(config);
    config_unref(as->config);
    as->config = config;
    list_foreach (&as->named, a, struct account, link)
        warm_up(a);
    return 0;
}

/* Accounts of inline options that nobody uses any more. */
static void sweep(void *arg)
{
    struct accounts *as = arg;
    struct account *a;
    uint64_t now = loop_now_ms(as->loop);
    list_foreach (&as->inlined, a, struct account, link) {
        struct pool *pool = account_existing_pool(a, a->protocol);
        struct pool_stats stats = {.active = 0};
        if (pool)
            pool_stats(pool, &stats);
        if (a->refs > 1 || stats.connecting + stats.active + stats.waiting + stats.leased > 0)
            a->idle_since_ms = 0;
        else if (a->idle_since_ms == 0)
            a->idle_since_ms = now;
        else if (now - a->idle_since_ms >= a->config->protocols[a->protocol].idle_timeout_ms)
            delist(a);
    }
    if (!list_is_empty(&as->inlined))
        loop_timer_set(&as->sweep, SWEEP_MS);
}

static void tell_closed(void *arg)
{
    struct accounts *as = arg;
    void (*closed)(void *) = TAKE_PTR(as->closed);
    if (closed)
        closed(as->closed_arg);
}

struct accounts *accounts_new(struct loop *loop, struct net_context *net, struct config *config)
{
    struct accounts *as = calloc(1, sizeof(*as));
    if (!as)
        return NULL;
    as->refs = 1;
    as->loop = loop;
    as->net = net;
    hash_table_init(&as->by_name);
    list_init(&as->named);
    list_init(&as->inlined);
    list_init(&as->slots);
    list_init(&as->closing);
    list_init(&as->hosts);
    loop_task_init(&as->closed_task, loop, tell_closed, as);
    if (loop_timer_init(&as->sweep, loop, sweep, as) < 0 || accounts_reload(as, config) < 0) {
        accounts_free(as);
        return NULL;
    }
    return as;
}

struct config *accounts_config(const struct accounts *as)
{
    return as->config;
}

void accounts_close(struct accounts *as, uint64_t grace_ms, void (*closed)(void *arg), void *arg)
{
    struct slot *s;
    as->is_closed = true;
    as->closed = closed;
    as->closed_arg = arg;
    loop_timer_clear(&as->sweep);
    list_foreach (&as->slots, s, struct slot, link)
        close_pool(s, grace_ms);
    check_closed(as);
}

void accounts_free(struct accounts *as)
{
    if (!as)
        return;
    struct slot *s;
    struct account *a;
    struct closing *c;
    struct host_limit *h;
    as->is_closed = true;
    as->closed = NULL;
    loop_task_cancel(&as->closed_task);
    loop_timer_done(&as->sweep);
    list_foreach (&as->slots, s, struct slot, link) {
        if (s->pool)
            pool_close(TAKE_PTR(s->pool), 0, NULL, NULL);
    }
    list_foreach (&as->named, a, struct account, link)
        delist(a);
    list_foreach (&as->inlined, a, struct account, link)
        delist(a);
    list_foreach (&as->closing, c, struct closing, link) {
        list_remove(&c->link);
        c->accounts = NULL;
    }
    list_foreach (&as->hosts, h, struct host_limit, link) {
        list_remove(&h->link);
        connection_quota_unref(h->quota);
        free(h->host);
        free(h);
    }
    hash_table_done(&as->by_name);
    as->config = config_unref(as->config);
    accounts_unref(as);
}

struct account *accounts_next(const struct accounts *as, const struct account *after)
{
    if (!after) {
        struct account *first = list_first(&as->named, struct account, link);
        return first ? first : list_first(&as->inlined, struct account, link);
    }
    struct list *next = after->link.next;
    if (next == &as->named)
        return list_first(&as->inlined, struct account, link);
    return next == &as->inlined ? NULL : container_of(next, struct account, link);
}

/* --- looking up --- */

static int check_rights(const struct account_config *config, const struct peer *peer, unsigned rights,
                        struct fault *fault)
{
    unsigned has = access_rights(config, peer);
    for (unsigned right = 1; right <= RIGHT_RAW; right <<= 1)
        if (rights & right && !(has & right))
            return fault_set(fault, -EACCES, FAULT_DENIED, NULL, "you do not have the right '%s' on %s%s",
                             access_right_name((enum account_right) right),
                             config->name ? "the account " : "accounts of inline options",
                             config->name ? config->name : "");
    return 0;
}

int account_lookup(struct accounts *as, const struct peer *peer, struct slice name, unsigned rights,
                   struct account **ret, struct fault *fault)
{
    if (as->is_closed)
        return fault_set(fault, -ESHUTDOWN, FAULT_UNAVAILABLE, NULL, "the gateway is shutting down");
    struct account *a = find_named(as, name);
    if (!a || access_rights(a->config, peer) == 0)
        return fault_set(fault, -ENOENT, FAULT_NO_SUCH_ACCOUNT, NULL, "there is no account '%.*s' for you",
                         (int) MIN(name.len, (size_t) ACCOUNT_NAME_MAX), name.data ? name.data : "");
    int r = check_rights(a->config, peer, rights, fault);
    if (r == 0)
        *ret = account_ref(a);
    return r;
}

static struct account *find_inline(struct accounts *as, uint32_t uid, enum protocol p,
                                   const struct account_config *config, size_t *ret_count)
{
    struct account *a, *found = NULL;
    *ret_count = 0;
    list_foreach (&as->inlined, a, struct account, link) {
        if (a->uid != uid)
            continue;
        (*ret_count)++;
        if (a->protocol == p && memcmp(a->config->protocols[p].digest, config->protocols[p].digest,
                                       sizeof(config->protocols[p].digest)) == 0)
            found = a;
    }
    return found;
}

int account_lookup_inline(struct accounts *as, const struct peer *peer, enum protocol protocol,
                          const struct rpc_options *options, unsigned rights, struct account **ret, struct fault *fault)
{
    struct account_config *config;
    size_t count;
    if (as->is_closed)
        return fault_set(fault, -ESHUTDOWN, FAULT_UNAVAILABLE, NULL, "the gateway is shutting down");
    if (!access_allows_inline(as->config, peer))
        return fault_set(fault, -EACCES, FAULT_DENIED, NULL, "you may not use inline options");
    int r = account_config_from_options(protocol, options, &config, fault);
    if (r < 0)
        return r;
    r = check_rights(config, peer, rights, fault);
    struct account *a = find_inline(as, peer->uid, protocol, config, &count);
    if (r == 0 && !a && count >= INLINE_ACCOUNTS_PER_USER) {
        r = fault_set(fault, -EBUSY, FAULT_LIMIT, NULL, "you have %d pools of inline options already",
                      INLINE_ACCOUNTS_PER_USER);
        fault->limit = "inline_pools";
    }
    if (r == 0 && !a) {
        a = account_new(as, config);
        r = a ? 0 : fault_set(fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
        if (a) {
            a->uid = peer->uid;
            a->protocol = protocol;
            list_append(&as->inlined, &a->link);
            loop_timer_set(&as->sweep, SWEEP_MS);
        }
    }
    account_config_unref(config);
    if (r == 0) {
        a->idle_since_ms = 0;
        *ret = account_ref(a);
    }
    return r;
}
