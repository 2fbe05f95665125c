/* SPDX-License-Identifier: MIT */
/* Which handler serves which method. */
#include "methods.h"

/* clang-format off */
const struct op_handler *const op_handlers[RPC_METHOD_COUNT] = {
    [RPC_GATEWAY_PING] = &gateway_ping_handler,
    [RPC_GATEWAY_STATUS] = &gateway_status_handler,
    [RPC_GATEWAY_POOLS] = &gateway_pools_handler,
    [RPC_GATEWAY_SESSIONS] = &gateway_sessions_handler,
    [RPC_GATEWAY_CLOSE] = &gateway_close_handler,
    [RPC_GATEWAY_RELOAD] = &gateway_reload_handler,
    [RPC_GATEWAY_PAUSE] = &gateway_pause_handler,
    [RPC_GATEWAY_RESUME] = &gateway_resume_handler,
    [RPC_GATEWAY_METRICS] = &gateway_metrics_handler,
    [RPC_ACCOUNT_LIST] = &account_list_handler,
    [RPC_ACCOUNT_TEST] = &account_test_handler,
    [RPC_MAIL_PARSE] = &mail_parse_handler,
    [RPC_MAIL_BUILD] = &mail_build_handler,
    [RPC_SMTP_SEND] = &smtp_send_handler,
    [RPC_SMTP_SENDMAIL] = &smtp_sendmail_handler,
    [RPC_SMTP_TEST_CONNECTION] = &smtp_test_connection_handler,
    [RPC_SMTP_VERIFY] = &smtp_verify_handler,
    [RPC_SMTP_OPEN] = &smtp_open_handler,
    [RPC_SMTP_QUIT] = &smtp_quit_handler,
    [RPC_RPC_DISCOVER] = &rpc_discover_handler,
    [RPC_RPC_CANCEL] = &rpc_cancel_handler,
    [RPC_IMAP_OPEN] = &imap_open_handler,
    [RPC_IMAP_LOGOUT] = &imap_logout_handler,
    [RPC_IMAP_LIST] = &imap_list_handler,
    [RPC_IMAP_STATUS] = &imap_status_handler,
    [RPC_IMAP_SELECT] = &imap_select_handler,
    [RPC_IMAP_EXAMINE] = &imap_examine_handler,
    [RPC_IMAP_SEARCH] = &imap_search_handler,
    [RPC_IMAP_FETCH] = &imap_fetch_handler,
    [RPC_IMAP_APPEND] = &imap_append_handler,
    [RPC_IMAP_STORE] = &imap_store_handler,
    [RPC_IMAP_COPY] = &imap_copy_handler,
    [RPC_IMAP_MOVE] = &imap_move_handler,
    [RPC_IMAP_EXPUNGE] = &imap_expunge_handler,
    [RPC_IMAP_NOOP] = &imap_noop_handler,
};
/* clang-format on */
