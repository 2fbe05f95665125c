# tests/fuzz: targets for libFuzzer (--enable-fuzzing, with clang); without it they run the committed inputs.
FUZZ_CPPFLAGS = $(UTIL_INC) $(MIME_INC) $(PROTOCOLS_INC) $(RPC_INC) -I$(top_srcdir)/tests/fuzz -I$(top_srcdir)/tests/unit
if FUZZING
FUZZ_MAIN = %reldir%/libfuzzer.c
FUZZ_LINK = -fsanitize=fuzzer
else
FUZZ_MAIN = %reldir%/replay.c
FUZZ_LINK =
endif
FUZZ_SESSION = %reldir%/session.c %reldir%/session.h
EXTRA_DIST += %reldir%/libfuzzer.c %reldir%/replay.c %reldir%/corpus %reldir%/dict %reldir%/fuzz

IMAP_FUZZ = %reldir%/fuzz_imap_response %reldir%/fuzz_imap_session %reldir%/fuzz_imap_bodystructure %reldir%/fuzz_imap_utf7
check_PROGRAMS += $(IMAP_FUZZ)
if !FUZZING
TESTS += $(IMAP_FUZZ)
endif
tests_fuzz_fuzz_imap_response_SOURCES = %reldir%/fuzz_imap_response.c %reldir%/fuzz.h $(FUZZ_SESSION) $(FUZZ_MAIN)
tests_fuzz_fuzz_imap_response_CPPFLAGS = $(FUZZ_CPPFLAGS)
tests_fuzz_fuzz_imap_response_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LINK)
tests_fuzz_fuzz_imap_response_LDADD = $(PROTOCOLS_LIBS)
tests_fuzz_fuzz_imap_session_SOURCES = %reldir%/fuzz_imap_session.c %reldir%/fuzz.h $(FUZZ_SESSION) $(FUZZ_MAIN)
tests_fuzz_fuzz_imap_session_CPPFLAGS = $(FUZZ_CPPFLAGS)
tests_fuzz_fuzz_imap_session_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LINK)
tests_fuzz_fuzz_imap_session_LDADD = $(PROTOCOLS_LIBS)
tests_fuzz_fuzz_imap_bodystructure_SOURCES = %reldir%/fuzz_imap_bodystructure.c %reldir%/fuzz.h $(FUZZ_SESSION) $(FUZZ_MAIN)
tests_fuzz_fuzz_imap_bodystructure_CPPFLAGS = $(FUZZ_CPPFLAGS)
tests_fuzz_fuzz_imap_bodystructure_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LINK)
tests_fuzz_fuzz_imap_bodystructure_LDADD = $(PROTOCOLS_LIBS)
tests_fuzz_fuzz_imap_utf7_SOURCES = %reldir%/fuzz_imap_utf7.c %reldir%/fuzz.h $(FUZZ_SESSION) $(FUZZ_MAIN)
tests_fuzz_fuzz_imap_utf7_CPPFLAGS = $(FUZZ_CPPFLAGS)
tests_fuzz_fuzz_imap_utf7_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LINK)
tests_fuzz_fuzz_imap_utf7_LDADD = $(PROTOCOLS_LIBS)

# mime
MIME_FUZZ = \
	%reldir%/fuzz_mime_message \
	%reldir%/fuzz_mime_header \
	%reldir%/fuzz_mime_words \
	%reldir%/fuzz_mime_address \
	%reldir%/fuzz_mime_date \
	%reldir%/fuzz_mime_base64 \
	%reldir%/fuzz_mime_qp \
	%reldir%/fuzz_mime_uu \
	%reldir%/fuzz_mime_tnef \
	%reldir%/fuzz_mime_thread
check_PROGRAMS += $(MIME_FUZZ)
if !FUZZING
TESTS += $(MIME_FUZZ)
endif
FUZZ_MIME = %reldir%/fuzz.h %reldir%/fuzz_mime_check.h $(FUZZ_MAIN)
tests_fuzz_fuzz_mime_message_SOURCES = %reldir%/fuzz_mime_message.c $(FUZZ_MIME)
tests_fuzz_fuzz_mime_message_CPPFLAGS = $(FUZZ_CPPFLAGS)
tests_fuzz_fuzz_mime_message_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LINK)
tests_fuzz_fuzz_mime_message_LDADD = libmime.la libutil.la
tests_fuzz_fuzz_mime_header_SOURCES = %reldir%/fuzz_mime_header.c $(FUZZ_MIME)
tests_fuzz_fuzz_mime_header_CPPFLAGS = $(FUZZ_CPPFLAGS)
tests_fuzz_fuzz_mime_header_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LINK)
tests_fuzz_fuzz_mime_header_LDADD = libmime.la libutil.la
tests_fuzz_fuzz_mime_words_SOURCES = %reldir%/fuzz_mime_words.c $(FUZZ_MIME)
tests_fuzz_fuzz_mime_words_CPPFLAGS = $(FUZZ_CPPFLAGS)
tests_fuzz_fuzz_mime_words_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LINK)
tests_fuzz_fuzz_mime_words_LDADD = libmime.la libutil.la
tests_fuzz_fuzz_mime_address_SOURCES = %reldir%/fuzz_mime_address.c $(FUZZ_MIME)
tests_fuzz_fuzz_mime_address_CPPFLAGS = $(FUZZ_CPPFLAGS)
tests_fuzz_fuzz_mime_address_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LINK)
tests_fuzz_fuzz_mime_address_LDADD = libmime.la libutil.la
tests_fuzz_fuzz_mime_date_SOURCES = %reldir%/fuzz_mime_date.c $(FUZZ_MIME)
tests_fuzz_fuzz_mime_date_CPPFLAGS = $(FUZZ_CPPFLAGS)
tests_fuzz_fuzz_mime_date_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LINK)
tests_fuzz_fuzz_mime_date_LDADD = libmime.la libutil.la
tests_fuzz_fuzz_mime_base64_SOURCES = %reldir%/fuzz_mime_base64.c $(FUZZ_MIME)
tests_fuzz_fuzz_mime_base64_CPPFLAGS = $(FUZZ_CPPFLAGS)
tests_fuzz_fuzz_mime_base64_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LINK)
tests_fuzz_fuzz_mime_base64_LDADD = libmime.la libutil.la
tests_fuzz_fuzz_mime_qp_SOURCES = %reldir%/fuzz_mime_qp.c $(FUZZ_MIME)
tests_fuzz_fuzz_mime_qp_CPPFLAGS = $(FUZZ_CPPFLAGS)
tests_fuzz_fuzz_mime_qp_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LINK)
tests_fuzz_fuzz_mime_qp_LDADD = libmime.la libutil.la
tests_fuzz_fuzz_mime_uu_SOURCES = %reldir%/fuzz_mime_uu.c $(FUZZ_MIME)
tests_fuzz_fuzz_mime_uu_CPPFLAGS = $(FUZZ_CPPFLAGS)
tests_fuzz_fuzz_mime_uu_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LINK)
tests_fuzz_fuzz_mime_uu_LDADD = libmime.la libutil.la
tests_fuzz_fuzz_mime_tnef_SOURCES = %reldir%/fuzz_mime_tnef.c $(FUZZ_MIME)
tests_fuzz_fuzz_mime_tnef_CPPFLAGS = $(FUZZ_CPPFLAGS)
tests_fuzz_fuzz_mime_tnef_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LINK)
tests_fuzz_fuzz_mime_tnef_LDADD = libmime.la libutil.la
tests_fuzz_fuzz_mime_thread_SOURCES = %reldir%/fuzz_mime_thread.c %reldir%/fuzz.h $(FUZZ_MAIN)
tests_fuzz_fuzz_mime_thread_CPPFLAGS = $(FUZZ_CPPFLAGS)
tests_fuzz_fuzz_mime_thread_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LINK)
tests_fuzz_fuzz_mime_thread_LDADD = libmime.la libutil.la

# All of them, one after the other, from the committed inputs: make fuzz FUZZ_SECONDS=600 FUZZ='imap_response json'.
# make fuzz-merge puts what they found back among the committed inputs, without what adds nothing.
FUZZ_SECONDS = 60
FUZZ =
fuzz fuzz-merge: $(filter tests/fuzz/fuzz_%,$(check_PROGRAMS))
if FUZZING
	$(srcdir)/tests/fuzz/fuzz $@ '$(srcdir)/tests/fuzz' $(FUZZ_SECONDS) $(FUZZ)
else
	@echo 'fuzz: needs configure --enable-fuzzing --enable-asan --enable-ubsan CC=clang' >&2; exit 1
endif
.PHONY: fuzz fuzz-merge

# Messages that chance makes of the committed ones and of POSTERN_CORPUS, read by us and by GMime (libgmime-3.0-dev), from another
# seed each time: make fuzz-gmime FUZZ_SECONDS=600. What differs without a known reason stays in tests/fuzz/gmime-findings.
EXTRA_DIST += %reldir%/gmime_diff.c
CLEANFILES += %reldir%/gmime_diff
FUZZ_SEED = $$$$
fuzz-gmime: libmime.la libutil.la
	pkg-config --exists gmime-3.0 || { echo 'fuzz-gmime: needs libgmime-3.0-dev' >&2; exit 1; }
	$(LIBTOOL) --tag=CC --mode=link $(CC) $(POSTERN_CFLAGS) $(CFLAGS) $(UTIL_INC) $(MIME_INC) `pkg-config --cflags gmime-3.0` \
	    -o tests/fuzz/gmime_diff $(srcdir)/tests/fuzz/gmime_diff.c libmime.la libutil.la $(POSTERN_LDFLAGS) `pkg-config --libs gmime-3.0`
	mkdir -p tests/fuzz/gmime-findings
	find '$(srcdir)/tests/fuzz/corpus/mime_message' $${POSTERN_CORPUS:+"$$POSTERN_CORPUS"} -type f ! -name '*.jsonl' ! -name '*.md' -print0 | \
	    xargs -0 tests/fuzz/gmime_diff $(FUZZ_SECONDS) $(FUZZ_SEED) tests/fuzz/gmime-findings
.PHONY: fuzz-gmime
