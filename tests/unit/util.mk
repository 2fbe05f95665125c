# allocations that fail when a test says so
FAILING_ALLOC = tests/unit/failing_alloc.c tests/unit/failing_alloc.h
WITH_FAILING_ALLOC = $(AM_LDFLAGS) -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=strndup
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_util
TESTS += tests/unit/test_util
tests_unit_test_util_SOURCES = tests/unit/test_util.c tests/unit/unit.h
tests_unit_test_util_CPPFLAGS = $(UTIL_INC) -I$(top_srcdir)/tests/unit $(CHECK_CFLAGS)
tests_unit_test_util_LDADD = libutil.la $(CHECK_LIBS)
endif
