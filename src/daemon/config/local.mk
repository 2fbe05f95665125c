# the configuration: its keys, files, values; read whole or refused whole
libdaemon_la_SOURCES += \
	%reldir%/config_account.c \
	%reldir%/config_account.h \
	%reldir%/config_endpoint.c \
	%reldir%/config_file.c \
	%reldir%/config_file.h \
	%reldir%/config_keys.c \
	%reldir%/config_keys.h \
	%reldir%/config_serialize.c \
	%reldir%/config_values.c \
	%reldir%/configuration.c \
	%reldir%/configuration.h

# postern.conf(5) and postern-account(5) come from the table of keys
noinst_PROGRAMS += %reldir%/gen_config_man
src_daemon_config_gen_config_man_CPPFLAGS = $(libdaemon_la_CPPFLAGS)
src_daemon_config_gen_config_man_SOURCES = %reldir%/gen_config_man.c
src_daemon_config_gen_config_man_LDADD = $(DAEMON_LIBS)
nodist_man_MANS += man/postern.conf.5 man/postern-account.5
CLEANFILES += man/postern.conf.5 man/postern-account.5
man/postern.conf.5 man/postern-account.5: man/postern%.5: $(top_builddir)/%reldir%/gen_config_man$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) man && $(top_builddir)/%reldir%/gen_config_man$(EXEEXT) $(patsubst .%,%,$(patsubst -%,%,$*)) '$(PACKAGE_VERSION)' >$@.tmp && mv $@.tmp $@
