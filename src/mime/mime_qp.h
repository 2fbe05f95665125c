/* SPDX-License-Identifier: MIT */
/* Quoted-printable (RFC 2045 section 6.7): what mime_transfer does with it. Internal to the room. */
#ifndef POSTERN_MIME_QP_H
#define POSTERN_MIME_QP_H

#include "mime_transfer.h"

size_t mime_qp_decode(struct mime_transfer *t, struct slice in, char *out);
size_t mime_qp_finish(struct mime_transfer *t, char *out);

/* Whole lines, the last of which ends with LF; writes up to 32 bytes behind the result. Sets *damaged where an escape is
 * none. Chosen at run time; the portable code does the same. */
typedef size_t mime_qp_lines_fn(const char *in, size_t len, char *out, bool *damaged);
mime_qp_lines_fn mime_qp_lines, mime_qp_lines_portable;

#endif
