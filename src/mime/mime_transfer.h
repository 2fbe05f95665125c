/* SPDX-License-Identifier: MIT */
/* Content transfer encodings (RFC 2045), decoded and encoded in pieces. Decoders take what is damaged: characters
 * outside the alphabet are passed over, a missing end is made up, and `damaged` says so. Vector code where the
 * machine has it, chosen at run time. Pure but for the state they are given. */
#ifndef POSTERN_MIME_TRANSFER_H
#define POSTERN_MIME_TRANSFER_H

#include "base64_vector.h"
#include "macros.h"
#include "slice.h"

enum mime_encoding {
    MIME_ENCODING_IDENTITY, /* 7bit, 8bit, binary, and what is not known */
    MIME_ENCODING_BASE64,
    MIME_ENCODING_QP,
    MIME_ENCODING_UUENCODE,
};

/* The encoding that a Content-Transfer-Encoding names; *ret_known says whether it was understood. */
enum mime_encoding mime_encoding_of(struct slice name, bool *ret_known);
const char *mime_encoding_name(enum mime_encoding encoding);

struct mime_transfer {
    enum mime_encoding encoding;
    bool damaged;
    bool begun;      /* uuencode: "begin" was seen */
    bool ended;      /* base64: padding was seen; uuencode: "end" */
    unsigned n_held; /* characters held back */
    uint32_t bits;   /* base64: of those */
    char held[128];  /* QP and uuencode: an unfinished escape, or a line */
};

void mime_transfer_init(struct mime_transfer *t, enum mime_encoding encoding);
/* Most bytes that one call makes of `n` input bytes, whatever was held back. */
size_t mime_transfer_max(const struct mime_transfer *t, size_t n);
/* Decodes `in` to `out` (room for mime_transfer_max()); returns the bytes written. `out` and `in` do not overlap. */
size_t mime_transfer_decode(struct mime_transfer *t, struct slice in, char *out);
/* Behind the last piece: what was held back; room for mime_transfer_max(t, 0). */
size_t mime_transfer_finish(struct mime_transfer *t, char *out);

/* Base64 in lines of 76 with CRLF behind each, the last one included. Pieces other than the last have a length that
 * MIME_BASE64_LINE divides. `out` has room for mime_base64_lines_len(len); returns that length. */
#define MIME_BASE64_LINE BASE64_LINE
static inline uint64_t mime_base64_lines_len(uint64_t len)
{
    uint64_t lines = (len + MIME_BASE64_LINE - 1) / MIME_BASE64_LINE;
    return (len + 2) / 3 * 4 + 2 * lines;
}
size_t mime_base64_lines(const char *in, size_t len, char *out);

/* Quoted-printable: bytes at the front of `in` that fit into `room`, their encoding in `out`. `text`: line ends (CRLF,
 * LF) become CRLF of the encoding, and stand for themselves; else each byte is data. `last`: no more input follows. */
struct mime_qp_encoder {
    unsigned column;
    bool text;
};
size_t mime_qp_encode(struct mime_qp_encoder *e, struct slice in, bool last, char *out, size_t room, size_t *ret_len);

#endif
