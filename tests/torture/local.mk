# What takes long, on request: each system call of the daemon failing in turn; a long time among connections that break; how much of the
# code the tests run; what static analyzers say. TORTURE, SOAK, ANALYZE: further arguments.
dist_check_SCRIPTS += tests/torture/run tests/soak/run tests/analyze tests/coverage tests/linear
EXTRA_DIST += .clang-tidy
torture: all
	$(srcdir)/tests/torture/run --build . $(TORTURE)
soak: all
	$(srcdir)/tests/soak/run --build . $(SOAK)
# Twice the size of a message takes twice the work.
linear: all
	$(srcdir)/tests/linear --build .
analyze:
	$(srcdir)/tests/analyze $(ANALYZE)
coverage:
	$(srcdir)/tests/coverage
.PHONY: torture soak analyze coverage linear
