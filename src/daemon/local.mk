# daemon: the only room that sees both mail and RPC.
noinst_LTLIBRARIES += libdaemon.la
libdaemon_la_CPPFLAGS = $(UTIL_INC) $(MIME_INC) $(PROTOCOLS_INC) $(NET_INC) $(RPC_INC) $(DAEMON_INC) \
	$(EVENT_CFLAGS) $(OPENSSL_CFLAGS) $(INI_CFLAGS) $(SYSTEMD_CFLAGS) $(IDN_CFLAGS)
libdaemon_la_SOURCES = \
	%reldir%/access.c \
	%reldir%/access.h \
	%reldir%/accounts.c \
	%reldir%/accounts.h \
	%reldir%/child.c \
	%reldir%/child.h \
	%reldir%/client.c \
	%reldir%/client.h \
	%reldir%/credentials.c \
	%reldir%/credentials.h \
	%reldir%/digest.c \
	%reldir%/digest.h \
	%reldir%/file_helper.c \
	%reldir%/file_helper.h \
	%reldir%/foreign_fd.c \
	%reldir%/foreign_fd.h \
	%reldir%/gateway.h \
	%reldir%/listener.c \
	%reldir%/listener.h \
	%reldir%/log.c \
	%reldir%/log.h \
	%reldir%/method_account.c \
	%reldir%/method_gateway.c \
	%reldir%/method_handle.c \
	%reldir%/method_rpc.c \
	%reldir%/methods.c \
	%reldir%/methods.h \
	%reldir%/metrics.c \
	%reldir%/metrics.h \
	%reldir%/must.h \
	%reldir%/status.c \
	%reldir%/user.c
include src/daemon/config/local.mk
include src/daemon/op/local.mk
include src/daemon/mail/local.mk
include src/daemon/smtp/local.mk
include src/daemon/pop3/local.mk
include src/daemon/imap/local.mk
include src/daemon/event/local.mk
DAEMON_LIBS = libdaemon.la libmime.la librpc.la $(NET_LIBS) $(INI_LIBS) $(SYSTEMD_LIBS)

sbin_PROGRAMS += posternd
posternd_SOURCES = %reldir%/main.c
posternd_CPPFLAGS = $(libdaemon_la_CPPFLAGS) -DPOSTERN_SYSCONFDIR='"$(sysconfdir)"'
posternd_LDADD = $(DAEMON_LIBS)
