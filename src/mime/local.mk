# mime: may use util and iconv; knows no socket, clock, environment, log or JSON.
noinst_LTLIBRARIES += libmime.la
libmime_la_CPPFLAGS = $(UTIL_INC) $(MIME_INC)
libmime_la_SOURCES = \
	%reldir%/mime_compose.h \
	%reldir%/mime_header.h \
	%reldir%/mime_message.h \
	%reldir%/mime_raw.h \
	%reldir%/mime_source.h \
	%reldir%/mime_text.h \
	%reldir%/mime_transfer.h
