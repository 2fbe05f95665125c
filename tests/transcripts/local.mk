# tests/transcripts: dialogues as text, run against the engines in every split
check_PROGRAMS += tests/transcripts/transcripts
TESTS += tests/transcripts/transcripts
tests_transcripts_transcripts_SOURCES = \
	%reldir%/transcript.c %reldir%/transcript.h \
	%reldir%/transcript_protocols.c \
	%reldir%/transcript_imap.c \
	%reldir%/transcript_pop3.c \
	%reldir%/transcript_smtp.c \
	$(FAILING_ALLOC)
tests_transcripts_transcripts_CPPFLAGS = $(UTIL_INC) $(PROTOCOLS_INC) -I$(top_srcdir)/tests/unit $(OPENSSL_CFLAGS)
tests_transcripts_transcripts_LDFLAGS = $(WITH_FAILING_ALLOC)
tests_transcripts_transcripts_LDADD = $(PROTOCOLS_LIBS) $(OPENSSL_LIBS)
EXTRA_DIST += %reldir%/imap %reldir%/pop3 %reldir%/smtp
