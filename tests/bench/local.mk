# benchmarks beside other programs: make bench-send, …; build without sanitizers
EXTRA_DIST += %reldir%/frame.py %reldir%/send %reldir%/peers/nodemailer.js %reldir%/peers/smtplib_send.py \
	%reldir%/imap %reldir%/peers/imap_raw.py %reldir%/peers/imaplib_read.py

bench-send: posternd
	$(top_srcdir)/tests/bench/send --build $(abs_top_builddir) $(BENCH)
.PHONY: bench-send

EXTRA_DIST += %reldir%/rpc
EXTRA_PROGRAMS = %reldir%/rpc_load %reldir%/rpc_echo
CLEANFILES += $(EXTRA_PROGRAMS)
tests_bench_rpc_load_SOURCES = %reldir%/rpc_load.c
tests_bench_rpc_echo_SOURCES = %reldir%/rpc_echo.c
tests_bench_rpc_echo_CPPFLAGS = $(UTIL_INC) $(RPC_INC) $(EVENT_CFLAGS) $(JANSSON_CFLAGS)
tests_bench_rpc_echo_LDADD = librpc.la libutil.la $(EVENT_LIBS) $(JANSSON_LIBS)

bench-rpc: posternd $(EXTRA_PROGRAMS)
	$(top_srcdir)/tests/bench/rpc --build $(abs_top_builddir) $(BENCH)
.PHONY: bench-rpc
bench-imap: posternd
	$(top_srcdir)/tests/bench/imap --build $(abs_top_builddir) $(BENCH)
.PHONY: bench-send bench-imap
