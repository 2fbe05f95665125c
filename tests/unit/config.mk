# unit tests of the daemon's configuration, access, credentials, accounts and log
if HAVE_CHECK
DAEMON_TEST_CPPFLAGS = $(libdaemon_la_CPPFLAGS) -I$(top_srcdir)/tests/unit $(CHECK_CFLAGS)

check_PROGRAMS += tests/unit/test_content_types
TESTS += tests/unit/test_content_types
tests_unit_test_content_types_SOURCES = tests/unit/test_content_types.c tests/unit/unit.h tests/unit/scratch.h
tests_unit_test_content_types_CPPFLAGS = $(DAEMON_TEST_CPPFLAGS)
tests_unit_test_content_types_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_config
TESTS += tests/unit/test_config
tests_unit_test_config_SOURCES = tests/unit/test_config.c tests/unit/unit.h tests/unit/scratch.h
tests_unit_test_config_CPPFLAGS = $(DAEMON_TEST_CPPFLAGS)
tests_unit_test_config_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_log
TESTS += tests/unit/test_log
tests_unit_test_log_SOURCES = tests/unit/test_log.c tests/unit/unit.h tests/unit/scratch.h
tests_unit_test_log_CPPFLAGS = $(DAEMON_TEST_CPPFLAGS)
tests_unit_test_log_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_accounts
TESTS += tests/unit/test_accounts
tests_unit_test_accounts_SOURCES = tests/unit/test_accounts.c tests/unit/unit.h tests/unit/scratch.h
tests_unit_test_accounts_CPPFLAGS = $(DAEMON_TEST_CPPFLAGS)
tests_unit_test_accounts_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_credentials
TESTS += tests/unit/test_credentials
tests_unit_test_credentials_SOURCES = tests/unit/test_credentials.c tests/unit/unit.h tests/unit/scratch.h
tests_unit_test_credentials_CPPFLAGS = $(DAEMON_TEST_CPPFLAGS)
tests_unit_test_credentials_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)
endif
