/* SPDX-License-Identifier: MIT */
#include "config_keys.h"

#include "proxy.h"
#include "utf8.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define LIST_MAX 256 /* words in one list */

static int bad(struct config_source *source, const char *fmt, ...) ATTR_PRINTF(2, 3);
static int bad(struct config_source *source, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(source->why, sizeof(source->why), fmt, ap);
    va_end(ap);
    return -EINVAL;
}

/* What "%.*s" needs, cut so that an error stays readable. */
#define SHOWN(s) (int) MIN((s).len, (size_t) 60), (s).data ? (s).data : ""

/* The next word of a list; false at the end. */
static bool next_word(struct slice *rest, struct slice *ret)
{
    while (rest->len && (ascii_is_wsp(rest->data[0]) || rest->data[0] == ','))
        *rest = slice_from(*rest, 1);
    if (rest->len == 0)
        return false;
    size_t n = 0;
    while (n < rest->len && !ascii_is_wsp(rest->data[n]) && rest->data[n] != ',')
        n++;
    *ret = slice_to(*rest, n);
    *rest = slice_from(*rest, n);
    return true;
}

static int check_range(const struct config_key *key, uint64_t value, struct config_source *source)
{
    if (value >= key->min && (key->max == 0 || value <= key->max))
        return 0;
    if (key->max == 0)
        return bad(source, "must be at least %llu", (unsigned long long) key->min);
    return bad(source, "must be from %llu to %llu", (unsigned long long) key->min, (unsigned long long) key->max);
}

/* A number and its unit: digits, then one of `units`. */
struct unit {
    const char *name;
    uint64_t factor;
};
static bool read_with_unit(struct slice text, const struct unit *units, uint64_t *ret)
{
    size_t n = 0;
    while (n < text.len && ascii_is_digit(text.data[n]))
        n++;
    uint64_t v;
    if (!slice_to_u64(slice_to(text, n), UINT64_MAX, &v))
        return false;
    for (const struct unit *u = units; u->name; u++) {
        if (!slice_eq(slice_from(text, n), slice_of_str(u->name)))
            continue;
        return !__builtin_mul_overflow(v, u->factor, ret);
    }
    return false;
}

static const struct unit duration_units[] = {
    {"ms", 1}, {"s", 1000}, {"min", 60 * 1000}, {"h", 3600 * 1000}, {"d", 24 * 3600000ull}, {NULL, 0}};
static const struct unit size_units[] = {{"", 1}, {"K", 1ull << 10}, {"M", 1ull << 20}, {"G", 1ull << 30}, {NULL, 0}};
static const struct unit rate_units[] = {
    {"s", 1000}, {"min", 60 * 1000}, {"h", 3600 * 1000}, {"d", 24 * 3600000ull}, {NULL, 0}};

static int read_number(const struct config_key *key, struct slice text, struct config_source *source, uint64_t *ret)
{
    uint64_t v = 0;
    bool good = false;
    const char *form = "a whole number";
    switch ((int) key->type) {
    case CONFIG_DURATION:
        form = "a duration such as 300ms, 30s, 10min, 1h or 1d";
        good = slice_eq(text, SLICE("0")) || read_with_unit(text, duration_units, &v);
        break;
    case CONFIG_SIZE:
        form = "a size in bytes, or with K, M or G";
        good = read_with_unit(text, size_units, &v);
        break;
    case CONFIG_MODE:
        form = "a mode in octal, such as 0660";
        good = text.len > 0 && text.len <= 4;
        for (size_t i = 0; good && i < text.len; i++) {
            good = text.data[i] >= '0' && text.data[i] <= '7';
            v = v * 8 + (uint64_t) (text.data[i] - '0');
        }
        break;
    default:
        good = slice_to_u64(text, UINT64_MAX, &v);
    }
    if (!good)
        return bad(source, "'%.*s' is not %s", SHOWN(text), form);
    int r = 0;
    if (key->type != CONFIG_MODE)
        r = check_range(key, v, source);
    else if (v > key->max)
        r = bad(source, "must be at most 0%llo", (unsigned long long) key->max);
    if (r < 0)
        return r;
    *ret = v;
    return 0;
}

static int read_bool(struct slice text, struct config_source *source, bool *ret)
{
    static const char *const yes[] = {"yes", "true", "on", "1"}, *const no[] = {"no", "false", "off", "0"};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        bool is_yes = slice_eq(text, slice_of_str(yes[i]));
        if (is_yes || slice_eq(text, slice_of_str(no[i]))) {
            *ret = is_yes;
            return 0;
        }
    }
    return bad(source, "'%.*s' is not one of yes, no, true, false, on, off, 1, 0", SHOWN(text));
}

static int read_enum(const struct config_key *key, struct slice text, struct config_source *source, int *ret)
{
    char all[CONFIG_WHY_MAX] = "";
    for (int i = 0; key->words[i]; i++) {
        if (slice_eq(text, slice_of_str(key->words[i]))) {
            *ret = i;
            return 0;
        }
        size_t n = strlen(all);
        snprintf(all + n, sizeof(all) - n, "%s%s", i ? ", " : "", key->words[i]);
    }
    return bad(source, "'%.*s' is not one of %s", SHOWN(text), all);
}

/* COUNT/UNIT */
static int read_rate(struct slice text, struct config_source *source, struct config_rate *ret)
{
    size_t slash = slice_find(text, '/');
    struct slice unit = slice_from(text, slash + 1);
    uint64_t count = 0;
    if (slash < text.len && slice_to_u64(slice_to(text, slash), 1000000, &count) && count > 0)
        for (const struct unit *u = rate_units; u->name; u++)
            if (slice_eq(unit, slice_of_str(u->name))) {
                *ret = (struct config_rate){(uint32_t) count, u->factor};
                return 0;
            }
    return bad(source, "'%.*s' is not a rate such as 100/min (s, min, h, d)", SHOWN(text));
}

static bool has_space_or_control(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char) s.data[i] <= ' ' || s.data[i] == 0x7f)
            return true;
    return false;
}

static bool is_ip(struct slice text)
{
    char copy[INET6_ADDRSTRLEN];
    unsigned char addr[16];
    if (text.len == 0 || text.len >= sizeof(copy))
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = 0;
    return inet_pton(AF_INET, copy, addr) == 1 || inet_pton(AF_INET6, copy, addr) == 1;
}

/* A name in any script (the resolver has the last word), or a numeric address, IPv6 with or without brackets. */
static int read_host(struct slice text, struct config_source *source, struct slice *ret)
{
    struct slice host = text;
    if (host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']') {
        host = slice_of(host.data + 1, host.len - 2);
        if (slice_find(host, ':') == host.len || !is_ip(host))
            return bad(source, "'%.*s' is not a numeric address", SHOWN(text));
    } else if (slice_find(host, ':') < host.len && !is_ip(host)) {
        return bad(source, "'%.*s' is not a host (the port is a setting of its own)", SHOWN(text));
    }
    bool odd = host.len == 0 || host.len > 255 || has_space_or_control(host) || host.data[0] == '-';
    for (size_t i = 0; i < host.len; i++)
        odd = odd || strchr("/@\"'\\<>()[],;", host.data[i]);
    if (odd)
        return bad(source, "'%.*s' is not a host", SHOWN(text));
    *ret = host;
    return 0;
}

/* SCHEME://HOST:PORT */
static int read_proxy(struct slice text, struct config_source *source, struct config_proxy *ret)
{
    static const struct {
        const char *prefix;
        enum proxy_kind kind;
    } schemes[] = {
        {"socks4://", PROXY_SOCKS4},   {"socks4a://", PROXY_SOCKS4A}, {"socks5://", PROXY_SOCKS5},
        {"socks5h://", PROXY_SOCKS5H}, {"http://", PROXY_HTTP},       {"https://", PROXY_HTTPS},
    };
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        struct slice prefix = slice_of_str(schemes[i].prefix);
        if (!slice_starts_ci(text, prefix))
            continue;
        struct slice rest = slice_from(text, prefix.len);
        if (rest.len && rest.data[rest.len - 1] == '/')
            rest.len--;
        size_t colon = rest.len;
        while (colon > 0 && rest.data[colon - 1] != ':')
            colon--;
        uint64_t port;
        struct slice host;
        if (colon == 0 || !slice_to_u64(slice_from(rest, colon), 65535, &port) || port == 0)
            return bad(source, "'%.*s' has no port", SHOWN(text));
        int r = read_host(slice_to(rest, colon - 1), source, &host);
        if (r < 0)
            return r;
        char *copy = arena_dup(source->arena, host.data, host.len);
        if (!copy)
            return -ENOMEM;
        *ret = (struct config_proxy){schemes[i].kind, copy, (uint16_t) port};
        return 0;
    }
    return bad(source,
               "'%.*s' is not a proxy such as socks5h://host:port (socks4, socks4a, socks5, socks5h, http, https)",
               SHOWN(text));
}

static int read_path(struct slice text, struct config_source *source, const char **ret)
{
    if (!source->folder)
        return bad(source, "names a file and may stand in a configuration file only");
    if (text.len > 4000)
        return bad(source, "is too long for a path");
    char *path = text.data[0] == '/'
                     ? arena_dup(source->arena, text.data, text.len)
                     : arena_printf(source->arena, "%s/%.*s", source->folder, (int) text.len, text.data);
    if (!path)
        return -ENOMEM;
    *ret = path;
    return 0;
}

static int read_string(const struct config_key *key, struct slice text, struct config_source *source, const char **ret)
{
    if (text.len < key->min || (key->max && text.len > key->max))
        return bad(source, "must have from %llu to %llu bytes", (unsigned long long) key->min,
                   (unsigned long long) key->max);
    if (memchr(text.data, 0, text.len) || !utf8_is_valid(text))
        return bad(source, "must be UTF-8 without NUL");
    /* Certificates have lines; nothing else does. */
    for (size_t i = 0; i < text.len && !(key->flags & CONFIG_INLINE_ONLY); i++)
        if ((unsigned char) text.data[i] < ' ' || text.data[i] == 0x7f)
            return bad(source, "must not hold control characters");
    char *copy = arena_dup(source->arena, text.data, text.len);
    if (!copy)
        return -ENOMEM;
    *ret = copy;
    return 0;
}

/* One at-sign with something on both sides. */
static bool is_address(struct slice s)
{
    size_t at = s.len;
    while (at > 0 && s.data[at - 1] != '@')
        at--;
    return at > 1 && at < s.len && s.len <= 320 && !has_space_or_control(s) && !memchr(s.data, '<', s.len) &&
           !memchr(s.data, '>', s.len) && !memchr(s.data + at, '*', s.len - at);
}

static int read_sender(struct slice word, struct config_source *source)
{
    if (slice_eq(word, SLICE("*")))
        return 0;
    if (!is_address(word) || (memchr(word.data, '*', word.len) && !slice_starts(word, SLICE("*@"))))
        return bad(source, "'%.*s' is neither an address nor *@domain nor *", SHOWN(word));
    return 0;
}

static int read_digest_word(struct slice word, struct config_source *source, char *copy)
{
    size_t n = 0;
    for (size_t i = 0; i < word.len; i++) {
        char c = ascii_lower(word.data[i]);
        if (c == ':')
            continue;
        if (!ascii_is_digit(c) && !(c >= 'a' && c <= 'f'))
            return bad(source, "'%.*s' is not a SHA-256 in hex", SHOWN(word));
        copy[n++] = c;
    }
    copy[n] = 0;
    return n == 64 ? 0 : bad(source, "'%.*s' is not a SHA-256 in hex (64 digits)", SHOWN(word));
}

static int read_method(struct slice word, struct config_source *source, char *copy)
{
    static const char *const known[] = {
        "auto",        "plain",         "login",    "sasl-login",       "cram-md5",           "digest-md5",
        "scram-sha-1", "scram-sha-256", "external", "scram-sha-1-plus", "scram-sha-256-plus", "xoauth2",
        "oauthbearer", "apop",          "user",
    };
    for (char *p = copy; *p; p++)
        *p = ascii_lower(*p);
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(copy, known[i]) == 0)
            return 0;
    return bad(source, "'%.*s' is not a known authentication method", SHOWN(word));
}

static int read_list_word(const struct config_key *key, struct slice word, struct config_source *source,
                          const char **ret)
{
    if (word.len == 0 || word.len > 1024 || has_space_or_control(word) || !utf8_is_valid(word))
        return bad(source, "'%.*s' is not a word", SHOWN(word));
    char *copy = arena_dup(source->arena, word.data, word.len);
    if (!copy)
        return -ENOMEM;
    *ret = copy;
    switch ((int) key->type) {
    case CONFIG_SENDERS:
        return read_sender(word, source);
    case CONFIG_DIGESTS:
        return read_digest_word(word, source, copy);
    case CONFIG_METHODS:
        return read_method(word, source, copy);
    case CONFIG_NO_PROXY:
        if (!proxy_bypass_is_valid(copy))
            return bad(source, "'%.*s' is not a name, .suffix, address, network or *, perhaps with :port", SHOWN(word));
        return 0;
    case CONFIG_UPPER_LIST:
        for (char *p = copy; *p; p++)
            *p = ascii_upper(*p);
    }
    return 0;
}

/* Words from an array, or from `text` when `items` is NULL. */
static int read_list(const struct config_key *key, struct slice text, const struct slice *items, size_t n_items,
                     struct config_source *source, struct config_list *ret)
{
    const char *words[LIST_MAX];
    size_t n = 0;
    struct slice word;
    while (items ? n < n_items : next_word(&text, &word)) {
        if (n == LIST_MAX)
            return bad(source, "has more than %d entries", LIST_MAX);
        int r = read_list_word(key, items ? items[n] : word, source, &words[n]);
        if (r < 0)
            return r;
        n++;
    }
    if (key->max && n > key->max)
        return bad(source, "has more than %llu entries", (unsigned long long) key->max);
    if (key->type == CONFIG_METHODS && n > 1)
        for (size_t i = 0; i < n; i++)
            if (strcmp(words[i], "auto") == 0)
                return bad(source, "'auto' stands alone");
    const char **kept = arena_calloc(source->arena, n + 1, sizeof(*kept));
    if (!kept)
        return -ENOMEM;
    memcpy(kept, words, n * sizeof(*kept));
    *ret = (struct config_list){kept, n};
    return 0;
}

/* 1 found, 0 not, or a negative errno. */
static int look_up_name(bool is_group, const char *name, uint32_t *ret)
{
    char *room = NULL;
    int r = -ENOMEM;
    for (size_t size = 1024; size <= (1u << 20); size *= 4) {
        char *more = realloc(room, size);
        if (!more)
            break;
        room = more;
        struct passwd pw, *found_pw = NULL;
        struct group gr, *found_gr = NULL;
        int err =
            is_group ? getgrnam_r(name, &gr, room, size, &found_gr) : getpwnam_r(name, &pw, room, size, &found_pw);
        if (err == ERANGE)
            continue;
        if (found_pw)
            *ret = (uint32_t) found_pw->pw_uid;
        if (found_gr)
            *ret = (uint32_t) found_gr->gr_gid;
        r = found_pw || found_gr;
        break;
    }
    free(room);
    return r;
}

int config_principal_read(struct slice text, struct principal *ret, struct config_source *source)
{
    bool is_group = slice_starts(text, SLICE("group:"));
    if (!is_group && !slice_starts(text, SLICE("user:")))
        return bad(source, "'%.*s' is not user:NAME or group:NAME", SHOWN(text));
    struct slice name = slice_from(text, is_group ? 6 : 5);
    char copy[257];
    if (name.len == 0 || name.len >= sizeof(copy))
        return bad(source, "'%.*s' is not user:NAME or group:NAME", SHOWN(text));
    memcpy(copy, name.data, name.len);
    copy[name.len] = 0;
    uint32_t id;
    int r = look_up_name(is_group, copy, &id);
    if (r < 0)
        return r;
    if (r == 0) {
        uint64_t number;
        if (!slice_to_u64(name, UINT32_MAX - 1, &number))
            return bad(source, "there is no %s '%.*s'", is_group ? "group" : "user", SHOWN(name));
        id = (uint32_t) number;
    }
    *ret = (struct principal){is_group, id};
    return 0;
}

static int read_principals(struct slice text, struct config_source *source, struct principals *ret)
{
    struct principal items[LIST_MAX];
    size_t n = 0;
    struct slice word;
    while (next_word(&text, &word)) {
        if (n == LIST_MAX)
            return bad(source, "has more than %d entries", LIST_MAX);
        int r = config_principal_read(word, &items[n], source);
        if (r < 0)
            return r;
        n++;
    }
    struct principal *kept = arena_calloc(source->arena, n + 1, sizeof(*kept));
    if (!kept)
        return -ENOMEM;
    memcpy(kept, items, n * sizeof(*kept));
    *ret = (struct principals){kept, n};
    return 0;
}

static int read_rights(struct slice text, struct config_source *source, unsigned *ret)
{
    static const char *const names[N_RIGHTS] = {"send", "read", "write", "raw"};
    unsigned rights = 0;
    struct slice word;
    while (next_word(&text, &word)) {
        unsigned right = 0;
        for (unsigned i = 0; i < N_RIGHTS; i++)
            if (slice_eq(word, slice_of_str(names[i])))
                right = 1u << i;
        if (!right)
            return bad(source, "'%.*s' is not one of send, read, write, raw", SHOWN(word));
        rights |= right;
    }
    *ret = rights;
    return 0;
}

static int read_secret(const struct config_key *key, struct slice text, struct config_source *source,
                       struct secret **target)
{
    if (text.len < key->min || text.len > SECRET_MAX || (text.len && memchr(text.data, 0, text.len)))
        return bad(source, "is not a usable secret"); /* never shown */
    struct secret *s = secret_new(text.data, text.len);
    if (!s)
        return -ENOMEM;
    secret_unref(*target);
    *target = s;
    return 0;
}

static int read_plain_string(const struct config_key *key, struct slice text, struct config_source *source,
                             const char **target)
{
    struct slice host;
    switch ((int) key->type) {
    case CONFIG_ADDRESS:
        if (!is_address(text))
            return bad(source, "'%.*s' is not an address", SHOWN(text));
        host = text;
        break;
    case CONFIG_IP:
        if (!is_ip(text))
            return bad(source, "'%.*s' is not a numeric address", SHOWN(text));
        host = text;
        break;
    case CONFIG_NAME:
        if (!account_name_is_valid(text))
            return bad(source, "'%.*s' is not a plain name", SHOWN(text));
        host = text;
        break;
    case CONFIG_HOST: {
        int r = read_host(text, source, &host);
        if (r < 0)
            return r;
        break;
    }
    case CONFIG_FILE:
        return read_path(text, source, target);
    default:
        return read_string(key, text, source, target);
    }
    char *copy = arena_dup(source->arena, host.data, host.len);
    if (!copy)
        return -ENOMEM;
    *target = copy;
    return 0;
}

/* The number where its row wants it; always 0. */
static int store_number(const struct config_key *key, uint64_t v, void *target)
{
    if (key->type == CONFIG_PORT)
        *(uint16_t *) target = (uint16_t) v;
    else
        *(uint64_t *) target = v;
    return 0;
}

int config_value_read(const struct config_key *key, struct slice text, void *base, struct config_source *source)
{
    void *target = (char *) base + key->offset;
    uint64_t number = 0;
    int word = 0, r;
    if (text.len == 0)
        return bad(source, "has no value");
    switch (key->type) {
    case CONFIG_BOOL:
        return read_bool(text, source, target);
    case CONFIG_UINT:
    case CONFIG_PORT:
    case CONFIG_MODE:
    case CONFIG_DURATION:
    case CONFIG_SIZE:
        r = read_number(key, text, source, &number);
        return r < 0 ? r : store_number(key, number, target);
    case CONFIG_RATE:
        return read_rate(text, source, target);
    case CONFIG_ENUM:
        r = read_enum(key, text, source, &word);
        if (r == 0)
            memcpy(target, &word, sizeof(word));
        return r;
    case CONFIG_STRING:
    case CONFIG_ADDRESS:
    case CONFIG_HOST:
    case CONFIG_IP:
    case CONFIG_FILE:
    case CONFIG_NAME:
        return read_plain_string(key, text, source, target);
    case CONFIG_SECRET:
        return read_secret(key, text, source, target);
    case CONFIG_LIST:
    case CONFIG_UPPER_LIST:
    case CONFIG_METHODS:
    case CONFIG_SENDERS:
    case CONFIG_NO_PROXY:
    case CONFIG_DIGESTS:
        return read_list(key, text, NULL, 0, source, target);
    case CONFIG_PRINCIPALS:
        return read_principals(text, source, target);
    case CONFIG_RIGHTS:
        return read_rights(text, source, target);
    case CONFIG_PROXY:
        return read_proxy(text, source, target);
    }
    return -EINVAL;
}

static bool is_list(enum config_type type)
{
    return type == CONFIG_LIST || type == CONFIG_UPPER_LIST || type == CONFIG_METHODS || type == CONFIG_SENDERS ||
           type == CONFIG_NO_PROXY || type == CONFIG_DIGESTS;
}

int config_value_read_option(const struct config_key *key, const struct rpc_option *option, void *base,
                             struct config_source *source)
{
    void *target = (char *) base + key->offset;
    if (key->flags & CONFIG_FILE_ONLY)
        return bad(source, "names a file or a command and may stand in a configuration file only");
    bool is_number = key->type == CONFIG_UINT || key->type == CONFIG_PORT || key->type == CONFIG_DURATION ||
                     key->type == CONFIG_SIZE;
    if (is_number) {
        if (option->kind != RPC_OPTION_NUMBER || option->number < 0)
            return bad(source, "must be %s", key->type == CONFIG_DURATION ? "a number of milliseconds" : "a number");
        int r = check_range(key, (uint64_t) option->number, source);
        return r < 0 ? r : store_number(key, (uint64_t) option->number, target);
    }
    if (key->type == CONFIG_BOOL) {
        if (option->kind != RPC_OPTION_BOOL)
            return bad(source, "must be true or false");
        *(bool *) target = option->yes;
        return 0;
    }
    if (is_list(key->type) && option->kind == RPC_OPTION_STRINGS)
        return option->strings.n == 0
                   ? bad(source, "must not be empty")
                   : read_list(key, SLICE_EMPTY, option->strings.items, option->strings.n, source, target);
    if (key->flags & CONFIG_INLINE_ONLY && option->kind == RPC_OPTION_CONTENT)
        return option->content.kind == RPC_CONTENT_BYTES ? config_value_read(key, option->content.bytes, base, source)
                                                         : bad(source, "must be given as text or base64");
    if (option->kind != RPC_OPTION_STRING)
        return bad(source, is_list(key->type) ? "must be a string or an array of strings" : "must be a string");
    return config_value_read(key, option->string, base, source);
}
