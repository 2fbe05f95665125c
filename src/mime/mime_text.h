/* SPDX-License-Identifier: MIT */
/* What every decoding of mail text shares: where results go, which charset converters are open, and what was odd
 * on the way. All results are valid UTF-8 without NUL; they live in the decoder's arena. A decoder belongs to one
 * thread; there is no state beside it. */
#ifndef POSTERN_MIME_TEXT_H
#define POSTERN_MIME_TEXT_H

#include "arena.h"
#include "buffer.h"
#include "macros.h"
#include "slice.h"

#include <iconv.h>

#define MIME_DEFECTS_MAX 100 /* texts kept; what comes behind them is only counted */
#define MIME_CONVERTERS 4    /* iconv descriptors kept open */

/* Texts that say what was odd, without repetitions, in the order found. */
struct mime_defects {
    const char *texts[MIME_DEFECTS_MAX];
    size_t n;
    size_t more;         /* further ones that were not kept */
    struct arena *arena; /* where the texts live; NULL: in the arena of the decoder that found it */
};

struct mime_converter {
    char name[32]; /* iconv's name of the charset; "" when the place is free */
    iconv_t cd;
};

struct mime_decoder {
    struct arena *arena;
    struct mime_defects *defects; /* may be NULL */
    const char *where;            /* put before each defect: "subject", "part 1.2"; NULL: nothing */
    struct buffer text, bytes;    /* scratch: a result being built, bytes before their conversion */
    struct mime_converter converters[MIME_CONVERTERS];
    unsigned next_converter;
};

void mime_decoder_init(struct mime_decoder *d, struct arena *arena, struct mime_defects *defects);
void mime_decoder_done(struct mime_decoder *d);
/* Remembers "WHERE: WHAT" once. Running out of memory loses the text, not the message. */
void mime_defect(struct mime_decoder *d, const char *what) ATTR_COLD;

/* Bytes in `charset` (any spelling seen in mail; empty: not declared, then UTF-8 if it is that, else windows-1252) as
 * UTF-8 without NUL; what does not convert becomes U+FFFD, with a defect. 0 or -ENOMEM. */
int mime_to_utf8(struct mime_decoder *d, struct slice charset, struct slice bytes, struct slice *ret) ATTR_WARN_UNUSED;

/* A header value as people read it: unfolded, encoded words (RFC 2047) decoded wherever they stand, neighbours joined
 * before their bytes are converted, raw 8-bit guessed, control characters but HT replaced by spaces, trimmed. For a
 * display name that is unquoted already (IMAP's ENVELOPE), too. 0 or -ENOMEM. */
int mime_decode_text(struct mime_decoder *d, struct slice raw, struct slice *ret) ATTR_WARN_UNUSED;
/* The same for a phrase as RFC 5322 writes it: quotes are resolved, comments dropped. */
int mime_decode_phrase(struct mime_decoder *d, struct slice raw, struct slice *ret) ATTR_WARN_UNUSED;

#endif
