# unit tests of mime
