# rpc: may use util, and nothing else.
noinst_LTLIBRARIES += librpc.la
librpc_la_CPPFLAGS = $(UTIL_INC) $(RPC_INC)
librpc_la_SOURCES = \
	%reldir%/api_gateway.h \
	%reldir%/api_imap.h \
	%reldir%/api_mail.h \
	%reldir%/api_pop3.h \
	%reldir%/api_smtp.h \
	%reldir%/json_reader.c %reldir%/json_reader.h \
	%reldir%/json_writer.c %reldir%/json_writer.h \
	%reldir%/rpc_decode.h \
	%reldir%/rpc_discover.h \
	%reldir%/rpc_framing.h \
	%reldir%/rpc_method.h \
	%reldir%/rpc_methods.h \
	%reldir%/rpc_output.h \
	%reldir%/rpc_peer.h \
	%reldir%/rpc_types.h
