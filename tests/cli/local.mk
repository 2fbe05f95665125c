# tests/cli: the command against a gateway that the tests play
dist_check_SCRIPTS += tests/cli/run
TESTS += tests/cli/run
