/* SPDX-License-Identifier: MIT */
/* What mail systems say about a message: delivery reports (RFC 3464, 6533), read receipts (RFC 8098), complaints
 * (RFC 5965). A report is a part of a media type of its own, wherever it stands; its content is groups of fields. */
#ifndef POSTERN_MIME_REPORT_H
#define POSTERN_MIME_REPORT_H

#include "mime_message.h"

#define MIME_REPORT_BYTES_MAX 1048576
#define MIME_REPORT_RECIPIENTS_MAX 10000

enum mime_report_kind { MIME_REPORT_DELIVERY, MIME_REPORT_DISPOSITION, MIME_REPORT_FEEDBACK };

/* Texts are decoded; data NULL: it does not say. The type in front of an address or a name ("rfc822;") is left away. */
struct mime_report_recipient {
    struct mime_report_recipient *next;
    struct slice final_recipient, original_recipient;
    struct slice action; /* lower case: "failed", "delayed", "delivered", "relayed", "expanded" */
    struct slice status; /* "5.1.1" */
    struct slice remote_mta;
    struct slice diagnostic;
    struct slice disposition; /* of a read receipt, lower case: "automatic-action/mdn-sent-automatically; displayed" */
    struct slice fields;      /* raw, all of this recipient's */
};

struct mime_report {
    enum mime_report_kind kind;
    const struct mime_part *part;
    const struct mime_part *original; /* the message it is about, or its header; NULL: not enclosed */
    struct slice original_message_id; /* data NULL: not known */
    struct slice fields;              /* raw, those about the whole message */
    struct mime_report_recipient *recipients;
};

/* *ret is NULL where the message holds no report. It lives in the decoder's arena. -ENOMEM, or an errno of reading. */
int mime_report_find(struct mime_message *m, struct mime_report **ret) ATTR_WARN_UNUSED;
/* "delivery-status", "disposition-notification", "feedback-report" */
const char *mime_report_kind_name(enum mime_report_kind kind);

#endif
