# rpc: may use util, and nothing else.
noinst_LTLIBRARIES += librpc.la
# The reader by itself, which libpostern has inside.
JSON_READER_SOURCES = %reldir%/json_keys.c %reldir%/json_keys.h %reldir%/json_number.c %reldir%/json_reader.c %reldir%/json_reader.h
librpc_la_CPPFLAGS = $(UTIL_INC) $(RPC_INC)
librpc_la_SOURCES = \
	%reldir%/api_gateway.c %reldir%/api_gateway.h \
	%reldir%/api_event.c %reldir%/api_event.h \
	%reldir%/api_imap.c %reldir%/api_imap.h \
	%reldir%/api_imap_manage.c \
	%reldir%/api_imap_session.c %reldir%/api_imap_session.h \
	%reldir%/api_imap_sort.c %reldir%/api_imap_sort.h \
	%reldir%/api_mail.c %reldir%/api_mail.h \
	%reldir%/api_pop3.c %reldir%/api_pop3.h \
	%reldir%/api_pop3_step.c \
	%reldir%/api_handle.c \
	%reldir%/api_smtp.c %reldir%/api_smtp.h \
	%reldir%/api_smtp_steps.c \
	$(JSON_READER_SOURCES) \
	%reldir%/json_writer.c %reldir%/json_writer.h \
	%reldir%/rpc_answer.c \
	%reldir%/rpc_decode.c %reldir%/rpc_decode.h \
	%reldir%/rpc_decode_types.c %reldir%/rpc_decode_types.h \
	%reldir%/rpc_discover.c %reldir%/rpc_discover.h \
	%reldir%/rpc_framing.c %reldir%/rpc_framing.h \
	%reldir%/rpc_hash.h \
	%reldir%/rpc_help.c \
	%reldir%/rpc_method.h \
	%reldir%/rpc_methods.c %reldir%/rpc_methods.h \
	%reldir%/rpc_output.c %reldir%/rpc_output.h \
	%reldir%/rpc_peer.c %reldir%/rpc_peer.h \
	%reldir%/rpc_peer_types.h \
	%reldir%/rpc_types.h

# postern-methods(7) comes from the method table
noinst_PROGRAMS += %reldir%/gen_methods_man
src_rpc_gen_methods_man_CPPFLAGS = $(UTIL_INC) $(RPC_INC)
src_rpc_gen_methods_man_SOURCES = %reldir%/gen_methods_man.c
src_rpc_gen_methods_man_LDADD = librpc.la libutil.la
nodist_man_MANS += man/postern-methods.7
CLEANFILES += man/postern-methods.7
man/postern-methods.7: $(top_builddir)/%reldir%/gen_methods_man$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) man && $(top_builddir)/%reldir%/gen_methods_man$(EXEEXT) '$(PACKAGE_VERSION)' >$@.tmp && mv $@.tmp $@
