# tests/system: the service under systemd. The units are checked as they stand; the rest boots a system, on request.
dist_check_SCRIPTS += tests/system/check_units tests/system/run tests/system/inside
TESTS += tests/system/check_units
EXTRA_DIST += \
	debian/changelog \
	debian/control \
	debian/copyright \
	debian/libpostern-dev.install \
	debian/libpostern0.install \
	debian/libpostern0.symbols \
	debian/not-installed \
	debian/postern-doc.docs \
	debian/postern-doc.examples \
	debian/postern.docs \
	debian/postern.install \
	debian/postern.postrm \
	debian/rules \
	debian/source/format \
	debian/tests/control \
	debian/tests/library \
	debian/tests/main-job

# The Debian packages, installed and tried on a booted Debian; takes two minutes, and once more for the image.
system:
	$(srcdir)/tests/system/run
.PHONY: system
