# tests/fuzz: targets for libFuzzer (--enable-fuzzing, with clang); without it they run the committed inputs.
FUZZ_CPPFLAGS = $(UTIL_INC) $(MIME_INC) $(PROTOCOLS_INC) $(RPC_INC) -I$(top_srcdir)/tests/fuzz -I$(top_srcdir)/tests/unit
if FUZZING
FUZZ_MAIN = %reldir%/libfuzzer.c
FUZZ_LINK = -fsanitize=fuzzer
else
FUZZ_MAIN = %reldir%/replay.c
FUZZ_LINK =
endif
EXTRA_DIST += %reldir%/libfuzzer.c %reldir%/replay.c %reldir%/corpus

check_PROGRAMS += %reldir%/fuzz_imap_response
if !FUZZING
TESTS += %reldir%/fuzz_imap_response
endif
tests_fuzz_fuzz_imap_response_SOURCES = %reldir%/fuzz_imap_response.c %reldir%/fuzz.h $(FUZZ_MAIN)
tests_fuzz_fuzz_imap_response_CPPFLAGS = $(FUZZ_CPPFLAGS)
tests_fuzz_fuzz_imap_response_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LINK)
tests_fuzz_fuzz_imap_response_LDADD = $(PROTOCOLS_LIBS)
