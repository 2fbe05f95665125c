/* SPDX-License-Identifier: MIT */
/* The registry, with pools that only say what was asked of them. */
#include "accounts.h"
#include "scratch.h"
#include "unit.h"

struct pool {
    struct endpoint *endpoint;
    bool is_closed;
    void (*closed)(void *arg);
    void *closed_arg;
    struct pool_stats stats;
};
static struct pool *pools[100];
static size_t n_pools;

struct pool *pool_new(struct net_context *n, struct endpoint *e)
{
    (void) n;
    struct pool *p = calloc(1, sizeof(*p));
    p->endpoint = endpoint_ref(e);
    pools[n_pools++] = p;
    return p;
}

void pool_close(struct pool *p, uint64_t grace_ms, void (*closed)(void *arg), void *arg)
{
    (void) grace_ms;
    ck_assert(!p->is_closed);
    p->is_closed = true;
    p->closed = closed;
    p->closed_arg = arg;
}

struct endpoint *pool_endpoint(const struct pool *p)
{
    return p->endpoint;
}

void pool_stats(const struct pool *p, struct pool_stats *ret)
{
    *ret = p->stats;
}

/* The last connections of closed pools go. */
static void finish_closed_pools(void)
{
    for (size_t i = 0; i < n_pools; i++)
        if (pools[i]->is_closed && pools[i]->closed) {
            void (*closed)(void *) = TAKE_PTR(pools[i]->closed);
            closed(pools[i]->closed_arg);
        }
}

static struct loop *loop;
static struct accounts *accounts;
static struct fault fault;
static const struct peer root = {.uid = 0}, foreign = {.uid = 12345, .gid = 12345};

static struct config *load(void)
{
    struct config *c = NULL;
    struct buffer errors;
    buffer_init(&errors, CONFIG_ERRORS_MAX);
    int r = config_load(scratch_path("postern.conf"), NULL, &c, &errors);
    ck_assert_msg(r == 0, "%.*s", (int) buffer_len(&errors), buffer_slice(&errors).data);
    buffer_done(&errors);
    return c;
}

static void start(void)
{
    struct config *c = load();
    accounts = accounts_new(loop, NULL, c);
    ck_assert_ptr_nonnull(accounts);
    config_unref(c);
}

static void reload(void)
{
    struct config *c = load();
    ck_assert_int_eq(accounts_reload(accounts, c), 0);
    config_unref(c);
}

static void setup(void)
{
    scratch_setup();
    ck_assert_int_eq(mkdir(scratch_path("accounts.d"), 0700), 0);
    scratch_write("postern.conf", "[daemon]\nallow_inline = user:0 user:77\n");
    scratch_write("accounts.d/work.conf",
                  "[account]\nallow = user:0 user:5\npermit = send\n[smtp]\n[imap]\nhost = h\n");
    scratch_write("accounts.d/other.conf", "[smtp]\n");
    loop = loop_new();
    fault_clear(&fault);
    n_pools = 0;
}

static void teardown(void)
{
    accounts_free(accounts);
    accounts = NULL;
    finish_closed_pools();
    for (size_t i = 0; i < n_pools; i++) {
        ck_assert(pools[i]->is_closed);
        endpoint_unref(pools[i]->endpoint);
        free(pools[i]);
    }
    loop_free(loop);
    scratch_teardown();
}

static struct account *look_up(const char *name)
{
    struct account *a = NULL;
    int r = account_lookup(accounts, &root, slice_of_str(name), 0, &a, &fault);
    ck_assert_msg(r == 0, "%s", fault.text);
    return a;
}

static struct pool *pool_of(struct account *a, enum protocol p)
{
    struct pool *pool = NULL;
    int r = account_pool(a, p, &pool, &fault);
    ck_assert_msg(r == 0, "%s", fault.text);
    return pool;
}

START_TEST(test_lookup)
{
    start();
    struct account *a = look_up("work"), *none = NULL;
    ck_assert_str_eq(account_name(a), "work");
    struct pool *p = pool_of(a, PROTOCOL_IMAP);
    ck_assert_ptr_eq(pool_of(a, PROTOCOL_IMAP), p);
    ck_assert_ptr_eq(account_existing_pool(a, PROTOCOL_IMAP), p);
    ck_assert_ptr_null(account_existing_pool(a, PROTOCOL_SMTP));
    ck_assert_str_eq(p->endpoint->host, "h");
    ck_assert_str_eq(p->endpoint->account, "work");
    ck_assert_uint_eq(p->endpoint->port, 993);
    struct pool *missing = NULL;
    ck_assert_int_eq(account_pool(a, PROTOCOL_POP3, &missing, &fault), -EINVAL);
    ck_assert_str_eq(fault.text, "the account 'work' has no section [pop3]");
    account_unref(a);

    static const struct {
        const struct peer *peer;
        const char *name;
        unsigned rights;
        enum fault_kind kind;
    } cases[] = {
        {&root, "none", 0, FAULT_NO_SUCH_ACCOUNT},    {&root, "", 0, FAULT_NO_SUCH_ACCOUNT},
        {&foreign, "work", 0, FAULT_NO_SUCH_ACCOUNT}, {&root, "work", RIGHT_SEND | RIGHT_READ, FAULT_DENIED},
        {&root, "other", RIGHT_RAW, FAULT_DENIED},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fault_clear(&fault);
        ck_assert_int_lt(
            account_lookup(accounts, cases[i].peer, slice_of_str(cases[i].name), cases[i].rights, &none, &fault), 0);
        ck_assert_int_eq(fault.kind, cases[i].kind);
    }
    ck_assert_ptr_null(none);
    size_t n = 0;
    for (a = accounts_next(accounts, NULL); a; a = accounts_next(accounts, a))
        n++;
    ck_assert_uint_eq(n, 2);
}
END_TEST

START_TEST(test_reload_keeps_what_is_the_same)
{
    start();
    struct account *before = look_up("work");
    struct pool *smtp = pool_of(before, PROTOCOL_SMTP), *imap = pool_of(before, PROTOCOL_IMAP);
    scratch_write("accounts.d/work.conf", "[account]\nallow = user:0\n[smtp]\n[imap]\nhost = elsewhere\n");
    reload();
    struct account *after = look_up("work");
    ck_assert_ptr_ne(after, before);
    ck_assert_ptr_eq(account_existing_pool(after, PROTOCOL_SMTP), smtp);
    ck_assert_ptr_null(account_existing_pool(after, PROTOCOL_IMAP));
    ck_assert_str_eq(account_config(after)->protocols[PROTOCOL_IMAP].host, "elsewhere");
    /* What is in flight keeps the old one, and its pool. */
    ck_assert_str_eq(account_config(before)->protocols[PROTOCOL_IMAP].host, "h");
    ck_assert(!imap->is_closed);
    account_unref(before);
    ck_assert(imap->is_closed && !smtp->is_closed);
    account_unref(after);
    ck_assert(!smtp->is_closed);
    unlink(scratch_path("accounts.d/work.conf"));
    reload();
    ck_assert(smtp->is_closed);
    struct account *none = NULL;
    ck_assert_int_eq(account_lookup(accounts, &root, SLICE("work"), 0, &none, &fault), -ENOENT);
    account_unref(look_up("other"));
}
END_TEST

START_TEST(test_quotas)
{
    scratch_write("postern.conf", "[host H]\nmax_connections = 3\nrate_limit = 7/s\n");
    scratch_write("accounts.d/work.conf", "[account]\nmax_connections = 10\n[smtp]\nhost = h\n[imap]\nhost = h\n");
    start();
    struct account *a = look_up("work");
    const struct endpoint *smtp = pool_of(a, PROTOCOL_SMTP)->endpoint, *imap = pool_of(a, PROTOCOL_IMAP)->endpoint;
    ck_assert_uint_eq(smtp->account_quota->max, 10);
    ck_assert_ptr_eq(smtp->account_quota, imap->account_quota);
    ck_assert_uint_eq(smtp->host_quota->max, 3);
    ck_assert_ptr_eq(smtp->host_quota, imap->host_quota);
    ck_assert_uint_eq(smtp->host_quota->rate.count, 7);
    ck_assert_uint_eq(smtp->host_quota->rate.period_ms, 1000);
    ck_assert_uint_eq(smtp->rate_limit, 0);
    account_unref(a);
    /* Other limits reach the pools that live. */
    scratch_write("postern.conf", "[host h]\nmax_connections = 4\n");
    scratch_write("accounts.d/work.conf", "[account]\nmax_connections = 11\n[smtp]\nhost = h\n[imap]\nhost = h\n");
    reload();
    a = look_up("work");
    ck_assert_ptr_eq(account_existing_pool(a, PROTOCOL_SMTP)->endpoint, smtp);
    ck_assert_uint_eq(smtp->account_quota->max, 11);
    ck_assert_uint_eq(smtp->host_quota->max, 4);
    ck_assert_uint_eq(smtp->host_quota->rate.count, 0);
    account_unref(a);
}
END_TEST

START_TEST(test_credentials_are_shared)
{
    scratch_write("accounts.d/work.conf", "[auth]\nusername = a\npassword = x\n[smtp]\n[imap]\n[pop3]\npassword = y\n");
    start();
    struct account *a = look_up("work");
    const struct endpoint *smtp = pool_of(a, PROTOCOL_SMTP)->endpoint, *imap = pool_of(a, PROTOCOL_IMAP)->endpoint,
                          *pop3 = pool_of(a, PROTOCOL_POP3)->endpoint;
    ck_assert_ptr_eq(smtp->credential, imap->credential);
    ck_assert_ptr_ne(smtp->credential, pop3->credential);
    ck_assert(smtp->engine.wants_login && !smtp->engine.has_token);
    ck_assert_str_eq(smtp->engine.username, "a");
    ck_assert_ptr_null(smtp->engine.methods[0]);
    account_unref(a);
    a = look_up("other");
    ck_assert_ptr_null(pool_of(a, PROTOCOL_SMTP)->endpoint->credential);
    account_unref(a);
}
END_TEST

START_TEST(test_min_pool_size_opens_at_once)
{
    scratch_write("accounts.d/work.conf", "[smtp]\nmin_pool_size = 1\n[imap]\n");
    start();
    struct account *a = look_up("work");
    ck_assert_ptr_nonnull(account_existing_pool(a, PROTOCOL_SMTP));
    ck_assert_ptr_null(account_existing_pool(a, PROTOCOL_IMAP));
    account_unref(a);
}
END_TEST

static struct account *inline_account(const struct peer *peer, const char *host, int expected)
{
    struct rpc_option options[] = {
        {.name = SLICE("host"), .kind = RPC_OPTION_STRING, .string = slice_of_str(host)},
        {.name = SLICE("idle_timeout"), .kind = RPC_OPTION_NUMBER, .number = 1},
    };
    struct account *a = NULL;
    fault_clear(&fault);
    int r = account_lookup_inline(accounts, peer, PROTOCOL_SMTP, &(struct rpc_options){options, 2}, RIGHT_SEND, &a, &fault);
    ck_assert_msg(r == expected, "%d: %s", r, fault.text);
    return a;
}

START_TEST(test_inline)
{
    const struct peer other = {.uid = 77};
    start();
    inline_account(&foreign, "a", -EACCES);
    ck_assert_int_eq(fault.kind, FAULT_DENIED);
    struct account *a = inline_account(&root, "a", 0), *same = inline_account(&root, "a", 0),
                   *theirs = inline_account(&other, "a", 0);
    ck_assert_ptr_eq(a, same);
    ck_assert_ptr_ne(a, theirs);
    ck_assert_ptr_null(account_name(a));
    ck_assert_str_eq(pool_of(a, PROTOCOL_SMTP)->endpoint->account, "");
    account_unref(same);
    account_unref(theirs);
    struct account *none = NULL;
    ck_assert_int_eq(account_lookup_inline(accounts, &root, PROTOCOL_SMTP, NULL, RIGHT_RAW, &none, &fault), -EACCES);
    for (int i = 1; i < INLINE_ACCOUNTS_PER_USER; i++) {
        char host[16];
        snprintf(host, sizeof(host), "h%d", i);
        account_unref(inline_account(&root, host, 0));
    }
    inline_account(&root, "one-too-many", -EBUSY);
    ck_assert_int_eq(fault.kind, FAULT_LIMIT);
    ck_assert_str_eq(fault.limit, "inline_pools");
    account_unref(inline_account(&root, "a", 0));
    account_unref(inline_account(&other, "b", 0));
    account_unref(a);
}
END_TEST

static void stop(void *arg)
{
    (void) arg;
    loop_stop(loop);
}

START_TEST(test_inline_is_forgotten)
{
    start();
    struct account *used = inline_account(&root, "used", 0), *busy = inline_account(&root, "busy", 0);
    account_unref(inline_account(&root, "idle", 0));
    pool_of(busy, PROTOCOL_SMTP)->stats.active = 1;
    account_unref(busy);
    struct loop_timer timer = {.event = NULL};
    ck_assert_int_eq(loop_timer_init(&timer, loop, stop, NULL), 0);
    loop_timer_set(&timer, 2500);
    loop_run(loop);
    loop_timer_done(&timer);
    size_t n_inline = 0;
    for (struct account *a = accounts_next(accounts, NULL); a; a = accounts_next(accounts, a))
        n_inline += account_name(a) == NULL;
    ck_assert_uint_eq(n_inline, 2);
    account_unref(used);
}
END_TEST

static bool closed_called;
static void on_closed(void *arg)
{
    (void) arg;
    closed_called = true;
    loop_stop(loop);
}

START_TEST(test_close)
{
    start();
    struct account *a = look_up("work");
    struct pool *p = pool_of(a, PROTOCOL_SMTP), *none = NULL;
    struct account *late = NULL;
    closed_called = false;
    accounts_close(accounts, 1000, on_closed, NULL);
    ck_assert(p->is_closed && !closed_called);
    ck_assert_int_eq(account_pool(a, PROTOCOL_IMAP, &none, &fault), -ESHUTDOWN);
    ck_assert_int_eq(fault.kind, FAULT_UNAVAILABLE);
    ck_assert_int_eq(account_lookup(accounts, &root, SLICE("work"), 0, &late, &fault), -ESHUTDOWN);
    finish_closed_pools();
    ck_assert(!closed_called);
    loop_run(loop);
    ck_assert(closed_called);
    /* A reference may outlive the registry. */
    accounts_free(accounts);
    accounts = NULL;
    account_unref(a);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("accounts");
    TCase *c = tcase_create("registry");
    tcase_set_timeout(c, 20);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_lookup);
    tcase_add_test(c, test_reload_keeps_what_is_the_same);
    tcase_add_test(c, test_quotas);
    tcase_add_test(c, test_credentials_are_shared);
    tcase_add_test(c, test_min_pool_size_opens_at_once);
    tcase_add_test(c, test_inline);
    tcase_add_test(c, test_inline_is_forgotten);
    tcase_add_test(c, test_close);
    suite_add_tcase(suite, c);
    return unit_run(suite);
}
