# unit tests of rpc
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_json
TESTS += tests/unit/test_json
tests_unit_test_json_SOURCES = tests/unit/test_json.c tests/unit/unit.h
tests_unit_test_json_CPPFLAGS = $(UTIL_INC) $(RPC_INC) -I$(top_srcdir)/tests/unit $(CHECK_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_json_LDADD = librpc.la libutil.la $(CHECK_LIBS) $(JANSSON_LIBS)
endif
