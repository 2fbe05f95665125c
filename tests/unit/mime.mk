# unit tests of mime, and the replay of a corpus of real messages (see tests/corpus/compare.py)
if HAVE_CHECK
check_PROGRAMS += tests/unit/test_mime
TESTS += tests/unit/test_mime
tests_unit_test_mime_SOURCES = tests/unit/test_mime.c tests/unit/unit.h
tests_unit_test_mime_CPPFLAGS = $(UTIL_INC) $(MIME_INC) -I$(top_srcdir)/tests/unit $(CHECK_CFLAGS)
tests_unit_test_mime_LDADD = libmime.la libutil.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_mime_more
TESTS += tests/unit/test_mime_more
tests_unit_test_mime_more_SOURCES = tests/unit/test_mime_more.c tests/unit/unit.h
tests_unit_test_mime_more_CPPFLAGS = $(tests_unit_test_mime_CPPFLAGS)
tests_unit_test_mime_more_LDADD = libmime.la libutil.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_mime_thread
TESTS += tests/unit/test_mime_thread
tests_unit_test_mime_thread_SOURCES = tests/unit/test_mime_thread.c tests/unit/unit.h
tests_unit_test_mime_thread_CPPFLAGS = $(tests_unit_test_mime_CPPFLAGS)
tests_unit_test_mime_thread_LDADD = libmime.la libutil.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_mime_uu
TESTS += tests/unit/test_mime_uu
tests_unit_test_mime_uu_SOURCES = tests/unit/test_mime_uu.c tests/unit/unit.h
tests_unit_test_mime_uu_CPPFLAGS = $(tests_unit_test_mime_CPPFLAGS)
tests_unit_test_mime_uu_LDADD = libmime.la libutil.la $(CHECK_LIBS)
endif

check_PROGRAMS += tests/corpus/mime_dump
tests_corpus_mime_dump_SOURCES = tests/corpus/mime_dump.c
tests_corpus_mime_dump_CPPFLAGS = $(UTIL_INC) $(MIME_INC)
tests_corpus_mime_dump_LDADD = libmime.la libutil.la
dist_check_SCRIPTS += tests/corpus/replay tests/corpus/compare.py
TESTS += tests/corpus/replay
EXTRA_DIST += tests/corpus/README.md
