# unit tests of smtp_pop3
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_sasl tests/unit/test_smtp tests/unit/test_idempotency tests/unit/test_scram_plus
TESTS += tests/unit/test_sasl tests/unit/test_smtp tests/unit/test_idempotency tests/unit/test_scram_plus
tests_unit_test_sasl_SOURCES = tests/unit/test_sasl.c tests/unit/unit.h
tests_unit_test_sasl_CPPFLAGS = $(UTIL_INC) $(PROTOCOLS_INC) -I$(top_srcdir)/tests/unit $(CHECK_CFLAGS) $(OPENSSL_CFLAGS)
tests_unit_test_sasl_LDADD = $(PROTOCOLS_LIBS) $(CHECK_LIBS) $(OPENSSL_LIBS)
tests_unit_test_scram_plus_SOURCES = tests/unit/test_scram_plus.c tests/unit/tls_peer.c tests/unit/tls_peer.h tests/unit/unit.h
tests_unit_test_scram_plus_CPPFLAGS = $(UTIL_INC) $(PROTOCOLS_INC) $(NET_INC) -I$(top_srcdir)/tests/unit $(CHECK_CFLAGS) $(OPENSSL_CFLAGS) $(GSASL_CFLAGS)
tests_unit_test_scram_plus_LDADD = $(NET_LIBS) $(CHECK_LIBS) $(OPENSSL_LIBS) $(GSASL_LIBS)
tests_unit_test_smtp_SOURCES = tests/unit/test_smtp.c tests/unit/unit.h
tests_unit_test_smtp_CPPFLAGS = $(UTIL_INC) $(PROTOCOLS_INC) -I$(top_srcdir)/tests/unit $(CHECK_CFLAGS)
tests_unit_test_smtp_LDADD = $(PROTOCOLS_LIBS) $(CHECK_LIBS)
tests_unit_test_idempotency_SOURCES = tests/unit/test_idempotency.c tests/unit/unit.h
tests_unit_test_idempotency_CPPFLAGS = $(libdaemon_la_CPPFLAGS) -I$(top_srcdir)/tests/unit $(CHECK_CFLAGS)
tests_unit_test_idempotency_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)
endif
