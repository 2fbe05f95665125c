/* SPDX-License-Identifier: MIT */
#include "config_account.h"

#include "imap_quirks.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <unistd.h>

#define ACCOUNT_ARENA_MAX (8 * 1024 * 1024)

static size_t key_index(const struct config_key *key)
{
    return (size_t) (key - config_keys);
}

static bool section_has(const struct config_section *s, const struct config_key *key)
{
    if (!(s->groups & 1u << key->group))
        return false;
    return key->group != CONFIG_IN_PROTOCOL || key->protocols & 1u << s->protocol;
}

static const struct config_key *section_find(const struct config_section *s, struct slice name)
{
    for (unsigned group = CONFIG_IN_DAEMON; group <= CONFIG_IN_PROTOCOL; group++) {
        const struct config_key *key =
            s->groups & 1u << group ? config_key_find((enum config_group) group, s->protocol, name) : NULL;
        if (key)
            return key;
    }
    return NULL;
}

int config_section_defaults(struct config_section *s, struct config_source *source)
{
    for (const struct config_key *key = config_keys; key < config_keys + config_n_keys; key++) {
        if (!section_has(s, key))
            continue;
        int r = config_value_default(key, s->bases[key->group], source);
        if (r < 0)
            return r;
    }
    return 0;
}

unsigned config_section_line(const struct config_section *s, const char *name)
{
    const struct config_key *key = section_find(s, slice_of_str(name));
    return key ? s->lines[key_index(key)] : 0;
}

static void report_unknown(const struct config_section *s, const struct config_entry *entry,
                           struct config_problems *problems)
{
    const char *near = config_key_near(s->groups, entry->key);
    int len = (int) MIN(entry->key.len, (size_t) 100);
    if (config_key_any(entry->key))
        config_problem(problems, entry->line, "'%.*s' does not belong in [%s]", len, entry->key.data, entry->section);
    else if (near)
        config_problem(problems, entry->line, "unknown key '%.*s' in [%s]; did you mean '%s'?", len, entry->key.data,
                       entry->section, near);
    else
        config_problem(problems, entry->line, "unknown key '%.*s' in [%s]", len, entry->key.data, entry->section);
}

/* `senders.user:NAME = …` */
static int read_narrowing(const struct config_key *key, const struct config_entry *entry,
                          struct account_config *account, struct config_source *source)
{
    struct sender_narrowing one = {.senders = {NULL, 0}};
    struct config_key plain = *key;
    plain.offset = offsetof(struct sender_narrowing, senders);
    int r = config_principal_read(slice_from(entry->key, strlen(key->name)), &one.who, source);
    r = r < 0 ? r : config_value_read(&plain, entry->value, &one, source);
    if (r < 0)
        return r;
    size_t n = account->narrowings.n;
    struct sender_narrowing *items = arena_calloc(source->arena, n + 1, sizeof(*items));
    if (!items)
        return -ENOMEM;
    if (n)
        memcpy(items, account->narrowings.items, n * sizeof(*items));
    items[n] = one;
    account->narrowings = (struct sender_narrowings){items, n + 1};
    return 0;
}

static void check_named_file(const struct config_key *key, const void *base, unsigned line,
                             struct config_problems *problems)
{
    const char *path = *(const char *const *) (const void *) ((const char *) base + key->offset), *why;
    struct stat st;
    int fd = config_open_named(path, key->flags & CONFIG_CHECK_SECRET, &st, &why);
    if (fd >= 0)
        close(fd);
    else
        config_problem(problems, line, "%s: %s: %s", key->name, path, why);
}

int config_section_read(struct config_section *s, const struct config_entry *entry, const struct stat *st,
                        struct config_source *source, struct config_problems *problems)
{
    const struct config_key *key = section_find(s, entry->key);
    if (!key) {
        report_unknown(s, entry, problems);
        return 0;
    }
    if (key->flags & CONFIG_INLINE_ONLY) {
        config_problem(problems, entry->line, "'%s' is for calls; a file is named by '%s_file'", key->name, key->name);
        return 0;
    }
    void *base = s->bases[key->group];
    int r = key->flags & CONFIG_PREFIX ? read_narrowing(key, entry, base, source)
                                       : config_value_read(key, entry->value, base, source);
    if (r == -ENOMEM)
        return r;
    s->lines[key_index(key)] = entry->line;
    if (r < 0) {
        config_problem(problems, entry->line, "%.*s: %s", (int) MIN(entry->key.len, (size_t) 100), entry->key.data,
                       source->why);
        return 0;
    }
    if (key->flags & (CONFIG_CHECK_FILE | CONFIG_CHECK_SECRET))
        check_named_file(key, base, entry->line, problems);
    if (key->type == CONFIG_SECRET && st->st_mode & S_IROTH)
        config_problem(problems, entry->line, "%s: a file with a secret must not be readable by others (mode %04o)",
                       key->name, (unsigned) st->st_mode & 07777);
    if (key->flags & CONFIG_ONE_SECRET)
        for (const struct config_key *other = config_keys; other < config_keys + config_n_keys; other++)
            if (other != key && other->flags & CONFIG_ONE_SECRET && s->lines[key_index(other)])
                config_problem(problems, MAX(entry->line, s->lines[key_index(other)]),
                               "'%s' and '%s' exclude each other", MIN(key, other)->name, MAX(key, other)->name);
    return 0;
}

/* --- the rules of an account --- */

/* An account under construction: a section of each kind. */
struct drafting {
    struct account_config *account;
    struct config_section account_section, auth_section, sections[PROTOCOL_COUNT];
    unsigned section_lines[PROTOCOL_COUNT];
    struct config_source source;
};

static struct account_config *account_new(void)
{
    struct account_config *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->refs = 1;
    arena_init(&a->arena, ACCOUNT_ARENA_MAX);
    return a;
}

struct account_config *account_config_ref(struct account_config *a)
{
    a->refs++;
    return a;
}

static void release_group(enum config_group group, void *base)
{
    for (const struct config_key *key = config_keys; key < config_keys + config_n_keys; key++)
        if (key->group == group)
            config_value_release(key, base);
}

struct account_config *account_config_unref(struct account_config *a)
{
    if (!a || --a->refs > 0)
        return NULL;
    release_group(CONFIG_IN_AUTH, &a->auth);
    for (int p = 0; p < PROTOCOL_COUNT; p++) {
        release_group(CONFIG_IN_AUTH, &a->protocols[p].auth);
        release_group(CONFIG_IN_PROTOCOL, &a->protocols[p]);
    }
    arena_done(&a->arena);
    free(a);
    return NULL;
}

static int drafting_init(struct drafting *d, struct account_config *account, const char *folder)
{
    memset(d, 0, sizeof(*d));
    d->account = account;
    d->source = (struct config_source){.arena = &account->arena, .folder = folder};
    d->account_section.groups = 1u << CONFIG_IN_ACCOUNT;
    d->account_section.bases[CONFIG_IN_ACCOUNT] = account;
    d->auth_section.groups = 1u << CONFIG_IN_AUTH;
    d->auth_section.bases[CONFIG_IN_AUTH] = &account->auth;
    int r = config_section_defaults(&d->account_section, &d->source);
    r = r < 0 ? r : config_section_defaults(&d->auth_section, &d->source);
    for (int p = 0; p < PROTOCOL_COUNT && r == 0; p++) {
        struct config_section *s = &d->sections[p];
        s->groups = 1u << CONFIG_IN_AUTH | 1u << CONFIG_IN_PROTOCOL;
        s->protocol = (enum protocol) p;
        s->bases[CONFIG_IN_AUTH] = &account->protocols[p].auth;
        s->bases[CONFIG_IN_PROTOCOL] = &account->protocols[p];
        r = config_section_defaults(s, &d->source);
    }
    return r;
}

/* What the protocol's own section leaves open comes from [auth]; a secret is taken or left as a whole. */
static void inherit_auth(struct drafting *d, enum protocol p)
{
    const struct auth_config *from = &d->account->auth;
    struct auth_config *to = &d->account->protocols[p].auth;
    const struct config_section *s = &d->sections[p];
    if (!config_section_line(s, "username"))
        to->username = from->username;
    if (!config_section_line(s, "authzid"))
        to->authzid = from->authzid;
    if (!config_section_line(s, "method"))
        to->method = from->method;
    if (config_secret_is_set(&to->secret))
        return;
    to->secret = from->secret;
    if (to->secret.password)
        secret_ref(to->secret.password);
    if (to->secret.token)
        secret_ref(to->secret.token);
}

/* The contract's rule on `tls`, `implicit_tls` and `port`. */
static void settle_port(struct protocol_config *c, const struct config_section *s)
{
    static const struct {
        uint16_t implicit, upgrade, clear;
    } ports[PROTOCOL_COUNT] = {
        [PROTOCOL_SMTP] = {465, 587, 25},
        [PROTOCOL_IMAP] = {993, 143, 143},
        [PROTOCOL_POP3] = {995, 110, 110},
    };
    bool must = c->tls == TLS_POLICY_ALL || c->tls == TLS_POLICY_CONTROL;
    if (!config_section_line(s, "implicit_tls")) {
        bool port_is_implicit = c->port == 465 || c->port == 993 || c->port == 995;
        c->implicit_tls = c->tls != TLS_POLICY_NONE && (c->port ? port_is_implicit : must);
    }
    if (c->port == 0)
        c->port = c->implicit_tls             ? ports[s->protocol].implicit
                  : c->tls == TLS_POLICY_NONE ? ports[s->protocol].clear
                                              : ports[s->protocol].upgrade;
}

/* What a problem is reported with: a line of a file, or an option's name. */
typedef void report_fn(void *arg, unsigned line, const char *text);

static bool is_secret_file(const char *path)
{
    const char *why;
    struct stat st;
    int fd = config_open_named(path, true, &st, &why);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void check_protocol(const struct protocol_config *c, const struct config_section *s, unsigned section_line,
                           report_fn *report, void *arg)
{
    if (c->tls == TLS_POLICY_NONE && c->implicit_tls)
        report(arg, config_section_line(s, "implicit_tls"), "implicit_tls: cannot be with tls = none");
    if (c->min_pool_size > c->pool_size)
        report(arg, config_section_line(s, "min_pool_size"), "min_pool_size: is more than pool_size");
    if (c->client_key && !c->client_cert)
        report(arg, config_section_line(s, "client_key"), "client_key: needs client_cert");
    if (c->key_passphrase_file && !c->client_cert)
        report(arg, config_section_line(s, "key_passphrase_file"), "key_passphrase_file: needs client_cert");
    /* The key is in the file of the certificate then. */
    if (c->client_cert && !c->client_key && !is_secret_file(c->client_cert))
        report(arg, config_section_line(s, "client_cert"),
               "client_cert: holds the key too, and must not be readable by others");
    if (c->proxy.kind == PROXY_NONE && c->proxy_username)
        report(arg, config_section_line(s, "proxy_username"), "proxy_username: needs proxy");
    if (c->proxy.kind == PROXY_NONE && c->proxy_password)
        report(arg, config_section_line(s, "proxy_password"), "proxy_password: needs proxy");
    if (c->proxy_password && !c->proxy_username)
        report(arg, config_section_line(s, "proxy_password"), "proxy_password: needs proxy_username");
    if (config_secret_is_set(&c->auth.secret) && !c->auth.username && !config_secret_is_token(&c->auth.secret))
        report(arg, section_line, "a password needs a username");
}

static void check_quirks(const struct protocol_config *c, const struct config_section *s, report_fn *report, void *arg)
{
    for (size_t i = 0; i < c->quirks.n; i++) {
        struct slice name = slice_of_str(c->quirks.items[i]);
        char text[120];
        if (slice_starts(name, SLICE("-")))
            name = slice_from(name, 1);
        if (s->protocol == PROTOCOL_IMAP && imap_quirk_find(name) != IMAP_QUIRK_COUNT)
            continue;
        snprintf(text, sizeof(text), "quirks: no quirk of %s is called '%.*s'", protocol_name(s->protocol),
                 (int) MIN(name.len, (size_t) 60), name.data);
        report(arg, config_section_line(s, "quirks"), text);
    }
}

static int digest_group(enum config_group group, enum protocol p, const void *base, struct buffer *out)
{
    for (const struct config_key *key = config_keys; key < config_keys + config_n_keys; key++) {
        if (key->group != group || (group == CONFIG_IN_PROTOCOL && !(key->protocols & 1u << p)))
            continue;
        int r = config_value_serialize(key, base, out);
        const char *path =
            key->type == CONFIG_FILE ? *(const char *const *) (const void *) ((const char *) base + key->offset) : NULL;
        struct stat st;
        /* A file that was replaced is another setting. */
        if (r == 0 && path && stat(path, &st) == 0)
            r = buffer_printf(out, "%llu %llu %lld.%09ld\n", (unsigned long long) st.st_dev,
                              (unsigned long long) st.st_ino, (long long) st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
        if (r < 0)
            return r;
    }
    return 0;
}

static int finish_digest(struct buffer *text, unsigned char out[32])
{
    struct slice s = buffer_slice(text);
    int r = EVP_Digest(s.data, s.len, out, NULL, EVP_sha256(), NULL) == 1 ? 0 : -ENOMEM;
    buffer_clear(text);
    return r;
}

static int make_digests(struct account_config *a)
{
    struct buffer text;
    buffer_init_secret(&text, 4 * ACCOUNT_ARENA_MAX);
    int r = 0;
    for (int p = 0; p < PROTOCOL_COUNT && r == 0; p++) {
        struct protocol_config *c = &a->protocols[p];
        if (!c->present)
            continue;
        r = buffer_printf(&text, "%d\n", p);
        r = r < 0 ? r : digest_group(CONFIG_IN_AUTH, (enum protocol) p, &c->auth, &text);
        r = r < 0 ? r : digest_group(CONFIG_IN_PROTOCOL, (enum protocol) p, c, &text);
        r = r < 0 ? r : finish_digest(&text, c->digest);
    }
    r = r < 0 ? r : buffer_printf(&text, "%d%d%s\n", a->allow_is_set, a->senders_is_set, a->name ? a->name : "");
    r = r < 0 ? r : digest_group(CONFIG_IN_ACCOUNT, PROTOCOL_SMTP, a, &text);
    for (int p = 0; p < PROTOCOL_COUNT && r == 0; p++)
        r = buffer_append(&text, a->protocols[p].digest, sizeof(a->protocols[p].digest));
    r = r < 0 ? r : finish_digest(&text, a->digest);
    buffer_done(&text);
    return r;
}

/* What providers say that they take from one account; where the account's own section does not say otherwise. */
static const struct {
    enum protocol protocol;
    const char *host;
    uint64_t connections;
    struct config_rate rate;
} providers[] = {
    {PROTOCOL_SMTP, "smtp.office365.com", 3, {30, 60000}},
    {PROTOCOL_SMTP, "smtp-mail.outlook.com", 3, {30, 60000}},
};

static void know_provider(struct protocol_config *c, const struct config_section *s, enum protocol p)
{
    for (size_t i = 0; i < ARRAY_LEN(providers); i++) {
        if (providers[i].protocol != p || !slice_eq_ci(slice_of_str(c->host), slice_of_str(providers[i].host)))
            continue;
        if (!config_section_line(s, "pool_size"))
            c->pool_size = MAX(providers[i].connections, c->min_pool_size);
        if (!config_section_line(s, "rate_limit"))
            c->rate_limit = providers[i].rate;
    }
}

static int finish_account(struct drafting *d, report_fn *report, void *arg)
{
    struct account_config *a = d->account;
    a->allow_is_set = config_section_line(&d->account_section, "allow") > 0;
    a->senders_is_set = config_section_line(&d->account_section, "senders") > 0;
    for (int p = 0; p < PROTOCOL_COUNT; p++) {
        struct protocol_config *c = &a->protocols[p];
        const struct config_section *s = &d->sections[p];
        if (!c->present)
            continue;
        inherit_auth(d, (enum protocol) p);
        if (!config_section_line(s, "verify_proxy_peer"))
            c->verify_proxy_peer = c->verify_peer;
        if (!config_section_line(s, "verify_proxy_host"))
            c->verify_proxy_host = c->verify_host;
        settle_port(c, s);
        know_provider(c, s, (enum protocol) p);
        check_protocol(c, s, d->section_lines[p], report, arg);
        check_quirks(c, s, report, arg);
    }
    return make_digests(a);
}

/* --- files --- */

static void report_problem(void *arg, unsigned line, const char *text)
{
    config_problem(arg, line, "%s", text);
}

static struct config_section *section_named(struct drafting *d, const struct config_entry *entry,
                                            struct config_problems *problems)
{
    struct slice name = slice_of_str(entry->section);
    if (slice_eq(name, SLICE("account")))
        return &d->account_section;
    if (slice_eq(name, SLICE("auth")))
        return &d->auth_section;
    for (int p = 0; p < PROTOCOL_COUNT; p++)
        if (slice_eq(name, slice_of_str(protocol_name((enum protocol) p)))) {
            d->account->protocols[p].present = true;
            d->section_lines[p] = entry->section_line;
            return &d->sections[p];
        }
    if (entry->key.len > 0)
        return NULL;
    if (slice_eq(name, SLICE("oauth")))
        config_problem(problems, entry->line, "section [oauth] is reserved");
    else if (slice_eq(name, SLICE("daemon")) || slice_starts(name, SLICE("host ")))
        config_problem(problems, entry->line, "section [%s] belongs in postern.conf", entry->section);
    else
        config_problem(problems, entry->line, "unknown section [%s]", entry->section);
    return NULL;
}

static int load_into(struct drafting *d, const char *path, const char *folder, struct account_config *account,
                     struct config_problems *problems)
{
    struct config_file file;
    int r = config_file_read(path, &file, problems);
    r = r < 0 ? r : drafting_init(d, account, folder);
    for (size_t i = 0; i < file.n && r == 0; i++) {
        struct config_section *s = section_named(d, &file.entries[i], problems);
        if (s && file.entries[i].key.len)
            r = config_section_read(s, &file.entries[i], &file.st, &d->source, problems);
    }
    config_file_done(&file);
    return r < 0 ? r : finish_account(d, report_problem, problems);
}

int config_account_load(const char *path, struct slice name, struct config_problems *problems,
                        struct account_config **ret)
{
    struct account_config *account = account_new();
    struct drafting *d = malloc(sizeof(*d));
    int r = account && d ? 0 : -ENOMEM;
    if (r == 0) {
        const char *slash = strrchr(path, '/');
        account->name = arena_dup(&account->arena, name.data, name.len);
        account->file = arena_strdup(&account->arena, path);
        char *folder = slash ? arena_dup(&account->arena, path, MAX((size_t) (slash - path), (size_t) 1))
                             : arena_strdup(&account->arena, ".");
        r = account->name && account->file && folder ? load_into(d, path, folder, account, problems) : -ENOMEM;
    }
    free(d);
    if (r == 0 && problems->n == 0)
        *ret = TAKE_PTR(account);
    account_config_unref(account);
    return r;
}

/* --- inline options --- */

static void report_fault(void *arg, unsigned line, const char *text)
{
    (void) line;
    fault_set(arg, -EINVAL, FAULT_INVALID_PARAMS, NULL, "options: %s", text);
}

static int read_option(struct drafting *d, struct config_section *s, const struct rpc_option *option,
                       struct fault *fault)
{
    int len = (int) MIN(option->name.len, (size_t) 64);
    const char *name = option->name.data ? option->name.data : "";
    const struct config_key *key = section_find(s, option->name);
    if (!key) {
        const char *near = config_key_near(s->groups, option->name);
        return near
                   ? fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, NULL,
                               "options: unknown option '%.*s'; did you mean '%s'?", len, name, near)
                   : fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "options: unknown option '%.*s'", len, name);
    }
    if (s->lines[key_index(key)])
        return fault_set(fault, -EINVAL, FAULT_INVALID_PARAMS, NULL, "options.%s is given twice", key->name);
    int r = config_value_read_option(key, option, s->bases[key->group], &d->source);
    s->lines[key_index(key)] = 1;
    if (r == -EINVAL)
        fault_set(fault, r, FAULT_INVALID_PARAMS, NULL, "options.%s: %s", key->name, d->source.why);
    return r;
}

int account_config_from_options(enum protocol protocol, const struct rpc_options *options, struct account_config **ret,
                                struct fault *fault)
{
    struct account_config *account = account_new();
    struct drafting *d = malloc(sizeof(*d));
    struct fault first = {.kind = FAULT_NONE};
    int r = account && d ? drafting_init(d, account, NULL) : -ENOMEM;
    if (r == 0) {
        account->protocols[protocol].present = true;
        for (size_t i = 0; options && i < options->n && r == 0; i++)
            r = read_option(d, &d->sections[protocol], &options->items[i], &first);
        const struct config_section *s = &d->sections[protocol];
        if (r == 0 && config_section_line(s, "password") && config_section_line(s, "token"))
            r = fault_set(&first, -EINVAL, FAULT_INVALID_PARAMS, NULL,
                          "options: password and token exclude each other");
        r = r < 0 ? r : finish_account(d, report_fault, &first);
    }
    free(d);
    if (r == 0 && fault_is_set(&first))
        r = -EINVAL;
    if (r == -ENOMEM)
        fault_set(&first, r, FAULT_INTERNAL, NULL, "out of memory");
    if (r == 0)
        *ret = TAKE_PTR(account);
    else if (fault && !fault_is_set(fault))
        *fault = first;
    account_config_unref(account);
    return r;
}
