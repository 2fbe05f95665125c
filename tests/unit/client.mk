# unit tests of client
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_client tests/unit/test_client_loss
TESTS += tests/unit/test_client tests/unit/test_client_loss
CLIENT_WORLD = tests/unit/client_world.c tests/unit/client_world.h tests/unit/unit.h
tests_unit_test_client_SOURCES = tests/unit/test_client.c $(CLIENT_WORLD)
tests_unit_test_client_CPPFLAGS = $(UTIL_INC) $(CLIENT_INC) $(JANSSON_CFLAGS) -I$(top_srcdir)/tests/unit $(CHECK_CFLAGS)
tests_unit_test_client_LDADD = libclient.la libutil.la $(JANSSON_LIBS) $(CHECK_LIBS)
tests_unit_test_client_loss_SOURCES = tests/unit/test_client_loss.c tests/unit/scratch.h $(CLIENT_WORLD) $(FAILING_ALLOC)
tests_unit_test_client_loss_CPPFLAGS = $(tests_unit_test_client_CPPFLAGS)
tests_unit_test_client_loss_LDFLAGS = $(WITH_FAILING_ALLOC)
tests_unit_test_client_loss_LDADD = $(tests_unit_test_client_LDADD)
endif

dist_check_SCRIPTS += tests/unit/check_exports tests/unit/check_abi
TESTS += tests/unit/check_exports tests/unit/check_abi
EXTRA_DIST += tests/unit/libpostern.abi
