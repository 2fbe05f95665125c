/* SPDX-License-Identifier: MIT */
/* What the lines of some bytes are like, found out in one pass over pieces of any size. Internal to the room. */
#ifndef POSTERN_MIME_LINES_H
#define POSTERN_MIME_LINES_H

#include "macros.h"
#include "slice.h"

struct mime_lines {
    uint64_t bare;   /* CRs without LF and LFs without CR: each is one byte more when it becomes CRLF */
    bool has_8bit, has_nul;
    uint64_t longest; /* of the lines that have ended, in bytes without their ends */
    uint64_t open;    /* bytes of the line under way */
    bool after_cr;    /* the last byte was a CR: what it is, the next one tells */
};

void mime_lines_look(struct mime_lines *l, struct slice piece);
/* Behind the last piece. */
void mime_lines_end(struct mime_lines *l);

#endif
