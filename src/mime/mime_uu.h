/* SPDX-License-Identifier: MIT */
/* Files that stand as blocks of lines within a text: uuencode (POSIX, its base64 form too) and yEnc 1.3, told apart from the text around
 * them in one pass over pieces of any size, in constant memory and linear time. What only looks like the beginning of a
 * block stays text, byte for byte. Pure but for the state it is given. */
#ifndef POSTERN_MIME_UU_H
#define POSTERN_MIME_UU_H

#include "macros.h"
#include "slice.h"

#define MIME_UU_NAME_MAX 255   /* bytes of a name; what is longer is cut */
#define MIME_UU_LINE_MAX 1024  /* a longer line begins no block, and is none of uuencode's */
#define MIME_UU_BLOCKS_MAX 1000 /* of one message; what is more stays text */

enum mime_uu_event {
    MIME_UU_MORE,  /* the piece is used up; or, behind the last one, all is told */
    MIME_UU_TEXT,  /* text that stands outside */
    MIME_UU_BEGIN, /* a block begins: `name` and `yenc` are valid until it ends */
    MIME_UU_DATA,  /* decoded bytes of it */
    MIME_UU_END,   /* it ends: the flags from `broken` on are valid until the next one begins */
};

enum mime_uu_state { MIME_UU_OUTSIDE, MIME_UU_ASKED, MIME_UU_LINES, MIME_UU_TAIL, MIME_UU_YENC };

struct mime_uu {
    enum mime_uu_state state; /* asked: what looks like a beginning waits for the line behind it */
    size_t max_blocks, n_blocks;
    bool too_many; /* some block stayed text for max_blocks */
    bool yenc;
    size_t n_name;
    char name[MIME_UU_NAME_MAX]; /* bytes as they stand there */
    bool broken;                 /* a line was damaged */
    bool missing_end;            /* the text, or something else, came before its last line */
    bool wrong_size, wrong_crc;  /* yEnc: it says otherwise of itself */
    /* Internal. */
    bool base64, mid_line, escaped, is_part, has_declared, line_ready;
    uint32_t crc;
    uint64_t size, declared;
    size_t n_begin, n_line;
    char begin[MIME_UU_LINE_MAX], line[MIME_UU_LINE_MAX], out[MIME_UU_LINE_MAX];
};

void mime_uu_init(struct mime_uu *u, size_t max_blocks);
/* The next event, from the front of *in, which is moved on; `last`: nothing follows behind it. *ret (TEXT and DATA, never
 * empty) is valid until the next call, and as long as what *in points to. */
enum mime_uu_event mime_uu_next(struct mime_uu *u, struct slice *in, bool last, struct slice *ret);

#endif
