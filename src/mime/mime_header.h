/* SPDX-License-Identifier: MIT */
/* Header fields and their values (RFC 5322 with its obsolete forms, 2045, 2047, 2231, 6532, and what is seen in
 * the wild). The input is never refused: what cannot be understood gives an empty result and a defect. Every function
 * is linear in its input. Failures are -ENOMEM only, unless it says otherwise. Results live in the decoder's arena. */
#ifndef POSTERN_MIME_HEADER_H
#define POSTERN_MIME_HEADER_H

#include "mime_text.h"

#define MIME_HEADER_FIELDS_MAX 10000
#define MIME_HEADER_BYTES_MAX 1048576
#define MIME_PARAM_SEGMENTS_MAX 100 /* RFC 2231 continuations of one value */
#define MIME_PARAMS_MAX 200         /* of one field */
#define MIME_ADDRESSES_MAX 50000    /* of one field */

/* A field as it stands: slices of the header. */
struct mime_field {
    struct slice name;  /* without the colon and the space before it */
    struct slice value; /* behind the colon, folded, without the last line end */
    struct slice line;  /* all of it, line end included */
};

/* Takes the next field off the front of *rest, which holds a header or a part of it. False at its end, or at the empty
 * line that ends it; *rest then begins at that line. A line that is no field is given with an empty name. */
bool mime_field_next(struct slice *rest, struct mime_field *ret);

/* An address, or a group of them. */
struct mime_address {
    struct mime_address *next;
    bool is_group;
    struct slice name;            /* display name or the group's name; data NULL: none */
    struct slice address;         /* "local@domain", UTF-8; empty for a group */
    struct mime_address *members; /* of a group */
};

/* The value of From, To and the like. *ret is NULL when there is none. */
int mime_parse_addresses(struct mime_decoder *d, struct slice raw, struct mime_address **ret) ATTR_WARN_UNUSED;
/* Number of mailboxes, those in groups included. */
size_t mime_address_count(const struct mime_address *list);

/* Message-ID, In-Reply-To, References: the ids without brackets, in order. */
int mime_parse_message_ids(struct mime_decoder *d, struct slice raw, struct slice **ret_ids,
                           size_t *ret_n) ATTR_WARN_UNUSED;

struct mime_date {
    int year, month, day, hour, minute, second; /* month and day from 1; second up to 60 */
    int offset_minutes;                         /* of the zone, east positive */
};
#define MIME_DATE_MAX 48 /* enough for each text form, NUL included */

/* Date and the like, and IMAP's INTERNALDATE. False when it is no usable date. */
bool mime_parse_date(struct slice raw, struct mime_date *ret);
/* ISO 8601 with its offset: "2026-01-02T03:04:05+01:00", "…Z", or a date alone; fractions are dropped. */
bool mime_parse_iso_date(struct slice text, struct mime_date *ret);
/* "2026-01-02T03:04:05+01:00"; returns its length. */
size_t mime_format_iso_date(const struct mime_date *date, char out[MIME_DATE_MAX]);
/* "Fri, 02 Jan 2026 03:04:05 +0100"; returns its length. */
size_t mime_format_date(const struct mime_date *date, char out[MIME_DATE_MAX]);
int64_t mime_date_to_unix(const struct mime_date *date);
void mime_date_from_unix(int64_t seconds, int offset_minutes, struct mime_date *ret);

/* Parameters of Content-Type and Content-Disposition, decoded. */
struct mime_param {
    struct slice name; /* lower case, without RFC 2231's marks */
    struct slice value;
};
struct mime_params {
    struct mime_param *list;
    size_t n;
};

/* From pairs as IMAP's BODYSTRUCTURE gives them: joins and decodes RFC 2231's, decodes encoded words. */
int mime_decode_params(struct mime_decoder *d, const struct mime_param *pairs, size_t n,
                       struct mime_params *ret) ATTR_WARN_UNUSED;
/* The value of `name` (lower case), or NULL. */
const struct slice *mime_param_get(const struct mime_params *params, struct slice name);

struct mime_content_type {
    struct slice type, subtype; /* lower case; both empty when unusable */
    struct mime_params params;
};
int mime_parse_content_type(struct mime_decoder *d, struct slice raw, struct mime_content_type *ret) ATTR_WARN_UNUSED;
/* Content-Disposition: *ret_disposition in lower case, empty when unusable. */
int mime_parse_disposition(struct mime_decoder *d, struct slice raw, struct slice *ret_disposition,
                           struct mime_params *ret_params) ATTR_WARN_UNUSED;

#endif
