/* SPDX-License-Identifier: MIT */
/* The composer: from a message in fields to its bytes, streamed. The result depends on nothing but what is given
 * here: date, message id and seed come from the caller. Contents of attachments are read from their sources while
 * the bytes are pulled, so that their size does not matter.
 * A composer belongs to one thread at a time. Slices and descriptors given in the message outlive it. */
#ifndef POSTERN_MIME_COMPOSE_H
#define POSTERN_MIME_COMPOSE_H

#include "fault.h"
#include "mime_header.h"
#include "mime_source.h"

enum mime_transport { MIME_TRANSPORT_7BIT, MIME_TRANSPORT_8BIT, MIME_TRANSPORT_BINARY };
enum mime_priority { MIME_PRIORITY_NONE, MIME_PRIORITY_HIGH, MIME_PRIORITY_NORMAL, MIME_PRIORITY_LOW };
enum mime_disposition { MIME_DISPOSITION_ATTACHMENT, MIME_DISPOSITION_INLINE };

struct mime_attachment {
    struct mime_source content;
    struct slice filename;     /* UTF-8; data NULL: none */
    struct slice content_type; /* "image/png", parameters allowed; data NULL: from the file name */
    bool type_of_name;         /* content_type is what the name's ending stands for: a text's charset is said with it */
    struct slice content_id; /* without brackets; data NULL: none. With html and inline: goes into multipart/related */
    enum mime_disposition disposition;
};

struct mime_header_value {
    struct slice name, value; /* UTF-8 */
};

/* What to compose. Absent: NULL, data NULL or 0. */
struct mime_outline {
    const struct mime_address *from, *sender, *to, *cc, *bcc, *reply_to;
    struct slice subject;
    struct slice text, html; /* UTF-8, any line ends */
    struct slice calendar;   /* likewise, iCalendar: the last alternative, for programs that know what to do with it */
    struct slice method;     /* of the calendar (RFC 6047), "REQUEST"; data NULL: it is not said */
    const struct mime_attachment *attachments;
    size_t n_attachments;
    const struct slice *unsubscribe; /* URIs where the list can be left (RFC 2369) */
    size_t n_unsubscribe;
    bool one_click; /* one of them, an https one, takes a POST for it (RFC 8058) */
    enum mime_priority priority;
    const struct mime_header_value *headers; /* further fields, in this order */
    size_t n_headers;
    bool has_date;
    struct mime_date date;
    struct slice message_id; /* without brackets, like the next two */
    const struct slice *in_reply_to;
    size_t n_in_reply_to;
    const struct slice *references;
    size_t n_references;
    enum mime_transport transport;
    bool utf8;     /* header in UTF-8 (RFC 6532) instead of encoded words */
    uint64_t seed; /* of the boundaries */
};

struct mime_composer;

/* Checks, plans and measures (reads each attachment once). -EINVAL with a fault of kind FAULT_INVALID_PARAMS that names
 * the field when something may not stand where it stands; -ENOMEM; an errno of reading, with a fault. */
int mime_composer_new(const struct mime_outline *outline, struct mime_composer **ret,
                      struct fault *fault) ATTR_WARN_UNUSED;
void mime_composer_free(struct mime_composer *c);
/* Of the whole message. */
uint64_t mime_composer_size(const struct mime_composer *c);
/* What the result needs of the server. */
bool mime_composer_needs_utf8(const struct mime_composer *c);   /* header or an address beyond ASCII: SMTPUTF8 */
bool mime_composer_needs_8bit(const struct mime_composer *c);   /* 8BITMIME */
bool mime_composer_needs_binary(const struct mime_composer *c); /* BINARYMIME */
/* Whether the same outline would give other bytes for that transport. */
bool mime_composer_differs(const struct mime_composer *c, enum mime_transport transport);
/* Fills `buf` as far as there are bytes; *ret_len is 0 only at the end (when len > 0). 0, -ENOMEM or an errno of reading;
 * -ESTALE when an attachment has become shorter than it was. */
int mime_composer_read(struct mime_composer *c, char *buf, size_t len, size_t *ret_len) ATTR_WARN_UNUSED;
void mime_composer_rewind(struct mime_composer *c);

/* Whether the composer knows what the name's ending stands for. */
bool mime_type_is_known(struct slice filename);

/* Envelope: *ret_from is Sender's or From's first address (data NULL: none), recipients are To, Cc and Bcc without
 * repetitions. -ENOMEM. */
int mime_outline_envelope(const struct mime_outline *outline, struct arena *arena, struct slice *ret_from,
                          struct slice **ret_recipients, size_t *ret_n) ATTR_WARN_UNUSED;

#endif
