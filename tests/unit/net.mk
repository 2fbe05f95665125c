# unit tests of net
