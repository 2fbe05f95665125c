# client: the library and the command; may use util, rpc and jansson.
CLIENT_CPPFLAGS = $(UTIL_INC) $(RPC_INC) $(CLIENT_INC) $(JANSSON_CFLAGS) -DPOSTERN_VERSION='"$(PACKAGE_VERSION)"'

noinst_LTLIBRARIES += libclient.la
libclient_la_CPPFLAGS = $(CLIENT_CPPFLAGS)
# Of rpc the library needs the reader alone.
libclient_la_SOURCES = \
	$(JSON_READER_SOURCES) \
	%reldir%/library.h \
	%reldir%/client_connect.c \
	%reldir%/client_content.c \
	%reldir%/client_dispatch.c \
	%reldir%/client_error.c \
	%reldir%/client_io.c \
	%reldir%/client_request.c \
	%reldir%/postern.h
include_HEADERS += %reldir%/postern.h
pkgconfig_DATA += %reldir%/postern.pc

# What the library exports is listed in libpostern.map; tests/unit/check_exports compares it with postern.h.
lib_LTLIBRARIES += libpostern.la
libpostern_la_SOURCES =
libpostern_la_LIBADD = libclient.la libutil.la $(JANSSON_LIBS)
libpostern_la_LDFLAGS = $(AM_LDFLAGS) -version-info 0:0:0 -Wl,--version-script=$(top_srcdir)/%reldir%/libpostern.map
libpostern_la_DEPENDENCIES = libclient.la libutil.la %reldir%/libpostern.map
EXTRA_DIST += %reldir%/libpostern.map

# The command has the library inside, so that it runs wherever it is copied.
bin_PROGRAMS += postern
postern_CPPFLAGS = $(CLIENT_CPPFLAGS) -DPOSTERN_SYSCONFDIR='"$(sysconfdir)"'
postern_SOURCES = \
	%reldir%/cli.h \
	%reldir%/cli_call.c \
	%reldir%/cli_account.c \
	%reldir%/cli_advice.c \
	%reldir%/cli_doctor.c \
	%reldir%/cli_list.c \
	%reldir%/cli_main.c \
	%reldir%/cli_params.c \
	%reldir%/cli_print.c \
	%reldir%/cli_provider.c \
	%reldir%/cli_provider.h \
	%reldir%/cli_read.c \
	%reldir%/cli_send.c \
	%reldir%/cli_sendmail.c \
	%reldir%/cli_status.c \
	%reldir%/cli_terminal.c \
	%reldir%/cli_watch.c
postern_LDADD = libclient.la librpc.la libutil.la $(JANSSON_LIBS)

# Each shell wants the file by its own name.
EXTRA_DIST += %reldir%/complete.bash %reldir%/complete.fish %reldir%/complete.zsh
install-data-hook: install-completion
install-completion:
	$(MKDIR_P) '$(DESTDIR)$(datadir)/bash-completion/completions' '$(DESTDIR)$(datadir)/zsh/site-functions' \
		'$(DESTDIR)$(datadir)/fish/vendor_completions.d'
	$(INSTALL_DATA) $(srcdir)/src/client/complete.bash '$(DESTDIR)$(datadir)/bash-completion/completions/postern'
	$(INSTALL_DATA) $(srcdir)/src/client/complete.zsh '$(DESTDIR)$(datadir)/zsh/site-functions/_postern'
	$(INSTALL_DATA) $(srcdir)/src/client/complete.fish '$(DESTDIR)$(datadir)/fish/vendor_completions.d/postern.fish'
uninstall-hook: uninstall-completion
uninstall-completion:
	rm -f '$(DESTDIR)$(datadir)/bash-completion/completions/postern' '$(DESTDIR)$(datadir)/zsh/site-functions/_postern' \
		'$(DESTDIR)$(datadir)/fish/vendor_completions.d/postern.fish'
.PHONY: install-completion uninstall-completion
