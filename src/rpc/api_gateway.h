/* SPDX-License-Identifier: MIT */
/* Parameters of gateway.*, account.* and rpc.*. Ownership: rpc_types.h. */
#ifndef POSTERN_API_GATEWAY_H
#define POSTERN_API_GATEWAY_H

#include "rpc_method.h"

/* gateway.pause, gateway.resume, account.test name their account in common.account. */
enum api_protocol { API_PROTOCOL_SMTP, API_PROTOCOL_IMAP, API_PROTOCOL_POP3 };

struct api_gateway_pause_params {
    struct rpc_common common;
};

struct api_gateway_close_params {
    struct rpc_common common;
    struct slice session; /* the name that gateway.sessions shows */
};

struct api_account_test_params {
    struct rpc_common common;
    int protocol; /* enum api_protocol, or RPC_ENUM_ABSENT: all that the account has */
};

struct api_rpc_cancel_params {
    struct rpc_common common;
    struct slice id; /* the bytes as they came: 5 and "5" differ */
};

#endif
