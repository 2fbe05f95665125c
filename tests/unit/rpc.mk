# unit tests of rpc
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_json tests/unit/test_rpc_framing tests/unit/test_rpc tests/unit/test_rpc_params \
	tests/unit/test_rpc_memory
TESTS += tests/unit/test_json tests/unit/test_rpc_framing tests/unit/test_rpc tests/unit/test_rpc_params \
	tests/unit/test_rpc_memory
tests_unit_test_json_SOURCES = tests/unit/test_json.c tests/unit/unit.h
tests_unit_test_json_CPPFLAGS = $(UTIL_INC) $(RPC_INC) -I$(top_srcdir)/tests/unit $(CHECK_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_json_LDADD = librpc.la libutil.la $(CHECK_LIBS) $(JANSSON_LIBS)
tests_unit_test_rpc_framing_SOURCES = tests/unit/test_rpc_framing.c tests/unit/unit.h
tests_unit_test_rpc_framing_CPPFLAGS = $(UTIL_INC) $(RPC_INC) -I$(top_srcdir)/tests/unit $(CHECK_CFLAGS)
tests_unit_test_rpc_framing_LDADD = librpc.la libutil.la $(CHECK_LIBS)
tests_unit_test_rpc_SOURCES = tests/unit/test_rpc.c tests/unit/unit.h
tests_unit_test_rpc_CPPFLAGS = $(UTIL_INC) $(RPC_INC) -I$(top_srcdir)/tests/unit $(CHECK_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_rpc_LDADD = librpc.la libutil.la $(CHECK_LIBS) $(JANSSON_LIBS)
tests_unit_test_rpc_params_SOURCES = tests/unit/test_rpc_params.c tests/unit/unit.h
tests_unit_test_rpc_params_CPPFLAGS = $(UTIL_INC) $(RPC_INC) -I$(top_srcdir)/tests/unit $(CHECK_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_rpc_params_LDADD = librpc.la libutil.la $(CHECK_LIBS) $(JANSSON_LIBS)
tests_unit_test_rpc_memory_SOURCES = tests/unit/test_rpc_memory.c tests/unit/unit.h $(FAILING_ALLOC)
tests_unit_test_rpc_memory_CPPFLAGS = $(UTIL_INC) $(RPC_INC) -I$(top_srcdir)/tests/unit $(CHECK_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_rpc_memory_LDFLAGS = $(WITH_FAILING_ALLOC)
tests_unit_test_rpc_memory_LDADD = librpc.la libutil.la $(CHECK_LIBS) $(JANSSON_LIBS)
check_PROGRAMS += tests/unit/test_json_writer
TESTS += tests/unit/test_json_writer
tests_unit_test_json_writer_SOURCES = tests/unit/test_json_writer.c tests/unit/unit.h
tests_unit_test_json_writer_CPPFLAGS = $(tests_unit_test_json_CPPFLAGS)
tests_unit_test_json_writer_LDADD = $(tests_unit_test_json_LDADD)
endif
