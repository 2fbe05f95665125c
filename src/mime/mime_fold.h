/* SPDX-License-Identifier: MIT */
/* Writes header fields: folded at 78, never over 998, encoded words (RFC 2047) and extended parameters (RFC 2231) only
 * where needed. Internal to the room. Functions return 0 or -ENOMEM; what may not stand in a header has been refused
 * before (mime_text_is_line() and the like). */
#ifndef POSTERN_MIME_FOLD_H
#define POSTERN_MIME_FOLD_H

#include "buffer.h"
#include "mime_header.h"

#define MIME_FOLD_AT 78
#define MIME_LINE_MAX 998

struct mime_fold {
    struct buffer *out;
    size_t column;
    bool utf8;      /* RFC 6532: no encoding for what is beyond ASCII */
    bool used_8bit; /* something beyond ASCII was written as it is */
};

int mime_fold_begin(struct mime_fold *f, const char *name) ATTR_WARN_UNUSED;
int mime_fold_begin_slice(struct mime_fold *f, struct slice name) ATTR_WARN_UNUSED;
/* Something that must not be broken, with a space or a fold in front. */
int mime_fold_token(struct mime_fold *f, struct slice token) ATTR_WARN_UNUSED;
/* The same directly behind what stands there. */
int mime_fold_mark(struct mime_fold *f, const char *mark) ATTR_WARN_UNUSED;
int mime_fold_text(struct mime_fold *f, struct slice text) ATTR_WARN_UNUSED;
int mime_fold_phrase(struct mime_fold *f, struct slice text) ATTR_WARN_UNUSED;
int mime_fold_addresses(struct mime_fold *f, const struct mime_address *list) ATTR_WARN_UNUSED;
/* `; name=value` in the form that the value needs. */
int mime_fold_param(struct mime_fold *f, const char *name, struct slice value) ATTR_WARN_UNUSED;
int mime_fold_end(struct mime_fold *f) ATTR_WARN_UNUSED;

/* Valid UTF-8 without CR, LF, NUL and other controls but HT. */
bool mime_text_is_line(struct slice s);
/* Printable ASCII without space, as a field name (without ":") or a message id (without "<" and ">"). */
bool mime_text_is_field_name(struct slice s);
bool mime_text_is_id(struct slice s);
/* An address that can be written: no controls, no space or "<>,;" outside a quoted local part. */
bool mime_text_is_address(struct slice s);
bool mime_text_is_ascii(struct slice s);

#endif
