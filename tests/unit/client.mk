# unit tests of client
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_client
TESTS += tests/unit/test_client
tests_unit_test_client_SOURCES = tests/unit/test_client.c tests/unit/unit.h tests/unit/scratch.h
tests_unit_test_client_CPPFLAGS = $(UTIL_INC) $(CLIENT_INC) $(JANSSON_CFLAGS) -I$(top_srcdir)/tests/unit $(CHECK_CFLAGS)
tests_unit_test_client_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup
tests_unit_test_client_LDADD = libclient.la libutil.la $(JANSSON_LIBS) $(CHECK_LIBS)
endif

dist_check_SCRIPTS += tests/unit/check_exports
TESTS += tests/unit/check_exports
