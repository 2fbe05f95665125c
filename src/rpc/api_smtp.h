/* SPDX-License-Identifier: MIT */
/* Parameters of smtp.*. Ownership: rpc_types.h. */
#ifndef POSTERN_API_SMTP_H
#define POSTERN_API_SMTP_H

#include "api_mail.h"
#include "rpc_method.h"

enum api_by { API_BY_RETURN, API_BY_NOTIFY };
enum api_ret { API_RET_FULL, API_RET_HDRS };

struct api_envelope {
    struct slice from;         /* data NULL: from the message; "": the null sender */
    struct rpc_strings to;     /* none: from the message */
    struct rpc_strings notify; /* of NEVER, SUCCESS, FAILURE, DELAY, in any case of letters */
    int ret;                   /* enum api_ret or RPC_ENUM_ABSENT */
    struct slice envid;
    bool requiretls;
    int64_t deliver_by;  /* seconds, or RPC_ABSENT */
    int deliver_by_mode; /* enum api_by */
    int64_t mt_priority; /* or RPC_ABSENT */
    struct rpc_map orcpt; /* recipient to one value */
};

/* One mail to send: `message` or `raw`. */
struct api_smtp_item {
    struct api_message *message; /* NULL: raw */
    struct rpc_content raw;
    struct api_envelope *envelope; /* may be NULL */
    struct slice idempotency_key;  /* 1 to 128 bytes, or data NULL */
};

struct api_smtp_send_params {
    struct rpc_common common;
    struct api_smtp_item item;   /* neither message nor raw: see messages, or in a session what was added */
    struct rpc_objects messages; /* of struct api_smtp_item; at least one where given */
};

struct api_smtp_add_message_params {
    struct rpc_common common;
    struct api_smtp_item item;
};

struct api_smtp_sendmail_params {
    struct rpc_common common;
    struct slice from; /* "": the null sender */
    struct rpc_strings to;
    struct rpc_content raw;
};

struct api_smtp_verify_params {
    struct rpc_common common;
    struct slice address;
};

/* --- step by step, in sessions --- */

/* smtp.ehlo, smtp.helo (our name), smtp.vrfy, smtp.expn (address), smtp.help (topic), smtp.docmd (the line), smtp.has_extn (its
 * name), smtp.send_authentication_data (base64). */
struct api_smtp_text_params {
    struct rpc_common common;
    struct slice text; /* data NULL: left out */
};

enum api_body_type { API_BODY_7BIT, API_BODY_8BITMIME, API_BODY_BINARYMIME };

struct api_smtp_mail_params {
    struct rpc_common common;
    struct slice from; /* "": the null sender */
    int64_t size;      /* or RPC_ABSENT */
    int body;          /* enum api_body_type or RPC_ENUM_ABSENT */
    bool smtputf8;
    int ret; /* enum api_ret or RPC_ENUM_ABSENT */
    struct slice envid;
    bool requiretls;
    int64_t deliver_by;  /* or RPC_ABSENT */
    int deliver_by_mode; /* enum api_by */
    int64_t mt_priority; /* or RPC_ABSENT */
};

struct api_smtp_rcpt_params {
    struct rpc_common common;
    struct slice to;
    struct rpc_strings notify;
    struct slice orcpt;
};

struct api_smtp_data_params {
    struct rpc_common common;
    struct rpc_content raw;
};

struct api_smtp_login_params {
    struct rpc_common common;
    struct slice username, password;
};

struct api_smtp_authenticate_params {
    struct rpc_common common;
    struct slice mechanism, secret;
};

struct api_smtp_connect_params {
    struct rpc_common common;
    struct slice host;
    int64_t port; /* or RPC_ABSENT */
};

/* smtp.open, imap.open, pop3.open */
struct api_open_params {
    struct rpc_common common;
    bool login;
    bool readonly; /* imap.open only */
    bool manual;   /* smtp.open only */
};

#endif
