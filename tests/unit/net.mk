# unit tests of net
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_loop
TESTS += tests/unit/test_loop
tests_unit_test_loop_SOURCES = tests/unit/test_loop.c tests/unit/unit.h
tests_unit_test_loop_CPPFLAGS = $(UTIL_INC) $(PROTOCOLS_INC) $(NET_INC) -I$(top_srcdir)/tests/unit $(CHECK_CFLAGS)
tests_unit_test_loop_LDADD = $(NET_LIBS) $(CHECK_LIBS)
endif
