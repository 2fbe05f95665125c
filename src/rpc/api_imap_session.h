/* SPDX-License-Identifier: MIT */
/* Parameters of imap.* for sessions: commands of the caller's own, steps of the login, the raw side. Ownership: rpc_types.h. */
#ifndef POSTERN_API_IMAP_SESSION_H
#define POSTERN_API_IMAP_SESSION_H

#include "api_imap.h"

/* imap.exec; imap.xatom and imap.uid, where `arguments` stands behind the command's name. */
struct api_imap_exec_params {
    struct rpc_common common;
    struct slice mailbox; /* to be open; data NULL: none that must be */
    struct slice command;
    struct rpc_terms arguments;
    struct rpc_uidvalidity uidvalidity; /* imap.uid */
};

struct api_imap_partial_params {
    struct rpc_common common;
    int64_t number, start, length;
    struct slice section;
};

struct api_imap_response_params {
    struct rpc_common common;
    struct slice code;
};

/* imap.login, login_cram_md5 */
struct api_imap_login_params {
    struct rpc_common common;
    struct slice username, password;
};

struct api_imap_authenticate_params {
    struct rpc_common common;
    struct slice mechanism, secret;
    struct rpc_strings responses;
};

struct api_imap_proxyauth_params {
    struct rpc_common common;
    struct slice user;
};

struct api_imap_send_params {
    struct rpc_common common;
    struct rpc_content raw;
};

struct api_imap_read_params {
    struct rpc_common common;
    int64_t size;
};

#endif
