/* SPDX-License-Identifier: MIT */
/* Shared by outgoing.c and outgoing_form.c only. */
#ifndef POSTERN_OUTGOING_PRIVATE_H
#define POSTERN_OUTGOING_PRIVATE_H

#include "outgoing.h"

#define AT_ONCE_MAX 65536 /* more than that is looked through on a helper */

struct reform;

struct outgoing {
    unsigned refs;
    struct arena arena;
    const char *name;
    struct body_owner *texts; /* what the slices of the parameters live in */
    /* message */
    struct mime_outline outline;
    struct mime_attachment *attachments;
    struct body **collected; /* the op's, until planning */
    size_t n_bodies;         /* of which this many are referenced in `bodies` */
    struct body **bodies;
    struct mime_composer *composer;
    /* raw */
    bool is_raw;
    struct mime_source source;
    struct mime_raw_info info;
    struct mime_raw_reader *reader;
    /* both */
    uint64_t work; /* bytes to look through */
    struct reform *reform;
    struct outgoing_facts facts;
    uint64_t given; /* bytes that outgoing_next() has given */
    char *piece;
};

#endif
