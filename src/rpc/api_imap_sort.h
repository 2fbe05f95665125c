/* SPDX-License-Identifier: MIT */
/* Parameters of imap.sort and imap.thread. Ownership: rpc_types.h. */
#ifndef POSTERN_API_IMAP_SORT_H
#define POSTERN_API_IMAP_SORT_H

#include "api_imap.h"

struct api_imap_sort_params {
    struct rpc_common common;
    struct slice mailbox;
    struct rpc_terms query; /* not given or empty: ALL */
    struct rpc_uidvalidity uidvalidity;
    bool numbers;
    struct rpc_strings criteria; /* imap.sort */
    struct slice algorithm;      /* imap.thread */
};

#endif
