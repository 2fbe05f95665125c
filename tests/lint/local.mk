# the tree's own rules; the second program shows that the first one can fail
dist_check_SCRIPTS += tests/lint/lint tests/lint/selftest
TESTS += tests/lint/lint tests/lint/selftest
