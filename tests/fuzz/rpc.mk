# fuzz targets of rpc
check_PROGRAMS += %reldir%/fuzz_json %reldir%/fuzz_rpc_framing
if !FUZZING
TESTS += %reldir%/fuzz_json %reldir%/fuzz_rpc_framing
endif
tests_fuzz_fuzz_json_SOURCES = %reldir%/fuzz_json.c %reldir%/fuzz.h $(FUZZ_MAIN)
tests_fuzz_fuzz_json_CPPFLAGS = $(FUZZ_CPPFLAGS)
tests_fuzz_fuzz_json_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LINK)
tests_fuzz_fuzz_json_LDADD = librpc.la libutil.la
tests_fuzz_fuzz_rpc_framing_SOURCES = %reldir%/fuzz_rpc_framing.c %reldir%/fuzz.h $(FUZZ_MAIN)
tests_fuzz_fuzz_rpc_framing_CPPFLAGS = $(FUZZ_CPPFLAGS)
tests_fuzz_fuzz_rpc_framing_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LINK)
tests_fuzz_fuzz_rpc_framing_LDADD = librpc.la libutil.la
