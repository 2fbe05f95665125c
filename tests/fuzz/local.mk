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

# mime
MIME_FUZZ = %reldir%/fuzz_mime_message %reldir%/fuzz_mime_header %reldir%/fuzz_mime_transfer
check_PROGRAMS += $(MIME_FUZZ)
if !FUZZING
TESTS += $(MIME_FUZZ)
endif
tests_fuzz_fuzz_mime_message_SOURCES = %reldir%/fuzz_mime_message.c %reldir%/fuzz.h $(FUZZ_MAIN)
tests_fuzz_fuzz_mime_message_CPPFLAGS = $(FUZZ_CPPFLAGS)
tests_fuzz_fuzz_mime_message_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LINK)
tests_fuzz_fuzz_mime_message_LDADD = libmime.la libutil.la
tests_fuzz_fuzz_mime_header_SOURCES = %reldir%/fuzz_mime_header.c %reldir%/fuzz.h $(FUZZ_MAIN)
tests_fuzz_fuzz_mime_header_CPPFLAGS = $(FUZZ_CPPFLAGS)
tests_fuzz_fuzz_mime_header_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LINK)
tests_fuzz_fuzz_mime_header_LDADD = libmime.la libutil.la
tests_fuzz_fuzz_mime_transfer_SOURCES = %reldir%/fuzz_mime_transfer.c %reldir%/fuzz.h $(FUZZ_MAIN)
tests_fuzz_fuzz_mime_transfer_CPPFLAGS = $(FUZZ_CPPFLAGS)
tests_fuzz_fuzz_mime_transfer_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LINK)
tests_fuzz_fuzz_mime_transfer_LDADD = libmime.la libutil.la
