/* SPDX-License-Identifier: MIT */
/* format=flowed (RFC 3676): lines that end with a space go on in the next one. Works in pieces; quoted paragraphs come
 * out with one "> " of their depth. Pure. */
#ifndef POSTERN_MIME_FLOWED_H
#define POSTERN_MIME_FLOWED_H

#include "mime_message.h"

#define MIME_FLOWED_DEPTH_MAX 100 /* quotes nested deeper come out with that depth */

struct mime_flowed {
    bool del_space; /* delsp=yes: the space at a soft line end is no part of the text */
    bool open;      /* the last line ended softly */
    bool space;     /* held back: whether it ends the line */
    enum { FLOWED_QUOTES, FLOWED_START, FLOWED_TEXT } at;
    unsigned depth, quotes; /* of the paragraph, of the line */
    unsigned n_mark;        /* characters of "-- " that the line began with, held back */
};

/* False: the part does not say that it is flowed. */
bool mime_flowed_init(struct mime_flowed *f, const struct mime_part *part);
/* Most bytes that one call makes of `n`. */
static inline size_t mime_flowed_max(size_t n)
{
    return n * 3 + MIME_FLOWED_DEPTH_MAX + 16; /* a line gives its own length and two more, and what was held back */
}
/* Text in UTF-8 with LF line ends; `out` has room for mime_flowed_max(in.len). Returns the bytes written. */
size_t mime_flowed_feed(struct mime_flowed *f, struct slice in, bool last, char *out);

#endif
