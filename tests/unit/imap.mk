# unit tests of imap
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_wire
TESTS += tests/unit/test_wire
tests_unit_test_wire_SOURCES = tests/unit/test_wire.c tests/unit/unit.h
tests_unit_test_wire_CPPFLAGS = $(UTIL_INC) $(PROTOCOLS_INC) -I$(top_srcdir)/tests/unit $(CHECK_CFLAGS)
tests_unit_test_wire_LDADD = libprotocols.la libutil.la $(CHECK_LIBS)
endif
