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
	%reldir%/content.h \
	%reldir%/credentials.c %reldir%/credentials.h \
	%reldir%/gateway.h \
	%reldir%/log.c %reldir%/log.h \
	%reldir%/outgoing.c %reldir%/outgoing.h \
	%reldir%/op.h
DAEMON_LIBS = libdaemon.la libmime.la librpc.la $(NET_LIBS) $(INI_LIBS) $(SYSTEMD_LIBS)
