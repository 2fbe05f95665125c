# unit tests of daemon, and of the spool, which it alone fills
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_spool
TESTS += tests/unit/test_spool
tests_unit_test_spool_SOURCES = tests/unit/test_spool.c tests/unit/unit.h
tests_unit_test_spool_CPPFLAGS = $(UTIL_INC) $(PROTOCOLS_INC) $(NET_INC) -I$(top_srcdir)/tests/unit $(CHECK_CFLAGS)
tests_unit_test_spool_LDADD = $(NET_LIBS) $(CHECK_LIBS)
check_PROGRAMS += tests/unit/test_spool_failures
TESTS += tests/unit/test_spool_failures
tests_unit_test_spool_failures_SOURCES = tests/unit/test_spool_failures.c tests/unit/unit.h $(FAILING_ALLOC)
tests_unit_test_spool_failures_CPPFLAGS = $(tests_unit_test_spool_CPPFLAGS)
tests_unit_test_spool_failures_LDFLAGS = $(WITH_FAILING_ALLOC) \
	-Wl,--wrap=memfd_create,--wrap=write,--wrap=pread,--wrap=lseek,--wrap=ftruncate,--wrap=open
tests_unit_test_spool_failures_LDADD = $(NET_LIBS) $(CHECK_LIBS)

DAEMON_UNIT_CPPFLAGS = $(libdaemon_la_CPPFLAGS) -I$(top_srcdir)/tests/unit $(CHECK_CFLAGS)
check_PROGRAMS += tests/unit/test_foreign_fd
TESTS += tests/unit/test_foreign_fd
tests_unit_test_foreign_fd_SOURCES = tests/unit/test_foreign_fd.c tests/unit/daemon_fixture.h
tests_unit_test_foreign_fd_CPPFLAGS = $(DAEMON_UNIT_CPPFLAGS)
tests_unit_test_foreign_fd_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_event
TESTS += tests/unit/test_event
tests_unit_test_event_SOURCES = tests/unit/test_event.c tests/unit/unit.h
tests_unit_test_event_CPPFLAGS = $(DAEMON_UNIT_CPPFLAGS)
tests_unit_test_event_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_op
TESTS += tests/unit/test_op
tests_unit_test_op_SOURCES = tests/unit/test_op.c tests/unit/daemon_fixture.h
tests_unit_test_op_CPPFLAGS = $(DAEMON_UNIT_CPPFLAGS)
tests_unit_test_op_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)
endif
