/* SPDX-License-Identifier: MIT */
/* The table of configuration keys, and the functions that read, default and digest a value by its row. Whatever
 * reads a setting reads it through here: files, inline options, documentation, tests. */
#ifndef POSTERN_CONFIG_KEYS_H
#define POSTERN_CONFIG_KEYS_H

#include "configuration.h"

enum config_type {
    CONFIG_BOOL,       /* bool */
    CONFIG_UINT,       /* uint64_t */
    CONFIG_PORT,       /* uint16_t */
    CONFIG_MODE,       /* uint64_t, octal */
    CONFIG_DURATION,   /* uint64_t, milliseconds */
    CONFIG_SIZE,       /* uint64_t, bytes */
    CONFIG_RATE,       /* struct config_rate: `100/min` */
    CONFIG_ENUM,       /* an enum (int): index in `words` */
    CONFIG_STRING,     /* const char * */
    CONFIG_ADDRESS,    /* const char *: local@domain */
    CONFIG_HOST,       /* const char *: a name or a numeric address */
    CONFIG_IP,         /* const char *: a numeric address */
    CONFIG_FILE,       /* const char *: a path, relative to the file's own folder */
    CONFIG_NAME,       /* const char *: a plain file name */
    CONFIG_SECRET,     /* struct secret * */
    CONFIG_LIST,       /* struct config_list, words */
    CONFIG_UPPER_LIST, /* the same in upper case */
    CONFIG_METHODS,    /* the same: authentication methods in lower case */
    CONFIG_SENDERS,    /* the same: sender patterns */
    CONFIG_NO_PROXY,   /* the same: who is reached without the proxy */
    CONFIG_DIGESTS,    /* the same: SHA-256 in 64 lower-case hex digits */
    CONFIG_PRINCIPALS, /* struct principals */
    CONFIG_RIGHTS,     /* unsigned, RIGHT_… set */
    CONFIG_PROXY,      /* struct config_proxy */
};

/* Which struct the offset is in, and thereby in which sections the key may stand. */
enum config_group {
    CONFIG_IN_DAEMON,   /* struct daemon_config: [daemon] */
    CONFIG_IN_HOST,     /* struct host_config: [host NAME] */
    CONFIG_IN_ACCOUNT,  /* struct account_config: [account] */
    CONFIG_IN_AUTH,     /* struct auth_config: [auth], [smtp], [imap], [pop3] */
    CONFIG_IN_PROTOCOL, /* struct protocol_config: [smtp], [imap], [pop3] */
};

enum config_flag {
    CONFIG_FILE_ONLY = 1,    /* names a file or a command: not for inline options */
    CONFIG_INLINE_ONLY = 2,  /* for inline options only */
    CONFIG_CHECK_FILE = 4,   /* CONFIG_FILE: must be a file that can be read */
    CONFIG_CHECK_SECRET = 8, /* the same, and others must not be able to */
    CONFIG_ONE_SECRET = 16,  /* one of the ways to give the login's secret: only one may be used */
    CONFIG_PREFIX = 32,      /* the name is followed by `user:NAME` or `group:NAME` */
};

#define CONFIG_FOR_ALL 7u /* bits 1 << PROTOCOL_… */

struct config_key {
    const char *name;
    enum config_group group;
    enum config_type type;
    unsigned protocols; /* CONFIG_IN_PROTOCOL: whose row this is; else CONFIG_FOR_ALL */
    unsigned flags;
    uint64_t min, max;        /* numbers, durations, sizes; bytes of strings; words of lists; max 0: none */
    const char *fallback;     /* the default as it would stand in a file; NULL: none */
    const char *const *words; /* CONFIG_ENUM, NULL-ended */
    size_t offset;
    const char *doc;
};

#define CONFIG_KEYS_MAX 160
extern const struct config_key config_keys[];
extern const size_t config_n_keys;

/* The row for `name` in `group`; for CONFIG_IN_PROTOCOL that of protocol `p` (else `p` is ignored). NULL: none. */
const struct config_key *config_key_find(enum config_group group, enum protocol p, struct slice name);
/* Some name of those groups that is near to `name`, for "did you mean"; NULL: none. `groups`: bits 1 << CONFIG_IN_…. */
const char *config_key_near(unsigned groups, struct slice name);
/* The first row with that name in any group; NULL: none. */
const struct config_key *config_key_any(struct slice name);

#define CONFIG_WHY_MAX 200
/* Where a value comes from and where its parts go. */
struct config_source {
    struct arena *arena;
    const char *folder; /* relative paths start here; NULL: inline, no paths */
    char why[CONFIG_WHY_MAX]; /* out: what is wrong with the value */
};
/* Reads the text of a value into `base` + the row's offset. -EINVAL with source->why, or -ENOMEM; the target is then
 * untouched. A CONFIG_SECRET that stood there is released. */
int config_value_read(const struct config_key *key, struct slice text, void *base, struct config_source *source);
/* The same from a typed option of JSON. */
int config_value_read_option(const struct config_key *key, const struct rpc_option *option, void *base,
                             struct config_source *source);
/* `user:NAME` or `group:NAME`; numbers stand for themselves where no such name exists. */
int config_principal_read(struct slice text, struct principal *ret, struct config_source *source);
/* Writes the row's default into `base`; zero where there is none. */
int config_value_default(const struct config_key *key, void *base, struct config_source *source);

/* Appends name and value in a canonical form: equal values give equal bytes. Use a secret buffer. */
int config_value_serialize(const struct config_key *key, const void *base, struct buffer *out);
/* Releases what does not live in an arena. */
void config_value_release(const struct config_key *key, void *base);

#endif
