# unit tests of imap
