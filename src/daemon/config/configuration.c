/* SPDX-License-Identifier: MIT */
#include "configuration.h"

#include "config_account.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define CONFIG_ARENA_MAX (8 * 1024 * 1024)
#define HOSTS_MAX 1024

struct loading {
    struct config *config;
    struct config_problems *problems;
    struct config_source source;
    struct config_section daemon;
    struct config_section host; /* of the section that is being read */
    const char *folder;
};

struct config *config_ref(struct config *c)
{
    c->refs++;
    return c;
}

struct config *config_unref(struct config *c)
{
    if (!c || --c->refs > 0)
        return NULL;
    for (size_t i = 0; i < c->n_accounts; i++)
        account_config_unref(c->accounts[i]);
    free(c->accounts);
    arena_done(&c->arena);
    free(c);
    return NULL;
}

bool account_name_is_valid(struct slice name)
{
    if (name.len == 0 || name.len > ACCOUNT_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && (i == 0 || !memchr("._-", c, 3)))
            return false;
    }
    return true;
}

struct account_config *config_find_account(const struct config *c, struct slice name)
{
    size_t low = 0, high = c->n_accounts;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        struct slice other = slice_of_str(c->accounts[mid]->name);
        int order = memcmp(name.data ? name.data : "", other.data, MIN(name.len, other.len));
        if (order == 0 && name.len == other.len)
            return c->accounts[mid];
        if (order < 0 || (order == 0 && name.len < other.len))
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

const struct host_config *config_find_host(const struct config *c, const char *host)
{
    for (size_t i = 0; i < c->n_hosts; i++)
        if (slice_eq_ci(slice_of_str(c->hosts[i].host), slice_of_str(host)))
            return &c->hosts[i];
    return NULL;
}

/* --- postern.conf --- */

/* `[host NAME]`, met for the first time. */
static int begin_host(struct loading *l, const struct config_entry *entry)
{
    struct slice name = slice_trim(slice_from(slice_of_str(entry->section), 4));
    const struct config_key *reader = config_key_find(CONFIG_IN_PROTOCOL, PROTOCOL_SMTP, SLICE("host"));
    struct protocol_config room = {.host = NULL};
    struct config *c = l->config;
    l->host = (struct config_section){.groups = 0};
    int r = config_value_read(reader, name, &room, &l->source);
    if (r == -EINVAL)
        config_problem(l->problems, entry->line, "[%s]: %s", entry->section, l->source.why);
    else if (r == 0 && config_find_host(c, room.host))
        config_problem(l->problems, entry->line, "section [%s] is there twice", entry->section);
    else if (r == 0 && c->n_hosts == HOSTS_MAX)
        config_problem(l->problems, entry->line, "more than %d sections for hosts", HOSTS_MAX);
    if (r == -ENOMEM)
        return r;
    if (r < 0 || c->n_hosts == HOSTS_MAX)
        return 0;
    struct host_config *host = &c->hosts[c->n_hosts++];
    host->host = room.host;
    l->host.groups = 1u << CONFIG_IN_HOST;
    l->host.bases[CONFIG_IN_HOST] = host;
    return config_section_defaults(&l->host, &l->source);
}

static int read_entry(struct loading *l, const struct config_entry *entry, const struct stat *st)
{
    struct slice name = slice_of_str(entry->section);
    struct config_section *s = NULL;
    if (slice_eq(name, SLICE("daemon"))) {
        s = &l->daemon;
    } else if (slice_starts(name, SLICE("host "))) {
        if (entry->key.len == 0)
            return begin_host(l, entry);
        s = &l->host;
    } else if (entry->key.len == 0) {
        bool of_account = slice_eq(name, SLICE("account")) || slice_eq(name, SLICE("auth"));
        for (int p = 0; p < PROTOCOL_COUNT; p++)
            of_account = of_account || slice_eq(name, slice_of_str(protocol_name((enum protocol) p)));
        config_problem(l->problems, entry->line,
                       of_account ? "section [%s] belongs in accounts.d/NAME.conf" : "unknown section [%s]",
                       entry->section);
    }
    if (!s || entry->key.len == 0 || !s->groups)
        return 0;
    return config_section_read(s, entry, st, &l->source, l->problems);
}

/* Where the socket and the state are when the file does not say: what systemd gives, a user's own place, the
 * system's. */
static const char *default_place(struct arena *arena, const char *given, const char *user_base, const char *user_tail,
                                 const char *system, const char *tail)
{
    const char *systemd = getenv(given), *user = geteuid() == 0 ? NULL : getenv(user_base);
    if (systemd && systemd[0] == '/')
        return arena_printf(arena, "%.*s%s", (int) strcspn(systemd, ":"), systemd, tail);
    if (user && user[0] == '/')
        return arena_printf(arena, "%s%s%s", user, user_tail, tail);
    return arena_printf(arena, "%s%s", system, tail);
}

static int settle_daemon(struct loading *l, const char *socket)
{
    struct daemon_config *d = &l->config->daemon;
    struct arena *arena = &l->config->arena;
    d->admin_is_set = config_section_line(&l->daemon, "admin") > 0;
    d->allow_inline_is_set = config_section_line(&l->daemon, "allow_inline") > 0;
    if (socket)
        d->socket = arena_strdup(arena, socket);
    else if (!d->socket)
        d->socket =
            default_place(arena, "RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR", "/postern", "/run/postern", "/postern.sock");
    if (!d->state_dir)
        d->state_dir = default_place(arena, "STATE_DIRECTORY", "HOME", "/.local/state/postern", "/var/lib/postern", "");
    return d->socket && d->state_dir ? 0 : -ENOMEM;
}

static int load_daemon(struct loading *l, const char *path, const char *socket)
{
    struct config_file file;
    l->daemon.groups = 1u << CONFIG_IN_DAEMON;
    l->daemon.bases[CONFIG_IN_DAEMON] = &l->config->daemon;
    l->config->hosts = arena_calloc(&l->config->arena, HOSTS_MAX, sizeof(*l->config->hosts));
    int r = l->config->hosts ? config_section_defaults(&l->daemon, &l->source) : -ENOMEM;
    if (r < 0)
        return r;
    r = config_file_read(path, &file, l->problems);
    for (size_t i = 0; i < file.n && r == 0; i++)
        r = read_entry(l, &file.entries[i], &file.st);
    config_file_done(&file);
    return r < 0 ? r : settle_daemon(l, socket);
}

/* --- accounts.d --- */

/* NAME.conf; other files (backups, notes) are none of ours, as are hidden ones. */
static int is_account_file(const struct dirent *entry)
{
    struct slice name = slice_of_str(entry->d_name);
    return name.len > 5 && name.data[0] != '.' && slice_eq(slice_from(name, name.len - 5), SLICE(".conf"));
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct account_config *const *) a)->name, (*(struct account_config *const *) b)->name);
}

static int load_account(struct config *c, const char *folder, const char *file_name, struct buffer *errors)
{
    const char *path = arena_printf(&c->arena, "%s/%s", folder, file_name);
    if (!path)
        return -ENOMEM;
    struct config_problems problems;
    struct account_config *account = NULL;
    struct slice name = slice_to(slice_of_str(file_name), strlen(file_name) - 5);
    config_problems_init(&problems, path);
    int r = 0;
    if (account_name_is_valid(name))
        r = config_account_load(path, name, &problems, &account);
    else
        config_problem(&problems, 0, "the name of an account is letters, digits, '.', '_' and '-', at most %d",
                       ACCOUNT_NAME_MAX);
    if (account)
        c->accounts[c->n_accounts++] = account;
    int printed = config_problems_print(&problems, errors);
    config_problems_done(&problems);
    return r < 0 ? r : printed;
}

static int load_accounts(struct config *c, const char *folder, struct buffer *errors)
{
    struct dirent **names = NULL;
    int n = scandir(folder, &names, is_account_file, by_bytes);
    if (n < 0 && errno == ENOENT)
        return 0;
    if (n < 0)
        return errno == ENOMEM ? -ENOMEM : buffer_printf(errors, "%s:1: cannot be read: %s\n", folder, strerror(errno));
    c->accounts = calloc((size_t) n + 1, sizeof(struct account_config *));
    int r = c->accounts ? 0 : -ENOMEM;
    for (int i = 0; i < n; i++) {
        if (r == 0)
            r = load_account(c, folder, names[i]->d_name, errors);
        free(names[i]);
    }
    free(names);
    /* "a-b.conf" sorts before "a.conf", the names the other way round. */
    if (c->n_accounts)
        qsort(c->accounts, c->n_accounts, sizeof(struct account_config *), by_name);
    return r;
}

static int load_all(struct config *c, const char *file, const char *socket, struct buffer *errors)
{
    const char *slash = strrchr(file, '/');
    c->file = arena_strdup(&c->arena, file);
    char *folder =
        slash ? arena_dup(&c->arena, file, MAX((size_t) (slash - file), (size_t) 1)) : arena_strdup(&c->arena, ".");
    char *accounts = folder ? arena_printf(&c->arena, "%s/accounts.d", folder) : NULL;
    struct loading *l = calloc(1, sizeof(*l));
    struct config_problems problems;
    config_problems_init(&problems, file);
    int r = c->file && accounts && l ? 0 : -ENOMEM;
    if (r == 0) {
        l->config = c;
        l->problems = &problems;
        l->source = (struct config_source){.arena = &c->arena, .folder = folder};
        r = load_daemon(l, file, socket);
    }
    int printed = config_problems_print(&problems, errors);
    config_problems_done(&problems);
    free(l);
    r = r < 0 ? r : printed;
    return r < 0 ? r : load_accounts(c, accounts, errors);
}

int config_load(const char *file, const char *socket, struct config **ret, struct buffer *errors)
{
    struct config *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->refs = 1;
    arena_init(&c->arena, CONFIG_ARENA_MAX);
    size_t before = buffer_len(errors);
    int r = load_all(c, file, socket, errors);
    if (r == 0 && buffer_len(errors) > before)
        r = -EINVAL;
    if (r == -EMSGSIZE)
        r = -EINVAL;
    if (r == 0)
        *ret = c;
    else
        config_unref(c);
    return r;
}
