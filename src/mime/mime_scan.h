/* SPDX-License-Identifier: MIT */
/* The search for lines that may be boundaries. Internal to the room. */
#ifndef POSTERN_MIME_SCAN_H
#define POSTERN_MIME_SCAN_H

#include "slice.h"

/* Index of the first "\n--" in `s`, or s.len. Vector code where the machine has it, chosen at run time. */
size_t mime_find_dash_line(struct slice s);
size_t mime_find_dash_line_portable(struct slice s);

#endif
