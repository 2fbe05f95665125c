/* SPDX-License-Identifier: MIT */
/* One INI file, read safely and taken apart by libini_config, with the line of every section and key, and the
 * collection of what is wrong with it. Nothing here knows what a key means, but for one thing: values of keys that
 * the table calls secret are kept from the library, whose copies are not wiped. */
#ifndef POSTERN_CONFIG_FILE_H
#define POSTERN_CONFIG_FILE_H

#include "arena.h"
#include "buffer.h"
#include "macros.h"
#include "slice.h"

#include <stdbool.h>
#include <sys/stat.h>

#define CONFIG_FILE_MAX (1024 * 1024)
#define CONFIG_PROBLEMS_MAX 1000

/* Errors of one file; reported in the order of lines. */
struct config_problems {
    const char *file;
    struct arena arena;
    struct config_problem {
        unsigned line;
        const char *text;
    } * items;
    size_t n;
    bool out_of_memory;
};
void config_problems_init(struct config_problems *p, const char *file);
void config_problems_done(struct config_problems *p);
/* Line 0 stands for the file as a whole and is printed as 1. */
void config_problem(struct config_problems *p, unsigned line, const char *fmt, ...) ATTR_PRINTF(3, 4);
/* Appends `FILE:LINE: text` lines. 0, or -ENOMEM (also when one could not be kept). */
int config_problems_print(struct config_problems *p, struct buffer *out);

struct config_entry {
    const char *section; /* as written */
    unsigned section_line;
    struct slice key;   /* empty: the section itself, once before its keys */
    struct slice value; /* trimmed; in a secret buffer that config_file_done() wipes */
    unsigned line;
};
struct config_file {
    struct arena arena;
    struct buffer text; /* the file's bytes */
    struct config_entry *entries;
    size_t n;
    struct stat st;
};
/* Reads the file at `path`: a regular one that belongs to root or the daemon's user and that others cannot write. What
 * is wrong goes to `problems`, the entries that could be understood to *ret (call config_file_done() in any case).
 * 0 (also with problems), or -ENOMEM. */
int config_file_read(const char *path, struct config_file *ret, struct config_problems *problems);
void config_file_done(struct config_file *f);

/* Opens a file that configuration names: a regular one, and with `secret` one that others can neither read nor write.
 * Links are followed, since such files are often rotated by renaming links; what counts is what they lead to. The
 * descriptor, or a negative errno with the reason in *ret_why (static text, or strerror's). */
int config_open_named(const char *path, bool secret, struct stat *ret_st, const char **ret_why);

#endif
