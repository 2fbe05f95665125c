# fuzz targets of net: what its machines without I/O are fed
check_PROGRAMS += %reldir%/fuzz_proxy
if !FUZZING
TESTS += %reldir%/fuzz_proxy
endif
tests_fuzz_fuzz_proxy_SOURCES = %reldir%/fuzz_proxy.c %reldir%/fuzz.h $(FUZZ_MAIN)
tests_fuzz_fuzz_proxy_CPPFLAGS = $(FUZZ_CPPFLAGS) $(NET_INC)
tests_fuzz_fuzz_proxy_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LINK)
tests_fuzz_fuzz_proxy_LDADD = $(NET_LIBS)
