/* SPDX-License-Identifier: MIT */
/* Parameters of mail.*, and the message object that smtp.send and imap.append share. Ownership: rpc_types.h. */
#ifndef POSTERN_API_MAIL_H
#define POSTERN_API_MAIL_H

#include "rpc_method.h"

enum api_disposition { API_DISPOSITION_INLINE, API_DISPOSITION_ATTACHMENT };
enum api_priority { API_PRIORITY_HIGH, API_PRIORITY_NORMAL, API_PRIORITY_LOW };
enum api_transport { API_TRANSPORT_7BIT, API_TRANSPORT_8BIT, API_TRANSPORT_BINARY };

struct api_attachment {
    struct rpc_content content; /* required */
    struct slice filename;
    struct slice content_type;
    struct slice content_id; /* without angle brackets */
    int disposition;         /* enum api_disposition or RPC_ENUM_ABSENT */
};

/* Every member is optional. Strings that become header fields hold no CR, LF or NUL; `text` and `html` no NUL. */
struct api_message {
    struct rpc_addresses from, sender, to, cc, bcc, reply_to;
    struct slice subject;
    struct slice text, html, calendar;
    struct slice calendar_method;
    struct rpc_objects attachments; /* of struct api_attachment */
    struct rpc_map headers;         /* values: strings */
    struct slice date;              /* ISO 8601, not checked yet */
    struct slice message_id;
    struct rpc_strings in_reply_to, references;
    struct rpc_strings list_unsubscribe;
    bool one_click;
    int priority; /* enum api_priority or RPC_ENUM_ABSENT */
};

struct api_mail_parse_params {
    struct rpc_common common;
    struct rpc_content raw;
    bool attachments;
    bool flowed;
    bool encoded_text;
    bool tnef;
};

struct api_mail_build_params {
    struct rpc_common common;
    struct api_message *message; /* never NULL */
    int transport;               /* enum api_transport */
    bool utf8;
};

extern const struct rpc_object api_message_object;
/* Of results: what several areas answer. */
extern const struct rpc_object api_address_result; /* {name, address} or {group, members} */
extern const struct rpc_object api_reply_result;   /* what a server said */

#endif
