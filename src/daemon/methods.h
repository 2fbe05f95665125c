/* SPDX-License-Identifier: MIT */
/* The handlers of all methods, each defined in the method_*.c of its area and bound in methods.c. */
#ifndef POSTERN_METHODS_H
#define POSTERN_METHODS_H

#include "op.h"

/* method_gateway.c */
extern const struct op_handler gateway_ping_handler, gateway_sessions_handler, gateway_close_handler,
    gateway_reload_handler, gateway_pause_handler, gateway_resume_handler;
/* status.c */
extern const struct op_handler gateway_status_handler, gateway_pools_handler, gateway_metrics_handler;
/* method_account.c */
extern const struct op_handler account_list_handler, account_test_handler;
/* method_mail.c */
extern const struct op_handler mail_parse_handler, mail_build_handler;
/* method_smtp.c, method_smtp_send.c */
extern const struct op_handler smtp_send_handler, smtp_sendmail_handler, smtp_test_connection_handler, smtp_verify_handler,
    smtp_open_handler, smtp_quit_handler;
/* method_smtp_steps.c */
extern const struct op_handler smtp_ehlo_handler, smtp_send_greeting_handler, smtp_helo_handler, smtp_mail_handler, smtp_rcpt_handler, smtp_start_data_handler, smtp_data_handler, smtp_rset_handler, smtp_noop_handler, smtp_vrfy_handler, smtp_expn_handler, smtp_help_handler, smtp_docmd_handler, smtp_starttls_handler, smtp_login_handler, smtp_authenticate_handler, smtp_send_authentication_data_handler, smtp_connect_handler, smtp_has_extn_handler, smtp_state_handler, smtp_max_message_size_handler, smtp_auth_mechanisms_handler, smtp_set_debuglevel_handler;
/* smtp_batch.c */
extern const struct op_handler smtp_add_message_handler;
/* smtp_manual.c */
extern const struct op_handler smtp_feed_bytes_handler;
/* method_pop3.c, method_pop3_message.c */
extern const struct op_handler pop3_open_handler, pop3_list_handler, pop3_uid_list_handler, pop3_retr_handler,
    pop3_top_handler, pop3_stat_handler, pop3_delete_handler, pop3_noop_handler, pop3_rset_handler, pop3_quit_handler;
/* method_pop3_step.c */
extern const struct op_handler pop3_close_handler, pop3_exec_handler, pop3_readline_handler, pop3_capa_handler,
    pop3_stls_handler, pop3_utf8_handler, pop3_user_handler, pop3_pass_handler, pop3_apop_handler, pop3_rpop_handler,
    pop3_auth_handler, pop3_getwelcome_handler, pop3_set_debuglevel_handler;
/* method_handle.c: of all protocols */
extern const struct op_handler get_handle_handler;
/* method_rpc.c */
extern const struct op_handler rpc_discover_handler, rpc_cancel_handler;

/* method_imap.c, method_imap_fetch.c, method_imap_change.c */
extern const struct op_handler imap_open_handler, imap_logout_handler, imap_noop_handler, imap_list_handler,
    imap_status_handler, imap_select_handler, imap_examine_handler, imap_search_handler, imap_fetch_handler,
    imap_append_handler, imap_replace_handler, imap_store_handler, imap_copy_handler, imap_move_handler, imap_expunge_handler;
/* method_event.c */
extern const struct op_handler event_subscribe_handler, event_unsubscribe_handler;
/* method_imap_idle.c */
extern const struct op_handler imap_idle_handler;
/* method_imap_manage.c: of the methods without results, and of those that pass on what the server tells */
extern const struct op_handler imap_manage_handler, imap_tell_handler;

/* method_imap_session.c, method_imap_session_exec.c */
extern const struct op_handler imap_exec_handler, imap_response_handler, imap_recent_handler, imap_print_log_handler,
    imap_set_debuglevel_handler, imap_shutdown_handler;
/* method_imap_session_login.c, method_imap_session_raw.c */
extern const struct op_handler imap_login_handler, imap_authenticate_handler, imap_proxyauth_handler, imap_starttls_handler,
    imap_send_handler, imap_read_handler;
/* method_imap_sort.c */
extern const struct op_handler imap_sort_handler;
/* method_imap_fetch.c: FETCH of a piece */
extern const struct op_handler imap_partial_handler;

/* status.c: what account.list and gateway.status say of the accounts that the peer may use, as an array. */
/* What the service manager shows: accounts, connections, clients. */
#define STATUS_TEXT_SIZE 128
void status_text(const struct gateway *g, char out[STATUS_TEXT_SIZE]);
void status_write_accounts(struct op *op);

#endif
