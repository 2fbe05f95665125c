# real mail servers for tests, benchmarks and the quick start
EXTRA_DIST += tests/install-deps \
	%reldir%/certificates.py %reldir%/mailserver %reldir%/mailserver.py %reldir%/packages.py %reldir%/sandbox.py \
	%reldir%/selftest %reldir%/servers/__init__.py %reldir%/servers/courier.py %reldir%/servers/cyrus.py %reldir%/servers/dovecot.py \
	%reldir%/servers/exim.py %reldir%/servers/opensmtpd.py %reldir%/servers/postfix.py
