# unit tests of mime, and the replay of a corpus of real messages (see tests/corpus/compare.py)
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_mime_header
TESTS += tests/unit/test_mime_header
tests_unit_test_mime_header_SOURCES = tests/unit/test_mime_header.c tests/unit/mime_unit.h tests/unit/unit.h
tests_unit_test_mime_header_CPPFLAGS = $(UTIL_INC) $(MIME_INC) -I$(top_srcdir)/tests/unit $(CHECK_CFLAGS)
tests_unit_test_mime_header_LDADD = libmime.la libutil.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_mime_message
TESTS += tests/unit/test_mime_message
tests_unit_test_mime_message_SOURCES = tests/unit/test_mime_message.c tests/unit/mime_unit.h tests/unit/unit.h
tests_unit_test_mime_message_CPPFLAGS = $(tests_unit_test_mime_header_CPPFLAGS)
tests_unit_test_mime_message_LDADD = libmime.la libutil.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_mime_raw
TESTS += tests/unit/test_mime_raw
tests_unit_test_mime_raw_SOURCES = tests/unit/test_mime_raw.c tests/unit/mime_unit.h tests/unit/unit.h
tests_unit_test_mime_raw_CPPFLAGS = $(tests_unit_test_mime_header_CPPFLAGS)
tests_unit_test_mime_raw_LDADD = libmime.la libutil.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_mime_compose
TESTS += tests/unit/test_mime_compose
tests_unit_test_mime_compose_SOURCES = tests/unit/test_mime_compose.c tests/unit/mime_unit.h tests/unit/unit.h
tests_unit_test_mime_compose_CPPFLAGS = $(tests_unit_test_mime_header_CPPFLAGS)
tests_unit_test_mime_compose_LDADD = libmime.la libutil.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_mime_more
TESTS += tests/unit/test_mime_more
tests_unit_test_mime_more_SOURCES = tests/unit/test_mime_more.c tests/unit/unit.h
tests_unit_test_mime_more_CPPFLAGS = $(tests_unit_test_mime_header_CPPFLAGS)
tests_unit_test_mime_more_LDADD = libmime.la libutil.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_mime_thread
TESTS += tests/unit/test_mime_thread
tests_unit_test_mime_thread_SOURCES = tests/unit/test_mime_thread.c tests/unit/unit.h
tests_unit_test_mime_thread_CPPFLAGS = $(tests_unit_test_mime_header_CPPFLAGS)
tests_unit_test_mime_thread_LDADD = libmime.la libutil.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_mime_uu
TESTS += tests/unit/test_mime_uu
tests_unit_test_mime_uu_SOURCES = tests/unit/test_mime_uu.c tests/unit/unit.h
tests_unit_test_mime_uu_CPPFLAGS = $(tests_unit_test_mime_header_CPPFLAGS)
tests_unit_test_mime_uu_LDADD = libmime.la libutil.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_mime_vector
TESTS += tests/unit/test_mime_vector
tests_unit_test_mime_vector_SOURCES = tests/unit/test_mime_vector.c tests/unit/unit.h
tests_unit_test_mime_vector_CPPFLAGS = $(tests_unit_test_mime_header_CPPFLAGS)
tests_unit_test_mime_vector_LDADD = libmime.la libutil.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_mime_tnef
TESTS += tests/unit/test_mime_tnef
tests_unit_test_mime_tnef_SOURCES = tests/unit/test_mime_tnef.c tests/unit/unit.h
tests_unit_test_mime_tnef_CPPFLAGS = $(tests_unit_test_mime_header_CPPFLAGS)
tests_unit_test_mime_tnef_LDADD = libmime.la libutil.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_mime_memory
TESTS += tests/unit/test_mime_memory
tests_unit_test_mime_memory_SOURCES = tests/unit/test_mime_memory.c tests/unit/unit.h $(FAILING_ALLOC)
tests_unit_test_mime_memory_CPPFLAGS = $(tests_unit_test_mime_header_CPPFLAGS)
tests_unit_test_mime_memory_LDFLAGS = $(WITH_FAILING_ALLOC)
tests_unit_test_mime_memory_LDADD = libmime.la libutil.la $(CHECK_LIBS)
endif

check_PROGRAMS += tests/corpus/mime_dump
tests_corpus_mime_dump_SOURCES = tests/corpus/mime_dump.c
tests_corpus_mime_dump_CPPFLAGS = $(UTIL_INC) $(MIME_INC)
tests_corpus_mime_dump_LDADD = libmime.la libutil.la
dist_check_SCRIPTS += tests/corpus/replay tests/corpus/compare.py
TESTS += tests/corpus/replay
EXTRA_DIST += tests/corpus/README.md
# on demand: other parsers on other messages
EXTRA_DIST += tests/corpus/differ.py
EXTRA_DIST += tests/corpus/generate.py
EXTRA_DIST += tests/corpus/voters

# ten thousand messages built, and read back by whatever reads messages: make roundtrip ROUNDTRIP='--count 500'
EXTRA_DIST += tests/roundtrip/README.md tests/roundtrip/compare.py tests/roundtrip/gmime_read.c tests/roundtrip/letters.py \
	tests/roundtrip/mailparser_read.js tests/roundtrip/readers.py tests/roundtrip/run
roundtrip: all
	$(top_srcdir)/tests/roundtrip/run --build $(abs_top_builddir) $(ROUNDTRIP)
check-full: roundtrip
.PHONY: roundtrip check-full
