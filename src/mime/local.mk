# mime: may use util and iconv; knows no socket, clock, environment, log or JSON.
noinst_LTLIBRARIES += libmime.la
libmime_la_CPPFLAGS = $(UTIL_INC) $(MIME_INC)
libmime_la_SOURCES =
