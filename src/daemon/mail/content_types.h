/* SPDX-License-Identifier: MIT */
/* Content types of files by the endings of their names, as the system's shared MIME database has them (the globs2 file of
 * shared-mime-info). It is read once, at the start, and says nothing where it is not there: for what is attached every
 * day the composer has a table of its own, which comes first. Read-only after that: any thread may ask. */
#ifndef POSTERN_CONTENT_TYPES_H
#define POSTERN_CONTENT_TYPES_H

#include "macros.h"
#include "slice.h"

#define CONTENT_TYPES_FILE "/usr/share/mime/globs2"
#define CONTENT_TYPES_BYTES_MAX (4u << 20)

struct content_types;

/* NULL when out of memory. A file that is missing, too big or unreadable gives an empty object. Blocks: for the start only. */
struct content_types *content_types_load(const char *path);
void content_types_free(struct content_types *t);
/* The type of the longest ending that is known ("tar.gz" before "gz"), compared without case. Data NULL: none. Valid as long as the object. */
struct slice content_types_find(const struct content_types *t, struct slice filename);

#endif
