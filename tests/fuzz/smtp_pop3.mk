# whole SMTP and POP3 sessions
SMTP_POP3_FUZZ = tests/fuzz/fuzz_smtp_session tests/fuzz/fuzz_smtp_steps tests/fuzz/fuzz_pop3_session
check_PROGRAMS += $(SMTP_POP3_FUZZ)
if !FUZZING
TESTS += $(SMTP_POP3_FUZZ)
endif
tests_fuzz_fuzz_smtp_session_SOURCES = tests/fuzz/fuzz_smtp_session.c tests/fuzz/fuzz.h $(FUZZ_SESSION) $(FUZZ_MAIN)
tests_fuzz_fuzz_smtp_session_CPPFLAGS = $(FUZZ_CPPFLAGS)
tests_fuzz_fuzz_smtp_session_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LINK)
tests_fuzz_fuzz_smtp_session_LDADD = $(PROTOCOLS_LIBS)
tests_fuzz_fuzz_smtp_steps_SOURCES = tests/fuzz/fuzz_smtp_steps.c tests/fuzz/fuzz.h $(FUZZ_MAIN)
tests_fuzz_fuzz_smtp_steps_CPPFLAGS = $(FUZZ_CPPFLAGS)
tests_fuzz_fuzz_smtp_steps_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LINK)
tests_fuzz_fuzz_smtp_steps_LDADD = $(PROTOCOLS_LIBS)
tests_fuzz_fuzz_pop3_session_SOURCES = tests/fuzz/fuzz_pop3_session.c tests/fuzz/fuzz.h $(FUZZ_SESSION) $(FUZZ_MAIN)
tests_fuzz_fuzz_pop3_session_CPPFLAGS = $(FUZZ_CPPFLAGS)
tests_fuzz_fuzz_pop3_session_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LINK)
tests_fuzz_fuzz_pop3_session_LDADD = $(PROTOCOLS_LIBS)
