/* SPDX-License-Identifier: MIT */
/* The structure of a message: parts as offsets into a source, found in one forward pass. Contents are not copied:
 * they are read again, decoded, from the source when asked for. A part of type message/rfc822 is a leaf; its content
 * can be given to the parser as a source of its own. Nothing that a message contains makes parsing fail: limits and
 * oddities are told in `defects`, and every byte stays reachable through the offsets.
 * A message object belongs to one thread at a time, and has no state beside itself. */
#ifndef POSTERN_MIME_MESSAGE_H
#define POSTERN_MIME_MESSAGE_H

#include "mime_header.h"
#include "mime_source.h"
#include "mime_transfer.h"

#define MIME_DEPTH_MAX 100
#define MIME_PARTS_MAX 10000
#define MIME_MESSAGE_MEMORY (32u << 20) /* of the part tree and what is decoded for it */
#define MIME_MESSAGE_RESERVE                                                                                           \
    (16u << 20) /* … of which this is kept for the tree itself: parts whose content fields do                        \
                 * not fit into the rest are taken as plain text, with a defect */

struct mime_part {
    struct mime_part *parent, *children, *last_child, *next; /* next: sibling */
    size_t n_children;
    struct mime_part *following; /* in message order, over the whole tree */
    struct slice number; /* IMAP section number, "1.2"; a message that is no multipart is "1", its multipart root "" */
    struct slice type, subtype; /* lower case; what applies when none is given, or is unusable, is filled in */
    struct mime_params params;
    struct slice disposition; /* lower case; empty: none */
    struct mime_params disposition_params;
    struct slice filename;      /* data NULL: none */
    struct slice content_id;    /* without brackets; data NULL: none */
    struct slice charset;       /* as declared; data NULL: none */
    struct slice encoding_name; /* lower case; as declared; "7bit" where none is */
    enum mime_encoding encoding;
    uint64_t header_offset;
    uint32_t header_size;                /* without the empty line behind it; where it is over the limits, what is within */
    uint64_t body_offset, body_size;     /* encoded; the line end before a boundary belongs to the boundary */
    uint64_t decoded_size;               /* for whoever reads the contents: the parser does not know it */
    bool is_multipart;                   /* is taken apart: has children */
    bool in_text, in_html;               /* of RFC 8621's lists */
    bool is_attachment;                  /* belongs into the contract's list of attachments */
    bool is_inline;                      /* … though it is in textBody or htmlBody */
};

struct mime_message {
    struct mime_source source;
    struct arena arena;
    struct mime_defects defects;
    struct mime_decoder decoder; /* for more decoding that ends up in the same arena */
    struct mime_part *root;
    size_t n_parts;
    uint64_t header_offset; /* behind a leading "From " line of mbox */
};

/* *ret is untouched on failure: -ENOMEM or an errno of reading. The source is copied as a value. */
int mime_message_parse(const struct mime_source *src, struct mime_message **ret) ATTR_WARN_UNUSED;
void mime_message_free(struct mime_message *m);

/* The raw header of a part; within MIME_HEADER_BYTES_MAX and MIME_HEADER_FIELDS_MAX (a defect tells of more). The source's own memory, or a
 * copy in `arena`. -ENOMEM, or an errno of reading. */
int mime_message_header(const struct mime_message *m, const struct mime_part *part, struct arena *arena,
                        struct slice *ret) ATTR_WARN_UNUSED;
/* The part with this section number, or NULL. */
struct mime_part *mime_message_find(const struct mime_message *m, struct slice number);

/* The content of a leaf, to be pulled in pieces: transfer decoding only; text as UTF-8 without NUL, line ends LF; or such
 * text with its paragraphs put together where it says format=flowed. */
struct mime_part_reader;
enum mime_read_mode { MIME_READ_BYTES, MIME_READ_TEXT, MIME_READ_UNFOLDED };
/* NULL when out of memory. The message outlives the reader. */
struct mime_part_reader *mime_part_reader_new(struct mime_message *m, const struct mime_part *part,
                                              enum mime_read_mode mode);
void mime_part_reader_free(struct mime_part_reader *r);
/* A next piece, borrowed until the next call; empty at the end. Defects of the content are added to the message's when
 * they are met. 0, -ENOMEM, or an errno of reading. */
int mime_part_read(struct mime_part_reader *r, struct slice *ret) ATTR_WARN_UNUSED;

/* Before the first read, of a text: leaves out up to `max_blocks` files that stand in it as uuencode or yEnc (mime_uu.h
 * gives them, from the bytes). -ENOMEM. */
int mime_part_reader_leave_blocks_out(struct mime_part_reader *r, size_t max_blocks) ATTR_WARN_UNUSED;
/* Of these, how many it has met. */
size_t mime_part_reader_blocks(const struct mime_part_reader *r);
/* Remembers what is odd in a part's content. */
void mime_part_defect(struct mime_decoder *d, const struct mime_part *part, const char *what) ATTR_COLD;

/* Bytes that the transfer decoding has given so far: at the end, the content's size. */
uint64_t mime_part_reader_count(const struct mime_part_reader *r);

/* Any run of bytes in a known encoding (an IMAP section, say), without a message. */
struct mime_part_reader *mime_content_reader_new(struct mime_decoder *d, const struct mime_source *src,
                                                 enum mime_encoding encoding, struct slice charset,
                                                 enum mime_read_mode mode);

#endif
