/* SPDX-License-Identifier: MIT */
/* A finished message on its way to a server: what its header and lines are like (one pass, then known), and its
 * bytes in the form that may be sent: bare CR and LF as CRLF, Bcc and Resent-Bcc removed, given fields put in front.
 * Nothing else is changed. Dot-stuffing is the protocol's matter. Constant memory. */
#ifndef POSTERN_MIME_RAW_H
#define POSTERN_MIME_RAW_H

#include "mime_header.h"
#include "mime_source.h"

/* What mime_raw_scan() finds. Texts and lists live in the decoder's arena. */
struct mime_raw_info {
    bool keeps_bcc;  /* mime_raw_scan_stored(): Bcc and Resent-Bcc stay */
    bool has_header; /* there is at least one field */
    bool has_date;
    bool has_message_id;
    struct slice message_id; /* without brackets; empty: none or unusable */
    bool header_8bit;        /* bytes beyond ASCII in the header: needs SMTPUTF8 */
    bool body_8bit;          /* bytes beyond ASCII in the body: needs 8BITMIME */
    bool has_nul;            /* needs BINARYMIME */
    bool open_end;           /* its last line has no end */
    uint64_t clean_from;     /* offset in the source from which on all lines end with CRLF; UINT64_MAX: none is known */
    size_t longest_line;     /* in bytes, without its line end; over 998 needs BINARYMIME */
    uint64_t size;           /* of what mime_raw_read() gives without a prefix; one adds its own length, and 2 where
                              * there is no header */
    /* Envelope: of the first block of Resent- fields if there is one, else of the ordinary fields. */
    struct slice from;     /* Resent-Sender, Resent-From, Sender or From; data NULL: none */
    struct slice *authors; /* all addresses of From and Sender, Resent- forms too, wherever they occur: who it claims
                            * to be from */
    size_t n_authors;
    struct slice header_from; /* first address of From; data NULL: none */
    struct slice header_sender;
    struct slice *recipients; /* To, Cc and Bcc, without repetitions */
    size_t n_recipients;
};

/* Reads the whole source. Anything is accepted; -ENOMEM or an errno of reading. */
int mime_raw_scan(struct mime_decoder *d, const struct mime_source *src, struct mime_raw_info *ret) ATTR_WARN_UNUSED;
/* The same for a message that is stored, not sent: a reader that knows this keeps Bcc and Resent-Bcc. */
int mime_raw_scan_stored(struct mime_decoder *d, const struct mime_source *src, struct mime_raw_info *ret) ATTR_WARN_UNUSED;

/* The bytes to send, to be pulled. */
struct mime_raw_reader;

/* `prefix`: complete fields with CRLF to stand in front (Date, Message-ID), may be empty; copied. Where the source has
 * no header at all, an empty line follows the prefix. A "From " line of mbox at the start stays in front of it. NULL
 * when out of memory. The source's memory or descriptor must outlive the reader. */
struct mime_raw_reader *mime_raw_reader_new(const struct mime_source *src, struct slice prefix);
void mime_raw_reader_free(struct mime_raw_reader *r);
/* Fills `buf` as far as there are bytes; *ret_len is 0 only at the end (when len > 0). 0, -ENOMEM, or an errno of
 * reading. */
int mime_raw_read(struct mime_raw_reader *r, char *buf, size_t len, size_t *ret_len) ATTR_WARN_UNUSED;
/* The same without a copy where that can be: what is next, at most 64 kB, valid until the next call; empty at the end. */
int mime_raw_next(struct mime_raw_reader *r, struct slice *ret) ATTR_WARN_UNUSED;
/* What mime_raw_scan() has found out about the same source: what needs no change is not looked at again. */
void mime_raw_reader_knows(struct mime_raw_reader *r, const struct mime_raw_info *info);
/* From the start again, for another attempt. */
void mime_raw_rewind(struct mime_raw_reader *r);

#endif
