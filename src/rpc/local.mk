# rpc: may use util, and nothing else.
noinst_LTLIBRARIES += librpc.la
librpc_la_CPPFLAGS = $(UTIL_INC) $(RPC_INC)
librpc_la_SOURCES =
