/* SPDX-License-Identifier: MIT */
/* Parameters of pop3.*. Pooled calls name messages by unique id, sessions also by number. Ownership: rpc_types.h. */
#ifndef POSTERN_API_POP3_H
#define POSTERN_API_POP3_H

#include "api_smtp.h" /* struct api_open_params */
#include "rpc_method.h"

/* pop3.list, pop3.uid_list */
struct api_pop3_list_params {
    struct rpc_common common;
    int64_t number; /* session only; or RPC_ABSENT */
};

/* pop3.retr, pop3.delete: exactly one of the three is given. */
struct api_pop3_message_params {
    struct rpc_common common;
    struct slice id;
    struct rpc_strings ids; /* at least one where given: n > 0 */
    int64_t number;         /* session only; or RPC_ABSENT */
};

struct api_pop3_top_params {
    struct rpc_common common;
    struct slice id;
    int64_t number; /* session only; or RPC_ABSENT */
    int64_t lines;
};

/* pop3.exec */
struct api_pop3_exec_params {
    struct rpc_common common;
    struct slice command;
    bool multiline, readline;
};

/* pop3.user, pop3.rpop: `username`. pop3.pass_: `password`. pop3.apop: both. */
struct api_pop3_user_params {
    struct rpc_common common;
    struct slice username, password;
};

struct api_pop3_auth_params {
    struct rpc_common common;
    struct slice mechanism;
    struct slice secret; /* data NULL: the account's */
};

struct api_debuglevel_params {
    struct rpc_common common;
    int64_t level;
};

#endif
