/* SPDX-License-Identifier: MIT */
/* The list of methods: the only place that numbers them. Every name has a row (a missing one does not link) and a
 * handler (a missing one fails the daemon's binding test). */
#ifndef POSTERN_RPC_METHODS_H
#define POSTERN_RPC_METHODS_H

#include "rpc_method.h"

/* X(ID, row) */
#define RPC_METHODS(X)                                                                                                 \
    X(GATEWAY_PING, gateway_ping)                                                                                      \
    X(GATEWAY_STATUS, gateway_status)                                                                                  \
    X(GATEWAY_POOLS, gateway_pools)                                                                                    \
    X(GATEWAY_SESSIONS, gateway_sessions)                                                                              \
    X(GATEWAY_CLOSE, gateway_close)                                                                                    \
    X(GATEWAY_RELOAD, gateway_reload)                                                                                  \
    X(GATEWAY_PAUSE, gateway_pause)                                                                                    \
    X(GATEWAY_RESUME, gateway_resume)                                                                                  \
    X(GATEWAY_METRICS, gateway_metrics)                                                                                \
    X(ACCOUNT_LIST, account_list)                                                                                      \
    X(ACCOUNT_TEST, account_test)                                                                                      \
    X(EVENT_SUBSCRIBE, event_subscribe)                                                                                \
    X(EVENT_UNSUBSCRIBE, event_unsubscribe)                                                                            \
    X(RPC_DISCOVER, rpc_discover)                                                                                      \
    X(RPC_CANCEL, rpc_cancel)                                                                                          \
    X(MAIL_PARSE, mail_parse)                                                                                          \
    X(MAIL_BUILD, mail_build)                                                                                          \
    X(SMTP_SEND, smtp_send)                                                                                            \
    X(SMTP_ADD_MESSAGE, smtp_add_message)                                                                              \
    X(SMTP_SENDMAIL, smtp_sendmail)                                                                                    \
    X(SMTP_TEST_CONNECTION, smtp_test_connection)                                                                      \
    X(SMTP_VERIFY, smtp_verify)                                                                                        \
    X(SMTP_OPEN, smtp_open)                                                                                            \
    X(SMTP_QUIT, smtp_quit)                                                                                            \
    X(SMTP_GET_HANDLE, smtp_get_handle)                                                                                \
    X(SMTP_SEND_GREETING, smtp_send_greeting)                                                                          \
    X(SMTP_EHLO, smtp_ehlo)                                                                                            \
    X(SMTP_HELO, smtp_helo)                                                                                            \
    X(SMTP_MAIL, smtp_mail)                                                                                            \
    X(SMTP_RCPT, smtp_rcpt)                                                                                            \
    X(SMTP_START_DATA, smtp_start_data)                                                                                \
    X(SMTP_DATA, smtp_data)                                                                                            \
    X(SMTP_RSET, smtp_rset)                                                                                            \
    X(SMTP_NOOP, smtp_noop)                                                                                            \
    X(SMTP_VRFY, smtp_vrfy)                                                                                            \
    X(SMTP_EXPN, smtp_expn)                                                                                            \
    X(SMTP_HELP, smtp_help)                                                                                            \
    X(SMTP_DOCMD, smtp_docmd)                                                                                          \
    X(SMTP_STARTTLS, smtp_starttls)                                                                                    \
    X(SMTP_LOGIN, smtp_login)                                                                                          \
    X(SMTP_AUTHENTICATE, smtp_authenticate)                                                                            \
    X(SMTP_SEND_AUTHENTICATION_DATA, smtp_send_authentication_data)                                                    \
    X(SMTP_CONNECT, smtp_connect)                                                                                      \
    X(SMTP_HAS_EXTN, smtp_has_extn)                                                                                    \
    X(SMTP_STATE, smtp_state)                                                                                          \
    X(SMTP_MAX_MESSAGE_SIZE, smtp_max_message_size)                                                                    \
    X(SMTP_AUTH_MECHANISMS, smtp_auth_mechanisms)                                                                      \
    X(SMTP_FEED_BYTES, smtp_feed_bytes)                                                                                \
    X(SMTP_SET_DEBUGLEVEL, smtp_set_debuglevel)                                                                        \
    X(IMAP_OPEN, imap_open)                                                                                            \
    X(IMAP_LOGOUT, imap_logout)                                                                                        \
    X(IMAP_GET_HANDLE, imap_get_handle)                                                                                \
    X(IMAP_LIST, imap_list)                                                                                            \
    X(IMAP_STATUS, imap_status)                                                                                        \
    X(IMAP_SELECT, imap_select)                                                                                        \
    X(IMAP_EXAMINE, imap_examine)                                                                                      \
    X(IMAP_SEARCH, imap_search)                                                                                        \
    X(IMAP_FETCH, imap_fetch)                                                                                          \
    X(IMAP_APPEND, imap_append)                                                                                        \
    X(IMAP_REPLACE, imap_replace)                                                                                      \
    X(IMAP_STORE, imap_store)                                                                                          \
    X(IMAP_COPY, imap_copy)                                                                                            \
    X(IMAP_MOVE, imap_move)                                                                                            \
    X(IMAP_EXPUNGE, imap_expunge)                                                                                      \
    X(IMAP_NOOP, imap_noop)                                                                                            \
    X(IMAP_CREATE, imap_create)                                                                                        \
    X(IMAP_DELETE, imap_delete)                                                                                        \
    X(IMAP_RENAME, imap_rename)                                                                                        \
    X(IMAP_SUBSCRIBE, imap_subscribe)                                                                                  \
    X(IMAP_UNSUBSCRIBE, imap_unsubscribe)                                                                              \
    X(IMAP_LSUB, imap_lsub)                                                                                            \
    X(IMAP_GET_DIRS, imap_get_dirs)                                                                                    \
    X(IMAP_GET_SUBSCRIBED_DIRS, imap_get_subscribed_dirs)                                                              \
    X(IMAP_CLOSE, imap_close)                                                                                          \
    X(IMAP_UNSELECT, imap_unselect)                                                                                    \
    X(IMAP_UNAUTHENTICATE, imap_unauthenticate)                                                                        \
    X(IMAP_CHECK, imap_check)                                                                                          \
    X(IMAP_NAMESPACE, imap_namespace)                                                                                  \
    X(IMAP_ID, imap_id)                                                                                                \
    X(IMAP_ENABLE, imap_enable)                                                                                        \
    X(IMAP_CAPABILITY, imap_capability)                                                                                \
    X(IMAP_GETQUOTA, imap_getquota)                                                                                    \
    X(IMAP_GETQUOTAROOT, imap_getquotaroot)                                                                            \
    X(IMAP_SETQUOTA, imap_setquota)                                                                                    \
    X(IMAP_GETACL, imap_getacl)                                                                                        \
    X(IMAP_SETACL, imap_setacl)                                                                                        \
    X(IMAP_DELETEACL, imap_deleteacl)                                                                                  \
    X(IMAP_LISTRIGHTS, imap_listrights)                                                                                \
    X(IMAP_MYRIGHTS, imap_myrights)                                                                                    \
    X(IMAP_GETMETADATA, imap_getmetadata)                                                                              \
    X(IMAP_IDLE, imap_idle)                                                                                            \
    X(IMAP_SETMETADATA, imap_setmetadata)                                                                              \
    X(IMAP_EXEC, imap_exec)                                                                                            \
    X(IMAP_XATOM, imap_xatom)                                                                                          \
    X(IMAP_UID, imap_uid)                                                                                              \
    X(IMAP_PARTIAL, imap_partial)                                                                                      \
    X(IMAP_RESPONSE, imap_response)                                                                                    \
    X(IMAP_RECENT, imap_recent)                                                                                        \
    X(IMAP_PRINT_LOG, imap_print_log)                                                                                  \
    X(IMAP_SET_DEBUGLEVEL, imap_set_debuglevel)                                                                        \
    X(IMAP_SHUTDOWN, imap_shutdown)                                                                                    \
    X(IMAP_LOGIN, imap_login)                                                                                          \
    X(IMAP_LOGIN_CRAM_MD5, imap_login_cram_md5)                                                                        \
    X(IMAP_AUTHENTICATE, imap_authenticate)                                                                            \
    X(IMAP_PROXYAUTH, imap_proxyauth)                                                                                  \
    X(IMAP_STARTTLS, imap_starttls)                                                                                    \
    X(IMAP_SEND, imap_send)                                                                                            \
    X(IMAP_READ, imap_read)                                                                                            \
    X(IMAP_READLINE, imap_readline)                                                                                    \
    X(IMAP_SORT, imap_sort)                                                                                            \
    X(IMAP_THREAD, imap_thread)                                                                                        \
    X(POP3_OPEN, pop3_open)                                                                                            \
    X(POP3_LIST, pop3_list)                                                                                            \
    X(POP3_UID_LIST, pop3_uid_list)                                                                                    \
    X(POP3_RETR, pop3_retr)                                                                                            \
    X(POP3_TOP, pop3_top)                                                                                              \
    X(POP3_STAT, pop3_stat)                                                                                            \
    X(POP3_DELETE, pop3_delete)                                                                                        \
    X(POP3_NOOP, pop3_noop)                                                                                            \
    X(POP3_RSET, pop3_rset)                                                                                            \
    X(POP3_QUIT, pop3_quit)                                                                                            \
    X(POP3_CLOSE, pop3_close)                                                                                          \
    X(POP3_EXEC, pop3_exec)                                                                                            \
    X(POP3_READLINE, pop3_readline)                                                                                    \
    X(POP3_CAPA, pop3_capa)                                                                                            \
    X(POP3_STLS, pop3_stls)                                                                                            \
    X(POP3_UTF8, pop3_utf8)                                                                                            \
    X(POP3_USER, pop3_user)                                                                                            \
    X(POP3_PASS, pop3_pass)                                                                                            \
    X(POP3_APOP, pop3_apop)                                                                                            \
    X(POP3_RPOP, pop3_rpop)                                                                                            \
    X(POP3_AUTH, pop3_auth)                                                                                            \
    X(POP3_GETWELCOME, pop3_getwelcome)                                                                                \
    X(POP3_SET_DEBUGLEVEL, pop3_set_debuglevel)                                                                        \
    X(POP3_GET_HANDLE, pop3_get_handle)

enum rpc_method_id {
#define RPC_METHOD_ID(id, row) RPC_##id,
    RPC_METHODS(RPC_METHOD_ID)
#undef RPC_METHOD_ID
        RPC_METHOD_COUNT
};

#define RPC_METHOD_ROW(id, row) extern const struct rpc_method api_##row;
RPC_METHODS(RPC_METHOD_ROW)
#undef RPC_METHOD_ROW

const struct rpc_method *rpc_method_row(enum rpc_method_id id);
/* By name or alias; -ENOENT. The id goes to *ret. Safe from any thread. */
int rpc_method_find(struct slice name, enum rpc_method_id *ret) ATTR_WARN_UNUSED;
/* A name much like this one, or NULL. */
const char *rpc_method_similar(struct slice name);

/* The parameters that every method takes (timeout, content, stream, progress), and those that say where a mail call
 * runs (account, options, session); offsets are into struct rpc_common. */
extern const struct rpc_object rpc_common_object;
extern const struct rpc_object rpc_where_object;

/* For writing rows. */
#define RPC_FIELDS(array) .fields = (array), .n_fields = ARRAY_LEN(array)
#define RPC_AT(type, member) .offset = offsetof(struct type, member)

/* The result {} and the parameters of methods that have none of their own. */
extern const struct rpc_object rpc_nothing;

/* Methods without parameters of their own. */
struct api_none_params {
    struct rpc_common common;
};

#endif
