/* SPDX-License-Identifier: MIT */
/* Charsets as mail names them, and a converter to UTF-8 that takes its input in pieces. Its output is valid UTF-8
 * without NUL whatever comes in. Single-byte charsets by tables of our own, the others by iconv. */
#ifndef POSTERN_MIME_CHARSET_H
#define POSTERN_MIME_CHARSET_H

#include "mime_text.h"

struct mime_charset_table {
    const char *name;
    uint16_t upper[128];
};
extern const struct mime_charset_table mime_charset_tables[];
extern const size_t mime_charset_n_tables;

enum mime_charset_kind {
    MIME_CHARSET_UNDECLARED, /* none, or US-ASCII: what goes beyond ASCII must be guessed */
    MIME_CHARSET_UNKNOWN,    /* a name that says nothing to us; guessed as well */
    MIME_CHARSET_UTF8,
    MIME_CHARSET_TABLE,
    MIME_CHARSET_ICONV,
    MIME_CHARSET_JIS, /* ISO-2022-JP and its relatives: iconv behind a step of our own */
};

enum mime_jis_set { MIME_JIS_ASCII, MIME_JIS_KANA, MIME_JIS_X0208, MIME_JIS_X0212 };

struct mime_charset {
    enum mime_charset_kind kind;
    const uint16_t *upper;  /* MIME_CHARSET_TABLE */
    const char *iconv_name; /* MIME_CHARSET_ICONV and _JIS: static */
};

/* What the name stands for. */
void mime_charset_find(struct slice name, struct mime_charset *ret);
/* What bytes of no known charset are, once all are seen (or enough of them): UTF-8 if `valid_utf8`, else
 * windows-1252. */
void mime_charset_guess(bool valid_utf8, struct mime_charset *ret);

/* Most bytes of UTF-8 that `n` bytes of any charset make, those held back included. */
static inline size_t mime_convert_max(size_t n)
{
    return n * 3 + 64;
}

struct mime_conversion {
    struct mime_charset charset;
    iconv_t cd;       /* borrowed from the decoder; reset at the start of a conversion */
    enum mime_jis_set jis_set; /* MIME_CHARSET_JIS: what the last escape chose */
    char pending[16]; /* an unfinished character */
    unsigned n_pending;
    bool damaged; /* something did not convert */
    bool had_nul;
};

/* For MIME_CHARSET_UNDECLARED and _UNKNOWN the caller has guessed before; they convert like UTF-8. -ENOMEM. The
 * conversion is over before the same decoder starts another one in the same charset. */
int mime_conversion_init(struct mime_conversion *c, struct mime_decoder *d,
                         const struct mime_charset *charset) ATTR_WARN_UNUSED;
/* Converts `in` to `out` (room for mime_convert_max(in.len)); returns the bytes written. */
size_t mime_conversion_feed(struct mime_conversion *c, struct slice in, char *out);
/* What is left at the end, as U+FFFD. Room for mime_convert_max(0). */
size_t mime_conversion_finish(struct mime_conversion *c, char *out);

#endif
