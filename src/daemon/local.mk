# daemon: the only room that sees both mail and RPC.
noinst_LTLIBRARIES += libdaemon.la
libdaemon_la_CPPFLAGS = $(UTIL_INC) $(MIME_INC) $(PROTOCOLS_INC) $(NET_INC) $(RPC_INC) $(DAEMON_INC) \
	$(EVENT_CFLAGS) $(OPENSSL_CFLAGS) $(INI_CFLAGS) $(SYSTEMD_CFLAGS)
libdaemon_la_SOURCES =
libdaemon_la_SOURCES += \
	%reldir%/access.h \
	%reldir%/accounts.h \
	%reldir%/configuration.h \
	%reldir%/content.h \
	%reldir%/gateway.h \
	%reldir%/log.h \
	%reldir%/op.h
DAEMON_LIBS = libdaemon.la libmime.la librpc.la $(NET_LIBS) $(INI_LIBS) $(SYSTEMD_LIBS)
