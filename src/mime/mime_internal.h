/* SPDX-License-Identifier: MIT */
/* What the files of this room share, and nobody else needs. */
#ifndef POSTERN_MIME_INTERNAL_H
#define POSTERN_MIME_INTERNAL_H

#include "mime_charset.h"
#include "mime_header.h"

#define MIME_TEXT_MAX (64u << 20) /* of one decoded value; only a bound for the scratch buffers */

/* Appends `bytes` in `charset` (NULL: undeclared) to the decoder's text as UTF-8 without NUL; `header`: control
 * characters but HT become spaces. */
int mime_text_append(struct mime_decoder *d, const struct mime_charset *charset, struct slice bytes,
                     bool header) ATTR_WARN_UNUSED;
/* Appends a raw header value (folds and encoded words in it) to the decoder's text. */
int mime_text_append_words(struct mime_decoder *d, struct slice raw) ATTR_WARN_UNUSED;
/* The decoder's text, trimmed, as a copy in the arena. */
int mime_text_take(struct mime_decoder *d, struct slice *ret) ATTR_WARN_UNUSED;

/* Length of the encoded word at the front of `s`, 0 when there is none. */
size_t mime_word_len(struct slice s);

/* Decodes %XX of RFC 2231 in place of a copy in the decoder's bytes. */
int mime_percent_decode(struct mime_decoder *d, struct slice s) ATTR_WARN_UNUSED;

/* Behind a comment that begins at s.data[i] == '(': nested ones and quoted pairs are honoured. s.len when it is not
 * closed. */
size_t mime_skip_comment(struct slice s, size_t i);
struct mime_message;
/* Sets the parts' in_text, in_html, is_attachment and is_inline. */
void mime_message_sort(struct mime_message *m);

/* Behind white space, line ends and comments. */
size_t mime_skip_cfws(struct slice s, size_t i);

static inline int mime_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static inline bool mime_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

#endif
