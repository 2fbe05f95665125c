# benchmarks beside other programs: make bench-send, …; build without sanitizers
EXTRA_DIST += %reldir%/frame.py %reldir%/send %reldir%/peers/nodemailer.js %reldir%/peers/smtplib_send.py

bench-send: posternd
	$(top_srcdir)/tests/bench/send --build $(abs_top_builddir) $(BENCH)
.PHONY: bench-send
