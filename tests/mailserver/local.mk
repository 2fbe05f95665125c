# tests/mailserver
