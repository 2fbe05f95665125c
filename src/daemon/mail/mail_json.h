/* SPDX-License-Identifier: MIT */
/* Parsed messages as the contract's JSON: header fields, addresses, the structure. What is decoded for it lives in
 * memory of its own until it is written, so that ten thousand parts do not add up. Loop thread only. */
#ifndef POSTERN_MAIL_JSON_H
#define POSTERN_MAIL_JSON_H

#include "json_writer.h"
#include "macros.h"
#include "mime_message.h"

/* `"headers": {…}` of a part: lower-case names to arrays of decoded values. -ENOMEM, or an errno of reading. */
int mail_write_headers(struct json_writer *w, struct mime_message *m, const struct mime_part *part) ATTR_WARN_UNUSED;
/* The members from `subject` to `references`. The same errors. */
int mail_write_known(struct json_writer *w, struct mime_message *m) ATTR_WARN_UNUSED;
/* `"content_type": "type/subtype"` */
void mail_write_content_type(struct json_writer *w, const struct mime_part *p);
/* `"report": {…}`, null where it is none. The same errors. */
int mail_write_report(struct json_writer *w, struct mime_message *m) ATTR_WARN_UNUSED;
/* The tree of parts as one value; sizes are the parts' decoded_size. */
void mail_write_structure(struct json_writer *w, const struct mime_part *p);
/* Null where the text is empty. */
void mail_write_member_or_null(struct json_writer *w, const char *key, struct slice s);

#endif
