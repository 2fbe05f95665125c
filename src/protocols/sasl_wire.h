/* SPDX-License-Identifier: MIT */
/* A SASL dialogue on the wire, as SMTP, IMAP and POP3 have it alike: the command with the initial response, the lines behind it,
 * and what a refusal is told with. The engine ends each line (writer_end(), trace) and keeps its own states:
 *
 *     sasl_new(), sasl_write_command() ─▶ for each challenge, sasl_challenge() or later sasl_derived():
 *         SASL_DERIVE: wait. Else sasl_write_reply(); what is <0 has failed all the same: the line says "*".
 */
#ifndef POSTERN_SASL_WIRE_H
#define POSTERN_SASL_WIRE_H

#include "sasl.h"
#include "writer.h"

/* Begins a line: `prefix` ("AUTH "), the mechanism, and the initial response where there is one and the line with it has no more
 * than `line_max` bytes; 0: none is sent in any case. */
void sasl_write_command(struct writer *w, const char *prefix, enum sasl_method method, struct sasl *s, size_t line_max);
/* Begins a line: the answer to the last challenge, or "*". */
void sasl_write_reply(struct writer *w, const struct sasl *s);
/* Puts what the server said of its refusal (sasl_server_error(); may be empty) behind the fault's text: it says more. */
void sasl_add_reason(struct fault *fault, struct slice reason);

#endif
