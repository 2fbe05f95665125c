# unit tests of smtp_pop3
