/* SPDX-License-Identifier: MIT */
/* Parameters of event.*. Ownership: rpc_types.h. */
#ifndef POSTERN_API_EVENT_H
#define POSTERN_API_EVENT_H

#include "rpc_method.h"

struct api_event_subscribe_params {
    struct rpc_common common;
    struct slice mailbox;
    struct slice cursor; /* data NULL: from now on */
    struct rpc_strings items;
};

struct api_event_unsubscribe_params {
    struct rpc_common common;
    struct slice subscription;
};

#endif
