/* SPDX-License-Identifier: MIT */
/* Sections and options made into settings: the part of loading that the files of the daemon and of the accounts share,
 * and the rules between the keys of an account. Internal to the configuration. */
#ifndef POSTERN_CONFIG_ACCOUNT_H
#define POSTERN_CONFIG_ACCOUNT_H

#include "config_file.h"
#include "config_keys.h"

/* A section while it is read: where each group of keys goes, and in which line each key stood (0: not set). */
struct config_section {
    unsigned groups; /* bits 1 << CONFIG_IN_… that may stand in it */
    enum protocol protocol;
    void *bases[CONFIG_IN_PROTOCOL + 1];
    unsigned lines[CONFIG_KEYS_MAX];
};
/* Puts the defaults of all keys of the section. 0 or -ENOMEM. */
int config_section_defaults(struct config_section *s, struct config_source *source);
/* Reads one key of a file. Errors are problems; 0 or -ENOMEM. */
int config_section_read(struct config_section *s, const struct config_entry *entry, const struct stat *st,
                        struct config_source *source, struct config_problems *problems);
/* Whether the key was given, and in which line. */
unsigned config_section_line(const struct config_section *s, const char *name);

/* Loads one accounts.d file. 0 with *ret untouched when there were problems; -ENOMEM. */
int config_account_load(const char *path, struct slice name, struct config_problems *problems,
                        struct account_config **ret);

#endif
