# unit tests of imap
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_wire
TESTS += tests/unit/test_wire
tests_unit_test_wire_SOURCES = tests/unit/test_wire.c tests/unit/unit.h
tests_unit_test_wire_CPPFLAGS = $(UTIL_INC) $(PROTOCOLS_INC) -I$(top_srcdir)/tests/unit $(CHECK_CFLAGS)
tests_unit_test_wire_LDADD = libprotocols.la libutil.la $(CHECK_LIBS)
check_PROGRAMS += tests/unit/test_imap_parse tests/unit/test_imap_client
TESTS += tests/unit/test_imap_parse tests/unit/test_imap_client
tests_unit_test_imap_parse_SOURCES = tests/unit/test_imap_parse.c tests/unit/unit.h
tests_unit_test_imap_parse_CPPFLAGS = $(tests_unit_test_wire_CPPFLAGS)
tests_unit_test_imap_parse_LDADD = $(tests_unit_test_wire_LDADD)
tests_unit_test_imap_client_SOURCES = tests/unit/test_imap_client.c tests/unit/imap_dialogue.h tests/unit/unit.h
tests_unit_test_imap_client_CPPFLAGS = $(tests_unit_test_wire_CPPFLAGS)
tests_unit_test_imap_client_LDADD = $(PROTOCOLS_LIBS) $(CHECK_LIBS)
check_PROGRAMS += tests/unit/test_imap_waits
TESTS += tests/unit/test_imap_waits
tests_unit_test_imap_waits_SOURCES = tests/unit/test_imap_waits.c tests/unit/imap_dialogue.h tests/unit/unit.h
tests_unit_test_imap_waits_CPPFLAGS = $(tests_unit_test_wire_CPPFLAGS)
tests_unit_test_imap_waits_LDADD = $(PROTOCOLS_LIBS) $(CHECK_LIBS)
check_PROGRAMS += tests/unit/test_imap_quirks
TESTS += tests/unit/test_imap_quirks
tests_unit_test_imap_quirks_SOURCES = tests/unit/test_imap_quirks.c tests/unit/unit.h
tests_unit_test_imap_quirks_CPPFLAGS = $(tests_unit_test_wire_CPPFLAGS)
tests_unit_test_imap_quirks_LDADD = $(tests_unit_test_wire_LDADD)
check_PROGRAMS += tests/unit/test_imap_replay
TESTS += tests/unit/test_imap_replay
tests_unit_test_imap_replay_SOURCES = tests/unit/test_imap_replay.c tests/unit/imap_exercise.h
tests_unit_test_imap_replay_CPPFLAGS = $(tests_unit_test_wire_CPPFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_imap_replay_LDADD = $(PROTOCOLS_LIBS) $(JANSSON_LIBS)
check_PROGRAMS += tests/unit/test_imap_steps
TESTS += tests/unit/test_imap_steps
tests_unit_test_imap_steps_SOURCES = tests/unit/test_imap_steps.c tests/unit/imap_dialogue.h tests/unit/unit.h
tests_unit_test_imap_steps_CPPFLAGS = $(tests_unit_test_wire_CPPFLAGS)
tests_unit_test_imap_steps_LDADD = $(PROTOCOLS_LIBS) $(CHECK_LIBS)
check_PROGRAMS += tests/unit/test_imap_generic
TESTS += tests/unit/test_imap_generic
tests_unit_test_imap_generic_SOURCES = tests/unit/test_imap_generic.c tests/unit/unit.h
tests_unit_test_imap_generic_CPPFLAGS = $(tests_unit_test_wire_CPPFLAGS)
tests_unit_test_imap_generic_LDADD = $(tests_unit_test_wire_LDADD)
endif

# What tests/linear counts.
check_PROGRAMS += tests/unit/linear_imap
tests_unit_linear_imap_SOURCES = tests/unit/linear_imap.c tests/unit/imap_exercise.h
tests_unit_linear_imap_CPPFLAGS = $(UTIL_INC) $(PROTOCOLS_INC) -I$(top_srcdir)/tests/unit
tests_unit_linear_imap_LDADD = $(PROTOCOLS_LIBS)
