# daemon: the only room that sees both mail and RPC.
noinst_LTLIBRARIES += libdaemon.la
libdaemon_la_CPPFLAGS = $(UTIL_INC) $(MIME_INC) $(PROTOCOLS_INC) $(NET_INC) $(RPC_INC) $(DAEMON_INC) \
	$(EVENT_CFLAGS) $(OPENSSL_CFLAGS) $(INI_CFLAGS) $(SYSTEMD_CFLAGS) $(IDN_CFLAGS)
libdaemon_la_SOURCES =
libdaemon_la_SOURCES += \
	%reldir%/access.c %reldir%/access.h \
	%reldir%/accounts.c %reldir%/accounts.h \
	%reldir%/child.c %reldir%/child.h \
	%reldir%/config_account.c %reldir%/config_account.h \
	%reldir%/config_endpoint.c \
	%reldir%/config_file.c %reldir%/config_file.h \
	%reldir%/config_keys.c %reldir%/config_keys.h \
	%reldir%/config_serialize.c \
	%reldir%/config_values.c \
	%reldir%/configuration.c %reldir%/configuration.h \
	%reldir%/credentials.c %reldir%/credentials.h \
	%reldir%/digest.c %reldir%/digest.h \
	%reldir%/log.c %reldir%/log.h \
	%reldir%/outgoing_form.c %reldir%/outgoing_private.h \
	%reldir%/outgoing.c %reldir%/outgoing.h
libdaemon_la_SOURCES += \
	%reldir%/client.c \
	%reldir%/client.h \
	%reldir%/content.c \
	%reldir%/content.h \
	%reldir%/event.h \
	%reldir%/event_cursor.c \
	%reldir%/event_cursor.h \
	%reldir%/event_details.c \
	%reldir%/event_line.c \
	%reldir%/event_notify.c \
	%reldir%/event_round.c \
	%reldir%/event_tell.c \
	%reldir%/event_watch.c \
	%reldir%/file_helper.c \
	%reldir%/file_helper.h \
	%reldir%/foreign_fd.c \
	%reldir%/foreign_fd.h \
	%reldir%/gateway.h \
	%reldir%/listener.c \
	%reldir%/listener.h \
	%reldir%/mail_json.c \
	%reldir%/mail_json.h \
	%reldir%/mailboxes.c \
	%reldir%/metrics.c \
	%reldir%/metrics.h \
	%reldir%/method_account.c \
	%reldir%/method_gateway.c \
	%reldir%/method_mail.c \
	%reldir%/method_event.c \
	%reldir%/method_imap.c \
	%reldir%/method_imap.h \
	%reldir%/method_imap_append.c \
	%reldir%/method_imap_call.c \
	%reldir%/method_imap_change.c \
	%reldir%/method_imap_fetch.c \
	%reldir%/method_imap_fetch.h \
	%reldir%/method_imap_idle.c \
	%reldir%/method_imap_items.c \
	%reldir%/method_imap_json.c \
	%reldir%/method_imap_list.c \
	%reldir%/method_imap_manage.c \
	%reldir%/method_imap_multi.c \
	%reldir%/method_imap_search.c \
	%reldir%/method_imap_select.c \
	%reldir%/method_imap_gather.c \
	%reldir%/method_imap_gather.h \
	%reldir%/method_imap_sort.c \
	%reldir%/method_imap_session.c \
	%reldir%/method_imap_session.h \
	%reldir%/method_imap_session_exec.c \
	%reldir%/method_imap_session_login.c \
	%reldir%/method_imap_session_raw.c \
	%reldir%/method_imap_told.c \
	%reldir%/method_imap_told.h \
	%reldir%/method_rpc.c \
	%reldir%/methods.c \
	%reldir%/methods.h \
	%reldir%/must.h \
	%reldir%/op.c \
	%reldir%/op.h \
	%reldir%/op_answer.c \
	%reldir%/op_core.h \
	%reldir%/op_exchange.c \
	%reldir%/op_input.c \
	%reldir%/op_pipe.c \
	%reldir%/op_session.c \
	%reldir%/status.c \
	%reldir%/user.c
libdaemon_la_SOURCES += \
	%reldir%/idempotency.c %reldir%/idempotency.h \
	%reldir%/method_pop3.c %reldir%/method_pop3.h \
	%reldir%/method_pop3_message.c \
	%reldir%/method_pop3_step.c \
	%reldir%/method_handle.c \
	%reldir%/method_smtp.c \
	%reldir%/method_smtp_send.c \
	%reldir%/method_smtp_steps.c \
	%reldir%/smtp_batch.c \
	%reldir%/smtp_batch.h \
	%reldir%/smtp_item.c \
	%reldir%/smtp_item.h \
	%reldir%/smtp_manual.c \
	%reldir%/smtp_manual.h \
	%reldir%/smtp_step.c \
	%reldir%/smtp_step.h \
	%reldir%/smtp_send.c %reldir%/smtp_send.h
DAEMON_LIBS = libdaemon.la libmime.la librpc.la $(NET_LIBS) $(INI_LIBS) $(SYSTEMD_LIBS)

sbin_PROGRAMS += posternd
posternd_SOURCES = %reldir%/main.c
posternd_CPPFLAGS = $(libdaemon_la_CPPFLAGS) -DPOSTERN_SYSCONFDIR='"$(sysconfdir)"'
posternd_LDADD = $(DAEMON_LIBS)

# postern.conf(5) and postern-account(5) come from the table of keys
noinst_PROGRAMS += %reldir%/gen_config_man
src_daemon_gen_config_man_CPPFLAGS = $(libdaemon_la_CPPFLAGS)
src_daemon_gen_config_man_SOURCES = %reldir%/gen_config_man.c
src_daemon_gen_config_man_LDADD = $(DAEMON_LIBS)
nodist_man_MANS += man/postern.conf.5 man/postern-account.5
CLEANFILES += man/postern.conf.5 man/postern-account.5
man/postern.conf.5 man/postern-account.5: man/postern%.5: $(top_builddir)/%reldir%/gen_config_man$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) man && $(top_builddir)/%reldir%/gen_config_man$(EXEEXT) $(patsubst .%,%,$(patsubst -%,%,$*)) '$(PACKAGE_VERSION)' >$@.tmp && mv $@.tmp $@
