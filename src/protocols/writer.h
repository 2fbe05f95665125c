/* SPDX-License-Identifier: MIT */
/* The one writer of commands under SMTP, IMAP and POP3: typed pieces into the output of a connection. Each piece knows
 * what its grammar forbids; none lets CR, LF or NUL through but where a literal may hold CR and LF. So no value that
 * comes from outside can end a command and begin another.
 *
 *     writer_begin(w); writer_raw_str(w, "MAIL FROM:"); writer_path(w, from); …; ret = writer_end(w);
 *
 * Between writer_begin() and writer_end() (or writer_finish(), which adds no CRLF) the first error sticks; the end
 * returns it and nothing of the command has been written then. Pieces return the same error, which need not be looked
 * at. Errors: -EINVAL (the value may not stand there), -EMSGSIZE (the limit), -ENOMEM.
 *
 * Positions are counted from the first byte ever written: what engine_request's offsets are.
 *
 * Secrets. What is written between writer_secret_begin() and writer_secret_end() is left out of writer_trace(), and its
 * memory is wiped.
 *
 * IMAP's literals. A synchronising literal puts a *stop* behind its announcement: writer_output() ends there until
 * writer_release() or writer_abandon(). The writer knows from `literals` and `utf8` what the server allows. */
#ifndef POSTERN_WRITER_H
#define POSTERN_WRITER_H

#include "buffer.h"
#include "macros.h"
#include "slice.h"

#include <sys/types.h>

#define WRITER_SECRETS_MAX 4 /* of one command */
#define WRITER_STOPS_MAX 64  /* synchronising literals of one command; more are -EINVAL */
#define WRITER_LITERAL_MINUS_MAX 4096 /* RFC 7888: longer ones synchronise */

/* RFC 7888. SYNC: neither LITERAL+ nor LITERAL-. */
enum writer_literals { WRITER_LITERAL_SYNC = 0, WRITER_LITERAL_MINUS, WRITER_LITERAL_PLUS };

/* Numbers from `first` to `last`; 0 stands for "*". */
struct number_range {
    uint32_t first, last;
};

struct writer {
    struct buffer out;
    uint64_t sent;       /* position of out's first byte */
    uint64_t begin;      /* position of the command under way, or of the last one */
    int error;           /* of the command under way */
    bool open;           /* between begin and end */
    struct {
        uint64_t begin, end;
    } secrets[WRITER_SECRETS_MAX];
    unsigned n_secrets;
    bool in_secret;
    uint64_t *stops; /* WRITER_STOPS_MAX of them; NULL: there are none */
    unsigned n_stops, stops_released;
    enum writer_literals literals;
    bool utf8;           /* quoted strings, atoms' values and paths may hold UTF-8 */
};

/* `max`: bytes that may wait to be sent. */
void writer_init(struct writer *w, size_t max);
void writer_done(struct writer *w);

/* --- to the peer --- */
/* What may be sent now; valid until the next call. */
struct slice writer_output(const struct writer *w);
void writer_sent(struct writer *w, size_t len);
/* Position behind the last byte written, and of the first one not sent. */
static inline uint64_t writer_position(const struct writer *w)
{
    return w->sent + buffer_len(&w->out);
}
static inline size_t writer_room(const struct writer *w)
{
    return buffer_room(&w->out);
}

/* --- a command --- */
void writer_begin(struct writer *w);
/* Ends it with CRLF. 0, or the first error: then nothing of it is in the output. */
int writer_end(struct writer *w) ATTR_WARN_UNUSED;
/* The same without CRLF: a part of a command, to be followed by a body or by another part. */
int writer_finish(struct writer *w) ATTR_WARN_UNUSED;
/* Appends the last command, from its begin to what was written last, to `out` with "***" for each secret and without
 * its last CRLF. */
int writer_trace(const struct writer *w, struct buffer *out) ATTR_WARN_UNUSED;
void writer_secret_begin(struct writer *w);
void writer_secret_end(struct writer *w);

/* --- pieces of any protocol --- */
/* Text of the program or of a caller who may say anything: all but CR, LF and NUL. */
int writer_raw(struct writer *w, struct slice text);
int writer_raw_str(struct writer *w, const char *text);
int writer_char(struct writer *w, char c);
int writer_number(struct writer *w, uint64_t n);
int writer_base64(struct writer *w, struct slice bytes);
/* One argument: at least one byte, all of 33 to 126 (POP3 arguments, EHLO domains); 8-bit too when `utf8`. */
int writer_word(struct writer *w, struct slice word);
/* Printable text with spaces: 32 to 126; 8-bit too when `utf8`. May be empty. */
int writer_text(struct writer *w, struct slice text);

/* --- SMTP (RFC 5321, 3461) --- */
/* "<address>"; empty is the null path. Quoted local parts may hold spaces and brackets; controls may not stand anywhere,
 * 8-bit only when `utf8`. */
int writer_path(struct writer *w, struct slice address);
/* esmtp-keyword: a letter or digit, then letters, digits and "-". */
int writer_esmtp_keyword(struct writer *w, struct slice keyword);
/* esmtp-value: 33 to 60, 62 to 126; 8-bit too when `utf8`. */
int writer_esmtp_value(struct writer *w, struct slice value);
/* RFC 3461 xtext; NUL, CR and LF are refused though xtext could carry them. */
int writer_xtext(struct writer *w, struct slice text);

/* --- IMAP (RFC 3501, 9051) --- */
int writer_atom(struct writer *w, struct slice atom);
/* "\Seen" or a keyword. */
int writer_flag(struct writer *w, struct slice flag);
/* A quoted string: no CR, LF, NUL; 8-bit only when `utf8`. */
int writer_quoted(struct writer *w, struct slice text);
/* Atom, quoted string or literal, whichever is the simplest that can hold it. NUL is refused. */
int writer_astring(struct writer *w, struct slice text);
/* As astring, but never an atom: what must not be taken for a keyword. */
int writer_string(struct writer *w, struct slice text);
/* A whole literal. NUL is refused. */
int writer_literal(struct writer *w, struct slice bytes);
/* The announcement of a literal whose bytes follow with writer_body(): "{n}" or "{n+}" and CRLF. *ret_wait: a stop was
 * put behind it. */
int writer_literal_announce(struct writer *w, uint64_t n, bool *ret_wait);
/* "1:5,7,9:*". At least one range. */
int writer_number_set(struct writer *w, const struct number_range *ranges, size_t n);

/* The peer said "+": the output goes on up to the next stop. False: nothing waited for it. */
bool writer_release(struct writer *w);
/* The peer refused: what stands behind the first stop is dropped. */
void writer_abandon(struct writer *w);
/* A stop that was not released yet is part of the output. */
static inline bool writer_is_stopped(const struct writer *w)
{
    return w->stops_released < w->n_stops;
}
/* All that stands before the stop has been sent, so that "+" can be its answer. */
bool writer_waits(const struct writer *w);

/* --- bodies --- */
/* Bytes as they are, as many as there is room for; how many. -ENOMEM. Only outside commands. */
ssize_t writer_body(struct writer *w, const char *bytes, size_t len);

#endif
