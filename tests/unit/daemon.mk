# unit tests of daemon, and of the spool, which it alone fills
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_spool
TESTS += tests/unit/test_spool
tests_unit_test_spool_SOURCES = tests/unit/test_spool.c tests/unit/unit.h
tests_unit_test_spool_CPPFLAGS = $(UTIL_INC) $(PROTOCOLS_INC) $(NET_INC) -I$(top_srcdir)/tests/unit $(CHECK_CFLAGS)
tests_unit_test_spool_LDADD = $(NET_LIBS) $(CHECK_LIBS)
endif
