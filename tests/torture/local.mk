# What takes long, on request: each system call of the daemon failing in turn; a long time among connections that break; how much of the
# code the tests run. TORTURE, SOAK: further arguments.
dist_check_SCRIPTS += tests/torture/run tests/soak/run tests/coverage tests/linear
torture: all
	$(srcdir)/tests/torture/run --build . $(TORTURE)
soak: all
	$(srcdir)/tests/soak/run --build . $(SOAK)
# Twice the size of a message takes twice the work.
linear: all
	$(srcdir)/tests/linear --build .
coverage:
	$(srcdir)/tests/coverage
.PHONY: torture soak coverage linear
