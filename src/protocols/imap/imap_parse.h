/* SPDX-License-Identifier: MIT */
/* The grammar of IMAP's answers (RFC 3501 and 9051 section 9), on slices. The text is that of one response as it stood on
 * the wire, literals included ("{5}\r\nhello" in place); nothing is copied, and results are slices of the text.
 * Pure functions, linear, never recursive. What is not understood is -EBADMSG; what was read up to there stays. */
#ifndef POSTERN_IMAP_PARSE_H
#define POSTERN_IMAP_PARSE_H

#include "buffer.h"
#include "macros.h"
#include "slice.h"

#define IMAP_DEPTH_MAX 100 /* parentheses within parentheses */

enum imap_value_type { IMAP_NIL = 0, IMAP_ATOM, IMAP_QUOTED, IMAP_LITERAL, IMAP_LIST };

/* One value. A list is one value: the bytes between its parentheses. */
struct imap_value {
    enum imap_value_type type;
    struct slice bytes; /* without quotes, braces or parentheses */
    bool escaped;       /* quoted, and a backslash is in it: see imap_value_text() */
};

/* What a server did not write as the grammar has it, as bits. SHAPE: something is missing or of the wrong type, so that what
 * was read of the rest cannot be trusted either. The others are understood all the same. */
enum imap_odd {
    IMAP_ODD_SHAPE = 1 << 0,
    IMAP_ODD_NUMBER = 1 << 1,      /* negative, which counts as not told, or with a fraction or an exponent */
    IMAP_ODD_DISPOSITION = 1 << 2, /* a word where a list belongs */
    IMAP_ODD_NO_PARTS = 1 << 3,    /* a multipart without parts */
    IMAP_ODD_NO_MESSAGE = 1 << 4,  /* a message/rfc822 without envelope or body */
    IMAP_ODD_PARAM = 1 << 5,       /* a parameter whose value is NIL */
    IMAP_ODD_ADDRESS = 1 << 6,     /* in a list of addresses, something that is none */
    IMAP_ODD_SHORT = 1 << 7,       /* an envelope without its last fields */
};

/* Takes the next value off *rest, spaces before it included. 1; 0 at the end; -EBADMSG: something that is no value (a
 * closing parenthesis, an open string): *rest stays there. An atom with brackets ("BODY[HEADER.FIELDS (A B)]<0>") is one
 * atom. Atoms are not judged by RFC's character classes: servers are not either. */
int imap_value_next(struct slice *rest, struct imap_value *ret) ATTR_WARN_UNUSED;

/* The same flat: a parenthesis is a token of its own. */
enum imap_token_type { IMAP_TOKEN_END = 0, IMAP_TOKEN_OPEN, IMAP_TOKEN_CLOSE, IMAP_TOKEN_VALUE };
int imap_token_next(struct slice *rest, enum imap_token_type *ret_type, struct imap_value *ret) ATTR_WARN_UNUSED;

/* The bytes that a value stands for: its own, or unescaped ones, appended to `scratch` (valid until that changes).
 * NIL gives data NULL. -ENOMEM, -EMSGSIZE. */
int imap_value_text(const struct imap_value *v, struct buffer *scratch, struct slice *ret) ATTR_WARN_UNUSED;
/* An atom (or a string, as some servers send it) that is a number of at most `max`. */
bool imap_value_number(const struct imap_value *v, uint64_t max, uint64_t *ret);
/* A count of bytes, lines or changes, however it is written: "12", "12.0", "1.2e+01". False: it says nothing; *odd says
 * whether as a negative number (IMAP_ODD_NUMBER) or because it is none (IMAP_ODD_SHAPE). */
bool imap_value_count(const struct imap_value *v, uint64_t max, uint64_t *ret, unsigned *odd);
static inline bool imap_value_is_string(const struct imap_value *v)
{
    return v->type != IMAP_NIL && v->type != IMAP_LIST;
}

void imap_skip_spaces(struct slice *rest);
/* The run of bytes up to the next space, which is taken too. */
struct slice imap_word_next(struct slice *rest);
/* A number at the front of *rest. */
bool imap_number_next(struct slice *rest, uint64_t max, uint64_t *ret);

/* Whether the text ends with the announcement of a literal, "{n}", "{n+}" or "~{n}": its size in *ret and the length of
 * the announcement in *ret_len. -ERANGE: an announcement whose number is larger than `max` or no number. */
int imap_literal_at_end(struct slice text, uint64_t max, uint64_t *ret, size_t *ret_len) ATTR_WARN_UNUSED;

#endif
