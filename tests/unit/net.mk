# unit tests of net
if HAVE_CHECK
NET_TEST_INC = $(UTIL_INC) $(PROTOCOLS_INC) $(NET_INC) -I$(top_srcdir)/tests/unit $(CHECK_CFLAGS) $(OPENSSL_CFLAGS)
NET_WORLD = tests/unit/net_world.c tests/unit/net_world.h tests/unit/line_engine.c tests/unit/line_engine.h \
	tests/unit/tls_peer.c tests/unit/tls_peer.h tests/unit/unit.h

check_PROGRAMS += tests/unit/test_loop tests/unit/test_lease tests/unit/test_pool tests/unit/test_proxy tests/unit/test_salted_keys tests/unit/test_session tests/unit/test_tls
TESTS += tests/unit/test_loop tests/unit/test_lease tests/unit/test_pool tests/unit/test_proxy tests/unit/test_salted_keys tests/unit/test_session tests/unit/test_tls
tests_unit_test_loop_SOURCES = tests/unit/test_loop.c tests/unit/unit.h
tests_unit_test_loop_CPPFLAGS = $(NET_TEST_INC)
tests_unit_test_loop_LDADD = $(NET_LIBS) $(CHECK_LIBS)
tests_unit_test_lease_SOURCES = tests/unit/test_lease.c $(NET_WORLD)
tests_unit_test_lease_CPPFLAGS = $(NET_TEST_INC)
tests_unit_test_lease_LDADD = $(NET_LIBS) $(CHECK_LIBS)
tests_unit_test_pool_SOURCES = tests/unit/test_pool.c $(NET_WORLD)
tests_unit_test_pool_CPPFLAGS = $(NET_TEST_INC)
tests_unit_test_pool_LDADD = $(NET_LIBS) $(CHECK_LIBS)
tests_unit_test_tls_SOURCES = tests/unit/test_tls.c tests/unit/tls_peer.c tests/unit/tls_peer.h tests/unit/unit.h
tests_unit_test_tls_CPPFLAGS = $(NET_TEST_INC)
tests_unit_test_tls_LDADD = $(NET_LIBS) $(CHECK_LIBS)
tests_unit_test_proxy_SOURCES = tests/unit/test_proxy.c tests/unit/unit.h
tests_unit_test_proxy_CPPFLAGS = $(NET_TEST_INC)
tests_unit_test_proxy_LDADD = $(NET_LIBS) $(CHECK_LIBS)
tests_unit_test_salted_keys_SOURCES = tests/unit/test_salted_keys.c tests/unit/unit.h
tests_unit_test_salted_keys_CPPFLAGS = $(NET_TEST_INC)
tests_unit_test_salted_keys_LDADD = $(NET_LIBS) $(CHECK_LIBS)
tests_unit_test_session_SOURCES = tests/unit/test_session.c $(NET_WORLD)
tests_unit_test_session_CPPFLAGS = $(NET_TEST_INC)
tests_unit_test_session_LDADD = $(NET_LIBS) $(CHECK_LIBS)
check_PROGRAMS += tests/unit/test_pool_failures
TESTS += tests/unit/test_pool_failures
tests_unit_test_pool_failures_SOURCES = tests/unit/test_pool_failures.c $(NET_WORLD)
tests_unit_test_pool_failures_CPPFLAGS = $(NET_TEST_INC)
tests_unit_test_pool_failures_LDADD = $(NET_LIBS) $(CHECK_LIBS)
check_PROGRAMS += tests/unit/test_deflate_stage
TESTS += tests/unit/test_deflate_stage
tests_unit_test_deflate_stage_SOURCES = tests/unit/test_deflate_stage.c tests/unit/unit.h
tests_unit_test_deflate_stage_CPPFLAGS = $(NET_TEST_INC)
tests_unit_test_deflate_stage_LDADD = $(NET_LIBS) $(CHECK_LIBS)
endif
