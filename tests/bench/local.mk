# benchmarks beside other programs: make bench-send, …; build without sanitizers
EXTRA_DIST += %reldir%/frame.py %reldir%/send %reldir%/peers/nodemailer.js %reldir%/peers/smtplib_send.py \
	%reldir%/imap %reldir%/imap_etpan.c %reldir%/peers/imaplib_read.py %reldir%/peers/imapflow_read.js

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

bench-rpc: posternd tests/bench/rpc_load tests/bench/rpc_echo
	$(top_srcdir)/tests/bench/rpc --build $(abs_top_builddir) $(BENCH)
.PHONY: bench-rpc
bench-imap: posternd tests/bench/mail_sink tests/bench/mail_relay tests/bench/mail_raw tests/bench/imap_raw
	$(top_srcdir)/tests/bench/imap --build $(abs_top_builddir) $(BENCH)
.PHONY: bench-send bench-imap

EXTRA_DIST += %reldir%/mime %reldir%/mime_gmime.c %reldir%/peers/mime_python.py %reldir%/peers/mime_read.js \
	%reldir%/peers/mime_stalwart.rs
EXTRA_PROGRAMS += %reldir%/mime_bench
tests_bench_mime_bench_SOURCES = %reldir%/mime_bench.c %reldir%/mime_work.h
tests_bench_mime_bench_CPPFLAGS = $(UTIL_INC) $(MIME_INC)
tests_bench_mime_bench_LDADD = libmime.la libutil.la

bench-mime: tests/bench/mime_bench
	$(top_srcdir)/tests/bench/mime --build $(abs_top_builddir) $(BENCH)
.PHONY: bench-mime

# SMTP and POP3: a server that throws mail away, a slow network, the least of clients; mail_curl is built where libcurl is
EXTRA_DIST += %reldir%/smtp %reldir%/pop3 %reldir%/mail.py %reldir%/mail_curl.c %reldir%/peers/poplib_read.py
EXTRA_PROGRAMS += %reldir%/mail_sink %reldir%/mail_relay %reldir%/mail_raw
tests_bench_mail_sink_SOURCES = %reldir%/mail_sink.c
tests_bench_mail_sink_LDADD = $(OPENSSL_LIBS)
tests_bench_mail_relay_SOURCES = %reldir%/mail_relay.c
tests_bench_mail_raw_SOURCES = %reldir%/mail_raw.c
tests_bench_mail_raw_CPPFLAGS = $(OPENSSL_CFLAGS) $(JANSSON_CFLAGS)
tests_bench_mail_raw_LDADD = $(OPENSSL_LIBS) $(JANSSON_LIBS)

bench_mail = posternd tests/bench/mail_sink tests/bench/mail_relay tests/bench/mail_raw
bench-smtp: $(bench_mail)
	$(top_srcdir)/tests/bench/smtp --build $(abs_top_builddir) $(BENCH)
bench-pop3: $(bench_mail)
	$(top_srcdir)/tests/bench/pop3 --build $(abs_top_builddir) $(BENCH)
.PHONY: bench-smtp bench-pop3

EXTRA_PROGRAMS += %reldir%/imap_raw
tests_bench_imap_raw_SOURCES = %reldir%/imap_raw.c %reldir%/peer.h
tests_bench_imap_raw_CPPFLAGS = $(OPENSSL_CFLAGS) $(JANSSON_CFLAGS)
tests_bench_imap_raw_LDADD = $(OPENSSL_LIBS) $(JANSSON_LIBS)

# Connections in IDLE
EXTRA_DIST += %reldir%/idle
EXTRA_PROGRAMS += %reldir%/idle_peer
tests_bench_idle_peer_SOURCES = %reldir%/idle_peer.c
tests_bench_idle_peer_CPPFLAGS = $(OPENSSL_CFLAGS) $(EVENT_CFLAGS)
tests_bench_idle_peer_LDADD = $(OPENSSL_LIBS) $(EVENT_LIBS)

bench-idle: posternd tests/bench/idle_peer
	$(top_srcdir)/tests/bench/idle --build $(abs_top_builddir) $(BENCH)
.PHONY: bench-idle

# Very many clients and connections at once
EXTRA_DIST += %reldir%/scale
bench-scale: posternd
	$(top_srcdir)/tests/bench/scale --build $(abs_top_builddir) $(BENCH)
.PHONY: bench-scale
